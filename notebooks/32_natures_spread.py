# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # How much does the source determine?
#
# In samples of {glue:text}`spread_n` galaxies, an SDSS image determines most of the variance of these
# CFHTLS measurements: {glue:text}`spread_most`. Galaxies that SDSS cannot distinguish contribute at most
# {glue:text}`spread_estimate` per cent (each sample) of the variance of the redshift estimated from
# CFHTLS images.
#
# One galaxy has many possible images, and one image is compatible with many galaxies. The paper suspects
# that this many-to-many mapping causes much of the loss in translation, whatever the model. This chapter
# measures what an SDSS image leaves undetermined in the CFHTLS image of the same galaxy.
#
# **What you will learn**
#
# - how the law of total variance splits the variance of a measurement into noise, degeneracy and a part
#   explained by SDSS;
# - two ways to find degenerate galaxies, and why both give upper limits.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on [the redshift
# estimator](16_redshift_estimator.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import (
    degeneracy,
    paths,
    plotting,
    repeat_observations,
    total_variance,
)
from companion import seed_agreement as seeds_agree
from companion.directions import simulation_options
from galtools import simulate
from galtools.fidelity import intervals

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
seeds: int = 2  # independent samples of galaxies, each with a network of its own
n_galaxies: int = 1000  # galaxies in each sample
n_again: int = 48  # how many of them are observed again and again
n_observations: int = 6  # observations of each of these, by both surveys
neighbours: int = 40  # nearest neighbours of each galaxy
principal: int = 16  # principal components of the latent space in which they are looked for
limit: float = 17.8  # faintest r magnitude
grid: str = "sdss"  # pixels of CFHTLS, as in the first chapter
n_boot: int = 300  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Law of total variance
#
# Let $T$ be a quantity measured in CFHTLS images, such as a colour, a peak flux or an estimated
# redshift, and $S$ the SDSS image of the same galaxy. The noise of the two images is independent. The
# *law of total variance* then gives
#
# $$ \mathrm{Var}\,T = \underbrace{\mathrm{E\,Var}(T \mid \mathrm{galaxy})}_{\text{noise}}
#  + \underbrace{\mathrm{E\,Var}\big(\mathrm{E}[T \mid \mathrm{galaxy}] \,\big|\, S\big)}_{\text{degeneracy}}
#  + \underbrace{\mathrm{Var}\,\mathrm{E}[T \mid S]}_{\text{explained by SDSS}} . $$
#
# *Noise* is the variance between CFHTLS images of the same galaxy: photon noise, seeing, subpixel
# position and zero point. *Degeneracy* is the variance between galaxies that are indistinguishable in
# SDSS and distinguishable in CFHTLS. No translator can predict either. The rest is *explained* by SDSS.
#
# Real galaxies have one image per survey, which cannot separate the terms. In the simulation, some
# galaxies of every sample are observed $K$ times by both surveys. Any SDSS image of a galaxy can be
# combined with any of its CFHTLS images, which gives $K \times K$ pairs.

# %%
store = paths.Results(results, profile)
train = paths.need(store.data("train"), "01_two_surveys")
weights = {
    survey: paths.need(store.weights("redshift", survey, seed), "16_redshift_estimator", train)
    for survey in ("SDSS", "CFHTLS")
}
simulation_options(
    paths.need(store.data("test"), "01_two_surveys"), grid
)  # refuses another than its own
degeneracy.check_neighbours(neighbours, n_galaxies, principal)
options = {"n": n_galaxies, "n_again": n_again, "observations": n_observations}
options |= {"limit": limit, "grid": grid}
files, samples = [store.data(f"spread{k}") for k in range(seeds)], {}
for k, file in enumerate(files):
    number = 1000 * (seed + 1) + k
    samples[k] = repeat_observations.make_cached(file, weights, k, seed=number, **options)
targets = {k: repeat_observations.targets(sample) for k, sample in samples.items()}

