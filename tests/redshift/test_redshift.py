"""Photometric-redshift scores against closed forms; the estimator learns what can be learnt."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from blobs import blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from galtools import redshift
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.redshift import Grid
from galtools.redshift.network import Sample, smoothed_targets
from galtools.training.loop import Settings

GRID = Grid()


def gaussian(mean, sigma, grid=GRID):
    steps = norm.cdf(grid.edges, mean, sigma)
    return np.diff(steps)[None] / (steps[-1] - steps[0])


def test_scores_of_a_known_error():
    rng = np.random.default_rng(0)
    z = rng.uniform(0.05, 0.3, 200_000)
    found = redshift.point_metrics(z + (1 + z) * rng.normal(0.004, 0.02, len(z)), z)
    assert found["bias"] == pytest.approx(0.004, abs=2e-4)
    assert found["sigma_mad"] == pytest.approx(0.02, rel=0.01)
    expected = norm.sf(0.046 / 0.02) + norm.cdf(-0.054 / 0.02)
    assert found["outliers"] == pytest.approx(expected, rel=0.05)


def test_crps_of_a_gaussian_is_the_closed_form():
    mean, sigma = 0.2, 0.02
    for z in (0.2, 0.17, 0.26):
        t = (z - mean) / sigma
        expected = sigma * (t * (2 * norm.cdf(t) - 1) + 2 * norm.pdf(t) - 1 / np.sqrt(np.pi))
        found = redshift.crps(gaussian(mean, sigma), [z], GRID)[0]
        assert found == pytest.approx(expected, abs=2e-5)


@given(st.lists(st.floats(0.01, 1), min_size=5, max_size=5), st.floats(0, 0.3999))
@settings(max_examples=40)
def test_crps_is_the_integral_it_stands_for(weights, z):
    grid = Grid(bins=5)
    density = np.array([weights]) / sum(weights)

    def integrand(at):
        return (redshift.cumulative(density, [at], grid)[0] - (at >= z)) ** 2

    points = sorted({*grid.edges[1:-1], z})
    numeric = quad(integrand, 0, 0.4, points=points, limit=200)[0]
    assert redshift.crps(density, [z], grid)[0] == pytest.approx(numeric, abs=1e-7)


def test_pit_of_a_calibrated_density_is_uniform():
    rng = np.random.default_rng(1)
    centres = rng.uniform(0.1, 0.3, 4000)
    z = centres + rng.normal(0, 0.01, 4000)
    densities = np.concatenate([gaussian(c, 0.01) for c in centres])
    pit = redshift.cumulative(densities, z, GRID)
    assert np.abs(np.sort(pit) - np.linspace(0, 1, 4000)).max() < 0.03


def test_point_estimates_of_a_skewed_density():
    grid = Grid(bins=4)
    density = np.array([[0.4, 0.3, 0.2, 0.1]])
    assert redshift.point_estimate(density, grid, "mode")[0] == pytest.approx(0.05)
    assert redshift.point_estimate(density, grid, "mean")[0] == pytest.approx(0.15)
    assert redshift.point_estimate(density, grid, "median")[0] == pytest.approx(0.1 + 0.1 / 3)
    with pytest.raises(GaltoolsError, match="mean, median or mode"):
        redshift.point_estimate(density, grid, "best")


def test_temperature_is_recovered():
    rng = np.random.default_rng(2)
    centres = rng.uniform(0.1, 0.3, 3000)
    z = centres + rng.normal(0, 0.02, 3000)
    too_sure = np.concatenate([gaussian(c, 0.01) for c in centres])
    # a Gaussian to the power 1/T has T times the variance: (0.02 / 0.01)^2 = 4
    found = redshift.density.fit_temperature(np.log(too_sure + 1e-300), z, GRID)
    assert found == pytest.approx(4, rel=0.08)


def test_the_shape_of_densities_is_recalibrated():
    """Student's distribution with the width, but not the tails, of Gaussian densities."""
    rng = np.random.default_rng(3)
    centres = rng.uniform(0.15, 0.25, 6000)
    z = np.clip(centres + 0.006 * rng.standard_t(3, 6000), 0.001, 0.399)
    density = np.concatenate([gaussian(c, 0.01) for c in centres])

    def covered(p):
        return np.mean(np.abs(redshift.cumulative(p, z, GRID) - 0.5) < 0.34)

    assert covered(density) > 0.75
    tilt = redshift.density.fit_recalibration(density[:3000], z[:3000], GRID)
    better = redshift.density.recalibrate(density, tilt)
    assert better.sum(axis=1) == pytest.approx(1)
    assert covered(better) == pytest.approx(0.68, abs=0.02)
    bins = np.arange(len(z)), GRID.bin_index(z)
    assert np.log(better[bins])[3000:].mean() > np.log(density[bins])[3000:].mean()


