"""Gaussian galaxies seen twice: data for tests that must not wait for the simulator."""

import numpy as np
from astropy.table import Table

from galtools.data.pairs import Pairs


def blobs(n: int = 12, size: int = 16, bands: int = 5, seed: int = 0) -> Pairs:
    """Round galaxies, blurred more on the source's side, with little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    flux = rng.uniform(20, 80, (n, bands, 1, 1))
    width = rng.uniform(1.2, 1.8, (n, 1, 1, 1))

    def see(extra, sigma):
        s2 = width**2 + extra**2
        images = flux * np.exp(-(x**2 + y**2) / 2 / s2) / (2 * np.pi * s2)
        return (images + rng.normal(0, sigma, images.shape)).astype(np.float32)

    noise = np.tile(np.float32([[0.03], [0.01]]), (n, 1, bands))
    redshift = (flux[:, 0, 0, 0] / 250).astype(np.float32)
    return Pairs(see(1.2, 0.03), see(0.6, 0.01), redshift, Table({"row": np.arange(n)}), noise)
