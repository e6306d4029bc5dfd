"""Residual diffusion: a regression network for the mean, and EDM for what it leaves.

Following CorrDiff (Mardani et al. 2025), a residual network predicts m(x), and a diffusion model
samples the residual

    r = (y - m(x)) / s,    s^2 = s_sky^2 + (f <|m|>)^2,    z = r + sigma n,    n ~ N(0, 1),

whose rms s is that of the sky plus a fraction f of the local brightness <|m|>, both fitted per band:
r has unit variance in the sky and in the core alike. The denoiser D is preconditioned and trained
as in EDM (Karras et al. 2022), for data of unit variance:

    D(z; sigma, x) = c_skip z + c_out F(c_in z; ln(sigma) / 4, x),
    c_skip = 1 / (sigma^2 + 1),  c_out = sigma / sqrt(sigma^2 + 1),  c_in = 1 / sqrt(sigma^2 + 1),
    L = <e^2>,    e = F - (r - c_skip z) / c_out,    ln(sigma) ~ N(0, 1.4^2).

Errors of a galaxy's flux are coherent over many pixels, and weigh little in L: we add the mean
squares of e summed over boxes of 2, 4, ... 32 pixels a side, in units of what white errors give.

A sample follows EDM's dz / d sigma = (z - D) / sigma. In u = c_in z = r cos(t) + n sin(t), with
tan(t) = sigma, this reads du / dt = -F (Lu & Song 2025): Heun's method solves it without any error
where F = 0, the exact answer for white residuals, with which the training begins.
"""

import math
from copy import deepcopy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models import register
from galtools.models.base import Batch, OptimizerGroup, Translator, pad_to_multiple, pixel_loss
from galtools.models.residual import Residual

LOG_SIGMA = (0.0, 1.4)  # mean and standard deviation of ln(sigma) in training
SIGMA_MIN, SIGMA_MAX, RHO = 0.01, 80.0, 7.0  # ends and spacing of the sampler's noise levels
BOXES = 5  # boxes of 2, 4, ... 2^BOXES pixels a side have a term in the loss
BLUR = 5  # pixels along a side of the box in which the local brightness is averaged


