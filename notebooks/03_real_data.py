# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Preparing real data
#
# Of {glue:text}`real_rows` catalogue rows, {glue:text}`real_usable` pass all checks; the others remain in
# the catalogue with a flag for the reason. Cutting stamps at the nearest pixel reproduces the SDSS pixels
# within {glue:text}`real_cut_error:.1g` nanomaggies; resampling to an aligned grid leaves
# {glue:text}`real_smoothing:.2f` of the noise per pixel and correlates it.
#
# **What you will learn**
#
# - how SDSS frames and CFHTLS tiles become nanomaggies per pixel;
# - how stamps are cut, matched, flagged, split and stored;
# - stretching, normalization and resampling, with their inverses.
#
# **Prerequisites:** [the two surveys](01_two_surveys.py). About 20 minutes.
#
# No survey data come with this book. Simulated galaxies are written as FITS files in the formats of SDSS
# and CFHTLS and read with the code for real files, so that each step can be checked against its input.

# %% tags=["hide-input", "remove-stderr"]
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import torch
from astropy.table import Table, vstack
from myst_nb import glue

from companion import paths, plotting
from companion.mock_surveys import write_mock
from galtools import artefacts, data, flags, simulate
from galtools.data import splits, stretch
from galtools.data.resampling import overlap_matrix
from galtools.errors import GaltoolsError
from galtools.ingest import catalogue as catalogues
from galtools.ingest.crossmatch import match
from galtools.ingest.cutouts import cut
from galtools.ingest.fits_images import read_fits, read_plane
from galtools.ingest.units import extinction_per_ebv
from galtools.surveys import BANDS, CFHTLS, SDSS

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
n_galaxies: int = 36  # galaxies in the small survey
radius: float = 1.0  # arcsec within which two positions are the same object

# %% [markdown]
# ## Survey files
#
# An SDSS *frame* is in nanomaggies and lies at any angle to north. A CFHTLS *tile* is aligned with north,
# in counts with a zero point of 30 (one count is 0.001 nanomaggies), with pixels of half the size.

# %%
files = paths.Results(results, profile)
folder = files.data("real").with_name("published")
truth = simulate.pairs(n_galaxies, seed=seed)
published = write_mock(folder, truth, seed=seed)
for name, written in published.items():
    print(f"{name}:", *(path.name for path in written))

# %% [markdown]
# `read_plane` takes unit, zero point and coordinates from the header, converts to nanomaggies, and masks
# saturated and missing pixels. The table compares the sky noise in nanomaggies per pixel with the
# survey's usual value. The largest ratio is {glue:text}`real_noise_worst:.2f`; galaxies covering much of
# a small field raise it.

# %%
both = {survey.name: survey for survey in (SDSS, CFHTLS)}
planes = {name: [read_plane(path, s) for path in published[name]] for name, s in both.items()}
facts = Table(
    rows=[
        (name, plane.band, plane.pixel_scale, plane.noise, both[name].sky_noise[k])
        for name in both
        for k, plane in enumerate(planes[name])
    ],
    names=("survey", "band", "arcsec/pixel", "noise measured", "noise expected"),
)
worst = max(facts["noise measured"] / facts["noise expected"])
glue("real_noise_worst", float(worst), display=False)
facts.to_pandas().style.format(precision=4).hide()

# %% mystnb={"figure": {"caption": "The same field in the r band on the pixel grid of each survey. North is right in the SDSS frame and up in the CFHTLS tile. Straight edges of galaxies are edges of the simulated stamps.", "name": "fig-real-fields"}, "image": {"alt": "Two grey images of a grid of galaxies, one rotated by 90 degrees with respect to the other."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.3))
for ax, (name, layers) in zip(axes, planes.items(), strict=True):
    plane = layers[BANDS.index("r")]
    ax.imshow(np.arcsinh(plane.image / plane.noise), cmap="Greys", vmin=-1, vmax=6)
    ax.set(title=name, xlabel="x [pixel]", ylabel="y [pixel]")
    ax.grid(False)
plt.show()

