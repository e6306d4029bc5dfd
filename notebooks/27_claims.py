# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Claims of the paper, tested
#
# What does the paper say, and does this run agree?
#
# Every chapter on fidelity ends by asking whether its numbers agree with the paper. This page brings
# the answers together. No verdict on it was typed: it reads those that the chapters left behind.
#
# **What you will learn**
#
# - what {cite:t}`ruan2025` claim, in one list;
# - which of it this run supports or contradicts, and where it is inconclusive;
# - how a verdict is reached, and what it is not.
#
# **Prerequisites:** none; every line links to the chapter that tests it. About 5 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
from myst_nb import glue

from companion import claims, panels, paths, plotting

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's

# %% [markdown]
# ## What the paper claims
#
# In our words, in the order of its argument:
#
# 1. The **global structure** of a galaxy comes out of a translation roughly right, and so do the
#    **statistics of morphology**, whichever of the four models is asked.
# 2. **Single galaxies** are another matter: details are uncertain.
# 3. Every model **loses information on redshift**, to different degrees, both when it translates a
#    survey into itself and when it translates one survey into the other.
# 4. The **peak fluxes** in the five bands carry much of that information, and they come out
#    **uncertain**.
# 5. Much of this may lie in the **mapping itself**: it is many-to-many, so that no model can do better
#    than the source allows.
# 6. Imperfect translations are **still useful** for what comes after them.
#
# ## How a verdict is reached
#
# A claim in words has many meanings. The chapters choose one, as a number with a range, before they
# look at it. The interval of 95 % over galaxies then decides: wholly inside the range, the claim is
# **supported**; wholly outside, **contradicted**; astride an edge, or with too few galaxies, the run is
# **inconclusive**. The ranges are ours and not the paper's, and the galaxies are simulated unless you brought
# your own. And most networks were trained once: the intervals do not hold what another training would
# change, which the columns of a second seed show where there are any. So a disagreement is a reason to
# look, not a refutation.

# %%
folder = paths.Results(results, profile)
found = claims.collect(folder, seed)
counts = claims.count(found)
missing = found[found["verdict"] == "not run"]
absent = list(dict.fromkeys(f"{line.chapter} ({line.task})" for line in missing.itertuples()))
print(f"profile {profile}, seed {seed}; chapters not run:", ", ".join(absent) or "none")

# %% mystnb={"figure": {"caption": "Verdicts of this run on the claims of the paper, for each task one for each tested sentence and model (or seed): how many support it, are inconclusive, contradict it.", "name": "fig-claims"}, "image": {"alt": "One bar for each claim and task, divided into verdicts that support, are inconclusive and contradict, with their numbers. The tables below hold every verdict in words."}} tags=["hide-input"]
fig = claims.bars(counts)
plt.show()

# %% [markdown]
# ## Claim by claim
#
# **Structure and light**, from the chapter on pixels, run [for SDSS to CFHTLS](21_pixels.py) and
# [for SDSS to SDSS](21_pixels_intra.py): value and interval of every model, ✓ supported,
# ? inconclusive, ✗ contradicted. Within one survey there is nothing to resample, so sentences about it have no second line.

# %% tags=["hide-input"]
panels.show_in_parts(claims.overview(found, "21_pixels"), 3, yardstick=False)

# %% [markdown]
# **Shapes**, from the chapter on morphology ([SDSS to CFHTLS](22_morphology.py),
# [SDSS to SDSS](22_morphology_intra.py)). The first lines ask for the statistics of
# the sample, the last ones for single galaxies.

# %% tags=["hide-input"]
panels.show_in_parts(claims.overview(found, "22_morphology"), 3, yardstick=False)

# %% [markdown]
# **Peak fluxes and what they cost**, from the chapter on peaks ([SDSS to CFHTLS](23_peaks.py),
# [SDSS to SDSS](23_peaks_intra.py)).

