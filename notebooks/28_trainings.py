# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Scatter between trainings
#
# The chapters put translators in an order: this one keeps more of the redshift than that one. Each
# of them was trained once. Is the order one of *kinds of models*, or of the five networks that
# happened to come out?
#
# **What you will learn**
#
# - how far two trainings of one model differ, beside how far two models do;
# - which orders of the other chapters hold over trainings, and which are not known;
# - how many trainings a comparison needs.
#
# **Prerequisites:** the chapters on [pixels](21_pixels.py) and [redshift](24_redshift.py). About 10
# minutes.

# %% tags=["hide-input"]
from dataclasses import asdict
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import paths, plotting, redshift_evaluation, training_scatter
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual"]  # the translators of this book that are held against the kept ones

# %% [markdown]
# ## Where these numbers come from
#
# ```{note}
# A book cannot train everything five times. The numbers on this page are *kept*: they come from one
# run of `benchmarks/trainings.py`, whose tables lie in `book/reference/` with a manifest. This page
# only reads and judges them. After `make book`, one command makes them anew:
#
#     .venv/bin/python benchmarks/trainings.py
# ```
#
# Kept is a run of profile {glue:text}`trainings_profile` for the task {glue:text}`trainings_task`:
# {glue:text}`trainings_count`, made {glue:text}`trainings_made` on the {glue:text}`trainings_device`
# in {glue:text}`trainings_minutes:.0f` minutes of training, galtools {glue:text}`trainings_version`,
# torch {glue:text}`trainings_torch`; the tables were written at commit
# {glue:text}`trainings_commit`, and the manifest holds the hash of the code of every model. From one training of a
# model to the next nothing changes but the seed: that of the first weights, of the batches, and of
# the draws of those who draw. The galaxies, the recipe and the seeds of the estimators of redshift, and the
# resamples behind every interval stay the same.

# %%
table, pairs = training_scatter.read_kept(), training_scatter.read_kept(training_scatter.PAIRS)
about = artefacts.read_manifest(training_scatter.TABLE)
kept = list(about["seeds"])
numbers = {
    ("bits", "retrained"): "bits, retrained",
    ("bits", "frozen"): "bits, frozen",
    ("psnr", "r"): "PSNR in r (dB)",
}
groups = table.sort_values("seed").groupby(["metric", "band", "model"])
values = {key: part.value.to_numpy() for key, part in groups}

# %% [markdown]
# ## Does the kept table belong to this book?
#
# This book has trained every model once, too. Its numbers, from the tables of chapters 21 and 24,
# should look like one more training. With the mean $m$ and the deviation $s$ of the $K$ kept trainings
# of other seeds, one more lies within $m \pm t_{K-1}\, s \sqrt{1 + 1/K}$ in 95 of 100 cases. The kept training of the
# same seed is no such test: as long as the recipe is the same, it gives the same number. The
# recipes are compared as well: the code with all that it calls (a mere change of form counts), the
# parameters, and the data. A book of another profile has another recipe, and should lie outside. Where the
# recipe of the *estimators* has changed, too, bits of the kept run and of this book were found in
# different ways, and cannot be compared: kept tables from before estimators were trained from scratch on
# every kind of image hold bits of estimators that had been fine-tuned.

# %%
store = paths.Results(results, profile, kept=False)
files = {"pixels": "21_pixels", "redshift": "24_redshift"}
tables = [paths.check_seed(paths.need(store.table(k), v), seed) for k, v in files.items()]
own = pd.concat(map(pd.read_csv, tables))
own = own.set_index(["metric", "band", "row"]).value

# %%
trained = {m: paths.need_of(store.weights("cross", m, seed), m) for m in paths.check_models(models)}
checked, changes, known = [], {}, [m for m in models if m in kept]
if not known:
    raise GaltoolsError(f"models = {models}: name at least one of the kept, {', '.join(kept)}")
for model in known:
    mine = artefacts.read_manifest(trained[model])
    changes[plotting.MODEL_NAME[model]] = training_scatter.recipe_changes(
        mine, about["recipes"][model]
    )
    for key, name in numbers.items():
        same = groups.get_group((*key, model))
        low, high = training_scatter.prediction_interval(same[same.seed != seed].value)
        line = {"model": plotting.MODEL_NAME[model], "number": name, "this book": own[*key, model]}
        line["kept, same seed"] = same[same.seed == seed].value.max()
        inside = "yes" if low <= line["this book"] <= high else "no" if low <= high else "–"
        checked.append({**line, "expected": f"{low:.2f} to {high:.2f}", "inside": inside})
