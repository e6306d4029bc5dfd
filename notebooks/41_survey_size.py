# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Half a million galaxies: time and cost
#
# A few hundred galaxies are translated and measured while you fetch a coffee. What does it take to do
# the same to a whole survey, and how is it done on more than one machine?
#
# **What you will learn**
#
# - how a sample that no memory holds is cut into *shards*, each a job that can be repeated at will;
# - how the same notebook is one of a thousand jobs, or drives a Dask cluster;
# - what a survey costs in core-hours and in disk, from rates measured on your machine.
#
# **Prerequisites:** the chapters on [the residual network](11_residual.py) and on
# [the redshift estimator](16_redshift_estimator.py). About 5 minutes.

# %% tags=["hide-input", "remove-stderr"]
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from companion import paths, plotting, shards
from companion.shards import Shard
from galtools import artefacts
from galtools.data import describe
from galtools.training.loop import best_device

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
sample: list[str] = []  # files of pairs, in order; empty: the test galaxies
model: str = "residual"  # the translator
count: int = 4  # shards in all
only: int = -1  # the shard that this run does; -1: all of them, one after the other
shapes: int = 10  # galaxies of each shard that statmorph measures; 0 for all
scheduler: str = ""  # Dask scheduler, as tcp://host:8786; empty: this machine
jobs: int = 1  # processes that measure shapes, without Dask
n_survey: int = 500_000  # galaxies of the survey whose cost is asked for

# %% [markdown]
# ## Shards
#
# The galaxies of all files are numbered through, from 0 to $N$. Shard $k$ of $K$ holds those from
# $\lfloor kN/K \rfloor$ to $\lfloor (k+1)N/K \rfloor$: every galaxy is in exactly one shard, and no
# two shards differ by more than one in size. A shard reads its own rows and nothing else, so the
# memory that is needed follows from the size of a shard, not of the survey.
#
# Each shard leaves three artefacts: translations, redshifts, shapes. Each of them is made once and
# is whole or not there at all, so an interrupted job is simply started again. What a galaxy gets
# depends on its own number and never on its shard: the random draw of a diffusion model is the same
# however the survey is cut.

# %%
store = paths.Results(results, profile)
files = tuple(Path(file) for file in sample) or (paths.need(store.data("test"), "01_two_surveys"),)
weights = paths.need_of(store.weights("cross", model, seed), model)
networks = paths.need(store.weights("redshift", "CFHTLS", seed), "16_redshift_estimator")
numbers = range(count) if only < 0 else [only]


# %%
def measure(shard: Shard) -> list[dict]:
    """Translate and measure one shard; return the manifests of what it left."""
    stem = store.translations("shards", model, seed).with_suffix("") / f"{shard.number:05d}"
    images = stem.with_suffix(".h5")
    made = [shards.translations(images, shard, weights, seed)]
    made.append(shards.redshifts(stem.with_suffix(".z.csv"), shard, images, networks))
    shapes_file = stem.with_suffix(".shapes.csv")
    return [*made, shards.shapes(shapes_file, shard, images, most=shapes)]


# %% tags=["remove-stderr"]
with shards.workers(scheduler, jobs):
    made = {number: measure(Shard(files, number, count)) for number in numbers}

# %% [markdown]
# `workers` is where Dask comes in. statmorph is called through joblib, and joblib runs on whatever
# it is told to run on: this process, several, or with `-p scheduler tcp://host:8786` all the workers
# of a Dask cluster. A worker that dies costs the galaxies it had in hand; others do them again.
#
# On a batch system there is a simpler way: let every shard be a run of its own. In a grid file,
#
# ```yaml
# runs:
#   shards:
#     notebook: 41_survey_size
#     parameters: {sample: [[mine/a.h5, mine/b.h5]], count: 1000, only: {range: 1000}}
# ```
#
# is a thousand jobs, each idempotent, retried when it is killed, with a table at the end.
# [At scale](../scale.md) has the rest.
#
# ## What it costs
#
# Let step $s$ take $t_s$ seconds of one core per galaxy, and leave $b_s$ bytes. Then $N$ galaxies cost
#
# $$ \text{core-hours} = \frac{N}{3600\,\mathrm{s}} \sum_s t_s, \qquad
#    \text{disk} = N \sum_s b_s . $$
#
# Every $t_s$ and $b_s$ below was measured above, on the machine that made this page; the first row
# is the images themselves. Reading a file and starting a process are part of $t_s$, so small shards
# look dearer than large ones will be.

