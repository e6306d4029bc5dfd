"""Morphology: what statmorph measures on a translation, galaxy by galaxy and as a distribution.

The light of the galaxy is taken from the pixels that the *truth* shows to be its own: every row of
a comparison is measured on the same pixels, with neighbours masked, and with the PSF that the row
ought to have. Nothing is dropped: what cannot be measured is NaN and carries a flag.
"""

import hashlib
import json
import warnings
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from photutils.segmentation import SourceFinder
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter, minimum_filter
from tqdm import tqdm

from galtools import artefacts
from galtools.fidelity import intervals
from galtools.fidelity.fast_statmorph import NOT_FOUND, QUANTITIES, FastMorphology
from galtools.fidelity.pixels import COLUMNS
from galtools.fidelity.structure import noise_level

RADII = ("half_light_radius", "petrosian_radius")  # statmorph's pixels become arcsec
GOOD, SUSPECT, BAD, HOPELESS = 0, 1, 2, 4  # statmorph's grades
MOFFAT_BETA = 4.765  # the Moffat profile closest to Kolmogorov's atmosphere
MISSING = dict.fromkeys(QUANTITIES, np.nan) | {"flag": HOPELESS, "flag_sersic": HOPELESS}
SKYBOX = 8  # pixels along a side of the empty sky that statmorph has to find in a stamp
ISOPHOTES = (1, 2, 3, 4, 6, 8)  # the galaxy's edge, times the lowest threshold of detection
BATCH = 4  # galaxies handed to a process at a time
START = 60  # images from which on a second process saves more time than its start takes


def psf_stamp(fwhm: float, pixel_scale: float) -> np.ndarray:
    """Moffat image of a star, sum one, large enough for three FWHM; `fwhm` in arcsec."""
    half = int(np.ceil(3 * fwhm / pixel_scale))
    y, x = np.indices((2 * half + 1, 2 * half + 1)) - half
    alpha = fwhm / pixel_scale / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    stamp = (1 + (x**2 + y**2) / alpha**2) ** -MOFFAT_BETA
    return stamp / stamp.sum()


