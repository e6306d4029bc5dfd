# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Redshift: how much information survives?
#
# A translated image may look right, pixel by pixel, and still have forgotten how far away its
# galaxy is. How much of what the source image knew about the redshift is left?
#
# **What you will learn**
#
# - why the same translated images can look hopeless or harmless, depending on the question;
# - how to count knowledge in bits, and why no translator can add any;
# - whether the densities from translated images can still be trusted.
#
# **Prerequisites:** the chapter on [the redshift estimator](16_redshift_estimator.py). About 20
# minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import comparison, panels, paths, plotting, redshift_evaluation, verdict_tables
from galtools import artefacts, redshift
from galtools.data import image_files
from galtools.fidelity import information, intervals, redshifts
from galtools.redshift import Ensemble
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to SDSS
models: list[str] = ["residual"]  # the translators to judge
learn: int = 1000  # galaxies that each retrained estimator learns from
check: int = 200  # galaxies that fix the temperature of each
steps: int = 400  # steps of retraining
rate: float = 0.001  # highest learning rate of retraining
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Three questions, three protocols
#
# **Frozen.** Take the estimator that learnt from original images of the target survey and show it
# translations. This is what happens to somebody who downloads both and uses them alike. It fails
# for two reasons that it cannot tell apart: the translation *lost* something, or merely *changed*
# something that the estimator relied on.
#
# **Retrained.** Let the same estimator go on learning from translated images before it is
# shown others. What has only changed can be learnt anew; what is lost stays lost.
#
# **Source.** Let an estimator learn from the source images. A translation is made from its source
# and nothing else, so it cannot know more: if it seems to, something is wrong, and we say so.
#
# Knowledge is counted in bits. With the prior $p(z)$, the distribution of redshifts of the training
# galaxies,
#
# $$ I = \big\langle \log_2 p(z_k \mid \mathrm{image}_k) - \log_2 p(z_k) \big\rangle , $$
#
# the prior entropy less the cross-entropy. One bit halves the range of redshifts in question. It
# is what the estimator *found*, a lower bound on what there is, and negative if it was misled.

# %% tags=["hide-input"]
store = paths.Results(results, profile)
sample = comparison.load_comparison(store, task, paths.check_models(models), seed)
survey = redshift_evaluation.SURVEY[task]
frozen = Ensemble.load(redshift_evaluation.estimator_file(store, survey, seed))
of_source = Ensemble.load(redshift_evaluation.estimator_file(store, "SDSS", seed))
train_z = image_files.read_column(paths.need(store.data("train"), "01_two_surveys"), "redshift")
z, grid = sample.pairs.redshift.astype(float), frozen.grid
prior, limit = information.prior(train_z, grid.edges), redshift.OUTLIER["SDSS"]
compared = list(sample.images)
floor = "resample" if "resample" in compared else "truth"  # intra: the source is the truth
floor_name = plotting.MODEL_NAME[floor]


# %% tags=["remove-stdout"]
def judge(density, members, protocol):
    """Quantities of every galaxy by the densities of an ensemble, and their summary."""
    found, *each = (redshifts.measure(d, z, grid, prior, limit) for d in (density, *members))
    return found, redshifts.summarise(found, protocol, each, n_boot, seed)


settings = Settings(steps=steps, batch=64, rate=rate, weight_decay=1e-3, checks=1, seed=seed)
judged, tables = {}, []
for row, images in sample.images.items():
    source_row = "truth" if row == "again" else row
    tuned = redshift_evaluation.finetune_on_row(
        store, task, source_row, settings, learn, check, seed
    )
    features = frozen.extract_features(images)
    for protocol, ensemble in {"frozen": frozen, "retrained": tuned}.items():
        judged[protocol, row], table = judge(*ensemble.densities(features), protocol)
        tables.append(table.assign(row=row))
by_source = of_source.densities(of_source.extract_features(sample.pairs.source))
judged["source", "source"], table = judge(*by_source, "source")
tables.append(table.assign(row="source"))