checked = pd.DataFrame(checked).set_index(["model", "number"])

# %%
estimators = asdict(redshift_evaluation.recipe_of(store, seed))
same = about.get("estimators") == estimators
changes["estimators of redshift"] = "nothing" if same else "estimators"
print("changed in the recipe:", *(f"  {k}: {v}" for k, v in changes.items()), sep="\n")
checked.round(3).replace(-0.0, 0.0)

# %% [markdown]
# ## The picture
#
# Every symbol is a training; its bar is what chapters 24 and 25 show, the interval over galaxies. All
# were shown the same galaxies, so symbols of one model that were trained alike should crowd together
# far within their bars. As far as they do not, it is training that moves them, and no bar tells.

# %% mystnb={"figure": {"caption": "Every training of every translator, with its 95 % interval over galaxies; black: the mean over trainings with its interval over trainings (Student).", "name": "fig-trainings"}, "image": {"alt": "Three panels with a group of points per translator and a point per training, with bars and a black mean."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 0.75 * len(kept) + 1.2), sharey=True)
for ax, (key, label) in zip(axes, numbers.items(), strict=True):
    for place, model in enumerate(kept):
        part = groups.get_group((*key, model))
        y = place + 0.13 * (np.arange(len(part)) - len(part) / 2)
        error = [part.value - part.low, part.high - part.value]
        style = {"color": plotting.MODEL_COLOUR[model], "marker": plotting.MODEL_MARKER[model]}
        ax.errorbar(part.value, y, xerr=error, ls="none", ms=5, **style)
        mean = training_scatter.model_difference(
            part.value, [0.0, 0.0]
        )  # Student's interval of the mean itself
        ax.errorbar(mean.value, place + 0.4, xerr=mean.high - mean.value, fmt="|k", ms=9, capsize=3)
    ax.set(xlabel=label, yticks=range(len(kept)))
axes[0].set_yticklabels([plotting.MODEL_NAME[model] for model in kept])
axes[0].invert_yaxis()
axes[1].set_title(f"n = {table.n.max()} galaxies", fontsize=10, fontweight="normal")
plt.show()

# %% [markdown]
# ## Three kinds of scatter
#
# A number of a board can be off because other *galaxies* might have been chosen, and because another
# *training* might have been run; what we ask for is the scatter between *models*. Here is the
# standard deviation over the trainings of each model, with its interval by $\chi^2$ (wide, as a deviation
# from few trainings is), and below it all three kinds, pooled over models: over galaxies for one
# training; over trainings of one model; and between models, less what trainings and their number alone
# would make of equal ones (one-way analysis of variance with random effects). What is pooled is an
# average: some models scatter more than others. Two single trainings of
# one model, of deviation $s$, differ by more than $1.96 \sqrt 2 \, s$ in one of twenty cases.


# %%
each = {
    name: {
        plotting.MODEL_NAME[m]: str(training_scatter.training_scatter(values[*key, m]))
        for m in kept
    }
    for key, name in numbers.items()
}
pd.DataFrame(each)

# %%
pooled = {
    key: training_scatter.variance_components({m: values[*key, m] for m in kept}) for key in numbers
}
lines = {}
for key, name in numbers.items():
    part = table[(table.metric == key[0]) & (table.band == key[1])]
    galaxies = ((part.high - part.low) / (2 * intervals.Z)).mean()
    lines[name] = {
        "galaxies, one training": f"{galaxies:.3f}",
        "trainings of one model": f"{pooled[key]['trainings']:.3f}",
        "models": f"{pooled[key]['models']:.3f}",
    }
pd.DataFrame(lines)

# %% [markdown]
# ## Which orders hold?
#
# Take the order in which the *first* training puts two models, as the other chapters do. The difference
# is that of their means over trainings, with its interval over trainings. *Over trainings*: the interval of the difference of their means, by Student and Welch, leaves out zero;
# then, on these galaxies, the recipe of the one is better than that of the other. *And galaxies*: it still
# does when the choice of galaxies is added; then it is better for galaxies like these. *Contradicted*
# means that the trainings say the opposite of the first. Of twenty comparisons of equal models, one
# would hold by chance.
#
# The last column counts what one training alone would have said: for how many seeds the paired
# difference, with its interval over galaxies as in chapter 24, is above zero (>), not to be told from it
# (?), or below (<).

