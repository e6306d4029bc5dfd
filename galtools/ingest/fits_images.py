"""Images of the sky in FITS: frames, coadds, tiles and cutouts of any survey, and SDSS fpC.

Each becomes a `Plane`: one band in nanomaggies per pixel, free of sky, with its coordinates. Units
and zero points are read in `galtools.ingest.pixel_units`. No header states what maps there are:
`names` says what is where, an extension "WGT" or, as "sci/wei", the file named wei for sci.

    sigma_map, variance, ivar    noise of every pixel (HSC and PS1; DES and Legacy Surveys)
    weight                       relative ivar, as SWarp writes it (CFHTLS, KiDS): its median sigma
                                 is set to the noise of the sky, as SExtractor does
    mask                         not 0 where a pixel does not count; HSC's bits of sources do count
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.stats import SigmaClip, mad_std, sigma_clip
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_area
from photutils.background import Background2D, SExtractorBackground

from galtools.data.pairs import MASKED, NO_DATA, SATURATED, normalized_psf
from galtools.errors import GaltoolsError, check_choice, reading
from galtools.ingest.pixel_units import linear, number_in, zero_point_of
from galtools.ingest.units import ABSURD, TO_SIGMA, counts_to_nanomaggies, to_sigma
from galtools.surveys import BANDS, Survey

ENDING = re.compile(r"(.+)\.(fits|fit|fts)(\.(gz|bz2|fz))?", re.IGNORECASE)
FULL_WELL = 65535  # largest count of an SDSS fpC pixel
WORST_SEEING = 10.0  # arcsec; beyond it a header cannot be believed
SKY_BOX = 256  # pixels; an SDSS field's sky is smooth on this scale
SAME_SCALE = 0.02  # pixel scales further apart than this are different grids
FILTER_KEYS = ("FILTER", "BAND", "FPA.FILTERID", "FPA.FILTER", "ESO INS FILT1 NAME")
NOT_SKY = {
    *("WHT", "WGT", "WT", "WEIGHT", "WEIGHTS", "WEIGHTMAP", "IVAR", "INVVAR", "VAR", "VARIANCE"),
    *("ERR", "ERROR", "SIGMA", "RMS", "MASK", "MSK", "DQ", "FLAG", "FLAGS", "EXP", "EXPMAP"),
    *("NOISE", "UNCERT", "PSF", "SKY", "BACKGROUND", "BKG", "SEG", "SEGMENTATION", "DEPTH"),
}  # words in the names of images that belong to one of the sky
# bits of HSC masks that mark sources, or seams of a coadd
HARMLESS = ("MP_DETECTED", "MP_NOT_DEBLENDED", "MP_INEXACT_PSF", "MP_SENSOR_EDGE")
WCS_CARD = re.compile(r"(CD|PC|PV|CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA|LONP|LATP|WCS|[AB]P?_)")
WCS_NUMBER = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]")
DAMAGED = "it is damaged, cut short or of another kind: download it again"


@dataclass
class Plane:
    """One band of one field."""

    band: str
    image: np.ndarray  # (H, W) float32, nanomaggies per pixel, NaN without data
    mask: np.ndarray  # (H, W) uint8 bits of galtools.data.pairs
    wcs: WCS
    path: Path
    psf_fwhm: float | None = None  # arcsec, where the header gives it
    sigma: np.ndarray | None = None  # (H, W) float32 sigma of each pixel, positive unless masked

    @property
    def pixel_scale(self) -> float:
        """Mean side of a pixel, arcsec."""
        return pixel_scale_of(self.wcs)

    @property
    def noise(self) -> float:
        """Sky sigma per pixel: clipped median deviation of the whole field."""
        good = self.image[(self.mask == 0) & np.isfinite(self.image)]
        return float(mad_std(sigma_clip(good, sigma=3, masked=False)))


def read_fits(path: Path, ndim=(2,), beside=()) -> tuple[np.ndarray, fits.Header]:
    """Read the image of a FITS file, or say in one line what is wrong with it.

    EXTNAME, EXTTYPE or IMAGETYP tell weights and masks, as do the names of those known to be
    `beside` the image; several images of the sky are refused.
    CHECKSUM and DATASUM are verified where they are given. The primary header's cards hold for an
    extension that lacks them.
    """
    with reading(path, DAMAGED), warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*truncated.*|.*sum verification failed.*")
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        with fits.open(path, memmap=False, checksum=True) as hdus:
            image = _science_image(hdus, path, beside)
            pixels, header = np.asarray(image.data, np.float32), _header_of(image, hdus[0])
    if pixels.ndim not in ndim:
        raise GaltoolsError(f"{path} holds an image of {pixels.ndim} dimensions: need {ndim[0]}")
    return pixels, header


def file_beside(path: Path, spec: str) -> Path:
    """File of a map: that of its image for an extension, another one for a `spec` "sci/wei"."""
    old, apart, new = spec.partition("/")
    if not spec or "/" in new or (apart and not (new and old and old in path.name)):
        raise GaltoolsError(f"{path}: no map at {spec!r}: name an extension, or sci/wei for files")
    return path.with_name(path.name.replace(old, new)) if apart else path


def image_files(folder: Path, names: dict | None = None) -> list[Path]:
    """FITS files of a folder, in order, without those that `names` makes maps of the others."""
    if not Path(folder).is_dir():
        raise GaltoolsError(f"{folder} is no folder: give one that holds FITS files")
    files = sorted(file for file in Path(folder).iterdir() if ENDING.fullmatch(file.name))
    apart = [spec for spec in (names or {}).values() if "/" in spec]
    named = [(f, spec) for f in files for spec in apart if spec.partition("/")[0] in f.name]
    maps = {file_beside(file, spec) for file, spec in named}
    return [file for file in files if file not in maps]


def read_maps(path: Path, names: dict | None, shape: tuple, worth: float = 1.0) -> dict:
    """Read what `names` says to lie beside an image: bits of a mask, sigma in nanomaggies, a PSF.

    One unit of the image is `worth` nanomaggies.
    """
    maps = {}
    if len(kinds := {"weight", *TO_SIGMA} & {*(names or ())}) > 1:
        raise GaltoolsError(f"{path}: give one of {', '.join(sorted(kinds))}")
    for name, spec in (names or {}).items():
        pixels, header = _read_map(file_beside(path, spec), None if "/" in spec else spec)
        if name == "psf":
            maps[name] = normalized_psf(pixels)
            continue
        if pixels.shape != shape:
            raise GaltoolsError(f"{path}: its {name} is {pixels.shape}, need {shape}")
        if name == "mask":
            bits = {number_in(header, key) for key in header if key.startswith(HARMLESS)}
            if bits - {*range(63)}:
                raise GaltoolsError(f"{path}: its mask has bits {bits}: give numbers from 0 to 62")
            if bits:
                pixels = np.int64(np.nan_to_num(pixels)) & ~sum(1 << int(bit) for bit in bits)
            maps[name] = np.where(pixels != 0, MASKED, 0).astype(np.uint8)
        else:
            maps["sigma_map"] = worth * to_sigma(name, linear(pixels, header))
    return maps


def _read_map(path: Path, extension: str | None) -> tuple[np.ndarray, fits.Header]:
    """Pixels and header of an extension, or of the first image of a file."""
    with reading(path, DAMAGED), fits.open(path, memmap=False) as hdus:
        images = [hdu for hdu in hdus if hdu.is_image and hdu.header["NAXIS"]]
        for hdu in images:
            if extension is None or hdu.name.upper() == extension.upper():
                return np.asarray(hdu.data, np.float64), hdu.header
    raise GaltoolsError(f"{path} has no extension {extension}: name one of its images")


def _science_image(hdus: fits.HDUList, path: Path, beside):
    """The one image of the sky in a file, whatever its place."""
    taken = {str(name).upper() for name in beside}
    images = [hdu for hdu in hdus if hdu.is_image and hdu.header["NAXIS"]]
    if not images:
        raise GaltoolsError(f"{path} holds no image: give a FITS image")

    def words(hdu) -> set[str]:
        named = (str(hdu.header.get(key, "")) for key in ("EXTNAME", "EXTTYPE", "IMAGETYP"))
        return {*re.split("[^A-Z]+", " ".join(named).upper())}

    sky = [hdu for hdu in images if hdu.name.upper() not in taken and not words(hdu) & NOT_SKY]
    planes = [hdu for hdu in sky if hdu.header["NAXIS"] > 1] or sky
    chosen = [hdu for hdu in planes if hdu.name.upper() in ("SCI", "IMAGE", "SCIENCE")] or planes
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(hdu.name or "without a name" for hdu in chosen or images)
    what = "several images" if chosen else "no image of the sky"
    raise GaltoolsError(f"{path} holds {what} ({names}): keep one, named SCI, in each file")


def _header_of(image, primary) -> fits.Header:
    """Header of an image with the primary's cards that it lacks; unreadable values become words.

    If the image has coordinates, none are taken from the primary header.
    """
    cards = list(image.header.cards)
    if image is not primary:
        taken = set(image.header)
        cards += [
            card
            for card in primary.header.copy(strip=True).cards
            if card.keyword not in taken
            and not ("CTYPE1" in taken and WCS_CARD.match(card.keyword))
        ]
    header = fits.Header()
    for card in cards:
        try:
            card.value  # noqa: B018 - it is parsed on access
        except fits.verify.VerifyError:
            card = fits.Card(card.keyword, "unreadable")
        header.append(card, end=True)
    return header


def read_wcs(header: fits.Header, path: Path) -> WCS:
    """Read celestial coordinates, or say that there are none."""
    with reading(path, "the coordinates in its header are broken"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        for key in header:  # the WCS library takes what it cannot read for zero
            if WCS_NUMBER.fullmatch(key) and np.isnan(number_in(header, key)):
                raise GaltoolsError(f"{path}: {key} is no number: correct its coordinates")
        wcs = WCS(header).celestial
        if not wcs.has_celestial or not np.abs(np.linalg.det(wcs.pixel_scale_matrix)) > 0:
            raise GaltoolsError(f"{path} has no celestial coordinates: give an image with a WCS")
    return wcs


def pixel_scale_of(wcs: WCS) -> float:
    """Mean side of a pixel, arcsec."""
    return float(np.sqrt(proj_plane_pixel_area(wcs))) * 3600


def check_scale(scale: float, survey: Survey, path: Path) -> None:
    """Refuse an image whose pixels are not the survey's."""
    if abs(scale / survey.pixel_scale - 1) > SAME_SCALE:
        raise GaltoolsError(
            f"{path} has pixels of {scale:.3f} arcsec, {survey.name} of "
            f"{survey.pixel_scale}: take files of one survey and one pixel scale"
        )


