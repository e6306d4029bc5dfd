"""Weights of long trainings, each with a manifest by which it is judged before it is used.

    <folder>/<task>/<model>/seed<k>/weights.safetensors, its manifest, history.csv
    <folder>/redshift/<survey>/seed<k>/weights.safetensors, its manifest

They are judged by behaviour, not by a hash of code: the simulation has to give a few galaxies the
same fluxes as when the weights were kept, and the network has to give the same answer for one fixed
image: a translation or, of a redshift estimator, a density p(z).
"""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from galtools import artefacts, data, models, simulate
from galtools.errors import GaltoolsError
from galtools.models import checkpoint, weights_folder
from galtools.models.base import sample_images
from galtools.redshift import Ensemble

LARGEST = 4_000_000  # bytes of a file of weights
HALF_COST = 0.02  # change of translations, in units of the sky noise, that fewer bits may cost
RTOL = 1e-3  # difference of two fingerprints relative to the largest number of the band
PROBE = {"n": 3, "seed": 2508, "start": 10**6, "grid": "sdss"}  # galaxies of the fingerprint
BLOCK = 8  # pixels along a side of the blocks of the fingerprint of a translation


def weights_file(name: str, task: str, seed: int = 0, folder=None) -> Path:
    """File of the kept weights of a model, whether there are any or not."""
    return weights_folder(folder) / task / name / f"seed{seed}" / "weights.safetensors"


def _is_estimator(file: Path) -> bool:
    return Path(file).parts[-4] == "redshift"


def load(name: str, task: str, seed: int = 0, folder=None):
    """Network of a long training, ready for `translate`; refused where it no longer fits.

    The task "redshift" and the name of a survey give the redshift estimator of its images, ready to
    `predict`. The weights lie in book/reference/weights of the repository; a copy elsewhere is
    named by `folder` or by the environment variable GALTOOLS_WEIGHTS.
    """
    file = weights_file(name, task, seed, folder)
    if not file.exists():
        files = sorted(weights_folder(folder).glob("*/*/seed*/weights.safetensors"))
        there = ", ".join(" ".join(path.parts[-4:-1]) for path in files) or "none"
        raise GaltoolsError(
            f"no weights of {name} {task} seed{seed} in {weights_folder(folder)} (there: {there}); "
            "copy book/reference/weights of the repository, and name it in GALTOOLS_WEIGHTS"
        )
    if reason := misfit(file, simulated=False):  # it is up to the user what it is given
        raise GaltoolsError(f"{file} does not fit: {reason}")
    return Ensemble.load(file) if _is_estimator(file) else checkpoint.load_weights(file)


def misfit(file: Path, simulated: bool = True) -> str:
    """Say why kept weights do not fit, or no longer; nothing where they do."""
    try:
        kept = artefacts.read_manifest(file)["extra"]["fingerprint"]
        if not artefacts.is_whole(file):
            return "the file is not the one that was kept"
        for name, output in output_fingerprint(file).items():
            if _differ(kept[name], output):
                return f"its {name} of the fixed galaxy is not the one that was kept"
    except (GaltoolsError, KeyError) as error:
        return f"it cannot be read ({error})"
    if simulated and _differ(kept["simulation"], simulation_fingerprint()):
        return "the simulation has changed since it was trained"
    return ""


def output_fingerprint(file: Path) -> dict[str, list]:
    """Translation of the fixed galaxy in blocks (bands, blocks, blocks), or density (1, bins)."""
    if _is_estimator(file):
        ensemble = Ensemble.load(file)
        galaxy = fixed_galaxy(ensemble.networks[0].recipe["bands"], 64)
        return {"density": ensemble.predict(galaxy).tolist()}
    network = checkpoint.load_weights(file)
    width = round(network.scaling.size * network.scaling.step)
    galaxy = fixed_galaxy(network.recipe["bands"][0], width)
    (samples,) = sample_images(network, network.scaling, galaxy)
    return {"translation": F.avg_pool2d(torch.as_tensor(samples[0, 0]), BLOCK).tolist()}


@cache
def simulation_fingerprint() -> list:
    """Fluxes (bands, 2, n) of a few simulated galaxies in both surveys."""
    pairs = simulate.pairs(**PROBE)
    fluxes = np.stack([images.sum(axis=(2, 3)) for images in (pairs.source, pairs.target)])
    return fluxes.transpose(2, 0, 1).tolist()


