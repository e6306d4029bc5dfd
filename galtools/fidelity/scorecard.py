"""The card: all measures of the fidelity of translated images, in one table.

>>> import galtools
>>> result = galtools.card(truth, translated, redshift=z)   # doctest: +SKIP
>>> result.save("card.html")                                # doctest: +SKIP
"""

import json
import time
from dataclasses import dataclass, field, replace
from html import escape
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.table import Table
from threadpoolctl import threadpool_limits

from galtools import artefacts
from galtools.data import ImageSet
from galtools.data.image_files import Stack
from galtools.data.resampling import lanczos_resample
from galtools.errors import GaltoolsError, check_choice, reading
from galtools.fidelity import consistency, inputs, intervals, peaks, pixels, sources, structure
from galtools.fidelity.metrics import COLUMNS, Metric, column_labels, measure_images, tabulate
from galtools.surveys import CFHTLS, Survey, reference_band

FORMAT = "galtools card 1"
GAINS = {
    "psnr_gain": Metric(("psnr",), intervals.mean, np.inf, "PSNR of y less the source's, dB"),
    "correlation_gain": Metric(
        ("correlation",), intervals.mean, np.inf, "pixel correlation of y less the source's"
    ),
}
LEVELS = {"pixels": (pixels, structure), "peaks": (peaks,), "sources": (sources,)}
FOLDS = 5  # of the cross-validation of redshifts from peaks
SEEING = 1.3  # arcsec, the PSF that morphology assumes when none is given


@dataclass
class Card:
    """Fidelity of a translator: a tidy table, what is missing from it and why, and notes.

    `galaxies` and `beside` are not kept in JSON.
    """

    name: str
    table: pd.DataFrame  # level, band, metric, value, low, high, n
    missing: dict[str, str] = field(default_factory=dict)  # level: why it is not there
    notes: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)  # what was measured, and by which version
    galaxies: pd.DataFrame | None = None  # every quantity of every galaxy, as "mae_r"
    beside: pd.DataFrame | None = None  # as the table, of the source and of a repeat, by "row"

    def get(self, metric: str, band: str) -> intervals.Estimate:
        """Estimate of one line of the table."""
        rows = self.table[(self.table.metric == metric) & (self.table.band == band)]
        if rows.empty:
            raise GaltoolsError(f"this card has no {metric!r} in band {band!r}")
        return intervals.Estimate(*rows.iloc[0][["value", "low", "high", "n"]])

    def save(self, path) -> Path:
        """Write the card, by the ending of `path`: .json to compare, .html to read, or .csv.

        The ending .ecsv is for the values of single galaxies.
        """
        path = Path(path)
        writers = {
            ".json": lambda new: new.write_text(self.to_json()),
            ".html": lambda new: new.write_text(self.page(), encoding="utf-8"),
            ".csv": lambda new: self.table.to_csv(new, index=False),
            ".ecsv": lambda new: Table.from_pandas(self.galaxies).write(new, format="ascii.ecsv"),
        }
        check_choice("ending of a card's file", path.suffix, writers)
        if path.suffix == ".ecsv" and self.galaxies is None:
            raise GaltoolsError("this card was read from a file: it has no values of galaxies")
        with artefacts.atomic(path) as new:
            writers[path.suffix](new)
        return path

    def to_json(self) -> str:
        """Write the card as JSON; infinities and gaps become strings, since JSON has neither."""
        rows = [[_plain(value) for value in row] for row in self.table.itertuples(index=False)]
        content = {"format": FORMAT, "name": self.name, "columns": COLUMNS, "rows": rows}
        kept = {name: getattr(self, name) for name in ("about", "missing", "notes")}
        return json.dumps(content | kept, indent=1) + "\n"

    def page(self) -> str:
        """HTML page with the date of today."""
        name, date = escape(self.name), time.strftime("%Y-%m-%d", time.gmtime())
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        return f"{head}<h1>{name}</h1><p>{date}</p>{self.to_html()}"

    def to_html(self) -> str:
        """Inputs, notes, what is missing, metrics by band for every level, and definitions."""
        parts = [
            _html_list("What was measured", self.about),
            _html_list("What to know", self.notes),
            _html_list("What is missing, and why", self.missing),
        ]
        for level, lines in self.table.groupby("level", sort=False):
            colours = lines.metric.isin(lines.metric[lines.band.str.contains("-")])
            tables = [_html_table(part) for part in (lines[~colours], lines[colours]) if len(part)]
            parts.append(f"<h2>{escape(level).capitalize()}</h2>{''.join(tables)}")
        meanings = definitions(self.table.level.unique())
        terms = {name: meanings[name] for name in self.table.metric.unique() if name in meanings}
        parts.append(_html_list("Definitions: x is the truth, y the translation", terms))
        return "".join(parts)

    _repr_html_ = to_html


