"""Verdicts can come out each way, and say what claim of the paper they bear on."""

import numpy as np
import pandas as pd
import pytest

from companion import panels, verdict_tables
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

FOUND = intervals.Estimate(1.0, 0.5, 2.0, 100)


@pytest.mark.parametrize(
    ("effect", "n", "expected"),
    [(0.5, 200, "supported"), (-0.5, 200, "contradicted"), (0, 200, "inconclusive"),
     (0.5, 20, "inconclusive")],
)  # fmt: skip
def test_a_claim_on_a_difference_can_come_out_each_way(effect, n, expected):
    common, noise = np.random.default_rng(6).normal(size=(2, n)) * [[5], [0.5]]
    noise = noise - noise.mean()
    found = intervals.paired_difference(intervals.mean, common + effect + noise, common)
    assert verdict_tables.judge("first is larger", "swin", found)["verdict"] == expected


def test_a_claim_on_a_table_can_come_out_each_way():
    lines = {"inside": (0.1, 0.4), "outside": (0.6, 0.9), "astride": (0.4, 0.6)}
    table = pd.DataFrame(
        [("morphology", "r", "ks", 0.5 * (a + b), a, b, 99, row) for row, (a, b) in lines.items()],
        columns=["level", "band", "metric", "value", "low", "high", "n", "row"],
    )
    claims = {"near": ("statistics", "ks", "r", (0, 0.5))}
    found = pd.DataFrame(verdict_tables.judge_table(table, claims, list(lines)))
    assert list(found.verdict) == ["supported", "contradicted", "inconclusive"]
    assert set(found.paper) == {"statistics"}


def test_a_claim_of_the_paper_has_to_be_a_known_one_and_a_tested_one_to_be_there(tmp_path):
    with pytest.raises(GaltoolsError, match="unknown claim of the paper 'shape'"):
        verdict_tables.judge("x", "swin", FOUND, paper="shape")
    rows = [{"claim": "a", "seed": 0, **vars(FOUND), "verdict": "supported"}]
    for paper, message in (({"gain": ["a"]}, "unknown claim of the paper"),
                           ({"loss": ["b"]}, "unknown claim 'b': choose one of a")):  # fmt: skip
        with pytest.raises(GaltoolsError, match=message):
            verdict_tables.keep(rows, tmp_path / "t.csv", [], paper)
    kept = verdict_tables.keep(rows, tmp_path / "t.csv", [], {"loss": ["a"]})
    assert list(kept.paper) == list(pd.read_csv(tmp_path / "t.csv").paper) == ["loss"]


def test_verdicts_are_read_claim_by_claim():
    said = (("b", "swin"), ("a", "swin"), ("b", "own"))
    shown = panels.verdict_table(
        pd.DataFrame([verdict_tables.judge(*line, FOUND) for line in said])
    )
    assert list(shown.index) == [("b", "Swin"), ("b", "own"), ("a", "Swin")]
    assert list(shown["This run"]) == 3 * ["1.0 (0.5, 2.0)"]
    assert set(shown["Verdict"]) == {"supported"}
