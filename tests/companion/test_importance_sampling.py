"""Posteriors by modes and by draws, in a linear world where everything is known exactly."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import genpareto, kstest, multivariate_normal, norm

from companion import importance_sampling
from galtools.redshift import Grid, crps, cumulative

RNG = np.random.default_rng(5)
D = 3  # latents
PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)  # of the types
SLOPES = torch.from_numpy(RNG.normal(size=(4, D)) + np.eye(4, D))
NOISE = torch.tensor([0.6, 0.8, 1.1], dtype=torch.float64)  # by type


class Standard:
    """Latents are standard normal, whatever the type."""

    @staticmethod
    def log_prior(x, kind):
        constant = 0.5 * x.shape[-1] * math.log(2 * math.pi)
        return PRIOR[kind].log() - 0.5 * x.square().sum(-1) - constant

    @staticmethod
    def prior_terms(x, kind):
        return -x, torch.eye(x.shape[1], dtype=x.dtype).expand(len(x), -1, -1)

    @staticmethod
    def keep_inside(x):
        return x


def world(n: int, seed: int = 0):
    """True latents and types of n galaxies, their data y = A x + noise, and their posterior."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, D, generator=generator, dtype=torch.float64)
    kind = torch.multinomial(PRIOR, n, True, generator=generator)
    error = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    y = x @ SLOPES.T + NOISE[kind, None] * error
    precision = (torch.eye(4, dtype=torch.float64) / NOISE[:, None, None] ** 2)[:, None]

    def residual(at, _, galaxy):
        return at @ SLOPES.T - y[galaxy]

    return x, kind, y, importance_sampling.Target(residual, precision.expand(3, n, 4, 4), Standard)


def closed_form(y):
    """Mean (types, n, D), covariance (types, D, D) and ln p(type, y) (types, n)."""
    means, covariances, evidence = [], [], []
    for prior, noise in zip(PRIOR, NOISE, strict=True):
        covariance = torch.linalg.inv(torch.eye(D) + SLOPES.T @ SLOPES / noise**2)
        means.append(y @ SLOPES @ covariance / noise**2)
        covariances.append(covariance)
        total = SLOPES @ SLOPES.T + noise**2 * torch.eye(4)
        law = multivariate_normal(np.zeros(4), total.numpy())
        evidence.append(prior.log() + torch.from_numpy(law.logpdf(y.numpy())))
    return torch.stack(means), torch.stack(covariances), torch.stack(evidence)


def begin(n: int):
    """Start at zero, once for each type."""
    return torch.zeros(n, 3, D, dtype=torch.float64), torch.arange(3).expand(n, 3)


@pytest.fixture(scope="module")
def explored():
    _, _, y, target = world(12)
    return y, importance_sampling.sample_posterior(target, *begin(12), draws=4000, points=8)


def test_local_posterior_is_the_closed_form(explored):
    y, (_, modes) = explored
    mean, covariance, evidence = closed_form(y)
    np.testing.assert_allclose(modes.centre, mean.permute(1, 0, 2), atol=1e-6, rtol=0)
    np.testing.assert_allclose(modes.width, covariance.expand(12, 3, D, D), atol=1e-9, rtol=0)
    best, rows = evidence.argmax(0), torch.arange(12)
    found = importance_sampling.laplace_approximation(modes)
    np.testing.assert_allclose(found[0], mean[best, rows, 0], atol=1e-6, rtol=0)
    np.testing.assert_allclose(found[1], covariance[best, 0, 0].sqrt(), atol=1e-6, rtol=0)


def test_draws_give_evidence_types_and_moments(explored):
    y, (draws, _) = explored
    mean, covariance, evidence = closed_form(y)
    np.testing.assert_allclose(draws.log_evidence, evidence.logsumexp(0), atol=0.06)
    share = evidence.softmax(0)
    for kind in range(3):
        found = (draws.weight * (draws.kind == kind)).sum(1)
        np.testing.assert_allclose(found, share[kind], atol=0.05)
    middle = (share * mean[..., 0]).sum(0)
    variance = (share * (covariance[:, None, 0, 0] + mean[..., 0] ** 2)).sum(0) - middle**2
    found = importance_sampling.posterior_moments(draws)
    assert ((found[0] - middle).abs() / variance.sqrt()).max() < 0.1  # five times 1 / sqrt(2500)
    np.testing.assert_allclose(found[1], variance.sqrt(), rtol=0.1)
    assert draws.good.all()
    assert (draws.effective > 1500).all()


def test_posteriors_of_draws_from_the_prior_are_calibrated_and_narrower_ones_are_not():
    """Of 2000 galaxies the truth lies evenly in the posteriors; not if they are 20 % too narrow."""
    x, _, _, target = world(2000, seed=3)
    draws = importance_sampling.mixture_at_modes(target, *begin(2000)).draw(target, 120, seed=1)
    centre = importance_sampling.posterior_moments(draws)[0][:, None]

    def evenness(factor):
        shown = centre + factor * (draws.x[..., 0] - centre)
        return kstest((draws.weight * (shown < x[:, :1])).sum(1).numpy(), "uniform").pvalue

    assert evenness(1.0) > 0.01
    assert evenness(0.8) < 1e-3


def test_density_is_the_normal_law_that_was_drawn_from():
    grid = Grid()
    z = 0.2 + 0.02 * torch.from_numpy(RNG.standard_normal((4, 4000, 1)))
    draws = importance_sampling.WeightedSamples(
        z, torch.zeros(4, 4000, dtype=torch.long), torch.zeros(4, 4000)
    )
    density = importance_sampling.binned_density(draws, grid.edges)
    np.testing.assert_allclose(density.sum(1), 1)
    at = np.full(4, 0.21)
    np.testing.assert_allclose(cumulative(density, at, grid), norm.cdf(0.5), atol=0.03)
    expected = 0.02 * (0.5 * (2 * norm.cdf(0.5) - 1) + 2 * norm.pdf(0.5) - 1 / math.sqrt(math.pi))
    np.testing.assert_allclose(crps(density, at, grid), expected, rtol=0.08)


@pytest.mark.parametrize("index", [0.2, 0.9])
def test_pareto_index_of_known_tails(index):
    weight = genpareto(index).rvs((20, 4000), random_state=1)
    assert importance_sampling.pareto_index(np.log(weight)).mean() == pytest.approx(index, abs=0.08)


def test_a_proposal_far_too_narrow_is_refused():
    draws = torch.from_numpy(RNG.standard_normal((5, 2000, 6)))
    log_weight = 0.5 * draws.square().sum(2) * (1 - 0.3**2)  # drawn with 0.3 of the true width
    zero = torch.zeros(5, 2000, dtype=torch.long)
    assert not importance_sampling.WeightedSamples(draws, zero, log_weight).good.any()
