"""Attention, routing, the game and the diffusion, each against something known exactly."""

import math

import pytest
import torch
from einops import rearrange
from scipy.fft import dctn

from galtools import models
from galtools.models import capsule, diffusion, srgan, swin
from galtools.models.common import Batch


def batch_of(source, target, progress=0.0):
    return Batch(
        source, target, lambda y: y, lambda f: f, progress, torch.Generator().manual_seed(0)
    )


# --- Swin -----------------------------------------------------------------------------------


def test_partition_and_merge_are_inverse():
    h = torch.randn(2, 8, 12, 3)
    windows = swin.partition(h, 4)
    assert torch.equal(windows[0, 1, 5], h[0, 1, 5])  # window 1 starts at column 4
    assert torch.equal(swin.merge(windows, 4, 8), h)


def test_attention_equals_the_explicit_formula():
    torch.manual_seed(0)
    layer = swin.WindowAttention(width=6, heads=2, window=2)
    layer.bias.data.normal_()
    windows = torch.randn(1, 1, 4, 6)
    q, k, v = layer.qkv(windows)[0, 0].split(6, dim=-1)
    heads = []
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        scores = torch.empty(4, 4)
        for p in range(4):
            for s in range(4):
                down, right = p // 2 - s // 2 + 1, p % 2 - s % 2 + 1
                bias = layer.bias[down * 3 + right, head]
                scores[p, s] = q[p, part] @ k[s, part] / math.sqrt(3) + bias
        heads.append(scores.softmax(dim=-1) @ v[:, part])
    expected = layer.out(torch.cat(heads, dim=-1))
    assert torch.allclose(layer(windows, None)[0, 0], expected, atol=1e-6)


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
    assert srgan.critic_hinge(true, false).item() == pytest.approx(0.25 + 0.625)


def test_critic_learns_to_tell_true_noise_from_none():
    torch.manual_seed(0)
    critic = srgan.Critic(bands=(1, 1), width=8)
    optimiser = torch.optim.Adam(critic.parameters(), 5e-3)
    x = torch.zeros(8, 1, 16, 16)
    for _ in range(60):
        loss = srgan.critic_hinge(critic(x, 0.3 * torch.randn_like(x))[0], critic(x, x)[0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2


def test_the_game_begins_late_and_each_side_moves_its_own_weights():
    network = models.build("srgan", "cross", "tiny")
    images = torch.randn(2, 5, 16, 16)
    assert network.players()["critic"].begin == network.start > 0
    assert set(network.generator_losses(batch_of(images, images))) == {"pixel", "flux"}
    late = batch_of(images, images, progress=0.9)
    assert set(network.generator_losses(late)) == {"pixel", "flux", "content", "adversarial"}
    critic, generator = (set(map(id, p.parameters)) for p in network.players().values())
    assert not critic & generator
    assert critic | generator == set(map(id, network.parameters()))


# --- Capsules -------------------------------------------------------------------------------


def test_squash_lengths():
    s = torch.tensor([[3.0, 4.0], [0.1, 0.0], [0.0, 0.0]])
    lengths = capsule.squash(s).norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor([25 / 26, 0.01 / 1.01, 0.0]))


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
    parents, couplings = capsule.route(predictions, 3)
    assert torch.allclose(couplings.sum(dim=2), torch.ones(2, 5, 2, 2))
    expected_parents, expected_couplings = couplings_after(predictions[1, ..., 0, 1], 3)
    assert torch.allclose(parents[1, ..., 0, 1], expected_parents, atol=1e-6)
    assert torch.allclose(couplings[1, ..., 0, 1], expected_couplings, atol=1e-6)


def test_two_children_that_agree_by_hand():
    # Both children predict (1, 0) for parent 0; for parent 1 they contradict each other.
    predictions = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]]])
    parents, couplings = capsule.route(predictions[None], 2)
    # Turn one: c = 1/2, s_0 = (1, 0), |v_0| = 1/2; s_1 = 0. Logits: 1/2 and 0.
    c = math.exp(0.5) / (math.exp(0.5) + 1)
    assert torch.allclose(couplings[0], torch.tensor([[c, 1 - c], [c, 1 - c]]))
    length = (2 * c) ** 2 / (1 + (2 * c) ** 2)
    assert torch.allclose(parents[0], torch.tensor([[length, 0.0], [0.0, 0.0]]), atol=1e-6)


