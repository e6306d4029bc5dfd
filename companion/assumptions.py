"""Which conclusions move if an assumption of the simulation is wrong by a factor of two.

Every assumption is a constant of a module of the simulation, or of the two surveys. It is halved
and doubled, the same galaxies are simulated again, and a few conclusions are measured anew; the
change has an interval by resampling the galaxies. The table is kept; this makes it again (some
minutes of one core):

    python -m companion.assumptions
"""

from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from importlib import import_module
from unittest import mock

import numpy as np
import pandas as pd
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from companion import flux_redshift, paths, validation
from galtools import artefacts
from galtools.data import photometry
from galtools.fidelity import intervals, peaks, pixels
from galtools.simulate import observe, observing_conditions, population, scene
from galtools.simulate.matched_pairs import BLOCK, in_order, one_thread
from galtools.surveys import BANDS, CFHTLS, SDSS

KEPT = paths.REFERENCE / "02_assumptions.csv"
GALAXIES, CATALOGUE, SEED = 480, 5000, 201  # in images; in the catalogue
CHECKED = 16  # galaxies that show whether the table is that of this simulation
FACTORS = (0.5, 2.0)
CENTRES = 80  # radial basis functions of the regression
SURE = 3.0  # standard errors beyond which a change counts: of some 200, one may be chance
MODULES = ["companion.assumptions"]
SURVEYS = "galtools.surveys"
G, R = BANDS.index("g"), BANDS.index("r")


def information_gain(errors):
    """Bits by which the second of two errors (2, ..., n) is smaller."""
    return np.log2(photometry.robust_scatter(errors[0]) / photometry.robust_scatter(errors[1]))


REPEATS = "repeat of peak g − r, SDSS", "repeat of peak g − r, CFHTLS"
REDSHIFTS = "σ of z, SDSS peaks", "σ of z, CFHTLS peaks"
PSNR, COLOURS = "repeat PSNR, CFHTLS r", "σ of z, catalogue colours"
INFORMATION = "CFHTLS − SDSS, information in peaks"
CONCLUSIONS = {  # their units, and the statistic of what `measured` says of each galaxy
    REPEATS[0]: ("mag", intervals.robust_scatter),
    REPEATS[1]: ("mag", intervals.robust_scatter),
    PSNR: ("dB", intervals.mean),
    COLOURS: ("", intervals.robust_scatter),
    REDSHIFTS[0]: ("", intervals.robust_scatter),
    INFORMATION: ("bit", information_gain),
}


@dataclass(frozen=True)
class Assumption:
    """A constant `name` of a module, or a field of both surveys; `part` is a key or field of it."""

    module: str
    name: str
    source: str
    part: str | None = None


def scaled(value, factor: float, part: str | None = None):
    """Multiply a constant: a number, an array, a tuple, or one part of a dict or dataclass.

    Of a dict of means and scatters without a part, all scatters.
    """
    if isinstance(value, dict) and part is None:
        return {name: (mean, factor * scatter) for name, (mean, scatter) in value.items()}
    if isinstance(value, dict):
        return value | {part: scaled(value[part], factor)}
    if is_dataclass(value):
        return replace(value, **{part: scaled(getattr(value, part), factor)})
    if isinstance(value, tuple):
        return tuple(factor * v for v in value)
    return max(1, round(factor * value)) if isinstance(value, int) else factor * value


@contextmanager
def changed(assumption: Assumption, factor: float):
    """Simulate with an assumption multiplied by a factor; yields the two surveys."""
    if assumption.module == SURVEYS:
        yield [
            replace(s, **{assumption.name: scaled(getattr(s, assumption.name), factor)})
            for s in (SDSS, CFHTLS)
        ]
        return
    module = import_module(assumption.module)
    value = scaled(getattr(module, assumption.name), factor, assumption.part)
    try:
        with mock.patch.object(module, assumption.name, value):
            clear_caches()
            yield SDSS, CFHTLS
    finally:
        clear_caches()


def clear_caches() -> None:
    """Forget what follows from the constants of the population."""
    for function in vars(population).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def errors_from_peaks(fluxes, sigma, redshift) -> np.ndarray:
    """Errors (n,) of ln(1 + z) estimated from peak fluxes (n, 5), each galaxy left out in turn.

    By a ridge regression on radial basis functions.
    """
    kernel = Nystroem(gamma=0.05, n_components=min(CENTRES, len(redshift)), random_state=0)
    basis = make_pipeline(StandardScaler(), make_union(FunctionTransformer(), kernel))
    features = basis.fit_transform(peaks.flux_features(fluxes, sigma))
    return flux_redshift.ridge(features, np.log1p(redshift))[1]


