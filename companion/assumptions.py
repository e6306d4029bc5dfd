"""Which conclusions move if an assumption of the simulation is wrong by a factor of two.

Every assumption is a constant of a module of the simulation, or of the two surveys. It is halved
and doubled, the same galaxies are simulated again, and a few conclusions are measured anew. They
are measured on several independent sets of galaxies; the scatter of the change from set to set is
its sampling error. The table is kept; this makes it again (5 minutes of one core):

    python -m companion.assumptions
"""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, is_dataclass, replace
from importlib import import_module
from unittest import mock

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from companion import flux_redshift, paths, validation
from galtools import artefacts, provenance
from galtools.data import photometry
from galtools.fidelity import peaks, pixels
from galtools.simulate import observe, observing_conditions, population, scene
from galtools.simulate.matched_pairs import BLOCK, one_thread
from galtools.surveys import BANDS, CFHTLS, SDSS

KEPT = paths.REFERENCE / "02_assumptions.csv"
GALAXIES, SEEDS = 80, (201, 202, 203, 204, 205)  # of a set; sets
CATALOGUE = 8  # times as many galaxies in the catalogue
FACTORS = (0.5, 2.0)
CENTRES = 80  # radial basis functions of the regression
LEVEL = 0.99  # of the interval of a change: two of some two hundred leave out zero by chance
MODULES = ["companion.assumptions"]
SURVEYS = "galtools.surveys"
G, R = BANDS.index("g"), BANDS.index("r")

