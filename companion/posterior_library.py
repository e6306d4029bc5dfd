"""The exact posterior over a library of simulated galaxies, given fluxes in rings.

Fluxes y in disjoint rings have independent Gaussian noise, of the sky and of the source. The zero
point of each band, off by a factor 1 + s n, and the magnitude are integrated over in closed form:

    y_b ~ N(a m_b, C_b),   C_b = V_b + (a s_b)^2 m_b m_b',   a ~ p(a | spectrum, size, redshift),

with m_b the noiseless fluxes of a library galaxy in band b, under observing conditions of its own,
and a its flux relative to that. Each entry thus stands for all galaxies that differ from it by
magnitude alone, and the posterior is exact up to the size of the library. Its effective sample size
is 1 / sum w^2: where that is small, the posterior must not be used.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp, softmax
from scipy.stats import norm

from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.simulate import population
from galtools.simulate.spectra import TEMPLATES

EDGES = (0.0, 1.0, 2.0, 4.0)  # arcsec, of the rings
STEP = 0.05  # magnitudes
OFFSETS = np.linspace(-4, 4, 161)  # magnitudes by which a galaxy is made fainter
QUERIES = 16  # at a time
MAGNITUDE = 2.5 / np.log(10)  # magnitudes per unit of ln a
LEAST = 20.0  # effective sample size below which no posterior is used


def ring_masks(survey) -> np.ndarray:
    """Weights (rings, side, side), 0 or 1, of the pixels of each ring."""
    shape = survey.stamp, survey.stamp
    return photometry.annulus_weights(shape, survey.pixel_scale, EDGES, "center")


@dataclass
class TemplateLibrary:
    """Noiseless galaxies with the prior of their magnitudes."""

    fluxes: np.ndarray  # (m, 5, rings) nanomaggies, without calibration errors
    log_prior: np.ndarray  # (m, offsets) log density per magnitude at `OFFSETS`
    pixels: np.ndarray  # (rings,) number of pixels
    gain: np.ndarray  # (5,) electrons per nanomaggy


@dataclass
class Posterior:
    """Weights over a library for q observations."""

    weights: np.ndarray  # (q, m) of sum one
    offset: np.ndarray  # (q, m) magnitudes by which each library galaxy is made fainter ...
    sigma: np.ndarray  # (q, m) ... and its standard deviation

    @property
    def sum_squared_weights(self) -> np.ndarray:
        """Sum of squared weights, (q,)."""
        return (self.weights**2).sum(1)

    @property
    def size(self) -> np.ndarray:
        """Effective sample size 1 / sum w^2, (q,); 0 where no galaxy of the library fits."""
        return np.nan_to_num(intervals.divide(1.0, self.sum_squared_weights))

    def mean(self, values) -> np.ndarray:
        """Expectation (q,) of values (m,) or (q, m)."""
        return (self.weights * values).sum(1)

    def variance(self, values, slope=0.0) -> np.ndarray:
        """Unbiased weighted variance (q,): sum w (T - mean)^2 / (1 - sum w^2).

        With `slope` = dT / d(magnitude), that of each galaxy is added: sum w (slope sigma)^2.
        """
        squares = (values - self.mean(values)[:, None]) ** 2
        between = intervals.divide(self.mean(squares), 1 - self.sum_squared_weights)
        return between + self.mean((slope * self.sigma) ** 2)


def log_magnitude_prior(physics: dict, limit: float) -> np.ndarray:
    """Log density (m, offsets) of the r magnitude at `OFFSETS`, given all else.

    p(r | rest) ~ phi(M) p(kind | M) p(size | M) within the limits of the sample, normalised.
    """
    density = np.stack([_log_density(physics, offset, limit) for offset in OFFSETS], axis=1)
    return density - logsumexp(density, axis=1, keepdims=True) - np.log(STEP)


def _log_density(physics: dict, offset: float, limit: float) -> np.ndarray:
    """Log of phi(M) p(kind | M) p(size | M) of galaxies (m,) made fainter by `offset`.

    The tails of p(kind | M) are clipped at the first and the last template.
    """
    red, early, z, kind = (physics[name] for name in ("red", "early", "redshift", "kind"))
    magnitude = physics["r_magnitude"] + offset
    absolute = magnitude - population.distance_modulus(z)
    x = (kind - population.mean_kind(red, absolute)) / population.by_type(red, "kind_scatter")
    clipped = [kind <= 0, kind >= len(TEMPLATES) - 1]
    log_kind = np.select(clipped, [log_ndtr(x), log_ndtr(-x)], norm.logpdf(x))
    size = physics["half_light_radius"] / population.half_light_radius(early, absolute, z, 0)
    log_size = norm.logpdf(np.log(size), scale=population.size_scatter(absolute))
    inside = (magnitude > population.BRIGHT_LIMIT) & (magnitude < limit)
    log_density = population.log_abundance(red, absolute, z) + log_kind + log_size
    return np.where(inside, log_density, -np.inf)


def posterior(library: TemplateLibrary, observed, sky_noise, galaxies, scatter) -> Posterior:
    """Posterior over all entries of a library other than the observed `galaxies` (q,) themselves.

    `observed` (q, 5, rings) are fluxes, `sky_noise` (q, 5) is per pixel, `scatter` (5,) that of the
    zero points.
    """
    if not np.isfinite(observed).all():
        raise GaltoolsError("a flux is not finite: leave such images out and count them")
    parts = []
    for start in range(0, len(observed), QUERIES):
        rows = slice(start, start + QUERIES)
        log_p, *magnitude = log_evidence(library, observed[rows], sky_noise[rows], scatter)
        log_p[np.arange(log_p.shape[1]) == galaxies[rows, None]] = -np.inf
        with np.errstate(invalid="ignore"):
            parts.append((np.nan_to_num(softmax(log_p, axis=1)), *magnitude))
    return Posterior(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def log_evidence(library: TemplateLibrary, observed, sky_noise, scatter):
    """Log p(y | galaxy), integrated over its magnitude; the offset and its sigma: (q, m) each.

    For a given C, a is Gaussian: a = m'C^-1 y / m'C^-1 m +- (m'C^-1 m)^(-1/2), narrow compared with
    p(a). C depends on a: it is taken at the ratio of the r fluxes, then at the best a.
    """
    a = observed[:, None, 2].sum(-1) / library.fluxes[None, :, 2].sum(-1)
    for _ in range(2):
        a = np.clip(a, *10 ** (-0.4 * OFFSETS[[-1, 0]]))
        precision, a, cost = fit_flux(library, observed, sky_noise, scatter, a)
    a = np.maximum(a, 1e-9)
    offset = -2.5 * np.log10(a)
    log_p = prior_at(library.log_prior, offset) - np.log(a) - 0.5 * cost
    return log_p, offset, MAGNITUDE / (a * np.sqrt(precision))


def fit_flux(library: TemplateLibrary, observed, sky_noise, scatter, a):
    """Precision m'C^-1 m, best a, and chi^2 + ln |C| + ln precision, with C at `a` (q, m).

    C^-1 and |C| follow from those of V by Sherman and Morrison, band by band.
    """
    y, m, a = observed[:, None], library.fluxes[None], a[..., None, None]
    sky = (sky_noise**2)[:, None, :, None] * library.pixels
    variance = sky + np.maximum(a * m, 0) / library.gain[:, None]
    mm, my, yy = ((u * v / variance).sum(-1) for u, v in ((m, m), (m, y), (y, y)))
    rank_one = (a[..., 0] * scatter) ** 2
    grown = 1 + rank_one * mm
    precision, projected = (mm / grown).sum(-1), (my / grown).sum(-1)
    chi_square = (yy - rank_one * my**2 / grown).sum(-1) - projected**2 / precision
    log_determinant = np.log(variance).sum((-1, -2)) + np.log(grown).sum(-1)
    return precision, projected / precision, chi_square + log_determinant + np.log(precision)


def prior_at(log_prior, offset) -> np.ndarray:
    """Log prior at offsets (q, m), linear between `OFFSETS` and -inf outside."""
    position = (offset - OFFSETS[0]) / STEP
    low = np.clip(position.astype(int), 0, len(OFFSETS) - 2)
    rows, part = np.arange(len(log_prior)), position - low
    with np.errstate(invalid="ignore"):
        found = (1 - part) * log_prior[rows, low] + part * log_prior[rows, low + 1]
    return np.where((part >= 0) & (part <= 1) & ~np.isnan(found), found, -np.inf)
