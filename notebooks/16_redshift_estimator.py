# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # What a galaxy image knows about its redshift
#
# How well can the distance of a galaxy be read from its picture alone, and from what in it?
#
# Expansion reddens light and moves spectral features through the bands, so colours carry the
# redshift. Size, brightness and shape carry some more. An estimator that reads all of it is our
# instrument for the chapters to come: if a translated image has lost what tells the redshift, this is
# where it shows.
#
# **What you will learn**
#
# - how a network can answer with a whole density $p(z)$, and how such an answer is judged;
# - how a temperature calibrates densities that are too sure of themselves;
# - how far colours and peak fluxes get without any network.
#
# **Prerequisites:** the chapter on the two surveys. About 20 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from galtools import data, manifest, paths, plots, redshift
from galtools.loop import Settings, describe
from galtools.surveys import BANDS

plots.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
members: int = 2  # networks in the ensemble of each survey
steps: int = 350  # training steps of each
batch: int = 32  # galaxies in a step
rate: float = 0.003  # highest learning rate
width: int = 16  # channels of the network's first layers
bins: int = 180  # bins of the density between redshift 0 and 0.4
z_max: float = 0.4  # largest redshift the density can hold

# %% [markdown]
# ## A density, and how to judge it
#
# The range $0 \le z < 0.4$ is cut into bins, and the network gives a probability to each, like any
# network that sorts pictures into classes. Its answer is judged as a *density*. With $F$ its
# cumulative function and $H$ the step at the true redshift,
#
# $$ \mathrm{CRPS} = \int \big(F(z') - H(z' - z)\big)^2\,\mathrm{d}z' $$
#
# is small only for a density that is both narrow and in the right place. Estimates by one number
# are judged by $\delta = (z_\mathrm{est} - z)/(1 + z)$: its mean (bias), its scatter
# $\sigma_\mathrm{MAD}$ and the share of outliers.

# %% mystnb={"figure": {"caption": "What the CRPS integrates: the cumulative function of a density and the step at the true redshift. The score grows with the shaded area.", "name": "fig-redshift-crps"}, "image": {"alt": "A rising curve, a step, and the shaded area between them."}} tags=["hide-input"]
grid = redshift.Grid(bins, z_max)
density = np.exp(-((grid.centres - 0.12) ** 2) / 2 / 0.02**2)
steps_up = np.cumsum(density / density.sum())
fig, ax = plt.subplots(figsize=(plots.WIDTH, 2.5))
ax.plot(grid.centres, steps_up, label="F, cumulative density")
ax.step([0, 0.15, 0.15, z_max], [0, 0, 1, 1], color="black", label="H, truth")
ax.fill_between(grid.centres, steps_up, grid.centres > 0.15, alpha=0.2)
ax.set(xlabel="redshift", ylabel="cumulative", xlim=(0, 0.3))
ax.legend()
plt.show()

# %% [markdown]
# ## Training one ensemble for each survey
#
# The network packs pixels like the translators do, convolves, and halves the image twice. Of each
# feature it then keeps two numbers: the *mean* over the image, which knows about colour and brightness
# as a whole, and the *largest* value, which knows about the centre. Two dense layers turn these into
# the bins of the density. The loss is the cross-entropy of the bin that holds the true redshift; the
# CRPS can be added to it, since it also rewards coming close.
#
# Images enter stretched, as everywhere; each batch is turned into one of eight orientations, and when
# a galaxy is judged, all eight are averaged: a galaxy has no up and down. Two networks that differ only
# in their seed are averaged too, and the validation galaxies then fix one temperature $T$: densities
# become $p^{1/T}$, wider for $T > 1$.

# %%
store = paths.Results(results, profile)
splits = ("train", "valid", "test")
files = {split: paths.need(store.data(split), "01_two_surveys") for split in splits}
samples = {split: data.load(file) for split, file in files.items()}
sides = {"SDSS": "source", "CFHTLS": "target"}
settings = Settings(steps=steps, batch=batch, rate=rate, checks=2, seed=seed)


