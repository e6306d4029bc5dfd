"""The claims of the paper, each as one number with a margin, a control and a verdict.

A claim is turned into a number that is positive where the paper is right; differences up to a
margin, which was set before any run, count as none. Chapters store the number of every model as
*evidence*, and that of the controls:

copy        source images judged by estimators of other seeds: a lossless copy
resample    the source on the grid of the target: nothing is learnt, nothing lost
unchanged   the source as it is, on its own grid
again       a repeat observation
third       a third observation, against the repeat observation
degraded    a repeat observation under the seeing and noise of the source: a lossy copy

The control that a claim names must fail it. Where it passes, the number does not test what it
should, and the verdict is inconclusive. Every control is measured: none is fixed by construction.
The weakest model decides, since the paper speaks of every model.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from companion import paths, seed_agreement
from galtools.errors import check_choice
from galtools.fidelity import intervals
from galtools.fidelity.intervals import LEVEL, Estimate, Verdict, Z

CONTROLS = {
    "copy": "a lossless copy",
    "resample": "resampling",
    "unchanged": "unchanged SDSS images",
    "again": "a repeat observation",
    "third": "a third observation",
    "degraded": "a degraded repeat observation",
}
ENDING = {"cross": "", "intra": "_intra"}  # of the tables of a task


@dataclass(frozen=True)
class Claim:
    """What the paper says, and the number that is positive where it is right."""

    paper: str
    number: str
    margin: float
    chapter: str
    fails: str  # the control that must fail
    tasks: tuple[str, ...] = ("cross",)


BOTH = ("cross", "intra")
CLAIMS = {
    "structure": Claim(
        "The global structure is approximately right",
        "PSNR in r: fraction of the way from resampling to a repeat observation, minus 1/2",
        0.1, "21_pixels", "degraded",
    ),
    "flux": Claim(
        "Total fluxes are approximately right",
        "5 minus the bias of the flux within 3 arcsec in per cent, mean over bands",
        1.0, "21_pixels", "resample",
    ),
    "statistics": Claim(
        "The statistics of morphology are preserved",
        "1/2 minus the largest distance between the distributions of concentration, Gini and M20, "
        "in units of their scatter",
        0.05, "22_morphology", "resample",
    ),
    "details": Claim(
        "Details of single galaxies are uncertain",
        "scatter of the asymmetry minus that of a repeat observation",
        0.01, "22_morphology", "third", BOTH,
    ),
    "peaks": Claim(
        "Peak fluxes across the bands are uncertain",
        "scatter of the peak colour g − r minus that of a repeat observation (mag)",
        0.01, "23_peaks", "third", BOTH,
    ),
    "carry": Claim(
        "Peak fluxes carry much of the redshift information",
        "bits in peak fluxes alone minus half of the bits in all measurements",
        0.1, "23_peaks", "shape alone",
    ),
    "core": Claim(
        "Uncertain peaks cost redshift information",
        "bits restored to a translation by the true core (frozen estimator)",
        0.1, "23_peaks", "again",
    ),
    "loss": Claim(
        "Every model loses redshift information",
        "bits of the source minus bits of the translation, estimators trained from scratch",
        0.05, "24_redshift", "copy", BOTH,
    ),
    "degrees": Claim(
        "Models lose it to different degrees",
        "bits of the best model minus bits of the worst",
        0.05, "24_redshift", "copy", BOTH,
    ),
    "mapping": Claim(
        "The mapping itself loses information",
        "exact limit of CFHTLS minus that of SDSS (bits)",
        0.1, "33_the_limit", "another run",
    ),
    "useful": Claim(
        "Imperfect translations are still useful",
        "scatter of redshifts from few labels alone, minus that with translated SDSS galaxies",
        0.001, "37_useful", "unchanged",
    ),
}  # fmt: skip


def progress(psnr):
    """Fraction of the way of a mean PSNR from a first to a last one, minus 1/2; psnr (3, ..., n).

    The three are those of a translation, of resampling and of a repeat observation.
    """
    value, start, end = intervals.mean(psnr)
    return (value - start) / (end - start) - 0.5


def within_five_per_cent(errors):
    """5 minus the absolute median relative error in per cent, mean over bands (bands, ..., n)."""
    return 5 - 100 * np.abs(intervals.median(errors)).mean(axis=0)


def below(limit: float, e: Estimate) -> Estimate:
    """`limit` minus a number, with its interval."""
    return Estimate(limit - e.value, limit - e.high, limit - e.low, e.n)


def differences(pairs: dict, statistic=intervals.mean, n_boot=intervals.N_BOOT, seed=0) -> dict:
    """statistic(first) - statistic(second) for every row, {row: (first, second)}."""
    return {
        row: intervals.paired_difference(statistic, *pair, n_boot, seed)
        for row, pair in pairs.items()
    }


def excess_scatter(errors: dict, n_boot=intervals.N_BOOT, seed=0) -> dict[str, Estimate]:
    """Scatter of the errors (n,) of every row minus that of the row "again".

    A row of fewer galaxies, the first ones, is compared on these.
    """
    again = errors["again"]
    pairs = {row: (x, again[: len(x)]) for row, x in errors.items() if row != "again"}
    return differences(pairs, intervals.robust_scatter, n_boot, seed)


def rank_by_halves(bits: dict, models) -> tuple[list, dict]:
    """Models from worst to best on every second galaxy, and the bits {row: (n,)} of the others.

    The best of several on some galaxies is so in part by chance; the other galaxies are unbiased.
    """
    order = sorted(models, key=lambda model: bits[model][::2].mean())
    return order, {row: values[1::2] for row, values in bits.items()}


def retained(folder: paths.Results, seed: int = 0) -> pd.DataFrame:
    """Fractions of the source's redshift information that images retain, between two surveys.

    A line per row and protocol ("band"); the flux-corrected translator among them. What was not run
    is left out.
    """
    parts = []
    for name in ("redshift", "keeping"):
        if (file := folder.table(name)).exists():
            parts.append(pd.read_csv(paths.check_seed(file, seed)).query("metric == 'retained'"))
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts, ignore_index=True).drop_duplicates(["band", "row"])


def evidence(claim: str, rows: dict[str, Estimate]) -> list[dict]:
    """Lines of a table of evidence: the number of a claim for models and controls."""
    check_choice("claim", claim, CLAIMS)
    return [{"claim": claim, "row": row, **vars(estimate)} for row, estimate in rows.items()]


def file(folder: paths.Results, chapter: str, task: str = "cross"):
    """Evidence that a chapter leaves."""
    return folder.table(f"evidence_{chapter[:2]}{ENDING[task]}")


def sheet(lines) -> pd.DataFrame:
    """Lay out evidence for readers: a line per row, a column per claim."""
    table = pd.DataFrame(lines)
    cells = [intervals.format_interval(*x) for x in table[["value", "low", "high"]].to_numpy()]
    shown = table.assign(cell=cells).pivot_table("cell", "row", "claim", "first", sort=False)
    return shown.fillna("–").rename_axis(index=None, columns=None)


def save_evidence(
    lines, folder: paths.Results, chapter: str, inputs, task="cross", seed=0
) -> pd.DataFrame:
    """Write the evidence of a chapter, and lay it out for readers."""
    seed_agreement.save_table(lines, file(folder, chapter, task), inputs, seed)
    return sheet(lines)


def collect(folder: paths.Results, seed: int = 0) -> pd.DataFrame:
    """Evidence of a run on all claims; a claim whose chapter was not run has a line without row."""
    parts = []
    for name, claim in CLAIMS.items():
        for task in claim.tasks:
            path = file(folder, claim.chapter, task)
            lines = pd.DataFrame()
            if path.exists():
                lines = pd.read_csv(paths.check_seed(path, seed)).query("claim == @name")
            lines = pd.DataFrame([{"row": None}]) if lines.empty else lines
            parts.append(lines.assign(claim=name, task=task))
    return pd.concat(parts, ignore_index=True)


def judge(table: pd.DataFrame) -> pd.DataFrame:
    """A line for each claim and task: weakest model, number, control, chance, verdict.

    `chance` is the level at which the verdict would just fall, adjusted for the number of claims
    by Benjamini and Hochberg; above 0.05 there is none.
    """
    judged = pd.DataFrame(
        _judge_one(name, task, part)
        for (name, task), part in table.groupby(["claim", "task"], sort=False)
    )
    tested = judged.chance.notna()
    judged.loc[tested, "chance"] = false_discovery_control(judged.chance[tested])
    judged.loc[judged.chance > 1 - LEVEL, "verdict"] = Verdict.INCONCLUSIVE
    return judged


def _judge_one(name: str, task: str, part: pd.DataFrame) -> dict:
    claim, lines = CLAIMS[name], part.dropna(subset="row").set_index("row")
    line = {"claim": name, "task": task, "verdict": "not run", "chance": np.nan}
    models = lines.index.difference([*CONTROLS, claim.fails], sort=False)
    if models.empty:
        return line
    weakest = lines.value[models].fillna(-np.inf).idxmin()
    estimate, control = (
        Estimate(*lines.loc[row, ["value", "low", "high", "n"]]) for row in (weakest, claim.fails)
    )
    verdicts = {row: intervals.verdict(Estimate(*x), margin=claim.margin)
            for row, x in lines[["value", "low", "high", "n"]].iterrows()}  # fmt: skip
    passes = verdicts[claim.fails] == Verdict.SUPPORTED
    return line | {
        "weakest": weakest,
        "found": estimate,
        "control": control,
        "passes": passes,
        "holds": sum(verdicts[m] == Verdict.SUPPORTED for m in models),
        "models": len(models),
        "verdict": Verdict.INCONCLUSIVE if passes else verdicts[weakest],
        "chance": _chance(estimate, verdicts[weakest], claim.margin),
    }


def _chance(e: Estimate, verdict: Verdict, margin: float) -> float:
    """Two-sided level of a normal interval that would just reach what the verdict must avoid."""
    width = (e.high - e.low) / (2 * Z)
    distance = margin - abs(e.value) if verdict == Verdict.NO_DIFFERENCE else abs(e.value)
    if verdict == Verdict.INCONCLUSIVE or not width:
        return 1.0 if verdict == Verdict.INCONCLUSIVE else 0.0
    return float(2 * norm.sf(distance / width))
