"""The ways in: launch buttons, notebooks that run alone, containers."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

import launch  # noqa: E402
import pipeline  # noqa: E402
import stage  # noqa: E402

ADDRESS = "https://github.com/someone/galaxies"


def test_without_a_repository_there_are_no_buttons(monkeypatch, tmp_path):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    if yaml.safe_load((ROOT / "CITATION.cff").read_text()).get("repository-code"):
        pytest.skip("CITATION.cff names a repository")
    assert launch.configure(ROOT / "_config.yml", tmp_path) == ROOT / "_config.yml"


def test_with_a_repository_pages_launch_on_binder_and_colab(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "repository", lambda: ADDRESS)
    made = yaml.safe_load(launch.configure(ROOT / "_config.yml", tmp_path).read_text())
    assert made["repository"] == {"url": ADDRESS, "path_to_book": "", "branch": "launch"}
    assert {"binderhub_url", "colab_url"} <= made["launch_buttons"].keys()
    kept = yaml.safe_load((ROOT / "_config.yml").read_text())
    kept["sphinx"]["local_extensions"] = {"book_extension": str(ROOT / "workflow")}  # from anywhere
    assert made["sphinx"] == kept["sphinx"]
    assert "HEAD:refs/heads/launch" in (ROOT / ".github/workflows/book.yml").read_text()


def test_github_gives_the_address_and_a_wrong_one_is_refused(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/galaxies")
    assert launch.repository() == ADDRESS
    monkeypatch.setenv("GITHUB_REPOSITORY", "no address")
    with pytest.raises(launch.GaltoolsError, match="no address on GitHub"):
        launch.repository()


@pytest.mark.parametrize("name", ["01_two_surveys", "15_diffusion_intra", "25_leaderboard"])
def test_first_cell_runs_what_the_notebook_reads(name):
    runs = pipeline.load("quick", ROOT / "results")
    lines = launch.first_cell(runs[name], runs, ADDRESS).splitlines()
    ran = [line.split("/tmp/")[1].split(".ipynb")[0] for line in lines if "!papermill" in line]
    assert set(ran) == pipeline.ancestors(runs[name], runs)
    assert ran == [run for run in runs if run in ran]  # each after what it needs
    ast.parse(TransformerManager().transform_cell("\n".join(lines)))


def test_parameters_of_a_page_are_those_of_its_run():
    cell = nbformat.v4.new_code_cell(
        'profile: str = "quick"  # one of “tiny”\nresults: str = "results"  # folder\n'
        'task: str = "cross"  # what\nmodels: list = ["a"]  # which\nsteps: int = 3  # how many',
        metadata={"tags": ["parameters"]},
    )
    book = nbformat.v4.new_notebook(cells=[cell])
    values = {"task": "intra", "models": ["b", "c"], "steps": 3}
    stage.as_run(book, {"profile": "tiny", "parameters": values})
    assert book.cells[0].source.splitlines() == [
        "profile: str = 'tiny'  # one of “tiny”",
        'results: str = "results"  # folder',
        "task: str = 'intra'  # what",
        "models: list = ['b', 'c']  # which",
        "steps: int = 3  # how many",
    ]


def chapter():
    """A title with its finding, a hidden number and a leading figure, executed."""
    new, glued = nbformat.v4, {"scrapbook": {"name": "error", "mime_prefix": ""}}
    number = new.new_output("display_data", {"text/plain": "3"}, metadata=glued)
    picture = {"image/png": "x", "image/svg+xml": "<svg/>"}
    figure = new.new_code_cell("draw()", outputs=[new.new_output("display_data", picture)])
    figure.metadata |= {"mystnb": {"figure": {"name": "fig-sky"}}, "tags": ["leading"]}
    words = "# A title\n\nThe error is {glue:text}`error`.\n\n**Learn** this."
    cells = [new.new_markdown_cell(words), new.new_code_cell("glue()", outputs=[number]), figure]
    return new.new_notebook(cells=[*cells, new.new_markdown_cell("## What we found")])


def test_second_run_of_a_notebook_is_a_section_with_names_of_its_own():
    run, book = pipeline.Run("11_a_intra", Path(), "tiny", "11_a"), chapter()
    stage.vectors(book, run)
    words, hidden, figure, link = stage.section(book, run)
    assert "The error is {glue:text}`11_a_intra_error`." in words.source
    assert 'href="../executed/11_a_intra.ipynb"' in words.source and "Learn" not in words.source
    assert [o.metadata.scrapbook.name for o in hidden.outputs] == ["11_a_intra_error"]
    assert figure.outputs[0].data == {"image/png": "x"}
    assert stage.figure_name(figure) == "sky-11_a_intra"
    assert 'href="../vector/11_a_intra-sky.svg"' in link.source


def test_chapter_opens_with_its_finding_and_leading_figure():
    run, book = pipeline.Run("11_a", Path(), "tiny", "11_a"), chapter()
    stage.vectors(book, run)
    sources = [cell.source for cell in stage.opened(book).cells]
    assert sources[0] == "# A title\n\nThe error is {glue:text}`error`."
    assert "vector/11_a-sky.svg" in sources[2] and sources[3] == "**Learn** this."
    assert sources[5:7] == ["draw()", "The result is {numref}`fig-sky`."]
    assert book.cells[1].outputs[0].data == {"image/png": "x"} and not book.cells[5].outputs


def test_equations_of_a_page_have_numbers():
    texts = "$$ a\n= 1 $$\n\n$$ b $$", "$$ d $$"
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    book = stage.numbered(nbformat.v4.new_notebook(cells=cells), "31_toy")
    assert book.cells[0].source == "$$ a\n= 1 $$ (eq-31-toy-1)\n\n$$ b $$ (eq-31-toy-2)"
    assert book.cells[1].source == "$$ d $$ (eq-31-toy-3)"


def test_intervals_in_tables_stay_whole_and_other_output_as_it_is():
    table = "<table><td>0.97 (-0.9, 1.2)</td><td>f (1, 2)</td></table>"
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html})
        for html in (table, "<p>0.97 (0.9, 1.2)</p>")
    ]
    found = [output.data["text/html"] for output in stage.as_shown(outputs)]
    kept = '<table><td>0.97 <span class="interval">(-0.9, 1.2)</span></td><td>f (1, 2)</td></table>'
    assert found == [kept, "<p>0.97 (0.9, 1.2)</p>"]


def test_vector_figures_leave_the_page_and_are_linked():
    output = nbformat.v4.new_output("display_data", {"image/png": "x", "image/svg+xml": "<svg/>"})
    cell = nbformat.v4.new_code_cell("draw()", outputs=[output])
    cell.metadata["mystnb"] = {"figure": {"name": "fig-sky"}}
    book = nbformat.v4.new_notebook(cells=[cell])
    run = pipeline.Run("a_run", Path(), "tiny", "a")
    assert stage.vectors(book, run) == {"_extra/vector/a_run-sky.svg": b"<svg/>"}
    assert list(book.cells[0].outputs[0].data) == ["image/png"]
    assert 'href="../vector/a_run-sky.svg"' in book.cells[1].source


def test_numbers_of_missing_runs_are_marked():
    text = "{glue:text}`notebooks/a.ipynb::x:.1f` {glue:text}`b.ipynb::y:.2f`"
    assert stage.without(text, ["a"]) == "*(not run)* {glue:text}`b.ipynb::y:.2f`"
    table = "```{glue:any} lines\n:doc: notebooks/a.ipynb\n```"
    assert stage.without(table, ["b"]) == table
    assert stage.without(table, ["a"]) == "*(not run)*"


def test_container_makes_the_environment_of_the_makefile():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert "make .venv/.ready" in container["postCreateCommand"]
    assert container["image"].endswith(":3.11")


@pytest.mark.pipeline
def test_downloaded_notebooks_run_alone_in_an_empty_folder(tiny, tmp_path):
    """As a reader would: the data first, then a translator, with their parameters as shown."""
    folder = tiny / "_build" / "html"
    for name in ("_sources/notebooks/01_two_surveys", "executed/11_residual_intra"):
        command = [
            sys.executable,
            "-m",
            "papermill",
            str(folder / f"{name}.ipynb"),
            f"{Path(name).name}.ipynb",
        ]
        options = ["-p", "results", "mine", "-k", "python3", "--no-progress-bar"]
        done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    made = tmp_path / "mine" / "tiny" / "models" / "intra" / "residual" / "seed0"
    assert (made / "weights.safetensors").exists()
