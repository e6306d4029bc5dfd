# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Swin Transformer: shifted-window attention
#
# Does a translator gain when each pixel chooses for itself which others to look at?
#
# A convolution weighs neighbours by where they are. Attention weighs them by what they show: a pixel
# in a spiral arm can look along the arm. Looking at *all* pixels costs too much, so the Swin
# Transformer {cite}`liu2021` looks within small windows, and shifts them from layer to layer.
#
# **What you will learn**
#
# - what attention computes, and how small it is in code;
# - how shifted windows pass information on, and why the shift needs a mask;
# - what attention costs next to a convolution.
#
# **Prerequisites:** the chapter on [the residual network](11_residual.py). About 15 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
import torch
from myst_nb import glue

from companion import ablation, plotting, study
from galtools.models import swin
from galtools.models.base import count_parameters
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
steps: int = 750  # training steps
batch: int = 16  # galaxies in a step
crop: int = 32  # pixels along a side of the random crops
rate: float = 0.002  # highest learning rate

# %% [markdown]
# ## The idea in a picture
#
# On the left the image is cut into windows; within one, every pixel sees every other. In the next
# layer the windows have moved by half their side. The shift is a roll: what leaves on one side comes
# back on the other, so the last windows hold strips from both edges of the sky. A mask keeps these
# strips apart. Each panel asks the real layer: which pixels does the marked one depend on?


# %% mystnb={"figure": {"caption": "Pixels that the marked pixel (cross) depends on, in one layer of the real network: with straight windows, with shifted ones, and in the corner, where the mask cuts what the roll brought from the far side.", "name": "fig-swin-windows"}, "image": {"alt": "Three maps of 16 by 16 pixels with the visible window highlighted."}} tags=["hide-input"]
def seen_by(pixel, shift):
    torch.manual_seed(0)
    layer = swin.SwinLayer(width=4, heads=1, window=4, shift=shift)
    h = torch.randn(1, 16, 16, 4, requires_grad=True)
    layer(h)[0, pixel[0], pixel[1]].sum().backward()
    return h.grad.abs().sum(dim=(0, 3)) > 0


cases = {"straight": ((9, 6), 0), "shifted": ((9, 6), 2), "corner": ((0, 0), 2)}
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.3))
for ax, (title, (pixel, shift)) in zip(axes, cases.items(), strict=True):
    ax.imshow(seen_by(pixel, shift), cmap="Blues", vmin=0, vmax=1.6)
    ax.plot(pixel[1], pixel[0], "x", color="black")
    lines = [line + shift - 0.5 for line in range(0, 17, 4)]
    ax.set(xticks=lines, yticks=lines, xticklabels=[], yticklabels=[], title=title)
    ax.set(xlim=(-0.5, 15.5), ylim=(-0.5, 15.5))
    ax.grid(color="0.6", linewidth=0.8)  # the borders of the windows
plt.show()

# %% [markdown]
# ## The equation beside the code
#
# $$ \mathrm{attention}(q, k, v) = \mathrm{softmax}\!\left(\frac{q k^\top}{\sqrt d} + B\right) v $$
#
# Each pixel asks a question $q$, offers a key $k$ and holds a value $v$, vectors of $d$ numbers that are
# linear in what it knows. $B$ depends only on the offset between two pixels: the same neighbour counts
# alike everywhere.
#
# ```python
# q, k, v = rearrange(self.qkv(windows), "n w p (part h d) -> part (n w h) p d", part=3, h=heads)
# bias = rearrange(self.bias[self.index], "p q h -> h p q")         # B, one number per offset
# scores = rearrange(q @ k.mT, "(n w h) p q -> n w h p q")          # every pixel with every other
# values = (scores / sqrt(d) + bias).softmax(dim=-1) @ v
# ```
#
# It is written out, although torch has one call for it: in windows as small as these, that call costs more
# time than the sums themselves.
#
# ## The reference and this network
#
# SwinIR {cite}`liang2021` made the Swin Transformer a network for images. Point by point:
#
# | | SwinIR | here | effect |
# |---|---|---|---|
# | layer | norm, shifted-window attention, norm, perceptron twice as wide | the same | equal to torch's layer with the same weights (a test) |
# | relative position bias, mask, groups closed by a convolution | yes | yes | |
# | norm before and after the body, convolution after it, skip around it | yes | yes | |
# | initialisation | truncated normal, 0.02 | the same | |
# | skip of the input | where the sizes agree | where the bands agree | *no skip of the source* |
# | pixels | as they are | packed 2 x 2 | a quarter of the cost, not measured |
# | learning rate | 2e-4 at depth 24 to 36 | {glue:text}`swin_rate` at depth 4 (`quick`) | *rate 1e-3*, *rate 2e-4* |
# | stochastic depth | 0.1 | none | not measured: trainings are too short to overfit |
# | width, depth, window | 60 to 180, 24 to 36, 8 | 48, 4, 4 (`quick`); 96, 24, 8 (`paper`) | not measured |
#
# The last column names rows of a kept table (`benchmarks/bench_recipes.py`: one training of 200 steps each,
# judged on the validation galaxies; residual in units of the sky noise, the rest in per cent).

