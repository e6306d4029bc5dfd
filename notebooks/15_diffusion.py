# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Diffusion: sampling possible images
#
# The claim that the mean of the diffusion samples has a smaller residual than
# {glue:text}`diffusion_yardstick` is {glue:text}`diffusion_test`. The fluxes of the samples scatter
# {glue:text}`diffusion_flux_low:.2f` to {glue:text}`diffusion_flux_high:.2f` times as much as calibration
# requires; their energy score is {glue:text}`diffusion_score:.2f`, and
# {glue:text}`diffusion_score_silent:.2f` without the denoiser.
#
# A diffusion model {cite}`ho2020` turns white noise step by step into an image that is compatible with the
# source. Other noise gives another sample.
#
# **What you will learn**
#
# - residual diffusion {cite}`mardani2025` with the preconditioning, loss and sampler of EDM {cite}`karras2022`;
# - calibration tests of image samples;
# - the contribution of the denoiser.
#
# **Prerequisites:** the chapter on [the residual network](11_residual.py). About 20 minutes.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from myst_nb import glue

from companion import diffusion_checks, plotting, study
from galtools import pretrained
from galtools.data import photometry
from galtools.models.base import count_parameters
from galtools.models.diffusion import (
    LOG_SIGMA,
    SIGMA_MAX,
    dpm_solver,
    preconditioning,
)
from galtools.surveys import BANDS
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
mean: str = ""  # weights of the regression network; empty: those of its chapter; kept: long trained
steps: int = 550  # training steps
batch: int = 8  # galaxies in a step
crop: int = 64  # pixels along a side of the random crops: whole stamps
rate: float = 0.005  # highest learning rate
draws: int = 5  # samples of each test galaxy
n_scored: int = 64  # test galaxies on which the ablation is scored

# %% [markdown]
# ## Residual diffusion
#
# As in CorrDiff {cite}`mardani2025`, the residual network of [its chapter](11_residual.py), already trained,
# translates the source $x$ to $m(x)$, and a diffusion model samples what this leaves of the stretched target
# $y$, divided by one rms $s_b$ per band $b$:
#
# $$ r = \frac{y - m(x)}{s_b} . $$
#
# ## Denoiser
#
# Training adds white noise $n$ at random levels, $\ln \sigma \sim N(-0.5, 1.2^2)$:
#
# $$ r_\sigma = r + \sigma n, \qquad D(r_\sigma; \sigma, x) = c_\mathrm{skip}\,r_\sigma
#    + c_\mathrm{out}\,F\!\left(c_\mathrm{in} r_\sigma;\, \tfrac14 \ln \sigma,\, x\right), $$
#
# $$ c_\mathrm{skip} = \frac{1}{\sigma^2 + 1}, \quad c_\mathrm{out} = \frac{\sigma}{\sqrt{\sigma^2 + 1}},
#    \quad c_\mathrm{in} = \frac{1}{\sqrt{\sigma^2 + 1}} . $$
#
# $D$ estimates $r$. $F$ is a U-Net of noisy residual, source and $m$. Its input and target have unit variance
# for every $\sigma$. One training step:


# %%
def training_loss(network, x, y, rng):
    """EDM loss of a batch of stretched pairs, each at its own noise level."""
    with torch.no_grad():
        mean = network(x)
        r = (y - mean) / network.rms
    center, width = LOG_SIGMA
    sigma = (center + width * torch.randn(len(r), 1, 1, 1, generator=rng)).exp()
    noisy = r + sigma * torch.randn(r.shape, generator=rng)
    c_skip, c_out, c_in, c_noise = preconditioning(sigma)
    known = torch.cat([x, mean], dim=1)
    f = network.denoiser(c_in * noisy, known, c_noise.flatten())
    return (f - (r - c_skip * noisy) / c_out).square().mean()


# %% [markdown]
# For white residuals $F = 0$ is optimal, with a loss of 1. Stamps are used whole, since a crop lacks part of
# the flux.
#
# ## Sampler
#
# A sample follows $dr_\sigma / d\sigma = (r_\sigma - D) / \sigma$ from $\sigma = 20$ to 0. DPM-Solver++(2M)
# {cite}`lu2022dpm` divides $\ln \sigma$ evenly and extrapolates $D$ to the middle of each step:
#
# $$ \bar D_k = D_k + \tfrac12 (D_k - D_{k-1}), \qquad
#    r_{\sigma_{k+1}} = \bar D_k + \frac{\sigma_{k+1}}{\sigma_k} (r_{\sigma_k} - \bar D_k) . $$
#
# Each step evaluates the network once. For Gaussian residuals $D$ is known, and so is the end of every path:

