"""What a pixel is worth, by the header of its file: unit and zero point, read or refused by name.

    kind             how it is recognised              nanomaggies per pixel
    SDSS frame       BUNIT nanomaggy, or NMGY          the pixel itself
    SDSS fpC         SOFTBIAS without either           counts; needs the tsField file
    PS1 stack        FPA.ZP                            10^(0.4 (22.5 - FPA.ZP)) / EXPTIME
    KiDS coadd       INSTRUME OMEGACAM                 zero point as stated, 0 included
    HSC coadd        FLUXMAG0                          zero point 2.5 log10(FLUXMAG0)
    flux densities   BUNIT Jy, mJy, uJy, nJy           1 nanomaggy = 3.631e-6 Jy
    CFHT stack       MZP_AB, or a filter .MP9xxx       10^(0.4 (22.5 - zero point))
    other coadds     MAGZP, PHOTZP, MAGZERO            10^(0.4 (22.5 - zero point))

SDSS frames carry SOFTBIAS too, so the unit is looked at first. PS1 stacks with BSOFTEN hold asinh
of the counts, which `linear` undoes.
"""

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.io import fits

from galtools.errors import GaltoolsError

ZERO_POINTS = ("MZP_AB", "MAGZP", "PHOTZP", "MAGZERO")  # Terapix, generic, MegaPipe, DES and Legacy
COUNTS = ("", "adu", "adus", "dn", "dns", "count", "counts", "ct", "electron", "electrons", "e-")
RATES = ("/s", "/sec", "s-1", "sec-1")  # what a zero point of one second belongs to, all the same
NANOMAGGY = u.Quantity(3.631e-6, u.Jy)  # AB: 10^(-0.4 x 22.5) of 3631 Jy
BELIEVABLE = 15.0, 40.0  # AB magnitudes of one count


@dataclass(frozen=True)
class Calibration:
    """What a file is, and the AB magnitude of one unit of its pixels; None without any."""

    kind: str
    survey: str | None  # None where the header does not tell
    zero_point: float | None

    @property
    def silent(self) -> bool:
        """Whether the header says nothing of what the pixels are worth."""
        return self.zero_point is None and self.kind in ("counts", "CFHT stack", "DECam coadd")


def number_in(header: fits.Header, *keys: str) -> float | None:
    """Read the first of some keys that holds a finite number, None where there is none."""
    values = [header.get(key) for key in keys]
    numbers = [x for x in values if isinstance(x, (int, float)) and not isinstance(x, bool)]
    return next((float(x) for x in numbers if np.isfinite(x)), None)


def is_nanomaggy(unit: str) -> bool:
    """Whether a unit is the nanomaggy, in its many spellings."""
    return unit.lower().replace(" ", "").startswith(("nanomagg", "nmgy", "nmagg"))


def calibration_of(header: fits.Header, path) -> Calibration:
    """Tell unit and zero point of an image, or refuse what it says; never guessed."""
    unit = str(header.get("BUNIT", "")).strip()
    stated = next((key for key in ZERO_POINTS if key in header), None)
    zero_point = number_in(header, *ZERO_POINTS)
    if is_nanomaggy(unit) or (not unit and "NMGY" in header):
        if stated and (zero_point is None or abs(zero_point - 22.5) > 0.01):
            says = f"{stated} is {header[stated]}, but BUNIT {unit or 'nanomaggy'}"
            raise GaltoolsError(f"{path}: {says}: correct one")
        sdss = {"SOFTBIAS", "NMGY", "CAMCOL"} & set(header)
        return Calibration("SDSS frame" if sdss else "nanomaggies", "SDSS" if sdss else None, 22.5)
    if "SOFTBIAS" in header:
        return Calibration("SDSS fpC", "SDSS", None)
    if (jansky := _jansky(unit)) is not None:
        zero_point = 22.5 - 2.5 * np.log10(jansky / NANOMAGGY.value)
        return Calibration("flux densities", None, float(zero_point))
    plain = unit.lower()
    for rate in RATES:
        plain = plain.removesuffix(rate)
    if plain.strip() not in COUNTS:
        raise GaltoolsError(f"{path}: BUNIT is {unit!r}; give nanomaggy, Jy or counts")
    return _counts(header, path, stated, zero_point)


def _jansky(unit: str) -> float | None:
    """How many Jy a unit is, None if it is no flux density."""
    try:
        return float(u.Unit(unit).to(u.Jy)) if unit else None
    except (ValueError, TypeError):
        return None


def _counts(header: fits.Header, path, stated: str | None, zero_point) -> Calibration:
    """Zero point of counts, by the keyword that each survey has for it."""
    kind, survey, lowest = "counts", None, BELIEVABLE[0]
    if "FPA.ZP" in header:
        kind, survey, stated = "PS1 stack", "PS1", "FPA.ZP or EXPTIME"
        zero_point, seconds = number_in(header, "FPA.ZP"), number_in(header, "EXPTIME")
        if zero_point is not None:
            good = seconds is not None and seconds > 0
            zero_point = zero_point + 2.5 * np.log10(seconds) if good else None
    elif "FLUXMAG0" in header:
        kind, survey, stated = "HSC coadd", "HSC", "FLUXMAG0"
        flux = number_in(header, "FLUXMAG0")
        zero_point = 2.5 * np.log10(flux) if flux is not None and flux > 0 else None
    elif str(header.get("INSTRUME", "")).upper().startswith("OMEGACAM"):
        kind, survey, lowest = "KiDS coadd", "KiDS", 0.0
    elif "MZP_AB" in header or ".MP9" in str(header.get("FILTER", "")):
        kind, survey = "CFHT stack", "CFHTLS"
    elif "decam" in str(header.get("INSTRUME", header.get("FILTER", ""))).lower():
        kind, survey = "DECam coadd", "DES"
    if stated is None:
        return Calibration(kind, survey, None)
    zero = lowest == 0 and zero_point == 0
    if zero_point is None or not (zero or BELIEVABLE[0] < zero_point < BELIEVABLE[1]):
        raise GaltoolsError(f"{path}: {stated} of this {kind} is no zero point: correct it")
    return Calibration(kind, survey, float(zero_point))


def linear(pixels: np.ndarray, header: fits.Header) -> np.ndarray:
    """Undo the asinh scaling of a PS1 stack: BOFFSET + 2 BSOFTEN sinh(x ln(10) / 2.5)."""
    softening, offset = number_in(header, "BSOFTEN"), number_in(header, "BOFFSET")
    if "FPA.ZP" not in header or softening is None or offset is None:
        return pixels
    exponent = np.float64(pixels) * np.log(10) / 2.5
    with np.errstate(over="ignore"):
        return np.float32(offset + 2 * softening * np.sinh(exponent))
