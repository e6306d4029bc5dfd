"""Predictive samples in worlds where their measurements, scatter and calibration are known."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from blobs import make_pairs

from companion import predictive_samples
from galtools import artefacts, data
from galtools.errors import GaltoolsError
from galtools.fidelity import calibration, intervals
from galtools.training import translate

RNG = np.random.default_rng(0)
M = 10


def gaussian_images(flux, noise, shape=(3, 4, 5, 32, 32)):
    """Draws of a round galaxy of the given flux, per band the same, and white noise."""
    y, x = np.mgrid[:32, :32] - 15.5
    blob = np.exp(-(x**2 + y**2) / (2 * 3.0**2))
    blob *= flux / blob.sum()
    return blob + noise * RNG.standard_normal(shape)


def test_measures_are_the_known_ones():
    images = gaussian_images(100.0, 1e-6)
    found = predictive_samples.sample_measurements(images[:, 0], 0.396)
    radius = 5.0 / 0.396
    total = 22.5 - 2.5 * np.log10(100 * (1 - np.exp(-(radius**2) / 18)))
    np.testing.assert_allclose(found[:, predictive_samples.TOTALS], total, atol=0.002)
    centre = 22.5 - 2.5 * np.log10(100 / (2 * np.pi * 9) * np.exp(-0.5 / 18))
    np.testing.assert_allclose(found[:, predictive_samples.PEAKS], centre, atol=0.002)
    np.testing.assert_allclose(found[:, 10:], 0, atol=1e-4)
    assert found.shape[1] == len(predictive_samples.QUANTITIES) - 1


def test_incomplete_galaxies_are_left_out():
    many, truth = np.ones((2, 4, 3)), np.ones((4, 3))
    many[1, 0, 2], truth[3, 1] = np.nan, np.inf
    left, true = predictive_samples.complete_rows(many, truth)
    assert left.shape == (2, 2, 3)
    assert true.shape == (2, 3)


def test_scatter_given_the_source_follows_from_what_is_explained():
    lines = {"quantity": "q", "component": "explained", "sigma": 2.0}
    table = pd.DataFrame(
        [
            {**lines, "component": "noise", "value": 0.99, "low": 0.9, "high": 1.0},
            {**lines, "value": 0.75, "low": 0.64, "high": 0.84},
        ]
    )
    limit = predictive_samples.irreducible_sigma(table, "q")
    np.testing.assert_allclose(limit, [1.0, 0.8, 1.2])
    ratio = predictive_samples.ratio_to_limit(intervals.Estimate(2, 1.8, 2.4, 50), limit)
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == pytest.approx((2, 1.5, 3, 50))


def test_redshift_is_read_back():
    """From magnitudes that all follow from one number."""
    z = RNG.uniform(0, 0.3, 400)
    magnitudes = 18 + np.outer(z, np.arange(12)) + 0.001 * RNG.standard_normal((400, 12))
    regressor = predictive_samples.FluxRedshiftRegressor(magnitudes[:300], z[:300])
    found = regressor.append(magnitudes[None, 300:])
    assert found.shape == (1, 100, 13)
    assert np.median(np.abs(found[0, :, -1] - z[300:])) < 0.01


def test_redshift_of_what_could_not_be_measured_is_missing():
    z = RNG.uniform(0, 0.3, 60)
    magnitudes = 18 + np.outer(z, np.arange(12))
    magnitudes[:5, 3] = np.nan
    regressor = predictive_samples.FluxRedshiftRegressor(magnitudes, z)
    found = regressor.append(magnitudes)
    assert found.shape == (60, 13)
    assert np.isnan(found[:5, -1]).all()
    assert np.isfinite(found[5:, -1]).all()
    with pytest.raises(GaltoolsError, match="5 galaxies"):
        predictive_samples.FluxRedshiftRegressor(magnitudes[:10], z[:10])


def normal_samples(width, offset=0.0, n=2000, d=5):
    """Samples of the given width about a centre, and a truth of width 1, in d quantities."""
    centre = RNG.standard_normal((n, d))
    many = centre + offset + width * RNG.standard_normal((M, n, d))
    return many, centre + RNG.standard_normal((n, d))


@pytest.mark.parametrize(
    ("width", "offset", "word"),
    [(1, 0, "supported"), (0.8, 0, "contradicted"), (1, 0.8, "contradicted")],
)
@pytest.mark.parametrize("test", ["pit", "tarp"])
def test_ranks_pass_for_calibrated_samples_only(test, width, offset, word):
    many, truth = normal_samples(width, offset)
    if test == "pit":
        many, truth = many[..., 0], truth[:, 0]
    found = predictive_samples.rank_verdict(getattr(calibration, test), many, truth, seed=1)
    assert found == word


def test_few_galaxies_decide_nothing():
    few = normal_samples(1, n=30, d=1)
    found = predictive_samples.rank_verdict(calibration.pit, *(x[..., 0] for x in few), seed=1)
    assert found == "inconclusive"


def test_scatter_over_noise_is_the_ratio_of_widths():
    """Samples of width 0.6 beside pairs of observations of width 1."""
    found = predictive_samples.variance_vs_repeat(
        0.6 * RNG.standard_normal((M, 3000)), *RNG.standard_normal((2, 3000))
    )
    assert found[1].mean() == pytest.approx(1, rel=0.1)
    assert calibration.spread_to_error(found) == pytest.approx(0.6, rel=0.05)


def test_files_are_measured_part_by_part_as_the_whole_would_be(tmp_path, monkeypatch):
    monkeypatch.setattr(predictive_samples, "BATCH", 2)
    source, target = gaussian_images(50.0, 0.03, (2, 3, 5, 32, 32)).astype(np.float32)
    z, noise = np.float32([0.1, 0.2, 0.3]), np.full((3, 2, 5), 0.03, np.float32)
    pairs, file = make_pairs(source, target, z, Table({"id": [1, 2, 3]}), noise), tmp_path / "a.h5"
    data.save(pairs, file)
    scale, whole = pairs.target_set.pixel_scale, np.stack([target, 2 * target], axis=1)
    artefacts.make(
        tmp_path / "t.h5",
        lambda new: translate.save_translations(new, whole),
        params={},
        modules=[],
        inputs=[file],
    )
    found = predictive_samples.measure_samples(tmp_path / "kept.h5", tmp_path / "t.h5", file)
    for k in (0, 1):
        shown = predictive_samples.sample_measurements(whole[:, k], scale)
        np.testing.assert_allclose(found[k], shown)
    some, redshift = predictive_samples.true_measurements(file, slice(1, 3))
    shown = predictive_samples.sample_measurements(data.load(file).target[1:], scale)
    np.testing.assert_allclose(some, shown)
    np.testing.assert_allclose(redshift, z[1:], rtol=1e-6)
    data.save(pairs[::-1], tmp_path / "b.h5")
    with pytest.raises(GaltoolsError, match=r"made from another"):
        predictive_samples.measure_samples(tmp_path / "k.h5", tmp_path / "t.h5", tmp_path / "b.h5")
