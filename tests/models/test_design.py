"""Sizes and fields of view as designed: counted by hand, kernel by kernel."""

import pytest
import torch

from galtools import models
from galtools.models.base import count_parameters
from galtools.models.diffusion import Denoiser
from galtools.redshift.network import RedshiftNetwork


def fresh(name, profile="quick", **changes):
    return models.build(name, "cross", profile, **changes)


def convolution(a, b, k):
    return a * b * k * k + b


def block(c):
    return 2 * convolution(c, c, 3)


def test_parameters_of_the_residual_network():
    expected = convolution(20, 48, 3) + 3 * block(48) + convolution(48, 20, 3)
    assert count_parameters(fresh("residual")) == expected + convolution(48, 20, 1)


def test_parameters_of_the_swin():
    attention = 48 * 144 + 144 + 48 * 48 + 48 + 49 * 4
    layer = attention + 2 * 96 + 48 * 96 + 96 + 96 * 48 + 48
    group = 2 * layer + convolution(48, 48, 3)
    body = 2 * group + 2 * 96 + convolution(48, 48, 3)
    expected = convolution(20, 48, 3) + body + convolution(48, 20, 3)
    assert count_parameters(fresh("swin")) == expected


def test_parameters_of_generator_and_critic():
    network = fresh("srgan", bands=(3, 5))
    generator = convolution(12, 48, 5) + 3 * block(48) + convolution(48, 48, 3)
    generator += convolution(48, 20, 3)
    # source, target and the target's detail, packed two by two; the verdict is one number
    critic = convolution(4 * (3 + 5 + 5), 24, 3) + convolution(24, 48, 3) + convolution(48, 48, 3)
    critic += convolution(48, 1, 3)
    assert count_parameters(network.critic) == critic
    assert count_parameters(network) == generator + critic


def test_parameters_of_the_capsules():
    children, parents, pose, width = 6, 8, 12, 48
    encoder = convolution(20, width, 3) + block(width) + convolution(width, children * pose, 3)
    # every child has matrices of its own to all parents, 4 x 4 places wide; routing has none
    votes = children * parents * pose * (pose * 4 * 4 + 1)
    decoder = convolution(parents * pose, 4 * width, 3) + block(width) + convolution(width, 20, 3)
    assert count_parameters(fresh("capsule")) == encoder + votes + decoder
    assert count_parameters(fresh("capsule", iterations=1)) == encoder + votes + decoder


def test_parameters_of_the_denoiser():
    """Noise and two conditions of five bands, packed; three levels."""
    widths, embedding = (16, 32, 48), 96
    network = Denoiser(5, 10, widths)

    def timed(c):  # two convolutions, a norm, and its modulation by the noise level
        return block(c) + 2 * c + embedding * 2 * c + 2 * c

    embed = 32 * embedding + embedding + embedding * embedding + embedding
    down = sum(timed(c) for c in widths) + convolution(16, 32, 2) + convolution(32, 48, 2)
    up = timed(16) + timed(32) + (32 * 16 * 4 + 16) + (48 * 32 * 4 + 32)
    ends = convolution(4 * 15, 16, 3) + 2 * 16 + convolution(16, 4 * 5, 3)
    assert count_parameters(network) == embed + down + 48 * 48 + 48 + up + ends


@pytest.mark.parametrize(("width", "extra"), [(0, 0), (8, 1)])
def test_parameters_of_the_estimator(width, extra):
    light, peak, shape = 4 * (5 - 1) + 2, 5, 5  # three circles and a profile; peaks; moments
    head = (light + peak + shape + 4 * width + extra) * 128 + 128
    head += 128 * 128 + 128 + 128 * 180 + 180  # bins
    pictures = convolution(20, width, 3) + convolution(width, 2 * width, 2)
    pictures += convolution(2 * width, 2 * width, 3)
    network = RedshiftNetwork(width=width, extra=extra)
    assert count_parameters(network) == head + (pictures if width else 0)


def field_of_view(network, side=64, pixel=33):
    """Extent of the source pixels on which one target pixel depends."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.1)
    x = torch.randn(1, 5, side, side, requires_grad=True)
    network(x)[0, :, pixel, pixel].sum().backward()
    rows = x.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    return int(rows.max() - rows.min() + 1)


def seen(*reaches):
    """Pixels across of convolutions on packed pixels that reach so far to either side."""
    return 2 * (2 * sum(reaches) + 1)


@pytest.mark.parametrize("blocks", [1, 2])
def test_convolutions_see_as_far_as_their_kernels_reach(blocks):
    body = 2 * blocks
    assert field_of_view(fresh("residual", "tiny", blocks=blocks)) == seen(1, body, 1)
    assert field_of_view(fresh("srgan", "tiny", blocks=blocks)) == seen(2, body, 1, 1)
    assert field_of_view(fresh("diffusion", "tiny", blocks=blocks)) == seen(1, body, 1)  # the mean


def test_attention_sees_whole_windows():
    # packed pixel 16: output and two closing convolutions reach 13 to 19; shifted windows begin at
    # 2, 6, 10, ...: 10 to 21; straight ones at 0, 4, 8, ...: 8 to 23; the head: 7 to 24
    assert field_of_view(fresh("swin", "tiny")) == 2 * 18
    assert field_of_view(fresh("swin", "tiny", depth=1)) == 2 * 10  # 13 to 19, 12 to 19, 11 to 20


def test_parents_see_twice_as_far_as_children():
    # packed pixel 16: the decoder reaches 13 to 19, those are in places 6 to 9 of the parents; the
    # expansion makes it 5 to 10, the votes 9 to 22 (4 wide, 2 apart); primary, block and head
    # reach 4 further: 5 to 26
    assert field_of_view(fresh("capsule", "tiny")) == 2 * 22
