"""The kept weights of long trainings: their learning curves, and their use in a book."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from companion import paths
from galtools import artefacts, data, pretrained
from galtools.data import image_files
from galtools.fidelity import pixels, redshifts
from galtools.models import checkpoint, weights_folder
from galtools.models.base import Translator
from galtools.redshift import Ensemble
from galtools.training import train, translate


def learning_curve(
    weights: Path, train_file: Path, valid_file: Path, estimator: Path | None = None
) -> pd.DataFrame:
    """History of a training, with PSNR and bits of the weights that it had at every validation.

    Both are means over the validation galaxies, PSNR also over bands; bits are those of an
    `estimator` of original images, NaN without one.
    """
    network = checkpoint.load_weights(weights)
    history = pd.DataFrame(artefacts.read_manifest(weights)["extra"]["history"])
    pairs = data.for_task(data.load(valid_file), network.recipe["task"])
    ensemble = Ensemble.load(estimator) if estimator else None
    scale = pixels.full_scale(pairs.target_set.pixel_scale)
    for row, step in history.step.items():
        snapshot = Path(weights).with_name(f"snapshot{step}.safetensors")
        network.load_state_dict(checkpoint.load_finite(snapshot)[0])
        images = translate.translate(network, pairs.source)
        error = np.mean(np.square(images - pairs.target, dtype=np.float64), axis=(2, 3))
        history.loc[row, "psnr"] = np.mean(10 * np.log10(scale**2 / error))
        history.loc[row, "bits"] = np.nan
        if ensemble:
            edges = ensemble.grid.edges
            prior = redshifts.prior(image_files.read_column(train_file, "redshift"), edges)
            given = ensemble.predict(images), pairs.redshift, edges, prior
            history.loc[row, "bits"] = redshifts.information_bits(*given).mean()
    return history


def kept_files(task: str) -> dict[tuple[str, int], Path]:
    """Files of kept weights of a task, by model and seed."""
    files = sorted(weights_folder().glob(f"{task}/*/seed*/weights.safetensors"))
    return {(file.parts[-3], int(file.parts[-2].removeprefix("seed"))): file for file in files}


def bring_in(store: paths.Results, task: str, models, draws: int, seed: int = 0) -> pd.DataFrame:
    """Translate the test galaxies by the kept networks of a task; a row for each network.

    From then on `store` returns these weights and translations, and every chapter judges them. They
    come in together, since an hour's training is not comparable with one of 40 seconds: while one
    of the `models` has none that fits (`waits_for`), all are removed, as is what does not fit, and
    the networks that were trained here are judged.
    """
    files, rows = kept_files(task), []
    for (model, number), file in files.items():
        manifest, reason = artefacts.read_manifest(file), unfit(file, store.data("test"))
        row = {"model": model, "seed": number, "hours": manifest["extra"]["seconds"] / 3600}
        row |= {"MB": manifest["bytes"] / 1e6, "half precision / σ": manifest["extra"]["half_cost"]}
        rows.append(row | {"fits": reason or "yes"})
    table = pd.DataFrame(rows)
    complete = not waits_for(table, models, seed)
    for (key, file), fits in zip(files.items(), table.fits, strict=True):
        if complete and fits == "yes":
            _translate(store, file, task, *key, draws)
        else:
            _remove(store, task, *key)
    return table


def waits_for(table: pd.DataFrame, models, seed: int = 0) -> list[str]:
    """Models of which no kept network of this seed fits, by the table of `bring_in`."""
    fit = set(table.model[(table.fits == "yes") & (table.seed == seed)])
    return [model for model in models if model not in fit]


def unfit(file: Path, test_file: Path) -> str:
    """Say why kept weights cannot be judged by these test galaxies, or nothing."""
    if reason := pretrained.misfit(file):
        return reason
    size = data.load(test_file, slice(0, 1)).target.shape[-1]
    if size != (made := checkpoint.load_weights(file).scaling.size):
        return f"it makes images of {made} pixels, these have {size}"
    trained = artefacts.read_manifest(file)["extra"]["simulation"]["seed"]
    if trained == data.describe(test_file)["provenance"].get("seed"):
        return f"it was trained on galaxies of seed {trained}, as these are"
    return ""


def _remove(store, task: str, model: str, seed: int) -> None:
    """Remove what was brought in before, translations and then weights."""
    folder = store.kept_model(task, model, seed)
    translations = store.translations(task, model, seed)
    if translations.stem == folder.name:
        translations.unlink(missing_ok=True)
        artefacts.manifest_path(translations).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _translate(store, file: Path, task: str, model: str, seed: int, draws: int) -> None:
    """Bring one file of weights into the results, and translate the test galaxies by it."""
    train_file, test_file = (store.data(split) for split in ("train", "test"))
    artefacts.make(
        store.kept_model(task, model, seed) / "weights.safetensors",
        lambda new: shutil.copyfile(file, new) and None,
        params={}, inputs=[file, train_file], seed=seed,
    )  # fmt: skip
    weights = store.weights(task, model, seed)
    draws_noise = type(checkpoint.load_weights(weights)).sampler is not Translator.sampler
    translate.translate_cached(
        store.translations(task, model, seed), weights, test_file,
        draws if draws_noise else 1, seed,
    )  # fmt: skip


def histories(task: str) -> pd.DataFrame:
    """Histories of all kept trainings of a task, with columns model and seed."""
    files = kept_files(task).items()
    curves = {key: pd.read_csv(file.with_name("history.csv")) for key, file in files}
    return pd.concat(curves, names=["model", "seed"]).reset_index(["model", "seed"])


def compare(store: paths.Results, task: str, models, seed: int = 0) -> pd.DataFrame:
    """Validation metrics on the test galaxies, of kept networks and of those trained here."""
    pairs = data.for_task(data.load(store.data("test")), task)
    here, rows = replace(store, kept=False), []
    for model in models:
        files = {"trained here": here.translations(task, model, seed)}
        if (brought := store.translations(task, model, seed)) not in files.values():
            files["kept"] = brought
        for weights, file in files.items():
            images = translate.load_translations(file)
            metrics = train.validation_metrics(images, pairs.target, pairs.noise[:, 1])
            errors = {f"{name} [%]": 100 * metrics[name] for name in ("bias", "scatter")}
            rows.append(
                {"model": model, "weights": weights, "residual / σ": metrics["chi"], **errors}
            )
    return pd.DataFrame(rows)
