"""One file format for every sample of matched galaxies: save it, load it, choose the task.

A file holds two sides, ``source`` and ``target``. Images are stored as integers, in steps of one
eighth of the sky noise of each galaxy and band,

    image = step x (integer - 64),    step = sigma_sky / 8,

and compressed without loss. The shift by 64 steps (8 sigma) keeps blank sky positive: without it
the sign of the noise would fill all four bytes, and files of blank sky would be twice as large. Images of
galaxies shrink about fourfold against float32. The rounding is uniform within +- sigma/16, that is
an rms of sigma / (8 sqrt 12) = .036 sigma, and raises the noise by 0.07 %. NaN and infinities
survive. Where the noise is unknown, the step is 2^-30 of the brightest pixel.
"""

from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from astropy.table import Table

from galtools.errors import GaltoolsError
from galtools.manifest import atomic
from galtools.pairs import Pairs

FORMAT = "galtools pairs 1"
SIDES = ("source", "target")
TASKS = ("intra", "cross")
STEPS_PER_SIGMA = 8
SHIFT = 64
LARGEST = 2**31 - 4  # beyond it lie the codes of the three values that are not numbers
PLUS_INF, MINUS_INF, NAN = LARGEST + 1, -LARGEST - 1, -LARGEST - 2
BLOCK = 64  # galaxies converted at a time, so that memory stays flat


def for_task(pairs: Pairs, task: str) -> Pairs:
    """Return what a task learns from: 'cross' as it is, 'intra' with the source as its target."""
    if task not in TASKS:
        raise GaltoolsError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
    if task == "cross":
        return pairs
    noise = np.stack([pairs.noise[:, 0]] * 2, axis=1)
    return Pairs(pairs.source, pairs.source, pairs.redshift, pairs.catalogue, noise)


def quantum(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Step of the stored integers, (n, bands): sigma/8, or finer than float32 if sigma is unknown.

    A pixel so bright that it would leave the integers' range widens its image's step.
    """
    size = np.where(np.isfinite(images), np.abs(images), 0).max(axis=(2, 3)).astype(np.float64)
    coarse = size / 2**30
    known = np.isfinite(noise) & (noise > 0)
    step = np.maximum(np.where(known, noise, 0) / STEPS_PER_SIGMA, coarse)
    return np.where(step > np.finfo(np.float32).tiny, step, 1.0).astype(np.float32)


def pack(images: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Turn images (n, bands, H, W) into integers: round(image / step) + 64."""
    with np.errstate(invalid="ignore"):
        counts = np.rint(images / step[:, :, None, None].astype(np.float64)) + SHIFT
    counts = np.nan_to_num(counts, nan=NAN, posinf=PLUS_INF, neginf=MINUS_INF)
    return counts.astype(np.int32)


def unpack(counts: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Turn integers back into images, float32; the inverse of `pack` to within step / 2."""
    steps = counts.astype(np.float64) - SHIFT
    images = (steps * step[:, :, None, None]).astype(np.float32)
    for code, value in ((PLUS_INF, np.inf), (MINUS_INF, -np.inf), (NAN, np.nan)):
        images[counts == code] = value
    return images


def _create_side(file: h5py.File, side: str, images: np.ndarray) -> None:
    """Make the empty data sets of one side; every galaxy is a chunk with a checksum of its own."""
    n, shape = len(images), images.shape[1:]
    options = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
    chunks = (1, *shape) if n else None
    file.create_dataset(
        f"{side}/images", (n, *shape), np.int32, chunks=chunks, **(options if n else {})
    )
    file.create_dataset(f"{side}/step", (n, shape[0]), np.float32)


def _write_side(group: h5py.Group, images: np.ndarray, noise: np.ndarray) -> None:
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        step = quantum(images[rows], noise[rows])
        group["step"][rows] = step
        group["images"][rows] = pack(images[rows], step)


def save(pairs: Pairs, path: Path) -> None:
    """Write pairs to an HDF5 file, whole or not at all; the same pairs give the same bytes."""
    with atomic(path) as new, h5py.File(new, "w") as file:
        file.attrs["format"] = FORMAT
        file["redshift"] = np.asarray(pairs.redshift, np.float32)
        file["noise"] = np.asarray(pairs.noise, np.float32)
        for k, side in enumerate(SIDES):
            images = getattr(pairs, side)
            _create_side(file, side, images)
            _write_side(file[side], images, pairs.noise[:, k])
        pairs.catalogue.write(file, path="catalogue", serialize_meta=True)


@contextmanager
def opened(path: Path):
    """Open a file of pairs for reading, or say in one line what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: check the name, or make it first")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise GaltoolsError(f"{path} is HDF5, but not a file of pairs made by galtools")
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise GaltoolsError(f"{path} is damaged or cut short: make or fetch it again") from error


def _read_side(group: h5py.Group, rows: np.ndarray) -> np.ndarray:
    images = np.empty((len(rows), *group["images"].shape[1:]), np.float32)
    step = group["step"][:][rows]
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        order, back = np.unique(rows[block], return_inverse=True)  # HDF5 wants them increasing
        first, last = order[0], order[-1] + 1
        if last - first == len(order):
            counts = group["images"][first:last]
        else:
            counts = group["images"][order]
        images[block] = unpack(counts[back], step[block])
    return images


def load(path: Path, rows=None) -> Pairs:
    """Read pairs; `rows` is a slice, a mask or an index array, in any order."""
    with opened(path) as file:
        n = len(file["redshift"])
        try:
            index = np.arange(n)[slice(None) if rows is None else rows]
        except IndexError:
            raise GaltoolsError(f"{path} has {n} galaxies: ask for rows below {n}") from None
        source, target = (_read_side(file[side], index) for side in SIDES)
        catalogue = Table.read(file, path="catalogue", character_as_bytes=False)[index]
        return Pairs(source, target, file["redshift"][:][index], catalogue, file["noise"][:][index])
