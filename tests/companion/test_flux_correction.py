"""What chapter 36 measures, on galaxies and estimates whose answer is known."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from blobs import blobs

from companion import flux_correction
from galtools import models, redshift
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.training import train
from galtools.training.crops import normalization_of
from galtools.training.translate import translate

RNG = np.random.default_rng(0)


def test_scatter_and_share_of_scaled_errors():
    dz = RNG.normal(size=200)
    ratio = flux_correction.scatter_ratio(1.2 * dz, dz, 50)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.2, 1.2, 1.2))
    share = flux_correction.share(0.9 * dz**2, dz**2, 50)
    assert (share.value, share.low, share.high) == pytest.approx((0.9, 0.9, 0.9))


def test_the_price_of_a_known_change():
    """A tenth more light in a circle that was right, and residuals twice as large."""
    pairs = blobs(n=20, size=32)
    noise = RNG.normal(0, 0.01, pairs.target.shape).astype(np.float32)
    plain = pairs.target + noise
    same = flux_correction.side_effects(pairs, plain, plain, 0.4, 20)
    assert [same[name].value for name in ("chi", "flux", "blur")] == [1, 0, 0]
    assert flux_correction.side_effects(pairs, plain, pairs.target + 2 * noise, 0.4, 20)[
        "chi"
    ].value == (pytest.approx(2, rel=1e-4))
    brighter = flux_correction.side_effects(pairs, pairs.target, 1.1 * pairs.target, 0.4, 20)
    assert brighter["flux"].value == pytest.approx(0.1, rel=1e-3)
    assert np.isnan(brighter["chi"].value)  # against a perfect image nothing can be told


def test_the_price_is_that_of_the_r_band_and_of_a_blur_in_arcsec():
    """Gaussians that grow by 1 pixel^2 in variance have an extra FWHM of 2.355 pixels."""
    side, pixel = np.arange(64) - 31.5, 0.3
    square = side**2 + side[:, None] ** 2

    def see(*variances):
        return np.stack([100 * np.exp(-square / 2 / s) / (2 * np.pi * s) for s in variances])

    widths = np.linspace(9, 11, 8)
    pairs = blobs(n=8, size=64)
    pairs.target_set.images = np.repeat(see(*widths)[:, None], 5, axis=1)
    kept, plain = pairs.target.copy(), pairs.target.copy()
    kept[:, 2], plain[:, [0, 1, 3, 4]] = see(*(widths + 1)), 7.0
    found = flux_correction.side_effects(pairs, plain, kept, pixel, 20)
    assert found["blur"].value == pytest.approx(2.355 * pixel, rel=0.02)
    turned = flux_correction.side_effects(pairs, kept, plain, pixel, 20)
    assert turned["blur"].value == pytest.approx(-found["blur"].value)
    bench = SimpleNamespace(pairs=pairs, n_boot=20, seed=0)
    sdss = flux_correction.RedshiftEvaluation.price(
        bench, plain, kept
    )  # 64 pixels are those of SDSS
    assert sdss["blur"].value == pytest.approx(2.355 * 0.396, rel=0.02)
    inside = np.hypot(side, side[:, None]) * pixel < 3
    less = 1 - (see(*(widths + 1))[:, inside].sum(1) / see(*widths)[:, inside].sum(1))
    assert found["flux"].value == pytest.approx(np.median(less), rel=0.05)  # parts of pixels count


@pytest.fixture
def bench():
    """Three galaxies, four bins of redshift, of which the prior knows nothing."""
    pairs = blobs(n=3)
    pairs.redshift = np.float32([0.05, 0.05, 0.3])
    pairs.target_set.noise[:, 2] = 0.1, 0.2, 0.4
    start = SimpleNamespace(grid=redshift.Grid(4, 0.4))
    return flux_correction.RedshiftEvaluation(pairs, np.full(4, 0.25), start, {}, 20, 0)


def test_residuals_are_in_units_of_the_noise_of_the_r_band(bench):
    def off(by):
        images = bench.pairs.target + 9.0  # whatever the other bands do
        images[:, 2] = bench.pairs.target[:, 2] + by * bench.pairs.noise[:, 1, 2, None, None]
        return images

    times = np.array([1.0, -2.0, 3.0])[:, None, None]
    assert bench.residuals(off(times)) == pytest.approx([1, 4, 9], rel=1e-3)
    assert bench.residual_ratio(off(1.5 * times), off(times)).value == pytest.approx(1.5, rel=1e-3)


def test_an_estimator_that_is_sure_half_sure_and_mistaken(bench):
    """Of four bins the right one tells two bits, one of two bins one; 0.15 for 0.3 is 0.15/1.3."""
    rows = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0]]
    sure = SimpleNamespace(grid=bench.start.grid, predict=lambda images: np.array(rows, float))
    bench.source.update(bits=np.arange(3), dz=np.arange(3) / 10)
    found = bench.judge(None, sure)
    assert list(found["bits"][:2]) == [2, 1] and found["bits"][2] < -15
    assert found["dz"] == pytest.approx([0, 0.05 / 1.05, -0.15 / 1.3], abs=1e-6)
    assert found["source's bits"] is bench.source["bits"]
    assert found["source's dz"] is bench.source["dz"]
    bench.start.predict = sure.predict
    np.testing.assert_array_equal(bench.judge(None)["bits"], found["bits"])  # by the frozen one


def against(source_bits, dz, share, ratio):
    """What `judge` finds where a share of the bits is left and errors are larger."""
    mine = {"bits": share * source_bits, "dz": ratio * dz}
    return mine | {"source's bits": source_bits, "source's dz": dz}


def test_goals_are_those_that_the_page_states(bench):
    bits, dz = RNG.uniform(1, 3, 60), RNG.normal(size=60)
    found = {"frozen": against(bits, dz, 0.5, 1.16), "retrained": against(bits, dz, 0.96, 1.0)}
    low = {"retrained": against(bits, dz, 0.94, 1.0), "frozen": against(bits, dz, 0.99, 1.14)}
    price = {
        "chi": intervals.Estimate(1.04, 1.03, 1.049, 60),
        "flux": intervals.Estimate(0.007, 0.0051, 0.009, 60),
        "blur": intervals.Estimate(0.04, 0.03, 0.051, 60),
    }
    said = {x["claim"]: x["verdict"] for x in bench.verdicts(found, price, 3)}
    assert said == {
        "retains 95 %, retrained": "supported",
        "frozen σ at most 1.15 times the source's": "contradicted",
        "residual no worse than the network's": "supported",
        "bias of the flux no worse than the network's": "contradicted",
        "blur no worse than the network's": "inconclusive",
    }
    dear = {"chi": intervals.Estimate(1.06, 1.051, 1.07, 60)}
    lines = bench.verdicts(low, dear, 3)
    assert [x["verdict"] for x in lines] == ["contradicted", "supported", "contradicted"]
    assert {x["seed"] for x in lines} == {3}


def test_scores_are_laid_out_for_readers_and_for_machines(bench):
    bits, dz = RNG.uniform(1, 3, 60), RNG.normal(size=60)
    found = {"swin": against(bits, dz, 0.5, 1.25), "flux_corrected": against(bits, dz, 0.75, 1.0)}
    sheet = bench.sheet(found)
    assert list(sheet["share retained"]) == ["0.500 (0.500, 0.500)", "0.750 (0.750, 0.750)"]
    assert list(sheet["σ / source's σ"]) == ["1.25 (1.25, 1.25)", "1.00 (1.00, 1.00)"]
    assert list(sheet.index) == ["swin", "flux_corrected"]
    table = bench.tidy({("frozen", row): judged for row, judged in found.items()})
    keyed = table.set_index(["row", "band", "metric"]).value
    assert keyed["swin", "frozen", "ratio"] == pytest.approx(1.25)
    assert keyed["flux_corrected", "frozen", "retained"] == pytest.approx(0.75)
    assert len(table) == 4 and (table.n == 60).all()


def test_errors_of_colours_are_found_less_true():
    """u a tenth brighter, r a twentieth fainter, within the circle; beyond it lies nonsense."""
    pairs = blobs(n=5, size=32)
    pairs.target_set.images *= 100  # where asinh magnitudes are logarithms
    images = pairs.target * np.array([1.1, 1, 0.95, 1, 1])[:, None, None]
    images[:, :, :8] = -50
    error = flux_correction.colour_error(pairs, images, 0.2)
    assert error["u − g"] == pytest.approx(-2.5 * np.log10(1.1), abs=1e-3)
    assert error["g − r"] == pytest.approx(2.5 * np.log10(0.95), abs=1e-3)


def test_histograms_of_colours_show_every_galaxy():
    """Those beyond the axis stand in its last bins: here two on the left and three on the right."""
    pairs = blobs(n=5, size=32)
    pairs.target_set.images *= 100
    far = pairs.target.copy()
    far[:2, 1], far[2:, 1] = far[:2, 1] / 9, far[2:, 1] * 9
    fig = flux_correction.colour_errors(
        pairs, {"residual": far, "flux_corrected": pairs.target}, 0.2
    )
    for ax, low, high in zip(fig.axes, (2, 3), (3, 2), strict=True):  # u - g, g - r
        for outline, first, last in zip(ax.patches, (low, 0), (high, 0), strict=True):
            x, y = outline.get_xy().T
            assert np.trapezoid(y, x) / (x.max() - x.min()) * 40 == pytest.approx(5)
            assert (y[1], y[-2]) == (first, last)
            assert x.min() == -x.max()
    plt.close(fig)


def test_another_reader_reads_each_row_on_its_own():
    pairs = blobs(n=60, size=16)
    rows = {"truth": pairs.target[:20], "turned": pairs.target[19::-1]}
    found = flux_correction.boosting_densities(pairs, rows, 0.4)
    np.testing.assert_array_equal(found["turned"], found["truth"][::-1])
    assert np.corrcoef(found["truth"], pairs.redshift[:20])[0, 1] > 0.8


def test_shapes_of_a_copy_are_right_and_those_of_a_wider_image_larger():
    truth = blobs(n=10, size=32).target
    wider = blobs(n=10, size=32).source
    found = flux_correction.shape_table(
        {"truth": truth, "copy": truth, "wider": wider}, [0.01] * 5, 20
    )
    keyed = found.set_index(["row", "metric"]).value
    assert (keyed["copy"] == 0).all()
    assert keyed["wider", "size_bias"] > 0.1


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A flux correction around a network that copies its input, a tenth too faint."""
    pairs, path = (
        blobs(n=40, size=32),
        tmp_path_factory.mktemp("flux_corrected") / "weights.safetensors",
    )
    torch.manual_seed(0)
    network = models.build("flux_corrected", "cross", "tiny")
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    train.save_weights(path, network)
    return SimpleNamespace(path=path, pairs=pairs)


