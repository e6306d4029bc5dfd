# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Capsule network: routing by agreement
#
# Can a network translate a galaxy through a handful of numbers that each *mean* something?
#
# A capsule is a small vector. Its length says how sure the network is that something is there; its
# direction, the *pose*, says how it looks. Parts vote for wholes, and votes that agree count more
# {cite}`sabour2017`.
#
# **What you will learn**
#
# - how routing by agreement works, turn by turn;
# - over which axis the couplings must be normalised;
# - how to find out what a capsule encodes: move one pose dimension and look.
#
# **Prerequisites:** the chapter on [the residual network](11_residual.py). About 20 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from myst_nb import glue

from companion import ablation, plotting, study
from galtools.fidelity import intervals
from galtools.models import capsule
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
# Eight children vote for two parents. For the first parent six votes point the same way and two do
# not; for the second all votes are random. Turn by turn, the children that agree give more of
# themselves to the first parent.

# %% mystnb={"figure": {"caption": "Coupling of each of eight children to the first of two parents, before and after each turn of routing. Children 1 to 6 (solid) agree about it, 7 and 8 (dashed) do not.", "name": "fig-capsule-routing"}, "image": {"alt": "Lines that start at one half and part: those of agreeing children rise."}} tags=["hide-input"]
random = torch.Generator().manual_seed(3)
votes = 0.7 * torch.randn(1, 8, 2, 4, generator=random)
votes[0, :6, 0] = torch.tensor([1.5, 0.5, 0.0, 0.0])
turns = range(1, 6)
c = np.array([capsule.route(votes, turn)[1][0, :, 0].numpy() for turn in turns])
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.8))
for child in range(8):
    agrees = child < 6
    ax.plot(turns, c[:, child], "-" if agrees else "--", color="C0" if agrees else "C1")
ax.set(xlabel="turn", ylabel="coupling to parent 1", xticks=list(turns), ylim=(0, 1))
plt.show()

# %% [markdown]
# ## The equations beside the code
#
# $$ c_{ij} = \frac{e^{b_{ij}}}{\sum_k e^{b_{ik}}}, \qquad
#    s_j = \sum_i c_{ij}\,\hat u_{j|i}, \qquad
#    v_j = \frac{|s_j|^2}{1 + |s_j|^2}\,\frac{s_j}{|s_j|}, \qquad
#    b_{ij} \leftarrow b_{ij} + \hat u_{j|i} \cdot v_j . $$
#
# ```python
# couplings = logits.softmax(dim=2)                       # over the parents j
# poses = (couplings[:, :, :, None] * votes).sum(dim=1)
# logits = logits + (votes * squash(poses, dim=2)[:, None]).sum(dim=3)
# ```
#
# Child $i$ votes $\hat u_{j|i}$ for parent $j$ and gives it the share $c_{ij}$ of itself; $b$ starts at
# zero, and grows where a vote agrees with the parent $v_j$ that came of all votes.
#
# The sum in the softmax runs over the *parents*: a part belongs to one whole. Normalised over the
# children instead, a widespread slip, every whole would be made of exactly one part's worth of
# children, and agreement could no longer say which whole is there.
#
# Here children sit on packed pixels and vote by convolutions; each place of the image is routed by
# itself. A decoder turns the poses of the parents back into an image, and sees nothing else:
# {glue:text}`capsule_parents` parents with {glue:text}`capsule_pose` numbers each for every $4 \times 4$
# pixels in five bands. Squashing keeps every vector shorter than one, and fluxes have no upper end. So images
# come in through asinh and leave through sinh, and the decoder is given the sums $s_j$ rather than $v_j$: the
# squashed ones decide the routing alone.
#
# ## The reference and this network
#
# Capsules were made to classify digits {cite}`sabour2017`; with convolutions and local routing they
# segment images {cite}`lalonde2018`. Point by point:
#
# | | reference | here | effect |
# |---|---|---|---|
# | squash, couplings, agreement | Sabour et al. | the same | equal to plain loops (a test) |
# | turns of routing | 3 | 3 | *one turn of routing*; below, after the training |
# | gradient through routing | all turns | the last turn | not measured |
# | votes | a matrix for each pair of child and parent | a 4 x 4 convolution for each, as in local routing | not measured |
# | loss | margin on lengths, plus reconstruction | that of the translation alone | |
# | decoder | fully connected, from one capsule | convolutions, from all parents of a place | not measured |
# | poses that are decoded | squashed | not squashed | *squashed poses* |
# | images | as they are, between 0 and 1 | through asinh, and back | *without asinh* |
# | skips around the parents | none; in segmentation between levels | none | *skip of the source* |
#
# The last column names rows of a kept table (`benchmarks/bench_recipes.py`: one training of 200 steps each,
# judged on the validation galaxies; residual in units of the sky noise, the rest in per cent).