# %%
rms = 0.4
exact = rms / np.hypot(rms, SIGMA_MAX)  # of where a path starts
for count in (5, 10, 20):
    start = torch.tensor(SIGMA_MAX).double()
    end = dpm_solver(lambda r, sigma: r / (1 + (sigma / rms) ** 2), start, count)
    print(f"{count:2d} steps: {float(end / start / exact - 1):+.1%}")

# %% [markdown]
# ## Training
#
# Only the denoiser is trained. Validation uses one sample; if calibrated, its residual is $\sqrt 2$ times that
# of the conditional mean. Two criteria were fixed in advance: the *mean* of the samples beats resampling, or
# for `intra` a repeat observation, in the residual; and the ablation shows that the denoiser matters.

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
regression = pretrained.weights_file("residual", task) if mean == "kept" else mean and Path(mean)
result = study.run(results, profile, "diffusion", task, seed, settings, draws, regression)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: loss terms. Right: residual on the validation galaxies in units of the target's sky noise, for the running mean of the weights.", "name": "fig-diffusion-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# At low noise there is little to predict, at high noise only coherent errors are predictable.

# %% mystnb={"figure": {"caption": "Loss of the trained denoiser on test galaxies against noise level. Grey: central 68 % of the training noise levels.", "name": "fig-diffusion-levels"}, "image": {"alt": "A curve of the loss against noise level, with a dashed line at 1 and a grey band."}} tags=["hide-input"]
shown, scaling = result.pairs[slice(0, n_scored)], result.network.scaling
x, y = scaling.normalize(torch.as_tensor(shown.source)), torch.as_tensor(shown.target)
y, levels = scaling.target.forward(y), np.geomspace(0.03, SIGMA_MAX, 12)
losses = [diffusion_checks.loss_at(result.network, x, y, float(level)) for level in levels]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
ax.plot(levels, losses, **plotting.model_style("diffusion", n=len(shown)))
ax.axhline(1, color="black", linestyle="--", label="F = 0, white residuals")
center, width = LOG_SIGMA
ax.axvspan(np.exp(center - width), np.exp(center + width), color="0.9")
ax.set(xscale="log", xlabel="noise level σ", ylabel="loss")
ax.legend()
plt.show()
rng = torch.Generator().manual_seed(seed)
with torch.no_grad():
    glue("diffusion_loss", float(training_loss(result.network, x, y, rng)), display=False)

# %% [markdown]
# Over the training's noise levels, the loss on these galaxies is {glue:text}`diffusion_loss:.3f`.
#
# ## Samples

# %% mystnb={"figure": {"caption": "Four test galaxies, from bright to faint: source on the target's grid, one sample, target, and r-band residual in units of the target's sky noise.", "name": "fig-diffusion-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["leading", "hide-input"]
study.examples(result)
plt.show()

# %% tags=["leading"]
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% mystnb={"figure": {"caption": "Five test galaxies, one per column: source, regression network, two samples and target. The samples of a galaxy differ in what the source does not determine.", "name": "fig-diffusion-samples"}, "image": {"alt": "A grid of colour stamps: five galaxies in columns, and in rows source, regression, two samples and target."}} tags=["hide-input"]
order = np.argsort(-result.pairs.target[:, study.R_BAND].sum(axis=(1, 2)))
chosen = order[np.linspace(0, 0.7 * len(order), 5).astype(int)]
with torch.no_grad():
    source = scaling.normalize(torch.as_tensor(result.pairs.source[chosen]))
    regressed = scaling.denormalize(result.network(source)).numpy()
samples = [result.samples[chosen, k] for k in (0, 1)]
rows = [result.floor[chosen], regressed, *samples, result.pairs.target[chosen]]
plotting.stamps(rows, ["source", "regression", "sample 1", "sample 2", "target"])
plt.show()

# %% [markdown]
# ## Calibration
#
# Calibrated samples have the target's corner noise and power at the periods of the network's blocks; their
# fluxes, colours and positions scatter as the truth about them; and the rank of the truth is uniform.

