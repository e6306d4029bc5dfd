"""Units, Galactic reddening, sky noise, and the flags and checks of images of one survey."""

import warnings
from dataclasses import replace

import numpy as np
from astropy.stats import mad_std, sigma_clip
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from scipy.interpolate import make_interp_spline

from galtools.data import ImageSet
from galtools.data.pairs import NO_DATA, SATURATED
from galtools.data.photometry import central_flux
from galtools.errors import GaltoolsError, check_choice
from galtools.flags import Flag, raise_flag
from galtools.surveys import BANDS, SDSS, Survey, find_bands, log_pivots, reference_band

UNITS = ("nanomaggies", "counts", "luptitudes")
TO_SIGMA = {"sigma_map": 1, "variance": 0.5, "ivar": -0.5}  # the power that makes sigma of a map
SOFTENING = np.array([1.4e-10, 0.9e-10, 1.2e-10, 1.8e-10, 7.4e-10])  # SDSS's b of u g r i z
POGSON = 2.5 / np.log(10)
# A_band / E(B-V), for E(B-V) of Schlegel, Finkbeiner & Davis (1998), R_V = 3.1:
# Schlafly & Finkbeiner (2011), table 6, SDSS ugriz.
SDSS_EXTINCTION = np.array([4.239, 3.303, 2.285, 1.698, 1.263])
BORDER = 0.2  # part of a stamp's side, at each edge, where the sky noise is measured
NOISE_RANGE = 4.0  # a sky noise further off its survey's, in every row, is a mistake of units
ROW_NOISE_RANGE = 20.0  # and in one row, where neighbours may fill the border
ABSURD = 1e6  # sky sigmas; detectors saturate at some 1e4


def counts_to_nanomaggies(counts, zero_point):
    """f = counts x 10^((22.5 - zero point) / 2.5)."""
    return np.asarray(counts) * 10 ** (0.4 * (22.5 - zero_point))


def luptitudes_to_nanomaggies(magnitude, bands=BANDS):
    """f = 10^9 x 2 b sinh(-m ln(10) / 2.5 - ln b): SDSS's asinh magnitudes (..., bands, H, W)."""
    b = SOFTENING[find_bands(BANDS, bands)][:, None, None]
    return 2e9 * b * np.sinh(-np.asarray(magnitude, float) / POGSON - np.log(b))


def to_nanomaggies(images: np.ndarray, unit: str, survey: Survey) -> np.ndarray:
    """Convert images (..., bands, H, W) from nanomaggies, a survey's counts, or luptitudes."""
    if check_choice("unit", unit, UNITS) == "luptitudes":
        return luptitudes_to_nanomaggies(images, survey.bands)
    if unit == "nanomaggies":
        return images
    if isinstance(survey.zero_point, str):
        raise GaltoolsError(f"counts of {survey.name} have their zero point in {survey.zero_point}")
    return counts_to_nanomaggies(images, survey.zero_point)


def extinction_per_ebv(survey: Survey) -> np.ndarray:
    """A_band / E(B-V) of a survey's filters.

    For filters other than those of SDSS, the SDSS values are interpolated, and beyond z
    extrapolated, in log A against the log of the pivot wavelength, good to about 3 %.
    """
    log_extinction = make_interp_spline(log_pivots(SDSS), np.log(SDSS_EXTINCTION), k=1)
    return np.exp(log_extinction(log_pivots(survey)))


def deredden(stamps: ImageSet) -> ImageSet:
    """Correct images and noise for extinction by Galactic dust, once: times 10^(0.4 A).

    Where E(B-V) is unknown the fluxes stay as they are, and the row gets the flag NO_REDDENING.
    """
    catalogue = stamps.catalogue.copy()
    if catalogue.meta.get("dereddened"):
        raise GaltoolsError("these stamps are dereddened already: use them as they are")
    if "ebv" not in catalogue.colnames:
        raise GaltoolsError("no column 'ebv': add Schlegel's E(B-V), or do not correct for dust")
    ebv = np.ma.filled(np.ma.asarray(catalogue["ebv"], float), np.nan)
    if (wrong := (ebv < 0) | (ebv > 10)).any():
        row = int(np.flatnonzero(wrong)[0])
        raise GaltoolsError(f"E(B-V) = {ebv[row]:g} in row {row}: give magnitudes from 0 to 10")
    extinction = np.nan_to_num(ebv)[:, None] * extinction_per_ebv(stamps.instrument)
    factor = np.float32(10 ** (0.4 * extinction))
    catalogue.meta["dereddened"] = True
    raise_flag(catalogue, ~np.isfinite(ebv), Flag.NO_REDDENING)
    images, noise = stamps.images * factor[:, :, None, None], stamps.noise * factor
    scaled = {"images": images, "noise": noise, "catalogue": catalogue}
    if stamps.sigma_map is not None:
        scaled["sigma_map"] = stamps.sigma_map * factor[:, :, None, None]
    return replace(stamps, **scaled)


def sky_noise(images: np.ndarray) -> np.ndarray:
    """Sky sigma per pixel (n, bands): clipped median deviation in the border of each stamp.

    NaN where fewer than 50 border pixels are finite.
    """
    border = np.ones(images.shape[-2:], bool)
    border[tuple(slice(w, -w) for w in (max(1, int(BORDER * s)) for s in border.shape))] = False
    pixels = images[:, :, border].astype(np.float64)
    finite = np.isfinite(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)  # NaN is what we want clipped
        clipped = sigma_clip(
            np.where(finite, pixels, np.nan), sigma=3, axis=-1, masked=False, maxiters=5
        )
    enough = finite.sum(axis=-1) >= min(50, border.sum())
    noise = np.full(images.shape[:2], np.nan, np.float32)
    if enough.any():
        noise[enough] = mad_std(clipped[enough], axis=-1, ignore_nan=True)
    return noise


