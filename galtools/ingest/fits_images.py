"""Images of the sky in FITS: SDSS frame and fpC, CFHTLS (Terapix) tiles, and single cutouts.

Each becomes a `Plane`: one band in nanomaggies per pixel, free of sky, with its coordinates.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.stats import SigmaClip, mad_std, sigma_clip
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from photutils.background import Background2D, SExtractorBackground

from galtools.data.pairs import NO_DATA, SATURATED
from galtools.errors import GaltoolsError
from galtools.ingest.units import counts_to_nanomaggies
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey

FULL_WELL = 65535  # largest count of an SDSS fpC pixel
WORST_SEEING = 10.0  # arcsec; beyond it a header cannot be believed
SKY_BOX = 256  # pixels; an SDSS field's sky is smooth on this scale


@dataclass
class Plane:
    """One band of one field."""

    band: str
    image: np.ndarray  # (H, W) float32, nanomaggies per pixel, NaN without data
    mask: np.ndarray  # (H, W) uint8 bits of galtools.data.pairs
    wcs: WCS
    path: Path
    survey: Survey
    psf_fwhm: float | None = None  # arcsec, where the header knows it

    @property
    def pixel_scale(self) -> float:
        """Mean side of a pixel, arcsec."""
        return float(np.sqrt(np.prod(proj_plane_pixel_scales(self.wcs)))) * 3600

    @property
    def noise(self) -> float:
        """Sky sigma per pixel: clipped median deviation of the whole field."""
        good = self.image[(self.mask == 0) & np.isfinite(self.image)]
        return float(mad_std(sigma_clip(good, sigma=3, masked=False)))


def read_fits(path: Path, ndim=(2,)) -> tuple[np.ndarray, fits.Header]:
    """Read the first image of a FITS file, or say in one line what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: check the name, or download it again")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*truncated.*")
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path, memmap=False) as hdus:
                image = next((hdu for hdu in hdus if hdu.is_image and hdu.header["NAXIS"]), None)
                if image is None:
                    raise GaltoolsError(f"{path} holds no image: give a FITS image")
                pixels, header = np.asarray(image.data, np.float32), image.header.copy()
    except GaltoolsError:
        raise
    except Exception as error:  # a stranger's bytes can break the parser anywhere
        raise GaltoolsError(f"{path} is damaged or cut short: download it again") from error
    if pixels.ndim not in ndim:
        raise GaltoolsError(f"{path} holds an image of {pixels.ndim} dimensions: need {ndim[0]}")
    return pixels, header


