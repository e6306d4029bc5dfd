# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Interactive: compare, sample, redshift a galaxy
#
# For the {glue:text}`touch_galaxies` galaxies of this page, {glue:text}`touch_best` has the smallest median r-band
# residual, {glue:text}`touch_best_chi:.1f` times the sky noise; a repeat observation has
# {glue:text}`touch_again:.1f`. Interactive figures compare translations, show samples of the diffusion model and
# move a galaxy through redshift.
#
# **What you will learn**
#
# - to recognise translation errors by blinking two images;
# - how the samples of a diffusion model differ, and by how much flux;
# - how redshift changes the five bands, and why fluxes constrain it.
#
# **Prerequisites:** none; the chapters [on the translators](11_residual.py) explain the models. About 10
# minutes.
#
# The figures work without a network, with mouse, touch and keyboard, and describe their state in words.

# %% tags=["hide-input"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from myst_nb import glue

from companion import comparison, interactive, paths, plotting
from galtools.surveys import BANDS, CFHTLS, SDSS
from galtools.training import translate

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual", "swin", "srgan", "capsule", "diffusion"]  # what is compared
n_galaxies: int = 6  # galaxies to choose from
n_moved: int = 3  # galaxies that are moved through redshift
n_steps: int = 15  # redshifts that each of them is moved to

# %% [markdown]
# ## Blink and swipe
#
# Compare the source with a translation: sky noise drops and the core becomes sharper. Then blink the translation
# against the truth: structure that changes is a translation error, fluctuation in the background is noise. The
# repeat observation shows how far two observations of one galaxy differ without any translation.

# %% tags=["remove-input"]
folder = paths.Results(results, profile)
sample = comparison.load_comparison(folder, "cross", paths.check_models(models), seed)
shown = interactive.choose_galaxies(sample, n_galaxies)
data = interactive.comparison_data(sample, shown, models)
interactive.custom_element(
    "galaxy-compare", data, "Compare two images of a galaxy", "fig-touch-compare"
)

# %% mystnb={"figure": {"caption": "The galaxies as source (resampled), translated by each model, and as truth. Colours share one scale of surface brightness; residuals are in units of the target's sky noise, from −5 (blue) to 5 (red).", "name": "fig-touch-compare"}, "image": {"alt": "Rows of colour stamps of galaxies: the source on the pixels of the target, one row for each translator, the truth."}} tags=["hide-input"]
names = {row: plotting.MODEL_NAME.get(row, row).replace(" ", "\n") for row in sample.images}
names["resample"] = "Source"
magnitude = 22.5 - 2.5 * np.log10(np.maximum(sample.truth[:, 2].sum(axis=(1, 2)), 1e-3))
typical = np.argsort(np.abs(magnitude - 17))[:3]  # galaxies for the figures of other pages
pictured = {row: names[row] for row in ("resample", *models, "truth")}
redshift_labels = [f"z = {z:.2f}" for z in sample.pairs.redshift[shown[:5]]]
rows = [sample.images[row][shown[:5]] for row in pictured]
fig = plotting.stamps(rows, list(pictured.values()), redshift_labels)
plt.show()


# %% tags=["remove-cell"]
def residuals(row):
    """(image - truth) / noise in r of two typical galaxies."""
    off = sample.images[row][typical[:2], 2] - sample.truth[typical[:2], 2]
    return off / sample.sigma[typical[:2], 2, None, None]


# %% tags=["remove-cell"]
columns = {"SDSS": "resample", "translated": models[0], "CFHTLS": "truth"}
pictures = [plotting.lupton(sample.images[row][typical[:2]]) for row in columns.values()]
galaxies = zip(*pictures, residuals(models[0]), residuals("again"), strict=True)
titles = [*columns, "translated\n− CFHTLS", "repeat\n− CFHTLS"]
fig = plotting.picture_grid(galaxies, titles=titles, height=1.05)
plotting.residual_bar(fig.axes[3].images[0], fig.axes)
glue("landing", fig, display=False)
by_galaxy = list(np.stack([sample.images[row][typical] for row in pictured], axis=1))
labels = [f"z = {z:.2f}" for z in sample.pairs.redshift[typical]]
glue(
    "lineup", plotting.stamps(by_galaxy, labels, [*pictured.values()], fraction=0.5), display=False
)
compared = ("again", *models)
galaxies = zip(*map(residuals, compared), strict=True)
fig = plotting.picture_grid(galaxies, titles=[names[row] for row in compared], height=1.1)
plotting.residual_bar(fig.axes[0].images[0], fig.axes)
glue("residuals", fig, display=False)
plt.close("all")

# %% [markdown]
# ## Samples of the diffusion model
#
# Where the samples agree, the source constrains the image; where they differ, it does not. The last panel shows
# their standard deviation in r in units of the sky noise, the dots below the flux of each within 3 arcsec. For a
# calibrated model they scatter around the truth; samples that all lie on one side of it share an error.

# %% tags=["remove-input"]
path = paths.need_translations(folder, "cross", "diffusion", seed)
draws = translate.load_translations(path, None)[shown]
data = interactive.samples_data(sample, shown, draws)
label = "Step through the samples of the diffusion model"
interactive.custom_element("galaxy-draws", data, label, "fig-touch-draws")

