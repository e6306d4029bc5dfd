# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Preparing real data
#
# What has to happen to the files that two surveys publish before a network may see them, and how do
# you know that nothing went wrong on the way?
#
# **What you will learn**
#
# - what is inside an SDSS frame and a CFHTLS tile, and how both become nanomaggies per pixel;
# - how to cut, turn and match stamps, and to keep count of what is lost;
# - why a bad row is flagged and kept, never dropped;
# - how a sample is split on the sky and stored;
# - stretching, normalising and regridding, each with its inverse.
#
# **Prerequisites:** the chapter on [the two surveys](01_two_surveys.py). About 20 minutes.
#
# No survey data come with this book. The chapter therefore publishes a small survey of its own:
# simulated galaxies, written to disk in the formats of SDSS and CFHTLS, both of them FITS, astronomy's
# file of images with a header that describes them. The code that reads them is the code that reads
# real files, and since we know what was written, we can check every step against the truth.

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
# ## Two surveys on disk
#
# Files of the two surveys differ in every way that matters. An SDSS *frame* is in nanomaggies
# already and lies at any angle to north, often on its side; a CFHTLS *tile* is upright, in counts
# with a zero point of 30 (so that one count is a thousandth of a nanomaggy), in pixels half as
# large.

# %%
files = paths.Results(results, profile)
folder = files.data("real").with_name("published")
truth = simulate.pairs(n_galaxies, seed=seed)
published = write_mock(folder, truth, seed=seed)
for name, written in published.items():
    print(f"{name}:", *(path.name for path in written))

# %% [markdown]
# `read_plane` finds unit and zero point in the header, converts to nanomaggies, reads the coordinates,
# and marks saturated pixels and those without data. What a header claims is compared with what the
# pixels say: the sky noise below, in nanomaggies per pixel, is measured, and stands beside the
# survey's usual value. It comes out high, at worst {glue:text}`real_noise_worst:.2f` times, as it must
# where galaxies cover much of a small field.

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

# %% mystnb={"figure": {"caption": "The same square of sky in the r band, as its pixels lie in the file of each survey. North is to the right in the SDSS frame and up in the CFHTLS tile. Where a galaxy ends in a straight edge, its simulated stamp ended.", "name": "fig-real-fields"}, "image": {"alt": "Two grey images of a grid of galaxies, one turned by a quarter with respect to the other."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.3))
for ax, (name, layers) in zip(axes, planes.items(), strict=True):
    plane = layers[BANDS.index("r")]
    ax.imshow(np.arcsinh(plane.image / plane.noise), cmap="Greys", vmin=-1, vmax=6)
    ax.set(title=name, xlabel="x [pixel]", ylabel="y [pixel]")
    ax.grid(False)
plt.show()

# %% [markdown]
# ## A catalogue with the usual faults
#
# Catalogues hold galaxies without a redshift, absurd redshifts, positions that no image covers, and
# objects listed twice. We add one of each, in this order. `tidy` gives the columns their common
# names, whatever they were called, and writes what is wrong with a row into its `flag`. The row
# stays. (That the third position is off the images, only the images can tell.)

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
# Every stamp must show north up and east left, or a network would have to learn the surveys'
# scanning patterns. There are two ways. *Nearest*: cut at the nearest pixel, then turn by quarter
# turns and mirror. Every pixel stays what it was, but the galaxy sits up to half a pixel off the
# centre along each axis, and north up to 45 degrees off the vertical, as the columns `offset` and
# `rotation` say band by band (in real SDSS fields, every band has a pixel grid of its own).
# *Aligned*: resample onto a grid that is centred and upright. Light is conserved, yet each new
# pixel blends its neighbours: noise is smoothed and becomes correlated.

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
# Cut at the nearest pixel, the {glue:text}`real_n` galaxies are found exactly as they were written:
# the largest difference of any SDSS pixel is {glue:text}`real_cut_error:.1g` nanomaggies. They lie
# up to {glue:text}`real_offset:.2f` arcsec off the middle of their stamps. Aligning them leaves
# only {glue:text}`real_smoothing:.2f` of the noise per pixel: a reminder that resampled images are
# smoother than the survey they come from, and that a translator trained on them learns that too.

# %% mystnb={"figure": {"caption": "Five of the galaxies, cut from the files of both surveys, and from SDSS once more after alignment.", "name": "fig-real-stamps"}, "image": {"alt": "Grid of colour galaxy stamps in three rows."}} tags=["hide-input"]
shown = np.argsort(-truth.source[:, 2].sum((1, 2)))[:5]
fig = plotting.stamps(
    [nearest["SDSS"].images[shown], aligned.images[shown], nearest["CFHTLS"].images[shown]],
    ["SDSS", "SDSS\naligned", "CFHTLS"],
    [f"z = {z:.2f}" for z in truth.redshift[shown]],
)
plt.show()

