# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Redshift information in galaxy images
#
# On {glue:text}`redshift_n` test galaxies, a network estimates redshifts with a scatter $\sigma_\mathrm{MAD}$
# of {glue:text}`redshift_sdss_network` from SDSS images and {glue:text}`redshift_cfhtls_network` from CFHTLS
# images (brackets: 95 % intervals). Compared with the best baseline on the same images,
# {glue:text}`redshift_sdss_told` for SDSS; for CFHTLS, {glue:text}`redshift_cfhtls_told`.
#
# **What you will learn**
#
# - how a network predicts a density $p(z)$, and how such a density is scored;
# - how a temperature calibrates densities that are too narrow;
# - how well colours and peak fluxes predict the redshift without a network.
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
steps: int = 650  # training steps of each
batch: int = 256  # galaxies in a step
rate: float = 0.006  # highest learning rate
hidden: int = 128  # neurons of the dense layers
width: int = 0  # channels of the convolutions beside the measuring layer; 0: none
bins: int = 180  # bins of the density between redshift 0 and z_max
z_max: float = 0.4  # largest redshift the density can hold

# %% [markdown]
# ## Redshift densities and their scores
#
# The range from 0 to $z =$ {glue:text}`redshift_z_max` is divided into bins, and the network predicts a
# probability for each, as in classification. With the cumulative distribution $F$ of the density and the
# Heaviside step $H$,
#
# $$ \mathrm{CRPS} = \int \big(F(z') - H(z' - z)\big)^2\,\mathrm{d}z' $$
#
# is small only for a density that is narrow and correctly located {cite}`gneiting2007`.
#
# Point estimates $\hat z$ are scored by $\delta = (\hat z - z) / (1 + z)$: its mean (bias), its robust
# scatter $\sigma_\mathrm{MAD} = 1.4826 \, \mathrm{med}\,|\delta - \mathrm{med}\,\delta|$ and the fraction of
# outliers, beyond {glue:text}`redshift_sdss_outlier` for SDSS and {glue:text}`redshift_cfhtls_outlier` for
# CFHTLS, the usual limits of the two surveys.

# %% mystnb={"figure": {"caption": "The CRPS: cumulative distribution of a density and the step at the true redshift. The score integrates the square of their difference (shaded).", "name": "fig-redshift-crps"}, "image": {"alt": "A rising curve, a step, and the shaded area between them."}} tags=["hide-input"]
z_line = np.linspace(0, z_max, 400)
density = np.exp(-((z_line - 0.12) ** 2) / 2 / 0.02**2)
steps_up = np.cumsum(density / density.sum())
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.5))
ax.plot(z_line, steps_up, label="F, cumulative distribution")
ax.step([0, 0.15, 0.15, z_max], [0, 0, 1, 1], color="black", label="H, truth")
ax.fill_between(z_line, steps_up, z_line > 0.15, alpha=0.2)
ax.set(xlabel="redshift", ylabel="cumulative", xlim=(0, 0.3))
ax.legend()
plt.show()

# %% [markdown]
# ## Photometry layer and dense network
#
# The first layer is fixed: it measures sums of pixels with given weights, since a convolutional network needs
# many galaxies to learn what a colour is.
#
# - **Flux**: magnitudes and colours in circles of 2, 4 and 7 arcsec, and under the galaxy's own profile $w$,
#   the sum of its bands, each in units of its noise, smoothed. With $\sum w^2 = 1$, the flux $\sum w I$ has
#   the noise of a single pixel, and all bands have the same weights.
# - **Peak**: the mean of $3 \times 3$ pixels at the brightest spot, in each band.
# - **Shape** in the middle band: size, ellipticity, concentration and asymmetry.
#
# Fluxes $F$ of noise $\sigma_F$ enter as asinh magnitudes {cite}`lupton1999`, which stay finite for negative
# fluxes,
#
# $$ m = -\frac{2.5}{\ln 10} \, \mathrm{arsinh} \frac{F}{2 \sigma_F} . $$
#
# All features are invariant under the eight orientations of an image, and so is the prediction:

# %%
store = paths.Results(results, profile)
splits = ("train", "valid", "test")
files = {split: paths.need(store.data(split), "01_two_surveys") for split in splits}
samples = {split: data.load(file) for split, file in files.items()}
layer = redshift.PhotometryLayer()
image = torch.as_tensor(samples["test"].target[:1])
values = torch.cat([layer(redshift.orient(image, *turn)) for turn in redshift.ORIENTATIONS])
print(f"{layer.size} numbers; largest change by turning: {float(values.std(dim=0).max()):.1e}")

