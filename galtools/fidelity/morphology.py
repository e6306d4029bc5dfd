"""Morphology: what statmorph measures on a translation, galaxy by galaxy and as a distribution.

Every row of a comparison is measured on the pixels that are the galaxy's in the *truth*, with
neighbours masked and with the row's PSF. What cannot be measured is NaN and carries a flag.
"""

import shutil
import warnings

import numpy as np
import pandas as pd
from joblib import Memory, Parallel, delayed
from photutils.segmentation import SourceFinder
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter, minimum_filter
from tqdm import tqdm

from galtools import artefacts
from galtools.data.photometry import robust_scatter
from galtools.fidelity import intervals
from galtools.fidelity.fast_statmorph import NOT_MEASURED, QUANTITIES, source_morphology
from galtools.fidelity.metrics import Metric, bias_and_scatter, tabulate
from galtools.fidelity.structure import sky_level_and_noise

RADII = ("half_light_radius", "petrosian_radius")  # statmorph's pixels become arcsec
GOOD, SUSPECT, BAD, HOPELESS = 0, 1, 2, 4  # statmorph's grades
MOFFAT_BETA = 4.765  # the Moffat profile closest to Kolmogorov's atmosphere
MISSING = dict.fromkeys(QUANTITIES, np.nan) | {"flag": HOPELESS, "flag_sersic": HOPELESS}
SKYBOX = 8  # pixels along a side of the empty sky that statmorph has to find in a stamp
ISOPHOTES = (1, 2, 3, 4, 6, 8)  # the galaxy's edge, times the lowest threshold of detection
BATCH = 4  # galaxies in one task of a process
START = 60  # images from which on a second process saves more time than its start takes


def _metrics_of(name: str) -> dict[str, Metric]:
    """Metrics of one quantity, from its values in both images and its error."""
    both = (f"{name}_truth", f"{name}_translated")
    distance = {"perfect": 0, "method": "distance"}
    return {
        **bias_and_scatter(name, f"{name}_error", "error"),
        f"{name}_correlation": Metric(both, intervals.correlation, 1, "Pearson's r over galaxies"),
        f"{name}_catastrophic": Metric(
            (f"{name}_wrong",), intervals.mean, 0, "fraction with an error above the scatter of x",
            "wilson",
        ),
        f"{name}_wasserstein": Metric(
            both, intervals.scaled_wasserstein, meaning="in units of the scatter of x", **distance
        ),
        f"{name}_ks": Metric(both, intervals.kolmogorov, meaning="Kolmogorov-Smirnov", **distance),
    }  # fmt: skip


METRICS = {key: metric for name in QUANTITIES for key, metric in _metrics_of(name).items()}
METRICS["unmeasured"] = Metric(
    ("unmeasured",), intervals.mean, 0, "fraction bad in y of those good in x", "wilson"
)


def psf_stamp(fwhm: float, pixel_scale: float) -> np.ndarray:
    """Moffat PSF of sum 1, within three times its `fwhm` in arcsec."""
    half = int(np.ceil(3 * fwhm / pixel_scale))
    y, x = np.indices((2 * half + 1, 2 * half + 1)) - half
    alpha = fwhm / pixel_scale / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    stamp = (1 + (x**2 + y**2) / alpha**2) ** -MOFFAT_BETA
    return stamp / stamp.sum()


