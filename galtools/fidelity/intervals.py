"""Statistics over galaxies, their intervals by resampling, and verdicts on claims.

The galaxy is the unit: errors of pixels of one galaxy are correlated, so an interval over pixels
would be far too narrow. Every statistic works along the last axis, galaxies.
"""

from dataclasses import astuple, dataclass
from enum import StrEnum
from functools import lru_cache, partial

import numpy as np
from scipy.stats import binomtest

from galtools.data.photometry import robust_scatter

LEVEL = 0.95  # coverage of every interval in the book
Z = 1.959963984540054  # standard deviations within which a normal distribution holds that much
N_BOOT = 400
MIN_GALAXIES = 30  # below this, percentiles of the bootstrap mean little


mean, median = partial(np.mean, axis=-1), partial(np.median, axis=-1)


def rms(x):
    """Root of the mean of squares x."""
    return np.sqrt(np.mean(x, axis=-1))


def ratio_of_means(x):
    """Sum of the first quantity over the sum of the second: x has shape (2, ..., n)."""
    above, below = np.mean(x[0], axis=-1), np.mean(x[1], axis=-1)
    return divide(above, below)


def correlation(x, where=True):
    """Pearson's coefficient over the last axis of x, shape (2, ..., n); NaN for a constant.

    Only elements where `where`, shape (..., n), is true count.
    """
    n = np.count_nonzero(np.broadcast_to(where, x.shape[1:]), axis=-1)
    centre = np.mean(x, axis=-1, keepdims=True, where=where)
    a, b = deviation = np.where(where, x - centre, 0)
    variance = np.einsum("...i,...i", deviation, deviation) / n
    constant = variance <= (1e-12 * centre[..., 0]) ** 2  # rounding alone
    variance_a, variance_b = np.where(constant, 0, variance)
    covariance = np.einsum("...i,...i", a, b) / n
    return divide(covariance, np.sqrt(variance_a * variance_b))


def wasserstein(x):
    """Earth mover's distance of two equally large samples: mean |sorted a - sorted b|."""
    a, b = np.sort(x, axis=-1)
    return np.mean(np.abs(a - b), axis=-1)


def scaled_wasserstein(x):
    """Earth mover's distance in units of the robust scatter of the first sample."""
    return divide(wasserstein(x), robust_scatter(x[0]))


def kolmogorov(x):
    """Kolmogorov-Smirnov distance of two samples: max |F_a - F_b|; x has shape (2, ..., n)."""
    n = x.shape[-1]
    values = np.concatenate([x[0], x[1]], axis=-1)
    order = np.argsort(values, axis=-1, kind="stable")
    gap = np.abs(np.cumsum(np.where(order < n, 1 / n, -1 / n), axis=-1))
    values = np.take_along_axis(values, order, axis=-1)
    last = np.ones(values.shape, bool)  # of a run of equal values
    last[..., :-1] = values[..., 1:] > values[..., :-1]
    return np.where(last, gap, 0).max(axis=-1)


def divide(above, below):
    """Quotient, NaN where the denominator is not positive."""
    below = np.asarray(below)
    good = below > 0
    return np.where(good, above / np.where(good, below, 1), np.nan)


@lru_cache(maxsize=8)
def resamples(n: int, n_boot: int = N_BOOT, seed: int = 0) -> np.ndarray:
    """Bootstrap samples of n galaxies: indices (n_boot, n).

    Equal arguments give equal samples, so that two translators judged on the same n galaxies are
    resampled together, and their common noise cancels in the difference.
    """
    return np.random.default_rng([seed, n]).integers(0, n, (n_boot, n), dtype=np.int32)


@dataclass(frozen=True)
class Estimate:
    """A statistic, its 95 % interval, and the number of galaxies that could be measured."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self):
        return format_interval(self.value, self.low, self.high)


def format_interval(value: float, low: float, high: float) -> str:
    """Write "value (low, high)" to two digits of its width, more where an end would look like 0.

    A value without an interval, or with one of no width, has three digits; NaN is a dash.
    """
    if not np.isfinite(value):
        return "∞" if value == np.inf else "–"
    width = high - low
    finite = np.isfinite(width) and width > 1e-9 * abs(value)
    digits, size = (2, width) if finite else (3, abs(value))
    decimals = int(np.clip(digits - 1 - np.floor(np.log10(size or 100)), 0, 6))
    if finite and low * high > 0:
        nearest = min(abs(low), abs(high))
        shown = int(-np.floor(np.log10(2 * nearest)))
        decimals = min(max(decimals, shown), decimals + 2, 6)
    parts = [f"{round(x, decimals) + 0.0:.{decimals}f}" for x in (value, low, high)]  # never -0
    return f"{parts[0]} ({parts[1]}, {parts[2]})" if np.isfinite(width) else parts[0]


def proportion(values) -> Estimate:
    """Proportion of ones among ones and zeros (n,), NaN left out, with Wilson's interval (1927).

    Resampling would be certain where none of n was seen.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    result = binomtest(int(values.sum()), len(values))
    return Estimate(result.statistic, *result.proportion_ci(LEVEL, "wilson"), len(values))