def definitions(levels) -> dict[str, str]:
    """What the metrics of some levels of a card mean, by name."""
    modules = [pixels, structure, peaks, sources, consistency]
    if "morphology" in levels:
        from galtools.fidelity import morphology  # statmorph takes a second to import

        modules.append(morphology)
    tables = [module.METRICS for module in modules] + [peaks.REDSHIFT_METRICS, GAINS]
    terms = {name: metric.meaning for each in tables for name, metric in each.items()}
    return terms | {name: f"fraction of galaxies with {text}" for name, text in inputs.ODD.items()}


def _html_list(title: str, lines) -> str:
    """List lines, or names and what they mean."""
    if isinstance(lines, dict):
        lines = [f"{name}: {meaning}" for name, meaning in lines.items()]
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _html_table(part) -> str:
    """Lay out one level: a line per metric, a column per band, each value with its interval."""
    bounds = zip(part.value, part.low, part.high, strict=True)
    cells = part.assign(cell=[intervals.format_interval(*one) for one in bounds])
    cells["cell"] = cells.cell.str.replace("-", "−").str.replace(", ", ",\N{NO-BREAK SPACE}")
    wide = cells.set_index(["metric", "band"])["cell"].unstack()  # noqa: PD010
    wide = wide.loc[cells.metric.unique(), cells.band.unique()].fillna("")
    wide.columns.name = f"n ≤ {part.n.max()}"
    return wide.rename_axis(index=None).to_html(border=0)


def _plain(value):
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)  # "nan", "inf": float() reads them back
    return value.item() if isinstance(value, np.generic) else value


def load(path) -> Card:
    """Read a card that was saved as JSON."""
    with reading(path, "it is no card of galtools, or a damaged one"):
        content = json.loads(Path(path).read_text())
        if content["format"] != FORMAT:
            raise ValueError("another format")
        table = pd.DataFrame(content["rows"], columns=content["columns"])[COLUMNS]
        if table.duplicated(COLUMNS[:3]).any():
            raise ValueError("a line stands in it twice")
        kinds = dict(zip(COLUMNS, [str] * 3 + [float] * 3 + [int], strict=True))
        rest = dict(content["missing"]), list(content["notes"]), dict(content["about"])
        return Card(str(content["name"]), table.astype(kinds), *rest)


def merge(cards, taken=()) -> pd.DataFrame:
    """Join cards into one table with a column "row", the name of the translator.

    No two may have the same name, nor one that is `taken` already.
    """
    names = [card.name for card in cards]
    if not names or len({*names, *taken}) < len(names) + len({*taken}):
        raise GaltoolsError(
            f"a leaderboard needs cards of different names, not {names} beside {sorted({*taken})}"
        )
    return pd.concat([card.table.assign(row=card.name) for card in cards], ignore_index=True)


