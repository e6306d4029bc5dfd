"""Are the draws of a model drawn from the right law? Scores, ranks and coverage that tell.

Draws have shape (m, n), m of them for each of n inputs, or (m, n, d) for d quantities at once; the
truth has shape (n,) or (n, d). Whatever is returned has a value for each input, so that intervals
come from resampling the inputs. With X, X' independent draws and y the truth,

    CRPS          E|X - y| - E|X - X'| / 2,
    energy score  E||X - y|| - E||X - X'|| / 2       (Gneiting and Raftery 2007),

are both smallest on average for the law of the truth, and estimated here without bias: their mean
does not depend on m. One draw is a point prediction: its score is its error.
"""

import numpy as np
from scipy.special import kolmogorov

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

LEVEL = 0.01  # below this p-value ranks are not those of a calibrated model
NARROW = 0.8  # the control that a test of calibration has to find: draws 20 % too alike
WORDS = ("calibrated", "not calibrated", "too small to tell")


def _check(draws, truth) -> None:
    if np.shape(draws)[1:] != np.shape(truth):
        raise GaltoolsError(
            f"draws {np.shape(draws)} do not belong to truths {np.shape(truth)}: give (m, n) and "
            "(n,), or (m, n, d) and (n, d)"
        )


def ranks(draws, truth) -> np.ndarray:
    """Number of draws below the truth: 0 ... m, equally often each if both follow one law."""
    _check(draws, truth)
    return np.sum(np.asarray(draws) < truth, axis=0)


def pit(draws, truth, seed=0) -> np.ndarray:
    """Place of the truth among the draws, made continuous: (rank + u) / (m + 1), u ~ U(0, 1).

    Uniform between 0 and 1 if truth and draws follow one law, whatever the law: the probability
    integral transform, with draws for a distribution.
    """
    found = ranks(draws, truth)
    return (found + np.random.default_rng(seed).random(found.shape)) / (len(draws) + 1)


def tarp(draws, truth, seed=0) -> np.ndarray:
    """Place of the truth among draws (m, n, d) by the distance to a random point (Lemos+ 2023).

    The point is the truth of another input, which knows nothing of this one; distances are in
    units of the truths' scatter. Uniform like `pit` if truth (n, d) and draws follow one law, and,
    unlike it, also at odds with one if only the correlations are wrong. Where there is no other
    input, there are no places.
    """
    _check(draws, truth)
    random = np.random.default_rng(seed)
    n = len(truth)
    if n < 2:
        return np.empty(0)
    point = truth[(np.arange(n) + random.integers(1, n, n)) % n]
    scale = np.std(truth, axis=0)
    far, true = (np.linalg.norm((x - point) / scale, axis=-1) for x in (draws, truth))
    return pit(far, true, [seed, n])


def coverage(places, levels) -> np.ndarray:
    """How often the truth lies in the central share `levels` of the draws, from places (n,).

    Gives (levels, n) of 0 and 1, whose mean over the inputs equals the level if calibrated.
    """
    return (np.abs(2 * places - 1) <= np.asarray(levels)[:, None]).astype(float)


def crps(draws, truth) -> np.ndarray:
    """Continuous ranked probability score (n,) of draws (m, n)."""
    _check(draws, truth)
    m = len(draws)
    error = np.abs(draws - truth).mean(axis=0)
    if m == 1:
        return error
    weights = np.reshape(2 * np.arange(1, m + 1) - m - 1, (m,) + (1,) * (np.ndim(draws) - 1))
    return error - np.sum(weights * np.sort(draws, axis=0), axis=0) / (m * (m - 1))


def energy_score(draws, truth) -> np.ndarray:
    """Energy score (n,) of draws (m, n, d)."""
    _check(draws, truth)
    m = len(draws)
    error = np.linalg.norm(draws - truth, axis=-1).mean(axis=0)
    if m == 1:
        return error
    apart = sum(np.linalg.norm(draws[k + 1 :] - draws[k], axis=-1).sum(0) for k in range(m - 1))
    return error - apart / (m * (m - 1))


def spread_and_error(draws, truth) -> np.ndarray:
    """Variance of the draws, times (m + 1) / m, and squared error of their mean: (2, n).

    Their means over the inputs are equal if calibrated; see `spread_to_error`.
    """
    _check(draws, truth)
    m = len(draws)
    if m < 2:
        raise GaltoolsError("one draw has no spread: draw at least two")
    spread = np.var(draws, axis=0, ddof=1) * (m + 1) / m
    return np.stack([spread, (np.mean(draws, axis=0) - truth) ** 2])


def spread_to_error(pairs) -> np.ndarray:
    """Spread of the draws over the error of their mean, from `spread_and_error` (2, ..., n).

    1 if calibrated, below 1 if too sure, above 1 if not sure enough.
    """
    return np.sqrt(intervals.ratio_of_means(pairs))


def shrunk(draws, factor=NARROW) -> np.ndarray:
    """Draws moved together about their mean: a model that is 20 % too sure, as a control."""
    centre = np.mean(draws, axis=0)
    return centre + factor * (draws - centre)


def pvalue(places) -> float:
    """Chance that uniform places (n,) look as uneven as these (Kolmogorov and Smirnov).

    With D the largest distance of the cumulative shares from the even ones, the law of
    (sqrt n + 0.12 + 0.11 / sqrt n) D is the asymptotic one nearly from the start (Stephens 1970).
    """
    places = np.sort(places)
    n = len(places)
    if n == 0:
        return np.nan
    steps = np.arange(n + 1) / n
    far = max(np.max(steps[1:] - places), np.max(places - steps[:-1]))
    return float(kolmogorov((np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n)) * far))


def verdict(places, control) -> str:
    """Judge places (n,); a pass counts only if the test saw that the `control` is too narrow."""
    if pvalue(places) < LEVEL:
        return WORDS[1]
    return WORDS[0] if pvalue(control) < LEVEL else WORDS[2]


def consensus(verdicts) -> str:
    """Say what all seeds say with one voice, or that they cannot tell."""
    return verdicts[0] if len(set(verdicts)) == 1 else WORDS[2]


def errors_of_averages(draws, truth, sizes) -> dict[int, np.ndarray]:
    """Squared error (n,) of means of K draws, for each K of `sizes`.

    Over as many groups of K draws as there are, since one group may be lucky.
    """
    if max(sizes) > len(draws):
        raise GaltoolsError(f"{max(sizes)} draws are asked for, {len(draws)} were made")
    found = {}
    for size in sizes:
        count = len(draws) // size
        groups = np.asarray(draws[: count * size]).reshape(count, size, *np.shape(truth))
        found[size] = ((groups.mean(axis=1) - truth) ** 2).mean(axis=0)
    return found
