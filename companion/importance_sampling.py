"""Posteriors of latent variables by adaptive importance sampling.

The data of galaxy i have Gaussian errors about what its latents x and its type t predict,

    ln p(x, t | data) = ln p(x, t) - 1/2 r' P r + const,   r = residual(x, t) of galaxy i.

Near a mode the curvature is J'PJ plus that of the prior: the Fisher information and the prior's
own. Samples from a mixture of Student's t distributions about several modes, weighted by p / q,
give the posterior itself, up to their number. Wide components among the narrow ones bound the
weights (defensive mixture, Hesterberg 1995); the largest weights are replaced by quantiles of a
Pareto distribution, whose index k tells whether their mean exists (Vehtari et al. 2024). Posteriors
are refused where k is large, effective samples (sum w)^2 / sum w^2 are few, or halves of the
samples disagree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from arviz_stats.base import array_stats
from scipy.ndimage import gaussian_filter1d
from scipy.special import gammaln, logsumexp, ndtr, softmax

TAILS = 5.0  # degrees of freedom of the proposals
WIDER = 1.15  # than the Laplace approximation are the proposals
DEFENSIVE = 2.0  # times wider still are the defensive components
MIN_EFFECTIVE, MAX_PARETO = 50, 0.7  # effective samples and Pareto index of a reliable posterior
MAX_DIVERGENCE = 0.1  # bits between two densities that agree
FLOOR = 0.02  # added to the weight of each component before normalisation
FRACTIONS = 0.7, 0.2, 0.1  # of the samples: about samples, about modes, from defensive components
BLOCK = 2000  # samples at a time: what fits the processor's cache
FINE, BATCHES = 8, 10  # cells in a bin of the density, subsets that give its error
POWERS = np.array([1.0, 0.7, 0.5, 0.35, 0.25, 0.15])  # that temper the weights
TAIL_POWER = 0.3  # a: weights of half of the points times exp(a u^2), u = (z - mean) / sigma
FARTHEST = 4.5  # largest u
ITERATIONS = 12  # of the optimiser
STEP = 1e-3  # of the differences that give the Jacobian
TAIL_WIDTH = 3.0  # width of what no sample has met, in units of the posterior's
BANDWIDTH = 0.6  # of Silverman's: what smooths samples into a density


@dataclass
class Target:
    """Posterior of the latents x (n, s, d) and types (n, s) of n galaxies, s points for each."""

    residual: Callable  # (x, kind) -> (n, s, D)
    precision: np.ndarray  # (n, D, D): P
    prior: object  # with log_prior, prior_terms and keep_inside

    def log_density(self, x, kind):
        """ln p(x, t) p(data | x, t), (n, s)."""
        off = self.residual(x, kind)
        distance = (off @ self.precision * off).sum(-1)
        log_norm = 0.5 * np.linalg.slogdet(self.precision / (2 * np.pi))[1]
        return self.prior.log_prior(x, kind) - 0.5 * distance + log_norm[:, None]

    def terms(self, x, kind):
        """Gradient (n, s, d) of the log density, and its curvature (n, s, d, d) J'PJ + prior's."""
        ends = [
            self.residual(x + step, kind) - self.residual(x - step, kind)
            for step in STEP * np.eye(x.shape[-1])
        ]
        jacobian = np.stack(ends, axis=-1) / (2 * STEP)
        weighted = jacobian.mT @ self.precision[:, None]
        gradient, curvature = self.prior.prior_terms(x, kind)
        pull = (weighted @ self.residual(x, kind)[..., None])[..., 0]
        return gradient - pull, curvature + weighted @ jacobian


def find_modes(target: Target, x, kind):
    """Modes (n, s, d) uphill of x by damped Gauss-Newton steps, with their log density (n, s)."""
    damping = np.full((*kind.shape, 1), 1e-2)
    height = target.log_density(x, kind)
    for _ in range(ITERATIONS):
        gradient, curvature = target.terms(x, kind)
        diagonal = np.diagonal(curvature, axis1=-2, axis2=-1)
        damped = curvature + (damping * diagonal)[..., None] * np.eye(x.shape[-1])
        there = target.prior.keep_inside(x + np.linalg.solve(damped, gradient[..., None])[..., 0])
        new = target.log_density(there, kind)
        better = new > height
        x, height = np.where(better[..., None], there, x), np.where(better, new, height)
        damping = np.clip(damping * np.where(better, 1 / 6, 6)[..., None], 1e-4, 1e4)
    return x, height


@dataclass
class WeightedSamples:
    """Samples x (n, s, d) of types (n, s) with ln weights ln p / q (n, s)."""

    x: np.ndarray
    kind: np.ndarray
    log_weight: np.ndarray

    def __getitem__(self, rows) -> "WeightedSamples":
        """Select galaxies and samples."""
        return WeightedSamples(self.x[rows], self.kind[rows], self.log_weight[rows])

    @cached_property
    def smoothed(self) -> tuple[np.ndarray, np.ndarray]:
        """Pareto-smoothed log weights (n, s) and their index k (n,), infinite without a tail."""
        below = self.log_weight.max(axis=1, keepdims=True) - self.log_weight
        below = np.minimum(below, 700)
        log_weight, index = -below, np.full(len(below), np.inf)
        for i, row in enumerate(below):
            if len(np.unique(row)) > len(row) // 5:
                log_weight[i], index[i] = array_stats.psislw(row)
        return log_weight, index

    @cached_property
    def weight(self) -> np.ndarray:
        """Normalised weights (n, s), Pareto-smoothed."""
        return softmax(self.smoothed[0], axis=1)

    @property
    def effective(self) -> np.ndarray:
        """Effective number of samples, (n,)."""
        return 1 / (self.weight**2).sum(axis=1)

    @property
    def good(self) -> np.ndarray:
        """Galaxies (n,) with enough effective samples and weights whose mean exists."""
        return (self.effective > MIN_EFFECTIVE) & (self.smoothed[1] < MAX_PARETO)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (n,) of the first latent."""
        z = self.x[..., 0]
        mean = (self.weight * z).sum(axis=1)
        variance = (self.weight * (z - mean[:, None]) ** 2).sum(axis=1)
        return mean, np.sqrt(np.maximum(variance, 1e-18))

    def density(self, edges):
        """Probability (n, bins) of the first latent between `edges`, error, divergence of halves.

        A kernel density with a fraction of Silverman's bandwidth 1.06 sigma n^(-1/5). As n
        effective samples miss what has a probability below 1 / n, so much goes to a normal
        distribution `TAIL_WIDTH` times as wide as the posterior. The standard error (n, bins) is
        that of the number of samples, from the scatter between `BATCHES` of them; the divergence
        (n,) is that of every second sample from the others.
        """
        mean, scatter = self.moments()
        width = BANDWIDTH * 1.06 * scatter * np.maximum(self.effective, 1) ** -0.2
        parts = np.stack([self._batches(i, edges, width[i]) for i in range(len(mean))])
        total = parts.sum(axis=1)
        total /= np.maximum(total.sum(axis=1, keepdims=True), 1e-300)
        off = parts - total[:, None] * parts.sum(axis=2, keepdims=True)
        error = np.sqrt(BATCHES / (BATCHES - 1) * (off**2).sum(axis=1))
        apart = divergence(*(parts[:, k::2].sum(axis=1) for k in range(2)))
        missed = (1 / (1 + self.effective))[:, None]
        tail = ndtr((edges - mean[:, None]) / (TAIL_WIDTH * scatter[:, None] + 1e-9))
        mass = (1 - missed) * total + missed * np.diff(tail, axis=1)
        return mass / np.maximum(mass.sum(axis=1, keepdims=True), 1e-300), error, apart

    def _batches(self, galaxy: int, edges, width: float) -> np.ndarray:
        """Smoothed mass (batches, bins) of every so many samples of a galaxy."""
        cells = np.linspace(edges[0], edges[-1], FINE * (len(edges) - 1) + 1)
        z, weight = self.x[galaxy, :, 0], self.weight[galaxy]
        batch = np.arange(len(z)) % BATCHES
        ends = np.arange(BATCHES + 1) - 0.5
        mass = np.histogram2d(batch, z, (ends, cells), weights=weight)[0]
        smooth = gaussian_filter1d(mass, width / (cells[1] - cells[0]), axis=1, mode="constant")
        return smooth.reshape(BATCHES, -1, FINE).sum(axis=2)


