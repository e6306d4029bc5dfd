"""Peak fluxes and what they predict, where the answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, peaks
from galtools.fidelity.metrics import tabulate


def points(n=50, flux=10.0, size=32, seed=0):
    """Point-like galaxies: one bright pixel and dimmer neighbours, (n, 5, size, size)."""
    images = np.zeros((n, 5, size, size))
    flux = flux * np.random.default_rng(seed).uniform(1, 3, (n, 5))
    images[..., size // 2, size // 2] = flux
    return images, flux


def test_known_gains_give_known_bias_and_scatter():
    images, _ = points(n=3000, size=9)
    gain = 0.9 + 0.04 * np.random.default_rng(2).normal(size=(3000, 5, 1, 1))
    table = tabulate(peaks.measure(images, gain * images), peaks.METRICS, n_boot=20)
    value = table.set_index(["band", "metric"]).value
    for name in ("peak", "box"):
        assert value["r", f"{name}_bias"] == pytest.approx(-0.1, abs=0.004)
        assert value["r", f"{name}_scatter"] == pytest.approx(0.04, rel=0.07)
    expected = 2.5 / np.log(10) * np.sqrt(2) * 0.04 / 0.9
    assert value["g-r", "peak_ratio_scatter"] == pytest.approx(expected, rel=0.08)


def test_features_are_magnitudes_of_bright_fluxes():
    """asinh(x / 2) tends to ln x: mu -> -2.5 log10(F / sigma)."""
    found = peaks.flux_features(np.array([[1e4, 1e5]]), np.ones((1, 2)))
    np.testing.assert_allclose(found, [[-10, -12.5, 2.5]], rtol=1e-6)
    assert np.isfinite(peaks.flux_features(np.array([[-3.0, 0.0]]), np.ones((1, 2)))).all()


@pytest.mark.parametrize("kind", ["knn", "boosting"])
def test_redshift_is_found_from_fluxes_that_determine_it(kind):
    rng = np.random.default_rng(3)
    z = rng.uniform(0, 0.3, 3000)
    fluxes = 1e3 * 10 ** (np.outer(z, [-2, -1, 0, 0.3, 0.5]))
    table = peaks.flux_features(fluxes, np.ones_like(fluxes))
    model = peaks.redshift_regressor(kind).fit(table[:2000], z[:2000])
    errors = peaks.redshift_errors(model, table[2000:], z[2000:])
    assert intervals.robust_scatter(errors) < 0.005
    shuffled = peaks.redshift_errors(model, rng.permutation(table[2000:]), z[2000:])
    assert intervals.robust_scatter(shuffled) > 0.05


def test_a_galaxy_without_a_feature_has_no_redshift_and_the_others_keep_theirs():
    table, z = np.array([[0.1], [np.nan], [0.4]]), np.array([0.0, 0.1, 0.25])
    model = SimpleNamespace(predict=lambda x: x[:, 0])
    np.testing.assert_allclose(peaks.redshift_errors(model, table, z), [0.1, np.nan, 0.12])
    assert np.isnan(peaks.redshift_errors(model, table * np.nan, z)).all()


def test_redshift_summary_of_known_errors():
    errors = np.r_[np.random.default_rng(4).normal(0.01, 0.02, 9000), np.full(1000, 0.3)]
    value = peaks.tabulate_redshift(errors, "x", n_boot=20).set_index("metric").value
    assert value["outliers"] == pytest.approx(0.1 + 0.9 * 0.0241, abs=0.005)  # 2 and -3 sigma
    assert value["bias"] == pytest.approx(0.0128, abs=0.001)  # the 5/9 quantile of the normal part


@pytest.mark.parametrize("kind", ["knn", "boosting"])
def test_nothing_is_predicted_by_what_has_seen_it(kind):
    """From numbers that know nothing of the redshift, an honest guess errs like the typical one."""
    rng = np.random.default_rng(8)
    z, table = rng.uniform(0, 0.3, 300), rng.normal(size=(300, 4))
    model = peaks.redshift_regressor(kind).fit(table, z)
    seen = intervals.robust_scatter(peaks.redshift_errors(model, table, z))
    fair = peaks.cross_validated_errors(kind, {"truth": table, "copy": table.copy()}, z, 5)
    guess = intervals.robust_scatter((np.median(z) - z) / (1 + z))
    assert seen < 0.5 * guess  # had they been seen, it would show
    assert intervals.robust_scatter(fair["truth"]) > 0.9 * guess
    np.testing.assert_array_equal(fair["copy"], fair["truth"])


def test_unknown_estimator():
    with pytest.raises(GaltoolsError, match="knn or boosting"):
        peaks.redshift_regressor("tarot")
