"""Many draws for one image, many images of one galaxy: measured, so that only numbers are kept.

Everything is a magnitude, a colour or a redshift: for such, errors of bright and of faint galaxies
weigh alike. Definitions and names are those of `looks`, so that spreads can be compared.
"""

from pathlib import Path

import h5py
import numpy as np

from companion import directions, paths, repeat_observations
from galtools import artefacts, data, models
from galtools.data import photometry
from galtools.data.image_files import open_images, read_column
from galtools.errors import GaltoolsError
from galtools.fidelity import peaks, pixels
from galtools.surveys import BANDS
from galtools.training import translate

COLOURS = ("colour g − r", "colour of the peak, g − r")
FLUXES = tuple(f"{kind}, {b}" for kind in ("total light", "peak") for b in BANDS)
REDSHIFT = "redshift read from fluxes"
QUANTITIES = (*FLUXES, *COLOURS, REDSHIFT)
TOTALS, PEAKS = slice(0, 5), slice(5, 10)  # columns of the magnitudes
PART = 64  # galaxies whose draws are in memory at a time
CORNER = 0.2  # side of a corner of the stamp, as a share
LEAST = 10  # galaxies from which a redshift is learnt


def sample_measurements(images, pixel_scale: float) -> np.ndarray:
    """Magnitudes within 5 arcsec and of the brightest pixel, and two colours: (n, 12)."""
    parts = [images[k : k + pixels.CHUNK] for k in range(0, len(images), pixels.CHUNK)]
    return np.concatenate([_measure_few(np.asarray(x, np.float64), pixel_scale) for x in parts])


def _measure_few(images, pixel_scale: float) -> np.ndarray:
    total = photometry.magnitude(
        photometry.aperture_flux(images, pixel_scale, repeat_observations.TOTAL)
    )
    peak = photometry.magnitude(photometry.peak_flux(images))
    tint = photometry.colours(photometry.aperture_flux(images, pixel_scale))[:, 1:2]
    tip = photometry.colours(photometry.box_flux(images))[:, 1:2]
    return np.hstack([total, peak, tint, tip])


def corner_noise(images, sigma) -> np.ndarray:
    """Standard deviation in the corners of the r images over that of the noise (n,)."""
    side = max(2, round(CORNER * images.shape[-1]))
    ends = np.r_[0:side, -side:0]
    corners = images[:, BANDS.index("r")][:, ends[:, None], ends]
    return np.std(corners, axis=(1, 2), dtype=np.float64) / sigma


def powers(count: int) -> list[int]:
    """1, 2, 4, ... draws to average, as far as there are so many; none of a single answer."""
    return [2**k for k in range(count.bit_length()) if count > 1]


def condense(images, sigma, pixel_scale: float) -> dict[str, np.ndarray]:
    """Numbers of draws (n, K, 5, H, W), and of mean images of the first 1, 2, 4, ... draws.

    `draws` (K, n, 12); `averages` (sizes, n, 12) and `noise` (sizes, n) if there are several draws.
    """
    count = images.shape[1]
    found = {
        "draws": np.stack([sample_measurements(images[:, k], pixel_scale) for k in range(count)])
    }
    if means := [images[:, :size].mean(axis=1) for size in powers(count)]:
        found["averages"] = np.stack([sample_measurements(mean, pixel_scale) for mean in means])
        found["noise"] = np.stack([corner_noise(mean, sigma) for mean in means])
    return found


def condense_cached(
    path, parts, pixel_scale: float, modules, inputs, params: dict
) -> dict[str, np.ndarray]:
    """Condense draws once into `path`; `parts()` yields some galaxies at a time, with sigma."""

    def maker(new):
        found = [condense(images, sigma, pixel_scale) for images, sigma in parts()]
        with h5py.File(new, "w") as file:
            for name in found[0]:
                file[name] = np.concatenate([part[name] for part in found], axis=1)

    artefacts.make(
        path, maker, params=params, modules=["companion.sample_statistics", *modules],
        inputs=inputs, seed=params.get("seed", 0),
    )  # fmt: skip
    with h5py.File(path) as file:
        return {name: values[:] for name, values in file.items()}


def _model(weights: Path) -> str:
    return weights.parent.parent.name


def _noise(pairs_file) -> np.ndarray:
    """Noise of the target's r images (n,)."""
    return read_column(pairs_file, "noise")[:, 1, BANDS.index("r")]


