"""From pairs to training batches: checks, normalization, random crops."""

from dataclasses import replace

import numpy as np
import torch

from galtools import data
from galtools.data.stretch import Normalization, fit_normalization
from galtools.errors import GaltoolsError
from galtools.models.base import Batch

SOFTENING = 2.0  # softening of the stretch in units of the source's sky noise per pixel; from 1
# to 10 the residual and the flux scatter hardly differ, but a larger one lets more noise through


def check_images(images, name: str, bands: int | None = None) -> None:
    """Refuse what is not a stack of finite float images (n, bands, H, W)."""
    if getattr(images, "ndim", 0) != 4:
        raise GaltoolsError(f"{name} must have shape (n, bands, H, W), not {np.shape(images)}")
    if bands is not None and images.shape[1] != bands:
        raise GaltoolsError(f"{name} have {images.shape[1]} bands, the model takes {bands}")
    if images.dtype != np.float32:
        raise GaltoolsError(f"{name} must be float32 nanomaggies per pixel, not {images.dtype}")
    if not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        raise GaltoolsError(f"{name} has NaN or infinite pixels, first in image {bad[0]}: cut them")


def check_pairs(pairs, crop: int = 0) -> None:
    """Refuse pairs that no translator can be trained on."""
    check_images(pairs.source, "source")
    check_images(pairs.target, "target")
    if len(pairs.source) != len(pairs.target) or len(pairs.source) == 0:
        raise GaltoolsError("source and target must hold the same galaxies, at least one")
    if crop > min(pairs.target.shape[-2:]):
        raise GaltoolsError(f"crop {crop} is larger than the stamps of {pairs.target.shape[-2:]}")
    if not (np.isfinite(pairs.noise).all() and (pairs.noise > 0).all()):
        raise GaltoolsError("noise must be positive: it sets the stretch and the unit of residuals")


def zero_masked(pairs):
    """Set masked pixels to zero, whatever they hold, NaN included."""
    sets = (
        s if s.mask is None else replace(s, images=np.where(s.bad, np.float32(0), s.images))
        for s in (pairs.source_set, pairs.target_set)
    )
    return data.Pairs(*sets, pairs.redshift, pairs.catalogue)


def normalization_of(pairs, kind: str = "sqrt") -> Normalization:
    """Fit the stretches to training pairs."""
    softening = SOFTENING * np.median(pairs.noise[:, 0], axis=0)
    return fit_normalization(pairs.source, pairs.target, softening, pairs.pixel_ratio, kind)


class Crops:
    """Random crops of matched stamps, in one of eight orientations, stretched, with replacement.

    `crop` is their side in pixels (0: the shorter side of the stamps).
    """

    def __init__(self, pairs, scaling, batch: int, crop=0, device=None):
        self.source = torch.as_tensor(pairs.source).to(device)
        self.target = torch.as_tensor(pairs.target).to(device)
        bad = pairs.bad[1]
        self.good = None if bad is None else torch.as_tensor(~bad).to(device)
        self.scaling, self.device, self.batch = scaling, self.source.device, batch
        self.side = crop or min(scaling.shape)

    def __call__(self, generator: torch.Generator, progress: float) -> Batch:
        """Make a batch: galaxies, corners, flips and transpositions follow from the generator."""

        def integers(high):
            return torch.randint(high, (self.batch,), generator=generator, device=self.device)

        galaxies, flips = integers(len(self.source)), [integers(2), integers(2)]
        starts = [integers(size - self.side + 1) for size in self.scaling.shape]
        rows, columns = map(self._pixels, starts, flips)
        transposed = integers(2).bool()[:, None, None, None]

        def cut(images, numbers):
            bands = torch.arange(images.shape[1], device=self.device)[None, :, None, None]
            crops = images[numbers[:, None, None, None], bands, rows, columns.mT]
            crops = torch.where(transposed, crops.mT, crops)
            return crops.contiguous(memory_format=torch.channels_last)

        if self.scaling.step == 1 and self.scaling.shape == self.source.shape[-2:]:
            source = self.scaling.source.forward(cut(self.source, galaxies))
        else:
            every = torch.arange(self.batch, device=self.device)
            source = cut(self.scaling.normalize(self.source[galaxies]), every)
        stretch = self.scaling.target
        target = stretch.forward(cut(self.target, galaxies))
        good = None if self.good is None else cut(self.good, galaxies)
        return Batch(source, target, stretch.inverse, stretch.forward, progress, generator, good)

    def _pixels(self, start, flip):
        """Pixel numbers along one axis, (batch, 1, side, 1), reversed where `flip` is 1."""
        along = torch.arange(self.side, device=self.device)
        along = torch.where(flip[:, None] == 1, self.side - 1 - along, along)
        return (start[:, None] + along)[:, None, :, None]
