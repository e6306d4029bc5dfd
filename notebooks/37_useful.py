# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # What translations are good for
#
# Every translator loses information, and the paper holds that its images are useful nevertheless.
# For what, how much, and when would one be better off without? Three jobs that somebody with a new
# survey really has, each done with translated images, without them, and with what one would rather
# have.
#
# **What you will learn**
#
# - how labels travel from an old survey to a new one by way of translated images;
# - that the same help can turn into harm once the new survey has labels of its own;
# - whether a translation is a good place to look for something odd.
#
# **Prerequisites:** the chapters on [peak fluxes](23_peaks.py) and on
# [directions](35_directions.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from sklearn.ensemble import HistGradientBoostingClassifier

from companion import claims, directions, downstream, flux_redshift, panels, paths, plotting
from companion import seed_agreement as seeds_agree
from galtools import data
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals
from galtools.models.checkpoint import load_weights
from galtools.training import translate

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
seeds: int = 2  # trainings of the translator, as in the chapter on directions
labels: list[int] = [20, 50, 150, 500]  # numbers of CFHTLS galaxies with a known redshift
subsets: int = 8  # random choices of these galaxies
n_boot: int = 300  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Redshifts for a survey with few labels
#
# CFHTLS is deep, but spectra are expensive: say that only a few of its galaxies have a known
# redshift. SDSS has plenty. Four ways to learn redshifts *for CFHTLS images*:
#
# - **alone**: from the few labelled CFHTLS galaxies;
# - **with SDSS as it is**: add labelled SDSS galaxies, images untouched, and hope;
# - **with SDSS translated**: add the same galaxies, translated to CFHTLS;
# - **translated, no labels**: the translated ones only.
#
# The galaxies that are added are none of those that the translator was trained on. What is learnt
# from are the peaks and total fluxes of the images, by two estimators of very different kind:
# gradient boosting, which cuts the space of fluxes into boxes, and a smooth kernel regression
# (support vectors). A fair verdict on the *images* should not depend on one learner's taste.

# %%
folder = paths.Results(results, profile)
split = {s: paths.need(folder.data(s), "01_two_surveys") for s in ("train", "test", "again")}
split["learn"] = paths.need(folder.data("learn"), "35_directions")
labels, most = sorted(labels), len(image_files.read_column(split["train"], "redshift"))
if not labels or max(labels) > most:
    raise GaltoolsError(f"labels = {labels}: give numbers up to {most}, the training galaxies")
weights = [folder.weights("forward", "residual", seed + k) for k in range(seeds)]
networks = [load_weights(paths.need(w, "35_directions", split["train"])) for w in weights]
scale = data.pixel_scales(split["test"])
noise = np.median(image_files.read_column(split["train"], "target/noise"), axis=0)  # of CFHTLS


def translated(pairs, numbers) -> dict:
    """Images of both surveys, and translations by some of the networks."""
    made = {k: translate.translate(networks[k], pairs.source) for k in numbers}
    return {"SDSS": pairs.source, "CFHTLS": pairs.target, **made}


def measure(way, images, pairs) -> dict:
    """Peak and total fluxes, shapes, and morphological types."""
    pixel = scale["source" if way == "SDSS" else "target"]
    flux = flux_redshift.peak_and_aperture_features(images, noise, pixel)
    kind = np.asarray(pairs.catalogue["morphology"])
    return {"flux": flux, "shape": downstream.shape_features(images, pixel), "kind": kind}


# %% [markdown]
# Of every image only these numbers are kept, a few galaxies at a time. The simulator has observed the
# test galaxies twice. Seed 0 is the first translator, judged on the first observation, seed 1 the
# second translator, judged on the second: what both say survives another training, noise and seeing,
# and another choice of labelled galaxies. The SDSS galaxies that are added are the same; what other
# test galaxies would say is in the intervals.

# %%
z = image_files.read_column(split["test"], "redshift").astype(float)
every = partial(translated, numbers=range(seeds))
sdss = directions.apply_directions(every, measure, split["learn"])
test = []
for k in range(seeds):
    observation = split["again" if k % 2 else "test"]
    test.append(directions.apply_directions(partial(translated, numbers=[k]), measure, observation))
