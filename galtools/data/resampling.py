"""Change of pixel grid, in two ways: the light shared out exactly, or values in between guessed.

`regrid` shares out every pixel's flux by overlap in area. Two square grids with a common centre
have separable overlaps, so an image of flux per pixel goes over by a small matrix on each side,

    new = W image W^T,    W_ij = overlap of new pixel i with old pixel j / length of old pixel j.

A column of W sums to one where the new grid covers the old pixel: the flux is conserved exactly.
Going to coarser pixels loses detail for good; `undo` then returns the image of least power that has
exactly the coarse one as its regridded image. Coming back from finer pixels it is exact.

`interpolate` reads the image as samples of a smooth sky, which suits finer pixels: no blocks. It
has a matrix on each side, too, `lanczos`; flux is conserved as far as the sky is smooth.
"""

import math
from functools import lru_cache

import numpy as np

from galtools.errors import GaltoolsError

LOBES = 4  # pixels to either side that an interpolated value rests on


def overlap_matrix(size: int, scale: float, new_size: int, new_scale: float) -> np.ndarray:
    """Share (new_size, size) of each old pixel's length that falls into each new pixel."""
    if min(size, new_size) < 1 or not (0 < scale < np.inf and 0 < new_scale < np.inf):
        raise GaltoolsError(
            f"cannot regrid {size} pixels of {scale} to {new_size} of {new_scale} arcsec: "
            "give positive sizes and scales"
        )
    old = (np.arange(size + 1) - size / 2) * scale
    new = (np.arange(new_size + 1) - new_size / 2) * new_scale
    right = np.minimum(new[1:, None], old[None, 1:])
    left = np.maximum(new[:-1, None], old[None, :-1])
    return np.clip(right - left, 0, None) / scale


@lru_cache
def _undo_matrix(size: int, scale: float, new_size: int, new_scale: float) -> np.ndarray:
    return np.linalg.pinv(overlap_matrix(size, scale, new_size, new_scale))


def _both_sides(matrix: np.ndarray, images: np.ndarray) -> np.ndarray:
    result = matrix @ np.asarray(images, np.float64) @ matrix.T
    return result.astype(np.result_type(images, np.float32))


def _size(images: np.ndarray) -> int:
    shape = np.shape(images)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise GaltoolsError(f"images are {shape}: need square ones, (..., H, H)")
    return shape[-1]


def area_resample(images: np.ndarray, scale: float, new_size: int, new_scale: float) -> np.ndarray:
    """Bring images (..., H, H) of flux per pixel to `new_size` pixels of `new_scale` arcsec."""
    return _both_sides(overlap_matrix(_size(images), scale, new_size, new_scale), images)


def undo_area_resample(
    images: np.ndarray, scale: float, old_size: int, old_scale: float
) -> np.ndarray:
    """Return from the grid `regrid` went to: ``undo(regrid(x, s, N, S), S, len(x), s)``.

    Exact if `regrid` went to finer pixels that cover the image; else of least power.
    """
    return _both_sides(_undo_matrix(old_size, old_scale, _size(images), scale), images)


def noise_factor(scale: float, new_size: int, new_scale: float, size: int) -> float:
    """Mean growth of white sky noise per pixel by `regrid`: sqrt of the mean of (W^2) x (W^2)."""
    squares = (overlap_matrix(size, scale, new_size, new_scale) ** 2).sum(axis=1)
    return float(np.sqrt(np.mean(np.outer(squares, squares))))


def lanczos_matrix(size: int, old: int, step: float) -> np.ndarray:
    """Weights (size, old) that interpolate `old` pixels at `size` points `step` pixels apart.

    Both rows of pixels have the same centre. The kernel is sinc(d) sinc(d / L), |d| < L = LOBES,
    with weights that sum to one.
    """
    where = (np.arange(size) - (size - 1) / 2) * step + (old - 1) / 2
    reach = max(LOBES, math.ceil(LOBES - where[0]) - 1)  # zeros around the stamp that count
    distance = where[:, None] - np.arange(-reach, old + reach)
    kernel = np.sinc(distance) * np.sinc(distance / LOBES) * (np.abs(distance) < LOBES)
    kernel /= kernel.sum(axis=1, keepdims=True)
    return kernel[:, reach : old + reach]


def lanczos_resample(images: np.ndarray, size: int, step: float) -> np.ndarray:
    """Bring images (..., H, H) of flux per pixel to `size` pixels, each `step` old pixels wide.

    Surface brightness is interpolated, and multiplied by step^2, the ratio of the pixel areas.
    """
    if size == _size(images) and step == 1:
        return images
    weights = lanczos_matrix(size, _size(images), step).astype(images.dtype)
    return images.dtype.type(step**2) * (weights @ images @ weights.T)
