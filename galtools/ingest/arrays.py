"""Samples in arrays: npz, npy, HDF5 or FITS cubes in the layouts in public use, without pickles.

    one array        `data` (N, H, W, bands) or (N, bands, H, W), beside it `z`, `ebv`, ... (N,)
    one per band     `u`, `g`, ... (N, H, W), with a separate catalogue of N rows

Other names and orders of axes are given by `key` and `axes`. The bands are those of the argument or
the array `bands` (such as "grizu"), or all of the survey's. Kept with the images are the arrays

    noise, psf_fwhm              (N, bands)
    sigma_map, variance or ivar  with the axes and in the unit of the images
    mask, weights                likewise; not 0, or 0, where a pixel does not count
    psf                          images of the PSF, (N, bands, h, w), (bands, h, w) or (h, w)

under these names, or others that `names` gives: {"sigma_map": "err", "mask": "dq"}. Their axes are
in the order of the images': beside images (N, H, W, bands), PSFs are (N, h, w, bands).
"""

from pathlib import Path

import numpy as np
from astropy.table import Table

from galtools.data import ImageSet, load
from galtools.data.image_files import read_stacks
from galtools.data.pairs import MASKED, NO_DATA, expand_psf
from galtools.errors import GaltoolsError, check_choice
from galtools.ingest.catalogue import ALIASES, tidy
from galtools.ingest.units import TO_SIGMA, calibrated, to_nanomaggies, to_sigma
from galtools.surveys import Survey, band_names

IMAGE_KEYS = ("data", "images", "cube", "x")
BESIDE = ("noise", "psf_fwhm", "psf", "mask", "weights", *TO_SIGMA)


def _axes(shape: tuple, count: int, axes: str | None, path: Path) -> str:
    """Order of the axes n, b, y and x of an array: as given, or from where the bands can be."""
    if axes is None and len(shape) == 4:
        orders = [order for order in ("nbyx", "nyxb") if shape[order.index("b")] == count]
        axes = orders[0] if len(orders) == 1 else None
    if len(shape) != 4 or sorted(axes or "") != sorted("nbyx"):
        raise GaltoolsError(
            f"{path}: images are {shape}; need (N, H, W, {count}) or (N, {count}, H, W), "
            "or name the axes, as axes='nybx'"
        )
    return axes


def _cube(stacks: dict, survey: Survey, key, axes, bands, path: Path):
    """Images (N, bands, H, W), their bands and the order of their axes in the file."""
    there = [band for band in survey.bands if band in stacks]
    apart = {band: stacks[band] for band in there if len(stacks[band].shape) == 3}
    if apart and key is None:
        shapes = {band: stack.shape for band, stack in apart.items()}
        if len(set(shapes.values())) > 1:
            raise GaltoolsError(f"{path}: bands differ in shape, {shapes}; cut them alike")
        cube = np.stack([stack.read(()) for stack in apart.values()], axis=1)
        return cube, tuple(apart), "nbyx"
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
    return images, names, axes


def _catalogue(stacks: dict, n: int, path: Path) -> Table:
    """Collect the columns of n rows among the arrays."""
    aliases = {alias for names in ALIASES.values() for alias in names}
    for key, stack in stacks.items():
        if key.lower() in aliases and len(stack.shape) in (1, 2) and stack.shape != (n,):
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
    names: dict | None = None,
    catalogue: Table | None = None,
    pixel_scale: float | None = None,
    check: bool = True,
) -> ImageSet:
    """Read a sample of stamps in one of the known layouts; bands come in the survey's order.

    `check` compares the sky noise with the survey's, which reveals wrong units and orders of bands.
    """
    stacks = read_stacks(path)
    for ours, theirs in (names or {}).items():
        check_choice("name of an array", ours, BESIDE)
        if not {theirs, theirs.lower()} & stacks.keys():
            raise GaltoolsError(f"{path} holds {', '.join(stacks)}, but no {theirs}")
        stacks[ours] = stacks.pop(theirs if theirs in stacks else theirs.lower())
    beside = {name: stacks.pop(name) for name in BESIDE if name in stacks}
    cube, bands, axes = _cube(stacks, survey, key, axes, bands, path)
    if not cube.size or cube.dtype.kind not in "fiu":
        raise GaltoolsError(f"{path}: images are {cube.shape} {cube.dtype}; need some numbers")
    table = _catalogue(stacks, len(cube), path) if catalogue is None else catalogue
    if len(table) != len(cube):
        raise GaltoolsError(f"{path} has {len(cube)} objects, its catalogue {len(table)}: match")
    survey = survey.in_bands([band for band in survey.bands if band in bands])
    order = [bands.index(band) for band in survey.bands]
    with np.errstate(over="ignore"):
        images = np.asarray(to_nanomaggies(cube[:, order], unit, survey), np.float32)
    given = {
        name: _beside(name, stack, axes, cube.shape, order, path) for name, stack in beside.items()
    }
    masked = (given.pop("mask", 0) != 0) | (given.pop("weights", 1) == 0)
    mask = np.where(np.isnan(images), NO_DATA, np.where(masked, MASKED, 0)).astype(np.uint8)
    for name in [name for name in ("noise", *TO_SIGMA) if name in given]:
        if unit == "luptitudes":
            raise GaltoolsError(f"{path}: bring luptitudes with their {name} to nanomaggies first")
        sigma = to_sigma(name, given.pop(name))
        kept = "noise" if name == "noise" else "sigma_map"
        given.setdefault(kept, to_nanomaggies(sigma, unit, survey))
    if pixel_scale is None and "pixel_scale" in stacks:
        pixel_scale = float(stacks["pixel_scale"].read(()))
    given |= {"pixel_scale": pixel_scale, "check": check}
    return calibrated(survey, images, tidy(table, path, positions=False), mask, path, **given)


def read_source(path: Path, survey: Survey, rows=None) -> tuple[ImageSet, ImageSet | None]:
    """Read the source, and from a file of pairs its target; `rows` is a slice.

    Plain stamps of `survey`, an array `source` or what `read_arrays` knows, have no target.
    """
    stacks = read_stacks(path)
    if "source/images" in stacks:
        pairs = load(path, rows)
        return pairs.source_set, pairs.target_set
    if "source" in stacks and "truth" in stacks and (extra := stacks.keys() & {*BESIDE}):
        raise GaltoolsError(
            f"{path} has a {', '.join(sorted(extra))} that may be the truth's: give the source in "
            "a file of its own"
        )
    stamps = read_arrays(Path(path), survey, key="source" if "source" in stacks else None)
    return stamps[rows or slice(None)], None


def _beside(name: str, stack, axes: str, shape: tuple, order: list, path: Path) -> np.ndarray:
    """Read what a file states of every image or pixel, its bands in an order."""
    values, needed = np.asarray(stack.read(())), "nbyx"
    if name in ("noise", "psf_fwhm"):
        axes, needed, shape = "nb", "nb", shape[:2]
    if name == "psf":  # that of all objects, or of all bands too, has fewer axes
        needed = needed[max(0, 4 - values.ndim) :]
    kept = [axis for axis in axes if axis in needed]
    if values.ndim != len(kept):
        raise GaltoolsError(f"{path}: {name} is {values.shape}, its images have axes {axes}")
    values = np.moveaxis(values, [kept.index(axis) for axis in needed], range(len(kept)))
    if name == "psf":
        expand_psf(values, shape)
    elif values.shape != shape:
        raise GaltoolsError(f"{path}: {name} is {values.shape}, need {shape}")
    return np.take(values, order, needed.index("b")) if "b" in needed else values
