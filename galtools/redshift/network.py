"""The estimator: a network from an image to a density of redshift."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from galtools.data.stretch import fit_stretch
from galtools.errors import GaltoolsError
from galtools.models.base import OptimizerGroup
from galtools.redshift.density import Grid
from galtools.redshift.photometry_layer import GROUPS, PhotometryLayer
from galtools.training import loop
from galtools.training.crops import check_images
from galtools.training.loop import Settings

ORIENTATIONS = [(flip, turn) for flip in (False, True) for turn in range(4)]
CUT = 0.5  # share of the stamp's side that the convolutions see
CHUNK = 256  # images at a time


class RedshiftNetwork(nn.Module):
    """Measured numbers and, if `width` > 0, convolved features, through dense layers to p(z).

    `extra` numbers per galaxy (say, the reddening E(B-V)) join before the dense layers. `groups`
    chooses what is measured (`galtools.redshift.photometry_layer`).
    """

    def __init__(
        self, bands=5, hidden=128, grid: Grid | None = None, extra=0, width=0, groups=GROUPS,
        dropout=0.15, blur=3.0, crps_weight=0.0,
    ):  # fmt: skip
        """Make the network; `crps_weight` adds the CRPS, in bins, to the cross-entropy."""
        super().__init__()
        self.grid = grid or Grid()
        self.recipe = {
            "bands": bands, "hidden": hidden, "extra": extra, "width": width,
            "groups": list(groups), "dropout": dropout, "blur": blur, "crps_weight": crps_weight,
        }  # fmt: skip
        self.extra, self.crps_weight, self.stretch = extra, crps_weight, None
        self.measure = PhotometryLayer(bands, groups)
        self.register_buffer("centre", torch.zeros(self.measure.size))
        self.register_buffer("spread", torch.ones(self.measure.size))
        self.register_buffer("blurred", smoothed_targets(self.grid.bins, blur))
        self.convolve = convolutions(bands, width) if width else None
        self.head = nn.Sequential(
            nn.Linear(self.measure.size + 4 * width + extra, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, self.grid.bins),
        )

    def numbers(self, images: torch.Tensor) -> torch.Tensor:
        """Measured numbers (n, size) of images in nanomaggies, in units of their spread."""
        return self.scaled(self.measure(images))

    def scaled(self, measured: torch.Tensor) -> torch.Tensor:
        """Centre measured numbers and divide them by their spread."""
        return (measured - self.centre) / self.spread

    def picture(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the convolutions see: the stretched centre; without them nothing."""
        if self.convolve is None:
            return images[:, :0, :1, :1]
        side = images.shape[-1]
        keep = 4 * max(1, round(side * CUT / 4))
        start = (side - keep) // 2
        return self.stretch.forward(images)[..., start : start + keep, start : start + keep]

    def logits(self, numbers, picture, extra=None) -> torch.Tensor:
        """Logits (n, bins) of what `numbers` and `picture` gave."""
        parts = [numbers]
        if self.convolve is not None:
            h = self.convolve(picture)
            parts += [h.mean(dim=(2, 3)), h.amax(dim=(2, 3))]
        if self.extra:
            parts.append(extra)
        return self.head(torch.cat(parts, dim=1))

    def forward(self, images: torch.Tensor, extra=None) -> torch.Tensor:
        """Logits (n, bins) of images (n, bands, H, H) in nanomaggies."""
        return self.logits(self.numbers(images), self.picture(images), extra)

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """One group that minimises cross-entropy, and CRPS if asked for."""
        return {"estimator": OptimizerGroup(list(self.parameters()), self.losses)}

    def losses(self, batch) -> dict[str, torch.Tensor]:
        """Cross-entropy of the (blurred) true bin; CRPS = sum over bins of (F - H)^2.

        In full precision, also where the loop would save on it: colours matter to a per cent.
        """
        with torch.autocast(batch.numbers.device.type, enabled=False):
            logits = self.logits(batch.numbers, batch.picture, batch.extra)
        log_p = logits.log_softmax(dim=1)
        terms = {"entropy": -(self.blurred[batch.bin] * log_p).sum(dim=1).mean()}
        if self.crps_weight:
            steps = log_p.exp().cumsum(dim=1)
            bins = torch.arange(self.grid.bins, device=logits.device)
            passed = (bins >= batch.bin[:, None]).float()
            terms["crps"] = self.crps_weight * (steps - passed).square().sum(dim=1).mean()
        return terms


def smoothed_targets(bins: int, blur: float) -> torch.Tensor:
    """Target (bins, bins) of each true bin: a Gaussian of `blur` bins about it, sum one.

    Neighbouring bins are alike, but a network has to be told. The temperature takes the blur out
    again.
    """
    if blur <= 0:
        return torch.eye(bins)
    distance = torch.arange(bins)[:, None] - torch.arange(bins)
    weight = torch.exp(-0.5 * (distance / blur) ** 2)
    return weight / weight.sum(dim=1, keepdim=True)


def convolutions(bands: int, width: int) -> nn.Sequential:
    """Convolutions on pixels packed two by two; the image is halved once more."""
    return nn.Sequential(
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * bands, width, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(width, 2 * width, 2, stride=2),
        nn.GELU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.GELU(),
    )


