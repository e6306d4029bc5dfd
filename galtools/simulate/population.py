"""Which galaxies there are: redshifts, luminosities, types, spectra and sizes.

A sample limited in apparent magnitude is drawn directly, without rejection: type, redshift and
r magnitude follow from the two luminosity functions

    dN / dz dr  ~  phi(M) dV/dz,   M = r - DM(z) - K z,   phi(M) ~ L^(alpha + 1) exp(-L)

with L = 10^(-0.4 (M - M*)), and everything else is drawn given these three. The numbers below were
tuned until colours, redshifts and magnitudes of the r < 17.8 sample agree with the SDSS main galaxy
sample.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from scipy.special import ndtri

from galtools.simulate import rng, spectra
from galtools.surveys import SDSS

COSMOLOGY = FlatLambdaCDM(H0=70, Om0=0.3)
REDSHIFT = np.linspace(0.003, 0.7, 1400)
BRIGHT_LIMIT = 14.0
UNIFORM, NORMAL = 16, 16  # numbers that a galaxy draws for its physics


@dataclass(frozen=True)
class LuminosityFunction:
    """Schechter function in absolute r magnitude, with K and evolution correction linear in z."""

    density: float  # per Mpc^3, relative to the other type
    magnitude: float  # M*
    slope: float  # alpha
    correction: float  # magnitudes per unit redshift


RED = LuminosityFunction(density=1.0, magnitude=-21.14, slope=-0.57, correction=-0.15)
BLUE = LuminosityFunction(density=1.04, magnitude=-21.12, slope=-1.22, correction=-0.11)


@dataclass(frozen=True)
class SpectralMix:
    """How the spectra of a type are spread; see `sed.band_fluxes` for the meaning of the parts."""

    kind: float
    kind_slope: float  # per magnitude of faintness
    kind_scatter: float
    dust: float  # median A_V
    tilt: float  # mean
    break_step: float
    uv_step: float
    uv_scatter: float
    break_scatter: float
    red_step: float
    emission: float  # median width of H alpha in Å


MIX = tuple(SpectralMix.__dataclass_fields__)
RED_MIX = SpectralMix(
    kind=0.224,
    kind_slope=0.064,
    kind_scatter=0.033,
    dust=0.036,
    tilt=0.078,
    break_step=0.0,
    uv_step=0.283,
    uv_scatter=0.211,
    break_scatter=0.02,
    red_step=-0.025,
    emission=0.0,
)
BLUE_MIX = SpectralMix(
    kind=1.128,
    kind_slope=0.268,
    kind_scatter=0.617,
    dust=0.327,
    tilt=-0.009,
    break_step=-0.061,
    uv_step=-0.177,
    uv_scatter=0.099,
    break_scatter=0.218,
    red_step=-0.143,
    emission=5.8,
)
DUST_SCATTER = 0.756  # of ln A_V
TILT_SCATTER = 0.077
RED_SCATTER = 0.032  # of red_step


@cache
def distances() -> tuple[np.ndarray, np.ndarray]:
    """Distance modulus and volume per redshift at `REDSHIFT`."""
    modulus = COSMOLOGY.distmod(REDSHIFT).value
    volume = COSMOLOGY.differential_comoving_volume(REDSHIFT).value
    return modulus, volume


def distance_modulus(redshift) -> np.ndarray:
    """Distance modulus in magnitudes."""
    return np.interp(redshift, REDSHIFT, distances()[0])


def kpc_per_arcsec(redshift) -> np.ndarray:
    """Proper length in kpc of an arcsec: D_A, from the distance modulus."""
    luminosity_distance = 10 ** (distance_modulus(redshift) / 5 + 1) / 1e3  # kpc
    return luminosity_distance / (1 + redshift) ** 2 * np.pi / 648000


@cache
def _cumulative(limit: float):
    """Cumulative numbers on (type, redshift, magnitude) for inverse sampling.

    Returns the magnitudes, the cumulative over type and redshift (flat), and the cumulative over
    magnitude at each type and redshift.
    """
    magnitude = np.linspace(BRIGHT_LIMIT, limit, 400)
    modulus, volume = distances()
    density = []
    for kind in (RED, BLUE):
        absolute = magnitude - (modulus + kind.correction * REDSHIFT)[:, None]
        light = 10 ** (-0.4 * (absolute - kind.magnitude))
        density.append(kind.density * volume[:, None] * light ** (kind.slope + 1) * np.exp(-light))
    over_magnitude = np.cumsum(density, axis=2)
    over_all = np.cumsum(over_magnitude[..., -1].ravel())
    over_magnitude /= np.maximum(over_magnitude[..., -1:], 1e-300)
    return magnitude, over_all / over_all[-1], over_magnitude


def sample_redshifts(limit: float, uniform: np.ndarray):
    """Turn uniform numbers (n, 2) into (red, redshift, r magnitude), each (n,)."""
    magnitude, over_all, over_magnitude = _cumulative(limit)
    place = np.searchsorted(over_all, uniform[:, 0])
    before = np.where(place > 0, over_all[place - 1], 0.0)
    within = (uniform[:, 0] - before) / (over_all[place] - before)
    kind, cell = np.divmod(place, len(REDSHIFT))
    step = REDSHIFT[1] - REDSHIFT[0]
    rows = over_magnitude[kind, cell]
    apparent = [np.interp(u, row, magnitude) for u, row in zip(uniform[:, 1], rows, strict=True)]
    return kind == 0, REDSHIFT[cell] + step * (within - 0.5), np.array(apparent)


def sample_spectra(red, absolute, normal) -> dict[str, np.ndarray]:
    """Spectrum of each galaxy as `sed.band_fluxes` takes it, from normal numbers (n, 7).

    Fainter galaxies are bluer, on the red sequence and off it.
    """
    faint = np.clip(absolute + 21.5, -2.5, 4.0)
    mix = {name: np.where(red, getattr(RED_MIX, name), getattr(BLUE_MIX, name)) for name in MIX}
    kind = mix["kind"] + mix["kind_slope"] * faint + mix["kind_scatter"] * normal[:, 0]
    return {
        "kind": np.clip(kind, 0.0, 3.0),
        "dust": np.clip(mix["dust"] * np.exp(DUST_SCATTER * normal[:, 1]), 0, 2.9),
        "tilt": np.clip(mix["tilt"] + TILT_SCATTER * normal[:, 2], -0.5, 0.5),
        "break_step": mix["break_step"] + mix["break_scatter"] * normal[:, 3],
        "uv_step": mix["uv_step"] + mix["uv_scatter"] * normal[:, 6],
        "red_step": mix["red_step"] + RED_SCATTER * normal[:, 4],
        "emission": mix["emission"] * np.exp(0.7 * normal[:, 5]),
    }


def half_light_radius(red, absolute, redshift, normal) -> np.ndarray:
    """Half-light radius in arcsec from the size-luminosity relation, log-normal about its mean.

    Early types follow R ~ L^0.65; late types bend from L^0.26 to L^0.5 about M = -21.
    """
    brightness = -0.4 * (absolute + 21.0)
    early = 0.56 + 0.65 * brightness
    late = 0.68 + 0.26 * brightness + 0.24 * np.log10((1 + 10**brightness) / 2)
    scatter = np.where(red, 0.14, 0.16)
    log_kpc = np.where(red, early, late) + scatter * normal
    return np.clip(10**log_kpc / kpc_per_arcsec(redshift), 0.3, 12.0)


def sample_galaxies(seed: int, galaxies, limit: float) -> dict[str, np.ndarray]:
    """Physical properties of galaxies by their numbers, each (n,) in the order of `galaxies`."""
    uniform, normal = rng.random_numbers(seed, galaxies, "physics", UNIFORM, NORMAL)
    red, redshift, magnitude = sample_redshifts(limit, uniform[:, :2])
    absolute = magnitude - distance_modulus(redshift)
    spectra = sample_spectra(red, absolute, normal[:, :7])
    early = red & (uniform[:, 4] < 0.72)  # the other red galaxies are dusty or passive discs
    bulge = np.where(early, 0.75 + 0.25 * uniform[:, 5], disc_bulge(spectra["kind"], normal[:, 7]))
    return {
        "redshift": redshift,
        "r_magnitude": magnitude,
        "absolute_magnitude": absolute,
        "red": red,
        "early": early,
        **spectra,
        "bulge_fraction": bulge,
        "half_light_radius": half_light_radius(early, absolute, redshift, normal[:, 8]),
        "axis_ratio": _axis_ratio(early, uniform[:, 6]),
        "position_angle": np.pi * uniform[:, 7],
    }


def disc_bulge(kind, normal) -> np.ndarray:
    """Share of the bulge in the r light of a disc galaxy: less in later types."""
    return np.clip((0.45 - 0.2 * kind) * np.exp(0.4 * normal), 0.0, 0.7)


def _axis_ratio(early, uniform) -> np.ndarray:
    """Apparent axis ratio: thin discs seen from anywhere, ellipticals rounder than 0.5.

    A disc of thickness q0 seen at cos i has q^2 = cos^2 i (1 - q0^2) + q0^2.
    """
    thickness = 0.18
    disc = np.sqrt(uniform**2 * (1 - thickness**2) + thickness**2)
    elliptical = np.clip(0.78 + 0.12 * ndtri(np.clip(uniform, 1e-6, 1 - 1e-6)), 0.5, 1.0)
    return np.where(early, elliptical, disc)


def normalised_fluxes(filters, spectrum: dict, redshift, r_magnitude) -> np.ndarray:
    """Band fluxes (n, filters) in nanomaggies of spectra of a given SDSS r magnitude."""
    flux = spectra.band_fluxes((*filters, SDSS.filters[2]), spectrum, redshift)
    return flux[:, :-1] / flux[:, -1:] * 10 ** (0.4 * (22.5 - r_magnitude))[:, None]
