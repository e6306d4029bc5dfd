"""How fast and how large: the card, statmorph on one core and two, SSIM beside torchmetrics.

    python benchmarks/bench_fidelity.py                  a short look, a minute
    python benchmarks/bench_fidelity.py --kept FILE      all that we hold to, kept in FILE (json)

Galaxies are simulated; the translation that is judged is the source image, and a second look for
statmorph. `--kept` needs an idle machine with two cores, makes every measurement in a process of
its own, so that one's memory is not the other's, and says of each limit whether it was held.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import statmorph
import torch
from torchmetrics.functional.image import structural_similarity_index_measure
from turns import in_turns, times_faster

from galtools import artefacts, simulate
from galtools.data import image_files
from galtools.fidelity import fast_statmorph, morphology, pixels, scorecard
from galtools.surveys import CFHTLS, SDSS

MOST_GIB = 2.0  # of memory, for the card of 20,000 galaxies
TURNS = 7  # of statmorph, on one core and on two
LINEAR = 1.15  # most that a galaxy of the largest sample may cost, in those of the smallest


def galaxies(n, start=0):
    """Simulate the source and the target of galaxies, and their redshifts."""
    pairs = simulate.pairs(n, start=start, grid="sdss")
    return pairs.target, pairs.source, pairs.redshift


def best(function, repeats=2):
    """Shortest time of a few calls, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def card_without_statmorph(n: int) -> dict:
    """Cost of the card by the number of galaxies; a limit on the whole, and on its growth."""
    truth, translated, z = galaxies(n)
    spent = {}
    for count in (n // 4, n // 2, n):
        rows = slice(count)
        spent[count] = best(
            lambda rows=rows: scorecard.card(
                truth[rows], translated[rows], redshift=z[rows], morphology=0
            )
        )
    growth = spent[n] / n / (spent[n // 4] / (n // 4))
    return {
        "galaxies": n,
        "seconds": spent[n],
        "seconds by number": spent,
        "cost of a galaxy, of n over of n / 4": growth,
        "held": bool(spent[n] < 20 * n / 1000 and growth < LINEAR),
    }


def card_with_statmorph(n: int) -> dict:
    """Cost of the whole card, statmorph in one band on every galaxy, on two cores."""
    truth, translated, z = galaxies(n)
    spent = best(lambda: scorecard.card(truth, translated, redshift=z, morphology=n), repeats=1)
    return {"galaxies": n, "seconds": spent, "held": spent < 240 * n / 1000}


def statmorph_on_cores(n: int) -> dict:
    """Speed of statmorph on two cores over one."""
    truth = galaxies(n)[0][:, 2]
    fwhm = {"truth": np.full(n, CFHTLS.psf_fwhm[2])}
    sigma = np.full(n, CFHTLS.sky_noise[2])

    def run(jobs):
        images = {"truth": truth}
        morphology.measure(images, truth, sigma, fwhm, SDSS.pixel_scale, jobs, progress=False)

    seconds = in_turns({jobs: lambda jobs=jobs: run(jobs) for jobs in (1, 2)}, TURNS)
    faster = times_faster(seconds[1], seconds[2])
    return {"galaxies": n, "times faster": faster, "held": faster["median"] >= 1.8}


def statmorph_beside_its_own(n: int) -> dict:
    """Speed over statmorph's own class: our overrides are kept while they more than double it."""
    warnings.simplefilter("ignore")
    found = {}
    for survey, grid in ((SDSS, "sdss"), (CFHTLS, "native")):
        images = simulate.pairs(n, grid=grid).target[:, 2].astype(float)
        sigma, psf = (
            CFHTLS.sky_noise[2],
            morphology.psf_stamp(CFHTLS.psf_fwhm[2], survey.pixel_scale),
        )
        segments = [morphology.segment(image, sigma) for image in images]

        def run(kind, images=images, segments=segments, sigma=sigma, psf=psf):
            for image, (own, others) in zip(images, segments, strict=True):
                weights = np.full(image.shape, sigma)
                kind(image, own.astype(int), 1, mask=others, weightmap=weights, psf=psf)

        kinds = (fast_statmorph.FastMorphology, statmorph.SourceMorphology)
        ours, theirs = in_turns({k: lambda k=k: run(k) for k in kinds}, 3).values()
        found[f"times faster, {images.shape[-1]} pixels"] = times_faster(theirs, ours)["median"]
    return {"galaxies": n, **found, "held": min(found.values()) > 2}


def ssim_beside_torchmetrics(n: int) -> dict:
    """Speed of SSIM against a library's; no limit."""
    x, y, _ = galaxies(n)
    x, y = (images.astype(np.float64) for images in (x, y))
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    ours = best(lambda: pixels.ssim(x, y, 9.9))
    theirs = best(lambda: structural_similarity_index_measure(a, b, data_range=9.9))
    return {"galaxies": n, "seconds": ours, "seconds of torchmetrics": theirs}


def memory_of_the_card(n: int) -> dict:
    """Peak memory of a card from files larger than that: 2,000 galaxies, again and again."""
    truth, translated, z = galaxies(min(n, 2000))
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        stacks = []
        for name, some in (("truth", truth), ("translated", translated)):
            path = Path(folder) / f"{name}.h5"
            with h5py.File(path, "w") as file:
                images = file.create_dataset("images", (n, *some.shape[1:]), np.float32)
                for start in range(0, n, len(some)):
                    images[start : start + len(some)] = some[: n - start]
            stacks.append(image_files.open_images(path))
        redshift = np.resize(z, n) + rng.normal(0, 1e-4, n)
        del truth, translated, some
        start = time.perf_counter()
        scorecard.card(*stacks, redshift=redshift, morphology=0)
        spent = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"galaxies": n, "seconds": spent, "peak GiB": peak, "held": peak < MOST_GIB}


WHOLE = {
    card_without_statmorph: 1000,
    card_with_statmorph: 1000,
    statmorph_on_cores: 120,
    statmorph_beside_its_own: 12,
    ssim_beside_torchmetrics: 250,
    memory_of_the_card: 20000,
}
SHORT = {
    card_without_statmorph: 200,
    statmorph_on_cores: 60,
    statmorph_beside_its_own: 6,
    ssim_beside_torchmetrics: 50,
}


def alone(function, n: int) -> dict:
    """Measure in a Python of its own, and none of multiprocessing's, whose end waits for joblib."""
    command = [sys.executable, __file__, "--measure", function.__name__, str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Read the command line, measure, print, and keep the report if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", type=Path, help="measure all and write it here")
    names = {function.__name__ for function in WHOLE}
    parser.add_argument("--only", nargs="+", choices=sorted(names))
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, n = options.measure
        print(json.dumps(globals()[name](int(n))))
        return
    report = {"cores": len(os.sched_getaffinity(0)), "packages": artefacts.package_versions()}
    for function, n in (WHOLE if options.kept or options.only else SHORT).items():
        if options.only and function.__name__ not in options.only:
            continue
        report[function.__name__] = found = alone(function, n)
        numbers = {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}
        print(function.__name__, json.dumps(numbers), flush=True)
    if options.kept:
        options.kept.parent.mkdir(parents=True, exist_ok=True)
        options.kept.write_text(json.dumps(report, indent=1) + "\n")
        if missed := [name for name in names & report.keys() if not report[name].get("held", True)]:
            raise SystemExit(f"not held: {', '.join(missed)}")


if __name__ == "__main__":
    main()
