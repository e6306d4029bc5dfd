"""What every translator shares: the interface to the training loop, losses and small blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CHUNK = {"cpu": 16}  # galaxies drawn at a time: more would fall out of the cache, and take longer
FLUX_BLOCK = 8  # pixels along a side of the blocks on which fluxes are compared


@dataclass
class Batch:
    """What one training step sees."""

    source: torch.Tensor  # (n, bands, h, w) stretched, on the target's grid
    target: torch.Tensor  # (n, bands, h, w) stretched
    flux: Callable  # stretched target units to nanomaggies
    stretch: Callable  # and back
    progress: float  # share of the training that is done, 0 to 1
    generator: torch.Generator  # all randomness of this step
    good: torch.Tensor | None = None  # (n, bands, h, w) true where the target counts; None: all

    def wanted(self, guess: torch.Tensor) -> torch.Tensor:
        """Target, and where it does not count the guess itself: no loss can blame it there."""
        return self.target if self.good is None else torch.where(self.good, self.target, guess)


class OptimizerGroup(NamedTuple):
    """A group of parameters and the loss that they lower; most models have just one."""

    parameters: list
    losses: Callable  # Batch -> {name: scalar tensor}, whose sum is lowered
    begin: float = 0.0  # share of the training at which it enters
    end: float = 1.0  # and at which it leaves; its learning rate rises and falls in between
    pace: float = 1.0  # its learning rate relative to that of the settings


def pixel_loss(predicted, batch: Batch) -> dict[str, torch.Tensor]:
    """Mean absolute error of stretched pixels, and of the flux in blocks of 8 x 8 pixels.

    The best guess under an absolute error is the median, and the median of a skewed pixel
    distribution is not its mean: fluxes would come out too low. The second term compares the
    *mean flux* F of blocks, stretched only after averaging,

        L = <|y' - y|> + <|f(F') - f(F)|>.

    Pixels of the target that do not count hold what was predicted, and add no error to either.
    """
    target = batch.wanted(predicted)

    def block_flux(stretched):
        return batch.stretch(F.avg_pool2d(batch.flux(stretched), FLUX_BLOCK))

    return {
        "pixel": F.l1_loss(predicted, target),
        "flux": F.l1_loss(block_flux(predicted), block_flux(target)),
    }


class Translator(nn.Module):
    """Base of all networks: stretched source (n, bands, H, W) to stretched target, same grid.

    A subclass gives `network`; it changes `players` if it is not trained by `pixel_loss` alone,
    `drawer` if it draws from a distribution, `prepare` or `finish` if something is fitted before
    the training or after it.
    """

    multiple = 1  # the network needs sides that are a multiple of this
    smallest = 1  # and at least this long
    lattice = 1  # corners of its training crops are multiples of so many pixels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate; sides of any length are padded by reflection and cut again."""
        height, width = x.shape[-2:]
        return self.network(pad_to_multiple(x, self.multiple))[..., :height, :width]

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Translate images whose sides are a multiple of `multiple`."""
        raise NotImplementedError

    def prepare(self, pairs) -> None:
        """Fit buffers to the training pairs, once and before the first step."""

    def finish(self, draw: Callable) -> bool:
        """Fit what is left once the training is over, and tell whether there was anything.

        ``draw(k)`` gives the k-th `Batch` of whole stamps.
        """
        return False

    def players(self) -> dict[str, OptimizerGroup]:
        """Name what is trained and on which loss; in each step every player moves once."""
        return {"translator": OptimizerGroup(list(self.parameters()), self.losses)}

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Terms whose sum is lowered."""
        return pixel_loss(self(batch.source), batch)

    def drawer(self, x: torch.Tensor) -> Callable:
        """Return the function that turns white noise of the output's shape into translations of x.

        What all draws of x have in common is worked out here, once.
        """
        answer = self(x)
        return lambda noise: answer

    def sample(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Draw one translation of x; all but the white `noise` is determined."""
        return self.drawer(x)(noise)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Extend (n, bands, H, W) to the right and below, by reflection, to multiples of a length."""
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if below == right == 0:
        return x
    return F.pad(x, (0, right, 0, below), mode="reflect")


def galaxy_noise(shape: tuple, seed: int, numbers, device) -> torch.Tensor:
    """White noise (len(numbers), *shape): that of galaxy k follows from (seed, k) alone."""
    noise = torch.empty(len(numbers), *shape)
    for row, number in zip(noise, numbers, strict=True):
        own = (int(seed) * 1_000_000_007 + int(number)) % 2**63
        row.normal_(generator=torch.Generator().manual_seed(own))
    return noise.to(device)


@torch.no_grad()
def sample_images(network, scaling, images, seeds=(0,), start: int = 0, chunk: int = 0):
    """Yield draws of each image, (chunk, seeds, bands, H', W') nanomaggies on the target's grid.

    `images` (n, bands, H, W) nanomaggies is sliced `chunk` galaxies at a time, or as many as suit
    the device; `start` is the number of the first one, which together with each of the `seeds`
    decides its noise.
    """
    device = next(iter(network.state_dict().values()), torch.empty(0)).device
    chunk = chunk or CHUNK.get(device.type, 64)
    for first in range(0, len(images), chunk):
        x = scaling.enter(torch.as_tensor(images[first : first + chunk], device=device))
        shape = (len(scaling.target.scale), *x.shape[-2:])
        numbers = range(start + first, start + first + len(x))
        drawn = network.drawer(x)
        yield np.stack(
            [
                scaling.leave(drawn(galaxy_noise(shape, seed, numbers, device))).cpu().numpy()
                for seed in seeds
            ],
            axis=1,
        )


class ResidualBlock(nn.Module):
    """h + conv(GELU(conv(h))), 3 x 3 each; begins as the identity."""

    def __init__(self, width: int):
        """Make both convolutions; the second starts at zero."""
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Add what the two convolutions find."""
        return h + self.second(F.gelu(self.first(h)))


def count_parameters(network: nn.Module) -> int:
    """Count the trainable numbers."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
