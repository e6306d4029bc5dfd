# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A card without a true image
#
# On real data there is mostly no target image: it is what the translator was to replace. Its source
# is there, though, and a faithful translation has to explain it.
#
# **What you will learn**
#
# - how a translation is carried back to the survey that it was made from, and compared with it;
# - which faults of a translation this notices, and which nobody can notice without a true image.
#
# **Prerequisites:** [Bring your own](bring_your_own.py). About 10 minutes.
#
# ```bash
# papermill notebooks/43_without_truth.py card.ipynb -p source pairs.h5 -p translations mine.npz
# ```

# %% tags=["hide-input", "remove-stderr"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import failure_modes, paths, plotting
from galtools import artefacts, data, simulate
from galtools.data import image_files
from galtools.data.image_files import read_column
from galtools.fidelity import consistency, scorecard
from galtools.surveys import CFHTLS, SDSS

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
source: str = ""  # file of pairs whose source was translated; empty: this book's test galaxies
translations: str = ""  # file of translations into CFHTLS; empty: those of `model`
model: str = "residual"  # the translator that is judged without a file
n_galaxies: int = 300  # galaxies that are judged
n_faults: int = 100  # galaxies into which faults are put

# %% [markdown]
# ## Carried back
#
# The translation is multiplied by the colour terms between the filters of both surveys, convolved to
# the seeing and the pixels of the source, and subtracted from it. In units of the noise of the source,
# after a shift in each band,
#
# $$r = \frac{x - y_\mathrm{back} - s \cdot \nabla y_\mathrm{back}}{\sqrt{\sigma^2 + y_\mathrm{back} / g}}$$
#
# is white noise with $\chi^2 = 1$ per pixel if translation and source show the same galaxy.

# %%
store = paths.Results(results, profile)
file = source or paths.need(store.data("test"), "01_two_surveys")
made = translations or paths.need_translations(store, "cross", model, seed)
pairs = data.load(file, slice(min(n_galaxies, len(read_column(file, "redshift")))))
images = image_files.open_images(made, names=image_files.TRANSLATED)[: len(pairs)]
scale = pairs.target_set.pixel_scale
card = scorecard.card_without_truth(
    pairs.source_set, images, pixel_scale=scale, name=model, seed=seed
)
control = scorecard.card_without_truth(
    pairs.source_set, pairs.target, pixel_scale=scale, psf_fwhm=pairs.target_set.psf_fwhm, seed=seed
)

# %% mystnb={"figure": {"caption": "Source, translation, the translation carried back to the source survey, and the residual of the source in the r band.", "name": "fig-blind-steps"}, "image": {"alt": "Rows of stamps of four galaxies, with residual maps in the last row."}} tags=["hide-input"]
shown = np.argsort(-pairs.source[:, 2].sum((1, 2)))[: len(pairs) // 2 : max(1, len(pairs) // 8)][:4]
few, survey = pairs.source_set[shown], replace(CFHTLS, pixel_scale=scale)
back = consistency.carry_back(images[shown], np.tile(CFHTLS.psf_fwhm, (len(shown), 1)), survey, few)
everywhere = np.ones(back.shape, bool)
r = consistency.residual(
    few.images.astype(float), back, few.noise, np.array(SDSS.electrons_per_nanomaggy), everywhere
)[:, 2]
rows = [(few.images, SDSS.pixel_scale), (images[shown], scale), (back, SDSS.pixel_scale)]
fig, axes = plt.subplots(4, len(shown), figsize=(plotting.WIDTH, 6), squeeze=False)
for line, (stamps, size) in zip(axes, rows, strict=False):
    for ax, stamp in zip(line, plotting.lupton(stamps, size), strict=True):
        ax.imshow(stamp)
for ax, stamp in zip(axes[3], r, strict=True):
    picture = ax.imshow(stamp, cmap=plotting.DIVERGING, vmin=-5, vmax=5)
for ax, name in zip(axes[:, 0], ("Source", "Translation", "Carried back", "Residual"), strict=True):
    ax.set_ylabel(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
fig.colorbar(picture, ax=axes[3], label="r / σ", shrink=0.9)
plt.show()

# %% mystnb={"figure": {"caption": "What the card says without a true image, for the translations and, as a control, for the true images of the target survey. Intervals of 95 % over galaxies; lines mark a faultless translation.", "name": "fig-blind-card"}, "image": {"alt": "Four panels of metrics against band, each for the translation and the control."}} tags=["hide-input"]
labels = {
    "source_chi2": "χ² per pixel",
    "source_inconsistent": "inconsistent galaxies",
    "source_residual_correlation": "correlation of the residual",
    "source_flux_bias": "flux bias",
}
fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 4.6))
for ax, (metric, label) in zip(axes.flat, labels.items(), strict=True):
    for one, row, offset in ((card, model, -0.1), (control, "truth", 0.1)):
        found = [one.get(metric, band) for band in CFHTLS.bands]
        values, low, high = (
            np.array([getattr(f, k) for f in found]) for k in ("value", "low", "high")
        )
        name = "True image" if row == "truth" else plotting.MODEL_NAME.get(row, row)
        plotting.interval(ax, np.arange(5) + offset, values, low, high, model=row, label=name)
    ax.axhline(consistency.METRICS[metric].perfect, color="0.4", lw=1)
    ax.set(xticks=range(5), xticklabels=CFHTLS.bands, ylabel=label)
