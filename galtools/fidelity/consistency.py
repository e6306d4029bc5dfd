"""Fidelity without a true image: a translation has to explain the source that it was made from.

The translation y (target survey) is carried back to the source survey: to its filters, by linear
colour terms m_x - m_y = a + b (m_y - m_y,next) of the simulated population; to its seeing, by the
ratio of the transfer functions of seeing and pixels; and to its grid. What is left of the source x,

    r = (x - y_back - s . grad y_back) / sqrt(sigma^2 + max(y_back, 0) / gain),

where a shift s is fitted in each band (surveys point differently), is white noise of unit variance
if x and y show the same galaxy. A sigma map of the source replaces the denominator; of PSF images
only the widths are used, as those of Kolmogorov's profile. That is necessary, not sufficient:
nobody can check without a true image what the source does not resolve or detect.
"""

from functools import lru_cache

import numpy as np
import torch
from scipy.stats import chi2

from galtools.data import ImageSet
from galtools.data.photometry import aperture_flux, aperture_weights
from galtools.data.resampling import lanczos_resample
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.metrics import Metric, bias_and_scatter, per_pixel
from galtools.fidelity.structure import neighbour_correlation
from galtools.models.psf_matching import match_psf
from galtools.simulate import population, spectra
from galtools.surveys import Survey

RADIUS = 4.0  # arcsec about the centre in which the residual is tested
CHUNK = 32  # galaxies at a time
GALAXIES = 1000  # whose spectra give the colour terms
RARE = 1e-3  # probability of chi^2 below which a galaxy is called inconsistent

METRICS = {
    "source_chi2": Metric(("chi2",), intervals.median, 1, "chi^2 per pixel of the source, median"),
    "source_inconsistent": Metric(
        ("inconsistent",), intervals.mean, RARE, f"fraction with p(chi^2) < {RARE:g}", "wilson"
    ),
    "source_residual_correlation": Metric(
        ("residual_correlation",), intervals.median, 0, "neighbouring pixels of the residual"
    ),
    **bias_and_scatter("source_flux", "flux_error", "(F_back - Fx) / Fx"),
}


@lru_cache(maxsize=8)
def colour_terms(filters: tuple[str, ...], others: tuple[str, ...]) -> np.ndarray:
    """Rows (a, b) of m_other - m = a + b (m - m_next) in each filter, of simulated galaxies."""
    if not (filters and others):
        raise GaltoolsError("a survey without filter curves cannot be compared with another")
    galaxies = population.sample_galaxies(0, range(GALAXIES), population.MAIN_SAMPLE_LIMIT)
    flux = spectra.band_fluxes((*filters, *others), galaxies, galaxies["redshift"])
    magnitudes, other_magnitudes = np.split(-2.5 * np.log10(flux), 2, axis=1)
    if len(filters) == 1:  # without a colour: the mean difference
        return np.array([[np.mean(other_magnitudes - magnitudes), 0.0]])
    pairs = zip(next_colours(magnitudes).T, (other_magnitudes - magnitudes).T, strict=True)
    return np.array([np.polyfit(x, difference, 1)[::-1] for x, difference in pairs])


def next_colours(magnitude: np.ndarray) -> np.ndarray:
    """Colour of every band with the next one (n, bands); of the last with the one before.

    A single band has none: zero.
    """
    if magnitude.shape[1] == 1:
        return np.zeros(magnitude.shape)
    colour = magnitude[:, :-1] - magnitude[:, 1:]
    return np.column_stack([colour, colour[:, -1]])


def carry_back(translated, psf_fwhm, survey: Survey, source: ImageSet) -> np.ndarray:
    """Translations (n, bands, H, W) of seeing `psf_fwhm` (n, bands) as the source's survey sees."""
    terms = colour_terms(survey.filters, source.instrument.filters)
    flux = np.maximum(aperture_flux(translated, survey.pixel_scale), 1e-3)
    colour = np.clip(next_colours(-2.5 * np.log10(flux)), -1, 4)
    factor = 10 ** (-0.4 * (terms[:, 0] + terms[:, 1] * colour))
    images = torch.from_numpy(np.asarray(translated * factor[..., None, None], np.float32))
    psf_fwhm = np.array(psf_fwhm, np.float32)
    broader = np.maximum(source.psf_fwhm, psf_fwhm)
    scales = survey.pixel_scale, source.pixel_scale
    blurred = match_psf(images, scales[0], psf_fwhm, broader, damping=0, new_scale=scales[1])
    return lanczos_resample(blurred.numpy(), source.images.shape[-2:], scales[1] / scales[0])


def residual(x, back, sigma, gain, inside) -> np.ndarray:
    """Residual r of the module's text, (n, bands, H, W), from the source and y_back.

    `sigma` is that of the sky, (n, bands), or of every pixel.
    """
    noise = sigma
    if sigma.ndim == 2:
        noise = np.sqrt(per_pixel(sigma) ** 2 + np.maximum(back, 0) / gain[:, None, None])
    slopes = np.stack(np.gradient(back, axis=(-2, -1)), axis=-1)
    design = np.where(inside[..., None], slopes / noise[..., None], 0)
    left = np.where(inside, (x - back) / noise, 0)
    normal = np.einsum("nbyxi,nbyxj->nbij", design, design)
    right = np.einsum("nbyxi,nbyx->nbi", design, left)
    shift = np.linalg.solve(normal + 1e-9 * np.eye(2), right[..., None])[..., 0]
    return (x - back - np.einsum("nbyxi,nbi->nbyx", slopes, shift)) / noise


def measure(source: ImageSet, translated, survey: Survey, psf_fwhm=None) -> dict[str, np.ndarray]:
    """Quantities of METRICS (n, bands) of translations into `survey`, at its median seeing."""
    if tuple(source.bands) != tuple(survey.bands):
        raise GaltoolsError(
            f"translations in {' '.join(survey.bands)} cannot be compared with a source in "
            f"{' '.join(source.bands)}: give both in the same bands"
        )
    if psf_fwhm is None:
        psf_fwhm = np.tile(np.float32(survey.psf_fwhm), (len(source), 1))
    gain = np.array(source.instrument.electrons_per_nanomaggy)
    near = aperture_weights(source.images.shape[-2:], source.pixel_scale, RADIUS) > 0.5
    parts = []
    for start in range(0, len(source), CHUNK):
        rows = slice(start, start + CHUNK)
        part = source[rows]
        x = part.images.astype(float)
        sigma = np.asarray(part.noise if part.sigma_map is None else part.sigma_map, float)
        back = carry_back(np.asarray(translated[rows]), psf_fwhm[rows], survey, part)
        inside = np.broadcast_to(near, x.shape)
        inside = inside if part.bad is None else inside & ~part.bad
        r = residual(x, back, sigma, gain, inside)
        count = inside.sum((2, 3)) - 2
        total = np.sum(r**2, axis=(2, 3), where=inside)
        flux_x, flux_back = (
            aperture_flux(np.where(inside, i, 0), source.pixel_scale) for i in (x, back)
        )
        parts.append(
            {
                "chi2": total / count,
                "inconsistent": np.where(np.isfinite(total), chi2.sf(total, count) < RARE, np.nan),
                "residual_correlation": neighbour_correlation(r, inside),
                "flux_error": intervals.divide(flux_back - flux_x, flux_x),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
