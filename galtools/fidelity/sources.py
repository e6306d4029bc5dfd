"""Compact sources, clumps and neighbours: completeness and purity of a translation.

They are detected in the difference of an image smoothed by Gaussians of 0.4 and 1.2 arcsec

    D = (g_1 - g_2) * I,    white noise of sigma has there  sigma_D^2 = sigma^2 sum (g_1 - g_2)^2.

A source is a local maximum of D above 10 sigma_D, at least 2 arcsec from the centre of the stamp,
where the galaxy itself is the brightest. It is recovered if the other image has a maximum within
1 arcsec of at least half that height, so that none is lost at the threshold. The noise is
that of the truth in both images, and white: of a CFHTLS stack, whose pixels are correlated, it is
12 per cent larger. Measured on D itself it would be that of unresolved neighbours.
"""

from functools import lru_cache

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, gaussian_filter1d, maximum_filter

from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, per_pixel

SMALL, LARGE = 0.4, 1.2  # arcsec, standard deviations of the Gaussians
DETECTION = 10.0  # signal-to-noise ratio of a source
CENTRE, MATCHING = 2.0, 1.0  # arcsec, radius without a search; distance of the same source

METRICS = {
    "completeness": Metric(
        ("recovered", "true_sources"), intervals.ratio_of_means, 1,
        "fraction of sources recovered, above 10 σ of white noise; of a CFHTLS stack's, 8.9 σ",
    ),
    "purity": Metric(
        ("confirmed", "translated_sources"), intervals.ratio_of_means, 1, "fraction of real sources"
    ),
}  # fmt: skip


def difference_of_gaussians(images, pixel_scale: float) -> np.ndarray:
    """Difference D of the images in two Gaussians, nanomaggies per pixel: (n, bands, H, W)."""
    small, large = (
        gaussian_filter(images, (0, 0, s, s)) for s in (SMALL / pixel_scale, LARGE / pixel_scale)
    )
    return small - large


@lru_cache(maxsize=4)
def noise_gain(shape: tuple[int, int], pixel_scale: float) -> np.ndarray:
    """Noise of every pixel of D (H, W) for white noise of one; more where an edge is mirrored."""
    sigmas, variance = (SMALL / pixel_scale, LARGE / pixel_scale), 0
    for a, b, sign in ((0, 0, 1), (0, 1, -2), (1, 1, 1)):  # (g_1 - g_2)^2, axis by axis
        products = (
            np.prod([gaussian_filter1d(np.eye(n), sigmas[k], axis=0) for k in (a, b)], axis=0)
            for n in shape
        )
        rows, columns = (product.sum(axis=1) for product in products)
        variance = variance + sign * np.outer(rows, columns)
    return np.sqrt(variance)


def _disc(radius: float) -> np.ndarray:
    """Pixels within `radius` pixels, (1, 1, size, size)."""
    offsets = np.arange(-int(radius), int(radius) + 1)
    return (np.hypot(offsets[:, None], offsets) <= radius)[None, None]


def measure(x, y, sigma, pixel_scale: float, valid=True) -> dict[str, np.ndarray]:
    """Numbers of sources, (n, bands): quantities of METRICS."""
    near = _disc(MATCHING / pixel_scale)
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in x.shape[-2:])
    searched = np.hypot(rows[:, None], columns) * pixel_scale >= CENTRE
    if valid is not True:
        searched = searched & ~binary_dilation(~valid, near)
    details = {
        "x": difference_of_gaussians(x, pixel_scale),
        "y": difference_of_gaussians(y, pixel_scale),
    }
    level = DETECTION * noise_gain(x.shape[-2:], pixel_scale) * per_pixel(sigma)
    detected, candidate = {}, {}
    for image, detail in details.items():
        peak = (detail == maximum_filter(detail, (1, 1, 3, 3))) & searched
        detected[image], candidate[image] = peak & (detail > level), peak & (detail > level / 2)
    invalid = np.isnan(x + y).any((2, 3))

    def count(sources):
        return np.where(invalid, np.nan, sources.sum((2, 3)))

    return {
        "true_sources": count(detected["x"]),
        "recovered": count(detected["x"] & binary_dilation(candidate["y"], near)),
        "translated_sources": count(detected["y"]),
        "confirmed": count(detected["y"] & binary_dilation(candidate["x"], near)),
    }
