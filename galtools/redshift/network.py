"""The network of the estimator: features of an image to a redshift density on a grid of bins."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from galtools.data.photometry import central_square
from galtools.data.stretch import fit_stretch
from galtools.models.base import OptimizerGroup, autocast
from galtools.redshift.density import Grid
from galtools.redshift.photometry_layer import GROUPS, PhotometryLayer
from galtools.training import loop
from galtools.training.crops import check_images
from galtools.training.loop import Settings

ORIENTATIONS = [(flip, turn) for flip in (False, True) for turn in range(4)]
CUT = 0.5  # fraction of the stamp's (shorter) side that the convolutions see
CHUNK = 256  # images at a time


class Features(NamedTuple):
    """Features of n images, extracted once; they take less memory than the images."""

    photometry: torch.Tensor  # (n, size) of `PhotometryLayer`
    cutout: torch.Tensor  # (n, bands, h, h), the stretched centre; without convolutions empty


@dataclass
class Sample:
    """A batch: features, and bins of the true redshifts."""

    photometry: torch.Tensor
    cutout: torch.Tensor
    bin: torch.Tensor


class RedshiftNetwork(nn.Module):
    """Photometry and, if `width` > 0, convolved pixels, through dense layers to p(z).

    `groups` are those of `PhotometryLayer`; without any, the network sees pixels alone.
    """

    def __init__(
        self, bands=5, hidden=128, grid: Grid | None = None, width=0, groups=GROUPS,
        dropout=0.15, blur=3.0,
    ):  # fmt: skip
        super().__init__()
        self.grid, self.stretch = grid or Grid(), None
        self.recipe = {
            "bands": bands, "hidden": hidden, "width": width, "groups": list(groups),
            "dropout": dropout, "blur": blur,
        }  # fmt: skip
        self.photometry = PhotometryLayer(bands, groups)
        size = self.photometry.size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.register_buffer("targets", smoothed_targets(self.grid.bins, blur))
        self.convolve = convolutions(bands, width) if width else None
        self.head = nn.Sequential(
            nn.Linear(size + 4 * width, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, self.grid.bins),
        )

    def prepare(self, images, noise) -> None:
        """Set the sky noise per pixel (bands,), and the stretch of the cutouts by some images."""
        noise = np.asarray(noise, np.float32)
        self.photometry.noise.copy_(torch.as_tensor(noise))
        self.stretch = fit_stretch(images[:CHUNK], 2 * noise)

    def features(self, images: torch.Tensor) -> Features:
        """Features of images (n, bands, H, W) in nanomaggies."""
        if self.convolve is None:
            return Features(self.photometry(images), images[:, :0, :1, :1])
        keep = 4 * max(1, round(min(images.shape[-2:]) * CUT / 4))
        centre = central_square(self.stretch.forward(images), keep)
        return Features(self.photometry(images), centre)

    @torch.no_grad()
    def extract_features(self, images) -> Features:
        """Features of many images, a few at a time."""
        check_images(images, "images", self.photometry.bands)
        chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
        parts = [self.features(torch.as_tensor(part, device=self.mean.device)) for part in chunks]
        return Features(*map(torch.cat, zip(*parts, strict=True)))

    def latent(self, photometry, cutout) -> torch.Tensor:
        """Last hidden layer (n, hidden) of features."""
        parts = [(photometry - self.mean) / self.std]
        if self.convolve is not None:
            h = self.convolve(cutout)
            parts += [h.mean(dim=(2, 3)), h.amax(dim=(2, 3))]
        return self.head[:-1](torch.cat(parts, dim=1))

    def logits(self, photometry, cutout) -> torch.Tensor:
        """Logits (n, bins) of features."""
        return self.head[-1](self.latent(photometry, cutout))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, bins) of images (n, bands, H, W) in nanomaggies."""
        return self.logits(*self.features(images))

    @torch.no_grad()
    def log_density(self, features: Features) -> np.ndarray:
        """Logarithm of p(z), (n, bins), averaged over the orientations of the cutouts."""
        turns = ORIENTATIONS if self.convolve is not None else ORIENTATIONS[:1]
        chunks = []
        for photometry, cutout in zip(*(x.split(CHUNK) for x in features), strict=True):
            each = [self.logits(photometry, orient(cutout, *turn)).softmax(dim=1) for turn in turns]
            chunks.append(torch.stack(each).mean(dim=0))
        return np.log(torch.cat(chunks).cpu().numpy().astype(np.float64) + 1e-12)

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """One group of all parameters that minimises the cross-entropy."""
        return {"estimator": OptimizerGroup(list(self.parameters()), self.losses)}

    def losses(self, batch: Sample) -> dict[str, torch.Tensor]:
        """Cross-entropy of the (blurred) true bin.

        In full precision, also under autocast: colours matter to a per cent.
        """
        with autocast(batch.photometry.device, enabled=False):
            log_p = self.logits(batch.photometry, batch.cutout).log_softmax(dim=1)
        return {"entropy": -(self.targets[batch.bin] * log_p).sum(dim=1).mean()}

    def fit(self, features: Features, z, settings: Settings) -> None:
        """Train on features of galaxies at redshifts z."""
        photometry, cutout = features
        if photometry.numel():
            self.mean.copy_(photometry.mean(dim=0))
            self.std.copy_(photometry.std(dim=0).clamp_min(1e-6))
        device = photometry.device
        bins = torch.as_tensor(self.grid.bin_index(z)).to(device)

        def make_batch(generator, progress):
            rows = torch.randint(len(bins), (settings.batch,), generator=generator, device=device)
            pixels = cutout[rows]
            if self.convolve is not None:
                turn = int(torch.randint(8, (1,), generator=generator, device=device))
                pixels = orient(pixels, *ORIENTATIONS[turn])
            return Sample(photometry[rows], pixels, bins[rows])

        with torch.random.fork_rng():  # dropout uses the global generator
            torch.manual_seed(settings.seed)
            loop.fit(self, make_batch, settings, label="redshift", device=device)


def smoothed_targets(bins: int, blur: float) -> torch.Tensor:
    """Target (bins, bins) of each true bin: a Gaussian of `blur` bins about it, sum one.

    Cross-entropy alone ignores that neighbouring bins are similar. The temperature corrects for
    the blur.
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


def orient(images: torch.Tensor, flip: bool, quarter_turns: int) -> torch.Tensor:
    """One of the eight orientations of square images."""
    images = images.flip(-1) if flip else images
    return torch.rot90(images, quarter_turns, (-2, -1))
