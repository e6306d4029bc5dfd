"""Residual diffusion: a regression network for the mean, and EDM for what it leaves.

Following CorrDiff (Mardani et al. 2025), a residual network m(x) that was trained before translates
a source x, and a diffusion model samples what is left of the stretched target y,

    r = (y - m(x)) / s,

divided by one rms s per band. Without a regression network m = 0: plain conditional EDM. The
denoiser D is preconditioned and trained as in EDM (Karras et al. 2022), for data of unit variance,
z = r + sigma n with n ~ N(0, 1):

    D(z; sigma, x) = c_skip z + c_out F(c_in z; ln(sigma) / 4, x),
    c_skip = 1 / (sigma^2 + 1),  c_out = sigma / sqrt(sigma^2 + 1),  c_in = 1 / sqrt(sigma^2 + 1),
    L = <(F - (r - c_skip z) / c_out)^2>,    ln(sigma) ~ N(-0.5, 1.2^2).

A sample follows EDM's dz / d sigma = (z - D) / sigma, solved by DPM-Solver++(2M) (Lu et al. 2022),
which evaluates D once a step.
"""

import math
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from galtools.errors import GaltoolsError
from galtools.models import register
from galtools.models.base import Batch, OptimizerGroup, Translator, autocast, pad_to_multiple
from galtools.models.residual import Residual

LOG_SIGMA = (-0.5, 1.2)  # of training; EDM's -1.2 is for data of rms 0.5
SIGMA_MIN, SIGMA_MAX = 0.05, 20.0  # ends of the sampler's noise levels
FITTED = 256  # pairs from which the rms is measured


