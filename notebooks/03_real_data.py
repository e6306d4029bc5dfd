# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Real data: from FITS files to a translator
#
# FITS images of one field in two surveys and a catalogue become matched stamps, a trained translator and its
# row on the leaderboard: {glue:text}`real_usable` of {glue:text}`real_rows` objects pass all checks, and
# {glue:text}`own_model`, trained on {glue:text}`own_train` of them, reaches a PSNR of {glue:text}`own_psnr:.1f`
# dB in {glue:text}`own_band` on {glue:text}`own_test` test galaxies. Resampling stamps to an aligned grid
# leaves {glue:text}`real_smoothing:.2f` of the noise per pixel and correlates it.
#
# **What you will learn**
#
# - how survey images become nanomaggies per pixel, stamps, matched pairs and splits;
# - what to check after each step;
# - stretching, normalization and resampling, with their inverses.
#
# **Prerequisites:** [the two surveys](01_two_surveys.py). About 25 minutes.
#
# ```bash
# papermill notebooks/03_real_data.py mine.ipynb -p results my_results -p name "My field" \
#     -p survey_to KiDS -y "{source: [u.fits, g.fits, ...], target: [...], catalogue: mine.csv}"
# ```
#
# No survey data come with this book. Without files, simulated galaxies are written as FITS files in the
# formats of SDSS and CFHTLS and read with the code for real files, so that each step can be checked against
# its input. [SDSS to KiDS](44_sdss_to_kids.py) translates real galaxies.

# %% tags=["hide-input", "remove-stderr"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from astropy.table import Table, vstack
from myst_nb import glue

from companion import paths, plotting, study
from companion.mock_surveys import file_kinds, write_mock
from galtools import artefacts, data, flags, models, simulate
from galtools.data import splits, stretch
from galtools.errors import GaltoolsError, check_choice
from galtools.fidelity import intervals, scorecard
from galtools.ingest.catalogue import read_catalogue
from galtools.ingest.crossmatch import match
from galtools.ingest.cutouts import cut
from galtools.ingest.fits_images import file_beside, read_plane
from galtools.surveys import BANDS, CFHTLS, SDSS, find_survey, load_surveys, reference_band
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
survey_from: str = "SDSS"  # survey that is translated
survey_to: str = "CFHTLS"  # survey into which it is translated
surveys: str = ""  # TOML file that describes further surveys
source: list[str] = []  # FITS files of the first survey, one per band; empty: a simulated survey
target: list[str] = []  # FITS files of the second survey, one per band
source_maps: list[str] = []  # where their masks and noise are: see the table
target_maps: list[str] = []  # likewise, of the second survey
catalogue: str = ""  # positions, redshifts and names of the galaxies
radius: float = 1.0  # arcsec within which two positions are the same object
name: str = "My field"  # name of the row on the leaderboard
n_galaxies: int = 100  # galaxies of the simulated survey
nside: int = 4096  # fineness of the sky cells that are dealt out to the splits
model: str = "residual"  # the translator
steps: int = 250  # training steps
batch: int = 8  # galaxies in a step
n_boot: int = 400  # resamples of the galaxies behind each interval
morphology: int = 10  # galaxies that statmorph measures; 0 for none

# %% [markdown]
# ## Survey files
#
# One image per band and survey, with coordinates, band, unit and zero point in its header; a file whose pixels
# contradict its header is refused. The surveys are any two that the package defines (SDSS, CFHTLS, KiDS, DES,
# Pan-STARRS1, HSC, Legacy Surveys, Euclid VIS) or that a TOML file describes (`-p surveys my_surveys.toml`).
# An SDSS *frame* is in nanomaggies, at any angle to north. A CFHTLS *tile* is upright, in counts with a zero
# point of 30 (one count is 0.001 nanomaggies), with pixels of half the size.
#
# Maps of the noise have no common convention: an inverse variance or a variance is taken as it is, a relative weight
# is scaled to the noise of the sky. The table lists where they are, `image/invvar` for instance in the file that has
# `invvar` in its name for `image`. An SDSS fpC needs its tsField file. Each kind has a test with the keywords of
# its header.

