"""Diffusion against what is known exactly: schedules, solvers, frequencies, light, spreads."""

import math

import diffusers
import pytest
import torch
from blobs import blobs
from scipy.fft import dctn
from scipy.integrate import quad
from scipy.stats import norm

from galtools import models
from galtools.models import diffusion
from galtools.models.base import Batch
from galtools.models.blocks import BlockDCT, broadcast_tiles, correlate_bands, tile_sums
from galtools.models.diffusion import (
    MAX_RHO,
    MIN_SIGMA,
    band_correlation_nll,
    gaussian_crps,
    signed_log,
)
from galtools.training import loop
from galtools.training.crops import normalization_of


def batch_of(source, target, progress=0.0):
    generator = torch.Generator().manual_seed(0)
    return Batch(source, target, lambda y: y, lambda f: f, progress, generator)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- schedule and solver ---------------------------------------------------------------------


def exact_v(mean, sigma):
    """The v that a perfect network predicts for samples of N(mean, sigma^2)."""

    def predict(z, t):
        alpha, sigma_t = diffusion.schedule()[:, int(t)]
        gain = alpha * sigma**2 / (alpha**2 * sigma**2 + sigma_t**2)
        clean = mean + gain * (z - alpha * mean)
        return (alpha * z - clean) / sigma_t

    return predict


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (1.5, 0.4), (-0.5, 2.0)])
def test_a_gaussian_whose_score_is_exact_is_sampled(mean, sigma):
    samples = diffusion.solve(exact_v(mean, sigma), random(20_000, 1), 50)
    assert samples.mean().item() == pytest.approx(mean, abs=0.03)
    assert samples.std().item() == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("steps", [2, 5, 6, 25])
def test_the_recurrence_is_unipc_of_diffusers_step_by_step(steps):
    plan = diffusers.UniPCMultistepScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction",
        timestep_spacing="trailing", solver_order=3 if steps == 5 else 2,
    )  # fmt: skip
    plan.set_timesteps(steps)
    if steps == 5:
        plan.timesteps = torch.tensor(diffusion.PLACED[5])
        plan.sigmas = torch.cat(
            [(1 / plan.alphas_cumprod[plan.timesteps] - 1).sqrt(), torch.zeros(1)]
        )
    mixing, noise = random(4, 4), random(30, 4, seed=1)

    def predict(z, t):
        return torch.tanh(z @ mixing) + int(t) / 1000

    z = noise
    for t in plan.timesteps:
        z = plan.step(predict(z, t), t, z).prev_sample
    assert (diffusion.solve(predict, noise, steps) - z).abs().max() < 2e-5 * z.abs().max()


def test_schedule_is_that_of_diffusers():
    known = diffusion.unipc(10).alphas_cumprod
    assert torch.allclose(diffusion.cosine_alphas(), known, atol=1e-5)
    alpha, sigma = diffusion.schedule()
    assert torch.allclose(alpha**2 + sigma**2, torch.ones(diffusion.TIMESTEPS))


def test_five_steps_are_as_exact_as_ddim_of_fifty():
    """For Gaussians of many widths, whose solution is known: m + s e of the noise e."""
    mean, noise = random(2, 2000, 1, seed=1)
    sigma = torch.linspace(0.6, 1.4, 2000)[:, None]  # z has a variance of about one
    predict = exact_v(mean, sigma)
    plan = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction",
        timestep_spacing="trailing", clip_sample=False,
    )  # fmt: skip
    plan.set_timesteps(50)
    z = noise
    for t in plan.timesteps:
        z = plan.step(predict(z, t), t, z).prev_sample

    def error(samples):
        return (samples - mean - sigma * noise).square().mean()

    assert error(diffusion.solve(predict, noise, 5)) < error(z)


# --- frequencies and tiles -------------------------------------------------------------------


def test_cosines_are_those_of_scipy_and_come_back():
    images = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    cosines = BlockDCT(8)
    frequencies = cosines(images)
    block = dctn(images[1, 2, 8:16, 16:24].numpy(), norm="ortho").ravel()
    assert torch.allclose(frequencies[1, 128:, 1, 2], torch.as_tensor(block), atol=1e-5)
    assert torch.allclose(cosines.inverse(frequencies), images, atol=1e-5)


