"""The simulation against published facts: one table of criteria, and how well it meets them.

Colours, redshifts and magnitudes come from a catalogue with the errors of SDSS; sizes,
concentrations and gradients from noiseless images without neighbours (`structures`). Measured on
several seeds on which nothing was tuned, every criterion has a margin in units of the scatter from
seed to seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsRegressor

from companion import sdss_statistics as facts
from companion.structures import structures
from galtools.data import photometry
from galtools.simulate import neighbours, observe, observing_conditions, population, scene
from galtools.simulate.matched_pairs import one_thread
from galtools.surveys import BANDS, CFHTLS, SDSS

HELD_OUT = tuple(range(101, 109))  # seeds on which nothing was tuned
KNN_NEIGHBOURS = 20
TRAINING_SHARE = 0.7  # of the catalogue, for the regression of redshift on colours
EDGE_ON = np.log10(1 / 0.2)  # log a/b of an edge-on disc
COUNTED = 22.0  # i magnitude
FEW, JUDGED = 20, 200  # galaxies that a bin holds at least; where the scatter is known to 8 %
G, R = BANDS.index("g"), BANDS.index("r")
INF = np.inf


def catalogue(seed: int, n: int, limit: float = population.MAIN_SAMPLE_LIMIT):
    """Physics of n galaxies, and magnitudes (n, 5) scattered as a real catalogue of SDSS."""
    physics = population.sample_galaxies(seed, range(n), limit)
    true = true_magnitudes(physics, SDSS)
    noise = np.random.default_rng(seed).standard_normal(true.shape)
    return physics, true + facts.catalogue_errors(true) * noise


def true_magnitudes(physics: dict, survey) -> np.ndarray:
    """Magnitudes (n, 5) in the filters of a survey."""
    at = physics["redshift"], physics["r_magnitude"]
    return photometry.magnitude(population.normalised_fluxes(survey.filters, physics, *at))


def colours_and_r(magnitudes) -> np.ndarray:
    """Four colours and r (n, 5) of ugriz magnitudes: features for nearest neighbours."""
    return np.column_stack([-np.diff(magnitudes), magnitudes[:, R]])


def nearest_neighbour_errors(magnitudes, redshift, n_train=None) -> np.ndarray:
    """dz / (1 + z) of held-out galaxies: mean redshift of the nearest in `colours_and_r`."""
    features, cut = colours_and_r(magnitudes), int(TRAINING_SHARE * len(redshift))
    train = slice(min(n_train or cut, cut))
    k = min(KNN_NEIGHBOURS, len(redshift[train]))
    model = KNeighborsRegressor(k).fit(features[train], redshift[train])
    return (model.predict(features[cut:]) - redshift[cut:]) / (1 + redshift[cut:])


def neighbour_counts(seed: int, n: int, limits) -> np.ndarray:
    """Galaxies (k,) per square arcminute, near n galaxies, brighter than i magnitudes (k,)."""
    field = neighbours.sample_neighbours(seed, np.arange(n), (SDSS,))
    i = field["magnitude"][:, : neighbours.MAX_GALAXIES]
    area = n * (2 * neighbours.REACH / 60) ** 2
    return np.array([np.sum(i < limit) for limit in limits]) / area


def noise_correlation(seed: int, n: int = 16, survey=CFHTLS, lags=(1, 2, 3)) -> np.ndarray:
    """Correlation of the noise of pixels some lags apart, mean over g, r, i and both axes: (k,)."""
    galaxies = np.arange(n)
    _, sky, _ = scene.sample_scene(seed, galaxies, (survey,))
    conditions = observing_conditions(seed, galaxies, survey)
    with one_thread():
        images, noiseless = observe(sky, survey, 0, conditions)
    noise = (images - noiseless * conditions.calibration[:, :, None, None])[:, G : G + 3]
    pairs = (
        ((noise[..., k:], noise[..., :-k]), (noise[..., k:, :], noise[..., :-k, :])) for k in lags
    )
    return np.array([np.mean([np.mean(a * b) for a, b in both]) for both in pairs]) / noise.var()


def binned_colours(redshift, magnitudes, few: int = FEW, bins=facts.COLOURS):
    """Median colours less those of real galaxies, and ratio of scatters: (redshift bins, 4).

    NaN in bins of fewer galaxies than `few`.
    """
    shift, ratio = np.full((2, len(bins), len(BANDS) - 1), np.nan)
    for k, real in enumerate(bins):
        chosen = -np.diff(magnitudes[(redshift >= real.low) & (redshift < real.high)])
        if len(chosen) >= few:
            shift[k] = np.median(chosen, axis=0) - real.median
            ratio[k] = photometry.robust_scatter(chosen, axis=0) / real.scatter
    return shift, ratio


def percentile_error(values, published: dict) -> float:
    """Largest relative difference from published percentiles."""
    ratio = np.percentile(values, list(published)) / list(published.values())
    return float(np.abs(ratio - 1).max())


def edge_on_reddening(axis_ratio, colour) -> float:
    """Colour of edge-on less that of face-on discs, from a line in log a/b."""
    return float(np.polyfit(np.log10(1 / axis_ratio), colour, 1)[0] * EDGE_ON)


def measurements(seed: int, n: int, structures: pd.DataFrame) -> SimpleNamespace:
    """What criteria are measured on: a catalogue of n galaxies, and `structures` of some."""
    physics, magnitudes = catalogue(seed, n)
    z, blue = physics["redshift"], ~physics["red"]
    shift, ratio = binned_colours(z, magnitudes, min(JUDGED, n // 5))
    faint, _ = catalogue(seed, 2 * n, facts.FAINT_LIMIT)
    chosen = faint["red"] & (faint["r_magnitude"] > population.MAIN_SAMPLE_LIMIT)
    of_faint = faint["redshift"][chosen], true_magnitudes(faint, SDSS)[chosen]
    sdss, megacam = (true_magnitudes(physics, survey) for survey in (SDSS, CFHTLS))
    terms = (megacam - sdss).T - [facts.colour_term(band, sdss) for band in BANDS]
    size = facts.half_light_radius(structures.early, structures.absolute_magnitude)
    structures = structures.assign(excess=np.log10(structures.kpc / size))
    late = structures[~structures.early]
    return SimpleNamespace(
        redshift=z,
        magnitudes=magnitudes,
        near_g_r=-np.diff(magnitudes[(z > 0.05) & (z < 0.10)])[:, G],
        shift=shift,
        ratio=ratio,
        faint_shift=binned_colours(*of_faint, 1, facts.FAINT_RED)[0],
        dz=nearest_neighbour_errors(magnitudes, z),
        inclined=(physics["axis_ratio"][blue], (magnitudes[:, 0] - magnitudes[:, R])[blue]),
        terms=np.median(terms, axis=1),
        early=structures[structures.early],
        late=late,
        face_on=late[(late.axis_ratio > 0.6) & (late.kpc > 3)],
        near_by=neighbour_counts(seed, n, [COUNTED])[0] / facts.galaxy_counts(COUNTED),
        noise=noise_correlation(seed),
    )


@dataclass(frozen=True)
class Criterion:
    """A measure of `measurements`, the interval that it has to lie in, and the published value."""

    name: str
    low: float
    high: float
    unit: str
    published: str
    source: str
    measure: Callable[[SimpleNamespace], float]


ANNZ, SHEN, STRATEVA = "Collister & Lahav 2004", "Shen et al. 2003", "Strateva et al. 2001"
CRITERIA = (
    Criterion("u − g by redshift", -INF, 0.15, "mag", "largest shift of a median", ANNZ,
              lambda s: np.nanmax(np.abs(s.shift[:, 0]))),
    Criterion("g − r, r − i, i − z by redshift", -INF, 0.05, "mag", "the same", ANNZ,
              lambda s: np.nanmax(np.abs(s.shift[:, 1:]))),
    Criterion("colours of red galaxies, 17.8 < r < 18.6", -INF, 0.07, "mag", "the same", ANNZ,
              lambda s: np.nanmax(np.abs(s.faint_shift[:, 1:]))),
    Criterion("scatter of colours", -INF, 1.4, "", "largest factor", ANNZ,
              lambda s: np.exp(np.nanmax(np.abs(np.log(s.ratio))))),
    Criterion("redshift percentiles", -INF, 0.10, "", "largest relative shift", ANNZ,
              lambda s: percentile_error(s.redshift, facts.REDSHIFT_PERCENTILES)),
    Criterion("r percentiles", -INF, 0.10, "", "largest relative shift", ANNZ,
              lambda s: percentile_error(s.magnitudes[:, R], facts.MAGNITUDE_PERCENTILES)),
    Criterion("blue fraction", 0.309, 0.409, "", "0.359", ANNZ,
              lambda s: np.mean(s.near_g_r < 0.7)),
    Criterion("redshift from colours, scatter", 0.016, 0.020, "", "0.018", ANNZ,
              lambda s: photometry.robust_scatter(s.dz)),
    Criterion("redshift from colours, outliers", 0.025, 0.045, "", "0.036", ANNZ,
              lambda s: np.mean(np.abs(s.dz) > 0.05)),
    Criterion("size, early types", -0.15, 0.15, "dex", "0", SHEN,
              lambda s: s.early.excess.median()),
    Criterion("size, late types", -0.15, 0.15, "dex", "0", SHEN,
              lambda s: s.late.excess.median()),
    Criterion("concentration, early types", 2.6, 3.3, "", "above 2.6", STRATEVA,
              lambda s: s.early.concentration.median()),
    Criterion("concentration, late types", 1.9, 2.6, "", "below 2.6", STRATEVA,
              lambda s: s.late.concentration.median()),
    Criterion("reddening u − r", 0.1, 0.3, "mag", "0.2", "Masters et al. 2010",
              lambda s: edge_on_reddening(*s.inclined)),
    Criterion("gradient, early types", -0.1, 0.0, "mag/dex", "below 0", "Jiang et al. 2011",
              lambda s: s.early.gradient.median()),
    Criterion("gradient of discs", -0.010, -0.002, "mag/kpc", "−0.006", "Liu et al. 2009",
              lambda s: s.face_on.gradient_kpc.median()),
    Criterion("density of neighbours", 0.7, 1.3, "", "1 at i < 22", "LSST Science Book 2009",
              lambda s: s.near_by),
    Criterion("noise correlation, adjacent pixels", 0.047, 0.107, "", "0.077", "CFHTLS W3",
              lambda s: s.noise[0]),
    Criterion("u* − u", -0.05, 0.05, "mag", "0", "MegaPipe", lambda s: s.terms[0]),
    Criterion("MegaCam − SDSS, g to z", -INF, 0.03, "mag", "largest difference", "MegaPipe",
              lambda s: np.abs(s.terms[1:]).max()),
)  # fmt: skip


def structures_of_seeds(n: int, seeds=HELD_OUT) -> pd.DataFrame:
    """`structures` of n galaxies of every seed."""
    return pd.concat([structures(seed, n).assign(seed=seed) for seed in seeds], ignore_index=True)


def measure_seeds(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """All criteria, a row for each seed of `structures_of_seeds`; n galaxies in a catalogue."""
    measured = {seed: measurements(seed, n, group) for seed, group in table.groupby("seed")}
    rows = {seed: {c.name: c.measure(one) for c in CRITERIA} for seed, one in measured.items()}
    return pd.DataFrame(rows).T.rename_axis("seed")


def margins(measured: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, scatter from seed to seed, and margin to the nearest limit in scatters.

    A negative margin is a criterion that is not met.
    """
    mean, scatter = measured.mean(), measured.std()
    limits = pd.DataFrame({c.name: (c.low, c.high) for c in CRITERIA}).T.loc[measured.columns]
    distance = np.minimum(mean - limits[0], limits[1] - mean)
    return pd.DataFrame({"mean": mean, "scatter": scatter, "margin": distance / scatter})


def write_structures(n: int, seeds):
    """Maker of an artefact: `structures_of_seeds`."""
    return lambda path: structures_of_seeds(n, seeds).to_csv(path, index=False)


def write_criteria(structures_file, n: int):
    """Maker of an artefact: criteria of the seeds of a table of structures."""
    return lambda path: measure_seeds(pd.read_csv(structures_file), n).to_csv(path)
