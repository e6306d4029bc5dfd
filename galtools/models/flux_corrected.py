"""A translator that keeps the books: the light of a galaxy is carried over by one linear rule.

A network guesses pixel by pixel, and the sum of its guesses is a poor guess of the sum: in faint
bands it trusts the typical galaxy more than the one before it. But a sum over many pixels is what
a survey measures best, and between filters that are nearly the same it is nearly linear to
translate. So the light F_kb within circle k of band b becomes an asinh magnitude, in units of the
noise of the source,

    a_kb = asinh(F_kb / 2 sigma_kb);

those of the target are predicted from those of the source by least squares on the training pairs,

    a* = A a_source + c;

and what a network draws is multiplied by a gain g_b(r). In the middle of each ring between two
circles it is the light that the ring should hold over the light that it holds, and in between it is
linear; a second round mends what neighbouring rings did to each other. No redshift enters, and
nothing of an estimator of redshifts.
"""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from galtools.data.stretch import lanczos_resample
from galtools.errors import GaltoolsError
from galtools.models import build, register
from galtools.models.residual import Residual

CIRCLES = (0.025, 0.05, 0.1, 0.2, 0.3)  # radii in stamps
ROUNDS = 2  # of gains
REACH = 1.5  # largest gain of a round, and the inverse of the smallest
ENOUGH = 5000  # galaxies that fix the rule
CHUNK = 256  # galaxies measured at a time
TINY = 1e-9  # nanomaggies: no light at all
RIDGE = 1.0  # of the least squares, in galaxies: it only matters where there are few


def radius_map(side: int, like: torch.Tensor) -> torch.Tensor:
    """Distance (side, side) of every pixel from the centre, in stamps."""
    along = (torch.arange(side).to(like) - (side - 1) / 2) / side
    return torch.hypot(along[None, :], along[:, None])


def aperture_masks(circles, side: int, like: torch.Tensor) -> torch.Tensor:
    """Weights (circles, side, side) of the pixels in each circle, whose rim is one pixel wide."""
    edges = like.new_tensor(circles)[:, None, None]
    return ((edges - radius_map(side, like)) * side + 0.5).clamp(0, 1)


def hat_functions(places, side: int, like: torch.Tensor) -> torch.Tensor:
    """Weights (places, side, side): one at a radius, and linear to zero at its neighbours.

    They sum to one in every pixel: within the first place and beyond the last, one is alone.
    """
    edges, r = like.new_tensor(places), radius_map(side, like)
    left = torch.searchsorted(edges, r, right=True) - 1
    low, high = left.clamp(0), (left + 1).clamp(max=len(edges) - 1)
    share = ((r - edges[low]) / (edges[high] - edges[low]).clamp_min(1e-9)).clamp(0, 1)
    rows = torch.eye(len(edges)).to(like)
    return (rows[low] * (1 - share)[..., None] + rows[high] * share[..., None]).movedim(2, 0)


def ring_radii(circles) -> list[float]:
    """Radii in the middle of the first circle and of each ring between two."""
    return [(low + high) / 2 for low, high in pairwise((0.0, *circles))]


def annulus_fluxes(within: torch.Tensor) -> torch.Tensor:
    """Light (n, rings, bands) of the rings, from that within the circles."""
    return torch.diff(within, dim=1, prepend=torch.zeros_like(within[:, :1]))


def aperture_fluxes(images: torch.Tensor, circles=CIRCLES) -> torch.Tensor:
    """Flux (n, circles, bands) in each circle."""
    return torch.einsum("nbyx,kyx->nkb", images, aperture_masks(circles, images.shape[-1], images))


