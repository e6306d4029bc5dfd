"""Kept weights come with what tells whether they still fit, and are refused where they do not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from galtools import artefacts, data, models, simulate
from galtools.errors import GaltoolsError
from galtools.models import checkpoint, kept
from galtools.redshift import kept as kept_estimators
from galtools.training import train
from galtools.training.train import Settings
from galtools.training.translate import translate

HERE = models.weights_folder()
KEPT = sorted(HERE.glob("*/*/seed*/weights.safetensors"))
BUILD = {"name": "residual", "task": "cross", "profile": "tiny"}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: "-".join(file.parts[-4:-1]))
def test_every_kept_file_is_what_its_manifest_says(file):
    task, model, seed = file.parts[-4:-1]
    answer = kept_estimators.density if task == "redshift" else kept.translation
    assert kept.misfit(file, answer, simulated=False) == ""
    assert file.stat().st_size <= kept.LARGEST
    assert seed == f"seed{artefacts.read_manifest(file)['seed']}"
    if task != "redshift":
        assert file.with_name("history.csv").is_file()
        recipe = checkpoint.load_weights(file).recipe
        assert (task, model) == (recipe["task"], recipe["model"])


def test_all_kept_weights_are_small_enough_for_a_repository():
    assert sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file()) < 40e6


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a training on simulated pairs: weights, train.h5 and valid.h5."""
    folder, files = tmp_path_factory.mktemp("trained"), []
    for name, options in {"train": {"n": 6, "start": 0}, "valid": {"n": 4, "start": 6}}.items():
        about = {"simulation": {**options, "grid": "sdss"}, "seed": 5}
        stream = simulate.stream(**options, grid="sdss", seed=5)
        data.save(stream, folder / f"{name}.h5", split=name, provenance=about)
        files.append(folder / f"{name}.h5")
    settings = Settings(steps=6, batch=4, checks=2, seed=1)
    train.train_cached(folder, BUILD, settings, *files)
    return folder


@pytest.fixture(scope="module")
def original(trained, tmp_path_factory):
    """Folder of kept weights."""
    folder = tmp_path_factory.mktemp("kept")
    files = (trained / f"{name}.h5" for name in ("train", "valid"))
    kept.keep(trained / "weights.safetensors", *files, folder)
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """Copy of the kept weights, found through the environment."""
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(tmp_path / "kept"))
    return shutil.copytree(original, tmp_path / "kept")


def test_kept_weights_translate_as_those_that_were_trained(trained, folder):
    network = models.pretrained("residual", "cross", seed=1)
    pairs = data.load(trained / "valid.h5")
    whole = translate(trained / "weights.safetensors", pairs.source)
    sigma = pairs.noise[:, 1, :, None, None]
    change = (translate(network, pairs.source) - whole) / sigma
    told = artefacts.read_manifest(kept.weights_file("residual", "cross", 1))["extra"]
    assert np.sqrt(np.mean(change**2)) == pytest.approx(told["half_cost"], rel=1e-3)
    assert told["half_cost"] < kept.HALF_COST
    assert told["simulation"] == {"n": 6, "start": 0, "grid": "sdss", "seed": 5}


def test_half_precision_halves_the_file_and_is_read_as_single(trained, folder):
    file = kept.weights_file("residual", "cross", 1)
    assert file.stat().st_size < 0.6 * (trained / "weights.safetensors").stat().st_size
    assert {v.dtype for v in checkpoint.load(file)[0].values()} == {torch.float16}
    assert {v.dtype for v in checkpoint.load_weights(file).parameters()} == {torch.float32}


def test_weights_that_half_precision_would_change_stay_single(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "HALF_COST", 0.0)
    files = (trained / f"{name}.h5" for name in ("train", "valid"))
    file = kept.keep(trained / "weights.safetensors", *files, tmp_path)
    one, two = (checkpoint.load(f)[0] for f in (file, trained / "weights.safetensors"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_where_half_precision_costs_too_much_matrices_are_kept_as_networks_compute():
    vector = torch.linspace(0.1, 0.2, 6)
    exact, matrix = torch.tensor([[0.5, 1024.0]]), vector.view(2, 3)
    found = [kept.as_computed(weights) for weights in (exact, matrix, vector)]
    assert [weights.dtype for weights in found] == [torch.half, torch.bfloat16, torch.float]
    assert torch.equal(found[0].float(), exact) and torch.equal(found[2], vector)
    assert torch.equal(found[1], matrix.bfloat16())


def test_what_is_not_there_is_said(folder):
    with pytest.raises(GaltoolsError, match=r"no weights of swin .*there: cross residual seed1"):
        models.pretrained("swin", "cross")


def test_weights_of_another_simulation_are_flagged(folder, monkeypatch):
    file = kept.weights_file("residual", "cross", 1)
    assert kept.misfit(file) == ""
    changed = [[[1.01 * x for x in row] for row in band] for band in kept.simulation_fingerprint()]
    monkeypatch.setattr(kept, "simulation_fingerprint", lambda: changed)
    assert "simulation has changed" in kept.misfit(file)
    models.pretrained("residual", "cross", seed=1)  # good for what it was trained on


def test_data_that_todays_simulation_does_not_give_are_not_kept(trained, tmp_path, monkeypatch):
    other = simulate.pairs
    monkeypatch.setattr(simulate, "pairs", lambda **options: other(**{**options, "seed": 6}))
    files = (trained / f"{name}.h5" for name in ("train", "valid"))
    with pytest.raises(GaltoolsError, match="simulation has changed since"):
        kept.keep(trained / "weights.safetensors", *files, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_network_that_computes_otherwise_is_refused(folder, monkeypatch):
    forward = models.base.Translator.forward
    monkeypatch.setattr(models.base.Translator, "forward", lambda self, x: 1.02 * forward(self, x))
    with pytest.raises(GaltoolsError, match="does not fit: its translation of the fixed"):
        models.pretrained("residual", "cross", seed=1)


def test_a_damaged_file_is_refused(folder):
    file = Path(kept.weights_file("residual", "cross", 1))
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(GaltoolsError, match="does not fit"):
        models.pretrained("residual", "cross", seed=1)


def test_too_large_weights_are_not_kept(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "LARGEST", 1000)
    files = (trained / f"{name}.h5" for name in ("train", "valid"))
    with pytest.raises(GaltoolsError, match="at most 4 MB"):
        kept.keep(trained / "weights.safetensors", *files, tmp_path)
