"""Samples that come as NumPy arrays: the layouts in public use, read without any pickle.

    one array        `data` (N, H, W, 5) or (N, 5, H, W), beside it `z`, `ebv`, ... (N,)
    one per band     `u`, `g`, `r`, `i`, `z` (N, H, W), with a separate catalogue of N rows
    one bare array   a .npy file (N, 5, H, W) or (N, H, W, 5)

A key `bands` (such as "grizu") tells the order of the bands; without it they are u g r i z.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from galtools.data import ImageSet
from galtools.data.pairs import NO_DATA
from galtools.errors import GaltoolsError
from galtools.ingest.catalogue import ALIASES, tidy
from galtools.ingest.units import (
    calibrated,
    counts_to_nanomaggies,
    luptitudes_to_nanomaggies,
)
from galtools.surveys import BANDS, Survey

IMAGE_KEYS = ("data", "images", "cube", "x")
UNITS = ("nanomaggies", "counts", "luptitudes")


def open_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an npz or npy file of plain numbers and strings; whatever needs a pickle is refused."""
    path = Path(path)
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: check the name")
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"data": content}
        with content:
            return {key: content[key] for key in content.files}
    except Exception as error:  # a stranger's bytes can break the parser anywhere
        if "pickle" in str(error):
            raise GaltoolsError(
                f"{path} is or holds a pickle, which can run code: save plain arrays with np.savez"
            ) from error
        raise GaltoolsError(f"{path} is damaged or no npz or npy file: fetch it again") from error


def _per_band(arrays: dict, path: Path) -> np.ndarray | None:
    """Stack one array per band, or return None if there are none."""
    found = {band: arrays[band] for band in BANDS if np.ndim(arrays.get(band)) == 3}
    if not found:
        return None
    if missing := [band for band in BANDS if band not in found]:
        raise GaltoolsError(f"{path} has no images in {', '.join(missing)}: add these bands")
    shapes = {band: image.shape for band, image in found.items()}
    if len(set(shapes.values())) > 1:
        raise GaltoolsError(f"{path}: bands differ in shape, {shapes}; cut them alike")
    return np.stack([found[band] for band in BANDS], axis=1)


def _bands_first(cube: np.ndarray, path: Path) -> np.ndarray:
    """Bring (N, H, W, 5) to (N, 5, H, W)."""
    shape = np.shape(cube)
    where = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == len(BANDS)]
    if len(where) != 1:
        raise GaltoolsError(f"{path}: images are {shape}; need (N, H, W, 5) or (N, 5, H, W)")
    return np.moveaxis(cube, where[0], 1)


def _in_order(cube: np.ndarray, arrays: dict, path: Path) -> np.ndarray:
    """Sort the bands as the file's key `bands` tells."""
    if "bands" not in arrays:
        return cube
    names = "".join(np.atleast_1d(arrays["bands"]).astype(str).tolist()).replace(" ", "")
    if sorted(names) != sorted(BANDS):
        raise GaltoolsError(f"{path}: bands are {names!r}; need each of u, g, r, i, z once")
    return cube[:, [names.index(band) for band in BANDS]]


def _catalogue(arrays: dict, catalogue: Table | None, n: int, path: Path) -> Table:
    if catalogue is None:
        known = {alias for names in ALIASES.values() for alias in names}
        columns = {key: x for key, x in arrays.items() if np.shape(x) == (n,)}
        for key in arrays.keys() - columns.keys():
            if key.lower() in known and np.ndim(arrays[key]) in (1, 2):
                shape = np.shape(arrays[key])
                raise GaltoolsError(f"{path}: {key} is {shape}, need ({n},): one per object")
        catalogue = Table(columns or {"id": np.arange(n)})
    if len(catalogue) != n:
        raise GaltoolsError(f"{path} has {n} objects, its catalogue {len(catalogue)}: match them")
    return tidy(catalogue, path, positions=False)


def to_nanomaggies(images: np.ndarray, unit: str, survey: Survey) -> np.ndarray:
    """Convert images (N, 5, H, W) from a unit by name; counts are at the survey's zero point."""
    if unit not in UNITS:
        raise GaltoolsError(f"unknown unit {unit!r}: choose one of {', '.join(UNITS)}")
    if unit == "counts":
        return counts_to_nanomaggies(images, survey.zero_point)
    return luptitudes_to_nanomaggies(images) if unit == "luptitudes" else images


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

    `check` compares the sky noise with the survey's, which tells wrong units and orders of bands.
    """
    arrays = open_arrays(path)
    cube = _per_band(arrays, path)
    if cube is None:
        key = next((key for key in IMAGE_KEYS if key in arrays), None)
        if key is None:
            raise GaltoolsError(f"{path} holds {', '.join(arrays)}: need `data`, or u, g, r, i, z")
        cube = _in_order(_bands_first(arrays.pop(key), path), arrays, path)
    if not cube.size or cube.dtype.kind not in "fiu":
        raise GaltoolsError(f"{path}: images are {cube.shape} {cube.dtype}; need some numbers")
    table = _catalogue(arrays, catalogue, len(cube), path)
    with np.errstate(over="ignore"):
        images = np.asarray(to_nanomaggies(cube, unit, survey), np.float32)
    mask = np.where(np.isnan(images), NO_DATA, 0).astype(np.uint8)
    survey = replace(survey, pixel_scale=pixel_scale or survey.pixel_scale)
    return calibrated(survey, images, table, mask, path, check=check)