def observed_twice(start: int, surveys, seed: int = SEED) -> dict[str, np.ndarray]:
    """Redshifts of a block, central fluxes (n, observation, survey, band), noise and PSNR."""
    galaxies = np.arange(start, start + BLOCK)
    physics, sky, _ = scene.sample_scene(seed, galaxies, surveys)
    epochs = [[observing_conditions(seed, galaxies, s, k) for s in surveys] for k in (0, 1)]
    with one_thread():
        images = [
            [observe(sky, s, i, epochs[k][i])[0] for i, s in enumerate(surveys)] for k in (0, 1)
        ]
    fluxes = [[photometry.box_flux(x) for x in pair] for pair in images]
    measured = pixels.measure(images[0][1], images[1][1], 1.0, SDSS.pixel_scale)
    return {
        "redshift": physics["redshift"],
        "fluxes": np.moveaxis(fluxes, 2, 0),
        "noise": np.stack([conditions.sky_noise for conditions in epochs[0]], axis=1),
        "psnr": measured["psnr"][:, R],
    }


def observed(n: int, surveys=(SDSS, CFHTLS), seed: int = SEED, workers: int = 1) -> dict:
    """Arrays of `observed_twice` of n galaxies on the pixels of SDSS."""
    surveys, blocks = [survey.on_grid_of(SDSS) for survey in surveys], range(0, n, BLOCK)
    work = partial(observed_twice, surveys=surveys, seed=seed)
    parts = list(in_order(work, blocks, workers) if workers > 1 else map(work, blocks))
    return {name: np.concatenate([part[name] for part in parts])[:n] for name in parts[0]}


def measured(n: int, surveys=(SDSS, CFHTLS)) -> dict[str, np.ndarray]:
    """What `CONCLUSIONS` are statistics of, for n galaxies."""
    physics, magnitudes = validation.catalogue(SEED, CATALOGUE)
    errors = validation.nearest_neighbour_errors(magnitudes, physics["redshift"])
    return summarize(observed(n, surveys)) | {COLOURS: errors}


def summarize(data: dict) -> dict[str, np.ndarray]:
    """Errors that follow from images, each with galaxies along the last axis."""
    fluxes, z, noise = data["fluxes"], data["redshift"], np.median(data["noise"], axis=0)
    colour = photometry.colours(fluxes)[..., G]
    errors = np.stack([errors_from_peaks(fluxes[:, 0, k], noise[k], z) for k in (0, 1)])
    repeats = (colour[:, 1] - colour[:, 0]).T
    rows = dict(zip(REPEATS, repeats, strict=True)) | dict(zip(REDSHIFTS, errors, strict=True))
    return rows | {PSNR: data["psnr"], INFORMATION: errors}


def changes(today: dict, after: dict, **setting) -> list[dict]:
    """Rows of the kept table: the change of every conclusion on the same galaxies.

    `moves` is true where it is more than `SURE` standard errors and its interval leaves out zero.
    """
    rows = []
    for name, (_, statistic) in CONCLUSIONS.items():
        base = intervals.bootstrap(statistic, today[name])
        e = intervals.paired_difference(statistic, after[name], today[name])
        far = abs(e.value) > SURE * (e.high - e.low) / (2 * intervals.Z)
        moves = far and e.low * e.high > 0
        row = {**setting, "conclusion": name, "today": base.value}
        rows.append(row | {"change": e.value, "low": e.low, "high": e.high, "moves": moves})
    return rows


def measure(assumptions: dict[str, Assumption], n: int) -> pd.DataFrame:
    """`changes` for every assumption and factor."""
    today, rows = measured(n), []
    for name, assumption in assumptions.items():
        for factor in FACTORS:
            with changed(assumption, factor) as surveys:
                rows += changes(today, measured(n, surveys), assumption=name, factor=factor)
    return pd.DataFrame(rows)


