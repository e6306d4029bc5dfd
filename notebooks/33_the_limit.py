# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Information bound: the best possible redshift
#
# An ideal estimator that uses only total fluxes and size determines the redshift to $\sigma_z/(1+z) =$
# {glue:text}`limit_sigma_sdss` from SDSS and {glue:text}`limit_sigma_cfhtls` from CFHTLS (median
# posterior widths). The mean information from CFHTLS minus that from SDSS, the irreducible loss of every
# translator, is {glue:text}`limit_irreducible` bits for such an estimator and
# {glue:text}`limit_irreducible_most` bits with all components of the galaxies resolved.
#
# This chapter computes the redshift information that the images contain, independently of any trained
# estimator, from the known simulation.
#
# **What you will learn**
#
# - how to compute the redshift information of an image without training;
# - why a deeper and sharper image adds less information than its noise suggests;
# - how to separate the irreducible loss from the losses of the estimator and the translator.
#
# **Prerequisites:** the chapter on [redshift](24_redshift.py). About 20 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

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
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import information, intervals

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual"]  # the translators to judge
n_galaxies: int = 100  # test galaxies whose limit is computed
draws: int = 2000  # samples from the posterior of each galaxy
points: int = 24  # about which the last of these samples are made
sizes: list[int] = [1000, 8000, 64000]  # simulated galaxies that an estimator learns from
steps: int = 2000  # steps of learning from the largest of these samples
seeds: int = 2  # how often everything random is done anew
margin: float = 0.15  # bits within which two ways agree: 10 per cent in the width of a density
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
# The redshift affects the pixels through colours, brightness and size, and each of the other variables
# can partly mimic its effect. The posterior marginalises over them,
#
# $$ p(z \mid d) \propto \sum_\mathrm{type} \int p(d \mid \mathrm{type}, z, r, \mathbf{n}, q)\,
# p(\mathrm{type}, z, r)\, p(q \mid \mathrm{type}) \prod_{k=1}^{7} N(n_k; 0, 1)\; dr\, d\mathbf{n} . $$
#
# No other density has a larger expected information in bits, given the data $d$ and the population.
#
# ## Compression to six numbers
#
# Near the truth an image is linear in small changes of brightness, position, size, shape and seeing. The
# noise of every pixel is known. The **Fisher information** matrix and the score vector are then
# sufficient statistics of its 20 000 pixels. Position, shape and seeing are marginalised, the seeing
# with its scatter from night to night; the pattern of young stars and the positions of neighbours are
# taken as known. The fluxes in five bands and the size remain, with their covariance.
#
# The calibration error of each band, one to two per cent, is added. Galaxies in one field share their
# zero points, and the test galaxies lie in few fields. Since the bound is an expectation over
# calibrations, each galaxy gets independent zero points here.

# %%
SURVEYS = {"source": "SDSS", "target": "CFHTLS"}
names = list(SURVEYS.values())
store = paths.Results(results, profile)
test = paths.need(store.data("test"), "01_two_surveys")
sizes = sorted(sizes)
if len(sizes) < 2 or seeds < 2:
    raise GaltoolsError(f"sizes = {sizes}, seeds = {seeds}: take two of each, to test convergence")
sample = comparison.load_comparison(store, "cross", paths.check_models(models), seed, n_galaxies)
read = {"source": sample.pairs.source, "truth": sample.truth}
read |= {model: sample.images[model] for model in models}
# used last, loaded first: missing files are reported before the long computation
estimators = {row: redshift_evaluation.load_row(store, "cross", row, seed) for row in read}

# %%
options = {"n": n_galaxies, "draws": draws, "points": points, "seeds": seeds}
provenance = {"modules": ["companion.information_bound"], "seed": seed}
found = {
    side: artefacts.make_arrays(
        store.data(f"limit_{side}"),
        lambda side=side: information_bound.compute_posteriors(test, side, **options, seed=seed),
        params={**options, "side": side},
        inputs=[test],
        **provenance,
    )
    for side in information_bound.SIDES
}

