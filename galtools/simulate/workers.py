"""Several processes that work in order for one reader.

Large arrays come back through files that are written over and over: the system keeps their pages,
so that an array costs two copies in memory, where a pipe costs four and fresh pages. No process
runs further ahead of the reader than there are files: memory stays flat however slow the reader is.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor

from galtools.errors import GaltoolsError

AHEAD = 4  # results per process that may wait for the reader
LARGE = 1 << 16  # bytes from which an array goes through a file
IDLE = 300  # seconds after which processes without work end
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def in_order(work: Callable, jobs: Iterable, workers: int) -> Iterator:
    """Yield work(job) of every job, in the order of the jobs."""
    with TemporaryDirectory(prefix="galtools") as folder:
        files = [Path(folder, str(number)) for number in range(AHEAD * workers)]
        for file in files:
            file.touch()
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


@cache
def _processes(workers: int) -> ProcessPoolExecutor:
    """Processes of our own: those that joblib shares end when it is asked for another number."""
    return ProcessPoolExecutor(workers, timeout=IDLE, env=ALONE)


def _give(work: Callable, job, file: Path) -> tuple[bytes, list[int]]:
    """Do the work; write its large arrays to the file and return the rest."""
    large: list[pickle.PickleBuffer] = []

    def stays(array: pickle.PickleBuffer) -> bool:
        """Tell whether an array stays in the pickle; collect it if not."""
        small = array.raw().nbytes < LARGE
        if not small:
            large.append(array)
        return small

    rest = pickle.dumps(work(job), protocol=5, buffer_callback=stays)
    with open(file, "r+b") as pages:  # not "wb": that would give the pages back
        for array in large:
            pages.write(array.raw())
    return rest, [array.raw().nbytes for array in large]


def _take(future, file: Path):
    """Put a result together again."""
    rest, sizes = future.result()
    with open(file, "rb") as pages:
        return pickle.loads(rest, buffers=[np.fromfile(pages, np.uint8, size) for size in sizes])
