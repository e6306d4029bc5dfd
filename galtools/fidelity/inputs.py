"""Checks of images from elsewhere before they are measured: refuse them, or note what is odd."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, structure
from galtools.fidelity.metrics import COLUMNS, check, chunks
from galtools.surveys import BANDS, CFHTLS, SDSS

FOREIGN = 20  # a median flux ratio beyond this means other units
PLAUSIBLE = (1e-3, 1e4)  # nanomaggies of a median galaxy: 30th to 12.5th magnitude
SMALLEST = 16  # pixels along a side of a stamp: less shows no sky
SWAPPED = 0.2  # dex, in all bands together, that another order of the bands has to fit better
FACTOR_1000 = "times as bright as the truth, the factor 1000 between zero points 30 and 22.5"


@dataclass
class Inputs:
    """Images that passed, what is known about them, and notes on what is odd."""

    truth: object
    translated: object
    bands: tuple[str, ...]
    pixel_scale: float
    sigma: np.ndarray  # (n, bands) sky noise of the truth
    facts: dict[str, np.ndarray]  # per galaxy and band
    weights: object = None  # as the images; pixels of weight zero do not count
    notes: list[str] = field(default_factory=list)


def check_inputs(
    truth, translated, bands=None, pixel_scale=None, noise=None, weights=None
) -> Inputs:
    """Check the images and look up, or estimate, what is not given."""
    truth, translated = check_real(truth, "truth"), check_real(translated, "translated")
    _check_layout(truth, translated, weights)
    bands = _name_bands(truth.shape[1], bands)
    notes = []
    if pixel_scale is None:
        pixel_scale = _guess_scale(truth.shape[-1])
        notes.append(f"pixel scale: not given, taken to be {pixel_scale} arcsec from the size")
    check_positive(pixel_scale, "pixel_scale", "arcsec per pixel")
    facts, finite = _gather_facts(truth, translated, weights)
    check_units(facts["flux_truth"], facts["flux_translated"], "translation")
    if noise is None:
        sigma = facts["sigma"]
        notes.insert(0, "noise: not given, estimated from the edges of the truth")
    else:
        sigma = _per_galaxy(noise, truth.shape[:2])
    notes += _odd_galaxies(facts, finite) + _odd_order(facts, bands) + _odd_units(facts)
    return Inputs(truth, translated, bands, pixel_scale, sigma, facts, weights, notes)


def check_real(images, name: str):
    """Refuse images that are no real numbers; lists become arrays, files stay files."""
    if not hasattr(images, "shape"):
        try:
            images = np.asarray(images, float)
        except (TypeError, ValueError):
            raise GaltoolsError(
                f"{name} is no array of numbers (galaxies, bands, height, width)"
            ) from None
    if np.dtype(getattr(images, "dtype", float)).kind not in "fiu":
        raise GaltoolsError(f"{name} holds {images.dtype}: hand in real numbers, as float32")
    return images


def check_positive(value, name: str, unit: str):
    """Refuse a number, or numbers, that are not positive."""
    try:
        numbers = np.atleast_1d(np.asarray(value, float))
    except (TypeError, ValueError):
        raise GaltoolsError(f"{name} must be positive, in {unit}, not {value!s:.40}") from None
    wrong = numbers[~((numbers > 0) & np.isfinite(numbers))]
    if wrong.size:
        raise GaltoolsError(f"{name} must be positive, in {unit}, not {wrong.flat[0]:g}")
    return value


def _check_layout(truth, translated, weights) -> None:
    """Refuse images of different shapes, common mistakes by name."""
    here, there = tuple(truth.shape), tuple(translated.shape)
    for name, shape in (("truth", here), ("translated", there)):
        if len(shape) == 4 and shape[-1] <= 10 < shape[1]:
            raise GaltoolsError(
                f"{name} has shape {shape}, bands last: move them, np.moveaxis(images, -1, 1)"
            )
    if len(here) == len(there) == 4:
        for axis, what, advice in (
            (0, "galaxies", "match them first"),
            (1, "bands", "hand in the same bands"),
        ):
            if here[axis] != there[axis]:
                raise GaltoolsError(
                    f"truth has {here[axis]} {what} and the translation {there[axis]}: {advice}"
                )
        if here != there:
            raise GaltoolsError(
                f"truth is {here[2]} x {here[3]} pixels and the translation {there[2]} x "
                f"{there[3]}: resample one onto the grid of the other"
            )
    check(truth, translated)
    if min(here[2:]) < SMALLEST:
        raise GaltoolsError(
            f"stamps of {here[2]} x {here[3]} pixels are too small: give at least "
            f"{SMALLEST} x {SMALLEST}"
        )
    if weights is not None and np.shape(weights) != here:
        raise GaltoolsError(f"weights have shape {np.shape(weights)}, images {here}")
    if weights is not None and np.any(np.asarray(weights) < 0):
        raise GaltoolsError("weights must not be negative: 0 leaves a pixel out")


def _name_bands(count: int, bands) -> tuple[str, ...]:
    if bands is None:
        if count != len(BANDS):
            raise GaltoolsError(f"the images have {count} bands: name them, e.g. bands='gri'")
        return BANDS
    if len(bands) != count or len(set(bands)) != count:
        raise GaltoolsError(f"bands {tuple(bands)} do not name the {count} bands of the images")
    return tuple(bands)


def _guess_scale(width: int) -> float:
    known = {survey.stamp: survey.pixel_scale for survey in (SDSS, CFHTLS)}
    if width not in known:
        raise GaltoolsError(
            f"stamps of {width} pixels are of no known survey: give pixel_scale in arcsec"
        )
    return known[width]


def _per_galaxy(noise, shape) -> np.ndarray:
    try:
        sigma = np.array(np.broadcast_to(np.asarray(noise, float), shape))
    except ValueError:
        raise GaltoolsError(
            f"noise has shape {np.shape(noise)}: give one number per band, or {shape}"
        ) from None
    return check_positive(sigma, "noise", "nanomaggies per pixel")


def _gather_facts(truth, translated, weights) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fluxes, noise, and what is broken (n, bands); a map (H, W) of pixels that are finite in all.

    One pass over the images.
    """
    parts, all_finite = [], True
    for _, x, y, valid in chunks(truth, translated, weights):
        finite = np.isfinite(x) & np.isfinite(y)
        all_finite = all_finite & finite.all((0, 1))
        x, y = (np.where(np.isfinite(images), images, 0) for images in (x, y))
        sigma = structure.noise_level(x, valid)
        part = {
            "broken": ~finite.all((2, 3)),
            "constant": (np.ptp(x, axis=(2, 3)) == 0) | (np.ptp(y, axis=(2, 3)) == 0),
            "flux_truth": x.sum((2, 3)),
            "flux_translated": y.sum((2, 3)),
            "sigma": np.where(sigma > 0, sigma, np.nan),  # no noise, no unit of noise
        }
        part["no_flux"] = (part["flux_truth"] <= 0) | (part["flux_translated"] <= 0)
        parts.append(part)
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}, all_finite


