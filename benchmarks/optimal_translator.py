"""Keep the table of the optimal translator: `companion.optimal_translator` on new galaxies.

    .venv/bin/python benchmarks/optimal_translator.py [--galaxies 104] [--steps 500]

The galaxies, on the pixels of SDSS, are of a seed that nothing else uses, eight in each field of
CFHTLS. Some ten minutes of a core.
"""

import argparse

import numpy as np
import pandas as pd

from companion import optimal_translator, paths, repeat_observations
from galtools import artefacts, simulate
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import calibration, intervals, peaks, pixels
from galtools.fidelity.metrics import measure_images, tabulate
from galtools.surveys import CFHTLS, SDSS

SEED, FIELD, BATCH = 3300, 96, 8
TABLE = paths.REFERENCE / "33_optimal.csv"
SURVEYS = SDSS, CFHTLS.on_grid_of(SDSS)
CONVERGED = 1.2  # largest R of a posterior that is used


def batch(number: int, walkers: int, steps: int) -> dict:
    """Rows of images of a batch of galaxies, what measures them, and ranks of the truth."""
    start = number * FIELD
    galaxies = np.arange(start, start + BATCH)
    pairs, again = (
        simulate.pairs(BATCH, SEED, start, grid="sdss", observation=k) for k in range(2)
    )
    model, x, kind, ratio, truth = optimal_translator.sample_scenes(
        SEED, galaxies, SURVEYS, pairs.source, walkers, steps
    )
    seen, clean = optimal_translator.observe_samples(model, SEED, galaxies, x, kind)
    last = x[:, -walkers:].swapaxes(0, 1)  # one sample of each walker
    print(f"batch {number}: R", ratio.round(2), flush=True)
    return {
        "truth": pairs.target,
        "noise": pairs.noise[:, 1],
        "ratio": ratio,
        "optimal mean": clean.mean(axis=0),
        "optimal sample": seen[-1],
        "again": again.target,
        "resample": lanczos_resample(pairs.source, pairs.target.shape[-2:], pairs.pixel_ratio),
        "pit": np.stack([calibration.pit(last[..., k], truth[:, k], number) for k in (0, 1)], 1),
    }


def table(found: dict) -> pd.DataFrame:
    """Metrics of every row, on the galaxies whose posteriors converged."""
    good, scale, lines = found["ratio"] < CONVERGED, SDSS.pixel_scale, []
    truth = found["truth"][good]
    true = repeat_observations.asymmetry(truth[:, 2], scale)
    for row in ("optimal mean", "optimal sample", "again", "resample"):
        images = found[row][good]
        measured = measure_images(
            [pixels.measure, peaks.measure], truth, images, found["noise"][good], scale
        )
        metrics = {name: m for name, m in (pixels.METRICS | peaks.METRICS).items() if name in KEPT}
        lines.append(tabulate(measured, metrics).assign(row=row))
        off = repeat_observations.asymmetry(images[:, 2], scale) - true
        e = intervals.bootstrap(intervals.robust_scatter, off)
        about = {"level": "morphology", "band": "r", "metric": "asymmetry_scatter", "row": row}
        lines.append(pd.DataFrame([{**about, **vars(e)}]))
    pit = found["pit"][good]
    for k, latent in enumerate(("redshift", "r magnitude")):
        value = calibration.pvalue(pit[:, k])
        about = {"level": "calibration", "band": latent, "metric": "pit_pvalue", "n": len(pit)}
        lines.append(pd.DataFrame([{**about, "row": "optimal sample", "value": value}]))
    return pd.concat(lines, ignore_index=True)


KEPT = (
    *("psnr", "correlation", "aperture_bias", "aperture_scatter", "colour_scatter"),
    *("peak_scatter", "box_scatter", "peak_ratio_scatter"),
)


def main() -> None:
    """Read the command line, sample, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=104)
    parser.add_argument("--walkers", type=int, default=16)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()

    def make(path):
        parts = [batch(k, args.walkers, args.steps) for k in range(args.galaxies // BATCH)]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table(found).to_csv(path, index=False, float_format="%.5g")

    params = vars(args)
    modules = ["companion.optimal_translator"]
    artefacts.make(TABLE, make, params=params, modules=modules, seed=SEED)


if __name__ == "__main__":
    main()
