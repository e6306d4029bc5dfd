# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Uses of translated images
#
# With {glue:text}`useful_few` labelled CFHTLS galaxies, adding labelled SDSS galaxies translated to CFHTLS
# changes the redshift scatter from {glue:text}`useful_alone_boosting` to {glue:text}`useful_with_boosting`
# for gradient boosting, and from {glue:text}`useful_alone_kernel` to {glue:text}`useful_with_kernel` for
# kernel regression (seed 0). That the addition lowers the scatter for every seed:
# *{glue:text}`useful_help_boosting`* (boosting), *{glue:text}`useful_help_kernel`* (kernel).
#
# The paper holds that translated images are useful although information is lost. This chapter tests three
# tasks of a new survey.
#
# **What you will learn**
#
# - how translated images transfer labels from an old survey to a new one;
# - when the added galaxies cease to help, or harm;
# - whether translation makes mergers easier to find.
#
# **Prerequisites:** the chapters on [peak fluxes](23_peaks.py) and on [directions](35_directions.py). About
# 15 minutes.

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
# ## Redshifts from few labels
#
# Suppose that few CFHTLS galaxies have a spectroscopic redshift, but many of SDSS. Four training sets for
# redshifts *of CFHTLS images* are compared:
#
# - **alone**: the few labelled CFHTLS galaxies;
# - **with SDSS as it is**: these and labelled SDSS galaxies, images unchanged;
# - **with SDSS translated**: these and the same SDSS galaxies, translated to CFHTLS;
# - **translated, no labels**: the translated galaxies only.
#
# The added galaxies are not among those on which the translator was trained. The features are 18 magnitudes
# and colours, of the central pixels and within 3 arcsec. Two estimators separate the effect of the images
# from that of the method: gradient boosting of decision trees, and support vector regression with a Gaussian
# kernel. The scatter is
#
# $$ \sigma_\mathrm{MAD} = 1.4826 \, \mathrm{median}\,|e - \mathrm{median}(e)|, \qquad
# e = (\hat z - z)/(1 + z) , $$
#
# averaged over random choices of the labelled galaxies.

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
# Translators of even seeds are evaluated on the first observation of the test galaxies, those of odd seeds on
# the second. Agreement of the seeds covers training, noise, seeing and the choice of labelled galaxies, but
# not that of the added SDSS galaxies; intervals cover the sample of test galaxies.

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


# %% mystnb={"figure": {"caption": "Redshift scatter of CFHTLS galaxies against the number of labelled CFHTLS galaxies, for two estimators, with 95 % intervals over galaxies. Dashed: translated SDSS galaxies only, without labels from CFHTLS.", "name": "fig-useful-labels"}, "image": {"alt": "Two panels, boosting and kernel, each with three curves of the scatter against the number of labels, and a dashed line."}} tags=["hide-input"]
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
panels.learning_curves(curves, "σ_MAD of δz / (1 + z)", "labelled CFHTLS galaxies", limits)
plt.show()

# %% [markdown]
# The horizontal distance between *alone* and *with SDSS translated* is the value of the translator in labels
# saved. Unchanged SDSS galaxies have another seeing and slightly different filters, which biases the
# estimates; a good translation corrects for both.
#
# Where the curves cross, the added galaxies do harm: they outnumber the labelled galaxies, and their errors
# are learnt.
#
# The table tests both ends of the curves. A survey is free to choose its estimator, so one claim compares
# boosting with translated galaxies to the kernel without. Differences of $\sigma_\mathrm{MAD}$ are positive
# in favour of a claim. A claim is *supported* if the 95 % intervals of all seeds lie above zero,
# *contradicted* if all lie below, and otherwise *inconclusive*.

# %%
few, many = min(labels), max(labels)
CLAIMS = {}
for learner in LEARNERS:
    alone, raw, made = ((learner, arm) for arm in arms)
    for claim, (first, second) in {
        f"{few} labels: translated images reduce the scatter": (alone, made),
        f"{few} labels: translated images help more than unchanged ones": (raw, made),
        f"{many} labels: translated images increase the scatter": (made, alone),
        f"{many} labels: unchanged images increase the scatter": (raw, alone),
    }.items():
        size = int(claim.split()[0])
        CLAIMS[f"{claim} ({learner})"] = (*first, size), (*second, size)
BEST = f"{few} labels: boosting with translated images beats the kernel alone"
CLAIMS[BEST] = ("kernel", "alone", few), ("boosting", "with SDSS translated", few)
judged = seeds_agree.compare(errors, CLAIMS, n_boot, seed, mean_scatter)
inputs = list(split.values())
seeds_agree.keep(judged, folder.table("verdicts_useful"), inputs)
seeds_agree.summary(judged)

# %% [markdown]
# The decrease of the scatter by translated galaxies at the smallest number of labels enters [the page of
# claims](27_claims.py), for each estimator and seed; the least one decides. The control is the largest
# decrease by unchanged SDSS galaxies. If it is as large, any further galaxies with known redshift are as
# useful as translated ones.

