"""A grid: every combination once, failures cost their own run, and nothing reaches a shell."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from test_pipeline import HEADER, Project

from galtools import artefacts
from galtools.errors import GaltoolsError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
import compare  # noqa: E402
import grid  # noqa: E402
import pipeline  # noqa: E402
import run_notebook  # noqa: E402
import snake  # noqa: E402

WORDS = """word: str = "x"  # what is written
bad: int = 0  # seed that fails

# %%
import os
from myst_nb import glue
from companion import paths
from galtools import artefacts

where = paths.Results(results, profile)
if seed == bad:
    raise RuntimeError("no sky")
made = artefacts.make(
    where.data("test"), lambda path: path.write_text(word * seed),
    params={"word": word}, modules=["galtools.surveys"], seed=seed,
)
with open(os.environ["EXECUTIONS"], "a") as file:
    file.write(f"words {seed} {len(word)}\\n")
glue("words_length", len(word) * seed, display=False)
"""
COUNT = """factor: int = 1  # multiplies

# %%
import os
from myst_nb import glue
from companion import paths
from galtools import artefacts

where = paths.Results(results, profile)
text = paths.need(where.data("test"), "1_words").read_text()
artefacts.make(
    where.table("count"), lambda path: path.write_text(str(len(text) * factor)),
    params={"factor": factor}, modules=["galtools.surveys"], inputs=[where.data("test")],
)
with open(os.environ["EXECUTIONS"], "a") as file:
    file.write(f"count {len(text)} {factor}\\n")
glue("count_length", len(text) * factor, display=False)
"""
EVIL = "'; touch pwned; \" $(touch pwned) `touch pwned` {wildcards.run} \n| touch pwned & \\ %s é"


class GridProject(Project):
    """A copy of the workflow with two notebooks that note every execution that ended."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.write("notebooks/1_words.py", HEADER + WORDS)
        self.write("notebooks/2_count.py", HEADER + COUNT)
        self.executions = folder / "executions.txt"

    def environment(self) -> dict:
        return {**super().environment(), "EXECUTIONS": str(self.executions)}

    def grid_command(self, runs: dict, *options) -> list[str]:
        file = self.folder / "my.yaml"
        file.write_text(yaml.safe_dump({"profile": "tiny", "runs": runs}, sort_keys=False))
        script = str(self.folder / "workflow" / "run_grid.py")
        return [sys.executable, script, str(file), "--results", str(self.results), *options]

    def grid(self, runs: dict, *options) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.grid_command(runs, *options),
            env=self.environment(), cwd=self.folder, capture_output=True, text=True,
        )  # fmt: skip

    def executed(self) -> list[str]:
        """Executions that came to their end, in order of their names."""
        return sorted(self.executions.read_text().splitlines()) if self.executions.exists() else []

    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.results / "grids" / "my" / "table.csv", keep_default_na=False)

    def made(self) -> dict[str, str]:
        """Contents of every artefact of every run."""
        runs = self.results / "runs"
        files = sorted([*runs.rglob("tables/*.csv"), *runs.rglob("data/*.h5")])
        return {str(file.relative_to(runs)): file.read_text() for file in files}


@pytest.fixture
def project(tmp_path):
    return GridProject(tmp_path / "a project")


RUNS = {
    "words": {"notebook": "1_words", "parameters": {"seed": [1, 3], "bad": 3, "word": EVIL}},
    "count": {"notebook": "2_count", "needs": "words", "parameters": {"factor": [1, 10]}},
}
SIZE = len(EVIL)


