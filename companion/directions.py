"""Directions between two surveys: there, back, and to a repeat observation.

A direction is a way of pairing images; the network that learns from them is the same.
"""

from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from galtools import artefacts, data, models, simulate
from galtools.data import Pairs
from galtools.data.image_files import read_column
from galtools.errors import GaltoolsError
from galtools.surveys import CFHTLS
from galtools.training import train
from galtools.training.loop import Settings, best_device

DIRECTIONS = ("forward", "reverse", "reobserve")
BATCH = 64  # galaxies whose images are in memory at a time


def simulation_options(file: Path, grid: str) -> dict:
    """Grid and seed with which `simulate.stream` continues the simulation in a file.

    Refuses real galaxies, and a `grid` that is not that of the file.
    """
    first = data.load(file, slice(1))
    own = "native" if first.target_set.pixel_scale == CFHTLS.pixel_scale else "sdss"
    if "seed" not in first.catalogue.colnames:
        raise GaltoolsError(f"{file} is not a simulation: its galaxies cannot be observed again")
    if grid != own:
        raise GaltoolsError(f"{file} has the grid {own}: run this with -p grid {own}")
    return {"grid": grid, "seed": int(first.catalogue["seed"][0])}


def simulate_cached(path: Path, options: dict) -> Path:
    """File of one more sample, simulated once; `options` are those of `simulate.stream`."""
    artefacts.make(
        path,
        lambda new: data.save(simulate.stream(**options), new),
        params=options,
        seed=options["seed"],
        modules=["galtools.simulate", "galtools.data"],
    )
    return path


def pairs_of(direction: str, first: Path, second: Path) -> Pairs:
    """Pairs of a direction, from the files of the first and the second observation.

    Galaxies that the second file lacks are left out, whatever the direction.
    """
    if direction not in DIRECTIONS:
        raise GaltoolsError(f"unknown direction {direction!r}: choose {', '.join(DIRECTIONS)}")
    pairs = _read(first, len(read_column(second, "redshift")))
    if direction == "forward":
        return pairs
    if direction == "reverse":
        return replace(pairs, source_set=pairs.target_set, target_set=pairs.source_set)
    again = _read(second, None)
    if not np.array_equal(pairs.catalogue["galaxy"], again.catalogue["galaxy"]):
        raise GaltoolsError("both observations must hold the same galaxies in the same order")
    return replace(pairs, target_set=again.source_set)


@lru_cache(maxsize=4)
def _read(file: Path, count: int | None) -> Pairs:
    """First galaxies of a file; several directions learn from the same ones."""
    return data.load(file, slice(count))


def train_direction(path: Path, direction: str, build: dict, settings: Settings, files) -> dict:
    """Train one direction into the file of weights `path`, once; return its manifest.

    `files` names two observations of each split: {"train": (first, second), "valid": ...}.
    """
    params = {"direction": direction, "build": build, "settings": asdict(settings)}
    inputs = [*files["train"], *files["valid"]]

    def load(observations):
        return pairs_of(direction, *observations)

    def maker(new):
        key = artefacts.digest([params, *map(artefacts.sha256, inputs)])
        splits = files["train"], files["valid"]
        return train.train_and_save(best_device(), new, build, settings, load, splits, key)

    modules = [*models.modules(build["name"]), "companion.directions"]
    about = {"modules": modules, "seed": settings.seed, "device": best_device()}
    made = artefacts.make(path, maker, params=params, inputs=inputs, **about)
    (Path(path).parent / "checkpoint.safetensors").unlink(missing_ok=True)
    return made


def apply_directions(translate, measure, *files: Path, rows=slice(None)) -> dict:
    """Measurements {(way, name): (n, ...)} of translated galaxies, `BATCH` at a time.

    `files` hold observations of the same galaxies, of which `rows` count. ``translate(pairs)``
    gives {way: images} from the first file, ``measure(way, images, *pairs)`` {name: (n, ...)}.
    """
    parts, numbers = {}, np.arange(len(read_column(files[0], "redshift")))[rows]
    for start in range(0, len(numbers), BATCH):
        pairs = [data.load(file, numbers[start : start + BATCH]) for file in files]
        for way, images in translate(pairs[0]).items():
            for name, values in measure(way, images, *pairs).items():
                parts.setdefault((way, name), []).append(values)
    return {key: np.concatenate(each) for key, each in parts.items()}