# %% [markdown]
# Two dense layers map the features to the logarithms of the bin probabilities. With `width` above 0,
# convolutions of the stretched image add features; predictions are averaged over all eight orientations.
#
# ## Ensemble training
#
# The loss is the cross-entropy of the bin $k$ that holds the true redshift. Because neighbouring bins are
# similar, the target is a Gaussian $q$ with a standard deviation of three bins,
#
# $$ L = -\sum_j q_{jk} \log p_j , \qquad q_{jk} \propto \exp\Big(-\frac{(j - k)^2}{2 \cdot 3^2}\Big) . $$
#
# The densities of $M$ networks that differ only in their seed are averaged, $p = \sum_m p_m / M$. Two steps,
# fitted on the validation galaxies, calibrate them. A temperature $T$ {cite}`guo2017` makes them $p^{1/T}$,
# normalised: wider for $T > 1$, narrower for $T < 1$. Then $p(z)\,h(F(z))$, with the cumulative function $F$,
# corrects their shape by the distribution $h$ of the PIT {cite}`bordoloi2010`, where
# $\ln h(u) = a P_2(2u - 1) + b P_4(2u - 1)$ with Legendre polynomials $P$.

# %%
grid = redshift.Grid(bins, z_max)
images_of = {"SDSS": "source", "CFHTLS": "target"}
settings = Settings(steps=steps, batch=batch, rate=rate, weight_decay=1e-3, checks=2, seed=seed)


def train_ensemble(path, side):
    """Train all members on one survey, calibrate them, write them to one file."""
    train, valid = samples["train"], samples["valid"]
    noise = np.median(train.noise[:, list(images_of.values()).index(side)], axis=0)
    learn, check = ((getattr(s, side), s.redshift) for s in (train, valid))
    recipe = {"hidden": hidden, "width": width, "grid": grid}
    redshift.train_ensemble(*learn, noise, *check, settings, members, **recipe).save(path)


# %% tags=["hide-input"]
params = asdict(settings) | {"members": members, "hidden": hidden, "width": width}
params |= {"grid": [bins, z_max]}
trained, densities, seconds = {}, {}, {}
for survey, side in images_of.items():
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
# ## Point estimates

# %% mystnb={"figure": {"caption": "Estimated (median of the density) against true redshift of the test galaxies, for both surveys: points, and shades for the densest 30, 60 and 90 % of them. The solid line is equality; beyond the dashed lines an estimate counts as an outlier.", "name": "fig-redshift-scatter"}, "image": {"alt": "Two scatter plots along the diagonal, shaded where the points are densest."}} tags=["hide-input"]
z = samples["test"].redshift
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.2), sharey=True)
line = np.linspace(0, z_max, 2)
for ax, (survey, density) in zip(axes, densities.items(), strict=True):
    estimates, limit = redshift.point_estimate(density, grid, "median"), redshift.OUTLIER[survey]
    if np.ptp(estimates) > 0:
        style = {"fill": True, "levels": [0.1, 0.4, 0.7, 1], "cut": 0}
        sns.kdeplot(x=z, y=estimates, color=plotting.SURVEY_COLOUR[survey], ax=ax, **style)
    sns.scatterplot(x=z, y=estimates, s=6, linewidth=0, color="0.2", alpha=0.5, ax=ax)
    ax.plot(line, line, color="black", linewidth=1)
    for sign in (-1, 1):
        ax.plot(line, line + sign * limit * (1 + line), "--", color="black", linewidth=0.8)
    ax.set(xlim=(0, 0.32), ylim=(0, 0.32), xlabel="true redshift")
    ax.set_title(plotting.with_n(survey, len(z)))
axes[0].set_ylabel("estimated redshift")
plt.show()

# %% [markdown]
# Estimates near the ends of the redshift range regress to the mean, as expected from uncertain data.
#
# ## Calibration
#
# If the densities are calibrated, the true redshift is below their quantile $u$ with probability $u$: the
# values $F(z_\mathrm{true})$ (PIT) are uniformly distributed. A dome-shaped histogram means densities that
# are too wide, a U-shaped one too narrow. The central 68 % intervals contain
# {glue:text}`redshift_sdss_covered:.0f` per cent of the true redshifts for SDSS and
# {glue:text}`redshift_cfhtls_covered:.0f` per cent for CFHTLS, with a sampling error of
# {glue:text}`redshift_covered_error:.0f`.

# %% mystnb={"figure": {"caption": "PIT of the test galaxies for both surveys, with the fitted temperature T. A flat histogram (dashed) is calibrated; the sampling error of a bar is about the root of its height.", "name": "fig-redshift-pit"}, "image": {"alt": "Histograms of the PIT for two surveys beside a flat dashed line."}} tags=["hide-input"]
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
# The calibration, fitted on the validation galaxies, is the same for all galaxies: it cannot correct an estimator
# that is overconfident for red galaxies and underconfident for blue ones.
#
# ## Baselines
#
# Three sets of features are given to twenty nearest neighbours (kNN) and to gradient boosting:
#
# - *colours* within a fifth of the stamp, with the r magnitude;
# - *peaks*, the fluxes of the brightest pixel in each band, as r magnitude and colours;
# - *all measured*, the features of our first layer. Here, the difference from the network is due to the
#   regression, not to the features.
#
# *True fluxes* are a reference, not a competitor: the magnitudes in the simulation's catalogue, without
# noise, seeing or calibration error. The last row, *guess*, is the median redshift of the training galaxies.


