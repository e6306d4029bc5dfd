# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Your own data, end to end
#
# You have FITS images of one patch of sky in both surveys, and a catalogue. How do you get from there
# to a trained translator and its row on the leaderboard?
#
# **What you will learn**
#
# - the five steps on the way, each a single call, and what each of them leaves on the disk;
# - where to look before you go on to the next step;
# - how to do it again for other fields, models and seeds without touching the notebook.
#
# **Prerequisites:** the chapter on [preparing real data](03_real_data.py) explains every step that is
# only called here. About 10 minutes.
#
# ```bash
# papermill notebooks/42_own_data.py mine.ipynb -p results my_results -p name "My field" \
#     -p survey_to KiDS -y "{source: [u.fits, g.fits, ...], target: [...], catalogue: mine.csv}"
# ```
#
# The surveys are any two that the package knows, or that a TOML file of yours describes
# (`-p surveys my_surveys.toml`, see the chapter before); the bands are those of which both have files.
#
# Without files the notebook first publishes a small survey of its own, simulated, in the formats of
# SDSS and CFHTLS, and then treats it as it would treat yours.

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
# ## 1. The files
#
# One image per band and survey, each with its coordinates in the header. Band, unit and zero point are
# read from the header too; a file whose pixels contradict its header is refused, with the reason. The catalogue, in any format that astropy reads, holds positions in
# degrees and redshifts; the usual names of the columns are understood. A galaxy without a redshift can
# be translated, but says nothing about the information that survives.
#
# Everything that this chapter makes goes to a folder of its own below the results, so that it does
# not get in the way of the other chapters' samples.

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
# ## 2. Stamps, matched
#
# `cut` makes the stamps of each survey, upright and centred; `match` puts the two surveys side by
# side and counts what found no partner. Look at this table before you go on: a large number under
# *lost* is nearly always a shift of the coordinates, not a property of the sky.
#
# A row with a fault is flagged and stays in the catalogue. Which flags you can live with is your
# choice; here only the rows without any are used. Aligned stamps are smoother than the survey they
# come from, since each new pixel is a mean of old ones; `cut(..., align=False)` leaves the pixels as
# they were, and galaxies up to half a pixel off the middle.

# %%
stamps = [cut(layers, objects, survey) for survey, layers in zip(sides, planes, strict=True)]
matched, outcomes = match(*stamps)
usable = flags.good(matched.catalogue)
if not usable.any():
    met = flags.count(matched.catalogue)
    told = ", ".join(f"{rows} {flag}" for flag, rows in met.iterrows() if flag.isupper())
    raise GaltoolsError(f"none of {len(usable)} rows is without a flag ({told}): mend the largest")
print(f"{usable.sum()} of {len(usable)} rows carry no flag")
outcomes.to_pandas().style.hide()

# %% mystnb={"figure": {"caption": "Galaxies of the sample in the survey translated from (top) and to (bottom). Check that they are the same objects, upright, and in the middle.", "name": "fig-own-stamps"}, "image": {"alt": "Two rows of colour stamps of the same galaxies."}} tags=["hide-input"]
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
# Neighbours share pixels, so the sample is split on the sky. Three files are written, in the format
# and under the names that every other chapter of this book reads.
#
# For a field of a square degree or more, the default cells of the function `by_sky` are right; our
# simulated field is only minutes of arc wide, and `nside` is chosen accordingly. If a split stays
# empty, the cells are too large for your field.

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
# ## 4. Training and translating
#
# From here on your data are like any other. `study.run` trains the model, unless this very training
# has been done, and translates the test galaxies. If it is interrupted it goes on from its last
# checkpoint. How many steps are enough? Look at the loss that it prints: as long as the last line is
# clearly below the one before, more steps will help. A few hundred galaxies suffice to see that all is
# well; for results, the other chapters train on thousands.

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, seed=seed)
result = study.run(str(own.folder.parent), profile, model, "cross", seed, settings)
study.error_table(result)

# %% mystnb={"figure": {"caption": "Test galaxies, bright to faint: the source on the target's grid, the translation, the target, and the residual in the r band in units of the noise.", "name": "fig-own-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
fig = study.examples(result)
plt.show()

# %% [markdown]
# Red beside blue in the last row is a shift by a part of a pixel: the position in a catalogue is
# uncertain by about so much, in each survey by its own amount, and no translator can foresee where in
# the stamp of the target a galaxy lies. A shift that is the same for all galaxies would be a fault.
#
# ## 5. A card, and a row on the leaderboard
#
# The card measures the translations exactly as it measures those of every model in this book, and is
# kept as JSON. The values in brackets are intervals of 95 % over galaxies: with a small test set they
# are wide, and two translators whose intervals overlap have not been told apart.

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
           "aperture_scatter": "scatter of light", "box_scatter": "scatter of peak"}  # fmt: skip
board = scorecard.merge([scorecard.load(saved)]).query("band == @band").set_index("metric")
row = {
    label: intervals.format_interval(*board.loc[metric, ["value", "low", "high"]])
    for metric, label in numbers.items()
}
pd.DataFrame(row, index=[name])

# %% [markdown]
# To see it among the others, hand the card to the leaderboard:
#
# ```bash
# papermill notebooks/25_leaderboard.py board.ipynb \
#     -y "cards: [my_results/quick/own/quick/tables/card.json]"
# ```
#
# Rows of different samples can be *shown* together, but not ranked: a field of bright galaxies gives
# better numbers to any translator.

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
# Of {glue:text}`own_rows` objects {glue:text}`own_usable` came through without a flag;
# {glue:text}`own_train` were trained on and {glue:text}`own_test` judged. {glue:text}`own_model`
# reaches a PSNR of {glue:text}`own_psnr:.1f` dB in {glue:text}`own_band`, and leaves a residual of
# {glue:text}`own_chi:.0f` times the sky noise, where resampling leaves {glue:text}`own_floor:.0f`.
# With so few galaxies and steps that says little about the model. It says that the way is open from
# files to a row.
#
# ## Exercises
#
# 1. Shift the catalogue by two arcseconds and run the notebook again. Which table tells you first?
# 2. Do the same for three seeds and two models without opening the notebook again.
#
# ```{dropdown} Solutions
# 1. None of the first ones: stamps are cut where the catalogue says, in both surveys alike, and
#    match each other perfectly. The *figure* of stamps shows it at once: no galaxy is in the middle.
# 2. A grid file with `notebook: 42_own_data` and `parameters: {seed: {range: 3}, model: [residual,
#    swin], source: [[...]], target: [[...]], catalogue: ...}`, and `make grid GRID=that_file.yaml`.
# ```
#
# **What's next:** [At scale](../scale.md) says more about grids,
# [what would half a million galaxies cost?](41_survey_size.py) about samples that are larger than the
# memory.
