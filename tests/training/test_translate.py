"""Weights round-trip, translations too, and bad input is refused."""

import copy

import numpy as np
import pytest
import torch
from blobs import blobs

from galtools import models
from galtools.data.stretch import Normalization, Stretch
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.models.base import Translator, sample_images
from galtools.training import train, translate
from galtools.training.crops import normalization_of
from galtools.training.loop import Settings


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    trained = models.build("residual", "cross", "tiny")
    train.train(trained, blobs(), blobs(), Settings(steps=3, batch=4, crop=8, checks=1))
    return trained


def test_weights_round_trip(network, tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoint.save_weights(path, network)
    images = blobs(seed=3).source
    assert np.array_equal(translate.translate(path, images), translate.translate(network, images))
    with pytest.raises(GaltoolsError, match="is missing"):
        translate.translate(tmp_path / "other.safetensors", images)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(GaltoolsError, match="damaged"):
        translate.translate(path, images)


def test_an_image_is_translated_alike_in_any_company(network):
    images = blobs(n=70, seed=3).source
    whole = translate.translate(network, images)
    assert whole.shape == (70, 5, 16, 16) and whole.dtype == np.float32
    assert np.allclose(whole[66:], translate.translate(network, images[66:], start=66), atol=1e-5)


class Echo(Translator):
    """A translator that draws the noise it is handed."""

    recipe = {"bands": (5, 5)}  # noqa: RUF012

    def sampler(self, x):
        return lambda noise: noise


def test_noise_belongs_to_the_number_of_the_galaxy_and_the_draw():
    echo, plain = Echo(), Stretch("linear", (1.0,) * 5, (1.0,) * 5)
    echo.scaling = Normalization(plain, plain, 16, 1.0)
    images = blobs(n=40).source
    whole = translate.translate(echo, images, samples=2, seed=3)
    for first in (0, 1, 16, 37):
        part = translate.translate(echo, images[first:], samples=2, seed=3, start=first)
        assert np.array_equal(whole[first:], part)
    single = translate.translate(echo, images, seed=4)
    every = np.concatenate([whole.reshape(80, -1), single.reshape(40, -1)])
    assert len(np.unique(every[:, 0])) == 120  # no galaxy, draw or seed shares its noise
    assert abs(np.corrcoef(every) - np.eye(120)).max() < 0.2


def test_several_samples_have_an_axis_of_their_own(network):
    assert translate.translate(network, blobs().source[:2], samples=3).shape == (2, 3, 5, 16, 16)


def test_draws_together_are_those_made_one_by_one(monkeypatch):
    """What the draws of a galaxy share is worked out once, and no draw notices."""
    pairs = blobs(n=20, seed=3)
    torch.manual_seed(0)
    model = models.build("diffusion", "cross", "tiny")
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    model.scaling, asked = normalization_of(pairs), []
    known = model.network
    monkeypatch.setattr(model, "network", lambda x: asked.append(len(x)) or known(x))
    together = translate.translate(model, pairs.source, samples=3, seed=5)
    assert asked == [16, 4]
    for k in range(3):
        alone = np.concatenate(
            list(sample_images(model, model.scaling, pairs.source, [5 * 1009 + k]))
        )
        assert np.array_equal(together[:, k], alone[:, 0])
    assert np.array_equal(together[:, 0], translate.translate(model, pairs.source, seed=5))
    assert (together[:, 0] != together[:, 1]).any(axis=(1, 2, 3)).all()


def test_another_grid_is_reached():
    pairs = blobs()
    rng = np.random.default_rng(0)
    pairs.target_set.images = rng.normal(size=(12, 5, 34, 34)).astype(np.float32)
    pairs.target_set.pixel_scale = 0.187
    other = models.build("residual", "cross", "tiny")
    train.train(other, pairs, pairs, Settings(steps=1, batch=2, crop=8, checks=1))
    assert translate.translate(other, pairs.source).shape == (12, 5, 34, 34)


def test_bad_input_is_refused(network):
    images = blobs().source
    for bad, message in (
        (images[:, :3], "have 3 bands, the model takes 5"),
        (images.astype(float), "must be float32"),
        (images[0], "must have shape"),
        (images[..., :8, :8], r"\(8, 8\) pixels, the model takes \(16, 16\)"),
        (images * np.float32(np.nan), "NaN"),
    ):
        with pytest.raises(GaltoolsError, match=message):
            translate.translate(network, bad)
    with pytest.raises(GaltoolsError, match="never trained"):
        translate.translate(models.build("residual", "cross", "tiny"), images)
    with pytest.raises(GaltoolsError, match="at least 1"):
        translate.translate(network, images, samples=0)


def test_translations_round_trip(tmp_path):
    images = np.random.default_rng(0).normal(size=(3, 2, 5, 4, 4)).astype(np.float32)
    path = tmp_path / "seed0.h5"
    translate.save_translations(path, images, {"model": "residual"})
    assert np.array_equal(translate.load_translations(path, None), images)
    assert np.array_equal(translate.load_translations(path, 1), images[:, 1])
    translate.save_translations(path, images[:, 0])
    assert np.array_equal(translate.load_translations(path), images[:, 0])
    with pytest.raises(GaltoolsError, match="1 samples: there is no 2"):
        translate.load_translations(path, 2)
    with pytest.raises(GaltoolsError, match="is missing"):
        translate.load_translations(tmp_path / "none.h5")
    path.write_bytes(b"not HDF5")
    with pytest.raises(GaltoolsError, match="damaged"):
        translate.load_translations(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(network, tmp_path, value):
    broken = copy.deepcopy(network)
    with torch.no_grad():
        next(broken.parameters())[0] = value
    checkpoint.save_weights(tmp_path / "weights.safetensors", broken)
    with pytest.raises(GaltoolsError, match="weights that are not finite"):
        checkpoint.load_weights(tmp_path / "weights.safetensors")
