# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Calibration: are samples as diverse as the truth?
#
# A model that draws says two things at once: what the CFHTLS image may look like, and how sure it is of
# that. The first can be looked at. Is the second true?
#
# The chapter on the toy showed how to ask: by ranks, by coverage, by scores. Here the same questions go
# to the diffusion model, whose draws all come from one SDSS image, and to the networks that have one
# answer only, which can be shown many SDSS images of one galaxy instead.
#
# **What you will learn**
#
# - how to tell, number by number, whether draws are too wide or too narrow;
# - how the spread of a model compares with the one that nature leaves open;
# - how many draws are enough, and what an average of draws is good for.
#
# **Prerequisites:** the chapters on [the toy](31_toy.py), [diffusion](15_diffusion.py) and
# [nature's spread](32_natures_spread.py). About 20 minutes.

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
n_draws: int = 8  # draws of each of these
n_looked: int = 32  # test galaxies of which the other models see many images
n_looks: int = 3  # images of each of these, for each of the two seeds
n_learn: int = 1500  # training galaxies from which a redshift is learnt
grid: str = "sdss"  # pixels of CFHTLS, as in the first chapter
n_boot: int = 300  # resamples of the galaxies behind each interval

# %% [markdown]
# ## What is drawn, and what is asked
#
# Every image is turned into thirteen numbers: the magnitude of all light within five arcsec and that
# of the brightest pixel, in five bands; the colour $g-r$ of the whole and of the peak; and a redshift,
# read from the ten magnitudes by an estimator that was taught on true CFHTLS images. For each number,
# the *truth* is what the true CFHTLS image shows, with the noise that it has: a draw claims to be such
# an image, noise and all. A galaxy whose image, or one of whose draws, has no light in a band cannot
# be judged there; figures and tables say how many could.
#
# Everything is done twice. *Seed 0* are the draws that the chapter on diffusion kept of all test
# galaxies. *Seed 1* is a second observation of some of these galaxies by both surveys, other noise and
# seeing in source and truth, with draws of their own. The networks are the same: that another training
# says the same is not tested here, but by running the notebook with another `seed`.

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
# Where is the truth among the draws? Sort the draws of one galaxy by one of the numbers, and look where
# the true one would stand. If truth and draws follow one law, every place is as likely as any other, and
# over many galaxies the histogram is flat, whatever the law is. A hill in the middle means draws that
# differ too much, high ends draws that are too much alike, a slope an answer that is off to one side.
# Magnitudes run backwards: a truth that ranks low is brighter than most draws.

# %% mystnb={"figure": {"caption": "Place of the truth among the draws of the diffusion model, seed 0, with the interval of chance (band, 95 %) about calibrated (dashed).", "name": "fig-draws-ranks"}, "image": {"alt": "Four histograms of places between 0 and 1, beside a flat line with a band: total light, peak, colour, redshift."}} tags=["hide-input"]
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
fig.supxlabel(f"rank of the truth among the draws ({size})", fontsize=11)
fig.supylabel("density", fontsize=11)
plt.show()

# %% [markdown]
# ## Spread over error
#
# The same in one number. If truth and draws follow one law, the mean of $m$ draws misses the truth by
# as much as the draws spread:
#
# $$ R^2 = \frac{(1 + 1/m)\,\langle \mathrm{Var}_\mathrm{draws} \rangle}
#             {\langle (\bar X - y)^2 \rangle} = 1 . $$
#
# Below one the model is too sure of itself: its draws lie too close together, or in the wrong place, for
# an offset counts as an error. Above one it is not sure enough. The verdict stands only if the
# intervals of both seeds lie on one side. Beside it stands the test of all ranks (Kolmogorov and
# Smirnov): calibration is *contradicted* at one per cent for both seeds; *supported* only where the same
# test notices draws that were moved together by a fifth; else *inconclusive*. To find nothing is easy
# with few galaxies, and proves nothing: so a pass counts only where a fault would have been found.

