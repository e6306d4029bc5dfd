"""Attention, routing, the game and the diffusion, each against something known exactly."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from galtools import models
from galtools.models import capsule, srgan, swin
from galtools.models.base import Batch


def batch_of(source, target, progress=0.0):
    return Batch(
        source, target, lambda y: y, lambda f: f, progress, torch.Generator().manual_seed(0)
    )


# --- Residual and generator -----------------------------------------------------------------


def scattered(name, **build):
    """A tiny network none of whose weights is zero."""
    torch.manual_seed(0)
    network = models.build(name, "cross", "tiny", **build)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def test_residual_network_and_generator_are_what_their_equations_say():
    """h' = h + conv(GELU(conv(h))) on packed pixels, with a skip around all blocks."""
    x = torch.randn(2, 5, 8, 8)

    def after(block, h):
        return h + block.second(F.gelu(block.first(h)))

    one, two = scattered("residual"), scattered("srgan")
    h = one.head(F.pixel_unshuffle(x, 2))
    expected = F.pixel_shuffle(one.tail(after(one.body[0], h)) + one.skip(h), 2)
    assert torch.allclose(one(x), expected, atol=1e-6)
    h = two.head(F.pixel_unshuffle(x, 2))
    block, close = two.body
    expected = F.pixel_shuffle(two.tail(h + close(after(block, h))), 2)
    assert torch.allclose(two(x), expected, atol=1e-6)


# --- Swin -----------------------------------------------------------------------------------


def test_partition_and_merge_are_inverse():
    h = torch.randn(2, 8, 12, 3)
    windows = swin.partition(h, 4)
    assert torch.equal(windows[0, 1, 5], h[0, 1, 5])  # window 1 starts at column 4
    assert torch.equal(swin.merge(windows, 4, 8), h)


def position_bias(attention, window):
    """Bias between any two pixels of a window, by plain loops: (heads, pixels, pixels)."""
    pixels = range(window**2)
    rows = [
        [
            attention.bias[
                (p // window - s // window + window - 1) * (2 * window - 1)
                + (p % window - s % window + window - 1)
            ]
            for s in pixels
        ]
        for p in pixels
    ]
    return torch.stack([torch.stack(row) for row in rows]).permute(2, 0, 1)


@pytest.mark.parametrize("shift", [0, 2])
def test_a_layer_is_that_of_torch_with_the_same_weights(shift):
    """TransformerEncoderLayer, norms first, on each window of a rolled image."""
    torch.manual_seed(0)
    layer = swin.SwinLayer(width=8, heads=2, window=4, shift=shift)
    nn.init.normal_(layer.attention.bias)
    theirs = nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0, activation="gelu", batch_first=True, norm_first=True
    )
    pairs = {
        "self_attn.in_proj": layer.attention.qkv, "self_attn.out_proj": layer.attention.out,
        "linear1": layer.mlp[0], "linear2": layer.mlp[2],
        "norm1": layer.before, "norm2": layer.between,
    }  # fmt: skip
    joint = {"self_attn.in_proj": "_"}
    theirs.load_state_dict({
        f"{name}{joint.get(name, '.')}{part}": getattr(module, part)
        for name, module in pairs.items() for part in ("weight", "bias")
    })  # fmt: skip
    h = torch.randn(1, 8, 8, 8)
    rolled = h.roll((-shift, -shift), (1, 2))
    visible = swin.shift_mask(8, 8, 4, shift) if shift else torch.ones(4, 16, 16, dtype=bool)
    windows = []
    for k, window in enumerate(swin.partition(rolled, 4)[0]):
        bias = position_bias(layer.attention, 4).masked_fill(~visible[k], -torch.inf)
        windows.append(theirs(window[None], src_mask=bias))
    expected = swin.merge(torch.stack(windows, dim=1), 4, 8).roll((shift, shift), (1, 2))
    assert torch.allclose(layer(h), expected, atol=1e-5)


