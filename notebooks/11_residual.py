# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Residual network: the baseline translator
#
# The residual network's translations have a residual of {glue:text}`residual_chi_interval` times the sky
# noise. The claim that this is smaller than for {glue:text}`residual_yardstick` is
# {glue:text}`residual_test`.
#
# Stretch, loss, training and metrics of this chapter are those of all translators.
#
# **What you will learn**
#
# - the invertible stretch of images;
# - why a pixel loss biases fluxes, and the term that corrects this;
# - residuals in units of the noise.
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
# ## Invertible stretch
#
# In one per cent of the targets (r band) the brightest pixel exceeds the noise by a factor of
# {glue:text}`residual_peak` or more, and would dominate a loss in nanomaggies. So networks see $y = f(x)/s$,
#
# $$ f(x) = \mathrm{sign}(x)\left(\sqrt{1 + |x|/b} - 1\right), $$
#
# linear below the softening $b$ (twice the source's sky noise, per band), a square root above. The scale $s$
# gives $y$ unit mean square over the training images. The inverse, $x = b\,sy\,(|sy| + 2)$, is exact for
# either sign.

# %% mystnb={"figure": {"caption": "Stretch: linear for pixels fainter than the softening b (grey), a square root beyond.", "name": "fig-residual-stretch"}, "image": {"alt": "A curve that is nearly straight within a grey band about zero and flattens on both sides."}}
stretch = Stretch("sqrt", softening=(0.057,), scale=(1.0,))
x = torch.linspace(-2, 8, 400).view(1, 1, 1, -1)
error = float((stretch.inverse(stretch.forward(x)) - x).abs().max())
print(f"largest error of the inverse: {error:.0e} nanomaggies")
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
ax.plot(x.flatten() / 0.057, stretch.forward(x).flatten())
ax.axvspan(-1, 1, color="0.9")
ax.set(xlim=(-12, 40), ylim=(-4, 6), xlabel="flux of a pixel / b", ylabel="stretched flux f")
plt.show()

# %% [markdown]
# ## Network
#
# Each block adds a correction to its input, initially zero:
#
# $$ h_{k+1} = h_k + \mathrm{conv}\big(\mathrm{GELU}(\mathrm{conv}(h_k))\big). $$
#
# Blocks of $2 \times 2$ pixels are packed into four channels. This loses no information, quarters the cost,
# and lets a $3 \times 3$ kernel span six pixels, more than the seeing:
#
# ```python
# def network(self, x):
#     h = self.head(F.pixel_unshuffle(x, self.multiple))      # pack
#     return F.pixel_shuffle(self.tail(self.body(h)) + self.skip(h), self.multiple)   # unpack
# ```
#
# The reference is EDSR {cite}`lim2017`:
#
# | | EDSR | here | effect |
# |---|---|---|---|
# | block | convolution, ReLU, convolution; no batch norm | the same, GELU | not measured |
# | initial block | small random numbers, output times 0.1 | identity | not measured |
# | skip around all blocks | features | linear map of features | not measured |
# | pixels | last layer unpacks | packed and unpacked | a quarter of the cost |
# | loss | absolute error of pixels | that, and of block fluxes | exercise |
# | width, blocks | 256, 32 | 48, 3 (`quick`); 128, 12 (`paper`) | not measured |
# | precision | float32 | bfloat16 where available, losses in float32 | *float32* |
#
# Names in the last column are rows of a kept table (`benchmarks/bench_recipes.py`): one training of 200
# steps each, validation galaxies, residual in units of the sky noise, the rest in per cent.

# %% tags=["hide-input"]
ablation.recipe_table("residual")

# %% [markdown]
# ## Loss function
#
# The absolute error is minimised by the *median*. If a pixel's distribution is skewed, as by a possible
# spiral arm, the median lies below the mean ({numref}`fig-residual-median`), and summed flux is too low.

