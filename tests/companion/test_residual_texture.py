"""Residuals from smooth isophotes: a known ripple, a smooth galaxy, and real galaxies."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.stats import ks_2samp

from companion import residual_texture

REAL = os.environ.get("GALTOOLS_REAL_DATA")
SCALE, NOISE = 0.2, 0.002  # arcsec, of a peak of 1


def disc(ripple=0.0, period=1.0):
    """An inclined exponential disc with noise, times a ripple along x."""
    y, x = (np.indices((161, 161)) - 80) * SCALE
    along, across = x * np.cos(0.5) + y * np.sin(0.5), y * np.cos(0.5) - x * np.sin(0.5)
    smooth = np.exp(-np.hypot(along, across / 0.5) / 3)
    noise = NOISE * np.random.default_rng(0).standard_normal(x.shape)
    return smooth * (1 + ripple * np.cos(2 * np.pi * x / period)) + noise


@pytest.mark.parametrize("octave", [0, 1, 2, 3])
def test_a_ripple_is_found_in_its_octave(octave):
    """Its rms is the amplitude over the root of two; the finite disc spreads it over neighbours."""
    period = np.sqrt(np.prod(residual_texture.OCTAVES[octave : octave + 2]))
    found = residual_texture.residual_rms(disc(0.1, period), np.full((161, 161), NOISE), SCALE)
    assert np.sqrt(np.sum(found**2)) == pytest.approx(0.1 / np.sqrt(2), rel=0.15)
    assert found.argmax() == octave


def test_a_smooth_galaxy_has_no_residuals():
    found = residual_texture.residual_rms(disc(), np.full((161, 161), NOISE), SCALE)
    assert np.abs(found).max() < 0.01


def test_simulated_discs_have_the_texture_of_real_ones():
    """Each octave in ten real galaxies, and in the five that did not serve for tuning."""
    real = np.array(list(residual_texture.KIDS.values()))
    discs = residual_texture.simulated_discs(3, 40)
    ratio = np.median(discs, axis=0) / np.median(real, axis=0)
    assert np.all((ratio > 1 / 1.6) & (ratio < 1.6))
    for some in (real, real[5:]):
        assert np.all(ks_2samp(discs, some, axis=0).pvalue > 0.01)


@pytest.mark.skipif(not REAL, reason="GALTOOLS_REAL_DATA is not set: no real stamps")
@pytest.mark.parametrize("name", residual_texture.KIDS)
def test_residuals_of_real_galaxies_are_the_kept_ones(name):
    """Other objects are masked by the segments that come with the stamps."""

    def read(kind):
        return fits.getdata(Path(REAL) / "sdss_kids_pairs" / "KiDS" / f"{name}{kind}.fits") * 1.0

    image, noise, segments = read("fitim"), read("sigma"), read("segim")
    own = segments[tuple(np.array(segments.shape) // 2)]
    alone = np.where((segments == 0) | (segments == own), image, 0)
    found = residual_texture.residual_rms(1e9 * alone, 1e9 * noise, SCALE)
    np.testing.assert_allclose(found, residual_texture.KIDS[name], atol=0.0006)
