"""Keep the table of the optimal translator, and of all kept translators on the same galaxies.

    .venv/bin/python benchmarks/optimal_translator.py [--batches 0 1 2] [--results FOLDER]

The galaxies, on the pixels of SDSS, are of a seed that nothing else uses, a batch of eight in each
field of CFHTLS. The redshift estimators are those of the chapter on redshift in a complete quick
run. Half a minute of a core a batch; what is done is not done again.
"""

import argparse
from functools import partial

import numpy as np
import pandas as pd

from companion import importance_sampling, latent_model, optimal_translator, paths
from companion.redshift_evaluation import load_row, row_file
from companion.repeat_observations import asymmetry
from galtools import artefacts, pretrained, simulate
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import calibration, intervals, peaks, pixels, redshifts
from galtools.fidelity.metrics import measure_images
from galtools.redshift import Grid
from galtools.surveys import CFHTLS, SDSS
from galtools.training.translate import translate

SEED, FIELD, BATCH = 3300, 96, 8
WALKERS, DRAWS, STEPS = 10, 24, 80
SAMPLES = 4  # of a walker, of which images are made
SETTINGS = {"walkers": WALKERS, "draws": DRAWS, "steps": STEPS, "samples": SAMPLES}
TABLE = paths.REFERENCE / "33_optimal.csv"
SURVEYS = SDSS, CFHTLS.on_grid_of(SDSS)
CONVERGED = 1.2  # largest R of a posterior that is used
JUDGED = "redshift", "r magnitude", "size"
POPULATION = 100_000  # galaxies whose redshifts are the prior
MODELS = "residual", "swin", "srgan", "capsule", "diffusion"
GENERATORS = {"diffusion": "optimal sample", "again": "optimal sample"}  # compared with a sample
mean, scatter = intervals.mean, intervals.robust_scatter
METRICS = {  # band or colour, quantity of every galaxy, its column, statistic over galaxies
    "psnr": ("r", "psnr", 2, mean),
    "correlation": ("r", "correlation", 2, mean),
    "aperture_scatter": ("r", "aperture_error", 2, scatter),
    "colour_scatter": ("g-r", "colour_error", 1, scatter),
    "peak_scatter": ("r", "peak_error", 2, scatter),
    "box_scatter": ("r", "box_error", 2, scatter),
    "peak_ratio_scatter": ("g-r", "ratio_error", 1, scatter),
    "asymmetry_scatter": ("r", "asymmetry", 0, scatter),
}


def posterior(model, images) -> dict:
    """Draws of the posteriors of galaxies given their images, and what is known of z, r and ln R.

    The draws (n, s, 25) go from walker to walker first: every tenth is of the same one, so that the
    error of the density is that of independent walkers.
    """
    x, kind, truth = optimal_translator.sample_scenes(model, images, WALKERS, DRAWS, STEPS)
    n, walkers, draws, latents = x.shape
    flat, kinds = x.swapaxes(1, 2).reshape(n, -1, latents), np.tile(kind, draws)
    true, shown = (
        judged(model, truth[:, None], model.kinds[:, :1])[:, 0],
        judged(model, flat, kinds),
    )
    walked = shown.reshape(n, draws, walkers, -1).swapaxes(1, 2)
    ratio = [optimal_translator.convergence(walked[..., k]) for k in range(len(JUDGED))]
    pit = [calibration.pit(walked[:, :, -1, k].T, true[:, k], k) for k in range(len(JUDGED))]
    equal = importance_sampling.WeightedSamples(flat, kinds, np.zeros(kinds.shape))
    density, error, _ = equal.density(Grid().edges)
    own = np.arange(n), Grid().bin_index(truth[:, 0])
    about = {"ratio": np.max(ratio, axis=0), "pit": np.stack(pit, axis=1), "density": density}
    return about | {"error": error[own] / density[own] / np.log(2), "x": flat, "kind": kinds}


def judged(model, x, kind) -> np.ndarray:
    """Latents (n, s, 3) that are tested: `JUDGED`."""
    return np.concatenate([x[..., :2], model.predict(x, kind)[1][..., :1]], axis=-1)


def batch(number: int) -> dict:
    """Posteriors of a batch of galaxies, and its images."""
    first = number * FIELD
    pairs, again = (
        simulate.pairs(BATCH, SEED, first, grid="sdss", observation=k) for k in range(2)
    )
    model = optimal_translator.model_of(SEED, np.arange(first, first + BATCH), SURVEYS)
    found = posterior(model, pairs.source)
    print(f"batch {number}: R", found["ratio"].round(2), flush=True)
    some = np.arange(DRAWS * WALKERS).reshape(SAMPLES, -1, WALKERS)[:, -1].ravel()
    x, kind = (found.pop(key)[:, some] for key in ("x", "kind"))
    seen, clean = optimal_translator.observe_samples(model, x, kind)
    found |= {"optimal mean": clean.mean(axis=0), "optimal sample": seen[-1]}
    found |= {"truth": pairs.target, "source": pairs.source, "again": again.target}
    return found | {"noise": pairs.noise[:, 1], "z": pairs.redshift}


