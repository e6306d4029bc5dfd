"""Photometry where the answer is known; and nowhere is any of it written a second time."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from galtools.data import photometry

ROOT = Path(__file__).resolve().parents[2]
SCALE = 0.396


def gaussian(sigma=5.0, size=64):
    """One round Gaussian of flux 1, (1, 1, size, size)."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    image = np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    return (image / image.sum())[None, None]


def points(n=50, flux=10.0, size=32, seed=0):
    """Point-like galaxies in five bands, and their fluxes (n, 5)."""
    images = np.zeros((n, 5, size, size))
    flux = flux * np.random.default_rng(seed).uniform(1, 3, (n, 5))
    images[..., size // 2, size // 2] = flux
    return images, flux


def test_aperture_flux_of_a_gaussian():
    """Within radius r a Gaussian holds 1 - exp(-r^2 / 2 s^2)."""
    expected = 1 - np.exp(-0.5 * (photometry.APERTURE / SCALE / 5) ** 2)
    found = photometry.aperture_flux(gaussian(), SCALE)
    np.testing.assert_allclose(found, [[expected]], rtol=3e-3)


def test_areas_of_annuli():
    edges = np.array([0, 1, 2, 4, 8])
    weights = photometry.annulus_weights((64, 64), SCALE, edges)
    area = photometry.annulus_flux(np.ones((2, 5, 64, 64)), weights)
    expected = np.pi * np.diff((edges / SCALE) ** 2)
    np.testing.assert_allclose(area, np.broadcast_to(expected, (2, 5, 4)), rtol=1e-6)
    assert photometry.aperture_flux(np.ones((64, 64)), SCALE, 8) == pytest.approx(area[0, 0].sum())


def test_pixels_belong_to_one_annulus_by_their_centres():
    radius = SCALE * np.hypot(*(np.indices((64, 64)) - 31.5))
    weights = photometry.annulus_weights((64, 64), SCALE, (0, 1, 2, 4), "center")
    np.testing.assert_array_equal(weights, [radius < 1, (radius >= 1) & (radius < 2),
                                            (radius >= 2) & (radius < 4)])  # fmt: skip


def test_central_flux_of_flat_stamps():
    flat = np.ones((3, 2, 12, 24), np.float32)
    assert (photometry.central_flux(flat) == 6 * 12).all()
    assert (photometry.central_flux(flat, 1 / 3) == 4 * 8).all()
    assert photometry.central_flux(flat).shape == (3, 2)


def test_peak_and_box_of_a_point():
    images, flux = points()
    np.testing.assert_allclose(photometry.peak_flux(images), flux)
    np.testing.assert_allclose(photometry.box_flux(images), flux / 9)


def test_box_by_brute_force():
    images = np.random.default_rng(3).normal(1, 1, (4, 5, 32, 24))
    region = photometry.search_region(images)
    means = np.lib.stride_tricks.sliding_window_view(region, (3, 3), (2, 3)).mean((-2, -1))
    for box, mean in zip(photometry.box_flux(images), means, strict=True):
        total = sum(np.clip(band / band.max(), 0, None) for band in mean)
        row, column = np.unravel_index(total.argmax(), total.shape)
        np.testing.assert_allclose(box, mean[:, row, column])


@pytest.mark.parametrize("kind", [">f4", ">f8", "i2"])
def test_box_of_other_kinds_of_numbers(kind):
    images, flux = points()
    turned = images.round().astype(kind)[..., ::-1, :]
    turned.flags.writeable = False
    np.testing.assert_allclose(photometry.box_flux(turned), flux.round() / 9, rtol=1e-6)


def test_a_bright_neighbour_is_not_the_peak():
    images, flux = points()
    images[..., 2, 2] = 1e6
    np.testing.assert_allclose(photometry.peak_flux(images), flux)


def test_box_is_less_biased_by_noise_than_the_max_pixel():
    """A resolved galaxy whose brightest pixel is three times the noise, as SDSS u often is."""
    y, x = np.indices((32, 32)) - 15.5
    images = np.broadcast_to(3 * np.exp(-0.5 * (x**2 + y**2) / 9), (400, 5, 32, 32))
    noisy = images + np.random.default_rng(1).normal(size=images.shape)
    biases = [np.mean(f(noisy) - f(images)) for f in (photometry.peak_flux, photometry.box_flux)]
    assert biases[0] > 1 > 5 * abs(biases[1])


def test_magnitudes_and_colours():
    flux = np.array([[1.0, 100.0, -1.0]])
    np.testing.assert_allclose(photometry.magnitude(flux), [[22.5, 17.5, np.nan]])
    np.testing.assert_allclose(photometry.colours(flux), [[5.0, np.nan]])
    asinh = photometry.asinh_magnitude(flux, 0.01) + 22.5 - 2.5 * np.log10(0.01)
    np.testing.assert_allclose(asinh[:, :2], [[22.5, 17.5]], atol=2e-4)
    assert asinh[0, 2] > asinh[0, 0] and np.isfinite(asinh).all()


def test_robust_scatter_is_that_of_a_gaussian_and_ignores_outliers():
    x = np.random.default_rng(0).normal(3, 2, (3, 20_000))
    x[:, :200] = 1e6
    np.testing.assert_allclose(photometry.robust_scatter(x), 2, rtol=0.05)
    np.testing.assert_allclose(photometry.robust_scatter(x.T, axis=0), photometry.robust_scatter(x))


@pytest.mark.parametrize(
    ("pattern", "also_in"),
    [
        (r"1\.4826\d* \*|median_abs_deviation|mad_std|MAD_TO_SIGMA", "galtools/ingest"),
        (r"np\.median\(np\.abs\([^()]* - np\.(nan)?median", ""),
        (
            r"np\.arcsinh",
            r"companion/(interactive|survey_panels)|notebooks|benchmarks",
        ),  # stretches of pictures
        (r"CircularAperture|ApertureStats|circular_overlap_grid", ""),
        (r"def (aperture|annulus|peak|box|central)_flux\(", ""),
    ],
)
def test_there_is_one_implementation_of_each(pattern, also_in):
    files = [f for top in ("galtools", "companion", "notebooks", "workflow", "benchmarks")
             for f in (ROOT / top).rglob("*.py")]  # fmt: skip
    found = [str(f.relative_to(ROOT)) for f in files if re.search(pattern, f.read_text())]
    others = [f for f in found if not (also_in and re.search(also_in, f))]
    assert set(others) <= {"galtools/data/photometry.py"}


def test_soft_apertures_of_a_stamp_do_not_know_its_blank_edges():
    """Padded along one axis, and turned, it has the same fluxes: radii follow the shorter side."""
    image = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.pad(image, (5, 5))
    flux = photometry.soft_aperture_flux(image, (0.1, 0.3, 0.5))
    assert torch.allclose(photometry.soft_aperture_flux(wide, (0.1, 0.3, 0.5)), flux)
    assert torch.allclose(photometry.soft_aperture_flux(wide.mT, (0.1, 0.3, 0.5)), flux)
    np.testing.assert_array_equal(
        photometry.box_flux(wide.numpy()), photometry.box_flux(image.numpy())
    )


@pytest.mark.parametrize("pixels", [0.5, 0.8, 3.0])
def test_a_psf_narrower_than_a_pixel_keeps_its_width(pixels):
    """Of a Gaussian averaged over pixels, integrated by error functions."""
    edges = (np.arange(10) - 4.5) * np.sqrt(4 * np.log(2)) / pixels
    profile = np.diff([math.erf(edge) for edge in edges])
    found = photometry.fitted_fwhm(np.outer(profile, profile), SCALE)
    assert found * photometry.GAUSSIAN_FWHM / SCALE == pytest.approx(pixels, rel=0.01)
