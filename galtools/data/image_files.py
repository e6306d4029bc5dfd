"""Images from files of many kinds, read a few galaxies at a time.

Known are HDF5 (files of pairs and of translations of this package, or any file with one
four-dimensional data set), npz, npy and FITS. A `Stack` behaves like an array (n, bands, H, W) of
which only slices are ever read, so that a sample larger than the memory can be measured.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from galtools.data.compression import dequantize
from galtools.errors import GaltoolsError, reading
from galtools.hdf5 import safe_open

TRUTH = ("truth", "target", "images", "data")  # names to look for, in this order
TRANSLATED = ("translated", "translations", "images", "data")
SOURCE = ("source", "images", "data")
NAMES = ("images", "translated", "truth", "target", "data")
FACTS = ("pixel_scale", "noise", "psf_fwhm", "weights")  # what a file may state beside its images
SIDES = ("source", "target")
FITS = (".fits", ".fit")


@dataclass(frozen=True)
class Stack:
    """Images in a file: `read(rows)` fetches some of the n galaxies."""

    shape: tuple[int, ...]
    read: Callable
    facts: dict = field(default_factory=dict)  # of `FACTS`, what the file states
    path: Path | None = None

    def __len__(self):
        """Count the galaxies."""
        return self.shape[0]

    def __getitem__(self, rows):
        """Read galaxies, as an array."""
        return self.read(rows)


def open_images(path, name: str | None = None, names=NAMES) -> Stack:
    """Open the images of a file; `name` picks a data set, an array or a FITS extension by name.

    From a file of pairs, `name` is "source" or "target" (the default). Without a `name`, the first
    of `names` that there is: a file may hold the truth and its translation. Of several samples per
    galaxy, (n, K, bands, H, W), the first counts.

    Arrays, or FITS extensions, named as in `FACTS` are kept as facts of the images, and so are the
    attribute and the FITS keyword pixel_scale (PIXSCALE).
    """
    readers = {".npz": _numpy, ".npy": _numpy} | dict.fromkeys(FITS, _fits)
    with reading(path, "give images as npz, npy, HDF5 or FITS"):
        found = readers.get(Path(path).suffix.lower(), _hdf5)(path)
    stacks = {key: stack for key, stack in found.items() if len(stack.shape) in (4, 5)}
    if name:
        wanted = [name if name in stacks else name.lower()]  # FITS has names in capitals
    else:
        wanted = [key for key in names if key in stacks]
    if not wanted and len(stacks) == 1:
        wanted = list(stacks)
    if not wanted or wanted[0] not in stacks:
        raise GaltoolsError(
            f"{path} has no images (galaxies, bands, height, width) named {name or 'images'!r}: "
            f"it holds {', '.join(found) or 'nothing'}"
        )
    stack = stacks[wanted[0]]
    facts = stack.facts or _facts(found)
    if (kind := stack.read(slice(0, 0)).dtype).kind not in "biuf":
        raise GaltoolsError(f"{path} holds {kind} images: save one real number per pixel")
    if len(stack.shape) == 4:
        return Stack(stack.shape, stack.read, facts, Path(path))
    shape = stack.shape[0], *stack.shape[2:]
    return Stack(shape, lambda rows: stack.read((rows, 0)), facts, Path(path))


def _facts(found: dict[str, Stack]) -> dict:
    """What a file states beside its images: numbers as arrays, maps as stacks."""
    there = {name: found[name] for name in FACTS if name in found}
    return {name: x if len(x.shape) == 4 else x.read(()) for name, x in there.items()}


def load_arrays(path) -> dict[str, np.ndarray]:
    """Read the arrays of an npz file, or the one array `data` of an npy file, without pickles."""
    with reading(path, "save plain arrays with np.savez; a pickle can run code"):
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"data": content}
        with content:
            return {key: content[key] for key in content.files}


def _numpy(path) -> dict[str, Stack]:
    return {key: Stack(x.shape, x.__getitem__) for key, x in load_arrays(path).items()}


def _fits(path) -> dict[str, Stack]:
    with fits.open(path) as hdus:
        images = {h.name.lower() or f"extension {k}": h for k, h in enumerate(hdus) if h.is_image}
        arrays = {key: np.asarray(h.data) for key, h in images.items() if h.header["NAXIS"]}
        scales = [h.header["PIXSCALE"] for h in hdus if "PIXSCALE" in h.header]
    if scales:
        arrays["pixel_scale"] = np.asarray(scales[0])
    return {key: Stack(x.shape, x.__getitem__) for key, x in arrays.items()}


def _hdf5(path) -> dict[str, Stack]:
    shapes = {}
    with safe_open(path) as file:
        file.visititems(lambda key, item: shapes.update({key: getattr(item, "shape", ())}))
        scale = file.attrs.get("pixel_scale")
        pairs = str(file.attrs.get("format")).startswith("galtools pairs")
        sides = {k: _facts_of_side(file, k, path) for k in range(2) if pairs}
    stacks = {key: Stack(shape, partial(_read_hdf5, path, key)) for key, shape in shapes.items()}
    if scale is not None:
        stacks["pixel_scale"] = Stack((), lambda rows: np.asarray(scale))
    for k, facts in sides.items():
        shape = shapes[f"{SIDES[k]}/images"]
        stacks[SIDES[k]] = Stack(shape, partial(_read_hdf5, path, f"{SIDES[k]}/images"), facts)
    return stacks


def _facts_of_side(file, k: int, path) -> dict:
    """What a file of pairs states of its source (0) or target (1)."""
    side = file[SIDES[k]]
    facts = {"pixel_scale": side.attrs["pixel_scale"], "psf_fwhm": side["psf_fwhm"][:]}
    if np.isfinite(noise := file["noise"][:, k]).all():
        facts["noise"] = noise
    if "mask" in side:
        read = partial(_read_hdf5, path, f"{SIDES[k]}/mask")
        facts["weights"] = Stack(side["mask"].shape, lambda rows: read(rows) == 0)
    return facts


def _read_hdf5(path, key: str, rows) -> np.ndarray:
    with reading(path, "make or fetch it again"), safe_open(path) as file:
        steps = file.get(key.removesuffix("images") + "step")  # in files of pairs
        return file[key][rows] if steps is None else dequantize(file[key][rows], steps[rows])


def read_column(path, name: str) -> np.ndarray | None:
    """Read a column such as "redshift" or "noise" that lies beside the images, if it is there."""
    suffix = Path(path).suffix.lower()
    if suffix in (".npy", *FITS):
        return None
    opener = partial(np.load, allow_pickle=False) if suffix == ".npz" else safe_open
    with reading(path, f"give {name} as an array of numbers"), opener(path) as file:
        if name not in file:
            return None
        if (found := file[name][:]).dtype.kind not in "biuf":
            raise GaltoolsError(f"{path}: {name} holds no numbers, but {found.dtype}")
        return found


def read_numbers(path) -> np.ndarray:
    """Read a text file of one number a line, redshifts for instance."""
    with reading(path, "it has to hold one number a line and nothing else"):
        return np.loadtxt(path, ndmin=1)
