"""Fidelity of structure: radial profile, power spectrum, noise, position and sharpness.

Truth x, translation y, images (n, bands, H, W) in nanomaggies per pixel.
"""

import warnings
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from galtools.data.photometry import annulus_flux, annulus_weights, colours, robust_scatter
from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, bias_and_scatter

RINGS = (0.0, 1.0, 2.0, 4.0, 8.0)  # arcsec, edges of the rings of the radial profile
QUARTERS = 4  # rings of the power spectrum between zero and the Nyquist frequency
WINDOW = 2.0  # arcsec, standard deviation of the Gaussian window of the centre
STEPS = 12  # iterations of the centroid; each leaves s^2 / (s^2 + W^2) of the error
LOW_FREQUENCY = 1 / 8  # cycles per pixel up to which the galaxy exceeds the noise
DETECTION = 5  # standard deviations of the noise's power that the galaxy has to exceed
LARGEST_BLUR, BISECTIONS = 30.0, 35  # pixels^2; halvings of that range, to 2e-9 pixels^2
SIGMA_TO_FWHM = np.sqrt(8 * np.log(2))

METRICS = {
    **{
        f"profile_{a:.0f}_{b:.0f}": Metric(
            (f"ring_y_{k}", f"ring_x_{k}"), intervals.ratio_of_means, 1,
            f"flux y / x, {a:.0f} to {b:.0f} arcsec",
        )
        for k, (a, b) in enumerate(pairwise(RINGS))
    },
    **{
        f"power_{k + 1}": Metric(
            (f"power_{k}",), intervals.median, 1, f"power y / x, quarter {k + 1} to Nyquist"
        )
        for k in range(QUARTERS)
    },
    "noise_ratio": Metric(("noise_ratio",), intervals.median, 1, "sky noise of y / that of x"),
    "noise_correlation": Metric(
        ("noise_correlation",), intervals.median, 0, "neighbouring sky pixels of y, Pearson's r"
    ),
    "centroid_shift": Metric(("shift",), intervals.median, 0, "distance of the centroids, arcsec"),
    "blur": Metric(("blur",), intervals.median, 0, "FWHM of the extra blur of y, arcsec"),
    **bias_and_scatter("gradient", "gradient_error", "error of the colour gradient, mag"),
}  # fmt: skip


def ring_fluxes(images, pixel_scale: float) -> np.ndarray:
    """Flux in annuli around the stamp's centre, nanomaggies: (n, bands, rings)."""
    return annulus_flux(images, _rings(images.shape[-2:], pixel_scale))


_rings = lru_cache(maxsize=4)(partial(annulus_weights, edges=RINGS))


def power_spectrum(images, rings: int = QUARTERS) -> np.ndarray:
    """Azimuthal mean of |FFT|^2 / (number of pixels), nanomaggies^2: (n, bands, rings).

    Rings are equally wide from zero (left out) to the Nyquist frequency; white noise s has s^2.
    """
    return _ring_means(_power(images), images.shape[-1], rings)


def _power(images) -> np.ndarray:
    """Squared amplitudes |FFT|^2 at the frequencies of `rfft2`, (n, bands, H, W // 2 + 1)."""
    waves = np.fft.rfft2(images)
    return waves.real**2 + waves.imag**2


def _ring_means(power, width: int, rings: int = QUARTERS) -> np.ndarray:
    """Means of the squared amplitudes of stamps `width` pixels wide, per pixel, in rings."""
    height = power.shape[-2]
    k = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    ring = np.ceil(2 * rings * k).astype(int)  # 1 ... rings; 0 is the mean, more the corners
    twice = np.r_[1, np.full(k.shape[1] - 2, 2), 1 + width % 2]  # as the other half is the same
    weights = twice * (ring == np.arange(1, rings + 1)[:, None, None])
    weights = weights / weights.sum(axis=(1, 2), keepdims=True) / (height * width)
    return np.tensordot(power, weights, ((-2, -1), (-2, -1)))


