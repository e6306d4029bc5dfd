# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Capsule network: routing by agreement
#
# The claim that the capsule network has a smaller residual than {glue:text}`capsule_yardstick` is
# {glue:text}`capsule_test` (task {glue:text}`capsule_task`). A single pattern contains
# {glue:text}`capsule_pattern` per cent of the power of the changes that its pose dimensions cause; at 100
# per cent all would encode the same property.
#
# A capsule is a small vector. Its length encodes whether something is present, its direction, the *pose*,
# the properties. Child capsules (parts) vote for parents (wholes), and votes that agree get more weight
# {cite}`sabour2017`.
#
# **What you will learn**
#
# - routing by agreement, and how couplings are normalised;
# - interpretation of pose dimensions.
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
# ## Example of routing
#
# Eight children vote for two parents. Six votes for the first parent agree and increase in coupling; all
# other votes are random.

# %% mystnb={"figure": {"caption": "Coupling of eight children to the first of two parents in each iteration of routing. Children 1 to 6 (solid) agree in their votes for it, 7 and 8 (dashed) do not.", "name": "fig-capsule-routing"}, "image": {"alt": "Lines that start at one half and diverge: those of agreeing children rise."}} tags=["hide-input"]
random = torch.Generator().manual_seed(3)
votes = 0.7 * torch.randn(1, 8, 2, 4, generator=random)
votes[0, :6, 0] = torch.tensor([1.5, 0.5, 0.0, 0.0])
turns = range(1, 6)
c = np.array([capsule.route(votes, turn)[1][0, :, 0].numpy() for turn in turns])
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.8))
for child in range(8):
    agrees = child < 6
    ax.plot(turns, c[:, child], "-" if agrees else "--", color="C0" if agrees else "C1")
ax.set(xlabel="iteration", ylabel="coupling to parent 1", xticks=list(turns), ylim=(0, 1))
plt.show()

# %% [markdown]
# ## Routing equations
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
# Child $i$ votes $\hat u_{j|i}$ for parent $j$ with coupling $c_{ij}$. The logits $b$ start at zero and grow
# where a vote agrees with the parent's squashed pose $v_j$. The softmax runs over the *parents*, since a
# part belongs to one whole. Normalised over the children, a common error, all parents would receive the same
# total weight, whatever the agreement.
#
# Here children sit on packed pixels, vote by convolutions, and are routed independently at each position. A
# decoder reconstructs the image from the poses of the parents alone: {glue:text}`capsule_parents` parents of
# {glue:text}`capsule_pose` numbers for every $4 \times 4$ pixels in five bands. Squashed vectors are shorter
# than 1, but fluxes are unbounded. So images enter through asinh and leave through sinh, and the decoder
# gets the sums $s_j$; the $v_j$ only determine the routing.
#
# ## Differences from the reference
#
# The references are capsules for classification {cite}`sabour2017` and segmentation {cite}`lalonde2018`.
#
# | | reference | here | effect |
# |---|---|---|---|
# | squash, couplings, agreement | Sabour et al. | the same | tested against plain loops |
# | iterations of routing | 3 | 3 | *one turn of routing*; ablation below |
# | gradient through routing | all iterations | the last one | not measured |
# | votes | a matrix per child and parent | a 4 x 4 convolution, as in local routing | not measured |
# | decoder | fully connected, from one capsule | convolutions, from all parents of a position | not measured |
# | decoded poses | squashed | not squashed | *squashed poses* |
# | images | as they are, between 0 and 1 | through asinh and back | *without asinh* |
# | skips around the parents | none; in segmentation between levels | none | *skip of the source* |
#
# Names in the last column are rows of a kept table (`benchmarks/bench_recipes.py`): one training of 200
# steps each, validation galaxies, residual in units of the sky noise, the rest in per cent.

# %% tags=["hide-input"]
ablation.recipe_table("capsule")

# %% [markdown]
# ## Training
#
# Loss, crops, schedule and the criterion fixed in advance are those of [the residual
# network](11_residual.py): a smaller residual than resampling, or for `intra` than a repeat observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "capsule", task, seed, settings)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: loss terms. Right: residual on the validation galaxies in units of the target's sky noise, for the running mean of the weights.", "name": "fig-capsule-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# ## Translated galaxies

# %% mystnb={"figure": {"caption": "Four test galaxies, from bright to faint: source on the target's grid, translation, target, and r-band residual in units of the target's sky noise.", "name": "fig-capsule-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["leading", "hide-input"]
study.examples(result)
plt.show()

# %% tags=["leading"]
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## Interpretation of poses
#
# One pose dimension of the most active parent is changed, in units of the parent's length, and the image
# decoded. Each row of the figure is another dimension.


