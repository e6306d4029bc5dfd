"""Conditional diffusion: draw a target image out of noise, given the source.

Two parts, trained one after the other. The *anchor* gives the middle m(x) of every pixel, and the
spread s(x) of what it gets wrong in every *frequency* of every block of p x p pixels (a cosine
transform C, orthonormal). What is left,

    z = C(y - m) / s,

has about variance one in the sky and in the centre, in fine grain and in the flux of a block. A
diffusion model learns its structure: with the cosine schedule

    z_t = alpha_t z + sigma_t e,     alpha_t^2 + sigma_t^2 = 1,     v = alpha_t e - sigma_t z,

a network predicts v from (z_t, x, m, t). White noise of unit variance has E[v | z_t] = 0, so even
an untrained network that says zero draws images with the right variance on every scale up to a
block; what it learns is how errors hang together. No sample is ever clipped: fluxes have no upper
end.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from galtools import processes
from galtools.models import register
from galtools.models.common import (
    Batch,
    Player,
    ResidualBlock,
    Translator,
    pad_to_multiple,
    pixel_loss,
)  # fmt: skip

STEPS_OF_TIME = 1000
SAMPLERS = ("ddim", "dpm++", "unipc")
QUIETEST = 0.002  # smallest spread, stretched units: without any, there is no likelihood
LOG_SPREAD = (-8.0, 4.0)  # range of the logarithm of the rest


def scheduler(name: str, steps: int):
    """Return a scheduler of diffusers for v-prediction on the cosine schedule, set to `steps`."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    shared = {
        "num_train_timesteps": STEPS_OF_TIME,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "v_prediction",
    }
    if name == "ddim":
        made = DDIMScheduler(**shared, clip_sample=False, timestep_spacing="trailing")
    elif name == "dpm++":
        made = DPMSolverMultistepScheduler(**shared, timestep_spacing="trailing")
    else:
        made = UniPCMultistepScheduler(**shared, timestep_spacing="trailing")
    made.set_timesteps(steps)
    return made


def cosine_alphas() -> torch.Tensor:
    """Return alpha_t^2 of the cosine schedule at each of the steps of time."""

    def bar(t):
        return math.cos((t / STEPS_OF_TIME + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - bar(t + 1) / bar(t), 0.999) for t in range(STEPS_OF_TIME)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0).float()


def solve(predict, noise: torch.Tensor, name: str = "dpm++", steps: int = 10) -> torch.Tensor:
    """Turn white noise into a sample; ``predict(z_t, t)`` gives v."""
    plan, z = scheduler(name, steps), noise
    for t in plan.timesteps:
        z = plan.step(predict(z, t), t, z).prev_sample
    return z


