# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Redshift: information retained
#
# For this run's task, {glue:text}`z_task`, the best translator, {glue:text}`z_best`, retains
# {glue:text}`z_retrained_best` % of the redshift information in the source images, and the worst,
# {glue:text}`z_worst`, {glue:text}`z_retrained_worst` % (chosen on one half of the galaxies, measured on the
# other). A lossless copy of the source, the control, retains {glue:text}`z_retrained_copy` %.
#
# **What you will learn**
#
# - how to measure redshift information in bits, and how a lossless copy validates the measurement;
# - why retrained and frozen estimators judge the same images differently;
# - whether redshift densities from translated images are calibrated.
#
# **Prerequisites:** the chapter on [the redshift estimator](16_redshift_estimator.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from dataclasses import asdict
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import (
    claims,
    comparison,
    panels,
    paths,
    plotting,
    redshift_evaluation,
)
from galtools import artefacts
from galtools.fidelity import intervals, redshifts
from galtools.training import translate

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to SDSS
models: list[str] = ["residual"]  # the translators to judge
learn: int = 1200  # galaxies that the estimator of each row learns from
check: int = 300  # galaxies that calibrate it
steps: int = 400  # steps of its training
batch: int = 256  # galaxies in a step
rate: float = 0.006  # highest learning rate
members: int = 2  # networks, of different seeds, in each estimator
width: int = 0  # channels of convolutions that see pixels alone; 0: the measurements of chapter 16
reference: bool = False  # write the table into book/reference, as the second judge below
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Retrained and frozen estimators
#
# **Retrained.** Each kind of image gets its own estimator, trained from scratch with the same recipe and
# galaxies. It adapts to a mere change of appearance, so that a deficit measures information that is lost or that
# the estimator cannot extract. The control is a *copy*: source images with other estimator seeds, which must
# retain 100 % within the interval.
#
# **Frozen.** The estimator of the target images is applied to translations. Lost information and distribution
# shift both reduce its performance, and this protocol cannot separate the two.
#
# Let the prior $p(z)$ be the redshift distribution of the training galaxies. The information in bits is
# the prior entropy less the cross-entropy,
#
# $$ I = \big\langle \log_2 p(z_k \mid \mathrm{image}_k) - \log_2 p(z_k) \big\rangle . $$
#
# One bit halves the range of plausible redshifts. $I$ is a lower bound on the information in the images,
# and negative if the densities mislead. The *retained fraction* is $I$ divided by that of the source.

# %% tags=["hide-input"]
store = paths.Results(results, profile)
sample = comparison.load_comparison(store, task, paths.check_models(models), seed)
images = {"source": sample.pairs.source, "copy": sample.pairs.source} | sample.images
z, prior = sample.pairs.redshift.astype(float), redshift_evaluation.prior_of(store)
recipe = redshift_evaluation.Recipe(learn, check, steps, members, batch, rate, width=width)
compared = [row for row in images if row != "source"]
translated = compared[1:]  # the copy is judged by the retrained estimator alone

# %% tags=["remove-stdout"]
retrained = {
    row: redshift_evaluation.train_on_row(store, task, row, recipe, seed)
    for row in images  # a repeat observation shares the estimator of the target
}
judged = {
    ("retrained", row): redshift_evaluation.measure_members(retrained[row], shown, z, prior)
    for row, shown in images.items()
} | {
    ("frozen", row): redshift_evaluation.measure_members(retrained["truth"], images[row], z, prior)
    for row in translated
}

# %%
bits = {key: ensemble["bits"][:, 0] for key, (ensemble, *_) in judged.items()}
source_bits = bits["retrained", "source"]
error = redshift_evaluation.seed_error({k: x for k, x in judged.items() if k[0] == "retrained"})
shares = {
    key: redshift_evaluation.information_ratio(values, source_bits, error, n_boot, seed)
    for key, values in bits.items()
}
print(f"standard error of a row's bits over estimator seeds: {error:.3f}")
print(f"a copy of the source retains {100 * shares['retrained', 'copy'].value:.1f} %")