# %% [markdown]
# To test the compression, we sample brightness, position, shape and seeing from the posterior of the six
# numbers for a few galaxies, render every sample, and compare the likelihood of all pixels with that of
# the compressed data. If the difference in $\ln L$ scatters by much less than 1, the compression is
# practically lossless.

# %%
error = information_bound.compression_scatter(test, n=3)
pd.DataFrame(error, columns=names).round(3).add_prefix("scatter of ln L, ").rename_axis("galaxy")

# %% [markdown]
# ## Three estimates of the bound
#
# **Exact.** Nine latent variables and the type are sampled from a proposal adapted to each galaxy and
# weighted by the ratio of posterior to proposal (*importance sampling*). The result is exact up to the
# effective number of samples. Galaxies with too few effective samples or a heavy tail of weights are
# rejected.
#
# **Local.** The Fisher information of the six numbers and the curvature of the prior at the highest mode
# give a normal distribution (Laplace approximation), without sampling. It ignores all other modes.
#
# **Learned.** A mixture density network is trained on simulated galaxies with the same measurement
# errors. It uses neither latent variables nor likelihoods.

# %% mystnb={"figure": {"caption": "Posterior of the redshift of three test galaxies from the two surveys, from well constrained (top) to poorly constrained (bottom). Each panel has its own redshift range.", "name": "fig-limit-posteriors"}, "image": {"alt": "Three panels with redshift posteriors from SDSS and CFHTLS, exact as solid and local as dotted lines, and the true redshift as a vertical line."}} tags=["hide-input"]
order, grid = np.argsort(found["source"]["local_scatter"]), redshift.Grid()
chosen = order[(np.array([0.1, 0.5, 0.9]) * len(order)).astype(int)]
fig, axes = plt.subplots(3, 1, figsize=(plotting.WIDTH, 5.3))
for ax, galaxy in zip(axes, chosen, strict=True):
    for side, name in SURVEYS.items():
        one = {key: array[galaxy, None] for key, array in found[side].items()}
        local = information.gaussian_density(one["local_mean"], one["local_scatter"], grid.edges)
        shown = {"exact": (one["density"].mean(axis=1), "-"), "local": (local, ":")}
        for way, (density, line) in shown.items():
            style = {"color": plotting.SURVEY_COLOUR[name], "label": f"{name}, {way}"}
            ax.plot(grid.centres, density[0] * grid.bins / grid.z_max, line, **style)
    z, wide = one["z"], 6 * max(found[side]["scatter"][galaxy] for side in SURVEYS)
    ax.axvline(z, color="black", linewidth=1, label="true redshift")
    ax.set(xlim=(max(z - wide, 0), z + wide), yticks=[], ylabel="p(z)")
axes[-1].set_xlabel("redshift z")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
plt.show()

# %%
training = {"sizes": sizes, "steps": steps, "seeds": seeds}
learned = {
    side: artefacts.make_arrays(
        store.data(f"limit_learned_{side}"),
        lambda side=side: information_bound.learned_densities(
            found[side], side, **training, seed=seed
        ),
        params={**training, "side": side},
        inputs=[store.data(f"limit_{side}")],
        **provenance,
    )
    for side in information_bound.SIDES
}
z, edges = found["source"]["z"], redshift.Grid().edges
train_z = image_files.read_column(paths.need(store.data("train"), "01_two_surveys"), "redshift")
prior = information.prior(train_z, edges)

