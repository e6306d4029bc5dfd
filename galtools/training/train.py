"""Train a translator: random crops of matched stamps, physical validation, one file of weights.

This module and what it imports need only torch, numpy, h5py, safetensors and einops.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from galtools import artefacts, models
from galtools.data.photometry import central_flux, robust_scatter
from galtools.data.sides import pixel_step
from galtools.data.stretch import Normalization, fit_normalization
from galtools.errors import GaltoolsError
from galtools.models.base import Batch, count_parameters, sample_images
from galtools.training import checkpoint, distributed, loop
from galtools.training.loop import Settings

SOFTENING = 2.0  # softening of the stretch in units of the source's sky noise per pixel; from 1
# to 10 the residual and the flux scatter hardly differ, but a larger one lets more noise through
VALID = 128  # galaxies of the validation split that are looked at during the training


def check_images(images, name: str) -> None:
    """Refuse what is not a stack of finite float images (n, bands, H, W)."""
    if getattr(images, "ndim", 0) != 4 or images.shape[-1] != images.shape[-2]:
        raise GaltoolsError(f"{name} must have shape (n, bands, H, H), not {np.shape(images)}")
    if images.dtype != np.float32:
        raise GaltoolsError(f"{name} must be float32 nanomaggies per pixel, not {images.dtype}")
    if not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        raise GaltoolsError(f"{name} has NaN or infinite pixels, first in image {bad[0]}: cut them")


def zero_masked(pairs):
    """Darken the pixels that do not count, whatever they hold, be it NaN."""
    if all(bad is None for bad in pairs.bad):
        return pairs
    sides = zip((pairs.source, pairs.target), pairs.bad, strict=True)
    source, target = (
        images if bad is None else np.where(bad, np.float32(0), images) for images, bad in sides
    )
    return replace(pairs, source=source, target=target)


def check_pairs(pairs, crop: int = 0) -> None:
    """Refuse pairs that no translator can be trained on."""
    check_images(pairs.source, "source")
    check_images(pairs.target, "target")
    if len(pairs.source) != len(pairs.target) or len(pairs.source) == 0:
        raise GaltoolsError("source and target must hold the same galaxies, at least one")
    if crop > pairs.target.shape[-1]:
        raise GaltoolsError(f"crop {crop} is larger than the stamps of {pairs.target.shape[-1]}")
    if not (np.isfinite(pairs.noise).all() and (pairs.noise > 0).all()):
        raise GaltoolsError("noise must be positive: it sets the stretch and the unit of residuals")


def normalization_of(pairs, kind: str = "sqrt") -> Normalization:
    """Fit the stretches to training pairs."""
    step = pixel_step(pairs.source, pairs.target)
    softening = SOFTENING * np.median(pairs.noise[:, 0], axis=0)
    return fit_normalization(pairs.source, pairs.target, softening, step, kind)


class Crops:
    """Random crops of matched stamps, in one of eight orientations, stretched; galaxies repeat."""

    def __init__(self, pairs, scaling: Normalization, settings: Settings, device, lattice: int = 1):
        """Put all stamps on the device; the corners of crops are multiples of `lattice` pixels."""
        self.source = torch.as_tensor(pairs.source).to(device)
        self.target = torch.as_tensor(pairs.target).to(device)
        bad = pairs.bad[1]
        self.good = None if bad is None else torch.as_tensor(~bad).to(device)
        self.scaling, self.device, self.batch = scaling, device, settings.batch
        self.side, self.lattice = settings.crop or scaling.size, lattice

    def __call__(self, generator: torch.Generator, progress: float) -> Batch:
        """Draw a batch: galaxies, corners, flips and transpositions all follow the generator."""

        def integers(high):
            return torch.randint(high, (self.batch,), generator=generator, device=self.device)

        galaxies, flips = integers(len(self.source)), [integers(2), integers(2)]
        places = (self.scaling.size - self.side) // self.lattice + 1
        corners = [self.lattice * integers(places) for _ in flips]
        rows, columns = map(self._pixels, corners, flips)
        turned = integers(2).bool()[:, None, None, None]

        def cut(images, numbers):
            bands = torch.arange(images.shape[1], device=self.device)[None, :, None, None]
            crops = images[numbers[:, None, None, None], bands, rows, columns.mT]
            return torch.where(turned, crops.mT, crops)

        if self.scaling.step == 1:
            source = self.scaling.source.forward(cut(self.source, galaxies))
        else:
            every = torch.arange(self.batch, device=self.device)
            source = cut(self.scaling.enter(self.source[galaxies]), every)
        stretch = self.scaling.target
        target = stretch.forward(cut(self.target, galaxies))
        good = None if self.good is None else cut(self.good, galaxies)
        return Batch(source, target, stretch.inverse, stretch.forward, progress, generator, good)

    def _pixels(self, corner, flip):
        """Pixel numbers along one axis, (batch, 1, side, 1), reversed where `flip` is 1."""
        along = torch.arange(self.side, device=self.device)
        along = torch.where(flip[:, None] == 1, self.side - 1 - along, along)
        return (corner[:, None] + along)[:, None, :, None]


def validation_metrics(
    translated: np.ndarray, target: np.ndarray, sky: np.ndarray, bad=None
) -> dict:
    """Physical numbers of a translation: error in units of the noise, flux bias and scatter.

    With d = (F' - F) / F of the central flux, bias is the median of d over galaxies, scatter
    1.4826 times its median absolute deviation; `chi` is the root mean square of (y' - y) / sky.
    Pixels of the target that are `bad` are taken from the translation, and so never differ.
    """
    if bad is not None:
        target = np.where(bad, translated, target)
    chi = (translated - target) / sky[:, :, None, None]
    truth = central_flux(target)
    d = central_flux(translated) / truth - 1
    bias = np.median(d, axis=0)
    scatter = robust_scatter(d, axis=0)
    numbers = {
        "chi": float(np.sqrt(np.mean(np.square(chi, dtype=np.float64)))),
        "bias": float(np.abs(bias).mean()),
        "scatter": float(scatter.mean()),
    }
    for band in range(len(bias)):
        numbers |= {f"bias_{band}": float(bias[band]), f"scatter_{band}": float(scatter[band])}
    return numbers


def make_validator(pairs, scaling: Normalization):
    """Return the function that judges a network on validation pairs, full stamps."""

    def check(network) -> dict:
        translated = np.concatenate(
            [one[:, 0] for one in sample_images(network, scaling, pairs.source)]
        )
        return validation_metrics(translated, pairs.target, pairs.noise[:, 1], pairs.bad[1])

    return check


def train(network, pairs, valid, settings: Settings, *, folder=None, key="", device=None):
    """Train a translator on pairs; return its history.

    The network keeps its scaling as ``network.scaling``: from then on `translate` takes it.
    """
    pairs, valid = zero_masked(pairs), zero_masked(valid)
    check_pairs(pairs, settings.crop)
    check_pairs(valid)
    bands = (pairs.source.shape[1], pairs.target.shape[1])
    if bands != tuple(network.recipe["bands"]):
        raise GaltoolsError(f"the data have bands {bands}, the network {network.recipe['bands']}")
    device = torch.device(device or loop.best_device())
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    sampler = Crops(pairs, network.scaling, settings, device, network.lattice)
    check = make_validator(valid[slice(0, VALID)], network.scaling)
    label = f"{network.recipe['model']} {network.recipe['task']}"
    if loop.is_fixed(network):
        linear = normalization_of(pairs, "linear")
        network.scaling = replace(linear, target=linear.source)
        check = make_validator(valid[slice(0, VALID)], network.scaling)
        return [{"step": 0, "seconds": 0.0, **check(network.eval())}]
    history = loop.fit(
        network, sampler, settings,
        check=check, folder=folder, key=key, label=label, device=device,
    )  # fmt: skip
    whole = Crops(pairs, network.scaling, replace(settings, crop=0), device)

    def draw_whole(k):
        return whole(loop.step_rng(settings.seed, settings.steps + k, device), 1.0)

    if network.finish(draw_whole):
        history[-1] |= check(network)
    return history


def save_weights(path: Path, network) -> None:
    """Write a trained network with all that is needed to use it: recipe and scaling."""
    about = {"recipe": network.recipe, "scaling": network.scaling.as_dict()}
    checkpoint.save(path, network.state_dict(), about)


def load_weights(path: Path):
    """Read a trained network back."""
    tensors, about = checkpoint.load(path)
    try:
        network = models.rebuild(about["recipe"])
        network.scaling = Normalization.from_dict(about["scaling"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise GaltoolsError(f"{path} does not fit the code ({reason}): train it again") from None
    return network.eval()


def train_and_save(
    weights, build, settings, load, train_file, valid_file, key, device=None
) -> dict:
    """Train a new network and write its weights; what happened goes into their manifest.

    Several processes that torchrun started all do so together; the first one writes.
    """
    torch.manual_seed(settings.seed)
    network = models.build(**build)
    pairs, valid = load(train_file), load(valid_file)
    folder = Path(weights).parent
    history = train(network, pairs, valid, settings, folder=folder, key=key, device=device)
    if distributed.is_main():
        save_weights(weights, network)
    return {"history": history, "parameters": count_parameters(network)}


def train_cached(
    folder: Path, build: dict, settings: Settings, load, train_file, valid_file
) -> dict:
    """Train unless this very training has been done; return its manifest.

    `build` holds the arguments of `models.build`, ``load(path)`` gives the pairs of the task. The
    folder receives weights.safetensors, history.csv and metrics.json. A training is the same if
    the settings, the data and the code of the model and of the training are the same; neither
    prose nor figures count, nor does the number of processes.
    """
    params = {"build": build, "settings": loop.settings_dict(settings)}
    folder = Path(folder)

    def maker(new):
        key = artefacts.digest([params, artefacts.sha256(train_file), artefacts.package_versions()])
        if not distributed.needs_launch():
            return train_and_save(new, build, settings, load, train_file, valid_file, key)
        files = [Path(file).absolute() for file in (train_file, valid_file)]
        task = {"weights": new.absolute(), "build": build, "settings": asdict(settings)}
        return distributed.launch(
            "galtools.training.worker", {**task, "files": files, "key": key}, folder
        )

    weights = folder / "weights.safetensors"
    made = artefacts.make(
        weights, maker,
        params=params, modules=models.modules(build["name"]), inputs=[train_file, valid_file],
        seed=settings.seed, device=loop.best_device(),
    )  # fmt: skip
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    write_reports(folder, weights, made)
    return made


def write_reports(folder: Path, weights: Path, made: dict) -> None:
    """Write history.csv and metrics.json beside the weights, from the weights' manifest."""
    history = made["extra"]["history"]
    shared = {
        "params": {"key": made["key"]},
        "modules": ["galtools.training.train"],
        "inputs": [weights],
    }
    names = list(dict.fromkeys(name for row in history for name in row))

    def table(new):
        lines = [",".join(str(row.get(name, "")) for name in names) for row in history]
        new.write_text("\n".join([",".join(names), *lines]) + "\n")

    def metrics(new):
        about = {"seconds": made["seconds"], "parameters": made["extra"]["parameters"]}
        new.write_text(json.dumps({**history[-1], **about}, indent=1) + "\n")

    artefacts.make(folder / "history.csv", table, **shared)
    artefacts.make(folder / "metrics.json", metrics, **shared)