# %% mystnb={"figure": {"caption": "Relative scatter of the samples in the r band for the five galaxies above: standard deviation divided by the quadrature sum of their mean and the sky noise.", "name": "fig-diffusion-spread"}, "image": {"alt": "Five maps of the relative standard deviation of the samples."}} tags=["hide-input"]
band = study.R_BAND
fig, axes = plt.subplots(1, len(chosen), figsize=(plotting.WIDTH, 1.9))
for ax, k in zip(axes, chosen, strict=True):
    each = result.samples[k, :, band]
    unit = np.hypot(each.mean(axis=0), result.pairs.noise[k, 1, band])
    picture = ax.imshow(each.std(axis=0, ddof=1) / unit, vmin=0, vmax=1, cmap="cividis")
    plotting.clean(ax)
fig.colorbar(picture, ax=axes, location="bottom", shrink=0.7, label="relative standard deviation")
plt.show()

# %% mystnb={"figure": {"caption": "Rank of the true central flux among those of the samples, all bands and test galaxies. Calibrated samples give a flat histogram (dashed); high ends indicate underdispersed samples, a slope samples that are too faint (rising) or too bright (falling).", "name": "fig-diffusion-ranks"}, "image": {"alt": "A histogram of ranks and a dashed flat line."}} tags=["hide-input"]
sampled = photometry.central_flux(result.samples).swapaxes(0, 1)
rank = (sampled < photometry.central_flux(result.pairs.target)).sum(axis=0).ravel()
ranks = len(sampled) + 1
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
ax.hist(rank, np.arange(ranks + 1) - 0.5, color=plotting.MODEL_COLOUR["diffusion"])
ax.axhline(len(rank) / ranks, color="black", linestyle="--")
ax.set(xlabel="rank of the truth", ylabel="galaxies × bands", xticks=range(ranks))
ax.set_title(f"n = {len(result.pairs)} galaxies", fontsize=10, fontweight="normal")
plt.show()
glue("diffusion_ends", 100 * float(np.isin(rank, (0, ranks - 1)).mean()), display=False)
glue("diffusion_ends_flat", 200 / ranks, display=False)
glue("diffusion_rank", float(rank.mean() / (ranks - 1)), display=False)

# %% [markdown]
# If the truth $F$ is one of the samples, with mean $\langle F' \rangle$ and standard deviation $s$ of $K$
# samples, $(F - \langle F' \rangle) / (s \sqrt{1 + 1/K})$ follows Student's distribution. The first table
# gives the ratio of sample scatter to error, for fluxes in central boxes, their mean column (the position) and
# colours (in the column of their bluer band): 1 is calibrated, 2 twice too much scatter. Positions are measured
# where the flux is at least five times its scatter over the samples (*bright*, in per cent). Corner noise is relative to the target's, power
# at block periods (second table) to neighbouring frequencies.

# %%
widths = diffusion_checks.calibration_table(result.samples, result.pairs.target, BANDS)
widths.round(2)

# %%
grain = {
    name: {f"period {p} px": diffusion_checks.block_power(images, p) for p in (4, 8)}
    for name, images in (("samples", result.translated), ("target", result.pairs.target))
}
pd.DataFrame(grain).T.round(3)

# %% tags=["remove-cell"]
for name in ("flux", "colour", "corner"):
    found = widths[widths.index.str.contains(name)]
    glue(f"diffusion_{name}_low", float(found.min(axis=None)), display=False)
    glue(f"diffusion_{name}_high", float(found.max(axis=None)), display=False)

# %% [markdown]
# ## Contribution of the denoiser
#
# With $F = 0$ (*denoiser silent*) the model adds white noise of the residual's rms to $m$. Proper scores
# {cite}`gneiting2007` compare both, lower is better: the energy score of stretched stamps and the CRPS of
# fluxes, in per cent. The score of the regression alone is its error.

# %%
table = diffusion_checks.ablation(result, n_scored, seed)
table.round(2)

# %% tags=["remove-cell"]
score = table["energy score"]
glue("diffusion_score", float(score["diffusion"]), display=False)
glue("diffusion_score_silent", float(score["denoiser silent"]), display=False)
box = table.columns[-1]
glue("diffusion_crps", float(table[box]["diffusion"]), display=False)
glue("diffusion_crps_silent", float(table[box]["denoiser silent"]), display=False)
glue("diffusion_box", int(box.split()[0]), display=False)

# %% [markdown]
# ## Number of sampling steps
#
# The table compares samples with those of 50 steps from the same noise, by the root of the median squared
# pixel difference in units of the sky noise.

# %%
counts = (4, result.network.steps, 16, 50)
steps_table = diffusion_checks.steps_table(result, sorted(set(counts)), 16, seed)
steps_table.round(2)

