# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # How much does the source determine?
#
# An SDSS image determines most of the variance of these CFHTLS measurements: {glue:text}`spread_most`; not
# of: {glue:text}`spread_not_most`. Galaxies that SDSS cannot distinguish contribute at most
# {glue:text}`spread_estimate` per cent of the variance of the redshift estimated from CFHTLS images.
#
# One galaxy has many possible images, and one image is compatible with many galaxies. The paper suspects
# that this many-to-many mapping causes much of the loss in translation, whatever the model. This chapter
# measures what an SDSS image leaves undetermined in the CFHTLS image of the same galaxy.
#
# **What you will learn**
#
# - how the law of total variance splits the variance of a measurement into noise, degeneracy and a part
#   explained by SDSS;
# - how to find degenerate galaxies, and why they give upper limits only.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on [the redshift
# estimator](16_redshift_estimator.py). About 10 minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import degeneracy, paths, plotting, repeat_observations, total_variance
from companion import seed_agreement as seeds_agree
from galtools import simulate
from galtools.fidelity import intervals

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
n_galaxies: int = 1000  # galaxies observed
n_again: int = 48  # how many of them are observed again and again
n_observations: int = 6  # observations of each of these, by both surveys
neighbours: int = 40  # nearest neighbours of each galaxy
limit: float = 17.8  # faintest r magnitude
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
# galaxies are observed $K$ times by both surveys. Any SDSS image of a galaxy can be combined with any of
# its CFHTLS images, which gives $K \times K$ pairs.

# %% tags=["hide-input"]
store = paths.Results(results, profile)
train = paths.need(store.data("train"), "01_two_surveys")
weights = store.weights("redshift", "CFHTLS", seed)
weights = paths.need(weights, "16_redshift_estimator", train)
grid = repeat_observations.simulation_grid(train)
degeneracy.check_neighbours(neighbours, n_galaxies)
options = {"n": n_galaxies, "n_again": n_again, "observations": n_observations}
options |= {"limit": limit, "grid": grid, "seed": 1000 * (seed + 1)}
sample = repeat_observations.make_cached(store.data("spread"), weights, **options)
targets = repeat_observations.targets(sample)

# %% [markdown]
# ## Degenerate galaxies as neighbours
#
# The expectation of $T$ given an SDSS image is estimated from other galaxies with similar SDSS images.
# Similarity is defined by the logarithms of the fluxes in three rings and five bands, in units of their
# noise, measured from repeat observations. A local linear fit to the neighbours gives weights $w$ with
# $\sum w = 1$ and the prediction $\hat T = \sum w T$. Where $T$ is linear over the neighbourhood, its
# squared error is
#
# $$ \mathrm{E}\,(T - \hat T)^2 = \mathrm{Var}(T \mid S)\,\big(1 + \textstyle\sum w^2\big) , $$
#
# which yields an unbiased estimate of $\mathrm{Var}(T \mid S)$ from finitely many neighbours. Galaxies
# with similar fluxes differ in $T$ by at least as much as galaxies with the same image, so that the
# degeneracy found is an *upper limit*.

# %%
points = degeneracy.flux_coordinates(sample)
near = degeneracy.predict_by_neighbours(points, targets[0], neighbours)
quantities, terms, lines = list(repeat_observations.QUANTITIES), {}, []
for i, quantity in enumerate(quantities):
    predicted = near["mean"][..., i], near["sum_squared_weights"]
    terms[quantity] = x = total_variance.variance_terms(targets[..., i], *predicted)
    components = total_variance.variance_components(x[:, np.isfinite(x).all(0)])
    for name in total_variance.COMPONENTS:
        e = intervals.bootstrap(total_variance.fraction_of(name), x, n_boot, seed)
        key = {"quantity": quantity, "component": name}
        lines.append({**key, "sigma": np.sqrt(sum(components.values())), **vars(e)})
table = seeds_agree.save_table(lines, store.table("natures_spread"), [store.data("spread")])
fractions = table.set_index(["quantity", "component"])

# %% mystnb={"figure": {"caption": "Noise and degeneracy (an upper limit) as fractions of the variance of CFHTLS measurements, with 95 % intervals over galaxies. The rest is explained by SDSS. Fractions below the axis range, or not above 0, are omitted; intervals may extend beyond it.", "name": "fig-spread-shares"}, "image": {"alt": "Ten rows, one for each quantity, with points for noise and for degeneracy on a logarithmic axis of fractions of the variance. The table below gives the numbers."}} tags=["leading", "hide-input"]
SMALLEST = 5e-5
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 4.8))
for shift, (component, colour) in enumerate({"noise": "black", "degeneracy": "#D55E00"}.items()):
    part = fractions.loc[[(q, component) for q in quantities]]
    part = part.assign(y=np.arange(len(part)) + 0.24 * (shift - 0.5))
    part = part[part.value > SMALLEST]
    error = [part.value - part.low.clip(lower=SMALLEST / 10), part.high - part.value]
    style = {"color": colour, "fmt": plotting.SEED_MARKER[shift], "ms": 5, "capsize": 0}
    ax.errorbar(part.value, part.y, xerr=error, label=component, **style)
