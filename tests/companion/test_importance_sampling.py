"""Posteriors by modes and by samples, in a linear world where everything is known exactly."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import kstest, multivariate_normal, norm

from companion import importance_sampling
from galtools.redshift import Grid, crps, cumulative

RNG = np.random.default_rng(5)
D = 3  # latents
PRIOR = np.array([0.5, 0.3, 0.2])  # of the types
NOISE = 0.7
SLOPES = (RNG.normal(size=(4, D)) + np.eye(4, D)) * [[[1.1]], [[0.9]], [[0.7]]]  # by type


class Standard:
    """Latents are standard normal, whatever the type."""

    @staticmethod
    def log_prior(x, kind):
        constant = 0.5 * x.shape[-1] * math.log(2 * math.pi)
        return np.log(PRIOR)[kind] - 0.5 * (x**2).sum(-1) - constant

    @staticmethod
    def prior_terms(x, kind):
        return -x, np.broadcast_to(np.eye(D), (*x.shape, D))

    @staticmethod
    def keep_inside(x):
        return x


def world(n: int, seed: int = 0):
    """True latents of n galaxies, their data y = A x + noise, and their posterior."""
    rng = np.random.default_rng(seed)
    x, kind = rng.standard_normal((n, D)), rng.choice(3, n, p=PRIOR)
    y = (SLOPES[kind] @ x[..., None])[..., 0] + NOISE * rng.standard_normal((n, 4))
    precision = np.tile(np.eye(4) / NOISE**2, (n, 1, 1))

    def residual(at, kind):
        return (SLOPES[kind] @ at[..., None])[..., 0] - y[:, None]

    return x, y, importance_sampling.Target(residual, precision, Standard)


def closed_form(y):
    """Mean (types, n, D), covariance (types, D, D) and ln p(type, y) (types, n)."""
    means, covariances, evidence = [], [], []
    for prior, slopes in zip(PRIOR, SLOPES, strict=True):
        covariance = np.linalg.inv(np.eye(D) + slopes.T @ slopes / NOISE**2)
        means.append(y @ slopes @ covariance / NOISE**2)
        covariances.append(covariance)
        total = slopes @ slopes.T + NOISE**2 * np.eye(4)
        evidence.append(np.log(prior) + multivariate_normal(np.zeros(4), total).logpdf(y))
    return np.stack(means), np.stack(covariances), np.stack(evidence)


def begin(n: int):
    """Start at zero, once for each type."""
    return np.zeros((n, 3, D)), np.tile(np.arange(3), (n, 1))


@pytest.fixture(scope="module")
def explored():
    _, y, target = world(12)
    return y, importance_sampling.sample_posterior(target, *begin(12), count=4000, points=8)


def test_local_posterior_is_the_closed_form(explored):
    y, _ = explored
    modes = importance_sampling.mixture_at_modes(world(12)[2], *begin(12))
    mean, covariance, _ = closed_form(y)
    np.testing.assert_allclose(modes.mean, mean.transpose(1, 0, 2), atol=1e-6, rtol=0)
    expected = np.broadcast_to(covariance, (12, 3, D, D))
    np.testing.assert_allclose(modes.covariance, expected, atol=1e-9, rtol=0)


def test_samples_give_evidence_types_and_moments(explored):
    y, samples = explored
    mean, covariance, evidence = closed_form(y)
    found = logsumexp(samples.log_weight, axis=1) - np.log(4000)
    np.testing.assert_allclose(found, logsumexp(evidence, axis=0), atol=0.06)
    share = softmax(evidence, axis=0)
    for kind in range(3):
        found = (samples.weight * (samples.kind == kind)).sum(1)
        np.testing.assert_allclose(found, share[kind], atol=0.05)
    middle = (share * mean[..., 0]).sum(0)
    variance = (share * (covariance[:, None, 0, 0] + mean[..., 0] ** 2)).sum(0) - middle**2
    found = samples.moments()
    off = np.abs(found[0] - middle) / np.sqrt(variance)
    assert off.max() < 0.1  # five times 1 / sqrt(2500)
    np.testing.assert_allclose(found[1], np.sqrt(variance), rtol=0.1)
    assert samples.good.all()
    assert (samples.effective > 0.9 * 1200).all()  # a tenth of the samples is defensive


@pytest.mark.slow
def test_posteriors_are_calibrated_and_narrower_ones_are_not():
    """Of 2000 galaxies the truth lies evenly in the posteriors; not if they are 20 % too narrow."""
    x, _, target = world(2000, seed=3)
    modes = importance_sampling.mixture_at_modes(target, *begin(2000))
    samples = modes.sample(target, 120, np.random.default_rng(1))
    centre = samples.moments()[0][:, None]

    def evenness(factor):
        shown = centre + factor * (samples.x[..., 0] - centre)
        return kstest((samples.weight * (shown < x[:, :1])).sum(1), "uniform").pvalue

    assert evenness(1.0) > 0.01
    assert evenness(0.8) < 1e-3


def test_density_is_the_normal_distribution_that_was_sampled():
    grid, zero = Grid(), np.zeros((4, 4000))
    z = 0.2 + 0.02 * RNG.standard_normal((4, 4000, 1))
    almost = 1e-3 * RNG.standard_normal(zero.shape)  # equal weights have no tail to be smoothed
    samples = importance_sampling.WeightedSamples(z, zero.astype(int), almost)
    density, error, apart = samples.density(grid.edges)
    np.testing.assert_allclose(density.sum(1), 1)
    at = np.full(4, 0.21)
    np.testing.assert_allclose(cumulative(density, at, grid), norm.cdf(0.5), atol=0.03)
    expected = 0.02 * (0.5 * (2 * norm.cdf(0.5) - 1) + 2 * norm.pdf(0.5) - 1 / math.sqrt(math.pi))
    np.testing.assert_allclose(crps(density, at, grid), expected, rtol=0.08)
    peak = density.argmax(1)[:, None]
    p, sigma = (np.take_along_axis(x, peak, 1)[:, 0] for x in (density, error))
    assert (sigma < 1.7 * np.sqrt(p * (1 - p) / 4000)).all()  # counts in a bin, smoothed
    assert (apart < importance_sampling.MAX_DIVERGENCE).all()


def test_two_runs_and_the_exact_density_agree_within_the_stated_error():
    _, y, target = world(40, seed=8)
    mean, covariance, evidence = closed_form(y)
    edges, share = np.linspace(-3, 3, 31), softmax(evidence, axis=0)
    scaled = (edges - mean[..., :1]) / np.sqrt(covariance[:, None, :1, 0])
    exact = np.einsum("tn,tne->ne", share, np.diff(norm.cdf(scaled), axis=-1))
    runs = [
        importance_sampling.sample_posterior(target, *begin(40), 4000, 8, seed) for seed in (0, 1)
    ]
    (first, error, _), (second, other, _) = (run.density(edges) for run in runs)
    likely = exact > 0.03
    for off, sigma in ((first - exact, error), (first - second, np.hypot(error, other))):
        assert 0.7 < np.sqrt(((off[likely] / sigma[likely]) ** 2).mean()) < 1.4
    assert (importance_sampling.divergence(first, second) < 0.02).all()


def test_divergence_of_normal_densities_and_runs_that_found_other_modes():
    edges = np.linspace(-8, 8, 1601)
    first, second = (np.diff(norm.cdf(edges, mean))[None] for mean in (0, 0.5))
    expected = 0.5**2 / 2 / np.log(2)
    np.testing.assert_allclose(importance_sampling.divergence(first, second), expected, rtol=1e-3)
    _, _, target = world(12)
    start, kind = begin(12)
    runs = [
        importance_sampling.sample_posterior(target, start[:, [k]], kind[:, [k]], 1000, 8)
        for k in (0, 2)
    ]
    assert all(run.good.all() for run in runs)  # no run can see what it has missed
    apart = importance_sampling.divergence(*(run.density(edges[::20])[0] for run in runs))
    assert (apart > importance_sampling.MAX_DIVERGENCE).any()


class Narrow(importance_sampling.Target):
    """A target that claims to be twenty times as narrow as it is."""

    def terms(self, x, kind):
        gradient, curvature = super().terms(x, kind)
        return gradient, 400 * curvature


def test_a_proposal_far_too_narrow_is_refused():
    _, _, target = world(6)
    narrow = Narrow(target.residual, target.precision, target.prior)
    assert not importance_sampling.sample_posterior(narrow, *begin(6), 2000, 8).good.any()
    x = RNG.standard_normal((5, 2000, 6))
    log_weight = 0.5 * (x**2).sum(2) * (1 - 0.3**2)  # proposed with 0.3 of the true width
    kind = np.zeros((5, 2000), int)
    assert not importance_sampling.WeightedSamples(x, kind, log_weight).good.any()


def test_a_single_sample_with_all_the_weight_is_refused():
    log_weight = np.full((2, 400), -np.inf)
    log_weight[:, 7] = 0
    x = np.full((2, 400, 1), 0.1)
    x[1] = 9.0  # outside the grid
    samples = importance_sampling.WeightedSamples(x, np.zeros((2, 400), int), log_weight)
    assert not samples.good.any()
    density, _, _ = samples.density(Grid().edges)
    assert np.isfinite(density).all()
