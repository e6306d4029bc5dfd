# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Pixels: residuals, fluxes, colours and noise
#
# On {glue:text}`n_pixels` test galaxies, translations by {glue:text}`first_model` reach a mean PSNR of
# {glue:text}`psnr_r:.1f` dB in the r band, where {glue:text}`floor_psnr` and a repeat observation has
# {glue:text}`psnr_r_again:.1f` dB. Their flux within 3 arcsec has a bias of
# {glue:text}`aperture_bias_r:z.1%` and a scatter of {glue:text}`aperture_scatter_r:.1%`; that of a repeat
# observation scatters by {glue:text}`aperture_scatter_r_again:.1%`.
#
# **What you will learn**
#
# - which metrics compare two images, and why a *repeat observation* is the reference;
# - how well translators reproduce fluxes, colours, noise and sharpness;
# - which small sources they lose or invent.
#
# **Prerequisites:** the chapters on [the two surveys](01_two_surveys.py) and on at least
# [one translator](11_residual.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from companion import claims, comparison, panels, paths, plotting
from galtools import artefacts
from galtools.data.stretch import Stretch
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
# ## Test sample and reference images
#
# Three rows need no network. **Truth** is the target image. **Resampling** is the source image interpolated to
# the target's pixel grid. **Repeat observation**: the target survey observes the same galaxy with other noise,
# seeing and subpixel position, which shows how reproducible the target image is. For the task *intra*, source
# and target are the same image, so resampling is left out. This run: {glue:text}`pixels_task`.

# %% tags=["hide-input"]
folder = paths.Results(results, profile)
sample = comparison.load_comparison(folder, task, paths.check_models(models), seed)
compared = [row for row in sample.images if row != "truth"]
n = len(sample.truth)

# %% tags=["remove-cell"]
glue("n_pixels", n, display=False)
glue("pixels_task", task, display=False)

# %% mystnb={"figure": {"caption": "The same galaxies in the target survey (top), in a repeat observation, in the source survey and as translated. All stamps share one scaling of surface brightness.", "name": "fig-pixels-stamps"}, "image": {"alt": "Grid of colour galaxy stamps, one row per rendering."}} tags=["hide-input"]
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
# Residuals in units of the target's sky noise show errors that colour stamps hide. On empty sky a noiseless
# translation has a residual scatter of 1, a repeat observation of $\sqrt 2$. Over whole stamps in r,
# {glue:text}`least_row` has the smallest scatter, {glue:text}`least_scatter:.1f`.

# %% mystnb={"figure": {"caption": "Residuals in the r band in units of the target's sky noise, for the first, third and fifth of the galaxies above.", "name": "fig-pixels-residuals"}, "image": {"alt": "Maps of residuals, three for each rendering, red where it is too bright."}} tags=["hide-input"]
lines = -(-len(compared) // 2)  # two renderings side by side, three galaxies each
shape = {"width_ratios": [1, 1, 1, 0.15, 1, 1, 1], "squeeze": False}
fig, axes = plt.subplots(lines, 7, figsize=(plotting.WIDTH, 1.12 * lines + 0.9), **shape)
fig.get_layout_engine().set(w_pad=0.01, h_pad=0.05, hspace=0, wspace=0)
cells = iter(np.delete(axes, 3, axis=1).flat)
for (row, k), ax in zip(product(compared, (0, 2, 4)), cells, strict=False):
    truth, noise = sample.truth[shown[k], 2], sample.sigma[shown[k], 2]
    picture = plotting.residual_map(sample.images[row][shown[k], 2], truth, noise, ax=ax)
    if k == 2:
        ax.set_title(plotting.MODEL_NAME.get(row, row), fontsize=10)
for ax in (*axes[:, 3], *cells):
    ax.remove()
plotting.residual_bar(picture, [ax for ax in axes.flat if ax.figure])
plt.show()

# %% [markdown]
# ## Metrics
#
# For a target $y$, a translation $\hat y$ and sky noise $\sigma$, we measure for every galaxy and band:
#
# - **residual** $\chi = (\hat y - y)/\sigma$: mean and scatter over the pixels;
# - **RMSE**, the root mean square of $\hat y - y$, and **PSNR** $= 20 \log_{10}(R/\mathrm{RMSE})$ with a range
#   $R$ fixed at a surface brightness of 18 mag per square arcsec: one taken from the images would reward
#   translations that are too bright;
# - **SSIM** {cite}`wang2004`, which compares local mean, contrast and structure, with the same $R$;
# - **correlation** of the pixels, insensitive to gain and offset;
# - **flux** errors $(F_{\hat y} - F_y)/F_y$, over the stamp and within 3 arcsec, and the errors of the
#   **colours** within 3 arcsec: median (bias) and robust scatter, 1.48 times the median absolute deviation.
#
# With means $\mu$, variances $s^2$ and the covariance $s_{y \hat y}$ in a Gaussian window about each pixel,
# $c_1 = (0.01 R)^2$ and $c_2 = (0.03 R)^2$,
#
# $$ \mathrm{SSIM} = \Big\langle \frac{(2 \mu_y \mu_{\hat y} + c_1)(2 s_{y \hat y} + c_2)}
# {(\mu_y^2 + \mu_{\hat y}^2 + c_1)(s_y^2 + s_{\hat y}^2 + c_2)} \Big\rangle . $$
#

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

# %% tags=["hide-input"]
made = artefacts.make(
    folder.table("pixels" if task == "cross" else f"pixels_{task}"),
    lambda path: table.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot},
    modules=["galtools.fidelity.pixels", "galtools.fidelity.structure", "companion.comparison"],
    inputs=sample.inputs,
    seed=seed,
)

