"""Measurements of predictive samples: many samples for one image, many images of one galaxy.

Everything is a magnitude, a colour or a redshift: for these, errors of bright and of faint galaxies
weigh alike. Definitions and names are those of `repeat_observations`, so that scatters can be
compared.
"""

from pathlib import Path

import numpy as np

from companion import directions, paths, repeat_observations
from galtools import artefacts, data, models
from galtools.data import photometry
from galtools.data.image_files import open_images, read_column
from galtools.errors import GaltoolsError
from galtools.fidelity import peaks
from galtools.hdf5 import safe_open
from galtools.surveys import BANDS
from galtools.training import translate

COLOURS = ("colour g − r", "colour of the peak, g − r")
FLUXES = tuple(f"{kind}, {b}" for kind in ("total flux", "peak") for b in BANDS)
REDSHIFT = "redshift read from fluxes"
QUANTITIES = (*FLUXES, *COLOURS, REDSHIFT)
TOTALS, PEAKS = slice(0, 5), slice(5, 10)  # columns of the magnitudes
BATCH = 64  # galaxies whose samples are in memory at a time
CORNER = 0.2  # side of a corner of the stamp, as a fraction of the stamp's
MIN_TRAINING = 10  # galaxies from which a redshift is learned


def sample_measurements(images, pixel_scale: float) -> np.ndarray:
    """Magnitudes within 5 arcsec and of the brightest pixel, and two colours: (n, 12)."""
    images = np.asarray(images, np.float64)
    total = photometry.aperture_flux(images, pixel_scale, repeat_observations.TOTAL)
    magnitudes = map(photometry.magnitude, (total, photometry.peak_flux(images)))
    core = photometry.aperture_flux(images, pixel_scale), photometry.box_flux(images)
    return np.hstack([*magnitudes, *(photometry.colours(flux)[:, 1:2] for flux in core)])


def corner_noise(images, sigma) -> np.ndarray:
    """Standard deviation in the corners of the r images over that of the noise (n,)."""
    side = max(2, round(CORNER * images.shape[-1]))
    ends = np.r_[0:side, -side:0]
    corners = images[:, BANDS.index("r")][:, ends[:, None], ends]
    return np.std(corners, axis=(1, 2), dtype=np.float64) / sigma


def powers(count: int) -> list[int]:
    """1, 2, 4, ... samples to average, up to `count`; none of a single answer."""
    return [2**k for k in range(count.bit_length()) if count > 1]


def summarize(images, sigma, pixel_scale: float) -> dict[str, np.ndarray]:
    """Measurements of samples (n, K, 5, H, W), and of means of the first 1, 2, 4, ... samples.

    `samples` (K, n, 12); `averages` (sizes, n, 12) and `noise` (sizes, n) if K > 1.
    """
    each = [sample_measurements(x, pixel_scale) for x in np.swapaxes(images, 0, 1)]
    found = {"samples": np.stack(each)}
    if means := [images[:, :size].mean(axis=1) for size in powers(images.shape[1])]:
        found["averages"] = np.stack([sample_measurements(mean, pixel_scale) for mean in means])
        found["noise"] = np.stack([corner_noise(mean, sigma) for mean in means])
    return found


def summarize_cached(path, images, pairs_file, n=None, params=None, modules=(), inputs=()) -> dict:
    """`summarize` the samples ``images(rows)`` of the first n galaxies once, into `path`.

    `pairs_file` holds the target images whose pixel scale and noise the samples have.
    """
    scale = data.pixel_scales(pairs_file)["target"]
    sigma = read_column(pairs_file, "target/noise")[:n, BANDS.index("r")]

    def compute():
        batches = (slice(k, min(k + BATCH, len(sigma))) for k in range(0, len(sigma), BATCH))
        found = [summarize(images(rows), sigma[rows], scale) for rows in batches]
        return {name: np.concatenate([part[name] for part in found], axis=1) for name in found[0]}

    params = params or {}
    return artefacts.make_arrays(
        path, compute, params=params, seed=params.get("seed", 0),
        modules=["companion.sample_statistics", *modules], inputs=[pairs_file, *inputs],
    )  # fmt: skip


def _model(weights: Path) -> str:
    return weights.parent.parent.name


def check_trained(weights, translations):
    """Return the file of translations if a model's chapter has been run, or say which to run."""
    model = _model(weights)
    return paths.need_of(translations, model, paths.need_of(weights, model))


def kept_samples(path, translations, test_file) -> dict[str, np.ndarray]:
    """Measurements of the samples that the chapter of the model kept of the test galaxies."""
    artefacts.check_inputs(translations, test_file, advice="run the chapter of its model again")

    def images(rows):
        with safe_open(translations) as file:
            return file["images"][rows]

    return summarize_cached(path, images, test_file, inputs=[translations])


def new_samples(path, weights, pairs_file, n: int, samples: int, seed: int) -> dict:
    """Measurements of new samples, from the first n sources of a file."""

    def images(rows):
        source = data.load(pairs_file, rows).source
        made = translate.translate(weights, source, samples, seed, rows.start)
        return made.reshape(len(source), samples, *made.shape[-3:])

    modules, params = models.modules(_model(weights)), {"samples": samples, "seed": seed, "n": n}
    return summarize_cached(path, images, pairs_file, n, params, modules, [weights])


def simulate_repeats(store, test_file, numbers, n: int, grid: str) -> list[Path]:
    """Simulate further observations `numbers` of the first n test galaxies, a file each."""
    first = data.load(test_file, slice(0, 1)).catalogue["galaxy"][0]
    options = {"n": n, "start": int(first), **directions.simulation_options(test_file, grid)}
    return [
        directions.simulate_cached(store.data(f"look{j}"), {**options, "observation": j})
        for j in numbers
    ]


def translate_repeats(path, weights, files) -> np.ndarray:
    """Measurements (observations, n, 12) of translations of repeat observations by one network."""

    def images(rows):
        sources = (data.load(file, rows).source for file in files)
        each = [translate.translate(weights, source, start=rows.start) for source in sources]
        return np.stack(each, axis=1)

    modules, inputs = models.modules(_model(weights)), [weights, *files[1:]]
    return summarize_cached(path, images, files[0], modules=modules, inputs=inputs)["samples"]


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
        found = self.model.predict(table.reshape(-1, table.shape[-1])).reshape(table.shape[:-1])
        found = np.where(np.isfinite(table).all(axis=-1), found, np.nan)
        return np.concatenate([measurements, found[..., None]], axis=-1)
