"""A mixture density network: p(z | photometry) as a mixture of normal distributions in ln(1 + z).

It learns by the likelihood of the true redshifts. For galaxies like those of its training set it
approaches the posterior as that set grows: no other density has a higher expected log score.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

COMPONENTS = 4  # of the mixture
HIDDEN = 64
BATCH = 512
RATE = 0.01  # highest learning rate


class MixtureDensityNetwork:
    """A network trained on features (n, k) and redshifts (n,) in so many steps."""

    def __init__(self, table: np.ndarray, z: np.ndarray, steps: int, seed: int = 0):
        """Standardise and train."""
        self.mean, self.sigma = table.mean(axis=0), table.std(axis=0) + 1e-9
        truth = np.log1p(z)
        self.centre, self.scale = float(truth.mean()), float(truth.std())
        x, y = self._scaled(table), torch.from_numpy((truth - self.centre) / self.scale).float()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                nn.Linear(x.shape[1], HIDDEN), nn.SiLU(),
                nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
                nn.Linear(HIDDEN, 3 * COMPONENTS),
            )  # fmt: skip
            self._train(x, y, steps)

    def _train(self, x, y, steps: int) -> None:
        batches = (torch.randint(len(y), (BATCH,)) for _ in range(steps))
        losses = (-self._mixture(x[rows]).log_prob(y[rows]).mean() for rows in batches)
        minimize(self.network, losses, RATE, steps, clip=1.0, weight_decay=1e-3)

    def _scaled(self, table) -> torch.Tensor:
        return torch.from_numpy((table - self.mean) / self.sigma).float()

    def _mixture(self, x) -> MixtureSameFamily:
        logits, mean, log_sigma = self.network(x).chunk(3, dim=1)
        components = Normal(mean, log_sigma.exp(), validate_args=False)
        return MixtureSameFamily(Categorical(logits=logits), components, validate_args=False)

    @torch.no_grad()
    def density(self, table, edges) -> np.ndarray:
        """Probability (n, bins) between `edges` of redshift, sum one."""
        at = torch.from_numpy((np.log1p(edges) - self.centre) / self.scale)[:, None]
        cumulative = self._mixture(self._scaled(table)).cdf(at).T.numpy()
        mass = np.maximum(np.diff(cumulative, axis=1), 0) + 1e-9
        return mass / mass.sum(axis=1, keepdims=True)


def minimize(
    network: nn.Module, losses: Iterable, rate: float, steps: int, *,
    warmup: float = 0.3, clip: float = 0.0, weight_decay: float = 0.0,
) -> None:  # fmt: skip
    """Minimise a stream of losses of a small network, one per step, on the one-cycle schedule.

    `rate` is the highest learning rate, reached after the fraction `warmup` of the steps (Smith &
    Topin 2018).
    """
    optimizer = AdamW(network.parameters(), rate, weight_decay=weight_decay, fused=True)
    schedule = OneCycleLR(optimizer, rate, max(steps, 4), pct_start=warmup)
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        schedule.step()