def _sources(image, threshold: float) -> np.ndarray:
    """Labels (H, W) of the sources of at least 8 pixels above `threshold`, deblended."""
    finder = SourceFinder(n_pixels=8, contrast=0.01, progress_bar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # answered by an empty map
        segments = finder(image, threshold)
    return np.zeros(image.shape, int) if segments is None else segments.data


def _shows_sky(labels) -> bool:
    """Whether a square of SKYBOX pixels is free of sources."""
    square = (min(SKYBOX, *labels.shape),) * 2
    return bool(minimum_filter(labels == 0, square, mode="constant", cval=0).any())


def segment(image, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of the central galaxy and those of its neighbours, two boolean maps.

    Sources stand out by 1.5 standard deviations after smoothing with 1.5 pixels, or by more where
    wings fill the stamp: statmorph needs some sky. The galaxy is the source at the centre, if any.
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


def measure_one(image, galaxy, mask, sigma, psf, pixel_scale: float) -> dict:
    """Measure one image (H, W) with the pixels `galaxy`, masking `mask`; radii in arcsec.

    The noise `sigma` is one number, or that of every pixel.
    """
    if not galaxy.any() or not np.isfinite(image).all() or not np.all(sigma > 0):
        return dict(MISSING)
    weight = np.array(np.broadcast_to(sigma, image.shape), float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the flags say the same, and stay with the galaxy
        result = source_morphology(
            np.asarray(image, float), galaxy.astype(int), 1, mask=mask, weightmap=weight, psf=psf
        )
    values = {name: float(getattr(result, key)) for name, key in QUANTITIES.items()}
    flags = {"flag": int(result.flag), "flag_sersic": int(result.flag_sersic)}
    values = _hide_failures(values | flags)
    return values | {name: values[name] * pixel_scale for name in RADII}


def _hide_failures(values: dict) -> dict:
    """Replace statmorph's -99 and what a failed fit left by NaN."""
    failed = [
        name for name in QUANTITIES if values[name] <= NOT_MEASURED or not np.isfinite(values[name])
    ]
    if values["flag_sersic"] >= BAD:
        failed.append("sersic_index")
    if values["flag"] >= BAD:
        failed = list(QUANTITIES)
    return values | dict.fromkeys(failed, np.nan)


def _measure_galaxy(task: tuple, code: str = "") -> dict:
    """Measure one galaxy in every row, {row: quantities}.

    Its arguments are one tuple, since joblib would scatter bare arrays to Dask workers, where they
    could be lost. `code` belongs to the key of the checkpoint.
    """
    images, truth, masked, sigma, relative_noise, seeing, pixel_scale = task
    galaxy, mask = segment(np.where(masked, 0, truth), sigma)
    galaxy, mask = galaxy & ~masked, mask | masked
    measured = {}
    for row, image in images.items():
        sky = sky_level_and_noise(image[None, None], ~masked[None, None])[1]
        level = np.fmax(sigma, float(sky[0, 0]))
        given = seeing[row]
        psf = psf_stamp(given, pixel_scale) if np.ndim(given) == 0 else given / given.sum()
        measured[row] = measure_one(image, galaxy, mask, level * relative_noise, psf, pixel_scale)
    return measured


def measure(
    images: dict, truth, sigma, seeing: dict, pixel_scale: float, jobs=2, progress=True,
    checkpoint=None, masked=None, sigma_map=None,
) -> pd.DataFrame:  # fmt: skip
    """Measure every galaxy in every row, on `jobs` cores: a table, one line per row and galaxy.

    `images` maps rows to stamps (n, H, W) of one band, `seeing` rows to FWHM (n,) in arcsec or to
    images of the PSF (n, h, w); `truth` (n, H, W) with its sky noise `sigma` (n,) gives the pixels,
    of which those that are `masked` do not count. A `sigma_map` (n, H, W) says how the noise
    differs between pixels. joblib's backend decides where it runs. What is done lies in the folder
    `checkpoint` until all is: a run that was killed continues.
    """
    n = len(truth)
    masked = np.zeros(truth.shape, bool) if masked is None else masked
    tasks = (
        (
            {row: np.ascontiguousarray(stack[k]) for row, stack in images.items()},
            np.ascontiguousarray(truth[k]), masked[k], float(sigma[k]),
            1.0 if sigma_map is None else np.where(masked[k], 1, sigma_map[k] / sigma[k]),
            {row: np.float64(one[k]) for row, one in seeing.items()}, pixel_scale,
        )
        for k in range(n)
    )  # fmt: skip
    measure_galaxy, code = Memory(checkpoint, verbose=0).cache(_measure_galaxy), ""
    if checkpoint is not None:
        code = artefacts.digest(artefacts.module_digests([__name__]))
    if jobs and jobs > 0:  # None leaves both number and backend to joblib.parallel_config
        jobs = min(jobs, 1 + n * len(images) // START)
    run = Parallel(n_jobs=jobs, batch_size=BATCH, return_as="generator")
    galaxies = run(delayed(measure_galaxy)(task, code) for task in tasks)
    bar = {"total": n, "desc": "statmorph", "disable": not progress, "mininterval": 5}
    lines = [
        {"row": row, "galaxy": k, **values}
        for k, galaxy in enumerate(tqdm(galaxies, **bar))
        for row, values in galaxy.items()
    ]
    if checkpoint is not None:
        shutil.rmtree(checkpoint)
    return pd.DataFrame(lines).sort_values(["row", "galaxy"], ignore_index=True)


def compare(
    truth: pd.DataFrame, translated: pd.DataFrame, band: str, n_boot=intervals.N_BOOT, seed=0
) -> pd.DataFrame:
    """Table of METRICS of one row of `measure` against the truth's.

    Catastrophic is an error larger than the robust scatter of the truth's population.
    """
    measured = {}
    for name in QUANTITIES:
        x, y = truth[name].to_numpy(float), translated[name].to_numpy(float)
        finite = x[np.isfinite(x)]
        scatter = robust_scatter(finite) if finite.size else np.nan
        wrong = np.where(np.isnan(y - x), np.nan, np.abs(y - x) > scatter)
        columns = {"truth": x, "translated": y, "error": y - x, "wrong": wrong}
        measured |= {f"{name}_{key}": values[:, None] for key, values in columns.items()}
    bad = np.where(truth.flag < BAD, translated.flag >= BAD, np.nan)
    measured["unmeasured"] = bad[:, None]
    return tabulate(measured, METRICS, [band], "morphology", n_boot, seed)