def read_wcs(header: fits.Header, path: Path) -> WCS:
    """Read celestial coordinates, or say that there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            wcs = WCS(header).celestial
            usable = wcs.has_celestial and np.abs(np.linalg.det(wcs.pixel_scale_matrix)) > 0
    except Exception as error:  # wcslib has errors of its own for every kind of broken header
        raise GaltoolsError(f"{path}: the coordinates in the header are broken") from error
    if not usable:
        raise GaltoolsError(f"{path} has no celestial coordinates: give an image with a WCS")
    return wcs


def band_of(header: fits.Header, path: Path) -> str:
    """Read the band from FILTER: 'r', 'r.MP9601' and 'SDSS r' are all r."""
    text = str(header.get("FILTER", "")).strip()
    for word in text.replace(".", " ").replace("_", " ").split():
        if word.lower().rstrip("'*s2") in BANDS:
            return word.lower().rstrip("'*s2")
    raise GaltoolsError(f"{path}: FILTER is {text!r}; set it to one of u, g, r, i, z")


def number_in(header: fits.Header, key: str) -> float | None:
    """Read a number of the header, None where there is none."""
    value = header.get(key)
    return float(value) if isinstance(value, (int, float)) else None


def zero_point_of(header: fits.Header) -> float | None:
    """Read the AB magnitude of one count, None where the header does not know it."""
    given = number_in(header, "MZP_AB")
    return number_in(header, "MAGZP") if given is None else given


def seeing_of(header: fits.Header) -> float | None:
    """Read the seeing in arcsec of a CFHTLS tile, None where the header does not know it."""
    seeing = number_in(header, "IQIMAGE")
    return seeing if seeing and 0 < seeing < WORST_SEEING else None


def read_plane(path: Path, ts_field: Path | None = None, ps_field: Path | None = None) -> Plane:
    """Read an SDSS frame, an SDSS fpC (with its tsField) or a CFHTLS tile, told by its header.

    The seeing is that of the header, or of the psField file of an SDSS field.
    """
    path = Path(path)
    pixels, header = read_fits(path)
    wcs, band = read_wcs(header, path), band_of(header, path)
    mask = np.where(np.isfinite(pixels), 0, NO_DATA).astype(np.uint8)
    if ps_field is None:
        seeing = seeing_of(header)
    else:
        seeing = float(read_psf_fwhm(ps_field)[BANDS.index(band)])
    if "SOFTBIAS" in header:
        if ts_field is None:
            raise GaltoolsError(f"{path} is an fpC image: give its tsField file for the zero point")
        mask[pixels >= FULL_WELL] |= SATURATED
        counts = subtract_sky(pixels - (number_in(header, "SOFTBIAS") or 0.0))
        image, survey = counts * fpc_calibration(ts_field, band, header, path), SDSS
    elif str(header.get("BUNIT", "")).lower().startswith("nanomagg"):
        image, survey = pixels, SDSS
    else:
        zero_point = zero_point_of(header)
        if zero_point is None or not 15 < zero_point < 40:
            raise GaltoolsError(
                f"{path}: no zero point (MZP_AB or MAGZP) nor BUNIT nanomaggy; add one"
            )
        mask[saturated(pixels, header)] |= SATURATED
        image, survey = counts_to_nanomaggies(pixels, zero_point), CFHTLS
    return Plane(band, np.float32(image), mask, wcs, path, survey, seeing)


def saturated(pixels: np.ndarray, header: fits.Header) -> np.ndarray:
    """Mask of the pixels at or above the limit SATURATE of the header, if it has one."""
    limit = number_in(header, "SATURATE")
    return pixels >= limit if limit and limit > 0 else np.zeros(pixels.shape, bool)


def subtract_sky(counts: np.ndarray) -> np.ndarray:
    """Take away a smooth sky, measured in boxes from which objects are clipped."""
    box = tuple(min(SKY_BOX, side) for side in counts.shape)
    sky = Background2D(
        counts,
        box,
        sigma_clip=SigmaClip(3.0),
        bkg_estimator=SExtractorBackground(),
        coverage_mask=~np.isfinite(counts),
    )
    return counts - sky.background


def _field_row(path: Path, extension: int, hint: str):
    """Read the first row of a table of field parameters."""
    if not Path(path).is_file():
        raise GaltoolsError(f"{path} is missing: give the {hint} file of the field")
    try:
        with fits.open(path, memmap=False) as hdus:
            return hdus[extension].data[0]
    except Exception as error:  # as in read_fits
        raise GaltoolsError(f"{path} is damaged or no {hint} file: download it again") from error


def fpc_calibration(ts_field: Path, band: str, header: fits.Header, path: Path) -> float:
    """Nanomaggies per count of an fpC image.

    f = 10^9 x 10^(0.4 (aa + kk x airmass)) / exposure time, with zero point aa, extinction kk and
    airmass of the field from its tsField file.
    """
    row = _field_row(ts_field, 1, "tsField")
    k = BANDS.index(band)
    try:
        magnitude = float(row["aa"][k] + row["kk"][k] * row["airmass"][k])
        seconds = float(header["EXPTIME"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise GaltoolsError(
            f"{ts_field} or {path} lacks aa, kk, airmass or EXPTIME: download them again"
        ) from error
    return 1e9 * 10 ** (0.4 * magnitude) / seconds


def read_psf_fwhm(ps_field: Path) -> np.ndarray:
    """Read the seeing (5,) in arcsec of an SDSS field from its psField file."""
    row = _field_row(ps_field, 6, "psField")
    return np.asarray(row["psf_width"], np.float32)
