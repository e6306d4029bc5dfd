"""Power laws of training: limits that are known, and one that no data can tell."""

import sys
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from companion import paths, scaling, scaling_report
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity.intervals import Estimate, Z

sys.path.insert(0, str(paths.ROOT / "benchmarks"))

Images = namedtuple("Images", "recipe task model galaxies compute seed")
COMPUTE, GALAXIES, SEED = (
    x.ravel() for x in np.meshgrid([1, 4, 16], [750, 3000, 10_000], [0, 1], indexing="ij")
)
LIMIT = 0.1
KNOWN = LIMIT, 0.2, 0.6, 0.05, 0.5


def trained(parameters, seed=0, n=200):
    """Errors (trainings, n) of galaxies that differ by themselves, by training and by both."""
    rng = np.random.default_rng(seed)
    true = scaling.power_laws(parameters, COMPUTE, GALAXIES / scaling.GALAXIES)
    own, training = rng.normal(0, 0.03, n), rng.normal(0, 0.001, (len(true), 1))
    return true[:, None] + own + training + rng.normal(0, 0.01, (len(true), n))


def fit(values, metric="loss", n_boot=40, chosen=slice(None)):
    quantity = scaling.QUANTITIES[metric]
    return scaling.fit(values[chosen], quantity, COMPUTE[chosen], GALAXIES[chosen], n_boot)


def test_exact_power_laws_are_found_again():
    true = scaling.power_laws(KNOWN, COMPUTE, GALAXIES / scaling.GALAXIES)
    found = fit(np.repeat(true[:, None], 5, axis=1))
    assert found.parameters == pytest.approx(KNOWN, rel=1e-3)
    assert found.residual < 1e-6
    assert found.limit.value == pytest.approx(LIMIT, rel=1e-3)


def test_the_interval_of_a_limit_holds_it():
    found = [fit(trained(KNOWN, seed)).limit for seed in range(6)]
    assert sum(one.low <= LIMIT <= one.high for one in found) >= 5
    assert all(one.high - one.low < 0.1 for one in found)


def test_a_limit_that_the_data_do_not_bound_is_no_number():
    """An error that falls by equal steps whenever the training takes four times as long."""
    error = 1 - 0.05 * np.log2(COMPUTE)
    values = error[:, None] + np.random.default_rng(0).normal(0, 0.003, (len(error), 100))
    found = fit(values)
    assert not found.identified
    assert np.isnan(found.limit.value)
    assert found.limit.low == -np.inf
    assert found.limit.high < error.min() + 0.01


def test_quantities_that_grow_have_their_limit_above():
    found = fit(-trained(KNOWN), "psnr").limit
    turned = scaling.own_units(found, "psnr")
    assert turned.low <= -LIMIT <= turned.high
    assert scaling.own_units(found, "loss") == found


@pytest.mark.parametrize("chosen", [COMPUTE < 16, GALAXIES > 750], ids=["times", "sizes"])
def test_two_lengths_of_training_or_two_sizes_have_no_limit(chosen):
    with pytest.raises(GaltoolsError, match="three"):
        fit(trained(KNOWN), chosen=chosen)


def measured(models, columns=("loss", "psnr")):
    """Tables of galaxies of all trainings of models {name: parameters}."""
    found = {}
    for model, parameters in models.items():
        values = trained(parameters)
        for k, grid in enumerate(zip(GALAXIES, COMPUTE, SEED, strict=True)):
            key = Images("chapter", "cross", model, *map(int, grid))
            found[key] = pd.DataFrame({c: values[k] * (1 - 2 * (c == "psnr")) for c in columns})
    return found


@pytest.fixture(scope="module")
def tables():
    values = measured({"good": KNOWN, "bad": (0.2, *KNOWN[1:])})
    about = {one: {**one._asdict(), "steps": 10 * one.compute} for one in values}
    return scaling.summarise(values, about), scaling.fit_all(values)


def test_models_differ_in_the_signs_of_their_residuals(tables):
    """Trainings that leave the same residuals have limits whose errors add nevertheless."""
    fits = tables[1].assign(width=lambda x: x.high - x.low)
    limit, apart = (fits[(fits.metric == "loss") & (fits.against == name)] for name in ("", "bad"))
    assert apart.width.item() > 0.7 * limit.width.min()


def test_a_missing_galaxy_costs_no_fit():
    values = trained(KNOWN)
    values[3, 5] = np.nan
    for metric in ("loss", "box_scatter"):
        assert np.isfinite(scaling.QUANTITIES[metric].statistic(values)).all()
    assert fit(values).limit.value == pytest.approx(LIMIT, abs=0.02)
    values[3] = np.nan
    with pytest.warns(RuntimeWarning), pytest.raises(GaltoolsError, match="measured"):
        fit(values)


def pairs(*chances):
    """Differences of PSNR of 1 whose intervals exclude zero at these levels."""
    reach = [Z / norm.isf(chance / 2) for chance in chances]
    names = {"task": "cross", "model": "swin", "against": "srgan", "metric": "psnr"}
    return pd.DataFrame(names | {"value": 1.0, "low": 1 - np.array(reach), "high": 1.1, "n": 9})


def test_orders_are_corrected_for_their_number():
    """By Holm: 3 x 0.01, 2 x 0.02 and then at least that; one of 0.04 alone holds."""
    found = scaling_report.orders(pairs(0.02, 0.01, 0.03))
    assert found.chance.tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert set(found.verdict) == {"larger"}
    assert scaling_report.orders(pairs(0.04)).verdict.item() == "larger"
    assert set(scaling_report.orders(pairs(0.04, 0.03)).verdict) == {"inconclusive"}


