# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Your own data, end to end
#
# From FITS images of one field in two surveys and a catalogue, this chapter produces matched stamps, a
# trained translator and its row on the leaderboard. Here {glue:text}`own_usable` of {glue:text}`own_rows`
# objects pass all checks; {glue:text}`own_model`, trained on {glue:text}`own_train` of them, reaches a
# PSNR of {glue:text}`own_psnr:.1f` dB in {glue:text}`own_band` on {glue:text}`own_test` test galaxies.
#
# **What you will learn**
#
# - the five steps, most of them a single call, and the files that each step writes;
# - what to check before the next step;
# - how to repeat the procedure for other fields, models and seeds without editing the notebook.
#
# **Prerequisites:** the chapter on [preparing real data](03_real_data.py), which explains the steps that
# are only called here. About 10 minutes.
#
# ```bash
# papermill notebooks/42_own_data.py mine.ipynb -p results my_results -p name "My field" \
#     -p survey_to KiDS -y "{source: [u.fits, g.fits, ...], target: [...], catalogue: mine.csv}"
# ```
#
# The surveys are any two that the package defines or that you describe in a TOML file (`-p surveys
# my_surveys.toml`; see [preparing real data](03_real_data.py)). The bands are those for which both
# surveys have files.
#
# Without files the notebook writes a small simulated survey in the formats of SDSS and CFHTLS and
# processes it in the same way. [SDSS to KiDS](44_sdss_to_kids.py) translates real galaxies, and another pair
# of surveys.

# %% tags=["hide-input", "remove-stderr"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import paths, plotting, study
from companion.mock_surveys import write_mock
from galtools import artefacts, data, flags, models, simulate
from galtools.data import splits
from galtools.errors import GaltoolsError, check_choice
from galtools.fidelity import intervals, scorecard
from galtools.ingest.catalogue import read_catalogue
from galtools.ingest.crossmatch import match
from galtools.ingest.cutouts import cut
from galtools.ingest.fits_images import read_plane
from galtools.surveys import CFHTLS, SDSS, find_survey, load_surveys, reference_band
from galtools.training.loop import Settings

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
survey_from: str = "SDSS"  # survey that is translated
survey_to: str = "CFHTLS"  # survey into which it is translated
surveys: str = ""  # TOML file that describes further surveys
source: list[str] = []  # FITS files of the first survey, one per band; empty: a simulated survey
target: list[str] = []  # FITS files of the second survey, one per band
catalogue: str = ""  # positions, redshifts and names of the galaxies
name: str = "My field"  # name of the row on the leaderboard
n_galaxies: int = 100  # galaxies of the simulated survey
nside: int = 4096  # fineness of the sky cells that are dealt out to the splits
model: str = "residual"  # the translator
steps: int = 250  # training steps
batch: int = 8  # galaxies in a step
n_boot: int = 400  # resamples of the galaxies behind each interval
morphology: int = 10  # galaxies that statmorph measures; 0 for none

# %% [markdown]
# ## 1. Input files
#
# Provide one image per band and survey, each with its coordinates in the header. Band, unit and zero
# point are read from the header as well, and a file whose pixels contradict its header is refused with an
# explanation. The catalogue, in any format that astropy reads, contains positions in degrees and
# redshifts, under their usual column names. A galaxy without a redshift can be translated, but does not
# contribute to measurements of redshift information.
#
# All results of this chapter are written to a separate folder below the results, so that the samples of
# the other chapters are not overwritten.

# %%
learn = [name for name in models.names() if name in plotting.MODEL_NAME]
check_choice("model", model, learn)  # now, not after the stamps are cut
own = paths.Results(str(paths.Results(results, profile).folder / "own"), profile)
published = own.data("x").with_name("published")
load_surveys(surveys) if surveys else None
sides = [find_survey(survey_from), find_survey(survey_to)]
if not (source and target and catalogue):
    if source or target or catalogue or sides != [SDSS, CFHTLS]:
        raise GaltoolsError("give all three: source, target and catalogue, or none of them")
    written = write_mock(published, simulate.pairs(n_galaxies, seed=seed), seed=seed)
    source, target = (list(map(str, written[survey.name])) for survey in sides)
    catalogue = str(published / "catalogue.csv")

