"""Wavelets: orthonormal, exact, and blind to what is smooth."""

import pytest
import torch

from galtools.models.wavelets import analyse, synthesise, wavelet_matrix


@pytest.mark.parametrize("n", [2, 4, 16, 68])
def test_matrix_is_orthonormal(n):
    matrix = wavelet_matrix(n).double()
    assert torch.allclose(matrix @ matrix.T, torch.eye(n, dtype=torch.float64), atol=1e-5)


def test_details_of_a_gradient_vanish_inside_and_a_constant_is_its_approximation():
    gradient = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 1, 64, 64)
    detail = analyse(gradient, 1)[0]
    assert detail[..., 4:-4, 4:-4].abs().max() < 1e-3
    *details, mean = analyse(torch.full((1, 1, 64, 64), 3.0), 3)
    assert max(float(d.abs().max()) for d in details) < 1e-4
    assert torch.allclose(mean, torch.tensor(3.0 * 8))  # 2 a level


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 16), (8, 12)])
def test_images_come_back_and_their_energy_is_kept(height, width):
    images = torch.randn(2, 5, height, width)
    coefficients = analyse(images, 4)
    assert torch.allclose(synthesise(coefficients), images, atol=1e-5)
    energy = sum(c.square().sum() for c in coefficients)
    assert energy.item() == pytest.approx(images.square().sum().item(), rel=1e-5)
    assert sum(c.numel() for c in coefficients) == images.numel()
