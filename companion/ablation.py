"""What the parts and the choices of a translator's recipe bring, and what a network costs."""

import json
import time
from collections.abc import Callable
from copy import deepcopy

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from companion import paths, study
from galtools import models
from galtools.models.base import autocast, count_parameters
from galtools.training import translate

CROP, BATCH, REPEATS = 32, 16, 3  # of the networks whose speed is measured


def ablations(result: study.Study, changes: dict[str, Callable]) -> pd.DataFrame:
    """Errors on the test galaxies when a part of the trained network is switched off.

    ``changes[name](network)`` changes a copy of it, in place.
    """
    rows = {"as trained": next(iter(result.errors.values()))}
    for name, change in changes.items():
        network = deepcopy(result.network)
        with torch.no_grad():
            change(network)
        images = translate.translate(network, result.pairs.source)
        rows[name] = study.error_estimates(images, result.pairs)
    return study.tabulate(rows)


def recipe_table(model: str) -> pd.DataFrame:
    """Kept trainings of `benchmarks/bench_recipes.py`: one choice of a recipe changed at a time."""
    kept = json.loads((paths.REFERENCE / "recipes.json").read_text())
    rows = pd.DataFrame(kept["rows"]).query("model == @model").set_index("variant")
    shown = {name: heading for name, heading in study.HEADINGS.items() if name in rows}
    return rows[list(shown)].rename(columns=shown).rename_axis(None).round(2)


def network_cost(model: str, profile: str) -> dict[str, float]:
    """Parameters, arithmetic of a forward pass, and crops a second in training, measured now."""
    network = models.build(model, "cross", profile)
    x = torch.randn(BATCH, 5, CROP, CROP).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    seconds = []
    for _ in range(REPEATS + 1):  # the first one warms up
        start = time.perf_counter()
        with autocast("cpu"):
            loss = network(x).square().mean()
        torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
        seconds.append(time.perf_counter() - start)
    return {
        "parameters": count_parameters(network),
        "MFLOP a crop": counter.get_total_flops() / 1e6 / BATCH,
        "crops/s in training": BATCH / min(seconds[1:]),
    }
