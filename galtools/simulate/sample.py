"""Pairs of images from galaxy numbers, block by block, on as many processes as one likes.

Galaxies are made in blocks of `BLOCK` whose borders are multiples of `BLOCK`: a galaxy is always
computed in the same company, so that even the last bit of it is the same whatever was asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from astropy.table import Table

from galtools.data import ImageSet, Pairs, join
from galtools.errors import GaltoolsError
from galtools.simulate import noise, population, shapes
from galtools.simulate.render import render
from galtools.simulate.workers import in_order
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey

BLOCK = 8
GRIDS = ("native", "sdss")
FAINTEST = 20.0


def pairs(n: int, seed: int = 0, start: int = 0, **options) -> Pairs:
    """Simulate n galaxies; see `stream` for the options."""
    if n < 1:
        raise GaltoolsError(f"n = {n} galaxies: ask for at least one")
    return join(list(stream(n, seed, start, **options)))


def stream(
    n: int,
    seed: int = 0,
    start: int = 0,
    survey_from: Survey = SDSS,
    survey_to: Survey = CFHTLS,
    grid: str = "native",
    observation: int = 0,
    limit: float = 17.8,
    workers: int = 1,
    then: Callable[[Pairs], object] | None = None,
) -> Iterator:
    """Yield galaxies start ... start + n - 1 in order, in batches of at most `BLOCK`.

    Galaxy k of a `seed` is bit for bit the same whatever n, start and workers are. `observation`
    numbers independent observations of the same galaxies: fresh noise, seeing, sub-pixel position
    and calibration. On `grid` "sdss" both surveys are drawn on the pixels of SDSS. `limit` is the
    faintest SDSS r magnitude. ``then(pairs)``, if given, is done to every batch by the process that
    made it, and its result is what arrives.
    """
    if grid not in GRIDS:
        raise GaltoolsError(f"unknown grid {grid!r}: choose one of {', '.join(GRIDS)}")
    if not population.BRIGHT_LIMIT < limit <= FAINTEST:
        raise GaltoolsError(f"limit r < {limit}: choose one in 14 ... {FAINTEST:.0f}")
    if min(n, seed, start, observation) < 0 or workers < 1:
        raise GaltoolsError("n, seed, start and observation cannot be negative, nor workers < 1")
    if grid == "sdss":
        survey_from, survey_to = survey_from.on_grid_of(SDSS), survey_to.on_grid_of(SDSS)
    blocks = range(start // BLOCK, -(-(start + n) // BLOCK) if n else start // BLOCK)
    how = (seed, survey_from, survey_to, observation, limit)
    jobs = (
        (block, max(start - block * BLOCK, 0), min(start + n - block * BLOCK, BLOCK), how, then)
        for block in blocks
    )
    yield from in_order(_batch, jobs, workers) if workers > 1 else map(_batch, jobs)


def _batch(job):
    """Make a block and return the galaxies of it that were asked for, or what is made of them."""
    block, first, last, how, then = job
    with one_thread():
        pairs = _block(block, *how)
        if last - first < BLOCK:
            pairs = pairs[first:last]
        return then(pairs) if then else pairs


@contextmanager
def one_thread():
    """One thread per process: the work is split over galaxies, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _block(block, seed, survey_from, survey_to, observation, limit) -> Pairs:
    """Make one whole block of pairs."""
    galaxies = np.arange(block * BLOCK, (block + 1) * BLOCK)
    surveys = (survey_from, survey_to)
    physics = population.sample_galaxies(seed, galaxies, limit)
    scene, truth = shapes.build_scene(seed, galaxies, physics, surveys)
    seen = [noise.observing_conditions(seed, galaxies, survey, observation) for survey in surveys]
    sets = [
        ImageSet.of(
            survey,
            observed_image(scene, survey, index, conditions),
            conditions.sky_noise,
            conditions.fwhm,
        )
        for index, (survey, conditions) in enumerate(zip(surveys, seen, strict=True))
    ]
    table = _catalogue(seed, galaxies, physics, truth, seen)
    return Pairs(*sets, physics["redshift"].astype(np.float32), table)


def observed_image(scene, survey: Survey, index: int, conditions: noise.Observation) -> np.ndarray:
    """Noisy images (n, 5, H, W) of a scene as a survey sees it under given conditions."""
    tensors = (torch.from_numpy(a.astype(np.float32)) for a in (conditions.fwhm, conditions.shift))
    with torch.no_grad():
        images = render(scene, survey, index, *tensors).contiguous().numpy()
    images *= conditions.calibration[:, :, None, None].astype(np.float32)
    return noise.add_noise(images, conditions, survey)


def _catalogue(seed, galaxies, physics, truth, seen) -> Table:
    """Truth of a block of galaxies: what it is, what it looks like, how it was observed."""
    known = ("morphology", "bar", "ring", "dust_lane", "bulge_to_total_r", "neighbours")
    table = Table({"seed": np.full(len(galaxies), seed), "galaxy": galaxies, **physics})
    for name in known:
        table[name] = truth[name]
    table["morphology"] = table["morphology"].astype("U10")
    for index, (side, conditions) in enumerate(zip(("source", "target"), seen, strict=True)):
        magnitude = 22.5 - 2.5 * np.log10(truth["total"][:, index])
        for j, band in enumerate(BANDS):
            table[f"{side}_{band}"] = magnitude[:, j]
            table[f"{side}_fwhm_{band}"] = conditions.fwhm[:, j]
            table[f"{side}_calibration_{band}"] = conditions.calibration[:, j]
        table[f"{side}_shift_x"], table[f"{side}_shift_y"] = conditions.shift.T
    return table
