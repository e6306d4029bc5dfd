"""Stamps of catalogued objects out of planes of the sky, north up and east left.

SDSS scans run along great circles, so its images lie at any angle, and its bands are not on one
pixel grid; CFHTLS tiles are upright and share theirs. Two ways to bring all to one orientation:

`align` resamples every stamp onto an upright grid centred on the object. Pixels overlap in area and
flux is conserved, but the noise is smoothed and neighbouring pixels are correlated.

Without it, stamps are cut at the nearest pixel, turned by quarter turns and mirrored. Every pixel
stays as it was, up to .71 pixel off the object (each band on its own) and up to 45 degrees off
north. The columns `offset` and `rotation`, five numbers per object, say how much.
"""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.utils import skycoord_to_pixel
from reproject import reproject_exact

from galtools.errors import GaltoolsError
from galtools.flags import Flag, raise_flag
from galtools.ingest.catalogue import has_position
from galtools.ingest.fits_images import Plane
from galtools.ingest.stamps import Stamps, describe, flag_images, sky_noise
from galtools.sides import NO_DATA, SATURATED
from galtools.surveys import BANDS, Survey

SAME_SCALE = 0.02  # pixel scales further apart than this are different grids


def upright_wcs(ra: float, dec: float, scale: float, size: int) -> WCS:
    """Coordinates of a stamp centred on (ra, dec), in degrees: north up, east left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = (size + 1) / 2, (size + 1) / 2
    wcs.wcs.cd = np.diag([-scale, scale]) / 3600
    return wcs


def check_scales(planes: list[Plane], survey: Survey) -> None:
    """Refuse planes whose pixels are not the survey's."""
    for plane in planes:
        if abs(plane.pixel_scale / survey.pixel_scale - 1) > SAME_SCALE:
            raise GaltoolsError(
                f"{plane.path} has pixels of {plane.pixel_scale:.3f} arcsec, {survey.name} of "
                f"{survey.pixel_scale}: take files of one survey and one pixel scale"
            )


