"""Predictive samples against the truth: is their scatter that of their errors, and of nature?

Samples come from a model, or are its answers to several observations of a galaxy.
"""

import numpy as np
import pandas as pd

from companion.sample_statistics import QUANTITIES
from galtools.fidelity import calibration, intervals
from galtools.fidelity.intervals import Verdict

WIDTH = {  # of samples, by the verdict on a ratio above 1
    Verdict.SUPPORTED: "too wide",
    Verdict.CONTRADICTED: "too narrow",
    Verdict.INCONCLUSIVE: "inconclusive",
}
MEAN = "mean sample"
EXCESS = 0.05  # of the squared error of infinitely many samples


def complete_rows(samples, *others):
    """Leave out galaxies that lack a number: samples (m, n, ...), others (n, ...)."""
    good = np.isfinite(samples).all(axis=(0, *range(2, np.ndim(samples))))
    for other in others:
        good &= np.isfinite(other).all(axis=tuple(range(1, np.ndim(other))))
    return samples[:, good], *(other[good] for other in others)


class PredictiveSamples:
    """Samples {(model, seed): (m, n, 13)} of `QUANTITIES`, and the truth of each seed (n, 13).

    The truth may have more galaxies than have samples: the first ones count.
    """

    def __init__(self, samples: dict, truth):
        """Keep both."""
        self.samples, self.truth = samples, truth

    def raw(self, model: str, k: int, what):
        """Samples (m, n) and truth (n,) of a quantity, or (m, n, d), (n, d) of a slice of them."""
        column = QUANTITIES.index(what) if isinstance(what, str) else what
        samples = self.samples[model, k]
        return samples[..., column], self.truth[k][: samples.shape[1], column]

    def of(self, model: str, k: int, what):
        """Like `raw`, without the galaxies that lack a number."""
        return complete_rows(*self.raw(model, k, what))

    def scores(self, what, model: str = "diffusion") -> dict[tuple[str, int], np.ndarray]:
        """CRPS of every model, or energy score of several quantities: {(model, seed): (n,)}.

        The mean sample of `model` is there as one more answer.
        """
        score = calibration.crps if isinstance(what, str) else calibration.energy_score
        known = {key: score(*self.raw(*key, what)) for key in self.samples}
        for k in {k for name, k in self.samples if name == model}:
            samples, true = self.raw(model, k, what)
            known[MEAN, k] = score(samples.mean(axis=0, keepdims=True), true)
        return known

    def spread_to_error(self, model: str, k: int, what: str, n_boot: int, seed: int = 0):
        """Estimate of the ratio of the samples' scatter to the error of their mean."""
        pairs = calibration.spread_and_error(*self.of(model, k, what))
        return intervals.bootstrap(calibration.spread_to_error, pairs, n_boot, seed)

    def rank_verdict(self, test, what, model: str = "diffusion", seed: int = 0) -> str:
        """Verdict of all seeds of a `test`, `calibration.pit` or `tarp`, on the samples.

        In the control that it has to notice, the first sample is the truth of the others, shrunk.
        """
        verdicts = []
        for samples, truth in (self.of(*key, what) for key in self.samples if key[0] == model):
            control = test(calibration.shrunk(samples[1:]), samples[0], seed)
            verdicts.append(calibration.verdict(test(samples, truth, seed), control))
        return intervals.consensus(verdicts)


def width_verdicts(ratios: dict) -> dict:
    """Verdict of all seeds on each thing of {(thing, seed): Estimate} that its ratio is above 1."""
    found = {}
    for (thing, _), ratio in ratios.items():
        found.setdefault(thing, []).append(intervals.verdict(ratio, (1, np.inf)))
    return {thing: intervals.consensus(verdicts) for thing, verdicts in found.items()}


def limit_of_averages(samples, truth) -> np.ndarray:
    """Variance V of samples (m, n), and squared error of the mean of infinitely many: (2, n).

    The mean of K samples misses by E (mean_K - y)^2 = M + V / K, whatever their distribution.
    """
    variance, error = calibration.spread_and_error(samples, truth)
    variance *= len(samples) / (len(samples) + 1)
    return np.stack([variance, error - variance / len(samples)])


def samples_needed(x):
    """Statistic of `limit_of_averages`: samples whose mean has `EXCESS` more error than M."""
    return intervals.ratio_of_means(x) / EXCESS


def variance_vs_repeat(samples, first, second) -> np.ndarray:
    """Variance of samples (m, n) and of two observations (>= n,), for `spread_to_error`: (2, n)."""
    noise = (first - second) ** 2 / 2
    return np.stack([np.var(samples, axis=0, ddof=1), noise[: samples.shape[1]]])


def irreducible_sigma(table: pd.DataFrame, quantity: str, seed: int) -> np.ndarray:
    """Scatter of a quantity that an SDSS image leaves open: value, low and high; an upper limit.

    From the table of the chapter on nature's spread, by the better of its two ways.
    """
    rows = (table.quantity == quantity) & (table.component == "explained") & (table.seed == seed)
    best = table.loc[table[rows].value.idxmax()]
    unexplained = 1 - best[["value", "high", "low"]].to_numpy(float)
    return best.sigma * np.sqrt(np.maximum(unexplained, 0))


def ratio_to_limit(sigma: intervals.Estimate, limit) -> intervals.Estimate:
    """Ratio of a scatter to an independent (value, low, high), with the widest of intervals."""
    ends = [sigma.value, sigma.low, sigma.high]
    return intervals.Estimate(*intervals.divide(ends, np.take(limit, [0, 2, 1])), sigma.n)
