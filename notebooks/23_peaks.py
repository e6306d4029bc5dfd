# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Peak fluxes: colours of the core and redshift
#
# Replacing the core of translations by {glue:text}`peak_first` with the true one changes their redshift
# information by {glue:text}`peaks_back` bits, for estimators retrained on either kind of image. Networks
# find {glue:text}`bits_all:z.2f` bits in all features of the target images and {glue:text}`bits_peak:z.2f` in
# the peak fluxes alone.
#
# **What you will learn**
#
# - how replacing cores separates lost information from changed calibration;
# - how well peak fluxes alone predict the redshift;
# - how the redshift information divides into fluxes, peaks and shapes.
#
# **Prerequisites:** the chapters on [pixels](21_pixels.py) and on
# [the redshift estimator](16_redshift_estimator.py). About 20 minutes.

# %% tags=["hide-input", "remove-stderr"]
from functools import partial
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import claims, comparison, panels, paths, plotting, redshift_evaluation
from companion import flux_redshift as fluxes
from galtools import artefacts, data, redshift
from galtools.data import image_files
from galtools.errors import GaltoolsError, check_choice
from galtools.fidelity import intervals, peaks, redshifts
from galtools.fidelity.metrics import measure_images, tabulate
from galtools.surveys import BANDS
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to SDSS
models: list[str] = ["residual"]  # the translators to judge
kind: str = "boosting"  # the estimator of the figures and verdicts: boosting or knn
n_boot: int = 400  # resamples of the galaxies behind each interval
n_third: int = 200  # galaxies that are observed a third time, for a control
core: float = 1.2  # radius in arcsec of the core that is swapped
steps: int = 1200  # training steps of each network that reads only a part of the image

# %% [markdown]
# ## Replacing the core
#
# If a translation loses redshift information at the peak, the true peak restores it. We replace the core of
# the translation, all pixels within {glue:text}`peaks_core` arcsec of the centre, by that of the target
# image, or vice versa, estimate redshifts from the mixture and measure their information in bits, as defined
# in the chapter on [redshift](24_redshift.py). The first estimator is *frozen*: that of [the estimator
# chapter](16_redshift_estimator.py), trained on original images only.

# %%
folder = paths.Results(results, profile)
check_choice("kind", kind, ("boosting", "knn"))
sample = comparison.load_comparison(folder, task, paths.check_models(models), seed)
z, prior = sample.pairs.redshift.astype(float), redshift_evaluation.prior_of(folder)
survey, radius = redshift_evaluation.SURVEY[task], core / sample.pixel_scale
estimator = folder.weights("redshift", survey, seed)
paths.need(estimator, "16_redshift_estimator", folder.data("train"))
network = redshift.Ensemble.load(estimator)


def network_judges(images):
    """Judge the densities that the network gives for images of the test galaxies."""
    return redshift_evaluation.measure_members(network, images, z, prior)[0]


# %%
of_rows = {row: network_judges(images) for row, images in sample.images.items()}
by_pixels = {}
for model in models:
    made_images = sample.images[model]
    with_core = network_judges(fluxes.swap_core(made_images, sample.truth, radius))
    without = network_judges(fluxes.swap_core(sample.truth, made_images, radius))
    named = {"none true": of_rows[model], "true core": with_core}
    by_pixels[model] = named | {"true surroundings": without, "both true": of_rows["truth"]}

# %% mystnb={"figure": {"caption": "Redshift information that the frozen estimator obtains, and scatter of its estimates, when the core, or all but the core, of a translated image is replaced by the true one, with 95 % intervals.", "name": "fig-peaks-core"}, "image": {"alt": "Two panels with one line per mixture of true and translated pixels."}} tags=["leading", "hide-input"]
pixel_swap = pd.concat(
    redshifts.tabulate(judged, "network", (), n_boot, seed).assign(row=model, mixture=name)
    for model, mixtures in by_pixels.items()
    for name, judged in mixtures.items()
).drop(columns="seed_scatter")
pixel_swap["metric"] = pixel_swap.mixture + "_" + pixel_swap.metric
statistics = {"bits": "bits", "sigma_mad": r"$\sigma_\mathrm{MAD}$ of $\delta z / (1 + z)$"}
fig = panels.quantity_strips(pixel_swap, list(by_pixels[models[0]]), statistics, models, 3.6)
fig.axes[1].locator_params(axis="x", nbins=4)
plt.show()

