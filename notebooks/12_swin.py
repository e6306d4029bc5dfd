# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Swin Transformer: shifted-window attention
#
# The claim that the Swin Transformer has a smaller residual than {glue:text}`swin_yardstick` is
# {glue:text}`swin_test` (task {glue:text}`swin_task`). In training, the residual network processes
# {glue:text}`swin_slower:.1f` times as many crops per second.
#
# A convolution weights neighbours by position, attention by content. Attention over *all* pixels is
# expensive, so the Swin Transformer {cite}`liu2021` uses small windows and shifts them from layer to layer.
#
# **What you will learn**
#
# - attention within shifted, masked windows;
# - its cost relative to convolution.
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
# ## Shifted windows
#
# Each pixel attends to all pixels of its window. The next layer shifts the windows by half their side, by a
# cyclic roll of the image. Windows at the border then combine strips from opposite edges, which a mask keeps
# apart.


# %% mystnb={"figure": {"caption": "Pixels on which the output at the marked pixel (cross) depends, for one layer of the network: regular windows, shifted windows, and a corner, where the mask removes the pixels from the opposite edge.", "name": "fig-swin-windows"}, "image": {"alt": "Three maps of 16 by 16 pixels with the window of the marked pixel highlighted."}} tags=["hide-input"]
def attended(pixel, shift):
    torch.manual_seed(0)
    layer = swin.SwinLayer(width=4, heads=1, window=4, shift=shift)
    h = torch.randn(1, 16, 16, 4, requires_grad=True)
    layer(h)[0, pixel[0], pixel[1]].sum().backward()
    return h.grad.abs().sum(dim=(0, 3)) > 0


cases = {"regular": ((9, 6), 0), "shifted": ((9, 6), 2), "corner": ((0, 0), 2)}
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.3))
for ax, (title, (pixel, shift)) in zip(axes, cases.items(), strict=True):
    ax.imshow(attended(pixel, shift), cmap="Blues", vmin=0, vmax=1.6)
    ax.plot(pixel[1], pixel[0], "x", color="black")
    lines = [line + shift - 0.5 for line in range(0, 17, 4)]
    ax.set(xticks=lines, yticks=lines, xticklabels=[], yticklabels=[], title=title)
    ax.set(xlim=(-0.5, 15.5), ylim=(-0.5, 15.5))
    ax.grid(color="0.6", linewidth=0.8)  # the borders of the windows
plt.show()

# %% [markdown]
# ## Attention
#
# $$ \mathrm{attention}(q, k, v) = \mathrm{softmax}\!\left(\frac{q k^\top}{\sqrt d} + B\right) v $$
#
# Query $q$, key $k$ and value $v$ are vectors of $d$ numbers, linear in a pixel's features. The bias $B$
# depends only on the offset between two pixels.
#
# ```python
# q, k, v = rearrange(self.qkv(windows), "n w p (part h d) -> part (n w h) p d", part=3, h=heads)
# bias = rearrange(self.bias[self.index], "p q h -> h p q")         # B, one number per offset
# scores = rearrange(q @ k.mT, "(n w h) p q -> n w h p q")          # every pixel with every other
# values = (scores / sqrt(d) + bias).softmax(dim=-1) @ v
# ```
#
# ## Differences from the reference
#
# The reference is SwinIR {cite}`liang2021`. Layers, relative position bias, mask, closing convolutions,
# norms, skip around the body and initialisation are the same; a test compares the layer with torch's.
#
# | | SwinIR | here | effect |
# |---|---|---|---|
# | skip of the input | where sizes agree | where bands agree | *no skip of the source* |
# | pixels | as they are | packed 2 x 2 | a quarter of the cost, not measured |
# | learning rate | 2e-4 at depth 24 to 36 | {glue:text}`swin_rate` at depth 4 (`quick`) | *rate 1e-3*, *rate 2e-4* |
# | stochastic depth | 0.1 | none | not measured: trainings too short to overfit |
# | width, depth, window | 60 to 180, 24 to 36, 8 | 48, 4, 4 (`quick`); 96, 24, 8 (`paper`) | not measured |
#
# Names in the last column are rows of a kept table (`benchmarks/bench_recipes.py`): one training of 200
# steps each, validation galaxies, residual in units of the sky noise, the rest in per cent.