# %% tags=["hide-input"]
file_kinds().style.format(precision=2).hide()

# %% [markdown]
# The simulated catalogue gets four faulty rows: a missing and an impossible redshift, a position off the
# images, and a duplicate. `read_catalogue` unifies column names and sets a `flag`.

# %% tags=["hide-input"]
learn = [m for m in models.names() if m in plotting.MODEL_NAME]
check_choice("model", model, learn)  # now, not after the stamps are cut
own = paths.Results(str(paths.Results(results, profile).folder / "own"), profile)
published = own.data("x").with_name("published")
load_surveys(surveys) if surveys else None
both = [find_survey(survey_from), find_survey(survey_to)]
demonstration = not (source and target and catalogue)
if demonstration and (source or target or catalogue or both != [SDSS, CFHTLS]):
    raise GaltoolsError("give all three: source, target and catalogue, or none of them")

# %%
if demonstration:
    truth = simulate.pairs(n_galaxies, seed=seed)
    written = write_mock(published, truth, seed=seed)
    source, target = (list(map(str, written[survey.name])) for survey in both)
    catalogue = str(published / "catalogue.csv")
    good = Table.read(catalogue)
    bad = good[:4].copy()
    bad["objid"] = [9001, 9002, 9003, int(good["objid"][3])]
    bad["z"] = [np.nan, -0.3, 0.1, bad["z"][3]]
    bad["dec"][2] += 1.0  # far off the images
    bad["ra"][:2] += 0.001  # beside a galaxy, not on it
    vstack([good, bad]).write(catalogue, overwrite=True)

# %%
maps = [dict(w.partition("=")[::2] for w in words) for words in (source_maps, target_maps)]
planes = [
    [read_plane(file, survey, names=names) for file in files]
    for survey, files, names in zip(both, (source, target), maps, strict=True)
]
bands_of = [{plane.band for plane in some} for some in planes]
common = [band for band in both[0].bands if band in bands_of[0] & bands_of[1]]
planes = [[plane for plane in some if plane.band in common] for some in planes]
both = [survey.in_bands(common) for survey in both]
objects = read_catalogue(Path(catalogue))
for row in objects[objects["flag"] > 0][:5]:
    print(f"{row['id']}: {flags.names(row['flag'])}")

# %% [markdown]
# `read_plane` converts to nanomaggies and masks saturated and missing pixels. The sky noise per pixel should be
# near the survey's usual value; the largest ratio is {glue:text}`real_noise_worst:.2f`. Galaxies that cover
# much of a small field raise it.

# %% tags=["hide-input"]
facts = pd.DataFrame(
    [
        (survey.name, p.band, p.pixel_scale, p.noise, survey.sky_noise[common.index(p.band)])
        for survey, some in zip(both, planes, strict=True)
        for p in some
    ],
    columns=("survey", "band", "arcsec/pixel", "noise measured", "noise expected"),
)
glue(
    "real_noise_worst",
    float((facts["noise measured"] / facts["noise expected"]).max()),
    display=False,
)
facts.style.format(precision=4).hide()

