# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A first translator: the residual network
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
import torch
from myst_nb import glue

from galtools import plots, study
from galtools.loop import Settings
from galtools.models.common import count_parameters
from galtools.stretch import Stretch

plots.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
steps: int = 1150  # training steps
batch: int = 16  # galaxies in a step
crop: int = 32  # pixels along a side of the random crops
rate: float = 0.002  # highest learning rate

# %% [markdown]
# ## A stretch that can be undone
#
# The centre of a bright galaxy is ten thousand times brighter than the noise around it. A network
# that saw nanomaggies would spend all its effort on a few pixels. So it sees
#
# $$ y = \frac{1}{s}\,\mathrm{sign}(x)\left(\sqrt{1 + |x|/b} - 1\right), $$
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
fig, ax = plt.subplots(figsize=(plots.WIDTH, 2.6))
ax.plot(x.flatten() / 0.057, stretch.forward(x).flatten())
ax.axvspan(-1, 1, color="0.9")
ax.set(xlim=(-12, 40), ylim=(-4, 6), xlabel="flux of a pixel / b", ylabel="what the network sees")
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
# ## What it is asked to lower
#
# The best guess under an absolute error is the *median* of what a pixel could be. Where that
# distribution is skewed, as in the wings of a galaxy, the median lies below the mean: pixel by
# pixel the guess is good, and summed up the galaxy is too faint. So a second term compares the mean
# flux $F$ of blocks of $8 \times 8$ pixels, stretched only *after* averaging:
#
# $$ L = \langle |y' - y| \rangle + \langle |f(F') - f(F)| \rangle . $$
#
# ## Training
#
# Random crops in eight orientations, the learning rate rising and falling once, and in the end not
# the last weights but their running mean. We judge by the residual in units of the target's sky
# noise, `chi`, root mean square over pixels; with the relative error of the light in the middle of the
# stamp, `bias` is its median over galaxies (absolute value, mean over bands) and `scatter` its robust
# scatter. Named before looking: for the task `cross` (SDSS to
# CFHTLS) it has to beat resampling in `chi`. For `intra` (SDSS to the same SDSS image) resampling
# *is* the image asked for; there it has to come nearer to it than a second observation of the galaxy
# by the same survey does (`Seen again`).

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "residual", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the two terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-residual-curve"}, "image": {"alt": "Falling curves of the loss terms and of the validation residual."}} tags=["hide-input"]
study.curve(result)
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
study.compare(result).round(4)

# %% tags=["remove-cell"]
for name, value in study.numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## What goes wrong
#
# For `cross` the translation is *smooth*. Of all images that fit what the source shows, the network
# gives the one in the middle, and that one has less structure and less noise than any of them. The
# noise in a corner of the stamp shows it, well before the eye does. For `intra` the noise is part of
# what is asked for, and a network that lets everything through keeps it:

# %% mystnb={"figure": {"caption": "Standard deviation of the corner of each test stamp (r band) relative to the target's sky noise: a true image has one, a smooth one less.", "name": "fig-residual-noise"}, "image": {"alt": "Two histograms of the noise, of the targets and of the translations."}} tags=["hide-input"]
study.corner_noise(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`residual_n` test galaxies (task {glue:text}`residual_task`) the residual is
# {glue:text}`residual_chi:.2f` times the sky noise, where resampling leaves
# {glue:text}`residual_chi_floor:.2f`, exchanging the seeing without learning
# {glue:text}`residual_chi_matched:.2f`, and a second observation by the target's survey
# {glue:text}`residual_chi_again:.2f`. The central flux is biased by
# {glue:text}`residual_bias:.2f` per cent (mean over bands of the absolute median) and scatters by
# {glue:text}`residual_scatter:.2f` per cent. The noise in the corners is
# {glue:text}`residual_noise:.2f` times that of the target. Training took
# {glue:text}`residual_seconds:.0f` seconds. For `intra` the floor is zero and cannot be beaten:
# there, resampling *is* the answer, and the residual says how much a network loses on the way.
#
# ## Exercises
#
# 1. Train with `-p steps 300`. Which of flux and residual suffers more?
#
# ```{dropdown} Solution
# The residual. The flux of a block is an average over many pixels and is right long before the
# sharp centre is: compare the two terms in the left panel of the training curve.
# ```
#
# 2. Take the second term out of `pixel_loss` in `galtools/models/common.py` and train again. What
#    happens to `bias`?
#
# ```{dropdown} Solution
# It grows (the table shows its absolute value, but light is lost): the median of the wings of a galaxy
# lies below their mean. The change of code makes the training run anew by itself; so does putting the term back.
# ```
#
# **What's next:** networks that look further than a few pixels: [the Swin Transformer](12_swin.py).