@pytest.mark.notebook
def test_a_failed_cell_costs_its_own_runs_only_and_no_run_is_repeated(project):
    done = project.grid(RUNS)
    expected = [f"count {SIZE} 1", f"count {SIZE} 10", f"words 1 {SIZE}"]
    assert project.executed() == expected, done.stdout + done.stderr
    assert done.returncode == 1
    # the failure first, then what it costs, then the count
    last = done.stdout.strip().splitlines()[-4:]
    assert re.match(r"words_seed3: FAILED .*cell 3.*RuntimeError: no sky", last[0])
    assert all("NOT RUN, since 1_words-" in line for line in last[1:3])
    assert last[3].startswith("3 of 6 runs are done")
    assert re.search(r"\d done, \d running, \d failed, \d waiting; about \d+ s left", done.stdout)
    # values went from file to file, never through a shell
    assert list(project.folder.rglob("pwned")) == []
    assert [text for name, text in project.made().items() if "/data/" in name] == 3 * [EVIL]
    # one tidy table, and a page
    table = project.table()
    assert table.drop_duplicates("run").status.value_counts().to_dict() == {
        "done": 3, "not run": 2, "failed": 1,
    }  # fmt: skip
    lengths = table[(table.notebook == "2_count") & (table.name == "length")]
    assert sorted(float(value) for value in lengths.value) == [SIZE, 10 * SIZE]
    assert all(lengths.value.astype(float) == SIZE * lengths.factor.astype(float))
    page = (project.results / "grids" / "my" / "index.html").read_text()
    assert page.index("What went wrong") < page.index("All numbers")
    assert "no sky" in page and "<img" in page
    # a wider grid without the failure computes only what is new
    wider = {**RUNS, "words": {"notebook": "1_words", "parameters": {"seed": [1, 4], "bad": 3}}}
    wider["words"]["parameters"]["word"] = EVIL
    assert project.grid(wider).returncode == 0
    new = [f"words 4 {SIZE}", *(f"count {4 * SIZE} {factor}" for factor in (1, 10))]
    assert project.executed() == sorted([*expected, *new])


@pytest.mark.notebook
def test_a_run_without_its_inputs_is_told_what_the_grid_file_lacks(project):
    done = project.grid({"count": {"notebook": "2_count"}})
    assert done.returncode == 1
    asked = r"run notebooks/1_words.py first, .* in a grid, list it above, under `needs` here"
    assert re.search(asked, done.stdout), done.stdout + done.stderr


# --- reading a grid


def expand(runs, profile="tiny"):
    return grid.expand({"profile": profile, "runs": runs})


def test_every_combination_and_every_need():
    runs = {
        "data": {"notebook": "01_two_surveys", "parameters": {"n_train": [10, 20]}},
        "nets": {
            "notebook": ["11_residual", "12_swin"],
            "needs": "data",
            "parameters": {"seed": {"range": 3}, "task": ["cross", "intra"]},
        },
        "pixels": {
            "notebook": "21_pixels",
            "needs": ["data", "nets"],
            "parameters": {"task": {"as": "nets"}, "seed": {"as": "nets"}},
        },
    }
    variants = expand(runs)
    count = {group: sum(v.group == group for v in variants.values()) for group in runs}
    assert count == {"data": 2, "nets": 2 * 2 * 3 * 2, "pixels": 24}
    for variant in variants.values():
        for need in variant.needs:
            other = variants[need]
            assert other.lineage.items() <= variant.lineage.items()  # one data set throughout
            if variant.group == "pixels" and other.group == "nets":
                assert variant.parameters["task"] == other.parameters["task"]


def test_the_same_run_has_one_name_whether_a_default_is_written_or_not():
    def names(parameters):
        return list(expand({"a": {"notebook": "11_residual", "parameters": parameters}}))

    plain = names({})
    assert names({"task": "cross", "seed": 0}) == plain
    assert names({"task": ["cross", "cross"]}) == plain
    assert names({"seed": 1}) != plain
    steps = yaml.safe_load((ROOT / "workflow" / "tiny.yaml").read_text())["11_residual"]["steps"]
    assert names({"steps": steps}) == plain


