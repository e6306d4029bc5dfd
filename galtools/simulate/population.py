"""The galaxy population: redshifts, luminosities, types, spectra and sizes.

A sample limited in apparent magnitude is drawn directly, without rejection: type, redshift and
r magnitude follow from the two luminosity functions

    dN / dz dr  ~  phi(M) dV/dz,   M = r - DM(z) - K z,   phi(M) ~ L^(alpha + 1) exp(-L)

with L = 10^(-0.4 (M - M*)), and everything else is drawn given these three. The parameters were
tuned until colours, redshifts and magnitudes of the r < 17.8 sample agree with the SDSS main galaxy
sample. Magnitudes are attenuated ones and inclinations isotropic: that dust dims edge-on discs, so
that a sample limited in flux has fewer of them, is left out.
"""

import zlib
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from scipy.special import ndtr, ndtri

from galtools.simulate import spectra
from galtools.surveys import SDSS

COSMOLOGY = FlatLambdaCDM(H0=70, Om0=0.3)
REDSHIFT = np.linspace(0.003, 0.7, 1400)
BRIGHT_LIMIT = 14.0
MAIN_SAMPLE_LIMIT = 17.8  # r magnitude, of the SDSS main galaxy sample
UNIFORM, NORMAL = 16, 16  # random numbers per galaxy for its physics
EARLY_FRACTION = 0.72  # of red galaxies; the others are dusty or passive discs
SIZES = {  # r-band half-light radii of early and of late types (Shen et al. 2003)
    "log_kpc": (0.41, 0.68),  # at M = -21
    "slope": (0.60, 0.26),  # dex per dex of luminosity, of faint galaxies
    "bend": (0.0, 0.24),  # steeper is the slope of bright ones
}
SIZE_SCATTER = (0.48, 0.25)  # of the logarithm, of faint and of bright galaxies ...
SIZE_BREAK = -20.52  # ... about this absolute magnitude


def galaxy_rng(seed: int, galaxy: int, *purpose) -> np.random.Generator:
    """Random stream of one galaxy for one purpose, e.g. ("observation", "SDSS", 0)."""
    words = [w if isinstance(w, int) else zlib.crc32(w.encode()) for w in purpose]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, galaxy, *words])))


def random_numbers(seed: int, galaxies, purpose: str, uniform: int, normal: int):
    """Uniform (n, uniform) and standard normal (n, normal) numbers, one row per galaxy."""
    streams = [galaxy_rng(seed, int(galaxy), purpose) for galaxy in galaxies]
    return (
        np.stack([stream.random(uniform) for stream in streams]),
        np.stack([stream.standard_normal(normal) for stream in streams]),
    )


@dataclass(frozen=True)
class LuminosityFunction:
    """Schechter function in absolute r magnitude, with K and evolution correction linear in z."""

    density: float  # per Mpc^3, relative to the other type
    magnitude: float  # M*
    slope: float  # alpha
    correction: float  # K, magnitudes per unit redshift

    def luminosity(self, corrected):
        """L / L* at an absolute magnitude to which K and evolution correction are applied."""
        return 10 ** (-0.4 * (corrected - self.magnitude))


RED = LuminosityFunction(density=1.0, magnitude=-21.14, slope=-0.57, correction=-0.15)
BLUE = LuminosityFunction(density=0.97, magnitude=-21.28, slope=-1.22, correction=0.5)

