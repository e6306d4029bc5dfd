"""Classical baselines without learning: the source under the target's seeing.

With the transfer functions of both, M_s and M_t, the gain at each frequency would be
r = M_t / M_s. Sharpening amplifies noise, so PSF matching damps it by a constant d,

    T = (1 + d) r / (1 + d r^2),

which is 1 where r is (the total flux, and every frequency at which both surveys agree) and at most
(1 + d) / (2 sqrt(d)). Wiener deconvolution damps as the image itself demands,

    T = M_t M_s S / (M_s^2 S + N),

with the power of white noise, N, which is the sky's, or the power beyond the Nyquist circle where
photons of the source add to it, and S, that of the scene before the seeing: (P - N) / M_s^2, of
the image's power P averaged over rings of spatial frequency. S never grows with frequency: where
M_s is tiny, chance excesses of noise would pass as signal. It is the least-squares fit under this
constraint, weighted by the number of modes times M_s^4; the lowest rings, of few modes, count
together where one falls short by chance. T is at most M_t M_s S(0) / N, and 1 at zero: the mean
of the image stays. Flux below the noise is removed: on stamps of 64 pixels, an isolated star at a
matched signal-to-noise ratio of 10 keeps 31 per cent of its flux within 6 pixels, of 25 it keeps
74 per cent. Where no power exceeds the noise, only the mean is left, as for one star in 20 at 6.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import isotonic_regression

from galtools.simulate.render import kolmogorov_mtf

MARGIN = 16  # pixels of reflected image around the stamp, so that nothing wraps around its edge
DAMPING = 0.2  # d; this one left the smallest residual in validation


def wiener_gain(ratio: torch.Tensor, damping: float = DAMPING) -> torch.Tensor:
    """Return (1 + d) r / (1 + d r^2)."""
    return (1 + damping) * ratio / (1 + damping * ratio**2)


def match_psf(
    images: torch.Tensor, pixel_scale: float, fwhm, new_fwhm, damping=DAMPING, new_scale=None
) -> torch.Tensor:
    """Images (n, bands, H, W) as seen under another Kolmogorov seeing.

    `fwhm` and `new_fwhm` in arcsec, one per band, or (n, bands). `pixel_scale` in arcsec; with a
    `new_scale` also as averaged over square pixels of that side instead, on the same grid.
    """

    def gain(down, right, spectrum):
        blur, sharp = (mtf(down, right, images.new_tensor(w)) for w in (fwhm, new_fwhm))
        ratio = sharp / blur
        if new_scale:
            along = [torch.sinc(f * new_scale) / torch.sinc(f * pixel_scale) for f in (down, right)]
            ratio = ratio * along[0] * along[1]
        return wiener_gain(ratio, damping)

    return _filter(images, pixel_scale, gain)


def wiener_deconvolve(images: torch.Tensor, noise, pixel_scale: float, fwhm, new_fwhm):
    """Images as seen under another seeing, by Wiener deconvolution.

    As `match_psf`; `noise` (n, bands) is that of a pixel.
    """

    def gain(down, right, spectrum):
        blur, sharp = (mtf(down, right, images.new_tensor(w)) for w in (fwhm, new_fwhm))
        ring = (torch.hypot(down, right) / max(down[1], right[1])).round().long()
        scene, white = power_spectra(spectrum, blur, torch.as_tensor(noise).to(images), ring)
        transfer = sharp * blur * scene / (blur**2 * scene + white)
        transfer[..., 0, 0] = 1
        return transfer

    return _filter(images, pixel_scale, gain)


def power_spectra(spectrum, blur, noise, ring) -> tuple[torch.Tensor, torch.Tensor]:
    """Return S (n, bands, H, W) and N (n, bands, 1, 1).

    Of an orthonormal `spectrum`; `blur` is M_s, `noise` (n, bands) that of a pixel by the sky
    alone, `ring` (H, W) the ring of each frequency.
    """
    power, corner = spectrum.abs().square(), ring > ring.max() / math.sqrt(2)
    white = torch.maximum(noise**2, power[..., corner].mean(-1))[..., None]
    passed = ring_means(blur**2, ring).clamp(min=1e-30).double()
    scene = falling(
        (ring_means(power, ring) - white) / passed, ring.flatten().bincount() * passed**2
    )
    return scene.clamp(min=0).to(power)[..., ring], white[..., None].clamp(min=1e-30)


def falling(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The nearest values that never grow along the last axis, by weighted least squares."""
    rows = (x.expand_as(values).flatten(0, -2).cpu().numpy() for x in (values, weights))
    fits = [
        isotonic_regression(y, weights=w, increasing=False).x for y, w in zip(*rows, strict=True)
    ]
    return values.new_tensor(np.array(fits)).view_as(values)


def ring_means(values: torch.Tensor, ring: torch.Tensor) -> torch.Tensor:
    """Mean of values (..., H, W) in each ring (..., rings)."""
    count = ring.flatten().bincount()
    sums = values.new_zeros(*values.shape[:-2], len(count))
    return sums.index_add_(-1, ring.flatten(), values.flatten(-2)) / count


def mtf(down: torch.Tensor, right: torch.Tensor, fwhm: torch.Tensor) -> torch.Tensor:
    """Transfer function of a Kolmogorov seeing at frequencies per arcsec."""
    return kolmogorov_mtf((2 * math.pi) ** 2 * (down**2 + right**2), fwhm)


def _filter(images: torch.Tensor, pixel_scale: float, gain) -> torch.Tensor:
    """Multiply the spectrum of images, padded by reflection, by ``gain(down, right, spectrum)``."""
    margin = min(MARGIN, *(size - 1 for size in images.shape[-2:]))
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    height, width = padded.shape[-2:]
    down = torch.fft.fftfreq(height, pixel_scale).to(images)[:, None]
    right = torch.fft.rfftfreq(width, pixel_scale).to(images)
    spectrum = torch.fft.rfft2(padded, norm="ortho")
    spectrum = spectrum * gain(down, right, spectrum)
    filtered = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
    return filtered[..., margin : height - margin, margin : width - margin]
