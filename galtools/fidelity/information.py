"""Information about redshift, in bits, and how sources of it overlap.

What a density p(z | image) tells is the prior entropy less the cross-entropy,

    I = mean over galaxies of log2 p(z_k | image_k) - log2 p(z_k),

a lower bound on the mutual information that is reached when the estimator is perfect. It is
negative if an estimator misleads. Two sources of information A and B are taken apart as

    redundant = min(I_A, I_B),  unique_A = I_A - redundant,  unique_B = I_B - redundant,
    synergy   = I_AB - I_A - I_B + redundant,

the decomposition of minimum mutual information. For Gaussian variables and one number to predict,
every decomposition whose redundancy follows from the two pairs alone is this one (Barrett 2015).

Of more than two sources, each accounts for a *share* of the whole: what it adds, averaged over all
orders in which the sources can be opened (Shapley 1953). Shares add up to the whole.
"""

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import ndtr

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, tabulate

FLOOR = 1e-6  # probability of a bin below which nothing is taken for certain


def prior(redshift, edges) -> np.ndarray:
    """Histogram of the training redshifts in the bins of the densities, sum one, no bin empty."""
    counts = np.histogram(redshift, edges)[0] + 0.5
    return counts / counts.sum()


def information_bits(density, redshift, edges, prior_density) -> np.ndarray:
    """Information of every galaxy, log2 p(z | image) - log2 p(z): (n,).

    `density` (n, bins) holds probabilities of bins between `edges`; a redshift outside is an
    error, since no density could have foreseen it.
    """
    z = np.asarray(redshift, float)
    if density.shape != (len(z), len(edges) - 1):
        raise GaltoolsError(
            f"densities have shape {density.shape}: {len(z)} galaxies and {len(edges) - 1} bins"
        )
    if (z < edges[0]).any() or (z >= edges[-1]).any():
        raise GaltoolsError(f"redshifts must lie in [{edges[0]}, {edges[-1]}): widen the bins")
    number = np.searchsorted(edges, z, side="right") - 1
    told = np.maximum(density[np.arange(len(z)), number], FLOOR)
    return np.log2(told) - np.log2(prior_density[number])


def gaussian_density(mean, scatter, edges) -> np.ndarray:
    """Densities (n, bins) of a normal law of the given mean and standard deviation, sum one."""
    mean, scatter = np.broadcast_arrays(np.asarray(mean, float), scatter)
    cumulative = ndtr((edges[None] - mean[:, None]) / scatter[:, None])
    mass = np.maximum(np.diff(cumulative, axis=1), FLOOR)
    return mass / mass.sum(axis=1, keepdims=True)


def retained(of_translation, of_source) -> np.ndarray:
    """Share of the source's information that is left, for `intervals.estimate`: (2, n)."""
    return np.stack([of_translation, of_source])


def exceeds_source(of_translation, of_source, n_boot=intervals.N_BOOT, seed=0) -> bool:
    """Tell whether a translation seems to know more than its source, which it cannot."""
    gain = intervals.paired_difference(intervals.mean, of_translation, of_source, n_boot, seed)
    return bool(gain.low > 0)


def decompose(first, second, both, n_boot=intervals.N_BOOT, seed=0):
    """Redundant, unique and synergistic information of two sources: a tidy table.

    `first`, `second`, `both` are bits per galaxy (n,) of estimators that saw one source, the other,
    or both. Negative means, of sources that only mislead, count as no information.
    """
    stacked = np.stack([first, second, both])
    parts = {
        "redundant": lambda x: _parts(x)[0],
        "unique_first": lambda x: _parts(x)[1],
        "unique_second": lambda x: _parts(x)[2],
        "synergy": lambda x: _parts(x)[3],
    }
    measured = {name: row[:, None] for name, row in zip("abc", stacked, strict=True)}
    metrics = {name: Metric(("a", "b", "c"), part, 0, name) for name, part in parts.items()}
    return tabulate(measured, metrics, ["bits"], "information", n_boot, seed)


def _parts(x) -> tuple:
    a, b, both = np.maximum(np.mean(x, axis=-1), 0)
    redundant = np.minimum(a, b)
    return redundant, a - redundant, b - redundant, both - a - b + redundant


def subsets(sources) -> list[tuple[str, ...]]:
    """All non-empty choices of the sources, in a fixed order."""
    return [some for k in range(1, len(sources) + 1) for some in combinations(sources, k)]


def shapley(bits_of: dict[tuple, np.ndarray], n_boot=intervals.N_BOOT, seed=0):
    """Share of each source in the information of all of them: a tidy table, one metric a source.

    `bits_of` maps every one of `subsets` to bits per galaxy (n,) of an estimator that saw it. With
    N sources, source k has the share  sum over S without k of (I_{S+k} - I_S) / (N C(N - 1, |S|)).
    """
    sources = max(bits_of, key=len)
    if set(bits_of) != set(subsets(sources)):
        raise GaltoolsError(f"shares of {', '.join(sources)} need the bits of all their subsets")
    names = {some: "+".join(some) for some in bits_of}
    measured = {names[some]: np.asarray(values)[:, None] for some, values in bits_of.items()}

    def share(source):
        def statistic(x):
            mean = dict(zip(bits_of, np.mean(x, axis=-1), strict=True)) | {(): 0.0}
            return sum(
                (mean[_with(some, source, sources)] - mean[some])
                / (len(sources) * comb(len(sources) - 1, len(some)))
                for some in mean
                if source not in some
            )

        return statistic

    metrics = {k: Metric(tuple(names.values()), share(k), 0, f"share of {k}") for k in sources}
    return tabulate(measured, metrics, ["bits"], "information", n_boot, seed)


def _with(some: tuple, source: str, order: tuple) -> tuple:
    """Add a source to a subset, in the order of the whole."""
    return tuple(one for one in order if one in some or one == source)
