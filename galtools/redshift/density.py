"""Redshift densities on a grid of bins: point estimates, scores, calibration.

A density is a histogram of `bins` equal bins on 0 <= z <= `z_max`. With F its cumulative function
and z the true redshift,

    dz = (z_est - z) / (1 + z),   bias = <dz>,   sigma_MAD = 1.4826 median |dz - median dz|,
    outliers = fraction with |dz| > limit,   CRPS = integral (F(z') - H(z' - z))^2 dz',
    PIT = F(z).
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legval
from scipy.optimize import minimize, minimize_scalar
from scipy.special import softmax

from galtools.data.photometry import robust_scatter
from galtools.errors import GaltoolsError

Z_MAX, BINS = 0.4, 180
OUTLIER = {"SDSS": 0.05, "CFHTLS": 0.15}  # |dz| beyond which an estimate is an outlier


@dataclass(frozen=True)
class Grid:
    """Equal bins of redshift."""

    bins: int = BINS
    z_max: float = Z_MAX

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, (bins + 1,)."""
        return np.linspace(0, self.z_max, self.bins + 1)

    @property
    def centres(self) -> np.ndarray:
        """Centres of the bins."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def bin_index(self, z) -> np.ndarray:
        """Index of the bin of each redshift; one outside the grid is refused."""
        z = np.asarray(z, np.float64)
        if not ((z >= 0) & (z < self.z_max)).all():
            raise GaltoolsError(f"redshifts must lie in 0 <= z < {self.z_max}: cut or widen z_max")
        return np.minimum((z / self.z_max * self.bins).astype(np.int64), self.bins - 1)


def _cdf_at_edges(density: np.ndarray) -> np.ndarray:
    """F at the edges of the bins, (n, bins + 1)."""
    return np.pad(np.cumsum(density, axis=1), ((0, 0), (1, 0)))


def cumulative(density: np.ndarray, z: np.ndarray, grid: Grid) -> np.ndarray:
    """Return F(z), linear within each bin, for densities (n, bins) of sum one."""
    position = np.clip(np.asarray(z, np.float64) / grid.z_max, 0, 1) * grid.bins
    low = np.minimum(position.astype(int), grid.bins - 1)
    rows = np.arange(len(density))
    return _cdf_at_edges(density)[rows, low] + (position - low) * density[rows, low]


def crps(density: np.ndarray, z: np.ndarray, grid: Grid) -> np.ndarray:
    """Continuous ranked probability score of each galaxy, exact for a density flat in each bin.

    Within a bin F is linear, and the integral of its square from a to b over a width w is
    w (a^2 + ab + b^2) / 3; the bin that holds z is cut in two.
    """

    def piece(a, b, width):
        return width * (a * a + a * b + b * b) / 3

    cdf = _cdf_at_edges(density)
    z = np.asarray(z, np.float64)[:, None]
    low, high, left, right = cdf[:, :-1], cdf[:, 1:], grid.edges[:-1], grid.edges[1:]
    split = np.clip(z, left, right)
    at_split = low + (high - low) * (split - left) / (right - left)
    below, above = piece(low, at_split, split - left), piece(1 - at_split, 1 - high, right - split)
    return (below + above).sum(axis=1)


def quantile(density: np.ndarray, q: float, grid: Grid) -> np.ndarray:
    """Redshift below which each density holds the probability q."""
    cdf = _cdf_at_edges(density)
    bins = (cdf[:, 1:] < q).sum(axis=1).clip(max=grid.bins - 1)
    rows = np.arange(len(density))
    within = (q - cdf[rows, bins]) / np.maximum(density[rows, bins], 1e-12)
    return grid.edges[bins] + np.clip(within, 0, 1) * grid.z_max / grid.bins


def point_estimate(density: np.ndarray, grid: Grid, kind: str = "mean") -> np.ndarray:
    """Point estimate of each density: its mean, its median or its mode."""
    if kind == "mean":
        return density @ grid.centres
    if kind == "mode":
        return grid.centres[density.argmax(axis=1)]
    if kind != "median":
        raise GaltoolsError(f"unknown estimate {kind!r}: choose mean, median or mode")
    return quantile(density, 0.5, grid)


def point_metrics(estimates, z, limit: float = 0.05) -> dict[str, float]:
    """Bias, sigma_MAD and fraction of outliers of point estimates."""
    dz = (np.asarray(estimates, np.float64) - z) / (1 + np.asarray(z, np.float64))
    return {
        "bias": float(dz.mean()),
        "sigma_mad": float(robust_scatter(dz)),
        "outliers": float(np.mean(np.abs(dz) > limit)),
    }


def log_mean_density(log_p: np.ndarray) -> np.ndarray:
    """Logarithm of the mean density (n, bins) of several networks, from (networks, n, bins)."""
    return np.log(np.mean(np.exp(log_p), axis=0))


def apply_temperature(log_p: np.ndarray, temperature: float) -> np.ndarray:
    """Densities p^(1/T), normalised: T > 1 widens those that are overconfident."""
    return softmax(log_p / temperature, axis=-1)


def fit_temperature(log_p: np.ndarray, z, grid: Grid) -> float:
    """Temperature that makes validation redshifts most likely, between 1/8 and 8."""
    rows, bins = np.arange(len(log_p)), grid.bin_index(z)

    def cross_entropy(log_t):
        return -np.log(apply_temperature(log_p, np.exp(log_t))[rows, bins] + 1e-300).mean()

    bounds = (-np.log(8), np.log(8))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x))


def recalibrate(density: np.ndarray, tilt) -> np.ndarray:
    """Densities p(z) h(F(z)), normalised, with log h(u) = a P_2(2u - 1) + b P_4(2u - 1).

    P are Legendre polynomials and (a, b) is the `tilt`. If h is the distribution of the PIT, the
    result is calibrated (Bordoloi et al. 2010).
    """
    pit = np.cumsum(density, axis=-1) - density / 2
    log_h = legval(2 * pit - 1, [0, 0, tilt[0], 0, tilt[1]])
    weighted = density * np.exp(log_h - log_h.max(axis=-1, keepdims=True))
    return weighted / weighted.sum(axis=-1, keepdims=True)


def fit_recalibration(density: np.ndarray, z, grid: Grid) -> tuple[float, float]:
    """Tilt of `recalibrate` that makes validation redshifts most likely.

    A normal prior of width 1 keeps it small where galaxies are few.
    """
    rows, bins = np.arange(len(density)), grid.bin_index(z)

    def cross_entropy(tilt):
        prior = np.square(tilt).sum() / 2 / len(density)
        return prior - np.log(recalibrate(density, tilt)[rows, bins] + 1e-300).mean()

    return tuple(map(float, minimize(cross_entropy, (0.0, 0.0), method="Nelder-Mead").x))
