"""Redshifts from images: a network that answers with a density p(z), and who judges it."""

from galtools.redshift.baselines import baselines, colours
from galtools.redshift.density import (
    BINS,
    ONE_SIGMA,
    OUTLIER,
    Z_MAX,
    Grid,
    covered,
    crps,
    cumulative,
    ensemble,
    estimate,
    fit_temperature,
    quantile,
    scores,
    tempered,
)
from galtools.redshift.ensembles import Ensemble, train_ensemble
from galtools.redshift.groups import read_groups
from galtools.redshift.measure import GROUPS, Measure
from galtools.redshift.network import (
    TURNS,
    RedshiftNetwork,
    Sample,
    blurred,
    log_densities,
    log_density,
    train,
    turn,
)

__all__ = [
    "BINS",
    "GROUPS",
    "ONE_SIGMA",
    "OUTLIER",
    "TURNS",
    "Z_MAX",
    "Ensemble",
    "Grid",
    "Measure",
    "RedshiftNetwork",
    "Sample",
    "baselines",
    "blurred",
    "colours",
    "covered",
    "crps",
    "cumulative",
    "ensemble",
    "estimate",
    "fit_temperature",
    "log_densities",
    "log_density",
    "quantile",
    "read_groups",
    "scores",
    "tempered",
    "train",
    "train_ensemble",
    "turn",
]
