"""The split of a variance against worlds in which every part of it is known."""

import numpy as np
import pytest

from companion import total_variance
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

SIGHT = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.5]])  # of a source image: galaxies have 3 numbers
TARGET = np.array([1.0, -0.5, 0.8])
SOURCE_NOISE, TARGET_NOISE = 0.3, 0.4


def world(n, again, looks, seed=0):
    """Source images (K, n, 2) and targets (K, n) of Gaussian galaxies, NaN where not seen again."""
    rng = np.random.default_rng(seed)
    galaxy = rng.normal(size=(n, 3))
    source = galaxy @ SIGHT.T + SOURCE_NOISE * rng.normal(size=(looks, n, 2))
    target = galaxy @ TARGET + TARGET_NOISE * rng.normal(size=(looks, n))
    source[1:, again:], target[1:, again:] = np.nan, np.nan
    return source, target


def exact():
    """Noise, look-alikes and told: the Gaussian conditional variance in closed form."""
    of_source = SIGHT @ SIGHT.T + SOURCE_NOISE**2 * np.eye(2)
    told = TARGET @ SIGHT.T @ np.linalg.solve(of_source, SIGHT @ TARGET)
    return {"noise": TARGET_NOISE**2, "look-alikes": TARGET @ TARGET - told, "told": told}


def foreseen(source, target, k):
    numbers = np.arange(source.shape[1])
    mean, crowding = np.full(target.shape, np.nan), np.full(target.shape, np.nan)
    for look, seen in enumerate(source):
        there = np.isfinite(seen).all(1)
        own, values = numbers[there], target[0][:, None]
        found = total_variance.predict_from_neighbours(
            seen[there], source[0], own, numbers, values, k
        )
        mean[look, there], crowding[look, there] = found["mean"][:, 0], found["crowding"]
    return total_variance.stack_terms(target, mean, crowding)


@pytest.mark.parametrize("k", [6, 40])
def test_split_of_a_gaussian_world_is_the_exact_one(k):
    """Few or many neighbours: E Var(T | S) has no bias, since the fit is paid for."""
    x = foreseen(*world(1600, 300, 4), k)
    total = sum(exact().values())
    for part, value in exact().items():
        found = intervals.bootstrap(total_variance.fraction_of(part), x, 200)
        error = (found.high - found.low) / (2 * 1.96)
        assert abs(found.value - value / total) < 3 * error < 0.15, part


def test_without_the_price_of_the_fit_few_neighbours_would_mislead():
    x = foreseen(*world(2500, 300, 4), 6)
    numbers, (source, target) = np.arange(2500), world(2500, 300, 4)
    found = total_variance.predict_from_neighbours(
        source[0], source[0], numbers, numbers, target[0][:, None], 6
    )
    naive = np.mean((target[0] - found["mean"][:, 0]) ** 2)
    assert naive > 1.3 * x[3].mean()


def test_components_are_unbiased_however_often_each_galaxy_was_seen():
    """400 tiny worlds of 12 galaxies, 5 of them seen three times; what S tells of T is known."""
    parts = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        galaxy, told = rng.normal(size=12), rng.normal(size=12)
        target = 2 * told + galaxy + 0.7 * rng.normal(size=(3, 12))
        target[1:, 5:] = np.nan
        x = total_variance.stack_terms(target, 2 * told[None], np.zeros((1, 12)))
        parts.append(list(total_variance.split_variance(x).values()))
    error = np.std(parts, axis=0) / np.sqrt(len(parts))
    assert (np.abs(np.mean(parts, axis=0) - [0.49, 1, 4]) < 3 * error).all()
    assert (error < [0.02, 0.05, 0.15]).all()


def test_one_look_shows_no_noise():
    with pytest.raises(GaltoolsError, match="observe again"):
        total_variance.stack_terms(np.zeros((1, 5)), np.zeros((1, 5)), np.zeros((1, 5)))


def test_a_galaxy_that_nothing_foresees_is_left_out_and_counted():
    source, target = world(100, 40, 2)
    x = foreseen(source, target, 20)
    x[3, 7] = np.nan
    assert intervals.bootstrap(total_variance.fraction_of("told"), x, 20).n == 99
    table = total_variance.tidy({("T", "way", 0): x}, 20)
    assert (table.n == 99).all()
    kept = sum(total_variance.split_variance(np.delete(x, 7, axis=1)).values())
    np.testing.assert_allclose(table.spread, np.sqrt(kept))


