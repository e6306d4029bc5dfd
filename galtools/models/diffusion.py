"""Conditional diffusion: sample target images from noise, given the source.

Two parts are trained one after the other. The *anchor* predicts the best single value m(x) of
every pixel (a compromise of median and mean, by `pixel_loss`) and, for every *frequency* of every
block of p x p pixels (an orthonormal cosine transform C), the sigma s(x) of its error and the
correlation rho(x) of errors between bands. The standardized residual

    z = R^(-1/2) C(y - m) / s,     R = 1 on the diagonal, rho off it,

has variance of about 1 at every scale up to a block. A diffusion model learns its structure: with
the cosine schedule

    z_t = alpha_t z + sigma_t e,     alpha_t^2 + sigma_t^2 = 1,     v = alpha_t e - sigma_t z,

a network predicts v from (z_t, x, m, t). For white noise of unit variance E[v | z_t] = 0, so even
an untrained network that predicts 0 samples images with the right variance.

Fluxes are sampled separately: seeing redistributes flux and conserves it, so errors of frequencies
cancel in the total flux, which independent samples would not. The sigma of the flux in windows of
`TILE` pixels is fitted to whole stamps after the training, and every sample is given such a flux.
Samples are never clipped: fluxes have no upper limit.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models import register
from galtools.models.base import (  # fmt: skip
    Batch,
    OptimizerGroup,
    ResidualBlock,
    Translator,
    pad_to_multiple,
    pixel_loss,
)
from galtools.models.blocks import BlockDCT, broadcast_tiles, correlate_bands, tile_sums

TIMESTEPS = 1000
# Times of UniPC with five steps. They were placed by minimising the largest error, relative to DDIM
# with fifty steps, of trained networks of both tasks: that ratio is below 1.
PLACED = {5: (999, 879, 636, 364, 137)}
HISTORY = 4  # earlier predictions that a step may use
NEGLIGIBLE = 1e-6  # coefficient of an earlier prediction below which a step leaves it out
MIN_SIGMA = 0.002  # stretched units: the likelihood needs a floor
LOG_SIGMA = (-8.0, 0.0)  # range of the logarithm of sigma, relative to the local mean
LOG_FLUX_SIGMA = (-8.0, 4.0)  # and of the sigma of fluxes, relative to independent pixels
MAX_RHO = 0.98  # highest correlation of two bands
OUTLIER = 3.0  # standard deviations at which errors are clipped when rho is fitted
TILE = 32  # pixels along a side of the windows in which fluxes are sampled
FLUX_BATCH, FLUX_RATE = 64, 0.01  # of the fit of these fluxes, in stamps


def cosine_alphas() -> torch.Tensor:
    """alpha_t^2 of the cosine schedule (Nichol & Dhariwal 2021) at each time step."""

    def bar(t):
        return math.cos((t / TIMESTEPS + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - bar(t + 1) / bar(t), 0.999) for t in range(TIMESTEPS)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0).float()


def schedule() -> torch.Tensor:
    """alpha_t and sigma_t of the cosine schedule, (2, T)."""
    alpha2 = cosine_alphas()
    return torch.stack([alpha2.sqrt(), (1 - alpha2).sqrt()])


def unipc(steps: int):
    """Scheduler of diffusers, UniPC (Zhao et al. 2023), for predictions of the clean z.

    With a number of steps in `PLACED` it is of third order and stops at those times.
    """
    from diffusers import UniPCMultistepScheduler

    plan = UniPCMultistepScheduler(
        num_train_timesteps=TIMESTEPS, beta_schedule="squaredcos_cap_v2", prediction_type="sample",
        timestep_spacing="trailing", solver_order=3 if steps in PLACED else 2,
    )  # fmt: skip
    plan.set_timesteps(steps)
    if steps in PLACED:
        plan.timesteps = torch.tensor(PLACED[steps])
        alpha2 = plan.alphas_cumprod[plan.timesteps]
        plan.sigmas = torch.cat([((1 - alpha2) / alpha2).sqrt(), torch.zeros(1)])
    return plan


@cache
def recurrence(steps: int) -> list[tuple]:
    """Time t, alpha, sigma, c and d of each step of UniPC, which is the linear recurrence

        z_{k+1} = c z_k + d_0 x_k + d_1 x_{k-1} + ...,

    where x_k is the clean z predicted at z_k. The scheduler is run once, on unit vectors; to run it
    in every step would take as long as the network.
    """
    plan = unipc(steps)
    units = torch.eye(steps + 1, dtype=torch.float64)[:, None]  # of the noise, x_0, x_1, ...
    z, rows = units[0], []
    for k, t in enumerate(plan.timesteps):
        after = plan.step(units[k + 1], t, z).prev_sample
        c = float(after[0, 0] / z[0, 0])
        d = (after - c * z)[0, 1 : k + 2].flip(0)
        lags = int(d.abs().gt(NEGLIGIBLE).nonzero().max()) + 1
        rows.append((t.view(1), *schedule()[:, t].tolist(), c, d[:lags].tolist()))
        z = after
    return rows


def solve(predict_v: Callable, noise: torch.Tensor, steps: int) -> torch.Tensor:
    """Turn white noise into a sample; ``predict_v(z_t, t)`` gives v, with t of shape (1,)."""
    z, clean = noise, []
    for t, alpha, sigma, c, d in recurrence(steps):
        clean = [torch.sub(alpha * z, predict_v(z, t), alpha=sigma), *clean[:HISTORY]]
        z = c * z
        for weight, x in zip(d, clean, strict=False):
            z.add_(x, alpha=weight)
    return z


class TimedBlock(ResidualBlock):
    """A residual block whose first convolution is scaled and shifted by the time."""

    def __init__(self, width: int, time_width: int):
        """Add the projection of the time."""
        super().__init__(width)
        self.time = nn.Linear(time_width, 2 * width)

    def forward(self, h: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Add the residual at this time."""
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        return h + self.second(F.gelu(self.first(h) * (1 + scale) + shift))


