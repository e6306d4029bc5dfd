"""Morphology: what statmorph measures on a translation, galaxy by galaxy and as a distribution.

The light of the galaxy is taken from the pixels that the *truth* shows to be its own: every row of
a comparison is measured on the same pixels, with neighbours masked, and with the PSF that the row
ought to have. Nothing is dropped: what cannot be measured is NaN and carries a flag.
"""

import warnings
from dataclasses import astuple

import numpy as np
import pandas as pd
import statmorph
from joblib import Parallel, delayed
from photutils.segmentation import SourceFinder
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from galtools.fidelity import intervals
from galtools.fidelity.pixels import COLUMNS
from galtools.fidelity.structure import noise_level

QUANTITIES = {  # name: (attribute of statmorph, what to multiply pixels by)
    "concentration": "concentration",
    "asymmetry": "asymmetry",
    "smoothness": "smoothness",
    "gini": "gini",
    "m20": "m20",
    "half_light_radius": "rhalf_circ",
    "petrosian_radius": "rpetro_circ",
    "ellipticity": "ellipticity_asymmetry",
    "sersic_index": "sersic_n",
}
RADII = ("half_light_radius", "petrosian_radius")  # statmorph's pixels become arcsec
GOOD, SUSPECT, BAD, HOPELESS = 0, 1, 2, 4  # statmorph's grades
MOFFAT_BETA = 4.765  # the Moffat profile closest to Kolmogorov's atmosphere
MISSING = dict.fromkeys(QUANTITIES, np.nan) | {"flag": HOPELESS, "flag_sersic": HOPELESS}


def psf_stamp(fwhm: float, pixel_scale: float) -> np.ndarray:
    """Moffat image of a star, sum one, large enough for three FWHM; `fwhm` in arcsec."""
    half = int(np.ceil(3 * fwhm / pixel_scale))
    y, x = np.indices((2 * half + 1, 2 * half + 1)) - half
    alpha = fwhm / pixel_scale / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    stamp = (1 + (x**2 + y**2) / alpha**2) ** -MOFFAT_BETA
    return stamp / stamp.sum()