# %%
@torch.no_grad()
def decode(result, galaxy, dimension, by):
    """Image (bands, H, W) decoded after a shift of the pose of the most active parent."""
    network, scaling = result.network, result.network.scaling
    source = torch.as_tensor(result.pairs.source[galaxy : galaxy + 1])
    parents = network.encode(torch.asinh(scaling.normalize(source)))
    lengths = parents.norm(dim=2)
    busiest = int(lengths.sum(dim=(0, 2, 3)).argmax())
    parents[:, busiest, dimension] += by * lengths[:, busiest]
    return scaling.denormalize(torch.sinh(network.decode(parents)))[0].numpy()


def change(result, galaxy, dimension):
    """Change of the r-band flux when a pose dimension is shifted by half the parent's length."""
    images = (decode(result, galaxy, dimension, by)[study.R_BAND] for by in (0.5, 0))
    return np.subtract(*images)


# %% mystnb={"figure": {"caption": "The brightest test galaxy, decoded after one pose dimension of the most active parent is shifted by the number above, for the three dimensions with the largest effect. Rows that agree up to strength and sign encode the same property.", "name": "fig-capsule-pose"}, "image": {"alt": "Colour stamps of one galaxy, one row per pose dimension; from left to right its brightness, colour or shape changes."}} tags=["hide-input"]
galaxy = int(np.argmax(result.pairs.target[:, study.R_BAND].sum(axis=(1, 2))))
size = [np.abs(change(result, galaxy, d)).sum() for d in range(result.network.pose)]
largest, shifts = np.argsort(size)[::-1][:3], (-1, -0.5, 0, 0.5, 1)
rows = [np.stack([decode(result, galaxy, d, by) for by in shifts]) for d in largest]
titles = [f"{by:+g}".replace("-", "−") if by else "0" for by in shifts]
plotting.stamps(rows, [f"dimension {d}" for d in largest], titles)
plt.show()


# %% tags=["remove-cell"]
def pattern_fraction(galaxy):
    """Share of the power of all changes that one and the same pattern has, in per cent."""
    maps = [change(result, galaxy, d).ravel() for d in range(result.network.pose)]
    power = np.linalg.svd(np.stack(maps), compute_uv=False) ** 2
    return 100 * power[0] / power.sum()


some = np.linspace(0, len(result.pairs) - 1, min(30, len(result.pairs))).astype(int)
estimate = intervals.bootstrap(intervals.median, [pattern_fraction(k) for k in some])
glue("capsule_pattern", str(estimate), display=False)
glue("capsule_pattern_n", estimate.n, display=False)
glue("capsule_pose", result.network.pose, display=False)
glue("capsule_parents", result.network.parents, display=False)

# %% [markdown]
# In the median of {glue:text}`capsule_pattern_n` galaxies, the first singular value of the maps of all
# {glue:text}`capsule_pose` dimensions contains {glue:text}`capsule_pattern` per cent of their power.

# %% [markdown]
# ## Ablation of parents and routing
#
# In the trained network each parent is frozen to its mean over positions and galaxies, or routing is limited
# to one iteration, with equal couplings.


# %%
def frozen(network):
    source = network.scaling.normalize(torch.as_tensor(result.pairs.source[:50]))
    parents = network.encode(torch.asinh(source)).mean(dim=(0, 3, 4), keepdim=True)
    network.encode = lambda x: parents.expand(len(x), -1, -1, *(s // 4 for s in x.shape[-2:]))


def one_turn(network):
    network.iterations = 1


ablation.ablations(result, {"mean parents": frozen, "one routing iteration": one_turn})

# %% [markdown]
# ## Limitations
#
# The poses are a bottleneck, which [the residual network](11_residual.py) does not have; compare its
# residual.

# %% mystnb={"figure": {"caption": "Standard deviation in the corner of each test stamp in the r band, relative to the target's sky noise: near 1 for a true image, less for a smooth one.", "name": "fig-capsule-noise"}, "image": {"alt": "Two histograms of the corner noise, for targets and translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()

# %% [markdown]
# ## What we found
#
# On {glue:text}`capsule_n` test galaxies the residual is {glue:text}`capsule_chi_interval` times the sky
# noise, in the median galaxy {glue:text}`capsule_typical_interval` times; that of
# {glue:text}`capsule_yardstick` exceeds it by {glue:text}`capsule_margin`. The central flux has a bias of
# {glue:text}`capsule_bias_interval` per cent and a scatter of {glue:text}`capsule_scatter_interval` per
# cent. The noise in the corners is {glue:text}`capsule_noise:.2f` times the target's. Training took
# {glue:text}`capsule_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Change `softmax(dim=2)` to `dim=1` and run the tests. Which one fails, and why?
#
# ```{dropdown} Solution
# The one that requires couplings to sum to 1 over the parents, and the example calculated by hand.
# ```
#
# **What's next:** sampling several translations of one source: [diffusion](15_diffusion.py).