# %%
def r_and_colours(magnitudes):
    """The r magnitude and the colours of neighbouring bands, (n, bands)."""
    return np.column_stack([magnitudes[:, 2], np.diff(magnitudes, axis=1)])


def features_of(sample, survey):
    """Sets of features, from the fewest to all that the network measures, and the truth."""
    images = getattr(sample, images_of[survey])
    fluxes = {
        "colours": photometry.aperture_flux(images, 1 / images.shape[-1], radius=0.2),
        "peaks": images.max(axis=(2, 3)),
    }
    estimates = {k: r_and_colours(photometry.asinh_magnitude(f, 0.1)) for k, f in fluxes.items()}
    estimates["all measured"] = trained[survey].extract_features(images).photometry.cpu().numpy()
    names = [f"{images_of[survey]}_{band}" for band in BANDS]
    if set(names) <= set(sample.catalogue.colnames):  # not known of real galaxies
        true = np.column_stack([sample.catalogue[name] for name in names])
        estimates["true fluxes"] = r_and_colours(true)
    return estimates


# %%
KINDS = ("median", "mean", "mode")  # point estimates from a density


def guesses(survey):
    """Redshifts of the test galaxies by every estimator, from the images of one survey."""
    redshifts, density = samples["train"].redshift, densities[survey]
    estimates = {f"network, {k}": redshift.point_estimate(density, grid, k) for k in KINDS}
    train, test = (features_of(samples[split], survey) for split in ("train", "test"))
    for name, (label, kind) in product(train, {"kNN": "knn", "boosting": "boosting"}.items()):
        regressor = peaks.redshift_regressor(kind, seed).fit(train[name], redshifts)
        estimates[f"{name}, {label}"] = regressor.predict(test[name])
    return estimates | {"guess": np.full(len(z), np.median(redshifts))}


# %% mystnb={"figure": {"caption": "Scatter of the redshifts of the test galaxies from the images of either survey, for the network and the baselines, with 95 % intervals over galaxies.", "name": "fig-redshift-rivals"}, "image": {"alt": "Two panels of points with intervals, one line per estimator; the network is among the leftmost, the guess far to the right."}} tags=["leading", "hide-input"]
errors = {
    survey: {name: (estimates - z) / (1 + z) for name, estimates in guesses(survey).items()}
    for survey in images_of
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
# Bias and outliers of the network for the median, mean and mode of its densities:

# %% tags=["hide-input"]
rows = {}
for survey, dz in errors.items():
    for kind in KINDS:
        delta = dz[f"network, {kind}"]
        far = np.abs(delta) > redshift.OUTLIER[survey]
        rows[f"{survey}, {kind}"] = {
            "bias [10⁻³]": intervals.bootstrap(intervals.mean, 1e3 * delta),
            "σ (MAD)": intervals.bootstrap(intervals.robust_scatter, delta),
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
    Verdict.INCONCLUSIVE: "the comparison is inconclusive",
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
for survey in images_of:
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
        *(store.model("redshift", s, seed) / "weights.safetensors" for s in images_of),
    ],
    seed=seed,
)

# %% [markdown]
# ## What we found
#
# The scatter of the network compares with {glue:text}`redshift_sdss_guess:.3f` for a constant guess. The mean
# CRPS is {glue:text}`redshift_sdss_crps` for SDSS and {glue:text}`redshift_cfhtls_crps` for CFHTLS images.
# Training took {glue:text}`redshift_sdss_seconds:.0f` s and {glue:text}`redshift_cfhtls_seconds:.0f` s.
#
# On SDSS images, the best baseline is *{glue:text}`redshift_sdss_rival`*; its scatter minus that of the
# network is {glue:text}`redshift_sdss_gain`. On CFHTLS images it is *{glue:text}`redshift_cfhtls_rival`*,
# with {glue:text}`redshift_cfhtls_gain`.
#
# Given the true fluxes, boosting scatters by {glue:text}`redshift_sdss_true` (SDSS) and
# {glue:text}`redshift_cfhtls_true` (CFHTLS). The chapter on [the information bound](33_the_limit.py)
# computes what is possible.
#
# ## Exercises
#
# 1. Set `-p members 1`. How does the scatter change without averaging networks, and does $T$ change?
#
# ```{dropdown} Solution
# The ensemble is slightly better. As a mixture it has wider densities, so its temperature is lower than
# that of a single network.
# ```
#
# **What's next:** three levels of fidelity, the first of them [pixels](21_pixels.py).
