"""Speed of the simulation: pairs per second and core, against GalSim, in n and over cores.

All is measured in one run on one machine, which should have nothing else to do, printed and kept in
benchmarks/render.json (`--kept FILE`: there instead); `--oracle N` also compares N galaxies x 10
bands with GalSim.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from turns import in_turns, times_faster

from companion import galsim_reference
from companion.paths import ROOT
from galtools import data, simulate
from galtools.surveys import BANDS, CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS)
MEMORY = "import resource, galtools.simulate as s; [None for _ in s.stream({n})]; "
MEMORY += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
TURNS = 9


def make(n: int, **options) -> None:
    """Simulate n pairs, complete: population, spectra, both surveys, noise, catalogue."""
    for _ in simulate.stream(n, **options):
        pass


def into_a_file(n: int, **options) -> None:
    """Simulate n pairs into a file, each batch compressed where it was made."""
    with tempfile.TemporaryDirectory() as folder:
        data.save(simulate.stream(n, then=data.compress, **options), Path(folder, "pairs.h5"))


def rate(n: int, **options) -> float:
    """Pairs per second."""
    started = time.perf_counter()
    make(n, **options)
    return n / (time.perf_counter() - started)


def speed_up(n: int, cores: int) -> dict:
    """Time of n pairs per core, on one core over on all, three ways.

    Either each process keeps its own, as the shards of a large sample do, or one process receives
    them all from its workers, as they are or to write them into one file, as chapter 1 does.
    """

    def apart():
        Parallel(cores)(delayed(make)(n, start=n * core) for core in range(cores))

    one, each, received, filed_by_one, filed = in_turns({
        "one": lambda: make(n * cores),
        "each keeps its own": apart,
        "one receives all": lambda: make(n * cores, workers=cores),
        "into a file by one": lambda: into_a_file(n * cores),
        "into a file": lambda: into_a_file(n * cores, workers=cores),
    }, TURNS).values()  # fmt: skip
    return {
        "each keeps its own": times_faster(one, each),
        "one receives all": times_faster(one, received),
        "one receives all and writes a file": times_faster(filed_by_one, filed),
    }


def scenes(n: int, seed: int = 0):
    """Scene of n galaxies and the conditions of both surveys."""
    galaxies = np.arange(n)
    _, scene, _ = simulate.sample_scene(seed, galaxies, SURVEYS)
    return scene, [simulate.observing_conditions(seed, galaxies, survey) for survey in SURVEYS]


def compare_with_galsim(n: int, params) -> tuple[pd.DataFrame, float]:
    """Worst pixel over peak and flux error of n galaxies x 10 bands; and GalSim's seconds."""
    scene, seen = scenes(n)
    rows, seconds = [], 0.0
    for index, (survey, conditions) in enumerate(zip(SURVEYS, seen, strict=True)):
        fwhm, shift = conditions.fwhm, conditions.shift
        _, images = simulate.observe(scene, survey, index, conditions)
        for galaxy in range(n):
            for band in range(len(BANDS)):
                started = time.perf_counter()
                place = (galaxy, band, fwhm[galaxy, band], shift[galaxy])
                theirs = galsim_reference.galsim_image(scene, survey, index, *place, params)
                seconds += time.perf_counter() - started
                ours = images[galaxy, band]
                worst = np.abs(ours - theirs).max() / theirs.max()
                rows.append((survey.name, BANDS[band], worst, abs(ours.sum() / theirs.sum() - 1)))
    return pd.DataFrame(rows, columns=["survey", "band", "worst pixel", "flux"]), seconds


def peak_memory(n: int) -> float:
    """Peak memory in MiB of a fresh process that streams n pairs."""
    output = subprocess.run(
        [sys.executable, "-c", MEMORY.format(n=n)], capture_output=True, text=True, check=True
    )
    return int(output.stdout) / 1024


def measure(n: int, oracle_galaxies: int) -> dict:
    """Measure everything; the best of some repeats, as other work only slows a run down."""
    rate(8)
    one = max(rate(n) for _ in range(3))
    coarse = max(rate(n, grid="sdss") for _ in range(2))
    drawn = 4
    _, seconds = compare_with_galsim(drawn, galsim_reference.galsim.GSParams())
    result = {
        "native pairs per second and core": one,
        "pairs per second and core on the SDSS grid": coarse,
        "GalSim, band by band, without noise: pairs per second": drawn / seconds,
        "times faster than GalSim": one * seconds / drawn,
        **{f"peak memory in MiB, {k} pairs": peak_memory(k) for k in (64, 256, 1024)},
    }
    result["cores"] = os.cpu_count()
    result["speed-up on all cores"] = speed_up(2 * n, os.cpu_count())
    if oracle_galaxies:
        table, _ = compare_with_galsim(oracle_galaxies, galsim_reference.TIGHT)
        result["images compared with GalSim"] = len(table)
        result["worst pixel over peak"] = float(table["worst pixel"].max())
        result["worst error of the flux"] = float(table["flux"].max())
    return result


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=128, help="pairs per measurement")
    parser.add_argument("--oracle", type=int, default=0, help="galaxies compared with GalSim")
    parser.add_argument("--kept", type=Path, default=ROOT / "benchmarks" / "render.json")
    arguments = parser.parse_args()
    result = measure(arguments.n, arguments.oracle)
    print(json.dumps(result, indent=1))
    versions = {name: version(name) for name in ("numpy", "torch", "galsim")}
    about = {"pairs": arguments.n, "machine": platform.machine(), "versions": versions}
    arguments.kept.write_text(json.dumps(about | result, indent=1) + "\n")


if __name__ == "__main__":
    main()