def band_of(header: fits.Header, survey: Survey, path: Path) -> str:
    """Read the band from FILTER or its like: 'r', 'r.MP9601', 'HSC-R' and 'SDSS r' are all r."""
    text = next((str(header[key]).strip() for key in FILTER_KEYS if header.get(key)), "")
    bands = {band.lower(): band for band in survey.bands}
    for word in re.split(r"[ ._-]+", text.lower()):
        for name in (word, word.rstrip("'*s12")):
            if name in bands:
                return bands[name]
    raise GaltoolsError(f"{path}: FILTER is {text!r}; set it to one of {', '.join(survey.bands)}")


def calibrate(pixels, header: fits.Header, path, survey: Survey, unit=None, silent=None):
    """Image in nanomaggies per pixel, its mask, and nanomaggies of one unit, by the header."""
    worth = counts_to_nanomaggies(1.0, zero_point_of(header, path, survey, unit, silent))
    counts = linear(pixels, header)
    mask = np.where(np.isfinite(counts), 0, NO_DATA).astype(np.uint8)
    limit = number_in(header, "SATURATE")
    mask[counts >= (limit if limit > 0 else np.inf)] |= SATURATED
    return np.float32(worth * counts), mask, worth


def read_plane(
    path: Path, survey: Survey, unit: str | None = None, ts_field=None, ps_field=None, names=None
) -> Plane:
    """Read an image of one band with its coordinates; an SDSS fpC needs its tsField file.

    Pixels brighter than any detector can record lose their data. The seeing is that of the header
    (IQIMAGE), or of the psField file of an SDSS field. `names` are of the mask and of one of the
    maps above; pixels without a positive sigma are masked. For `unit` see `zero_point_of`.
    """
    path = Path(path)
    for name in names or ():
        check_choice("name of a map of a field", name, ("mask", "weight", *TO_SIGMA))
    pixels, header = read_fits(path, beside=(names or {}).values())
    wcs, band = read_wcs(header, path), band_of(header, survey, path)
    if ts_field is None:
        image, mask, worth = calibrate(pixels, header, path, survey, unit)
    else:
        image, mask, worth = _calibrate_fpc(pixels, header, path, band, ts_field)
    maps = read_maps(path, names, image.shape, worth)
    absurd = np.abs(image) > ABSURD * survey.sky_noise[survey.bands.index(band)]
    image, mask = np.where(absurd, np.nan, image), np.where(absurd, NO_DATA, mask)
    mask |= maps.get("mask", 0)
    seeing = number_in(header, "IQIMAGE")
    if ps_field is not None:
        seeing = float(read_psf_fwhm(ps_field)[BANDS.index(band)])
    plane = Plane(band, image, mask, wcs, path, seeing if 0 < seeing < WORST_SEEING else None)
    if "sigma_map" in maps:
        sigma = np.float32(maps["sigma_map"])
        unknown = ~(np.isfinite(sigma) & (sigma > 0))
        plane.mask[unknown] |= MASKED
        if "weight" in names and not unknown.all():
            sigma *= plane.noise / np.median(sigma[~unknown])
        plane.sigma = np.where(unknown, np.float32(0), sigma)
    return plane