@pytest.mark.parametrize("bands", [(5, 5), (4, 5)])
def test_swin_is_wired_as_swinir(bands):
    """Norms at both ends of the body, a convolution after it, skips around it and around all."""
    network = scattered("swin", bands=bands)
    x = torch.randn(1, bands[0], 16, 16)
    h = network.head(F.pixel_unshuffle(x, 2)).permute(0, 2, 3, 1)
    first, group, last = network.body
    body = last(group(first(h))).permute(0, 3, 1, 2)
    h = h.permute(0, 3, 1, 2) + network.close(body)
    y = F.pixel_shuffle(network.tail(h), 2)
    assert torch.allclose(network(x), x + y if bands == (5, 5) else y, atol=1e-5)


def test_swin_starts_from_a_truncated_normal_distribution():
    torch.manual_seed(0)
    layer = models.build("swin", "cross", "quick").body[1].layers[0]
    for weight in (layer.attention.qkv.weight, layer.mlp[0].weight, layer.attention.bias):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not layer.attention.qkv.bias.any()


def test_a_pixel_never_sees_across_the_wrap():
    torch.manual_seed(0)
    layer = swin.SwinLayer(width=4, heads=1, window=4, shift=2)
    h = torch.randn(1, 8, 8, 4, requires_grad=True)
    layer(h)[0, 0, 0].sum().backward()
    seen = h.grad.abs().sum(dim=(0, 3)) > 0
    assert seen[:2, :2].all()
    assert seen.sum() == 4  # its own corner and nothing of the far edges


def test_a_shifted_window_in_the_middle_is_whole():
    torch.manual_seed(0)
    layer = swin.SwinLayer(width=4, heads=1, window=4, shift=2)
    h = torch.randn(1, 8, 8, 4, requires_grad=True)
    layer(h)[0, 3, 4].sum().backward()
    seen = h.grad.abs().sum(dim=(0, 3)) > 0
    assert seen[2:6, 2:6].all() and seen.sum() == 16


# --- SRGAN ----------------------------------------------------------------------------------


def test_hinge_against_closed_form():
    true, false = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])
    assert srgan.critic_hinge_loss(true, false).item() == pytest.approx(0.25 + 0.625)