# %% [markdown]
# The table gives the median posterior width in units of $1 + z$, and in its last row the actual scatter
# $\sigma_\mathrm{MAD}$ of the exact posterior means about the true redshifts. The local width can be
# smaller than the exact one because it ignores the wings and the other modes.
#
# *Components resolved* is an upper bound on the information in an image. If the positions of all knots,
# arms and neighbours were known, the fluxes of bulge, disc and arms could be measured separately. They
# consist of older and younger stars of the same galaxy, and their differences constrain the redshift
# free of calibration errors, up to the scatter between the spectra of the components (age, dust, slope
# and break for bulge and bar; age, dust and slope for young stars). This estimate is local: a Laplace
# approximation about the truth with the true prior. No real estimator has this additional knowledge, and
# on average none exceeds the bound.

# %%
lines = {}
for side, name in SURVEYS.items():
    one = found[side]
    widths = {
        "exact": np.where(one["good"], one["scatter"], np.nan),
        "local": one["local_scatter"],
        "components resolved (bound)": one["components_scatter"],
    }
    for way, width in widths.items():
        lines[way, name] = intervals.bootstrap(intervals.median, width / (1 + z), n_boot)
    off = np.where(one["good"], one["mean"] - z, np.nan) / (1 + z)
    lines["σ_MAD of the exact means", name] = intervals.bootstrap(
        intervals.robust_scatter, off, n_boot
    )
shown = {key: str(e) for key, e in lines.items()}
ways = list(dict.fromkeys(way for way, _ in lines))
pd.DataFrame({name: [shown[way, name] for way in ways] for name in names}, index=ways)

# %% [markdown]
# On real images of SDSS main-sample galaxies, networks trained on 400,000 galaxies reach
# $\sigma_\mathrm{MAD} = 0.0091$, and less than 0.007 at signal-to-noise ratios above 100
# {cite}`pasquet2019`. The two bounds should bracket this scatter. The spectra of the simulation were tuned
# to this, and to the accuracy of nearest-neighbour redshifts in real catalogues
# (`benchmarks/tune_population.py`).
#
# As a compromise, redshifts from mock catalogues remain somewhat too accurate, most of all for red
# galaxies.

# %% [markdown]
# Information in bits also accounts for wings, secondary modes and catastrophic outliers, to which a
# median width is insensitive. Galaxies rejected by one method are excluded from all.

# %%
known = {}
for side, name in SURVEYS.items():
    one, largest = found[side], max(sizes)
    for k in range(seeds):
        exact, network = one["density"][:, k], learned[side][f"{largest}_{k}"]
        known[f"{name}, exact", k] = information_bound.bits(exact, z, prior, one["good"])
        known[f"{name}, local", k] = information_bound.local_bits(one, "local", prior)
        known[f"{name}, learned", k] = information_bound.bits(network, z, prior)
        known[f"{name}, components", k] = information_bound.local_bits(one, "components", prior)
known = information_bound.common_galaxies(known)

# %% mystnb={"figure": {"caption": "Redshift information by three methods, and the upper bound with all components of the galaxies resolved; 95 % intervals over galaxies. One symbol per seed of the posterior samples and of the learned estimate; the local posterior and the upper bound do not depend on the seed.", "name": "fig-limit-bits"}, "image": {"alt": "Eight rows, four for each survey: exact, local, learned, and with all components resolved. The table below compares them."}} tags=["hide-input"]
means = {key: intervals.bootstrap(intervals.mean, b, n_boot) for key, b in known.items()}
colours = {way: plotting.SURVEY_COLOUR[way.split(",")[0]] for way, _ in known}
n_known = next(iter(means.values())).n
panels.seed_strips(means, colours, f"bits of redshift (n = {n_known})")
plt.show()

# %% [markdown]
# Two methods *agree* if the 95 % interval of their paired difference lies within the margin set above
# (an equivalence test). A statement is supported only if it holds for all seeds. A further table gives
# the number of rejected galaxies, the effective number of samples, and the *p* value of a test for
# uniform PIT values.

# %%
pairs = {
    f"{name}: exact and {other} agree": (f"{name}, exact", f"{name}, {other}")
    for name in SURVEYS.values()
    for other in ("local", "learned")
}
agreement = seeds_agree.compare(known, pairs, n_boot, seed, within=(-margin, margin))
seeds_agree.summary(agreement)