def bootstrap(statistic, values, n_boot=N_BOOT, seed=0, method="percentile") -> Estimate:
    """Bootstrap interval of `statistic` over galaxies, the last axis of `values`.

    Galaxies with a NaN in any row are left out and show in `n`. With fewer than 2 there is no
    interval, with none no value; nor is there one where over a twentieth of the resamples have no
    statistic, since those that have one would promise too much.

    The `method` is "percentile", or "distance" for statistics that noise can only increase, with a
    bias up to twice the excess of the resamples over the sample: its interval has the half width
    1.96 standard deviations of the resamples, and reaches lower by twice that excess.
    """
    values = np.asarray(values, dtype=float)
    bad = np.isnan(values)
    values = values[..., ~bad.any(axis=tuple(range(bad.ndim - 1)))]
    n = values.shape[-1]
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    with np.errstate(invalid="ignore"):  # an infinite PSNR is a fact about a perfect copy
        value = float(statistic(values))
        if n < 2:
            return Estimate(value, np.nan, np.nan, n)
        sampled = statistic(values[..., resamples(n, n_boot, seed)])
    if not np.isfinite(value):
        return Estimate(value, value, value, n)
    sampled = sampled[np.isfinite(sampled)]  # one galaxy n times may have no statistic
    if sampled.size < LEVEL * n_boot:
        return Estimate(value, np.nan, np.nan, n)
    if method == "distance":
        half, excess = Z * np.std(sampled), max(np.mean(sampled) - value, 0)
        low, high = max(value - 2 * excess - half, 0), value + half
    else:
        low, high = np.percentile(sampled, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(min(low, value)), float(max(high, value)), n)


def paired_difference(statistic, first, second, n_boot=N_BOOT, seed=0) -> Estimate:
    """Estimate statistic(first) - statistic(second) on the same galaxies, resampled together."""
    both = np.stack([np.asarray(first, float), np.asarray(second, float)])
    return bootstrap(lambda x: statistic(x[0]) - statistic(x[1]), both, n_boot, seed)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Estimate in other units: per cent, say."""
    value, low, high, n = astuple(estimate)
    return Estimate(factor * value, factor * low, factor * high, n)


def widen(estimate: Estimate, error: float) -> Estimate:
    """Estimate whose interval also holds an independent, normal `error` (a standard deviation).

    Half widths add in squares; an error that is not known adds nothing.
    """
    value, margin = estimate.value, Z * np.nan_to_num(error)
    low = value - np.hypot(value - estimate.low, margin)
    return Estimate(value, low, value + np.hypot(estimate.high - value, margin), estimate.n)


class Verdict(StrEnum):
    """Outcome of a test: the only words for it, in tables, on pages and between seeds."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NO_DIFFERENCE = "no difference"
    INCONCLUSIVE = "inconclusive"

    __repr__ = str.__repr__  # a notebook shows it as any other word


def verdict(
    estimate: Estimate, claim=(0, np.inf), margin: float | None = None, least: int = MIN_GALAXIES
) -> Verdict:
    """Verdict on the claim that a number lies within ``(low, high)``: by default, is positive.

    supported: the whole interval lies within the claim; contradicted: all of it lies outside;
    no difference: all of it lies within `margin` of 0, whichever its sign;
    inconclusive: anything else, or a sample smaller than `least`.
    """
    low, high = claim
    if not np.isfinite([estimate.low, estimate.high]).all() or estimate.n < least:
        return Verdict.INCONCLUSIVE
    if margin is not None and max(abs(estimate.low), abs(estimate.high)) <= margin:
        return Verdict.NO_DIFFERENCE
    if low <= estimate.low and estimate.high <= high:
        return Verdict.SUPPORTED
    if estimate.high < low or estimate.low > high:
        return Verdict.CONTRADICTED
    return Verdict.INCONCLUSIVE


def consensus(verdicts) -> Verdict:
    """Verdict of all seeds if they have the same one, else inconclusive."""
    distinct = set(verdicts)
    return distinct.pop() if len(distinct) == 1 else Verdict.INCONCLUSIVE
