# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Calibration: are samples as diverse as the truth?
#
# By the ratio of sample scatter to error, the diffusion model's samples are overdispersed ("too wide")
# in: {glue:text}`draws_width_supported`; underdispersed ("too narrow") in:
# {glue:text}`draws_width_contradicted`. Of the tested statements on scores and averaged redshifts,
# {glue:text}`draws_said` are supported by both seeds.
#
# This chapter applies the rank, coverage and score tests of [the toy model](31_toy.py) to the samples that
# the diffusion model generates from one SDSS image. It also tests deterministic networks, whose outputs
# vary between repeat SDSS observations of a galaxy.
#
# **What you will learn**
#
# - how to detect over- and underdispersed samples, quantity by quantity and jointly;
# - how the sample scatter compares with the noise of CFHTLS and with the irreducible scatter;
# - how many samples are enough, and what averaging them achieves.
#
# **Prerequisites:** the chapters on [the toy model](31_toy.py), [diffusion](15_diffusion.py) and
# [degeneracy](32_natures_spread.py). About 20 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import panels, paths, plotting, predictive_samples, sample_statistics
from companion import seed_agreement as seeds_agree
from galtools.fidelity import calibration, intervals

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual", "swin", "srgan", "capsule"]  # translators with one answer
n_second: int = 64  # test galaxies that are observed, and drawn from, a second time
n_draws: int = 8  # samples for each of these
n_looked: int = 32  # test galaxies of which the other models see many images
n_looks: int = 3  # images of each of these, for each of the two seeds
n_learn: int = 1500  # training galaxies from which a redshift is learnt
grid: str = "sdss"  # pixels of CFHTLS, as in the first chapter
n_boot: int = 300  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Measured quantities and samples
#
# Each image is reduced to thirteen numbers: the magnitudes within 5 arcsec and of the brightest pixel,
# in five bands; the aperture and the peak colour $g-r$; and a redshift, estimated from the ten
# magnitudes by gradient boosting trained on true CFHTLS images. The *truth* is the value measured in the
# true CFHTLS image, including its noise, since a sample represents a noisy CFHTLS image.
#
# A galaxy is excluded from a test if its true image or one of its samples has a non-positive flux in a band
# that the test needs.
#
# Every test is done twice. *Seed 0* uses the samples of all test galaxies that the chapter on diffusion
# stored. *Seed 1* uses a second observation of some of these galaxies by both surveys, with independent
# noise and seeing, and new samples. The trained networks are the same. Variation between trainings is not
# tested.

# %%
store = paths.Results(results, profile)
split = {s: paths.need(store.data(s), "01_two_surveys") for s in ("train", "test", "again")}
translators = [*paths.check_models(models), "diffusion"]
weights = {m: store.weights("cross", m, seed) for m in paths.check_models(translators)}
numbers = {}
for name, file in weights.items():
    made = sample_statistics.check_trained(file, store.translations("cross", name, seed))
    first, second = (store.data(f"samples_{name}{k}") for k in (0, 1))
    numbers[name, 0] = sample_statistics.kept_samples(first, made, split["test"])
    options = {"n": n_second, "samples": n_draws if name == "diffusion" else 1, "seed": seed + 1}
    numbers[name, 1] = sample_statistics.new_samples(second, file, split["again"], **options)

# %%
training = sample_statistics.true_measurements(split["train"], slice(0, n_learn))
regressor = sample_statistics.FluxRedshiftRegressor(*training, seed)
both = [sample_statistics.true_measurements(split[name]) for name in ("test", "again")]
truth, redshifts = [regressor.append(x) for x, _ in both], [z for _, z in both]
samples = {key: regressor.append(x["samples"]) for key, x in numbers.items()}
found = predictive_samples.PredictiveSamples(samples, truth)
n_second, n_looked = (min(n, len(truth[0])) for n in (n_second, n_looked))  # no more than there are

# %% [markdown]
# ## Ranks
#
# The rank of the truth among the samples of a galaxy is uniform if truth and samples follow the same
# distribution, whatever that distribution is. A dome-shaped histogram indicates overdispersed samples, a
# U-shaped one underdispersed samples, and a slope a bias. In magnitudes a low rank means that the truth
# is brighter than most samples.

