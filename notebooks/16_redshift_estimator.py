# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Redshift information in galaxy images
#
# How well can the distance of a galaxy be read from its picture alone, and from what in it?
#
# Expansion reddens light and moves spectral features through the bands, so colours carry the
# redshift. Size, brightness and shape carry some more. An estimator that measures all of it is our
# instrument for the chapters to come: if a translated image has lost what tells the redshift, this
# is where it shows.
#
# **What you will learn**
#
# - how a network can answer with a whole density $p(z)$, and how such an answer is judged;
# - how a temperature calibrates densities that are too sure of themselves;
# - how far colours and peak fluxes get without any network.
#
# **Prerequisites:** the chapter on [the two surveys](01_two_surveys.py). About 20 minutes.

# %% tags=["hide-input"]
from dataclasses import asdict
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from myst_nb import glue

from companion import panels, paths, plotting
from galtools import artefacts, data, redshift
from galtools.data import photometry
from galtools.fidelity import intervals, peaks
from galtools.fidelity.intervals import Verdict
from galtools.surveys import BANDS
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
members: int = 3  # networks in the ensemble of each survey
steps: int = 2500  # training steps of each
batch: int = 64  # galaxies in a step
rate: float = 0.003  # highest learning rate
hidden: int = 128  # neurons of the dense layers
width: int = 0  # channels of the convolutions beside the measuring layer; 0: none
bins: int = 180  # bins of the density between redshift 0 and z_max
z_max: float = 0.4  # largest redshift the density can hold

# %% [markdown]
# ## A density, and how to judge it
#
# The range from zero to $z =$ {glue:text}`redshift_z_max` is cut into bins, and the network gives a
# probability to each, like any network that sorts pictures into classes. Its answer is judged as a *density*.
# With $F$ its cumulative function and $H$ the step at the true redshift,
#
# $$ \mathrm{CRPS} = \int \big(F(z') - H(z' - z)\big)^2\,\mathrm{d}z' $$
#
# is small only for a density that is both narrow and in the right place {cite}`gneiting2007`. Estimates by one number
# are judged by $\delta = (z_\mathrm{est} - z)/(1 + z)$: its mean (bias), its scatter
# $\sigma_\mathrm{MAD}$ and the share of outliers, beyond {glue:text}`redshift_sdss_outlier` for SDSS and
# {glue:text}`redshift_cfhtls_outlier` for CFHTLS, as is usual for the two surveys.

# %% mystnb={"figure": {"caption": "What the CRPS integrates: the cumulative function of a density and the step at the true redshift. The score grows with the shaded area.", "name": "fig-redshift-crps"}, "image": {"alt": "A rising curve, a step, and the shaded area between them."}} tags=["hide-input"]
z_line = np.linspace(0, z_max, 400)
density = np.exp(-((z_line - 0.12) ** 2) / 2 / 0.02**2)
steps_up = np.cumsum(density / density.sum())
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.5))
ax.plot(z_line, steps_up, label="F, cumulative density")
ax.step([0, 0.15, 0.15, z_max], [0, 0, 1, 1], color="black", label="H, truth")
ax.fill_between(z_line, steps_up, z_line > 0.15, alpha=0.2)
ax.set(xlabel="redshift", ylabel="cumulative", xlim=(0, 0.3))
ax.legend()
plt.show()

# %% [markdown]
# ## A network that begins with measuring
#
# The first layers of a plain network would have to find out by themselves what a colour is. That
# takes many galaxies: with the few thousand at hand such a network loses against anybody with a
# table of five fluxes. So our first layer is told. It *measures*, by sums of pixels with fixed
# weights:
#
# - the **flux**: magnitudes and colours in circles of 2, 4 and 7 arcsec, and under the galaxy's
#   own smoothed profile $w$. With $\sum w^2 = 1$, the flux $\sum w I$ has the noise of a single
#   pixel, and all bands are weighted alike;
# - the **peak**: the $3 \times 3$ pixels at the brightest spot, in each band;
# - the **shape** in the middle band: size, ellipticity, concentration and asymmetry.
#
# Fluxes enter as asinh magnitudes {cite}`lupton1999`, which do not mind a negative flux. All
# these numbers are the same in all eight orientations of an image, so a galaxy and its mirror
# image get one answer:

