"""Scatter of seeing from band to band: cases, and peaks of two observations."""

import numpy as np

from companion import band_seeing
from galtools import simulate
from galtools.data import photometry
from galtools.surveys import CFHTLS, SDSS


def test_cases_differ_in_the_seeing_of_bands_alone():
    cases = band_seeing.scattered(CFHTLS)
    assert cases["assumed"] == CFHTLS
    fwhm = {k: simulate.observing_conditions(0, range(200), s).fwhm for k, s in cases.items()}
    np.testing.assert_allclose(fwhm["0 %"], np.tile(CFHTLS.psf_fwhm, (200, 1)))
    small = np.log(fwhm["2 %"] / CFHTLS.psf_fwhm)
    np.testing.assert_allclose(small.std(axis=0), 0.02, rtol=0.2)


def test_peaks_are_those_of_the_simulated_stream():
    coarse = CFHTLS.on_grid_of(SDSS)
    found = band_seeing.peaks_twice(1, 3, coarse)
    case = list(band_seeing.scattered(coarse)).index("assumed")
    for number in (0, 1):
        pairs = simulate.pairs(8, 3, start=8, grid="sdss", observation=number)
        peaks = photometry.box_flux(pairs.target)
        np.testing.assert_allclose(found["flux"][number, :, case], peaks, rtol=1e-4)
    np.testing.assert_allclose(found["redshift"], pairs.redshift, rtol=1e-6)


def test_colours_of_peaks_scatter_more_the_more_the_seeing_does():
    table = band_seeing.study(48, 0, SDSS)
    colour = table[table.quantity == "peak g - r"].set_index("scatter").value
    assert colour["0 %"] < colour["assumed"] < colour["twice"]
    assert (table.low <= table.value).all() and (table.value <= table.high).all()
