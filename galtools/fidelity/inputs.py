"""Judge what a stranger hands in before anything is measured: refuse it, or note what is odd."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, structure
from galtools.fidelity.metrics import COLUMNS, check, chunks
from galtools.surveys import BANDS, CFHTLS, SDSS

FOREIGN = 20  # a median flux ratio beyond this means other units
PLAUSIBLE = (1e-3, 1e4)  # nanomaggies of a median galaxy: 30th to 12.5th magnitude
SMALLEST = 16  # pixels along a side of a stamp: less shows no sky
SWAPPED = 0.2  # dex, in all bands together, that another order of the bands has to fit better


@dataclass
class Inputs:
    """Images that passed, and what there is to say about them."""

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
    """Check the images and look up, or estimate, what was not said about them."""
    truth, translated = (
        check_real(images, name) for images, name in ((truth, "truth"), (translated, "translated"))
    )
    _check_layout(truth, translated)
    check(truth, translated)
    if weights is not None:
        _check_weights(weights, truth.shape)
    if min(truth.shape[2:]) < SMALLEST:
        raise GaltoolsError(
            f"stamps of {truth.shape[2]} x {truth.shape[3]} pixels are too small: give at least "
            f"{SMALLEST} x {SMALLEST}"
        )
    bands = _name_bands(truth.shape[1], bands)
    scale = (
        _guess_scale(truth.shape[-1])
        if pixel_scale is None
        else check_positive(pixel_scale, "pixel_scale", "arcsec per pixel")
    )
    facts, whole = _look(truth, translated, weights)
    check_units(facts["flux_truth"], facts["flux_translated"], "translation")
    sigma = facts["sigma"] if noise is None else _per_galaxy(noise, truth.shape[:2])
    found = Inputs(truth, translated, bands, scale, sigma, facts, weights)
    if noise is None:
        found.notes.append("noise: not given, estimated from the edges of the truth")
    if pixel_scale is None:
        found.notes.append(f"pixel scale: not given, taken to be {scale} arcsec from the size")
    found.notes += _oddities(facts, whole) + _other_bands(facts, bands) + _other_units(facts)
    return found


def check_real(images, name: str):
    """Refuse images that are no real numbers; lists become arrays, files stay files."""
    if not hasattr(images, "shape"):
        try:
            images = np.asarray(images, float)
        except (TypeError, ValueError):
            raise GaltoolsError(
                f"{name} is no array of numbers (galaxies, bands, height, width)"
            ) from None
    kind = np.dtype(getattr(images, "dtype", float)).kind
    if kind not in "fiu":
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


def _check_layout(truth, translated) -> None:
    """Recognise the common mistakes of shape by name."""
    shapes = [tuple(images.shape) for images in (truth, translated)]
    for name, shape in zip(("truth", "translated"), shapes, strict=True):
        if len(shape) == 4 and shape[-1] <= 10 < shape[1]:
            raise GaltoolsError(
                f"{name} has shape {shape}, bands last: move them, np.moveaxis(images, -1, 1)"
            )
    if len(shapes[0]) == len(shapes[1]) == 4:
        (n, bands, *size), (m, others, *there) = shapes
        if n != m:
            raise GaltoolsError(f"truth has {n} galaxies and the translation {m}: match them first")
        if bands != others:
            raise GaltoolsError(
                f"truth has {bands} bands and the translation {others}: hand in the same bands"
            )
        if size != there:
            raise GaltoolsError(
                f"truth is {size[0]} x {size[1]} pixels and the translation {there[0]} x "
                f"{there[1]}: resample one onto the grid of the other"
            )


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


def _check_weights(weights, shape) -> None:
    if tuple(shape) != np.shape(weights):
        raise GaltoolsError(f"weights have shape {np.shape(weights)}, images {tuple(shape)}")
    if np.any(np.asarray(weights) < 0):
        raise GaltoolsError("weights must not be negative: 0 leaves a pixel out")


def _look(truth, translated, weights) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """One pass over the images: fluxes, noise, and what is broken; every entry (n, bands).

    Beside them a map (H, W) of the pixels that are numbers in every image.
    """
    parts, whole = [], True
    for _, x, y, valid in chunks(truth, translated, weights):
        good = np.isfinite(x) & np.isfinite(y)
        broken, whole = ~good.all((2, 3)), whole & good.all((0, 1))
        x, y = (np.where(np.isfinite(images), images, 0) for images in (x, y))
        sigma = structure.noise_level(x, valid)
        parts.append(
            {
                "broken": broken,
                "constant": (np.ptp(x, axis=(2, 3)) == 0) | (np.ptp(y, axis=(2, 3)) == 0),
                "flux_truth": x.sum((2, 3)),
                "flux_translated": y.sum((2, 3)),
                "sigma": np.where(sigma > 0, sigma, np.nan),  # no noise, no unit of noise
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, whole


def _how_to_crop(whole) -> str:
    """Say which slice has no pixel without a number, if leaving out a border is all it takes."""
    for width in range(1, min(whole.shape) // 2 - SMALLEST // 2 + 1):
        if whole[width:-width, width:-width].all():
            return f"crop all images, images[..., {width}:-{width}, {width}:-{width}]"
    return "fill them, or give weights that are zero there"


def check_units(x, y, name: str) -> None:
    """Refuse images whose fluxes y are in other units than those of the truth, x.

    The factor 1000 between the zero points 22.5 and 30 is named.
    """
    good = (x > 0) & (y > 0)
    if not good.any():
        return
    ratio = np.median(y[good] / x[good])
    if 1 / FOREIGN < ratio < FOREIGN:
        return
    for factor, what in ((1000, "divide it by 1000"), (0.001, "multiply it by 1000")):
        if 0.5 < ratio / factor < 2:
            raise GaltoolsError(
                f"the {name} is {ratio:.3g} times as bright as the truth, the factor 1000 "
                f"between zero points 30 and 22.5: {what}, or bring both to nanomaggies"
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


def _other_bands(facts, bands) -> list[str]:
    """Notice bands in another order: the median fluxes fit those of the truth better so."""
    x, y = (_median_fluxes(facts, side) for side in ("truth", "translated"))
    if x is None or y is None:
        return []
    apart = np.abs(np.log10(y[None] / x[:, None]))
    rows, order = linear_sum_assignment(apart)
    if np.trace(apart) - apart[rows, order].sum() <= SWAPPED:
        return []
    names = [bands[k] for k in np.argsort(order)]
    return [
        f"the translation's bands fit better as {', '.join(names)}: another order of the bands?"
    ]


def _other_units(facts) -> list[str]:
    """Notice galaxies that would be too bright or too faint, were these nanomaggies."""
    found = _median_fluxes(facts, "truth")
    if found is None or PLAUSIBLE[0] < found.max() < PLAUSIBLE[1]:
        return []
    magnitude = 22.5 - 2.5 * np.log10(found.max())
    return [f"in nanomaggies the median galaxy would have magnitude {magnitude:.1f}: other units?"]


def _oddities(facts, whole) -> list[str]:
    """Say in words what the table's lines on the input mean."""
    n = len(facts["broken"])
    notes = []
    if n < intervals.MIN_GALAXIES:
        notes.append(f"only {n} galaxies: intervals are rough below {intervals.MIN_GALAXIES}")
    if broken := int(facts["broken"].any(axis=1).sum()):
        notes.append(
            f"{broken} of {n} galaxies have pixels that are no number (NaN borders?): their bands "
            f"are not measured; to get them back, {_how_to_crop(whole)}"
        )
    if constant := int(facts["constant"].any(axis=1).sum()):
        notes.append(f"{constant} of {n} galaxies have a constant image: no correlation, no shape")
    dark = (facts["flux_truth"] <= 0) | (facts["flux_translated"] <= 0)
    if negative := int(dark.any(axis=1).sum()):
        notes.append(f"{negative} of {n} galaxies have no positive flux in some band: no colour")
    if np.array_equal(facts["flux_truth"], facts["flux_translated"]):
        notes.append(
            "truth and translation have the same fluxes to the last digit: one file twice?"
        )
    if _shuffled(facts):
        notes.append("the brightness of truth and translation is unrelated: another order?")
    return notes


def _shuffled(facts) -> bool:
    """Tell whether galaxies seem to be in another order: same brightness overall, not one by one.

    A Spearman correlation of at most three standard errors, 3 / sqrt(n - 1), would arise by chance.
    """
    x, y = (np.nansum(facts[f"flux_{side}"], axis=1) for side in ("truth", "translated"))
    if len(x) < intervals.MIN_GALAXIES or np.ptp(x) == 0 or np.ptp(y) == 0:
        return False
    ranks = np.stack([pd.Series(v).rank().to_numpy() for v in (x, y)])
    return bool(intervals.correlation(ranks) < 3 / np.sqrt(len(x) - 1))


def table(facts, bands) -> pd.DataFrame:
    """Shares of galaxies with something odd, per band, as lines of the card."""
    dark = (facts["flux_truth"] <= 0) | (facts["flux_translated"] <= 0)
    shares = {"broken": facts["broken"], "constant": facts["constant"], "no_flux": dark}
    n = len(dark)
    rows = [
        ("input", band, name, float(share[:, k].mean()), np.nan, np.nan, n)
        for name, share in shares.items()
        for k, band in enumerate(bands)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