@dataclass
class Sample:
    """A batch: measured numbers, stretched images, bins of the true redshifts, extra numbers."""

    numbers: torch.Tensor
    picture: torch.Tensor
    bin: torch.Tensor
    extra: torch.Tensor | None


def orient(images: torch.Tensor, flip: bool, quarter_turns: int) -> torch.Tensor:
    """One of the eight orientations of square images."""
    images = images.flip(-1) if flip else images
    return torch.rot90(images, quarter_turns, (-2, -1))


def extract_features(network, images, device):
    """Measured numbers and pictures of many images, a few at a time."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), CHUNK):
            part = torch.as_tensor(images[start : start + CHUNK], device=device)
            parts.append((network.measure(part), network.picture(part)))
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def check_bands(network, images) -> None:
    """Refuse images that the network cannot read."""
    check_images(images, "images")
    bands = network.measure.bands
    if images.shape[1] != bands:
        raise GaltoolsError(f"the images have {images.shape[1]} bands, the estimator takes {bands}")


def prepare(network, images, noise) -> None:
    """Set what a network has to know before it can look: the noise, and the stretch of pictures."""
    noise = np.asarray(noise, np.float32)
    network.measure.noise.copy_(torch.as_tensor(noise))
    network.stretch = fit_stretch(images[:CHUNK], 2 * noise)


def train(
    network, images, z, noise, settings: Settings, extra=None, device=None, tune=False
) -> list[dict]:
    """Train on images (n, bands, H, W) in nanomaggies with redshifts z and sky noise (bands,).

    With `tune`, a trained network goes on learning from where it is.
    """
    return train_networks([network], images, z, noise, [settings], extra, device, tune)[0]


def train_networks(networks, images, z, noise, settings, extra=None, device=None, tune=False):
    """Train networks that measure alike, each with its own settings; every image is seen once."""
    device = torch.device(device or loop.best_device())
    for network in networks:
        check_bands(network, images)
        if bool(network.extra) != (extra is not None):
            raise GaltoolsError(f"the network takes {network.extra} extra numbers per galaxy")
        network.to(device)
        if not tune:
            prepare(network, images, noise)
    seen = extract_features(networks[0], images, device)
    more = None if extra is None else torch.as_tensor(extra, dtype=torch.float32).to(device)
    return train_on_features(networks, seen, z, settings, more, tune)


def train_on_features(networks, seen, z, settings, extra=None, tune=False) -> list[list[dict]]:
    """Train networks on the numbers and pictures `seen` in images of redshift z; see `train`."""
    if not tune:
        for network in networks:
            network.centre.copy_(seen[0].mean(dim=0))
            network.spread.copy_(seen[0].std(dim=0).clamp_min(1e-6))
    pairs = zip(networks, settings, strict=True)
    return [_learn(network, *seen, z, own, extra) for network, own in pairs]


def _learn(network, measured, pictures, z, settings: Settings, extra) -> list[dict]:
    """Train a network on what it has seen."""
    device = measured.device
    numbers = network.scaled(measured)
    bins = torch.as_tensor(network.grid.number(z)).to(device)

    def draw(generator, progress):
        rows = torch.randint(len(bins), (settings.batch,), generator=generator, device=device)
        picture = pictures[rows]
        if network.convolve is not None:
            way = int(torch.randint(8, (1,), generator=generator, device=device))
            picture = orient(picture, *ORIENTATIONS[way])
        return Sample(numbers[rows], picture, bins[rows], None if extra is None else extra[rows])

    with torch.random.fork_rng():  # dropout draws from torch's own stream
        torch.manual_seed(settings.seed)
        return loop.fit(network, draw, settings, label="redshift", device=device)


@torch.no_grad()
def log_densities(networks, images, extra=None) -> np.ndarray:
    """Logarithm of p(z) by each network, (networks, n, bins), averaged over orientations.

    The networks of an ensemble measure alike, so every image is measured once for all of them.
    """
    first, chunks = networks[0], []
    check_bands(first, images)
    for start in range(0, len(images), CHUNK):
        rows = slice(start, start + CHUNK)
        part = torch.as_tensor(images[rows], device=first.centre.device)
        more = None
        if extra is not None:
            more = torch.as_tensor(extra[rows], dtype=torch.float32, device=part.device)
        measured = first.measure(part)
        each = [log_density_of_features(one, measured, one.picture(part), more) for one in networks]
        chunks.append(np.stack(each))
    return np.concatenate(chunks, axis=1)


@torch.no_grad()
def log_density_of_features(network, measured, picture, extra=None) -> np.ndarray:
    """Logarithm of p(z), (n, bins), that one network gives for what was seen in images."""
    ways = (
        ORIENTATIONS if network.convolve is not None else ORIENTATIONS[:1]
    )  # what is measured does not turn
    numbers = network.scaled(measured)
    each = [network.logits(numbers, orient(picture, *way), extra).softmax(dim=1) for way in ways]
    return np.log(torch.stack(each).mean(dim=0).cpu().numpy().astype(np.float64) + 1e-12)


def log_density(network, images, extra=None) -> np.ndarray:
    """Logarithm of p(z), (n, bins), by one network."""
    return log_densities([network], images, extra)[0]
