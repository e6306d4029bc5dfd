"""Stretches are inverted exactly and fitted to unit mean square."""

import json
from dataclasses import asdict

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from galtools.data.stretch import (
    CURVES,
    Normalization,
    Stretch,
    fit_normalization,
    fit_stretch,
)
from galtools.errors import GaltoolsError

fluxes = hnp.arrays(np.float64, (2, 3, 4, 4), elements=st.floats(-1e4, 1e4))
positive = st.lists(st.floats(1e-3, 10), min_size=3, max_size=3)


@pytest.mark.parametrize("kind", CURVES)
@given(images=fluxes, softening=positive, scale=positive)
@settings(max_examples=40)
def test_inverse_undoes_forward(kind, images, softening, scale):
    stretch = Stretch(kind, tuple(softening), tuple(scale))
    x = torch.tensor(images)
    tolerance = 1e-9 * torch.tensor(softening).view(3, 1, 1)
    error = (stretch.inverse(stretch.forward(x)) - x).abs()
    assert (error <= tolerance + 1e-9 * x.abs()).all()


def test_signed_square_root_by_hand():
    stretch = Stretch("sqrt", (2.0,), (0.5,))
    x = torch.tensor([-16.0, 0.0, 6.0]).view(1, 1, 1, 3)
    assert torch.allclose(stretch.forward(x).flatten(), torch.tensor([-4.0, 0.0, 2.0]))


def test_log_and_asinh_by_hand():
    x = torch.tensor([-(np.e - 1), np.e**2 - 1]).view(1, 1, 1, 2)
    assert torch.allclose(CURVES["log"][0](x).flatten(), torch.tensor([-1.0, 2.0]))
    assert torch.allclose(CURVES["asinh"][1](torch.tensor(1.5)), torch.tensor(1.5).sinh())


@pytest.mark.parametrize("kind", CURVES)
def test_stretch_is_odd_and_grows(kind):
    x = torch.linspace(-50, 50, 401, dtype=torch.float64).view(1, 1, 1, -1)
    y = Stretch(kind, (0.3,), (2.0,)).forward(x).flatten()
    assert (y.diff() > 0).all()
    assert torch.allclose(y, -y.flip(0))


def test_fit_gives_unit_mean_square_per_band():
    images = np.random.default_rng(0).normal(size=(6, 2, 8, 8)) * [[[[3.0]], [[0.1]]]]
    stretched = fit_stretch(images, (0.05, 0.05)).forward(torch.tensor(images))
    assert torch.allclose(stretched.square().mean(dim=(0, 2, 3)), torch.ones(2).double())


def test_scaling_survives_json():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(3, 2, 8, 8)), rng.normal(size=(3, 4, 16, 16))
    softening = (0.1, 0.2)
    with pytest.raises(GaltoolsError, match="4 bands"):
        fit_normalization(source, target, softening)
    scaling = fit_normalization(source, target[:, :2], softening, 0.5, "asinh")
    assert (
        Normalization.from_dict(json.loads(json.dumps(asdict(scaling), sort_keys=True))) == scaling
    )


def test_refusals_name_the_cure():
    with pytest.raises(GaltoolsError, match="choose one of sqrt"):
        Stretch("cube", (1.0,), (1.0,))
    with pytest.raises(GaltoolsError, match="positive"):
        Stretch("sqrt", (0.0,), (1.0,))
    with pytest.raises(GaltoolsError, match="2 bands, the stretch 1"):
        Stretch("sqrt", (1.0,), (1.0,)).forward(torch.zeros(1, 2, 4, 4))
