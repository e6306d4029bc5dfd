"""Fidelity of structure: radial profile, power spectrum, noise, position and size.

As in `pixels`, x is the truth, y the translation, images are (n, bands, H, W) in nanomaggies per
pixel, and every number is measured per galaxy and band before anything is averaged.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from galtools.fidelity import intervals
from galtools.fidelity.pixels import Metric, aperture_weights, in_chunks, tidy
from galtools.surveys import BANDS

RINGS = (0.0, 1.0, 2.0, 4.0, 8.0)  # arcsec, edges of the rings of the radial profile
QUARTERS = 4  # rings of the power spectrum between zero and the Nyquist frequency
WINDOW = 2.0  # arcsec, standard deviation of the Gaussian window of the centre
STEPS = 12  # iterations of the centroid; each leaves s^2 / (s^2 + W^2) of the error
FEW_WAVES = 1 / 8  # cycles per pixel up to which the galaxy outshines the noise
LARGEST_BLUR, BISECTIONS = 30.0, 35  # pixels^2; halvings of that range, to 2e-9 pixels^2
SIGMA_TO_FWHM = np.sqrt(8 * np.log(2))

METRICS = {
    **{
        f"profile_{a:.0f}_{b:.0f}": Metric(
            (f"ring_y_{k}", f"ring_x_{k}"),
            intervals.ratio_of_means,
            1,
            f"light y / x, {a:.0f} to {b:.0f} arcsec",
        )
        for k, (a, b) in enumerate(pairwise(RINGS))
    },
    **{
        f"power_{k + 1}": Metric(
            (f"power_{k}",),
            intervals.median,
            1,
            f"power y / x, quarter {k + 1} to Nyquist",
        )
        for k in range(QUARTERS)
    },
    "noise_ratio": Metric(("noise_ratio",), intervals.median, 1, "sky noise of y / that of x"),
    "noise_correlation": Metric(
        ("noise_correlation",), intervals.median, 0, "neighbouring sky pixels of y, Pearson's r"
    ),
    "centroid_shift": Metric(("shift",), intervals.median, 0, "distance of the centres, arcsec"),
    "blur": Metric(("blur",), intervals.median, 0, "FWHM of the extra blur of y, arcsec"),
}


@lru_cache(maxsize=4)
def _rings(shape, pixel_scale) -> np.ndarray:
    """Exact share of every pixel in every ring of the radial profile: (rings, H, W)."""
    discs = [np.zeros(shape)]
    discs += [aperture_weights(shape, pixel_scale, radius) for radius in RINGS[1:]]
    return np.diff(discs, axis=0)


def ring_fluxes(images, pixel_scale: float) -> np.ndarray:
    """Flux in rings around the stamp's centre, nanomaggies: (n, bands, rings)."""
    return np.einsum("nbyx,kyx->nbk", images, _rings(images.shape[-2:], pixel_scale), optimize=True)


def power_spectrum(images, rings: int = QUARTERS) -> np.ndarray:
    """Azimuthal mean of |FFT|^2 / (number of pixels), nanomaggies^2: (n, bands, rings).

    The rings are equally wide between zero (left out) and the Nyquist frequency; white noise of
    standard deviation s has power s^2 in each.
    """
    height, width = images.shape[-2:]
    k = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    ring = np.ceil(2 * rings * k).astype(int)  # 1 ... rings; 0 is the mean, more the corners
    power = np.abs(np.fft.rfft2(images)) ** 2 / (height * width)
    twice = np.broadcast_to(np.r_[1, np.full(k.shape[1] - 2, 2), 1 + width % 2], k.shape)
    sums = [(power * (twice * (ring == j))).sum((2, 3)) for j in range(1, rings + 1)]
    counts = [twice[ring == j].sum() for j in range(1, rings + 1)]
    return np.stack(sums, axis=-1) / counts


