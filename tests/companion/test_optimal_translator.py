"""Samples of scenes given their source images: the walks, the fluxes and what is rendered."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import kstest
from test_importance_sampling import begin, closed_form, world

from companion import importance_sampling, latent_model, optimal_translator
from galtools import simulate
from galtools.fidelity import calibration, intervals
from galtools.surveys import CFHTLS, SDSS

SURVEYS = SDSS, CFHTLS.on_grid_of(SDSS)
GALAXIES = np.arange(8)


@pytest.fixture(scope="module")
def scenes():
    """Model of eight galaxies, their true latents, and their images."""
    model = optimal_translator.model_of(5, GALAXIES, SURVEYS)
    return model, model.truth(), simulate.pairs(8, 5, grid="sdss").source


def nothing(x, kind):
    """No correction of a likelihood that is exact."""
    return np.zeros(kind.shape)


def standardised(x, y):
    """Errors (n,) of the means of samples x (n, s), in units of the posterior's scatter."""
    mean, covariance, evidence = closed_form(y)
    share = softmax(evidence, axis=0)
    middle = (share * mean[..., 0]).sum(0)
    variance = (share * (covariance[:, None, 0, 0] + mean[..., 0] ** 2)).sum(0) - middle**2
    return (x.mean(1) - middle) / np.sqrt(variance)


@pytest.mark.slow
def test_walks_are_calibrated_and_narrower_samples_are_not():
    """Simulation-based calibration where the posterior is known; then samples 30 % too narrow."""
    true, y, target = world(1000, seed=6)
    sizes = {"walkers": 20, "draws": 6, "steps": 8}
    x, _ = optimal_translator.sample_chains(target, nothing, *begin(1000), **sizes)
    samples = x[:, :, -1, 0].T
    centre = samples.mean(axis=0)
    ranks = [calibration.pit(centre + by * (samples - centre), true[:, 0]) for by in (1.0, 0.7)]
    assert kstest(ranks[0], "uniform").pvalue > 0.01
    assert kstest(ranks[1], "uniform").pvalue < 0.01
    assert np.median(optimal_translator.convergence(x[..., 0])) < 1.2
    assert intervals.rms(standardised(x[..., 0].reshape(1000, -1), y) ** 2) < 20**-0.5


@pytest.mark.slow
def test_what_the_walk_gets_wrong_is_corrected():
    """A walk by a likelihood that is a width off, accepted by the ratio to the exact one."""
    _, y, exact = world(200, seed=7)
    wrong = importance_sampling.Target(
        lambda x, kind: exact.residual(x - 0.5, kind), 0.7 * exact.precision, exact.prior
    )

    def correction(x, kind):
        return exact.log_density(x, kind) - wrong.log_density(x, kind)

    sizes = {"walkers": 20, "draws": 40, "steps": 3}
    x, _ = optimal_translator.sample_chains(wrong, correction, *begin(200), **sizes)
    off = standardised(x[..., 0].reshape(200, -1), y)
    assert abs(off.mean()) < 0.1
    x, _ = optimal_translator.sample_chains(wrong, nothing, *begin(200), **sizes)
    assert abs(standardised(x[..., 0].reshape(200, -1), y).mean()) > 0.4


def test_walkers_that_cannot_meet_are_told_apart():
    """Two modes fifty widths apart: the ratio R is far from 1."""
    x = np.random.default_rng(0).standard_normal((4, 16, 40))
    assert (optimal_translator.convergence(x) < 1.1).all()
    x[:, 8:] += 50
    assert (optimal_translator.convergence(x) > 1.5).all()


def test_true_latents_give_the_scene(scenes):
    """Fluxes, size and image, in the last bit but one."""
    model, truth, _ = scenes
    flux, geometry = model.predict(truth[:, None], model.kinds[:, :1])
    own = model.observed.scene.flux.numpy()[:, 0]
    own = np.concatenate([own[..., :4], own[..., -3:]], axis=-1)[..., optimal_translator.OWN]
    np.testing.assert_allclose(flux[:, 0], own.swapaxes(1, 2).reshape(8, -1), rtol=1e-5)
    physics = model.observed.physics
    known = np.log([physics["half_light_radius"], physics["axis_ratio"]]).T
    np.testing.assert_allclose(geometry[:, 0, :2], known, atol=1e-9)
    np.testing.assert_allclose(
        model.size(truth[:, None], model.kinds[:, :1])[:, 0], model.observed.normal[:, 8], atol=1e-9
    )
    image = model.render(*model.physics(truth[:, None], model.kinds[:, :1]), truth[:, -2:])
    expected = simulate.observe(model.observed.scene, SDSS, 0, model.observed.seen)[1]
    np.testing.assert_allclose(image, expected, atol=1e-5 * expected.max())


