# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Scatter between trainings
#
# Of {glue:text}`trainings_bits_orders` pairs of translators, ranked by the redshift information of their
# images (retrained estimators), {glue:text}`trainings_bits_0` keep the order of their first training once
# the scatter over trainings is included, {glue:text}`trainings_bits_1` reverse it and
# {glue:text}`trainings_bits_2` are inconclusive. Between models trained once each, a difference below
# {glue:text}`trainings_bits_telling:.2f` bits (frozen estimator:
# {glue:text}`trainings_frozen_telling:.2f` bits; PSNR: {glue:text}`trainings_psnr_telling:.2f` dB) is
# within the training scatter of a single model.
#
# **What you will learn**
#
# - how the scatter between trainings compares with the scatter between models;
# - which rankings of the other chapters are reproducible over trainings;
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
models: list[str] = ["residual"]  # set beside the kept

# %% [markdown]
# ## Precomputed trainings
#
# ```{note}
# Training every model several times takes too long for a book. This chapter reads precomputed (*kept*)
# tables from `book/reference/`, verified by a manifest. After `make book`, this command makes them anew:
#
#     .venv/bin/python benchmarks/trainings.py
# ```
#
# The tables come from one run of profile {glue:text}`trainings_profile` for the task
# {glue:text}`trainings_task`: {glue:text}`trainings_count`. It was made {glue:text}`trainings_made` on
# the {glue:text}`trainings_device` in {glue:text}`trainings_minutes:.0f` minutes of training, with
# galtools {glue:text}`trainings_version` and torch {glue:text}`trainings_torch`; the tables were written
# at commit {glue:text}`trainings_commit`. The manifest holds the hash of every model's code.
#
# Trainings of one model differ only in their seed, which sets the initial weights, the batches and the
# samples of generative models. Galaxies, recipes, the seeds of the redshift estimators and the bootstrap
# resamples are the same for all trainings.

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
# ## Consistency with this run
#
# The translators of this run, measured in the chapters on [pixels](21_pixels.py) and [redshift](24_redshift.py), should be
# consistent with the precomputed trainings. For mean $m$ and standard deviation $s$ of $K$ precomputed
# trainings with other seeds, the 95 % prediction interval of a further training is
#
# $$ m \pm t_{K-1}\, s \sqrt{1 + 1/K} . $$
#
#
#
# Recipes are compared as well: the code with everything that it calls (formatting included), the
# parameters and the data. A run of another profile uses another recipe and need not agree. If the recipe
# of the *estimators* has changed, bits of the two runs are not comparable; older tables hold bits of
# fine-tuned estimators, whereas they are now trained from scratch.

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
# ## Trainings and galaxies
#
# Each symbol is one training; its bar is the interval over galaxies, as in the chapters on redshift and in the leaderboard. All
# trainings are evaluated on the same galaxies. Without training scatter, the symbols of one model would
# therefore coincide to well within their bars. Separations beyond that are due to training, which the
# bars do not include.

# %% mystnb={"figure": {"caption": "Each training of each translator with its 95 % interval over galaxies. Black: mean over trainings with its 95 % Student interval over trainings.", "name": "fig-trainings"}, "image": {"alt": "Three panels with a group of points per translator, one point with error bars per training, and a black mean."}} tags=["hide-input"]
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
        )  # Student interval of the mean
        ax.errorbar(mean.value, place + 0.4, xerr=mean.high - mean.value, fmt="|k", ms=9, capsize=3)
    ax.set(xlabel=label, yticks=range(len(kept)))
axes[0].set_yticklabels([plotting.MODEL_NAME[model] for model in kept])
axes[0].invert_yaxis()
axes[1].set_title(f"n = {table.n.max()} galaxies", fontsize=10, fontweight="normal")
plt.show()

