# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Two surveys, the same galaxies
#
# How different does one and the same galaxy look in two surveys, and how much of that difference
# could a translation ever undo?
#
# The Sloan Digital Sky Survey (SDSS) {cite}`york2000` looked at a third of the sky for a minute per
# band with a 2.5 m telescope. The Canada-France-Hawaii Telescope Legacy Survey (CFHTLS)
# {cite}`gwyn2012` looked at a small part of it for half an hour to two hours per band with a 3.6 m
# telescope on a better site. Where both looked, every galaxy has two portraits, and a network can try
# to learn to paint the second from the first.
#
# **What you will learn**
#
# - which four things change between the portraits: pixel, seeing, depth and filter;
# - how large each change is, in numbers measured here;
# - why even a perfect translation cannot be exact: the same survey, looking twice, disagrees with
#   itself;
# - which files all later chapters read.
#
# **Prerequisites:** what a magnitude is. About 10 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue
from sedpy.observate import load_filters

from companion import band_seeing, paths, plotting, survey_panels
from galtools import artefacts, data, simulate
from galtools.fidelity import intervals
from galtools.surveys import BANDS, CFHTLS, SDSS

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
n_train: int = 3000  # galaxies in the training split
n_valid: int = 300  # galaxies in the validation split
n_test: int = 600  # galaxies in the test split
grid: str = "sdss"  # pixels of CFHTLS: native (136 x 136), or those of SDSS (64 x 64)
workers: int = 2  # processes that simulate
n_seeing: int = 400  # galaxies observed twice under seeing of more or less scatter

# %% [markdown]
# ## The four samples
#
# No survey data can be shipped with a book, so the default galaxies are simulated; the next
# chapter opens the simulation and tests it, and [the chapter on real data](03_real_data.ipynb) puts
# real files in its place. A simulation has one great advantage: the same galaxy can be observed
# again.
#
# Galaxies have numbers. The splits take consecutive ranges of them, so that no galaxy is in two
# splits; `again` holds the galaxies of `test`, observed a second time, with fresh noise, seeing,
# position between the pixels, and calibration.

# %%
files = paths.Results(results, profile)
splits = {
    "train": {"n": n_train, "start": 0},
    "valid": {"n": n_valid, "start": n_train},
    "test": {"n": n_test, "start": n_train + n_valid},
    "again": {"n": n_test, "start": n_train + n_valid, "observation": 1},
}


# %% [markdown]
# Each file is made once, and made anew only if its parameters or the code behind it change. The
# pairs stream through the memory in small batches, so that a sample may be larger than it.


# %%
def make_split(name: str, options: dict) -> dict:
    """Simulate one split into its file and return the manifest."""
    split = "test" if name == "again" else name
    return artefacts.make(
        paths.keep_seed(files.data(name), seed),
        lambda path: data.save(
            simulate.stream(**options, grid=grid, seed=seed, workers=workers),
            path,
            split=split,
            provenance={"simulation": {**options, "grid": grid}, "seed": seed},
        ),
        params={**options, "grid": grid},
        seed=seed,
        modules=["galtools.simulate", "galtools.data"],
        ignore=["workers"],
    )


manifests = {name: make_split(name, options) for name, options in splits.items()}

# %% tags=["hide-input"]
table = pd.DataFrame(
    {
        "galaxies": {name: options["n"] for name, options in splits.items()},
        "megabytes": {name: m["bytes"] / 1e6 for name, m in manifests.items()},
    }
)
glue("n_train", n_train, display=False)
glue("n_test", n_test, display=False)
table.round(1)

# %% [markdown]
# These four files, `train.h5` to `again.h5` in the folder `data` of the results, are all that the later
# chapters read.
#
# ## The same sky, twice
#
# Each column of {numref}`fig-pairs` is one galaxy. Both pictures show the same middle of a stamp on
# the same brightness scale {cite}`lupton2004`; nothing but the survey differs.

