"""One file format for every sample of matched galaxies, simulated or real.

    /                    attributes: format, bands, unit, provenance (JSON), sha256 (JSON)
    /redshift            (n,)       spectroscopic, NaN where unknown
    /noise               (n, 2, 5)  sky sigma per pixel of source and target, nanomaggies
    /split               (n,)       train, valid, test, or empty
    /catalogue           n rows: identifier, position, flag and all else that is known
    /source, /target     attributes: survey, pixel_scale (arcsec per pixel)
        images, step     (n, 5, H, W) integers and (n, 5); see `galtools.data.quantization`
        psf_fwhm         (n, 5)     arcsec
        mask             (n, 5, H, W) bits of `galtools.data.sides`, only if there is a bad pixel

Weights are not stored: they follow from noise and mask (`weights`). Every galaxy is a chunk of its
own, with a checksum that is tested whenever it is read; `validate` tests the whole file.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from astropy.table import Table, vstack

from galtools.artefacts import atomic
from galtools.data import sides
from galtools.data.compression import (
    FILTERS,
    SIDES,
    CompressedImages,
    CompressedPairs,
    check_pairs,
    compress,
)
from galtools.data.pairs import Pairs
from galtools.data.quantization import dequantize
from galtools.data.sides import ImageInfo
from galtools.errors import GaltoolsError
from galtools.flags import FLAG, Flag
from galtools.surveys import BANDS, CFHTLS, SDSS, check_task

FORMAT = "galtools pairs 1"
UNIT = "nanomaggies per pixel"
SPLITS = ("", "train", "valid", "test")
BLOCK = 64  # galaxies converted at a time, so that memory stays flat


def for_task(pairs: Pairs, task: str) -> Pairs:
    """Return what a task learns from: 'cross' as it is, 'intra' with the source as its target."""
    if check_task(task) == "cross":
        return pairs
    noise = np.stack([pairs.noise[:, 0]] * 2, axis=1)
    bad = (pairs.bad[0],) * 2
    return Pairs(pairs.source, pairs.source, pairs.redshift, pairs.catalogue, noise, bad)


def _longer(group: h5py.Group, name: str, more: int, shape: tuple, **layout) -> h5py.Dataset:
    """Make room for more rows of a data set, which is made if it is missing."""
    if name not in group:
        group.create_dataset(name, (0, *shape), maxshape=(None, *shape), **layout)
    dataset = group[name]
    if dataset.shape[1:] != shape:
        raise GaltoolsError(f"batches of {dataset.shape[1:]} and {shape} in one sample")
    dataset.resize(len(dataset) + more, axis=0)
    return dataset


def _grow(group: h5py.Group, name: str, rows: np.ndarray, squeezed: bool = False) -> None:
    """Append rows to a data set."""
    shape = rows.shape[1:]
    layout = {"chunks": (1, *shape), **FILTERS} if squeezed else {"chunks": (BLOCK, *shape)}
    dataset = _longer(
        group, name, len(rows), shape, dtype=rows.dtype, **{"fletcher32": True, **layout}
    )
    if len(rows):
        dataset[-len(rows) :] = rows


def _lay(group: h5py.Group, stamps: CompressedImages) -> None:
    """Append compressed images, as they are."""
    layout = {"dtype": np.int32, "chunks": (1, *stamps.shape), **FILTERS}
    images = _longer(group, "images", len(stamps.chunks), stamps.shape, **layout)
    first = len(images) - len(stamps.chunks)
    for row, (skipped, chunk) in enumerate(stamps.chunks, first):
        images.id.write_direct_chunk((row, 0, 0, 0), chunk, filter_mask=skipped)


def _append(file: h5py.File, batch: CompressedPairs) -> None:
    _grow(file, "redshift", np.asarray(batch.redshift, np.float32))
    _grow(file, "noise", np.asarray(batch.noise, np.float32))
    for name in SIDES:
        group, stamps = file.require_group(name), getattr(batch, name)
        _grow(group, "step", stamps.step)
        _lay(group, stamps)


def _squeezed(batch: Pairs | CompressedPairs) -> Iterator[CompressedPairs]:
    """Squeeze what is not squeezed yet, a block at a time."""
    if isinstance(batch, CompressedPairs):
        yield batch
        return
    check_pairs(batch)
    for start in range(0, max(len(batch), 1), BLOCK):
        yield compress(batch[start : start + BLOCK])


def _seeing(catalogue: Table, name: str) -> np.ndarray | None:
    """Seeing (n, 5) that the simulation wrote into its catalogue, or None."""
    columns = [f"{name}_fwhm_{band}" for band in BANDS]
    if not set(columns) <= set(catalogue.colnames):
        return None
    return np.stack([np.asarray(catalogue[column], np.float32) for column in columns], axis=1)


def _describe_side(group: h5py.Group, side: ImageInfo | None, survey, seeing) -> None:
    images = group["images"]
    side = side or sides.default_info(survey, images, seeing)
    side.check(images)
    group.attrs.update(survey=side.survey, pixel_scale=side.pixel_scale)
    _grow(group, "psf_fwhm", np.asarray(side.psf_fwhm, np.float32))
    if side.mask is not None:
        _grow(group, "mask", np.asarray(side.mask, np.uint8), squeezed=True)


def _split_names(split, n: int) -> np.ndarray:
    names = np.broadcast_to(np.asarray(split, dtype=str), (n,))
    if unknown := set(names.tolist()) - set(SPLITS):
        raise GaltoolsError(f"unknown split {min(unknown)!r}: use train, valid, test or none")
    return names.astype("S5")


def checksums(file: h5py.File) -> dict[str, str]:
    """Hash the content of every data set, block by block."""
    found = {}

    def hash_one(name, item):
        if isinstance(item, h5py.Dataset):
            digest = hashlib.sha256(f"{item.shape}{item.dtype}".encode())
            for start in range(0, len(item), BLOCK):
                digest.update(np.ascontiguousarray(item[start : start + BLOCK]).tobytes())
            found[name] = digest.hexdigest()

    file.visititems(hash_one)
    return found


def save(
    pairs: Pairs | Iterable[Pairs | CompressedPairs],
    path: Path,
    *,
    source: ImageInfo | None = None,
    target: ImageInfo | None = None,
    split="",
    provenance: dict | None = None,
) -> None:
    """Write pairs to an HDF5 file, whole or not at all; the same pairs give the same bytes.

    Batches of pairs, one after the other, make a file larger than the memory; a process that makes
    them can `squeeze` them, too. Without `source` and `target` the sides are SDSS and CFHTLS, at
    the seeing in the columns `source_fwhm_u` ... of a simulated catalogue, or else at the surveys'
    median.
    """
    batches = [pairs] if isinstance(pairs, Pairs) else pairs
    catalogues = []
    # without a cache of chunks, which gains nothing here, a full disk is an error and no crash
    with atomic(path) as new, h5py.File(new, "w", rdcc_nbytes=0) as file:
        for batch in batches:
            for part in _squeezed(batch):
                _append(file, part)
            catalogues.append(batch.catalogue)
        if not catalogues:
            raise GaltoolsError(f"nothing to write to {path}: not a single batch of pairs came")
        catalogue = catalogues[0] if len(catalogues) == 1 else vstack(catalogues)
        for name, side, survey in (("source", source, SDSS), ("target", target, CFHTLS)):
            _describe_side(file[name], side, survey, _seeing(catalogue, name))
        _grow(file, "split", _split_names(split, len(file["redshift"])))
        catalogue.write(file, path="catalogue", serialize_meta=True)
        story = json.dumps(provenance or {}, sort_keys=True, default=str)
        file.attrs.update(format=FORMAT, bands="".join(BANDS), unit=UNIT, provenance=story)
        file.attrs["sha256"] = json.dumps(checksums(file), sort_keys=True)


@contextmanager
def open_pairs(path: Path):
    """Open a file of pairs for reading, or say in one line what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: check the name, or make it first")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise GaltoolsError(f"{path} is HDF5, but not a file of pairs made by galtools")
            yield file
    except GaltoolsError:
        raise
    except MemoryError as error:
        raise GaltoolsError(f"{path} does not fit into memory: read a part, with `rows`") from error
    except Exception as error:  # a damaged file can break HDF5, YAML or the table anywhere
        raise GaltoolsError(f"{path} is damaged or cut short: make or fetch it again") from error