# %% mystnb={"figure": {"caption": "The central 100 arcsec of the field in one band on the pixel grid of each survey. In the simulated SDSS frame north is right, in the CFHTLS tile up. Straight edges of galaxies are edges of the simulated stamps.", "name": "fig-real-fields"}, "image": {"alt": "Two grey images of a grid of galaxies, one rotated by 90 degrees with respect to the other."}} tags=["hide-input"]
band = reference_band(common)
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.3))
for ax, survey, layers in zip(axes, both, planes, strict=True):
    plane = next(plane for plane in layers if plane.band == band)
    y, x = (side // 2 for side in plane.image.shape)
    extent = int(50 / plane.pixel_scale)  # arcsec
    view = plane.image[max(y - extent, 0) : y + extent, max(x - extent, 0) : x + extent]
    ax.imshow(np.arcsinh(view / plane.noise), cmap="Greys", vmin=-1, vmax=6)
    ax.set(title=survey.name, xlabel="x [pixel]", ylabel="y [pixel]")
    ax.grid(False)
plt.show()

# %% [markdown]
# ## Cutting stamps
#
# All stamps have north up and east left, so that networks cannot learn scan directions.
#
# - *Aligned*: resample to a centred, upright grid. Flux is conserved, but noise is smoothed and correlated,
#   and a translator learns this smoothing.
# - *Nearest*: cut at the nearest pixel, rotate by multiples of 90° and mirror. Pixel values are unchanged, but
#   the galaxy is up to half a pixel off centre along each axis, and north up to 45° off the vertical (columns
#   `offset` and `rotation`).

# %%
stamps = [cut(layers, objects, survey) for survey, layers in zip(both, planes, strict=True)]
few = objects[:36]
nearest = cut(planes[0], few, both[0], align=False)
smoothing = np.nanmedian(stamps[0].noise[: len(few)] / nearest.noise)
glue("real_smoothing", float(smoothing), display=False)
glue("real_offset", float(np.max(nearest.catalogue["offset"])), display=False)
error = np.nan
if demonstration:
    n = min(len(few), n_galaxies)
    error = np.abs(nearest.images[:n] - truth.source[:n]).max()

# %% tags=["remove-cell"]
glue("real_cut_error", float(error), display=False)

# %% [markdown]
# Nearest cuts lie up to {glue:text}`real_offset:.2f` arcsec off the centre and reproduce the simulated pixels
# within {glue:text}`real_cut_error:.1g` nanomaggies.
#
# ## Matching
#
# To imitate independent catalogues, the positions of the simulated CFHTLS receive errors of 0.1 arcsec, the
# first galaxy is removed and the last is listed twice. A source is *matched* with one counterpart within the
# radius, *ambiguous* with several (the nearest is taken), and *lost* with none. Many lost sources almost
# always indicate an offset between the coordinates of the surveys. Faults are flagged, and the sample is all
# rows without a flag.

# %%
deep = stamps[1]
if demonstration:
    rng = np.random.default_rng(seed)
    deep = deep[[*range(1, len(deep)), n_galaxies - 1]]
    for column in ("ra", "dec"):
        deep.catalogue[column] += rng.normal(0, 0.1, len(deep)) / 3600
matched, outcomes = match(stamps[0], deep, radius=radius)
outcomes.to_pandas().style.hide()

# %%
usable = flags.good(matched.catalogue)
if not usable.any():
    met = flags.count(matched.catalogue)
    reasons = ", ".join(f"{rows} {flag}" for flag, rows in met.iterrows() if flag.isupper())
    raise GaltoolsError(
        f"none of {len(usable)} rows is without a flag ({reasons}): fix the largest"
    )
pairs = matched[usable]
flags.count(matched.catalogue).to_pandas().style.hide()

# %% mystnb={"figure": {"caption": "Galaxies of the sample in the source (top) and target survey (bottom). Both should show the same objects, upright and centred.", "name": "fig-own-stamps"}, "image": {"alt": "Two rows of colour stamps of the same galaxies."}} tags=["hide-input"]
shown = np.argsort(-pairs.target[:, common.index(band)].sum((1, 2)))[: min(5, len(pairs))]
fig = plotting.stamps(
    [pairs.source[shown], pairs.target[shown]], [survey.name for survey in both],
    [f"z = {z:.2f}" for z in pairs.redshift[shown]],
)  # fmt: skip
plt.show()

# %% [markdown]
# ## Galactic extinction
#
# The extinction in the Milky Way is $A = R\,E(B-V)$ magnitudes, with $E(B-V)$ from the map of
# {cite:t}`schlegel1998` and $R$ from {cite:t}`schlafly2011` for SDSS, interpolated to the filters for
# CFHTLS. If the catalogue has a column `ebv`, `deredden` corrects images and noise. Correct both surveys
# or neither.

# %%
from galtools.ingest.units import extinction_per_ebv

dust = Table([BANDS], names=["band"])
for survey in (SDSS, CFHTLS):
    dust[survey.name] = extinction_per_ebv(survey)
dust.to_pandas().style.format(precision=3).hide()

# %% [markdown]
# ## Splits and storage
#
# Neighbouring stamps overlap, so a random split would leak training pixels into the test set.
# `splits.by_sky` links neighbours into groups and assigns whole sky cells to one split: about a degree by
# default, tiny ones (`nside`) in this small field. The files are those of the other chapters, in a folder of
# their own.

# %% tags=["hide-input"]
position = (pairs.catalogue["ra"], pairs.catalogue["dec"])
split = splits.by_sky(*position, (0.6, 0.2, 0.2), link=26, nside=nside, seed=seed)
inputs = [Path(file) for file in (*source, *target, catalogue, surveys) if file]
for files, names in zip((source, target), maps, strict=True):
    inputs += [file_beside(Path(file), where) for file in files for where in names.values()]
for part in splits.NAMES:
    chosen = split == part
    if not chosen.any():
        raise GaltoolsError(f"no galaxy fell into {part}: choose another seed, or a larger nside")
    artefacts.make(
        own.data(part),
        lambda path, chosen=chosen: data.save(pairs[chosen], path, split=split[chosen]),
        params={"part": part, "nside": nside, "surveys": [survey_from, survey_to], "maps": maps},
        modules=["galtools.ingest.cutouts", "galtools.data.splits"], inputs=inputs, seed=seed,
    )  # fmt: skip
sizes = {part: data.describe(own.data(part))["galaxies"] for part in splits.NAMES}
print(sizes)

# %% tags=["hide-input"]
training = pairs[split == "train"]
stored = data.load(own.data("train"))
noise = stored.noise[:, 0, :, None, None]
rounding = np.std((stored.source - training.source) / noise)
ratio = (training.source.nbytes + training.target.nbytes) / own.data("train").stat().st_size
glue("real_rounding", float(rounding), display=False)
glue("real_ratio", float(ratio), display=False)

# %% [markdown]
# Images are quantized in steps of a power of two between 1/16 and 1/8 of the sky noise, which adds an rms of at
# most $\sigma/(8\sqrt{12}) = 0.036\,\sigma$; measured: {glue:text}`real_rounding:.4f` σ, in a file
# {glue:text}`real_ratio:.1f` times smaller than uncompressed arrays. `data.load(path, rows)` reads only the
# requested rows. Any HDF5 reader reads plain nanomaggies per pixel:

# %%
import h5py

with h5py.File(own.data("test")) as file:
    few_images, attributes = file["target/images"][:3], dict(file["target"].attrs)
few_images.shape, attributes

# %% [markdown]
# Damaged files are refused with a reason, here a truncated frame and an HTML error page saved as FITS:

# %% tags=["hide-input"]
from textwrap import fill

from galtools.ingest.fits_images import read_fits

broken = own.data("x").with_name("broken.fits")
for content in (Path(source[0]).read_bytes()[:40_000], b"<html>404 Not Found</html>" * 200):
    broken.write_bytes(content)
    try:
        read_fits(broken)
    except GaltoolsError as refusal:
        print(fill(refusal.args[0].replace(str(broken.parent), "..."), 90))

# %% [markdown]
# ## Stretching and normalization
#
# From the noise to the centre of a bright galaxy, pixels span three decades in SDSS and four in CFHTLS.
# Networks therefore receive $y = f(u)/s$ with $u = x/b$, where $b$ is about the sky noise of the band,
# $s$ sets the mean square of $y$ over the training set to 1, and $f$ compresses bright pixels:
#
# $$ f_\mathrm{sqrt} = \mathrm{sign}(u)\big(\sqrt{1 + |u|} - 1\big), \quad
#    f_\mathrm{log} = \mathrm{sign}(u) \ln(1 + |u|), \quad
#    f_\mathrm{asinh} = \operatorname{arsinh} u . $$
#
# To avoid leakage, $s$ is computed from training images only.

# %%
train = torch.from_numpy(training.source)
sky = both[0].sky_noise
kinds = {kind: stretch.fit_stretch(train, sky, kind) for kind in ("sqrt", "log", "asinh")}
losses = {
    kind: float((curve.inverse(curve.forward(train)) - train).abs().max() / train.abs().max())
    for kind, curve in kinds.items()
}

# %% tags=["remove-cell"]
glue("real_stretch_loss", max(losses.values()), display=False)

# %% mystnb={"figure": {"caption": "Left: the three stretches of the r band, each with its own s. Right: distribution of stretched pixel values in the training set, in the same line styles. The square root compresses bright pixels least, asinh most.", "name": "fig-real-stretch"}, "image": {"alt": "Left, three curves that are linear near zero and flatten. Right, three histograms with a peak at zero and a tail to the right."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.1))
line, where = torch.linspace(-3, 300, 2000), common.index(band)
for (kind, curve), style in zip(kinds.items(), ("-", "--", ":"), strict=True):
    image = (line * sky[where])[None, None, None].expand(1, len(common), 1, -1)
    axes[0].plot(line, curve.forward(image)[0, where, 0], style, label=kind)
    pixels = curve.forward(train)[:, where].ravel()
    axes[1].hist(pixels, np.linspace(-2, 8, 60), histtype="step", linestyle=style, linewidth=1.6)
axes[0].set(xlabel=r"pixel [$\sigma_{\rm sky}$]", ylabel="stretched pixel")
axes[1].set(xlabel="stretched pixel", ylabel="number of pixels", yscale="log")
axes[1].set_title(f"n = {len(train)} galaxies")
axes[0].legend()
plt.show()

# %% [markdown]
# The round trip changes pixels by at most {glue:text}`real_stretch_loss:.0e` of the brightest one, the
# rounding error of single precision.
#
# ## Resampling
#
# For comparisons pixel by pixel, or training on smaller images, the $136\times136$ pixels of a CFHTLS
# stamp are resampled to the $64\times64$ of SDSS. Area overlap, $y = W x W^\mathsf{T}$, conserves flux.
# Many fine images give the same coarse one; the pseudo-inverse of $W$ returns the one with the least sum
# of squares.

# %%
from galtools.data.resampling import overlap_matrix

fine = np.float64(simulate.pairs(5, seed=seed).target)
W = overlap_matrix(CFHTLS.stamp, CFHTLS.pixel_scale, SDSS.stamp, SDSS.pixel_scale)
coarse = W @ fine @ W.T
undo = np.linalg.pinv(W)
back = undo @ coarse @ undo.T
again = W @ back @ W.T

# %% tags=["hide-input"]
kept = coarse.sum((2, 3))[:, 2] / fine.sum((2, 3))[:, 2]
variances = (W**2).sum(axis=1)  # along one axis, for white noise of unit variance
growth = float(np.sqrt(np.mean(np.outer(variances, variances))))
glue("real_kept", float(np.abs(kept - 1).max()), display=False)
glue("real_again", float(np.abs(again - coarse).max() / coarse.max()), display=False)
loss = np.sqrt(np.mean((back - fine)[:, 2] ** 2, axis=(1, 2))) / CFHTLS.sky_noise[2]
glue("real_lost", float(np.median(loss)), display=False)
glue("real_growth", growth, display=False)
glue("real_area", (SDSS.pixel_scale / CFHTLS.pixel_scale), display=False)

# %% mystnb={"figure": {"caption": "Central 12 arcsec of a CFHTLS stamp in r (asinh grey scale of surface brightness): original, resampled to SDSS pixels, and mapped back with the pseudo-inverse, without the detail lost in resampling.", "name": "fig-real-regrid"}, "image": {"alt": "Three grey images of a galaxy: sharp, coarse, and fine pixels again but blurred."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.3))
layers = (fine[0, 2], coarse[0, 2], back[0, 2])
scales = (CFHTLS.pixel_scale, SDSS.pixel_scale, CFHTLS.pixel_scale)
for ax, image, scale, label in zip(
    axes, layers, scales, ("136 × 136", "64 × 64", "and back"), strict=True
):
    half = 6  # arcsec around the galaxy
    extent, centre = int(half / scale), len(image) // 2
    view = image[centre - extent : centre + extent, centre - extent : centre + extent] / scale**2
    ax.imshow(
        np.arcsinh(view / 0.2), cmap="Greys", vmin=-0.2, vmax=np.arcsinh(fine[0, 2].max() / 0.007)
    )
    ax.set_title(label)
    plotting.clean(ax)
plt.show()

# %% [markdown]
# The flux differs from that of the fine stamp by at most {glue:text}`real_kept:.1%`, because the fine
# stamp is 0.04 arcsec wider on each side. The noise per pixel grows by a factor of
# {glue:text}`real_growth:.2f`, less than the ratio of pixel sides, {glue:text}`real_area:.2f`, because
# neighbouring pixels become correlated.
#
# Mapped back to the fine grid, the image differs from the original by {glue:text}`real_lost:.1f` times the
# sky noise (rms in r, median galaxy); resampled again, it reproduces the coarse image within
# {glue:text}`real_again:.0e` of its peak.
#
# ## Training and translation
#
# `study.run` trains the model, unless the same training has been done before, and translates the test
# galaxies. An interrupted training resumes from its last checkpoint. If the last loss that it prints is clearly
# below the one before, train longer. A few hundred galaxies test the procedure; results need thousands.

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, seed=seed)
result = study.run(str(own.folder.parent), profile, model, "cross", seed, settings)
study.error_table(result)

