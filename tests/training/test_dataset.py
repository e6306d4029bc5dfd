"""Streaming: the right pairs, once each, with a few batches of memory."""

import tracemalloc
from functools import partial

import h5py
import numpy as np
import pytest
import torch
from astropy.table import Table
from torch.utils.data import DataLoader

from galtools import data
from galtools.data.pairs import Pairs
from galtools.errors import GaltoolsError
from galtools.training.dataset import PairsFile, Streamed


def numbered(n, start=0, size=4):
    """Make pairs whose every pixel is the galaxy's number."""
    number = np.arange(start, start + n, dtype=np.float32)
    images = np.broadcast_to(number[:, None, None, None], (n, 5, size, size)).copy()
    noise = np.full((n, 2, 5), 8, np.float32)
    return Pairs(images, 2 * images, number / 1000, Table({"id": number.astype(int)}), noise)


@pytest.fixture
def path(tmp_path):
    data.save(numbered(10), tmp_path / "pairs.h5")
    return tmp_path / "pairs.h5"


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_gives_every_pair_of_the_file_once(path, workers):
    loader = DataLoader(PairsFile(path), batch_size=4, shuffle=True, num_workers=workers)
    batches = list(loader)
    source, target, redshift = (torch.cat(part) for part in zip(*batches, strict=True))
    assert source.shape == (10, 5, 4, 4)
    assert source.dtype == redshift.dtype == torch.float32
    number = source[:, 0, 0, 0]
    assert sorted(number.tolist()) == list(range(10))
    torch.testing.assert_close(target, 2 * source)
    torch.testing.assert_close(redshift, number / 1000)


def test_rows_and_task(path):
    some = PairsFile(path, rows=[7, 2], task="intra")
    source, target, redshift = some[1]
    assert len(some) == 2
    assert source[0, 0, 0] == target[0, 0, 0] == 2
    assert redshift == pytest.approx(0.002)
    with pytest.raises(GaltoolsError, match="unknown task"):
        PairsFile(path, task="both")


def test_damage_found_while_streaming_is_named(path):
    dataset = PairsFile(path)
    with h5py.File(path) as file:
        chunk = file["source/images"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size - 1] ^= 0xFF  # its checksum
    path.write_bytes(content)
    with pytest.raises(GaltoolsError, match=r"pairs\.h5 is damaged"):
        dataset[3]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [None, 3])
def test_stream_makes_every_pair_once(workers, shuffle):
    stream = Streamed(numbered, 21, start=5, block=4, shuffle=shuffle)
    found = [
        x[0, 0, 0].item() for x, _, _ in DataLoader(stream, batch_size=None, num_workers=workers)
    ]
    assert sorted(found) == list(range(5, 26))
    if shuffle is None and workers == 0:
        assert found == sorted(found)


def test_epochs_differ_in_order_and_repeat_with_the_seed():
    def epochs(seed):
        stream = Streamed(numbered, 32, block=4, shuffle=seed)
        return [[x[0, 0, 0].item() for x, _, _ in stream] for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first


def test_epochs_differ_in_order_with_workers_too():
    loader = DataLoader(Streamed(numbered, 64, block=4), batch_size=None, num_workers=2)

    def epochs():
        torch.manual_seed(5)
        return [[x[0, 0, 0].item() for x, _, _ in loader] for _ in range(2)]

    first, second = epochs()
    assert first != second
    assert sorted(first) == sorted(second) == list(range(64))
    assert epochs() == [first, second]


def test_memory_holds_a_few_batches_of_a_hundred_thousand_native_pairs(tmp_path):
    """A file whose chunks were never written takes no room, and reads as any other."""
    n, path = 100_000, tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = data.FORMAT
        file["redshift"] = np.zeros(n, np.float32)
        for name, side in (("source", 64), ("target", 136)):
            shape = (n, 5, side, side)
            file.create_dataset(f"{name}/images", shape, np.int32, chunks=(1, *shape[1:]))
            file[f"{name}/step"] = np.ones((n, 5), np.float32)
    batch_bytes = 16 * 5 * (64**2 + 136**2) * 4
    tracemalloc.start()
    loader = DataLoader(PairsFile(path), batch_size=16, shuffle=True)
    for k, (source, target, _) in enumerate(loader):
        assert len(source) == len(target) == 16
        if k == 2:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(loader) == n // 16
    assert peak < 10 * batch_bytes + 5e6  # integers, float64 and float32 of a batch, and numbers


def test_bad_stream():
    with pytest.raises(GaltoolsError, match="at least 1"):
        Streamed(numbered, 0)
    with pytest.raises(GaltoolsError, match="unknown task"):
        next(iter(Streamed(partial(numbered), 3, task="both")))
