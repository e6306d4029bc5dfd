"""Data of the three interactive components (`interactive.custom_element`), from artefacts.

compare    any two renderings of a galaxy, swiped or blinked
samples    the samples of the diffusion model for one source
redshift   one galaxy moved through redshift

and still pictures for the first pages of the book: `portrait`, `lineup` and `residuals`.
"""

import matplotlib.pyplot as plt
import numpy as np

from companion import artificial_redshift, interactive, plotting
from companion.comparison import ComparisonSet
from galtools.data import photometry
from galtools.surveys import BANDS, Survey

R = BANDS.index("r")
WHITE = 300.0  # sky noises of SDSS that are white on the grey scale of the moving galaxy
OBSERVED = {"resample": ("source", "Source"), "truth": ("truth", "Truth")}


def choose_galaxies(sample: ComparisonSet, count: int) -> np.ndarray:
    """Numbers of at most `count` test galaxies, bright to faint, without the faintest fifth."""
    order = np.argsort(-sample.truth[:, R].sum(axis=(1, 2)))
    return order[np.linspace(0, 0.8 * (len(order) - 1), min(count, len(order))).astype(int)]


def _labels(sample: ComparisonSet, galaxies) -> list[dict]:
    """Short and long label of each galaxy."""
    total = np.maximum(sample.truth[galaxies, R].sum(axis=(1, 2)), 1e-3)
    lines = zip(sample.pairs.redshift[galaxies], 22.5 - 2.5 * np.log10(total), strict=True)
    return [
        {"short": f"z {z:.2f}", "told": f"redshift {z:.2f}, r magnitude {m:.1f}"} for z, m in lines
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
        cells.append(interactive.colour(sample.images[row][galaxies]))
    truth, sigma = sample.truth[galaxies, R], sample.sigma[galaxies, R, None, None]
    for row in ("again", *models):
        label = f"{plotting.MODEL_NAME.get(row, row)}: residual"
        of = {"of": row} if row in models else {}
        layers.append({"key": f"residual {row}", "label": label, "group": "Residuals, r", **of})
        cells.append(interactive.residual(sample.images[row][galaxies, R], truth, sigma))
    listed = _labels(sample, galaxies)
    for model in models:
        for one, chi, light in zip(listed, *galaxy_errors(sample, galaxies, model), strict=True):
            numbers = {"chi": f"{chi:.1f}", "light": f"{light:+z.1f}".replace("-", "−")}
            one.setdefault("numbers", {})[model] = numbers
    return {
        "size": truth.shape[-1],
        "sheet": interactive.sheet(np.stack(cells, axis=1)),
        "layers": layers,
        "galaxies": listed,
        "left": "source",
        "right": models[0],
    }


def portrait(sample: ComparisonSet, galaxies, model: str):
    """Draw galaxies large: as both surveys see them, as a model translates them, what differs."""
    titles = {"SDSS": "resample", "translated": model, "CFHTLS": "truth"}
    size = (plotting.WIDTH, 0.245 * plotting.WIDTH * len(galaxies) + 0.3)
    fig, axes = plt.subplots(len(galaxies), 4, figsize=size, squeeze=False)
    fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
    for (title, row), column in zip(titles.items(), axes.T, strict=False):
        column[0].set_title(title)
        for ax, picture in zip(column, plotting.lupton(sample.images[row][galaxies]), strict=True):
            ax.imshow(picture)
            plotting.clean(ax)
    axes[0, 3].set_title("difference")
    for ax, galaxy in zip(axes[:, 3], galaxies, strict=True):
        images = (sample.images[model][galaxy, R], sample.truth[galaxy, R])
        plotting.residual_map(*images, sample.sigma[galaxy, R], ax)
    return fig


def lineup(sample: ComparisonSet, galaxies, rows):
    """Draw galaxies in colour: a line for each of them, a column for each of `rows`."""
    pictures = np.stack([sample.images[row][galaxies] for row in rows], axis=1)
    names = [OBSERVED.get(row, (row, plotting.MODEL_NAME.get(row, row)))[1] for row in rows]
    labels = [f"z = {z:.2f}" for z in sample.pairs.redshift[galaxies]]
    return plotting.stamps(list(pictures), labels, [name.replace(" ", "\n") for name in names])


def residuals(sample: ComparisonSet, galaxies, rows):
    """Draw (image - truth) / noise in r: a line for every galaxy, a column for each of `rows`."""
    size = (plotting.WIDTH, plotting.WIDTH / len(rows) * len(galaxies) + 1.1)
    fig, axes = plt.subplots(len(galaxies), len(rows), figsize=size, squeeze=False)
    fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
    for row, column in zip(rows, axes.T, strict=True):
        column[0].set_title(plotting.MODEL_NAME.get(row, row).replace(" ", "\n"), fontsize=10)
        for ax, galaxy in zip(column, galaxies, strict=True):
            images = (sample.images[row][galaxy, R], sample.truth[galaxy, R])
            picture = plotting.residual_map(*images, sample.sigma[galaxy, R], ax)
    plotting.residual_bar(picture, axes)
    return fig


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
        *(interactive.colour(images[:, k]) for k in range(count)),
        *(interactive.residual(images[:, k, R], mean[:, R], sigma) for k in range(count)),
        *(interactive.colour(x[galaxies]) for x in (sample.truth, sample.images["resample"])),
        interactive.colour(mean),
        interactive.grey(scatter, 1.0, widest),
    ]
    light = sample_flux_errors(sample, galaxies, images)
    listed = _labels(sample, galaxies)
    for one, line in zip(listed, light, strict=True):
        one["light"] = np.round(line, 3).tolist()
    reach = float(np.percentile(np.abs(light), 80))
    return {
        "size": images.shape[-1],
        "sheet": interactive.sheet(np.stack(cells, axis=1)),
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
    found = [int(k) for k in (*best, *order) if k is not None]
    return list(dict.fromkeys(found))[:count]


def redshift_images(galaxy, redshifts, survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (steps, 6, H, W, 3), colour and ugriz, and magnitudes of a row of a catalogue."""
    where = int(galaxy["galaxy"]), redshifts, survey, int(galaxy["seed"])
    images, magnitudes = artificial_redshift.redshifted_images(*where)
    greys = interactive.grey(images / interactive.survey_noise(survey)[:, None, None], 1.0, WHITE)
    return np.concatenate([interactive.colour(images)[:, None], greys], axis=1), magnitudes


def redshift_data(catalogue, galaxies: list[int], redshifts, surveys) -> dict:
    """Galaxies at all redshifts as `surveys` see them, with the filters and magnitudes."""
    stacks = [[redshift_images(catalogue[g], redshifts, s) for s in surveys] for g in galaxies]
    listed = [
        {
            "short": str(catalogue["morphology"][g]),
            "told": f"{catalogue['morphology'][g]}, by birth at z {catalogue['redshift'][g]:.2f}",
            "magnitudes": [np.round(magnitudes, 2).tolist() for _, magnitudes in pair],
        }
        for g, pair in zip(galaxies, stacks, strict=True)
    ]
    cells = np.concatenate([pictures for pair in stacks for pictures, _ in pair])
    return {
        "size": cells.shape[2],
        "sheet": interactive.sheet(cells),
        "redshifts": np.round(redshifts, 3).tolist(),
        "start": int(np.argmin(np.abs(np.asarray(redshifts) - 0.1))),
        "surveys": [
            {"name": s.name, "filters": interactive.filters(s), "pivots": interactive.pivots(s)}
            for s in surveys
        ],
        "galaxies": listed,
        "bands": list(BANDS),
        "colours": [plotting.BAND_COLOUR[band] for band in BANDS],
    }
