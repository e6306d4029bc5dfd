# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Leaderboard and scatter between trainings
#
# For this run's task, {glue:text}`leaderboard_task`, the best translator is {glue:text}`best_psnr` in
# PSNR, {glue:text}`best_box_scatter` in the scatter of peak fluxes and {glue:text}`best_aperture_scatter`
# in that of aperture fluxes.
#
# In precomputed short trainings of each model (task *cross*), the scatter between trainings leaves
# {glue:text}`trainings_bits_2` of {glue:text}`trainings_bits_orders` orders in redshift information
# inconclusive.
#
# **What you will learn**
#
# - where each translator stands between resampling and a repeat observation;
# - which rankings further trainings would reproduce;
# - how to add a translator of your own.
#
# **Prerequisites:** the chapters on [pixels](21_pixels.py), [morphology](22_morphology.py), [peak
# fluxes](23_peaks.py) and [redshift](24_redshift.py). About 10 minutes.

# %% tags=["hide-input", "remove-stderr"]
from functools import partial
from itertools import combinations, product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import panels, paths, plotting, training_scatter
from galtools import artefacts
from galtools.fidelity import intervals, scorecard
from galtools.fidelity.intervals import Verdict
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
# Metrics are in the r band unless stated otherwise, with 95 % intervals over galaxies.
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
# A scatter excludes the bias common to all galaxies. The reference is a *repeat observation*, the baseline
# *resampling*; the task *intra* has no such row, because its source is the truth.

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
    ("psnr", "r"): "PSNR [dB]",
    ("correlation", "r"): "pixel correlation",
    ("aperture_scatter", "r"): "aperture-flux scatter",
    ("box_scatter", "r"): "peak-flux scatter",
    ("half_light_radius_scatter", "r"): "radius scatter [arcsec]",
    ("peak_ratio_scatter", "g-r"): "peak g − r scatter [mag]",
    ("bits", "retrained"): "redshift information [bits]",
}

# %%
keys = pd.MultiIndex.from_frame(table[["metric", "band"]])
numbers = {key: label for key, label in numbers.items() if key in keys}
board = table[
    keys.isin(list(numbers)) & ~table.row.isin(["source", "copy"])
]  # these are not images of the task
rows = [row for row in board.row.unique() if row != "truth"]

# %% tags=["hide-input"]
made = artefacts.make(
    folder.table(f"leaderboard{ending}"),
    lambda path: board.to_csv(path, index=False),
    params={"numbers": list(numbers.values()), "task": task},
    modules=["galtools.fidelity.scorecard"],
    inputs=[*(folder.table(f"{name}{ending}") for name in chapters), *map(Path, cards)],
    seed=seed,
)

# %% [markdown]
# The last rows are no translators but references on galaxies of their own: the mean and a sample of the conditional
# distribution of the target given its source ([the optimal translator](33_the_limit.py)), with the morphological
# class, the pattern of young stars, the neighbours and the seeing known, and the posterior of the redshift. The
# mean bounds PSNR approximately, the posterior the bits; the other metrics are not bounded.

# %%
bound = pd.read_csv(artefacts.check_inputs(paths.REFERENCE / "33_optimal.csv"))
best = [row for row in ("optimal mean", "optimal sample", "posterior") if task == "cross"]
keys = pd.MultiIndex.from_frame(bound[["metric", "band"]])
bound = bound[keys.isin(list(numbers)) & bound.row.isin(best) & (bound.part == "whole")]
rows, board = rows + best, pd.concat([board, bound[board.columns.intersection(bound.columns)]])

