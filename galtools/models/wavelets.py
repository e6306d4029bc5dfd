"""An orthonormal wavelet transform of images: white noise stays white.

The wavelets are symlets with four vanishing moments (Daubechies 1992), smooth and nearly symmetric;
images are continued periodically, so that every even side is transformed exactly.
"""

from functools import cache

import torch

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
