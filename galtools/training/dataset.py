"""Training examples that stream: from a file or straight from the simulator, never all at once.

Both give ``(source, target, redshift)`` as float32 tensors. Memory holds a few batches only, so a
sample may be far larger than it: 100,000 native pairs are 45 GB of float32.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from galtools import data
from galtools.data.pairs import Pairs
from galtools.errors import GaltoolsError
from galtools.surveys import check_task

Example = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _examples(source: np.ndarray, target: np.ndarray, redshift: np.ndarray) -> list[Example]:
    arrays = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (source, target))
    return list(zip(*arrays, torch.from_numpy(np.asarray(redshift, np.float32)), strict=True))


class PairsFile(Dataset):
    """The pairs of a file, read row by row as they are asked for; give it to a DataLoader."""

    def __init__(self, path: Path, rows=None, task: str = "cross"):
        """Look at the file without reading an image; `rows` as in `galtools.data.load`."""
        self.path, self.task, self._file = Path(path), check_task(task), None
        with data.open_pairs(path) as file:
            self.redshift = file["redshift"][:]
            self.rows = data.row_indices(len(self.redshift), rows, path)

    def __len__(self):
        """Count the pairs."""
        return len(self.rows)

    def __getstate__(self):
        """Leave the open file behind: every worker opens its own."""
        return self.__dict__ | {"_file": None}

    def _read(self, rows: np.ndarray) -> list[Example]:
        if self._file is None:
            self._file = h5py.File(self.path)
        source = data.read_images(self._file["source"], rows)
        cross = self.task == "cross"
        target = data.read_images(self._file["target"], rows) if cross else source
        return _examples(source, target, self.redshift[rows])

    def __getitems__(self, indices) -> list[Example]:
        """Read a batch in one pass over the file."""
        try:
            return self._read(self.rows[np.asarray(indices, int)])
        except (OSError, KeyError, RuntimeError) as error:
            raise GaltoolsError(f"{self.path} is damaged: make or fetch it again") from error

    def __getitem__(self, index: int) -> Example:
        """Read one pair."""
        return self.__getitems__([index])[0]


class Streamed(IterableDataset):
    """Pairs made as they are needed: `maker(n, start)` gives galaxies start .. start + n.

    With the simulator, ``Streamed(partial(simulate.pairs, seed=0), n=100_000)``. Blocks come in an
    order that `shuffle` (a seed, or None for none) and the epoch fix; workers share the blocks,
    and then the order also follows from torch's own seed.
    """

    def __init__(
        self,
        maker: Callable[..., Pairs],
        n: int,
        *,
        start: int = 0,
        block: int = 64,
        task: str = "cross",
        shuffle: int | None = 0,
    ):
        """Remember what to make; nothing is made yet."""
        if n < 1 or block < 1:
            raise GaltoolsError(f"n = {n} pairs in blocks of {block}: both must be at least 1")
        self.maker, self.n, self.start, self.block = maker, n, start, block
        self.task, self.shuffle, self.epoch = task, shuffle, 0

    def __len__(self):
        """Count the pairs of one epoch."""
        return self.n

    def __iter__(self) -> Iterator[Example]:
        """Make one epoch, or this worker's share of it."""
        worker = get_worker_info()
        # a loader starts its workers anew for every epoch, with a new seed that they share
        loader_seed = worker.seed - worker.id if worker else 0
        order_of = (self.shuffle or 0, self.epoch, loader_seed)
        starts = np.arange(self.start, self.start + self.n, self.block)
        if self.shuffle is not None:
            starts = np.random.default_rng(order_of).permutation(starts)
        self.epoch += 1
        for first in starts[worker.id :: worker.num_workers] if worker else starts:
            size = min(self.block, self.start + self.n - first)
            pairs = data.for_task(self.maker(int(size), start=int(first)), self.task)
            examples = _examples(pairs.source, pairs.target, pairs.redshift)
            order = np.arange(size)
            if self.shuffle is not None:
                order = np.random.default_rng((*order_of, first)).permutation(size)
            yield from (examples[k] for k in order)
