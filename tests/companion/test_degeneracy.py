"""Degenerate galaxies against lattices, least squares and twins."""

import numpy as np
import pytest

from companion import degeneracy, posterior_library, repeat_observations
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.simulate import matched_pairs
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS.on_grid_of(SDSS))


@pytest.fixture(scope="module")
def twins():
    """24 galaxies, three of a kind, without noise but 0.3 mag brighter, zero points off by 2 %.

    The first 8 are observed twice. Their `peak, r` is linear in the second latent space, which has
    two dimensions, and the `concentration, r` in the logarithms of the fluxes.
    """
    rng = np.random.default_rng(5)
    with matched_pairs.one_thread():
        (first,) = repeat_observations.observe_block(5, 8, (0,), SURVEYS, 17.8)
    physics = ("red", "early", "redshift", "r_magnitude", "kind", "half_light_radius")
    columns = {name: np.tile(first[name], 3) for name in physics}
    columns |= {name: np.tile(first[name], (3, 1)) for name in ("zero_points", "sky")}
    tint = np.exp(0.3 * rng.normal(size=(8, 5, 1)))  # no two kinds are alike
    clean = tint * photometry.annulus_flux(first["clean"], posterior_library.ring_masks(SDSS))
    columns |= {"clean": np.tile(clean, (3, 1, 1)), "estimate": rng.random((24, 3))}
    rings = 10 ** (0.4 * 0.3) * columns["clean"] / (1 + 0.02 * columns["zero_points"][..., None])
    columns |= {"galaxy": np.arange(24), "number": np.zeros(24, int), "rings": rings}
    position, measures = rng.normal(size=(24, 2)), rng.normal(size=(24, 8))
    measures[:, 1], columns["measures"] = 5 + position @ [1.0, 2], measures
    columns["latent"] = np.stack([rng.normal(size=(24, 4)), position @ rng.normal(size=(2, 4))], 1)
    measures[:, 6] = np.log(columns["clean"].sum(2)) @ [1.0, -2, 3, 1, 1]
    again = {name: values[:8] for name, values in columns.items()}
    again["rings"] = again["rings"] * np.exp(0.01 * rng.normal(size=(8, 5, 1)))
    again["latent"] = again["latent"] + columns["latent"][8:16] / 9
    again["number"] = np.ones(8, int)
    joined = {name: np.concatenate([x, again[name]]) for name, x in columns.items()}
    return repeat_observations.by_observation(joined)


PAIR = np.arange(8)[:, None] + [8, 16]  # the twins of each galaxy


