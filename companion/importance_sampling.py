"""What data say about latent numbers: exactly by importance sampling, locally by a normal law.

The data of galaxy i are normal about what its latents x and its type t predict,

    ln p(x, t | data) = ln p(x, t) - 1/2 (m - y)' P (m - y) + const,   m - y = residual(x, t, i).

Near a mode the curvature is J'PJ plus that of the prior (the Fisher information, and what was known
before): the *local* posterior. Draws from a mixture of Student's t about several modes, weighted by
p / q, are the *exact* one, up to their number. The effective number (sum w)^2 / sum w^2 and the
Pareto index of the largest weights (Vehtari et al. 2024) tell whether to believe them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

TAILS = 5.0  # degrees of freedom of the proposals
WIDER = 1.15  # than the local posterior are the proposals
FEWEST, HEAVIEST = 50, 0.7  # effective draws and Pareto index at which an answer is refused
FLOOR = 0.02  # added to the share of the draws that a mode gets
SHARES = (0.3, 0.5, 0.2)  # of the draws: about single draws, about their mean, about the modes
KINDS = 3  # of galaxies
ROUNDS = 12  # steps uphill
MISSED = 3.0  # times the posterior's width, where what no draw has met is looked for
KERNEL = 0.6  # of Silverman's width: what smooths draws into a density


@dataclass
class Target:
    """The posterior of n galaxies whose latents are looked for all at once."""

    residual: object  # (x (m, d), type (m,), galaxy (m,)) -> (m, D)
    precision: torch.Tensor  # (types, n, D, D): P
    prior: object  # with log_prior, prior_terms and keep_inside

    def __post_init__(self):
        """Prepare the normalisation of the normal laws."""
        half = self.precision.shape[-1] / 2 * math.log(2 * math.pi)
        self.log_norm = 0.5 * torch.linalg.slogdet(self.precision)[1] - half

    def log_density(self, x, kind, galaxy):
        """ln p(x, t) p(data | x, t), (m,)."""
        off = self.residual(x, kind, galaxy)
        distance = torch.einsum("md,mde,me->m", off, self.precision[kind, galaxy], off)
        return self.prior.log_prior(x, kind) - 0.5 * distance + self.log_norm[kind, galaxy]

    def terms(self, x, kind, galaxy):
        """Gradient (m, d) of the log density, and J'PJ plus the prior's curvature (m, d, d)."""
        at = x.detach().requires_grad_()
        off = self.residual(at, kind, galaxy)
        rows = [torch.autograd.grad(one.sum(), at, retain_graph=True)[0] for one in off.unbind(1)]
        jacobian, off = torch.stack(rows, dim=1), off.detach()
        weighted = self.precision[kind, galaxy] @ jacobian
        gradient, curvature = self.prior.prior_terms(x, kind)
        gradient = gradient - torch.einsum("mdk,md->mk", weighted, off)
        return gradient, curvature + jacobian.mT @ weighted


def find_modes(target: Target, x, kind, galaxy):
    """Modes (m, d) uphill of x by damped Gauss-Newton steps, and the inverse curvature there."""
    damping = torch.full((len(x), 1), 1e-2, dtype=x.dtype)
    height = target.log_density(x, kind, galaxy)
    for _ in range(ROUNDS):
        gradient, curvature = target.terms(x, kind, galaxy)
        diagonal = torch.diagonal(curvature, dim1=1, dim2=2)
        damped = curvature + torch.diag_embed(damping * diagonal)
        there = target.prior.keep_inside(x + torch.linalg.solve(damped, gradient))
        found = target.log_density(there, kind, galaxy)
        better = found > height
        x, height = torch.where(better[:, None], there, x), torch.where(better, found, height)
        damping = torch.where(better[:, None], damping / 6, damping * 6).clamp(1e-4, 1e4)
    curvature = target.terms(x, kind, galaxy)[1]
    return x, height, torch.linalg.inv(curvature)


@dataclass
class WeightedSamples:
    """Weighted draws: x (n, s, d), types (n, s), and ln p / q (n, s)."""

    x: torch.Tensor
    kind: torch.Tensor
    log_weight: torch.Tensor

    @property
    def weight(self) -> torch.Tensor:
        """Weights that sum to one."""
        return self.log_weight.softmax(dim=1)

    @property
    def log_evidence(self) -> torch.Tensor:
        """ln p(data), (n,)."""
        return torch.logsumexp(self.log_weight, 1) - math.log(self.log_weight.shape[1])

    @property
    def effective(self) -> torch.Tensor:
        """Effective number of draws, (n,)."""
        return 1 / self.weight.square().sum(dim=1)

    @property
    def good(self) -> np.ndarray:
        """Galaxies whose draws can be believed."""
        index = pareto_index(self.log_weight.numpy())
        return (self.effective.numpy() > FEWEST) & (index < HEAVIEST)


def _distances(x, centre, inverse):
    """Squared lengths (s, k) of x (s, d) - centre (k, d) in units of widths, by their inverse."""
    k, d = centre.shape
    scaled = inverse.flatten(0, 1) @ x.mT - (inverse @ centre[..., None]).flatten()[:, None]
    return scaled.square_().view(k, d, -1).sum(1).mT


def _student(x, centre, lower):
    """ln t(x) (n, s, k) about centres (n, k, d) with Cholesky factors (n, k, d, d) of the width."""
    d = x.shape[-1]
    inverse = torch.linalg.solve_triangular(lower, torch.eye(d).to(lower), upper=False)
    # galaxy by galaxy: to get as much memory as all need takes longer than to compute
    distance = torch.stack([_distances(*one) for one in zip(x, centre, inverse, strict=True)])
    volume = torch.diagonal(lower, dim1=-2, dim2=-1).log().sum(-1)[:, None]
    norm = math.lgamma((TAILS + d) / 2) - math.lgamma(TAILS / 2) - d / 2 * math.log(TAILS * math.pi)
    return norm - volume - (TAILS + d) / 2 * torch.log1p(distance / TAILS)


@dataclass
class Mixture:
    """Student's t about centres (n, k, d), as wide as covariances, of a type (n, k) each."""

    centre: torch.Tensor
    width: torch.Tensor  # (n, k, d, d)
    kind: torch.Tensor
    share: torch.Tensor  # (n, k), sum one

    def draw(self, target: Target, draws: int, seed: int = 0) -> WeightedSamples:
        """Draw from the mixture, weighted for the target."""
        n, k, d = self.centre.shape
        generator, dtype = torch.Generator().manual_seed(seed), self.centre.dtype
        lower = torch.linalg.cholesky(WIDER**2 * self.width)
        which = torch.multinomial(self.share, draws, replacement=True, generator=generator)
        rows = torch.arange(n)[:, None]
        normal = torch.randn(n, draws, d, generator=generator, dtype=dtype)
        chi = torch.randn(n, draws, int(TAILS), generator=generator, dtype=dtype).square().sum(-1)
        step = torch.zeros_like(normal)
        for j in range(k):  # one after the other: no copy of its width for every draw
            step += torch.where((which == j)[..., None], normal @ lower[:, j].mT, 0)
        x = self.centre[rows, which] + step * (TAILS / chi).sqrt()[..., None]
        kind = self.kind[rows, which]
        q = _student(x, self.centre, lower) + self.share.log()[:, None]
        q = torch.where(self.kind[:, None] == kind[..., None], q, -torch.inf).logsumexp(2)
        galaxy = rows.expand(n, draws).flatten()
        p = target.log_density(x.flatten(0, 1), kind.flatten(), galaxy).unflatten(0, (n, draws))
        return WeightedSamples(x, kind, torch.nan_to_num(p - q, nan=-torch.inf))


