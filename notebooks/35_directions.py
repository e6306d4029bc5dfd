# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Both directions: where is information lost?
#
# From SDSS to the deeper CFHTLS a translator has to invent what its source never saw. The way back
# should be easy: a deep image contains the shallow one. And from SDSS to *another* SDSS image of the
# same galaxy? What does each way cost, and does a round trip cost twice?
#
# **What you will learn**
#
# - that reconstruction, as in the paper's SDSS-to-SDSS task, and re-observation are different tasks;
# - which direction between two surveys is the easy one, in bits;
# - why a translation can look better than any real image and know less.
#
# **Prerequisites:** the chapters on [the residual network](11_residual.py) and on
# [peak fluxes](23_peaks.py). About 15 minutes.

# %% tags=["hide-input", "remove-stderr"]
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import directions, flux_redshift, panels, paths, plotting
from companion import seed_agreement as seeds_agree
from galtools import data
from galtools.data import image_files
from galtools.fidelity import information, intervals
from galtools.models import checkpoint
from galtools.redshift import Grid
from galtools.training import translate
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
seeds: int = 2  # how often everything is trained anew
n_train: int = 500  # training galaxies, observed twice, from which every way is learnt
n_learn: int = 1000  # further galaxies, from whose images the redshift is learnt
steps: int = 250  # training steps of each direction
width: int = 32  # channels of its network
grid: str = "sdss"  # pixels of CFHTLS, as in the first chapter
n_boot: int = 400  # resamples of the galaxies behind each interval

# %% [markdown]
# ## Four ways
#
# | way | learns from | a perfect answer |
# |---|---|---|
# | SDSS → CFHTLS | both surveys | a sharper, deeper image than the source |
# | CFHTLS → SDSS | the same pairs, swapped | a blurred image, and noise that nobody can foresee |
# | SDSS → SDSS, **reconstruction** | each image and itself | the image, noise and all: copying is perfect |
# | SDSS → SDSS, **re-observation** | two observations of each galaxy | what is common to both: no noise, and the typical seeing |
#
# Reconstruction is what the paper trains within one survey. It shows what a model's own blur and
# bottleneck destroy, but nothing about observing. Re-observation asks for what a second night at
# the telescope would have shown, which only a simulation can tell. All ways but reconstruction are
# learnt here: by the same residual network, from the same galaxies and in the same number of steps,
# and once more with another seed. The network that reconstructs is that of [its own
# chapter](11_residual.py), which is larger and was trained longer, and once. A *round trip* is the way
# there followed by the way back.
#
# The simulator has observed the test galaxies twice, too. The first networks are judged on the first
# observation, the second ones on the second, and so on in turn: what all seeds say survives another training, another
# noise and another seeing. What other galaxies would say is in the intervals.

# %%
folder = paths.Results(results, profile)
first = {
    s: paths.need(folder.data(s), "01_two_surveys") for s in ("train", "valid", "test", "again")
}
counts = {name: len(image_files.read_column(path, "redshift")) for name, path in first.items()}
n_valid = min(counts["valid"], 32)  # every training is checked on these, once, at its end
further = {
    "train_again": {"n": min(n_train, counts["train"]), "start": 0, "observation": 1},
    "valid_again": {"n": n_valid, "start": counts["train"], "observation": 1},
    "learn": {"n": n_learn, "start": counts["train"] + counts["valid"] + counts["test"]},
}
same = directions.simulation_options(
    first["test"], grid
)  # more of the same galaxies, in the same pixels
files = {
    name: directions.simulate_cached(folder.data(name), {**options, **same})
    for name, options in further.items()
}

# %% [markdown]
# A second observation of the training galaxies is made here, and a sample of further galaxies from
# which the redshift will be learnt: a translator may remember its training galaxies too well to be
# judged on them.

# %% tags=["remove-stdout"]
build = {"name": "residual", "task": "cross", "profile": profile, "width": width}
pairs_from = {split: (first[split], files[f"{split}_again"]) for split in ("train", "valid")}
copier = folder.weights("intra", "residual", seed)
paths.need(copier, "11_residual_intra", first["train"])
networks = {}
for k in range(seeds):
    networks["copy", k] = checkpoint.load_weights(copier)
    learning = Settings(steps=steps, checks=1, seed=seed + k)
    for way in directions.DIRECTIONS:
        weights = folder.weights(way, "residual", seed + k)
        directions.train_direction(weights, way, build, learning, pairs_from)
        networks[way, k] = checkpoint.load_weights(weights)

# %% [markdown]
# ## What each way makes of a galaxy
#
# A way is a chain of networks, empty for the two originals. Each network is shown what the way before
# it made.