# %% tags=["hide-input"]
kept = pd.DataFrame(
    {"metric": "retained", "band": protocol, "row": row, **vars(estimate)}
    for (protocol, row), estimate in shares.items()
)
tables = [
    redshifts.tabulate(ensemble, protocol, each, n_boot, seed).assign(row=row)
    for (protocol, row), (ensemble, *each) in judged.items()
]
table = pd.concat([*tables, kept], ignore_index=True).assign(task=task)

# %% [markdown]
# ## Retained information

# %% mystnb={"figure": {"caption": "Redshift information relative to the source, for estimators trained from scratch on each kind of image (filled) and for the frozen estimator of the target (hollow). Dashed: what is found in the source, for an ideal estimator the bound of any translation; triangles: less than 0. 95 % intervals over galaxies and estimator seeds. Target and repeat observation are not derived from the source and may exceed 100 %.", "name": "fig-redshift-retained"}, "image": {"alt": "One line per kind of image, in three groups, with the percentage of information retained by a retrained and by a frozen estimator, and a dashed line at 100 %."}} tags=["leading", "hide-input"]
panels.retained_strips(kept)
plt.show()

# %% [markdown]
# Between two surveys, resampling to the target's pixel grid is nearly lossless, but its fluxes are those of the
# source's filters, to which the frozen estimator is not adapted (it retains: {glue:text}`z_resampled`).
# Intervals combine the bootstrap over galaxies with the scatter over estimator seeds, pooled over all rows.
#
# By the data processing inequality, no translation holds more information than its source. A row whose whole
# interval lies above 100 % indicates a leak of the truth or an inefficient estimator of the source; such rows in
# this run: {glue:text}`z_suspects`.
#
# ## Point estimates and coverage
#
# Point estimates are medians of the densities. An outlier has $|\delta z| / (1 + z) > 0.05$ in both
# surveys. *Coverage* is the fraction of galaxies whose redshift lies in the central 68 % of its density.
# The bias is the mean and $\sigma_\mathrm{MAD}$ the robust scatter of $\delta z / (1 + z)$; the CRPS
# judges the whole density. Intervals are over galaxies.

# %% tags=["hide-input"]
keyed = table.set_index(["band", "row", "metric"])[["value", "low", "high"]]
columns = {"bits": "bits", "bias": "bias", "sigma_mad": "σ (MAD)", "outliers": "outliers"}
columns |= {"crps": "CRPS", "coverage": "coverage"}
cells = [[intervals.format_interval(*keyed.loc[(*line, m)]) for m in columns] for line in judged]
index = [f"{plotting.MODEL_NAME.get(row, row)}, {protocol}" for protocol, row in judged]
pd.DataFrame(cells, index=index, columns=list(columns.values()))

# %% [markdown]
# No interval in this chapter includes the [scatter between trainings](25_leaderboard.py) of a *translator*: the
# ranking holds for these trained networks, not for the model classes.
#
# ## Calibration of the densities
#
# For calibrated densities the PIT, the predicted probability $F(z_\mathrm{true})$ below the true
# redshift, is uniform. The figure shows its cumulative distribution minus the uniform one. A curve that
# is first positive, then negative indicates densities that are too narrow; the reverse, too wide. A curve of one
# sign indicates bias: positive if redshifts are overestimated.

# %% mystnb={"figure": {"caption": "Cumulative distribution of the PIT minus the uniform one, retrained (left) and frozen (right). Grey: pointwise 95 % range of calibrated estimators.", "name": "fig-redshift-pit-protocols"}, "image": {"alt": "Two panels, retrained and frozen, with one curve per kind of image around 0 and a grey band."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.4), sharey=True)
p = np.linspace(0, 1, 101)
margin = 1.96 * np.sqrt(p * (1 - p) / len(z))  # binomial: 95 % of calibrated estimators
for ax, protocol in zip(axes, ("retrained", "frozen"), strict=True):
    for row in translated:
        excess = np.mean(judged[protocol, row][0]["pit"] <= p, axis=0) - p
        style = {"color": plotting.MODEL_COLOUR.get(row), "linewidth": 1.5}
        ax.plot(p, excess, label=plotting.MODEL_NAME.get(row, row), **style)
    ax.fill_between(p, -margin, margin, color="0.85", zorder=0)
    ax.set(xlabel="PIT", title=plotting.with_n(protocol, len(z)))
