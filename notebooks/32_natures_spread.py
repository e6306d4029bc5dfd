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
    variance_panels,
)
from companion import seed_agreement as seeds_agree
from companion.directions import simulation_options
from galtools import artefacts, simulate
from galtools.fidelity import intervals

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
seeds: int = 2  # independent samples of galaxies, each with a network of its own
n_galaxies: int = 1000  # galaxies in each sample
n_again: int = 48  # how many of them are observed again and again
n_looks: int = 6  # observations of each of these, by both surveys
n_asked: int = 1000  # galaxies of which the library is asked what they are
neighbours: int = 40  # look-alikes of each galaxy
directions: int = 16  # of the latent space in which they are looked for
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
#  + \underbrace{\mathrm{E\,Var}\big(\mathrm{E}[T \mid \mathrm{galaxy}] \,\big|\, S\big)}_{\text{look-alikes}}
#  + \underbrace{\mathrm{Var}\,\mathrm{E}[T \mid S]}_{\text{told by SDSS}} . $$
#
# *Noise* is what another CFHTLS image of the same galaxy would change: photons, seeing, the place
# between the pixels, the zero point. *Look-alikes* are different galaxies that SDSS cannot tell apart
# and CFHTLS can. These two no translator can foresee. The rest it could know.
#
# Real galaxies have one image per survey, which is why this stayed a suspicion. A simulation looks as
# often as one likes: here every sample holds galaxies seen once, and some seen again and again by
# both surveys. Noise of the two surveys is independent, so that any SDSS image of a galaxy can be
# combined with any CFHTLS image of it: $K \times K$ pairs.

# %%
store = paths.Results(results, profile)
weights = {
    survey: paths.need(store.weights("redshift", survey, seed), "16_redshift_estimator")
    for survey in ("SDSS", "CFHTLS")
}
simulation_options(
    paths.need(store.data("test"), "01_two_surveys"), grid
)  # refuses another than its own
degeneracy.check_neighbours(neighbours, n_galaxies, directions)
scatters = [0.0, *worse]
sizes = {"n": n_galaxies, "n_again": n_again, "looks": n_looks, "limit": limit}
samples = {}
for k in range(seeds):
    options = {**sizes, "seed": 1000 * (seed + 1) + k, "worse": scatters}
    columns = repeat_observations.make_cached(store.data(f"spread{k}"), weights, k, grid, **options)
    samples[k] = degeneracy.RepeatSample(columns)
targets = {k: sample.targets() for k, sample in samples.items()}

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
spaces = {
    k: {
        "latent space": sample.places(sample.columns["latent"][:, 0], directions),
        "light in rings": sample.ring_places(0.0),
    }
    for k, sample in samples.items()
}
rows, closeness = {}, {}
for k, ways in spaces.items():
    for way, places in ways.items():
        found = degeneracy.predict_by_neighbours(places, targets[k][0], neighbours)
        closeness[way, k] = found["closeness"]
        for i, quantity in enumerate(repeat_observations.QUANTITIES):
            pick = targets[k][..., i], found["mean"][..., i], found["crowding"]
            rows[quantity, way, k] = total_variance.stack_terms(*pick)
table = total_variance.tidy(rows, n_boot, seed)

# %% tags=["hide-input"]
made = artefacts.make(
    store.table("natures_spread"),
    lambda path: table.to_csv(path, index=False),
    params={**sizes, "neighbours": neighbours, "directions": directions, "n_boot": n_boot},
    modules=["companion.degeneracy"],
    inputs=[store.data(f"spread{k}") for k in range(seeds)],
    seed=seed,
)


