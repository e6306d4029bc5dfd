"""Redshifts from images: an estimator of the whole density p(z), its calibration, its judges.

The density is a histogram of `bins` equal bins on 0 <= z <= `z_max`. With F its cumulative
function and z the true redshift, the scores are

    dz = (z_est - z) / (1 + z),   bias = <dz>,   sigma_MAD = 1.4826 median |dz - median dz|,
    outliers = share of |dz| > limit,   CRPS = integral (F(z') - H(z' - z))^2 dz',   PIT = F(z).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from galtools import checkpoint, loop
from galtools.errors import GaltoolsError
from galtools.loop import Settings
from galtools.models.common import Player, ResidualBlock
from galtools.stretch import Stretch, fit

Z_MAX, BINS = 0.4, 180
OUTLIER = {"SDSS": 0.05, "CFHTLS": 0.15}  # |dz| beyond which an estimate is an outlier
TURNS = [(flip, turn) for flip in (False, True) for turn in range(4)]


@dataclass(frozen=True)
class Grid:
    """Equal bins of redshift."""

    bins: int = BINS
    z_max: float = Z_MAX

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, (bins + 1,)."""
        return np.linspace(0, self.z_max, self.bins + 1)

    @property
    def centres(self) -> np.ndarray:
        """Centres of the bins."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def number(self, z) -> np.ndarray:
        """Bin of each redshift; one outside the grid is refused."""
        z = np.asarray(z, np.float64)
        if not ((z >= 0) & (z < self.z_max)).all():
            raise GaltoolsError(f"redshifts must lie in 0 <= z < {self.z_max}: cut or widen z_max")
        return np.minimum((z / self.z_max * self.bins).astype(np.int64), self.bins - 1)


def cumulative(density: np.ndarray, z: np.ndarray, grid: Grid) -> np.ndarray:
    """Return F(z), linear within each bin, for densities (n, bins) of sum one."""
    steps = np.pad(np.cumsum(density, axis=1), ((0, 0), (1, 0)))
    place = np.clip(np.asarray(z, np.float64) / grid.z_max, 0, 1) * grid.bins
    low = np.minimum(place.astype(int), grid.bins - 1)
    rows = np.arange(len(density))
    return steps[rows, low] + (place - low) * density[rows, low]


def crps(density: np.ndarray, z: np.ndarray, grid: Grid) -> np.ndarray:
    """Continuous ranked probability score of each galaxy, exact for a density flat in each bin.

    Within a bin F is linear, and the integral of its square from a to b over a width w is
    w (a^2 + ab + b^2) / 3; the bin that holds z is cut in two.
    """

    def piece(a, b, width):
        return width * (a * a + a * b + b * b) / 3

    steps = np.pad(np.cumsum(density, axis=1), ((0, 0), (1, 0)))
    z = np.asarray(z, np.float64)[:, None]
    low, high, left, right = steps[:, :-1], steps[:, 1:], grid.edges[:-1], grid.edges[1:]
    split = np.clip(z, left, right)
    at_split = low + (high - low) * (split - left) / (right - left)
    below, above = piece(low, at_split, split - left), piece(1 - at_split, 1 - high, right - split)
    return (below + above).sum(axis=1)


def estimate(density: np.ndarray, grid: Grid, kind: str = "mean") -> np.ndarray:
    """Point estimate of each density: its mean, its median or its mode."""
    if kind == "mean":
        return density @ grid.centres
    if kind == "mode":
        return grid.centres[density.argmax(axis=1)]
    if kind != "median":
        raise GaltoolsError(f"unknown estimate {kind!r}: choose mean, median or mode")
    steps = np.pad(np.cumsum(density, axis=1), ((0, 0), (1, 0)))
    bins = (steps[:, 1:] < 0.5).sum(axis=1).clip(max=grid.bins - 1)
    rows = np.arange(len(density))
    share = (0.5 - steps[rows, bins]) / np.maximum(density[rows, bins], 1e-12)
    return grid.edges[bins] + np.clip(share, 0, 1) * grid.z_max / grid.bins


def scores(estimates, z, limit: float = 0.05) -> dict[str, float]:
    """Bias, sigma_MAD and share of outliers of point estimates."""
    dz = (np.asarray(estimates, np.float64) - z) / (1 + np.asarray(z, np.float64))
    return {
        "bias": float(dz.mean()),
        "sigma_mad": float(1.4826 * np.median(np.abs(dz - np.median(dz)))),
        "outliers": float(np.mean(np.abs(dz) > limit)),
    }


class RedshiftNetwork(nn.Module):
    """Convolutions on packed pixels, halved twice; mean and peak of the features; p(z).

    `extra` numbers per galaxy (say, the reddening E(B-V)) join before the last layers.
    """

    def __init__(self, bands=5, width=32, grid: Grid | None = None, extra=0, crps_weight=0.0):
        """Make the network; `crps_weight` adds the CRPS, in bins, to the cross-entropy."""
        super().__init__()
        self.grid, self.extra, self.crps_weight = grid or Grid(), extra, crps_weight
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * bands, width, 3, padding=1),
            ResidualBlock(width),
            nn.Conv2d(width, 2 * width, 2, stride=2),
            ResidualBlock(2 * width),
            nn.Conv2d(2 * width, 2 * width, 2, stride=2),
            ResidualBlock(2 * width),
            nn.GELU(),
        )
        self.head = nn.Sequential(
            nn.Linear(4 * width + extra, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, self.grid.bins),
        )

    def forward(self, x: torch.Tensor, extra: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (n, bins) of stretched images (n, bands, H, W)."""
        h = self.features(x)
        pooled = [h.mean(dim=(2, 3)), h.amax(dim=(2, 3))]
        if self.extra:
            pooled.append(extra)
        return self.head(torch.cat(pooled, dim=1))

    def players(self) -> dict[str, Player]:
        """One player that lowers cross-entropy, and CRPS if asked for."""
        return {"estimator": Player(list(self.parameters()), self.losses)}

    def losses(self, batch) -> dict[str, torch.Tensor]:
        """Cross-entropy of the true bin; CRPS = sum over bins of (F - H)^2."""
        logits = self(batch.source, batch.extra)
        terms = {"entropy": F.cross_entropy(logits, batch.bin)}
        if self.crps_weight:
            steps = logits.softmax(dim=1).cumsum(dim=1)
            bins = torch.arange(self.grid.bins, device=logits.device)
            passed = (bins >= batch.bin[:, None]).float()
            terms["crps"] = self.crps_weight * (steps - passed).square().sum(dim=1).mean()
        return terms