# %%
every = list(product(sample_statistics.QUANTITIES, (0, 1)))
ratio = {(q, k): found.spread_to_error("diffusion", k, q, n_boot, seed) for q, k in every}
widths = predictive_samples.width_verdicts(ratio)
ranked = {q: found.rank_verdict(calibration.pit, q, seed=seed) for q in widths}

# %% mystnb={"figure": {"caption": "Spread of the draws over the error of their mean, with 95 % intervals over galaxies. Calibrated is 1 (line). Round: seed 0, square: seed 1.", "name": "fig-draws-ratio"}, "image": {"alt": "Thirteen lines with two points each, beside a vertical line at one."}} tags=["hide-input"]
size = panels.sample_size(pd.DataFrame(map(vars, ratio.values())))
colours = {name: plotting.BAND_COLOUR[name[-1]] for name in sample_statistics.FLUXES}
fig = panels.seed_strips(ratio, colours, f"spread over error ({size})")
fig.axes[0].axvline(1, color="black", linewidth=1)
plt.show()

# %% tags=["hide-input"]
columns = {f"spread / error, seed {k}": [str(ratio[q, k]) for q in widths] for k in (0, 1)}
columns["the draws are"] = [predictive_samples.WIDTH[verdict] for verdict in widths.values()]
pd.DataFrame({**columns, "calibrated by ranks": ranked.values()}, index=list(widths))

# %% [markdown]
# ## Coverage, of many numbers at once
#
# One number at a time is not enough: draws may be right in every band, and wrong in how the bands hang
# together. *TARP* {cite}`lemos2023` tests all at once. Take a point at random, here the numbers of
# another galaxy; how many of the draws are closer to it than the truth is? If the draws are right, that
# share is uniform, whatever the dimension. From it follows how often the central part of the draws
# holds the truth, which should be as often as it says.

# %% mystnb={"figure": {"caption": "How often central regions of the draws hold the truth, against how often they should: by TARP for five totals, five peaks, and both; by ranks for the redshift. Bands: 95 % over galaxies, seed 0.", "name": "fig-draws-coverage"}, "image": {"alt": "Four curves with bands from corner to corner beside the diagonal."}} tags=["hide-input"]
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
ax.set(xlabel="share that should hold the truth", ylabel="share that holds the truth")
ax.set(xlim=(0, 1), ylim=(0, 1))
ax.legend()
plt.show()

# %% [markdown]
# A curve above the diagonal: too wide; below: too narrow, or in the wrong place. Curves that cancel, too
# wide here and off there, come near the diagonal without being right: the *p* of the test tells, and
# again a pass counts only where draws that were moved together by a fifth do not pass.

# %% tags=["hide-input"]
joint = {
    name: found.rank_verdict(calibration.tarp, columns, seed=seed) for name, columns in SETS.items()
}
cells = {f"p, seed {k}": {n: calibration.pvalue(tarps[n, k]) for n in joint} for k in (0, 1)}
shown = pd.DataFrame(cells).map("{:.2g}".format, na_action="ignore").fillna("–")
shown.assign(calibrated=joint.values())

# %% [markdown]
# ## Beside nature
#
# A spread can be right for the wrong reason: where the model's middle is far off, draws have to be
# wide to be calibrated. So compare the spread with the one that nature leaves open. It has two bounds
# that were measured, not assumed. *From below*, the noise of CFHTLS: two observations of one galaxy
# differ, and draws that differ less than those have lost part of the law, as a model does whose modes
# have *collapsed*. *From above*, what look-alikes leave open, from the chapter on nature's spread;
# draws that differ more than that are wider than need be, however well they are calibrated. The
# look-alikes are an upper limit themselves, since nobody looks exactly alike. Ratios are those of
# seed 0; where they lie is what both seeds say.

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
for title, ratios in {"noise of CFHTLS": floor, "left open by SDSS": ceiling}.items():
    above_one = predictive_samples.width_verdicts(ratios)
    cells[f"spread / {title}"] = {q: str(ratios[q, 0]) for q in known}
    cells[f"{title}: it lies"] = {q: BESIDE[above_one[q]] for q in known}
