"""What peaks and total light alone tell of the redshift: a whole density, learnt in a second.

With features x of a galaxy (magnitudes and colours of its core and of its aperture),

    log(1 + z) = m(x) + c s(x) t_nu,

where the mean m and the logarithm of the width s are smooth: sums of a plane and of bells about
some of the galaxies, by least squares with a penalty lambda,

    f = argmin |y - Phi a|^2 + lambda |a|^2,   error without galaxy i = (y_i - f_i) / (1 - H_ii),

with H = Phi (Phi^T Phi + lambda)^-1 Phi^T. The penalties are those under which galaxies that are
left out are missed least; the width follows from such misses, and Student's t takes care of the
galaxies that are taken for something else. The factor c and the number of degrees of freedom nu
are those under which the misses are most likely.
"""

from itertools import product

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln, stdtr

from galtools.errors import GaltoolsError
from galtools.fidelity import peaks

FEWEST = 10  # galaxies from which anything is learnt
MARKS = 300  # galaxies that have a bell about them
REACH = 0.4  # bells are exp(-REACH d^2 / k), with d in units of the spread of each of k features
PENALTIES = np.logspace(-4, 3, 15)
SMALLEST = 1e-3  # of the errors whose logarithm gives the width: a perfect guess is luck
FACTORS = np.linspace(0.6, 3.6, 31)  # c
TAILS = (3, 5, 10, 30)  # nu


def peak_and_aperture_features(images, sigma, pixel_scale: float) -> np.ndarray:
    """Asinh magnitudes and colours of the central box and within 3 arcsec, (n, 18)."""
    return peaks.joint_features(*peaks.box_and_aperture(images, pixel_scale), sigma)


def student_log_density(x, nu):
    """Logarithm of the density of Student's t with nu degrees of freedom."""
    norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(nu * np.pi) / 2
    return norm - (nu + 1) / 2 * np.log1p(x**2 / nu)


class Basis:
    """The features, and bells about some of the galaxies, turned to be orthogonal."""

    def __init__(self, table: np.ndarray, seed: int = 0):
        """Learn units and places from features (n, k); keep the terms of these galaxies."""
        self.centre, self.spread = table.mean(axis=0), table.std(axis=0) + 1e-9
        some = np.random.default_rng(seed).permutation(len(table))[:MARKS]
        self.marks = (table[some] - self.centre) / self.spread
        self.mix = np.linalg.cholesky(self._bells(self.marks) + 1e-6 * np.eye(len(some)))
        plain = self._plain(table)
        self.middle = plain.mean(axis=0)
        self.power, self.turn = np.linalg.eigh(np.cov(plain.T, bias=True) * len(plain))
        self.terms = self(table)

    def _bells(self, x) -> np.ndarray:
        square = (x**2).sum(1)[:, None] + (self.marks**2).sum(1) - 2 * x @ self.marks.T
        return np.exp(-REACH / x.shape[1] * np.maximum(square, 0))

    def _plain(self, table) -> np.ndarray:
        x = (table - self.centre) / self.spread
        bells = solve_triangular(self.mix, self._bells(x).T, lower=True).T
        return np.concatenate([x, bells], axis=1)

    def __call__(self, table) -> np.ndarray:
        """Terms (n, p) of galaxies; over those learnt from, Phi^T Phi is diagonal: `power`."""
        return (self._plain(table) - self.middle) @ self.turn


class SmoothRegression:
    """A smooth function f of the features, and what it misses of each galaxy left out."""

    def __init__(self, basis: Basis, values: np.ndarray):
        """Fit to values (n,), one for each galaxy that the basis has learnt from."""
        self.mean, terms = values.mean(), basis.terms
        pull, squares = terms.T @ (values - self.mean), terms**2
        fits = []
        for penalty in PENALTIES:
            shrink = 1 / (np.maximum(basis.power, 0) + penalty)
            own = 1 / len(values) + squares @ shrink  # H_ii
            missed = (values - self.mean - terms @ (pull * shrink)) / np.maximum(1 - own, 1e-3)
            fits.append((np.square(missed).sum(), penalty, missed, pull * shrink))
        _, self.penalty, self.missed, self.weights = min(fits, key=lambda fit: fit[:2])

    def __call__(self, terms) -> np.ndarray:
        """Values of f (n,) from terms of the basis."""
        return self.mean + terms @ self.weights


class FluxRedshift:
    """Learn p(z | features), then give it in bins of redshift."""

    def __init__(self, table: np.ndarray, redshift, seed: int = 0):
        """Learn from features (n, k) and redshifts (n,)."""
        if len(table) < FEWEST or len(table) != len(redshift):
            raise GaltoolsError(
                f"{len(table)} galaxies, {len(redshift)} redshifts: need as many, at least {FEWEST}"
            )
        if not np.isfinite(table).all():
            raise GaltoolsError("a feature is not finite: leave such galaxies out and count them")
        self.basis = Basis(np.asarray(table, float), seed)
        self.mean = SmoothRegression(self.basis, np.log1p(np.asarray(redshift, float)))
        error = self.mean.missed
        size = np.log(np.abs(error) + SMALLEST)
        self.width = SmoothRegression(self.basis, size)
        width = np.exp(size - self.width.missed)
        self.factor, self.tail = max(
            product(FACTORS, TAILS),
            key=lambda law: (
                student_log_density(error / (law[0] * width), law[1]).sum()
                - len(error) * np.log(law[0])
            ),
        )

    def predict(self, table) -> np.ndarray:
        """Point estimates (n,): the centre of the density in log(1 + z)."""
        return np.expm1(self.mean(self.basis(table)))

    def density(self, table, edges) -> np.ndarray:
        """Probability (n, bins) between `edges` of redshift, sum one."""
        terms = self.basis(table)
        width = self.factor * np.exp(self.width(terms))
        place = (np.log1p(edges)[None] - self.mean(terms)[:, None]) / width[:, None]
        mass = np.diff(stdtr(self.tail, place), axis=1) + 1e-9
        return mass / mass.sum(axis=1, keepdims=True)