# %% mystnb={"figure": {"caption": "Pixel metrics of each image against the target, with 95 % intervals over galaxies. SSIM and correlation (bottom) are on logit axes; a perfect copy has 1.", "name": "fig-pixels-metrics"}, "image": {"alt": "Four panels of metrics against band, one marker per rendering."}} tags=["leading", "hide-input"]
axes_labels = {
    "residual_scatter": r"residual scatter / $\sigma$",
    "psnr": "PSNR [dB]",
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
    "rmse": "RMSE [nanomaggies per pixel]",
    "psnr": "PSNR [dB]",
    "correlation": "pixel correlation",
    "aperture_bias": "flux in 3 arcsec, bias",
    "aperture_scatter": "flux in 3 arcsec, scatter",
}
panels.show_in_parts(panels.overview(table, meanings, "r", compared), columns=3)

# %% [markdown]
# All metrics in all bands are in `tables/pixels.csv` of the results folder (`pixels_intra.csv` for *intra*). A
# translation can have a lower RMSE than a repeat observation because it need not contain noise; this does not
# make it a better image.
#
# For comparison with published scores, MSE and SSIM in the stretch
# $\operatorname{sign}(I)(\sqrt{1 + |I|} - 1)$ of the paper's authors, $I$ in nanomaggies per pixel, over all
# bands; the range of SSIM is the stretched $R$.

# %%
stretch = Stretch("sqrt", *[(1.0,) * sample.truth.shape[1]] * 2)


def authors_scores(row):
    """MSE and SSIM of stretched images, with intervals."""
    y, x = (stretch.forward(torch.from_numpy(sample.images[k])).double() for k in ("truth", row))
    full = pixels.full_scale(sample.pixel_scale)
    mse = ((x - y) ** 2).mean((1, 2, 3)).numpy()
    ssim = pixels.ssim(y.numpy(), x.numpy(), np.sqrt(1 + full) - 1).mean(1)
    e = [intervals.bootstrap(intervals.mean, values, n_boot, seed) for values in (1e6 * mse, ssim)]
    return dict(zip(["MSE / 10⁻⁶", "SSIM"], map(str, e), strict=True))


scores = {plotting.MODEL_NAME.get(row, row): authors_scores(row) for row in compared}
pd.DataFrame.from_dict(scores, orient="index")

# %% [markdown]
# ## Fluxes and colours
#
# Photometry sums over pixels, so errors that are coherent over a galaxy matter most.


# %% tags=["hide-input"]
def both_signs(ax, linear):
    """Make the y axis logarithmic on both sides of zero, if it reaches far beyond `linear`."""
    if np.abs(ax.get_ylim()).max() > 3 * linear:
        ax.margins(y=0.1)
        ax.set_yscale("symlog", linthresh=linear, subs=(3,))
        ax.yaxis.set_major_formatter("{x:g}")


# %% mystnb={"figure": {"caption": "Bias and scatter of the total flux and of the flux within 3 arcsec, relative to the target, with 95 % intervals. Where a bias is large, its axis is logarithmic beyond 1 %.", "name": "fig-pixels-flux"}, "image": {"alt": "Four panels: bias and scatter of fluxes against band."}} tags=["leading", "hide-input"]
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
for k in (0, 1):  # one scale for both biases and for both scatters
    fig.axes[k].sharey(fig.axes[k + 2])
    fig.axes[k].autoscale()
