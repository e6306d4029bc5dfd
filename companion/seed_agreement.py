"""Claims tested with several seeds.

A claim compares the mean of two methods on the same galaxies. Its verdict follows from the
paired difference, resampled over galaxies, for each seed of translators and estimators; the verdict
of all seeds is theirs if they agree, else inconclusive.
"""

from functools import partial

import pandas as pd

from galtools import artefacts
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict

POSITIVE = (0, float("inf"))


def judge_seed(claim: str, seed: int, estimate: intervals.Estimate, within=POSITIVE) -> dict:
    """Row of a table of verdicts: whether an estimate of one seed lies `within` (low, high)."""
    verdict = intervals.verdict(estimate, within)
    return {"claim": claim, "seed": seed, **vars(estimate), "verdict": verdict}


def compare(values, claims, n_boot=intervals.N_BOOT, seed=0) -> pd.DataFrame:
    """Test claims {sentence: (first, second)} that the mean of first exceeds that of second.

    `values` are {(method, seed): (n,)} of the galaxies. Returns a row per claim and seed: the
    difference of the means, its 95 % interval, n, and the verdict.
    """
    rows = []
    for claim, (first, second) in claims.items():
        for k in sorted({k for _, k in values}):
            pair = values[first, k], values[second, k]
            estimate = intervals.paired_difference(intervals.mean, *pair, n_boot, seed)
            rows.append(judge_seed(claim, k, estimate))
    return pd.DataFrame(rows)


def consensus_by_claim(table: pd.DataFrame) -> dict[str, Verdict]:
    """Verdict of all seeds on each claim of a table of verdicts."""
    return {claim: intervals.consensus(rows) for claim, rows in table.groupby("claim").verdict}


def summary(table: pd.DataFrame, quantity: str = "difference") -> pd.DataFrame:
    """Table of verdicts for readers: a row per claim, `quantity` of each seed, and the verdict."""
    shown = table.apply(lambda x: intervals.format_interval(x.value, x.low, x.high), axis=1)
    wide = table.assign(shown=shown).pivot_table("shown", "claim", "seed", "first")
    wide.columns = [f"{quantity}, seed {k}" for k in wide.columns]
    wide["verdict"] = pd.Series(consensus_by_claim(table))
    return wide.loc[table.claim.unique()].rename_axis(None)


def save_table(rows, path, inputs, seed: int = 0) -> pd.DataFrame:
    """Write verdicts, or any small table of results, beside the other tables; return the table."""
    table = pd.DataFrame(rows)
    write = partial(table.to_csv, index=False)
    artefacts.make(path, write, params={}, inputs=inputs, seed=seed)
    return table
