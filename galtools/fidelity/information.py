"""Information about redshift, in bits, and how sources of it overlap.

The information of a density p(z | image) is the prior entropy less the cross-entropy,

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
from scipy.special import ndtr

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, tabulate

FLOOR = 1e-6  # least probability of a bin


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
    found = np.maximum(density[np.arange(len(z)), number], FLOOR)
    return np.log2(found) - np.log2(prior_density[number])


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
    metrics = {
        name: Metric(tuple("abc"), lambda x, k=k: _parts(x)[k], 0, name)
        for k, name in enumerate(names)
    }
    return tabulate(measured, metrics, ["bits"], "information", n_boot, seed)


def _parts(x) -> tuple:
    a, b, both = np.maximum(np.mean(x, axis=-1), 0)
    redundant = np.minimum(a, b)
    return redundant, a - redundant, b - redundant, both - a - b + redundant


def subsets(sources) -> list[tuple[str, ...]]:
    """All non-empty subsets of the sources, in a fixed order."""
    return [some for k in range(1, len(sources) + 1) for some in combinations(sources, k)]
