"""Pixels that do not count, do not: neither in a loss, nor in a training, nor in its validation."""

import numpy as np
import pytest
import torch
from blobs import blobs

from galtools import data, models
from galtools.data.pairs import SATURATED
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.models.base import Batch, pixel_loss
from galtools.training import train, translate
from galtools.training.train import Settings


def holes(pairs, value, share=0.1, seed=0):
    """Mask some pixels of both sides, and write a value into them."""
    rng = np.random.default_rng(seed)
    for one in (pairs.source_set, pairs.target_set):
        one.mask = (rng.random(one.images.shape) < share).astype(np.uint8)
        one.images[one.bad] = value
    return pairs


def unmask(pairs):
    """Forget which pixels do not count."""
    pairs.source_set.mask = pairs.target_set.mask = None


def test_pixel_loss_with_a_masked_quarter_is_three_quarters_of_the_closed_form():
    source, target = torch.zeros(2, 1, 16, 16), torch.full((2, 1, 16, 16), 0.5)
    good = torch.ones(target.shape, dtype=torch.bool)
    good[..., ::2, ::2] = False
    target[~good] = torch.nan
    predicted = (source + 0.75).requires_grad_()
    batch = Batch(source, target, lambda y: y, lambda f: f, 0.0, torch.Generator(), good)
    losses = pixel_loss(predicted, batch)
    assert losses["pixel"].item() == pytest.approx(0.75 * 0.25)
    assert losses["flux"].item() == pytest.approx(0.75 * 0.25)
    losses["pixel"].backward()
    assert (predicted.grad[~good] == 0).all() and (predicted.grad[good] > 0).all()


@pytest.mark.parametrize("name", ["residual", "srgan", "capsule", "diffusion"])
def test_what_is_masked_changes_no_weight(name):
    def trained(value, masked=True):
        pairs = holes(blobs(n=6), value)
        if not masked:
            unmask(pairs)
        torch.manual_seed(0)
        network = models.build(name, "cross", "tiny")
        history = train.train(network, pairs, pairs, Settings(steps=6, batch=3, crop=16, checks=1))
        return history[-1]["chi"], network.state_dict()

    (chi, one), (same_chi, two) = trained(np.nan), trained(7.0)
    assert chi == same_chi
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    other = trained(7.0, masked=False)[1]
    assert not all(torch.equal(value, other[key]) for key, value in one.items())


def test_an_error_under_the_mask_is_not_judged():
    target = np.zeros((5, 2, 8, 8), np.float32)
    target[:, :, 4, 4] = 10.0
    translated, bad = target.copy(), np.zeros(target.shape, bool)
    bad[:, :, 3, 3] = True
    translated[bad] = 100.0
    sky = np.ones((5, 2), np.float32)
    assert train.validation_metrics(translated, target, sky, bad)["chi"] == 0
    assert train.validation_metrics(translated, target, sky)["chi"] > 1


def test_what_is_masked_may_hold_nan_when_it_is_translated(tmp_path, monkeypatch):
    network, pairs = models.build("residual", "intra", "tiny"), blobs(n=3)
    train.train(network, pairs, pairs, Settings(steps=1, batch=2, crop=8))
    weights, test_file = tmp_path / "weights.safetensors", tmp_path / "test.h5"
    checkpoint.save_weights(weights, network)
    test_file.write_bytes(b"galaxies")
    masked = holes(blobs(n=3), np.nan)
    monkeypatch.setattr(data, "load", lambda path: masked)
    translate.translate_cached(tmp_path / "seed0.h5", weights, test_file)
    known = translate.translate(network, np.where(masked.bad[0], np.float32(0), pairs.source))
    np.testing.assert_array_equal(translate.load_translations(tmp_path / "seed0.h5"), known)
    unmask(masked)
    with pytest.raises(GaltoolsError, match="NaN"):  # nobody says that these do not count
        translate.translate_cached(tmp_path / "seed1.h5", weights, test_file)


def test_masks_come_with_the_pairs_of_a_file(tmp_path):
    pairs = blobs(n=4)
    pairs.source_set.mask = np.zeros(pairs.source.shape, np.uint8)
    pairs.source_set.mask[1, 2, 3, 4] = SATURATED
    data.save(pairs, tmp_path / "pairs.h5")
    found = data.load(tmp_path / "pairs.h5", [0, 1])
    assert found.bad[1] is None and np.argwhere(found.bad[0]).tolist() == [[1, 2, 3, 4]]
    intra = data.for_task(found, "intra")
    assert intra.target_set is intra.source_set is found.source_set
    assert found[1:].bad[0].sum() == 1 and found[:1].bad[0].sum() == 0
