# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Pixels: how close is a translated image?
#
# A translated galaxy may *look* right. Is it right where we can check every pixel, and how right
# could it possibly be, given that nature itself never repeats an image?
#
# **What you will learn**
#
# - which numbers say how close two images are, and what each of them is blind to;
# - why the honest yardstick of a translation is a *second observation* of the same galaxy;
# - whether a translator gets the total light, the colours and the noise right.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on at least
# [one translator](11_residual.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from galtools import manifest, panels, paths, plots
from galtools.fidelity import intervals, pixels, rows, structure
from galtools.surveys import BANDS

plots.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
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
sample = rows.load(folder, task, paths.check_models(models), seed)
compared = [row for row in sample.images if row != "truth"]
n = len(sample.truth)
glue("n_pixels", n, display=False)
glue("pixels_task", task, display=False)

# %% mystnb={"figure": {"caption": "The same galaxies as the target survey sees them (top), as it sees them a second time, as the source survey sees them, and as translated. All stamps share one scaling of surface brightness.", "name": "fig-pixels-stamps"}, "image": {"alt": "Grid of colour galaxy stamps, one row per rendering."}} tags=["hide-input"]
bright = np.argsort(-sample.truth[:, 2].sum((1, 2)))
shown = bright[np.linspace(0, n - 1, 5).astype(int)]
names = [plots.MODEL_NAME.get(row, row).replace(" ", "\n") for row in sample.images]
fig = plots.stamps(
    [images[shown] for images in sample.images.values()],
    names,
    [f"z = {z:.2f}" for z in sample.pairs.redshift[shown]],
)
plt.show()

# %% [markdown]
# Five galaxies, from the brightest to the faintest. Subtracting the target and dividing by its sky
# noise shows what the eye forgives. On empty sky a noiseless translation leaves the target's own
# noise, a standard deviation of one, and a second observation, with noise of its own, $\sqrt 2$. The
# galaxies add to it: over whole stamps in r, the row with the least scatter of all,
# {glue:text}`least_row`, has {glue:text}`least_scatter:.1f`. Between two surveys, half a pixel of
# pointing or a tenth of an arcsecond of seeing moves more light than the noise of a deep one. Within one survey there is no
# such excuse, and the maps show what a network's bottleneck does.

# %% mystnb={"figure": {"caption": "Residuals in the r band in units of the target's sky noise, for the first, third and fifth of the galaxies above.", "name": "fig-pixels-residuals"}, "image": {"alt": "Maps of residuals, three for each rendering, red where it is too bright."}} tags=["hide-input"]
lines = -(-len(compared) // 2)  # two renderings side by side, three galaxies each
shape = {"width_ratios": [1, 1, 1, 0.15, 1, 1, 1], "squeeze": False}
fig, axes = plt.subplots(lines, 7, figsize=(plots.WIDTH, 1.12 * lines + 0.9), **shape)
fig.get_layout_engine().set(w_pad=0.01, h_pad=0.05, hspace=0, wspace=0)
places = iter(np.delete(axes, 3, axis=1).flat)
for (row, k), ax in zip(product(compared, (0, 2, 4)), places, strict=False):
    truth, noise = sample.truth[shown[k], 2], sample.sigma[shown[k], 2]
    picture = plots.residual_map(sample.images[row][shown[k], 2], truth, noise, ax=ax)
    if k == 2:
        ax.set_title(plots.MODEL_NAME.get(row, row), fontsize=10)
for ax in (*axes[:, 3], *places):
    ax.remove()
plots.residual_bar(picture, [ax for ax in axes.flat if ax.figure])
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
measured, tables, seen = {}, [], structure.look(sample.truth, sample.pixel_scale)
for row in compared:
    arguments = sample.truth, sample.images[row], sample.sigma, sample.pixel_scale
    measured[row] = pixels.measure(*arguments) | structure.measure(*arguments, seen)
    for level in (pixels, structure):
        tables.append(level.summarise(measured[row], n_boot=n_boot, seed=seed).assign(row=row))
table = pd.concat(tables, ignore_index=True).assign(task=task)
made = manifest.make(
    folder.table("pixels" if task == "cross" else f"pixels_{task}"),
    lambda path: table.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot},
    modules=["galtools.fidelity.structure", "galtools.fidelity.rows"],
    inputs=sample.inputs,
    seed=seed,
)

# %% mystnb={"figure": {"caption": "How close the images are to the target, with 95 % intervals over galaxies. Black lines: a perfect copy, which has no residual and an infinite PSNR.", "name": "fig-pixels-metrics"}, "image": {"alt": "Four panels of metrics against band, one marker per rendering."}} tags=["hide-input"]
axes_labels = {
    "residual_scatter": "residual scatter / σ",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "correlation": "pixel correlation",
}
perfect = {name: pixels.METRICS[name].perfect for name in ("ssim", "correlation")}
fig = panels.metric_panels(table, axes_labels, compared, perfect=perfect)
panels.log_scale(fig.axes[0])
plt.show()

# %% tags=["hide-input"]
meanings = {name: metric.meaning for name, metric in pixels.METRICS.items()}
panels.in_parts(panels.overview(table, meanings, "r", compared))

# %% [markdown]
# The truth row is left out: a copy of the target scores perfectly by definition. Between two
# surveys (*cross*) no translator can reach that, because the noise of the target cannot be foreseen
# from the source, and the row to compare with is the second observation. A translator may well
# *beat* it in RMSE, since it need not add noise of its own; that is a property of RMSE and not a
# triumph. Within one survey (*intra*) it has to beat it by far: it was shown the very image.

