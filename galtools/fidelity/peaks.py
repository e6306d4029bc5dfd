"""Peak fluxes: the brightest pixel, the central box, and the redshift that they alone predict.

The paper finds that the peaks in the five bands carry much of the redshift information. The max
pixel is the paper's measure; where the noise rivals it (SDSS u) it is biased high, as the largest
of many samples of the noise, so the mean of the central 3 x 3 box is measured as well.
"""

import numpy as np

from galtools.data.photometry import asinh_magnitude, box_flux, colours, peak_flux
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, bias_and_scatter, tabulate

NEIGHBOURS = 20  # of the k-nearest-neighbour regression
OUTLIER = 0.05  # |dz| / (1 + z) beyond which a redshift is an outlier

METRICS = {
    **bias_and_scatter("peak", "peak_error", "flux error (Py - Px) / Px, max pixel"),
    **bias_and_scatter("box", "box_error", "flux error (Py - Px) / Px, mean of 3 x 3"),
    **bias_and_scatter("peak_ratio", "ratio_error", "colour error of the box, mag"),
}
REDSHIFT_METRICS = {
    "bias": Metric(("dz",), intervals.median, 0, "median dz / (1 + z)"),
    "sigma_mad": Metric(("dz",), intervals.robust_scatter, 0, "1.48 MAD of dz / (1 + z)"),
    "outliers": Metric(("outlier",), intervals.mean, 0, "fraction beyond 0.05", "wilson"),
}


def measure(x, y, sigma=None, pixel_scale=None, valid=True) -> dict[str, np.ndarray]:
    """Quantities of METRICS, and the fluxes of the boxes, (n, bands), from x and y alone."""
    peak_x, peak_y, box_x, box_y = peak_flux(x), peak_flux(y), box_flux(x), box_flux(y)
    return {
        "peak_error": intervals.divide(peak_y - peak_x, peak_x),
        "box_error": intervals.divide(box_y - box_x, box_x),
        "ratio_error": colours(box_y) - colours(box_x),
        "box_truth": box_x,
        "box_translated": box_y,
    }


def flux_features(fluxes, sigma) -> np.ndarray:
    """Asinh magnitudes of fluxes (n, bands) and their differences, (n, 2 bands - 1)."""
    magnitude = asinh_magnitude(fluxes, sigma)
    return np.concatenate([magnitude, -np.diff(magnitude, axis=1)], axis=1)


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


def tabulate_redshift(errors, label, n_boot=intervals.N_BOOT, seed=0):
    """Table of REDSHIFT_METRICS of the errors (n,) of one estimator, named by `label`."""
    outlier = np.where(np.isnan(errors), np.nan, np.abs(errors) > OUTLIER)
    measured = {"dz": errors[:, None], "outlier": outlier[:, None]}
    return tabulate(measured, REDSHIFT_METRICS, [label], "peak redshift", n_boot, seed)


def cross_validated_errors(
    kind, tables, redshift, folds: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Cross-validated errors (n,) for each table of `tables`, trained on tables["truth"] alone."""
    part = np.random.default_rng(seed).permutation(len(redshift)) % folds
    errors = {name: np.full(len(redshift), np.nan) for name in tables}
    clean = np.isfinite(tables["truth"]).all(axis=1)
    for k in range(folds):
        learn, test = (part != k) & clean, part == k
        model = redshift_regressor(kind, seed).fit(tables["truth"][learn], redshift[learn])
        for name, table in tables.items():
            errors[name][test] = redshift_errors(model, table[test], redshift[test])
    return errors
