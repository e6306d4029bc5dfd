"""Images of a batch of pairs as they lie in a file: small integers, compressed galaxy by galaxy.

Compressing takes nearly as long as simulating, so that it is done where a galaxy is made: many
processes squeeze, and the one that writes the file has only bytes to move. HDF5 itself compresses,
in a file that exists in memory alone, and so reads it with the same filters everywhere.
"""

from dataclasses import dataclass

import h5py
import numpy as np
from astropy.table import Table

from galtools.data.pairs import Pairs
from galtools.data.quantization import quantization_step, quantize
from galtools.errors import GaltoolsError
from galtools.surveys import BANDS

SIDES = ("source", "target")
FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}


@dataclass
class CompressedImages:
    """Images of n galaxies in one survey, each a chunk of HDF5: which filters it skipped, bytes."""

    shape: tuple[int, int, int]  # bands, H, W
    step: np.ndarray  # (n, bands) float32, nanomaggies per unit of the integers
    chunks: list[tuple[int, bytes]]


@dataclass
class CompressedPairs:
    """`Pairs` whose images are compressed; masks are not among them, as `data.save` has its own."""

    source: CompressedImages
    target: CompressedImages
    redshift: np.ndarray
    catalogue: Table
    noise: np.ndarray


def check_pairs(pairs: Pairs) -> None:
    """Refuse arrays of the wrong shape before they reach a file."""
    n = len(pairs)
    for name in SIDES:
        shape = np.shape(getattr(pairs, name))
        if len(shape) != 4 or shape[1] != len(BANDS) or 0 in shape[1:]:
            raise GaltoolsError(f"{name} images are {shape}: need (n, 5, H, W) in bands ugriz")
    if np.shape(pairs.noise) != (n, 2, len(BANDS)) or np.shape(pairs.redshift) != (n,):
        raise GaltoolsError(
            f"noise is {np.shape(pairs.noise)} and redshift {np.shape(pairs.redshift)} for "
            f"{n} galaxies: need ({n}, 2, 5) and ({n},)"
        )


def compress(pairs: Pairs) -> CompressedPairs:
    """Pack and compress the images of a batch."""
    check_pairs(pairs)
    sides = [
        _stamps(getattr(pairs, name), pairs.noise[:, number]) for number, name in enumerate(SIDES)
    ]
    return CompressedPairs(*sides, pairs.redshift, pairs.catalogue, pairs.noise)


def _stamps(images: np.ndarray, noise: np.ndarray) -> CompressedImages:
    step = quantization_step(images, noise)
    return CompressedImages(images.shape[1:], step, _compress(quantize(images, step)))


def _compress(counts: np.ndarray) -> list[tuple[int, bytes]]:
    """Let HDF5 compress each galaxy's integers."""
    if not len(counts):
        return []
    with h5py.File("squeezed", "w", driver="core", backing_store=False, rdcc_nbytes=0) as memory:
        chunks = (1, *counts.shape[1:])
        images = memory.create_dataset("images", data=counts, chunks=chunks, **FILTERS)
        return [images.id.read_direct_chunk((row, 0, 0, 0)) for row in range(len(counts))]