class Cosines(nn.Module):
    """Orthonormal cosine transform of blocks of p x p pixels; white noise stays white.

    With C_kj = sqrt((1 or 2) / p) cos(pi k (2 j + 1) / 2p), a block B becomes C B C^T: p^2
    frequencies of one pixel of a smaller image, the mean of the block first.
    """

    def __init__(self, side: int):
        """Write down the matrix."""
        super().__init__()
        self.side = side
        j, k = torch.arange(side), torch.arange(side)[:, None]
        matrix = torch.cos(math.pi * k * (2 * j + 1) / (2 * side)) * math.sqrt(2 / side)
        matrix[0] /= math.sqrt(2)
        self.register_buffer("matrix", torch.kron(matrix, matrix), persistent=False)

    def _mix(self, packed, matrix):
        n, _, height, width = packed.shape
        mixed = matrix @ packed.view(n, -1, self.side**2, height * width)
        return mixed.view(n, -1, height, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, bands, H, W) to frequencies (n, bands p^2, H/p, W/p)."""
        return self._mix(F.pixel_unshuffle(images, self.side), self.matrix)

    def inverse(self, frequencies: torch.Tensor) -> torch.Tensor:
        """Undo `forward`."""
        return F.pixel_shuffle(self._mix(frequencies, self.matrix.T), self.side)


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
        self.head = nn.Conv2d(channels + conditions, width, 1)
        self.time = nn.Sequential(nn.Linear(16, width), nn.GELU())

        def level(size):
            return nn.ModuleList(TimedBlock(size, width) for _ in range(blocks))

        self.fine, self.coarse, self.after = level(width), level(2 * width), level(width)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.tail = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, z: torch.Tensor, context: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict v from the noisy z (n, channels, h, w) at times t (n,), 0 <= t < 1000."""
        waves = t[:, None] / STEPS_OF_TIME * math.pi * torch.arange(1, 9, device=t.device)
        time = self.time(torch.cat([waves.sin(), waves.cos()], dim=1))
        h = self.head(torch.cat([z, context], dim=1))
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
    tiny={"width": 16, "blocks": 1, "side": 2, "steps": 3},
    quick={"width": 48, "blocks": 1},
    paper={"width": 128, "blocks": 4, "steps": 20},
)
class Diffusion(Translator):
    """Anchor (middle of every pixel, spread of every frequency), and a diffusion of the rest."""

    def __init__(
        self, bands_in, bands_out, width, blocks,
        side: int = 8, steps: int = 10, sampler: str = "dpm++", start: float = 0.42,
        likelihood: float = 0.3, emphasis: float = 64.0,
    ):  # fmt: skip
        """Make both parts; the share `start` of the training belongs to the anchor.

        `likelihood` weighs the likelihood in the anchor's loss, `emphasis` the mean of a block
        against any other of its frequencies in the denoiser's.
        """
        super().__init__()
        self.multiple, self.cosines = 2 * side, Cosines(side)
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * bands_in, width, 3, padding=1),
            *[ResidualBlock(width) for _ in range(2 * blocks + 1)],
        )
        self.middle = nn.Conv2d(width, 4 * bands_out, 3, padding=1)
        channels = bands_out * side**2
        self.spread = nn.Sequential(
            nn.Conv2d(width, width, side // 2, stride=side // 2),
            nn.GELU(),
            nn.Conv2d(width, channels, 1),
        )
        nn.init.zeros_(self.spread[-1].weight)
        nn.init.constant_(self.spread[-1].bias, -2.0)  # the sky is quiet
        self.denoiser = Denoiser(channels, channels + bands_in * side**2, width, blocks)
        self.steps, self.sampler, self.start = steps, sampler, start
        self.likelihood = likelihood
        weight = torch.ones(bands_out, side**2)
        weight[:, 0] = emphasis
        self.register_buffer("weight", (weight / weight.mean()).view(-1, 1, 1), persistent=False)
        self.register_buffer("alphas", cosine_alphas(), persistent=False)

    def middle_and_spread(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Middle m of every pixel and standard deviation s of every frequency, stretched units.

        The spread is the exponential of a function of the features' logarithm: beyond what was
        seen in the training it grows as a power of the light.
        """
        h = self.features(x)
        spread = QUIETEST + self.spread(torch.asinh(h)).clamp(*LOG_SPREAD).exp()
        return F.pixel_shuffle(self.middle(h), 2), spread

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Return the middle alone: the best single guess."""
        return self.middle_and_spread(x)[0]

    def players(self) -> dict[str, Player]:
        """Return the anchor and the denoiser, each in its own part of the training."""
        anchor = [
            p for part in (self.features, self.middle, self.spread) for p in part.parameters()
        ]
        return {
            "anchor": Player(anchor, self.anchor_losses, end=self.start),
            "denoiser": Player(list(self.denoiser.parameters()), self.denoiser_losses, self.start),
        }

    def anchor_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel and flux loss of the middle, and a Laplace likelihood of both parts.

        With r = |C(y - m)|, <log s + sqrt(pi/2) r / s> is lowest where s = sqrt(pi/2) E[r], which
        for Gaussian errors is their standard deviation; a few bright pixels cannot upset it, as
        they would with r^2. Since r counts in units of s, it also keeps the source's noise out of
        the middle of a quiet sky, where the pixel loss would not notice it.
        """
        middle, spread = self.middle_and_spread(batch.source)
        error = self.cosines(batch.target - middle).abs()
        likelihood = spread.log() + math.sqrt(math.pi / 2) * error / spread
        return {**pixel_loss(middle, batch), "spread": self.likelihood * likelihood.mean()}

    def denoiser_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Weighted mean square error of v at random times."""
        with torch.no_grad():
            middle, spread = self.middle_and_spread(batch.source)
        z, random = self.cosines(batch.target - middle) / spread, batch.generator
        options = {"generator": random, "device": z.device}
        t = processes.draw(lambda n: torch.randint(STEPS_OF_TIME, n, **options), (len(z),))
        alpha2 = self.alphas[t][:, None, None, None]
        e = processes.draw(lambda shape: torch.randn(shape, **options), z.shape)
        noisy = alpha2.sqrt() * z + (1 - alpha2).sqrt() * e
        v = alpha2.sqrt() * e - (1 - alpha2).sqrt() * z
        predicted = self.denoiser(noisy, self.context(batch.source, middle), t)
        return {"v": (self.weight * (predicted - v).square()).mean()}

    def context(self, x: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
        """What the denoiser knows of the galaxy: frequencies of source and middle."""
        return self.cosines(torch.cat([x, middle], dim=1))

    def sample(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Draw a target: m + C^-1(s z), with z solved from white noise."""
        height, width = x.shape[-2:]
        x, noise = (pad_to_multiple(images, self.multiple) for images in (x, noise))
        middle, spread = self.middle_and_spread(x)
        context = self.context(x, middle)

        def predict(z, t):
            return self.denoiser(z, context, t.to(z.device).expand(len(z)))

        z = solve(predict, self.cosines(noise), self.sampler, self.steps)
        return (middle + self.cosines.inverse(spread * z))[..., :height, :width]
