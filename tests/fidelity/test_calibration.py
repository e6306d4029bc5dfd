"""Scores and ranks in a linear-Gaussian world, in which everything is known in closed form.

theta ~ N(0, 1) in every dimension is seen as x ~ N(theta, S^2); its posterior is normal, of width
W = S / sqrt(1 + S^2). Draws from it are calibrated by construction.
"""

import numpy as np
import pytest
from scipy.special import gamma
from scipy.stats import chisquare, norm

from galtools.errors import GaltoolsError
from galtools.fidelity import calibration, intervals

S, N, M, D = 0.7, 4000, 40, 3
W = S / np.sqrt(1 + S**2)


def posterior(correlation=0.0):
    """Draws (M, N, D) of the exact posterior, and the truth (N, D)."""
    rng = np.random.default_rng(0)
    centre = np.sqrt(1 - W**2) * rng.standard_normal((N, D))
    root = np.linalg.cholesky((1 - correlation) * np.eye(D) + correlation)
    error = rng.standard_normal((M + 1, N, D)) @ root.T
    return centre + W * error[1:], centre + W * error[0]


DRAWS, TRUTH = posterior()
ONE, TRUE = DRAWS[..., 0], TRUTH[:, 0]
NARROW = calibration.shrunk(ONE)


def test_exact_posterior_passes_and_one_too_narrow_fails():
    control = calibration.pit(NARROW, TRUE)
    assert calibration.verdict(calibration.pit(ONE, TRUE), control) == "supported"
    assert calibration.verdict(control, control) == "contradicted"
    counts = np.bincount(calibration.ranks(ONE, TRUE), minlength=M + 1)
    assert chisquare(counts).pvalue > 0.01
    counts = np.bincount(calibration.ranks(NARROW, TRUE), minlength=M + 1)
    assert chisquare(counts).pvalue < 1e-6


def test_tarp_passes_and_fails_alike():
    control = calibration.tarp(calibration.shrunk(DRAWS), TRUTH)
    assert calibration.verdict(calibration.tarp(DRAWS, TRUTH), control) == "supported"
    assert calibration.verdict(control, control) == "contradicted"


def test_tarp_sees_wrong_correlations_that_ranks_do_not():
    draws, truth = posterior(0.9)
    shuffled = np.random.default_rng(1).permuted(draws, axis=0)  # every quantity by itself
    for k in range(D):
        assert calibration.pvalue(calibration.pit(shuffled[..., k], truth[:, k])) > 0.01
    assert calibration.pvalue(calibration.tarp(draws, truth)) > 0.01
    assert calibration.pvalue(calibration.tarp(shuffled, truth)) < 1e-3


def test_few_galaxies_cannot_tell():
    few = calibration.pit(NARROW[:, :20], TRUE[:20])
    found = calibration.pit(ONE[:, :20], TRUE[:20])
    assert calibration.verdict(found, few) == "inconclusive"
    assert intervals.consensus(["supported", "supported"]) == "supported"
    assert intervals.consensus(["supported", "contradicted"]) == "inconclusive"


def test_crps_of_a_normal_law():
    y = np.linspace(-2, 2, 5)
    draws = np.random.default_rng(1).standard_normal((20000, 1)).repeat(5, axis=1)
    exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(calibration.crps(draws, y), exact, atol=0.02)
    np.testing.assert_allclose(calibration.crps(draws[:1], y), np.abs(draws[0] - y))


@pytest.mark.parametrize("m", [2, 5, M])
def test_scores_do_not_depend_on_how_many_draws(m):
    """The calibrated score is W / sqrt(pi), in D dimensions W Gamma((D + 1) / 2) / Gamma(D / 2)."""
    assert calibration.crps(ONE[:m], TRUE).mean() == pytest.approx(W / np.sqrt(np.pi), rel=0.04)
    exact = W * gamma((D + 1) / 2) / gamma(D / 2)
    assert calibration.energy_score(DRAWS[:m], TRUTH).mean() == pytest.approx(exact, rel=0.03)


def test_too_narrow_scores_worse_by_the_known_amount():
    known = W * np.sqrt(2 / np.pi) * np.sqrt(1 + 0.8**2) - 0.8 * W / np.sqrt(np.pi)
    assert calibration.crps(NARROW, TRUE).mean() == pytest.approx(known, rel=0.03)
    assert calibration.crps(NARROW, TRUE).mean() > calibration.crps(ONE, TRUE).mean()


def test_energy_score_of_one_quantity_is_the_crps():
    found = calibration.energy_score(ONE[..., None], TRUE[:, None])
    np.testing.assert_allclose(found, calibration.crps(ONE, TRUE))


@pytest.mark.parametrize("n", [0, 1])
def test_tarp_places_nothing_where_there_is_no_other_galaxy(n, recwarn):
    assert calibration.tarp(DRAWS[:, :n], TRUTH[:n]).shape == (0,)
    assert not recwarn.list


def test_tarp_knows_no_units():
    units = np.array([1, 1e3, 1e-2])
    places = calibration.tarp(DRAWS, TRUTH)
    np.testing.assert_array_equal(calibration.tarp(DRAWS * units, TRUTH * units), places)


def test_spread_over_error():
    found = calibration.spread_to_error(calibration.spread_and_error(ONE, TRUE))
    assert found == pytest.approx(1, abs=0.03)
    found = calibration.spread_to_error(calibration.spread_and_error(NARROW, TRUE))
    assert found == pytest.approx(0.8, abs=0.03)
    with pytest.raises(GaltoolsError, match="at least two"):
        calibration.spread_and_error(ONE[:1], TRUE)


def test_shapes_that_do_not_fit_are_refused():
    for score in (calibration.crps, calibration.ranks, calibration.spread_and_error):
        with pytest.raises(GaltoolsError, match="do not belong"):
            score(ONE, TRUE[:1])
    for score in (calibration.energy_score, calibration.tarp):
        with pytest.raises(GaltoolsError, match="do not belong"):
            score(DRAWS, TRUTH[:1])