# %%
store = paths.Results(results, profile)
splits = ("train", "valid", "test")
files = {split: paths.need(store.data(split), "01_two_surveys") for split in splits}
samples = {split: data.load(file) for split, file in files.items()}
layer = redshift.PhotometryLayer()
image = torch.as_tensor(samples["test"].target[:1])
values = torch.cat([layer(redshift.orient(image, *way)) for way in redshift.ORIENTATIONS])
print(f"{layer.size} numbers; largest change by turning: {float(values.std(dim=0).max()):.1e}")

# %% [markdown]
# Two dense layers turn them into the logarithms of the bins' probabilities. Set `width` to have convolutions on the
# stretched image join in, for what no list of measurements holds; each batch is then turned into
# one of the eight orientations, and when a galaxy is judged, all eight are averaged. A network of
# convolutions alone, without any measurement, is the second judge of the chapter on
# [redshift](24_redshift.py).
#
# ## Training one ensemble for each survey
#
# The loss is the cross-entropy of the bin that holds the true redshift. Neighbouring bins are
# alike, which the network cannot know; so the truth is handed to it blurred by three bins. Networks
# that differ only in their seed are averaged, and the validation galaxies then fix one temperature
# $T$ {cite}`guo2017`: densities become $p^{1/T}$, wider for $T > 1$.

# %%
grid = redshift.Grid(bins, z_max)
sides = {"SDSS": "source", "CFHTLS": "target"}
settings = Settings(steps=steps, batch=batch, rate=rate, weight_decay=1e-3, checks=2, seed=seed)


def train_ensemble(path, side):
    """Train all members on one survey, calibrate them, write them to one file."""
    train, valid = samples["train"], samples["valid"]
    noise = np.median(train.noise[:, list(sides.values()).index(side)], axis=0)
    learn, check = ((getattr(s, side), s.redshift) for s in (train, valid))
    recipe = {"hidden": hidden, "width": width, "grid": grid}
    redshift.train_ensemble(*learn, noise, *check, settings, members, **recipe).save(path)


# %%
params = asdict(settings) | {"members": members, "hidden": hidden, "width": width}
params |= {"grid": [bins, z_max]}
trained, densities, seconds = {}, {}, {}
for survey, side in sides.items():
    path = store.model("redshift", survey, seed) / "weights.safetensors"
    made = artefacts.make(
        path,
        lambda new, side=side: train_ensemble(new, side),
        params={**params, "side": side},
        modules=["galtools.redshift"],
        inputs=[files["train"], files["valid"]],
        seed=seed,
    )
    trained[survey], seconds[survey] = redshift.Ensemble.load(path), made["seconds"]
    densities[survey] = trained[survey].predict(getattr(samples["test"], side))

# %% [markdown]
# ## Estimates against the truth

# %% mystnb={"figure": {"caption": "Estimated (median of the density) against true redshift of the test galaxies, for both surveys: points, and shades where the densest 30, 60 and 90 % of them lie. The lines mark the truth and the limit beyond which an estimate counts as an outlier.", "name": "fig-redshift-scatter"}, "image": {"alt": "Two scatter plots along the diagonal, shaded where the points are densest."}} tags=["hide-input"]
z = samples["test"].redshift
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.2), sharey=True)
line = np.linspace(0, z_max, 2)
for ax, (survey, density) in zip(axes, densities.items(), strict=True):
    found, limit = redshift.point_estimate(density, grid, "median"), redshift.OUTLIER[survey]
    if np.ptp(found) > 0:
        style = {"fill": True, "levels": [0.1, 0.4, 0.7, 1], "cut": 0}
        sns.kdeplot(x=z, y=found, color=plotting.SURVEY_COLOUR[survey], ax=ax, **style)
    sns.scatterplot(x=z, y=found, s=6, linewidth=0, color="0.2", alpha=0.5, ax=ax)
    ax.plot(line, line, color="black", linewidth=1)
    for sign in (-1, 1):
        ax.plot(line, line + sign * limit * (1 + line), "--", color="black", linewidth=0.8)
    ax.set(xlim=(0, 0.32), ylim=(0, 0.32), xlabel="true redshift")
    ax.set_title(plotting.with_n(survey, len(z)))
