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


def test_less_of_the_rule_mends_less(weights):
    pairs = weights.pairs
    plain = 0.9 * pairs.target
    changes = {
        "alone": {"rounds": 0},
        "one": {"circles": (0.2,), "pairs": pairs},
        "few": {"pairs": pairs[:3]},
        "all": {},
    }
    found = {
        name: flux_correction.apply_flux_correction(weights.path, pairs.source, plain, **change)
        for name, change in changes.items()
    }
    assert np.array_equal(found["alone"], plain)
    gain = found["one"][:, :, 16, 16] / plain[:, :, 16, 16]
    corner = found["one"][:, :, 2, 9] / plain[:, :, 2, 9]
    assert np.allclose(gain, corner, rtol=1e-4)  # one circle has one gain
    assert not np.allclose(found["few"], found["all"])
