"""Capsule network: parts vote for wholes, and votes that agree count more.

A capsule is a vector; its length is the confidence that something is there, its direction the pose
of that thing. Every child capsule i predicts every parent j, u_ij = W_ij u_i, and the predictions
are weighted by their agreement (Sabour et al. 2017):

    c_ij = softmax over j of b_ij,    s_j = sum_i c_ij u_ij,    v_j = squash(s_j),
    b_ij <- b_ij + u_ij . v_j.

The couplings c of a child sum to one over its *parents*: a part belongs to one whole.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from galtools.models import register
from galtools.models.base import ResidualBlock, Translator


def squash(s: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Shorten vectors to length |s|^2 / (1 + |s|^2), keeping their direction."""
    square = s.square().sum(dim, keepdim=True)
    return s * square.clamp(min=1e-30).sqrt() / (1 + square)  # sqrt has no slope at zero


def route(predictions: torch.Tensor, iterations: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Route by agreement: (n, children, parents, pose, ...) to poses and couplings.

    Trailing axes are positions in the image, each routed on its own. Returns the sums s of the
    parents (n, parents, pose, ...), which `squash` shortens to v, and the couplings (n, children,
    parents, ...). Gradients flow through the last iteration alone.
    """
    logits = torch.zeros_like(predictions[:, :, :, 0])
    detached = predictions.detach()
    for iteration in range(iterations):
        couplings = logits.softmax(dim=2)
        last = iteration == iterations - 1
        votes = predictions if last else detached
        poses = (couplings[:, :, :, None] * votes).sum(dim=1)
        if not last:
            logits = logits + (detached * squash(poses, dim=2)[:, None]).sum(dim=3)
    return poses, couplings


@register(
    "capsule",
    tiny={"children": 4, "parents": 4, "pose": 4, "width": 16},
    quick={"children": 6, "parents": 8, "pose": 12, "width": 48},
    paper={"children": 16, "parents": 16, "pose": 16, "width": 128, "blocks": 6},
)
class Capsule(Translator):
    """Convolutional capsules, and a decoder that sees nothing but the poses of the parents.

    Children live on 2 x 2 packed pixels, parents at half their resolution: `parents` times `pose`
    numbers for 4 x 4 pixels. Every child type votes by a strided convolution, so that W is shared
    over the image and routing is local (LaLonde & Bagci 2018). Fluxes have no upper end: images
    come in through asinh and leave through sinh, and the decoder sees poses that are not squashed.
    """

    multiple = 4

    def __init__(
        self, bands_in, bands_out, children, parents, pose, width,
        iterations: int = 3, blocks: int = 1,
    ):  # fmt: skip
        super().__init__()
        self.parents, self.pose, self.iterations = parents, pose, iterations
        self.encoder = nn.Sequential(
            nn.Conv2d(4 * bands_in, width, 3, padding=1),
            *[ResidualBlock(width) for _ in range(blocks)],
            nn.Conv2d(width, children * pose, 3, padding=1),
        )
        self.votes = nn.Conv2d(
            children * pose, children * parents * pose, 4, stride=2, padding=1, groups=children
        )
        self.expand = nn.Conv2d(parents * pose, 4 * width, 3, padding=1)
        self.decoder = nn.Sequential(
            *[ResidualBlock(width) for _ in range(blocks)],
            nn.Conv2d(width, 4 * bands_out, 3, padding=1),
        )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Poses of the parents, (n, parents, pose, H/4, W/4)."""
        children = self.encoder(F.pixel_unshuffle(x, 2))
        children = squash(rearrange(children, "n (k p) y x -> n k p y x", p=self.pose), dim=2)
        votes = self.votes(children.flatten(1, 2))
        votes = rearrange(votes, "n (k j p) y x -> n k j p y x", j=self.parents, p=self.pose)
        return route(votes, self.iterations)[0]

    def decode(self, poses: torch.Tensor) -> torch.Tensor:
        """Poses back to an image."""
        h = F.pixel_shuffle(self.expand(poses.flatten(1, 2)), 2)
        return F.pixel_shuffle(self.decoder(h), 2)

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        return torch.sinh(self.decode(self.encode(torch.asinh(x))).float())