@threadpool_limits.wrap(limits=1)  # threads that wait for each other: five times slower, if busy
def card(
    truth, translated, source=None, redshift=None, *, repeat=None, name="translation", bands=None,
    pixel_scale=None, noise=None, weights=None, psf_fwhm=None, sigma_map=None, psf=None,
    morphology=100, morphology_bands=None, jobs=2, n_boot=intervals.N_BOOT, seed=0,
) -> Card:  # fmt: skip
    """Fidelity of `translated` to `truth`, both (n, bands, H, W) in nanomaggies per pixel.

    Arrays, or anything that gives arrays when sliced (`galtools.data.image_files.open_images`). The
    truth may be an `ImageSet`, too. Scale, noise, seeing and masks that it or its file states are
    used where none is given; `noise` replaces its sigma map, `psf_fwhm` its PSF. What is missing is
    listed in `Card.missing`.

    source       the images that were translated: the gain over them, resampled to the truth's grid
    redshift     (n,): how well the peak fluxes predict it
    repeat       another observation of the truth, measured as the translation: `Card.beside`
    bands        their names; ugriz if there are five
    pixel_scale  arcsec per pixel
    noise        sky sigma of the truth, one number, per band, or (n, bands); else estimated
    weights      (n, bands, H, W), pixels of weight zero count in no metric
    psf_fwhm     seeing of the truth in arcsec, as `noise`, for the morphology
    sigma_map    (n, bands, H, W), noise of every pixel of the truth, for residuals and morphology
    psf          images of its PSF, (n, bands, h, w), (bands, h, w) or (h, w), before `psf_fwhm`
    morphology   galaxies that statmorph measures, 0 for none, in `morphology_bands`: r if not given
    """
    if not (isinstance(morphology, int | np.integer) and morphology >= 0):
        raise GaltoolsError(f"morphology is a number of galaxies, 0 for none, not {morphology!r}")
    given = inputs.check_inputs(
        truth, translated, bands=bands, pixel_scale=pixel_scale, noise=noise, weights=weights,
        psf_fwhm=psf_fwhm, sigma_map=sigma_map, psf=psf,
    )  # fmt: skip
    chosen = morphology_bands or [reference_band(given.bands)]
    for band in chosen:
        check_choice("band", band, given.bands)
    statistics = {"n_boot": n_boot, "seed": seed}
    measured = _measure(given, given.translated)
    table = [inputs.table(given.facts, given.bands), _tabulate(given, measured, statistics)]
    table = pd.concat(table, ignore_index=True)
    result = Card(name, table, notes=given.notes, about=_about(given, source))
    result.galaxies = _per_galaxy(measured, given)
    parts = {
        "against source": lambda: _gain(given, measured, source, result, statistics),
        "morphology": lambda: _morphology(given, morphology, chosen, jobs, statistics),
        "peak redshift": lambda: _redshift(given, measured, redshift, statistics),
    }

    def measure_repeat():
        _beside(given, repeat, "repeat", result, statistics)

    if repeat is not None:
        parts["repeat"] = measure_repeat
    for level, part in parts.items():
        try:
            result.table = pd.concat([result.table, part()], ignore_index=True)
        except Missing as reason:
            result.missing[level] = str(reason)
    return result


def _about(given, source) -> dict[str, str]:
    """Version, files with their checksums, geometry, seeing and noise, as words."""
    about = {"galtools": version("galtools")}
    files = {"truth": given.truth, "translations": given.translated, "source": source}
    for name, images in files.items():
        if path := getattr(images, "path", None):
            about[name] = f"{path.name}, sha256 {artefacts.sha256(path)[:12]}"
    n, _, height, width = given.truth.shape
    about["images"] = f"{n} galaxies, bands {', '.join(given.bands)}, {height} x {width} pixels"
    about["pixel scale"] = f"{given.pixel_scale:g} arcsec"
    for name, values, unit in (
        ("seeing of the truth", given.psf_fwhm, "arcsec FWHM"),
        ("sky noise of the truth", given.sigma, "nanomaggies per pixel"),
    ):
        if values is not None:
            medians = pd.DataFrame(values).median()  # NaN for a band without any noise
            about[name] = f"{', '.join(f'{x:.3g}' for x in medians)} {unit} (medians)"
    if given.sigma_map is not None:
        about["noise of residuals"] = "of every pixel, by the sigma map"
    if given.psf is not None:
        about["PSF of the truth"] = "images, {} x {} pixels".format(*np.shape(given.psf)[2:])
    return about


