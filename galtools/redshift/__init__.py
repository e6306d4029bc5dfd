"""Redshifts from images: a network that answers with a density p(z), and who judges it."""

from galtools.redshift.baselines import baselines, colour_features
from galtools.redshift.density import (
    BINS,
    ONE_SIGMA,
    OUTLIER,
    Z_MAX,
    Grid,
    apply_temperature,
    crps,
    cumulative,
    fit_temperature,
    in_central_interval,
    mean_log_density,
    point_estimate,
    point_metrics,
    quantile,
)
from galtools.redshift.ensemble import Ensemble, train_ensemble
from galtools.redshift.feature_groups import densities_by_feature_group
from galtools.redshift.network import (
    ORIENTATIONS,
    RedshiftNetwork,
    Sample,
    log_densities,
    log_density,
    orient,
    smoothed_targets,
    train,
)
from galtools.redshift.photometry_layer import GROUPS, PhotometryLayer

__all__ = [
    "BINS",
    "GROUPS",
    "ONE_SIGMA",
    "ORIENTATIONS",
    "OUTLIER",
    "Z_MAX",
    "Ensemble",
    "Grid",
    "PhotometryLayer",
    "RedshiftNetwork",
    "Sample",
    "apply_temperature",
    "baselines",
    "colour_features",
    "crps",
    "cumulative",
    "densities_by_feature_group",
    "fit_temperature",
    "in_central_interval",
    "log_densities",
    "log_density",
    "mean_log_density",
    "orient",
    "point_estimate",
    "point_metrics",
    "quantile",
    "smoothed_targets",
    "train",
    "train_ensemble",
]
