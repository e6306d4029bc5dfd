"""Checks of images from elsewhere before they are measured: refuse them, or note what is odd."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest, spearmanr

from galtools.data import ImageSet
from galtools.data.pairs import expand_psf
from galtools.errors import GaltoolsError
from galtools.fidelity import structure
from galtools.fidelity.intervals import MIN_GALAXIES
from galtools.fidelity.metrics import COLUMNS, check, chunks
from galtools.surveys import BANDS

FOREIGN = 20  # a median flux ratio beyond this means other units
UNITS = {1000: "the factor 1000 between zero points 30 and 22.5", 1e9: "maggies in nanomaggies"}
PLAUSIBLE = (1e-3, 1e4)  # nanomaggies of a median galaxy: 30th to 12.5th magnitude
OVERRIDES = {"noise": "sigma_map", "psf_fwhm": "psf"}  # what is given: what of the file it replaces
SCALES = (0.01, 10)  # arcsec per pixel
SMALLEST = 16  # pixels along a side of a stamp: less shows no sky
SWAPPED = 0.2  # dex, in all bands together, that another order of the bands has to fit better
PEDESTAL = 0.3  # sky sigma between the sky of truth and translation that are noted
CERTAIN = 5.0  # standard errors beyond which something is noted
RARE = 1e-5  # probability of as many galaxies that fit better turned: all of 17 or more
TURNS = {  # of square images; of others the last three
    "transposed": lambda x: x.swapaxes(-1, -2),
    "turned by 90 degrees": lambda x: np.rot90(x, 1, (-2, -1)),
    "turned by -90 degrees": lambda x: np.rot90(x, -1, (-2, -1)),
    "transposed and turned by 180 degrees": lambda x: np.rot90(x, 2, (-2, -1)).swapaxes(-1, -2),
    "turned by 180 degrees": lambda x: np.rot90(x, 2, (-2, -1)),
    "upside down": lambda x: x[..., ::-1, :],
    "mirrored left to right": lambda x: x[..., ::-1],
}
ODD = {  # facts about a galaxy's images in a band: their meaning
    "broken": "pixels that are no number (NaN borders? crop them, or give weights of zero there)",
    "constant": "a constant image: no correlation, no shape",
    "no_flux": "no positive flux in some band: no colour",
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
    sigma_map: object = None  # as the images, noise of every pixel of the truth
    psf: object = None  # (n, bands, h, w) images of the truth's PSF
    notes: list[str] = field(default_factory=list)


def check_inputs(truth, translated, **given) -> Inputs:
    """Check the images and what is known of them: as given, or else as the truth's file states.

    Noise that nobody states is estimated; an unknown pixel scale is refused.
    """
    given = {name: value for name, value in given.items() if value is not None}
    replaced = {finer for name, finer in OVERRIDES.items() if name in given}
    stated = {k: x for k, x in getattr(truth, "facts", {}).items() if k not in replaced} | given
    bands, pixel_scale, noise, psf_fwhm, weights, sigma_map, psf = (
        stated.get(name)
        for name in ("bands", "pixel_scale", "noise", "psf_fwhm", "weights", "sigma_map", "psf")
    )
    truth = truth.images if isinstance(truth, ImageSet) else truth
    truth, translated = check_real(truth, "truth"), check_real(translated, "translated")
    _check_layout(truth, translated, weights=weights, sigma_map=sigma_map)
    bands = BANDS if bands is None and truth.shape[1] == len(BANDS) else tuple(bands or ())
    if len(bands) != truth.shape[1] or len(set(bands)) != len(bands):
        raise GaltoolsError(
            f"bands {bands} do not name the {truth.shape[1]} bands of the images: give bands='gri'"
        )
    pixel_scale = _check_scale(pixel_scale, translated)
    facts = _gather_facts(truth, translated, weights, sigma_map)
    check_units(facts["flux_truth"], facts["flux_translated"], "translation")
    given = Inputs(truth, translated, bands, pixel_scale, facts["sigma"], facts)
    given.weights, given.sigma_map = weights, sigma_map
    if noise is not None:
        given.sigma = _per_galaxy(noise, truth.shape[:2], "noise", "nanomaggies per pixel")
    if psf_fwhm is not None:
        given.psf_fwhm = _per_galaxy(psf_fwhm, truth.shape[:2], "psf_fwhm", "arcsec")
    if psf is not None:
        given.psf = expand_psf(psf, truth.shape)
    given.notes = _notes(given, noise is None and sigma_map is None)
    return given


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


def _check_layout(truth, translated, **maps) -> None:
    """Refuse images of different shapes, bands last, tiny stamps, and maps of another shape."""
    for name, images in (("truth", truth), ("translated", translated)):
        if len(images.shape) == 4 and images.shape[-1] <= 10 < images.shape[1]:
            raise GaltoolsError(
                f"{name} has shape {images.shape}, bands last: use np.moveaxis(images, -1, 1)"
            )
    check(truth, translated)
    if min(truth.shape[2:]) < SMALLEST:
        raise GaltoolsError(
            f"stamps of {truth.shape[2]} x {truth.shape[3]} pixels are too small: give at least "
            f"{SMALLEST} x {SMALLEST}"
        )
    for name, values in maps.items():
        if values is not None and tuple(np.shape(values)) != tuple(truth.shape):
            raise GaltoolsError(f"{name} have shape {np.shape(values)}, images {truth.shape}")


def _check_scale(pixel_scale, translated) -> float:
    """Refuse a pixel scale that is unknown, impossible, or not that of the translation's file."""
    if pixel_scale is None:
        raise GaltoolsError("the pixel scale is unknown: give pixel_scale in arcsec per pixel")
    scale = float(_per_galaxy(pixel_scale, (), "pixel_scale", "arcsec per pixel"))
    if not SCALES[0] < scale < SCALES[1]:
        raise GaltoolsError(f"pixel_scale {scale:g}: give arcsec per pixel, as 0.396")
    other = float(getattr(translated, "facts", {}).get("pixel_scale", scale))
    if not np.isclose(other, scale, rtol=0.01):
        raise GaltoolsError(
            f"the truth has {scale:g} arcsec per pixel, the file of the translation says "
            f"{other:g}: resample one onto the grid of the other"
        )
    return scale


