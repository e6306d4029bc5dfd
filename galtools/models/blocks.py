"""Blocks of pixels and their frequencies, tiles and their light: plain linear maps of images."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class BlockDCT(nn.Module):
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


def correlate_bands(z: torch.Tensor, shared: torch.Tensor, power: float = 0.5) -> torch.Tensor:
    """Make numbers of B bands that are independent hang together; power -1/2 undoes it.

    z (n, B k, h, w) and its correlation rho = `shared` (n, k, h, w) between any two bands: what
    bands have in common has the variance 1 + (B - 1) rho, what sets them apart 1 - rho.
    """
    z = z.unflatten(1, (-1, shared.shape[1]))
    common, bands, shared = z.mean(dim=1, keepdim=True), z.shape[1], shared[:, None]
    alike, apart = (1 + (bands - 1) * shared) ** power, (1 - shared) ** power
    return (alike * common + apart * (z - common)).flatten(1, 2)


def tile_sums(images: torch.Tensor, side: int) -> torch.Tensor:
    """Sums (n, bands, k, k) over tiles of side x side pixels, one of them in the middle: k is odd.

    What lies beyond the image is dark.
    """
    for axis in (-2, -1):
        parts = images.split(_lengths(images.shape[axis], side), dim=axis)
        images = torch.stack([part.sum(dim=axis) for part in parts], dim=axis)
    return images


def broadcast_tiles(values: torch.Tensor, side: int, height: int, width: int) -> torch.Tensor:
    """Give every pixel of an image (n, bands, height, width) the value of its tile."""
    for axis, length in ((-2, height), (-1, width)):
        lengths = torch.tensor(_lengths(length, side), device=values.device)
        values = values.repeat_interleave(lengths, dim=axis, output_size=length)
    return values


def _lengths(length: int, side: int) -> list[int]:
    """Pixels of each tile along an axis: whole ones around the middle, what is left at the ends."""
    if length <= side:
        return [length]
    whole = 2 * ((length - side) // (2 * side)) + 1
    spare = length - whole * side
    ends = [spare - spare // 2, spare // 2] if spare else []
    return [*ends[:1], *[side] * whole, *ends[1:]]
