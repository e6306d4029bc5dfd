# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Pixels: how close is a translation?
#
# A translated galaxy may *look* right. Is it right where we can check every pixel, and how right
# could it possibly be, given that nature itself never repeats an image?
#
# **What you will learn**
#
# - which numbers say how close two images are, and what each of them is blind to;
# - why the honest yardstick of a translation is a *second observation* of the same galaxy;
# - whether a translator gets the total light, the colours and the noise right;
# - which small sources it loses, and which it makes up.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on at least
# [one translator](11_residual.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import claims, comparison, panels, paths, plotting
from galtools import artefacts
from galtools.fidelity import intervals, pixels, sources, structure
from galtools.fidelity.metrics import measure_images, tabulate
from galtools.surveys import BANDS

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to SDSS
models: list[str] = ["residual"]  # the translators to judge
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## The galaxies, and the rows of every comparison
#
# Each translator is judged on the galaxies of the test split, which none has seen. Beside it stand
# rows that need no network. **Truth** is the target image itself: the ceiling. **Resampling**
# is the source image on the target's pixel grid: the floor, what one has without learning anything.
# **Seen again** is a second observation of the same galaxy by the target survey, with its own
# noise, its own seeing and its own position on the pixel grid. Only a simulation can offer it.
#
# For the task *intra* source and target are one and the same image. Resampling would then be a
# perfect copy, floor and ceiling at once, so the row is left out; and the truth can be reached, noise
# and all, by a network that lets everything through. How far it stays away is what its bottleneck
# costs. This page shows the task {glue:text}`pixels_task`.

# %%
folder = paths.Results(results, profile)
sample = comparison.load_comparison(folder, task, paths.check_models(models), seed)
compared = [row for row in sample.images if row != "truth"]
n = len(sample.truth)
glue("n_pixels", n, display=False)
glue("pixels_task", task, display=False)

# %% mystnb={"figure": {"caption": "The same galaxies as the target survey sees them (top), as it sees them a second time, as the source survey sees them, and as translated. All stamps share one scaling of surface brightness.", "name": "fig-pixels-stamps"}, "image": {"alt": "Grid of colour galaxy stamps, one row per rendering."}} tags=["hide-input"]
bright = np.argsort(-sample.truth[:, 2].sum((1, 2)))
shown = bright[np.linspace(0, n - 1, 5).astype(int)]
names = [plotting.MODEL_NAME.get(row, row).replace(" ", "\n") for row in sample.images]
fig = plotting.stamps(
    [images[shown] for images in sample.images.values()],
    names,
    [f"z = {z:.2f}" for z in sample.pairs.redshift[shown]],
)
plt.show()

# %% [markdown]
# Five galaxies, from the brightest to the faintest. Subtracting the target and dividing by its sky
# noise shows what the eye forgives. On empty sky a noiseless translation leaves the target's own
# noise, a standard deviation of one, and a second observation, with noise of its own, $\sqrt 2$. Over
# whole stamps in r, the row with the least scatter of all, {glue:text}`least_row`, has
# {glue:text}`least_scatter:.1f`. Between two surveys the galaxies add to the noise: half a pixel of
# pointing or a tenth of an arcsecond of seeing moves more light than the noise of a deep survey. Within
# one survey there is no such excuse, and even the noise can be let through; the maps show what a
# network's bottleneck does.