# %% mystnb={"figure": {"caption": "Example of a skewed distribution of a pixel's flux. The absolute error is minimised by the median; summed flux is conserved only by the mean.", "name": "fig-residual-median"}, "image": {"alt": "A density with a long tail to the right; the line of the mean lies to the right of the line of the median."}} tags=["hide-input"]
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
# A second term compares the mean flux $F$ of blocks of $8 \times 8$ pixels, stretched after averaging
# (primes: translation; brackets: means over pixels, blocks and bands; $s$ omitted):
#
# $$ L = \langle |y' - y| \rangle + \langle |f(F') - f(F)| \rangle . $$
#
# ## Training and metrics
#
# Training uses random crops in eight orientations, one rise and fall of the learning rate, and the running
# mean of the weights. The metrics are:
#
# - *residual* (`chi`): root mean square of $(x' - x)/\sigma$, translation minus target in units of the
#   target's sky noise, over pixels, bands and galaxies; bright galaxies dominate, so the *median galaxy* is
#   given too;
# - *bias* and *scatter*: absolute median and $\sigma_\mathrm{MAD}$ of the relative flux error in the central
#   box of half the stamp's side, means over bands;
# - *colour*: the same scatter for flux ratios of neighbouring bands.
#
# The criterion for all translators was fixed in advance. For `cross` (SDSS to CFHTLS) the residual must be
# smaller than that of resampling. For `intra` (SDSS to the same SDSS image) resampling *is* the target;
# there it must be smaller than that of a repeat observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "residual", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: loss terms. Right: residual on the validation galaxies in units of the target's sky noise, for the running mean of the weights.", "name": "fig-residual-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Translated galaxies
#
# Residuals in units of the noise show structure that colour images may hide.

# %% mystnb={"figure": {"caption": "Four test galaxies, from bright to faint: source on the target's grid, translation, target, and r-band residual in units of the target's sky noise.", "name": "fig-residual-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["leading", "hide-input"]
study.examples(result)
plt.show()

# %% tags=["leading"]
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
# *Resampling* interpolates the source to the target's pixels. *PSF matching* converts the seeing with a
# constant damping; the *Wiener filter* deconvolves to the target's seeing, damped by noise and power of each
# image. All equal the target for `intra` and are omitted there. Brackets: 95 % intervals over galaxies,
# without the [variation between trainings](25_leaderboard.py).
#
# The 5 per cent of galaxies with the largest errors contribute {glue:text}`residual_few:.0f` per cent of the
# squared residual. The residual of a repeat observation contains independent noise, seeing and subpixel
# position; to equal it is not to be as good as one.

# %% [markdown]
# ## Ablation
#
# Blocks of the trained network are switched off, the last one or all; without them it is linear in stretched
# pixels.


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
# ## Limitations
#
# For `cross` a best estimate has less structure and noise than the images that are compatible with the
# source. For `intra` the noise is part of the target.

# %% mystnb={"figure": {"caption": "Standard deviation in the corner of each test stamp in the r band, relative to the target's sky noise: near 1 for a true image, less for a smooth one.", "name": "fig-residual-noise"}, "image": {"alt": "Two histograms of the corner noise, for targets and translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`residual_n` test galaxies (task {glue:text}`residual_task`) the median galaxy has a residual
# of {glue:text}`residual_typical_interval` times the sky noise. Over all galaxies, that of
# {glue:text}`residual_yardstick` exceeds the network's by {glue:text}`residual_margin`. The central flux has
# a bias of {glue:text}`residual_bias_interval` per cent and a scatter of
# {glue:text}`residual_scatter_interval` per cent. The noise in the corners is
# {glue:text}`residual_noise:.2f` times the target's. Training took {glue:text}`residual_seconds:.0f`
# seconds.
#
# ## Exercises
#
# 1. Remove the second term of `pixel_loss` in `galtools/models/base.py` and train again. How does the bias
#    change?
#
# ```{dropdown} Solution
# The median of a skewed distribution lies below its mean: fluxes are too low (the table shows absolute
# values). The change of code retrains the network automatically.
# ```
#
# **What's next:** attention beyond neighbouring pixels: [the Swin Transformer](12_swin.py).
