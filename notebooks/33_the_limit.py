# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Information bound: the best possible redshift
#
# A translator that keeps half of the redshift information has lost half of what? Of what some
# network found in the source, or of what there is to be found? How well could *anyone* know the
# redshift from this SDSS image, and from this CFHTLS image?
#
# **What you will learn**
#
# - how to compute what an image says about a redshift, without training anything;
# - why a deeper and sharper image does not say as much more as one would think;
# - which part of the loss no translator could avoid, and which part is the translator's.
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
draws: int = 2000  # draws from the posterior of each
points: int = 24  # about which the last of these draws are made
sizes: list[int] = [1000, 8000, 64000]  # simulated galaxies that an estimator learns from
steps: int = 2000  # steps of learning from the largest of these samples
seeds: int = 2  # how often everything random is done anew
margin: float = 0.15  # bits within which two ways agree: 10 per cent in the width of a density
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## What a redshift hides behind
#
# In this simulation a galaxy is a handful of numbers: its redshift and magnitude, drawn from the
# luminosity functions of red and of blue galaxies, and seven standard normal numbers that make its
# spectrum (how old its stars are, dust, slope, the depth of the 4000 Å break, light in the far
# blue and the far red, emission lines). Its size scatters about the mean for its type and
# luminosity. Dust reddens discs the more, the more they are inclined; the axis ratio $q$, which
# pixels show well, is taken as known. The redshift enters the pixels through the colours, the
# brightness and the size, and every one of the other numbers can imitate it a little. Who wants the
# redshift has to allow for all of them. That is what a posterior does,
#
# $$ p(z \mid d) \propto \sum_\mathrm{type} \int p(d \mid \mathrm{type}, z, r, n_1 \ldots n_7, q)\,
# p(\mathrm{type}, z, r)\, p(q \mid \mathrm{type}) \prod_k N(n_k; 0, 1)\; dr\, dn_1 \ldots dn_7 , $$
#
# and nobody who sees the data $d$ and knows how galaxies are made can do better: no other density
# has a larger expected score in bits.
#
# ## From pixels to six numbers
#
# Near the truth, an image is linear in small changes of what it shows. So all that its 20 000
# pixels say about brightness, position, size, shape and seeing is a matrix, the **Fisher
# information**, and a vector, the score; the noise of every pixel is known. Position, shape and
# seeing are integrated out, each seeing with the scatter it has from night to night. What is left
# is the best measurement of the light in five bands and of the size, with its errors. To them comes
# what no pixel knows of: the calibration of each band, off by one to two per cent. The galaxies of
# a survey's field share one calibration, and the test galaxies lie in few fields. A limit is an
# expectation over calibrations, so here every galaxy gets one of its own.

# %%
SURVEYS = {"source": "SDSS", "target": "CFHTLS"}
names = list(SURVEYS.values())
store = paths.Results(results, profile)
test = paths.need(store.data("test"), "01_two_surveys")
sizes = sorted(sizes)
if len(sizes) < 2:
    raise GaltoolsError(f"sizes = {sizes}: give two, to see what more of them bring")
sample = comparison.load_comparison(store, "cross", paths.check_models(models), seed, n_galaxies)
read = {"source": sample.pairs.source, "truth": sample.truth}
read |= {model: sample.images[model] for model in models}
# for the last question: what is missing is said now
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
# Is the compression fair? For a few galaxies we draw brightness, position, shape and seeing from
# what the six numbers allow, render every draw anew and compare the likelihood of all pixels with
# that of the compression. If they differ by much less than 1 (in ln L), nobody could tell the two
# apart.

# %%
error = information_bound.compression_scatter(test, n=3)
pd.DataFrame(error, columns=names).round(3).add_prefix("scatter of ln L, ").rename_axis("galaxy")

# %% [markdown]
# ## Three ways that have to agree
#
# **Exact.** We draw the nine numbers and the type from a proposal that is adapted to each galaxy,
# and weight every draw by the posterior over the proposal (*importance sampling*). The answer is
# exact up to the number of draws that count; galaxies with too few of them, or with weights whose
# tail is too heavy, are refused rather than believed.
#
# **Local.** At the highest mode, the Fisher information of the six numbers plus the curvature of the
# prior gives a normal law: a formula, no draws. It knows nothing of the other modes.
#
# **Learnt.** A small network learns the density from simulated galaxies that are measured with the
# same errors. It knows nothing of latent numbers or likelihoods.

