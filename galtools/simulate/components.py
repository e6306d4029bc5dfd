"""Fluxes of the components of a galaxy: bulge, disc, young stars, bar or tail, dust lane."""

import numpy as np

from galtools.simulate import features, population, spectra
from galtools.surveys import BANDS

COMPONENTS = ("bulge", "companion's bulge", "disc", "companion's disc", "arms", "bar", "lane")
MERGER = "merger"  # morphology
LARGEST_PART = 0.75  # of the flux of any band in bulge, bar and arms; the disc has the rest
DUST_DEPTH = np.array([1.3, 1.1, 0.9, 0.75, 0.6])  # of a lane, ugriz, relative to the mean


def component_fluxes(physics: dict, shape: dict, surveys) -> dict:
    """Fluxes of galaxies in nanomaggies: `total` (n, surveys, 5) and `components`.

    `components` (n, surveys, 5, C) are those of `COMPONENTS`. Without the companion they add up to
    the total in every band: the disc is what the others leave. `shape` is the morphology.
    """
    total, old, blue = _spectra(physics, surveys)
    early = physics["early"][:, None]
    merger = shape["morphology"] == MERGER
    bulge = physics["bulge_fraction"][:, None] * np.where(early, total, old)
    arms = shape["arm_fraction"][:, None] * blue
    bar = ((shape["bar"] | merger) * shape["bar_fraction"])[:, None] * old
    most = np.where(early, 1.0, LARGEST_PART)
    scale = np.minimum(1, (most * total / (bulge + arms + bar)).min(axis=1))[:, None]
    bulge, arms, bar = scale * bulge, scale * arms, scale * bar
    disc = total - bulge - arms - bar
    depth = (shape["dust_lane"] * shape["lane_depth"])[:, None] * np.tile(DUST_DEPTH, len(surveys))
    lane = features.lane_flux(depth)
    lane = disc * lane / (1 - lane)
    other = (merger * shape["companion_flux"])[:, None] * total
    parts = [bulge, 0.3 * other, disc + lane, 0.7 * other, arms, bar, -lane]
    components = np.stack(parts, axis=-1).reshape(len(total), len(surveys), len(BANDS), -1)
    return {
        "total": total.reshape(len(total), len(surveys), len(BANDS)),
        "components": components,
        "bulge_to_total_r": (bulge / total)[:, BANDS.index("r")],
    }


def _spectra(physics, surveys):
    """Band fluxes (n, bands) of the whole galaxy, of its old and of its young stars.

    All are normalised to the r magnitude of the galaxy, and looked up at once.
    """
    filters = [name for survey in surveys for name in survey.filters]
    n = len(physics["redshift"])
    whole = {name: physics[name] for name in spectra.PARAMETERS}
    old = {**whole, "kind": np.maximum(whole["kind"] - 0.8, 0.1), "emission": np.zeros(n)}
    blue = {**whole, "kind": np.minimum(whole["kind"] + 0.9, 3.0), "emission": np.full(n, 40.0)}
    stacked = {k: np.concatenate([s[k] for s in (whole, old, blue)]) for k in spectra.PARAMETERS}
    at = (np.tile(physics[name], 3) for name in ("redshift", "r_magnitude"))
    return population.normalised_fluxes(filters, stacked, *at).reshape(3, n, len(filters))