# %% mystnb={"figure": {"caption": "Residuals in the r band in units of the target's sky noise, for the first, third and fifth of the galaxies above.", "name": "fig-pixels-residuals"}, "image": {"alt": "Maps of residuals, three for each rendering, red where it is too bright."}} tags=["hide-input"]
lines = -(-len(compared) // 2)  # two renderings side by side, three galaxies each
shape = {"width_ratios": [1, 1, 1, 0.15, 1, 1, 1], "squeeze": False}
fig, axes = plt.subplots(lines, 7, figsize=(plotting.WIDTH, 1.12 * lines + 0.9), **shape)
fig.get_layout_engine().set(w_pad=0.01, h_pad=0.05, hspace=0, wspace=0)
places = iter(np.delete(axes, 3, axis=1).flat)
for (row, k), ax in zip(product(compared, (0, 2, 4)), places, strict=False):
    truth, noise = sample.truth[shown[k], 2], sample.sigma[shown[k], 2]
    picture = plotting.residual_map(sample.images[row][shown[k], 2], truth, noise, ax=ax)
    if k == 2:
        ax.set_title(plotting.MODEL_NAME.get(row, row), fontsize=10)
for ax in (*axes[:, 3], *places):
    ax.remove()
plotting.residual_bar(picture, [ax for ax in axes.flat if ax.figure])
plt.show()

# %% [markdown]
# ## Numbers
#
# With truth $x$, translation $y$ and sky noise $\sigma$, for every galaxy and band:
#
# - **residual** $\chi = (y - x)/\sigma$: its mean and its scatter over the pixels;
# - **RMSE**, the root of the mean of $(y-x)^2$, and **PSNR** $= 20 \log_{10}(R/\mathrm{RMSE})$. The
#   range $R$ is a constant, the surface brightness of 18 magnitudes per square arcsecond. Were it
#   taken from the images themselves, as is often done, a translation could raise its score by
#   being too bright;
# - **SSIM** {cite}`wang2004`, which compares local means, contrasts and patterns, with the same $R$;
# - **correlation** of the pixels, blind to any gain and offset;
# - **flux** errors $(F_y - F_x)/F_x$, over the stamp and within 3 arcsec, and **colours** from the
#   latter: their median (bias) and their robust scatter, 1.48 times the median deviation.
#
# The interval is that of 95 % over galaxies, by resampling them: pixels of one galaxy are not
# independent, galaxies are.

# %%
measured, tables = {}, []
metrics = pixels.METRICS | structure.METRICS
for row in compared:
    measured[row] = measure_images(
        [pixels.measure, structure.measure],
        sample.truth, sample.images[row], sample.sigma, sample.pixel_scale,
    )  # fmt: skip
    tables.append(tabulate(measured[row], metrics, n_boot=n_boot, seed=seed).assign(row=row))
table = pd.concat(tables, ignore_index=True).assign(task=task)
made = artefacts.make(
    folder.table("pixels" if task == "cross" else f"pixels_{task}"),
    lambda path: table.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot},
    modules=["galtools.fidelity.pixels", "galtools.fidelity.structure", "companion.comparison"],
    inputs=sample.inputs,
    seed=seed,
)

# %% mystnb={"figure": {"caption": "How close the images are to the target, with 95 % intervals over galaxies. Shares of one (bottom) are spread out near one, which is a perfect copy.", "name": "fig-pixels-metrics"}, "image": {"alt": "Four panels of metrics against band, one marker per rendering."}} tags=["hide-input"]
axes_labels = {
    "residual_scatter": "residual scatter / σ",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "correlation": "pixel correlation",
}
fig = panels.metric_panels(table, axes_labels, compared)
panels.log_scale(fig.axes[0])
for ax in fig.axes[2:4]:  # 0.9, 0.99 and 0.999 equally far apart
    ax.set_yscale("logit")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
plt.show()

# %% tags=["hide-input"]
meanings = {
    "residual_mean": "residual / σ, mean",
    "residual_scatter": "residual / σ, scatter",
    "rmse": "RMSE (nanomaggies per pixel)",
    "psnr": "PSNR (dB)",
    "correlation": "pixel correlation",
    "aperture_bias": "flux in 3 arcsec, bias",
    "aperture_scatter": "flux in 3 arcsec, scatter",
}
panels.show_in_parts(panels.overview(table, meanings, "r", compared), columns=3)

