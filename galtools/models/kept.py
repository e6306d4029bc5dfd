"""Weights of long trainings that are kept, each with a manifest by which it is judged.

    <folder>/<task>/<model>/seed<k>/weights.safetensors, its manifest, history.csv

Whether they still fit is judged by behaviour, not by a hash of code: the simulation has to give a
few galaxies the same fluxes as when the weights were kept, and the network has to give the same
answer to one fixed galaxy: a translation, or a density of redshift (`galtools.redshift.kept`).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from galtools import artefacts, data, models, simulate
from galtools.errors import GaltoolsError
from galtools.models import checkpoint, weights_folder
from galtools.models.base import sample_images

LARGEST = 4_000_000  # bytes of a file of weights
HALF_COST = 0.02  # change of translations, in units of the sky noise, that fewer bits may cost
SAME = 1e-3  # largest difference of two fingerprints relative to the largest number of the band
PROBE = {"n": 3, "seed": 2508, "start": 10**6, "grid": "sdss"}  # galaxies of the fingerprint
BLOCK = 8  # pixels along a side of the blocks of the fingerprint of a translation


def weights_file(name: str, task: str, seed: int = 0, folder=None) -> Path:
    """File of the kept weights of a model, whether there are any or not."""
    return weights_folder(folder) / task / name / f"seed{seed}" / "weights.safetensors"


def translation(file: Path) -> np.ndarray:
    """Mean pixels (bands, blocks, blocks) of the translation of the fixed galaxy."""
    network = checkpoint.load_weights(file)
    side = round(network.scaling.size * network.scaling.step)
    galaxy = fixed_galaxy(network.recipe["bands"][0], side)
    (samples,) = sample_images(network, network.scaling, galaxy)
    return F.avg_pool2d(torch.as_tensor(samples[0, 0]), BLOCK).numpy()


def pretrained(
    name: str, task: str, seed: int = 0, folder=None, load=checkpoint.load_weights,
    answer: Callable = translation,
):  # fmt: skip
    """Network of a long training, as ``load(file)`` reads it; see `galtools.models.pretrained`."""
    file = weights_file(name, task, seed, folder)
    if not file.exists():
        found = sorted(weights_folder(folder).glob("*/*/seed*/weights.safetensors"))
        there = ", ".join(" ".join(path.parts[-4:-1]) for path in found) or "none"
        raise GaltoolsError(
            f"no weights of {name} {task} seed{seed} in {weights_folder(folder)} (there: {there}); "
            "copy book/reference/weights of the repository, and name it in GALTOOLS_WEIGHTS"
        )
    if reason := misfit(file, answer, simulated=False):  # it is up to the user what it is given
        raise GaltoolsError(f"{file} does not fit: {reason}")
    return load(file)


def misfit(file: Path, answer: Callable = translation, simulated: bool = True) -> str:
    """Say why kept weights do not fit, or no longer; nothing where they do."""
    try:
        known = artefacts.read_manifest(file)["extra"]["fingerprint"]
        if not artefacts.is_whole(file):
            return "the file is not the one that was kept"
        if _differ(known[answer.__name__], answer(file)):
            return f"its {answer.__name__} of the fixed galaxy is not the one that was kept"
    except (GaltoolsError, KeyError) as error:
        return f"it cannot be read ({error})"
    if simulated and _differ(known["simulation"], simulation_fingerprint()):
        return "the simulation has changed since it was trained"
    return ""


def _differ(old, new) -> bool:
    """Whether two fingerprints (bands, ...) differ by more than rounding."""
    old, new = np.asarray(old), np.asarray(new)
    if old.shape != new.shape:
        return True
    largest = np.abs(old).reshape(len(old), -1).max(axis=1)
    return bool((np.abs(new - old).reshape(len(old), -1).max(axis=1) > SAME * largest).any())


@cache
def simulation_fingerprint() -> list:
    """Fluxes (bands, 2, n) of a few simulated galaxies in both surveys."""
    pairs = simulate.pairs(**PROBE)
    fluxes = np.stack([images.sum(axis=(2, 3)) for images in (pairs.source, pairs.target)])
    return fluxes.transpose(2, 0, 1).tolist()


def fixed_galaxy(bands: int, side: int) -> np.ndarray:
    """Image (1, bands, side, side) of an inclined disc and a clump, the same at all times."""
    y, x = (np.indices((side, side)) - (side - 1) / 2) / side
    disc = np.exp(-np.hypot(x + 0.3 * y, 0.8 * y) / 0.08)
    clump = 0.5 * np.exp(-np.hypot(x - 0.15, y + 0.1) / 0.03)
    colours = 0.2 + np.arange(bands)[:, None, None]
    return (colours * (disc + clump))[None].astype(np.float32)


def check_simulation(file: Path) -> dict:
    """Return what a file of pairs was simulated with, or refuse if today's code gives others."""
    about, stored = data.describe(file)["provenance"], data.load(file, slice(0, PROBE["n"]))
    options = {**about["simulation"], "seed": about["seed"]}
    again = simulate.pairs(**{**options, "n": len(stored)})
    step = stored.noise[..., None, None] / 8  # files hold rounded images
    for k, side in enumerate(("source", "target")):
        old, new = (getattr(pairs, side) for pairs in (stored, again))
        if old.shape != new.shape or (np.abs(old - new) > step[:, k]).any():
            raise GaltoolsError(
                f"{file}: the simulation has changed since: make it and train again"
            )
    return options


