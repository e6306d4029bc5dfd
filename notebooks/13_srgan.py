# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # SRGAN: adversarial training
#
# Can a second network teach the first to make images that do not only fit on average, but look like
# the survey they claim to come from?
#
# The networks so far give the middle of all possible answers, which is smoother than any of them. A
# critic that has seen true images notices this at once. In the SRGAN {cite}`ledig2017`, a *generative
# adversarial network* once made for *super-resolution*, the two play against each other.
#
# **What you will learn**
#
# - what the two sides of the game lower;
# - how to read their losses, and what collapse would look like;
# - what the critic buys, and what it costs in photometry.
#
# **Prerequisites:** the chapter on [the residual network](11_residual.py). About 15 minutes.

# %% tags=["hide-input"]
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

import galtools
from companion import ablation, panels, plotting, study
from galtools.fidelity import intervals, structure
from galtools.models.base import count_parameters
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
task: str = "cross"  # cross: SDSS to CFHTLS; intra: SDSS to the same SDSS image
steps: int = 900  # training steps
batch: int = 16  # galaxies in a step
crop: int = 32  # pixels along a side of the random crops
rate: float = 0.002  # highest learning rate

# %% [markdown]
# ## The idea in a picture
#
# The critic $D$ sees a source and either its true target or a translation. It is done with a patch
# once its score is above one for the true one and below minus one for the other; until then it
# pays in proportion. The generator wants the score of its translations to rise.

# %% mystnb={"figure": {"caption": "The hinge loss of the critic against its score of a true image and of a translation.", "name": "fig-srgan-hinge"}, "image": {"alt": "Two ramps that cross at score zero: one falls to zero at score one, the other rises from zero at minus one."}} tags=["hide-input"]
score = torch.linspace(-2.5, 2.5, 200)
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.5))
ax.plot(score, torch.relu(1 - score), color=plotting.MODEL_COLOUR["truth"], label="true")
ax.plot(score, torch.relu(1 + score), color=plotting.MODEL_COLOUR["srgan"], label="translated")
ax.set(xlabel="score D", ylabel="loss of the critic")
ax.legend()
plt.show()

# %% [markdown]
# ## The equations beside the code
#
# $$ L_D = \langle \max(0, 1 - D(x, y)) \rangle + \langle \max(0, 1 + D(x, G(x))) \rangle, $$
#
# $$ L_G = L_\mathrm{pixel} + L_\mathrm{flux} + c\,\langle |\varphi(y) - \varphi(G(x))| \rangle
#    - a\,\langle D(x, G(x)) \rangle $$
#
# with $x$ the source, $y$ the target, $G$ the generator, and small weights $c$ and $a$; the first two terms
# are those of [the residual network](11_residual.py).
#
# ```python
# losses["content"] = self.content * content            # c <|phi(y) - phi(G(x))|>
# losses["adversarial"] = -self.adversarial * score.mean()   # - a <D(x, G(x))>
# ```
#
# The *content* loss compares features $\varphi$. They are usually taken from a network trained on
# photographs, which knows cats but no galaxies. Here they are the critic's own layers: a network that
# has seen nothing but galaxies. Three things keep the game stable: the hinge, which lets a critic that
# has won stop pushing; a small weight $a$, so that photometry stays in charge; and a late start,
# when the generator already draws decent galaxies.
#
# The critic also has to *see* what is wrong: translations differ from true images by a few hundredths, in
# detail and in noise. So what a mean over $3 \times 3$ pixels takes away is shown to it magnified.
#
# ## The reference and this network
#
# What is trained here is SRGAN in spirit: a residual generator against a critic of patches that also sees the
# source. Point by point:
#
# | | SRGAN | here | effect |
# |---|---|---|---|
# | generator | residual blocks with batch norm, long skip, sub-pixel output | the same without batch norm | not measured |
# | critic | one score per image, of the image alone | one score per patch, of source and image | not measured |
# | adversarial loss | cross entropy, weight 1e-3 | hinge, weight 0.05 | *no critic* |
# | content loss | features of a network for photographs | the critic's own features | not measured |
# | start | generator pre-trained on pixels, critic from the start | critic after 40 % of the steps | exercise 2 |
# | rates of critic and generator | equal; today often a faster critic | critic's times {glue:text}`srgan_critic_rate` | *critic's rate* |
# | steps of critic and generator | one each | one each | |
#
# The last column names rows of a kept table (`benchmarks/bench_recipes.py`: one training of 200 steps each,
# judged on the validation galaxies; residual in units of the sky noise, the rest in per cent). What the critic
# is there for, power at high frequency, is not in it: see below. A critic as fast as its generator, or faster,
# is usual elsewhere; compare the rows, above all in bias, to see why this one is slower.

