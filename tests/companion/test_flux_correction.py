"""The flux correction, put around networks and applied to images of others."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from blobs import blobs

from companion import flux_correction
from galtools import models
from galtools.models import checkpoint
from galtools.training.crops import normalization_of
from galtools.training.translate import translate


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A flux correction around a network that copies its input, a tenth too faint."""
    pairs, path = (
        blobs(n=40, size=32),
        tmp_path_factory.mktemp("flux_corrected") / "weights.safetensors",
    )
    torch.manual_seed(0)
    network = models.build("flux_corrected", "cross", "tiny")
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    checkpoint.save_weights(path, network)
    return SimpleNamespace(path=path, pairs=pairs)


def test_the_rule_mends_what_others_drew(weights):
    pairs = weights.pairs
    put = flux_correction.apply_flux_correction(weights.path, pairs.source, 0.9 * pairs.target)
    before, after = (abs(np.median(x.sum((2, 3)) / pairs.target.sum((2, 3))) - 1)
                     for x in (0.9 * pairs.target, put))  # fmt: skip
    assert before == pytest.approx(0.1, rel=1e-3)
    assert after < 0.02


def test_a_flux_corrected_network_is_its_network_and_then_its_rule(weights):
    some = weights.pairs.source[:6]
    network = checkpoint.load_weights(weights.path)
    network.rounds = 0
    alone = translate(network, some)
    whole = translate(weights.path, some)
    assert np.abs(whole / alone - 1).max() > 0.01
    np.testing.assert_allclose(
        flux_correction.apply_flux_correction(weights.path, some, alone), whole, rtol=1e-4
    )


def test_side_effects_of_a_known_change():
    """A tenth more light in a circle that was right, and residuals twice as large."""
    pairs = blobs(n=20, size=32)
    noise = np.random.default_rng(0).normal(0, 0.01, pairs.target.shape).astype(np.float32)
    plain = pairs.target + noise
    same = flux_correction.side_effects(pairs, plain, plain, 20)
    assert [e.value for e in same.values()] == [1, 0, 0]
    twice = flux_correction.side_effects(pairs, plain, pairs.target + 2 * noise, 20)
    assert twice["residual"].value == pytest.approx(2, rel=1e-4)
    brighter = flux_correction.side_effects(pairs, pairs.target, 1.1 * pairs.target, 20)
    assert brighter["bias of the flux"].value == pytest.approx(0.1, rel=1e-3)
    assert np.isnan(brighter["residual"].value)  # against a perfect image nothing can be told


def test_side_effects_are_those_in_the_r_band_and_the_blur_is_in_arcsec():
    """Gaussians that grow by 1 pixel^2 in variance have an extra FWHM of 2.355 pixels."""
    side, pixel = np.arange(64) - 31.5, 0.3
    square = side**2 + side[:, None] ** 2

    def see(*variances):
        return np.stack([100 * np.exp(-square / 2 / s) / (2 * np.pi * s) for s in variances])

    widths = np.linspace(9, 11, 8)
    pairs = blobs(n=8, size=64)
    pairs.target_set.pixel_scale = pixel
    pairs.target_set.images = np.repeat(see(*widths)[:, None], 5, axis=1)
    corrected, plain = pairs.target.copy(), pairs.target.copy()
    corrected[:, 2], plain[:, [0, 1, 3, 4]] = see(*(widths + 1)), 7.0
    found = flux_correction.side_effects(pairs, plain, corrected, 20)
    assert found["blur"].value == pytest.approx(2.355 * pixel, rel=0.02)
    inside = np.hypot(side, side[:, None]) * pixel < 3
    less = 1 - (see(*(widths + 1))[:, inside].sum(1) / see(*widths)[:, inside].sum(1))
    assert found["bias of the flux"].value == pytest.approx(np.median(less), rel=0.05)
