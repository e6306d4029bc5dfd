"""A survey, shard by shard: translated, measured and given redshifts, never all in memory.

The galaxies of one or many files are numbered through; shard k of K holds those from k N / K to
(k + 1) N / K. Each shard is three artefacts of its own, made once (`galtools.artefacts`), so shards
can be the runs of a grid, on as many machines as there are.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from galtools import artefacts, data, redshift
from galtools.data import Pairs, join
from galtools.errors import GaltoolsError
from galtools.fidelity import morphology
from galtools.models import checkpoint
from galtools.surveys import BANDS, find_survey
from galtools.training import loop, translate
from galtools.training.crops import zero_masked


@dataclass(frozen=True)
class Shard:
    """One part of a survey: its number, how many there are, and the files they cut up."""

    files: tuple[Path, ...]
    number: int
    count: int

    def bounds(self) -> tuple[int, int]:
        """Numbers of the first galaxy and of the one behind the last."""
        total = sum(data.describe(file)["galaxies"] for file in self.files)
        return self.number * total // self.count, (self.number + 1) * total // self.count

    def pieces(self) -> list[tuple[Path, slice]]:
        """Rows of each file that belong to this shard."""
        (first, last), parts = self.bounds(), []
        for file in self.files:
            length = data.describe(file)["galaxies"]
            if (low := max(first, 0)) < (high := min(last, length)):
                parts.append((file, slice(low, high)))
            first, last = first - length, last - length
        return parts

    def load(self) -> Pairs:
        """Read the galaxies of this shard, and no others."""
        parts = [data.load(file, rows) for file, rows in self.pieces()]
        if not 0 <= self.number < self.count or not parts:
            raise GaltoolsError(f"shard {self.number} of {self.count} is empty: count from 0")
        return parts[0] if len(parts) == 1 else join(parts)

    def make(self, path: Path, maker, inputs: list[Path], **options) -> dict:
        """Make an artefact of this shard once; return its manifest."""
        params = {"shard": self.number, "shards": self.count}
        return artefacts.make(path, maker, params=params, inputs=inputs, **options)


@contextmanager
def workers(scheduler: str = "", jobs: int = 1):
    """Let joblib work on this machine, or on the Dask cluster at an address (tcp://host:8786)."""
    if not scheduler:
        with joblib.parallel_config(n_jobs=jobs):
            yield
        return
    try:
        from distributed import Client

        client = Client(scheduler, timeout="20s")
    except ImportError:
        raise GaltoolsError("Dask needs `pip install 'galtools[cluster]'`") from None
    except (OSError, ValueError) as error:
        raise GaltoolsError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client, joblib.parallel_config("dask"):
        yield


def translations(path: Path, shard: Shard, weights: Path, seed: int = 0) -> dict:
    """Translate a shard, one sample per galaxy, whose seed is the number of the galaxy."""
    first = shard.bounds()[0]

    def maker(new):
        network, pairs = checkpoint.load_weights(weights), zero_masked(shard.load())
        network.to(loop.best_device())
        images = translate.translate(network, pairs.source, 1, seed, first)
        translate.save_translations(new, images, {"first": first})
        return {"galaxies": len(images)}

    inputs = [weights, *shard.files]
    return shard.make(path, maker, inputs, seed=seed, device=loop.best_device())


def redshifts(path: Path, shard: Shard, images: Path, networks: Path) -> dict:
    """Estimate the redshift of each translated galaxy: median and central 68 % of the density."""
    start = shard.bounds()[0]

    def maker(new):
        estimator = redshift.Ensemble.load(networks)
        density = estimator.predict(translate.load_translations(images))
        table = pd.DataFrame({"galaxy": start + np.arange(len(density))})
        for name, level in {"z_low": 0.16, "z": 0.5, "z_high": 0.84}.items():
            table[name] = redshift.density.quantile(density, level, estimator.grid)
        table.to_csv(new, index=False)
        return {"galaxies": len(density)}

    return shard.make(path, maker, [images, networks])


def shapes(path: Path, shard: Shard, images: Path, most: int = 0) -> dict:
    """Measure the shapes of translated galaxies in r with statmorph, `most` at most (0: all).

    `workers` sets where: in this process, in several, or on a Dask cluster.
    """
    (first, rows), start, b = shard.pieces()[0], shard.bounds()[0], BANDS.index("r")
    target = data.load(first, rows).target_set
    survey, fwhm = find_survey(target.survey), float(np.median(target.psf_fwhm[:, b]))

    def maker(new):
        stamps = translate.load_translations(images)[: most or None, b]
        growth = target.pixel_scale / survey.pixel_scale  # sky per pixel, on coarser pixels
        sky = np.full(len(stamps), growth * survey.sky_noise[b])
        seeing = {"translated": np.full(len(stamps), fwhm)}
        table = morphology.measure(
            {"translated": stamps}, stamps, sky, seeing, target.pixel_scale, jobs=None
        )
        table["galaxy"] += start
        table.drop(columns="row").to_csv(new, index=False)
        return {"galaxies": len(stamps)}

    return shard.make(path, maker, [images])
