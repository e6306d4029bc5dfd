"""Draws condensed to numbers, in worlds where spread, error and what averaging does are known."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from blobs import make_pairs

from companion import predictive_samples, sample_statistics
from galtools import artefacts, data
from galtools.errors import GaltoolsError
from galtools.fidelity import calibration, intervals
from galtools.surveys import CFHTLS
from galtools.training import translate

RNG = np.random.default_rng(0)
N, M, W, BIAS = 3000, 10, 0.6, 0.5
SCALE = CFHTLS.pixel_scale


def gaussian_images(flux, noise, shape=(3, 4, 5, 32, 32)):
    """Draws of a round galaxy of the given flux, per band the same, and white noise."""
    y, x = np.mgrid[:32, :32] - 15.5
    blob = np.exp(-(x**2 + y**2) / (2 * 3.0**2))
    blob *= flux / blob.sum()
    return blob + noise * RNG.standard_normal(shape)


def test_measures_are_the_known_ones():
    images = gaussian_images(100.0, 1e-6)
    found = sample_statistics.sample_measurements(images[:, 0], 0.396)
    radius = 5.0 / 0.396
    total = 22.5 - 2.5 * np.log10(100 * (1 - np.exp(-(radius**2) / 18)))
    np.testing.assert_allclose(found[:, sample_statistics.TOTALS], total, atol=0.002)
    centre = 22.5 - 2.5 * np.log10(100 / (2 * np.pi * 9) * np.exp(-0.5 / 18))
    np.testing.assert_allclose(found[:, sample_statistics.PEAKS], centre, atol=0.002)
    np.testing.assert_allclose(found[:, 10:], 0, atol=1e-4)
    assert found.shape[1] == len(sample_statistics.QUANTITIES) - 1


def test_noise_of_a_mean_image_falls_as_the_root_of_the_draws():
    images = gaussian_images(0.0, 0.5, (40, 16, 5, 32, 32))
    found = sample_statistics.summarize(images, np.full(40, 0.5), 0.396)
    np.testing.assert_allclose(
        found["noise"].mean(1), np.power(2, [0, -0.5, -1, -1.5, -2]), rtol=0.03
    )
    assert found["samples"].shape == (16, 40, 12)
    assert found["averages"].shape == (5, 40, 12)
    assert sample_statistics.summarize(images[:, :1], np.full(40, 0.5), 0.396).keys() == {"samples"}


def test_noise_is_that_of_the_four_corners_of_the_r_image():
    """Sides of a fifth of 32 pixels, whatever lies between them."""
    images = RNG.standard_normal((2, 5, 32, 32)) + 3
    images[:, :, 6:26], images[:, :, :, 6:26] = 500, 500
    parts = [
        images[:, 2, a, b] for a in (slice(6), slice(26, 32)) for b in (slice(6), slice(26, 32))
    ]
    expected = np.std(np.stack(parts, 1), axis=(1, 2, 3)) / [1, 2]
    np.testing.assert_allclose(sample_statistics.corner_noise(images, np.array([1, 2])), expected)


@pytest.mark.parametrize(("count", "sizes"), [(1, []), (3, [1, 2]), (8, [1, 2, 4, 8])])
def test_averages_are_made_of_powers_of_two(count, sizes):
    assert sample_statistics.powers(count) == sizes


def test_averages_miss_by_the_limit_and_a_share_of_the_spread():
    """Draws of width W about a centre that is off by BIAS, truths of width 1: M = 1 + BIAS^2."""
    centre = RNG.standard_normal(N)
    many = centre + BIAS + W * RNG.standard_normal((M, N))
    truth = centre + RNG.standard_normal(N)
    variance, limit = predictive_samples.limit_of_averages(many, truth)
    assert variance.mean() == pytest.approx(W**2, rel=0.05)
    assert limit.mean() == pytest.approx(1 + BIAS**2, rel=0.08)
    for size in (1, 3, M):
        error = np.mean((many[:size].mean(0) - truth) ** 2)
        assert error == pytest.approx(limit.mean() + variance.mean() / size, rel=0.03)
    found = intervals.bootstrap(predictive_samples.samples_needed, np.stack([variance, limit]))
    assert found.low < W**2 / (1 + BIAS**2) / 0.05 < found.high


def test_calibrated_draws_need_twenty():
    many = RNG.standard_normal((M, N))
    found = intervals.bootstrap(
        predictive_samples.samples_needed,
        predictive_samples.limit_of_averages(many, RNG.standard_normal(N)),
    )
    assert found.low < 20 < found.high


def test_widths_follow_from_all_seeds():
    wide, narrow = intervals.Estimate(2, 1.5, 2.5, 100), intervals.Estimate(0.5, 0.4, 0.6, 100)
    open_ = intervals.Estimate(1.1, 0.9, 1.3, 100)
    cases = {"a": (wide, wide), "b": (narrow, narrow), "c": (wide, narrow), "d": (wide, open_)}
    ratios = {(name, k): pair[k] for name, pair in cases.items() for k in (0, 1)}
    found = {
        k: predictive_samples.WIDTH[v] for k, v in predictive_samples.width_verdicts(ratios).items()
    }
    assert found == {"a": "too wide", "b": "too narrow", "c": "inconclusive", "d": "inconclusive"}


def test_incomplete_galaxies_are_left_out():
    many, truth = np.ones((2, 4, 3)), np.ones((4, 3))
    many[1, 0, 2], truth[3, 1] = np.nan, np.inf
    left, true = predictive_samples.complete_rows(many, truth)
    assert left.shape == (2, 2, 3)
    assert true.shape == (2, 3)


def test_what_nature_leaves_open_is_the_smaller_limit():
    lines = {"quantity": "q", "component": "explained", "seed": 0, "sigma": 2.0}
    table = pd.DataFrame(
        [
            {**lines, "value": 0.75, "low": 0.64, "high": 0.84},
            {**lines, "value": 0.50, "low": 0.40, "high": 0.60},
            {**lines, "component": "noise", "value": 0.99, "low": 0.9, "high": 1.0},
        ]
    )
    limit = predictive_samples.irreducible_sigma(table, "q", 0)
    np.testing.assert_allclose(limit, [1.0, 0.8, 1.2])
    ratio = predictive_samples.ratio_to_limit(intervals.Estimate(2, 1.8, 2.4, 50), limit)
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == pytest.approx((2, 1.5, 3, 50))


def test_redshift_is_read_back():
    """From magnitudes that all follow from one number."""
    z = RNG.uniform(0, 0.3, 400)
    magnitudes = 18 + np.outer(z, np.arange(12)) + 0.001 * RNG.standard_normal((400, 12))
    regressor = sample_statistics.FluxRedshiftRegressor(magnitudes[:300], z[:300])
    found = regressor.append(magnitudes[None, 300:])
    assert found.shape == (1, 100, 13)
    assert np.median(np.abs(found[0, :, -1] - z[300:])) < 0.01


def test_redshift_of_what_could_not_be_measured_is_missing():
    z = RNG.uniform(0, 0.3, 60)
    magnitudes = 18 + np.outer(z, np.arange(12))
    magnitudes[:5, 3] = np.nan
    regressor = sample_statistics.FluxRedshiftRegressor(magnitudes, z)
    found = regressor.append(magnitudes)
    assert found.shape == (60, 13)
    assert np.isnan(found[:5, -1]).all()
    assert np.isfinite(found[5:, -1]).all()
    with pytest.raises(GaltoolsError, match="5 galaxies"):
        sample_statistics.FluxRedshiftRegressor(magnitudes[:10], z[:10])


def normal_answers(width, offset=0.0, n=2000):
    """Draws of the given width about a centre, beside a truth of width 1, in all quantities."""
    centre = RNG.standard_normal((n, 13))
    many = centre + offset + width * RNG.standard_normal((M, n, 13))
    return predictive_samples.PredictiveSamples(
        {("diffusion", 0): many}, [centre + RNG.standard_normal((n, 13))]
    )


@pytest.mark.parametrize(
    ("width", "offset", "word"),
    [(1, 0, "supported"), (0.8, 0, "contradicted"), (1, 0.8, "contradicted")],
)
@pytest.mark.parametrize(
    ("test", "what"), [(calibration.pit, "peak, r"), (calibration.tarp, slice(0, 5))]
)
def test_ranks_pass_who_is_calibrated_and_nobody_else(test, what, width, offset, word):
    assert normal_answers(width, offset).rank_verdict(test, what, seed=1) == word


def test_few_galaxies_pass_nobody():
    found = normal_answers(1, n=30).rank_verdict(calibration.pit, "peak, r", seed=1)
    assert found == "inconclusive"


def test_scores_of_draws_and_of_their_mean_are_the_known_ones():
    """Draws and truth of unit width: E|X - y| = 2 / sqrt(pi), and CRPS half of it."""
    scores = normal_answers(1, n=4000).scores("peak, r")
    assert scores["diffusion", 0].mean() == pytest.approx(1 / np.sqrt(np.pi), rel=0.03)
    alone = np.sqrt(2 / np.pi * (1 + 1 / M))
    assert scores[predictive_samples.MEAN, 0].mean() == pytest.approx(alone, rel=0.03)
    both = normal_answers(1, n=4000).scores(slice(0, 1))  # one quantity: the same by another name
    assert both["diffusion", 0].mean() == pytest.approx(1 / np.sqrt(np.pi), rel=0.03)


def test_more_truth_than_answers_and_a_missing_number():
    found = normal_answers(1, n=50)
    found.samples["diffusion", 0] = found.samples["diffusion", 0][:, :20]
    found.samples["diffusion", 0][2, 3, 7] = np.nan
    many, true = found.raw("diffusion", 0, "peak, r")
    assert many.shape == (M, 20)
    np.testing.assert_array_equal(true, found.truth[0][:20, 7])
    assert found.of("diffusion", 0, "peak, r")[0].shape == (M, 19)
    assert np.isnan(found.scores("peak, r")["diffusion", 0]).sum() == 1


def test_scatter_over_noise_is_the_ratio_of_widths():
    """Samples of width W beside pairs of observations of width 1."""
    found = predictive_samples.variance_vs_repeat(
        W * RNG.standard_normal((M, N)), *RNG.standard_normal((2, 2 * N))
    )
    assert found[1].mean() == pytest.approx(1, rel=0.1)
    assert calibration.spread_to_error(found) == pytest.approx(W, rel=0.05)
    pairs = normal_answers(W).spread_to_error("diffusion", 0, "peak, r", 100)
    expected = W * np.sqrt((1 + 1 / M) / (1 + W**2 / M))
    assert pairs.low < expected < pairs.high


def translated(network, source, samples=1, seed=0, start=0):
    """Stand in for a translator: the source times 1 + number + seed + draw / 10."""
    number = np.arange(start, start + len(source))[:, None] + seed
    factor = 1 + number + np.arange(samples) / 10
    many = source[:, None] * np.float32(factor)[..., None, None, None]
    return many[:, 0] if samples == 1 else many


def test_files_are_condensed_part_by_part_as_the_whole_would_be(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_statistics, "BATCH", 2)
    monkeypatch.setattr(translate, "translate", translated)
    files = [tmp_path / f"{k}.h5" for k in (0, 1)]
    for file in files:
        source, target = gaussian_images(50.0, 0.03, (2, 3, 5, 32, 32)).astype(np.float32)
        z, noise = np.float32([0.1, 0.2, 0.3]), RNG.uniform(0.01, 0.1, (3, 2, 5))
        data.save(make_pairs(source, target, z, Table({"id": [1, 2, 3]}), np.float32(noise)), file)
    looks = [data.load(file) for file in files]
    scale = looks[0].target_set.pixel_scale
    weights = tmp_path / "residual" / "seed0" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    whole = translated(None, looks[0].source, 2, 4)
    expected = sample_statistics.summarize(whole, looks[0].noise[:, 1, 2], scale)
    artefacts.make(
        tmp_path / "t.h5",
        lambda new: translate.save_translations(new, whole),
        params={},
        modules=[],
        inputs=files[:1],
    )
    kept = sample_statistics.kept_samples(tmp_path / "kept.h5", tmp_path / "t.h5", files[0])
    anew = sample_statistics.new_samples(tmp_path / "anew.h5", weights, files[0], 3, 2, 4)
    for name, values in expected.items():
        np.testing.assert_allclose(kept[name], values)
        np.testing.assert_allclose(anew[name], values)
    found = sample_statistics.translate_repeats(tmp_path / "looks.h5", weights, files)
    with pytest.raises(GaltoolsError, match=r"made from another 1.h5"):
        sample_statistics.kept_samples(tmp_path / "kept.h5", tmp_path / "t.h5", files[1])
    for k, pairs in enumerate(looks):
        shown = sample_statistics.sample_measurements(translated(None, pairs.source), scale)
        np.testing.assert_allclose(found[k], shown)
    np.testing.assert_allclose(
        sample_statistics.true_measurements(files[1])[0],
        sample_statistics.sample_measurements(looks[1].target, scale),
    )
    measures, redshift = sample_statistics.true_measurements(files[1], slice(1, 3))
    np.testing.assert_allclose(
        measures, sample_statistics.sample_measurements(looks[1].target[1:], scale)
    )
    np.testing.assert_array_equal(redshift, looks[1].redshift[1:])


def test_where_no_galaxy_could_be_judged_nothing_is_said():
    assert np.isnan(calibration.pvalue(np.zeros(0)))