# %% [markdown]
# All metrics in all bands, those of the next sections too, are lines of `tables/pixels.csv` (or
# `pixels_intra.csv`) in the results folder. The truth row is left out: a copy of the target scores perfectly
# by definition. Between two surveys (*cross*) no translator can reach that, because the noise of the target
# cannot be foreseen from the source, and the row to compare with is the second observation. A translator may
# well *beat* it in RMSE, since it need not add noise of its own; that is a property of RMSE and not a
# triumph. Within one survey (*intra*) it has to beat it by far: it was shown the very image.

# %% [markdown]
# ## Light and colours
#
# For physics the sums matter more than the pixels.


# %% mystnb={"figure": {"caption": "Bias and scatter of the total flux and of the flux within 3 arcsec, relative to the target, with 95 % intervals. Where a bias is large, its axis is logarithmic beyond 1 %.", "name": "fig-pixels-flux"}, "image": {"alt": "Four panels: bias and scatter of fluxes against band."}} tags=["hide-input"]
def both_signs(ax, linear):
    """Make the y axis logarithmic on both sides of zero, if it reaches far beyond `linear`."""
    if np.abs(ax.get_ylim()).max() > 3 * linear:
        ax.margins(y=0.1)
        ax.set_yscale("symlog", linthresh=linear, subs=(3,))
        ax.yaxis.set_major_formatter("{x:g}")


flux_labels = {
    "flux_bias": "bias of total flux",
    "flux_scatter": "scatter of total flux",
    "aperture_bias": "bias, 3 arcsec",
    "aperture_scatter": "scatter, 3 arcsec",
}
perfect = {"flux_bias": 0, "aperture_bias": 0}
fig = panels.metric_panels(table, flux_labels, compared, perfect=perfect)
for k in (1, 3):
    panels.log_scale(fig.axes[k])
for k in (0, 2):
    both_signs(fig.axes[k], 0.01)
plt.show()

# %% [markdown]
# A colour can be right on the whole and wrong from place to place. Galaxies have gradients, most of
# them redder in their bulge than in their disc. A PSF that is translated a little too wide in one
# band only makes a gradient where there is none. We take the colour between 2 and 4 arcsec from the
# centre less that within 1 arcsec.

# %% mystnb={"figure": {"caption": "Bias and scatter of the colours within 3 arcsec (top) and of their gradients, the colour between 2 and 4 arcsec less that within 1 arcsec (bottom), with 95 % intervals. Mind the scales: they differ from panel to panel, and where a bias of colours is large, its axis is logarithmic beyond 0.02 mag.", "name": "fig-pixels-colours"}, "image": {"alt": "Four panels: bias and scatter of four colours and of their gradients."}} tags=["hide-input"]
colour_labels = {
    "colour_bias": "colour bias (mag)",
    "colour_scatter": "colour scatter (mag)",
    "gradient_bias": "gradient bias (mag)",
    "gradient_scatter": "gradient scatter (mag)",
}
perfect = {"colour_bias": 0, "gradient_bias": 0}
fig = panels.metric_panels(table, colour_labels, compared, panels.COLOURS, perfect=perfect)
for k in (1, 3):
    panels.log_scale(fig.axes[k])
both_signs(fig.axes[0], 0.02)
plt.show()

# %% [markdown]
# Medians and robust scatters do not see single failures. Here they are: of every translator the
# galaxy whose light within 3 arcsec, in r, it gets most wrong. Is it a kind of galaxy that is hard for
# all of them, or each time another one? Does the source show what went wrong?

# %% mystnb={"figure": {"caption": "The worst case of every translator, by the light within 3 arcsec in r: truth, source (if it is not the truth itself) and translation, with the relative error.", "name": "fig-pixels-worst"}, "image": {"alt": "Stamps of the worst galaxy of each translator, truth above, translation below."}} tags=["hide-input"]
error = {model: measured[model]["aperture_error"][:, 2] for model in models}
worst = {model: int(np.nanargmax(np.abs(error[model]))) for model in models}
stamps = [[sample.images[row][k] for k in worst.values()] for row in ("truth", "resample")
          if row in sample.images]  # fmt: skip
