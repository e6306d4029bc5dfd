"""Ridge regression, fluxes and swaps against direct calculations."""

import numpy as np
import pytest

from companion import flux_redshift
from companion.flux_redshift import ridge
from galtools.data import photometry


def test_the_error_of_a_galaxy_left_out_is_that_of_a_fit_without_it():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    model, errors = ridge(x, y)
    penalty = np.sqrt(model.alpha_) * np.eye(4)[:3]  # the constant is free
    design = np.column_stack([x, np.ones(40)])
    for k in (0, 17, 39):
        rest = np.arange(40) != k
        rows, values = np.vstack([design[rest], penalty]), np.append(y[rest], np.zeros(3))
        alone = np.linalg.lstsq(rows, values, rcond=None)[0]
        assert errors[k] == pytest.approx(y[k] - design[k] @ alone, rel=1e-6)


def test_boxes_and_apertures_of_many_images_are_those_of_each():
    images = np.random.default_rng(2).normal(size=(30, 2, 32, 32))
    box, aperture = flux_redshift.box_and_aperture(images, 0.4)
    for k in (0, 24, 25, 29):
        np.testing.assert_allclose(box[k], photometry.box_flux(images[[k]])[0])
        np.testing.assert_allclose(aperture[k], photometry.aperture_flux(images[[k]], 0.4)[0])


def test_scatter_like_keeps_size_and_band_correlation_and_loses_the_galaxy():
    rng = np.random.default_rng(5)
    truth = rng.uniform(10, 100, (4000, 2))
    ratio = 1 + 0.1 * rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 4000)
    given = flux_redshift.scatter_like(truth, truth, ratio * truth, seed=1) / truth
    assert np.corrcoef(given.T)[0, 1] == pytest.approx(0.8, abs=0.03)
    np.testing.assert_allclose(np.sort(given[:, 0]), np.sort(ratio[:, 0]))
    assert abs(np.corrcoef(given[:, 0], ratio[:, 0])[0, 1]) < 0.05


@pytest.mark.parametrize("n", [2, 3, 30, 31])
def test_no_galaxy_is_scattered_by_its_own_error(n):
    truth = np.arange(1.0, n + 1)[:, None]
    ratio = np.random.default_rng(0).uniform(0.5, 2, (n, 1))
    for seed in range(20):
        given = flux_redshift.scatter_like(truth, truth, ratio * truth, seed) / truth
        np.testing.assert_allclose(np.sort(given, axis=0), np.sort(ratio, axis=0))
        assert (np.abs(given - ratio) > 1e-9).all()


def test_swapping_cores_there_and_back():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 3, 5, 16, 16))
    swapped = flux_redshift.swap_core(a, b, 4)
    np.testing.assert_array_equal(swapped[..., 8, 8], b[..., 8, 8])
    np.testing.assert_array_equal(swapped[..., 0, 0], a[..., 0, 0])
    np.testing.assert_array_equal(flux_redshift.swap_core(swapped, a, 4), a)
