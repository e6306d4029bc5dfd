"""What networks read of the redshift, beside what there is to read; and whose fault the rest is.

With L the limit of an image and I what a network finds in it,

    L_target - I_translated = (L_target - L_source)        nature: the source never saw it
                            + (L_source - I_source)        the reader: it is there, and not found
                            + (I_source - I_translated)    the model: found before, not after.
"""

import numpy as np
import pandas as pd

from companion import paths
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.redshift import Ensemble, Grid

PARTS = ("nature", "reader", "model")


def retrained_estimators(store: paths.Results, rows, seed: int = 0) -> dict:
    """Ensembles that were retrained on each row; of a second look, the truth's.

    Their bins of redshift have to be those of the limits that they are held against.
    """
    found = {}
    for row in rows:
        name = "truth" if row == "again" else row
        file = paths.need(store.weights("redshift", f"cross_{name}", seed), "24_redshift")
        found[row] = Ensemble.load(file)
        if found[row].grid != Grid():
            raise GaltoolsError(
                f"{file} has bins of its own: run notebooks/16_redshift_estimator.py with "
                f"-p bins {Grid().bins} -p z_max {Grid().z_max}, then 24_redshift"
            )
    return found


def estimator_densities(store: paths.Results, images: dict, seed: int = 0) -> dict:
    """Densities that networks read, {(row, k): (n, bins)}: k numbers the networks of an ensemble.

    `images` holds rows of the comparison, each read by its own of the `readers`.
    """
    found = {}
    for row, ensemble in retrained_estimators(store, images, seed).items():
        for k, density in enumerate(ensemble.densities(images[row])[1]):
            found[row, k] = density
    return found


def split_losses(known: dict, models, reader: str, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Split the loss of every model: a line per model, part and seed, with its interval.

    `known` holds bits per galaxy, {(row, k): (n,)}, of the rows "CFHTLS" and "SDSS" (the limits),
    of `reader`, the source as it is read, and of the models.
    """
    lines = []
    for model in models:
        ways = ("CFHTLS", "SDSS", reader, model)
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