def test_the_logarithm_is_odd_smooth_at_zero_and_grows_by_one_for_each_factor_of_e():
    h = torch.tensor([-1e-3, -0.0, 1e-3, 1e6, math.e * 1e6, -1e6], requires_grad=True)
    low, zero, high, large, larger, other = signed_log(h)
    assert high.item() == -low.item() == pytest.approx(1e-3, rel=1e-3) and zero == 0
    assert (larger - large).item() == pytest.approx(1, rel=1e-5) and other == -large
    (slope,) = torch.autograd.grad(signed_log(h).sum(), h)
    assert torch.allclose(slope[[0, 2, 3]], torch.tensor([1 / 1.001, 1 / 1.001, 1e-6]))


def test_context_is_the_logarithm_of_the_first_layer_on_frequencies():
    network = models.build("diffusion", "cross", "tiny")
    x, middle = random(2, 5, 16, 24), random(2, 5, 16, 24, seed=1)
    head, z = network.denoiser.head, torch.zeros(2, 20, 8, 12)
    context = network.cosines(torch.cat([x, middle], dim=1))
    expected = signed_log(head(torch.cat([z, context], dim=1)))
    assert torch.allclose(network.context(x, middle), expected, atol=1e-5)


def test_an_untrained_denoiser_samples_white_noise():
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny")
    context = network.context(*torch.randn(2, 4, 5, 16, 16))
    with torch.no_grad():
        z = diffusion.solve(
            lambda z, t: network.denoiser(z, context, t), torch.randn(4, 20, 8, 8), 10
        )
    assert z.std().item() == pytest.approx(1, abs=0.05)
    assert abs(z.mean().item()) < 0.05


def test_draws_of_any_size_are_whole():
    network = models.build("diffusion", "cross", "tiny").eval()
    network.scaling = normalization_of(blobs())
    x, noise = torch.randn(1, 5, 26, 22), torch.randn(1, 5, 26, 22)
    with torch.no_grad():
        assert network.sample(x, noise).shape == x.shape


def test_spread_is_found_at_the_standard_deviation_of_the_error():
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny", sigma_weight=1.0)
    target = 0.3 + 0.2 * torch.randn(8, 5, 32, 32)
    batch = batch_of(torch.zeros_like(target), target)
    shape, found = network.cosines(target).shape, {}
    for spread in (0.18, 0.19, 0.2, 0.21, 0.22):
        pair = (torch.full_like(target, 0.3), torch.full(shape, spread))
        network.anchor = lambda x, pair=pair: (*pair, torch.zeros(8, 4, 16, 16), None)
        found[spread] = network.anchor_losses(batch)["sigma"].item()
    assert min(found, key=found.get) == 0.2
    # of Gaussian errors, the mean ranked score is their standard deviation over sqrt pi
    assert found[0.2] == pytest.approx(math.log(0.2) + 1 + 0.2 / math.sqrt(math.pi), abs=0.01)


@pytest.mark.parametrize(("error", "spread"), [(0.0, 1.0), (-0.7, 0.4), (3.0, 2.0), (1.0, 30.0)])
def test_ranked_score_is_the_integral_of_squared_differences(error, spread):
    """The area between the cumulative function of a Gaussian and the step at the truth."""
    below = quad(lambda x: norm.cdf(x, 0, spread) ** 2, -12 * spread, error)[0]
    above = quad(lambda x: norm.sf(x, 0, spread) ** 2, error, error + 12 * spread)[0]
    found = gaussian_crps(torch.tensor([error]), torch.tensor([spread])).item()
    assert found == pytest.approx(below + above, rel=1e-4)


def test_ranked_score_minds_a_spread_that_is_far_too_wide():
    """Ten times too wide in one bright block costs it as much as a hundred such faint ones."""
    error = torch.tensor([5.0, 0.05])
    cost = [gaussian_crps(r, 10 * r) - gaussian_crps(r, r) for r in error]
    assert cost[0] == pytest.approx(100 * cost[1].item(), rel=1e-4)