# %% tags=["hide-input"]
quality = {}
for side, name in SURVEYS.items():
    good, effective = found[side]["good"], found[side]["effective"]
    even = round(information_bound.pit_pvalue(found[side]), 2)
    quality[name] = [(~good).sum(), int(np.median(effective)), even]
columns = ["rejected", "effective samples (median)", "PIT uniformity (p value)"]
pd.DataFrame.from_dict(quality, orient="index", columns=columns)

# %% [markdown]
# With more simulated galaxies the learned estimate should approach the exact bound from below and not
# exceed it beyond statistical error. It has *converged* if the gain from the last enlargement of the
# training set, with its whole interval, is below a third of the margin.

# %%
trained, levels = {}, {}
for side, name in SURVEYS.items():
    good, exact = found[side]["good"], found[side]["density"].mean(axis=1)
    for size, k in product(sizes, range(seeds)):
        bits = information_bound.bits(learned[side][f"{size}_{k}"], z, prior, good)
        trained[f"{name}, {size:,} galaxies", k] = bits
    whole = information_bound.bits(exact, z, prior, good)
    levels[name] = intervals.bootstrap(intervals.mean, whole, n_boot)

# %% mystnb={"figure": {"caption": "Redshift information of an estimator trained on increasing numbers of simulated galaxies, and the exact bound, with 95 % intervals over galaxies. One symbol per seed.", "name": "fig-limit-learning"}, "image": {"alt": "Rows for each survey: bits of an estimator with increasing training sets, then the exact bound."}} tags=["hide-input"]
strips = {}
for name, exact in levels.items():
    own = {key: bits for key, bits in trained.items() if key[0].startswith(name)}
    strips |= {key: intervals.bootstrap(intervals.mean, bits, n_boot) for key, bits in own.items()}
    strips[f"{name}, exact", 0] = exact
colours = {way: plotting.SURVEY_COLOUR[way.split(",")[0]] for way, _ in strips}
panels.seed_strips(strips, colours, f"bits of redshift (n = {min(e.n for e in strips.values())})")
plt.show()

# %%
before, after = (f"{size:,} galaxies" for size in sizes[-2:])
gained = {
    f"{name}: the learned bound converged": (f"{name}, {after}", f"{name}, {before}")
    for name in SURVEYS.values()
}
third = (-margin / 3, margin / 3)
converged = seeds_agree.compare(trained, gained, n_boot, seed, within=third)
seeds_agree.summary(converged)

# %% [markdown]
# ## Splitting the loss
#
# The chapter on redshift trained an estimator on each kind of image. We evaluate these estimators on the
# galaxies with a computed bound. With $L$ the bound and $I$ the information that an estimator extracts,
# the difference between the bound of the target and the information extracted from a translation is
#
# $$ L_\mathrm{target} - I_\mathrm{translated} =
#   \underbrace{L_\mathrm{target} - L_\mathrm{source}}_\text{irreducible}
# + \underbrace{L_\mathrm{source} - I_\mathrm{source}}_\text{estimator}
# + \underbrace{I_\mathrm{source} - I_\mathrm{translated}}_\text{translator} . $$
#
# The *irreducible* loss is information absent from the source image, which no model can recover. The
# *estimator* loss is information in the source that the trained estimator does not extract. The
# *translator* loss is information extracted from the source and not from the translation. All estimators
# are trained from scratch, alike and on equally many galaxies, so that the inefficiency of the source's
# estimator is not attributed to a translator. The networks of an ensemble serve as seeds.

# %%
for row, ensemble in estimators.items():
    each = ensemble.densities(ensemble.extract_features(read[row]))[1]
    for k, density in enumerate(each[:seeds]):
        known[row, k] = information_bound.bits(density, z, prior)
for k in range(seeds):
    for name in SURVEYS.values():
        known[name, k] = known[f"{name}, exact", k]
