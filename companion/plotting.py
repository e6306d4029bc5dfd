"""House style of every figure: colours, galaxy stamps, residual maps and intervals.

A model, a survey and a band have one colour throughout the book. The colours stay apart for the
common kinds of colour blindness (tested), and models differ in their marker too. Figures are
drawn `WIDTH` inches wide with an 11-point font, so that the text is still read on a phone.
"""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from astropy.visualization import make_lupton_rgb
from matplotlib_inline.backend_inline import set_matplotlib_formats

from galtools.errors import GaltoolsError
from galtools.surveys import BANDS, SDSS

WIDTH = 6.0  # inches; shown 390 pixels wide on a phone, 11 points are still 10 pixels high
FIELD = SDSS.stamp * SDSS.pixel_scale  # arcsec along a side of a stamp, the same for both surveys

SURVEY_COLOUR = {"SDSS": "#E69F00", "CFHTLS": "#882255"}
MODELS = {  # models and other rows of comparisons: colour, name, marker
    "resample": ("#888888", "Resampling", "P"),
    "residual": ("#56B4E9", "Residual CNN", "o"),
    "swin": ("#0072B2", "Swin", "s"),
    "srgan": ("#D55E00", "SRGAN", "^"),
    "capsule": ("#CC79A7", "Capsule", "D"),
    "diffusion": ("#009E73", "Diffusion", "v"),
    "flux_corrected": ("#6B5B00", "Flux-corrected", "p"),
    "truth": ("#000000", "Truth", "*"),
    "target": ("#000000", "Target", "*"),
    "source": (SURVEY_COLOUR["SDSS"], "Source", "X"),
    "copy": (SURVEY_COLOUR["SDSS"], "Copy of source", "X"),
    "again": ("#44403C", "Repeat observation", "h"),
    "optimal mean": ("#000000", "Optimal mean", "*"),
    "optimal sample": ("#000000", "Optimal sample", "*"),
    "posterior": ("#000000", "Posterior of z", "*"),
}
MODEL_COLOUR, MODEL_NAME, MODEL_MARKER = (
    {row: style[k] for row, style in MODELS.items()} for k in range(3)
)
SEED_MARKER = "os^v"  # of the first, second, ... seed where several are drawn
# Dark violet to orange in the order of the wavelengths, and of lightness for every eye.
BAND_COLOUR = {
    band: mpl.colors.to_hex(mpl.colormaps["plasma"](x))
    for band, x in zip(BANDS, (0.0, 0.2, 0.4, 0.57, 0.73), strict=True)
}
DIVERGING = "RdBu_r"
LIMIT = 5.0  # of residual maps, in units of the noise
# of colour pictures: weights of i, r, g; where the scaling leaves its linear part (nanomaggies per
# square arcsec), and how soon
WEIGHTS, STRETCH, SOFTENING = (1.0, 1.4, 2.3), 5.0, 8.0
BAR = 5  # arcsec that the scale bar of stamps marks

STYLE = {
    "figure.figsize": (WIDTH, 3.8),
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
    "savefig.bbox": "tight",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": mpl.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
    ),
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "errorbar.capsize": 3,
    "image.cmap": "cividis",
    "image.origin": "lower",
    "image.interpolation": "none",  # pixels as they are, also in vector graphics
    "svg.hashsalt": "galtools",  # the same figure gives the same file
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
}


def use_style() -> None:
    """Draw every figure that follows in the house style; in a notebook, as PNG and as SVG.

    Sentences in tables are shown whole.
    """
    mpl.rcParams.update(STYLE)
    pd.set_option("display.max_colwidth", None)
    if "inline" in mpl.get_backend():
        set_matplotlib_formats("png", "svg")


def lupton(images, pixel_scale=None):
    """Colour pictures by the asinh scaling of Lupton et al. (2004).

    `images` (n, bands, H, W) or (bands, H, W) in nanomaggies per pixel become (n, H, W, 3) or
    (H, W, 3), 8 bits. Red, green and blue are i, r, g of ugriz (times `WEIGHTS`), else the last
    three bands or what there is. The scaling depends on surface brightness alone (`STRETCH`), never
    on the picture: any two stamps can be compared, also across surveys and grids. Without a
    `pixel_scale` a picture is taken to be a whole stamp, `FIELD` arcsec wide.
    """
    images = np.nan_to_num(np.asarray(images, dtype=float))
    if images.ndim not in (3, 4):
        raise GaltoolsError(f"images must be (n, bands, H, W), not {images.shape}")
    scale = pixel_scale or FIELD / images.shape[-1]
    last = min(3, images.shape[-3] - 1)
    planes = np.stack([images[..., max(0, last - k), :, :] for k in range(3)])
    weights = WEIGHTS if last else (1.0, 1.0, 1.0)  # one band is grey
    planes = planes * np.reshape(weights, (3,) + (1,) * (planes.ndim - 1)) / scale**2
    rows = planes.reshape(3, -1, images.shape[-1])  # astropy draws one picture: pile them up
    with np.errstate(divide="ignore", invalid="ignore"):  # astropy divides first, masks after
        rgb = make_lupton_rgb(*rows, stretch=STRETCH, Q=SOFTENING)
    return rgb.reshape(*planes.shape[1:], 3)


