"""Sizes, concentrations and colour gradients of simulated galaxies, from noiseless images."""

import numpy as np
import pandas as pd

from galtools.data import photometry
from galtools.simulate import components, observe, observing_conditions, population, scene
from galtools.simulate.matched_pairs import BLOCK, one_thread
from galtools.surveys import BANDS, CFHTLS, SDSS

STEP = 0.1  # arcsec, of growth curves
PETROSIAN, EXTENT = 0.2, 2.0  # Petrosian ratio, and the aperture in Petrosian radii
SEEING = 0.57  # half-light radius of a Kolmogorov profile over its FWHM
G, R = BANDS.index("g"), BANDS.index("r")


def noiseless_images(seed: int, n: int, survey):
    """Physics, truth and noiseless images (n, 5, H, W) of galaxies without their neighbours."""
    parts = []
    for start in range(0, n, BLOCK):
        galaxies = np.arange(start, min(start + BLOCK, n))
        physics, sky, truth = scene.sample_scene(seed, galaxies, (survey,))
        bulges, discs, sources = (p.x.shape[1] for p in (sky.bulges, sky.discs, sky.sources))
        sky.flux[..., bulges + 2 : bulges + discs + sources] = 0  # after the galaxy's own two discs
        conditions = observing_conditions(seed, galaxies, survey)
        conditions.shift[:] = 0
        with one_thread():
            parts.append((physics, truth, observe(sky, survey, 0, conditions)[1]))
    *tables, images = zip(*parts, strict=True)
    physics, truth = ({k: np.concatenate([t[k] for t in part]) for k in part[0]} for part in tables)
    return physics, truth, np.concatenate(images)


def growth_curves(images, pixel_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Radii (k,) in arcsec, and the flux of images (n, H, W) within them, (n, k)."""
    radii = np.arange(STEP, images.shape[-1] * pixel_scale / 2, STEP)
    coarse = radii[1::2]
    rings = photometry.annulus_weights(images.shape[-2:], pixel_scale, (0, *coarse))
    flux = np.cumsum(photometry.annulus_flux(images, rings), axis=1)
    area = np.r_[0, coarse**2]
    return radii, np.stack([np.interp(radii**2, area, np.r_[0, row]) for row in flux])


def flux_within(apertures, radii, flux) -> np.ndarray:
    """Flux of growth curves (n, k) within radii of each galaxy: (n,) or (n, m)."""
    return np.stack([np.interp(r, radii, row) for r, row in zip(apertures, flux, strict=True)])


def radius_of(fraction: float, radii, flux, total) -> np.ndarray:
    """Radius (n,) that holds a fraction of the total flux (n,), of growth curves (n, k)."""
    rows = zip(fraction * total, flux, strict=True)
    return np.array([np.interp(part, row, radii) for part, row in rows])


def concentration(radii, flux) -> np.ndarray:
    """r90 / r50 of the Petrosian flux, as the pipeline of SDSS defines it.

    The Petrosian radius is the first at which the surface brightness between 0.8 and 1.25 r is a
    fifth of that within r; the flux is that within twice this radius.
    """
    outer, inner = (
        flux_within(np.tile(f * radii, (len(flux), 1)), radii, flux) for f in (1.25, 0.8)
    )
    ratio = (outer - inner) / (1.25**2 - 0.8**2) / flux
    radius = radii[((ratio < PETROSIAN) & (radii > 1)).argmax(axis=1)]
    total = flux_within(EXTENT * radius, radii, flux)
    return radius_of(0.9, radii, flux, total) / radius_of(0.5, radii, flux, total)


def structures(seed: int, n: int) -> pd.DataFrame:
    """Type, size, concentration and g - r gradient of n galaxies; mergers are left out.

    Sizes and gradients are those of CFHTLS, on the pixels of SDSS. The gradient is that between
    0.5 and 1 half-light radii and 1 to 2 of them.
    """
    survey = CFHTLS.on_grid_of(SDSS)
    physics, truth, images = noiseless_images(seed, n, survey)
    (radii, g), (_, r) = (growth_curves(images[:, k], survey.pixel_scale) for k in (G, R))
    half = radius_of(0.5, radii, r, truth["total"][:, 0, R])
    edges = half[:, None] * [0.5, 1.0, 2.0]
    rings = [np.diff(flux_within(edges, radii, flux)) for flux in (g, r)]
    inner, outer = -2.5 * np.log10(rings[0] / rings[1]).T
    squared = half**2 - (SEEING * survey.psf_fwhm[R]) ** 2
    kpc = population.kpc_per_arcsec(physics["redshift"])
    sdss = noiseless_images(seed, n, SDSS)[2][:, R]
    table = pd.DataFrame({name: physics[name] for name in ("redshift", "early", "red")})
    table["absolute_magnitude"] = physics["absolute_magnitude"]
    table["arcsec"] = np.sqrt(np.maximum(squared, 0.01))
    table["kpc"] = table["arcsec"] * kpc
    table["concentration"] = concentration(*growth_curves(sdss, SDSS.pixel_scale))
    table["gradient"] = (outer - inner) / np.log10(2)  # mag / dex
    table["gradient_kpc"] = (outer - inner) / (0.75 * half * kpc)
    table["axis_ratio"], table["morphology"] = physics["axis_ratio"], truth["morphology"]
    return table[table["morphology"] != components.MERGER]
