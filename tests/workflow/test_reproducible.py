"""Same seed, same machine: the same bits; another number of threads: the same to rounding."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from blobs import blobs
from test_pipeline import Project

from galtools import artefacts, models, simulate
from galtools.errors import GaltoolsError
from galtools.training import train
from galtools.training.loop import Settings

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
import pipeline  # noqa: E402
import reproduce  # noqa: E402

CHAPTERS = list(pipeline.load("tiny", ROOT))
SOME = ["11_residual"]  # with the data that it needs: two notebooks
# these show what others made; the first as long as some kept weights are missing
SHOW = ("17_long_trainings", "26_touch", "27_claims")
CHOSEN = CHAPTERS if os.environ.get("GALTOOLS_REPRODUCE") == "all" else SOME


def again(folder: Path, *runs: Path, code: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, str(code / "workflow" / "reproduce.py"), *map(str, runs)]
    return subprocess.run(
        [*command, "--folder", str(folder)],
        env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.pipeline
def test_tiny_runs_come_out_the_same_from_their_manifests_alone(tiny, tmp_path):
    """Every artefact; GALTOOLS_REPRODUCE=all does so for every run of the book."""
    folder = tiny / "results" / "tiny" / "notebooks"
    done = again(tmp_path, *(folder / f"{run}.ipynb" for run in CHOSEN))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("artefacts are the same") == len(CHOSEN)
    assert "changed since" not in done.stdout
    for run in CHOSEN:
        record = json.loads((folder / f"{run}.ipynb.manifest.json").read_text())
        assert record["artefacts"] or run in SHOW
        for name in record["artefacts"]:
            pair = tiny / "results" / "tiny" / name, tmp_path / "runs" / run / "tiny" / name
            assert timeless(pair[0]) == timeless(pair[1]), name


def timeless(path: Path):
    """Contents of an artefact without its seconds, read by none of the readers that are judged."""
    if path.suffix == ".json":
        return json.loads(path.read_text(), object_pairs_hook=without_seconds)
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            return [without_seconds(row.items()) for row in csv.DictReader(file)]
    return path.read_bytes()


def without_seconds(items) -> list:
    return [pair for pair in items if pair[0] != "seconds"]


@pytest.fixture
def threads():
    """Set the number of threads of torch, and set it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_other_thread_counts_change_a_training_by_rounding_only(threads):
    settings, weights = Settings(steps=3, batch=8, crop=16, rate=0.01, checks=1), []
    for count in (1, 2):
        threads(count)
        torch.manual_seed(0)
        network = models.build("residual", "cross", "tiny")
        start = {name: value.clone() for name, value in network.state_dict().items()}
        train.train(network, blobs(), blobs(), settings)
        weights.append(network.state_dict())
    one, two = weights
    way = max(float((one[name] - start[name]).abs().max()) for name in one)
    gap = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert way > 1e-3
    assert gap < 1e-4 * way


def test_other_thread_counts_change_the_simulation_by_rounding_only(threads):
    images = []
    for count in (1, 2):
        threads(count)
        images.append(simulate.pairs(2, seed=3, grid="sdss").target)
    assert np.abs(images[0] - images[1]).max() < 1e-5 * np.abs(images[0]).max()