stamps.append([sample.images[model][k] for model, k in worst.items()])
names = ["Truth", "Source", "Translation"] if len(stamps) == 3 else ["Truth", "Translation"]
titles = [f"{plotting.MODEL_NAME.get(m, m)}\n{error[m][k]:+.1%}" for m, k in worst.items()]
fig = plotting.stamps([np.stack(row) for row in stamps], names, titles)
plt.show()

# %% [markdown]
# ## Noise and sharpness
#
# Does a model smooth the noise away, keep it, or invent it? The sky at the edges of the stamps
# tells: its standard deviation over that of the target, and the correlation between neighbouring
# pixels, zero for white noise and close to one for a smooth sky. The wings of galaxies reach the
# edges of a deep stamp and hang together too: compare with the second observation, not with zero.
# A model that is trained to be right on average cannot foresee the noise, and so removes it.
#
# Sharpness is measured on the galaxy itself. A Gaussian blur of variance $s^2$ multiplies the power
# at the wave number $k$ by $\exp(-4\pi^2 k^2 s^2)$, whatever the galaxy looks like, so the decline of
# the power on large scales gives the extra blur as a FWHM, negative where the power of the translation
# declines less than that of the target. With it goes the distance between the centres of light, which has a floor of its own: the
# pointing of the two images, which nobody can translate.

# %% mystnb={"figure": {"caption": "Noise and sharpness against the target image, with 95 % intervals. Black lines: as noisy, as sharp and as centred as the target.", "name": "fig-pixels-structure"}, "image": {"alt": "Four panels: noise ratio, noise correlation, blur and centroid shift against band."}} tags=["hide-input"]
structure_labels = {
    "noise_ratio": "sky noise / target's",
    "noise_correlation": "neighbours' correlation",
    "blur": "extra blur (arcsec)",
    "centroid_shift": "centre shift (arcsec)",
}
perfect = {"noise_ratio": 1, "blur": 0, "centroid_shift": 0}
fig = panels.metric_panels(table, structure_labels, compared, perfect=perfect)
panels.log_scale(fig.axes[0])
plt.show()

# %% [markdown]
# Two cautions. Images are compared only where both galaxies outshine the noise in the waves that are
# used, which in the u band of SDSS only some do. And what is taken off for the noise is that of white
# noise: a network that keeps the slow waves of the noise and smooths the fast ones away, as it can
# within one survey, seems sharper than it is. Below zero is then no proof that it sharpens, nor above
# zero the whole of its blur.
#
# The same in space and in frequency: the surface brightness in rings around the centre, and the power
# spectrum from the largest scales to the smallest that the pixels hold, the Nyquist frequency. One is
# what the target has. A profile that begins below one and goes on above it has been blurred. Power
# that falls below one at high frequencies is detail, or noise, that is gone; above one, it was
# invented.

# %% mystnb={"figure": {"caption": "Flux in rings about the centre (left, ratio of the sums over galaxies) and power in rings of spatial frequency (right, median ratio), translation over target, in the r band, with 95 % intervals. Black lines: as in the target.", "name": "fig-pixels-profile"}, "image": {"alt": "Two panels of ratios about one, against radius and against frequency."}} tags=["hide-input"]
middles = {"profile": [0.5, 1.5, 3, 6], "power": (np.arange(4) + 0.5) / 8 / sample.pixel_scale}
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.9))
lines = table[table.band == "r"].set_index(["row", "metric"])
for ax, (kind, x) in zip(axes, middles.items(), strict=True):
    names = [name for name in structure.METRICS if name.startswith(kind)]
    for k, row in enumerate(compared):
        part = lines.loc[[(row, name) for name in names]]
        x_row = np.array(x) * 1.02 ** (k - len(compared) / 2)  # side by side
        plotting.interval(
            ax, x_row, part.value, part.low, part.high, model=row, linestyle="-", linewidth=0.8
        )
    ax.axhline(1, color="black", linewidth=0.8, zorder=1)