# %% [markdown]
# *None true* is the translation, *both true* the target. Information is negative where changed images
# mislead the frozen estimator.
#
# The frozen estimator may gain from the true core because information returns or because the pixels are
# familiar. To separate the two, estimators are trained *from scratch* with one recipe on translations by
# {glue:text}`peak_first`, on the same translations with true cores, and on targets. A gain of the second over
# the first is information.

# %% tags=["remove-stdout"]
first, recipe = models[0], redshift_evaluation.recipe_of(folder, seed)
row = partial(redshift_evaluation.train_on_row, folder, task, recipe=recipe, seed=seed)
made_images = sample.images[first]
asked = {
    "none true": (row(first), made_images),
    "true core": (row(first, core=radius), fluxes.swap_core(made_images, sample.truth, radius)),
    "both true": (row("truth"), sample.truth),
}
anew = {name: redshift_evaluation.measure_members(*x, z, prior) for name, x in asked.items()}

# %%
error = redshift_evaluation.seed_error(anew)
again = {name: x[0]["bits"][:, 0] for name, x in anew.items()}
back = redshift_evaluation.difference(again["true core"], again["none true"], error, n_boot, seed)
lines = {
    f"bits, {protocol}": {name: f"{x[name].mean():.2f}" for name in asked}
    for protocol, x in {
        "retrained": again,
        "frozen": {name: x["bits"][:, 0] for name, x in by_pixels[first].items()},
    }.items()
}
print(f"restored by the true core, retrained: {back} bits")
pd.DataFrame(lines)

# %% [markdown]
# ## Peak fluxes
#
# The paper uses the brightest pixel of each band, which is biased high where the noise is comparable to the
# galaxy. The mean of a **box** of 3 × 3 pixels at the brightest spot, the same in all bands, is far less
# affected; redshifts are predicted from the boxes.

# %%
compared = [row for row in sample.images if row != "truth"]
scales = sample.sigma, sample.pixel_scale
measured = {
    row: measure_images([peaks.measure], sample.truth, images, *scales)
    for row, images in sample.images.items()
}
table = pd.concat(
    tabulate(quantities, peaks.METRICS, BANDS, "peaks", n_boot, seed).assign(row=row)
    for row, quantities in measured.items()
)

# %% mystnb={"figure": {"caption": "Bias and scatter of the peak fluxes relative to the target image: brightest pixel (top) and 3 × 3 box (bottom), with 95 % intervals.", "name": "fig-peaks"}, "image": {"alt": "Four panels of bias and scatter against band."}} tags=["leading", "hide-input"]
labels = {
    "peak_bias": "bias, max pixel",
    "peak_scatter": "scatter, max pixel",
    "box_bias": "bias, 3 × 3 box",
    "box_scatter": "scatter, 3 × 3 box",
}
perfect = {name: 0 for name in labels if name.endswith("bias")}
fig = panels.metric_panels(table, labels, compared, perfect=perfect)
for k in (1, 3):
    panels.log_scale(fig.axes[k])
plt.show()

# %% [markdown]
# A *bias* common to all galaxies can be measured and divided out, which an estimator trained on translations does
# implicitly. *Scatter* cannot be calibrated away. That of a repeat observation, due to other seeing and subpixel
# positions, is the reference.

# %% mystnb={"figure": {"caption": "Bias and scatter of the colours of the central boxes, with 95 % intervals.", "name": "fig-peaks-ratios"}, "image": {"alt": "Two panels: bias and scatter of the peak colours."}} tags=["hide-input"]
labels = {"peak_ratio_bias": "bias (mag)", "peak_ratio_scatter": "scatter (mag)"}
perfect = {"peak_ratio_bias": 0}
fig = panels.metric_panels(table, labels, compared, panels.COLOURS, perfect=perfect)
panels.log_scale(fig.axes[1])
plt.show()