# %%
def train_ensemble(path, side):
    """Train all members on one survey, calibrate them, write them to one file."""
    train, valid = samples["train"], samples["valid"]
    noise = np.median(train.noise[:, list(sides.values()).index(side)], axis=0)
    networks = []
    for member in range(members):
        torch.manual_seed(seed * 100 + member)
        network = redshift.RedshiftNetwork(len(BANDS), width, grid)
        own = Settings(**{**describe(settings), "seed": seed * 100 + member})
        redshift.train(network, getattr(train, side), train.redshift, noise, own)
        networks.append(network)
    log_p = redshift.ensemble([redshift.log_density(n, getattr(valid, side)) for n in networks])
    redshift.save(path, networks, redshift.fit_temperature(log_p, valid.redshift, grid))


# %%
params = {**describe(settings), "members": members, "width": width, "grid": [bins, z_max]}
densities, temperatures, seconds = {}, {}, {}
for survey, side in sides.items():
    path = store.model("redshift", survey, seed) / "weights.safetensors"
    made = manifest.make(
        path,
        lambda new, side=side: train_ensemble(new, side),
        params={**params, "side": side},
        modules=["galtools.redshift"],
        inputs=[files["train"], files["valid"]],
        seed=seed,
    )
    networks, temperatures[survey] = redshift.load(path)
    images = getattr(samples["test"], side)
    densities[survey] = redshift.predict(networks, temperatures[survey], images)
    seconds[survey] = made["seconds"]

# %% [markdown]
# ## Estimates against the truth

# %% mystnb={"figure": {"caption": "Estimated (median of the density) against true redshift of the test galaxies, for both surveys. The lines mark the truth and the limit beyond which an estimate counts as an outlier.", "name": "fig-redshift-scatter"}, "image": {"alt": "Two scatter plots along the diagonal."}} tags=["hide-input"]
z = samples["test"].redshift
fig, axes = plt.subplots(1, 2, figsize=(plots.WIDTH, 3.2), sharey=True)
line = np.linspace(0, z_max, 2)
for ax, (survey, density) in zip(axes, densities.items(), strict=True):
    found, limit = redshift.estimate(density, grid, "median"), redshift.OUTLIER[survey]
    ax.plot(z, found, ".", color=plots.SURVEY_COLOUR[survey], markersize=4)
    ax.plot(line, line, color="black", linewidth=1)
    for sign in (-1, 1):
        ax.plot(line, line + sign * limit * (1 + line), "--", color="black", linewidth=0.8)
    ax.set(xlim=(0, 0.32), ylim=(0, 0.32), xlabel="true redshift")
    ax.set_title(plots.with_n(survey, len(z)))
axes[0].set_ylabel("estimated redshift")
plt.show()

# %% [markdown]
# Points along the diagonal are good estimates. Look at the ends: near redshift zero an estimator that
# is unsure pulls its answers up, and at the far end down, towards where most galaxies are. This is not
# a fault but what a sensible guess does with weak evidence. It is one more reason to ask for the whole
# density, which shows how weak the evidence was.
#
# ## Is the density to be trusted?
#
# If it is, the truth falls anywhere in it with the probability it says: the values $F(z_\mathrm{true})$
# (PIT) are spread evenly. A hill in the middle means densities that are too wide, piles at the ends too
# narrow.

# %% mystnb={"figure": {"caption": "PIT of the test galaxies for both surveys. Flat (dashed) is calibrated.", "name": "fig-redshift-pit"}, "image": {"alt": "Two histograms close to a flat line."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(plots.WIDTH, 2.6))
for survey, density in densities.items():
    pit = redshift.cumulative(density, z, grid)
    label = plots.with_n(f"{survey}, T = {temperatures[survey]:.2f}", len(z))
    style = {"histtype": "step", "linewidth": 2, "color": plots.SURVEY_COLOUR[survey]}
    ax.hist(pit, np.linspace(0, 1, 11), label=label, **style)
ax.axhline(len(z) / 10, color="black", linestyle="--")
ax.set(xlabel="PIT", ylabel="galaxies", ylim=(0, None))
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# The temperature is fitted on galaxies that neither the training nor this figure has seen. It is one
# number for all galaxies, so it can make densities wider or narrower, but it cannot mend an estimator
# that is too sure about red galaxies and not sure enough about blue ones. A network that has been
# trained for long on few galaxies learns them by heart: its densities become too narrow, and $T$ rises
# above one. Watch it when you change the number of steps.
#
# ## What it has to beat
#
# A network on images is worth its trouble only if it knows more than the few numbers that everybody
# measures on an image anyway.
#
# Colours within a fifth of the stamp, or the flux of the brightest pixel in each band, given to twenty
# nearest neighbours or to gradient boosting. The last row knows no image at all and always guesses the
# median redshift.

