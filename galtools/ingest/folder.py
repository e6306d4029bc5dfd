"""A folder of FITS cutouts: one file per object and band, or one cube (bands, H, W) per object.

    <id>_u.fits <id>_g.fits ...      the last word of the name is the band
    <id>.fits                        a cube, in the order of the survey's bands

Endings are .fits, .fit and .fts, with .gz, .bz2 or .fz. Units and zero points are those of every
file's header, or of `unit`; pixels of a file that says neither are nanomaggies. Rows whose files
are at odds with one another, with the catalogue or with the survey are flagged.

Extensions of every file, {"sigma_map": "ERR", "mask": "DQ", "psf": "PSF"} for instance, or files
beside it, are kept with the images, as `galtools.ingest.fits_images` says.
"""

import warnings
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord, cartesian_to_spherical
from astropy.table import Table

from galtools.data import ImageSet
from galtools.data.pairs import NO_DATA
from galtools.errors import GaltoolsError, check_choice
from galtools.flags import FLAG, Flag, raise_flag
from galtools.ingest.catalogue import has_position, tidy
from galtools.ingest.cutouts import check_memory
from galtools.ingest.fits_images import (
    ENDING,
    band_of,
    calibrate,
    check_scale,
    image_files,
    pixel_scale_of,
    read_fits,
    read_maps,
    read_wcs,
)
from galtools.ingest.units import TO_SIGMA, calibrated
from galtools.surveys import Survey

CUBE = "cube"
NANOMAGGIES = 22.5
TURNED = 2 * np.cos(np.pi / 4)  # trace of a rotation by 45 degrees; of a mirror image it is 0


def list_objects(folder: Path, survey: Survey, names=None) -> dict[str, dict[str, Path]]:
    """Find the files of every object: {id: {band or 'cube': path}}, sorted by id."""
    objects: dict[str, dict[str, Path]] = {}
    for path in image_files(folder, names):
        stem = ENDING.fullmatch(path.name)[1]
        name, _, band = stem.rpartition("_")
        key, part = (name, band) if name and band in survey.bands else (stem, CUBE)
        files = objects.setdefault(key, {})
        if rivals := [files[other] for other in files if CUBE in (part, other) or part == other]:
            raise GaltoolsError(
                f"{rivals[0]} and {path.name} are one band of {key}: keep one of them"
            )
        files[part] = path
    if not objects:
        raise GaltoolsError(f"{folder} holds no FITS file: expected <id>_<band>.fits or <id>.fits")
    return objects


def _place(header, survey: Survey, path: Path) -> np.ndarray:
    """Unit vector to the centre (3), east and north by pixel (4), scale; NaN without a WCS."""
    if not header.get("CTYPE1"):
        return np.full(8, np.nan)
    wcs = read_wcs(header, path)
    centre = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2).icrs
    scale = pixel_scale_of(wcs)
    turn = wcs.pixel_scale_matrix[[wcs.wcs.lng, wcs.wcs.lat]] * 3600 / scale
    return np.array([*centre.cartesian.xyz.value, *turn.ravel(), scale])


