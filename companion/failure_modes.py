"""Known faults of translations, put into true images: which of them does a card notice?

A fault turns images of the target survey into faulty ones. It is noticed if it moves a metric of a
card further than another observation of the same galaxies does, in units of the intervals.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from galtools import simulate
from galtools.data import Pairs
from galtools.fidelity import scorecard
from galtools.surveys import BANDS, CFHTLS, SDSS, Survey

N_BOOT = 200


def _blur(images, pixel_scale, fwhm):
    return gaussian_filter(images, (0, 0, *(fwhm / 2.355 / pixel_scale,) * 2))


def _distance(images, pixel_scale, x=0.0, y=0.0):
    """Distance (H, W) in arcsec from a point, which lies (x, y) arcsec from the centre."""
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
    return pixel_scale * np.hypot(rows[:, None] - y / pixel_scale, columns - x / pixel_scale)


def _add_star(images, pixel_scale, sigma):
    """A star at 5 arcsec, 20 sigma high in every band: the source survey hardly sees it."""
    profile = np.exp(-0.5 * (_distance(images, pixel_scale, 5.0) / 0.35) ** 2)
    return images + 20 * sigma[..., None, None] * profile


def _forget_surroundings(images, pixel_scale, sigma):
    """No neighbours: pure noise beyond 7 arcsec."""
    noise = np.random.default_rng(0).normal(size=images.shape) * sigma[..., None, None]
    return np.where(_distance(images, pixel_scale) > 7, noise, images)


def _colour_shift(images):
    changed = images.copy()
    changed[:, BANDS.index("g")] *= 1.03
    return changed


FAULTS = {  # name: images, pixel scale, sky noise (n, bands) -> images
    "nothing": lambda y, scale, sigma: y,
    "5 % too bright": lambda y, scale, sigma: 1.05 * y,
    "g 3 % too bright": lambda y, scale, sigma: _colour_shift(y),
    "g and r exchanged": lambda y, scale, sigma: y[:, [0, 2, 1, 3, 4]],
    "another galaxy": lambda y, scale, sigma: np.roll(y, 1, axis=0),
    "mirrored": lambda y, scale, sigma: y[..., ::-1],
    "pedestal of 0.5 σ": lambda y, scale, sigma: y + 0.5 * sigma[..., None, None],
    "blurred by 1 arcsec": lambda y, scale, sigma: _blur(y, scale, 1.0),
    "blurred by 0.3 arcsec": lambda y, scale, sigma: _blur(y, scale, 0.3),
    "star added": _add_star,
    "no neighbours": _forget_surroundings,
    "noise tripled": lambda y, scale, sigma: (
        y + np.random.default_rng(1).normal(size=y.shape) * 8**0.5 * sigma[..., None, None]
    ),
}


def _deviation(table: pd.DataFrame, control: pd.DataFrame) -> tuple[float, str]:
    """Largest shift of a metric against the control, in units of both half intervals, and which."""
    both = table.merge(control, on=["level", "band", "metric"], suffixes=("", "_control"))
    half = [(both[f"high{x}"] - both[f"low{x}"]) / 2 for x in ("", "_control")]
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (both.value - both.value_control).abs() / np.hypot(*half)
    shift = shift.where(np.isfinite(shift), 0)
    best = both.loc[shift.idxmax()]
    return float(shift.max()), f"{best.metric}, {best.band}"


def noticed(pairs: Pairs, again: np.ndarray, third: np.ndarray, survey: Survey) -> pd.DataFrame:
    """Shift of the most telling metric of both cards for every fault, one line per fault.

    `again` and `third` are further observations (n, 5, H, W) of the targets. Faults are put into
    `third` and compared with `again`; what the line "nothing" shows is chance.
    """
    sigma, scale = pairs.target_set.noise.astype(float), survey.pixel_scale

    def tables(images):
        full = scorecard.card(pairs.target_set, images, morphology=0, n_boot=N_BOOT)
        alone = scorecard.card_without_truth(
            pairs.source_set, images, survey=survey, pixel_scale=scale, n_boot=N_BOOT
        )
        return full.table, alone.table

    control, rows = tables(again), []
    for fault, change in FAULTS.items():
        deviations = map(_deviation, tables(change(third, scale, sigma)), control)
        (full, full_metric), (alone, alone_metric) = deviations
        rows.append((fault, full, full_metric, alone, alone_metric))
    columns = ["fault", "full", "full_metric", "source", "source_metric"]
    return pd.DataFrame(rows, columns=columns).set_index("fault")


def simulated(n: int, seed: int) -> pd.DataFrame:
    """`noticed` of n simulated galaxies on the SDSS grid, without zero-point errors."""
    ideal = [replace(survey, calibration_error=(0.0,) * len(BANDS)) for survey in (SDSS, CFHTLS)]
    options = {"seed": seed, "survey_from": ideal[0], "survey_to": ideal[1], "grid": "sdss"}
    first, again, third = (simulate.pairs(n, observation=k, **options) for k in range(3))
    return noticed(first, again.target, third.target, CFHTLS.on_grid_of(SDSS))
