"""Small sources: what of clumps and neighbours survives a translation, and what it invents.

An image less smoothed copies of itself keeps what is small, with Gaussians of 0.4 and 1.2 arcsec

    D = (g_1 - g_2) * I,    white noise of sigma has there  sigma_D^2 = sigma^2 sum (g_1 - g_2)^2.

A source is a local maximum of D above 10 sigma_D, at least 2 arcsec from the centre of the stamp,
where the galaxy itself is the brightest. It is found again if the other image has a maximum within
1 arcsec that reaches half of that, so that none is lost for lying at the threshold. The noise is
that of the truth in both images, and white: of a CFHTLS stack, whose pixels are correlated, it is
12 per cent larger. Measured on D itself it would be that of unresolved neighbours.
"""

from functools import lru_cache

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, gaussian_filter1d, maximum_filter

from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, per_pixel

SMALL, LARGE = 0.4, 1.2  # arcsec, the Gaussians whose difference shows sources
CERTAIN = 10.0  # noises above which something is a source
CENTRE, NEAR = 2.0, 1.0  # arcsec about the centre that are left out; that two images may disagree

METRICS = {
    "completeness": Metric(
        ("found_again", "true_sources"), intervals.ratio_of_means, 1,
        "share of sources kept, above 10 σ of white noise; of a CFHTLS stack's, 8.9 σ",
    ),
    "purity": Metric(
        ("confirmed", "made_sources"), intervals.ratio_of_means, 1, "share of sources that are real"
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
    reach = np.arange(-int(radius), int(radius) + 1)
    return (np.hypot(reach[:, None], reach) <= radius)[None, None]


def measure(x, y, sigma, pixel_scale: float, valid=True) -> dict[str, np.ndarray]:
    """Numbers of sources, (n, bands): quantities of METRICS."""
    near = _disc(NEAR / pixel_scale)
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in x.shape[-2:])
    searched = np.hypot(rows[:, None], columns) * pixel_scale >= CENTRE
    if valid is not True:
        searched = searched & ~binary_dilation(~valid, near)
    details = {"x": difference_of_gaussians(x, pixel_scale)}
    details["y"] = difference_of_gaussians(y, pixel_scale)
    level = CERTAIN * noise_gain(x.shape[-2:], pixel_scale) * per_pixel(sigma)
    certain, likely = {}, {}
    for side, detail in details.items():
        peak = (detail == maximum_filter(detail, (1, 1, 3, 3))) & searched
        certain[side], likely[side] = peak & (detail > level), peak & (detail > level / 2)
    broken = np.isnan(x + y).any((2, 3))

    def count(sources):
        return np.where(broken, np.nan, sources.sum((2, 3)))

    return {
        "true_sources": count(certain["x"]),
        "found_again": count(certain["x"] & binary_dilation(likely["y"], near)),
        "made_sources": count(certain["y"]),
        "confirmed": count(certain["y"] & binary_dilation(likely["x"], near)),
    }
