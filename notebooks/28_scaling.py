# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Scaling: undertrained, or unable?
#
# On {glue:text}`scaling_realistic` training galaxies, {glue:text}`scaling_finding`. In the limit of infinite
# training and galaxies, {glue:text}`scaling_orders`.
#
# This chapter separates what further training would bring from what a translator leaves at any length of
# training.
#
# **What you will learn**
#
# - how fidelity scales with training steps, CPU time, floating-point operations and training galaxies;
# - how to extrapolate to infinite training and galaxies, and when the data do not support an extrapolation;
# - what the number of real galaxies allows.
#
# **Prerequisites:** the [leaderboard](25_leaderboard.py). About 10 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from companion import panels, paths, plotting, scaling, scaling_report
from galtools import artefacts

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's

# %% [markdown]
# ## Trainings
#
# The networks and recipes are those of the chapters on the translators (profile *quick*); only the numbers
# of steps (×1, ×4, ×16) and of training galaxies (750, 3,000, 10,000) are varied. About 90 galaxies of the
# SDSS main sample per square degree {cite}`strauss2002` on at most 157 square degrees of CFHTLS-Wide make
# 14,000 real pairs. With 4,000 of them for validation and tests, 10,000 remain for training.
#
# The [long trainings](17_long_trainings.py) on 30,000 galaxies are shown beside them, but not fitted, since
# their batches and crops are larger. The diffusion model samples about the residual network of the same
# galaxies, steps and seed, and its cost includes that network's.
#
# All are measured on the same {glue:text}`scaling_n` simulated galaxies, of a random seed that nothing else
# in the book uses. Bits are those of a frozen estimator, trained on original CFHTLS images; chapter
# [24](24_redshift.py) explains what it misses.
#
# The tables are kept, since they take hours ([remade](../contributing.md) by
# `.venv/bin/python benchmarks/scaling.py`). They hold {glue:text}`scaling_done` of
# {glue:text}`scaling_planned` planned sets of images ({glue:text}`scaling_missing`).

# %%
table, fits = scaling_report.read_kept(), scaling_report.read_kept(scaling.FITS)
about = artefacts.read_manifest(scaling.TABLE)["extra"]
cross = table[(table.task == "cross") & (table.recipe == "chapter")]
long = table[(table.task == "cross") & (table.recipe == "long")]
again = table[(table.model == "again") & (table.task == "cross")].set_index("metric").value
models = [model for model in plotting.MODELS if model in {*cross.model, *long.model}]
shown = ["loss", "psnr", "blur", "aperture_scatter", "box_scatter", "bits"]

# %% tags=["hide-input"]
DASHES = {750: ":", 3000: "--", 10_000: "-", 30_000: "none"}  # line of a number of galaxies


def curves(ax, metric, x, rows):
    """Draw a quantity against x: a line per model and number of galaxies, means over seeds."""
    rows = rows[rows.metric == metric]
    for (model, count), line in rows.groupby(["model", "galaxies"]):
        mean = line.groupby("steps")[[x, "value"]].mean()
        style = plotting.model_style(model) | {"label": None, "ms": 4, "lw": 1.3}
        style |= {"mfc": "white", "ms": 7} if count == max(DASHES) else {}
        ax.plot(mean[x], mean.value, linestyle=DASHES[count], **style)
    ax.set_title(scaling.QUANTITIES[metric].label, fontsize=10)


def legend(fig, counts=()):
    """Name models by colour and numbers of galaxies by line, under the figure."""
    named = [plt.Line2D([], [], lw=1.3, **plotting.model_style(model)) for model in models]
    style = {"color": "0.3", "lw": 1.3}
    for count in counts:
        marker = {"marker": "o", "mfc": "white"} if count == max(DASHES) else {}
        line = plt.Line2D([], [], ls=DASHES[count], label=f"{count:,} galaxies", **style, **marker)
        named.append(line)
    fig.legend(handles=named, loc="outside lower center", ncols=3)


# %% [markdown]
# ## Quality against cost
#
# The cost is the CPU time of one core (process time of a step times the number of steps, for one thread).