def _per_galaxy(measured, given) -> pd.DataFrame:
    """Every measured quantity of every galaxy and band, or pair of bands, in one column each."""
    of_sources = {name for metric in sources.METRICS.values() for name in metric.quantities}
    columns = {}
    for name, values in (measured | {"sky_noise": given.sigma}).items():
        one = name in of_sources
        labels = [reference_band(given.bands)] if one else column_labels(given.bands, values)
        columns |= {f"{name}_{label}": values[:, k] for k, label in enumerate(labels)}
    return pd.DataFrame(columns)


def card_without_truth(
    source: ImageSet, translated, *, survey: Survey = CFHTLS, pixel_scale=None, psf_fwhm=None,
    name="translation", n_boot=intervals.N_BOOT, seed=0,
) -> Card:  # fmt: skip
    """How well translations into `survey` explain their source (`galtools.fidelity.consistency`).

    `pixel_scale` in arcsec, if it is not the survey's; `psf_fwhm` (n, bands) the translation's
    seeing, if it is not the survey's median.
    """
    translated = inputs.check_real(translated, "translated")
    if translated.shape[1:2] == (len(survey.bands),) and {*survey.bands} <= {*source.bands}:
        source = source.in_bands(survey.bands)
    if tuple(translated.shape[:2]) != source.images.shape[:2]:
        raise GaltoolsError(
            f"source is {source.images.shape} and the translation {tuple(translated.shape)}: hand "
            "in the same galaxies and bands"
        )
    if pixel_scale is None and translated.shape[-1] != survey.stamp:
        raise GaltoolsError(f"stamps of {translated.shape[-1]} pixels: give their pixel_scale")
    survey = survey.in_bands(source.bands)
    survey = replace(survey, pixel_scale=float(pixel_scale or survey.pixel_scale))
    measured = consistency.measure(source, translated, survey, psf_fwhm)
    table = tabulate(measured, consistency.METRICS, survey.bands, "source", n_boot, seed)
    missing = dict.fromkeys((*LEVELS, "morphology"), "no true images")
    notes = [] if np.isfinite(source.noise).all() else ["the noise of some source is unknown"]
    notes += [] if source.psf is None else ["of the PSF images of the source, the widths are used"]
    of_source = f"{source.survey}, {source.pixel_scale:g} arcsec per pixel"
    n, _, height, width = translated.shape
    about = {"galtools": version("galtools"), "source": of_source}
    about["translation"] = f"{survey.name}, {survey.pixel_scale:g} arcsec per pixel"
    about["images"] = f"{n} galaxies, bands {', '.join(survey.bands)}, {height} x {width} pixels"
    return Card(name, table, missing, notes, about)


class Missing(Exception):
    """A level that cannot be measured; the message says why."""


def _measure(given, images) -> dict[str, np.ndarray]:
    """Measure pixels, structure, peaks and, in one band, sources, in one pass over the images."""
    k = given.bands.index(reference_band(given.bands))
    one = np.s_[:, k : k + 1]

    def measure_sources(x, y, sigma, pixel_scale, valid):
        valid = valid if valid is True else valid[one]
        return sources.measure(x[one], y[one], sigma[one], pixel_scale, valid)

    functions = pixels.measure, structure.measure, peaks.measure, measure_sources
    sigma = given.sigma if given.sigma_map is None else given.sigma_map
    return measure_images(functions, given.truth, images, sigma, given.pixel_scale, given.weights)


def _tabulate(given, measured, statistics) -> pd.DataFrame:
    bands = {"sources": [reference_band(given.bands)]}
    parts = [
        tabulate(measured, module.METRICS, bands.get(level, given.bands), level, **statistics)
        for level, modules in LEVELS.items()
        for module in modules
    ]
    return pd.concat(parts)


def _beside(given, images, row, result, statistics) -> dict[str, np.ndarray]:
    """Measure other images of the same galaxies, on the truth's grid, into `result.beside`."""
    images = _on_grid(inputs.check_real(images, row), given, row)
    measured = _measure(given, images)
    inputs.check_units(measured["box_truth"], measured["box_translated"], row)
    table = _tabulate(given, measured, statistics).assign(row=row)
    result.beside = pd.concat([result.beside, table], ignore_index=True)
    return measured


