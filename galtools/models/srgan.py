"""SRGAN: a residual generator that is also trained against a critic (Ledig et al. 2017).

The generator G maps source x to target y; the critic D sees both and scores, patch by patch,
whether y is a true target of x or a translation. They minimise

    L_D = <max(0, 1 - D(x, y))> + <max(0, 1 + D(x, G(x)))>,
    L_G = pixel and flux loss + c <|phi(y) - phi(G(x))|> - a <D(x, G(x))>,

where phi are the critic's own features: a content loss from a network trained on galaxies alone.
The hinge, a small weight a, a late start and a critic with a lower learning rate than the
generator's keep the training stable.
"""

import torch
import torch.nn.functional as F
from torch import nn

from galtools.models import register
from galtools.models.base import Batch, OptimizerGroup, ResidualBlock, Translator, pixel_loss

DETAIL_GAIN = 80.0  # then the noise of the deeper survey is of order one


def critic_hinge_loss(true: torch.Tensor, translated: torch.Tensor) -> torch.Tensor:
    """Return <max(0, 1 - D(y))> + <max(0, 1 + D(y'))>: zero where D(y) > 1 and D(y') < -1."""
    return F.relu(1 - true).mean() + F.relu(1 + translated).mean()


class Critic(nn.Module):
    """Convolutions of source, target and its amplified detail; one score per patch of pixels.

    Translations and true images differ by a few hundredths, mostly in what a mean over 3 x 3 pixels
    removes. That detail is an input of its own, amplified by `DETAIL_GAIN`.
    """

    def __init__(self, bands: tuple[int, int], width: int):
        super().__init__()
        widths = (4 * (bands[0] + 2 * bands[1]), width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=stride, padding=1)
            for a, b, stride in zip(widths, widths[1:], (1, 2, 1), strict=False)
        )
        self.score = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, list]:
        """Score of each patch of the pair (x, y), and the features of each layer."""
        detail = DETAIL_GAIN * (y - F.avg_pool2d(y, 3, 1, 1, count_include_pad=False))
        h, features = F.pixel_unshuffle(torch.cat([x, y, detail], dim=1), 2), []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.score(h).float(), features


@register(
    "srgan",
    tiny={"width": 16, "blocks": 1, "critic_width": 8},
    quick={"width": 48, "blocks": 3, "critic_width": 24},
    paper={"width": 128, "blocks": 12, "critic_width": 64},
)
class SRGAN(Translator):
    """Residual generator with a long skip and sub-pixel output, trained against a critic.

    The critic joins after the fraction `start` of the training; `critic_lr_scale` is its learning
    rate relative to that of the generator.
    """

    multiple = 2

    def __init__(
        self, bands_in, bands_out, width, blocks, critic_width,
        adversarial: float = 0.05, content: float = 0.02, start: float = 0.4,
        critic_lr_scale: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.head = nn.Conv2d(4 * bands_in, width, 5, padding=2)
        self.body = nn.Sequential(
            *[ResidualBlock(width) for _ in range(blocks)], nn.Conv2d(width, width, 3, padding=1)
        )
        self.tail = nn.Conv2d(width, 4 * bands_out, 3, padding=1)
        self.critic = Critic((bands_in, bands_out), critic_width)
        self.adversarial, self.content = adversarial, content
        self.start, self.critic_lr_scale = start, critic_lr_scale

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Stretched source to stretched target."""
        h = self.head(F.pixel_unshuffle(x, 2))
        return F.pixel_shuffle(self.tail(h + self.body(h)), 2)

    def optimizer_groups(self) -> dict[str, OptimizerGroup]:
        """Return critic and generator, updated in turn."""
        generator = [p for part in (self.head, self.body, self.tail) for p in part.parameters()]
        critic = list(self.critic.parameters())
        return {
            "critic": OptimizerGroup(
                critic, self.critic_losses, begin=self.start, lr_scale=self.critic_lr_scale
            ),
            "generator": OptimizerGroup(generator, self.generator_losses),
        }

    def critic_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Hinge loss of the critic."""
        with torch.no_grad():
            translated = self(batch.source)
        true, _ = self.critic(batch.source, batch.valid_target(translated))
        false, _ = self.critic(batch.source, translated)
        return {"hinge": critic_hinge_loss(true, false)}

    def generator_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Pixel and flux loss, and once the critic has joined content and adversarial loss."""
        translated = self(batch.source)
        losses = pixel_loss(translated, batch)
        if batch.progress < self.start:
            return losses
        score, features = self.critic(batch.source, translated)
        with torch.no_grad():
            _, target = self.critic(batch.source, batch.valid_target(translated))
        content = sum(F.l1_loss(f, t) for f, t in zip(features, target, strict=True))
        losses["content"] = self.content * content
        losses["adversarial"] = -self.adversarial * score.mean()
        return losses