# %% mystnb={"figure": {"caption": "What the two surveys say about the redshift of three test galaxies, among the best known (top) and the least well known (bottom). Each panel has its own range of redshifts.", "name": "fig-limit-posteriors"}, "image": {"alt": "Three panels with the densities of the redshift from SDSS and CFHTLS, exact as lines and local as dots, about the true redshift."}} tags=["hide-input"]
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
# Scatter first: the width of the posterior of the median galaxy, in units of $1 + z$, and in the last
# line how far the exact means really are from the truth. *Parts told apart* is a fourth, generous
# way: what if somebody told us where every knot, arm and neighbour stands? Then bulge, disc and arms
# could be measured apart. They are made of older and younger stars of the same galaxy, and their
# differences know the redshift too, free of any calibration, up to the scatter that the spectrum of
# each component has for itself (bulge and bar in age, dust, slope and break, young stars in age, dust
# and slope). This end of the bracket is a local one: a Laplace law about the truth, with the true
# prior of all these numbers. No real reader has this help, and help
# cannot harm: nobody knows more. Where the local width is smaller than the exact one, it is because
# it knows neither the wings nor the other modes.

# %%
lines = {}
for side, name in SURVEYS.items():
    one = found[side]
    widths = {
        "exact": np.where(one["good"], one["scatter"], np.nan),
        "local": one["local_scatter"],
        "parts told apart (at best)": one["components_scatter"],
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
# On real images of SDSS main-sample galaxies, networks reach $\sigma_\mathrm{MAD} = 0.0091$ with 400,000
# galaxies to learn from, and less than 0.007 where the signal-to-noise ratio exceeds 100
# {cite}`pasquet2019`. Their scatter has to lie between the two ends of this bracket. The spectra of
# the simulation were tuned for that (`benchmarks/tune_population.py`), and for nearest neighbours to
# find redshifts in a mock catalogue as badly as in the real one. The two pull against each other: a
# wider red sequence, which neighbours ask for, takes from images, too. What remains is a compromise.
# Mock catalogues are a little easier than the real one, most of all for red galaxies, although their
# magnitudes scatter by 0.01 beyond the quoted errors (an assumption), and the generous end is no
# smaller than it has to be. Real galaxies vary in more ways than nine numbers.

# %% [markdown]
# Now in bits, in which everything is counted that a median forgets: wings, second modes, galaxies
# that are taken for something else. Galaxies that were refused by one way are left out of all.

# %%
known = {}
for side, name in SURVEYS.items():
    one, largest = found[side], max(sizes)
    for k in range(seeds):
        exact, network = one["density"][:, k], learned[side][f"{largest}_{k}"]
        known[f"{name}, exact", k] = information_bound.bits(exact, z, prior, one["good"])
        known[f"{name}, local", k] = information_bound.local_bits(one, "local", prior)
        known[f"{name}, learnt", k] = information_bound.bits(network, z, prior)
        known[f"{name}, parts", k] = information_bound.local_bits(one, "components", prior)
known = information_bound.common_galaxies(known)

# %% mystnb={"figure": {"caption": "Information about the redshift, three ways and with the upper bound that knows all parts of the galaxies, with 95 % intervals over galaxies. One symbol per seed of the draws and of the learner; the local posterior and the bound have none.", "name": "fig-limit-bits"}, "image": {"alt": "Eight lines, four for each survey: exact, local, learnt, and with all parts known. The table below compares them."}} tags=["hide-input"]
means = {key: intervals.bootstrap(intervals.mean, b, n_boot) for key, b in known.items()}
colours = {way: plotting.SURVEY_COLOUR[way.split(",")[0]] for way, _ in known}
n_known = next(iter(means.values())).n
panels.seed_strips(means, colours, f"bits of redshift (n = {n_known})")
plt.show()

# %% [markdown]
# Two ways *agree* if the interval of their difference, galaxy by galaxy, lies within the margin set
# above; a statement is supported if all seeds say so.

# %%
pairs = {
    f"{name}: exact and {other} agree": (f"{name}, exact", f"{name}, {other}")
    for name in SURVEYS.values()
    for other in ("local", "learnt")
}
agreement = seeds_agree.compare(known, pairs, n_boot, seed, within=(-margin, margin))
seeds_agree.summary(agreement)

# %% tags=["hide-input"]
quality = {}
for side, name in SURVEYS.items():
    good, effective = found[side]["good"], found[side]["effective"]
    even = round(information_bound.pit_pvalue(found[side]), 2)
    quality[name] = [(~good).sum(), int(np.median(effective)), even]
columns = ["refused", "draws that count (median)", "PIT is even (probability)"]
pd.DataFrame.from_dict(quality, orient="index", columns=columns)

# %% [markdown]
# Has the learner seen enough? The more galaxies it has seen, the nearer it should come to the exact
# limit, from below, and not cross it by more than chance. Whether it has *converged* is computed too: the gain from the last
# enlargement of its school has to be below a third of the margin, with all of its interval.

# %%
trained, levels = {}, {}
for side, name in SURVEYS.items():
    good, exact = found[side]["good"], found[side]["density"].mean(axis=1)
    for size, k in product(sizes, range(seeds)):
        bits = information_bound.bits(learned[side][f"{size}_{k}"], z, prior, good)
        trained[f"{name}, {size:,} galaxies", k] = bits
    whole = information_bound.bits(exact, z, prior, good)
    levels[name] = intervals.bootstrap(intervals.mean, whole, n_boot)

# %% mystnb={"figure": {"caption": "Information found by an estimator that learnt from so many simulated galaxies, and the exact limit, with 95 % intervals over galaxies. One symbol per seed.", "name": "fig-limit-learning"}, "image": {"alt": "Lines for each survey: bits of an estimator that learnt from more and more galaxies, then those of the exact limit."}} tags=["hide-input"]
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
    f"{name}: the learner has converged": (f"{name}, {after}", f"{name}, {before}")
    for name in SURVEYS.values()
}
third = (-margin / 3, margin / 3)
converged = seeds_agree.compare(trained, gained, n_boot, seed, within=third)
seeds_agree.summary(converged)

