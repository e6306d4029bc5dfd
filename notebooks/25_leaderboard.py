# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Leaderboard: all metrics in one table
#
# A few numbers from every chapter on fidelity, each answering another question. Is there a
# translator that is best in all of them, and how far is the best from what nature itself would
# give?
#
# **What you will learn**
#
# - why one number can never rank translators;
# - where each of them stands between the floor, plain resampling, and a second observation;
# - how to put your own translator on the board.
#
# **Prerequisites:** the chapters on [pixels](21_pixels.py), [morphology](22_morphology.py),
# [peak fluxes](23_peaks.py) and [redshift](24_redshift.py). About 5 minutes.

# %% tags=["hide-input", "remove-stderr"]
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from companion import panels, paths, plotting
from galtools import artefacts
from galtools.fidelity import intervals, scorecard
from galtools.surveys import check_task

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to SDSS
cards: list[str] = []  # JSON files of cards of other translators, made by bring_your_own

# %% [markdown]
# ## The numbers
#
# They are taken in the r band where nothing else is said, and all come with the interval of 95 %
# over galaxies that their own chapter computed. The **PSNR** and the **correlation** of pixels are better
# when larger. The **scatter of the light** within 3 arcsec, the **scatter of the peak** in a 3 × 3 box, the
# **scatter of the half-light radius** and the **scatter of the peak colour** g - r are errors of single
# galaxies after the common bias is taken out: better when smaller, and never zero, since a second observation
# has them too. The **bits** about the redshift, which an estimator finds that was trained from scratch on
# such images, are better when more. The row *Seen again* is the one to compare with, the row *Resampling* the one to beat.
# Within one survey (task *intra*) there is no such row, since the source is the truth. This page shows the
# task {glue:text}`leaderboard_task`.

# %%
folder = paths.Results(results, profile)
ending = "" if check_task(task) == "cross" else f"_{task}"
chapters = {
    "pixels": "21_pixels",
    "morphology": "22_morphology",
    "peaks": "23_peaks",
    "redshift": "24_redshift",
}
tables = [
    pd.read_csv(paths.check_seed(paths.need(folder.table(f"{name}{ending}"), chapter), seed))
    for name, chapter in chapters.items()
]
others = [scorecard.load(file) for file in cards]
if others:
    tables.append(scorecard.merge(others, pd.concat(tables).row))
table = pd.concat(tables, ignore_index=True)

# %%
numbers = {
    ("psnr", "r"): "PSNR (dB)",
    ("correlation", "r"): "pixel correlation",
    ("aperture_scatter", "r"): "scatter of light",
    ("box_scatter", "r"): "scatter of peak",
    ("half_light_radius_scatter", "r"): "radius scatter (arcsec)",
    ("peak_ratio_scatter", "g-r"): "peak g - r scatter (mag)",
    ("bits", "retrained"): "bits on redshift",
}

# %%
keys = pd.MultiIndex.from_frame(table[["metric", "band"]])
numbers = {key: label for key, label in numbers.items() if key in keys}
board = table[
    keys.isin(list(numbers)) & ~table.row.isin(["source", "copy"])
]  # no images of the task
rows = [row for row in board.row.unique() if row != "truth"]
made = artefacts.make(
    folder.table(f"leaderboard{ending}"),
    lambda path: board.to_csv(path, index=False),
    params={"numbers": list(numbers.values()), "task": task},
    modules=["galtools.fidelity.scorecard"],
    inputs=[*(folder.table(f"{name}{ending}") for name in chapters), *map(Path, cards)],
    seed=seed,
)

# %% mystnb={"figure": {"caption": "Measures of fidelity with 95 % intervals over galaxies: larger is better in PSNR, correlation and bits, smaller in the others. Cards of other translators come last.", "name": "fig-leaderboard"}, "image": {"alt": "Panels with one line per translator or reference row."}} tags=["hide-input"]
fig = panels.leaderboard(board, numbers, rows)
plt.show()