def mixture_at_modes(target: Target, start, kind) -> Mixture:
    """Climb from starts (n, k, d): as many modes, each with the share of its local posterior."""
    n, k, _ = start.shape
    galaxy = torch.arange(n)[:, None].expand(n, k).flatten()
    found = find_modes(
        target, target.prior.keep_inside(start.flatten(0, 1)), kind.flatten(), galaxy
    )
    x, height, width = (value.unflatten(0, (n, k)) for value in found)
    share = (height + 0.5 * torch.linalg.slogdet(width)[1]).softmax(1) + FLOOR
    return Mixture(x, width, kind, share / share.sum(1, keepdim=True))


def tempered_weights(log_weight, enough: int):
    """Weights (n, s) raised to the power under which `enough` draws have some: sum one."""
    powers = torch.tensor([1.0, 0.7, 0.5, 0.35, 0.25, 0.15], dtype=log_weight.dtype)
    weight = (powers[:, None, None] * log_weight).softmax(2)
    reached = 1 / weight.square().sum(2) >= enough
    reached[-1] = True
    return weight[reached.int().argmax(0), torch.arange(len(log_weight))]


def moment_matched(draws: WeightedSamples, weight, fallback):
    """Mean and covariance of the draws of each type: a mixture with one member a type.

    Where few draws count, the covariance leans on `fallback` (n, d, d).
    """
    parts = []
    for kind in range(KINDS):
        own = weight * (draws.kind == kind)
        share = own.sum(1)
        own = own / share.clamp_min(1e-12)[:, None]
        mean = torch.einsum("ns,nsk->nk", own, draws.x)
        away = draws.x - mean[:, None]
        spread = torch.einsum("ns,nsk,nsl->nkl", own, away, away)
        trust = 1 / (1 + mean.shape[1] * own.square().sum(1))[:, None, None]
        few = (share < 1e-3)[:, None]
        spread = torch.where(few[..., None], fallback, trust * spread + (1 - trust) * fallback)
        mean = torch.where(few, draws.x[:, 0], mean)
        parts.append((mean, spread, torch.full(share.shape, kind), share))
    mean, spread, kind, share = (torch.stack(part, dim=1) for part in zip(*parts, strict=True))
    return Mixture(mean, spread, kind, (share + FLOOR) / (share + FLOOR).sum(1, keepdim=True))