# %% [markdown]
# From each CFHTLS image we keep nine quantities: the total magnitude within 5 arcsec in $r$; the
# magnitude of the brightest pixel in $r$ and in $u$; three colours; a concentration (flux within 2
# arcsec over flux within 4 arcsec); an asymmetry; and the redshift estimated by the CFHTLS network. The
# true redshift is the tenth quantity.
#
# The *seeds* are samples without common galaxies, evaluated with independently trained networks.
#
# ## Degenerate galaxies as neighbours
#
# The expectation of $T$ given an SDSS image is estimated from other galaxies with similar SDSS images.
# Similarity is defined by the latent space of the SDSS redshift estimator, the leading principal
# components of its last hidden layer. Distances are in units of the noise, measured from repeat
# observations, so that two images of one galaxy have the rms distance $\sqrt{2d}$ in $d$ dimensions. A
# galaxy is never its own neighbour, in any of its observations.
#
# A local linear fit to the neighbours gives weights $w$ with $\sum w = 1$ and the prediction
# $\hat T = \sum w T$. Where $T$ is linear over the neighbourhood, its squared error is
#
# $$ \mathrm{E}\,(T - \hat T)^2 = \mathrm{Var}(T \mid S)\,\big(1 + \textstyle\sum w^2\big) , $$
#
# which yields an unbiased estimate of $\mathrm{Var}(T \mid S)$ from finitely many neighbours. A redshift
# network may ignore part of the image. We therefore repeat the analysis in a second space, the fluxes in
# three rings and five bands.

# %%
points = {}
for k, sample in samples.items():
    points["latent space", k] = degeneracy.noise_coordinates(sample["latent"], principal)
    points["fluxes in rings", k] = degeneracy.flux_coordinates(sample)
SPACES = ("latent space", "fluxes in rings")
terms, closeness = {}, {}
for (space, k), x in points.items():
    found = degeneracy.predict_by_neighbours(x, targets[k][0], neighbours)
    closeness[space, k] = found["closeness"]
    for i, quantity in enumerate(repeat_observations.QUANTITIES):
        terms[quantity, space, k] = total_variance.variance_terms(
            targets[k][..., i], found["mean"][..., i], found["sum_squared_weights"]
        )

# %% [markdown]
# Components as fractions of the variance, with intervals over galaxies:

# %%
lines = []
for (quantity, space, k), x in terms.items():
    components = total_variance.variance_components(x[:, np.isfinite(x).all(0)])
    for name in total_variance.COMPONENTS:
        e = intervals.bootstrap(total_variance.fraction_of(name), x, n_boot, seed)
        key = {"quantity": quantity, "method": space, "seed": k, "component": name}
        lines.append({**key, "sigma": np.sqrt(sum(components.values())), **vars(e)})
table = seeds_agree.keep(lines, store.table("natures_spread"), files)
fractions = table.set_index(["quantity", "method", "seed", "component"])

# %% mystnb={"figure": {"caption": "A galaxy of median brightness, a repeat observation of it, and its three nearest neighbours in the latent space, in both surveys.", "name": "fig-spread-stamps"}, "image": {"alt": "Two rows of five colour stamps: SDSS in the upper row, the sharper CFHTLS images in the lower."}} tags=["hide-input"]
first, magnitude = points["latent space", 0][0], samples[0]["r_magnitude"][0, :n_again]
chosen = int(np.argsort(magnitude)[n_again // 2])
alike, _ = degeneracy.nearest(first[[chosen]], first, np.array([chosen]), 3)
shown = [(chosen, 0), (chosen, 1), *((int(g), 0) for g in alike[0])]
seen = [
    simulate.pairs(1, 1000 * (seed + 1), galaxy, grid=grid, observation=number, limit=limit)
    for galaxy, number in shown
]
titles = ["galaxy", "repeat", *["neighbour"] * 3]
sides = [np.concatenate([getattr(pair, side) for pair in seen]) for side in ("source", "target")]
plotting.stamps(sides, ["SDSS", "CFHTLS"], titles)
plt.show()

# %% [markdown]
# The first two columns differ by noise only. The neighbours in the latent space should match in colour,
# brightness and concentration, but not in orientation, knots or companions.

# %% mystnb={"figure": {"caption": "Noise and degeneracy as fractions of the variance of CFHTLS measurements, with 95 % intervals over galaxies. The rest is explained by SDSS. Circles: seed 0; squares: seed 1, and so on. Fractions below the axis range, or not above 0, are omitted; intervals may extend beyond it.", "name": "fig-spread-shares"}, "image": {"alt": "Ten rows, one for each quantity, with points for noise and for degeneracy in two spaces on a logarithmic axis of fractions of the variance. The table below gives the numbers."}} tags=["hide-input"]
COLOURS = {("noise", SPACES[0]): "black", ("degeneracy", SPACES[0]): "#D55E00"}
COLOURS["degeneracy", SPACES[1]] = "#0072B2"
SMALLEST, quantities = 5e-5, list(repeat_observations.QUANTITIES)
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 7))
for i, ((component, space), colour) in enumerate(COLOURS.items()):
    for k in range(seeds):
        part = fractions.loc[[(q, space, k, component) for q in quantities]]
        part = part.assign(y=np.arange(len(part)) + 0.26 * (i - 1) + 0.12 * (k - (seeds - 1) / 2))
        part = part[part.value > SMALLEST]
        error = [part.value - part.low.clip(lower=SMALLEST / 10), part.high - part.value]
        style = {"color": colour, "fmt": plotting.SEED_MARKER[k % 4], "ms": 4.5, "capsize": 0}
        label = None if k else f"{component}, {space}"
        ax.errorbar(part.value, part.y, xerr=error, label=label, **style)