def preconditioning(sigma: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return c_skip, c_out, c_in and c_noise of EDM for data of unit variance."""
    variance = sigma**2 + 1
    return 1 / variance, sigma / variance.sqrt(), 1 / variance.sqrt(), sigma.log() / 4


def noise_levels(steps: int) -> list[float]:
    """Noise levels at which a sample evaluates the denoiser: ln(sigma) falls evenly."""
    ends = math.log(SIGMA_MAX), math.log(SIGMA_MIN)
    return torch.linspace(*ends, steps, dtype=torch.float64).exp().tolist()


def dpm_solver(denoise, z: torch.Tensor, steps: int) -> torch.Tensor:
    """Solve dz / d sigma = (z - D(z; sigma)) / sigma down to 0 by DPM-Solver++(2M).

    D is extrapolated in ln(sigma) to the middle of a step; the first step takes it as it is.
    """
    levels = noise_levels(steps)
    before = found = denoise(z, levels[0])
    for sigma, lower in pairwise(levels):
        middle = found + (found - before) / 2
        z = middle + lower / sigma * (z - middle)
        before, found = found, denoise(z, lower)
    return found


class NoiseBlock(nn.Module):
    """h + conv(SiLU((1 + a) norm(conv(h)) + b)), where a and b follow from the noise level."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(8, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find."""
        a, b = self.modulation(level)[..., None, None].chunk(2, dim=1)
        return h + self.second(F.silu(self.norm(self.first(h)) * (1 + a) + b))


class Denoiser(nn.Module):
    """U-Net F on packed pixels, its coarsest level with the mean over the whole image."""

    def __init__(self, channels: int, conditions: int, widths, embedding: int = 96):
        super().__init__()
        levels = range(len(widths) - 1)
        self.register_buffer("frequency", torch.logspace(-2, 3, 16, base=2.0))
        self.embed = nn.Sequential(
            nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.head = nn.Conv2d(4 * (channels + conditions), widths[0], 3, padding=1)
        self.down = nn.ModuleList(NoiseBlock(width, embedding) for width in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(widths[k], widths[k + 1], 2, 2) for k in levels)
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(widths[k + 1], widths[k], 2, 2) for k in levels
        )
        self.up = nn.ModuleList(NoiseBlock(widths[k], embedding) for k in levels)
        self.tail = nn.Sequential(
            nn.GroupNorm(8, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], 4 * channels, 3, padding=1)
        )
        nn.init.zeros_(self.tail[-1].weight)
        nn.init.zeros_(self.tail[-1].bias)

    def forward(self, z: torch.Tensor, known: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        """Evaluate F for scaled noisy residuals z, conditions, and noise levels (n,) or (1,)."""
        phase = c_noise[:, None] * self.frequency
        level = self.embed(torch.cat([phase.sin(), phase.cos()], dim=1))
        h = self.head(F.pixel_unshuffle(torch.cat([z, known], dim=1), 2))
        skips = []
        for block, shrink in zip(self.down[:-1], self.shrink, strict=True):
            skips.append(block(h, level))
            h = shrink(skips[-1])
        h = self.down[-1](h, level)
        h = h + self.whole(h.mean(dim=(2, 3)))[..., None, None]
        for block, grow, skip in reversed(list(zip(self.up, self.grow, skips, strict=True))):
            h = block(grow(h) + skip, level)
        return F.pixel_shuffle(self.tail(h), 2).float()


@register(
    "diffusion",
    tiny={"widths": (8, 16), "steps": 5},
    quick={"widths": (32, 64, 128), "steps": 8},
    long={"widths": (48, 96, 192), "steps": 10},
    paper={"widths": (128, 128, 256), "steps": 18},
)
class Diffusion(Translator):
    """Regression network m(x), which is not trained here, and a denoiser of its residual.

    It is sampled in so many `steps`; `mean` holds the sizes of the regression network, whose
    weights `set_mean` gives.
    """

    def __init__(self, bands_in, bands_out, widths, steps: int = 10, mean: dict | None = None):
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.mean = Residual(bands_in, bands_out, **mean).requires_grad_(False) if mean else None
        self.denoiser = Denoiser(bands_out, bands_in + bands_out, tuple(widths))
        self.register_buffer("rms", torch.ones(bands_out, 1, 1))
        self.bands, self.steps = bands_out, steps

    def set_mean(self, regression: Residual) -> None:
        """Sample about the translations of a trained residual network from now on."""
        self.mean = regression.requires_grad_(False)
        self.recipe["sizes"]["mean"] = regression.recipe["sizes"]

    def prepare(self, pairs) -> None:
        """Measure the rms of what the mean, in its own stretch, leaves of the training pairs."""
        if self.mean is not None:
            grids = {(scaling.size, scaling.step) for scaling in (self.scaling, self.mean.scaling)}
            if len(grids) > 1:
                raise GaltoolsError("the regression network was trained on another grid of pixels")
            self.scaling = self.mean.scaling  # it was trained in this stretch
        pairs = pairs[slice(0, FITTED)]
        x = self.scaling.normalize(torch.as_tensor(pairs.source))
        y = self.scaling.target.forward(torch.as_tensor(pairs.target))
        with torch.no_grad():
            left = torch.cat([b - self(a) for a, b in zip(x.split(16), y.split(16), strict=True)])
        if (bad := pairs.bad[1]) is not None:
            left[torch.as_tensor(bad)] = torch.nan
        self.rms.copy_(left.square().movedim(1, 0).flatten(1).nanmean(dim=1).sqrt()[:, None, None])

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Translate by the regression network alone."""
        if self.mean is None:
            return x.new_zeros(len(x), self.bands, *x.shape[2:])
        return self.mean(x).float()

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """Only the denoiser learns."""
        return {"denoiser": OptimizerGroup(list(self.denoiser.parameters()), self.losses)}

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Mean squared error of F; masked pixels have none."""
        with torch.no_grad(), autocast(batch.source.device, enabled=False):  # as in `sampler`
            mean = self.network(batch.source)
            r = (batch.valid_target(mean) - mean) / self.rms
        normal = partial(torch.randn, generator=batch.generator, device=r.device)
        center, width = LOG_SIGMA
        sigma = (center + width * batch.random(normal, (len(r), 1, 1, 1))).exp()
        z = r + sigma * batch.random(normal, r.shape)
        skip, out, scale_in, c_noise = preconditioning(sigma)
        known = torch.cat([batch.source, mean], dim=1)
        error = self.denoiser(scale_in * z, known, c_noise.flatten()) - (r - skip * z) / out
        if batch.good is not None:
            error = torch.where(batch.good, error, 0.0)
        return {"v": error.square().mean()}

    def sampler(self, x: torch.Tensor):
        """Return a function from white noise to a sample."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        mean = self.network(x)
        known = torch.cat([x, mean], dim=1)

        def denoise(z, sigma):
            level = torch.full((1,), sigma, device=z.device)
            skip, out, scale_in, c_noise = preconditioning(level)
            with autocast(z.device):
                return skip * z + out * self.denoiser(scale_in * z, known, c_noise)

        def sample(noise):
            z = math.hypot(1, SIGMA_MAX) * pad_to_multiple(noise, self.multiple)
            return (mean + self.rms * dpm_solver(denoise, z, self.steps))[..., :height, :width]

        return sample