# %% mystnb={"figure": {"caption": "A galaxy of middling brightness, a second observation of it, and three other galaxies that look alike to the network, as seen by both surveys.", "name": "fig-spread-stamps"}, "image": {"alt": "Two rows of five colour stamps: SDSS above, the sharper CFHTLS below."}} tags=["hide-input"]
places, sample = spaces[0]["latent space"], samples[0]
order = np.argsort(sample.first("r_magnitude")[:n_again])
chosen = int(order[len(order) // 2])
alike, _ = total_variance.nearest(
    places[0, [chosen]], places[0], np.array([chosen]), np.arange(n_galaxies), 3
)
shown = [(chosen, 0), (chosen, 1), *((int(g), 0) for g in alike[0])]
seen = [
    simulate.pairs(1, 1000 * (seed + 1), galaxy, grid=grid, observation=look, limit=limit)
    for galaxy, look in shown
]
titles = ["a galaxy", "again", *["look-alike"] * 3]
sides = [np.concatenate([getattr(pair, side) for pair in seen]) for side in ("source", "target")]
plotting.stamps(sides, ["SDSS", "CFHTLS"], titles)
plt.show()

# %% [markdown]
# The first two columns differ by noise, the others by nature. What makes galaxies alike to a
# network that estimates redshifts is colour, brightness and concentration; which way a galaxy is
# turned, where its knots lie and what stands beside it, is all the same to it.

# %% mystnb={"figure": {"caption": "Shares of noise and of look-alikes in the variance of what CFHTLS sees, with 95 % intervals over galaxies. What is missing to one is told by SDSS. Round: seed 0; square: seed 1, and so on. Shares too small for the axis, or not above zero, are left out; intervals may reach beyond it.", "name": "fig-spread-shares"}, "image": {"alt": "Ten lines, one for each quantity, with points for noise and two kinds of look-alikes on a logarithmic axis of shares of the variance. The table below holds the numbers."}} tags=["hide-input"]
variance_panels.shares(table, repeat_observations.QUANTITIES)
plt.show()

# %% [markdown]
# Both kinds of place give *upper limits*: no function of an image tells more than the image, so what
# looks alike in some of its numbers differs at least as much as what looks alike in all. Where a
# network for redshifts does not look, as at the total light, its look-alikes differ widely; the rings
# put that right. How near the neighbours are, in units of the distance between two images of one
# galaxy, is said at the end of the page: where they are farther, the linear fit has to bridge a gap.

# %% tags=["hide-input"]
WAYS = list(spaces[0])
found = table.set_index(["quantity", "way", "seed", "part"])
best = {
    q: min(WAYS, key=lambda way, q=q: found.value[q, way, :, "look-alikes"].mean())
    for q in repeat_observations.QUANTITIES
}


def percent(quantity, way, part, k=0):
    """A share of one sample with its interval, in per cent."""
    return intervals.format_interval(
        *100 * found.loc[(quantity, way, k, part), ["value", "low", "high"]].astype(float).round(9)
    )


cells = {
    q: [f"{found.spread[q, WAYS[0], 0, 'noise']:.3f}", percent(q, WAYS[0], "noise")]
    + [percent(q, way, "look-alikes") for way in WAYS]
    + [percent(q, best[q], "told")]
    for q in repeat_observations.QUANTITIES
}
names = ["spread", "noise, %", *(f"alike by {way}, %" for way in WAYS), "told, %"]
pd.DataFrame.from_dict(cells, orient="index", columns=names)

# %% [markdown]
# The spread is the standard deviation in the quantity's own unit (magnitudes, shares, redshift);
# *told* stands for the way that leaves less open; all numbers are those of seed 0. A small share of the variance
# is not a small spread: a per cent of the one is a tenth of the other. For redshifts this matters,
# since the spread of a whole survey is many times the error of a good estimate.
#
# Two statements are judged for each quantity: that SDSS tells most of it, more than noise and
# look-alikes leave open together; and that look-alikes differ by more than the noise of CFHTLS.

# %%
MOST, MORE = "SDSS tells most of it", "look-alikes differ by more than the noise"
claims = {}
for quantity, way in best.items():
    claims[f"{quantity}: {MOST}"] = (
        (quantity, way),
        total_variance.fraction_of("told", "noise", "look-alikes"),
    )
    claims[f"{quantity}: {MORE}"] = (
        (quantity, way),
        total_variance.fraction_of("look-alikes", "noise"),
    )
judged = total_variance.judge(rows, claims, n_boot, seed)
panels.keep_verdicts(judged, store.table("verdicts_spread"), [store.data("spread0")])
words = seeds_agree.consensus_by_claim(judged)
verdicts = pd.DataFrame(
    {
        text: {q: words[f"{q}: {text}"] for q in repeat_observations.QUANTITIES}
        for text in (MOST, MORE)
    }
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
USES = {
    "5 total fluxes": degeneracy.total_flux,
    "5 total fluxes, 5 cores": degeneracy.core_and_rest,
    "3 rings in 5 bands": lambda rings: rings,
}
lines, n_first = {}, min(n_asked, 100)
for name, use in USES.items():
    size = np.concatenate(
        [
            degeneracy.library_posterior(sample, 0.0, n_first, limit, use).size
            for sample in samples.values()
        ]
    )
    low, middle, high = np.percentile(size, [10, 50, 90])
    share = 100 * np.mean(size >= posterior_library.LEAST)
    lines[name] = [f"{middle:.1f} ({low:.1f} to {high:.1f})", f"{share:.0f}"]
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
ASKED = [repeat_observations.ESTIMATE, repeat_observations.TRUTH, "colour g − r", "peak, r"]
sizes_of, rows_of, check_of = {}, {}, {}
for k, sample in samples.items():
    for step, scatter in enumerate(scatters):
        size, found_rows, check = degeneracy.compare_methods(
            sample, step, scatter, ASKED, n_asked, neighbours, directions, limit
        )
        sizes_of[scatter, k], rows_of[scatter, k], check_of[scatter, k] = size, found_rows, check

# %% [markdown]
# A step is allowed if at least half of its galaxies have the effective sample size, in every seed;
# the comparison is made on these galaxies alone.

# %%
allowed = [
    scatter
    for scatter in scatters
    if all(np.mean(sizes_of[scatter, k] >= posterior_library.LEAST) >= 0.5 for k in range(seeds))
]
statistic = total_variance.fraction_of("look-alikes")
alike = {}
for (scatter, k), of in rows_of.items():
    if scatter in allowed:
        of = rows_of[scatter, k] = degeneracy.on_same_galaxies(of)
    for way in degeneracy.METHODS:
        if way != "posterior" or scatter in allowed:
            e = intervals.bootstrap(statistic, of[repeat_observations.ESTIMATE, way], n_boot, seed)
            alike[way, scatter, k] = e

# %% mystnb={"figure": {"caption": "Above: effective sample size of the posterior (median, 10th to 90th percentile of galaxies) against the further scatter of the zero points; below the dashed line an answer is refused. Below: share of look-alikes in the variance of the redshift that CFHTLS estimates, by three ways, with 95 % intervals over galaxies. Round: seed 0; square: seed 1, and so on.", "name": "fig-spread-ladder"}, "image": {"alt": "Above, effective sample sizes that rise as the survey gets worse, and a dashed limit. Below, the shares of look-alikes by neighbours in every survey, and by the posterior where it is allowed."}} tags=["hide-input"]
NAMES = {scatter: f"+ {scatter:.0%}" if scatter else "SDSS" for scatter in scatters}
variance_panels.ladder(sizes_of, alike, NAMES, posterior_library.LEAST, "share of look-alikes")
plt.show()

# %% [markdown]
# To the left the library has to be silent, and the neighbours speak alone. To the right all three
# answer. Neighbours and posterior of the *same* five fluxes have to agree there, or one of them would be
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
WITHIN, RATIO = 0.05, (0.75, 1.25)
checked, cells = [], {}
for scatter in allowed:
    for quantity, k in product(ASKED, range(seeds)):
        of, about = rows_of[scatter, k], f"{quantity}, {NAMES[scatter]}"
        exact = of[quantity, "posterior"]
        gaps = {
            way: (
                intervals.paired_difference(statistic, of[quantity, way], exact, n_boot, seed),
                WITHIN,
            )
            for way in degeneracy.METHODS[1:]
        }
        ratio = check_of[scatter, k][quantity]
        ratio = intervals.bootstrap(lambda x: intervals.ratio_of_means(x) - 1, ratio, n_boot, seed)
        for way, (gap, bound) in (gaps | {"itself": (ratio, 0.25)}).items():
            checked.append(seeds_agree.judge_seed(f"{about}: {way}", k, gap, (-bound, bound)))
            cells[f"{about}: {way}"] = about, way
agreed = pd.DataFrame(checked, columns=["claim", "seed", "value", "low", "high", "n", "verdict"])

# %% tags=["hide-input"]
seeds_agree.cross_table(agreed, cells)

# %% tags=["remove-cell"]
made = artefacts.make(
    store.table("natures_spread_agreement"),
    lambda path: agreed.to_csv(path, index=False),
    params={"scatters": scatters, "n_asked": n_asked, "n_boot": n_boot},
    modules=["companion.degeneracy"],
    inputs=[store.data(f"spread{k}") for k in range(seeds)],
    seed=seed,
)

# %% tags=["remove-cell"]
voices = seeds_agree.consensus_by_claim(agreed)
for name, way in {"same": "equal fluxes", "latent": "latent space", "self": "itself"}.items():
    of = {cells[claim][0]: word for claim, word in voices.items() if cells[claim][1] == way}
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
    return (
        "; ".join(q for q in repeat_observations.QUANTITIES if verdicts.loc[q, claim] == word)
        or "none"
    )


for name, claim in {"most": MOST, "more": MORE}.items():
    glue(f"spread_{name}", named(claim, "supported"), display=False)
    glue(f"spread_not_{name}", named(claim, "contradicted"), display=False)
    glue(f"spread_open_{name}", named(claim, "inconclusive"), display=False)
for name, quantity in {
    "estimate": repeat_observations.ESTIMATE,
    "truth": repeat_observations.TRUTH,
}.items():
    line = found.loc[(quantity, best[quantity], 0, "look-alikes")]
    both = [percent(quantity, best[quantity], "look-alikes", k) for k in range(seeds)]
    glue(f"spread_{name}", " and ".join(both), display=False)
    glue(f"spread_{name}_size", float(line.spread * max(line.value, 0) ** 0.5), display=False)
both = [percent(repeat_observations.ESTIMATE, WAYS[0], "noise", k) for k in range(seeds)]
glue("spread_noise", " and ".join(both), display=False)
glue("spread_n", n_galaxies, display=False)
glue("spread_first", n_first, display=False)
for way, name in zip(WAYS, ("latent", "rings"), strict=True):
    near = np.median(np.concatenate([closeness[way, k] for k in range(seeds)]))
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
# 2. Set `-p directions 4`, then `-p directions 24`. What do fewer directions of the latent space cost,
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
