# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Nature's spread: what an SDSS image leaves open
#
# One galaxy gives many images, and one image could come from many galaxies. The paper suspects that
# much of what translators lose is lost by this many-to-many mapping, whatever the model. How much
# does nature itself leave open between an SDSS image and the CFHTLS image of the same galaxy?
#
# **What you will learn**
#
# - how the law of total variance takes a spread apart: noise, look-alikes, and what SDSS tells;
# - two ways to find galaxies that look alike, and why they have to agree;
# - when to refuse an answer, although the formula gives one.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on
# [the redshift estimator](16_redshift_estimator.py). About 20 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import (
    degeneracy,
    panels,
    paths,
    plotting,
    posterior_library,
    repeat_observations,
    total_variance,
    verdict_tables,
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
n_posterior: int = 1000  # galaxies whose posterior is computed
neighbours: int = 40  # nearest neighbours of each galaxy
principal: int = 16  # principal components of the latent space in which they are looked for
worse: list[float] = [0.02, 0.05, 0.1]  # scatter of the zero points in three worse surveys
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
scatters = [0.0, *worse]
sizes = {"n": n_galaxies, "n_again": n_again, "observations": n_observations, "limit": limit}
files, samples = [store.data(f"spread{k}") for k in range(seeds)], {}
for k, file in enumerate(files):
    options = {**sizes, "seed": 1000 * (seed + 1) + k, "scatters": scatters}
    samples[k] = repeat_observations.make_cached(file, weights, k, grid, **options)
targets = {k: repeat_observations.targets(sample) for k, sample in samples.items()}

# %% [markdown]
# Only numbers are kept, nine of each CFHTLS image: total light within five arcsec, the brightest
# pixel in $r$ and in $u$, three colours, a concentration (light within two arcsec over that within
# four), an asymmetry, and the redshift that the network of CFHTLS reads from the image; the true
# redshift stands beside them. A full fit of the morphology would take half a second a galaxy and band,
# thousands of times. Two *seeds* are two samples without a galaxy in common, read by two networks that
# were trained apart.
#
# ## Look-alikes, first way: neighbours
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
    latent, rings = sample["latent"][:, :, 0], np.eye(degeneracy.RINGS)
    points["latent space", k] = degeneracy.noise_coordinates(latent, principal)
    points["fluxes in rings", k] = degeneracy.flux_coordinates(sample, 0.0, rings)
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
table = verdict_tables.keep(lines, store.table("natures_spread"), files)
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
about = [q for q in quantities if "peak" in q or "colour" in q or q == repeat_observations.ESTIMATE]
paper = {"mapping": [f"{q}: {MORE}" for q in about]}
verdict_tables.keep(judged, store.table("verdicts_spread"), [store.data("spread0")], paper)
words = seeds_agree.consensus_by_claim(judged)
verdicts = pd.DataFrame(
    {text: {q: words[f"{q}: {text}"] for q in quantities} for text in STATISTICS}
)
verdicts

# %% [markdown]
# ## Look-alikes, second way: likelihood
#
# Neighbours are near, but how near is near enough? The noise of a simulation is known, so there is an
# exact answer. Let every galaxy of the sample, drawn without noise, be an entry of a *library*. The
# probability that an entry, with noise added, gives the observed image is a Gaussian, and these
# probabilities, normalised, are the posterior: $w \propto p(\text{image} \mid \text{entry})$. Seeing
# and sub-pixel position are those of each entry, drawn as an observer finds them. The zero points, off by
# half a per cent, and the brightness of each entry are integrated over in closed form, so that an
# entry stands for all galaxies that differ from it by brightness alone (what stands beside it on the
# sky fades with it, which matters little within four arcsec).
#
# Exact, up to the size of the library. How many entries really carry a posterior is its *effective
# sample size* $1 / \sum w^2$. Below {glue:text}`spread_least:.0f` we refuse the answer. For a first
# look, {glue:text}`spread_first` galaxies of each sample are asked:

# %%
SUMS = {  # of the fluxes in three rings
    "5 total fluxes": degeneracy.TOTAL,
    "5 total fluxes, 5 cores": np.array([[1, 0], [0, 1], [0, 1]]),
    "3 rings in 5 bands": np.eye(degeneracy.RINGS),
}
lines, n_first = {}, min(n_posterior, 100)
for name, sums in SUMS.items():
    size = np.concatenate(
        [degeneracy.library_posterior(x, 0.0, n_first, limit, sums).size for x in samples.values()]
    )
    low, median, high = np.percentile(size, [10, 50, 90])
    enough = 100 * np.mean(size >= posterior_library.LEAST)
    lines[name] = [f"{median:.1f} ({low:.1f} to {high:.1f})", f"{enough:.0f}"]
columns = ["effective sample size: median (10th to 90th percentile)", "allowed, % of galaxies"]
pd.DataFrame.from_dict(lines, orient="index", columns=columns)

