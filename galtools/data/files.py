"""One file format for every sample of matched galaxies, simulated or real.

    /                    attributes: format, bands, unit, provenance (JSON)
    /redshift            (n,)       spectroscopic, NaN where unknown
    /noise               (n, 2, 5)  sky sigma per pixel of source and target, nanomaggies
    /split               (n,)       train, valid, test, or empty
    /catalogue           n rows: identifier, position, flag and all else that is known
    /source, /target     attributes: survey, pixel_scale (arcsec per pixel)
        images, step     (n, 5, H, W) integers and (n, 5); see `galtools.data.compression`
        psf_fwhm         (n, 5)     arcsec
        mask             (n, 5, H, W) bits of `galtools.data.pairs`, only if there is a bad pixel

The integers have a zero of 64 steps, which halves the file; an attribute says so, too. With h5py
alone the images are read by

    with h5py.File("test.h5") as file:
        counts, step = file["target/images"], file["target/step"][:]
        images = step[:, :, None, None] * (counts[:] - counts.attrs["zero"])  # nanomaggies

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
from galtools.data.compression import (
    FILTERS,
    MINUS_INF,
    NAN,
    PLUS_INF,
    SHIFT,
    CompressedImages,
    compress,
    dequantize,
)
from galtools.data.pairs import ImageSet, Pairs
from galtools.errors import GaltoolsError, reading
from galtools.flags import Flag, good
from galtools.hdf5 import safe_open
from galtools.surveys import BANDS

ABOUT = {"format": "galtools pairs 1", "bands": "".join(BANDS), "unit": "nanomaggies per pixel"}
SIDES = ("source", "target")
SPLITS = ("", "train", "valid", "test")
READ = {  # for those who have nothing but HDF5
    "description": "nanomaggies per pixel = step[n, band] * (images - zero); "
    f"{PLUS_INF}, {MINUS_INF} and {NAN} stand for inf, -inf and nan",
    "zero": SHIFT,
}
BLOCK = 64  # galaxies converted at a time, so that memory stays flat


def _extend(group: h5py.Group, name: str, count: int, shape, dtype, **layout) -> h5py.Dataset:
    """Make room for `count` more rows of a data set, which is made if it is missing."""
    if name not in group:
        layout = {"chunks": (BLOCK, *shape), "fletcher32": True} | layout
        group.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), **layout)
    dataset = group[name]
    if dataset.shape[1:] != shape:
        raise GaltoolsError(f"batches of {dataset.shape[1:]} and {shape} in one sample")
    dataset.resize(len(dataset) + count, axis=0)
    return dataset


def _append(group: h5py.Group, name: str, rows: np.ndarray) -> None:
    """Append rows to a data set."""
    dataset = _extend(group, name, len(rows), rows.shape[1:], rows.dtype)
    if len(rows):
        dataset[-len(rows) :] = rows


def _append_images(group: h5py.Group, images: ImageSet) -> None:
    """Append compressed images, as they are, and what describes them."""
    about = {"survey": images.survey, "pixel_scale": images.pixel_scale}
    if dict(group.attrs) not in ({}, about):
        raise GaltoolsError("batches of several surveys or pixel scales in one sample")
    group.attrs.update(about)
    _append(group, "step", images.images.step)
    _append(group, "psf_fwhm", np.asarray(images.psf_fwhm, np.float32))
    n, *shape = images.images.shape
    layout = {"chunks": (1, *shape), **FILTERS}
    stored = _extend(group, "images", n, tuple(shape), np.int32, **layout)
    if not len(stored.attrs):
        stored.attrs.update(READ)
    first = len(stored) - n
    for row, (skipped, chunk) in enumerate(images.images.chunks, first):
        stored.id.write_direct_chunk((row, 0, 0, 0), chunk, filter_mask=skipped)
    if images.mask is not None and n:
        missing = len(stored) - len(group.get("mask", ()))
        mask = _extend(group, "mask", missing, tuple(shape), np.uint8, **layout)
        mask[first:] = images.mask


def _append_pairs(file: h5py.File, pairs: Pairs) -> None:
    """Append pairs, compressed a block at a time if they are not yet."""
    if not isinstance(pairs.source, CompressedImages):
        for start in range(0, max(len(pairs), 1), BLOCK):
            _append_pairs(file, compress(pairs[start : start + BLOCK]))
        return
    _append(file, "redshift", np.asarray(pairs.redshift, np.float32))
    _append(file, "noise", np.asarray(pairs.noise, np.float32))
    _append_images(file.require_group("source"), pairs.source_set)
    _append_images(file.require_group("target"), pairs.target_set)


def save(
    pairs: Pairs | Iterable[Pairs], path: Path, *, split="", provenance: dict | None = None
) -> None:
    """Write pairs to an HDF5 file, whole or not at all; the same pairs give the same bytes.

    Batches of pairs, one after the other, make a file larger than the memory; the process that
    makes a batch can `compress` it, too.
    """
    names = np.asarray(split, dtype="S5")
    if unknown := set(np.unique(split).tolist()) - set(SPLITS):
        raise GaltoolsError(f"unknown split {min(unknown)!r}: use train, valid, test or none")
    catalogues = []
    # without a cache of chunks, which gains nothing here, a full disk is an error and no crash
    with atomic(path) as new, h5py.File(new, "w", rdcc_nbytes=0) as file:
        for batch in [pairs] if isinstance(pairs, Pairs) else pairs:
            _append_pairs(file, batch)
            catalogues.append(batch.catalogue)
        if not catalogues:
            raise GaltoolsError(f"nothing to write to {path}: not a single batch of pairs came")
        n = len(file["redshift"])
        for group in (file[name] for name in SIDES):
            if "mask" in group:
                group["mask"].resize(n, axis=0)
        _append(file, "split", np.broadcast_to(names, (n,)))
        catalogue = (
            catalogues[0]
            if len(catalogues) == 1
            else vstack(catalogues, metadata_conflicts="silent")
        )
        catalogue.write(file, path="catalogue", serialize_meta=True, fletcher32=True)
        story = json.dumps(provenance or {}, sort_keys=True, default=str)
        file.attrs.update(ABOUT, provenance=story)


def _check_lengths(file: h5py.File, path: Path) -> None:
    """Refuse data sets of other shapes than those of the images; no array is read."""
    n, bands = len(file["redshift"]), len(BANDS)
    shapes = {"redshift": (n,), "noise": (n, len(SIDES), bands), "split": (n,), "catalogue": (n,)}
    for name in SIDES:
        size = file[name]["images"].shape[2:]
        shapes |= {f"{name}/step": (n, bands), f"{name}/psf_fwhm": (n, bands)}
        shapes |= {f"{name}/images": (n, bands, *size)}
        shapes |= {f"{name}/mask": (n, bands, *size)} if "mask" in file[name] else {}
        if file[name]["images"].attrs.get("zero", SHIFT) != SHIFT:
            raise GaltoolsError(f"{path}: the zero of {name}/images is not {SHIFT}")
    for name, shape in shapes.items():
        if (found := file[name].shape) != shape:
            raise GaltoolsError(f"{path}: {name} is {found}, but {shape} is needed")


@contextmanager
def open_pairs(path: Path) -> Iterator[h5py.File]:
    """Open a file of pairs for reading, or say in one line what is wrong with it."""
    advice = "it is damaged or cut short, make or fetch it again"
    with reading(path, advice), safe_open(path) as file:
        if file.attrs.get("format") != ABOUT["format"]:
            raise GaltoolsError(f"{path} is HDF5, but not a file of pairs made by galtools")
        for key in ("bands", "unit"):
            if (found := file.attrs.get(key)) != ABOUT[key]:
                raise GaltoolsError(f"{path} says {key} {found!r}: needed is {ABOUT[key]!r}")
        _check_lengths(file, path)
        yield file


def _row_numbers(n: int, rows, path: Path) -> np.ndarray:
    """Turn a slice, a mask or an index array into row numbers."""
    try:
        return np.atleast_1d(np.arange(n)[slice(None) if rows is None else rows])
    except IndexError:
        raise GaltoolsError(f"{path} has {n} galaxies: ask for rows below {n}") from None


def _read_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Read rows in any order, with repeats (HDF5 itself wants them increasing)."""
    if not len(rows):
        return dataset[:0]
    order, back = np.unique(rows, return_inverse=True)
    first, last = order[0], order[-1] + 1
    return dataset[first:last][back] if last - first == len(order) else dataset[order][back]


