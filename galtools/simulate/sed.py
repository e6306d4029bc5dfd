"""Spectra of galaxies and what five filters see of them.

Four observed spectra (Coleman, Wu and Weedman 1980; E, Sbc, Scd, Im, as extended to the far
ultraviolet and infrared by the files that GalSim ships) are mixed between neighbours, tilted,
given a deeper or shallower 4000 Å break, reddened by dust (Calzetti et al. 2000), redshifted and
seen through the filter curves of astro-sedpy. Band fluxes are tabulated once on template, redshift,
A_V and tilt, with the two sides of the break apart, and interpolated from then on.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from sedpy.observate import load_filters

TEMPLATES = ("E", "Sbc", "Scd", "Im")
WAVELENGTH = np.geomspace(1200.0, 12000.0, 2000)  # Å, rest frame
REFERENCE = 5500.0  # Å: templates, tilt and dust are normalised here
BREAK = 4000.0  # Å
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


def _responses(filters: tuple[str, ...]) -> np.ndarray:
    """Tabulate redshift x break side x filter: weights that turn a spectrum into a band flux.

    An AB flux is int f_lambda lambda R dlambda / int R dlambda / lambda, up to a constant; the
    observed wavelength is (1 + z) times the rest one.
    """
    curves = load_filters(list(filters))
    observed = WAVELENGTH * (1 + REDSHIFT[:, None])
    step = np.gradient(WAVELENGTH)
    side = np.stack([WAVELENGTH < BREAK, WAVELENGTH >= BREAK])
    weights = []
    for curve in curves:
        response = np.interp(observed, curve.wavelength, curve.transmission, left=0, right=0)
        norm = np.trapezoid(curve.transmission / curve.wavelength, curve.wavelength)
        weights.append(response * observed * step / norm)
    return np.stack(weights, axis=1)[:, None] * side[None, :, None]


@cache
def table(filters: tuple[str, ...]) -> RegularGridInterpolator:
    """Log band flux on redshift x dust x tilt; values are (template, side of the break, filter)."""
    flux = np.einsum("zsfw,tdlw->zdltsf", _responses(filters), _spectra(), optimize=True)
    return RegularGridInterpolator((REDSHIFT, DUST, TILT), np.log(np.maximum(flux, 1e-30)))


def band_fluxes(filters: tuple[str, ...], kind, redshift, dust, tilt, break_step) -> np.ndarray:
    """Relative AB fluxes (n, filters) of n galaxies, in one common unit.

    `kind` runs from 0 (E) over 1 (Sbc) and 2 (Scd) to 3 (Im); `dust` is A_V in magnitudes; `tilt`
    the power of (wavelength / 5500 Å) that multiplies the spectrum; `break_step` the magnitudes by
    which the side blueward of 4000 Å is dimmed.
    """
    kind = np.clip(kind, 0, len(TEMPLATES) - 1)
    flux = np.exp(table(filters)(np.stack([redshift, dust, tilt], axis=-1)))
    sides = np.stack([10 ** (-0.4 * np.asarray(break_step)), np.ones(len(kind))], axis=-1)
    mixing = np.maximum(0, 1 - np.abs(kind[:, None] - np.arange(len(TEMPLATES))))
    return np.einsum("nt,ns,ntsf->nf", mixing, sides, flux)
