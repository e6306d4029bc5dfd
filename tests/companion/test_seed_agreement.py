"""Claims over seeds: supported only if every seed says so."""

import numpy as np

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
    assert list(shown.verdict) == ["supported", "contradicted", "inconclusive"]


def test_the_same_information_twice_is_no_gain():
    table = seed_agreement.compare(
        {("a", 0): BASE, ("b", 0): BASE + SMALL - SMALL.mean()}, {"x": ("a", "b")}
    )
    assert seed_agreement.consensus_by_claim(table) == {"x": "inconclusive"}
