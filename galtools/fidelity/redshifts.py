"""Metrics of redshift densities: errors, scores, calibration, and information in bits.

dz = (z_est - z) / (1 + z) with the median z_est of a density. Summaries are tidy tables with the
protocol (which images the estimator was trained on) in the column "band".
"""

import numpy as np
import pandas as pd

from galtools import redshift
from galtools.fidelity import information, intervals
from galtools.fidelity.metrics import Metric, tabulate

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
    found = {
        "dz": dz,
        "outlier": np.abs(dz) > limit,
        "crps": redshift.crps(density, z, grid),
        "covered": np.abs(pit - 0.5) < ONE_SIGMA / 2,
        "pit": pit,
        "bits": information.information_bits(density, z, grid.edges, prior),
    }
    return {name: np.asarray(values, float)[:, None] for name, values in found.items()}


def summarise(measured, protocol: str, members=(), n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Tidy table of `METRICS`, with their scatter over estimator seeds in "seed_scatter".

    That comes from `members`, what `measure` finds for each network; NaN for fewer than two.
    """
    table = tabulate(measured, METRICS, [protocol], "redshift", n_boot, seed)
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
        found = intervals.bootstrap(intervals.median, dz[some], n_boot, seed)
        lines.append({"centre": float(np.median(by[some])), **vars(found)})
    return pd.DataFrame(lines)
