"""A translation is judged by the source alone: oracles for every step of the way back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import galtools
from galtools import simulate
from galtools.data import ImageSet
from galtools.errors import GaltoolsError
from galtools.fidelity import consistency, scorecard
from galtools.simulate.render import kolmogorov_mtf
from galtools.surveys import CFHTLS, SDSS

SAME_FILTERS = replace(CFHTLS, filters=SDSS.filters)


def star(fwhm, pixel_scale, stamp, flux):
    """A point source under Kolmogorov seeing, exactly: images (1, 5, stamp, stamp)."""
    fine, side = 8, stamp * 2
    size = side * fine
    k = 2 * np.pi * torch.fft.fftfreq(size, pixel_scale / fine, dtype=torch.float64)
    square = k[:, None] ** 2 + k**2
    mtf = torch.stack([kolmogorov_mtf(square, torch.tensor(w, dtype=torch.float64)) for w in fwhm])
    half = torch.exp(1j * (k[:, None] + k) * pixel_scale / fine / 2)  # to the centre of the stamp
    profile = torch.fft.fftshift(torch.fft.ifft2(mtf * half).real, dim=(-2, -1)).numpy()
    pixels = profile.reshape(5, side, fine, side, fine).sum((2, 4))
    start = (side - stamp) // 2
    return flux * pixels[None, :, start : start + stamp, start : start + stamp]


def as_source(images, sigma=SDSS.sky_noise):
    noise = np.tile(np.float32(sigma), (len(images), 1))
    return ImageSet.of(SDSS, images, noise)


@pytest.fixture(scope="module")
def pairs():
    return simulate.pairs(24, seed=77)


def row(source, translated, survey=CFHTLS, **options):
    card = scorecard.card_without_truth(source, translated, survey=survey, n_boot=20, **options)
    return lambda metric, band="r": card.get(metric, band).value


def test_between_equal_filters_there_is_no_colour_term():
    np.testing.assert_allclose(consistency.colour_terms(SDSS.filters, SDSS.filters), 0, atol=1e-9)


def test_a_star_comes_back_as_the_source_sees_it():
    """Seeing, pixels and flux of an exactly known point source, between both surveys."""
    near = star(CFHTLS.psf_fwhm, CFHTLS.pixel_scale, CFHTLS.stamp, 100.0)
    far = star(SDSS.psf_fwhm, SDSS.pixel_scale, SDSS.stamp, 100.0)
    psf_fwhm = np.float32([CFHTLS.psf_fwhm])
    back = consistency.carry_back(near, psf_fwhm, SAME_FILTERS, as_source(far))
    assert np.abs(back - far).max() < 2e-3 * far.max()


@pytest.mark.slow
def test_what_explains_its_source_leaves_white_noise():
    """The source is the translation carried back, plus noise of the stated size."""
    rng, n = np.random.default_rng(0), 150
    flux = rng.uniform(20, 200, (n, 1, 1, 1))
    near = star(CFHTLS.psf_fwhm, CFHTLS.pixel_scale, CFHTLS.stamp, 1.0) * flux
    blank = as_source(np.zeros((n, 5, 64, 64)))
    back = consistency.carry_back(near, np.tile(CFHTLS.psf_fwhm, (n, 1)), SAME_FILTERS, blank)
    gain = np.array(SDSS.electrons_per_nanomaggy)[:, None, None]
    variance = np.array(SDSS.sky_noise)[:, None, None] ** 2 + np.maximum(back, 0) / gain
    measured = row(
        as_source(back + rng.normal(size=back.shape) * variance**0.5), near, SAME_FILTERS
    )
    assert measured("source_chi2") == pytest.approx(1, abs=0.02)
    assert measured("source_inconsistent") < 0.01
    assert measured("source_residual_correlation") == pytest.approx(0, abs=0.02)
    assert measured("source_flux_bias") == pytest.approx(0, abs=0.005)


def test_the_noise_may_be_that_of_every_pixel_and_stamps_rectangles(pairs):
    """Of sky and photons it gives the same chi^2; of rectangles, what their squares give."""
    some = pairs[:6]
    source, seeing = some.source_set, some.target_set.psf_fwhm
    survey, near = CFHTLS, np.asarray(some.target)
    plain = consistency.measure(source, near, survey, seeing)
    back = consistency.carry_back(near, seeing, survey, source)
    gain = np.array(SDSS.electrons_per_nanomaggy)[:, None, None]
    sigma = np.sqrt(source.noise[..., None, None] ** 2 + np.maximum(back, 0) / gain)
    mapped = replace(source, sigma_map=np.float32(sigma))
    found = consistency.measure(mapped, near, survey, seeing)
    np.testing.assert_allclose(found["chi2"], plain["chi2"], rtol=1e-4)
    half = replace(mapped, sigma_map=np.float32(sigma / 2))
    assert np.median(consistency.measure(half, near, survey, seeing)["chi2"] / plain["chi2"]) > 3.5
    cut = replace(source, images=source.images[..., 12:52, :])
    tall = consistency.measure(cut, near[..., 26:-26, :], survey, seeing)
    np.testing.assert_allclose(tall["chi2"], plain["chi2"], rtol=0.1)


def test_a_shift_of_the_whole_galaxy_is_no_fault(pairs):
    """Half a source pixel along both axes is fitted away, of a residual that is linear in it."""
    x = star(SDSS.psf_fwhm, SDSS.pixel_scale, SDSS.stamp, 30.0)
    slope_y, slope_x = np.gradient(x, axis=(-2, -1))
    inside = np.ones(x.shape, bool)
    sigma, gain = np.full((1, 5), 0.05), np.full(5, 1e3)
    left = consistency.residual(x + 0.5 * slope_y - 0.5 * slope_x, x, sigma, gain, inside)
    np.testing.assert_allclose(left, 0, atol=1e-6)


def test_a_true_image_passes_and_faults_are_named(pairs):
    source, seeing = pairs.source_set, pairs.target_set.psf_fwhm
    truth = row(source, pairs.target, psf_fwhm=seeing)
    assert truth("source_chi2") < 1.25
    assert truth("source_flux_bias") == pytest.approx(0, abs=0.03)
    brighter = row(source, 1.1 * pairs.target, psf_fwhm=seeing)
    assert brighter("source_flux_bias") - truth("source_flux_bias") == pytest.approx(0.1, abs=0.01)
    others = row(source, pairs.target[::-1], psf_fwhm=seeing[::-1])
    assert others("source_chi2") > 4 * truth("source_chi2")
    assert others("source_residual_correlation") > 0.5


def test_masked_pixels_do_not_count(pairs):
    spoilt, mask = pairs.source.copy(), np.zeros(pairs.source.shape, np.uint8)
    spoilt[..., 30, 25], mask[..., 30, 25] = 1e3, 1
    own = replace(pairs.source_set, mask=mask)
    marred = replace(own, images=spoilt)
    values = [consistency.measure(one, pairs.target, CFHTLS)["chi2"] for one in (own, marred)]
    np.testing.assert_array_equal(*values)


def test_a_card_without_truth_says_what_it_compared(pairs):
    about = scorecard.card_without_truth(pairs.source_set, pairs.target, n_boot=20).about
    assert about["galtools"] == galtools.__version__
    assert about["source"].startswith(f"SDSS, {pairs.source_set.pixel_scale:g} arcsec")
    assert about["translation"].startswith("CFHTLS, ") and about["images"].startswith("24 galaxies")


def test_what_does_not_fit_together_is_refused(pairs):
    with pytest.raises(GaltoolsError, match="the same galaxies and bands"):
        scorecard.card_without_truth(pairs.source_set, pairs.target[:3])
    with pytest.raises(GaltoolsError, match="give their pixel_scale"):
        scorecard.card_without_truth(pairs.source_set, pairs.target[..., 2:-2, 2:-2])


def test_bands_are_not_compared_by_their_place(pairs):
    survey = replace(CFHTLS, bands=("g", "r", "i", "z", "y"))
    with pytest.raises(GaltoolsError, match=r"in g r i z y cannot be compared .* u g r i z"):
        consistency.measure(pairs.source_set, pairs.target, survey)