axes[0].set_ylabel("estimated redshift")
plt.show()

# %% [markdown]
# Points along the diagonal are good estimates. Look at the ends: near redshift zero an estimator
# that is unsure pulls its answers up, and at the far end down, towards where most galaxies are.
# This is not a fault but what a sensible guess does with weak evidence. It is one more reason to
# ask for the whole density, which shows how weak the evidence was.
#
# ## Is the density to be trusted?
#
# If it is, the truth falls anywhere in it with the probability it says: the values
# $F(z_\mathrm{true})$ (PIT) are spread evenly. A hill in the middle means densities that are too
# wide, piles at the ends too narrow. In this run the central 68 % of the densities hold
# {glue:text}`redshift_sdss_covered:.0f` per cent of the true redshifts for SDSS and
# {glue:text}`redshift_cfhtls_covered:.0f` for CFHTLS, with an error by chance of
# {glue:text}`redshift_covered_error:.0f`: more than 68 says that they are wider than they need be, less
# that they are too narrow.

# %% mystnb={"figure": {"caption": "PIT of the test galaxies for both surveys, with the fitted temperature T. Flat (dashed) is calibrated; bars scatter by about the root of their height.", "name": "fig-redshift-pit"}, "image": {"alt": "Histograms of the PIT for two surveys beside a flat dashed line."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
for survey, density in densities.items():
    pit = redshift.cumulative(density, z, grid)
    label = f"{survey}, T = {trained[survey].temperature:.2f}"
    style = {"histtype": "step", "linewidth": 2, "color": plotting.SURVEY_COLOUR[survey]}
    ax.hist(pit, np.linspace(0, 1, 11), label=label, **style)
    covered = float(100 * np.mean(abs(pit - 0.5) < 0.34))
    glue(f"redshift_{survey.lower()}_covered", covered, display=False)
glue("redshift_covered_error", 100 * float(np.sqrt(0.68 * 0.32 / len(z))), display=False)
ax.axhline(len(z) / 10, color="black", linestyle="--")
ax.set(xlabel="PIT", ylabel="galaxies", ylim=(0, None), title=f"n = {len(z):,}")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# The temperature is fitted on galaxies that neither the training nor this figure has seen. It is
# one number for all galaxies, so it can make densities wider or narrower, but it cannot mend an
# estimator that is too sure about red galaxies and not sure enough about blue ones. A network that
# has been trained for long on few galaxies learns them by heart: its densities become too narrow,
# and $T$ rises above one. Watch it when you change the number of steps.
#
# ## What it has to beat
#
# A network on images is worth its trouble only if it knows more than the few numbers that everybody
# measures on an image anyway.
#
# Three sets of them: *colours* within a fifth of the stamp, the flux of the brightest pixel in each band
# (*peaks*), and *all measured*, every number of our first layer, where what is left between that row
# and the network is not what they see but how they learn. Each set is given to twenty nearest
# neighbours (kNN) and to gradient boosting. *True fluxes* are no competitor but a mark to look at: the
# magnitudes that the simulation itself gave to the galaxies, without noise, seeing or error of
# calibration. The last row knows no image at all and always guesses the median redshift.


# %%
def r_and_colours(magnitudes):
    """The r magnitude and the colours of neighbouring bands, (n, bands)."""
    return np.column_stack([magnitudes[:, 2], np.diff(magnitudes, axis=1)])


