"""The four ways between two surveys: there, back, to the same survey, and to another look at it.

A direction is a way of putting pairs together; what learns it is always the same network.
"""

from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from galtools import artefacts, data, models, simulate
from galtools.data import Pairs
from galtools.data.image_files import read_column
from galtools.errors import GaltoolsError
from galtools.surveys import CFHTLS
from galtools.training import train
from galtools.training.loop import Settings, best_device

DIRECTIONS = ("forward", "reverse", "reobserve")
FEW = 64  # galaxies whose images are in memory at a time


def swap(pairs: Pairs) -> Pairs:
    """Target to source: the easy direction, from the deep survey to the shallow one."""
    return Pairs(pairs.target_set, pairs.source_set, pairs.redshift, pairs.catalogue)


def pair_observations(first: Pairs, second: Pairs) -> Pairs:
    """Source to another source image of the same galaxies, with its own noise and seeing."""
    if not np.array_equal(first.catalogue["galaxy"], second.catalogue["galaxy"]):
        raise GaltoolsError("both observations must hold the same galaxies in the same order")
    return replace(first, target_set=second.source_set)


def simulation_options(file: Path, grid: str) -> dict:
    """Grid and seed with which `simulate.stream` goes on with the galaxies of a file.

    They are those of the file, whatever else is done with another seed; a grid that is not its
    own is refused.
    """
    first = data.load(file, slice(1))
    catalogue = first.catalogue
    own = "native" if first.target_set.pixel_scale == CFHTLS.pixel_scale else "sdss"
    if "seed" not in catalogue.colnames:
        raise GaltoolsError(f"{file} is not a simulation: its galaxies cannot be observed again")
    if grid != own:
        raise GaltoolsError(f"{file} has the grid {own}: run this with -p grid {own}")
    return {"grid": grid, "seed": int(catalogue["seed"][0])}


def simulate_cached(path: Path, options: dict) -> Path:
    """Simulate one more sample into a file, once; `options` are those of `simulate.stream`."""
    artefacts.make(
        path,
        lambda new: data.save(simulate.stream(**options), new),
        params=options,
        seed=options["seed"],
        modules=["galtools.simulate", "galtools.data"],
    )
    return path


def pairs_of(direction: str, first: Path, second: Path) -> Pairs:
    """Read the pairs of a direction from the files of the first and the second observation.

    The second file may stop early: whatever the direction, the galaxies that were observed once
    only are left out.
    """
    if direction not in DIRECTIONS:
        raise GaltoolsError(f"unknown direction {direction!r}: choose {', '.join(DIRECTIONS)}")
    pairs = _read(first, len(read_column(second, "redshift")))
    if direction == "reverse":
        return swap(pairs)
    return pairs if direction == "forward" else pair_observations(pairs, _read(second, None))


@lru_cache(maxsize=4)
def _read(file: Path, count: int | None) -> Pairs:
    """Read the first galaxies of a file; several directions learn from the same ones."""
    return data.load(file, slice(count))


def train_direction(
    path: Path, direction: str, build: dict, settings: Settings, files: dict
) -> dict:
    """Train one direction into the file of weights `path`, once; return its manifest.

    `files` names two observations of each split: {"train": (first, second), "valid": ...}.
    """

    def maker(new):
        torch.manual_seed(settings.seed)
        network = models.build(**build)
        samples = [pairs_of(direction, *files[split]) for split in ("train", "valid")]
        history = train.train(network, *samples, settings)
        train.save_weights(new, network)
        return {"history": history}

    return artefacts.make(
        path, maker,
        params={"direction": direction, "build": build, "settings": asdict(settings)},
        modules=[*models.modules(build["name"]), "companion.directions"],
        inputs=[*files["train"], *files["valid"]], seed=settings.seed, device=best_device(),
    )  # fmt: skip


def apply_directions(ways, ask, *files: Path, rows=slice(None)) -> dict:
    """Ask something of galaxies on several ways, `FEW` at a time: {(way, name): (n, ...)}.

    `files` hold the same galaxies, of which `rows` count. ``ways(pairs)`` sends those of the first
    file on all ways, {way: images}; ``ask(way, images, *pairs)`` measures what comes, {name: (n,
    ...)}.
    """
    parts, numbers = {}, np.arange(len(read_column(files[0], "redshift")))[rows]
    for start in range(0, len(numbers), FEW):
        pairs = [data.load(file, numbers[start : start + FEW]) for file in files]
        for way, images in ways(pairs[0]).items():
            for name, values in ask(way, images, *pairs).items():
                parts.setdefault((way, name), []).append(values)
    return {key: np.concatenate(each) for key, each in parts.items()}
