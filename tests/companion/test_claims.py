"""Verdicts on the claims come out each way, and a control that passes takes them away."""

import numpy as np
import pandas as pd
import pytest

from companion import claims, paths
from companion.claims import CLAIMS
from galtools.errors import GaltoolsError
from galtools.fidelity.intervals import Estimate

FAILS = Estimate(0.0, -0.001, 0.001, 500)


def table(rows, name="loss", task="cross", control=FAILS):
    lines = claims.evidence(name, rows | {CLAIMS[name].fails: control})
    return pd.DataFrame(lines).assign(task=task)


def close(value, half=0.01):
    return Estimate(value, value - half, value + half, 500)


@pytest.mark.parametrize(
    ("weakest", "expected"),
    [(close(0.2), "supported"), (close(0.02), "no difference"), (close(-0.2), "contradicted"),
     (close(0.2, 0.3), "inconclusive"), (close(0.06, 0.05), "supported"),
     (Estimate(0.2, 0.1, 0.3, 20), "inconclusive")],
)  # fmt: skip
def test_the_weakest_model_decides(weakest, expected):
    (line,) = claims.judge(table({"swin": close(0.5), "srgan": weakest})).itertuples()
    assert (line.weakest, line.verdict, line.models) == ("srgan", expected, 2)
    assert line.holds == 1 + (expected == "supported")


def test_a_control_that_passes_leaves_nothing_to_say():
    (line,) = claims.judge(table({"swin": close(0.5)}, control=close(0.3))).itertuples()
    assert line.passes and line.verdict == "inconclusive"


def test_chances_are_those_of_a_normal_interval_adjusted_for_their_number():
    """Two standard deviations are a chance of .0455: alone significant, among ten such not."""
    weak = {"swin": Estimate(1.0, 1 - 1.959964 / 2, 1 + 1.959964 / 2, 500)}
    alone = claims.judge(table(weak))
    assert alone.chance[0] == pytest.approx(0.0455, abs=1e-4)
    assert alone.verdict[0] == "supported"
    nothing = {"swin": Estimate(0.0, -5, 5, 500)}
    others = [
        table(nothing, name, task) for name in ("structure", "flux", "peaks") for task in "ab"
    ]
    found = claims.judge(pd.concat([table(weak), *others])).set_index("claim")
    assert found.chance["loss"] == pytest.approx(7 * 0.0455, abs=1e-3)
    assert found.verdict["loss"] == "inconclusive"
    sure = claims.judge(pd.concat([table({"swin": close(0.5)}), *others])).set_index("claim")
    assert sure.verdict["loss"] == "supported"


def test_equivalence_is_as_sure_as_its_room_within_the_margin():
    """The margin of 0.05 is two standard deviations of 0.015 away from 0.02."""
    found = claims.judge(table({"swin": Estimate(0.02, 0.02 - 0.0294, 0.02 + 0.0294, 500)}))
    assert found.verdict[0] == "no difference"
    assert found.chance[0] == pytest.approx(0.0455, abs=1e-4)


def test_evidence_is_kept_and_collected_by_task_and_seed(tmp_path):
    folder = paths.Results(str(tmp_path), "tiny")
    lines = claims.evidence("loss", {"swin": close(0.5), "copy": FAILS})
    shown = claims.keep(lines, folder, "24_redshift", [], "intra", seed=3)
    assert shown.loc["swin", "loss"] == "0.500 (0.490, 0.510)"
    found = claims.judge(claims.collect(folder, 3)).set_index(["claim", "task"])
    assert found.verdict["loss", "intra"] == "supported"
    assert found.verdict["loss", "cross"] == found.verdict["mapping", "cross"] == "not run"
    assert len(found) == sum(len(claim.tasks) for claim in CLAIMS.values())
    with pytest.raises(GaltoolsError, match="of seed 3"):
        claims.collect(folder, 4)
    with pytest.raises(GaltoolsError, match="unknown claim"):
        claims.evidence("gain", {})


def test_claims_name_chapters_that_leave_their_evidence():
    for name, claim in CLAIMS.items():
        text = (paths.NOTEBOOKS / f"{claim.chapter}.py").read_text()
        assert f'claims.evidence("{name}"' in text and f'"{claim.chapter}"' in text
        assert claim.margin > 0 and np.isfinite(claim.margin)
