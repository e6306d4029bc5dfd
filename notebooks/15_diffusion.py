# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Diffusion: many answers to one question
#
# If many true images fit one source, can a model give *draws* from them instead of their middle?
#
# A diffusion model {cite}`ho2020` starts from white noise and removes it step by step, guided by the
# source. Another noise gives another answer. That is just what a many-to-many mapping asks for, and
# just what is hard to train in a minute: everything depends on whether the draws are *calibrated*,
# that is as noisy and as different from each other as the truth is.
#
# **What you will learn**
#
# - how noise and image are mixed, and what the network predicts;
# - why we first learn a middle and its spread on every scale, and diffuse only what is left;
# - why the light of a draw is drawn by itself;
# - how to judge draws: their noise, the spread of their fluxes, and the rank of the truth among them.
#
# **Prerequisites:** the chapter on [the residual network](11_residual.py). About 20 minutes.

# %% tags=["hide-input"]
import json
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

import galtools
from companion import plotting, study
from galtools.data import photometry
from galtools.models import diffusion
from galtools.models.base import count_parameters
from galtools.surveys import BANDS
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
steps: int = 1240  # training steps
batch: int = 16  # galaxies in a step
crop: int = 32  # pixels along a side of the random crops
rate: float = 0.002  # highest learning rate
draws: int = 8  # translations of each test galaxy

# %% [markdown]
# ## The idea in a picture
#
# At time $t$ an image $z$ has become $z_t = \alpha_t z + \sigma_t e$ with white noise $e$. The cosine
# schedule {cite}`nichol2021` moves evenly from image to noise.

# %% mystnb={"figure": {"caption": "The cosine schedule: share of the image and of the noise against time.", "name": "fig-diffusion-schedule"}, "image": {"alt": "A falling and a rising curve that cross in the middle."}} tags=["hide-input"]
alpha, sigma = diffusion.schedule()
time = np.arange(diffusion.TIMESTEPS) / diffusion.TIMESTEPS
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.4))
ax.plot(time, alpha, label=r"image, $\alpha_t$")
ax.plot(time, sigma, "--", label=r"noise, $\sigma_t$")
ax.set(xlabel="time t / T", ylabel="amplitude")
ax.legend()
plt.show()

