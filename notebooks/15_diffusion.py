# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Diffusion: sampling possible images
#
# If many true images fit one source, can a model *sample* from them instead of averaging over them?
#
# A diffusion model {cite}`ho2020` starts from white noise and removes it step by step, conditioned on the
# source. Another noise gives another sample. What matters is whether the samples are *calibrated*: as noisy
# as the truth, and as different from each other as the truth is from them.
#
# **What you will learn**
#
# - residual diffusion: a regression mean first, then a diffusion model for its residual;
# - the preconditioning, loss and sampler of EDM {cite}`karras2022`, each in a few lines;
# - how to judge samples: noise, spread of fluxes and colours, ranks, proper scores;
# - what the denoiser contributes: the same model with its denoiser switched off.
#
# **Prerequisites:** the chapter on [the residual network](11_residual.py). About 20 minutes.

# %% tags=["hide-input"]
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from companion import diffusion_checks, plotting, study
from galtools.data import photometry
from galtools.models.base import count_parameters
from galtools.models.diffusion import LOG_SIGMA, SIGMA_MAX, heun, preconditioning
from galtools.surveys import BANDS
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
steps: int = 550  # training steps
batch: int = 8  # galaxies in a step
crop: int = 64  # pixels along a side of the random crops: whole stamps
rate: float = 0.002  # highest learning rate
draws: int = 5  # samples of each test galaxy
n_scored: int = 64  # test galaxies on which the ablation is scored

# %% [markdown]
# ## The residual of a regression
#
# A diffusion of whole images spends its training on what any network finds in seconds: where the galaxy
# is. Residual diffusion, CorrDiff in weather forecasting {cite}`mardani2025`, divides the work. A residual
# network first learns the mean $m(x)$, as in its own chapter. The diffusion model samples the rest,
# $r$. Its width is not one number: errors are the noise of the sky in the corners and a hundred times that in
# the core, and the flux of a galaxy errs as a whole, coherently over a thousand pixels. So each coefficient of an
# orthonormal *wavelet* transform $W$, a detail on a scale of $2^l$ pixels at one place, has a width of its own:
#
# $$ r = W^{-1}\left[\frac{W (y - m)}{s}\right], \qquad
#    s^2 = s_\mathrm{sky}^2 + \big(f_l\,\langle W m \rangle\big)^2 . $$
#
# $\langle W m \rangle$ is the rms of the neighbouring coefficients of the mean itself, and $f_l$ the fraction of
# the structure on that scale that remains unknown. Noise of the sky and fractions are fitted per band, by a
# likelihood of the widths, while the mean is trained. Then $r$ has about unit variance everywhere and on every
# scale, which is what the preconditioning below takes for granted.
#
# ## The denoiser
#
# Add noise of a level $\sigma$ that is drawn at random, $\ln \sigma \sim N(-0.5, 1.2^2)$:
#
# $$ z = r + \sigma n, \qquad D(z; \sigma, x) = c_\mathrm{skip}\,z
#    + c_\mathrm{out}\,F\!\left(c_\mathrm{in} z;\, \tfrac14 \ln \sigma,\, x\right), $$
#
# $$ c_\mathrm{skip} = \frac{1}{\sigma^2 + 1}, \quad c_\mathrm{out} = \frac{\sigma}{\sqrt{\sigma^2 + 1}},
#    \quad c_\mathrm{in} = \frac{1}{\sqrt{\sigma^2 + 1}} . $$
#
# $D$ estimates the clean residual $r$. $F$ is the network: a U-Net that sees the noisy residual, the source
# and the mean, times $c_\mathrm{in}$, since pure noise says nothing about a residual whose mean is zero. The
# factors keep its input and its target at unit variance for every $\sigma$. One step of training is this:


# %%
def training_loss(network, x, y, rng):
    """EDM loss of a batch of stretched pairs, each at its own noise level."""
    with torch.no_grad():
        mean = network(x)
        r = network.residual(y, mean)
    center, width = LOG_SIGMA
    sigma = (center + width * torch.randn(len(r), 1, 1, 1, generator=rng)).exp()
    z = r + sigma * torch.randn(r.shape, generator=rng)
    c_skip, c_out, c_in, c_noise = preconditioning(sigma)
    known = torch.cat([x, mean], dim=1)
    f = network.denoiser(c_in * z, known, c_noise.flatten())
    return (f - (r - c_skip * z) / c_out).square().mean()