pd.DataFrame(cells)

# %% [markdown]
# ## Draws against answers
#
# Is it worth drawing at all? A score that is proper decides: nothing scores better on average than the
# law of the truth. For one number it is the CRPS, in magnitudes or in redshift, and for all ten
# magnitudes at once the *energy score*, its generalisation {cite}`gneiting2007`,
#
# $$ S = \langle |X - y| \rangle - \tfrac12 \langle |X - X'| \rangle , $$
#
# the distance of the draws $X$ from the truth $y$, less half of that between two draws: a model is
# rewarded for admitting what it does not know, but not for more than that. For a single answer it is
# the plain distance from the truth. Small is good. The mean of the draws is a single answer, too. In
# the table, by how much the score of each rival is larger than that of the draws (seed 0), and whether
# the draws are better by both seeds.

# %%
rivals = {"their mean": predictive_samples.MEAN, **{plotting.MODEL_NAME[m]: m for m in models}}
told, cells = [], {}
for title, what in {"ten magnitudes": SETS["both"], **{q: q for q in SHOWN if q[0] != "c"}}.items():
    claims = {
        f"{title}: draws score better than {rival}": (m, "diffusion") for rival, m in rivals.items()
    }
    cells |= dict(zip(claims, ((rival, title) for rival in rivals), strict=True))
    told.append(seeds_agree.compare(found.scores(what), claims, n_boot, seed))
judged = pd.concat(told, ignore_index=True)
seeds_agree.cross_table(judged, cells)

# %% [markdown]
# ## Many images, one answer each
#
# A network with one answer has a spread, too: show it other SDSS images of the same galaxy, with other
# noise and another seeing, and it answers something else. Could these answers stand for draws? They
# differ by what the noise of SDSS does to them, and by nothing else: the noise of CFHTLS is not in them,
# nor what the network never learnt. The simulator observes {glue:text}`draws_looked` test galaxies
# again and again, {glue:text}`draws_looks` times for each seed, and the spread of the answers is judged
# as that of draws was: one would be calibrated. Numbers are those of seed 0, words those of both.

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
# ## How many draws?
#
# Who wants one number averages the draws. The mean of $K$ draws misses the truth by
#
# $$ \mathrm{E}\,(\bar X_K - y)^2 = M + V / K , $$
#
# with $V$ the variance of the draws of one galaxy and $M$ what infinitely many would miss by: an
# identity, whatever the law. So a few draws tell how many are enough, and the points in the figure,
# means of as many draws as were made, have to follow the line; there are as many such means as there
# are groups of $K$ draws. For calibrated draws $V = M$, and twenty
# draws are within five per cent of infinitely many. Draws that are too wide need more.

# %% mystnb={"figure": {"caption": "Squared error of the mean of K draws, relative to what the identity says of infinitely many. Points: means of K draws, over all groups of K, 95 % over galaxies, seed 0. Curves: the identity.", "name": "fig-draws-averages"}, "image": {"alt": "Four falling curves, each with points, of the squared error against the number of draws."}} tags=["hide-input"]
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
ax.set(xscale="log", xlabel=f"draws K ({size})", ylabel="(error of the mean)² / M")
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
# ## Average the numbers, or the images?
#
# Averaging images first is another thing. What differs from draw to draw falls with the root of $K$,
# what all draws share stays, and the mean image is again the best guess of a network with one answer:
# not like any image of the survey in whatever is not linear in the pixels. The brightest pixel of a mean
# is not the mean of the brightest pixels, nor is a redshift that is read from it the mean of redshifts.
# Large magnitudes are faint: above zero in the table, the mean image is fainter than the truth.

# %% tags=["hide-input"]
averaged = [regressor.append(numbers["diffusion", k]["averages"]) for k in (0, 1)]
noise, lines = numbers["diffusion", 0]["noise"], {}
for quantity in ("peak, r", "total flux, r"):
    column = sample_statistics.QUANTITIES.index(quantity)
    off = averaged[0][..., column] - truth[0][: noise.shape[1], column]
    medians = [intervals.bootstrap(intervals.median, x, n_boot, seed) for x in off]
    lines[f"{quantity}, minus the truth (mag)"] = [str(e) for e in medians]
