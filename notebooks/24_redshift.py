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
# - how to count knowledge in bits, and how a lossless copy checks the count;
# - whether the densities from translated images can still be trusted.
#
# **Prerequisites:** the chapter on [the redshift estimator](16_redshift_estimator.py). About 20
# minutes.

# %% tags=["hide-input", "remove-stderr"]
from dataclasses import asdict
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import claims, comparison, panels, paths, plotting, redshift_evaluation
from galtools import artefacts
from galtools.fidelity import intervals, redshifts

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to SDSS
models: list[str] = ["residual"]  # the translators to judge
learn: int = 1200  # galaxies that the estimator of each row learns from
check: int = 300  # galaxies that fix its temperature
steps: int = 1500  # steps of its training
members: int = 2  # networks, of different seeds, in each estimator
width: int = 0  # channels of convolutions that see pixels alone; 0: the measurements of chapter 16
reference: bool = False  # write the table into book/reference, as the second judge below
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## One recipe for all
#
# **Retrained.** Each kind of image gets an estimator of its own, trained *from scratch* on such
# images: the same recipe, galaxies and number of steps for the source, the target and every
# translation. What has only changed in appearance is learnt anew; what is lost stays lost. A *copy* of
# the source with other seeds checks the measurement: nothing is lost in it, so that it has to keep
# 100 per cent.
#
# **Frozen.** The estimator of the target images is shown translations. This is what happens to
# somebody who downloads both and uses them alike. It fails for two reasons that it cannot tell apart:
# the translation *lost* something, or merely *changed* something that the estimator relied on.
#
# Knowledge is counted in bits. With the prior $p(z)$, the distribution of redshifts of the training
# galaxies,
#
# $$ I = \big\langle \log_2 p(z_k \mid \mathrm{image}_k) - \log_2 p(z_k) \big\rangle , $$
#
# the prior entropy less the cross-entropy. One bit halves the range of redshifts in question. It
# is what the estimator *found*, a lower bound on what there is, and negative if it was misled. The
# *share retained* is $I$ over that of the source.

# %% tags=["hide-input"]
store = paths.Results(results, profile)
sample = comparison.load_comparison(store, task, paths.check_models(models), seed)
images = {"source": sample.pairs.source, "copy": sample.pairs.source} | sample.images
z, prior = sample.pairs.redshift.astype(float), redshift_evaluation.prior_of(store)
recipe = redshift_evaluation.Recipe(learn, check, steps, members, width=width)
compared = [row for row in images if row != "source"]
translated = compared[1:]  # a copy keeps the appearance of the source: nobody would ask it frozen

# %% tags=["remove-stdout"]
retrained = {
    row: redshift_evaluation.train_on_row(store, task, row, recipe, seed)
    for row in images  # a second observation shares the estimator of the target
}
judged = {
    ("retrained", row): redshift_evaluation.judge(retrained[row], shown, z, prior)
    for row, shown in images.items()
} | {
    ("frozen", row): redshift_evaluation.judge(retrained["truth"], images[row], z, prior)
    for row in translated
}

# %%
bits = {key: whole["bits"][:, 0] for key, (whole, *_) in judged.items()}
source_bits = bits["retrained", "source"]
error = redshift_evaluation.seed_error({k: x for k, x in judged.items() if k[0] == "retrained"})
shares = {
    key: redshift_evaluation.share(values, source_bits, error, n_boot, seed)
    for key, values in bits.items()
}
print(f"error of a row's bits by the seeds of its estimator: {error:.3f}")
print(f"a copy of the source keeps {100 * shares['retrained', 'copy'].value:.1f} per cent")

# %% tags=["hide-input"]
kept = pd.DataFrame(
    {"metric": "retained", "band": protocol, "row": row, **vars(found)}
    for (protocol, row), found in shares.items()
)
tables = [
    redshifts.summarise(whole, protocol, each, n_boot, seed).assign(row=row)
    for (protocol, row), (whole, *each) in judged.items()
]
table = pd.concat([*tables, kept], ignore_index=True).assign(task=task)

