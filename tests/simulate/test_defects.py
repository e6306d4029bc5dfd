"""Defects: every broken pixel is masked, and only those; rates are those of the survey."""

from dataclasses import replace

import numpy as np
import pytest

from galtools import data, simulate
from galtools.data.pairs import NO_DATA, SATURATED
from galtools.simulate.defects import add_defects
from galtools.surveys import CFHTLS, SDSS


def blank(n):
    return np.zeros((n, 5, SDSS.stamp, SDSS.stamp), np.float32)


def test_masks_cover_what_is_broken_and_nothing_else():
    """Without noise, saturation or edges, a pixel is masked where a ray has left its charge."""
    many = replace(SDSS, cosmic_rays=5.0, field_width=1e9)
    images = blank(100)
    mask = add_defects(images, 0, range(100), many)
    np.testing.assert_array_equal(mask > 0, images > 0)
    area = (SDSS.stamp * SDSS.pixel_scale / 60) ** 2
    pixels_per_ray = 1 + 6.0 * 2 / np.pi * 4 / np.pi  # roughly: steps of half a pixel, any angle
    expected = 500 * 5.0 * area * pixels_per_ray
    assert (mask > 0).sum() == pytest.approx(expected, rel=0.35)


def test_full_pixels_are_cut_at_the_level_and_masked():
    images = blank(2) + 100.0
    images[0, 1, 30, 30] = 1e4  # full in g: 162
    mask = add_defects(images, 0, range(2), replace(SDSS, cosmic_rays=0.0, field_width=1e9))
    assert np.argwhere(mask).tolist() == [[0, 1, 30, 30]]
    assert mask.max() == SATURATED and images[0, 1, 30, 30] == SDSS.saturation[1]


def test_the_share_of_stamps_at_an_edge_is_that_of_their_width():
    n, survey = 400, replace(SDSS, cosmic_rays=0.0, field_width=200.0)
    images = blank(n) + 1.0
    mask = add_defects(images, 0, range(n), survey)
    np.testing.assert_array_equal(mask == NO_DATA, images == 0)
    cut = (mask > 0).any(axis=(1, 2, 3))
    share = SDSS.stamp * SDSS.pixel_scale / 200  # centres nearer to an edge than half a stamp
    assert cut.mean() == pytest.approx(share, abs=4 * np.sqrt(share / n))
    assert (mask[:, :, :, 31:33] == 0).any(axis=3).all()  # the galaxy itself is on the field
    assert (mask == mask[:, :1, :1]).all()


def test_pairs_with_defects_are_those_without_where_nothing_is_masked(tmp_path):
    plain, spoilt = (simulate.pairs(24, seed=2, defects=flag) for flag in (False, True))
    assert plain.bad == (None, None)
    for side, bad in zip(("source", "target"), spoilt.bad, strict=True):
        change = getattr(spoilt, side) != getattr(plain, side)
        assert not (change if bad is None else change & ~bad).any()
    assert any(bad is not None for bad in spoilt.bad)
    part = simulate.pairs(3, seed=2, start=4, defects=True)
    np.testing.assert_array_equal(part.source, spoilt.source[4:7])
    stream = simulate.stream(24, seed=2, defects=True)
    data.save(stream, tmp_path / "spoilt.h5")
    again = data.load(tmp_path / "spoilt.h5")
    for a, b in zip(again.bad, spoilt.bad, strict=True):
        assert (a is None) == (b is None) and (a is None or np.array_equal(a, b))
    assert CFHTLS.cosmic_rays < SDSS.cosmic_rays