def segment(image, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of the central galaxy and those of its neighbours, two boolean maps.

    Sources stand out by 1.5 standard deviations after smoothing with 1.5 pixels, over at least 8
    pixels, and touching ones are parted. The galaxy is the source at the stamp's centre, not the
    first in the list; without one there, its map is empty.
    """
    empty = np.zeros(image.shape, bool)
    smooth = gaussian_filter(image, 1.5)
    threshold = 1.5 * sigma / (2 * np.sqrt(np.pi) * 1.5)  # white noise after that filter
    finder = SourceFinder(n_pixels=8, contrast=0.01, progress_bar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # answered by an empty map
        found = finder(smooth, threshold)
    if found is None:
        return empty, empty
    middle = tuple(size // 2 for size in image.shape)
    label = found.data[middle]
    if label == 0:
        return empty, found.data > 0
    return found.data == label, (found.data > 0) & (found.data != label)


def measure_one(image, own, others, sigma: float, psf, pixel_scale: float) -> dict:
    """Measure one image (H, W) with the pixels `own`, masking `others`; radii in arcsec."""
    if not own.any() or not np.isfinite(image).all() or not sigma > 0:
        return dict(MISSING)
    weight = np.full(image.shape, float(sigma))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the flags say the same, and stay with the galaxy
        found = statmorph.SourceMorphology(
            np.asarray(image, float), own.astype(int), 1, mask=others, weightmap=weight, psf=psf
        )
    values = {name: float(getattr(found, key)) for name, key in QUANTITIES.items()}
    for name in RADII:
        values[name] *= pixel_scale
    values |= {"flag": int(found.flag), "flag_sersic": int(found.flag_sersic)}
    return _hide_failures(values)


def _hide_failures(values: dict) -> dict:
    """Replace statmorph's -99 and what a failed fit left by NaN."""
    failed = [name for name in QUANTITIES if values[name] <= -99 or not np.isfinite(values[name])]
    if values["flag_sersic"] >= BAD:
        failed.append("sersic_index")
    if values["flag"] >= BAD:
        failed = list(QUANTITIES)
    return values | dict.fromkeys(failed, np.nan)


def _measure_galaxy(task: tuple) -> dict:
    """Measure one galaxy in every row: {row: quantities}.

    All it needs comes in one tuple: joblib would lend bare arrays to a Dask worker beforehand, and
    they would be lost with it.
    """
    images, truth, sigma, fwhm, pixel_scale = task
    own, others = segment(truth, sigma)
    measured = {}
    for row, image in images.items():
        level = max(sigma, float(noise_level(image[None, None])[0, 0]))
        psf = psf_stamp(fwhm[row], pixel_scale)
        measured[row] = measure_one(image, own, others, level, psf, pixel_scale)
    return measured


def measure(images: dict, truth, sigma, fwhm: dict, pixel_scale: float, jobs=2, progress=True):
    """Measure every galaxy in every row, on `jobs` cores.

    `images` maps rows to stamps (n, H, W) of one band, `fwhm` rows to seeing (n,) in arcsec;
    `truth` (n, H, W) with its sky noise `sigma` (n,) gives the pixels. Returns a table with one
    line per row and galaxy. joblib's backend decides where it runs, so a Dask cluster can.
    """
    tasks = (
        delayed(_measure_galaxy)((
            {row: stack[k] for row, stack in images.items()},
            truth[k], float(sigma[k]), {row: float(f[k]) for row, f in fwhm.items()}, pixel_scale,
        ))
        for k in range(len(truth))
    )  # fmt: skip
    if jobs and jobs > 0:  # None leaves the number, as the place, to joblib.parallel_config
        jobs = min(jobs, 1 + len(truth) // 20)  # a process costs 20 galaxies
    found = Parallel(n_jobs=jobs, return_as="generator")(tasks)
    shown = tqdm(found, total=len(truth), desc="statmorph", disable=not progress, mininterval=5)
    lines = [
        {"row": row, "galaxy": k, **values}
        for k, galaxy in enumerate(shown)
        for row, values in galaxy.items()
    ]
    return pd.DataFrame(lines).sort_values(["row", "galaxy"], ignore_index=True)


def population_spread(truth: np.ndarray) -> float:
    """Robust spread of a quantity over the galaxies of the truth: the ruler of what is large."""
    return float(intervals.mad_scatter(truth[np.isfinite(truth)]))


def _statistics(truth, found, n_boot, seed) -> dict:
    """All statistics of one quantity in one row."""
    both = np.stack([truth, found])
    spread = population_spread(truth)
    error = found - truth
    lost = np.where(np.isnan(error), np.nan, np.abs(error) > spread)

    def scaled(distance):
        result = intervals.estimate(distance, both, n_boot, seed)
        parts = [part / spread if spread > 0 else np.nan for part in astuple(result)[:3]]
        return intervals.Estimate(*parts, result.n)

    return {
        "bias": intervals.estimate(intervals.median, error, n_boot, seed),
        "scatter": intervals.estimate(intervals.mad_scatter, error, n_boot, seed),
        "correlation": intervals.estimate(intervals.correlation, both, n_boot, seed),
        "catastrophic": intervals.estimate(intervals.mean, lost, n_boot, seed),
        "wasserstein": scaled(intervals.wasserstein),
        "ks": intervals.estimate(intervals.kolmogorov, both, n_boot, seed),
    }


def summarise(truth: pd.DataFrame, found: pd.DataFrame, band: str, n_boot=400, seed=0):
    """Compare one row with the truth: level, band, metric, value, low, high, n.

    Per quantity: bias and scatter of the error, correlation, the share of catastrophic errors
    (larger than the spread of the truth's population), and as distributions the Wasserstein
    distance in units of that spread and the Kolmogorov-Smirnov distance. `unmeasured` is the share
    of galaxies whose truth could be measured and whose translation could not.
    """
    rows = []
    for name in QUANTITIES:
        values = truth[name].to_numpy(float), found[name].to_numpy(float)
        for statistic, result in _statistics(*values, n_boot, seed).items():
            rows.append(("morphology", band, f"{name}_{statistic}", *astuple(result)))
    good = (truth.flag < BAD).to_numpy()
    failed = np.where(good, (found.flag >= BAD).to_numpy(), np.nan)
    result = intervals.estimate(intervals.mean, failed, n_boot, seed)
    rows.append(("morphology", band, "unmeasured", *astuple(result)))
    return pd.DataFrame(rows, columns=COLUMNS)
