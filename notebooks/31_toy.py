# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Many-to-many mapping: a toy model
#
# One SDSS image can belong to many CFHTLS images. What does a model learn when there is no single
# right answer?
#
# With galaxies nobody can write down the right law, so that a model that answers wrongly is hard to
# tell from a question that cannot be answered. In two dimensions the law can be written down, and
# every model be held against it.
#
# **What you will learn**
#
# - why a model that minimises an error answers with something that hardly ever happens;
# - what an adversary adds, and what it may leave out;
# - how to test draws for calibration, and when there are too few of them to tell.
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
# ## The law
#
# The input $x$ lies between -1 and 1. The answer $y$ lies on one of two branches, an upper and a
# lower one, and scatters about it:
#
# $$ p(y\,|\,x) = p\,N(y;\,f, s^2) + (1-p)\,N(y;\,-f, s^2), \quad f = 1 + x/2, \quad p = f/2. $$
#
# There are many $y$ for each $x$, and many $x$ for most $y$: many-to-many. Think of $x$ as an SDSS
# image, of $y$ as a number in the CFHTLS image, and of the branches as two kinds of galaxy that look
# alike to SDSS. Mean, median and density of the answer are known for every $x$.
#
# Four learners with two hidden layers each see the same pairs. *L2* minimises the squared error, *L1*
# the absolute error; the *GAN* takes a random number beside $x$ and plays against an adversary, which
# tries to tell its pairs from true ones; the *flow* learns the velocity that carries random numbers to
# answers, by flow matching {cite}`lipman2023`, which is a close cousin of diffusion. All of it is done
# with several seeds, and beside the learners stands the *exact* law itself.

# %%
store = paths.Results(results, profile)
SEEDS = range(seed, seed + seeds)
x, y = toy.pairs(n_test, [seed, 31])
sampled = toy.samples_cached(store.data("toy"), steps, SEEDS, x, samples, seed)
SAMPLERS = ("exact", "flow", "GAN")

# %% mystnb={"figure": {"caption": "The exact density of the answers (grey) and what each learner answers, one answer per input, first seed. Look at what lies between the branches.", "name": "fig-toy"}, "image": {"alt": "Four panels of answers against inputs over a grey density with two branches: L2 runs between them, L1 crosses from one to the other, GAN and flow put points on the branches and some between them."}} tags=["hide-input"]
across, up = np.linspace(-1, 1, 120), np.linspace(-2, 2, 200)
exact = toy.density(up[:, None], across[None, :])
shown = min(400, n_test)
fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, plotting.WIDTH), sharex=True, sharey=True)
for ax, name in zip(axes.flat, toy.LEARNERS, strict=True):
    ax.imshow(exact, extent=(-1, 1, -2, 2), aspect="auto", cmap="Greys", vmax=3)
    ax.plot(x[:shown], sampled[name, seed][0, :shown], ".", ms=4, color="#D55E00")
    ax.set_title(f"{name} (n = {shown})")
    ax.grid(False)
fig.supxlabel("input x (no unit)", fontsize=11)
fig.supylabel("answer y (no unit)", fontsize=11)
plt.show()

# %% [markdown]
# ## Answers that hardly ever happen
#
# The mean of two branches lies on neither. That is *regression to the mean*: a translator that
# minimises squared pixels paints the average of all galaxies that could be meant, which need not look
# like any of them. The median crosses over from the less likely branch to the likelier one. Neither is
# a fault of the training: it is what was asked for, and the table measures how near to it they came.
#
# The adversary punishes answers that never happen. But its random number is continuous and so is the
# network: to reach both branches, it has to cross the gap. And nothing makes it give each branch its
# due: a sampler that forgets a branch, or part of it, is said to *drop modes*. The flow has the same
# gap to cross, but in many small steps, by which it can spread random numbers apart until hardly any
# are left in between. So count, for every input, the answers farther than three $s$ from both
# branches, which the law gives once in 370 times, and compare the share of answers on the upper
# branch with $p$.


# %%
def outlier_fraction(y) -> np.ndarray:
    """Fraction of samples farther than 3 s from both branches, for each input."""
    return (np.abs(np.abs(y) - toy.branch(x)) > 3 * toy.WIDTH).mean(axis=0)


def branch_error(y) -> np.ndarray:
    """Absolute error of the fraction of samples on the upper branch, for each input."""
    return np.abs((y > 0).mean(axis=0) - toy.upper(x))


