# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # SRGAN: adversarial training
#
# On {glue:text}`srgan_n` test galaxies (task {glue:text}`srgan_task`) the claim that the SRGAN has a smaller
# residual than {glue:text}`srgan_yardstick` is {glue:text}`srgan_test`.
#
# In a kept comparison of the task *cross*, the generator has {glue:text}`critic_fine_with:.2f` of the target's
# power beyond 0.3 cycles per pixel when trained with a critic, and {glue:text}`critic_fine_without:.2f`
# without.
#
# In a *generative adversarial network* such as the SRGAN {cite}`ledig2017`, a critic is trained to distinguish
# translations from true images, and the generator to fool it.
#
# **What you will learn**
#
# - the losses of critic and generator, and how to recognise collapse;
# - the effect of the critic on power spectra and photometry.
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
# ## Hinge loss
#
# The critic $D$ scores a source together with its true target or a translation. A patch adds no loss once
# its score is above 1 for the target, or below −1 for the translation; otherwise the loss is linear. The
# generator is trained for a higher score.

# %% mystnb={"figure": {"caption": "Hinge loss of the critic against its score, for a true image and for a translation.", "name": "fig-srgan-hinge"}, "image": {"alt": "Two ramps that cross at score zero: one falls to zero at score one, the other rises from zero at minus one."}} tags=["hide-input"]
score = torch.linspace(-2.5, 2.5, 200)
fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.5))
ax.plot(score, torch.relu(1 - score), color=plotting.MODEL_COLOUR["truth"], label="true")
ax.plot(score, torch.relu(1 + score), color=plotting.MODEL_COLOUR["srgan"], label="translated")
ax.set(xlabel="score D", ylabel="loss of the critic")
ax.legend()
plt.show()

# %% [markdown]
# ## Loss functions
#
# $$ L_D = \langle \max(0, 1 - D(x, y)) \rangle + \langle \max(0, 1 + D(x, G(x))) \rangle, $$
#
# $$ L_G = L_\mathrm{pixel} + L_\mathrm{flux} + c\,\langle |\varphi(y) - \varphi(G(x))| \rangle
#    - a\,\langle D(x, G(x)) \rangle $$
#
# with source $x$, target $y$, generator $G$ and small weights $c$ and $a$; the first two terms are those of
# [the residual network](11_residual.py).
#
# The *content* loss compares features $\varphi$, usually of a network trained on photographs. Here they are
# the critic's own layers, trained on galaxies only. The training is stabilised by the hinge, whose gradient
# vanishes where the critic separates the two, by a small $a$, and by a late start of the critic.
#
# Since translations differ from true images by a few hundredths, the critic also gets, amplified, the detail
# that a mean over $3 \times 3$ pixels removes.
#
# ## Differences from the reference
#
# | | SRGAN | here | effect |
# |---|---|---|---|
# | generator | residual blocks with batch norm, long skip, sub-pixel output | the same without batch norm | not measured |
# | critic | one score per image, of the image alone | one score per patch, of source and image | not measured |
# | adversarial loss | cross entropy, weight 1e-3 | hinge, weight 0.05 | *no critic* |
# | content loss | features of a network for photographs | critic's features | not measured |
# | start | generator pre-trained on pixels, critic from the start | critic after 40 % of the steps | exercise |
# | learning rates | equal; today often a faster critic | critic's {glue:text}`srgan_critic_rate` times the generator's | *critic's rate* |
#
# Names in the last column are rows of a kept table (`benchmarks/bench_recipes.py`): one training of 200
# steps each, validation galaxies, residual in units of the sky noise, the rest in per cent. Compare its rows
# for the critic's rate.

# %% tags=["hide-input"]
ablation.recipe_table("srgan")

# %% [markdown]
# ## Training
#
# The criterion was fixed in advance, as for [the residual network](11_residual.py): a smaller residual than
# resampling, or for `intra` than a repeat observation.

# %%
settings = Settings(steps=steps, batch=batch, crop=crop, rate=rate, seed=seed)
result = study.run(results, profile, "srgan", task, seed, settings)
glue("srgan_critic_rate", f"{result.network.critic_lr_scale:g}", display=False)
print(f"{count_parameters(result.network):,} parameters, trained in {result.seconds:.0f} s")

# %% mystnb={"figure": {"caption": "Left: loss terms. Right: residual on the validation galaxies in units of the target's sky noise, for the running mean of the weights.", "name": "fig-srgan-curve"}, "image": {"alt": "Curves of the loss terms and of the validation residual against the step."}} tags=["hide-input"]
study.training_curve(result)
plt.show()

# %% [markdown]
# A critic that does not distinguish the two has a hinge loss of 2; perfect separation gives a loss of zero.
# With perfect separation the critic's gradient vanishes. Collapse would appear as a hinge near 0 with a
# rising pixel loss. Near 2, either the critic has learnt nothing or the generator follows it; the kept
# comparison below separates these cases.
#
# ## Translated galaxies