def clean(ax) -> None:
    """Leave the picture alone: no ticks, no grid, no frame."""
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def picture_grid(rows, labels=(), titles=(), height=0.3, limit=LIMIT):
    """Draw a grid of pictures without gaps: (H, W, 3) in colour, (H, W) as residuals over noise.

    `rows` holds the pictures of every row, `labels` names the rows and `titles` the columns; beside
    the pictures the figure is `height` inches high. Residuals are drawn from -limit to limit.
    """
    rows = [list(row) for row in rows]
    width, shape = WIDTH / (len(rows[0]) + 0.3), (len(rows), len(rows[0]))
    fig, axes = plt.subplots(*shape, figsize=(WIDTH, width * len(rows) + height), squeeze=False)
    fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
    for ax, picture in zip(axes.flat, itertools.chain(*rows), strict=True):
        ax.imshow(picture, cmap=DIVERGING, vmin=-limit, vmax=limit)  # colours are as they are
        clean(ax)
    for ax, label in zip(axes[:, 0], labels, strict=False):
        ax.set_ylabel(label)
    for ax, title in zip(axes[0], titles, strict=False):
        ax.set_title(title, fontsize=10, fontweight="normal")
    return fig


def stamps(rows, labels, titles=(), pixel_scale=None, fraction=1.0, residual=None, limit=LIMIT):
    """Draw a grid of colour stamps on one scaling and return the figure.

    `rows` is a list of image arrays (k, 5, H, W), one for every row of the grid, with its name in
    `labels`; column j shows galaxy j, with `titles[j]` above it. At most six columns stay readable.
    Only the central `fraction` of the side of each stamp is shown. `residual` is the name of a last
    row and its maps (k, H, W), in units of the noise, from -limit to limit.
    """
    if len(rows) != len(labels):
        raise GaltoolsError(f"{len(rows)} rows of stamps need as many labels, not {len(labels)}")
    n = len(rows[0])
    if n == 0 or any(len(row) != n for row in rows):
        raise GaltoolsError("every row of stamps needs the same number of galaxies, at least one")
    scales = [pixel_scale or FIELD / row.shape[-1] for row in rows]
    pictures = [lupton(row, scale) for row, scale in zip(rows, scales, strict=True)]
    for k, picture in enumerate(pictures):
        cut = round(picture.shape[1] * (1 - fraction) / 2)
        pictures[k] = picture[:, cut : picture.shape[1] - cut, cut : picture.shape[2] - cut]
    height = 0.3 * bool(titles)
    if residual is not None:
        labels, pictures, height = [*labels, residual[0]], [*pictures, residual[1]], height + 0.7
    fig = picture_grid(pictures, labels, titles, height, limit)
    _scale_bar(fig.axes[n * (len(rows) - 1)], scales[-1])
    if residual is not None:
        residual_bar(fig.axes[-1].images[0], fig.axes)
    return fig


def _scale_bar(ax, pixel_scale) -> None:
    """Mark a length on the sky in the lower left corner."""
    size = ax.get_xlim()[1] - ax.get_xlim()[0]
    start, stop = 0.06 * size, 0.06 * size + BAR / pixel_scale
    ax.plot([start, stop], [0.07 * size] * 2, color="white", linewidth=2)
    ax.text((start + stop) / 2, 0.1 * size, f"{BAR}″", color="white", ha="center", fontsize=9)


def residual_map(translated, truth, noise, ax=None, limit=LIMIT):
    """Show (translated - truth) / noise of one band (H, W) and return the picture.

    `noise` is the standard deviation of the noise, one number or (H, W). All residual maps share
    the scale -limit ... limit, white at zero, red where the translation is too bright.
    """
    ax = ax or plt.gca()
    residual = (np.asarray(translated) - np.asarray(truth)) / np.asarray(noise)
    picture = ax.imshow(residual, cmap=DIVERGING, vmin=-limit, vmax=limit)
    clean(ax)
    return picture


def residual_bar(picture, axes):
    """Add the one colour bar that the residual maps on `axes` share."""
    fig = picture.get_figure()
    style = {"location": "bottom", "extend": "both", "shrink": 0.7, "aspect": 35}
    return fig.colorbar(picture, ax=axes, label=r"(translation − truth) / noise $\sigma$", **style)


def with_n(label, n=None) -> str:
    """Append the number of galaxies to a label."""
    return label if n is None else f"{label} (n = {n:,})"


def interval(ax, x, value, low, high, model=None, label=None, n=None, **style):
    """Plot values with their intervals [low, high] as error bars, in the style of `model`.

    An interval that does not contain its value is refused: it is an error upstream.
    """
    value, low, high = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (value, low, high))
    if np.any(low > value) or np.any(high < value):
        raise GaltoolsError("an interval does not contain its value: check low and high")
    bars = [value - low, high - value]
    style = {"linestyle": "none", **model_style(model, label, n), **style}
    return ax.errorbar(np.atleast_1d(x), value, yerr=bars, **style)


def horizontal_interval(ax, e, y, model=None, **style):
    """Plot intervals (anything with value, low, high) along x at the heights y, as `interval`."""
    value, low, high = (np.atleast_1d(np.asarray(v, float)) for v in
                        (e.value, e.low, e.high))  # fmt: skip
    style = {"linestyle": "none", "markersize": 5, **model_style(model), **style}
    return ax.errorbar(value, np.atleast_1d(y), xerr=[value - low, high - value], **style)


def band(ax, x, value, low, high, **style):
    """Plot a curve with its interval [low, high] as a shaded band."""
    (line,) = ax.plot(x, value, **style)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return line


def model_style(model, label=None, n=None) -> dict:
    """Colour, marker and label of a model; an unknown model is drawn in the next free colour."""
    label = label or MODEL_NAME.get(model, model)
    style = {"color": MODEL_COLOUR.get(model), "marker": MODEL_MARKER.get(model, "o")}
    return {**style, "label": with_n(label, n) if label else None}
