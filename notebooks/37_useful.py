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
# changes the redshift scatter by a factor of {glue:text}`useful_best` (best translator and method,
# {glue:text}`useful_best_name`) to {glue:text}`useful_worst` (worst, {glue:text}`useful_worst_name`).
# Unchanged SDSS images change it by factors of {glue:text}`useful_raw`.
#
# The paper holds that translated images are useful although information is lost. This chapter tests one
# use: labels of an old survey are transferred to a new one in which few galaxies have a known redshift.
#
# **What you will learn**
#
# - how translated images transfer labels between surveys;
# - when the added galaxies cease to help, or harm.
#
# **Prerequisites:** the chapter on [redshift](24_redshift.py). About 10 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from myst_nb import glue

from companion import claims, comparison, downstream, flux_redshift, panels, paths, plotting
from companion import seed_agreement as seeds_agree
from galtools import data
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals, peaks

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual", "swin", "srgan", "capsule", "diffusion"]  # translators to judge
labels: list[int] = [20, 50, 150, 500]  # numbers of CFHTLS galaxies with a known redshift
subsets: int = 8  # random choices of these galaxies
n_test: int = 1000  # CFHTLS galaxies whose redshifts are estimated
n_boot: int = 300  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Training sets
#
# Suppose that few CFHTLS galaxies have a spectroscopic redshift, but many of SDSS. Redshifts of CFHTLS
# images are estimated from training sets with different additions to the labelled CFHTLS galaxies:
#
# - **alone**: none;
# - **SDSS as it is**: labelled SDSS galaxies, images unchanged;
# - the name of a **translator**: the same SDSS galaxies, translated to CFHTLS.
#
# The added galaxies are the test galaxies of the other chapters, on which no translator was trained. The
# few labelled galaxies and those whose redshifts are estimated are CFHTLS images of the training split.
#
# The features are 18 magnitudes and colours, of the central pixels and within 3 arcsec. Two methods show
# whether the result depends on the estimator: gradient boosting of decision trees, and support vector
# regression with a Gaussian kernel. The scatter is
#
# $$ \sigma_\mathrm{MAD} = 1.4826 \, \mathrm{median}\,|e - \mathrm{median}(e)|, \qquad
# e = (\hat z - z)/(1 + z) , $$
#
# averaged over random choices of the labelled galaxies.

# %%
store, labels = paths.Results(results, profile), sorted(labels)
sample = comparison.load_comparison(store, "cross", paths.check_models(models), seed)
train = paths.need(store.data("train"), "01_two_surveys")
few, most = min(labels, default=0), len(image_files.read_column(train, "redshift")) - n_test
if few < 1 or labels[-1] > most:
    raise GaltoolsError(f"labels = {labels}: give numbers from 1 to {most}, not needed for tests")
deep = data.load(train, slice(n_test + 2 * labels[-1]))
noise = np.median(deep.noise[:, 1], axis=0)


def features(images, sigma, pixel_scale):
    """Asinh magnitudes and colours of the central pixels and within 3 arcsec, (n, 18)."""
    fluxes = flux_redshift.box_and_aperture(images, pixel_scale)
    return np.hstack([peaks.flux_features(flux, sigma) for flux in fluxes])


# %%
scale = sample.pixel_scale
measured = features(deep.target, noise, scale)
test = measured[:n_test], deep.redshift[:n_test]
labelled = measured[n_test:], deep.redshift[n_test:]
added = {m: features(sample.images[m], noise, scale) for m in models}
added["SDSS as it is"] = features(sample.pairs.source, noise, sample.pairs.source_set.pixel_scale)
helpers = {name: (table, sample.pairs.redshift) for name, table in added.items()}

# %% [markdown]
# The first translator is tested for all numbers of labels, the others for the smallest one only.

# %%
METHODS = ("boosting", "kernel")
curved = {"alone": None, "SDSS as it is": helpers["SDSS as it is"], models[0]: helpers[models[0]]}
cases = [*product(curved, labels), *((model, few) for model in models[1:])]
errors = {
    (method, arm, size): downstream.few_label_errors(
        method, labelled, test, helpers.get(arm), size, subsets, seed
    )
    for method, (arm, size) in product(METHODS, cases)
}


# %%
def mean_scatter(errors):
    """Mean over subsets, the first axis, of sigma_MAD over galaxies, the last."""
    return intervals.robust_scatter(errors).mean(axis=0)


# %% mystnb={"figure": {"caption": "Redshift scatter of CFHTLS galaxies against the number of labelled CFHTLS galaxies, for two estimators, with 95 % intervals over galaxies.", "name": "fig-useful-labels"}, "image": {"alt": "Two panels, boosting and kernel, each with three curves of the scatter against the number of labels: alone, with SDSS as it is, and with SDSS translated."}} tags=["leading", "hide-input"]
estimates = {key: intervals.bootstrap(mean_scatter, error, n_boot) for key, error in errors.items()}
title = plotting.MODEL_NAME.get(models[0], models[0])
arms = {"alone": "alone", "SDSS as it is": "SDSS as it is", models[0]: f"SDSS by {title}"}
colours = *map(plotting.SURVEY_COLOUR.get, ("CFHTLS", "SDSS")), plotting.MODEL_COLOUR["residual"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.6), sharey=True)
for ax, method in zip(axes, METHODS, strict=True):
    for (arm, name), marker, colour in zip(arms.items(), "osD", colours, strict=True):
        curve = [estimates[method, arm, size] for size in labels]
        y, low, high = np.array([(e.value, e.low, e.high) for e in curve]).T
        style = {"marker": marker, "color": colour, "label": name}
        ax.errorbar(labels, y, yerr=[y - low, high - y], **style)
    ax.set_title(plotting.with_n(method, len(test[1])))
    ax.set(xscale="log", xlabel="labelled CFHTLS galaxies")
    ax.set_xticks(labels, labels)
    ax.minorticks_off()
