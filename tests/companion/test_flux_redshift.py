"""Densities from fluxes against channels whose information and calibration are known."""

import numpy as np
import pytest

from companion import flux_redshift
from companion.flux_redshift import FluxRedshift, ridge
from galtools import redshift
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import information

EDGES = np.linspace(0, 0.4, 181)


def channel(n, noise, seed):
    """log(1 + z) seen with Gaussian noise, beside a feature that knows nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.15, 0.03, n).clip(0.01, 0.33)
    return np.column_stack([truth + noise * rng.normal(size=n), rng.normal(size=n)]), np.expm1(
        truth
    )


def prior():
    """The true prior: the histogram of a small sample would be worse, and seem to be beaten."""
    z = np.expm1(np.random.default_rng(3).normal(0.15, 0.03, 10**6))
    return information.prior(z.clip(0.01, 0.39), EDGES)


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_bits_reach_the_capacity_of_a_gaussian_channel(noise):
    """Shannon: I = log2(1 + 0.03^2 / noise^2) / 2, but for the chance of 3000 galaxies."""
    learn, test = channel(3000, noise, 1), channel(3000, noise, 2)
    density = FluxRedshift(*learn).density(test[0], EDGES)
    found = information.information_bits(density, test[1], EDGES, prior()).mean()
    exact = 0.5 * np.log2(1 + 0.03**2 / noise**2)
    assert exact - 0.03 < found < exact + 0.03


def test_densities_are_calibrated():
    learn, test = channel(2000, 0.02, 4), channel(3000, 0.02, 5)
    density = FluxRedshift(*learn).density(test[0], EDGES)
    pit = redshift.cumulative(density, test[1], redshift.Grid())
    assert np.abs(np.histogram(pit, 5, (0, 1))[0] / len(pit) - 0.2).max() < 0.04
    np.testing.assert_allclose(density.sum(axis=1), 1)


def test_a_feature_that_knows_nothing_tells_nothing():
    table, z = channel(3000, 0.02, 6)
    table = table[:, 1:]
    density = FluxRedshift(table[:1500], z[:1500]).density(table[1500:], EDGES)
    assert -0.02 < information.information_bits(density, z[1500:], EDGES, prior()).mean() < 0.01


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


def test_a_smooth_function_is_found():
    """A curve without noise, from 300 galaxies, to a few parts in a thousand of its scatter."""
    x = np.random.default_rng(0).uniform(-2, 2, (800, 2))
    curve = 0.1 + 0.02 * (np.sin(2 * x[:, 0]) + x[:, 1] ** 2)
    error = FluxRedshift(x[:300], curve[:300]).predict(x[300:]) - curve[300:]
    assert np.sqrt(np.mean(error**2)) < 0.01 * curve.std()


def test_bad_features_are_named():
    table, z = channel(50, 0.02, 7)
    table[3, 0] = np.nan
    with pytest.raises(GaltoolsError, match="not finite"):
        FluxRedshift(table, z)
    with pytest.raises(GaltoolsError, match="at least 10"):
        FluxRedshift(table[:5], z[:5])


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