# %% tags=["hide-input"]
ablation.recipe_table("srgan")

# %% [markdown]
# ## Training
#
# Named before looking: the same test as for [the residual network](11_residual.py), to beat resampling,
# or for `intra` a second observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "srgan", task, seed, settings)
glue("srgan_critic_rate", f"{result.network.critic_lr_scale:g}", display=False)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: the terms of the loss. Right: the residual on the validation galaxies, in units of the target's sky noise, by the running mean of the weights.", "name": "fig-srgan-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# Look at the hinge on the left. That of a critic that knows nothing is two; that of one that has won is
# zero. Both ends would be the end of learning: a generator facing a perfect
# critic has no slope to follow. Collapse would show as a hinge near zero with a rising pixel loss. A
# hinge near two says that patch by patch the critic can hardly tell the two apart. That may be because it
# has learnt nothing, or because the generator follows it. Which of the two it is, this loss cannot say;
# a generator that does not follow, further down, can.
#
# ## Translated galaxies

# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint: the source on the target's grid, the translation, the target, and the residual in the r band in units of the target's sky noise.", "name": "fig-srgan-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
study.examples(result)
plt.show()

# %%
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## What goes wrong
#
# A critic rewards what looks right, not what *is* right: texture at the right level in the wrong
# place costs nothing. The noise in the corners tells how far the generator has gone that way. And
# since it receives no random numbers, whatever it adds is a function of the source: the same noise
# in, the same texture out.

# %% mystnb={"figure": {"caption": "Standard deviation of the corner of each test stamp in the r band, relative to the target's sky noise: a true image has one, a smooth one less.", "name": "fig-srgan-noise"}, "image": {"alt": "Two histograms of the noise, of the targets and of the translations."}} tags=["hide-input"]
study.noise_histogram(result)
plt.show()


# %% tags=["hide-input"]
@torch.no_grad()
def mean_scores(result, images):
    """Mean score of each image, a few galaxies at a time."""
    scaling, parts = result.network.scaling, []
    for k in range(0, len(images), study.PART):
        some = slice(k, k + study.PART)
        x = scaling.normalize(torch.as_tensor(result.pairs.source[some]))
        y = scaling.target.forward(torch.as_tensor(images[some]))
        parts.append(result.network.critic(x, y)[0].mean(dim=(1, 2, 3)))
    return torch.cat(parts).numpy()


# %% mystnb={"figure": {"caption": "Score of the critic on test galaxies, mean over the patches of each: how well it still tells truth from translation at the end of the training.", "name": "fig-srgan-score"}, "image": {"alt": "Two overlapping histograms of scores."}} tags=["hide-input"]
images = {"truth": result.pairs.target, "srgan": result.translated}
scores = {name: mean_scores(result, shown) for name, shown in images.items()}
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.6))
bins = np.histogram_bin_edges(np.concatenate(list(scores.values())), 40)
for name, score in scores.items():
    label = plotting.with_n(plotting.MODEL_NAME[name], len(score))
    style = {"histtype": "step", "linewidth": 2, "color": plotting.MODEL_COLOUR[name]}
    ax.hist(score, bins, label=label, **style)
