"""Diffusion: preconditioning, loss and sampler, each against something known exactly."""

import numpy as np
import pytest
import torch
from blobs import blobs
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler

from galtools import models
from galtools.errors import GaltoolsError
from galtools.models import diffusion
from galtools.models.base import Batch
from galtools.models.diffusion import dpm_solver, noise_levels, preconditioning
from galtools.training import loop
from galtools.training.crops import normalization_of


def fresh(rms=0.5, **changes):
    """An untrained denoiser about a regression network whose weights are random."""
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny", **changes)
    network.set_mean(regression())
    network.rms.fill_(rms)
    return network


def regression():
    network = models.build("residual", "cross", "tiny")
    network.scaling = normalization_of(blobs(n=8))
    return network


def batch_of(source, target, good=None):
    rng = torch.Generator().manual_seed(1)
    return Batch(source, target, lambda y: y, lambda f: f, 0.0, rng, good)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [0.01, 0.3, 1.0, 20.0])
def test_preconditioning_is_that_of_diffusers(sigma):
    reference = EDMEulerScheduler(sigma_data=1.0)
    z, f = torch.randn(2, 3, 4, 4)
    level = torch.tensor(sigma)
    skip, out, scale_in, c_noise = preconditioning(level)
    assert torch.allclose(scale_in * z, reference.precondition_inputs(z, level))
    assert torch.allclose(skip * z + out * f, reference.precondition_outputs(z, f, level))
    assert torch.allclose(c_noise, reference.precondition_noise(level))


@pytest.mark.parametrize("steps", [2, 3, 8])
def test_sampler_is_the_dpm_solver_of_diffusers(steps):
    reference = EDMDPMSolverMultistepScheduler(
        sigma_min=diffusion.SIGMA_MIN, sigma_max=diffusion.SIGMA_MAX, sigma_data=1.0,
        sigma_schedule="exponential",
    )  # fmt: skip
    reference.set_timesteps(steps)
    levels = noise_levels(steps)
    assert np.allclose([*levels, 0], reference.sigmas, rtol=1e-5)

    def denoise(z, sigma):
        return torch.tanh(z * np.sin(sigma)) + 0.3 * z.flip(-1)

    start = 20 * random(4, 8)
    known = start
    for time, sigma in zip(reference.timesteps, levels, strict=True):
        skip, out, *_ = preconditioning(torch.tensor(sigma))
        f = (denoise(known, sigma) - skip * known) / out
        known = reference.step(f, time, known).prev_sample
    assert torch.allclose(dpm_solver(denoise, start, steps), known, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (1.5, 0.4), (-0.5, 2.0)])
def test_a_gaussian_whose_denoiser_is_exact_is_sampled(mean, sigma):
    """D(z; s) = (s^2 mu + sigma^2 z) / (s^2 + sigma^2): the error is of second order."""

    def denoise(z, s):
        return (s**2 * mean + sigma**2 * z) / (s**2 + sigma**2)

    start, end = diffusion.SIGMA_MAX, diffusion.SIGMA_MIN
    z = random(20_000).double() * np.hypot(1, start)
    before_last = mean + (z - mean) * np.sqrt((sigma**2 + end**2) / (sigma**2 + start**2))
    exact = denoise(before_last, end)  # the last step takes the denoiser's answer
    errors = [float((dpm_solver(denoise, z, n) - exact).abs().max()) for n in (12, 24, 48)]
    assert errors[0] < 0.1 * (sigma + abs(mean))
    assert errors[1] <= errors[0] / 3
    assert errors[2] <= errors[1] / 3
    found = dpm_solver(denoise, z, 10)
    assert found.mean().item() == pytest.approx(mean, abs=0.05)
    assert found.std().item() == pytest.approx(sigma, rel=0.05)


def test_loss_is_that_of_karras():
    """lambda(sigma) |D(r + sigma n) - r|^2 with lambda = (sigma^2 + 1) / sigma^2, their eq. 8."""
    network = fresh()
    torch.nn.init.normal_(network.denoiser.tail[-1].weight, 0, 0.3)
    x, target = random(2, 4, 5, 16, 16)
    with torch.no_grad():
        found = network.losses(batch_of(x, target))["v"]
        mean, rng = network(x), torch.Generator().manual_seed(1)
        r = (target - mean) / 0.5
        center, width = diffusion.LOG_SIGMA
        sigma = torch.exp(center + width * torch.randn(4, 1, 1, 1, generator=rng))
        z = r + sigma * torch.randn(4, 5, 16, 16, generator=rng)
        f = network.denoiser(
            z / (sigma**2 + 1).sqrt(), torch.cat([x, mean], dim=1), (sigma.log() / 4).flatten()
        )
        denoised = z / (sigma**2 + 1) + sigma / (sigma**2 + 1).sqrt() * f
        known = ((sigma**2 + 1) / sigma**2 * (denoised - r) ** 2).mean()
    assert found.item() == pytest.approx(known.item(), rel=1e-4)


