"""PSF matching, a baseline without learning: the source under the target's seeing.

With the transfer functions of both, M_s and M_t, the gain at each frequency would be
r = M_t / M_s. Sharpening amplifies noise, so it is damped as by a Wiener filter,

    T = (1 + d) r / (1 + d r^2),

which is 1 where r is (the total flux, and every frequency at which both surveys agree) and at most
(1 + d) / (2 sqrt(d)).
"""

import math

import torch
import torch.nn.functional as F

from galtools.simulate.render import kolmogorov_mtf

MARGIN = 16  # pixels of reflected image around the stamp, so that nothing wraps around its edge
DAMPING = 0.2  # d; this one left the smallest residual in validation


def wiener_gain(ratio: torch.Tensor, damping: float = DAMPING) -> torch.Tensor:
    """Return (1 + d) r / (1 + d r^2)."""
    return (1 + damping) * ratio / (1 + damping * ratio**2)


def match_psf(
    images: torch.Tensor, pixel_scale: float, fwhm, new_fwhm, damping=DAMPING, new_scale=None
) -> torch.Tensor:
    """Images (n, bands, H, H) as seen under another Kolmogorov seeing.

    `fwhm` and `new_fwhm` in arcsec, one per band, or (n, bands). `pixel_scale` in arcsec; with a
    `new_scale` also as averaged over square pixels of that side instead, on the same grid.
    """
    padded = F.pad(images, (min(MARGIN, images.shape[-1] - 1),) * 4, mode="reflect")
    side = padded.shape[-1]
    down, right = torch.fft.fftfreq(side, pixel_scale), torch.fft.rfftfreq(side, pixel_scale)
    k_squared = ((2 * math.pi) ** 2 * (down[:, None] ** 2 + right**2)).to(images)
    old, new = (kolmogorov_mtf(k_squared, images.new_tensor(w)) for w in (fwhm, new_fwhm))
    if new_scale:
        along = [torch.sinc(k * new_scale) / torch.sinc(k * pixel_scale) for k in (down, right)]
        new = new * (along[0][:, None] * along[1]).to(images)
    matched = torch.fft.irfft2(
        torch.fft.rfft2(padded) * wiener_gain(new / old, damping), s=(side, side)
    )
    margin = (side - images.shape[-1]) // 2
    return matched[..., margin : side - margin, margin : side - margin]
