"""An orthonormal wavelet transform of images, and the whitening of errors in it.

The wavelets are symlets with four vanishing moments (Daubechies 1992), smooth and nearly symmetric;
images are continued periodically, so that every even side is transformed exactly.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models.base import autocast

FAINT = 1e-4  # power, far below the sky's, added before logarithms
GAIN = 5.0  # of the perceptrons' outputs: at the learning rate of the mean they would lag behind it

SYMLET = (  # low-pass filter
    *(-0.07576571478927333, -0.02963552764599851, 0.49761866763201545, 0.8037387518059161),
    *(0.29785779560527736, -0.09921954357684722, -0.012603967262037833, 0.0322231006040427),
)


@cache
def wavelet_matrix(n: int, device: torch.device | None = None) -> torch.Tensor:
    """Orthonormal matrix (n, n): its first n/2 rows are low passes, the others high passes."""
    low, sign = torch.tensor(SYMLET), torch.tensor([1.0, -1.0] * 4)
    matrix = torch.zeros(2, n // 2, n)
    for row in range(n // 2):
        for k in range(8):
            matrix[0, row, (2 * row + k - 3) % n] += low[k]
            matrix[1, row, (2 * row + k - 3) % n] += sign[k] * low[7 - k]
    return matrix.flatten(0, 1).to(device)


def _matrices(like: torch.Tensor):
    return (wavelet_matrix(n, like.device) for n in like.shape[-2:])


def analyse(images: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Coefficients of images (n, bands, H, W): details (n, bands, 3, H/2, W/2), (..., H/4, W/4) ...

    The last of them is the approximation, (n, bands, 1, h, w). There are fewer levels where a side
    has not that many factors of 2.
    """
    found = []
    while len(found) < levels and not any(n % 2 for n in images.shape[-2:]):
        rows, columns = _matrices(images)
        parts = (rows @ images @ columns.T).unflatten(-2, (2, -1)).unflatten(-1, (2, -1))
        parts = parts.movedim(-2, -3).flatten(-4, -3)  # low low, low high, high low, high high
        images = parts[..., 0, :, :]
        found.append(parts[..., 1:, :, :])
    return [*found, images.unsqueeze(2)]


def synthesise(coefficients: list[torch.Tensor]) -> torch.Tensor:
    """Undo `analyse`."""
    *details, images = coefficients
    images = images.squeeze(2)
    for detail in reversed(details):
        parts = torch.cat([images.unsqueeze(2), detail], dim=2).unflatten(2, (2, 2))
        images = parts.movedim(-3, -2).flatten(-4, -3).flatten(-2, -1)
        rows, columns = _matrices(images)
        images = rows.T @ images @ columns
    return images


class Whitening(nn.Module):
    """Gaussian of the errors about a mean image m, which it transforms to white noise and back.

    Wavelet coefficients c of the errors are independent, their bands correlated. On each scale a
    perceptron finds the widths s of the bands and a unit lower triangle A, such that

        z = A (c / s)

    is white, from the rms of the coefficients of m at the same place and that of its pixels there.
    """

    def __init__(self, bands: int, levels: int, hidden: int = 32):
        """Make the perceptrons; they begin with independent bands of equal width."""
        super().__init__()
        self.levels = levels
        outputs = bands + bands**2
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * bands, hidden, 1), nn.GELU(), nn.Conv2d(hidden, outputs, 1))
            for _ in range(levels + 1)
        )
        for *_, last in self.scales:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def factors(self, mean: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Widths (n, bands, 1, h, w) and triangles (n, h, w, bands, bands), scale by scale."""
        coefficients = analyse(mean, self.levels)
        scales = [*self.scales[: len(coefficients) - 1], self.scales[-1]]  # small images lack some
        return [self._factors(*pair, mean) for pair in zip(scales, coefficients, strict=True)]

    def _factors(self, perceptron, coefficients, mean):
        bands = mean.shape[1]
        brightness = F.avg_pool2d(mean.square(), mean.shape[-1] // coefficients.shape[-1])
        seen = torch.cat([coefficients.square().mean(dim=2), brightness], dim=1)
        found = GAIN * perceptron((seen + FAINT).log() / 2).movedim(1, -1)
        widths = found[..., :bands].exp().movedim(-1, 1).unsqueeze(2)
        below = found[..., bands:].unflatten(-1, (bands, bands)).tril(-1)
        return widths, below + torch.eye(bands, device=mean.device)

    def _white(self, errors: torch.Tensor, factors) -> list[torch.Tensor]:
        coefficients = zip(analyse(errors, self.levels), factors, strict=True)
        return [torch.einsum("nhwij,njkhw->nikhw", a, c / s) for c, (s, a) in coefficients]

    def whiten(self, errors: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """White images of errors (n, bands, H, W) about the mean."""
        with autocast(mean.device, enabled=False):
            return synthesise(self._white(errors, self.factors(mean)))

    def colour(self, white: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Undo `whiten`."""
        with autocast(mean.device, enabled=False):
            found = []
            for z, (s, a) in zip(analyse(white, self.levels), self.factors(mean), strict=True):
                columns = z.permute(0, 3, 4, 1, 2)
                c = torch.linalg.solve_triangular(a, columns, upper=False, unitriangular=True)
                found.append(s * c.permute(0, 3, 4, 1, 2))
            return synthesise(found)

    def loss(self, errors: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Negative log likelihood <ln s + sqrt(pi / 2) |z|>, mean over the scales.

        That of Laplace's distribution is least where Gaussian errors become white, too, and minds
        outliers less.
        """
        with autocast(mean.device, enabled=False):
            factors = self.factors(mean)
            nll = [
                s.log().mean() + math.sqrt(math.pi / 2) * z.abs().mean()
                for z, (s, _) in zip(self._white(errors, factors), factors, strict=True)
            ]
        return torch.stack(nll).mean()
