"""How much structure a galaxy has on each scale beyond smooth, elliptical isophotes."""

import numpy as np
from scipy import ndimage

OCTAVES = np.array([1.0, 1.5, 2.25, 3.4, 5.0, 7.5])  # arcsec: edges of the spatial periods


def galaxy_mask(image, noise: float) -> np.ndarray:
    """Pixels of the central galaxy: connected to its centre and 3 sigma above zero if smoothed."""
    bright = ndimage.gaussian_filter(image, 1.5) > 3 * noise / 5.3  # noise of that Gaussian
    labels, _ = ndimage.label(bright)
    return labels == labels[tuple(np.array(image.shape) // 2)]


def elliptical_radius(image, mask) -> np.ndarray:
    """Radius of the ellipse through each pixel, from the second moments of the flux in the mask."""
    flux = np.where(mask, image, 0)
    y, x = np.indices(image.shape)
    peak = ndimage.gaussian_filter(flux, 1.5)
    cy, cx = np.unravel_index(peak.argmax(), peak.shape)
    y, x = y - cy, x - cx
    moments = np.array([[(flux * a * b).sum() for a in (x, y)] for b in (x, y)]) / flux.sum()
    inverse = np.linalg.inv(moments / np.sqrt(np.linalg.det(moments)))
    return np.sqrt(inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2)


def isophotal_model(image, mask, radius) -> np.ndarray:
    """Smooth galaxy: the median surface brightness of each elliptical annulus one pixel wide."""
    rings = np.round(radius[mask]).astype(int)
    median = ndimage.median(image[mask], rings, np.arange(rings.max() + 1))
    known = np.isfinite(median)
    return np.interp(radius, np.flatnonzero(known), median[known]) * mask


def residual_rms(image, noise, pixel_scale: float) -> np.ndarray:
    """Rms of the residuals from a smooth model over that of the model, per octave of `OCTAVES`.

    `noise` (H, W) is the standard deviation of each pixel; its power is subtracted, which leaves
    a negative number where there is no structure (minus the root of the missing power). The
    innermost 1.5 arcsec, where the median follows the peak badly, are left out.
    """
    mask = galaxy_mask(image, float(np.median(noise)))
    radius = elliptical_radius(image, mask)
    model = isophotal_model(image, mask, radius)
    window = ndimage.gaussian_filter((mask & (radius * pixel_scale > 1.5)).astype(float), 2) * mask
    power = np.abs(np.fft.fft2((image - model) * window)) ** 2 - ((noise * window) ** 2).sum()
    fy, fx = (np.fft.fftfreq(size, pixel_scale) for size in image.shape)
    period = 1 / np.maximum(np.hypot(fy[:, None], fx), 1e-9)
    octave = np.digitize(period, OCTAVES)
    power = np.array([power[octave == k].sum() for k in range(1, len(OCTAVES))]) / image.size
    return np.sign(power) * np.sqrt(np.abs(power) / ((model * window) ** 2).sum())