def divergence(first, second) -> np.ndarray:
    """Mean of the two Kullback-Leibler divergences (n,) of densities (n, bins), in bits."""
    first, second = (
        p / np.maximum(p.sum(axis=1, keepdims=True), 1e-300) + 1e-9 for p in (first, second)
    )
    return 0.5 * ((first - second) * np.log2(first / second)).sum(axis=1)


@dataclass
class Mixture:
    """Student's t distributions of n galaxies, k components each, of one type per component."""

    mean: np.ndarray  # (n, k, d)
    covariance: np.ndarray  # (n, k, d, d), of the Laplace approximation; the proposals are wider
    kind: np.ndarray  # (n, k)
    weight: np.ndarray  # (n, k), sum one

    @cached_property
    def lower(self) -> np.ndarray:
        """Cholesky factors (n, k, d, d) of the proposals."""
        return np.linalg.cholesky(WIDER**2 * self.covariance)

    @cached_property
    def whiten(self) -> np.ndarray:
        """Inverse of these."""
        return np.linalg.inv(self.lower)

    def log_prob(self, x, kind) -> np.ndarray:
        """ln q(x, t), (n, s), of x (n, s, d) of types (n, s)."""
        d = x.shape[-1]
        log_q = np.log(self.weight) + np.linalg.slogdet(self.whiten)[1]
        log_q += gammaln((TAILS + d) / 2) - gammaln(TAILS / 2) - d / 2 * np.log(TAILS * np.pi)
        terms = []
        for k in range(self.kind.shape[1]):  # one by one: less memory
            distance = (((x - self.mean[:, k, None]) @ self.whiten[:, k].mT) ** 2).sum(-1)
            value = log_q[:, k, None] - (TAILS + d) / 2 * np.log1p(distance / TAILS)
            terms.append(np.where(kind == self.kind[:, k, None], value, -np.inf))
        return logsumexp(terms, axis=0)

    def sample(self, target: Target, count: int, rng: np.random.Generator) -> WeightedSamples:
        """Sample the mixture `count` times for each galaxy, weighted for the target."""
        size, parts = max(BLOCK // len(self.kind), 1), []
        for first in range(0, count, size):
            x, kind = self._sample(min(size, count - first), rng)
            log_weight = target.log_density(x, kind) - self.log_prob(x, kind)
            parts.append((x, kind, np.nan_to_num(log_weight, nan=-np.inf)))
        return WeightedSamples(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))

    def _sample(self, count: int, rng: np.random.Generator):
        rows = np.arange(len(self.kind))[:, None]
        chosen = choose(self.weight, count, rng)
        normal = rng.standard_normal((*chosen.shape, self.mean.shape[-1], 1))
        step = (self.lower[rows, chosen] @ normal)[..., 0]
        step *= np.sqrt(TAILS / rng.chisquare(TAILS, chosen.shape))[..., None]
        return self.mean[rows, chosen] + step, self.kind[rows, chosen]