ax.set(xlabel="mean score D", ylabel="galaxies")
ax.legend()
plt.show()

# %% tags=["remove-cell"]
told = scores["truth"] > scores["srgan"]
glue("srgan_told", str(intervals.proportion(told)), display=False)
variances = [
    result.network.scaling.target.forward(torch.as_tensor(images)).var(dim=0).mean()
    for images in (result.translated, result.pairs.target)
]
glue("srgan_diversity", float(variances[0] / variances[1]), display=False)

# %% [markdown]
# Two numbers sum up the game. Shown both, the critic prefers the truth to its translation for a share of
# {glue:text}`srgan_told` of the test galaxies: a half would be guessing, one a critic that has won. And a
# generator that had *collapsed* would give all galaxies the same face: relative to the truth, its images vary
# from galaxy to galaxy by {glue:text}`srgan_diversity:.2f` (variance of the stretched pixels; zero is
# collapse, one is right).

# %% [markdown]
# ## What the critic buys
#
# The best single guess is smooth: between the grain of the sky and the shape of a galaxy, power is missing.
# A critic that has learnt something should give some of it back. The power spectrum of the whole stamps,
# relative to that of the targets, says how much: one is as sharp and as noisy as the truth.

# %% mystnb={"figure": {"caption": "Power of the translations relative to the targets', r band, median over test galaxies with quartiles, from coarse to fine structure.", "name": "fig-srgan-power"}, "image": {"alt": "Curves with shaded quartiles of relative power against spatial frequency, of translations and of resampling, and a dashed line at one."}} tags=["hide-input"]
rings = 16
target = structure.power_spectrum(result.pairs.target[:, [study.R_BAND]], rings)[:, 0]
frequency = (np.arange(rings) + 0.5) / (2 * rings)
rows = {"srgan": result.translated}
if task == "cross":  # within one survey resampling is the target
    rows["resample"] = result.floor
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.8))
sharp = {}
for name, images in rows.items():
    power = structure.power_spectrum(images[:, [study.R_BAND]], rings)[:, 0] / target
    low, sharp[name], high = np.quantile(power, [0.25, 0.5, 0.75], axis=0)
    label = plotting.with_n(plotting.MODEL_NAME[name], len(power))
    ax.plot(frequency, sharp[name], color=plotting.MODEL_COLOUR[name], label=label)
    ax.fill_between(frequency, low, high, color=plotting.MODEL_COLOUR[name], alpha=0.2, linewidth=0)
ax.axhline(1, color="black", linestyle="--")
ax.set(xlabel="spatial frequency [cycles / pixel]", ylabel="power / the target's")
panels.log_scale(ax)
ax.set_ylim(bottom=0.09)
ax.legend()
plt.show()

# %% tags=["remove-cell"]
middle, fine = (frequency > 0.2) & (frequency < 0.3), frequency > 0.3
glue("srgan_power_middle", float(sharp["srgan"][middle].mean()), display=False)
glue("srgan_power_fine", float(sharp["srgan"][fine].mean()), display=False)

# %% [markdown]
# Between 0.2 and 0.3 cycles per pixel the translations hold {glue:text}`srgan_power_middle:.2f` of the power of
# the targets in the r band, and {glue:text}`srgan_power_fine:.2f` beyond that. For `cross`, what is missing there is
# mostly the target's own noise, which no function of the source can supply; what resampling has too much
# of is the noise of the source.
#
# Is any of this the critic's doing? A kept run of `benchmarks/bench_critic.py` (task `cross`) trains the same
# generator with its critic and without, on the same galaxies in the same order, with several seeds each.

