# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A flux-corrected translator
#
# Every translator so far lost some of what the source knew about the redshift. Did it have to?
#
# Most of what an image tells about redshift is in the colours of the whole galaxy: a few sums over
# many pixels. A translator that gets these sums right should keep the redshift, whatever it does to
# single pixels. This chapter builds one, and asks what it costs.
#
# **What you will learn**
#
# - why the sum of good guesses is not a good guess of the sum;
# - how one linear rule, learnt in a second, mends a network that took a minute to train;
# - how to tell a translator that keeps information from one that merely looks familiar.
#
# **Prerequisites:** the chapters on [the residual network](11_residual.py) and on
# [redshift](24_redshift.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import flux_correction, panels, paths, plotting, redshift_evaluation
from companion import seed_agreement as seeds_agree
from galtools import data
from galtools.data import image_files, photometry
from galtools.fidelity import intervals, peaks
from galtools.models import checkpoint
from galtools.models.flux_corrected import CIRCLES, ROUNDS
from galtools.training import translate

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
models: list[str] = ["residual", "swin", "srgan", "capsule", "diffusion"]  # to compare with
n_test: int = 600  # test galaxies on which all are judged
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Where the redshift gets lost
#
# The residual network guesses every pixel from its neighbourhood. In the u and z bands the source
# is noisy, so the best guess leans on what galaxies *usually* look like in these bands, given the
# others. That is right pixel by pixel. But every pixel leans the same way, and in the sum over the
# galaxy the leaning stays while the noise, which called for it, averages out. The colour of the
# *typical* galaxy takes the place of the colour of this one, and with it goes the redshift.
#
# A sum needs no network. Let $F_{kb}$ be the light of the source within circle $k$ in band $b$,
# $\sigma_{kb}$ the noise of that sum, and write it as asinh magnitudes (here brighter upwards, and
# without the factor of 2.5),
#
# $$ a_{kb} = \mathrm{asinh}\big(F_{kb} / 2\sigma_{kb}\big) . $$
#
# The filters of both surveys are nearly the same, so the magnitudes of the target are nearly a
# linear function of those of the source, colour terms and all:
#
# $$ a^* = A\,a + c , $$
#
# with $A$ and $c$ from least squares on the training pairs. No redshift enters. What the rule says
# of the light of the target is $F^* = 2 \sigma \sinh a^*$, with the target's noise. In code, `x` are
# the magnitudes of the sources in units of their spread, and a one, `y` those of the targets; a
# small penalty on $A$ matters only where galaxies are few,
#
# ```python
# penalty[-1, -1] = 0                                    # the constant c is free
# matrix = solve(x.T @ x + penalty, x.T @ y)             # A and c
# ```
#
# Then whatever the network draws, with light $F'_{kb}$ in the circles, is multiplied band by band
# with a gain that depends on the radius alone: in the middle $r_k$ of the ring between two circles it
# is the light that the ring should hold over the light that it holds,
#
# $$ g_b(r_k) = \frac{F^*_{kb} - F^*_{k-1,b}}{F'_{kb} - F'_{k-1,b}} , $$
#
# and linear in between; no gain of a round is above `MAX_GAIN` or below its inverse. Neighbouring rings
# share the pixels in between, so there is a second round:
#
# ```python
# for _ in range(rounds):
#     gain = (annulus(wanted) / annulus(flux(images))).clamp(1 / MAX_GAIN, MAX_GAIN)
#     images = images * einsum("nkb,kyx->nbyx", gain, hats)       # (n, bands, height, width)
# ```
#
# The circles are no secret of the estimator of redshifts: it measures in others. The first network
# is that of the chapter on [the residual network](11_residual.py), as it is; the second one that of
# [the directions](35_directions.py), which is smaller, was trained more briefly, from fewer galaxies and
# from another seed, so that nothing rests on one training. It translates the *second* observation that
# the simulator made of the test galaxies, so that nothing rests on one noise and one seeing either.