# %% [markdown]
# ## Redshift from peak fluxes
#
# Two estimators, twenty nearest neighbours and gradient boosting (parameter `kind`), are trained on asinh
# magnitudes and colours of the peaks of the *target* images of the training galaxies, and applied to those of the
# test galaxies in the target image, in a repeat observation and in each translation. As a control, the true peaks $F_y$ of galaxy $k$ are **scattered like** a translator's: in each
# band $b$ they are multiplied by the ratio of translated to true flux of another galaxy $j$ of similar
# brightness, the same galaxy in all bands,
#
# $$ F^\mathrm{scattered}_{k,b} = F_{y,k,b} \, \frac{F_{\hat y,j,b}}{F_{y,j,b}} . $$
#
# This keeps the distribution of the errors and their correlation between bands, but removes their
# dependence on the galaxy. If redshifts from the translation scatter as much as those of the control, its
# errors are random; if less, they carry information about the galaxy; if more, they harm the redshift.

# %%
train_file = paths.need(folder.data("train"), "01_two_surveys")
which = "target" if task == "cross" else "source"
train = image_files.open_images(train_file, which)[:]
train_z = image_files.read_column(train_file, "redshift").astype(float)
if len(train_z) < peaks.NEIGHBOURS:
    raise GaltoolsError(f"n_train = {len(train_z)}: take {peaks.NEIGHBOURS} galaxies at least")
train_fluxes = fluxes.box_and_aperture(train, sample.pixel_scale)
fluxes_of = {r: fluxes.box_and_aperture(i, sample.pixel_scale) for r, i in sample.images.items()}
sigma = np.median(sample.sigma, axis=0)

# %%
estimators = {
    name: peaks.redshift_regressor(name, seed).fit(
        peaks.flux_features(train_fluxes[0], sigma), train_z
    )
    for name in ("knn", "boosting")
}
shown = {row: box for row, (box, _) in fluxes_of.items()}
for model in models:
    scattered = fluxes.scatter_like(shown["truth"], shown["truth"], shown[model], seed)
    shown[f"scattered like {model}"] = scattered
errors = {
    (name, row): peaks.redshift_errors(estimator, peaks.flux_features(box, sigma), z)
    for name, estimator in estimators.items()
    for row, box in shown.items()
}
predicted = pd.concat(
    peaks.tabulate_redshift(error, name, n_boot, seed).assign(row=row)
    for (name, row), error in errors.items()
)

# %% mystnb={"figure": {"caption": "Scatter and outlier fraction of redshifts predicted from peak fluxes alone, by an estimator trained on target images, with 95 % intervals. Filled: the images; hollow: true peaks scattered like those of the translator on the same line.", "name": "fig-peaks-redshift"}, "image": {"alt": "Two panels with one line per kind of image; each translator has a hollow symbol for its control."}} tags=["hide-input"]
part = predicted[predicted.band == kind].set_index(["metric", "row"])
labels = {
    "sigma_mad": r"$\sigma_\mathrm{MAD}$ of $\delta z / (1 + z)$",
    "outliers": "outlier fraction",
}
panels.row_strips(predicted[predicted.band == kind], labels, list(fluxes_of), "scattered like")
plt.show()

# %% [markdown]
# ## Information by feature group
#
# The first layer of the network measures three groups: **flux**, total magnitudes and colours; **peak**, the five
# central boxes; and **shape** in one band, without colour or brightness. For each of the seven subsets a network
# is trained on the same target images, for {glue:text}`group_steps:,.0f` steps, on which the bits depend.


# %%
def read_groups(path):
    """Train a network for every choice of groups; write the bits of each test galaxy."""
    valid = data.for_task(data.load(folder.data("valid")), task)
    settings = Settings(steps=steps, batch=64, rate=3e-3, weight_decay=1e-3, checks=1, seed=seed)
    sets = (train, train_z), (valid.target, valid.redshift), sample.truth
    choices = redshifts.subsets(redshift.GROUPS)
    by_group, grid = redshift.densities_by_feature_group(choices, *sets, sigma, settings)
    given = z, grid.edges, prior
    bits = {"+".join(k): redshifts.information_bits(p, *given) for k, p in by_group.items()}
    pd.DataFrame(bits).to_csv(path, index=False)


groups_table = folder.table(f"redshift_groups_{task}")

# %% tags=["hide-input", "remove-stdout"]
made = artefacts.make(
    groups_table,
    read_groups,
    params={"task": task, "steps": steps},
    modules=["galtools.redshift", "galtools.fidelity.redshifts", "companion.comparison"],
    inputs=[train_file, paths.need(folder.data("valid"), "01_two_surveys"), sample.inputs[0]],
    seed=seed,
)

