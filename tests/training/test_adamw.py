"""The optimiser steps as torch's own class does, to the bit, and does not import the compiler."""

import sys

import pytest
import torch

from galtools.training import adamw, checkpoint


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU(), torch.nn.Linear(5, 1))


def losses(net, steps):
    """Losses whose gradients are large at first, each from the weights of its own step."""
    x = torch.linspace(-1, 1, 24).reshape(8, 3)
    for step in range(steps):
        yield (net(x) - 10 * torch.sin(x.sum(1, keepdim=True) + step)).square().mean()


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("start", "decay"), [(0.3, 1e-2), (0.1, 0.0)])
def test_a_descent_is_that_of_torch(fused, start, decay):
    ours, theirs = network(), network()
    mover = adamw.AdamW(ours.parameters(), 0.02, decay, fused=fused)
    optimiser = torch.optim.AdamW(theirs.parameters(), 0.02, weight_decay=decay, fused=fused)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, 20, pct_start=start)
    for step, (loss, other) in enumerate(zip(losses(ours, 20), losses(theirs, 20), strict=True)):
        share, memory = adamw.one_cycle(step, 20, start)
        group = optimiser.param_groups[0]
        assert (0.02 * share, memory) == pytest.approx((group["lr"], group["betas"][0]), abs=1e-12)
        mover.rate, mover.betas = group["lr"], group["betas"]
        mover.lower(loss, clip=1.0)
        optimiser.zero_grad()
        other.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()
        plan.step()
        assert same(ours, theirs), step


def test_a_parameter_without_a_gradient_rests_and_does_not_age():
    moved, resting = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    mover = adamw.AdamW([resting, moved], 0.1)
    moved.grad = torch.ones(2)
    mover.step()
    assert torch.equal(resting, torch.ones(2)) and list(mover.state) == [1]
    assert torch.allclose(moved, torch.full((2,), 0.9))  # the first step of Adam is the rate


def test_a_state_that_was_written_and_read_goes_on_alike():
    one, two = network(), network()
    first, second = (adamw.AdamW(net.parameters(), 0.01) for net in (one, two))
    for loss in losses(one, 3):
        first.lower(loss)
    two.load_state_dict(one.state_dict())
    written = checkpoint.flatten_optimiser("x", first.state)
    written = {name: value.clone() for name, value in written.items()}
    second.state = checkpoint.optimiser_state("x", written | {"network/0": torch.ones(1)}, "cpu")
    for net, mover in ((one, first), (two, second)):
        for loss in losses(net, 2):
            mover.lower(loss)
    assert same(one, two)


def test_a_descent_does_not_import_the_compiler(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # to import it is now an error
    net = network()
    next(losses(net, 1)).backward()
    with pytest.raises(ImportError):
        torch.optim.AdamW(net.parameters()).step()
    before = [p.detach().clone() for p in net.parameters()]
    adamw.descend(net, losses(net, 4), 0.1, 4, clip=1.0)
    assert not any(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
