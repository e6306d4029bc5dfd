# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Bring your own translator: the fidelity card
#
# You have a translator of your own, in whatever framework. How faithful are its images, measured in
# the same way as every model of this book?
#
# **What you will learn**
#
# - how to hand in your images, and in which units and order;
# - how to read the card, and what it can and cannot say about your translator;
# - how to keep the card, send it, and compare it with others.
#
# **Prerequisites:** two files of images. About 10 minutes.
#
# ```bash
# papermill notebooks/bring_your_own.py card.ipynb -p truth truth.npz -p translations mine.npz
# ```
#
# Without files the notebook makes a small demonstration of its own: galaxies with a known redshift,
# and a translator that is nothing but a slight blur.

# %% tags=["hide-input", "remove-stderr"]
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy.ndimage import gaussian_filter

from companion import html_report, paths, plotting
from galtools import artefacts
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.surveys import SDSS, band_names, reference_band

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
truth: str = ""  # file of true images (npz, npy, HDF5, FITS); empty for the demonstration
truth_name: str = ""  # which of its arrays, if not truth, target, images or data
translations: str = ""  # file of translated images, same galaxies, same order
source: str = ""  # file of the images that were translated; may stay empty
redshifts: str = ""  # file with one redshift a line; else looked for beside the truth
name: str = "My translator"  # what to call it
bands: str = ""  # the bands of the images in their order, as gri; empty: as the truth's file states
pixel_scale: float = 0.0  # arcsec per pixel; 0: as the file of the truth states it
psf_fwhm: float = 0.0  # seeing of the truth in arcsec; 0: as its file states it
noise: list[float] = []  # sky noise of the truth per pixel, one number or one per band; [] likewise
weights: str = ""  # file of weights, 0 where a pixel does not count; empty: likewise
repeat: str = ""  # file of another observation of the truth, to compare with; may be left out
morphology: int = 60  # galaxies that statmorph measures; 0 for none
morphology_bands: list[str] = []  # bands that it measures them in; [] for r, or the central one
n_boot: int = 400  # resamples of the galaxies behind each interval
n_demo: int = 300  # galaxies of the demonstration

# %% [markdown]
# ## What to hand in
#
# An array of shape (galaxies, bands, height, width), in **nanomaggies per pixel**: an AB zero point
# of 22.5. Images with zero point 30, as CFHTLS publishes them, have to be divided by 1000; if you
# forget it, the card says so instead of measuring nonsense. Galaxies and bands must be in the same
# order in both files. Pixels that are no numbers cost the galaxy its place in that band, and are
# counted. Only the truth and the translations are needed: whatever else is missing is listed.
#
# The file of the truth may state `bands`, `pixel_scale`, `noise`, `psf_fwhm` and `weights`, as arrays of
# these names (the files of this book do); the parameters above override it. The pixel scale has to be
# known.
#
# One file may hold both: in an npz with the arrays `truth`, `translated` and `redshift`, give its
# name for `truth` and for `translations`. To judge a translator of this book's test galaxies give
# `results/quick/data/test.h5` as `truth`, and as `source` too; for images translated within SDSS
# set `truth_name` to `source`.


# %% tags=["hide-input"]
def demonstration(n: int, seed: int):
    """Galaxies with colours that follow the redshift, and their translation: a slight blur."""
    rng = np.random.default_rng(seed)
    z, radius = rng.uniform(0.02, 0.3, n), rng.uniform(2, 6, (n, 1, 1, 1))
    y, x = np.indices((64, 64)) - 31.5
    profiles = np.exp(-1.68 * np.hypot(x, y) / radius)
    flux = rng.uniform(20, 300, (n, 1)) * 10 ** np.outer(z, [-2, -1, 0, 0.3, 0.5])
    images = flux[..., None, None] * profiles / profiles.sum((2, 3), keepdims=True)
    images = gaussian_filter(images, (0, 0, 1.4, 1.4))
    noise = rng.normal(size=images.shape) * np.array(SDSS.sky_noise)[:, None, None]
    return images + noise, gaussian_filter(images, (0, 0, 0.7, 0.7)), z


# %%
if bool(truth) != bool(translations):
    raise GaltoolsError("hand in both truth and translations, or neither for the demonstration")
if truth:
    true_images = image_files.open_images(truth, truth_name, image_files.TRUTH)
    made_images = image_files.open_images(translations, names=image_files.TRANSLATED)
    z = (
        image_files.read_numbers(redshifts)
        if redshifts
        else image_files.read_column(truth, "redshift")
    )
else:
    true_images, made_images, z = demonstration(n_demo, seed)
before = image_files.open_images(source, names=image_files.SOURCE) if source else None
again = image_files.open_images(repeat, names=image_files.TRUTH) if repeat else None
maps = image_files.open_images(weights, names=("weights", *image_files.NAMES)) if weights else None

# %% [markdown]
# ## The card
#
# One call measures everything: pixels and structure, peak fluxes, small sources lost and invented, the
# shapes of the first galaxies, and how well the peaks still predict the redshift. The source, resampled
# to the grid of the truth, and a repeat observation of the truth are measured likewise, if given: they
# are the floor and the ceiling beside every point.

