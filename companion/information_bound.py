"""How well anyone could know the redshift from an image: three ways, and what is left to lose.

The pixels of each image are compressed to the brightness of its galaxy in five bands and to its
size (`fisher`). Of these, the posterior of the simulator's latent numbers is found exactly and
locally (`posterior`, `latents`), and an estimator learns it from simulated galaxies that are
measured with the same errors. All give densities of redshift in the same bins.
"""

import math

import numpy as np
import torch
from scipy.spatial import cKDTree

from companion import fisher, importance_sampling, latent_model, mixture_density, sensitivity
from galtools import data
from galtools.errors import GaltoolsError
from galtools.fidelity import calibration, information
from galtools.redshift import Grid, cumulative
from galtools.simulate import noise
from galtools.surveys import BANDS, CFHTLS, SDSS

SIDES = ("source", "target")
LIBRARY = 20000  # simulated galaxies among which the climb to the modes starts
LIKE, STARTS = 60, 5  # galaxies of each type most like a measured one; so many of them start
CHUNK = 24  # galaxies at a time
EPOCHS = 30  # at most, of the estimator's learning
LIMIT = 17.8  # faintest r magnitude of the simulated sample
AGAIN = 3  # times as many draws for galaxies that were refused
ARRAYS = ("z", "density", "effective", "good", "mean", "scatter", "local_mean", "local_scatter")
ARRAYS += ("parts_mean", "parts_scatter", "measured", "errors")


def surveys_of(pairs) -> tuple:
    """Source and target survey of simulated pairs, on the grid that the images have."""
    same = pairs.source.shape == pairs.target.shape
    return (SDSS, CFHTLS.on_grid_of(SDSS)) if same else (SDSS, CFHTLS)


def photometric_data(pairs, side: str, pixels: fisher.PixelInformation):
    """What is measured of n galaxies: ln fluxes and ln R (n, 6), and relative errors (n, 6, 6).

    The best estimates given the pixels; the errors are those of the pixels alone.
    """
    table, whole = pairs.catalogue, pixels.whole()
    errors = np.linalg.inv(whole.information)
    off = np.einsum("nij,nj->ni", errors, whole.score)
    magnitude = np.stack([table[f"{side}_{band}"] for band in BANDS], axis=1)
    calibration = np.stack([table[f"{side}_calibration_{band}"] for band in BANDS], axis=1)
    truth = np.log(10) * 0.4 * (22.5 - magnitude) + np.log(calibration)
    light = truth + np.log(np.maximum(1 + off[:, :5], 0.05))
    size = np.log(np.asarray(table["half_light_radius"], float)) + off[:, 5]
    scale = np.concatenate([np.exp(light - truth), np.ones((len(size), 1))], axis=1)
    return np.column_stack([light, size]), errors / scale[:, :, None] / scale[:, None]


def covariance(errors) -> np.ndarray:
    """Errors of the data as the latents foresee them, (types, n, 6, 6).

    To those of the pixels comes the calibration of each band and, as sizes differ among galaxies of
    one kind, the scatter of ln R.
    """
    whole = np.repeat(errors[None], len(latent_model.TYPES), axis=0)
    band = np.arange(len(BANDS))
    whole[:, :, band, band] += noise.CALIBRATION**2
    whole[:, :, -1, -1] += latent_model.SIZE_SCATTER[:, None] ** 2
    return whole


def target(light, values, errors) -> importance_sampling.Target:
    """Posterior of galaxies measured as `values` (n, 6) with `errors` (n, 6, 6).

    Errors are normal in the fluxes themselves, in units of the measured ones.
    """
    precision = torch.from_numpy(np.linalg.inv(covariance(errors)))
    seen = torch.from_numpy(values)

    def residual(x, kind, galaxy):
        off = light.predict(x, kind) - seen[galaxy]
        return torch.cat([off[:, :-1].exp() - 1, off[:, -1:]], dim=1)

    return importance_sampling.Target(residual, precision, light)


def library(light, seed: int = 0):
    """Latents, types and looks of simulated galaxies to start from."""
    x, kind, _ = latent_model.sample_population(LIBRARY, seed, light.limit)
    return x, kind, light.predict(x, kind)


