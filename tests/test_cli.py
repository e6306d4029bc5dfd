"""The command line, as a user of the library types it."""

import json

import numpy as np
import pytest
from astropy.table import Table

from galtools import cli, data, models, simulate
from galtools.models import checkpoint
from galtools.training import train
from galtools.training.loop import Settings
from galtools.training.translate import load_translations


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Simulated pairs, and the weights of a short training."""
    folder = tmp_path_factory.mktemp("cli")
    cli.main(["simulate", f"{folder}/pairs.h5", "-n", "12", "--seed", "3", "--grid", "sdss"])
    pairs = data.load(folder / "pairs.h5")
    network = models.build("residual", "cross", "tiny")
    train.train(network, pairs, pairs, Settings(steps=2, batch=2, crop=32))
    checkpoint.save_weights(folder / "weights.safetensors", network)
    return folder


def test_simulate_writes_the_galaxies_that_python_gives(folder):
    pairs, wanted = data.load(folder / "pairs.h5"), simulate.pairs(12, seed=3, grid="sdss")
    np.testing.assert_array_equal(pairs.redshift, wanted.redshift)
    half_a_step = wanted.noise[:, 1, :, None, None] / 8
    assert (np.abs(pairs.target - wanted.target) <= half_a_step).all()


def test_simulate_takes_any_two_surveys(tmp_path):
    two = ["--survey-from", "KiDS", "--survey-to", "Euclid VIS"]
    cli.main(["simulate", f"{tmp_path}/pairs.h5", "-n", "1", *two])
    pairs = data.load(tmp_path / "pairs.h5")
    assert (pairs.source_set.survey, pairs.target_set.bands) == ("KiDS", ("VIS",))


def test_translate_then_card(folder, capsys):
    made, weights = f"{folder}/made.h5", f"{folder}/weights.safetensors"
    cli.main(["translate", f"{folder}/pairs.h5", made, "--weights", weights])
    assert load_translations(made).shape == (12, 5, 64, 64)
    one = [made, f"{folder}/card.json", "--truth", f"{folder}/pairs.h5", "--morphology", "0"]
    cli.main(["card", *one, "--name", "tiny"])
    content = json.loads((folder / "card.json").read_text())
    assert content["name"] == "tiny" and "note: only 12 galaxies" in capsys.readouterr().out
    blind = [made, f"{folder}/blind.csv", "--source", f"{folder}/pairs.h5"]
    cli.main(["card", *blind, "--pixel-scale", "0.396"])
    assert "source_chi2" in (folder / "blind.csv").read_text()


def test_ingest_matches_arrays_of_two_surveys(tmp_path, capsys):
    pairs, sky = simulate.pairs(4, seed=1), {"ra": 150 + np.arange(4) / 100, "dec": np.full(4, 2.0)}
    Table({"id": list("abcd"), **sky, "redshift": pairs.redshift}).write(tmp_path / "objects.csv")
    for name, images in (("sdss", pairs.source), ("cfhtls", pairs.target)):
        np.savez(tmp_path / f"{name}.npz", data=images)
    sides = [f"{tmp_path}/sdss.npz", f"{tmp_path}/cfhtls.npz"]
    cli.main(["ingest", f"{tmp_path}/p.h5", *sides, "--catalogue", f"{tmp_path}/objects.csv"])
    assert "4 matched" in capsys.readouterr().out
    found = data.load(tmp_path / "p.h5")
    assert (np.abs(found.source - pairs.source) < pairs.noise[:, 0, :, None, None]).all()
    np.testing.assert_allclose(found.redshift, pairs.redshift)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["card", "none.h5", "card.html"], "none.h5 is missing"),
        (["simulate", "x.h5", "-n", "-1"], "cannot be negative"),
        (["translate", "none.h5", "out.h5", "--weights", "none.safetensors"], "none.h5 is missing"),
        (["ingest", "out.h5", "nowhere", "nowhere"], "nowhere is no folder"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as error:
        cli.main(arguments)
    assert "\n" not in str(error.value) and not list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize("command", ["simulate", "ingest", "translate", "card", "download"])
def test_every_command_has_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    example = capsys.readouterr().out.split("example: galtools ")[1].split()
    assert example[0] == command
    cli.parser().parse_args(example)
