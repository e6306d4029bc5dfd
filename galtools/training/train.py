"""Train a translator: random crops, physical validation, one file of weights."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from galtools import artefacts, data, models
from galtools.data.photometry import central_flux, robust_scatter
from galtools.errors import GaltoolsError
from galtools.models import checkpoint
from galtools.models.base import count_parameters, sample_images
from galtools.provenance import module_digests, package_versions
from galtools.training import distributed, loop
from galtools.training.crops import Crops, check_pairs, normalization_of, zero_masked
from galtools.training.loop import Settings

VALID = 128  # galaxies of the validation split that are used during the training


def validation_metrics(
    translated: np.ndarray, target: np.ndarray, sky: np.ndarray, bad=None
) -> dict:
    """Residual in units of the noise, flux bias, flux scatter and colour scatter of translations.

    `chi` is the root mean square of (y' - y) / sky, the noise (n, bands) or of every pixel. With
    d = (F' - F) / F of the central flux, bias is the median of d over galaxies, scatter 1.4826
    times its median absolute deviation, and `colour` that of the flux ratio of neighbouring bands,
    (1 + d_b) / (1 + d_b+1) - 1. Pixels of the target that are `bad` are replaced by the
    translation.
    """
    if bad is not None:
        target = np.where(bad, translated, target)
    chi = (translated - target) / (sky if sky.ndim == 4 else sky[:, :, None, None])
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
    target = pairs.target_set
    sky = target.noise if target.sigma_map is None else target.sigma_map
    return validation_metrics(translated, pairs.target, sky, target.bad)


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


def train_and_save(device, weights, build, settings, files, key) -> dict:
    """Train a new network on the first of the files, validate on the second, write its weights.

    A third file holds the regression network that a diffusion model samples about. Several
    processes do so together; the first one writes. Returns what the manifest of the weights keeps.
    """
    torch.manual_seed(settings.seed)
    network = models.build(**build)
    pairs, valid = (data.for_task(data.load(file), build["task"]) for file in files[:2])
    for mean in files[2:]:
        network.set_mean(checkpoint.load_weights(mean))
    folder = Path(weights).parent
    history = train(network, pairs, valid, settings, folder=folder, key=key, device=device)
    if distributed.is_main():
        checkpoint.save_weights(weights, network)
    precision = loop.used_precision(settings.precision, device)
    parameters = count_parameters(network)
    return {"history": history, "parameters": parameters, "precision": precision}


def train_cached(
    folder: Path, build: dict, settings: Settings, train_file: Path, valid_file: Path,
    mean: Path | None = None,
) -> dict:  # fmt: skip
    """Train unless this very training has been done; return its manifest.

    `build` holds the arguments of `models.build`; a diffusion model samples about the `mean` of
    these weights of a residual network (see `Diffusion.set_mean`). The folder receives
    weights.safetensors, history.csv and metrics.json. A training is the same if the settings, the
    data and the code of the model and of the training are the same; neither prose nor figures
    count, nor does the number of processes.
    """
    params = {"build": build, "settings": asdict(settings)}
    files = [train_file, valid_file, *([mean] if mean else [])]
    folder, device = Path(folder), loop.best_device()

    def maker(new):
        precision = loop.used_precision(settings.precision, device)
        code = module_digests([__name__, *models.modules(build["name"])])
        known = [params, precision, code, *map(artefacts.sha256, files), package_versions()]
        what = (build, settings, files, artefacts.digest(known))
        if distributed.needs_launch():
            return distributed.run(train_and_save, new, *what)
        return train_and_save(device, new, *what)

    made = artefacts.make(
        folder / "weights.safetensors", maker,
        params=params, modules=models.modules(build["name"]), inputs=files,
        seed=settings.seed, device=device, ignore=["folder", "device", "mean"],
    )  # fmt: skip
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    history = made["extra"]["history"]
    about = {"seconds": made["seconds"], "parameters": made["extra"]["parameters"]}
    reports = {
        "history.csv": pd.DataFrame(history).to_csv(index=False),
        "metrics.json": json.dumps(history[-1] | about, indent=1) + "\n",
    }
    for name, text in reports.items():
        file = folder / name
        if not (file.exists() and file.read_text() == text):
            with artefacts.atomic(file) as new:
                new.write_text(text)
    return made
