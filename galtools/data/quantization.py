"""Images as small integers: lossy by a known hundredth of the noise, and never by more.

Images are stored in steps of one eighth of the sky noise of each galaxy and band,

    image = step x (integer - 64),    step = sigma_sky / 8,

and compressed without further loss. The shift by 64 steps (8 sigma) keeps blank sky positive;
without it the sign of the noise would fill all four bytes of an integer, and files of blank sky
would be twice as large. Galaxies shrink about fourfold against float32. The rounding is uniform
within +- sigma/16, an rms of sigma / (8 sqrt 12) = .036 sigma, which raises the noise by 0.07 %.
NaN and infinities survive. Where the noise is unknown, the step is 2^-30 of the brightest pixel.
"""

import numpy as np

STEPS_PER_SIGMA = 8
SHIFT = 64
LARGEST = 2**31 - 4  # beyond it lie the codes of the three values that are not numbers
PLUS_INF, MINUS_INF, NAN = LARGEST + 1, -LARGEST - 1, -LARGEST - 2


def quantization_step(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Step of the integers, (n, bands): sigma/8, or finer than float32 if sigma is unknown.

    A pixel so bright that it would leave the integers' range widens its image's step.
    """
    size = np.where(np.isfinite(images), np.abs(images), 0).max(axis=(2, 3)).astype(np.float64)
    coarse = size / 2**30
    known = np.isfinite(noise) & (noise > 0)
    step = np.maximum(np.where(known, noise, 0) / STEPS_PER_SIGMA, coarse)
    return np.where(step > np.finfo(np.float32).tiny, step, 1.0).astype(np.float32)


def quantize(images: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Turn images (n, bands, H, W) into integers: round(image / step) + 64."""
    with np.errstate(invalid="ignore"):
        counts = np.rint(images / step[:, :, None, None].astype(np.float64)) + SHIFT
    counts = np.nan_to_num(counts, nan=NAN, posinf=PLUS_INF, neginf=MINUS_INF)
    return counts.astype(np.int32)


def dequantize(counts: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Turn integers back into images, float32; the inverse of `pack` to within step / 2."""
    steps = counts.astype(np.float64) - SHIFT
    images = (steps * step[:, :, None, None]).astype(np.float32)
    for code, value in ((PLUS_INF, np.inf), (MINUS_INF, -np.inf), (NAN, np.nan)):
        images[counts == code] = value
    return images
