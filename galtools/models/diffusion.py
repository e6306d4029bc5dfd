"""Conditional diffusion: draw a target image out of noise, given the source.

Two parts, trained one after the other. The *anchor* gives the middle m(x) of every pixel, and, for
every *frequency* of every block of p x p pixels (a cosine transform C, orthonormal), the spread
s(x) of what it gets wrong and the correlation rho(x) of that in any two bands. What is left,

    z = R^(-1/2) C(y - m) / s,     R = 1 on the diagonal, rho beside it,

has about variance one in the sky and in the centre, in fine grain and in the flux of a block. A
diffusion model learns its structure: with the cosine schedule

    z_t = alpha_t z + sigma_t e,     alpha_t^2 + sigma_t^2 = 1,     v = alpha_t e - sigma_t z,

a network predicts v from (z_t, x, m, t). White noise of unit variance has E[v | z_t] = 0, so even
an untrained network that says zero draws images with the right variance on every scale up to a
block; what it learns is how else errors hang together.

One sum is too important to be left to that: the light. Seeing that is not known moves light from
frequency to frequency and makes none, so errors that are drawn apart would give fluxes with far too
wide a spread. So the spread of the flux in windows of `TILE` pixels is learnt by itself, from whole
stamps once the anchor is known, and a draw is given a flux from it. No sample is ever clipped:
fluxes have no upper end.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models import noise_schedule, register
from galtools.models.base import (  # fmt: skip
    Batch,
    OptimizerGroup,
    ResidualBlock,
    Translator,
    pad_to_multiple,
    pixel_loss,
)
from galtools.models.blocks import BlockDCT, broadcast_tiles, correlate_bands, tile_sums
from galtools.training import adamw, distributed

QUIETEST = 0.002  # smallest spread, stretched units: without any, there is no likelihood
LOG_SIGMA = (-8.0, 0.0)  # range of the logarithm of the rest, in units of what is there
LOG_FLUX = (-8.0, 4.0)  # and of that of the light, in units of independent pixels
ALIKE = 0.98  # highest correlation of two bands
WILD = 3.0  # standard deviations at which errors are cut before they tell of that correlation
TILE = 32  # pixels along a side of the windows in which the light of a draw is fixed
FLUX_BATCH, FLUX_RATE = 64, 0.01  # of the fit of that light, in stamps


class TimedBlock(ResidualBlock):
    """A residual block whose first convolution is shifted and scaled by the time."""

    def __init__(self, width: int, time_width: int):
        """Add the projection of the time."""
        super().__init__(width)
        self.time = nn.Linear(time_width, 2 * width)

    def forward(self, h: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Add what the two convolutions find at this time."""
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        return h + self.second(F.gelu(self.first(h) * (1 + scale) + shift))