# %% mystnb={"figure": {"caption": "Four test galaxies, from bright to faint: source on the target's grid, translation, target, and r-band residual in units of the target's sky noise.", "name": "fig-srgan-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["leading", "hide-input"]
study.examples(result)
plt.show()

# %% tags=["leading"]
study.error_table(result)

# %% tags=["remove-cell"]
for name, value in study.quoted_numbers(result).items():
    glue(name, value, display=False)

# %% [markdown]
# ## Limitations
#
# A critic rewards realistic texture, even at the wrong position; the noise in the corners measures this. The
# generator has no random input, so the texture that it adds is a function of the source.

# %% mystnb={"figure": {"caption": "Standard deviation in the corner of each test stamp in the r band, relative to the target's sky noise: near 1 for a true image, less for a smooth one.", "name": "fig-srgan-noise"}, "image": {"alt": "Two histograms of the corner noise, for targets and translations."}} tags=["hide-input"]
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


# %% mystnb={"figure": {"caption": "Critic's score on test galaxies, mean over the patches of each, after training: the less the histograms overlap, the better it separates truth and translation.", "name": "fig-srgan-score"}, "image": {"alt": "Two overlapping histograms of scores."}} tags=["hide-input"]
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
recognized = scores["truth"] > scores["srgan"]
glue("srgan_told", str(intervals.proportion(recognized)), display=False)
variances = [
    result.network.scaling.target.forward(torch.as_tensor(images)).var(dim=0).mean()
    for images in (result.translated, result.pairs.target)
]
glue("srgan_diversity", float(variances[0] / variances[1]), display=False)

# %% [markdown]
# The critic scores the truth above its translation for a fraction {glue:text}`srgan_told` of the test
# galaxies; 0.5 is chance, 1 perfect separation. The variance of the translations between galaxies (stretched
# pixels) is {glue:text}`srgan_diversity:.2f` times that of the true images; 0 would be mode collapse, 1 is
# correct.

# %% [markdown]
# ## Effect of the critic
#
# A useful critic partly restores the power that best estimates lack.

# %% mystnb={"figure": {"caption": "Power of the translations relative to that of the targets in the r band against spatial frequency: median and quartiles over test galaxies.", "name": "fig-srgan-power"}, "image": {"alt": "Curves with shaded quartiles of relative power against spatial frequency, of translations and of resampling, and a dashed line at one."}} tags=["hide-input"]
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
mid, fine = (frequency > 0.2) & (frequency < 0.3), frequency > 0.3
glue("srgan_power_middle", float(sharp["srgan"][mid].mean()), display=False)
glue("srgan_power_fine", float(sharp["srgan"][fine].mean()), display=False)

# %% [markdown]
# In the r band the translations have {glue:text}`srgan_power_middle:.2f` of the targets' power at 0.2 to 0.3
# cycles per pixel, and {glue:text}`srgan_power_fine:.2f` beyond. For `cross`, the missing power there is
# mostly the target's own noise, which no function of the source can supply; the excess of resampling is the
# source's noise.
#
# A kept run of `benchmarks/bench_critic.py` (task `cross`) trains the same generator with and without its
# critic, on the same galaxies in the same order, for several seeds.

# %% mystnb={"figure": {"caption": "Kept run: r-band power relative to the target's, of the same generator trained with its critic and without. Lines: mean over seeds of the median galaxy; shades: range of the seeds.", "name": "fig-srgan-critic"}, "image": {"alt": "Two curves with narrow shades; at high frequency that with the critic lies well above that without."}} tags=["hide-input"]
kept = json.loads((Path(galtools.__file__).parents[1] / "benchmarks" / "critic.json").read_text())
trials, recipe = pd.DataFrame(kept["rows"]), kept["about"]
frequency = (np.arange(recipe["rings"]) + 0.5) / (2 * recipe["rings"])
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
ax.legend(title=f"n = {recipe['galaxies']:,}, {trials.seed.nunique()} seeds")
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
# The table gives means over {glue:text}`critic_seeds` seeds, with lowest and highest in brackets. Against a
# generator that ignores it, the critic's hinge falls to {glue:text}`critic_hinge_without:.1f`, otherwise to
# {glue:text}`critic_hinge_with:.1f`. Compare changes of residual, bias and scatter with the range of the
# seeds.

# %% [markdown]
# ## What we found
#
# The residual is {glue:text}`srgan_chi_interval` times the sky noise, in the median galaxy
# {glue:text}`srgan_typical_interval` times; that of {glue:text}`srgan_yardstick` is larger by
# {glue:text}`srgan_margin`. The central flux has a bias of {glue:text}`srgan_bias_interval` per cent and a
# scatter of {glue:text}`srgan_scatter_interval` per cent. The noise in the corners is
# {glue:text}`srgan_noise:.2f` times the target's. Training took {glue:text}`srgan_seconds:.0f` seconds.
#
# ## Exercises
#
# 1. Start the critic at once (`start=0`). What happens to the first validation?
#
# ```{dropdown} Solution
# Where the hinge is below 2 the critic is ahead. Compare residual and flux bias with those of this page.
# ```
#
# **What's next:** a network with interpretable internal variables: [capsules](14_capsule.py).
