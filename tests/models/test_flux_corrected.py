"""The flux-corrected translator: apertures, hat functions, the regression and the gains."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from blobs import blobs
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from galtools import models
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.models import checkpoint, flux_corrected
from galtools.models.flux_corrected import CIRCLES, ApertureFluxRegression
from galtools.training import train
from galtools.training.crops import normalization_of
from galtools.training.translate import translate

SIDE = 32
FLAT = torch.ones(1, 1, SIDE, SIDE)


def prepared(pairs, **changes):
    torch.manual_seed(0)
    network = models.build("flux_corrected", "cross", "tiny", **changes)
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    return network.eval()


def recoloured(factors, n=40):
    """Targets that are the sources times a number per band."""
    pairs = blobs(n=n, size=SIDE)
    pairs.target_set.images = pairs.source * np.float32(factors)[:, None, None]
    return pairs


def test_aperture_fluxes_are_those_within_the_circles():
    big = (0.1, 0.2, 0.3)
    expected = [math.pi * (r * SIDE) ** 2 for r in big]
    assert photometry.soft_aperture_flux(FLAT, big)[0, :, 0].tolist() == pytest.approx(
        expected, rel=0.02
    )
    spot = torch.zeros(1, 2, SIDE, SIDE)
    spot[0, 1, SIDE // 2, SIDE // 2 + 5] = 3.0  # at 5.5 pixels, 0.17 stamps
    assert photometry.soft_aperture_flux(spot, big)[0].tolist() == [[0, 0], [0, 3], [0, 3]]


@pytest.mark.parametrize("circles", [CIRCLES, (0.1, 0.3), (0.2,)])
def test_hat_functions_are_linear_between_the_circles_and_sum_to_one(circles):
    shapes, r = (
        flux_corrected.hat_functions(circles, FLAT),
        photometry.radius_map(FLAT),
    )
    assert torch.allclose(shapes.sum(0), torch.ones(SIDE, SIDE), atol=1e-6)
    for k, row in enumerate(np.eye(len(circles))):
        assert np.allclose(shapes[k].numpy(), np.interp(r.numpy(), circles, row), atol=1e-5)


def test_annuli_and_their_mean_radii():
    assert flux_corrected.ring_radii((0.1, 0.3)) == pytest.approx([0.05, 0.2])
    within = torch.tensor([[[1.0], [4.0], [9.0]]])
    assert flux_corrected.annulus_fluxes(within).flatten().tolist() == [1, 3, 5]


def test_the_rule_is_ridge_regression_on_standardised_magnitudes():
    pairs, rule = recoloured([1.3, 0.9, 1.1, 0.7, 1.0], n=60), ApertureFluxRegression(5, 5)
    sides = [torch.as_tensor(side) for side in (pairs.source, pairs.target)]
    noise = torch.full((5,), 0.03)
    rule.fit([[side[k::2] for side in sides] for k in (0, 1)], noise, noise)
    x, y = (rule.magnitudes(side, noise).double().numpy() for side in sides)
    known = make_pipeline(StandardScaler(), Ridge(60 / 59 * flux_corrected.RIDGE)).fit(x, y)
    found = (torch.as_tensor(x).float() @ rule.matrix + rule.constant).numpy()
    assert np.allclose(found, known.predict(x), atol=1e-4)


def test_magnitudes_count_the_noise_of_a_circle():
    """White noise of the given size has asinh magnitudes of scatter asinh(1/2), about."""
    rule = ApertureFluxRegression(2, 2)
    noise = torch.tensor([0.5, 3.0])
    field = torch.randn(800, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    found = torch.sinh(rule.magnitudes(field * noise[:, None, None], noise)).std(dim=0)
    assert torch.allclose(found, torch.full_like(found, 0.5), rtol=0.12)


def test_the_rule_recovers_a_change_of_filters():
    factors = [1.3, 0.9, 1.1, 0.7, 1.0]
    pairs = recoloured(factors, n=200)
    x, y = (torch.as_tensor(side) for side in (pairs.source, pairs.target))
    rule = ApertureFluxRegression(5, 5).fit(
        [(x[:100], y[:100]), (x[100:], y[100:])], np.full(5, 0.03), [0.01] * 5
    )
    found = (
        (rule.predict(x) / photometry.soft_aperture_flux(y, CIRCLES))[:, 2:].median(dim=0).values
    )
    assert torch.allclose(found, torch.ones(3, 5), atol=0.01)


def test_noise_within_a_circle_does_not_depend_on_the_pixels():
    """On finer pixels it is that of coarse ones: sigma times the step."""
    pairs = blobs(n=60, size=SIDE)
    network = prepared(pairs)
    assert torch.allclose(network.rule.noise_in, torch.full((5,), 0.03))
    network.scaling = replace(network.scaling, step=0.5)
    network.prepare(pairs)
    assert torch.allclose(network.rule.noise_in, torch.full((5,), 0.015))


def test_a_common_gain_is_exact_in_one_round_and_has_a_limit():
    image = torch.exp(-photometry.radius_map(FLAT) / 0.15).expand(1, 5, SIDE, SIDE)
    factor = torch.tensor([0.8, 1.0, 1.0, 1.0, 1.25])
    rule = ApertureFluxRegression(5, 5)
    put = rule.correct(image, photometry.soft_aperture_flux(image, CIRCLES) * factor, rounds=1)
    assert torch.allclose(put, image * factor[:, None, None], rtol=1e-5, atol=1e-6)
    limited = rule.correct(image, 100 * photometry.soft_aperture_flux(image, CIRCLES), rounds=2)
    assert torch.allclose(limited, image * flux_corrected.MAX_GAIN**2)


def test_rounds_come_closer_to_any_profile():
    rule = ApertureFluxRegression(5, 5, (0.1, 0.2, 0.3))
    image = torch.exp(-photometry.radius_map(FLAT) / 0.15).expand(1, 5, SIDE, SIDE)
    wanted = (
        photometry.soft_aperture_flux(image, rule.circles) * torch.tensor([0.9, 1.0, 1.05])[:, None]
    )

    def error(rounds):
        found = photometry.soft_aperture_flux(rule.correct(image, wanted, rounds), rule.circles)
        return float((found / wanted - 1).square().mean())

    errors = [error(rounds) for rounds in (0, 1, 4, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * errors[0]


def test_no_flux_has_no_gain():
    empty, rule = torch.zeros(1, 5, SIDE, SIDE), ApertureFluxRegression(5, 5)
    assert torch.equal(rule.correct(empty, photometry.soft_aperture_flux(empty, CIRCLES)), empty)
    assert torch.equal(
        rule.correct(empty - 1, photometry.soft_aperture_flux(empty + 1, CIRCLES)), empty - 1
    )


def assert_corrected(network, plain, pairs):
    """The fluxes in circles are those of the rule, ten times closer than without the correction."""
    wanted = network.rule.predict(torch.as_tensor(pairs.source))
    errors = []
    for translator in (plain, network):
        images = torch.as_tensor(translate(translator, pairs.source))
        flux = photometry.soft_aperture_flux(images, CIRCLES)
        errors.append((flux / wanted - 1).abs().median())
    assert errors[1] < 0.1 * errors[0]


def test_translations_have_the_predicted_fluxes_and_crops_are_left_alone():
    pairs = recoloured([1.2, 1.0, 1.0, 0.9, 1.1])
    network, plain = prepared(pairs), prepared(pairs, rounds=0)
    network.network = plain.network = lambda x: 0.9 * x  # too faint in every band
    x = network.scaling.normalize(torch.as_tensor(pairs.source))
    assert_corrected(network, plain, pairs)
    with torch.no_grad():
        crop = x[..., :16, :16]
        assert torch.equal(network(crop), plain(crop))


@pytest.mark.parametrize("turned", [False, True])
def test_blank_edges_change_no_prediction_and_no_gain(turned):
    """A stamp padded to a rectangle, and that rectangle turned, are corrected as the stamp is."""
    pairs = recoloured([1.3, 0.9, 1.1, 0.7, 1.0])
    factor = torch.linspace(0.8, 1.2, 5)[:, None, None]

    def padded(images):
        return F.pad(torch.as_tensor(images), (6, 6) if not turned else (0, 0, 6, 6))

    noise, rules = np.full(5, 0.03), []
    for change in (torch.as_tensor, padded):
        parts = [(change(pairs.source), change(pairs.target))]
        rules.append(ApertureFluxRegression(5, 5).fit(parts, noise, noise))
    x = torch.as_tensor(pairs.source)
    plain, wide = rules[0].predict(x), rules[1].predict(padded(x))
    assert torch.allclose(plain, wide, rtol=1e-4)
    corrected = rules[0].correct(factor * x, plain)
    assert torch.allclose(rules[1].correct(factor * padded(x), plain), padded(corrected), atol=1e-4)


def test_translations_of_rectangles_are_corrected():
    pairs = recoloured([1.2, 1.0, 1.0, 0.9, 1.1])
    for side in (pairs.source_set, pairs.target_set):
        side.images = np.pad(side.images, [(0, 0), (0, 0), (4, 4), (0, 0)])
    network, plain = prepared(pairs), prepared(pairs, rounds=0)
    network.network = plain.network = lambda x: 0.9 * x
    assert_corrected(network, plain, pairs)


def test_weights_carry_the_rule_and_it_fits_around_a_trained_network(tmp_path):
    pairs = recoloured([1.1, 1.0, 1.0, 1.0, 1.0], n=12)
    settings, file = train.Settings(steps=2, batch=2, crop=8, checks=1), tmp_path / "w.safetensors"
    trained = {}
    for name in ("flux_corrected", "residual", "capsule"):
        torch.manual_seed(0)
        trained[name] = models.build(name, "cross", "tiny")
        train.train(trained[name], pairs, pairs, settings)
    expected = translate(trained["flux_corrected"], pairs.source)
    checkpoint.save_weights(file, trained["flux_corrected"])
    assert np.array_equal(translate(checkpoint.load_weights(file), pairs.source), expected)
    added = flux_corrected.correct_network(
        trained["residual"], pairs
    )  # crops train the network alone
    assert np.array_equal(translate(added, pairs.source), expected)
    with pytest.raises(GaltoolsError, match="is no residual network"):
        flux_corrected.correct_network(trained["capsule"], pairs)
