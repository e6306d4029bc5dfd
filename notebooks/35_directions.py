# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # There and back again: where does the information go?
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
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from galtools import data, manifest, panels, paths, plots, translate
from galtools.fidelity import files, information, intervals
from galtools.loop import Settings
from galtools.mapping import directions, fluxes
from galtools.mapping import seeds as seeds_agree
from galtools.redshift import Grid

plots.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
seeds: int = 2  # how often everything is trained anew
n_again: int = 1500  # training galaxies that are observed a second time
n_learn: int = 1000  # further galaxies, from whose images the redshift is learnt
steps: int = 300  # training steps of each direction
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
# the telescope would have shown, which only a simulation can tell. All ways are learnt by the same
# residual network, with the same number of steps, and everything is done once more with another
# seed. A *round trip* is the way there followed by the way back.

# %%
folder = paths.Results(results, profile)
first = {
    s: paths.need(folder.data(s), "01_two_surveys") for s in ("train", "valid", "test", "again")
}
counts = {name: len(files.read_column(path, "redshift")) for name, path in first.items()}
further = {
    "train_again": {"n": min(n_again, counts["train"]), "start": 0, "observation": 1},
    "valid_again": {"n": counts["valid"], "start": counts["train"], "observation": 1},
    "learn": {"n": n_learn, "start": counts["train"] + counts["valid"] + counts["test"]},
}
looks = {
    name: directions.simulated(folder.data(name), {**options, "grid": grid, "seed": seed})
    for name, options in further.items()
}

# %% [markdown]
# A second observation of the training galaxies is made here, and a sample of further galaxies from
# which the redshift will be learnt: a translator may remember its training galaxies too well to be
# judged on them.

# %%
build = {"name": "residual", "task": "cross", "profile": profile}
pairs_from = {split: (first[split], looks[f"{split}_again"]) for split in ("train", "valid")}
networks = {}
for k in range(seeds):
    for way in directions.DIRECTIONS:
        weights = folder.model(way, "residual", seed + k) / "weights.safetensors"
        directions.learn(weights, way, build, Settings(steps=steps, checks=2, seed=k), pairs_from)
        networks[way, k] = translate.load_weights(weights)
copier = translate.load_weights(
    paths.need(folder.weights("intra", "residual", seed), "11_residual_intra")
)

# %% [markdown]
# ## What each way makes of a galaxy
#
# A way is a chain of networks, empty for the two originals. Each network is shown what the way before
# it made.

# %%
WAYS = ["SDSS", "reconstructed", "re-observed", "there and back"]
WAYS += ["SDSS to CFHTLS", "CFHTLS to SDSS", "CFHTLS"]
OF_CFHTLS = {"CFHTLS", "SDSS to CFHTLS"}  # these have the noise and the depth of CFHTLS
learn, test, again = map(data.load, (looks["learn"], first["test"], first["again"]))


def last_step(way: str, k: int):
    """What the last network of a way is shown, and that network."""
    there, back, anew = (networks[direction, k] for direction in directions.DIRECTIONS)
    return {
        "reconstructed": ("SDSS", copier),
        "re-observed": ("SDSS", anew),
        "SDSS to CFHTLS": ("SDSS", there),
        "there and back": ("SDSS to CFHTLS", back),
        "CFHTLS to SDSS": ("CFHTLS", back),
    }[way]


# %% [markdown]
# The pictures are on one scale of surface brightness, so that any two of them can be compared.


# %%
def shown(way: str, pairs, k: int) -> np.ndarray:
    """The galaxies of `pairs` as a way shows them, by the networks of seed k."""
    if way in ("SDSS", "CFHTLS"):
        return pairs.source if way == "SDSS" else pairs.target
    before, network = last_step(way, k)
    return translate.translate(network, shown(before, pairs, k))


@cache
def images(way: str, k: int = 0) -> np.ndarray:
    """The test galaxies as a way shows them."""
    return shown(way, test, k)


# %% mystnb={"figure": {"caption": "Four test galaxies, bright to faint, on every way. What comes from a network has no noise: compare the background of the first two rows with that of the third and fourth.", "name": "fig-directions-galaxies"}, "image": {"alt": "Seven rows of colour stamps of the same four galaxies: SDSS, reconstructed, re-observed, there and back, translated to CFHTLS, translated from CFHTLS, CFHTLS."}} tags=["hide-input"]
order = np.argsort(-test.target[:, 2].sum(axis=(1, 2)))
chosen = order[np.linspace(0, len(order) - 1, 6).astype(int)[:4]]
fig, axes = plt.subplots(len(WAYS), 4, figsize=(plots.WIDTH, 1.42 * len(WAYS)))
fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
for line, way in zip(axes, WAYS, strict=True):
    for ax, picture in zip(line, plots.lupton(images(way)[chosen]), strict=True):
        ax.imshow(picture)
        plots.clean(ax)
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
def residual(shown: np.ndarray, band: int = 2) -> np.ndarray:
    """Mean square residual of each galaxy against its second look, in units of the sky noise."""
    difference = (shown - again.source)[:, band] / again.noise[:, 0, band, None, None]
    return np.square(difference, dtype=np.float64).mean(axis=(1, 2))


lines = {
    f"{way}, seed {k}": intervals.estimate(
        lambda x: np.sqrt(x.mean(-1)), residual(images(way, k)), n_boot
    )
    for way in ["SDSS", "reconstructed", "re-observed", "there and back", "CFHTLS to SDSS"]
    for k in range(1 if way in ("SDSS", "reconstructed") else seeds)
}

# %% tags=["hide-input"]
pd.DataFrame(
    {
        "residual / σ, r band": [
            panels.with_interval(e.value, e.low, e.high) for e in lines.values()
        ]
    },
    index=list(lines),
)

