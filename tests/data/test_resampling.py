"""Regridding: light is kept, inverses are inverses, and an independent library agrees."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reproject import reproject_exact

from galtools.data.resampling import lanczos_matrix, lanczos_resample, overlap_matrix
from galtools.errors import GaltoolsError
from galtools.ingest.cutouts import upright_wcs
from galtools.surveys import CFHTLS, SDSS

scales = st.floats(0.1, 1.0)
sizes = st.integers(2, 24)
NATIVE = (136, CFHTLS.pixel_scale, 64, SDSS.pixel_scale)
squares = sizes.flatmap(lambda n: arrays(np.float64, (2, n, n), elements=st.floats(-100, 100)))


def on_both_sides(matrix, images):
    return matrix @ images @ matrix.T


@settings(max_examples=40)
@given(squares, scales, scales)
def test_flux_is_conserved_where_the_new_grid_covers_the_old(images, scale, new_scale):
    size = int(np.ceil(images.shape[-1] * scale / new_scale)) + 1
    new = on_both_sides(overlap_matrix(images.shape[-1], scale, size, new_scale), images)
    total = np.abs(images).sum() + 1e-9
    np.testing.assert_allclose(new.sum(axis=(1, 2)), images.sum(axis=(1, 2)), atol=1e-12 * total)


@settings(max_examples=40)
@given(squares, scales, st.floats(0.3, 0.95))
def test_coming_back_from_finer_pixels_is_exact(images, scale, ratio):
    old, fine = images.shape[-1], ratio * scale
    matrix = overlap_matrix(old, scale, int(np.ceil(old / ratio)) + 1, fine)
    back = on_both_sides(np.linalg.pinv(matrix), on_both_sides(matrix, images))
    np.testing.assert_allclose(back, images, atol=1e-8 * (1 + np.abs(images).max()))


def test_coming_back_from_coarser_pixels_is_consistent_and_of_least_power():
    rng = np.random.default_rng(0)
    native = rng.normal(0, 1, (3, 136, 136))
    matrix = overlap_matrix(*NATIVE)
    coarse = on_both_sides(matrix, native)
    back = on_both_sides(np.linalg.pinv(matrix), coarse)
    np.testing.assert_allclose(on_both_sides(matrix, back), coarse, atol=1e-9)
    assert (back**2).sum() < (native**2).sum()
    residual = native - back  # orthogonal to what survives, as for every least-power solution
    assert abs((residual * back).sum()) < 1e-8 * (native**2).sum()


def test_same_grid_is_the_identity():
    np.testing.assert_allclose(overlap_matrix(9, 0.4, 9, 0.4), np.eye(9), atol=1e-15)


def test_halving_sums_blocks_of_four():
    images = np.arange(64.0).reshape(8, 8)
    blocks = images.reshape(4, 2, 4, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(on_both_sides(overlap_matrix(8, 0.2, 4, 0.4), images), blocks)


def test_spherical_overlap_of_reproject_agrees():
    """On a field of 25 arcsec the sphere is flat to 1e-8."""
    image = np.random.default_rng(0).uniform(0, 1, (136, 136))
    old = upright_wcs(150, 2, CFHTLS.pixel_scale, 136)
    new = upright_wcs(150, 2, SDSS.pixel_scale, 64)
    brightness, _ = reproject_exact((image, old), new, shape_out=(64, 64))
    expected = brightness * (SDSS.pixel_scale / CFHTLS.pixel_scale) ** 2
    np.testing.assert_allclose(on_both_sides(overlap_matrix(*NATIVE), image), expected, rtol=1e-5)


def test_bad_grids_are_refused():
    for wrong in (
        (4, 0.4, 0, 0.4),
        (0, 0.4, 4, 0.4),
        (4, 0, 4, 1),
        (4, 1, 4, -1),
        (4, 1, 4, np.nan),
    ):
        with pytest.raises(GaltoolsError, match="positive"):
            overlap_matrix(*wrong)


def test_an_image_that_is_not_square_is_the_middle_of_one_with_zeros_around():
    image = np.random.default_rng(0).normal(size=(2, 20, 12))
    whole = lanczos_resample(np.pad(image, ((0, 0), (0, 0), (4, 4))), 10, 2.0)
    np.testing.assert_allclose(lanczos_resample(image, (10, 6), 2.0), whole[..., 2:8], atol=1e-12)
    assert lanczos_resample(image, (20, 12), 1.0) is image


def test_interpolation_is_that_of_lanczos_also_at_the_edges():
    """Weight by weight: a point near an edge rests on the dark beyond as on any other pixel."""
    found = lanczos_matrix(7, 6, 0.8)
    for i in range(7):
        away = 2.5 + (i - 3) * 0.8 - np.arange(-20, 26)
        kernel = np.where(np.abs(away) < 4, np.sinc(away) * np.sinc(away / 4), 0)
        np.testing.assert_allclose(found[i], (kernel / kernel.sum())[20:26], atol=1e-12)


def test_interpolation_keeps_flux_and_centre():
    y, x = np.indices((64, 64)) - 31.5
    image = np.exp(-0.5 * ((x - 3) ** 2 + (y + 2) ** 2) / 16)[None, None]
    fine = lanczos_resample(image, 128, 0.5)
    assert fine.sum() == pytest.approx(image.sum(), rel=1e-9)
    centre = [(fine[0, 0] * a).sum() / fine.sum() for a in np.indices((128, 128)) - 63.5]
    np.testing.assert_allclose(centre, [-4, 6], atol=1e-9)
    assert lanczos_resample(image, 64, 1.0) is image
    assert lanczos_resample(image.astype(np.float32), 9, 2.0).dtype == np.float32
    np.testing.assert_allclose(lanczos_matrix(64, 64, 1.0), np.eye(64), atol=1e-12)


def test_beyond_the_stamp_lies_zero():
    image = np.random.default_rng(0).normal(size=(8, 8))
    np.testing.assert_allclose(lanczos_resample(image, 40, 1.0), np.pad(image, 16), atol=1e-12)


def test_resampling_agrees_with_a_finer_drawing():
    def gaussian(size, scale, sigma=2.5):
        offsets = (np.arange(size) - (size - 1) / 2) * scale
        one = np.exp(-(offsets**2) / 2 / sigma**2) * scale / np.sqrt(2 * np.pi) / sigma
        return one[:, None] * one[None, :]

    step = CFHTLS.pixel_scale / SDSS.pixel_scale
    found, drawn = lanczos_resample(gaussian(64, 1.0), 136, step), gaussian(136, step)
    assert np.abs(found - drawn).max() < 0.004 * drawn.max()
    assert found.sum() == pytest.approx(1, abs=1e-3)


def test_tensors_are_interpolated_like_arrays():
    images = np.random.default_rng(0).normal(size=(2, 5, 64, 64))
    step = CFHTLS.pixel_scale / SDSS.pixel_scale
    found = lanczos_resample(torch.from_numpy(images), 136, step).numpy()
    np.testing.assert_allclose(found, lanczos_resample(images, 136, step), rtol=0, atol=1e-12)
