"""Redshift estimators that turn images into densities p(z), and the metrics of photo-z."""

from galtools.redshift.density import (
    OUTLIER,
    Grid,
    apply_temperature,
    crps,
    cumulative,
    fit_temperature,
    point_estimate,
    point_metrics,
    quantile,
)
from galtools.redshift.ensemble import Ensemble, densities_by_feature_group, train_ensemble
from galtools.redshift.kept import pretrained
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
    "fit_temperature",
    "orient",
    "point_estimate",
    "point_metrics",
    "pretrained",
    "quantile",
    "train_ensemble",
]
