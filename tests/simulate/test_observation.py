"""Seeing, calibration and noise of observations follow the survey's numbers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from galtools.simulate import observation, render
from galtools.simulate.observation import observing_conditions
from galtools.surveys import CFHTLS, SDSS

SURVEYS = pytest.mark.parametrize("survey", [SDSS, CFHTLS], ids=lambda s: s.name)


def test_seeing_has_limits_that_the_rendering_counts_on():
    wild = replace(SDSS, common_seeing=2.0)
    fwhm = observing_conditions(1, range(50), wild).fwhm
    assert fwhm.min() == render.SHARPEST * min(SDSS.psf_fwhm)
    assert (fwhm / SDSS.psf_fwhm).max() == pytest.approx(1.5)


@SURVEYS
def test_seeing_and_pointing_scatter_as_the_survey_says(survey):
    seen = observing_conditions(1, range(3000), survey)
    seeing = np.log(seen.fwhm / survey.psf_fwhm)
    np.testing.assert_allclose(np.median(seeing, axis=0), 0, atol=0.013)
    quartiles = np.diff(np.quantile(seeing, [0.25, 0.75], axis=0), axis=0)[0] / 1.349
    total = np.hypot(survey.common_seeing, survey.band_seeing)
    np.testing.assert_allclose(quartiles, total, rtol=0.08)  # limits do not reach the quartiles
    shared = survey.common_seeing**2 / (total[1] * total[2])
    of_ranks = 6 / np.pi * np.arcsin(shared / 2)  # of a normal distribution
    assert spearmanr(*seeing[:, 1:3].T).statistic == pytest.approx(of_ranks, abs=0.05)
    assert np.abs(seen.shift).max() <= survey.pixel_scale / 2
    places = np.quantile(seen.shift / survey.pixel_scale, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(places, [[-0.25] * 2, [0.25] * 2], atol=0.025)  # evenly
    sky = np.log(seen.sky_noise / survey.sky_noise)
    assert np.std(sky[:, 0]) == pytest.approx(0.06, rel=0.1)
    np.testing.assert_allclose(sky - sky[:, :1], 0, atol=1e-6)  # bright in all bands at once


@SURVEYS
def test_galaxies_of_a_field_share_the_zero_point(survey):
    """Across fields it scatters as the survey says; a second observation has a new one."""
    n, per_field = 900, survey.galaxies_per_field
    zero = observation.calibration(3, range(n), survey)
    for field in range(0, n, per_field):
        np.testing.assert_array_equal(zero[field : field + per_field] - zero[field], 0)
    many = observation.calibration(3, np.arange(2000) * per_field, survey)
    np.testing.assert_allclose(many.mean(axis=0), 1, atol=0.0015)
    np.testing.assert_allclose(many.std(axis=0), survey.calibration_error, rtol=0.06)
    assert np.abs(np.corrcoef(many.T) - np.eye(5)).max() < 0.08
    again = observation.calibration(3, np.arange(2000) * per_field, survey, number=1)
    assert abs(np.corrcoef(many[:, 2], again[:, 2])[0, 1]) < 0.08
    alone = observation.calibration(3, [per_field + 1], survey)  # whatever else is asked for
    np.testing.assert_array_equal(alone[0], zero[per_field])


@SURVEYS
def test_noise_of_sky_and_source(survey):
    """Variance sky^2 + flux / gain, measured on flat images of known flux."""
    flux = np.array([0.0, 0.05, 0.5, 2.0, 10.0], np.float32)
    seen = observing_conditions(0, range(20), survey)
    images = np.tile(flux[:, None, None], (20, 1, 64, 64))
    noisy = observation.add_noise(images.copy(), seen, survey)
    residual = (noisy - images).reshape(20, 5, -1)
    expected = seen.sky_noise**2 + flux / np.array(survey.electrons_per_nanomaggy)
    np.testing.assert_allclose(residual.var(axis=2) / expected, 1, atol=0.13)  # 5 sigma of 4096
    np.testing.assert_allclose((residual.var(axis=2) / expected).mean(axis=0), 1, atol=0.025)
    assert np.abs(residual.mean(axis=2) / np.sqrt(expected / 4096)).max() < 6


def blank_sky(seed, side):
    rng = np.random.default_rng(seed)
    return observation.unit_noise(rng, (1, side, side), CFHTLS.noise_kernel)[0]


def test_blank_sky_is_correlated_as_the_kernel_is():
    """rho(dx, dy) = rho(dx) rho(dy), and that of the published images within its error."""
    noise = observation.unit_noise(np.random.default_rng(0), (1, 1200, 1200), CFHTLS.noise_kernel)[
        0
    ]
    lags = CFHTLS.noise_correlation
    assert noise.var() == pytest.approx(1, abs=0.006)
    for dx, dy in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (0, 3), (3, 0), (0, 6), (0, 7)):
        found = np.mean(noise[dy:, dx:] * noise[: 1200 - dy, : 1200 - dx])
        expected = np.prod([lags[d] if d < len(lags) else 0 for d in (dx, dy)])
        assert found == pytest.approx(expected, abs=0.004)  # 5 sigma
    np.testing.assert_allclose(lags[1:4], [0.0955, -0.0533, 0.0243], atol=2e-3)  # field W3
    np.testing.assert_array_equal(SDSS.noise_correlation, [1.0])


def test_sky_noise_on_larger_pixels_is_that_of_sums_of_small_ones():
    """Three small pixels in one: the noise of the sums of simulated blank sky."""
    noise = observation.unit_noise(np.random.default_rng(1), (1, 1500, 1500), CFHTLS.noise_kernel)[
        0
    ]
    sums = noise.reshape(500, 3, 500, 3).sum(axis=(1, 3))
    coarse = CFHTLS.on_grid_of(replace(SDSS, pixel_scale=3 * CFHTLS.pixel_scale))
    growth = np.array(coarse.sky_noise) / CFHTLS.sky_noise
    np.testing.assert_allclose(growth, sums.std(), rtol=0.01)
    assert coarse.noise_kernel == (1.0,)
    assert abs(np.mean(sums[1:] * sums[:-1]) / sums.var()) < 0.03  # what is neglected
    assert CFHTLS.on_grid_of(CFHTLS) == CFHTLS
