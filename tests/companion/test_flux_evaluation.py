"""What translations retain and what that costs, where the answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from blobs import blobs

from companion import flux_evaluation
from galtools import redshift
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

RNG = np.random.default_rng(0)


def test_scatter_and_share_of_scaled_errors():
    dz = RNG.normal(size=200)
    ratio = flux_evaluation.ratio(flux_evaluation.scatter_ratio, 1.2 * dz, dz, 50)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.2, 1.2, 1.2))
    share = flux_evaluation.ratio(intervals.ratio_of_means, 0.9 * dz**2, dz**2, 50)
    assert (share.value, share.low, share.high) == pytest.approx((0.9, 0.9, 0.9))


def test_side_effects_of_a_known_change():
    """A tenth more light in a circle that was right, and residuals twice as large."""
    pairs = blobs(n=20, size=32)
    noise = RNG.normal(0, 0.01, pairs.target.shape).astype(np.float32)
    plain = pairs.target + noise
    same = flux_evaluation.side_effects(pairs, plain, plain, 20)
    assert [same[name].value for name in ("chi", "flux", "blur")] == [1, 0, 0]
    assert flux_evaluation.side_effects(pairs, plain, pairs.target + 2 * noise, 20)[
        "chi"
    ].value == (pytest.approx(2, rel=1e-4))
    brighter = flux_evaluation.side_effects(pairs, pairs.target, 1.1 * pairs.target, 20)
    assert brighter["flux"].value == pytest.approx(0.1, rel=1e-3)
    assert np.isnan(brighter["chi"].value)  # against a perfect image nothing can be told


def test_side_effects_are_those_in_the_r_band_and_the_blur_is_in_arcsec():
    """Gaussians that grow by 1 pixel^2 in variance have an extra FWHM of 2.355 pixels."""
    side, pixel = np.arange(64) - 31.5, 0.3
    square = side**2 + side[:, None] ** 2

    def see(*variances):
        return np.stack([100 * np.exp(-square / 2 / s) / (2 * np.pi * s) for s in variances])

    widths = np.linspace(9, 11, 8)
    pairs = blobs(n=8, size=64)
    pairs.target_set.pixel_scale = pixel
    pairs.target_set.images = np.repeat(see(*widths)[:, None], 5, axis=1)
    corrected, plain = pairs.target.copy(), pairs.target.copy()
    corrected[:, 2], plain[:, [0, 1, 3, 4]] = see(*(widths + 1)), 7.0
    found = flux_evaluation.side_effects(pairs, plain, corrected, 20)
    assert found["blur"].value == pytest.approx(2.355 * pixel, rel=0.02)
    turned = flux_evaluation.side_effects(pairs, corrected, plain, 20)
    assert turned["blur"].value == pytest.approx(-found["blur"].value)
    inside = np.hypot(side, side[:, None]) * pixel < 3
    less = 1 - (see(*(widths + 1))[:, inside].sum(1) / see(*widths)[:, inside].sum(1))
    assert found["flux"].value == pytest.approx(np.median(less), rel=0.05)  # parts of pixels count


@pytest.fixture
def evaluation():
    """Three galaxies, four bins of redshift, of which the prior knows nothing."""
    pairs = blobs(n=3)
    pairs.redshift = np.float32([0.05, 0.05, 0.3])
    pairs.target_set.noise[:, 2] = 0.1, 0.2, 0.4
    frozen = SimpleNamespace(grid=redshift.Grid(4, 0.4))
    return flux_evaluation.RedshiftEvaluation(pairs, np.full(4, 0.25), frozen, {}, 20, 0)


def test_an_estimator_that_is_sure_half_sure_and_mistaken(evaluation):
    """Of four bins the right one tells two bits, one of two bins one; 0.15 for 0.3 is 0.15/1.3."""
    rows = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0]]
    sure = SimpleNamespace(
        grid=evaluation.frozen.grid, predict=lambda images: np.array(rows, float)
    )
    evaluation.source.update(bits=np.arange(3), dz=np.arange(3) / 10)
    found = evaluation.measure(None, sure)
    assert list(found["bits"][:2]) == [2, 1] and found["bits"][2] < -15
    assert found["dz"] == pytest.approx([0, 0.05 / 1.05, -0.15 / 1.3], abs=1e-6)
    assert found["source_bits"] is evaluation.source["bits"]
    assert found["source_dz"] is evaluation.source["dz"]
    evaluation.frozen.predict = sure.predict
    np.testing.assert_array_equal(
        evaluation.measure(None)["bits"], found["bits"]
    )  # by the frozen one


def against(source_bits, dz, share, ratio):
    """What `measure` finds where a share of the bits is left and errors are larger."""
    mine = {"bits": share * source_bits, "dz": ratio * dz}
    return mine | {"source_bits": source_bits, "source_dz": dz}


def test_goals_are_those_that_the_page_states(evaluation):
    bits, dz = RNG.uniform(1, 3, 60), RNG.normal(size=60)
    found = {"frozen": against(bits, dz, 0.5, 1.16), "retrained": against(bits, dz, 0.96, 1.0)}
    low = {"retrained": against(bits, dz, 0.94, 1.0), "frozen": against(bits, dz, 0.99, 1.14)}
    price = {
        "chi": intervals.Estimate(1.04, 1.03, 1.049, 60),
        "flux": intervals.Estimate(0.007, 0.0051, 0.009, 60),
        "blur": intervals.Estimate(0.04, 0.03, 0.051, 60),
    }
    said = {x["claim"]: x["verdict"] for x in evaluation.verdicts(found, price, 3)}
    assert said == {
        "retains 95 %, retrained": "supported",
        "frozen σ at most 1.15 times the source's": "contradicted",
        "residual no worse than the network's": "supported",
        "bias of the flux no worse than the network's": "contradicted",
        "blur no worse than the network's": "inconclusive",
    }
    dear = {"chi": intervals.Estimate(1.06, 1.051, 1.07, 60)}
    lines = evaluation.verdicts(low, dear, 3)
    assert [x["verdict"] for x in lines] == ["contradicted", "supported", "contradicted"]
    assert {x["seed"] for x in lines} == {3}


def test_scores_are_laid_out_for_readers_and_for_machines(evaluation):
    bits, dz = RNG.uniform(1, 3, 60), RNG.normal(size=60)
    found = {"swin": against(bits, dz, 0.5, 1.25), "flux_corrected": against(bits, dz, 0.75, 1.0)}
    sheet = evaluation.sheet(found)
    assert list(sheet["share retained"]) == ["0.500 (0.500, 0.500)", "0.750 (0.750, 0.750)"]
    assert list(sheet["σ / source's σ"]) == ["1.25 (1.25, 1.25)", "1.00 (1.00, 1.00)"]
    assert list(sheet.index) == ["swin", "flux_corrected"]
    table = evaluation.tidy({("frozen", row): judged for row, judged in found.items()})
    keyed = table.set_index(["row", "band", "metric"]).value
    assert keyed["swin", "frozen", "ratio"] == pytest.approx(1.25)
    assert keyed["flux_corrected", "frozen", "retained"] == pytest.approx(0.75)
    assert len(table) == 4 and (table.n == 60).all()


def test_others_are_held_against_the_source_and_have_to_be_there(tmp_path):
    lines = [("swin", "retained", 0.8), ("swin", "sigma_mad", 0.3), ("srgan", "retained", 0.7)]
    table = pd.DataFrame(lines, columns=["row", "metric", "value"]).assign(low=0.0, high=1.0)
    table.to_csv(tmp_path / "redshift.csv", index=False)
    dz = np.array([-0.1, 0.0, 0.1])
    evaluation, sigma = SimpleNamespace(source={"dz": dz}), intervals.robust_scatter(dz)
    found = flux_evaluation.RedshiftEvaluation.others(
        evaluation, tmp_path / "redshift.csv", ["swin"]
    )
    assert list(found.metric) == ["retained", "ratio"]
    assert list(found.value) == pytest.approx([0.8, 0.3 / sigma])
    with pytest.raises(GaltoolsError, match="has no capsule: run its chapter with capsule, too"):
        flux_evaluation.RedshiftEvaluation.others(
            evaluation, tmp_path / "redshift.csv", ["swin", "capsule"]
        )
