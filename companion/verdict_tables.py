"""Verdicts of a chapter as a tidy table, each with the claim of the paper that it bears on."""

import pandas as pd

from galtools import artefacts
from galtools.errors import check_choice
from galtools.fidelity import intervals

POSITIVE = (0, float("inf"))
PAPER = {  # what the paper says, in the order of its argument
    "structure": "The global structure comes out roughly right",
    "flux": "The total light is roughly right",
    "learning": "Learning gains over resampling",
    "statistics": "The statistics of morphology are preserved",
    "details": "Details of single galaxies are uncertain",
    "uncertain": "Light and peak fluxes come out uncertain",
    "peaks": "Uncertain peaks cost redshift information",
    "loss": "Every model loses redshift information",
    "degrees": "Some models lose more than others",
    "mapping": "The mapping itself loses information",
    "useful": "Imperfect translations are still useful",
}


def judge(claim, model, found, within=POSITIVE, paper="") -> dict:
    """Row of a table of verdicts: whether an estimate for a model lies `within` (low, high).

    `claim` is the sentence that is tested, `paper` the key in `PAPER` of what it bears on, if any.
    """
    known = {"paper": paper and check_choice("claim of the paper", paper, PAPER), "claim": claim}
    verdict = intervals.verdict(found, within)
    return {**known, "model": model, **vars(found), "verdict": verdict}


def judge_table(table, claims: dict, models) -> list[dict]:
    """Judge claims {sentence: (paper, metric, band, within)} by a tidy table, for each model."""
    found, rows = table.set_index(["row", "metric", "band"]), []
    for claim, (paper, metric, band, within) in claims.items():
        for model in models:
            line = found.loc[(model, metric, band)]
            estimate = intervals.Estimate(line.value, line.low, line.high, line.n)
            rows.append(judge(claim, model, estimate, within, paper))
    return rows


def keep(rows, path, inputs, paper: dict | None = None) -> pd.DataFrame:
    """Write verdicts, or any small table of results, beside the other tables; return the table.

    `paper` {key in PAPER: claims} says what claims bear on, where the rows do not say it yet.
    """
    table = pd.DataFrame(rows)
    if paper is not None:
        bears = {c: check_choice("claim of the paper", k, PAPER) for k in paper for c in paper[k]}
        for claim in bears:
            check_choice("claim", claim, list(table.claim.unique()))
        table.insert(0, "paper", table.claim.map(bears).fillna(""))
    artefacts.make(
        path,
        lambda new: table.to_csv(new, index=False),
        params={"verdicts": table.astype(str).to_dict("list")},
        modules=["galtools.fidelity.intervals"],
        inputs=inputs,
    )
    return table