# %% [markdown]
# This is the trouble with bright galaxies. SDSS sees them at a signal to noise of hundreds, and
# in a library as small as ours hardly one agrees with another to half a per cent in all bands. Ask for
# more of the image than five fluxes, and each galaxy is alone. All 20,480 pixels at once would be
# hopeless.
#
# So the question is asked of *worse surveys*: the same images, but with zero points that are
# off by another two, five or ten per cent in each band. That is a survey like any other, its noise is
# known, and its posterior just as exact. In each of them three ways are compared on the same
# galaxies: the posterior given the five fluxes; neighbours among the same five fluxes; and neighbours
# in the latent space, into which the spoilt images are sent.

# %%
PREDICTED = [repeat_observations.ESTIMATE, repeat_observations.TRUTH, "colour g − r", "peak, r"]
sizes_of, terms_of, check_of = {}, {}, {}
for (k, sample), (step, scatter) in product(samples.items(), enumerate(scatters)):
    size, found, check = degeneracy.compare_methods(
        sample, step, scatter, PREDICTED, n_posterior, neighbours, principal, limit
    )
    sizes_of[scatter, k], terms_of[scatter, k], check_of[scatter, k] = size, found, check

# %% [markdown]
# A step is allowed if at least half of its galaxies have the effective sample size, in every seed;
# the comparison is made on these galaxies alone.

# %%
enough = {key: size >= posterior_library.LEAST for key, size in sizes_of.items()}
allowed = [s for s in scatters if all(np.mean(enough[s, k]) >= 0.5 for k in range(seeds))]
statistic = total_variance.fraction_of("degeneracy")
alike = {}
for (scatter, k), found in terms_of.items():
    if scatter in allowed:
        found |= {key: np.where(enough[scatter, k], x, np.nan) for key, x in found.items()}
    for method in degeneracy.METHODS:
        if method != "posterior" or scatter in allowed:
            x = found[repeat_observations.ESTIMATE, method]
            alike[scatter, method, k] = intervals.bootstrap(statistic, x, n_boot, seed)

# %% mystnb={"figure": {"caption": "Effective sample size of the posterior (median, 10th to 90th percentile of galaxies) for SDSS and for three worse surveys, by the further scatter of their zero points. Left of the dashed line an answer is refused. Round: seed 0; square: seed 1, and so on.", "name": "fig-spread-sizes"}, "image": {"alt": "A line for each survey with effective sample sizes, which rise as the survey gets worse, and a dashed limit."}} tags=["hide-input"]
NAMES = {scatter: f"+ {scatter:.0%}" if scatter else "SDSS" for scatter in scatters}
percentiles = {
    (NAMES[scatter], k): np.percentile(size, [50, 10, 90]).clip(1)
    for (scatter, k), size in sizes_of.items()
}
sizes_shown = {key: intervals.Estimate(*x, n_posterior) for key, x in percentiles.items()}
fig = panels.seed_strips(sizes_shown, {}, f"effective sample size (n = {n_posterior:,})")
fig.axes[0].axvline(posterior_library.LEAST, color="black", linestyle="--", linewidth=1)
fig.axes[0].set_xscale("log")
plt.show()

# %% mystnb={"figure": {"caption": "Degeneracy as a fraction of the variance of the redshift that CFHTLS estimates, by three methods, for SDSS and for the worse surveys, with 95 % intervals over galaxies. The posterior is shown where it is allowed.", "name": "fig-spread-ladder"}, "image": {"alt": "Lines for neighbours of equal fluxes and in the latent space in every survey, and for the posterior where it is allowed, with two points each."}} tags=["hide-input"]
colour = dict(zip(degeneracy.METHODS, ("#000000", "#009E73", "#D55E00"), strict=True))
shown = {(f"{NAMES[scatter]}: {method}", k): e for (scatter, method, k), e in alike.items()}
colours = {f"{NAMES[s]}: {method}": colour[method] for s, method, _ in alike}
counts = panels.sample_size(pd.DataFrame({"n": [e.n for e in alike.values()]}))
panels.seed_strips(shown, colours, f"degeneracy, fraction of the variance ({counts})")
plt.show()

# %% [markdown]
# Above, the library has to be silent, and the neighbours speak alone. Below, all three answer. Neighbours and posterior of the *same* five fluxes have to agree there, or one of them would be
# wrong; where the nearest neighbours are much farther off than the noise, at the left, neighbours
# must leave more open than there is. The latent space knows more than five fluxes (the core, the
# shape), and less, since it keeps only what helps its network; it need not agree, but should not be
# far.
#
# The posterior is also asked to check itself: its own variance against how far off the truth really
# was. *Agree* means that the whole interval of the difference lies within a twentieth of the variance,
# or, for the check, that of the ratio within a quarter of one. Numbers are the differences by seed 0;
# that they agree is *supported* or *contradicted* if every seed says so. Below zero in the lines of the latent
# space, it leaves less open than five fluxes do.