# %% tags=["hide-input"]
glue("swin_rate", f"{rate:g}", display=False)
ablation.recipe_table("swin")

# %% [markdown]
# ## Computing cost
#
# Measured on the processor that made this page, for crops of {glue:text}`swin_crop` pixels a side:

# %% tags=["hide-input"]
costs = pd.DataFrame(
    {name: ablation.network_cost(name, profile) for name in ("residual", "swin")}
).T
speed = costs["crops/s in training"]
glue("swin_slower", float(speed["residual"] / speed["swin"]), display=False)
glue("swin_crop", ablation.CROP, display=False)
costs.rename(plotting.MODEL_NAME).style.format("{:,.0f}")

# %% [markdown]
# Since the networks of this book train for similar times, they see different numbers of galaxies.
#
# ## Training
#
# Loss, crops, schedule and the criterion fixed in advance are those of [the residual
# network](11_residual.py): a smaller residual than resampling, or for `intra` than a repeat observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "swin", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: loss terms. Right: residual on the validation galaxies in units of the target's sky noise, for the running mean of the weights.", "name": "fig-swin-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Translated galaxies

# %% mystnb={"figure": {"caption": "Four test galaxies, from bright to faint: source on the target's grid, translation, target, and r-band residual in units of the target's sky noise.", "name": "fig-swin-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["leading", "hide-input"]
study.examples(result)
plt.show()

# %% tags=["leading"]
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## Ablation of attention and shift
#
# In the trained network, attention is replaced by uniform weights within a window, or the shift is omitted.


# %%
def swin_layers(network):
    return [layer for group in network.body[1:-1] for layer in group.layers]


def uniform(network):
    for layer in swin_layers(network):
        layer.attention.qkv.weight[: layer.attention.out.in_features] = 0  # every query
        layer.attention.qkv.bias[: layer.attention.out.in_features] = 0
        layer.attention.bias.zero_()


def unshifted(network):
    for layer in swin_layers(network):
        layer.shift = 0


ablation.ablations(result, {"uniform attention": uniform, "no shift": unshifted})

# %% [markdown]
# The ablation shows what this network uses, not what a network retrained without it could achieve.
#
# ## Limitations
#
# The translation, a best estimate, is too smooth. Its sky noise derives from the source's, which is the
# target's only for `intra`.

# %% mystnb={"figure": {"caption": "Standard deviation in the corner of each test stamp in the r band, relative to the target's sky noise: near 1 for a true image, less for a smooth one.", "name": "fig-swin-noise"}, "image": {"alt": "Two histograms of the corner noise, for targets and translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`swin_n` test galaxies the residual is {glue:text}`swin_chi_interval` times the sky noise, in
# the median galaxy {glue:text}`swin_typical_interval` times; that of {glue:text}`swin_yardstick` exceeds it
# by {glue:text}`swin_margin`. The central flux has a bias of {glue:text}`swin_bias_interval` per cent and a
# scatter of {glue:text}`swin_scatter_interval` per cent. The noise in the corners is
# {glue:text}`swin_noise:.2f` times the target's. Training took {glue:text}`swin_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. How much does the bias $B$ matter? Set it to zero in the trained network and evaluate it with
#    `ablation.ablations`.
#
# ```{dropdown} Solution
# `for layer in swin_layers(network): layer.attention.bias.zero_()`. The convolutions also provide relative
# positions.
# ```
#
# **What's next:** a second network that evaluates the first: [the SRGAN](13_srgan.py).
