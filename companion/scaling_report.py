"""Tables and phrases of the chapter on scaling, from kept tables that may be partial."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from companion import paths, training_scatter
from companion.plotting import MODEL_NAME
from companion.scaling import QUANTITIES, TABLE
from galtools import artefacts
from galtools.fidelity import intervals
from galtools.fidelity.intervals import LEVEL, Z

OPTIMAL = paths.REFERENCE / "33_optimal.csv"  # of the best possible translator


def read_kept(path: Path = TABLE) -> pd.DataFrame:
    """Read a kept table, if it is the one that its manifest names."""
    artefacts.check_inputs(path, advice="git checkout it, or run benchmarks/scaling.py --tables")
    return pd.read_csv(path).fillna({"against": ""})


def translators(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the chapters' translators between the surveys."""
    return table[(table.recipe == "chapter") & (table.task == "cross")]


def largest(rows: pd.DataFrame, column: str) -> int:
    """Largest value of a column for which as many translators are trained as for any."""
    count = rows.groupby(column).model.nunique()
    return int(count.index[count == count.max()].max())


def training_gains(table: pd.DataFrame) -> pd.DataFrame:
    """What the longest training gains over the chapter's: models by metrics, means over seeds.

    On the largest number of galaxies, in per cent for quantities that cannot be negative; positive
    is better. Empty as long as not every translator has a longer training.
    """
    rows = translators(table)
    rows = rows[rows.galaxies == largest(rows, "galaxies")]
    most = largest(rows, "compute")
    first, last = (
        rows[rows.compute == compute].pivot_table("value", "model", "metric")
        for compute in (1, most)
    )
    gain = (last - first).dropna(how="all")
    for metric in gain:
        quantity = QUANTITIES[metric]
        scale = first[metric] / 100 if quantity.positive else 1
        gain[metric] = -quantity.sign * gain[metric] / scale
    return gain if most > 1 else gain.iloc[:0]


def limit_cells(fits: pd.DataFrame) -> pd.DataFrame:
    """Limits as text, by model and metric; of an open one, the end that is known."""

    def cell(line) -> str:
        if np.isfinite(line.value):
            return intervals.format_interval(line.value, line.low, line.high)
        above = QUANTITIES[line.metric].sign < 0
        return f"open: {'above' if above else 'below'} {line.low if above else line.high:.3g}"

    own = fits[fits.against == ""]
    cells = own.assign(cell=[cell(one) for one in own.itertuples()])
    return cells.pivot_table("cell", ["task", "model"], "metric", aggfunc="first")


def orders(fits: pd.DataFrame) -> pd.DataFrame:
    """Differences of limits with their verdicts, a line per pair of translators and metric.

    `chance` is the level at which the interval would just reach 0, of a normal distribution as
    wide as the interval on the side of 0, adjusted for all lines by Holm (1979).
    """
    pairs = fits[(fits.against != "") & (fits.task == "cross")].astype(
        {"value": float, "low": float, "high": float}
    )
    larger = pairs.value > 0
    reach = np.where(larger, pairs.value - pairs.low, pairs.high - pairs.value)
    chance = pd.Series(2 * norm.sf(Z * pairs.value.abs() / reach), pairs.index).sort_values()
    chance = (chance * np.arange(len(pairs), 0, -1)).cummax().clip(upper=1)
    verdict = np.where(larger, "larger", "smaller")
    pairs = pairs.assign(chance=chance, verdict=verdict)
    pairs.loc[~(pairs.chance < 1 - LEVEL), "verdict"] = "inconclusive"
    return pairs


def sentences(table: pd.DataFrame, fits: pd.DataFrame, about: dict) -> dict[str, str]:
    """Phrases of the chapter, by name; they hold for a part of the trainings, too."""
    gains, ordered = training_gains(table), orders(fits)
    limits = fits[(fits.against == "") & (fits.task == "cross")]
    psnr, bounded = ordered[ordered.metric == "psnr"], limits[limits.value.notna()]
    missing = "; ".join(f"{what}: {count}" for what, count in about["missing"].items())
    rows = translators(table)
    count = largest(rows, "galaxies")
    most = largest(rows[rows.galaxies == count], "compute")
    noise = noise_of_two_trainings()
    found = {
        "finding": "not every translator has a longer training than its chapter's yet",
        "undertrained": "not known before every translator has a longer training",
        "orders": "no order is known, since that takes three lengths of training",
        "limits": "none is known yet",
        "realistic": f"{count:,}",
        "longest": "none yet",
        "noise": f"{noise:.2f}",
        "missing": f"missing: {missing}" if missing else "all of them",
        **_best_psnr(table),
    }
    if len(gains):
        changes = _range(gains["psnr"], "dB"), _range(-gains["box_scatter"], "per cent")
        found["finding"] = (
            f"{most} times the training steps of the previous chapters change the PSNR by "
            f"{changes[0]} and the scatter of peak fluxes by {changes[1]}"
        )
        more = (gains["psnr"] > noise).sum()
        found["undertrained"] = (
            f"{more} of {len(gains)} translators gain more PSNR from longer training than two "
            "seeds differ by"
        )
        found["longest"] = f"×{most} steps"
    if len(psnr):
        hold = (psnr.verdict != "inconclusive").sum()
        found["orders"] = f"{hold} of {len(psnr)} orders of translators in PSNR hold"
    if len(limits):
        found["limits"] = f"{len(bounded)} of {len(limits)} are bounded by the trainings"
    return found | {name: about[name] for name in ("done", "planned")}


def _range(gains: pd.Series, unit: str) -> str:
    """Smallest and largest change, with their models."""
    low, high = (f"{gains[k]:+.2g} ({MODEL_NAME[k]})" for k in (gains.idxmin(), gains.idxmax()))
    return f"{low} to {high} {unit}".replace("-", "−")


def noise_of_two_trainings() -> float:
    """PSNR by which two short trainings of a model differ at most in 95 % of cases (kept)."""
    kept = training_scatter.read_kept().query("metric == 'psnr' and band == 'r'")
    pooled = training_scatter.variance_components(dict(list(kept.groupby("model").value)))
    return intervals.Z * np.sqrt(2) * pooled["trainings"]


def _best_psnr(table: pd.DataFrame) -> dict[str, str]:
    """PSNR of the best translator and of the optimal one, above that of a repeat observation."""
    mine = table[(table.task == "cross") & (table.metric == "psnr")]
    best = mine.loc[mine[mine.recipe != "none"].value.idxmax()]
    optimal = pd.read_csv(OPTIMAL).query("metric == 'psnr' and band == 'r' and part == 'whole'")
    optimal = optimal.set_index("row").value
    again = mine[mine.model == "again"].value.iloc[0]
    return {
        "best": MODEL_NAME[best.model],
        "best_recipe": "long training" if best.recipe == "long" else f"×{best.compute:.0f} steps",
        "best_gain": f"{best.value - again:.1f}",
        "optimal_gain": f"{optimal['optimal mean'] - optimal['again']:.1f}",
    }