# %% [markdown]
# A second observation of a galaxy is an image of the same kind as the target, so it shares the
# target's estimators. All retrained estimators, the target's own among them, saw equally many
# galaxies for equally many steps, so their rows can be compared with each other.
#
# ## What is left

# %% mystnb={"figure": {"caption": "Information about the redshift under the frozen and the retrained protocol, with 95 % intervals over galaxies. Dashed: what the source images tell an estimator that learnt from the whole training split of them.", "name": "fig-redshift-bits"}, "image": {"alt": "Two panels with a line per kind of image: bits, frozen and retrained."}} tags=["hide-input"]
bits = {key: values["bits"][:, 0] for key, values in judged.items()}
source_bits = bits["source", "source"]
table = pd.concat(tables, ignore_index=True)
labels = {("bits", protocol): f"bits, {protocol}" for protocol in ("frozen", "retrained")}
panels.protocol_strips(table, labels, compared, source_bits.mean())
plt.show()

# %% [markdown]
# Between two surveys, read the left panel as a warning and the right one as a measurement.
# *Resampling* has not lost anything. Yet its fluxes are those of other filters, which a frozen estimator
# of the other survey misreads with confidence, and which a retrained one has learnt to read
# ({glue:text}`z_resampled`). Bits below zero mean that one would have been better off without the image.
# What separates the retrained row from the dashed line is not lost in the images: it is the price of
# learning anew from fewer galaxies. The translations, which look more like what the estimator began
# with, have less to learn anew. So a translator that ends *below* resampling has lost something, and
# one that ends beside it may have lost a little.
#
# Within one survey the frozen estimator knows this kind of image already. There the left panel is the
# measurement, and the right one shows what learning anew from fewer galaxies costs, the truth itself
# included.
#
# The same as numbers that astronomers use. The estimates are the medians of the densities; an
# outlier is off by more than 0.05 in $\delta z / (1 + z)$, for both surveys alike, so that rows
# can be compared. The *coverage* is the share of galaxies whose redshift lies in the central 68 %
# of its density.

# %% mystnb={"figure": {"caption": "Scatter of the redshift estimates under both protocols, with 95 % intervals over galaxies.", "name": "fig-redshift-scores"}, "image": {"alt": "Two panels with a line per kind of image: the scatter, frozen and retrained."}} tags=["hide-input"]
labels = {
    ("sigma_mad", protocol): rf"$\sigma_\mathrm{{MAD}}$, {protocol}"
    for protocol in ("frozen", "retrained")
}
panels.protocol_strips(table, labels, compared)
plt.show()

# %% tags=["hide-input"]
keyed = table.set_index(["band", "row", "metric"])
columns = {"bias": "bias", "outliers": "outliers", "crps": "CRPS", "coverage": "coverage"}
lines = [("source", "source")] + [(p, row) for p in ("frozen", "retrained") for row in compared]
cells = [
    [intervals.format_interval(*keyed.loc[(*line, m), ["value", "low", "high"]]) for m in columns]
    for line in lines
]
index = [f"{plotting.MODEL_NAME.get(row, row)}, {protocol}" for protocol, row in lines]
pd.DataFrame(cells, index=index, columns=list(columns.values()))

# %% [markdown]
# Intervals are over galaxies. Training the estimator again with another seed moves the numbers,
# too: the table below gives the scatter over the networks of an ensemble, the median over rows.
# Neither holds the scatter of the *translators*: each was trained once, and the same network from
# another seed may lose more or less than its interval over galaxies tells. So an order of rows on
# this page is one of trained networks, not of kinds of models; [several
# trainings of each](28_trainings.py) tell which orders hold.

# %% tags=["hide-input"]
spread = table[table.metric.isin(["bits", "sigma_mad"])]
scatter = spread.pivot_table("seed_scatter", "band", "metric", aggfunc="median")
scatter.rename(columns={"sigma_mad": "σ_MAD"}).rename_axis(index="protocol", columns=None).round(4)