class _Folder:
    """What is read of n objects: images, masks, places of every file, and flags."""

    def __init__(self, files: list[dict[str, Path]], survey: Survey, unit: str | None, names):
        self.survey, self.unit, n = survey, unit, (len(files), len(survey.bands))
        self.images = self.mask = self.lacking = None
        self.complete = False  # whether any file has all extensions
        self.names, self.beside = names or {}, {}
        self.flag, self.places = np.zeros(n[0], np.int32), np.full((*n, 8), np.nan)
        self.exists = np.zeros(n, bool)
        for row, own in enumerate(files):
            if CUBE not in own and set(survey.bands) - set(own):
                self.flag[row] |= Flag.MISSING_BAND
            for part, path in own.items():
                self.flag[row] |= self.read(row, part, path)
        if self.images is None:
            raise GaltoolsError(f"{path}: neither this nor any other file can be read")
        if self.lacking and not self.complete:
            raise self.lacking

    def read(self, row: int, part: str, path: Path) -> Flag:
        """Read a file into a row and return what is wrong with it."""
        try:
            pixels, header = read_fits(path, (2, 3), self.names.values())
        except GaltoolsError:
            return Flag.UNREADABLE
        if self.images is None:
            shape = (*self.exists.shape, *pixels.shape[-2:])
            check_memory(shape)
            self.images = np.full(shape, np.nan, np.float32)
            self.mask = np.full(shape, NO_DATA, np.uint8)
        k = slice(None) if part == CUBE else self.survey.bands.index(part)
        if pixels.shape != (wanted := self.images[row, k].shape):
            raise GaltoolsError(f"{path} is {pixels.shape}, need {wanted}: cut all objects alike")
        named = part != CUBE and header.get("FILTER")
        if named and (band := band_of(header, self.survey, path)) != part:
            raise GaltoolsError(f"{path} is named {part}, but its FILTER says {band}: correct one")
        self.exists[row, k] = True
        flag = Flag(0)
        try:
            self.places[row, k] = place = _place(header, self.survey, path)
        except GaltoolsError:
            flag = Flag.ODD_WCS
        else:
            if np.isfinite(place[7]):
                check_scale(place[7], self.survey, path)
        try:
            self.images[row, k], self.mask[row, k], worth = calibrate(
                pixels, header, path, self.survey, self.unit, NANOMAGGIES
            )
        except GaltoolsError:
            flag |= Flag.UNCALIBRATED
            return flag
        try:
            self.read_beside(row, k, path, worth)
            self.complete = True
        except GaltoolsError as error:
            self.lacking = error
            flag |= Flag.UNREADABLE
        return flag

    def read_beside(self, row: int, k, path: Path, worth: float) -> None:
        """Read the maps of an image into a row of `beside`; a unit is `worth` nanomaggies."""
        maps = read_maps(path, self.names, self.mask[row, k].shape, worth)
        self.mask[row, k] |= maps.pop("mask", 0)
        for name, values in maps.items():
            if name not in self.beside:
                shape = (*self.exists.shape, *values.shape[-2:])
                self.beside[name] = np.full(shape, np.nan, np.float32)
            if values.shape != (wanted := self.beside[name][row, k].shape):
                raise GaltoolsError(f"{path}: its {name} is {values.shape}, need {wanted}")
            self.beside[name][row, k] = values

    def centres(self) -> np.ndarray:
        """Unit vectors (n, 3) to the median centre of every object's files."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no file may have a WCS
            centre = np.nanmedian(self.places[..., :3], axis=1)
        return centre / np.linalg.norm(centre, axis=1, keepdims=True)

    def misplaced(self, centres: np.ndarray, radius: float) -> np.ndarray:
        """Rows with a file over `radius` radians off the others, turned, or alone without a WCS."""
        located = np.isfinite(self.places[..., 7])
        if not located.any():
            return np.zeros(len(located), bool)
        away = np.linalg.norm(self.places[..., :3] - centres[:, None], axis=-1) > radius
        usual = np.median(self.places[located][:, 3:7], axis=0)
        turned = (self.places[..., 3:7] * usual).sum(axis=-1) < TURNED
        alone = self.exists & ~located & located.any(axis=1, keepdims=True)
        return ((away | turned) & located | alone).any(axis=1)


def _match_rows(objects: dict, catalogue: Table, folder: Path) -> tuple[list[dict], Table]:
    """Files of every row and the rows: objects in the order of the folder, then all others."""
    table = tidy(catalogue, "the catalogue", positions=False)
    rows = {name: k for k, name in reversed(list(enumerate(table["id"])))}
    if missing := [name for name in objects if name not in rows]:
        raise GaltoolsError(f"{folder}: object {missing[0]} is not in the catalogue; add its row")
    order = [rows[name] for name in objects]
    order += sorted(set(range(len(table))) - set(order))
    table.remove_column(FLAG)
    return [objects.get(name, {}) for name in table["id"][order]], table[order]


def read_folder(
    folder: Path,
    survey: Survey,
    *,
    catalogue: Table | None = None,
    unit: str | None = None,
    names: dict | None = None,
    check: bool = True,
) -> ImageSet:
    """Read every object of a folder; damaged and missing files are flagged, the rows stay.

    Rows of the catalogue that have no file at all follow after the others.
    """
    if unit is not None:
        check_choice("unit", unit, ("nanomaggies", "counts"))
    for name in names or ():
        check_choice("name of an extension", name, ("mask", "psf", *TO_SIGMA))
    objects = list_objects(folder, survey, names)
    files, table = list(objects.values()), Table({"id": list(objects)})
    if catalogue is not None:
        files, table = _match_rows(objects, catalogue, folder)
    content = _Folder(files, survey, unit, names)
    scales = content.places[..., 7][np.isfinite(content.places[..., 7])]
    scale = float(np.median(scales)) if len(scales) else survey.pixel_scale
    centres, radius = (
        content.centres(),
        max(content.images.shape[2:]) / 2 * np.radians(scale / 3600),
    )
    odd = content.misplaced(centres, radius)
    if catalogue is None:
        _, dec, ra = cartesian_to_spherical(*centres.T)
        table["ra"], table["dec"] = ra.deg, dec.deg
    table = tidy(table, folder, positions=False)
    if {"ra", "dec"} <= set(table.colnames):
        rows = np.flatnonzero(has_position(table) & np.isfinite(centres).all(axis=1))
        stated = SkyCoord(table["ra"][rows], table["dec"][rows], unit="deg").cartesian.xyz.value.T
        odd[rows] |= np.linalg.norm(stated - centres[rows], axis=1) > radius
    raise_flag(table, slice(None), content.flag)
    raise_flag(table, odd, Flag.ODD_WCS)
    given = {"pixel_scale": scale, "check": check, **content.beside}
    return calibrated(survey, content.images, table, content.mask, folder, **given)