# %%
files = zip(sides, (source, target), strict=True)
planes = [[read_plane(file, survey) for file in some] for survey, some in files]
seen = [{plane.band for plane in some} for some in planes]
common = [band for band in sides[0].bands if band in seen[0] & seen[1]]
planes = [[plane for plane in some if plane.band in common] for some in planes]
sides = [survey.in_bands(common) for survey in sides]
objects = read_catalogue(Path(catalogue))
print(f"{len(objects)} objects; bands", *("".join(p.band for p in some) for some in planes))

# %% [markdown]
# ## 2. Cutting and matching stamps
#
# `cut` makes centred, upright stamps for each survey; `match` combines the two surveys and counts sources
# without a counterpart. Check this table before you continue: many *lost* sources almost always indicate
# an offset between the coordinates of the surveys.
#
# Rows with a fault are flagged and remain in the catalogue. Which flags are acceptable is your choice;
# only rows without any are used here. Aligned stamps are smoother than the original images, since each
# new pixel is a weighted mean of old ones. `cut(..., align=False)` leaves pixel values unchanged, with
# galaxies up to half a pixel off centre along each axis.

# %%
stamps = [cut(layers, objects, survey) for survey, layers in zip(sides, planes, strict=True)]
matched, outcomes = match(*stamps)
usable = flags.good(matched.catalogue)
if not usable.any():
    met = flags.count(matched.catalogue)
    told = ", ".join(f"{rows} {flag}" for flag, rows in met.iterrows() if flag.isupper())
    raise GaltoolsError(f"none of {len(usable)} rows is without a flag ({told}): fix the largest")
print(f"{usable.sum()} of {len(usable)} rows carry no flag")
outcomes.to_pandas().style.hide()

# %% mystnb={"figure": {"caption": "Galaxies of the sample in the source (top) and target survey (bottom). Check that both show the same objects, upright and centred.", "name": "fig-own-stamps"}, "image": {"alt": "Two rows of colour stamps of the same galaxies."}} tags=["hide-input"]
pairs = matched[usable]
band = reference_band(common)
light = pairs.target[:, common.index(band)].sum((1, 2))
shown = np.argsort(-light)[: min(5, len(pairs))]
fig = plotting.stamps(
    [pairs.source[shown], pairs.target[shown]], [survey.name for survey in sides],
    [f"z = {z:.2f}" for z in pairs.redshift[shown]],
)  # fmt: skip
plt.show()

# %% [markdown]
# ## 3. Splits
#
# Stamps of neighbouring galaxies overlap, so the sample is split on the sky. Three files are written, in
# the format and with the names that all other chapters use.
#
# For a field of a square degree or more, the default cells of the function `by_sky` are suitable. The
# simulated field is only arcminutes wide and needs smaller cells, set by `nside`. If a split is empty,
# the cells are too large for your field.

# %%
place = (pairs.catalogue["ra"], pairs.catalogue["dec"])
split = splits.by_sky(*place, (0.6, 0.2, 0.2), link=26, nside=nside, seed=seed)
inputs = [Path(file) for file in (*source, *target, catalogue, surveys) if file]
for part in splits.NAMES:
    chosen = split == part
    if not chosen.any():
        raise GaltoolsError(f"no galaxy fell into {part}: choose another seed, or a larger nside")
    artefacts.make(
        own.data(part),
        lambda path, chosen=chosen: data.save(pairs[chosen], path, split=split[chosen]),
        params={"part": part, "nside": nside, "surveys": [survey_from, survey_to]},
        modules=["galtools.ingest.cutouts", "galtools.data.splits"], inputs=inputs, seed=seed,
    )  # fmt: skip
    print(part, data.describe(own.data(part))["galaxies"])

# %% [markdown]
# ## 4. Training and translation
#
# `study.run` trains the model, unless the same training has been done before, and translates the test
# galaxies. An interrupted training resumes from its last checkpoint. To judge whether the number of steps
# suffices, compare the losses that it prints: if the last is clearly below the one before, train longer.
# A few hundred galaxies suffice to test the procedure; the results of the other chapters are based on
# thousands.

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, seed=seed)
result = study.run(str(own.folder.parent), profile, model, "cross", seed, settings)
study.error_table(result)