known = information_bound.common_galaxies(known)
lost = information_bound.split_losses(known, models, "source", n_boot, seed)

# %% mystnb={"figure": {"caption": "Irreducible, estimator and translator loss, with 95 % intervals over galaxies; one symbol per network of the estimators. Irreducible and estimator loss are the same for all translators.", "name": "fig-limit-split"}, "image": {"alt": "Rows with one point per seed, in bits: irreducible loss, estimator loss, and the loss of every translator."}} tags=["hide-input"]
losses, colours = {}, {"irreducible": plotting.SURVEY_COLOUR["CFHTLS"], "estimator": "black"}
for x in lost.itertuples():
    way = x.part if x.part in colours else plotting.MODEL_NAME.get(x.row, x.row)
    losses[way, x.seed] = intervals.Estimate(x.value, x.low, x.high, x.n)
colours |= {plotting.MODEL_NAME.get(m, m): plotting.MODEL_COLOUR.get(m) for m in models}
fig = panels.seed_strips(losses, colours, f"bits of redshift lost (n = {lost.n.max()})")
fig.axes[0].axvline(0, color="black", linewidth=0.8, zorder=0)
plt.show()

# %% [markdown]
# The bounds shown use total fluxes and size. An estimator of whole CFHTLS images, which resolve bulge
# and disc, may reach or exceed them, and the irreducible loss may be larger than shown: with all
# components resolved it is the difference in the second row of the table below. An estimator above the
# upper bound would indicate an error.
#
# A statement is *supported* only if all seeds agree. Seeds differ in the posterior samples, in the
# training set and initialisation of the learned estimate, and in the network of the estimator. They
# share the test galaxies, whose sampling error is in the intervals. The local posterior and the upper
# bound are formulas, so that a statement about them alone has no scatter between seeds. Every translator
# was trained once; the chapter on [scatter between trainings](25_leaderboard.py) tests further trainings.

# %%
MORE = "CFHTLS images hold more information than SDSS images"
tests = {MORE: ("CFHTLS", "SDSS")}
APART = "CFHTLS images hold more information with all components resolved"
tests[APART] = ("CFHTLS, components", "SDSS, components")
tests["the estimator falls short of the SDSS bound"] = ("SDSS", "source")
tests["the estimator falls short of the CFHTLS bound"] = ("CFHTLS", "truth")
names = [plotting.MODEL_NAME.get(model, model) for model in models]
loses = [f"{name} loses information that the estimator finds in its source" for name in names]
tests |= {text: ("source", model) for text, model in zip(loses, models, strict=True)}
judged = seeds_agree.compare(known, tests, n_boot, seed)
everything = pd.concat([agreement, converged, judged], ignore_index=True)
made = [store.data(f"limit_{kind}{side}") for kind in ("", "learned_") for side in found]
file, inputs = store.table("verdicts_limit"), [*made, *sample.inputs]
seeds_agree.keep(everything, file, inputs)
seeds_agree.summary(judged)

# %% [markdown]
# The [table of claims](27_claims.py) uses the bound of CFHTLS minus that of SDSS. Its control is the
# bound of SDSS from two independent sets of samples, whose difference measures the numerical error.

# %%
gaps = {f"seed {k}": (known["CFHTLS", k], known["SDSS", k]) for k in range(seeds)}
gaps["other samples"] = known["SDSS", 0], known["SDSS", 1]
gaps = claims.differences(gaps, n_boot=n_boot, seed=seed)
claims.keep(claims.evidence("mapping", gaps), store, "33_the_limit", inputs, seed=seed)

# %% tags=["hide-input"]
shares = {}
for model in ["source", *models]:
    both = np.stack([known[model, 0], known["SDSS", 0]])
    shares[plotting.MODEL_NAME.get(model, model)] = {
        "bits found": str(intervals.bootstrap(intervals.mean, both[0], n_boot)),
        "fraction of the SDSS bound": str(
            intervals.bootstrap(intervals.ratio_of_means, both, n_boot)
        ),
    }
