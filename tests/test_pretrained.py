"""Kept weights are judged before they are used, and refused where they no longer fit."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from galtools import artefacts, data, models, pretrained, redshift, simulate
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.training import train
from galtools.training.train import Settings
from galtools.training.translate import translate

HERE = models.weights_folder()
KEPT = sorted(HERE.glob("*/*/seed*/weights.safetensors"))
BUILD = {"name": "residual", "task": "cross", "profile": "tiny"}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: "-".join(file.parts[-4:-1]))
def test_every_kept_file_is_what_its_manifest_says(file):
    task, model, seed = file.parts[-4:-1]
    assert pretrained.misfit(file, simulated=False) == ""
    assert file.stat().st_size <= pretrained.LARGEST
    assert seed == f"seed{artefacts.read_manifest(file)['seed']}"
    if task != "redshift":
        assert file.with_name("history.csv").is_file()
        recipe = checkpoint.load_weights(file).recipe
        assert (task, model) == (recipe["task"], recipe["model"])


def test_all_kept_weights_are_small_enough_for_a_repository():
    assert sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file()) < 40e6


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of simulated pairs, for training and for validation."""
    folder, files = tmp_path_factory.mktemp("data"), []
    for name, options in {"train": {"n": 6, "start": 0}, "valid": {"n": 4, "start": 6}}.items():
        about = {"simulation": {**options, "grid": "sdss"}, "seed": 5}
        stream = simulate.stream(**options, grid="sdss", seed=5)
        data.save(stream, folder / f"{name}.h5", split=name, provenance=about)
        files.append(folder / f"{name}.h5")
    return files


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """Weights of a translator."""
    folder = tmp_path_factory.mktemp("trained") / "cross" / "residual" / "seed1"
    settings = Settings(steps=6, batch=4, checks=2, seed=1)
    train.train_cached(folder, BUILD, settings, *files)
    return folder / "weights.safetensors"


@pytest.fixture(scope="module")
def original(trained, files, tmp_path_factory):
    """Folder of kept weights."""
    folder = tmp_path_factory.mktemp("kept")
    pretrained.keep(trained, *files, folder)
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """Copy of the kept weights, found through the environment."""
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(tmp_path / "kept"))
    return shutil.copytree(original, tmp_path / "kept")


def test_kept_weights_translate_as_those_that_were_trained(trained, files, folder):
    network = pretrained.load("residual", "cross", seed=1)
    pairs = data.load(files[1])
    whole = translate(trained, pairs.source)
    sigma = pairs.noise[:, 1, :, None, None]
    change = (translate(network, pairs.source) - whole) / sigma
    told = artefacts.read_manifest(pretrained.weights_file("residual", "cross", 1))["extra"]
    assert np.sqrt(np.mean(change**2)) == pytest.approx(told["half_cost"], rel=1e-3)
    assert told["half_cost"] < pretrained.HALF_COST
    assert told["simulation"] == {"n": 6, "start": 0, "grid": "sdss", "seed": 5}


def test_half_precision_halves_the_file_and_is_read_as_single(trained, folder):
    file = pretrained.weights_file("residual", "cross", 1)
    assert file.stat().st_size < 0.6 * trained.stat().st_size
    assert {v.dtype for v in checkpoint.load(file)[0].values()} == {torch.float16}
    assert {v.dtype for v in checkpoint.load_weights(file).parameters()} == {torch.float32}


def test_weights_that_half_precision_would_change_stay_single(
    trained, files, tmp_path, monkeypatch
):
    monkeypatch.setattr(pretrained, "HALF_COST", 0.0)
    file = pretrained.keep(trained, *files, tmp_path)
    one, two = (checkpoint.load(f)[0] for f in (file, trained))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_where_half_precision_costs_too_much_matrices_are_kept_as_networks_compute():
    vector = torch.linspace(0.1, 0.2, 6)
    exact, matrix = torch.tensor([[0.5, 1024.0]]), vector.view(2, 3)
    found = [pretrained.as_computed(weights) for weights in (exact, matrix, vector)]
    assert [weights.dtype for weights in found] == [torch.half, torch.bfloat16, torch.float]
    assert torch.equal(found[0].float(), exact) and torch.equal(found[2], vector)
    assert torch.equal(found[1], matrix.bfloat16())


