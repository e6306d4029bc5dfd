"""Classical baselines without learning: the source under the target's seeing.

With the transfer functions of both, M_s and M_t, the gain at each frequency would be
r = M_t / M_s. Sharpening amplifies noise, so PSF matching damps it by a constant d,

    T = (1 + d) r / (1 + d r^2),

which is 1 where r is (the total flux, and every frequency at which both surveys agree) and at most
(1 + d) / (2 sqrt(d)). Wiener deconvolution damps as the image itself demands: with its power P,
averaged over rings of spatial frequency, and that of white noise, N, which is the sky's, or the
power beyond the Nyquist circle where photons of the source add to it,

    T = r max(0, 1 - N / P),

up to the first ring whose P is not significantly above N, and zero beyond, where r is huge. An
image whose P stays above N, by an edge for instance, is still amplified without bound.
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
    """Images (n, bands, H, W) as seen under another Kolmogorov seeing.

    `fwhm` and `new_fwhm` in arcsec, one per band, or (n, bands). `pixel_scale` in arcsec; with a
    `new_scale` also as averaged over square pixels of that side instead, on the same grid.
    """

    def gain(down, right, spectrum):
        ratio = mtf_ratio(down, right, images.new_tensor(fwhm), images.new_tensor(new_fwhm))
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
        ratio = mtf_ratio(down, right, images.new_tensor(fwhm), images.new_tensor(new_fwhm))
        height, width = len(down), images.shape[-1] + len(down) - images.shape[-2]
        ring = (torch.hypot(down, right) * min(height, width) * pixel_scale).round().long()
        known = math.sqrt(height * width) * torch.as_tensor(noise).to(images)
        return ratio * signal_fraction(spectrum, known, ring)

    return _filter(images, pixel_scale, gain)


def signal_fraction(spectrum: torch.Tensor, noise: torch.Tensor, ring) -> torch.Tensor:
    """Return max(0, 1 - N / P), P the mean power of each `ring` (H, W) of frequencies.

    `spectrum` (n, bands, H, W), `noise` (n, bands) the rms of each of its numbers by the sky alone.
    The fraction never grows with frequency, and is zero where P is not two standard errors above N.
    """
    power, ring = spectrum.abs().square().flatten(2), ring.flatten()
    rings = ring.bincount()
    mean = power.new_zeros(*power.shape[:2], len(rings)).index_add_(2, ring, power) / rings
    corner = power[..., ring > ring.max() / math.sqrt(2)].mean(-1)
    ratio = mean / torch.maximum(noise**2, corner)[..., None]
    signal = torch.where(ratio > 1 + 2 / rings.sqrt(), 1 - 1 / ratio, 0.0).cummin(dim=-1).values
    return signal[..., ring].view(spectrum.shape)


def mtf_ratio(down, right, fwhm: torch.Tensor, new_fwhm: torch.Tensor) -> torch.Tensor:
    """Ratio of the transfer functions of two Kolmogorov seeings at frequencies per arcsec."""
    k_squared = (2 * math.pi) ** 2 * (down**2 + right**2)
    return kolmogorov_mtf(k_squared, new_fwhm) / kolmogorov_mtf(k_squared, fwhm)


def _filter(images: torch.Tensor, pixel_scale: float, gain) -> torch.Tensor:
    """Multiply the spectrum of images, padded by reflection, by ``gain(down, right, spectrum)``."""
    margin = min(MARGIN, *(size - 1 for size in images.shape[-2:]))
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    (height, width), spectrum = padded.shape[-2:], torch.fft.rfft2(padded)
    down = torch.fft.fftfreq(height, pixel_scale).to(images)[:, None]
    right = torch.fft.rfftfreq(width, pixel_scale).to(images)
    filtered = torch.fft.irfft2(spectrum * gain(down, right, spectrum), s=(height, width))
    return filtered[..., margin : height - margin, margin : width - margin]
