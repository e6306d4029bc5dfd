"""Downstream uses of translations: redshifts with few labels, types, and odd galaxies.

All three take simple features of an image, so that the image counts and not the learner.
"""

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

RADII = (1, 2, 4, 8)  # arcsec, apertures of the concentrations
WITHIN, SKY = 9.0, 11.0  # arcsec: asymmetry is measured within the one, noise beyond the other
SHAPE_BANDS = slice(1, 4)  # g, r, i: where galaxies are bright


def shape_features(images, pixel_scale: float) -> np.ndarray:
    """Asymmetry and three concentrations in each of g, r, i: (n, 12).

    The asymmetry is that under half a turn, minus that of noise alone (Conselice 2003),

        A = (sum |I - I_180| - noise) / sum |I|,

    a concentration the flux within 1, 2, 4 arcsec over that within twice the radius.
    """
    images = np.asarray(images[:, SHAPE_BANDS], float)
    inside, sky = (
        photometry.aperture_weights(images.shape[-2:], pixel_scale, radius, "center") > 0
        for radius in (WITHIN, SKY)
    )
    difference = np.abs(images - images[..., ::-1, ::-1])
    noise = difference[..., ~sky].mean(-1) * inside.sum()
    total = np.abs(images[..., inside]).sum(-1)
    asymmetry = intervals.divide(difference[..., inside].sum(-1) - noise, total)
    flux = np.stack([photometry.aperture_flux(images, pixel_scale, r) for r in RADII], axis=-1)
    concentration = np.clip(intervals.divide(flux[..., :-1], flux[..., 1:]), 0, 2)
    return np.concatenate([asymmetry, concentration.reshape(len(images), -1)], axis=1)


def redshift_regressor(kind: str, seed: int = 0):
    """Redshift estimator: "boosting", or the smoother "kernel" regression."""
    if kind == "boosting":
        return HistGradientBoostingRegressor(
            max_iter=60, learning_rate=0.15, max_leaf_nodes=15, random_state=seed
        )
    if kind == "kernel":
        return make_pipeline(StandardScaler(), SVR(C=1, epsilon=0.005, gamma=0.03))
    raise GaltoolsError(f"unknown estimator {kind!r}: choose boosting or kernel")


def few_label_errors(
    kind, labelled, test, helper, size: int, subsets: int, seed: int = 0
) -> np.ndarray:
    """Errors dz / (1 + z) of the test galaxies, (subsets, n), trained on few labelled galaxies.

    `labelled`, `test` and `helper` are (features, redshifts). Each of `subsets` holds `size` random
    galaxies of `labelled`, and all of `helper` unless it is None.
    """
    errors = []
    for k in range(subsets):
        rows = np.random.default_rng([seed, k]).permutation(len(labelled[1]))[:size]
        table, z = labelled[0][rows], labelled[1][rows]
        if helper is not None:
            table, z = np.concatenate([table, helper[0]]), np.concatenate([z, helper[1]])
        predicted = redshift_regressor(kind, seed + k).fit(table, z).predict(test[0])
        errors.append((predicted - test[1]) / (1 + test[1]))
    return np.stack(errors)


def roc_auc(x):
    """Area under the ROC curve from x (2, ..., n), labels (0 or 1) and scores; for resampling.

    From the ranks R of the n+ positives: (sum R - n+ (n+ + 1) / 2) / (n+ n-).
    """
    labels, scores = np.asarray(x[0], float), x[1]
    positive = labels.sum(axis=-1)
    negative = labels.shape[-1] - positive
    above = (rankdata(scores, axis=-1) * labels).sum(axis=-1) - positive * (positive + 1) / 2
    return intervals.divide(above, positive * negative)
