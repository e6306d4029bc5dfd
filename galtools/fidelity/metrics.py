"""From measurements of single galaxies to a tidy table of metrics with intervals.

A module of metrics has a function ``measure(x, y, sigma, pixel_scale, valid)`` from a few images,
truth x and translation y (n, bands, H, W) in nanomaggies per pixel, with noise sigma, of the sky
(n, bands) or of every pixel, to named quantities (n, bands), or (n, bands - 1) for colours; `valid`
marks the pixels that count. Its table METRICS holds statistics of these quantities over galaxies.
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


def bias_and_scatter(name: str, quantity: str, meaning: str) -> dict[str, Metric]:
    """Median and robust scatter of an error, as the metrics NAME_bias and NAME_scatter."""
    return {
        f"{name}_bias": Metric((quantity,), intervals.median, 0, f"median {meaning}"),
        f"{name}_scatter": Metric(
            (quantity,), intervals.robust_scatter, 0, f"1.48 MAD of the {meaning}"
        ),
    }


def per_pixel(sigma) -> np.ndarray:
    """Noise of the sky, (n, bands), shaped as images (n, bands, 1, 1); maps as they are."""
    sigma = np.asarray(sigma)
    return sigma if sigma.ndim == 4 else sigma[..., None, None]


def check(truth, translated) -> None:
    """Refuse two sets of images that cannot be compared pixel by pixel."""
    if truth.shape != translated.shape:
        raise GaltoolsError(
            f"truth has shape {tuple(truth.shape)} and the translation {tuple(translated.shape)}: "
            "give the same galaxies and bands on the same pixel grid"
        )
    if len(truth.shape) != 4 or 0 in truth.shape:
        raise GaltoolsError(
            f"images have shape {tuple(truth.shape)}, not (galaxies, bands, height, width)"
        )


def chunks(truth, translated, weights=None):
    """Yield (rows, x, y, valid) of a few galaxies at a time, in double precision.

    Pixels that are not `valid`, having no positive weight, are zero in x and y.
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
    """Quantities that `functions` measure on every galaxy of images that can be sliced.

    Pixels of weight zero count nowhere; a galaxy-band without any other, or with one that is not
    finite, is NaN.
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
        noise, measured = np.asarray(sigma[rows], dtype=np.float64), {}
        noise = noise if noise.ndim == 2 else np.where(valid, noise, np.inf)
        for measure in functions:
            measured |= measure(x, y, noise, pixel_scale, valid)
        parts.append(measured)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def tabulate(
    measured, metrics, bands=BANDS, level="pixels", n_boot=intervals.N_BOOT, seed=0
) -> pd.DataFrame:
    """Table of `metrics` of what was measured: level, band, metric, value, low, high, n."""
    rows = []
    for name, metric in metrics.items():
        values = [measured[quantity] for quantity in metric.quantities]
        values = values[0] if len(values) == 1 else np.stack(values)
        for k, label in enumerate(column_labels(bands, values)):
            estimate = metric.estimate(values[..., k], n_boot, seed)
            rows.append((level, label, name, *astuple(estimate)))
    return pd.DataFrame(rows, columns=COLUMNS)


def column_labels(bands, values) -> list[str]:
    """Names of the columns (..., columns) of a quantity: the bands, or pairs of neighbours."""
    pairs = [f"{a}-{b}" for a, b in pairwise(bands)]
    return list(bands) if values.shape[-1] == len(bands) else pairs