CONCLUSIONS = {  # and their units
    "repeat of peak g − r, SDSS": "mag",
    "repeat of peak g − r, CFHTLS": "mag",
    "repeat PSNR, CFHTLS r": "dB",
    "σ of z, catalogue colours": "",
    "σ of z, SDSS peaks": "",
    "CFHTLS − SDSS, information in peaks": "bit",
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


def redshift_from_peaks(fluxes, sigma, redshift) -> tuple[float, float]:
    """sigma_MAD, and information in bits, of redshifts estimated from peak fluxes (n, 5).

    Errors e of ln(1 + z) are those of a ridge regression on radial basis functions when a galaxy
    is left out; the information is log2 of the scatter of ln(1 + z) over that of e.
    """
    kernel = Nystroem(gamma=0.05, n_components=min(CENTRES, len(redshift)), random_state=0)
    basis = make_pipeline(StandardScaler(), make_union(FunctionTransformer(), kernel))
    log_z = np.log1p(redshift)
    _, error = flux_redshift.ridge(basis.fit_transform(peaks.flux_features(fluxes, sigma)), log_z)
    scatter = photometry.robust_scatter(error)
    return scatter, np.log2(photometry.robust_scatter(log_z) / scatter)


def observed(seed: int, n: int, surveys):
    """Redshifts (n,), noise (2, 5), and images of two observations by two surveys: 2 x 2 arrays."""
    images, redshift, noise = [], [], []
    for start in range(0, n, BLOCK):
        galaxies = np.arange(start, min(start + BLOCK, n))
        physics, sky, _ = scene.sample_scene(seed, galaxies, surveys)
        seen = [[observing_conditions(seed, galaxies, s, k) for s in surveys] for k in (0, 1)]
        with one_thread():
            images.append(
                [[observe(sky, s, i, seen[k][i])[0] for i, s in enumerate(surveys)] for k in (0, 1)]
            )
        redshift.append(physics["redshift"])
        noise.append([seen[0][i].sky_noise for i in (0, 1)])
    return (
        np.concatenate(redshift),
        np.median(np.concatenate(noise, axis=1), axis=1),
        [[np.concatenate([block[k][i] for block in images]) for i in (0, 1)] for k in (0, 1)],
    )


def conclusions(seed: int, n: int, surveys=(SDSS, CFHTLS)) -> dict[str, float]:
    """`CONCLUSIONS` on n galaxies, all on the pixels of SDSS."""
    surveys = [survey.on_grid_of(SDSS) for survey in surveys]
    z, noise, images = observed(seed, n, surveys)
    boxes = np.array([[photometry.box_flux(x) for x in pair] for pair in images])
    colour = photometry.magnitude(boxes[..., G]) - photometry.magnitude(boxes[..., R])
    sdss, cfhtls = photometry.robust_scatter(colour[1] - colour[0], nan_policy="omit")
    (sigma, bits), (_, most) = (redshift_from_peaks(boxes[0, k], noise[k], z) for k in (0, 1))
    first, again = images[0][1], images[1][1]
    psnr = pixels.measure(first, again, noise[1], SDSS.pixel_scale)["psnr"][:, R].mean()
    physics, magnitudes = validation.catalogue(seed, CATALOGUE * n)
    dz = validation.nearest_neighbour_errors(magnitudes, physics["redshift"])
    values = (sdss, cfhtls, psnr, photometry.robust_scatter(dz), sigma, most - bits)
    return dict(zip(CONCLUSIONS, map(float, values), strict=True))


def measure(assumptions: dict[str, Assumption], n: int, seeds) -> pd.DataFrame:
    """Conclusions for every assumption, factor and set of galaxies; factor 1 comes first."""
    settings = [("none", 1.0, nullcontext((SDSS, CFHTLS)))]
    settings += [(k, f, changed(a, f)) for k, a in assumptions.items() for f in FACTORS]
    rows = []
    for name, factor, context in settings:
        with context as surveys:
            for seed in seeds:
                found = conclusions(seed, n, surveys)
                rows.append({"assumption": name, "factor": factor, "seed": seed, **found})
    return pd.DataFrame(rows)


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Change of every conclusion against factor 1 on the same galaxies, with its interval.

    `moves` is true where the interval, by Student's t over the sets of galaxies, leaves out zero.
    """
    as_it_is = table[table.factor == 1].set_index("seed")[list(CONCLUSIONS)]
    rows = []
    for (name, factor), group in table[table.factor != 1].groupby(
        ["assumption", "factor"], sort=False
    ):
        difference = group.set_index("seed")[list(CONCLUSIONS)] - as_it_is
        reach = student.ppf((1 + LEVEL) / 2, len(difference) - 1) * difference.sem()
        for conclusion, value in difference.mean().items():
            row = {"assumption": name, "factor": factor, "conclusion": conclusion}
            base = as_it_is[conclusion].mean()
            low, high = value - reach[conclusion], value + reach[conclusion]
            rows.append(row | {"today": base, "change": value, "low": low, "high": high})
    found = pd.DataFrame(rows)
    return found.assign(moves=(found.low > 0) | (found.high < 0))


OBSERVATION, POPULATION = "galtools.simulate.observation", "galtools.simulate.population"
ASSUMPTIONS = {
    "seeing, common to the bands": Assumption(SURVEYS, "common_seeing", "Abazajian et al. 2009"),
    "seeing, from band to band": Assumption(
        SURVEYS, "band_seeing", "Xin et al. 2018; Erben et al. 2013"
    ),
    "zero points": Assumption(
        SURVEYS, "calibration_error", "Padmanabhan et al. 2008; Hudelot et al. 2012"
    ),
    "galaxies per field": Assumption(SURVEYS, "galaxies_per_field", "Strauss et al. 2002"),
    "sky noise": Assumption(SURVEYS, "sky_noise", "SDSS cutouts; CFHTLS field W3"),
    "sky noise, scatter": Assumption(OBSERVATION, "SKY", "assumed"),
    "electrons per nanomaggy": Assumption(SURVEYS, "electrons_per_nanomaggy", "SDSS; CFHT"),
    "spectral type, scatter": Assumption(POPULATION, "SPECTRA", "tuned", "kind_scatter"),
    "4000 Å break, scatter": Assumption(POPULATION, "SPECTRA", "tuned", "break_scatter"),
    "tilt of spectra, scatter": Assumption(POPULATION, "SPECTRA", "tuned", "tilt_scatter"),
    "spectra of components, scatter": Assumption(POPULATION, "COMPONENT_SPECTRA", "assumed"),
    "dust, median": Assumption(POPULATION, "SPECTRA", "tuned", "dust"),
    "dust, scatter": Assumption(POPULATION, "DUST_SCATTER", "tuned"),
    "dust, growth with inclination": Assumption(
        POPULATION, "INCLINATION_DUST", "Masters et al. 2010"
    ),
    "sizes, scatter": Assumption(POPULATION, "SIZE_SCATTER", "Shen et al. 2003"),
    "blue galaxies, number": Assumption(POPULATION, "BLUE", "tuned", "density"),
    "galaxies near by, number": Assumption(
        "galtools.simulate.neighbours", "GALAXIES", "LSST Science Book 2009", "density"
    ),
    "stars near by, number": Assumption(
        "galtools.simulate.neighbours", "STARS", "Juric et al. 2008", "density"
    ),
    "H II regions, flux": Assumption("galtools.simulate.features", "KNOT_SHARE", "assumed"),
}


def simulation_digest() -> str:
    """Hash of the code of the simulation, as it is now."""
    code = provenance.module_digests(["galtools.simulate"])
    parts = ("galtools.simulate", "galtools.surveys")
    return provenance.digest({name: code[name] for name in code if name.startswith(parts)})


def value(assumption: Assumption) -> str:
    """Write the constant as it is today; of the surveys, those of SDSS and CFHTLS."""
    if assumption.module == SURVEYS:
        return "; ".join(_written(getattr(survey, assumption.name)) for survey in (SDSS, CFHTLS))
    constant = getattr(import_module(assumption.module), assumption.name)
    if assumption.part:
        constant = constant[assumption.part] if isinstance(constant, dict) else getattr(
            constant, assumption.part
        )  # fmt: skip
    return _written(constant)


def _written(constant) -> str:
    if isinstance(constant, dict):
        constant = [scatter for _, scatter in constant.values()]
    return " ".join(f"{v:.3g}".replace("-", "−") for v in np.atleast_1d(constant))


def strongest(found: pd.DataFrame, conclusion: str):
    """Row of `changes` of the assumption that, doubled, changes a conclusion most."""
    rows = found[(found.conclusion == conclusion) & (found.factor == FACTORS[1])]
    return rows.loc[rows.change.abs().idxmax()]


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Every assumption: its value, its source, and which conclusions move if it is off by two."""

    def moved(name, factor):
        rows = found[(found.assumption == name) & (found.factor == factor) & found.moves]
        return "; ".join(rows.conclusion) or "none"

    names = [name for name in dict.fromkeys(found.assumption) if name in ASSUMPTIONS]
    columns = {
        "value": [value(ASSUMPTIONS[name]) for name in names],
        "source": [ASSUMPTIONS[name].source for name in names],
        "halved, it moves": [moved(name, FACTORS[0]) for name in names],
        "doubled, it moves": [moved(name, FACTORS[1]) for name in names],
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="assumption"))


def write_table(path) -> dict:
    """Make the kept table; what is returned goes into its manifest."""
    made_by = simulation_digest()
    measure(ASSUMPTIONS, GALAXIES, SEEDS).to_csv(path, index=False)
    return {"simulation": made_by}


def remake() -> None:
    """Make the kept table, unless the one at hand is that of this simulation."""
    recipe = {"galaxies": GALAXIES, "seeds": list(SEEDS)}
    artefacts.make(KEPT, write_table, params=recipe, modules=MODULES)


if __name__ == "__main__":
    import_module("companion.assumptions").remake()  # not __main__: keys name modules
