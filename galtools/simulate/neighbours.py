"""What else is on the sky near a galaxy: other galaxies and stars, at random (not clustered).

Positions are even over a square somewhat larger than a stamp. The brightest galaxies are
exponential ellipses, the others, whose shape the seeing hides, round Gaussians; stars are points.
"""

import numpy as np
from scipy.stats import poisson

from galtools.simulate import population, spectra
from galtools.surveys import BANDS, SDSS, filters_of, log_pivots

REACH = 14.5  # arcsec from the centre in x and y: light from beyond the stamp's edge comes in
# Numbers brighter than m per square arcmin, of log slope `faint` beyond the magnitude `bend` and
# `bright` before. Galaxies in i: LSST Science Book, eq. 3.7, from CFHTLS Deep, and at the bright
# end the 90 main-sample galaxies per square degree (Strauss et al. 2002).
GALAXIES = {"density": 2.65, "bend": 21.0, "bright": 0.55, "faint": 0.31, "limit": 24.0,
            "brightest": 15.0}  # fmt: skip
# Stars in r: 48 million to r = 21.5 on 6500 square degrees (Juric et al. 2008); slopes assumed.
# Brighter than r = 18 they saturate CFHTLS, and samples leave out the stamps that they fall into.
STARS = {"density": 2.05, "bend": 21.5, "bright": 0.2, "faint": 0.1, "limit": 24.0,
         "brightest": 18.0}  # fmt: skip
MAX_GALAXIES, MAX_STARS = 11, 3  # slots; of the rare further ones the faintest are left out
ELLIPSES = 3  # galaxies whose shape is drawn
EARLY = 0.2  # fraction of galaxies with the spectrum of an early type
GAUSSIAN_SIGMA = 1 / np.sqrt(2 * np.log(2))  # of a round Gaussian over its half-light radius
M_DWARFS = 0.5  # fraction of stars


def cumulative(counts: dict, magnitude) -> np.ndarray:
    """Number per square arcmin brighter than a magnitude."""
    off = np.asarray(magnitude) - counts["bend"]
    return counts["density"] * 10 ** (np.where(off < 0, counts["bright"], counts["faint"]) * off)


def magnitudes(counts: dict, u: np.ndarray) -> np.ndarray:
    """Magnitudes of uniform numbers (n, 1 + m), sorted; infinite in slots that stay empty.

    The first column decides how many of the m slots are filled.
    """
    total = cumulative(counts, counts["limit"])
    number = poisson.ppf(u[:, :1], total * (REACH / 30) ** 2)
    log = np.log10(np.maximum(u[:, 1:], 1e-9) * total / counts["density"])
    found = counts["bend"] + log / np.where(log < 0, counts["bright"], counts["faint"])
    there = (np.arange(found.shape[1]) < number) & (found > counts["brightest"])
    return np.sort(np.where(there, found, np.inf), axis=1)


def sample_neighbours(seed: int, galaxies, surveys) -> dict:
    """Neighbours of n galaxies in m slots: MAX_GALAXIES galaxies and MAX_STARS stars.

    `magnitude` (n, m) is SDSS i of galaxies and r of stars, infinite in empty slots; `flux`
    (n, surveys, bands, m) is in nanomaggies. `ellipses` are five arrays (n, ELLIPSES) as in
    `scene.Ellipses` for the first slots, `sources` x, y, sigma in arcsec for the others.
    """
    slots = MAX_GALAXIES + MAX_STARS
    u = population.random_numbers(seed, galaxies, "neighbours", 2 + 9 * slots, 1)[0]
    counts = u[:, 2:].reshape(len(u), 9, slots)
    x, y = REACH * (2 * counts[:, :2].transpose(1, 0, 2) - 1)
    of_galaxies, of_stars = np.split(counts, [MAX_GALAXIES], axis=2)
    i = magnitudes(GALAXIES, np.column_stack([u[:, 0], of_galaxies[:, 2]]))
    r = magnitudes(STARS, np.column_stack([u[:, 1], of_stars[:, 2]]))
    size = half_light_radii(i)
    flux = galaxy_fluxes(surveys, i, of_galaxies[:, 3:7])
    of_stars_flux = star_fluxes(surveys, r, stellar_r_i(of_stars[:, 3], of_stars[:, 4]))
    k = ELLIPSES
    sigma = np.column_stack([GAUSSIAN_SIGMA * size[:, k:], np.zeros(r.shape)])
    ratio, angle = 0.3 + 0.7 * of_galaxies[:, 7, :k], np.pi * of_galaxies[:, 8, :k]
    return {
        "magnitude": np.column_stack([i, r]),
        "ellipses": [x[:, :k], y[:, :k], size[:, :k], ratio, angle],
        "sources": [x[:, k:], y[:, k:], sigma],
        "flux": np.concatenate([flux, of_stars_flux], axis=-1),
    }


