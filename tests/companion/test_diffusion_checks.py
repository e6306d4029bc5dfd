"""Diagnostics of diffusion samples, on images whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from blobs import blobs

from companion import diffusion_checks
from galtools import models
from galtools.data.stretch import Normalization, Stretch
from galtools.training.crops import normalization_of

LINEAR = Stretch("linear", (1.0,) * 5, (1.0,) * 5)
RNG = np.random.default_rng(0)


def test_grain_of_blocks_has_power_at_its_period_and_white_noise_has_none():
    white = RNG.normal(size=(200, 1, 64, 64))
    blocks = np.repeat(np.repeat(RNG.normal(size=(200, 1, 8, 8)), 8, -1), 8, -2)
    for period in (4, 8):
        edges = np.zeros(64)
        edges[::period] = 1.0
        grain = white + edges + edges[:, None]
        assert diffusion_checks.block_power(white, period) == pytest.approx(1, abs=0.05)
        assert diffusion_checks.block_power(grain, period) > 1.5
    assert diffusion_checks.block_power(blocks, 4) < 0.1  # a sinc, whose zeros lie there


@pytest.mark.slow
def test_scores_of_gaussians_are_those_of_the_formula():
    """CRPS of N(0, 1) samples for a truth of that distribution: 1 / sqrt(pi) of its sigma."""
    n, k = 300, 20
    scaling = Normalization(LINEAR, LINEAR, 32, 1.0)
    samples, target = (100 + RNG.normal(size=s).astype(np.float32)
                       for s in ((n, k, 5, 32, 32), (n, 5, 32, 32)))  # fmt: skip
    found = diffusion_checks.scores(samples, target, scaling)
    d = 5 * 32 * 32
    assert found["energy score"] == pytest.approx(np.sqrt(2 * d) / 2, rel=0.01)
    single = diffusion_checks.scores(samples[:, :1], target, scaling)
    assert single["energy score"] == pytest.approx(np.sqrt(2 * d), rel=0.01)
    assert found["8 px [%]"] < single["8 px [%]"]


def fresh():
    """A diffusion model about a regression network of random weights."""
    torch.manual_seed(0)
    network, regression = (models.build(n, "cross", "tiny") for n in ("diffusion", "residual"))
    regression.scaling = normalization_of(blobs(n=4, size=32))
    network.set_mean(regression)
    network.rms.fill_(0.5)
    return network


def test_loss_of_a_silent_denoiser_is_one_at_every_noise_level():
    network = fresh()
    x = torch.randn(16, 5, 32, 32)
    with torch.no_grad():
        y = network(x) + 0.5 * torch.randn(x.shape)
    for sigma in (0.1, 1.0, 10.0):
        assert diffusion_checks.loss_at(network, x, y, sigma) == pytest.approx(1, abs=0.03)


def test_a_silenced_model_samples_white_residuals_about_the_regression():
    network = fresh()
    torch.nn.init.normal_(network.denoiser.tail[-1].weight, 0, 0.3)
    x, noise = torch.randn(2, 2, 5, 16, 16)
    silent = diffusion_checks.silenced(network)
    with torch.no_grad():
        white = network(x) + 0.5 * noise
        assert torch.allclose(silent.sampler(x)(noise), white, atol=1e-4)
        assert not torch.allclose(network.sampler(x)(noise), white, atol=1e-2)


def test_steps_end_where_the_most_steps_do():
    pairs = blobs(n=4, size=32)
    torch.manual_seed(0)
    network = models.build("diffusion", "cross", "tiny").eval()
    network.scaling = normalization_of(pairs)
    torch.nn.init.normal_(network.denoiser.tail[-1].weight, 0, 0.05)
    table = diffusion_checks.steps_table(
        SimpleNamespace(pairs=pairs, network=network), (3, 6, 20), 4
    )
    off = table["difference / σ"]
    assert off[20] == 0 and off[6] < off[3] and network.steps == 5


def test_calibration_of_samples_that_scatter_as_the_truth_does():
    rng = np.random.default_rng(3)
    centre = 100 + rng.normal(size=(400, 1, 3, 16, 16))
    samples, target = (centre + rng.normal(size=(400, k, 3, 16, 16)) for k in (6, 1))
    table = diffusion_checks.calibration_table(samples, target[:, 0], "ugr")
    assert list(table.index[:2]) == ["flux, 4 px", "colour, 4 px"]
    assert table.loc["colour, 4 px"].isna().tolist() == [False, False, True]
    flux = table[table.index.str.startswith("flux")].to_numpy()
    assert flux == pytest.approx(np.ones(flux.shape), abs=0.15)
    wide = diffusion_checks.calibration_table(centre + 2 * (samples - centre), target[:, 0], "ugr")
    for quantity in ("flux", "position"):
        assert table.loc[f"{quantity}, 16 px"].to_numpy() == pytest.approx(np.ones(3), abs=0.15)
        known = np.sqrt((1 + 1 / 6) / (1 / 2**2 + 1 / 6))  # of widths, as K is finite
        assert wide.loc[f"{quantity}, 16 px"].to_numpy() == pytest.approx([known] * 3, rel=0.15)


def test_a_single_bright_pixel_is_where_it_is():
    images = np.zeros((6, 6))
    images[1:5, 4] = 1.0, 2.0, 3.0, 4.0
    images[0] = 50.0  # outside the box
    assert diffusion_checks.central_column(images, 4) == 1.5


def test_positions_are_of_galaxies_with_a_flux_well_above_its_scatter():
    """Faint galaxies do not change the ratio of bright ones, are counted, and alone have none."""
    rng = np.random.default_rng(4)
    flux = np.repeat([100.0, 0.0], [300, 100])[:, None, None, None, None] * [[[[1]], [[0]]]]
    samples, target = (flux + rng.normal(size=(400, k, 2, 16, 16)) for k in (6, 1))
    ratio = diffusion_checks.spread_ratio(samples, target[:, 0], 4, "position")
    alone = diffusion_checks.spread_ratio(samples[:300], target[:300, 0], 4, "position")
    assert ratio[0] == alone[0] == pytest.approx(1, abs=0.15)
    assert diffusion_checks.bright(samples[300:], 4).mean() < 0.01
    table = diffusion_checks.calibration_table(samples, target[:, 0], "ur")
    assert table.loc["bright, 4 px [%]", "u"] == pytest.approx(75, abs=1)
    assert table.loc["bright, 4 px [%]", "r"] < 1
    samples[:, :, 1] = -1 + 0.01 * samples[:, :, 1]  # too faint for any to pass by chance
    ratio = diffusion_checks.spread_ratio(samples, target[:, 0], 4, "position")
    assert ratio[0] == alone[0] and np.isnan(ratio[1])


@pytest.mark.parametrize("wide", [0.5, 1.0, 2.0])
def test_spread_ratio_finds_draws_that_differ_too_much(wide):
    rng = np.random.default_rng(0)
    n, bands = 6000, 2
    own = rng.uniform(1, 5, (n, 1, bands, 1, 1))  # every galaxy has a spread of its own
    middle = rng.normal(0, 50, (n, 1, bands, 1, 1))
    draws = middle + wide * own * rng.normal(size=(n, 8, bands, 1, 1))
    truth = (middle + own * rng.normal(size=own.shape))[:, 0]
    if wide == 1.0:
        assert diffusion_checks.spread_ratio(draws, truth, 1) == pytest.approx(1, rel=0.05)
    else:
        ratio = diffusion_checks.spread_ratio(draws, truth, 1)
        u = np.sqrt((1 + 1 / 8 / 1) / (1 / wide**2 + 1 / 8))  # of widths, as K is finite
        assert ratio == pytest.approx(u, rel=0.05)


@pytest.mark.parametrize("rho", [0.0, 0.75])
def test_colour_ratio_finds_bands_that_err_each_for_itself(rho):
    """Those of the truth err together: its colours differ by sqrt(1 - rho) of what draws say."""
    rng = np.random.default_rng(0)
    n, bands = 6000, 3
    bright = rng.uniform(500, 5000, (n, 1, 1, 1, 1)) * np.array([1, 2, 5]).reshape(-1, 1, 1)
    draws = bright * (1 + 0.01 * rng.normal(size=(n, 8, bands, 1, 1)))
    both = np.sqrt(rho) * rng.normal(size=(n, 1, 1, 1))
    error = both + np.sqrt(1 - rho) * rng.normal(size=(n, bands, 1, 1))
    ratio = diffusion_checks.spread_ratio(draws, bright[:, 0] * (1 + 0.01 * error), 1, "colour")
    known = np.sqrt((1 + 1 / 8) / (1 - rho + 1 / 8))  # of widths, as K is finite
    assert ratio == pytest.approx([known] * 2, rel=0.05)
