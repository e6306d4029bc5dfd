"""AdamW as torch does it, without the class around it.

To make a `torch.optim.AdamW` imports torch's compiler: two seconds of every process that trains,
for a hook that nothing here uses. The function within that class needs no such import, and gives
the same bits.
"""

import math

import torch
from torch import nn
from torch.optim.adamw import adamw

EPSILON = 1e-8  # of the denominator, as in torch
BETAS = (0.9, 0.999)  # memory of the mean slope and of its square, per step


class AdamW:
    """Adam with a weight decay of its own (Loshchilov & Hutter 2019).

    `rate` and `betas` may be changed between two steps. `state` maps the number of a parameter to
    its running means, and is all that a training needs to go on from.
    """

    def __init__(self, parameters, rate: float, decay: float = 0.0, betas=BETAS, fused=False):
        """Move `parameters`; `fused` is faster for small networks, and rounds otherwise."""
        self.parameters, self.rate, self.decay = list(parameters), rate, decay
        self.betas, self.fused, self.state = betas, fused, {}

    def _state_of(self, number: int) -> dict[str, torch.Tensor]:
        if number not in self.state:
            parameter = self.parameters[number]
            means = {m: torch.zeros_like(parameter) for m in ("exp_avg", "exp_avg_sq")}
            place = parameter.device if self.fused else "cpu"  # where torch wants the counter
            self.state[number] = {"step": torch.zeros((), device=place), **means}
        return self.state[number]

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        numbers = [k for k, p in enumerate(self.parameters) if p.grad is not None]
        moved, states = [self.parameters[k] for k in numbers], map(self._state_of, numbers)
        columns = zip(*[(s["exp_avg"], s["exp_avg_sq"], s["step"]) for s in states], strict=True)
        means, squares, steps = map(list, columns)
        adamw(
            moved, [p.grad for p in moved], means, squares, [], steps, fused=self.fused or None,
            amsgrad=False, maximize=False, beta1=self.betas[0], beta2=self.betas[1],
            lr=self.rate, weight_decay=self.decay, eps=EPSILON,
        )  # fmt: skip

    def lower(self, loss: torch.Tensor, clip: float = 0.0) -> None:
        """Take one step down a loss, the norm of its gradient cut at `clip` if that is given."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if clip:
            nn.utils.clip_grad_norm_(self.parameters, clip)
        self.step()


def one_cycle(step: int, steps: int, start: float) -> tuple[float, float]:
    """Share of the highest rate and memory of the mean gradient in a step (Smith & Topin 2018).

    Half a cosine up from 1/25 during a share `start` of the steps, and one down to nearly nothing;
    the memory goes from 0.95 to 0.85 and back.
    """
    top = start * steps - 1
    if step <= top:
        low, share = 1 / 25, step / top if top else 1.0
    else:
        low, share = 1 / 25e4, 1 - (step - top) / (steps - 1 - top)
    height = (1 - math.cos(math.pi * share)) / 2
    return low + (1 - low) * height, 0.95 - 0.1 * height


def descend(network, losses, rate: float, steps: int, start=0.3, clip=0.0, decay=0.0) -> None:
    """Lower a stream of losses of a small network, one a step, along `one_cycle`."""
    mover = AdamW(network.parameters(), rate, decay, fused=True)
    for step, loss in enumerate(losses):
        share, memory = one_cycle(step, max(steps, 4), start)
        mover.rate, mover.betas = share * rate, (memory, BETAS[1])
        mover.lower(loss, clip)
