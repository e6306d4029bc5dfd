"""From measurements of single galaxies to a tidy table of metrics with intervals.

A module of metrics has a function ``measure(x, y, sigma, pixel_scale, valid)`` that turns a few
images, truth x and translation y of shape (n, bands, H, W) in nanomaggies per pixel with sky noise
sigma (n, bands), into named quantities (n, bands), or (n, bands - 1) for colours; `valid` marks
the pixels that count, all if it is True. And it has a table METRICS of the statistics of these
quantities over galaxies. `measure_images` and `tabulate` do the rest.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.surveys import BANDS

COLUMNS = ["level", "band", "metric", "value", "low", "high", "n"]
CHUNK = 25  # galaxies measured at a time: few enough to stay in the processor's cache


@dataclass(frozen=True)
class Metric:
    """A statistic over galaxies of one or several quantities measured on each galaxy."""

    quantities: tuple[str, ...]
    statistic: Callable
    perfect: float  # its value for a faultless copy
    meaning: str
    method: str = "percentile"  # of the interval: or "distance", or "wilson" for a proportion

    def estimate(self, values, n_boot: int, seed: int) -> intervals.Estimate:
        """Value and interval from the quantities (..., n)."""
        if self.method == "wilson":
            return intervals.proportion(values)
        return intervals.bootstrap(self.statistic, values, n_boot, seed, self.method)


def check(truth, translated) -> None:
    """Refuse two sets of images that cannot be compared pixel by pixel."""
    if truth.shape != translated.shape:
        raise GaltoolsError(
            f"truth has shape {tuple(truth.shape)} and the translation {tuple(translated.shape)}: "
            "hand in the same galaxies and bands on the same pixel grid"
        )
    if len(truth.shape) != 4 or 0 in truth.shape:
        raise GaltoolsError(
            f"images have shape {tuple(truth.shape)}, not (galaxies, bands, height, width)"
        )


def chunks(truth, translated, weights=None):
    """Yield (rows, x, y, valid) of a few galaxies at a time, x and y in double precision.

    `valid` is True, or where there are `weights` a map of those pixels that have a positive one;
    the others are zero in x and y.
    """
    for start in range(0, len(truth), CHUNK):
        rows = slice(start, start + CHUNK)
        x, y = (np.asarray(images[rows], dtype=np.float64) for images in (truth, translated))
        valid = True if weights is None else np.asarray(weights[rows]) > 0
        if valid is not True:
            x, y = (np.where(valid, images, 0) for images in (x, y))
        yield rows, x, y, valid


def measure_images(
    functions, truth, translated, sigma, pixel_scale: float, weights=None
) -> dict[str, np.ndarray]:
    """Quantities that `functions` measure on every galaxy, a few at a time.

    The images may be anything that can be sliced. Pixels of weight zero count nowhere; a
    galaxy-band that has no other, or a pixel that is not finite, is NaN in every quantity.
    """
    check(truth, translated)
    parts = []
    for rows, x, y, valid in chunks(truth, translated, weights):
        bad = ~(np.isfinite(x).all((2, 3)) & np.isfinite(y).all((2, 3)))
        if valid is not True:
            bad |= ~valid.any((2, 3))
            valid |= bad[:, :, None, None]
        if bad.any():
            x, y = (np.where(bad[:, :, None, None], np.nan, images) for images in (x, y))
        noise, found = np.asarray(sigma[rows], dtype=np.float64), {}
        for measure in functions:
            found |= measure(x, y, noise, pixel_scale, valid)
        parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def tabulate(
    measured, metrics, bands=BANDS, level="pixels", n_boot=intervals.N_BOOT, seed=0
) -> pd.DataFrame:
    """Table of `metrics` of what was measured: level, band, metric, value, low, high, n.

    Quantities with one column less than there are bands belong to pairs of neighbouring bands.
    """
    rows = []
    pairs = [f"{a}-{b}" for a, b in pairwise(bands)]
    for name, metric in metrics.items():
        values = [measured[quantity] for quantity in metric.quantities]
        values = values[0] if len(values) == 1 else np.stack(values)
        labels = bands if values.shape[-1] == len(bands) else pairs
        for k, label in enumerate(labels):
            found = metric.estimate(values[..., k], n_boot, seed)
            rows.append((level, label, name, *astuple(found)))
    return pd.DataFrame(rows, columns=COLUMNS)