def publish(file: Path, weights: Path, inputs: list[Path], copy: Callable, answer, modules) -> Path:
    """Keep the weights of a finished training as `file`; its manifest says how they were trained.

    ``copy(path)`` writes them and returns what else the manifest keeps; `inputs` are the files of
    pairs of the training, the simulated one first.
    """
    trained = artefacts.read_manifest(artefacts.check_inputs(weights, *inputs))

    def maker(new):
        found = copy(new)
        if (size := new.stat().st_size) > LARGEST:
            raise GaltoolsError(f"{weights}: {size / 1e6:.1f} MB; at most 4 MB may be kept")
        told = ("parameters", "device", "packages", "made", "key")
        answers = {"simulation": simulation_fingerprint(), answer.__name__: answer(new).tolist()}
        return {
            "simulation": check_simulation(inputs[0]),
            "training": {name: trained[name] for name in told},
            "fingerprint": answers,
            **found,
        }

    artefacts.make(
        file, maker, params={}, modules=modules, inputs=[weights], seed=trained["seed"],
        ignore=["copy", "answer", "inputs"],
    )  # fmt: skip
    return file


def keep(weights: Path, train_file: Path, valid_file: Path, folder=None) -> Path:
    """Keep the weights of a translator, in half precision or bfloat16 where that costs nothing.

    The cost is the root mean square change of the translations of a few validation galaxies, in
    units of the target's sky noise.
    """
    trained, recipe = artefacts.read_manifest(weights), checkpoint.load_weights(weights).recipe
    file = weights_file(recipe["model"], recipe["task"], trained["seed"], folder)
    pairs = data.for_task(data.load(valid_file, slice(0, 32)), recipe["task"])

    def copy(new):
        tensors, about = checkpoint.load_finite(weights)
        for shorter in (torch.Tensor.half, as_computed, torch.Tensor.float):
            numbers = {k: shorter(v) if v.is_floating_point() else v for k, v in tensors.items()}
            checkpoint.save(new, numbers, about)
            if (cost := _change(weights, new, pairs)) <= HALF_COST:
                break
        return {"half_cost": cost, "seconds": trained["extra"]["history"][-1]["seconds"]}

    modules = ["galtools.models.kept", *models.modules(recipe["model"])]
    return publish(file, weights, [train_file, valid_file], copy, translation, modules)


def as_computed(weights: torch.Tensor) -> torch.Tensor:
    """Half precision where that is exact; else bfloat16, as networks compute, but for vectors."""
    if torch.equal(weights.half().to(weights), weights):
        return weights.half()
    return weights.bfloat16() if weights.dim() > 1 else weights


def _change(one: Path, two: Path, pairs) -> float:
    """Root mean square difference of the translations by two files of weights, in sky noise."""
    try:
        networks = [checkpoint.load_weights(file) for file in (one, two)]
    except GaltoolsError:  # beyond the range of half precision
        return np.inf
    a, b = (
        np.concatenate([x[:, 0] for x in sample_images(n, n.scaling, pairs.source)])
        for n in networks
    )
    chi = (b - a) / pairs.noise[:, 1, :, None, None]
    return float(np.sqrt(np.mean(np.square(chi, dtype=np.float64))))
