# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Peak fluxes: colours of the core and redshift
#
# The paper traces much of the redshift information in an image to the fluxes of the brightest
# pixels in the five bands. How uncertain do they come out of a translation, and what does that
# cost?
#
# **What you will learn**
#
# - why the *max pixel* is a treacherous measure, and what to put beside it;
# - how to tell a loss of information from a mere change of calibration, by swapping cores;
# - how well peaks alone predict a redshift, with two classic estimators;
# - how much of what a network reads from an image it reads from peaks, from colours and from
#   shapes.
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
from galtools.fidelity import information, intervals, peaks, redshifts
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
core: float = 1.2  # radius in arcsec of the core that is swapped
steps: int = 1200  # training steps of each network that reads only a part of the image

# %% [markdown]
# ## The true core, put back
#
# If a translation loses redshift at the peak, the true peak brings it back. So the core,
# everything within {glue:text}`peaks_core` arcsec of the centre, is cut out of the target image and put
# into the translation, or the other way round, and an estimator of redshifts judges the mixture. What
# it knows is counted in bits, as explained in the chapter on [redshift](24_redshift.py).
#
# First the *frozen* estimator of the chapter on the estimator, which knows original images only.

# %%
folder = paths.Results(results, profile)
check_choice("kind", kind, ("boosting", "knn"))
sample = comparison.load_comparison(folder, task, paths.check_models(models), seed)
z, prior = sample.pairs.redshift.astype(float), redshift_evaluation.prior_of(folder)
survey, radius = redshift_evaluation.SURVEY[task], core / sample.pixel_scale
network = redshift.Ensemble.load(redshift_evaluation.estimator_file(folder, survey, seed))


def network_judges(images):
    """Judge the densities that the network gives for images of the test galaxies."""
    return redshift_evaluation.judge(network, images, z, prior)[0]


# %%
whole = {row: network_judges(images) for row, images in sample.images.items()}
by_pixels = {}
for model in models:
    made_images = sample.images[model]
    with_core = network_judges(fluxes.swap_core(made_images, sample.truth, radius))
    without = network_judges(fluxes.swap_core(sample.truth, made_images, radius))
    named = {"none true": whole[model], "true core": with_core}
    by_pixels[model] = named | {"true surroundings": without, "both true": whole["truth"]}

# %% mystnb={"figure": {"caption": "What the frozen network knows when the core, or all but the core, of a translated image is replaced by the true one: information about the redshift and scatter of the estimates, with 95 % intervals.", "name": "fig-peaks-core"}, "image": {"alt": "Two panels with one line per mixture of true and translated pixels."}} tags=["hide-input"]
pixel_swap = pd.concat(
    redshifts.summarise(judged, "network", (), n_boot, seed).assign(row=model, mixture=name)
    for model, mixtures in by_pixels.items()
    for name, judged in mixtures.items()
).drop(columns="seed_scatter")
pixel_swap["metric"] = pixel_swap.mixture + "_" + pixel_swap.metric
statistics = {"bits": "bits", "sigma_mad": r"$\sigma_\mathrm{MAD}$ of Δz / (1 + z)"}
fig = panels.quantity_strips(pixel_swap, list(by_pixels[models[0]]), statistics, models, 3.6)
fig.axes[1].locator_params(axis="x", nbins=4)
plt.show()

# %% [markdown]
# The lines *none true* and *both true* are the translated and the true images. Bits can fall below
# zero, where the estimator is misled by what has changed, and a seam between two images is unlike
# anything it has learnt from, so that a mixture may be worse than both its parents.
#
# So what the frozen estimator gains by the true core can be information or mere familiarity. To tell them
# apart, an estimator is trained *from scratch* on translations by {glue:text}`peak_first` that have true
# cores, as others were on translations and on targets: what it gains over them is information.

# %% tags=["remove-stdout"]
first, recipe = models[0], redshift_evaluation.recipe_of(folder, seed)
row = partial(redshift_evaluation.train_on_row, folder, task, recipe=recipe, seed=seed)
made_images = sample.images[first]
asked = {
    "none true": (row(first), made_images),
    "true core": (row(first, core=radius), fluxes.swap_core(made_images, sample.truth, radius)),
    "both true": (row("truth"), sample.truth),
}
anew = {name: redshift_evaluation.judge(*x, z, prior) for name, x in asked.items()}

