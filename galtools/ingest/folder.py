"""A folder of FITS cutouts: one file per object and band, or one cube (5, H, W) per object.

    <id>_u.fits <id>_g.fits ...      the last word of the name is the band
    <id>.fits                        a cube in the order u g r i z

Endings are .fits, .fit and .fts, with .gz, .bz2 or .fz. Units and zero points are those of every
file's header, or of `unit`; pixels of a file that says neither are nanomaggies. Rows whose files
are at odds with one another, with the catalogue or with the survey are flagged.
"""

import re
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from galtools.data import ImageSet
from galtools.data.pairs import NO_DATA, SATURATED
from galtools.errors import GaltoolsError, check_choice
from galtools.flags import FLAG, Flag, raise_flag
from galtools.ingest.catalogue import has_position, tidy
from galtools.ingest.cutouts import check_memory
from galtools.ingest.fits_images import (
    band_of,
    check_scale,
    pixel_scale_of,
    read_fits,
    read_wcs,
    saturated,
    survey_by_scale,
)
from galtools.ingest.pixel_units import calibration_of, linear
from galtools.ingest.units import calibrated, counts_to_nanomaggies
from galtools.surveys import BANDS, SURVEYS, Survey

ENDING = re.compile(r"(.+)\.(fits|fit|fts)(\.(gz|bz2|fz))?", re.IGNORECASE)


def list_objects(folder: Path) -> dict[str, dict[str, Path]]:
    """Find the files of every object: {id: {band or 'cube': path}}, sorted by id."""
    folder = Path(folder)
    if not folder.is_dir():
        raise GaltoolsError(f"{folder} is no folder: give one that holds FITS cutouts")
    objects: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if not (found := ENDING.fullmatch(path.name)):
            continue
        name, _, band = found[1].rpartition("_")
        key, part = (name, band) if name and band in BANDS else (found[1], "cube")
        own = objects.setdefault(key, {})
        if (
            rival := own.get(part)
            or own.get("cube")
            or (part == "cube" and next(iter(own.values()), None))
        ):
            raise GaltoolsError(f"{rival} and {path.name} are one band of {key}: keep one of them")
        own[part] = path
    if not objects:
        raise GaltoolsError(f"{folder} holds no FITS file: expected <id>_<band>.fits or <id>.fits")
    return objects


def _geometry(header, path: Path) -> tuple[float, float, float, np.ndarray]:
    """Centre of a stamp in degrees, pixel scale in arcsec, and east and north by pixel (2, 2).

    NaN without a WCS; a broken one is refused.
    """
    if not header.get("CTYPE1"):
        return np.nan, np.nan, np.nan, np.full((2, 2), np.nan)
    wcs = read_wcs(header, path)
    centre = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2).icrs
    scale = pixel_scale_of(wcs)
    east_north = wcs.pixel_scale_matrix[[wcs.wcs.lng, wcs.wcs.lat]] * 3600 / scale
    return float(centre.ra.deg), float(centre.dec.deg), scale, east_north


def survey_of(folder: Path) -> tuple[Survey, int]:
    """Tell whose pixels a folder has by the scale of its first file, and how many along a side."""
    path = next(iter(next(iter(list_objects(folder).values())).values()))
    pixels, header = read_fits(path, ndim=(2, 3))
    scale = _geometry(header, path)[2]
    if survey := survey_by_scale(scale):
        return survey, pixels.shape[-1]
    known = " or ".join(f"{s.pixel_scale} ({s.name})" for s in SURVEYS.values())
    raise GaltoolsError(f"{path} has pixels of {scale:.3f} arcsec by its header: need {known}")