# %% [markdown]
# For white residuals the best answer is $F = 0$, with a loss of 1: what the denoiser learns is all that
# distinguishes residuals from white noise. Each galaxy of a batch is used at several noise levels, so that
# the mean is computed once for all of them; and it is used whole, since the flux of a galaxy is not seen in a crop.
#
# ## The sampler
#
# A sample follows $dz / d\sigma = (z - D) / \sigma$ from $\sigma = 20$, where nothing is left of $r$, down to 0. In
# $u = c_\mathrm{in} z$ and $\tan t = \sigma$ the two factors of $\sigma$ cancel {cite}`lu2025`:
#
# $$ \frac{du}{dt} = -F . $$
#
# Heun's method solves it, the predictor-corrector of second order that EDM uses:

# %%
noise = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
silent = heun(lambda u, sigma: 0 * u, noise, 6)
print("a silent denoiser returns the noise it was given:", bool((silent == noise).all()))

# %% [markdown]
# ## Training
#
# The regression mean has the first {glue:text}`diffusion_start:.0f` per cent of the steps, the denoiser the rest. The validation looks at one
# sample, so its residual has to come out *above* that of a mean, by $\sqrt 2$ if the samples are
# calibrated. Named before looking: the *mean* of the samples has to beat resampling, or
# for `intra` a second observation, in the residual; and the ablation below has to show that the denoiser matters.

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "diffusion", task, seed, settings, draws)
glue("diffusion_start", 100 * result.network.start, display=False)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-diffusion-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# Where in $\sigma$ does the denoiser earn its keep? A loss of 1 is that of a silent one on white
# residuals. At low noise there is nothing left to find, at high noise only the coherent errors can be found; the training
# draws most of its noise levels from the grey range in between.

# %% mystnb={"figure": {"caption": "Loss of the trained denoiser on test galaxies against the noise level; grey: the central 68 % of the levels it is trained at.", "name": "fig-diffusion-levels"}, "image": {"alt": "A curve that stays below the dashed line of a silent denoiser."}} tags=["hide-input"]
shown, scaling = result.pairs[slice(0, n_scored)], result.network.scaling
x, y = scaling.normalize(torch.as_tensor(shown.source)), torch.as_tensor(shown.target)
y, levels = scaling.target.forward(y), np.geomspace(0.03, SIGMA_MAX, 12)
losses = [diffusion_checks.loss_at(result.network, x, y, float(level)) for level in levels]
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
ax.plot(levels, losses, **plotting.model_style("diffusion", n=len(shown)))
ax.axhline(1, color="black", linestyle="--", label="silent, white residuals")
center, width = LOG_SIGMA
ax.axvspan(np.exp(center - width), np.exp(center + width), color="0.9")
ax.set(xscale="log", xlabel="noise level σ", ylabel="loss")
ax.legend()
plt.show()
rng = torch.Generator().manual_seed(seed)
with torch.no_grad():
    glue("diffusion_loss", float(training_loss(result.network, x, y, rng)), display=False)

# %% [markdown]
# Over the noise levels of the training, the step written out above gives {glue:text}`diffusion_loss:.3f` on these galaxies.
#
# ## Samples

# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint: the source on the target's grid, one sample, the target, and the residual in the r band in units of the target's sky noise.", "name": "fig-diffusion-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
study.examples(result)
plt.show()

# %%
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% mystnb={"figure": {"caption": "Five test galaxies, one a column: the source, the regression mean, two samples and the target. Samples of one galaxy differ in what the source leaves open.", "name": "fig-diffusion-samples"}, "image": {"alt": "A grid of colour stamps; samples are sharper than the mean."}} tags=["hide-input"]
order = np.argsort(-result.pairs.target[:, study.R_BAND].sum(axis=(1, 2)))
chosen = order[np.linspace(0, 0.7 * len(order), 5).astype(int)]
with torch.no_grad():
    source = scaling.normalize(torch.as_tensor(result.pairs.source[chosen]))
    mean = scaling.denormalize(result.network(source)).numpy()
samples = [result.samples[chosen, k] for k in (0, 1)]
rows = [result.floor[chosen], mean, *samples, result.pairs.target[chosen]]
plotting.stamps(rows, ["source", "mean", "sample 1", "sample 2", "target"])
plt.show()

