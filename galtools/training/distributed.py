"""Several processes of this machine that train one network, one per GPU.

All processes make the same batch from the same random numbers, each keeps every `world_size`-th
galaxy of it, and gradients are averaged before each step. So the weights are those of one process
with the same batch, up to rounding. In a single process these functions change nothing.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from galtools.errors import GaltoolsError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)  # that the launcher takes


def world_size() -> int:
    """Number of processes that share this training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes and prints."""
    return rank() == 0


def shard_batch(batch):
    """This process's part of a `Batch`: galaxies rank, rank + world_size, ... of every tensor."""
    if world_size() == 1:
        return batch
    size = len(batch.source)
    if size % world_size():
        raise GaltoolsError(
            f"a batch of {size} cannot be shared by {world_size()} processes equally"
        )
    tensors = {name: x for name, x in vars(batch).items() if isinstance(x, torch.Tensor)}
    shards = {name: x[rank() :: world_size()] for name, x in tensors.items()}
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
    return requested_processes() > 1 and not dist.is_initialized()


def run(function: Callable, *args):
    """Value of ``function(device, *args)`` in the first of several processes that torch starts."""
    count = requested_processes()
    start = LaunchConfig(
        1, 1, count, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0
    )
    threads = max(1, torch.get_num_threads() // count)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        return elastic_launch(start, _join)(threads, function, *args)[0]
    except ChildFailedError as error:
        reason = error.get_first_failure()[1].message  # a dictionary where Python raised it
        reason = reason["message"] if isinstance(reason, dict) else reason
        raise GaltoolsError(f"training in {count} processes failed: {reason}") from None
    finally:  # a kernel has to end as it did before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _join(threads: int, function: Callable, *args):
    """Call a function as one of the processes, on a device of its own."""
    torch.set_num_threads(threads)
    gpu, local = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        return function(torch.device("cuda", local) if gpu else torch.device("cpu"), *args)
    finally:
        dist.destroy_process_group()
