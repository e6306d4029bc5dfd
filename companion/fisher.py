"""Fisher information of the pixels of an image about the fluxes and the size of its galaxy.

Near the truth an image is linear in small changes a of the scene,

    d = I0 + sum_j a_j X_j + noise,        M = X V^-1 X',        s = X V^-1 (d - I0),

with V the variance of every pixel. For fluxes this is exact; for position, size, shape and seeing
it holds for small changes. Fisher information M and score s are sufficient:
ln L(a) = s a - 1/2 a' M a + const. Nuisance parameters u with the prior N(u0, P^-1) are
marginalised, which leaves for the others, w,

    M_w = M_ww - M_wu (M_uu + P)^-1 M_uw,     s_w = s_w - M_wu (M_uu + P)^-1 (s_u + P u0).

The pattern of young stars and the positions of neighbours are taken as known.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from galtools import simulate
from galtools.simulate import observation, population, render
from galtools.simulate.scene import Ellipses, Scene
from galtools.surveys import BANDS, Survey

COMPONENTS = {"bulge": 0, "disc": 2, "arms": -3, "bar": -2, "lane": -1}  # of a scene's fluxes
GEOMETRY = ("x", "y", "ln size", "ln axis ratio", "angle")  # arcsec, radian
STEP = 3e-3  # of the differences in geometry and seeing
B, C = len(BANDS), len(COMPONENTS)
BATCH = 4  # galaxies at a time: more would take more memory, and longer


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
    """Information M (n, 26, 26) and score s (n, 26) of 5 x 5 fluxes and the size.

    The first 25 are relative changes of the flux of `COMPONENTS` in each band (component by
    component, band by band), the last one the change of ln R. What is absent has no information.
    """

    information: np.ndarray
    score: np.ndarray

    def whole(self) -> "PixelInformation":
        """Only the five fluxes of the galaxy as a whole, and ln R: (n, 6, 6) and (n, 6)."""
        total = np.zeros((C * B + 1, B + 1))
        total[:-1, :-1] = np.tile(np.eye(B), (C, 1))
        total[-1, -1] = 1
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


def reshaped(scene: Scene, change: torch.Tensor) -> Scene:
    """Scene whose galaxies are larger, rounder and turned: `change` (3,) as in `GEOMETRY[2:]`."""

    def ellipses(parts: Ellipses) -> Ellipses:
        first = (torch.arange(parts.x.shape[1]) == 0).to(parts.x)  # neighbours stay
        return replace(
            parts,
            half_light_radius=parts.half_light_radius * (change[0] * first).exp(),
            axis_ratio=parts.axis_ratio * (change[1] * first).exp(),
            angle=parts.angle + change[2] * first,
        )

    grow = change[0].exp()
    textures = tuple(replace(t, spacing=t.spacing * grow) for t in scene.textures)
    parts = {name: ellipses(getattr(scene, name)) for name in ("bulges", "discs", "lanes")}
    return replace(scene, textures=textures, **parts)


def rendered(observed: ObservedScene, flux: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Noiseless images (n, m, H, W) of fluxes (n, m, components), m a multiple of five bands.

    `change` (10,): `GEOMETRY`, and ln FWHM of each band.
    """
    seen, repeats = observed.seen, flux.shape[1] // B
    fwhm, shift, calibration = (
        torch.from_numpy(a).to(flux) for a in (seen.fwhm, seen.shift, seen.calibration)
    )
    scene = reshaped(replace(observed.scene, flux=flux[:, None]), change[2:5])
    fwhm = (fwhm * change[5:].exp()).repeat(1, repeats)
    images = render.render(scene, observed.survey, 0, fwhm, shift + change[:2])
    return images * calibration.repeat(1, repeats)[..., None, None]


def derivative_images(observed: ObservedScene) -> torch.Tensor:
    """Images X (n, 40, 5, H, W) of all changes: 6 x 5 of flux, 5 of geometry, 5 of seeing.

    Fluxes are those of `COMPONENTS` and of the rest, component by component.
    """
    flux, zero = observed.scene.flux[:, observed.index], torch.zeros(2 * B)
    masks = torch.zeros(C + 1, 1, flux.shape[-1])
    masks[range(C), :, list(COMPONENTS.values())] = 1
    masks[-1] = 1 - masks.sum(dim=0)  # companion and neighbours
    components = rendered(observed, (flux[:, None] * masks).flatten(1, 2), zero)
    directions = torch.cat([torch.eye(B, 2 * B), torch.eye(2)[1].repeat_interleave(B)[None]])
    changes = [
        (rendered(observed, flux, step) - rendered(observed, flux, -step)) / (2 * STEP)
        for step in STEP * directions
    ]
    own = torch.eye(B)[..., None, None]  # a band's flux and seeing change this band only
    components = components.unflatten(1, (C + 1, B))[:, :, None] * own
    geometry = torch.stack(changes[:-1], dim=1)
    return torch.cat([components.flatten(1, 2), geometry, changes[-1][:, None] * own], dim=1)


