"""HDF5 files that tell when they are damaged, and show nothing but their own bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from galtools.errors import GaltoolsError, check_unpacked


def create(path: Path) -> h5py.File:
    """Open a new HDF5 file, in whose version headers and attributes have checksums as well.

    Without a cache of chunks, which gains nothing here, a full disk is an error and no crash.
    """
    return h5py.File(path, "w", libver=("v110", "v110"), rdcc_nbytes=0)


@contextmanager
def safe_open(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; refuse one that takes its contents from other files.

    External links, external storage and virtual data sets would be followed without a word, to any
    file that the reader may read, and where that is missing they show the fill value. A small file
    can claim data sets larger than any memory: these are refused, too.
    """
    if not Path(path).is_file():  # a pipe would be waited for
        raise GaltoolsError(f"{path} is missing: check the name")
    with h5py.File(path) as file:
        claimed = []
        file.visititems(lambda _, item: claimed.append(getattr(item, "nbytes", 0)))
        check_unpacked(path, sum(claimed))
        if outside := file.visititems_links(_link_outside) or file.visititems(_stored_outside):
            raise GaltoolsError(f"{path}: {outside!r} lies in another file, which is refused")
        yield file


def _link_outside(name: str, link) -> str | None:
    """Name of a link that leads out of its file; a name ends the visit."""
    return None if isinstance(link, h5py.HardLink | h5py.SoftLink) else name


def _stored_outside(name: str, item) -> str | None:
    """Name of a data set whose numbers are not in its file."""
    outside = isinstance(item, h5py.Dataset) and (item.is_virtual or item.external)
    return name if outside else None
