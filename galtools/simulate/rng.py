"""Random numbers that belong to the galaxy, not to the loop that happens to draw them."""

import zlib

import numpy as np


def galaxy_rng(seed: int, galaxy: int, *purpose) -> np.random.Generator:
    """Stream of galaxy `galaxy` for one purpose, e.g. ("observation", "SDSS", 0).

    Streams of different seeds, galaxies or purposes are independent; none depends on how many
    galaxies are drawn, in which order or by which worker.
    """
    words = [w if isinstance(w, int) else zlib.crc32(w.encode()) for w in purpose]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, galaxy, *words])))


def random_numbers(seed: int, galaxies, purpose: str, uniform: int, normal: int):
    """Uniform (n, uniform) and standard normal (n, normal) numbers, one row per galaxy."""
    streams = [galaxy_rng(seed, int(galaxy), purpose) for galaxy in galaxies]
    return (
        np.stack([stream.random(uniform) for stream in streams]),
        np.stack([stream.standard_normal(normal) for stream in streams]),
    )
