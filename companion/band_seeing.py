"""Seeing that scatters from band to band: what it does to peak colours and to their redshift."""

from dataclasses import replace

import numpy as np
import pandas as pd

from companion import assumptions
from galtools.fidelity import intervals
from galtools.surveys import CFHTLS, SDSS, Survey

CASES = "0 %", "2 %", "adopted", "twice"


def scattered(survey: Survey, case: str) -> Survey:
    """A survey whose seeing scatters from band to band by 0, by 2 %, as adopted, or twice so."""
    adopted = np.array(survey.band_seeing)
    scatters = 0 * adopted, 0.02 + 0 * adopted, adopted, 2 * adopted
    return replace(survey, band_seeing=tuple(scatters[CASES.index(case)]))


def study(n: int, seed: int = 0, workers: int = 1) -> pd.DataFrame:
    """Scatter of peak g - r between two observations, and of redshifts estimated from peak fluxes.

    A row for each case and survey, on the grid of SDSS, with 95 % intervals.
    """
    rows = []
    for case in CASES:
        surveys = [scattered(survey, case) for survey in (SDSS, CFHTLS)]
        errors = assumptions.summarize(assumptions.observed(n, surveys, seed, workers))
        names = zip(surveys, assumptions.REPEATS, assumptions.REDSHIFTS, strict=True)
        for survey, repeat, redshift in names:
            for quantity, name in (("peak g - r", repeat), ("redshift", redshift)):
                e = intervals.bootstrap(intervals.robust_scatter, errors[name], seed=seed)
                scatter = {"value": e.value, "low": e.low, "high": e.high}
                row = {"survey": survey.name, "scatter": case, "quantity": quantity}
                rows.append(row | scatter)
    return pd.DataFrame(rows)
