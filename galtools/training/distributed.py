"""Several processes that train one network: each takes its share of every batch.

Started by torchrun (one process per GPU or per node), or not at all: alone, every function here
does nothing. All processes draw the same global batch from the same random numbers, and each keeps
every `count`-th galaxy of it; gradients are averaged before each step. So no galaxy is lost or
seen twice, and the weights are those of one process with the same batch, up to the order in which
floating-point numbers are added.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import fields, is_dataclass, replace
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
    """Tell whether this process is the one that writes and prints."""
    return rank() == 0


def init() -> torch.device:
    """Join the processes that torchrun started; return the device of this one."""
    gpu = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", 0))
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if gpu else "gloo")
    if gpu:
        torch.cuda.set_device(local)
    return torch.device("cuda", local) if gpu else torch.device("cpu")


def shutdown() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def shard_batch(batch, size: int):
    """Keep this process's galaxies of a batch: numbers rank, rank + count, ... of every tensor."""
    if world_size() == 1:
        return batch
    if size % world_size():
        raise GaltoolsError(
            f"a batch of {size} cannot be shared by {world_size()} processes equally"
        )
    if not is_dataclass(batch):
        raise GaltoolsError("a batch must be a dataclass of tensors to be shared among processes")
    tensors = {
        field.name: value[rank() :: world_size()]
        for field in fields(batch)
        if isinstance(value := getattr(batch, field.name), torch.Tensor)
    }
    return replace(batch, **tensors)


def random_shard(make, shape: tuple) -> torch.Tensor:
    """Draw random numbers for this process's galaxies, ``make(shape)`` being called for all.

    So each galaxy gets the numbers that it would get in one process.
    """
    return make((shape[0] * world_size(), *shape[1:]))[rank() :: world_size()]


def all_reduce_mean(tensors: list) -> list:
    """Average tensors over the processes in one message; None (no gradient) stays None."""
    if world_size() == 1:
        return list(tensors)
    there = [tensor for tensor in tensors if tensor is not None]
    flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in there])
    dist.all_reduce(flat)
    parts = iter((flat / world_size()).split([tensor.numel() for tensor in there]))
    return [None if t is None else next(parts).view_as(t).to(t.dtype) for t in tensors]


def broadcast(thing):
    """Return what the first process says, in every process."""
    if world_size() == 1:
        return thing
    box = [json.dumps(thing)]
    dist.broadcast_object_list(box)
    return json.loads(box[0])


def requested_processes() -> int:
    """Processes to train with: GALTOOLS_PROCESSES, or else one per GPU of this machine."""
    text = os.environ.get("GALTOOLS_PROCESSES", "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise GaltoolsError(f"GALTOOLS_PROCESSES must be a positive number, not {text!r}")
    return int(text) if text else max(1, torch.cuda.device_count())


def needs_launch() -> bool:
    """Tell whether a training that starts here belongs into several processes."""
    several = "GALTOOLS_LAUNCH" in os.environ or requested_processes() > 1
    return several and not dist.is_initialized()


def launch(module: str, task: dict, folder: Path) -> dict:
    """Run ``module`` on a task in several processes; return the report that the first one leaves.

    On one machine torchrun starts them. For several, GALTOOLS_LAUNCH holds the whole launcher, as
    in ``srun torchrun --nnodes 2 --nproc-per-node 4 ...``; `folder` has to be seen by all.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".processes-") as shared:
        file, report = Path(shared) / "task.json", Path(shared) / "report.json"
        file.write_text(json.dumps({**task, "report": str(report)}, default=os.fspath))
        command = [*launcher(), "-m", module, str(file)]
        done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True)
        if done.returncode:
            lines = re.findall(r"GaltoolsError: (.*)", done.stderr)
            raise GaltoolsError(
                f"training in several processes failed: {lines[0] if lines else done.stderr[-900:]}"
            )
        return json.loads(report.read_text())


def launcher() -> list[str]:
    """Command that starts the processes; a module and its arguments follow."""
    if given := os.environ.get("GALTOOLS_LAUNCH"):
        return shlex.split(given)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    return [*torchrun, f"--nproc-per-node={requested_processes()}"]


def environment() -> dict[str, str]:
    """Environment of the processes: they share the cores that this one has."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
    return {**os.environ, "OMP_NUM_THREADS": str(max(1, threads // requested_processes()))}