@dataclass
class Sample:
    """A batch: stretched images, bins of the true redshifts, extra numbers."""

    source: torch.Tensor
    bin: torch.Tensor
    extra: torch.Tensor | None


def turn(images: torch.Tensor, flip: bool, quarter_turns: int) -> torch.Tensor:
    """One of the eight orientations of square images."""
    images = images.flip(-1) if flip else images
    return torch.rot90(images, quarter_turns, (-2, -1))


def train(network, images, z, noise, settings: Settings, extra=None, device=None) -> list[dict]:
    """Train on images (n, bands, H, W) in nanomaggies with redshifts z and sky noise (bands,)."""
    device = torch.device(device or loop.best_device())
    network.stretch = fit(images, 2 * np.asarray(noise))
    x = network.stretch.forward(torch.as_tensor(images)).to(device)
    bins = torch.as_tensor(network.grid.number(z)).to(device)
    if bool(network.extra) != (extra is not None):
        raise GaltoolsError(f"the network takes {network.extra} extra numbers per galaxy")
    more = None if extra is None else torch.as_tensor(extra, dtype=torch.float32).to(device)

    def draw(generator, progress):
        rows = torch.randint(len(x), (settings.batch,), generator=generator, device=device)
        way = TURNS[int(torch.randint(8, (1,), generator=generator, device=device))]
        return Sample(turn(x[rows], *way), bins[rows], None if more is None else more[rows])

    return loop.fit(network, draw, settings, label="redshift", device=device)


