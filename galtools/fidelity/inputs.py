"""Checks of images from elsewhere before they are measured: refuse them, or note what is odd."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from galtools.data import ImageSet
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, structure
from galtools.fidelity.metrics import COLUMNS, check, chunks
from galtools.surveys import BANDS

FOREIGN = 20  # a median flux ratio beyond this means other units
UNITS = {1000: "the factor 1000 between zero points 30 and 22.5", 1e9: "maggies in nanomaggies"}
PLAUSIBLE = (1e-3, 1e4)  # nanomaggies of a median galaxy: 30th to 12.5th magnitude
SCALES = (0.01, 10)  # arcsec per pixel
SMALLEST = 16  # pixels along a side of a stamp: less shows no sky
SWAPPED = 0.2  # dex, in all bands together, that another order of the bands has to fit better
PEDESTAL = 0.3  # sky sigma between the sky of truth and translation that are noted
CERTAIN = 5.0  # standard errors beyond which something is noted
TURNS = {  # of square images; of others the last three
    "transposed": lambda x: x.swapaxes(-1, -2),
    "turned by 90 degrees": lambda x: np.rot90(x, 1, (-2, -1)),
    "turned by -90 degrees": lambda x: np.rot90(x, -1, (-2, -1)),
    "transposed and turned by 180 degrees": lambda x: np.rot90(x, 2, (-2, -1)).swapaxes(-1, -2),
    "turned by 180 degrees": lambda x: np.rot90(x, 2, (-2, -1)),
    "upside down": lambda x: x[..., ::-1, :],
    "mirrored left to right": lambda x: x[..., ::-1],
}


@dataclass
class Inputs:
    """Images that passed, what is known about them, and notes on what is odd."""

    truth: object
    translated: object
    bands: tuple[str, ...]
    pixel_scale: float
    sigma: np.ndarray  # (n, bands) sky noise of the truth
    facts: dict[str, np.ndarray]  # per galaxy and band
    psf_fwhm: np.ndarray | None = None  # (n, bands) arcsec, seeing of the truth
    weights: object = None  # as the images; pixels of weight zero do not count
    notes: list[str] = field(default_factory=list)


def check_inputs(
    truth, translated, bands=None, pixel_scale=None, noise=None, weights=None, psf_fwhm=None
) -> Inputs:
    """Check the images; what is not given is taken from the file of the truth if that states it.

    Noise that nobody states is estimated; an unknown pixel scale is refused.
    """
    stated = getattr(truth, "facts", {})
    truth = truth.images if isinstance(truth, ImageSet) else truth
    truth, translated = check_real(truth, "truth"), check_real(translated, "translated")
    weights, noise, psf_fwhm, pixel_scale = (
        stated.get(name) if value is None else value
        for name, value in (("weights", weights), ("noise", noise), ("psf_fwhm", psf_fwhm),
                            ("pixel_scale", pixel_scale))
    )  # fmt: skip
    _check_layout(truth, translated, weights)
    bands = _name_bands(truth.shape[1], bands)
    pixel_scale = _check_scale(pixel_scale, translated)
    facts, finite = _gather_facts(truth, translated, weights)
    check_units(facts["flux_truth"], facts["flux_translated"], "translation")
    notes = []
    if noise is None:
        sigma = facts["sigma"]
        notes.append(
            "noise: not given, estimated from the edges of the truth; too high where galaxies, or "
            "neighbours that no mask covers, reach them"
        )
    else:
        sigma = _per_galaxy(noise, truth.shape[:2])
    if psf_fwhm is not None:
        psf_fwhm = _per_galaxy(psf_fwhm, truth.shape[:2], "psf_fwhm", "arcsec")
    notes += _odd_galaxies(facts, finite) + _odd_order(facts, bands) + _odd_units(facts)
    notes += _odd_sky(facts, sigma, bands) + _odd_orientation(truth, translated, weights)
    return Inputs(truth, translated, bands, pixel_scale, sigma, facts, psf_fwhm, weights, notes)


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


def _check_scale(pixel_scale, translated) -> float:
    """Refuse a pixel scale that is unknown, impossible, or not that of the translation's file."""
    if pixel_scale is None:
        raise GaltoolsError("the pixel scale is unknown: give pixel_scale in arcsec per pixel")
    check_positive(pixel_scale, "pixel_scale", "arcsec per pixel")
    if np.size(pixel_scale) != 1 or not SCALES[0] < float(pixel_scale) < SCALES[1]:
        raise GaltoolsError(f"pixel_scale {pixel_scale!s:.40}: give arcsec per pixel, as 0.396")
    other = getattr(translated, "facts", {}).get("pixel_scale", pixel_scale)
    if not np.isclose(float(other), float(pixel_scale), rtol=0.01):
        raise GaltoolsError(
            f"the truth has {float(pixel_scale):g} arcsec per pixel, the file of the translation "
            f"says {float(other):g}: resample one onto the grid of the other"
        )
    return float(pixel_scale)