def test_an_order_is_that_of_the_limits(tables):
    order = scaling_report.orders(tables[1]).set_index("metric")
    assert order.value["loss"] == pytest.approx(-0.1, abs=0.02)
    assert order.verdict.to_dict() == {"loss": "smaller", "psnr": "larger"}


def test_an_open_limit_has_no_difference_and_says_which_end_is_known():
    known = scaling.Fit(Estimate(0.1, 0.05, 0.12, 9), None, 0.0, np.array([0.1]))
    opened = scaling.Fit(Estimate(np.nan, -np.inf, 0.3, 9), None, 0.0, np.array([0.1]))
    assert np.isnan(scaling.difference(known, opened).value)
    lines = [
        scaling._line("cross", "swin", "", metric, opened.limit) for metric in ("loss", "psnr")
    ]
    cells = scaling_report.limit_cells(pd.DataFrame(lines)).loc["cross", "swin"]
    assert cells.to_dict() == {"loss": "open: below 0.3", "psnr": "open: above -0.3"}


def test_gains_are_positive_where_training_helps(tables):
    gain = scaling_report.training_gains(tables[0]).loc["good"]
    first, last = (scaling.power_laws(KNOWN, c, 1.0) for c in (1, 16))
    assert gain["loss"] == pytest.approx(100 * (first - last) / first, rel=0.05)
    assert gain["psnr"] == pytest.approx(first - last, rel=0.05)


def test_the_sentences_of_complete_tables(tables):
    table, fits = (each.replace({"good": "swin", "bad": "srgan"}) for each in tables)
    scatter = table[table.metric == "loss"].assign(metric="box_scatter")
    table.loc[table.metric == "psnr", "value"] *= 100  # over the scatter between seeds
    again = {"recipe": "none", "task": "cross", "model": "again", "metric": "psnr", "value": -50}
    table = pd.concat([table, scatter, pd.DataFrame([again])])
    about = {"missing": {}, "done": 36, "planned": 36}
    said = scaling_report.sentences(table, fits, about)
    assert said["longest"] == "×16 steps"
    assert said["orders"] == "1 of 1 orders of translators in PSNR hold"
    assert said["limits"] == "4 of 4 are bounded by the trainings"
    assert said["undertrained"].startswith("2 of 2 translators gain")
    assert "(Swin)" in said["finding"]
    assert said["best"] == "Swin"


def test_the_sentences_of_the_kept_tables():
    table, fits = scaling_report.read_kept(), scaling_report.read_kept(scaling.FITS)
    about = artefacts.read_manifest(scaling.TABLE)["extra"]
    said = scaling_report.sentences(table, fits, about)
    assert all(isinstance(phrase, (str, int)) for phrase in said.values())
    assert float(said["optimal_gain"]) > 0
    assert ("not known" in said["undertrained"]) == scaling_report.training_gains(table).empty


def test_part_of_the_trainings_makes_a_table_too():
    first = {k: v for k, v in measured({"good": KNOWN}).items() if k.compute == 1}
    table = scaling.summarise(first, {one: one._asdict() for one in first})
    assert scaling_report.largest(table, "compute") == 1
    assert scaling_report.training_gains(table).empty
    fits = scaling.fit_all(first)
    assert (
        len(fits) == len(scaling_report.orders(fits)) == len(scaling_report.limit_cells(fits)) == 0
    )


def test_the_kept_tables_are_whole_and_belong_together():
    table, fits = scaling_report.read_kept(), scaling_report.read_kept(scaling.FITS)
    manifests = [artefacts.read_manifest(file) for file in (scaling.TABLE, scaling.FITS)]
    assert manifests[0]["inputs"] == manifests[1]["inputs"]
    sets = ["recipe", "task", "model", "galaxies", "compute", "seed"]
    assert len(table.drop_duplicates(sets)) == len(manifests[0]["inputs"])
    trained = table[table.recipe != "none"]
    grid = table[(table.recipe == "chapter") & (table.metric == "psnr")].groupby(["task", "model"])
    enough = (grid[["compute", "galaxies"]].nunique().min(axis=1) >= 3) & (grid.size() >= 6)
    assert {*zip(fits.task, fits.model, strict=True)} == {*enough.index[enough]}
    assert (trained[["steps", "flop", "seconds"]] > 0).all(axis=None)
    assert not table.duplicated([*sets, "metric"]).any()


def test_the_plan_has_every_training_once_and_means_before_their_diffusion_models():
    import scaling as benchmark

    planned = benchmark.plan()
    assert len(set(planned)) == len(planned)
    assert max(one.galaxies for one in planned if one.recipe == "chapter") == scaling.GALAXIES
    for k, one in enumerate(planned):
        if one.model == "diffusion":
            assert planned.index(benchmark.mean_of(one)) < k


def test_the_loss_of_an_image_is_zero_only_for_the_truth():
    import scaling as benchmark

    from galtools.data.stretch import Stretch

    stretch = Stretch("sqrt", (1.0,), (1.0,))
    target = np.random.default_rng(0).random((1, 16, 16), np.float32)
    assert benchmark.image_loss(stretch, target, target) == 0
    off = stretch.inverse(stretch.forward(torch.as_tensor(target)) + 0.25).numpy()
    assert benchmark.image_loss(stretch, off, target) > 0.25  # that of pixels, and that of blocks
