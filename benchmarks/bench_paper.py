"""The sizes of `paper` on the CPU: two steps of every network, on stamps of the native grid.

Crops, steps and learning rate are those of workflow/paper.yaml, on SDSS stamps of 64 pixels and
CFHTLS stamps of 136; only the batch is smaller. It shows that the profile runs, what a step costs
on one core, how much memory it takes and that its losses are finite. It says nothing about a GPU.
The table is kept in benchmarks/paper.json.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
import yaml

from galtools import artefacts, models, simulate
from galtools.models.base import count_parameters
from galtools.training import train
from galtools.training.loop import Settings

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(__file__).parent / "paper.json"
BATCH, STEPS, GALAXIES = 4, 2, 8
CHANGES = {"srgan": {"start": 0.5}, "diffusion": {"start": 0.5}}
RUNS = {name.split("_")[1]: name for name in
        ("11_residual", "12_swin", "13_srgan", "14_capsule", "15_diffusion")}  # fmt: skip


def exercised(model: str, values: dict, pairs) -> dict:
    """Take two steps of a network and validate it; every group is updated."""
    torch.manual_seed(0)
    changes = CHANGES.get(model, {})
    network = models.build(model, "cross", "paper", **changes)
    settings = Settings(steps=STEPS, batch=BATCH, crop=values["crop"], checks=1)
    began = time.process_time()
    last = train.train(network, pairs, pairs[slice(0, 2)], settings, device="cpu")[-1]
    seconds = time.process_time() - began
    assert all(value == value for value in last.values()), f"{model}: not a number"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "model": model, "parameters": count_parameters(network), "CPU seconds": round(seconds, 1),
        "memory so far, GiB": round(peak, 2), **values, "batch here": BATCH,
        "losses": {name: round(value, 4) for name, value in last.items()
                   if name.split("_")[0] in network.optimizer_groups()},
    }  # fmt: skip


def main() -> None:
    """Exercise every network and keep the table."""
    sizes = yaml.safe_load((ROOT / "workflow" / "paper.yaml").read_text())
    pairs = simulate.pairs(GALAXIES, seed=0, grid=sizes["01_two_surveys"]["grid"])
    assert (pairs.source.shape[-1], pairs.target.shape[-1]) == (64, 136)
    rows = []
    for model, run in RUNS.items():
        rows.append(exercised(model, sizes[run], pairs))
        print(rows[-1], flush=True)
    about = {
        "galaxies": GALAXIES, "steps": STEPS, "device": "cpu", "threads": torch.get_num_threads(),
        "versions": artefacts.package_versions(), "python": sys.version.split()[0],
    }  # fmt: skip
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