# %%
error = redshift_evaluation.seed_error(anew)
again = {name: x[0]["bits"][:, 0] for name, x in anew.items()}
back = redshift_evaluation.difference(again["true core"], again["none true"], error, n_boot, seed)
lines = {
    f"bits, {way}": {name: f"{x[name].mean():.2f}" for name in asked}
    for way, x in {
        "retrained": again,
        "frozen": {name: x["bits"][:, 0] for name, x in by_pixels[first].items()},
    }.items()
}
print(f"brought back by the true core, retrained: {back} bits")
pd.DataFrame(lines)

# %% [markdown]
# ## The peaks themselves
#
# The paper takes the brightest pixel of each band. Where the noise rivals the galaxy, as in the u
# band of SDSS, the brightest pixel is the luckiest of many draws of the noise, and biased high. The
# mean of the 3 × 3 **box** around the brightest spot, the same spot in all bands, hardly suffers
# from this. Both are shown; redshifts are predicted from the boxes.

# %%
compared = [row for row in sample.images if row != "truth"]
known = sample.sigma, sample.pixel_scale
measured = {
    row: measure_images([peaks.measure], sample.truth, images, *known)
    for row, images in sample.images.items()
}
table = pd.concat(
    tabulate(quantities, peaks.METRICS, BANDS, "peaks", n_boot, seed).assign(row=row)
    for row, quantities in measured.items()
)

# %% mystnb={"figure": {"caption": "Bias and scatter of the peak fluxes relative to the target image: brightest pixel (top) and 3 × 3 box (bottom), with 95 % intervals.", "name": "fig-peaks"}, "image": {"alt": "Four panels of bias and scatter against band."}} tags=["hide-input"]
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
# Read the two columns together. A *bias* common to all galaxies and bands is harmless: it can be
# measured on a training sample and divided out, and an estimator that is trained on translated
# images does just that. The *scatter* is what remains, a different error for every galaxy, and no
# calibration brings it back. A translator that smooths lowers all peaks alike, since it spreads the
# core over more pixels; one that draws a random image scatters them.
#
# A second observation does not repeat the peak either: the seeing differs from band to band and
# from night to night, and the galaxy falls differently on the pixels. That is the scatter nature
# adds. Ratios of peaks between bands are what a redshift hangs on, and they inherit all of it.

# %% mystnb={"figure": {"caption": "Bias and scatter of the colours of the central boxes, with 95 % intervals.", "name": "fig-peaks-ratios"}, "image": {"alt": "Two panels: bias and scatter of the peak colours."}} tags=["hide-input"]
labels = {"peak_ratio_bias": "bias (mag)", "peak_ratio_scatter": "scatter (mag)"}
perfect = {"peak_ratio_bias": 0}
fig = panels.metric_panels(table, labels, compared, panels.COLOURS, perfect=perfect)
panels.log_scale(fig.axes[1])
plt.show()

# %% [markdown]
# ## The redshift that peaks alone predict
#
# Two estimators, the twenty nearest neighbours and gradient boosting, learn the redshift from the
# peaks of the *target* images of the training galaxies. Neither sees an image, and neither needs
# more than seconds: they are an honest lower bound on what a network could do with these fluxes.
# As features they get asinh magnitudes, which stay finite where the noise makes a flux negative,
# and their differences between neighbouring bands, the colours of the core. They are then shown
# the peaks of the test galaxies: in the target image, in a second observation, in each
# translation; and in the target image after its peaks were **scattered like** those of a
# translator, by handing the relative errors of one galaxy, all bands together, to another of
# similar brightness. If a translation is as good as its scattered stand-in, its errors are pure
# chance; if it is better, they still hold something of the galaxy; if it is worse, they conspire
# against the redshift.

# %%
train_file = paths.need(folder.data("train"), "01_two_surveys")
side = "target" if task == "cross" else "source"
train = image_files.open_images(train_file, side)[:]
train_z = image_files.read_column(train_file, "redshift").astype(float)
if len(train_z) < peaks.NEIGHBOURS:
    raise GaltoolsError(f"n_train = {len(train_z)}: take {peaks.NEIGHBOURS} galaxies at least")
train_fluxes = fluxes.box_and_aperture(train, sample.pixel_scale)
found = {r: fluxes.box_and_aperture(i, sample.pixel_scale) for r, i in sample.images.items()}
sigma = np.median(sample.sigma, axis=0)

# %%
estimators = {
    name: peaks.redshift_regressor(name, seed).fit(
        peaks.flux_features(train_fluxes[0], sigma), train_z
    )
    for name in ("knn", "boosting")
}
shown = {row: box for row, (box, _) in found.items()}
for model in models:
    scattered = fluxes.scatter_like(shown["truth"], shown["truth"], shown[model], seed)
    shown[f"scattered like {model}"] = scattered
