# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Bring your own translator: the fidelity card
#
# The fidelity card evaluates any translator like those of this book. For {glue:text}`own_name` it finds a
# PSNR of {glue:text}`own_psnr:.1f` dB and {glue:text}`own_noise:.2f` times the noise of the truth in the
# {glue:text}`own_band` band.
#
# **What you will learn**
#
# - how to prepare your images: units, order and formats;
# - how to read the card;
# - how to save it and compare it with others.
#
# **Prerequisites:** two files of images. About 10 minutes.
#
# ```bash
# papermill notebooks/bring_your_own.py card.ipynb -p truth truth.npz -p translations mine.npz
# ```
#
# Without files the notebook runs a demonstration: simple galaxies, translated by a slight blur without noise.

# %% tags=["hide-input", "remove-stderr"]
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from myst_nb import glue
from scipy.ndimage import gaussian_filter

from companion import html_report, paths, plotting
from galtools import artefacts
from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.ingest.arrays import read_source
from galtools.surveys import SDSS, band_names, find_survey, reference_band

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
truth: str = ""  # file of true images (npz, npy, HDF5, FITS); empty for the demonstration
truth_name: str = ""  # which of its arrays, if not truth, target, images or data
translations: str = ""  # file of translated images, same galaxies, same order
source: str = ""  # file of the images that were translated; may stay empty
survey_from: str = "SDSS"  # of the source, if that is no file of pairs
survey_to: str = ""  # survey into which was translated, for the card without truth; empty: none
redshifts: str = ""  # file with one redshift a line; else looked for beside the truth
name: str = "My translator"  # what to call it
bands: str = ""  # the bands of the images in their order, as gri; empty: as the truth's file states
pixel_scale: float = 0.0  # arcsec per pixel; 0: as the file of the truth states it
psf_fwhm: float = 0.0  # seeing of the truth in arcsec; 0: as its file states it
noise: list[float] = []  # sky noise of the truth per pixel, one number or one per band; [] likewise
weights: str = ""  # file of weights, 0 where a pixel does not count; empty: likewise
mask: str = ""  # or file of masks, not 0 where a pixel does not count
sigma_map: str = ""  # file with the noise of every pixel of the truth; empty: likewise
psf: str = ""  # file with images of the truth's PSF, per galaxy, per band or one; empty: likewise
repeat: str = ""  # file of another observation of the truth, to compare with; may be left out
morphology: int = 60  # galaxies that statmorph measures; 0 for none
morphology_bands: list[str] = []  # bands that it measures them in; [] for r, or the central one
n_boot: int = 400  # resamples of the galaxies behind each interval
n_demo: int = 300  # galaxies of the demonstration

# %% [markdown]
# ## Input
#
# Images are arrays of shape (galaxies, bands, height, width) in **nanomaggies per pixel**: an AB zero point
# of 22.5. Divide images of zero point 30, such as those of CFHTLS, by 1000; the card detects if this was
# forgotten. Both files must have the same order of galaxies and bands. A galaxy with undefined pixels is
# excluded in that band, and counted. Only truth and translations are required; without true images, use
# [another chapter](43_without_truth.py) or `galtools card --source`. With `source` and `survey_to`, the
# translations are compared with their source as there, too.
#
# The file of the truth may hold arrays `pixel_scale`, `bands`, `noise`, `psf_fwhm`, `weights`, `sigma_map`
# and `psf` (images), as the files of this book do; the parameters above, also names of files, override them. The
# pixel scale must be known.
#
# One npz file with arrays `truth`, `translated` and `redshift` may serve as `truth` and `translations`. For
# this book's test galaxies, set `truth` and `source` to `results/quick/data/test.h5`; for translations within
# SDSS also set `truth_name` to `source`.


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


# %% tags=["hide-input"]
if bool(truth) != bool(translations):
    raise GaltoolsError(
        "hand in both truth and translations, or neither for the demonstration; "
        "without true images: papermill notebooks/43_without_truth.py card.ipynb "
        f"-p source {source or 'SOURCE'} -p translations {translations or 'TRANSLATIONS'}"
    )
if survey_to and not (source and truth):
    raise GaltoolsError("survey_to compares translations with their source: give source and truth")

# %%
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
maps = image_files.open_maps(weights=weights, mask=mask, sigma_map=sigma_map, psf=psf)

# %% [markdown]
# ## The card
#
# The card measures pixels, structure, peak fluxes, lost and invented small sources, morphology (first
# galaxies only) and redshifts predicted from peak fluxes. For comparison it measures the source, resampled to
# the grid of the truth, and a repeat observation, if given.

# %% tags=["remove-stderr"]
card = scorecard.card(
    true_images, made_images, before, z, name=name, bands=band_names(bands) if bands else None,
    pixel_scale=(pixel_scale or None) if truth else SDSS.pixel_scale, noise=noise or None,
    psf_fwhm=psf_fwhm or None, morphology=morphology, repeat=again,
    morphology_bands=morphology_bands, n_boot=n_boot, seed=seed, **maps,
)  # fmt: skip