def starts(known, values, errors):
    """Latents (n, 15, 9) and types (n, 15) of galaxies of a library that are like measured ones.

    Of those most alike of each type, nearest to farthest in redshift, so that no mode is passed by;
    each is made as bright in r as the galaxy is.
    """
    (x, kind, shown), seen = known, torch.from_numpy(values)
    lower = torch.linalg.cholesky(torch.from_numpy(np.linalg.inv(covariance(errors))))
    found, kinds = [], []
    for number in range(len(latent_model.TYPES)):
        own, some = shown[kind == number], x[kind == number]
        brighter = seen[:, None, 2] - own[:, 2]
        off = own - seen[:, None]
        off[..., :-1] += brighter[..., None]
        distance = (off @ lower[number]).square().sum(-1)
        best = distance.topk(LIKE, dim=1, largest=False).indices
        near_to_far = best.gather(1, some[best][..., 0].argsort(1))
        best = near_to_far[:, np.linspace(0, LIKE - 1, STARTS).astype(int)]
        like = some[best].clone()
        like[..., 1] -= 2.5 / math.log(10) * brighter.gather(1, best)
        found.append(like)
        kinds.append(torch.full(best.shape, number))
    return torch.cat(found, dim=1), torch.cat(kinds, dim=1)


def posteriors(light, values, errors, draws: int, points: int, seeds: int, seed: int = 0) -> dict:
    """Exact and local posteriors of the redshift of n galaxies, as a dict of arrays.

    The draws of each galaxy are dealt out to `seeds` hands, each of which gives a density. A galaxy
    is explored once more, with more draws, before it is refused.
    """
    parts, known = [], library(light, seed)
    for first in range(0, len(values), CHUNK):
        some = slice(first, first + CHUNK)
        one = _explored(light, known, values[some], errors[some], draws, points, seeds, seed)
        bad = np.flatnonzero(~one["good"])
        if len(bad):
            rows, more = bad + first, (AGAIN * draws, 2 * points, seeds, seed + 1)
            again = _explored(light, known, values[rows], errors[rows], *more)
            for name, array in one.items():
                array[bad] = again[name]
        parts.append(one)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _explored(light, known, values, errors, draws, points, seeds, seed) -> dict:
    begin = starts(known, values, errors)
    found, modes = importance_sampling.sample_posterior(
        target(light, values, errors), *begin, draws, points, seed
    )
    hands = [
        importance_sampling.WeightedSamples(
            found.x[:, k::seeds], found.kind[:, k::seeds], found.log_weight[:, k::seeds]
        )
        for k in range(seeds)
    ]
    edges = Grid().edges
    arrays = {"effective": found.effective}
    arrays["mean"], arrays["scatter"] = importance_sampling.posterior_moments(found)
    arrays["local_mean"], arrays["local_scatter"] = importance_sampling.laplace_approximation(modes)
    arrays = {name: value.numpy() for name, value in arrays.items()}
    each = np.stack([importance_sampling.binned_density(hand, edges) for hand in hands], axis=1)
    return {**arrays, "good": found.good, "density": each}


def compute_posteriors(
    path, side: str, n: int, draws: int, points: int, seeds: int, seed=0, limit=LIMIT
):
    """Everything about one side of the first n simulated pairs of a file: a dict of `ARRAYS`."""
    pairs = data.load(path, slice(n))
    known = {"seed", "galaxy", f"{side}_calibration_r"}
    if not known <= set(pairs.catalogue.colnames):
        raise GaltoolsError(f"{path} is not a simulation: what galaxies truly are is not known")
    surveys, index = surveys_of(pairs), SIDES.index(side)
    number, galaxies = int(pairs.catalogue["seed"][0]), np.asarray(pairs.catalogue["galaxy"])
    images = getattr(pairs, side)
    pixels, mean, scatter = sensitivity.information_and_local(
        number, galaxies, surveys, index, images, limit
    )
    values, errors = photometric_data(pairs, side, pixels)
    light = latent_model.LatentFluxModel(surveys[index], limit)
    found = posteriors(light, values, errors, draws, points, seeds, seed)
    about = {"parts_mean": mean, "parts_scatter": scatter, "measured": values, "errors": errors}
    return {**found, **about, "z": np.asarray(pairs.catalogue["redshift"], float)}


def save(new, path, **options) -> None:
    """Write what `measure` finds on both sides of `path` to an npz file `new`."""
    both = {side: compute_posteriors(path, side, **options) for side in SIDES}
    np.savez(new, **{f"{s}_{name}": both[s][name] for s in SIDES for name in ARRAYS})


