"""Pictures of the chapters on the two surveys: seeing and filters, real beside simulated."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sedpy.observate import load_filters

from companion import plotting
from galtools import data
from galtools.ingest.folder import read_folder, survey_of
from galtools.simulate import render, spectra
from galtools.surveys import BANDS, SDSS, Survey

R = BANDS.index("r")
SHOWN = 6  # galaxies beside one another
CUTOFF = 1e-3  # transfer below which the noise hides all but the brightest galaxies


def transfer(frequencies: np.ndarray, survey: Survey) -> np.ndarray:
    """Transfer function in r of median seeing and pixel, at spatial frequencies per arcsec.

    exp(-3.44 (lambda f / r0)^(5/3)) sinc(f p), with FWHM = 0.976 lambda / r0 and pixels of side p.
    """
    squared = torch.as_tensor((2 * np.pi * frequencies[:, None]) ** 2)
    air = render.kolmogorov_mtf(squared, torch.tensor(survey.psf_fwhm[R]))[:, 0].numpy()
    return air * np.sinc(frequencies * survey.pixel_scale)


def cutoff_frequency(survey: Survey) -> float:
    """Spatial frequency, per arcsec, at which the transfer function falls to `CUTOFF`."""
    frequencies = np.linspace(0, 3, 3001)
    return float(frequencies[np.argmax(transfer(frequencies, survey) < CUTOFF)])


def transfers(surveys):
    """Draw the transfer functions of surveys."""
    frequencies = np.linspace(0.005, 2, 400)
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3))
    for survey, style in zip(surveys, ("--", "-"), strict=True):
        colour = plotting.SURVEY_COLOUR[survey.name]
        ax.plot(frequencies, transfer(frequencies, survey), style, label=survey.name, color=colour)
    ax.axhline(CUTOFF, color="black", linestyle=":", linewidth=1)
    ax.set(yscale="log", ylim=(1e-5, 1.5), xlim=(0, 2))
    ax.set(xlabel="waves per arcsec", ylabel="transfer function")
    ax.legend()
    return fig


def _mean_fluxes(observed, flux_density, curves) -> list[float]:
    """Mean flux density, by photons, of a spectrum within each filter."""
    fine = np.linspace(2900, 11200, 4000)
    spectrum = np.interp(fine, observed, flux_density)
    weights = [np.interp(fine, c.wavelength, c.transmission, 0, 0) * fine for c in curves]
    return [np.average(spectrum, weights=w) for w in weights]


def redshifted(name: str, redshifts):
    """Draw a template at redshifts over the filters of SDSS, with its flux and g - r in them."""
    curves = load_filters(list(SDSS.filters))
    fig, ax = plt.subplots()
    for band, curve in zip(BANDS, curves, strict=True):
        height = 0.4 * curve.transmission / curve.transmission.max()
        ax.fill_between(curve.wavelength, height, color=plotting.BAND_COLOUR[band], alpha=0.25)
        ax.text(curve.wave_pivot, 0.02, band, ha="center")
    parts = ("dust", "tilt", "break_step", "uv_step", "red_step", "emission")
    spectrum = dict.fromkeys(parts, np.zeros(1)) | {
        "kind": np.array([spectra.TEMPLATES.index(name)])
    }
    for z, marker, style in zip(redshifts, "os", ("-", "--"), strict=True):
        observed, flux_density = spectra.WAVELENGTH * (1 + z), spectra.template(name)
        flux = spectra.band_fluxes(SDSS.filters, spectrum, np.array([z]))[0]
        (line,) = ax.plot(observed, flux_density, style, linewidth=1.2)
        label = f"z = {z:.2f}: g − r = {2.5 * np.log10(flux[2] / flux[1]):.2f} mag"
        means = _mean_fluxes(observed, flux_density, curves)
        ax.plot([c.wave_pivot for c in curves], means, marker, color=line.get_color(), label=label)
    ax.set(xlim=(3000, 10500), ylim=(0, 1.45), xlabel="observed wavelength [Å]")
    ax.set_ylabel("flux density / that at 5500 Å at rest")
    ax.legend(loc="upper left")
    return fig


def read_stamps(path: str) -> dict[str, tuple[np.ndarray, float]]:
    """Images (n, 5, H, W) and pixels in arcsec, by survey, of a galtools file or a folder of FITS.

    No path, no images.
    """
    if not path:
        return {}
    if Path(path).is_dir():
        survey, size = survey_of(path)
        return {survey.name: (read_folder(path, survey, size=size).images, survey.pixel_scale)}
    pairs = data.load(path)
    sets = (pairs.source_set, pairs.target_set)
    return {one.survey: (one.images, one.pixel_scale) for one in sets}


def real_and_simulated(images, scale: float, simulated, survey: Survey):
    """Choose stamps, bright to faint, and simulated ones of like r brightness; same sky and scale.

    `images` have pixels of `scale` arcsec, `simulated` those of `survey`, to whose surface
    brightness per pixel the first are brought.
    """
    own = survey.pixel_scale
    field = min(images.shape[-1] * scale, simulated.shape[-1] * own)
    views = []
    for stack, size in ((images * (own / scale) ** 2, scale), (simulated, own)):
        cut = (stack.shape[-1] - int(field / size)) // 2
        inner = slice(cut, stack.shape[-1] - cut)
        views.append(np.nan_to_num(stack[..., inner, inner]))
    real, ours = (v[:, R].sum(axis=(1, 2)) * s**2 for v, s in zip(views, (scale, own), strict=True))
    ranks = np.linspace(0, len(real) - 1, min(SHOWN, len(real))).astype(int)
    shown = np.argsort(-real)[ranks]
    like, left = [], list(range(len(ours)))
    for k in shown:  # none twice, as long as there are others
        like.append(min(left or range(len(ours)), key=lambda one: abs(ours[one] - real[k])))
        left = [one for one in left if one not in like]
    return views[0][shown], views[1][like]