# %% mystnb={"figure": {"caption": "Pixel metrics of the translation against the truth, per band, with 95 % intervals over galaxies.", "name": "fig-own-pixels"}, "image": {"alt": "Four panels of pixel metrics against band."}} tags=["leading", "hide-input"]
captions = list(html_report.FIGURES)
fig = html_report.card_figure(card, html_report.FIGURES[captions[0]])
plt.show()

# %% mystnb={"figure": {"caption": "Flux, noise and sharpness of the translation against the truth, with 95 % intervals over galaxies.", "name": "fig-own-light"}, "image": {"alt": "Four panels: flux bias, peak bias, noise ratio and extra blur against band."}} tags=["hide-input"]
fig = html_report.card_figure(card, html_report.FIGURES[captions[1]])
plt.show()

# %% mystnb={"figure": {"caption": "Galaxies in order of PSNR, best to worst, with the residual in units of the sky noise of the truth.", "name": "fig-card-examples"}, "image": {"alt": "Rows of grey stamps of six galaxies above a row of residual maps."}} tags=["hide-input"]
fig = html_report.examples(card, true_images, made_images, before)
plt.show()

# %% mystnb={"figure": {"caption": "Flux error and PSNR of every galaxy against its magnitude, size and signal-to-noise ratio, with medians in bins and their 95 % intervals.", "name": "fig-card-trends"}, "image": {"alt": "Six panels of points with a line of medians."}} tags=["hide-input"]
fig = html_report.trends(card)
plt.show()

# %% [markdown]
# The blur is the difference in width, as the FWHM of the Gaussian that would cause it. A noise ratio of 0
# means a noise-free sky, 1 the noise of the truth.
#
# The table has one line per level, band and metric. Shown are the first two of each level; NaN means that
# there was nothing to measure.

# %%
measured = card.table.query("level != 'input'")
measured.groupby("level", sort=False).head(2).set_index("level").round(4).replace(-0.0, 0.0)

# %% [markdown]
# Notes, and what is missing:

# %% tags=["hide-input"]
lines = [("note", note) for note in card.notes]
lines += [(f"missing: {level}", reason) for level, reason in card.missing.items()]
pd.DataFrame(lines, columns=["", "message"]).set_index("")

# %% tags=["hide-input"]
if survey_to:
    there = list(dict.fromkeys(measured.query("metric == 'mae'").band))
    source_set, _ = read_source(source, find_survey(survey_from))
    blind = scorecard.card_without_truth(
        source_set, made_images[:], survey=find_survey(survey_to).in_bands(there), name=name,
        pixel_scale=pixel_scale or true_images.facts.get("pixel_scale"), n_boot=n_boot, seed=seed,
    )  # fmt: skip
    display(Markdown("## Against the source alone"), Markdown("\n\n".join(blind.notes)))
    display(blind.table.drop(columns="level").set_index("metric").round(4).replace(-0.0, 0.0))

# %% [markdown]
# ## Files
#
# The card is saved as a self-contained HTML page, as JSON, which `scorecard.load` reads and `scorecard.merge`
# joins with others, and as CSV. The files are named after the translator.

# %% tags=["hide-input"]
files = truth, translations, source, redshifts, weights, mask, sigma_map, psf, repeat
inputs = [Path(file) for file in files if file]
slug = re.sub(r"\W+", "_", name.lower()).strip("_") or "translator"
saved = paths.Results(results, profile).table(f"card_{slug}")
given = {"name": name, "bands": bands, "scale": pixel_scale, "n_boot": n_boot, "demo": n_demo}
given |= {"side": truth_name, "psf": psf_fwhm, "noise": noise, "shapes": morphology_bands}
for ending in (".json", ".csv"):
    artefacts.make(
        saved.with_suffix(ending), card.save, params={**given, "morphology": morphology},
        modules=["galtools.fidelity.scorecard"], inputs=inputs, seed=seed,
    )  # fmt: skip
with artefacts.atomic(saved.with_suffix(".html")) as page:
    page.write_text(html_report.card_page(card, true_images, made_images, before))
print("card saved as", ", ".join(saved.with_suffix(e).name for e in (".json", ".html", ".csv")))

# %% tags=["remove-cell"]
band = reference_band(list(measured.query("metric == 'mae'").band))
numbers = {"own_psnr": "psnr", "own_blur": "blur", "own_noise": "noise_ratio"}
for key, metric in numbers.items():
    glue(key, float(card.get(metric, band).value), display=False)
glue("own_n", int(card.get("mae", band).n), display=False)
glue("own_band", band, display=False)
glue("own_name", name, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`own_n` galaxies, in the {glue:text}`own_band` band, {glue:text}`own_name` has a PSNR of
# {glue:text}`own_psnr:.1f` dB, a blur of {glue:text}`own_blur:+z.2f` arcsec relative to the truth (negative
# if sharper), and {glue:text}`own_noise:.2f` times the noise of the truth.
#
# **Exercise.** Multiply your translations by two. Which lines of the card change, and which do not?
#
# ```{dropdown} Solution
# Fluxes and peaks are biased by 100 %, the PSNR collapses and the noise ratio doubles. The correlation, the
# colours, the blur and almost all of the morphology do not change: they are independent of scale.
# ```
#
# **What's next:** the chapters on [pixels](21_pixels.py), [morphology](22_morphology.py) and [peak
# fluxes](23_peaks.py) define the metrics.
