"""The command line, as a user of the library types it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from astropy.table import Table
from blobs import blobs
from scipy.signal.windows import gaussian

from galtools import cli, data, flags, models, pretrained, simulate
from galtools.fidelity import scorecard
from galtools.models import checkpoint
from galtools.surveys import SURVEYS
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
    np.savez(folder / "alone.npz", data=data.load(folder / "pairs.h5").source)
    alone = [made, f"{folder}/alone.csv", "--source", f"{folder}/alone.npz"]
    cli.main(["card", *alone, "--pixel-scale", "0.396", "--survey-from", "SDSS"])
    chi2 = [Table.read(folder / f"{name}.csv")["value"][2] for name in ("blind", "alone")]
    assert chi2[1] == pytest.approx(chi2[0], rel=0.3)  # noise and seeing are estimates


@pytest.mark.parametrize("kept", [False, True])
def test_translate_uses_the_best_device(folder, monkeypatch, kept):
    """Weights from a file and kept ones alike."""
    network = models.build("residual", "cross", "tiny")
    network.scaling, devices = SimpleNamespace(step=1), []

    def translate(network, images, *args, **options):
        devices.append(next(network.parameters()).device.type)
        return images

    monkeypatch.setattr(cli, "best_device", lambda: torch.device("meta"))
    monkeypatch.setattr(cli.translation, "translate", translate)
    monkeypatch.setattr(pretrained, "load", lambda *_: network)
    options = [] if kept else ["--weights", f"{folder}/weights.safetensors"]
    cli.main(["translate", f"{folder}/pairs.h5", f"{folder}/device.h5", *options])
    assert devices == ["meta"]


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


SURVEY = """
[{name}]
bands = ["F435W", "J", "Ks2"]
pixel_scale = 0.4
zero_point = 25.0
psf_fwhm = [1.0, 1.0, 1.0]
sky_noise = [{noise}, {noise}, {noise}]
filters = ["4000-5000", "5500-6500", "7000-8500"]
electrons_per_nanomaggy = [900, 900, 900]
"""


def test_other_surveys_with_maps_on_rectangles_go_all_the_way(tmp_path, monkeypatch):
    """Three bands of odd names, 48 x 64 pixels: ingest, a training, translation and both cards."""
    monkeypatch.setattr("galtools.surveys.SURVEYS", dict(SURVEYS))
    names, galaxies = {"Alpha": 0.03, "Beta": 0.01}, blobs(n=12, size=64, bands=3)
    described = "".join(SURVEY.format(name=name, noise=x) for name, x in names.items())
    (tmp_path / "surveys.toml").write_text(described)
    psf = np.outer(gaussian(15, 1.5), gaussian(15, 1.5))
    sky = {"ra": 150 + np.arange(12) / 100, "dec": np.full(12, 2.0), "z": galaxies.redshift}
    for (name, noise), images in zip(
        names.items(), (galaxies.source, galaxies.target), strict=True
    ):
        cube = np.moveaxis(images[:, :, 8:56], 1, 3)
        masked = np.zeros(cube.shape, bool)
        masked[:, 3, 4] = True
        cube[masked] = 1e3
        err = np.full(cube.shape, noise, "f4")
        content = {"img": cube, "err": err, "dq": masked, "bands": "F435W J Ks2", **sky}
        np.savez(tmp_path / f"{name}.npz", psf=psf, **content)
    files = {name: f"{tmp_path}/{name}" for name in ("pairs.h5", "made.h5", "w.safetensors")}
    sides = [f"{tmp_path}/{name}.npz" for name in names]
    known = ["--surveys", f"{tmp_path}/surveys.toml"]
    layout = ["key=img", "axes=nyxb", "sigma_map=err", "mask=dq"]
    given = ["--source-names", *layout, "--target-names", *layout, *known]
    from_to = ["--survey-from", "Alpha", "--survey-to", "Beta"]
    cli.main(["ingest", files["pairs.h5"], *sides, *given, *from_to])
    pairs = data.load(files["pairs.h5"])
    assert pairs.target.shape == (12, 3, 48, 64)
    assert flags.good(pairs.catalogue).all()
    network = models.build("flux_corrected", "cross", "tiny", (3, 3))
    history = train.train(network, pairs, pairs, Settings(steps=2, batch=2, crop=32))
    assert np.isfinite(history[-1]["chi"])
    checkpoint.save_weights(files["w.safetensors"], network)
    cli.main(
        ["translate", files["pairs.h5"], files["made.h5"], "--weights", files["w.safetensors"]]
    )
    truth, source = (["--" + side, files["pairs.h5"]] for side in ("truth", "source"))
    for card, options in (("full", [*truth, *source]), ("blind", [*source, "--survey", "Beta"])):
        out = tmp_path / f"{card}.json"
        cli.main(["card", files["made.h5"], str(out), *options, *known, "--morphology", "2"])
        content = scorecard.load(out)
        assert {*content.table.band} >= {"F435W", "J", "Ks2"}
        assert np.isfinite(content.table.query("metric in ['mae', 'source_chi2']").value).all()
        if card == "full":
            assert content.about["PSF of the truth"] == "images, 15 x 15 pixels"
            assert content.get("mae", "J").value < 1  # though masked pixels are wrong by 1000
        else:
            assert "the widths are used" in content.notes[0]


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