# %% mystnb={"figure": {"caption": "Kept run: power relative to the target's, r band, of the same generator trained with its critic and without. Lines are means over seeds of the median galaxy, shades the range of the seeds.", "name": "fig-srgan-critic"}, "image": {"alt": "Two curves with narrow shades; at high frequency that with the critic lies well above that without."}} tags=["hide-input"]
kept = json.loads((Path(galtools.__file__).parents[1] / "benchmarks" / "critic.json").read_text())
trials, about = pd.DataFrame(kept["rows"]), kept["about"]
frequency = (np.arange(about["rings"]) + 0.5) / (2 * about["rings"])
fine = frequency > 0.3
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.8))
styles = {"with critic": plotting.MODEL_COLOUR["srgan"], "without": "#666666"}
for name, line in zip(styles, ("-", "--"), strict=True):
    power = np.array(trials[trials.variant == name].power.tolist())
    ax.plot(frequency, power.mean(axis=0), line, color=styles[name], label=name)
    ax.fill_between(
        frequency, power.min(0), power.max(0), color=styles[name], alpha=0.2, linewidth=0
    )
    glue(f"critic_fine_{name.split()[0]}", float(power[:, fine].mean()), display=False)
ax.axhline(1, color="black", linestyle=":")
ax.set(xlabel="spatial frequency [cycles / pixel]", ylabel="power / the target's")
panels.log_scale(ax)
ax.legend(title=f"n = {about['galaxies']:,}, {trials.seed.nunique()} seeds")
plt.show()

# %% tags=["hide-input"]
columns = {"hinge": "hinge at the end", "residual": "residual / σ", "bias": "bias [%]",
           "scatter": "scatter [%]", "noise": "noise in corners"}  # fmt: skip
seeds = trials.groupby("variant", sort=False)[list(columns)].agg(["mean", "min", "max"])
cells = {
    label: [intervals.format_interval(*line) for line in part.to_numpy()]
    for label, part in ((columns[key], seeds[key]) for key in columns)
}
hinge = trials.groupby("variant").hinge.mean()
glue("critic_hinge_with", float(hinge["with critic"]), display=False)
glue("critic_hinge_without", float(hinge["without"]), display=False)
glue("critic_seeds", int(trials.seed.nunique()), display=False)
pd.DataFrame(cells, index=list(seeds.index)).T

# %% [markdown]
# Means over {glue:text}`critic_seeds` seeds, in brackets the lowest and the highest of them. Beyond 0.3
# cycles per pixel the generator has {glue:text}`critic_fine_with:.2f` of the target's power with its
# critic, {glue:text}`critic_fine_without:.2f` without. And the critic has learnt something: facing a
# generator that does not listen it drives its hinge down to {glue:text}`critic_hinge_without:.1f`, where
# one that follows holds it at {glue:text}`critic_hinge_with:.1f`. The price would show in residual, bias
# and scatter; compare them with the range of the seeds.

# %% [markdown]
# ## What we found
#
# On {glue:text}`srgan_n` test galaxies (task {glue:text}`srgan_task`) the residual is
# {glue:text}`srgan_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`srgan_typical_interval` times. That it beats a baseline is
# {glue:text}`srgan_test`: {glue:text}`srgan_yardstick` leaves {glue:text}`srgan_margin` more.
# The central flux is biased by {glue:text}`srgan_bias_interval` per cent and scatters by
# {glue:text}`srgan_scatter_interval`. The noise in the corners is {glue:text}`srgan_noise:.2f` times
# that of the target. Training took {glue:text}`srgan_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Which hinge loss has the best critic of a generator whose translations are perfect, and which has a
#    critic that is blind?
#
# ```{dropdown} Solution
# Two, both. Where true images and translations look alike, a score $D$ between minus one and one costs
# $(1 - D) + (1 + D) = 2$ on the pair, and one beyond costs more. A blind critic gives one score to all, and
# pays the same. So the hinge of a game that stands still does not say who of the two is good.
# ```
#
# 2. Start the game at once (`start=0`). What happens to the first validation?
#
# ```{dropdown} Solution
# Look at the hinge loss: below 2 the critic is ahead, and it is ahead as long as the generator draws blobs.
# Then compare residual and flux bias with those of this page.
# ```
#
# **What's next:** a network whose inner numbers have a meaning: [capsules](14_capsule.py).