# %% mystnb={"figure": {"caption": "Test galaxies, bright to faint: source resampled to the target's grid, translation, target, and r-band residual in units of the sky noise.", "name": "fig-own-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["leading", "hide-input"]
fig = study.examples(result)
plt.show()

# %% [markdown]
# Dipoles in the last row are shifts by a fraction of a pixel: catalogue positions have errors of this size,
# independent between the surveys. A shift common to all galaxies would indicate a fault.
#
# ## Model card and leaderboard
#
# The card measures the translations with the metrics of this book, with 95 % intervals over galaxies. Rows of
# different samples can be shown together, but not ranked: bright galaxies give better values for any
# translator.

# %% tags=["remove-stderr"]
test = result.pairs
card = scorecard.card(
    test.target_set, result.translated, result.floor, test.redshift, name=name,
    morphology=morphology, n_boot=n_boot, seed=seed,
)  # fmt: skip
saved = own.table("card").with_suffix(".json")

# %% tags=["hide-input"]
made = artefacts.make(
    saved, card.save, params={"name": name, "n_boot": n_boot, "morphology": morphology},
    modules=["galtools.fidelity.scorecard"],
    inputs=[own.translations("cross", model, seed), own.data("test")], seed=seed,
)  # fmt: skip

# %%
numbers = {"psnr": "PSNR [dB]", "correlation": "pixel correlation",
           "aperture_scatter": "flux scatter", "box_scatter": "peak scatter"}  # fmt: skip
