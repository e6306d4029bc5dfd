"""How the light of each part of a galaxy answers to the latent numbers of the simulator.

If somebody told where every knot, arm and neighbour of an image stands, bulge, disc, arms, bar and
dust lane could be measured apart, each in five bands. They are made of older and younger stars of
the same galaxy, so that their differences know the redshift, too, and no error of the calibration
touches them. With D the derivatives of what is measured, M its information and Q the curvature of
the prior, the local posterior about the truth has

    covariance (D' M D + Q)^-1,    mean = truth + covariance (D' s + prior's slope).

Knowing more than the image can only add information: on average this is an upper bound.
"""

import numpy as np
import torch

from companion import fisher, latent_model
from companion.fisher import PARTS, B, C, ObservedScene, PixelInformation
from galtools.simulate import noise, population, rng, shapes
from galtools.surveys import SDSS

EXTRA = ("size", "bulge", "arms", "bar", "lane")
SPREAD = {"bulge": 0.08, "arm": 0.28, "bar": 0.31, "lane": 0.22}  # of early bulges, of the others
STEP = 1e-3  # of the differences, in z and r and in normal numbers alike
SIZE = len(latent_model.NAMES) + len(EXTRA)


def _normal(looks: ObservedScene) -> np.ndarray:
    """Normal numbers (n, 16) that the physics of the galaxies was drawn from."""
    drawn = population.UNIFORM, population.NORMAL
    return rng.random_numbers(looks.seed, looks.galaxies, "physics", *drawn)[1]


def perturbed(looks: ObservedScene, normal, change: np.ndarray) -> tuple[dict, dict]:
    """Physics and looks of the galaxies when latents and extra numbers change by (SIZE,)."""
    physics, early, red = looks.physics, looks.physics["early"], looks.physics["red"]
    z, r = physics["redshift"] + change[0], physics["r_magnitude"] + change[1]
    size, bulge, arms, bar, lane = change[len(latent_model.NAMES) :]
    absolute = r - population.distance_modulus(z)
    spectra = population.sample_spectra(red, absolute, normal[:, :7] + change[2:9])
    radius = population.half_light_radius(early, absolute, z, normal[:, 8] + size)
    share = np.where(
        early,
        physics["bulge_fraction"] * (1 + SPREAD["bulge"] * bulge),
        population.disc_bulge(spectra["kind"], normal[:, 7] + bulge),
    )
    changed = {"arm_fraction": arms, "bar_fraction": bar, "lane_depth": lane}
    factor = {name: 1 + SPREAD[name.split("_")[0]] * by for name, by in changed.items()}
    shown = {**looks.truth, **{name: looks.truth[name] * by for name, by in factor.items()}}
    new = {"redshift": z, "r_magnitude": r, "bulge_fraction": share, "half_light_radius": radius}
    return {**physics, **spectra, **new}, shown


def observables(looks: ObservedScene, normal, change) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes (n, 25) of the parts of the galaxies, and ln R (n,)."""
    physics, truth = perturbed(looks, normal, change)
    nobody = {name: np.zeros((len(normal), 0)) for name in ("kind", "redshift", "magnitude")}
    field = {**nobody, "there": np.zeros((len(normal), 0), bool)}
    flux = shapes.component_fluxes(physics, truth, field, (looks.survey,))["components"][:, 0]
    near = shapes.NEIGHBOURS  # left out here: columns behind them move up
    columns = [c if c < 4 else c - near for (c,) in PARTS.values()]
    parts = flux[..., columns].transpose(0, 2, 1)
    return parts.reshape(len(normal), C * B), np.log(physics["half_light_radius"])


def derivatives(looks: ObservedScene) -> np.ndarray:
    """D (n, 26, 19): relative changes of the parts and of ln R, by latents, extras, calibration."""
    normal = _normal(looks)
    flux = observables(looks, normal, np.zeros(SIZE))[0]
    there = np.where(flux == 0, np.inf, flux)
    found = np.zeros((len(flux), C * B + 1, SIZE + B))
    for k in range(SIZE):
        step = STEP * np.eye(SIZE)[k]
        up, down = (observables(looks, normal, sign * step) for sign in (1, -1))
        found[:, :-1, k] = (up[0] - down[0]) / (2 * STEP) / there
        found[:, -1, k] = (up[1] - down[1]) / (2 * STEP)
    for band in range(B):
        found[:, band:-1:B, SIZE + band] = noise.CALIBRATION[band]
    return found


def prior(looks: ObservedScene, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope (n, 19) and curvature (n, 19, 19) of what is known before, at the truth."""
    physics, normal = looks.physics, _normal(looks)
    x = np.column_stack([physics["redshift"], physics["r_magnitude"], normal[:, :7]])
    kind = np.where(physics["red"], np.where(physics["early"], 0, 1), 2)
    first = latent_model.LatentFluxModel(SDSS, limit).prior_terms(
        torch.from_numpy(x), torch.from_numpy(kind)
    )
    inner = len(latent_model.NAMES)
    slope, bend = np.zeros((len(x), SIZE + B)), np.tile(np.eye(SIZE + B), (len(x), 1, 1))
    slope[:, :inner], bend[:, :inner, :inner] = (part.numpy() for part in first)
    slope[:, inner] = -normal[:, 8]
    slope[:, inner + 1] = np.where(physics["early"], 0, -normal[:, 7])
    slope[:, SIZE:] = (1 - looks.seen.calibration) / noise.CALIBRATION
    return slope, bend


def local_posterior(
    looks: ObservedScene, pixels: PixelInformation, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n,) of the redshift if all parts can be told apart."""
    d = derivatives(looks)
    slope, bend = prior(looks, limit)
    covariance = np.linalg.inv(d.transpose(0, 2, 1) @ pixels.information @ d + bend)
    gradient = np.einsum("nkl,nk->nl", d, pixels.score) + slope
    step = np.einsum("nk,nk->n", covariance[:, 0], gradient)
    return looks.physics["redshift"] + step, np.sqrt(covariance[:, 0, 0])


def information_and_local(seed, galaxies, surveys, index, images, limit):
    """`fisher.measure` and `local` of galaxies, a few at a time: `Pixels`, then two (n,)."""
    found = []
    for start in range(0, len(galaxies), fisher.BATCH):
        some = slice(start, start + fisher.BATCH)
        looks = fisher.observed_scene(seed, galaxies[some], surveys, index, limit)
        pixels = fisher.pixel_information(looks, images[some])
        found.append((pixels.information, pixels.score, *local_posterior(looks, pixels, limit)))
    m, s, mean, scatter = (np.concatenate(part) for part in zip(*found, strict=True))
    return PixelInformation(m, s), mean, scatter