# %% mystnb={"figure": {"caption": "Fidelity metrics with 95 % intervals over galaxies. Larger is better for PSNR, correlation and redshift information, smaller for the others. Last: the optimal translator, on galaxies of its own; it bounds PSNR, approximately, and bits only.", "name": "fig-leaderboard"}, "image": {"alt": "One panel per fidelity metric, with one line per translator or reference row."}} tags=["leading", "hide-input"]
found, sizes = board.set_index(["metric", "band", "row"]), board.groupby("row").n.max()
fig, axes = panels.grid(len(numbers), 0.27 * len(rows) + 0.7, sharey=True)
for ax, (key, label) in zip(axes, numbers.items(), strict=True):
    for k, row in enumerate(rows):
        if (*key, row) in found.index:  # the card of another translator may lack a level
            style = {"color": plotting.MODEL_COLOUR.get(row, "black")}
            plotting.horizontal_interval(ax, found.loc[(*key, row)], k, row, **style)
    ax.set(xlabel=label)
# the galaxies of the optimal translator and of another translator's card may be others, and fewer
known = {row: name for row, name in plotting.MODEL_NAME.items() if row not in best}
names = [known.get(row) or plotting.with_n(row, sizes[row]) for row in rows]
panels.name_rows(axes[0], names)
plt.show()

# %% [markdown]
# All rows but those of the optimal translator share their galaxies, so translators with overlapping intervals may
# still differ significantly ([the chapter on redshift](24_redshift.py) gives paired differences of the bits).

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
models = [row for row in rows if row not in ("again", "resample", *best)]
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
glue("n_rows", len(models), display=False)
glue("leaderboard_task", task, display=False)

# %% [markdown]
# ## Scatter between short trainings
#
# The ranking above holds for networks that were trained once. Precomputed tables
# ([remade](../contributing.md) by `.venv/bin/python benchmarks/trainings.py`) hold {glue:text}`trainings_count`
# for the task *cross* (profile {glue:text}`trainings_profile`, {glue:text}`trainings_made`, commit
# {glue:text}`trainings_commit`). Trainings of a model differ only in their seed: initial weights, batches and
# samples. Their redshift estimators were {glue:text}`trainings_estimators`, those of the figure above are trained
# from scratch; bits are compared within these tables only. Changed in the recipes of this run since then:
# {glue:text}`trainings_changes`. They show how much single
# trainings differ, not the order of networks that were trained for longer.

# %%
several = training_scatter.read_kept()
pairs = training_scatter.read_kept(training_scatter.PAIRS)
about = artefacts.read_manifest(training_scatter.TABLE)
kept = list(about["seeds"])
quantities = {
    ("bits", "retrained"): "bits, retrained",
    ("bits", "frozen"): "bits, frozen",
    ("psnr", "r"): "PSNR in r [dB]",
}
groups = several.sort_values("seed").groupby(["metric", "band", "model"])
trained = {key: part.value.to_numpy() for key, part in groups}

# %% mystnb={"figure": {"caption": "Each training of each translator with its 95 % interval over galaxies. Without scatter between trainings, the symbols of a model would coincide. Black: mean over trainings with its 95 % Student interval.", "name": "fig-trainings"}, "image": {"alt": "Three panels with a group of points per translator, one point with error bars per training, and a black mean."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 0.75 * len(kept) + 1.2), sharey=True)
for ax, (key, label) in zip(axes, quantities.items(), strict=True):
    for place, model in enumerate(kept):
        part = groups.get_group((*key, model))
        y = place + 0.13 * (np.arange(len(part)) - len(part) / 2)
        error = [part.value - part.low, part.high - part.value]
        style = {"color": plotting.MODEL_COLOUR[model], "marker": plotting.MODEL_MARKER[model]}
        ax.errorbar(part.value, y, xerr=error, ls="none", ms=5, **style)
        mean = training_scatter.model_difference(part.value, [0.0, 0.0])  # Student's interval
        ax.errorbar(mean.value, place + 0.4, xerr=mean.high - mean.value, fmt="|k", ms=9, capsize=3)
    ax.set(xlabel=label, yticks=range(len(kept)))
axes[0].set_yticklabels([plotting.MODEL_NAME[model] for model in kept])
axes[0].invert_yaxis()
panels.note_size(fig, several)
plt.show()