SPECTRA = {  # mean spectrum and its scatter, of red and of blue galaxies: see `spectra.band_fluxes`
    "kind": (0.212, 1.25),
    "kind_slope": (0.038, 0.3),  # per magnitude of faintness
    "kind_scatter": (0.036, 0.7),
    "dust": (0.004, 0.359),  # median A_V
    "tilt": (0.106, 0.053),
    "tilt_scatter": (0.045, 0.016),
    "break_step": (0.0, 0.134),
    "break_scatter": (0.01, 0.256),
    "uv_step": (0.345, -0.181),
    "uv_scatter": (0.27, 0.003),
    "red_step": (-0.008, -0.124),
    "emission": (0.0, 11.1),  # median width of H alpha in Å
}
DUST_SCATTER = 0.554  # of ln A_V
RED_SCATTER = 0.020  # of red_step
ROUNDNESS = (0.78, 0.12)  # axis ratios of ellipticals: mean and scatter ...
FLATTEST = 0.5  # ... between this and 1
DISC_THICKNESS = 0.18  # axis ratio of a disc seen edge on
INCLINATION_DUST = 2.4  # relative growth of the A_V of a blue disc per dex of a/b
COMPONENT_SPECTRA = {  # of old and of young stars relative to the whole galaxy, with their scatter
    "old_kind": (-1.0, 0.25),
    "old_dust": (0.0, 0.4),  # ln A_V
    "old_tilt": (0.0, 0.04),
    "old_break": (0.0, 0.05),
    "young_kind": (0.9, 0.3),
    "young_dust": (0.0, 0.4),
    "young_tilt": (0.0, 0.05),
}
EARLY_OUTSKIRTS = 0.7  # early types: `young_kind` of their discs, which are old but bluer


def by_type(red, name: str) -> np.ndarray:
    """Parameter `name` of the `SPECTRA` of each galaxy's type."""
    return np.where(red, *SPECTRA[name])


@cache
def distances() -> tuple[np.ndarray, np.ndarray]:
    """Distance modulus and volume per redshift at `REDSHIFT`."""
    return (
        COSMOLOGY.distmod(REDSHIFT).value,
        COSMOLOGY.differential_comoving_volume(REDSHIFT).value,
    )


def distance_modulus(redshift) -> np.ndarray:
    """Distance modulus in magnitudes."""
    return np.interp(redshift, REDSHIFT, distances()[0])


def kpc_per_arcsec(redshift) -> np.ndarray:
    """Proper length in kpc of an arcsec: D_A, from the distance modulus."""
    luminosity_distance = 10 ** (distance_modulus(redshift) / 5 + 1) / 1e3  # kpc
    return luminosity_distance / (1 + redshift) ** 2 * np.pi / 648000


def log_abundance(red, absolute, redshift) -> np.ndarray:
    """ln phi of red or blue galaxies at M = r - DM(z), up to a constant that both share."""
    density, magnitude, slope, correction = (
        np.where(red, *pair) for pair in zip(astuple(RED), astuple(BLUE), strict=True)
    )
    log_light = -0.4 * np.log(10) * (absolute - correction * redshift - magnitude)
    return np.log(density) + (slope + 1) * log_light - np.exp(log_light)


@cache
def _cumulative(limit: float):
    """Magnitudes, cumulative numbers over (type, redshift), and over magnitude at each of these."""
    magnitude = np.linspace(BRIGHT_LIMIT, limit, 400)
    modulus, volume = distances()
    density = []
    for kind in (RED, BLUE):
        light = kind.luminosity(magnitude - (modulus + kind.correction * REDSHIFT)[:, None])
        density.append(kind.density * volume[:, None] * light ** (kind.slope + 1) * np.exp(-light))
    over_magnitude = np.cumsum(density, axis=2)
    over_all = np.cumsum(over_magnitude[..., -1].ravel())
    over_magnitude /= np.maximum(over_magnitude[..., -1:], 1e-300)
    return magnitude, over_all / over_all[-1], over_magnitude


def sample_redshifts(limit: float, uniform: np.ndarray):
    """Turn uniform numbers (n, 2) into (red, redshift, r magnitude), each (n,)."""
    magnitude, over_all, over_magnitude = _cumulative(limit)
    flat = np.searchsorted(over_all, uniform[:, 0])
    before = np.where(flat > 0, over_all[flat - 1], 0.0)
    within = (uniform[:, 0] - before) / (over_all[flat] - before)
    kind, cell = np.divmod(flat, len(REDSHIFT))
    step = REDSHIFT[1] - REDSHIFT[0]
    rows = over_magnitude[kind, cell]
    apparent = [np.interp(u, row, magnitude) for u, row in zip(uniform[:, 1], rows, strict=True)]
    return kind == 0, REDSHIFT[cell] + step * (within - 0.5), np.array(apparent)