# %% [markdown]
# ## The anchor, and what it leaves
#
# A diffusion of whole images spends its training on what any network finds in seconds: where the
# light is. So a small network, the *anchor*, first learns the middle $m(x)$ of every pixel, like the
# residual network does, and how far off it is. It does not give that spread pixel by pixel: an error of
# one pixel and an error of the light of a whole block are different things. Blocks of
# $8 \times 8$ pixels are turned into their *frequencies* by an orthonormal cosine transform $C$, and
# each frequency has a spread $s(x)$ of its own: a share of what is there, $s = e^{a(x)}\,(1 + \bar m)$ with $a \le 0$, where
# $\bar m$ is the root mean square of $m$ in the block and band, and one that of all images. With the error $r = C(y - m)$
#
# $$ L = L_\mathrm{pixel} + L_\mathrm{flux}
#        + \ell\,\Big\langle \ln s + \sqrt{\tfrac{\pi}{2}}\,\frac{|r|}{s} + \mathrm{CRPS}(r; s) \Big\rangle,
#    \qquad z = R^{-1/2}\,\frac{r}{s}, $$
#
# with a weight $\ell$. The first two terms in the brackets are a likelihood. It counts in units of $s$ and hardly minds the
# rare star whose spread is ten times too wide; the *continuous ranked probability score* {cite}`gneiting2007` of a Gaussian
# of width $s$ counts in units of the image, and does. Crops are cut along the lattice of the blocks: a galaxy sits in the middle of
# its stamp, where four blocks meet, and is learnt where it will be drawn.
#
# Errors of the five bands hang together, most where a wrong seeing moves the same light in all of them. So any two
# bands have, at each frequency, a correlation $\rho(x)$, learnt by a Gaussian likelihood of its own; $R$ is one on its diagonal
# and $\rho$ beside it. Without it the draws would be grains of all colours.
#
# What is left, $z$, has about variance one at every frequency, in the sky as in the centre. That is what
# diffusion takes for granted. The network predicts $v = \alpha_t e - \sigma_t z$: for white noise its
# best answer is zero, so even before any training the draws have the right variance on every scale up to
# a block. What it has to learn is how else errors hang together, from block to block and from frequency to
# frequency.
#
# ```python
# z = correlate_bands(self.cosines(batch.target - mean) / sigma, rho, -0.5)
# v = alpha * e - sigma_t * z
# loss = (self.denoiser(alpha * z + sigma_t * e, context, t) - v).square().mean()
# ```
#
# Working on frequencies is also cheap: the denoiser never sees more than one place per block.
#
# ## The light
#
# One sum cannot be left to chance. If the seeing of the target is not known, light may move from pixel to
# pixel, but none is made: the errors of the frequencies hang together in such a way that they cancel in the
# flux of the galaxy. Drawn independently they do not cancel, and a denoiser finds that out late. So the
# spread of the light is learnt by itself. In windows of $32 \times 32$ pixels, one of them on the galaxy, the flux of
# the truth is off from that of the middle by
#
# $$ F(y) - F(m) = U\,(o + r\,n), \qquad
#    U^2 = \sum_\mathrm{pixels} V, \quad V = \Big(\frac{dF}{dy}\Big)^2 \operatorname{var}(y), $$
#
# where $U$ is the spread that independent pixels would give, and a small network says by how much of it the
# flux is off on the average, $o$, and how much of it remains, $r$, times a normal number $n$; those of the bands hang together, too. A draw is
# given a flux drawn from that, and what it had too much or too little is taken from the pixels in proportion to $V$:
#
# ```python
# error = correlate_bands(tile_sums(noise, TILE) / TILE, rho)
# missing = unit * (offset + ratio * error) - tile_sums(flux - expected, TILE)
# flux = flux + variance * broadcast_tiles(missing / unit.square(), TILE, *size)
# ```
#
# The table further down shows draws with and without this step.
#
# ## Training
#
# The anchor has the first part of the steps, the denoiser the rest. Then the light is fitted to whole
# stamps, which takes seconds, as all that it needs to know of a window is a few numbers. Crops would teach it
# something wrong: few of them show a galaxy in the middle, and at their edges the anchor errs more. The validation looks at one
# draw, so its residual has to come out *above* that of a best guess, by $\sqrt 2$ if the draw is as far
# from the middle as the truth is. Named before looking: the *mean* of the draws has to beat resampling, or
# for `intra` a second observation, in the residual.

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "diffusion", task, seed, settings, draws)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-diffusion-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Draws

# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint: the source on the target's grid, the translation, the target, and the residual in the r band in units of the target's sky noise.", "name": "fig-diffusion-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
study.examples(result)
plt.show()

# %%
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% mystnb={"figure": {"caption": "One test galaxy: the source, three draws of its target and the target itself, and below the r-band difference of each from the mean of all draws, in units of the target's sky noise.", "name": "fig-diffusion-draws"}, "image": {"alt": "A row of colour stamps that hardly differ and a row of difference maps that do."}} tags=["hide-input"]
galaxy = len(result.pairs) // 2
three = result.samples[galaxy, :3]
rows = [result.floor[galaxy], *three, result.pairs.target[galaxy]]
names = ["source", *[f"draw {k + 1}" for k in range(len(three))], "target"]
mean = result.samples[galaxy].mean(axis=0)
fig, axes = plt.subplots(2, len(rows), figsize=(plotting.WIDTH, 3.4))
for k, (images, name) in enumerate(zip(rows, names, strict=True)):
    axes[0, k].imshow(plotting.lupton(images))
    axes[0, k].set_title(name, fontsize=10, fontweight="normal")
    plotting.clean(axes[0, k])
    band, sigma = study.R_BAND, result.pairs.noise[galaxy, 1, study.R_BAND]
    picture = plotting.residual_map(images[band], mean[band], sigma, axes[1, k])
