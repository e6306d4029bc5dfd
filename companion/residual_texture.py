"""How much structure a galaxy has on each scale beyond smooth, elliptical isophotes."""

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from companion import fisher
from galtools import simulate
from galtools.simulate import population, scene
from galtools.surveys import BANDS, CFHTLS

OCTAVES = np.array([1.0, 1.5, 2.25, 3.4, 5.0, 7.5])  # arcsec: edges of the spatial periods
# What `residual_rms` finds in the r band of ten KiDS stamps of GAMA galaxies (those of the public
# package ProFit, by their names); the texture of simulated discs was tuned on the first five.
KIDS = {
    "G265911": (0.017, 0.028, 0.073, 0.103, 0.141),
    "G265940": (0.021, 0.031, 0.040, 0.060, 0.063),
    "G266033": (0.021, 0.034, 0.061, 0.070, 0.059),
    "G266035": (0.022, 0.026, 0.035, 0.051, 0.054),
    "G266662": (0.016, 0.028, 0.045, 0.066, 0.067),
    "G267199": (0.030, 0.030, 0.030, 0.031, 0.039),
    "G267489": (0.025, 0.040, 0.093, 0.083, 0.079),
    "G267525": (0.063, 0.104, 0.162, 0.142, 0.109),
    "G278109": (0.025, 0.048, 0.124, 0.174, 0.179),
    "G279148": (0.026, 0.057, 0.113, 0.128, 0.150),
}


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
    finite = np.isfinite(median)
    return np.interp(radius, np.flatnonzero(finite), median[finite]) * mask


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


def simulated_discs(seed: int, n: int) -> np.ndarray:
    """`residual_rms` in CFHTLS r of the first n galaxies like those of `KIDS`, without neighbours.

    These are bright (14.9 < r < 18.1 there, 17.5 here), inclined discs some arcsec large.
    """
    physics = population.sample_galaxies(seed, range(60 * n), population.MAIN_SAMPLE_LIMIT)
    uniform, _ = population.random_numbers(seed, range(60 * n), "shape", scene.GENERAL, 1)
    kinds = scene.sample_morphology(physics, uniform)["morphology"]
    q, disc = physics["axis_ratio"], np.isin(kinds, ("spiral", "lenticular"))
    like = disc & (q > 0.25) & (q < 0.6) & (physics["r_magnitude"] < 17.5)
    chosen = np.flatnonzero(like & (physics["half_light_radius"] > 1.8))[:n]
    _, sky, _ = simulate.sample_scene(seed, chosen, (CFHTLS,))
    alone = torch.zeros_like(sky.flux)
    parts = list(fisher.COMPONENTS.values())
    alone[..., parts] = sky.flux[..., parts]
    conditions = simulate.observing_conditions(seed, chosen, CFHTLS)
    images, clean = simulate.observe(replace(sky, flux=alone), CFHTLS, 0, conditions)
    band = BANDS.index("r")
    noise = np.sqrt(fisher.variance(clean, conditions.sky_noise, CFHTLS)[:, band])
    pairs = zip(images[:, band].astype(float), noise, strict=True)
    return np.array([residual_rms(*pair, CFHTLS.pixel_scale) for pair in pairs])
