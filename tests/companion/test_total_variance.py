"""Components of a variance against worlds in which each of them is known."""

import numpy as np
import pytest

from companion import degeneracy, total_variance
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

SOURCE = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.5]])  # images of galaxies that have 3 numbers
TARGET = np.array([1.0, -0.5, 0.8])
SOURCE_NOISE, TARGET_NOISE = 0.3, 0.4


def world(n, again, observations, seed=0):
    """Source images (K, n, 2), targets (K, n) of Gaussian galaxies, NaN where not repeated."""
    rng = np.random.default_rng(seed)
    galaxy = rng.normal(size=(n, 3))
    source = galaxy @ SOURCE.T + SOURCE_NOISE * rng.normal(size=(observations, n, 2))
    target = galaxy @ TARGET + TARGET_NOISE * rng.normal(size=(observations, n))
    source[1:, again:], target[1:, again:] = np.nan, np.nan
    return source, target


def exact():
    """Components of the variance: the Gaussian conditional variance in closed form."""
    of_source = SOURCE @ SOURCE.T + SOURCE_NOISE**2 * np.eye(2)
    explained = TARGET @ SOURCE.T @ np.linalg.solve(of_source, SOURCE @ TARGET)
    degeneracy = TARGET @ TARGET - explained
    return {"noise": TARGET_NOISE**2, "degeneracy": degeneracy, "explained": explained}


def terms_of(source, target, k):
    """Variance terms with predictions by k neighbours."""
    found = degeneracy.predict_by_neighbours(source, target[0][:, None], k)
    return total_variance.variance_terms(
        target, found["mean"][..., 0], found["sum_squared_weights"]
    )


@pytest.mark.parametrize("k", [6, 40])
def test_components_of_a_gaussian_world_are_the_exact_ones(k):
    """Few or many neighbours: E Var(T | S) has no bias, since the error of the fit is removed."""
    x = terms_of(*world(1600, 300, 4), k)
    total = sum(exact().values())
    for name, value in exact().items():
        found = intervals.bootstrap(total_variance.fraction_of(name), x, 200)
        error = (found.high - found.low) / (2 * 1.96)
        assert abs(found.value - value / total) < 3 * error < 0.15, name
    difference = total_variance.fraction_of("explained", "noise")(x)
    components = total_variance.variance_components(x)
    gap = components["explained"] - components["noise"]
    assert difference == pytest.approx(gap / sum(components.values()))


def test_without_the_correction_few_neighbours_would_mislead():
    source, target = world(2500, 300, 4)
    found = degeneracy.predict_by_neighbours(source, target[0][:, None], 6)
    naive = np.mean((target[0] - found["mean"][0, :, 0]) ** 2)
    assert naive > 1.3 * terms_of(source, target, 6)[3].mean()


def test_components_are_unbiased_however_often_each_galaxy_was_observed():
    """400 tiny worlds of 12 galaxies, 5 of them observed three times; E[T | S] is known."""
    found = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        galaxy, explained = rng.normal(size=12), rng.normal(size=12)
        target = 2 * explained + galaxy + 0.7 * rng.normal(size=(3, 12))
        target[1:, 5:] = np.nan
        x = total_variance.variance_terms(target, 2 * explained[None], np.zeros((1, 12)))
        found.append(list(total_variance.variance_components(x).values()))
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - [0.49, 1, 4]) < 3 * error).all()
    assert (error < [0.02, 0.05, 0.15]).all()


def test_a_single_observation_shows_no_noise():
    with pytest.raises(GaltoolsError, match="observe galaxies again"):
        total_variance.variance_terms(np.zeros((1, 5)), np.zeros((1, 5)), np.zeros((1, 5)))


def test_a_galaxy_without_a_prediction_is_left_out_and_counted():
    x = terms_of(*world(100, 40, 2), 20)
    x[3, 7] = np.nan
    assert intervals.bootstrap(total_variance.fraction_of("explained"), x, 20).n == 99
