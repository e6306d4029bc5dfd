"""Statements that have to survive a second seed.

A statement compares two ways of seeing the same galaxies. It is judged by the paired difference of
their information, resampled over galaxies, once for every seed of translators and estimators; it
holds, or does not hold, only if all seeds say so with one voice.
"""

import pandas as pd

from galtools.fidelity import intervals

WORDS = {"agrees": "holds", "disagrees": "does not hold"}
UNDECIDED = "too small to tell"


def one_voice(verdicts: list[str]) -> str:
    """Say what all seeds agree on, or that they cannot tell."""
    return WORDS.get(verdicts[0], UNDECIDED) if len(set(verdicts)) == 1 else UNDECIDED


def compare(known: dict, claims: dict, n_boot: int = intervals.N_BOOT, seed: int = 0):
    """Judge claims {sentence: (better, worse)} that one way knows more than another.

    `known` holds the information of every galaxy, {(way, seed): (n,)}. Returns a table with a line
    per sentence and seed: the mean gain, its 95 % interval, n, and the verdict of that seed.
    """
    seeds = sorted({k for _, k in known})
    lines = []
    for text, (better, worse) in claims.items():
        for k in seeds:
            pair = known[better, k], known[worse, k]
            gain = intervals.difference(intervals.mean, *pair, n_boot, seed)
            verdict = intervals.verdict(gain, (0, float("inf")))
            lines.append({"claim": text, "seed": k, **vars(gain), "verdict": verdict})
    return pd.DataFrame(lines)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Lay a table of `compare` out for readers: one line per claim, one column per seed."""
    shown = table.apply(lambda x: f"{x.value:.3f} ({x.low:.3f}, {x.high:.3f})", axis=1)
    wide = table.assign(shown=shown).pivot_table("shown", "claim", "seed", "first")
    wide.columns = [f"gain, seed {k}" for k in wide.columns]
    wide["so it"] = table.groupby("claim").verdict.agg(lambda v: one_voice(list(v)))
    return wide.loc[table.claim.unique()].rename_axis(None)