# %% tags=["hide-input"]
store = paths.Results(results, profile)
files = {
    split: paths.need(store.data(split), "01_two_surveys") for split in ("train", "test", "again")
}
for model in paths.check_models(models):  # asked for far below
    paths.need_translations(store, "cross", model, seed)
weights = {
    seed: flux_correction.make_corrected(store, "cross", seed),
    seed + 1: flux_correction.make_corrected(store, "forward", seed + 1),
}
observed = dict(zip(weights, ("test", "again"), strict=True))
observed = {k: data.load(files[split], slice(n_test)) for k, split in observed.items()}
test = observed[seed]
radii = ", ".join(f"{plotting.FIELD * r:.1f}" for r in CIRCLES)
print(f"circles of {radii} arcsec, {ROUNDS} rounds")

# %%
first = paths.need_translations(store, "cross", "residual", seed)
plain = {seed: image_files.open_images(first)[:n_test]}  # the chapter on this network kept them
second = checkpoint.load_weights(weights[seed + 1])
second.rounds = 0  # the network alone
plain[seed + 1] = translate.translate(second, observed[seed + 1].source)
corrected = {
    k: flux_correction.apply_flux_correction(weights[k], observed[k].source, images)
    for k, images in plain.items()
}
every = store.translations("cross", "flux_corrected", seed)  # for the chapters on fidelity
made = translate.translate_cached(every, weights[seed], files["test"], seed=seed)

# %% mystnb={"figure": {"caption": "Three test galaxies: the source, the network alone, the network with the rule, and the target, on one scaling. Look at the colours of the arms, row by row.", "name": "fig-keeping-stamps"}, "image": {"alt": "Four rows of colour stamps of three galaxies: source, network, network with the rule, target."}} tags=["hide-input"]
order = np.argsort(-test.target[:, 2].sum((1, 2)))
some = order[np.linspace(0, len(order) // 2, min(3, len(order))).astype(int)]
stages = {"source": test.source, "network": plain[seed], "with rule": corrected[seed]}
stages["target"] = test.target
fig = plotting.stamps([x[some] for x in stages.values()], list(stages))
plt.show()

# %% [markdown]
# The shapes are those that the network drew. Some colours have moved towards the target's, and in
# most galaxies the eye sees no change at all. So measure them:


# %%
def r_and_colours(images, radius):
    """The r magnitude and neighbouring colours within `radius` (in stamps): (n, bands)."""
    flux = photometry.aperture_flux(images, 1 / images.shape[-1], radius)
    magnitudes = photometry.asinh_magnitude(flux, 0.1)
    return np.column_stack([magnitudes[:, 2], np.diff(magnitudes, axis=1)])


def colour_errors(pairs, images):
    """Errors (n,) of u - g and g - r within 2.5 arcsec, magnitudes."""
    error = r_and_colours(pairs.target, CIRCLES[2]) - r_and_colours(images, CIRCLES[2])
    return {"u − g": error[:, 1], "g − r": error[:, 2]}


# %% mystnb={"figure": {"caption": "Error of the colours within 2.5 arcsec of the test galaxies, u − g and g − r, by the network alone and with the rule.", "name": "fig-keeping-colours"}, "image": {"alt": "Two panels, u − g and g − r, each with two histograms of errors about zero."}} tags=["hide-input"]
both = {"residual": plain[seed], "flux_corrected": corrected[seed]}
fig, axes = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.0), sharey=True)
for row, images in both.items():
    style = {"color": plotting.MODEL_COLOUR[row], "histtype": "step", "linewidth": 2}
    errors = colour_errors(test, images).items()
    for ax, (name, error), reach in zip(axes, errors, (0.4, 0.12), strict=True):
        inside, bins = error.clip(-reach, reach), np.linspace(-reach, reach, 41)
        ax.hist(inside, bins, label=plotting.MODEL_NAME[row], **style)
        ax.set(xlabel=f"error of {name} (mag)")
axes[0].set_ylabel(f"galaxies of {len(test)}")
panels.shared_legend(fig, axes[0])
plt.show()