# %% [markdown]
# ## Catalogue flags
#
# We add a missing redshift, an impossible one, a position off the images and a duplicate. `tidy` unifies
# column names and writes faults into the column `flag`; the third is found only when stamps are cut.

# %%
good = Table.read(folder / "catalogue.csv")
bad = good[:4].copy()
bad["objid"] = [9001, 9002, 9003, int(good["objid"][3])]
bad["z"] = [np.nan, -0.3, 0.1, bad["z"][3]]
bad["dec"][2] += 1.0  # far off the images
bad["ra"][:2] += 0.001  # beside a galaxy, not on it
objects = catalogues.tidy(vstack([good, bad]))
for row in objects[-4:]:
    print(f"{row['id']}: {flags.names(row['flag']) or 'no flag yet'}")

# %% [markdown]
# ## Cutting stamps
#
# All stamps have north up and east left, so that networks cannot learn scan directions.
#
# - *Nearest*: cut at the nearest pixel, rotate by multiples of 90° and mirror. Pixel values are
#   unchanged, but the galaxy is up to half a pixel off centre along each axis, and north up to 45° off
#   the vertical (columns `offset` and `rotation`, per band).
# - *Aligned*: resample to a centred, upright grid. Flux is conserved, but noise is smoothed and
#   correlated.

# %%
nearest = {s.name: cut(planes[s.name], objects, s, align=False) for s in both.values()}
aligned = cut(planes["SDSS"], objects[:n_galaxies], SDSS)
error = np.abs(nearest["SDSS"].images[:n_galaxies] - truth.source).max()
smoothing = np.nanmedian(aligned.noise / nearest["SDSS"].noise[:n_galaxies])
offset = np.max(nearest["SDSS"].catalogue["offset"])
glue("real_n", n_galaxies, display=False)
glue("real_cut_error", float(error), display=False)
glue("real_smoothing", float(smoothing), display=False)
glue("real_offset", float(offset), display=False)

# %% [markdown]
# The {glue:text}`real_n` galaxies lie up to {glue:text}`real_offset:.2f` arcsec off the centres of their
# nearest cuts. A translator trained on aligned stamps learns their smoothing.

# %% mystnb={"figure": {"caption": "Five galaxies cut from the SDSS files at the nearest pixel (top) and with alignment (middle), and from the CFHTLS files (bottom).", "name": "fig-real-stamps"}, "image": {"alt": "Grid of colour galaxy stamps in three rows."}} tags=["hide-input"]
shown = np.argsort(-truth.source[:, 2].sum((1, 2)))[:5]
fig = plotting.stamps(
    [nearest["SDSS"].images[shown], aligned.images[shown], nearest["CFHTLS"].images[shown]],
    ["SDSS", "SDSS\naligned", "CFHTLS"],
    [f"z = {z:.2f}" for z in truth.redshift[shown]],
)
plt.show()

# %% [markdown]
# ## Matching
#
# To imitate independent catalogues, the CFHTLS positions receive errors of 0.1 arcsec, the first galaxy
# is removed and the last is listed twice. A source is *matched* with one counterpart within the radius,
# *ambiguous* with several (the nearest is taken, the row flagged), and *lost* with none (the target is
# NaN, the row flagged). Both rows of the duplicate claim the same target.

# %%
rng = np.random.default_rng(seed)
deep = nearest["CFHTLS"][[*range(1, n_galaxies), n_galaxies - 1]]
for column in ("ra", "dec"):
    deep.catalogue[column] += rng.normal(0, 0.1, len(deep)) / 3600
matched, outcomes = match(nearest["SDSS"], deep, radius=radius)
outcomes.to_pandas().style.hide()

# %%
flags.count(matched.catalogue).to_pandas().style.hide()

# %% [markdown]
# The sample consists of all rows without a flag.

# %%
usable = flags.good(matched.catalogue)
glue("real_rows", len(usable), display=False)
glue("real_usable", int(usable.sum()), display=False)

# %% [markdown]
# ## Galactic extinction
#
# The extinction in the Milky Way is $A = R\,E(B-V)$ magnitudes, with $E(B-V)$ from the map of
# {cite:t}`schlegel1998` and $R$ from {cite:t}`schlafly2011` for SDSS, interpolated to the filters for
# CFHTLS. If the catalogue has a column `ebv`, `deredden` corrects images and noise. Correct both surveys
# or neither.