pd.DataFrame(shares).T


# %% tags=["remove-cell"]
def tell(name, value):
    """Glue a number or a word of this chapter."""
    glue(f"limit_{name}", value, display=False)


for side, name in SURVEYS.items():
    low = name.lower()
    tell(f"sigma_{low}", str(lines["exact", name]))
    tell(f"bound_{low}", str(lines["components resolved (bound)", name]))
    tell(f"bits_{low}", str(levels[name]))
    tell(f"refused_{low}", int((~found[side]["good"]).sum()))
first = {way: loss for (way, k), loss in losses.items() if k == 0}
order = sorted(first.keys() - {"irreducible", "estimator"}, key=lambda way: first[way].value)
for key, way in (("best", order[0]), ("worst", order[-1])):
    tell(key, way)
    tell(f"{key}_loss", str(first[way]))

# %% tags=["remove-cell"]
for part in ("irreducible", "estimator"):
    tell(part, str(first[part]))
most = known["CFHTLS, components", 0] - known["SDSS, components", 0]
tell("irreducible_most", str(intervals.bootstrap(intervals.mean, most, n_boot, seed)))
tell("n", int(lost.n.max()))
words = seeds_agree.consensus_by_claim(everything)
tell("deeper", words[MORE])
tell("apart", words[APART])
for key, sentences in seeds_agree.claims_by_consensus(everything).items():
    tell(key, sentences)

# %% [markdown]
# ## What we found
#
# From total fluxes and size, an ideal estimator obtains {glue:text}`limit_bits_sdss` bits (SDSS) and
# {glue:text}`limit_bits_cfhtls` bits (CFHTLS). The statement that CFHTLS holds more information is
# *{glue:text}`limit_deeper`*.
#
# With all components resolved, the median posterior widths are {glue:text}`limit_bound_sdss` and
# {glue:text}`limit_bound_cfhtls` in units of $1 + z$; the statement that CFHTLS then holds more information
# is *{glue:text}`limit_apart`*. The bound for the whole image lies between the two estimates.
#
# The irreducible loss is {glue:text}`limit_irreducible` bits for total fluxes and size, and
# {glue:text}`limit_irreducible_most` bits with all components resolved. The estimator loses
# {glue:text}`limit_estimator` bits. Among the translators, {glue:text}`limit_best` loses least,
# {glue:text}`limit_best_loss` bits, and {glue:text}`limit_worst` most, {glue:text}`limit_worst_loss`
# bits (seed 0). An interval that contains 0 means that no loss was detected; one below 0 cannot be a
# loss. The losses are means over {glue:text}`limit_n` galaxies accepted by all methods;
# {glue:text}`limit_refused_sdss` (SDSS) and {glue:text}`limit_refused_cfhtls` (CFHTLS) were rejected.
#
# Over all seeds, these statements are *supported*: {glue:text}`limit_supported`. *Contradicted*:
# {glue:text}`limit_contradicted`. *Inconclusive*: {glue:text}`limit_inconclusive`.
#
# ## Exercises
#
# 1. The Fisher information averaged over galaxies bounds the mean squared error of any estimator (van Trees).
#    Why do we use medians over galaxies and bits instead?
#
# ```{dropdown} Solution
# The average is dominated by the galaxies with the best-determined redshifts, such as those with a spectral
# feature at the edge of a filter. The bound is valid, but far below what is possible for most galaxies.
# ```
#
# 2. The exact posterior uses the true population. What would an analysis of real galaxies have to add?
#
# ```{dropdown} Solution
# Uncertainty of the population: the errors of the prior and of the spectra have to be marginalised as well.
# The bound here holds for the simulated population.
# ```
#
# **What's next:** [are samples as diverse as the truth?](34_models_spread.py) tests the uncertainty of
# generative translators.
