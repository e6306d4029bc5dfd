"""Metrics of densities: calibrated ones pass, narrow ones do not; bits against closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from galtools.errors import GaltoolsError
from galtools.fidelity import redshifts
from galtools.redshift import Grid

GRID = Grid()
N, SIGMA = 3000, 0.015
# mass in each bin of a uniform law from 0.1 to 0.3 plus a normal one
PRIOR = np.diff(norm.cdf(GRID.edges, np.linspace(0.1, 0.3, 801)[:, None], SIGMA).mean(axis=0))


def entropy(p):
    """In bits."""
    return -(p[p > 0] * np.log2(p[p > 0])).sum()


def sample(width=1.0, shift=0.0, seed=0):
    """Gaussian densities whose width is `width` times the true error; their judgement."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.1, 0.3, N)
    z = centres + SIGMA * rng.normal(size=N)
    density = np.diff(norm.cdf(GRID.edges, centres[:, None] + shift, width * SIGMA), axis=1)
    density = np.maximum(density, 1e-9)
    prior = np.maximum(PRIOR, 1e-12)
    return z, redshifts.measure(density / density.sum(1, keepdims=True), z, GRID, prior, 0.05)


def values(table, column="value"):
    return table.set_index("metric")[column]


def test_scores_of_gaussian_densities():
    z, judged = sample()
    found = values(redshifts.tabulate(judged, "frozen", n_boot=50))
    assert found["crps"] == pytest.approx(SIGMA / np.sqrt(np.pi), rel=0.03)
    dz = SIGMA / (1 + z)  # the scatter of galaxy k; their median deviation solves a mixture
    scatter = 1.4826 * np.median(np.abs(np.random.default_rng(9).normal(size=(400, 1)) * dz))
    assert found["sigma_mad"] == pytest.approx(scatter, rel=0.06)
    assert found["bias"] == pytest.approx(0, abs=4 * SIGMA / np.sqrt(N))
    assert found["outliers"] == pytest.approx(np.mean(2 * norm.sf(0.05 / dz)), abs=2e-3)


def test_bits_of_gaussian_densities():
    """Entropy of the prior, a smeared uniform law, less that of the errors."""
    _, judged = sample()
    expected = entropy(PRIOR) - np.log2(SIGMA * np.sqrt(2 * np.pi * np.e) / (GRID.z_max / 180))
    assert judged["bits"].mean() == pytest.approx(expected, abs=0.04)


def test_coverage_passes_when_calibrated_and_fails_a_fifth_too_narrow():
    held = {}
    for width in (1.0, 0.8):
        table = redshifts.tabulate(sample(width)[1], "frozen", n_boot=200).set_index("metric")
        line = table.loc["coverage"]
        held[width] = line.low <= redshifts.ONE_SIGMA <= line.high
        assert line.value == pytest.approx(1 - 2 * norm.sf(width), abs=0.03)
    assert held == {1.0: True, 0.8: False}


def test_scatter_over_estimator_seeds():
    members = [sample(shift=shift)[1] for shift in (-0.01, 0.0, 0.01)]
    z, judged = sample()
    table = values(redshifts.tabulate(judged, "frozen", members, n_boot=20), "seed_scatter")
    assert table["bias"] == pytest.approx(0.01 * np.mean(1 / (1 + z)), rel=0.01)
    alone = values(redshifts.tabulate(judged, "frozen", n_boot=20), "seed_scatter")
    assert alone.isna().all()


def test_coverage_of_a_flat_density():
    """F = z / z_max: from 0.1587 to 0.8413 of the range."""
    flat, position = np.full((4, 10), 0.1), np.array([0.158, 0.160, 0.840, 0.842])
    found = redshifts.measure(flat, 0.4 * position, Grid(10, 0.4), np.full(10, 0.1), 0.05)
    assert found["covered"][:, 0].tolist() == [False, True, True, False]


