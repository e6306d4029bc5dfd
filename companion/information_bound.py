"""How well the redshift can be known from an image at best: the information bound.

The pixels of each image are compressed to the fluxes of its galaxy in five bands (`fisher`); size
and axis ratio are taken as known. From these follows the posterior of the simulator's latents by
importance sampling (`importance_sampling`, `latent_model`), and with all components measured apart
its local approximation (`sensitivity`).

With L the limit of an image and I what an estimator finds in it, the loss of a translation splits:

    L_target - I_translated = (L_target - L_source)        irreducible: not in the source
                            + (L_source - I_source)        estimator: in the source, not found
                            + (I_source - I_translated)    translator: found in the source only.
"""

import math

import numpy as np
import pandas as pd

from companion import fisher, importance_sampling, latent_model, sensitivity
from companion.latent_model import LatentModel
from galtools import data
from galtools.errors import GaltoolsError
from galtools.fidelity import calibration, intervals, redshifts
from galtools.redshift import Grid, cumulative
from galtools.surveys import BANDS, CFHTLS, SDSS

SIDES = ("source", "target")
LIBRARY = 20000  # simulated galaxies among which the optimiser's starting points are chosen
NEAREST, STARTS = 60, 5  # galaxies of each type most like a measured one; so many of them start
CHUNK = 8  # galaxies at a time
PARTS = ("irreducible", "estimator", "translator")
RETRY = 3  # times as many samples for galaxies that were refused


def surveys_of(pairs) -> tuple:
    """Source and target survey of simulated pairs, on the grid that the images have."""
    same = pairs.source.shape == pairs.target.shape
    return (SDSS, CFHTLS.on_grid_of(SDSS)) if same else (SDSS, CFHTLS)


def photometric_data(pairs, side: str, pixels: fisher.PixelInformation, zero_point):
    """Photometry of n galaxies: ln fluxes and ln R (n, 6), relative covariance of fluxes (n, 5, 5).

    The fluxes are the best estimates given the pixels, at zero points (n, 5); the errors are those
    of the pixels alone. The size is the true one.
    """
    table, whole = pairs.catalogue, pixels.whole()
    errors = np.linalg.inv(whole.information)
    off = np.einsum("nij,nj->ni", errors, whole.score)
    magnitude = np.stack([table[f"{side}_{band}"] for band in BANDS], axis=1)
    truth = np.log(10) * 0.4 * (22.5 - magnitude) + np.log(zero_point)
    scale = np.maximum(1 + off, 0.05)
    size = np.log(np.asarray(table["half_light_radius"], float))
    values = np.column_stack([truth + np.log(scale), size])
    return values, errors / scale[:, :, None] / scale[:, None]


def covariance(survey, errors) -> np.ndarray:
    """Covariance (n, 6, 6) of the fluxes about those of the latents, and of ln R / s(M).

    To the errors of the pixels comes the zero point of each band; that of the size is its scatter.
    """
    whole = np.tile(np.eye(6), (len(errors), 1, 1))
    whole[:, :5, :5] = errors + np.diag(survey.calibration_error) ** 2
    return whole


def target(survey, measured: dict) -> importance_sampling.Target:
    """Posterior of galaxies `measured` with "errors" (n, 5, 5) at known "axis_ratio" (n,).

    Errors are normal in the fluxes themselves, in units of the measured ones.
    """
    model = LatentModel(survey, measured["axis_ratio"][:, None])

    def residual(x, kind):
        off = model.predict(x, kind) - measured["measured"][:, None]
        size = off[..., -1:] / latent_model.size_scatter(model.keep_inside(x))[..., None]
        return np.concatenate([np.expm1(off[..., :-1]), size], axis=-1)

    precision = np.linalg.inv(covariance(survey, measured["errors"]))
    return importance_sampling.Target(residual, precision, model)


def library(survey, seed: int = 0):
    """Latents (m, 9), types (m,) and photometry (m, 6) of simulated galaxies to start from."""
    x, kind, axis_ratio, _ = latent_model.sample_population(LIBRARY, seed)
    return x, kind, LatentModel(survey, axis_ratio).predict(x, kind)