# %% mystnb={"figure": {"caption": "Test galaxies, bright to faint: source resampled to the target's grid, translation, target, and r-band residual in units of the sky noise.", "name": "fig-own-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
fig = study.examples(result)
plt.show()

# %% [markdown]
# Dipoles in the last row are shifts by a fraction of a pixel. Catalogue positions have errors of this
# size, independent between the surveys, so a translator cannot predict the subpixel position of a galaxy
# in the target stamp. A shift common to all galaxies would indicate a fault.
#
# ## 5. Model card and leaderboard
#
# The card measures the translations with the metrics that are used for all models of this book, and is
# stored as JSON. Values in brackets are 95 % intervals over galaxies. They are wide for a small test set,
# and translators with overlapping intervals should not be ranked without a paired comparison.

# %% tags=["remove-stderr"]
test = result.pairs
card = scorecard.card(
    test.target_set, result.translated, result.floor, test.redshift, name=name,
    morphology=morphology, n_boot=n_boot, seed=seed,
)  # fmt: skip
saved = own.table("card").with_suffix(".json")
made = artefacts.make(
    saved, card.save, params={"name": name, "n_boot": n_boot, "morphology": morphology},
    modules=["galtools.fidelity.scorecard"],
    inputs=[own.translations("cross", model, seed), own.data("test")], seed=seed,
)  # fmt: skip

# %%
numbers = {"psnr": "PSNR (dB)", "correlation": "pixel correlation",
           "aperture_scatter": "flux scatter", "box_scatter": "peak scatter"}  # fmt: skip
board = scorecard.merge([scorecard.load(saved)]).query("band == @band").set_index("metric")
row = {
    label: intervals.format_interval(*board.loc[metric, ["value", "low", "high"]])
    for metric, label in numbers.items()
}
pd.DataFrame(row, index=[name])

# %% [markdown]
# To compare the translator with others, pass the card to the leaderboard:
#
# ```bash
# papermill notebooks/25_leaderboard.py board.ipynb \
#     -y "cards: [my_results/quick/own/quick/tables/card.json]"
# ```
#
# Rows of different samples can be *shown* together, but not ranked: a field of bright galaxies gives
# better values for any translator.

# %% tags=["remove-cell"]
sizes = {part: data.describe(own.data(part))["galaxies"] for part in splits.NAMES}
glue("own_rows", len(usable), display=False)
glue("own_usable", int(usable.sum()), display=False)
glue("own_train", sizes["train"], display=False)
glue("own_test", sizes["test"], display=False)
glue("own_model", plotting.MODEL_NAME[model], display=False)
glue("own_psnr", float(board.loc["psnr", "value"]), display=False)
told = study.quoted_numbers(result)
glue("own_band", band, display=False)
glue("own_floor", told[f"{model}_chi_floor"], display=False)
glue("own_chi", told[f"{model}_chi"], display=False)

# %% [markdown]
# ## What we found
#
# Of {glue:text}`own_rows` objects, {glue:text}`own_usable` have no flag; {glue:text}`own_train` were used
# for training and {glue:text}`own_test` for testing. {glue:text}`own_model` reaches a PSNR of
# {glue:text}`own_psnr:.1f` dB in {glue:text}`own_band`, with a residual of {glue:text}`own_chi:.0f` times
# the sky noise, compared with {glue:text}`own_floor:.0f` times for resampling. If galaxies and steps are
# as few as in the default run, these numbers demonstrate the procedure and do not characterize the model.
#
# ## Exercises
#
# 1. Shift the catalogue by two arcseconds and run the notebook again. Which table or figure reveals the
#    error first?
# 2. Run the chapter for three seeds and two models without opening the notebook again.
#
# ```{dropdown} Solutions
# 1. None of the first tables: stamps are cut at the catalogue positions in both surveys, and match each other
#    perfectly. The *figure* of stamps reveals it, since no galaxy is centred.
# 2. A grid file with `notebook: 42_own_data` and `parameters: {seed: {range: 3}, model: [residual,
#    swin], source: [[...]], target: [[...]], catalogue: ...}`, and `make grid GRID=that_file.yaml`.
# ```
#
# **What's next:** [At scale](../scale.md) describes grids in detail, and [time and cost for half a
# million galaxies](41_survey_size.py) samples that exceed the memory.
