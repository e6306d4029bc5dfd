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
from galtools.errors import GaltoolsError, check_choice
from galtools.flags import FLAG, Flag, raise_flag
from galtools.ingest.catalogue import tidy
from galtools.ingest.fits_images import (
    SAME_SCALE,
    band_of,
    check_scale,
    pixel_scale_of,
    read_fits,
    read_wcs,
    saturated,
    zero_point_of,
)
from galtools.ingest.units import calibrated, to_nanomaggies
from galtools.surveys import BANDS, SURVEYS, Survey


def list_objects(folder: Path) -> dict[str, dict[str, Path]]:
    """Find the files of every object: {id: {band or 'cube': path}}, sorted by id."""
    folder = Path(folder)
    if not folder.is_dir():
        raise GaltoolsError(f"{folder} is no folder: give one that holds FITS cutouts")
    objects: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().removesuffix(".gz").endswith((".fits", ".fit")):
            stem = path.name[: path.name.lower().rindex(".fit")]
            name, _, band = stem.rpartition("_")
            key, part = (name, band) if name and band in BANDS else (stem, "cube")
            objects.setdefault(key, {})[part] = path
    if not objects:
        raise GaltoolsError(f"{folder} holds no FITS file: expected <id>_<band>.fits or <id>.fits")
    return objects


def _geometry(header, path: Path) -> tuple[float, float, float]:
    """Position of the stamp's centre in degrees and pixel scale in arcsec; NaN without a WCS."""
    try:
        wcs = read_wcs(header, path)
    except GaltoolsError:
        return np.nan, np.nan, np.nan
    centre = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2).icrs
    return float(centre.ra.deg), float(centre.dec.deg), pixel_scale_of(wcs)


def survey_of(folder: Path) -> tuple[Survey, int]:
    """Tell whose pixels a folder has by the scale of its first file, and how many along a side."""
    path = next(iter(next(iter(list_objects(folder).values())).values()))
    pixels, header = read_fits(path, ndim=(2, 3))
    scale = _geometry(header, path)[2]
    for survey in SURVEYS.values():
        if abs(scale / survey.pixel_scale - 1) <= SAME_SCALE:
            return survey, pixels.shape[-1]
    known = " or ".join(f"{s.pixel_scale} ({s.name})" for s in SURVEYS.values())
    raise GaltoolsError(f"{path} has pixels of {scale:.3f} arcsec by its header: need {known}")


def _read_object(files: dict[str, Path], survey: Survey, size: int, unit: str | None):
    """Images and mask (5, size, size), position, and flag of one object."""
    images = np.full((len(BANDS), size, size), np.nan, np.float32)
    mask = np.zeros(images.shape, np.uint8)
    flag, position = 0, (np.nan, np.nan)
    if "cube" not in files and set(BANDS) - set(files):
        flag |= Flag.MISSING_BAND
    for part, path in files.items():
        try:
            pixels, header = read_fits(path, ndim=(2, 3))
        except GaltoolsError:
            flag |= Flag.UNREADABLE
            continue
        rows = slice(None) if part == "cube" else BANDS.index(part)
        if pixels.shape != (wanted := images[rows].shape):
            raise GaltoolsError(f"{path} is {pixels.shape}, need {wanted}: cut all objects alike")
        if part != "cube" and header.get("FILTER") and (band := band_of(header, path)) != part:
            raise GaltoolsError(f"{path} is named {part}, but its FILTER says {band}: correct one")
        *position, scale = _geometry(header, path)
        if np.isfinite(scale):
            check_scale(scale, survey, path)
        zero_point = zero_point_of(header)
        kind = unit or ("nanomaggies" if zero_point is None else "counts")
        images[rows] = to_nanomaggies(pixels, kind, zero_point or survey.zero_point)
        mask[rows][saturated(pixels, header)] = SATURATED
    mask[np.isnan(images)] |= NO_DATA
    return images, mask, position, int(flag)


def _match_rows(objects: dict, catalogue: Table, folder: Path) -> tuple[list[dict], Table]:
    """Files of every row and the rows: objects in the order of the folder, then all others."""
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
    if unit is not None:
        check_choice("unit", unit, ("nanomaggies", "counts"))
    objects = list_objects(folder)
    files, table = list(objects.values()), None
    if catalogue is not None:
        files, table = _match_rows(objects, catalogue, folder)
    parts = [_read_object(own, survey, size or survey.stamp, unit) for own in files]
    images, mask, positions, bits = (np.array(column) for column in zip(*parts, strict=True))
    if table is None:
        table = Table({"id": list(objects), "ra": positions[:, 0], "dec": positions[:, 1]})
    table = tidy(table, folder, positions=False)
    raise_flag(table, slice(None), bits)
    return calibrated(survey, images, table, mask, folder, check=check)