# %%
gained = {"with translated images": {}, "with unchanged images": {}}
for learner, k in product(LEARNERS, range(seeds)):
    alone, raw, made = (errors[(learner, arm, few), k] for arm in arms)
    for way, helped in zip(gained, (made, raw), strict=True):
        gained[way][f"{learner} {way}, seed {k}"] = alone, helped
useful, raw = (claims.differences(x, mean_scatter, n_boot, seed) for x in gained.values())
useful["resample"] = max(raw.values(), key=lambda e: e.value)  # their largest gain
evidence = claims.evidence("useful", useful)
claims.keep(evidence, folder, "37_useful", inputs, seed=seed)

# %% [markdown]
# ## Morphological types
#
# The second task is to distinguish early types (ellipticals and lenticulars) from all others in CFHTLS
# images, with a classifier trained on SDSS galaxies. The features are, in g, r and i, the asymmetry
#
# $$ A = \frac{\sum |I - I_{180}| - \mathrm{noise}}{\sum |I|} , $$
#
# where $I_{180}$ is the image $I$ rotated by 180 degrees, and three concentrations: the fluxes within 1, 2
# and 4 arcsec, each over that within twice the radius. They depend on the seeing. The metric is the area
# under the ROC curve, the probability that an early type has a higher score than a late one: 0.5 for random
# scores, 1 for a perfect separation.

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
    "types: training on translated images beats unchanged ones": (
        "SDSS translated",
        "SDSS as it is",
    ),
    "types: training on CFHTLS images beats translated": ("CFHTLS itself", "SDSS translated"),
}
areas = {way: intervals.bootstrap(downstream.roc_auc, x, n_boot, seed) for way, x in ranks.items()}
types = seeds_agree.compare(ranks, TYPES, n_boot, seed, downstream.roc_auc)
seeds_agree.summary(types)

# %% mystnb={"figure": {"caption": "Area under the ROC curve for early types in CFHTLS images, for classifiers trained on three kinds of labelled image, with 95 % intervals over galaxies. One symbol per seed.", "name": "fig-useful-types"}, "image": {"alt": "Three lines with one point per seed: trained on SDSS as it is, on SDSS translated, and on CFHTLS itself."}} tags=["hide-input"]
panels.seed_strips(areas, {}, f"area under the ROC curve (n = {len(z)})")
plt.show()

# %% [markdown]
# ## Mergers
#
# The third task is to find mergers by their asymmetry in r, without training. Mergers are easier to separate
# in translated images if the translator restores structure, and harder if it makes galaxies resemble its
# regular training galaxies. Mergers are few, so the intervals are wide. Whatever the result, a search for
# unknown kinds of objects should use the original images.

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
    word = said[f"{few} labels: translated images reduce the scatter ({learner})"]
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
# On {glue:text}`useful_n` CFHTLS galaxies, with {glue:text}`useful_few` labels, the scatter is (seed 0):
#
# | training set | boosting | kernel |
# |---|---|---|
# | alone | {glue:text}`useful_alone_boosting` | {glue:text}`useful_alone_kernel` |
# | with SDSS translated | {glue:text}`useful_with_boosting` | {glue:text}`useful_with_kernel` |
# | translated, no labels | {glue:text}`useful_none_boosting` | {glue:text}`useful_none_kernel` |
#
# Verdicts over all seeds: translated galaxies lower the scatter, *{glue:text}`useful_help_boosting`* for
# boosting, *{glue:text}`useful_help_kernel`* for the kernel; boosting with translated galaxies has less
# scatter than the kernel alone: *{glue:text}`useful_best`*.
#
# The area under the ROC curve of early types is, for a classifier trained on unchanged SDSS images,
# {glue:text}`useful_is`, on translated ones {glue:text}`useful_translated`, and on CFHTLS images
# {glue:text}`useful_itself`. For the {glue:text}`useful_mergers` mergers it is {glue:text}`useful_odd_source`
# in the source images and {glue:text}`useful_odd_translated` after translation (all of seed 0).
#
# Over all seeds, *supported*: {glue:text}`useful_supported`. *Contradicted*:
# {glue:text}`useful_contradicted`. *Inconclusive*: {glue:text}`useful_inconclusive`.
#
# **Exercise.** Give the labelled CFHTLS galaxies more weight than the translated ones. Does the harm with
# many labels disappear, and does the benefit with few labels remain?
#
# ```{dropdown} Solution
# In `downstream.few_label_errors`, pass `fit` a weight per galaxy: `sample_weight=w` for boosting,
# `svr__sample_weight=w` for the kernel, which is a pipeline. A weight of the number of added over that of
# labelled galaxies gives both groups the same total weight. In our trial the benefit for boosting remained,
# and only a part of the harm to the kernel disappeared.
# ```
#
# **What's next:** [Your own translator](bring_your_own.py), evaluated with the same metrics.