errors = {
    (name, row): peaks.redshift_errors(estimator, peaks.flux_features(box, sigma), z)
    for name, estimator in estimators.items()
    for row, box in shown.items()
}
predicted = pd.concat(
    peaks.summarise_redshift(error, name, n_boot, seed).assign(row=row)
    for (name, row), error in errors.items()
)

# %% mystnb={"figure": {"caption": "Scatter and outlier share of redshifts predicted from peak fluxes alone, learnt on target images, with 95 % intervals.", "name": "fig-peaks-redshift"}, "image": {"alt": "Two panels with one line per kind of image."}} tags=["hide-input"]
part = predicted[predicted.band == kind].set_index(["metric", "row"])
labels = {"sigma_mad": r"$\sigma_\mathrm{MAD}$ of Δz / (1 + z)", "outliers": "share of outliers"}
fig = panels.row_strips(predicted[predicted.band == kind], labels, list(shown))
plt.show()

# %% [markdown]
# ## What the network reads
#
# How would one find out what a network looks at? Maps of its attention are pretty and prove
# little. A cleaner way is to hide things from it, and to count what it then still finds. Its first
# layer measures three groups of numbers: the **flux**, total magnitudes and colours; the
# **peak**, the five central boxes; the **shape** in one band, without colour or brightness.
# Networks that are given only one of them, or two, tell how much there is in each. All are trained
# here, on target images, for {glue:text}`group_steps:,.0f` steps each. How many bits a network finds
# also depends on how long it has learnt, which is the same on the pages of both tasks, unless you
# change it for one of them.


# %% tags=["remove-stdout"]
def read_groups(path):
    """Train a network for every choice of groups; write the bits of each test galaxy."""
    valid = data.for_task(data.load(folder.data("valid")), task)
    settings = Settings(steps=steps, batch=64, rate=3e-3, weight_decay=1e-3, checks=1, seed=seed)
    sets = (train, train_z), (valid.target, valid.redshift), sample.truth
    choices = information.subsets(redshift.GROUPS)
    found, grid = redshift.densities_by_feature_group(choices, *sets, sigma, settings)
    given = z, grid.edges, prior
    bits = {"+".join(k): information.information_bits(p, *given) for k, p in found.items()}
    pd.DataFrame(bits).to_csv(path, index=False)


groups_table = folder.table(f"redshift_groups_{task}")
made = artefacts.make(
    groups_table,
    read_groups,
    params={"task": task, "steps": steps},
    modules=["galtools.redshift", "galtools.fidelity.information", "companion.comparison"],
    inputs=[train_file, paths.need(folder.data("valid"), "01_two_surveys"), sample.inputs[0]],
    seed=seed,
)

# %%
group_bits = {
    tuple(name.split("+")): column.to_numpy() for name, column in pd.read_csv(groups_table).items()
}
parts = pd.concat(
    information.decompose(group_bits[a,], group_bits[b,], group_bits[a, b], n_boot, seed).assign(
        row=f"{a} and {b}"
    )
    for a, b in combinations(redshift.GROUPS, 2)
)

# %% mystnb={"figure": {"caption": "Information about the redshift that networks find in each choice of what is measured on a target image, with 95 % intervals over galaxies.", "name": "fig-peaks-groups"}, "image": {"alt": "Seven lines, each a number of bits with its interval."}} tags=["hide-input"]
alone = {
    " + ".join(some): intervals.bootstrap(intervals.mean, values, n_boot, seed)
    for some, values in group_bits.items()
}
panels.estimate_panels({"bits": alone})
plt.show()

# %% [markdown]
# The bits of two groups do not add up: much of what the peak says, the total light says as well.
# Of two sources of information, part is **redundant**, in both of them; part is **unique** to one;
# and part is **synergy**, which only both together reveal, as a lock with two keys. We take them
# apart by the rule of minimum mutual information {cite}`barrett2015`: redundant is the smaller of the two, $\min(I_A,
# I_B)$, and the rest follows. It is the largest redundancy that anybody would grant, hence the
# smallest unique part: of two groups, the one with fewer bits has nothing unique by construction.
#
# Note that no network is asked to do without something it was trained with; each has learnt to
# make the best of what it is given. A drop is then a lack of information, and not a network that
# misses an old habit. But each of them was trained once: the intervals hold what other galaxies would
# change, not what another training would, and a synergy of a few hundredths of a bit may be no more.