# %%
STEPS = {  # way: what its last network is shown, and which network that is
    "reconstructed": ("SDSS", "copy"),
    "re-observed": ("SDSS", "reobserve"),
    "SDSS to CFHTLS": ("SDSS", "forward"),
    "there and back": ("SDSS to CFHTLS", "reverse"),
    "CFHTLS to SDSS": ("CFHTLS", "reverse"),
}
OF_CFHTLS = {"CFHTLS", "SDSS to CFHTLS"}  # these have the noise and the depth of CFHTLS


def every_way(pairs, k: int, steps=STEPS) -> dict:
    """Images of some galaxies on every way, by the networks of seed k."""
    images = {"SDSS": pairs.source, "CFHTLS": pairs.target}
    for way, (before, network) in steps.items():
        images[way] = translate.translate(networks[network, k], images[before])
    return images


# %% [markdown]
# The pictures are on one scale of surface brightness, so that any two of them can be compared.


# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint, on every way. Reconstruction keeps the noise, the other networks leave it out: compare the background of the first two rows with that of the third and fourth.", "name": "fig-directions-galaxies"}, "image": {"alt": "Seven rows of colour stamps of the same four galaxies: SDSS, reconstructed, re-observed, there and back, translated to CFHTLS, translated from CFHTLS, CFHTLS."}} tags=["hide-input"]
some = data.load(first["test"], slice(600))
order = np.argsort(-some.target[:, 2].sum(axis=(1, 2)))
images = every_way(some[order[np.linspace(0, len(order) - 1, 6).astype(int)[:4]]], 0)
WAYS = ["SDSS", "reconstructed", "re-observed", "there and back"]
WAYS += ["SDSS to CFHTLS", "CFHTLS to SDSS", "CFHTLS"]
fig, axes = plt.subplots(len(WAYS), 4, figsize=(plotting.WIDTH, 1.42 * len(WAYS)))
fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
for line, way in zip(axes, WAYS, strict=True):
    for ax, picture in zip(line, plotting.lupton(images[way]), strict=True):
        ax.imshow(picture)
        plotting.clean(ax)
    line[0].set_ylabel(way.replace(" to ", "\nto ").replace(" and ", "\nand "))
plt.show()

# %% [markdown]
# Read the rows in pairs. *SDSS* and *reconstructed* can hardly be told apart, grain by grain:
# copying is easy. *Re-observed*, *there and back* and *CFHTLS to SDSS* are three guesses of the same
# thing, what SDSS would see on an average night; the last one was made from the sharper image and
# still has its finer knots, blurred. *SDSS to CFHTLS* is the paper's task: sharper than its source,
# but the companions and knots that the source did not resolve stay soft.
#
# The images that a network makes are free of noise, because the noise of an observation cannot be
# foreseen, and the best guess under the loss is an image without. They look better than any
# observation. Reconstruction alone keeps the noise: its perfect answer is a copy.
#
# ## As close as a second look?
#
# Each image of the SDSS kind is now compared with an observation that no network has seen: the
# *second* SDSS image of the test galaxies. The residual is in units of its sky noise. A perfect
# guess of the galaxy would leave the noise of that second image alone, which is 1 in the sky and
# larger where the galaxy is bright, since light brings a noise of its own, and the seeing of that
# night, which nobody can foresee either. The first image itself leaves the noise of two nights: in
# the sky, the square root of two.


# %%
def residual(shown, second, band: int = 2) -> np.ndarray:
    """Mean square residual against the second observation, in units of the sky noise."""
    difference = (shown - second.source)[:, band] / second.noise[:, 0, band, None, None]
    return np.square(difference, dtype=np.float64).mean(axis=(1, 2))


# %% [markdown]
# All that is asked of an image are numbers: this residual, and, for the question after this one, the
# light in peak and total. So a few galaxies at a time are sent on all ways, measured, and forgotten.
# The table rests on all {glue:text}`way_n` test galaxies. Where three ways come as close, this yardstick
# cannot tell them apart: most of what is left is the second night's own.

# %%
scale = list(data.pixel_scales(first["test"]).values())
noise = [
    np.median(image_files.read_column(files["learn"], f"{side}/noise"), axis=0)
    for side in ("source", "target")
]


def measure(way: str, shown, pairs, second=None) -> dict:
    """Peak and total fluxes (n, 18), and residuals against a second observation."""
    there = int(way in OF_CFHTLS)
    found = {"flux": flux_redshift.peak_and_aperture_features(shown, noise[there], scale[there])}
    if second is not None and not there:
        found["residual"] = residual(shown, second)
    return found


