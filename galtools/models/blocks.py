"""Linear maps of images: block cosine transform, correlation between bands, sums over tiles."""

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
        """Compute the matrix."""
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

    def variance(self, sigma: torch.Tensor) -> torch.Tensor:
        """Variance of each pixel, sum_k C_kj^2 s_k^2, of independent frequencies."""
        return F.pixel_shuffle(self._mix(sigma.square(), self.matrix.square().T), self.side)


def correlate_bands(z: torch.Tensor, rho: torch.Tensor, power: float = 0.5) -> torch.Tensor:
    """Correlate independent samples across B bands; power -1/2 undoes it.

    z (n, B k, h, w) and the correlation `rho` (n, k, h, w) between any two bands: the mean over
    bands has the variance 1 + (B - 1) rho, deviations from it 1 - rho.
    """
    z = z.unflatten(1, (-1, rho.shape[1]))
    mean, bands, rho = z.mean(dim=1, keepdim=True), z.shape[1], rho[:, None]
    common, apart = (1 + (bands - 1) * rho) ** power, (1 - rho) ** power
    return (common * mean + apart * (z - mean)).flatten(1, 2)


def tile_sums(images: torch.Tensor, side: int) -> torch.Tensor:
    """Sums (n, bands, k, k) over tiles of side x side pixels, one of them central: k is odd.

    Tiles at the edges are cut by the image.
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
    """Pixels of each tile along an axis: whole ones around the centre, the rest at the ends."""
    if length <= side:
        return [length]
    whole = 2 * ((length - side) // (2 * side)) + 1
    spare = length - whole * side
    ends = [spare - spare // 2, spare // 2] if spare else []
    return [*ends[:1], *[side] * whole, *ends[1:]]