def least_squares(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Matrix (p, q) that minimises |x M - y|^2 + RIDGE |M|^2, the last row of M left free."""
    x, y = x.double(), y.double()
    penalty = RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    penalty[-1, -1] = 0
    return torch.linalg.solve(x.T @ x + penalty, x.T @ y).float()


class ApertureFluxRegression(nn.Module):
    """Light of the target from light of the source; images in nanomaggies on one common grid."""

    def __init__(self, bands_in: int, bands_out: int, circles=CIRCLES):
        """Know nothing yet; `fit` does."""
        super().__init__()
        self.circles = tuple(circles)
        sizes = [len(self.circles) * bands for bands in (bands_in, bands_out)]
        self.register_buffer("ready", torch.tensor(False))
        self.register_buffer("noise_in", torch.ones(bands_in))
        self.register_buffer("noise_out", torch.ones(bands_out))
        self.register_buffer("centre", torch.zeros(sizes[0]))
        self.register_buffer("spread", torch.ones(sizes[0]))
        self.register_buffer("matrix", torch.zeros(sizes[0] + 1, sizes[1]))

    def unit(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Twice the noise in each circle, (circles, bands), of white noise per pixel."""
        area = aperture_masks(self.circles, images.shape[-1], images).square().sum((1, 2))
        return 2 * area.sqrt()[:, None] * noise

    def magnitudes(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Asinh magnitudes (n, circles, bands), in natural units and brighter upwards."""
        return torch.asinh(aperture_fluxes(images, self.circles) / self.unit(images, noise))

    def terms(self, seen: torch.Tensor) -> torch.Tensor:
        """Magnitudes (n, p) in units of their spread, and a one: (n, p + 1)."""
        return F.pad((seen - self.centre) / self.spread, (0, 1), value=1.0)

    @torch.no_grad()
    def fit(self, parts, noise_in, noise_out) -> "ApertureFluxRegression":
        """Fit to `parts`, pairs of source and target (n, bands, H, H); noise (bands,) per pixel."""
        self.noise_in.copy_(torch.as_tensor(noise_in))
        self.noise_out.copy_(torch.as_tensor(noise_out))
        measured = [
            (self.magnitudes(x, self.noise_in).flatten(1), self.magnitudes(y, self.noise_out))
            for x, y in parts
        ]
        seen, wanted = (torch.cat(side) for side in zip(*measured, strict=True))
        self.centre.copy_(seen.mean(dim=0))
        self.spread.copy_(seen.std(dim=0).clamp_min(1e-6))
        self.matrix.copy_(least_squares(self.terms(seen), wanted.flatten(1)))
        self.ready.fill_(True)
        return self

    def predict(self, source: torch.Tensor) -> torch.Tensor:
        """Light (n, circles, bands) of the target."""
        seen = self.magnitudes(source, self.noise_in).flatten(1)
        found = (self.terms(seen) @ self.matrix).view(len(source), len(self.circles), -1)
        return torch.sinh(found) * self.unit(source, self.noise_out)

    def correct(self, images, wanted, rounds: int = ROUNDS) -> torch.Tensor:
        """Multiply images by smooth gains towards the light that is wanted within the circles.

        A ring whose light is lost in the noise, negative or wanted to be, has the gain one.
        """
        shapes = hat_functions(ring_radii(self.circles), images.shape[-1], images)
        for _ in range(rounds):
            want, have = (
                annulus_fluxes(wanted),
                annulus_fluxes(aperture_fluxes(images, self.circles)),
            )
            gain = (want / have.clamp_min(TINY)).clamp(1 / REACH, REACH)
            gain = torch.where((want > 0) & (have > TINY), gain, 1.0)
            images = images * torch.einsum("nkb,kyx->nbyx", gain, shapes)
        return images


@register(
    "flux_corrected",
    tiny={"width": 16, "blocks": 1},
    quick={"width": 48, "blocks": 3},
    paper={"width": 128, "blocks": 12, "pack": 2},
)
class FluxCorrected(Residual):
    """Residual network whose translations hold the light that the linear rule predicts."""

    def __init__(
        self, bands_in: int, bands_out: int, width: int, blocks: int, pack: int = 2,
        rounds: int = ROUNDS, circles=CIRCLES,
    ):  # fmt: skip
        """Correct the light in `rounds` (0: not at all) within `circles`, radii in stamps."""
        super().__init__(bands_in, bands_out, width, blocks, pack)
        self.rounds = rounds
        self.rule = ApertureFluxRegression(bands_in, bands_out, circles)

    @torch.no_grad()
    def prepare(self, pairs) -> None:
        """Fit the rule to training pairs, as the network sees them."""
        some = fit_rows(len(pairs.source))
        rows = np.array_split(some, -(-len(some) // CHUNK))
        scaling, like = self.scaling, self.rule.matrix
        parts = (
            (self.regridded(torch.as_tensor(pairs.source[k]).to(like)),
             torch.as_tensor(pairs.target[k]).to(like))
            for k in rows
        )  # fmt: skip
        noise = [np.array(s.softening) / 2 * scaling.step for s in (scaling.source, scaling.target)]
        self.rule.fit(parts, *noise)

    def regridded(self, source: torch.Tensor) -> torch.Tensor:
        """Source images in nanomaggies on the target's grid."""
        return lanczos_resample(source, self.scaling.size, self.scaling.step)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Draw with the network; in a whole stamp, put the light right.

        In the crops of a training, circles have no centre, and the network learns alone.
        """
        drawn = super().forward(x)
        if not (self.rule.ready and x.shape[-2:] == (self.scaling.size,) * 2):
            return drawn
        source, target = self.scaling.source, self.scaling.target
        wanted = self.rule.predict(source.inverse(x))
        return target.forward(self.rule.correct(target.inverse(drawn), wanted, self.rounds))


def fit_rows(count: int) -> np.ndarray:
    """Rows of at most `ENOUGH` of so many galaxies, evenly chosen: these fix the rule."""
    return np.linspace(0, count - 1, min(ENOUGH, count)).astype(int)


def correct_network(network: Residual, pairs) -> FluxCorrected:
    """Put the rule around a residual network that is trained already."""
    recipe = network.recipe
    if type(network) is not Residual:
        raise GaltoolsError(f"{recipe['model']} is no residual network: train flux_corrected")
    bands = tuple(recipe["bands"])
    corrected = build("flux_corrected", recipe["task"], recipe["profile"], bands, **recipe["sizes"])
    corrected.load_state_dict(network.state_dict() | regression_state(corrected))
    corrected.scaling = network.scaling
    corrected.prepare(pairs)
    return corrected.eval()


def regression_state(corrected: FluxCorrected) -> dict[str, torch.Tensor]:
    """State of the rule alone."""
    return {f"rule.{name}": value for name, value in corrected.rule.state_dict().items()}
