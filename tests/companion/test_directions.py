"""Directions: who is source, who is target, and that one is trained just once."""

import numpy as np
import pytest

from companion import directions
from galtools import data, simulate
from galtools.errors import GaltoolsError
from galtools.training import translate
from galtools.training.loop import Settings


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """Two observations of the same galaxies, on disk."""
    folder = tmp_path_factory.mktemp("looks")
    for observation in (0, 1):
        pairs = simulate.pairs(8, grid="sdss", observation=observation)
        data.save(pairs, folder / f"{observation}.h5")
    return folder / "0.h5", folder / "1.h5"


def test_swapping_twice_changes_nothing(looks):
    pairs = data.load(looks[0])
    there = directions.swap(pairs)
    assert there.source is pairs.target and there.target is pairs.source
    np.testing.assert_array_equal(there.noise[:, 0], pairs.noise[:, 1])
    back = directions.swap(there)
    np.testing.assert_array_equal(back.noise, pairs.noise)


def test_a_second_look_has_the_same_galaxies_and_other_noise(looks):
    first, second = map(data.load, looks)
    pairs = directions.pairs_of("reobserve", *looks)
    np.testing.assert_array_equal(pairs.source, first.source)
    np.testing.assert_array_equal(pairs.target, second.source)
    corner = (pairs.target - pairs.source)[:, 2, :8, :8] / pairs.noise[:, :, 2, None].mean(1)[
        ..., None
    ]
    assert corner.std() == pytest.approx(np.sqrt(2), rel=0.15)  # two independent noises
    with pytest.raises(GaltoolsError, match="same galaxies"):
        directions.pair_observations(first, second[::-1])


def test_further_galaxies_are_of_the_kind_of_the_first(looks, tmp_path):
    assert directions.simulation_options(looks[0], "sdss") == {"grid": "sdss", "seed": 0}
    with pytest.raises(GaltoolsError, match="has the grid sdss: run this with -p grid sdss"):
        directions.simulation_options(looks[0], "native")
    fine = simulate.pairs(1, seed=5)
    data.save(fine, tmp_path / "fine.h5")
    assert directions.simulation_options(tmp_path / "fine.h5", "native") == {
        "grid": "native",
        "seed": 5,
    }
    fine.catalogue.remove_column("seed")
    data.save(fine, tmp_path / "real.h5")
    with pytest.raises(GaltoolsError, match="not a simulation"):
        directions.simulation_options(tmp_path / "real.h5", "native")


def test_one_more_sample_is_simulated_once_and_as_asked_for(looks, tmp_path, monkeypatch):
    asked, pairs = [], data.load(looks[1])
    monkeypatch.setattr(simulate, "stream", lambda **options: asked.append(options) or [pairs])
    options = {"n": 8, "seed": 3, "start": 5, "grid": "sdss", "observation": 1}
    for _ in range(2):
        path = directions.simulate_cached(tmp_path / "more.h5", options)
    assert asked == [options] and path == tmp_path / "more.h5"
    found = data.load(path)
    for name in ("seed", "galaxy"):
        np.testing.assert_array_equal(found.catalogue[name], pairs.catalogue[name])
    np.testing.assert_allclose(found.source, pairs.source, rtol=1e-5, atol=1e-5)


def test_an_unknown_direction_is_named(looks):
    with pytest.raises(GaltoolsError, match="forward, reverse, reobserve"):
        directions.pairs_of("sideways", *looks)


def test_a_direction_is_learnt_once_and_translates_its_own_way(looks, tmp_path):
    build = {"name": "residual", "task": "cross", "profile": "tiny"}
    files = {"train": looks, "valid": looks}
    made = [
        directions.train_direction(
            tmp_path / "w.safetensors", "reverse", build, Settings(steps=2), files
        )
        for _ in range(2)
    ]
    assert made[0]["made"] == made[1]["made"] and made[0]["key"] == made[1]["key"]
    directions.train_direction(
        tmp_path / "anew.safetensors", "reverse", build, Settings(steps=2), files
    )
    assert (tmp_path / "anew.safetensors").read_bytes() == (
        tmp_path / "w.safetensors"
    ).read_bytes()  # whatever else was drawn before
    deep = data.load(looks[0]).target
    assert translate.translate(tmp_path / "w.safetensors", deep).shape == deep.shape


def test_all_directions_learn_from_the_same_galaxies(looks, tmp_path):
    few = tmp_path / "few.h5"
    data.save(data.load(looks[1], slice(5)), few)
    for direction in directions.DIRECTIONS:
        assert len(directions.pairs_of(direction, looks[0], few)) == 5


def test_a_few_galaxies_at_a_time_are_asked_what_all_would_be(looks, monkeypatch):
    first, second = map(data.load, looks)

    def ways(pairs):
        return {"as it is": pairs.source, "doubled": 2 * pairs.source}

    def ask(way, images, pairs, again):
        return {"gain": (images - again.source).sum((2, 3)), "number": pairs.catalogue["galaxy"]}

    monkeypatch.setattr(directions, "FEW", 3)
    found = directions.apply_directions(ways, ask, *looks)
    assert set(found) == {(w, n) for w in ("as it is", "doubled") for n in ("gain", "number")}
    expected = (2 * first.source - second.source).sum((2, 3))
    np.testing.assert_allclose(found["doubled", "gain"], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found["as it is", "number"], first.catalogue["galaxy"])


def test_pixels_that_do_not_count_stay_with_their_images(looks):
    first, second = map(data.load, looks)
    swapped, anew = directions.swap(first), directions.pair_observations(first, second)
    assert swapped.source_set is first.target_set and swapped.target_set is first.source_set
    assert anew.source_set is first.source_set and anew.target_set is second.source_set
