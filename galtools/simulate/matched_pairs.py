"""Pairs of images from galaxy numbers, block by block, on as many processes as one likes.

Blocks begin at multiples of `BLOCK`: a galaxy is always computed in the same company, so that even
its last bit is the same whatever was asked for.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from astropy.table import Table
from torch.utils.data import DataLoader

from galtools.data import ImageSet, Pairs, join
from galtools.errors import GaltoolsError
from galtools.simulate import population
from galtools.simulate.defects import add_defects
from galtools.simulate.observation import observe, observing_conditions
from galtools.simulate.scene import sample_scene
from galtools.surveys import CFHTLS, SDSS, Survey, reference_band

BLOCK = 8
AHEAD = 4  # blocks per process that may wait for the reader
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
    limit: float = population.MAIN_SAMPLE_LIMIT,
    workers: int = 1,
    defects: bool = False,
) -> Iterator[Pairs]:
    """Yield galaxies start ... start + n - 1 in order, in batches of at most `BLOCK`.

    Galaxy k of a `seed` is bit for bit the same whatever n, start and workers are. `observation`
    numbers independent observations of the same galaxies: fresh noise, seeing, sub-pixel position
    and calibration. On `grid` "sdss" both surveys are observed on the pixels of SDSS. `limit` is
    the faintest SDSS r magnitude. With `defects` images have saturated pixels, cosmic rays and
    edges, and masks that tell where.
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
    simulate = partial(
        _simulate_block,
        wanted=range(start, start + n),
        options=(seed, (survey_from, survey_to), observation, limit, defects),
    )
    yield from in_order(simulate, blocks, workers) if workers > 1 else map(simulate, blocks)


def in_order(work: Callable, jobs: Sequence, workers: int) -> Iterator:
    """Yield work(job) of every job in order, from processes of one thread each.

    At most `AHEAD` results per process wait for a slow reader.
    """
    loader = DataLoader(
        jobs,
        batch_size=None,
        collate_fn=work,
        num_workers=workers,
        prefetch_factor=AHEAD,
        worker_init_fn=_end_with_parent,
        generator=torch.Generator(),  # leaves the global random numbers alone
    )
    try:
        yield from loader
    except RuntimeError as error:
        raise GaltoolsError(
            "a process that simulated galaxies died, most often of full memory: use fewer workers"
        ) from error


def _end_with_parent(worker: int) -> None:
    """End this process when its parent is killed, even while it waits to hand over a result."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def one_thread():
    """One thread per process: the work is split over galaxies, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _simulate_block(block: int, wanted: range, options: tuple) -> Pairs:
    """Simulate a block and return its galaxies in `wanted`."""
    seed, surveys, number, limit, defects = options
    galaxies = np.arange(block * BLOCK, (block + 1) * BLOCK)
    with one_thread():
        physics, scene, truth = sample_scene(seed, galaxies, surveys, limit)
        conditions = [observing_conditions(seed, galaxies, survey, number) for survey in surveys]
        images = []
        for k, (survey, seen) in enumerate(zip(surveys, conditions, strict=True)):
            pixels = observe(scene, survey, k, seen)[0]
            mask = add_defects(pixels, seed, galaxies, survey, number) if defects else None
            images.append(ImageSet.of(survey, pixels, seen.sky_noise, seen.fwhm, mask))
        table = _catalogue(seed, galaxies, surveys, physics, truth, conditions)
        pairs = Pairs(*images, physics["redshift"].astype(np.float32), table)
        if galaxies[0] not in wanted or galaxies[-1] not in wanted:
            pairs = pairs[np.isin(galaxies, wanted)]
        return pairs


def _catalogue(seed, galaxies, surveys, physics, truth, conditions) -> Table:
    """Truth about a block of galaxies: physics, morphology, observing conditions."""
    table = Table({"seed": np.full(len(galaxies), seed), "galaxy": galaxies, **physics})
    for name in ("morphology", "bar", "ring", "dust_lane"):
        table[name] = truth[name]
    table["morphology"] = table["morphology"].astype("U10")
    table[f"bulge_to_total_{reference_band(surveys[0].bands)}"] = truth["bulge_to_total"]
    table["neighbours"] = truth["neighbours"]
    for index, (side, seen) in enumerate(zip(("source", "target"), conditions, strict=True)):
        bands = surveys[index].bands
        magnitude = 22.5 - 2.5 * np.log10(truth["total"][:, index, : len(bands)])
        for j, band in enumerate(bands):
            table[f"{side}_{band}"] = magnitude[:, j]
            table[f"{side}_fwhm_{band}"] = seen.fwhm[:, j]
            table[f"{side}_calibration_{band}"] = seen.calibration[:, j]
        table[f"{side}_shift_x"], table[f"{side}_shift_y"] = seen.shift.T
    return table