lines["noise of the corners / σ, r"] = [f"{np.median(x):.2f}" for x in noise]
pd.DataFrame(lines, index=[f"mean of {2**k}" for k in range(len(noise))]).T

# %% [markdown]
# And is averaging any good for the redshift? Scatter is $\sigma_\mathrm{MAD}$ of $(z' - z)/(1 + z)$, where $z$
# is now the true redshift of the galaxy, and $z'$ is what the estimator reads: from one draw, from all
# draws, to be averaged afterwards, from the mean of their images, and from the true CFHTLS image.

# %%
misses = {}
for k, z in enumerate(redshifts):
    each, true = found.raw("diffusion", k, sample_statistics.REDSHIFT)
    read = {"one draw": each[0], "redshifts": each.mean(axis=0), "true image": true}
    read["images"] = averaged[k][-1, :, -1]
    misses |= {(name, k): (x - z[: len(x)]) / (1 + z[: len(x)]) for name, x in read.items()}
claims = {
    "averaging redshifts beats one draw": ("one draw", "redshifts"),
    "averaging images beats one draw": ("one draw", "images"),
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
# On {glue:text}`draws_n` galaxies, and on {glue:text}`draws_second` of them observed again, the draws of
# the diffusion model are, by spread over error, too wide in: {glue:text}`draws_width_supported`. They are too
# narrow in: {glue:text}`draws_width_contradicted`. *Inconclusive*: {glue:text}`draws_width_inconclusive`. For the total light in
# $r$ the ratio is {glue:text}`draws_ratio_total`, for the peak {glue:text}`draws_ratio_peak`, for the
# redshift read from fluxes {glue:text}`draws_ratio_z`, where 1 is calibrated. Many numbers at once, by
# TARP: {glue:text}`draws_joint`.
#
# Beside nature: draws differ less than two CFHTLS images of one galaxy, and so have collapsed, in:
# {glue:text}`draws_floor_contradicted`. They differ more than an SDSS image leaves open in:
# {glue:text}`draws_ceiling_supported`. They differ less than that in: {glue:text}`draws_ceiling_contradicted`.
#
# Answers to many images of one galaxy, judged as if they were draws, are too narrow in
# {glue:text}`draws_sure` of {glue:text}`draws_all` cases (networks times quantities) and too wide in
# {glue:text}`draws_unsure`. To come within five per cent of what infinitely many draws give, in squared
# error, it takes {glue:text}`draws_enough_total` draws for the total light in $r$,
# {glue:text}`draws_enough_peak` for the peak and {glue:text}`draws_enough_z` for the redshift (seed 0).
#
# Of the statements on score and redshift, {glue:text}`draws_said` are *supported* by both seeds.
# *Contradicted*: {glue:text}`draws_contradicted`. *Inconclusive*: {glue:text}`draws_inconclusive`.
#
# **Exercise.** Widen or narrow the draws of one quantity about their mean until its ranks are flat.
# How much better does it score?
#
# ```{dropdown} Solution
# `many, true = found.of("diffusion", 1, q)` are the draws of *seed 1*, and
# `calibration.shrunk(many, 1 / ratio[q, 0].value)` moves them by the factor that was found on seed 0;
# factors above one widen. Compare the mean of `calibration.crps` before and after: the peaks gain a few
# per cent, and their ranks stay aslant. What stays is the error of the middle, which no factor cures.
# ```
#
# **Exercise.** Which is cheaper for the peak: more draws, or a model whose draws are right?
#
# ```{dropdown} Solution
# Averaging removes $V/K$ and leaves $M$. The rows of `limits["peak, r", 0]` are $V$ and $M$: once
# $V/K$ is a small part of $M$, only a better model helps.
# ```
#
# **What's next:** [There and back again](35_directions.py): which way between the surveys loses what.