# %% mystnb={"figure": {"caption": "Six test galaxies as SDSS (top) and CFHTLS (bottom) see them; i, r and g as red, green and blue. In the lower row arms part, nuclei get points and clumps come out of a haze.", "name": "fig-pairs"}, "image": {"alt": "Two rows of six galaxy pictures: the upper row is blurred and grainy, the lower one sharp and smooth."}} tags=["hide-input"]
test = data.load(files.data("test"))
again = data.load(files.data("again"))
size, look = test.catalogue["half_light_radius"], np.asarray(test.catalogue["morphology"])
fits = (size > 1.5) & (size < 5.0)
wanted = ["spiral", "spiral", "merger", "elliptical", "irregular", "lenticular"]
rank = np.argsort(-size * fits)
order = []
for kind in wanted:  # the largest that fits the stamp; where a kind is missing, any other
    left = [k for k in rank if k not in order]
    order.append(next((k for k in left if look[k] == kind), left[0]))
titles = [f"{look[k]}\nz = {test.redshift[k]:.2f}" for k in order]
plotting.stamps([test.source[order], test.target[order]], ["SDSS", "CFHTLS"], titles, fraction=0.75)
plt.show()

# %% [markdown]
# ## Pixel and seeing
#
# A star is a point; the air spreads it into a disc whose full width at half maximum is *the
# seeing*. An SDSS pixel is 0.396 arcsec wide, a CFHTLS pixel 0.187. The catalogue of a simulated
# sample tells under which seeing each galaxy was observed.


# %%
def seeing(side: str) -> np.ndarray:
    """FWHM in arcsec (n, 5) of one side of the test sample."""
    return np.stack([test.catalogue[f"{side}_fwhm_{band}"] for band in BANDS], axis=1)


source_seeing, target_seeing = seeing("source"), seeing("target")
seeing_ratio = np.median(source_seeing / target_seeing)
glue("seeing_ratio", float(seeing_ratio), display=False)


# %% mystnb={"figure": {"caption": "Seeing of the test galaxies in each band: median, and the range of the central 90 %.", "name": "fig-seeing"}, "image": {"alt": "Seeing against band for two surveys; CFHTLS lies well below SDSS in every band."}} tags=["hide-input"]
def per_band(values: dict, central: float, label: str):
    """Draw medians and central percentiles of numbers (n, 5) by survey."""
    _, ax = plt.subplots()
    for shift, (name, x) in zip((-0.08, 0.08), values.items(), strict=True):
        low, median, high = np.percentile(x, [50 - central / 2, 50, 50 + central / 2], axis=0)
        style = {"label": name, "n": len(x), "color": plotting.SURVEY_COLOUR[name]}
        plotting.interval(ax, np.arange(5) + shift, median, low, high, **style)
    ax.set(xticks=range(5), xticklabels=BANDS, xlabel="band", ylabel=label)
    ax.legend()
    return ax


per_band({"SDSS": source_seeing, "CFHTLS": target_seeing}, 90, "seeing FWHM [arcsec]").set_ylim(0)
plt.show()

# %% [markdown]
# The five bands of SDSS are exposed within five minutes, so they share most of the seeing: a scatter of
# 14 %, from the quartiles of its fields. The width falls with wavelength as $\lambda^{-0.3}$
# {cite}`xin2018`; as the exponent varies, each band is assumed to have 4 % of its own. CFHTLS took its
# bands in different nights: all of its scatter, assumed to be 12 to 17 %, is each band's own.
# A sharper band has a higher peak, so that seeing changes the *colour* of a peak, and with it the
# redshift that it suggests. {numref}`fig-band-seeing` observes {glue:text}`n_seeing` galaxies twice,
# with no scatter from band to band, with 2 %, with the assumed scatter, and with twice that.


# %%
seeing_file = files.table("band_seeing")
artefacts.make(
    seeing_file,
    lambda path: band_seeing.write_study(path, n_seeing, seed, workers),
    params={"galaxies": n_seeing},
    seed=seed,
    modules=["companion.band_seeing"],
)
effect = pd.read_csv(seeing_file).set_index(["survey", "quantity", "scatter"])["value"]
glue("n_seeing", n_seeing, display=False)
for case in ("2 %", "assumed"):
    for key, quantity in (("colour", "peak g - r"), ("redshift", "redshift")):
        value = float(effect["CFHTLS", quantity, case])
        glue(f"seeing_{key}_{case.split()[0]}", value, display=False)