# %% [markdown]
# Each panel tells another story. In a noisy band the rule takes the source at its word, where the
# network leans on the typical galaxy, and may so have the *larger* errors. But a small error is not the
# same as much information. Noise is as often blue as red; a lean is towards the usual colour, and so
# always away from what is special about this galaxy, its redshift.

# %% [markdown]
# ## How much is kept
#
# The protocols are those of the chapter on redshift: *retrained*, an estimator trained from scratch on
# translations, with the recipe of that chapter; *frozen*, the estimator that learnt from original target
# images. The other models and the source have their estimators from there, trained alike.

# %% tags=["remove-stdout"]
recipe = redshift_evaluation.recipe_of(store, seed)
prior = redshift_evaluation.prior_of(store)
of_source, frozen = (
    redshift_evaluation.load_row(store, "cross", row, seed) for row in ("source", "truth")
)
z = test.redshift.astype(float)  # both observations show the same galaxies
judged = {}
for k, file in weights.items():
    own = redshift_evaluation.train_on_row(
        store, "cross", "flux_corrected", recipe, seed, trained=k, weights=file
    )
    asked = {"source": (of_source, observed[k].source), "retrained": (own, corrected[k])}
    asked["frozen"] = frozen, corrected[k]
    for way, (estimator, images) in asked.items():
        judged[way, k] = redshift_evaluation.judge(estimator, images, z, prior)

# %%
error = redshift_evaluation.seed_error({key: x for key, x in judged.items() if key[0] != "frozen"})
bits, dz = ({key: x[0][name][:, 0] for key, x in judged.items()} for name in ("bits", "dz"))
shares, ratios = {}, {}
for way, k in judged:
    pair = bits[way, k], bits["source", k]
    shares[way, k] = redshift_evaluation.share(*pair, error, n_boot, seed)
    ratios[way, k] = redshift_evaluation.scatter_ratio(dz[way, k], dz["source", k], n_boot, seed)

# %% tags=["hide-input"]
theirs = pd.read_csv(paths.check_seed(paths.need(store.table("redshift"), "24_redshift"), seed))
theirs = theirs[(theirs.metric == "retained") & theirs.row.isin(["copy", *models])]
ours = pd.DataFrame(
    {"row": f"seed {k}, flux-corrected", "band": way, "metric": metric, **vars(e)}
    for metric, found in {"retained": shares, "ratio": ratios}.items()
    for (way, k), e in found.items()
)
table = pd.concat([theirs[ours.columns], ours], ignore_index=True)
seeds_agree.keep(table, store.table("keeping"), [*weights.values(), store.table("redshift")])
rows = ["copy", *models, *dict.fromkeys(ours.row)]

# %% mystnb={"figure": {"caption": "Share of the source's information that is retained, by estimators trained from scratch on each row (dashed: all; dotted: the goal), and by the frozen one. Intervals of 95 % over galaxies and estimator seeds.", "name": "fig-keeping-goal"}, "image": {"alt": "Two panels with a line for a copy of the source, each model and two flux-corrected translators, beside lines for all that the source tells and for the goal."}} tags=["hide-input"]
labels = {("retained", way): f"share retained, {way}" for way in ("retrained", "frozen")}
nobody = pd.DataFrame({"row": ["copy"], "band": "frozen", "metric": "retained"})  # asks for it
fig = panels.protocol_strips(pd.concat([table, nobody]), labels, rows, 1)
fig.axes[0].set_title(f"n = {len(test)}")
fig.axes[0].axvline(0.95, color="black", linestyle=":", linewidth=1.2)
plt.show()

# %% [markdown]
# These estimators measure circles, if not the same ones, in images that were made to hold the right light
# in circles. So the main judge of this correction is the one that [sees pixels alone](24_redshift.py). The
# share that it finds retained by the network of seed 0 with the rule: {glue:text}`keep_pixels`. One more reader
# follows below.
#
# ## Is it the network, or the rule?
#
# The rule does not care who drew the image. Does it mend the other translators, too?

