# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Information bound: the best possible redshift
#
# The mean redshift information of CFHTLS images minus that of SDSS images, the irreducible loss of every
# translator, is {glue:text}`limit_irreducible` bits for an ideal estimator that uses total fluxes and size,
# and {glue:text}`limit_irreducible_most` bits with all components of the galaxies resolved. Among the
# translators, {glue:text}`limit_best` loses least in addition, {glue:text}`limit_best_loss` bits, and
# {glue:text}`limit_worst` most, {glue:text}`limit_worst_loss` bits.
#
# This chapter computes the redshift information that the images contain, independently of any trained
# estimator, from the known simulation.
#
# **What you will learn**
#
# - how to compute the redshift information of an image without training;
# - how to separate the irreducible loss from the losses of the estimator and the translator;
# - which part of every error no translator can avoid.
#
# **Prerequisites:** the chapter on [redshift](24_redshift.py). About 10 minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import (
    claims,
    comparison,
    information_bound,
    panels,
    paths,
    plotting,
    redshift_evaluation,
)
from companion import seed_agreement as seeds_agree
from galtools import artefacts, redshift
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.models import names

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual"]  # the translators to judge
n_galaxies: int = 120  # test galaxies whose limit is computed
draws: int = 4000  # samples from the posterior of each galaxy in each run
points: int = 24  # about which the last of these samples are made
seeds: int = 2  # independent runs of the sampling, and networks of the estimators
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Posterior of the redshift
#
# A simulated galaxy has a type, a redshift $z$ and an $r$ magnitude, sampled from the luminosity
# functions of red and blue galaxies, and seven standard normal latent variables $n_k$ that determine its
# spectrum: stellar age, dust, slope, depth of the 4000 Å break, far-blue and far-red flux, and emission
# lines. Its size scatters about the mean for its type and luminosity. Dust reddens inclined discs more.
# The axis ratio $q$ is well measured and taken as known.
#
# Each of these variables can partly mimic the effect of the redshift on colours, brightness and size. The
# posterior marginalises over them,
#
# $$ p(z \mid d) \propto \sum_\mathrm{type} \int p(d \mid \mathrm{type}, z, r, \mathbf{n}, q)\,
# p(\mathrm{type}, z, r)\, p(q \mid \mathrm{type}) \prod_{k=1}^{7} N(n_k; 0, 1)\; dr\, d\mathbf{n} . $$
#
# No other density has a larger expected information in bits, given the data $d$ and the population.
#
# An image is linear in the fluxes of its galaxy, and the noise of every pixel is known. With position,
# shape, seeing, the pattern of young stars and neighbours known, the **Fisher information** matrix and the
# score vector are therefore sufficient statistics of its 20 000 pixels. They give the fluxes in five bands
# with their covariance, to which the calibration error of each band is added, one to two per cent. Together
# with the size these are the data $d$. Since the bound is an expectation over calibrations, each galaxy gets
# independent zero points.
#
# The latent variables and the type are sampled from a proposal adapted to each galaxy and weighted by the
# ratio of posterior to proposal (*importance sampling*). A tenth of the samples comes from wider components, which
# bound the weights (*defensive mixture*, {cite}`hesterberg1995`), and the largest weights are Pareto-smoothed
# {cite}`vehtari2024`. Each galaxy is computed in two independent runs. It is rejected if a run has too few
# effective samples or a Pareto index above 0.7, if the two halves of its samples disagree, or if the runs do.

# %%
SURVEYS = {"source": "SDSS", "target": "CFHTLS"}
store = paths.Results(results, profile)
test = paths.need(store.data("test"), "01_two_surveys")
if seeds < 2:
    raise GaltoolsError(f"seeds = {seeds}: take two, to test convergence")
sample = comparison.load_comparison(store, "cross", paths.check_models(models), seed, n_galaxies)
read = {"source": sample.pairs.source, "truth": sample.truth}
read |= {model: sample.images[model] for model in models}
# used last, loaded first: missing files are reported before the long computation
estimators = {row: redshift_evaluation.load_row(store, "cross", row, seed) for row in read}