# %% [markdown]
# ## What is left

# %% mystnb={"figure": {"caption": "Share of the source's information that is retained, by estimators trained from scratch on each kind of image and by the frozen one of the target. Intervals of 95 % hold the choice of galaxies and the seeds of the estimators. The target and a second observation are not made from the source and may know more.", "name": "fig-redshift-retained"}, "image": {"alt": "Two panels with a line per kind of image and a dashed line at one: the share of information retained, retrained and frozen."}} tags=["hide-input"]
labels = {("retained", p): f"share retained, {p}" for p in ("retrained", "frozen")}
nobody = pd.DataFrame({"metric": ["retained"], "band": "frozen", "row": "copy"})  # asks for it
panels.protocol_strips(pd.concat([kept, nobody]), labels, compared, 1)
plt.show()

# %% [markdown]
# Read the left panel as the measurement and the right one as a warning. Between two surveys,
# *resampling* has lost nothing, and retrained it shows that; yet its fluxes are those of other
# filters, which a frozen estimator misreads with confidence ({glue:text}`z_resampled`). A share
# below zero means that one would have been better off without the image.
#
# Two things can move a row: other galaxies, and other seeds of its estimator. The scatter over the
# seeds is estimated from all rows together, since two networks alone tell little about it, and its square is
# added to that of the interval over galaxies.
#
# No translator can know more than its source: a row above one with all of its interval would be
# *suspicious*, a leak of the truth or an estimator of the source that is not good enough. Suspicious
# rows in this run: {glue:text}`z_suspects`.
#
# The same as numbers that astronomers use. The estimates are the medians of the densities; an
# outlier is off by more than 0.05 in $\delta z / (1 + z)$, for both surveys alike, so that rows
# can be compared. The *coverage* is the share of galaxies whose redshift lies in the central 68 %
# of its density.

# %% tags=["hide-input"]
keyed = table.set_index(["band", "row", "metric"])[["value", "low", "high"]]
columns = {"bits": "bits", "bias": "bias", "sigma_mad": "σ_MAD", "outliers": "outliers"}
columns |= {"crps": "CRPS", "coverage": "coverage"}
cells = [[intervals.format_interval(*keyed.loc[(*line, m)]) for m in columns] for line in judged]
index = [f"{plotting.MODEL_NAME.get(row, row)}, {protocol}" for protocol, row in judged]
pd.DataFrame(cells, index=index, columns=list(columns.values()))

# %% [markdown]
# These intervals are over galaxies. None on this page holds the scatter of the *translators*: each was
# trained once, and the same network from another seed may lose more or less. So an order of rows
# on this page is one of trained networks, not of kinds of models; [several trainings of
# each](28_trainings.py) tell which orders hold.
#
# ## Are the densities honest?
#
# The quantity $F(z_\mathrm{true})$ (PIT) of an honest density is spread evenly between 0 and 1.
# The figure shows how far its cumulative distribution strays from the even one. A curve that
# lies above zero first and then below it means densities that are too narrow, one below zero first
# and then above it, densities that are too wide; a curve on one side of zero, redshifts that are too
# high or too low. The grey area is where 95 % of honest curves stay, at any one
# place.

# %% mystnb={"figure": {"caption": "Cumulative distribution of the PIT less the even one, retrained (left) and frozen (right). Grey: 95 % of calibrated estimators, at each place.", "name": "fig-redshift-pit-protocols"}, "image": {"alt": "Two panels, retrained and frozen, with one curve per kind of image about zero, and a grey band."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.4), sharey=True)
p = np.linspace(0, 1, 101)
reach = 1.96 * np.sqrt(p * (1 - p) / len(z))  # binomial: 95 % of calibrated estimators
for ax, protocol in zip(axes, ("retrained", "frozen"), strict=True):
    for row in translated:
        excess = np.mean(judged[protocol, row][0]["pit"] <= p, axis=0) - p
        style = {"color": plotting.MODEL_COLOUR.get(row), "linewidth": 1.5}
        ax.plot(p, excess, label=plotting.MODEL_NAME.get(row, row), **style)
    ax.fill_between(p, -reach, reach, color="0.85", zorder=0)
    ax.set(xlabel="PIT", title=plotting.with_n(protocol, len(z)))
