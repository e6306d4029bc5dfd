"""The three interactive components of the book.

compare    any two renderings of a galaxy, swiped or blinked
samples    the samples of the diffusion model for one source
redshift   one galaxy moved through redshift

A component is a custom element with its data inside, as JSON; its pictures are the cells of one
sheet. `book/_static/touch.js` runs it, from disk and without a kernel; where there are no scripts,
and in print, the figure that it names is shown instead.
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

from companion import artificial_redshift, plotting
from companion.comparison import ComparisonSet
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.surveys import BANDS, SDSS, Survey

QUALITY = 90  # of the compressed sheet
POINTS = 40  # of the curve of a filter
FAINT = 2.0  # sky noises at which the grey scale turns from linear to logarithmic
R = BANDS.index("r")
WHITE = 300.0  # sky noises of SDSS that are white on the grey scale of the moving galaxy
OBSERVED = {"resample": ("source", "Source"), "truth": ("truth", "Truth")}


def colour(images) -> np.ndarray:
    """Colour pictures (..., H, W, 3), 8 bits, the first row on top, of (..., 5, H, W)."""
    images = np.asarray(images)
    flat = images.reshape(-1, *images.shape[-3:])
    return plotting.lupton(flat)[:, ::-1].reshape(*images.shape[:-3], *images.shape[-2:], 3)


def residual(images, truth, noise) -> np.ndarray:
    """Pictures (..., H, W, 3) of (images - truth) / noise on the scale of all residual maps."""
    scaled = (np.asarray(images) - truth) / noise
    return _painted(0.5 + scaled / (2 * plotting.LIMIT), plotting.DIVERGING)


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
        passband = curve.wavelength[curve.transmission > 0.01 * curve.transmission.max()]
        at = np.linspace(passband[0], passband[-1], POINTS)
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
    """Component `tag` with its data; it replaces the picture in `figure`."""
    inside = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    attributes = f'role="group" aria-label="{escape(label)}" data-figure="{escape(figure)}"'
    inner = f'<script type="application/json">{inside}</script>'
    return HTML(f'<{tag} class="touch" {attributes}>{inner}</{tag}>')


def choose_galaxies(sample: ComparisonSet, count: int) -> np.ndarray:
    """Numbers of at most `count` test galaxies, bright to faint, without the faintest fifth."""
    order = np.argsort(-sample.truth[:, R].sum(axis=(1, 2)))
    return order[np.linspace(0, 0.8 * (len(order) - 1), min(count, len(order))).astype(int)]


def _labels(sample: ComparisonSet, galaxies) -> list[dict]:
    """Short and long label of each galaxy."""
    total = np.maximum(sample.truth[galaxies, R].sum(axis=(1, 2)), 1e-3)
    lines = zip(sample.pairs.redshift[galaxies], 22.5 - 2.5 * np.log10(total), strict=True)
    return [
        {"short": f"z {z:.2f}", "description": f"redshift {z:.2f}, r magnitude {m:.1f}"}
        for z, m in lines
    ]


def galaxy_errors(sample: ComparisonSet, galaxies, row: str) -> tuple[np.ndarray, np.ndarray]:
    """Residual, rms in units of the sky noise, and error of the flux in per cent; r band."""
    image, truth = sample.images[row][galaxies, R], sample.truth[galaxies, R]
    chi = (image - truth) / sample.sigma[galaxies, R, None, None]
    here, there = (photometry.aperture_flux(x, sample.pixel_scale) for x in (image, truth))
    return np.sqrt((chi**2).mean(axis=(1, 2))), 100 * (here / there - 1)


def comparison_data(sample: ComparisonSet, galaxies, models: list[str]) -> dict:
    """Every rendering of the galaxies in colour, and the residuals of each in r."""
    layers, cells = [], []
    for row in ("resample", "truth", "again", *models):
        key, label = OBSERVED.get(row, (row, plotting.MODEL_NAME.get(row, row)))
        group, of = ("Translations", {"of": row}) if row in models else ("Observations", {})
        layers.append({"key": key, "label": label, "group": group, **of})
        cells.append(colour(sample.images[row][galaxies]))
    truth, sigma = sample.truth[galaxies, R], sample.sigma[galaxies, R, None, None]
    for row in ("again", *models):
        label = f"{plotting.MODEL_NAME.get(row, row)}: residual"
        of = {"of": row} if row in models else {}
        layers.append({"key": f"residual {row}", "label": label, "group": "Residuals, r", **of})
        cells.append(residual(sample.images[row][galaxies, R], truth, sigma))
    listed = _labels(sample, galaxies)
    for model in models:
        for one, chi, flux in zip(listed, *galaxy_errors(sample, galaxies, model), strict=True):
            numbers = {"chi": f"{chi:.1f}", "flux": f"{flux:+z.1f}".replace("-", "−")}
            one.setdefault("numbers", {})[model] = numbers
    return {
        "size": truth.shape[-1],
        "sheet": sheet(np.stack(cells, axis=1)),
        "layers": layers,
        "galaxies": listed,
        "left": "source",
        "right": models[0],
    }


def sample_flux_errors(sample: ComparisonSet, galaxies, samples: np.ndarray) -> np.ndarray:
    """Error in per cent (n, K) of the r flux within 3 arcsec of samples (n, K, 5, H, W)."""
    truth = photometry.aperture_flux(sample.truth[galaxies, R], sample.pixel_scale)
    return 100 * (
        photometry.aperture_flux(samples[:, :, R], sample.pixel_scale) / truth[:, None] - 1
    )


def samples_data(sample: ComparisonSet, galaxies, images: np.ndarray) -> dict:
    """Samples (n, K, 5, H, W) of the galaxies: in colour, less their mean, and their scatter."""
    sigma, count = sample.sigma[galaxies, R, None, None], images.shape[1]
    mean = images.mean(axis=1)
    scatter = images[:, :, R].std(axis=1, ddof=min(1, count - 1)) / sigma
    widest = max(float(scatter.max()), 1.0)
    cells = [
        *(colour(images[:, k]) for k in range(count)),
        *(residual(images[:, k, R], mean[:, R], sigma) for k in range(count)),
        *(colour(x[galaxies]) for x in (sample.truth, sample.images["resample"])),
        colour(mean),
        grey(scatter, 1.0, widest),
    ]
    flux_errors = sample_flux_errors(sample, galaxies, images)
    listed = _labels(sample, galaxies)
    for one, line in zip(listed, flux_errors, strict=True):
        one["flux_errors"] = np.round(line, 3).tolist()
    reach = float(np.percentile(np.abs(flux_errors), 80))
    return {
        "size": images.shape[-1],
        "sheet": sheet(np.stack(cells, axis=1)),
        "count": count,
        "galaxies": listed,
        "reach": reach,
        "widest": round(widest),
    }


def choose_kinds(catalogue, count: int) -> list[int]:
    """Numbers of the largest spiral, elliptical and lenticular galaxy, then of other large ones."""
    size, kinds = np.asarray(catalogue["half_light_radius"]), np.asarray(catalogue["morphology"])
    order = np.argsort(-size)
    best = [next((k for k in order if kinds[k] == kind), None)
            for kind in ("spiral", "elliptical", "lenticular")]  # fmt: skip
    chosen = [int(k) for k in (*best, *order) if k is not None]
    return list(dict.fromkeys(chosen))[:count]


def redshift_images(galaxy, redshifts, survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (steps, 6, H, W, 3), colour and ugriz, and magnitudes of a row of a catalogue."""
    where = int(galaxy["galaxy"]), redshifts, survey, int(galaxy["seed"])
    images, magnitudes = artificial_redshift.redshifted_images(*where)
    greys = grey(images / survey_noise(survey)[:, None, None], 1.0, WHITE)
    return np.concatenate([colour(images)[:, None], greys], axis=1), magnitudes


def redshift_data(catalogue, galaxies: list[int], redshifts, surveys) -> dict:
    """Galaxies at all redshifts as `surveys` see them, with the filters and magnitudes."""
    stacks = [[redshift_images(catalogue[g], redshifts, s) for s in surveys] for g in galaxies]
    listed = []
    for g, pair in zip(galaxies, stacks, strict=True):
        kind, z = str(catalogue["morphology"][g]), catalogue["redshift"][g]
        shown = [np.round(magnitudes, 2).tolist() for _, magnitudes in pair]
        labels = {"short": kind, "description": f"{kind}, simulated at z {z:.2f}"}
        listed.append(labels | {"magnitudes": shown})
    cells = np.concatenate([pictures for pair in stacks for pictures, _ in pair])
    return {
        "size": cells.shape[2],
        "sheet": sheet(cells),
        "redshifts": np.round(redshifts, 3).tolist(),
        "start": int(np.argmin(np.abs(np.asarray(redshifts) - 0.1))),
        "surveys": [{"name": s.name, "filters": filters(s), "pivots": pivots(s)} for s in surveys],
        "galaxies": listed,
        "bands": list(BANDS),
        "colours": [plotting.BAND_COLOUR[band] for band in BANDS],
    }