def check_trained(weights, translations):
    """Return the file of translations if a model's chapter has been run, or say which to run."""
    model = _model(weights)
    return paths.need_of(weights, model) and paths.need_of(translations, model)


def condense_kept(path, translations, test_file) -> dict[str, np.ndarray]:
    """Condense the draws that the chapter of the model kept of the test galaxies."""

    def parts():
        sigma = _noise(test_file)
        with h5py.File(translations) as file:
            for k in range(0, len(sigma), PART):
                yield file["images"][k : k + PART], sigma[k : k + PART]

    scale = data.pixel_scales(test_file)["target"]
    return condense_cached(path, parts, scale, [], [translations, test_file], {})


def condense_new(
    path, weights, pairs_file, n: int, samples: int, seed: int
) -> dict[str, np.ndarray]:
    """Draw from the first n sources of a file, and condense."""

    def parts():
        network, sigma = translate.load_weights(weights), _noise(pairs_file)[:n]
        for k in range(0, len(sigma), PART):
            rows = slice(k, min(k + PART, len(sigma)))
            source = data.load(pairs_file, rows).source
            drawn = translate.translate(network, source, samples, seed, k)
            yield drawn.reshape(len(source), samples, *drawn.shape[-3:]), sigma[rows]

    scale = data.pixel_scales(pairs_file)["target"]
    params = {"n": n, "samples": samples, "seed": seed}
    modules = models.modules(_model(weights))
    return condense_cached(path, parts, scale, modules, [weights, pairs_file], params)


def simulate_repeats(store, test_file, numbers, n: int, grid: str) -> list[Path]:
    """Simulate further observations `numbers` of the first n test galaxies, a file each."""
    first = data.load(test_file, slice(0, 1)).catalogue["galaxy"][0]
    options = {"n": n, "start": int(first), **directions.simulation_options(test_file, grid)}
    return [
        directions.simulate_cached(store.data(f"look{j}"), {**options, "observation": j})
        for j in numbers
    ]


def translate_repeats(path, weights, files) -> np.ndarray:
    """Translate several looks at the same galaxies by one network; measures (looks, n, 12)."""

    def parts():
        network = translate.load_weights(weights)
        answers = [translate.translate(network, data.load(file).source) for file in files]
        yield np.stack(answers, axis=1), _noise(files[0])

    scale, modules = data.pixel_scales(files[0])["target"], models.modules(_model(weights))
    return condense_cached(path, parts, scale, modules, [weights, *files], {"looks": len(files)})[
        "draws"
    ]


def true_measurements(pairs_file, rows=slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Measures (n, 12) of the true target images of a file, and the redshifts (n,)."""
    scale, images = data.pixel_scales(pairs_file)["target"], open_images(pairs_file, "target")
    first, last, _ = rows.indices(len(images))
    parts = [
        sample_measurements(images[k : min(k + PART, last)], scale)
        for k in range(first, last, PART)
    ]
    return np.concatenate(parts), read_column(pairs_file, "redshift")[rows]


class FluxRedshiftRegressor:
    """Reads a redshift from ten magnitudes, as learnt from true target images."""

    def __init__(self, measures, redshift, seed: int = 0):
        """Learn from measures (n, 12) of images and their redshifts (n,); `n` could be measured."""
        table = self._table(measures)
        good = np.isfinite(table).all(axis=1)
        self.n = int(good.sum())
        if self.n < LEAST:
            raise GaltoolsError(f"{self.n} galaxies have all magnitudes: learn from {LEAST}")
        self.model = peaks.redshift_regressor("boosting", seed).fit(table[good], redshift[good])

    @staticmethod
    def _table(measures):
        totals, tips = measures[..., TOTALS], measures[..., PEAKS]
        differences = (-np.diff(kind, axis=-1) for kind in (totals, tips))
        return np.concatenate([totals, tips, *differences], axis=-1)

    def __call__(self, measures) -> np.ndarray:
        """Redshifts (...) of measures (..., 12), NaN where a magnitude is missing."""
        table = self._table(measures)
        found = self.model.predict(table.reshape(-1, table.shape[-1])).reshape(table.shape[:-1])
        return np.where(np.isfinite(table).all(axis=-1), found, np.nan)

    def beside(self, measures) -> np.ndarray:
        """Put the redshift beside what it is read from: all `QUANTITIES` (..., 13)."""
        return np.concatenate([measures, self(measures)[..., None]], axis=-1)
