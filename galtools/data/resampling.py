"""Change of pixel grid: flux shared out by overlap in area, or interpolated.

Grids have parallel axes and a common centre, so both ways are a small matrix on each side of an
image, new = W image W^T on square grids. Overlap in area conserves flux exactly; on the way to
coarser pixels it loses detail, and the pseudo-inverse of W returns the image of least power that
has the same coarse one. Interpolation suits finer pixels, without blocks; it conserves the flux of
a smooth sky.
"""

import math
from functools import lru_cache

import numpy as np
import torch

from galtools.errors import GaltoolsError

LOBES = 4  # pixels to either side that contribute to an interpolated value


def overlap_matrix(size: int, scale: float, new_size: int, new_scale: float) -> np.ndarray:
    """Part (new_size, size) of the side of each old pixel that falls into each new pixel.

    A column sums to one where the new grid covers the old pixel.
    """
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


def lanczos_matrix(size: int, old: int, step: float) -> np.ndarray:
    """Weights (size, old) that interpolate `old` pixels at `size` points `step` pixels apart.

    The kernel is sinc(d) sinc(d / L), |d| < L = LOBES, with weights that sum to one; beyond the
    old pixels lie zeros.
    """
    where = (np.arange(size) - (size - 1) / 2) * step + (old - 1) / 2
    reach = max(LOBES, math.ceil(LOBES - where[0]) - 1)  # zeros that count
    distance = where[:, None] - np.arange(-reach, old + reach)
    kernel = np.sinc(distance) * np.sinc(distance / LOBES) * (np.abs(distance) < LOBES)
    kernel /= kernel.sum(axis=1, keepdims=True)
    return kernel[:, reach : old + reach]


@lru_cache(maxsize=16)
def lanczos_tensor(size: int, old: int, step: float, dtype, device) -> torch.Tensor:
    """`lanczos_matrix` on a device, made only once."""
    return torch.from_numpy(lanczos_matrix(size, old, step)).to(device, dtype)


def lanczos_resample(images, size: int | tuple[int, int], step: float):
    """Bring images (..., H, W) of flux per pixel to `size` pixels, each `step` old pixels wide.

    Surface brightness is interpolated, and multiplied by step^2, the ratio of the pixel areas.
    `size` is (H', W'), or one number for both. `images` are an array, or a tensor on any device.
    """
    new, old = (size, size) if isinstance(size, int) else tuple(size), tuple(images.shape[-2:])
    if new == old and step == 1:
        return images
    if isinstance(images, torch.Tensor):
        like = step, images.dtype, images.device
        rows, columns = (lanczos_tensor(n, o, *like) for n, o in zip(new, old, strict=True))
    else:
        rows, columns = (
            lanczos_matrix(n, o, step).astype(images.dtype) for n, o in zip(new, old, strict=True)
        )
    return step**2 * (rows @ images @ columns.T)