ax.set(
    xscale="log", xlim=(SMALLEST / 2, 1.5), yticks=range(len(quantities)), yticklabels=quantities
)
ax.set_xlabel(f"fraction of the variance (n = {table.n.max():,})")
ax.invert_yaxis()
fig.legend(loc="outside upper center")
plt.show()

# %% [markdown]
# Both spaces give *upper limits* on the degeneracy: a function of an image holds no more information
# than the image, so that galaxies with similar features differ in $T$ by at least as much as galaxies
# with the same image. The redshift network need not encode the total flux, for example, which the rings
# contain. The last section gives the distances of the neighbours in units of that between two images of
# one galaxy: the larger, the more the result depends on the linear fit.

# %% tags=["hide-input"]
best = {
    q: min(SPACES, key=lambda space, q=q: fractions.value[q, space, :, "degeneracy"].mean())
    for q in quantities
}


def percent(quantity, space, component, k=0):
    """Write a fraction of the variance with its interval, in per cent."""
    e = 100 * fractions.loc[quantity, space, k, component].astype(float).round(9)
    return intervals.format_interval(e.value, e.low, e.high)


cells = {
    q: [f"{fractions.sigma[q, SPACES[0], 0, 'noise']:.3f}", percent(q, SPACES[0], "noise")]
    + [percent(q, space, "degeneracy") for space in SPACES]
    + [percent(q, best[q], "explained")]
    for q in quantities
}
names = ["sigma", "noise, %", *(f"degeneracy, {space}, %" for space in SPACES), "explained, %"]
pd.DataFrame.from_dict(cells, orient="index", columns=names)

# %% [markdown]
# *Sigma* is the standard deviation in the unit of the quantity (magnitude, fraction or redshift).
# *Explained* refers to the space with the smaller degeneracy. All numbers are those of seed 0. A small
# fraction of the variance can be a large scatter: 1 % of the variance is 10 % of the standard deviation.
# This matters for redshifts, which vary over the survey by many times the error of a good estimate.
#
# Two claims are tested for each quantity: that SDSS explains more of the variance than noise and
# degeneracy together; and that degeneracy exceeds the noise of CFHTLS. Verdicts over all seeds are
# defined as for [the toy model](31_toy.py).

# %%
MOST, MORE = "SDSS explains most of the variance", "the degeneracy exceeds the CFHTLS noise"
STATISTICS = {
    MOST: total_variance.fraction_of("explained", "noise", "degeneracy"),
    MORE: total_variance.fraction_of("degeneracy", "noise"),
}
lines = []
for q, text, k in product(quantities, STATISTICS, range(seeds)):
    e = intervals.bootstrap(STATISTICS[text], terms[q, best[q], k], n_boot, seed)
    lines.append(seeds_agree.judge_seed(f"{q}: {text}", k, e))
