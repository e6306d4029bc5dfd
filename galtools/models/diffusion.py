"""Conditional diffusion: draw a target image out of noise, given the source.

Two parts, trained one after the other. The *anchor* gives middle m(x) and spread s(x) of every
pixel. What is left, z = (y - m) / s, has about mean zero and variance one everywhere, and a
diffusion model learns its structure: with the cosine schedule

    z_t = alpha_t z + sigma_t e,     alpha_t^2 + sigma_t^2 = 1,     v = alpha_t e - sigma_t z,

a network predicts v from (z_t, x, m, t). White noise of unit variance has E[v | z_t] = 0, so even
an untrained network that says zero draws images with the right variance in every pixel; what it
learns is how errors hang together. No sample is ever clipped: fluxes have no upper end.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from galtools import processes
from galtools.models import register
from galtools.models.common import Batch, Player, ResidualBlock, Translator, pixel_loss

STEPS_OF_TIME = 1000
SAMPLERS = ("ddim", "dpm++", "unipc")
QUIETEST = 0.005  # smallest spread, stretched units: without any, there is no likelihood


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
    """Two-level U-Net on packed pixels that predicts v; begins by saying zero."""

    def __init__(self, bands: int, conditions: int, width: int, blocks: int):
        """Make it for images of `bands` with `conditions` channels of context."""
        super().__init__()
        self.head = nn.Conv2d(4 * (bands + conditions), width, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(16, width), nn.GELU())

        def level():
            return nn.ModuleList(TimedBlock(width, width) for _ in range(blocks))

        self.fine, self.coarse, self.after = level(), level(), level()
        self.down = nn.Conv2d(width, width, 2, stride=2)
        self.up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.tail = nn.Conv2d(width, 4 * bands, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, z: torch.Tensor, context: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict v from the noisy z (n, bands, H, W) at times t (n,), 0 <= t < 1000."""
        waves = t[:, None] / STEPS_OF_TIME * math.pi * torch.arange(1, 9, device=t.device)
        time = self.time(torch.cat([waves.sin(), waves.cos()], dim=1))
        h = self.head(F.pixel_unshuffle(torch.cat([z, context], dim=1), 2))
        for block in self.fine:
            h = block(h, time)
        low = self.down(h)
        for block in self.coarse:
            low = block(low, time)
        h = h + self.up(low)
        for block in self.after:
            h = block(h, time)
        return F.pixel_shuffle(self.tail(h), 2)


@register(
    "diffusion",
    tiny={"width": 16, "blocks": 1, "steps": 3},
    quick={"width": 48, "blocks": 1},
    paper={"width": 128, "blocks": 4, "steps": 20},
)
class Diffusion(Translator):
    """Anchor (mean and spread of every pixel) and a diffusion of what it leaves."""

    multiple = 4

    def __init__(
        self, bands_in, bands_out, width, blocks,
        steps: int = 10, sampler: str = "dpm++", start: float = 0.6,
    ):  # fmt: skip
        """Make both parts; the share `start` of the training belongs to the anchor."""
        super().__init__()
        self.anchor = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * bands_in, width, 3, padding=1),
            *[ResidualBlock(width) for _ in range(2 * blocks + 1)],
            nn.Conv2d(width, 8 * bands_out, 3, padding=1),
            nn.PixelShuffle(2),
        )
        nn.init.constant_(self.anchor[-2].bias[4 * bands_out :], -3.0)  # the sky is quiet
        self.denoiser = Denoiser(bands_out, bands_in + bands_out, width, blocks)
        self.steps, self.sampler, self.start = steps, sampler, start
        self.register_buffer("alphas", cosine_alphas(), persistent=False)

    def mean_and_spread(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean m and standard deviation s of every pixel, stretched units."""
        mean, raw = self.anchor(x).chunk(2, dim=1)
        return mean, QUIETEST + F.softplus(raw)  # grows no faster than the light itself

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean alone: the best single guess."""
        return self.mean_and_spread(x)[0]

    def players(self) -> dict[str, Player]:
        """Return the anchor and the denoiser, each in its own part of the training."""
        return {
            "anchor": Player(list(self.anchor.parameters()), self.anchor_losses, end=self.start),
            "denoiser": Player(list(self.denoiser.parameters()), self.denoiser_losses, self.start),
        }

    def anchor_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel and flux loss of the mean, and a Laplace likelihood of the spread.

        With r = |y - m|, <log s + sqrt(pi/2) r / s> is lowest where s = sqrt(pi/2) E[r], which for
        Gaussian errors is their standard deviation; a few bright pixels cannot upset it, as they
        would with r^2. Each pixel is weighed by its s (a constant for the slopes).
        """
        mean, spread = self.mean_and_spread(batch.source)
        error = (batch.target - mean.detach()).abs()
        likelihood = spread.log() + math.sqrt(math.pi / 2) * error / spread
        weighed = (spread.detach() * likelihood).mean()
        return {**pixel_loss(mean, batch), "spread": weighed}

    def denoiser_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Mean square error of v at random times."""
        with torch.no_grad():
            mean, spread = self.mean_and_spread(batch.source)
        z = (batch.target - mean) / spread
        random = {"generator": batch.generator, "device": z.device}
        t = processes.draw(lambda n: torch.randint(STEPS_OF_TIME, n, **random), (len(z),))
        alpha2 = self.alphas[t][:, None, None, None]
        e = processes.draw(lambda shape: torch.randn(shape, **random), z.shape)
        noisy = alpha2.sqrt() * z + (1 - alpha2).sqrt() * e
        v = alpha2.sqrt() * e - (1 - alpha2).sqrt() * z
        predicted = self.denoiser(noisy, torch.cat([batch.source, mean], dim=1), t)
        return {"v": F.mse_loss(predicted, v)}

    def sample(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Draw a target: m + s z, with z solved from white noise."""
        mean, spread = self.mean_and_spread(x)
        context = torch.cat([x, mean], dim=1)

        def predict(z, t):
            return self.denoiser(z, context, t.to(z.device).expand(len(z)))

        return mean + spread * solve(predict, noise, self.sampler, self.steps)
