# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Claims of the paper, tested
#
# Of {glue:text}`claims_all` tests, {glue:text}`claims_supported` support a claim of the paper,
# {glue:text}`claims_contradicted` contradict one, {glue:text}`claims_no_difference` show no difference
# and {glue:text}`claims_inconclusive` are inconclusive. Criteria were set beforehand; the verdicts are
# computed from the evidence of the other chapters.
#
# **What you will learn**
#
# - which claims of {cite:t}`ruan2025` this run supports or contradicts;
# - how a verdict follows from a margin, an interval and a control.
#
# **Prerequisites:** none; each line names the chapter that measures it. About 5 minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from companion import claims, panels, paths, plotting, setups, training_scatter
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity.intervals import Verdict

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's

# %% [markdown]
# ## Redshift information retained
#
# The paper's central claim is that every model loses redshift information, to different degrees. The figure
# measures it for all images between the two surveys, with an estimator trained from scratch on each kind of
# image, and with the *frozen* estimator of the target images ([the chapter on redshift](24_redshift.py)). Ticks,
# where kept, are [short trainings](25_leaderboard.py) of the same models, each with a retrained estimator of its
# own, by the same recipe. They show how far trainings differ in their seed, not where a long training ends: the
# kept networks were trained longer.

# %% tags=["hide-input"]
folder = paths.Results(results, profile)
kept = claims.retained(folder, seed)
ran = [row for row in kept.get("row", ()) if folder.weights("cross", row, seed).exists()]
models = [row for row in dict.fromkeys(ran) if row != "flux_corrected"]
short = training_scatter.read_kept().query("metric == 'retained'")
same = artefacts.read_manifest(training_scatter.TABLE)["profile"] == profile
print("no chapter has measured redshifts" if kept.empty else f"translators: {', '.join(models)}")

# %% mystnb={"figure": {"caption": "Redshift information of SDSS galaxies that is retained in their CFHTLS images, relative to the source: filled, an estimator trained from scratch on each kind of image; hollow, the estimator of true CFHTLS images. Dashed: what is found in the source, for an ideal estimator the bound of any translation; triangles: less than 0. 95 % intervals over galaxies and estimator seeds. Ticks, where kept: single short trainings of the same models, which differ in their seed; the dots of these models are longer trainings. Target and repeat observation are not derived from the source and may exceed 100 %.", "name": "fig-headline"}, "image": {"alt": "One line per kind of image in three groups: references, the four models of the paper, and the residual network and the flux-corrected translator of this book. On each line the percentage of redshift information retained by a retrained and by a frozen estimator, with intervals, beside a dashed line at 100 %."}} tags=["leading", "hide-input"]
if not kept.empty:
    panels.retained_strips(kept, trainings=short if same else None)
    plt.show()

# %% [markdown]
# ## Criteria
#
# Each claim is expressed as a number that is positive if the paper is right, with a *margin* below which
# a difference is irrelevant. The paper's claims concern every model, so the weakest one decides, by its
# 95 % interval over galaxies:
#
# - **no difference**: the interval lies within the margin on both sides of 0 (an equivalence test);
# - **supported**: it is above 0 and not within the margin;
# - **contradicted**: it is below 0 and not within the margin;
# - **inconclusive**: otherwise.
#
# The same number is measured for a *control* that has to fail: a lossless copy for a loss, a third
# observation where translations are compared with a repeat observation, a degraded image for a likeness. No
# control is fixed by construction. If it is supported, the number does not test the claim and the verdict is
# *inconclusive*. So is any verdict that is not significant at 5 % after the Benjamini–Hochberg correction.
#
# The criteria are ours, not the paper's; the galaxies are simulated unless you supply your own; and the
# intervals exclude the scatter between trainings. A contradiction therefore does not refute the paper.

# %%
judged = claims.judge(claims.collect(folder, seed))
missing = judged[judged.verdict == "not run"]
absent = sorted({f"{claims.CLAIMS[x.claim].chapter} ({x.task})" for x in missing.itertuples()})
judged = judged[judged.verdict != "not run"].reset_index(drop=True)
if judged.empty:
    raise GaltoolsError("no chapter has left evidence: run notebooks/21_pixels.py first")
judged["margin"] = [claims.CLAIMS[name].margin for name in judged.claim]
print(
    "chapters not run, or with a single model where two are compared:", ", ".join(absent) or "none"
)

