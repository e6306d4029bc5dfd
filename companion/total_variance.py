"""The law of total variance for a quantity T of target images, given source images S.

Given the galaxy, T and S are independent, and

    Var T  =  E Var(T | galaxy)  +  E Var(E[T | galaxy] | S)  +  Var E[T | S]
              noise                 degeneracy                   explained

Noise follows from K observations of each galaxy, degeneracy from other galaxies with similar source
images: a weighted mean over them, sum w T, predicts T. If it is unbiased and sum w = 1,

    E (T - sum w T)^2 = Var(T | S) (1 + sum w^2),

which corrects for their finite number, effectively 1 / sum w^2. All estimates are unbiased: a
component that vanishes comes out negative as often as positive.
"""

import numpy as np

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

COMPONENTS = ("noise", "degeneracy", "explained")


def variance_terms(values, predicted, sum_squared_weights) -> np.ndarray:
    """Terms (5, n) of `variance_components` for each galaxy, from K observations (K, n) of T.

    `predicted` (J, n) are predictions from J source images, `sum_squared_weights` (J, n) belong to
    them; NaN marks missing observations. All J x K pairs count, since the noise of source and
    target is independent. The terms are mean and variance of T over observations, whether there
    are two, the squared error of the prediction over 1 + sum w^2, and 1 / K.
    """
    values, predicted = np.asarray(values, float), np.asarray(predicted, float)
    observed = np.isfinite(values)
    counts = observed.sum(0)
    if counts.max(initial=0) < 2:
        raise GaltoolsError("noise shows only in a second observation: observe galaxies again")
    squared = (values[None] - predicted[:, None]) ** 2 / (1 + np.asarray(sum_squared_weights))[
        :, None
    ]
    finite = np.isfinite(squared)
    error = intervals.divide(np.where(finite, squared, 0).sum((0, 1)), finite.sum((0, 1)))
    mean = np.where(observed, values, 0).sum(0) / counts
    deviation = np.where(observed, values - mean, 0)
    variance = (deviation**2).sum(0) / np.maximum(counts - 1, 1)
    return np.stack([mean, variance, counts > 1, error, 1 / counts])


def variance_components(terms) -> dict[str, np.ndarray]:
    """Variances by `COMPONENTS`, from `variance_terms` (5, ..., n).

    One-way random-effects analysis of variance. With s^2 the variance between observations of a
    galaxy, e^2 the corrected squared error, and K the number of observations,

        noise = <s^2>,   degeneracy = <e^2> - noise,
        explained = Var mean - noise <1/K> - degeneracy.
    """
    mean, variance, repeated, error, per_observation = np.asarray(terms, float)
    noise = intervals.divide(variance.sum(-1), repeated.sum(-1))
    galaxies = mean.var(-1, ddof=1) - noise * per_observation.mean(-1)
    degeneracy = error.mean(-1) - noise
    return {"noise": noise, "degeneracy": degeneracy, "explained": galaxies - degeneracy}


def fraction_of(component: str, *less: str):
    """Statistic for `intervals.bootstrap`: fraction of a component, minus those of others."""

    def statistic(terms):
        parts = variance_components(terms)
        difference = parts[component] - sum(parts[name] for name in less)
        return intervals.divide(difference, sum(parts.values()))

    return statistic
