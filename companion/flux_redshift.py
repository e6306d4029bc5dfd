"""Redshift densities from fluxes alone: kernel regression with heteroscedastic errors.

With features x of a galaxy (magnitudes and colours of its core and of its aperture),

    log(1 + z) = m(x) + c s(x) t_nu,

where the mean m and the logarithm of the width s are ridge regressions on x and on radial basis
functions about some of the galaxies (Nystroem's approximation of a Gaussian kernel). The penalties
are those of the least leave-one-out error; the width follows from such errors, whose distribution
is Student's t: nu and the factor c maximise its likelihood.
"""

import numpy as np
from scipy.stats import t as student
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, peaks
from galtools.fidelity.metrics import CHUNK

FEWEST = 10  # galaxies of a training set
CENTRES = 300  # galaxies about which there is a radial basis function
GAMMA = 0.4  # they are exp(-GAMMA d^2 / k), d in standard deviations of each of the k features
PENALTIES = np.logspace(-4, 3, 8)
SMALLEST = 1e-3  # of the errors whose logarithm gives the width: an exact estimate is luck


def peak_and_aperture_features(images, sigma, pixel_scale: float) -> np.ndarray:
    """Asinh magnitudes and colours of the central box and within 3 arcsec, (n, 18)."""
    fluxes = box_and_aperture(images, pixel_scale)
    return np.hstack([peaks.flux_features(flux, sigma) for flux in fluxes])


def box_and_aperture(images, pixel_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes of the central boxes and within 3 arcsec, each (n, bands), a few images at a time."""
    parts = [np.asarray(images[k : k + CHUNK], float) for k in range(0, len(images), CHUNK)]
    box = np.concatenate([photometry.box_flux(part) for part in parts])
    return box, np.concatenate([photometry.aperture_flux(part, pixel_scale) for part in parts])


def scatter_like(fluxes, truth, translated, seed: int = 0) -> np.ndarray:
    """Fluxes (n, bands) with the relative errors of a translation, each those of another galaxy.

    The errors y / x, all bands together, pass to a galaxy of similar total flux. Their scatter,
    bias and correlation between bands remain; what they tell about the galaxy is lost.
    """
    rank = np.argsort(np.argsort(truth.sum(1)))
    order = np.argsort(rank + np.random.default_rng(seed).uniform(-10, 10, len(rank)))
    ratio = np.empty(np.shape(fluxes))
    ratio[order] = intervals.divide(translated, truth)[np.roll(order, 1)]
    return fluxes * ratio


def swap_core(images, donor, radius: float) -> np.ndarray:
    """Put the core of `donor` into `images`: the pixels within `radius` pixels of the centre."""
    y, x = (np.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
    core = np.hypot(y[:, None], x[None]) <= radius
    return np.where(core, donor, images)


def ridge(x, y):
    """Ridge regression, and its error for each galaxy when that is left out: (n,)."""
    scoring = "neg_mean_squared_error"  # with it, predictions are stored
    model = RidgeCV(PENALTIES, scoring=scoring, store_cv_results=True).fit(x, y)
    predicted = model.cv_results_[:, model.alpha_ == PENALTIES]
    return model, y - predicted[:, 0]


class FluxRedshift:
    """Density p(z | features) in bins of redshift."""

    def __init__(self, table: np.ndarray, redshift, seed: int = 0):
        """Fit to features (n, k) and redshifts (n,)."""
        if len(table) < FEWEST or len(table) != len(redshift):
            raise GaltoolsError(
                f"{len(table)} galaxies, {len(redshift)} redshifts: need as many, at least {FEWEST}"
            )
        if not np.isfinite(table).all():
            raise GaltoolsError("a feature is not finite: leave such galaxies out and count them")
        count, gamma = min(CENTRES, len(table)), GAMMA / np.shape(table)[1]
        kernel = Nystroem(gamma=gamma, n_components=count, random_state=seed)
        self.basis = make_pipeline(StandardScaler(), make_union(FunctionTransformer(), kernel))
        x = self.basis.fit_transform(np.asarray(table, float))
        self.mean, error = ridge(x, np.log1p(np.asarray(redshift, float)))
        log_size = np.log(np.abs(error) + SMALLEST)
        self.log_width, log_error = ridge(x, log_size)
        width = np.exp(log_size - log_error)
        self.nu, _, self.factor = student.fit(error / width, floc=0)

    def predict(self, table) -> np.ndarray:
        """Point estimates (n,): the centre of the density in log(1 + z)."""
        return np.expm1(self.mean.predict(self.basis.transform(table)))

    def density(self, table, edges) -> np.ndarray:
        """Probability (n, bins) between `edges` of redshift, sum one."""
        x = self.basis.transform(table)
        width = self.factor * np.exp(self.log_width.predict(x))
        z = np.log1p(edges)[None]
        cumulative = student.cdf(z, self.nu, self.mean.predict(x)[:, None], width[:, None])
        mass = np.diff(cumulative, axis=1) + 1e-9
        return mass / mass.sum(axis=1, keepdims=True)
