# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Many-to-many mapping: a toy model
#
# Of the outputs of a network trained on the squared error, {glue:text}`toy_stray_L2` per cent lie where
# the true distribution has almost no probability; of the samples of a flow-matching model,
# {glue:text}`toy_stray_flow` per cent. Calibration, tested by ranks, is *{glue:text}`toy_ranks_flow`*
# for the flow and *{glue:text}`toy_ranks_GAN`* for a conditional GAN.
#
# One SDSS image is compatible with many CFHTLS images. For galaxies their distribution is unknown, so
# that model errors cannot be separated from an ambiguous input. In this toy model it is known.
#
# **What you will learn**
#
# - why the minimum of an error may be a value that hardly ever occurs;
# - what an adversarial loss adds, and which modes it may drop;
# - how to test samples for calibration, and when there are too few to decide.
#
# **Prerequisites:** none. About 10 minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import paths, plotting, toy
from companion import seed_agreement as seeds_agree
from galtools.fidelity import calibration, intervals

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
seeds: int = 2  # how often every learner is trained anew
steps: int = 800  # training steps of each learner
n_test: int = 1500  # pairs on which all are judged
samples: int = 30  # answers of each sampler to each input
n_boot: int = 400  # resamples of the pairs behind each interval

# %% [markdown]
# ## Distribution and models
#
# The input $x$ is uniform between −1 and 1. The output $y$ lies on an upper or a lower branch with
# Gaussian scatter $s$,
#
# $$ p(y\,|\,x) = p\,N(y;\,f, s^2) + (1-p)\,N(y;\,-f, s^2), \quad f = 1 + x/2, \quad p = f/2. $$
#
# Each $x$ has many $y$, and most $y$ many $x$. By analogy, $x$ is an SDSS image, $y$ a quantity measured
# in the CFHTLS image, and the branches are two kinds of galaxies that SDSS cannot distinguish.
#
# Three networks with two hidden layers are trained on pairs from this distribution:
#
# - *L2* minimises the squared error;
# - the *GAN* takes $x$ and a random number and is trained against a critic that distinguishes its pairs from
#   true ones;
# - the *flow* learns the velocity field that carries random numbers to outputs, by flow matching
#   {cite}`lipman2023`, a method closely related to diffusion.
#
# Each is trained with several seeds and compared with *exact* samples of the distribution.

# %%
store = paths.Results(results, profile)
SEEDS = range(seed, seed + seeds)
x, y = toy.pairs(n_test, [seed, 31])
sampled = toy.samples_cached(store.data("toy"), steps, SEEDS, x, samples, seed)
SAMPLERS = ("exact", "flow", "GAN")

# %% mystnb={"figure": {"caption": "Exact density of the output (grey) and one output of each model per input (orange), first seed. Points between the branches are outliers.", "name": "fig-toy"}, "image": {"alt": "Three panels of outputs against inputs over a grey density with two branches, one panel each for L2, GAN and flow."}} tags=["leading", "hide-input"]
across, up = np.linspace(-1, 1, 120), np.linspace(-2, 2, 200)
exact = toy.density(up[:, None], across[None, :])
shown = min(400, n_test)
fig, axes = plt.subplots(1, 3, figsize=(plotting.WIDTH, 2.8), sharex=True, sharey=True)
for ax, name in zip(axes.flat, toy.LEARNERS, strict=True):
    ax.imshow(exact, extent=(-1, 1, -2, 2), aspect="auto", cmap="Greys", vmax=3)
    ax.plot(x[:shown], sampled[name, seed][0, :shown], ".", ms=3, color="#D55E00")
    ax.set(title=f"{name} (n = {shown})", xticks=[-0.5, 0, 0.5])
    ax.grid(False)
fig.supxlabel("input x (dimensionless)", fontsize=11)
fig.supylabel("output y (dimensionless)", fontsize=11)
plt.show()

# %% [markdown]
# ## Regression to the mean and dropped modes
#
# The mean of the two branches lies on neither of them. This is *regression to the mean*: a translator
# that minimises the squared error outputs the average of all compatible images, which may resemble none
# of them. This is no training failure: it minimises its loss.
#
# The critic penalises outputs that never occur in the data. But a generator that is continuous in its
# random number has to cross the gap to reach both branches, and nothing guarantees the right branch
# probabilities: it may *drop modes*. The flow crosses the same gap in many small steps, which can leave
# few samples between the branches.
#
# We compute, for every input, the fraction of *outliers*, outputs farther than $3s$ from both branches,
# whose probability in the true distribution is about 1/370; the difference between the fraction of outputs
# on the upper branch and $p$; and for samples $X, X'$ and a truth $y$ the *continuous ranked probability
# score*
#
# $$ \mathrm{CRPS} = E|X-y| - \tfrac12 E|X-X'| , $$
#
# which has its lowest expectation for the true distribution {cite}`gneiting2007`, and for a point prediction
# is the absolute error.


# %%
def outlier_fraction(y) -> np.ndarray:
    """Fraction of samples farther than 3 s from both branches, for each input."""
    return (np.abs(np.abs(y) - toy.branch(x)) > 3 * toy.WIDTH).mean(axis=0)


def branch_error(y) -> np.ndarray:
    """Absolute error of the fraction of samples on the upper branch, for each input."""
    return np.abs((y > 0).mean(axis=0) - toy.upper(x))


