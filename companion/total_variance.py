"""The law of total variance, for what a second survey sees of a galaxy.

Let T be a number measured on the target image and S the source image. Given the galaxy, the two
are independent, and

    Var T  =  E Var(T | galaxy)  +  E Var(E[T | galaxy] | S)  +  Var E[T | S]
              observation noise     look-alikes                   what S tells

The first part comes from K observations of each galaxy, the second from other galaxies whose
source images look alike: by weights w over a library of pairs (S, T), whichever way they are found,
T is foreseen as sum w T. With weights of sum one, independent of the T's, and an unbiased
foresight,

    E (T - sum w T)^2 = Var(T | S) (1 + sum w^2),

so that no bias is left from the finite number of look-alikes; 1 / sum w^2 is that number. All
estimates are unbiased: parts of no size come out negative as often as positive.
"""

import numpy as np
import pandas as pd
from scipy.linalg import eigh

from companion import seed_agreement
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

PARTS = ("noise", "look-alikes", "told")
RIDGE = 1e-9  # relative, of a covariance that is inverted


def split_variance(x) -> dict[str, np.ndarray]:
    """Variance of each of `PARTS`; x is (5, ..., n) as `stack` makes it, galaxies last.

    One-way random-effects analysis of variance. With s^2 the variance between the looks at a galaxy
    that was seen again, and K_g the number of looks at each,

        noise = <s^2>,   look-alikes = <unforeseen> - noise,
        told = Var mean - noise <1/K> - look-alikes.
    """
    mean, within, again, unforeseen, per_look = np.asarray(x, float)
    noise = intervals.divide(within.sum(-1), again.sum(-1))
    galaxies = mean.var(-1, ddof=1) - noise * per_look.mean(-1)
    alike = unforeseen.mean(-1) - noise
    return {"noise": noise, "look-alikes": alike, "told": galaxies - alike}


def fraction_of(part: str, *less: str):
    """Statistic for `intervals.estimate`: the share of a part, less that of others."""

    def statistic(x):
        parts = split_variance(x)
        return intervals.divide(parts[part] - sum(parts[k] for k in less), sum(parts.values()))

    return statistic


def stack_terms(values, foreseen, crowding) -> np.ndarray:
    """Rows for `split`, (5, n), from up to K observations (K, n) of T, NaN where there was none.

    `foreseen` (J, n) is what J source images of each galaxy let one expect, `crowding` (J, n) the
    sum w^2 behind it. All J x K combinations count: noise of source and target is independent. The
    rows: mean and variance of T over the looks, whether there were two, the unforeseen, 1 / K.
    """
    values, foreseen = np.asarray(values, float), np.asarray(foreseen, float)
    looks = np.isfinite(values).sum(0)
    if looks.max(initial=0) < 2:
        raise GaltoolsError("the noise of an observation shows only in a second one: observe again")
    missed = (values[None] - foreseen[:, None]) ** 2 / (1 + np.asarray(crowding)[:, None])
    there = np.isfinite(missed)
    unforeseen = intervals.divide(np.where(there, missed, 0).sum((0, 1)), there.sum((0, 1)))
    filled = np.where(np.isfinite(values), values, 0)
    mean = filled.sum(0) / looks
    off = np.where(np.isfinite(values), values - mean, 0)
    within = (off**2).sum(0) / np.maximum(looks - 1, 1)
    return np.stack([mean, within, looks > 1, unforeseen, 1 / looks])


def principal(points: np.ndarray, keep: int):
    """Mean (d,) and the `keep` directions (d, keep) along which points (n, d) differ most."""
    if keep > min(points.shape):
        raise GaltoolsError(f"{points.shape} points have no {keep} directions: take fewer")
    mean = points.mean(0)
    return mean, np.linalg.svd(points - mean, full_matrices=False)[2][:keep].T


