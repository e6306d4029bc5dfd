"""Figures of the chapters on surveys: spectra, real beside simulated stamps, real pairs."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sedpy.observate import load_filters

from companion import plotting
from galtools import data
from galtools.errors import GaltoolsError
from galtools.ingest.fits_images import SAME_SCALE, pixel_scale_of, read_fits, read_wcs
from galtools.ingest.folder import list_objects, read_folder
from galtools.simulate import spectra
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey, reference_band

R = BANDS.index("r")
SHOWN = 6  # galaxies beside one another


def redshifted(name: str, redshifts):
    """Template at some redshifts over the filters of SDSS, with its mean flux and g - r in them."""
    curves = load_filters(list(SDSS.filters))
    fig, ax = plt.subplots()
    for band, curve in zip(BANDS, curves, strict=True):
        height = 0.4 * curve.transmission / curve.transmission.max()
        ax.fill_between(curve.wavelength, height, color=plotting.BAND_COLOUR[band], alpha=0.25)
        ax.text(curve.wave_pivot, 0.02, band, ha="center")
    spectrum = dict.fromkeys(spectra.PARAMETERS, np.zeros(1))
    spectrum["kind"] = np.array([spectra.TEMPLATES.index(name)])
    flat = np.ones_like(spectra.WAVELENGTH)
    for z, marker, style in zip(redshifts, "os", ("-", "--"), strict=True):
        observed, sed = spectra.WAVELENGTH * (1 + z), spectra.template(name)
        flux = spectra.band_fluxes(SDSS.filters, spectrum, np.array([z]))[0]
        (line,) = ax.plot(observed, sed, style, linewidth=1.2)
        label = f"z = {z:.2f}: g − r = {2.5 * np.log10(flux[2] / flux[1]):.2f} mag"
        means = [c.obj_counts(observed, sed) / c.obj_counts(observed, flat) for c in curves]
        ax.plot([c.wave_pivot for c in curves], means, marker, color=line.get_color(), label=label)
    ax.set(xlim=(3000, 10500), ylim=(0, 1.45), xlabel="observed wavelength [Å]")
    ax.set_ylabel("flux density / that at 5500 Å at rest")
    ax.legend(loc="upper left")
    return fig


def survey_of(folder: Path) -> Survey:
    """Tell whose pixels a folder of cutouts has, by the scale of its first file."""
    path = next(iter(next(iter(list_objects(folder, SDSS).values())).values()))
    scale = pixel_scale_of(read_wcs(read_fits(path, ndim=(2, 3))[1], path))
    for survey in (SDSS, CFHTLS):
        if abs(scale / survey.pixel_scale - 1) <= SAME_SCALE:
            return survey
    raise GaltoolsError(f"{path} has pixels of {scale:.3f} arcsec: need 0.396 (SDSS) or 0.187")


def read_stamps(path: str) -> dict[str, tuple[np.ndarray, float]]:
    """Images (n, 5, H, W) and pixels in arcsec, by survey, of a galtools file or a folder of FITS.

    No path, no images.
    """
    if not path:
        return {}
    if Path(path).is_dir():
        images = read_folder(path, survey_of(path))
        return {images.survey: (images.images, images.pixel_scale)}
    pairs = data.load(path)
    sets = (pairs.source_set, pairs.target_set)
    return {one.survey: (one.images, one.pixel_scale) for one in sets}


def real_and_simulated(images, scale: float, simulated, survey: Survey):
    """Stamps, bright to faint, and simulated ones of like r flux, on the same field and scale.

    `images` have pixels of `scale` arcsec, `simulated` those of `survey`, to whose surface
    brightness per pixel the first are brought.
    """
    step = survey.pixel_scale
    field = min(images.shape[-1] * scale, simulated.shape[-1] * step)
    views = []
    for stack, size in ((images * (step / scale) ** 2, scale), (simulated, step)):
        cut = (stack.shape[-1] - int(field / size)) // 2
        inner = slice(cut, stack.shape[-1] - cut)
        views.append(np.nan_to_num(stack[..., inner, inner]))
    scales = scale, step
    real, ours = (v[:, R].sum(axis=(1, 2)) * s**2 for v, s in zip(views, scales, strict=True))
    ranks = np.linspace(0, len(real) - 1, min(SHOWN, len(real))).astype(int)
    shown = np.argsort(-real)[ranks]
    rows, like = linear_sum_assignment(np.abs(real[shown][:, None] - ours))
    return views[0][shown[rows]], views[1][like]


def band_seeing(table, n: int):
    """Draw the table of `companion.band_seeing`: scatter of peak colour and of redshift."""
    _, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 2.8))
    labels = {
        "peak g - r": "scatter of g − r [mag]",
        "redshift": r"$\sigma_\mathrm{MAD}$ of $\delta z / (1 + z)$",
    }
    for ax, (quantity, label) in zip(axes, labels.items(), strict=True):
        for shift, (name, rows) in zip(
            (-0.08, 0.08),
            table[table.quantity == quantity].groupby("survey", sort=False),
            strict=True,
        ):
            x, style = np.arange(len(rows)) + shift, {"color": plotting.SURVEY_COLOUR[name]}
            plotting.interval(ax, x, rows.value, rows.low, rows.high, label=name, n=n, **style)
        ax.set(xticks=range(len(rows)), xticklabels=rows.scatter)
        ax.set(xlabel="scatter of the seeing", ylabel=label)
        ax.set_ylim(0)
    axes[0].legend()


def descriptions(surveys) -> pd.DataFrame:
    """Table of what the simulation knows of surveys."""
    rows = {}
    for survey in surveys:
        r = survey.in_bands(reference_band(survey.bands))
        rows[survey.name] = {
            "bands": "".join(survey.bands),
            "pixel [″]": survey.pixel_scale,
            "FWHM in r [″]": r.psf_fwhm[0],
            "noise in r [nanomaggies per pixel]": r.sky_noise[0],
            "electrons per nanomaggy": r.electrons_per_nanomaggy[0],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("survey")


def transfer(table: pd.DataFrame, labels: dict):
    """Errors of real galaxies beside those of simulated ones, a panel per metric of `labels`."""
    fig, axes = plt.subplots(len(labels), figsize=(plotting.WIDTH, 5.6), sharex=True)
    for ax, (metric, label) in zip(axes, labels.items(), strict=True):
        rows = table[table.metric == metric].groupby("row", sort=False)
        for k, (row, part) in enumerate(rows):
            x = np.arange(len(part)) + 0.26 * (k - 1)
            style = plotting.model_style(row, plotting.MODEL_NAME.get(row, "Wiener filter"))
            style = {"linestyle": "none", **style, "color": style["color"] or "black"}
            ax.plot(x + 0.05, part.real, **style)
            style |= {"label": "_", "markerfacecolor": "white", "alpha": 0.6}
            bars = [part.simulated - part.low, part.high - part.simulated]
            ax.errorbar(x - 0.05, part.simulated, bars, **style)
        ax.axhline(0, color="0.6", linewidth=1)
        ax.set_ylabel(label)
    axes[-1].set_xticks(range(len(part)), part.galaxy)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return fig
