"""Spectra of galaxies and what filters see of them.

Four observed spectra (Coleman, Wu and Weedman 1980; E, Sbc, Scd, Im, as extended by the files that
GalSim ships) are mixed between neighbours and changed in their tilt, 4000 Å break, molecular bands,
emission lines and dust (Calzetti et al. 2000). Band fluxes are linear in the light far below the
break, below it, above it, in the bands and in the lines: these five parts are tabulated once on
template, redshift, A_V and tilt, and then interpolated.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from galtools.errors import GaltoolsError
from galtools.surveys import filter_curves

TEMPLATES = ("E", "Sbc", "Scd", "Im")
WAVELENGTH = np.geomspace(1200.0, 12000.0, 2000)  # Å, rest frame
PARAMETERS = ("kind", "dust", "tilt", "break_step", "uv_step", "red_step", "emission")
REFERENCE = 5500.0  # Å: templates, tilt and dust are normalised here
BREAK = 4000.0  # Å
BLANKETING = 3300.0  # Å: metal lines dim the light blueward
MOLECULES = (6500.0, 8500.0)  # Å: bands of TiO and the like set in between
LINES = {3727.0: 0.5, 5007.0: 0.3, 6563.0: 1.0}  # Å: equivalent width relative to H alpha
LINE_WIDTH = 15.0  # Å, of the profile that stands for a line and its neighbours
REDSHIFT = np.linspace(0.0, 0.8, 161)
DUST = np.linspace(0.0, 3.0, 7)  # A_V
TILT = np.linspace(-0.5, 0.5, 5)


@cache
def template(name: str) -> np.ndarray:
    """Flux density f_lambda of a template at `WAVELENGTH`, 1 at `REFERENCE`."""
    galsim = Path(importlib.util.find_spec("galsim").origin).parent
    wavelength, flux = np.loadtxt(galsim / "share" / "SEDs" / f"CWW_{name}_ext.sed").T
    return np.interp(WAVELENGTH, wavelength, flux) / np.interp(REFERENCE, wavelength, flux)


def calzetti(wavelength: np.ndarray) -> np.ndarray:
    """Attenuation A(lambda) / A_V of starburst dust, R_V = 4.05, wavelength in Å."""
    x = 1e4 / wavelength  # per micron
    blue = 2.659 * (-2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3) + 4.05
    red = 2.659 * (-1.857 + 1.040 * x) + 4.05
    return np.where(wavelength < 6300.0, blue, red) / 4.05


def _spectra() -> np.ndarray:
    """Tabulate templates x dust x tilt, at `WAVELENGTH`."""
    shape = np.stack([template(name) for name in TEMPLATES])
    dust = 10 ** (-0.4 * DUST[:, None] * (calzetti(WAVELENGTH) - 1))
    tilt = (WAVELENGTH / REFERENCE) ** TILT[:, None]
    return shape[:, None, None] * dust[None, :, None] * tilt[None, None]


def _parts() -> np.ndarray:
    """Factors on a spectrum (5, wavelengths): far below the break, below, above, bands, lines."""
    first, last = MOLECULES
    ramp = np.clip((WAVELENGTH - first) / (last - first), 0, 1)
    profiles = {line: np.exp(-0.5 * ((WAVELENGTH - line) / LINE_WIDTH) ** 2) for line in LINES}
    lines = sum(LINES[line] * profile for line, profile in profiles.items())
    lines = lines / (np.sqrt(2 * np.pi) * LINE_WIDTH)
    blanketed, above = WAVELENGTH < BLANKETING, WAVELENGTH >= BREAK
    return np.stack([blanketed, ~blanketed & ~above, above, ramp, lines])


def _responses(filters: tuple[str, ...]) -> np.ndarray:
    """Tabulate redshift x part x filter: weights that turn a spectrum into a band flux.

    An AB flux is int f_lambda lambda R dlambda / int R dlambda / lambda, up to a constant; the
    observed wavelength is (1 + z) times the rest one.
    """
    observed = WAVELENGTH * (1 + REDSHIFT[:, None])
    step = np.gradient(WAVELENGTH)
    weights = []
    for curve in filter_curves(filters):
        _check_range(curve)
        response = np.interp(observed, curve.wavelength, curve.transmission, left=0, right=0)
        norm = np.trapezoid(curve.transmission / curve.wavelength, curve.wavelength)
        weights.append(response * observed * step / norm)
    return np.stack(weights, axis=1)[:, None] * _parts()[None, :, None]


def _check_range(curve) -> None:
    """Refuse a filter that looks where the spectra end at some redshift of the table."""
    first, last = WAVELENGTH[0] * (1 + REDSHIFT[-1]), WAVELENGTH[-1]
    outside = (curve.wavelength < first) | (curve.wavelength > last)
    if curve.transmission[outside].sum() > 1e-3 * curve.transmission.sum():
        raise GaltoolsError(
            f"filter {curve.name}: spectra are known from {first:.0f} to {last:.0f} Å only"
        )


@cache
def table(filters: tuple[str, ...]) -> RegularGridInterpolator:
    """Log band flux on redshift x dust x tilt; values are (template, part, filter)."""
    flux = np.einsum("zpfw,tdlw->zdltpf", _responses(filters), _spectra(), optimize=True)
    return RegularGridInterpolator((REDSHIFT, DUST, TILT), np.log(np.maximum(flux, 1e-30)))


def band_fluxes(filters: tuple[str, ...], spectrum: dict, redshift) -> np.ndarray:
    """Relative AB fluxes (n, filters) of n galaxies, in one common unit.

    `spectrum` holds arrays (n,): `kind` from 0 (E) over 1 (Sbc) and 2 (Scd) to 3 (Im); `dust`, A_V
    in magnitudes; `tilt`, the power of (wavelength / 5500 Å) that multiplies the light;
    `break_step`, the magnitudes by which the side blueward of 4000 Å is dimmed; `uv_step`, those
    by which the side blueward of 3300 Å is dimmed further; `red_step`, the share of light added
    beyond the red bands; `emission`, the width of H alpha in Å.
    """
    kind = np.clip(spectrum["kind"], 0, len(TEMPLATES) - 1)
    place = np.stack([redshift, spectrum["dust"], spectrum["tilt"]], axis=-1)
    flux = np.exp(table(tuple(filters))(place))
    below = 10 ** (-0.4 * np.asarray(spectrum["break_step"]))
    far = below * 10 ** (-0.4 * np.asarray(spectrum["uv_step"]))
    parts = [far, below, np.ones(len(kind)), spectrum["red_step"], spectrum["emission"]]
    mixing = np.maximum(0, 1 - np.abs(kind[:, None] - np.arange(len(TEMPLATES))))
    return np.einsum("nt,np,ntpf->nf", mixing, np.stack(parts, axis=-1), flux)
