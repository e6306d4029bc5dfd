"""Answers beside the truth: draws of a model, or its answers to several images of a galaxy.

What is asked of them: whether they spread as they err, as nature does, and what averaging gains.
"""

import numpy as np
import pandas as pd

from companion.sample_statistics import QUANTITIES
from galtools.fidelity import calibration, intervals
from galtools.fidelity.intervals import Verdict

WORDS = {Verdict.SUPPORTED: "too wide", Verdict.CONTRADICTED: "too narrow"}
MEAN = "mean draw"
EXTRA = 0.05  # share of the error of infinitely many draws


def complete_rows(draws, *others):
    """Leave out galaxies that lack a number: draws (m, n, ...), others (n, ...)."""
    axes = (0, *range(2, np.ndim(draws)))
    good = np.isfinite(draws).all(axis=axes)
    for other in others:
        good &= np.isfinite(other).all(axis=tuple(range(1, np.ndim(other))))
    return draws[:, good], *(other[good] for other in others)


class PredictiveSamples:
    """Answers {(model, seed): (m, n, 13)} and, one a seed, what the true images show (n, 13).

    The truth may know more galaxies than have been asked for: the first ones count.
    """

    def __init__(self, drawn: dict, truth):
        """Keep both; the last axis holds `draws.QUANTITIES`."""
        self.drawn, self.truth = drawn, truth

    def raw(self, model: str, k: int, what):
        """Answers (m, n) and truth (n,) of a quantity, or (m, n, d), (n, d) of a slice of them."""
        column = QUANTITIES.index(what) if isinstance(what, str) else what
        drawn = self.drawn[model, k]
        return drawn[..., column], self.truth[k][: drawn.shape[1], column]

    def of(self, model: str, k: int, what):
        """Like `raw`, without the galaxies that lack a number."""
        return complete_rows(*self.raw(model, k, what))

    def scores(self, what, model: str = "diffusion") -> dict[tuple[str, int], np.ndarray]:
        """CRPS of every model, or energy score of several quantities: {(model, seed): (n,)}.

        The mean of the draws of one `model` is there as one more answer.
        """
        score = calibration.crps if isinstance(what, str) else calibration.energy_score
        known = {key: score(*self.raw(*key, what)) for key in self.drawn}
        for k in {k for name, k in self.drawn if name == model}:
            many, true = self.raw(model, k, what)
            known[MEAN, k] = score(many.mean(axis=0, keepdims=True), true)
        return known


def width_verdict(ratios) -> str:
    """Say of ratios (one Estimate a seed) whether all lie above one, or all below."""
    found = {intervals.verdict(ratio, (1, np.inf)) for ratio in ratios}
    return WORDS.get(found.pop(), calibration.WORDS[2]) if len(found) == 1 else calibration.WORDS[2]


def width_verdicts(estimates: dict) -> dict:
    """Give the `word` on each thing of {(thing, seed): Estimate}."""
    things = dict.fromkeys(thing for thing, _ in estimates)
    return {
        x: width_verdict([e for (thing, _), e in estimates.items() if thing == x]) for x in things
    }


def rank_verdict(test, draws, truth, seed: int = 0) -> str:
    """Verdict of a `test`, `calibration.pit` or `tarp`, on draws.

    In the control that it has to notice, the first draw plays the truth for the others, narrowed.
    """
    control = test(calibration.shrunk(draws[1:]), draws[0], seed)
    return calibration.verdict(test(draws, truth, seed), control)


def limit_of_averages(draws, truth) -> np.ndarray:
    """Variance V of draws (m, n), and squared error of the mean of infinitely many: (2, n).

    The mean of K draws misses by E (mean_K - y)^2 = M + V / K, whatever law they follow.
    """
    spread, error = calibration.spread_and_error(draws, truth)
    variance = spread * len(draws) / (len(draws) + 1)
    return np.stack([variance, error - variance / len(draws)])


def samples_needed(x):
    """Statistic of `limit_of_averages`: draws whose mean has `EXTRA` more squared error than M."""
    return intervals.ratio_of_means(x) / EXTRA


def repeat_variance(first, second) -> np.ndarray:
    """Variance (n,) of what two independent looks at a galaxy show: (a - b)^2 / 2."""
    return (np.asarray(first) - second) ** 2 / 2


def variance_vs_repeat(draws, noise) -> np.ndarray:
    """Variances of draws (m, n) and of two looks (n,), side by side for `spread_to_error`."""
    return np.stack([np.var(draws, axis=0, ddof=1), noise[: draws.shape[1]]])


def irreducible_sigma(table: pd.DataFrame, quantity: str, seed: int) -> tuple[float, float, float]:
    """What an SDSS image leaves open of a quantity by the chapter on nature's spread.

    Standard deviation and interval, by the better of its ways to find look-alikes; an upper limit.
    """
    part = table[
        (table.quantity == quantity) & (table.component == "explained") & (table.seed == seed)
    ]
    best = part.loc[part.value.idxmax()]
    shares = 1 - best[["value", "high", "low"]].to_numpy(float)
    return tuple(best.sigma * np.sqrt(np.maximum(shares, 0)))


def ratio_to_limit(spread: intervals.Estimate, limit) -> intervals.Estimate:
    """Ratio of a spread to an independent (value, low, high), with the widest of intervals."""
    value, low, high = (
        a / b if b > 0 else np.nan
        for a, b in zip(
            (spread.value, spread.low, spread.high), np.take(limit, [0, 2, 1]), strict=True
        )
    )
    return intervals.Estimate(value, low, high, spread.n)