# %% [markdown]
# ## Are the densities honest?
#
# The quantity $F(z_\mathrm{true})$ (PIT) of an honest density is spread evenly between 0 and 1.
# The figure shows how far its cumulative distribution strays from the even one. A curve that
# lies above zero first and then below it means densities that are too narrow, one below zero first
# and then above it, densities that are too wide; a curve on one side of zero, redshifts that are too
# high or too low. The grey area is where 95 % of honest curves stay, at any one
# place.

# %% mystnb={"figure": {"caption": "Cumulative distribution of the PIT less the even one, frozen (left) and retrained (right). Grey: 95 % of calibrated estimators, at each place.", "name": "fig-redshift-pit-protocols"}, "image": {"alt": "Two panels, frozen and retrained, with one curve per kind of image about zero, and a grey band."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.4), sharey=True)
p = np.linspace(0, 1, 101)
reach = 1.96 * np.sqrt(p * (1 - p) / len(z))  # binomial: 95 % of calibrated estimators
for ax, protocol in zip(axes, ("frozen", "retrained"), strict=True):
    for row in compared:
        excess = np.mean(judged[protocol, row]["pit"] <= p, axis=0) - p
        style = {"color": plotting.MODEL_COLOUR.get(row), "linewidth": 1.5}
        ax.plot(p, excess, label=plotting.MODEL_NAME.get(row, row), **style)
    ax.fill_between(p, -reach, reach, color="0.85", zorder=0)
    ax.set(xlabel="PIT", title=plotting.with_n(protocol, len(z)))
axes[0].set_ylabel("cumulative − even")
panels.shared_legend(fig, axes[0])
plt.show()

# %% [markdown]
# After retraining, the central 68 % of their densities hold {glue:text}`z_covered_truth` of the
# galaxies with the target images, and from {glue:text}`z_covered_least` to
# {glue:text}`z_covered_most` with those of the translators. Where that is more than 0.68, the
# densities are too wide on average: they were fitted with one temperature, and the next figure shows
# for which galaxies it is too high.
#
# Honest on average would not be enough. Of the galaxies of one kind, too, 68 % should have their
# redshift within the central 68 % of their density: near and far, bright and faint, red and blue.
# Near and far go by the *estimated* redshift: among galaxies that are truly far, even a perfect
# estimator puts most too near, because nearer galaxies are more common.

# %% mystnb={"figure": {"caption": "Retrained protocol, by estimated redshift z, by r magnitude and by type: share of galaxies within the central 68 % of their density (dashed: honest), and scatter of the estimates, with 95 % intervals.", "name": "fig-redshift-slices"}, "image": {"alt": "Two panels with a line per kind of galaxy."}} tags=["hide-input"]
parts, some = [], ["truth", *models]
for row in some:
    found = judged["retrained", row]
    dz = found["dz"][:, 0]
    masks = redshifts.galaxy_classes(z + dz * (1 + z), sample.pairs.catalogue)
    part = redshifts.summarise_by_class(found, masks, ["coverage", "sigma_mad"], n_boot, seed)
    parts.append(part.assign(row=row))
by_slice = pd.concat(parts, ignore_index=True)
statistics = {"coverage": "share within central 68 %", "sigma_mad": r"$\sigma_\mathrm{MAD}$"}
fig = panels.quantity_strips(by_slice, list(masks), statistics, some, height=6.0)
fig.axes[0].axvline(redshifts.ONE_SIGMA, color="black", linestyle="--", linewidth=1)
plt.show()

# %% [markdown]
# The calibration was fitted as one temperature for all galaxies, and could not do more than it
# did: where a kind of galaxy strays from the dashed line, its densities are too narrow (left of
# it) or too wide.
#
# ## Who keeps more?
#
# Two translators are judged on the same galaxies, so their difference is more certain than each of
# the two. The table gives row minus column, in bits, retrained, with its interval, each pair once; a
# star marks those whose interval leaves out zero. Of twenty differences between equal translators,
# one would get a star by chance.


