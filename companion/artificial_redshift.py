"""Artificial redshifting: the same galaxy at other distances.

A moved galaxy keeps its rest-frame spectrum, its luminosity and its size in kpc, its orientation
and every knot of its arms: nothing evolves, only distance and redshift change. Neighbours on the
sky, seeing and noise stay as they were.
"""

import numpy as np

from galtools.simulate import observe, observing_conditions, population, scene, spectra
from galtools.surveys import SDSS, Survey


def at_redshift(physics: dict, redshift: np.ndarray) -> dict:
    """Properties of galaxies (n,) at new redshifts (n,).

    With F(z) the r flux of the redshifted spectrum at unit distance, DM the distance modulus and
    s the kpc in an arcsec,

        r' = r + DM(z') - DM(z) - 2.5 log10(F(z') / F(z)),     R' = R s(z) / s(z').
    """
    before, after = physics["redshift"], np.asarray(redshift, dtype=float)
    r_band = (SDSS.filters[2],)
    flux = [spectra.band_fluxes(r_band, physics, z)[:, 0] for z in (before, after)]
    dimming = population.distance_modulus(after) - population.distance_modulus(before)
    shrinking = population.kpc_per_arcsec(before) / population.kpc_per_arcsec(after)
    return {
        **physics,
        "redshift": after,
        "r_magnitude": physics["r_magnitude"] + dimming - 2.5 * np.log10(flux[1] / flux[0]),
        "half_light_radius": physics["half_light_radius"] * shrinking,
    }


def redshifted_images(galaxy: int, redshift, survey: Survey, seed: int = 0, limit: float = 17.8):
    """Images (k, 5, H, W) in nanomaggies and magnitudes (k, 5) of one galaxy at k redshifts.

    `galaxy` is its number in the sample of `seed` and `limit`, as in `simulate.stream`.
    """
    redshift = np.asarray(redshift, dtype=float)
    one = population.sample_galaxies(seed, np.array([galaxy]), limit)
    physics = {name: np.repeat(value, len(redshift)) for name, value in one.items()}
    numbers = np.full(len(redshift), galaxy)
    sky, truth = scene.build_scene(seed, numbers, at_redshift(physics, redshift), (survey,))
    images, _ = observe(sky, survey, 0, observing_conditions(seed, numbers, survey))
    return images, 22.5 - 2.5 * np.log10(truth["total"][:, 0])
