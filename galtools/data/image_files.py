"""Images from files of many kinds, read a few galaxies at a time.

Known are HDF5 (files of pairs and of translations of this package, or any file with one
four-dimensional data set), npz, npy and FITS. A `Stack` behaves like an array (n, bands, H, W) of
which only slices are ever read, so that a sample larger than the memory can be measured.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from galtools.errors import GaltoolsError, reading
from galtools.hdf5 import safe_open
from galtools.surveys import band_names

TRUTH = ("truth", "target", "images", "data")  # names to look for, in this order
TRANSLATED = ("translated", "translations", "images", "data")
SOURCE = ("source", "images", "data")
NAMES = ("images", "translated", "truth", "target", "data")
STATED = ("pixel_scale", "bands")  # as attributes, or in FITS as PIXSCALE and BANDS
# what a file may state beside its images
FACTS = (*STATED, "noise", "psf_fwhm", "weights", "sigma_map", "psf")
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

    Arrays, or FITS extensions, named as in `FACTS` are kept as facts of the images, and so are
    attributes and FITS keywords of `STATED`.
    """
    contents = read_stacks(path)
    stacks = {key: stack for key, stack in contents.items() if len(stack.shape) in (4, 5)}
    if name:
        candidates = [name if name in stacks else name.lower()]  # FITS has names in capitals
    else:
        candidates = [key for key in names if key in stacks]
    if not candidates and len(others := stacks.keys() - {*FACTS}) == 1:
        candidates = [*others]
    if not candidates or candidates[0] not in stacks:
        raise GaltoolsError(
            f"{path} has no images (galaxies, bands, height, width) named {name or 'images'!r}: "
            f"it holds {', '.join(contents) or 'nothing'}"
        )
    stack = stacks[candidates[0]]
    with reading(path, "state plain numbers beside the images"):
        facts = stack.facts or _facts(contents)
    if (kind := stack.read(slice(0, 0)).dtype).kind not in "biuf":
        raise GaltoolsError(f"{path} holds {kind} images: save one real number per pixel")
    if len(stack.shape) == 4:
        return Stack(stack.shape, stack.read, facts, Path(path))
    shape = stack.shape[0], *stack.shape[2:]
    return Stack(shape, lambda rows: stack.read((rows, 0)), facts, Path(path))


def open_maps(**files) -> dict:
    """Open files of maps beside the truth, as a card takes them: weights, mask, sigma_map, psf.

    Each is the array of that name, or the only one. Masks become weights: 0 where they are not 0.
    """
    maps = {}
    for name, path in files.items():
        if not path:
            continue
        contents = read_stacks(path)
        if name not in contents and len(contents) != 1:
            raise GaltoolsError(f"{path} holds {', '.join(contents)}: name one of them {name}")
        stack = contents[name if name in contents else next(iter(contents))]
        if (kind := stack.read(slice(0, 0)).dtype).kind not in "biuf":
            raise GaltoolsError(f"{path} holds {kind}: save a {name} as numbers")
        given, stack = ("weights", _inverted(stack)) if name == "mask" else (name, stack)
        if given in maps:
            raise GaltoolsError(f"{path}: give weights or a mask, not both")
        maps[given] = stack[()] if name == "psf" else stack
    return maps


def _inverted(mask: Stack) -> Stack:
    return Stack(mask.shape, lambda rows: mask[rows] == 0)


def read_stacks(path) -> dict[str, Stack]:
    """Arrays of an npz, npy, HDF5 or FITS file by name, not yet read."""
    readers = {".npz": _numpy, ".npy": _numpy} | dict.fromkeys(FITS, _fits)
    with reading(path, "give images as npz, npy, HDF5 or FITS"):
        return readers.get(Path(path).suffix.lower(), _hdf5)(path)


def _facts(contents: dict[str, Stack]) -> dict:
    """What a file states beside its images: numbers as arrays, maps as stacks."""
    present = {name: contents[name] for name in FACTS if name in contents}
    facts = {name: x if len(x.shape) == 4 else x.read(()) for name, x in present.items()}
    if "bands" in facts:
        facts["bands"] = band_names(facts["bands"])
    return facts


def _numpy(path) -> dict[str, Stack]:
    """Arrays of an npz file, or the one array `data` of an npy file, without pickles."""
    with reading(path, "save plain arrays with np.savez; a pickle can run code"):
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            arrays = {"data": content}
        else:
            with content:
                arrays = {key: content[key] for key in content.files}
    return {key: Stack(x.shape, x.__getitem__) for key, x in arrays.items()}


def _fits(path) -> dict[str, Stack]:
    with fits.open(path) as hdus:
        images = {h.name.lower() or f"extension {k}": h for k, h in enumerate(hdus) if h.is_image}
        arrays = {key: np.asarray(h.data) for key, h in images.items() if h.header["NAXIS"]}
        keys = {"pixel_scale": "PIXSCALE", "bands": "BANDS"}
        stated = {k: h.header[key] for k, key in keys.items() for h in hdus if key in h.header}
    return {key: Stack(x.shape, x.__getitem__) for key, x in arrays.items()} | _constants(stated)


def _hdf5(path) -> dict[str, Stack]:
    shapes, attributes_of = {}, {}
    with safe_open(path) as file:
        file.visititems(lambda key, item: shapes.update({key: getattr(item, "shape", ())}))
        for group in ("/", *SIDES):
            attributes = getattr(file.get(group), "attrs", {})
            attributes_of[group] = {key: attributes[key] for key in STATED if key in attributes}
    stacks = {key: Stack(shape, partial(_read_hdf5, path, key)) for key, shape in shapes.items()}
    stacks |= _constants(attributes_of["/"])
    for name in SIDES:  # of files of pairs
        part = {key.removeprefix(f"{name}/"): x for key, x in stacks.items() if f"{name}/" in key}
        if "images" not in part:
            continue
        if mask := part.get("mask"):
            part["weights"] = _inverted(mask)
        facts = _facts(part | _constants(attributes_of[name]))
        if not np.isfinite(facts.get("noise", 0)).all():
            del facts["noise"]  # unknown: it is estimated
        stacks[name] = replace(part["images"], facts=facts)
    return stacks


def _constants(values: dict) -> dict[str, Stack]:
    return {key: Stack((), lambda rows, x=x: np.asarray(x)) for key, x in values.items()}


def _read_hdf5(path, key: str, rows) -> np.ndarray:
    with reading(path, "make or fetch it again"), safe_open(path) as file:
        return file[key][rows]


def read_column(path, name: str) -> np.ndarray | None:
    """Read a column such as "redshift" or "noise" that lies beside the images, if it is there."""
    with reading(path, f"give {name} as an array of numbers"):
        stack = read_stacks(path).get(name)
        values = None if stack is None else stack[()]
    if values is not None and values.dtype.kind not in "biuf":
        raise GaltoolsError(f"{path}: {name} holds no numbers, but {values.dtype}")
    return values


def read_numbers(path) -> np.ndarray:
    """Read a text file of one number a line, redshifts for instance."""
    with reading(path, "it has to hold one number a line and nothing else"):
        return np.loadtxt(path, ndmin=1)
