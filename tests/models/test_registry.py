"""What every model has to keep: registry, shapes, overfitting."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import blobs

from galtools import data, models
from galtools.data.stretch import Normalization, Stretch
from galtools.errors import GaltoolsError
from galtools.models.base import Batch, pad_to_multiple, pixel_loss
from galtools.training import train
from galtools.training.crops import normalization_of
from galtools.training.loop import Settings

PLAIN = Stretch("linear", (1.0,) * 4, (1.0,) * 4)


def fresh(name, profile="tiny", **changes):
    torch.manual_seed(0)
    return models.build(name, "cross", profile, **changes)


def batch_of(source, target):
    return Batch(source, target, lambda y: y, lambda f: f, 0.0, torch.Generator())


def test_all_models_of_the_paper_are_registered():
    expected = {"residual", "swin", "srgan", "capsule", "diffusion"}
    assert expected <= set(models.names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vae", "cross", "tiny"), "unknown model 'vae': choose one of capsule, diffusion"),
        (("swin", "across", "tiny"), "choose one of intra, cross"),
        (("swin", "cross", "huge"), "choose one of tiny, quick, long, paper"),
    ],
)
def test_unknown_names_are_refused(arguments, message):
    with pytest.raises(GaltoolsError, match=message):
        models.build(*arguments)
    with pytest.raises(GaltoolsError, match="cannot be built"):
        models.build("swin", "cross", "tiny", wings=2)


@pytest.mark.parametrize("name", models.names())
def test_any_bands_and_any_grid(name):
    network = fresh(name, bands=(3, 4)).eval()
    network.scaling = Normalization(PLAIN, PLAIN, 64, 1.0)
    with torch.no_grad():
        assert network(torch.randn(2, 3, 26, 22)).shape == (2, 4, 26, 22)
        noise = torch.randn(1, 4, 16, 16)
        assert network.sampler(torch.randn(1, 3, 16, 16))(noise).shape == noise.shape


@pytest.mark.parametrize("name", models.names())
def test_a_recipe_rebuilds_the_network(name):
    network = fresh(name)
    again = models.rebuild(network.recipe)
    again.load_state_dict(network.state_dict())
    assert again.recipe == network.recipe


def test_pixel_loss_against_closed_form():
    source = torch.zeros(2, 1, 16, 16)
    losses = pixel_loss(source + 0.75, batch_of(source, source + 0.5))
    assert losses["pixel"].item() == pytest.approx(0.25)
    assert losses["flux"].item() == pytest.approx(0.25)
    noise = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8).expand(2, 1, 16, 16)
    losses = pixel_loss(source + noise, batch_of(source, source))
    assert losses["pixel"].item() == 1.0  # every pixel is off by one,
    assert losses["flux"].item() == 0.0  # but no block has lost any light


def test_padding_is_by_reflection():
    x = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 6, 6)
    padded = pad_to_multiple(x, 4)
    assert padded.shape[-2:] == (8, 8)
    assert padded[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task"),
    [*((name, "cross") for name in models.names()), ("residual", "intra"), ("capsule", "intra")],
)
def test_every_model_overfits_eight_images(name, task):
    pairs = blobs(n=8)
    if task == "intra":
        pairs = data.for_task(pairs, task)
    # 16 pixels of 5 bands are 80 numbers, which the poses of the parents have to hold
    wide = {"capsule": {"children": 6, "parents": 8, "pose": 12, "width": 32}}
    network = fresh(name, **wide.get(name, {}))
    # the regression network leaves diffusion little to do, and the flux correction its network
    steps = {"diffusion": 60, "flux_corrected": 60, "swin": 600, "capsule": 700}.get(name, 150)
    settings = Settings(steps=steps, batch=8, crop=0, rate=5e-3, ema=0.9, checks=1)
    network.scaling = normalization_of(pairs)
    start = train.validate(network, pairs)["chi"]
    if name == "diffusion":
        regression = fresh("residual")
        train.train(regression, pairs, pairs, replace(settings, steps=150))
        network.set_mean(regression)
    assert train.train(network, pairs, pairs, settings)[-1]["chi"] < 0.15 * start


def test_noise_of_a_galaxy_does_not_depend_on_its_company():
    from galtools.models.base import galaxy_noise

    many, one = (galaxy_noise((2, 4, 4), 3, k, "cpu") for k in (range(5), [4]))
    assert torch.equal(many[4], one[0])
    assert abs(float(np.std(galaxy_noise((64, 64), 0, range(4), "cpu").numpy())) - 1) < 0.03