# %% mystnb={"figure": {"caption": "The number of each claim for the weakest model (filled) and for the control that must fail (hollow), in units of the claim's margin, with 95 % intervals. Positive values support the paper, negative ones contradict it; differences within the shaded margin are irrelevant.", "name": "fig-claims"}, "image": {"alt": "One line per claim with a filled point for the weakest model, a hollow one for the control, and intervals. The table below gives all numbers and verdicts."}} tags=["hide-input"]
panels.claim_strips(judged, lambda line: f"{line.claim}, {line.task}: {line.verdict}")
plt.show()

# %% tags=["hide-input"]
verdicts, details = [], []
for x in judged.itertuples():
    claim = claims.CLAIMS[x.claim]
    names = [plotting.MODEL_NAME.get(row, row) for row in x.weakest.split(", ")]
    control = claims.CONTROLS.get(claim.fails, claim.fails)
    paper = {"The paper says": claim.paper + " (SDSS to SDSS)" * (x.task == "intra")}
    verdicts.append(
        paper
        | {"this book": str(x.found), "verdict": x.verdict}
        | {"control": f"{control}: {x.control}" + (", passes" if x.passes else "")}
        | {"chapter": claim.chapter[3:].replace("_", " ")}
    )
    details.append(
        paper
        | {"number": claim.number, "margin": f"{claim.margin:g}", "weakest": ", ".join(names)}
        | {"holds for": f"{x.holds} of {x.models}", "adjusted p": f"{x.chance:.1g}"}
    )
verdicts = pd.DataFrame(verdicts).set_index("The paper says")
glue("claims_table", verdicts.drop(columns="chapter"), display=False)
verdicts

# %% [markdown]
# The numbers are defined so that positive values support the paper. Claims are tested between the surveys
# unless the line says *SDSS to SDSS*:

# %% tags=["hide-input"]
pd.DataFrame(details).set_index("The paper says")

# %% [markdown]
# *Holds for* counts the models that support the claim individually; *adjusted p* is the p-value of the
# verdict after the Benjamini–Hochberg correction. The chapters on
# [pixels](21_pixels.py), [morphology](22_morphology.py), [peak fluxes](23_peaks.py),
# [redshift](24_redshift.py), [the information bound](33_the_limit.py) and [uses](37_useful.py) list the
# numbers of all models and controls.
#
# For SDSS to SDSS the input equals the target, noise included, so that a network can nearly copy it. A
# contradiction there reflects the capacity of the networks.
#
# The claim on the mapping uses exact limits: losses of a small network or differences between degenerate
# galaxies do not bound the best possible translator.

# %% [markdown]
# ## Both set-ups
#
# The table compares this run with the paper as far as its abstract describes it; the abstract states results
# without numbers, so claims are compared above, not values. Public code of an earlier
# work of one of the authors uses ugriz images of 64 × 64 (SDSS) and 136 × 136 pixels
# ([CFHT](https://github.com/QiufanLin/ImageTranslation)). This book uses the pixels of SDSS for both surveys,
# or 136 × 136 with the profile `paper`.

# %% tags=["hide-input"]
ours = setups.this_run(folder, models, seed) if models else dict.fromkeys(setups.PAPER, "not run")
glue("setup_training", ours["training"], display=False)
pd.DataFrame({"paper": setups.PAPER, "this run": ours})

# %% tags=["remove-cell"]
for word in Verdict:
    part = judged[judged.verdict == word]
    quoted = [f"“{claims.CLAIMS[x.claim].paper}” ({x.task})" for x in part.itertuples()]
    glue(f"claims_{word.replace(' ', '_')}", len(part), display=False)
    glue(f"claims_list_{word.replace(' ', '_')}", "; ".join(quoted) or "none", display=False)
glue("claims_all", len(judged), display=False)
glue("claims_absent", ", ".join(absent) or "none", display=False)
glue("claims_passed", int(judged.passes.sum()), display=False)

# %% [markdown]
# ## What we found
#
# *Supported*: {glue:text}`claims_list_supported`. *Contradicted*: {glue:text}`claims_list_contradicted`.
# *No difference*: {glue:text}`claims_list_no_difference`. *Inconclusive*:
# {glue:text}`claims_list_inconclusive`. Tests whose control is supported: {glue:text}`claims_passed`.
# Chapters without evidence: {glue:text}`claims_absent`.
#
# **Exercise.** Which verdicts would change with ten times as many galaxies?
#
# ```{dropdown} Solution
# Intervals shrink by a factor of about three. Those that contain 0 or a margin may then give a verdict;
# the others keep theirs. Run the chapters by `papermill` with a larger `n_test` in `01_two_surveys`, then
# this one.
# ```
#
# **What's next:** is the loss due to the models or to the mapping? [A toy model](31_toy.py), or back to
# [the two surveys](01_two_surveys.py).
