"""Structure metrics against closed forms: Gaussians, white noise and filtered noise."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from galtools.fidelity import structure
from galtools.fidelity.metrics import tabulate
from galtools.surveys import SDSS

SCALE = SDSS.pixel_scale
RNG = np.random.default_rng(0)
WHITE = RNG.normal(size=(40, 2, 64, 64))


def gaussian(sigma=1.0, x=0.0, y=0.0, flux=100.0, size=64):
    """A round Gaussian (1, 1, size, size); lengths in arcsec from the stamp's centre."""
    offset = (np.arange(size) - (size - 1) / 2) * SCALE
    image = np.exp(-0.5 * ((offset - x)[None] ** 2 + (offset - y)[:, None] ** 2) / sigma**2)
    return flux * image[None, None] / image.sum()


def test_rings_of_a_flat_image_have_their_area():
    flux = structure.ring_fluxes(np.ones((1, 1, 64, 64)), SCALE)[0, 0]
    edges = np.array(structure.RINGS) / SCALE
    np.testing.assert_allclose(flux, np.pi * np.diff(edges**2))


def test_radial_profile_of_gaussians():
    """Between radii a and b lies exp(-a^2 / 2 s^2) - exp(-b^2 / 2 s^2); pixels add p^2 / 12."""
    narrow, wide = 1.5, 2.0
    measured = structure.measure(gaussian(narrow), gaussian(wide), np.ones((1, 1)), SCALE)
    table = tabulate(measured, structure.METRICS, ("r",), n_boot=20).set_index("metric").value
    for a, b in pairwise(structure.RINGS):
        shares = [
            np.exp(-0.5 * a**2 / variance) - np.exp(-0.5 * b**2 / variance)
            for variance in (s**2 + SCALE**2 / 12 for s in (wide, narrow))
        ]
        assert table[f"profile_{a:.0f}_{b:.0f}"] == pytest.approx(shares[0] / shares[1], rel=5e-3)


def test_centroid_shift_is_the_distance_of_the_centres():
    measured = structure.measure(gaussian(), gaussian(x=0.3, y=-0.4), np.ones((1, 1)), SCALE)
    assert measured["shift"][0, 0] == pytest.approx(0.5, abs=2e-3)


def test_white_noise_has_a_flat_power_spectrum():
    power = structure.power_spectrum(3 * WHITE).mean((0, 1))
    np.testing.assert_allclose(power, 9, rtol=0.02)


def test_power_of_a_wave_lies_in_its_ring():
    wave = np.cos(2 * np.pi * 20 * np.arange(64) / 64)  # 20/64 of a cycle: ring 3 of 4
    power = structure.power_spectrum(np.broadcast_to(wave, (1, 1, 64, 64)))[0, 0]
    assert power[2] > 1e6 * power[[0, 1, 3]].max()


def test_sky_noise_of_known_size():
    level = structure.sky_level_and_noise(0.7 * WHITE + 5)[1]
    np.testing.assert_allclose(level.mean(), 0.7, rtol=0.01)


def test_noise_is_found_beside_a_galaxy_and_its_neighbour():
    images = WHITE + 1e4 * gaussian(sigma=1.5)
    images[..., 2:5, 30:33] += 500
    np.testing.assert_allclose(structure.sky_level_and_noise(images)[1].mean(), 1, rtol=0.02)


def test_sky_is_what_lies_within_four_deviations_of_the_median_of_the_frame():
    """Skewed noise on a high sky, and a neighbour over a tenth of the frame: pixel by pixel."""
    image = 7 + np.random.default_rng(4).exponential(size=(64, 64))
    image[:8, 20:44] += 300
    image[20:40, 20:40] += 50
    frame = np.ones((64, 64), bool)
    frame[8:56, 8:56] = False
    away = image - np.median(image[frame])
    sky = frame & (np.abs(away) <= 4 * 1.4826022 * np.median(np.abs(away[frame])))
    assert structure.sky_level_and_noise(image[None, None])[1] == pytest.approx(np.std(image[sky]))
    beside, above = (sky[:, 1:] & sky[:, :-1], sky[1:] & sky[:-1])
    pairs = np.r_[(away[:, 1:] * away[:, :-1])[beside], (away[1:] * away[:-1])[above]]
    found = structure.neighbour_correlation(*structure.sky_frame(image[None, None]))
    assert found == pytest.approx(pairs.mean() / np.mean(away[sky] ** 2))


def test_neighbour_correlation_of_filtered_noise():
    """A Gaussian filter of s pixels leaves a correlation of exp(-1 / 4 s^2) at one pixel."""
    white = np.random.default_rng(1).normal(size=(60, 1, 64, 64))
    smooth = gaussian_filter(white, (0, 0, 1, 1), mode="wrap")
    found = structure.neighbour_correlation(*structure.sky_frame(smooth)).mean()
    assert found == pytest.approx(np.exp(-1 / 4), abs=0.02)
    assert structure.neighbour_correlation(*structure.sky_frame(white)).mean() == pytest.approx(
        0, abs=0.01
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.5, 1.5))
def test_centre_of_a_gaussian(x, y, sigma):
    found = structure.centre(gaussian(sigma, x, y), SCALE)
    np.testing.assert_allclose(found[0, 0], [x, y], atol=2e-3)


