"""One file format for every sample of matched galaxies, simulated or real.

    /                    attributes: format, unit, provenance (JSON)
    /redshift            (n,)       spectroscopic, NaN where unknown
    /split               (n,)       train, valid, test, or empty
    /catalogue           n rows: identifier, position, flag and all else that is known
    /source, /target     attributes: survey, bands, pixel_scale (arcsec per pixel)
        images           (n, bands, H, W) float32, nanomaggies per pixel
        noise            (n, bands) sky sigma per pixel, nanomaggies
        psf_fwhm         (n, bands) arcsec
        mask             (n, bands, H, W) bits of `galtools.data.pairs`, if there is a bad pixel
        sigma_map        (n, bands, H, W) sigma of each pixel, inf without data, if known
        psf              (n, bands, h, w) images of the PSF, of sum one, if known

Images are rounded to a power of two between a sixteenth and an eighth of the sky noise of each
galaxy and band, an rms of at most sigma / (8 sqrt 12) = .036 sigma, so that gzip makes them three
to four times smaller. Anything that reads HDF5 reads them: `h5py.File("test.h5")["target/images"]`.

Every chunk has a checksum (Fletcher32) that HDF5 tests whenever it is read, and every galaxy is a
chunk of its own; `validate` reads the whole file.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from astropy.table import Table, vstack

from galtools.artefacts import atomic
from galtools.data.pairs import ARRAYS, ImageSet, Pairs
from galtools.errors import GaltoolsError, reading
from galtools.flags import Flag, good
from galtools.hdf5 import create, read_attributes, safe_open, write_attributes

ABOUT = {"format": "galtools pairs 2", "unit": "nanomaggies per pixel"}
SIDES = ("source", "target")
SPLITS = ("", "train", "valid", "test")
STEPS_PER_SIGMA = 8
BLOCK = 64  # galaxies written at a time, so that memory stays flat
IMAGE_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def quantize(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Round images (n, bands, H, W) to 2^k <= noise / 8; where the noise is unknown, not at all."""
    known = np.isfinite(noise) & (noise > 0)
    exponent = np.floor(np.log2(np.where(known, noise, 1) / np.float64(STEPS_PER_SIGMA)))
    step = np.exp2(exponent)[:, :, None, None]
    return np.where(known[:, :, None, None], np.rint(images / step) * step, images)


def _append(group: h5py.Group, name: str, rows: np.ndarray, **layout) -> h5py.Dataset:
    """Append rows to a data set, which is made if it is missing."""
    shape = rows.shape[1:]
    if name not in group:
        layout = {"chunks": (BLOCK, *shape)} | layout
        group.create_dataset(
            name, (0, *shape), rows.dtype, maxshape=(None, *shape), fletcher32=True, **layout
        )
    dataset = group[name]
    if dataset.shape[1:] != shape:
        raise GaltoolsError(f"batches of {dataset.shape[1:]} and {shape} in one sample")
    dataset.resize(len(dataset) + len(rows), axis=0)
    if len(rows):
        dataset[-len(rows) :] = rows
    return dataset


def _append_set(group: h5py.Group, images: ImageSet) -> None:
    """Append images and what describes them."""
    bands = " ".join(images.bands)
    about = {"survey": images.survey, "bands": bands, "pixel_scale": images.pixel_scale}
    if read_attributes(group) not in ({}, about):
        raise GaltoolsError("batches of several surveys, bands or pixel scales in one sample")
    write_attributes(group, **about)
    stacks = images.arrays | {"images": quantize(images.images, images.noise)}
    if images.mask is not None:  # earlier galaxies had no bad pixel
        first = len(group.get("images", ())) - len(group.get("mask", ()))
        stacks["mask"] = np.pad(images.mask, [(first, 0), (0, 0), (0, 0), (0, 0)])
    for name, stack in stacks.items():
        kind = np.uint8 if name == "mask" else np.float32
        layout = {"chunks": (1, *stack.shape[1:]), **IMAGE_FILTERS} if stack.ndim == 4 else {}
        _append(group, name, np.asarray(stack, kind), **layout)


def save(
    pairs: Pairs | Iterable[Pairs], path: Path, *, split="", provenance: dict | None = None
) -> None:
    """Write pairs to an HDF5 file, whole or not at all; the same pairs give the same bytes.

    Batches of pairs, one after the other, make a file larger than the memory.
    """
    names = np.asarray(split, dtype="S5")
    if unknown := set(np.unique(split).tolist()) - set(SPLITS):
        raise GaltoolsError(f"unknown split {min(unknown)!r}: use train, valid, test or none")
    catalogues = []
    with atomic(path) as new, create(new) as file:
        for batch in [pairs] if isinstance(pairs, Pairs) else pairs:
            for start in range(0, max(len(batch), 1), BLOCK):
                block = batch[start : start + BLOCK]
                _append(file, "redshift", np.asarray(block.redshift, np.float32))
                for name, images in zip(SIDES, (block.source_set, block.target_set), strict=True):
                    _append_set(file.require_group(name), images)
            catalogues.append(batch.catalogue)
        if not catalogues:
            raise GaltoolsError(f"nothing to write to {path}: not a single batch of pairs came")
        n = len(file["redshift"])
        for group in (file[name] for name in SIDES):
            if "mask" in group:
                group["mask"].resize(n, axis=0)
            if short := [key for key, part in group.items() if len(part) != n]:
                raise GaltoolsError(f"some batches have a {short[0]} and others none: drop it")
        _append(file, "split", np.broadcast_to(names, (n,)))
        catalogue = vstack(catalogues, metadata_conflicts="silent")
        catalogue.write(file, path="catalogue", serialize_meta=True, fletcher32=True)
        story = json.dumps(provenance or {}, sort_keys=True, default=str)
        write_attributes(file, **ABOUT, provenance=story)


