"""What else is on the sky near a galaxy: other galaxies and stars, at random."""

import numpy as np

from galtools.simulate import population
from galtools.simulate.spectra import PARAMETERS

NEIGHBOURS = 3


def sample_neighbours(seed: int, galaxies, surveys) -> dict:
    """Neighbours of n galaxies: which are `there`, their `ellipses` and their `flux`.

    `ellipses` are five arrays (n, NEIGHBOURS) as in `scene.Ellipses`, `flux` is
    (n, surveys, bands, NEIGHBOURS) in nanomaggies. Numbers rise as 10^(0.45 m) to m = 22.5, one in
    each stamp on average; stars are exponential discs of 0.01 arcsec.
    """
    u = population.random_numbers(seed, galaxies, "neighbours", 8 * NEIGHBOURS, 1)[0]
    u = u.reshape(len(u), NEIGHBOURS, 8)
    radius, angle = 4 + 11 * np.sqrt(u[..., 2]), 2 * np.pi * u[..., 3]
    size = np.where(u[..., 4] < 0.4, 0.01, 0.3 + 1.2 * u[..., 4])
    position = [radius * np.cos(angle), radius * np.sin(angle)]
    there = u[..., 0] < 0.35
    magnitude = np.maximum(22.5 + np.log10(np.maximum(u[..., 1], 1e-6)) / 0.45, 16.0)
    flux = galaxy_fluxes(surveys, 3 * u[..., 5], 0.05 + 0.5 * u[..., 6], magnitude)
    return {
        "there": there,
        "magnitude": magnitude,
        "ellipses": [*position, size, 0.3 + 0.7 * u[..., 7], np.pi * (7 * u[..., 3] % 1)],
        "flux": flux * there[:, None, None],
    }


def galaxy_fluxes(surveys, kind, redshift, magnitude) -> np.ndarray:
    """Fluxes (n, surveys, bands, m) of dustless galaxies of SDSS r `magnitude` (n, m)."""
    filters = [name for survey in surveys for name in survey.filters]
    spectrum = dict.fromkeys(PARAMETERS, np.zeros(kind.size)) | {"kind": kind.ravel()}
    flux = population.normalised_fluxes(filters, spectrum, redshift.ravel(), magnitude.ravel())
    flux = flux.reshape(*kind.shape, len(surveys), -1)
    return np.moveaxis(flux, 1, -1)