# %%
steps = ("translate", "redshift", "shapes, r band")
rates = pd.DataFrame(
    [
        {"step": step, "seconds": told["seconds"] / told["extra"]["galaxies"],
         "bytes": told["bytes"] / told["extra"]["galaxies"]}
        for manifests in made.values()
        for step, told in zip(steps, manifests, strict=True)
    ]
)  # fmt: skip
n_sample = sum(describe(file)["galaxies"] for file in files)
images = {
    "step": "images",
    "seconds": 0.0,
    "bytes": sum(f.stat().st_size for f in files) / n_sample,
}
mean = pd.concat([pd.DataFrame([images]), rates]).groupby("step", sort=False).mean()

# %%
cost = pd.DataFrame(
    {
        "seconds per galaxy": mean.seconds,
        "core-hours": mean.seconds * n_survey / 3600,
        "kB per galaxy": mean.bytes / 1e3,
        "GB": mean.bytes * n_survey / 1e9,
    }
)
cost.loc["sum"] = cost.sum()
artefacts.make(
    store.table("survey_cost"), lambda path: mean.to_csv(path),
    params={"rates": rates.to_dict("list")}, modules=["companion.shards"], seed=seed,
)  # fmt: skip
cost.round({"seconds per galaxy": 4, "core-hours": 2, "kB per galaxy": 1, "GB": 1})

# %% mystnb={"figure": {"caption": "Core-hours for the whole survey, step by step. One point per shard, a bar for their mean.", "name": "fig-survey-cost"}, "image": {"alt": "Points on three lines, one per step, against core-hours on a logarithmic axis."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.2))
hours = rates.assign(hours=rates.seconds * n_survey / 3600).query("hours > 0")
places = [steps.index(step) for step in hours.step]
ax.plot(hours.hours, places, "o", alpha=0.7, label=f"one of {len(made)} shards")
ax.plot(cost.loc[list(steps), "core-hours"], range(len(steps)), "k|", ms=16, mew=2, label="mean")
ax.set(xscale="log", xlabel=f"core-hours for {n_survey:,} galaxies", yticks=range(len(steps)))
ax.set_yticklabels(steps)
ax.set_ylim(len(steps) - 0.4, -0.6)
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% tags=["remove-cell"]
device = best_device().type
glue("cost_hours", float(cost.loc["sum", "core-hours"]), display=False)
glue("cost_shapes", float(cost.loc[steps[2], "core-hours"]), display=False)
glue("cost_translate", float(cost.loc[steps[0], "core-hours"]), display=False)
glue("cost_disk", float(cost.loc["sum", "GB"]), display=False)
glue("cost_minutes", float(cost.loc["sum", "core-hours"] * 60 / 100), display=False)
glue("cost_n", n_survey, display=False)
glue("cost_model", model, display=False)
glue("cost_dearest", cost.loc[list(steps), "core-hours"].idxmax(), display=False)
counted = [[told["extra"]["galaxies"] for told in manifests] for manifests in made.values()]
translated, _, measured = (sum(numbers) for numbers in zip(*counted, strict=True))
glue("cost_sample", int(translated), display=False)
glue("cost_measured", int(measured), display=False)
gpu = "not measured: this page was made without a GPU"
if device == "cuda":
    gpu = f"{cost.loc[steps[0], 'core-hours']:.2f}, of the row on translating"
glue("cost_gpu", gpu, display=False)

# %% [markdown]
# ## What we found
#
# Scaled up from {glue:text}`cost_sample` galaxies, and their shapes from those of
# {glue:text}`cost_measured`, {glue:text}`cost_n:,` of them take {glue:text}`cost_hours:.0f`
# core-hours and {glue:text}`cost_disk:.0f` GB. Shapes in a single band are
# {glue:text}`cost_shapes:.0f` of these core-hours, translating with the model
# *{glue:text}`cost_model`* is {glue:text}`cost_translate:.1f`. On a hundred cores it would be done in
# {glue:text}`cost_minutes:.0f` minutes. GPU-hours: {glue:text}`cost_gpu`.
#
# What takes longest is the step "{glue:text}`cost_dearest`". statmorph needs no GPU, but can be spread
# over machines; five bands cost it five times as much. Other translators cost other amounts: run this
# chapter with another `-p model` after that one has been trained.
#
# ## Exercises
#
# 1. Delete the translations of one shard and run the notebook again. What is made anew, and why are
#    its redshifts not?
# 2. How many shards would you choose for the whole survey on a cluster that kills jobs after an hour?
#
# ```{dropdown} Solutions
# 1. Only the file that is missing. It comes back with the same bytes, and the table of redshifts is
#    keyed by the contents of its input, not by the date.
# 2. At least as many as there are core-hours in the table, and two or three times more to be safe;
#    a killed job then loses twenty minutes, and starting a job (some seconds) still costs nothing.
# ```
#
# **What's next:** The same through Slurm: [at scale](../scale.md).
