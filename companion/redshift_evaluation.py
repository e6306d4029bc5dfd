"""What redshift densities from translated images are worth, under three protocols.

frozen      the estimator learnt from original target images and is shown translated ones: what
            the translation lost, and what the estimator cannot read, together
retrained   it went on learning from translated images and is shown translated ones: what is lost
source      it learnt from the source images and is shown them: what there was to translate

Nothing that is made from the source alone can know more than the source. Summaries are tidy
tables, level "redshift", with the protocol in the column "band".
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from companion import paths
from galtools import artefacts, data, redshift
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import information, intervals
from galtools.fidelity.pixels import Metric, tidy
from galtools.redshift import Ensemble, Grid
from galtools.training.loop import Settings
from galtools.training.translate import translate

METRICS = {
    "bias": Metric(("dz",), intervals.mean, 0, "mean dz = (z_est - z) / (1 + z)"),
    "sigma_mad": Metric(("dz",), intervals.robust_scatter, 0, "1.48 MAD of dz"),
    "outliers": Metric(
        ("wrong",), intervals.fraction, 0, "share of |dz| beyond the survey's limit"
    ),
    "crps": Metric(("crps",), intervals.mean, 0, "continuous ranked probability score"),
    "coverage": Metric(("covered",), intervals.fraction, 0.683, "share of z in the central 68.3 %"),
    "bits": Metric(("bits",), intervals.mean, np.inf, "prior entropy less cross-entropy, bits"),
}
SURVEY = {"cross": "CFHTLS", "intra": "SDSS"}  # whose images a task makes


def redshift_quantities(density, z, grid: Grid, prior, limit: float) -> dict[str, np.ndarray]:
    """Judge the densities (n, bins) of all galaxies: quantities of shape (n, 1)."""
    z = np.asarray(z, float)
    dz = (redshift.point_estimate(density, grid, "median") - z) / (1 + z)
    found = {
        "dz": dz,
        "wrong": np.abs(dz) > limit,
        "crps": redshift.crps(density, z, grid),
        "covered": redshift.in_central_interval(density, z, grid),
        "pit": redshift.cumulative(density, z, grid),
        "bits": information.information_bits(density, z, grid.edges, prior),
    }
    return {name: np.asarray(values, float)[:, None] for name, values in found.items()}


def ensemble_densities(ensembles: dict[str, Ensemble], images) -> dict[str, tuple]:
    """Densities that several ensembles give, {name: (of the ensemble, of each network)}.

    As `Ensemble.densities`, for ensembles that measure alike, as one and what was tuned from it do:
    every image is measured once.
    """
    networks = [network for ensemble in ensembles.values() for network in ensemble.networks]
    found, each = {}, iter(redshift.log_densities(networks, images))
    for name, ensemble in ensembles.items():
        own = [next(each) for _ in ensemble.networks]
        apart = np.stack([redshift.apply_temperature(log_p, ensemble.temperature) for log_p in own])
        found[name] = (
            redshift.apply_temperature(redshift.mean_log_density(own), ensemble.temperature),
            apart,
        )
    return found


def summarise(judged, protocol: str, members=(), n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Tidy table of `METRICS`; `members`, what `judge` says of single networks, gives the scatter
    of each metric over estimator seeds, in the column "seed_scatter" (NaN for fewer than two)."""
    table = tidy(judged, METRICS, [protocol], "redshift", n_boot, seed)
    scatter = {}
    for name, metric in METRICS.items():
        (quantity,) = metric.quantities
        each = [float(metric.statistic(one[quantity][:, 0])) for one in members]
        scatter[name] = np.std(each, ddof=1) if len(each) > 1 else np.nan
    return table.assign(seed_scatter=table.metric.map(scatter))


def retained_table(
    bits, source_bits, protocol: str, n_boot=intervals.N_BOOT, seed=0
) -> pd.DataFrame:
    """Share of the source's information: mean bits over mean bits of the source, in one row."""
    measured = {"kept": bits, "had": source_bits}
    metric = Metric(("kept", "had"), intervals.ratio_of_means, 1, "share of the source's bits")
    return tidy(measured, {"retained": metric}, [protocol], "redshift", n_boot, seed)