ax.set(xscale="log", xlim=(SMALLEST / 2, 1.5))
ax.set_yticks(range(len(quantities)), quantities)
ax.set_xlabel(f"fraction of the variance (n = {table.n.max():,})")
ax.invert_yaxis()
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% mystnb={"figure": {"caption": "A galaxy of median brightness, a repeat observation of it, and its three nearest neighbours, in both surveys.", "name": "fig-spread-stamps"}, "image": {"alt": "Two rows of five colour stamps: SDSS in the upper row, the sharper CFHTLS images in the lower."}} tags=["hide-input"]
chosen = int(np.argsort(sample["r_magnitude"][0, :n_again])[n_again // 2])
alike, _ = degeneracy.nearest(points[0][[chosen]], points[0], np.array([chosen]), 3)
shown = [(chosen, 0), (chosen, 1), *((int(g), 0) for g in alike[0])]
pairs_shown = [
    simulate.pairs(1, options["seed"], galaxy, grid=grid, observation=number, limit=limit)
    for galaxy, number in shown
]
titles = ["galaxy", "repeat", *["neighbour"] * 3]
rows = [
    np.concatenate([getattr(pair, side) for pair in pairs_shown]) for side in ("source", "target")
]
plotting.stamps(rows, ["SDSS", "CFHTLS"], titles)
plt.show()

# %% [markdown]
# The first two columns differ by noise only. The neighbours should match in colour, brightness and
# concentration, but not in orientation, knots or companions.
#
# The table gives the fractions in per cent; *sigma* is the standard deviation in the unit of the quantity
# (magnitude, fraction or redshift). A small fraction of the variance can be a large scatter: 1 % of the
# variance is 10 % of the standard deviation. This matters for redshifts, which vary over the survey by many
# times the error of a good estimate. The last columns test whether SDSS explains more of the variance than
# noise and degeneracy together, and whether the degeneracy exceeds the noise.

# %%
MOST, MORE = "SDSS explains most", "degeneracy exceeds noise"
STATISTICS = {
    MOST: total_variance.fraction_of("explained", "noise", "degeneracy"),
    MORE: total_variance.fraction_of("degeneracy", "noise"),
}
verdicts = pd.DataFrame(
    {
        text: {
            q: intervals.verdict(intervals.bootstrap(statistic, x, n_boot, seed))
            for q, x in terms.items()
        }
        for text, statistic in STATISTICS.items()
    }
)


# %% tags=["hide-input"]
def percent(quantity, component):
    """Write a fraction of the variance with its interval, in per cent."""
    e = 100 * fractions.loc[quantity, component].astype(float).round(9)
    return intervals.format_interval(e.value, e.low, e.high)


cells = {
    q: [f"{fractions.sigma[q, 'noise']:.3f}"]
    + [percent(q, component) for component in total_variance.COMPONENTS]
    for q in quantities
}
names = ["sigma", *total_variance.COMPONENTS]
pd.DataFrame.from_dict(cells, orient="index", columns=names).join(verdicts)


# %% tags=["remove-cell"]
def named(claim, word):
    """Quantities of which a claim has a verdict, as a list in words."""
    return "; ".join(q for q in quantities if verdicts.loc[q, claim] == word) or "none"


for name, claim in {"most": MOST, "more": MORE}.items():
    glue(f"spread_{name}", named(claim, "supported"), display=False)
    glue(f"spread_not_{name}", named(claim, "contradicted"), display=False)
    glue(f"spread_open_{name}", named(claim, "inconclusive"), display=False)
for name in ("estimate", "truth"):
    quantity = getattr(repeat_observations, name.upper())
    e = fractions.loc[quantity, "degeneracy"]
    glue(f"spread_{name}", percent(quantity, "degeneracy"), display=False)
    glue(f"spread_{name}_size", float(e.sigma * max(e.value, 0) ** 0.5), display=False)
glue("spread_n", n_galaxies, display=False)
glue("spread_near", float(np.median(near["closeness"])), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`spread_n` galaxies, the degeneracy exceeds the noise of CFHTLS in:
# {glue:text}`spread_more`; not in: {glue:text}`spread_not_more`; *inconclusive*:
# {glue:text}`spread_open_more`. That SDSS explains most of the variance is *inconclusive* for:
# {glue:text}`spread_open_most`.
#
# In redshift, the degeneracy is a standard deviation of at most {glue:text}`spread_estimate_size:.4f` for
# the estimate from CFHTLS images and {glue:text}`spread_truth_size:.4f` for the true redshift
# ({glue:text}`spread_truth` per cent of the variance).
#
# No translator can predict the noise. The degeneracy is an upper limit on the further error of a perfect
# translator, which uses the whole source image; the neighbours are {glue:text}`spread_near:.1f` times as far
# apart as two images of one galaxy.
#
# **Exercise.** How would an exact calculation proceed? Write down the posterior over a library of noiseless
# galaxies and estimate its effective sample size.
#
# ```{dropdown} Solution
# With Gaussian noise the normalised weights are $w_i \propto e^{-\chi_i^2 / 2}$, and the effective sample
# size is $1 / \sum w^2$. At signal-to-noise ratios of hundreds in every band, hardly one of a thousand
# galaxies agrees with another in all five, and the effective sample size is about 1. Samples have to be
# placed where the likelihood is high, as in [the information bound](33_the_limit.py).
# ```
#
# **What's next:** [the information bound](33_the_limit.py): what an image determines of the redshift.
