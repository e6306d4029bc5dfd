"""Degenerate galaxies: neighbours in latent space or in fluxes, and the exact posterior.

Quantities of the target image are predicted for each galaxy from others with similar source images.
A sample {name: (K, n, ...)} is that of `repeat_observations`.
"""

import numpy as np
from scipy.spatial import cKDTree

from companion import posterior_library, repeat_observations, total_variance
from companion.posterior_library import Posterior, TemplateLibrary
from galtools.errors import GaltoolsError
from galtools.surveys import SDSS

METHODS = ("posterior", "equal fluxes", "latent space")
RINGS = len(posterior_library.EDGES) - 1
TOTAL = np.ones((RINGS, 1))  # rings are summed by a matrix (rings, sums)
STEP = 0.05  # magnitudes, of a numerical derivative
FAINTEST = 1e-3  # nanomaggies: floor of fluxes before the logarithm
RIDGE = 1e-9  # relative, of a covariance that is inverted


def ring_fluxes(sample: dict, scatter: float, sums) -> np.ndarray:
    """Sums (K, n, 5, sums) of the fluxes in rings, at zero points of additional `scatter`."""
    return sample["rings"] * (1 + scatter * sample["zero_points"])[..., None] @ sums


def flux_coordinates(sample: dict, scatter: float, sums) -> np.ndarray:
    """Noise coordinates by the logarithms of `ring_fluxes`."""
    fluxes = np.log(np.maximum(ring_fluxes(sample, scatter, sums), FAINTEST))
    return noise_coordinates(fluxes.reshape(*fluxes.shape[:2], -1))


def noise_coordinates(points, principal: int | None = None) -> np.ndarray:
    """Coordinates of points (K, n, d) in which the noise has unit covariance.

    Distances are Mahalanobis distances in the covariance W of images of one galaxy: coordinates are
    points times A, where A' W A = 1. With `principal`, only as many principal components are used.
    """
    if principal:
        first = points[0]
        axes = np.linalg.svd(first - first.mean(0), full_matrices=False)[2]
        points = (points - first.mean(0)) @ axes[:principal].T
    points = points.astype(np.float64)
    repeated = points[:, np.isfinite(points).all((0, 2))]
    (observations, n, d), within = repeated.shape, repeated - repeated.mean(0)
    degrees = (observations - 1) * n
    if degrees <= d:
        raise GaltoolsError(
            f"{observations} images of {n} galaxies do not determine the noise in {d} dimensions: "
            "observe more galaxies again"
        )
    noise = np.einsum("kni,knj->ij", within, within, optimize=True) / degrees
    noise += RIDGE * np.trace(noise) / d * np.eye(d)
    return points @ np.linalg.inv(np.linalg.cholesky(noise)).T


def check_neighbours(k: int, galaxies: int, principal: int) -> None:
    """Refuse, before anything is simulated, k neighbours that do not exist or fit no plane."""
    if galaxies <= k:
        raise GaltoolsError(f"{galaxies} galaxies hold no {k} neighbours: simulate more")
    dimensions = max(principal, len(SDSS.bands) * RINGS)
    if k <= dimensions + 1:
        raise GaltoolsError(f"{k} neighbours fix no plane in {dimensions} dimensions: take more")


def nearest(points, library, galaxies, k: int):
    """Rows (q, k) of the nearest other galaxies in `library` (n, d), and their distances.

    `points` (q, d) belong to `galaxies` (q,), rows of the library, which are left out.
    """
    distance, rows = cKDTree(library).query(points, k + 1)
    own = rows == galaxies[:, None]
    own[~own.any(1), -1] = True  # the galaxy is not among them: drop the farthest
    return rows[~own].reshape(-1, k), distance[~own].reshape(-1, k)