pool = slice(2 * max(labels))
deep = directions.apply_directions(
    lambda x: {"CFHTLS": x.target}, measure, split["train"], rows=pool
)
labelled = deep["CFHTLS", "flux"], image_files.read_column(split["train"], "redshift")[pool]
z_sdss = image_files.read_column(split["learn"], "redshift")

# %%
LEARNERS = ("boosting", "kernel")
errors = {}
for k in range(seeds):
    arms = {
        "alone": None,
        "with SDSS as it is": (sdss["SDSS", "flux"], z_sdss),
        "with SDSS translated": (sdss[k, "flux"], z_sdss),
    }
    sets = labelled, (test[k]["CFHTLS", "flux"], z)
    cases = [*product(arms, labels, [subsets]), ("with SDSS translated", 0, 1)]
    for learner, (arm, size, count) in product(LEARNERS, cases):
        errors[(learner, arm, size), k] = downstream.few_label_errors(
            learner, *sets, arms[arm], size, count, 100 * (seed + k)
        )


# %%
def mean_scatter(errors):
    """Mean over subsets, the first axis, of sigma_MAD over galaxies, the last."""
    return intervals.robust_scatter(errors).mean(axis=0)


# %% mystnb={"figure": {"caption": "Scatter of the redshifts of CFHTLS galaxies against the number of labelled CFHTLS galaxies, by two estimators, with 95 % intervals over galaxies. Dashed: translated SDSS galaxies alone, without a single label from CFHTLS.", "name": "fig-useful-labels"}, "image": {"alt": "Two panels, boosting and kernel, each with three curves of the scatter against the number of labels, and a dashed line."}} tags=["hide-input"]
found = {
    way: intervals.bootstrap(mean_scatter, error, n_boot)
    for (way, k), error in errors.items()
    if k == 0
}
curves = {
    learner: {arm: {size: found[learner, arm, size] for size in labels} for arm in arms}
    for learner in LEARNERS
}
curves = {plotting.with_n(learner, len(z)): curve for learner, curve in curves.items()}
limits = {
    plotting.with_n(learner, len(z)): found[learner, "with SDSS translated", 0].value
    for learner in LEARNERS
}
panels.learning_curves(curves, "σ_MAD of Δz / (1 + z)", "labelled CFHTLS galaxies", limits)
plt.show()

# %% [markdown]
# At the left of each panel a survey begins, at the right it has grown up. Read the distance between
# *alone* and *with SDSS translated* as the value of the translator, in labels that need not be
# bought. Galaxies that are added untouched have the wrong seeing and slightly other filters, which
# pulls the estimates aside; a translation that does its job puts them right.
#
# The two learners do not agree on everything, and they should not be expected to. Boosting needs
# many examples before it can cut finely, so that it gains much from any example that is not too
# wrong. The kernel is smooth from the start: it does well with a few dozen labels, and notices sooner
# when the examples that were added contradict the ones that count.
#
# Where two curves meet, help ends, and where they cross, it turns into harm: the galaxies that were
# added outnumber the labelled ones, and what is wrong with them is learnt along with the rest. Once
# there are enough true labels, it may be better to leave the others out, or to give them less weight.
# The table tests both ends. It would be tempting to quote the left panel alone; but a survey may
# choose its learner, so what it gains is the best with help over the best without. So the table also
# asks whether a survey with few labels should take translated galaxies and boosting, or no help and
# the kernel. Differences are of the scatter $\sigma_\mathrm{MAD}$; a positive one speaks for the claim,
# which is *supported* if every seed of the translator and of the estimator says so, and *inconclusive*
# if they disagree or cannot say.

# %%
few, many = min(labels), max(labels)
CLAIMS = {}
for learner in LEARNERS:
    alone, raw, made = ((learner, arm) for arm in arms)
    CLAIMS |= {
        f"{few} labels: translated help ({learner})": ((*alone, few), (*made, few)),
        f"{few} labels: better than untouched ({learner})": ((*raw, few), (*made, few)),
        f"{many} labels: translated harm ({learner})": ((*made, many), (*alone, many)),
        f"{many} labels: untouched harm ({learner})": ((*raw, many), (*alone, many)),
    }