def planned(tmp_path, content: dict) -> dict[str, pipeline.Run]:
    """Runs of a grid as a job reads them from the plan."""
    file = tmp_path / "grids" / "my" / "plan.json"
    artefacts.write_json(file, grid.plan(content))
    return pipeline.load_plan(file)


def test_runs_are_asked_for_by_group_or_by_what_varies_in_it(tmp_path):
    runs = {
        "data": {"notebook": "01_two_surveys"},
        "swin": {"notebook": "12_swin", "needs": "data", "parameters": {"seed": [0, 1]}},
    }
    runs = planned(tmp_path, {"profile": "tiny", "runs": runs})
    assert [run.label for run in runs.values()] == ["data", "swin_seed0", "swin_seed1"]
    one, both = (grid.chosen(runs, wanted).values() for wanted in (["swin_seed1"], ["swin"]))
    assert [run.parameters["seed"] for run in one] == [1]
    assert [run.parameters["seed"] for run in both] == [0, 1]
    assert grid.chosen(runs, []) == runs
    with pytest.raises(GaltoolsError, match=r"no run 'swine': choose from data, swin_seed0, "):
        grid.chosen(runs, ["swin", "swine"])


def test_a_run_stands_in_the_table_with_the_parameters_of_what_it_needs(tmp_path):
    runs = {
        "data": {"notebook": "01_two_surveys", "parameters": {"seed": [0, 3]}},
        "net": {"notebook": "11_residual", "needs": "data", "parameters": {"steps": [20, 40]}},
        "pixels": {
            "notebook": "21_pixels", "needs": ["data", "net"], "parameters": {"seed": {"as": "net"}}
        },
    }  # fmt: skip
    runs = planned(tmp_path, {"profile": "tiny", "runs": runs})
    found = compare.table(runs)
    pixels = found[found.group == "pixels"]
    assert sorted(pixels.steps) == [20, 20, 40, 40]
    assert set(pixels.seed) == {0}  # its own, not that of the data
    name = pixels.run.iloc[0]
    page = compare.page(
        found.assign(status="done", name="x", value=1.0), ["steps"], "my", {name: "a"}
    )
    assert f'<th><a href="a">{name}</a></th>' in page


def test_the_long_trainings_are_those_that_were_promised(tmp_path):
    runs = planned(tmp_path, grid.read(ROOT / "workflow" / "trainings.yaml"))
    trained = {run.label for run in runs.values()} - {"data", "redshift"}
    models = yaml.safe_load(pipeline.CHAPTERS.read_text())["17_long_trainings"]["parameters"][
        "models"
    ]
    twice = {"residual", "swin", "diffusion"}
    cross = {f"{m}_cross_seed{k}" for m in twice for k in (0, 1)}
    cross |= {f"{m}_cross" for m in set(models) - twice}
    assert trained == cross | {f"{m}_intra" for m in models}
    (data,) = (run for run in runs.values() if run.label == "data")
    assert data.parameters["seed"] != 0 and data.parameters["n_train"] >= 30000
    first = {r.notebook: r.parameters for r in runs.values() if not r.label.endswith("intra")}
    for run in (run for run in runs.values() if run.label.endswith("intra")):
        half = first[run.notebook]["steps"] // 2
        expected = first[run.notebook] | {"task": "intra", "steps": half, "seed": 0}
        assert run.parameters.pop("mean", "") == ""  # no weights are kept of this task
        expected.pop("mean", None)
        assert run.parameters == expected


def test_one_training_has_as_many_pairs_as_the_sky_holds(tmp_path):
    """Some 90 main-sample galaxies per square degree on 157 square degrees: less than 15,000."""
    runs = planned(tmp_path, grid.read(ROOT / "workflow" / "sample_size.yaml")).values()
    sizes = [run.parameters["n_train"] for run in runs if run.notebook == "01_two_surveys"]
    assert min(sizes) == 10000 < 90 * 157 < max(sizes)
    assert sum(run.notebook == "11_residual" for run in runs) == len(sizes) == 2


