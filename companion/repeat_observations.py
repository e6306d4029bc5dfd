"""Repeat observations of simulated galaxies, of which only measurements are kept.

Galaxies 0 ... n - 1 of a seed are observed once by both surveys, the first of them K times. The
measurements are `MEASURES` of the target image, the position of the source image in the latent
space of a redshift network, and its fluxes in rings, with noise and without.
"""

import numpy as np
import torch

from companion import downstream, posterior_library
from galtools import artefacts, redshift, simulate
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.redshift import Ensemble
from galtools.simulate import population
from galtools.simulate.matched_pairs import BLOCK, one_thread
from galtools.surveys import CFHTLS, SDSS

MEASURES = {  # of the target image, with their slope: change per magnitude of dimming
    "total flux, r": 1,
    "peak, r": 1,
    "peak, u": 1,
    "colour u − g": 0,
    "colour g − r": 0,
    "colour of the peak, g − r": 0,
    "concentration, r": 0,
    "asymmetry, r": 0,
}
ESTIMATE, TRUTH = "estimated redshift", "true redshift"
QUANTITIES = (*MEASURES, ESTIMATE, TRUTH)
TOTAL = 5.0  # arcsec, aperture of the total flux
BATCH = 128  # galaxies observed, then measured, at a time
DIMMED = np.array([-2.0, 0.0, 2.0])  # magnitudes at which the redshift is estimated, too


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


def observe_block(seed: int, start: int, numbers, surveys, limit: float):
    """Observe the block of galaxies from `start` several times; yield a dict per observation.

    Images are those of `simulate.stream`. `clean` is the noiseless source, before the error of
    calibration, `zero_points` (n, 5) are standard normal numbers by which to perturb them.
    """
    galaxies = np.arange(start, start + BLOCK)
    physics, scene, _ = simulate.sample_scene(seed, galaxies, surveys, limit)
    for number in numbers:
        streams = [population.galaxy_rng(seed, int(k), "zero points", number) for k in galaxies]
        source, target = (simulate.observing_conditions(seed, galaxies, s, number) for s in surveys)
        images, clean = simulate.observe(scene, surveys[0], 0, source)
        yield {
            **physics,
            "galaxy": galaxies,
            "number": np.full(BLOCK, number),
            "zero_points": np.stack([stream.standard_normal(5) for stream in streams]),
            "sky": source.sky_noise,
            "source": images,
            "clean": clean,
            "target": simulate.observe(scene, surveys[1], 1, target)[0],
        }


def measure(observed: dict, ensembles, surveys, scatters) -> dict:
    """Measurements of a batch of observations, by an estimator of the redshift for each survey.

    `latent` (n, scatters, hidden) is also of images whose zero points have additional scatter,
    `estimate` (n, 3), for first observations, also of images that are fainter by `DIMMED`.
    """
    kept = {name: x for name, x in observed.items() if name not in ("source", "target", "clean")}
    source, target = observed["source"], observed["target"]
    network, masks = ensembles[0].networks[0], posterior_library.ring_masks(surveys[0])
    estimate = np.full((len(target), len(DIMMED)), np.nan)
    for column, step in enumerate(DIMMED):
        rows = (observed["number"] == 0) | (step == 0)
        density = ensembles[1].predict(target[rows] * np.float32(10 ** (-0.4 * step)))
        estimate[rows, column] = redshift.point_estimate(density, ensembles[1].grid)
    latent = []
    for scatter in scatters:
        factors = (1 + scatter * observed["zero_points"])[..., None, None].astype(np.float32)
        with torch.no_grad():
            latent.append(network.latent(*network.extract_features(source * factors)).cpu())
    return {
        **kept,
        "measures": target_measurements(target, surveys[1].pixel_scale),
        "estimate": estimate,
        "latent": np.stack(latent, axis=1),
        "rings": photometry.annulus_flux(source.astype(np.float64), masks),
        "clean": photometry.annulus_flux(observed["clean"].astype(np.float64), masks),
    }


def join(parts: list[dict]) -> dict:
    """Concatenate the columns of batches."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def observe_repeatedly(
    ensembles, surveys, scatters, n: int, n_again: int, observations: int, seed: int, limit: float
) -> dict:
    """Measurements of n galaxies, the first n_again of which are observed `observations` times."""
    if n % BLOCK or n_again % BLOCK:
        raise GaltoolsError(f"numbers of galaxies come in multiples of {BLOCK}")
    measured = []
    with one_thread():
        for first in range(0, n, BATCH):
            batch = []
            for start in range(first, min(first + BATCH, n), BLOCK):
                numbers = range(observations if start < n_again else 1)
                batch += observe_block(seed, start, numbers, surveys, limit)
            measured.append(measure(join(batch), ensembles, surveys, scatters))
    return join(measured)


def make_cached(path, weights: dict, member: int, grid: str, scatters=(0.0,), **options) -> dict:
    """Sample of `observe_repeatedly` {name: (K, n, ...)}, made once; NaN where not observed.

    `weights` {"SDSS": file, "CFHTLS": file} are the ensembles of the redshift chapter, of which
    network `member` is used.
    """
    surveys = (SDSS, CFHTLS.on_grid_of(SDSS) if grid == "sdss" else CFHTLS)
    files = [weights[survey.name] for survey in surveys]

    def compute():
        ensembles = [Ensemble.load(file) for file in files]
        if member >= (size := min(len(ensemble.networks) for ensemble in ensembles)):
            raise GaltoolsError(
                f"there is no network {member} in an ensemble of {size}: train more members, or "
                "take fewer seeds"
            )
        single = [Ensemble([e.networks[member]], e.temperature) for e in ensembles]
        return observe_repeatedly(single, surveys, scatters, **options)

    params = {**options, "member": member, "grid": grid, "scatters": list(scatters)}
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
    estimate, truth = sample["estimate"][..., 1:2], sample["redshift"][..., None]
    return np.concatenate([sample["measures"], estimate, truth], axis=-1)


def estimate_at_magnitude(estimate, offset) -> np.ndarray:
    """Estimated redshift (q, m) of m galaxies made fainter by (q, m) magnitudes.

    A parabola through the estimates (m, 3) at `DIMMED`, constant beyond. It is off by 0.004 rms at
    half a magnitude, by 0.007 at one, since the network is not as smooth.
    """
    bright, middle, faint = estimate.T
    x = np.clip(offset, DIMMED[0], DIMMED[-1]) / DIMMED[-1]
    return middle + (faint - bright) / 2 * x + ((bright + faint) / 2 - middle) * x**2