# %% tags=["hide-input"]
cells = {}
for model in models:
    made = image_files.open_images(paths.need_translations(store, "cross", model, seed))[:n_test]
    ruled = flux_correction.apply_flux_correction(weights[seed], test.source, made)
    cells[plotting.MODEL_NAME.get(model, model)] = line = {}
    for name, images in {"without": made, "with the rule": ruled}.items():
        known = redshift_evaluation.judge(frozen, images, z, prior)[0]["bits"][:, 0]
        found = redshift_evaluation.share(known, bits["source", seed], error, n_boot, seed)
        line[f"share retained, frozen, {name}"] = str(found)
pd.DataFrame(cells).T

# %% [markdown]
# (The rule is a sum over thousands of training galaxies and has no seed; the others were
# trained once, so that their lines say nothing of another training.) By as much as a share rises, what
# the model had *lost* was there to be had: the source still has it, and five circles bring it back. What
# the rule cannot mend is the light between and beyond its circles, and the peak.
#
# ## Another reader
#
# Let a reader of another kind judge: gradient boosting that learnt from original target
# images, from fluxes within 3.3 arcsec, a circle that the rule does not know. It, too, is frozen.

# %%
regressor = peaks.redshift_regressor("boosting", seed)
pairs = flux_correction.training_pairs(files["train"])
regressor.fit(r_and_colours(pairs.target, 0.13), pairs.redshift)
errors = {
    (row, k): (regressor.predict(r_and_colours(images, 0.13)) - z) / (1 + z)
    for row, by_seed in {"residual": plain, "flux_corrected": corrected}.items()
    for k, images in by_seed.items()
}
LESS = "another reader scatters less with the rule"
other = seeds_agree.compare(
    errors, {LESS: ("residual", "flux_corrected")}, n_boot, seed, intervals.robust_scatter
)
seeds_agree.summary(other)

# %% [markdown]
# ## What it costs
#
# Gains depend on the radius alone, so they cannot invent a knot or an arm. But they change the
# profile of the light, and could make pixels worse. For both networks, with the rule against without,
# in the r band: the residual in units of the sky noise, the bias of the flux within 3 arcsec, and the
# extra blur.

# %%
effects = {
    k: flux_correction.side_effects(sample, plain[k], corrected[k], n_boot, seed)
    for k, sample in observed.items()
}
pd.DataFrame(effects).map(str).rename(columns=lambda k: f"seed {k}")

# %% [markdown]
# ## The goal, and the verdict
#
# Named before anything was trained: at least 95 per cent of the source's information retained after
# retraining, and a frozen scatter of at most 1.15 times the source's, with images no worse than the
# network's. For the last we allow a residual of 1.05 times the network's, and 0.005 more bias of the
# flux and 0.05 arcsec more blur. A goal is reached only where the whole interval is on the right
# side, for both seeds: another network and another observation. What other galaxies would say is in the
# intervals, as is another seed of the estimators.

# %%
GOAL, SHARP = "retains 95 %, retrained", "frozen σ at most 1.15 times the source's"
lines = []
for k in weights:
    lines.append(seeds_agree.judge_seed(GOAL, k, shares["retrained", k], (0.95, np.inf)))
    lines.append(seeds_agree.judge_seed(SHARP, k, ratios["frozen", k], (-np.inf, 1.15)))
    for effect in flux_correction.SIDE_EFFECTS:
        name, goal = f"{effect.name} no worse than the network's", (-np.inf, effect.limit)
        lines.append(seeds_agree.judge_seed(name, k, effects[k][effect.name], goal))
verdicts = pd.concat([pd.DataFrame(lines), other], ignore_index=True)
seeds_agree.keep(verdicts, store.table("verdicts_keeping"), [*weights.values()])
seeds_agree.summary(pd.DataFrame(lines), "value")