axes[0].set(xscale="log", xlabel="radius (arcsec)", ylabel="flux / target's")
axes[0].set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
axes[0].minorticks_off()
axes[1].set(xlabel="cycles per arcsec", ylabel="power / target's")
panels.log_scale(axes[1])
fig.suptitle(panels.sample_size(table[table.metric.str.startswith(("profile", "power"))]))
panels.shared_legend(fig, axes[0])
plt.show()

# %% [markdown]
# ## Lost and invented
#
# Star-forming clumps, faint neighbours: what is small and faint is what a generative model is tempted
# to drop or to make up. We look for local maxima in the r image less a smoothed copy of itself,
# above ten times the noise of the *target*, taken as white, at least 2 arcsec from the centre.
# **Completeness** is the share of the target's sources that the other image shows as well, within 1
# arcsec, and **purity** the share of the other image's sources that the target has.

# %%
small, counts, in_r = [], {}, np.s_[:, 2:3]
for row in compared:
    images = sample.truth[in_r], sample.images[row][in_r]
    counts[row] = measure_images([sources.measure], *images, sample.sigma[in_r], sample.pixel_scale)
    found = tabulate(counts[row], sources.METRICS, "r", "sources", n_boot, seed)
    small.append(found.assign(row=row, task=task))
small = pd.concat(small, ignore_index=True)
made = artefacts.make(
    folder.table("sources" if task == "cross" else f"sources_{task}"),
    lambda path: small.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot},
    modules=["galtools.fidelity.sources", "companion.comparison"],
    inputs=sample.inputs,
    seed=seed,
)

# %% mystnb={"figure": {"caption": "Small sources in r: share of the target's that an image keeps, and share of the image's that are in the target, with 95 % intervals over galaxies. A second observation, at other seeing, does not keep all of them either.", "name": "fig-pixels-sources"}, "image": {"alt": "Two panels with a line per rendering: completeness and purity."}} tags=["hide-input"]
shares = {"completeness": "share kept", "purity": "share that is real"}
panels.row_strips(small, shares, compared)
plt.show()

# %% [markdown]
# In the target there are {glue:text}`true_sources:,.0f` of them. {glue:text}`kept_first` of those are
# kept by {glue:text}`first_model`, {glue:text}`kept_again` in a second observation. The least pure images
# of a translator are those of {glue:text}`least_pure`: {glue:text}`pure_least` of what they show as
# a source is there. {glue:text}`resample_sources`

# %% [markdown]
# ## Does this run agree with the paper?
#
# The paper found that all its models reproduce the global structure of the galaxies. Two numbers stand
# for that between two surveys: how far a translation has come, in PSNR, on the way from resampling to a second
# observation, of which half would be "roughly right", and the bias of the total light, of which 5 per
# cent would. Resampling must fail both. Within one survey a copy passes every test of this kind, so
# none is made. [The page of claims](27_claims.py) judges them.


# %%
def progress(x):
    """Part of the way from the second to the third mean, less 1/2."""
    value, start, end = intervals.mean(x)
    return (value - start) / (end - start) - 0.5


def right_within_five(x):
    """5 less the absolute median error in per cent, mean over bands: x (bands, ..., n)."""
    return 5 - 100 * np.abs(intervals.median(x)).mean(axis=0)


# %% tags=["hide-input"]
if task == "cross":
    psnr = {row: measured[row]["psnr"][:, BANDS.index("r")] for row in compared}
    way = {
        row: intervals.bootstrap(
            progress, np.stack([psnr[row], psnr["resample"], psnr["again"]]), n_boot, seed
        )
        for row in compared
    }
    light = {
        row: intervals.bootstrap(right_within_five, measured[row]["aperture_error"].T, n_boot, seed)
        for row in compared
    }
    lines = claims.evidence("structure", way) + claims.evidence("flux", light)
    shown = claims.keep(lines, folder, "21_pixels", sample.inputs, task, seed)