def test_likelihoods_of_pixels_agree_near_the_truth(scenes):
    """Linear and rendered one: differences of ln L over small changes of all latents."""
    model, truth, images = scenes
    m, score, weight = optimal_translator.likelihood_terms(model, images, truth, model.kinds[:, 0])
    target = optimal_translator.target(model, m, score, truth)
    kind = model.kinds[:, :1].repeat(4, axis=1)
    steps = 5e-4 * np.random.default_rng(1).standard_normal((8, 4, truth.shape[1]))
    x = truth[:, None] + steps
    linear = target.log_density(x, kind) - model.log_prior(x, kind)
    rendered, tolerance = np.diff(model.log_likelihood(images, weight, x, kind)), 0.05
    assert (intervals.rms(rendered**2) > 2 * tolerance).all()  # of every galaxy
    assert intervals.rms(rendered.ravel() ** 2) > 10 * tolerance
    np.testing.assert_allclose(np.diff(linear), rendered, rtol=0.05, atol=tolerance)


def test_calibration_is_integrated_out(scenes):
    """Against a numerical integral over the zero point of one band."""
    model, truth, images = scenes
    kind = model.kinds[:, :1].repeat(2, axis=1)
    x = np.stack([truth, truth + 1e-3], axis=1)
    weight = np.zeros(images.shape)
    weight[:, 2] = 30.0
    found = np.diff(model.log_likelihood(images, weight, x, kind))[:, 0]
    sigma, brute = SDSS.calibration_error[2], []
    factor = 1 + sigma * np.linspace(-6, 6, 601)
    for k in range(2):
        clean = model.render(*model.physics(x[:, k : k + 1], kind[:, :1]), x[:, k, -2:])[:, 2]
        off = images[:, 2] - factor[:, None, None, None] * clean
        ln = -15.0 * (off**2).sum((2, 3)) - 0.5 * ((factor - 1) / sigma)[:, None] ** 2
        brute.append(logsumexp(ln, axis=0))
    np.testing.assert_allclose(found, brute[1] - brute[0], atol=1e-3)


def test_gradient_and_curvature_of_the_prior(scenes):
    """The gradient of ln p by z and r (to a per cent) and ln R is that of differences."""
    model, truth, _ = scenes
    kind, x = model.kinds[:, :1], truth[:, None] + 0.0
    slope, curvature = model.prior_terms(x, kind)
    for latent, error in ((0, 1e-2), (1, 1e-2), (optimal_translator.SIZE, 1e-4)):
        step = 1e-4 * np.eye(x.shape[-1])[latent]
        difference = model.log_prior(x + step, kind) - model.log_prior(x - step, kind)
        np.testing.assert_allclose(slope[..., latent], difference / 2e-4, rtol=error)
    assert (np.linalg.eigvalsh(curvature) > -1e-6).all()


def test_true_scenes_are_observed_as_the_simulator_does(scenes):
    """Samples at the truth: noiseless images of the scene under other seeing, then noise."""
    model, truth, _ = scenes
    seen, clean = optimal_translator.observe_samples(model, truth[:, None], model.kinds[:, :1])
    conditions = simulate.observing_conditions(
        5, GALAXIES, SURVEYS[1], optimal_translator.FIRST_OBSERVATION
    )
    expected = simulate.observe(model.observed.scene, SURVEYS[1], 1, conditions)
    np.testing.assert_allclose(clean[0], expected[1], atol=1e-4 * expected[1].max())
    np.testing.assert_allclose(seen[0], expected[0], atol=1e-3 * expected[1].max())


def test_prior_of_a_class_leaves_out_types_that_do_not_have_it(scenes):
    model, truth, _ = scenes
    own, allowed = model.kinds[:, :1], model.kinds
    assert np.isfinite(model.log_prior(truth[:, None], own)).all()
    disc = np.isin(model.observed.truth["morphology"], ("spiral", "lenticular"))
    assert (allowed[disc] == own[disc]).all()
    low, high = latent_model.BORDERS
    assert ((truth[:, :2] >= low) & (truth[:, :2] <= high)).all()
