"""The images compared in every chapter on fidelity: each translator and three reference rows.

truth      the target image itself: the ceiling
resample   the source on the target's pixel grid: the floor, translation without learning
again      a repeat observation, independent of the truth

Within one survey (task intra) source and target are the same image, so resampling would be a copy
of the truth, floor and ceiling at once: the row is left out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from companion import paths
from galtools import data, simulate
from galtools.data import Pairs, image_files
from galtools.data.resampling import lanczos_resample
from galtools.errors import GaltoolsError
from galtools.models.psf_matching import match_psf
from galtools.surveys import CFHTLS


@dataclass(frozen=True)
class ComparisonSet:
    """The same galaxies in several renderings, in nanomaggies per pixel."""

    truth: np.ndarray  # (n, bands, H, W)
    sigma: np.ndarray  # (n, bands) sky noise of the truth
    pixel_scale: float  # arcsec
    images: dict[str, np.ndarray]  # every row, the truth among them
    psf_fwhm: dict[str, np.ndarray]  # (n, bands) arcsec; a translator has to reach the truth's
    pairs: Pairs  # the test galaxies
    inputs: list[Path]  # the files that all this comes from


def load_again(file: Path, pairs: Pairs, task: str, rows=slice(None)) -> Pairs:
    """Read the repeat observation of test galaxies for a task; others than these are refused."""
    again = data.for_task(data.load(file, rows), task)
    if not np.array_equal(again.redshift, pairs.redshift, equal_nan=True):
        raise GaltoolsError(
            f"{file} shows other galaxies than test.h5: run notebooks/01_two_surveys.py again"
        )
    return again


def load_comparison(
    folder: paths.Results, task: str, models, seed: int = 0, count: int | None = None
) -> ComparisonSet:
    """Read the test galaxies, or the first so many, and what was made of them for one task."""
    some = slice(count)
    test = paths.need(folder.data("test"), "01_two_surveys")
    again = paths.need(folder.data("again"), "01_two_surveys")
    pairs = data.for_task(data.load(test, some), task)
    repeat = load_again(again, pairs, task, some).target_set
    images = {"truth": pairs.target, "again": repeat.images}
    if task == "cross":
        size = pairs.target.shape[-2:]
        images["resample"] = lanczos_resample(pairs.source, size, pairs.pixel_ratio)
    made = [paths.need_translations(folder, task, m, seed) for m in models]
    for model, path in zip(models, made, strict=True):
        images[model] = image_files.open_images(path)[some]
        if images[model].shape != pairs.target.shape:
            raise GaltoolsError(f"{path} does not fit the test galaxies: translate them again")
    truth = pairs.target_set
    seeing = dict.fromkeys(images, truth.psf_fwhm) | {"again": repeat.psf_fwhm}
    if "resample" in images:
        seeing["resample"] = pairs.source_set.psf_fwhm
    if brought := [m for m, path in zip(models, made, strict=True) if path.stem.startswith("kept")]:
        print(f"kept weights of long trainings: {', '.join(brought)}")
    inputs = [test, again, *made]
    return ComparisonSet(
        truth.images, truth.noise, truth.pixel_scale, images, seeing, pairs, inputs
    )


def degraded_repeat(sample: ComparisonSet, seed: int = 0) -> np.ndarray:
    """Repeat observation under the median seeing of the source, with white noise of its rms."""
    sets = (sample.pairs.target_set, sample.pairs.source_set)
    seeings = [s.instrument.psf_fwhm for s in sets]
    again = torch.as_tensor(sample.images["again"])
    blurred = match_psf(again, sample.pixel_scale, *seeings).numpy()
    noise = sets[1].noise * (sets[0].pixel_scale / sets[1].pixel_scale) ** 2
    white = np.random.default_rng(seed).standard_normal(blurred.shape, np.float32)
    return blurred + noise[:, :, None, None] * white


def third_observation(sample: ComparisonSet, task: str, count: int):
    """Images of the first `count` targets, observed independently of truth and repeat observation.

    They are simulated on the spot. Between the repeat observation and this one there is no
    difference but chance.
    """
    truth = sample.pairs.catalogue[:count]
    if "seed" not in truth.colnames:
        raise GaltoolsError("only simulated galaxies can be observed a third time")
    grid = "native" if sample.pixel_scale == CFHTLS.pixel_scale else "sdss"
    given = {"seed": int(truth["seed"][0]), "start": int(truth["galaxy"][0]), "grid": grid}
    third = simulate.pairs(len(truth), observation=2, **given)
    if not np.array_equal(third.redshift, sample.pairs.redshift[:count]):
        raise GaltoolsError("the simulation has changed: run notebooks/01_two_surveys.py again")
    return data.for_task(third, task).target_set
