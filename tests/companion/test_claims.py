"""Verdicts on the claims come out each way, and a control that passes takes them away."""

import numpy as np
import pandas as pd
import pytest

from companion import claims, paths, redshift_evaluation
from companion.claims import CLAIMS
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Estimate

N = 2000  # galaxies of a synthetic world

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
    shown = claims.save_evidence(lines, folder, "24_redshift", [], "intra", seed=3)
    assert shown.loc["swin", "loss"] == "0.500 (0.490, 0.510)"
    found = claims.judge(claims.collect(folder, 3)).set_index(["claim", "task"])
    assert found.verdict["loss", "intra"] == "supported"
    assert found.verdict["loss", "cross"] == found.verdict["mapping", "cross"] == "not run"
    assert len(found) == sum(len(claim.tasks) for claim in CLAIMS.values())
    with pytest.raises(GaltoolsError, match="of seed 3"):
        claims.collect(folder, 4)
    with pytest.raises(GaltoolsError, match="unknown claim"):
        claims.evidence("gain", {})


def test_retained_information_is_that_of_both_chapters(tmp_path):
    """The flux-corrected translator is among the rows, and no row stands twice."""
    folder = paths.Results(str(tmp_path), "tiny")
    assert claims.retained(folder).empty
    rows = {"redshift": ["source", "swin"], "keeping": ["swin", "flux_corrected"]}
    for name, some in rows.items():
        table = pd.DataFrame({"row": some, "band": "retrained", "metric": "retained", "value": 0.9})
        table = pd.concat([table, table.assign(metric="bits")])
        artefacts.make(
            folder.table(name),
            lambda new, x=table: x.to_csv(new, index=False),
            params={},
            modules=[],
        )
    found = claims.retained(folder)
    assert list(found.row) == ["source", "swin", "flux_corrected"]
    assert set(found.metric) == {"retained"}
    with pytest.raises(GaltoolsError, match="seed 0"):
        claims.retained(folder, 1)


def test_claims_name_chapters_that_leave_their_evidence():
    for name, claim in CLAIMS.items():
        text = (paths.NOTEBOOKS / f"{claim.chapter}.py").read_text()
        assert f'claims.evidence("{name}"' in text and f'"{claim.chapter}"' in text
        assert claim.margin > 0 and np.isfinite(claim.margin)


def normal(mean, scatter, shape=N, seed=0):
    return np.random.default_rng(seed).normal(mean, scatter, shape)


def structure(model, control):
    """Resampling has 30 dB, a repeat observation 40."""
    ends = [normal(mean, 1, seed=k) for k, mean in enumerate((30, 40))]
    psnr = {"model": normal(30 + 10 * model, 1, seed=2), "degraded": normal(30 + 10 * control, 1)}
    return {r: intervals.bootstrap(claims.progress, np.stack([x, *ends])) for r, x in psnr.items()}


def flux(model, control):
    errors = {"model": model, "resample": control}
    return {
        row: intervals.bootstrap(claims.within_five_per_cent, normal(bias, 0.02, (5, N)))
        for row, bias in errors.items()
    }


def statistics(model, control):
    """Distributions of unit scatter, shifted by so much."""
    truth = normal(0, 1)
    found = {
        row: intervals.bootstrap(
            intervals.scaled_wasserstein, np.stack([truth, truth + shift]), method="distance"
        )
        for row, shift in {"model": model, "resample": control}.items()
    }
    return {row: claims.below(0.5, e) for row, e in found.items()}


def excess(model, control):
    """A repeat observation scatters by 0.1; the third is of fewer galaxies."""
    errors = {"again": normal(0, 0.1), "model": normal(0, model, seed=1)}
    return claims.excess_scatter(errors | {"third": normal(0, control, 1500, seed=2)})


def carry(model, control):
    """All features hold 2 bits."""
    parts = {"peaks alone": model, "shape alone": control}
    return {
        row: intervals.bootstrap(intervals.mean, normal(bits, 1) - normal(2, 1, seed=1) / 2)
        for row, bits in parts.items()
    }


def core(model, control):
    pairs = {"model": model, "again": control}
    return claims.differences(
        {row: (normal(1 + bits, 1), normal(1, 1)) for row, bits in pairs.items()}
    )


