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
from galtools.simulate import matched_pairs, population
from galtools.surveys import CFHTLS, SDSS

MEASURES = {  # of the target image, with their slope: change per magnitude of dimming
    "total light, r": 1,
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
BATCH = 16  # blocks measured at a time
DIMMED = np.array([-2.0, 0.0, 2.0])  # magnitudes at which the redshift is estimated, too


def target_measurements(images, pixel_scale: float) -> np.ndarray:
    """`MEASURES` of target images, (n, len(MEASURES)): magnitudes, colours, fractions of flux.

    A fit of the morphology would take about half a second a galaxy and band.
    """
    images = np.asarray(images, np.float64)
    total = photometry.magnitude(photometry.aperture_flux(images, pixel_scale, TOTAL))
    peak = photometry.magnitude(photometry.peak_flux(images))
    colour = photometry.colours(photometry.aperture_flux(images, pixel_scale))
    peak_colour = photometry.colours(photometry.box_flux(images))
    shape = downstream.shape_features(images, pixel_scale)
    concentration = shape[:, 3:].reshape(len(images), 3, -1)[:, 1, 1]
    columns = [total[:, 2], peak[:, 2], peak[:, 0], colour[:, 0], colour[:, 1], peak_colour[:, 1]]
    return np.column_stack([*columns, concentration, shape[:, 1]])


def observe_block(seed: int, block: int, numbers, surveys, limit: float):
    """Observe the galaxies of a block `numbers` times; yield one dict per observation.

    Images are bit for bit those of `simulate.stream`; `clean` is the noiseless source, before the
    error of calibration.
    """
    galaxies = np.arange(block * matched_pairs.BLOCK, (block + 1) * matched_pairs.BLOCK)
    physics, scene, _ = simulate.sample_scene(seed, galaxies, surveys, limit)
    for number in numbers:
        found = {"galaxy": galaxies, "number": np.full(len(galaxies), number), **physics}
        found["zero_points"] = zero_points(seed, galaxies, number)
        for index, (side, survey) in enumerate(zip(("source", "target"), surveys, strict=True)):
            seen = simulate.observing_conditions(seed, galaxies, survey, number)
            found[side], clean = simulate.observe(scene, survey, index, seen)
            if side == "source":
                found |= {"clean": clean, "sky": seen.sky_noise}
        yield found


def zero_points(seed: int, galaxies, number: int) -> np.ndarray:
    """Standard normal errors (n, 5) of the zero points of an observation."""
    streams = [population.galaxy_rng(seed, int(k), "zero points", number) for k in galaxies]
    return np.stack([stream.standard_normal(5) for stream in streams])


def perturb_zero_points(fluxes, errors, scatter: float) -> np.ndarray:
    """Multiply fluxes or images (n, 5, ...) by 1 + scatter times the errors (n, 5)."""
    factors = 1 + scatter * errors
    return fluxes * factors.reshape(*factors.shape, *[1] * (fluxes.ndim - 2)).astype(fluxes.dtype)


@torch.no_grad()
def latent_features(network, images) -> np.ndarray:
    """Input (n, hidden) of the last layer of a redshift network."""
    inputs = []
    hook = network.head[-1].register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        network(torch.as_tensor(images, device=network.mean.device))
    finally:
        hook.remove()
    return inputs[0].cpu().numpy()


def mean_redshift(network, images, temperature: float) -> np.ndarray:
    """Mean (n,) of the redshift density of each image."""
    density = Ensemble([network], temperature).predict(images)
    return redshift.point_estimate(density, network.grid)


def measure_batch(observed: dict, networks, temperature: float, surveys, scatters) -> dict:
    """Measurements of a batch of observations, by one network of each survey.

    `latent` (n, scatters, hidden) is also of images whose zero points have additional scatter,
    `estimate` (n, 3), for first observations, also of images that are fainter by `DIMMED`.
    """
    kept = {name: x for name, x in observed.items() if name not in ("source", "target", "clean")}
    source, target = observed["source"], observed["target"]
    masks = posterior_library.ring_masks(surveys[0])
    estimate = np.full((len(target), len(DIMMED)), np.nan)
    for column, step in enumerate(DIMMED):
        rows = (observed["number"] == 0) | (step == 0)
        dimmed = target[rows] * np.float32(10 ** (-0.4 * step))
        estimate[rows, column] = mean_redshift(networks[1], dimmed, temperature)
    perturbed = (
        perturb_zero_points(source, observed["zero_points"], scatter) for scatter in scatters
    )
    return {
        **kept,
        "measures": target_measurements(target, surveys[1].pixel_scale),
        "estimate": estimate,
        "latent": np.stack([latent_features(networks[0], x) for x in perturbed], axis=1),
        "rings": photometry.annulus_flux(source.astype(np.float64), masks),
        "clean": photometry.annulus_flux(observed["clean"].astype(np.float64), masks),
    }


def join(parts: list[dict]) -> dict:
    """Concatenate the columns of batches."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def observe_repeatedly(measure, surveys, n, n_again, observations, seed, limit) -> dict:
    """Observe n galaxies once, the first n_again `observations` times; what `measure` keeps."""
    if n % matched_pairs.BLOCK or n_again % matched_pairs.BLOCK:
        raise GaltoolsError(f"numbers of galaxies come in multiples of {matched_pairs.BLOCK}")
    measured, batch = [], []
    blocks = range(n // matched_pairs.BLOCK)
    with matched_pairs.one_thread():
        for block in blocks:
            numbers = range(observations if block < n_again // matched_pairs.BLOCK else 1)
            batch += observe_block(seed, block, numbers, surveys, limit)
            if len(batch) >= BATCH or block == blocks[-1]:
                measured.append(measure(join(batch)))
                batch = []
    return join(measured)


def make_cached(path, weights: dict, member: int, grid: str, scatters=(0.0,), **options) -> dict:
    """Sample of `observe_repeatedly` {name: (K, n, ...)}, made once; NaN where not observed.

    The redshifts are estimated, and the latent space is that, of network `member`.
    `weights` {"SDSS": file, "CFHTLS": file} are the ensembles of the redshift chapter.
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
        networks, temperature = [e.networks[member] for e in ensembles], ensembles[1].temperature
        return observe_repeatedly(
            lambda batch: measure_batch(batch, networks, temperature, surveys, scatters),
            surveys, **options,
        )  # fmt: skip

    params = {**options, "member": member, "grid": grid, "scatters": list(scatters)}
    columns = artefacts.make_arrays(
        path, compute, params=params, seed=options["seed"],
        modules=["companion.repeat_observations"], inputs=files,
    )  # fmt: skip
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
