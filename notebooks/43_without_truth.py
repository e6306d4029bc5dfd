# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Fidelity without a target image
#
# The source alone reveals {glue:text}`blind_source` of the {glue:text}`blind_full` faults that a comparison
# with true images reveals, out of {glue:text}`blind_faults`. Compared with their source, translations have a
# median $\chi^2$ of {glue:text}`blind_chi2:.2f` per pixel in {glue:text}`blind_band`; that of true images is
# {glue:text}`blind_control`.
#
# **What you will learn**
#
# - how to transform a translation back to the source survey and test it there;
# - which faults this test detects, and which only a true image can reveal.
#
# **Prerequisites:** [Bring your own](bring_your_own.py). About 10 minutes.
#
# ```bash
# papermill notebooks/43_without_truth.py card.ipynb -p source sdss.npz -p translations mine.npz
# ```
#
# The source is a file of pairs, or an array of stamps as `galtools.ingest.arrays.read_arrays` takes.

# %% tags=["hide-input", "remove-stderr"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import failure_modes, panels, paths, plotting
from galtools import artefacts
from galtools.data import image_files
from galtools.fidelity import consistency, scorecard
from galtools.ingest.arrays import read_source
from galtools.surveys import find_survey, reference_band

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
source: str = ""  # file of the images that were translated; empty: this book's test galaxies
survey_from: str = "SDSS"  # of the source, if that is no file of pairs
translations: str = ""  # file of translations; empty: those of `model`
survey_to: str = "CFHTLS"  # survey into which they are translated
pixel_scale: float = 0.0  # of the translations, in arcsec; 0: as their file or the pairs state it
model: str = "residual"  # the translator that is judged without a file
n_galaxies: int = 300  # galaxies that are judged
n_faults: int = 100  # galaxies into which faults are put

# %% [markdown]
# ## Consistency with the source
#
# The translation is multiplied by the colour terms between the filters, convolved to the seeing of the source
# and resampled to its pixels. With a shift $s$ fitted in each band, the residual
#
# $$r = \frac{x - y_\mathrm{back} - s \cdot \nabla y_\mathrm{back}}{\sqrt{\sigma^2 + y_\mathrm{back} / g}}$$
#
# is white noise with $\chi^2 = 1$ per pixel if translation and source show the same galaxy. Here $x$ is the
# source, $\sigma$ its sky noise and $g$ its gain. The condition is necessary, not sufficient.

# %%
store = paths.Results(results, profile)
file = source or paths.need(store.data("test"), "01_two_surveys")
made = translations or paths.need_translations(store, "cross", model, seed)
observed, truth = read_source(file, find_survey(survey_from), slice(n_galaxies))
stack = image_files.open_images(made, names=image_files.TRANSLATED)
images, name = stack[: len(observed)], "translation" if translations else model
if truth is not None and truth.survey != survey_to:
    truth = None  # images of another survey are no control
stated = stack.facts.get("pixel_scale") if truth is None else truth.pixel_scale
options = {"survey": find_survey(survey_to), "seed": seed, "pixel_scale": pixel_scale or stated}
card = scorecard.card_without_truth(observed, images, name=name, **options)

# %% [markdown]
# As a control, the true images of a file of pairs are judged, too, if they are of the target survey:

# %%
table = card.table.assign(row=name)
if truth is not None:
    options |= {"psf_fwhm": truth.psf_fwhm, "pixel_scale": truth.pixel_scale}
    control = scorecard.card_without_truth(observed, truth.images, **options)
    table = pd.concat([table, control.table.assign(row="truth")])

# %% [markdown]
# The steps for a few galaxies:

