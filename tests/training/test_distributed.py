"""Several processes train the network that one would: shares of batches, means of gradients."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from blobs import blobs
from hypothesis import given
from hypothesis import strategies as st

from galtools import artefacts, data
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.models.base import Batch
from galtools.training import distributed, train
from galtools.training.crops import normalization_of
from galtools.training.loop import Settings

ROOT = Path(__file__).resolve().parents[2]
STEPS = 6
SETTINGS = Settings(steps=STEPS, batch=4, crop=16, checks=2, precision="float32")


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "train.h5", tmp_path / "valid.h5"]
    for path in paths:
        data.save(blobs(n=12), path)
    return paths


@pytest.fixture
def regression(tmp_path):
    """Weights of a residual network, about which a diffusion model samples."""
    network = train.models.build("residual", "cross", "tiny")
    network.scaling = normalization_of(blobs(n=12))
    checkpoint.save_weights(tmp_path / "regression.safetensors", network)
    return tmp_path / "regression.safetensors"


def assert_equal_weights(alone, together, start, most=1e-4):
    """Of two trainings from the same start: equal, as measured by the way that they went."""
    ours, theirs = alone.state_dict(), together.state_dict()
    numbers = [name for name in start if ours[name].is_floating_point()]

    def rms(one, two):
        gaps = [(one[name] - two[name]).flatten() for name in numbers]
        return torch.cat(gaps).square().mean().sqrt()

    way = rms(ours, start)
    assert way > 1e-4  # it has learnt
    assert rms(ours, theirs) < most * way


def beginning(name):
    """Weights that a training begins with."""
    torch.manual_seed(SETTINGS.seed)
    return train.models.build(name, "cross", "tiny").state_dict()


def once(folder, files, name, settings=SETTINGS, mean=None):
    folder.mkdir()
    build = {"name": name, "task": "cross", "profile": "tiny"}
    made = train.train_cached(folder, build, settings, *files, mean)
    return made, checkpoint.load_weights(folder / "weights.safetensors")


@pytest.mark.pipeline
@pytest.mark.parametrize("name", ["residual", "diffusion"])
def test_two_processes_give_the_weights_of_one(tmp_path, files, name, regression, monkeypatch):
    """At the same global batch; sums in another order differ by rounding, and no more."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    mean = regression if name == "diffusion" else None
    told, alone = once(tmp_path / "one", files, name, mean=mean)
    monkeypatch.setenv("GALTOOLS_PROCESSES", "2")
    made, together = once(tmp_path / "two", files, name, mean=mean)
    assert made["key"] == told["key"]  # the same training, however it was done
    assert artefacts.is_whole(tmp_path / "two" / "weights.safetensors")
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(
        p.name for p in (tmp_path / "one").iterdir()
    )
    # a denoiser begins at zero: Adam divides its first tiny gradients, and those of biases that a
    # norm takes away, by their own size, rounding included
    most = 1e-3 if name == "diffusion" else 1e-4
    assert_equal_weights(alone, together, beginning(name), most)
    left = {"seconds"}
    if name == "diffusion":  # ratios of its samples' fluxes, few and noisy, magnify rounding
        left |= {
            key for key in made["extra"]["history"][0] if key.startswith(("sca", "col", "bias"))
        }
    losses = [[{k: v for k, v in row.items() if k not in left} for row in m["extra"]["history"]]
              for m in (told, made)]  # fmt: skip
    for one, two in zip(*losses, strict=True):
        assert {"step", "chi"} < one.keys()
        assert one == pytest.approx(two, rel=1e-4, abs=1e-6)


@pytest.mark.notebook
def test_a_notebook_under_papermill_trains_in_two_processes(tiny, tmp_path):
    """As a reader would start it; the other order of sums is the witness of two processes."""
    there, here = tiny / "results" / "tiny", tmp_path / "results" / "tiny"
    shutil.copytree(there / "data", here / "data")
    command = [Path(sys.executable).with_name("papermill"), "notebooks/11_residual.py"]
    command += [tmp_path / "out.ipynb", "-p", "profile", "tiny", "-p", "results", here.parent]
    done = subprocess.run(
        [*map(str, command), "--no-progress-bar"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GALTOOLS_PROCESSES": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    weights = "models/cross/residual/seed0/weights.safetensors"
    assert (
        artefacts.read_manifest(here / weights)["key"]
        == artefacts.read_manifest(there / weights)["key"]
    )
    alone, together = (
        artefacts.read_manifest(folder / weights)["extra"]["history"][-1]
        for folder in (there, here)
    )  # in bfloat16 the weights of one and of two processes differ by rounding
    assert together["chi"] == pytest.approx(alone["chi"], rel=0.02)
    assert together["chi"] != alone["chi"]


def test_a_batch_that_cannot_be_shared_is_one_line(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    batch = Batch(torch.ones(3), torch.ones(3), abs, abs, 0.5, torch.Generator())
    with pytest.raises(GaltoolsError, match="a batch of 3 cannot be shared by 2 processes"):
        distributed.shard_batch(batch)


@pytest.mark.pipeline
def test_a_batch_that_two_processes_cannot_share_is_refused_in_one_line(
    tmp_path, files, monkeypatch
):
    monkeypatch.setenv("GALTOOLS_PROCESSES", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(GaltoolsError, match=r"failed: .*a batch of 5 cannot be shared"):
        once(tmp_path / "two", files, "residual", replace(SETTINGS, batch=5))


@given(st.integers(1, 8), st.integers(1, 8))
def test_shares_are_the_batch_with_no_galaxy_twice_and_none_lost(each, number):
    whole = torch.arange(each * number)
    batch = Batch(whole, whole + 1000, abs, abs, 0.5, torch.Generator())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "world_size", lambda: number)
        shares = []
        for k in range(number):
            patch.setattr(distributed, "rank", lambda k=k: k)
            part = distributed.shard_batch(batch)
            assert torch.equal(part.target, part.source + 1000)
            assert part.progress == 0.5 and part.generator is batch.generator
            noise = part.random(lambda shape: torch.arange(shape[0]), (each,))
            assert torch.equal(noise, part.source)  # each galaxy keeps its own random numbers
            shares.append(part.source)
    assert {len(share) for share in shares} == {each}
    assert sorted(torch.cat(shares).tolist()) == whole.tolist()


def test_alone_nothing_is_shared():
    tensors = [torch.ones(2), None]
    batch = object()
    assert distributed.shard_batch(batch) is batch
    assert distributed.all_reduce_mean(tensors) == tensors
    assert distributed.is_main()


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5"])
def test_a_wrong_number_of_processes_is_refused(monkeypatch, text):
    monkeypatch.setenv("GALTOOLS_PROCESSES", text)
    with pytest.raises(GaltoolsError, match="must be a positive number"):
        distributed.requested_processes()
