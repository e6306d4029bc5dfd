"""The pipeline reruns exactly what a change invalidates, on a toy project of two notebooks.

`b` doubles the text that `a` writes. The project is a copy, so that tests may edit its sources.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [markdown]
# # Title
# prose

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
"""
NOTEBOOK_A = """size: int = 5  # letters

# %%
from companion import paths
from galtools import artefacts

where = paths.Results(results, profile)
artefacts.make(
    where.data("test"),
    lambda path: path.write_text("x" * size),
    params={"size": size},
    modules=["galtools.surveys"],
)["sha256"]
"""
NOTEBOOK_B = """
# %%
from companion import paths
from galtools import artefacts, flags

where = paths.Results(results, profile)
text = paths.need(where.data("test"), "a").read_text()
artefacts.make(
    where.table("b"),
    lambda path: path.write_text(2 * text),
    params={},
    modules=["galtools.flags"],
    inputs=[where.data("test")],
)["sha256"]
"""

IMPORT = "import numpy as np"
pytestmark = pytest.mark.notebook


class Project:
    """A copy of the workflow around two toy notebooks."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "my results"  # a path with a space, on purpose
        for name in ("galtools", "companion", "workflow"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("notebooks", "book/_static"):
            (folder / name).mkdir(parents=True)
        self.write("notebooks/a.py", HEADER + NOTEBOOK_A)
        self.write("notebooks/b.py", HEADER + NOTEBOOK_B)
        self.write("workflow/chapters.yaml", "a: {}\nb: {needs: [a]}\n")
        self.write("workflow/tiny.yaml", "a: {size: 3}\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def command(self, *options) -> list[str]:
        script = self.folder / "workflow" / "build.py"
        folders = ("--results", str(self.results), "--out", str(self.folder))
        return [sys.executable, str(script), *folders, "--profile", "tiny", "--no-pages", *options]

    def environment(self) -> dict:
        return {**os.environ, "PYTHONPATH": str(self.folder)}

    def build(self, *options) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*options), env=self.environment(), capture_output=True, text=True
        )

    def ran(self, *options) -> list[str]:
        """Build; name the notebooks that were executed."""
        done = self.build(*options)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"finished (\w+)", done.stdout)

    def stale(self) -> str:
        """Names of the runs that are not current."""
        code = "import pipeline; from pathlib import Path; "
        code += "runs = pipeline.load('tiny', Path('my results')); "
        code += "print(*(name for name in runs if name not in pipeline.drop_stale(runs)))"
        place = {"PYTHONPATH": f"{self.folder}:{self.folder / 'workflow'}"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env={**os.environ, **place},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def page(self, name: str) -> str:
        return (self.folder / "_build" / "stage" / "notebooks" / f"{name}.ipynb").read_text()

    def artefacts(self) -> dict[str, str]:
        """Checksums of what the notebooks made."""
        made = [self.results / "tiny" / "data" / "test.h5", self.results / "tiny/tables/b.csv"]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    assert project.ran() == ["a", "b"]
    return project


@pytest.fixture
def project(built, tmp_path):
    """A built project of the test's own."""
    copy = Project.__new__(Project)
    copy.folder = tmp_path / "project"
    shutil.copytree(built.folder, copy.folder)
    copy.results = copy.folder / built.results.name
    return copy


def test_second_build_runs_nothing_and_new_prose_refreshes_the_page(project):
    before = project.page("b")
    assert project.ran() == []
    assert project.page("b") == before
    project.edit("notebooks/a.py", "# prose", "# better prose")
    project.edit("notebooks/a.py", "# letters", "# how many letters")
    assert project.ran() == []
    assert "better prose" in project.page("a")
    assert "how many letters" in project.page("a")
    assert '"output_type": "execute_result"' in project.page("a")
    assert (project.results / "tiny" / "data" / "test.h5").read_text() == "xxx"  # of the profile


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("notebooks/a.py", "# prose", "# better prose", ""),
        ("notebooks/b.py", "2 * text", "text + text", "b"),
        ("galtools/surveys.py", '"""', '"""Other words. ', ""),
        ("galtools/redshift/density.py", IMPORT, f"{IMPORT}\n\nNEW = 1", ""),  # not imported
        ("galtools/flags.py", IMPORT, f"{IMPORT}\n\nNEW = 1", "b"),
        ("workflow/tiny.yaml", "size: 3", "size: 4", "a b"),
    ],
)
def test_what_an_edit_makes_stale(built, name, old, new, stale):
    path = built.folder / name
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new, 1))
        os.utime(path, (0, 0))  # an edit from the past
        assert built.stale() == stale
    finally:
        path.write_text(text)