def test_spread_grows_as_fast_as_the_light_of_its_block_and_band():
    """Before any training it is the same share of what every block holds, plus one."""
    network = models.build("diffusion", "cross", "tiny")
    share = math.exp(network.sigma[-1].bias[0].item())
    middle = random(2, 5, 8, 8) * torch.tensor([0.0, 0.1, 1.0, 10.0, 1000.0]).view(5, 1, 1)
    network.features, network.mean = torch.nn.PixelUnshuffle(2), torch.nn.Identity()
    network.sigma = torch.nn.Conv2d(20, 24, 1)
    torch.nn.init.zeros_(network.sigma.weight)
    torch.nn.init.constant_(network.sigma.bias, math.log(share))
    with torch.no_grad():
        _, spread, shared, _ = network.anchor(middle)
    there = network.cosines(middle).view(2, 5, 4, 4, 4).square().mean(dim=2, keepdim=True).sqrt()
    known = MIN_SIGMA + share * (1 + there).expand(-1, -1, 4, -1, -1).reshape(2, 20, 4, 4)
    assert torch.allclose(spread, known, rtol=1e-4)
    assert torch.allclose(shared, torch.tensor(MAX_RHO * share / (1 + share)))  # of a sigmoid


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_bands_that_hang_together_have_that_correlation(rho):
    """Of unit vectors it makes the columns of the root of (1 - rho) I + rho, whose square it is."""
    units, shared = torch.eye(5).view(5, 5, 1, 1), torch.full((5, 1, 1, 1), rho)
    root = correlate_bands(units, shared).view(5, 5)
    assert torch.allclose(root @ root.T, (1 - rho) * torch.eye(5) + rho, atol=1e-6)


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_bands_are_set_apart_again(bands):
    z, shared = random(3, 4 * bands, 2, 2), 0.9 * random(3, 4, 2, 2, seed=1).sigmoid()
    assert torch.allclose(correlate_bands(correlate_bands(z, shared), shared, -0.5), z, atol=1e-5)
    assert (bands == 1) == torch.allclose(correlate_bands(z, shared), z, atol=1e-6)


def test_correlation_of_bands_is_most_likely_where_it_is():
    """There the score is half the sum of mean square, one, and the logarithm of det R per band."""
    z = correlate_bands(random(1, 10, 400, 400), torch.full((1, 2, 1, 1), 0.6))
    found = {
        rho: band_correlation_nll(z, torch.full((1, 2, 1, 1), rho)).item()
        for rho in (0.5, 0.55, 0.6, 0.65, 0.7)
    }
    assert min(found, key=found.get) == 0.6
    known = (1 + math.log(0.4**4 * (1 + 4 * 0.6)) / 5) / 2
    assert found[0.6] == pytest.approx(known, abs=0.01)


def test_v_loss_of_a_silent_denoiser_is_one_for_white_noise():
    network = models.build("diffusion", "cross", "tiny")
    z = torch.randn(16, 5, 32, 32, generator=torch.Generator().manual_seed(1))
    rho, features = torch.zeros(16, 4, 16, 16), torch.zeros(16, 16, 16, 16)
    network.anchor = lambda x: (torch.zeros_like(z), torch.ones(16, 20, 16, 16), rho, features)
    loss = network.denoiser_losses(batch_of(z, z, progress=0.9))["v"].item()
    assert loss == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("side", [32, 64, 70, 136, 200])
