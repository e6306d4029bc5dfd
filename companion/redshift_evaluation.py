"""Redshift information in images, by estimators that are all trained from scratch alike.

Every row of the comparison has an estimator of its own, with the recipe, the number of galaxies and
the seeds of all others:

source      the source images: what there was to translate
copy        the same images, other seeds: nothing is lost, so it has to keep all
truth       the target images, whose estimator is also shown a second observation; shown
            translations it is the "frozen" one, sensitive to loss and to a mere change alike
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from companion import paths
from companion.flux_redshift import swap_core
from galtools import artefacts, data, redshift
from galtools.data import image_files
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import intervals, redshifts
from galtools.models.checkpoint import load_weights
from galtools.redshift import Ensemble, Features, Grid
from galtools.training.loop import Settings
from galtools.training.translate import translate

SURVEY = {"cross": "CFHTLS", "intra": "SDSS"}  # whose images a task makes
OF_SOURCE = ("source", "copy")
NOT_MADE = (*OF_SOURCE, "truth", "resample")  # rows that need no translator
CHUNK = 256  # galaxies at a time
LIMIT = redshift.OUTLIER["SDSS"]


@dataclass(frozen=True)
class Recipe:
    """How the estimator of every row is trained."""

    learn: int = 1200  # galaxies of the training split
    check: int = 300  # of the validation split, which fix its calibration
    steps: int = 400
    members: int = 2  # networks that differ in their seed
    batch: int = 256
    rate: float = 0.006
    hidden: int = 128
    width: int = 0  # channels of convolutions that see pixels alone; 0: measurements alone


def same_images(task: str, row: str) -> str:
    """Row with the same kind of images, whose estimator a row shares."""
    row = "truth" if row == "again" else row
    return "source" if (task, row) == ("intra", "truth") else row


def row_file(store, task, row: str, seed=0, trained=None, pixels=False, core=0.0) -> Path:
    """File of the estimator of a row; `trained` is the seed of the translator, if it is another.

    Those that see `pixels` alone have a folder of their own; for `core` see `train_on_row`.
    """
    row = same_images(task, row)
    other = "" if trained in (None, seed) or row in NOT_MADE else f"_seed{trained}"
    name = row if row in OF_SOURCE else f"{task}_{row}{other}"
    name += "_core" if core else ""
    return store.weights("redshift_pixels" if pixels else "redshift", name, seed)


def row_images(row: str, pairs, network=None, first: int = 0) -> np.ndarray:
    """Images of galaxies in a row of the comparison; `first` is the number of the first one."""
    if row in OF_SOURCE:
        return pairs.source
    if row == "truth":
        return pairs.target
    if row == "resample":
        return lanczos_resample(pairs.source, pairs.target.shape[-2:], pairs.pixel_ratio)
    return translate(network, pairs.source, start=first)


def train_on_row(
    store, task: str, row: str, recipe: Recipe, seed=0, trained=None, core=0.0
) -> Ensemble:
    """Train the estimator of a row from scratch, once.

    Within `core` pixels of the centre, the images are those of the target.
    """
    row, weights = same_images(task, row), None
    splits = [paths.need(store.data(split), "01_two_surveys") for split in ("train", "valid")]
    if row not in NOT_MADE:
        weights = store.weights(task, row, seed if trained is None else trained)
        artefacts.check_inputs(weights, splits[0], advice="run the notebook that trains it again")
    file = row_file(store, task, row, seed, trained, recipe.width > 0, core)
    artefacts.make(
        file,
        lambda new: train_estimator(splits, task, row, recipe, seed, weights, core).save(new),
        params={"recipe": asdict(recipe), "row": row}
        | ({} if row in OF_SOURCE else {"task": task, "core": core}),
        inputs=[*splits, *([weights] if weights else [])],
        seed=seed,
    )
    return Ensemble.load(file)


def train_estimator(
    splits, task: str, row: str, recipe: Recipe, seed=0, weights=None, core=0.0
) -> Ensemble:
    """Estimator of a row, from the files of the training and of the validation split."""
    network = weights and load_weights(weights)
    own_seed = seed + 1000 * (row == "copy")
    ensemble, sets = None, []
    for file, count in zip(splits, (recipe.learn, recipe.check), strict=True):
        z, parts = image_files.read_column(file, "redshift")[:count], []
        for first in range(0, len(z), CHUNK):
            pairs = data.for_task(data.load(file, slice(first, min(first + CHUNK, len(z)))), task)
            images = row_images(row, pairs, network, first)
            images = swap_core(images, pairs.target, core) if core else images
            if ensemble is None:
                ensemble = untrained(
                    images, pairs.noise[:, int(row not in OF_SOURCE)], recipe, own_seed
                )
            parts.append(ensemble.extract_features(images))
        sets.append((Features(*map(torch.cat, zip(*parts, strict=True))), z))
    settings = Settings(
        recipe.steps, recipe.batch, rate=recipe.rate, weight_decay=1e-3, checks=1, seed=own_seed
    )
    return ensemble.fit(*sets[0], settings).calibrate(*sets[1])


def untrained(images, noise, recipe: Recipe, seed: int) -> Ensemble:
    """Ensemble before its training, prepared by the first images and their sky noise (n, bands)."""
    groups = () if recipe.width else redshift.GROUPS
    sizes = {"hidden": recipe.hidden, "width": recipe.width, "groups": groups}
    ensemble = Ensemble.untrained(images.shape[1], seed, recipe.members, **sizes)
    ensemble.prepare(images, np.median(noise, axis=0))
    return ensemble


def load_row(store: paths.Results, task: str, row: str, seed: int = 0) -> Ensemble:
    """Estimator of a row that chapter 24 has trained."""
    file = row_file(store, task, row, seed)
    return Ensemble.load(paths.need(file, "24_redshift", store.data("train")))


def recipe_of(store: paths.Results, seed: int = 0) -> Recipe:
    """Recipe of the estimators of chapter 24."""
    file = paths.need(row_file(store, "cross", "source", seed), "24_redshift")
    return Recipe(**artefacts.read_manifest(file)["parameters"]["recipe"])


def pixels_table(task: str) -> Path:
    """File of the kept table of chapter 24 by estimators that see pixels alone."""
    return paths.REFERENCE / f"24_redshift_pixels{'' if task == 'cross' else '_intra'}.csv"


def pixels_shares(task: str) -> dict:
    """Shares of the source's information that such estimators found, {row: Estimate}, if kept."""
    file = pixels_table(task)
    if not file.exists():
        return {}
    artefacts.check_inputs(file, advice="git checkout it, or make it again as chapter 24 says")
    table = pd.read_csv(file)
    table = table[(table.metric == "retained") & (table.band == "retrained")]
    return {x.row: intervals.Estimate(x.value, x.low, x.high, x.n) for x in table.itertuples()}


