# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # How much does the source determine?
#
# One galaxy gives many images, and one image could come from many galaxies. The paper suspects that
# much of what translators lose is lost by this many-to-many mapping, whatever the model. How much
# does nature itself leave open between an SDSS image and the CFHTLS image of the same galaxy?
#
# **What you will learn**
#
# - how the law of total variance takes a spread apart: noise, look-alikes, and what SDSS tells;
# - two ways to find galaxies that look alike, and why both give upper limits.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on
# [the redshift estimator](16_redshift_estimator.py). About 15 minutes.

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
# ## Three reasons to differ
#
# Measure a number $T$ on CFHTLS images: a colour, a peak, an estimated redshift. It differs from image
# to image. With $S$ the SDSS image of the same galaxy, the *law of total variance* names three reasons,
#
# $$ \mathrm{Var}\,T = \underbrace{\mathrm{E\,Var}(T \mid \mathrm{galaxy})}_{\text{noise}}
#  + \underbrace{\mathrm{E\,Var}\big(\mathrm{E}[T \mid \mathrm{galaxy}] \,\big|\, S\big)}_{\text{degeneracy}}
#  + \underbrace{\mathrm{Var}\,\mathrm{E}[T \mid S]}_{\text{explained by SDSS}} . $$
#
# *Noise* is what another CFHTLS image of the same galaxy would change: photons, seeing, the place
# between the pixels, the zero point. *Degeneracy* is that of look-alikes: different galaxies that SDSS
# cannot distinguish and CFHTLS can. No translator can predict these two. The rest is *explained* by SDSS.
#
# Real galaxies have one image per survey, which is why this stayed a suspicion. A simulation looks as
# often as one likes: here every sample holds galaxies seen once, and some seen again and again by
# both surveys. Noise of the two surveys is independent, so that any SDSS image of a galaxy can be
# combined with any CFHTLS image of it: $K \times K$ pairs.

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
# Only numbers are kept, nine of each CFHTLS image: total light within five arcsec, the brightest
# pixel in $r$ and in $u$, three colours, a concentration (light within two arcsec over that within
# four), an asymmetry, and the redshift that the network of CFHTLS reads from the image; the true
# redshift stands beside them. A full fit of the morphology would take half a second a galaxy and band,
# thousands of times. Two *seeds* are two samples without a galaxy in common, read by two networks that
# were trained apart.
#
# ## Look-alikes are neighbours
#
# What does an SDSS image let one expect of $T$? Look at other galaxies whose SDSS images are alike.
# *Alike* is what a network makes of it: the last hidden layer of the redshift estimator of SDSS, in its
# few leading directions. Distances there are measured in units of the noise, which the repeated looks
# show: two images of one galaxy are $\sqrt{2d}$ apart (rms) in $d$ directions. A galaxy is never its own
# look-alike, whichever of its images is asked.
#
# A fit linear in place through the neighbours gives weights $w$ of sum one, and with them
# $\hat T = \sum w T$. From a fit of finitely many neighbours $T$ misses by more than its spread, and,
# where $T$ is linear over the neighbourhood, exactly so by
#
# $$ \mathrm{E}\,(T - \hat T)^2 = \mathrm{Var}(T \mid S)\,\big(1 + \textstyle\sum w^2\big) , $$
#
# so that the spread follows without a bias. A network that learnt redshifts need not look at
# everything. So a second kind of place is tried: the light in three rings in five bands.

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
# Each component as a fraction of the variance, with its interval over galaxies, and the standard
# deviation of the quantity:

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