# %% tags=["hide-input"]
options = {"n": n_galaxies, "draws": draws, "points": points, "runs": seeds}
found = {
    side: artefacts.make_arrays(
        store.data(f"limit_{side}"),
        lambda side=side: information_bound.compute_posteriors(test, side, **options, seed=seed),
        params={**options, "side": side},
        inputs=[test],
        modules=["companion.information_bound"],
        seed=seed,
    )
    for side in SURVEYS
}
z, prior = found["source"]["z"], redshift_evaluation.prior_of(store)

# %% mystnb={"figure": {"caption": "Posterior of the redshift of three test galaxies from the two surveys, from well constrained (top) to poorly constrained (bottom). Each panel has its own redshift range.", "name": "fig-limit-posteriors"}, "image": {"alt": "Three panels with redshift posteriors from SDSS and CFHTLS and the true redshift as a vertical line."}} tags=["hide-input"]
order, grid = np.argsort(found["source"]["scatter"]), redshift.Grid()
chosen = order[(np.array([0.1, 0.5, 0.9]) * len(order)).astype(int)]
fig, axes = plt.subplots(3, 1, figsize=(plotting.WIDTH, 4.6))
for ax, galaxy in zip(axes, chosen, strict=True):
    for side, name in SURVEYS.items():
        density = found[side]["density"][galaxy].mean(axis=0) * grid.bins / grid.z_max
        ax.plot(grid.centres, density, color=plotting.SURVEY_COLOUR[name], label=name)
    wide = 6 * max(found[side]["scatter"][galaxy] for side in SURVEYS)
    ax.axvline(z[galaxy], color="black", linewidth=1, label="true redshift")
    ax.set(xlim=(max(z[galaxy] - wide, 0), z[galaxy] + wide), yticks=[], ylabel="$p(z)$")
axes[-1].set_xlabel("redshift $z$")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# The bound for the whole image is bracketed. Total fluxes and size give its lower end. The upper end has
# *all components resolved*: if the positions of all knots, arms and neighbours were known, the fluxes of
# bulge, disc and arms could be measured separately. They consist of older and younger stars of the same
# galaxy, and their differences constrain the redshift free of calibration errors, up to the scatter between
# the spectra of the components. This end is a normal approximation about the truth, with the true prior. No
# real estimator has this additional knowledge, and on average none exceeds the bound. Both ends hold for the
# simulated population only.

# %% tags=["hide-input"]
known, lines = {}, {}
for side, name in SURVEYS.items():
    one = found[side]
    for k in range(seeds):
        known[name, k] = information_bound.bits(one["density"][:, k], z, prior, one["good"])
        known[f"{name}, components", k] = information_bound.component_bits(one, prior)
    width = np.where(one["good"], one["scatter"], np.nan) / (1 + z)
    lines[name] = {
        "posterior width / (1 + z), median": intervals.bootstrap(intervals.median, width, n_boot),
        "width with components resolved": intervals.bootstrap(
            intervals.median, one["components_scatter"] / (1 + z), n_boot
        ),
        **information_bound.compare_runs(one, [known[name, k] for k in range(2)], n_boot),
        "uniform PIT, p value": round(information_bound.pit_pvalue(one), 2),
    }
pd.DataFrame(lines).map(str)

# %% [markdown]
# On real images of SDSS main-sample galaxies, networks trained on 400,000 galaxies reach
# $\sigma_\mathrm{MAD} = 0.0091$, and less than 0.007 at signal-to-noise ratios above 100
# {cite}`pasquet2019`. The spectra of the simulation were tuned to these two values
# (`benchmarks/tune_population.py`).
#
# ## Splitting the loss
#
# The chapter on redshift trained an estimator on each kind of image. With $L$ the bound and $I$ the
# information that an estimator extracts, the difference between the bound of the target and the information
# extracted from a translation is
#
# $$ L_\mathrm{target} - I_\mathrm{translated} =
#   \underbrace{L_\mathrm{target} - L_\mathrm{source}}_\text{irreducible}
# + \underbrace{L_\mathrm{source} - I_\mathrm{source}}_\text{estimator}
# + \underbrace{I_\mathrm{source} - I_\mathrm{translated}}_\text{translator} . $$
#
# The *irreducible* loss is information absent from the source image. The *estimator* loss is information in
# the source that the trained estimator does not extract, the *translator* loss information extracted from the
# source and not from the translation. All estimators are trained from scratch alike, and the networks of an
# ensemble serve as seeds.

