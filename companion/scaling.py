"""Power laws of training: how an error falls with computing and with galaxies, and to what limit.

    L(C, N) = L_inf + a C^-alpha + b N^-beta,    a, b >= 0,

with C the training steps in units of a chapter's and N the training galaxies in units of 10,000.
L_inf is what remains however long and on however many galaxies a model is trained, at its size and
with its recipe. Quantities that grow, such as PSNR, are fitted with their sign turned.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from companion import paths
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.intervals import LEVEL, Estimate

TABLE = paths.REFERENCE / "28_scaling.csv"  # kept, with its manifest
FITS = paths.REFERENCE / "28_scaling_fits.csv"
GALAXIES = 10_000  # unit of N
EXPONENTS = 0.05, 2.0  # range of alpha and beta
REACH = 3.0  # how far below the best training L_inf is sought, in units of the measured range
STARTS = 8  # points from which a fit begins
N_BOOT = 200
POWER_LAWS = "L_inf", "a", "alpha", "b", "beta"
UNKNOWN = Estimate(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Quantity:
    """A quantity of images: its column, its statistic over galaxies, and which sign is better."""

    label: str
    column: str
    statistic: Callable
    sign: int = 1  # of a quantity that is to be small; -1: large
    positive: bool = False  # it has no limit below 0


_mean = partial(np.nanmean, axis=-1)  # a quantity may be missing for single galaxies
_scatter = partial(intervals.robust_scatter, nan_policy="omit")
QUANTITIES = {
    "loss": Quantity("pixel and flux loss", "loss", _mean, positive=True),
    "psnr": Quantity("PSNR (dB)", "psnr", _mean, sign=-1),
    "blur": Quantity("extra blur (arcsec)", "blur", partial(np.nanmedian, axis=-1)),
    "aperture_scatter": Quantity("aperture scatter", "aperture_error", _scatter, positive=True),
    "box_scatter": Quantity("peak scatter", "box_error", _scatter, positive=True),
    "bits": Quantity("information (bits)", "bits", _mean, sign=-1),
    "denoising": Quantity("denoising loss", "denoising", _mean, positive=True),
}


@dataclass(frozen=True)
class Fit:
    """L_inf with its interval, the parameters of the power laws, and samples of L_inf.

    Where the data do not bound L_inf from below, its value is NaN and its lower end infinite.
    """

    limit: Estimate
    parameters: np.ndarray  # L_inf, a, alpha, b, beta
    residual: float  # rms of the fit
    samples: np.ndarray

    @property
    def identified(self) -> bool:
        """Whether the interval of L_inf has two ends."""
        return bool(np.isfinite(self.limit.value))


def power_laws(parameters, compute, galaxies) -> np.ndarray:
    """Error after training steps and galaxies in their units."""
    limit, a, alpha, b, beta = parameters  # POWER_LAWS
    return limit + a * compute**-alpha + b * galaxies**-beta


def fit_once(compute, galaxies, error, rng, starts: int) -> np.ndarray:
    """Parameters of the least squares of positive errors, the best from random starts."""
    top = float(error.max())
    low = np.array([0, 0, EXPONENTS[0], 0, EXPONENTS[0]])
    high = np.array([top, 5 * top, EXPONENTS[1], 5 * top, EXPONENTS[1]])
    found = [
        least_squares(
            lambda x: power_laws(x, compute, galaxies) - error,
            rng.uniform(low, [max(error.min(), 0.01), top, 1, top, 1]),
            bounds=(low, high),
        )
        for _ in range(starts)
    ]
    return min(found, key=lambda one: one.cost).x


def fit(values, quantity: Quantity, compute, galaxies, n_boot=N_BOOT, seed=0) -> Fit:
    """Fit the power laws to a quantity of galaxies (trainings, n) in several trainings.

    Every sample of L_inf has other galaxies, the same for all models, and residuals of the fit
    with random signs, enlarged for the parameters: seeds of trainings are among them. It begins at
    a random point, so that samples spread over all L_inf that fit alike. Signs and points follow
    from `seed`, which must be another one for every model that is compared. Where the interval
    reaches the end of the search, `REACH` below the best training or 0, the data do not bound
    L_inf from below.
    """
    compute, galaxies = np.asarray(compute, float), np.asarray(galaxies, float) / GALAXIES
    if min(len(set(compute)), len(set(galaxies))) < 3 or len(compute) < 6:
        raise GaltoolsError("a limit takes three lengths of training, three sizes and 6 trainings")
    values, rng = quantity.sign * np.asarray(values, float), np.random.default_rng(seed)
    error = quantity.statistic(values)
    if not np.isfinite(error).all():
        raise GaltoolsError("a limit takes trainings that could all be measured")
    scale = np.ptp(error)
    lowest = error.min() - REACH * scale
    lowest = max(lowest, 0.0) if quantity.positive else lowest

    def solve(errors, starts):
        found = fit_once(compute, galaxies, (errors - lowest) / scale, rng, starts)
        return found * [scale, scale, 1, scale, 1] + [lowest, 0, 0, 0, 0]

    best = solve(error, STARTS)
    residual = error - power_laws(best, compute, galaxies)
    enlarged = residual * np.sqrt(len(error) / (len(error) - len(best)))
    samples = []
    for rows in intervals.resamples(values.shape[1], n_boot):
        noise = quantity.statistic(values[:, rows]) - error
        noise = noise + rng.choice([-1, 1], len(error)) * enlarged
        samples.append(solve(error - residual + noise, 1)[0])
    low, high = np.percentile(samples, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    open_ended = low < lowest + 0.02 * scale
    value, low = (np.nan, -np.inf) if open_ended else (best[0], min(low, best[0]))
    limit = Estimate(float(value), float(low), float(max(high, best[0])), len(error))
    return Fit(limit, best, float(np.sqrt(np.mean(residual**2))), np.array(samples))


def summarise(values: dict, about: dict) -> pd.DataFrame:
    """Quantities of every set of images with 95 % intervals over galaxies, a line each."""
    lines = []
    for key, table in values.items():
        for metric, quantity in QUANTITIES.items():
            if quantity.column in table:
                found = intervals.bootstrap(quantity.statistic, table[quantity.column])
                lines.append({**about[key], "metric": metric, **vars(found)})
    return pd.DataFrame(lines)


def fit_all(values: dict) -> pd.DataFrame:
    """Limits L_inf of every model and, with `against`, their differences, a line each.

    Models that have too few trainings for a fit are left out. All are of the same resampled
    galaxies; the signs of residuals and the starting points are each model's own.
    """
    fits, lines = {}, []
    series = dict.fromkeys((one.task, one.model) for one in values if one.recipe == "chapter")
    for (task, model), (metric, quantity) in product(series, QUANTITIES.items()):
        chosen = {
            one: table[quantity.column]
            for one, table in values.items()
            if (one.recipe, one.task, one.model) == ("chapter", task, model)
            and quantity.column in table
        }
        grid = [[getattr(one, name) for one in chosen] for name in ("compute", "galaxies")]
        own = zlib.crc32(f"{task} {model} {metric}".encode())
        try:
            found = fit(list(chosen.values()), quantity, *grid, seed=own)
        except GaltoolsError:
            continue
        fits[task, model, metric] = found
        about = dict(zip(POWER_LAWS, found.parameters, strict=True)) | {"residual": found.residual}
        lines.append(_line(task, model, "", metric, found.limit) | about)
    for (task, a, metric), (other, b, same) in combinations(fits, 2):
        if (task, metric) == (other, same):
            apart = difference(fits[task, a, metric], fits[task, b, metric])
            lines.append(_line(task, a, b, metric, apart))
    return pd.DataFrame(
        lines, columns=[*_line("", "", "", "loss", UNKNOWN), *POWER_LAWS[1:], "residual"]
    )


def _line(task, model, against, metric, found: Estimate) -> dict:
    about = {"task": task, "model": model, "against": against, "metric": metric}
    return about | vars(own_units(found, metric))


def difference(first: Fit, second: Fit) -> Estimate:
    """Difference of two limits, of galaxies that were resampled together; NaN if one is open."""
    value, n = first.limit.value - second.limit.value, min(first.limit.n, second.limit.n)
    if not np.isfinite(value):
        return UNKNOWN
    apart = first.samples - second.samples
    low, high = np.percentile(apart, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(min(low, value)), float(max(high, value)), n)


def own_units(found: Estimate, metric: str) -> Estimate:
    """Turn the sign of a limit back where it was turned."""
    if QUANTITIES[metric].sign > 0:
        return found
    return Estimate(-found.value, -found.high, -found.low, found.n)