# %% mystnb={"figure": {"caption": "Rank of the truth among the samples of the diffusion model, seed 0. Dashed: calibrated samples; band: their 95 % sampling interval.", "name": "fig-draws-ranks"}, "image": {"alt": "Four histograms of ranks between 0 and 1 with a dashed horizontal line and a band: total flux, peak, colour and redshift."}} tags=["hide-input"]
SHOWN = ("total flux, r", "peak, r", "colour g − r", sample_statistics.REDSHIFT)
ranks = {q: calibration.pit(*found.of("diffusion", 0, q), seed) for q in SHOWN}
count = len(numbers["diffusion", 0]["samples"])
fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 4.8), sharex=True, sharey=True)
for ax, (quantity, values) in zip(axes.flat, ranks.items(), strict=True):
    chance = 1.96 * np.sqrt(count / max(len(values), 1))
    style = {"density": True, "color": plotting.MODEL_COLOUR["diffusion"]}
    ax.hist(values, count + 1, range=(0, 1), **style)
    ax.axhspan(max(1 - chance, 0), 1 + chance, color="black", alpha=0.15, linewidth=0)
    ax.axhline(1, color="black", linestyle="--", linewidth=1)
    ax.set_title(quantity)
size = panels.sample_size(pd.DataFrame({"n": [len(values) for values in ranks.values()]}))
fig.supxlabel(f"rank of the truth among the samples ({size})", fontsize=11)
fig.supylabel("density", fontsize=11)
plt.show()

# %% [markdown]
# ## Ratio of scatter to error
#
# If truth and samples follow the same distribution, the mean $\bar X$ of $m$ samples has an error whose
# variance follows from that of the samples:
#
# $$ R^2 = \frac{(1 + 1/m)\,\langle \mathrm{Var}_\mathrm{samples} \rangle}
#             {\langle (\bar X - y)^2 \rangle} = 1 , $$
#
# with $y$ the truth and averages over galaxies. The factor $1 + 1/m$ accounts for the finite number of
# samples. A ratio $R < 1$ means underdispersed or biased samples, $R > 1$ overdispersed ones. A verdict
# requires the intervals of both seeds to lie on the same side of 1.
#
# The table adds a Kolmogorov–Smirnov test of the ranks. Calibration is *contradicted* if uniform ranks are
# rejected at the 1 % level for both seeds. It is *supported* if neither seed rejects them although the same
# test rejects a control, samples whose scatter is reduced by 20 %. Otherwise the result is *inconclusive*.

# %%
every = list(product(sample_statistics.QUANTITIES, (0, 1)))
ratio = {(q, k): found.spread_to_error("diffusion", k, q, n_boot, seed) for q, k in every}
widths = predictive_samples.width_verdicts(ratio)
ranked = {q: found.rank_verdict(calibration.pit, q, seed=seed) for q in widths}

# %% mystnb={"figure": {"caption": "Ratio of the scatter of the samples to the error of their mean, with 95 % intervals over galaxies. Line: calibrated (1). Circles: seed 0, squares: seed 1.", "name": "fig-draws-ratio"}, "image": {"alt": "Thirteen rows, one for each quantity, with a point for each of two seeds and a vertical line at 1."}} tags=["hide-input"]
size = panels.sample_size(pd.DataFrame(map(vars, ratio.values())))
colours = {name: plotting.BAND_COLOUR[name[-1]] for name in sample_statistics.FLUXES}
fig = panels.seed_strips(ratio, colours, f"scatter / error ({size})")
fig.axes[0].axvline(1, color="black", linewidth=1)
plt.show()

# %% tags=["hide-input"]
columns = {f"scatter / error, seed {k}": [str(ratio[q, k]) for q in widths] for k in (0, 1)}
columns["samples are"] = [predictive_samples.WIDTH[verdict] for verdict in widths.values()]
pd.DataFrame({**columns, "calibrated by ranks": ranked.values()}, index=list(widths))

# %% [markdown]
# ## Joint coverage
#
# Samples may be calibrated in each band and still have wrong correlations between bands. *TARP*
# {cite}`lemos2023` tests all quantities jointly. It compares the distances of truth and samples from a
# random reference point, here the measurements of another galaxy, in units of the standard deviations of
# the truth. The fraction of samples closer to the point than the truth is uniform if the samples are
# calibrated, in any number of dimensions. From it follows the coverage of central regions, which should
# equal their nominal probability.