def starts(known, values, precision):
    """Latents (n, 15, 9) and types (n, 15) of galaxies of a library that are like measured ones.

    Of those most alike of each type, nearest to farthest in redshift, so that no mode is missed;
    each is made as bright in r as the galaxy is.
    """
    (x, kind, photometry), found = known, []
    for number in range(len(latent_model.TYPES)):
        own, near = x[kind == number], photometry[kind == number]
        brighter = values[:, None, 2] - near[:, 2]
        off = near - values[:, None]
        off[..., :-1] += brighter[..., None]
        off[..., -1] /= latent_model.size_scatter(own)
        distance = (off @ precision * off).sum(axis=-1)
        best = distance.argpartition(NEAREST)[:, :NEAREST]
        by_redshift = np.take_along_axis(best, own[best][..., 0].argsort(axis=1), axis=1)
        best = by_redshift[:, np.linspace(0, NEAREST - 1, STARTS).astype(int)]
        start = own[best]
        start[..., 1] -= 2.5 / math.log(10) * np.take_along_axis(brighter, best, axis=1)
        found.append(start)
    kinds = np.repeat(np.arange(len(latent_model.TYPES)), STARTS)
    return np.concatenate(found, axis=1), np.tile(kinds, (len(values), 1))


def posteriors(survey, measured: dict, count: int, points: int, runs: int, seed: int = 0) -> dict:
    """Posteriors of the redshift of n galaxies `measured`, as a dict of arrays.

    Each is found in independent `runs`, from the starting points to the samples. A galaxy is good
    if every run can be trusted and their densities agree; one that is not is tried once more, with
    more samples.
    """
    found, known = [], [library(survey, runs * seed + k) for k in range(runs)]
    for first in range(0, len(measured["measured"]), CHUNK):
        some = {name: array[first : first + CHUNK] for name, array in measured.items()}
        one = _posteriors(survey, known, some, count, points, seed)
        bad = np.flatnonzero(~one["good"])
        if len(bad):
            worse = {name: array[bad] for name, array in some.items()}
            again = _posteriors(survey, known, worse, RETRY * count, 2 * points, seed + 1)
            for name, array in one.items():
                array[bad] = again[name]
        found.append(one)
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _posteriors(survey, known, measured, count, points, seed) -> dict:
    posterior, found = target(survey, measured), []
    for k, own in enumerate(known):
        begin = starts(own, measured["measured"], posterior.precision)
        run = importance_sampling.sample_posterior(
            posterior, *begin, count, points, len(known) * seed + k
        )
        density, error, halves = run.density(Grid().edges)
        good = run.good & (halves < importance_sampling.MAX_DIVERGENCE)
        arrays = {"density": density, "error": error, "effective": run.effective, "good": good}
        found.append(arrays | dict(zip(("mean", "scatter"), run.moments(), strict=True)))
    runs = {name: np.stack([one[name] for one in found], axis=1) for name in found[0]}
    first, *others = runs["density"].swapaxes(0, 1)
    apart = np.max([importance_sampling.divergence(first, one) for one in others], axis=0)
    good = runs["good"].all(axis=1) & (apart < importance_sampling.MAX_DIVERGENCE)
    mean = {name: runs[name].mean(axis=1) for name in ("mean", "scatter")}
    return {**runs, **mean, "effective": runs["effective"].sum(axis=1), "good": good}


