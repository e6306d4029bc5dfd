"""Several processes that train one network, started by torchrun: one per GPU or per node.

All processes draw the same batch from the same random numbers, each keeps every `world_size`-th
galaxy of it, and gradients are averaged before each step. So the weights are those of one process
with the same batch, up to rounding. In a single process these functions change nothing.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import torch
import torch.distributed as dist

from galtools.errors import GaltoolsError


def world_size() -> int:
    """Number of processes that share this training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes and prints."""
    return rank() == 0


def init() -> torch.device:
    """Join the processes that torchrun started; return the device of this one."""
    gpu, local = torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", 0))
    if gpu:
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if gpu else "gloo")
    return torch.device("cuda", local) if gpu else torch.device("cpu")


def shard_batch(batch):
    """This process's part of a `Batch`: galaxies rank, rank + world_size, ... of every tensor."""
    if world_size() == 1:
        return batch
    size = len(batch.source)
    if size % world_size():
        raise GaltoolsError(
            f"a batch of {size} cannot be shared by {world_size()} processes equally"
        )
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    shards = {
        name: value[rank() :: world_size()]
        for name, value in values.items()
        if isinstance(value, torch.Tensor)
    }
    return replace(batch, **shards, shard=(rank(), world_size()))


def all_reduce_mean(tensors: list) -> list:
    """Average tensors over the processes in one message; None (no gradient) stays None."""
    if world_size() == 1:
        return list(tensors)
    given = [tensor for tensor in tensors if tensor is not None]
    flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in given])
    dist.all_reduce(flat)
    parts = iter((flat / world_size()).split([tensor.numel() for tensor in given]))
    return [None if t is None else next(parts).view_as(t).to(t.dtype) for t in tensors]


def requested_processes() -> int:
    """Processes to train with: GALTOOLS_PROCESSES, or else one per GPU of this machine."""
    text = os.environ.get("GALTOOLS_PROCESSES", "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise GaltoolsError(f"GALTOOLS_PROCESSES must be a positive number, not {text!r}")
    return int(text) if text else max(1, torch.cuda.device_count())


def needs_launch() -> bool:
    """Whether a training that starts in this process is to run in several."""
    several = "GALTOOLS_LAUNCH" in os.environ or requested_processes() > 1
    return several and not dist.is_initialized()


def launcher() -> list[str]:
    """Command that starts the processes; a module and its arguments follow."""
    if given := os.environ.get("GALTOOLS_LAUNCH"):
        return shlex.split(given)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    return [*torchrun, f"--nproc-per-node={requested_processes()}"]


def launch(module: str, task: dict, folder: Path) -> dict:
    """Run ``python -m module task.json`` in several processes; return the report that they leave.

    On one machine torchrun starts them. For several, GALTOOLS_LAUNCH holds the whole launcher, as
    in ``srun torchrun --nnodes 2 --nproc-per-node 4 ...``; `folder` has to be seen by all. The task
    holds the path of the report: a JSON file, with the message of a failure as "error".
    """
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()) // requested_processes()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".processes-") as shared:
        file, report = Path(shared) / "task.json", Path(shared) / "report.json"
        file.write_text(json.dumps({**task, "report": report}, default=os.fspath))
        done = subprocess.run(
            [*launcher(), "-m", module, str(file)], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(max(1, threads))},
        )  # fmt: skip
        made = json.loads(report.read_text()) if report.exists() else {"error": done.stderr[-900:]}
    if "error" in made:
        raise GaltoolsError(f"training in several processes failed: {made['error']}")
    return made
