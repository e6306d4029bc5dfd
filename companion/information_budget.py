"""The information budget of translations: what is lost, and where.

With L the limit of an image and I what an estimator finds in it,

    L_target - I_translated = (L_target - L_source)        irreducible: not in the source
                            + (L_source - I_source)        estimator: in the source, not found
                            + (I_source - I_translated)    translator: found in the source only.
"""

import numpy as np
import pandas as pd

from companion import paths, redshift_evaluation
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.redshift import Ensemble, Grid

PARTS = ("irreducible", "estimator", "translator")


def finetuned_estimators(store: paths.Results, rows, seed: int = 0) -> dict:
    """Ensembles that were finetuned on each row; a repeat observation has the truth's.

    Their bins of redshift have to be those of the limits.
    """
    found = {}
    for row in rows:
        name = "truth" if row == "again" else row
        file = store.weights("redshift", f"cross_{name}", seed)
        paths.need(file, "24_redshift", *redshift_evaluation.training_files(store))
        found[row] = Ensemble.load(file)
        if found[row].grid != Grid():
            raise GaltoolsError(
                f"{file} has bins of its own: run notebooks/16_redshift_estimator.py with "
                f"-p bins {Grid().bins} -p z_max {Grid().z_max}, then 24_redshift"
            )
    return found


def estimator_densities(store: paths.Results, images: dict, seed: int = 0) -> dict:
    """Densities {(row, k): (n, bins)} of the images of each row, by network k of its ensemble."""
    return {
        (row, k): density
        for row, ensemble in finetuned_estimators(store, images, seed).items()
        for k, density in enumerate(ensemble.densities(ensemble.extract_features(images[row]))[1])
    }


def split_losses(known: dict, models, source: str, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Split the loss of every model: a line per model, part and seed, with its interval.

    `known` holds bits per galaxy, {(row, k): (n,)}, of the rows "CFHTLS" and "SDSS" (the limits),
    of `source`, what estimators find in the sources, and of the models.
    """
    lines = []
    for model in models:
        ways = ("CFHTLS", "SDSS", source, model)
        for k in sorted({k for _, k in known}):
            for part, first, second in zip(PARTS, ways, ways[1:], strict=False):
                pair = known[first, k], known[second, k]
                lost = intervals.paired_difference(intervals.mean, *pair, n_boot, seed)
                lines.append({"row": model, "part": part, "seed": k, **vars(lost)})
    return pd.DataFrame(lines)


def common_galaxies(known: dict) -> dict:
    """Keep the galaxies that every way could judge: NaN in one way is NaN in all."""
    refused = np.any([np.isnan(values) for values in known.values()], axis=0)
    if refused.all():
        raise GaltoolsError(
            f"of {len(refused)} galaxies none could be judged in every way: take more of them, or "
            "more draws and points for each"
        )
    return {key: np.where(refused, np.nan, values) for key, values in known.items()}