# %% mystnb={"figure": {"caption": "Translations of the same galaxies against the CPU time of the training, means over seeds. Colours: translators; lines: number of training galaxies; large open symbols: long trainings on 30,000 galaxies; grey: a repeat observation. PSNR and information are to be large, the others small.", "name": "fig-scaling"}, "image": {"alt": "Six panels of loss, PSNR, blur, scatter of aperture and of peak fluxes and redshift information against CPU seconds, one line per translator and number of training galaxies."}} tags=["leading", "hide-input"]
fig, axes = panels.grid(len(shown), 1.9)
for ax, metric in zip(axes, shown, strict=True):
    curves(ax, metric, "seconds", pd.concat([cross, long]))
    if metric != "loss":
        ax.axhline(again[metric], color="0.6", lw=1, zorder=0)
    panels.log_scale(ax, "x")
    ax.xaxis.set_major_locator(plt.LogLocator())
for ax in axes[-2:]:
    ax.set_xlabel("CPU seconds")
legend(fig, [count for count in DASHES if count in set(table.galaxies)])
plt.show()

# %% [markdown]
# Undertrained is a network whose line still points upwards (PSNR) or downwards (scatter) at its end; unable
# is one whose line is flat there. Changes from ×1 steps to the longest training that all translators have
# ({glue:text}`scaling_longest`) on {glue:text}`scaling_realistic` galaxies, positive where the translation
# improves; in per cent for the loss and the scatters:

# %%
gains = scaling_report.training_gains(table)
names = {metric: scaling.QUANTITIES[metric].label for metric in shown}
named = gains.rename(index=plotting.MODEL_NAME, columns=names)
named[list(names.values())].round(2) if len(gains) else print("no longer training yet")

# %% [markdown]
# Two short trainings of one model that differ in their seed alone differ in PSNR by less than
# {glue:text}`scaling_noise` dB in 95 % of cases ([leaderboard](25_leaderboard.py)).
#
# ## Equal steps, equal time, equal operations
#
# Which translator is best depends on what is held equal. Operations are those of forward and backward pass
# as counted by PyTorch.

# %% mystnb={"figure": {"caption": "PSNR and scatter of peak and aperture fluxes for the largest number of training galaxies against steps, CPU time and floating-point operations.", "name": "fig-scaling-equal"}, "image": {"alt": "Nine panels: three quantities in rows against three measures of cost in columns, one line per translator."}} tags=["hide-input"]
costs = {"steps": "steps", "seconds": "CPU seconds", "tera": "10¹² operations"}
rows = ["psnr", "box_scatter", "aperture_scatter"]
count = scaling_report.largest(cross, "galaxies")
most = cross[cross.galaxies == count].assign(tera=lambda x: x.flop / 1e12)
fig, axes = plt.subplots(3, 3, figsize=(plotting.WIDTH, 5.6), sharex="col", sharey="row")
for line, metric in zip(axes, rows, strict=True):
    for ax, cost in zip(line, costs, strict=True):
        curves(ax, metric, cost, most)
        panels.log_scale(ax, "x")
        ax.xaxis.set_major_locator(plt.LogLocator())
    line[0].set_ylabel(scaling.QUANTITIES[metric].label, fontsize=9)
for ax, label in zip(axes[-1], costs.values(), strict=True):
    ax.set_xlabel(label)
for ax in axes.flat:
    ax.set_title("")
legend(fig)
plt.show()

# %% [markdown]
# ## Number of galaxies
#
# At equal training (×{glue:text}`scaling_equal` steps), {numref}`fig-scaling-galaxies` shows what more
# galaxies bring. The realistic case is 10,000; training the residual network on ten times as many is the grid
# `workflow/sample_size.yaml` (`make grid GRID=workflow/sample_size.yaml`, one GPU).

# %% mystnb={"figure": {"caption": "Translations against the number of training galaxies at an equal number of steps, means over seeds; large open symbols: long trainings on 30,000 galaxies, with more steps. The vertical line is the largest number of real training pairs.", "name": "fig-scaling-galaxies"}, "image": {"alt": "Panels of PSNR, peak scatter, aperture scatter and information against the number of training galaxies, one line per translator."}} tags=["hide-input"]
sizes = cross.groupby("compute").galaxies.nunique()
equal = int(sizes.index[sizes == sizes.max()].max())  # length of training with most sizes
fig, axes = panels.grid(4, 1.9)
for ax, metric in zip(axes, [*rows, "bits"], strict=True):
    same = cross[(cross.compute == equal) & (cross.metric == metric)]
    for model, line in same.groupby("model"):
        style = plotting.model_style(model) | {"label": None, "ms": 4, "lw": 1.3}
        ax.plot(line.groupby("galaxies").value.mean(), **style)
    curves(ax, metric, "galaxies", long)
    ax.axvline(scaling.GALAXIES, color="0.6", lw=1, zorder=0)
    ax.set(xscale="log", xticks=list(DASHES), xticklabels=[f"{n:,}" for n in DASHES])
    ax.minorticks_off()
    ax.tick_params(axis="x", labelsize=8)
