"""Redshifts of a new survey from few labels, with the help of galaxies of another one."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from galtools.errors import GaltoolsError


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
