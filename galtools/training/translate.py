"""From weights to images: translate stacks of galaxies, keep the translations in one layout.

A file of translations is HDF5 with one data set ``images`` (n, K, bands, H, W), float32
nanomaggies per pixel: K samples of each of n galaxies (K = 1 for deterministic models).
"""

from pathlib import Path

import numpy as np

from galtools import artefacts, data
from galtools.errors import GaltoolsError, reading
from galtools.hdf5 import create, read_attributes, safe_open, write_attributes
from galtools.models.base import sample_images
from galtools.models.checkpoint import load_weights
from galtools.training.crops import check_images, zero_masked
from galtools.training.loop import best_device

FORMAT = "galtools translations 1"


def translate(weights_or_model, images, samples: int = 1, seed: int = 0, start: int = 0):
    """Translate images (n, bands, H, W) in nanomaggies onto the target's grid.

    Takes a file of weights or a trained network. Returns (n, bands, H', W') nanomaggies, or
    (n, samples, bands, H', W') for several samples. The samples of an image follow from `seed` and
    its number alone (`start` is that of the first one).
    """
    if samples < 1:
        raise GaltoolsError(f"samples must be at least 1, not {samples}")
    network = weights_or_model
    if isinstance(weights_or_model, str | Path):
        network = load_weights(weights_or_model).to(best_device())
    scaling = getattr(network, "scaling", None)
    if scaling is None:
        raise GaltoolsError("this network was never trained: train it, or give a file of weights")
    check_images(images, "images", network.recipe["bands"][0])
    if scaling.step == 1 and images.shape[-2:] != scaling.shape:
        raise GaltoolsError(
            f"the images have {images.shape[-2:]} pixels, the model takes {scaling.shape}"
        )
    network.eval()
    seeds = range(seed * 1009, seed * 1009 + samples)
    translated = np.concatenate(list(sample_images(network, scaling, images, seeds, start)))
    return translated[:, 0] if samples == 1 else translated


def save_translations(path: Path, images: np.ndarray, about: dict | None = None) -> None:
    """Write translations, (n, bands, H, W) or (n, K, bands, H, W), whole or not at all."""
    if images.ndim == 4:
        images = images[:, None]
    if images.ndim != 5:
        raise GaltoolsError(f"translations must be (n, K, bands, H, W), not {images.shape}")
    with artefacts.atomic(path) as new, create(new) as file:
        write_attributes(file, format=FORMAT, **(about or {}))
        file.create_dataset(
            "images",
            data=images.astype(np.float32),
            chunks=(1, 1, *images.shape[2:]),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            fletcher32=True,
        )


def load_translations(path: Path, sample: int | None = 0) -> np.ndarray:
    """Read translations: one sample (n, bands, H, W), or for None all (n, K, bands, H, W)."""
    with reading(path, "damaged; delete it and run its notebook again"), safe_open(path) as file:
        if read_attributes(file).get("format") != FORMAT:
            raise GaltoolsError(f"{path} is no file of translations made by galtools")
        images = file["images"]
        if sample is not None and not 0 <= sample < images.shape[1]:
            raise GaltoolsError(f"{path} has {images.shape[1]} samples: there is no {sample}")
        return images[:] if sample is None else images[:, sample]


def translate_cached(
    path: Path, weights: Path, test_file: Path, samples: int = 1, seed: int = 0
) -> dict:
    """Translate the test galaxies unless this has been done; return the manifest.

    Masked pixels are set to zero.
    """
    device = best_device()
    network = load_weights(weights).to(device)
    about = {name: network.recipe[name] for name in ("model", "task")}

    def maker(new):
        pairs = zero_masked(data.for_task(data.load(test_file), about["task"]))
        save_translations(new, translate(network, pairs.source, samples, seed), about)

    return artefacts.make(
        path, maker,
        params={"samples": samples},
        modules=["galtools.training.translate", type(network).__module__],
        inputs=[weights, test_file], seed=seed, device=device,
    )  # fmt: skip