def loss(model, control):
    """The source holds 2 bits, estimators scatter by 0.01 between seeds."""
    lost = {"model": model, "copy": control}
    return {
        row: redshift_evaluation.difference(normal(2, 1), normal(2 - bits, 1), 0.01)
        for row, bits in lost.items()
    }


def degrees(model, control):
    """Three models of which the last is better."""
    bits = {f"model {k}": normal(1, 0.3, seed=k) for k in range(3)}
    bits["model 2"] += model
    order, half = claims.rank_by_halves(bits, bits)
    copies = normal(2 + control, 0.3, N // 2), normal(2, 0.3, N // 2)
    pairs = {"best, worst": (half[order[-1]], half[order[0]]), "copy": copies}
    return {row: redshift_evaluation.difference(*pair, 0) for row, pair in pairs.items()}


def mapping(model, control):
    pairs = {"seed 0": model, "another run": control}
    return claims.differences({row: (normal(2 + b, 1), normal(2, 1)) for row, b in pairs.items()})


def useful(model, control):
    """Few labels give a scatter of 0.02, averaged over three subsets of them."""
    alone = normal(0, 0.02, (3, N))
    pairs = {"model": (alone, alone * model), "unchanged": (alone, alone * control)}
    return claims.differences(pairs, lambda x: intervals.robust_scatter(x).mean(axis=0))


WORLDS = {  # what is asked of a model: true, false; of the control: fails, passes; and if false
    "structure": (structure, 0.9, 0.2, 0.1, 0.9, "contradicted"),
    "flux": (flux, 0.01, 0.09, 0.08, 0.01, "contradicted"),
    "statistics": (statistics, 0.1, 0.9, 1.0, 0.1, "contradicted"),
    "details": (excess, 0.2, 0.05, 0.1, 0.2, "contradicted"),
    "peaks": (excess, 0.2, 0.05, 0.1, 0.2, "contradicted"),
    "carry": (carry, 1.6, 0.4, 0.2, 1.6, "contradicted"),
    "core": (core, 0.5, -0.5, 0.0, 0.5, "contradicted"),
    "loss": (loss, 0.5, 0.0, 0.0, 0.5, "no difference"),
    "degrees": (degrees, 0.5, 0.0, 0.0, 0.5, "no difference"),
    "mapping": (mapping, 0.5, -0.5, 0.0, 0.5, "contradicted"),
    "useful": (useful, 0.8, 1.2, 1.0, 0.8, "contradicted"),
}
ROWS = [(name, task) for name, claim in CLAIMS.items() for task in claim.tasks]


@pytest.mark.parametrize(("name", "task"), ROWS)
def test_every_row_can_come_out_true_false_or_with_a_control_that_passes(name, task):
    world, true, false, fails, passes, refuted = WORLDS[name]

    def judged(model, control):
        found = world(model, control)
        assert CLAIMS[name].fails in found and len(found) == 2
        lines = pd.DataFrame(claims.evidence(name, found)).assign(task=task)
        return claims.judge(lines).iloc[0]

    assert judged(true, fails).verdict == "supported"
    assert judged(false, fails).verdict == refuted
    spoiled = judged(true, passes)
    assert spoiled.passes and spoiled.verdict == "inconclusive"
    assert len(ROWS) == 15


def test_the_best_of_equal_models_is_no_better():
    """On the galaxies that chose them, best and worst of twenty differ by four standard errors."""
    apart = []
    for k in range(40):
        bits = {str(m): normal(1, 1, 200, seed=100 * k + m) for m in range(20)}
        order, half = claims.rank_by_halves(bits, bits)
        apart.append(half[order[-1]].mean() - half[order[0]].mean())
    error = np.sqrt(2 / 100 / 40)
    assert abs(np.mean(apart)) < 3.5 * error


def test_numbers_of_the_claims_on_pixels():
    """3 dB of 4 are a quarter over one half; errors of 2 and -4 per cent leave 2 of five."""
    psnr = np.array([[33.0, 33.0], [30.0, 30.0], [34.0, 34.0]])
    assert claims.progress(psnr) == pytest.approx(0.25)
    assert claims.within_five_per_cent(np.array([[0.02], [-0.04]])) == pytest.approx(2)