outliers = {key: outlier_fraction(made) for key, made in sampled.items()}
branches = {key: branch_error(made) for key, made in sampled.items() if key[0] in SAMPLERS}
scores = {key: calibration.crps(made, y) for key, made in sampled.items()}

# %% [markdown]
# The branch fractions of exact samples, as many as of each model, also deviate from $p$ by chance; only
# a larger deviation counts. A statement is *supported* only if the 95 % interval of the paired
# difference lies above 0 for all seeds, and *contradicted* if it lies below 0 for all; otherwise it is
# *inconclusive*.

# %%
CLAIMS = [
    ("L2 gives more outliers than the flow", outliers, ("L2", "flow")),
    ("the GAN gives more outliers than the flow", outliers, ("GAN", "flow")),
    ("the flow gives more outliers than the exact distribution", outliers, ("flow", "exact")),
    ("the GAN's branch probabilities are off", branches, ("GAN", "exact")),
    ("the flow's branch probabilities are off", branches, ("flow", "exact")),
    ("L2 scores worse than the flow", scores, ("L2", "flow")),
    ("the GAN scores worse than the flow", scores, ("GAN", "flow")),
    ("the flow scores worse than the exact distribution", scores, ("flow", "exact")),
]
table = pd.concat(
    [seeds_agree.compare(rows, {text: pair}, n_boot, seed) for text, rows, pair in CLAIMS],
    ignore_index=True,
)
seeds_agree.summary(table)

# %% [markdown]
# ## Calibration by ranks
#
# If samples and truth follow the same distribution, the rank of the truth among the samples is uniform.
# A Kolmogorov–Smirnov test at the 1 % level detects deviations. Passing it is informative only if the
# same test rejects a control: exact samples contracted by 20 % towards their mean. If the control passes
# as well, the result is *inconclusive*: there are too few pairs.

# %%
control = {k: calibration.pit(calibration.shrunk(sampled["exact", k]), y, seed) for k in SEEDS}
ranks = {(name, k): calibration.pit(sampled[name, k], y, seed) for name in SAMPLERS for k in SEEDS}
verdicts = {(name, k): calibration.verdict(p, control[k]) for (name, k), p in ranks.items()}
judged = pd.DataFrame(
    {
        f"{name}, seed {k}": {
            "uniform ranks": verdicts[name, k],
            "p": f"{calibration.pvalue(ranks[name, k]):.2g}",
            "p, control": f"{calibration.pvalue(control[k]):.2g}",
        }
        for name, k in ranks
    }
).T
judged

# %% mystnb={"figure": {"caption": "Ranks of the truth among the samples, first seed. Dashed: calibrated; last panel: the control, exact samples contracted by a fifth about their mean.", "name": "fig-toy-ranks"}, "image": {"alt": "Four histograms of ranks between 0 and 1 with a dashed horizontal line: exact samples, flow, GAN, and the underdispersed control."}} tags=["hide-input"]
histograms = {name: ranks[name, seed] for name in SAMPLERS} | {"control": control[seed]}
fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 4.5), sharex=True, sharey=True)
for ax, (name, values) in zip(axes.flat, histograms.items(), strict=True):
    ax.hist(values, bins=20, range=(0, 1), density=True, color="#999999")
    ax.axhline(1, color="black", linestyle="--", linewidth=1)
    ax.set_title(plotting.with_n(name, n_test))
fig.supxlabel("rank of the truth among the samples", fontsize=11)
fig.supylabel("density", fontsize=11)
plt.show()

# %% [markdown]
# A U-shaped histogram indicates samples with too little scatter, a dome-shaped one too much scatter, and
# a slope a bias. With two branches a step in the centre indicates wrong branch probabilities.
#
# Flat ranks are not sufficient: a model that ignores $x$ and samples from the marginal distribution of
# $y$ has flat ranks too, but a worse score.

# %% tags=["remove-cell"]
kept = seeds_agree.save_table(table, store.table("toy"), [store.data("toy")])
voices = seeds_agree.consensus_by_claim(table)
for name in toy.LEARNERS:
    e = intervals.bootstrap(intervals.mean, 100 * outliers[name, seed], n_boot, seed)
    glue(f"toy_stray_{name}", str(e), display=False)
for name in ("flow", "GAN"):
    verdict = intervals.consensus([verdicts[name, k] for k in SEEDS])
    glue(f"toy_ranks_{name}", verdict, display=False)
    claim = f"the {name}'s branch probabilities are off"
    glue(f"toy_branches_{name}", voices[claim], display=False)
glue("toy_n", n_test, display=False)
glue("toy_seeds", seeds, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`toy_n` pairs and with {glue:text}`toy_seeds` seeds of every network, outliers make up
# {glue:text}`toy_stray_L2` per cent of the outputs of L2, {glue:text}`toy_stray_GAN` of the GAN and
# {glue:text}`toy_stray_flow` of the flow (first seed). That branch probabilities are off by more than chance
# is *{glue:text}`toy_branches_flow`* for the flow and *{glue:text}`toy_branches_GAN`* for the GAN.
#
# **Exercise.** Average all samples of the flow for each input. Which of the other models results?
#
# ```{dropdown} Solution
# `sampled["flow", seed].mean(axis=0)` approximates `toy.mean(x)`, the optimum of L2. Averaging the samples
# of a calibrated model gives the best point prediction in squared error and discards the two branches.
# ```
#
# **What's next:** the same question with galaxies, in [how much the source
# determines](32_natures_spread.py).