def _positions(plane: Plane, sky: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
    """Pixel positions (n, 2) and distance to the nearest edge (n,), negative outside."""
    with np.errstate(invalid="ignore"):
        x, y = skycoord_to_pixel(sky, plane.wcs)
    height, width = plane.image.shape
    edge = np.min([x + 0.5, y + 0.5, width - 0.5 - x, height - 0.5 - y], axis=0)
    visible = np.isfinite(edge) & (
        plane.wcs.pixel_to_world(width / 2, height / 2).separation(sky).deg < 30
    )
    return np.stack([x, y], axis=-1), np.where(visible, edge, -np.inf)


def quarter_turns(wcs: WCS) -> tuple[bool, bool, bool, float]:
    """Transpose and flips that bring north up and east left, and the angle in degrees left over."""
    east_north = wcs.pixel_scale_matrix.copy()
    transpose = abs(east_north[0, 1]) > abs(east_north[0, 0])
    if transpose:
        east_north = east_north[:, ::-1]
    flip_x, flip_y = east_north[0, 0] > 0, east_north[1, 1] < 0
    east_north = east_north * [-1 if flip_x else 1, -1 if flip_y else 1]
    angle = np.degrees(np.arctan2(east_north[0, 1], east_north[1, 1]))
    return transpose, flip_x, flip_y, float(angle)


def turned(image: np.ndarray, transpose: bool, flip_x: bool, flip_y: bool) -> np.ndarray:
    """Apply the lossless turn found by `quarter_turns`."""
    image = image.T if transpose else image
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def nearest_corner(place, size: int) -> np.ndarray:
    """First pixel (x, y) of the stamp whose middle is nearest to a pixel position."""
    return np.floor(np.asarray(place) - (size - 1) / 2 + 0.5).astype(int)


def cut_nearest(plane: Plane, place, size: int):
    """Cut at the nearest pixels: image, mask, and how the object lies in them."""
    corner = nearest_corner(place, size)
    middle = corner + (size - 1) / 2
    options = {"mode": "partial", "copy": True}
    centre, shape = tuple(corner + size // 2), (size, size)
    image = Cutout2D(plane.image, centre, shape, fill_value=np.nan, **options).data
    mask = Cutout2D(plane.mask, centre, shape, fill_value=NO_DATA, **options).data
    *turn, angle = quarter_turns(plane.wcs)
    offset = float(np.hypot(*(np.asarray(place) - middle)) * plane.pixel_scale)
    return turned(image, *turn), turned(mask, *turn), offset, angle


def cut_aligned(plane: Plane, place, size: int, wcs: WCS, scale: float):
    """Resample onto an upright grid by overlap in area; fluxes are conserved."""
    reach = int(np.ceil(size * scale / plane.pixel_scale * np.sqrt(2))) + 6
    part = Cutout2D(
        plane.image, tuple(place), reach, wcs=plane.wcs, mode="partial", fill_value=np.nan
    )
    mask = Cutout2D(plane.mask, tuple(place), reach, mode="partial", fill_value=NO_DATA).data
    image, seen = reproject_exact((part.data, part.wcs), wcs, shape_out=(size, size))
    bits = np.where(np.isfinite(image) & (seen > 0.999), 0, NO_DATA).astype(np.uint8)
    for bit in (NO_DATA, SATURATED):
        bad = (mask & bit > 0).astype(float)
        if bad.any():
            share, _ = reproject_exact((bad, part.wcs), wcs, shape_out=(size, size))
            bits[~(share < 1e-3)] |= bit
    image = np.where(bits & NO_DATA, np.nan, image * (scale / plane.pixel_scale) ** 2)
    return image, bits, 0.0, 0.0


def _cut_one(plane: Plane, place, row, survey: Survey, size: int, align: bool):
    if align:
        wcs = upright_wcs(row["ra"], row["dec"], survey.pixel_scale, size)
        return cut_aligned(plane, place, size, wcs, survey.pixel_scale)
    return cut_nearest(plane, place, size)


def cut(planes: list[Plane], catalogue: Table, survey: Survey, *, align=True, size=None) -> Stamps:
    """Cut a stamp in five bands for every row; what is not on any plane is NaN and flagged.

    Where several planes of a band hold an object, the one with the most room around it is taken.
    """
    if not planes:
        raise GaltoolsError("no images to cut from: give at least one plane")
    check_scales(planes, survey)
    n, size = len(catalogue), size or survey.stamp
    table = catalogue.copy()
    images = np.full((n, len(BANDS), size, size), np.nan, np.float32)
    mask = np.full(images.shape, NO_DATA, np.uint8)
    psf = np.tile(np.float32(survey.psf_fwhm), (n, 1))
    placed = has_position(table)
    sky = SkyCoord(np.where(placed, table["ra"], 0), np.where(placed, table["dec"], 0), unit="deg")
    found = np.zeros((n, len(BANDS)), bool)
    table["offset"], table["rotation"] = np.zeros((2, n, len(BANDS)), np.float32)
    for k, band in enumerate(BANDS):
        own = [plane for plane in planes if plane.band == band]
        if not own:
            raise_flag(table, slice(None), Flag.MISSING_BAND)
            continue
        places, edges = zip(*(_positions(plane, sky) for plane in own), strict=True)
        best = np.argmax(edges, axis=0)
        found[:, k] = placed & (np.max(edges, axis=0) > 0)
        for j in np.flatnonzero(found[:, k]):
            plane = own[best[j]]
            parts = _cut_one(plane, places[best[j]][j], table[j], survey, size, align)
            images[j, k], mask[j, k], table["offset"][j, k], table["rotation"][j, k] = parts
            psf[j, k] = plane.psf_fwhm or psf[j, k]
    table["offset"].unit, table["rotation"].unit = "arcsec", "deg"
    raise_flag(table, placed & ~found.any(axis=1), Flag.OFF_IMAGE)
    side = describe(images, survey, survey.pixel_scale, mask, psf)
    stamps = Stamps(images, sky_noise(images), table, side)
    flag_images(stamps)
    return stamps