# %% [markdown]
# ## Matching the surveys
#
# Two catalogues never list the same objects at the same places. We give the CFHTLS positions an
# error of a tenth of an arcsecond, drop the first galaxy, and list the last one twice. A source is
# *matched* if it has one counterpart within the radius, *ambiguous* if there is a choice (the
# nearest is taken, and the row flagged), and *lost* if there is none (its target is NaN, and the
# row flagged). The strays that we put into the catalogue are lost as well, and both rows of the
# duplicate claim the same target. The counts are part of the result.

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
# A selection is now something we make and can count. Here it is the rows without any flag.

# %%
usable = flags.good(matched.catalogue)
glue("real_rows", len(usable), display=False)
glue("real_usable", int(usable.sum()), display=False)

# %% [markdown]
# ## Galactic dust
#
# The Milky Way reddens every galaxy behind it. The extinction in a band, in magnitudes, is
# $A = R\,E(B-V)$, with $E(B-V)$ from the map of {cite:t}`schlegel1998` and $R$ per band below: for
# SDSS that of {cite:t}`schlafly2011`, for CFHTLS interpolated to its filters. `deredden`
# undoes it, in images and noise, if the catalogue has a column `ebv`. Do it for both surveys or for
# neither: their filters differ, so the dimming does too.

# %%
dust = Table([BANDS], names=["band"])
for survey in both.values():
    dust[survey.name] = extinction_per_ebv(survey)
dust.to_pandas().style.format(precision=3).hide()

# %% [markdown]
# ## Splits, and one file for everything
#
# Stamps of neighbours overlap, so a random split would leak training pixels into the test set.
# `splits.by_sky` joins neighbours into groups, and gives whole cells of the sky to one split. Our
# survey is so small that we take tiny cells; on a real one the defaults of about a degree do.

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
# Images are rounded to a power of two between a sixteenth and an eighth of the sky noise. The
# rounding error is uniform, so its rms should be at most $\sigma/(8\sqrt{12}) = 0.036\,\sigma$.

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
# Measured: {glue:text}`real_rounding:.4f`, in a file {glue:text}`real_ratio:.1f` times smaller than
# plain numbers. `data.load(path, rows)` reads the rows that are asked for and no others, so a sample may
# be far larger than the memory. Without galtools, h5py alone reads the images:
#
# ```python
# with h5py.File("real.h5") as file:
#     images = file["target/images"][:]  # nanomaggies per pixel
#     noise, scale = file["target/noise"][:], file["target"].attrs["pixel_scale"]
# ```
#
# ## What a broken file does
#
# Downloads break, disks fill. A damaged file must neither crash the run hours later nor slip
# through. Here is a frame cut short, and a file that pretends to be one:

# %%
broken = folder / "broken.fits"
for content in (published["SDSS"][0].read_bytes()[:40_000], b"<html>404 Not Found</html>" * 200):
    broken.write_bytes(content)
    try:
        read_fits(broken)
    except GaltoolsError as refusal:
        print(fill(refusal.args[0].replace(str(folder), "..."), 90))

# %% [markdown]
# ## Stretching and normalising
#
# From the noise to the core of a bright galaxy pixels span three decades in SDSS and four in CFHTLS. A
# network sees $y = f(x/b)/s$ instead: $f$ is linear where the noise is and compresses what is bright,
# the softening $b$ is about the sky noise of the band, and $s$ makes the mean square of $y$ one over
# the training set. There are three to choose from,
#
# $$ f_\mathrm{sqrt} = \mathrm{sign}(u)\big(\sqrt{1 + |u|} - 1\big), \quad
#    f_\mathrm{log} = \mathrm{sign}(u) \ln(1 + |u|), \quad
#    f_\mathrm{asinh} = \operatorname{arsinh} u . $$
#
# All can be inverted, so that what a network returns can be turned back into nanomaggies. Training
# images alone may set $s$: test images must not leak into it.

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

# %% mystnb={"figure": {"caption": "Left: the three stretches of the r band, each with its own s. Right: the distribution of stretched pixels of the training set, in the same styles. The square root leaves bright pixels the farthest apart, asinh the closest.", "name": "fig-real-stretch"}, "image": {"alt": "Left, three curves that are linear near zero and flatten. Right, three histograms with a peak at zero and a tail to the right."}} tags=["hide-input"]
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
# Going there and back loses at most {glue:text}`real_stretch_loss:.0e` of the brightest pixel, the
# rounding of single precision.
#
# ## Regridding
#
# To compare a CFHTLS stamp with an SDSS one pixel by pixel, or to train on small images, we bring
# its $136\times136$ pixels to the $64\times64$ of SDSS. Each pixel's light is shared out by overlap
# in area, $y = W x W^\mathsf{T}$: no light is lost. Detail is, so there are many images that become
# the same coarse one. The pseudo-inverse of $W$ returns the one of least power among them.