# %% [markdown]
# ## What each way knows of the redshift
#
# Pixels do not tell what survives. So an estimator of the redshift learns, for every way anew, from
# the peaks and the total fluxes of galaxies that no translator was trained on, *as this way shows
# them*, and is judged on the test galaxies: the protocol called *retrained* in the chapter on
# redshift. It asks what is left in the image, not whether the image looks like an original. Only
# peaks and totals are asked here, eighteen numbers a galaxy, since that takes a second and not
# minutes; a network on whole images knows more of all of them. Information is in bits: how much
# narrower the density of the redshift becomes by looking. One bit is half the width.

# %%
edges = Grid().edges
z, prior = test.redshift.astype(float), information.prior(learn.redshift, edges)
scale = data.side(first["test"], "source").pixel_scale
scale_there = data.side(first["test"], "target").pixel_scale


def bits(way: str, k: int) -> np.ndarray:
    """Information of each test galaxy when the redshift is learnt from this way's images."""
    noise = np.median(learn.noise[:, int(way in OF_CFHTLS)], axis=0)
    pixel = scale_there if way in OF_CFHTLS else scale
    tables = [fluxes.features(x, noise, pixel) for x in (shown(way, learn, k), images(way, k))]
    density = fluxes.FluxRedshift(tables[0], learn.redshift, k).density(tables[1], edges)
    return information.bits(density, z, edges, prior)


known = {(way, k): bits(way, k) for k in range(seeds) for way in WAYS}

# %% tags=["hide-input"]
found = pd.DataFrame(
    {"row": way, "seed": k, "metric": "bits", **vars(intervals.estimate(intervals.mean, b, n_boot))}
    for (way, k), b in known.items()
)
made = manifest.make(
    folder.table("directions"),
    lambda path: found.to_csv(path, index=False),
    params={"n_learn": n_learn, "steps": steps, "seeds": seeds, "n_boot": n_boot},
    modules=["galtools.mapping.directions", "galtools.mapping.fluxes"],
    inputs=[first["test"], looks["learn"]],
    seed=seed,
)

# %% mystnb={"figure": {"caption": "Information on the redshift in peaks and total fluxes, for every way, with 95 % intervals over galaxies. Two symbols: two seeds of translator and estimator.", "name": "fig-directions-bits"}, "image": {"alt": "One line per way with two points each: the originals know most, the round trip least."}} tags=["hide-input"]
colours = {way: plots.SURVEY_COLOUR["CFHTLS" if way in OF_CFHTLS else "SDSS"] for way in WAYS}
means = {way: intervals.estimate(intervals.mean, b, n_boot) for way, b in known.items()}
panels.seed_strips(means, colours, f"bits of redshift (n = {len(z)})")
plt.show()

# %% [markdown]
# The intervals are wide because galaxies differ: some give their redshift away, others hardly. That
# spread is common to all lines, so the lines must not be compared by eye, interval against interval.
#
# Nothing can know more than what it was made from: the *data processing inequality*. A line that
# beats its source would point at an error. The question is how much less each way knows, and
# whether the differences are larger than chance. Each is taken galaxy by galaxy, for both seeds; a
# statement *holds* only if the intervals of all seeds lie above zero, and *does not hold* if they all
# lie below. Anything else is too small to tell with a sample of this size.

# %%
CLAIMS = {
    "a round trip loses more than the way there": ("SDSS to CFHTLS", "there and back"),
    "translation loses more than re-observation": ("re-observed", "SDSS to CFHTLS"),
    "re-observation loses information": ("SDSS", "re-observed"),
    "reconstruction loses information": ("SDSS", "reconstructed"),
    "from CFHTLS to SDSS, information is lost": ("CFHTLS", "CFHTLS to SDSS"),
}
judged = seeds_agree.compare(known, CLAIMS, n_boot, seed)
panels.keep(judged, folder.table("verdicts_directions"), [first["test"], looks["learn"]])
seeds_agree.summary(judged)

# %% tags=["remove-cell"]
mean = {way: float(np.mean([known[way, k].mean() for k in range(seeds)])) for way in WAYS}
for name, (way, of) in {
    "there": ("SDSS to CFHTLS", "SDSS"),
    "back": ("CFHTLS to SDSS", "CFHTLS"),
    "round": ("there and back", "SDSS"),
    "anew": ("re-observed", "SDSS"),
    "copy": ("reconstructed", "SDSS"),
}.items():
    glue(f"way_{name}", 100 * mean[way] / max(mean[of], 1e-9), display=False)
glue("way_n", len(z), display=False)
glue("way_first", float(lines["SDSS, seed 0"].value), display=False)
glue("way_guess", float(lines["re-observed, seed 0"].value), display=False)

# %% [markdown]
# ## What we found
#
# On {glue:text}`way_n` galaxies, the way from SDSS to CFHTLS keeps
# {glue:text}`way_there:.0f` per cent of the source's information on the redshift, as peaks and totals
# know it; the way from CFHTLS to SDSS {glue:text}`way_back:.0f` per cent; re-observation
# {glue:text}`way_anew:.0f`, reconstruction {glue:text}`way_copy:.0f`, and the round trip
# {glue:text}`way_round:.0f` per cent. Against a second look at the galaxy, the first one is off by
# {glue:text}`way_first:.2f` sky noises a pixel, the image that a network foresees by
# {glue:text}`way_guess:.2f`. Where the second number is the smaller one, a guess is closer in pixels
# than an observation, whatever it knows: pixels and information are different judges. The table above
# says which of the differences in information are larger than chance.
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
# **What's next:** Not all of it has to be lost: [a translator that keeps the
# redshift](36_keeping_redshift.py).
