"""What peaks and total light alone tell of the redshift: a whole density, learnt in a second.

With features x of a galaxy (magnitudes and colours of its core and of its aperture),

    log(1 + z) = m(x) + c s(x) t_nu,

where the mean m and the width s come from gradient boosting, and Student's t takes care of the
galaxies that are taken for something else. The factor c and the number of degrees of freedom nu
are those under which galaxies that had no part in m and s are most likely.
"""

from itertools import product

import numpy as np
from scipy.special import gammaln, stdtr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from galtools.errors import GaltoolsError
from galtools.fidelity import peaks

FOLDS = 3
SMALLEST = 1e-3  # of the errors whose logarithm gives the width: a perfect guess is luck
FACTORS = np.linspace(0.6, 3.6, 31)  # c
TAILS = (3, 5, 10, 30)  # nu


def features(images, sigma, pixel_scale: float) -> np.ndarray:
    """Asinh magnitudes and colours of the central box and within 3 arcsec, (n, 18)."""
    return peaks.joint_features(*peaks.box_and_aperture(images, pixel_scale), sigma)


def log_student(x, nu):
    """Logarithm of the density of Student's t with nu degrees of freedom."""
    norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(nu * np.pi) / 2
    return norm - (nu + 1) / 2 * np.log1p(x**2 / nu)


def _boosting(seed: int, **options):
    return HistGradientBoostingRegressor(learning_rate=0.06, random_state=seed, **options)


class FluxRedshift:
    """Learn p(z | features), then give it in bins of redshift."""

    def __init__(self, table: np.ndarray, redshift, seed: int = 0):
        """Learn from features (n, k) and redshifts (n,)."""
        if len(table) < 2 * FOLDS or len(table) != len(redshift):
            raise GaltoolsError(f"{len(table)} galaxies and {len(redshift)} redshifts: need 10")
        if not np.isfinite(table).all():
            raise GaltoolsError("a feature is not finite: leave such galaxies out and count them")
        truth = np.log1p(np.asarray(redshift, float))
        folds = KFold(FOLDS, shuffle=True, random_state=seed)
        self.mean = _boosting(seed, max_iter=150, max_leaf_nodes=15)
        error = truth - cross_val_predict(self.mean, table, truth, cv=folds)
        self.mean.fit(table, truth)
        self.width = _boosting(seed, max_iter=40, max_leaf_nodes=6, min_samples_leaf=60)
        size = np.log(np.abs(error) + SMALLEST)
        width = np.exp(cross_val_predict(self.width, table, size, cv=folds))
        self.width.fit(table, size)
        self.factor, self.tail = max(
            product(FACTORS, TAILS),
            key=lambda law: (
                log_student(error / (law[0] * width), law[1]).sum() - len(error) * np.log(law[0])
            ),
        )

    def predict(self, table) -> np.ndarray:
        """Point estimates (n,): the centre of the density in log(1 + z)."""
        return np.expm1(self.mean.predict(table))

    def density(self, table, edges) -> np.ndarray:
        """Probability (n, bins) between `edges` of redshift, sum one."""
        width = self.factor * np.exp(self.width.predict(table))
        place = (np.log1p(edges)[None] - self.mean.predict(table)[:, None]) / width[:, None]
        mass = np.diff(stdtr(self.tail, place), axis=1) + 1e-9
        return mass / mass.sum(axis=1, keepdims=True)
