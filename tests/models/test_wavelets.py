"""Wavelets: orthonormal, exact, and blind to what is smooth; whitening of known Gaussians."""

import pytest
import torch

from galtools.models.wavelets import GAIN, Whitening, analyse, synthesise, wavelet_matrix


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


COVARIANCE = torch.tensor([[0.5, 0.3, 0.1], [0.3, 0.4, 0.2], [0.1, 0.2, 0.9]])  # of three bands


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def known_whitening() -> Whitening:
    """Whitening of coefficients whose bands have `COVARIANCE` on every scale, whatever the mean."""
    whitening = Whitening(3, 2)
    root = torch.linalg.cholesky(COVARIANCE)  # z = root^-1 c = A (c / s), where s is its diagonal
    triangle = torch.linalg.inv(root) @ torch.diag(root.diagonal())
    with torch.no_grad():
        for *_, last in whitening.scales:
            last.bias.copy_(torch.cat([root.diagonal().log(), triangle.flatten()]) / GAIN)
    return whitening


def correlated(n: int) -> torch.Tensor:
    return torch.einsum("ij,njhw->nihw", torch.linalg.cholesky(COVARIANCE), random(n, 3, 32, 32))


def covariances(images: torch.Tensor) -> list[torch.Tensor]:
    return [torch.cov(c.transpose(0, 1).flatten(1)) for c in analyse(images, 2)]


def test_a_correlated_gaussian_becomes_white_and_white_noise_becomes_it():
    whitening, mean = known_whitening(), random(40, 3, 32, 32, seed=1)
    with torch.no_grad():
        white = covariances(whitening.whiten(correlated(40), mean))
        coloured = covariances(whitening.colour(random(40, 3, 32, 32), mean))
    for found in white:
        assert torch.allclose(found, torch.eye(3), atol=0.06)
    for found in coloured:
        assert torch.allclose(found, COVARIANCE, atol=0.06)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 16), (16, 8)])
def test_whitening_is_undone_by_colouring(height, width):
    torch.manual_seed(0)
    whitening = Whitening(5, 4)
    for *_, last in whitening.scales:
        torch.nn.init.normal_(last.weight, 0, 0.02)
    errors, mean = random(2, 2, 5, height, width)
    with torch.no_grad():
        white = whitening.whiten(errors, mean)
        assert torch.allclose(whitening.colour(white, mean), errors, atol=1e-4)
        assert not torch.allclose(white, errors, atol=0.1)


def test_the_likelihood_is_stationary_where_gaussian_errors_become_white():
    """Errors wider by 1 + e have a gradient -e by ln s; by A it is 0 as long as z is white."""
    whitening, mean = known_whitening(), torch.zeros(200, 3, 32, 32)
    biases = [last.bias for *_, last in whitening.scales]
    for factor in (1.0, 1.2):
        loss = whitening.loss(factor * correlated(200), mean)
        gradients = torch.stack(torch.autograd.grad(loss, biases)).sum(dim=0) / GAIN
        assert torch.allclose(gradients[:3], torch.full((3,), (1 - factor) / 3), atol=0.01)
        assert gradients[3:].abs().max() < 0.01


def test_widths_are_fitted_to_the_sky_and_to_errors_in_proportion_to_the_structure():
    """Errors of rms (0.1^2 + (0.3 d)^2)^(1/2) where the mean has coefficients of rms d."""
    torch.manual_seed(0)
    whitening = Whitening(1, 1)
    bright = torch.logspace(-3, 1, 100)[:, None, None, None] * random(100, 1, 32, 32)
    rms = [c.square().mean(dim=2, keepdim=True) for c in analyse(bright, 1)]
    known = [(0.01 + 0.09 * power).sqrt() for power in rms]
    noise = analyse(random(100, 1, 32, 32, seed=1), 1)
    errors = synthesise([s * c for s, c in zip(known, noise, strict=True)])
    optimizer = torch.optim.Adam(whitening.parameters(), 0.005)
    for _ in range(150):
        optimizer.zero_grad()
        whitening.loss(errors, bright).backward()
        optimizer.step()
    for width, (found, _) in zip(known, whitening.factors(bright), strict=True):
        assert (found / width).log().square().mean().sqrt() < 0.1