def predict_by_neighbours(points, values, k: int, galaxies: int | None = None) -> dict:
    """Predict `values` (n, t) at `points` (J, n, d) from the k nearest other galaxies.

    A local linear fit, of which the weights are the first row of (X'X)^-1 X' with X = [1, x - x0]:
    unbiased for linear functions. For the first `galaxies`, returns `mean` (J, galaxies, t) and
    `sum_squared_weights` (J, galaxies), NaN without an observation, and `closeness` (galaxies,),
    mean distance to the neighbours over the rms distance between two images of one galaxy.
    """
    library, points = points[0], points[:, :galaxies]
    observed = np.isfinite(points).all(2)
    rows, distance = nearest(points[observed], library, np.nonzero(observed)[1], k)
    offsets = library[rows] - points[observed][:, None]
    design = np.concatenate([np.ones((*rows.shape, 1)), offsets], axis=2)
    weights = np.linalg.pinv(design)[:, 0]
    mean = np.full((*observed.shape, values.shape[1]), np.nan)
    mean[observed] = np.einsum("qk,qkt->qt", weights, values[rows])
    squares = np.full(observed.shape, np.nan)
    squares[observed] = (weights**2).sum(1)
    closeness = distance[: points.shape[1]].mean(1) / np.sqrt(2 * points.shape[2])
    return {"mean": mean, "sum_squared_weights": squares, "closeness": closeness}


def library_posterior(
    sample: dict, scatter: float, galaxies: int, limit: float, sums=TOTAL
) -> Posterior:
    """Posterior of the first `galaxies` over all others, given `ring_fluxes`."""
    first = {name: values[0] for name, values in sample.items()}
    library = TemplateLibrary(
        fluxes=first["clean"] @ sums,
        log_prior=posterior_library.log_magnitude_prior(first, limit),
        pixels=posterior_library.ring_masks(SDSS).sum((1, 2)) @ sums,
        gain=np.array(SDSS.electrons_per_nanomaggy, float),
    )
    observed = ring_fluxes(sample, scatter, sums)[0, :galaxies]
    sky, scatters = first["sky"][:galaxies], np.hypot(SDSS.calibration_error, scatter)
    return posterior_library.posterior(library, observed, sky, np.arange(galaxies), scatters)


def values_at(sample: dict, quantity: str, offset) -> np.ndarray:
    """Quantity (q, m) of every galaxy of the library, made fainter by (q, m) magnitudes."""
    if quantity == repeat_observations.ESTIMATE:
        return repeat_observations.estimate_at_magnitude(sample["estimate"][0], offset)
    column = repeat_observations.QUANTITIES.index(quantity)
    slope = repeat_observations.MEASURES.get(quantity, 0)
    return repeat_observations.targets(sample)[0, :, column] + slope * offset


def predict_by_posterior(sample: dict, found: Posterior, quantities) -> dict:
    """Predict quantities: `mean` (1, q, t), `sum_squared_weights` (1, q), `variance` (q, t).

    NaN where the effective sample size is below `posterior_library.LEAST`.
    """
    means, variances = [], []
    for quantity in quantities:
        below, values, above = (
            values_at(sample, quantity, found.offset + step) for step in (-STEP, 0, STEP)
        )
        means.append(found.mean(values))
        variances.append(found.variance(values, (above - below) / (2 * STEP)))
    moments = np.stack([means, variances]).transpose(0, 2, 1)
    moments[:, found.size < posterior_library.LEAST] = np.nan
    squares = found.sum_squared_weights[None]
    return {"mean": moments[:1], "sum_squared_weights": squares, "variance": moments[1]}


def compare_methods(
    sample, step: int, scatter: float, quantities, galaxies: int, k: int, principal: int, limit
):
    """Predict quantities of the first `galaxies` by all `METHODS`, at perturbed zero points.

    Their additional `scatter` is number `step` of those of "latent". Returns the effective sample
    sizes (galaxies,), {(quantity, method): variance terms (5, galaxies)}, and {quantity: (2,
    galaxies)}: variance and squared error of the posterior.
    """
    columns = [repeat_observations.QUANTITIES.index(quantity) for quantity in quantities]
    targets = repeat_observations.targets(sample)[..., columns]
    found = library_posterior(sample, scatter, galaxies, limit)
    latent = noise_coordinates(sample["latent"][:, :, step], principal)[:1]
    fluxes = flux_coordinates(sample, scatter, TOTAL)[:1]
    predictions = [predict_by_posterior(sample, found, quantities)]
    predictions += [predict_by_neighbours(x, targets[0], k, galaxies) for x in (fluxes, latent)]
    terms, check = {}, {}
    for i, quantity in enumerate(quantities):
        for method, p in zip(METHODS, predictions, strict=True):
            terms[quantity, method] = total_variance.variance_terms(
                targets[:, :galaxies, i], p["mean"][..., i], p["sum_squared_weights"]
            )
        error = terms[quantity, "posterior"][3]
        check[quantity] = np.stack([predictions[0]["variance"][:, i], error])
    return found.size, terms, check