def within_stamp(field: dict, faintest: float = 22.5, side: float = 25.4) -> np.ndarray:
    """Number (n,) of neighbours brighter than i (stars: r) `faintest` in a stamp."""
    places = zip(field["ellipses"], field["sources"], strict=False)
    x, y = (np.column_stack(pair) for pair in list(places)[:2])
    inside = np.maximum(np.abs(x), np.abs(y)) < side / 2
    return ((field["magnitude"] < faintest) & inside).sum(axis=1)


def half_light_radii(i) -> np.ndarray:
    """Median half-light radius in arcsec at i: ln scale length, Miller et al. (2013), eq. B1."""
    return 1.678 * np.exp(-1.145 - 0.269 * (np.minimum(i, 30) - 23))


def redshifts(i, u) -> np.ndarray:
    """Redshifts at i: n(z) ~ z^2 exp(-z / z0), z0 = .0417 i - .744 (LSST Science Book, eq. 3.8).

    `u` is (n, 3, m) uniform numbers.
    """
    scale = np.maximum(0.0417 * np.minimum(i, 30) - 0.744, 0.03)
    return -scale * np.log(np.maximum(u.prod(axis=1), 1e-30))


def galaxy_fluxes(surveys, i, u) -> np.ndarray:
    """Fluxes (n, surveys, bands, m) of dustless galaxies of SDSS i (n, m), uniform `u` (n, 4, m).

    Spectra are tabulated to a redshift of .8: galaxies beyond have the colours there.
    """
    kind = np.where(u[:, 0] < EARLY, u[:, 0], 1 + 2 * (u[:, 0] - EARLY) / (1 - EARLY))
    spectrum = dict.fromkeys(spectra.PARAMETERS, np.zeros(kind.size)) | {"kind": kind.ravel()}
    z = np.minimum(redshifts(i, u[:, 1:]), spectra.REDSHIFT[-1]).ravel()
    flux = spectra.band_fluxes((*filters_of(surveys), SDSS.filters[BANDS.index("i")]), spectrum, z)
    flux = flux[:, :-1] / flux[:, -1:] * nanomaggies(i).reshape(-1, 1)
    return population.per_survey(np.moveaxis(flux.reshape(*i.shape, -1), 1, -1), surveys)


def nanomaggies(magnitude) -> np.ndarray:
    """Flux of an AB magnitude; 0 of an infinite one."""
    return 10 ** (0.4 * (22.5 - np.asarray(magnitude)))


def stellar_r_i(which, u) -> np.ndarray:
    """Colours r - i of stars: turn-off stars of disc and halo, and M dwarfs (assumed shares)."""
    return np.where(which < M_DWARFS, 0.5 + 1.2 * u, 0.08 + 0.22 * u)


def stellar_locus(r_i) -> np.ndarray:
    """Colours u - g, g - r, r - i, i - z (4, ...) of main-sequence stars in SDSS.

    g - r is that of Juric et al. (2008), eq. 4; u - g is where the principal colour s of Ivezic et
    al. (2004) is 0 (at g = 18), at most 2.6 (assumed, as is i - z).
    """
    g_r = 1.39 * (1 - np.exp(-4.9 * r_i**3 - 2.45 * r_i**2 - 1.68 * r_i - 0.05))
    u_g = np.minimum(0.22 + 2.23 * g_r, 2.6)
    return np.stack([u_g, g_r, r_i, 0.6 * r_i - 0.04])


def star_fluxes(surveys, r, r_i) -> np.ndarray:
    """Fluxes (n, surveys, bands, m) of stars of SDSS r (n, m): magnitudes are linear in ln lambda.

    This gives the published colour terms of MegaCam within .03 mag per mag of colour.
    """
    u_g, g_r, _, i_z = stellar_locus(r_i)
    known = np.stack([r + g_r + u_g, r + g_r, r, r - r_i, r - r_i - i_z], axis=-1)
    nodes = log_pivots(SDSS)
    weights = [interpolation(nodes, log_pivots(survey)) for survey in surveys]
    magnitude = np.where(np.isinf(r)[..., None], 0, known) @ np.concatenate(weights).T
    flux = nanomaggies(magnitude) * np.isfinite(r)[..., None]
    return population.per_survey(np.moveaxis(flux, 1, -1), surveys)


def interpolation(nodes, at) -> np.ndarray:
    """Matrix (at, nodes) that interpolates linearly between nodes, and continues beyond them."""
    left = np.clip(np.searchsorted(nodes, at) - 1, 0, len(nodes) - 2)
    share = (at - nodes[left]) / (nodes[left + 1] - nodes[left])
    matrix = np.zeros((len(at), len(nodes)))
    matrix[np.arange(len(at)), left], matrix[np.arange(len(at)), left + 1] = 1 - share, share
    return matrix