def features_of(sample, survey):
    """Sets of features, from the fewest to all that the network measures, and the truth."""
    images = getattr(sample, sides[survey])
    fluxes = {
        "colours": photometry.aperture_flux(images, 1 / images.shape[-1], radius=0.2),
        "peaks": images.max(axis=(2, 3)),
    }
    found = {k: r_and_colours(photometry.asinh_magnitude(f, 0.1)) for k, f in fluxes.items()}
    found["all measured"] = trained[survey].extract_features(images).photometry.cpu().numpy()
    names = [f"{sides[survey]}_{band}" for band in BANDS]
    if set(names) <= set(sample.catalogue.colnames):  # not known of real galaxies
        true = np.column_stack([sample.catalogue[name] for name in names])
        found["true fluxes"] = r_and_colours(true)
    return found


# %%
KINDS = ("median", "mean", "mode")  # what one may take from a density


def guesses(survey):
    """Redshifts of the test galaxies by every estimator, from the images of one survey."""
    known, density = samples["train"].redshift, densities[survey]
    found = {f"network, {k}": redshift.point_estimate(density, grid, k) for k in KINDS}
    train, test = (features_of(samples[split], survey) for split in ("train", "test"))
    for name, (label, kind) in product(train, {"kNN": "knn", "boosting": "boosting"}.items()):
        regressor = peaks.redshift_regressor(kind, seed).fit(train[name], known)
        found[f"{name}, {label}"] = regressor.predict(test[name])
    return found | {"guess": np.full(len(z), np.median(known))}


# %% mystnb={"figure": {"caption": "Scatter of the estimated redshifts of the test galaxies by the network and by what it has to beat, from the images of either survey, with 95 % intervals over galaxies.", "name": "fig-redshift-rivals"}, "image": {"alt": "Two panels of points with intervals, one line per estimator; the network is among the leftmost, the guess far to the right."}} tags=["hide-input"]
errors = {
    survey: {name: (found - z) / (1 + z) for name, found in guesses(survey).items()}
    for survey in sides
}
shown = [k for k in errors["SDSS"] if k not in ("network, mean", "network, mode")]
strips = {
    f"{survey}: $\\sigma_\\mathrm{{MAD}}$": {
        name: intervals.bootstrap(intervals.robust_scatter, dz[name]) for name in shown
    }
    for survey, dz in errors.items()
}
panels.estimate_panels(strips)
plt.show()

# %% [markdown]
# Bias and outliers of the network, by the estimate that one takes from its density:

# %% tags=["hide-input"]
rows = {}
for survey, dz in errors.items():
    for kind in KINDS:
        delta = dz[f"network, {kind}"]
        far = np.abs(delta) > redshift.OUTLIER[survey]
        rows[f"{survey}, {kind}"] = {
            "bias [10⁻³]": intervals.bootstrap(intervals.mean, 1e3 * delta),
            "σ_MAD": intervals.bootstrap(intervals.robust_scatter, delta),
            "outliers": intervals.proportion(far),
        }
pd.DataFrame(rows).T.map(str)

# %% tags=["remove-cell"]
table = pd.DataFrame(
    {
        (survey, name): redshift.point_metrics(z + dz * (1 + z), z, redshift.OUTLIER[survey])
        for survey, by_name in errors.items()
        for name, dz in by_name.items()
    }
).T

# %% tags=["remove-cell"]
outcome = {
    Verdict.SUPPORTED: "the network is better",
    Verdict.CONTRADICTED: "the network is worse",
    Verdict.INCONCLUSIVE: "which of them is better is inconclusive",
}
for survey, dz in errors.items():
    name, score = survey.lower(), table.loc[survey]["sigma_mad"]
    rivals = [k for k in dz if "network" not in k and "true fluxes" not in k]
    best = score[rivals].idxmin()
    gain = intervals.paired_difference(intervals.robust_scatter, dz[best], dz["network, median"])
    glue(f"redshift_{name}_rival", best, display=False)
    glue(f"redshift_{name}_gain", str(gain), display=False)
    glue(f"redshift_{name}_told", outcome[intervals.verdict(gain)], display=False)
    for key, row in {"network": "network, median", "true": "true fluxes, boosting"}.items():
        here = intervals.bootstrap(intervals.robust_scatter, dz[row]) if row in dz else "–"
        glue(f"redshift_{name}_{key}", str(here), display=False)