@pytest.mark.notebook
def test_a_run_is_executed_again_from_its_manifest_and_changes_are_named(tmp_path):
    project = Project(tmp_path / "project")
    project.ran()
    run = project.results / "tiny" / "notebooks" / "b.ipynb"
    done = again(tmp_path / "again", run, code=project.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "notebooks: 2 runs, 0 of them current" in done.stdout  # with the run that it needs
    assert "tables/b.csv: same bytes" in done.stdout
    assert (tmp_path / "again" / "runs" / "b" / "tiny" / "tables" / "b.csv").read_text() == "xxxxxx"
    # the profile's values stand in the manifest: another profile file changes nothing
    project.write("workflow/tiny.yaml", "a: {size: 9}\n")
    project.edit("notebooks/b.py", "2 * text", "3 * text")
    done = again(tmp_path / "again", run, code=project.folder)
    assert done.returncode == 1
    assert (tmp_path / "again" / "runs" / "b" / "tiny" / "tables" / "b.csv").read_text() == "x" * 9
    assert "changed since: the notebook's code" in done.stdout


# --- comparing


def verdict(tmp_path, old: dict, new: dict):
    paths = [tmp_path / name / "t.csv" for name in ("old", "new")]
    for path, columns in zip(paths, (old, new), strict=True):
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame(columns).to_csv(path, index=False)
    return reproduce.verdict(*paths, artefacts.sha256(paths[0]))


def test_artefacts_are_compared_byte_by_byte_then_number_by_number(tmp_path):
    old = {"x": [1.0, -4.0], "name": ["a", "b"], "seconds": [1.0, 2.0]}
    assert verdict(tmp_path, old, old) == (True, "same bytes")
    slower = {**old, "seconds": [9.0, 9.0]}
    assert verdict(tmp_path, old, slower) == (True, "same numbers but for the clock")
    same, words = verdict(tmp_path, old, {**old, "x": [1.0, -4.1]})
    assert not same and words == "differs by up to 0.025 of the largest number"
    for other in ({**slower, "name": ["a", "c"]}, {"x": [1.0, -4.0]}, {**slower, "x": [1.0, "x"]}):
        assert verdict(tmp_path, old, other) == (False, "differs")


COLUMNS = {  # pairs that are not the same, however close
    "infinite": ([np.inf, 1.0], [np.inf, 1000.0]),
    "sign of infinity": ([np.inf, 1.0], [-np.inf, 1.0]),
    "becomes infinite": ([2.0, 1.0], [np.inf, 1.0]),
    "becomes NaN": ([2.0, 1.0], [np.nan, 1.0]),
    "NaN moves": ([np.nan, 1.0, 2.0], [1.0, np.nan, 2.0]),
    "hidden by NaN": ([np.nan, 1.0], [np.nan, 2.0]),
    "ids": ([1237651191354687500], [1237651191354687501]),
    "largest integers": ([2**64 - 1], [2**64 - 2]),
    "integers and floats": ([1, 2], [1.0, 2.0]),
    "huge": ([1e308], [-1e308]),
    "tiny": ([1e300, 1e-320], [1e300, 2e-320]),
    "truth": ([True, False], [True, True]),
    "words": (["a"], ["b"]),
    "missing or a word": ([None], ["nan"]),
}


@pytest.mark.parametrize("ending", ["csv", "json"])
@pytest.mark.parametrize("case", COLUMNS)
def test_only_the_same_numbers_are_the_same_whatever_the_clock_says(tmp_path, case, ending):
    one, other = COLUMNS[case]
    for name, values, seconds in (("one", one, 1), ("slow", one, 2), ("other", other, 2)):
        columns = {"x": values, "seconds": [seconds] * len(values)}
        if ending == "csv":
            pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
        else:
            (tmp_path / f"{name}.json").write_text(json.dumps(columns))
    one, slow, other = (tmp_path / f"{name}.{ending}" for name in ("one", "slow", "other"))
    assert reproduce.verdict(one, slow, artefacts.sha256(one))[0]
    assert not reproduce.verdict(one, other, artefacts.sha256(one))[0]
    assert not reproduce.verdict(other, one, artefacts.sha256(other))[0]


def test_the_gap_is_the_largest_difference():
    one = {"x": np.array([1.0, -4.0, np.nan]), "n": np.arange(3.0)}
    assert reproduce.gap(one, one) == 0
    assert reproduce.gap(one, {**one, "x": np.array([1.0, -4.1, np.nan])}) == pytest.approx(0.025)
    for x in ([1.0, -4.0, 0.0], [np.inf, -4.0, np.nan], [1.0, -4.0]):
        assert reproduce.gap(one, {**one, "x": np.array(x)}) == np.inf


@pytest.mark.parametrize("change", ["scale", "numbers", "nothing"])
def test_attributes_and_data_sets_of_hdf5_are_compared(tmp_path, change):
    for name in ("old", "new"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_group("group")["x"] = np.arange(5.0)
            if name == "new" and change == "numbers":
                file["group/x"][4] = 4.1
            file["group"].attrs["scale"] = 0.187 if (name, change) == ("new", "scale") else 0.396
    old, new = tmp_path / "old.h5", tmp_path / "new.h5"
    words = {"scale": "differs", "nothing": "same bytes",
             "numbers": "differs by up to 0.025 of the largest number"}[change]  # fmt: skip
    assert reproduce.verdict(old, new, artefacts.sha256(old)) == (change == "nothing", words)


def test_what_is_gone_is_said(tmp_path):
    assert reproduce.verdict(tmp_path / "a", tmp_path / "b", "0") == (False, "was not made")
    (tmp_path / "b").touch()
    assert "the first file is gone" in reproduce.verdict(tmp_path / "a", tmp_path / "b", "0")[1]


def test_manifests_that_contradict_each_other_are_refused(tmp_path):
    plain = {"notebook": "a", "parameters": {}, "needs": [], "cores": 2}
    one = {**plain, "run": "a", "parameters": {"n": 1}, "ancestors": {}}
    two = {**one, "run": "b", "ancestors": {"a": plain}}
    both = [{**record, "profile": "tiny"} for record in (one, two)]
    with pytest.raises(GaltoolsError, match="differ on a: reproduce them one by one"):
        reproduce.plan(both, tmp_path / "plan.json")
    with pytest.raises(GaltoolsError, match="of several profiles"):
        reproduce.plan([both[0], {**both[0], "profile": "quick"}], tmp_path / "plan.json")
    assert list(tmp_path.iterdir()) == []


def test_every_run_is_given_the_cores_that_it_had(tmp_path):
    plain = {"notebook": "a", "parameters": {}, "needs": []}
    one = {**plain, "run": "b", "profile": "tiny", "cores": 1}
    file = tmp_path / "plan.json"
    reproduce.plan([{**one, "ancestors": {"a": {**plain, "cores": 2}}}], file)
    cores = {name: entry["cores"] for name, entry in json.loads(file.read_text())["runs"].items()}
    assert cores == {"a": 2, "b": 1}


RECORD = {"run": "a", "profile": "tiny", "notebook": "31_toy", "parameters": {}, "needs": [],
          "ancestors": {}, "cores": 1, "code": {}, "artefacts": {}, "sha256": ""}  # fmt: skip


def record(folder: Path, **changes) -> Path:
    """Notebook whose record is as given."""
    (folder / "notebooks").mkdir(exist_ok=True)
    file = folder / "notebooks" / "a.ipynb"
    artefacts.write_json(artefacts.manifest_path(file), RECORD | changes)
    return file


def test_a_folder_of_other_things_is_not_emptied(tmp_path):
    with pytest.raises(GaltoolsError, match="holds other things"):
        reproduce.reproduce([record(tmp_path)], tmp_path, 1)
    assert (tmp_path / "notebooks").exists()


ENTRY = {name: RECORD[name] for name in ("notebook", "parameters", "needs")}


@pytest.mark.parametrize(
    "changed",
    [
        *({"run": name} for name in ("../a", "/tmp/a", "", "a b", "-a", "a\n", 1, None, ["a"])),
        *({"ancestors": {name: ENTRY}} for name in ("../b", "/b", "")),
        *({"ancestors": {"b": entry}} for entry in ([], None, {}, {**ENTRY, "notebook": "../b"})),
        *({"notebook": name} for name in ("../a", "none", 1)),
        *({"artefacts": {name: "0" * 64}} for name in ("../../b", "/etc/passwd")),
        *({name: 1} for name in RECORD if name not in ("cores", "sha256")),
        {"profile": "../tiny"},
    ],
    ids=str,
)
def test_a_record_that_leads_elsewhere_touches_nothing(tmp_path, monkeypatch, changed):
    monkeypatch.setattr(reproduce.pipeline, "RESULTS", tmp_path / "results")
    with pytest.raises(GaltoolsError):
        reproduce.reproduce([record(tmp_path, **changed)], None, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]


def test_a_manifest_of_something_else_is_refused(tmp_path):
    with pytest.raises(GaltoolsError, match="is missing"):
        reproduce.read(tmp_path / "run.ipynb")
    (tmp_path / "run.ipynb").touch()
    with pytest.raises(GaltoolsError, match="papermill alone does not; list the notebook"):
        reproduce.read(tmp_path / "run.ipynb")
    (tmp_path / "run.ipynb.manifest.json").write_text(json.dumps({"sha256": "x"}))
    with pytest.raises(GaltoolsError, match="is not the manifest of a run"):
        reproduce.read(tmp_path / "run.ipynb.manifest.json")