def _sources(image, threshold: float) -> np.ndarray:
    """Number the sources above `threshold`, of at least 8 pixels, touching ones parted: (H, W)."""
    finder = SourceFinder(n_pixels=8, contrast=0.01, progress_bar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # answered by an empty map
        found = finder(image, threshold)
    return np.zeros(image.shape, int) if found is None else found.data


def _shows_sky(labels) -> bool:
    """Tell whether a square of SKYBOX pixels is free of sources."""
    square = (min(SKYBOX, *labels.shape),) * 2
    return bool(minimum_filter(labels == 0, square, mode="constant", cval=0).any())


def segment(image, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of the central galaxy and those of its neighbours, two boolean maps.

    Sources stand out by 1.5 standard deviations after smoothing with 1.5 pixels. In a deep survey
    the wings of a galaxy can fill its stamp; then the threshold is raised until some sky is seen,
    without which statmorph calls everything bad. The galaxy is the source at the stamp's centre,
    not the first in the list; without one there, its map is empty.
    """
    smooth = gaussian_filter(image, 1.5)
    lowest = 1.5 * sigma / (2 * np.sqrt(np.pi) * 1.5)  # white noise after that filter
    for times in ISOPHOTES:
        if _shows_sky(smooth > times * lowest):
            break
    labels = _sources(smooth, times * lowest)
    label = labels[tuple(size // 2 for size in image.shape)]
    if label == 0:
        return np.zeros(image.shape, bool), labels > 0
    return labels == label, (labels > 0) & (labels != label)


def measure_one(image, own, others, sigma: float, psf, pixel_scale: float) -> dict:
    """Measure one image (H, W) with the pixels `own`, masking `others`; radii in arcsec."""
    if not own.any() or not np.isfinite(image).all() or not sigma > 0:
        return dict(MISSING)
    weight = np.full(image.shape, float(sigma))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the flags say the same, and stay with the galaxy
        found = FastMorphology(
            np.asarray(image, float), own.astype(int), 1, mask=others, weightmap=weight, psf=psf
        )
    values = {name: float(getattr(found, key)) for name, key in QUANTITIES.items()}
    for name in RADII:
        values[name] *= pixel_scale
    values |= {"flag": int(found.flag), "flag_sersic": int(found.flag_sersic)}
    return _hide_failures(values)


def _hide_failures(values: dict) -> dict:
    """Replace statmorph's -99 and what a failed fit left by NaN."""
    failed = [
        name for name in QUANTITIES if values[name] <= NOT_FOUND or not np.isfinite(values[name])
    ]
    if values["flag_sersic"] >= BAD:
        failed.append("sersic_index")
    if values["flag"] >= BAD:
        failed = list(QUANTITIES)
    return values | dict.fromkeys(failed, np.nan)


def _measure_galaxy(images, truth, sigma, fwhm, pixel_scale) -> dict:
    """Measure one galaxy in every row, {row: quantities}; equal images only once."""
    own, others = segment(truth, sigma)
    measured, known = {}, {}
    for row, image in images.items():
        same = image.tobytes(), fwhm[row]
        if same not in known:
            level = max(sigma, float(noise_level(image[None, None])[0, 0]))
            psf = psf_stamp(fwhm[row], pixel_scale)
            known[same] = measure_one(image, own, others, level, psf, pixel_scale)
        measured[row] = known[same]
    return measured


def _measure_batch(batch: tuple) -> list[dict]:
    """Measure a few galaxies.

    All they need comes in one tuple: joblib would lend bare arrays to a Dask worker beforehand,
    and they would be lost with it.
    """
    return [_measure_galaxy(*task) for task in batch]


def _key(task: tuple, code: str) -> str:
    """Hash all that a galaxy's measurement follows from."""
    images, truth, sigma, fwhm, pixel_scale = task
    content = hashlib.sha256(truth.tobytes())
    for row, image in images.items():
        content.update(row.encode() + image.tobytes())
    content.update(repr((truth.shape, sigma, fwhm, pixel_scale)).encode())
    return f"{content.hexdigest()[:32]} {code[:32]}"


class _Diary:
    """Galaxies that are done, one line each in a file, so that a killed run can go on.

    Without a path it only remembers.
    """

    def __init__(self, path: Path | None):
        self.path, self.known = path, {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                try:
                    self.known |= json.loads(line)
                except ValueError:  # the line that was being written when the run was killed
                    continue

    def add(self, key: str, galaxy: dict) -> None:
        self.known[key] = galaxy
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:  # closed, and so written, galaxy by galaxy
                file.write("\n" + json.dumps({key: galaxy}))

    def close(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def measure(
    images: dict, truth, sigma, fwhm: dict, pixel_scale: float, jobs=2, progress=True, diary=None
) -> pd.DataFrame:
    """Measure every galaxy in every row, on `jobs` cores.

    `images` maps rows to stamps (n, H, W) of one band, `fwhm` rows to seeing (n,) in arcsec;
    `truth` (n, H, W) with its sky noise `sigma` (n,) gives the pixels. Returns a table with one
    line per row and galaxy. joblib's backend decides where it runs, so a Dask cluster can. What is
    done is kept in the file `diary`: a run that was killed goes on where it was.
    """
    tasks = [
        (
            {row: np.ascontiguousarray(stack[k]) for row, stack in images.items()},
            np.ascontiguousarray(truth[k]), float(sigma[k]),
            {row: float(f[k]) for row, f in fwhm.items()}, pixel_scale,
        )
        for k in range(len(truth))
    ]  # fmt: skip
    code = artefacts.digest(artefacts.module_digests([__name__]))
    keys = [_key(task, code) for task in tasks]
    done = _Diary(diary)
    left = [k for k, key in enumerate(keys) if key not in done.known]
    if jobs and jobs > 0:  # None leaves the number, as the place, to joblib.parallel_config
        jobs = min(jobs, 1 + len(left) * len(images) // START)
    with tqdm(total=len(keys), initial=len(keys) - len(left), desc="statmorph",
              disable=not progress, mininterval=5) as bar:  # fmt: skip
        for k, galaxy in zip(left, _galaxies([tasks[k] for k in left], jobs), strict=True):
            done.add(keys[k], galaxy)
            bar.update()
    lines = [
        {"row": row, "galaxy": k, **values}
        for k, key in enumerate(keys)
        for row, values in done.known[key].items()
    ]
    done.close()
    return pd.DataFrame(lines).sort_values(["row", "galaxy"], ignore_index=True)


def _galaxies(tasks, jobs):
    """Yield the measurements of galaxies in their order, as they come."""
    batches = (delayed(_measure_batch)(tasks[k : k + BATCH]) for k in range(0, len(tasks), BATCH))
    for batch in Parallel(n_jobs=jobs, return_as="generator")(batches):
        yield from batch


def population_spread(truth: np.ndarray) -> float:
    """Robust spread of a quantity over the galaxies of the truth: the ruler of what is large."""
    measured = truth[np.isfinite(truth)]
    return float(intervals.robust_scatter(measured)) if measured.size else np.nan


def _statistics(truth, found, n_boot, seed) -> dict:
    """All statistics of one quantity in one row."""
    both = np.stack([truth, found])
    spread = population_spread(truth)
    error = found - truth
    lost = np.where(np.isnan(error), np.nan, np.abs(error) > spread)
    return {
        "bias": intervals.bootstrap(intervals.median, error, n_boot, seed),
        "scatter": intervals.bootstrap(intervals.robust_scatter, error, n_boot, seed),
        "correlation": intervals.bootstrap(intervals.correlation, both, n_boot, seed),
        "catastrophic": intervals.bootstrap(intervals.fraction, lost, n_boot, seed),
        "wasserstein": intervals.bootstrap(intervals.scaled_wasserstein, both, n_boot, seed),
        "ks": intervals.bootstrap(intervals.kolmogorov, both, n_boot, seed),
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
    result = intervals.bootstrap(intervals.fraction, failed, n_boot, seed)
    rows.append(("morphology", band, "unmeasured", *astuple(result)))
    return pd.DataFrame(rows, columns=COLUMNS)
