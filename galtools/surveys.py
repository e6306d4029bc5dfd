"""Surveys: the facts in `surveys.toml`, and those that a reader adds.

No other module holds a pixel scale, a seeing or a noise. A further survey is a table of such a
file, `load_surveys("mine.toml")`, or a few lines of Python, `add_survey(Survey("Mine", ...))`.
"""

import re
import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from math import inf
from pathlib import Path

import numpy as np
from sedpy.observate import Filter, list_available_filters

from galtools.errors import GaltoolsError, check_choice, reading

BANDS = ("u", "g", "r", "i", "z")  # of the two surveys that this package simulates by default
TASKS = ("intra", "cross")  # SDSS to the same SDSS image; SDSS to CFHTLS
IDEAL = {  # what the simulation takes where a survey says nothing
    "electrons_per_nanomaggy": inf, "band_seeing": 0.0, "calibration_error": 0.0, "saturation": inf
}  # fmt: skip
PER_BAND = ("psf_fwhm", "sky_noise", "filters", *IDEAL)


@dataclass(frozen=True)
class Survey:
    """What a survey does to a galaxy; tuples are in the order of `bands`.

    Images everywhere in galtools are in nanomaggies per pixel, that is an AB zero point of 22.5:
    m = 22.5 - 2.5 log10(f / nanomaggy). The fields after `stamp` are for the simulation alone.
    """

    name: str
    bands: tuple[str, ...]
    pixel_scale: float  # arcsec per pixel
    zero_point: float | str  # AB magnitude of one count of published images, or its FITS keyword
    psf_fwhm: tuple[float, ...]  # arcsec, median seeing per band
    sky_noise: tuple[float, ...]  # nanomaggies per pixel, standard deviation of the blank sky
    filters: tuple[str, ...] = ()  # filter curves: see `filter_curves`
    stamp: int = 64  # pixels along a side of the native stamp
    electrons_per_nanomaggy: tuple[float, ...] = ()  # detected in the whole exposure
    common_seeing: float = 0.0  # scatter of ln FWHM that all bands of an observation share
    band_seeing: tuple[float, ...] = ()  # scatter of ln FWHM that each band has for itself
    calibration_error: tuple[float, ...] = ()  # scatter of the zero point between fields, relative
    galaxies_per_field: int = 1  # main-sample galaxies that share one zero point
    saturation: tuple[float, ...] = ()  # nanomaggies per pixel, where detectors are full
    cosmic_rays: float = 0.0  # hits per square arcmin in one band
    field_width: float = 3600.0  # arcsec
    noise_kernel: tuple[float, ...] = (1.0,)  # from the centre outwards: white noise is smoothed

    def __post_init__(self):
        """Refuse what describes no survey."""
        for name in ("bands", "noise_kernel", *PER_BAND):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in PER_BAND:
            if not getattr(self, name) and name in IDEAL:
                object.__setattr__(self, name, (IDEAL[name],) * len(self.bands))
            count = len(getattr(self, name))
            if count != len(self.bands) and (count or name != "filters"):
                raise GaltoolsError(
                    f"{self.name}: {name} has {count} values for {len(self.bands)} bands"
                )
        check_bands(self.name, self.bands)
        if not self.bands or not 0.01 < self.pixel_scale < 10 or min(self.sky_noise) <= 0:
            raise GaltoolsError(f"{self.name}: give bands, arcsec per pixel, and positive noise")

    @property
    def noise_correlation(self) -> np.ndarray:
        """Correlation of the noise of pixels 0, 1, 2 ... apart along a row or a column."""
        taps = np.array([*self.noise_kernel[:0:-1], *self.noise_kernel])
        lags = np.correlate(taps, taps, "full")[len(taps) - 1 :]
        return lags / lags[0]

    def in_bands(self, bands) -> "Survey":
        """Return this survey with some of its bands, in this order."""
        k = find_bands(self.bands, bands)
        parts = {name: getattr(self, name) for name in PER_BAND}
        chosen = {name: tuple(part[j] for j in k) for name, part in parts.items() if part}
        return replace(self, bands=tuple(bands), **chosen)

    def on_grid_of(self, other: "Survey") -> "Survey":
        """Return this survey drawn on the pixels of another, where each holds more blank sky.

        White noise has a variance per area, so that its standard deviation grows with the pixel's
        side; correlated noise grows as that of the mean over a pixel does, and is then white.
        """
        growth = other.pixel_scale / self.pixel_scale
        lags = self.noise_correlation
        overlap = np.maximum(0, 1 - np.arange(len(lags)) / growth)
        larger = growth * (2 * np.sum(lags * overlap) - 1)  # of two axes: their geometric mean
        return replace(
            self,
            pixel_scale=other.pixel_scale,
            stamp=other.stamp,
            sky_noise=tuple(float(larger * sigma) for sigma in self.sky_noise),
            saturation=tuple(growth**2 * level for level in self.saturation),
            noise_kernel=self.noise_kernel if growth == 1 else (1.0,),
        )


