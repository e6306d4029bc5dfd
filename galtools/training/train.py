"""Train a translator: random crops, physical validation, one file of weights."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from galtools import artefacts, data, models
from galtools.data.photometry import central_flux, robust_scatter
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.models.base import count_parameters, sample_images
from galtools.training import distributed, loop
from galtools.training.crops import Crops, check_pairs, normalization_of, zero_masked
from galtools.training.loop import Settings

VALID = 128  # galaxies of the validation split that are used during the training


def validation_metrics(
    translated: np.ndarray, target: np.ndarray, sky: np.ndarray, bad=None
) -> dict:
    """Residual in units of the noise, flux bias, flux scatter and colour scatter of translations.

    `chi` is the root mean square of (y' - y) / sky. With d = (F' - F) / F of the central flux, bias
    is the median of d over galaxies, scatter 1.4826 times its median absolute deviation, and
    `colour` that of the flux ratio of neighbouring bands, (1 + d_b) / (1 + d_b+1) - 1. Pixels of
    the target that are `bad` are replaced by the translation.
    """
    if bad is not None:
        target = np.where(bad, translated, target)
    chi = (translated - target) / sky[:, :, None, None]
    d = central_flux(translated) / central_flux(target) - 1
    bias = np.median(d, axis=0)
    scatter = robust_scatter(d, axis=0)
    numbers = {
        "chi": float(np.sqrt(np.mean(np.square(chi, dtype=np.float64)))),
        "bias": float(np.abs(bias).mean()),
        "scatter": float(scatter.mean()),
    }
    if len(bias) > 1:
        ratio = (1 + d[:, :-1]) / (1 + d[:, 1:]) - 1
        numbers["colour"] = float(robust_scatter(ratio, axis=0).mean())
    for band in range(len(bias)):
        numbers |= {f"bias_{band}": float(bias[band]), f"scatter_{band}": float(scatter[band])}
    return numbers


def validate(network, pairs) -> dict:
    """Validation metrics of a network that has its scaling, on full stamps."""
    samples = sample_images(network, network.scaling, pairs.source)
    translated = np.concatenate([images[:, 0] for images in samples])
    return validation_metrics(translated, pairs.target, pairs.noise[:, 1], pairs.bad[1])


def train(network, pairs, valid, settings: Settings, *, folder=None, key="", device=None):
    """Train a translator on pairs; return its history.

    The network keeps its scaling as ``network.scaling``: from then on `translate` takes it.
    """
    pairs, valid = zero_masked(pairs), zero_masked(valid)[slice(0, VALID)]
    check_pairs(pairs, settings.crop)
    check_pairs(valid)
    bands = (pairs.source.shape[1], pairs.target.shape[1])
    if bands != tuple(network.recipe["bands"]):
        raise GaltoolsError(f"the data have bands {bands}, the network {network.recipe['bands']}")
    device = torch.device(device or loop.best_device())
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    crops = Crops(pairs, network.scaling, settings.batch, settings.crop, device)
    return loop.fit(
        network, crops, settings,
        check=lambda averaged: validate(averaged, valid), folder=folder, key=key, device=device,
        label=f"{network.recipe['model']} {network.recipe['task']}",
    )  # fmt: skip


def train_and_save(weights, build, settings, load, files, key, device=None) -> dict:
    """Train a new network on the first of two files, validate on the second, write its weights.

    Several processes that torchrun started all do so together; the first one writes. Returns what
    the manifest of the weights keeps.
    """
    torch.manual_seed(settings.seed)
    network = models.build(**build)
    pairs, valid = map(load, files)
    folder = Path(weights).parent
    history = train(network, pairs, valid, settings, folder=folder, key=key, device=device)
    if distributed.is_main():
        checkpoint.save_weights(weights, network)
    precision = loop.used_precision(settings.precision, device or loop.best_device())
    return {
        "history": history, "parameters": count_parameters(network), "precision": precision,
    }  # fmt: skip


def train_cached(
    folder: Path, build: dict, settings: Settings, load, train_file, valid_file
) -> dict:
    """Train unless this very training has been done; return its manifest.

    `build` holds the arguments of `models.build`, ``load(path)`` gives the pairs of the task. The
    folder receives weights.safetensors, history.csv and metrics.json. A training is the same if
    the settings, the data and the code of the model and of the training are the same; neither
    prose nor figures count, nor does the number of processes.
    """
    params = {"build": build, "settings": asdict(settings)}
    folder, files = Path(folder), [train_file, valid_file]

    def maker(new):
        precision = loop.used_precision(settings.precision, loop.best_device())
        known = [params, precision, artefacts.sha256(train_file), artefacts.package_versions()]
        key = artefacts.digest(known)
        if not distributed.needs_launch():
            return train_and_save(new, build, settings, load, files, key)
        paths = {"weights": new.absolute(), "files": [Path(file).absolute() for file in files]}
        return distributed.launch(__name__, {**params, **paths, "key": key}, folder)

    weights = folder / "weights.safetensors"
    made = artefacts.make(
        weights, maker,
        params=params, modules=models.modules(build["name"]), inputs=files,
        seed=settings.seed, device=loop.best_device(), ignore=["folder"],
    )  # fmt: skip
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    write_reports(folder, weights, made)
    return made


def write_reports(folder: Path, weights: Path, made: dict) -> None:
    """Write history.csv and metrics.json beside the weights, from the weights' manifest."""
    history = made["extra"]["history"]
    names = list(dict.fromkeys(name for row in history for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in history)]
    about = {"seconds": made["seconds"], "parameters": made["extra"]["parameters"]}
    texts = {
        "history.csv": "\n".join(map(",".join, lines)) + "\n",
        "metrics.json": json.dumps({**history[-1], **about}, indent=1) + "\n",
    }
    for name, text in texts.items():

        def maker(new, text=text):
            new.write_text(text)

        artefacts.make(
            folder / name, maker,
            params={"key": made["key"]}, modules=["galtools.training.train"], inputs=[weights],
        )  # fmt: skip


def work(file: Path) -> None:
    """Train as one of several processes, on the task in a file; leave a report."""
    task = json.loads(Path(file).read_text())
    report, device = Path(task["report"]), distributed.init()

    def load(path):
        return data.for_task(data.load(path), task["build"]["task"])

    try:
        made = train_and_save(
            Path(task["weights"]), task["build"], Settings(**task["settings"]), load,
            task["files"], task["key"], device,
        )  # fmt: skip
        if distributed.is_main():
            report.write_text(json.dumps(made))
    except GaltoolsError as error:
        report.write_text(json.dumps({"error": str(error)}))
        raise
    finally:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    work(Path(sys.argv[1]))