# %%
rows = {}
for survey, side in sides.items():
    train, test = (getattr(samples[split], side) for split in ("train", "test"))
    limit, known = redshift.OUTLIER[survey], samples["train"].redshift
    for kind in ("mean", "median", "mode"):
        found = redshift.estimate(densities[survey], grid, kind)
        rows[survey, f"network, {kind}"] = redshift.scores(found, z, limit)
    for name, peaks in (("colours", False), ("peaks", True)):
        features = (redshift.colours(images, peaks=peaks) for images in (train, test))
        found = redshift.baselines(next(features), known, next(features), seed)
        for method, values in found.items():
            rows[survey, f"{name}, {method}"] = redshift.scores(values, z, limit)
    rows[survey, "guess"] = redshift.scores(np.full(len(z), np.median(known)), z, limit)
table = pd.DataFrame(rows).T
table.round(4)

# %% tags=["hide-input"]
for survey in sides:
    name = survey.lower()
    score = table.loc[survey]["sigma_mad"]
    glue(f"redshift_{name}_network", float(score["network, median"]), display=False)
    glue(f"redshift_{name}_colours", float(score["colours, boosting"]), display=False)
    glue(f"redshift_{name}_peaks", float(score["peaks, boosting"]), display=False)
    glue(f"redshift_{name}_guess", float(score["guess"]), display=False)
    crps = redshift.crps(densities[survey], z, grid).mean()
    glue(f"redshift_{name}_crps", float(crps), display=False)
    glue(f"redshift_{name}_seconds", float(seconds[survey]), display=False)
glue("redshift_n", len(z), display=False)

# %% tags=["hide-input"]
made = manifest.make(
    store.table("redshift_estimator"),
    lambda new: table.rename_axis(["survey", "estimate"]).to_csv(new),
    params=params,
    modules=["galtools.redshift"],
    inputs=[
        files["test"],
        *(store.model("redshift", s, seed) / "weights.safetensors" for s in sides),
    ],
    seed=seed,
)

# %% [markdown]
# ## What we found
#
# On {glue:text}`redshift_n` test galaxies the scatter $\sigma_\mathrm{MAD}$ is
#
# | | network | colours, boosting | peaks, boosting | guess |
# |---|---|---|---|---|
# | SDSS | {glue:text}`redshift_sdss_network:.4f` | {glue:text}`redshift_sdss_colours:.4f` | {glue:text}`redshift_sdss_peaks:.4f` | {glue:text}`redshift_sdss_guess:.4f` |
# | CFHTLS | {glue:text}`redshift_cfhtls_network:.4f` | {glue:text}`redshift_cfhtls_colours:.4f` | {glue:text}`redshift_cfhtls_peaks:.4f` | {glue:text}`redshift_cfhtls_guess:.4f` |
#
# with a mean CRPS of {glue:text}`redshift_sdss_crps:.4f` and {glue:text}`redshift_cfhtls_crps:.4f`.
# Training took {glue:text}`redshift_sdss_seconds:.0f` and {glue:text}`redshift_cfhtls_seconds:.0f`
# seconds. Where boosting on colours wins, the network has not learnt all that five fluxes hold. It must
# first find out what a colour is, while the baselines are told; whether more galaxies, more steps or
# another network would close the gap is not answered by this run.
#
# ## Exercises
#
# 1. Set `-p members 1`. How much does averaging two networks bring, and does $T$ move towards one?
#
# ```{dropdown} Solution
# The ensemble is a little better and, being a mixture, wider: its temperature is lower than that of
# a single network.
# ```
#
# 2. Shuffle the bands of the test images among galaxies of similar brightness. What is left of the
#    redshift information?
#
# ```{dropdown} Solution
# What size and shape tell, which is little: the scatter comes close to that of the guess.
# ```
#
# **What's next:** what translation does to all this.
