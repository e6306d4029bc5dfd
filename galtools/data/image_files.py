"""Images from files of many kinds, read a few galaxies at a time.

Known are HDF5 (files of pairs and of translations of this package, or any file with one
four-dimensional data set), npz, npy and FITS. A `Stack` behaves like an array (n, bands, H, W) of
which only slices are ever read, so that a sample larger than the memory can be measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits

from galtools.errors import GaltoolsError

TRUTH = ("truth", "target", "images", "data")  # what is looked for, in this order
TRANSLATED = ("translated", "translations", "images", "data")
SOURCE = ("source", "images", "data")
NAMES = ("images", "translated", "truth", "target", "data")


@dataclass(frozen=True)
class Stack:
    """Images in a file: `read(slice)` fetches some of the n galaxies."""

    shape: tuple[int, ...]
    read: Callable

    def __len__(self):
        """Count the galaxies."""
        return self.shape[0]

    def __getitem__(self, rows):
        """Read galaxies, as an array."""
        return self.read(rows)


def open_images(path, name: str | None = None, names=NAMES) -> Stack:
    """Open the images of a file; `name` picks a data set, an array or a FITS extension by name.

    From a file of pairs, `name` is "source" or "target" (the default). Without a `name`, the first
    of `names` that there is: a file may hold the truth and its translation.
    """
    path = Path(path)
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: give the path of an npz, npy, HDF5 or FITS file")
    readers = {".npz": _npz, ".npy": _npy, ".fits": _fits, ".fit": _fits}
    reader = readers.get(path.suffix.lower(), _hdf5)
    try:
        stack = reader(path, name or None, names)
    except GaltoolsError:
        raise
    except Exception as error:  # a stranger's bytes can break the parser anywhere
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise GaltoolsError(f"cannot read images from {path}: {why}") from error
    if len(stack.shape) != 4:
        raise GaltoolsError(f"{path} holds {stack.shape}, not (galaxies, bands, height, width)")
    return stack


def _choose(found: dict[str, int], name: str | None, names, path: Path) -> str:
    """Name the data set that holds the images; `found` maps names to numbers of axes."""
    if name is not None and name in found:
        return name
    stacks = [key for key, axes in found.items() if axes in (4, 5)]
    preferred = [key for key in names if key in stacks] if name is None else []
    if preferred or (name is None and len(stacks) == 1):
        return (preferred or stacks)[0]
    raise GaltoolsError(
        f"{path} has no images named {name or 'images'!r}: it holds {', '.join(found) or 'nothing'}"
    )


def _array(images) -> Stack:
    """Wrap an array; of several draws (n, K, bands, H, W) the first counts."""
    if images.ndim == 5:
        return Stack((images.shape[0], *images.shape[2:]), lambda rows: images[rows, 0])
    return Stack(images.shape, lambda rows: images[rows])


def _npz(path, name, names):
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key].ndim for key in file.files}
        return _array(file[_choose(arrays, name, names, path)])


def _npy(path, name, names):
    return _array(np.load(path, mmap_mode="r", allow_pickle=False))


def _fits(path, name, names):
    with fits.open(path) as hdus:
        sizes = {f"{h.name or 'extension'}:{k}": h.header["NAXIS"] for k, h in enumerate(hdus)}
        wanted = [key for key in sizes if name and key.split(":")[0] == name.upper()]
        key = _choose(sizes, wanted[0] if wanted else name, names, path)
        return _array(np.asarray(hdus[int(key.split(":")[1])].data))


def _hdf5(path, name, names):
    with h5py.File(path) as file:
        for side in [name] if name else names:
            if f"{side}/images" in file and f"{side}/step" in file:
                return _packed(path, side, file[f"{side}/images"].shape)
        sizes = {}
        file.visititems(
            lambda key, item: sizes.update({key: item.ndim}) if _is_data(item) else None
        )
        key = _choose(sizes, name, names, path)
        shape = file[key].shape

    def read(rows):
        with h5py.File(path) as file:
            return file[key][rows] if len(shape) == 4 else file[key][rows, 0]

    return Stack(shape if len(shape) == 4 else (shape[0], *shape[2:]), read)


def _is_data(item) -> bool:
    return isinstance(item, h5py.Dataset)


def _packed(path, side, shape) -> Stack:
    """Images of a file of pairs, kept there as integers."""
    from galtools.data.compression import dequantize

    def read(rows):
        with h5py.File(path) as file:
            return dequantize(file[f"{side}/images"][rows], file[f"{side}/step"][rows])

    return Stack(shape, read)


def read_column(path, name: str) -> np.ndarray | None:
    """Read a column such as "redshift" or "noise" that lies beside the images, if it is there."""
    path = Path(path)
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return file[name] if name in file.files else None
    if path.suffix.lower() in (".npy", ".fits", ".fit"):
        return None
    with h5py.File(path) as file:
        return file[name][:] if name in file else None


def read_numbers(path) -> np.ndarray:
    """Read a text file of one number a line, redshifts for instance."""
    try:
        return np.loadtxt(path, ndmin=1)
    except OSError as error:
        raise GaltoolsError(f"cannot read {path}: {error.strerror or 'it is missing'}") from error
    except ValueError as error:
        raise GaltoolsError(f"{path} has to hold one number a line and nothing else") from error
