"""Neighbours follow the published counts, sizes, redshifts and colours."""

import numpy as np
import pytest
from scipy.stats import kstest, poisson

from galtools.simulate import neighbours, population, spectra
from galtools.surveys import CFHTLS, SDSS

N = 6000
AREA = (2 * neighbours.REACH / 60) ** 2  # square arcmin


@pytest.fixture(scope="module")
def field():
    return neighbours.sample_neighbours(0, range(N), (SDSS, CFHTLS))


def split(values):
    return np.split(values, [neighbours.MAX_GALAXIES], axis=-1)


def test_counts_per_magnitude_are_the_published_ones(field):
    """Galaxies to i: 46 x 10^(.31 (i - 25)) per square arcmin, 90 per square degree at i = 17.35
    (r = 17.8); stars: 48 million on 6500 square degrees to r = 21.5."""
    galaxies, stars = split(field["magnitude"])
    for i in (21.5, 22.5, 23.5):
        expected = N * AREA * 46 * 10 ** (0.31 * (i - 25))
        assert (galaxies < i).sum() == pytest.approx(expected, rel=4 / np.sqrt(expected))
    bright = N * AREA * neighbours.cumulative(neighbours.GALAXIES, 17.35)
    assert bright / (N * AREA) * 3600 == pytest.approx(90, rel=0.1)
    saturated = neighbours.cumulative(neighbours.STARS, neighbours.STARS["brightest"])
    expected = N * AREA * (48e6 / 6500 / 3600 - saturated)
    assert stars.min() > 18
    assert (stars < 21.5).sum() == pytest.approx(expected, rel=4 / np.sqrt(expected))
    assert (np.diff(np.where(np.isinf(galaxies), 99, galaxies)) >= 0).all()  # brightest first
    for counts, slots in (
        (neighbours.GALAXIES, neighbours.MAX_GALAXIES),
        (neighbours.STARS, neighbours.MAX_STARS),
    ):
        mean = neighbours.cumulative(counts, counts["limit"]) * AREA
        assert poisson.sf(slots, mean) < 0.015  # stamps that lose a source


def test_neighbours_are_anywhere(field):
    x, y = (np.column_stack([field["ellipses"][k], field["sources"][k]]) for k in (0, 1))
    for place in (x, y):
        assert kstest(place.ravel() / neighbours.REACH / 2 + 0.5, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.02


def test_fluxes_are_those_of_the_magnitudes_and_empty_slots_are_dark(field):
    (galaxies, stars), (of_galaxies, of_stars) = split(field["magnitude"]), split(field["flux"])
    np.testing.assert_allclose(of_galaxies[:, 0, 3], neighbours.nanomaggies(galaxies), rtol=1e-12)
    np.testing.assert_allclose(of_stars[:, 0, 2], neighbours.nanomaggies(stars), rtol=1e-12)
    empty = np.isinf(field["magnitude"])
    assert empty.any() and (field["flux"].transpose(0, 3, 1, 2)[empty] == 0).all()


def test_galaxies_have_the_light_of_their_kind_and_redshift():
    """Against `spectra`, and n(z) ~ z^2 exp(-z / z0) of mean 3 z0."""
    u = np.random.default_rng(2).random((4, 4, 2))
    i = np.array([[20.0, 22.0]] * 4)
    found = neighbours.galaxy_fluxes((SDSS, CFHTLS), i, u)
    z = np.minimum(neighbours.redshifts(i, u[:, 1:]), 0.8)[:, 1]
    kind = np.where(u[:, 0] < 0.2, u[:, 0], 1 + 2.5 * (u[:, 0] - 0.2))[:, 1]
    plain = dict.fromkeys(spectra.PARAMETERS, np.zeros(4)) | {"kind": kind}
    r = 22.5 - 2.5 * np.log10(found[:, 0, 2, 1])
    for index, survey in enumerate((SDSS, CFHTLS)):
        flux = population.normalised_fluxes(survey.filters, plain, z, r)
        np.testing.assert_allclose(found[:, index, :, 1], flux, rtol=1e-6)
    many = neighbours.redshifts(
        np.full((1, 40000), 23.0), np.random.default_rng(0).random((1, 3, 40000))
    )
    assert many.mean() == pytest.approx(3 * (0.0417 * 23 - 0.744), rel=0.02)


def test_stars_lie_on_the_locus_and_have_the_colour_terms_of_megacam(field):
    """Slopes of CFHTLS minus SDSS against colour: Regnault et al. (2009), Gwyn (2012)."""
    known = np.isfinite(split(field["magnitude"])[1])
    flux = split(field["flux"])[1].transpose(0, 3, 1, 2)[known]
    sdss, megacam = -2.5 * np.log10(flux.transpose(1, 2, 0))
    colours = sdss[:-1] - sdss[1:]
    np.testing.assert_allclose(neighbours.stellar_locus(colours[2]), colours, atol=1e-9)
    terms = {0: (0, -0.241), 1: (1, -0.153), 3: (2, -0.094), 4: (3, 0.05)}
    for band, (colour, published) in terms.items():
        slope = np.polyfit(colours[colour], (megacam - sdss)[band], 1)[0]
        assert slope == pytest.approx(published, abs=0.03)
    blue = colours[1] < 1.0
    assert np.abs((megacam - sdss)[2][blue]).max() < 0.03  # r hardly differs


def test_sizes_fall_with_brightness():
    """Scale length exp(-1.145) arcsec at i = 23 (Miller et al. 2013), half the light in 1.678."""
    r = np.linspace(0, 20, 20001)
    size = neighbours.half_light_radii(23.0)
    light = np.cumsum(r * np.exp(-r / np.exp(-1.145)))
    assert np.interp(0.5, light / light[-1], r) == pytest.approx(size, rel=1e-3)
    sigma = neighbours.GAUSSIAN_SIGMA  # half of a Gaussian is within sqrt(2 ln 2) sigma
    assert 1 - np.exp(-0.5 / sigma**2) == pytest.approx(0.5)