# %% tags=["hide-input"]
ablation.recipe_table("capsule")

# %% [markdown]
# ## Training
#
# Loss, crops and schedule are those of [the residual network](11_residual.py), and so is the test named
# before looking: to beat resampling, or for `intra` a second observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "capsule", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-capsule-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Translated galaxies

# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint: the source on the target's grid, the translation, the target, and the residual in the r band in units of the target's sky noise.", "name": "fig-capsule-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
study.examples(result)
plt.show()

# %%
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## What a pose encodes
#
# We take one galaxy, add a number (in units of the parent's length) to one pose dimension of the most
# active parent wherever that parent is present, and decode. Each row moves another dimension; what
# changes is what it encodes.


# %%
@torch.no_grad()
def change(result, galaxy, dimension, by):
    """Change of the r-band flux when the most active parent's pose is moved, in units of noise."""
    network, scaling = result.network, result.network.scaling
    source = torch.as_tensor(result.pairs.source[galaxy : galaxy + 1])
    parents = network.encode(torch.asinh(scaling.normalize(source)))
    lengths = parents.norm(dim=2)
    busiest = int(lengths.sum(dim=(0, 2, 3)).argmax())
    moved = parents.clone()
    moved[:, busiest, dimension] += by * lengths[:, busiest]
    images = (torch.sinh(network.decode(poses)) for poses in (parents, moved))
    before, after = map(scaling.denormalize, images)
    sigma = result.pairs.noise[galaxy, 1, study.R_BAND]
    return (after - before)[0, study.R_BAND].numpy() / sigma


# %% mystnb={"figure": {"caption": "The brightest test galaxy in r, when one pose dimension of the most active parent is moved by the number above: the change of flux in units of the sky noise, for the three dimensions that change most. Rows that look alike, up to strength and sign, encode the same thing.", "name": "fig-capsule-pose"}, "image": {"alt": "Grid of red and blue maps of change, one row per pose dimension."}} tags=["hide-input"]
galaxy = int(np.argmax(result.pairs.target[:, study.R_BAND].sum(axis=(1, 2))))
size = [np.abs(change(result, galaxy, d, 0.5)).sum() for d in range(result.network.pose)]
shown, shifts = np.argsort(size)[::-1][:3], (-0.5, -0.25, 0.25, 0.5)
limit = float(np.quantile(np.abs(change(result, galaxy, shown[0], 0.5)), 0.995))
fig, axes = plt.subplots(3, 4, figsize=(plotting.WIDTH, 4.8))
fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
for line, dimension in zip(axes, shown, strict=True):
    for ax, by in zip(line, shifts, strict=True):
        picture = plotting.residual_map(change(result, galaxy, dimension, by), 0, 1, ax, limit)
    line[0].set_ylabel(f"dimension {dimension}")
for ax, by in zip(axes[0], shifts, strict=True):
    ax.set_title(f"{by:+.2f}".replace("-", "−"), fontsize=10, fontweight="normal")
style = {"location": "bottom", "extend": "both", "shrink": 0.7}
fig.colorbar(picture, ax=axes, label="change of flux / noise σ", **style)
plt.show()


