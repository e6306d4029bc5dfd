"""Pages that need nothing else: a card's figures, tables and notes in one HTML file."""

import base64
import io
import re

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import AsinhNorm

from companion import panels, plotting
from galtools.data.photometry import magnitude
from galtools.fidelity import intervals, peaks, pixels, structure
from galtools.surveys import reference_band

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title|e }}</title>
<meta name="viewport" content="width=device-width"><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto;
  font-size: .8rem }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: top }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% }
</style></head><body><h1>{{ title|e }}</h1>
"""
CARD = """{% for caption, figure in figures.items() %}<h2>{{ caption }}</h2>{{ figure }}{% endfor %}
{{ card.to_html() }}"""
WORDS = ("best", "upper fifth", "typical", "typical", "lower fifth", "worst")
FIGURES = {  # caption: {metric: label}
    "How close the pixels are to the truth": {
        "psnr": "PSNR [dB]",
        "ssim": "SSIM",
        "correlation": "pixel correlation",
        "residual_scatter": "residual scatter / σ",
    },
    "Flux, noise and sharpness": {
        "aperture_bias": "flux bias, 3 arcsec",
        "box_bias": "peak bias, 3 × 3 pixels",
        "noise_ratio": "sky noise ratio",
        "blur": "extra blur (arcsec)",
    },
}

CELL = re.compile(r'(?s)(?:<t[dh]\b[^>]*>|<span class="pasted-text">).*?(?=</t[dh]>|</span>)')
HYPHEN = re.compile(r"(<[^>]*>)|(?<![\w.-])-(?=\d)")  # outside of tags, in front of a number


def true_minus(page: str) -> str:
    """HTML whose tables and quoted results write negative numbers with a true minus sign."""

    def signed(cell: re.Match) -> str:
        return cell[0] if "<code" in cell[0] else HYPHEN.sub(lambda m: m[1] or "−", cell[0])

    return CELL.sub(signed, page)


def document(title: str, inside: str, **values) -> str:
    """Fill a jinja template and put it under its title as a whole page."""
    page = jinja2.Template(f"{PAGE}{inside}</body></html>\n").render(title=title, **values)
    return true_minus(page)


def card_page(card, truth=None, translated=None, source=None) -> str:
    """Write a whole page about a card: figures, then its notes and tables.

    Stamps are shown if the images are given, trends if the card has values of galaxies.
    """
    figures = {}
    if truth is not None and card.galaxies is not None:
        figures["Best, typical and worst galaxies"] = examples(card, truth, translated, source)
    figures |= {caption: card_figure(card, metrics) for caption, metrics in FIGURES.items()}
    if card.galaxies is not None:
        figures["Trends with the properties of the galaxy"] = trends(card)
    images = {name: data_uri_image(figure, name) for name, figure in figures.items()}
    return document(f"Fidelity of {card.name}", CARD, card=card, figures=images)


def card_figure(card, metrics):
    """Draw a card's metrics against band; beside them the resampled source and a repeat."""
    plotting.use_style()
    table = pd.concat([card.table.assign(row=card.name), card.beside])
    table = table.replace({"row": {"source": "resample", "repeat": "again"}})
    bands = list(dict.fromkeys(table[table.metric == next(iter(metrics))].band))
    known = pixels.METRICS | structure.METRICS | peaks.METRICS
    perfect = {name: known[name].perfect for name in metrics if np.isfinite(known[name].perfect)}
    return panels.metric_panels(table, metrics, list(dict.fromkeys(table.row)), bands, perfect)


def main_band(card) -> tuple[int, str]:
    """Number and name of the band that is shown: r, or the central one."""
    bands = list(card.table[card.table.metric == "mae"].band)
    band = reference_band(bands)
    return bands.index(band), band