def test_a_tile_lies_in_the_middle_and_no_light_is_lost(side):
    images = random(2, 3, side, side).double()
    sums = tile_sums(images, 32)
    middle = slice((side - 32) // 2, (side - 32) // 2 + 32)
    here = sums.shape[-1] // 2
    assert sums.shape[-1] % 2 == 1
    assert tile_sums(torch.ones_like(images), 32).max() == 32**2  # none is larger
    assert torch.allclose(sums[..., here, here], images[..., middle, middle].sum(dim=(2, 3)))
    assert torch.allclose(sums.sum(dim=(2, 3)), images.sum(dim=(2, 3)))
    spread = broadcast_tiles(sums, 32, side, side)
    assert torch.equal(
        spread[..., middle, middle], sums[..., here, here, None, None].expand(2, 3, 32, 32)
    )


def test_variance_of_pixels_is_that_of_drawn_frequencies():
    cosines = BlockDCT(4)
    spread = 0.5 + random(1, 16, 1, 1).square()
    drawn = cosines.inverse(spread * random(40_000, 16, 1, 1, seed=1))
    assert torch.allclose(drawn.var(dim=0), cosines.variance(spread)[0], rtol=0.05)


# --- the light of a draw ---------------------------------------------------------------------


def with_scaling(pairs):
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny")
    network.scaling = normalization_of(pairs)
    for parameter in network.flux.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    return network.eval()


def test_a_draw_has_the_flux_that_was_drawn_for_it():
    pairs = blobs(n=3, size=48)
    network, noise = with_scaling(pairs), random(3, 5, 48, 48)
    x, flux = network.scaling.normalize(torch.as_tensor(pairs.source)), network.scaling.denormalize
    with torch.no_grad():
        drawn = network.sample(x, noise)
        middle, spread, _, features = network.anchor(x)
        variance, unit, seen = network.tiles(middle, spread, features, flux)
        offset, ratio, shared = network.flux_errors(seen)
        number = correlate_bands(tile_sums(noise, 32) / 32, shared)
        wanted = tile_sums(flux(middle), 32) + unit * (offset + ratio * number)
        assert torch.allclose(tile_sums(flux(drawn), 32), wanted, rtol=1e-3, atol=1e-3)
        network.flux_sampler = lambda *_: lambda images, noise: images
        change = flux(drawn) - flux(network.sample(x, noise))
    share = (change / variance)[0, 0, 8:40, 8:40]  # the middle tile: the same for all its pixels
    assert torch.allclose(share, share.mean().expand_as(share), rtol=0.02)


def test_the_unit_of_light_is_the_sum_of_what_independent_frequencies_vary():
    network = models.build("diffusion", "cross", "tiny")
    spread = 0.2 + random(2, 20, 16, 16).square()
    middle, features = random(2, 5, 32, 32), torch.zeros(2, 16, 16, 16)
    with torch.no_grad():
        _, unit, seen = network.tiles(middle, spread, features, lambda y: 3 * y)
        offset, ratio, _ = network.flux_errors(seen)
    known = 3 * spread.square().view(2, 5, -1).sum(dim=2).sqrt()
    assert torch.allclose(unit.view(2, 5), known, rtol=1e-3)
    assert (offset == 0).all() and (ratio == 1).all()


def test_the_light_is_fitted_to_the_fluxes_of_whole_stamps():
    """Bright galaxies in the middle err by 5 +- 0.5 units; there is nothing but sky elsewhere."""
    torch.manual_seed(0)
    network, n = models.build("diffusion", "cross", "tiny", stamps=400, fits=600), 100
    bright = torch.arange(n) % 2 == 1

    def anchor(x):
        features = torch.zeros(n, 16, 32, 32)
        features[bright, :, 8:24, 8:24] = 1
        return torch.zeros_like(x), torch.ones(n, 20, 32, 32), None, features

    def draw(k):
        target = random(n, 5, 64, 64, seed=k)
        middle = target[bright, :, 16:48, 16:48]  # its independent pixels sum to a unit of 32
        light = 32 * (5 + 0.5 * random(len(middle), 5, 1, 1, seed=k + 99))
        middle += (light - middle.sum(dim=(2, 3), keepdim=True)) / 32**2
        target[bright, :, 16:48, 16:48] = middle
        return batch_of(torch.zeros_like(target), target)

    network.anchor = anchor
    assert network.finish(draw, loop.minimize)
    for seen, known in ((torch.ones, (5, 0.5)), (torch.zeros, (0, 1))):
        with torch.no_grad():
            found = network.flux_errors(seen(1, 16, 1, 1))
        for values, value in zip(found, known, strict=False):
            assert values.flatten().tolist() == pytest.approx([value] * 5, abs=0.15)
        assert found[2].item() < 0.15  # bands err each for itself