# %% tags=["remove-cell"]
def pattern_share(galaxy):
    """Share of the power of all changes that one and the same pattern has, in per cent."""
    maps = [change(result, galaxy, d, 0.5).ravel() for d in range(result.network.pose)]
    power = np.linalg.svd(np.stack(maps), compute_uv=False) ** 2
    return 100 * power[0] / power.sum()


some = np.linspace(0, len(result.pairs) - 1, min(30, len(result.pairs))).astype(int)
found = intervals.bootstrap(intervals.median, [pattern_share(k) for k in some])
glue("capsule_pattern", str(found), display=False)
glue("capsule_pattern_n", found.n, display=False)
glue("capsule_pose", result.network.pose, display=False)
glue("capsule_parents", result.network.parents, display=False)

# %% [markdown]
# Do the {glue:text}`capsule_pose` dimensions mean different things? Lay the maps of all of them side by
# side: in the median of {glue:text}`capsule_pattern_n` galaxies {glue:text}`capsule_pattern` per cent of
# the power of all changes is one and the same pattern (the first singular value), stronger in some
# dimensions than in others. A hundred would be one number in several guises. (The fine grid is the
# decoder's: it rearranges channels into pixels, and each place in a block has weights of its own.)

# %% [markdown]
# ## Without its distinctive part
#
# What do the parents carry, and what does the routing do? In the trained network we freeze each parent to its
# mean over places and galaxies, and we route by one turn only, so that all couplings are equal.


# %%
def frozen(network):
    source = network.scaling.normalize(torch.as_tensor(result.pairs.source[:50]))
    parents = network.encode(torch.asinh(source)).mean(dim=(0, 3, 4), keepdim=True)
    network.encode = lambda x: parents.expand(len(x), -1, -1, *(s // 4 for s in x.shape[-2:]))


def one_turn(network):
    network.iterations = 1


ablation.ablations(result, {"parents frozen": frozen, "one turn of routing": one_turn})

# %% [markdown]
# ## What goes wrong
#
# The parents carry the image, so what they cannot hold is lost: they are
# {glue:text}`capsule_parents` times {glue:text}`capsule_pose` numbers for every $4 \times 4$ pixels, on a grid of
# their own. Compare the residual of this chapter with that of [the residual network](11_residual.py), whose
# pixels find their way past every block: it is the price of a bottleneck in a training as short as this.

# %% mystnb={"figure": {"caption": "Standard deviation of the corner of each test stamp in the r band, relative to the target's sky noise: a true image has one, a smooth one less.", "name": "fig-capsule-noise"}, "image": {"alt": "Two histograms of the noise, of the targets and of the translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`capsule_n` test galaxies (task {glue:text}`capsule_task`) the residual is
# {glue:text}`capsule_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`capsule_typical_interval` times. That it beats a baseline is
# {glue:text}`capsule_test`: {glue:text}`capsule_yardstick` leaves {glue:text}`capsule_margin` more.
# The central flux is biased by {glue:text}`capsule_bias_interval` per cent and scatters by
# {glue:text}`capsule_scatter_interval`. The noise in the corners is {glue:text}`capsule_noise:.2f` times
# that of the target. Training took {glue:text}`capsule_seconds:.0f` seconds. One pattern has
# {glue:text}`capsule_pattern` per cent of what the poses of the busiest parent change: the nearer to a
# hundred, the less does each number mean something of its own.
#
# ## Exercises
#
# 1. Train with one turn only (`iterations=1`): all couplings are equal. Is the translation worse?
#
# ```{dropdown} Solution
# Build with `capsule.Capsule(..., iterations=1)`. The row *one turn of routing* of the table of the reference
# is such a training: what routing adds, a decoder that was trained without it can largely do without. Switched
# off after the training it is missed.
# ```
#
# 2. Change `softmax(dim=2)` to `dim=1` and run the tests. Which one fails, and why?
#
# ```{dropdown} Solution
# The one that demands that couplings sum to one over the parents, and the case worked by hand.
# ```
#
# **What's next:** a model that gives not one answer but many: [diffusion](15_diffusion.py).
