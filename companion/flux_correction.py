"""The flux correction of chapter 36, put around networks of other chapters."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from companion import paths
from galtools import artefacts, data, models
from galtools.data import Pairs, image_files
from galtools.models import checkpoint, flux_corrected

CHAPTERS = {"cross": "11_residual", "forward": "35_directions"}  # of residual networks
CHUNK = 64  # galaxies at a time


def make_corrected(store: paths.Results, way: str, seed: int = 0) -> Path:
    """Put the flux correction around a residual network of the book, once: file of weights.

    The `way` is that of the network: "cross" in its own chapter, "forward" among the directions.
    """
    learn = paths.need(store.data("train"), "01_two_surveys")
    old = paths.need(store.weights(way, "residual", seed), CHAPTERS[way], learn)
    new = store.weights(way, "flux_corrected", seed)

    def maker(path):
        network = flux_corrected.correct_network(
            checkpoint.load_weights(old), training_pairs(learn)
        )
        checkpoint.save_weights(path, network)

    modules = ["companion.flux_correction", *models.modules("flux_corrected")]
    artefacts.make(new, maker, params={"way": way}, modules=modules, inputs=[old, learn])
    return new


@lru_cache(maxsize=1)
def training_pairs(file: Path) -> Pairs:
    """Training pairs to which the regression of fluxes is fitted."""
    return data.load(file, flux_corrected.fit_rows(len(image_files.read_column(file, "redshift"))))


@torch.no_grad()
def apply_flux_correction(
    weights: Path, source, images, pairs: Pairs | None = None, circles=None, rounds=None
) -> np.ndarray:
    """Correct the fluxes of any translations by the regression of a flux-corrected network.

    With `pairs`, the regression is fitted to them, within other `circles` (radii in stamps) if
    given.
    """
    network = checkpoint.load_weights(weights)
    regression, recipe = network.rule, network.recipe
    if pairs is not None:
        sizes = recipe["sizes"] | ({"circles": circles} if circles else {})
        names = "flux_corrected", recipe["task"], recipe["profile"], tuple(recipe["bands"])
        other = models.build(*names, **sizes)
        other.scaling = network.scaling
        other.prepare(pairs)
        regression = other.rule
    rounds = network.rounds if rounds is None else rounds
    x, y = network.regridded(torch.as_tensor(source)), torch.as_tensor(images)
    parts = zip(x.split(CHUNK), y.split(CHUNK), strict=True)
    return torch.cat(
        [regression.correct(b, regression.predict(a), rounds) for a, b in parts]
    ).numpy()