OBSERVATION, POPULATION = "galtools.simulate.observation", "galtools.simulate.population"
NEIGHBOURS, FEATURES = "galtools.simulate.neighbours", "galtools.simulate.features"
CALIBRATION = "Padmanabhan et al. 2008; Hudelot et al. 2012"
DUST, COUNTS = "tuned on Masters et al. 2010", "LSST Science Book 2009"
ASSUMPTIONS = {
    "seeing, common to the bands": Assumption(SURVEYS, "common_seeing", "SDSS fields"),
    "seeing, from band to band": Assumption(
        SURVEYS, "band_seeing", "SDSS: assumed; Erben et al. 2013"
    ),
    "zero points": Assumption(SURVEYS, "calibration_error", CALIBRATION),
    "galaxies per field": Assumption(SURVEYS, "galaxies_per_field", "Strauss et al. 2002"),
    "sky noise": Assumption(SURVEYS, "sky_noise", "SDSS cutouts; CFHTLS field W3"),
    "sky noise, scatter": Assumption(OBSERVATION, "SKY", "assumed"),
    "electrons per nanomaggy": Assumption(SURVEYS, "electrons_per_nanomaggy", "assumed"),
    "spectral type, scatter": Assumption(POPULATION, "SPECTRA", "tuned", "kind_scatter"),
    "4000 Å break, scatter": Assumption(POPULATION, "SPECTRA", "tuned", "break_scatter"),
    "tilt of spectra, scatter": Assumption(POPULATION, "SPECTRA", "tuned", "tilt_scatter"),
    "spectra of components, scatter": Assumption(POPULATION, "COMPONENT_SPECTRA", "assumed"),
    "dust, median": Assumption(POPULATION, "SPECTRA", "tuned", "dust"),
    "dust, scatter": Assumption(POPULATION, "DUST_SCATTER", "tuned"),
    "dust, growth with inclination": Assumption(POPULATION, "INCLINATION_DUST", DUST),
    "sizes, scatter": Assumption(POPULATION, "SIZE_SCATTER", "Shen et al. 2003"),
    "blue galaxies, number": Assumption(POPULATION, "BLUE", "tuned", "density"),
    "galaxies near by, number": Assumption(NEIGHBOURS, "GALAXIES", COUNTS, "density"),
    "stars near by, number": Assumption(NEIGHBOURS, "STARS", "Juric et al. 2008", "density"),
    "H II regions, flux": Assumption(FEATURES, "KNOT_SHARE", "assumed"),
}

UNTESTED = {  # value and source of what no constant scales
    "inclinations": ("isotropic at any flux: too many edge-on discs", "assumed"),
    "texture at 1.5 to 2.25 arcsec": ("stronger than in KiDS", "tuned"),
    "PSF": ("Kolmogorov, round, the same over a stamp", "assumed"),
    "mergers; bars and rings": ("4 % of galaxies; 40 and 15 % of discs", "assumed"),
}


def fingerprint() -> dict[str, float]:
    """Conclusions of a few galaxies: equal for two tables of the same simulation."""
    values = measured(CHECKED)
    return {name: float(statistic(values[name])) for name, (_, statistic) in CONCLUSIONS.items()}


def is_current(manifest: dict) -> bool:
    """Whether the kept table is that of the simulation as it is now."""
    kept, now = manifest["extra"]["fingerprint"], fingerprint()
    return kept.keys() == now.keys() and np.allclose([*kept.values()], [*now.values()], rtol=1e-3)


def value(assumption: Assumption) -> str:
    """Write the constant as it is today; of the surveys, those of SDSS and CFHTLS."""
    if assumption.module == SURVEYS:
        constants = [getattr(survey, assumption.name) for survey in (SDSS, CFHTLS)]
    else:
        constants = [getattr(import_module(assumption.module), assumption.name)]
    if part := assumption.part:
        constants = [c[part] if isinstance(c, dict) else getattr(c, part) for c in constants]
    return "; ".join(map(_written, constants))


def _written(constant) -> str:
    if isinstance(constant, dict):
        constant = [scatter for _, scatter in constant.values()]
    return " ".join(f"{v:.3g}".replace("-", "−") for v in np.atleast_1d(constant))


def strongest(table: pd.DataFrame, conclusion: str):
    """Row of the kept table of the assumption that, doubled, changes a conclusion most."""
    rows = table[(table.conclusion == conclusion) & (table.factor == FACTORS[1])]
    return rows.loc[rows.change.abs().idxmax()]


def table(changes: pd.DataFrame) -> pd.DataFrame:
    """Every assumption: its value, its source, and which conclusions move if it is off by two."""
    tested = {name: a for name, a in ASSUMPTIONS.items() if name in set(changes.assumption)}
    columns = {"value": map(value, tested.values()), "source": (a.source for a in tested.values())}
    rows = pd.DataFrame(columns, index=pd.Index(tested, name="assumption"))
    moved = changes[changes.moves].groupby(["factor", "assumption"]).conclusion.agg("; ".join)
    for factor, change in zip(FACTORS, ("halved", "doubled"), strict=True):
        rows[f"changes if {change}"] = [moved.get((factor, name), "none") for name in tested]
    for name, facts in UNTESTED.items():
        rows.loc[name] = [*facts, "not tested", "not tested"]
    return rows


def write_table(path) -> dict:
    """Make the kept table; what is returned goes into its manifest."""
    measure(ASSUMPTIONS, GALAXIES).to_csv(path, index=False)
    return {"fingerprint": fingerprint()}


def remake() -> None:
    """Make the kept table, unless the one at hand is that of this code."""
    recipe = {"galaxies": GALAXIES, "catalogue": CATALOGUE}
    artefacts.make(KEPT, write_table, params=recipe, modules=MODULES, seed=SEED)


if __name__ == "__main__":
    import_module("companion.assumptions").remake()  # not __main__: keys name modules