# %% [markdown]
# ## Variance components
#
# A measured value varies with the choice of *galaxies* and with the *training*; the scatter between
# *models* is the quantity of interest. The first table gives the standard deviation over trainings of
# each model, with its $\chi^2$ interval, which is wide because trainings are few.
#
# The second table gives three standard deviations, pooled over models: over galaxies for one training,
# over trainings of one model, and between models. The last two come from a one-way analysis of variance
# with random effects, which subtracts from the variance of the model means the part expected from
# training scatter alone. Two single trainings of one model with standard deviation $s$ differ by more
# than $1.96 \sqrt 2 \, s$ in 5 % of cases.


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
# ## Reproducible rankings
#
# For each pair of models, ordered by their first training as in the other chapters, the difference is
# that of the means over trainings.
#
# - *over trainings*: the verdict from the Student–Welch interval over trainings. *Supported* means that
#   this interval excludes 0 in the direction of the first training, so that on these galaxies the recipe
#   is better.
# - *and galaxies*: the same with the choice of galaxies included. *Supported* then means better for the
#   population that these galaxies represent.
# - *contradicted*: the interval excludes 0 in the opposite direction.
# - *one training*: the number of seeds for which the paired difference of single trainings, with its
#   interval over galaxies as in the chapter on redshift, is above 0 (>), consistent with 0 (?) or below 0 (<).

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
# Redshift information, frozen estimator:

# %% tags=["hide-input"]
verdicts.loc["bits, frozen"]

# %% [markdown]
# PSNR in r:

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
# **Rankings.** Of {glue:text}`trainings_bits_orders` orders in retrained bits,
# {glue:text}`trainings_bits_0` are supported over trainings, {glue:text}`trainings_bits_1` contradicted
# and {glue:text}`trainings_bits_2` inconclusive; with the choice of galaxies included,
# {glue:text}`trainings_bits_both_0` are supported. Inconclusive over trainings:
# {glue:text}`trainings_bits_list_2`. Contradicted: {glue:text}`trainings_bits_list_1`. For the frozen
# estimator the counts are {glue:text}`trainings_frozen_0`, {glue:text}`trainings_frozen_1` and
# {glue:text}`trainings_frozen_2`, and in PSNR {glue:text}`trainings_psnr_0`,
# {glue:text}`trainings_psnr_1` and {glue:text}`trainings_psnr_2`.
#
# **Scatter.** The standard deviation over trainings is {glue:text}`trainings_bits_sd` bits retrained,
# {glue:text}`trainings_frozen_sd` bits frozen and {glue:text}`trainings_psnr_sd` dB. Between models it is
# {glue:text}`trainings_bits_models:.3f` bits, {glue:text}`trainings_frozen_models:.3f` bits and
# {glue:text}`trainings_psnr_models:.2f` dB. Pairs of models for which two seeds give opposite orders,
# each with an interval over galaxies that excludes 0: {glue:text}`trainings_bits_torn` retrained,
# {glue:text}`trainings_frozen_torn` frozen, {glue:text}`trainings_psnr_torn` in PSNR.
#
# **Consequences.** In the comparisons of [redshift](24_redshift.py), in the [leaderboard](25_leaderboard.py) and of the
# [information bound](33_the_limit.py), read an order as one of models only where a table above says *supported*. A
# difference between two single trainings of less than {glue:text}`trainings_bits_telling:.2f` bits
# retrained, {glue:text}`trainings_frozen_telling:.2f` bits frozen or
# {glue:text}`trainings_psnr_telling:.2f` dB is within what two trainings of one model show, whatever the
# intervals over galaxies. These values hold for small networks, minutes of training and
# {glue:text}`trainings_profile` data. They do not predict the scatter of the paper's networks.
#
# **This run.** Of {glue:text}`trainings_checked` numbers of this run (profile
# {glue:text}`trainings_own_profile`), {glue:text}`trainings_inside` lie inside their prediction interval.
# To the third decimal, {glue:text}`trainings_alike` equal those of the precomputed training with the same
# seed. Changes of recipe since then: {glue:text}`trainings_changed`. Translators of this run without
# precomputed trainings: {glue:text}`trainings_missing`.
#
# ## Exercises
#
# 1. Two models differ by one standard deviation of a training. How many trainings of each make the
#    interval over trainings exclude 0 in half of all attempts?
#
# ```{dropdown} Solution
# The standard error of the difference is $s \sqrt{2/K}$ and the half-width of the interval is $t_{2K-2}$
# times that. Setting the half-width to $s$ gives $K = 2\, t^2_{2K-2}$, about nine trainings. With five,
# $t_8 \sqrt{2/5} = 1.46$: a difference of 1.46 standard deviations is detected in half of the attempts.
# ```
#
# 2. Why do more galaxies not settle an order that is inconclusive over trainings?
#
# ```{dropdown} Solution
# The variance over trainings is $\mathrm{var}(T) + \mathrm{var}(R)/n$. More galaxies reduce only the
# second term. The first remains, because the same few networks translate all galaxies.
# ```
#
# **What's next:** how much of the loss is due to the models? First [a toy](31_toy.py) with a known
# answer.
