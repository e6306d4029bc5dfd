# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Residual network: the baseline translator
#
# How far does the plainest network come that can learn a translation at all?
#
# Before the four models of the paper we take a walk with the simplest one. Everything that the
# others need is already here: how images enter a network, what it is asked to lower, how long it
# trains, and how we look at what comes out.
#
# **What you will learn**
#
# - why a network sees a *stretched* galaxy, and how it is turned back into nanomaggies;
# - why a loss on pixels alone loses light, and which second term brings it back;
# - how to read a residual in units of the noise.
#
# **Prerequisites:** the chapter on [the two surveys](01_two_surveys.py). About 10 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from myst_nb import glue

from companion import ablation, plotting, study
from galtools.data.stretch import Stretch
from galtools.models.base import count_parameters
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
steps: int = 1700  # training steps
batch: int = 16  # galaxies in a step
crop: int = 32  # pixels along a side of the random crops
rate: float = 0.002  # highest learning rate

# %% [markdown]
# ## A stretch that can be undone
#
# In the target the brightest pixel of a galaxy outshines the noise around it, in one test galaxy of a
# hundred by a factor of {glue:text}`residual_peak` or more (r band). A network
# that saw nanomaggies would spend all its effort on a few such pixels. So it sees $y = f(x)/s$,
#
# $$ f(x) = \mathrm{sign}(x)\left(\sqrt{1 + |x|/b} - 1\right), $$
#
# linear for pixels $x$ fainter than the softening $b$ (twice the sky noise of the source, in each
# band) and a square root for those that are brighter; $s$ makes the mean square of $y$ one over the
# training images. Negative pixels are noise like any other and
# keep their sign. The way back, $x = b\,sy\,(|sy| + 2)$, is exact.

# %% mystnb={"figure": {"caption": "The stretch: linear where pixels are fainter than the softening b (grey), a square root beyond.", "name": "fig-residual-stretch"}, "image": {"alt": "A curve that is nearly straight within a grey band about zero and flattens on both sides."}}
stretch = Stretch("sqrt", softening=(0.057,), scale=(1.0,))
x = torch.linspace(-2, 8, 400).view(1, 1, 1, -1)
error = float((stretch.inverse(stretch.forward(x)) - x).abs().max())
print(f"largest error of the way back: {error:.0e} nanomaggies")
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
ax.plot(x.flatten() / 0.057, stretch.forward(x).flatten())
ax.axvspan(-1, 1, color="0.9")
ax.set(xlim=(-12, 40), ylim=(-4, 6), xlabel="flux of a pixel / b", ylabel="stretched flux f")
plt.show()

# %% [markdown]
# ## The network
#
# Each block adds a correction to what it was given, and begins by adding nothing:
#
# $$ h_{k+1} = h_k + \mathrm{conv}\big(\mathrm{GELU}(\mathrm{conv}(h_k))\big), $$
#
# with GELU a smooth switch that lets positive numbers through and holds back negative ones. The pixels
# are first *packed*: each $2 \times 2$ block becomes four channels of an image half the size. Nothing is
# lost, every convolution costs a quarter, and a $3 \times 3$ kernel spans six pixels, which is more than
# the seeing. This is the whole network:
#
# ```python
# def network(self, x):
#     h = self.head(F.pixel_unshuffle(x, self.multiple))      # pack
#     return F.pixel_shuffle(self.tail(self.body(h)) + self.skip(h), self.multiple)   # unpack
# ```
#
# The reference is EDSR {cite}`lim2017`, point by point:
#
# | | EDSR | here | effect |
# |---|---|---|---|
# | block | convolution, ReLU, convolution; no batch norm | the same, GELU | not measured |
# | start of a block | small random numbers, its output times 0.1 | the identity | not measured |
# | skip around all blocks | the features | a linear map of the features | not measured |
# | pixels | as they are; the last layer unpacks | packed 2 x 2 before and unpacked after | a quarter of the cost |
# | loss | absolute error of pixels | that, and of the flux of blocks | exercise 2 |
# | width, blocks | 256, 32 | 48, 3 (`quick`); 128, 12 (`paper`) | not measured |
# | precision | float32 | bfloat16 where the processor has it, losses in float32 | *float32* in the table |
#
# The table (`benchmarks/bench_recipes.py`, kept) holds one training of 200 steps each, judged on the
# validation galaxies: residual in units of the sky noise, the rest in per cent.

# %% tags=["hide-input"]
ablation.recipe_table("residual")

# %% [markdown]
# ## What it is asked to lower
#
# The best guess under an absolute error is the *median* of what a pixel could be. Where that
# distribution is skewed, as where a spiral arm or a neighbour may or may not lie, the median is below
# the mean ({numref}`fig-residual-median`): pixel by pixel the guess is good, and summed up the galaxy
# is too faint.

# %% mystnb={"figure": {"caption": "What a pixel could be, a skewed law as an example. The absolute error asks for the median; a sum over many pixels conserves the flux only if each holds the mean.", "name": "fig-residual-median"}, "image": {"alt": "A density with a long tail to the right; the line of the mean lies to the right of the line of the median."}} tags=["hide-input"]
flux = np.linspace(0.01, 4, 400)
law = np.exp(-0.5 * (np.log(flux) / 0.7) ** 2) / (flux * 0.7 * np.sqrt(2 * np.pi))  # log-normal
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.2))
ax.fill_between(flux, law, alpha=0.3)
ax.axvline(1, label="median, least |y′ − y|")
ax.axvline(np.exp(0.7**2 / 2), color="black", linestyle="--", label="mean, conserves flux")
ax.set(xlabel="flux of a pixel / its median", ylabel="density", xlim=(0, 4), ylim=(0, None))
ax.legend()
plt.show()