# %% tags=["remove-stderr"]
card = scorecard.card(
    true_images, made_images, before, z, name=name, bands=band_names(bands) if bands else None,
    pixel_scale=(pixel_scale or None) if truth else SDSS.pixel_scale, noise=noise or None,
    psf_fwhm=psf_fwhm or None, weights=maps, morphology=morphology, repeat=again,
    morphology_bands=morphology_bands, n_boot=n_boot, seed=seed,
)  # fmt: skip

# %% mystnb={"figure": {"caption": "How close the pixels come to the truth, per band, with 95 % intervals over galaxies.", "name": "fig-own-pixels"}, "image": {"alt": "Four panels of pixel metrics against band."}} tags=["hide-input"]
captions = list(html_report.FIGURES)
fig = html_report.card_figure(card, html_report.FIGURES[captions[0]])
plt.show()

# %% mystnb={"figure": {"caption": "Flux, noise and sharpness of the translation against the truth, with 95 % intervals over galaxies.", "name": "fig-own-light"}, "image": {"alt": "Four panels: flux bias, peak bias, noise ratio and extra blur against band."}} tags=["hide-input"]
fig = html_report.card_figure(card, html_report.FIGURES[captions[1]])
plt.show()

# %% mystnb={"figure": {"caption": "Galaxies from the best translated to the worst, by PSNR, with the residual in units of the sky noise of the truth.", "name": "fig-card-examples"}, "image": {"alt": "Rows of grey stamps of six galaxies above a row of residual maps."}} tags=["hide-input"]
fig = html_report.examples(card, true_images, made_images, before)
plt.show()

# %% mystnb={"figure": {"caption": "Flux error and PSNR of every galaxy against its magnitude, size and signal-to-noise ratio; medians of bins with 95 % intervals.", "name": "fig-card-trends"}, "image": {"alt": "Six panels of points with a line of medians."}} tags=["hide-input"]
fig = html_report.trends(card)
plt.show()

# %% [markdown]
# The blur is the change in width, as the FWHM of a Gaussian that would cause it. A noise ratio of
# zero means that the sky of the translation is perfectly smooth; one, that it is as noisy as the
# truth.
#
# The whole table is tidy: one line per level, band and metric, with its interval and the number of
# galaxies that were looked at. Here are the first two lines of each level. NaN means that there was
# nothing to count, as where a truth has no small sources.

# %%
measured = card.table.query("level != 'input'")
measured.groupby("level", sort=False).head(2).set_index("level").round(4).replace(-0.0, 0.0)

# %% [markdown]
# What the card wants you to know, and what is missing from it:

# %% tags=["hide-input"]
lines = [("note", note) for note in card.notes]
lines += [(f"missing: {level}", reason) for level, reason in card.missing.items()]
pd.DataFrame(lines, columns=["", "what the card says"]).set_index("")

# %% [markdown]
# ## Keep it, send it, compare it
#
# The same card as an HTML page that needs nothing else, to send to a colleague; as JSON, which
# `scorecard.load` reads back and `scorecard.merge` joins with others; and as CSV. The files are named
# after the translator, so that the cards of several can lie side by side.

# %%
files = truth, translations, source, redshifts, weights, repeat
inputs = [Path(file) for file in files if file]
slug = re.sub(r"\W+", "_", name.lower()).strip("_") or "translator"
saved = paths.Results(results, profile).table(f"card_{slug}")
about = {"name": name, "bands": bands, "scale": pixel_scale, "n_boot": n_boot, "demo": n_demo}
about |= {"side": truth_name, "psf": psf_fwhm, "noise": noise, "shapes": morphology_bands}
for ending in (".json", ".csv"):
    artefacts.make(
        saved.with_suffix(ending), card.save, params={**about, "morphology": morphology},
        modules=["galtools.fidelity.scorecard"], inputs=inputs, seed=seed,
    )  # fmt: skip
with artefacts.atomic(saved.with_suffix(".html")) as page:
    page.write_text(html_report.card_page(card, true_images, made_images, before))
print("the card lies in", ", ".join(saved.with_suffix(e).name for e in (".json", ".html", ".csv")))

# %% tags=["remove-cell"]
middle = reference_band(list(measured.query("metric == 'mae'").band))
numbers = {"own_psnr": "psnr", "own_blur": "blur", "own_noise": "noise_ratio"}
for key, metric in numbers.items():
    glue(key, float(card.get(metric, middle).value), display=False)
glue("own_n", int(card.get("mae", middle).n), display=False)
glue("own_band", middle, display=False)
glue("own_name", name, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`own_n` galaxies, in the {glue:text}`own_band` band, {glue:text}`own_name` has a PSNR
# of {glue:text}`own_psnr:.1f` dB, a blur of {glue:text}`own_blur:+z.2f` arcsec against the truth (below
# zero it looks sharper), and {glue:text}`own_noise:.2f` times the noise of the truth.
#
# **Exercise.** Multiply your translated images by two and ask for the card again. Which lines
# change, and which would let you believe that nothing had happened?
#
# ```{dropdown} Solution
# Fluxes and peaks are biased by one (that is, by 100 %), the PSNR collapses and the noise ratio
# doubles. The correlation, the colours, the blur and almost all of the morphology stay: they know
# no scale.
# ```
#
# **What's next:** the chapter on [pixels](21_pixels.py) explains every number of the first two
# figures; those on [morphology](22_morphology.py) and on [peak fluxes](23_peaks.py) the rest.
