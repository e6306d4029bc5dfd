"""Predictive samples of a translator: measurements, calibration, and scatter against references.

Everything is a magnitude, a colour or a redshift: for these, errors of bright and of faint galaxies
weigh alike. Definitions and names are those of `repeat_observations`, so that scatters can be
compared.
"""

import numpy as np
import pandas as pd

from companion.repeat_observations import TOTAL
from galtools import artefacts, data
from galtools.data import photometry
from galtools.data.image_files import open_images, read_column
from galtools.errors import GaltoolsError
from galtools.fidelity import calibration, intervals, peaks
from galtools.fidelity.intervals import Verdict
from galtools.hdf5 import safe_open
from galtools.surveys import BANDS

COLOURS = ("colour g − r", "colour of the peak, g − r")
FLUXES = tuple(f"{kind}, {b}" for kind in ("total flux", "peak") for b in BANDS)
REDSHIFT = "redshift read from fluxes"
QUANTITIES = (*FLUXES, *COLOURS, REDSHIFT)
TOTALS, PEAKS = slice(0, 5), slice(5, 10)  # columns of the magnitudes
BATCH = 64  # galaxies whose samples are in memory at a time
MIN_TRAINING = 10  # galaxies from which a redshift is learned
WIDTH = {  # of samples, by the verdict on a ratio above 1
    Verdict.SUPPORTED: "too wide",
    Verdict.CONTRADICTED: "too narrow",
    Verdict.INCONCLUSIVE: "inconclusive",
}


def sample_measurements(images, pixel_scale: float) -> np.ndarray:
    """Magnitudes within 5 arcsec and of the brightest pixel, and two colours: (n, 12)."""
    images = np.asarray(images, np.float64)
    total = photometry.aperture_flux(images, pixel_scale, TOTAL)
    magnitudes = map(photometry.magnitude, (total, photometry.peak_flux(images)))
    core = photometry.aperture_flux(images, pixel_scale), photometry.box_flux(images)
    return np.hstack([*magnitudes, *(photometry.colours(flux)[:, 1:2] for flux in core)])


def measure_samples(path, translations, test_file) -> np.ndarray:
    """Measurements (K, n, 12) of the samples that the chapter of a model kept, made once."""
    artefacts.check_inputs(translations, test_file, advice="run the chapter of its model again")
    scale = data.pixel_scales(test_file)["target"]

    def compute():
        with safe_open(translations) as file:
            images, parts = file["images"], []
            for k in range(0, len(images), BATCH):
                each = np.swapaxes(images[k : k + BATCH], 0, 1)
                parts.append(np.stack([sample_measurements(x, scale) for x in each]))
        return {"samples": np.concatenate(parts, axis=1)}

    inputs = [translations, test_file]
    return artefacts.make_arrays(path, compute, params={}, inputs=inputs)["samples"]


def true_measurements(pairs_file, rows=slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Measurements (n, 12) of the true target images of a file, and the redshifts (n,)."""
    scale, images = data.pixel_scales(pairs_file)["target"], open_images(pairs_file, "target")
    first, last, _ = rows.indices(len(images))
    parts = [images[k : min(k + BATCH, last)] for k in range(first, last, BATCH)]
    measured = np.concatenate([sample_measurements(part, scale) for part in parts])
    return measured, read_column(pairs_file, "redshift")[rows]


class FluxRedshiftRegressor:
    """Redshift estimator from ten magnitudes and their colours, trained on true target images."""

    def __init__(self, measurements, redshift, seed: int = 0):
        """Train on measurements (n, 12) of images and their redshifts (n,)."""
        table = self._features(measurements)
        good = np.isfinite(table).all(axis=1)
        if good.sum() < MIN_TRAINING:
            raise GaltoolsError(
                f"{good.sum()} galaxies have all magnitudes: train on {MIN_TRAINING} or more"
            )
        self.model = peaks.redshift_regressor("boosting", seed).fit(table[good], redshift[good])

    @staticmethod
    def _features(measurements):
        kinds = measurements[..., TOTALS], measurements[..., PEAKS]
        return np.concatenate([*kinds, *(-np.diff(kind, axis=-1) for kind in kinds)], axis=-1)

    def append(self, measurements) -> np.ndarray:
        """Measurements and redshift, all `QUANTITIES` (..., 13); NaN where a magnitude misses."""
        table = self._features(measurements)
        predicted = self.model.predict(table.reshape(-1, table.shape[-1])).reshape(table.shape[:-1])
        predicted = np.where(np.isfinite(table).all(axis=-1), predicted, np.nan)
        return np.concatenate([measurements, predicted[..., None]], axis=-1)


def complete_rows(samples, truth):
    """Leave out galaxies that lack a number: samples (m, n, ...) and truth (n, ...)."""
    good = np.isfinite(samples).all(axis=(0, *range(2, np.ndim(samples))))
    good &= np.isfinite(truth).all(axis=tuple(range(1, np.ndim(truth))))
    return samples[:, good], truth[good]


def rank_verdict(test, samples, truth, seed: int = 0) -> Verdict:
    """Verdict of a `test`, `calibration.pit` or `tarp`, on samples (m, n, ...).

    In the control that it has to notice, the first sample is the truth of the others, shrunk.
    """
    control = test(calibration.shrunk(samples[1:]), samples[0], seed)
    return calibration.verdict(test(samples, truth, seed), control)


def variance_vs_repeat(samples, first, second) -> np.ndarray:
    """Variance of samples (m, n) and of two observations (n,), for `spread_to_error`: (2, n)."""
    return np.stack([np.var(samples, axis=0, ddof=1), (first - second) ** 2 / 2])


def irreducible_sigma(table: pd.DataFrame, quantity: str) -> np.ndarray:
    """Scatter of a quantity that an SDSS image leaves open: value, low and high; an upper limit.

    From the table of the chapter on degeneracy.
    """
    row = table[(table.quantity == quantity) & (table.component == "explained")].iloc[0]
    unexplained = 1 - row[["value", "high", "low"]].to_numpy(float)
    return row.sigma * np.sqrt(np.maximum(unexplained, 0))


def ratio_to_limit(sigma: intervals.Estimate, limit) -> intervals.Estimate:
    """Ratio of a scatter to an independent (value, low, high), with the widest of intervals."""
    ends = [sigma.value, sigma.low, sigma.high]
    return intervals.Estimate(*intervals.divide(ends, np.take(limit, [0, 2, 1])), sigma.n)
