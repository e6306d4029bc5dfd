"""Repeat observations of simulated galaxies, of which only measurements are kept.

Galaxies 0 ... n - 1 of a seed are observed once by both surveys, the first of them K times. The
measurements are `QUANTITIES` of the target image, the position of the source image in the latent
space of a redshift network, and its fluxes in rings.
"""

from dataclasses import replace

import numpy as np
import torch

from companion import downstream
from galtools import artefacts, redshift, simulate
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.redshift import Ensemble
from galtools.surveys import CFHTLS, SDSS

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
BATCH = 128  # galaxies observed, then measured, at a time
KNOWN = ("galaxy", "redshift", "r_magnitude")


def target_measurements(images, pixel_scale: float) -> np.ndarray:
    """`MEASURES` of target images, (n, len(MEASURES)): magnitudes, colours, fractions of flux."""
    images = np.asarray(images, np.float64)
    total = photometry.magnitude(photometry.aperture_flux(images, pixel_scale, TOTAL))
    peak = photometry.magnitude(photometry.peak_flux(images))
    colour = photometry.colours(photometry.aperture_flux(images, pixel_scale))
    of_peak = photometry.colours(photometry.box_flux(images))
    shape = downstream.shape_features(images, pixel_scale)
    concentration = shape[:, 3:].reshape(len(images), 3, -1)[:, 1, 1]
    columns = [total[:, 2], peak[:, 2], peak[:, 0], colour[:, 0], colour[:, 1], of_peak[:, 1]]
    return np.column_stack([*columns, concentration, shape[:, 1]])


def measure(pairs, number: int, ensembles) -> dict:
    """Measurements of a batch of pairs, by an estimator of the redshift for each survey."""
    source, target = pairs.source, pairs.target
    network, shape = ensembles[0].networks[0], source.shape[-2:]
    rings = photometry.annulus_weights(shape, pairs.source_set.pixel_scale, EDGES, "center")
    density = ensembles[1].predict(target)
    with torch.no_grad():
        latent = network.latent(*network.extract_features(source)).cpu()
    return {
        **{name: np.asarray(pairs.catalogue[name]) for name in KNOWN},
        "number": np.full(len(pairs), number),
        "measures": target_measurements(target, pairs.target_set.pixel_scale),
        "estimate": redshift.point_estimate(density, ensembles[1].grid),
        "latent": np.asarray(latent),
        "rings": photometry.annulus_flux(source.astype(np.float64), rings),
    }


def observe_repeatedly(ensembles, n: int, n_again: int, observations: int, **options) -> dict:
    """Measurements of n galaxies, the first n_again of which are observed `observations` times."""
    measured = []
    for number in range(observations):
        count = n_again if number else n
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            pairs = simulate.pairs(size, start=start, observation=number, **options)
            measured.append(measure(pairs, number, ensembles))
    return {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}


def make_cached(path, weights: dict, member: int, **options) -> dict:
    """Sample of `observe_repeatedly` {name: (K, n, ...)}, made once; NaN where not observed.

    `weights` {"SDSS": file, "CFHTLS": file} are the ensembles of the redshift chapter, of which
    network `member` is used.
    """
    files = [weights[survey.name] for survey in (SDSS, CFHTLS)]

    def compute():
        ensembles = [Ensemble.load(file) for file in files]
        if member >= (size := min(len(ensemble.networks) for ensemble in ensembles)):
            raise GaltoolsError(
                f"there is no network {member} in an ensemble of {size}: train more members, or "
                "take fewer seeds"
            )
        single = [replace(e, networks=[e.networks[member]]) for e in ensembles]
        return observe_repeatedly(single, **options)

    params = {**options, "member": member}
    about = {"modules": ["companion.repeat_observations"], "seed": options["seed"]}
    columns = artefacts.make_arrays(path, compute, params=params, inputs=files, **about)
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