# %% mystnb={"figure": {"caption": "A galaxy of middling brightness, a second observation of it, and three other galaxies that look alike to the network, as seen by both surveys.", "name": "fig-spread-stamps"}, "image": {"alt": "Two rows of five colour stamps: SDSS above, the sharper CFHTLS below."}} tags=["hide-input"]
first, magnitude = points["latent space", 0][0], samples[0]["r_magnitude"][0, :n_again]
chosen = int(np.argsort(magnitude)[n_again // 2])
alike, _ = degeneracy.nearest(first[[chosen]], first, np.array([chosen]), 3)
shown = [(chosen, 0), (chosen, 1), *((int(g), 0) for g in alike[0])]
seen = [
    simulate.pairs(1, 1000 * (seed + 1), galaxy, grid=grid, observation=number, limit=limit)
    for galaxy, number in shown
]
titles = ["a galaxy", "again", *["look-alike"] * 3]
sides = [np.concatenate([getattr(pair, side) for pair in seen]) for side in ("source", "target")]
plotting.stamps(sides, ["SDSS", "CFHTLS"], titles)
plt.show()

# %% [markdown]
# The first two columns differ by noise, the others by nature. What makes galaxies alike to a
# network that estimates redshifts is colour, brightness and concentration; which way a galaxy is
# turned, where its knots lie and what stands beside it, is all the same to it.

# %% mystnb={"figure": {"caption": "Noise and degeneracy as fractions of the variance of CFHTLS measurements, with 95 % intervals over galaxies. The rest is explained by SDSS. Round: seed 0; square: seed 1, and so on. Fractions too small for the axis, or not above zero, are left out; intervals may reach beyond it.", "name": "fig-spread-shares"}, "image": {"alt": "Ten lines, one for each quantity, with points for noise and for degeneracy in two spaces on a logarithmic axis of fractions of the variance. The table below holds the numbers."}} tags=["hide-input"]
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
# Both kinds of place give *upper limits*: no function of an image tells more than the image, so what
# looks alike in some of its numbers differs at least as much as what looks alike in all. Where a
# network for redshifts does not look, as at the total light, its look-alikes differ widely; the rings
# put that right. How near the neighbours are, in units of the distance between two images of one
# galaxy, is said at the end of the page: where they are farther, the linear fit has to bridge a gap.

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
# *Sigma* is the standard deviation in the quantity's own unit (magnitudes, fractions, redshift);
# *explained* stands for the space that leaves less open; all numbers are those of seed 0. A small share of the variance
# is not a small spread: a per cent of the one is a tenth of the other. For redshifts this matters,
# since the spread of a whole survey is many times the error of a good estimate.
#
# Two claims are tested for each quantity: that SDSS explains most of its variance, more than noise and
# degeneracy together; and that degenerate galaxies differ by more than the noise of CFHTLS.

# %%
MOST, MORE = "SDSS explains most of it", "degenerate galaxies differ by more than the noise"
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
# In samples of {glue:text}`spread_n` galaxies, SDSS tells most of what CFHTLS sees of: {glue:text}`spread_most`.
# It does not of: {glue:text}`spread_not_most`; inconclusive: {glue:text}`spread_open_most`.
# Look-alikes differ by more than the noise of CFHTLS in: {glue:text}`spread_more`; not in:
# {glue:text}`spread_not_more`; inconclusive: {glue:text}`spread_open_more`.
#
# Of the variance of the redshift that is read from CFHTLS images, the noise of CFHTLS makes, in one
# sample and the other, {glue:text}`spread_noise` per cent and galaxies that look alike at most
# {glue:text}`spread_estimate` per cent, which is a standard deviation of
# {glue:text}`spread_estimate_size:.4f` in redshift (first sample). Of the
# true redshift, look-alikes leave open at most {glue:text}`spread_truth` per cent
# ({glue:text}`spread_truth_size:.4f`). The noise no translator can foresee, however good it is. What
# look-alikes leave open is an upper limit: a perfect translator reads all of its source, and is off by
# this much at most. It would be the unavoidable error itself if the neighbours were as near as two
# images of one galaxy; in the latent space they are {glue:text}`spread_near_latent:.1f` times as far
# apart, in the rings {glue:text}`spread_near_rings:.1f` times.
#
# ## Exercises
#
# 1. Simulate more galaxies (`-p n_galaxies 4800`). Does the share of look-alikes in the latent space
#    fall?
#
# ```{dropdown} Solution
# It falls a little as neighbours come nearer, and stops falling once they are as near as two images of
# one galaxy.
# ```
#
# 2. Set `-p principal 4`, then `-p principal 24`. What do fewer directions of the latent space cost,
#    and why do more of them not always help?
#
# ```{dropdown} Solution
# Look-alikes in few directions differ in all others: the share rises. With many directions neighbours
# are far off, and the fit has to fix a plane with more slopes from the same number of galaxies.
# ```
#
# 3. How would an exact answer look? Write down the posterior over a library of noiseless galaxies, and
#    estimate how many of them carry it.
#
# ```{dropdown} Solution
# With Gaussian noise the weights are $w_i \propto e^{-\chi_i^2 / 2}$, and the effective number is
# $1 / \sum w^2$. SDSS measures bright galaxies at a signal to noise of hundreds in every band: among a
# thousand galaxies hardly one agrees with another in all five, and the effective number is about 1. A
# posterior needs samples placed where the likelihood is: that is what [the limit](33_the_limit.py) does.
# ```
#
# **What's next:** What an image leaves open of another image is one thing, what it leaves open of the
# redshift another: [the limit](33_the_limit.py).