# %%
def gain(first, second, some=slice(None)):
    """Mean difference in bits of two rows on the same galaxies, retrained, with its interval."""
    pair = (bits["retrained", row][some] for row in (first, second))
    return intervals.paired_difference(intervals.mean, *pair, n_boot, seed)


def starred(found):
    """Write a difference with its interval, behind a star if that leaves out zero."""
    return "*\N{NO-BREAK SPACE}" * (found.low > 0 or found.high < 0) + str(found)


names = [plotting.MODEL_NAME.get(model, model) for model in models]
cells = [
    [starred(gain(a, b)) if j < k else "" for j, b in enumerate(models[:-1])]
    for k, a in enumerate(models)
]
shown = pd.DataFrame(cells[1:], index=names[1:], columns=names[:-1])
shown if len(models) > 1 else print("one translator alone: there is no pair")

# %% [markdown]
# ## Nobody knows more than the source
#
# The share of the source's information that a translation retains is the ratio of its bits to
# those of the source, galaxy by galaxy resampled together. A row above one, with all of its
# interval, would be *suspicious*: a leak of the truth, or an estimator of the source that is not
# good enough.

# %% mystnb={"figure": {"caption": "Share of the source's information that is retained, under both protocols, with 95 % intervals. The target and a second observation are not made from the source and may know more.", "name": "fig-redshift-retained"}, "image": {"alt": "Two panels with a line per kind of image and a dashed line at one."}} tags=["hide-input"]
kept = pd.concat(
    redshifts.retained(values, source_bits, protocol, n_boot, seed).assign(row=row)
    for (protocol, row), values in bits.items()
    if row != "source"
)
labels = {("retained", p): f"share retained, {p}" for p in ("frozen", "retrained")}
panels.protocol_strips(kept, labels, compared, 1)
plt.show()

# %%
suspects = [
    row
    for row in (floor, *models)
    if intervals.paired_difference(
        intervals.mean, bits["retrained", row], source_bits, n_boot, seed
    ).low
    > 0
]
print("suspicious rows:", ", ".join(suspects) or "none")

# %% tags=["hide-input"]
everything = pd.concat([table, kept], ignore_index=True).assign(task=task)
used = [redshift_evaluation.estimator_file(store, name, seed) for name in ("SDSS", survey)]
tuned_rows = [row for row in compared if row != "again"]
used += [store.weights("redshift", f"{task}_{row}", seed) for row in tuned_rows]
made = artefacts.make(
    store.table("redshift" if task == "cross" else f"redshift_{task}"),
    lambda path: everything.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot},
    modules=["galtools.fidelity.redshifts"],
    inputs=[*sample.inputs, *dict.fromkeys(used)],
    seed=seed,
)

# %% [markdown]
# ## Does this run agree with the paper?
#
# The paper finds that every model loses redshift information, that they lose it to different
# degrees, and that imperfect translations are still useful downstream. As tested here, in bits
# after retraining: the source tells more than the translation, first with the best estimator of
# the source that we have, then with one that was retrained like the others (the row
# {glue:text}`z_floor`); the target tells more; the best translator, as half of the galaxies choose it,
# tells the other half more than another one does; and a translation tells more than nothing. Within one
# survey the target is the source, and the best estimator of the source can read translations as they
# are: there, the first comparison is made without retraining.

# %%
judges = np.arange(len(z)) % 2 == 1  # every other galaxy; the others choose the best
leader = max(models, key=lambda model: bits["retrained", model][~judges].mean())

# %%
protocol = "retrained" if task == "cross" else "frozen"
lines = []
for model in models:
    pair, alone = (source_bits, bits[protocol, model]), bits["retrained", model]
    less = intervals.paired_difference(intervals.mean, *pair, n_boot, seed)
    known = intervals.bootstrap(intervals.mean, alone, n_boot, seed)
    found = [("loss", "knows less than its source", less)]
    found.append(("loss", "… than its source, trained alike", gain(floor, model)))
    found.append(("useful", "still useful: knows something", known))
    if task == "cross":
        found.append(("loss", "knows less than the target", gain("truth", model)))
    if model != leader:
        name = f"knows less than {plotting.MODEL_NAME.get(leader, leader)}"
        found.append(("degrees", name, gain(leader, model, judges)))
    lines += [verdict_tables.judge(text, model, x, paper=paper) for paper, text, x in found]