def choose(weight, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random columns (n, count), with probabilities (n, k)."""
    return np.stack([rng.choice(len(row), count, p=row) for row in weight])


def mixture_at_modes(target: Target, start, kind) -> Mixture:
    """Climb from starts (n, k, d): a component at each mode, weighted by its Laplace evidence."""
    x, height = find_modes(target, target.prior.keep_inside(start), kind)
    covariance = np.linalg.inv(target.terms(x, kind)[1])
    evidence = height + 0.5 * np.linalg.slogdet(covariance)[1]
    weight = softmax(evidence, axis=1) + FLOOR
    return Mixture(x, covariance, kind, weight / weight.sum(axis=1, keepdims=True))


def tempered_weights(log_weight, enough: int) -> np.ndarray:
    """Weights (n, s) to the highest power that leaves `enough` effective samples, normalised."""
    weight = softmax(POWERS[:, None, None] * log_weight, axis=2)
    reached = 1 / (weight**2).sum(axis=2) >= enough
    reached[-1] = True
    return weight[reached.argmax(axis=0), np.arange(len(log_weight))]


def refined_mixture(target, modes: Mixture, samples, points: int, rng):
    """Mixture about `points` of the samples, chosen by their weights, and about the modes."""
    weight = tempered_weights(samples.log_weight, points)
    mean, scatter = (moment[:, None] for moment in samples.moments())
    far = np.clip((samples.x[..., 0] - mean) / scatter, -FARTHEST, FARTHEST)
    tails = softmax(np.log(weight + 1e-300) + TAIL_POWER * far**2, axis=1)
    chosen = [choose(weight, points - points // 2, rng), choose(tails, points // 2, rng)]
    rows, chosen = np.arange(len(weight))[:, None], np.concatenate(chosen, axis=1)
    x, kind = samples.x[rows, chosen], samples.kind[rows, chosen]
    covariance = np.linalg.inv(target.terms(x, kind)[1])
    near, own, wide = FRACTIONS
    return Mixture(
        np.concatenate([x, modes.mean, modes.mean], axis=1),
        np.concatenate([covariance, modes.covariance, DEFENSIVE**2 * modes.covariance], axis=1),
        np.concatenate([kind, modes.kind, modes.kind], axis=1),
        np.concatenate(
            [np.full(kind.shape, near / points), own * modes.weight, wide * modes.weight], axis=1
        ),
    )


def sample_posterior(target: Target, start, kind, count: int, points: int = 24, seed: int = 0):
    """Samples of the posterior; two rounds adapt the proposal, the third counts."""
    modes = mixture = mixture_at_modes(target, start, kind)
    rng = np.random.default_rng(seed)
    for _ in range(2):
        samples = mixture.sample(target, max(count // 4, 2 * points), rng)
        mixture = refined_mixture(target, modes, samples, points, rng)
    return mixture.sample(target, count, rng)
