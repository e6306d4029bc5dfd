"""Kept weights come into a book only where they fit, and all readers then find them."""

import shutil

import numpy as np
import pytest

from companion import comparison, long_trainings, paths
from galtools import artefacts, data, pretrained, simulate
from galtools.errors import GaltoolsError
from galtools.training import train, translate
from galtools.training.train import Settings

SETTINGS = Settings(steps=6, batch=4, checks=2, seed=0, snapshots=True)
BUILD = {"name": "residual", "task": "cross", "profile": "tiny"}


def simulated(store: paths.Results, seed: int):
    """Make the files of a results folder, as the chapter on the two surveys does."""
    sizes = {"train": (6, 0, 0), "valid": (4, 6, 0), "test": (5, 10, 0), "again": (5, 10, 1)}
    for name, (n, start, observation) in sizes.items():
        options = {"n": n, "start": start, "grid": "sdss"}
        images = simulate.stream(**options, observation=observation, seed=seed)
        provenance = {"simulation": options, "seed": seed}
        data.save(images, store.data(name), provenance=provenance)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder with a long training, kept, and a book whose own training is another."""
    top = tmp_path_factory.mktemp("long")
    for name, seed in (("long", 5), ("book", 0)):
        store = paths.Results(str(top / name), "tiny", kept=False)
        simulated(store, seed)
        files = store.data("train"), store.data("valid")
        settings = SETTINGS if name == "long" else Settings(steps=3, batch=4, checks=1)
        train.train_cached(store.model("cross", "residual"), BUILD, settings, *files)
        weights = store.weights("cross", "residual")
        if name == "long":
            pretrained.keep(weights, *files, top / "kept")
            history = long_trainings.learning_curve(weights, *files)
            history.to_csv(top / "kept/cross/residual/seed0/history.csv", index=False)
        path = store.translations("cross", "residual")
        translate.translate_cached(path, weights, store.data("test"))
    return top


@pytest.fixture
def store(made, tmp_path, monkeypatch):
    """Results of the book, with kept weights at hand."""
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(made / "kept"))
    shutil.copytree(made / "book", tmp_path / "book")
    return paths.Results(str(tmp_path / "book"), "tiny")


def judged(store) -> np.ndarray:
    return comparison.load_comparison(store, "cross", ["residual"]).images["residual"]


@pytest.mark.slow
def test_readers_find_the_kept_network_once_it_is_brought_in(store, capsys):
    own = judged(store)
    assert "kept weights" not in capsys.readouterr().out
    table = long_trainings.bring_in(store, "cross", ["residual"], 3)
    assert list(table.fits) == ["yes"]
    assert store.weights("cross", "residual").parent.name == "kept0"
    network = pretrained.load("residual", "cross")
    expected = translate.translate(network, data.load(store.data("test")).source)
    assert np.array_equal(judged(store), expected)
    assert "kept weights of long trainings: residual" in capsys.readouterr().out
    here = paths.Results(store.results, "tiny", kept=False)
    assert np.array_equal(judged(here), own) and not np.array_equal(own, expected)
    rows = long_trainings.compare(store, "cross", ["residual"])
    assert list(rows.weights) == ["trained here", "kept"]
    pairs = data.load(store.data("test"))
    for row, images in zip(rows.itertuples(index=False), (own, expected), strict=True):
        chi = (images - pairs.target) / pairs.noise[:, 1, :, None, None]
        assert row[2] == pytest.approx(np.sqrt(np.mean(chi**2)), rel=1e-4)


def test_kept_networks_wait_until_every_model_has_one(store):
    own = judged(store)
    for models_asked, waiting in ((["residual"], []), (["residual", "swin"], ["swin"])):
        table = long_trainings.bring_in(store, "cross", models_asked, 1)
        assert list(table.fits) == ["yes"]
        assert long_trainings.waits_for(table, models_asked) == waiting
        assert np.array_equal(judged(store), own) == bool(waiting)
    assert not list(store.folder.rglob("kept*"))
    rows = long_trainings.compare(store, "cross", ["residual"])
    assert list(rows.weights) == ["trained here"]
    assert long_trainings.waits_for(table, ["residual"], seed=1) == ["residual"]


def test_what_no_longer_fits_is_taken_away_and_said(store, monkeypatch):
    own = judged(store)
    long_trainings.bring_in(store, "cross", ["residual"], 1)
    monkeypatch.setattr(pretrained, "simulation_fingerprint", lambda: [[[0.0] * 3] * 2] * 5)
    (reason,) = long_trainings.bring_in(store, "cross", ["residual"], 1).fits
    assert "simulation has changed" in reason
    assert np.array_equal(judged(store), own)
    assert not list(store.folder.rglob("kept*"))


def test_weights_are_not_judged_by_galaxies_that_they_were_trained_on(made, monkeypatch):
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(made / "kept"))
    store = paths.Results(str(made / "long"), "tiny")
    (reason,) = long_trainings.bring_in(store, "cross", ["residual"], 1).fits
    assert "trained on galaxies of seed 5" in reason


def test_an_old_translation_by_kept_weights_is_refused(store):
    long_trainings.bring_in(store, "cross", ["residual"], 1)
    path = store.translations("cross", "residual")
    shutil.copy(store.data("train"), store.data("test"))
    with pytest.raises(GaltoolsError, match=r"run notebooks/17_long_trainings\.py again"):
        paths.need_translations(store, "cross", "residual")
    artefacts.manifest_path(path).unlink()
    path.unlink()
    with pytest.raises(GaltoolsError, match=r"run notebooks/17_long_trainings\.py first"):
        paths.need_translations(store, "cross", "residual")


def test_the_curve_ends_with_the_numbers_of_the_last_weights(made, monkeypatch):
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(made / "kept"))
    curve = long_trainings.histories("cross")
    assert list(curve.step) == [3, 6] and set(curve.model) == {"residual"}
    store = paths.Results(str(made / "long"), "tiny")
    pairs = data.load(store.data("valid"))
    images = translate.translate(store.weights("cross", "residual"), pairs.source)
    mse = np.mean((images - pairs.target) ** 2, axis=(2, 3))
    surface = 10 ** (0.4 * (22.5 - 18)) * 0.396**2
    assert curve.psnr.iloc[-1] == pytest.approx(
        np.mean(20 * np.log10(surface / np.sqrt(mse))), abs=1e-3
    )
    assert curve.bits.isna().all()