def examples(card, truth, translated, source=None):
    """Draw the best, typical and worst galaxies by PSNR in one band, with their residuals."""
    plotting.use_style()
    k, band = main_band(card)
    psnr, sigma = card.galaxies[f"psnr_{band}"], card.galaxies[f"sky_noise_{band}"]
    order = psnr.sort_values(ascending=False).index[: max(psnr.count(), 1)]
    ranks = np.linspace(0, len(order) - 1, len(WORDS)).round().astype(int)
    shown = dict(zip(order[ranks], WORDS, strict=True))
    rows = {"source": source, "translation": translated, "truth": truth}
    rows = {name: images for name, images in rows.items() if images is not None}
    width = plotting.WIDTH / (len(shown) + 0.2)
    size = (plotting.WIDTH, (len(rows) + 1) * width + 1.1)
    fig, axes = plt.subplots(len(rows) + 1, len(shown), figsize=size, squeeze=False)
    fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
    for (one, label), column in zip(shown.items(), axes.T, strict=True):
        stamps = {name: np.asarray(images[one : one + 1])[0, k] for name, images in rows.items()}
        top = np.nan_to_num(stamps["truth"] / sigma[one]).max()
        for ax, stamp in zip(column, stamps.values(), strict=False):
            norm = AsinhNorm(vmin=-2, vmax=max(top, 1))
            ax.imshow(stamp / sigma[one], cmap="gray", norm=norm)
            plotting.clean(ax)
        made = stamps["translation"], stamps["truth"], sigma[one]
        picture = plotting.residual_map(*made, ax=column[-1])
        column[0].set_title(f"{label}\n{psnr[one]:.1f} dB", fontsize=10, fontweight="normal")
    for ax, name in zip(axes[:, 0], [*rows, "residual"], strict=True):
        ax.set_ylabel(name, fontsize=9)
    plotting.residual_bar(picture, list(axes.flat))
    fig.suptitle(f"{band} band", fontsize=11)
    return fig


def trends(card):
    """Draw flux error and PSNR of every galaxy against magnitude, size and signal-to-noise ratio.

    Lines are medians of bins of equally many galaxies, with their intervals.
    """
    plotting.use_style()
    column, properties = _properties(card)
    errors = {"aperture_error": "flux error, 3 arcsec", "psnr": "PSNR [dB]"}
    fig, axes = plt.subplots(2, 3, figsize=(plotting.WIDTH, 5), sharex="col", sharey="row")
    for line, (key, label) in zip(axes, errors.items(), strict=True):
        for ax, x in zip(line, properties.values(), strict=True):
            _trend(ax, x, column[key])
        line[0].set(ylabel=label)
    for ax, name in zip(axes[-1], properties, strict=True):
        ax.set(xlabel=name)
    panels.log_scale(axes[-1, -1], "x")
    return fig


def _properties(card) -> tuple[dict, dict[str, np.ndarray]]:
    """Quantities of every galaxy in the main band, and properties of the true galaxy by label."""
    _, band = main_band(card)
    column = {name.removesuffix(f"_{band}"): x.to_numpy() for name, x in card.galaxies.items()}
    rings = np.stack([column[f"ring_x_{k}"] for k in range(len(structure.RINGS) - 1)], axis=1)
    growth = np.cumsum(np.insert(rings, 0, 0, axis=1), axis=1)
    size = np.array([np.interp(flux[-1] / 2, flux, structure.RINGS) for flux in growth])
    return column, {
        f"{band} magnitude, 3 arcsec": magnitude(column["aperture_flux"]),
        "half-flux radius (″)": size,
        "S/N, 3 arcsec": column["snr"],
    }


def _trend(ax, x, y) -> None:
    """Draw points and the medians, with intervals, of bins of at least ten of them."""
    good = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[good])
    x, y = x[good][order], y[good][order]
    ax.plot(x, y, ".", color="0.75", markersize=3)
    bins = np.array_split(np.arange(len(x)), min(6, max(1, len(x) // 10)))
    if not len(x):
        return
    medians = [intervals.bootstrap(intervals.median, y[some]) for some in bins]
    centres = [np.median(x[some]) for some in bins]
    value, low, high = np.array([(e.value, e.low, e.high) for e in medians]).T
    plotting.interval(ax, centres, value, low, high, color="#0072B2", linestyle="-")
    ends = np.quantile(y, [0.02, 0.98])
    ax.set_ylim(*(ends + np.ptp(ends) * np.array([-0.3, 0.3]) + [-1e-9, 1e-9]))


def data_uri_image(fig, alt: str) -> str:
    """Draw a figure as an image that needs no file."""
    stream = io.BytesIO()
    fig.savefig(stream, format="png")
    plt.close(fig)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
