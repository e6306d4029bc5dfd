"""Redshift estimators of the book, under three protocols: which images they were trained on.

frozen      original images of the target's survey: what the translation lost and what merely
            looks different to the estimator, together
retrained   the same, finetuned on the images that it is then asked about: what is lost
source      the source images: what there was to translate
"""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch

from companion import paths
from galtools import artefacts, data
from galtools.data import image_files
from galtools.data.resampling import lanczos_resample
from galtools.models.checkpoint import load_weights
from galtools.redshift import Ensemble, Features
from galtools.training.loop import Settings
from galtools.training.translate import translate

SURVEY = {"cross": "CFHTLS", "intra": "SDSS"}  # whose images a task makes
CHUNK = 256  # galaxies at a time


def estimator_file(store: paths.Results, survey: str, seed: int) -> Path:
    """File of the ensemble that the chapter on the estimator trained on a survey."""
    path = store.model("redshift", survey, seed) / "weights.safetensors"
    return paths.need(path, "16_redshift_estimator", *training_files(store))


def training_files(store: paths.Results) -> list[Path]:
    """File of training pairs, from which all weights have to be learnt, if it is there."""
    return [file for file in [store.data("train")] if file.exists()]


def row_images(row: str, pairs, network=None, first: int = 0) -> np.ndarray:
    """Images of galaxies in a row of the comparison; `first` is the number of the first one."""
    if row == "truth":
        return pairs.target
    if row == "resample":
        return lanczos_resample(pairs.source, pairs.target.shape[-1], pairs.pixel_ratio)
    return translate(network, pairs.source, start=first)


def row_features(ensemble: Ensemble, file: Path, count: int, task: str, row: str, weights=None):
    """Features and redshifts of the first `count` galaxies of a file in a row, a few at a time."""
    z = image_files.read_column(file, "redshift")[:count]
    network = weights and load_weights(weights)
    parts = []
    for first in range(0, len(z), CHUNK):
        pairs = data.for_task(data.load(file, slice(first, min(first + CHUNK, len(z)))), task)
        parts.append(ensemble.extract_features(row_images(row, pairs, network, first)))
    return Features(*map(torch.cat, zip(*parts, strict=True))), z


def finetune_cached(
    store: paths.Results, task: str, row: str, weights: Path | None, files: dict[int, Path],
    check: int, settings: Settings, seed: int = 0,
) -> dict[int, Ensemble]:  # fmt: skip
    """Finetune the estimator of the target's survey on the images of a row, once.

    `files` {learn: file of the ensemble} says on how many galaxies of the training split; the first
    `check` of the validation split fix the temperature. A translator's row has `weights`; `seed` is
    that of the estimator. Returns {learn: Ensemble}.
    """
    start = estimator_file(store, SURVEY[task], seed)
    splits = [paths.need(store.data(split), "01_two_surveys") for split in ("train", "valid")]
    if weights:
        artefacts.check_inputs(weights, splits[0], advice="run the notebook that trains it again")

    counts = max(files), check

    @cache
    def sets():
        return [
            row_features(Ensemble.load(start), file, count, task, row, weights)
            for file, count in zip(splits, counts, strict=True)
        ]

    def maker(new, learn):
        (features, z), valid = sets()
        some = Features(*(column[:learn] for column in features))
        Ensemble.load(start).finetune(some, z[:learn], *valid, settings).save(new)

    for learn, path in files.items():
        about = {"learn": learn, "check": check, "task": task, "row": row}
        artefacts.make(
            path, lambda new, learn=learn: maker(new, learn),
            params=asdict(settings) | about,
            modules=["companion.redshift_evaluation"],
            inputs=[start, *splits, *([weights] if weights else [])], seed=settings.seed,
        )  # fmt: skip
    return {learn: Ensemble.load(path) for learn, path in files.items()}


def finetuned_file(store: paths.Results, task: str, row: str, seed: int, trained: int) -> Path:
    """File of the estimator that was finetuned on a row of a task; see `finetune_on_row`."""
    name = f"{task}_{row}" if trained == seed else f"{task}_{row}_seed{trained}"
    return store.model("redshift", name, seed) / "weights.safetensors"


def finetune_on_row(
    store, task, row, settings: Settings, learn: int, check: int, seed=0, trained: int | None = None
) -> Ensemble:
    """Finetune the estimator on a row of the comparison, once.

    `seed` is that of the estimator and, unless `trained` is given, of the translator.
    """
    trained = seed if trained is None else trained
    weights = None if row in ("truth", "resample") else store.weights(task, row, trained)
    files = {learn: finetuned_file(store, task, row, seed, trained)}
    return finetune_cached(store, task, row, weights, files, check, settings, seed)[learn]
