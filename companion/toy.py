"""A many-to-many mapping in two dimensions whose law is known, and four ways to learn it.

    y | x  ~  p(x) N(f(x), s^2) + (1 - p(x)) N(-f(x), s^2),    x ~ U(-1, 1),

with f = 1 + x / 2 and p = f / 2. Inputs and answers have no unit; arrays have shape (n,), draws
(m, n).
"""

from pathlib import Path

import h5py
import numpy as np
import torch
from scipy.special import ndtr
from torch import nn

from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.training import adamw

WIDTH = 0.15  # s, of each of the two branches
STRIDES = 20  # of the midpoint rule that carries noise to answers
RARE = 3  # answers farther than this many s from both branches hardly ever happen
BATCH, RATE, START = 1024, 2e-2, 0.1  # pairs a step; highest learning rate; share of its rise
HIDDEN = 48  # numbers in each of two hidden layers
POINTS = ("L2", "L1")  # those that know one answer only
LEARNERS = (*POINTS, "GAN", "flow")


def branch(x):
    """Centre f(x) of the upper branch; the lower one is its mirror image."""
    return 1 + x / 2


def upper(x):
    """Probability p(x) of the upper branch."""
    return branch(x) / 2


def pairs(n: int, seed) -> tuple[np.ndarray, np.ndarray]:
    """Draw n inputs and an answer to each."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return x, sample_exact(x, rng)


def sample_exact(x, rng) -> np.ndarray:
    """One answer for every x, by a numpy generator or its seed."""
    rng = np.random.default_rng(rng)
    sign = np.where(rng.random(x.shape) < upper(x), 1, -1)
    return sign * branch(x) + WIDTH * rng.standard_normal(x.shape)


def density(y, x):
    """Exact p(y | x)."""

    def bell(centre):
        return np.exp(-(((y - centre) / WIDTH) ** 2) / 2) / (WIDTH * np.sqrt(2 * np.pi))

    return upper(x) * bell(branch(x)) + (1 - upper(x)) * bell(-branch(x))


def mean(x):
    """Exact E[y | x] = (2p - 1) f, which the squared error seeks."""
    return (2 * upper(x) - 1) * branch(x)


def median(x):
    """Exact median of y | x, which the absolute error seeks, by bisection of the distribution."""
    low, high = np.full_like(x, -3), np.full_like(x, 3)
    for _ in range(60):  # halvings
        y = (low + high) / 2
        below = upper(x) * ndtr((y - branch(x)) / WIDTH)
        below = below + (1 - upper(x)) * ndtr((y + branch(x)) / WIDTH)
        low, high = np.where(below < 0.5, y, low), np.where(below < 0.5, high, y)
    return (low + high) / 2


def is_outlier(y, x):
    """Tell which answers are farther than `RARE` s from both branches: 0.27 % of the law's own."""
    return np.abs(np.abs(y) - branch(x)) > RARE * WIDTH


def exact_velocity(y, t, x):
    """Exact E[y_1 - e | (1 - t) e + t y_1 = y, x] of the flow from noise e to the law.

    On the branch of centre c, y has variance v = (1 - t)^2 + t^2 s^2, and the expectation is
    c + (t s^2 - (1 - t)) (y - t c) / v; branches count by how likely they are at y.
    """
    variance = (1 - t) ** 2 + (t * WIDTH) ** 2
    total, weights = 0, 0
    for share, centre in ((upper(x), branch(x)), (1 - upper(x), -branch(x))):
        weight = share * np.exp(-((y - t * centre) ** 2) / (2 * variance))
        speed = centre + (t * WIDTH**2 - (1 - t)) / variance * (y - t * centre)
        total, weights = total + weight * speed, weights + weight
    return total / weights


def integrate_flow(speed, y, x) -> np.ndarray:
    """Carry noise y along speed(y, t, x), from t = 0 to 1, by the midpoint rule."""
    h = 1 / STRIDES
    for k in range(STRIDES):
        t = np.full_like(x, k * h)
        half = y + h / 2 * speed(y, t, x)
        y = y + h * speed(half, t + h / 2, x)
    return y


def network(inputs: int) -> nn.Sequential:
    """Two hidden layers."""
    layers = [nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 1))


