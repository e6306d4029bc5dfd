"""Seeing that scatters from band to band: what it does to peak colours and to their redshift."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from galtools import simulate
from galtools.data import photometry
from galtools.fidelity import intervals, peaks
from galtools.simulate.matched_pairs import BLOCK, in_order, one_thread
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey

FOLDS = 5


def scattered(survey: Survey) -> dict[str, Survey]:
    """A survey whose seeing scatters from band to band by 0, by 2 %, as assumed, and twice so."""
    assumed = np.array(survey.band_seeing)
    cases = {"0 %": 0 * assumed, "2 %": 0.02 + 0 * assumed, "assumed": assumed}
    cases["twice"] = 2 * assumed
    return {name: replace(survey, band_seeing=tuple(x)) for name, x in cases.items()}


def peaks_twice(block: int, seed: int, survey: Survey) -> dict[str, np.ndarray]:
    """Central fluxes (2, BLOCK, cases, 5) of two observations of a block, and its redshifts.

    Seeing is the same in all cases but for its scatter from band to band.
    """
    galaxies = np.arange(block * BLOCK, (block + 1) * BLOCK)
    found = []
    with one_thread():
        physics, scene, _ = simulate.sample_scene(seed, galaxies, (survey,))
        for case in scattered(survey).values():
            seen = [simulate.observing_conditions(seed, galaxies, case, k) for k in (0, 1)]
            images = [simulate.observe(scene, case, 0, conditions)[0] for conditions in seen]
            found.append([photometry.box_flux(image) for image in images])
    return {"flux": np.array(found).transpose(1, 2, 0, 3), "redshift": physics["redshift"]}


def write_study(path, n: int, seed: int, workers: int) -> None:
    """Write the table of `study` of both surveys, on the grid of SDSS."""
    surveys = SDSS, CFHTLS.on_grid_of(SDSS)
    pd.concat([study(n, seed, survey, workers) for survey in surveys]).to_csv(path, index=False)


def study(n: int, seed: int, survey: Survey, workers: int = 1) -> pd.DataFrame:
    """Scatter of peak g - r between two observations, and sigma_MAD of redshifts of peak fluxes.

    One row for each case of `scattered`, with 95 % intervals; the redshift is that of the nearest
    neighbours in the five peak fluxes of the first observation, cross-validated.
    """
    blocks, work = range(-(-n // BLOCK)), partial(peaks_twice, seed=seed, survey=survey)
    parts = list(in_order(work, blocks, workers) if workers > 1 else map(work, blocks))
    flux = np.concatenate([part["flux"] for part in parts], axis=1)[:, :n]
    z = np.concatenate([part["redshift"] for part in parts])[:n]
    rows = []
    for k, case in enumerate(scattered(survey)):
        first, second = flux[:, :, k]
        change = (photometry.colours(first) - photometry.colours(second))[:, BANDS.index("g")]
        table = peaks.flux_features(first, np.array(survey.sky_noise))
        error = peaks.cross_validated_errors("knn", {"truth": table}, z, FOLDS, seed)["truth"]
        for quantity, x in (("peak g - r", change), ("redshift", error)):
            scatter = intervals.bootstrap(intervals.robust_scatter, x, seed=seed)
            value = {"value": scatter.value, "low": scatter.low, "high": scatter.high}
            rows.append({"survey": survey.name, "scatter": case, "quantity": quantity, **value})
    return pd.DataFrame(rows)