@pytest.mark.slow
def test_calibrated_densities_stay_as_they_are():
    rng = np.random.default_rng(4)
    centres = rng.uniform(0.15, 0.25, 20_000)
    density = np.concatenate([gaussian(c, 0.01) for c in centres])
    tilt = redshift.density.fit_recalibration(density, centres + rng.normal(0, 0.01, 20_000), GRID)
    assert np.abs(tilt).max() < 0.05
    assert np.allclose(redshift.density.recalibrate(density, (0, 0)), density)


@pytest.mark.parametrize("n", [1, 8])
def test_few_galaxies_barely_change_the_densities(n):
    """Broad densities about the truth would want all their mass in the middle."""
    density = np.concatenate([gaussian(0.2, 0.05)] * n)
    tilt = redshift.density.fit_recalibration(density, np.full(n, 0.2), GRID)
    assert np.abs(tilt).max() < 2.5
    assert np.isfinite(redshift.density.recalibrate(density, (-1e4, 1e4))).all()


def test_turns_are_eight_different_orientations():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    seen = {tuple(redshift.orient(image, *way).flatten().tolist()) for way in redshift.ORIENTATIONS}
    assert len(seen) == 8


def test_loss_against_closed_form():
    network = redshift.RedshiftNetwork(grid=Grid(bins=4), blur=0.0)
    network.logits = lambda photometry, cutout: torch.zeros(len(photometry), 4)
    batch = Sample(torch.zeros(2, 28), torch.zeros(2, 0), torch.tensor([0, 2]))
    terms = network.losses(batch)
    assert terms["entropy"].item() == pytest.approx(np.log(4))


def test_blurred_targets_are_a_gaussian():
    table = smoothed_targets(101, 3.0).numpy()
    assert table.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert table[50] == pytest.approx(norm.pdf(np.arange(101), 50, 3), abs=1e-5)
    assert (smoothed_targets(4, 0.0) == torch.eye(4)).all()


def test_quantiles_of_a_gaussian():
    found = [redshift.density.quantile(gaussian(0.2, 0.02), q, GRID)[0] for q in (0.16, 0.5, 0.9)]
    assert found == pytest.approx(norm.ppf([0.16, 0.5, 0.9], 0.2, 0.02), abs=2e-4)


# --- what the first layer measures


def measured(images, groups=redshift.GROUPS, noise=0.02):
    layer = redshift.PhotometryLayer(images.shape[1], groups)
    layer.noise.fill_(noise)
    with torch.no_grad():
        return layer(torch.as_tensor(images)).numpy()


def test_measured_numbers_do_not_turn():
    images = torch.as_tensor(blobs(n=3, size=32, seed=4).target)
    images = images * torch.linspace(0.5, 1.5, 32)  # one side brighter
    first = measured(images.numpy())
    for way in redshift.ORIENTATIONS:
        turned = measured(redshift.orient(images, *way).numpy())
        np.testing.assert_allclose(turned, first, rtol=2e-4, atol=2e-4)