BEST = f"{few} labels: boosting with translated beats the kernel alone"
CLAIMS[BEST] = ("kernel", "alone", few), ("boosting", "with SDSS translated", few)
judged = seeds_agree.compare(errors, CLAIMS, n_boot, seed, mean_scatter)
inputs = list(split.values())
seeds_agree.keep(judged, folder.table("verdicts_useful"), inputs)
seeds_agree.summary(judged)

# %% [markdown]
# By how much translated galaxies help where labels are few is the number for [the page of
# claims](27_claims.py), by each learner and each seed, of which the least one decides. Its control is by how
# much untouched ones help at most: if they do as well, it is not the translation that is useful, but
# any further galaxy with a known redshift.

# %%
useful = {}
for learner, k in product(LEARNERS, range(seeds)):
    alone, raw, made = (errors[(learner, arm, few), k] for arm in arms)
    for row, helped in {"with translated": made, "untouched": raw}.items():
        gain = intervals.paired_difference(mean_scatter, alone, helped, n_boot, seed)
        useful[f"{learner} {row}, seed {k}"] = gain
raw = {row: useful.pop(row) for row in list(useful) if "untouched" in row}
useful["resample"] = max(raw.values(), key=lambda e: e.value)  # the most that they help
evidence = claims.evidence("useful", useful)
claims.keep(evidence, folder, "37_useful", inputs, seed=seed)

# %% [markdown]
# ## Early or late?
#
# The second job: tell ellipticals and lenticulars from spirals and the rest, in CFHTLS images, when
# all labelled galaxies are in SDSS. What is learnt from are asymmetries and concentrations in three
# bands, which suffer from the seeing: a galaxy that looks concentrated to CFHTLS looks flat to SDSS.
# The judge is the chance that an early type is ranked above a late one: 0.5 is a toss of a coin.

# %%
EARLY = ("elliptical", "lenticular")
was_early, is_early = (np.isin(x["CFHTLS", "kind"], EARLY) for x in (sdss, test[0]))
ranks = {}
for k in range(seeds):
    samples = {"SDSS as it is": "SDSS", "SDSS translated": k, "CFHTLS itself": "CFHTLS"}
    for name, way in samples.items():
        classifier = HistGradientBoostingClassifier(max_iter=80, random_state=seed + k)
        classifier.fit(sdss[way, "shape"], was_early)
        scores = classifier.predict_proba(test[k]["CFHTLS", "shape"])[:, 1]
        ranks[name, k] = np.stack([is_early, scores])

# %% tags=["hide-input"]
TYPES = {
    "translated images teach types better than untouched": ("SDSS translated", "SDSS as it is"),
    "true CFHTLS images teach them better still": ("CFHTLS itself", "SDSS translated"),
}
areas = {way: intervals.bootstrap(downstream.roc_auc, x, n_boot, seed) for way, x in ranks.items()}
types = seeds_agree.compare(ranks, TYPES, n_boot, seed, downstream.roc_auc)
seeds_agree.summary(types)

# %% mystnb={"figure": {"caption": "How well early types are ranked above late ones in CFHTLS images by what was learnt from three kinds of labelled image, with 95 % intervals. One symbol per seed.", "name": "fig-useful-types"}, "image": {"alt": "Three lines with two points each: learnt from SDSS as it is, from SDSS translated, and from CFHTLS itself."}} tags=["hide-input"]
panels.seed_strips(areas, {}, f"area under the ROC curve (n = {len(z)})")
plt.show()

# %% [markdown]
# ## Something odd
#
# The third job: find the mergers, which are rare, by their asymmetry in the r band. Here there is
# nothing to learn, only to look. If the translator sharpened what is there, mergers would stand out
# more in translated images than in their sources; if it made every galaxy look like the many regular
# ones it was trained on, less. Mergers are few, so expect wide intervals: a search for something rare
# is a hard place to prove anything. Whatever comes of it: who looks for what nobody has seen before
# should look at images that no network has touched.