# %%
bands = list(dict.fromkeys(card.table.band))
survey = find_survey(survey_to).in_bands(bands)
survey = replace(survey, pixel_scale=float(pixel_scale or stated or survey.pixel_scale))
sources, band = observed.in_bands(bands), reference_band(bands)
b, half = bands.index(band), (len(observed) + 1) // 2
shown = np.argsort(-sources.images[:, b].sum((1, 2)))[: half : max(1, len(observed) // 8)][:4]
few, seeing = sources[shown], np.tile(survey.psf_fwhm, (len(shown), 1))
back = consistency.carry_back(images[shown], seeing, survey, few)
gain, everywhere = np.array(few.instrument.electrons_per_nanomaggy), np.ones(back.shape, bool)
r = consistency.residual(few.images.astype(float), back, few.noise, gain, everywhere)

# %% mystnb={"figure": {"caption": "Four galaxies: the source, its translation, and the translation transformed back to the source survey. The first and last rows should agree except for noise.", "name": "fig-blind-steps"}, "image": {"alt": "Three rows of colour stamps of four galaxies."}} tags=["hide-input"]
rows = ["Source", "Translation", "Transformed back"]
fig = plotting.stamps([few.images, images[shown], back], rows)
plt.show()

# %% mystnb={"figure": {"caption": "Residual r of the same galaxies in one band, in units of the noise of the source. A faithful translation leaves white noise.", "name": "fig-blind-residual"}, "image": {"alt": "Four maps of residuals."}} tags=["hide-input"]
fig, axes = plt.subplots(1, len(shown), figsize=(plotting.WIDTH, 1.9), squeeze=False)
for ax, stamp in zip(axes[0], r[:, b], strict=True):
    picture = plotting.residual_map(stamp, np.zeros_like(stamp), 1.0, ax=ax)
plotting.residual_bar(picture, list(axes[0])).set_label("residual r")
plt.show()

# %% [markdown]
# Bright cores tend to leave the largest residuals, where errors of one per cent in the zero point or five per
# cent in the seeing become visible. The card lists the median $\chi^2$ per pixel within 4 arcsec, the
# fraction of galaxies whose $\chi^2$ has a probability below 0.001, the correlation of neighbouring pixels of
# the residual (0 for white noise), and the flux bias.

# %% mystnb={"figure": {"caption": "Metrics of the card without a true image, for the translations and, where there are any, for true images of the target survey as a control. Intervals of 95 % over galaxies; lines mark a faultless translation.", "name": "fig-blind-card"}, "image": {"alt": "Four panels of metrics against band, each for the translation and, where there is one, the control."}} tags=["leading", "hide-input"]
labels = {
    "source_chi2": "χ² per pixel",
    "source_inconsistent": "inconsistent galaxies",
    "source_residual_correlation": "correlation of the residual",
    "source_flux_bias": "flux bias",
}
perfect = {metric: consistency.METRICS[metric].perfect for metric in labels}
fig = panels.metric_panels(table, labels, list(table.row.unique()), bands, perfect)
plt.show()

# %% [markdown]
# Even true images of the target survey are not perfect: zero points and seeing differ between surveys and
# bands, and colour terms scatter. Compare a translator with this control, where there is one, not with 1.
#
# ## Detection of known faults
#
# Known faults (`companion/failure_modes.py`) are inserted into an observation by the target survey. The shift
# of each metric against a second observation is divided by the combined 95 % half-intervals; the largest
# ratio counts. A fault is detected if this ratio exceeds 1, and 1.5 times that of two faultless observations.
# The simulation has no zero-point errors, which would hide a flux error of 3 per cent.


# %% tags=["hide-input"]
table_file = store.table("faults")
artefacts.make(
    table_file, lambda new: failure_modes.simulated(n_faults, seed).to_csv(new),
    params={"n": n_faults}, seed=seed,
    modules=["companion.failure_modes"],
)  # fmt: skip
faults = pd.read_csv(table_file, index_col="fault")
by_chance = faults.loc["nothing", ["full", "source"]].astype(float)
limit = np.maximum(1.5 * by_chance, 1.0)

# %% mystnb={"figure": {"caption": "Largest shift of a metric by each fault, in units of its intervals, for the card with a true image (filled) and from the source alone (open). Shaded: below the detection limit.", "name": "fig-blind-faults"}, "image": {"alt": "One line per fault with two markers on a logarithmic axis."}} tags=["hide-input"]
order = faults.drop(index="nothing").sort_values("full")
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.32 * len(order) + 0.8))
y = np.arange(len(order))
ax.hlines(y, order[["full", "source"]].min(axis=1), order.full, color="0.8", zorder=1)
colour = plotting.MODEL_COLOUR["source"]
ax.plot(order.full, y, "o", color="black", label="with a true image")
ax.plot(order.source, y, "o", mfc="white", color=colour, label="from the source alone")
ax.axvspan(min(0.5, order.source.min()), limit.max(), color="0.92", zorder=0)
ax.set(yticks=y, yticklabels=order.index, xlabel="shift / interval")
panels.log_scale(ax, "x")
ax.legend(loc="lower right")
plt.show()

# %% tags=["remove-cell"]
detected = faults.drop(index="nothing")[["full", "source"]] > limit
glue("blind_faults", len(detected), display=False)
glue("blind_full", int(detected.full.sum()), display=False)
glue("blind_source", int((detected.full & detected.source).sum()), display=False)
missed = detected.index[detected.full & ~detected.source]
glue("blind_missed", ", ".join(missed) if len(missed) else "none", display=False)
glue("blind_n", len(observed), display=False)
glue("blind_band", band, display=False)
glue("blind_chi2", float(card.get("source_chi2", band).value), display=False)
true = table.query("row == 'truth' and metric == 'source_chi2' and band == @band").value
glue("blind_control", f"{true.item():.2f}" if len(true) else "not known", display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`blind_n` galaxies, the card with a true image detects {glue:text}`blind_full` of
# {glue:text}`blind_faults` faults, and the source alone {glue:text}`blind_source` of these. It misses:
# {glue:text}`blind_missed`.
#
# Structure that the source does not resolve or detect can be invented or lost without effect on this test.
# Only true images, even of a few galaxies, reveal that.
#
# **Exercise.** Which fault has a translator that returns its source?
#
# ```{dropdown} Solution
# Use `-p translations` with the source images, resampled to the grid of the target. The seeing is applied
# twice, so the residual is correlated and $\chi^2$ far above 1.
# ```
#
# **What's next:** [SDSS to KiDS](44_sdss_to_kids.py), a translator for real galaxies.