# %% tags=["hide-input"]
panels.show_in_parts(claims.overview(found, "23_peaks"), 3, yardstick=False)

# %% [markdown]
# **Information on redshift**, the paper's central claim: a network that reads the whole image
# ([SDSS to CFHTLS](24_redshift.py), [SDSS to SDSS](24_redshift_intra.py)).

# %% tags=["hide-input"]
panels.show_in_parts(claims.overview(found, "24_redshift"), 3, yardstick=False)

# %% [markdown]
# **What an image leaves open**, from [the chapter on nature's spread](32_natures_spread.py): galaxies that
# look alike in the source and differ in the target.

# %% tags=["hide-input"]
claims.overview(found, "32_natures_spread")

# %% [markdown]
# **The mapping itself.** Can the loss be told from what nature loses in a second look, and does a round
# trip lose more than the way there? Each column is another seed of everything that is trained.

# %% tags=["hide-input"]
claims.overview(found, "35_directions")

# %% [markdown]
# **What anybody could know**, from [the chapter on the limit](33_the_limit.py): what the target holds
# beyond its source, which no model could carry over, and what each model loses of what was found.

# %% tags=["hide-input"]
claims.overview(found, "33_the_limit")

# %% [markdown]
# **Useful nevertheless?** Translated galaxies are added where labels are scarce.

# %% tags=["hide-input"]
claims.overview(found, "37_useful")

# %% tags=["remove-cell"]
for word in claims.WORDS:
    glue(f"claims_{word.replace(' ', '_')}", int(counts[word].sum()), display=False)
glue("claims_all", int(counts.to_numpy().sum()), display=False)
glue("claims_listed", found["claim"].nunique(), display=False)
counts = counts.groupby("claim", sort=False).sum()
whole = counts[
    (counts["supported"] > 0) & (counts["contradicted"] == 0) & (counts["inconclusive"] == 0)
]
against = counts[counts["contradicted"] > 0]
for name, part in {"whole": whole, "against": against}.items():
    quoted = ", ".join(f"“{claim}”" for claim in part.index)
    glue(f"claims_{name}", quoted or "none", display=False)
glue("claims_absent", ", ".join(absent) or "none", display=False)

# %% [markdown]
# ## What we found
#
# Of {glue:text}`claims_all` verdicts on {glue:text}`claims_listed` claims,
# {glue:text}`claims_supported` support the paper, {glue:text}`claims_contradicted` contradict it, and
# {glue:text}`claims_inconclusive` are inconclusive. Every verdict supports: {glue:text}`claims_whole`.
# At least one contradicts: {glue:text}`claims_against`. Chapters without verdicts:
# {glue:text}`claims_absent`. These are not as many independent tests: most verdicts share their galaxies,
# and those of one model its network.
#
# From SDSS to SDSS a translation is a reconstruction: the network sees the very image that it has to
# give, noise included, and one without a bottleneck can nearly copy it. A second observation cannot, as
# it has noise of its own. So where details, light and peaks come out *more* certain than in a second look,
# and the paper finds them uncertain, that says more about how much the networks were allowed to remember
# than about galaxies.
#
# A single disagreement among many verdicts is expected by chance now and then: about one in forty
# of those whose truth lies at the very edge of their range. A claim on which most models
# disagree deserves a look at its chapter, at the range that was chosen, and at the sample.
#
# **Exercise.** Which verdicts would change with ten times the galaxies, and which would not?
#
# ```{dropdown} Solution
# Intervals shrink by about three. Those that straddle an edge get an answer; those far from every edge
# stay as they are. Run `papermill` on the chapters with a larger `n_test` in `01_two_surveys` and come
# back here.
# ```
#
# **What's next:** from the beginning: [two surveys, one galaxy](01_two_surveys.py). Or the question behind
# most of these verdicts, whether the loss lies in the models or in the mapping: [one input, many
# answers](31_toy.py).
