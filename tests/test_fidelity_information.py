"""Bits against the closed forms of Gaussian channels and of exact densities."""

import numpy as np
import pytest

from galtools.errors import GaltoolsError
from galtools.fidelity import information, intervals

EDGES = np.linspace(-6, 6, 601)
RNG = np.random.default_rng(0)


def channel(noise, n=20_000, seed=1):
    """A standard normal z, seen with noise: the exact posterior is a normal law."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    seen = z + noise * rng.normal(size=n)
    shrink = 1 / (1 + noise**2)
    return z, shrink * seen, noise * np.sqrt(shrink)


def normal_prior():
    return information.gaussian_density([0.0], 1.0, EDGES)[0]


@pytest.mark.parametrize("noise", [0.2, 1.0, 3.0])
def test_bits_of_a_gaussian_channel(noise):
    """Shannon: I = log2(1 + 1 / noise^2) / 2."""
    z, mean, scatter = channel(noise)
    density = information.gaussian_density(mean, scatter, EDGES)
    found = information.bits(density, z, EDGES, normal_prior()).mean()
    assert found == pytest.approx(0.5 * np.log2(1 + noise**-2), abs=0.03)


def test_the_prior_itself_tells_nothing():
    z = RNG.uniform(0, 0.4, 1000)
    edges = np.linspace(0, 0.4, 21)
    prior = information.prior(z, edges)
    same = np.tile(prior, (1000, 1))
    np.testing.assert_allclose(information.bits(same, z, edges, prior), 0, atol=1e-12)


def test_certainty_tells_the_entropy_of_the_prior():
    edges = np.linspace(0, 1, 9)
    z = (np.arange(800) % 8 + 0.5) / 8
    density = np.eye(8)[np.arange(800) % 8]
    found = information.bits(density, z, edges, np.full(8, 1 / 8))
    np.testing.assert_allclose(found, 3)


def test_an_overconfident_estimator_misleads():
    z, mean, scatter = channel(1.0)
    density = information.gaussian_density(mean, scatter / 20, EDGES)
    assert information.bits(density, z, EDGES, normal_prior()).mean() < 0


def test_decomposition_of_known_sources():
    """A copy adds nothing; two noisy looks at an independent half each add their own."""
    n = 2000
    a, zero = np.full(n, 1.5), np.zeros(n)
    value = information.decompose(a, a, a, 20).set_index("metric").value
    assert (value["redundant"], value["synergy"], value["unique_first"]) == (1.5, 0, 0)
    value = information.decompose(zero, zero, np.ones(n), 20).set_index("metric").value
    assert (value["redundant"], value["synergy"]) == (0, 1)  # exclusive or
    value = information.decompose(a, zero, a, 20).set_index("metric").value
    assert (value["unique_first"], value["unique_second"]) == (1.5, 0)


def test_parts_add_up_to_the_whole():
    first, second, both = RNG.uniform(0.2, 1, (3, 500))
    table = information.decompose(first, second, both, 50)
    assert table.value.sum() == pytest.approx(both.mean())


def test_share_retained_and_suspicion():
    source = RNG.normal(2, 0.5, 800)
    half = source / 2
    share = intervals.estimate(intervals.ratio_of_means, information.retained(half, source))
    assert share.value == pytest.approx(0.5)
    assert not information.suspicious(half, source)
    assert information.suspicious(source + 0.2, source)


def test_bad_input():
    edges = np.linspace(0, 0.4, 5)
    density, prior = np.full((2, 4), 0.25), np.full(4, 0.25)
    with pytest.raises(GaltoolsError, match="widen"):
        information.bits(density, [0.1, 0.5], edges, prior)
    with pytest.raises(GaltoolsError, match="shape"):
        information.bits(density, [0.1], edges, prior)
