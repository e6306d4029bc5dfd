# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Long trainings: an hour for each network
#
# What do the translators become when they may learn until they have learnt?
#
# The networks of the chapters before were trained while this book was built, for less than a minute each.
# That shows how a training goes, and not what a kind of network can do. So each was also trained once for
# up to an hour of one core (the diffusion model two), on ten times as many galaxies, and its weights were
# kept. Here they are taken out, tested whether they still fit, and put to work: once every model has one,
# **all later chapters judge these networks**, on galaxies that none of them has seen.
#
# **What you will learn**
#
# - what the long trainings brought, in pixels, in fluxes and in bits of redshift, and when;
# - how kept weights are tested before they are trusted;
# - how to use them on images of your own.
#
# **Prerequisites:** the chapters on the translators, from [the residual network](11_residual.py) on. About
# 10 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator
from myst_nb import glue

from companion import long_trainings, paths, plotting

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
models: list[str] = ["residual", "swin", "srgan", "capsule", "diffusion"]  # set beside the kept
draws: int = 8  # translations of each test galaxy, by models that draw

# %% [markdown]
# ## Do they still fit?
#
# A file of weights is only as good as the code around it. That code changes, mostly in ways that change
# no number, so a check of its text would refuse good weights. We look at what the code *does* instead. When
# the weights were kept, two things were written down beside them: the fluxes of a few simulated galaxies,
# and the translation of one fixed galaxy. Today the simulation has to give these fluxes again, and the
# network this translation, to a thousandth. Otherwise the line says what is wrong.
#
# The numbers are kept in half precision where this changes the translations by less than a fiftieth of the
# noise; the table says by how much. The training galaxies come from another seed of the simulation than
# any of the book.

# %%
store = paths.Results(results, profile)
for split in ("train", "test"):
    paths.need(store.data(split), "01_two_surveys")
table = long_trainings.bring_in(store, task, paths.check_models(models), draws, seed)
table.set_index(["model", "seed"]).round(3)

# %% [markdown]
# The kept networks come into the book together: a training of an hour is not to be judged beside one of
# 40 seconds. While a model has none that fits, the later chapters judge those that were trained on the page.

# %%
waiting = long_trainings.waits_for(table, models, seed)
if waiting:
    print("waits for " + ", ".join(waiting) + ": later chapters judge the networks trained here")
else:
    print("complete: later chapters judge the kept networks")

# %% [markdown]
# ## What the time brought
#
# At every validation the running mean of the weights was kept as well. {numref}`fig-long-curves` shows
# three measures of them against the time on one core, over the validation galaxies: the PSNR, which the
# pixels decide; the robust scatter of the flux in the central box, a mean over bands; and the bits of
# redshift that an estimator reads which was trained on original images. A curve that has flattened has
# little to gain from more time. The three need not flatten together: pixels are learnt first.

# %% mystnb={"figure": {"caption": "PSNR, scatter of the flux, and bits of redshift during the long trainings, against the time on one core; one line per training.", "name": "fig-long-curves"}, "image": {"alt": "Three panels of curves, one per training, that rise, fall and rise with the time and flatten."}} tags=["hide-input"]
curves = long_trainings.histories(task)
measures = {"psnr": "PSNR [dB]", "scatter": "scatter of the flux", "bits": "bits of redshift"}
measures = {name: label for name, label in measures.items() if curves[name].notna().any()}
fig, axes = plt.subplots(1, len(measures), figsize=(plotting.WIDTH, 2.9))
for ax, (measure, label) in zip(axes, measures.items(), strict=True):
    for (model, which), curve in curves.groupby(["model", "seed"]):
        style = plotting.model_style(model) | {"ms": 3, "alpha": 0.5 if which else 1}
        label_once = {} if which == 0 else {"label": None}
        ax.plot(curve.seconds / 60, curve[measure], **style | label_once)
    ax.set(xlabel="minutes", title=label, xscale="log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
plt.show()

# %% [markdown]
# ## Beside those that were trained here
#
# The same test galaxies, translated by both: the residual of the chapters before, in units of the target's
# sky noise (root mean square over pixels, bands and galaxies), and scatter and bias of the central flux in
# per cent.

# %% tags=["hide-input"]
compared = long_trainings.compare(store, task, models, seed)
residuals = compared.pivot_table("residual / σ", "model", "weights")
both = residuals.reindex(columns=long_trainings.WAYS).dropna()
glue("long_count", len(table), display=False)
glue("long_fit", int((table.fits == "yes").sum()), display=False)
glue("long_both", len(both), display=False)
glue("long_better", int((both["kept"] < both["trained here"]).sum()), display=False)
compared.set_index(["model", "weights"]).round(3)

# %% [markdown]
# ## What we found
#
# - Of {glue:text}`long_count` kept networks, {glue:text}`long_fit` fit the code and the simulation of today.
# - Of {glue:text}`long_both` that can be set beside one trained on the page, {glue:text}`long_better` come nearer
#   to the target's pixels.
#
# ## Use them
#
# ```python
# import galtools
# network = galtools.models.pretrained("swin", "cross")
# images = galtools.translate(network, sdss_images)     # (n, 5, 64, 64), nanomaggies per pixel
# ```
#
# The weights lie in `book/reference/weights` of the repository. An installed `galtools` does not bring them
# along: copy the folder and name it in the variable `GALTOOLS_WEIGHTS`, or pass it as `folder`.
#
# ## Exercises
#
# 1. Train one of them yourself: `make long RUN=residual_cross_seed0`. Which of the three measures would
#    change least if you stopped after half of the time?
#
# ```{dropdown} Solution
# Halve the last time in {numref}`fig-long-curves` and read the three panels there: the measure whose curve
# is flattest from there on. Mind that the learning rate falls with the time that was planned. A training
# planned for half an hour ends better than one of an hour stopped in the middle.
# ```
#
# 2. Why does the fixed galaxy have no noise?
#
# ```{dropdown} Solution
# It has to be the same for all times, on any machine, and with any version of any library of random numbers.
# A formula is. The network was trained on noisy galaxies, and its translation of a smooth one may look odd;
# to recognise the network, that does not matter.
# ```
#
# **What's next:** [what a galaxy image knows about its redshift](16_redshift_estimator.py).