def _per_galaxy(values, shape, name: str, unit: str) -> np.ndarray:
    """Positive numbers (n, bands) from one, one per band, one per galaxy, or (n, bands)."""
    try:
        values = np.asarray(values, float)
        wrong = values[~((values > 0) & np.isfinite(values))]
    except (TypeError, ValueError):
        wrong = np.array([str(values)])
    if wrong.size:
        raise GaltoolsError(f"{name} must be positive, in {unit}, not {wrong.flat[0]!s:.40}")
    if values.shape == shape[:1] != shape[1:]:
        values = values[:, None]
    try:
        return np.array(np.broadcast_to(values, shape))
    except ValueError:
        raise GaltoolsError(
            f"{name} has shape {values.shape}: give one number, one per band or galaxy, or {shape}"
        ) from None


def _gather_facts(truth, translated, weights, sigma_map) -> dict[str, np.ndarray]:
    """Fluxes, noise, and what is broken (n, bands), in one pass over the images."""
    parts = []
    for rows, x, y, valid in chunks(truth, translated, weights):
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = (np.where(np.isfinite(images), images, 0) for images in (x, y))
        sky, sigma = structure.sky_level_and_noise(x, valid)
        if sigma_map is not None:
            noise = np.asarray(sigma_map[rows], float)
            if not np.all((noise > 0) & (noise < np.inf), where=valid & finite):
                raise GaltoolsError("sigma_map must be positive: give weights of zero elsewhere")
            sigma = structure.sky_level_and_noise(np.where(noise < np.inf, noise, 0), valid)[0]
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
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def check_units(x, y, name: str) -> None:
    """Refuse images whose fluxes y are in other units than those of the truth, x."""
    good = (x > 0) & (y > 0)
    ratio = np.median(y[good] / x[good]) if good.any() else 1.0
    if 1 / FOREIGN < ratio < FOREIGN:
        return
    advice = "bring both to nanomaggies"
    for factor, what in UNITS.items():
        for times, verb in ((factor, "divide"), (1 / factor, "multiply")):
            if 0.5 < ratio / times < 2:
                advice = f"{what}: {verb} it by {factor:g}, or {advice}"
    raise GaltoolsError(f"the {name} is {ratio:.3g} times as bright as the truth: {advice}")