@torch.no_grad()
def log_density(network, images, extra=None, turns=TURNS, chunk: int = 256) -> np.ndarray:
    """Logarithm of p(z), (n, bins), with p averaged over the orientations of the image."""
    device, densities = next(network.parameters()).device, []
    for start in range(0, len(images), chunk):
        rows = slice(start, start + chunk)
        x = network.stretch.forward(torch.as_tensor(images[rows]).to(device))
        more = None
        if extra is not None:
            more = torch.as_tensor(extra[rows], dtype=torch.float32).to(device)
        each = [network(turn(x, *way), more).softmax(dim=1) for way in turns]
        densities.append(torch.stack(each).mean(dim=0).cpu().numpy())
    return np.log(np.concatenate(densities).astype(np.float64) + 1e-12)


def tempered(log_p: np.ndarray, temperature: float) -> np.ndarray:
    """Densities p^(1/T), normalised: T > 1 widens what was too sure of itself."""
    scaled = log_p / temperature
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def fit_temperature(log_p: np.ndarray, z, grid: Grid) -> float:
    """Temperature that makes validation redshifts most likely, between 1/8 and 8."""
    from scipy.optimize import minimize_scalar

    rows, bins = np.arange(len(log_p)), grid.number(z)

    def surprise(log_t):
        return -np.log(tempered(log_p, np.exp(log_t))[rows, bins] + 1e-300).mean()

    return float(np.exp(minimize_scalar(surprise, bounds=(-np.log(8), np.log(8))).x))


def ensemble(log_densities: list[np.ndarray]) -> np.ndarray:
    """Logarithm of the mean density of several networks."""
    return np.log(np.mean([np.exp(log_p) for log_p in log_densities], axis=0))


def save(path, networks: list, temperature: float) -> None:
    """Write an ensemble and its temperature to one file."""
    first = networks[0]
    bands = first.features[1].in_channels // 4
    about = {
        "bands": bands,
        "width": first.features[1].out_channels,
        "grid": [first.grid.bins, first.grid.z_max],
        "extra": first.extra,
        "temperature": temperature,
        "stretches": [vars(network.stretch) for network in networks],
    }
    tensors = {
        f"{k}/{name}": value
        for k, network in enumerate(networks)
        for name, value in network.state_dict().items()
    }
    checkpoint.save(path, tensors, about)


def load(path) -> tuple[list, float]:
    """Read what `save` wrote: the networks and their temperature."""
    tensors, about = checkpoint.load(path)
    networks = []
    for k, stretch in enumerate(about["stretches"]):
        network = RedshiftNetwork(
            about["bands"], about["width"], Grid(*about["grid"]), about["extra"]
        )
        network.load_state_dict(checkpoint.select(tensors, str(k)))
        kind, softening, scale = (stretch[name] for name in ("kind", "softening", "scale"))
        network.stretch = Stretch(kind, tuple(softening), tuple(scale))
        networks.append(network.eval())
    return networks, about["temperature"]


def predict(networks: list, temperature: float, images, extra=None) -> np.ndarray:
    """Calibrated densities (n, bins) of an ensemble."""
    return tempered(ensemble([log_density(n, images, extra) for n in networks]), temperature)


def colours(images: np.ndarray, radius: float = 0.2, peaks: bool = False) -> np.ndarray:
    """Features for the baselines, (n, bands): r-like magnitude and neighbouring colours.

    Fluxes within `radius` (in stamps) of the centre, or those of the brightest pixel; asinh
    magnitudes stay finite for the negative fluxes that noise makes.
    """
    side = images.shape[-1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = np.hypot(x, y) < radius * side
    flux = images.max(axis=(2, 3)) if peaks else images[..., inside].sum(axis=2)
    magnitudes = -2.5 / np.log(10) * np.arcsinh(flux / 0.2)
    return np.column_stack([magnitudes[:, images.shape[1] // 2], np.diff(magnitudes, axis=1)])


def baselines(train_features, train_z, features, seed: int = 0) -> dict[str, np.ndarray]:
    """Estimates by 20 nearest neighbours and by gradient boosting on the same features."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    neighbours = min(20, len(train_z))
    methods = {
        "kNN": make_pipeline(StandardScaler(), KNeighborsRegressor(neighbours, weights="distance")),
        "boosting": HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=200, learning_rate=0.06, random_state=seed
        ),
    }
    return {k: m.fit(train_features, train_z).predict(features) for k, m in methods.items()}
