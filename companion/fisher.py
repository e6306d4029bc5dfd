"""Fisher information of the pixels of an image about the fluxes of its galaxy.

An image is linear in relative changes a of the fluxes of its components,

    d = I0 + sum_j a_j X_j + noise,        M = X V^-1 X',        s = X V^-1 (d - I0),

with V the variance of every pixel. Fisher information M and score s are sufficient:
ln L(a) = s a - 1/2 a' M a + const. Position, size, shape, seeing, the pattern of young stars and
the neighbours are taken as known, so that an observer who has to find them knows less.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from galtools import simulate
from galtools.simulate import observation, population, render
from galtools.simulate.scene import Scene
from galtools.surveys import BANDS, Survey

COMPONENTS = {"bulge": 0, "disc": 2, "arms": -3, "bar": -2, "lane": -1}  # of a scene's fluxes
B, C = len(BANDS), len(COMPONENTS)
BATCH = 8  # galaxies at a time: more would take more memory, and longer


@dataclass
class ObservedScene:
    """The truth about n galaxies and the conditions under which a survey observed them."""

    scene: Scene
    truth: dict  # of `simulate.sample_scene`
    physics: dict
    normal: np.ndarray  # (n, 16), from which the physics was sampled
    seen: observation.ObservingConditions
    survey: Survey
    index: int  # of the survey among the scene's fluxes
    zero_points: np.ndarray  # (n, 5) of `independent_zero_points`


@dataclass
class PixelInformation:
    """Information M (n, 25, 25) and score s (n, 25) of 5 x 5 fluxes.

    They are relative changes of the flux of `COMPONENTS` in each band (component by component, band
    by band). What is absent has no information.
    """

    information: np.ndarray
    score: np.ndarray

    def whole(self) -> "PixelInformation":
        """Only the five fluxes of the galaxy as a whole: (n, 5, 5) and (n, 5)."""
        total = np.tile(np.eye(B), (C, 1))
        return PixelInformation(total.T @ self.information @ total, self.score @ total)


def observed_scene(seed: int, galaxies, surveys, index: int) -> ObservedScene:
    """Simulated galaxies, given by their numbers, as survey `index` of two observes them."""
    physics, scene, truth = simulate.sample_scene(seed, galaxies, surveys)
    counts = population.UNIFORM, population.NORMAL
    normal = population.random_numbers(seed, galaxies, "physics", *counts)[1]
    seen = simulate.observing_conditions(seed, galaxies, surveys[index])
    zero_points = independent_zero_points(seed, galaxies, index)
    return ObservedScene(scene, truth, physics, normal, seen, surveys[index], index, zero_points)


def independent_zero_points(seed: int, galaxies, index: int) -> np.ndarray:
    """Errors (n, 5) of the zero points in units of their scatter, as if each galaxy had a field.

    A limit is an expectation over zero points. Those of the images belong to fields, of which a
    hundred galaxies have one or two: they would decide the average.
    """
    streams = [
        population.galaxy_rng(seed, int(k), "zero points of limits", index) for k in galaxies
    ]
    return np.stack([stream.standard_normal(B) for stream in streams])


def component_images(observed: ObservedScene) -> np.ndarray:
    """Noiseless images (n, 6, 5, H, W) of `COMPONENTS` and of all else, which sum to the image."""
    flux, seen = observed.scene.flux[:, observed.index], observed.seen
    masks = torch.zeros(C + 1, 1, flux.shape[-1])
    masks[range(C), :, list(COMPONENTS.values())] = 1
    masks[-1] = 1 - masks.sum(dim=0)  # companion and neighbours
    parts = (flux[:, None] * masks).flatten(1, 2)
    fwhm, shift, calibration = (
        torch.from_numpy(a).to(flux) for a in (seen.fwhm, seen.shift, seen.calibration)
    )
    scene, fwhm = replace(observed.scene, flux=parts[:, None]), fwhm.repeat(1, C + 1)
    images = render.render(scene, observed.survey, 0, fwhm, shift).unflatten(1, (C + 1, B))
    return (images * calibration[:, None, :, None, None]).numpy().astype(np.float64)


def variance(image, sky_noise, survey: Survey) -> np.ndarray:
    """Variance (n, 5, H, W) of every pixel: that of the sky and that of the source.

    Pixels are taken as independent. On native CFHTLS pixels, whose noise is correlated, this makes
    errors of fluxes some 10 % too small; on the grid of SDSS it is right.
    """
    gain = np.asarray(survey.electrons_per_nanomaggy)[:, None, None]
    return sky_noise[..., None, None] ** 2 + np.maximum(image, 0) / gain


def pixel_information(observed: ObservedScene, images: np.ndarray) -> PixelInformation:
    """What images (n, 5, H, W) say about the fluxes of the components of their galaxies."""
    parts = component_images(observed)
    clean, x = parts.sum(axis=1), parts[:, :-1]
    weight = 1 / variance(clean, observed.seen.sky_noise, observed.survey)
    n = len(x)
    m = np.zeros((n, C, B, C, B))
    m[:, :, range(B), :, range(B)] = np.einsum(
        "ncbyx,nbyx,ndbyx->bncd", x, weight, x, optimize=True
    )
    score = np.einsum("ncbyx,nbyx->ncb", x, weight * (images - clean), optimize=True)
    return PixelInformation(m.reshape(n, C * B, C * B), score.reshape(n, C * B))