# %%
dust = Table([BANDS], names=["band"])
for survey in both.values():
    dust[survey.name] = extinction_per_ebv(survey)
dust.to_pandas().style.format(precision=3).hide()

# %% [markdown]
# ## Splits and storage
#
# Neighbouring stamps overlap, so a random split would leak training pixels into the test set.
# `splits.by_sky` links neighbours into groups and assigns whole sky cells to one split: tiny cells in
# this small field, about a degree by default.

# %%
pairs = matched[usable]
split = splits.by_sky(
    pairs.catalogue["ra"], pairs.catalogue["dec"], (0.6, 0.2, 0.2), link=26, nside=4096, seed=seed
)
if "train" not in split:
    raise GaltoolsError("no galaxy fell into train: take more of them, or another seed")
made = artefacts.make(
    files.data("real"),
    lambda path: data.save(
        pairs, path, split=split,
        provenance={"images": "simulated, written as FITS, read again", "seed": seed},
    ),
    params={"n_galaxies": n_galaxies, "radius": radius},
    modules=["galtools.data", "galtools.data.splits", "galtools.simulate",
             "galtools.ingest.cutouts", "galtools.ingest.crossmatch", "companion.mock_surveys"],
    seed=seed,
)  # fmt: skip
data.validate(files.data("real"))
data.describe(files.data("real"))

# %% [markdown]
# Images are quantized in steps of a power of two between 1/16 and 1/8 of the sky noise. Uniform rounding
# errors then have an rms of at most $\sigma/(8\sqrt{12}) = 0.036\,\sigma$.

# %%
stored = data.load(files.data("real"))
noise = stored.noise[:, 0, :, None, None]
rounding = np.std((stored.source - pairs.source) / noise)
ratio = (pairs.source.nbytes + pairs.target.nbytes) / files.data("real").stat().st_size
glue("real_rounding", float(rounding), display=False)
glue("real_ratio", float(ratio), display=False)
training = np.flatnonzero(split == "train")
batch = data.load(files.data("real"), training[:4])
print(
    f"{len(batch)} of {len(training)} training pairs: {batch.source.shape} to {batch.target.shape}"
)

# %% [markdown]
# The measured rms is {glue:text}`real_rounding:.4f` σ, in a file {glue:text}`real_ratio:.1f` times
# smaller than uncompressed arrays. `data.load(path, rows)` reads only the requested rows. With h5py
# alone:
#
# ```python
# with h5py.File("real.h5") as file:
#     images = file["target/images"][:]  # nanomaggies per pixel
#     noise, scale = file["target/noise"][:], file["target"].attrs["pixel_scale"]
# ```
#
# ## Damaged files
#
# Damaged files are refused with a reason, here a truncated frame and an HTML error page saved as FITS:

# %%
broken = folder / "broken.fits"
for content in (published["SDSS"][0].read_bytes()[:40_000], b"<html>404 Not Found</html>" * 200):
    broken.write_bytes(content)
    try:
        read_fits(broken)
    except GaltoolsError as refusal:
        print(fill(refusal.args[0].replace(str(folder), "..."), 90))

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
train = torch.from_numpy(pairs.source[split == "train"])
kinds = {
    kind: stretch.fit_stretch(train, SDSS.sky_noise, kind) for kind in ("sqrt", "log", "asinh")
}
losses = {
    kind: float((curve.inverse(curve.forward(train)) - train).abs().max() / train.abs().max())
    for kind, curve in kinds.items()
}
glue("real_stretch_loss", max(losses.values()), display=False)

