"""Images as small integers, compressed galaxy by galaxy: lossy by a known hundredth of the noise.

Images are stored in steps of one eighth of the sky noise of each galaxy and band,

    image = step x (integer - 64),    step = sigma_sky / 8,

and compressed without further loss. The shift by 64 steps (8 sigma) keeps blank sky positive;
without it the sign of the noise would fill all four bytes of an integer, and files of blank sky
would be twice as large. Galaxies shrink about fourfold against float32. The rounding is uniform
within +- sigma/16, an rms of sigma / (8 sqrt 12) = .036 sigma, which raises the noise by 0.07 %.
NaN and infinities survive. Where the noise is unknown, the step is 2^-30 of the brightest pixel.

Compression takes nearly as long as simulation, so many processes can do it (`compress`), and the
one that writes the file only moves bytes. HDF5 itself compresses, in a file in memory.
"""

from dataclasses import dataclass, replace

import h5py
import numpy as np

from galtools.data.pairs import ImageSet, Pairs
from galtools.errors import GaltoolsError
from galtools.surveys import BANDS

STEPS_PER_SIGMA = 8
SHIFT = 64
LARGEST = 2**31 - 4  # beyond it lie the codes of the three values that are not numbers
PLUS_INF, MINUS_INF, NAN = LARGEST + 1, -LARGEST - 1, -LARGEST - 2
FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}


def quantization_step(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Step of the integers, (n, bands): sigma/8, or finer than float32 if sigma is unknown.

    A pixel so bright that it would leave the integers' range widens its image's step.
    """
    size = np.where(np.isfinite(images), np.abs(images), 0).max(axis=(2, 3)).astype(np.float64)
    known = np.isfinite(noise) & (noise > 0)
    step = np.maximum(np.where(known, noise, 0) / STEPS_PER_SIGMA, size / 2**30)
    return np.where(step > np.finfo(np.float32).tiny, step, 1.0).astype(np.float32)


def quantize(images: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Turn images (n, bands, H, W) into integers: round(image / step) + 64."""
    with np.errstate(invalid="ignore"):
        counts = np.rint(images / step[:, :, None, None].astype(np.float64)) + SHIFT
    counts = np.nan_to_num(counts, nan=NAN, posinf=PLUS_INF, neginf=MINUS_INF)
    return counts.astype(np.int32)


def dequantize(counts: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Turn integers back into images, float32, to within step / 2."""
    steps = counts.astype(np.float64) - SHIFT
    images = (steps * step[:, :, None, None]).astype(np.float32)
    for code, value in ((PLUS_INF, np.inf), (MINUS_INF, -np.inf), (NAN, np.nan)):
        images[counts == code] = value
    return images


@dataclass
class CompressedImages:
    """What stands for the images of an `ImageSet` on their way into a file."""

    shape: tuple[int, int, int, int]  # n, bands, H, W
    step: np.ndarray  # (n, bands) float32, nanomaggies per unit of the integers
    chunks: list[tuple[int, bytes]]  # per galaxy: the filters of HDF5 that were skipped, bytes

    def __len__(self):
        """Count the galaxies."""
        return self.shape[0]


def compress(pairs: Pairs) -> Pairs:
    """Quantize and compress the images of pairs, for `data.save`; masks stay as they are."""
    source, target = map(_compress_set, (pairs.source_set, pairs.target_set))
    return replace(pairs, source_set=source, target_set=target)


def _compress_set(images: ImageSet) -> ImageSet:
    if images.images.shape[1] != len(BANDS):
        raise GaltoolsError(f"images are {images.images.shape}: need (n, 5, H, W) in bands ugriz")
    step = quantization_step(images.images, images.noise)
    chunks = _compress(quantize(images.images, step))
    return replace(images, images=CompressedImages(images.images.shape, step, chunks))


def _compress(counts: np.ndarray) -> list[tuple[int, bytes]]:
    """Let HDF5 compress each galaxy's integers."""
    if not len(counts):
        return []
    with h5py.File("memory", "w", driver="core", backing_store=False, rdcc_nbytes=0) as memory:
        chunks = (1, *counts.shape[1:])
        images = memory.create_dataset("images", data=counts, chunks=chunks, **FILTERS)
        return [images.id.read_direct_chunk((row, 0, 0, 0)) for row in range(len(counts))]