CORE_AND_OUTER = np.array([[1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize("sums", [degeneracy.TOTAL, CORE_AND_OUTER])
def test_posterior_finds_the_twins_and_their_numbers_at_its_magnitude(twins, sums, monkeypatch):
    """Two galaxies are the same but fainter: half of the weight each, and none on the others."""
    found = degeneracy.library_posterior(twins, 0.02, 8, 17.8, sums)
    np.testing.assert_allclose(np.take_along_axis(found.weights, PAIR, 1), 0.5, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(found.offset, PAIR, 1), -0.3, atol=1e-6)
    quantities = (
        "peak, r",
        "colour g − r",
        repeat_observations.ESTIMATE,
        repeat_observations.TRUTH,
    )
    refused = degeneracy.predict_by_posterior(twins, found, quantities)  # two galaxies are too few
    assert np.isnan(refused["mean"]).all() and np.isnan(refused["variance"]).all()
    monkeypatch.setattr(posterior_library, "LEAST", 1.9)
    predicted = degeneracy.predict_by_posterior(twins, found, quantities)
    columns = {name: x[0] for name, x in twins.items()}
    sigma = np.take_along_axis(found.sigma, PAIR, 1)
    low, middle, high = columns["estimate"][PAIR].transpose(2, 0, 1)
    bend, rise = (low + high) / 2 - middle, (high - low) / 2  # of a parabola in steps of 2 mag
    bright, slope = middle - 0.15 * rise + 0.15**2 * bend, rise / 2 - 0.15 * bend
    measures, true = columns["measures"][PAIR], columns["redshift"][PAIR]
    expected = [(measures[..., 1] - 0.3, 1), (measures[..., 4], 0), (bright, slope), (true, 0)]
    for k, (values, slopes) in enumerate(expected):
        np.testing.assert_allclose(predicted["mean"][0, :, k], values.mean(1), atol=1e-5)
        variance = np.var(values, axis=1, ddof=1) + ((slopes * sigma) ** 2).mean(1)
        np.testing.assert_allclose(predicted["variance"][:, k], variance, atol=1e-5)
    np.testing.assert_allclose(predicted["sum_squared_weights"], [[0.5] * 8], atol=1e-5)


@pytest.mark.parametrize(
    ("k", "galaxies", "principal", "message"),
    [
        (48, 48, 4, "simulate more"),
        (17, 48, 16, "16 dimensions: take more"),
        (16, 48, 4, "15 dimensions: take more"),  # five bands in three rings
    ],
)
def test_neighbours_that_cannot_be_used_are_refused_at_once(k, galaxies, principal, message):
    with pytest.raises(GaltoolsError, match=message):
        degeneracy.check_neighbours(k, galaxies, principal)


def test_neighbours_predict_what_is_linear_and_report_their_distance():
    """On a lattice the four nearest points are 1 away; two images are 2 away from one another."""
    lattice = np.stack(np.meshgrid(*[np.arange(9.0)] * 2), -1).reshape(1, -1, 2)
    points = np.concatenate([lattice, lattice + 0.1])
    points[1, 40:] = np.nan  # these were observed once
    values = np.column_stack([3 + lattice[0] @ [2, -1], lattice[0, :, 0]])
    few = degeneracy.predict_by_neighbours(points, values, k=4, galaxies=50)
    assert (few["mean"].shape, few["sum_squared_weights"].shape) == ((2, 50, 2), (2, 50))
    found = degeneracy.predict_by_neighbours(points, values, k=4)
    inner = (np.abs(lattice[0] - 4) < 4).all(1)
    np.testing.assert_allclose(found["mean"][0], values, atol=1e-9)
    np.testing.assert_allclose(found["mean"][1, :40, 1], values[:40, 1] + 0.1, atol=1e-9)
    np.testing.assert_allclose(found["sum_squared_weights"][0, inner], 1 / 4)
    np.testing.assert_allclose(found["closeness"][inner], 1 / 2)
    for name in ("mean", "sum_squared_weights"):
        assert np.isnan(found[name][1, 40:]).all()


def test_methods_predict_what_their_space_holds(twins, monkeypatch):
    """What is linear in a space is predicted; the posterior misses what tells twins apart."""
    names = ("peak, r", "concentration, r")
    exact = {(names[0], "latent space"), (names[1], "equal fluxes"), (names[1], "posterior")}
    options = dict(scatter=0.02, quantities=names, galaxies=8, k=12, principal=2, limit=17.8)
    size, terms, _ = degeneracy.compare_methods(twins, 1, **options)
    np.testing.assert_allclose(size, 2, atol=1e-4)
    assert np.isnan(terms[names[0], "posterior"][3]).all()  # two are few
    monkeypatch.setattr(posterior_library, "LEAST", 1.9)
    _, terms, check = degeneracy.compare_methods(twins, 1, **options)
    for key, x in terms.items():
        assert (x[3] < 1e-12).all() if key in exact else (x[3] > 1e-6).all()
    peak = twins["measures"][0, :, 1]
    error = (peak[:8] - (peak[PAIR].mean(1) - 0.3)) ** 2 / (1 + 1 / 2)
    np.testing.assert_allclose(check["peak, r"][1], error, atol=1e-4)
    assert (check["peak, r"][0] > np.var(peak[PAIR], axis=1, ddof=1)).all()


def test_predictions_are_those_of_least_squares_through_the_neighbours():
    rng = np.random.default_rng(2)
    points, values = rng.normal(size=(1, 60, 3)), rng.normal(size=(60, 1))
    found = degeneracy.predict_by_neighbours(points, values, k=20, galaxies=4)
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


def test_principal_components_are_those_along_which_galaxies_differ():
    rng = np.random.default_rng(5)
    true = rng.normal(size=(300, 3)) * [0.1, 30, 10] + 7
    points = true + rng.normal(size=(2, 300, 3))
    found = degeneracy.noise_coordinates(points, 2)
    assert found.shape == (2, 300, 2)
    apart = np.linalg.norm(found[0, 1:] - found[0, :-1], axis=1)
    expected = np.linalg.norm(np.diff(points[0, :, 1:], axis=0), axis=1)
    np.testing.assert_allclose(apart, expected, rtol=0.2, atol=0.5)
