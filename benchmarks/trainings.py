"""Train every translator several times on the same galaxies, measure each, and keep the table.

    make book                              # the data, the target's estimator, first trainings
    .venv/bin/python benchmarks/trainings.py

The recipes are those of the chapters. From training to training nothing changes but the seed of
first weights, of batches and of samples; data, the recipe and the seeds of the estimators, and the
resamples of galaxies stay those of seed 0. Seeds come outermost, and what is done stays done: it
can be interrupted at any time and started again. After a change of one model, `--models NAME`
trains that one anew; the tables hold all that was ever measured in the folder of results. The
chapter with the leaderboard shows them.
"""

import argparse
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from companion import comparison, paths, redshift_evaluation, study, training_scatter
from galtools import __version__, artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, pixels
from galtools.fidelity.metrics import measure_images
from galtools.redshift import Ensemble
from galtools.surveys import BANDS
from galtools.training.loop import Settings

sys.path.insert(0, str(paths.WORKFLOW))
import pipeline

MODELS = tuple(pipeline.load("quick", pipeline.RESULTS)["21_pixels"].parameters["models"])
TASK, FIXED = "cross", 0  # the seed of all that stays the same
MOST = 100  # trainings of a model
MEANS = {
    ("bits", "retrained"): "bits_retrained",
    ("bits", "frozen"): "bits_frozen",
    ("psnr", "r"): "psnr_r",
}  # (metric, band) of means over galaxies: column of a quantity
SCATTERS = {("sigma_mad", "retrained"): "dz_retrained",
            **{("aperture_scatter", band): f"flux_error_{band}" for band in BANDS}}  # fmt: skip
FRACTIONS = {("retained", protocol): [f"bits_{protocol}", "bits_source"]
             for protocol in ("retrained", "frozen")}  # fmt: skip


def chapter(model: str, profile: str) -> dict:
    """Parameters of the chapter of a model in a profile."""
    (file,) = paths.NOTEBOOKS.glob(f"1?_{model}.py")
    return pipeline.full_values(pipeline.Run("", Path(), profile, file.stem, (), {"task": TASK}))


def settings_of(model: str, profile: str, seed: int) -> Settings:
    """Settings with which the chapter of a model trains it, with another seed."""
    values = chapter(model, profile)
    recipe = {name: values[name] for name in ("steps", "batch", "crop", "rate")}
    return Settings(**recipe, seed=seed)


def train(store: paths.Results, results: str, model: str, seed: int) -> None:
    """Train and translate as the model's chapter does, unless this is done."""
    settings = settings_of(model, store.profile, seed)
    draws = chapter(model, store.profile).get("draws", 1)
    mean = store.weights(TASK, "residual", FIXED) if model == "diffusion" else None  # one for all
    study.run(results, store.profile, model, TASK, seed, settings, draws, mean)


def measure(store: paths.Results, model: str, seed: int) -> None:
    """Measure a training on every test galaxy, as chapters 21 and 24 do, unless this is done."""
    recipe = redshift_evaluation.recipe_of(store, FIXED)
    own = redshift_evaluation.train_on_row(store, TASK, model, recipe, FIXED, trained=seed)
    row_file = partial(redshift_evaluation.row_file, store, TASK, seed=FIXED)
    sample = comparison.load_comparison(store, TASK, [model], seed)
    path = store.table(f"training_{model}_{seed}")
    columns = list((MEANS | SCATTERS | FRACTIONS).values())
    artefacts.make(
        path,
        lambda new: galaxies(store, sample, model, own).to_csv(new, index=False),
        params={"model": model, "recipe": asdict(recipe), "columns": columns},
        modules=[
            "companion.redshift_evaluation",
            "galtools.fidelity.pixels",
            "companion.comparison",
        ],
        inputs=[
            *sample.inputs,
            *map(row_file, ("source", "truth")),
            row_file(model, trained=seed),
        ],
        seed=seed,
    )


def galaxies(store, sample, model: str, own: Ensemble) -> pd.DataFrame:
    """Quantities of every test galaxy: bits and dz, PSNR in r, and flux errors."""
    images, z = sample.images[model], sample.pairs.redshift.astype(float)
    prior = redshift_evaluation.prior_of(store)
    source, frozen = (
        redshift_evaluation.load_row(store, TASK, row, FIXED) for row in ("source", "truth")
    )
    judged, *_ = redshift_evaluation.measure_members(source, sample.pairs.source, z, prior)
    found = {"bits_source": judged["bits"][:, 0]}
    for protocol, ensemble in {"frozen": frozen, "retrained": own}.items():
        judged, *_ = redshift_evaluation.measure_members(ensemble, images[:], z, prior)
        found |= {f"{name}_{protocol}": judged[name][:, 0] for name in ("bits", "dz")}
    known = sample.sigma, sample.pixel_scale
    measured = measure_images([pixels.measure], sample.truth, images, *known)
    found["psnr_r"] = measured["psnr"][:, BANDS.index("r")]
    found |= {f"flux_error_{b}": measured["aperture_error"][:, k] for k, b in enumerate(BANDS)}
    return pd.DataFrame(found)