# %% tags=["remove-cell"]
kept = shares["retrained", seed]
glue("keep_tuned_retained", str(intervals.scaled(kept, 100)), display=False)
glue("keep_frozen_retained", str(intervals.scaled(shares["frozen", seed], 100)), display=False)
glue("keep_frozen_ratio", str(ratios["frozen", seed]), display=False)
own = theirs[theirs.band == "retrained"].set_index("row")
for name, row in {"best": own.value[models].fillna(-np.inf).idxmax(), "copy": "copy"}.items():
    e = 100 * own.loc[row, ["value", "low", "high"]].astype(float)
    glue(f"keep_{name}", intervals.format_interval(*e), display=False)
    glue(f"keep_{name}_name", plotting.MODEL_NAME.get(row, row), display=False)
glue("keep_chi", str(effects[seed]["residual"]), display=False)
less = redshift_evaluation.scatter_ratio(
    errors["flux_corrected", seed], errors["residual", seed], n_boot, seed
)
glue("keep_less_ratio", str(less), display=False)
by_pixels = redshift_evaluation.pixels_shares("cross").get("flux_corrected")
none = "not known, as no such table is kept yet"
said = f"{intervals.scaled(by_pixels, 100)} per cent" if by_pixels else none
glue("keep_pixels", said, display=False)

# %% tags=["remove-cell"]
voices = seeds_agree.consensus_by_claim(verdicts)
for name, text in {"less": LESS, "goal": GOAL, "goal_frozen": SHARP}.items():
    glue(f"keep_{name}", voices[text], display=False)
for key, claims in seeds_agree.claims_by_consensus(verdicts).items():
    glue(f"keep_{key}", claims, display=False)
glue("keep_n", len(test), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`keep_n` galaxies, the best of the other translators, {glue:text}`keep_best_name`, retains
# {glue:text}`keep_best` per cent of the source's information; the network with the rule retains
# {glue:text}`keep_tuned_retained` per cent, where a lossless copy of the source has
# {glue:text}`keep_copy`. Shown to the frozen estimator, it retains {glue:text}`keep_frozen_retained` per
# cent, and its scatter is {glue:text}`keep_frozen_ratio` times the source's. The residual is
# {glue:text}`keep_chi` times that of the network alone. A reader of another kind scatters
# {glue:text}`keep_less_ratio` times as much as on the network's images (all of seed 0).
#
# Are the goals reached, by both seeds? Ninety-five per cent retained: *{glue:text}`keep_goal`*; a
# frozen scatter as small as was asked for: *{glue:text}`keep_goal_frozen`*. That another reader
# scatters less: *{glue:text}`keep_less`*. *Inconclusive* means that an interval reaches across the goal,
# or that the seeds disagree.
#
# Of everything that was judged, these statements are *supported* by both seeds:
# {glue:text}`keep_supported`. *Contradicted*: {glue:text}`keep_contradicted`. *Inconclusive*:
# {glue:text}`keep_inconclusive`.
#
# ## Exercises
#
# 1. The rule is linear in asinh magnitudes. What would a rule that is linear in fluxes do?
#
# ```{dropdown} Solution
# Least squares would care about the brightest galaxies alone, since their errors are largest in
# nanomaggies; the colours of faint ones would be at their mercy. In magnitudes all galaxies above
# the noise count alike, and those below it, where asinh is linear, count as fluxes.
# ```
#
# 2. Give the translation the light that the *target* holds, instead of what the rule predicts. Which
#    protocol notices, and why is that no translator?
#
# ```{dropdown} Solution
# In both protocols it knows more than the source, nearly as much as the target: its colours *are*
# the target's. The data processing inequality tells that something beyond the source went in. Any
# row of the chapter on redshift that exceeds one with all of its interval would be such a leak.
# ```
#
# 3. Let the network learn with the rule in place: `Settings(crop=0, batch=4)` trains on whole stamps,
#    where the gains act on every step. Is it worth it?
#
# ```{dropdown} Solution
# Hardly: in our trial, with one training each, the share stayed and the residual grew. The gains put
# right what the network draws, whatever it draws, so it need not learn the colours; and on whole
# stamps it sees four galaxies a step instead of parts of sixteen, which costs sharpness. A loss on
# the light in circles *instead* of the rule kept no more redshift than the network alone.
# ```
#
# **What's next:** what imperfect translations are good for: [useful all the same](37_useful.py).