def variance(image, sky_noise, survey: Survey) -> np.ndarray:
    """Variance (n, 5, H, W) of every pixel: that of the sky and that of the source.

    Pixels are taken as independent. On native CFHTLS pixels, whose noise is correlated, this makes
    errors of fluxes some 10 % too small; on the grid of SDSS it is right.
    """
    gain = np.asarray(survey.electrons_per_nanomaggy)[:, None, None]
    return sky_noise[..., None, None] ** 2 + np.maximum(image, 0) / gain


def information(observed: ObservedScene, images) -> tuple[np.ndarray, np.ndarray]:
    """M (n, 40, 40) and s (n, 40) of images (n, 5, H, W), about the changes of the pattern X."""
    x = derivative_images(observed).numpy().astype(np.float64)
    clean = x[:, : (C + 1) * B].sum(axis=1)
    weight = 1 / variance(clean, observed.seen.sky_noise, observed.survey)
    x, weight, residual = (a.reshape(*a.shape[:-3], -1) for a in (x, weight, images - clean))
    weighted = x * weight[:, None]
    return weighted @ x.mT, (weighted @ residual[..., None])[..., 0]


def marginalize(m, s, wanted, precision, offset) -> tuple[np.ndarray, np.ndarray]:
    """Information and score of the changes `wanted` when all others are marginalised.

    Their prior is normal about `offset` (n, u) with inverse covariance `precision` (u, u).
    """
    unwanted = np.setdiff1d(np.arange(m.shape[-1]), wanted)
    cross = m[:, wanted][:, :, unwanted]
    gain = cross @ np.linalg.inv(m[:, unwanted][:, :, unwanted] + precision)
    score = s[:, unwanted] + offset @ precision
    left = m[:, wanted][:, :, wanted] - gain @ cross.mT
    return left, s[:, wanted] - (gain @ score[..., None])[..., 0]


def seeing_prior(observed: ObservedScene) -> tuple[np.ndarray, np.ndarray]:
    """Inverse covariance (5, 5) of ln FWHM, and the median's distance from the truth, (n, 5)."""
    survey = observed.survey
    covariance = survey.common_seeing**2 + np.diag(np.square(survey.band_seeing))
    return np.linalg.inv(covariance), np.log(survey.psf_fwhm / observed.seen.fwhm)


def pixel_information(observed: ObservedScene, images: np.ndarray) -> PixelInformation:
    """What images (n, 5, H, W) say about the fluxes of their galaxies and their size.

    The prior of the other fluxes and of the geometry has unit variance.
    """
    m, s = information(observed, images)
    wanted = [*range(C * B), (C + 1) * B + GEOMETRY.index("ln size")]
    precision = np.eye(m.shape[-1] - len(wanted))
    offset = np.zeros((len(m), len(precision)))
    precision[-B:, -B:], offset[:, -B:] = seeing_prior(observed)
    return PixelInformation(*marginalize(m, s, wanted, precision, offset))


def compression_error(observed: ObservedScene, image, samples: int = 48) -> np.ndarray:
    """ln L of all pixels less that of their compression, (samples,), for one galaxy.

    Fluxes of the whole galaxy, geometry and seeing are sampled from what the compression says, and
    rendered anew; only differences between samples mean anything.
    """
    m, s = information(observed, np.asarray(image)[None])
    total = np.zeros((len(m[0]), 3 * B))  # whole galaxy, geometry, seeing; the rest stays
    total[: C * B, :B] = np.tile(np.eye(B), (C, 1))
    total[(C + 1) * B :, B:] = np.eye(2 * B)
    m, s = total.T @ m[0] @ total, s[0] @ total
    precision, pull = m.copy(), s.copy()
    seeing, offset = seeing_prior(observed)
    precision[-B:, -B:] += seeing
    pull[-B:] += seeing @ offset[0]
    covariance = np.linalg.inv(precision)
    rng = np.random.default_rng(0)
    a = rng.multivariate_normal(covariance @ pull, covariance, samples, method="cholesky")
    error = _log_likelihood(observed, image, a) - a @ s + 0.5 * ((a @ m) * a).sum(axis=1)
    return error - error.mean()


def _log_likelihood(observed: ObservedScene, image, changes) -> np.ndarray:
    """ln L (samples,) of an image under whole-galaxy changes (samples, 15) of one galaxy."""
    flux = observed.scene.flux[:, observed.index]
    clean = rendered(observed, flux, torch.zeros(2 * B)).double().numpy()
    pixels, found = variance(clean, observed.seen.sky_noise, observed.survey)[0], []
    for change in torch.from_numpy(changes).float():
        changed = flux.clone()
        changed[:, :, list(COMPONENTS.values())] *= 1 + change[:B, None]
        shown = rendered(observed, changed, change[B:])[0].double().numpy()
        found.append(-0.5 * ((image - shown) ** 2 / pixels).sum())
    return np.array(found)
