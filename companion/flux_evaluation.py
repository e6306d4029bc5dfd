"""What translations retain of the redshift information of their source, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from companion import paths, redshift_evaluation, seed_agreement
from galtools import redshift
from galtools.data import Pairs, image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import information, intervals, pixels, redshifts, structure
from galtools.fidelity.metrics import measure_images
from galtools.redshift import Ensemble

R = slice(2, 3)  # the r band


def scatter_ratio(x):
    """Robust scatter of the first quantity over that of the second, x of shape (2, ..., n)."""
    return np.divide(*intervals.robust_scatter(x))


def rms_ratio(x):
    """Root of the mean of the first over that of the second: hand in squares (2, ..., n)."""
    return intervals.divide(intervals.rms(x[0]), intervals.rms(x[1]))


def bias_difference(x):
    """Absolute median of the first less that of the second, x of shape (2, ..., n)."""
    return np.abs(intervals.median(x[0])) - np.abs(intervals.median(x[1]))


class SideEffect(NamedTuple):
    """A comparison of corrected with plain translations, in the r band."""

    name: str
    measure: Callable  # of `galtools.fidelity`
    quantity: str  # that it measures on each galaxy
    statistic: Callable  # of corrected and plain
    limit: float  # up to which corrected translations count as no worse


SIDE_EFFECTS = {
    "chi": SideEffect("residual", pixels.measure, "chi_var", rms_ratio, 1.05),
    "flux": SideEffect(  # within 3 arcsec
        "bias of the flux", pixels.measure, "aperture_error", bias_difference, 0.005
    ),
    "blur": SideEffect("blur", structure.measure, "blur", bias_difference, 0.05),  # arcsec
}


@dataclass(frozen=True)
class RedshiftEvaluation:
    """Redshift estimates from translations of some galaxies, all against one source."""

    pairs: Pairs
    prior: np.ndarray  # of redshift, in the bins of the estimators
    frozen: Ensemble  # trained on original targets
    source: dict[str, np.ndarray]  # bits and dz (n,) by the source's own estimator
    n_boot: int
    seed: int

    @classmethod
    def open(cls, store: paths.Results, pairs, n_boot, seed=0) -> "RedshiftEvaluation":
        """Read the estimators of both surveys, and ask the source's about the sources."""
        of_source, frozen = (
            Ensemble.load(redshift_evaluation.estimator_file(store, survey, seed))
            for survey in ("SDSS", "CFHTLS")
        )
        z = image_files.read_column(store.data("train"), "redshift")
        prior = information.prior(z, frozen.grid.edges)
        new = cls(pairs, prior, frozen, {}, n_boot, seed)
        new.source.update(new.measure(pairs.source, of_source))
        return new

    def measure(self, images, ensemble: Ensemble | None = None) -> dict[str, np.ndarray]:
        """Bits and dz (n,) by the frozen estimator or another one, beside those of the source."""
        ensemble = ensemble or self.frozen
        limit, z = redshift.OUTLIER["SDSS"], self.pairs.redshift
        found = redshifts.measure(ensemble.predict(images), z, ensemble.grid, self.prior, limit)
        source = {f"source_{name}": values for name, values in self.source.items()}
        return {name: found[name][:, 0] for name in ("bits", "dz")} | source

    def scores(self, found) -> dict[str, intervals.Estimate]:
        """Fraction of the source's information, and sigma_MAD over the source's."""
        statistics = {
            "retained": (intervals.ratio_of_means, "bits"),
            "ratio": (scatter_ratio, "dz"),
        }
        return {
            name: ratio(statistic, found[key], found[f"source_{key}"], self.n_boot, self.seed)
            for name, (statistic, key) in statistics.items()
        }

    def sheet(self, rows: dict, columns=("share retained", "σ / source's σ")) -> pd.DataFrame:
        """Table for readers of the scores of rows {name: what `measure` found}."""
        cells = [[str(e) for e in self.scores(x).values()] for x in rows.values()]
        return pd.DataFrame(cells, index=list(rows), columns=list(columns))

    def tidy(self, measured: dict) -> pd.DataFrame:
        """Tidy table of the scores of {(protocol, row): what `measure` found}."""
        return pd.DataFrame(
            {"row": row, "band": protocol, "metric": metric, **vars(estimate)}
            for (protocol, row), found in measured.items()
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

    def verdicts(self, measured: dict, effects: dict, k: int) -> list[dict]:
        """Judge {protocol: what `measure` found} and side effects of seed k by the goals."""
        tests = {
            f"retains 95 %, {protocol}": (self.scores(x)["retained"], (0.95, np.inf))
            for protocol, x in measured.items()
            if protocol != "frozen"
        }
        sigma = self.scores(measured["frozen"])["ratio"]
        tests["frozen σ at most 1.15 times the source's"] = sigma, (-np.inf, 1.15)
        for effect, estimate in effects.items():
            about = SIDE_EFFECTS[effect]
            tests[f"{about.name} no worse than the network's"] = estimate, (-np.inf, about.limit)
        return [seed_agreement.judge_seed(text, k, e, goal) for text, (e, goal) in tests.items()]


def ratio(statistic, first, second, n_boot: int, seed: int = 0) -> intervals.Estimate:
    """A statistic of two quantities (n,) of the same galaxies, resampled together."""
    return intervals.bootstrap(statistic, np.stack([first, second]), n_boot, seed)


def side_effects(
    pairs: Pairs, plain, corrected, n_boot: int, seed: int = 0, names=tuple(SIDE_EFFECTS)
) -> dict[str, intervals.Estimate]:
    """What the flux correction costs in the r band, galaxy by galaxy: some of `SIDE_EFFECTS`."""
    effects = {name: SIDE_EFFECTS[name] for name in names}
    functions = {effect.measure for effect in effects.values()}
    truth = pairs.target_set
    after, before = (
        measure_images(functions, truth.images[:, R], x[:, R], truth.noise[:, R], truth.pixel_scale)
        for x in (corrected, plain)
    )
    return {
        name: ratio(e.statistic, after[e.quantity][:, 0], before[e.quantity][:, 0], n_boot, seed)
        for name, e in effects.items()
    }
