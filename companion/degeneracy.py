"""Look-alikes among many galaxies, found in a latent space, by their fluxes, or by likelihood."""

import numpy as np

from companion import posterior_library, repeat_observations, total_variance
from companion.posterior_library import Posterior, TemplateLibrary
from galtools.surveys import SDSS

NEAR = 0.05  # magnitudes: step of a derivative
SMALLEST = 1e-3  # nanomaggies: least flux whose logarithm is taken


class RepeatSample:
    """Observations in the order of galaxies: what `looks.make` returns, laid out by look."""

    def __init__(self, columns: dict):
        """Take columns (N, ...) of galaxies 0 ... n - 1, some of them seen more than once."""
        self.columns = columns
        galaxy, number = columns["galaxy"], columns["number"]
        self.rows = np.full((number.max() + 1, galaxy.max() + 1), -1)
        self.rows[number, galaxy] = np.arange(len(galaxy))
        self.n, self.again = self.rows.shape[1], int((self.rows[1:2] >= 0).sum())

    def first(self, name: str) -> np.ndarray:
        """Column (n, ...) of the first look at every galaxy."""
        return self.columns[name][self.rows[0]]

    def by_look(self, values) -> np.ndarray:
        """Lay values (N, ...) out as (K, n, ...), NaN where a galaxy was not seen that often."""
        there = (self.rows >= 0).reshape(*self.rows.shape, *[1] * (values.ndim - 1))
        return np.where(there, values[self.rows], np.nan)

    def targets(self) -> np.ndarray:
        """What the target shows, (K, n, quantities), in the order of `looks.QUANTITIES`."""
        columns = self.columns
        estimate, truth = columns["estimate"][:, 1:2], columns["redshift"][:, None]
        return self.by_look(np.hstack([columns["measures"], estimate, truth]))

    def places(self, points, keep: int | None = None) -> np.ndarray:
        """Places (K, n, d) of points (N, d) in units of the noise of an image.

        With `keep`, only in as many directions, those along which galaxies differ most.
        """
        if keep:
            mean, directions = total_variance.principal(points[self.rows[0]], keep)
            points = (points - mean) @ directions
        seen = self.by_look(points.astype(np.float64))
        again = np.isfinite(seen).all((0, 2))
        return seen @ total_variance.discriminants(seen[:, again], seen.shape[2])

    def ring_places(self, scatter: float, one: bool = False) -> np.ndarray:
        """Places by the logarithms of fluxes in rings, or in `one`, zero points put off."""
        fluxes = repeat_observations.perturb_zero_points(
            self.columns["rings"], self.columns["off"], scatter
        )
        fluxes = total_flux(fluxes) if one else fluxes
        return self.places(np.log(np.maximum(fluxes, SMALLEST)).reshape(len(fluxes), -1))


METHODS = ("posterior", "equal fluxes", "latent space")


def check_neighbours(k: int, galaxies: int, directions: int) -> None:
    """Refuse, before anything is simulated, k neighbours that could not be found or fitted."""
    total_variance.check_enough(galaxies, k)
    rings = len(SDSS.bands) * (len(posterior_library.EDGES) - 1)
    total_variance.check_plane(k, max(directions, rings))


def predict_by_neighbours(
    places, values, k: int, asked: int | None = None
) -> dict[str, np.ndarray]:
    """Foresee `values` (n, t) at places (J, n, d) from the k nearest other galaxies.

    `mean` (J, asked, t) and `crowding` (J, asked) are NaN where there was no look. `closeness`
    (asked,) is the mean distance to the look-alikes over the rms distance between two images of one
    galaxy.
    """
    numbers = np.arange(places.shape[1])
    mean, crowding = [], []
    for look, seen in enumerate(places[:, :asked]):
        there = np.isfinite(seen).all(1)
        own = numbers[: len(seen)][there]
        found = total_variance.predict_from_neighbours(
            seen[there], places[0], own, numbers, values, k
        )
        mean.append(np.full((len(seen), values.shape[1]), np.nan))
        crowding.append(np.full(len(seen), np.nan))
        mean[-1][there], crowding[-1][there] = found["mean"], found["crowding"]
        if look == 0:
            closeness = found["distance"] / np.sqrt(2 * places.shape[2])
    return {"mean": np.stack(mean), "crowding": np.stack(crowding), "closeness": closeness}


def total_flux(rings) -> np.ndarray:
    """Light of all rings, as one."""
    return rings.sum(-1, keepdims=True)