def _differ(old, new) -> bool:
    """Whether two fingerprints (bands, ...) differ by more than rounding."""
    old, new = np.asarray(old), np.asarray(new)
    if old.shape != new.shape:
        return True
    largest = np.abs(old).reshape(len(old), -1).max(axis=1)
    return bool((np.abs(new - old).reshape(len(old), -1).max(axis=1) > RTOL * largest).any())


def fixed_galaxy(bands: int, width: int) -> np.ndarray:
    """Image (1, bands, side, side) of an inclined disc and a clump, the same at all times."""
    y, x = (np.indices((width, width)) - (width - 1) / 2) / width
    disc = np.exp(-np.hypot(x + 0.3 * y, 0.8 * y) / 0.08)
    clump = 0.5 * np.exp(-np.hypot(x - 0.15, y + 0.1) / 0.03)
    colours = 0.2 + np.arange(bands)[:, None, None]
    return (colours * (disc + clump))[None].astype(np.float32)


def keep(weights: Path, train_file: Path, valid_file: Path, folder=None) -> Path:
    """Keep the weights .../<task>/<model>/seed<k>/weights.safetensors of a finished training.

    The manifest says how they were trained, on which simulated galaxies, and has the fingerprints.
    """
    files = [weights, train_file, valid_file]
    trained = artefacts.read_manifest(artefacts.check_inputs(*files))
    task, name = Path(weights).parts[-4:-2]
    file, estimator = weights_file(name, task, trained["seed"], folder), _is_estimator(weights)

    def maker(new):
        if estimator:
            shutil.copyfile(weights, new)
            extra = {"half_cost": 0.0, "seconds": trained["seconds"]}
        else:
            pairs = data.for_task(data.load(valid_file, slice(0, 32)), task)
            cost = save_shortened(weights, new, pairs)
            extra = {"half_cost": cost, "seconds": trained["extra"]["history"][-1]["seconds"]}
        if (size := new.stat().st_size) > LARGEST:
            raise GaltoolsError(f"{weights}: {size / 1e6:.1f} MB; at most 4 MB may be kept")
        names = ("parameters", "device", "packages", "made", "key")
        return {
            "simulation": check_simulation(train_file),
            "training": {key: trained[key] for key in names},
            "fingerprint": {"simulation": simulation_fingerprint(), **output_fingerprint(new)},
            **extra,
        }

    code = [__name__, *([] if estimator else models.modules(name))]
    artefacts.make(file, maker, params={}, modules=code, inputs=files, seed=trained["seed"])
    return file


def check_simulation(file: Path) -> dict:
    """Return what a file of pairs was simulated with, or refuse if today's code gives others."""
    provenance, stored = data.describe(file)["provenance"], data.load(file, slice(0, PROBE["n"]))
    options = {**provenance["simulation"], "seed": provenance["seed"]}
    again = simulate.pairs(**{**options, "n": len(stored)})
    step = stored.noise[..., None, None] / 8  # files hold rounded images
    for k, name in enumerate(("source", "target")):
        old, new = (getattr(pairs, name) for pairs in (stored, again))
        if old.shape != new.shape or (np.abs(old - new) > step[:, k]).any():
            raise GaltoolsError(
                f"{file}: the simulation has changed since: make it and train again"
            )
    return options


def save_shortened(weights: Path, new: Path, pairs) -> float:
    """Write weights in half precision or bfloat16 where that costs nothing; return the cost.

    That is the root mean square change of the translations of some pairs, in units of the target's
    sky noise.
    """
    tensors, recipe = checkpoint.load_finite(weights)
    exact = _translations(weights, pairs)
    for shorter in (torch.Tensor.half, as_computed, torch.Tensor.float):
        numbers = {k: shorter(v) if v.is_floating_point() else v for k, v in tensors.items()}
        checkpoint.save(new, numbers, recipe)
        try:
            chi = (_translations(new, pairs) - exact) / pairs.noise[:, 1, :, None, None]
        except GaltoolsError:  # beyond the range of half precision
            continue
        if (cost := float(np.sqrt(np.mean(np.square(chi, dtype=np.float64))))) <= HALF_COST:
            break
    return cost


def as_computed(weights: torch.Tensor) -> torch.Tensor:
    """Half precision where that is exact; else bfloat16, as networks compute, but for vectors."""
    if torch.equal(weights.half().to(weights), weights):
        return weights.half()
    return weights.bfloat16() if weights.dim() > 1 else weights


def _translations(file: Path, pairs) -> np.ndarray:
    network = checkpoint.load_weights(file)
    return np.concatenate([x[:, 0] for x in sample_images(network, network.scaling, pairs.source)])