# %% mystnb={"figure": {"caption": "What scatter of the seeing from band to band does to the central 3 x 3 pixels: scatter of their g - r between two observations (left), and of the redshift that nearest neighbours read from the five of them (right), with 95 % intervals.", "name": "fig-band-seeing"}, "image": {"alt": "Two panels with four points per survey: the scatter of colour and redshift against the scatter of the seeing."}} tags=["hide-input"]
survey_panels.band_seeing(pd.read_csv(seeing_file), n_seeing)
plt.show()

# %% [markdown]
# With the assumed scatter the peak g − r of CFHTLS changes by {glue:text}`seeing_colour_assumed:.3f`
# mag from one observation to the next, against {glue:text}`seeing_colour_2:.3f` mag at 2 %; redshifts
# of its peaks scatter by {glue:text}`seeing_redshift_assumed:.4f`, against
# {glue:text}`seeing_redshift_2:.4f`.
#
# SDSS is typically {glue:text}`seeing_ratio:.1f` times more blurred. In frequency, blur is a
# product: a wave of light on the sky, so many bright and dark stripes per arcsecond, comes through
# multiplied by the *transfer function* of seeing and pixel ({numref}`fig-transfer`).
# For turbulent air {cite}`fried1966` and pixels of side $p$ it is, at $f$ waves per arcsec,
#
# $$ T(f) = e^{-3.44\,(f\,\mathrm{FWHM} / 0.976)^{5/3}}\; \mathrm{sinc}(f p) . $$
#
# At the finest waves the air matters more than the pixel: its exponent grows with the power 5/3 of the
# frequency.


# %%
def transfer(waves, survey) -> np.ndarray:
    """Transfer function of median r seeing and pixel along a row, at waves per arcsec."""
    air = np.exp(-3.44 * (waves * survey.psf_fwhm[2] / 0.976) ** (5 / 3))
    return air * np.sinc(waves * survey.pixel_scale)


waves = np.linspace(0, 3, 3001)
edge = waves[np.argmax(transfer(waves, SDSS) < 1e-3)]
sdss, cfhtls = (transfer(np.array([edge]), survey)[0] for survey in (SDSS, CFHTLS))
glue("lost_size", float(1 / edge), display=False)
glue("lost_kept", float(cfhtls / sdss), display=False)

# %% mystnb={"figure": {"caption": "What is left of a wave on the sky after seeing (r band, median) and pixel, against the number of its crests per arcsecond. What falls below a thousandth (dotted) is drowned by the noise of all but the brightest galaxies.", "name": "fig-transfer"}, "image": {"alt": "Two falling curves on a logarithmic axis; that of SDSS falls to a thousandth long before that of CFHTLS."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3))
for survey, style in ((SDSS, "--"), (CFHTLS, "-")):
    colour = plotting.SURVEY_COLOUR[survey.name]
    ax.plot(waves, transfer(waves, survey), style, label=survey.name, color=colour)
ax.axhline(1e-3, color="black", linestyle=":", linewidth=1)
ax.set(yscale="log", ylim=(1e-5, 1.5), xlim=(0, 2))
ax.set(xlabel="waves per arcsec", ylabel="transfer function")
ax.legend()
plt.show()

# %% [markdown]
# Of stripes {glue:text}`lost_size:.1f` arcsec apart SDSS keeps a thousandth, which noise drowns, and
# CFHTLS {glue:text}`lost_kept:.0f` times as much. A network cannot read in the first what is in the
# second. It can only *guess* it, from what galaxies usually look like.
#
# ## Depth
#
# The noise of a blank pixel, in nanomaggies (a flux: one nanomaggy is 22.5 mag), says how deep a
# survey is. To compare unequal pixels we divide by their side: the variance of the sky goes with
# the area.

