"""Fields of view as designed: counted by hand, kernel by kernel."""

import pytest
import torch

from galtools import models


def fresh(name, profile="quick", **changes):
    return models.build(name, "cross", profile, **changes)


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
