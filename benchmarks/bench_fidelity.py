"""How fast and how large: the card, statmorph on one core and two, SSIM beside torchmetrics.

    python benchmarks/bench_fidelity.py [--galaxies 1000] [--morphology 60]
    python benchmarks/bench_fidelity.py --whole 1000
    python benchmarks/bench_fidelity.py --large 20000

Times are the best of a few repeats in this very process, so that ratios mean something on a busy
machine. `--whole` makes the whole card with statmorph on every galaxy in one band, on two cores;
`--large` measures that many galaxies from files and prints the peak memory.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from galtools import fidelity
from galtools.fidelity import files, morphology, pixels
from galtools.surveys import SDSS

SIGMA = np.array(SDSS.sky_noise, np.float32)[:, None, None]


def galaxies(n, seed=0):
    """Round exponential galaxies in five bands with the noise of SDSS, float32."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((64, 64), np.float32) - 31.5
    image = np.exp(-np.hypot(x, y) / rng.uniform(2, 4, (n, 1, 1, 1)).astype(np.float32))
    image = image * rng.uniform(1, 5, (n, 5, 1, 1)).astype(np.float32)
    return image + SIGMA * rng.standard_normal(image.shape, np.float32)


def best(function, repeats=3):
    """Shortest time of a few calls, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def bench_card(n):
    truth, translated = galaxies(n), galaxies(n, seed=1)
    z = np.random.default_rng(2).uniform(0.01, 0.3, n)
    for count in (n // 4, n // 2, n):
        rows = slice(count)
        spent = best(
            lambda rows=rows: fidelity.card(
                truth[rows], translated[rows], redshift=z[rows], morphology=0
            ),
            repeats=2,
        )
        print(f"card without statmorph  {count:6d} galaxies  {spent:7.2f} s")


def bench_morphology(n):
    truth = galaxies(n)[:, 2]
    images, fwhm = {"truth": truth}, {"truth": np.full(n, 1.3)}
    sigma = np.full(n, SDSS.sky_noise[2])
    spent = {}
    for jobs in (1, 2):

        def run(jobs=jobs):
            morphology.measure(images, truth, sigma, fwhm, SDSS.pixel_scale, jobs, progress=False)

        run()  # starts the processes
        spent[jobs] = best(run, repeats=2)
        print(f"statmorph, {jobs} core(s)     {n:6d} galaxies  {spent[jobs]:7.2f} s")
    print(f"statmorph, two cores over one: {spent[1] / spent[2]:.2f} times faster")


def bench_ssim(n):
    x, y = (galaxies(n, seed).astype(np.float64) for seed in (0, 1))
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    ours = best(lambda: pixels.ssim(x, y, 9.9))
    theirs = best(lambda: structural_similarity_index_measure(a, b, data_range=9.9))
    print(f"SSIM of {n} x 5 stamps: {ours:.2f} s, torchmetrics {theirs:.2f} s")


def bench_whole(n):
    truth, translated = galaxies(n), galaxies(n, seed=1)
    z = np.random.default_rng(2).uniform(0.01, 0.3, n)
    spent = best(lambda: fidelity.card(truth, translated, redshift=z, morphology=n), repeats=1)
    print(f"whole card, two cores  {n:6d} galaxies  {spent:7.2f} s")


def bench_memory(n):
    with tempfile.TemporaryDirectory() as folder:
        stacks = []
        for seed in range(2):
            path = Path(folder) / f"{seed}.h5"
            with h5py.File(path, "w") as file:
                images = file.create_dataset("images", (n, 5, 64, 64), np.float32)
                for start in range(0, n, 500):
                    images[start : start + 500] = galaxies(min(500, n - start), start + seed)
            stacks.append(files.open_images(path))
        start = time.perf_counter()
        z = np.random.default_rng(2).uniform(0.01, 0.3, n)
        fidelity.card(*stacks, redshift=z, morphology=0)
        spent = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"card of {n} galaxies from files: {spent:.1f} s, peak memory {peak:.2f} GiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--galaxies", type=int, default=1000)
    parser.add_argument("--morphology", type=int, default=60)
    parser.add_argument("--whole", type=int, default=0)
    parser.add_argument("--large", type=int, default=0)
    options = parser.parse_args()
    if options.whole:
        bench_whole(options.whole)
        return
    if options.large:
        bench_memory(options.large)
        return
    bench_card(options.galaxies)
    bench_ssim(options.galaxies // 4)
    bench_morphology(options.morphology)


if __name__ == "__main__":
    main()