shown if task == "cross" else print("within one survey a copy would pass: nothing is tested")

# %% tags=["remove-cell"]
found = table.set_index(["row", "metric", "band"])
keys = ("psnr", "ssim", "correlation", "flux_scatter", "aperture_bias", "aperture_scatter")
for row, key in product(compared, keys):
    estimate = found.loc[(row, key, "r")]
    for column, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
        names = [f"{key}_r_{row}{ending}"] + [f"{key}_r{ending}"] * (row == models[0])
        for name in names:
            glue(name, float(estimate[column]), display=False)
scatters = found.value.xs(("residual_scatter", "r"), level=("metric", "band"))
glue("least_row", plotting.MODEL_NAME.get(scatters.idxmin(), scatters.idxmin()), display=False)
glue("least_scatter", float(scatters.min()), display=False)

# %% tags=["remove-cell"]
ends = ["value", "low", "high"]
keys = {"psnr": "psnr", "aperture_bias": "bias", "aperture_scatter": "scatter"}
for (key, name), row in product(keys.items(), (models[0], "again")):
    text = intervals.format_interval(*found.loc[(row, key, "r"), ends])
    glue(f"{name}_{'again' if row == 'again' else 'first'}", text, display=False)
shares = small.set_index(["metric", "row"])
least = shares.value["purity"].reindex(models).idxmin()
glue(
    "kept_first",
    intervals.format_interval(*shares.loc[("completeness", models[0]), ends]),
    display=False,
)
glue(
    "kept_again",
    intervals.format_interval(*shares.loc[("completeness", "again"), ends]),
    display=False,
)
glue("pure_least", intervals.format_interval(*shares.loc[("purity", least), ends]), display=False)
glue("least_pure", plotting.MODEL_NAME.get(least, least), display=False)
glue("true_sources", float(counts["again"]["true_sources"].sum()), display=False)

# %% tags=["remove-cell"]
resampled = "Within one survey nothing is resampled."
floor = "a copy of the source would be perfect"
if "resample" in compared:
    floor = f"resampling gives {found.value['resample', 'psnr', 'r']:.1f}"
    resampled = (
        "Resampled images have the noise of the source, most of which passes for sources here."
    )
glue("resample_sources", resampled, display=False)
glue("floor_psnr", floor, display=False)
glue("first_model", plotting.MODEL_NAME.get(models[0], models[0]), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`n_pixels` test galaxies, in the r band, {glue:text}`first_model` reaches a PSNR of
# {glue:text}`psnr_first` dB, where {glue:text}`floor_psnr` and a second observation has
# {glue:text}`psnr_r_again:.1f`. The flux within 3 arcsec comes out with a relative bias of
# {glue:text}`bias_first` and a scatter of {glue:text}`scatter_first`; two observations of the same
# galaxy scatter by {glue:text}`scatter_again`.
#
# **Exercise.** A translator returns the target plus a constant of one tenth of the sky noise. Which
# of the metrics above notice, and which do not?
#
# ```{dropdown} Solution
# The residual mean becomes 0.1; its scatter stays 0 and the correlation 1. RMSE is 0.1 σ, so the
# PSNR is large but finite. The total flux is off by 0.1 σ times all pixels, 4096 on the grid of SDSS;
# the flux within 3 arcsec by 0.1 σ times 180. For a galaxy of magnitude 17.8 in r that is two per cent
# of the total and less than a tenth of one within 3 arcsec if the sky is that of CFHTLS, fifteen and
# two thirds of one if it is that of SDSS. One number is never enough.
# ```
#
# **What's next:** pixels weigh the sky as much as the galaxy. [Morphology](22_morphology.py) asks for
# what astronomers measure instead.
