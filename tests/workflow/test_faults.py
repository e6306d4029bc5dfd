"""Whatever breaks on the way: started again, the results are those of an undisturbed run."""

import itertools
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blobs import blobs
from test_grid import GridProject

from galtools import artefacts, data
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.training import loop, train
from galtools.training.loop import Settings, Trainer

ROOT = Path(__file__).resolve().parents[2]
SHORT = Settings(steps=6, batch=4, crop=8, checks=2)
BUILD = {"name": "residual", "task": "cross", "profile": "tiny"}


@pytest.mark.notebook
def test_killed_at_random_moments_every_step_leaves_the_same_bytes(tmp_path):
    """A short soak; benchmarks/soak.json keeps the results of longer ones, pages included."""
    report = tmp_path / "soak.json"
    soak = str(ROOT / "benchmarks" / "soak.py")
    done = subprocess.run(
        [sys.executable, soak, "--kills", "10", "--out", str(report),
         "--steps", "data", "training", "translating", "measuring", "drawing",
         "downloading"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["kills"] == 10 and found["artefacts"] == 10
    assert found["different"] == found["made anew afterwards"] == []


def test_the_long_soak_that_is_kept_was_clean():
    kept = json.loads((ROOT / "benchmarks" / "soak.json").read_text())
    kills = {name: step["kills"] for name, step in kept["steps"].items()}
    assert set(kills) == {
        "data", "training", "translating", "measuring", "drawing", "rendering", "downloading",
    }  # fmt: skip
    assert sum(kills.values()) == kept["kills"] >= 100 and min(kills.values()) >= 14
    assert kept["different"] == kept["made anew afterwards"] == []
    assert kept["packages"] and kept["code"]  # what it was measured on


def files(folder: Path) -> list[Path]:
    paths = [folder / "train.h5", folder / "valid.h5"]
    for path in paths:
        data.save(blobs(), path)
    return paths


def once(folder: Path) -> str:
    """Train in a folder; return the hash of the weights."""
    train.train_cached(folder / "net", BUILD, SHORT, *files(folder))
    return artefacts.sha256(folder / "net" / "weights.safetensors")


@pytest.fixture
def straight(tmp_path):
    """Hash of the weights of an undisturbed training."""
    (tmp_path / "straight").mkdir()
    return once(tmp_path / "straight")


def stop_at(step: int, monkeypatch) -> None:
    """Let the next training end at a step, as an interruption would."""
    training_step = Trainer.training_step

    def stopped(self, make_batch):
        if self.step == step:
            raise KeyboardInterrupt
        return training_step(self, make_batch)

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(Trainer, "training_step", stopped)


@pytest.fixture
def halfway(tmp_path, monkeypatch):
    """Folder of a training that was interrupted, with its checkpoint."""
    folder = tmp_path / "halfway"
    folder.mkdir()
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            once(folder)
    assert (folder / "net" / "checkpoint.safetensors").exists()
    return folder


def test_a_wall_clock_that_jumps_about_changes_no_training(tmp_path, straight, monkeypatch):
    """To 1970 and to 2096 and back, at every look; durations come from a clock that cannot."""
    jumps = itertools.cycle([4e9, 0.0, 1.7e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    (tmp_path / "jumping").mkdir()
    assert once(tmp_path / "jumping") == straight
    made = artefacts.read_manifest(tmp_path / "jumping" / "net" / "weights.safetensors")
    seconds = [row["seconds"] for row in made["extra"]["history"]]
    assert 0 <= seconds[0] <= seconds[-1] <= made["seconds"] + 1 < 1e8  # no jump is among them


def test_no_duration_is_taken_from_the_wall_clock():
    sources = [*ROOT.glob("galtools/**/*.py"), *ROOT.glob("workflow/*.py")]
    assert len(sources) > 50
    wall = re.compile(r"\btime\.time(_ns)?\(|datetime\.(now|utcnow)\(")
    assert [path.name for path in sources if wall.search(path.read_text())] == []


@pytest.mark.parametrize("damage", ["none", "flip", "cut", "empty", "text"])
def test_a_damaged_checkpoint_is_not_taken_up(straight, halfway, damage):
    path = halfway / "net" / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1  # one bit of one number
    damaged = {"none": path.read_bytes(), "flip": content, "cut": content[: len(content) // 2],
               "empty": b"", "text": b"no tensors"}  # fmt: skip
    path.write_bytes(damaged[damage])
    if damage != "none":
        with pytest.raises(GaltoolsError, match="damaged"):
            checkpoint.load(path)
    assert once(halfway) == straight


def test_a_disk_that_fills_during_a_training_costs_no_step(tmp_path, straight):
    """The limit on the size of files stands for the disk: it lets nothing of a checkpoint in."""
    folder = tmp_path / "full"
    (folder / "net").mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(GaltoolsError, match="the disk or your quota is full"):
            once(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((folder / "net").iterdir()) == []
    assert once(folder) == straight


# --- the pipeline


@pytest.mark.notebook
def test_the_same_run_started_twice_at_once_is_executed_once(tmp_path):
    """As when Slurm sends a job again whose first process is still alive."""
    project = GridProject(tmp_path / "project")
    runs = {"words": {"notebook": "1_words", "parameters": {"seed": 1}}}
    code = "import grid; from pathlib import Path; from galtools import artefacts;"
    code += f"plan = grid.plan({{'profile': 'tiny', 'runs': {runs}}});"
    code += "artefacts.write_json(Path('r/grids/g/plan.json'), plan); print(*plan['runs'])"
    place = {"env": {**project.environment(), "PYTHONPATH": f"{project.folder}:workflow"},
             "cwd": project.folder, "stdout": subprocess.PIPE, "text": True}  # fmt: skip
    name = subprocess.run([sys.executable, "-c", code], check=True, **place).stdout.strip()
    command = [sys.executable, "workflow/run_notebook.py", name, "--plan", "r/grids/g/plan.json"]
    both = [subprocess.Popen(command, **place) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert project.executed() == ["words 1 1"]
