"""What a translation is used for: redshifts with few labels, types, and odd galaxies.

All three take simple features of an image, so that what counts is the image and not the learner.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

RADII = (1, 2, 4, 8)  # arcsec; fluxes within these make the concentrations
WITHIN, SKY = 9.0, 11.0  # arcsec: asymmetry is measured within the one, its noise beyond the other
SHAPE_BANDS = slice(1, 4)  # g, r, i: where galaxies are bright


def shape_features(images, pixel_scale: float) -> np.ndarray:
    """Asymmetry and three concentrations in each of g, r, i: (n, 12).

    The asymmetry is that of a half turn, less what noise alone would give (Conselice 2003),

        A = (sum |I - I_180| - noise) / sum |I|,

    a concentration the share of the flux within 2, 4, 8 arcsec that lies within half that radius.
    """
    images = np.asarray(images[:, SHAPE_BANDS], float)
    y, x = (np.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
    radius = pixel_scale * np.hypot(y[:, None], x[None])
    inside, sky = radius < WITHIN, radius > SKY
    turned = np.abs(images - images[..., ::-1, ::-1])
    noise = turned[..., sky].mean(-1) * inside.sum()
    light = np.abs(images[..., inside]).sum(-1)
    asymmetry = intervals.divide(turned[..., inside].sum(-1) - noise, light)
    flux = np.stack([photometry.aperture_flux(images, pixel_scale, r) for r in RADII], axis=-1)
    shares = np.clip(intervals.divide(flux[..., :-1], flux[..., 1:]), 0, 2)
    return np.concatenate([asymmetry, shares.reshape(len(images), -1)], axis=1)


def redshift_regressor(kind: str, seed: int = 0):
    """Build a redshift estimator: "boosting", or the smoother "kernel" regression."""
    if kind == "boosting":
        return HistGradientBoostingRegressor(
            max_iter=60, learning_rate=0.15, max_leaf_nodes=15, random_state=seed
        )
    if kind == "kernel":
        return make_pipeline(StandardScaler(), SVR(C=1, epsilon=0.005, gamma=0.03))
    raise GaltoolsError(f"unknown estimator {kind!r}: choose boosting or kernel")


def few_label_errors(
    kind, labelled, helper, test, size: int, draws: int, seed: int = 0
) -> np.ndarray:
    """Errors dz / (1 + z) of the test galaxies, (draws, n), learnt from few labelled galaxies.

    `labelled`, `helper` and `test` are (features, redshifts); `size` galaxies of `labelled` are
    chosen anew for each of `draws`, the whole `helper` joins them unless it is None.
    """
    errors = []
    for k in range(draws):
        some = np.random.default_rng([seed, k]).permutation(len(labelled[1]))[:size]
        table, z = labelled[0][some], labelled[1][some]
        if helper is not None:
            table, z = np.concatenate([table, helper[0]]), np.concatenate([z, helper[1]])
        predicted = redshift_regressor(kind, seed + k).fit(table, z).predict(test[0])
        errors.append((predicted - test[1]) / (1 + test[1]))
    return np.stack(errors)


def mean_scatter(errors):
    """Mean over draws, the first axis, of sigma_MAD over galaxies, the last."""
    return intervals.robust_scatter(errors).mean(axis=0)


def early_type_probability(table, is_early, test, seed: int = 0) -> np.ndarray:
    """Probability that test galaxies (features) are early types, learnt from a labelled sample."""
    learner = HistGradientBoostingClassifier(max_iter=80, random_state=seed)
    return learner.fit(table, is_early).predict_proba(test)[:, 1]


def average_ranks(values):
    """Rank along the last axis, from 1; equal values share the mean of their ranks."""

    def in_order(x):
        return np.argsort(np.argsort(x, axis=-1, kind="stable"), axis=-1)

    return 1 + (in_order(values) + in_order(values[..., ::-1])[..., ::-1]) / 2


def roc_auc(x):
    """Area under the ROC curve: the chance that a positive is ranked above a negative.

    `x` (2, ..., n) holds labels (0 or 1) and scores; from the ranks R of the n+ positives,
    (sum R - n+ (n+ + 1) / 2) / (n+ n-), in which a tie counts one half.
    """
    labels, scores = np.asarray(x[0], float), x[1]
    positive = labels.sum(axis=-1)
    negative = labels.shape[-1] - positive
    above = (average_ranks(scores) * labels).sum(axis=-1) - positive * (positive + 1) / 2
    return intervals.divide(above, positive * negative)


def learning_curve(kind, labelled, helpers, test, sizes, draws: int, seed: int = 0) -> dict:
    """Errors of every arm and number of labels, {(arm, size): (draws, n)}, as `few_labels`.

    `helpers` {arm: (features, redshifts) or None}; the last arm is also tried with no label at all.
    """
    curve = {
        (arm, size): few_label_errors(kind, labelled, helper, test, size, draws, seed)
        for arm, helper in helpers.items()
        for size in sizes
    }
    arm, helper = list(helpers.items())[-1]
    return curve | {(arm, 0): few_label_errors(kind, labelled, helper, test, 0, 1, seed)}