@contextmanager
def open_pairs(path: Path) -> Iterator[h5py.File]:
    """Open a file of pairs for reading, or say in one line what is wrong with it."""
    advice = "it is damaged or cut short, make or fetch it again"
    with reading(path, advice), safe_open(path) as file:
        about = read_attributes(file)
        for key, wanted in ABOUT.items():
            if (found := about.get(key)) != wanted:
                raise GaltoolsError(f"{path} says {key} {found!r}: needed is {wanted!r}")
        n = len(file["redshift"])
        for name in ("split", "catalogue", *SIDES):  # no array is read
            parts = file[name] if name in SIDES else {name: file[name]}
            for key, part in parts.items():
                shape = parts["images"].shape if name in SIDES else (n,)
                own = {"noise": (), "psf_fwhm": (), "psf": part.shape[2:]}
                wanted = (n, *shape[1:2], *own.get(key, shape[2:]))
                if part.shape != wanted:
                    raise GaltoolsError(
                        f"{path}: {part.name[1:]} is {part.shape}, but {wanted} is needed"
                    )
        yield file


def _row_numbers(n: int, rows, path: Path) -> np.ndarray:
    """Turn a slice, a mask or an index array into row numbers."""
    try:
        return np.atleast_1d(np.arange(n)[slice(None) if rows is None else rows])
    except IndexError:
        raise GaltoolsError(f"{path} has {n} galaxies: ask for rows below {n}") from None


def read_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Read rows in any order, with repeats (HDF5 itself wants them increasing)."""
    if not len(rows):
        return dataset[:0]
    order, back = np.unique(rows, return_inverse=True)
    first, last = order[0], order[-1] + 1
    found = dataset[first:last] if last - first == len(order) else dataset[order]
    return found if np.array_equal(order, rows) else found[back]


def _read_set(group: h5py.Group, rows: np.ndarray) -> ImageSet:
    parts = {name: read_rows(group[name], rows) for name in ARRAYS if name in group}
    about = read_attributes(group)
    bands, scale = tuple(about["bands"].split()), float(about["pixel_scale"])
    return ImageSet(survey=about["survey"], bands=bands, pixel_scale=scale, **parts)


def load(path: Path, rows=None) -> Pairs:
    """Read pairs; `rows` is a slice, a mask or an index array, in any order."""
    with open_pairs(path) as file:
        index = _row_numbers(len(file["redshift"]), rows, path)
        sets = [_read_set(file[name], index) for name in SIDES]
        catalogue = Table.read(file, path="catalogue", character_as_bytes=False)[index]
        return Pairs(*sets, file["redshift"][:][index], catalogue)


def pixel_scales(path: Path) -> dict[str, float]:
    """Read the pixel scales of source and target, arcsec per pixel."""
    with open_pairs(path) as file:
        return {name: float(file[name].attrs["pixel_scale"]) for name in SIDES}


def describe(path: Path) -> dict:
    """Read what the file says about itself, without the images."""
    with open_pairs(path) as file:
        facts = ABOUT | {"galaxies": len(file["redshift"])}
        for name in SIDES:
            about = read_attributes(file[name])
            height, width = file[name]["images"].shape[2:]
            facts[name] = (
                f"{about['survey']}, {about['bands']}, {height} x {width} pixels "
                f"of {about['pixel_scale']:.3f} arcsec"
                + "".join(f", {key}" for key in ARRAYS[3:] if key in file[name])
            )
        return facts | {"provenance": json.loads(read_attributes(file)["provenance"])}


def validate(path: Path) -> None:
    """Read all of a file, which tests every checksum, and find galaxies that are there twice."""
    with open_pairs(path) as file:
        items = []
        file.visititems(lambda _, item: items.append(item))
        for item in (item for item in items if isinstance(item, h5py.Dataset)):
            for start in range(0, len(item), BLOCK):
                item[start : start + BLOCK]
        catalogue = Table.read(file, path="catalogue", character_as_bytes=False)
        unflagged = catalogue[good(catalogue, allow=~Flag.DUPLICATE)]
        for name in {"id", "galaxy"} & set(catalogue.colnames):
            values, times = np.unique(unflagged[name], return_counts=True)
            if (times > 1).any():
                twice = values[times > 1][0]
                raise GaltoolsError(f"{path}: galaxy {twice} appears twice: flag a DUPLICATE")
