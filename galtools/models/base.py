"""What every translator shares: the interface to the training loop, the pixel loss and blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CHUNK = {"cpu": 16}  # galaxies translated at a time: more would not fit into the CPU's cache
FLUX_BLOCK = 8  # pixels along a side of the blocks on which fluxes are compared


@dataclass
class Batch:
    """What one training step sees."""

    source: torch.Tensor  # (n, bands, h, w) stretched, on the target's grid
    target: torch.Tensor  # (n, bands, h, w) stretched
    flux: Callable  # stretched target units to nanomaggies
    stretch: Callable  # and back
    progress: float  # fraction of the training that is done, 0 to 1
    generator: torch.Generator  # all randomness of this step
    good: torch.Tensor | None = None  # (n, bands, h, w) true where the target is valid; None: all
    shard: tuple[int, int] = (0, 1)  # rank and number of the processes that share the batch

    def valid_target(self, prediction: torch.Tensor) -> torch.Tensor:
        """Target, replaced by the prediction in masked pixels, so that these add no loss."""
        return self.target if self.good is None else torch.where(self.good, self.target, prediction)

    def random(self, make: Callable, shape) -> torch.Tensor:
        """Random numbers for this process's galaxies, whatever the number of processes.

        ``make(shape)`` is called for the whole batch, of which each process keeps its shard.
        """
        rank, world_size = self.shard
        return make((shape[0] * world_size, *shape[1:]))[rank::world_size]


class OptimizerGroup(NamedTuple):
    """Parameters and the loss that they minimise; a GAN has two groups, most models have one."""

    parameters: list
    losses: Callable  # Batch -> {name: scalar tensor}, whose sum is minimised
    begin: float = 0.0  # fraction of the training at which it starts to learn
    end: float = 1.0  # and at which it stops; the schedule of the learning rate lies in between
    lr_scale: float = 1.0  # its learning rate relative to that of the settings


def pixel_loss(predicted, batch: Batch) -> dict[str, torch.Tensor]:
    """Mean absolute error of stretched pixels, and of the flux in blocks of 8 x 8 pixels.

    An absolute error is minimised by the median, and the median of a skewed pixel distribution is
    not its mean: fluxes would be too low. The second term compares the *mean flux* F of blocks,
    stretched only after averaging,

        L = <|y' - y|> + <|f(F') - f(F)|>.

    Masked pixels of the target are set to the prediction, and add no error to either.
    """
    target = batch.valid_target(predicted)

    def block_flux(stretched):
        return batch.stretch(F.avg_pool2d(batch.flux(stretched), FLUX_BLOCK))

    return {
        "pixel": F.l1_loss(predicted, target),
        "flux": F.l1_loss(block_flux(predicted), block_flux(target)),
    }


class Translator(nn.Module):
    """Base of all networks: stretched source (n, bands, H, W) to stretched target, same grid.

    A subclass gives `network`. It overrides `optimizer_groups` or `losses` if it is not trained by
    `pixel_loss` alone, `sampler` if it samples from a distribution, and `prepare` if something is
    fitted before the training.
    """

    multiple = 1  # the network needs sides that are a multiple of this

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate, in float32; sides of any length are padded by reflection and cut again."""
        height, width = x.shape[-2:]
        return self.network(pad_to_multiple(x, self.multiple))[..., :height, :width].float()

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Translate images whose sides are a multiple of `multiple`."""
        raise NotImplementedError

    def prepare(self, pairs) -> None:
        """Fit buffers to the training pairs, once and before the first step."""

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """Named groups of parameters; in each step every group is updated once."""
        return {"translator": OptimizerGroup(list(self.parameters()), self.losses)}

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Terms whose sum is minimised."""
        return pixel_loss(self(batch.source), batch)

    def sampler(self, x: torch.Tensor) -> Callable:
        """Return a function from white noise of the output's shape to translations of x.

        What all samples of x have in common is computed here, once.
        """
        translated = self(x)
        return lambda noise: translated


def has_bfloat16(device) -> bool:
    """Whether a device computes in bfloat16 rather than only storing it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported()
    return any(map(torch.cpu.get_capabilities().get, ("avx512_bf16", "amx_bf16")))


def autocast(device, enabled: bool | None = None) -> torch.autocast:
    """Context in which networks compute in bfloat16: if `enabled`, by default if the device can."""
    kind, enabled = torch.device(device).type, has_bfloat16(device) if enabled is None else enabled
    return torch.autocast("cpu" if kind == "meta" else kind, torch.bfloat16, enabled=enabled)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Extend (n, bands, H, W) to the right and below, by reflection, to multiples of a length."""
    below, right = (-length % multiple for length in x.shape[-2:])
    return F.pad(x, (0, right, 0, below), mode="reflect") if below or right else x


def galaxy_noise(shape: tuple, seed: int, numbers, device) -> torch.Tensor:
    """White noise (len(numbers), *shape): that of galaxy k follows from (seed, k) alone."""
    noise = torch.empty(len(numbers), *shape)
    for row, number in zip(noise, numbers, strict=True):
        own = (int(seed) * 1_000_000_007 + int(number)) % 2**63
        row.normal_(generator=torch.Generator().manual_seed(own))
    return noise.to(device)


@torch.no_grad()
def sample_images(network, scaling, images, seeds=(0,), start: int = 0):
    """Yield samples of each image, (chunk, seeds, bands, H', W') nanomaggies on the target's grid.

    `images` (n, bands, H, W) nanomaggies is sliced a few galaxies at a time; `start` is the number
    of the first one, which together with each of the `seeds` determines its noise.
    """
    device = next(iter(network.state_dict().values()), torch.empty(0)).device
    chunk = CHUNK.get(device.type, 64)
    for first in range(0, len(images), chunk):
        x = scaling.normalize(torch.as_tensor(images[first : first + chunk], device=device))
        shape = (len(scaling.target.scale), *x.shape[-2:])
        numbers = range(start + first, start + first + len(x))
        sampler = network.sampler(x)
        noises = (galaxy_noise(shape, seed, numbers, device) for seed in seeds)
        yield np.stack(
            [scaling.denormalize(sampler(noise)).cpu().numpy() for noise in noises], axis=1
        )


class ResidualBlock(nn.Module):
    """h + conv(GELU(conv(h))), 3 x 3 each; begins as the identity."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Add the residual."""
        return h + self.second(F.gelu(self.first(h)))


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