# %% mystnb={"figure": {"caption": "Coverage of central regions of the samples against their nominal probability: by TARP for five total magnitudes, five peak magnitudes and both together; by ranks for the redshift. Bands: 95 % intervals over galaxies, seed 0.", "name": "fig-draws-coverage"}, "image": {"alt": "Four coverage curves with bands, from 0 to 1, and the diagonal of perfect calibration."}} tags=["hide-input"]
SETS = {"totals": sample_statistics.TOTALS, "peaks": sample_statistics.PEAKS, "both": slice(0, 10)}
tarps = {
    (name, k): calibration.tarp(*found.of("diffusion", k, columns), seed)
    for (name, columns), k in product(SETS.items(), (0, 1))
}
curves = {name: tarps[name, 0] for name in SETS} | {"redshift": ranks[sample_statistics.REDSHIFT]}
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 4.2))
ax.axline((0, 0), slope=1, color="black", linewidth=1)
levels = np.linspace(0, 1, 21)
for (name, values), line in zip(curves.items(), ("-", "--", "-.", ":"), strict=True):
    inside = calibration.coverage(values, levels)
    limits = [intervals.bootstrap(intervals.mean, x, n_boot, seed) for x in inside]
    ends = np.array([(e.value, e.low, e.high) for e in limits]).T
    plotting.band(ax, levels, *ends, label=plotting.with_n(name, len(values)), linestyle=line)
ax.set(xlabel="nominal coverage", ylabel="observed coverage")
ax.set(xlim=(0, 1), ylim=(0, 1))
ax.legend()
plt.show()

# %% [markdown]
# A curve above the diagonal indicates overdispersion, one below it underdispersion or bias; opposite faults
# can cancel, so that a curve close to the diagonal does not prove calibration. The table gives the *p*
# value of uniformity; as above, a pass counts only if the same test rejects a control with 20 % less
# scatter.

# %% tags=["hide-input"]
joint = {
    name: found.rank_verdict(calibration.tarp, columns, seed=seed) for name, columns in SETS.items()
}
cells = {f"p, seed {k}": {n: calibration.pvalue(tarps[n, k]) for n in joint} for k in (0, 1)}
shown = pd.DataFrame(cells).map("{:.2g}".format, na_action="ignore").fillna("–")
shown.assign(calibrated=joint.values())

# %% [markdown]
# ## Scatter compared with noise and degeneracy
#
# A calibrated scatter is not necessarily the smallest possible one: a model with large errors needs wide
# samples to be calibrated. The scatter is therefore compared with two measured references.
#
# The lower reference is the noise of CFHTLS, from two observations of the same galaxies. A smaller
# sample scatter means that variance is missing, as in mode collapse. The upper reference is the scatter
# that remains given the SDSS image, noise and degeneracy together, from the [chapter on
# degeneracy](32_natures_spread.py). A larger sample scatter is wider than necessary, even if calibrated.
# This reference is itself an upper limit, since the degenerate galaxies are only similar in the SDSS
# image and not identical.
#
# The table lists the quantities that both chapters measure. Ratios are those of seed 0, with the widest
# combination of the two intervals for the upper reference; the verdict, *above* or *below*, states on
# which side of 1 the intervals of both seeds lie.

# %%
nature = pd.read_csv(paths.need(store.table("natures_spread"), "32_natures_spread"))
known = [q for q in sample_statistics.QUANTITIES if q in set(nature.quantity)]
floor, ceiling = {}, {}
for q, k in product(known, (0, 1)):
    column, drawn = sample_statistics.QUANTITIES.index(q), found.raw("diffusion", k, q)[0]
    both = predictive_samples.variance_vs_repeat(drawn, *(x[:, column] for x in truth))
    floor[q, k] = intervals.bootstrap(calibration.spread_to_error, both, n_boot, seed)
    wide = intervals.bootstrap(intervals.rms, both[0], n_boot, seed)
    limit = predictive_samples.irreducible_sigma(nature, q, k)
    ceiling[q, k] = predictive_samples.ratio_to_limit(wide, limit)

# %% tags=["hide-input"]
BESIDE = {"supported": "above", "contradicted": "below", "inconclusive": "inconclusive"}
cells = {}
for title, ratios in {"CFHTLS noise": floor, "scatter given SDSS": ceiling}.items():
    above_one = predictive_samples.width_verdicts(ratios)
    cells[f"σ / {title}"] = {q: str(ratios[q, 0]) for q in known}
    cells[f"{title}: verdict"] = {q: BESIDE[above_one[q]] for q in known}