def refined_mixture(
    target: Target, old: Mixture, draws: WeightedSamples, points: int, seed: int = 0
) -> Mixture:
    """Mixture about the mean of the draws and about some of them, taken by their weights.

    The old one keeps a part of the draws, so that nothing that was found is forgotten.
    """
    weight = tempered_weights(draws.log_weight, points)
    rows = torch.arange(len(weight))[:, None]
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(weight, points, True, generator=generator)
    x, kind = draws.x[rows, chosen], draws.kind[rows, chosen]
    galaxy = rows.expand_as(kind).flatten()
    width = torch.linalg.inv(target.terms(x.flatten(0, 1), kind.flatten(), galaxy)[1])
    near = Mixture(
        x, width.unflatten(0, kind.shape), kind, torch.full(kind.shape, 1 / points, dtype=x.dtype)
    )
    best = old.share.argmax(1)
    whole = moment_matched(draws, weight, old.width[rows[:, 0], best])
    members = list(zip(SHARES, (near, whole, old), strict=True))
    columns = [[m.centre, m.width, m.kind, part * m.share] for part, m in members]
    return Mixture(*(torch.cat(column, dim=1) for column in zip(*columns, strict=True)))


def sample_posterior(target: Target, start, kind, draws: int, points: int = 24, seed: int = 0):
    """Draws from the posterior, and the modes: two rounds find where it lies, the third counts."""
    modes = mixture_at_modes(target, start, kind)
    mixture = modes
    for round_ in range(2):
        found = mixture.draw(target, max(draws // 2, 2 * points), 10 * seed + round_)
        mixture = refined_mixture(target, modes, found, points, 10 * seed + round_)
    return mixture.draw(target, draws, 10 * seed + 2), modes


def laplace_approximation(modes: Mixture):
    """Mean and standard deviation (n,) of the first latent about the mode that holds most."""
    rows, best = torch.arange(len(modes.share)), modes.share.argmax(1)
    return modes.centre[rows, best, 0], modes.width[rows, best, 0, 0].sqrt()


def pareto_index(log_weight: np.ndarray) -> np.ndarray:
    """Index k of a generalised Pareto law fitted to the largest weights (n, s): (n,).

    By the nearly Bayesian estimate of Zhang and Stephens (2009); above 0.7 means do not exist in
    practice.
    """
    weight = np.sort(np.exp(log_weight - log_weight.max(axis=1, keepdims=True)), axis=1)
    tail = int(min(0.2 * weight.shape[1], 3 * np.sqrt(weight.shape[1])))
    x = np.maximum(weight[:, -tail:] - weight[:, -tail - 1, None], 1e-300)
    m = 30 + int(np.sqrt(tail))
    b = 1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))
    b = b / (3 * x[:, [int(tail / 4 + 0.5) - 1]]) + 1 / x[:, -1:]
    k = np.log1p(-b[..., None] * x[:, None]).mean(axis=2)
    likelihood = tail * (np.log(-b / k) - k - 1)
    share = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    best = (b * share).sum(axis=1) / share.sum(axis=1)
    k = np.log1p(-best[:, None] * x).mean(axis=1)
    return (tail * k + 5) / (tail + 10)


def binned_density(draws: WeightedSamples, edges) -> np.ndarray:
    """Probability (n, bins) of the first latent between `edges`, sum one within them.

    Draws are smoothed by a normal law, some of Silverman's 1.06 sigma n^(-1/5) wide. As n effective
    draws cannot know of what has a share below 1 / n, so much goes to a normal law `MISSED` times
    as wide as the posterior.
    """
    z, weight = draws.x[..., 0], draws.weight
    mean, scatter = posterior_moments(draws)
    unknown = 1 / (1 + draws.effective)
    width = KERNEL * 1.06 * scatter * draws.effective.clamp_min(1) ** -0.2 + 1e-9
    steps = []
    for edge in torch.as_tensor(edges, dtype=z.dtype):
        known = (weight * torch.special.ndtr((edge - z) / width[:, None])).sum(1)
        wide = torch.special.ndtr((edge - mean) / (MISSED * scatter))
        steps.append((1 - unknown) * known + unknown * wide)
    mass = np.diff(torch.stack(steps, 1).numpy(), axis=1)
    return np.maximum(mass, 0) / np.maximum(mass.sum(axis=1, keepdims=True), 1e-300)


def posterior_moments(draws: WeightedSamples):
    """Mean and standard deviation (n,) of the first latent."""
    z, weight = draws.x[..., 0], draws.weight
    mean = (weight * z).sum(1)
    return mean, (weight * (z - mean[:, None]).square()).sum(1).clamp_min(1e-18).sqrt()