def to_sigma(name: str, values) -> np.ndarray:
    """Sigma from a sigma_map, a variance, its inverse or weight; not finite where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(values, np.float64) ** TO_SIGMA.get(name.replace("weight", "ivar"), 1)


def calibrated(
    survey: Survey, images, catalogue: Table, mask, origin, psf_fwhm=None,
    noise=None, pixel_scale: float | None = None, check: bool = True, sigma_map=None, psf=None,
) -> ImageSet:  # fmt: skip
    """Images with their noise measured, if it is not given, and their rows flagged.

    Masked pixels do not count in it. Those that no sky can have, such as 1e38, are flagged and lose
    their data. `check` compares the sky noise with the survey's, and with the sigma map, which
    reveals wrong units: of all rows (refused, with `origin` named) or of some (flagged).
    """
    images = np.asarray(images)
    shown = images if mask is None or not mask.any() else np.where(mask > 0, np.nan, images)
    measured = sky_noise(shown) if noise is None else np.asarray(noise)
    sigma = np.fmax(measured, np.float32(survey.sky_noise))[:, :, None, None]
    with np.errstate(invalid="ignore"):
        absurd = np.abs(images) > ABSURD * np.float64(sigma)
    finite = np.isfinite(images)
    raise_flag(catalogue, (absurd & finite).any(axis=(1, 2, 3)), Flag.ABSURD_PIXEL)
    raise_flag(catalogue, np.isinf(images).any(axis=(1, 2, 3)), Flag.INFINITE)
    if absurd.any():
        images = np.where(absurd, np.float32(np.nan), images)
        mask = np.where(absurd, NO_DATA, 0 if mask is None else mask).astype(np.uint8)
        measured = sky_noise(np.where(absurd, np.nan, shown)) if noise is None else measured
    grid = replace(survey, pixel_scale=pixel_scale or survey.pixel_scale)
    stamps = ImageSet.of(grid, images, measured, psf_fwhm, mask, catalogue, sigma_map, psf)
    flag_images(stamps)
    if check:
        check_units(stamps, survey, origin)
    return stamps


def flag_images(stamps: ImageSet) -> None:
    """Flag incomplete, blank, negative and saturated stamps, in place."""
    images, mask, table = stamps.images, stamps.mask, stamps.catalogue
    if mask is None:
        mask = np.where(np.isnan(images), NO_DATA, 0)
    finite = np.isfinite(images)
    pixels = (1, 2, 3)
    raise_flag(table, (mask & NO_DATA > 0).any(axis=pixels), Flag.INCOMPLETE)
    raise_flag(table, (mask & SATURATED > 0).any(axis=pixels), Flag.SATURATED)
    low = np.where(finite, images, np.inf).min(axis=(2, 3))
    high = np.where(finite, images, -np.inf).max(axis=(2, 3))
    raise_flag(table, (low == high).any(axis=1), Flag.BLANK)
    b = stamps.bands.index(reference_band(stamps.bands))
    observed = finite[:, b].any(axis=(1, 2))
    core = central_flux(np.where(finite, images, 0)[:, b], 1 / 3)
    raise_flag(table, observed & (core <= 0), Flag.NEGATIVE)


def check_units(stamps: ImageSet, survey: Survey, origin) -> None:
    """Refuse images whose sky noise is impossible for their survey: wrong unit, or order of bands.

    Refused are a factor of `NOISE_RANGE` off the survey, and as large a factor between two bands,
    in the median of all rows; single rows a factor of `ROW_NOISE_RANGE` off are flagged.
    The noise is per pixel; in coarser pixels of side s it grows as s, so it is scaled to the
    survey's own pixel before it is compared.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a band may have no noise at all
        noise = np.where(stamps.noise > 0, stamps.noise, np.nan)
        expected = survey.pixel_scale / stamps.pixel_scale / np.array(survey.sky_noise)
        odd = np.abs(np.log(noise * expected)) > np.log(ROW_NOISE_RANGE)
        ratio = np.nanmedian(noise, axis=0) * expected
        relative = np.nan if stamps.sigma_map is None else stamps.sigma_map
        relative = np.where(np.isfinite(relative), relative, np.nan) / noise[:, :, None, None]
        stated = np.nanmedian(np.nanmedian(relative, axis=(2, 3)), axis=0)
    raise_flag(stamps.catalogue, odd.any(axis=1), Flag.ODD_NOISE)
    for band, factor in zip(stamps.bands, stated, strict=True):
        if np.abs(np.log(factor)) > np.log(NOISE_RANGE):
            raise GaltoolsError(
                f"{origin}: the sigma map is {factor:.2g} times the noise of the sky in {band}; "
                "check its unit, name a variance or ivar as such, or pass check=False"
            )
    log = np.log(ratio[np.isfinite(ratio)])
    if not len(log) or max(np.abs(log).max(), np.ptp(log)) <= np.log(NOISE_RANGE):
        return
    band = int(np.nanargmax(np.abs(np.log(ratio))))
    raise GaltoolsError(
        f"{origin}: the sky noise in {survey.bands[band]} is {ratio[band]:.2g} times that of "
        f"{survey.name}; check unit, zero point and order of the bands, or pass check=False"
    )
