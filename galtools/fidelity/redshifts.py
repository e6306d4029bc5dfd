"""Metrics of redshift densities: errors, scores, calibration, and information in bits.

dz = (z_est - z) / (1 + z) with the median z_est of a density. Summaries are tidy tables with the
protocol (which images the estimator was trained on) in the column "band". The information of a
density p(z | image) is the prior entropy less the cross-entropy,

    I = mean over galaxies of log2 p(z_k | image_k) - log2 p(z_k),

a lower bound on the mutual information, reached by an ideal estimator and negative for one that
misleads. Two sources A and B are decomposed by minimum mutual information,

    redundant = min(I_A, I_B),  unique_A = I_A - redundant,  unique_B = I_B - redundant,
    synergy   = I_AB - I_A - I_B + redundant.

For Gaussian variables, every decomposition whose redundancy follows from the two pairs alone is
this one (Barrett 2015).
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import ndtr

from galtools import redshift
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, metrics
from galtools.fidelity.metrics import Metric

FLOOR = 1e-6  # least probability of a bin
ONE_SIGMA = 0.6826894921370859  # probability of a Gaussian within one standard deviation
METRICS = {
    "bias": Metric(("dz",), intervals.mean, 0, "mean dz = (z_est - z) / (1 + z)"),
    "sigma_mad": Metric(("dz",), intervals.robust_scatter, 0, "1.48 MAD of dz"),
    "outliers": Metric(
        ("outlier",), intervals.mean, 0, "fraction with |dz| beyond the survey's limit", "wilson"
    ),
    "crps": Metric(("crps",), intervals.mean, 0, "continuous ranked probability score"),
    "coverage": Metric(
        ("covered",), intervals.mean, ONE_SIGMA, "fraction of z in central 68.3 %", "wilson"
    ),
    "bits": Metric(("bits",), intervals.mean, np.inf, "prior entropy less cross-entropy, bits"),
}


def measure(density, z, grid: redshift.Grid, prior, limit: float) -> dict[str, np.ndarray]:
    """Quantities (n, 1) of the densities (n, bins) of all galaxies; `limit` is that of outliers."""
    z = np.asarray(z, float)
    dz = (redshift.point_estimate(density, grid, "median") - z) / (1 + z)
    pit = redshift.cumulative(density, z, grid)
    quantities = {
        "dz": dz,
        "outlier": np.abs(dz) > limit,
        "crps": redshift.crps(density, z, grid),
        "covered": np.abs(pit - 0.5) < ONE_SIGMA / 2,
        "pit": pit,
        "bits": information_bits(density, z, grid.edges, prior),
    }
    return {name: np.asarray(values, float)[:, None] for name, values in quantities.items()}


def tabulate(measured, protocol: str, members=(), n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Tidy table of `METRICS`, with their scatter over estimator seeds in "seed_scatter".

    That comes from `members`, what `measure` finds for each network; NaN for fewer than two.
    """
    table = metrics.tabulate(measured, METRICS, [protocol], "redshift", n_boot, seed)
    scatter = {}
    for name, metric in METRICS.items():
        (quantity,) = metric.quantities
        each = [float(metric.statistic(one[quantity][:, 0])) for one in members]
        scatter[name] = np.std(each, ddof=1) if len(each) > 1 else np.nan
    return table.assign(seed_scatter=table.metric.map(scatter))


def bias_in_bins(dz, by, bins: int = 5, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Median of dz (n,) in bins of equally many galaxies along `by` (n,), with intervals."""
    lines = []
    for some in np.array_split(np.argsort(by, kind="stable"), bins):
        estimate = intervals.bootstrap(intervals.median, dz[some], n_boot, seed)
        lines.append({"centre": float(np.median(by[some])), **vars(estimate)})
    return pd.DataFrame(lines)


def prior(redshift, edges) -> np.ndarray:
    """Probabilities of the bins from training redshifts: a histogram of sum 1, no bin empty."""
    counts = np.histogram(redshift, edges)[0] + 0.5
    return counts / counts.sum()


def information_bits(density, redshift, edges, prior_density) -> np.ndarray:
    """Information of every galaxy, log2 p(z | image) - log2 p(z): (n,).

    `density` (n, bins) holds probabilities of bins between `edges`; a redshift outside is an error.
    """
    z = np.asarray(redshift, float)
    if density.shape != (len(z), len(edges) - 1):
        raise GaltoolsError(
            f"densities have shape {density.shape}: {len(z)} galaxies and {len(edges) - 1} bins"
        )
    if (z < edges[0]).any() or (z >= edges[-1]).any():
        raise GaltoolsError(f"redshifts must lie in [{edges[0]}, {edges[-1]}): widen the bins")
    number = np.searchsorted(edges, z, side="right") - 1
    probability = np.maximum(density[np.arange(len(z)), number], FLOOR)
    return np.log2(probability) - np.log2(prior_density[number])


def gaussian_density(mean, scatter, edges) -> np.ndarray:
    """Densities (n, bins) of normal distributions (mean, scatter), of sum 1."""
    mean, scatter = np.broadcast_arrays(np.asarray(mean, float), scatter)
    cumulative = ndtr((edges[None] - mean[:, None]) / scatter[:, None])
    mass = np.maximum(np.diff(cumulative, axis=1), FLOOR)
    return mass / mass.sum(axis=1, keepdims=True)


def decompose(first, second, both, n_boot=intervals.N_BOOT, seed=0):
    """Redundant, unique and synergistic information of two sources: a tidy table.

    `first`, `second`, `both` are bits per galaxy (n,) of estimators that saw one source, the other,
    or both. A negative mean counts as no information.
    """
    measured = {
        name: np.asarray(x)[:, None] for name, x in zip("abc", (first, second, both), strict=True)
    }
    names = ("redundant", "unique_first", "unique_second", "synergy")
    parts = {
        name: Metric(tuple("abc"), lambda x, k=k: _parts(x)[k], 0, name)
        for k, name in enumerate(names)
    }
    return metrics.tabulate(measured, parts, ["bits"], "information", n_boot, seed)


def _parts(x) -> tuple:
    a, b, both = np.maximum(np.mean(x, axis=-1), 0)
    redundant = np.minimum(a, b)
    return redundant, a - redundant, b - redundant, both - a - b + redundant


def subsets(sources) -> list[tuple[str, ...]]:
    """All non-empty subsets of the sources, in a fixed order."""
    return [some for k in range(1, len(sources) + 1) for some in combinations(sources, k)]
