"""PSF matching and Wiener deconvolution against the integral over frequencies."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from blobs import blobs
from scipy.special import j0

from galtools import simulate
from galtools.models import psf_matching
from galtools.simulate.render import kolmogorov_mtf
from galtools.surveys import CFHTLS, SDSS


def test_gain_is_damped():
    ratio = torch.linspace(0, 20, 400)
    gain = psf_matching.wiener_gain(ratio, 0.05)
    assert psf_matching.wiener_gain(torch.ones(1), 0.05) == 1
    assert gain.max() <= 1.05 / (2 * np.sqrt(0.05)) + 1e-6
    assert torch.allclose(psf_matching.wiener_gain(ratio, 0.0), ratio)


def test_flat_images_and_equal_seeings_do_not_change():
    flat, images = torch.full((1, 5, 64, 64), 3.0), torch.rand(2, 5, 20, 20)
    matched = psf_matching.match_psf(flat, SDSS.pixel_scale, SDSS.psf_fwhm, CFHTLS.psf_fwhm)
    assert torch.allclose(matched, flat, atol=1e-5)
    same = psf_matching.match_psf(images, SDSS.pixel_scale, SDSS.psf_fwhm, SDSS.psf_fwhm)
    assert torch.allclose(same, images, atol=1e-5)


def test_rectangles_are_matched_as_the_square_they_are_cut_from():
    """Of a galaxy with wide blank edges, in both orientations."""
    square = F.pad(torch.as_tensor(blobs(n=2, size=24).source), (36,) * 4)
    known = 0.4, SDSS.psf_fwhm, CFHTLS.psf_fwhm
    whole = psf_matching.match_psf(square, *known)
    for cut in (np.s_[..., 20:76, :], np.s_[..., 20:76]):
        assert torch.allclose(psf_matching.match_psf(square[cut], *known), whole[cut], atol=2e-3)


def test_a_star_is_sharpened_as_the_integral_over_frequencies_says():
    """I(r) = 2 pi int M_s(f) T(f) J0(2 pi f r) f df, on pixels half as large as those of SDSS."""
    scale = SDSS.pixel_scale / 2
    f = np.linspace(0, 2.5, 801)
    along = (np.arange(48) - 23.5) * scale
    r, back = np.unique(np.hypot(along[:, None], along).round(9), return_inverse=True)
    bessel = j0(2 * np.pi * f * r[:, None]) * 2 * np.pi * f
    images = []
    for seeings in zip(SDSS.psf_fwhm, CFHTLS.psf_fwhm, strict=True):
        k_squared = torch.from_numpy((2 * np.pi * f[None]) ** 2)
        low, high = (kolmogorov_mtf(k_squared, torch.tensor(w))[0].numpy() for w in seeings)
        ratio = high / low
        for transfer in (low, low * 1.2 * ratio / (1 + 0.2 * ratio**2)):
            images.append(np.trapezoid(bessel * transfer, f, axis=1)[back].reshape(48, 48))
    stars, sharp = torch.tensor(np.array(images)).unflatten(0, (1, 5, 2)).unbind(2)
    assert (sharp.amax((2, 3)) > 1.1 * stars.amax((2, 3))).all()
    matched = psf_matching.match_psf(stars, scale, SDSS.psf_fwhm, CFHTLS.psf_fwhm)
    assert torch.allclose(matched, sharp, atol=2e-3 * float(sharp.max()))


def test_without_noise_wiener_deconvolution_recovers_the_sharper_image():
    """A Gaussian disc of known profile under one seeing, from that under another."""
    scale, seeings = 0.4, (1.3, 1.0)
    f = np.linspace(0, 1.25, 801)
    along = (np.arange(64) - 31.5) * scale
    r, back = np.unique(np.hypot(along[:, None], along).round(9), return_inverse=True)
    bessel = j0(2 * np.pi * f * r[:, None]) * 2 * np.pi * f * np.exp(-2 * (np.pi * f * 0.9) ** 2)
    k_squared = torch.from_numpy((2 * np.pi * f) ** 2)
    blurred, sharp = (
        torch.from_numpy(
            np.trapezoid(bessel * kolmogorov_mtf(k_squared, torch.tensor([w]))[0].numpy(), f)[back]
        ).view(1, 1, 64, 64)
        for w in seeings
    )
    known = (scale, *([w] for w in seeings))
    assert (sharp - blurred).abs().max() > 0.1 * sharp.max()
    for cut in (np.s_[:], np.s_[..., 4:60, :], np.s_[..., 4:60]):  # a rectangle, and it turned
        found = psf_matching.wiener_deconvolve(blurred[cut], np.zeros((1, 1)), *known)
        assert torch.allclose(found, sharp[cut], atol=1e-4 * float(sharp.max()))


def test_power_of_the_scene_never_grows_with_frequency_and_noise_counts_photons():
    """Sky of power 1; photons of the source raise the corner of the second image to 2."""
    ring, blur = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1, 0.5], [0.1, 1e-20]])
    powers = torch.tensor([[[[400.0, 2], [9, 1]]], [[[400, 8], [2.01, 2]]], [[[1, 4], [4, 0]]]])
    scene, white = psf_matching.power_spectra(powers.sqrt() + 0j, blur, torch.ones(3, 1), ring)
    assert torch.allclose(white.flatten(), torch.tensor([1.0, 2, 1]))
    two, three = 0.33 / 0.0626, 0.78 / 1.0626  # rings together: sum M_s^2 (P - N) / sum M_s^4
    wanted = [[[399, two], [two, 0]], [[398, 24], [1, 0]], [[three, three], [three, 0]]]
    assert torch.allclose(scene[:, 0], torch.tensor(wanted), atol=1e-3)


@pytest.mark.parametrize("shape", [(160, 160), (161, 120)])
def test_error_is_the_least_possible_of_a_gaussian_random_field(shape):
    """Mean of M_t^2 S N / (M_s^2 S + N) over frequencies, by a filter to which S is unknown."""
    torch.manual_seed(3)
    scale, seeings = 0.4, ([1.4], [0.7])
    down, right = (torch.fft.fftfreq(side, scale) for side in shape)
    low, high = (psf_matching.mtf(down[:, None], right, torch.tensor(w)) for w in seeings)
    power = 400 / (1 + 9 * (down[:, None] ** 2 + right**2)) ** 1.5
    field = torch.fft.fft2(torch.randn(24, 1, *shape)) * power.sqrt()
    blurred, sharp = (100 + torch.fft.ifft2(field * mtf).real for mtf in (low, high))
    noisy, known = blurred + torch.randn(blurred.shape), (scale, *seeings)
    least = float((high**2 * power / (low**2 * power + 1)).mean())

    def error(images):
        return float((images - sharp)[..., 16:-16, 16:-16].square().mean())

    found = error(psf_matching.wiener_deconvolve(noisy, np.ones((24, 1)), *known))
    assert found == pytest.approx(least, rel=0.02)
    assert error(psf_matching.match_psf(noisy, *known)) > 1.3 * least


def test_correlated_noise_is_not_amplified_without_bound():
    """Of resampled images: above white noise also where M_s is 1e-4 and r 1e3, or 1e-20."""
    torch.manual_seed(0)
    white = torch.randn(8, 1, 65, 65)
    smooth = 10 + 0.8 * (white[..., 1:, 1:] + white[..., 1:, :-1] + white[..., :-1, :-1])
    for seeing in (1.4, 3.0):
        found = psf_matching.wiener_deconvolve(smooth, np.full((8, 1), 0.8), 0.4, [seeing], [0.7])
        assert found.std() < 1.5 * smooth.std()


@pytest.mark.slow
def test_wiener_deconvolution_does_better_than_damping_in_mean_square_and_median():
    pairs = simulate.pairs(128, seed=6, grid="sdss")
    source, target = pairs.source_set, pairs.target_set
    images, known = (
        torch.from_numpy(pairs.source),
        (source.pixel_scale, source.psf_fwhm, target.psf_fwhm),
    )
    found = (
        psf_matching.wiener_deconvolve(images, source.noise, *known),
        psf_matching.match_psf(images, *known),
        images,
    )
    chi = [(x.numpy() - target.images) / target.noise[:, :, None, None] for x in found]
    squares = np.array([np.square(x).mean((2, 3)) for x in chi])
    for wiener, damped, none in (squares.mean(1), np.median(squares, 1)):
        assert (wiener < damped).all() and (damped < none).all()


def test_pure_noise_is_nearly_removed_and_a_flat_image_kept():
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(8, 5, 64, 64)
    sky = np.full((8, 5), 0.1)
    known = (SDSS.pixel_scale, SDSS.psf_fwhm, SDSS.psf_fwhm)
    assert psf_matching.wiener_deconvolve(noise, sky, *known).std() < 0.35 * noise.std()
    for level in (3.0, 1e-3):  # far above the noise, and below it
        flat = torch.full((8, 5, 64, 64), level)
        found = psf_matching.wiener_deconvolve(flat, sky, *known)
        assert torch.allclose(found, flat, rtol=1e-4)


@pytest.mark.parametrize("snr, near, blank", [(10, 0.08, 0.02), (25, 0.05, 0), (50, 0.03, 0)])
@pytest.mark.parametrize("sky", [0.0, -0.01])
def test_faint_stars_keep_the_flux_that_known_power_would_leave(snr, near, blank, sky):
    """Within 6 pixels, median of 64 noises; S of a star is flat, its flux squared over 96^2."""
    side, scale, seeings = 96, 0.4, ([1.4], [0.7])  # a stamp of 64 with its margins
    down, right = torch.fft.fftfreq(side, scale)[:, None], torch.fft.rfftfreq(side, scale)
    low, high = (psf_matching.mtf(down, right, torch.tensor(w)) for w in seeings)

    def star(transfer):
        image = torch.fft.fftshift(torch.fft.irfft2(transfer + 0j, s=(side, side)))
        return image[..., 16:-16, 16:-16]

    y, x = np.indices((64, 64)) - 32
    within = torch.from_numpy(np.hypot(y, x) < 6)
    flux = snr / float(star(low).square().sum().sqrt())
    scene = (flux / side) ** 2
    gain = high * low * scene / (low**2 * scene + 1)
    gain[..., 0, 0] = 1
    torch.manual_seed(0)
    images = sky + flux * star(low) + torch.randn(64, 1, 64, 64)
    found = psf_matching.wiener_deconvolve(images, np.ones((64, 1)), scale, *seeings)
    assert float((found.std((2, 3)) < 0.01).float().mean()) <= blank
    left = (found[:, 0, within] - sky).sum(-1).median() / flux
    assert float(left) == pytest.approx(float(star(low * gain)[..., within].sum()), abs=near)
