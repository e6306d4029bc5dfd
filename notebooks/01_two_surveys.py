# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Two surveys, the same galaxies
#
# In the median of {glue:text}`n_test` simulated galaxies, CFHTLS is {glue:text}`seeing_ratio:.1f` times
# sharper and {glue:text}`depth_magnitudes:.1f` mag deeper in r than SDSS. Two CFHTLS observations of the
# same galaxy differ by {glue:text}`again_centre:.0f` times the sky noise in the central 3 arcsec, so that
# no translation can reproduce one of them exactly.
#
# SDSS {cite}`york2000` observed a third of the sky for a minute per band with a 2.5 m telescope, the
# Canada-France-Hawaii Telescope Legacy Survey (CFHTLS) {cite}`gwyn2012` a small part of it for half an hour to
# two hours per band with a 3.6 m telescope at a better site.
#
# **What you will learn**
#
# - how much the surveys differ in pixel scale, seeing, depth and filters;
# - why the scatter between repeat observations limits any translation.
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
# The galaxies are [simulated](02_simulation.py), which allows repeat observations; [real
# data](03_real_data.ipynb) can replace them. No galaxy is in two splits. The sample `again` contains repeat
# observations of the galaxies of `test`, with independent noise, seeing, subpixel position and calibration
# errors. Each file is made once and remade only if its parameters or code change.

# %%
files = paths.Results(results, profile)
splits = {
    "train": {"n": n_train, "start": 0},
    "valid": {"n": n_valid, "start": n_train},
    "test": {"n": n_test, "start": n_train + n_valid},
    "again": {"n": n_test, "start": n_train + n_valid, "observation": 1},
}


# %% tags=["hide-input"]
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
# ## Image pairs
#
# Each column of {numref}`fig-pairs` shows the central part of one galaxy's stamp in both surveys, with
# the same brightness scale {cite}`lupton2004`.

# %% mystnb={"figure": {"caption": "Six test galaxies in SDSS (top) and CFHTLS (bottom), with i, r and g as red, green and blue. CFHTLS resolves arms and clumps, and nuclei are sharper.", "name": "fig-pairs"}, "image": {"alt": "Two rows of six galaxy pictures: the upper row is blurred and grainy, the lower one sharp and smooth."}} tags=["leading", "hide-input"]
test = data.load(files.data("test"))
again = data.load(files.data("again"))
size, morphology = test.catalogue["half_light_radius"], np.asarray(test.catalogue["morphology"])
fits = (size > 1.5) & (size < 5.0)
kinds = ["spiral", "spiral", "merger", "elliptical", "irregular", "lenticular"]
rank = np.argsort(-size * fits)
order = []
for kind in kinds:  # the largest that fits the stamp; where a kind is missing, any other
    left = [k for k in rank if k not in order]
    order.append(next((k for k in left if morphology[k] == kind), left[0]))
titles = [f"{morphology[k]}\nz = {test.redshift[k]:.2f}" for k in order]
plotting.stamps([test.source[order], test.target[order]], ["SDSS", "CFHTLS"], titles, fraction=0.75)
plt.show()

# %% [markdown]
# ## Pixel scale and seeing
#
# The *seeing* is the full width at half maximum (FWHM) of the image of a star. Pixels are 0.396 arcsec wide in
# SDSS and 0.187 arcsec in CFHTLS.


# %%
def seeing(side: str) -> np.ndarray:
    """FWHM in arcsec (n, 5) of one side of the test sample."""
    return np.stack([test.catalogue[f"{side}_fwhm_{band}"] for band in BANDS], axis=1)


source_seeing, target_seeing = seeing("source"), seeing("target")
seeing_ratio = np.median(source_seeing / target_seeing)

# %% tags=["remove-cell"]
glue("seeing_ratio", float(seeing_ratio), display=False)


# %% mystnb={"figure": {"caption": "Seeing of the test galaxies in each band: median and central 90 %.", "name": "fig-seeing"}, "image": {"alt": "Seeing against band for two surveys; CFHTLS lies well below SDSS in every band."}} tags=["hide-input"]
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
# SDSS exposes its five bands within five minutes: most of the scatter of its seeing, 14 % from the quartiles of
# its fields, is common to the bands. The FWHM decreases as $\lambda^{-0.3}$ {cite}`xin2018`; since the exponent
# varies, an independent scatter of 4 % per band is assumed. CFHTLS observed its bands in different nights: the
# scatter over its fields, 12 to 17 % {cite}`erben2013`, is independent between bands.
#
# Better seeing raises the peak flux. Differences of seeing between bands therefore change the *colour* of the
# peak and the redshift estimated from it. For {numref}`fig-band-seeing`, {glue:text}`n_seeing` galaxies are
# observed twice, with a scatter between bands of zero, 2 %, the adopted value, and twice this value.