# %%
scale = {
    "SDSS": SDSS.pixel_scale,
    "CFHTLS": test.target_set.pixel_scale,
}
noise = {
    name: np.median(test.noise[:, k], axis=0) / scale[name] for k, name in enumerate(scale)
}  # nanomaggies per arcsec
depth_ratio = noise["SDSS"] / noise["CFHTLS"]
glue("depth_r", float(depth_ratio[2]), display=False)
glue("depth_magnitudes", float(2.5 * np.log10(depth_ratio[2])), display=False)


# %% [markdown]
# What matters for a galaxy is its signal to noise. With matched weights it is
# $S/N = \sqrt{\sum_p f_p^2 / \sigma^2}$ over the pixels $p$ of flux $f_p$, here those of the central
# 8 arcsec, with $\sigma$ the noise of the sky. We estimate the sum from two observations of the same
# galaxy, `test` and `again`: their product has the signal squared as its mean, and no bias by noise.


# %%
def signal_to_noise(first, second, sigma) -> np.ndarray:
    """S/N (n, 5) within the central 8 arcsec, from two observations of the same galaxies."""
    side = first.shape[-1]
    cut = slice(side // 2 - side // 6, side // 2 + side // 6)
    power = np.sum(first[..., cut, cut] * second[..., cut, cut], axis=(2, 3))
    return np.sqrt(np.maximum(power, 0)) / sigma


snr = {
    "SDSS": signal_to_noise(test.source, again.source, test.noise[:, 0]),
    "CFHTLS": signal_to_noise(test.target, again.target, test.noise[:, 1]),
}
glue("snr_u", float(np.median(snr["SDSS"][:, 0])), display=False)
glue("snr_r", float(np.median(snr["SDSS"][:, 2])), display=False)
gain = np.median(snr["CFHTLS"], axis=0) / np.median(snr["SDSS"], axis=0)
for survey, side in ((SDSS, "source"), (CFHTLS, "target")):
    light = 10 ** (0.4 * (22.5 - np.asarray(test.catalogue[f"{side}_r"])))  # nanomaggies
    photons = np.median(np.sqrt(light * survey.electrons_per_nanomaggy[2]))
    glue(f"snr_photons_{side}", float(photons), display=False)

# %% mystnb={"figure": {"caption": "Signal to noise of the test galaxies per band and survey (sky noise only): median, and the range of the central 68 %.", "name": "fig-depth"}, "image": {"alt": "Signal to noise on a logarithmic axis against band. SDSS is lowest in u and z; CFHTLS lies more than ten times higher."}} tags=["hide-input"]
per_band(snr, 68, "signal to noise").set_yscale("log")
plt.show()

# %% [markdown]
# Per unit of sky CFHTLS is {glue:text}`depth_r:.0f` times less noisy in r, or
# {glue:text}`depth_magnitudes:.1f` magnitudes deeper. In SDSS the median galaxy has a signal to
# noise of {glue:text}`snr_r:.0f` in r, yet only {glue:text}`snr_u:.0f` in u. The u band, where
# young stars and the 4000 Å break write the redshift, is where a translation has to invent most.
# (The photons of the galaxy itself make noise, too, which is left out here: by themselves they would
# hold the median galaxy at {glue:text}`snr_photons_source:.0f` in r of SDSS and at
# {glue:text}`snr_photons_target:.0f` in r of CFHTLS.)
#
# ## Filter
#
# Both surveys name their bands u, g, r, i, z, but a name is not a curve. The u* filter of CFHTLS
# lies redward of the SDSS u, so that the same galaxy has another magnitude in it: the translation
# must learn a colour term, and that term changes with redshift.

# %% mystnb={"figure": {"caption": "Transmission of the filters, each scaled to its maximum: SDSS filled, CFHTLS (first generation of MegaCam) as lines.", "name": "fig-filters"}, "image": {"alt": "Five pairs of filter curves between 3000 and 11000 Angstrom; the u filters differ most."}} tags=["hide-input"]
fig, ax = plt.subplots()
for survey, draw in ((SDSS, "fill_between"), (CFHTLS, "plot")):
    for band, curve in zip(BANDS, load_filters(list(survey.filters)), strict=True):
        style = {"alpha": 0.35, "linewidth": 0} if survey is SDSS else {"linewidth": 1.8}
        height = curve.transmission / curve.transmission.max()
        getattr(ax, draw)(curve.wavelength, height, color=plotting.BAND_COLOUR[band], **style)
        if survey is SDSS:
            ax.text(curve.wave_pivot, 1.06, band, ha="center")
ax.set(xlim=(2900, 11200), ylim=(0, 1.15), xlabel="wavelength [Å]", ylabel="transmission / maximum")
plt.show()

# %%
term = {
    band: np.asarray(test.catalogue[f"source_{band}"] - test.catalogue[f"target_{band}"])
    for band in BANDS
}
glue("term_u", float(np.median(term["u"])), display=False)
glue("term_u_scatter", float(np.std(term["u"])), display=False)
glue("term_r", float(np.median(term["r"])), display=False)

# %% mystnb={"figure": {"caption": "True SDSS minus CFHTLS magnitude of the test galaxies in u and g against redshift.", "name": "fig-colour-term"}, "image": {"alt": "Magnitude difference against redshift: points of the u band scatter widely, those of g lie lower and closer together, and both drift with redshift."}} tags=["hide-input"]
fig, ax = plt.subplots()
for band, marker in (("u", "o"), ("g", "^")):
    label = plotting.with_n(band, len(test))
    style = {"s": 10, "alpha": 0.6, "marker": marker, "color": plotting.BAND_COLOUR[band]}
    ax.scatter(test.redshift, term[band], label=label, **style)
ax.axhline(0, color="black", linewidth=0.8)
ax.set(xlabel="redshift", ylabel="SDSS − CFHTLS [mag]")
ax.legend(markerscale=2)
plt.show()

# %% [markdown]
# The median galaxy is {glue:text}`term_u:z.2f` mag brighter in u* than in u, with a spread of
# {glue:text}`term_u_scatter:.2f` mag from galaxy to galaxy; in r the surveys differ by
# {glue:text}`term_r:z.2f` mag. A translator that knows only one colour term cannot be right for all.
#
# ## The same survey, twice
#
# Look at the same galaxy again *with CFHTLS*: the noise is new, the seeing is not quite the same,
# the galaxy lies elsewhere between the pixels. None of this is written in the SDSS image, so no
# translation can foresee it. How far apart are the two, in units of the noise $\sigma$ that both skies
# together give to their difference?

# %%
difference = (test.target - again.target) / np.hypot(test.noise, again.noise)[:, 1, :, None, None]
side = test.target.shape[-1]
core = slice(side // 2 - side // 16, side // 2 + side // 16)
edge = slice(0, side // 8)
spread = {
    "centre": np.sqrt(np.mean(difference[..., core, core] ** 2, axis=(2, 3))),
    "edge": np.sqrt(np.mean(difference[..., edge, edge] ** 2, axis=(2, 3))),
}
glue("again_centre", float(np.median(spread["centre"][:, 2])), display=False)
glue("again_edge", float(np.median(spread["edge"][:, 2])), display=False)
light = test.target[:, 2, core, core].mean(axis=(1, 2)) / CFHTLS.electrons_per_nanomaggy[2]
photons = np.sqrt(1 + np.maximum(light, 0) / test.noise[:, 1, 2] ** 2)
glue("again_photons", float(np.median(photons)), display=False)

# %% mystnb={"figure": {"caption": "Difference of two CFHTLS observations of the same galaxy in r, for three of the galaxies above, in units of the noise that both skies together give to it. Pairs of red and blue are shifts, rings are changes of the seeing.", "name": "fig-again"}, "image": {"alt": "Three maps of differences, white noise at the edges and strong dipoles and rings at the galaxy centres."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.5))
sigma = np.hypot(test.noise, again.noise)[:, 1, 2]
for ax, k in zip(axes, order[:3], strict=True):
    picture = plotting.residual_map(test.target[k, 2], again.target[k, 2], sigma[k], ax, limit=10)
    ax.set_title(f"z = {test.redshift[k]:.2f}")
fig.colorbar(picture, ax=axes, extend="both", shrink=0.8, label="difference / σ")
plt.show()


# %% tags=["remove-cell"]
def over(x):
    """Median of the first over that of the second."""
    return intervals.median(x[0]) / intervals.median(x[1])


noise_r = np.stack([test.noise[:, k, 2] / scale[name] for k, name in enumerate(scale)])
sums = {
    "sharper": (lambda x: np.median(x, axis=(0, -1)), (source_seeing / target_seeing).T),
    "deeper": (lambda x: 2.5 * np.log10(over(x)), noise_r),
    "snr": (intervals.median, snr["SDSS"][:, 0]),
    "gain": (over, np.stack([snr[name][:, 0] for name in ("CFHTLS", "SDSS")])),
    "term": (intervals.median, term["u"]),
    "again": (intervals.median, spread["centre"][:, 2]),
}
for name, (statistic, values) in sums.items():
    found = intervals.bootstrap(statistic, values, seed=seed)
    glue(f"surveys_{name}", str(found), display=False)

# %% [markdown]
# At the edges of the stamps the difference is what noise makes it, {glue:text}`again_edge:.1f`
# sigma. In the central 3 arcsec it is {glue:text}`again_centre:.0f` sigma (root mean square, in the
# median galaxy): a shift of a fraction of a pixel, or a little more seeing, changes a bright nucleus by
# many times the noise. The photons of the galaxy itself account for {glue:text}`again_photons:.1f` of
# these sigmas. This is one part of what the paper calls
# the many-to-many nature of the problem, and the reason why `again` exists.
#
# In brackets behind a number stands, here and in all chapters, an interval of 95 %: the galaxies of the
# sample are drawn anew, with replacement, some hundred times, and the number is computed each time. It
# says how far the number would move if other galaxies of the same kind had been observed. It leaves out
# what galaxies have in common: all those of a field (about 90 in CFHTLS, 3 in SDSS) share the error of the
# zero point, 1 to 2 % {cite}`hudelot2012,padmanabhan2008`.
#
# ## What we found
#
# For the median of {glue:text}`n_test` galaxies, with intervals:
#
# - CFHTLS is {glue:text}`surveys_sharper` times sharper and {glue:text}`surveys_deeper` mag deeper in r
#   than SDSS.
# - The signal to noise in u is {glue:text}`surveys_snr` in SDSS; in CFHTLS it is
#   {glue:text}`surveys_gain` times that.
# - The filters differ: {glue:text}`surveys_term` mag between u and u*.
# - Two looks of CFHTLS at the same galaxy differ by {glue:text}`surveys_again` sigma in its centre: to
#   agree with one of them pixel by pixel is not a fair aim there.
#
# ## Exercises
#
# 1. In which band is the gain of CFHTLS in signal to noise smallest, and why there?
#
# ```{dropdown} Solution
# In r. `gain` holds the gain per band, `depth_ratio` what the noise of the sky alone would give: in r
# CFHTLS exposed shortest and SDSS is at its best, so there the ratio is smallest. The better seeing adds
# to it, by a factor that is much the same in all bands; in u there is the wider filter as well, which
# makes the galaxy brighter.
# ```
#
# 2. Rerun this chapter with `-p n_train 24 -p n_valid 8 -p n_test 100 -p grid native -p results
#    /tmp/native`. Which of the numbers above depend on the pixel, and which do not?
#
# ```{dropdown} Solution
# Seeing, depth per unit of sky, signal to noise and colour terms do not: they describe the sky and the
# telescope (they differ a little, as these are other and fewer galaxies). The sigmas between
# two looks do: smaller pixels hold less light and relatively more noise.
# ```
#
# **What's next:** [how the simulation is made, and how far it can be trusted](02_simulation.py).