plt.show()

# %% [markdown]
# Colours can be right in total but wrong as a function of radius: a PSF that is too wide in one band produces a
# spurious gradient. The gradient is the colour between 2 and 4 arcsec from the centre minus that within 1.

# %% mystnb={"figure": {"caption": "Bias and scatter of the colours within 3 arcsec (top) and of the colour gradients (bottom), with 95 % intervals. The scales differ between panels; where a colour bias is large, its axis is logarithmic beyond 0.02 mag.", "name": "fig-pixels-colours"}, "image": {"alt": "Four panels: bias and scatter of four colours and of their gradients."}} tags=["hide-input"]
colour_labels = {
    "colour_bias": "colour bias [mag]",
    "colour_scatter": "colour scatter [mag]",
    "gradient_bias": "gradient bias [mag]",
    "gradient_scatter": "gradient scatter [mag]",
}
perfect = {"colour_bias": 0, "gradient_bias": 0}
fig = panels.metric_panels(table, colour_labels, compared, panels.COLOURS, perfect=perfect)
for k in (1, 3):
    panels.log_scale(fig.axes[k])
both_signs(fig.axes[0], 0.02)
plt.show()

# %% [markdown]
# The galaxy with the largest error of the 3-arcsec flux in r:

# %% mystnb={"figure": {"caption": "Largest error of every translator in the 3-arcsec flux in r: truth, source (if it is not the truth itself) and translation, with the relative error.", "name": "fig-pixels-worst"}, "image": {"alt": "Stamps of the worst galaxy of each translator, truth above, translation below."}} tags=["hide-input"]
error = {model: measured[model]["aperture_error"][:, 2] for model in models}
worst = {model: int(np.nanargmax(np.abs(error[model]))) for model in models}
stamps = [[sample.images[row][k] for k in worst.values()] for row in ("truth", "resample")
          if row in sample.images]  # fmt: skip
stamps.append([sample.images[model][k] for model, k in worst.items()])
names = ["Truth", "Source", "Translation"] if len(stamps) == 3 else ["Truth", "Translation"]
titles = [
    f"{plotting.MODEL_NAME.get(m, m)}\n{error[m][k]:+.1%}".replace("-", "−")
    for m, k in worst.items()
]
fig = plotting.stamps([np.stack(row) for row in stamps], names, titles)
plt.show()

# %% [markdown]
# ## Noise and sharpness
#
# Sky noise is measured in a frame at the edge of each stamp: its standard deviation relative to the target's,
# and the correlation of neighbouring pixels, 0 for white noise and near 1 for a smooth sky; wings of galaxies
# raise it. A Gaussian blur of variance $s^2$ multiplies the power at wave number $k$ by
# $\exp(-4\pi^2 k^2 s^2)$ for any galaxy. The decline of power on large scales thus gives the extra blur as a
# FWHM, negative where the power of the translation declines less than that of the target.

# %% mystnb={"figure": {"caption": "Noise and sharpness relative to the target image, with 95 % intervals. Black lines: equal to the target.", "name": "fig-pixels-structure"}, "image": {"alt": "Four panels: noise ratio, noise correlation, blur and centroid shift against band."}} tags=["hide-input"]
structure_labels = {
    "noise_ratio": "sky noise ratio",
    "noise_correlation": "neighbour correlation",
    "blur": "extra blur [arcsec]",
    "centroid_shift": "centroid shift [arcsec]",
}
perfect = {"noise_ratio": 1, "blur": 0, "centroid_shift": 0}
fig = panels.metric_panels(table, structure_labels, compared, perfect=perfect)
panels.log_scale(fig.axes[0])
plt.show()

# %% [markdown]
# The blur assumes white noise. A network that passes low and suppresses high spatial frequencies of the noise, as
# is possible within one survey, appears sharper than it is: a negative blur is no evidence of sharpening.
#
# Radial profile and power spectrum are divided by those of the target. A profile that rises from below 0 at the
# centre to above 0 outside is more blurred than that of a repeat observation. A power ratio below 1 at high
# frequencies means lost detail or noise, above 1 invented detail or noise.

# %% tags=["hide-input"]
rings, in_r = 20, np.s_[:, 2:3]
target_power = structure.power_spectrum(sample.truth[in_r], rings)[:, 0]


