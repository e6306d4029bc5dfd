"""Redshift estimators of long trainings that are kept, as `galtools.models.kept` keeps networks.

<folder>/redshift/<survey>/seed<k>/weights.safetensors and its manifest
"""

import shutil
from pathlib import Path

import numpy as np

from galtools import artefacts
from galtools.models import kept
from galtools.redshift.ensemble import Ensemble


def density(file: Path) -> np.ndarray:
    """Density (1, bins) of the fixed galaxy."""
    ensemble = Ensemble.load(file)
    return ensemble.predict(kept.fixed_galaxy(ensemble.networks[0].recipe["bands"], 64))


def keep(weights: Path, train_file: Path, valid_file: Path, folder=None) -> Path:
    """Keep an estimator, trained as .../<survey>/seed<k>/weights.safetensors."""
    trained = artefacts.read_manifest(weights)
    file = kept.weights_file(Path(weights).parts[-3], "redshift", trained["seed"], folder)

    def copy(new):
        shutil.copyfile(weights, new)
        return {"half_cost": 0.0, "seconds": trained["seconds"]}

    modules = ["galtools.models.kept", "galtools.redshift.kept"]
    return kept.publish(file, weights, [train_file, valid_file], copy, density, modules)
