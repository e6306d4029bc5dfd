"""Samples that come as NumPy arrays: the layouts in public use, read without any pickle.

    one array        `data` (N, H, W, 5) or (N, 5, H, W), beside it `z`, `ebv`, ... (N,)
    one per band     `u`, `g`, `r`, `i`, `z` (N, H, W), with a separate catalogue of N rows
    one bare array   a .npy file (N, 5, H, W) or (N, H, W, 5)

A key `bands` (such as "grizu") gives the order of the bands; without it they are u g r i z.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from galtools.data import ImageSet
from galtools.data.image_files import load_arrays
from galtools.data.pairs import NO_DATA
from galtools.errors import GaltoolsError
from galtools.ingest.catalogue import ALIASES, tidy
from galtools.ingest.units import calibrated, to_nanomaggies
from galtools.surveys import BANDS, Survey

IMAGE_KEYS = ("data", "images", "cube", "x")


def _cube(arrays: dict, path: Path) -> np.ndarray:
    """Take the images (N, 5, H, W), in the order u g r i z, out of the arrays of a file."""
    if found := {band: arrays[band] for band in BANDS if np.ndim(arrays.get(band)) == 3}:
        if missing := [band for band in BANDS if band not in found]:
            raise GaltoolsError(f"{path} has no images in {', '.join(missing)}: add these bands")
        shapes = {band: image.shape for band, image in found.items()}
        if len(set(shapes.values())) > 1:
            raise GaltoolsError(f"{path}: bands differ in shape, {shapes}; cut them alike")
        return np.stack([found[band] for band in BANDS], axis=1)
    key = next((key for key in IMAGE_KEYS if key in arrays), None)
    if key is None:
        raise GaltoolsError(f"{path} holds {', '.join(arrays)}: need `data`, or u, g, r, i, z")
    shape = np.shape(cube := arrays.pop(key))
    axes = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == len(BANDS)]
    if len(axes) != 1:
        raise GaltoolsError(f"{path}: images are {shape}; need (N, H, W, 5) or (N, 5, H, W)")
    names = "".join(np.atleast_1d(arrays.get("bands", BANDS)).astype(str)).replace(" ", "")
    if sorted(names) != sorted(BANDS):
        raise GaltoolsError(f"{path}: bands are {names!r}; need each of u, g, r, i, z once")
    return np.moveaxis(cube, axes[0], 1)[:, [names.index(band) for band in BANDS]]


def _catalogue(arrays: dict, n: int, path: Path) -> Table:
    """Collect the columns of n rows among the arrays."""
    known = {alias for names in ALIASES.values() for alias in names}
    for key, array in arrays.items():
        if key.lower() in known and np.ndim(array) in (1, 2) and np.shape(array) != (n,):
            raise GaltoolsError(f"{path}: {key} is {array.shape}, need ({n},): one per object")
    columns = {key: array for key, array in arrays.items() if np.shape(array) == (n,)}
    return Table(columns or {"id": np.arange(n)})


def read_arrays(
    path: Path,
    survey: Survey,
    *,
    unit: str = "nanomaggies",
    catalogue: Table | None = None,
    pixel_scale: float | None = None,
    check: bool = True,
) -> ImageSet:
    """Read a sample of stamps from an npz or npy file in one of the known layouts.

    `check` compares the sky noise with the survey's, which reveals wrong units and orders of bands.
    """
    arrays = load_arrays(path)
    cube = _cube(arrays, path)
    if not cube.size or cube.dtype.kind not in "fiu":
        raise GaltoolsError(f"{path}: images are {cube.shape} {cube.dtype}; need some numbers")
    table = _catalogue(arrays, len(cube), path) if catalogue is None else catalogue
    if len(table) != len(cube):
        raise GaltoolsError(f"{path} has {len(cube)} objects, its catalogue {len(table)}: match")
    with np.errstate(over="ignore"):
        images = np.asarray(to_nanomaggies(cube, unit, survey.zero_point), np.float32)
    mask = np.where(np.isnan(images), NO_DATA, 0).astype(np.uint8)
    survey = replace(survey, pixel_scale=pixel_scale or survey.pixel_scale)
    table = tidy(table, path, positions=False)
    return calibrated(survey, images, table, mask, path, check=check)