@pytest.mark.parametrize("skew", [False, True])
def test_the_median_error_vanishes_at_fixed_estimate_and_regresses_at_fixed_truth(skew):
    """The median estimate of a calibrated density, symmetric or exponential, with known slopes."""
    rng = np.random.default_rng(0)
    n, width = 40_000, 0.02
    estimate = 0.2 + width * rng.normal(size=n)
    noise = rng.exponential(size=n) - np.log(2) if skew else rng.normal(size=n)  # median zero
    z = estimate + width * noise
    by_estimate, by_truth = (
        redshifts.bias_in_bins(estimate - z, by, bins=8, n_boot=50) for by in (estimate, z)
    )
    assert by_estimate.n.tolist() == [n // 8] * 8 and by_estimate.centre.is_monotonic_increasing
    assert np.abs(by_estimate.value).max() < 4 * 1.26 * width / np.sqrt(n / 8)
    assert by_truth.value.iloc[0] > 0.3 * width and by_truth.value.iloc[-1] < -0.3 * width
    if not skew:  # E[estimate | z] halves the distance to the mean
        np.testing.assert_allclose(by_truth.value, 0.5 * (0.2 - by_truth.centre), atol=0.0015)
    assert (by_truth.low <= by_truth.value).all() and (by_truth.value <= by_truth.high).all()


# --- information in bits

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
    return redshifts.gaussian_density([0.0], 1.0, EDGES)[0]


@pytest.mark.parametrize("noise", [0.2, 1.0, 3.0])
def test_bits_of_a_gaussian_channel(noise):
    """Shannon: I = log2(1 + 1 / noise^2) / 2."""
    z, mean, scatter = channel(noise)
    density = redshifts.gaussian_density(mean, scatter, EDGES)
    found = redshifts.information_bits(density, z, EDGES, normal_prior()).mean()
    assert found == pytest.approx(0.5 * np.log2(1 + noise**-2), abs=0.03)


def test_the_prior_itself_tells_nothing():
    z = RNG.uniform(0, 0.4, 1000)
    edges = np.linspace(0, 0.4, 21)
    prior = redshifts.prior(z, edges)
    same = np.tile(prior, (1000, 1))
    np.testing.assert_allclose(redshifts.information_bits(same, z, edges, prior), 0, atol=1e-12)


def test_no_bin_of_the_prior_is_empty():
    """Half a galaxy more in each of four bins: 2.5, 0.5, 1.5 and 0.5 of 5."""
    found = redshifts.prior([0.01, 0.05, 0.25], np.linspace(0, 0.4, 5))
    np.testing.assert_allclose(found, [0.5, 0.1, 0.3, 0.1])


def test_certainty_tells_the_entropy_of_the_prior():
    edges = np.linspace(0, 1, 9)
    z = (np.arange(800) % 8 + 0.5) / 8
    density = np.eye(8)[np.arange(800) % 8]
    found = redshifts.information_bits(density, z, edges, np.full(8, 1 / 8))
    np.testing.assert_allclose(found, 3)


def test_an_overconfident_estimator_misleads():
    z, mean, scatter = channel(1.0)
    density = redshifts.gaussian_density(mean, scatter / 20, EDGES)
    assert redshifts.information_bits(density, z, EDGES, normal_prior()).mean() < 0


def test_parts_add_up_to_the_whole():
    first, second, both = RNG.uniform(0.2, 1, (3, 500))
    table = redshifts.decompose(first, second, both, 50)
    assert table.value.sum() == pytest.approx(both.mean())


def test_bad_input():
    edges = np.linspace(0, 0.4, 5)
    density, prior = np.full((2, 4), 0.25), np.full(4, 0.25)
    with pytest.raises(GaltoolsError, match="widen"):
        redshifts.information_bits(density, [0.1, 0.5], edges, prior)
    with pytest.raises(GaltoolsError, match="shape"):
        redshifts.information_bits(density, [0.1], edges, prior)


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
    found = redshifts.decompose(*bits_of, 20).set_index("metric").value
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
        density = redshifts.gaussian_density(mean, precision**-0.5, EDGES)
        return redshifts.information_bits(density, z, EDGES, normal_prior())

    found = redshifts.decompose(bits_of([0]), bits_of([1]), bits_of([0, 1]), 20)
    found = found.set_index("metric").value
    first, second, both = (0.5 * np.log2(1 + total) for total in (4, 1, 5))
    assert found["redundant"] == pytest.approx(second, abs=0.03)
    assert found["unique_first"] == pytest.approx(first - second, abs=0.03)
    assert found["unique_second"] == 0
    assert found["synergy"] == pytest.approx(both - first, abs=0.03)