def batches(steps: int, seed: int):
    """Fresh pairs for every step, (BATCH, 1) each."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(steps):
        yield (torch.tensor(v[:, None], dtype=torch.float32) for v in pairs(BATCH, rng))


def minimise(net, loss, steps: int, seed: int) -> nn.Module:
    """Lower loss(net, x, y), at a learning rate that rises, then falls to nothing.

    At a constant rate the last steps leave a sampler's shares somewhat wrong, which a test of
    calibration notices. The number of steps and their size matter at least as much as the fall.
    """
    losses = (loss(net, x, y) for x, y in batches(steps, seed))
    adamw.descend(net, losses, RATE, steps, START)
    return net


def train_learner(name: str, steps: int, seed: int = 0):
    """Train one of `LEARNERS`; gives a function (x, m) to m answers for each x, (m, n)."""
    torch.manual_seed(seed)
    if name in POINTS:
        error = nn.functional.l1_loss if name == "L1" else nn.functional.mse_loss
        net = minimise(network(1), lambda net, x, y: error(net(x), y), steps, seed)
        return lambda x, m: apply(net, x)[None].repeat(m, axis=0)
    if name == "GAN":
        net = adversarial(steps, seed)
        return lambda x, m: apply(net, *repeat_inputs(x, m, seed)).reshape(m, -1)
    net = minimise(network(3), flow_loss, steps, seed)

    def sample(x, m):
        many, noise = repeat_inputs(x, m, seed)
        return integrate_flow(lambda *columns: apply(net, *columns), noise, many).reshape(m, -1)

    return sample


def flow_loss(net, x, y):
    """Squared error of the velocity y - e at a time in each of as many slices as there are pairs.

    The mean of y - e at a place is `velocity`; its scatter there stays, however good the network.
    """
    noise = torch.randn_like(y)
    t = (torch.arange(len(y))[:, None] + torch.rand_like(y)) / len(y)
    predicted = net(torch.cat([(1 - t) * noise + t * y, t, x], 1))
    return nn.functional.mse_loss(predicted, y - noise)


def adversarial(steps: int, seed: int) -> nn.Module:
    """Learn y = G(x, noise) against D(x, y), both with the non-saturating loss."""
    maker, judge = network(2), network(2)
    make, catch = (
        adamw.AdamW(net.parameters(), RATE / 20, betas=(0.5, 0.9), fused=True)
        for net in (maker, judge)
    )
    loss = nn.functional.softplus
    for x, y in batches(steps, seed):
        fake = maker(torch.cat([x, torch.randn_like(x)], 1))
        real, made = judge(torch.cat([x, y], 1)), judge(torch.cat([x, fake.detach()], 1))
        catch.lower(loss(-real).mean() + loss(made).mean())
        make.lower(loss(-judge(torch.cat([x, fake], 1))).mean())
    return maker


def repeat_inputs(x, m: int, seed: int):
    """Every input m times, and fresh noise for each."""
    return np.tile(x, m), np.random.default_rng([seed, 2]).standard_normal(m * len(x))


def apply(net, *columns) -> np.ndarray:
    """Apply a network to columns (n,)."""
    with torch.no_grad():
        return net(torch.tensor(np.stack(columns, 1), dtype=torch.float32)).numpy()[:, 0]


def write_samples(path: Path, steps: int, seeds, x, m: int) -> None:
    """Train every learner with every seed, and write m answers to each x, beside exact draws."""
    with h5py.File(path, "w") as file:
        for k in seeds:
            file[f"exact/{k}"] = sample_exact(np.tile(x, (m, 1)), [k, 3])
            for name in LEARNERS:
                file[f"{name}/{k}"] = train_learner(name, steps, k)(x, m)


def samples_cached(path: Path, steps: int, seeds, x, m: int, seed: int) -> dict:
    """Answers {(learner or "exact", seed): (m, n)}, made once; one answer of L1 and L2, (1, n)."""
    if m < 2:
        raise GaltoolsError(f"{m} draw of a law is no better than any answer: draw two at least")
    artefacts.make(
        path,
        lambda new: write_samples(new, steps, seeds, x, m),
        params={"steps": steps, "seeds": list(seeds), "x": artefacts.digest(x), "m": m},
        modules=["companion.toy"],
        seed=seed,
    )
    with h5py.File(path) as file:
        read = {(name, int(k)): file[name][k][:] for name in file for k in file[name]}
    return {(name, k): y[:1] if name in POINTS else y for (name, k), y in read.items()}