# %%
learn, test, lines = {}, {}, {}
learnt_here = {way: step for way, step in STEPS.items() if step[1] != "copy"}
for k in range(seeds):
    own = learnt_here if k else STEPS  # the copier is the same for all seeds
    found = directions.apply_directions(partial(every_way, k=k, steps=own), measure, files["learn"])
    learn[k] = learn.get(0, {}) | found
    shown, second = (first["test"], first["again"])[:: -1 if k % 2 else 1]
    test[k] = directions.apply_directions(partial(every_way, k=k), measure, shown, second)
    for way, name in test[k]:
        if name == "residual":
            squares = test[k][way, name]
            lines[f"{way}, seed {k}"] = intervals.bootstrap(intervals.rms, squares, n_boot)

# %% tags=["hide-input"]
CLOSER = "a predicted image is closer to a second observation than the first observation is"
squares = {(way, k): x for k in test for (way, name), x in test[k].items() if name == "residual"}
closer = seeds_agree.compare(
    squares, {CLOSER: ("SDSS", "re-observed")}, n_boot, seed, intervals.rms
)
order = sorted(lines, key=lambda line: WAYS.index(line.split(",")[0]))
cells = [intervals.format_interval(e.value, e.low, e.high) for e in map(lines.get, order)]
pd.DataFrame({"residual / σ, r band": cells}, index=order)

# %% [markdown]
# ## What each way knows of the redshift
#
# Pixels do not tell what survives. So an estimator of the redshift learns, for every way anew, from
# the peaks and the total fluxes of galaxies that no translator was trained on, *as this way shows
# them*, and is judged on the test galaxies, as in the column *retrained* of the chapter on
# redshift. It asks what is left in the image, not whether the image looks like an original. Only
# peaks and totals are asked here, eighteen numbers a galaxy, since that takes a second and not
# minutes; a network on whole images knows more of all of them. Information is in bits: how much
# narrower the density of the redshift becomes by looking. One bit is half the width.

# %%
edges = Grid().edges
z_learn, z = (
    image_files.read_column(f, "redshift").astype(float) for f in (files["learn"], first["test"])
)
prior = information.prior(z_learn, edges)


def bits(way: str, k: int) -> np.ndarray:
    """Information of each test galaxy when the redshift is learnt from this way's images."""
    estimator = flux_redshift.FluxRedshift(learn[k][way, "flux"], z_learn, seed + k)
    density = estimator.density(test[k][way, "flux"], edges)
    return information.information_bits(density, z, edges, prior)


information_of = {(way, k): bits(way, k) for k in range(seeds) for way in WAYS}

# %% tags=["hide-input"]
found = pd.DataFrame(
    {
        "row": way,
        "seed": k,
        "metric": "bits",
        **vars(intervals.bootstrap(intervals.mean, b, n_boot)),
    }
    for (way, k), b in information_of.items()
)
kept = seeds_agree.keep(found, folder.table("directions"), [first["test"], files["learn"]])

# %% mystnb={"figure": {"caption": "Information on the redshift in peaks and total fluxes, for every way, with 95 % intervals over galaxies. One symbol per seed of translator, estimator and observation.", "name": "fig-directions-bits"}, "image": {"alt": "One line for each of seven ways, with two points each: bits on the redshift."}} tags=["hide-input"]
colours = {way: plotting.SURVEY_COLOUR["CFHTLS" if way in OF_CFHTLS else "SDSS"] for way in WAYS}
means = {key: intervals.bootstrap(intervals.mean, b, n_boot) for key, b in information_of.items()}
panels.seed_strips(means, colours, f"bits of redshift (n = {len(z)})")
plt.show()

# %% [markdown]
# The intervals are wide because galaxies differ: some give their redshift away, others hardly. That
# spread is common to all lines, so the lines must not be compared by eye, interval against interval.
#
# Nothing can know more than what it was made from: the *data processing inequality*. It speaks of
# whole images, though. Peaks and totals are only a part of them, and a network may put into a peak what
# its source had elsewhere; a line above its source would mean that, or an error. The question is how
# much less each way knows, and whether the differences are larger than chance. Each is taken galaxy by
# galaxy, for every seed; a statement is *supported* only if the intervals of all seeds lie above zero,
# and *contradicted* if they all lie below. Anything else is *inconclusive* with a sample of this size.

