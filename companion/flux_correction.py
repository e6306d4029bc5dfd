"""The flux correction of chapter 36: put around networks of other chapters, and what it costs."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from companion import paths
from galtools import artefacts, data
from galtools.data import Pairs, image_files
from galtools.fidelity import intervals, pixels, structure
from galtools.fidelity.metrics import measure_images
from galtools.models import checkpoint, flux_corrected

CHUNK = 64  # galaxies at a time
R = slice(2, 3)  # the r band


def make_corrected(store: paths.Results, seed: int = 0) -> Path:
    """Put the flux correction around the residual network of its chapter, once: file of weights."""
    learn = paths.need(store.data("train"), "01_two_surveys")
    old = paths.need_of(store.weights("cross", "residual", seed), "residual", learn)
    new = store.weights("cross", "flux_corrected", seed)

    def maker(path):
        rows = flux_corrected.fit_rows(len(image_files.read_column(learn, "redshift")))
        network = checkpoint.load_weights(old)
        network = flux_corrected.correct_network(network, data.load(learn, rows))
        checkpoint.save_weights(path, network)

    artefacts.make(new, maker, params={}, inputs=[old, learn])
    return new


@torch.no_grad()
def apply_flux_correction(weights: Path, source, images) -> np.ndarray:
    """Correct the fluxes of any translations by the regression of a flux-corrected network."""
    network = checkpoint.load_weights(weights)
    x, y = network.regridded(torch.as_tensor(source)), torch.as_tensor(images)
    parts = zip(x.split(CHUNK), y.split(CHUNK), strict=True)
    rule = network.rule
    return torch.cat([rule.correct(b, rule.predict(a), network.rounds) for a, b in parts]).numpy()


def rms_ratio(x):
    """Ratio of the root mean squares of two rows, from their squares (2, ..., n)."""
    return intervals.divide(intervals.rms(x[0]), intervals.rms(x[1]))


def bias_difference(x):
    """Difference of the absolute medians of two rows (2, ..., n)."""
    return np.abs(intervals.median(x[0])) - np.abs(intervals.median(x[1]))


class SideEffect(NamedTuple):
    """A comparison of corrected with plain translations, in the r band."""

    name: str
    measure: Callable  # of `galtools.fidelity`
    quantity: str  # that it measures on each galaxy
    statistic: Callable  # of corrected and plain


SIDE_EFFECTS = (
    SideEffect("residual", pixels.measure, "chi_var", rms_ratio),
    SideEffect("bias of the flux", pixels.measure, "aperture_error", bias_difference),
    SideEffect("blur", structure.measure, "blur", bias_difference),  # arcsec
)


def side_effects(pairs: Pairs, plain, corrected, n_boot: int, seed: int = 0) -> dict:
    """What the flux correction costs in the r band, {name of a `SIDE_EFFECTS`: Estimate}."""
    truth = pairs.target_set
    scales = truth.noise[:, R], truth.pixel_scale
    after, before = (
        measure_images([pixels.measure, structure.measure], truth.images[:, R], x[:, R], *scales)
        for x in (corrected, plain)
    )
    return {
        effect.name: intervals.bootstrap(
            effect.statistic,
            np.stack([after[effect.quantity][:, 0], before[effect.quantity][:, 0]]),
            n_boot,
            seed,
        )
        for effect in SIDE_EFFECTS
    }
