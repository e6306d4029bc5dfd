"""Densities from fluxes against channels whose information and calibration are known."""

import numpy as np
import pytest
from scipy.stats import t as student

from galtools import redshift
from galtools.errors import GaltoolsError
from galtools.fidelity import information
from galtools.mapping.fluxes import FluxRedshift, log_student

EDGES = np.linspace(0, 0.4, 181)


def channel(n, noise, seed):
    """log(1 + z) seen with Gaussian noise, beside a feature that knows nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.15, 0.03, n).clip(0.01, 0.33)
    return np.column_stack([truth + noise * rng.normal(size=n), rng.normal(size=n)]), np.expm1(
        truth
    )


def prior():
    """The true prior: the histogram of a small sample would be worse, and seem to be beaten."""
    z = np.expm1(np.random.default_rng(3).normal(0.15, 0.03, 10**6))
    return information.prior(z.clip(0.01, 0.39), EDGES)


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_bits_reach_the_capacity_of_a_gaussian_channel(noise):
    """Shannon: I = log2(1 + 0.03^2 / noise^2) / 2; boosting comes within a tenth of a bit below."""
    learn, test = channel(3000, noise, 1), channel(3000, noise, 2)
    density = FluxRedshift(*learn).density(test[0], EDGES)
    found = information.bits(density, test[1], EDGES, prior()).mean()
    exact = 0.5 * np.log2(1 + 0.03**2 / noise**2)
    assert exact - 0.12 < found < exact + 0.03


def test_densities_are_calibrated():
    learn, test = channel(2000, 0.02, 4), channel(3000, 0.02, 5)
    density = FluxRedshift(*learn).density(test[0], EDGES)
    pit = redshift.cumulative(density, test[1], redshift.Grid())
    assert np.abs(np.histogram(pit, 5, (0, 1))[0] / len(pit) - 0.2).max() < 0.04
    np.testing.assert_allclose(density.sum(axis=1), 1)


def test_a_feature_that_knows_nothing_tells_nothing():
    table, z = channel(3000, 0.02, 6)
    table = table[:, 1:]
    density = FluxRedshift(table[:1500], z[:1500]).density(table[1500:], EDGES)
    assert -0.1 < information.bits(density, z[1500:], EDGES, prior()).mean() < 0.01


def test_bad_features_are_named():
    table, z = channel(50, 0.02, 7)
    table[3, 0] = np.nan
    with pytest.raises(GaltoolsError, match="not finite"):
        FluxRedshift(table, z)
    with pytest.raises(GaltoolsError, match="need 10"):
        FluxRedshift(table[:5], z[:5])


def test_the_law_of_the_errors_is_students():
    x = np.linspace(-9, 9, 37)
    for nu in (3, 30):
        np.testing.assert_allclose(log_student(x, nu), student(nu).logpdf(x), rtol=1e-12)