# %%
for row, ensemble in estimators.items():
    each = ensemble.densities(ensemble.extract_features(read[row]))[1]
    for k, density in enumerate(each[:seeds]):
        known[row, k] = information_bound.bits(density, z, prior)
known = information_bound.common_galaxies(known)
RESOLVED = "irreducible,\ncomponents resolved"
lost = information_bound.split_losses(known, models, "source", n_boot, seed)

# %% mystnb={"figure": {"caption": "Irreducible, estimator and translator loss of redshift information, with 95 % intervals over galaxies; one symbol per network of the estimators. The irreducible loss is that of total fluxes and size, and that with all components resolved. Irreducible and estimator loss are the same for all translators.", "name": "fig-limit-split"}, "image": {"alt": "Rows with one point per seed, in bits: irreducible loss with total fluxes and with components resolved, estimator loss, and the loss of every translator."}} tags=["leading", "hide-input"]
colours = dict.fromkeys(("irreducible", RESOLVED), plotting.SURVEY_COLOUR["CFHTLS"])
colours |= {"estimator": "black"}
losses = dict.fromkeys(("irreducible", k) for k in range(seeds))  # first on the axis
for k in range(seeds):
    more = known["CFHTLS, components", k] - known["SDSS, components", k]
    losses[RESOLVED, k] = intervals.bootstrap(intervals.mean, more, n_boot, seed)
for x in lost.itertuples():
    way = x.part if x.part in colours else plotting.MODEL_NAME.get(x.row, x.row)
    losses[way, x.seed] = intervals.Estimate(x.value, x.low, x.high, x.n)
colours |= {plotting.MODEL_NAME.get(m, m): plotting.MODEL_COLOUR.get(m) for m in models}
fig = panels.seed_strips(losses, colours, f"redshift information lost [bits] (n = {lost.n.max()})")
fig.axes[0].axvline(0, color="black", linewidth=0.8, zorder=0)
plt.show()

# %% [markdown]
# An estimator of whole CFHTLS images, which resolve bulge and disc, may reach or exceed the bound from total
# fluxes, and the irreducible loss may be larger than shown: with all components resolved it is the difference
# in the second row below. A statement is *supported* only if all seeds agree. They share the test galaxies,
# whose sampling error is in the intervals; every translator was trained once.

# %%
MORE = "CFHTLS images hold more information than SDSS images"
APART = "CFHTLS images hold more information with all components resolved"
tests = {MORE: ("CFHTLS", "SDSS"), APART: ("CFHTLS, components", "SDSS, components")}
tests["the estimator falls short of the SDSS bound"] = ("SDSS", "source")
tests["the estimator falls short of the CFHTLS bound"] = ("CFHTLS", "truth")
for model in models:
    name = plotting.MODEL_NAME.get(model, model)
    tests[f"{name} loses information that the estimator finds in its source"] = "source", model
judged = seeds_agree.compare(known, tests, n_boot, seed)
inputs = [*(store.data(f"limit_{side}") for side in found), *sample.inputs]
kept = seeds_agree.save_table(judged, store.table("verdicts_limit"), inputs)
seeds_agree.summary(judged)

# %% [markdown]
# The [table of claims](27_claims.py) uses the bound of CFHTLS minus that of SDSS. Its control is the
# bound of SDSS from two independent runs, whose difference measures the numerical error.

# %%
gaps = {f"seed {k}": (known["CFHTLS", k], known["SDSS", k]) for k in range(seeds)}
gaps["another run"] = known["SDSS", 0], known["SDSS", 1]
gaps = claims.differences(gaps, n_boot=n_boot, seed=seed)
claims.save_evidence(claims.evidence("mapping", gaps), store, "33_the_limit", inputs, seed=seed)


