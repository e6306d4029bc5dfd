"""Fluxes of centre and aperture, their errors by another galaxy's, and cores that are swapped."""

import numpy as np
from sklearn.linear_model import RidgeCV

from galtools.data import photometry
from galtools.fidelity import intervals
from galtools.fidelity.metrics import CHUNK

PENALTIES = np.logspace(-4, 3, 8)


def box_and_aperture(images, pixel_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes of the central boxes and within 3 arcsec, each (n, bands), a few images at a time."""
    parts = [np.asarray(images[k : k + CHUNK], float) for k in range(0, len(images), CHUNK)]
    box = np.concatenate([photometry.box_flux(part) for part in parts])
    return box, np.concatenate([photometry.aperture_flux(part, pixel_scale) for part in parts])


def scatter_like(fluxes, truth, translated, seed: int = 0) -> np.ndarray:
    """Fluxes (n, bands) with the relative errors of a translation, each those of another galaxy.

    The errors y / x, all bands together, pass to a galaxy of similar total flux. Their scatter,
    bias and correlation between bands remain; their information on the galaxy is lost.
    """
    rank = np.argsort(np.argsort(truth.sum(1)))
    order = np.argsort(rank + np.random.default_rng(seed).uniform(-10, 10, len(rank)))
    ratio = np.empty(np.shape(fluxes))
    ratio[order] = intervals.divide(translated, truth)[np.roll(order, 1)]
    return fluxes * ratio


def swap_core(images, donor, radius: float) -> np.ndarray:
    """Put the core of `donor` into `images`: the pixels within `radius` pixels of the centre."""
    y, x = (np.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
    core = np.hypot(y[:, None], x[None]) <= radius
    return np.where(core, donor, images)


def ridge(x, y):
    """Ridge regression, and its error for each galaxy when that is left out: (n,)."""
    scoring = "neg_mean_squared_error"  # with it, predictions are stored
    model = RidgeCV(PENALTIES, scoring=scoring, store_cv_results=True).fit(x, y)
    predicted = model.cv_results_[:, model.alpha_ == PENALTIES]
    return model, y - predicted[:, 0]