def test_an_untrained_denoiser_samples_white_residuals():
    """F = 0 is exact for white residuals of unit variance; ten steps are 2 % off."""
    network = fresh(steps=10)
    x, noise = torch.randn(2, 5, 16, 16), torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        white = network(x) + 0.5 * noise
        assert torch.allclose(network.sampler(x)(noise), white, atol=0.025 * noise.abs().max())
        torch.nn.init.normal_(network.denoiser.tail[-1].weight, 0, 0.3)
        assert not torch.allclose(network.sampler(x)(noise), white, atol=0.1)


def test_loss_of_a_silent_denoiser_is_one_for_white_residuals():
    network = fresh()
    x = torch.randn(64, 5, 16, 16)
    with torch.no_grad():
        target = network(x) + 0.5 * torch.randn(x.shape)
        loss = network.losses(batch_of(x, target))["v"]
    assert loss.item() == pytest.approx(1, abs=0.02)


def test_masked_pixels_change_no_loss_and_no_gradient():
    network = fresh()
    x, target = torch.randn(2, 4, 5, 16, 16)
    good = torch.rand(target.shape) > 0.5
    found = []
    for hidden in (0.0, 1e3):
        network.zero_grad()
        batch = batch_of(x, torch.where(good, target, hidden), good)
        groups = network.optimizer_groups().values()
        total = sum(loss for group in groups for loss in group.losses(batch).values())
        total.backward()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found.append([total.detach(), *gradients])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_rms_is_that_of_what_the_regression_leaves():
    pairs, network = blobs(n=8), fresh()
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    scaling = network.mean.scaling
    with torch.no_grad():
        left = scaling.target.forward(torch.as_tensor(pairs.target)) - network(
            scaling.normalize(torch.as_tensor(pairs.source))
        )
    rms = left.square().mean(dim=(0, 2, 3)).sqrt()
    assert torch.allclose(network.rms.flatten(), rms)


def test_masked_pixels_do_not_count_in_the_rms():
    pairs, found = blobs(n=8), []
    for hidden in (0.0, 1e4):
        network = fresh()
        network.scaling = network.mean.scaling
        pairs.target_set.mask = np.zeros(pairs.target.shape, np.uint8)
        pairs.target_set.mask[..., 6:9, 6:9] = 1
        pairs.target_set.images[..., 6:9, 6:9] = hidden
        network.prepare(pairs)
        found.append(network.rms)
    assert torch.equal(*found)
    assert found[0].isfinite().all()


def test_the_stretch_is_that_of_the_regression_and_its_grid_must_be_the_same():
    network, pairs = fresh(), blobs(n=12)
    network.scaling = normalization_of(pairs)
    assert network.scaling != network.mean.scaling  # fitted to other galaxies
    network.prepare(pairs)
    assert network.scaling == network.mean.scaling
    other = blobs(n=8, size=24)
    network.scaling = normalization_of(other)
    with pytest.raises(GaltoolsError, match="another grid"):
        network.prepare(other)


def test_only_the_denoiser_learns_and_the_recipe_tells_of_the_regression():
    network = fresh()
    learning = {id(p) for g in network.optimizer_groups().values() for p in g.parameters}
    assert learning == {id(p) for p in network.parameters() if p.requires_grad}
    again = models.rebuild(network.recipe)
    again.load_state_dict(network.state_dict())
    x = random(2, 5, 16, 16)
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


def test_without_a_regression_network_it_is_conditional_edm():
    network, x = models.build("diffusion", "cross", "tiny", steps=10), random(2, 5, 16, 16)
    assert (network(x) == 0).all()
    with torch.no_grad():
        assert torch.allclose(network.sampler(x)(x), x, rtol=0.03)  # white noise of rms one


@pytest.mark.slow
def test_the_denoiser_learns_that_residuals_are_coherent():
    """Residuals of one number per 4 x 4 block, all bands alike: white noise has 1 / sqrt(80)."""
    network, x = fresh(rms=1.0, steps=12), torch.zeros(32, 5, 16, 16)
    with torch.no_grad():
        mean = network(x)

    def batch(generator, progress):
        blocks = torch.randn(32, 1, 4, 4, generator=generator)
        residual = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
        return Batch(x, mean + residual, None, None, progress, generator)

    loop.fit(network, batch, loop.Settings(steps=200, batch=32, rate=5e-3, ema=0.9, checks=1))
    with torch.no_grad():
        left = network.sampler(x)(random(32, 5, 16, 16)) - mean
    blocks = left.unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(1, 4, 5))
    assert blocks.std().item() == pytest.approx(1, rel=0.25)
    assert blocks.std() / left.std() > 0.6


@pytest.mark.parametrize("side", [16, 18, 23])
def test_samples_of_any_size_are_whole_and_differ_by_their_noise_alone(side):
    network = fresh()
    x, noise = torch.randn(1, 5, side, side), torch.randn(2, 1, 5, side, side)
    with torch.no_grad():
        one, again, other = (network.sampler(x)(n) for n in (noise[0], noise[0], noise[1]))
    assert one.shape == x.shape
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_single_sample_does_not_depend_on_the_others():
    network = fresh()
    x, noise = torch.randn(2, 5, 16, 16), torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        both = network.sampler(x)(noise)
        alone = network.sampler(x[1:])(noise[1:])
    assert torch.allclose(both[1:], alone, atol=1e-5)
