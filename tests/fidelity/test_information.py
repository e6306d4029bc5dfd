"""Bits against the closed forms of Gaussian channels and of exact densities."""

import numpy as np
import pytest

from galtools.errors import GaltoolsError
from galtools.fidelity import information

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
    found = information.information_bits(density, z, EDGES, normal_prior()).mean()
    assert found == pytest.approx(0.5 * np.log2(1 + noise**-2), abs=0.03)


def test_the_prior_itself_tells_nothing():
    z = RNG.uniform(0, 0.4, 1000)
    edges = np.linspace(0, 0.4, 21)
    prior = information.prior(z, edges)
    same = np.tile(prior, (1000, 1))
    np.testing.assert_allclose(information.information_bits(same, z, edges, prior), 0, atol=1e-12)


def test_no_bin_of_the_prior_is_empty():
    """Half a galaxy more in each of four bins: 2.5, 0.5, 1.5 and 0.5 of 5."""
    found = information.prior([0.01, 0.05, 0.25], np.linspace(0, 0.4, 5))
    np.testing.assert_allclose(found, [0.5, 0.1, 0.3, 0.1])


def test_certainty_tells_the_entropy_of_the_prior():
    edges = np.linspace(0, 1, 9)
    z = (np.arange(800) % 8 + 0.5) / 8
    density = np.eye(8)[np.arange(800) % 8]
    found = information.information_bits(density, z, edges, np.full(8, 1 / 8))
    np.testing.assert_allclose(found, 3)


def test_an_overconfident_estimator_misleads():
    z, mean, scatter = channel(1.0)
    density = information.gaussian_density(mean, scatter / 20, EDGES)
    assert information.information_bits(density, z, EDGES, normal_prior()).mean() < 0


def test_parts_add_up_to_the_whole():
    first, second, both = RNG.uniform(0.2, 1, (3, 500))
    table = information.decompose(first, second, both, 50)
    assert table.value.sum() == pytest.approx(both.mean())


def test_bad_input():
    edges = np.linspace(0, 0.4, 5)
    density, prior = np.full((2, 4), 0.25), np.full(4, 0.25)
    with pytest.raises(GaltoolsError, match="widen"):
        information.information_bits(density, [0.1, 0.5], edges, prior)
    with pytest.raises(GaltoolsError, match="shape"):
        information.information_bits(density, [0.1], edges, prior)


def counted_bits(seen, z):
    """Bits of the densities that counting gives: p(z | seen) of discrete variables."""
    joint = np.zeros((seen.max() + 1, z.max() + 1))
    np.add.at(joint, (seen, z), 1)
    told = joint[seen, z] / joint[seen].sum(axis=1)
    return np.log2(told) - np.log2(np.bincount(z)[z] / len(z))


GATES = {  # what two independent fair bits do to z: redundant, unique a, unique b, synergy
    "exclusive or": (lambda a, b: a ^ b, (0, 0, 0, 1)),
    "copy of a": (lambda a, b: a, (0, 1, 0, 0)),
    "both, side by side": (lambda a, b: 2 * a + b, (1, 0, 0, 1)),  # minimum mutual information
    "and": (lambda a, b: a & b, (0.3113, 0, 0, 0.5)),  # H(1/4) = .8113; I_a = H(1/4) - 1/2
}


@pytest.mark.parametrize("name", GATES)
def test_decomposition_of_gates(name):
    gate, expected = GATES[name]
    a, b = np.divmod(np.arange(4000) % 4, 2)
    z = gate(a, b)
    bits_of = [counted_bits(seen, z) for seen in (a, b, 2 * a + b)]
    found = information.decompose(*bits_of, 20).set_index("metric").value
    parts = [found[k] for k in ("redundant", "unique_first", "unique_second", "synergy")]
    assert parts == pytest.approx(expected, abs=1e-4)


def test_decomposition_of_two_noisy_looks():
    """Independent noise s: I = log2(1 + sum 1 / s^2) / 2 of each and of both together."""
    rng, n = np.random.default_rng(4), 6000
    z = rng.normal(size=n)
    noise = np.array([0.5, 1.0])
    looks = z[:, None] + noise * rng.normal(size=(n, 2))

    def bits_of(chosen):
        weight = 1 / noise[chosen] ** 2
        precision = 1 + weight.sum()
        mean = looks[:, chosen] @ weight / precision
        density = information.gaussian_density(mean, precision**-0.5, EDGES)
        return information.information_bits(density, z, EDGES, normal_prior())

    found = information.decompose(bits_of([0]), bits_of([1]), bits_of([0, 1]), 20)
    found = found.set_index("metric").value
    first, second, both = (0.5 * np.log2(1 + total) for total in (4, 1, 5))
    assert found["redundant"] == pytest.approx(second, abs=0.03)
    assert found["unique_first"] == pytest.approx(first - second, abs=0.03)
    assert found["unique_second"] == 0
    assert found["synergy"] == pytest.approx(both - first, abs=0.03)
