"""SwinIR: attention within windows that shift from layer to layer (Liang et al. 2021).

    h_0 = conv(pack(x)),
    h = h_0 + conv(norm(groups of layers(norm(h_0)))),
    y = x + unpack(conv(h)),

the skip of x only if source and target have the same bands. Within a window of w x w packed pixels
every pixel attends to every other,

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

INITIAL_STD = 0.02  # of linear maps and of the position bias


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


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with relative position bias."""

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=INITIAL_STD)
        self.register_buffer("index", relative_index(window), persistent=False)

    def forward(self, windows: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attend within (n, windows, pixels, c); `mask` is that of `shift_mask`.

        Written out: for windows this small, the fused kernels cost more than they save.
        """
        split = "n w p (part h d) -> part (n w h) p d"
        q, k, v = rearrange(self.qkv(windows), split, part=3, h=self.heads)
        values = self.weights(q, k, mask, windows.shape[1]).to(v.dtype) @ v
        return self.out(
            rearrange(values, "(n w h) p d -> n w p (h d)", n=len(windows), h=self.heads)
        )

    def weights(self, q, k, mask: torch.Tensor | None, windows: int) -> torch.Tensor:
        """Softmax over the pixels of a window, (n windows heads, pixels, pixels)."""
        bias = rearrange(self.bias[self.index], "p q h -> h p q").contiguous()
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None], -torch.inf)
        scores = rearrange(q @ k.mT, "(n w h) p q -> n w h p q", w=windows, h=self.heads)
        return torch.add(bias, scores, alpha=q.shape[-1] ** -0.5).softmax(dim=-1).flatten(0, 2)


class SwinLayer(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)); windows shifted by `shift`."""

    def __init__(self, width: int, heads: int, window: int, shift: int):
        super().__init__()
        self.window, self.shift = window, shift
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

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
    """`depth` layers, straight and shifted windows in turn, and a convolution: h + conv(...)."""

    def __init__(self, width: int, depth: int, heads: int, window: int):
        super().__init__()
        self.layers = nn.Sequential(
            *[SwinLayer(width, heads, window, k % 2 * (window // 2)) for k in range(depth)]
        )
        self.close = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Update (n, H, W, c)."""
        return h + convolve(self.close, self.layers(h))


def convolve(convolution: nn.Conv2d, h: torch.Tensor) -> torch.Tensor:
    """Convolve (n, H, W, c)."""
    return convolution(h.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@register(
    "swin",
    tiny={"width": 16, "groups": 1, "depth": 2, "heads": 2, "window": 4},
    quick={"width": 48, "groups": 2, "depth": 2, "heads": 4, "window": 4},
    paper={"width": 96, "groups": 4, "depth": 6, "heads": 6, "window": 8},
)
class Swin(Translator):
    """Convolution of pack x pack packed pixels, groups of window layers, sub-pixel output."""

    def __init__(self, bands_in, bands_out, width, groups, depth, heads, window, pack: int = 2):
        super().__init__()
        self.pack, self.multiple = pack, pack * window
        self.skip = bands_in == bands_out
        self.head = nn.Conv2d(bands_in * pack**2, width, 3, padding=1)
        self.body = nn.Sequential(
            nn.LayerNorm(width),
            *[SwinGroup(width, depth, heads, window) for _ in range(groups)],
            nn.LayerNorm(width),
        )
        self.close = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, bands_out * pack**2, 3, padding=1)
        self.apply(initialize)

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        packed = F.pixel_unshuffle(x, self.pack)
        h = self.head(packed.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)
        h = h + convolve(self.close, self.body(h))
        y = F.pixel_shuffle(self.tail(h.permute(0, 3, 1, 2)), self.pack)
        return x + y if self.skip else y


def initialize(module: nn.Module) -> None:
    """Start linear maps as SwinIR does: a truncated normal distribution, no bias."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INITIAL_STD)
        nn.init.zeros_(module.bias)