def _calibrate_fpc(pixels, header: fits.Header, path, band: str, ts_field):
    """Image and mask of an SDSS fpC, whose smooth sky is taken away, and what a count is worth.

    One count is 10^9 x 10^(0.4 (aa + kk x airmass)) / exposure time nanomaggies, with zero point
    aa, extinction kk and airmass of the field from its tsField file.
    """
    row, k = _field_row(ts_field, 1), BANDS.index(band)
    with reading(path, f"it lacks EXPTIME, or {ts_field} aa, kk or airmass: download them again"):
        magnitude = float(row["aa"][k] + row["kk"][k] * row["airmass"][k])
        nanomaggies = 1e9 * 10 ** (0.4 * magnitude) / float(header["EXPTIME"])
    counts = pixels - np.nan_to_num(number_in(header, "SOFTBIAS"))
    box = tuple(min(SKY_BOX, side) for side in counts.shape)
    options = {"sigma_clip": SigmaClip(3.0), "bkg_estimator": SExtractorBackground()}
    sky = Background2D(counts, box, coverage_mask=~np.isfinite(counts), **options).background
    mask = np.where(np.isfinite(pixels), 0, NO_DATA) | np.where(pixels >= FULL_WELL, SATURATED, 0)
    return np.float32((counts - sky) * nanomaggies), mask.astype(np.uint8), nanomaggies


def _field_row(path: Path, extension: int) -> fits.FITS_record:
    """Read the first row of a table of field parameters."""
    with reading(path, DAMAGED), fits.open(path, memmap=False) as hdus:
        return hdus[extension].data[0]


def read_psf_fwhm(ps_field: Path) -> np.ndarray:
    """Read the seeing (5,) in arcsec of an SDSS field from its psField file."""
    return np.asarray(_field_row(ps_field, 6)["psf_width"], np.float32)