axes[0].set_ylabel("CDF − uniform")
panels.shared_legend(fig, axes[0])
plt.show()

# %% [markdown]
# ## Bias and N(z)
#
# Estimates that regress to the mean of the sample are too high at low true redshift and too low at high. This
# holds for calibrated densities too: of these, the median error vanishes at fixed *estimate*, their median.
# A bias at fixed estimate therefore indicates densities that are not calibrated.

# %% mystnb={"figure": {"caption": "Median error in five bins of equally many galaxies, by true redshift (left) and by estimate (middle); numbers are medians of the first row. Dots: the 95 % interval over galaxies excludes 0. Right: distributions of the estimates (lines, in the colours of the rows) and of the true redshifts (grey). Above: retrained; below: frozen.", "name": "fig-redshift-bias"}, "image": {"alt": "Two lines of three panels, retrained and frozen: heat maps of the error by true and by estimated redshift, one line per image, and histograms of both."}} tags=["hide-input"]
shown = ["truth", *models]
errors = {key: ensemble["dz"][:, 0] for key, (ensemble, *_) in judged.items() if key[1] in shown}
panels.redshift_bias(errors, z, n_boot)
plt.show()

# %% [markdown]
# For retrained estimators, the coverage of the central 68 % is {glue:text}`z_covered_truth` on target
# images and from {glue:text}`z_covered_least` to {glue:text}`z_covered_most` on translations.
#
# ## Several samples of a galaxy
#
# The diffusion model gives many images of a galaxy. The mean of their densities estimates the density given
# the source; by Jensen's inequality it has at least the mean bits of single samples.

# %%
several = {}
if "diffusion" in models:
    file = store.translations(task, "diffusion", seed)
    count = artefacts.read_manifest(file)["parameters"]["samples"]
    for protocol, row in {"retrained": "diffusion", "frozen": "truth"}.items():
        samples = (translate.load_translations(file, k) for k in range(count))
        one, mean = redshift_evaluation.bits_of_samples(retrained[row], samples, z, prior)
        cells = one, mean, mean - one
        names = "bits, single samples", f"bits, mean density of {count}", "gain"
        estimates = [intervals.bootstrap(intervals.mean, x, n_boot, seed) for x in cells]
        several[protocol] = dict(zip(names, map(str, estimates), strict=True))
pd.DataFrame.from_dict(several, orient="index")

# %% [markdown]
# ## Paired differences between translators
#
# Entries are row minus column in bits, retrained; intervals cover galaxies and estimator seeds. A star
# marks an interval that excludes 0, without correction for the number of pairs.


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
shown if len(models) > 1 else print("a single translator: no pairs")

# %% tags=["hide-input"]
which = {"seed": seed, "pixels": width > 0}
files = dict.fromkeys(redshift_evaluation.row_file(store, task, row, **which) for row in images)
own_table = store.table("redshift" if task == "cross" else f"redshift_{task}")
made = artefacts.make(
    redshift_evaluation.pixels_table(task) if reference else own_table,
    lambda path: table.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot, "recipe": asdict(recipe)},
    modules=["galtools.fidelity.redshifts"],
    inputs=[*sample.inputs, *files],
    seed=seed,
)