def kept_batch(store: paths.Results, number: int) -> dict:
    """Make a batch, or read the one that was made."""
    file, compute = store.data(f"optimal_{number}"), partial(batch, int(number))
    return artefacts.make_arrays(file, compute, params=SETTINGS, seed=SEED)


def measure(images, found: dict) -> dict:
    """Quantity (n,) behind every one of `METRICS`."""
    scale, truth = SDSS.pixel_scale, found["truth"]
    known = measure_images([pixels.measure, peaks.measure], truth, images, found["noise"], scale)
    off = asymmetry(images[:, 2], scale) - asymmetry(truth[:, 2], scale)
    known["asymmetry"] = off[:, None]
    return {name: known[quantity][:, k] for name, (_, quantity, k, _) in METRICS.items()}


def lines_of(row: str, metric: str, band: str, statistic, own, best=None) -> list[dict]:
    """Value of a metric ("whole"), and paired difference from that of the bound ("left")."""
    about = {"metric": metric, "band": band, "row": row}
    lines = [{**about, "part": "whole", **vars(intervals.bootstrap(statistic, own))}]
    if best is not None:
        left = intervals.paired_difference(statistic, own, best)
        lines.append({**about, "part": "left", **vars(left)})
    return lines


def image_lines(rows: dict, found: dict) -> list[dict]:
    """Lines of all metrics of images."""
    known, lines = {row: measure(images, found) for row, images in rows.items()}, []
    for row, own in known.items():
        bound = known[GENERATORS.get(row, "optimal mean")]
        for name, (band, *_, statistic) in METRICS.items():
            best = None if row.startswith("optimal") else bound[name]
            lines += lines_of(row, name, band, statistic, own[name], best)
    return lines


def bits_lines(rows: dict, found: dict, store) -> list[dict]:
    """Lines of redshift information: in posteriors, and what estimators find in images."""
    z, edges = np.asarray(found["z"], float), Grid().edges
    prior = redshifts.prior(latent_model.sample_population(POPULATION)[0][:, 0], edges)
    given = redshifts.information_bits(found["density"], z, edges, prior)
    (line,) = lines_of("posterior", "bits", "retrained", mean, given)
    lines = [line | {"error": intervals.rms(found["error"] ** 2) / np.sqrt(len(z))}]
    for row, images in rows.items():
        judges = {} if row == "source" else {"frozen": "truth"}
        if not row.startswith("optimal"):
            judges["retrained"] = "truth" if row == "again" else row
        for way, judge in judges.items():
            density = load_row(store, "cross", judge).predict(images)
            own = redshifts.information_bits(density, z, edges, prior)
            lines += lines_of(row, "bits", way, mean, own, given)
    return lines


def calibration_lines(found: dict) -> list[dict]:
    """P values of uniform ranks of the truth among the samples."""
    about = {"metric": "pit_pvalue", "part": "whole", "row": "posterior", "n": len(found["z"])}
    values = map(calibration.pvalue, found["pit"].T)
    return [{**about, "band": k, "value": v} for k, v in zip(JUDGED, values, strict=True)]


def table(found: dict, store) -> pd.DataFrame:
    """All lines, of the galaxies whose posteriors converged."""
    good = found["ratio"] < CONVERGED
    found = {name: values[good] for name, values in found.items()}
    source = found["source"]
    rows = {row: found[row] for row in ("optimal mean", "optimal sample", "again")}
    rows["resample"] = lanczos_resample(source, source.shape[-2:], 1.0)
    rows |= {model: translate(pretrained.load(model, "cross"), source) for model in MODELS}
    lines = image_lines(rows, found)
    lines += bits_lines(rows | {"source": source, "truth": found["truth"]}, found, store)
    return pd.DataFrame(lines + calibration_lines(found))


def main() -> None:
    """Read the command line, sample, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=range(10), help="their numbers")
    parser.add_argument("--results", default="")
    args = parser.parse_args()
    store = paths.Results(args.results)
    files = [pretrained.weights_file(model, "cross") for model in MODELS]
    files += [row_file(store, "cross", row) for row in ("source", "truth", "resample", *MODELS)]

    numbers = list(args.batches)

    def make(path):
        parts = [kept_batch(store, k) for k in numbers]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table(found, store).to_csv(path, index=False, float_format="%.5g")

    params = {"batches": numbers, **SETTINGS}
    artefacts.make(TABLE, make, params=params, inputs=files, seed=SEED, ignore=("store",))


if __name__ == "__main__":
    main()
