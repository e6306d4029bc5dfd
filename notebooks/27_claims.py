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
# No verdict on this page was typed: it reads the evidence that the chapters left behind, and judges it
# by ranges that were set before.
#
# **What you will learn**
#
# - what {cite:t}`ruan2025` claim, in one list;
# - which of it this run supports or contradicts, where there is no difference, and where it cannot
#   tell;
# - how a verdict is reached, and what a control is for.
#
# **Prerequisites:** none; every line names the chapter that measures it. About 5 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from myst_nb import glue

from companion import claims, panels, paths, plotting
from galtools.errors import GaltoolsError
from galtools.fidelity.intervals import Verdict

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's

# %% [markdown]
# ## How a verdict is reached
#
# Each claim is turned into one number that is positive where the paper is right, with a *margin*: a
# difference that would not matter to anybody. Since the paper speaks of every model, the weakest one
# decides, by the interval of 95 % over galaxies:
#
# - **supported**: the whole interval is above zero, and not all of it within the margin;
# - **no difference**: the whole interval is within the margin on both sides of zero;
# - **contradicted**: the whole interval is below zero;
# - **inconclusive**: anything else.
#
# The same number is measured for *controls*: a lossless copy, resampling, a second observation.
# One of them, named beside each claim, must not pass; if it does, the number does not test what
# it should, and the verdict is *inconclusive*. And as one of twenty verdicts would come by chance,
# all of them are tested together: a verdict that does not hold at 5 % after the correction of
# Benjamini and Hochberg for their number becomes *inconclusive*, too.
#
# The ranges are ours and not the paper's, the galaxies are simulated unless you brought your own, and
# most networks were trained once: the intervals do not hold what another training would change. So a
# disagreement is a reason to look, not a refutation.

# %%
folder = paths.Results(results, profile)
judged = claims.judge(claims.collect(folder, seed))
missing = judged[judged.verdict == "not run"]
absent = sorted({f"{claims.CLAIMS[x.claim].chapter} ({x.task})" for x in missing.itertuples()})
judged = judged[judged.verdict != "not run"].reset_index(drop=True)
if judged.empty:
    raise GaltoolsError("no chapter has left evidence: run notebooks/21_pixels.py first")
judged["margin"] = [claims.CLAIMS[name].margin for name in judged.claim]
print("chapters not run:", ", ".join(absent) or "none")

# %% mystnb={"figure": {"caption": "The number of each claim for the weakest model (filled) and for the control that must fail (hollow), in units of the claim's margin, with 95 % intervals. Right of the shaded margin the paper is right; left of it, it is not.", "name": "fig-claims"}, "image": {"alt": "One line for each claim with a filled point for the weakest model and a hollow one for the control, and intervals. The table below holds every number and verdict in words."}} tags=["hide-input"]
panels.claim_strips(judged, lambda line: f"{line.claim}, {line.task}: {line.verdict}")
plt.show()

# %% tags=["hide-input"]
lines = []
for x in judged.itertuples():
    claim = claims.CLAIMS[x.claim]
    names = [plotting.MODEL_NAME.get(row, row) for row in x.weakest.split(", ")]
    control = claims.CONTROLS.get(claim.fails, claim.fails)
    lines.append(
        {
            "The paper says": f"{claim.paper} ({claims.TASKS[x.task]})",
            "measured (margin)": f"{claim.number} ({claim.margin:g})",
            "weakest": ", ".join(names),
            "number": str(x.found),
            "control": f"{control}: {x.control}" + (", passes" if x.passes else ""),
            "chance": f"{x.chance:.1g}",
            "holds for": f"{x.holds} of {x.models}",
            "verdict": x.verdict,
            "chapter": claim.chapter,
        }
    )
pd.DataFrame(lines).set_index("The paper says")

# %% [markdown]
# *Holds for* counts the models for which the claim would be supported if they were asked alone. The
# numbers of all models and controls stand at the end of each chapter: [pixels](21_pixels.py),
# [morphology](22_morphology.py), [peaks](23_peaks.py), [redshift](24_redshift.py), [the
# limit](33_the_limit.py) and [uses](37_useful.py). From SDSS to SDSS a network sees the very image that
# it has to give, noise included, and can nearly copy it. So a claim that is contradicted there says
# more about how much networks were allowed to remember than about galaxies.
#
# Of the mapping, only the exact limits count: that a small network loses information on a way, or that
# look-alikes differ, says nothing about what the best possible translator could do.

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
# Of {glue:text}`claims_all` lines, *supported*: {glue:text}`claims_list_supported`. *Contradicted*:
# {glue:text}`claims_list_contradicted`. *No difference*: {glue:text}`claims_list_no_difference`.
# *Inconclusive*: {glue:text}`claims_list_inconclusive`. The control passes where it must fail in
# {glue:text}`claims_passed` of them. Chapters without evidence: {glue:text}`claims_absent`.
#
# **Exercise.** Which verdicts would change with ten times the galaxies, and which would not?
#
# ```{dropdown} Solution
# Intervals shrink by about three. Those that straddle zero or a margin get an answer; those far from both
# stay as they are. Run `papermill` on the chapters with a larger `n_test` in `01_two_surveys` and come
# back here.
# ```
#
# **What's next:** from the beginning: [two surveys, one galaxy](01_two_surveys.py). Or the question behind
# most of these verdicts, whether the loss lies in the models or in the mapping: [one input, many
# answers](31_toy.py).