# %% [markdown]
# ## Are the samples calibrated?
#
# Four tests. The noise in the corners has to be that of the target. Fluxes and colours of the samples have to
# scatter as the truth scatters about them. The truth has to be *one among the samples*: its
# rank is uniform. And no grain: power at the periods of the network's own blocks is that of the truth.

# %% mystnb={"figure": {"caption": "Relative spread of the samples: their standard deviation in the r band divided by their mean and the sky noise added in quadrature, for the five galaxies above.", "name": "fig-diffusion-spread"}, "image": {"alt": "Five maps that are bright where structure is uncertain."}} tags=["hide-input"]
band = study.R_BAND
fig, axes = plt.subplots(1, len(chosen), figsize=(plotting.WIDTH, 1.9))
for ax, k in zip(axes, chosen, strict=True):
    each = result.samples[k, :, band]
    unit = np.hypot(each.mean(axis=0), result.pairs.noise[k, 1, band])
    picture = ax.imshow(each.std(axis=0, ddof=1) / unit, vmin=0, vmax=1, cmap="cividis")
    plotting.clean(ax)
fig.colorbar(picture, ax=axes, location="bottom", shrink=0.7, label="relative spread")
plt.show()

# %% mystnb={"figure": {"caption": "Rank of the true central flux among those of the samples, all bands and test galaxies. Flat (dashed) is calibrated; high ends mean samples that are too much alike, a slope samples that are too faint (rising) or too bright.", "name": "fig-diffusion-ranks"}, "image": {"alt": "A histogram of ranks beside a dashed flat line."}} tags=["hide-input"]
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
# With the standard deviation $s$ of the $K$ samples of a galaxy,
# $(F - \langle F' \rangle) / (s \sqrt{1 + 1/K})$ follows Student's distribution if the truth is one among the
# samples. The table has the ratio of spread to error, of fluxes in central boxes and of the colours of
# neighbouring bands: 1 is calibrated, 2 means samples that differ twice too much. The row of the corners is
# their noise relative to the target's.

# %%
boxes = [box for box in diffusion_checks.BOXES if box <= result.pairs.target.shape[-1]]
target = result.pairs.target
widths = {f"flux, {box} px": study.spread_ratio(result.samples, target, box) for box in boxes}
corners = study.noise_ratio(result.translated, target)
widths["noise in corners"] = corners
pd.DataFrame(widths, index=list(BANDS)).T.round(2)

# %%
colours = {
    f"{box} px": study.spread_ratio(result.samples, target, box, colours=True) for box in boxes
}
pd.DataFrame(colours, index=[f"{a}-{b}" for a, b in pairwise(BANDS)]).T.round(2)

# %%
grain = {
    name: {f"period {p} px": diffusion_checks.block_power(images, p) for p in (4, 8)}
    for name, images in (("samples", result.translated), ("target", target))
}
pd.DataFrame(grain).T.round(3)

# %% tags=["remove-cell"]
flux = np.array([widths[f"flux, {box} px"] for box in boxes])
colour = np.array(list(colours.values()))
for name, found in (("flux", flux), ("colour", colour), ("corner", corners)):
    glue(f"diffusion_{name}_low", float(found.min()), display=False)
    glue(f"diffusion_{name}_high", float(found.max()), display=False)

# %% [markdown]
# ## What does the denoiser contribute?
#
# The same model with its denoiser *silent*, $F = 0$, samples white residuals of width $s$ about the mean: a
# Gaussian that no diffusion was needed for. If it scored as well as the samples, the diffusion would be
# decoration. The energy score of whole stretched stamps and the CRPS of fluxes, in per cent of the flux, are
# proper scores {cite}`gneiting2007`: lower is better, and on average the true distribution is best. The mean alone is
# a point prediction, whose score is its error.

# %%
table = diffusion_checks.ablation(result, n_scored, seed)
table.round(2)

# %% tags=["remove-cell"]
score = table["energy score"]
glue("diffusion_score", float(score["diffusion"]), display=False)
glue("diffusion_score_silent", float(score["denoiser silent"]), display=False)
box = f"{boxes[-1]} px [%]"
glue("diffusion_crps", float(table[box]["diffusion"]), display=False)
glue("diffusion_crps_silent", float(table[box]["denoiser silent"]), display=False)
glue("diffusion_box", boxes[-1], display=False)

# %% [markdown]
# ## How many steps?
#
# Each Heun step calls the network twice, the last one once. The table compares one sample of each galaxy,
# from one and the same noise, with that of fifty steps; the difference is the root of the median square over pixels. The samples
# of this book use {glue:text}`diffusion_steps`.