board = scorecard.merge([scorecard.load(saved)]).query("band == @band").set_index("metric")
row = {
    label: intervals.format_interval(*board.loc[metric, ["value", "low", "high"]])
    for metric, label in numbers.items()
}
pd.DataFrame(row, index=[name])

# %% tags=["remove-cell"]
quoted = study.quoted_numbers(result)
numbers = {"real_rows": len(usable), "real_usable": int(usable.sum())}
numbers |= {"own_train": sizes["train"], "own_test": sizes["test"], "own_band": band}
numbers |= {"own_model": plotting.MODEL_NAME[model], "own_psnr": float(board.loc["psnr", "value"])}
numbers |= {"own_floor": quoted[f"{model}_chi_floor"], "own_chi": quoted[f"{model}_chi"]}
for key, value in numbers.items():
    glue(key, value, display=False)

# %% [markdown]
# Where there is no true image, the translation is [tested against its source](43_without_truth.py). Values per
# band, for surveys whose filters are known:

# %%
alone = None
if all(side.filters for side in both):
    options = {"pixel_scale": test.target_set.pixel_scale, "n_boot": n_boot, "seed": seed}
    alone = scorecard.card_without_truth(
        test.source_set, result.translated, survey=both[1], name=name, **options
    ).table.pivot_table("value", "metric", "band", sort=False)[list(common)]
