"""Observations: seeing, pointing, calibration, and the noise of the sky and of the source."""

from dataclasses import dataclass

import numpy as np
import torch

from galtools.simulate.population import galaxy_rng
from galtools.simulate.render import render
from galtools.simulate.scene import Scene
from galtools.surveys import Survey

COMMON_SEEING = 0.09  # scatter of ln FWHM that all bands of an observation share
BAND_SEEING = 0.02  # scatter of ln FWHM from band to band
CALIBRATION = np.array([0.01, 0.005, 0.005, 0.005, 0.0075])  # scatter of the zero point, ugriz
SKY = 0.06  # scatter of ln sky noise from field to field
SHARPEST, BLURRIEST = 0.75, 1.5  # seeing is kept within these multiples of the median


@dataclass
class ObservingConditions:
    """Conditions of n observations by one survey."""

    fwhm: np.ndarray  # (n, 5) arcsec
    shift: np.ndarray  # (n, 2) arcsec: x and y of the galaxy from the stamp's centre
    calibration: np.ndarray  # (n, 5) factor on all fluxes
    sky_noise: np.ndarray  # (n, 5) nanomaggies per pixel
    streams: list  # one random generator per galaxy, for the noise


def observing_conditions(seed: int, galaxies, survey: Survey, number: int = 0):
    """Sample the `ObservingConditions` of observation `number` of each galaxy."""
    purpose = ("observation", survey.name, number)
    streams = [galaxy_rng(seed, int(galaxy), *purpose) for galaxy in galaxies]
    normal = np.stack([stream.standard_normal(12) for stream in streams])
    uniform = np.stack([stream.random(2) for stream in streams])
    seeing = np.exp(COMMON_SEEING * normal[:, :1] + BAND_SEEING * normal[:, 1:6])
    return ObservingConditions(
        fwhm=np.clip(seeing, SHARPEST, BLURRIEST) * survey.psf_fwhm,
        shift=(uniform - 0.5) * survey.pixel_scale,
        calibration=1 + CALIBRATION * normal[:, 6:11],
        sky_noise=np.exp(SKY * normal[:, 11:]) * survey.sky_noise,
        streams=streams,
    )


def observe(
    scene: Scene, survey: Survey, index: int, conditions: ObservingConditions
) -> tuple[np.ndarray, np.ndarray]:
    """Images of a scene, (n, 5, H, W) in nanomaggies per pixel: as observed, and noiseless.

    The noiseless ones lack the calibration error, too. `index` is the position of the survey among
    the fluxes of the scene.
    """
    tensors = (torch.from_numpy(a.astype(np.float32)) for a in (conditions.fwhm, conditions.shift))
    with torch.no_grad():
        noiseless = render(scene, survey, index, *tensors).contiguous().numpy()
    images = noiseless * conditions.calibration[:, :, None, None].astype(np.float32)
    return add_noise(images, conditions, survey), noiseless


def add_noise(images: np.ndarray, conditions: ObservingConditions, survey: Survey):
    """Add Gaussian noise of variance sky^2 + flux / (electrons per nanomaggy), in place.

    The sky alone gives hundreds of electrons per pixel, where Poisson and Gauss agree.
    """
    gain = np.asarray(survey.electrons_per_nanomaggy, np.float32)[:, None, None]
    for image, sigma, stream in zip(images, conditions.sky_noise, conditions.streams, strict=True):
        variance = np.maximum(image, 0) / gain
        variance += (sigma**2)[:, None, None].astype(np.float32)
        image += np.sqrt(variance) * stream.standard_normal(image.shape, np.float32)
    return images