# %% mystnb={"figure": {"caption": "Left: the three stretches of the r band, each with its own s. Right: distribution of stretched pixel values in the training set, in the same line styles. The square root compresses bright pixels least, asinh most.", "name": "fig-real-stretch"}, "image": {"alt": "Left, three curves that are linear near zero and flatten. Right, three histograms with a peak at zero and a tail to the right."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.1))
line = torch.linspace(-3, 300, 2000)
for (kind, curve), style in zip(kinds.items(), ("-", "--", ":"), strict=True):
    image = (line * SDSS.sky_noise[2])[None, None, None].expand(1, 5, 1, -1)
    axes[0].plot(line, curve.forward(image)[0, 2, 0], style, label=kind)
    pixels = curve.forward(train)[:, 2].ravel()
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
fine = np.float64(truth.target[shown])
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
lost = np.sqrt(np.mean((back - fine)[:, 2] ** 2, axis=(1, 2))) / CFHTLS.sky_noise[2]
glue("real_lost", float(np.median(lost)), display=False)
glue("real_growth", growth, display=False)
glue("real_area", (SDSS.pixel_scale / CFHTLS.pixel_scale), display=False)

# %% mystnb={"figure": {"caption": "Central 12 arcsec of a CFHTLS stamp in r (asinh grey scale of surface brightness): original, resampled to SDSS pixels, and mapped back with the pseudo-inverse, without the detail lost in resampling.", "name": "fig-real-regrid"}, "image": {"alt": "Three grey images of a galaxy: sharp, coarse, and fine pixels again but blurred."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.3))
layers = (fine[0, 2], coarse[0, 2], back[0, 2])
scales = (CFHTLS.pixel_scale, SDSS.pixel_scale, CFHTLS.pixel_scale)
for ax, image, scale, name in zip(
    axes, layers, scales, ("136 × 136", "64 × 64", "and back"), strict=True
):
    half = 6  # arcsec around the galaxy
    reach, middle = int(half / scale), len(image) // 2
    view = image[middle - reach : middle + reach, middle - reach : middle + reach] / scale**2
    ax.imshow(
        np.arcsinh(view / 0.2), cmap="Greys", vmin=-0.2, vmax=np.arcsinh(fine[0, 2].max() / 0.007)
    )
    ax.set_title(name)
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
# ## Other surveys and archives
#
# The package defines SDSS, CFHTLS, KiDS, DES, Pan-STARRS1, HSC, the Legacy Surveys and Euclid VIS, and
# reads frames, tiles, coadds, older SDSS *fpC* images (with *tsField*), folders of cutouts and arrays.
# Add a survey by a TOML file (`load_surveys`) or in Python:
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
# images = read_arrays("cubes.h5", mine, key="img", axes="nyxb", bands="irg")
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
# The steps of this chapter then give one file, with one image in memory at a time:
#
# ```python
# objects = read_catalogue("my_data/catalogue.ecsv")
# frames, tiles = Path("my_data/sdss").glob("frame-*.bz2"), Path("my_data/cfhtls").glob("[!.]*.fits")
# sdss = cut((read_plane(file, SDSS) for file in sorted(frames)), objects, SDSS)
# cfht = cut((read_plane(file, CFHTLS) for file in sorted(tiles)), objects, CFHTLS)
# pairs, outcomes = match(sdss, cfht)
# data.save(pairs, "real.h5")
# ```
#
# ## What we found
#
# - Nearest cuts preserve pixels; alignment smooths the noise.
# - Stretches invert within single precision; resampling to coarser pixels conserves flux but loses
#   detail.
# - Quantization adds {glue:text}`real_rounding:.3f` σ.
#
# ## Exercises
#
# 1. What fraction of the sky noise remains after alignment if the object lies on a corner of the frame's
#    pixels? And on average over all positions?
# 2. Write a stamp with its bands in the order z, i, r, g, u, and read it with `read_arrays`.
#
# ```{dropdown} Solutions
# 1. All of it: both grids coincide. In the worst case, half a pixel off along both axes, each new pixel is
#    the mean of four, and half the noise remains. For an offset of a fraction $t$ of a pixel the variance
#    falls by $t^2 + (1-t)^2$ per axis, on average by 2/3; for both axes by 4/9, whose root is 2/3.
# 2. `read_arrays("a.npz", SDSS)` refuses `np.savez("a.npz", data=truth.source[:, ::-1])`: the channel taken
#    for z has a quarter of its noise. With `bands="zirgu"` in the file it is read correctly.
# ```
#
# **What's next:** a translator between both surveys: [the residual network](11_residual.py).
