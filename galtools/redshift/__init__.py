"""Redshift estimators that turn images into densities p(z), and the metrics of photo-z."""

from importlib import import_module

from galtools.redshift.density import (
    OUTLIER,
    Grid,
    apply_temperature,
    crps,
    cumulative,
    fit_recalibration,
    fit_temperature,
    point_estimate,
    point_metrics,
    quantile,
    recalibrate,
)
from galtools.redshift.ensemble import Ensemble, densities_by_feature_group, train_ensemble
from galtools.redshift.network import ORIENTATIONS, Features, RedshiftNetwork, orient
from galtools.redshift.photometry_layer import GROUPS, PhotometryLayer

__all__ = [
    "GROUPS",
    "ORIENTATIONS",
    "OUTLIER",
    "Ensemble",
    "Features",
    "Grid",
    "PhotometryLayer",
    "RedshiftNetwork",
    "apply_temperature",
    "crps",
    "cumulative",
    "densities_by_feature_group",
    "fit_recalibration",
    "fit_temperature",
    "orient",
    "point_estimate",
    "point_metrics",
    "pretrained",
    "quantile",
    "recalibrate",
    "train_ensemble",
]


def pretrained(survey: str, seed: int = 0, folder=None) -> Ensemble:
    """Estimator of a long training, ready to `predict`; refused where it no longer fits.

    It reads images of `survey`, "SDSS" or "CFHTLS". Where the weights are looked for: see
    `galtools.models.pretrained`.
    """
    kept = import_module("galtools.models.kept")  # no key follows from it
    density = import_module("galtools.redshift.kept").density
    return kept.pretrained(survey, "redshift", seed, folder, Ensemble.load, density)