name = "verdicts_redshift" if task == "cross" else f"verdicts_redshift_{task}"
panels.verdict_table(verdict_tables.keep(lines, store.table(name), sample.inputs))

# %% [markdown]
# Between two surveys, the comparison with the best estimator flatters the paper, since that one
# learnt from more galaxies; the one with resampling, trained alike, is hard on it, since resampling
# had more to learn anew. Where both say the same, it can be believed. The best is not judged by the
# galaxies that chose it, which would have flattered it.

# %% tags=["remove-cell"]
share = 100 * kept.set_index(["band", "row"])[["value", "low", "high"]]
best = max(models, key=lambda model: bits["retrained", model].mean())
worst = min(models, key=lambda model: bits["retrained", model].mean())
protocols = ("frozen", "retrained")
for protocol in protocols:
    for name, row in {"best": best, "worst": worst, "floor": floor}.items():
        retained = intervals.format_interval(
            *share.loc[(protocol, row)]
        )  # a dash if the source tells nothing
        glue(f"z_{protocol}_{name}", retained, display=False)

# %% tags=["remove-cell"]
glue("z_source_bits", float(source_bits.mean()), display=False)
glue("z_truth_bits", float(bits["frozen", "truth"].mean()), display=False)
measured = {p: intervals.bootstrap(intervals.mean, bits[p, floor], n_boot, seed) for p in protocols}
resampled = f"{measured['frozen']} bits frozen, {measured['retrained']} retrained"
nothing = "within one survey there is no such row, since the source is the target"
glue("z_resampled", resampled if task == "cross" else nothing, display=False)
covered = table[(table.metric == "coverage") & (table.band == "retrained")].set_index("row")
order = covered.value[models].sort_values().index
for name, row in {"truth": "truth", "least": order[0], "most": order[-1]}.items():
    line = intervals.format_interval(*covered.loc[row, ["value", "low", "high"]])
    glue(f"z_covered_{name}", line, display=False)
glue("z_best", plotting.MODEL_NAME.get(best, best), display=False)
glue("z_worst", plotting.MODEL_NAME.get(worst, worst), display=False)
glue("z_suspects", ", ".join(suspects) or "none", display=False)
glue("z_n", len(z), display=False)
glue("z_task", task, display=False)
glue("z_floor", floor_name, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`z_n` galaxies the source images tell {glue:text}`z_source_bits:z.2f` bits about the
# redshift, the target images {glue:text}`z_truth_bits:z.2f`. Shown to the frozen estimator, the
# best translator, {glue:text}`z_best`, retains {glue:text}`z_frozen_best` per cent of the
# source's information, after retraining {glue:text}`z_retrained_best` per cent; the worst,
# {glue:text}`z_worst`, {glue:text}`z_retrained_worst` per cent. {glue:text}`z_floor`, which
# loses nothing, goes from {glue:text}`z_frozen_floor` to {glue:text}`z_retrained_floor` per
# cent: what this retraining finds in images that hold everything. This page shows the task
# {glue:text}`z_task`. Suspicious rows: {glue:text}`z_suspects`.
#
# ## Exercises
#
# 1. Set `-p learn 300`. Which rows suffer, and does the order of the translators change?
#
# ```{dropdown} Solution
# All rows lose. Between two surveys resampling loses most: its images differ most from those that the
# estimator began with, so it has most to learn anew. Compare with the intervals before you conclude
# anything from the order.
# ```
#
# 2. Why may the share of *Seen again* exceed one?
#
# ```{dropdown} Solution
# It is not made from the source. A second look with the target survey is an image of its own, for
# `cross` a deeper one, and no rule of information binds it to what the source saw.
# ```
#
# **What's next:** all levels of fidelity on one board: [the leaderboard](25_leaderboard.py).
