"""Fluxes of the components of a galaxy: bulge, disc, young stars, bar or tail, dust lane."""

import numpy as np
from scipy.interpolate import make_interp_spline

from galtools.simulate import features, population, spectra
from galtools.surveys import BANDS, SDSS, filters_of, log_pivots, reference_band

COMPONENTS = ("bulge", "companion's bulge", "disc", "companion's disc", "arms", "bar", "lane")
MERGER = "merger"  # morphology
LARGEST_PART = 0.75  # of the flux of any band in bulge, bar and arms; the disc has the rest
YOUNG_EMISSION = 40.0  # Å, width of H alpha
DUST_DEPTH = (1.3, 1.1, 0.9, 0.75, 0.6)  # of a lane, ugriz, relative to the mean


def component_fluxes(physics: dict, shape: dict, surveys) -> dict:
    """Fluxes of galaxies in nanomaggies: `total` (n, surveys, bands) and `components`.

    `components` (n, surveys, bands, C) are those of `COMPONENTS`. Without the companion they add up
    to the total in every band: the disc is what the others leave, in early types the bulge is what
    the disc leaves. `shape` is the morphology. `bulge_to_total` is that of the first survey's r,
    or other `reference_band`.
    """
    total, old, blue = _spectra(physics, surveys)
    early = physics["early"][:, None]
    merger = shape["morphology"] == MERGER
    fraction = physics["bulge_fraction"][:, None]
    made = np.where(early, (1 - fraction) * blue, fraction * old)  # disc of early, bulge of others
    arms = shape["arm_fraction"][:, None] * blue
    bar = ((shape["bar"] | merger) * shape["bar_fraction"])[:, None] * old
    scale = np.minimum(1, (LARGEST_PART * total / (made + arms + bar)).min(axis=1))[:, None]
    made, arms, bar = scale * made, scale * arms, scale * bar
    rest = total - made - arms - bar
    bulge, disc = np.where(early, (rest, made), (made, rest))
    depth = (shape["dust_lane"] * shape["lane_depth"])[:, None] * dust_depths(surveys)
    lane = features.lane_flux(depth)
    lane = disc * lane / (1 - lane)
    other = (merger * shape["companion_flux"])[:, None] * total
    parts = [bulge, 0.3 * other, disc + lane, 0.7 * other, arms, bar, -lane]
    bands = surveys[0].bands
    return {
        "total": population.per_survey(total, surveys),
        "components": population.per_survey(np.stack(parts, axis=-1), surveys),
        "bulge_to_total": (bulge / total)[:, bands.index(reference_band(bands))],
    }


def dust_depths(surveys) -> np.ndarray:
    """`DUST_DEPTH` in the bands of all surveys, in other bands than ugriz linear in ln lambda."""
    known = dict(zip(BANDS, DUST_DEPTH, strict=True))
    placed = make_interp_spline(log_pivots(SDSS), DUST_DEPTH, k=1)
    return np.array(
        [
            known.get(band, depth)
            for survey in surveys
            for band, depth in zip(survey.bands, placed(log_pivots(survey)), strict=True)
        ]
    )


def _spectra(physics, surveys):
    """Band fluxes (n, bands) of the whole galaxy, of its old and of its young stars.

    All are normalised to the r magnitude of the galaxy, and looked up at once.
    """
    filters = filters_of(surveys)
    whole = {name: physics[name] for name in spectra.PARAMETERS}
    old = {**_relative(physics, "old"), "emission": np.zeros(len(whole["kind"]))}
    old["break_step"] = whole["break_step"] + physics["old_break"]
    lines = np.where(physics["early"], whole["emission"], YOUNG_EMISSION)
    blue = {**_relative(physics, "young"), "emission": lines}
    stacked = {k: np.concatenate([s[k] for s in (whole, old, blue)]) for k in spectra.PARAMETERS}
    at = (np.tile(physics[name], 3) for name in ("redshift", "r_magnitude"))
    return population.normalised_fluxes(filters, stacked, *at).reshape(3, -1, len(filters))


def _relative(physics, stars: str) -> dict:
    """Spectrum of a galaxy's old or young stars."""
    kind, dust, tilt = (physics[f"{stars}_{name}"] for name in ("kind", "dust", "tilt"))
    changed = {
        "kind": np.clip(physics["kind"] + kind, 0.0, 3.0),
        "dust": np.minimum(physics["dust"] * np.exp(dust), 2.9),
        "tilt": np.clip(physics["tilt"] + tilt, -0.5, 0.5),
    }
    return {name: changed.get(name, physics[name]) for name in spectra.PARAMETERS}
