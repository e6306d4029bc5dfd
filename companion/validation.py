"""Measurements on simulated galaxies that published ones can be compared with.

Colours, redshifts and magnitudes come from a catalogue with the errors of SDSS; sizes,
concentrations and gradients from noiseless images without neighbours. Published values are those
of `sdss_statistics`. Measured on several seeds on which nothing was tuned, every criterion has a
margin in units of the scatter from seed to seed.
"""

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


def nearest_neighbour_errors(magnitudes, redshift, n_train=None) -> np.ndarray:
    """dz / (1 + z) of held-out galaxies: mean redshift of the nearest in four colours and r."""
    features = np.column_stack([-np.diff(magnitudes), magnitudes[:, R]])
    cut = int(TRAINING_SHARE * len(redshift))
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


def binned_colours(redshift, magnitudes, few: int = FEW) -> tuple[np.ndarray, np.ndarray]:
    """Median colours less those of real galaxies, and ratio of scatters: (redshift bins, 4).

    NaN in bins of fewer galaxies than `few`.
    """
    shift, ratio = np.full((2, len(facts.COLOURS), len(BANDS) - 1), np.nan)
    for k, real in enumerate(facts.COLOURS):
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


def catalogue_criteria(seed: int, n: int) -> dict[str, float]:
    """What a catalogue of n galaxies shows; names are those of `sdss_statistics.CRITERIA`."""
    physics, magnitudes = catalogue(seed, n)
    redshift = physics["redshift"]
    shift, ratio = binned_colours(redshift, magnitudes, min(JUDGED, n // 5))
    near = (redshift > 0.05) & (redshift < 0.10)
    dz = nearest_neighbour_errors(magnitudes, redshift)
    disc = ~physics["red"]
    sdss, megacam = (true_magnitudes(physics, survey) for survey in (SDSS, CFHTLS))
    term = [megacam[:, k] - sdss[:, k] - facts.colour_term(b, sdss) for k, b in enumerate(BANDS)]
    return {
        "u − g by redshift": np.nanmax(np.abs(shift[:, 0])),
        "g − r, r − i, i − z by redshift": np.nanmax(np.abs(shift[:, 1:])),
        "scatter of colours": np.exp(np.nanmax(np.abs(np.log(ratio)))),
        "redshift percentiles": percentile_error(redshift, facts.REDSHIFT_PERCENTILES),
        "r percentiles": percentile_error(magnitudes[:, R], facts.MAGNITUDE_PERCENTILES),
        "blue share": np.mean(magnitudes[near, G] - magnitudes[near, R] < 0.7),
        "redshift from colours, σ": photometry.robust_scatter(dz),
        "redshift from colours, outliers": np.mean(np.abs(dz) > 0.05),
        "reddening u − r": edge_on_reddening(
            physics["axis_ratio"][disc], magnitudes[disc, 0] - magnitudes[disc, R]
        ),
        "u* − u": np.median(term[0]),
        "MegaCam − SDSS, g to z": np.abs(np.median(term[1:], axis=1)).max(),
    }


def structure_criteria(table: pd.DataFrame) -> dict[str, float]:
    """What `structures` show; names are those of `sdss_statistics.CRITERIA`."""
    early, late = table[table.early], table[~table.early]
    size = np.log10(table.kpc / facts.half_light_radius(table.early, table.absolute_magnitude))
    face_on = late[(late.axis_ratio > 0.6) & (late.kpc > 3)]
    return {
        "size, early types": size[table.early].median(),
        "size, late types": size[~table.early].median(),
        "concentration, early types": early.concentration.median(),
        "concentration, late types": late.concentration.median(),
        "gradient, early types": early.gradient.median(),
        "gradient of discs": face_on.gradient_kpc.median(),
    }


def sky_criteria(seed: int, n: int) -> dict[str, float]:
    """Neighbours of n galaxies and noise; names are those of `sdss_statistics.CRITERIA`."""
    near = neighbour_counts(seed, n, [COUNTED])[0] / facts.galaxy_counts(COUNTED)
    return {"galaxies near by": near, "noise, next pixel": noise_correlation(seed)[0]}


def structures_of_seeds(n: int, seeds=HELD_OUT) -> pd.DataFrame:
    """`structures` of n galaxies of every seed."""
    return pd.concat([structures(seed, n).assign(seed=seed) for seed in seeds], ignore_index=True)


def measure_seeds(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """All criteria, a row for each seed of `structures_of_seeds`; n galaxies in a catalogue."""
    rows = {
        seed: catalogue_criteria(seed, n) | structure_criteria(group) | sky_criteria(seed, n)
        for seed, group in table.groupby("seed")
    }
    return pd.DataFrame(rows).T[list(facts.CRITERIA)].rename_axis("seed")


def margins(measured: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, scatter from seed to seed, and margin to the nearest limit in scatters.

    A negative margin is a criterion that is not met.
    """
    mean, scatter = measured.mean(), measured.std()
    low = pd.Series({name: c.low for name, c in facts.CRITERIA.items()})
    high = pd.Series({name: c.high for name, c in facts.CRITERIA.items()})
    room = np.minimum(mean - low, high - mean)[measured.columns]
    return pd.DataFrame({"mean": mean, "scatter": scatter, "margin": room / scatter})


def write_structures(n: int, seeds):
    """Maker of an artefact: `structures_of_seeds`."""
    return lambda path: structures_of_seeds(n, seeds).to_csv(path, index=False)


def write_criteria(structures_file, n: int):
    """Maker of an artefact: criteria of the seeds of a table of structures."""
    return lambda path: measure_seeds(pd.read_csv(structures_file), n).to_csv(path)
