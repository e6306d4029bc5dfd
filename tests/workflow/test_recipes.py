"""The recipes of CONTRIBUTING.md, followed in a copy of the repository in the tiny profile.

A model, a metric and a chapter are added as told there, and nowhere else.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from test_habits import ROOT, tracked_files

pytestmark = pytest.mark.pipeline

MODEL = '''"""Two convolutions of the stretched source."""

from torch import nn

from galtools.models import register
from galtools.models.base import Translator


@register("shallow", tiny={"width": 16}, quick={"width": 32}, paper={"width": 64})
class Shallow(Translator):
    """Two convolutions with `width` channels between them."""

    def __init__(self, bands_in, bands_out, width):
        super().__init__()
        self.first = nn.Conv2d(bands_in, width, 5, padding=2)
        self.second = nn.Conv2d(width, bands_out, 5, padding=2)

    def network(self, x):
        return self.second(nn.functional.gelu(self.first(x)))
'''
RUNS = """17_shallow: *translator
17_shallow_intra: {notebook: 17_shallow, needs: [01_two_surveys], parameters: {task: intra}}
"""
METRIC = """METRICS = {
    "residual_peak": Metric(("chi_peak",), intervals.mean, 0, "largest |y - x| / sky noise"),
"""
QUANTITY = """    return {
        "chi_peak": np.abs(residual).max(pixels, where=valid, initial=0) / sigma,
"""
CHAPTER = """# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # How many galaxies are there?
#
# **What you will learn**
#
# - how many galaxies translators are judged on.
#
# **Prerequisites:** [the two surveys](01_two_surveys.py). Reading this chapter takes one minute.

# %% tags=["hide-input"]
from myst_nb import glue

from companion import paths
from galtools import data

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's

# %%
test = data.load(paths.need(paths.Results(results, profile).data("test"), "01_two_surveys"))
glue("counted", len(test.redshift), display=False)
print(f"seed {seed}")

# %% [markdown]
# ## What we found
#
# The test split, which no translator has ever seen while it was trained, holds
# {glue:text}`counted:d` galaxies.
#
# ## Exercise
#
# Count the galaxies of the training split in the same way, and compare both numbers.
#
# ```{dropdown} Solution
# Exchange the name of the split in the cell above.
# ```
#
# **What's next:** [the first translator](11_residual.py).
"""
CODE = """
import json, sys
from pathlib import Path
from galtools import artefacts

made = {name: artefacts.read_manifest(name) for name in sys.argv[1:]}
print(json.dumps({name: artefacts.module_digests(one["modules"]) for name, one in made.items()}))
"""
STAGE = """
import sys
from pathlib import Path
sys.path.insert(0, "workflow")
import pipeline, stage

runs = pipeline.load("tiny", Path("results"))
stage.stage(runs, Path("_build/stage"), {name: "left out" for name in runs if name != sys.argv[1]})
"""


class Project:
    """A copy of all files that git knows, which the subprocesses import from."""

    def __init__(self, folder: Path):
        self.folder, self.results = folder, folder / "results" / "tiny"
        for file in tracked_files():
            copy = folder / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        (folder / ".venv").symlink_to(sys.prefix)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, f"{name}: {old}"
        self.write(name, text.replace(old, new))

    def python(self, *options) -> str:
        """Run Python in the copy; return what it printed."""
        variables = {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "GALTOOLS_CORES": "1"}
        done = subprocess.run(
            [sys.executable, *options],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, name: str) -> None:
        options = ("--profile", "tiny", "--results", str(self.folder / "results"))
        self.python("workflow/run_notebook.py", name, *options)

    def judge(self) -> pd.DataFrame:
        """Table of the chapter on pixels, for the new model alone: the others are not trained."""
        values = f"{{profile: tiny, results: {self.folder / 'results'}, models: [shallow]}}"
        out = self.folder / "21_pixels.ipynb"
        self.python("-m", "papermill", "notebooks/21_pixels.py", str(out), "-y", values)
        return pd.read_csv(self.results / "tables" / "pixels.csv")

    def pytest(self, *options) -> None:
        self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *options)

    def code(self) -> dict[str, dict]:
        """Digests of the code that each artefact follows from, as it is now."""
        files = sorted(self.results.rglob("*.manifest.json"))
        made = [file for file in files if file.parent.name != "notebooks"]
        names = [str(file).removesuffix(".manifest.json") for file in made]
        found = json.loads(self.python("-c", CODE, *names))
        return {str(Path(name).relative_to(self.results)): one for name, one in found.items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A copy to which a model was added, trained, and judged pixel by pixel."""
    project = Project(tmp_path_factory.mktemp("recipes"))
    project.write("galtools/models/shallow.py", MODEL)
    neighbour = (ROOT / "notebooks" / "11_residual.py").read_text()
    named = re.sub(r'(["`]|fig-)residual', r"\1shallow", neighbour)
    named = re.sub(r"network\.body(\[-1:\])?", "[network]", named)  # whose part is switched off
    project.write("notebooks/17_shallow.py", named)
    for profile, steps in {"tiny": 20, "paper": 20000}.items():
        with open(project.folder / "workflow" / f"{profile}.yaml", "a") as file:
            file.write(f"17_shallow: {{steps: {steps}}}\n")
    last = "16_redshift_estimator: *translator\n"
    project.edit("workflow/chapters.yaml", last, last + RUNS)
    project.edit("workflow/chapters.yaml", "models: &models [", "models: &models [shallow, ")
    page = "      - file: notebooks/16_redshift_estimator\n"
    project.edit("book/_toc.yml", page, page.replace("16_redshift_estimator", "17_shallow") + page)
    project.run("01_two_surveys")
    project.run("17_shallow")
    project.table = project.judge()
    return project


def test_a_new_model_is_judged_beside_the_others(project):
    known = project.python("-c", "from galtools import models; print(*models.names())").split()
    assert "shallow" in known
    listed = (
        "import sys, pathlib; sys.path.insert(0, 'workflow'); import pipeline;"
        "runs = pipeline.load('tiny', pathlib.Path('results'));"
        "print(*(name for name in runs if 'shallow' in runs[name].parameters.get('models', ())"
        " and {'17_shallow', '17_shallow_intra'} & set(runs[name].needs)))"
    )
    judging = project.python("-c", listed).split()
    assert {"21_pixels", "22_morphology", "23_peaks", "24_redshift"} <= set(judging)
    assert {"21_pixels_intra", "24_redshift_intra", "26_touch", "33_the_limit"} <= set(judging)
    assert set(project.table["row"]) == {"again", "resample", "shallow"}
    project.pytest("tests/models/test_registry.py", "tests/test_notebooks.py", "-k", "shallow")


def test_a_new_metric_remakes_tables_alone(project):
    before = project.code()
    project.edit("galtools/fidelity/pixels.py", "METRICS = {\n", METRIC)
    project.edit("galtools/fidelity/pixels.py", "    return {\n", QUANTITY)
    after = project.code()
    changed = {name for name in before if before[name] != after[name]}
    assert {name.split("/")[0] for name in before} == {"data", "models", "translations", "tables"}
    assert {name.split("/")[0] for name in changed} == {"tables"}
    again = project.judge()
    new = again[again.metric == "residual_peak"]
    assert set(new["row"]) == {"again", "resample", "shallow"}
    assert ((new.low <= new.value) & (new.value <= new.high)).all()
    same = again[again.metric != "residual_peak"].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, project.table)


def test_a_new_chapter_is_a_page(project):
    project.write("notebooks/43_counted.py", CHAPTER)
    project.edit("workflow/chapters.yaml", "44_sdss_to_kids: {}\n",
                 "44_sdss_to_kids: {}\n43_counted: {needs: [01_two_surveys]}\n")  # fmt: skip
    page = "      - file: notebooks/44_sdss_to_kids\n"
    project.edit("book/_toc.yml", page, page + page.replace("44_sdss_to_kids", "43_counted"))
    project.run("43_counted")
    project.python("-c", STAGE, "43_counted")
    staged = project.folder / "_build" / "stage"
    assert "notebooks/43_counted\n" in (staged / "_toc.yml").read_text()
    shown = nbformat.read(staged / "notebooks" / "43_counted.ipynb", as_version=4)
    outputs = [output for cell in shown.cells for output in cell.get("outputs", ())]
    glued = [output for output in outputs if "scrapbook" in output.get("metadata", {})]
    assert [output.metadata.scrapbook.name for output in glued] == ["counted"]
    assert "16" in str(glued[0].data)  # galaxies of the tiny test split
    project.pytest("tests/test_notebooks.py", "-k", "43_counted")
    every_page = "test_every_notebook_is_a_run_and_a_page"
    project.pytest(f"tests/workflow/test_tiny_book.py::{every_page}")
