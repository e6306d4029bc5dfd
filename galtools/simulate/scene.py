"""`Scene`: what there is on the sky in n stamps, before any telescope looks at it.

All positions are in arcsec from the centre of the galaxy, x to the right and y up; all fluxes in
nanomaggies. Three kinds of light build everything: de Vaucouleurs ellipses (bulges, ellipticals),
exponential ellipses (discs, neighbours; of vanishing size: stars) and groups of round Gaussian
knots that share a spectrum (arms, rings, bars, tails; with negative flux: dust lanes).
"""

from dataclasses import dataclass, fields

import torch


@dataclass
class Ellipses:
    """Elliptical profiles; every tensor is (n, C), slots that are not used have no flux."""

    x: torch.Tensor
    y: torch.Tensor
    half_light_radius: torch.Tensor  # arcsec, of the circle with the ellipse's area
    axis_ratio: torch.Tensor  # minor over major axis
    angle: torch.Tensor  # radian, of the major axis from x towards y


@dataclass
class Knots:
    """A group of round Gaussians of one spectrum; every tensor is (n, K)."""

    x: torch.Tensor
    y: torch.Tensor
    sigma: torch.Tensor  # arcsec
    share: torch.Tensor  # of the group's flux


@dataclass
class Scene:
    """Geometry of n stamps and the fluxes of each component in each band of each survey."""

    bulges: Ellipses  # (n, B) de Vaucouleurs
    discs: Ellipses  # (n, D) exponential
    knots: tuple[Knots, ...]  # G groups
    flux: torch.Tensor  # (n, surveys, 5, B + D + G) nanomaggies, in this order

    def __len__(self):
        """Count the stamps."""
        return len(self.flux)

    def to(self, device=None, dtype=None) -> "Scene":
        """Return the scene on another device or in another precision."""
        return _map(self, lambda tensor: tensor.to(device=device, dtype=dtype))


def _map(thing, change):
    """Apply `change` to every tensor of a scene or of a part of it."""
    if isinstance(thing, torch.Tensor):
        return change(thing)
    if isinstance(thing, tuple):
        return tuple(_map(part, change) for part in thing)
    parts = {f.name: _map(getattr(thing, f.name), change) for f in fields(thing)}
    return type(thing)(**parts)