axes[0].set_ylabel("cumulative − even")
panels.shared_legend(fig, axes[0])
plt.show()

# %% [markdown]
# Retrained, the central 68 % of their densities hold {glue:text}`z_covered_truth` of the
# galaxies with the target images, and from {glue:text}`z_covered_least` to
# {glue:text}`z_covered_most` with those of the translators. Where that is more than 0.68, the
# densities are too wide on average: they were fitted with one temperature.
#
# ## Who keeps more?
#
# Two translators are judged on the same galaxies, so their difference is more certain than each of
# the two. The table gives row minus column, in bits, retrained, with an interval over galaxies and
# estimator seeds, each pair once; a star marks those whose interval leaves out zero. Of twenty
# differences between equal translators, one would get a star by chance.


# %%
def gain(first, second):
    """Mean difference in bits of two rows on the same galaxies, retrained, with its interval."""
    pair = (bits["retrained", row] for row in (first, second))
    return redshift_evaluation.difference(*pair, error, n_boot, seed)


differences = {pair: gain(*pair) for pair in combinations(models, 2)}
cells = pd.DataFrame("", index=models[1:], columns=models[:-1])
for (a, b), e in differences.items():
    star = "*\N{NO-BREAK SPACE}" if e.low > 0 or e.high < 0 else ""
    cells.loc[b, a] = star + intervals.format_interval(-e.value, -e.high, -e.low)
shown = cells.rename(index=plotting.MODEL_NAME, columns=plotting.MODEL_NAME)
shown if len(models) > 1 else print("one translator alone: there is no pair")

# %% tags=["hide-input"]
which = {"seed": seed, "pixels": width > 0}
files = dict.fromkeys(redshift_evaluation.row_file(store, task, row, **which) for row in images)
own = store.table("redshift" if task == "cross" else f"redshift_{task}")
made = artefacts.make(
    redshift_evaluation.pixels_table(task) if reference else own,
    lambda path: table.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot, "recipe": asdict(recipe)},
    modules=["galtools.fidelity.redshifts"],
    inputs=[*sample.inputs, *files],
    seed=seed,
)

# %% [markdown]
# ## A second judge, which looks at pixels alone
#
# The estimators of this page measure light in circles, peaks and shapes, and learn from these. The
# paper's authors let networks look at the image. So a second judge has convolutions on the stretched
# stamp and no measurements at all. It takes a minute of one core for every network, too long for
# a page: its table is *kept* in `book/reference/` with a manifest, and made again, after `make book`, by
#
#     .venv/bin/papermill notebooks/24_redshift.py _build/24.ipynb -p width 32 -p learn 3000 \
#         -p steps 4000 -p reference true \
#         -y "models: [residual, swin, srgan, capsule, diffusion, flux_corrected]"
#
# and the same with `-p task intra` and without the last model. Two shares *disagree* if the interval of
# their difference leaves out zero.

# %%
beside = redshift_evaluation.compare_judges(shares, task)
unlike = [plotting.MODEL_NAME.get(row, row) for row in beside.index[beside.disagree]]
said = "not known, as no such table is kept yet" if beside.empty else ", ".join(unlike) or "none"
print("rows on which the judges disagree:", said)
beside.rename(index=plotting.MODEL_NAME)

# %% [markdown]
# ## Does this run agree with the paper?
#
# The paper finds that every model loses redshift information, and that they lose it to different
# degrees. Its numbers: bits of the source less bits of the translation, where a copy must lose nothing;
# and bits of the best translator less bits of the worst, as half of the galaxies choose them and the
# other half judges them, where source and copy must not differ. [The page of claims](27_claims.py)
# judges them.