# %% tags=["hide-input"]
seeing_file = files.table("band_seeing")
made = artefacts.make(
    seeing_file,
    lambda path: band_seeing.study(n_seeing, seed, workers).to_csv(path, index=False),
    params={"galaxies": n_seeing},
    seed=seed,
    modules=["companion.band_seeing"],
    ignore=["workers"],
)
effect = pd.read_csv(seeing_file).set_index(["survey", "quantity", "scatter"])["value"]
glue("n_seeing", n_seeing, display=False)
for case in ("2 %", "adopted"):
    for key, quantity in (("colour", "peak g - r"), ("redshift", "redshift")):
        value = float(effect["CFHTLS", quantity, case])
        glue(f"seeing_{key}_{case.split()[0]}", value, display=False)

# %% mystnb={"figure": {"caption": "Effect of seeing scatter between bands on the central 3 × 3 pixels: scatter of their g − r between two observations (left) and of redshifts that a non-linear regression estimates from their five fluxes (right), with 95 % intervals.", "name": "fig-band-seeing"}, "image": {"alt": "Two panels with four points per survey: the scatter of colour and redshift against the scatter of the seeing."}} tags=["hide-input"]
survey_panels.band_seeing(pd.read_csv(seeing_file), n_seeing)
plt.show()

# %% [markdown]
# With the adopted scatter the peak g − r of CFHTLS repeats within {glue:text}`seeing_colour_adopted:.3f`
# mag, against {glue:text}`seeing_colour_2:.3f` mag for a scatter of 2 %.
#
# In Fourier space each spatial frequency of the sky is multiplied by the *transfer function* of seeing
# and pixel ({numref}`fig-transfer`). For turbulent air {cite}`fried1966` and pixels of side $p$ it is, at
# a spatial frequency $f$ in cycles per arcsec,
#
# $$ T(f) = e^{-3.44\,(f\,\mathrm{FWHM} / 0.976)^{5/3}}\; \mathrm{sinc}(f p) . $$


# %%
def transfer(waves, survey) -> np.ndarray:
    """Transfer function of median r seeing and pixel along a row, at waves per arcsec."""
    air = np.exp(-3.44 * (waves * survey.psf_fwhm[2] / 0.976) ** (5 / 3))
    return air * np.sinc(waves * survey.pixel_scale)


waves = np.linspace(0, 3, 3001)
edge = waves[np.argmax(transfer(waves, SDSS) < 1e-3)]
sdss, cfhtls = (transfer(np.array([edge]), survey)[0] for survey in (SDSS, CFHTLS))

# %% tags=["remove-cell"]
glue("lost_size", float(1 / edge), display=False)
glue("lost_kept", float(cfhtls / sdss), display=False)

# %% mystnb={"figure": {"caption": "Transfer function of median r-band seeing and pixel against spatial frequency. Below 1e−3 (dotted) the signal of all but the brightest galaxies is below the noise.", "name": "fig-transfer"}, "image": {"alt": "Two falling curves on a logarithmic axis; that of SDSS reaches 1e−3 at a much lower frequency than that of CFHTLS."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3))
for survey, style in ((SDSS, "--"), (CFHTLS, "-")):
    colour = plotting.SURVEY_COLOUR[survey.name]
    ax.plot(waves, transfer(waves, survey), style, label=survey.name, color=colour)
ax.axhline(1e-3, color="black", linestyle=":", linewidth=1)
ax.set(yscale="log", ylim=(1e-5, 1.5), xlim=(0, 2))
ax.set(xlabel="spatial frequency [cycles / arcsec]", ylabel="transfer function")
ax.legend()
plt.show()

# %% [markdown]
# The transfer function of SDSS falls to 1e−3 at a spatial period of {glue:text}`lost_size:.1f` arcsec,
# where the signal of all but the brightest galaxies is below the noise. That of CFHTLS is
# {glue:text}`lost_kept:.0f` times higher there. A network cannot measure such structure in SDSS images,
# only *predict* it from its training set.
#
# ## Depth
#
# The depth of a survey is set by its sky noise, the standard deviation of pixels without sources, in
# nanomaggies (one is 22.5 mag). We divide by the side of the pixels, since the variance of the sky is
# proportional to their area.

