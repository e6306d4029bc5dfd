"""The table of a translator's chapter says what `the validation` says, with honest intervals."""

import numpy as np
import pandas as pd
import pytest
import torch
from astropy.table import Table
from blobs import make_pairs

from companion import diffusion_checks, study
from galtools.data import Pairs
from galtools.data.stretch import Normalization, Stretch
from galtools.fidelity import intervals
from galtools.training import train

LINEAR = Stretch("linear", (1.0,) * 5, (1.0,) * 5)


class Network(torch.nn.Module):
    """Stands for a trained one: only its scaling is asked for."""

    scaling = Normalization(LINEAR, LINEAR, 16, 1.0)


def a_study(task="cross", n=40, error=0.1, draws=1, again=True):
    rng = np.random.default_rng(1)
    light = rng.uniform(2, 4, (n, 5, 1, 1)).astype(np.float32)
    noise = np.full((n, 2, 5), 0.5, np.float32)
    target = light + rng.normal(0, 0.1, (n, 5, 16, 16)).astype(np.float32)
    source = target if task == "intra" else target + np.float32(1)
    pairs = make_pairs(source, target, np.full(n, 0.1), Table({"id": range(n)}), noise)
    shape = (n, draws, 5, 16, 16)
    drawn = target[:, None] + np.float32(error) * rng.standard_normal(shape, np.float32)
    seen = target + np.float32(0.3) * rng.standard_normal(target.shape, np.float32)
    names = ("residual", task, Network(), pd.DataFrame(), 1.0)
    return study.Study(*names, pairs, drawn, seen if again else None)


def test_estimates_are_the_numbers_of_the_judge():
    case = a_study()
    found = study.error_estimates(case.translated, case.pairs)
    known = train.validation_metrics(case.translated, case.pairs.target, case.pairs.noise[:, 1])
    assert found["chi"].value == pytest.approx(known["chi"])
    assert found["bias"].value == pytest.approx(100 * known["bias"])
    assert found["scatter"].value == pytest.approx(100 * known["scatter"], rel=1e-5)
    assert found["chi"].value == pytest.approx(0.1 / 0.5, rel=0.01)  # error over noise
    assert found["typical"].value == pytest.approx(0.2, rel=0.02)
    assert all(one.low <= one.value <= one.high for one in found.values())


def test_a_perfect_copy_and_a_known_shift():
    case = a_study(error=0)
    perfect = study.error_estimates(case.translated, case.pairs)
    assert {name: one.value for name, one in perfect.items()} == dict.fromkeys(perfect, 0.0)
    brighter = study.error_estimates(1.02 * case.pairs.target, case.pairs)
    assert brighter["bias"].value == pytest.approx(2, rel=1e-4)
    assert brighter["scatter"].value == pytest.approx(0, abs=1e-4)


def test_bad_pixels_never_differ():
    case = a_study()
    broken = case.translated.copy()
    broken[:, :, 3, 4] = 1e6
    mask = np.zeros(case.pairs.target.shape, np.uint8)
    mask[:, :, 3, 4] = 1
    case.pairs.target_set.mask = mask
    assert study.error_estimates(broken, case.pairs)["chi"].value < 0.25


def test_one_band_has_no_colour():
    case = a_study()
    sets = case.pairs.source_set.in_bands("r"), case.pairs.target_set.in_bands("r")
    one = Pairs(*sets, case.pairs.redshift, case.pairs.catalogue)
    found = study.error_estimates(case.translated[:, 2:3], one)
    assert list(found) == ["chi", "typical", "bias", "scatter"]
    assert all(np.isfinite(estimate.value) for estimate in found.values())


@pytest.mark.parametrize("task", ["cross", "intra"])
def test_table_names_what_can_be_beaten(task, monkeypatch):
    monkeypatch.setattr(study, "psf_matched", lambda case: case.floor)
    case = a_study(task)
    table = study.error_table(case)
    assert ("Resampling" in table.index) == (task == "cross")
    assert list(table.columns) == list(study.HEADINGS.values())
    quoted = study.quoted_numbers(case)
    assert quoted["residual_test"] == "supported"
    beaten = 2 if task == "cross" else 0.6  # an offset of 1, or an error of 0.3, over 0.5
    gained = beaten - quoted["residual_chi"]
    assert float(quoted["residual_margin"].split()[0]) == pytest.approx(gained, abs=0.01)
    assert (quoted["residual_yardstick"] == "resampling") == (task == "cross")


def test_who_loses_fails_and_few_galaxies_decide_nothing(monkeypatch):
    monkeypatch.setattr(study, "psf_matched", lambda case: case.floor)
    assert study.quoted_numbers(a_study(error=3.0))["residual_test"] == "contradicted"
    assert (
        study.quoted_numbers(a_study(n=intervals.MIN_GALAXIES - 1))["residual_test"]
        == "inconclusive"
    )
    real = study.quoted_numbers(a_study("intra", again=False))
    assert real["residual_test"] == "inconclusive"
    assert real["residual_margin"] == "–"


def test_draws_are_judged_by_their_mean(monkeypatch):
    monkeypatch.setattr(study, "psf_matched", lambda case: case.floor)
    case = a_study(draws=4)
    one, mean = (case.errors[row]["chi"].value for row in ("Residual CNN", "Mean of samples"))
    assert mean == pytest.approx(one / 2, rel=0.02)
    told = study.quoted_numbers(case)
    assert told["residual_chi_best"] == pytest.approx(mean)
    assert told["residual_guess"] == "the mean of its samples"


def test_one_draw_is_no_mean_and_has_no_spread(monkeypatch):
    monkeypatch.setattr(study, "psf_matched", lambda case: case.floor)
    case = a_study(draws=1)
    assert study.quoted_numbers(case)["residual_guess"] == "a single sample"
    assert np.isnan(diffusion_checks.spread_ratio(case.samples, case.pairs.target, 8)).all()


def test_noise_ratio_of_corners():
    truth = np.random.default_rng(0).normal(size=(50, 2, 24, 24))
    assert study.noise_ratio(3 * truth, truth) == pytest.approx(3)
