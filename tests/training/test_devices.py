"""Ready for a GPU that no test has: sizes, copies to the device, waits for it, memory."""

from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from blobs import blobs
from torch.overrides import TorchFunctionMode

from galtools import models
from galtools.data.stretch import Normalization, Stretch
from galtools.models import base
from galtools.models.base import Batch, sample_images
from galtools.training import loop
from galtools.training.crops import Crops, normalization_of
from galtools.training.loop import READ_STEPS, Settings

PAPER = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "workflow" / "paper.yaml").read_text()
)
WAITS = {"item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy", "nonzero"}
COPIES = {"tensor", "new_tensor", "as_tensor", "from_numpy"}


class Calls(TorchFunctionMode):
    """Counts what makes the host wait for a device, and what it copies there."""

    def __init__(self):
        super().__init__()
        self.waits, self.copies = Counter(), Counter()

    def __torch_function__(self, function, types, arguments=(), options=None):
        name = getattr(function, "__name__", "")
        self.waits[name] += name in WAITS
        self.copies[name] += name in COPIES
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("name", models.names())
def test_a_step_neither_waits_for_the_device_nor_copies_constants_there(name):
    """Losses are read once in READ_STEPS steps; all else stays where it is."""
    torch.manual_seed(0)
    pairs = blobs()
    network = models.build(name, "cross", "tiny")
    network.scaling = normalization_of(pairs)
    crops = Crops(pairs, network.scaling, 2, 8)
    trainer = loop.Trainer(network, Settings(steps=4 * READ_STEPS, batch=2, crop=8), "cpu")
    # torch's AdamW keeps the number of its steps on the CPU, and reads it there
    trainer.optimizers = {
        key: torch.optim.SGD(group.parameters, 0.0) for key, group in trainer.groups.items()
    }
    for _ in range(2 * READ_STEPS):  # constants go there once, and every group has begun
        trainer.training_step(crops)
    with Calls() as calls:
        for _ in range(READ_STEPS):
            trainer.training_step(crops)
    assert +calls.waits == {"tolist": 1}
    assert not +calls.copies


@pytest.mark.parametrize("name", models.names())
def test_every_model_trains_at_the_size_of_paper_on_a_device_without_numbers(name):
    """Losses, gradients, a step of the optimizer and a sample, on torch's meta device."""
    if name == "flux_corrected":
        pytest.skip("the regression of fluxes is fitted to numbers")
    runs = (values for run, values in PAPER.items() if run.endswith(f"_{name}"))
    values = next(runs, PAPER["11_residual"])
    with torch.device("meta"):
        network = models.build(name, "cross", "paper")
    plain = Stretch("linear", (1.0,) * 5, (1.0,) * 5)
    network.scaling = Normalization(plain, plain, 136, 396 / 187)
    x = torch.zeros(values["batch"], 5, values["crop"], values["crop"], device="meta")
    batch = Batch(x, x, plain.inverse, plain.forward, 0.9, None)
    for group in network.optimizer_groups().values():
        optimizer = torch.optim.AdamW(group.parameters, foreach=True)
        losses = group.losses(batch)
        sum(losses.values()).backward()
        optimizer.step()
        assert all(loss.shape == () and loss.dtype == torch.float32 for loss in losses.values())
    with torch.no_grad():
        stamp = torch.zeros(2, 5, 136, 136, device="meta")
        assert network.sampler(stamp)(stamp).shape == stamp.shape


@pytest.mark.parametrize("count", [40, 200])
def test_images_are_translated_a_few_at_a_time(count, monkeypatch):
    """A network never sees more than a chunk, however many images there are."""
    network, seen = models.build("residual", "cross", "tiny"), []
    pairs = blobs(n=count)
    network.scaling = normalization_of(pairs)
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    parts = [len(part) for part in sample_images(network, network.scaling, pairs.source)]
    assert max(seen) == base.CHUNK["cpu"] and sum(seen) == sum(parts) == count
