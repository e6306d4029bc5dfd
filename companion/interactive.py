"""Small pictures and numbers for the components of the book that a reader can touch.

A component is a custom element with its data inside, as JSON; its pictures are the cells of one
sheet. `book/_static/touch.js` brings it to life, from disk and without a kernel; where there are no
scripts, and in print, the figure that it names is shown instead.
"""

import base64
import io
import json
from html import escape

import matplotlib as mpl
import numpy as np
from IPython.display import HTML
from PIL import Image
from sedpy.observate import load_filters

from companion import plotting
from galtools.errors import GaltoolsError
from galtools.surveys import SDSS

QUALITY = 90  # of the compressed sheet
POINTS = 40  # of the curve of a filter
LIMIT = 5.0  # of the residual maps, as in `plots.residual_map`
FAINT = 2.0  # sky noises at which the grey scale turns from linear to logarithmic


def colour(images) -> np.ndarray:
    """Colour pictures (..., H, W, 3), 8 bits, the first row on top, of (..., 5, H, W)."""
    images = np.asarray(images)
    flat = images.reshape(-1, *images.shape[-3:])
    return plotting.lupton(flat)[:, ::-1].reshape(*images.shape[:-3], *images.shape[-2:], 3)


def residual(images, truth, noise) -> np.ndarray:
    """Pictures (..., H, W, 3) of (images - truth) / noise on the scale of all residual maps."""
    scaled = (np.asarray(images) - truth) / noise
    return _painted(0.5 + scaled / (2 * LIMIT), plotting.DIVERGING)


def grey(images, noise, brightest: float) -> np.ndarray:
    """Pictures (..., H, W, 3): asinh of the flux in units of `noise`, white at `brightest`."""
    top = np.arcsinh(brightest / FAINT)
    return _painted(np.arcsinh(np.asarray(images) / noise / FAINT) / top, "gray")


def _painted(values, colours) -> np.ndarray:
    painted = mpl.colormaps[colours](np.clip(np.nan_to_num(values), 0, 1), bytes=True)
    return painted[..., ::-1, :, :3]


def sheet(cells) -> str:
    """One picture of a grid of equal cells (rows, columns, H, W, 3), as a data URI."""
    cells = np.asarray(cells)
    if cells.ndim != 5 or cells.dtype != np.uint8:
        raise GaltoolsError(f"a sheet is (rows, columns, H, W, 3) in 8 bits, not {cells.shape}")
    rows, columns, height, width, _ = cells.shape
    flat = cells.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    file = io.BytesIO()
    Image.fromarray(flat).save(file, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def filters(survey) -> list:
    """Transmission of a survey's filters, [[wavelength in Å, share of the top], ...] per band."""
    curves = []
    for curve in load_filters(list(survey.filters)):
        seen = curve.wavelength[curve.transmission > 0.01 * curve.transmission.max()]
        at = np.linspace(seen[0], seen[-1], POINTS)
        height = np.interp(at, curve.wavelength, curve.transmission / curve.transmission.max())
        curves.append(np.round(np.column_stack([at, height]), 3).tolist())
    return curves


def pivots(survey) -> list:
    """Pivot wavelengths of a survey's filters, Å."""
    return [round(float(curve.wave_pivot)) for curve in load_filters(list(survey.filters))]


def survey_noise(survey) -> np.ndarray:
    """Sky noise (5,) of SDSS for a pixel of this survey's size, in nanomaggies."""
    return np.asarray(SDSS.sky_noise) * survey.pixel_scale / SDSS.pixel_scale


def custom_element(tag: str, data: dict, label: str, figure: str) -> HTML:
    """Component `tag` with its data; it takes the place of the picture in `figure`."""
    inside = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    about = f'role="group" aria-label="{escape(label)}" data-figure="{escape(figure)}"'
    inner = f'<script type="application/json">{inside}</script>'
    return HTML(f'<{tag} class="touch" {about}>{inner}</{tag}>')
