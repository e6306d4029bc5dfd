"""Many looks at each galaxy: simulated, measured and forgotten, so that only numbers are kept.

Galaxies 0 ... n - 1 of a seed are observed once by both surveys, the first of them K times. What is
kept of an observation is what the target shows (`measures`), where the source image lies in the
latent space of a redshift network, and its fluxes in rings, with noise and without.
"""

import h5py
import numpy as np
import torch

from companion import downstream, posterior_library
from galtools import artefacts, redshift
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.redshift import Ensemble
from galtools.simulate import noise, population, rng, sample, shapes
from galtools.simulate.render import render
from galtools.surveys import CFHTLS, SDSS

MEASURES = {  # what is measured on the target, and how many magnitudes it changes per magnitude
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
TOTAL = 5.0  # arcsec
TOGETHER = 16  # blocks measured at a time
DIMMED = np.array([-2.0, 0.0, 2.0])  # magnitudes at which the estimate is known, too


def target_measurements(images, pixel_scale: float) -> np.ndarray:
    """Measure target images: (n, len(MEASURES)); magnitudes, colours, shares of light.

    All cheap: a full fit of the morphology takes about half a second a galaxy and band.
    """
    images = np.asarray(images, np.float64)
    total = photometry.magnitude(photometry.aperture_flux(images, pixel_scale, TOTAL))
    peak = photometry.magnitude(photometry.peak_flux(images))
    tint = photometry.colours(photometry.aperture_flux(images, pixel_scale))
    tip = photometry.colours(photometry.box_flux(images))
    form = downstream.shape_features(images, pixel_scale)
    concentration = form[:, 3:].reshape(len(images), 3, -1)[:, 1, 1]
    columns = [total[:, 2], peak[:, 2], peak[:, 0], tint[:, 0], tint[:, 1], tip[:, 1]]
    return np.column_stack([*columns, concentration, form[:, 1]])


def observe_block(seed: int, block: int, numbers, surveys, limit: float):
    """Observe the galaxies of a block `numbers` times; yield one dict per observation.

    Images are bit for bit those of `simulate.stream`; `clean` is the noiseless source, before the
    error of calibration.
    """
    galaxies = np.arange(block * sample.BLOCK, (block + 1) * sample.BLOCK)
    physics = population.sample_galaxies(seed, galaxies, limit)
    scene, _ = shapes.build_scene(seed, galaxies, physics, surveys)
    for number in numbers:
        found = {"galaxy": galaxies, "number": np.full(len(galaxies), number), **physics}
        found["off"] = zero_points(seed, galaxies, number)
        for index, (side, survey) in enumerate(zip(("source", "target"), surveys, strict=True)):
            seen = noise.observing_conditions(seed, galaxies, survey, number)
            clean = _clean(scene, survey, index, seen)
            image = clean * seen.calibration[:, :, None, None].astype(np.float32)
            found[side] = noise.add_noise(image, seen, survey)
            if side == "source":
                found |= {"clean": clean, "sky": seen.sky_noise}
        yield found


def zero_points(seed: int, galaxies, number: int) -> np.ndarray:
    """Normal numbers (n, 5) of an observation, by which its zero points can be put further off."""
    streams = [rng.galaxy_rng(seed, int(galaxy), "zero points", number) for galaxy in galaxies]
    return np.stack([stream.standard_normal(5) for stream in streams])


def perturb_zero_points(fluxes, off, scatter: float) -> np.ndarray:
    """Multiply band b of fluxes or images (n, 5, ...) by 1 + scatter n_b: a worse calibration."""
    factors = 1 + scatter * off
    return fluxes * factors.reshape(*factors.shape, *[1] * (fluxes.ndim - 2)).astype(fluxes.dtype)


def _clean(scene, survey, index, seen) -> np.ndarray:
    tensors = (torch.from_numpy(a.astype(np.float32)) for a in (seen.fwhm, seen.shift))
    with torch.no_grad():
        return render(scene, survey, index, *tensors).contiguous().numpy()


@torch.no_grad()
def latent_features(network, images) -> np.ndarray:
    """What the last layer of a redshift network is handed: (n, hidden)."""
    seen = []
    watch = network.head[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        network(torch.as_tensor(images, device=network.centre.device))
    finally:
        watch.remove()
    return seen[0].cpu().numpy()


def mean_redshift(network, images, temperature: float) -> np.ndarray:
    """Mean of the density of each image, (n,)."""
    log_p = redshift.log_density(network, images)
    return redshift.point_estimate(redshift.apply_temperature(log_p, temperature), network.grid)


class FeatureExtractor:
    """What turns images into the numbers that are kept."""

    def __init__(self, source: Ensemble, target: Ensemble, member: int, surveys, worse):
        """Take the networks number `member` of both ensembles.

        The latent space is also visited by images whose zero points scatter by `worse` more.
        """
        if member >= min(len(source.networks), len(target.networks)):
            raise GaltoolsError(
                f"there is no network {member} in an ensemble of {len(source.networks)}: "
                "train more members, or take fewer seeds"
            )
        self.source, self.target = source.networks[member], target.networks[member]
        self.worse = worse
        self.temperature, self.scale = target.temperature, surveys[1].pixel_scale
        self.masks = posterior_library.ring_masks(surveys[0].stamp, surveys[0].pixel_scale)

    def read(self, found: dict) -> dict:
        """Numbers of a batch of observations."""
        rest = {k: v for k, v in found.items() if k not in ("source", "target", "clean")}
        first = found["number"] == 0
        dimmed = np.full((len(first), len(DIMMED)), np.nan)
        for column, step in enumerate(DIMMED):
            rows = first | (step == 0)
            fainter = found["target"][rows] * np.float32(10 ** (-0.4 * step))
            dimmed[rows, column] = mean_redshift(self.target, fainter, self.temperature)
        return {
            **rest,
            "measures": target_measurements(found["target"], self.scale),
            "estimate": dimmed,
            "latent": np.stack(
                [
                    latent_features(
                        self.source, perturb_zero_points(found["source"], found["off"], s)
                    )
                    for s in self.worse
                ],
                axis=1,
            ),
            "rings": posterior_library.ring_fluxes(found["source"], self.masks),
            "clean": posterior_library.ring_fluxes(found["clean"], self.masks),
        }


def join(parts: list[dict]) -> dict:
    """Put batches together."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def observe_repeatedly(
    instruments, surveys, n: int, n_again: int, looks: int, seed: int, limit: float
) -> dict:
    """Observe n galaxies once and the first n_again `looks` times; columns by name."""
    if n % sample.BLOCK or n_again % sample.BLOCK:
        raise GaltoolsError(f"numbers of galaxies come in multiples of {sample.BLOCK}")
    kept, waiting = [], []
    blocks = range(n // sample.BLOCK)
    with sample.one_thread():
        for block in blocks:
            numbers = range(looks if block < n_again // sample.BLOCK else 1)
            waiting += observe_block(seed, block, numbers, surveys, limit)
            if len(waiting) >= TOGETHER or block == blocks[-1]:
                kept.append(instruments.read(join(waiting)))
                waiting = []
    return join(kept)


def make_cached(path, weights: dict, member: int, grid: str, worse=(0.0,), **options) -> dict:
    """Look at galaxies as `look`, once, into the file `path`, and return the columns.

    `weights` {"SDSS": file, "CFHTLS": file} are the ensembles of the redshift chapter.
    """
    surveys = (SDSS, CFHTLS.on_grid_of(SDSS) if grid == "sdss" else CFHTLS)

    def maker(new):
        ensembles = (Ensemble.load(weights[survey.name]) for survey in surveys)
        columns = observe_repeatedly(
            FeatureExtractor(*ensembles, member, surveys, worse), surveys, **options
        )
        with h5py.File(new, "w") as file:
            for name, values in columns.items():
                file[name] = values

    artefacts.make(
        path, maker, seed=options["seed"],
        params={**options, "member": member, "grid": grid, "worse": list(worse)},
        modules=["companion.repeat_observations"], inputs=[weights[s.name] for s in surveys],
    )  # fmt: skip
    with h5py.File(path) as file:
        return {name: values[:] for name, values in file.items()}


def estimate_at_magnitude(columns: dict, rows, fainter) -> np.ndarray:
    """Estimated redshift (q, m) of galaxies `rows` (m,), made fainter by (q, m) magnitudes.

    A parabola through what the network says of images at `DIMMED`, held fixed beyond. The network
    is not as smooth as that: at half a magnitude the parabola is off by 0.004 rms, at one by 0.007.
    """
    known = columns["estimate"][rows]
    x = np.clip(fainter, DIMMED[0], DIMMED[-1]) / DIMMED[-1]
    bend = (known[:, 0] + known[:, 2]) / 2 - known[:, 1]
    return known[:, 1] + (known[:, 2] - known[:, 0]) / 2 * x + bend * x**2