# %% [markdown]
# ## Robustness: an estimator that sees pixels alone
#
# The estimators above use apertures, peaks and shapes; the paper's networks see the image. A second estimator
# applies convolutions to the stretched stamp, without measurements. Its table is precomputed and kept in
# `book/reference/`; after `make book`, this command makes it anew:
#
#     .venv/bin/papermill notebooks/24_redshift.py _build/24.ipynb -p width 32 -p learn 3000 \
#         -p steps 4000 -p batch 64 -p rate 0.003 -p reference True \
#         -y "models: [residual, swin, srgan, capsule, diffusion, flux_corrected]"
#
# For SDSS to SDSS, add `-p task intra` and omit the last model. Two fractions *disagree* if the interval
# of their difference excludes 0.

# %%
beside = redshift_evaluation.compare_judges(shares, task)
unlike = [plotting.MODEL_NAME.get(row, row) for row in beside.index[beside.disagree]]
listed = "not known, as no such table is kept yet" if beside.empty else ", ".join(unlike) or "none"
print("rows on which the two estimators disagree:", listed)
beside.rename(index=plotting.MODEL_NAME)

# %% [markdown]
# ## Comparison with the paper
#
# {cite:t}`ruan2025` claim that every model loses redshift information, and that models lose it to
# different degrees. The first claim is tested by the bits of the source minus those of a translation, the
# second by the bits of the best translator minus those of the worst. One half of the galaxies selects
# best and worst and the other half measures the difference, which avoids selection bias. The control of
# both is the difference between source and copy, which must be consistent with 0. [The chapter on
# claims](27_claims.py) gives the verdicts.

# %%
trained = {row: bits["retrained", row] for row in images}
order, half = claims.rank_by_halves(trained, models)
pairs = {"copy": ("source", "copy")}
if len(models) > 1:
    pairs[f"{order[-1]}, {order[0]}"] = order[-1], order[0]
apart = {
    name: redshift_evaluation.difference(half[a], half[b], error, n_boot, seed)
    for name, (a, b) in pairs.items()
}
losses = {row: gain("source", row) for row in compared if row != "truth"}
lines = claims.evidence("loss", losses) + claims.evidence("degrees", apart)
if not reference:
    claims.save_evidence(lines, store, "24_redshift", sample.inputs, task, seed)
claims.sheet(lines)

# %% tags=["remove-cell"]
worst, best = order[0], order[-1]
floor = "resample" if "resample" in compared else "copy"


def per_cent(protocol, row):
    """Retained fraction with its interval, in per cent."""
    return str(intervals.scaled(shares[protocol, row], 100))


for name, row in {"best": best, "worst": worst}.items():
    glue(f"z_frozen_{name}", per_cent("frozen", row), display=False)
    e = redshift_evaluation.information_ratio(half[row], half["source"], error, n_boot, seed)
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
glue("z_disagree", listed, display=False)
glue("z_n", len(z), display=False)
glue("z_learn", learn, display=False)
glue("z_task", task, display=False)

# %% tags=["remove-cell"]
for name, text in redshift_evaluation.finetuned_shares().items():  # see What changed and why
    glue(f"z_old_{name}", text, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`z_n` galaxies, estimators trained on {glue:text}`z_learn` galaxies each find
# {glue:text}`z_source_bits:z.2f` bits of redshift information in the source images and
# {glue:text}`z_truth_bits:z.2f` in the target images. The best translator ({glue:text}`z_best`) retains
# {glue:text}`z_retrained_best` % of the source's information and the worst ({glue:text}`z_worst`)
# {glue:text}`z_retrained_worst` %, chosen and measured on different halves of the galaxies; the copy retains {glue:text}`z_retrained_copy` %. With the frozen
# estimator the two retain {glue:text}`z_frozen_best` % and {glue:text}`z_frozen_worst` %. The estimator
# that sees pixels alone disagrees on these rows: {glue:text}`z_disagree`.
#
# ## Exercises
#
# 1. Set `-p learn 300`. How do the bits and the retained fractions change?
#
# ```{dropdown} Solution
# All rows, the source included, yield fewer bits, because estimators are trained on fewer galaxies. The
# fractions change much less, and the copy remains consistent with 100 %.
# ```
#
# **What's next:** all fidelity metrics in one table: [the leaderboard](25_leaderboard.py).
