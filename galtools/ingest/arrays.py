"""Samples in arrays: npz, npy, HDF5 or FITS cubes in the layouts in public use, without pickles.

    one array        `data` (N, H, W, bands) or (N, bands, H, W), beside it `z`, `ebv`, ... (N,)
    one per band     `u`, `g`, ... (N, H, W), with a separate catalogue of N rows

Other names and orders of axes are given by `key` and `axes`. The bands are those of the argument or
the array `bands` (such as "grizu"), or all of the survey's. Arrays `noise` and `psf_fwhm`
(N, bands) and `weights` (as the images; 0 where a pixel does not count) are kept with the images.
"""

from pathlib import Path

import numpy as np
from astropy.table import Table

from galtools.data import ImageSet
from galtools.data.image_files import read_stacks
from galtools.data.pairs import NO_DATA
from galtools.errors import GaltoolsError
from galtools.ingest.catalogue import ALIASES, tidy
from galtools.ingest.units import calibrated, to_nanomaggies
from galtools.surveys import Survey, band_names

IMAGE_KEYS = ("data", "images", "cube", "x")


def _axes(shape: tuple, count: int, axes: str | None, path: Path) -> str:
    """Order of the axes n, b, y and x of an array: as given, or from where the bands can be."""
    if axes is None and len(shape) == 4:
        places = [order for order in ("nbyx", "nyxb") if shape[order.index("b")] == count]
        axes = places[0] if len(places) == 1 else None
    if len(shape) != 4 or sorted(axes or "") != sorted("nbyx"):
        raise GaltoolsError(
            f"{path}: images are {shape}; need (N, H, W, {count}) or (N, {count}, H, W), "
            "or name the axes, as axes='nybx'"
        )
    return axes


def _cube(stacks: dict, survey: Survey, key, axes, bands, path: Path):
    """Images (N, bands, H, W) and the names of their bands, out of the arrays of a file."""
    apart = {band: stacks[band] for band in survey.bands if len(_shape(stacks, band)) == 3}
    if apart and key is None:
        shapes = {band: stack.shape for band, stack in apart.items()}
        if len(set(shapes.values())) > 1:
            raise GaltoolsError(f"{path}: bands differ in shape, {shapes}; cut them alike")
        return np.stack([stack.read(()) for stack in apart.values()], axis=1), tuple(apart)
    key = key or next((key for key in IMAGE_KEYS if key in stacks), None)
    if key not in stacks:
        raise GaltoolsError(f"{path} holds {', '.join(stacks)}: name the images with `key`")
    if bands is None:
        bands = stacks["bands"].read(()) if "bands" in stacks else survey.bands
    names = band_names(bands)
    if len({*names}) < len(names) or {*names} - {*survey.bands}:
        raise GaltoolsError(f"{path}: bands are {names}; need some of {survey.bands}, each once")
    axes = _axes(stacks[key].shape, len(names), axes, path)
    images = np.moveaxis(stacks.pop(key).read(()), [axes.index(a) for a in "nbyx"], range(4))
    if images.shape[1] != len(names):
        raise GaltoolsError(f"{path}: {images.shape[1]} bands, but {len(names)} names for them")
    return images, names


def _shape(stacks: dict, key: str) -> tuple:
    return stacks[key].shape if key in stacks else ()


def _catalogue(stacks: dict, n: int, path: Path) -> Table:
    """Collect the columns of n rows among the arrays."""
    known = {alias for names in ALIASES.values() for alias in names}
    for key, stack in stacks.items():
        if key.lower() in known and len(stack.shape) in (1, 2) and stack.shape != (n,):
            raise GaltoolsError(f"{path}: {key} is {stack.shape}, need ({n},): one per object")
    columns = {key: stack.read(()) for key, stack in stacks.items() if stack.shape == (n,)}
    return Table(columns or {"id": np.arange(n)})


def read_arrays(
    path: Path,
    survey: Survey,
    *,
    unit: str = "nanomaggies",
    key: str | None = None,
    axes: str | None = None,
    bands=None,
    catalogue: Table | None = None,
    pixel_scale: float | None = None,
    check: bool = True,
) -> ImageSet:
    """Read a sample of stamps in one of the known layouts; bands come in the survey's order.

    `check` compares the sky noise with the survey's, which reveals wrong units and orders of bands.
    """
    stacks = read_stacks(path)
    cube, names = _cube(stacks, survey, key, axes, bands, path)
    if not cube.size or cube.dtype.kind not in "fiu":
        raise GaltoolsError(f"{path}: images are {cube.shape} {cube.dtype}; need some numbers")
    table = _catalogue(stacks, len(cube), path) if catalogue is None else catalogue
    if len(table) != len(cube):
        raise GaltoolsError(f"{path} has {len(cube)} objects, its catalogue {len(table)}: match")
    survey = survey.in_bands([band for band in survey.bands if band in names])
    order = [names.index(band) for band in survey.bands]
    with np.errstate(over="ignore"):
        images = np.asarray(to_nanomaggies(cube[:, order], unit, survey), np.float32)
    mask = np.where(np.isnan(images), NO_DATA, 0).astype(np.uint8)
    if "weights" in stacks:
        mask[_beside(stacks, "weights", cube.shape, path)[:, order] == 0] = NO_DATA
    given = {
        name: _beside(stacks, name, cube.shape[:2], path)[:, order]
        for name in ("noise", "psf_fwhm")
        if name in stacks
    }
    table = tidy(table, path, positions=False)
    given |= {"pixel_scale": pixel_scale, "check": check}
    return calibrated(survey, images, table, mask, path, **given)


def _beside(stacks: dict, name: str, shape: tuple, path: Path) -> np.ndarray:
    """Read what a file states of every image or pixel."""
    if stacks[name].shape != shape:
        raise GaltoolsError(f"{path}: {name} is {stacks[name].shape}, need {shape}")
    return np.asarray(stacks[name].read(()))