fig.colorbar(picture, ax=axes, location="bottom", shrink=0.7, label="(image − mean draw) / noise σ")
plt.show()

# %% [markdown]
# ## Are the draws calibrated?
#
# Three tests. The noise in the corners has to be that of the target. The fluxes of the draws have to
# differ from each other as the truth differs from them. And the truth has to be *one among the draws*: if
# we sort the fluxes of all draws, the true one should be found at every rank equally often. A pile at both
# ends means draws that are too much alike; a hill in the middle, draws that differ too much; a slope,
# draws whose light is off to one side.

# %% mystnb={"figure": {"caption": "Standard deviation of the corner of each test stamp in the r band, relative to the target's sky noise: a true image has one, a smooth one less.", "name": "fig-diffusion-noise"}, "image": {"alt": "Two histograms of the noise, of the targets and of the translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% mystnb={"figure": {"caption": "Rank of the true central flux among those of the draws, all bands and test galaxies. Flat (dashed) is calibrated; high ends mean draws that are too much alike, a slope draws that are too faint (rising) or too bright.", "name": "fig-diffusion-ranks"}, "image": {"alt": "A histogram of ranks beside a dashed flat line."}} tags=["hide-input"]
drawn = photometry.central_flux(result.samples).swapaxes(0, 1)
true = photometry.central_flux(result.pairs.target)
rank = (drawn < true).sum(axis=0).ravel()
levels = len(drawn) + 1
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
ax.hist(rank, np.arange(levels + 1) - 0.5, color=plotting.MODEL_COLOUR["diffusion"])
ax.axhline(len(rank) / levels, color="black", linestyle="--")
ax.set(xlabel="rank of the truth", ylabel="galaxies × bands")
ax.set_title(f"n = {len(result.pairs)} galaxies", fontsize=10, fontweight="normal")
plt.show()
ends = float(np.isin(rank, (0, levels - 1)).mean())
true_size = result.pairs.target.shape[-1]
glue("diffusion_ends", 100 * ends, display=False)
glue("diffusion_ends_flat", 200 / levels, display=False)

# %% [markdown]
# How wide are the fluxes in boxes around the centre? With the deviation $s$ of the $K$ draws of a galaxy,
# $(F - \langle F' \rangle) / (s \sqrt{1 + 1/K})$ follows Student's distribution if the truth is one among the
# draws. One is calibrated, two says that the draws differ twice too much. Only the box of 32 pixels is one
# in which the flux was drawn; the others have to follow by themselves.

# %%
boxes = [box for box in (4, 8, 16, 32) if box <= true_size]
widths = {
    f"{box} pixels": study.spread_ratio(result.samples, result.pairs.target, box) for box in boxes
}
pd.DataFrame(widths, index=list(BANDS)).T.round(2)

# %% [markdown]
# And the colours? A colour changes where two bands err differently; where they err together it stays. The same
# ratio for the colours of neighbouring bands: above one, the draws have grain in colours that the truth has not.

# %%
colours = {
    f"{box} pixels": study.spread_ratio(result.samples, result.pairs.target, box, colours=True)
    for box in boxes
}
names = [f"{a}-{b}" for a, b in pairwise(BANDS)]
pd.DataFrame(colours, index=names).T.round(2)

# %% tags=["remove-cell"]
wide = widths[f"{boxes[-1]} pixels"]
glue("diffusion_wide", float(wide.mean()), display=False)
glue("diffusion_widest", float(wide.max()), display=False)
glue("diffusion_rank", float(rank.mean() / (levels - 1)), display=False)
glue("diffusion_narrowest", float(wide.min()), display=False)
glue("diffusion_box", boxes[-1], display=False)
glue("diffusion_core", boxes[0], display=False)
glue("diffusion_wide_core", float(widths[f"{boxes[0]} pixels"].mean()), display=False)
noise = study.noise_ratio(result.translated, result.pairs.target)
glue("diffusion_noise_bands", float(noise.mean()), display=False)

