"""SRGAN: a residual generator that must also satisfy a critic.

The generator G maps source x to target y; the critic D sees both and judges whether y is a true
target of x or a translation, pixel patch by pixel patch. They lower

    L_D = <max(0, 1 - D(x, y))> + <max(0, 1 + D(x, G(x)))>,
    L_G = pixel and flux loss + c <|phi(y) - phi(G(x))|> - a <D(x, G(x))>,

where phi are the critic's own features: a content loss from a network that has seen nothing but
galaxies. The hinge, a small weight a, a late start of the game and a critic that learns more slowly
than the generator keep it stable.
"""

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models import register
from galtools.models.base import Batch, OptimizerGroup, ResidualBlock, Translator, pixel_loss

MAGNIFIED = 80.0  # then the noise of the deeper survey is of order one


def critic_hinge_loss(true: torch.Tensor, translated: torch.Tensor) -> torch.Tensor:
    """Return <max(0, 1 - D(y))> + <max(0, 1 + D(y'))>: zero once they are two apart."""
    return F.relu(1 - true).mean() + F.relu(1 + translated).mean()


class Critic(nn.Module):
    """Convolutions of source, target and its magnified detail; one verdict per patch of pixels.

    Translations and true images differ by a few hundredths, and mostly in what a mean over 3 x 3
    pixels takes away. That detail is shown to the critic `MAGNIFIED`, so that it need not be found.
    """

    def __init__(self, bands: tuple[int, int], width: int):
        """Make three layers of features and the verdict."""
        super().__init__()
        widths = (4 * (bands[0] + 2 * bands[1]), width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=stride, padding=1)
            for a, b, stride in zip(widths, widths[1:], (1, 2, 1), strict=False)
        )
        self.verdict = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, list]:
        """Judge the pair (x, y): the verdict of each patch, and the features of each layer."""
        detail = MAGNIFIED * (y - F.avg_pool2d(y, 3, 1, 1, count_include_pad=False))
        h, features = F.pixel_unshuffle(torch.cat([x, y, detail], dim=1), 2), []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.verdict(h), features


@register(
    "srgan",
    tiny={"width": 16, "blocks": 1, "critic_width": 8},
    quick={"width": 48, "blocks": 3, "critic_width": 24},
    paper={"width": 128, "blocks": 12, "critic_width": 64},
)
class SRGAN(Translator):
    """Residual generator with a long skip and sub-pixel output, trained against a critic."""

    multiple = 2

    def __init__(
        self, bands_in, bands_out, width, blocks, critic_width,
        adversarial: float = 0.05, content: float = 0.02, start: float = 0.4, pace: float = 0.1,
    ):  # fmt: skip
        """Make both networks; the game starts after the share `start` of the training.

        `pace` is the learning rate of the critic relative to that of the generator.
        """
        super().__init__()
        self.head = nn.Conv2d(4 * bands_in, width, 5, padding=2)
        self.body = nn.Sequential(
            *[ResidualBlock(width) for _ in range(blocks)], nn.Conv2d(width, width, 3, padding=1)
        )
        self.tail = nn.Conv2d(width, 4 * bands_out, 3, padding=1)
        self.critic = Critic((bands_in, bands_out), critic_width)
        self.adversarial, self.content = adversarial, content
        self.start, self.pace = start, pace

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        h = self.head(F.pixel_unshuffle(x, 2))
        return F.pixel_shuffle(self.tail(h + self.body(h)), 2)

    def players(self) -> dict[str, OptimizerGroup]:
        """Return critic and generator, who move in turn."""
        generator = [p for part in (self.head, self.body, self.tail) for p in part.parameters()]
        return {
            "critic": OptimizerGroup(
                list(self.critic.parameters()), self.critic_losses, self.start, pace=self.pace
            ),
            "generator": OptimizerGroup(generator, self.generator_losses),
        }

    def critic_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Hinge loss of the critic."""
        with torch.no_grad():
            translated = self(batch.source)
        true, _ = self.critic(batch.source, batch.wanted(translated))
        false, _ = self.critic(batch.source, translated)
        return {"hinge": critic_hinge_loss(true, false)}

    def generator_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel and flux loss, and once the game has started content and adversarial loss."""
        translated = self(batch.source)
        losses = pixel_loss(translated, batch)
        if batch.progress < self.start:
            return losses
        verdict, features = self.critic(batch.source, translated)
        with torch.no_grad():
            _, wanted = self.critic(batch.source, batch.wanted(translated))
        content = sum(F.l1_loss(f, w) for f, w in zip(features, wanted, strict=True))
        losses["content"] = self.content * content
        losses["adversarial"] = -self.adversarial * verdict.mean()
        return losses
