"""A folder of FITS cutouts: one file per object and band, or one cube (5, H, W) per object.

    <id>_u.fits <id>_g.fits ...      the last word of the name is the band
    <id>.fits                        a cube in the order u g r i z

Pixels are nanomaggies, or counts at the zero point of the header (MZP_AB or MAGZP) or of `unit`.
"""

from pathlib import Path

import numpy as np
from astropy.table import Table

from galtools.data import ImageSet
from galtools.data.pairs import NO_DATA, SATURATED
from galtools.errors import GaltoolsError
from galtools.flags import FLAG, Flag, raise_flag
from galtools.ingest.catalogue import tidy
from galtools.ingest.cutouts import SAME_SCALE
from galtools.ingest.fits_images import band_of, read_fits, read_wcs, saturated, zero_point_of
from galtools.ingest.units import calibrated, counts_to_nanomaggies
from galtools.surveys import BANDS, SURVEYS, Survey

ENDINGS = (".fits", ".fit", ".fits.gz", ".fit.gz")


def list_objects(folder: Path) -> dict[str, dict[str, Path]]:
    """Find the files of every object: {id: {band or 'cube': path}}, sorted by id."""
    folder = Path(folder)
    if not folder.is_dir():
        raise GaltoolsError(f"{folder} is no folder: give one that holds FITS cutouts")
    objects: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.lower().endswith(ENDINGS):
            continue
        stem = path.name[: path.name.lower().index(".fit")]
        name, _, band = stem.rpartition("_")
        key, part = (name, band) if name and band in BANDS else (stem, "cube")
        objects.setdefault(key, {})[part] = path
    if not objects:
        raise GaltoolsError(f"{folder} holds no FITS file: expected <id>_<band>.fits or <id>.fits")
    return objects


def _to_nanomaggies(pixels: np.ndarray, header, survey: Survey, unit: str | None) -> np.ndarray:
    """Convert by what was asked, else by the header, else take nanomaggies."""
    zero_point = zero_point_of(header)
    if unit == "counts" or (unit is None and zero_point is not None):
        return counts_to_nanomaggies(
            pixels, survey.zero_point if zero_point is None else zero_point
        )
    return pixels


def _scale(header, path: Path) -> tuple[float, float, float]:
    """Position of the stamp's centre in degrees and pixel scale in arcsec; NaN without a WCS."""
    try:
        wcs = read_wcs(header, path)
    except GaltoolsError:
        return np.nan, np.nan, np.nan
    centre = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2).icrs
    scale = 3600 * np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))
    return float(centre.ra.deg), float(centre.dec.deg), float(scale)


def survey_of(folder: Path) -> tuple[Survey, int]:
    """Tell whose pixels a folder has by the scale of its first file, and how many along a side."""
    path = next(iter(next(iter(list_objects(folder).values())).values()))
    pixels, header = read_fits(path, ndim=(2, 3))
    scale = _scale(header, path)[2]
    for survey in SURVEYS.values():
        if abs(scale / survey.pixel_scale - 1) <= SAME_SCALE:
            return survey, pixels.shape[-1]
    known = " or ".join(f"{s.pixel_scale} ({s.name})" for s in SURVEYS.values())
    raise GaltoolsError(
        f"{path} has pixels of {scale:.3f} arcsec by its header: give cutouts of {known}"
    )


def _check_file(pixels, header, part: str, path: Path, wanted: tuple, survey: Survey):
    """Refuse a file of another shape, band or pixel scale; return its position and scale."""
    if pixels.shape != wanted:
        raise GaltoolsError(f"{path} is {pixels.shape}, need {wanted}: cut all objects alike")
    if part != "cube" and header.get("FILTER") and (band := band_of(header, path)) != part:
        raise GaltoolsError(f"{path} is named {part}, but its FILTER says {band}: correct one")
    where = _scale(header, path)
    if np.isfinite(where[2]) and abs(where[2] / survey.pixel_scale - 1) > SAME_SCALE:
        raise GaltoolsError(
            f"{path} has pixels of {where[2]:.3f} arcsec, {survey.name} of "
            f"{survey.pixel_scale}: take files of one survey and one pixel scale"
        )
    return where


def _read_object(files: dict[str, Path], survey: Survey, size: int, unit: str | None):
    """Images and mask (5, size, size), position, and flag of one object."""
    images = np.full((len(BANDS), size, size), np.nan, np.float32)
    mask = np.zeros(images.shape, np.uint8)
    flag, where = 0, (np.nan, np.nan, np.nan)
    if "cube" not in files and set(BANDS) - set(files):
        flag |= Flag.MISSING_BAND
    for part, path in files.items():
        try:
            pixels, header = read_fits(path, ndim=(2, 3))
        except GaltoolsError:
            flag |= Flag.UNREADABLE
            continue
        wanted = images.shape if part == "cube" else (size, size)
        where = _check_file(pixels, header, part, path, wanted, survey)
        rows = slice(None) if part == "cube" else BANDS.index(part)
        images[rows] = _to_nanomaggies(pixels, header, survey, unit)
        mask[rows][saturated(pixels, header)] = SATURATED
    mask[np.isnan(images)] |= NO_DATA
    return images, mask, where[:2], int(flag)


def _join(objects: dict, catalogue: Table | None, folder: Path) -> tuple[list, Table | None]:
    """Bring a folder and a catalogue with the same identifiers together.

    Returns the files of every row, and the rows: objects in the order of the folder, then what
    else the catalogue lists, without files or for a second time.
    """
    if catalogue is None:
        return list(objects.values()), None
    known = tidy(catalogue, "the catalogue", positions=False)
    rows = {name: k for k, name in reversed(list(enumerate(known["id"])))}
    if missing := [name for name in objects if name not in rows]:
        raise GaltoolsError(f"{folder}: object {missing[0]} is not in the catalogue; add its row")
    order = [rows[name] for name in objects]
    order += sorted(set(range(len(known))) - set(order))
    known.remove_column(FLAG)
    return [objects.get(name, {}) for name in known["id"][order]], known[order]


def read_folder(
    folder: Path,
    survey: Survey,
    *,
    catalogue: Table | None = None,
    size: int | None = None,
    unit: str | None = None,
    check: bool = True,
) -> ImageSet:
    """Read every object of a folder; damaged and missing files are flagged, the rows stay.

    Rows of the catalogue that have no file at all follow after the others.
    """
    if unit not in (None, "nanomaggies", "counts"):
        raise GaltoolsError(f"unknown unit {unit!r}: choose nanomaggies or counts")
    objects = list_objects(folder)
    files, table = _join(objects, catalogue, folder)
    size = size or survey.stamp
    parts = [_read_object(own, survey, size, unit) for own in files]
    images, mask, places, bits = (np.array(column) for column in zip(*parts, strict=True))
    if table is None:
        table = Table({"id": list(objects), "ra": places[:, 0], "dec": places[:, 1]})
    table = tidy(table, folder, positions=False)
    raise_flag(table, slice(None), bits)
    return calibrated(survey, images, table, mask, folder, check=check)