# %%
scale = {
    "SDSS": SDSS.pixel_scale,
    "CFHTLS": test.target_set.pixel_scale,
}
noise = {
    name: np.median(test.noise[:, k], axis=0) / scale[name] for k, name in enumerate(scale)
}  # nanomaggies per arcsec
depth_ratio = noise["SDSS"] / noise["CFHTLS"]

# %% tags=["remove-cell"]
glue("depth_r", float(depth_ratio[2]), display=False)
glue("depth_magnitudes", float(2.5 * np.log10(depth_ratio[2])), display=False)


# %% [markdown]
# The signal-to-noise ratio of a galaxy, with matched weights, is $S/N = \sqrt{\sum_p f_p^2 / \sigma^2}$,
# summed over the pixels $p$ of flux $f_p$ in the central 8 arcsec, where $\sigma$ is the sky noise. We
# estimate $\sum_p f_p^2$ from the product of two observations of the same galaxy, `test` and `again`.


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
    flux = 10 ** (0.4 * (22.5 - np.asarray(test.catalogue[f"{side}_r"])))  # nanomaggies
    photons = np.median(np.sqrt(flux * survey.electrons_per_nanomaggy[2]))
    glue(f"snr_photons_{side}", float(photons), display=False)

# %% mystnb={"figure": {"caption": "Signal-to-noise ratio of the test galaxies per band and survey (sky noise only): median and central 68 %.", "name": "fig-depth"}, "image": {"alt": "Signal-to-noise ratio on a logarithmic axis against band. SDSS is lowest in u and z; CFHTLS lies more than ten times higher."}} tags=["hide-input"]
per_band(snr, 68, "signal-to-noise ratio").set_yscale("log")
plt.show()

# %% [markdown]
# Per unit area of sky, CFHTLS has {glue:text}`depth_r:.0f` times less noise in r. In SDSS the median galaxy has
# a signal-to-noise ratio of {glue:text}`snr_r:.0f` in r, but only {glue:text}`snr_u:.0f` in u. Translations are
# thus poorly constrained in u, which carries redshift information from young stars and the 4000 Å break. Photon
# noise, neglected here, would on its own limit the median ratio in r to {glue:text}`snr_photons_source:.0f` in
# SDSS and {glue:text}`snr_photons_target:.0f` in CFHTLS.
#
# ## Filters
#
# The u* filter of CFHTLS lies redward of the SDSS u filter. A translator must learn this colour term, which
# depends on redshift.

# %% mystnb={"figure": {"caption": "Transmission of the filters, normalized to their maxima: SDSS (filled) and CFHTLS (first-generation MegaCam, lines).", "name": "fig-filters"}, "image": {"alt": "Five pairs of filter curves between 3000 and 11000 Angstrom; the u filters differ most."}} tags=["hide-input"]
fig, ax = plt.subplots()
for survey, method in ((SDSS, "fill_between"), (CFHTLS, "plot")):
    for band, curve in zip(BANDS, load_filters(list(survey.filters)), strict=True):
        style = {"alpha": 0.35, "linewidth": 0} if survey is SDSS else {"linewidth": 1.8}
        height = curve.transmission / curve.transmission.max()
        getattr(ax, method)(curve.wavelength, height, color=plotting.BAND_COLOUR[band], **style)
        if survey is SDSS:
            ax.text(curve.wave_pivot, 1.06, band, ha="center")
ax.set(xlim=(2900, 11200), ylim=(0, 1.15), xlabel="wavelength [Å]", ylabel="transmission / maximum")
plt.show()

# %%
term = {
    band: np.asarray(test.catalogue[f"source_{band}"] - test.catalogue[f"target_{band}"])
    for band in BANDS
}

# %% tags=["remove-cell"]
glue("term_u", float(np.median(term["u"])), display=False)
glue("term_u_scatter", float(np.std(term["u"])), display=False)
glue("term_r", float(np.median(term["r"])), display=False)