class Denoiser(nn.Module):
    """Two-level U-Net on frequencies that predicts v; initially 0."""

    def __init__(self, channels: int, conditions: int, width: int, blocks: int):
        """Make it for `channels` frequencies with `conditions` channels of context."""
        super().__init__()
        self.channels = channels
        self.head = nn.Conv2d(channels + conditions, width, 1)
        self.time = nn.Sequential(nn.Linear(16, width), nn.GELU())

        def level(size, depth):
            return nn.ModuleList(TimedBlock(size, width) for _ in range(depth))

        self.fine, self.after = level(width, blocks), level(width, blocks)
        self.coarse = level(2 * width, 2 * blocks)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.tail = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def context(self, images: torch.Tensor, cosines: BlockDCT) -> torch.Tensor:
        """Embed the frequencies of images (n, bands, H, W), once for all times: (n, width, h, w).

        Cosine transform and first layer make one convolution. Its logarithm keeps a star brighter
        than any in the training set from dominating everything else.
        """
        weight, side = self.head.weight[:, self.channels :], cosines.side
        kernels = weight.view(len(weight), -1, side**2) @ cosines.matrix
        kernels = kernels.view(len(weight), -1, side, side)
        return signed_log(F.conv2d(images, kernels, self.head.bias, stride=side))

    def forward(self, z: torch.Tensor, context: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict v from the noisy z (n, channels, h, w) at times t (n or 1,), 0 <= t < 1000."""
        waves = t[:, None] / TIMESTEPS * math.pi * torch.arange(1, 9, device=t.device)
        time = self.time(torch.cat([waves.sin(), waves.cos()], dim=1))
        h = context + F.conv2d(z, self.head.weight[:, : self.channels])
        for block in self.fine:
            h = block(h, time)
        low = self.down(h)
        for block in self.coarse:
            low = block(low, time)
        h = h + self.up(low)
        for block in self.after:
            h = block(h, time)
        return self.tail(h)


@register(
    "diffusion",
    tiny={"width": 16, "blocks": 1, "side": 2, "steps": 3, "stamps": 64, "fits": 60},
    quick={"width": 48, "blocks": 1},
    paper={"width": 128, "blocks": 4, "steps": 20, "stamps": 16384},
)
class Diffusion(Translator):
    """Anchor (mean of pixels, sigma of frequencies), denoiser of its residuals, and fluxes."""

    def __init__(
        self, bands_in, bands_out, width, blocks, side: int = 8, steps: int = 5,
        start: float = 0.48, sigma_weight: float = 0.3, stamps: int = 1536, fits: int = 600,
    ):  # fmt: skip
        """Make all parts; the fraction `start` of the training belongs to the anchor.

        `sigma_weight` weighs the scores of sigma and rho in the anchor's loss; fluxes are fitted to
        this many `stamps` in `fits` steps.
        """
        super().__init__()
        self.multiple, self.crop_stride, self.cosines = 2 * side, side, BlockDCT(side)
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * bands_in, width, 3, padding=1),
            *[ResidualBlock(width) for _ in range(2 * blocks)],
        )
        self.mean = nn.Conv2d(width, 4 * bands_out, 3, padding=1)
        channels = bands_out * side**2
        self.sigma = nn.Sequential(
            nn.Conv2d(width, width, side // 2, stride=side // 2),
            nn.GELU(),
            nn.Conv2d(width, channels + side**2, 1),
        )
        nn.init.zeros_(self.sigma[-1].weight)
        nn.init.constant_(self.sigma[-1].bias, -2.0)  # initially small, and uncorrelated
        self.flux = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, 2 * bands_out + 1, 1)
        )
        nn.init.zeros_(self.flux[-1].weight)
        nn.init.zeros_(self.flux[-1].bias)
        for part in (self.features, self.mean, self.sigma, self.flux):
            part.to(memory_format=torch.channels_last)  # faster convolutions on a CPU
        self.denoiser = Denoiser(channels, channels + bands_in * side**2, width, blocks)
        self.steps, self.start, self.sigma_weight = steps, start, sigma_weight
        self.stamps, self.fits = stamps, fits
        self.register_buffer("schedule", schedule(), persistent=False)

    def anchor(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Mean m of every pixel; sigma s and correlation rho of every frequency; features.

        The uncertainty is a fraction of what is there: s is an exponential, at most 1, times the
        root mean square of the mean in its block and band (plus 1, that of all images). So the
        sigma of a star brighter than any in the training set grows no faster than its flux. Any two
        bands of a frequency have the same rho.
        """
        h, side = self.features(x), self.cosines.side
        mean, h = F.pixel_shuffle(self.mean(h).contiguous(), 2), signed_log(h)
        local = 1 + F.avg_pool2d(mean.detach().square(), side).sqrt()
        log, logit = self.sigma(h).contiguous().tensor_split([-(side**2)], dim=1)
        fraction = log.clamp(*LOG_SIGMA).exp()
        sigma = MIN_SIGMA + fraction * local.repeat_interleave(side**2, dim=1)
        return mean, sigma, MAX_RHO * logit.sigmoid(), h

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean alone, the best single prediction."""
        return self.anchor(x)[0]

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """Return the anchor and the denoiser, each in its own part of the training."""
        parts = (self.features, self.mean, self.sigma)
        anchor = [p for part in parts for p in part.parameters()]
        denoiser = list(self.denoiser.parameters())
        return {
            "anchor": OptimizerGroup(anchor, self.anchor_losses, end=self.start),
            "denoiser": OptimizerGroup(denoiser, self.denoiser_losses, self.start),
        }

    def anchor_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel and flux loss of the mean, two scores of sigma, and the likelihood of rho.

        With r = |C(y - m)|, <log s + sqrt(pi/2) r / s> is lowest where s = sqrt(pi/2) E[r], the
        standard deviation of Gaussian errors; a few bright pixels do not dominate it, as they would
        with r^2. Since r counts in units of s, it also removes the source's noise from the mean in
        a quiet sky, where the pixel loss is insensitive. It hardly penalises a rare block whose s
        is ten times too large; the CRPS, in units of the image, does.
        """
        mean, sigma, rho, _ = self.anchor(batch.source)
        error = self.cosines(batch.valid_target(mean) - mean)
        valid = self.valid_frequencies(batch.good)
        score = laplace_nll(error, sigma, valid) + gaussian_crps(error, sigma, valid)
        bands = band_correlation_nll(error / sigma, rho, valid)
        terms = {"sigma": self.sigma_weight * score, "bands": self.sigma_weight * bands}
        return {**pixel_loss(mean, batch), **terms}

    def denoiser_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Square error of v at random times."""
        with torch.no_grad():
            mean, sigma, rho, _ = self.anchor(batch.source)
        z = correlate_bands(self.cosines(batch.valid_target(mean) - mean) / sigma, rho, -0.5)
        options = {"generator": batch.generator, "device": z.device}
        t = batch.random(lambda shape: torch.randint(TIMESTEPS, shape, **options), (len(z),))
        e = batch.random(lambda shape: torch.randn(shape, **options), z.shape)
        alpha, sigma_t = self.schedule[:, t, None, None, None]
        predicted = self.denoiser(alpha * z + sigma_t * e, self.context(batch.source, mean), t)
        error = (predicted - (alpha * e - sigma_t * z)).square()
        return {"v": masked_mean(error, self.valid_frequencies(batch.good))}

    def valid_frequencies(self, good: torch.Tensor | None) -> torch.Tensor | None:
        """True for every frequency of a block and band none of whose pixels is masked."""
        if good is None:
            return None
        side = self.cosines.side
        blocks = F.avg_pool2d(good.float(), side) == 1
        return blocks.repeat_interleave(side**2, dim=1)

    def context(self, x: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Embedding of source and mean for the denoiser."""
        return self.denoiser.context(torch.cat([x, mean], dim=1), self.cosines)

    def tiles(self, mean, sigma, features, flux) -> tuple[torch.Tensor, ...]:
        """Flux errors of pixels and of tiles if frequencies were independent.

        Returns the variance V of every pixel's flux, (dF/dy)^2 var(y); the standard deviation
        U = sqrt(sum V) of the flux of a tile; and the mean features of a tile, weighted by V.
        """
        step = 0.01  # of the stretch, whose square-root form makes this derivative exact
        slope = (flux(mean + step) - flux(mean - step)) / (2 * step)
        variance = slope.square() * self.cosines.variance(sigma)
        unit = tile_sums(variance, TILE).sqrt()
        height, width = variance.shape[-2:]
        weight = variance / broadcast_tiles(unit.square(), TILE, height, width)
        weight = F.avg_pool2d(weight.mean(dim=1, keepdim=True), 2) * 4
        return variance, unit, tile_sums(weight * features, TILE // 2)

    def flux_errors(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Mean and sigma of the flux error of a tile, in units of U, and its band correlation."""
        numbers, logit = self.flux(features).tensor_split([-1], dim=1)
        offset, log = numbers.chunk(2, dim=1)
        return offset, log.clamp(*LOG_FLUX_SIGMA).exp(), MAX_RHO * logit.sigmoid()

    def flux_loss(self, features, error, valid) -> torch.Tensor:
        """Negative log-likelihood of the flux errors of tiles, in units of U."""
        offset, sigma, rho = self.flux_errors(features)
        rest = error - offset
        return laplace_nll(rest, sigma, valid) + band_correlation_nll(rest / sigma, rho, valid)

    def finish(self, batches: Callable, minimize: Callable) -> bool:
        """Fit the fluxes to the tiles of whole stamps; the anchor no longer changes.

        Crops would not do: few of them show a galaxy in the centre of a tile, and the anchor errs
        more at their edges than in the middle of a stamp.
        """
        parts, generator = [], None
        while sum(len(features) for features, *_ in parts) < self.stamps:
            batch = batches(len(parts))
            parts.append(self.flux_batch(batch))
            generator = generator or batch.generator
        table = [torch.cat(column) for column in zip(*parts, strict=True)]

        def losses():
            for _ in range(self.fits):
                size, device = (FLUX_BATCH,), generator.device
                rows = torch.randint(len(table[0]), size, generator=generator, device=device)
                yield self.flux_loss(*(column[rows] for column in table))

        minimize(self.flux, losses(), FLUX_RATE, self.fits)
        return True

    @torch.no_grad()
    def flux_batch(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Arguments of `flux_loss` for whole stamps."""
        mean, sigma, _, features = self.anchor(batch.source)
        _, unit, features = self.tiles(mean, sigma, features, batch.flux)
        error = tile_sums(batch.flux(batch.valid_target(mean)) - batch.flux(mean), TILE) / unit
        bad = torch.zeros_like(mean) if batch.good is None else (~batch.good).float()
        return features, error, tile_sums(bad, TILE) == 0

    def sampler(self, x: torch.Tensor) -> Callable:
        """Samples are m + C^-1(s z), with z solved from white noise, rescaled to sampled fluxes."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        mean, sigma, rho, features = self.anchor(x)
        context = self.context(x, mean)
        set_flux = self.flux_sampler(mean, sigma, features)

        def predict(z, t):
            return self.denoiser(z, context, t.to(z.device))

        def sample(noise):
            noise = pad_to_multiple(noise, self.multiple)
            z = solve(predict, self.cosines(noise), self.steps)
            images = mean + self.cosines.inverse(sigma * correlate_bands(z, rho))
            return set_flux(images, noise)[..., :height, :width]

        return sample

    def flux_sampler(self, mean, sigma, features) -> Callable:
        """Return what gives each tile of a sample the flux F* = F(m) + U (o + r n), n white noise.

        The difference is distributed over the pixels in proportion to the variance V of their
        flux: the best linear estimate of Gaussian errors whose sum is known.
        """
        target = self.scaling.target
        variance, unit, features = self.tiles(mean, sigma, features, target.inverse)
        offset, ratio, rho = self.flux_errors(features)
        expected, size = target.inverse(mean), mean.shape[-2:]

        def set_flux(images, noise):
            flux = target.inverse(images)
            error = correlate_bands(tile_sums(noise, TILE) / TILE, rho)
            missing = unit * (offset + ratio * error) - tile_sums(flux - expected, TILE)
            flux = flux + variance * broadcast_tiles(missing / unit.square(), TILE, *size)
            return target.forward(flux)

        return set_flux


def signed_log(h: torch.Tensor) -> torch.Tensor:
    """Logarithm of both signs, sign(h) ln(1 + |h|): h itself where that is small."""
    return h.sign() * h.abs().log1p()


def laplace_nll(error: torch.Tensor, sigma: torch.Tensor, valid=None) -> torch.Tensor:
    """Mean of log s + sqrt(pi/2) |error| / s, lowest at the standard deviation of the error."""
    return masked_mean(sigma.log() + math.sqrt(math.pi / 2) * error.abs() / sigma, valid)


def gaussian_crps(error: torch.Tensor, sigma: torch.Tensor, valid=None) -> torch.Tensor:
    """Mean continuous ranked probability score of a Gaussian of that sigma: with u = error / s,

    s (u erf(u / sqrt 2) + sqrt(2 / pi) exp(-u^2 / 2) - 1 / sqrt pi).
    """
    u = error / sigma
    bell = math.sqrt(2 / math.pi) * torch.exp(-u.square() / 2)
    score = sigma * (u * torch.erf(u / math.sqrt(2)) + bell - 1 / math.sqrt(math.pi))
    return masked_mean(score, valid)


def band_correlation_nll(z: torch.Tensor, rho: torch.Tensor, valid=None) -> torch.Tensor:
    """Mean negative log-likelihood of the correlation between bands; z are errors over sigmas."""
    bands = z.shape[1] // rho.shape[1]
    alone = correlate_bands(z.detach().clamp(-OUTLIER, OUTLIER), rho, -0.5)
    volume = ((1 + (bands - 1) * rho).log() + (bands - 1) * (1 - rho).log()) / bands
    return masked_mean((alone.square() + volume.repeat(1, bands, 1, 1)) / 2, valid)


def masked_mean(values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Mean of valid values; None: of all."""
    return values.mean() if valid is None else (values * valid).sum() / valid.sum().clamp(min=1)