# %%
def check_ratio(x):
    """Variance of the posterior over its squared error, minus one."""
    return intervals.ratio_of_means(x) - 1


found, cells = [], {}
for scatter, quantity, k in product(allowed, PREDICTED, range(seeds)):
    of, about = terms_of[scatter, k], f"{quantity}, {NAMES[scatter]}"
    exact = of[quantity, "posterior"]
    tests = {}
    for method in degeneracy.METHODS[1:]:
        gap = intervals.paired_difference(statistic, of[quantity, method], exact, n_boot, seed)
        tests[method] = gap, 0.05
    ratio = intervals.bootstrap(check_ratio, check_of[scatter, k][quantity], n_boot, seed)
    for method, (e, bound) in (tests | {"itself": (ratio, 0.25)}).items():
        cells[f"{about}: {method}"] = about, method
        found.append(seeds_agree.judge_seed(f"{about}: {method}", k, e, (-bound, bound)))
agreed = pd.DataFrame(found, columns=["claim", "seed", "value", "low", "high", "n", "verdict"])

# %% tags=["hide-input"]
seeds_agree.cross_table(agreed, cells)

# %% tags=["remove-cell"]
verdict_tables.keep(agreed, store.table("natures_spread_agreement"), files)

# %% tags=["remove-cell"]
voices = seeds_agree.consensus_by_claim(agreed)
for name, method in {"same": "equal fluxes", "latent": "latent space", "self": "itself"}.items():
    of = {cells[claim][0]: word for claim, word in voices.items() if cells[claim][1] == method}
    glue(f"spread_{name}_agree", list(of.values()).count("supported"), display=False)
    apart = [about for about, word in of.items() if word == "contradicted"]
    glue(f"spread_{name}_apart", "; ".join(apart) or "nothing", display=False)
    glue(f"spread_{name}_all", len(of), display=False)
real = np.concatenate([sizes_of[0.0, k] for k in range(seeds)])
glue("spread_real", float(np.median(real)), display=False)
glue("spread_real_share", float(100 * np.mean(real >= posterior_library.LEAST)), display=False)
glue("spread_answered", "answered" if 0.0 in allowed else "refused", display=False)
glue("spread_least", posterior_library.LEAST, display=False)
listed = ", ".join(NAMES[scatter] for scatter in allowed) or "none of them"
glue("spread_allowed", listed, display=False)


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
glue("spread_first", n_first, display=False)
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
# The exact posterior given five fluxes of SDSS as it is rests on {glue:text}`spread_real:.0f` galaxies
# in the median, {glue:text}`spread_real_share:.0f` per cent of the galaxies reach the least size: it is
# {glue:text}`spread_answered`. Answered are: {glue:text}`spread_allowed`. There, neighbours of equal
# fluxes agree with it in {glue:text}`spread_same_agree` of {glue:text}`spread_same_all` comparisons for
# all seeds, and disagree on: {glue:text}`spread_same_apart`. Neighbours in the latent space agree in
# {glue:text}`spread_latent_agree` of as many, and disagree on: {glue:text}`spread_latent_apart`. Its own
# variance agrees with its misses in {glue:text}`spread_self_agree` and disagrees on:
# {glue:text}`spread_self_apart`. The others are inconclusive.
#
# ## Exercises
#
# 1. Make the library larger (`-p n_galaxies 4800`). Which steps are allowed now, and does the share of
#    look-alikes in the latent space fall?
#
# ```{dropdown} Solution
# The effective sample size grows in proportion to the library, so that steps to the left open up. The
# share of look-alikes falls a little as neighbours come nearer, and stops falling once they are as near
# as two images of one galaxy.
# ```
#
# 2. Set `-p principal 4`, then `-p principal 24`. What do fewer directions of the latent space cost,
#    and why do more of them not always help?
#
# ```{dropdown} Solution
# Look-alikes in few directions differ in all others: the share rises, most of all in worse surveys,
# where the leading directions are full of noise. With many directions neighbours are far off, and the
# fit has to fix a plane with more slopes from the same number of galaxies.
# ```
#
# 3. Look at fainter galaxies (`-p limit 19.0`), whose fluxes SDSS knows less well. Why does the library
#    speak sooner, although there are more kinds of galaxies?
#
# ```{dropdown} Solution
# Noise in the u and z bands grows to tens of per cent, so that many more galaxies are compatible with
# an image. The network has not seen galaxies as faint as these: its estimates, and so its latent space,
# are not to be trusted there.
# ```
#
# **What's next:** What an image leaves open of another image is one thing, what it leaves open of the
# redshift another: [the limit](33_the_limit.py).
