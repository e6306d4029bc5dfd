"""PSF matching against the integral over frequencies."""

import numpy as np
import torch
from scipy.special import j0

from galtools.models import psf_matching
from galtools.simulate.render import kolmogorov_mtf
from galtools.surveys import CFHTLS, SDSS


def test_gain_is_damped():
    ratio = torch.linspace(0, 20, 400)
    gain = psf_matching.wiener_gain(ratio, 0.05)
    assert psf_matching.wiener_gain(torch.ones(1), 0.05) == 1
    assert gain.max() <= 1.05 / (2 * np.sqrt(0.05)) + 1e-6
    assert torch.allclose(psf_matching.wiener_gain(ratio, 0.0), ratio)


def test_flat_images_and_equal_seeings_do_not_change():
    flat, images = torch.full((1, 5, 64, 64), 3.0), torch.rand(2, 5, 20, 20)
    matched = psf_matching.match_psf(flat, SDSS.pixel_scale, SDSS.psf_fwhm, CFHTLS.psf_fwhm)
    assert torch.allclose(matched, flat, atol=1e-5)
    same = psf_matching.match_psf(images, SDSS.pixel_scale, SDSS.psf_fwhm, SDSS.psf_fwhm)
    assert torch.allclose(same, images, atol=1e-5)


def test_a_star_is_sharpened_as_the_integral_over_frequencies_says():
    """I(r) = 2 pi int M_s(f) T(f) J0(2 pi f r) f df, on pixels half as large as those of SDSS."""
    scale = SDSS.pixel_scale / 2
    f = np.linspace(0, 2.5, 801)
    along = (np.arange(48) - 23.5) * scale
    r, back = np.unique(np.hypot(along[:, None], along).round(9), return_inverse=True)
    bessel = j0(2 * np.pi * f * r[:, None]) * 2 * np.pi * f
    images = []
    for seeings in zip(SDSS.psf_fwhm, CFHTLS.psf_fwhm, strict=True):
        k_squared = torch.from_numpy((2 * np.pi * f[None]) ** 2)
        low, high = (kolmogorov_mtf(k_squared, torch.tensor(w))[0].numpy() for w in seeings)
        ratio = high / low
        for transfer in (low, low * 1.2 * ratio / (1 + 0.2 * ratio**2)):
            images.append(np.trapezoid(bessel * transfer, f, axis=1)[back].reshape(48, 48))
    stars, sharp = torch.tensor(np.array(images)).unflatten(0, (1, 5, 2)).unbind(2)
    assert (sharp.amax((2, 3)) > 1.1 * stars.amax((2, 3))).all()
    matched = psf_matching.match_psf(stars, scale, SDSS.psf_fwhm, CFHTLS.psf_fwhm)
    assert torch.allclose(matched, sharp, atol=2e-3 * float(sharp.max()))