def core_and_rest(rings) -> np.ndarray:
    """Light of the inner ring and of the others, as two."""
    return np.stack([rings[..., 0], rings[..., 1:].sum(-1)], axis=-1)


def library_posterior(
    sample: RepeatSample, scatter: float, asked: int, limit: float, use=total_flux
) -> Posterior:
    """Posterior of the first `asked` galaxies over all others, from the rings as `use` joins them.

    The zero points of what is observed are put off by `scatter` more than they are.
    """
    pixels = posterior_library.ring_masks(SDSS.stamp, SDSS.pixel_scale).sum((1, 2))
    physics = {name: sample.first(name) for name in posterior_library.PHYSICS}
    table = posterior_library.log_brightness(physics, limit)
    gain = np.array(SDSS.electrons_per_nanomaggy, float)
    known = TemplateLibrary(use(sample.first("clean")), table, use(pixels[None])[0], gain)
    seen = use(
        repeat_observations.perturb_zero_points(sample.first("rings"), sample.first("off"), scatter)
    )[:asked]
    scatters = posterior_library.scatter_of_zero_points(scatter)
    numbers = np.arange(sample.n)
    sky = sample.first("sky")[:asked]
    return posterior_library.posterior(known, seen, sky, numbers[:asked], numbers, scatters)


def values_at(sample: RepeatSample, quantity: str, fainter) -> np.ndarray:
    """Quantity (q, m) of every galaxy of the library, made fainter by (q, m) magnitudes."""
    column = repeat_observations.QUANTITIES.index(quantity)
    seen = sample.targets()[0, :, column]
    if quantity == repeat_observations.ESTIMATE:
        return repeat_observations.estimate_at_magnitude(sample.columns, sample.rows[0], fainter)
    return seen + repeat_observations.MEASURES.get(quantity, 0) * fainter


def predict_by_posterior(sample: RepeatSample, found: Posterior, quantities) -> dict:
    """Foresee quantities from a posterior: `mean` (1, q, t), `crowding` (1, q), `variance` (q, t).

    NaN where the effective sample size is below `library.LEAST`.
    """
    means, variances = [], []
    for quantity in quantities:
        below, values, above = (
            values_at(sample, quantity, found.fainter + step) for step in (-NEAR, 0, NEAR)
        )
        means.append(posterior_library.mask_small_samples(found, found.mean(values)))
        spread = found.variance(values, (above - below) / (2 * NEAR))
        variances.append(posterior_library.mask_small_samples(found, spread))
    crowding = posterior_library.mask_small_samples(found, found.crowding)
    return {
        "mean": np.stack(means, axis=1)[None],
        "crowding": crowding[None],
        "variance": np.stack(variances, axis=1),
    }


def compare_methods(
    sample, step: int, scatter: float, quantities, asked: int, k: int, keep: int, limit
):
    """Ask what quantities of the first `asked` galaxies an image lets one expect, in three `WAYS`.

    The zero points are off by `scatter` more, which is number `step` of those that the latent
    space was visited with. Returns the effective sample sizes (asked,), the rows for
    `variance.split` {(quantity, way): (5, asked)}, and {quantity: (2, asked)}, the variance of the
    posterior over how far it missed, squared.
    """
    columns = [repeat_observations.QUANTITIES.index(quantity) for quantity in quantities]
    seen = sample.targets()[..., columns]
    found = library_posterior(sample, scatter, asked, limit)
    latent = sample.places(sample.columns["latent"][:, step], keep)[:1]
    fluxes = sample.ring_places(scatter, one=True)[:1]
    told = [predict_by_posterior(sample, found, quantities)]
    told += [predict_by_neighbours(places, seen[0], k, asked) for places in (fluxes, latent)]
    rows, check = {}, {}
    for i, quantity in enumerate(quantities):
        for way, one in zip(METHODS, told, strict=True):
            pick = seen[:, :asked, i], one["mean"][..., i], one["crowding"]
            rows[quantity, way] = total_variance.stack_terms(*pick)
        missed = rows[quantity, "posterior"][3]
        check[quantity] = np.stack([told[0]["variance"][:, i], missed])
    return found.size, rows, check


def on_same_galaxies(rows: dict) -> dict:
    """Leave out of all ways what the posterior refuses: NaN."""
    kept = {}
    for (quantity, way), x in rows.items():
        refused = np.isnan(rows[quantity, "posterior"][3])
        kept[quantity, way] = np.where(refused, np.nan, x)
    return kept