# %% [markdown]
# ## What should the network predict?
#
# The noise $e$, the image $z$, the velocity $v$ or the flow $e - z$ {cite}`ho2020,salimans2022,lipman2023`: all have the same best
# answer, and none is reached in a minute. So the choice was made by the calibration of the draws. The table
# is a kept run of an earlier version of the code (`benchmarks/diffusion.json`, task `cross`; one anchor, every denoiser with the same steps, the
# galaxies and the two measures of this chapter; means over the bands). The column "off" sums them up: the
# root mean square, over bands and boxes of 4 to 32 pixels and the noise, of the logarithm of what should
# be one. The last two columns are residuals. In the first, `eps` stands for the noise and `x0` for the image; with
# min-SNR {cite}`hang2023` an error of the image counts as much as the signal to noise of its time, at most five, and with "means of
# blocks 64 times" an error of the mean of a block counts so much more than one of its other frequencies.

# %% tags=["hide-input"]
kept = json.loads(
    (Path(galtools.__file__).parents[1] / "benchmarks" / "diffusion.json").read_text()
)
rows = []
for row in kept["rows"]:
    flux = "drawn" if row["pinned"] else "left alone"
    numbers = {f"flux, {box} px": np.mean(row[f"spread {box}"]) for box in (8, 32)}
    ones = [row[f"spread {box}"] for box in (4, 8, 16, 32)] + [row["noise"]]
    numbers |= {"noise": np.mean(row["noise"]), "off": np.sqrt(np.mean(np.log(ones) ** 2))}
    numbers["one draw"] = row["residual"]
    rows.append({"predicts": row["denoiser"], "light": flux, **numbers,
                 "mean draw": row["residual of the mean"]})  # fmt: skip
about = kept["about"]
glue("ablation_n", about["galaxies"], display=False)
glue("ablation_draws", about["draws"], display=False)
glue("ablation_steps", about["steps"], display=False)
glue("ablation_torch", about["versions"]["torch"], display=False)
pd.DataFrame(rows).set_index(["predicts", "light"]).map("{:.3g}".format)

# %% [markdown]
# *Where the table comes from:* {glue:text}`ablation_n` test galaxies with {glue:text}`ablation_draws` draws
# each, {glue:text}`ablation_steps` steps, one seed, on the CPU, torch {glue:text}`ablation_torch`; hashes of
# the data and all versions are in the file.
#
# Whoever predicts the noise is lost, by the millions that stand there, where the schedule ends in nothing but noise: there
# its answer says nothing of the image. Whoever predicts the image draws a sky that is too smooth in the bands with the most noise.
# The rest differ little, less perhaps than two seeds would; $v$ without any weighting is the
# simplest of them. What matters most is whether the light is drawn or left alone.

# %% [markdown]
# ## How many steps?
#
# A draw follows one smooth path from noise to image, and a solver walks it in steps. DDIM {cite}`song2021` goes
# straight ahead in each; DPM-Solver++ {cite}`lu2022` bends with the step before, and UniPC {cite}`zhao2023` corrects itself besides.
# The times of the steps are evenly spaced, but for UniPC of five steps: there they are closer together at both ends, where the path
# bends most (`diffusion.PLACED`), and the solver is of third order. The table is a kept run of an earlier
# version of the code, which had all three (`benchmarks/samplers.json`): one trained network and one and the same noise, solved by all. "Error" is how far $z$, whose
# variance is one, ends from where {glue:text}`samplers_exact` steps of DPM-Solver++ lead (root mean square).
# Anchor and context are the same for all draws of a galaxy and are worked out once: so a
# draw is cheaper in company, and the last two columns say how many times faster than with DDIM.

