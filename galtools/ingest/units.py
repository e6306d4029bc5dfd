"""Everything becomes nanomaggies: zero points, counts, asinh magnitudes, Galactic reddening."""

import numpy as np
from sedpy.observate import load_filters

from galtools.data.photometry import asinh_magnitude
from galtools.errors import GaltoolsError
from galtools.flags import Flag, raise_flag
from galtools.ingest.stamps import Stamps
from galtools.surveys import SDSS, Survey

# SDSS softening b of u g r i z, as (5, 1, 1)
SOFTENING = np.array([1.4e-10, 0.9e-10, 1.2e-10, 1.8e-10, 7.4e-10])[:, None, None]
POGSON = 2.5 / np.log(10)
# A_band / E(B-V), for E(B-V) of Schlegel, Finkbeiner & Davis (1998), R_V = 3.1:
# Schlafly & Finkbeiner (2011), table 6, SDSS ugriz.
SDSS_EXTINCTION = np.array([4.239, 3.303, 2.285, 1.698, 1.263])


def counts_to_nanomaggies(counts, zero_point):
    """f = counts x 10^((22.5 - zero point) / 2.5)."""
    return np.asarray(counts) * 10 ** (0.4 * (22.5 - zero_point))


def nanomaggies_to_counts(flux, zero_point):
    """Invert `counts_to_nanomaggies`."""
    return np.asarray(flux) * 10 ** (0.4 * (zero_point - 22.5))


def luptitudes_to_nanomaggies(magnitude):
    """f = 10^9 x 2 b sinh(-m ln(10) / 2.5 - ln b): asinh magnitudes of (..., 5, H, W)."""
    return 2e9 * SOFTENING * np.sinh(-np.asarray(magnitude, float) / POGSON - np.log(SOFTENING))


def nanomaggies_to_luptitudes(flux):
    """m = -2.5 log10(e) (asinh(f / 2b) + ln b), f in maggies."""
    return asinh_magnitude(np.asarray(flux, float), 1e9 * SOFTENING) - POGSON * np.log(SOFTENING)


def extinction_per_ebv(survey: Survey) -> np.ndarray:
    """A_band / E(B-V) of a survey's five filters.

    For filters other than those of SDSS, the SDSS values are interpolated in log A against the
    log of the pivot wavelength, good to about 3 %.
    """
    if survey.filters == SDSS.filters:
        return SDSS_EXTINCTION
    pivot = [[f.wave_pivot for f in load_filters(list(s.filters))] for s in (SDSS, survey)]
    return np.exp(np.interp(np.log(pivot[1]), np.log(pivot[0]), np.log(SDSS_EXTINCTION)))


def _reddening(stamps: Stamps) -> np.ndarray:
    """E(B-V) of each object, NaN where it is unknown."""
    if "ebv" not in stamps.catalogue.colnames:
        raise GaltoolsError("no column 'ebv': add Schlegel's E(B-V), or leave the light as it came")
    ebv = np.ma.filled(np.ma.asarray(stamps.catalogue["ebv"], float), np.nan)
    if (wrong := (ebv < 0) | (ebv > 10)).any():
        row = int(np.flatnonzero(wrong)[0])
        raise GaltoolsError(f"E(B-V) = {ebv[row]:g} in row {row}: give magnitudes from 0 to 10")
    return ebv


def _transparency(ebv: np.ndarray, survey: Survey) -> np.ndarray:
    """Share of the light (n, 5) that reaches us: 10^(-0.4 A), one where E(B-V) is unknown."""
    return 10 ** (-0.4 * np.nan_to_num(ebv)[:, None] * extinction_per_ebv(survey))


def deredden(stamps: Stamps, survey: Survey) -> Stamps:
    """Undo the dimming by Galactic dust, of images and noise alike, once.

    Where E(B-V) is unknown the light stays as it came, and the row gets the flag NO_REDDENING.
    """
    if stamps.catalogue.meta.get("dereddened"):
        raise GaltoolsError("these stamps are dereddened already: use them as they are")
    ebv = _reddening(stamps)
    clean = _scaled(stamps, 1 / _transparency(ebv, survey), True)
    raise_flag(clean.catalogue, ~np.isfinite(ebv), Flag.NO_REDDENING)
    return clean


def redden(stamps: Stamps, survey: Survey) -> Stamps:
    """Invert `deredden`."""
    if not stamps.catalogue.meta.get("dereddened"):
        raise GaltoolsError("these stamps are not dereddened: use them as they are")
    return _scaled(stamps, _transparency(_reddening(stamps), survey), False)


def _scaled(stamps: Stamps, factor: np.ndarray, dereddened: bool) -> Stamps:
    catalogue = stamps.catalogue.copy()
    catalogue.meta["dereddened"] = dereddened
    images = stamps.images * factor[:, :, None, None]
    return Stamps(images, np.float32(stamps.noise * factor), catalogue, stamps.side)