# %% [markdown]
# The rows share their galaxies. So two whose intervals overlap may still differ for certain, since the
# difference, taken galaxy by galaxy, scatters less than either: [the chapter on redshift](24_redshift.py)
# does so for the bits. Where intervals lie apart, the order is one of these trained networks: each was
# trained once, and no interval here holds what another seed would change; [several trainings of
# each](28_trainings.py) tell which orders hold.
#
# The same as a table:

# %% tags=["hide-input"]
lines = board.set_index(["row", "metric", "band"])[["value", "low", "high"]]
cells = {
    label: [
        intervals.format_interval(*lines.loc[(row, *key)]) if (row, *key) in lines.index else "–"
        for row in rows
    ]
    for key, label in numbers.items()
}
panels.show_in_parts(
    pd.DataFrame(cells, index=[plotting.MODEL_NAME.get(row, row) for row in rows]).T
)

# %% tags=["remove-cell"]
models = [row for row in rows if row not in ("again", "resample")]
values = board.set_index(["metric", "row"]).value
winners = {
    "psnr": values["psnr"].reindex(models).idxmax(),
    "box_scatter": values["box_scatter"].reindex(models).idxmin(),
    "aperture_scatter": values["aperture_scatter"].reindex(models).idxmin(),
}
for metric, row in winners.items():
    glue(f"best_{metric}", plotting.MODEL_NAME.get(row, row), display=False)
    glue(f"best_{metric}_value", float(values[metric, row]), display=False)
    glue(f"again_{metric}_value", float(values[metric, "again"]), display=False)
    floor = f"{values[metric, 'resample']:.3f}" if "resample" in rows else "0 (a copy)"
    glue(f"floor_{metric}", floor, display=False)
    ends = board[board.metric == metric].set_index("row")[["low", "high"]].reindex(models)
    near = ends[(ends.low <= ends.high[row]) & (ends.high >= ends.low[row])].index.drop(row)
    rivals = ", ".join(plotting.MODEL_NAME.get(other, other) for other in near)
    glue(f"rivals_{metric}", f"intervals that overlap: {rivals or 'none'}", display=False)
glue("n_rows", len(models), display=False)
glue("leaderboard_task", task, display=False)

# %% [markdown]
# ## What we found
#
# Of {glue:text}`n_rows` translators on the board, the highest PSNR is that of
# {glue:text}`best_psnr`, {glue:text}`best_psnr_value:.1f` dB, where a second observation has
# {glue:text}`again_psnr_value:.1f`. The peaks scatter least with {glue:text}`best_box_scatter`,
# by {glue:text}`best_box_scatter_value:.3f` ({glue:text}`rivals_box_scatter`), against
# {glue:text}`again_box_scatter_value:.3f` between two observations and {glue:text}`floor_box_scatter`
# for resampling; the light within 3 arcsec with {glue:text}`best_aperture_scatter`, by
# {glue:text}`best_aperture_scatter_value:.3f` ({glue:text}`rivals_aperture_scatter`), against
# {glue:text}`again_aperture_scatter_value:.3f` and {glue:text}`floor_aperture_scatter`. Where resampling
# scatters less, once its bias is taken out, a network has made that number less certain than it was.
#
# A model that is right on average wins in PSNR, because it does not gamble on the noise. A model
# that draws noise of its own pays for it in every pixel, and may yet be the one whose images could
# be taken for real. Which of them is better depends on what they are for.
#
# **Exercise.** Put a translator of your own on the board.
#
# ```{dropdown} Solution
# Run `bring_your_own` with your images and a `name`, say *Mine*; it leaves `tables/card_mine.json` in
# the results folder. Then run this notebook with `papermill notebooks/25_leaderboard.py out.ipynb -y
# "cards: [results/quick/tables/card_mine.json]"`. To be comparable it has to be made from the same
# test galaxies, `results/quick/data/test.h5`.
# ```
#
# **What's next:** [see and touch](26_touch.py) what these numbers mean. The card that this board takes
# is made by [bring your own](bring_your_own.py).