def test_critic_learns_to_tell_true_noise_from_none():
    torch.manual_seed(0)
    critic = srgan.Critic(bands=(1, 1), width=8)
    optimizer = torch.optim.AdamW(critic.parameters(), 5e-3)
    x = torch.zeros(8, 1, 16, 16)
    for _ in range(60):
        loss = srgan.critic_hinge_loss(critic(x, 0.3 * torch.randn_like(x))[0], critic(x, x)[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def test_the_game_begins_late_and_each_side_moves_its_own_weights():
    network = models.build("srgan", "cross", "tiny")
    images = torch.randn(2, 5, 16, 16)
    assert network.optimizer_groups()["critic"].begin == network.start > 0
    assert set(network.generator_losses(batch_of(images, images))) == {"pixel", "flux"}
    late = batch_of(images, images, progress=0.9)
    assert set(network.generator_losses(late)) == {"pixel", "flux", "content", "adversarial"}
    critic, generator = (set(map(id, p.parameters)) for p in network.optimizer_groups().values())
    assert not critic & generator
    assert critic | generator == set(map(id, network.parameters()))


class Brightness(nn.Module):
    """A critic who likes what is bright, and looks at the image and at twice the image."""

    def forward(self, x, y):
        return y.mean(dim=(1, 2, 3)), [y, 2 * y]


def test_losses_of_the_game_by_hand():
    """G says 1/4 where 3/4 is true: it pays for the difference, and is paid for pleasing D."""
    network = models.build("srgan", "cross", "tiny")
    network.critic = Brightness()
    network.network = lambda x: torch.full_like(x, 0.25)
    images = torch.full((2, 5, 16, 16), 0.75)
    losses = network.generator_losses(batch_of(images, images, progress=0.9))
    expected = {"pixel": 0.5, "flux": 0.5, "content": 0.02 * (0.5 + 1), "adversarial": -0.05 * 0.25}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected)
    hinge = network.critic_losses(batch_of(images, images))["hinge"]
    assert hinge.item() == pytest.approx((1 - 0.75) + (1 + 0.25))


def test_the_critic_sees_source_target_and_magnified_detail():
    """Of a point in the middle 8/9 is detail, in a corner, with three neighbours, 3/4."""
    critic, seen = srgan.Critic(bands=(1, 1), width=4), []
    critic.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x, y = torch.rand(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    y[..., 4, 4] = y[..., 0, 0] = 1
    critic(x, y)
    source, target, detail = F.pixel_shuffle(seen[0], 2)[0]
    assert torch.equal(source, x[0, 0])
    assert torch.equal(target, y[0, 0])
    found = detail[[4, 4, 0, 1, 2], [4, 5, 0, 1, 2]]
    expected = srgan.DETAIL_GAIN * torch.tensor([8 / 9, -1 / 9, 3 / 4, -1 / 9, 0])
    assert torch.allclose(found, expected, atol=1e-5)


# --- Capsules -------------------------------------------------------------------------------


def test_squash_lengths():
    s = torch.tensor([[3.0, 4.0], [0.1, 0.0], [0.0, 0.0]])
    lengths = capsule.squash(s).norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor([25 / 26, 0.01 / 1.01, 0.0]))


def test_squash_has_a_gradient_at_zero():
    s = torch.zeros(2, 3, requires_grad=True)
    capsule.squash(s).sum().backward()
    assert torch.allclose(s.grad, torch.zeros(2, 3), atol=1e-12)


def couplings_after(predictions, iterations):
    """Couplings by plain loops over one place, as the equations say."""
    children, parents = predictions.shape[:2]
    logits = torch.zeros(children, parents)
    for turn in range(iterations):
        c = torch.stack([row.softmax(0) for row in logits])
        v = [capsule.squash(sum(c[i, j] * predictions[i, j] for i in range(children)))
             for j in range(parents)]  # fmt: skip
        if turn < iterations - 1:
            for i in range(children):
                for j in range(parents):
                    logits[i, j] += predictions[i, j] @ v[j]
    return torch.stack(v), c


def test_routing_equals_plain_loops_and_couplings_sum_to_one_over_parents():
    torch.manual_seed(0)
    predictions = torch.randn(2, 5, 3, 4, 2, 2)
    poses, couplings = capsule.route(predictions, 3)
    parents = capsule.squash(poses, dim=2)
    assert torch.allclose(couplings.sum(dim=2), torch.ones(2, 5, 2, 2))
    expected_parents, expected_couplings = couplings_after(predictions[1, ..., 0, 1], 3)
    assert torch.allclose(parents[1, ..., 0, 1], expected_parents, atol=1e-6)
    assert torch.allclose(couplings[1, ..., 0, 1], expected_couplings, atol=1e-6)


def test_two_children_that_agree_by_hand():
    # Both children predict (1, 0) for parent 0; for parent 1 they contradict each other.
    predictions = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]]])
    poses, couplings = capsule.route(predictions[None], 2)
    parents = capsule.squash(poses, dim=2)
    # Turn one: c = 1/2, s_0 = (1, 0), |v_0| = 1/2; s_1 = 0. Logits: 1/2 and 0.
    c = math.exp(0.5) / (math.exp(0.5) + 1)
    assert torch.allclose(couplings[0], torch.tensor([[c, 1 - c], [c, 1 - c]]))
    length = (2 * c) ** 2 / (1 + (2 * c) ** 2)
    assert torch.allclose(parents[0], torch.tensor([[length, 0.0], [0.0, 0.0]]), atol=1e-6)


def test_parents_have_a_quarter_of_the_resolution():
    network = models.build("capsule", "cross", "tiny")
    assert network.encode(torch.randn(1, 5, 16, 24)).shape == (1, 4, 4, 4, 6)


def test_the_decoder_sees_the_parents_alone():
    """Of two sources that differ, equal parents make equal images."""
    network = scattered("capsule")
    one, two = torch.randn(2, 1, 5, 16, 16)
    parents = network.encode(one)
    assert not torch.allclose(network(one), network(two))
    network.encode = lambda x: parents
    assert torch.equal(network(one), network(two))