# %% tags=["remove-cell"]
ours, most = (steps_table.loc[k] for k in (result.network.steps, 50))
glue("diffusion_steps", result.network.steps, display=False)
glue("diffusion_faster", float(most["ms a sample"] / ours["ms a sample"]), display=False)
glue("diffusion_off", float(ours["difference / σ"]), display=False)

# %% [markdown]
# ## After a long training
#
# The same model, wider and trained for about an hour of one core on ten times as many galaxies, on
# {glue:text}`diffusion_long_n` of these test galaxies. Weights of this training are kept for SDSS to CFHTLS.

# %% mystnb={"figure": {"caption": "As the samples above, from the kept weights of the long training.", "name": "fig-diffusion-long"}, "image": {"alt": "A grid of colour stamps: five galaxies in columns, and in rows source, two samples and target."}} tags=["hide-input"]
long = diffusion_checks.long_trained(result, n_scored, draws, seed)
if long:
    order = np.argsort(-long.pairs.target[:, study.R_BAND].sum(axis=(1, 2)))
    chosen = order[np.linspace(0, 0.7 * len(order), 5).astype(int)]
    rows = [
        long.floor[chosen],
        *(long.samples[chosen, k] for k in (0, 1)),
        long.pairs.target[chosen],
    ]
    plotting.stamps(rows, ["source", "sample 1", "sample 2", "target"])
    plt.show()
glue("diffusion_long_n", len(long.pairs) if long else 0, display=False)

# %%
if long:
    display(diffusion_checks.calibration_table(long.samples, long.pairs.target, BANDS).round(2))

# %%
if long:
    display(diffusion_checks.ablation(long, n_scored, seed).round(2))

# %% [markdown]
# ## Differences from the reference
#
# Loss, noise levels and sampler are EDM's with $\sigma_\mathrm{data} = 1$, tested against the library
# diffusers.
#
# | | EDM, CorrDiff | here | reason |
# |---|---|---|---|
# | mean | U-Net, squared error | residual network, `pixel_loss` | its own chapter |
# | noise at the start of sampling | $\sigma = 80$ of data of rms 0.5 | $\sigma = 20$ of rms 1 | fewer steps; residuals that are coherent over a whole stamp would need more |
# | solver | Heun, 18 steps of two evaluations | DPM-Solver++(2M), 8 to 10 evaluations | one evaluation a step; its accuracy stands in the table of steps |
# | network | U-Net with attention, 50 to 80 million weights | convolutional U-Net | a minute on one core |
# | stochastic sampling | optional | none | a sample is a function of its noise |
#
# ## Limitations
#
# A minute is short for a diffusion model. Colours scatter
# {glue:text}`diffusion_colour_low:.2f` to {glue:text}`diffusion_colour_high:.2f` times as much as
# calibration requires; corner noise is {glue:text}`diffusion_corner_low:.2f` to
# {glue:text}`diffusion_corner_high:.2f` times the target's. The truth lies outside all samples in
# {glue:text}`diffusion_ends:.0f` per cent of cases (calibrated: {glue:text}`diffusion_ends_flat:.0f`). Its
# mean relative rank is {glue:text}`diffusion_rank:.2f`: above 0.5 the samples are too faint, below too
# bright.

# %% [markdown]
# ## What we found
#
# On {glue:text}`diffusion_n` test galaxies (task {glue:text}`diffusion_task`) the residual of one sample is
# {glue:text}`diffusion_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`diffusion_typical_interval` times. For {glue:text}`diffusion_guess` it is
# {glue:text}`diffusion_chi_best:.2f`, and for {glue:text}`diffusion_yardstick` larger by
# {glue:text}`diffusion_margin`. The central flux of a sample has a bias of
# {glue:text}`diffusion_bias_interval` per cent and a scatter of {glue:text}`diffusion_scatter_interval` per
# cent. The CRPS of the flux in {glue:text}`diffusion_box` pixels is {glue:text}`diffusion_crps:.2f` per
# cent, without denoiser {glue:text}`diffusion_crps_silent:.2f`. Sampling in {glue:text}`diffusion_steps`
# steps is {glue:text}`diffusion_faster:.0f` times faster than in 50 and differs by
# {glue:text}`diffusion_off:.2f` times the sky noise. Training took {glue:text}`diffusion_seconds:.0f`
# seconds, besides that of the regression network.
#
# ## Exercises
#
# 1. Train without a regression network (`train_cached` without `mean`): plain conditional EDM.
#
# ```{dropdown} Solution
# The denoiser has to learn the mean image too. Compare both scores after the same time.
# ```
#
# **What's next:** [a network that estimates redshifts from images](16_redshift_estimator.py).