# %%
CLAIMS = {
    "a round trip loses more than the way there": ("SDSS to CFHTLS", "there and back"),
    "translation loses more than re-observation": ("re-observed", "SDSS to CFHTLS"),
    "re-observation loses information": ("SDSS", "re-observed"),
    "reconstruction loses information": ("SDSS", "reconstructed"),
    "from SDSS to CFHTLS, information is lost": ("SDSS", "SDSS to CFHTLS"),
    "from CFHTLS to SDSS, information is lost": ("CFHTLS", "CFHTLS to SDSS"),
    "CFHTLS to SDSS ends with more than SDSS to CFHTLS": ("CFHTLS to SDSS", "SDSS to CFHTLS"),
}
judged = seeds_agree.compare(information_of, CLAIMS, n_boot, seed)
inputs = [first["test"], files["learn"]]
seeds_agree.keep(judged, folder.table("verdicts_directions"), inputs)
seeds_agree.summary(judged)

# %% tags=["remove-cell"]
for name, (way, of) in {
    "there": ("SDSS to CFHTLS", "SDSS"),
    "back": ("CFHTLS to SDSS", "CFHTLS"),
    "round": ("there and back", "SDSS"),
    "anew": ("re-observed", "SDSS"),
    "copy": ("reconstructed", "SDSS"),
}.items():
    both = 100 * information_of[way, 0], information_of[of, 0]
    kept = intervals.bootstrap(intervals.ratio_of_means, np.stack(both), n_boot, seed)
    glue(f"way_{name}", intervals.format_interval(kept.value, kept.low, kept.high), display=False)
glue("way_n", len(z), display=False)
for key, claims in seeds_agree.claims_by_consensus(judged).items():
    glue(f"way_{key}", claims, display=False)
glue("way_closer", seeds_agree.consensus_by_claim(closer)[CLOSER], display=False)
for name, way in {"first": "SDSS", "guess": "re-observed"}.items():
    e = lines[f"{way}, seed 0"]
    glue(f"way_{name}", intervals.format_interval(e.value, e.low, e.high), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`way_n` galaxies, in per cent of the information on the redshift that its source has, as
# peaks and totals know it (seed 0): the way from SDSS to CFHTLS keeps {glue:text}`way_there`, the way from
# CFHTLS to SDSS {glue:text}`way_back`, re-observation {glue:text}`way_anew`, reconstruction
# {glue:text}`way_copy`, and the round trip {glue:text}`way_round`. Against a second look at the galaxy, the
# first one is off by {glue:text}`way_first` sky noises a pixel, the image that a network foresees by
# {glue:text}`way_guess`; that the second is the smaller one, for every seed: *{glue:text}`way_closer`*. A
# guess can be closer in pixels than an observation and know less: pixels and information are different
# judges.
#
# Of information, these statements are *supported* by all seeds: {glue:text}`way_supported`.
# *Contradicted*: {glue:text}`way_contradicted`. *Inconclusive*: {glue:text}`way_inconclusive`.
#
# Should the easy way be one that loses information, nature does not force it: the deep image holds
# what the shallow one shows, so that it is lost by the training. Most pixels of an SDSS image are
# noise, above all in u and z, and we suspect that a loss over pixels gains little from getting their
# faint light right. Re-observation has the same targets, but its sources are SDSS images already, of
# which it has to change little.
#
# **Exercise.** The way back starts from a translation that is free of noise, but was learnt from
# CFHTLS images with noise. Train the way back on *translated* images. Does the round trip keep more?
#
# ```{dropdown} Solution
# Replace the source of the pairs of `reverse` by what the networks of the way there make of them,
# before training. The chain as a whole is then one deeper network from SDSS to SDSS, trained in two
# parts; what the first part has thrown away is gone, so the round trip can at best come up to the
# way there.
# ```
#
# **Exercise.** Is the way back only trained too briefly? Give every way four times as many steps
# (`-p steps 1000`, two minutes more). What happens to its information, and what to the residual of its
# pixels?
#
# ```{dropdown} Solution
# In good part. When we tried, on these galaxies and with both seeds, four times as many steps gave back
# more than a third of what the way back had lost, and sixteen times as many more than half: about as much
# was known then as the SDSS images themselves know. The residual of the pixels fell by three per cent
# meanwhile. Most of it is noise, and a loss over pixels is slow to teach what is a small part of it. For
# both seeds something stayed lost, and here the seeing of SDSS may have its share, which mixes the core of
# a galaxy with what surrounds it.
# ```
#
# **Exercise.** The image that a network foresees is made from the first observation. How can it be nearer
# to the second one than the first is itself, where it is?
#
# ```{dropdown} Solution
# The second image is the galaxy with a noise of its own, which nobody can foresee. The first is off from it
# by two noises, a good guess by little more than one. To leave the noise out is a gain in every pixel,
# even if some of what the noise hides, a faint colour in u or z, is left out with it.
# ```
#
# **What's next:** Not all of it has to be lost: [a translator that keeps the
# redshift](36_keeping_redshift.py).
