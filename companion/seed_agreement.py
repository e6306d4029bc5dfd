"""Statements that have to survive a second seed.

A statement compares a number of two ways of seeing the same galaxies. It is judged by the paired
difference, resampled over galaxies, once for every seed of translators and estimators; it holds,
or does not hold, only if all seeds say so with one voice.
"""

import pandas as pd

from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict

WORDS = {Verdict.SUPPORTED: "holds", Verdict.CONTRADICTED: "does not hold"}
UNDECIDED = "too small to tell"
ABOVE = (0, float("inf"))


def consensus(verdicts: list[str]) -> str:
    """Say what all seeds agree on, or that they cannot tell."""
    return WORDS.get(verdicts[0], UNDECIDED) if len(set(verdicts)) == 1 else UNDECIDED


def judge_seed(text: str, k: int, found: intervals.Estimate, within=ABOVE) -> dict:
    """Judge a statement by what one seed found: that it lies `within` (low, high)."""
    return {"claim": text, "seed": k, **vars(found), "verdict": intervals.verdict(found, within)}


def compare(known, claims, n_boot=intervals.N_BOOT, seed=0, statistic=intervals.mean, within=ABOVE):
    """Judge claims {sentence: (first, second)} that a statistic of one way is above another's.

    Or, if other limits are given, that the difference lies `within` them. `known` holds what
    belongs to each galaxy, say its information: {(way, seed): (..., n)}. Returns a table with a
    line per sentence and seed: the difference of the statistic, its 95 % interval, n, and the
    verdict of that seed.
    """
    lines = []
    for text, (first, second) in claims.items():
        for k in sorted({k for _, k in known}):
            gain = intervals.paired_difference(
                statistic, known[first, k], known[second, k], n_boot, seed
            )
            lines.append(judge_seed(text, k, gain, within))
    return pd.DataFrame(lines)


def summary(table: pd.DataFrame, what: str = "difference") -> pd.DataFrame:
    """Lay a table of `compare` out for readers: one line per claim, one column per seed.

    `what` is the number that was judged, in the heads of the columns.
    """
    shown = table.apply(lambda x: intervals.format_interval(x.value, x.low, x.high), axis=1)
    wide = table.assign(shown=shown).pivot_table("shown", "claim", "seed", "first")
    wide.columns = [f"{what}, seed {k}" for k in wide.columns]
    wide["so it"] = pd.Series(consensus_by_claim(table))
    return wide.loc[table.claim.unique()].rename_axis(None)


def claims_table(table: pd.DataFrame, between: str) -> pd.DataFrame:
    """Lay claims "row{between}column" of a table of `compare` out, a line for each row.

    Cells hold what the first seed found, and in words what all seeds say.
    """
    said, cells = consensus_by_claim(table), {}
    for one in table[table.seed == table.seed.min()].itertuples():
        row, column = one.claim.split(between)
        shown = intervals.format_interval(one.value, one.low, one.high)
        cells.setdefault(column, {})[row] = f"{shown} {said[one.claim]}"
    return pd.DataFrame(cells)


def consensus_by_claim(table: pd.DataFrame) -> dict[str, str]:
    """Say of every claim of a table of `compare` what all seeds agree on."""
    return {claim: consensus(list(said)) for claim, said in table.groupby("claim").verdict}


def claims_by_consensus(table: pd.DataFrame) -> dict[str, str]:
    """Claims of a table of `compare` as lists in words: those that hold, fail, or are open."""
    said = consensus_by_claim(table)
    names = {
        "holds": WORDS[Verdict.SUPPORTED],
        "fails": WORDS[Verdict.CONTRADICTED],
        "open": UNDECIDED,
    }
    return {
        name: "; ".join(claim for claim in table.claim.unique() if said[claim] == word) or "none"
        for name, word in names.items()
    }
