"""A translator whose aperture fluxes are corrected by a linear regression on those of the source.

Summing the pixels of a translation is a poor estimate of a flux: in faint bands the network shrinks
it towards the typical galaxy. But aperture fluxes are what a survey measures best, and between
similar filters their translation is nearly linear. So the flux F_kb within circle k of band b
becomes an asinh magnitude, in units of the noise of the source,

    a_kb = asinh(F_kb / 2 sigma_kb);

those of the target are predicted from those of the source by ridge regression on training pairs,

    a* = A a_source + c;

and a translation is multiplied by a gain g_b(r): at the mean radius of each annulus between two
circles the predicted flux over that of the translation, linear in between. A second round corrects
what neighbouring annuli did to each other. Redshifts are not used.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from galtools.data.photometry import radius_map, soft_aperture_flux, soft_aperture_weights
from galtools.data.resampling import lanczos_resample
from galtools.errors import GaltoolsError
from galtools.models import build, register
from galtools.models.residual import Residual

CIRCLES = (0.025, 0.05, 0.1, 0.2, 0.3)  # radii in sides of the stamp, the shorter one
ROUNDS = 2  # of gains
MAX_GAIN = 1.5  # of a round; the smallest is its inverse
ENOUGH = 5000  # galaxies that fix the regression
CHUNK = 256  # galaxies measured at a time
TINY = 1e-9  # nanomaggies: no flux at all
RIDGE = 1.0  # of the regression, in galaxies: it only matters where there are few


def hat_functions(nodes, like: torch.Tensor) -> torch.Tensor:
    """Weights (nodes, H, W): 1 at a radius, falling linearly to 0 at its neighbours.

    They sum to 1 in every pixel: constant within the first node and beyond the last.
    """
    r = radius_map(like).cpu()
    hats = [np.interp(r, nodes, row) for row in np.eye(len(nodes))]
    return torch.as_tensor(np.stack(hats)).to(like)


def ring_radii(circles) -> list[float]:
    """Mean radii of the first circle and of each annulus between two."""
    return [(low + high) / 2 for low, high in pairwise((0.0, *circles))]


def annulus_fluxes(within: torch.Tensor) -> torch.Tensor:
    """Flux (n, annuli, bands) in the annuli, from that within the circles."""
    return torch.diff(within, dim=1, prepend=torch.zeros_like(within[:, :1]))


class ApertureFluxRegression(nn.Module):
    """Aperture fluxes of the target from those of the source, within `circles`, radii in sides.

    Images are in nanomaggies and on one grid.
    """

    def __init__(self, bands_in: int, bands_out: int, circles=CIRCLES):
        super().__init__()
        self.circles = tuple(circles)
        inputs, outputs = (len(self.circles) * bands for bands in (bands_in, bands_out))
        self.register_buffer("noise_in", torch.ones(bands_in))
        self.register_buffer("noise_out", torch.ones(bands_out))
        self.register_buffer("matrix", torch.zeros(inputs, outputs))
        self.register_buffer("constant", torch.zeros(outputs))

    def unit(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Twice the noise in each circle, (circles, bands), of white noise per pixel."""
        area = soft_aperture_weights(self.circles, images).square().sum((1, 2))
        return 2 * area.sqrt()[:, None] * noise

    def magnitudes(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Asinh magnitudes (n, circles x bands), in natural units and brighter upwards."""
        fluxes = soft_aperture_flux(images, self.circles)
        return torch.asinh(fluxes / self.unit(images, noise)).flatten(1)

    @torch.no_grad()
    def fit(self, parts, noise_in, noise_out) -> "ApertureFluxRegression":
        """Fit to `parts`, pairs of source and target (n, bands, H, W); noise (bands,) per pixel.

        By ridge regression on standardised magnitudes of the source.
        """
        self.noise_in.copy_(torch.as_tensor(noise_in))
        self.noise_out.copy_(torch.as_tensor(noise_out))
        measured = [
            (self.magnitudes(x, self.noise_in), self.magnitudes(y, self.noise_out))
            for x, y in parts
        ]
        x, y = (torch.cat(side).double() for side in zip(*measured, strict=True))
        mean, std = x.mean(dim=0), x.std(dim=0).clamp_min(1e-6)
        scaled = (x - mean) / std
        normal = scaled.T @ scaled + RIDGE * torch.eye(len(std)).to(x)
        matrix = torch.linalg.solve(normal, scaled.T @ (y - y.mean(dim=0))) / std[:, None]
        self.matrix.copy_(matrix)
        self.constant.copy_(y.mean(dim=0) - mean @ matrix)
        return self

    def predict(self, source: torch.Tensor) -> torch.Tensor:
        """Flux (n, circles, bands) of the target."""
        predicted = self.magnitudes(source, self.noise_in) @ self.matrix + self.constant
        predicted = predicted.unflatten(1, (len(self.circles), -1))
        return torch.sinh(predicted) * self.unit(source, self.noise_out)

    def correct(self, images, within: torch.Tensor, rounds: int = ROUNDS) -> torch.Tensor:
        """Multiply images by smooth gains towards given fluxes `within` the circles.

        The gain is 1 in annuli whose flux is negative, or predicted to be, for noise.
        """
        hats = hat_functions(ring_radii(self.circles), images)
        target = annulus_fluxes(within)
        for _ in range(rounds):
            flux = annulus_fluxes(soft_aperture_flux(images, self.circles))
            gain = (target / flux.clamp_min(TINY)).clamp(1 / MAX_GAIN, MAX_GAIN)
            gain = torch.where((target > 0) & (flux > TINY), gain, 1.0)
            images = images * torch.einsum("nkb,kyx->nbyx", gain, hats)
        return images


@register(
    "flux_corrected",
    tiny={"width": 16, "blocks": 1},
    quick={"width": 48, "blocks": 3},
    paper={"width": 128, "blocks": 12, "pack": 2},
)
class FluxCorrected(Residual):
    """Residual network whose translations have the aperture fluxes that the regression predicts.

    Fluxes are corrected in `rounds` (0: not at all) within `circles`, radii in sides.
    """

    def __init__(
        self, bands_in: int, bands_out: int, width: int, blocks: int, pack: int = 2,
        rounds: int = ROUNDS, circles=CIRCLES,
    ):  # fmt: skip
        super().__init__(bands_in, bands_out, width, blocks, pack)
        self.rounds = rounds
        self.rule = ApertureFluxRegression(bands_in, bands_out, circles)

    @torch.no_grad()
    def prepare(self, pairs) -> None:
        """Fit the regression to training pairs, on the grid of the target."""
        rows = fit_rows(len(pairs.source))
        scaling, like = self.scaling, self.rule.matrix
        parts = (
            (self.regridded(torch.as_tensor(pairs.source[k]).to(like)),
             torch.as_tensor(pairs.target[k]).to(like))
            for k in np.array_split(rows, -(-len(rows) // CHUNK))
        )  # fmt: skip
        noise = [np.array(s.softening) / 2 * scaling.step for s in (scaling.source, scaling.target)]
        self.rule.fit(parts, *noise)

    def regridded(self, source: torch.Tensor) -> torch.Tensor:
        """Source images in nanomaggies on the target's grid."""
        return lanczos_resample(source, self.scaling.size, self.scaling.step)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate, and correct the fluxes of whole stamps.

        Crops have no centre for the circles: on them, in training, the network works alone.
        """
        translated = super().forward(x)
        if x.shape[-2:] != self.scaling.shape:
            return translated
        source, target = self.scaling.source, self.scaling.target
        within = self.rule.predict(source.inverse(x))
        return target.forward(self.rule.correct(target.inverse(translated), within, self.rounds))


def fit_rows(count: int) -> np.ndarray:
    """Rows, evenly chosen, of the at most `ENOUGH` galaxies that fix the regression."""
    return np.linspace(0, count - 1, min(ENOUGH, count)).astype(int)


def correct_network(network: Residual, pairs) -> FluxCorrected:
    """Add the correction to a residual network that is trained already."""
    recipe = network.recipe
    if type(network) is not Residual:
        raise GaltoolsError(f"{recipe['model']} is no residual network: train flux_corrected")
    bands = tuple(recipe["bands"])
    corrected = build("flux_corrected", recipe["task"], recipe["profile"], bands, **recipe["sizes"])
    corrected.load_state_dict(network.state_dict(), strict=False)  # all but the regression
    corrected.scaling = network.scaling
    corrected.prepare(pairs)
    return corrected.eval()
