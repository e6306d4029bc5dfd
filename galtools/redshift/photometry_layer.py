"""Photometry and shapes of galaxy images as the first layer of a network.

Three groups of features, each the same in all eight orientations of the image:

flux    magnitudes and colours in circles of 2, 4 and 7 arcsec (on stamps of 25 arcsec), and under
        the galaxy's own profile w, the smoothed image, as SDSS does for its model colours:
        F = sum w I with sum w^2 = 1 has the noise of a single pixel
peak    the mean of 3 x 3 pixels at the brightest spot near the centre, one spot for all bands
shape   of the reference band alone: size and ellipticity by moments of w^2, concentration,
        asymmetry sum |I - I turned by 180 degrees| / sum |I|; no colour and no brightness

Fluxes become asinh magnitudes -2.5 / ln 10 asinh(F / 2 sigma), which stay finite where noise makes
F negative. The weights are fixed: to learn them would take many more galaxies.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from galtools.data import photometry
from galtools.data.photometry import BOX, TINY, asinh_magnitude

GROUPS = ("flux", "peak", "shape")
CIRCLES = (0.08, 0.16, 0.28)  # radii in sides of the stamp, the shorter one
REACH = 0.32  # of the profile, in sides


def smooth(images: torch.Tensor, width: int) -> torch.Tensor:
    """Mean over squares of `width` pixels, an odd number; zero beyond the stamp."""
    return F.avg_pool2d(images, width, 1, width // 2)


class PhotometryLayer(nn.Module):
    """Images (n, bands, H, W) in nanomaggies to features (n, size) of the chosen groups.

    The buffer `noise` (bands,), the sky noise per pixel, is set before use.
    """

    def __init__(self, bands: int = 5, groups=GROUPS):
        super().__init__()
        self.bands, self.groups = bands, tuple(groups)
        self.register_buffer("noise", torch.ones(bands))

    @property
    def sizes(self) -> dict[str, int]:
        """Number of features of each of the chosen groups, in their order."""
        colours = self.bands - 1
        sizes = {"flux": (len(CIRCLES) + 1) * colours + 2, "peak": colours + 1, "shape": 5}
        return {group: sizes[group] for group in self.groups}

    @property
    def size(self) -> int:
        """Number of features."""
        return sum(self.sizes.values())

    def columns(self, groups) -> np.ndarray:
        """Numbers of the columns that hold some of the groups."""
        chosen = [group in groups for group in self.sizes]
        return np.flatnonzero(np.repeat(chosen, list(self.sizes.values())))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Measure every image; an empty one gives finite features, too."""
        if not self.groups:
            return images.new_zeros(len(images), 0)
        reference = self.bands // 2
        radius = photometry.radius_map(images)
        profile = self._profile(images, radius)
        circles = self._circles(images)
        fitted = asinh_magnitude((images * profile).sum((2, 3)), self.noise)
        both = torch.cat([circles, fitted[:, None]], dim=1)
        peak = asinh_magnitude(photometry.box_flux(images), self.noise / BOX)
        moments = self._moments(profile.square()[:, 0])
        concentration = circles[:, :-1, reference] - circles[:, -1:, reference]
        asymmetry = self._asymmetry(images[:, reference], radius)
        found = {
            "flux": (-both.diff().flatten(1), both[:, -2:, reference]),
            "peak": (-peak.diff(), peak[:, reference, None]),
            "shape": (moments, concentration, asymmetry),
        }
        return torch.cat([part for group in self.groups for part in found[group]], dim=1)

    def _circles(self, images):
        """Magnitudes (n, circles, bands) within circles."""
        weights = photometry.soft_aperture_weights(CIRCLES, images)
        noise = self.noise * weights.square().sum((1, 2)).sqrt()[:, None]
        return asinh_magnitude(photometry.soft_aperture_flux(images, CIRCLES), noise)

    def _profile(self, images, radius):
        """Weights (n, 1, H, W) that follow the surface brightness in all bands."""
        width = 2 * round(1.5 * min(images.shape[-2:]) / 64) + 1
        summed = (images / self.noise[:, None, None]).sum(1, keepdim=True)
        weight = smooth(summed, width).clamp_min(0) * (radius < REACH)
        return weight / weight.square().sum((2, 3), keepdim=True).clamp_min(TINY).sqrt()

    @staticmethod
    def _moments(weight):
        """Logarithm of the rms radius, and ellipticity |e|, by second moments: (n, 2)."""
        y, x = (along.expand(weight.shape[-2:]) for along in photometry.offsets_from_centre(weight))
        total = weight.sum((1, 2)).clamp_min(TINY)
        centre_x, centre_y = ((weight * at).sum((1, 2)) / total for at in (x, y))
        dx, dy = x - centre_x[:, None, None], y - centre_y[:, None, None]
        xx, yy, xy = ((weight * at).sum((1, 2)) / total for at in (dx * dx, dy * dy, dx * dy))
        extent = (xx + yy).clamp_min(1e-6)
        ellipticity = torch.hypot(xx - yy, 2 * xy) / extent
        return torch.stack([extent.log() / 2, ellipticity], dim=1)

    @staticmethod
    def _asymmetry(image, radius):
        """Flux that changes when the image is turned by 180 degrees over the flux: (n, 1)."""
        smoothed = smooth(image[:, None], BOX)[:, 0] * (radius < CIRCLES[-1])
        change = (smoothed - smoothed.flip((1, 2))).abs().sum((1, 2))
        return (change / smoothed.abs().sum((1, 2)).clamp_min(TINY))[:, None]