def compare_judges(shares: dict, task: str) -> pd.DataFrame:
    """Shares {(protocol, row): Estimate} beside those by pixels alone, and whether they disagree.

    They do if the interval of their difference leaves out zero; a line per row that is kept.
    """
    lines = {}
    for row, b in pixels_shares(task).items():
        if a := shares.get(("retrained", row)):
            apart = abs(a.value - b.value) > np.hypot(a.high - a.low, b.high - b.low) / 2
            lines[row] = {"measurements": str(a), "pixels alone": str(b), "disagree": bool(apart)}
    names = ["measurements", "pixels alone", "disagree"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=names).astype({"disagree": bool})


def finetuned_shares() -> dict[str, str]:
    """Shares in per cent of an earlier version, whose estimators had been fine-tuned (kept)."""
    file = paths.REFERENCE / "24_redshift_finetuned.csv"
    artefacts.check_inputs(file, advice="git checkout it")
    table = pd.read_csv(file).query("metric == 'retained' and band == 'retrained'")
    table = 100 * table.set_index("row")[["value", "low", "high"]]
    made = table.value.drop(["truth", "again", "resample"])
    rows = {"best": made.idxmax(), "worst": made.idxmin(), "floor": "resample"}
    return {name: intervals.format_interval(*table.loc[row]) for name, row in rows.items()}


def prior_of(store: paths.Results) -> np.ndarray:
    """Distribution of redshifts of the training galaxies, in the bins of the estimators."""
    train = paths.need(store.data("train"), "01_two_surveys")
    return redshifts.prior(image_files.read_column(train, "redshift"), Grid().edges)


def measure_members(ensemble: Ensemble, images, z, prior) -> list[dict]:
    """Quantities (n, 1) of all galaxies by an ensemble, then by each of its networks."""
    density, each = ensemble.densities(ensemble.extract_features(images))
    return [redshifts.measure(d, z, ensemble.grid, prior, LIMIT) for d in (density, *each)]


def bits_of_samples(ensemble: Ensemble, samples, z, prior) -> tuple[np.ndarray, np.ndarray]:
    """Mean bits (n,) of the samples (n, bands, H, W) of a galaxy, bits of their mean density."""
    each = [ensemble.densities(ensemble.extract_features(images))[0] for images in samples]
    edges = ensemble.grid.edges
    single = [redshifts.information_bits(density, z, edges, prior) for density in each]
    mean = redshifts.information_bits(np.mean(each, axis=0), z, edges, prior)
    return np.mean(single, axis=0), mean


def seed_error(judged: dict) -> float:
    """Standard error of the mean bits of a row by the seeds of its networks, pooled over rows."""
    means = [[one["bits"].mean() for one in members] for _, *members in judged.values()]
    if len(means[0]) < 2:
        return np.nan
    return float(np.sqrt(np.var(means, axis=1, ddof=1).mean() / len(means[0])))


def difference(first, second, error: float, n_boot=intervals.N_BOOT, seed=0):
    """Difference of the mean bits (n,) of two rows; the interval holds galaxies and `error`."""
    e = intervals.paired_difference(intervals.mean, first, second, n_boot, seed)
    return intervals.widen(e, np.sqrt(2) * error)


def information_ratio(bits, source_bits, error: float, n_boot=intervals.N_BOOT, seed=0):
    """Bits (n,) of a row over the source's; the interval holds galaxies and the seeds' `error`."""
    both = np.stack([bits, source_bits])
    e = intervals.bootstrap(intervals.ratio_of_means, both, n_boot, seed)
    total = max(float(np.mean(source_bits)), 1e-9)
    return intervals.widen(e, error * np.hypot(1, e.value) / total)


def scatter_ratio(dz, source_dz, n_boot=intervals.N_BOOT, seed=0):
    """Robust scatter of the redshift errors (n,) of a row over that of the source's."""
    both = np.stack([dz, source_dz])
    return intervals.bootstrap(
        lambda x: np.divide(*intervals.robust_scatter(x)), both, n_boot, seed
    )
