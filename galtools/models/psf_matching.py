"""Translation without learning, the second floor: the source's seeing exchanged for the target's.

With the transfer functions of both seeings, M_s and M_t, the gain of each frequency would be
r = M_t / M_s. Sharpening multiplies noise, so it is damped,

    T = (1 + d) r / (1 + d r^2),

which is one where r is (the flux of a galaxy at frequency zero, and every frequency where both
surveys see alike) and never above (1 + d) / (2 sqrt(d)).
"""

import torch
import torch.nn.functional as F

from galtools.errors import GaltoolsError
from galtools.models import register
from galtools.models.base import Translator
from galtools.surveys import CFHTLS, SDSS

MARGIN = 16  # pixels of reflected image around the stamp, so that no edge wraps around


def kolmogorov_mtf(frequency: torch.Tensor, fwhm: torch.Tensor) -> torch.Tensor:
    """Transfer function of Kolmogorov turbulence, exp(-3.44 (lambda f / r0)^(5/3)).

    `frequency` in cycles per arcsec, `fwhm` = 0.976 lambda / r0 in arcsec.
    """
    return torch.exp(-3.441939 * (frequency * fwhm / 0.9758634) ** (5 / 3))


def wiener_gain(ratio: torch.Tensor, damping: float) -> torch.Tensor:
    """Return (1 + d) r / (1 + d r^2)."""
    return (1 + damping) * ratio / (1 + damping * ratio**2)


@register("psfmatch", tiny={}, quick={}, paper={})
class PSFMatch(Translator):
    """Damped exchange of the surveys' median seeings, at the same zero point."""

    def __init__(self, bands_in: int, bands_out: int, damping: float = 0.2):
        """Have no parameters to learn; this `damping` left the smallest residual in validation."""
        super().__init__()
        if (bands_in, bands_out) != (len(SDSS.bands), len(CFHTLS.bands)):
            raise GaltoolsError("the seeing is known in ugriz: psfmatch takes and gives five bands")
        self.damping = damping

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """Filter images on the target's grid, in units that are linear in flux."""
        if self.recipe["task"] == "intra":
            return x
        padded = F.pad(x, (min(MARGIN, x.shape[-1] - 1),) * 4, mode="reflect")
        side = padded.shape[-1]
        scale = SDSS.pixel_scale * self.scaling.step
        down, right = torch.fft.fftfreq(side, scale), torch.fft.rfftfreq(side, scale)
        frequency = (down[:, None] ** 2 + right**2).sqrt().to(x)
        old, new = (x.new_tensor(s.psf_fwhm).view(-1, 1, 1) for s in (SDSS, CFHTLS))
        gain = wiener_gain(
            kolmogorov_mtf(frequency, new) / kolmogorov_mtf(frequency, old), self.damping
        )
        found = torch.fft.irfft2(torch.fft.rfft2(padded) * gain, s=padded.shape[-2:])
        margin = (side - x.shape[-1]) // 2
        return found[..., margin : side - margin, margin : side - margin]
