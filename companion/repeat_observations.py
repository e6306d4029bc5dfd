"""Repeat observations of simulated galaxies, of which only measurements are kept.

Galaxies 0 ... n - 1 of a seed are observed once by both surveys, the first of them K times. The
measurements are `QUANTITIES` of the target image and fluxes in rings of the source image.
"""

from pathlib import Path

import numpy as np

from galtools import artefacts, data, redshift, simulate
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.redshift import Ensemble
from galtools.surveys import CFHTLS

MEASURES = (
    "total flux, r",
    "peak, r",
    "peak, u",
    "colour u − g",
    "colour g − r",
    "colour of the peak, g − r",
    "concentration, r",
    "asymmetry, r",
)
ESTIMATE, TRUTH = "estimated redshift", "true redshift"
QUANTITIES = (*MEASURES, ESTIMATE, TRUTH)
EDGES = (0.0, 1.0, 2.0, 4.0)  # arcsec, of the rings
TOTAL = 5.0  # arcsec, aperture of the total flux
WITHIN, SKY = 9.0, 11.0  # arcsec: asymmetry is measured within the one, noise beyond the other
BATCH = 128  # galaxies observed, then measured, at a time
KNOWN = ("galaxy", "redshift", "r_magnitude")


def simulation_grid(file: Path) -> str:
    """Grid of the simulated galaxies in a file; real ones are refused."""
    first = data.load(file, slice(1))
    if "seed" not in first.catalogue.colnames:
        raise GaltoolsError(f"{file} is not a simulation: its galaxies cannot be observed again")
    return "native" if first.target_set.pixel_scale == CFHTLS.pixel_scale else "sdss"


def asymmetry(images, pixel_scale: float) -> np.ndarray:
    """Asymmetry (n,) of images (n, H, W) under half a turn, minus that of noise (Conselice 2003).

    A = (sum |I - I_180| - noise) / sum |I|.
    """
    inside, sky = (
        photometry.aperture_weights(images.shape[-2:], pixel_scale, radius, "center") > 0
        for radius in (WITHIN, SKY)
    )
    difference = np.abs(images - images[:, ::-1, ::-1])
    noise = difference[:, ~sky].mean(-1) * inside.sum()
    total = np.abs(images[:, inside]).sum(-1)
    return intervals.divide(difference[:, inside].sum(-1) - noise, total)


def target_measurements(images, pixel_scale: float) -> np.ndarray:
    """`MEASURES` of target images, (n, len(MEASURES)): magnitudes, colours, fractions of flux."""
    images = np.asarray(images, np.float64)
    total = photometry.magnitude(photometry.aperture_flux(images, pixel_scale, TOTAL))
    peak = photometry.magnitude(photometry.peak_flux(images))
    colour = photometry.colours(photometry.aperture_flux(images, pixel_scale))
    of_peak = photometry.colours(photometry.box_flux(images))
    inner, outer = (photometry.aperture_flux(images, pixel_scale, r)[:, 2] for r in (2, 4))
    concentration = np.clip(intervals.divide(inner, outer), 0, 2)
    columns = [total[:, 2], peak[:, 2], peak[:, 0], colour[:, 0], colour[:, 1], of_peak[:, 1]]
    return np.column_stack([*columns, concentration, asymmetry(images[:, 2], pixel_scale)])


def measure(pairs, number: int, ensemble: Ensemble) -> dict:
    """Measurements of a batch of pairs, with a redshift estimator of target images."""
    source, target = pairs.source.astype(np.float64), pairs.target
    scale = pairs.source_set.pixel_scale
    rings = photometry.annulus_weights(source.shape[-2:], scale, EDGES, "center")
    return {
        **{name: np.asarray(pairs.catalogue[name]) for name in KNOWN},
        "number": np.full(len(pairs), number),
        "measures": target_measurements(target, pairs.target_set.pixel_scale),
        "estimate": redshift.point_estimate(ensemble.predict(target), ensemble.grid),
        "rings": photometry.annulus_flux(source, rings),
    }


def observe_repeatedly(ensemble, n: int, n_again: int, observations: int, **options) -> dict:
    """Measurements of n galaxies, the first n_again of which are observed `observations` times."""
    measured = []
    for number in range(observations):
        count = n_again if number else n
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            pairs = simulate.pairs(size, start=start, observation=number, **options)
            measured.append(measure(pairs, number, ensemble))
    return {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}


def make_cached(path, weights: Path, **options) -> dict:
    """Sample of `observe_repeatedly` {name: (K, n, ...)}, made once; NaN where not observed.

    `weights` are the ensemble of redshift estimators of target images.
    """
    columns = artefacts.make_arrays(
        path,
        lambda: observe_repeatedly(Ensemble.load(weights), **options),
        params=options,
        inputs=[weights],
        seed=options["seed"],
    )
    return by_observation(columns)


def by_observation(columns: dict) -> dict:
    """Columns (N, ...) as {name: (K, n, ...)}, NaN where a galaxy was not observed that often."""
    rows, laid = (columns["number"], columns["galaxy"]), {}
    shape = [index.max() + 1 for index in rows]
    for name, values in columns.items():
        kind = values.dtype if values.dtype.kind == "f" else float
        laid[name] = np.full((*shape, *values.shape[1:]), np.nan, kind)
        laid[name][rows] = values
    return laid


def targets(sample: dict) -> np.ndarray:
    """All `QUANTITIES` of the target images, (K, n, quantities)."""
    of_redshift = np.stack([sample["estimate"], sample["redshift"]], axis=-1)
    return np.concatenate([sample["measures"], of_redshift], axis=-1)
