"""Stamps of catalogued objects out of planes of the sky, north up and east left.

SDSS scans run along great circles, so its images lie at any angle, and its bands are not on one
pixel grid; CFHTLS tiles are upright and share theirs. Two ways to bring all to one orientation:

`align` resamples every stamp onto an upright grid centred on the object. Pixels overlap in area and
flux is conserved, but the noise is smoothed and neighbouring pixels are correlated.

Without it, stamps are cut at the nearest pixel, turned by quarter turns and mirrored. Every pixel
stays as it was, up to .71 pixel off the object (each band on its own) and up to 45 degrees off
north. The columns `offset` and `rotation`, one number per object and band, say how much.
"""

import math
import os
from collections.abc import Iterable

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D
from astropy.table import Column, Table
from astropy.wcs import WCS
from astropy.wcs.utils import skycoord_to_pixel
from reproject import reproject_exact

from galtools.data import ImageSet
from galtools.data.pairs import MASKED, NO_DATA, SATURATED
from galtools.errors import GaltoolsError
from galtools.flags import Flag, raise_flag
from galtools.ingest.catalogue import has_position, tidy
from galtools.ingest.fits_images import Plane, check_scale
from galtools.ingest.units import calibrated
from galtools.surveys import Survey


def upright_wcs(ra: float, dec: float, scale: float, size: int) -> WCS:
    """Coordinates of a stamp centred on (ra, dec), in degrees: north up, east left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = (size + 1) / 2, (size + 1) / 2
    wcs.wcs.cd = np.diag([-scale, scale]) / 3600
    return wcs


def _positions(plane: Plane, sky: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
    """Pixel positions (n, 2) and distance to the nearest edge (n,), negative outside."""
    with np.errstate(invalid="ignore"):
        x, y = skycoord_to_pixel(sky, plane.wcs)
    height, width = plane.image.shape
    edge = np.min([x + 0.5, y + 0.5, width - 0.5 - x, height - 0.5 - y], axis=0)
    near = plane.wcs.pixel_to_world(width / 2, height / 2).separation(sky).deg < 30
    return np.stack([x, y], axis=-1), np.where(np.isfinite(edge) & near, edge, -np.inf)


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


def nearest_corner(position, size: int) -> np.ndarray:
    """First pixel (x, y) of the stamp whose centre is nearest to a pixel position."""
    return np.floor(np.asarray(position) - (size - 1) / 2 + 0.5).astype(int)


def _cutouts(plane: Plane, position, size: int) -> tuple[Cutout2D, ...]:
    """Image, mask and sigma around a pixel position: NaN, NO_DATA and 0 beyond the plane."""
    options = {"wcs": plane.wcs, "mode": "partial", "copy": True}
    layers = (plane.image, np.nan), (plane.mask, NO_DATA), (plane.sigma, 0)
    return tuple(
        layer if layer is None else Cutout2D(layer, tuple(position), size, fill_value=x, **options)
        for layer, x in layers
    )


def cut_nearest(plane: Plane, position, size: int):
    """Cut at the nearest pixels: image, mask, sigma, offset in arcsec and rotation in degrees."""
    corner = nearest_corner(position, size)
    *turn, angle = quarter_turns(plane.wcs)
    layers = (
        layer if layer is None else turned(layer.data, *turn)
        for layer in _cutouts(plane, corner + size // 2, size)
    )
    offset = np.hypot(*(np.asarray(position) - corner - (size - 1) / 2)) * plane.pixel_scale
    return *layers, offset, angle


def cut_aligned(plane: Plane, position, size: int, wcs: WCS, scale: float):
    """Resample onto an upright grid by overlap in area: image, mask, sigma, no offset, no rotation.

    The variance of a new pixel, of which the parts w lie in old ones, is the sum of (w sigma)^2.
    Taken is the sum of w sigma^2, times the mean of the sum of w^2 over the stamp, which is what
    remains of the variance of white noise: measured on a draw, to a per cent of sigma.
    """
    ratio = scale / plane.pixel_scale
    part, mask, sigma = _cutouts(plane, position, int(np.ceil(size * ratio * np.sqrt(2))) + 6)

    def resample(layer):
        return reproject_exact((layer, part.wcs), wcs, shape_out=(size, size))

    image, covered = resample(part.data)
    bits = np.where(np.isfinite(image) & (covered > 0.999), 0, NO_DATA).astype(np.uint8)
    for bit in (NO_DATA, SATURATED, MASKED):
        bad = (mask.data & bit > 0).astype(float)
        if bad.any():
            bits[~(resample(bad)[0] < 1e-3)] |= bit
    if sigma is not None:
        white = np.random.default_rng(0).choice([-1.0, 1.0], part.shape)
        left = np.nanmean(resample(white)[0] ** 2)
        sigma = ratio**2 * np.sqrt(left * resample(np.float64(sigma.data) ** 2)[0])
    image = np.where(bits & NO_DATA, np.nan, image * ratio**2)
    return image, bits, sigma, 0.0, 0.0


def check_memory(shape: tuple) -> None:
    """Refuse more images, each float32 with a mask, than half of this machine's memory holds."""
    needed = 5.0 * math.prod(shape)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory / 2:
        raise GaltoolsError(
            f"{shape[0]} stamps of {shape[-1]} pixels need {needed / 1e9:.0f} GB of "
            f"{memory / 1e9:.0f}: cut the catalogue into parts"
        )


