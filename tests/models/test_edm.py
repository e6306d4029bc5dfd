"""EDM: preconditioning, loss and sampler, each against something known exactly."""

import numpy as np
import pytest
import torch
from diffusers import EDMEulerScheduler

from galtools import models
from galtools.models import edm
from galtools.models.base import Batch
from galtools.models.edm import heun, noise_levels, preconditioning


def fresh(**changes):
    torch.manual_seed(0)
    return models.build("edm", "cross", "tiny", **changes)


def batch_of(source, target, good=None):
    rng = torch.Generator().manual_seed(1)
    return Batch(source, target, lambda y: y, lambda f: f, 0.0, rng, good)


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
        sigma_min=edm.SIGMA_MIN, sigma_max=edm.SIGMA_MAX, sigma_data=1.0, rho=7.0
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

    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = edm.SIGMA_MAX
    z = noise * np.sqrt(1 + start**2)
    exact = mean + sigma * (z - mean) / np.sqrt(sigma**2 + start**2)
    errors = [float((heun(velocity, noise, n) - exact).abs().max()) for n in (12, 24, 48)]
    assert errors[0] < 0.15 * sigma
    assert errors[1] <= max(errors[0] / 3, 1e-6)  # rounding alone where F = 0
    assert errors[2] <= max(errors[1] / 3, 1e-6)


def test_an_untrained_denoiser_samples_white_noise_about_the_mean():
    """F = 0 is the exact answer for white residuals of unit variance."""
    network = fresh(steps=12)
    x, noise = torch.randn(2, 5, 16, 16), torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        r = (network.sample(x, noise) - network(x)) / network.scale
    assert torch.allclose(r, noise, atol=1e-4)


def test_loss_of_a_silent_denoiser_is_one_for_white_residuals():
    network = fresh()
    x = torch.randn(64, 5, 16, 16)
    with torch.no_grad():
        mean = network(x)
        target = mean + network.scale * torch.randn(mean.shape)
        (loss,) = network.denoiser_losses(batch_of(x, target)).values()
    assert loss.item() == pytest.approx(1, abs=0.02)


def test_masked_pixels_change_no_loss_and_no_gradient():
    network = fresh()
    x, target = torch.randn(2, 4, 5, 16, 16)
    good = torch.rand(target.shape) > 0.5
    found = []
    for hidden in (0.0, 1e3):
        network.zero_grad()
        batch = batch_of(x, torch.where(good, target, hidden), good)
        losses = network.mean_losses(batch) | network.denoiser_losses(batch)
        total = sum(losses.values())
        total.backward()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found.append([total.detach(), *gradients])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_scale_is_fitted_to_the_scatter_of_the_residual():
    """The likelihood is stationary, and least, where the scale is the rms of the residual."""
    network = fresh()
    x = torch.randn(32, 5, 16, 16)
    with torch.no_grad():
        mean = network(x)
        truth = torch.linspace(-2.5, -1.0, 5)
        target = mean + truth.exp()[:, None, None] * torch.randn(mean.shape)
        network.log_scale.copy_(truth)
    network.mean_losses(batch_of(x, target))["scale"].backward()
    assert network.log_scale.grad.abs().max() < 0.01
    rows = []
    for step in (-0.2, 0.0, 0.2):
        with torch.no_grad():
            network.log_scale.copy_(truth + step)
            rows.append(network.mean_losses(batch_of(x, target))["scale"].item())
    assert rows[1] == min(rows)


@pytest.mark.parametrize("side", [16, 18, 23])
def test_samples_of_any_size_are_whole_and_differ_by_their_noise_alone(side):
    network = fresh()
    x, noise = torch.randn(1, 5, side, side), torch.randn(2, 1, 5, side, side)
    with torch.no_grad():
        one, again, other = (network.sample(x, n) for n in (noise[0], noise[0], noise[1]))
    assert one.shape == x.shape
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_single_sample_does_not_depend_on_the_others():
    network = fresh()
    x, noise = torch.randn(2, 5, 16, 16), torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        both = network.sample(x, noise)
        alone = network.sample(x[1:], noise[1:])
    assert torch.allclose(both[1:], alone, atol=1e-5)