# %% [markdown]
# Standard deviations, pooled over models: over galaxies for one training, over trainings of one model, and
# between models. The last two come from a one-way analysis of variance with random effects, which subtracts
# from the variance of the model means the part expected from training scatter alone. Two single trainings of
# one model with standard deviation $s$ differ by more than $1.96 \sqrt 2 \, s$ in 5 % of cases.

# %%
lines = {}
for key, name in quantities.items():
    pooled = training_scatter.variance_components({m: trained[*key, m] for m in kept})
    part = several[(several.metric == key[0]) & (several.band == key[1])]
    lines[name] = {
        "galaxies, one training": ((part.high - part.low) / (2 * intervals.Z)).mean(),
        "trainings of one model": pooled["trainings"],
        "models": pooled["models"],
        "two trainings, 95 %": intervals.Z * np.sqrt(2) * pooled["trainings"],
    }
pd.DataFrame(lines).map("{:.3f}".format)

# %% [markdown]
# Pairs of models are ordered by their first training. The difference is that of the means over trainings, and
# the verdicts follow from its Student–Welch interval: over trainings, so for these galaxies, and with the
# choice of galaxies included. *One training* counts the seeds for which the paired difference of single
# trainings is above 0 (>), consistent with 0 (?) or below 0 (<).

# %% tags=["hide-input"]
WORDS = Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE
judge, verdicts = partial(intervals.verdict, least=0), {}  # however few the trainings
for (metric, band), quantity in quantities.items():
    ranked = sorted(kept, key=lambda model: -trained[metric, band, model][0])
    differences = pairs[(pairs.metric == metric) & (pairs.band == band)]
    for a, b in combinations(ranked, 2):
        forth = differences[(differences["first"] == a) & (differences["second"] == b)]
        back = differences[(differences["first"] == b) & (differences["second"] == a)]
        single = [judge(e) for e in forth.itertuples()]
        single += [judge(intervals.Estimate(0, -e.high, -e.low, e.n)) for e in back.itertuples()]
        both = trained[metric, band, a], trained[metric, band, b]
        over = training_scatter.model_difference(*both)
        wide = training_scatter.model_difference(*both, pd.concat([forth, back]).error.iloc[0])
        line = {"difference": str(over), "over trainings": judge(over), "and galaxies": judge(wide)}
        counts = [f"{single.count(w)}{sign}" for w, sign in zip(WORDS, "><?", strict=True)]
        order = f"{plotting.MODEL_NAME[a]} before {plotting.MODEL_NAME[b]}"
        verdicts[quantity, order] = line | {"one training": " ".join(counts)}
verdicts = pd.DataFrame(verdicts).T
verdicts

# %% [markdown]
# Is this run consistent with the precomputed one? For mean $m$ and standard deviation $s$ of $K$ trainings
# with other seeds, the 95 % prediction interval of a further one is $m \pm t_{K-1}\, s \sqrt{1 + 1/K}$.
# Another recipe (profile, code, parameters, data or estimators) need not agree.

# %% tags=["hide-input"]
known = [m for m in models if m in kept and task == about["task"]]
own = table.set_index(["metric", "band", "row"]).value
changes = {
    model: training_scatter.recipe_changes(
        artefacts.read_manifest(folder.weights("cross", model, seed)), about["recipes"][model]
    )
    for model in known
}
checked = []
for model, (key, name) in product(known, quantities.items()):
    same = groups.get_group((*key, model))
    low, high = training_scatter.prediction_interval(same[same.seed != seed].value)
    line = {"model": plotting.MODEL_NAME[model], "number": name, "this run": own[*key, model]}
    inside = "yes" if low <= line["this run"] <= high else "no"
    checked.append(line | {"expected": f"{low:.2f} to {high:.2f}", "inside": inside})