# %% [markdown]
# ## Light and colours
#
# For physics the sums matter more than the pixels.

# %% mystnb={"figure": {"caption": "Bias and scatter of the total flux and of the flux within 3 arcsec, relative to the target, with 95 % intervals.", "name": "fig-pixels-flux"}, "image": {"alt": "Four panels: bias and scatter of fluxes against band."}} tags=["hide-input"]
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
plt.show()

# %% mystnb={"figure": {"caption": "Bias and scatter of the colours within 3 arcsec, with 95 % intervals.", "name": "fig-pixels-colours"}, "image": {"alt": "Two panels: bias and scatter of four colours."}} tags=["hide-input"]
colour_labels = {"colour_bias": "colour bias (mag)", "colour_scatter": "colour scatter (mag)"}
perfect = {"colour_bias": 0}
fig = panels.metric_panels(table, colour_labels, compared, panels.COLOURS, perfect=perfect)
panels.log_scale(fig.axes[1])
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
# the power on large scales gives the extra blur as a FWHM, negative where the translation is
# sharper. With it goes the distance between the centres of light, which has a floor of its own: the
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
# The same in space and in frequency: the light in rings around the centre, and the power spectrum
# from the largest scales (first quarter of the way to the Nyquist frequency) to the smallest. One
# is what the target has.

# %% tags=["hide-input"]
spatial = {k: m.meaning for k, m in structure.METRICS.items() if k.startswith(("profile", "power"))}
panels.in_parts(panels.overview(table, spatial, "r", compared))

# %% [markdown]
# ## Does this run agree with the paper?
#
# The paper found that all its models reproduce the global structure of the galaxies, while details
# remain uncertain. Each sentence below is turned into a number with a range in which it would have
# to lie; the verdict follows from the 95 % interval of that number, and reads *cannot tell* where
# the interval straddles the edge of the range. Where two rows are compared, the difference is
# taken galaxy by galaxy.

# %%
r = BANDS.index("r")


def judge(row, text, statistic, quantity, claim, against=None):
    """Compare one number of this run with the range that a claim allows."""
    values = measured[row][quantity][:, r]
    if against is None:
        found = intervals.estimate(statistic, values, n_boot, seed)
    else:
        other = measured[against][quantity][:, r]
        found = intervals.difference(statistic, values, other, n_boot, seed)
    return text, row, str(found), intervals.verdict(found, claim)


# %% tags=["hide-input"]
mean, median, scatter = intervals.mean, intervals.median, intervals.mad_scatter
positive = (0, np.inf)
claims = [
    ("global structure is kept: pixel correlation above 0.9", mean, "correlation", (0.9, 1)),
    ("total brightness is right within 5 %", median, "aperture_error", (-0.05, 0.05)),
    ("light is less certain than in a second look", scatter, "aperture_error", positive, "again"),
]
if "resample" in compared:
    text = "learning beats resampling: PSNR gain above 0 dB"
    claims.insert(2, (text, mean, "psnr", positive, "resample"))
judged = [judge(model, *claim) for claim in claims for model in models]
name = "verdicts_pixels" if task == "cross" else f"verdicts_pixels_{task}"
panels.keep(panels.verdicts(judged), folder.table(name), sample.inputs)

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
glue("least_row", plots.MODEL_NAME.get(scatters.idxmin(), scatters.idxmin()), display=False)
glue("least_scatter", float(scatters.min()), display=False)
glue("first_model", plots.MODEL_NAME.get(models[0], models[0]), display=False)
floor = "a copy of the source would be perfect"
if "resample" in compared:
    floor = f"resampling gives {found.value['resample', 'psnr', 'r']:.1f}"
glue("floor_psnr", floor, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`n_pixels` test galaxies, in the r band, {glue:text}`first_model` reaches a PSNR of
# {glue:text}`psnr_r:.1f` dB ({glue:text}`psnr_r_low:.1f` to {glue:text}`psnr_r_high:.1f`), where
# {glue:text}`floor_psnr` and a second observation has {glue:text}`psnr_r_again:.1f`. The flux within
# 3 arcsec comes out with a bias of {glue:text}`aperture_bias_r:.3f`
# ({glue:text}`aperture_bias_r_low:.3f` to {glue:text}`aperture_bias_r_high:.3f`) and a scatter of
# {glue:text}`aperture_scatter_r:.3f` ({glue:text}`aperture_scatter_r_low:.3f` to
# {glue:text}`aperture_scatter_r_high:.3f`); two observations of the same galaxy differ by
# {glue:text}`aperture_scatter_r_again:.3f`.
#
# **Exercise.** A translator returns the target plus a constant of one tenth of the sky noise. Which
# of the metrics above notice, and which do not?
#
# ```{dropdown} Solution
# The residual mean becomes 0.1; its scatter stays 0 and the correlation 1. RMSE is 0.1 σ, so the
# PSNR is large but finite. The total flux is off by 0.1 σ times the number of pixels, which for a
# faint galaxy is a lot, while a 3 arcsec aperture holds too few pixels to be hurt. One number is
# never enough.
# ```
#
# **What's next:** pixels weigh the sky as much as the galaxy. [Morphology](22_morphology.py) asks for
# what astronomers measure instead.