# %% mystnb={"figure": {"caption": "Samples of the diffusion model for one source. Top: colour. Bottom: r-band difference of each sample from the mean of all samples, in units of the target's sky noise, from −5 (blue) to 5 (red).", "name": "fig-touch-draws"}, "image": {"alt": "A row of nearly equal colour stamps of a galaxy, and a row of difference maps that vary most in its core."}} tags=["hide-input"]
columns, mean = min(draws.shape[1], 4), draws[0].mean(axis=0)
fig, axes = plt.subplots(2, columns, figsize=(plotting.WIDTH, 3.4), squeeze=False)
for k in range(columns):
    axes[0, k].imshow(interactive.colour(draws[0, k])[::-1])
    axes[0, k].set_title(f"sample {k + 1}", fontsize=10)
    picture = plotting.residual_map(draws[0, k, 2], mean[2], sample.sigma[shown[0], 2], axes[1, k])
    plotting.clean(axes[0, k])
fig.colorbar(picture, ax=axes, extend="both", shrink=0.6, label=r"(sample − mean) / $\sigma$")
plt.show()

# %% [markdown]
# ## Artificial redshifting
#
# A galaxy is moved to other redshifts with fixed luminosity, size in kiloparsecs and rest-frame spectrum. With
# increasing redshift it shrinks and fades, and the 4000 Å break moves through g into r: this colour change is
# the main signal of a photometric redshift. In blue galaxies the break is weak. The grey images share one asinh
# scale for all redshifts and both surveys.

# %% tags=["remove-input"]
catalogue = sample.pairs.catalogue
moved = interactive.choose_kinds(catalogue, n_moved)
redshifts = np.linspace(0.02, 0.4, n_steps)
surveys = [SDSS, CFHTLS.on_grid_of(SDSS)]  # all pictures of a sheet have one size
data = interactive.redshift_data(catalogue, moved, redshifts, surveys)
interactive.custom_element(
    "galaxy-redshift", data, "Move a galaxy through redshift", "fig-touch-redshift"
)

# %% mystnb={"figure": {"caption": "One galaxy at several redshifts, otherwise unchanged: colour, and the five bands on one grey scale each. In print, an elliptical galaxy as observed by SDSS.", "name": "fig-touch-redshift"}, "image": {"alt": "Columns of stamps of one galaxy at increasing redshift, which shrinks and fades from left to right; in the u band it is lost in the noise."}} tags=["hide-input"]
steps = np.linspace(0, n_steps - 1, 4).astype(int)
kind = min(1, len(moved) - 1)  # of the kinds that are chosen, the second is the elliptical
pictures, _ = interactive.redshift_images(catalogue[moved[kind]], redshifts[steps], surveys[0])
fig, axes = plt.subplots(6, 4, figsize=(plotting.WIDTH, 8.6))
fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
for (k, line), (j, step) in product(enumerate(axes), enumerate(steps)):
    line[j].imshow(pictures[j, k][::-1])
    plotting.clean(line[j])
    line[0].set_ylabel("colour" if k == 0 else BANDS[k - 1])
    if k == 0:
        line[j].set_title(f"z = {redshifts[step]:.2f}", fontsize=10)
plt.show()

# %% tags=["remove-cell"]
flux_errors = interactive.sample_flux_errors(sample, shown, draws)
chi = {
    row: np.median(interactive.galaxy_errors(sample, shown, row)[0]) for row in ("again", *models)
}
best = min(models, key=chi.get)
last = data["galaxies"][kind]
colours = np.array(last["magnitudes"][0])
quoted = {
    "gr_near": float(colours[0, 1] - colours[0, 2]), "z_near": float(redshifts[0]),
    "gr_far": float(colours[-1, 1] - colours[-1, 2]), "z_far": float(redshifts[-1]),
    "kind": last["short"], "galaxies": len(shown), "draws": draws.shape[1],
    "spread": f"{np.median(flux_errors.std(axis=1)):.2f}" if draws.shape[1] > 1 else "–",
    "offset": float(np.median(np.abs(flux_errors.mean(axis=1)))),
    "again": float(chi["again"]), "best": plotting.MODEL_NAME.get(best, best),
    "best_chi": float(chi[best]),
}  # fmt: skip
for name, value in quoted.items():
    glue(f"touch_{name}", value, display=False)

# %% [markdown]
# ## What we found
#
# The flux within 3 arcsec of the {glue:text}`touch_draws` samples of a
# galaxy has a standard deviation of {glue:text}`touch_spread` %, and their mean is off by
# {glue:text}`touch_offset:.2f` % (medians over the galaxies).
#
# Moved from redshift {glue:text}`touch_z_near:.2f` to {glue:text}`touch_z_far:.2f`, the
# {glue:text}`touch_kind` galaxy changes its colour g − r from {glue:text}`touch_gr_near:.2f` to
# {glue:text}`touch_gr_far:.2f` mag.
#
# The galaxies were chosen for display. The chapters on fidelity measure the whole test set, with
# intervals.
#
# ## Exercises
#
# 1. Blink the truth against the repeat observation. What differs, and can a translator predict it?
#
# ```{dropdown} Solution
# Noise, seeing and subpixel position. The source image does not determine them, so a translator can at
# best sample them from the right distribution.
# ```
#
# 2. At which redshift does the g − r colour of the elliptical galaxy stop constraining its redshift?
#
# ```{dropdown} Solution
# At about 0.35, where the 4000 Å break has passed from g into r. Beyond it the r flux drops as well, and
# r − i changes instead.
# ```
#
# **What's next:** even a repeat observation differs from the truth. How much of the loss is due to the
# models? First [a toy](31_toy.py) with a known answer.
