# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Leaderboard: all metrics in one table
#
# For this run's task, {glue:text}`leaderboard_task`, the best translator is {glue:text}`best_psnr` in
# PSNR, {glue:text}`best_box_scatter` in the scatter of peak fluxes and {glue:text}`best_aperture_scatter`
# in that of aperture fluxes. The highest PSNR is {glue:text}`best_psnr_value:.1f` dB, against
# {glue:text}`again_psnr_value:.1f` dB for a repeat observation.
#
# **What you will learn**
#
# - why one metric cannot rank translators;
# - where each translator stands between resampling and a repeat observation;
# - how to add a translator of your own.
#
# **Prerequisites:** the chapters on [pixels](21_pixels.py), [morphology](22_morphology.py), [peak
# fluxes](23_peaks.py) and [redshift](24_redshift.py). About 5 minutes.

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
# ## Metrics
#
# Metrics are in the r band unless stated otherwise. Each has the 95 % interval over galaxies computed in
# its own chapter.
#
# | metric | definition | better |
# |---|---|---|
# | PSNR, pixel correlation | agreement of pixels with the target image | larger |
# | aperture-flux scatter | robust scatter of the flux error within 3 arcsec | smaller |
# | peak-flux scatter | the same in a box of 3 × 3 pixels | smaller |
# | radius scatter | the same for the half-light radius | smaller |
# | peak g − r scatter | the same for the peak colour | smaller |
# | bits | redshift information found by an estimator trained from scratch on such images | larger |
#
# A scatter excludes the bias common to all galaxies. It is above 0 even for a repeat observation (*Seen
# again*), the reference. *Resampling* is the baseline that a translator has to beat; the task *intra* has
# no such row, because its source is the truth.

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
    ("aperture_scatter", "r"): "aperture-flux scatter",
    ("box_scatter", "r"): "peak-flux scatter",
    ("half_light_radius_scatter", "r"): "radius scatter (arcsec)",
    ("peak_ratio_scatter", "g-r"): "peak g − r scatter (mag)",
    ("bits", "retrained"): "redshift information (bits)",
}

# %%
keys = pd.MultiIndex.from_frame(table[["metric", "band"]])
numbers = {key: label for key, label in numbers.items() if key in keys}
board = table[
    keys.isin(list(numbers)) & ~table.row.isin(["source", "copy"])
]  # these are not images of the task
rows = [row for row in board.row.unique() if row != "truth"]
made = artefacts.make(
    folder.table(f"leaderboard{ending}"),
    lambda path: board.to_csv(path, index=False),
    params={"numbers": list(numbers.values()), "task": task},
    modules=["galtools.fidelity.scorecard"],
    inputs=[*(folder.table(f"{name}{ending}") for name in chapters), *map(Path, cards)],
    seed=seed,
)

# %% mystnb={"figure": {"caption": "Fidelity metrics with 95 % intervals over galaxies. Larger is better for PSNR, correlation and redshift information, smaller for the others. Cards of other translators come last.", "name": "fig-leaderboard"}, "image": {"alt": "One panel per fidelity metric, with one line per translator or reference row."}} tags=["leading", "hide-input"]
fig = panels.leaderboard(board, numbers, rows)
plt.show()

# %% [markdown]
# All rows share their galaxies, so translators with overlapping intervals may still differ significantly
# ([the chapter on redshift](24_redshift.py) gives paired differences of the bits). The ranking holds for
# these trained networks only; [several trainings of each](28_trainings.py) test which orders are
# reproducible.
#
# The same values as a table:

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
# Among {glue:text}`n_rows` translators, {glue:text}`best_psnr` has the highest PSNR. The smallest
# peak-flux scatter is {glue:text}`best_box_scatter_value:.3f` ({glue:text}`best_box_scatter`;
# {glue:text}`rivals_box_scatter`), against {glue:text}`again_box_scatter_value:.3f` for a repeat
# observation and {glue:text}`floor_box_scatter` for resampling. The smallest aperture-flux scatter is
# {glue:text}`best_aperture_scatter_value:.3f` ({glue:text}`best_aperture_scatter`;
# {glue:text}`rivals_aperture_scatter`), against {glue:text}`again_aperture_scatter_value:.3f` and
# {glue:text}`floor_aperture_scatter`. Where resampling scatters less after its bias is removed, the
# network has added scatter to that flux.
#
# PSNR rewards predictions of the mean image, which contain no noise. A generative model that samples
# noise has a lower PSNR, although its images may be more realistic. Which is preferable depends on the
# application.
#
# **Exercise.** Add a translator of your own to the leaderboard.
#
# ```{dropdown} Solution
# Run `bring_your_own` with your images and a `name`, for example *Mine*. It writes
# `tables/card_mine.json` to the results folder. Then run `papermill notebooks/25_leaderboard.py out.ipynb
# -y "cards: [results/quick/tables/card_mine.json]"`. For comparable values, translate the same test
# galaxies, `results/quick/data/test.h5`.
# ```
#
# **What's next:** [interactive comparisons](26_touch.py) show what these numbers mean. [Bring your
# own](bring_your_own.py) produces the card that this leaderboard reads.
