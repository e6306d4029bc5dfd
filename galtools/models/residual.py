"""The simplest trained translator: a stack of residual blocks on packed pixels.

    h_0 = conv(pack(x)),
    h_{k+1} = h_k + conv(GELU(conv(h_k))),
    y = unpack(conv(h_K) + conv(h_0))

`pack` (pixel-unshuffle) turns each 2 x 2 block of pixels into channels. Nothing is lost, each
convolution costs a quarter, and one 3 x 3 kernel spans six pixels.
"""

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models import register
from galtools.models.base import ResidualBlock, Translator


@register(
    "residual",
    tiny={"width": 16, "blocks": 1},
    quick={"width": 48, "blocks": 3},
    paper={"width": 128, "blocks": 12, "pack": 2},
)
class Residual(Translator):
    """`blocks` residual blocks of `width` channels on pack x pack packed pixels."""

    def __init__(self, bands_in: int, bands_out: int, width: int, blocks: int, pack: int = 2):
        super().__init__()
        self.multiple = pack
        self.head = nn.Conv2d(bands_in * pack**2, width, 3, padding=1)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.tail = nn.Conv2d(width, bands_out * pack**2, 3, padding=1)
        self.skip = nn.Conv2d(width, bands_out * pack**2, 1)

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        h = self.head(F.pixel_unshuffle(x, self.multiple))
        return F.pixel_shuffle(self.tail(self.body(h)) + self.skip(h), self.multiple)