def profile_excess(row, k):
    """Flux ratio of annulus k in r minus that of the repeat observation, paired by galaxies."""
    sums = [measured[name][f"ring_y_{k}"] for name in (row, "again")]
    sums = np.stack([*sums, measured[row][f"ring_x_{k}"]])[..., BANDS.index("r")]

    def difference(x):
        first, again, target = x.mean(axis=-1)
        return (first - again) / target

    return intervals.bootstrap(difference, sums, n_boot, seed)


# %% tags=["hide-input"]
frequency = (np.arange(rings) + 0.5) / (2 * rings * sample.pixel_scale)
excess, power = {}, {}
for row in compared:
    parts = [vars(profile_excess(row, k)) for k in range(len(structure.RINGS) - 1)]
    excess[row] = pd.DataFrame(parts)
    spectra = structure.power_spectrum(sample.images[row][in_r], rings)[:, 0]
    parts = [vars(intervals.bootstrap(intervals.median, ratios, n_boot, seed))
             for ratios in (spectra / target_power).T]  # fmt: skip
    power[row] = pd.DataFrame(parts)

# %% mystnb={"figure": {"caption": "Left: flux in annuli about the centre relative to the target, minus that of the repeat observation, with 95 % intervals; logarithmic beyond 1 %. Right: power in 20 rings of spatial frequency up to the Nyquist frequency, relative to the target (median over galaxies, with shaded 95 % intervals). Both in the r band.", "name": "fig-pixels-profile"}, "image": {"alt": "Two panels: differences of flux ratios about 0 against radius, and ratios of power about 1 against spatial frequency."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.9))
for j, (row, e) in enumerate(excess.items()):
    x = np.array([0.5, 1.5, 3, 6]) * 1.05 ** (j - len(compared) / 2)  # side by side
    if row != "again":  # it is 0
        plotting.interval(axes[0], x, e.value, e.low, e.high, model=row, markersize=5)
    style = plotting.model_style(row)
    axes[1].plot(frequency, power[row].value, **style, markersize=3, linewidth=1.2)
    band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
    axes[1].fill_between(frequency, power[row].low, power[row].high, **band)
for ax, at in zip(axes, (0, 1), strict=True):
    ax.axhline(at, color="black", linewidth=0.8, zorder=1)
axes[0].set(xscale="log", xlabel="radius [arcsec]", ylabel="flux ratio − that of a repeat")
axes[0].set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
axes[0].minorticks_off()
both_signs(axes[0], 0.01)
axes[1].set(xlabel="spatial frequency [1 / arcsec]", ylabel="power ratio")
panels.log_scale(axes[1])
panels.note_size(fig, pd.concat([*excess.values(), *power.values()]))
panels.shared_legend(fig, axes[1])
plt.show()

# %% [markdown]
# ## Small sources
#
# Sources are local maxima in a difference of two Gaussians of the r image, above ten times the noise of the *target*
# (taken as white) and at least 2 arcsec from the centre. **Completeness** is the fraction of the target's
# sources with a counterpart within 1 arcsec in the other image; **purity** is the fraction of the other
# image's sources with a counterpart in the target. A counterpart needs half the threshold only.

# %%
small, counts = [], {}
for row in compared:
    images = sample.truth[in_r], sample.images[row][in_r]
    counts[row] = measure_images([sources.measure], *images, sample.sigma[in_r], sample.pixel_scale)
    part = tabulate(counts[row], sources.METRICS, "r", "sources", n_boot, seed)
    small.append(part.assign(row=row, task=task))
small = pd.concat(small, ignore_index=True)

# %% tags=["hide-input"]
made = artefacts.make(
    folder.table("sources" if task == "cross" else f"sources_{task}"),
    lambda path: small.to_csv(path, index=False),
    params={"task": task, "models": models, "n_boot": n_boot},
    modules=["galtools.fidelity.sources", "companion.comparison"],
    inputs=sample.inputs,
    seed=seed,
)

# %% mystnb={"figure": {"caption": "Completeness and purity of small sources in r, with 95 % intervals over galaxies. A repeat observation, at other seeing, is not complete either.", "name": "fig-pixels-sources"}, "image": {"alt": "Two panels with a line per rendering: completeness and purity."}} tags=["hide-input"]
shares = {"completeness": "completeness", "purity": "purity"}
panels.row_strips(small, shares, compared)
plt.show()

# %% [markdown]
# The targets contain {glue:text}`true_sources:,.0f` sources. The completeness is {glue:text}`kept_first` for
# {glue:text}`first_model` and {glue:text}`kept_again` for the repeat observation. The translator of lowest
# purity is {glue:text}`least_pure`, with {glue:text}`pure_least`. {glue:text}`resample_sources`