# %%
counts = (3, result.network.steps, 12, 50)
steps_table = diffusion_checks.steps_table(result, sorted(set(counts)), 16, seed)
steps_table.round(2)

# %% tags=["remove-cell"]
ours, most = (steps_table.loc[k] for k in (result.network.steps, 50))
glue("diffusion_steps", result.network.steps, display=False)
glue("diffusion_faster", float(most["ms a sample"] / ours["ms a sample"]), display=False)
glue("diffusion_off", float(ours["difference / σ"]), display=False)

# %% [markdown]
# ## Against the reference
#
# | | EDM, CorrDiff | here | why |
# |---|---|---|---|
# | mean | U-Net, squared error | residual network, `pixel_loss` | the network of its own chapter |
# | width of the residual | one number a channel | wavelet coefficients: sky, and a fraction of the mean's structure | errors in the sky and in cores differ a hundredfold; fluxes err coherently |
# | preconditioning, sampler | $\sigma_\mathrm{data} = 0.5$, Heun | the same formulae with $\sigma_\mathrm{data} = 1$ | $r$ has unit variance; tests compare with the library diffusers |
# | noise levels | $\ln (\sigma / \sigma_\mathrm{data}) \sim N(-0.5, 1.2^2)$ | the same | |
# | output | $F$ | $c_\mathrm{in}$ times a U-Net | small coherent errors at high noise would change the flux of whole galaxies |
# | loss | squared error of $F$ | the same | |
# | network | U-Net with attention, 50 to 80 million weights | U-Net, convolutions alone | a minute on one core |
# | stochastic sampling | optional | none | a sample is a function of its noise |
#
# ## What goes wrong
#
# A minute is short for a diffusion model; the profile `long` trains a larger one for hours. The first
# thing to be learnt is the noise of the sky, the last one the coherent error of a galaxy's flux. Fluxes of the samples differ by
# {glue:text}`diffusion_flux_low:.2f` to {glue:text}`diffusion_flux_high:.2f` times what they should (all boxes and bands),
# colours by {glue:text}`diffusion_colour_low:.2f` to {glue:text}`diffusion_colour_high:.2f`; the noise in the corners is
# {glue:text}`diffusion_corner_low:.2f` to {glue:text}`diffusion_corner_high:.2f` times the target's. The truth lies outside all
# samples in {glue:text}`diffusion_ends:.0f` per cent of the cases, where {glue:text}`diffusion_ends_flat:.0f` would be calibrated,
# and on average at {glue:text}`diffusion_rank:.2f` of the ranks: above a half the samples are too faint, below too bright.

# %% [markdown]
# ## What we found
#
# On {glue:text}`diffusion_n` test galaxies (task {glue:text}`diffusion_task`) the residual of one sample is
# {glue:text}`diffusion_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`diffusion_typical_interval` times; {glue:text}`diffusion_guess` leaves
# {glue:text}`diffusion_chi_best:.2f`. That it beats a baseline is {glue:text}`diffusion_test`:
# {glue:text}`diffusion_yardstick` leaves {glue:text}`diffusion_margin` more. The central flux
# of a sample is biased by {glue:text}`diffusion_bias_interval` per cent and scatters by
# {glue:text}`diffusion_scatter_interval`. The energy score is {glue:text}`diffusion_score:.2f`, with the denoiser silent
# {glue:text}`diffusion_score_silent:.2f`; the CRPS of the flux in {glue:text}`diffusion_box` pixels is
# {glue:text}`diffusion_crps:.2f` per cent, silent {glue:text}`diffusion_crps_silent:.2f`. A sample takes
# {glue:text}`diffusion_steps` steps, {glue:text}`diffusion_faster:.0f` times less time than fifty, from which it
# differs by {glue:text}`diffusion_off:.2f` of the sky noise. Training took {glue:text}`diffusion_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Average all samples of a galaxy. Which network of the earlier chapters does the mean resemble?
#
# ```{dropdown} Solution
# The residual one: the mean of the samples is the regression mean again, smooth and without noise.
# ```
#
# 2. Train with `residual=False` (a change of `models.build`): conditional EDM without a regression mean.
#
# ```{dropdown} Solution
# The denoiser has to find the galaxy first. Compare both scores after the same time.
# ```
#
# **What's next:** the instrument that will judge them all: [a network that reads redshifts from
# images](16_redshift_estimator.py).