# %%
fine = np.float64(truth.target[shown])
W = overlap_matrix(CFHTLS.stamp, CFHTLS.pixel_scale, SDSS.stamp, SDSS.pixel_scale)
coarse = W @ fine @ W.T
undo = np.linalg.pinv(W)
back = undo @ coarse @ undo.T
again = W @ back @ W.T

# %% tags=["hide-input"]
kept = coarse.sum((2, 3))[:, 2] / fine.sum((2, 3))[:, 2]
variances = (W**2).sum(axis=1)  # of a row of pixels of white noise, on either side
growth = float(np.sqrt(np.mean(np.outer(variances, variances))))
glue("real_kept", float(np.abs(kept - 1).max()), display=False)
glue("real_again", float(np.abs(again - coarse).max() / coarse.max()), display=False)
lost = np.sqrt(np.mean((back - fine)[:, 2] ** 2, axis=(1, 2))) / CFHTLS.sky_noise[2]
glue("real_lost", float(np.median(lost)), display=False)
glue("real_growth", growth, display=False)
glue("real_area", (SDSS.pixel_scale / CFHTLS.pixel_scale), display=False)

# %% mystnb={"figure": {"caption": "The middle 12 arcsec of a CFHTLS stamp in r (logarithmic grey scale of surface brightness), on the pixels of SDSS, and back: what the coarse pixels could not hold does not return.", "name": "fig-real-regrid"}, "image": {"alt": "Three grey images of a galaxy: sharp, coarse, and fine pixels again but blurred."}} tags=["hide-input"]
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
# The light within the coarse stamp differs from that of the fine one by at most
# {glue:text}`real_kept:.1%`: it is the strip of .04 arcsec on each side by which the fine stamp is
# wider. Noise per pixel grows {glue:text}`real_growth:.2f` times, less than the
# {glue:text}`real_area:.2f` of the pixels' sides because neighbours now share pixels. Back on the
# fine grid, the image misses the first one by {glue:text}`real_lost:.1f` times the sky noise (root mean
# square in r, median galaxy), noise and detail that are gone for good; regridded once more, the coarse
# image is met to {glue:text}`real_again:.0e` of its peak.
#
# ## Your own data, and the archives'
#
# The same functions read frames, tiles, coadds, folders of cutouts and arrays of other projects and
# surveys, and older *fpC* images of SDSS (with their *tsField*). The package knows the facts of SDSS,
# CFHTLS, KiDS, DES, Pan-STARRS1, HSC, the Legacy Surveys and Euclid VIS. Another survey is a table of
# numbers in a TOML file (`load_surveys`), or a few lines:
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
# Where there is a network, one command per survey fetches the real thing. Transfers are throttled,
# tried again where they broke, checked, and never seen half done:
#
# ```bash
# pip install '.[download]'
# galtools download sdss-catalogue my_data -n 200 --ra 214 216 --dec 52 54
# galtools download sdss my_data      # frames, about 15 MB per field in five bands
# galtools download cfhtls my_data    # cutouts of CFHTLS-Wide from the CADC
# ```
#
# From there to one file is what this chapter did. Planes are read one at a time while stamps are
# cut, so a survey need not fit into memory:
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
# These commands have been tested against a server on one machine that
# breaks, truncates and lies; which archive addresses answer today, only the network can tell.
#
# ## What we found
#
# - Of {glue:text}`real_rows` rows that entered, {glue:text}`real_usable` came out without a flag.
#   The others are still there, each with its reason.
# - Cutting at the nearest pixel is exact; aligning keeps the light but only
#   {glue:text}`real_smoothing:.2f` of the noise.
# - Stretches and units invert to rounding. Regridding keeps the light, not the detail.
# - Rounding adds {glue:text}`real_rounding:.3f` of the noise, and makes files
#   {glue:text}`real_ratio:.1f` times smaller.
#
# ## Exercises
#
# 1. What fraction of the sky noise does alignment keep if the object sits exactly on a corner of
#    the frame's pixels? And on average, if objects sit anywhere?
# 2. Write a stamp whose bands are in the order z, i, r, g, u, and read it with `read_arrays`.
#
# ```{dropdown} Solutions
# 1. All of it: the new grid falls on the old one, every weight is one, and nothing is blended. In
#    the worst case, half a pixel off in both directions, every new pixel is the mean of four, and
#    half the noise is left. Off by a share $t$ of a pixel, the variance shrinks by
#    $t^2 + (1-t)^2$ along each axis, on average over $t$ by 2/3; for both axes by 4/9, of which
#    the root is 2/3.
# 2. `np.savez("a.npz", data=truth.source[:, ::-1])` is refused by `read_arrays("a.npz", SDSS)`: what stands
#    in the place of z has a quarter of the noise that SDSS has there. With `bands="zirgu"` as another
#    array in the file it is read in the right order.
# ```
#
# **What's next:** a translator between the two sides of such files:
# [the residual network](11_residual.py).