def sky_frame(images, valid=True) -> tuple[np.ndarray, np.ndarray]:
    """Images less their sky, and a map of the pixels that show it.

    Those lie in a frame an eighth of the stamp wide, within four standard deviations of its median.
    """
    height, width = images.shape[-2:]
    frame = np.ones((height, width), bool)
    frame[height // 8 : -(height // 8), width // 8 : -(width // 8)] = False
    edge = images[..., frame]
    if valid is True:
        level, scatter = np.median(edge, axis=-1), robust_scatter(edge)
    else:
        edge = np.where(valid[..., frame], edge, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no sky is left: NaN
            level, scatter = np.nanmedian(edge, axis=-1), robust_scatter(edge, nan_policy="omit")
    deviation = images - level[..., None, None]
    return deviation, frame & valid & (np.abs(deviation) <= 4 * scatter[..., None, None])


def sky_level_and_noise(images, valid=True) -> tuple[np.ndarray, np.ndarray]:
    """Median and standard deviation of the sky, nanomaggies per pixel: (n, bands) each."""
    deviation, sky = sky_frame(images, valid)
    return (images - deviation)[..., 0, 0], _noise(deviation, sky)


def _noise(deviation, sky) -> np.ndarray:
    """Standard deviation of the pixels that show the sky; NaN without any."""
    values = np.where(sky, deviation, 0)
    count = np.count_nonzero(sky, axis=(2, 3))
    mean = intervals.divide(values.sum((2, 3)), count)
    variance = intervals.divide(_products(values, values), count) - mean**2
    return np.sqrt(np.maximum(variance, 0))


def neighbour_correlation(deviation, sky) -> np.ndarray:
    """Correlation of pixels of `sky_frame` with the next, along both axes: (n, bands)."""
    values = np.where(sky, deviation, 0)
    product, pairs = 0, 0
    for here, there in ((np.s_[..., 1:], np.s_[..., :-1]), (np.s_[..., 1:, :], np.s_[..., :-1, :])):
        product = product + _products(values[here], values[there])
        pairs = pairs + np.count_nonzero(sky[here] & sky[there], axis=(2, 3))
    count = np.count_nonzero(sky, axis=(2, 3))
    variance = intervals.divide(_products(values, values), count)
    return intervals.divide(product, pairs * variance)


def _products(a, b) -> np.ndarray:
    """Sum of a b over the pixels of each image."""
    return np.einsum("nbyx,nbyx->nb", a, b)


def _axis_moments(size, centre, pixel_scale) -> np.ndarray:
    """Gaussian window w along one axis, and w times the offset: (n, bands, size, 2)."""
    offset = (np.arange(size) - (size - 1) / 2) * pixel_scale - centre[..., None]
    window = np.exp(-0.5 * (offset / WINDOW) ** 2)
    return np.stack([window, window * offset], axis=-1)


def centre(images, pixel_scale: float) -> np.ndarray:
    """Gaussian-weighted centre (n, bands, 2) in arcsec from the stamp's; NaN without flux.

    It is iterated, c <- c + sum(w I (x - c)) / sum(w I), until it is its own weighted mean.
    """
    height, width = images.shape[-2:]
    x = y = np.zeros(images.shape[:2])
    for _ in range(STEPS):
        along_x, along_y = (_axis_moments(s, c, pixel_scale) for s, c in ((width, x), (height, y)))
        moments = np.swapaxes(along_y, -1, -2) @ (images @ along_x)
        flux = moments[..., 0, 0]
        x = x + intervals.divide(moments[..., 0, 1], flux)
        y = y + intervals.divide(moments[..., 1, 0], flux)
    inside = np.hypot(x, y) < 0.5 * min(height, width) * pixel_scale
    return np.where(inside[..., None], np.stack([x, y], -1), np.nan)


def extra_variance(power_x, power_y, width, noise_x, noise_y) -> np.ndarray:
    """Variance s^2 of the Gaussian that would blur x into y, pixels^2: (n, bands).

    Such a blur multiplies the power by exp(-4 pi^2 k^2 s^2). By bisection the blurred x gets the
    ratio of power in two rings, 0 < k <= 1/16 < k <= 1/8 per pixel, that y has; the noise's power
    is subtracted before. Negative where y is sharper, NaN unless both galaxies exceed the noise.
    """
    height = power_x.shape[-2]
    k2 = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None] ** 2
    used = (k2 > 0) & (k2 <= LOW_FREQUENCY**2)
    outer = (k2 > LOW_FREQUENCY**2 / 4)[used]
    signals, detected = [], True
    for power, noise in ((power_x, noise_x), (power_y, noise_y)):
        white = height * width * noise**2
        signals.append(power[..., used] - white[..., None])
        limit = DETECTION * white * np.sqrt(np.count_nonzero(outer))
        detected = detected & (signals[-1][..., outer].sum(-1) > limit)
    power_x, power_y = signals

    def steepness(power):
        return intervals.divide(power[..., outer].sum(-1), power[..., ~outer].sum(-1))

    target = steepness(power_y)
    low, high = (np.full(target.shape, edge) for edge in (-LARGEST_BLUR, LARGEST_BLUR))
    for _ in range(BISECTIONS):
        variance = (low + high) / 2
        blurred = power_x * np.exp(-4 * np.pi**2 * k2[used] * variance[..., None])
        more = steepness(blurred) > target
        low, high = np.where(more, variance, low), np.where(more, high, variance)
    measurable = detected & (target > 0) & (steepness(power_x) > 0)
    return np.where(measurable & (np.abs(variance) < 0.99 * LARGEST_BLUR), variance, np.nan)


def _measure_one(images, pixel_scale: float, valid) -> dict[str, np.ndarray]:
    """Quantities of a single image."""
    sky, rings = sky_frame(images, valid), ring_fluxes(images, pixel_scale)
    return {
        "rings": rings,
        "gradient": colours(rings[..., 2]) - colours(rings[..., 0]),  # 2 to 4 less 0 to 1 arcsec
        "power": _power(images),
        "noise": _noise(*sky),
        "neighbours": neighbour_correlation(*sky),
        "centre": centre(images, pixel_scale),
    }


def measure(x, y, sigma, pixel_scale: float, valid=True) -> dict[str, np.ndarray]:
    """Quantities of METRICS, (n, bands), of gradients of colour (n, bands - 1)."""
    of_x, of_y = (_measure_one(images, pixel_scale, valid) for images in (x, y))
    width, quantities = x.shape[-1], {}
    for image, alone in (("x", of_x), ("y", of_y)):
        quantities |= {f"ring_{image}_{k}": alone["rings"][..., k] for k in range(len(RINGS) - 1)}
    power = intervals.divide(_ring_means(of_y["power"], width), _ring_means(of_x["power"], width))
    quantities |= {f"power_{k}": power[..., k] for k in range(QUARTERS)}
    growth = extra_variance(of_x["power"], of_y["power"], width, of_x["noise"], of_y["noise"])
    return quantities | {
        "noise_ratio": intervals.divide(of_y["noise"], of_x["noise"]),
        "noise_correlation": of_y["neighbours"],
        "shift": np.linalg.norm(of_y["centre"] - of_x["centre"], axis=-1),
        "blur": SIGMA_TO_FWHM * pixel_scale * np.sign(growth) * np.sqrt(np.abs(growth)),
        "gradient_error": of_y["gradient"] - of_x["gradient"],
    }
