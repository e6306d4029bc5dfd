"""Sensitivity of each component of a galaxy to the latent variables: an upper bound.

If the position of every knot, arm and neighbour of an image were known, bulge, disc, arms, bar and
dust lane could be measured apart, each in five bands. They are made of older and younger stars of
the same galaxy, so that their colours constrain the redshift too, free of calibration errors. With
D the derivatives of the observables, M their information and Q the curvature of the prior, the
local posterior about the truth has

    covariance (D' M D + Q)^-1,    mean = truth + covariance (D' s + gradient of ln prior).

As more knowledge can only add information, this is an upper bound on average.
"""

import numpy as np

from companion import fisher, latent_model
from companion.fisher import COMPONENTS, B, C, ObservedScene, PixelInformation
from galtools.simulate import observation, population, scene
from galtools.surveys import SDSS

EXTRA = ("size", "bulge", "arms", "bar", "lane")
SCATTER = {"bulge": 0.08, "arm": 0.28, "bar": 0.31, "lane": 0.22}  # relative; early bulges only
STEP = 1e-3  # of the differences, in z and r and in normal numbers alike
LATENTS = len(latent_model.NAMES)
SIZE = LATENTS + len(EXTRA)


def _normal(observed: ObservedScene) -> np.ndarray:
    """Normal numbers (n, 16) that the physics of the galaxies was sampled from."""
    counts = population.UNIFORM, population.NORMAL
    return population.random_numbers(observed.seed, observed.galaxies, "physics", *counts)[1]


def perturbed(observed: ObservedScene, normal, change: np.ndarray) -> tuple[dict, dict]:
    """Physics and morphology of the galaxies when latents and extra numbers change by (SIZE,)."""
    physics, early, red = (observed.physics, observed.physics["early"], observed.physics["red"])
    z, r = physics["redshift"] + change[0], physics["r_magnitude"] + change[1]
    size, bulge, arms, bar, lane = change[LATENTS:]
    absolute = r - population.distance_modulus(z)
    spectra = population.spectrum_parameters(red, absolute, normal[:, :7] + change[2:LATENTS])
    new = {
        "redshift": z,
        "r_magnitude": r,
        "bulge_fraction": np.where(
            early,
            physics["bulge_fraction"] * (1 + SCATTER["bulge"] * bulge),
            population.disc_bulge(spectra["kind"], normal[:, 7] + bulge),
        ),
        "half_light_radius": population.half_light_radius(early, absolute, z, normal[:, 8] + size),
    }
    changed = {"arm_fraction": arms, "bar_fraction": bar, "lane_depth": lane}
    shape = {
        name: observed.truth[name] * (1 + SCATTER[name.split("_")[0]] * by)
        for name, by in changed.items()
    }
    return {**physics, **spectra, **new}, {**observed.truth, **shape}


def observables(observed: ObservedScene, normal, change) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes (n, 25) of the components of the galaxies, and ln R (n,)."""
    physics, truth = perturbed(observed, normal, change)
    nobody = {name: np.zeros((len(normal), 0)) for name in ("kind", "redshift", "magnitude")}
    field = {**nobody, "there": np.zeros((len(normal), 0), bool)}
    flux = scene.component_fluxes(physics, truth, field, (observed.survey,))["components"][:, 0]
    near = scene.NEIGHBOURS  # left out here: columns behind them move up
    columns = [c if c < 4 else c - near for c in COMPONENTS.values()]
    components = flux[..., columns].transpose(0, 2, 1)
    return components.reshape(len(normal), C * B), np.log(physics["half_light_radius"])


def derivatives(observed: ObservedScene) -> np.ndarray:
    """D (n, 26, 19): relative changes of fluxes, and of ln R, by latents, extras, calibration."""
    normal = _normal(observed)
    flux = observables(observed, normal, np.zeros(SIZE))[0]
    scale = np.where(flux == 0, np.inf, flux)
    found = np.zeros((len(flux), C * B + 1, SIZE + B))
    for k, step in enumerate(STEP * np.eye(SIZE)):
        up, down = (observables(observed, normal, sign * step) for sign in (1, -1))
        found[:, :-1, k] = (up[0] - down[0]) / (2 * STEP) / scale
        found[:, -1, k] = (up[1] - down[1]) / (2 * STEP)
    found[:, :-1, SIZE:] = np.tile(np.diag(observation.CALIBRATION), (C, 1))
    return found


def prior(observed: ObservedScene, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (n, 19) and curvature (n, 19, 19) of ln prior at the truth."""
    physics, normal = observed.physics, _normal(observed)
    x = np.column_stack([physics["redshift"], physics["r_magnitude"], normal[:, :7]])
    kind = np.where(physics["red"], np.where(physics["early"], 0, 1), 2)
    gradient, curvature = np.zeros((len(x), SIZE + B)), np.tile(np.eye(SIZE + B), (len(x), 1, 1))
    model = latent_model.LatentModel(SDSS, limit)
    gradient[:, :LATENTS], curvature[:, :LATENTS, :LATENTS] = model.prior_terms(x, kind)
    gradient[:, LATENTS] = -normal[:, 8]
    gradient[:, LATENTS + 1] = np.where(physics["early"], 0, -normal[:, 7])
    gradient[:, SIZE:] = (1 - observed.seen.calibration) / observation.CALIBRATION
    return gradient, curvature


def local_posterior(
    observed: ObservedScene, pixels: PixelInformation, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n,) of the redshift if all components are measured apart."""
    d, (slope, curvature) = derivatives(observed), prior(observed, limit)
    covariance = np.linalg.inv(d.mT @ pixels.information @ d + curvature)
    gradient = (d.mT @ pixels.score[..., None])[..., 0] + slope
    step = (covariance[:, 0] * gradient).sum(axis=1)
    return observed.physics["redshift"] + step, np.sqrt(covariance[:, 0, 0])


def information_and_local(seed, galaxies, surveys, index, images, limit):
    """`PixelInformation`, and mean and scatter (n,) of `local_posterior`, in small batches."""
    found = []
    for start in range(0, len(galaxies), fisher.BATCH):
        some = slice(start, start + fisher.BATCH)
        observed = fisher.observed_scene(seed, galaxies[some], surveys, index, limit)
        pixels = fisher.pixel_information(observed, images[some])
        local = local_posterior(observed, pixels, limit)
        found.append((pixels.information, pixels.score, *local))
    m, s, mean, scatter = (np.concatenate(part) for part in zip(*found, strict=True))
    return PixelInformation(m, s), mean, scatter