def row_indices(n: int, rows, path: Path) -> np.ndarray:
    """Turn a slice, a mask or an index array into row numbers."""
    try:
        chosen = np.asarray(rows) if isinstance(rows, list) else rows
        if isinstance(chosen, np.ndarray) and chosen.size == 0:
            chosen = chosen.astype(int)
        return np.atleast_1d(np.arange(n)[slice(None) if rows is None else chosen])
    except IndexError:
        raise GaltoolsError(f"{path} has {n} galaxies: ask for rows below {n}") from None


def read_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Read rows in any order, with repeats (HDF5 itself wants them increasing)."""
    if not len(rows):
        return dataset[:0]
    order, back = np.unique(rows, return_inverse=True)
    first, last = order[0], order[-1] + 1
    return dataset[first:last][back] if last - first == len(order) else dataset[order][back]


def read_images(group: h5py.Group, rows: np.ndarray) -> np.ndarray:
    """Read images (len(rows), 5, H, W), float32 nanomaggies per pixel, of one side."""
    images = np.empty((len(rows), *group["images"].shape[1:]), np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        step = read_rows(group["step"], block)
        images[start : start + BLOCK] = dequantize(read_rows(group["images"], block), step)
    return images


def read_mask(group: h5py.Group, rows: np.ndarray) -> np.ndarray | None:
    """Read which pixels of one side do not count, (len(rows), 5, H, W); None if all do."""
    return read_rows(group["mask"], rows) > 0 if "mask" in group else None


def load(path: Path, rows=None) -> Pairs:
    """Read pairs; `rows` is a slice, a mask or an index array, in any order."""
    with open_pairs(path) as file:
        index = row_indices(len(file["redshift"]), rows, path)
        source, target = (read_images(file[name], index) for name in SIDES)
        catalogue = Table.read(file, path="catalogue", character_as_bytes=False)[index]
        redshift, noise = file["redshift"][:][index], file["noise"][:][index]
        bad = tuple(read_mask(file[name], index) for name in SIDES)
        return Pairs(source, target, redshift, catalogue, noise, bad)


def image_info(path: Path, name: str, rows=None) -> ImageInfo:
    """Read what is known of the images of one side ('source' or 'target')."""
    if name not in SIDES:
        raise GaltoolsError(f"unknown side {name!r}: choose source or target")
    with open_pairs(path) as file:
        group, index = file[name], row_indices(len(file["redshift"]), rows, path)
        mask = read_rows(group["mask"], index) if "mask" in group else None
        scale, psf = float(group.attrs["pixel_scale"]), group["psf_fwhm"][:][index]
        return ImageInfo(str(group.attrs["survey"]), scale, psf, mask)


def inverse_variance(path: Path, name: str, rows=None) -> np.ndarray:
    """Weights (n, 5, H, W) of one side: 1 / sigma_sky^2, zero on bad pixels."""
    mask = image_info(path, name, rows).mask
    with open_pairs(path) as file:
        index = row_indices(len(file["redshift"]), rows, path)
        if mask is None:
            mask = np.zeros((len(index), *file[name]["images"].shape[1:]), np.uint8)
        return sides.inverse_variance(file["noise"][:][index, SIDES.index(name)], mask)


def read_splits(path: Path) -> np.ndarray:
    """Read the split of every galaxy: 'train', 'valid', 'test' or ''."""
    with open_pairs(path) as file:
        return file["split"][:].astype(str)


def describe(path: Path) -> dict:
    """Read what the file says about itself, without the images."""
    with open_pairs(path) as file:
        facts = {key: file.attrs[key] for key in ("format", "bands", "unit")}
        facts["galaxies"] = len(file["redshift"])
        for name in SIDES:
            group = file[name]
            height, width = group["images"].shape[2:]
            facts[name] = (
                f"{group.attrs['survey']}, {height} x {width} pixels "
                f"of {group.attrs['pixel_scale']:.3f} arcsec"
            )
        return facts | {"provenance": json.loads(file.attrs["provenance"])}


def _find_fault(file: h5py.File) -> str | None:
    """Name the first thing that breaks the schema, or return None."""
    if file.attrs["bands"] != "".join(BANDS) or file.attrs["unit"] != UNIT:
        return f"bands {file.attrs['bands']!r} in {file.attrs['unit']!r}: need ugriz in {UNIT}"
    n, stored = len(file["redshift"]), json.loads(file.attrs["sha256"])
    found = checksums(file)
    if changed := [name for name in stored | found if stored.get(name) != found.get(name)]:
        return f"{min(changed)} is not what was written"
    lengths = {name: len(file[name]) for name in found if not name.startswith("catalogue.")}
    if wrong := [name for name, length in lengths.items() if length != n]:
        return f"{wrong[0]} has {lengths[wrong[0]]} rows, redshift has {n}"
    catalogue = Table.read(file, path="catalogue", character_as_bytes=False)
    name = next((name for name in ("id", "galaxy") if name in catalogue.colnames), None)
    if name:
        marked = catalogue[FLAG] if FLAG in catalogue.colnames else np.zeros(n, int)
        once = catalogue[name][np.asarray(marked) & int(Flag.DUPLICATE) == 0]
        values, times = np.unique(once, return_counts=True)
        if (times > 1).any():
            return f"galaxy {values[times > 1][0]} appears twice without the flag DUPLICATE"
    return None


def validate(path: Path) -> None:
    """Test every checksum and every rule of the format; say in one line what is broken."""
    with open_pairs(path) as file:
        if fault := _find_fault(file):
            raise GaltoolsError(f"{path}: {fault}; make or fetch the file again")