# %%
group_bits = {
    tuple(name.split("+")): column.to_numpy() for name, column in pd.read_csv(groups_table).items()
}
parts = pd.concat(
    redshifts.decompose(group_bits[a,], group_bits[b,], group_bits[a, b], n_boot, seed).assign(
        row=f"{a} and {b}"
    )
    for a, b in combinations(redshift.GROUPS, 2)
)

# %% mystnb={"figure": {"caption": "Redshift information of networks trained on each subset of the features measured on a target image, with 95 % intervals over galaxies.", "name": "fig-peaks-groups"}, "image": {"alt": "Seven lines, each a number of bits with its interval."}} tags=["hide-input"]
alone = {
    " + ".join(some): intervals.bootstrap(intervals.mean, values, n_boot, seed)
    for some, values in group_bits.items()
}
panels.estimate_panels({"bits": alone})
plt.show()

# %% [markdown]
# The bits of two groups do not add up, since fluxes and peaks share information. Of two sources $A$ and $B$,
# part is **redundant** (in both), part is **unique** to one, and part is **synergy** (in the combination
# only). We decompose them by minimum mutual information {cite}`barrett2015`:
#
# $$ R = \min(I_A, I_B), \quad U_A = I_A - R, \quad U_B = I_B - R, \quad S = I_{AB} - I_A - I_B + R . $$
#
# This is the largest redundancy that a decomposition can assume: the group with fewer bits has nothing unique by
# construction. Each network was trained once, so a synergy of a few hundredths of a bit may be due to the seed.

# %% mystnb={"figure": {"caption": "Redshift information of each pair of feature groups, decomposed into redundancy, the unique parts of the first and the second, and synergy, with 95 % intervals over galaxies.", "name": "fig-peaks-parts"}, "image": {"alt": "Three groups of four bars."}} tags=["hide-input"]
bars = {
    "redundant": ("redundant", "#888888"),
    "unique_first": ("unique to the first", "#0072B2"),
    "unique_second": ("unique to the second", "#D55E00"),
    "synergy": ("synergy", "#009E73"),
}
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.4))
for k, (metric, (label, colour)) in enumerate(bars.items()):
    bar = parts[parts.metric == metric]
    error = [bar.value - bar.low, bar.high - bar.value]
    x = np.arange(len(bar)) + 0.2 * (k - 1.5)
    ax.bar(x, bar.value, 0.18, yerr=error, label=label, color=colour)
ax.axhline(0, color="black", linewidth=0.8)
ax.set(ylabel="bits", title=panels.sample_size(parts))
ax.set_xticks(range(len(bar)), [name.replace(" and ", "\nand ") for name in bar.row])
panels.shared_legend(fig, ax, 2)
plt.show()

# %% tags=["hide-input"]
levels = [
    table,
    predicted,
    pixel_swap.assign(level="pixel swap").drop(columns="mixture"),
    parts.assign(level="redshift parts"),
]
everything = pd.concat(levels).assign(task=task)
made = artefacts.make(
    folder.table("peaks" if task == "cross" else f"peaks_{task}"),
    lambda path: everything.to_csv(path, index=False),
    params={"task": task, "models": models, "kind": kind, "n_boot": n_boot, "core": core},
    modules=["companion.flux_redshift", "galtools.fidelity.redshifts"],
    inputs=[*sample.inputs, train_file, groups_table],
    seed=seed,
)

# %% [markdown]
# ## Comparison with the paper
#
# The paper finds that peak fluxes are uncertain after translation, that this costs redshift information, and
# that peaks carry much of it. Three numbers test this:
#
# - the scatter of the peak colour $g - r$, minus that of a repeat observation; the control is a third
#   observation of {glue:text}`n_third` of the galaxies, which differs from the repeat observation by chance
#   only;
# - between two surveys, the bits that the true core restores to a translated image, for the frozen
#   estimator; the control is the same in a repeat observation;
# - between two surveys, the bits of peaks alone minus half of the bits of all features; the control is the
#   shape alone.
#
# [The page of claims](27_claims.py) gives the verdicts.

# %%
third = comparison.third_observation(sample, task, n_third).images
some = sample.truth[: len(third)], third, sample.sigma[: len(third)], sample.pixel_scale
rows = {row: measured[row] for row in compared} | {"third": measure_images([peaks.measure], *some)}
colour = {row: quantities["ratio_error"][:, 1] for row, quantities in rows.items()}
lines = claims.evidence("peaks", claims.excess_scatter(colour, n_boot, seed))