def _read_images(group: h5py.Group, rows: np.ndarray) -> np.ndarray:
    """Read images (len(rows), 5, H, W), float32 nanomaggies per pixel, of one side."""
    images = np.empty((len(rows), *group["images"].shape[1:]), np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        step = _read_rows(group["step"], block)
        images[start : start + BLOCK] = dequantize(_read_rows(group["images"], block), step)
    return images


def _read_set(group: h5py.Group, noise: np.ndarray, rows: np.ndarray) -> ImageSet:
    return ImageSet(
        _read_images(group, rows),
        noise,
        group.attrs["survey"],
        float(group.attrs["pixel_scale"]),
        _read_rows(group["psf_fwhm"], rows),
        _read_rows(group["mask"], rows) if "mask" in group else None,
    )


def load(path: Path, rows=None) -> Pairs:
    """Read pairs; `rows` is a slice, a mask or an index array, in any order."""
    with open_pairs(path) as file:
        index = _row_numbers(len(file["redshift"]), rows, path)
        redshift, noise = file["redshift"][:][index], file["noise"][:][index]
        sets = [_read_set(file[name], noise[:, k], index) for k, name in enumerate(SIDES)]
        catalogue = Table.read(file, path="catalogue", character_as_bytes=False)[index]
        return Pairs(*sets, redshift, catalogue)


def pixel_scales(path: Path) -> dict[str, float]:
    """Read the pixel scales of source and target, arcsec per pixel."""
    with open_pairs(path) as file:
        return {name: float(file[name].attrs["pixel_scale"]) for name in SIDES}


def read_splits(path: Path) -> np.ndarray:
    """Read the split of every galaxy: 'train', 'valid', 'test' or ''."""
    with open_pairs(path) as file:
        return file["split"][:].astype(str)


def describe(path: Path) -> dict:
    """Read what the file says about itself, without the images."""
    with open_pairs(path) as file:
        facts = ABOUT | {"galaxies": len(file["redshift"])}
        for name in SIDES:
            group = file[name]
            height, width = group["images"].shape[2:]
            facts[name] = (
                f"{group.attrs['survey']}, {height} x {width} pixels "
                f"of {group.attrs['pixel_scale']:.3f} arcsec"
            )
        return facts | {"provenance": json.loads(file.attrs["provenance"])}


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
