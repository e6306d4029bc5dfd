"""Blocks of pixels and their frequencies, tiles and their light: plain linear maps of images."""

import math

import torch
import torch.nn.functional as F
from torch import nn


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

    def variance(self, spread: torch.Tensor) -> torch.Tensor:
        """Variance of each pixel, sum_k C_kj^2 s_k^2, if the frequencies were independent."""
        return F.pixel_shuffle(self._mix(spread.square(), self.matrix.square().T), self.side)


def tile_sums(images: torch.Tensor, side: int) -> torch.Tensor:
    """Sums (n, bands, k, k) over tiles of side x side pixels, one of them in the middle: k is odd.

    What lies beyond the image is dark.
    """
    (top, below), (left, right) = (_margins(length, side) for length in images.shape[-2:])
    return side**2 * F.avg_pool2d(F.pad(images, (left, right, top, below)), side)


def over_tiles(values: torch.Tensor, side: int, height: int, width: int) -> torch.Tensor:
    """Give every pixel of an image (n, bands, height, width) the value of its tile."""
    (top, _), (left, _) = (_margins(length, side) for length in (height, width))
    pixels = F.interpolate(values, scale_factor=side, mode="nearest")
    return pixels[..., top : top + height, left : left + width]


def _margins(length: int, side: int) -> tuple[int, int]:
    spare = (-(-length // side) | 1) * side - length
    return spare // 2, spare - spare // 2
