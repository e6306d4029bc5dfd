"""Redshift estimators that turn images into densities p(z), and the metrics of photo-z."""

from galtools.redshift.density import OUTLIER, Grid, crps, cumulative, point_estimate, point_metrics
from galtools.redshift.ensemble import Ensemble, densities_by_feature_group, train_ensemble
from galtools.redshift.network import ORIENTATIONS, Features, RedshiftNetwork, orient
from galtools.redshift.photometry_layer import GROUPS, PhotometryLayer
