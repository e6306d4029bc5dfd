"""Peak fluxes: the brightest pixel, the central box, and the redshift that they alone predict.

The paper finds that the peaks in the five bands carry much of the redshift information. The max
pixel is the paper's measure; where the noise rivals it (SDSS u), it is the largest of many draws
of the noise and biased high, so the mean of the central 3 x 3 box stands beside it.
"""

import numpy as np

from galtools.data.photometry import (
    aperture_flux,
    asinh_magnitude,
    box_flux,
    colours,
    peak_flux,
)
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.metrics import CHUNK, Metric, tabulate

NEIGHBOURS = 20  # of which a galaxy of a table takes its redshift
OUTLIER = 0.05  # |dz| / (1 + z) beyond which a redshift is wrong

METRICS = {
    "peak_bias": Metric(("peak_error",), intervals.median, 0, "median (Py - Px) / Px, max pixel"),
    "peak_scatter": Metric(("peak_error",), intervals.robust_scatter, 0, "1.48 MAD of the same"),
    "box_bias": Metric(("box_error",), intervals.median, 0, "as the max pixel, mean of 3 x 3"),
    "box_scatter": Metric(("box_error",), intervals.robust_scatter, 0, "1.48 MAD of it"),
    "peak_ratio_bias": Metric(("ratio_error",), intervals.median, 0, "shift of box colour, mag"),
    "peak_ratio_scatter": Metric(
        ("ratio_error",), intervals.robust_scatter, 0, "1.48 MAD of it, mag"
    ),
}
REDSHIFT_METRICS = {
    "bias": Metric(("dz",), intervals.median, 0, "median dz / (1 + z)"),
    "sigma_mad": Metric(("dz",), intervals.robust_scatter, 0, "1.48 MAD of dz / (1 + z)"),
    "outliers": Metric(("wrong",), intervals.mean, 0, "fraction beyond 0.05", "wilson"),
}


def measure(x, y, sigma=None, pixel_scale=None, valid=True) -> dict[str, np.ndarray]:
    """Quantities of METRICS, and the fluxes of the boxes, (n, bands); pixels alone matter."""
    peak_x, peak_y, box_x, box_y = peak_flux(x), peak_flux(y), box_flux(x), box_flux(y)
    return {
        "peak_error": intervals.divide(peak_y - peak_x, peak_x),
        "box_error": intervals.divide(box_y - box_x, box_x),
        "ratio_error": colours(box_y) - colours(box_x),
        "box_truth": box_x,
        "box_translated": box_y,
    }


def flux_features(fluxes, sigma) -> np.ndarray:
    """Turn fluxes into what a regression likes: asinh magnitudes and their differences.

    mu = -2.5 / ln 10 asinh(F / 2 sigma), Lupton et al. (1999): a magnitude for bright peaks, and
    still finite where noise makes F negative. Returns (n, 2 bands - 1).
    """
    magnitude = asinh_magnitude(fluxes, sigma)
    return np.concatenate([magnitude, -np.diff(magnitude, axis=1)], axis=1)


def box_and_aperture(images, pixel_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes of the central boxes and within 3 arcsec, each (n, bands), a few images at a time."""
    parts = [np.asarray(images[k : k + CHUNK], float) for k in range(0, len(images), CHUNK)]
    box = np.concatenate([box_flux(part) for part in parts])
    return box, np.concatenate([aperture_flux(part, pixel_scale) for part in parts])


def joint_features(box, aperture, sigma) -> np.ndarray:
    """Features of peaks and of total light, side by side."""
    return np.hstack([flux_features(box, sigma), flux_features(aperture, sigma)])


def swap_peaks_and_totals(truth, made, sigma) -> dict[str, np.ndarray]:
    """Swap peaks and totals of two sets of (box, aperture) fluxes: features of each mixture."""
    return {
        "both true": joint_features(*truth, sigma),
        "true peaks": joint_features(truth[0], made[1], sigma),
        "true totals": joint_features(made[0], truth[1], sigma),
        "none true": joint_features(*made, sigma),
    }


def redshift_regressor(kind: str, seed: int = 0):
    """Build a redshift estimator on features: "knn" or "boosting"."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # seconds: only where one is asked
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "knn":
        return make_pipeline(StandardScaler(), KNeighborsRegressor(NEIGHBOURS, weights="distance"))
    if kind == "boosting":
        return HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=200, learning_rate=0.06, max_leaf_nodes=15,
            random_state=seed,
        )  # fmt: skip
    raise GaltoolsError(f"unknown estimator {kind!r}: choose knn or boosting")


def redshift_errors(model, table, redshift) -> np.ndarray:
    """(z_predicted - z) / (1 + z) of every galaxy; NaN where a feature is not finite."""
    good = np.isfinite(table).all(axis=1)
    error = np.full(len(redshift), np.nan)
    if good.any():
        error[good] = model.predict(table[good]) - redshift[good]
    return error / (1 + redshift)


def summarise_redshift(errors, label, n_boot=intervals.N_BOOT, seed=0):
    """Table of REDSHIFT_METRICS of the errors (n,) of one estimator, named by `label`."""
    wrong = np.where(np.isnan(errors), np.nan, np.abs(errors) > OUTLIER)
    measured = {"dz": errors[:, None], "wrong": wrong[:, None]}
    return tabulate(measured, REDSHIFT_METRICS, [label], "peak redshift", n_boot, seed)


def scatter_like(fluxes, truth, translated, seed: int = 0) -> np.ndarray:
    """Scatter fluxes (n, bands) as a translator does: multiply them by its own relative errors.

    The errors y / x of whole galaxies, all bands together, are handed to galaxies of similar
    brightness (neighbours in the order of total flux), so their size, their bias and their
    correlation between bands stay what they are, while what they know of the galaxy is lost. No
    galaxy keeps its own.
    """
    ratio = intervals.divide(translated, truth)
    order = np.argsort(truth.sum(1))
    rng = np.random.default_rng(seed)
    blurred = np.argsort(np.arange(len(order)) + rng.uniform(-10, 10, len(order)))
    kept = np.flatnonzero(blurred == np.arange(len(order)))
    if kept.size:  # those that chance left alone, and one beside them, change among themselves
        kept = np.union1d(kept, (kept[-1] + 1) % len(order))
        blurred[kept] = np.roll(blurred[kept], 1)
    given = np.empty_like(ratio)
    given[order] = ratio[order[blurred]]
    return fluxes * given


def swap_core(images, donor, radius: float) -> np.ndarray:
    """Put the core of `donor` into `images`: the pixels within `radius` pixels of the centre."""
    y, x = (np.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
    core = np.hypot(y[:, None], x[None]) <= radius
    return np.where(core, donor, images)


def cross_validated_errors(
    kind, sides, redshift, folds: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Errors of the redshift for each table of `sides`, learning from sides["truth"] alone.

    No galaxy is predicted by an estimator that has seen it: the sample is cut into `folds`.
    """
    part = np.random.default_rng(seed).permutation(len(redshift)) % folds
    errors = {side: np.full(len(redshift), np.nan) for side in sides}
    clean = np.isfinite(sides["truth"]).all(axis=1)
    for k in range(folds):
        learn, test = (part != k) & clean, part == k
        model = redshift_regressor(kind, seed).fit(sides["truth"][learn], redshift[learn])
        for side, table in sides.items():
            errors[side][test] = redshift_errors(model, table[test], redshift[test])
    return errors