def check_units(x, y, name: str) -> None:
    """Refuse images whose fluxes y are in other units than those of the truth, x."""
    good = (x > 0) & (y > 0)
    ratio = np.median(y[good] / x[good]) if good.any() else 1.0
    if 1 / FOREIGN < ratio < FOREIGN:
        return
    for factor, advice in ((1000, "divide it by 1000"), (0.001, "multiply it by 1000")):
        if 0.5 < ratio / factor < 2:
            raise GaltoolsError(
                f"the {name} is {ratio:.3g} {FACTOR_1000}: {advice}, or bring both to nanomaggies"
            )
    raise GaltoolsError(
        f"the {name} is {ratio:.3g} times as bright as the truth: bring both to nanomaggies"
    )


def fluxes(images, weights=None) -> np.ndarray:
    """Total fluxes (n, bands); NaN where a pixel is."""
    return np.concatenate([x.sum((2, 3)) for _, x, *_ in chunks(images, images, weights)])


def _median_fluxes(facts, side) -> np.ndarray | None:
    """Median flux in every band, if it is positive in all of them."""
    flux = np.where(facts["broken"], np.nan, facts[f"flux_{side}"])
    if np.isnan(flux).all(axis=0).any():
        return None
    found = np.nanmedian(flux, axis=0)
    return found if (found > 0).all() else None


def _odd_order(facts, bands) -> list[str]:
    """Note if the translation's median fluxes fit those of the truth better in another order."""
    x, y = (_median_fluxes(facts, side) for side in ("truth", "translated"))
    if x is None or y is None:
        return []
    distance = np.abs(np.log10(y[None] / x[:, None]))
    rows, order = linear_sum_assignment(distance)
    if np.trace(distance) - distance[rows, order].sum() <= SWAPPED:
        return []
    names = ", ".join(bands[k] for k in np.argsort(order))
    return [f"the translation's bands fit better as {names}: another order of the bands?"]


def _odd_units(facts) -> list[str]:
    """Note if the galaxies would be too bright or too faint in nanomaggies."""
    found = _median_fluxes(facts, "truth")
    if found is None or PLAUSIBLE[0] < found.max() < PLAUSIBLE[1]:
        return []
    magnitude = 22.5 - 2.5 * np.log10(found.max())
    return [f"in nanomaggies the median galaxy would have magnitude {magnitude:.1f}: other units?"]


def _how_to_mend(finite) -> str:
    """Slice that leaves out a border with pixels that are not finite, if that is all it takes."""
    for width in range(1, min(finite.shape) // 2 - SMALLEST // 2 + 1):
        if finite[width:-width, width:-width].all():
            return f"crop all images, images[..., {width}:-{width}, {width}:-{width}]"
    return "fill them, or give weights that are zero there"


def _odd_galaxies(facts, finite) -> list[str]:
    """Notes on galaxies that cannot be measured, are too few, or seem to be in another order."""
    n, notes = len(facts["broken"]), []
    if n < intervals.MIN_GALAXIES:
        notes.append(f"only {n} galaxies: intervals are rough below {intervals.MIN_GALAXIES}")
    mend = _how_to_mend(finite)
    for name, text in (
        ("broken", "pixels that are no number (NaN borders?): their bands are not measured; to "
                   f"get them back, {mend}"),
        ("constant", "a constant image: no correlation, no shape"),
        ("no_flux", "no positive flux in some band: no colour"),
    ):  # fmt: skip
        if count := int(facts[name].any(axis=1).sum()):
            notes.append(f"{count} of {n} galaxies have {text}")
    if np.array_equal(facts["flux_truth"], facts["flux_translated"]):
        notes.append(
            "truth and translation have the same fluxes to the last digit: one file twice?"
        )
    x, y = (facts[f"flux_{side}"].sum(axis=1) for side in ("truth", "translated"))
    varied = np.ptp(x) > 0 and np.ptp(y) > 0
    # in another order they would correlate within 3 standard errors of zero
    if n >= intervals.MIN_GALAXIES and varied and spearmanr(x, y)[0] < 3 / np.sqrt(n - 1):
        notes.append("the brightness of truth and translation is unrelated: another order?")
    return notes


def table(facts, bands) -> pd.DataFrame:
    """Fractions of odd galaxies per band, as lines of the card."""
    rows = [
        ("input", band, name, float(facts[name][:, k].mean()), np.nan, np.nan, len(facts[name]))
        for name in ("broken", "constant", "no_flux")
        for k, band in enumerate(bands)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
