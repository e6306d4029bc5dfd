"""Degenerate galaxies: neighbours in the fluxes of their source images, which predict the target.

A sample {name: (K, n, ...)} is that of `repeat_observations`.
"""

import numpy as np
from scipy.spatial import cKDTree

from companion import repeat_observations
from galtools.errors import GaltoolsError
from galtools.surveys import BANDS

FAINTEST = 1e-3  # nanomaggies: floor of fluxes before the logarithm
RIDGE = 1e-9  # relative, of a covariance that is inverted
FLUXES = len(BANDS) * (len(repeat_observations.EDGES) - 1)


def flux_coordinates(sample: dict) -> np.ndarray:
    """Noise coordinates by the logarithms of the fluxes in rings."""
    fluxes = np.log(np.maximum(sample["rings"], FAINTEST))
    return noise_coordinates(fluxes.reshape(*fluxes.shape[:2], -1))


def noise_coordinates(points) -> np.ndarray:
    """Coordinates of points (K, n, d) in which the noise has unit covariance.

    Distances are Mahalanobis distances in the covariance W of images of one galaxy: coordinates are
    points times A, where A' W A = 1.
    """
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


def check_neighbours(k: int, galaxies: int) -> None:
    """Refuse, before anything is simulated, k neighbours that do not exist or fit no plane."""
    if galaxies <= k:
        raise GaltoolsError(f"{galaxies} galaxies hold no {k} neighbours: simulate more")
    if k <= FLUXES + 1:
        raise GaltoolsError(f"{k} neighbours fix no plane in {FLUXES} dimensions: take more")


def nearest(points, library, galaxies, k: int):
    """Rows (q, k) of the nearest other galaxies in `library` (n, d), and their distances.

    `points` (q, d) belong to `galaxies` (q,), rows of the library, which are left out.
    """
    distance, rows = cKDTree(library).query(points, k + 1)
    same = rows == galaxies[:, None]
    same[~same.any(1), -1] = True  # the galaxy is not among them: drop the farthest
    return rows[~same].reshape(-1, k), distance[~same].reshape(-1, k)


def predict_by_neighbours(points, values, k: int) -> dict:
    """Predict `values` (n, t) at `points` (J, n, d) from the k nearest other galaxies.

    A local linear fit, of which the weights are the first row of (X'X)^-1 X' with X = [1, x - x0]:
    unbiased for linear functions. Returns `mean` (J, n, t) and `sum_squared_weights` (J, n), NaN
    without an observation, and `closeness` (n,), mean distance to the neighbours over the rms
    distance between two images of one galaxy.
    """
    library, observed = points[0], np.isfinite(points).all(2)
    rows, distance = nearest(points[observed], library, np.nonzero(observed)[1], k)
    offsets = library[rows] - points[observed][:, None]
    design = np.concatenate([np.ones((*rows.shape, 1)), offsets], axis=2)
    weights = np.linalg.pinv(design)[:, 0]
    mean = np.full((*observed.shape, values.shape[1]), np.nan)
    mean[observed] = np.einsum("qk,qkt->qt", weights, values[rows])
    squares = np.full(observed.shape, np.nan)
    squares[observed] = (weights**2).sum(1)
    closeness = distance[: len(library)].mean(1) / np.sqrt(2 * points.shape[2])
    return {"mean": mean, "sum_squared_weights": squares, "closeness": closeness}
