"""An estimator that learns the density of the redshift from what is measured of simulated galaxies.

A small network gives the weights, centres and widths of a few normal laws in ln(1 + z), and learns
by the likelihood of the true redshifts. Asked about galaxies like those it has learnt from, more
and more of them bring it to the posterior itself: no other density has a higher expected log score.
"""

import numpy as np
import torch
from torch import nn

from galtools.training.loop import minimize

COMPONENTS = 4  # normal laws in a density
HIDDEN = 64
BATCH = 512
RATE = 0.01  # highest learning rate


class MixtureDensityNetwork:
    """Learn p(z | numbers), then give it in bins of redshift."""

    def __init__(self, table: np.ndarray, z: np.ndarray, steps: int, seed: int = 0):
        """Learn from numbers (n, k) and redshifts (n,) in so many steps."""
        self.centre, self.spread = table.mean(axis=0), table.std(axis=0) + 1e-9
        truth = np.log1p(z)
        self.middle, self.reach = float(truth.mean()), float(truth.std())
        x, y = self._scaled(table), torch.from_numpy((truth - self.middle) / self.reach).float()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                nn.Linear(x.shape[1], HIDDEN), nn.SiLU(),
                nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
                nn.Linear(HIDDEN, 3 * COMPONENTS),
            )  # fmt: skip
            self._learn(x, y, steps)

    def _learn(self, x, y, steps: int) -> None:
        batches = (torch.randint(len(y), (BATCH,)) for _ in range(steps))
        losses = (-self._log_density(x[rows], y[rows]).mean() for rows in batches)
        minimize(self.network, losses, RATE, steps, clip=1.0, weight_decay=1e-3)

    def _scaled(self, table) -> torch.Tensor:
        return torch.from_numpy((table - self.centre) / self.spread).float()

    def _log_density(self, x, y) -> torch.Tensor:
        """Logarithm of the density, up to a constant."""
        share, centre, log_width = self.network(x).chunk(3, dim=1)
        pull = (y[:, None] - centre) * torch.exp(-log_width)
        return torch.logsumexp(share.log_softmax(1) - log_width - 0.5 * pull.square(), 1)

    @torch.no_grad()
    def density(self, table, edges) -> np.ndarray:
        """Probability (n, bins) between `edges` of redshift, sum one."""
        share, centre, log_width = self.network(self._scaled(table)).double().chunk(3, dim=1)
        at = torch.from_numpy((np.log1p(edges) - self.middle) / self.reach)
        below = torch.special.ndtr((at - centre[..., None]) * torch.exp(-log_width[..., None]))
        steps = (share.softmax(1)[..., None] * below).sum(1).numpy()
        mass = np.maximum(np.diff(steps, axis=1), 0) + 1e-9
        return mass / mass.sum(axis=1, keepdims=True)