def slices(estimates, catalogue) -> dict[str, np.ndarray]:
    """Masks of galaxies: thirds by estimated redshift and by magnitude, and types, as far as known.

    By the *estimated* redshift: of galaxies chosen by their true redshift, even a perfect estimator
    puts the far ones too near, since nearer ones are more common.
    """
    columns = {("near", "middle", "far"): np.asarray(estimates, float)}
    if "source_r" in catalogue.colnames:
        columns["bright", "medium", "faint"] = np.asarray(catalogue["source_r"], float)
    found = {}
    for names, values in columns.items():
        third = np.searchsorted(np.nanquantile(values, [1 / 3, 2 / 3]), values, side="right")
        found |= {name: third == k for k, name in enumerate(names)}
    if "red" in catalogue.colnames:
        red = np.asarray(catalogue["red"], bool)
        found |= {"red": red, "blue": ~red}
    return found


def by_slice(judged, masks, metrics, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Tidy table of some metrics in each slice; metrics are named "<slice>_<metric>"."""
    parts = []
    for name, mask in masks.items():
        part = {quantity: values[mask] for quantity, values in judged.items()}
        table = tidy(part, {m: METRICS[m] for m in metrics}, ["slice"], "redshift", n_boot, seed)
        parts.append(table.assign(metric=[f"{name}_{metric}" for metric in table.metric]))
    return pd.concat(parts, ignore_index=True)


def estimator_file(store: paths.Results, survey: str, seed: int) -> Path:
    """File of the ensemble that the chapter on the estimator trained on a survey."""
    path = store.model("redshift", survey, seed) / "weights.safetensors"
    return paths.need(path, "16_redshift_estimator")


def row_images(row: str, pairs, weights: Path | None) -> np.ndarray:
    """Images of some galaxies as a row of the comparison has them, on the target's grid."""
    if row == "truth":
        return pairs.target
    if row == "resample":
        return lanczos_resample(pairs.source, pairs.target.shape[-1], pairs.pixel_ratio)
    return translate(weights, pairs.source)


def finetuned_file(store: paths.Results, task: str, row: str, seed: int, trained: int) -> Path:
    """File of an ensemble that went on learning from the images of a row; see `retrain`."""
    name = f"{task}_{row}" if trained == seed else f"{task}_{row}_seed{trained}"
    return store.model("redshift", name, seed) / "weights.safetensors"


def retrain(
    store, task, row, settings: Settings, learn: int, check: int, seed=0, trained: int | None = None
) -> Ensemble:
    """Let the frozen estimator go on learning from the images of a row, unless this is done.

    The first `learn` galaxies of the training split, as the row renders them, and for the
    temperature the first `check` of the validation split. `seed` is that of the estimator and, if
    not said otherwise by `trained`, of the translator.
    """
    trained = seed if trained is None else trained
    start = estimator_file(store, SURVEY[task], seed)
    files = {split: paths.need(store.data(split), "01_two_surveys") for split in ("train", "valid")}
    weights = store.weights(task, row, trained) if row not in ("truth", "resample") else None
    numbers = {"train": learn, "valid": check}

    def maker(new):
        sets = []
        for split, file in files.items():
            pairs = data.for_task(data.load(file, slice(numbers[split])), task)
            sets += [row_images(row, pairs, weights), pairs.redshift]
        Ensemble.load(start).tuned(*sets, settings).save(new)

    path = finetuned_file(store, task, row, seed, trained)
    artefacts.make(
        path, maker,
        params=asdict(settings) | {"learn": learn, "check": check, "task": task, "row": row},
        modules=["companion.redshift_evaluation"],
        inputs=[start, *files.values(), *([weights] if weights else [])], seed=seed,
    )  # fmt: skip
    return Ensemble.load(path)


def bits_by_feature_group(
    learn, check, test, noise, settings: Settings, **recipe
) -> dict[tuple, np.ndarray]:
    """Bits (n,) that estimators find in each choice of what is measured: light, peak, shape.

    `learn`, `check` and `test` are (images, redshifts); `recipe` goes to the networks.
    """
    images, z = test
    choices = information.subsets(redshift.GROUPS)
    found, grid = redshift.densities_by_feature_group(
        choices, learn, check, images, noise, settings, **recipe
    )
    prior = information.prior(learn[1], grid.edges)
    z = np.asarray(z, float)
    return {
        groups: information.information_bits(p, z, grid.edges, prior) for groups, p in found.items()
    }