# %% tags=["hide-input"]
if task == "cross":
    mended = network_judges(fluxes.swap_core(sample.images["again"], sample.truth, radius))
    pairs = {m: (by_pixels[m]["true core"], by_pixels[m]["none true"]) for m in models}
    pairs["again"] = mended, of_rows["again"]
    pairs = {row: [x["bits"][:, 0] for x in pair] for row, pair in pairs.items()}
    brought = claims.differences(pairs, n_boot=n_boot, seed=seed)
    every = group_bits[redshift.GROUPS]
    half = {
        row: intervals.bootstrap(intervals.mean, group_bits[group,] - every / 2, n_boot, seed)
        for row, group in {"peaks alone": "peak", "shape alone": "shape"}.items()
    }
    lines += claims.evidence("core", brought) + claims.evidence("carry", half)
claims.save_evidence(lines, folder, "23_peaks", sample.inputs, task, seed)

# %% tags=["remove-cell"]
scattered = f"scattered like {first}"
for key, row in {
    "truth": "truth",
    "again": "again",
    "first": first,
    "scattered": scattered,
}.items():
    line = part.loc[("sigma_mad", row), ["value", "low", "high"]]
    glue(f"peak_sigma_mad_{key}", intervals.format_interval(*line), display=False)
pair = errors[kind, first], errors[kind, scattered]
less = intervals.paired_difference(intervals.robust_scatter, *pair, n_boot, seed)
glue("peak_than_scattered", str(less), display=False)
guess = intervals.robust_scatter((np.median(train_z) - z) / (1 + z))
glue("peak_sigma_mad_guess", float(guess), display=False)
glue("peak_first", plotting.MODEL_NAME.get(first, first), display=False)
glue("peaks_back", str(back), display=False)
glue("n_peaks", len(z), display=False)
glue("n_third", len(third), display=False)
glue("peaks_core", core, display=False)
glue("group_steps", float(steps), display=False)

# %% tags=["remove-cell"]
all_groups = alone[" + ".join(redshift.GROUPS)]
for group in redshift.GROUPS:
    glue(f"bits_{group}", alone[group].value, display=False)
glue("bits_all", all_groups.value, display=False)
shared = parts[parts.row == "flux and peak"].set_index("metric").value
glue("bits_redundant", float(shared["redundant"]), display=False)
glue("bits_unique_peak", float(shared["unique_second"]), display=False)
glue("bits_synergy", float(shared["synergy"]), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`n_peaks` galaxies, redshifts from the peaks of the target images alone scatter by
# {glue:text}`peak_sigma_mad_truth`, where the median redshift of the training galaxies as a constant estimate
# scatters by {glue:text}`peak_sigma_mad_guess:.4f`. The scatter is {glue:text}`peak_sigma_mad_first` for
# translations by {glue:text}`peak_first`, {glue:text}`peak_sigma_mad_scattered` for the control with the same
# distribution of errors, and {glue:text}`peak_sigma_mad_again` for a repeat observation. Translation minus
# control, paired by galaxy, gives {glue:text}`peak_than_scattered`: an interval below 0 means that the
# errors of the translation harm the redshift less than random ones.
#
# After {glue:text}`group_steps:,.0f` steps, networks find {glue:text}`bits_all:z.2f` bits in all features of
# the target images, {glue:text}`bits_flux:z.2f` in fluxes, {glue:text}`bits_peak:z.2f` in peaks and
# {glue:text}`bits_shape:z.2f` in shapes alone. Of fluxes and peaks together, {glue:text}`bits_redundant:z.2f`
# bits are redundant, {glue:text}`bits_unique_peak:z.2f` unique to the peaks, and
# {glue:text}`bits_synergy:z.2f` synergy.
#
# **Exercise.** Networks find 3 bits in one group of features, 2 in another and 4 in both. Decompose them.
# What if both groups were the same features?
#
# ```{dropdown} Solution
# Redundancy is 2 bits; the first group has 1 unique bit, the second none; synergy is $4 - 3 - 2 + 2 = 1$
# bit. For equal groups all information is redundant.
# ```
#
# **What's next:** the total redshift information of an image, and the fraction that a translation retains:
# the chapter on [redshift](24_redshift.py).
