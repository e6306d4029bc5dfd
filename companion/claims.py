"""The claims of the paper beside the verdicts of a run.

Chapters turn what the paper says into numbers and judge them (`fidelity.intervals.verdict`); their
tables of verdicts are read here. A claim whose chapter has not been run stays in the list.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from companion import paths, plotting
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict

WORDS = (Verdict.SUPPORTED, Verdict.INCONCLUSIVE, Verdict.CONTRADICTED)
SIGN = dict(zip(WORDS, "✓?✗", strict=True))
COLOUR = dict(zip(WORDS, ("#0072B2", "#BBBBBB", "#D55E00"), strict=True))
COLUMNS = ("test", "by", "found", "verdict")
ENDING = {"SDSS to CFHTLS": "", "SDSS to SDSS": "_intra"}  # of the tables of the two tasks
TWICE = ("21_pixels", "22_morphology", "23_peaks", "24_redshift")  # run for both


@dataclass(frozen=True)
class Claim:
    """What the paper says, and the verdicts that bear on it."""

    text: str
    chapter: str  # that tests it
    table: str  # of verdicts, without "verdicts_"
    part: str = ""  # pattern of the tested sentences that belong here; all, if empty


CLAIMS = (
    Claim("The global structure comes out roughly right", "21_pixels", "pixels", "global"),
    Claim("The global structure comes out roughly right", "22_morphology", "morphology", "radius"),
    Claim("The total light is roughly right", "21_pixels", "pixels", "total brightness"),
    Claim("Learning gains over resampling", "21_pixels", "pixels", "learning"),
    Claim("The statistics of morphology are preserved", "22_morphology", "morphology", "distribu"),
    Claim("Details of single galaxies are uncertain", "21_pixels", "pixels", "fewer small"),
    Claim(
        "Details of single galaxies are uncertain", "22_morphology", "morphology", "asymmetry is"
    ),
    Claim("Light and peak fluxes come out uncertain", "21_pixels", "pixels", "light is less"),
    Claim("Light and peak fluxes come out uncertain", "23_peaks", "peaks", "peaks scatter"),
    Claim("Uncertain peaks cost redshift information", "23_peaks", "peaks", "peaks lose"),
    Claim("Every model loses redshift information", "24_redshift", "redshift", "than (its|the) "),
    Claim("Every model loses redshift information", "33_the_limit", "limit", "loses what"),
    Claim("Some models lose more than others", "24_redshift", "redshift", "than [A-Z]"),
    Claim(
        "The mapping itself loses information",
        "32_natures_spread",
        "spread",
        "(peak|colour|estimated).*: look",
    ),
    Claim(
        "The mapping itself loses information", "33_the_limit", "limit", "CFHTLS images can|parts"
    ),
    Claim("The mapping itself loses information", "35_directions", "directions", "lose|lost"),
    Claim("Imperfect translations are still useful", "24_redshift", "redshift", "still useful"),
    Claim("Imperfect translations are still useful", "37_useful", "useful", "translated help"),
)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Bring both kinds of verdict tables to the columns test, by, found, verdict."""
    if "claim" in table:
        shown = [intervals.format_interval(*x) for x in table[["value", "low", "high"]].to_numpy()]
        by = "seed " + table["seed"].astype(str)
        columns = [table["claim"], by, pd.Series(shown, table.index), table["verdict"]]
    else:
        names = ["Claim, as tested here", "Model", "This run", "Verdict"]
        columns = [table[name] for name in names]
    return pd.concat(columns, axis=1, keys=COLUMNS)


def collect(folder: paths.Results, seed: int = 0) -> pd.DataFrame:
    """Every verdict of a run: claim, chapter, task, test, by (model or seed), found, verdict.

    A claim without a table has one line with the verdict "not run". Chapters that are about more
    than one task keep one table; it counts as the first one's. A table of numbers that is there
    has to be of this seed.
    """
    parts = []
    measured = [folder.table(f"{c.table}{end}") for c in CLAIMS for end in ENDING.values()]
    for path in filter(Path.exists, measured):
        paths.check_seed(path, seed)
    for claim in CLAIMS:
        for task in list(ENDING) if claim.chapter in TWICE else list(ENDING)[:1]:
            path = folder.table(f"verdicts_{claim.table}{ENDING[task]}")
            about = {"claim": claim.text, "chapter": claim.chapter, "task": task}
            if path.exists():
                found = _plain(pd.read_csv(path, keep_default_na=False, na_values=["nan"]))
                found = found[[bool(re.search(claim.part, test)) for test in found["test"]]]
            else:
                found = pd.DataFrame([["–", "–", "–", "not run"]], columns=list(COLUMNS))
            parts.append(found.assign(**about))
    if all((part["verdict"] == "not run").all() for part in parts):
        paths.need(folder.table("verdicts_pixels"), "21_pixels")
    return pd.concat(parts, ignore_index=True)[["claim", "chapter", "task", *COLUMNS]]


def count(found: pd.DataFrame) -> pd.DataFrame:
    """Number of verdicts of each kind for every claim and task, in the order of the claims."""
    keys = ["claim", "task"]
    counts = found.groupby([*keys, "verdict"], sort=False).size()
    table = counts.reset_index(name="n").pivot_table("n", keys, "verdict", sort=False)
    return table.reindex(columns=list(WORDS)).fillna(0).astype(int)


def bars(counts: pd.DataFrame):
    """Draw one bar per claim and task: the shares of verdicts, with their numbers."""
    shown = counts[counts.sum(axis=1) > 0]
    share = shown.div(shown.sum(axis=1), axis=0)
    claims = list(dict.fromkeys(claim for claim, _ in shown.index))
    # every claim has a line of text, and below it a bar for each of its tasks
    at = pd.Series(range(len(shown)), shown.index) + [claims.index(c) + 1 for c, _ in shown.index]
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.34 * (len(shown) + len(claims)) + 0.7))
    left = pd.Series(0.0, shown.index)
    for word in WORDS:
        style = {"color": COLOUR[word], "label": f"{SIGN[word]} {word}", "height": 0.8}
        ax.barh(at, share[word], left=left, edgecolor="white", **style)
        for y, n, x, width in zip(at, shown[word], left, share[word], strict=True):
            if n:
                colour = "black" if word == Verdict.INCONCLUSIVE else "white"
                text = f"{SIGN[word]} {n}"
                ax.text(x + width / 2, y, text, ha="center", va="center", color=colour)
        left = left + share[word]
    for claim in claims:
        ax.text(0, at[claim].min() - 0.9, claim, va="center", fontsize=10)
    ax.set_yticks(at, [task for _, task in shown.index])
    ax.set(xlim=(0, 1), ylim=(at.max() + 0.6, -0.6), xticks=[])
    ax.tick_params(left=False)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def overview(found: pd.DataFrame, chapter: str) -> pd.DataFrame:
    """Verdicts of one chapter: a line per tested sentence and task, a column per model or seed."""
    part = found[(found["chapter"] == chapter) & found["verdict"].isin(WORDS)]
    lines = ["task", "test"] if chapter in TWICE else ["test"]
    cells = part.assign(cell=part["verdict"].map(SIGN) + " " + part["found"])
    table = cells.pivot_table("cell", lines, "by", aggfunc="first", sort=False).fillna("–")
    names = {"test": "as tested here", "task": ""}
    return table.rename_axis(index=[names[line] for line in lines], columns=None)