axes[0, 0].legend()
plt.show()

# %% [markdown]
# The control is not perfect: two surveys differ in zero points and in seeing from band to band, and
# colour terms scatter from galaxy to galaxy. Judge a translator against the control, not against 1.
#
# ## Which faults does it notice?
#
# Known faults are put into an observation of galaxies by the target survey. A fault is noticed if some
# metric moves further than between two observations, in units of the 95 % intervals. The card with a
# true image serves as the yardstick.


# %%
def inject(path):
    """Table of the most telling metric of both cards for every fault."""
    surveys = [replace(survey, calibration_error=(0.0,) * 5) for survey in (SDSS, CFHTLS)]
    first, again, third = (
        simulate.pairs(n_faults, seed=seed + 5, observation=k, grid="sdss",
                       survey_from=surveys[0], survey_to=surveys[1])
        for k in range(3)
    )  # fmt: skip
    survey = CFHTLS.on_grid_of(SDSS)
    failure_modes.noticed(first, again.target, third.target, survey).to_csv(path)


table_file = store.table("faults")
artefacts.make(
    table_file, inject, params={"n": n_faults}, seed=seed,
    modules=["companion.failure_modes", "galtools.simulate"],
)  # fmt: skip
faults = pd.read_csv(table_file, index_col="fault")
by_chance = faults.loc["nothing", ["full", "source"]].astype(float)
limit = np.maximum(1.5 * by_chance, 1.0)

# %% mystnb={"figure": {"caption": "Largest shift of a metric by a fault, in units of the intervals: with a true image (filled) and from the source alone (open). Shaded: what two observations of the same galaxies differ by.", "name": "fig-blind-faults"}, "image": {"alt": "One line per fault with two markers on a logarithmic axis."}} tags=["hide-input"]
order = faults.drop(index="nothing").sort_values("full")
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 4.2))
y = np.arange(len(order))
ax.hlines(y, order[["full", "source"]].min(axis=1), order.full, color="0.8", zorder=1)
ax.plot(order.full, y, "o", color="#000000", label="with a true image")
ax.plot(order.source, y, "o", mfc="white", color="#D55E00", label="from the source alone")
ax.axvspan(0.3, limit.max(), color="0.92", zorder=0)
ax.set(xscale="log", yticks=y, yticklabels=order.index, xlabel="shift / interval")
ax.legend(loc="lower right")
plt.show()

# %% tags=["remove-cell"]
seen = faults.drop(index="nothing")[["full", "source"]] > limit
glue("blind_faults", len(seen), display=False)
glue("blind_full", int(seen.full.sum()), display=False)
glue("blind_source", int((seen.full & seen.source).sum()), display=False)
missed = seen.index[seen.full & ~seen.source]
glue("blind_missed", ", ".join(missed) if len(missed) else "none", display=False)
glue("blind_n", len(pairs), display=False)
glue("blind_chi2", float(card.get("source_chi2", "r").value), display=False)
glue("blind_control", float(control.get("source_chi2", "r").value), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`blind_n` galaxies the translations leave a median $\chi^2$ of
# {glue:text}`blind_chi2:.2f` per pixel in r, and true images one of {glue:text}`blind_control:.2f`. Of
# {glue:text}`blind_faults` faults the card with a true image notices {glue:text}`blind_full`, and of
# these the source alone {glue:text}`blind_source`. It misses: {glue:text}`blind_missed`.
#
# What the source does not resolve or detect can be invented or lost without a trace. For that there is
# no substitute for true images, even of a few galaxies.
#
# **Exercise.** Which fault would a translator without any learning have, that returns its source?
#
# ```{dropdown} Solution
# Use `-p translations` with the source images, resampled to the grid of the target: the seeing is
# applied twice, so that the residual is correlated and $\chi^2$ far above 1.
# ```
#
# **What's next:** [Your own data](42_own_data.py), from FITS files to a row on the leaderboard.
