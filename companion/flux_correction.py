"""The study of a translator that keeps the redshift: what it is built from, tuned on and judged by.

Protocols are those of `fidelity.redshifts`; here the weights may be those of any seed, and an
estimator is retrained on as many galaxies as one asks for.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from companion import panels, paths, plotting, redshift_evaluation, seed_agreement
from galtools import artefacts, data, models, redshift
from galtools.data import Pairs, image_files, photometry
from galtools.errors import GaltoolsError
from galtools.fidelity import information, intervals, peaks, pixels, redshifts, structure
from galtools.fidelity.metrics import measure_images
from galtools.models import flux_corrected
from galtools.redshift import Ensemble, PhotometryLayer
from galtools.training import train
from galtools.training.loop import Settings
from galtools.training.translate import translate_cached

R_BAND = 2
CHAPTERS = {"cross": "11_residual", "forward": "35_directions"}  # of residual networks
FEW = 64  # galaxies at a time
SIZES = ("size", "ellipticity", "inner light", "outer light", "asymmetry")  # as `Measure` has them
PRICES = {"chi": "residual", "flux": "bias of the flux", "blur": "blur"}
MARGINS = {"chi": 1.05, "flux": 0.005, "blur": 0.05}  # share; share of the flux; arcsec


def make_corrected(store: paths.Results, way: str, seed: int = 0) -> Path:
    """Put the rule around a residual network of the book, once; return the file of weights.

    The `way` is that of the network: "cross" in its own chapter, "forward" among the directions.
    """
    old = paths.need(store.weights(way, "residual", seed), CHAPTERS[way])
    learn = paths.need(store.data("train"), "01_two_surveys")
    new = store.weights(way, "flux_corrected", seed)

    def maker(path):
        train.save_weights(
            path, flux_corrected.correct_network(train.load_weights(old), training(learn))
        )

    modules = ["companion.flux_correction", *models.modules("flux_corrected")]
    artefacts.make(new, maker, params={"way": way}, modules=modules, inputs=[old, learn])
    return new


@lru_cache(maxsize=1)
def training(file: Path) -> Pairs:
    """Read the training pairs that fix the rule; all rules are learnt from the same ones."""
    return data.load(file, flux_corrected.fit_rows(len(image_files.read_column(file, "redshift"))))


def translations(store: paths.Results, seed: int = 0) -> Path:
    """Translate the test galaxies with the flux-corrected network, once."""
    path, test = store.translations("cross", "flux_corrected", seed), store.data("test")
    translate_cached(
        path, store.weights("cross", "flux_corrected", seed), data.load, test, seed=seed
    )
    return path


def finetune_cached(
    store, seed: int, weights: Path | None, numbers, check: int, settings: Settings
) -> dict:
    """Finetune the estimator of the target, of a seed, on translations, once.

    On as many galaxies of the training split as each of `numbers` says; the first `check` of the
    validation split fix its temperature. Without weights, on the sources. Returns
    {number: Ensemble}.
    """
    folder = weights.parent if weights else store.model("redshift", "source", settings.seed)
    files = {number: folder / f"redshift_{number}.safetensors" for number in numbers}
    row = "translated" if weights else "resample"
    return redshift_evaluation.finetune_cached(
        store, "cross", row, weights, files, check, settings, seed
    )


def uncorrected(weights: Path):
    """Load a flux-corrected network and switch its correction off."""
    network = train.load_weights(weights)
    network.rounds = 0
    return network


def ablation(weights: Path, pairs, source, plain, changes: dict[str, dict]) -> dict:
    """Correct plain translations by less than the whole rule: {name: images}.

    `changes` maps names to {"circles": ..., "rounds": ..., "galaxies": ...}, all optional; a rule
    of other circles or fewer galaxies is learnt anew from training pairs.
    """
    base, found = train.load_weights(weights), {}
    recipe = base.recipe
    x, y = base.regridded(torch.as_tensor(source)), torch.as_tensor(plain)
    for name, change in changes.items():
        rounds, rule = change.get("rounds", base.rounds), base.rule
        if change.keys() & {"circles", "galaxies"}:
            sizes = recipe["sizes"] | {k: v for k, v in change.items() if k == "circles"}
            bands = tuple(recipe["bands"])
            other = models.build(
                "flux_corrected", recipe["task"], recipe["profile"], bands, **sizes
            )
            other.scaling = base.scaling
            other.prepare(pairs[slice(change.get("galaxies"))])
            rule = other.rule
        found[name] = corrected(rule, x, y, rounds)
    return found


@torch.no_grad()
def corrected(rule, source, images, rounds: int) -> np.ndarray:
    """Put the light of images right, a few at a time; both in nanomaggies on the target's grid."""
    parts = zip(source.split(FEW), images.split(FEW), strict=True)
    return torch.cat([rule.correct(y, rule.predict(x), rounds) for x, y in parts]).numpy()


