"""HDF5 files with checksums, read without following links to other files."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from galtools.errors import GaltoolsError, check_unpacked


def create(path: Path) -> h5py.File:
    """Open a new HDF5 file, in whose version headers and attributes have checksums as well.

    Without a cache of chunks, which gains nothing here, a full disk is an error and no crash.
    """
    return h5py.File(path, "w", libver=("v110", "v110"), rdcc_nbytes=0)


def write_attributes(owner: h5py.Group, **values) -> None:
    """Write attributes; texts in a fixed length, so that they are under a checksum as well."""
    for name, value in values.items():
        owner.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def read_attributes(owner: h5py.Group) -> dict:
    """Read all attributes, texts as `str`."""
    values = dict(owner.attrs)
    return {name: x.decode() if isinstance(x, bytes) else x for name, x in values.items()}


@contextmanager
def safe_open(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; refuse one that takes its contents from other files.

    HDF5 follows external links, external storage and virtual data sets to any readable file, and
    gives the fill value where that is missing. Also refused are data sets that are too large for
    the file, and texts at which HDF5 never returns.
    """
    if not Path(path).is_file():  # a pipe would be waited for
        raise GaltoolsError(f"{path} is missing: check the name")
    with h5py.File(path) as file:
        items = [file]
        file.visititems(lambda _, item: items.append(item))
        check_unpacked(path, sum(getattr(item, "nbytes", 0) for item in items))
        if outside := file.visititems_links(_link_outside) or file.visititems(_stored_outside):
            raise GaltoolsError(f"{path}: {outside!r} lies in another file, which is refused")
        if any(_has_variable_length(item) for item in items):
            _check_heaps(path, file.id.get_create_plist().get_sizes()[1])
        yield file


def _link_outside(name: str, link) -> str | None:
    """Name of a link that leads out of its file; a name ends the visit."""
    return None if isinstance(link, h5py.HardLink | h5py.SoftLink) else name


def _stored_outside(name: str, item) -> str | None:
    """Name of a data set whose numbers are not in its file."""
    outside = isinstance(item, h5py.Dataset) and (item.is_virtual or item.external)
    return name if outside else None


def _has_variable_length(item: h5py.Group | h5py.Dataset) -> bool:
    """Whether a data set or its attributes hold texts or lists of variable length."""
    kinds = [item.attrs.get_id(name).dtype for name in item.attrs]
    return any(kind.hasobject for kind in [*kinds, getattr(item, "dtype", np.dtype(float))])


def _check_heaps(path: Path, width: int) -> None:
    """Refuse a heap of variable-length values with an entry that never ends or leaves the heap.

    A heap is its name, 12 bytes with its size last, and entries: number, 6 bytes, size (`width`
    bytes, in 8) and content. Entry 0 is free space, whose size counts its own head.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:

        def number(start, length):
            return int.from_bytes(content[start : start + length], "little")

        heap = content.find(b"GCOL\1")
        while heap >= 0:
            entry, end = heap + 16, heap + number(heap + 8, width)
            while entry + 16 <= end:
                size = number(entry + 8, width)
                step = 16 + (size + 7) // 8 * 8 if number(entry, 2) else size
                if step == 0 or entry + step > min(end, len(content)):
                    raise GaltoolsError(f"{path} is damaged where its texts lie: fetch it again")
                entry += step
            heap = content.find(b"GCOL\1", heap + 1)
