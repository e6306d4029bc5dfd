"""The toy against its closed form, and every learner against what it minimises."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest, wasserstein_distance
from torch import nn

from companion import toy
from galtools.errors import GaltoolsError

X = np.linspace(-0.9, 0.9, 40)


def exact_velocity(y, t, x):
    """Exact E[y_1 - e | (1 - t) e + t y_1 = y, x] of the flow from noise e to y_1.

    On the branch of centre c, y has variance v = (1 - t)^2 + t^2 s^2, and the expectation is
    c + (t s^2 - (1 - t)) (y - t c) / v; branches are weighted by their density at y.
    """
    variance = (1 - t) ** 2 + (t * toy.WIDTH) ** 2
    total, weights = 0, 0
    branches = (toy.upper(x), toy.branch(x)), (1 - toy.upper(x), -toy.branch(x))
    for probability, centre in branches:
        weight = probability * np.exp(-((y - t * centre) ** 2) / (2 * variance))
        velocity = centre + (t * toy.WIDTH**2 - (1 - t)) / variance * (y - t * centre)
        total, weights = total + weight * velocity, weights + weight
    return total / weights


@pytest.mark.parametrize("x", [-0.8, 0.1, 0.9])
def test_closed_form_agrees_with_its_density_and_with_samples(x):
    y = np.linspace(-3, 3, 2001)
    density = toy.density(y, x)
    assert np.trapezoid(density, y) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(y * density, y) == pytest.approx(toy.mean(x), abs=1e-6)
    samples = toy.sample_exact(np.full(100_000, x), 2)
    assert samples.mean() == pytest.approx(toy.mean(x), abs=0.015)


def test_pairs_follow_from_their_seed():
    np.testing.assert_array_equal(toy.pairs(5, 3), toy.pairs(5, 3))
    assert not np.array_equal(toy.pairs(5, 3), toy.pairs(5, 4))


def test_exact_velocity_is_the_mean_of_the_flow_target():
    """E[(y - e) g] = E[v g] for any function g of position and time."""
    rng = np.random.default_rng(0)
    x, y = toy.pairs(200_000, rng)
    e, t = rng.standard_normal(len(x)), rng.random(len(x))
    position = (1 - t) * e + t * y
    left = y - e - exact_velocity(position, t, x)
    for g in (np.ones_like(x), position, t * position, np.sign(position), x * position):
        assert abs(np.mean(left * g)) < 5 * np.std(left * g) / np.sqrt(len(x))


def test_following_the_exact_velocity_gives_the_exact_distribution():
    """The error of a trained flow is not that of the solver."""
    y = np.linspace(-3, 3, 3001)
    for x in (-0.7, 0.5):
        samples = toy.integrate_flow(
            exact_velocity, np.random.default_rng(1).standard_normal(4000), np.full(4000, x)
        )
        cdf = np.cumsum(toy.density(y, x)) * (y[1] - y[0])
        assert kstest(samples, lambda v, cdf=cdf: np.interp(v, y, cdf)).pvalue > 0.01


def test_straight_flow_is_followed_exactly():
    x = np.array([0.0, 1.0])
    np.testing.assert_allclose(toy.integrate_flow(lambda y, t, x: 2 * t + x, x, x), [1, 3])


def test_l2_learns_the_mean():
    squares = toy.train_learner("L2", 120)(X, 2)
    assert np.sqrt(np.mean((squares - toy.mean(X)) ** 2)) < 0.06
    np.testing.assert_array_equal(squares[0], squares[1])


def test_samplers_learn_the_distribution():
    """As far as so few steps go: the GAN halves the distance of an untrained one."""
    exact = toy.sample_exact(np.tile(X, 100), 5)
    distance = {}
    for name, steps in (("GAN", 1), ("GAN", 200), ("flow", 120)):
        distance[name, steps] = wasserstein_distance(
            toy.train_learner(name, steps)(X, 100).ravel(), exact
        )
    assert 2 * distance["GAN", 200] < distance["GAN", 1]
    assert distance["flow", 120] < 0.1


def test_flow_loss_is_lowest_at_the_velocity():
    """A network that gives the exact velocity scores better than one that is off by a tenth."""

    class Exact(nn.Module):
        def forward(self, z):
            y, t, x = z.numpy().T.astype(float)
            return torch.tensor(exact_velocity(y, t, x)[:, None] + self.off, dtype=torch.float32)

    x, y = (torch.tensor(v[:, None], dtype=torch.float32) for v in toy.pairs(50_000, 1))
    losses = []
    for off in (0.0, 0.1):
        torch.manual_seed(0)
        net = Exact()
        net.off = off
        losses.append(float(toy.flow_loss(net, x, y)))
    assert losses[1] - losses[0] == pytest.approx(0.01, abs=0.005)


def test_samples_are_made_once(tmp_path):
    path = tmp_path / "toy.h5"
    found = toy.samples_cached(path, 2, [0, 1], X, 3, 0)
    assert set(found) == {(name, k) for name in (*toy.LEARNERS, "exact") for k in (0, 1)}
    assert found["L2", 0].shape == (1, len(X))
    assert found["flow", 1].shape == found["exact", 0].shape == (3, len(X))
    before = path.stat().st_mtime_ns
    toy.samples_cached(path, 2, [0, 1], X, 3, 0)
    with pytest.raises(GaltoolsError, match="draw at least two"):
        toy.samples_cached(path, 2, [0, 1], X, 1, 0)
    assert path.stat().st_mtime_ns == before