@pytest.mark.parametrize("softening", [0.3, 1.0])
def test_extra_blur_is_found_in_arcsec_whatever_the_galaxy(softening):
    """Gaussians convolved add their variances; so does an exponential disc, blurred further."""
    y, x = np.indices((64, 64)) - 31.5
    disc = np.exp(-np.hypot(x, 2 * y) / 2)[None, None]
    pixels = 0.4 / SCALE
    pairs = [
        (gaussian(softening), gaussian(np.hypot(softening, 0.4))),
        (disc, 1.3 * gaussian_filter(disc, (0, 0, pixels, pixels), mode="wrap", truncate=8)),
    ]
    for sharp, soft in pairs:
        found = structure.measure(sharp, soft, np.ones((1, 1)), SCALE)
        assert found["blur"][0, 0] == pytest.approx(0.4 * structure.SIGMA_TO_FWHM, rel=0.02)
        back = structure.measure(soft, sharp, np.ones((1, 1)), SCALE)
        assert back["blur"][0, 0] == pytest.approx(-0.4 * structure.SIGMA_TO_FWHM, rel=0.02)


def test_extra_blur_survives_noise():
    sharp, soft = 300 * gaussian(1.0), 300 * gaussian(np.hypot(1.0, 0.4))
    noise = np.random.default_rng(3).normal(size=(2, 100, 1, 64, 64)) * [[[[[10]]]], [[[[40]]]]]
    found = structure.measure(sharp + noise[0], soft + noise[1], np.ones((100, 1)), SCALE)
    expected = 0.4 * structure.SIGMA_TO_FWHM
    assert np.median(found["blur"]) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("flux", [(0, 0), (1e4, 0), (0, 1e4)])
def test_no_blur_between_images_that_do_not_both_outshine_the_noise(flux):
    """Which of them have a ratio would be a matter of luck, and of the lucky half of it."""
    x, y = (noise + f * gaussian(1.5) for noise, f in zip((WHITE, WHITE[::-1]), flux, strict=True))
    assert np.isnan(structure.measure(x, y, np.ones((40, 2)), SCALE)["blur"]).all()


def test_gradient_of_colour_between_gaussians():
    """Equal colours everywhere, then a second band that is wider: rings as in the profile."""
    even = np.concatenate([gaussian(1.5), gaussian(1.5, flux=300)], axis=1)
    redder_outside = np.concatenate([gaussian(1.5), gaussian(2.0, flux=300)], axis=1)
    measured = structure.measure(even, redder_outside, np.ones((1, 2)), SCALE)

    def light(sigma, a, b):
        variance = sigma**2 + SCALE**2 / 12
        return np.exp(-0.5 * a**2 / variance) - np.exp(-0.5 * b**2 / variance)

    outer, inner = (light(1.5, *ring) / light(2.0, *ring) for ring in ((2, 4), (0, 1)))
    expected = -2.5 * np.log10(outer / inner)
    assert expected > 0  # redder outside: the bluer band is fainter there
    assert measured["gradient_error"][0] == pytest.approx([expected], abs=0.01)
    table = tabulate(measured, structure.METRICS, ("g", "r"), n_boot=20).set_index(
        ["metric", "band"]
    )
    assert table.value["gradient_bias", "g-r"] == pytest.approx(expected, abs=0.01)


def test_smoothing_and_inventing_noise_are_told_apart():
    truth = WHITE + 100 * gaussian(1.5)
    smooth = gaussian_filter(truth, (0, 0, 1, 1), mode="wrap")
    sigma = np.ones((40, 2))
    table = tabulate(
        structure.measure(truth, smooth, sigma, SCALE), structure.METRICS, ("a", "b"), n_boot=20
    )
    value = table.set_index(["band", "metric"]).value["a"]
    assert value["noise_ratio"] == pytest.approx(1 / np.sqrt(4 * np.pi), rel=0.05)
    assert value["power_4"] < 0.05 < value["power_1"]
    copy = tabulate(
        structure.measure(truth, truth, sigma, SCALE), structure.METRICS, ("a", "b"), n_boot=20
    )
    for name, perfect in ((n, m.perfect) for n, m in structure.METRICS.items()):
        found = copy[copy.metric == name].value
        limit = {"noise_correlation": 0.03, "blur": 1e-4}.get(name, 1e-9)  # chance; the bisection
        np.testing.assert_allclose(found, perfect, atol=limit)


def test_an_image_without_light_has_neither_centre_nor_blur():
    dark = np.zeros((1, 1, 32, 32))
    assert np.isnan(structure.centre(dark, SCALE)).all()
    assert np.isnan(structure.measure(dark, dark, np.ones((1, 1)), SCALE)["blur"]).all()
