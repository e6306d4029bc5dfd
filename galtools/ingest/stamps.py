"""Stamps of one survey, whatever file they came from, with what is wrong said row by row."""

import warnings
from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std, sigma_clip
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from galtools.data.photometry import central_flux
from galtools.data.sides import NO_DATA, SATURATED, ImageInfo
from galtools.errors import GaltoolsError
from galtools.flags import Flag, raise_flag
from galtools.surveys import BANDS, SURVEYS

BORDER = 0.2  # share of a stamp's side, at each edge, where the sky is looked for
NOISE_RANGE = 4.0  # a sky noise further off its survey's, in every row, is a mistake of units


@dataclass
class Stamps:
    """Images of n objects in one survey: (n, 5, H, W) float32, nanomaggies per pixel."""

    images: np.ndarray
    noise: np.ndarray  # (n, 5) float32, sky sigma per pixel
    catalogue: Table  # n rows
    side: ImageInfo

    def __post_init__(self):
        """Refuse parts that do not belong together."""
        self.images = np.asarray(self.images, np.float32)
        n = len(self.images)
        if self.images.ndim != 4 or self.images.shape[1] != len(BANDS):
            raise GaltoolsError(f"stamps are {self.images.shape}: need (n, 5, H, W), bands ugriz")
        if np.shape(self.noise) != (n, len(BANDS)) or len(self.catalogue) != n:
            raise GaltoolsError(
                f"{n} stamps, but noise {np.shape(self.noise)} and {len(self.catalogue)} rows"
            )
        self.side.check(self.images)

    def __len__(self):
        """Count the objects."""
        return len(self.images)

    def __getitem__(self, rows):
        """Select objects."""
        side = self.side[rows]
        return Stamps(self.images[rows], self.noise[rows], self.catalogue[rows], side)


def sky_noise(images: np.ndarray) -> np.ndarray:
    """Sky sigma per pixel (n, 5): clipped median deviation in the border of each stamp.

    NaN where fewer than 50 border pixels are finite.
    """
    size = images.shape[-1]
    width = max(1, int(BORDER * size))
    border = np.ones(images.shape[-2:], bool)
    border[width:-width, width:-width] = False
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


def describe(images: np.ndarray, survey, pixel_scale: float, mask=None, psf_fwhm=None) -> ImageInfo:
    """Describe stamps; the seeing is the survey's median where none is given."""
    psf = np.tile(np.float32(survey.psf_fwhm), (len(images), 1)) if psf_fwhm is None else psf_fwhm
    if mask is not None and not mask.any():
        mask = None
    return ImageInfo(survey.name, float(pixel_scale), np.asarray(psf, np.float32), mask)


def flag_images(stamps: Stamps) -> None:
    """Flag incomplete, blank, negative, saturated and infinite stamps, in place."""
    images, mask, table = stamps.images, stamps.side.mask, stamps.catalogue
    no_data = np.isnan(images) if mask is None else mask & NO_DATA > 0
    finite = np.isfinite(images)
    raise_flag(table, no_data.any(axis=(1, 2, 3)), Flag.INCOMPLETE)
    raise_flag(table, np.isinf(images).any(axis=(1, 2, 3)), Flag.INFINITE)
    if mask is not None:
        raise_flag(table, (mask & SATURATED > 0).any(axis=(1, 2, 3)), Flag.SATURATED)
    low = np.where(finite, images, np.inf).min(axis=(2, 3))
    high = np.where(finite, images, -np.inf).max(axis=(2, 3))
    raise_flag(table, (low == high).any(axis=1), Flag.BLANK)
    r = BANDS.index("r")
    seen = finite[:, r].any(axis=(1, 2))
    core = central_flux(np.where(finite, images, 0)[:, r], 1 / 3)
    raise_flag(table, seen & (core <= 0), Flag.NEGATIVE)


def check_units(stamps: Stamps, origin) -> None:
    """Refuse images whose sky noise is impossible for their survey: wrong unit, or order of bands.

    Refused are a factor of `NOISE_RANGE` off the survey, and as large a factor between two bands.
    The noise is per pixel; in coarser pixels of side s it grows as s, so it is scaled to the
    survey's own pixel before it is compared.
    """
    survey = SURVEYS[stamps.side.survey]
    with np.errstate(all="ignore"):
        measured = np.array(
            [np.median(row[row > 0]) if (row > 0).any() else np.nan for row in stamps.noise.T]
        )
    ratio = measured / survey.sky_noise * survey.pixel_scale / stamps.side.pixel_scale
    known = np.flatnonzero(np.isfinite(ratio))
    if not len(known):
        return
    off = np.abs(np.log(ratio[known]))
    band = int(known[np.argmax(off)])
    if off.max() > np.log(NOISE_RANGE) or np.ptp(np.log(ratio[known])) > np.log(NOISE_RANGE):
        raise GaltoolsError(
            f"{origin}: the sky noise in {BANDS[band]} is {ratio[band]:.2g} times that of "
            f"{survey.name}; check unit, zero point and order of the bands, or pass check=False"
        )