def _zero_point(header: fits.Header, path: Path, survey: Survey, unit: str | None):
    """AB magnitude of one unit of the pixels; NaN, and a flag, where the header's is impossible.

    `unit` "nanomaggies" overrules the header; "counts" have its zero point, or the survey's if it
    has none. Where neither says anything the pixels are nanomaggies, as the noise must confirm.
    """
    try:
        stated = calibration_of(header, path)
    except GaltoolsError:
        return (22.5 if unit == "nanomaggies" else np.nan), Flag.UNCALIBRATED
    if unit == "nanomaggies" or (unit is None and not header.get("BUNIT") and stated.silent):
        return 22.5, Flag(0)
    if stated.zero_point is not None:
        return stated.zero_point, Flag(0)
    return (survey.zero_point, Flag(0)) if unit and stated.silent else (np.nan, Flag.UNCALIBRATED)


def _read_object(files: dict[str, Path], survey: Survey, size: int, unit: str | None):
    """Images and mask (5, size, size), position, orientation, and flag of one object."""
    images = np.full((len(BANDS), size, size), np.nan, np.float32)
    mask = np.zeros(images.shape, np.uint8)
    flag, places = Flag(0), []
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
        try:
            places.append(_geometry(header, path))
        except GaltoolsError:
            flag |= Flag.ODD_WCS
        else:
            if np.isfinite(places[-1][2]):
                check_scale(places[-1][2], survey, path)
        zero_point, doubt = _zero_point(header, path, survey, unit)
        flag |= doubt
        counts = linear(pixels, header)
        images[rows] = counts_to_nanomaggies(counts, zero_point)
        mask[rows][saturated(counts, header)] = SATURATED
    mask[np.isnan(images)] |= NO_DATA
    position, east_north, apart = _common_place(places, size * survey.pixel_scale / 2)
    return images, mask, position, east_north, int(flag | (Flag.ODD_WCS if apart else 0))


def _common_place(places: list, reach: float):
    """Median centre and orientation of an object's files, and whether one is off them.

    `reach` is half a stamp, in arcsec; files without coordinates do not count.
    """
    known = [place for place in places if np.isfinite(place[2])]
    if not known:
        return (np.nan, np.nan), np.full((2, 2), np.nan), False
    sky = SkyCoord([p[0] for p in known], [p[1] for p in known], unit="deg")
    separations = sky[:, None].separation(sky[None]).arcsec
    best = int(np.argmin(np.median(separations, axis=1)))
    turns = np.array([place[3] for place in known])
    apart = (separations[best] > reach).any() or _turned(turns, turns[best]).any()
    return known[best][:2], turns[best], apart or len(known) < len(places)


def _turned(east_north: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Which orientations (n, 2, 2) are mirrored or over 45 degrees off a common one."""
    both = np.linalg.det(east_north) * np.linalg.det(common) < 0
    return both | ((east_north * common).sum(axis=(-2, -1)) < 2 * np.cos(np.pi / 4))


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


def _misplaced(table: Table, positions, turns, reach: float) -> np.ndarray:
    """Rows turned against most others, or over `reach` arcsec from where the catalogue has them."""
    found = np.isfinite(positions).all(axis=1)
    odd = np.zeros(len(table), bool)
    if not found.any():
        return odd
    odd[found] = _turned(turns[found], np.median(turns[found], axis=0))
    if {"ra", "dec"} <= set(table.colnames):
        rows = np.flatnonzero(found & has_position(table))
        sky = SkyCoord(table["ra"][rows], table["dec"][rows], unit="deg")
        odd[rows] |= sky.separation(SkyCoord(positions[rows], unit="deg")).arcsec > reach
    return odd


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
    check_memory(len(files), size or survey.stamp)
    parts = [_read_object(own, survey, size or survey.stamp, unit) for own in files]
    images, mask, positions, turns, bits = map(np.array, zip(*parts, strict=True))
    if table is None:
        table = Table({"id": list(objects), "ra": positions[:, 0], "dec": positions[:, 1]})
    table = tidy(table, folder, positions=False)
    raise_flag(table, slice(None), bits)
    raise_flag(
        table,
        _misplaced(table, positions, turns, images.shape[-1] * survey.pixel_scale / 2),
        Flag.ODD_WCS,
    )
    return calibrated(survey, images, table, mask, folder, check=check)
