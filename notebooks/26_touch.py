# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Interactive: compare, sample, redshift a galaxy
#
# Numbers say how far a translation is off. What does it look like to be that far off?
#
# Three instruments for the eye and the hand. They need no kernel and no network: all that they show
# was computed when this page was made. Each can be worked with the mouse, a finger or the keyboard,
# and each says in words what it shows.
#
# **What you will learn**
#
# - to see a residual: by blinking two pictures, as astronomers have done for a century;
# - how the draws of a diffusion model differ from each other, and by how much light;
# - what redshift does to five bands, and why a few fluxes can tell it.
#
# **Prerequisites:** none; the chapters [on the translators](11_residual.py) say what the names mean.
# About 10 minutes.

# %% tags=["hide-input"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from myst_nb import glue

from companion import comparison, interactive, interactive_data, paths, plotting
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
# Test galaxies from bright to faint, as every translator of this book sees them. Put the source on
# one side and a translation on the other: noise vanishes, the core tightens. Then put the truth
# beside the translation, and blink. What jumps was translated wrongly; what only flickers is noise.
# Last, look at the residuals, in which everything is divided by the noise of the target survey.
#
# A second observation of the same galaxy by the target survey is on the list too. It jumps as well:
# even nature does not repeat an image.

# %% tags=["remove-input"]
folder = paths.Results(results, profile)
sample = comparison.load_comparison(folder, "cross", paths.check_models(models), seed)
shown = interactive_data.choose_galaxies(sample, n_galaxies)
data = interactive_data.comparison_data(sample, shown, models)
interactive.custom_element(
    "galaxy-compare", data, "Compare two pictures of a galaxy", "fig-touch-compare"
)

# %% mystnb={"figure": {"caption": "The same galaxies as source (resampled), translated by each model, and as truth. Colours on one scaling of surface brightness; residuals in units of the target's sky noise, from −5 (blue) to 5 (red).", "name": "fig-touch-compare"}, "image": {"alt": "Rows of colour stamps of galaxies: the source on the pixels of the target, one row for each translator, the truth."}} tags=["hide-input"]
pictured = ["resample", *models, "truth"]
fig = plotting.stamps(
    [sample.images[row][shown[:5]] for row in pictured],
    [plotting.MODEL_NAME.get(row, row).replace(" ", "\n") for row in pictured],
    [f"z = {z:.2f}" for z in sample.pairs.redshift[shown[:5]]],
)
plt.show()

# %% tags=["remove-cell"]
glue("landing", interactive_data.portrait(sample, shown[:2], models[0]), display=False)
glue(
    "lineup",
    interactive_data.lineup(sample, shown[:3], ["resample", *models, "truth"]),
    display=False,
)
glue("residuals", interactive_data.residuals(sample, shown[:2], ["again", *models]), display=False)
plt.close("all")

# %% [markdown]
# ## Draw after draw
#
# The diffusion model does not answer with one image but with as many as one asks for, all from the
# same source. Step through them. Where they agree the source fixes the answer; where they differ the
# model admits that it does not know: the last picture is bright where they differ most, in units of
# the sky noise. The dots below count the light of each draw: a model that knows
# how much it does not know scatters them around the truth. Draws that all lie on one side of it
# share an error that no number of draws brings to light.

# %% tags=["remove-input"]
path = paths.need_translations(folder, "cross", "diffusion", seed)
draws = translate.load_translations(path, None)[shown]
data = interactive_data.samples_data(sample, shown, draws)
label = "Step through the draws of the diffusion model"
interactive.custom_element("galaxy-draws", data, label, "fig-touch-draws")

# %% mystnb={"figure": {"caption": "Draws of the diffusion model, all from one source. Above in colour; below the r-band difference of each draw from the mean of all, in units of the target's sky noise, from −5 (blue) to 5 (red).", "name": "fig-touch-draws"}, "image": {"alt": "A row of nearly equal colour stamps of a galaxy, and a row of difference maps that speckle most in its core."}} tags=["hide-input"]
columns, mean = min(draws.shape[1], 4), draws[0].mean(axis=0)
fig, axes = plt.subplots(2, columns, figsize=(plotting.WIDTH, 3.4), squeeze=False)
for k in range(columns):
    axes[0, k].imshow(interactive.colour(draws[0, k])[::-1])
    axes[0, k].set_title(f"draw {k + 1}", fontsize=10)
    picture = plotting.residual_map(draws[0, k, 2], mean[2], sample.sigma[shown[0], 2], axes[1, k])
    plotting.clean(axes[0, k])
fig.colorbar(picture, ax=axes, extend="both", shrink=0.6, label="(draw − mean) / σ")
plt.show()

