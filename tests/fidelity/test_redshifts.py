"""Judging redshift densities: calibrated by construction passes, a fifth too narrow does not."""

import numpy as np
import pytest
from scipy.stats import norm

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
    found = values(redshifts.summarise(judged, "frozen", n_boot=50))
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
        table = redshifts.summarise(sample(width)[1], "frozen", n_boot=200).set_index("metric")
        line = table.loc["coverage"]
        held[width] = line.low <= redshifts.ONE_SIGMA <= line.high
        assert line.value == pytest.approx(1 - 2 * norm.sf(width), abs=0.03)
    assert held == {1.0: True, 0.8: False}


def test_scatter_over_estimator_seeds():
    members = [sample(shift=shift)[1] for shift in (-0.01, 0.0, 0.01)]
    z, judged = sample()
    table = values(redshifts.summarise(judged, "frozen", members, n_boot=20), "seed_scatter")
    assert table["bias"] == pytest.approx(0.01 * np.mean(1 / (1 + z)), rel=0.01)
    alone = values(redshifts.summarise(judged, "frozen", n_boot=20), "seed_scatter")
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