def test_blank_edges_are_not_measured():
    """A stamp padded to a rectangle, and that turned, has its features, and the same centre."""
    images = blobs(n=6, size=32).source
    network = redshift.RedshiftNetwork(width=4)
    network.prepare(images, np.full(5, 0.03))
    square = network.features(torch.as_tensor(images))
    for pads in ((8, 8), (0, 0, 8, 8)):
        found = network.features(F.pad(torch.as_tensor(images), pads))
        assert torch.allclose(found.photometry, square.photometry, atol=1e-4)
        assert torch.equal(found.cutout, square.cutout)


def test_peak_is_the_box_of_the_peaks_chapter():
    images = blobs(n=5, size=32, seed=5).target
    box = photometry.box_flux(images.astype(float))
    magnitudes = -2.5 / np.log(10) * np.arcsinh(box / (2 * 0.02 / 3))
    expected = np.column_stack([-np.diff(magnitudes, axis=1), magnitudes[:, 2]])
    np.testing.assert_allclose(measured(images, ["peak"]), expected, atol=1e-4)


def ellipse(size=96, major=8.0, ratio=0.5, flux=1e4):
    """Noiseless elliptical Gaussian in five bands of equal flux."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    image = np.exp(-0.5 * (x**2 + (y / ratio) ** 2) / major**2)
    return np.tile(flux * image / image.sum(), (1, 5, 1, 1)).astype(np.float32)


def test_flux_and_shape_of_a_gaussian():
    images = ellipse()
    images[:, 1] *= 10 ** (-0.4 * 0.7)  # g fainter by 0.7 mag
    light = measured(images, ["flux"])[0]
    u_g = light[:16].reshape(4, 4)[:, 0]
    assert u_g == pytest.approx(-0.7, abs=2e-3)
    whole = -2.5 / np.log(10) * np.arcsinh(1e4 / (2 * 0.02 * np.sqrt(np.pi) * 0.28 * 96))
    assert light[16] == pytest.approx(whole, abs=0.02)
    # under the profile w, of variances 64 + 2 and 16 + 2 with sum w^2 = 1, lies the light sum w I
    own = 1e4 / np.sqrt(np.pi * np.sqrt(66 * 18)) * np.sqrt(66 / (64 + 66) * 18 / (16 + 18))
    assert light[17] == pytest.approx(-2.5 / np.log(10) * np.arcsinh(own / (2 * 0.02)), abs=0.003)
    log_size, ellipticity, _, _, lopsided = measured(images, ["shape"])[0]
    # smoothing over 5 pixels adds (5^2 - 1) / 12 = 2 to both variances; the square of a Gaussian is
    # one of half the variance: rms^2 = (a^2 + b^2) / 2
    along, across = 64 + 2, 16 + 2
    assert log_size == pytest.approx(np.log(np.sqrt((along + across) / 2) / 96), abs=0.003)
    assert ellipticity == pytest.approx((along - across) / (along + across), abs=0.003)
    assert lopsided == pytest.approx(0, abs=1e-4)


def test_asymmetry_is_twice_the_share_of_light_that_has_no_counterpart():
    y, x = np.mgrid[:96, :96] - 47.5
    points = [np.exp(-0.5 * ((x - at) ** 2 + (y + at) ** 2) / 2**2) for at in (0, 12)]
    image = np.float32(0.7 * points[0] + 0.3 * points[1])
    found = measured(100 * np.tile(image, (1, 5, 1, 1)), ["shape"])[0]
    assert found[4] == pytest.approx(2 * 0.3, abs=1e-3)


def test_concentration_of_a_round_gaussian():
    """The flux within r is 1 - exp(-r^2 / 2 s^2); a rim falling linearly over a pixel makes the
    noise sqrt(pi r^2 - pi r / 3) instead of sqrt(pi) r."""
    steps = measured(ellipse(ratio=1.0), ["shape"])[0, 2:4]
    radii = 96 * np.array([0.08, 0.16, 0.28])
    significance = (1 - np.exp(-(radii**2) / 2 / 8**2)) / np.sqrt(radii**2 - radii / 3)
    expected = -2.5 * np.log10(significance[:2] / significance[2])
    assert steps == pytest.approx(expected, abs=0.004)


def test_shape_knows_neither_colour_nor_brightness():
    images = ellipse()
    changed = images * np.array([3, 0.2, 2, 5, 1], np.float32)[:, None, None]
    difference = measured(images, ["shape"]) - measured(changed, ["shape"])
    assert np.abs(difference).max() < 1e-3


def test_size_and_ellipticity_are_about_the_centre_of_the_light():
    images = ellipse(major=5.0)
    moved = np.roll(images, (5, -7), axis=(2, 3))
    found = measured(np.concatenate([images, moved]), ["shape"])[:, :2]
    np.testing.assert_allclose(found[1], found[0], atol=2e-3)


def test_the_profile_follows_the_bands_that_are_seen_above_the_noise():
    """Bands a million times as noisy as r have no say in where the light is."""
    images = ellipse()
    alone = measured(images, ["shape"])
    images[:, [0, 1, 3, 4]] = ellipse(major=4.0, ratio=1.0)[:, :1]
    assert np.abs(measured(images, ["shape"]) - alone)[0, :2].min() > 0.1
    layer = redshift.PhotometryLayer(5, ["shape"])
    layer.noise.copy_(torch.tensor([2e4, 2e4, 0.02, 2e4, 2e4]))
    np.testing.assert_allclose(layer(torch.as_tensor(images)).numpy(), alone, atol=1e-4)


def test_empty_images_are_measured_without_nan():
    for value in (0.0, -1.0, 5.0):
        assert np.isfinite(measured(np.full((2, 5, 16, 16), value, np.float32))).all()


# --- the network


def quick_ensemble(pairs, test, steps=200, **recipe):
    short = Settings(steps=steps, batch=32, rate=5e-3, ema=0.9, checks=1)
    recipe = {"hidden": 16, "grid": Grid(bins=20), "blur": 1.0, **recipe}
    learn, check = ((s.source, s.redshift) for s in (pairs, test))
    return redshift.train_ensemble(*learn, pairs.noise[0, 0], *check, short, 2, **recipe)


@pytest.mark.parametrize("width", [0, 4])
def test_estimator_learns_flux_as_redshift_and_round_trips(tmp_path, width):
    pairs, test = blobs(n=200, seed=1), blobs(n=100, seed=2)
    trained = quick_ensemble(pairs, test, width=width)
    density = trained.predict(test.source)
    assert density.sum(axis=1) == pytest.approx(1, abs=1e-9)
    found = redshift.point_metrics(redshift.point_estimate(density, trained.grid), test.redshift)
    guess = redshift.point_metrics(np.full(100, np.median(pairs.redshift)), test.redshift)
    assert found["sigma_mad"] < 0.35 * guess["sigma_mad"]
    path = tmp_path / "redshift.safetensors"
    trained.save(path)
    again = redshift.Ensemble.load(path)
    assert np.allclose(again.predict(test.source), density, atol=1e-6)
    features = again.extract_features(test.source)
    _, members = again.densities(features)
    alone = again.networks[1].log_density(features)
    alone = redshift.density.apply_temperature(alone, again.temperature)
    assert np.allclose(members[1], redshift.density.recalibrate(alone, again.tilt), atol=1e-6)
    assert members.shape == (2, 100, 20)
    turned = np.ascontiguousarray(np.rot90(test.source, axes=(2, 3)))
    assert np.allclose(again.predict(turned), density, atol=2e-3)


def test_training_repeats_itself():
    pairs = blobs(n=40)
    first, second = (quick_ensemble(pairs, pairs, steps=20) for _ in range(2))
    assert np.array_equal(first.predict(pairs.source), second.predict(pairs.source))


def test_every_member_of_every_seed_begins_elsewhere():
    ensembles = [redshift.Ensemble.untrained(5, seed, 3, hidden=4) for seed in (0, 1, 7)]
    weights = [network.head[0].weight for one in ensembles for network in one.networks]
    assert len({weight[0, 0].item() for weight in weights}) == 9


def test_images_that_cannot_be_read_are_refused():
    source = blobs(n=8).source
    network = redshift.RedshiftNetwork(hidden=8)
    holed = source.copy()
    holed[3, 0, 0, 0] = np.nan
    bad = {"NaN": holed, "3 bands": source[:, :3], "float32": source.astype(float)}
    for message, images in bad.items():
        with pytest.raises(GaltoolsError, match=message):
            network.extract_features(images)


def test_convolutions_see_the_stretched_centre_and_features_are_standardised():
    """Half of 64 pixels; the stretch leaves its linear part at twice the noise."""
    images, noise = blobs(n=30, size=64).target, np.float32([0.01, 0.02, 0.03, 0.04, 0.05])
    network = redshift.RedshiftNetwork(hidden=8, width=4)
    network.prepare(images, noise)
    features = network.extract_features(images)
    network.fit(features, np.linspace(0.1, 0.2, 30), Settings(steps=1, batch=4))
    assert network.stretch.softening == pytest.approx(2 * noise)
    centre = network.stretch.forward(torch.as_tensor(images[..., 16:48, 16:48]))
    assert torch.equal(features.cutout, centre)
    scaled = (features.photometry - network.mean) / network.std
    assert torch.allclose(scaled.mean(0), torch.zeros(scaled.shape[1]), atol=1e-3)
    assert torch.allclose(scaled.std(0), torch.ones(scaled.shape[1]), atol=1e-3)
    assert network.photometry.noise.tolist() == noise.tolist()
    density = np.exp(network.log_density(features))
    np.testing.assert_allclose(density.sum(1), 1, atol=1e-6)
    turned = np.ascontiguousarray(np.rot90(images[..., ::-1], axes=(2, 3)))  # averaged over turns
    other = network.log_density(network.extract_features(turned))
    np.testing.assert_allclose(np.exp(other), density, rtol=1e-3)
    assert redshift.RedshiftNetwork(hidden=8).extract_features(images).cutout.numel() == 0


def test_redshifts_outside_the_grid_are_refused():
    with pytest.raises(GaltoolsError, match="widen z_max"):
        GRID.bin_index([0.1, 0.5])
    assert GRID.bin_index([0, 0.3999]).tolist() == [0, 179]


def test_extracting_features_once_changes_no_network():
    """The ensemble of each choice is, number by number, the one that is trained on it alone."""
    learn, check, test = (
        (s.target, s.redshift) for s in (blobs(n=k, seed=k) for k in (80, 40, 30))
    )
    short = Settings(steps=5, batch=16, checks=1)
    recipe = {"hidden": 8, "grid": Grid(bins=20), "width": 2}
    choices = [("peak",), ("flux", "shape")]
    found, grid = redshift.densities_by_feature_group(
        choices, learn, check, test[0], [0.03] * 5, short, 2, **recipe
    )
    for groups in choices:
        alone = redshift.train_ensemble(
            *learn, [0.03] * 5, *check, short, 2, groups=groups, **recipe
        )
        np.testing.assert_allclose(found[groups], alone.predict(test[0]), rtol=1e-5)
    assert grid == alone.grid


def test_flux_as_redshift_is_in_flux_and_peak_and_not_in_the_shape():
    """Blobs whose flux alone tells the redshift."""
    pairs, test = blobs(n=200, seed=1), blobs(n=100, seed=2)
    short = Settings(steps=150, batch=32, rate=5e-3, ema=0.9, checks=1)
    learn, check = ((s.target, s.redshift) for s in (pairs, test))
    found, grid = redshift.densities_by_feature_group(
        [("flux",), ("shape",)], learn, check, test.target, pairs.noise[0, 1], short,
        hidden=16, grid=Grid(bins=40),
    )  # fmt: skip
    score = {k[0]: redshift.crps(p, test.redshift, grid).mean() for k, p in found.items()}
    assert score["flux"] < score["shape"] / 2