# %% tags=["hide-input"]
kept = json.loads((Path(galtools.__file__).parents[1] / "benchmarks" / "samplers.json").read_text())
rows = [
    {"sampler": row["sampler"], "steps": row["steps"], "error": row["error"],
     "flux, 8 px": np.mean(row["spread 8"]), "noise": np.mean(row["noise"]),
     "one draw": row["residual"], "alone": row["times faster"][0],
     "16 draws": row["times faster"][1]}
    for row in kept["rows"]
]  # fmt: skip
best = next(row for row in rows if (row["sampler"], row["steps"]) == ("unipc", 5))
glue("samplers_steps", best["steps"], display=False)
glue("samplers_exact", kept["about"]["answer"][1], display=False)
glue("samplers_error", best["error"], display=False)
glue("samplers_error_ddim", rows[0]["error"], display=False)
glue("samplers_alone", best["alone"], display=False)
glue("samplers_shared", best["16 draws"], display=False)
pd.DataFrame(rows).set_index(["sampler", "steps"]).map("{:.3g}".format)

# %% [markdown]
# Our draws use UniPC with {glue:text}`samplers_steps` steps: its error, {glue:text}`samplers_error:.3f`, is below that of fifty steps of
# DDIM, {glue:text}`samplers_error_ddim:.3f`, at {glue:text}`samplers_alone:.1f` times the speed for one draw and
# {glue:text}`samplers_shared:.1f` times for each of sixteen. Too few even steps do not spoil an image, they smooth it: noise
# and spread fall first.

# %% [markdown]
# ## What goes wrong
#
# Within a block the spread is learnt directly, and the light of the galaxy by itself. What lies between is
# left to the denoiser: how the light is spread over the core. Look for it in the
# examples of `cross`: squares of grain around bright centres, since a spread of frequencies is the
# same all over its block, while true errors follow the light. The noise in the corners is
# {glue:text}`diffusion_noise_bands:.2f` times the target's (mean over bands): above one, the middle is not quite
# free of the source's noise, and the draw adds its own. On the central box of {glue:text}`diffusion_box` pixels the fluxes differ by {glue:text}`diffusion_wide:.2f`
# times what they should (mean over bands, {glue:text}`diffusion_narrowest:.2f` to
# {glue:text}`diffusion_widest:.2f`), on the innermost {glue:text}`diffusion_core` pixels by
# {glue:text}`diffusion_wide_core:.2f` times: below one, draws of the peak are too much alike, above it too
# different. The truth is found outside all draws in
# {glue:text}`diffusion_ends:.0f` per cent of the cases, where {glue:text}`diffusion_ends_flat:.0f`
# would be calibrated, and on the average at {glue:text}`diffusion_rank:.2f` of the ranks, where a half
# would be: above a half the draws are too faint, below too bright.

# %% [markdown]
# ## What we found
#
# On {glue:text}`diffusion_n` test galaxies (task {glue:text}`diffusion_task`) the residual of one draw is
# {glue:text}`diffusion_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`diffusion_typical_interval` times; {glue:text}`diffusion_guess` leaves
# {glue:text}`diffusion_chi_best:.2f`. The test named before looking is {glue:text}`diffusion_test`:
# {glue:text}`diffusion_yardstick` leaves {glue:text}`diffusion_margin` more. The central flux
# of a draw is biased by {glue:text}`diffusion_bias_interval` per cent and scatters by
# {glue:text}`diffusion_scatter_interval`. The noise in the corners is {glue:text}`diffusion_noise:.2f` times
# that of the target. Training took {glue:text}`diffusion_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Draw with other numbers of steps. When do the draws stop changing?
#
# ```{dropdown} Solution
# Set `result.network.steps` and translate again with the same seed. Beyond a dozen steps, nothing changes
# that the eye would see.
# ```
#
# 2. Average all draws of a galaxy. Which network of the earlier chapters does the mean resemble?
#
# ```{dropdown} Solution
# The residual one: the mean of the draws is the best guess again, smooth and without noise.
# ```
#
# **What's next:** the instrument that will judge them all: [a network that reads redshifts from
# images](16_redshift_estimator.py).
