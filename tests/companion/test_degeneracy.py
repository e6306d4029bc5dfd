"""Degenerate galaxies against lattices, least squares and brute force."""

import numpy as np
import pytest

from companion import degeneracy
from galtools.errors import GaltoolsError


@pytest.mark.parametrize(
    ("k", "message"),
    [(48, "simulate more"), (16, "15 dimensions: take more")],  # five bands in three rings
)
def test_neighbours_that_cannot_be_used_are_refused_at_once(k, message):
    with pytest.raises(GaltoolsError, match=message):
        degeneracy.check_neighbours(k, 48)


def test_neighbours_predict_what_is_linear_and_report_their_distance():
    """On a lattice the four nearest points are 1 away; two images are 2 away from one another."""
    lattice = np.stack(np.meshgrid(*[np.arange(9.0)] * 2), -1).reshape(1, -1, 2)
    points = np.concatenate([lattice, lattice + 0.1])
    points[1, 40:] = np.nan  # these were observed once
    values = np.column_stack([3 + lattice[0] @ [2, -1], lattice[0, :, 0]])
    found = degeneracy.predict_by_neighbours(points, values, k=4)
    inner = (np.abs(lattice[0] - 4) < 4).all(1)
    np.testing.assert_allclose(found["mean"][0], values, atol=1e-9)
    np.testing.assert_allclose(found["mean"][1, :40, 1], values[:40, 1] + 0.1, atol=1e-9)
    np.testing.assert_allclose(found["sum_squared_weights"][0, inner], 1 / 4)
    np.testing.assert_allclose(found["closeness"][inner], 1 / 2)
    for name in ("mean", "sum_squared_weights"):
        assert np.isnan(found[name][1, 40:]).all()


def test_predictions_are_those_of_least_squares_through_the_neighbours():
    rng = np.random.default_rng(2)
    points, values = rng.normal(size=(1, 60, 3)), rng.normal(size=(60, 1))
    found = degeneracy.predict_by_neighbours(points, values, k=20)
    rows, _ = degeneracy.nearest(points[0, :4], points[0], np.arange(4), 20)
    for galaxy, around in enumerate(rows):
        design = np.column_stack([np.ones(20), points[0, around]])
        plane = np.linalg.lstsq(design, values[around, 0], rcond=None)[0]
        expected = plane @ [1, *points[0, galaxy]]
        np.testing.assert_allclose(found["mean"][0, galaxy, 0], expected)


def test_nearest_are_those_of_brute_force_without_the_galaxy_itself():
    rng = np.random.default_rng(3)
    library = rng.normal(size=(60, 2))
    points = library[:10] + 0.5 * rng.normal(size=(10, 2))
    rows, distance = degeneracy.nearest(points, library, np.arange(10), 5)
    every = np.linalg.norm(points[:, None] - library, axis=2)
    every[np.arange(10), np.arange(10)] = np.inf
    np.testing.assert_array_equal(rows, np.argsort(every, axis=1)[:, :5])
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :5])


def test_coordinates_give_the_noise_unit_covariance():
    rng = np.random.default_rng(4)
    galaxy = rng.normal(size=(3000, 3)) * [1, 5, 2]
    images = (galaxy + rng.normal(size=(4, 3000, 3))) @ rng.normal(size=(3, 3))
    found = degeneracy.noise_coordinates(images)
    within = found - found.mean(0)
    noise = np.einsum("kni,knj->ij", within, within) / (3 * 3000)
    np.testing.assert_allclose(noise, np.eye(3), atol=1e-6)
    with pytest.raises(GaltoolsError, match="observe more"):
        degeneracy.noise_coordinates(images[:, :1])