def _gain(given, measured, source, result, statistics) -> pd.DataFrame:
    """Gain in PSNR and correlation over the source, galaxy by galaxy."""
    if source is None:
        raise Missing("no source images were given")
    floor = _beside(given, source, "source", result, statistics)
    with np.errstate(invalid="ignore"):  # of two perfect copies none gains: NaN, not measured
        gains = {key: measured[key] - floor[key] for key in ("psnr", "correlation")}
    return tabulate(gains, GAINS, given.bands, "against source", **statistics)


def _on_grid(images, given, row):
    """Bring images to the grid of the truth, if their file states its pixel scale."""
    if tuple(images.shape) == tuple(given.truth.shape):
        return images
    scale = getattr(images, "facts", {}).get("pixel_scale")
    if tuple(images.shape[:2]) != tuple(given.truth.shape[:2]) or scale is None:
        raise Missing(f"{row} has shape {tuple(images.shape)}: resample it to the truth's grid")
    step, size = given.pixel_scale / float(scale), given.truth.shape[-2:]
    return Stack(given.truth.shape, lambda rows: lanczos_resample(images[rows], size, step))


def _morphology(given, count, bands, jobs, statistics) -> pd.DataFrame:
    """Shapes of the first `count` galaxies in `bands`."""
    if not count:
        raise Missing("not asked for: morphology=0")
    from galtools.fidelity import morphology  # statmorph takes a second to import

    if given.psf_fwhm is None and given.psf is None:
        given.notes.append(f"PSF: not given, {SEEING} arcsec assumed for the morphology")
    some, parts = slice(min(count, len(given.truth))), []
    images = {row: np.asarray(getattr(given, row)[some]) for row in ("truth", "translated")}
    hidden = np.zeros(images["truth"].shape, bool)
    if given.weights is not None:
        hidden = np.asarray(given.weights[some]) <= 0
    seeing = np.full(given.sigma.shape, SEEING) if given.psf_fwhm is None else given.psf_fwhm
    seeing = np.asarray((seeing if given.psf is None else given.psf)[some])
    sigma_map = None if given.sigma_map is None else np.asarray(given.sigma_map[some])
    for band in bands:
        k = given.bands.index(band)
        stamps = {row: stack[:, k] for row, stack in images.items()}
        table = morphology.measure(
            stamps, stamps["truth"], given.sigma[some, k], dict.fromkeys(stamps, seeing[:, k]),
            given.pixel_scale, jobs, progress=False, masked=hidden[:, k],
            sigma_map=None if sigma_map is None else sigma_map[:, k],
        )  # fmt: skip
        rows = {row: part.reset_index(drop=True) for row, part in table.groupby("row")}
        parts.append(morphology.compare(rows["truth"], rows["translated"], band, **statistics))
    return pd.concat(parts)


def _redshift(given, measured, redshift, statistics) -> pd.DataFrame:
    """Redshift from the peaks: trained on true images, applied to true and translated ones."""
    if redshift is None:
        raise Missing("no redshifts were given")
    try:
        z = np.asarray(redshift, float)
    except (TypeError, ValueError):
        raise GaltoolsError("redshifts must be numbers, one per galaxy") from None
    if z.shape != (len(given.truth),):
        raise GaltoolsError(f"redshift has shape {z.shape}: give one per galaxy")
    if len(z) < 10 * FOLDS:
        raise Missing(f"{len(z)} galaxies are too few to learn redshifts from: give {10 * FOLDS}")
    if not np.isfinite(z).all() or np.ptp(z) == 0:
        raise Missing("redshifts must be finite and not all the same")
    if np.isnan(given.sigma).all(axis=0).any():
        raise Missing("the noise of some band could not be measured: give it")
    floor = np.nanmedian(given.sigma, axis=0)
    features = {
        images: peaks.flux_features(measured[f"box_{images}"], floor)
        for images in ("truth", "translated")
    }
    parts = []
    for kind in ("knn", "boosting"):
        errors = peaks.cross_validated_errors(kind, features, z, FOLDS, statistics["seed"])
        parts += [
            peaks.tabulate_redshift(error, f"{kind}, {images}", **statistics)
            for images, error in errors.items()
        ]
    return pd.concat(parts)