# %% tags=["remove-cell"]
for survey in sides:
    name, crps = survey.lower(), redshift.crps(densities[survey], z, grid)
    glue(f"redshift_{name}_crps", str(intervals.bootstrap(intervals.mean, crps)), display=False)
    glue(f"redshift_{name}_seconds", float(seconds[survey]), display=False)
    glue(f"redshift_{name}_outlier", redshift.OUTLIER[survey], display=False)
glue("redshift_sdss_guess", float(table.loc["SDSS", "guess"]["sigma_mad"]), display=False)
glue("redshift_n", len(z), display=False)
glue("redshift_z_max", z_max, display=False)

# %% tags=["remove-cell"]
made = artefacts.make(
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
# On {glue:text}`redshift_n` test galaxies (in brackets, intervals over them) the network's
# scatter $\sigma_\mathrm{MAD}$ is {glue:text}`redshift_sdss_network` from images of SDSS and
# {glue:text}`redshift_cfhtls_network` from those of CFHTLS, where a guess scatters by
# {glue:text}`redshift_sdss_guess:.3f`; the mean CRPS is {glue:text}`redshift_sdss_crps` and
# {glue:text}`redshift_cfhtls_crps`. Training took {glue:text}`redshift_sdss_seconds:.0f` and
# {glue:text}`redshift_cfhtls_seconds:.0f` seconds.
#
# Of the classic estimators the best on SDSS images is *{glue:text}`redshift_sdss_rival`*, whose scatter
# is larger by {glue:text}`redshift_sdss_gain`: {glue:text}`redshift_sdss_told`. On those of CFHTLS it is
# *{glue:text}`redshift_cfhtls_rival`*, larger by {glue:text}`redshift_cfhtls_gain`:
# {glue:text}`redshift_cfhtls_told`. Boosting on *all measured* has the same numbers as the network, but it
# cuts the space of colours into boxes, where the dense layers draw smooth surfaces, and redshift is a
# smooth function of colour.
#
# With true fluxes boosting still scatters by {glue:text}`redshift_sdss_true` and
# {glue:text}`redshift_cfhtls_true`. That is no limit: it holds galaxies of one colour that differ in
# redshift, and the error of trees that learnt from few galaxies. What the limit is, [another
# chapter](33_the_limit.py) asks.
#
# ## Exercises
#
# 1. Set `-p members 1`. How much does averaging the networks bring, and does $T$ change?
#
# ```{dropdown} Solution
# The ensemble is a little better and, being a mixture, wider: its temperature is lower than that of
# a single network. How much lower is for the run to say.
# ```
#
# 2. Shuffle the bands of the test images among galaxies of similar brightness. What is left of the
#    redshift information?
#
# ````{dropdown} Solution
# ```python
# rng, images = np.random.default_rng(0), samples["test"].source.copy()
# order = np.argsort(images[:, 2].sum(axis=(1, 2)))
# for group in np.array_split(order, max(1, len(order) // 20)):
#     for band in range(5):
#         images[group, band] = images[rng.permutation(group), band]
# ensemble = redshift.Ensemble.load(store.model("redshift", "SDSS", seed) / "weights.safetensors")
# print(redshift.scores(redshift.estimate(ensemble.predict(images), grid, "median"), z))
# ```
#
# Less than nothing: in our trial the estimates scattered half as much again as a guess. The network
# takes the false colours at their word, as it has never seen any. What an image holds, and what a network
# finds in it that learnt from others, are two things; remember it when translations are judged.
# ````
#
# **What's next:** three levels of fidelity, the first of them [pixels](21_pixels.py).