def _notes(given: Inputs, estimated: bool) -> list[str]:
    """What is odd about the images, and which odd galaxies cannot be measured."""
    facts, bands, n = given.facts, given.bands, len(given.truth)
    flux_x, flux_y = (facts[f"flux_{name}"].sum(axis=1) for name in ("truth", "translated"))
    varied = n >= MIN_GALAXIES and np.ptp(flux_x) > 0 and np.ptp(flux_y) > 0
    counts = {text: int(facts[name].any(axis=1).sum()) for name, text in ODD.items()}
    medians = [_median_fluxes(facts, name) for name in ("truth", "translated")]
    checks = [
        (estimated, "noise: not given, estimated from the edges of the truth; too high where "
                        "galaxies, or neighbours that no mask covers, reach them"),
        (n < MIN_GALAXIES, f"only {n} galaxies: intervals are rough below {MIN_GALAXIES}"),
        *((count, f"{count} of {n} galaxies have {text}") for text, count in counts.items()),
        (np.array_equal(facts["flux_truth"], facts["flux_translated"]),
         "truth and translation have the same fluxes to the last digit: one file twice?"),
        # in another order they would correlate within 3 standard errors of zero
        (varied and spearmanr(flux_x, flux_y)[0] < 3 / np.sqrt(n - 1),
         "the brightness of truth and translation is unrelated: another order?"),
    ]  # fmt: skip
    odd = [_odd_units(medians[0]), _odd_order(*medians, bands)]
    odd += _odd_sky(facts["pedestal"] / given.sigma, bands)
    odd.append(_odd_orientation(given.truth, given.translated, given.weights))
    return [text for holds, text in checks if holds] + [note for note in odd if note]


def _median_fluxes(facts, name) -> np.ndarray | None:
    """Median flux in every band, if it is positive in all of them."""
    flux = np.where(facts["broken"], np.nan, facts[f"flux_{name}"])
    if np.isnan(flux).all(axis=0).any():
        return None
    medians = np.nanmedian(flux, axis=0)
    return medians if (medians > 0).all() else None


def _odd_units(flux) -> str:
    """Note if galaxies of these median fluxes would be too bright or too faint in nanomaggies."""
    if flux is None or PLAUSIBLE[0] < flux.max() < PLAUSIBLE[1]:
        return ""
    magnitude = 22.5 - 2.5 * np.log10(flux.max())
    maggies = ", maggies" if PLAUSIBLE[0] < 1e9 * flux.max() < PLAUSIBLE[1] else ""
    return (
        f"in nanomaggies the median galaxy would have magnitude {magnitude:.1f}: other units"
        f"{maggies}?"
    )


def _odd_order(x, y, bands) -> str:
    """Note if the translation's median fluxes y fit those of the truth better in another order."""
    if x is None or y is None:
        return ""
    distance = np.abs(np.log10(y[None] / x[:, None]))
    rows, order = linear_sum_assignment(distance)
    if np.trace(distance) - distance[rows, order].sum() <= SWAPPED:
        return ""
    names = ", ".join(bands[k] for k in np.argsort(order))
    return f"the translation's bands fit better as {names}: another order of the bands?"


def _odd_sky(offset, bands) -> list[str]:
    """Note an offset of the translation's sky (n, bands), in sky sigma, that galaxies share."""
    notes = []
    for band, column in zip(bands, offset.T, strict=True):
        finite = column[np.isfinite(column)]
        level = np.median(finite) if len(finite) > 1 else 0.0
        if abs(level) > PEDESTAL and abs(level) > CERTAIN * finite.std(ddof=1) / len(finite) ** 0.5:
            notes.append(
                f"the sky of the translation lies {level:+.1f} sky sigma from that of the truth "
                f"in {band}: a pedestal?"
            )
    return notes


def _odd_orientation(truth, translated, weights) -> str:
    """Note if the translation fits the truth better when it is turned or mirrored."""
    turns = dict(list(TURNS.items())[0 if truth.shape[-1] == truth.shape[-2] else 4 :])
    gains = {name: [] for name in turns}
    for _, x, y, _ in chunks(truth, translated, weights):
        x, y = (np.nan_to_num(images.sum(axis=1)) for images in (x, y))
        plain = np.abs(x - y).sum((1, 2))
        for name, turn in turns.items():
            gains[name].extend(plain - np.abs(x - turn(y)).sum((1, 2)))
    best = max(gains, key=lambda name: np.median(gains[name]))
    gain = np.array(gains[best])
    by_chance = binomtest(int((gain > 0).sum()), len(gain), alternative="greater").pvalue
    if np.median(gain) <= 0 or by_chance > RARE:
        return ""
    return f"the translation fits the truth better {best}: another orientation?"


def table(facts, bands) -> pd.DataFrame:
    """Fractions of odd galaxies per band, as lines of the card."""
    rows = [
        ("input", band, name, float(facts[name][:, k].mean()), np.nan, np.nan, len(facts[name]))
        for name in ODD
        for k, band in enumerate(bands)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