def apply_flux_correction(weights: Path, source: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Correct the fluxes of any translations by the regression of a flux-corrected network."""
    network = train.load_weights(weights)
    x = network.regridded(torch.as_tensor(source))
    return corrected(network.rule, x, torch.as_tensor(images), network.rounds)


@dataclass(frozen=True)
class RedshiftEvaluation:
    """Where translations of the test galaxies are judged, all against one source."""

    pairs: Pairs
    prior: np.ndarray  # of redshift, in the bins of the estimators
    start: Ensemble  # learnt from original targets
    source: dict[str, np.ndarray]  # what the source's own estimator finds in the sources
    n_boot: int
    seed: int

    def residuals(self, images) -> np.ndarray:
        """Mean square residual of every galaxy in the r band, in units of the sky noise."""
        sky = self.pairs.noise[:, 1, R_BAND, None, None]
        chi = (images - self.pairs.target)[:, R_BAND] / sky
        return np.square(chi, dtype=np.float64).mean((1, 2))

    def residual_ratio(self, images, plain) -> intervals.Estimate:
        """Root mean square residual over that of plain translations."""
        both = np.stack([self.residuals(images), self.residuals(plain)])
        return intervals.bootstrap(rms_ratio, both, self.n_boot, self.seed)

    @classmethod
    def open(cls, store, pairs, n_boot, seed=0) -> "RedshiftEvaluation":
        """Read the estimators of both surveys, and judge the sources."""
        reader, start = (
            Ensemble.load(redshift_evaluation.estimator_file(store, survey, seed))
            for survey in ("SDSS", "CFHTLS")
        )
        prior = information.prior(
            image_files.read_column(store.data("train"), "redshift"), start.grid.edges
        )
        bench = cls(pairs, prior, start, {}, n_boot, seed)
        bench.source.update(bench.judge(pairs.source, reader))
        return bench

    def judge(self, images, ensemble: Ensemble | None = None) -> dict[str, np.ndarray]:
        """Bits and errors dz of every galaxy, by the frozen estimator or another one.

        Beside them those of its source, against which they count.
        """
        ensemble = ensemble or self.start
        density, z = ensemble.predict(images), self.pairs.redshift.astype(float)
        found = redshifts.measure(density, z, ensemble.grid, self.prior, redshift.OUTLIER["SDSS"])
        found = {name: found[name][:, 0] for name in ("bits", "dz")}
        return found | {f"source's {name}": values for name, values in self.source.items()}

    def scores(self, found) -> dict[str, intervals.Estimate]:
        """Share of the source's information, and sigma_MAD over the source's, with intervals."""
        arguments = self.n_boot, self.seed
        return {
            "retained": share(found["bits"], found["source's bits"], *arguments),
            "ratio": scatter_ratio(found["dz"], found["source's dz"], *arguments),
        }

    def sheet(self, rows: dict, columns=("share retained", "σ / source's σ")) -> pd.DataFrame:
        """Lay out the scores of rows, {name: what `judge` found}, with their intervals."""
        cells = [[str(e) for e in self.scores(x).values()] for x in rows.values()]
        return pd.DataFrame(cells, index=list(rows), columns=list(columns))

    def tidy(self, judged: dict) -> pd.DataFrame:
        """Tidy table of the scores of {(protocol, row): what `judge` found}."""
        return pd.DataFrame(
            {"row": row, "band": protocol, "metric": metric, **vars(estimate)}
            for (protocol, row), found in judged.items()
            for metric, estimate in self.scores(found).items()
        )

    def others(self, path: Path, models: list[str]) -> pd.DataFrame:
        """The same scores of other models, from the table of the chapter on redshift."""
        table = pd.read_csv(paths.need(path, "24_redshift"))
        if missing := sorted({*models} - {*table.row}):
            raise GaltoolsError(
                f"{path} has no {missing[0]}: run its chapter with {missing[0]}, too"
            )
        names = {"retained": "retained", "sigma_mad": "ratio"}
        table = table[table.metric.isin(list(names)) & table.row.isin(models)].copy()
        sigma = intervals.robust_scatter(self.source["dz"])
        table.loc[table.metric == "sigma_mad", ["value", "low", "high"]] /= sigma
        return table.assign(metric=table.metric.map(names))

    def price(self, plain, kept) -> dict[str, intervals.Estimate]:
        """What kept translations cost, compared with plain ones."""
        scale = plotting.FIELD / self.pairs.target.shape[-1]
        return side_effects(self.pairs, plain, kept, scale, self.n_boot, self.seed)

    def verdicts(self, found: dict, prices: dict, k: int) -> list[dict]:
        """Hold {protocol: what `judge` found} and prices of seed k against the goals.

        Lines of a table as of `mapping.seeds`.
        """
        tests = {
            f"retains 95 %, {protocol}": (self.scores(x)["retained"], (0.95, np.inf))
            for protocol, x in found.items()
            if protocol != "frozen"
        }
        ratio = self.scores(found["frozen"])["ratio"]
        tests["frozen σ at most 1.15 times the source's"] = ratio, (-np.inf, 1.15)
        for name, estimate in prices.items():
            tests[f"{PRICES[name]} no worse than the network's"] = (
                estimate,
                (-np.inf, MARGINS[name]),
            )
        return [seed_agreement.judge_seed(text, k, e, goal) for text, (e, goal) in tests.items()]


def rms_ratio(x):
    """Root mean square of the first over that of the second: hand in squares (2, ..., n)."""
    return intervals.divide(intervals.rms(x[0]), intervals.rms(x[1]))


def scatter_ratio(dz, dz_source, n_boot: int, seed: int = 0) -> intervals.Estimate:
    """sigma_MAD of some estimates over that of the source's, galaxies resampled together."""
    both = np.stack([dz, dz_source])
    return intervals.bootstrap(
        lambda x: np.divide(*intervals.robust_scatter(x)), both, n_boot, seed
    )


def share(bits, source_bits, n_boot: int, seed: int = 0) -> intervals.Estimate:
    """Share of the source's information, galaxies resampled together."""
    return intervals.bootstrap(
        intervals.ratio_of_means, np.stack([bits, source_bits]), n_boot, seed
    )


def side_effects(pairs, plain, kept, scale: float, n_boot: int, seed: int = 0) -> dict:
    """What the rule costs in the r band, galaxy by galaxy: kept against plain translations.

    chi    residual scatter of kept over that of plain
    flux   |median flux error| of kept less that of plain, within 3 arcsec
    blur   |median extra blur| of kept less that of plain, arcsec
    """

    def measured(images):
        arguments = (pairs.target[:, band], images[:, band], pairs.noise[:, 1, band], scale)
        found = measure_images([pixels.measure, structure.measure], *arguments)
        return {name: found[name][:, 0] for name in ("chi_var", "aperture_error", "blur")}

    band = slice(R_BAND, R_BAND + 1)
    old, new = measured(plain), measured(kept)

    def against(statistic, quantity):
        both = np.stack([new[quantity], old[quantity]])
        return intervals.bootstrap(statistic, both, n_boot, seed)

    def distance(x):
        return np.abs(intervals.median(x[0])) - np.abs(intervals.median(x[1]))

    return {
        "chi": against(rms_ratio, "chi_var"),
        "flux": against(distance, "aperture_error"),
        "blur": against(distance, "blur"),
    }


def shape_quantities(rows: dict[str, np.ndarray], noise) -> dict[str, np.ndarray]:
    """Size, ellipticity, concentration and asymmetry (n, 5) of the middle band of each row."""
    layer = PhotometryLayer(len(noise), groups=("shape",))
    layer.noise.copy_(torch.as_tensor(noise))
    with torch.no_grad():
        return {row: layer(torch.as_tensor(images)).numpy() for row, images in rows.items()}


def shape_table(rows: dict[str, np.ndarray], noise, n_boot: int, seed: int = 0) -> pd.DataFrame:
    """Bias and scatter of the shapes of each row against the row "truth"."""
    found = shape_quantities(rows, noise)
    lines = []
    for row in rows.keys() - {"truth"}:
        error = found[row] - found["truth"]
        for name, values in zip(SIZES, error.T, strict=True):
            statistics = {"bias": intervals.median, "scatter": intervals.robust_scatter}
            for word, statistic in statistics.items():
                estimate = intervals.bootstrap(statistic, values, n_boot, seed)
                lines.append({"row": row, "metric": f"{name}_{word}", **vars(estimate)})
    return pd.DataFrame(lines)


def boosting_densities(learn, rows: dict[str, np.ndarray], radius: float, seed: int = 0) -> dict:
    """Estimates by gradient boosting that learnt from original targets, for images of each row."""
    regressor = peaks.redshift_regressor("boosting", seed)
    regressor.fit(colour_features(learn.target, radius), learn.redshift)
    return {row: regressor.predict(colour_features(x, radius)) for row, x in rows.items()}


def colour_features(images, radius: float) -> np.ndarray:
    """The r magnitude and neighbouring colours within `radius` (in stamps): (n, bands)."""
    flux = photometry.aperture_flux(images, 1 / images.shape[-1], radius)
    magnitudes = photometry.asinh_magnitude(flux, 0.1)
    return np.column_stack([magnitudes[:, R_BAND], np.diff(magnitudes, axis=1)])


def colour_error(pairs, images, radius: float) -> dict[str, np.ndarray]:
    """Errors of u - g and g - r within `radius` (in stamps), magnitudes (n,)."""
    error = colour_features(pairs.target, radius) - colour_features(images, radius)
    return {"u − g": error[:, 1], "g − r": error[:, 2]}


def colour_errors(pairs, rows: dict[str, np.ndarray], radius: float):
    """Draw histograms of the errors of u - g and g - r within `radius` (in stamps)."""
    errors = {row: colour_error(pairs, images, radius) for row, images in rows.items()}
    fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.0), sharey=True)
    for ax, name, reach in zip(axes, ("u − g", "g − r"), (0.4, 0.12), strict=True):
        for row in rows:
            error = errors[row][name].clip(-reach, reach)
            style = {"color": plotting.MODEL_COLOUR[row], "histtype": "step", "linewidth": 2}
            ax.hist(error, np.linspace(-reach, reach, 41), label=plotting.MODEL_NAME[row], **style)
        ax.set(xlabel=f"error of {name} (mag)")
    axes[0].set_ylabel(f"galaxies of {len(pairs)}")
    panels.shared_legend(fig, axes[0])
    return fig
