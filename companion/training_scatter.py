"""Scatter between trainings: numbers of several trainings of several translators.

Let y be a quantity of galaxy g in its translation by training k of model m, and let

    y = mu_m + G_mg + T_mk + R_mkg        (a galaxy's own, a training's own, and the rest)

with means of zero. Chapters report the mean over n galaxies. Its variance over *galaxies* is
var(G + R) / n, as in its interval; that over *trainings*, t^2 = var(T) + var(R) / n, cannot be
estimated from one training. Two models of means a and b, from K trainings each, differ by

    a - b,   with variance   t_a^2 / K_a + t_b^2 / K_b   for these galaxies,
             and in addition var(G_a - G_b) / n          for any galaxies.

Variances of few trainings are uncertain themselves: intervals are Student's, with the degrees of
freedom of Welch and Satterthwaite.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from companion import paths
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity.intervals import LEVEL, Estimate

LONG = "a long training"  # the change of recipe of weights that were kept
TABLE = paths.REFERENCE / "25_leaderboard_trainings.csv"  # kept, with its manifest
PAIRS = paths.REFERENCE / "25_leaderboard_trainings_pairs.csv"


def variance_components(values: dict) -> dict[str, float]:
    """Standard deviations between trainings of one model, and between models: {model: (K,)}.

    One-way random-effects analysis of variance: the pooled variance within models is that of
    trainings, and the variance of the means of models exceeds that of models by it times the mean
    of 1 / K. What comes out negative is zero.
    """
    groups = [np.asarray(group, float) for group in values.values()]
    count = np.array([len(group) for group in groups])
    if len(groups) < 2 or count.max() < 2:
        raise GaltoolsError("a split needs two models and a second training of one of them")
    squares = sum(((group - group.mean()) ** 2).sum() for group in groups)
    within = squares / (count - 1).sum()
    between = np.var([group.mean() for group in groups], ddof=1) - within * (1 / count).mean()
    return {"trainings": float(np.sqrt(within)), "models": float(np.sqrt(max(between, 0)))}


def model_difference(first, second, error: float = 0.0) -> Estimate:
    """Difference of the means of two models over their trainings, with Student's interval.

    `error` adds the choice of galaxies (`galaxy_error`). The degrees of freedom stay those of the
    trainings, so that what is not known over trainings is not known over more: the interval of
    both is a little too wide. With one training of a model there is none.
    """
    groups = [np.asarray(values, float) for values in (first, second)]
    value, n = float(groups[0].mean() - groups[1].mean()), sum(map(len, groups))
    if min(map(len, groups)) < 2:
        return Estimate(value, np.nan, np.nan, n)
    parts = np.array([group.var(ddof=1) / len(group) for group in groups])
    unsure = sum(part**2 / (len(g) - 1) for part, g in zip(parts, groups, strict=True))
    freedom = parts.sum() ** 2 / unsure if unsure else np.inf
    reach = float(t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(parts.sum() + error**2))
    return Estimate(value, value - reach, value + reach, n)


def prediction_interval(values) -> tuple[float, float]:
    """Interval that holds one more training: mean -+ t s sqrt(1 + 1/K), NaN for fewer than 2."""
    values = np.asarray(values, float)
    count = len(values)
    if count < 2:
        return np.nan, np.nan
    reach = t.ppf((1 + LEVEL) / 2, count - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / count)
    return float(values.mean() - reach), float(values.mean() + reach)


def read_kept(path: Path = TABLE) -> pd.DataFrame:
    """Read a kept table, if it is the one that its manifest names."""
    about = path.with_name(TABLE.name)
    if not path.exists() or artefacts.read_manifest(about)["sha256"].get(
        path.name
    ) != artefacts.sha256(path):
        raise GaltoolsError(
            f"{path} is not as kept: run benchmarks/trainings.py, or git checkout it"
        )
    return pd.read_csv(path)


def recipe_changes(mine: dict, kept: dict) -> str:
    """Say in what the recipe of a training differs from a kept one, whatever their seeds.

    `mine` is the manifest of its weights; both hold the code's hash, the parameters and the data.
    That of weights which a long training brought in holds none.
    """
    if "settings" not in mine["parameters"]:
        return LONG
    settings = {k: v for k, v in mine["parameters"]["settings"].items() if k != "seed"}
    mine = {**mine, "parameters": {**mine["parameters"], "settings": settings}}
    names = {"code": "code", "parameters": "parameters", "inputs": "data"}
    return ", ".join(word for key, word in names.items() if mine[key] != kept[key]) or "nothing"