def test_weights_are_those_of_least_squares_and_foresee_any_plane():
    rng = np.random.default_rng(2)
    place, around = rng.normal(size=(4, 3)), rng.normal(size=(4, 20, 3)) + 2
    weights = total_variance.linear_weights(place, around)
    np.testing.assert_allclose(weights.sum(1), 1)
    slope = np.array([1.0, -2, 3])
    np.testing.assert_allclose(np.einsum("qk,qk->q", weights, around @ slope), place @ slope)
    design = np.column_stack([np.ones(20), around[0]])
    values = rng.normal(size=20)
    plane = np.linalg.lstsq(design, values, rcond=None)[0]
    np.testing.assert_allclose(weights[0] @ values, plane @ [1, *place[0]])
    with pytest.raises(GaltoolsError, match="take more"):
        total_variance.linear_weights(place, around[:, :4])


def test_nearest_are_those_of_brute_force_without_the_galaxy_itself():
    rng = np.random.default_rng(3)
    library, numbers = rng.normal(size=(60, 2)), np.arange(60)
    places = library[:10] + 0.5 * rng.normal(size=(10, 2))
    rows, distance = total_variance.nearest(places, library, numbers[:10], numbers, 5)
    every = np.linalg.norm(places[:, None] - library, axis=2)
    every[np.arange(10), np.arange(10)] = np.inf
    np.testing.assert_array_equal(rows, np.argsort(every, axis=1)[:, :5])
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :5])
    with pytest.raises(GaltoolsError, match="simulate more"):
        total_variance.nearest(places, library[:5], numbers[:10], numbers[:5], 5)


def test_discriminants_make_the_noise_one_and_put_what_differs_first():
    rng = np.random.default_rng(4)
    mixing = rng.normal(size=(3, 3))
    galaxy = rng.normal(size=(3000, 3)) * [1, 5, 2]  # in units of the noise
    images = (galaxy + rng.normal(size=(4, 3000, 3))) @ mixing
    seen = images @ total_variance.discriminants(images, 3)
    within = seen - seen.mean(0)
    noise = np.einsum("kni,knj->ij", within, within) / (3 * 3000)
    np.testing.assert_allclose(noise, np.eye(3), atol=1e-6)
    spread = np.sqrt(np.var(seen.mean(0), axis=0) - 1 / 4)
    np.testing.assert_allclose(spread, [5, 2, 1], rtol=0.05)
    with pytest.raises(GaltoolsError, match="observe more"):
        total_variance.discriminants(images[:, :1], 3)


def test_principal_directions_are_the_long_ones():
    points = np.random.default_rng(5).normal(size=(2000, 3)) * [0.1, 3, 1] + 7
    mean, directions = total_variance.principal(points, 2)
    np.testing.assert_allclose(mean, points.mean(0))
    np.testing.assert_allclose(np.abs(directions), [[0, 0], [1, 0], [0, 1]], atol=0.05)
    assert total_variance.principal(points, 3)[1].shape == (3, 3)
    with pytest.raises(GaltoolsError, match="take fewer"):
        total_variance.principal(points, 4)


def test_claims_are_judged_for_every_seed():
    rows = {("T", "way", k): foreseen(*world(400, 100, 3, seed=k), 20) for k in (0, 1)}
    key = ("T", "way")
    claims = {
        "told": (key, total_variance.fraction_of("told")),
        "no": (key, total_variance.fraction_of("noise", "told")),
    }
    judged = total_variance.judge(rows, claims, 50).set_index(["claim", "seed"])
    assert (judged.loc["told"].verdict == "supported").all()
    assert (judged.loc["no"].verdict == "contradicted").all()
    table = total_variance.tidy(rows, 50)
    assert set(table.part) == set(total_variance.PARTS)
    np.testing.assert_allclose(table.groupby("seed").value.sum(), 1)
    np.testing.assert_allclose(table.spread, np.sqrt(sum(exact().values())), rtol=0.1)
