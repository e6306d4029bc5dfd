# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Long trainings: an hour for each network
#
# Of {glue:text}`long_both` networks that were trained both for long and on a page of this book,
# {glue:text}`long_better` have a smaller pixel residual after the long training. Kept weights are used only
# after a check against the current code and simulation.
#
# The preceding chapters train each network for about a minute. Long trainings use about an hour of one
# core and ten times as many galaxies, and their weights are kept. Once every model has
# consistent weights, **all later chapters evaluate these networks**, on galaxies used in no training.
#
# **What you will learn**
#
# - the effect of training time on pixels, fluxes and redshift information;
# - how kept weights are checked and used on your own images.
#
# **Prerequisites:** the chapters on the translators, from [the residual network](11_residual.py) on. About
# 10 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
from myst_nb import glue

from companion import long_trainings, panels, paths, plotting

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
models: list[str] = ["residual", "swin", "srgan", "capsule", "diffusion"]  # set beside the kept
draws: int = 5  # samples for each test galaxy, by generative models

# %% [markdown]
# ## Consistency check
#
# Kept weights are checked by behaviour, since a hash of the code would also change after harmless edits. The
# current simulation must reproduce the stored fluxes of a few galaxies, and the network its stored
# translation of one fixed, noise-free galaxy, to 0.1 per cent; otherwise the table states the reason.
#
# Weights are stored in half precision where this changes translations by less than 2 per cent of the noise
# (table). The training galaxies come from a simulation seed not used elsewhere in the book.

# %% tags=["hide-input"]
store = paths.Results(results, profile)
for split in ("train", "test"):
    paths.need(store.data(split), "01_two_surveys")
table = long_trainings.bring_in(store, task, paths.check_models(models), draws, seed)
table.set_index(["model", "seed"]).round(3)

# %% [markdown]
# Until every model has a consistent network, the later chapters evaluate those trained on the pages, so that
# no training of an hour is compared with one of 40 seconds.

# %%
waiting = long_trainings.waits_for(table, models, seed)
if waiting:
    print("missing: " + ", ".join(waiting) + "; later chapters use the networks trained here")
else:
    print("complete: later chapters use the kept networks")

# %% [markdown]
# ## Effect of training time
#
# {numref}`fig-long-curves` shows three metrics on the validation galaxies for the running mean of the
# weights: PSNR; the robust scatter of the flux in the central box, a mean over bands; and redshift
# information in bits, from an estimator trained on original images. They need not converge at the same time.

# %% mystnb={"figure": {"caption": "PSNR, flux scatter and redshift information during the long trainings against time on one core; one line per training.", "name": "fig-long-curves"}, "image": {"alt": "Panels of PSNR, flux scatter and redshift information against minutes of training, one curve per training."}} tags=["leading", "hide-input"]
curves = long_trainings.histories(task)
measures = {"psnr": "PSNR [dB]", "scatter": "flux scatter", "bits": "information [bits]"}
measures = {name: label for name, label in measures.items() if curves[name].notna().any()}
fig, axes = plt.subplots(1, len(measures), figsize=(plotting.WIDTH, 2.9))
for ax, (measure, label) in zip(axes, measures.items(), strict=True):
    for (model, which), curve in curves.groupby(["model", "seed"]):
        style = plotting.model_style(model) | {"ms": 3, "alpha": 0.5 if which else 1}
        label_once = {} if which == 0 else {"label": None}
        ax.plot(curve.seconds / 60, curve[measure], **style | label_once)
    ax.set(xlabel="minutes", title=label)
    panels.log_scale(ax, "x")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
plt.show()

# %% [markdown]
# ## Comparison with the short trainings
#
# The same test galaxies, translated by both: residual, scatter and bias as in [the first chapter on
# translators](11_residual.py).

# %% tags=["leading", "hide-input"]
compared = long_trainings.compare(store, task, models, seed)
residuals = compared.pivot_table("residual / σ", "model", "weights")
both = residuals.reindex(columns=["kept", "trained here"]).dropna()
glue("long_count", len(table), display=False)
glue("long_fit", int((table.fits == "yes").sum()), display=False)
glue("long_both", len(both), display=False)
glue("long_better", int((both["kept"] < both["trained here"]).sum()), display=False)
compared.set_index(["model", "weights"]).round(3)

# %% [markdown]
# ## What we found
#
# - Consistent with the current code and simulation: {glue:text}`long_fit` of {glue:text}`long_count` kept
#   networks.
# - Smaller pixel residual than the same model trained on the page: {glue:text}`long_better` of
#   {glue:text}`long_both`.
#
# ## Use of the weights
#
# ```python
# import galtools
# network = galtools.pretrained.load("swin", "cross")
# images = galtools.translate(network, sdss_images)     # (n, 5, 64, 64), nanomaggies per pixel
# ```
#
# The weights are in `book/reference/weights` of the repository, not in an installed `galtools`: copy the
# folder and set `GALTOOLS_WEIGHTS`, or pass it as `folder`.
#
# ## Exercises
#
# 1. Run `make long RUN=residual_cross_seed0`. Which of the three metrics would change least if you stopped
#    after half the time?
#
# ```{dropdown} Solution
# The one whose curve in {numref}`fig-long-curves` is flattest over the second half of the time. But the
# learning rate decays over the planned time, so a training planned for half an hour ends better than one of
# an hour stopped midway.
# ```
#
# **What's next:** [the redshift information in galaxy images](16_redshift_estimator.py).