# %% [markdown]
# ## Whose fault is the loss?
#
# The chapter on redshift has trained an estimator on every kind of image. They are asked
# once more, galaxy by galaxy, on the galaxies whose limit we know. The difference between the limit
# of the target and what is found in a translation has three parts,
#
# $$ L_\mathrm{target} - I_\mathrm{translated} =
#   \underbrace{L_\mathrm{target} - L_\mathrm{source}}_\text{irreducible}
# + \underbrace{L_\mathrm{source} - I_\mathrm{source}}_\text{estimator}
# + \underbrace{I_\mathrm{source} - I_\mathrm{translated}}_\text{translator} . $$
#
# *Irreducible*: the source image never held it; no model could avoid this part. *Estimator*: it is
# there, but the estimator that we have does not find it in the source either. *Translator*: it was
# found in the source and is not found in the translation. All estimators were trained from scratch alike,
# on equally many galaxies, so that what the estimator of the source misses is not counted against a
# translator. The networks of an ensemble stand for seeds.

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

# %% mystnb={"figure": {"caption": "The loss in three parts, with 95 % intervals over galaxies; one symbol per network of the estimators. The irreducible part and that of the estimator are the same for all translators.", "name": "fig-limit-split"}, "image": {"alt": "A line with a point per seed for the irreducible loss, the loss of the estimator and that of every translator, in bits."}} tags=["hide-input"]
losses, colours = {}, {"irreducible": plotting.SURVEY_COLOUR["CFHTLS"], "estimator": "black"}
for x in lost.itertuples():
    way = x.part if x.part in colours else plotting.MODEL_NAME.get(x.row, x.row)
    losses[way, x.seed] = intervals.Estimate(x.value, x.low, x.high, x.n)
colours |= {plotting.MODEL_NAME.get(m, m): plotting.MODEL_COLOUR.get(m) for m in models}
fig = panels.seed_strips(losses, colours, f"bits of redshift lost (n = {lost.n.max()})")
fig.axes[0].axvline(0, color="black", linewidth=0.8, zorder=0)
plt.show()

# %% [markdown]
# The limits here are those of total light and size. An estimator of whole CFHTLS images, which sees
# bulge and disc apart, may therefore come up to this limit or go beyond it, and the irreducible part
# may be larger than drawn: with all parts known it is the difference in the second line of the
# table below. An estimator beyond the upper bound would be an error somewhere.
#
# A statement is *supported* only if every seed says so. They differ in the draws from the posterior, in the
# learner and what it learnt from, and in the network that reads. They do not differ in three things.
# The galaxies are the same: what others would say is in the intervals. The local posterior and the
# bound are formulas, so that a statement on them alone is made once. And every translator was trained
# once: that another training of it loses as much is not tested here, but in
# [a chapter of its own](28_trainings.py).

