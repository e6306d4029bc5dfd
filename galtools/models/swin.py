"""Swin Transformer: attention within windows that shift from layer to layer (Liu et al. 2021).

Within a window of w x w packed pixels every pixel attends to every other,

    attention(q, k, v) = softmax(q k^T / sqrt(d) + B) v,

where B depends on the offset between the two pixels alone (relative position bias). Every other
layer shifts the windows by w / 2, so that information passes between them; pixels that the shift
wraps around the edge of the image are masked.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from galtools.models import register
from galtools.models.base import Translator


def partition(h: torch.Tensor, window: int) -> torch.Tensor:
    """Cut (n, H, W, c) into windows: (n, number of windows, window^2, c)."""
    return rearrange(h, "n (i a) (j b) c -> n (i j) (a b) c", a=window, b=window)


def merge(windows: torch.Tensor, window: int, height: int) -> torch.Tensor:
    """Undo `partition`."""
    return rearrange(
        windows, "n (i j) (a b) c -> n (i a) (j b) c", a=window, b=window, i=height // window
    )


def relative_index(window: int) -> torch.Tensor:
    """Number of the offset between any two pixels of a window, (window^2, window^2)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    rows, columns = y.flatten(), x.flatten()
    down = rows[:, None] - rows[None, :] + window - 1
    right = columns[:, None] - columns[None, :] + window - 1
    return down * (2 * window - 1) + right


def shift_mask(height: int, width: int, window: int, shift: int, device=None) -> torch.Tensor:
    """Mask, true where two pixels of a shifted window may attend to each other.

    Shape (windows, window^2, window^2). After the roll by `shift`, the last windows hold strips
    from both edges of the image. Pixels attend to each other only within the same strip.
    """

    def strips(length):
        return (torch.arange(length, device=device) >= length - shift).int()

    region = strips(height)[:, None] * 2 + strips(width)[None, :]
    region = partition(region[None, :, :, None], window)[0, :, :, 0]
    return region[:, :, None] == region[:, None, :]


class Linear(nn.Linear):
    """Linear map of the last axis of (n, H, W, c).

    On a CPU it is computed as a 1 x 1 convolution, for which torch has a faster kernel.
    """

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Map every position alike."""
        if h.device.type != "cpu":
            return super().forward(h)
        kernel = self.weight[:, :, None, None]
        return F.conv2d(h.permute(0, 3, 1, 2), kernel, self.bias).permute(0, 2, 3, 1)


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with relative position bias."""

    def __init__(self, width: int, heads: int, window: int):
        """Make the projections; the bias starts at zero."""
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (Linear(width, width) for _ in range(4))
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("index", relative_index(window), persistent=False)

    def forward(self, windows: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attend within (n, windows, pixels, c); `mask` is that of `shift_mask`.

        Written out: for windows this small, the fused kernels cost more than they save.
        """
        q, k, v = (
            rearrange(project(windows), "n w p (h d) -> (n w h) p d", h=self.heads)
            for project in (self.q, self.k, self.v)
        )
        bias = rearrange(self.bias[self.index], "p q h -> h p q").contiguous()
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None], -torch.inf)
        scores = rearrange(q @ k.mT, "(n w h) p q -> n w h p q", w=windows.shape[1], h=self.heads)
        weights = torch.add(bias, scores, alpha=q.shape[-1] ** -0.5).softmax(dim=-1)
        values = weights.flatten(0, 2).to(v.dtype) @ v
        return self.out(
            rearrange(values, "(n w h) p d -> n w p (h d)", n=len(windows), h=self.heads)
        )


class SwinLayer(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)); windows shifted by `shift`."""

    def __init__(self, width: int, heads: int, window: int, shift: int):
        """Make one layer."""
        super().__init__()
        self.window, self.shift = window, shift
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window)
        self.mlp = nn.Sequential(Linear(width, 2 * width), nn.GELU(), Linear(2 * width, width))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Update (n, H, W, c)."""
        height, width = h.shape[1:3]
        x, mask = self.before(h), None
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
            mask = shift_mask(height, width, self.window, self.shift, h.device)
        x = merge(self.attention(partition(x, self.window), mask), self.window, height)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        h = h + x
        return h + self.mlp(self.between(h))


class SwinGroup(nn.Module):
    """Layers with straight and shifted windows in turn, closed by a convolution: h + conv(...)."""

    def __init__(self, width: int, depth: int, heads: int, window: int):
        """Make `depth` layers."""
        super().__init__()
        self.layers = nn.Sequential(
            *[SwinLayer(width, heads, window, k % 2 * (window // 2)) for k in range(depth)]
        )
        self.close = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Update (n, c, H, W)."""
        layers = self.layers(rearrange(h, "n c y x -> n y x c"))
        return h + self.close(rearrange(layers, "n y x c -> n c y x"))


@register(
    "swin",
    tiny={"width": 16, "groups": 1, "depth": 2, "heads": 2, "window": 4},
    quick={"width": 48, "groups": 2, "depth": 2, "heads": 4, "window": 4},
    paper={"width": 96, "groups": 4, "depth": 6, "heads": 6, "window": 8},
)
class Swin(Translator):
    """Convolution, groups of shifted-window layers, sub-pixel output."""

    def __init__(self, bands_in, bands_out, width, groups, depth, heads, window, pack: int = 2):
        """Make `groups` groups of `depth` layers on pack x pack packed pixels."""
        super().__init__()
        self.pack, self.multiple = pack, pack * window
        self.head = nn.Conv2d(bands_in * pack**2, width, 3, padding=1)
        self.body = nn.Sequential(*[SwinGroup(width, depth, heads, window) for _ in range(groups)])
        self.tail = nn.Conv2d(width, bands_out * pack**2, 3, padding=1)

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        packed = F.pixel_unshuffle(x, self.pack)
        h = self.head(packed.contiguous(memory_format=torch.channels_last))
        return F.pixel_shuffle(self.tail(h + self.body(h)), self.pack)