def sky_frame(images) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the sky, and mark the pixels that show it.

    The sky is looked for in a frame an eighth of the stamp wide; pixels beyond four standard
    deviations (neighbours, wings) are left out.
    """
    height, width = images.shape[-2:]
    frame = np.ones((height, width), bool)
    frame[height // 8 : -(height // 8), width // 8 : -(width // 8)] = False
    edge = images[..., frame]
    level = np.median(edge, axis=-1)[..., None, None]
    scatter = intervals.mad_scatter(edge)[..., None, None]
    deviation = images - level
    return deviation, frame & (np.abs(deviation) <= 4 * scatter)


def noise_level(images) -> np.ndarray:
    """Standard deviation of the sky, nanomaggies per pixel: (n, bands)."""
    deviation, sky = sky_frame(images)
    values = np.where(sky, deviation, 0)
    count = np.maximum(sky.sum((2, 3)), 1)
    variance = (values**2).sum((2, 3)) / count - (values.sum((2, 3)) / count) ** 2
    return np.sqrt(np.maximum(variance, 0))


def neighbour_correlation(images) -> np.ndarray:
    """Correlate each sky pixel with the next, along both axes: (n, bands); 0 for white noise."""
    deviation, sky = sky_frame(images)
    values = np.where(sky, deviation, 0)
    product, pairs = 0, 0
    for here, there in ((np.s_[..., 1:], np.s_[..., :-1]), (np.s_[..., 1:, :], np.s_[..., :-1, :])):
        product = product + (values[here] * values[there]).sum((2, 3))
        pairs = pairs + (sky[here] & sky[there]).sum((2, 3))
    variance = intervals.divide((values**2).sum((2, 3)), sky.sum((2, 3)))
    return intervals.divide(product, pairs * variance)


def _axis_windows(size, centre, pixel_scale):
    """Gaussian window along one axis around each centre, and the offsets: (n, bands, size)."""
    offset = (np.arange(size) - (size - 1) / 2) * pixel_scale - centre[..., None]
    return np.exp(-0.5 * (offset / WINDOW) ** 2), offset


def centre(images, pixel_scale: float) -> np.ndarray:
    """Gaussian-weighted centre (n, bands, 2) in arcsec from the stamp's; NaN without light.

    It is iterated, c <- c + sum(w I (x - c)) / sum(w I), until it is its own weighted mean.
    """
    height, width = images.shape[-2:]
    x = y = np.zeros(images.shape[:2])

    def weighted(of_x, of_y):
        return np.matmul(of_y[..., None, :], np.matmul(images, of_x[..., None]))[..., 0, 0]

    for _ in range(STEPS):
        (wx, dx), (wy, dy) = (
            _axis_windows(s, c, pixel_scale) for s, c in ((width, x), (height, y))
        )
        light = weighted(wx, wy)
        x = x + intervals.divide(weighted(wx * dx, wy), light)
        y = y + intervals.divide(weighted(wx, wy * dy), light)
    inside = np.hypot(x, y) < 0.5 * min(height, width) * pixel_scale
    return np.where(inside[..., None], np.stack([x, y], -1), np.nan)


def _power_above_noise(images, noise) -> np.ndarray:
    """Squared Fourier amplitudes less those of white noise of standard deviation (n, bands)."""
    height, width = images.shape[-2:]
    return np.abs(np.fft.rfft2(images)) ** 2 - height * width * noise[..., None, None] ** 2


def extra_variance(x, y, noise_x, noise_y) -> np.ndarray:
    """Variance s^2 of the Gaussian that would blur x into y, pixels^2: (n, bands).

    Such a blur changes the power by exp(-4 pi^2 k^2 s^2), whatever the galaxy looks like. s^2 is
    where the blurred x has the same ratio of power in two rings, 0 < k <= 1/16 < k <= 1/8 per
    pixel, as y: a gain plays no part, and sums of powers less the noise (n, bands) are not biased
    by it. Negative where y is the sharper image, NaN where noise leaves no power in a ring.
    """
    height, width = x.shape[-2:]
    k2 = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None] ** 2
    used = (k2 > 0) & (k2 <= FEW_WAVES**2)
    outer = (k2 > FEW_WAVES**2 / 4)[used]
    power_x, power_y = (
        _power_above_noise(images, noise)[..., used]
        for images, noise in ((x, noise_x), (y, noise_y))
    )

    def steepness(power):
        return intervals.divide(power[..., outer].sum(-1), power[..., ~outer].sum(-1))

    wanted = steepness(power_y)
    low, high = (np.full(wanted.shape, edge) for edge in (-LARGEST_BLUR, LARGEST_BLUR))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        blurred = power_x * np.exp(-4 * np.pi**2 * k2[used] * middle[..., None])
        more = steepness(blurred) > wanted
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    measurable = (wanted > 0) & (steepness(power_x) > 0)
    return np.where(measurable & (np.abs(middle) < 0.99 * LARGEST_BLUR), middle, np.nan)


def measure_few(x, y, sigma, pixel_scale) -> dict[str, np.ndarray]:
    """Measure images already in memory."""
    found = {}
    for side, images in (("x", x), ("y", y)):
        rings = ring_fluxes(images, pixel_scale)
        found |= {f"ring_{side}_{k}": rings[..., k] for k in range(len(RINGS) - 1)}
    power = intervals.divide(power_spectrum(y), power_spectrum(x))
    found |= {f"power_{k}": power[..., k] for k in range(QUARTERS)}
    noise_x, noise_y = noise_level(x), noise_level(y)
    growth = extra_variance(x, y, noise_x, noise_y) * pixel_scale**2
    return found | {
        "noise_ratio": intervals.divide(noise_y, noise_x),
        "noise_correlation": neighbour_correlation(y),
        "shift": np.linalg.norm(centre(y, pixel_scale) - centre(x, pixel_scale), axis=-1),
        "blur": SIGMA_TO_FWHM * np.sign(growth) * np.sqrt(np.abs(growth)),
    }


def measure(truth, translated, sigma, pixel_scale: float) -> dict[str, np.ndarray]:
    """Measure the structure of every galaxy and band; arguments as for `pixels.measure`."""
    return in_chunks(lambda x, y, s: measure_few(x, y, s, pixel_scale), truth, translated, sigma)


def summarise(measured, bands=BANDS, n_boot=intervals.N_BOOT, seed=0):
    """Summarise what `measure` found: level, band, metric, value, low, high, n."""
    return tidy(measured, METRICS, bands, n_boot=n_boot, seed=seed)
