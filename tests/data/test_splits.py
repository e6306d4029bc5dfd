"""Splits by sky position: neighbours stay together, fractions are met, order does not matter."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from galtools.data import splits
from galtools.errors import GaltoolsError


def field(n, seed=0, size=60.0):
    rng = np.random.default_rng(seed)
    return 150 + rng.uniform(0, size, n), rng.uniform(-size / 2, size / 2, n)


def test_neighbours_never_straddle():
    """Every pair within the linking length, found by brute force, is in one split."""
    ra, dec = field(1500, size=1.0)
    names = splits.by_sky(ra, dec, (0.4, 0.3, 0.3), link=60, nside=1024)
    sky = SkyCoord(ra, dec, unit="deg")
    close = sky[:, None].separation(sky[None]).arcsec <= 60
    assert close.sum() > 2 * len(ra)  # the field does hold neighbours
    assert len(set(names)) == 3
    assert (names[:, None] == names[None])[close].all()


def test_a_chain_across_the_pole_and_the_meridian_stays_whole():
    ra = np.array([359.9999, 0.0001, 10.0, 190.0])
    dec = np.array([0.0, 0.0, 89.995, 89.995])
    group = splits.groups(SkyCoord(ra, dec, unit="deg"), 60)
    assert group[0] == group[1] != group[2] == group[3]


def test_fractions_are_met_within_the_scatter_of_cells():
    ra, dec = field(20000)
    names = splits.by_sky(ra, dec, (0.7, 0.2, 0.1), link=1)
    for name, share in zip(splits.NAMES, (0.7, 0.2, 0.1), strict=True):
        # about 3800 cells of five galaxies: sigma = sqrt(p (1 - p) / 3800) sqrt(1 + 1/5)
        assert np.mean(names == name) == pytest.approx(share, abs=4 * 0.0085)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_does_not_matter(random, seed):
    ra, dec = field(100, seed)
    order = list(range(100))
    random.shuffle(order)
    names = splits.by_sky(ra, dec, nside=256)
    np.testing.assert_array_equal(splits.by_sky(ra[order], dec[order], nside=256), names[order])


def test_bad_input():
    with pytest.raises(GaltoolsError, match="row 1 has no position"):
        splits.by_sky([1.0, np.nan], [0.0, 0.0])
    with pytest.raises(GaltoolsError, match="row 2 has no position"):
        splits.by_sky([1.0, 2.0, 3.0], [0.0, 90.0, 95.0])
    with pytest.raises(GaltoolsError, match="sum to one"):
        splits.by_sky([1.0], [0.0], fractions=(0.5, 0.5, 0.5))
    assert len(splits.by_sky([], [])) == 0
