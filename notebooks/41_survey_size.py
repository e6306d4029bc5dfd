# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Half a million galaxies: time and cost
#
# Translating {glue:text}`cost_n:,` galaxies with the model *{glue:text}`cost_model`*, estimating their
# redshifts and measuring their shapes in one band takes {glue:text}`cost_hours:.0f` core-hours and
# {glue:text}`cost_disk:.0f` GB at the rates of the machine that made this page. The most expensive step is
# "{glue:text}`cost_dearest`".
#
# **What you will learn**
#
# - how a sample that exceeds the memory is split into *shards*, each an independent, repeatable job;
# - what a survey costs in core-hours and disk space, from rates measured on your machine.
#
# **Prerequisites:** the chapters on [the residual network](11_residual.py) and on [the redshift
# estimator](16_redshift_estimator.py). About 5 minutes.

# %% tags=["hide-input", "remove-stderr"]
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from companion import paths, plotting, shards
from companion.shards import Shard
from galtools import artefacts
from galtools.data import describe

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
sample: list[str] = []  # files of pairs, in order; empty: the test galaxies
model: str = "residual"  # the translator
count: int = 4  # shards in all
only: int = -1  # the shard that this run does; -1: all of them, one after the other
shapes: int = 5  # galaxies of each shard that statmorph measures; 0 for all
scheduler: str = ""  # Dask scheduler, as tcp://host:8786; empty: this machine
jobs: int = 1  # processes that measure shapes, without Dask
n_survey: int = 500_000  # galaxies of the survey whose cost is asked for

# %% [markdown]
# ## Shards
#
# The galaxies of all files are numbered from 0 to $N - 1$. Shard $k$ of $K$ contains those from $\lfloor
# kN/K \rfloor$ up to, but not including, $\lfloor (k+1)N/K \rfloor$, and reads its own rows only.
#
# Each shard writes three artefacts: translations, redshifts and shapes. An artefact is made once and is
# either complete or absent, so an interrupted job can simply be restarted. Results depend on the number
# of a galaxy and not on its shard: the samples of a diffusion model are the same for any division into
# shards.

# %% tags=["hide-input"]
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
# On a batch system each shard is a run of its own. The grid file
#
# ```yaml
# runs:
#   shards:
#     notebook: 41_survey_size
#     parameters: {sample: [[mine/a.h5, mine/b.h5]], count: 1000, only: {range: 1000}}
# ```
#
# defines a thousand jobs, which are retried when they are killed, and a table of their results ([At
# scale](../scale.md)). With `-p scheduler tcp://host:8786`, statmorph runs on the workers of a Dask cluster.
#
# ## Cost
#
# If step $s$ takes $t_s$ core-seconds and $b_s$ bytes per galaxy, $N$ galaxies cost
#
# $$ \text{core-hours} = \frac{N}{3600\,\mathrm{s}} \sum_s t_s, \qquad
#    \text{disk} = N \sum_s b_s . $$
#
# The rates were measured above; the first row is the disk space of the images themselves.

# %%
steps = ("translate", "redshift", "shapes, r band")
rates = pd.DataFrame(
    [
        {"step": step, "seconds": manifest["seconds"] / manifest["extra"]["galaxies"],
         "bytes": manifest["bytes"] / manifest["extra"]["galaxies"]}
        for manifests in made.values()
        for step, manifest in zip(steps, manifests, strict=True)
    ]
)  # fmt: skip

# %%
n_sample = sum(describe(file)["galaxies"] for file in files)
size = sum(file.stat().st_size for file in files) / n_sample
images = {"step": "images", "seconds": 0.0, "bytes": size}
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

# %% mystnb={"figure": {"caption": "Core-hours for the whole survey per step: one point per shard, and their mean (bar).", "name": "fig-survey-cost"}, "image": {"alt": "Points on three lines, one per step, against core-hours on a logarithmic axis."}} tags=["leading", "hide-input"]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.2))
hours = rates.assign(hours=rates.seconds * n_survey / 3600).query("hours > 0")
heights = [steps.index(step) for step in hours.step]
ax.plot(hours.hours, heights, "o", alpha=0.7, label=f"one of {len(made)} shards")
ax.plot(cost.loc[list(steps), "core-hours"], range(len(steps)), "k|", ms=16, mew=2, label="mean")
ax.set(xscale="log", xlabel=f"core-hours for {n_survey:,} galaxies", yticks=range(len(steps)))
ax.set_yticklabels(steps)
ax.set_ylim(len(steps) - 0.4, -0.6)
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% tags=["remove-cell"]
glue("cost_hours", float(cost.loc["sum", "core-hours"]), display=False)
glue("cost_disk", float(cost.loc["sum", "GB"]), display=False)
glue("cost_n", n_survey, display=False)
glue("cost_model", model, display=False)
glue("cost_dearest", cost.loc[list(steps), "core-hours"].idxmax(), display=False)
counted = [[manifest["extra"]["galaxies"] for manifest in manifests] for manifests in made.values()]
translated, _, measured = (sum(numbers) for numbers in zip(*counted, strict=True))
glue("cost_sample", int(translated), display=False)
glue("cost_measured", int(measured), display=False)

# %% [markdown]
# ## What we found
#
# The cost is extrapolated from {glue:text}`cost_sample` galaxies and, for shapes, from
# {glue:text}`cost_measured`. statmorph needs no GPU and can be distributed over machines; five bands cost
# five times as much. For the cost of another translator, train it and run this chapter with `-p model`.
#
# **Exercise.** How many shards would you choose for the whole survey on a cluster that kills jobs after an
# hour?
#
# ```{dropdown} Solution
# At least as many as there are core-hours in the table, and two or three times more as a margin. A killed
# job then loses about twenty minutes, and the start of a job (some seconds) is still negligible.
# ```
#
# **What's next:** running the same shards through Slurm: [at scale](../scale.md).