def inclination_dust(axis_ratio) -> np.ndarray:
    """A_V of a disc relative to its mean over all inclinations: linear in log(a/b).

    If cos i is uniform, <ln(a/b)> = 1 - t arctan(1/t) with t^2 = q0^2 / (1 - q0^2), thickness q0.
    """
    t = DISC_THICKNESS / np.sqrt(1 - DISC_THICKNESS**2)
    mean = (1 - t * np.arctan(1 / t)) / np.log(10)
    return (1 - INCLINATION_DUST * np.log10(axis_ratio)) / (1 + INCLINATION_DUST * mean)


def spectrum_parameters(red, absolute, axis_ratio, normal) -> dict[str, np.ndarray]:
    """Spectrum of each galaxy, as `spectra.band_fluxes` takes it, from normal numbers (n, 7).

    Faint galaxies are bluer at M = r - DM(z); blue discs are dustier the more they are inclined.
    """
    faint = np.clip(absolute + 21.5, -2.5, 4.0)
    kind = by_type(red, "kind") + by_type(red, "kind_slope") * faint
    kind = kind + by_type(red, "kind_scatter") * normal[:, 0]
    tilt = by_type(red, "tilt") + by_type(red, "tilt_scatter") * normal[:, 2]
    dust = by_type(red, "dust") * np.exp(DUST_SCATTER * normal[:, 1])
    dust = dust * np.where(red, 1.0, inclination_dust(axis_ratio))
    return {
        "kind": np.clip(kind, 0.0, 3.0),
        "dust": np.clip(dust, 0, 2.9),
        "tilt": np.clip(tilt, -0.5, 0.5),
        "break_step": by_type(red, "break_step") + by_type(red, "break_scatter") * normal[:, 3],
        "uv_step": by_type(red, "uv_step") + by_type(red, "uv_scatter") * normal[:, 6],
        "red_step": by_type(red, "red_step") + RED_SCATTER * normal[:, 4],
        "emission": by_type(red, "emission") * np.exp(0.7 * normal[:, 5]),
    }


def component_spectra(early, normal) -> dict[str, np.ndarray]:
    """Old and young stars relative to the whole galaxy, from normal numbers (n, 7)."""
    table = enumerate(COMPONENT_SPECTRA.items())
    found = {name: mean + scatter * normal[:, k] for k, (name, (mean, scatter)) in table}
    bluer = EARLY_OUTSKIRTS - COMPONENT_SPECTRA["young_kind"][0]
    return {**found, "young_kind": found["young_kind"] + np.where(early, bluer, 0.0)}


def galaxy_spectra(physics: dict, absolute, normal) -> dict[str, np.ndarray]:
    """Spectra of galaxies and of their components, from normal numbers (n, NORMAL)."""
    red, axis_ratio = physics["red"], physics["axis_ratio"]
    whole = spectrum_parameters(red, absolute, axis_ratio, normal[:, :7])
    return {**whole, **component_spectra(physics["early"], normal[:, 9:])}


def size_scatter(absolute) -> np.ndarray:
    """Scatter of the natural logarithm of the half-light radius."""
    faint, bright = SIZE_SCATTER
    return bright + (faint - bright) / (1 + 10 ** (-0.8 * (absolute - SIZE_BREAK)))


def half_light_radius(early, absolute, redshift, normal) -> np.ndarray:
    """Half-light radius in arcsec, log-normal about the size-luminosity relation of `SIZES`."""
    at, slope, bend = (np.where(early, *SIZES[name]) for name in ("log_kpc", "slope", "bend"))
    brightness = -0.4 * (absolute + 21.0)
    log_kpc = at + slope * brightness + bend * np.log10((1 + 10**brightness) / 2)
    kpc = 10**log_kpc * np.exp(size_scatter(absolute) * normal)
    return np.clip(kpc / kpc_per_arcsec(redshift), 0.3, 12.0)


