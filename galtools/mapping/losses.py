"""What networks read of the redshift, beside what there is to read; and whose fault the rest is.

With L the limit of an image and I what a network finds in it,

    L_target - I_translated = (L_target - L_source)        nature: the source never saw it
                            + (L_source - I_source)        the reader: it is there, and not found
                            + (I_source - I_translated)    the model: found before, not after.
"""

import numpy as np
import pandas as pd

from galtools import paths
from galtools.fidelity import intervals
from galtools.redshift import Ensemble

PARTS = ("nature", "reader", "model")


def readings(store: paths.Results, images: dict, seed: int = 0) -> dict:
    """Densities that networks read, {(row, k): (n, bins)}: k numbers the networks of an ensemble.

    `images` holds rows of the comparison; each is read by the ensemble that was retrained on it,
    and a second observation by the truth's.
    """
    found = {}
    for row, shown in images.items():
        name = "truth" if row == "again" else row
        file = paths.need(store.weights("redshift", f"cross_{name}", seed), "24_redshift")
        for k, density in enumerate(Ensemble.load(file).densities(shown)[1]):
            found[row, k] = density
    return found


def split(known: dict, models, reader: str, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
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
                lost = intervals.difference(intervals.mean, *pair, n_boot, seed)
                lines.append({"row": model, "part": part, "seed": k, **vars(lost)})
    return pd.DataFrame(lines)


def agreement(known: dict, pairs: dict, margin: float, n_boot=intervals.N_BOOT, seed=0):
    """Judge statements {sentence: (first, second)} that two ways know the same, to `margin` bits.

    A table as of `seeds.compare`: agrees, if the interval of the difference lies within the margin;
    disagrees, if it lies outside; else it cannot tell.
    """
    lines = []
    for text, (first, second) in pairs.items():
        for k in sorted({k for _, k in known}):
            pair = known[first, k], known[second, k]
            gap = intervals.difference(intervals.mean, *pair, n_boot, seed)
            verdict = intervals.verdict(gap, (-margin, margin))
            lines.append({"claim": text, "seed": k, **vars(gap), "verdict": verdict})
    return pd.DataFrame(lines)


def common(known: dict) -> dict:
    """Keep the galaxies that every way could judge: NaN in one way is NaN in all."""
    refused = np.any([np.isnan(values) for values in known.values()], axis=0)
    return {key: np.where(refused, np.nan, values) for key, values in known.items()}