SURVEYS: dict[str, Survey] = {}


def check_bands(name: str, bands) -> None:
    """Refuse names of bands that are no single word: files and options list them in one line."""
    if odd := [band for band in bands if not re.fullmatch(r"[^\s,]+", str(band))]:
        raise GaltoolsError(f"{name}: {odd[0]!r} names no band: give a word without spaces")


def add_survey(survey: Survey) -> Survey:
    """Let a survey be found by its name."""
    SURVEYS[survey.name] = survey
    return survey


def load_surveys(path) -> list[Survey]:
    """Add the surveys of a TOML file, one table each, as in `surveys.toml`."""
    with reading(path, "give one table of facts per survey, as galtools/surveys.toml does"):
        tables = tomllib.loads(Path(path).read_text())
        known = {field.name for field in fields(Survey)}
        if odd := {key for facts in tables.values() for key in facts} - known:
            raise GaltoolsError(f"{path}: no survey has {min(odd)!r}; known are {sorted(known)}")
        return [add_survey(Survey(name=name, **facts)) for name, facts in tables.items()]


def find_survey(name: str) -> Survey:
    """Return the survey of a name, or refuse with the list of those there are."""
    return SURVEYS[check_choice("survey", name, SURVEYS)]


def find_bands(there, wanted) -> list[int]:
    """Indices of the bands `wanted` among those that are there."""
    if missing := [band for band in wanted if band not in there]:
        raise GaltoolsError(f"no band {', '.join(missing)} among {', '.join(there)}")
    return [there.index(band) for band in wanted]


def band_names(text) -> tuple[str, ...]:
    """Names of bands, written as "gri", "VIS", "g r i", "g,r,i" or one by one."""
    parts = [p.decode(errors="replace") if isinstance(p, bytes) else str(p) for p in np.ravel(text)]
    words = " ".join(parts).replace(",", " ").split()
    if not words:
        raise GaltoolsError("no band is named: give their names, as gri")
    whole = len(words) > 1 or words[0] in {band for s in SURVEYS.values() for band in s.bands}
    return tuple(words if whole else words[0])


def filters_of(surveys) -> tuple[str, ...]:
    """Names of the filters of all bands of all surveys, or refuse."""
    for survey in surveys:
        if not survey.filters:
            raise GaltoolsError(f"{survey.name} names no filter curves: give it `filters`")
    return tuple(name for survey in surveys for name in survey.filters)


@cache
def filter_curves(filters: tuple[str, ...]) -> list[Filter]:
    """Transmission curves: those of astro-sedpy by name, top hats by their limits in Å.

    ``("sdss_r0", "5500-9000")`` is one of each.
    """
    return [Filter(name, data=_top_hat(name)) for name in filters]


def _top_hat(name: str):
    """Wavelength and transmission of a top hat, or None for a curve that astro-sedpy has."""
    if name in list_available_filters():
        return None
    edges = re.fullmatch(r"(\d+)-(\d+)", name)
    low, high = map(float, edges.groups()) if edges else (0, 0)
    if low >= high:
        raise GaltoolsError(f"{name!r}: give a filter of astro-sedpy, or its limits: 5500-9000")
    wavelength = np.concatenate([[low - 1], np.linspace(low, high, 1000), [high + 1]])
    return wavelength, np.pad(np.ones(1000), 1, constant_values=1e-3)  # sedpy looks for its edges


def log_pivots(survey: Survey) -> np.ndarray:
    """ln of the pivot wavelengths of a survey's filters in Å."""
    return np.log([curve.wave_pivot for curve in filter_curves(filters_of([survey]))])


def reference_band(bands) -> str:
    """The band that stands for all in a flag or a headline: r, or else the middle one."""
    return "r" if "r" in bands else bands[len(bands) // 2]


def check_task(task: str) -> str:
    """Return the name of a known task, or refuse with the list of them."""
    return check_choice("task", task, TASKS)


load_surveys(Path(__file__).with_suffix(".toml"))
SDSS, CFHTLS = SURVEYS["SDSS"], SURVEYS["CFHTLS"]
