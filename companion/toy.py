"""A many-to-many mapping in two dimensions with a known distribution, and three ways to learn it.

    y | x  ~  p(x) N(f(x), s^2) + (1 - p(x)) N(-f(x), s^2),    x ~ U(-1, 1),

with f = 1 + x / 2 and p = f / 2. x and y have no unit; arrays have shape (n,), samples (m, n).
"""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from galtools import artefacts
from galtools.errors import GaltoolsError

WIDTH = 0.15  # s, standard deviation of each branch
INTEGRATION_STEPS = 20  # of the midpoint rule that integrates the flow
BATCH, RATE, WARMUP = 1024, 2e-2, 0.1  # pairs a step; peak learning rate; fraction of steps to it
HIDDEN = 48  # units in each of two hidden layers
LEARNERS = ("L2", "GAN", "flow")  # the first gives point predictions


def branch(x):
    """Centre f(x) of the upper branch; the lower one is its mirror image."""
    return 1 + x / 2


def upper(x):
    """Probability p(x) of the upper branch."""
    return branch(x) / 2


def pairs(n: int, seed) -> tuple[np.ndarray, np.ndarray]:
    """Sample n pairs (x, y), by a numpy generator or its seed."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return x, sample_exact(x, rng)


def sample_exact(x, rng) -> np.ndarray:
    """One sample of y | x for every x, by a numpy generator or its seed."""
    rng = np.random.default_rng(rng)
    sign = np.where(rng.random(x.shape) < upper(x), 1, -1)
    return sign * branch(x) + WIDTH * rng.standard_normal(x.shape)


def density(y, x):
    """Exact p(y | x)."""
    above, below = (norm.pdf(y, centre, WIDTH) for centre in (branch(x), -branch(x)))
    return upper(x) * above + (1 - upper(x)) * below


def mean(x):
    """Exact E[y | x] = (2p - 1) f, which minimises the squared error."""
    return (2 * upper(x) - 1) * branch(x)


def integrate_flow(velocity, y, x) -> np.ndarray:
    """Integrate dy/dt = velocity(y, t, x) from noise y at t = 0 to t = 1, by the midpoint rule."""
    h = 1 / INTEGRATION_STEPS
    for k in range(INTEGRATION_STEPS):
        t = np.full_like(x, k * h)
        half = y + h / 2 * velocity(y, t, x)
        y = y + h * velocity(half, t + h / 2, x)
    return y


def network(inputs: int) -> nn.Sequential:
    """Multilayer perceptron with two hidden layers."""
    layers = [nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 1))


def batches(steps: int, seed: int):
    """New pairs for every step, (BATCH, 1) each."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(steps):
        yield (torch.tensor(v[:, None], dtype=torch.float32) for v in pairs(BATCH, rng))


def train_learner(name: str, steps: int, seed: int = 0):
    """Train one of `LEARNERS`; return a function of (x, m) that gives m samples of y, (m, n).

    At a constant rate the probabilities of the branches keep fluctuating, and tests of calibration
    notice. The number of steps and the peak rate matter at least as much as the schedule.
    """
    torch.manual_seed(seed)
    net = network({"GAN": 2, "flow": 3}.get(name, 1))
    if name == "GAN":
        train_gan(net, steps, seed)
    else:
        loss = {"L2": lambda net, x, y: nn.functional.mse_loss(net(x), y), "flow": flow_loss}[name]
        optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0, fused=True)
        schedule = OneCycleLR(optimizer, RATE, max(steps, 4), pct_start=WARMUP)
        for x, y in batches(steps, seed):
            training_step(optimizer, loss(net, x, y))
            schedule.step()

    def sample(x, m):
        if name == "L2":
            return apply(net, x)[None].repeat(m, axis=0)
        noise = np.random.default_rng([seed, 2]).standard_normal(m * len(x))
        x = np.tile(x, m)
        flow = name == "flow"
        y = integrate_flow(partial(apply, net), noise, x) if flow else apply(net, x, noise)
        return y.reshape(m, -1)

    return sample


def flow_loss(net, x, y):
    """Flow-matching loss: mean squared error of the velocity y - e at times stratified in [0, 1].

    It is smallest for E[y - e | (1 - t) e + t y, t, x]; the scatter of y - e about that remains.
    """
    noise = torch.randn_like(y)
    t = (torch.arange(len(y))[:, None] + torch.rand_like(y)) / len(y)
    predicted = net(torch.cat([(1 - t) * noise + t * y, t, x], 1))
    return nn.functional.mse_loss(predicted, y - noise)


def train_gan(generator, steps: int, seed: int) -> None:
    """Train y = G(x, noise) against a discriminator D(x, y), with non-saturating losses."""
    discriminator, loss = network(2), nn.functional.softplus
    make, detect = (
        torch.optim.AdamW(net.parameters(), RATE / 20, (0.5, 0.9), weight_decay=0, fused=True)
        for net in (generator, discriminator)
    )
    for x, y in batches(steps, seed):
        made = generator(torch.cat([x, torch.randn_like(x)], 1))
        real, fake = (discriminator(torch.cat([x, z], 1)) for z in (y, made.detach()))
        training_step(detect, loss(-real).mean() + loss(fake).mean())
        training_step(make, loss(-discriminator(torch.cat([x, made], 1))).mean())


def training_step(optimizer, loss) -> None:
    """One step of an optimiser."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def apply(net, *columns) -> np.ndarray:
    """Output (n,) of a network for columns (n,)."""
    with torch.no_grad():
        return net(torch.tensor(np.stack(columns, 1), dtype=torch.float32)).numpy()[:, 0]


def samples_cached(path: Path, steps: int, seeds, x, m: int, seed: int) -> dict:
    """Samples {(learner or "exact", seed): (m, n)}, made once; (1, n) of point predictions."""
    if m < 2:
        raise GaltoolsError(f"{m} sample has no distribution: draw at least two")

    def compute():
        samples = {f"exact {k}": sample_exact(np.tile(x, (m, 1)), [k, 3]) for k in seeds}
        for name, k in product(LEARNERS, seeds):
            samples[f"{name} {k}"] = train_learner(name, steps, k)(x, 1 if name == "L2" else m)
        return samples

    params = {"steps": steps, "seeds": list(seeds), "x": artefacts.digest(x), "m": m}
    samples = artefacts.make_arrays(path, compute, params=params, seed=seed)
    split = {name: name.split() for name in samples}
    return {(learner, int(k)): samples[name] for name, (learner, k) in split.items()}
