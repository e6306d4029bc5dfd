"""Fidelity pixel by pixel: residuals, similarity, fluxes and colours.

Images are in nanomaggies per pixel, shape (n, bands, H, W); truth x, translation y. `measure`
gives numbers per galaxy and band, `summarise` their statistics with intervals. Both work on
anything that can be sliced (an open HDF5 data set, a memory map), a few galaxies at a time,
so memory does not grow with the sample.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from galtools.data.photometry import aperture_flux, colours
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.surveys import BANDS

COLUMNS = ["level", "band", "metric", "value", "low", "high", "n"]
# AB mag per square arcsec: the surface brightness that is full scale for PSNR and SSIM
RANGE_MAGNITUDE = 18.0
CHUNK = 25  # galaxies measured at a time: few enough to stay in the processor's memory


@dataclass(frozen=True)
class Metric:
    """A statistic over galaxies of one or two quantities measured on each galaxy."""

    quantities: tuple[str, ...]
    statistic: Callable
    perfect: float  # its value for a faultless copy
    meaning: str


METRICS = {
    "residual_mean": Metric(("chi_mean",), intervals.mean, 0, "mean of (y - x) / sky noise"),
    "residual_scatter": Metric(("chi_var",), intervals.rms, 0, "scatter of (y - x) / sky noise"),
    "mae": Metric(("mae",), intervals.mean, 0, "mean |y - x|, nanomaggies per pixel"),
    "rmse": Metric(("mse",), intervals.rms, 0, "root mean (y - x)^2, nanomaggies per pixel"),
    "psnr": Metric(("psnr",), intervals.mean, np.inf, "20 log10(R / rmse) of a galaxy, dB"),
    "ssim": Metric(("ssim",), intervals.mean, 1, "structural similarity with full scale R"),
    "correlation": Metric(("correlation",), intervals.mean, 1, "Pearson's r of a galaxy's pixels"),
    "flux_bias": Metric(("flux_error",), intervals.median, 0, "median (Fy - Fx) / Fx, whole stamp"),
    "flux_scatter": Metric(
        ("flux_error",), intervals.robust_scatter, 0, "1.48 MAD of (Fy - Fx) / Fx, stamp"
    ),
    "aperture_bias": Metric(
        ("aperture_error",), intervals.median, 0, "median (Fy - Fx) / Fx, 3 arcsec"
    ),
    "aperture_scatter": Metric(
        ("aperture_error",), intervals.robust_scatter, 0, "1.48 MAD of (Fy - Fx) / Fx, 3 arcsec"
    ),
}
COLOURS = {
    "colour_bias": Metric(("colour_error",), intervals.median, 0, "median shift of colour, mag"),
    "colour_scatter": Metric(("colour_error",), intervals.robust_scatter, 0, "1.48 MAD of it, mag"),
}


def full_scale(pixel_scale: float) -> float:
    """Range R of PSNR and SSIM: 18 mag per square arcsec, in nanomaggies per pixel.

    R = 10^{0.4 (22.5 - 18)} s^2 with s the pixel scale in arcsec: 9.9 for SDSS. It is a constant
    of the survey and not of the image, so a translation cannot buy a better score by being bright.
    """
    return 10 ** (0.4 * (22.5 - RANGE_MAGNITUDE)) * pixel_scale**2


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


@lru_cache(maxsize=4)
def _gaussian_weights(size: int) -> np.ndarray:
    """Weights (size, size) of 11 pixels about each one of a line: a Gaussian of 1.5, mirrored."""
    return gaussian_filter1d(np.eye(size), 1.5, axis=0, mode="mirror", radius=5)


def _gaussian_window(images):
    """Weigh an 11 x 11 window: two products of matrices, faster than a filter on small stamps."""
    height, width = images.shape[-2:]
    return _gaussian_weights(height) @ (images @ _gaussian_weights(width).T)


def ssim(x, y, scale: float) -> np.ndarray:
    """Structural similarity of Wang et al. (2004), averaged over pixels: (n, bands).

    (2 mx my + c1)(2 sxy + c2) / ((mx^2 + my^2 + c1)(sx^2 + sy^2 + c2)) with local means m and
    (co)variances s in a Gaussian window, c1 = (0.01 R)^2, c2 = (0.03 R)^2.
    """
    c1, c2 = (0.01 * scale) ** 2, (0.03 * scale) ** 2
    mean_x, mean_y = _gaussian_window(x), _gaussian_window(y)
    covariance = _gaussian_window(x * y) - mean_x * mean_y
    variances = _gaussian_window(x * x + y * y) - mean_x**2 - mean_y**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((2, 3))


def measure_few(x, y, sigma, pixel_scale) -> dict[str, np.ndarray]:
    """Measure images already in memory; every entry is (n, bands), colours (n, bands - 1)."""
    scale = full_scale(pixel_scale)
    flat = np.stack([x, y]).reshape(2, *x.shape[:2], -1)
    residual = flat[1] - flat[0]
    mse = np.einsum("nbp,nbp->nb", residual, residual) / residual.shape[-1]
    with np.errstate(divide="ignore"):  # a perfect copy has an infinite PSNR
        psnr = 10 * np.log10(scale**2 / mse)
    flux_x, flux_y = flat.sum(axis=-1)
    inside_x, inside_y = aperture_flux(x, pixel_scale), aperture_flux(y, pixel_scale)
    return {
        "chi_mean": residual.mean(axis=-1) / sigma,
        "chi_var": residual.var(axis=-1) / sigma**2,
        "mae": np.abs(residual).mean(axis=-1),
        "mse": mse,
        "psnr": psnr,
        "ssim": ssim(x, y, scale),
        "correlation": intervals.correlation(flat),
        "flux_error": intervals.divide(flux_y - flux_x, flux_x),
        "aperture_error": intervals.divide(inside_y - inside_x, inside_x),
        "colour_error": colours(inside_y) - colours(inside_x),
    }


def _finite(images) -> np.ndarray:
    """Tell of each image whether all of its pixels are numbers: (n, bands)."""
    return np.isfinite(images).all((2, 3))


def in_chunks(function, truth, translated, sigma, *more) -> dict[str, np.ndarray]:
    """Call ``function(x, y, sigma, *more)`` on a few galaxies at a time and join the answers.

    A galaxy-band with a pixel that is not finite becomes NaN in every quantity, and so is counted
    as not measured.
    """
    check(truth, translated)
    parts = []
    for start in range(0, len(truth), CHUNK):
        rows = slice(start, start + CHUNK)
        x, y = (np.asarray(a[rows], dtype=np.float64) for a in (truth, translated))
        broken = ~(_finite(x) & _finite(y))
        if broken.any():
            x, y = (np.where(broken[:, :, None, None], np.nan, a) for a in (x, y))
        others = [known[rows] for known in more]
        parts.append(function(x, y, np.asarray(sigma[rows], dtype=np.float64), *others))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def measure(truth, translated, sigma, pixel_scale: float) -> dict[str, np.ndarray]:
    """Measure every galaxy and band; `sigma` (n, bands) is the sky noise of the truth."""
    return in_chunks(lambda x, y, s: measure_few(x, y, s, pixel_scale), truth, translated, sigma)


def tidy(measured, metrics, labels, level="pixels", n_boot=intervals.N_BOOT, seed=0):
    """Turn quantities (n, bands) into a table with one row per band and metric."""
    rows = []
    for name, metric in metrics.items():
        for k, label in enumerate(labels):
            values = [measured[quantity][:, k] for quantity in metric.quantities]
            values = values[0] if len(values) == 1 else np.stack(values)
            found = intervals.bootstrap(metric.statistic, values, n_boot, seed)
            rows.append((level, label, name, *astuple(found)))
    return pd.DataFrame(rows, columns=COLUMNS)


def summarise(measured, bands=BANDS, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Summarise what `measure` found: level, band, metric, value, low, high, n."""
    pairs = [f"{a}-{b}" for a, b in pairwise(bands)]
    parts = [tidy(measured, METRICS, bands, n_boot=n_boot, seed=seed)]
    if pairs:
        parts.append(tidy(measured, COLOURS, pairs, n_boot=n_boot, seed=seed))
    return pd.concat(parts, ignore_index=True)