# %% [markdown]
# ## The optimal translator
#
# The best possible prediction of a CFHTLS image is its mean given the SDSS image, and the best possible
# generator samples from that distribution. Both are computed for new galaxies. Type, redshift, magnitude, size,
# axis ratio, angle and position, and the spectra and fluxes of bulge, disc, arms and bar are sampled from their
# posterior by walks that are accepted by the rendered image (*delayed acceptance*,
# {cite}`christen2005`); seeing, subpixel position, calibration and noise of CFHTLS from their priors. *Held at the
# truth* are the morphological class, the pattern of young stars, neighbours and the seeing of SDSS, which a
# translator does not know.
#
# The mean minimises the expected squared error: no translator of these galaxies can have a smaller one. This *bound*
# is probably not tight for details. For PSNR it is approximate, since PSNR averages the logarithm of the squared
# error over galaxies, and the mean is that of 40 samples only. The information in the posterior of the redshift bounds,
# on average, the bits in everything computed from the SDSS image. Scatters are not bounded, nor is anything of a
# repeat observation by CFHTLS, which is not computed from the SDSS image.
#
# The bounds assume that the walks reach the whole posterior. Every walker keeps its spectral type, in proportions
# from tempered weights of normal approximations that nothing corrects, and all walks start from modes that are found
# from the true latents, with the redshift at most 0.03 off. Distant modes would be missed, and neither $\hat R$ nor
# the ranks of the truth would show it; the samples would then probably be too close to the truth, and the bounds too
# loose.
#
# In the precomputed table (remade by `benchmarks/optimal_translator.py`) the kept translators translate the same
# galaxies. Those with $\hat R$ {cite}`vehtari2021` above 1.2, a loose limit of ours, are left out:
# {glue:text}`limit_converged` of {glue:text}`limit_tried` are kept, {glue:text}`limit_dropped` dropped, and all
# results are conditional on convergence. The intervals treat galaxies as independent, although the eight of a
# batch share a CFHTLS field and its zero points; where these matter, intervals are probably too narrow.

# %%
file = paths.REFERENCE / "33_optimal.csv"
artefacts.check_inputs(file, advice="git checkout it, or run benchmarks/optimal_translator.py")
bound = pd.read_csv(file)
converged = int(bound.n.max())
tried = 8 * len(artefacts.read_manifest(file)["parameters"]["batches"])  # 8 galaxies a batch
whole, left = (bound[bound.part == part] for part in ("whole", "left"))
kept_models = [row for row in whole.row.unique() if row in names()]
SPLIT = {
    ("psnr", "r"): "PSNR [dB]",
    ("aperture_scatter", "r"): "aperture-flux scatter",
    ("colour_scatter", "g-r"): "g − r scatter [mag]",
    ("box_scatter", "r"): "peak-flux scatter",
    ("peak_ratio_scatter", "g-r"): "peak g − r scatter [mag]",
    ("asymmetry_scatter", "r"): "asymmetry scatter",
    ("bits", "frozen"): "bits, frozen estimator",
    ("bits", "retrained"): "bits, retrained estimator",
}

# %% mystnb={"figure": {"caption": "The kept translators and the optimal one on the same galaxies, with 95 % intervals over galaxies. Grey area: what no translator can reach; for PSNR approximately, for bits more than the posterior of the redshift holds. Dashed line: optimal mean, for reference; scatters have no bound. The repeat observation is not bounded.", "name": "fig-limit-optimal"}, "image": {"alt": "One panel per metric, a line per translator and reference; a grey region beyond the bound of PSNR and bits, and a dashed line at the optimal mean for the scatters."}} tags=["leading", "hide-input"]
found = whole.set_index(["metric", "band", "row"]).sort_index()
limits = {"psnr": ("psnr", "r", "optimal mean"), "bits": ("bits", "retrained", "posterior")}
rows = ["optimal mean", "optimal sample", "again", *kept_models, "resample"]
fig, axes = panels.grid(len(SPLIT), 2.4, sharey=True)
for ax, (key, label) in zip(axes, SPLIT.items(), strict=True):
    for k, row in enumerate(rows):
        if (*key, row) in found.index:
            plotting.horizontal_interval(ax, found.loc[(*key, row)], k, row)
    low, high = ax.get_xlim()
    if key[0] in limits:
        limit = found.value[limits[key[0]]]
        high = max(high, limit + 0.1 * (high - low))
        ax.axvspan(limit, high, color="0.88", zorder=0)
    else:
        ax.axvline(found.value[*key, "optimal mean"], color="0.5", linestyle="--", zorder=0)
    ax.set(xlabel=label, xlim=(low, high))
panels.name_rows(axes[0], [plotting.MODEL_NAME.get(row, row) for row in rows])
plt.show()

