"""Which galaxy is this? The exact posterior over a library of simulated galaxies.

An image is compressed to fluxes y in rings, band by band. They are sums over pixels that no two
rings share, so their noise is Gaussian and independent, with the variance of the sky and of the
galaxy's own light. Two more things are not known of an observation: the zero point of each band,
off by a factor 1 + s n, and the brightness. Both are integrated over in closed form:

    y_b ~ N(a m_b, C_b),   C_b = V_b + (a s_b)^2 m_b m_b',   a ~ p(a | spectrum, size, redshift),

where m_b are the noiseless fluxes of a galaxy of the library in the rings of band b, seen under
conditions (seeing, place between the pixels) of its own, and a its brightness relative to what it
was drawn with. Each galaxy of the library thus stands for all that differ from it by brightness
alone, and the posterior is exact up to the size of the library. How many galaxies really carry it
is the effective sample size 1 / sum w^2: where it is small, the library must not be asked.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.simulate import population
from galtools.simulate.noise import CALIBRATION
from galtools.simulate.spectra import TEMPLATES

EDGES = (0.0, 1.0, 2.0, 4.0)  # arcsec: of the rings
PHYSICS = ("red", "early", "redshift", "r_magnitude", "kind", "half_light_radius")
MAGNITUDE_STEPS = np.linspace(-4, 4, 161)  # magnitudes by which a galaxy is made fainter
QUERIES = 16  # at a time
MAGNITUDE = 2.5 / np.log(10)  # magnitudes per unit of ln a
NORMAL = -21.0  # absolute magnitude at which no size is near its limits
LEAST = 20.0  # effective sample size below which no posterior is trusted


def ring_masks(side: int, pixel_scale: float) -> np.ndarray:
    """Pixels of each ring, (rings, side, side), 0 or 1, by the places of their centres."""
    return photometry.annulus_weights((side, side), pixel_scale, EDGES, "center")


def ring_fluxes(images, masks) -> np.ndarray:
    """Fluxes (n, 5, rings) in nanomaggies of images (n, 5, side, side)."""
    return photometry.annulus_flux(np.asarray(images, np.float64), masks)


@dataclass
class TemplateLibrary:
    """Noiseless galaxies: fluxes in rings, and how likely each is at another brightness."""

    fluxes: np.ndarray  # (m, 5, rings) nanomaggies, before the error of calibration
    brightness: np.ndarray  # (m, len(STEPS)) log density per magnitude at `STEPS`
    pixels: np.ndarray  # (rings,) of a ring
    gain: np.ndarray  # (5,) electrons per nanomaggy


@dataclass
class Posterior:
    """Weights over a library for q observations."""

    weights: np.ndarray  # (q, m) of sum one
    fainter: np.ndarray  # (q, m) magnitudes by which each galaxy has to be made fainter ...
    width: np.ndarray  # (q, m) ... and the standard deviation of this

    @property
    def crowding(self) -> np.ndarray:
        """Sum of squared weights, (q,)."""
        return (self.weights**2).sum(1)

    @property
    def size(self) -> np.ndarray:
        """Effective sample size 1 / sum w^2, (q,); 0 where no galaxy of the library will do."""
        return np.where(self.crowding > 0, 1 / np.maximum(self.crowding, 1e-300), 0)

    def mean(self, values) -> np.ndarray:
        """Expectation (q,) of values (m,) or (q, m)."""
        return (self.weights * values).sum(1)

    def variance(self, values, slope=0.0) -> np.ndarray:
        """Unbiased weighted variance (q,): sum w (T - mean)^2 / (1 - sum w^2).

        With `slope` = dT / d(magnitude), that within each galaxy is added: sum w (slope width)^2.
        """
        off = values - self.mean(values)[:, None]
        between = intervals.divide((self.weights * off**2).sum(1), 1 - self.crowding)
        return between + (self.weights * (slope * self.width) ** 2).sum(1)


def log_brightness(physics: dict, limit: float) -> np.ndarray:
    """Log density (m, len(STEPS)) of magnitudes given spectrum, size, type and redshift.

    p(r | rest) ~ phi(M) p(kind | M) p(size | M) within the limits of the sample, normalised over
    `STEPS`: of two galaxies that differ by brightness alone, how much more common is one?
    """
    table = np.stack([_log_density(physics, step, limit) for step in MAGNITUDE_STEPS], axis=1)
    total = np.exp(table - table.max(1, keepdims=True)).sum(1) * (
        MAGNITUDE_STEPS[1] - MAGNITUDE_STEPS[0]
    )
    return table - table.max(1, keepdims=True) - np.log(total)[:, None]


def _log_density(physics: dict, step: float, limit: float) -> np.ndarray:
    """Log of phi(M) p(kind | M) p(size | M) of galaxies (m,) made fainter by `step`."""
    red, early, z = (physics[name] for name in ("red", "early", "redshift"))
    magnitude = physics["r_magnitude"] + step
    absolute = magnitude - population.distance_modulus(z)
    found = np.where(red, *(_of_type(law, mix, absolute, z, physics["kind"]) for law, mix in TYPES))
    size = np.log10(physics["half_light_radius"] / _typical_size(early, absolute, z))
    scatter = np.log10(_typical_size(early, NORMAL, 0.1, 1) / _typical_size(early, NORMAL, 0.1))
    found = found + _log_normal(size / scatter)
    inside = (magnitude > population.BRIGHT_LIMIT) & (magnitude < limit)
    return np.where(inside, found, -np.inf)


def _typical_size(early, absolute, z, normal: float = 0) -> np.ndarray:
    """Half-light radius (m,) in arcsec, `normal` standard deviations above the mean."""
    absolute, z = (np.broadcast_to(x, np.shape(early)) for x in (absolute, z))
    return population.half_light_radius(early, absolute, z, np.full(len(z), float(normal)))


def _log_normal(x):
    """Logarithm of the standard normal density."""
    return -(x**2 + np.log(2 * np.pi)) / 2


TYPES = ((population.RED, population.RED_MIX), (population.BLUE, population.BLUE_MIX))


def _of_type(law, mix, absolute, z, kind) -> np.ndarray:
    """Log of phi(M) p(kind | M) for one type; what is cut off lies piled up at kind 0 and 3."""
    light = 10 ** (-0.4 * (absolute - law.correction * z - law.magnitude))
    faint = np.clip(absolute + 21.5, -2.5, 4.0)
    off = (kind - mix.kind - mix.kind_slope * faint) / mix.kind_scatter
    piles = [kind <= 0, kind >= len(TEMPLATES) - 1]
    spectrum = np.select(piles, [log_ndtr(off), log_ndtr(-off)], _log_normal(off))
    return (law.slope + 1) * np.log(light) - light + spectrum


def scatter_of_zero_points(extra: float = 0.0) -> np.ndarray:
    """Scatter (5,) of the factors 1 + s n, made larger by `extra` in each band."""
    return np.hypot(CALIBRATION, extra)


def posterior(library: TemplateLibrary, observed, sky_noise, own, numbers, scatter) -> Posterior:
    """Posterior over the galaxies `numbers` (m,) of a library, other than the observed one's `own`.

    `observed` (q, 5, rings) are fluxes, `sky_noise` (q, 5) is per pixel, `scatter` (5,) of the zero
    points.
    """
    if not np.isfinite(observed).all():
        raise GaltoolsError("a flux is not finite: leave such images out and count them")
    parts = []
    for start in range(0, len(observed), QUERIES):
        rows = slice(start, start + QUERIES)
        log_p, *found = log_evidence(library, observed[rows], sky_noise[rows], scatter)
        log_p = np.where(numbers[None] == np.asarray(own)[rows, None], -np.inf, log_p)
        best = log_p.max(1, keepdims=True)
        weights = np.exp(log_p - np.where(np.isfinite(best), best, 0))
        parts.append((weights / np.maximum(weights.sum(1, keepdims=True), 1e-300), *found))
    return Posterior(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def mask_small_samples(found: Posterior, values, least: float = LEAST) -> np.ndarray:
    """Return values (q,), NaN where fewer than `least` galaxies carry the posterior."""
    return np.where(found.size >= least, values, np.nan)


def log_evidence(library: TemplateLibrary, observed, sky_noise, scatter):
    """Log p(y | galaxy), its brightness integrated over; magnitudes fainter, and +-: (q, m) each.

    For a given C, a is Gaussian: a = m'C^-1 y / m'C^-1 m +- (m'C^-1 m)^(-1/2), narrow beside p(a).
    C depends on a itself: it is taken at the a that fits the r band, then once more at the best a.
    """
    r_band = observed[:, None, 2].sum(-1) / library.fluxes[None, :, 2].sum(-1)
    for _ in range(2):
        at = np.clip(r_band, *10 ** (-0.4 * MAGNITUDE_STEPS[[-1, 0]]))
        precision, r_band, cost = _fit(library, observed, sky_noise, scatter, at)
    best = np.maximum(r_band, 1e-9)
    fainter = -2.5 * np.log10(best)
    prior = brightness_at(library.brightness, fainter) - np.log(best)
    return -0.5 * cost + prior, fainter, MAGNITUDE / (best * np.sqrt(precision))


def _fit(library: TemplateLibrary, observed, sky_noise, scatter, at):
    """Precision m'C^-1 m, best a, and chi^2 + ln |C| + ln precision, with C at brightness `at`.

    C^-1 and |C| follow from those of V by Sherman and Morrison, band by band.
    """
    y, m, at = observed[:, None], library.fluxes[None], at[..., None, None]
    sky = (sky_noise**2)[:, None, :, None] * library.pixels
    variance = sky + np.maximum(at * m, 0) / library.gain[:, None]
    mm, my, yy = ((u * v / variance).sum(-1) for u, v in ((m, m), (m, y), (y, y)))
    rank_one = (at[..., 0] * scatter) ** 2
    grown = 1 + rank_one * mm
    precision, projected = (mm / grown).sum(-1), (my / grown).sum(-1)
    chi_square = (yy - rank_one * my**2 / grown).sum(-1) - projected**2 / precision
    log_size = np.log(variance).sum((-1, -2)) + np.log(grown).sum(-1) + np.log(precision)
    return precision, projected / precision, chi_square + log_size


def brightness_at(table, fainter) -> np.ndarray:
    """Log density of being fainter by (q, m) magnitudes, linear between `STEPS`, none outside."""
    place = (fainter - MAGNITUDE_STEPS[0]) / (MAGNITUDE_STEPS[1] - MAGNITUDE_STEPS[0])
    low = np.clip(place.astype(int), 0, len(MAGNITUDE_STEPS) - 2)
    rows = np.arange(len(table))
    below, above, part = table[rows, low], table[rows, low + 1], place - low
    inside = (
        (place >= 0) & (place <= len(MAGNITUDE_STEPS) - 1) & np.isfinite(below) & np.isfinite(above)
    )
    with np.errstate(invalid="ignore"):
        return np.where(inside, below + part * (above - below), -np.inf)
