"""Invertible intensity scalings: nanomaggies in, nanomaggies out.

Galaxy fluxes span four decades, so a network sees a stretched image

    y = f(x / softening) / scale,

where f is linear near zero (the noise keeps its shape) and compresses bright pixels. `softening`
(nanomaggies per pixel) and `scale` are one number per band, kept in every file of weights.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from galtools.data.resampling import lanczos_resample
from galtools.errors import GaltoolsError

ENOUGH = 300  # galaxies that fix the scale of a stretch to a few per cent

CURVES = {  # odd, growing functions with slope 1 (sqrt: 1/2) at zero, and their inverses
    # sign(u) (sqrt(1 + |u|) - 1): the inverse |y| (|y| + 2) has no cancellation near zero
    "sqrt": (lambda u: u / (torch.sqrt(1 + u.abs()) + 1), lambda y: y * (y.abs() + 2)),
    "log": (
        lambda u: torch.sign(u) * torch.log1p(u.abs()),
        lambda y: torch.sign(y) * torch.expm1(y.abs()),
    ),
    "asinh": (torch.asinh, torch.sinh),
    "linear": (lambda u: u, lambda y: y),
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
        return CURVES[self.kind][0](images / softening) / scale

    def inverse(self, stretched: torch.Tensor) -> torch.Tensor:
        """Stretched units (..., bands, H, W) to nanomaggies."""
        softening, scale = self._per_band(stretched)
        return CURVES[self.kind][1](stretched * scale) * softening

    def _per_band(self, images):
        if images.shape[-3] != len(self.scale):
            raise GaltoolsError(
                f"these images have {images.shape[-3]} bands, the stretch {len(self.scale)}"
            )
        return band_constants((self.softening, self.scale), images.dtype, images.device)


@lru_cache(maxsize=64)
def band_constants(values: tuple, dtype, device) -> torch.Tensor:
    """One number per band, shaped as images (..., bands, 1, 1); it goes to a device only once."""
    return torch.tensor(values, dtype=dtype, device=device)[..., None, None]


def fit_stretch(images: np.ndarray, softening, kind: str = "sqrt") -> Stretch:
    """Scale so that the stretched `images` (n, bands, H, W) have mean square one in each band."""
    softening = tuple(float(value) for value in softening)
    unscaled = Stretch(kind, softening, (1.0,) * len(softening))
    stretched = unscaled.forward(torch.as_tensor(images, dtype=torch.float64))
    scale = stretched.square().mean(dim=(0, 2, 3)).sqrt()
    return Stretch(kind, softening, tuple(scale.tolist()))


@dataclass(frozen=True)
class Normalization:
    """All that stands between nanomaggies and a network: two stretches and the target's grid."""

    source: Stretch
    target: Stretch
    size: int | tuple[int, int]  # pixels of the target's stamp: along a side, or (H, W)
    step: float  # side of a target pixel in source pixels

    def normalize(self, source: torch.Tensor) -> torch.Tensor:
        """Source images in nanomaggies to the network's input, on the target's grid."""
        return self.source.forward(lanczos_resample(source, self.size, self.step))

    def denormalize(self, stretched: torch.Tensor) -> torch.Tensor:
        """Turn the network's output into target images in nanomaggies."""
        return self.target.inverse(stretched)

    @classmethod
    def from_dict(cls, values: dict) -> "Normalization":
        """Read what JSON has made of `asdict`."""
        stretches = {side: Stretch.from_dict(values[side]) for side in ("source", "target")}
        size = values["size"]
        return cls(**values | stretches | {"size": size if isinstance(size, int) else tuple(size)})

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (H, W) of the target's stamp."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def fit_normalization(
    source, target, softening, step: float = 1.0, kind: str = "sqrt"
) -> Normalization:
    """Fit both stretches on training images (n, bands, H, W) in nanomaggies.

    Source and target share the softening (one number per band), so that a pixel of the same
    brightness is stretched alike on both sides. The scales follow from `ENOUGH` galaxies, evenly
    chosen: they only bring the numbers to order one.
    """
    height, width = target.shape[-2:]
    size = width if height == width else (height, width)
    few = slice(None, None, -(-len(source) // ENOUGH))
    stretches = (fit_stretch(images[few], softening, kind) for images in (source, target))
    return Normalization(*stretches, size, float(step))
