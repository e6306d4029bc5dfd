"""The simulated population as a function of its latent variables: prior and photometry.

A galaxy of one of three types has the latents  x = (z, r, n_1 ... n_7): its redshift, its r
magnitude and the standard normal numbers from which `simulate.population` makes its spectrum. Its
photometry m(x) are the logarithms of its fluxes in five bands and the mean logarithm of its
half-light radius R, which scatters by s(M). The axis ratio q is taken as known. The prior is

    p(type, z, r) p(q | type) prod_k N(n_k; 0, 1) / s(M),

the first factor that of the luminosity functions, the last one the normalisation of
N(ln R; m, s(M)).
"""

from dataclasses import dataclass

import numpy as np

from galtools.errors import GaltoolsError
from galtools.simulate import population
from galtools.surveys import Survey

TYPES = ("red spheroid", "red disc", "blue disc")
NAMES = ("z", "r", "kind", "dust", "tilt", "break", "red", "emission", "uv")
STEPS = np.array([0.004, 0.05])  # in z and r, of the differences that give the prior's slope
BORDERS = np.array(  # smallest and largest (z, r) of the sample
    [population.REDSHIFT[[0, -1]], [population.BRIGHT_LIMIT, population.MAIN_SAMPLE_LIMIT]]
).T


def log_abundance(x, kind):
    """ln p(type, z, r) + const of x (..., >= 2) and types (...); -inf outside the sample."""
    z, r = x[..., 0], x[..., 1]
    modulus, volume = (np.interp(z, population.REDSHIFT, v) for v in population.distances())
    fraction = np.array([population.EARLY_FRACTION, 1 - population.EARLY_FRACTION, 1.0])[kind]
    value = population.log_abundance(kind < 2, r - modulus, z) + np.log(fraction * volume)
    low, high = BORDERS
    inside = ((x[..., :2] >= low) & (x[..., :2] <= high)).all(axis=-1)
    return np.where(inside, value, -np.inf)


def size_scatter(x):
    """Scatter s(M) of ln R at latents (..., >= 2)."""
    return population.size_scatter(x[..., 1] - population.distance_modulus(x[..., 0]))


def log_abundance_and_size(x, kind):
    """ln p(type, z, r) - ln s(M) + const."""
    return log_abundance(x, kind) - np.log(size_scatter(x))


def terms_in_z_and_r(x, kind, log_density):
    """Gradient (..., 2) of `log_density` and its negative Hessian (..., 2, 2), made positive.

    By differences over `STEPS`, as tabulated distances have no curvature.
    """
    low, high = BORDERS
    inner = np.clip(x[..., :2], low + 1.01 * STEPS, high - 1.01 * STEPS)
    stencil = STEPS * np.moveaxis(np.mgrid[-1:2, -1:2], 0, -1)
    f = log_density(inner + stencil.reshape(3, 3, *[1] * kind.ndim, 2), kind)
    slope = np.stack([f[2, 1] - f[0, 1], f[1, 2] - f[1, 0]], axis=-1) / (2 * STEPS)
    zz, rr = f[2, 1] - 2 * f[1, 1] + f[0, 1], f[1, 2] - 2 * f[1, 1] + f[1, 0]
    zr = (f[2, 2] - f[2, 0] - f[0, 2] + f[0, 0]) / 4
    hessian = np.moveaxis(np.array([[zz, zr], [zr, rr]]), (0, 1), (-2, -1))
    value, axes = np.linalg.eigh(-hessian / np.outer(STEPS, STEPS))
    return slope, axes @ (np.maximum(value, 0)[..., None] * axes.mT)


@dataclass
class LatentModel:
    """Prior and photometry in one survey of galaxies whose axis ratios are known."""

    survey: Survey
    axis_ratio: np.ndarray  # of a shape that broadcasts with that of the types

    def log_prior(self, x, kind):
        """ln p(type, x, q) + const."""
        shape = population.log_axis_ratio_density(kind == 0, self.axis_ratio)
        return log_abundance_and_size(x, kind) + shape - 0.5 * (x[..., 2:] ** 2).sum(axis=-1)

    def prior_terms(self, x, kind):
        """Gradient (..., d) of ln p and its negative Hessian (..., d, d), made positive."""
        slope, bend = terms_in_z_and_r(x, kind, log_abundance_and_size)
        curvature = np.zeros((*x.shape, x.shape[-1])) + np.eye(x.shape[-1])
        curvature[..., :2, :2] = bend
        return np.concatenate([slope, -x[..., 2:]], axis=-1), curvature

    @staticmethod
    def keep_inside(x):
        """Latents (..., d), moved to the border where they have left the sample."""
        return np.concatenate([np.clip(x[..., :2], *BORDERS), x[..., 2:]], axis=-1)

    def predict(self, x, kind):
        """m(x), (..., 6): ln fluxes in nanomaggies in five bands, mean of ln R in arcsec."""
        if x.shape[-1] != len(NAMES):
            raise GaltoolsError(f"latents have {len(NAMES)} numbers a galaxy, not {x.shape[-1]}")
        axis_ratio = np.broadcast_to(self.axis_ratio, kind.shape).ravel()
        z, r, *normal = self.keep_inside(x).reshape(-1, len(NAMES)).T
        kind, normal = kind.ravel(), np.stack(normal, axis=1)
        absolute = r - population.distance_modulus(z)
        spectrum = population.spectrum_parameters(kind < 2, absolute, axis_ratio, normal)
        flux = population.normalised_fluxes(self.survey.filters, spectrum, z, r)
        radius = population.half_light_radius(kind == 0, absolute, z, 0.0)
        values = np.column_stack([np.log(np.maximum(flux, 1e-12)), np.log(radius)])
        return values.reshape(*x.shape[:-1], -1)


def sample_population(n: int, seed: int = 0):
    """Sample n galaxies: latents (n, 9), types, axis ratios and ln R about its mean, each (n,)."""
    rng = np.random.default_rng([seed, 33])
    red, z, r = population.sample_redshifts(population.MAIN_SAMPLE_LIMIT, rng.random((n, 2)))
    kind = np.where(red, np.where(rng.random(n) < population.EARLY_FRACTION, 0, 1), 2)
    axis_ratio = population.axis_ratio(kind == 0, rng.random(n))
    x = np.column_stack([z, r, rng.standard_normal((n, 7))])
    return x, kind, axis_ratio, size_scatter(x) * rng.standard_normal(n)