def test_the_example_is_a_grid():
    assert len(grid.expand(grid.read(ROOT / "workflow" / "grid.example.yaml"))) == 9


@pytest.mark.parametrize(
    "text, message",
    [
        ("- a", "lists nothing under `runs:`"),
        ("runs: {}", "lists nothing under `runs:`"),
        ("runs: {a: {notebook: 31_toy, parameters: {seed: []}}}", "a comes to no run"),
        ("runs: {a: {notebook: 31_toy, parameters: {seed: {range: 0}}}}", "a comes to no run"),
        ("runs: {a: {}}", "a needs at least `notebook:`"),
        ("runs: {a: {notebook: 11_residual, seeds: [1]}}", "unknown entry 'seeds'"),
        ("profil: tiny\nruns: {a: {notebook: 31_toy}}", "unknown entry 'profil'"),
        ("runs: {a: {notebook: 11_residual, needs: b}}", "needs 'b', which is not listed above"),
        ("runs: {a: {notebook: ../setup}}", "there is no notebook '../setup'"),
        ("runs: {a: {notebook: 11_residual, parameters: {results: /}}}", "not a parameter that"),
        ("runs: {a: {notebook: 11_residual, parameters: {seed: {rang: 3}}}}", "is no value"),
        ("runs: {a: {notebook: 11_residual, parameters: {seed: {as: b}}}}", "no such run"),
        ("runs: {a: {notebook: 11_residual, parameters: {sed: 1}}}", "unknown parameter 'sed'"),
        ("runs: {a: {notebook: 11_residual, parameters: {seed: one}}}", "seed must be int"),
        ("runs: !!python/object/apply:os.system ['touch pwned']", "write it in YAML"),
        ("profile: tinny\nruns: {a: {notebook: 11_residual}}", "unknown profile 'tinny'"),
    ],
)
def test_a_wrong_grid_is_refused(tmp_path, text, message):
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(GaltoolsError) as caught:
        grid.expand(grid.read(tmp_path / "grid.yaml"))
    assert message in str(caught.value)


def test_a_misspelt_run_is_one_line(tmp_path, monkeypatch):
    command = ["run_notebook.py", "11_residul", "--profile", "tiny", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(GaltoolsError, match="unknown run '11_residul': choose one of 01_"):
        run_notebook.main()


def test_what_stopped_snakemake_is_said(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text("Using profile slurm.\nError: no profile.yaml found.\nmore\n")
    assert snake.complaint(log).splitlines() == [
        "Error: no profile.yaml found.",
        f"Snakemake ended with an error; its whole log: {log}",
    ]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b"])
def test_no_manifest_leads_out_of_its_folder(tmp_path, name):
    with pytest.raises(GaltoolsError, match="outside of it"):
        pipeline.inside(tmp_path, name)


@pytest.mark.parametrize(
    "change",
    [{"name": "../evil"}, {"notebook": "../conftest"}, {"needs": ["../x"]}, {"cores": "2; ls"}],
)
def test_a_plan_that_was_tampered_with_is_refused(tmp_path, change):
    entry = {"notebook": "11_residual", "parameters": {}, "needs": [], "cores": 1, "group": "a"}
    name = change.pop("name", "11_residual-0123456789")
    file = tmp_path / "grids" / "x" / "plan.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"profile": "tiny", "runs": {name: {**entry, **change}}}))
    with pytest.raises(GaltoolsError):
        pipeline.load_plan(file)


def test_a_folder_is_for_one_build_at_a_time_and_can_be_written(tmp_path):
    with (
        snake.only_one(tmp_path),
        pytest.raises(GaltoolsError, match=r"another build is at work in .*: wait for it, or"),
        snake.only_one(tmp_path),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(GaltoolsError, match=r"cannot write in .* .Not a directory.: choose"),
        snake.only_one(tmp_path / "file" / "results"),
    ):
        pass
