"""Stamps of catalogued objects out of planes of the sky, north up and east left.

SDSS scans run along great circles, so its images lie at any angle, and its bands are not on one
pixel grid; CFHTLS tiles are upright and share theirs. Two ways to bring all to one orientation:

`align` resamples every stamp onto an upright grid centred on the object. Pixels overlap in area and
flux is conserved, but the noise is smoothed and neighbouring pixels are correlated.

Without it, stamps are cut at the nearest pixel, turned by quarter turns and mirrored. Every pixel
stays as it was, up to .71 pixel off the object (each band on its own) and up to 45 degrees off
north. The columns `offset` and `rotation`, five numbers per object, say how much.
"""

from collections.abc import Iterable

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.utils import skycoord_to_pixel
from reproject import reproject_exact

from galtools.data import ImageSet
from galtools.data.pairs import NO_DATA, SATURATED
from galtools.errors import GaltoolsError
from galtools.flags import Flag, raise_flag
from galtools.ingest.catalogue import has_position, tidy
from galtools.ingest.fits_images import Plane
from galtools.ingest.units import calibrated
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


def check_scale(plane: Plane, survey: Survey) -> None:
    """Refuse a plane whose pixels are not the survey's."""
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
    wcs.wcs.set()  # finds out which axis is which: some files put declination first
    east_north = wcs.pixel_scale_matrix[[wcs.wcs.lng, wcs.wcs.lat]]
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


class _Sheet:
    """Stamps of a catalogue's rows as they are filled, plane by plane."""

    def __init__(self, catalogue: Table, survey: Survey, size: int):
        n = len(catalogue)
        self.table, self.survey, self.size = catalogue, survey, size
        self.images = np.full((n, len(BANDS), size, size), np.nan, np.float32)
        self.mask = np.full(self.images.shape, NO_DATA, np.uint8)
        self.psf = np.tile(np.float32(survey.psf_fwhm), (n, 1))
        self.room = np.zeros((n, len(BANDS)))  # pixels from the object to the edge of its plane
        self.bands_met: set[str] = set()
        self.placed = has_position(self.table)
        ra, dec = (np.where(self.placed, self.table[name], 0) for name in ("ra", "dec"))
        self.sky = SkyCoord(ra, dec, unit="deg")
        self.table["offset"], self.table["rotation"] = np.zeros((2, n, len(BANDS)), np.float32)

    def add(self, plane: Plane, align: bool) -> None:
        """Cut the objects that have more room around them here than in any plane before."""
        check_scale(plane, self.survey)
        self.bands_met.add(plane.band)
        k, table = BANDS.index(plane.band), self.table
        places, edge = _positions(plane, self.sky)
        for j in np.flatnonzero(self.placed & (edge > self.room[:, k])):
            parts = _cut_one(plane, places[j], table[j], self.survey, self.size, align)
            self.images[j, k], self.mask[j, k] = parts[:2]
            table["offset"][j, k], table["rotation"][j, k] = parts[2:]
            self.psf[j, k] = plane.psf_fwhm or self.psf[j, k]
            self.room[j, k] = edge[j]

    def stamps(self, check: bool) -> ImageSet:
        """Flag what is missing and measure the noise."""
        table = self.table
        table["offset"].unit, table["rotation"].unit = "arcsec", "deg"
        if set(BANDS) - self.bands_met:
            raise_flag(table, slice(None), Flag.MISSING_BAND)
        raise_flag(table, self.placed & ~self.room.any(axis=1), Flag.OFF_IMAGE)
        origin = f"the images of {self.survey.name}"
        return calibrated(self.survey, self.images, table, self.mask, origin, self.psf, check)


def cut(
    planes: Iterable[Plane],
    catalogue: Table,
    survey: Survey,
    *,
    align: bool = True,
    size: int | None = None,
    check: bool = True,
) -> ImageSet:
    """Cut a stamp in five bands for every row; what is not on any plane is NaN and flagged.

    Planes are taken one by one, so `map(read_plane, paths)` holds a single one in memory. Where
    several of a band hold an object, the one with the most room around it is taken. `check`
    compares the sky noise with the survey's, which tells a wrong zero point.
    """
    sheet = _Sheet(tidy(catalogue), survey, size or survey.stamp)
    for plane in planes:
        sheet.add(plane, align)
    if not sheet.bands_met:
        raise GaltoolsError("no images to cut from: give at least one plane")
    return sheet.stamps(check)
