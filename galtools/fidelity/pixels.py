"""Fidelity pixel by pixel: residuals, similarity, fluxes and colours.

Images are in nanomaggies per pixel, shape (n, bands, H, W); truth x, translation y. The noise is
that of every pixel if its map is known, else that of the sky.
"""

from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from galtools.data.photometry import aperture_flux, colours
from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, bias_and_scatter, per_pixel

# AB mag per square arcsec: the surface brightness that is full scale for PSNR and SSIM
RANGE_MAGNITUDE = 18.0

METRICS = {
    "residual_mean": Metric(("chi_mean",), intervals.mean, 0, "mean of (y - x) / noise"),
    "residual_scatter": Metric(("chi_var",), intervals.rms, 0, "scatter of (y - x) / noise"),
    "mae": Metric(("mae",), intervals.mean, 0, "mean |y - x|, nanomaggies per pixel"),
    "rmse": Metric(("mse",), intervals.rms, 0, "root mean (y - x)^2, nanomaggies per pixel"),
    "psnr": Metric(("psnr",), intervals.mean, np.inf, "20 log10(R / rmse) of a galaxy, dB"),
    "ssim": Metric(("ssim",), intervals.mean, 1, "structural similarity with full scale R"),
    "correlation": Metric(("correlation",), intervals.mean, 1, "Pearson's r of a galaxy's pixels"),
    **bias_and_scatter("flux", "flux_error", "flux error (Fy - Fx) / Fx, whole stamp"),
    **bias_and_scatter("aperture", "aperture_error", "flux error (Fy - Fx) / Fx, 3 arcsec"),
    **bias_and_scatter("colour", "colour_error", "colour error, mag"),
}


def full_scale(pixel_scale: float) -> float:
    """Range R of PSNR and SSIM, 18 mag per square arcsec: 10^{0.4 (22.5 - 18)} s^2, 9.9 for SDSS.

    It is no property of the image, so a translation cannot buy a better score by being bright.
    """
    return 10 ** (0.4 * (22.5 - RANGE_MAGNITUDE)) * pixel_scale**2


_gaussian_window = partial(gaussian_filter, sigma=1.5, mode="mirror", radius=5, axes=(2, 3))


def ssim(x, y, scale: float, valid=True) -> np.ndarray:
    """Structural similarity of Wang et al. (2004), averaged over pixels: (n, bands).

    (2 mx my + c1)(2 sxy + c2) / ((mx^2 + my^2 + c1)(sx^2 + sy^2 + c2)) with local means m and
    (co)variances s in a Gaussian window of valid pixels, c1 = (0.01 R)^2, c2 = (0.03 R)^2.
    """
    c1, c2 = (0.01 * scale) ** 2, (0.03 * scale) ** 2
    total = 1.0
    if valid is not True:
        total = np.maximum(_gaussian_window(valid.astype(float)), np.finfo(float).tiny)
    mean_x, mean_y = _gaussian_window(x) / total, _gaussian_window(y) / total
    covariance = _gaussian_window(x * y) / total - mean_x * mean_y
    variances = _gaussian_window(x * x + y * y) / total - mean_x**2 - mean_y**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((2, 3), where=valid)


def measure(x, y, sigma, pixel_scale: float, valid=True) -> dict[str, np.ndarray]:
    """Quantities of METRICS, (n, bands), of colours (n, bands - 1)."""
    scale, pixels = full_scale(pixel_scale), (2, 3)
    residual, noise = y - x, per_pixel(sigma)
    chi, variance = residual / noise, np.where(valid, noise**2, 0)
    mse = np.mean(residual**2, pixels, where=valid)
    with np.errstate(divide="ignore"):  # a perfect copy has an infinite PSNR
        psnr = 10 * np.log10(scale**2 / mse)
    flux_x, flux_y = x.sum(pixels), y.sum(pixels)
    inside_x, inside_y = aperture_flux(x, pixel_scale), aperture_flux(y, pixel_scale)
    flat = np.stack([x, y]).reshape(2, *x.shape[:2], -1)
    counted = valid if valid is True else valid.reshape(flat.shape[1:])
    return {
        "chi_mean": chi.mean(pixels, where=valid),
        "chi_var": chi.var(pixels, where=valid),
        "mae": np.abs(residual).mean(pixels, where=valid),
        "mse": mse,
        "psnr": psnr,
        "ssim": ssim(x, y, scale, valid),
        "correlation": intervals.correlation(flat, counted),
        "flux_error": intervals.divide(flux_y - flux_x, flux_x),
        "aperture_flux": inside_x,
        "snr": inside_x / aperture_flux(np.broadcast_to(variance, x.shape), pixel_scale) ** 0.5,
        "aperture_error": intervals.divide(inside_y - inside_x, inside_x),
        "colour_error": colours(inside_y) - colours(inside_x),
    }