# %% mystnb={"figure": {"caption": "True SDSS − CFHTLS magnitude difference of the test galaxies in u and g against redshift.", "name": "fig-colour-term"}, "image": {"alt": "Magnitude difference against redshift: points of the u band scatter widely, those of g lie lower and closer together, and both drift with redshift."}} tags=["hide-input"]
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
# The median galaxy is {glue:text}`term_u:z.2f` mag brighter in u* than in u, with a standard deviation of
# {glue:text}`term_u_scatter:.2f` mag between galaxies; in r the surveys differ by
# {glue:text}`term_r:z.2f` mag. A constant colour term is therefore insufficient in u.
#
# ## Repeat observations
#
# A second CFHTLS observation has independent noise, slightly different seeing and another subpixel position,
# which no translation can predict from an SDSS image. We measure the difference of two observations in units of
# $\sigma$, the quadrature sum of their sky noise.

# %%
difference = (test.target - again.target) / np.hypot(test.noise, again.noise)[:, 1, :, None, None]
side = test.target.shape[-1]
core = slice(side // 2 - side // 16, side // 2 + side // 16)
edge = slice(0, side // 8)
scatter_of = {
    "centre": np.sqrt(np.mean(difference[..., core, core] ** 2, axis=(2, 3))),
    "edge": np.sqrt(np.mean(difference[..., edge, edge] ** 2, axis=(2, 3))),
}
glue("again_centre", float(np.median(scatter_of["centre"][:, 2])), display=False)
glue("again_edge", float(np.median(scatter_of["edge"][:, 2])), display=False)
flux = test.target[:, 2, core, core].mean(axis=(1, 2)) / CFHTLS.electrons_per_nanomaggy[2]
photons = np.sqrt(1 + np.maximum(flux, 0) / test.noise[:, 1, 2] ** 2)

# %% tags=["remove-cell"]
glue("again_photons", float(np.median(photons)), display=False)

# %% mystnb={"figure": {"caption": "Difference of two CFHTLS observations of the same galaxy in r, for three of the galaxies above, in units of its sky noise. Dipoles are due to shifts, rings to changes of the seeing.", "name": "fig-again"}, "image": {"alt": "Three maps of differences, white noise at the edges and strong dipoles and rings at the galaxy centres."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.5))
sigma = np.hypot(test.noise, again.noise)[:, 1, 2]
for ax, k in zip(axes, order[:3], strict=True):
    picture = plotting.residual_map(test.target[k, 2], again.target[k, 2], sigma[k], ax, limit=10)
    ax.set_title(f"z = {test.redshift[k]:.2f}")
fig.colorbar(picture, ax=axes, extend="both", shrink=0.8, label=r"difference / $\sigma$")
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
    "again": (intervals.median, scatter_of["centre"][:, 2]),
}
for name, (statistic, values) in sums.items():
    estimate = intervals.bootstrap(statistic, values, seed=seed)
    glue(f"surveys_{name}", str(estimate), display=False)

# %% [markdown]
# At the edges of the stamps the difference agrees with the noise, {glue:text}`again_edge:.1f` σ. In the
# central 3 arcsec it is {glue:text}`again_centre:.0f` σ (rms, median galaxy): a shift by a fraction of a
# pixel, or slightly different seeing, changes a bright nucleus by many times the noise. Sky and photon
# noise together would give only {glue:text}`again_photons:.1f` σ. This is one part of what the paper calls
# the many-to-many nature of the problem.
#
# Intervals in brackets, here and in all chapters, are 95 % bootstrap intervals over the galaxies of the sample.
# They exclude errors that galaxies share: all galaxies of a field (about 90 in CFHTLS, 3 in SDSS) have the same
# zero-point error, of 1 to 2 % {cite}`hudelot2012,padmanabhan2008`.
#
# ## What we found
#
# For the median galaxy, with intervals:
#
# - CFHTLS is {glue:text}`surveys_sharper` times sharper and {glue:text}`surveys_deeper` mag deeper in r
#   than SDSS.
# - The signal-to-noise ratio in u is {glue:text}`surveys_snr` in SDSS, and {glue:text}`surveys_gain`
#   times that in CFHTLS.
# - The filters u and u* differ by {glue:text}`surveys_term` mag.
# - Two CFHTLS observations of the same galaxy differ by {glue:text}`surveys_again` σ in its centre.
#
# ## Exercises
#
# 1. In which band does the signal-to-noise ratio of CFHTLS improve least on that of SDSS, and why?
#
# ```{dropdown} Solution
# In r (`gain`, and `depth_ratio` from the sky noise alone): CFHTLS has its shortest exposure and SDSS its
# highest sensitivity there. The better seeing adds a similar factor in all bands.
# ```
#
# **What's next:** [how the simulation is made, and how it is validated](02_simulation.py).