for ax in axes[-2:]:
    ax.set_xlabel("training galaxies")
legend(fig)
plt.show()

# %% [markdown]
# ## Limit of infinite training and galaxies
#
# An error $L$ is fitted by a scaling law, a sum of powers of the training steps $C$ (in units of the
# chapter's) and the number of galaxies $N$ (in units of 10,000),
#
# $$ L(C, N) = L_\infty + a\, C^{-\alpha} + b\, N^{-\beta} , $$
#
# with $\alpha, \beta$ between 0.05 and 2; for PSNR and bits $L$ is their negative. $L_\infty$ is what
# remains for this network size, recipe and loss after infinite training on infinitely many galaxies. Its 95 % interval is from resampled galaxies (the same for
# all translators) and residuals of the fit with random signs, which hold the scatter between trainings. If
# the interval reaches the end of the search (0, or three times the measured range beyond the best training),
# the data do not bound $L_\infty$, and only its known end is given: *open*.

# %% tags=["hide-input"]
limits = scaling_report.limit_cells(fits)
made = artefacts.make(
    paths.Results(results, profile).table("scaling"),
    lambda path: limits.to_csv(path),
    params={},
    inputs=[scaling.TABLE, scaling.FITS],
    seed=seed,
)
named = limits.T.rename(index=lambda m: scaling.QUANTITIES[m].label, columns=plotting.MODEL_NAME)
named if len(fits) else print("no limits yet: they take three lengths of training")

# %% [markdown]
# An order of two translators holds for these model classes only if both limits are bounded and their
# difference excludes zero at 5 % after Holm's correction {cite}`holm1979` for all pairs and quantities:

# %% tags=["hide-input"]
orders = scaling_report.orders(fits)
counted = pd.crosstab(orders.metric, orders.verdict)
counted.rename(index=lambda metric: scaling.QUANTITIES[metric].label) if len(fits) else None

# %% [markdown]
# ## A bottleneck within SDSS
#
# Within one survey a network without a bottleneck can copy its input, so that nothing is learnt about
# translation. The capsule network cannot: its decoder sees the poses of the capsules only. For the task
# *intra* (×1, ×4, ×16 steps):

# %% tags=["hide-input"]
bottleneck = table[(table.task == "intra") & (table.recipe != "none")]
cells = bottleneck[bottleneck.metric.isin(["psnr", "box_scatter", "bits"])]
cells = cells.pivot_table("value", ["metric", "galaxies"], ["recipe", "compute"]).round(3)
cells if len(cells) else print("not trained yet")

# %% tags=["remove-cell"]
summary = scaling_report.sentences(table, fits, about)
for name, value in (summary | {"equal": equal, "n": about["galaxies"]}).items():
    glue(f"scaling_{name}", value, display=False)

# %% [markdown]
# ## What we found
#
# - Undertrained: {glue:text}`scaling_undertrained`.
# - Unable: of the limits $L_\infty$ of all quantities and translators, {glue:text}`scaling_limits`; only for
#   these it is known what remains after infinite training and galaxies.
# - The highest PSNR, of {glue:text}`scaling_best` after {glue:text}`scaling_best_recipe`, exceeds that of a
#   repeat observation by {glue:text}`scaling_best_gain` dB. The [optimal mean](33_the_limit.py), on other
#   galaxies, exceeds it by {glue:text}`scaling_optimal_gain` dB.
#
# Orders between short trainings hold for these trainings, not for the model classes. Larger networks were
# not tried, so "unable" refers to these sizes and losses.
#
# ## Exercises
#
# 1. Which of the six quantities would you stop a training by, if redshifts matter most?
#
# ```{dropdown} Solution
# Compare where the lines of {numref}`fig-scaling` become flat. A training stopped by its PSNR is stopped too
# early if the scatter of aperture fluxes and the bits still improve there.
# ```
#
# **What's next:** [interactive comparisons](26_touch.py) show what these numbers mean.