def compute_posteriors(path, side: str, n: int, draws: int, points: int, runs: int, seed=0):
    """All posteriors for one side of the first n simulated pairs of a file, a dict of arrays."""
    pairs = data.load(path, slice(n))
    if not {"seed", "galaxy", f"{side}_calibration_r"} <= set(pairs.catalogue.colnames):
        raise GaltoolsError(f"{path} is not a simulation: the true galaxies are not known")
    surveys, index = surveys_of(pairs), SIDES.index(side)
    number, galaxies = int(pairs.catalogue["seed"][0]), np.asarray(pairs.catalogue["galaxy"])
    pixels, mean, scatter = sensitivity.information_and_local(
        number, galaxies, surveys, index, getattr(pairs, side)
    )
    zero_points = fisher.independent_zero_points(number, galaxies, index)
    zero_points = 1 + surveys[index].calibration_error * zero_points
    values, errors = photometric_data(pairs, side, pixels, zero_points)
    axis_ratio = np.asarray(pairs.catalogue["axis_ratio"], float)
    measured = {"measured": values, "errors": errors, "axis_ratio": axis_ratio}
    found = posteriors(surveys[index], measured, draws, points, runs, seed)
    about = {"components_mean": mean, "components_scatter": scatter}
    return {**found, **about, **measured, "z": np.asarray(pairs.catalogue["redshift"], float)}


def bits(density, z, prior, good=None) -> np.ndarray:
    """Information (n,) in bits; NaN for galaxies that were refused."""
    known = redshifts.information_bits(density, z, Grid().edges, prior)
    return known if good is None else np.where(good, known, np.nan)


def numerical_error(found: dict, k: int) -> np.ndarray:
    """Standard error (n,) in bits of run k at the true redshifts: that of the number of samples."""
    own = np.arange(len(found["z"])), k, Grid().bin_index(found["z"])
    return found["error"][own] / np.maximum(found["density"][own], 1e-300) / math.log(2)


def compare_runs(found: dict, known, n_boot=intervals.N_BOOT) -> dict:
    """How well two runs agree: bits (2, n), NaN where refused, against their stated error."""
    off = known[0] - known[1]
    error = np.hypot(*(numerical_error(found, k) for k in range(2)))
    passed = found["good"]
    apart, stated = off[passed], error[passed]
    return {
        "galaxies that pass": f"{passed.sum()} of {len(passed)}",
        "effective samples, median": int(np.median(found["effective"])),
        "rms difference of two runs (bits)": round(float(intervals.rms(apart**2)), 3),
        "rms of its stated error": round(float(intervals.rms(stated**2)), 3),
        "within two errors (%)": f"{100 * intervals.mean(np.abs(apart) < 2 * stated):.0f}",
        "mean difference (bits)": intervals.bootstrap(intervals.mean, off, n_boot),
    }


def component_bits(found: dict, prior) -> np.ndarray:
    """Information (n,) of the local posterior with all components measured apart."""
    mean, scatter = found["components_mean"], found["components_scatter"]
    return bits(redshifts.gaussian_density(mean, scatter, Grid().edges), found["z"], prior)


def pit_pvalue(found: dict) -> float:
    """P value of uniform PITs, over the galaxies that were not refused; NaN if there are none."""
    pit = cumulative(found["density"].mean(axis=1), found["z"], Grid())
    return calibration.pvalue(pit[found["good"]])


def split_losses(known: dict, models, source: str, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Split the loss of every model: a line per model, part and seed, with its interval.

    `known` holds bits per galaxy, {(row, k): (n,)}, of the rows "CFHTLS" and "SDSS" (the limits),
    of `source`, what estimators find in the sources, and of the models.
    """
    lines = []
    for model in models:
        ways = ("CFHTLS", "SDSS", source, model)
        for k in sorted({k for _, k in known}):
            for part, first, second in zip(PARTS, ways, ways[1:], strict=False):
                pair = known[first, k], known[second, k]
                lost = intervals.paired_difference(intervals.mean, *pair, n_boot, seed)
                lines.append({"row": model, "part": part, "seed": k, **vars(lost)})
    return pd.DataFrame(lines)


def common_galaxies(known: dict) -> dict:
    """Keep the galaxies that every way could judge: NaN in one way is NaN in all."""
    refused = np.any([np.isnan(values) for values in known.values()], axis=0)
    if refused.all():
        raise GaltoolsError(
            f"of {len(refused)} galaxies none could be judged in every way: take more of them, or "
            "more draws and points for each"
        )
    return {key: np.where(refused, np.nan, values) for key, values in known.items()}