def summarise(galaxies: pd.DataFrame, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Every number of one training, with its interval over galaxies, one galaxy a line."""
    lines = []
    statistics = {
        intervals.mean: MEANS,
        intervals.robust_scatter: SCATTERS,
        intervals.ratio_of_means: FRACTIONS,
    }
    for statistic, columns in statistics.items():
        for (metric, band), column in columns.items():
            found = intervals.bootstrap(statistic, galaxies[column].to_numpy().T, n_boot, seed)
            lines.append({"metric": metric, "band": band, **vars(found)})
    return pd.DataFrame(lines)


def residual_variance(values) -> float:
    """Variance of what neither the galaxy nor the training explains, of values (K, n); unbiased."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return 0.0
    off = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    return float((off**2).sum() / ((values.shape[0] - 1) * (values.shape[1] - 1)))


def galaxy_error(first, second) -> float:
    """Error of the difference of two means that comes from the choice of galaxies: values (K, n).

    sqrt(var(G_a - G_b) / n): the variance of the mean differences of galaxies, less what the rest
    adds to it, which already counts as a matter of trainings.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    paired = (first.mean(0) - second.mean(0)).var(ddof=1)
    noise = sum(residual_variance(values) / len(values) for values in (first, second))
    return float(np.sqrt(max(paired - noise, 0) / first.shape[1]))


def pairs(galaxy_tables: dict[tuple[str, int], pd.DataFrame]) -> pd.DataFrame:
    """Differences of every two models: a line per seed, as if there were no other training.

    Beside it `error`, that of the difference of the means over trainings by the choice of galaxies.
    """
    models = list(dict.fromkeys(model for model, _ in galaxy_tables))
    lines = []
    for ((metric, band), column), (a, b) in product(MEANS.items(), combinations(models, 2)):
        first, second = (
            {k: one[column].to_numpy() for (name, k), one in galaxy_tables.items() if name == model}
            for model in (a, b)
        )
        error = galaxy_error(*(np.stack(list(x.values())) for x in (first, second)))
        about = {"metric": metric, "band": band, "first": a, "second": b, "error": error}
        for k in sorted(first.keys() & second.keys()):
            found = intervals.paired_difference(intervals.mean, first[k], second[k])
            lines.append({**about, "seed": k, **vars(found)})
    return pd.DataFrame(lines)


def recipe(store: paths.Results, model: str, seeds) -> dict:
    """What made the trainings of a model: code, parameters but for the seed, and data."""
    made = [artefacts.read_manifest(store.weights(TASK, model, seed)) for seed in seeds]
    first = {key: made[0][key] for key in ("code", "parameters", "inputs")}
    first["parameters"]["settings"].pop("seed")
    for one in made[1:]:
        if (what := training_scatter.recipe_changes(one, first)) != "nothing":
            raise GaltoolsError(f"trainings of {model} differ in their {what}: run this again")
    return first


def measured(store: paths.Results) -> dict[tuple[str, int], Path]:
    """Tables of all trainings that were measured in this folder, by model and seed."""
    found = {
        (model, seed): store.table(f"training_{model}_{seed}")
        for model in MODELS
        for seed in range(MOST)
    }
    return {key: path for key, path in found.items() if artefacts.is_whole(path)}


def keep(store: paths.Results, out: Path) -> None:
    """Write the tables and the manifest that says where they come from."""
    galaxy_tables = {key: pd.read_csv(path) for key, path in measured(store).items()}
    table = pd.concat(
        summarise(one).assign(model=model, seed=seed)
        for (model, seed), one in galaxy_tables.items()
    )
    table = table[["model", "seed", "metric", "band", "value", "low", "high", "n"]]
    written = {
        out / training_scatter.TABLE.name: table,
        out / training_scatter.PAIRS.name: pairs(galaxy_tables),
    }
    for path, frame in written.items():
        with artefacts.atomic(path) as new:
            frame.to_csv(new, index=False, float_format="%.6g")
    seeds = {m: [k for name, k in galaxy_tables if name == m] for m in dict.fromkeys(table.model)}
    weights = {key: artefacts.read_manifest(store.weights(TASK, *key)) for key in galaxy_tables}
    git = ["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    about = {
        "sha256": {path.name: artefacts.sha256(path) for path in written},
        "profile": store.profile,
        "task": TASK,
        "seeds": seeds,
        "recipes": {model: recipe(store, model, numbers) for model, numbers in seeds.items()},
        "test": artefacts.sha256(store.data("test")),
        "estimators": asdict(redshift_evaluation.recipe_of(store, FIXED)),  # of every row
        "seconds": round(sum(made["seconds"] for made in weights.values())),
        "device": ", ".join(sorted({made["device"] for made in weights.values()})),
        "made": max(made["made"] for made in weights.values()),
        "version": __version__,
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "packages": artefacts.package_versions(),
    }
    artefacts.write_json(artefacts.manifest_path(out / training_scatter.TABLE.name), about)


def main() -> None:
    """Read the command line, train, measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--results", default="", help="folder; the repository's if not given")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--out", type=Path, default=paths.REFERENCE, help="folder of the tables")
    args = parser.parse_args()
    store = paths.Results(args.results, args.profile, kept=False)
    for seed in range(args.seeds):
        for model in args.models:
            train(store, args.results, model, seed)
            measure(store, model, seed)
            print(f"{model}, seed {seed}: measured", flush=True)
    keep(store, args.out)


if __name__ == "__main__":
    try:
        main()
    except GaltoolsError as error:
        raise SystemExit(str(error)) from None
