"""Samples of scenes given their source images: the walks, the fluxes and what is rendered."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import kstest
from test_importance_sampling import begin, closed_form, world

from companion import fisher, latent_model, optimal_translator
from galtools import simulate
from galtools.fidelity import calibration
from galtools.surveys import CFHTLS, SDSS

SURVEYS = SDSS, CFHTLS.on_grid_of(SDSS)
GALAXIES = np.arange(8)


@pytest.fixture(scope="module")
def scenes():
    """Model of eight galaxies and their true latents."""
    observed = fisher.observed_scene(5, GALAXIES, SURVEYS, 0)
    model = optimal_translator.ComponentModel(observed, SURVEYS)
    return model, model.truth(5, GALAXIES)


@pytest.mark.slow
def test_walks_are_calibrated_and_narrower_samples_are_not():
    """Simulation-based calibration where the posterior is known; then samples 30 % too narrow."""
    true, y, target = world(1000, seed=6)
    x, _, ratio = optimal_translator.sample_chains(target, *begin(1000), walkers=20, steps=40)
    samples = x[:, -20:, 0].T
    centre = samples.mean(axis=0)
    ranks = [calibration.pit(centre + by * (samples - centre), true[:, 0]) for by in (1.0, 0.7)]
    assert kstest(ranks[0], "uniform").pvalue > 0.01
    assert kstest(ranks[1], "uniform").pvalue < 0.01
    assert np.median(ratio) < 1.2
    mean, covariance, evidence = closed_form(y)
    share = softmax(evidence, axis=0)
    middle = (share * mean[..., 0]).sum(0)
    variance = (share * (covariance[:, None, 0, 0] + mean[..., 0] ** 2)).sum(0) - middle**2
    off = (x[..., 0].mean(1) - middle) / np.sqrt(variance)
    assert np.sqrt((off**2).mean()) < 1 / np.sqrt(20)  # of twenty walkers


def test_walkers_that_cannot_meet_are_told_apart():
    """Two modes fifty widths apart: the ratio of Gelman and Rubin is far from 1."""

    class Apart:
        def log_density(self, x, kind):
            return np.logaddexp(*(-0.5 * ((x - mode) ** 2).sum(-1) for mode in (0, 50)))

        def terms(self, x, kind):
            near = np.where(x > 25, 50, 0)
            return near - x, np.broadcast_to(np.eye(x.shape[-1]), (*x.shape, x.shape[-1]))

        class prior:
            keep_inside = staticmethod(lambda x: x)

    start, kind = np.array([[[0.0] * 3, [50.0] * 3]] * 4), np.zeros((4, 2), int)
    ratio = optimal_translator.sample_chains(Apart(), start, kind, walkers=16, steps=40)[2]
    assert (ratio > 3).all()


def test_true_latents_give_the_fluxes_and_the_size_of_the_scene(scenes):
    model, truth = scenes
    found, size = model.fluxes(truth[:, None], model.kinds[:, :1])
    flux = model.observed.scene.flux.numpy()
    own = np.concatenate([flux[..., :4], flux[..., -3:]], axis=-1)
    np.testing.assert_allclose(found[:, 0], own, rtol=1e-6)
    np.testing.assert_allclose(size[:, 0], -model.observed.normal[:, optimal_translator.SIZE])


def test_likelihood_is_that_of_the_pixels_with_calibration_integrated_out(scenes):
    """Against a brute-force integral over the zero points, of differences of ln density."""
    model, truth = scenes
    pairs = simulate.pairs(8, 5, grid="sdss")
    pixels = fisher.pixel_information(model.observed, pairs.source)
    target = optimal_translator.target(model, pixels, truth)
    kind = model.kinds[:, :1].repeat(2, axis=1)
    x = np.stack([truth, truth + 1e-3 * np.sin(np.arange(20))], axis=1)
    off = target.residual(x, kind)
    found = -0.5 * ((off @ target.precision) * off).sum(-1)
    flux = optimal_translator.own_fluxes(model.fluxes(x, kind)[0], 0)
    true = np.where(flux[:, :1] == 0, np.inf, flux[:, :1])
    a = flux / true - np.isfinite(true)
    m, sigma = pixels.information, np.asarray(SDSS.calibration_error)
    effect, shift = np.tile(np.eye(5), (5, 1)), np.tile(sigma * model.observed.zero_points, 5)
    score = pixels.score + (m @ shift[..., None])[..., 0]
    linear = score[:, None] - a @ m  # ln L(a + T c) = ... + linear T c - c'T'MTc / 2
    inner = effect.T @ m @ effect + np.diag(sigma**-2.0)
    g = linear @ effect
    brute = (a * score[:, None]).sum(-1) - 0.5 * ((a @ m) * a).sum(-1)
    brute += 0.5 * (g * np.linalg.solve(inner[:, None], g[..., None])[..., 0]).sum(-1)
    brute -= 0.5 * model.fluxes(x, kind)[1] ** 2
    np.testing.assert_allclose(np.diff(found), np.diff(brute), rtol=1e-5, atol=1e-5)


def test_true_scenes_are_observed_as_the_simulator_does(scenes):
    """Samples at the truth: noiseless images of the scene under other seeing, then noise."""
    model, truth = scenes
    seen, clean = optimal_translator.observe_samples(
        model, 5, GALAXIES, truth[:, None], model.kinds[:, :1]
    )
    conditions = simulate.observing_conditions(
        5, GALAXIES, SURVEYS[1], optimal_translator.FIRST_OBSERVATION
    )
    expected = simulate.observe(model.observed.scene, SURVEYS[1], 1, conditions)
    np.testing.assert_allclose(clean[0], expected[1], atol=1e-4 * expected[1].max())
    np.testing.assert_allclose(seen[0], expected[0], atol=1e-3 * expected[1].max())


def test_prior_of_a_class_leaves_out_types_that_do_not_have_it(scenes):
    model, truth = scenes
    own, allowed = model.kinds[:, :1], model.kinds
    assert np.isfinite(model.log_prior(truth[:, None], own)).all()
    slope, curvature = model.prior_terms(truth[:, None], own)
    assert slope.shape == (8, 1, 20)
    np.testing.assert_array_equal(curvature[..., 2:, 2:], np.tile(np.eye(18), (8, 1, 1, 1)))
    disc = np.isin(model.observed.truth["morphology"], ("spiral", "lenticular"))
    assert (allowed[disc] == own[disc]).all()
    low, high = latent_model.BORDERS
    assert ((truth[:, :2] >= low) & (truth[:, :2] <= high)).all()
