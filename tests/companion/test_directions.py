"""Directions: which image is source, which is target, and that each is trained just once."""

import numpy as np
import pytest

from companion import directions
from galtools import data, simulate
from galtools.errors import GaltoolsError
from galtools.training import translate
from galtools.training.loop import Settings


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two observations of the same galaxies, on disk."""
    folder = tmp_path_factory.mktemp("files")
    for observation in (0, 1):
        pairs = simulate.pairs(8, grid="sdss", observation=observation)
        data.save(pairs, folder / f"{observation}.h5")
    return folder / "0.h5", folder / "1.h5"


def test_the_reverse_direction_swaps_source_and_target(files):
    first = data.load(files[0])
    reverse = directions.pairs_of("reverse", *files)
    np.testing.assert_array_equal(reverse.source, first.target)
    np.testing.assert_array_equal(reverse.target, first.source)
    np.testing.assert_array_equal(reverse.noise, first.noise[:, ::-1])


def test_a_repeat_observation_has_the_same_galaxies_and_other_noise(files, tmp_path):
    first, second = map(data.load, files)
    pairs = directions.pairs_of("reobserve", *files)
    np.testing.assert_array_equal(pairs.source, first.source)
    np.testing.assert_array_equal(pairs.target, second.source)
    sigma = pairs.noise[:, :, 2].mean(1)[:, None, None]
    corner = (pairs.target - pairs.source)[:, 2, :8, :8] / sigma
    scatter = np.median(np.abs(corner)) / 0.6745  # some corners hold a neighbour
    assert scatter == pytest.approx(np.sqrt(2), rel=0.15)  # two independent noises
    data.save(second[::-1], tmp_path / "turned.h5")
    with pytest.raises(GaltoolsError, match="same galaxies"):
        directions.pairs_of("reobserve", files[0], tmp_path / "turned.h5")


def test_further_galaxies_are_of_the_kind_of_the_first(files, tmp_path):
    assert directions.simulation_options(files[0], "sdss") == {"grid": "sdss", "seed": 0}
    with pytest.raises(GaltoolsError, match="has the grid sdss: run this with -p grid sdss"):
        directions.simulation_options(files[0], "native")
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


def test_one_more_sample_is_simulated_once_and_as_asked_for(files, tmp_path, monkeypatch):
    asked, pairs = [], data.load(files[1])
    monkeypatch.setattr(simulate, "stream", lambda **options: asked.append(options) or [pairs])
    options = {"n": 8, "seed": 3, "start": 5, "grid": "sdss", "observation": 1}
    for _ in range(2):
        path = directions.simulate_cached(tmp_path / "more.h5", options)
    assert asked == [options] and path == tmp_path / "more.h5"
    found = data.load(path)
    for name in ("seed", "galaxy"):
        np.testing.assert_array_equal(found.catalogue[name], pairs.catalogue[name])
    np.testing.assert_allclose(found.source, pairs.source, rtol=1e-5, atol=1e-5)


def test_an_unknown_direction_is_named(files):
    with pytest.raises(GaltoolsError, match="forward, reverse, reobserve"):
        directions.pairs_of("sideways", *files)


def test_a_direction_is_learnt_once_and_translates_its_own_way(files, tmp_path):
    build = {"name": "residual", "task": "cross", "profile": "tiny"}
    splits = {"train": files, "valid": files}
    made = [
        directions.train_direction(
            tmp_path / "w.safetensors", "reverse", build, Settings(steps=2), splits
        )
        for _ in range(2)
    ]
    assert made[0]["made"] == made[1]["made"] and made[0]["key"] == made[1]["key"]
    directions.train_direction(
        tmp_path / "anew.safetensors", "reverse", build, Settings(steps=2), splits
    )
    assert (tmp_path / "anew.safetensors").read_bytes() == (
        tmp_path / "w.safetensors"
    ).read_bytes()  # whatever else was drawn before
    deep = data.load(files[0]).target
    assert translate.translate(tmp_path / "w.safetensors", deep).shape == deep.shape


def test_all_directions_learn_from_the_same_galaxies(files, tmp_path):
    few = tmp_path / "few.h5"
    data.save(data.load(files[1], slice(5)), few)
    for direction in directions.DIRECTIONS:
        assert len(directions.pairs_of(direction, files[0], few)) == 5


def test_batches_are_measured_as_all_galaxies_would_be(files, monkeypatch):
    first, second = map(data.load, files)

    def translate_all(pairs):
        return {"as it is": pairs.source, "doubled": 2 * pairs.source}

    def measure(way, images, pairs, again):
        return {"gain": (images - again.source).sum((2, 3)), "number": pairs.catalogue["galaxy"]}

    monkeypatch.setattr(directions, "BATCH", 3)
    found = directions.apply_directions(translate_all, measure, *files)
    assert set(found) == {(w, n) for w in ("as it is", "doubled") for n in ("gain", "number")}
    expected = (2 * first.source - second.source).sum((2, 3))
    np.testing.assert_allclose(found["doubled", "gain"], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found["as it is", "number"], first.catalogue["galaxy"])