def test_a_clock_that_jumps_makes_nothing_stale(built):
    for k, path in enumerate(path for path in built.folder.rglob("*") if path.is_file()):
        when = (0, 4e9)[k % 2]  # 1970 and 2096, in turns
        os.utime(path, (when, when))
    assert built.stale() == ""


def test_edit_of_code_runs_the_chapter_and_what_depends_on_its_artefacts(project):
    project.edit("notebooks/a.py", '"x" * size', '"y" * size')
    project.edit("notebooks/a.py", '{"size": size}', '{"size": size, "letter": "y"}')
    assert project.ran() == ["a", "b"]
    assert (project.results / "tiny" / "tables" / "b.csv").read_text() == "yyyyyy"


def test_edit_of_code_that_leaves_the_artefacts_runs_only_that_chapter(project):
    project.edit("notebooks/a.py", "# %%\nfrom", '# %%\nprint("hello")\nfrom')
    assert project.ran() == ["a"]
    assert project.ran() == []


@pytest.mark.parametrize("damage", ["delete", "corrupt"])
def test_damaged_artefact_is_made_again(project, damage):
    before, path = project.artefacts(), project.results / "tiny" / "data" / "test.h5"
    path.unlink() if damage == "delete" else path.write_text("torn")
    assert project.ran() == ["a"]  # b's input comes back as it was
    assert project.artefacts() == before


def test_stale_page_is_refused(project):
    """A page whose code has changed since its run cannot be staged."""
    project.edit("notebooks/b.py", "2 * text", "3 * text")
    code = (
        "import sys, pathlib; sys.path.insert(0, 'workflow'); import pipeline, stage;"
        "runs = pipeline.load('tiny', pathlib.Path('my results'));"
        "stage.stage(runs, pathlib.Path('_build/stage'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
    )
    assert "the code of b changed" in done.stderr


def test_failure_names_notebook_cell_and_error_on_the_last_lines(project):
    project.write("workflow/chapters.yaml", "a: {}\nb: {needs: [a]}\nc: {notebook: b}\n")
    project.edit("notebooks/a.py", "# %%\nfrom", '# %%\nraise RuntimeError("no sky")\nfrom')
    done = project.build()
    last = done.stderr.strip().splitlines()[-3:]
    assert done.returncode == 1
    assert last[0].startswith("FAILED notebooks/a.py (run a), cell 3: raise RuntimeError")
    assert "RuntimeError: no sky" in last[1]
    assert "a.failed.ipynb" in last[2]
    page = project.page("a")
    assert page.index("# Title") < page.index("This page could not be run") < page.index("prose")
    assert "RuntimeError: no sky" in page
    page = project.page("b")  # with a section on c, its second run
    assert page.index("NOT RUN, since a is not done") < page.index("How these results were made")
    assert re.findall(r"finished (\w+)", done.stdout) == ["c"]  # the others go on
    project.edit("notebooks/a.py", 'raise RuntimeError("no sky")\n', "")
    assert project.ran() == []  # the source is as it was, and so its last good run still holds


def test_interrupted_at_any_moment_it_ends_like_an_undisturbed_run(project):
    """Kill -9 the whole build three times at random moments, then let it finish."""
    undisturbed, moments = project.artefacts(), random.Random(0)
    shutil.rmtree(project.results)
    for _ in range(3):
        build = subprocess.Popen(
            project.command(),
            env=project.environment(),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            build.wait(timeout=moments.uniform(0.5, 9))
        except subprocess.TimeoutExpired:
            os.killpg(build.pid, signal.SIGKILL)
            build.wait()
    project.ran()
    assert project.artefacts() == undisturbed
    assert project.ran() == []


def test_unknown_profile_is_one_line(project):
    done = project.build("--profile", "tinny")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "unknown profile 'tinny': choose one of tiny, quick, long, paper"
    ]
