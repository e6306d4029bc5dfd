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
    """Route by agreement: (n, children, parents, pose, ...) to parents and couplings.

    Trailing axes are positions in the image, each routed on its own. Returns the parents
    (n, parents, pose, ...) and the couplings (n, children, parents, ...). Gradients flow through
    the last iteration alone.
    """
    logits = torch.zeros_like(predictions[:, :, :, 0])
    detached = predictions.detach()
    for iteration in range(iterations):
        couplings = logits.softmax(dim=2)
        last = iteration == iterations - 1
        votes = predictions if last else detached
        parents = squash((couplings[:, :, :, None] * votes).sum(dim=1), dim=2)
        if not last:
            logits = logits + (detached * parents[:, None]).sum(dim=3)
    return parents, couplings


@register(
    "capsule",
    tiny={"children": 4, "parents": 4, "pose": 4, "width": 16},
    quick={"children": 6, "parents": 6, "pose": 8, "width": 48},
    paper={"children": 16, "parents": 16, "pose": 16, "width": 128, "blocks": 6},
)
class Capsule(Translator):
    """Convolutional capsules on packed pixels, routed at half the resolution; decoder to images.

    Children are made by convolutions, parents by a strided convolution of every child, so that W
    is shared over the image; the decoder sees the parents' poses and, as a skip, the children.
    """

    multiple = 4

    def __init__(
        self, bands_in, bands_out, children, parents, pose, width,
        iterations: int = 3, blocks: int = 1,
    ):  # fmt: skip
        """Make encoder, votes and decoder."""
        super().__init__()
        self.parents, self.pose = parents, pose
        self.iterations = iterations
        self.encoder = nn.Sequential(
            nn.Conv2d(4 * bands_in, width, 3, padding=1),
            *[ResidualBlock(width) for _ in range(blocks)],
        )
        self.primary = nn.Conv2d(width, children * pose, 3, padding=1)
        self.votes = nn.Conv2d(
            children * pose, children * parents * pose, 4, stride=2, padding=1, groups=children
        )
        self.expand = nn.Conv2d(parents * pose, 4 * width, 3, padding=1)
        self.skip = nn.Conv2d(children * pose, width, 1)
        self.decoder = nn.Sequential(
            *[ResidualBlock(width) for _ in range(blocks)],
            nn.Conv2d(width, 4 * bands_out, 3, padding=1),
        )

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Children (n, children * pose, H/2, W/2), parents (n, parents, pose, H/4, W/4)."""
        children = self.primary(self.encoder(F.pixel_unshuffle(x, 2)))
        squashed = squash(rearrange(children, "n (k p) y x -> n k p y x", p=self.pose), dim=2)
        votes = self.votes(squashed.flatten(1, 2))
        votes = rearrange(votes, "n (k j p) y x -> n k j p y x", j=self.parents, p=self.pose)
        return children, route(votes, self.iterations)[0]

    def decode(self, children: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """Poses back to an image."""
        expanded = F.pixel_shuffle(self.expand(parents.flatten(1, 2)), 2)
        return F.pixel_shuffle(self.decoder(expanded + self.skip(children)), 2)

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        return self.decode(*self.encode(x))