# %% [markdown]
# So a second term compares the mean
# flux $F$ of blocks of $8 \times 8$ pixels, stretched only *after* averaging (primes mark the
# translation, brackets are means over pixels, blocks and bands, $s$ is left out):
#
# $$ L = \langle |y' - y| \rangle + \langle |f(F') - f(F)| \rangle . $$
#
# ## Training
#
# Random crops in eight orientations, the learning rate rising and falling once, and in the end not
# the last weights but their running mean. We judge by five numbers. The *residual*
# (`chi` in the lines that the training prints) is the root mean square of $(x' - x)/\sigma$ over all pixels,
# bands and test galaxies, with $\sigma$ the target's sky noise; bright galaxies weigh most in it, so that of
# the *median galaxy* stands beside it. From the relative error of the light in the central box of half the
# stamp's side come the *bias*, its median over galaxies (absolute value), and the robust *scatter*
# $\sigma_\mathrm{MAD}$; both are means over the bands. *Colour* is the same scatter of the flux ratios of
# neighbouring bands: it goes on falling long after the residual has settled, so look at it before you stop
# a training.
#
# Named before looking, for every translator of this part: for the task `cross` (SDSS to CFHTLS) its
# residual has to beat resampling. For `intra` (SDSS to the same SDSS image) resampling *is* the image
# asked for; there it has to come nearer to it than a second observation of the galaxy by the same
# survey does (*Seen again*).

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "residual", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the two terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-residual-curve"}, "image": {"alt": "Falling curves of the loss terms and of the validation residual."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Translated galaxies
#
# The test galaxies were never seen. For `cross`, what looks right in colour still shows a structured
# residual once divided by the noise: the target survey is so deep that the sharp centre is never hit.
# For `intra` nothing has to be guessed, and what is left is the network's own slip.

# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint: the source on the target's grid, the translation, the target, and the residual in the r band in units of the target's sky noise.", "name": "fig-residual-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
study.examples(result)
plt.show()

# %%
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)
chi2 = np.sort(study.mean_squares(result.translated, result.pairs))
glue(
    "residual_few", float(100 * chi2[-max(1, len(chi2) // 20) :].sum() / chi2.sum()), display=False
)
peaks = result.pairs.target[:, 2].max(axis=(1, 2)) / result.pairs.noise[:, 1, 2]
glue("residual_peak", f"{round(float(np.percentile(peaks, 99)), -2):,.0f}", display=False)

# %% [markdown]
# *Resampling* is the source on the target's pixels. *PSF matching* exchanges the seeing, damped by a constant,
# and the *Wiener filter* deconvolves to the target's seeing, damped by the noise and the power of each image:
# what an observer uses who learns nothing (all three would be the very image asked for in `intra`, and are
# left out there). *Seen
# again* is a second observation by the target's survey. In brackets stand the 95 % intervals over
# galaxies; another training would move the numbers too ([how far](28_trainings.py)).
#
# Two warnings. The twentieth of the galaxies with the largest errors makes
# {glue:text}`residual_few:.0f` per cent of the squared residual, which is why the median galaxy has a
# column. And to come as near to the target as a second look does is not to be as good as one: the look
# has a noise, a seeing and a place between the pixels of its own, a guess in the middle has none of them.

# %% [markdown]
# ## Without its distinctive part
#
# What do the blocks do? We silence them in the trained network, all of them or only the last, and translate
# again: what is left is linear in the stretched pixels.


# %%
def silence(blocks):
    for block in blocks:
        block.second.weight.zero_()
        block.second.bias.zero_()


ablation.ablations(
    result,
    {
        "last block silent": lambda network: silence(network.body[-1:]),
        "all blocks silent": lambda network: silence(network.body),
    },
)

# %% [markdown]
# ## What goes wrong
#
# For `cross` the translation is *smooth*. Of all images that fit what the source shows, the network
# gives the one in the middle, and that one has less structure and less noise than any of them. The
# noise in a corner of the stamp shows it, well before the eye does. For `intra` the noise is part of
# what is asked for, and a network that lets everything through keeps it:

# %% mystnb={"figure": {"caption": "Standard deviation of the corner of each test stamp (r band) relative to the target's sky noise: a true image has one, a smooth one less.", "name": "fig-residual-noise"}, "image": {"alt": "Two histograms of the noise, of the targets and of the translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`residual_n` test galaxies (task {glue:text}`residual_task`) the residual is
# {glue:text}`residual_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`residual_typical_interval` times. That it beats a baseline is
# {glue:text}`residual_test`: {glue:text}`residual_yardstick` leaves {glue:text}`residual_margin` more.
# The central flux is biased by {glue:text}`residual_bias_interval`
# per cent and scatters by {glue:text}`residual_scatter_interval`. The noise in the corners is
# {glue:text}`residual_noise:.2f` times that of the target. Training took
# {glue:text}`residual_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Train with `-p steps 300`. What suffers most: the light, the residual, or the sky?
#
# ```{dropdown} Solution
# Compare the table of errors and the noise in the corners with those of this page. A network learns first
# where the flux is, and late what of the source's noise to leave out.
# ```
#
# 2. Take the second term out of `pixel_loss` in `galtools/models/base.py` and train again. What
#    happens to `bias`?
#
# ```{dropdown} Solution
# The absolute error asks for the median of a skewed distribution, which lies below its mean: galaxies come
# out too faint (the table shows the absolute value). The change of code makes the training run anew by
# itself; so does putting the term back.
# ```
#
# **What's next:** networks that look further than a few pixels: [the Swin Transformer](12_swin.py).