# --- Diffusion ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", diffusion.SAMPLERS)
@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (1.5, 0.4), (-0.5, 2.0)])
def test_every_scheduler_draws_a_gaussian_whose_score_is_exact(name, mean, spread):
    alphas = diffusion.cosine_alphas()

    def predict(z, t):
        alpha, sigma = alphas[int(t)].sqrt(), (1 - alphas[int(t)]).sqrt()
        gain = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)
        clean = mean + gain * (z - alpha * mean)
        return (alpha * z - clean) / sigma

    noise = torch.randn(40_000, 1, generator=torch.Generator().manual_seed(0))
    steps = 250 if name == "ddim" else 50  # DDIM is of first order, the others of second
    drawn = diffusion.solve(predict, noise, name, steps)
    assert drawn.mean().item() == pytest.approx(mean, abs=0.03)
    assert drawn.std().item() == pytest.approx(spread, rel=0.03)


def test_schedule_is_that_of_diffusers():
    known = diffusion.scheduler("ddim", 10).alphas_cumprod
    assert torch.allclose(diffusion.cosine_alphas(), known, atol=1e-5)


def test_cosines_are_those_of_scipy_and_come_back():
    images = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    cosines = diffusion.Cosines(8)
    frequencies = cosines(images)
    block = dctn(images[1, 2, 8:16, 16:24].numpy(), norm="ortho").ravel()
    assert torch.allclose(frequencies[1, 128:, 1, 2], torch.as_tensor(block), atol=1e-5)
    assert torch.allclose(cosines.inverse(frequencies), images, atol=1e-5)


def test_untrained_denoiser_draws_the_anchors_middle_and_spread():
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny", steps=10).eval()
    x, noise = torch.randn(4, 5, 16, 16), torch.randn(4, 5, 16, 16)
    with torch.no_grad():
        middle, spread = network.middle_and_spread(x)
        z = network.cosines(network.sample(x, noise) - middle) / spread
    assert z.std().item() == pytest.approx(1, abs=0.05)
    assert abs(z.mean().item()) < 0.05


def test_draws_of_any_size_are_whole():
    network = models.build("diffusion", "cross", "tiny").eval()
    x, noise = torch.randn(1, 5, 26, 22), torch.randn(1, 5, 26, 22)
    with torch.no_grad():
        assert network.sample(x, noise).shape == x.shape


def test_spread_is_found_at_the_standard_deviation_of_the_error():
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny", likelihood=1.0)
    target = 0.3 + 0.2 * torch.randn(8, 5, 32, 32)
    batch = batch_of(torch.zeros_like(target), target)
    shape, found = network.cosines(target).shape, {}
    for spread in (0.18, 0.19, 0.2, 0.21, 0.22):
        pair = (torch.full_like(target, 0.3), torch.full(shape, spread))
        network.middle_and_spread = lambda x, pair=pair: pair
        found[spread] = network.anchor_losses(batch)["spread"].item()
    assert min(found, key=found.get) == 0.2
    assert found[0.2] == pytest.approx(math.log(0.2) + 1, abs=0.01)


def test_v_loss_of_a_silent_denoiser_is_one_for_white_noise_whatever_is_emphasised():
    for emphasis in (1.0, 30.0):
        network = models.build("diffusion", "cross", "tiny", emphasis=emphasis)
        z = torch.randn(16, 5, 32, 32, generator=torch.Generator().manual_seed(1))
        still = (torch.zeros_like(z), torch.ones_like(network.cosines(z)))
        network.middle_and_spread = lambda x, still=still: still
        loss = network.denoiser_losses(batch_of(z, z, progress=0.9))["v"].item()
        assert loss == pytest.approx(1, abs=0.04)


def test_emphasis_counts_an_error_of_the_mean_more():
    network = models.build("diffusion", "cross", "tiny", emphasis=5.0)
    assert network.weight.view(5, 4)[0].tolist() == [2.5, 0.5, 0.5, 0.5]


def test_votes_reach_their_own_parents():
    network = models.build("capsule", "cross", "tiny")
    children, parents = network.encode(torch.randn(1, 5, 16, 16))
    assert children.shape == (1, 16, 8, 8) and parents.shape == (1, 4, 4, 4, 4)
    assert (parents.norm(dim=2) < 1).all()
    assert rearrange(parents, "n j p y x -> n (j p) y x").shape == (1, 16, 4, 4)