# %% [markdown]
# ## Comparison with the paper
#
# The paper finds that all models reproduce the global structure of galaxies. Two numbers test this between the
# surveys. The first is the gain in PSNR over resampling, relative to that of a repeat
# observation,
#
# $$ g = \frac{\mathrm{PSNR}_\mathrm{translation} - \mathrm{PSNR}_\mathrm{resampling}}
# {\mathrm{PSNR}_\mathrm{repeat} - \mathrm{PSNR}_\mathrm{resampling}} ; $$
#
# $g > 1/2$ counts as "roughly right". The second is the absolute bias of the flux within 3 arcsec, averaged
# over the bands; it has to be below 5 per cent. The controls, which have to fail, are a lossy copy (the repeat
# observation under the seeing and noise of the source) and resampling, whose fluxes are in the filters of the
# source. [The page of claims](27_claims.py) gives the verdicts.

# %% tags=["hide-input"]
if task == "cross":
    lossy = comparison.degraded_repeat(sample, seed), sample.sigma, sample.pixel_scale
    lossy = {"degraded": measure_images([pixels.measure], sample.truth, *lossy)}
    psnr = {row: x["psnr"][:, BANDS.index("r")] for row, x in (measured | lossy).items()}
    ends, boot = [psnr.pop(row) for row in ("resample", "again")], (n_boot, seed)
    closer = {
        row: intervals.bootstrap(claims.progress, np.stack([x, *ends]), *boot)
        for row, x in psnr.items()
    }
    unbiased = {
        row: intervals.bootstrap(claims.within_five_per_cent, quantities["aperture_error"].T, *boot)
        for row, quantities in measured.items()
    }
    lines = claims.evidence("structure", closer) + claims.evidence("flux", unbiased)
    shown = claims.save_evidence(lines, folder, "21_pixels", sample.inputs, task, seed)
shown if task == "cross" else print("within one survey a copy would pass: nothing is tested")

# %% tags=["remove-cell"]
indexed = table.set_index(["row", "metric", "band"])
keys = ("psnr", "ssim", "correlation", "flux_scatter", "aperture_bias", "aperture_scatter")
for row, key in product(compared, keys):
    estimate = indexed.loc[(row, key, "r")]
    for column, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
        names = [f"{key}_r_{row}{ending}"] + [f"{key}_r{ending}"] * (row == models[0])
        for name in names:
            glue(name, float(estimate[column]), display=False)
scatters = indexed.value.xs(("residual_scatter", "r"), level=("metric", "band"))
glue("least_row", plotting.MODEL_NAME.get(scatters.idxmin(), scatters.idxmin()), display=False)
glue("least_scatter", float(scatters.min()), display=False)

# %% tags=["remove-cell"]
ends = ["value", "low", "high"]
keys = {"psnr": "psnr", "aperture_bias": "bias", "aperture_scatter": "scatter"}
for (key, name), row in product(keys.items(), (models[0], "again")):
    text = intervals.format_interval(*indexed.loc[(row, key, "r"), ends])
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
    floor = f"resampling gives {indexed.value['resample', 'psnr', 'r']:.1f}"
    resampled = (
        "Resampled images have the noise of the source, and noise peaks count as sources here."
    )
glue("resample_sources", resampled, display=False)
glue("floor_psnr", floor, display=False)
glue("first_model", plotting.MODEL_NAME.get(models[0], models[0]), display=False)

# %% [markdown]
# ## What we found
#
# In r, the PSNR of {glue:text}`first_model` is {glue:text}`psnr_first` dB; the flux within 3 arcsec has a
# relative bias of {glue:text}`bias_first` and a scatter of {glue:text}`scatter_first`, against
# {glue:text}`scatter_again` for a repeat observation (in brackets: intervals over galaxies).
#
# **Exercise.** A translator returns the noiseless target. Which residual scatter, noise ratio and power
# ratio at the Nyquist frequency do you expect if the target's noise is white?
#
# ```{dropdown} Solution
# The residual is minus the noise of the target: its scatter is 1. The noise ratio is close to 0 where the
# frame is empty. The power ratio is the power of the galaxy over that of galaxy plus noise. At the Nyquist
# frequency the PSF leaves little of the galaxy, so this ratio is close to 0 as well.
# ```
#
# **What's next:** [morphology](22_morphology.py), the measurements that astronomers publish.