def sample_galaxies(seed: int, galaxies, limit: float) -> dict[str, np.ndarray]:
    """Physical properties of galaxies by their numbers, each (n,) in the order of `galaxies`."""
    uniform, normal = random_numbers(seed, galaxies, "physics", UNIFORM, NORMAL)
    red, redshift, magnitude = sample_redshifts(limit, uniform[:, :2])
    absolute = magnitude - distance_modulus(redshift)
    physics = {
        "redshift": redshift,
        "r_magnitude": magnitude,
        "absolute_magnitude": absolute,
        "red": red,
        "early": (early := red & (uniform[:, 4] < EARLY_FRACTION)),
        "axis_ratio": axis_ratio(early, uniform[:, 6]),
        "position_angle": np.pi * uniform[:, 7],
        "half_light_radius": half_light_radius(early, absolute, redshift, normal[:, 8]),
    }
    physics |= galaxy_spectra(physics, absolute, normal)
    bulge = disc_bulge(physics["kind"], normal[:, 7])
    return {**physics, "bulge_fraction": np.where(early, 0.75 + 0.25 * uniform[:, 5], bulge)}


def disc_bulge(kind, normal) -> np.ndarray:
    """Bulge fraction of the r flux of a disc galaxy: smaller in later types."""
    return np.clip((0.45 - 0.2 * kind) * np.exp(0.4 * normal), 0.0, 0.7)


def axis_ratio(early, uniform) -> np.ndarray:
    """Apparent axis ratio: thin discs seen from anywhere, ellipticals rounder than 0.5.

    A disc of thickness q0 seen at cos i has q^2 = cos^2 i (1 - q0^2) + q0^2.
    """
    disc = np.sqrt(uniform**2 * (1 - DISC_THICKNESS**2) + DISC_THICKNESS**2)
    mean, scatter = ROUNDNESS
    low, high = _roundness_limits()
    return np.where(early, mean + scatter * ndtri(low + (high - low) * uniform), disc)


def log_axis_ratio_density(early, q) -> np.ndarray:
    """ln p(q) of the axis ratio; discs thinner than `DISC_THICKNESS` do not exist."""
    above = np.maximum(q**2 - DISC_THICKNESS**2, 1e-12)
    disc = np.log(q) - 0.5 * np.log(above * (1 - DISC_THICKNESS**2))
    mean, scatter = ROUNDNESS
    low, high = _roundness_limits()
    total = np.sqrt(2 * np.pi) * scatter * (high - low)
    normal = -0.5 * ((q - mean) / scatter) ** 2 - np.log(total)
    return np.where(early, np.where(q >= FLATTEST, normal, -np.inf), disc)


def _roundness_limits():
    """Cumulative of the normal distribution of `ROUNDNESS` at `FLATTEST` and at 1."""
    mean, scatter = ROUNDNESS
    return ndtr((np.array([FLATTEST, 1.0]) - mean) / scatter)


def per_survey(fluxes: np.ndarray, surveys) -> np.ndarray:
    """Fluxes (n, surveys, bands, ...) of fluxes (n, bands of all surveys, ...).

    `bands` is the largest number of any survey; a survey of fewer has zeros at the end.
    """
    counts = [len(survey.bands) for survey in surveys]
    shared = np.zeros((len(fluxes), len(counts), max(counts), *fluxes.shape[2:]))
    for k, own in enumerate(np.split(fluxes, np.cumsum(counts)[:-1], axis=1)):
        shared[:, k, : counts[k]] = own
    return shared


def normalised_fluxes(filters, spectrum: dict, redshift, r_magnitude) -> np.ndarray:
    """Band fluxes (n, filters) in nanomaggies of spectra of a given SDSS r magnitude."""
    flux = spectra.band_fluxes((*filters, SDSS.filters[2]), spectrum, redshift)
    return flux[:, :-1] / flux[:, -1:] * 10 ** (0.4 * (22.5 - r_magnitude))[:, None]
