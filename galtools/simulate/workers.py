"""Several processes that work in order for one reader.

Large arrays come back through files that are written over and over: the system keeps their pages,
so that an array costs two copies in memory, where a pipe costs four and fresh pages. No process
runs further ahead of the reader than there are files: memory stays flat however slow the reader is.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import resource_tracker

from galtools.errors import GaltoolsError

AHEAD = 4  # results per process that may wait for the reader
LARGE = 1 << 16  # bytes from which an array goes through a file
IDLE = 300  # seconds after which processes without work end
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def in_order(work: Callable, jobs: Iterable, workers: int) -> Iterator:
    """Yield work(job) of every job, in the order of the jobs.

    What goes through the files are arrays that are fields of a dataclass, such as `Pairs`.
    """
    with _files(AHEAD * workers) as files:
        ahead: deque = deque()
        try:
            for job, file in zip(jobs, cycle(files), strict=False):
                if len(ahead) == len(files):
                    yield _take(*ahead.popleft())
                ahead.append((_processes(workers).submit(_give, work, job, file), file))
            while ahead:
                yield _take(*ahead.popleft())
        except BrokenProcessPool as error:
            _processes.cache_clear()
            raise GaltoolsError(
                "a process was killed while it made galaxies, most often for want of memory: "
                "ask for fewer workers"
            ) from error
        finally:  # nobody may write to a file of a folder that goes
            wait([future for future, _ in ahead if not future.cancel()])


@contextmanager
def _files(count: int) -> Iterator[list[Path]]:
    """Empty files that go when they are no longer needed, or when this process is killed.

    Then a watcher removes them, which joblib's processes have anyway and no ordinary signal ends.
    """
    with TemporaryDirectory(prefix="galtools") as folder:
        resource_tracker.register(folder, "folder")
        files = [Path(folder, str(number)) for number in range(count)]
        for file in files:
            file.touch()
        try:
            yield files
        finally:
            resource_tracker.unregister(folder, "folder")


@cache
def _processes(workers: int) -> ProcessPoolExecutor:
    """Processes of our own: those that joblib shares end when it is asked for another number."""
    return ProcessPoolExecutor(workers, timeout=IDLE, env=ALONE)


@dataclass
class _Filed:
    """Stands for an array that lies in the file, after those before it."""

    shape: tuple[int, ...]
    dtype: np.dtype


def _give(work: Callable, job, file: Path):
    """Do the work; write the large arrays of the result to the file and return the rest.

    That is the class of a dataclass and its fields, or None and anything else.
    """
    result = work(job)
    if not is_dataclass(result):
        return None, result
    parts = dict(vars(result))
    with open(file, "r+b") as pages:  # not "wb": that would give the pages back
        for name, value in parts.items():
            if isinstance(value, np.ndarray) and value.nbytes >= LARGE:
                pages.write(np.ascontiguousarray(value))
                parts[name] = _Filed(value.shape, value.dtype)
    return type(result), parts


def _take(future, file: Path):
    """Put a result together again."""
    kind, parts = future.result()
    if kind is None:
        return parts
    with open(file, "rb") as pages:
        for name, value in parts.items():
            if isinstance(value, _Filed):
                flat = np.fromfile(pages, value.dtype, math.prod(value.shape))
                parts[name] = flat.reshape(value.shape)
    return kind(**parts)
