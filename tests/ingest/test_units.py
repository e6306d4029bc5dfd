"""Units against known numbers and their own inverses; matching against brute force."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_readers import luptitudes

from galtools import flags
from galtools.data import ImageSet
from galtools.errors import GaltoolsError
from galtools.flags import Flag
from galtools.ingest import units
from galtools.ingest.catalogue import tidy
from galtools.ingest.crossmatch import counterparts, match
from galtools.surveys import CFHTLS, SDSS

flux = arrays(np.float64, (2, 5, 2, 2), elements=st.floats(-1e5, 1e5))


@given(flux)
def test_luptitudes_invert(image):
    back = units.luptitudes_to_nanomaggies(luptitudes(image))
    # an asinh magnitude of 20 in double precision holds f / b to 20 x 2^-52 of itself
    np.testing.assert_allclose(back, image, rtol=1e-12, atol=1e-12)


def test_known_fluxes():
    assert units.counts_to_nanomaggies(1000.0, 30.0) == pytest.approx(1.0)
    assert units.counts_to_nanomaggies(1.0, 22.5) == 1.0
    bright = np.full((5, 1, 1), 1e5)  # m = 22.5 - 2.5 log10(1e5) = 10 once f >> b
    ten = units.luptitudes_to_nanomaggies(np.full((5, 1, 1), 10.0))
    np.testing.assert_allclose(ten, bright, rtol=1e-8)
    published = np.array([24.63, 25.11, 24.80, 24.36, 22.83])[:, None, None]  # of zero flux
    near = units.luptitudes_to_nanomaggies(published)[:, 0, 0]  # published to .01 mag, 2 b of 1 %
    assert (np.abs(near) < 0.02e9 * units.SOFTENING).all()
    one = units.luptitudes_to_nanomaggies(np.full((1, 1, 1), 20.0), "r")
    np.testing.assert_array_equal(
        one, units.luptitudes_to_nanomaggies(np.full((5, 1, 1), 20.0))[2:3]
    )


def stamps(n=3, survey=SDSS, **columns):
    rng = np.random.default_rng(1)
    images = rng.normal(0, 1, (n, 5, 8, 8)).astype(np.float32)
    table = tidy(Table({"ra": np.arange(1.0, n + 1), "dec": np.zeros(n)} | columns))
    return ImageSet.of(survey, images, np.ones((n, 5)), catalogue=table)


def test_reddening_is_the_published_one():
    clean = units.deredden(stamps(ebv=[0.1, 0, np.nan]))
    ratio = clean.images[0] / stamps().images[0]
    expected = 10 ** (0.4 * 0.1 * np.array([4.239, 3.303, 2.285, 1.698, 1.263]))
    np.testing.assert_allclose(ratio[:, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(clean.noise[0] / stamps().noise[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(clean.images[1:], stamps().images[1:])
    unknown = clean.catalogue["flag"] & Flag.NO_REDDENING
    assert (unknown > 0).tolist() == [False, False, True]
    coefficients = units.extinction_per_ebv(CFHTLS)
    assert (np.diff(coefficients) < 0).all()
    # redder than SDSS's filter means less dust: all but z' (8872 A against 8932 A) are redder
    assert (np.sign(coefficients - units.SDSS_EXTINCTION) == [-1, -1, -1, -1, 1]).all()
    # by hand: ln A is linear in ln lambda between SDSS's filters, pivots in Å
    pivots = {"u": (3557, 4702), "g": (4702, 6176), "r": (6176, 7490), "i": (7490, 8947)}
    own = {"u": 3828, "g": 4870, "r": 6245, "i": 7676}
    for k, (band, (low, high)) in enumerate(pivots.items()):
        share = np.log(own[band] / low) / np.log(high / low)
        near, far = units.SDSS_EXTINCTION[k : k + 2]
        assert coefficients[k] == pytest.approx(near * (far / near) ** share, rel=2e-3)


def test_reddening_is_done_once_and_with_sense():
    with pytest.raises(GaltoolsError, match="no column 'ebv'"):
        units.deredden(stamps())
    with pytest.raises(GaltoolsError, match="row 1"):
        units.deredden(stamps(ebv=[0, -0.1, 0]))
    clean = units.deredden(stamps(ebv=[0, 0.1, 0]))
    with pytest.raises(GaltoolsError, match="already"):
        units.deredden(clean)


# --- matching --------------------------------------------------------------------------------

ARCSEC = 1 / 3600


def at(*places, survey=SDSS):
    """Make stamps at (ra, dec) arcsec from (150, 2)."""
    east, north = np.array(places, float).T
    n = len(east)
    ra, dec = 150 + east * ARCSEC / np.cos(np.radians(2)), 2 + north * ARCSEC
    table = tidy(Table({"ra": ra, "dec": dec, "z": np.full(n, 0.1)}))
    images = np.arange(n, dtype=np.float32)[:, None, None, None] * np.ones((n, 5, 4, 4), np.float32)
    return ImageSet.of(survey, images, np.ones((n, 5)), catalogue=table)


def test_outcomes_are_told_apart_and_counted():
    source = at((0, 0), (100, 0), (200, 0), (300, 0), (301, 0))
    target = at((0.3, 0), (100, 0.2), (100, -0.4), (300.4, 0), (900, 0), survey=CFHTLS)
    found, outcomes = match(source, target, radius=1.0)
    assert dict(outcomes.iterrows()) == {
        "matched": 1, "ambiguous": 3, "lost": 1, "only in CFHTLS": 2,
    }  # fmt: skip
    words = [flags.names(flag) for flag in found.catalogue["flag"]]
    assert words == ["", "AMBIGUOUS", "LOST", "AMBIGUOUS", "AMBIGUOUS"]
    np.testing.assert_array_equal(found.target[:, 0, 0, 0], [0, 1, np.nan, 3, 3])
    assert np.isnan(found.noise[2, 1]).all()
    assert len(found) == len(source)


def test_flags_of_both_sides_are_kept():
    source, target = at((0, 0), (50, 0)), at((0, 0), (50, 0), survey=CFHTLS)
    flags.raise_flag(source.catalogue, [0], Flag.SATURATED)
    flags.raise_flag(target.catalogue, [0, 1], Flag.BLANK)
    words = [flags.names(flag) for flag in match(source, target)[0].catalogue["flag"]]
    assert words == ["SATURATED, BLANK", "BLANK"]


@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(0.5, 5))
def test_matching_agrees_with_brute_force(seed, radius):
    rng = np.random.default_rng(seed)
    source, target = (at(*rng.uniform(0, 30, (12, 2))).catalogue for _ in range(2))
    a, b = (SkyCoord(t["ra"], t["dec"], unit="deg") for t in (source, target))
    near = a[:, None].separation(b[None]).arcsec
    within = near <= radius
    nearest, doubtful = counterparts(source, target, radius)
    expected = np.where(within.any(axis=1), np.argmin(near, axis=1), -1)
    np.testing.assert_array_equal(nearest, expected)
    shared = (within & (within.sum(axis=0) > 1)).any(axis=1)
    np.testing.assert_array_equal(doubtful, (within.sum(axis=1) > 1) | shared)


def test_matching_of_nothing_and_nonsense():
    source, far = at((0, 0)), at((900, 900), survey=CFHTLS)
    assert dict(match(source, far)[1].iterrows())["lost"] == 1
    far.catalogue["ra"][0] = np.nan
    assert match(source, far)[0].catalogue["flag"][0] & Flag.LOST
    with pytest.raises(GaltoolsError, match="radius"):
        match(source, far, radius=0)
    with pytest.raises(GaltoolsError, match="no target"):
        match(source, far[[]])
    far.catalogue.remove_column("ra")
    with pytest.raises(GaltoolsError, match="needs columns ra and dec"):
        match(source, far)