class Denoiser(nn.Module):
    """Two-level U-Net on frequencies that predicts v; begins by saying zero."""

    def __init__(self, channels: int, conditions: int, width: int, blocks: int):
        """Make it for `channels` frequencies with `conditions` channels of context."""
        super().__init__()
        self.channels = channels
        self.head = nn.Conv2d(channels + conditions, width, 1)
        self.time = nn.Sequential(nn.Linear(16, width), nn.GELU())

        def level(size, depth):
            return nn.ModuleList(TimedBlock(size, width) for _ in range(depth))

        self.fine, self.after = level(width, blocks), level(width, blocks)
        self.coarse = level(2 * width, 2 * blocks)  # how blocks hang together
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.tail = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def read(self, images: torch.Tensor, cosines: BlockDCT) -> torch.Tensor:
        """Make of the context what the first layer adds to any z, at any time: (n, width, h, w).

        The context are the frequencies of images: transform and layer make one convolution. Its
        logarithm keeps a star that is brighter than any in the training from drowning all else.
        """
        weight, side = self.head.weight[:, self.channels :], cosines.side
        kernels = weight.view(len(weight), -1, side**2) @ cosines.matrix
        kernels = kernels.view(len(weight), -1, side, side)
        return signed_log(F.conv2d(images, kernels, self.head.bias, stride=side))

    def forward(self, z: torch.Tensor, known: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict v from the noisy z (n, channels, h, w) at times t (n or 1,), 0 <= t < 1000.

        `known` is the context as `read`.
        """
        waves = (
            t[:, None]
            / noise_schedule.STEPS_OF_TIME
            * math.pi
            * torch.arange(1, 9, device=t.device)
        )
        time = self.time(torch.cat([waves.sin(), waves.cos()], dim=1))
        h = known + F.conv2d(z, self.head.weight[:, : self.channels])
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
    """Anchor (middle of pixels, spread of frequencies), what it leaves, and the light."""

    def __init__(
        self, bands_in, bands_out, width, blocks,
        side: int = 8, steps: int = 5, sampler: str = "unipc", start: float = 0.48,
        likelihood: float = 0.3, emphasis: float = 1.0, prediction: str = "v",
        weighting: str = "plain", pinned: bool = True, stamps: int = 1536, fits: int = 600,
    ):  # fmt: skip
        """Make both parts; the share `start` of the training belongs to the anchor.

        `likelihood` weighs the spread's scores in the anchor's loss, `emphasis` the mean of a block
        against any other of its frequencies in the denoiser's. `prediction` and `weighting` are
        those of `noising`; draws that are not `pinned` keep the flux that the denoiser gives,
        the others one from a spread that is fitted to this many `stamps`.
        """
        super().__init__()
        noise_schedule.check_names(prediction, weighting, sampler)
        self.multiple, self.lattice, self.cosines = 2 * side, side, BlockDCT(side)
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * bands_in, width, 3, padding=1),
            *[ResidualBlock(width) for _ in range(2 * blocks)],
        )
        self.middle = nn.Conv2d(width, 4 * bands_out, 3, padding=1)
        channels = bands_out * side**2
        self.spread = nn.Sequential(
            nn.Conv2d(width, width, side // 2, stride=side // 2),
            nn.GELU(),
            nn.Conv2d(width, channels + side**2, 1),
        )
        nn.init.zeros_(self.spread[-1].weight)
        nn.init.constant_(self.spread[-1].bias, -2.0)  # the sky is quiet, and its bands differ
        self.light = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, 2 * bands_out + 1, 1)
        )
        nn.init.zeros_(self.light[-1].weight)
        nn.init.zeros_(self.light[-1].bias)
        for part in (self.features, self.middle, self.spread, self.light):
            part.to(memory_format=torch.channels_last)  # faster convolutions on a CPU
        self.denoiser = Denoiser(channels, channels + bands_in * side**2, width, blocks)
        self.steps, self.sampler, self.start = steps, sampler, start
        self.likelihood, self.pinned = likelihood, pinned
        self.stamps, self.fits = stamps, fits
        self.prediction, self.weighting = prediction, weighting
        weight = torch.ones(bands_out, side**2)
        weight[:, 0] = emphasis
        self.register_buffer("weight", (weight / weight.mean()).view(-1, 1, 1), persistent=False)
        self.register_buffer("amplitudes", noise_schedule.amplitudes(prediction), persistent=False)

    def anchor(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Middle m of every pixel; of every frequency, standard deviation s and correlation rho.

        What is not known is a share of what is there: s is an exponential, at most one, times the
        root mean square of the middle in its block and band (plus one, that of all images). So a
        star that is brighter than any in the training has a spread that grows no faster than its
        light. Any two bands of a frequency have the same rho. Last come the features.
        """
        h, side = self.features(x), self.cosines.side
        middle, h = F.pixel_shuffle(self.middle(h).contiguous(), 2), signed_log(h)
        there = 1 + F.avg_pool2d(middle.detach().square(), side).sqrt()
        log, alike = self.spread(h).contiguous().tensor_split([-(side**2)], dim=1)
        share = log.clamp(*LOG_SIGMA).exp()
        spread = QUIETEST + share * there.repeat_interleave(side**2, dim=1)
        return middle, spread, ALIKE * alike.sigmoid(), h

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Return the middle alone: the best single guess."""
        return self.anchor(x)[0]

    def players(self) -> dict[str, OptimizerGroup]:
        """Return the anchor and the denoiser, each in its own part of the training."""

        def all_of(*parts):
            return [p for part in parts for p in part.parameters()]

        anchor = all_of(self.features, self.middle, self.spread)
        rest = all_of(self.denoiser)
        return {
            "anchor": OptimizerGroup(anchor, self.anchor_losses, end=self.start),
            "denoiser": OptimizerGroup(rest, self.denoiser_losses, self.start),
        }

    def anchor_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel and flux loss of the middle, two scores of both, and one of rho.

        With r = |C(y - m)|, <log s + sqrt(pi/2) r / s> is lowest where s = sqrt(pi/2) E[r], which
        for Gaussian errors is their standard deviation; a few bright pixels cannot upset it, as
        they would with r^2. Since r counts in units of s, it also keeps the source's noise out of
        the middle of a quiet sky, where the pixel loss would not notice it. But it hardly minds
        the rare block whose s is ten times too wide; the ranked probability score, which counts in
        units of the image, does. The correlation of bands is learnt by its own likelihood.
        """
        middle, spread, shared, _ = self.anchor(batch.source)
        error, seen = self.cosines(batch.wanted(middle) - middle), self.whole(batch.good)
        found = laplace_nll(error, spread, seen) + gaussian_crps(error, spread, seen)
        alike = band_correlation_nll(error / spread, shared, seen)
        terms = {"spread": self.likelihood * found, "bands": self.likelihood * alike}
        return {**pixel_loss(middle, batch), **terms}

    def tiles(self, middle, spread, features, flux) -> tuple[torch.Tensor, ...]:
        """How errors of pixels and of the light of a tile hang together, were pixels independent.

        Returns the variance V of every pixel's flux, (dF/dy)^2 var(y); the standard deviation
        U = sqrt(sum V) that a tile would then have; and the mean features of a tile, weighted by V.
        """
        step = 0.01  # of the stretch, whose square-root form makes this derivative exact
        slope = (flux(middle + step) - flux(middle - step)) / (2 * step)
        variance = slope.square() * self.cosines.variance(spread)
        unit = tile_sums(variance, TILE).sqrt()
        height, width = variance.shape[-2:]
        share = variance / broadcast_tiles(unit.square(), TILE, height, width)
        share = F.avg_pool2d(share.mean(dim=1, keepdim=True), 2) * 4
        return variance, unit, tile_sums(share * features, TILE // 2)

    def light_of(self, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """By how much the light of a tile is missed on the average, and its spread, in units U.

        Third is the correlation of what is missed in any two bands.
        """
        numbers, alike = self.light(seen).tensor_split([-1], dim=1)
        offset, log = numbers.chunk(2, dim=1)
        return offset, log.clamp(*LOG_FLUX).exp(), ALIKE * alike.sigmoid()

    def light_loss(self, seen, missed, good) -> torch.Tensor:
        """Likelihood of what is missed of the light, in units U."""
        offset, ratio, shared = self.light_of(seen)
        missed = missed - offset
        return laplace_nll(missed, ratio, good) + band_correlation_nll(missed / ratio, shared, good)

    def finish(self, draw: Callable) -> bool:
        """Fit the light to the tiles of whole stamps; the anchor no longer changes.

        Crops would not do: few of them show a galaxy in the middle of a tile, and at their edges,
        where the anchor cannot look further, it errs more than in the middle of a stamp.
        """
        if not self.pinned:
            return False
        batches, random = [], None
        while sum(len(seen) for seen, *_ in batches) < self.stamps:
            batch = draw(len(batches))
            batches.append(self.light_batch(batch))
            random = random or batch.generator
        tables = [torch.cat(column) for column in zip(*batches, strict=True)]

        def losses():
            for _ in range(self.fits):
                size, device = (FLUX_BATCH,), random.device
                rows = torch.randint(len(tables[0]), size, generator=random, device=device)
                yield self.light_loss(*(table[rows] for table in tables))

        adamw.descend(self.light, losses(), FLUX_RATE, self.fits)
        return True

    @torch.no_grad()
    def light_batch(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Return what `light_loss` takes, of stamps."""
        middle, spread, _, features = self.anchor(batch.source)
        _, unit, seen = self.tiles(middle, spread, features, batch.flux)
        missed = tile_sums(batch.flux(batch.wanted(middle)) - batch.flux(middle), TILE) / unit
        bad = torch.zeros_like(middle) if batch.good is None else (~batch.good).float()
        return seen, missed, tile_sums(bad, TILE) == 0

    def denoiser_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Weighted square error of the prediction at random times."""
        with torch.no_grad():
            middle, spread, shared, _ = self.anchor(batch.source)
        target, random = batch.wanted(middle), batch.generator
        z = correlate_bands(self.cosines(target - middle) / spread, shared, -0.5)
        options = {"generator": random, "device": z.device}
        times = noise_schedule.STEPS_OF_TIME
        t = distributed.random_shard(lambda n: torch.randint(times, n, **options), (len(z),))
        e = distributed.random_shard(lambda shape: torch.randn(shape, **options), z.shape)
        alpha, sigma = self.amplitudes[:, t, None, None, None]
        wanted = noise_schedule.training_target(self.prediction, z, e, alpha, sigma)
        weight = self.weight * noise_schedule.loss_weight(
            self.weighting, self.prediction, alpha, sigma
        )
        known = self.read(batch.source, middle)
        predicted = self.denoiser(alpha * z + sigma * e, known, t)
        error = masked_mean(weight * (predicted - wanted).square(), self.whole(batch.good))
        return {self.prediction: error}

    def whole(self, good: torch.Tensor | None) -> torch.Tensor | None:
        """Tell of every frequency whether all pixels of its block and band count."""
        if good is None:
            return None
        side = self.cosines.side
        blocks = F.avg_pool2d(good.float(), side) == 1
        return blocks.repeat_interleave(side**2, dim=1)

    def read(self, x: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
        """Read what the denoiser knows of the galaxy: frequencies of source and middle."""
        return self.denoiser.read(torch.cat([x, middle], dim=1), self.cosines)

    def drawer(self, x: torch.Tensor) -> Callable:
        """Draws are m + C^-1(s z), z being solved from white noise, and then given their light."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        middle, spread, shared, features = self.anchor(x)
        known = self.read(x, middle)
        pin = self.pinner(middle, spread, features) if self.pinned else None

        def predict(z, t):
            return self.denoiser(z, known, t.to(z.device).view(1))

        def drawn(noise):
            noise = pad_to_multiple(noise, self.multiple)
            plan = (self.sampler, self.steps, self.prediction)
            z = noise_schedule.sample(predict, self.cosines(noise), *plan)
            images = middle + self.cosines.inverse(spread * correlate_bands(z, shared))
            return (pin(images, noise) if pin else images)[..., :height, :width]

        return drawn

    def pinner(self, middle, spread, features) -> Callable:
        """Return what gives each tile of a draw the flux F* = F(m) + U (o + r n), n white noise.

        What is missing is spread over the pixels as the variance V of their flux is, which is
        what the best linear guess of Gaussian errors with a known sum would do.
        """
        scaling = getattr(self, "scaling", None)  # there is none before the training
        flux, stretch = (
            (scaling.target.inverse, scaling.target.forward) if scaling else (identity,) * 2
        )
        variance, unit, seen = self.tiles(middle, spread, features, flux)
        offset, ratio, shared = self.light_of(seen)
        guess, size = flux(middle), middle.shape[-2:]

        def pin(images, noise):
            light = flux(images)
            wanted = unit * (
                offset + ratio * correlate_bands(tile_sums(noise, TILE) / TILE, shared)
            )
            missing = wanted - tile_sums(light - guess, TILE)
            return stretch(light + variance * broadcast_tiles(missing / unit.square(), TILE, *size))

        return pin


def signed_log(h: torch.Tensor) -> torch.Tensor:
    """Logarithm of both signs, sign(h) ln(1 + |h|): h itself where that is small."""
    return h.sign() * h.abs().log1p()


def laplace_nll(error: torch.Tensor, spread: torch.Tensor, seen=None) -> torch.Tensor:
    """Mean of log s + sqrt(pi/2) |error| / s, lowest at the standard deviation of the error."""
    return masked_mean(spread.log() + math.sqrt(math.pi / 2) * error.abs() / spread, seen)


def gaussian_crps(error: torch.Tensor, spread: torch.Tensor, seen=None) -> torch.Tensor:
    """Mean continuous ranked probability score of a Gaussian of that spread: u = error / s,

    s (u erf(u / sqrt 2) + sqrt(2 / pi) exp(-u^2 / 2) - 1 / sqrt pi).
    """
    u = error / spread
    bell = math.sqrt(2 / math.pi) * torch.exp(-u.square() / 2)
    return masked_mean(
        spread * (u * torch.erf(u / math.sqrt(2)) + bell - 1 / math.sqrt(math.pi)), seen
    )


def band_correlation_nll(z: torch.Tensor, shared: torch.Tensor, seen=None) -> torch.Tensor:
    """Mean log-likelihood, sign turned, of the correlation of bands; z are errors over spreads."""
    bands = z.shape[1] // shared.shape[1]
    alone = correlate_bands(z.detach().clamp(-WILD, WILD), shared, -0.5)
    volume = ((1 + (bands - 1) * shared).log() + (bands - 1) * (1 - shared).log()) / bands
    return masked_mean((alone.square() + volume.repeat(1, bands, 1, 1)) / 2, seen)


def masked_mean(values: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
    """Mean of what was seen; None: of all."""
    return values.mean() if seen is None else (values * seen).sum() / seen.sum().clamp(min=1)


def identity(images: torch.Tensor) -> torch.Tensor:
    """Return what comes in: the stretch of a network that has none yet."""
    return images