def test_others_are_held_against_the_source_and_have_to_be_there(tmp_path):
    lines = [("swin", "retained", 0.8), ("swin", "sigma_mad", 0.3), ("srgan", "retained", 0.7)]
    table = pd.DataFrame(lines, columns=["row", "metric", "value"]).assign(low=0.0, high=1.0)
    table.to_csv(tmp_path / "redshift.csv", index=False)
    dz = np.array([-0.1, 0.0, 0.1])
    bench, sigma = SimpleNamespace(source={"dz": dz}), intervals.robust_scatter(dz)
    found = flux_correction.RedshiftEvaluation.others(bench, tmp_path / "redshift.csv", ["swin"])
    assert list(found.metric) == ["retained", "ratio"]
    assert list(found.value) == pytest.approx([0.8, 0.3 / sigma])
    with pytest.raises(GaltoolsError, match="has no capsule: run its chapter with capsule, too"):
        flux_correction.RedshiftEvaluation.others(
            bench, tmp_path / "redshift.csv", ["swin", "capsule"]
        )


def test_the_rule_mends_what_others_drew(weights):
    pairs = weights.pairs
    put = flux_correction.apply_flux_correction(weights.path, pairs.source, 0.9 * pairs.target)
    before, after = (abs(np.median(x.sum((2, 3)) / pairs.target.sum((2, 3))) - 1)
                     for x in (0.9 * pairs.target, put))  # fmt: skip
    assert before == pytest.approx(0.1, rel=1e-3)
    assert after < 0.02


def test_a_flux_corrected_network_is_its_network_and_then_its_rule(weights):
    some = weights.pairs.source[:6]
    alone = translate(flux_correction.uncorrected(weights.path), some)
    whole = translate(weights.path, some)
    assert np.abs(whole / alone - 1).max() > 0.01
    np.testing.assert_allclose(
        flux_correction.apply_flux_correction(weights.path, some, alone), whole, rtol=1e-4
    )


def test_less_of_the_rule_mends_less(weights):
    pairs = weights.pairs
    plain = 0.9 * pairs.target
    changes = {
        "alone": {"rounds": 0},
        "one": {"circles": (0.2,)},
        "few": {"galaxies": 3},
        "all": {},
    }
    found = flux_correction.ablation(weights.path, pairs, pairs.source, plain, changes)
    assert np.array_equal(found["alone"], plain)
    assert np.allclose(
        found["all"], flux_correction.apply_flux_correction(weights.path, pairs.source, plain)
    )
    gain = found["one"][:, :, 16, 16] / plain[:, :, 16, 16]
    corner = found["one"][:, :, 2, 9] / plain[:, :, 2, 9]
    assert np.allclose(gain, corner, rtol=1e-4)  # one circle has one gain
    assert not np.allclose(found["few"], found["all"])