pd.DataFrame(cells)

# %% [markdown]
# ## Samples compared with point estimates
#
# A proper score is optimal on average for the true distribution, and so compares samples and point
# estimates on one scale. For a single quantity we use the CRPS, in magnitudes or in redshift. For the
# ten magnitudes jointly we use the *energy score* {cite}`gneiting2007`,
#
# $$ S = \langle |X - y| \rangle - \tfrac12 \langle |X - X'| \rangle , $$
#
# the mean distance of the samples $X$ from the truth $y$ minus half the mean distance between two
# samples. For a point estimate it is the distance from the truth. Lower is better. The mean of the
# samples enters as a further point estimate. The table gives the score of each alternative minus that of
# the samples (seed 0) with the verdict of both seeds: *supported* if the 95 % interval of the paired
# difference lies above 0 for both, so that the samples score better, *contradicted* if it lies below 0
# for both, otherwise *inconclusive*.

# %%
rivals = {"their mean": predictive_samples.MEAN, **{plotting.MODEL_NAME[m]: m for m in models}}
told, cells = [], {}
for title, what in {"ten magnitudes": SETS["both"], **{q: q for q in SHOWN if q[0] != "c"}}.items():
    claims = {
        f"{title}: samples are better than {rival}": (m, "diffusion") for rival, m in rivals.items()
    }
    cells |= dict(zip(claims, ((rival, title) for rival in rivals), strict=True))
    told.append(seeds_agree.compare(found.scores(what), claims, n_boot, seed))
judged = pd.concat(told, ignore_index=True)
seeds_agree.cross_table(judged, cells)

# %% [markdown]
# ## Repeat observations as an ensemble
#
# The output of a deterministic network varies between SDSS observations of the same galaxy with
# different noise and seeing. This variation contains the propagated noise of SDSS only: neither the
# noise of CFHTLS nor the error of the network. To test whether it can serve as a predictive
# distribution, the simulator observes {glue:text}`draws_looked` test galaxies {glue:text}`draws_looks`
# further times for each seed. The ratio of scatter to error is computed as above, 1 being calibrated.
# Numbers are those of seed 0, verdicts those of both seeds.

# %%
replies = {}
for k in (0, 1):
    times = range(2 + k * n_looks, 2 + (k + 1) * n_looks)
    files = sample_statistics.simulate_repeats(store, split["test"], times, n_looked, grid)
    for m in models:
        path = store.data(f"repeats_{m}{k}")
        measured = sample_statistics.translate_repeats(path, weights[m], files)
        replies[m, k] = regressor.append(measured)
replies = predictive_samples.PredictiveSamples(replies, truth)
cases = product(product(models, SHOWN), (0, 1))
sure = {((m, q), k): replies.spread_to_error(m, k, q, n_boot, seed) for (m, q), k in cases}

# %% tags=["hide-input"]
cells = {}
for (model, quantity), verdict in predictive_samples.width_verdicts(sure).items():
    text = f"{sure[(model, quantity), 0]} {predictive_samples.WIDTH[verdict]}"
    cells.setdefault(quantity, {})[plotting.MODEL_NAME[model]] = text
pd.DataFrame(cells)

# %% [markdown]
# ## How many samples?
#
# The mean of $K$ samples is a point estimate with the expected squared error
#
# $$ \mathrm{E}\,(\bar X_K - y)^2 = M + V / K , $$
#
# where $V$ is the variance of the samples of a galaxy and $M$ the squared error of the mean of infinitely
# many. For calibrated samples $V = M$, and twenty samples come within 5 % of the limit $M$.

