"""Scatter of seeing from band to band: cases, and peaks of two observations."""

import numpy as np
import pytest

from companion import assumptions, band_seeing
from galtools import simulate
from galtools.data import photometry
from galtools.surveys import CFHTLS, SDSS


def test_cases_differ_in_the_seeing_of_bands_alone():
    cases = {case: band_seeing.scattered(CFHTLS, case) for case in band_seeing.CASES}
    assert cases["adopted"] == CFHTLS
    fwhm = {k: simulate.observing_conditions(0, range(200), s).fwhm for k, s in cases.items()}
    np.testing.assert_allclose(fwhm["0 %"], np.tile(CFHTLS.psf_fwhm, (200, 1)))
    small = np.log(fwhm["2 %"] / CFHTLS.psf_fwhm)
    np.testing.assert_allclose(small.std(axis=0), 0.02, rtol=0.2)


@pytest.mark.slow
def test_peaks_are_those_of_the_simulated_stream():
    found = assumptions.observed(13, seed=3)
    for number in (0, 1):
        pairs = simulate.pairs(13, 3, grid="sdss", observation=number)
        for side, images in enumerate((pairs.source, pairs.target)):
            peaks = photometry.box_flux(images)
            np.testing.assert_allclose(found["fluxes"][:, number, side], peaks, rtol=1e-4)
    np.testing.assert_allclose(found["redshift"], pairs.redshift, rtol=1e-6)


@pytest.mark.slow
def test_colours_of_peaks_scatter_more_the_more_the_seeing_does():
    table = band_seeing.study(40)
    colour = table[table.quantity == "peak g - r"].set_index(["survey", "scatter"]).value
    for survey in (SDSS, CFHTLS):
        assert colour[survey.name].loc[["0 %", "adopted", "twice"]].is_monotonic_increasing
    assert (table.low <= table.value).all() and (table.value <= table.high).all()
