"""Ablations change a copy, kept trainings are of today's recipes, costs are counted."""

import numpy as np
import pytest
import torch
from blobs import blobs

from companion import ablation, study
from galtools import models
from galtools.training import translate
from galtools.training.crops import normalization_of


def test_an_ablation_changes_a_copy_and_nothing_else():
    torch.manual_seed(0)
    pairs, network = blobs(n=12), models.build("residual", "cross", "tiny").eval()
    network.scaling = normalization_of(pairs)
    before = translate.translate(network, pairs.source)
    result = study.Study("residual", "intra", network, None, 1.0, pairs, before[:, None], None)
    table = ablation.ablations(
        result,
        {"nothing": lambda network: None, "no tail": lambda network: network.tail.bias.add_(1)},
    )
    assert list(table.index) == ["as trained", "nothing", "no tail"]
    assert table.loc["nothing"].equals(table.loc["as trained"])
    assert table.loc["no tail", "residual / σ"] != table.loc["nothing", "residual / σ"]
    assert np.array_equal(translate.translate(network, pairs.source), before)


@pytest.mark.parametrize("model", ["residual", "swin", "srgan", "capsule"])
def test_single_choices_were_tried(model):
    table = ablation.recipe_table(model)
    assert len(table) >= 2 and np.isfinite(table.to_numpy()).all()


def test_arithmetic_of_the_residual_network_is_that_of_its_convolutions():
    found = ablation.network_cost("residual", "tiny")
    per_place = 9 * (20 * 16 + 2 * 16 * 16 + 16 * 20) + 16 * 20  # width 16, one block, 2 x 2 packed
    assert found["MFLOP a crop"] == pytest.approx(2 * per_place * (ablation.CROP / 2) ** 2 / 1e6)
    assert found["crops/s in training"] > 0