def test_what_is_not_there_is_said(folder):
    with pytest.raises(GaltoolsError, match=r"no weights of swin .*there: cross residual seed1"):
        pretrained.load("swin", "cross")


def test_weights_of_another_simulation_are_flagged(folder, monkeypatch):
    file = pretrained.weights_file("residual", "cross", 1)
    assert pretrained.misfit(file) == ""
    changed = [
        [[1.01 * x for x in row] for row in band] for band in pretrained.simulation_fingerprint()
    ]
    monkeypatch.setattr(pretrained, "simulation_fingerprint", lambda: changed)
    assert "simulation has changed" in pretrained.misfit(file)
    pretrained.load("residual", "cross", seed=1)  # good for what it was trained on


def test_data_that_todays_simulation_does_not_give_are_not_kept(
    trained, files, tmp_path, monkeypatch
):
    other = simulate.pairs
    monkeypatch.setattr(simulate, "pairs", lambda **options: other(**{**options, "seed": 6}))
    with pytest.raises(GaltoolsError, match="simulation has changed since"):
        pretrained.keep(trained, *files, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_network_that_computes_otherwise_is_refused(folder, monkeypatch):
    forward = models.base.Translator.forward
    monkeypatch.setattr(models.base.Translator, "forward", lambda self, x: 1.02 * forward(self, x))
    with pytest.raises(GaltoolsError, match="does not fit: its translation of the fixed"):
        pretrained.load("residual", "cross", seed=1)


def test_a_damaged_file_is_refused(folder):
    file = Path(pretrained.weights_file("residual", "cross", 1))
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(GaltoolsError, match="does not fit"):
        pretrained.load("residual", "cross", seed=1)


def test_too_large_weights_are_not_kept(trained, files, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "LARGEST", 1000)
    with pytest.raises(GaltoolsError, match="at most 4 MB"):
        pretrained.keep(trained, *files, tmp_path)


@pytest.fixture
def estimator(files, tmp_path):
    """Weights of a redshift estimator."""
    weights = tmp_path / "models" / "redshift" / "SDSS" / "seed1" / "weights.safetensors"

    def maker(new):
        learn, check = ((pairs.source, pairs.redshift) for pairs in map(data.load, files))
        settings = Settings(steps=3, batch=4, checks=1, seed=1)
        noise = data.load(files[0]).noise[0, 0]
        redshift.train_ensemble(*learn, noise, *check, settings, members=1, hidden=8).save(new)

    artefacts.make(weights, maker, params={}, modules=["galtools.redshift"], inputs=files, seed=1)
    return weights


def test_a_kept_estimator_predicts_as_the_trained_one(estimator, files, tmp_path, monkeypatch):
    file = pretrained.keep(estimator, *files, tmp_path / "kept")
    assert file == tmp_path / "kept" / "redshift" / "SDSS" / "seed1" / "weights.safetensors"
    images = data.load(files[1]).source
    found = pretrained.load("SDSS", "redshift", 1, tmp_path / "kept").predict(images)
    assert np.array_equal(found, redshift.Ensemble.load(estimator).predict(images))
    with pytest.raises(GaltoolsError, match="there: redshift SDSS seed1"):
        pretrained.load("CFHTLS", "redshift", 1, tmp_path / "kept")
    predict = redshift.Ensemble.predict
    monkeypatch.setattr(redshift.Ensemble, "predict", lambda self, x: predict(self, x)[:, ::-1])
    with pytest.raises(GaltoolsError, match="its density of the fixed galaxy is not the one"):
        pretrained.load("SDSS", "redshift", 1, tmp_path / "kept")
