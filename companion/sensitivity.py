"""Sensitivity of each component of a galaxy to the latent variables: an upper bound.

If the position of every knot, arm and neighbour of an image were known, bulge, disc, arms, bar and
dust lane could be measured apart, each in five bands. They are made of older and younger stars of
the same galaxy, so that their colours constrain the redshift too, free of calibration errors, up to
the scatter of each component's spectrum. With D the derivatives of the observables, M their
information and Q the curvature of the prior, the local posterior about the truth has

    covariance (D' M D + Q)^-1,    mean = truth + covariance (D' s + gradient of ln prior).

As more knowledge can only add information, this is an upper bound on average.
"""

import numpy as np

from companion import fisher, latent_model
from companion.fisher import COMPONENTS, B, C, ObservedScene, PixelInformation
from galtools.simulate import components, population

EARLY_BULGE = 0.08  # relative scatter of the bulge fraction of early types
SCATTER = {"arm_fraction": 0.28, "bar_fraction": 0.31, "lane_depth": 0.22}  # relative
SIZE_PRECISION = 1e6  # inverse variance of ln R: known much better than the sizes scatter
STEP = 1e-3  # of the differences, in z and r and in normal numbers alike
NORMAL = slice(2, 2 + population.NORMAL)  # z, r, all normal numbers, those of SCATTER
BULGE = NORMAL.start + 7  # bulge fraction of a disc galaxy
TOTAL = NORMAL.stop + len(SCATTER)


def perturbed(observed: ObservedScene, change: np.ndarray) -> tuple[dict, dict]:
    """Physics and morphology of the galaxies when all numbers change by (TOTAL,)."""
    physics, early = observed.physics, observed.physics["early"]
    z, r = physics["redshift"] + change[0], physics["r_magnitude"] + change[1]
    absolute = r - population.distance_modulus(z)
    normal = observed.normal + change[NORMAL]
    spectrum = population.galaxy_spectra(physics, absolute, normal)
    own_bulge = physics["bulge_fraction"] * (1 + EARLY_BULGE * change[BULGE])
    disc_bulge = population.disc_bulge(spectrum["kind"], normal[:, 7])
    new = {
        "redshift": z,
        "r_magnitude": r,
        "bulge_fraction": np.where(early, own_bulge, disc_bulge),
        "half_light_radius": population.half_light_radius(early, absolute, z, normal[:, 8]),
    }
    relative = zip(SCATTER.items(), change[NORMAL.stop :], strict=True)
    shape = {name: observed.truth[name] * (1 + sigma * by) for (name, sigma), by in relative}
    return {**physics, **spectrum, **new}, {**observed.truth, **shape}


def observables(observed: ObservedScene, change) -> np.ndarray:
    """Fluxes of the components of the galaxies, 5 x 5, and ln R: (n, 26)."""
    physics, truth = perturbed(observed, change)
    flux = components.component_fluxes(physics, truth, (observed.survey,))["components"][:, 0]
    parts = flux[..., [components.COMPONENTS.index(name) for name in COMPONENTS]]
    parts = parts.transpose(0, 2, 1).reshape(-1, C * B)
    return np.column_stack([parts, np.log(physics["half_light_radius"])])


def derivatives(observed: ObservedScene) -> np.ndarray:
    """D (n, 26, 26): relative changes of fluxes, and of ln R, by all numbers and calibration."""
    scale = observables(observed, np.zeros(TOTAL))
    scale = np.where(scale == 0, np.inf, scale)
    scale[:, -1] = 1
    matrix = np.zeros((*scale.shape, TOTAL + B))
    for k, step in enumerate(STEP * np.eye(TOTAL)):
        difference = observables(observed, step) - observables(observed, -step)
        matrix[..., k] = difference / (2 * STEP) / scale
    matrix[:, :-1, TOTAL:] = np.tile(np.diag(observed.survey.calibration_error), (C, 1))
    return matrix


def prior(observed: ObservedScene) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (n, 26) and curvature (n, 26, 26) of ln prior at the truth."""
    physics, normal = observed.physics, observed.normal
    x = np.column_stack([physics["redshift"], physics["r_magnitude"]])
    kind = 2 - physics["red"].astype(int) - physics["early"]
    gradient, curvature = np.zeros((len(x), TOTAL + B)), np.tile(np.eye(TOTAL + B), (len(x), 1, 1))
    gradient[:, :2], curvature[:, :2, :2] = latent_model.terms_in_z_and_r(
        x, kind, latent_model.log_abundance
    )
    gradient[:, NORMAL] = -normal
    gradient[:, BULGE] *= ~physics["early"]
    gradient[:, TOTAL:] = -observed.zero_points
    return gradient, curvature


def local_posterior(observed: ObservedScene, pixels: PixelInformation):
    """Mean and standard deviation (n,) of the redshift if all components are measured apart."""
    (d, size), (slope, curvature) = (
        np.split(derivatives(observed), [C * B], axis=1),
        prior(observed),
    )
    data = d.mT @ pixels.information @ d + SIZE_PRECISION * size.mT @ size
    covariance = np.linalg.inv(data + curvature)
    gradient = (d.mT @ pixels.score[..., None])[..., 0] + slope
    step = (covariance[:, 0] * gradient).sum(axis=1)
    return observed.physics["redshift"] + step, np.sqrt(covariance[:, 0, 0])


def information_and_local(seed, galaxies, surveys, index, images):
    """`PixelInformation`, and mean and scatter (n,) of `local_posterior`, in small batches."""
    chunks = []
    for start in range(0, len(galaxies), fisher.BATCH):
        some = slice(start, start + fisher.BATCH)
        observed = fisher.observed_scene(seed, galaxies[some], surveys, index)
        pixels = fisher.pixel_information(observed, images[some])
        local = local_posterior(observed, pixels)
        chunks.append((pixels.information, pixels.score, *local))
    m, s, mean, scatter = (np.concatenate(part) for part in zip(*chunks, strict=True))
    return PixelInformation(m, s), mean, scatter