# %% mystnb={"figure": {"caption": "Squared error of the mean of K samples in units of M, its limit for infinitely many. Points: means over all groups of K samples, with 95 % intervals over galaxies, seed 0. Curves: the identity.", "name": "fig-draws-averages"}, "image": {"alt": "Four decreasing curves with points: squared error against the number of samples."}} tags=["hide-input"]
drawn, line = {q: found.of("diffusion", 0, q) for q in SHOWN}, np.geomspace(1, 64, 50)
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.8))
for k, (quantity, (many, true)) in enumerate(drawn.items()):
    counts = sample_statistics.powers(len(many))
    variance, limit = predictive_samples.limit_of_averages(many, true).mean(axis=1)
    means = [many[: len(many) // K * K].reshape(-1, K, len(true)).mean(1) for K in counts]
    ratios = [intervals.divide(((mean - true) ** 2).mean(0), limit) for mean in means]
    points = [intervals.bootstrap(intervals.mean, x, n_boot, seed) for x in ratios]
    y, low, high = np.array([(e.value, e.low, e.high) for e in points]).T
    beside, style = np.array(counts) * 1.06 ** (k - 1.5), {"marker": "osDv"[k], "label": quantity}
    colour = plotting.interval(ax, beside, y, low, high, **style)[0].get_color()
    ax.plot(line, 1 + intervals.divide(variance, limit) / line, color=colour, linewidth=1)
size = panels.sample_size(pd.DataFrame({"n": [len(true) for _, true in drawn.values()]}))
ax.set(xscale="log", xlabel=f"number of samples K ({size})", ylabel="(error of the mean)² / M")
ax.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
ax.minorticks_off()
ax.legend()
plt.show()

# %%
limits = {
    (q, k): predictive_samples.limit_of_averages(*found.of("diffusion", k, q)) for q, k in every
}
enough = {
    key: intervals.bootstrap(predictive_samples.samples_needed, x, n_boot, seed)
    for key, x in limits.items()
}

# %% [markdown]
# ## Averaging measurements or images
#
# Averaging images differs from averaging measurements. The mean image approximates the output of a network
# trained on the squared error and differs from the images of the survey in every quantity that is not
# linear in the pixels. Thus the brightest pixel of the mean image is not the mean of the brightest pixels,
# and the redshift estimated from the mean image is not the mean redshift. In the table, a positive
# magnitude difference means that the mean image is fainter than the truth. Its last row is the noise in the
# corners of the mean image in units of the CFHTLS noise.

# %% tags=["hide-input"]
averaged = [regressor.append(numbers["diffusion", k]["averages"]) for k in (0, 1)]
noise, lines = numbers["diffusion", 0]["noise"], {}
for quantity in ("peak, r", "total flux, r"):
    column = sample_statistics.QUANTITIES.index(quantity)
    off = averaged[0][..., column] - truth[0][: noise.shape[1], column]
    medians = [intervals.bootstrap(intervals.median, x, n_boot, seed) for x in off]
    lines[f"{quantity}, minus the truth (mag)"] = [str(e) for e in medians]
lines["corner noise / σ, r"] = [f"{np.median(x):.2f}" for x in noise]
pd.DataFrame(lines, index=[f"mean of {2**k}" for k in range(len(noise))]).T

# %% [markdown]
# Does averaging improve redshifts? The scatter is $\sigma_\mathrm{MAD}$ of $(\hat z - z)/(1 + z)$, with $z$
# the true redshift of the galaxy and $\hat z$ the estimate. It is computed for one sample, for the mean
# redshift of all samples, for the mean image, and for the true CFHTLS image. Verdicts follow from paired
# differences of the scatter.

# %%
misses = {}
for k, z in enumerate(redshifts):
    each, true = found.raw("diffusion", k, sample_statistics.REDSHIFT)
    read = {"one sample": each[0], "redshifts": each.mean(axis=0), "true image": true}
    read["images"] = averaged[k][-1, :, -1]
    misses |= {(name, k): (x - z[: len(x)]) / (1 + z[: len(x)]) for name, x in read.items()}
claims = {
    "averaging redshifts beats one sample": ("one sample", "redshifts"),
    "averaging images beats one sample": ("one sample", "images"),
    "averaging redshifts beats averaging images": ("images", "redshifts"),
    "the true image beats averaged redshifts": ("redshifts", "true image"),
}
used = seeds_agree.compare(misses, claims, n_boot, seed, intervals.robust_scatter)
seeds_agree.summary(used)

# %% tags=["remove-cell"]
sources = [store.data(f"samples_diffusion{k}") for k in (0, 1)]
judged = pd.concat([judged, used], ignore_index=True)
kept = seeds_agree.keep(judged, store.table("verdicts_draws"), sources)
kinds = {"error": ratio, "noise": floor, "nature": ceiling, "draws needed": enough}
rows = [
    {"metric": metric, "quantity": quantity, "seed": k, **vars(e)}
    for metric, estimates in kinds.items()
    for (quantity, k), e in estimates.items()
]
kept = seeds_agree.keep(rows, store.table("models_spread"), sources)

# %% tags=["remove-cell"]
lists = {"width_": ratio, "floor_": floor, "ceiling_": ceiling}
for (key, ratios), verdict in product(lists.items(), predictive_samples.WIDTH):
    judged_so = predictive_samples.width_verdicts(ratios)
    listed = "; ".join(q for q in judged_so if judged_so[q] == verdict) or "none"
    glue(f"draws_{key}{verdict}", listed, display=False)
for key, q in zip(("total", "peak", "z"), np.take(SHOWN, [0, 1, 3]), strict=True):
    glue(f"draws_ratio_{key}", str(ratio[q, 0]), display=False)
    glue(f"draws_enough_{key}", str(enough[q, 0]), display=False)

# %% tags=["remove-cell"]
replied = list(predictive_samples.width_verdicts(sure).values())
glue("draws_n", len(truth[0]), display=False)
glue("draws_second", n_second, display=False)
glue("draws_looked", n_looked, display=False)
glue("draws_looks", n_looks, display=False)
glue("draws_sure", replied.count("contradicted"), display=False)
glue("draws_unsure", replied.count("supported"), display=False)
glue("draws_all", len(replied), display=False)
said = seeds_agree.consensus_by_claim(judged)
lists_of = seeds_agree.claims_by_consensus(judged)
for verdict in ("contradicted", "inconclusive"):
    glue(f"draws_{verdict}", lists_of[verdict], display=False)
supported = list(said.values()).count("supported")
glue("draws_said", f"{supported} of {len(said)}", display=False)
glue("draws_joint", "; ".join(f"{name}: {said}" for name, said in joint.items()), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`draws_n` galaxies, {glue:text}`draws_second` of them observed a second time, the
# diffusion model's samples are too wide in: {glue:text}`draws_width_supported`; too narrow in:
# {glue:text}`draws_width_contradicted`; *inconclusive*: {glue:text}`draws_width_inconclusive`. The ratio
# of scatter to error, 1 if calibrated, is {glue:text}`draws_ratio_total` for the total flux in $r$,
# {glue:text}`draws_ratio_peak` for the peak and {glue:text}`draws_ratio_z` for the redshift (seed 0).
# The joint tests by TARP give: {glue:text}`draws_joint`.
#
# The sample scatter is smaller than the noise between two CFHTLS images, so that variance is missing,
# in: {glue:text}`draws_floor_contradicted`. It exceeds the upper limit on the scatter given SDSS in:
# {glue:text}`draws_ceiling_supported`. It is smaller than this limit in:
# {glue:text}`draws_ceiling_contradicted`.
#
# The outputs of deterministic networks for repeat observations, treated as samples, are too narrow in
# {glue:text}`draws_sure` of {glue:text}`draws_all` cases (networks times quantities) and too wide in
# {glue:text}`draws_unsure`.
#
# The mean of {glue:text}`draws_enough_total` samples for the total flux in $r$,
# {glue:text}`draws_enough_peak` for the peak and {glue:text}`draws_enough_z` for the redshift comes
# within five per cent of the squared error of infinitely many (seed 0).
#
# Statements on scores and redshifts that both seeds *contradict*: {glue:text}`draws_contradicted`.
# *Inconclusive*: {glue:text}`draws_inconclusive`.
#
# **Exercise.** Scale the samples of one quantity about their mean until scatter and error agree. How
# much does the score improve?
#
# ```{dropdown} Solution
# `many, true = found.of("diffusion", 1, q)` are the samples of *seed 1*;
# `calibration.shrunk(many, 1 / ratio[q, 0].value)` scales them by the factor found on seed 0, and a factor
# above 1 widens them. Compare the mean of `calibration.crps` before and after. No factor corrects a bias.
# ```
#
# **Exercise.** Which reduces the error of the peak more: further samples or a better model?
#
# ```{dropdown} Solution
# Averaging removes $V/K$ and leaves $M$. The rows of `limits["peak, r", 0]` are $V$ and $M$ of each galaxy:
# once $V/K$ is small compared with $M$, only a better model helps.
# ```
#
# **What's next:** [both directions](35_directions.py), and where information is lost.