def load(path) -> dict[str, dict[str, np.ndarray]]:
    """Read what `save` wrote: arrays by side and name."""
    with np.load(path) as file:
        return {side: {name: file[f"{side}_{name}"] for name in ARRAYS} for side in SIDES}


def features(values) -> np.ndarray:
    """Five magnitudes, four colours and ln R, (n, 10), of ln fluxes and ln R (n, 6)."""
    return np.column_stack([values, np.diff(values[:, :-1], axis=1)])


def simulated(light, n: int, like: dict, seed: int = 0):
    """Measure n simulated galaxies with the errors of the measured galaxies most like them.

    Returns ln fluxes and ln R (n, 6), and redshifts (n,). Like means in r brightness and size;
    errors are taken over in nanomaggies.
    """
    x, kind, normal = latent_model.sample_population(n, seed, light.limit)
    truth = light.predict(x, kind).numpy()
    truth[:, -1] += latent_model.SIZE_SCATTER[kind] * normal
    seen, rng = like["measured"], np.random.default_rng([seed, 34])
    near = cKDTree(seen[:, [2, 5]]).query(truth[:, [2, 5]])[1]
    lower = np.linalg.cholesky(like["errors"])[near]
    error = np.einsum("nij,nj->ni", lower, rng.standard_normal(truth.shape))
    error[:, :-1] *= np.exp(seen[near, :-1] - truth[:, :-1])
    error[:, :-1] += noise.CALIBRATION * rng.standard_normal((n, len(BANDS)))
    error[:, :-1] = np.log(np.maximum(1 + error[:, :-1], 0.05))
    return truth + error, x[:, 0].numpy()


def learned_densities(light, sizes, like: dict, steps: int, seeds: int, seed: int = 0) -> dict:
    """Densities (n, bins) of estimators that learnt from so many galaxies, {(size, seed): ...}.

    The smaller the school, the fewer the steps, lest it is learnt by heart.
    """
    found = {}
    for k in range(seeds):
        values, z = simulated(light, max(sizes), like, seed=1000 * seed + 100 + k)
        for size in sizes:
            enough = min(steps, max(steps // 8, EPOCHS * size // mixture_density.BATCH))
            one = mixture_density.MixtureDensityNetwork(
                features(values[:size]), z[:size], enough, 1000 * seed + k
            )
            found[size, k] = one.density(features(like["measured"]), Grid().edges)
    return found


def save_learned(new, path, sizes, steps: int, seeds: int, seed=0, limit=LIMIT) -> None:
    """Write what estimators have learnt about the galaxies of `path`, from `save`, to an npz."""
    arrays = {}
    for side, like in load(path).items():
        light = latent_model.LatentFluxModel(SDSS if side == "source" else CFHTLS, limit)
        for (size, k), density in learned_densities(light, sizes, like, steps, seeds, seed).items():
            arrays[f"{side}_{size}_{k}"] = density
    np.savez(new, **arrays)


def load_learned(path) -> dict:
    """Read what `save_learnt` wrote, {(side, size, seed): density}."""
    with np.load(path) as file:
        keys = [name.split("_") for name in file.files]
        return {(side, int(n), int(k)): file[f"{side}_{n}_{k}"] for side, n, k in keys}


def bits(density, z, prior, good=None) -> np.ndarray:
    """Information (n,) in bits; NaN for galaxies that were refused."""
    known = information.information_bits(density, z, Grid().edges, prior)
    return known if good is None else np.where(good, known, np.nan)


def local_bits(found: dict, name: str, prior) -> np.ndarray:
    """Information (n,) of the local posterior `name`: "local" or "parts"."""
    edges = Grid().edges
    density = information.gaussian_density(found[f"{name}_mean"], found[f"{name}_scatter"], edges)
    return information.information_bits(density, found["z"], edges, prior)


def pit_pvalue(found: dict) -> float:
    """Probability that the PIT of honest posteriors would stray as far from even, or farther.

    By Kolmogorov and Smirnov, over the galaxies that were not refused; NaN if there are none.
    """
    pit = cumulative(found["density"].mean(axis=1), found["z"], Grid())
    return calibration.pvalue(pit[found["good"]])