# %%
is_merger = test[0]["CFHTLS", "kind"] == "merger"
R_ASYMMETRY = 1  # the second of the three bands of `shapes`
odd = {}
for k in range(seeds):
    for name, way in {"in SDSS": "SDSS", "translated": k, "in CFHTLS": "CFHTLS"}.items():
        odd[name, k] = np.stack([is_merger, test[k][way, "shape"][:, R_ASYMMETRY]])
ODD = {
    "translation makes mergers easier to find": ("translated", "in SDSS"),
    "CFHTLS makes mergers easier to find": ("in CFHTLS", "in SDSS"),
}
mergers = seeds_agree.compare(odd, ODD, n_boot, seed, downstream.roc_auc)
seeds_agree.summary(mergers)

# %% tags=["remove-cell"]
everything = pd.concat([judged, types, mergers], ignore_index=True)
seeds_agree.keep(everything, folder.table("useful"), [*split.values(), *weights])


# %% tags=["remove-cell"]
said = seeds_agree.consensus_by_claim(everything)
for name, way in {
    "alone": ("alone", few),
    "with": ("with SDSS translated", few),
    "none": ("with SDSS translated", 0),
}.items():
    for learner in LEARNERS:
        glue(f"useful_{name}_{learner}", str(found[learner, *way]), display=False)
for learner in LEARNERS:
    word = said[f"{few} labels: translated help ({learner})"]
    glue(f"useful_help_{learner}", word, display=False)
glue("useful_best", said[BEST], display=False)
for key, sentences in seeds_agree.claims_by_consensus(everything).items():
    glue(f"useful_{key}", sentences, display=False)
for name, k in areas:
    if k == 0:
        glue(f"useful_{name.split()[-1]}", str(areas[name, 0]), display=False)

# %% tags=["remove-cell"]
for name, key in (("in SDSS", "odd_source"), ("translated", "odd_translated")):
    e = intervals.bootstrap(downstream.roc_auc, odd[name, 0], n_boot, seed)
    glue(f"useful_{key}", str(e), display=False)
for key, value in {"few": few, "n": len(z), "mergers": int(is_merger.sum())}.items():
    glue(f"useful_{key}", value, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`useful_n` CFHTLS galaxies, with {glue:text}`useful_few` labels and seed 0, the scatter
# of the redshifts is, by *boosting*, {glue:text}`useful_alone_boosting` without help and
# {glue:text}`useful_with_boosting` together with translated SDSS galaxies; by the *kernel*,
# {glue:text}`useful_alone_kernel` and {glue:text}`useful_with_kernel`. That translated galaxies help,
# by every seed: *{glue:text}`useful_help_boosting`* for boosting, *{glue:text}`useful_help_kernel`* for
# the kernel; that boosting with their help beats the kernel without: *{glue:text}`useful_best`*. And with
# translated galaxies only, not one label of CFHTLS among them, boosting scatters by
# {glue:text}`useful_none_boosting`.
#
# Types learnt from SDSS as it is are ranked right with a chance of {glue:text}`useful_is`, from
# translated SDSS {glue:text}`useful_translated`, from CFHTLS itself {glue:text}`useful_itself`. The
# {glue:text}`useful_mergers` mergers are ranked above other galaxies with a chance of
# {glue:text}`useful_odd_source` in the source and of {glue:text}`useful_odd_translated` after
# translation (all of seed 0).
#
# Over all seeds, these statements are *supported*: {glue:text}`useful_supported`. *Contradicted*:
# {glue:text}`useful_contradicted`. *Inconclusive*: {glue:text}`useful_inconclusive`.
#
# **Exercise.** Give the labelled CFHTLS galaxies more weight than the translated ones. Does the harm
# at the right end of the learning curve go away, and does the help at the left end stay?
#
# ```{dropdown} Solution
# In `downstream.few_label_errors`, hand `fit` a weight for each galaxy: `sample_weight=w` for boosting,
# `svr__sample_weight=w` for the kernel, which is a pipeline. A weight of the number of helpers over
# the number of labels makes both groups count the same, whatever their size: with few labels the
# helpers still decide how redshift depends on colour, and with many labels the labels do. In our
# trial the help for boosting stayed, and of the harm to the kernel only a part went away.
# ```
#
# **What's next:** [Your own translator](bring_your_own.py) on the same bench.
