"""The simulated population as a function of its latent variables: prior and photometry.

A galaxy of one of three types has the latents  x = (z, r, n_1 ... n_7): its redshift, its r
magnitude and the seven standard normal numbers from which `simulate.population` makes its spectrum.
Its photometry m(x) are the logarithms of its fluxes in five bands and the mean logarithm of its
half-light radius. The prior is that of the luminosity functions in (type, z, r) times

    prod_k N(n_k; 0, 1).
"""

import math

import numpy as np

from galtools.errors import GaltoolsError
from galtools.simulate import population
from galtools.surveys import Survey

TYPES = ("red spheroid", "red disc", "blue disc")
NAMES = ("z", "r", "kind", "dust", "tilt", "break", "red", "emission", "uv")
SIZE_SCATTER = math.log(10) * np.array(population.SIZE_SCATTER)[[0, 1, 1]]  # of ln R
STEPS = np.array([0.004, 0.05])  # in z and r, of the differences that give the prior's slope
BORDERS = np.array(  # smallest and largest (z, r) of the sample
    [population.REDSHIFT[[0, -1]], [population.BRIGHT_LIMIT, population.MAIN_SAMPLE_LIMIT]]
).T


def log_abundance(x, kind):
    """ln p(type, z, r) + const of x (..., >= 2) and types (...); -inf outside the sample."""
    z, r = x[..., 0], x[..., 1]
    modulus, volume = (np.interp(z, population.REDSHIFT, v) for v in population.distances())
    share = np.array([population.EARLY_FRACTION, 1 - population.EARLY_FRACTION, 1.0])[kind]
    value = population.log_abundance(kind < 2, r - modulus, z) + np.log(share * volume)
    low, high = BORDERS
    inside = ((x[..., :2] >= low) & (x[..., :2] <= high)).all(axis=-1)
    return np.where(inside, value, -np.inf)


def log_prior(x, kind):
    """ln p(type, x) + const: abundance times standard normal numbers."""
    return log_abundance(x, kind) - 0.5 * (x[..., 2:] ** 2).sum(axis=-1)


def prior_terms(x, kind):
    """Gradient (..., d) of ln p and its negative Hessian (..., d, d), made positive.

    In (z, r) by differences over `STEPS`, as tabulated distances have no curvature.
    """
    low, high = BORDERS
    inner = np.clip(x[..., :2], low + 1.01 * STEPS, high - 1.01 * STEPS)
    stencil = STEPS * np.moveaxis(np.mgrid[-1:2, -1:2], 0, -1)
    f = log_abundance(inner + stencil.reshape(3, 3, *[1] * kind.ndim, 2), kind)
    slope = np.stack([f[2, 1] - f[0, 1], f[1, 2] - f[1, 0]], axis=-1) / (2 * STEPS)
    zz, rr = f[2, 1] - 2 * f[1, 1] + f[0, 1], f[1, 2] - 2 * f[1, 1] + f[1, 0]
    zr = (f[2, 2] - f[2, 0] - f[0, 2] + f[0, 0]) / 4
    hessian = np.moveaxis(np.array([[zz, zr], [zr, rr]]), (0, 1), (-2, -1))
    value, axes = np.linalg.eigh(-hessian / np.outer(STEPS, STEPS))
    curvature = np.zeros((*x.shape, x.shape[-1])) + np.eye(x.shape[-1])
    curvature[..., :2, :2] = axes @ (np.maximum(value, 0)[..., None] * axes.mT)
    return np.concatenate([slope, -x[..., 2:]], axis=-1), curvature


def keep_inside(x):
    """Latents (..., d), moved to the border where they have left the sample."""
    return np.concatenate([np.clip(x[..., :2], *BORDERS), x[..., 2:]], axis=-1)


def predict(survey: Survey, x, kind):
    """m(x), (..., 6): ln fluxes in nanomaggies in five bands, mean of ln R in arcsec."""
    if x.shape[-1] != len(NAMES):
        raise GaltoolsError(f"latents have {len(NAMES)} numbers a galaxy, not {x.shape[-1]}")
    z, r, *normal = keep_inside(x).reshape(-1, len(NAMES)).T
    kind = kind.reshape(-1)
    absolute = r - population.distance_modulus(z)
    spectrum = population.spectrum_parameters(kind < 2, absolute, np.stack(normal, axis=1))
    flux = population.normalised_fluxes(survey.filters, spectrum, z, r)
    radius = population.half_light_radius(kind == 0, absolute, z, 0.0)
    found = np.column_stack([np.log(np.maximum(flux, 1e-12)), np.log(radius)])
    return found.reshape(*x.shape[:-1], -1)


def sample_population(n: int, seed: int = 0):
    """Sample n galaxies: latents (n, 9), types (n,), and the normal numbers (n,) of their sizes."""
    rng = np.random.default_rng([seed, 33])
    red, z, r = population.sample_redshifts(population.MAIN_SAMPLE_LIMIT, rng.random((n, 2)))
    kind = np.where(red, np.where(rng.random(n) < population.EARLY_FRACTION, 0, 1), 2)
    return np.column_stack([z, r, rng.standard_normal((n, 7))]), kind, rng.standard_normal(n)
