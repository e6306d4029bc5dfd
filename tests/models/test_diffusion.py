"""Diffusion: preconditioning, loss and sampler, each against something known exactly."""

import numpy as np
import pytest
import torch
from diffusers import EDMEulerScheduler

from galtools import models
from galtools.models import diffusion
from galtools.models.base import Batch
from galtools.models.diffusion import LEVELS, heun, noise_levels, preconditioning
from galtools.models.wavelets import GAIN, analyse


def fresh(**changes):
    torch.manual_seed(0)
    return models.build("diffusion", "cross", "tiny", **changes)


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


def test_noise_levels_are_those_of_diffusers():
    reference = EDMEulerScheduler(
        sigma_min=diffusion.SIGMA_MIN, sigma_max=diffusion.SIGMA_MAX, sigma_data=1.0, rho=7.0
    )
    reference.set_timesteps(12)
    assert np.allclose(noise_levels(12), reference.sigmas, rtol=1e-5)


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (1.5, 0.4), (-0.5, 2.0)])
def test_a_gaussian_whose_denoiser_is_exact_is_sampled(mean, sigma):
    """D(z; s) = (s^2 mu + sigma^2 z) / (s^2 + sigma^2): Heun's error is of second order."""

    def velocity(u, s):
        skip, out, scale_in, _ = (float(c) for c in preconditioning(torch.tensor(s).double()))
        z = u / scale_in
        return ((s**2 * mean + sigma**2 * z) / (s**2 + sigma**2) - skip * z) / out

    noise = random(20_000).double()
    start = diffusion.SIGMA_MAX
    z = noise * np.sqrt(1 + start**2)
    exact = mean + sigma * (z - mean) / np.sqrt(sigma**2 + start**2)
    errors = [float((heun(velocity, noise, n) - exact).abs().max()) for n in (12, 24, 48)]
    assert errors[0] < 0.1 * (sigma + abs(mean))
    assert errors[1] <= max(errors[0] / 3, 1e-6)  # rounding alone where F = 0
    assert errors[2] <= max(errors[1] / 3, 1e-6)
    assert heun(velocity, noise, 24).mean().item() == pytest.approx(mean, abs=0.05)
    assert heun(velocity, noise, 24).std().item() == pytest.approx(sigma, rel=0.05)


def test_loss_is_that_of_karras():
    """lambda(sigma) |D(r + sigma n) - r|^2 with lambda = (sigma^2 + 1) / sigma^2, their eq. 8."""
    network = fresh(levels=1)
    torch.nn.init.normal_(network.denoiser.tail[-1].weight, 0, 0.3)
    x, target = random(2, 4, 5, 16, 16)
    with torch.no_grad():
        found = network.denoiser_losses(batch_of(x, target))["v"]
        mean, rng = network(x), torch.Generator().manual_seed(1)
        r = network.residual(target, mean)
        center, width = diffusion.LOG_SIGMA
        sigma = torch.exp(center + width * torch.randn(4, 1, 1, 1, 1, generator=rng))[:, 0]
        z = r + sigma * torch.randn(4, 1, 5, 16, 16, generator=rng)[:, 0]
        f = network.denoiser(
            z / (sigma**2 + 1).sqrt(), torch.cat([x, mean], dim=1), (sigma.log() / 4).flatten()
        )
        denoised = z / (sigma**2 + 1) + sigma / (sigma**2 + 1).sqrt() * f
        known = ((sigma**2 + 1) / sigma**2 * (denoised - r) ** 2).mean()
    assert found.item() == pytest.approx(known.item(), rel=1e-4)


def test_an_untrained_denoiser_samples_white_residuals():
    """F = 0 is the exact answer for white residuals of unit variance."""
    network = fresh(steps=12)
    x, noise = torch.randn(2, 5, 16, 16), torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        white = network.image(network(x), noise)
        assert torch.allclose(network.sampler(x)(noise), white, atol=1e-4)
        torch.nn.init.normal_(network.denoiser.tail[-1].weight, 0, 0.3)
        assert not torch.allclose(network.sampler(x)(noise), white, atol=1e-2)


def test_loss_of_a_silent_denoiser_is_one_for_white_residuals():
    network = fresh()
    x = torch.randn(64, 5, 16, 16)
    with torch.no_grad():
        target = network.image(network(x), torch.randn(x.shape))
        loss = network.denoiser_losses(batch_of(x, target))["v"]
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


def test_images_of_residuals_come_back():
    network, mean, r = fresh(), random(2, 5, 32, 32), random(2, 5, 32, 32, seed=1)
    with torch.no_grad():
        assert torch.allclose(network.residual(network.image(mean, r), mean), r, atol=1e-4)


def test_a_silent_denoiser_samples_the_fitted_gaussian():
    """With z = A (c / s), the coefficients of samples are s A^-1 times white noise, exactly."""
    network, noise, x = fresh(steps=12), random(2, 5, 32, 32), random(2, 5, 32, 32, seed=1)
    triangle = torch.eye(5) + 0.5 * torch.diag(torch.ones(4), -1)
    widths = torch.linspace(0.1, 2.0, 5)
    with torch.no_grad():
        for *_, last in network.whitening.scales:
            last.bias.copy_(torch.cat([widths.log(), triangle.flatten()]) / GAIN)
        errors = network.sampler(x)(noise) - network(x)
    root = torch.diag(widths) @ torch.linalg.inv(triangle)
    for found, white in zip(analyse(errors, LEVELS), analyse(noise, LEVELS), strict=True):
        assert torch.allclose(found, torch.einsum("ij,njkhw->nikhw", root, white), atol=1e-3)


def test_without_a_regression_mean_it_is_conditional_edm():
    network = fresh(residual=False)
    x, target = random(2, 8, 5, 16, 16)
    assert (network(x) == 0).all()
    assert list(network.mean_losses(batch_of(x, target))) == ["whitening"]
    with torch.no_grad():
        r = network.residual(network.sampler(x)(target), network(x))
    assert torch.allclose(r, target, atol=1e-3)


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