# %% tags=["hide-input"]
judge = partial(intervals.verdict, least=0)  # however few the trainings
judged = {}
for key, name in numbers.items():
    order = sorted(kept, key=lambda m: -values[*key, m][0])
    for a, b in [(a, b) for k, a in enumerate(order) for b in order[k + 1 :]]:
        one = pairs[(pairs.metric == key[0]) & (pairs.band == key[1])]
        forth = one[(one["first"] == a) & (one["second"] == b)]
        back = one[(one["first"] == b) & (one["second"] == a)]
        alone = [judge(e) for e in forth.itertuples()]
        alone += [judge(intervals.Estimate(0, -e.high, -e.low, e.n)) for e in back.itertuples()]
        both = values[*key, a], values[*key, b]
        error = pd.concat([forth, back]).error.iloc[0]
        found = [
            training_scatter.model_difference(*both),
            training_scatter.model_difference(*both, error),
        ]
        text = f"{plotting.MODEL_NAME[a]} before {plotting.MODEL_NAME[b]}"
        judged[name, text] = *found, alone

# %%
WORDS = Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE
lines = {
    key: {
        "difference": str(over),
        "over trainings": judge(over),
        "and galaxies": judge(both),
        "one training": " ".join(
            f"{alone.count(word)}{sign}" for word, sign in zip(WORDS, "><?", strict=True)
        ),
    }
    for key, (over, both, alone) in judged.items()
}
verdicts = pd.DataFrame(lines).T
verdicts.loc["bits, retrained"]

# %% [markdown]
# The same for the frozen estimator:

# %% tags=["hide-input"]
verdicts.loc["bits, frozen"]

# %% [markdown]
# And in pixels:

# %% tags=["hide-input"]
verdicts.loc["PSNR in r (dB)"]

# %% tags=["remove-cell"]
short = {"bits, retrained": "bits", "bits, frozen": "frozen", "PSNR in r (dB)": "psnr"}
for (name, key), word in zip(
    {v: k for k, v in numbers.items()}.items(), short.values(), strict=True
):
    part, scatter = verdicts.loc[name], pooled[key]
    for column, ending in {"over trainings": "", "and galaxies": "_both"}.items():
        for k, said in enumerate(WORDS):
            known = [t for t in part.index if part.loc[t, column] == said]
            glue(f"trainings_{word}{ending}_{k}", len(known), display=False)
            glue(f"trainings_{word}{ending}_list_{k}", "; ".join(known) or "none", display=False)
    glue(f"trainings_{word}_orders", len(part), display=False)
    glue(f"trainings_{word}_sd", f"{scatter['trainings']:.3f}", display=False)
    glue(f"trainings_{word}_models", scatter["models"], display=False)
    one = intervals.Z * np.sqrt(2) * scatter["trainings"]
    glue(f"trainings_{word}_telling", float(one), display=False)
    torn = [a for (n, _), (*_, a) in judged.items() if n == name and {*WORDS[:2]} <= {*a}]
    glue(f"trainings_{word}_torn", len(torn), display=False)
    widest = max(kept, key=lambda m: np.ptp(values[*key, m]))
    glue(f"trainings_{word}_widest", plotting.MODEL_NAME[widest], display=False)
    glue(f"trainings_{word}_range", float(np.ptp(values[*key, widest])), display=False)

# %% tags=["remove-cell"]
counts = {m: len(seeds) for m, seeds in about["seeds"].items()}
said = ", ".join(f"{plotting.MODEL_NAME[m]} {n}" for m, n in counts.items())
glue("trainings_count", f"trainings of {said}", display=False)
for name in ("profile", "task", "made", "device", "version", "commit"):
    glue(f"trainings_{name}", about[name], display=False)
glue("trainings_torch", about["packages"]["torch"], display=False)
glue("trainings_minutes", about["seconds"] / 60, display=False)
glue("trainings_inside", int((checked["inside"] == "yes").sum()), display=False)
glue("trainings_checked", int((checked["inside"] != "–").sum()), display=False)
missing = [plotting.MODEL_NAME.get(m, m) for m in models if m not in kept]
glue("trainings_missing", ", ".join(missing) or "none", display=False)
alike = np.isclose(checked["this book"], checked["kept, same seed"], rtol=0, atol=5e-4)
glue("trainings_alike", int(alike.sum()), display=False)
glue("trainings_own_profile", profile, display=False)
glue("trainings_changed", "; ".join(sorted(set(changes.values()))), display=False)

