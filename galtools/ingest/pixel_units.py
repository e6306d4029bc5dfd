"""What a pixel is worth, by the header of its file: unit and zero point, read or refused by name.

    unit of the pixels                                  AB magnitude of one unit
    BUNIT nanomaggy, or NMGY without BUNIT (SDSS DR8)   22.5
    BUNIT Jy, mJy, uJy, nJy ...                         22.5 - 2.5 log10(unit / 3.631 uJy)
    counts, or counts per second                        the first of the keywords in `ZERO_POINTS`

SDSS fpC images say neither: `galtools.ingest.fits_images` reads them with their tsField file.
"""

import re

import numpy as np
from astropy import units as u
from astropy.io import fits

from galtools.errors import GaltoolsError
from galtools.surveys import Survey

ZERO_POINTS = {  # keyword: AB magnitude of one count, from its value and the exposure time
    "FPA.ZP": lambda value, seconds: value + 2.5 * np.log10(seconds),  # PS1 stacks
    "FLUXMAG0": lambda value, _: 2.5 * np.log10(value),  # HSC coadds
} | dict.fromkeys(("MZP_AB", "MAGZP", "PHOTZP", "MAGZERO"), lambda value, _: value)
COUNTS = re.compile(r"(adus?|dns?|counts?|ct|electrons?|e-)?( ?(/|per) ?s(ec)?| ?s(ec)?-1)?")
NANOMAGGY = 3.631e-6  # Jy; AB: 10^(-0.4 x 22.5) of 3631 Jy
BELIEVABLE = 15.0, 40.0  # AB magnitudes of one count


def number_in(header: fits.Header, key: str) -> float:
    """Read a finite number, NaN where there is none."""
    value = header.get(key)
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and np.isfinite(value) else np.nan


def zero_point_of(
    header: fits.Header, path, survey: Survey, unit: str | None = None, silent: float | None = None
) -> float:
    """AB magnitude of one unit of the pixels, or an error that says what is wrong; never guessed.

    `unit` "nanomaggies" overrules the header; "counts" have the survey's zero point where the
    header has none. `silent` is that of a header that says nothing at all.
    """
    if unit == "nanomaggies":
        return 22.5
    stated = str(header.get("BUNIT", "")).strip()
    keys = [survey.zero_point] if isinstance(survey.zero_point, str) else []
    key = next((key for key in (*keys, *ZERO_POINTS) if key in header), None)
    zero_point = _by_keyword(header, key) if key else None
    if re.match("nanomagg|nmgy|nmagg", stated.lower()) or (not stated and "NMGY" in header):
        if key and not abs(zero_point - 22.5) < 0.01:
            raise GaltoolsError(f"{path}: {key} is {header[key]}, but BUNIT {stated}: correct one")
        return 22.5
    if (jansky := _jansky(stated)) is not None:
        return float(22.5 - 2.5 * np.log10(jansky / NANOMAGGY))
    if not COUNTS.fullmatch(stated.lower()):
        raise GaltoolsError(f"{path}: BUNIT is {stated!r}; give nanomaggy, Jy or counts")
    if key:
        if zero_point != survey.zero_point and not BELIEVABLE[0] < zero_point < BELIEVABLE[1]:
            raise GaltoolsError(f"{path}: {key} (or EXPTIME) is no zero point: correct it")
        return zero_point
    if "SOFTBIAS" in header:
        raise GaltoolsError(f"{path}: an fpC image needs its tsField file for the zero point")
    if unit == "counts" and not keys:
        return float(survey.zero_point)
    if silent is None or stated:
        raise GaltoolsError(f"{path}: no zero point (MAGZP or its like) nor BUNIT; add one")
    return silent


def _by_keyword(header: fits.Header, key: str) -> float:
    """Zero point that a keyword gives, NaN where it is none."""
    rule = ZERO_POINTS.get(key, lambda value, _: value)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(rule(number_in(header, key), number_in(header, "EXPTIME")))


def _jansky(unit: str) -> float | None:
    """How many Jy a unit is, None if it is no flux density."""
    try:
        return float(u.Unit(unit).to(u.Jy)) if unit else None
    except (ValueError, TypeError):
        return None


def linear(pixels: np.ndarray, header: fits.Header) -> np.ndarray:
    """Undo the asinh scaling of a PS1 stack: BOFFSET + 2 BSOFTEN sinh(x ln(10) / 2.5)."""
    softening, offset = number_in(header, "BSOFTEN"), number_in(header, "BOFFSET")
    if "FPA.ZP" not in header or not np.isfinite(softening + offset):
        return pixels
    exponent = np.float64(pixels) * np.log(10) / 2.5
    with np.errstate(over="ignore"):
        return np.float32(offset + 2 * softening * np.sinh(exponent))
