"""Claims over seeds: supported only if every seed says so."""

import numpy as np
import pandas as pd

from companion import seed_agreement

RNG = np.random.default_rng(0)
BASE = RNG.normal(size=400)
SMALL = 0.01 * RNG.normal(size=400)
CLAIMS = {"a beats b": ("a", "b"), "b beats a": ("b", "a"), "a beats c": ("a", "c")}
KNOWN = {
    **{("a", k): BASE + 1 for k in (0, 1)},
    **{("b", k): BASE + SMALL for k in (0, 1)},
    ("c", 0): BASE,  # less than a with the first seed
    ("c", 1): BASE + 2,  # more with the second
}


def test_gains_are_the_known_ones_and_all_verdicts_occur():
    table = seed_agreement.compare(KNOWN, CLAIMS, n_boot=200)
    first = table[table.claim == "a beats b"]
    np.testing.assert_allclose(first.value, 1 - SMALL.mean())
    assert (first.low < first.value).all() and (first.value < first.high).all()
    shown = seed_agreement.summary(table)
    assert list(shown.index) == list(CLAIMS)
    assert list(shown.verdict) == list(seed_agreement.VERDICTS)
    assert seed_agreement.claims_by_consensus(table) == dict(
        zip(shown.verdict, CLAIMS, strict=True)
    )
    both = seed_agreement.claims_by_consensus(
        table[table.claim != "b beats a"].assign(verdict="supported")
    )
    assert list(both.values()) == ["a beats b; a beats c", "none", "none"]


def test_the_same_information_twice_is_no_gain():
    table = seed_agreement.compare(
        {("a", 0): BASE, ("b", 0): BASE + SMALL - SMALL.mean()}, {"x": ("a", "b")}
    )
    assert seed_agreement.consensus_by_claim(table) == {"x": "inconclusive"}


def test_claims_of_two_parts_are_laid_out_with_what_all_seeds_say():
    lines = [
        ("a", 0, "supported"),
        ("a", 1, "supported"),
        ("b", 0, "supported"),
        ("b", 1, "inconclusive"),
    ]
    table = pd.DataFrame(
        {"claim": f"{row}: peak", "seed": k, "value": 0.2 + k, "low": 0.1 + k, "high": 0.3 + k,
         "verdict": said}
        for row, k, said in lines
    )  # fmt: skip
    found = {"a": "0.20 (0.10, 0.30) supported", "b": "0.20 (0.10, 0.30) inconclusive"}
    cells = {f"{row}: peak": (row, "peak") for row in "ab"}
    assert seed_agreement.cross_table(table, cells).to_dict() == {"peak": found}
    assert seed_agreement.cross_table(pd.DataFrame(columns=table.columns), cells).empty