# %% [markdown]
# ## What we found
#
# Of the {glue:text}`trainings_bits_orders` orders in bits after retraining,
# {glue:text}`trainings_bits_0` are supported over trainings, {glue:text}`trainings_bits_1` contradicted and
# {glue:text}`trainings_bits_2` inconclusive; with the choice of galaxies
# {glue:text}`trainings_bits_both_0` are supported. Inconclusive over trainings:
# {glue:text}`trainings_bits_list_2`. Contradicted: {glue:text}`trainings_bits_list_1`. For the frozen
# estimator {glue:text}`trainings_frozen_0` are supported, {glue:text}`trainings_frozen_1` contradicted and
# {glue:text}`trainings_frozen_2` inconclusive; in PSNR {glue:text}`trainings_psnr_0`,
# {glue:text}`trainings_psnr_1` and {glue:text}`trainings_psnr_2`.
#
# One training scatters about the mean of its model by {glue:text}`trainings_bits_sd` bits retrained,
# {glue:text}`trainings_frozen_sd` frozen, and {glue:text}`trainings_psnr_sd` dB; the models differ by
# {glue:text}`trainings_bits_models:.3f`, {glue:text}`trainings_frozen_models:.3f` and
# {glue:text}`trainings_psnr_models:.2f`. Widest apart are the trainings of
# {glue:text}`trainings_bits_widest`, over {glue:text}`trainings_bits_range:.2f` bits retrained, and of
# {glue:text}`trainings_frozen_widest`, over {glue:text}`trainings_frozen_range:.2f` frozen. The number of
# orders on which two single trainings contradict each other, both with an interval over galaxies that
# leaves out zero: {glue:text}`trainings_bits_torn` retrained, {glue:text}`trainings_frozen_torn` frozen,
# {glue:text}`trainings_psnr_torn` in PSNR.
#
# So, for the boards of this book ([24](24_redshift.py), [25](25_leaderboard.py),
# [33](33_the_limit.py)): read an order as one of models only where a table above says *supported*. Between
# two single trainings, as in the paper's table and in ours, a difference of less than
# {glue:text}`trainings_bits_telling:.2f` bits retrained, {glue:text}`trainings_frozen_telling:.2f`
# frozen, or {glue:text}`trainings_psnr_telling:.2f` dB is within what two trainings of *one* model
# show (from the pooled scatter), whatever their intervals over galaxies. These
# figures are of our small networks, minutes of training and {glue:text}`trainings_profile` data; they
# say nothing of how far the paper's networks would scatter, only that a table of single trainings
# cannot say it either.
#
# This book's own trainings (profile {glue:text}`trainings_own_profile`) lie inside what the kept ones
# let expect in {glue:text}`trainings_inside` of {glue:text}`trainings_checked` numbers (one in twenty
# lies outside by chance), and
# {glue:text}`trainings_alike` are, to the third decimal, those of the kept training of the same seed.
# Changed in their recipes since the kept run: {glue:text}`trainings_changed`. Translators of this book
# that the kept run has not: {glue:text}`trainings_missing`.
#
# ## Exercises
#
# 1. Two models differ by one deviation of a training. How many trainings of each does it take until
#    the interval over trainings usually leaves out zero?
#
# ```{dropdown} Solution
# The error of the difference is $s \sqrt{2/K}$, and the interval reaches $t_{2K-2}$ of it. For the
# difference $s$ to equal the reach needs $K = t^2_{2K-2} \cdot 2$, which is about nine; and then it
# succeeds in every other attempt only. With five trainings, $t_8 \sqrt{2/5} = 1.46$ deviations are told in
# half of the cases.
# ```
#
# 2. Why is it no use to observe more galaxies to settle an order that is inconclusive over trainings?
#
# ```{dropdown} Solution
# The scatter of trainings is $\mathrm{var}(T) + \mathrm{var}(R)/n$: more galaxies take away the second
# part only. The first stays, since all galaxies are translated by the same few networks.
# ```
#
# **What's next:** how much of the loss is the model's fault at all? First [a toy](31_toy.py), in which
# the answer is known.