# %% tags=["hide-input"]
glue("swin_rate", f"{rate:g}", display=False)
ablation.recipe_table("swin")

# %% [markdown]
# ## What it costs
#
# Next to a convolution? Here are the networks of this chapter and the last, on crops of {glue:text}`swin_crop`
# pixels a side, measured now on the processor that made this page.

# %% tags=["hide-input"]
costs = pd.DataFrame(
    {name: ablation.network_cost(name, profile) for name in ("residual", "swin")}
).T
speed = costs["crops/s in training"]
glue("swin_slower", float(speed["residual"] / speed["swin"]), display=False)
glue("swin_crop", ablation.CROP, display=False)
costs.rename(plotting.MODEL_NAME).style.format("{:,.0f}")

# %% [markdown]
# The sums are about as many, but the convolution trains on {glue:text}`swin_slower:.1f` times as many crops in
# the same time: attention spends its time on moving small blocks of numbers about. So the networks of this
# book, which train for about equally long, have not seen equally many galaxies.
#
# ## Training
#
# Loss, crops and schedule are those of [the residual network](11_residual.py), and so is the test named
# before looking: to beat resampling, or for `intra` a second observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "swin", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-swin-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Translated galaxies

# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint: the source on the target's grid, the translation, the target, and the residual in the r band in units of the target's sky noise.", "name": "fig-swin-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
study.examples(result)
plt.show()

# %%
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## Without its distinctive part
#
# What does the trained network owe to attention? We switch it off: every pixel then weighs all that its
# window shows alike. And we leave out the shift, so that windows never exchange anything by attention.


# %%
def swin_layers(network):
    return [layer for group in network.body[1:-1] for layer in group.layers]


def uniform(network):
    for layer in swin_layers(network):
        layer.attention.qkv.weight[: layer.attention.out.in_features] = 0  # every question
        layer.attention.qkv.bias[: layer.attention.out.in_features] = 0
        layer.attention.bias.zero_()


def unshifted(network):
    for layer in swin_layers(network):
        layer.shift = 0


ablation.ablations(result, {"uniform attention": uniform, "no shift": unshifted})

# %% [markdown]
# The network was trained with both, and is not retrained without: the table says what it uses, not what
# another network could do without.
#
# ## What goes wrong
#
# Like every network that is asked for one best guess, it smooths: fine structure comes out too weak. What
# noise is left in its sky is what it lets through of the source's. For `cross` that is not the target's,
# which it cannot know; for `intra` the two are one, and what is missing was smoothed away.

# %% mystnb={"figure": {"caption": "Standard deviation of the corner of each test stamp in the r band, relative to the target's sky noise: a true image has one, a smooth one less.", "name": "fig-swin-noise"}, "image": {"alt": "Two histograms of the noise, of the targets and of the translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`swin_n` test galaxies (task {glue:text}`swin_task`) the residual is
# {glue:text}`swin_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`swin_typical_interval` times. That it beats a baseline is
# {glue:text}`swin_test`: {glue:text}`swin_yardstick` leaves {glue:text}`swin_margin` more.
# The central flux is biased by {glue:text}`swin_bias_interval` per cent and scatters by
# {glue:text}`swin_scatter_interval`. The noise in the corners is {glue:text}`swin_noise:.2f` times
# that of the target. Training took {glue:text}`swin_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Train with windows that never shift: build `swin.Swin` with `depth=1` in each group. Is the residual
#    larger than with the shift switched off after the training?
#
# ```{dropdown} Solution
# A network that is trained without the shift can learn to do without it: the convolution that closes each
# group also carries information across the borders of windows.
# ```
#
# 2. How much does the bias $B$ matter? Set it to zero in the trained network and judge again with
#    `ablation.ablations`.
#
# ```{dropdown} Solution
# `for layer in swin_layers(network): layer.attention.bias.zero_()`. $B$ starts near zero and moves little in
# a short training; where its neighbours are a pixel also knows from the convolutions.
# ```
#
# **What's next:** a second network that judges the first: [the SRGAN](13_srgan.py).
