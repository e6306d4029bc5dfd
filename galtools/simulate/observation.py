"""Observations: seeing, pointing, calibration, and the noise of the sky and of the source."""

from dataclasses import dataclass

import numpy as np
import torch

from galtools.simulate.population import galaxy_rng
from galtools.simulate.render import SHARPEST, render
from galtools.simulate.scene import Scene
from galtools.surveys import Survey

SKY = 0.06  # scatter of ln sky noise from observation to observation
BLURRIEST = 1.5  # the worst seeing that a survey accepts, over its median


@dataclass
class ObservingConditions:
    """Conditions of n observations by one survey."""

    fwhm: np.ndarray  # (n, bands) arcsec
    shift: np.ndarray  # (n, 2) arcsec: x and y of the galaxy from the stamp's centre
    calibration: np.ndarray  # (n, bands) factor on all fluxes
    sky_noise: np.ndarray  # (n, bands) nanomaggies per pixel
    streams: list  # one random generator per galaxy, for the noise


def observing_conditions(seed: int, galaxies, survey: Survey, number: int = 0):
    """Sample the `ObservingConditions` of observation `number` of each galaxy."""
    purpose = ("observation", survey.name, number)
    streams = [galaxy_rng(seed, int(galaxy), *purpose) for galaxy in galaxies]
    bands = len(survey.bands)
    normal = np.stack([stream.standard_normal(2 + max(5, bands)) for stream in streams])
    uniform = np.stack([stream.random(2) for stream in streams])
    median = np.asarray(survey.psf_fwhm)
    seeing = survey.common_seeing * normal[:, :1] + survey.band_seeing * normal[:, 1 : 1 + bands]
    return ObservingConditions(
        fwhm=np.clip(median * np.exp(seeing), SHARPEST * median.min(), BLURRIEST * median),
        shift=(uniform - 0.5) * survey.pixel_scale,
        calibration=calibration(seed, galaxies, survey, number),
        sky_noise=np.exp(SKY * normal[:, -1:]) * survey.sky_noise,
        streams=streams,
    )


def calibration(seed: int, galaxies, survey: Survey, number: int = 0) -> np.ndarray:
    """Factors (n, bands) on the fluxes of galaxies; those of one field share the error."""
    fields = np.asarray(galaxies) // survey.galaxies_per_field
    fields, field = np.unique(fields, return_inverse=True)
    purpose = ("field", survey.name, number)
    normal = [galaxy_rng(seed, int(f), *purpose).standard_normal(len(survey.bands)) for f in fields]
    return 1 + survey.calibration_error * np.stack(normal)[field]


def observe(
    scene: Scene, survey: Survey, index: int, conditions: ObservingConditions
) -> tuple[np.ndarray, np.ndarray]:
    """Images of a scene, (n, bands, H, W) in nanomaggies per pixel: as observed, and noiseless.

    The noiseless ones lack the calibration error, too. `index` is the position of the survey among
    the fluxes of the scene.
    """
    tensors = (torch.from_numpy(a.astype(np.float32)) for a in (conditions.fwhm, conditions.shift))
    with torch.no_grad():
        noiseless = render(scene, survey, index, *tensors).contiguous().numpy()
    images = noiseless * conditions.calibration[:, :, None, None].astype(np.float32)
    return add_noise(images, conditions, survey), noiseless


def add_noise(images: np.ndarray, conditions: ObservingConditions, survey: Survey):
    """Add Gaussian noise of variance sky^2 + flux / (electrons per nanomaggy), in place."""
    gain = np.asarray(survey.electrons_per_nanomaggy, np.float32)[:, None, None]
    for image, sigma, stream in zip(images, conditions.sky_noise, conditions.streams, strict=True):
        scatter = np.maximum(image, 0)
        scatter /= gain
        scatter += (sigma**2)[:, None, None].astype(np.float32)
        np.sqrt(scatter, out=scatter)
        scatter *= unit_noise(stream, image.shape, survey.noise_kernel)
        image += scatter
    return images


def unit_noise(stream: np.random.Generator, shape: tuple, kernel: tuple) -> np.ndarray:
    """Gaussian noise (m, H, W) of variance 1: white noise, smoothed by `kernel` in y and in x."""
    m, height, width = shape
    reach = len(kernel) - 1
    white = torch.empty(m, height + 2 * reach, width + 2 * reach)
    seeded = torch.Generator().manual_seed(int(stream.integers(2**63)))  # twice numpy's speed
    noise = white.normal_(generator=seeded).numpy()
    if reach == 0:
        return noise
    taps = np.array(kernel, np.float32) / np.sqrt(2 * np.square(kernel).sum() - kernel[0] ** 2)
    rows = _smoothed(taps, lambda k: noise[:, k : k + height])
    return _smoothed(taps, lambda k: rows[:, :, k : k + width])


def _smoothed(taps: np.ndarray, shifted) -> np.ndarray:
    """Sum of symmetric taps times what ``shifted(k)`` returns, k = 0 ... 2 (taps - 1)."""
    centre = len(taps) - 1
    total = taps[0] * shifted(centre)
    pair = np.empty_like(total)
    for k, tap in enumerate(taps[1:].tolist(), 1):
        np.add(shifted(centre - k), shifted(centre + k), out=pair)
        pair *= tap
        total += pair
    return total