outliers = {key: outlier_fraction(y) for key, y in sampled.items()}
branches = {key: branch_error(y) for key, y in sampled.items() if key[0] in SAMPLERS}
optimum = {"L2": toy.mean(x), "L1": toy.median(x)}
errors = {(name, k): sampled[name, k][0] - optimum[name] for name in optimum for k in SEEDS}

# %% [markdown]
# The exact law is drawn from as often as the samplers are. Its own shares are off, too, because the
# number of draws is finite: what counts is how much more a learner is off than that. A statement
# is *supported* only if the interval of the difference lies above zero for all seeds, and *contradicted*
# if it lies below for all; anything else is *inconclusive*. Differences are of shares of the answers.

# %%
tables = [
    seeds_agree.compare(rows, {text: pair}, n_boot, seed)
    for text, rows, pair in [
        ("L2 gives more outliers than the flow", outliers, ("L2", "flow")),
        ("L1 gives more outliers than the flow", outliers, ("L1", "flow")),
        ("the GAN gives more outliers than the flow", outliers, ("GAN", "flow")),
        ("the flow gives more outliers than the exact distribution", outliers, ("flow", "exact")),
        ("the GAN's branch probabilities are off by more than chance", branches, ("GAN", "exact")),
        (
            "the flow's branch probabilities are off by more than chance",
            branches,
            ("flow", "exact"),
        ),
    ]
]
seeds_agree.summary(pd.concat(tables, ignore_index=True))

# %% [markdown]
# ## Judged by one score
#
# The continuous ranked probability score of draws $X, X'$ for a truth $y$,
#
# $$ \mathrm{CRPS} = E|X-y| - \tfrac12 E|X-X'| , $$
#
# is smallest on average for the exact law {cite}`gneiting2007`, and for a single answer it is the
# absolute error. Models
# that give one answer and models that give many can so be compared by one number, pair by pair. L1 is
# the best that a single answer can do, and still worse than many answers from the right law: who has
# to name one number has to leave out that there are two.

# %%
scores = {key: calibration.crps(made, y) for key, made in sampled.items()}
CLAIMS = {
    "L2 scores worse than L1": ("L2", "L1"),
    "L1 scores worse than the flow": ("L1", "flow"),
    "the GAN scores worse than the flow": ("GAN", "flow"),
    "the flow scores worse than the exact distribution": ("flow", "exact"),
}
tables.append(seeds_agree.compare(scores, CLAIMS, n_boot, seed))
seeds_agree.summary(tables[-1])

# %% [markdown]
# ## Judged by ranks
#
# If the draws follow the law of the truth, the truth has any place among them equally often. The test
# of uniformity of Kolmogorov and Smirnov finds, at one per cent, what does not. A pass means something
# only if the same test on the same number of pairs fails a sampler that is wrong: the control is the
# exact law with its draws moved together by a fifth. Where the control passes as well, there are *too
# few pairs to tell*.

# %%
control = {k: calibration.pit(calibration.shrunk(sampled["exact", k]), y, seed) for k in SEEDS}
ranks = {(name, k): calibration.pit(sampled[name, k], y, seed) for name in SAMPLERS for k in SEEDS}
verdicts = {(name, k): calibration.verdict(p, control[k]) for (name, k), p in ranks.items()}
judged = pd.DataFrame(
    {
        f"{name}, seed {k}": {
            "ranks are": verdicts[name, k],
            "p": f"{calibration.pvalue(ranks[name, k]):.2g}",
            "p of the control": f"{calibration.pvalue(control[k]):.2g}",
        }
        for name, k in ranks
    }
).T
judged

# %% mystnb={"figure": {"caption": "Ranks of the truth among the samples, first seed. Flat (dashed) is calibrated; the last panel is the control, exact samples contracted by a fifth about their mean.", "name": "fig-toy-ranks"}, "image": {"alt": "Four histograms of ranks between 0 and 1 beside a flat line: those of exact samples nearly flat, those of the control high at both ends."}} tags=["hide-input"]
histograms = {name: ranks[name, seed] for name in SAMPLERS} | {"too narrow": control[seed]}
fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 4.5), sharex=True, sharey=True)
for ax, (name, values) in zip(axes.flat, histograms.items(), strict=True):
    ax.hist(values, bins=20, range=(0, 1), density=True, color="#999999")
    ax.axhline(1, color="black", linestyle="--", linewidth=1)
    ax.set_title(plotting.with_n(name, n_test))