# %% [markdown]
# ## Through redshift
#
# One galaxy, moved away from us. It keeps its light, its size in kiloparsecs and its spectrum; only
# distance and redshift change, and with them everything that a camera sees. It shrinks and fades, the
# more so in the bands that look at ever bluer light of the galaxy. The break at 4000 Å, where the
# light of old stars drops, walks through g into r, and while it does so the colours change fast: this
# is what a photometric redshift reads. A blue galaxy has hardly a break to read, and is harder.
#
# The grey pictures have one scale each, the same at all redshifts and in both surveys: the
# asinh of the flux in units of the noise of SDSS. Watch the u band drown.

# %% tags=["remove-input"]
catalogue = sample.pairs.catalogue
moved = interactive_data.choose_kinds(catalogue, n_moved)
redshifts = np.linspace(0.02, 0.4, n_steps)
surveys = [SDSS, CFHTLS.on_grid_of(SDSS)]  # all pictures of a sheet have one size
data = interactive_data.redshift_data(catalogue, moved, redshifts, surveys)
interactive.custom_element(
    "galaxy-redshift", data, "Move a galaxy through redshift", "fig-touch-redshift"
)

# %% mystnb={"figure": {"caption": "One galaxy moved to other redshifts and nothing else changed: colour, and the five bands on one grey scale each. In print, an elliptical as SDSS sees it.", "name": "fig-touch-redshift"}, "image": {"alt": "Columns of stamps of one galaxy at growing redshift, which shrinks and fades from left to right; in the u band it is lost in the noise."}} tags=["hide-input"]
steps = np.linspace(0, n_steps - 1, 4).astype(int)
told = min(1, len(moved) - 1)  # of the kinds that are chosen, the second is the elliptical
pictures, _ = interactive_data.redshift_images(catalogue[moved[told]], redshifts[steps], surveys[0])
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
light = interactive_data.sample_flux_errors(sample, shown, draws)
chi = {
    row: np.median(interactive_data.galaxy_errors(sample, shown, row)[0])
    for row in ("again", *models)
}
best = min(models, key=chi.get)
last = data["galaxies"][told]
colours = np.array(last["magnitudes"][0])
quoted = {
    "gr_near": float(colours[0, 1] - colours[0, 2]), "z_near": float(redshifts[0]),
    "gr_far": float(colours[-1, 1] - colours[-1, 2]), "z_far": float(redshifts[-1]),
    "kind": last["short"], "galaxies": len(shown), "draws": draws.shape[1],
    "spread": f"{np.median(light.std(axis=1)):.2f}" if draws.shape[1] > 1 else "–",
    "offset": float(np.median(np.abs(light.mean(axis=1)))),
    "again": float(chi["again"]), "best": plotting.MODEL_NAME.get(best, best),
    "best_chi": float(chi[best]),
}  # fmt: skip
for name, value in quoted.items():
    glue(f"touch_{name}", value, display=False)

# %% [markdown]
# ## What we found
#
# On the {glue:text}`touch_galaxies` galaxies of this page, {glue:text}`touch_best` leaves the smallest
# typical residual, {glue:text}`touch_best_chi:.1f` times the sky noise; a second observation leaves
# {glue:text}`touch_again:.1f`. The {glue:text}`touch_draws` draws of a galaxy scatter in their light by
# {glue:text}`touch_spread` per cent, while their mean is off by {glue:text}`touch_offset:.2f` per
# cent (medians over the galaxies). The {glue:text}`touch_kind` galaxy, moved from redshift
# {glue:text}`touch_z_near:.2f` to {glue:text}`touch_z_far:.2f`, changes its colour g − r from
# {glue:text}`touch_gr_near:.2f` to {glue:text}`touch_gr_far:.2f` magnitudes. These are a handful of
# galaxies, chosen to be looked at; the chapters on fidelity measure all of them, with intervals.
#
# ## Exercises
#
# 1. Blink the truth against the second observation. What differs between the two, and can a
#    translator be asked for it?
#
# ```{dropdown} Solution
# Noise, seeing and the position on the pixel grid. None of them is written in the source image, so no
# translator can know them; it can at best draw them from the right distribution.
# ```
#
# 2. At which redshift is the g − r colour of the elliptical galaxy no longer a good clue?
#
# ```{dropdown} Solution
# Once the break has passed from g into r, at about 0.35: from there on r falls with it, and r − i
# takes over as the colour that changes.
# ```
#
# **What's next:** even nature does not repeat an image. Is the loss the model's fault at all? First
# [a toy](31_toy.py), in which the answer is known.