def discriminants(repeated: np.ndarray, keep: int) -> np.ndarray:
    """Directions (d, keep) of a space in which galaxies differ most for the noise of an image.

    `repeated` (K, n, d) holds K images of n galaxies. With W the covariance between images of one
    galaxy and B that between galaxies, the columns v solve B v = c W v, largest c first, scaled to
    v' W v = 1: along each of them, the noise is one and independent of the others.
    """
    looks, n, dimension = repeated.shape
    if looks < 2 or (looks - 1) * n <= dimension:
        raise GaltoolsError(
            f"{looks} images of {n} galaxies cannot tell the noise in {dimension} dimensions: "
            "observe more galaxies again"
        )
    means = repeated.mean(0)
    within = (repeated - means).reshape(-1, dimension)
    noise = within.T @ within / ((looks - 1) * n)
    noise += RIDGE * np.trace(noise) / dimension * np.eye(dimension)
    _, directions = eigh(np.cov(means.T), noise)
    return directions[:, ::-1][:, :keep]


def check_enough(galaxies: int, k: int) -> None:
    """Refuse to look for more neighbours than there are."""
    if galaxies <= k:
        raise GaltoolsError(f"{galaxies} galaxies hold no {k} neighbours: simulate more")


def check_plane(k: int, dimensions: int) -> None:
    """Refuse to fit a plane through too few neighbours."""
    if k <= dimensions + 1:
        raise GaltoolsError(f"{k} neighbours fix no plane in {dimensions} dimensions: take more")


def nearest(places, library, own, numbers, k: int):
    """Rows (q, k) of the nearest library entries of other galaxies, and their distances.

    `places` (q, d) belong to galaxies `own` (q,), `library` (m, d) to galaxies `numbers` (m,), each
    once: what a galaxy itself would tell is left out.
    """
    check_enough(len(library), k)
    from scipy.spatial import cKDTree

    distance, rows = cKDTree(library).query(places, k + 1)
    itself = numbers[rows] == own[:, None]
    itself[~itself.any(1), -1] = True  # not among them: the farthest goes
    return rows[~itself].reshape(-1, k), distance[~itself].reshape(-1, k)


def linear_weights(places, neighbours) -> np.ndarray:
    """Weights (q, k) of neighbours (q, k, d) whose sum is a linear fit, read at `places` (q, d).

    The first row of (X'X)^-1 X' with X = [1, x - x0]. Weights of sum one that leave no bias as long
    as what is foreseen is linear over the neighbourhood, however far its centre is off.
    """
    check_plane(*neighbours.shape[1:])
    design = np.concatenate(
        [np.ones((*neighbours.shape[:2], 1)), neighbours - places[:, None]], axis=2
    )
    return np.linalg.pinv(design)[:, 0]


def predict_from_neighbours(places, library, own, numbers, values, k: int) -> dict[str, np.ndarray]:
    """Foresee `values` (m, t) of a library at `places`, by a linear fit through k look-alikes.

    Returns `mean` (q, t), `crowding` sum w^2 (q,), and the mean distance to the look-alikes.
    """
    rows, distance = nearest(places, library, own, numbers, k)
    weights = linear_weights(places, library[rows])
    mean = np.einsum("qk,qkt->qt", weights, values[rows])
    return {"mean": mean, "crowding": (weights**2).sum(1), "distance": distance.mean(1)}


def tidy(rows: dict, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Shares of all parts, from {(quantity, way, seed): (5, n)}: a line for each of them and part.

    `spread` is the standard deviation of the whole.
    """
    lines = []
    for (quantity, way, k), x in rows.items():
        usable = x[:, np.isfinite(x).all(0)]
        spread = float(np.sqrt(sum(split_variance(usable).values())))
        for part in PARTS:
            found = intervals.bootstrap(fraction_of(part), x, n_boot, seed)
            about = {"quantity": quantity, "way": way, "seed": k, "part": part, "spread": spread}
            lines.append({**about, **vars(found)})
    return pd.DataFrame(lines)


def judge(rows: dict, claims: dict, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Judge claims {sentence: (key, statistic)} that a statistic of rows[key, seed] is positive.

    Returns the table that `seeds.summary` lays out: claim, seed, value, low, high, n, verdict.
    """
    lines = []
    for text, (key, statistic) in claims.items():
        for k in sorted({k for *_, k in rows}):
            found = intervals.bootstrap(statistic, rows[*key, k], n_boot, seed)
            lines.append(seed_agreement.judge_seed(text, k, found))
    return pd.DataFrame(lines)
