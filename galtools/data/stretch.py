"""Invertible intensity scalings and the change of pixel grid: nanomaggies in, nanomaggies out.

Galaxy fluxes span four decades, so a network sees a stretched image

    y = f(x / softening) / scale,

where f is linear near zero (the noise keeps its shape) and compresses bright pixels. `softening`
(nanomaggies per pixel) and `scale` are one number per band, written down in every file of weights,
so that any stretched image can be turned back into nanomaggies.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch

from galtools.data.resampling import lanczos_matrix
from galtools.errors import GaltoolsError

ENOUGH = 300  # galaxies that fix the scale of a stretch to a few per cent


class Curve(NamedTuple):
    """An odd, growing function with slope one (sqrt: one half) at zero, and its inverse."""

    forward: Callable
    inverse: Callable


CURVES = {
    # sign(u) (sqrt(1 + |u|) - 1): the inverse |y| (|y| + 2) has no cancellation near zero
    "sqrt": Curve(
        lambda u: u / (torch.sqrt(1 + u.abs()) + 1),
        lambda y: y * (y.abs() + 2),
    ),
    # sign(u) log(1 + |u|)
    "log": Curve(
        lambda u: torch.sign(u) * torch.log1p(u.abs()),
        lambda y: torch.sign(y) * torch.expm1(y.abs()),
    ),
    "asinh": Curve(torch.asinh, torch.sinh),
    "linear": Curve(lambda u: u, lambda y: y),
}


@dataclass(frozen=True)
class Stretch:
    """One invertible scaling, per band: y = f(x / softening) / scale."""

    kind: str
    softening: tuple[float, ...]  # nanomaggies per pixel where f leaves its linear part
    scale: tuple[float, ...]  # divides the result, so that networks see numbers of order one

    def __post_init__(self):
        """Refuse a scaling that could not be inverted."""
        if self.kind not in CURVES:
            raise GaltoolsError(f"unknown stretch {self.kind!r}: choose one of {', '.join(CURVES)}")
        positive = all(0 < value < math.inf for value in (*self.softening, *self.scale))
        if not positive or len(self.softening) != len(self.scale):
            raise GaltoolsError("a stretch needs one positive softening and one scale per band")

    @classmethod
    def from_dict(cls, values: dict) -> "Stretch":
        """Read what JSON has made of `asdict`: lists for tuples."""
        return cls(values["kind"], tuple(values["softening"]), tuple(values["scale"]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Nanomaggies (..., bands, H, W) to stretched units."""
        softening, scale = self._per_band(images)
        return CURVES[self.kind].forward(images / softening) / scale

    def inverse(self, stretched: torch.Tensor) -> torch.Tensor:
        """Stretched units (..., bands, H, W) to nanomaggies."""
        softening, scale = self._per_band(stretched)
        return CURVES[self.kind].inverse(stretched * scale) * softening

    def _per_band(self, images):
        if images.shape[-3] != len(self.scale):
            raise GaltoolsError(
                f"these images have {images.shape[-3]} bands, the stretch {len(self.scale)}"
            )
        shape = (len(self.scale), 1, 1)
        return images.new_tensor(self.softening).view(shape), images.new_tensor(self.scale).view(
            shape
        )


def fit_stretch(images: np.ndarray, softening, kind: str = "sqrt") -> Stretch:
    """Scale so that the stretched `images` (n, bands, H, W) have mean square one in each band."""
    softening = tuple(float(value) for value in softening)
    unscaled = Stretch(kind, softening, (1.0,) * len(softening))
    stretched = unscaled.forward(torch.as_tensor(images, dtype=torch.float64))
    scale = stretched.square().mean(dim=(0, 2, 3)).sqrt()
    return Stretch(kind, softening, tuple(scale.tolist()))


def lanczos_resample(images: torch.Tensor, size: int, step: float) -> torch.Tensor:
    """`galtools.data.resampling.lanczos_resample` for tensors, on any device."""
    if size == images.shape[-1] == images.shape[-2] and step == 1:
        return images
    sides = (torch.from_numpy(lanczos_matrix(size, old, step)) for old in images.shape[-2:])
    rows, columns = (weights.to(images) for weights in sides)
    return step**2 * (rows @ images @ columns.mT)


@dataclass(frozen=True)
class Normalization:
    """All that stands between nanomaggies and a network: two stretches and the target's grid."""

    source: Stretch
    target: Stretch
    size: int  # pixels along a side of the target's stamp
    step: float  # side of a target pixel in source pixels

    def enter(self, source: torch.Tensor) -> torch.Tensor:
        """Source images in nanomaggies to the network's input, on the target's grid."""
        return self.source.forward(lanczos_resample(source, self.size, self.step))

    def leave(self, stretched: torch.Tensor) -> torch.Tensor:
        """Turn the network's output into target images in nanomaggies."""
        return self.target.inverse(stretched)

    def as_dict(self) -> dict:
        """Plain numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Normalization":
        """Read what `as_dict` wrote."""
        stretches = {side: Stretch.from_dict(values[side]) for side in ("source", "target")}
        return cls(**stretches, size=int(values["size"]), step=float(values["step"]))


def fit_normalization(
    source, target, softening, step: float = 1.0, kind: str = "sqrt"
) -> Normalization:
    """Fit both stretches on training images (n, bands, H, W) in nanomaggies.

    Source and target share the softening (one number per band), so that a pixel of the same
    brightness is stretched alike on both sides. The scales follow from `ENOUGH` galaxies, evenly
    chosen: they only bring the numbers to order one.
    """
    size = target.shape[-1]
    if target.shape[-2] != size:
        raise GaltoolsError(f"stamps must be square, the targets are {target.shape[-2:]}")
    few = slice(None, None, -(-len(source) // ENOUGH))
    stretches = (fit_stretch(images[few], softening, kind) for images in (source, target))
    return Normalization(*stretches, size, float(step))