def preconditioning(sigma: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return c_skip, c_out, c_in and c_noise of EDM for data of unit variance."""
    variance = sigma**2 + 1
    return 1 / variance, sigma / variance.sqrt(), 1 / variance.sqrt(), sigma.log() / 4


def noise_levels(steps: int) -> list[float]:
    """Noise levels of the sampler: sigma^(1/rho) falls evenly, and the last one is 0."""
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [*(torch.linspace(*ends, steps, dtype=torch.float64) ** RHO).tolist(), 0.0]


def heun(velocity, noise: torch.Tensor, steps: int) -> torch.Tensor:
    """Solve du / dt = -F(u; sigma), tan(t) = sigma, from white `noise` to t = 0 by Heun steps."""
    u = noise
    for sigma, lower in pairwise(noise_levels(steps)):
        step = math.atan(sigma) - math.atan(lower)
        slope = velocity(u, sigma)
        if lower > 0:
            slope = (slope + velocity(u + step * slope, lower)) / 2
        u = u + step * slope
    return u


def box_losses(error: torch.Tensor) -> torch.Tensor:
    """Mean squares of sums over boxes of 2, 4, ... pixels a side, relative to those of white errors.

    All of them are least for the same F as <e^2> is, the conditional mean.
    """
    terms = []
    while len(terms) < BOXES and min(error.shape[-2:]) > 1:
        error = 2 * F.avg_pool2d(error, 2)
        terms.append(error.square().mean())
    return torch.stack(terms)


class NoiseBlock(nn.Module):
    """h + conv(SiLU((1 + a) norm(conv(h)) + b)), where a and b follow from the noise level."""

    def __init__(self, width: int, embedding: int):
        """Make the block; its second convolution starts at zero."""
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
        """Make one block per level on the way down, and one on the way up."""
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


class Silent(nn.Module):
    """A denoiser that says F = 0."""

    def forward(self, z, known, c_noise):
        """Return zeros."""
        return torch.zeros_like(z)


def silenced(network: nn.Module) -> nn.Module:
    """Copy of a diffusion model without its denoiser: it samples white residuals of rms s."""
    network = deepcopy(network)
    network.denoiser = Silent()
    return network


@register(
    "diffusion",
    tiny={"width": 8, "blocks": 1, "widths": (8, 16), "steps": 3, "levels": 2},
    quick={"width": 48, "blocks": 3, "widths": (32, 64, 128)},
    paper={"width": 128, "blocks": 12, "widths": (128, 128, 256), "steps": 18},
)
class Diffusion(Translator):
    """Regression mean m(x), rms s of its residual, and a denoiser for the residual."""

    def __init__(
        self, bands_in, bands_out, width, blocks, widths, steps: int = 6, start: float = 0.5,
        levels: int = 4, residual: bool = True,
    ):  # fmt: skip
        """Make both networks; the denoiser is trained after a fraction `start` of the steps.

        It sees each galaxy of a batch at so many noise `levels`. Without `residual` the mean is 0:
        conditional EDM.
        """
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.mean = Residual(bands_in, bands_out, width, blocks) if residual else None
        self.log_scale = nn.Parameter(torch.full((2, bands_out), -0.3))
        self.denoiser = Denoiser(bands_out, bands_in + bands_out, tuple(widths))
        self.steps, self.start, self.levels = steps, start, levels

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Translate by the regression mean alone."""
        if self.mean is None:
            return x.new_zeros(len(x), self.log_scale.shape[1], *x.shape[2:])
        return self.mean(x).float()

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """First the mean and the rms of its residual, then the denoiser."""
        denoiser = list(self.denoiser.parameters())
        first = [p for name, p in self.named_parameters() if not name.startswith("denoiser.")]
        return {
            "mean": OptimizerGroup(first, self.mean_losses, end=self.start),
            "denoiser": OptimizerGroup(
                denoiser, self.denoiser_losses, begin=self.start, lr_scale=2.0
            ),
        }

    def scale(self, mean: torch.Tensor) -> torch.Tensor:
        """Rms s of the residual, sqrt(s_sky^2 + (f <|m|>)^2), in stretched units.

        The parameters are ln(s_sky) / 10 and ln(f) / 10: one rate of learning suits all.
        """
        sky, fraction = (10 * self.log_scale).exp()[:, :, None, None]
        brightness = F.avg_pool2d(mean.abs(), BLUR, 1, BLUR // 2, count_include_pad=False)
        return (sky**2 + (fraction * brightness) ** 2).sqrt()

    def mean_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel loss of the mean, and the Gaussian likelihood <ln s + (y - m)^2 / 2 s^2> of s."""
        mean = self.network(batch.source)
        scale = self.scale(mean.detach())
        error = (batch.valid_target(mean) - mean).detach() / scale
        nll = scale.log() + error.square() / 2
        if batch.good is not None:
            nll = nll[batch.good]
        losses = {} if self.mean is None else pixel_loss(mean, batch)
        return losses | {"scale": nll.mean()}

    def denoiser_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Mean squared error of F, of pixels and of boxes."""
        with torch.no_grad():
            mean = self.network(batch.source)
            r = (batch.valid_target(mean) - mean) / self.scale(mean)

        def normal(shape):
            return torch.randn(shape, generator=batch.generator, device=r.device)

        def each_level(images):
            return images.repeat_interleave(self.levels, dim=0)

        center, width = LOG_SIGMA
        shape = (len(r), self.levels, *r.shape[1:])
        sigma = (center + width * batch.random(normal, (*shape[:2], 1, 1, 1))).exp().flatten(0, 1)
        noise = batch.random(normal, shape).flatten(0, 1)
        known, r = each_level(torch.cat([batch.source, mean], dim=1)), each_level(r)
        z = r + sigma * noise
        skip, out, scale_in, c_noise = preconditioning(sigma)
        error = self.denoiser(scale_in * z, known, c_noise.flatten()) - (r - skip * z) / out
        if batch.good is not None:
            error = torch.where(each_level(batch.good), error, 0.0)
        return {"pixel": error.square().mean(), "boxes": box_losses(error).mean()}

    def sampler(self, x: torch.Tensor):
        """Return a function from white noise to a sample, m(x) + s r."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        mean = self.network(x)
        scale, known = self.scale(mean), torch.cat([x, mean], dim=1)

        def velocity(u, sigma):
            c_noise = preconditioning(torch.full((1,), sigma, device=u.device))[-1]
            return self.denoiser(u, known, c_noise)

        def sample(noise):
            noise = pad_to_multiple(noise, self.multiple)
            r = heun(velocity, noise, self.steps)
            return (mean + scale * r)[..., :height, :width]

        return sample