alone if alone is None else alone.round(3)

# %% [markdown]
# To compare it with others, pass the card to the leaderboard:
#
# ```bash
# papermill notebooks/25_leaderboard.py board.ipynb \
#     -y "cards: [my_results/quick/own/quick/tables/card.json]"
# ```
#
# ## Other surveys and archives
#
# Add a survey by a TOML file (`load_surveys`) or in Python. Folders of cutouts and arrays are read, too:
#
# ```python
# from galtools.ingest.arrays import read_arrays  # .npz, .npy, .h5 or .fits
# from galtools.ingest.folder import read_folder  # <id>_<band>.fits
# from galtools.surveys import Survey, add_survey
#
# mine = add_survey(Survey(
#     "Mine", bands=("g", "r", "i"), pixel_scale=0.55, zero_point="MAGZP",
#     psf_fwhm=(1.5, 1.5, 1.4), sky_noise=(0.03, 0.03, 0.04),
# ))
# images = read_folder("cutouts", mine)
# images = read_arrays("cubes.h5", mine, key="img", axes="nyxb", bands="irg",
#                      names={"sigma_map": "err", "mask": "dq", "psf": "psfs"})
# ```
#
# `simulate.pairs(100, survey_from=SDSS, survey_to=mine)` simulates pairs of any two surveys that name their
# `filters`: curves of astro-sedpy, or limits in Å such as "5500-9000".
#
# Downloads are throttled, retried and verified. They have been tested against a faulty local server, not
# the archives:
#
# ```bash
# pip install '.[download]'
# galtools download sdss-catalogue my_data -n 200 --ra 214 216 --dec 52 54
# galtools download sdss my_data      # frames, about 15 MB per field in five bands
# galtools download cfhtls my_data    # cutouts of CFHTLS-Wide from the CADC
# ```
#
# ## What we found
#
# - Nearest cuts preserve pixels; alignment leaves {glue:text}`real_smoothing:.2f` of the noise.
# - Stretches invert within single precision; resampling to coarser pixels conserves flux but loses detail.
# - {glue:text}`own_model` has a residual of {glue:text}`own_chi:.0f` times the sky noise, resampling of
#   {glue:text}`own_floor:.0f`. With galaxies and steps as few as in the default run, this demonstrates the
#   procedure and does not characterize the model.
#
# ## Exercises
#
# 1. What fraction of the sky noise remains after alignment if the object lies on a corner of the frame's
#    pixels? And on average over all positions?
# 2. Shift the catalogue by two arcseconds and run the notebook again. Which table or figure reveals the error
#    first?
#
# ```{dropdown} Solutions
# 1. All of it: both grids coincide. In the worst case, half a pixel off along both axes, each new pixel is
#    the mean of four, and half the noise remains. For an offset of a fraction $t$ of a pixel the variance
#    falls by $t^2 + (1-t)^2$ per axis, on average by 2/3; for both axes by 4/9, whose root is 2/3.
# 2. None of the tables: stamps are cut at the catalogue positions in both surveys, and match each other. The
#    *figure* of stamps reveals it, since no galaxy is centred.
# ```
#
# **What's next:** [the residual network](11_residual.py), or grids over fields, models and seeds
# ([At scale](../scale.md)).