# %% [markdown]
# What each leaves on the table: its metric minus that of the optimal mean, for the diffusion model and the repeat
# observation minus that of an optimal sample, for bits minus those of the posterior; paired over galaxies. A scatter
# may be smaller than that of the optimal mean.

# %% tags=["hide-input"]
cells = left.assign(
    cell=[str(intervals.Estimate(x.value, x.low, x.high, x.n)) for x in left.itertuples()]
).pivot_table("cell", ["metric", "band"], "row", "first")
shown = cells.reindex(index=list(SPLIT), columns=[*kept_models, "resample", "again"])
shown.index = list(SPLIT.values())
print(f"{converged} of {tried} galaxies kept, {tried - converged} without convergence dropped")
panels.show_in_parts(shown.rename(columns=plotting.MODEL_NAME).fillna("–"))

# %% [markdown]
# The posterior bounds all estimators from the SDSS image or a translation of it. Its information, with the standard
# error by the number of samples, and p values of uniform ranks of the truth among the samples (*simulation-based
# calibration*):

# %% tags=["hide-input"]
posterior = found.loc[("bits", "retrained", "posterior")]
checks = {"bits": intervals.format_interval(posterior.value, posterior.low, posterior.high)}
checks["numerical error (bits)"] = f"{posterior.error:.3f}"
for x in whole[whole.metric == "pit_pvalue"].itertuples():
    checks[f"p value, {x.band}"] = f"{x.value:.2f}"
pd.Series(checks).rename("posterior").to_frame()


# %% tags=["remove-cell"]
def tell(name, value):
    """Glue a number or a word of this chapter."""
    glue(f"limit_{name}", value, display=False)


first = {way: loss for (way, k), loss in losses.items() if k == 0}
order = sorted(
    first.keys() - {"irreducible", RESOLVED, "estimator"}, key=lambda way: first[way].value
)
for key, way in (("best", order[0]), ("worst", order[-1])):
    tell(key, way)
    tell(f"{key}_loss", str(first[way]))
for part in ("irreducible", "estimator"):
    tell(part, str(first[part]))
tell("irreducible_most", str(first[RESOLVED]))
tell("n", int(lost.n.max()))
words = seeds_agree.consensus_by_claim(judged)
for key, claim in {"deeper": MORE, "apart": APART}.items():
    tell(key, words[claim])

# %% tags=["remove-cell"]
for key, row in {"optimal": "optimal mean", "again": "again"}.items():
    x = found.loc[("psnr", "r", row)]
    tell(f"psnr_{key}", intervals.format_interval(x.value, x.low, x.high))
psnr = found.value["psnr", "r"]
averages = psnr[[row for row in kept_models if row != "diffusion"]]  # measured against the mean
nearest = left[(left.metric == "psnr") & (left.row == averages.idxmax())].iloc[0]
tell("psnr_nearest", plotting.MODEL_NAME[nearest.row])
tell("psnr_left", intervals.format_interval(-nearest.value, -nearest.high, -nearest.low))
tell("converged", converged)
tell("tried", tried)
tell("dropped", tried - converged)

# %% [markdown]
# ## What we found
#
# That CFHTLS holds more information than SDSS is *{glue:text}`limit_deeper`* for total fluxes and size, and
# *{glue:text}`limit_apart`* with all components resolved; the bound for the whole image lies between the
# two. The estimator loses {glue:text}`limit_estimator` bits. The losses are means over
# {glue:text}`limit_n` galaxies that were not rejected (seed 0). An interval that contains 0 means that no
# loss was detected; one below 0 cannot be a loss.
#
# The mean CFHTLS image given SDSS reaches a PSNR of {glue:text}`limit_psnr_optimal` dB in r, a repeat observation,
# which has noise of its own, {glue:text}`limit_psnr_again` dB, and the best of
# the translators that are compared with the mean, {glue:text}`limit_psnr_nearest`,
# {glue:text}`limit_psnr_left` dB less than the mean.
#
# **Exercise.** The posterior uses the true population. What would an analysis of real galaxies have to
# add?
#
# ```{dropdown} Solution
# Uncertainty of the population: the errors of the prior and of the spectra have to be marginalised as well.
# The bound here holds for the simulated population.
# ```
#
# **What's next:** [are samples as diverse as the truth?](34_models_spread.py) tests the uncertainty of
# generative translators.