axes[0].set(ylabel=r"$\sigma_\mathrm{MAD}$ of $\delta z / (1 + z)$", ylim=(0, None))
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# The horizontal distance between *alone* and the translated galaxies is the value of the translator in
# labels saved. Unchanged SDSS galaxies have another seeing and slightly different filters, which biases
# the estimates; a good translation corrects for both. Where the curves cross, the added galaxies do harm:
# they outnumber the labelled galaxies, and their errors are learnt.
#
# ## Every translator
#
# The [table of claims](27_claims.py) uses the decrease of the scatter at the smallest number of labels,
# for each translator and method; the least one decides. The control is the largest decrease by unchanged
# SDSS images: if it is as large, any galaxies with known redshift are as useful as translated ones.
# Intervals include the choice of test galaxies and of labelled galaxies.


# %%
def decrease(method, arm):
    """Scatter alone minus that with added galaxies, for the smallest number of labels."""
    alone, helped = errors[method, "alone", few], errors[method, arm, few]
    each = intervals.robust_scatter(alone) - intervals.robust_scatter(helped)  # per subset
    gain = intervals.paired_difference(mean_scatter, alone, helped, n_boot, seed)
    return intervals.widen(gain, each.std(ddof=1) / np.sqrt(subsets))


gains = {(m, method): decrease(method, m) for m, method in product(added, METHODS)}
useful = {f"{m}, {method}": e for (m, method), e in gains.items() if m in models}
unchanged = (gains["SDSS as it is", method] for method in METHODS)
useful["unchanged"] = max(unchanged, key=lambda e: e.value)
evidence = claims.evidence("useful", useful)
inputs = [train, *sample.inputs]
claims.save_evidence(evidence, store, "37_useful", inputs, seed=seed)

# %% mystnb={"figure": {"caption": "Decrease of the redshift scatter by the added galaxies at the smallest number of labels, with 95 % intervals over test galaxies and choices of labels. Circles: boosting, squares: kernel.", "name": "fig-useful-models"}, "image": {"alt": "One line for each translator and for unchanged SDSS images, with a point for each of two methods and a vertical line at zero."}} tags=["hide-input"]
strips = {(plotting.MODEL_NAME.get(m, m), METHODS.index(k)): e for (m, k), e in gains.items()}
colours = {plotting.MODEL_NAME.get(m, m): plotting.MODEL_COLOUR.get(m) for m in models}
colours["SDSS as it is"] = plotting.SURVEY_COLOUR["SDSS"]
fig = panels.seed_strips(
    strips, colours, rf"decrease of $\sigma_\mathrm{{MAD}}$ (n = {len(test[1]):,})"
)
fig.axes[0].axvline(0, color="black", linewidth=0.8)
plt.show()

# %% tags=["remove-cell"]
lines = [{"row": m, "method": method, **vars(e)} for (m, method), e in gains.items()]
kept = seeds_agree.save_table(lines, store.table("useful"), inputs)
factor = {
    (m, method): estimates[method, m, few].value / estimates[method, "alone", few].value
    for m, method in gains
}
made = sorted((key for key in factor if key[0] in models), key=factor.get)
for name, (m, method) in {"best": made[0], "worst": made[-1]}.items():
    glue(f"useful_{name}", f"{factor[m, method]:.2f}", display=False)
    glue(f"useful_{name}_name", f"{plotting.MODEL_NAME.get(m, m)}, {method}", display=False)
raw = [f"{factor['SDSS as it is', method]:.2f} ({method})" for method in METHODS]
glue("useful_raw", " and ".join(raw), display=False)
more = [key for key, e in gains.items() if key[0] in models and e.low > 0]
glue("useful_helps", f"{len(more)} of {len(made)}", display=False)

# %% tags=["remove-cell"]
worse = [
    method
    for method in METHODS
    if intervals.paired_difference(
        mean_scatter, errors[method, models[0], labels[-1]],
        errors[method, "alone", labels[-1]], n_boot, seed,
    ).low > 0
]  # fmt: skip
glue("useful_harm", " and ".join(worse) or "neither method", display=False)
for key, value in {"few": few, "many": labels[-1], "n": len(test[1])}.items():
    glue(f"useful_{key}", value, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`useful_n` CFHTLS galaxies with {glue:text}`useful_few` labels, translated galaxies lower the
# scatter in {glue:text}`useful_helps` combinations of translator and method. With
# {glue:text}`useful_many` labels they increase it for: {glue:text}`useful_harm`.
#
# **Exercise.** Give the labelled CFHTLS galaxies more weight than the translated ones. Does the harm with
# many labels disappear, and does the benefit with few labels remain?
#
# ```{dropdown} Solution
# In `downstream.few_label_errors`, pass `fit` a weight per galaxy: `sample_weight=w` for boosting,
# `svr__sample_weight=w` for the kernel, which is a pipeline. A weight of the number of added over that of
# labelled galaxies gives both groups the same total weight.
# ```
#
# **What's next:** [Your own translator](bring_your_own.py), evaluated with the same metrics.