fig.supxlabel("rank of the truth among the samples", fontsize=11)
fig.supylabel("density", fontsize=11)
plt.show()

# %% [markdown]
# A histogram that is high at its ends says that the truth often lies outside the draws: they are too
# much alike. One that is low there says that they differ too much, and a slope, that they lie to one
# side. With two branches there is a fourth sign, a step in the middle: a branch that gets too much.
#
# Ranks are not everything. A model that forgets $x$ and draws from all answers at once has flat ranks
# as well, and a worse score. Calibration and score belong together.

# %% tags=["remove-cell"]
table = pd.concat(tables, ignore_index=True)
seeds_agree.keep(table, store.table("toy"), [store.data("toy")])

# %% tags=["remove-cell"]
voices = seeds_agree.consensus_by_claim(table)
for name in toy.POINTS:
    rms = [intervals.bootstrap(intervals.rms, errors[name, k] ** 2, n_boot, seed) for k in SEEDS]
    e = max(rms, key=lambda e: e.value)
    glue(f"toy_off_{name}", intervals.format_interval(e.value, e.low, e.high), display=False)
for key, claims in seeds_agree.claims_by_consensus(table).items():
    glue(f"toy_{key}", claims, display=False)
for name in (*toy.LEARNERS, "exact"):
    e = intervals.bootstrap(intervals.mean, scores[name, seed], n_boot, seed)
    glue(f"toy_{name}", str(e), display=False)
    e = intervals.bootstrap(intervals.mean, 100 * outliers[name, seed], n_boot, seed)
    glue(f"toy_stray_{name}", str(e), display=False)
for name in ("flow", "GAN"):
    said = intervals.consensus([verdicts[name, k] for k in SEEDS])
    glue(f"toy_ranks_{name}", said, display=False)
    claim = f"the {name}'s branch probabilities are off by more than chance"
    glue(f"toy_branches_{name}", voices[claim], display=False)
glue("toy_n", n_test, display=False)
glue("toy_seeds", seeds, display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`toy_n` pairs and with {glue:text}`toy_seeds` seeds of every learner: L2 stays within
# {glue:text}`toy_off_L2` of the exact mean, L1 within {glue:text}`toy_off_L1` of the exact
# median (root mean square, the worse seed). That is what they were asked for, and yet, in per cent of
# their answers, {glue:text}`toy_stray_L2` and {glue:text}`toy_stray_L1` are of a kind that
# hardly ever happens; {glue:text}`toy_stray_GAN` of the GAN's, {glue:text}`toy_stray_flow` of the
# flow's and {glue:text}`toy_stray_exact` of the law's own (first seed).
#
# The scores are {glue:text}`toy_L2` for L2, {glue:text}`toy_L1` for L1, {glue:text}`toy_GAN` for the
# GAN, {glue:text}`toy_flow` for the flow and {glue:text}`toy_exact` for the exact law, the best that
# is possible. By its ranks, over all seeds, the verdict on the flow is
# "{glue:text}`toy_ranks_flow`", on the GAN "{glue:text}`toy_ranks_GAN`". That the branches are off by
# more than chance: "{glue:text}`toy_branches_GAN`" for the GAN, "{glue:text}`toy_branches_flow`" for
# the flow.
#
# Over all seeds, these statements are *supported*: {glue:text}`toy_supported`. *Contradicted*:
# {glue:text}`toy_contradicted`. *Inconclusive*: {glue:text}`toy_inconclusive`.
#
# **Exercise.** Average all draws of the flow for each input. Which of the other models do you get?
#
# ```{dropdown} Solution
# `sampled["flow", seed].mean(axis=0)` comes close to `toy.mean(x)`: the answer of L2. Averaging the
# draws of a calibrated model gives the best guess in squared error, and loses that there were two
# branches.
# ```
#
# **Exercise.** Train the flow for a tenth of the steps. Which of the tests notices first?
#
# ```{dropdown} Solution
# Run the notebook with `-p steps 80`. All of them notice, but not alike: answers between the branches
# become many times more common, since the velocity changes most steeply there; ranks fail by far less
# than the control does, and the score grows by a few per cent. Neither minds a few strays.
# ```
#
# **What's next.** The same question with galaxies: [nature's spread](32_natures_spread.py).
