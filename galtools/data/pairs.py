"""`Pairs`: the same galaxies seen twice, the one thing that flows through the whole companion."""

from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack

from galtools.errors import GaltoolsError


@dataclass
class Pairs:
    """Matched images of n galaxies in five bands (u, g, r, i, z), in nanomaggies per pixel."""

    source: np.ndarray  # (n, 5, H, W) float32, as the survey translated from sees them
    target: np.ndarray  # (n, 5, H', W') float32, as the survey translated to sees them
    redshift: np.ndarray  # (n,) float32, spectroscopic
    catalogue: Table  # n rows: what is known of each galaxy
    noise: np.ndarray  # (n, 2, 5) float32, sky sigma per pixel of source and target
    # (n, 5, H, W) true where a pixel of source and target does not count; None: every pixel does
    bad: tuple[np.ndarray | None, np.ndarray | None] = (None, None)

    def __post_init__(self):
        """Refuse arrays that do not belong together."""
        n = len(self.source)
        lengths = (len(self.target), len(self.redshift), len(self.catalogue), len(self.noise))
        if any(length != n for length in lengths):
            raise GaltoolsError(
                f"source has {n} galaxies, but target, redshift, catalogue, noise have {lengths}"
            )
        for images, bad in zip((self.source, self.target), self.bad, strict=True):
            if bad is not None and np.shape(bad) != np.shape(images):
                raise GaltoolsError(f"the mask is {np.shape(bad)}, its images {np.shape(images)}")

    def __len__(self):
        """Count the galaxies."""
        return len(self.source)

    def __getitem__(self, rows):
        """Select galaxies by slice, mask or index array."""
        return Pairs(
            self.source[rows],
            self.target[rows],
            self.redshift[rows],
            self.catalogue[rows],
            self.noise[rows],
            tuple(bad if bad is None else bad[rows] for bad in self.bad),
        )


def join(parts: list[Pairs]) -> Pairs:
    """Put samples together, one after the other."""
    names = ("source", "target", "redshift", "noise")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    catalogue = vstack([part.catalogue for part in parts], metadata_conflicts="silent")
    masks, images = zip(*((part.bad, (part.source, part.target)) for part in parts), strict=True)
    bad = tuple(map(_join_masks, zip(*masks, strict=True), zip(*images, strict=True)))
    return Pairs(catalogue=catalogue, bad=bad, **arrays)


def _join_masks(masks, images) -> np.ndarray | None:
    """Join masks of images; where a part has none, every pixel counts."""
    if all(mask is None for mask in masks):
        return None
    every = zip(masks, images, strict=True)
    return np.concatenate([np.zeros(x.shape, bool) if mask is None else mask for mask, x in every])
