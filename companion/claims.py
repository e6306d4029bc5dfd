"""The claims of the paper beside the verdicts of a run.

Chapters turn what the paper says into numbers and judge them; their tables of verdicts, kept by
`verdict_tables`, are read here. A claim whose chapter has not been run stays in the list.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from companion import paths, plotting
from companion.verdict_tables import PAPER
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict

WORDS = (Verdict.SUPPORTED, Verdict.INCONCLUSIVE, Verdict.CONTRADICTED)
SIGN = dict(zip(WORDS, "✓?✗", strict=True))
COLOUR = dict(zip(WORDS, ("#0072B2", "#BBBBBB", "#D55E00"), strict=True))
COLUMNS = ("test", "by", "found", "verdict")
ENDING = {"SDSS to CFHTLS": "", "SDSS to SDSS": "_intra"}  # of the tables of the two tasks
TWICE = ("21_pixels", "22_morphology", "23_peaks", "24_redshift")  # run for both
CHAPTERS = {  # that test a claim of the paper
    "structure": ("21_pixels", "22_morphology"),
    "flux": ("21_pixels",),
    "learning": ("21_pixels",),
    "statistics": ("22_morphology",),
    "details": ("21_pixels", "22_morphology"),
    "uncertain": ("21_pixels", "23_peaks"),
    "peaks": ("23_peaks",),
    "loss": ("24_redshift", "33_the_limit"),
    "degrees": ("24_redshift",),
    "mapping": ("32_natures_spread", "33_the_limit", "35_directions"),
    "useful": ("24_redshift", "37_useful"),
}


def _file(folder: paths.Results, chapter: str, ending: str = "", kind: str = "verdicts_") -> Path:
    """Table of a chapter's verdicts, or of another `kind`, named after its last word."""
    return folder.table(f"{kind}{chapter.rpartition('_')[2]}{ending}")


def _rows(file: Path, paper: str) -> pd.DataFrame:
    """Verdicts of a file on one claim of the paper: test, by (model or seed), found, verdict."""
    if not file.exists():
        return pd.DataFrame([["–", "–", "–", "not run"]], columns=list(COLUMNS))
    numbers = ["value", "low", "high"]
    table = pd.read_csv(file, keep_default_na=False, na_values={k: ["", "nan"] for k in numbers})
    table = table[table["paper"] == paper]
    if "model" in table:
        by = table["model"].map(lambda model: plotting.MODEL_NAME.get(model, model))
    else:
        by = "seed " + table["seed"].astype(str)
    found = [intervals.format_interval(*x) for x in table[numbers].to_numpy()]
    columns = [table["claim"], by, pd.Series(found, table.index, str), table["verdict"]]
    return pd.concat(columns, axis=1, keys=COLUMNS)


def collect(folder: paths.Results, seed: int = 0) -> pd.DataFrame:
    """Every verdict of a run: claim, chapter, task, test, by (model or seed), found, verdict.

    A claim without a table has one line with the verdict "not run". Chapters that are about more
    than one task keep one table; it counts as the first one's. A table of numbers that is there
    has to be of this seed.
    """
    chapters, parts = {chapter for several in CHAPTERS.values() for chapter in several}, []
    measured = [_file(folder, c, ending, "") for c in chapters for ending in ENDING.values()]
    for path in filter(Path.exists, measured):
        paths.check_seed(path, seed)
    for paper, text in PAPER.items():
        for chapter in CHAPTERS[paper]:
            for task in list(ENDING) if chapter in TWICE else list(ENDING)[:1]:
                rows = _rows(_file(folder, chapter, ENDING[task]), paper)
                parts.append(rows.assign(claim=text, chapter=chapter, task=task))
    if all((part["verdict"] == "not run").all() for part in parts):
        paths.need(_file(folder, "21_pixels"), "21_pixels")
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