# %%
MORE = "CFHTLS images can tell more than SDSS images"
tests = {MORE: ("CFHTLS", "SDSS")}
APART = "CFHTLS images can tell more if all parts of a galaxy are told apart"
tests[APART] = ("CFHTLS, parts", "SDSS, parts")
tests["the estimator falls short of the limit of SDSS"] = ("SDSS", "source")
tests["the estimator falls short of the limit of CFHTLS"] = ("CFHTLS", "truth")
names = [plotting.MODEL_NAME.get(model, model) for model in models]
loses = [f"{name} loses what the estimator finds in its source" for name in names]
tests |= {text: ("source", model) for text, model in zip(loses, models, strict=True)}
judged = seeds_agree.compare(known, tests, n_boot, seed)
everything = pd.concat([agreement, converged, judged], ignore_index=True)
made = [store.data(f"limit_{kind}{side}") for kind in ("", "learned_") for side in found]
file, inputs = store.table("verdicts_limit"), [*made, *sample.inputs]
seeds_agree.keep(everything, file, inputs)
seeds_agree.summary(judged)

# %% [markdown]
# For [the page of claims](27_claims.py): the limit of CFHTLS less that of SDSS. Its control is the limit of
# SDSS less the same by other draws, which is the error of the calculation.

# %%
gaps = {f"seed {k}": (known["CFHTLS", k], known["SDSS", k]) for k in range(seeds)}
gaps["other draws"] = known["SDSS", 0], known["SDSS", seeds - 1]
gaps = {
    row: intervals.paired_difference(intervals.mean, *pair, n_boot, seed)
    for row, pair in gaps.items()
}
claims.keep(claims.evidence("mapping", gaps), store, "33_the_limit", inputs, seed=seed)

# %% tags=["hide-input"]
shares = {}
for model in ["source", *models]:
    both = np.stack([known[model, 0], known["SDSS", 0]])
    shares[plotting.MODEL_NAME.get(model, model)] = {
        "bits found": str(intervals.bootstrap(intervals.mean, both[0], n_boot)),
        "share of the limit of SDSS": str(
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
    tell(f"bound_{low}", str(lines["parts told apart (at best)", name]))
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
most = known["CFHTLS, parts", 0] - known["SDSS, parts", 0]
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
# Whoever reads total light and size of a galaxy without error of method knows its redshift to
# {glue:text}`limit_sigma_sdss` of $1 + z$ (median) from SDSS and to {glue:text}`limit_sigma_cfhtls` from
# CFHTLS, which is {glue:text}`limit_bits_sdss` and {glue:text}`limit_bits_cfhtls` bits. That the deeper
# survey can tell more of it: *{glue:text}`limit_deeper`*. Its noise is much smaller, but the
# calibration is not, and the variety of galaxies is the same. If bulge, disc and arms could be told
# apart, the scatter would be {glue:text}`limit_bound_sdss` and {glue:text}`limit_bound_cfhtls`; that
# CFHTLS then tells more: *{glue:text}`limit_apart`*. The limit of an image, if all of it is read, lies
# between the two, and how near to the second is not known: that one was told where every knot stands.
#
# Of the loss of the translators in bits, {glue:text}`limit_irreducible` are irreducible if total light
# is all that anybody reads, and at most {glue:text}`limit_irreducible_most` if all parts are; the
# estimator loses {glue:text}`limit_estimator`; and the translator {glue:text}`limit_best_loss` by
# {glue:text}`limit_best`, the best of them, and {glue:text}`limit_worst_loss` by {glue:text}`limit_worst`, all of seed 0. An interval
# that holds zero says that no such loss was found, and one below zero cannot be a loss. All this on
# {glue:text}`limit_n` galaxies that every way could judge, {glue:text}`limit_refused_sdss` (SDSS)
# and {glue:text}`limit_refused_cfhtls` (CFHTLS) having been refused.
#
# Over all seeds, these statements are *supported*: {glue:text}`limit_supported`. *Contradicted*:
# {glue:text}`limit_contradicted`. *Inconclusive*: {glue:text}`limit_inconclusive`.
#
# ## Exercises
#
# 1. The average of the Fisher information over all galaxies bounds the mean square error of any
#    estimator (van Trees). Why did we take medians over galaxies, and bits, instead?
#
# ```{dropdown} Solution
# The average is ruled by the few galaxies whose redshift is known best, those of which a spectral
# feature stands at the edge of a filter. The bound that follows is true for all galaxies and far
# below what is possible for almost any of them.
# ```
#
# 2. The exact posterior knows how galaxies are made. What would a real astronomer have to add?
#
# ```{dropdown} Solution
# That the population is not known: the prior and the spectra come with errors of their own, which
# have to be integrated out as well. The limit here is one of this simulated world.
# ```
#
# **What's next:** a model that draws says itself how sure it is: [the models' spread](34_models_spread.py).
