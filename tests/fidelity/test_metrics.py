"""Quantities become tables; pixels that do not count, count in no metric."""

import numpy as np
import pytest

from galtools.fidelity import intervals, peaks, pixels, sources, structure
from galtools.fidelity.metrics import COLUMNS, Metric, measure_images, tabulate

SCALE = 0.396
MODULES = (pixels, structure, peaks, sources)
FUNCTIONS = [module.measure for module in MODULES]


def pair(n=30, size=64, seed=0):
    """Round galaxies with noise in three bands, and a copy with more noise, (n, 3, size, size)."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    images = 50 * rng.uniform(1, 3, (n, 3, 1, 1)) * np.exp(-0.5 * (x**2 + y**2) / 3**2)
    return images + rng.normal(size=images.shape), images + 2 * rng.normal(size=images.shape)


def values(truth, translated, weights=None):
    sigma = np.ones(truth.shape[:2])
    return measure_images(FUNCTIONS, truth, translated, sigma, SCALE, weights)


def test_every_metric_of_every_module_has_its_lines():
    measured = values(*pair())
    for module in MODULES:
        table = tabulate(measured, module.METRICS, "gri", "level", n_boot=20)
        assert list(table.columns) == COLUMNS and set(table.level) == {"level"}
        assert set(table.metric) == set(module.METRICS)
        assert set(table.band) <= {*"gri", "g-r", "r-i"}


def test_the_method_of_an_interval_is_a_choice():
    few = (np.arange(100) < 3).astype(float)
    metrics = {m: Metric(("x",), intervals.mean, 0, "", m) for m in ("percentile", "wilson")}
    table = tabulate({"x": few[:, None]}, metrics, ["r"]).set_index("metric")
    assert table.high["wilson"] == intervals.proportion(few).high > table.high["percentile"]
    both = np.random.default_rng(0).normal(size=(2, 100))
    plain, distance = (
        intervals.bootstrap(intervals.kolmogorov, both, method=method)
        for method in ("percentile", "distance")
    )
    assert distance.low < plain.low


def test_masked_pixels_count_in_no_metric():
    """Whatever stands in the masked half, even NaN, all quantities are the same."""
    truth, translated = pair()
    weights = np.ones(truth.shape)
    weights[..., 40:] = 0
    clean = values(truth, translated, weights)
    for spoil in (1e4, np.nan):
        x, y = truth.copy(), translated.copy()
        y[..., 40:] = spoil
        x[..., 45:] = -spoil
        for name, found in values(x, y, weights).items():
            np.testing.assert_array_equal(found, clean[name], err_msg=name)


def test_a_mask_does_not_make_a_copy_look_better():
    """Masked pixels agree perfectly; metrics of pixels are those of the half that counts."""
    truth, translated = pair()
    weights = np.ones(truth.shape)
    weights[..., 32:, :] = 0
    half, whole = values(truth, translated, weights), values(truth, translated)
    x, y = truth[..., :32, :], translated[..., :32, :]
    alone = pixels.measure(x, y, np.ones(truth.shape[:2]), SCALE)
    for name in ("chi_mean", "chi_var", "mae", "mse", "psnr", "correlation"):
        np.testing.assert_allclose(half[name], alone[name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(half["ssim"], alone["ssim"], rtol=0.03)  # edges: mirrored there
    for name in ("psnr", "chi_var", "noise_ratio"):
        assert np.median(half[name]) == pytest.approx(np.median(whole[name]), rel=0.02), name


def test_a_galaxy_without_a_pixel_is_not_measured():
    truth, translated = pair(4)
    weights = np.ones(truth.shape)
    weights[2, 1] = 0
    measured = values(truth, translated, weights)
    for name in ("psnr", "ssim", "correlation", "noise_ratio", "peak_error", "true_sources"):
        bad = np.isnan(measured[name])
        assert bad[2, 1] and bad.sum() == 1, name
