"""Calibration of samples from a model: scores and ranks.

Samples have shape (m, n), m of them for each of n inputs, or (m, n, d) for d quantities at once;
the truth has shape (n,) or (n, d). Results have a value for each input. With X, X' independent
samples and y the truth, the scores (Gneiting and Raftery 2007) are estimated without bias:

    CRPS  E|X - y| - E|X - X'| / 2,      energy score  E||X - y|| - E||X - X'|| / 2.
"""

import numpy as np
from scipy.stats import kstest

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict

LEVEL = 0.01  # p-value below which ranks are not those of a calibrated model
NARROW = 0.8  # width of the control that a test of calibration has to find


def _check(samples, truth) -> None:
    if np.shape(samples)[1:] != np.shape(truth):
        raise GaltoolsError(
            f"samples {np.shape(samples)} do not belong to truths {np.shape(truth)}: give (m, n) "
            "and (n,), or (m, n, d) and (n, d)"
        )


def ranks(samples, truth) -> np.ndarray:
    """Rank (n,) of the truth among the samples, 0 ... m: uniform if both have one distribution."""
    _check(samples, truth)
    return np.sum(np.asarray(samples) < truth, axis=0)


def pit(samples, truth, seed=0) -> np.ndarray:
    """Probability integral transform (n,), uniform if calibrated: (rank + U(0, 1)) / (m + 1)."""
    rank = ranks(samples, truth)
    return (rank + np.random.default_rng(seed).random(rank.shape)) / (len(samples) + 1)


def tarp(samples, truth, seed=0) -> np.ndarray:
    """PIT (n,) of the distance to a random point, for samples (m, n, d) (TARP, Lemos+ 2023).

    The point is the truth of another input; distances are in units of the truths' standard
    deviations. Unlike `pit` it is sensitive to correlations. A single input has no PIT.
    """
    _check(samples, truth)
    rng = np.random.default_rng(seed)
    n = len(truth)
    if n < 2:
        return np.empty(0)
    point = truth[(np.arange(n) + rng.integers(1, n, n)) % n]
    scale = np.std(truth, axis=0)
    sampled, true = (np.linalg.norm((x - point) / scale, axis=-1) for x in (samples, truth))
    return pit(sampled, true, [seed, n])


def crps(samples, truth) -> np.ndarray:
    """Continuous ranked probability score (n,) of samples (m, n)."""
    _check(samples, truth)
    m = len(samples)
    error = np.abs(samples - truth).mean(axis=0)
    if m == 1:
        return error
    weights = np.reshape(2 * np.arange(1, m + 1) - m - 1, (m,) + (1,) * (np.ndim(samples) - 1))
    return error - np.sum(weights * np.sort(samples, axis=0), axis=0) / (m * (m - 1))


def energy_score(samples, truth) -> np.ndarray:
    """Energy score (n,) of samples (m, n, d)."""
    _check(samples, truth)
    m = len(samples)
    error = np.linalg.norm(samples - truth, axis=-1).mean(axis=0)
    if m == 1:
        return error
    pairs = (np.linalg.norm(samples[k + 1 :] - samples[k], axis=-1).sum(0) for k in range(m - 1))
    return error - sum(pairs) / (m * (m - 1))


def spread_and_error(samples, truth) -> np.ndarray:
    """Variance of the samples times (m + 1) / m, and squared error of their mean: (2, n)."""
    _check(samples, truth)
    if (m := len(samples)) < 2:
        raise GaltoolsError("one sample has no spread: give at least two")
    variance = np.var(samples, axis=0, ddof=1) * (m + 1) / m
    return np.stack([variance, (np.mean(samples, axis=0) - truth) ** 2])


def spread_to_error(pairs) -> np.ndarray:
    """Spread-error ratio, from `spread_and_error` (2, ..., n): below 1 if overconfident."""
    return np.sqrt(intervals.ratio_of_means(pairs))


def shrunk(samples, factor=NARROW) -> np.ndarray:
    """Samples moved towards their mean by `factor`: overconfident, as a control."""
    mean = np.mean(samples, axis=0)
    return mean + factor * (samples - mean)


def pvalue(pit_values) -> float:
    """p-value of uniform PIT values (n,), by Kolmogorov and Smirnov; NaN without any."""
    return float(kstest(pit_values, "uniform").pvalue) if len(pit_values) else np.nan


def verdict(pit_values, control) -> Verdict:
    """Verdict on calibration from PIT values (n,), supported if the too narrow `control` fails."""
    if pvalue(pit_values) < LEVEL:
        return Verdict.CONTRADICTED
    return Verdict.SUPPORTED if pvalue(control) < LEVEL else Verdict.INCONCLUSIVE