def cut(
    planes: Iterable[Plane],
    catalogue: Table,
    survey: Survey,
    *,
    align: bool = True,
    size: int | None = None,
    check: bool = True,
) -> ImageSet:
    """Cut a stamp in every band for every row; what is not on any plane is NaN and flagged.

    Planes are taken one by one, so a generator of them holds a single one in memory. Where
    several of a band hold an object, the one with the most room around it is taken. Sigma is cut
    with the image. `check` compares the sky noise with the survey's, and with sigma, which
    reveals a wrong zero point.
    """
    table, size, scale = tidy(catalogue), size or survey.stamp, survey.pixel_scale
    shape = (len(table), len(survey.bands), size, size)
    check_memory(shape)
    images = np.full(shape, np.nan, np.float32)
    mask = np.full(images.shape, NO_DATA, np.uint8)
    sigma = None
    psf_fwhm = np.tile(np.float32(survey.psf_fwhm), (len(table), 1))
    margin = np.zeros(psf_fwhm.shape)  # pixels from the object to the edge of its plane
    offset, rotation = np.zeros((2, *margin.shape), np.float32)
    placed, bands = has_position(table), set()
    sky = SkyCoord(*(np.where(placed, table[x], 0) for x in ("ra", "dec")), unit="deg")
    for plane in planes:
        check_scale(plane.pixel_scale, survey, plane.path)
        if bands and (sigma is None) != (plane.sigma is None):
            raise GaltoolsError(f"{plane.path}: give the noise of every image, or of none")
        if plane.sigma is not None and sigma is None:
            sigma = np.full(shape, np.inf, np.float32)
        bands.add(plane.band)
        k = survey.bands.index(plane.band)
        positions, edge = _positions(plane, sky)
        for j in np.flatnonzero(placed & (edge > margin[:, k])):
            if align:
                wcs = upright_wcs(table["ra"][j], table["dec"][j], scale, size)
                stamp = cut_aligned(plane, positions[j], size, wcs, scale)
            else:
                stamp = cut_nearest(plane, positions[j], size)
            images[j, k], mask[j, k], stamp_sigma, offset[j, k], rotation[j, k] = stamp
            if sigma is not None:
                sigma[j, k] = np.where(mask[j, k] == 0, stamp_sigma, np.inf)
            psf_fwhm[j, k] = plane.psf_fwhm or psf_fwhm[j, k]
            margin[j, k] = edge[j]
    if not bands:
        raise GaltoolsError("no images to cut from: give at least one plane")
    table["offset"], table["rotation"] = Column(offset, unit="arcsec"), Column(rotation, unit="deg")
    if set(survey.bands) - bands:
        raise_flag(table, slice(None), Flag.MISSING_BAND)
    raise_flag(table, placed & ~margin.any(axis=1), Flag.OFF_IMAGE)
    origin = f"the images of {survey.name}"
    return calibrated(survey, images, table, mask, origin, psf_fwhm, check=check, sigma_map=sigma)
