"""Photometric-redshift scores against closed forms; the estimator learns what can be learnt."""

import numpy as np
import pytest
import torch
from blobs import blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from galtools import redshift
from galtools.errors import GaltoolsError
from galtools.loop import Settings
from galtools.redshift import Grid

GRID = Grid()


def gaussian(mean, sigma, grid=GRID):
    steps = norm.cdf(grid.edges, mean, sigma)
    return np.diff(steps)[None] / (steps[-1] - steps[0])


def test_scores_of_a_known_error():
    rng = np.random.default_rng(0)
    z = rng.uniform(0.05, 0.3, 200_000)
    found = redshift.scores(z + (1 + z) * rng.normal(0.004, 0.02, len(z)), z)
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
@settings(max_examples=40, deadline=None)
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
    assert redshift.estimate(density, grid, "mode")[0] == pytest.approx(0.05)
    assert redshift.estimate(density, grid, "mean")[0] == pytest.approx(0.15)
    assert redshift.estimate(density, grid, "median")[0] == pytest.approx(0.1 + 0.1 / 3)
    with pytest.raises(GaltoolsError, match="mean, median or mode"):
        redshift.estimate(density, grid, "best")


def test_temperature_is_recovered():
    rng = np.random.default_rng(2)
    centres = rng.uniform(0.1, 0.3, 3000)
    z = centres + rng.normal(0, 0.02, 3000)
    too_sure = np.concatenate([gaussian(c, 0.01) for c in centres])
    # a Gaussian to the power 1/T has T times the variance: (0.02 / 0.01)^2 = 4
    found = redshift.fit_temperature(np.log(too_sure + 1e-300), z, GRID)
    assert found == pytest.approx(4, rel=0.08)


def test_turns_are_eight_different_orientations():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    seen = {tuple(redshift.turn(image, *way).flatten().tolist()) for way in redshift.TURNS}
    assert len(seen) == 8


def test_losses_against_closed_form():
    network = redshift.RedshiftNetwork(grid=Grid(bins=4), crps_weight=1.0)
    network.forward = lambda x, extra: torch.zeros(len(x), 4)
    batch = redshift.Sample(torch.zeros(2, 5, 8, 8), torch.tensor([0, 2]), None)
    terms = network.losses(batch)
    assert terms["entropy"].item() == pytest.approx(np.log(4))
    # F = 1/4 1/2 3/4 1; H steps up at bin 0: (9 + 4 + 1) / 16; at bin 2: (1 + 4 + 1) / 16
    assert terms["crps"].item() == pytest.approx((14 / 16 + 6 / 16) / 2)


def test_estimator_learns_flux_as_redshift_and_round_trips(tmp_path):
    pairs, test = blobs(n=200, seed=1), blobs(n=100, seed=2)
    torch.manual_seed(0)
    network = redshift.RedshiftNetwork(width=8, grid=Grid(bins=20))
    short = Settings(steps=200, batch=32, rate=5e-3, ema=0.9, checks=1)
    redshift.train(network, pairs.source, pairs.redshift, pairs.noise[0, 0], short)
    log_p = redshift.log_density(network, test.source)
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1, abs=1e-4)
    found = redshift.scores(redshift.estimate(np.exp(log_p), network.grid), test.redshift)
    guess = redshift.scores(np.full(100, np.median(pairs.redshift)), test.redshift)
    assert found["sigma_mad"] < 0.35 * guess["sigma_mad"]
    path = tmp_path / "redshift.safetensors"
    redshift.save(path, [network], 1.5)
    networks, temperature = redshift.load(path)
    again = redshift.predict(networks, temperature, test.source)
    assert np.allclose(again, redshift.tempered(log_p, 1.5), atol=1e-6)


def test_reddening_can_join():
    pairs = blobs(n=16)
    network = redshift.RedshiftNetwork(width=8, extra=1)
    short = Settings(steps=2, batch=4, checks=1)
    with pytest.raises(GaltoolsError, match="1 extra"):
        redshift.train(network, pairs.source, pairs.redshift, pairs.noise[0, 0], short)
    dust = np.random.default_rng(0).normal(size=(16, 1))
    redshift.train(network, pairs.source, pairs.redshift, pairs.noise[0, 0], short, dust)
    changed = redshift.log_density(network, pairs.source, dust + 5)
    assert not np.allclose(changed, redshift.log_density(network, pairs.source, dust))


def test_redshifts_outside_the_grid_are_refused():
    with pytest.raises(GaltoolsError, match="widen z_max"):
        GRID.number([0.1, 0.5])
    assert GRID.number([0, 0.3999]).tolist() == [0, 179]


def test_baselines_learn_a_colour():
    rng = np.random.default_rng(0)
    z = rng.uniform(0, 0.3, 600).astype(np.float32)
    images = np.zeros((600, 5, 8, 8), np.float32)
    images[:, :, 3:5, 3:5] = 10 * np.exp(z[:, None] * np.arange(5))[:, :, None, None]
    for peaks in (False, True):
        features = redshift.colours(images, 0.4, peaks)
        assert features.shape == (600, 5)
        for name, found in redshift.baselines(features[:400], z[:400], features[400:]).items():
            assert redshift.scores(found, z[400:])["sigma_mad"] < 0.006, name