def _per_galaxy(values, shape, name="noise", unit="nanomaggies per pixel") -> np.ndarray:
    """Numbers (n, bands) from one, one per band, one per galaxy, or (n, bands)."""
    values = np.asarray(check_positive(values, name, unit), float)
    if values.shape == shape[:1] != shape[1:]:
        values = values[:, None]
    try:
        return np.array(np.broadcast_to(values, shape))
    except ValueError:
        raise GaltoolsError(
            f"{name} has shape {values.shape}: give one number, one per band or galaxy, or {shape}"
        ) from None


def _gather_facts(truth, translated, weights) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fluxes, noise, and what is broken (n, bands); a map (H, W) of pixels that are finite in all.

    One pass over the images.
    """
    parts, all_finite = [], True
    for _, x, y, valid in chunks(truth, translated, weights):
        finite = np.isfinite(x) & np.isfinite(y)
        all_finite = all_finite & finite.all((0, 1))
        x, y = (np.where(np.isfinite(images), images, 0) for images in (x, y))
        sky, sigma = structure.sky_level_and_noise(x, valid)
        part = {
            "broken": ~finite.all((2, 3)),
            "constant": (np.ptp(x, axis=(2, 3)) == 0) | (np.ptp(y, axis=(2, 3)) == 0),
            "flux_truth": x.sum((2, 3)),
            "flux_translated": y.sum((2, 3)),
            "sigma": np.where(sigma > 0, sigma, np.nan),  # no noise, no unit of noise
            "pedestal": structure.sky_level_and_noise(y, valid)[0] - sky,
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
    for factor, what in UNITS.items():
        for times, advice in ((factor, "divide"), (1 / factor, "multiply")):
            if 0.5 < ratio / times < 2:
                raise GaltoolsError(
                    f"the {name} is {ratio:.3g} times as bright as the truth, {what}: "
                    f"{advice} it by {factor:g}, or bring both to nanomaggies"
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
    maggies = ", maggies" if PLAUSIBLE[0] < 1e9 * found.max() < PLAUSIBLE[1] else ""
    return [
        f"in nanomaggies the median galaxy would have magnitude {magnitude:.1f}: other units"
        f"{maggies}?"
    ]


def _odd_sky(facts, sigma, bands) -> list[str]:
    """Note a difference between the sky of translation and truth that most galaxies share."""
    offset = facts["pedestal"] / sigma
    notes = []
    for k, band in enumerate(bands):
        known = offset[np.isfinite(offset[:, k]), k]
        if len(known) < 2:
            continue
        level, error = np.median(known), known.std(ddof=1) / np.sqrt(len(known))
        if abs(level) > PEDESTAL and abs(level) > CERTAIN * error:
            notes.append(
                f"the sky of the translation lies {level:+.1f} sky sigma from that of the truth "
                f"in {band}: a pedestal?"
            )
    return notes


def _odd_orientation(truth, translated, weights) -> list[str]:
    """Note if the translation fits the truth better when it is turned or mirrored."""
    turns = dict(list(TURNS.items())[0 if truth.shape[-1] == truth.shape[-2] else 4 :])
    gains = {name: [] for name in turns}
    for _, x, y, _ in chunks(truth, translated, weights):
        x, y = (np.nan_to_num(images.sum(axis=1)) for images in (x, y))
        plain = np.abs(x - y).sum((1, 2))
        for name, turn in turns.items():
            gains[name].append(plain - np.abs(x - turn(y)).sum((1, 2)))
    best, gain = max(
        ((name, np.concatenate(parts)) for name, parts in gains.items()),
        key=lambda item: np.median(item[1]),
    )
    if np.median(gain) <= 0 or np.mean(gain > 0) < 0.5 + CERTAIN / 2 / np.sqrt(len(gain)):
        return []
    return [f"the translation fits the truth better {best}: another orientation?"]


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