# %% mystnb={"figure": {"caption": "The information of each pair of groups, taken apart into what is redundant, what is unique to the first or the second, and their synergy, with 95 % intervals over galaxies.", "name": "fig-peaks-parts"}, "image": {"alt": "Three groups of four bars."}} tags=["hide-input"]
panels.parts_of_pairs(parts)
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
# ## Does this run agree with the paper?
#
# The paper found that peaks come out of the translation uncertain, that this uncertainty costs
# redshift, and that peaks carry much of what a network reads. Its numbers: how much more the colour g − r
# of the peaks scatters than in a second observation; what the true core, put into a translated
# image, brings back, with the core put into a second observation as the control; and, between two
# surveys, what peaks alone tell beyond half of what all measurements tell, with the shape alone as the
# control. [The page of claims](27_claims.py) judges them.

# %%
scatter, lines = intervals.robust_scatter, []
colour = {row: quantities["ratio_error"][:, 1] for row, quantities in measured.items()}
colour["copy"] = colour.pop("truth")
more = {
    row: intervals.paired_difference(scatter, x, colour["again"], n_boot, seed)
    for row, x in colour.items()
}
lines += claims.evidence("peaks", more)

# %% tags=["hide-input"]
if task == "cross":
    mended = network_judges(fluxes.swap_core(sample.images["again"], sample.truth, radius))
    pairs = {m: (by_pixels[m]["true core"], by_pixels[m]["none true"]) for m in models}
    pairs["again"] = mended, whole["again"]
    brought = {
        row: intervals.paired_difference(
            intervals.mean, *(x["bits"][:, 0] for x in pair), n_boot, seed
        )
        for row, pair in pairs.items()
    }
    every = group_bits[redshift.GROUPS]
    half = {
        row: intervals.bootstrap(intervals.mean, group_bits[group,] - every / 2, n_boot, seed)
        for row, group in {"peaks alone": "peak", "shape alone": "shape"}.items()
    }
    lines += claims.evidence("core", brought) + claims.evidence("carry", half)
claims.keep(lines, folder, "23_peaks", sample.inputs, task, seed)

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
glue("peaks_core", core, display=False)
glue("group_steps", float(steps), display=False)

# %% tags=["remove-cell"]
whole_of = alone[" + ".join(redshift.GROUPS)]
for group in redshift.GROUPS:
    glue(f"bits_{group}", alone[group].value, display=False)
glue("bits_all", whole_of.value, display=False)
shared = parts[parts.row == "flux and peak"].set_index("metric").value
glue("bits_redundant", float(shared["redundant"]), display=False)
glue("bits_unique_peak", float(shared["unique_second"]), display=False)
glue("bits_synergy", float(shared["synergy"]), display=False)

# %% [markdown]
# ## What we found
#
# The true core brings {glue:text}`peaks_back` bits back to translations by {glue:text}`peak_first`, as an
# estimator trained from scratch on the mixtures finds. On {glue:text}`n_peaks` galaxies, the peaks of the target images alone give redshifts with a
# scatter of {glue:text}`peak_sigma_mad_truth`; guessing the typical redshift gives
# {glue:text}`peak_sigma_mad_guess:.4f`. From the images translated by {glue:text}`peak_first` it is
# {glue:text}`peak_sigma_mad_first`, from target images whose peaks are scattered in the same
# manner {glue:text}`peak_sigma_mad_scattered`, and from a second observation
# {glue:text}`peak_sigma_mad_again`. Translation less stand-in, galaxy by galaxy, makes
# {glue:text}`peak_than_scattered`: all below zero would mean that the errors of the translation spare
# the redshift more than chance.
#
# After {glue:text}`group_steps:,.0f` steps, a network finds {glue:text}`bits_all:z.2f` bits in everything it
# measures on the target images, {glue:text}`bits_flux:z.2f` in the flux alone, {glue:text}`bits_peak:z.2f` in
# the peaks alone and {glue:text}`bits_shape:z.2f` in the shape. Of fluxes and peaks,
# {glue:text}`bits_redundant:z.2f` bits are redundant, {glue:text}`bits_unique_peak:z.2f` unique to the peaks, and {glue:text}`bits_synergy:z.2f` appear
# only when both are known.
#
# **Exercise.** Give all galaxies of a translation the same error of their peaks: lower every
# band by a tenth. What happens to the scatter of the redshift, to its bias, and why?
#
# ```{dropdown} Solution
# The colours of the peaks do not change, only their brightness: the estimator takes the galaxies
# for slightly fainter and, since faint galaxies are farther on average, for slightly more distant.
# The bias grows a little, the scatter hardly. A common factor is calibration, not information.
# ```
#
# **What's next:** all that an image tells, and what is left of it, is the subject of the chapter on
# [redshift](24_redshift.py).