judged = pd.DataFrame(lines)
seeds_agree.keep(judged, store.table("verdicts_spread"), [store.data("spread0")])
words = seeds_agree.consensus_by_claim(judged)
verdicts = pd.DataFrame(
    {text: {q: words[f"{q}: {text}"] for q in quantities} for text in STATISTICS}
)
verdicts


# %% tags=["remove-cell"]
def named(claim, word):
    """Quantities of which a claim has a verdict, as a list in words."""
    return "; ".join(q for q in quantities if verdicts.loc[q, claim] == word) or "none"


for name, claim in {"most": MOST, "more": MORE}.items():
    glue(f"spread_{name}", named(claim, "supported"), display=False)
    glue(f"spread_not_{name}", named(claim, "contradicted"), display=False)
    glue(f"spread_open_{name}", named(claim, "inconclusive"), display=False)
for name, quantity in {
    "estimate": repeat_observations.ESTIMATE,
    "truth": repeat_observations.TRUTH,
}.items():
    e = fractions.loc[quantity, best[quantity], 0, "degeneracy"]
    both = [percent(quantity, best[quantity], "degeneracy", k) for k in range(seeds)]
    glue(f"spread_{name}", " and ".join(both), display=False)
    glue(f"spread_{name}_size", float(e.sigma * max(e.value, 0) ** 0.5), display=False)

# %% tags=["remove-cell"]
both = [percent(repeat_observations.ESTIMATE, SPACES[0], "noise", k) for k in range(seeds)]
glue("spread_noise", " and ".join(both), display=False)
glue("spread_n", n_galaxies, display=False)
for space, name in zip(SPACES, ("latent", "rings"), strict=True):
    near = np.median(np.concatenate([closeness[space, k] for k in range(seeds)]))
    glue(f"spread_near_{name}", float(near), display=False)

# %% [markdown]
# ## What we found
#
# In samples of {glue:text}`spread_n` galaxies, SDSS explains most of the variance of:
# {glue:text}`spread_most`; not of: {glue:text}`spread_not_most`; *inconclusive*:
# {glue:text}`spread_open_most`. The degeneracy exceeds the noise of CFHTLS in: {glue:text}`spread_more`;
# not in: {glue:text}`spread_not_more`; *inconclusive*: {glue:text}`spread_open_more`.
#
# Of the variance of the redshift estimated from CFHTLS images, noise contributes
# {glue:text}`spread_noise` per cent (the samples in turn) and degeneracy at most
# {glue:text}`spread_estimate` per cent, a standard deviation of {glue:text}`spread_estimate_size:.4f` in
# redshift (first sample). For the true redshift the upper limit on the degeneracy is
# {glue:text}`spread_truth` per cent ({glue:text}`spread_truth_size:.4f`).
#
# No translator can predict the noise. The degeneracy is an upper limit on the further error of a perfect
# translator, which uses the whole source image. It would be the irreducible error if the neighbours were
# as close as two images of one galaxy; they are {glue:text}`spread_near_latent:.1f` times as far apart
# in the latent space and {glue:text}`spread_near_rings:.1f` times in the rings.
#
# ## Exercises
#
# 1. Set `-p principal 4`, then `-p principal 24`. What is the effect of fewer principal components, and
#    why do more of them not always help?
#
# ```{dropdown} Solution
# Neighbours in few components differ in all others, which raises the degeneracy. In many components they
# are distant, and the linear fit has more slopes to determine from as many galaxies.
# ```
#
# 2. How would an exact calculation proceed? Write down the posterior over a library of noiseless galaxies
#    and estimate its effective sample size.
#
# ```{dropdown} Solution
# With Gaussian noise the normalised weights are $w_i \propto e^{-\chi_i^2 / 2}$, and the effective sample
# size is $1 / \sum w^2$. At signal-to-noise ratios of hundreds in every band, hardly one of a thousand
# galaxies agrees with another in all five, and the effective sample size is about 1. Samples have to be
# placed where the likelihood is high, as in [the information bound](33_the_limit.py).
# ```
#
# **What's next:** [the information bound](33_the_limit.py): what an image determines of the redshift.