# %%
judges = np.arange(len(z)) % 2 == 1  # every other galaxy; the others choose the best and the worst
order = sorted(models, key=lambda model: bits["retrained", model][~judges].mean())
half = {row: bits["retrained", row][judges] for row in images}
pairs = {f"{order[-1]}, {order[0]}": (order[-1], order[0]), "copy": ("source", "copy")}
apart = {
    name: redshift_evaluation.difference(half[a], half[b], error, n_boot, seed)
    for name, (a, b) in pairs.items()
}
lost = {row: gain("source", row) for row in compared if row != "truth"}
lines = claims.evidence("loss", lost) + claims.evidence("degrees", apart)
if not reference:
    claims.keep(lines, store, "24_redshift", sample.inputs, task, seed)
claims.sheet(lines)

# %% tags=["remove-cell"]
worst, best = order[0], order[-1]
floor = "resample" if "resample" in compared else "copy"


def per_cent(protocol, row):
    """Write a share with its interval, in per cent."""
    return str(intervals.scaled(shares[protocol, row], 100))


for name, row in {"best": best, "worst": worst}.items():
    glue(f"z_frozen_{name}", per_cent("frozen", row), display=False)
    e = redshift_evaluation.share(half[row], half["source"], error, n_boot, seed)
    glue(f"z_retrained_{name}", str(intervals.scaled(e, 100)), display=False)
    glue(f"z_{name}", plotting.MODEL_NAME.get(row, row), display=False)
glue("z_retrained_copy", per_cent("retrained", "copy"), display=False)
nothing = "within one survey there is no such row, since the source is the target"
resampled = f"{per_cent('frozen', floor)} per cent" if task == "cross" else nothing
glue("z_resampled", resampled, display=False)

# %% tags=["remove-cell"]
glue("z_source_bits", float(source_bits.mean()), display=False)
glue("z_truth_bits", float(bits["retrained", "truth"].mean()), display=False)
covered = keyed.xs("coverage", level="metric").loc["retrained"]
least = covered.value[models].sort_values().index
for name, row in {"truth": "truth", "least": least[0], "most": least[-1]}.items():
    glue(f"z_covered_{name}", intervals.format_interval(*covered.loc[row]), display=False)
suspects = [row for row in (floor, *models) if shares["retrained", row].low > 1]
glue("z_suspects", ", ".join(suspects) or "none", display=False)
glue("z_disagree", said, display=False)
glue("z_n", len(z), display=False)
glue("z_learn", learn, display=False)
glue("z_task", task, display=False)

# %% tags=["remove-cell"]
for name, text in redshift_evaluation.finetuned_shares().items():  # see What changed and why
    glue(f"z_old_{name}", text, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`z_n` galaxies the source images tell {glue:text}`z_source_bits:z.2f` bits about the
# redshift, the target images {glue:text}`z_truth_bits:z.2f`, by estimators that learnt from
# {glue:text}`z_learn` galaxies each. A lossless copy of the source keeps
# {glue:text}`z_retrained_copy` per cent. The best translator, {glue:text}`z_best`, retains
# {glue:text}`z_retrained_best` per cent of the source's information, the worst,
# {glue:text}`z_worst`, {glue:text}`z_retrained_worst` (chosen by half of the galaxies, judged by the
# other half). Shown to the frozen estimator of the target
# these two are left with {glue:text}`z_frozen_best` and {glue:text}`z_frozen_worst` per cent. Rows on which a
# judge of pixels alone disagrees: {glue:text}`z_disagree`. This page shows the task
# {glue:text}`z_task`.
#
# ## Exercises
#
# 1. Set `-p learn 300`. Do the bits change, and do the shares?
#
# ```{dropdown} Solution
# All rows find fewer bits, the source among them, since every estimator learns from fewer galaxies. The
# shares change much less, and the copy still keeps 100 per cent within its interval, which has grown.
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