changed = "; ".join(sorted(set(changes.values()))) or "not compared"
print("changes of the recipe since then:", changed)
comparable = changed != training_scatter.LONG
pd.DataFrame(checked).round(3).replace(-0.0, 0.0) if comparable else None

# %% tags=["remove-cell"]
short = dict(zip(quantities.values(), ("bits", "frozen", "psnr"), strict=True))
for name, word in short.items():
    part = verdicts.loc[name]
    for column, ending in {"over trainings": "", "and galaxies": "_both"}.items():
        for k, said in enumerate(WORDS):
            chosen = [order for order in part.index if part.loc[order, column] == said]
            glue(f"trainings_{word}{ending}_{k}", len(chosen), display=False)
            glue(f"trainings_{word}{ending}_list_{k}", "; ".join(chosen) or "none", display=False)
    glue(f"trainings_{word}_orders", len(part), display=False)
    glue(f"trainings_{word}_telling", float(lines[name]["two trainings, 95 %"]), display=False)

# %% tags=["remove-cell"]
counts = {plotting.MODEL_NAME[m]: len(seeds) for m, seeds in about["seeds"].items()}
said = ", ".join(f"{name} {n}" for name, n in counts.items())
glue("trainings_count", f"trainings of each model ({said})", display=False)
for name in ("profile", "made", "commit"):
    glue(f"trainings_{name}", about[name].partition("T")[0], display=False)
how = "trained from scratch" if "estimators" in about else "fine-tuned"
glue("trainings_estimators", how, display=False)
glue("trainings_changes", changed, display=False)

# %% [markdown]
# ## What we found
#
# Among {glue:text}`n_rows` translators, {glue:text}`best_psnr` has the highest PSNR,
# {glue:text}`best_psnr_value:.1f` dB, against {glue:text}`again_psnr_value:.1f` dB for a repeat observation.
# The smallest peak-flux scatter is {glue:text}`best_box_scatter_value:.3f` ({glue:text}`best_box_scatter`),
# against {glue:text}`again_box_scatter_value:.3f` for a repeat observation and
# {glue:text}`floor_box_scatter` for resampling; the smallest aperture-flux scatter is
# {glue:text}`best_aperture_scatter_value:.3f` ({glue:text}`best_aperture_scatter`), against
# {glue:text}`again_aperture_scatter_value:.3f` and {glue:text}`floor_aperture_scatter`. Where resampling
# scatters less, the network has added scatter to that flux.
#
# Of {glue:text}`trainings_bits_orders` orders in retrained bits, {glue:text}`trainings_bits_0` are supported
# over trainings ({glue:text}`trainings_bits_both_0` with the choice of galaxies) and
# {glue:text}`trainings_bits_1` contradicted; inconclusive: {glue:text}`trainings_bits_list_2`. For the frozen
# estimator {glue:text}`trainings_frozen_0` are supported, in PSNR {glue:text}`trainings_psnr_0`. A difference
# between two single trainings of less than {glue:text}`trainings_bits_telling:.2f` bits retrained,
# {glue:text}`trainings_frozen_telling:.2f` bits frozen or {glue:text}`trainings_psnr_telling:.2f` dB is
# within what two trainings of one model show. These values hold for trainings of less than a minute; they
# predict neither the scatter of the paper's networks nor the order of networks trained for longer.
#
# PSNR rewards predictions of the mean image, which contain no noise. A generative model that samples
# noise has a lower PSNR, although its images may be more realistic.
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
# **Exercise.** Why do more galaxies not settle an order that is inconclusive over trainings?
#
# ```{dropdown} Solution
# The variance over trainings is $\mathrm{var}(T) + \mathrm{var}(R)/n$, with a part $T$ of the training and a
# residual $R$ of each galaxy. More galaxies reduce only the second term: the same few networks translate all.
# ```
#
# **What's next:** [scaling](28_scaling.py) asks whether longer training would change this order. [Bring your
# own](bring_your_own.py) produces the card that this leaderboard reads.
