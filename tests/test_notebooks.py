"""Every notebook is a readable text without outputs, and its parameters are what they seem."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import yaml
from papermill.exceptions import PapermillExecutionError

from companion import papermill_io, paths
from companion.papermill_io import complete, known_parameters, read_percent
from galtools import simulate
from galtools.models import PROFILES

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
CHAPTERS = [file for file in NOTEBOOKS if file.stem[0].isdigit()]
RUNS = yaml.safe_load((ROOT / "workflow" / "chapters.yaml").read_text())
HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
"""
FIRST = {"profile": "str", "seed": "int", "results": "str"}
MOST_WORDS = 30_000  # of the whole book
LONGEST = 20  # lines of a code cell; the house style asks for about 15

every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
every_chapter = pytest.mark.parametrize("file", CHAPTERS, ids=lambda file: file.stem)


@cache
def read(file: Path):
    return read_percent(file.read_text(), file)


def code_cells(file: Path):
    return [cell for cell in read(file).cells if cell.cell_type == "code"]


def prose(file: Path) -> str:
    return "\n\n".join(cell.source for cell in read(file).cells if cell.cell_type == "markdown")


def is_parameters(cell) -> bool:
    return "parameters" in cell.metadata.get("tags", ())


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_no_ipynb_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert listing.stdout == ""


@every_notebook
def test_header(file):
    assert file.read_text().startswith(HEADER)


@every_notebook
def test_no_cell_has_an_output(file):
    """Jupytext keeps none, unless somebody pasted them or their data in."""
    for cell in code_cells(file):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert "data:image" not in cell.source
    assert "base64," not in prose(file)


@every_notebook
def test_one_parameters_cell_typed_and_commented(file):
    (cell,) = [cell for cell in code_cells(file) if is_parameters(cell)]
    known = known_parameters(read(file))  # refuses a line without type or default
    assert len(known) == len(cell.source.strip().splitlines()), "one line per parameter"
    for parameter in known:
        assert parameter.help, f"{parameter.name} has no comment"
        assert parameter.name.islower()
    assert {p.name: p.inferred_type_name for p in known[:3]} == FIRST
    defaults = {p.name: ast.literal_eval(p.default) for p in known[:3]}
    assert defaults == {"profile": "quick", "seed": 0, "results": ""}


def test_every_lower_limit_is_that_of_a_parameter():
    known = {parameter.name for file in NOTEBOOKS for parameter in known_parameters(read(file))}
    assert papermill_io.LEAST.keys() | papermill_io.CHOICES.keys() <= known


@every_notebook
def test_every_parameter_is_used(file):
    """A parameter without effect would be a promise not kept."""
    code = "\n".join(
        plain_python(cell.source) for cell in code_cells(file) if not is_parameters(cell)
    )
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert {parameter.name for parameter in known_parameters(read(file))} <= used


def plain_python(source: str) -> str:
    """Blank out magics, which Python's own parser does not know."""
    return re.sub(r"(?m)^\s*[%!].*$", "pass", source)


@every_notebook
@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_set_parameters_that_exist(file, profile):
    values = complete(read(file), {"profile": profile})
    assert values == {**paths.profile_values(profile, file.stem), "profile": profile}


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_name_notebooks_that_exist(profile):
    content = yaml.safe_load((paths.WORKFLOW / f"{profile}.yaml").read_text()) or {}
    assert content.keys() <= {file.stem for file in NOTEBOOKS}


def test_quick_is_what_stands_in_the_notebooks():
    assert not yaml.safe_load((paths.WORKFLOW / "quick.yaml").read_text())


@pytest.mark.parametrize("run", RUNS)
def test_runs_pass_parameters_that_exist(run):
    entry = RUNS[run] or {}
    file = paths.NOTEBOOKS / f"{entry.get('notebook', run)}.py"
    given = {**entry.get("parameters", {}), "profile": "tiny"}
    assert given.items() <= complete(read(file), given).items()  # refuses names that it has not


def test_the_book_can_be_read_in_half_a_day():
    """Words of all notebooks and pages, tables, equations and markup included."""
    pages = [page.read_text() for page in (ROOT / "book").glob("*.md")]
    assert sum(len(text.split()) for text in [*map(prose, NOTEBOOKS), *pages]) <= MOST_WORDS


def test_words_are_counted_without_code_equations_and_tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from companions import words

    text = "# A title\n\nThe flux $f = 2$ of {glue:text}`n` galaxies – [shown](a.md) below.\n"
    text += (
        "```python\nx = 1\n```\n\n$$ y = x $$\n\n| a | table |\n\n```{dropdown} Solution\nYes.\n```"
    )
    assert words(text) == 2 + 8 + 1  # title, sentence with a formula and a number, solution


def test_the_kept_counts_of_this_book_are_those_of_its_chapters(monkeypatch):
    """Up to small edits: of 15 per cent, or of half a figure or line, as a median takes."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from companions import OURS, TABLE, count

    kept = pd.read_csv(TABLE, index_col=0)[OURS].astype(float)
    found = count(CHAPTERS)[kept.index]
    assert kept["pages"] == found["pages"]
    assert kept.to_dict() == pytest.approx(found.to_dict(), rel=0.15, abs=0.5)


@every_notebook
def test_leading_figures_stand_alone_at_the_top_of_their_page(file):
    """Staging moves the first one to below the finding, the paragraph after the title."""
    assert read(file).cells[0].source.count("\n\n") >= 2, "title, finding, and what follows"
    for cell in code_cells(file):
        if "leading" in cell.metadata.get("tags", ()) and "mystnb" in cell.metadata:
            caption = cell.metadata["mystnb"]["figure"]["caption"]
            assert not re.search(r"\b(above|below) figure|figure (above|below)", caption)


@every_notebook
def test_code_cells_are_short(file):
    for cell in code_cells(file):
        if not is_parameters(cell):
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= LONGEST, cell.source


@every_notebook
def test_code_fits_on_a_screen(file):
    lines = "\n".join(cell.source for cell in code_cells(file)).splitlines()
    assert [line for line in lines if len(line) > 100] == []


@every_notebook
def test_starts_with_one_title(file):
    assert read(file).cells[0].source.startswith("# ")
    assert len(re.findall(r"(?m)^# ", re.sub(r"(?s)```.*?```", "", prose(file)))) == 1


@every_chapter
def test_chapter_follows_the_template(file):
    text = prose(file)
    places = [text.find(words) for words in ("What you will learn", "What we found", "What's next")]
    assert -1 not in places, places
    assert places == sorted(places)
    assert re.search(r"\bminutes?\b", text), "say how long it takes"
    assert re.search(r"(?s)Exercise.*dropdown", text), "exercises with hidden solutions"


@every_notebook
def test_every_figure_has_a_name_a_caption_and_words_for_who_cannot_see(file):
    for cell in code_cells(file):
        if "plt.show()" in cell.source:
            about = cell.metadata.get("mystnb", {})
            assert about["figure"]["name"].startswith("fig-"), cell.source
            assert len(about["figure"]["caption"]) > 20, cell.source
            assert len(about["image"]["alt"]) > 20, cell.source


@every_chapter
def test_prose_outweighs_visible_code(file):
    """More words of prose than of the code that a reader sees."""
    hidden = {"hide-input", "remove-input", "remove-cell", "hide-cell"}
    seen = [c.source for c in code_cells(file) if not hidden & set(c.metadata.get("tags", []))]
    words, code = (len(re.findall(r"\w+", text)) for text in (prose(file), "\n".join(seen)))
    assert words > code, f"{words} words of prose, {code} of visible code"


@every_chapter
def test_what_we_found_is_computed(file):
    """Its numbers are glued: no decimal fraction or percentage is typed."""
    section = prose(file).split("What we found")[1].split("\n## ")[0]
    typed = re.findall(r"\d+\.\d+|\d+ ?%", re.sub(r"`[^`]*`", "", section))
    assert typed == []


def glued(file: Path) -> set[str] | None:
    """Patterns of the names that the code of a notebook glues; None if one is not to be read."""
    patterns = set()
    calls = [
        node
        for cell in code_cells(file)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "glue"
    ]
    for call in calls:
        match call.args[0]:
            case ast.Constant(str(name)):
                patterns.add(re.escape(name))
            case ast.JoinedStr(parts):
                fixed = (re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts)
                patterns.add("".join(fixed))
            case _:
                return None
    return patterns


@every_notebook
def test_every_number_that_the_text_shows_is_glued(file):
    patterns = glued(file)
    if patterns is None:
        pytest.skip("its names are computed: rendering the book tells")
    for name in re.findall(r"\{glue:\w+\}`([\w-]+)[:`]", prose(file)):
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name


@pytest.mark.notebook
@pytest.mark.parametrize(
    "command",
    ["jupytext --to ipynb --execute a.py", "jupyter nbconvert --to html --execute a.ipynb"],
    ids=["jupytext", "nbconvert"],
)
def test_other_tools_execute_a_notebook(command, tmp_path):
    cells = 'results: str = ""  # folder\n\n# %%\nfrom companion import paths\n'
    cells += 'print(paths.Results(results, "tiny").folder)\n'
    (tmp_path / "a.py").write_text(f'{HEADER}\n# %% tags=["parameters"]\n{cells}')
    notebook = read_percent((tmp_path / "a.py").read_text(), tmp_path / "a.py")
    nbformat.write(notebook, tmp_path / "a.ipynb")
    tool, *options = command.split()
    program = Path(sys.executable).with_name(tool)
    done = subprocess.run([program, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = [file for file in tmp_path.iterdir() if file.suffix in (".html", ".ipynb")]
    assert any(str(ROOT / "results" / "tiny") in file.read_text() for file in made)


# --- the card without a true image, of plain stamps


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    """Files of a source and of its translations, here true images of the other survey."""
    folder = tmp_path_factory.mktemp("stamps")
    pairs = simulate.pairs(6, seed=5)
    facts = ("bands", "noise", "psf_fwhm", "pixel_scale")
    for name, images in (("source", pairs.source_set), ("truth", pairs.target_set)):
        stated = {fact: getattr(images, fact) for fact in facts}
        np.savez(folder / f"{name}.npz", **{name: images.images}, **stated)
    np.savez(folder / "made.npz", translated=pairs.target)
    return {name: f"{folder}/{name}.npz" for name in ("source", "truth", "made")}


def outputs_of(notebook: str, tmp_path, **parameters):
    given = {"profile": "tiny", "results": str(tmp_path), **parameters}
    file = paths.NOTEBOOKS / f"{notebook}.py"
    cells = papermill.execute_notebook(str(file), None, given, progress_bar=False).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


@pytest.mark.notebook
def test_plain_stamps_have_a_card_without_truth(stamps, tmp_path):
    given = {"source": stamps["source"], "translations": stamps["made"], "n_faults": 4}
    glued = {
        output.metadata.scrapbook.name: output.data["application/papermill.record/text/plain"]
        for output in outputs_of("43_without_truth", tmp_path, **given)
        if "scrapbook" in output.get("metadata", {})
    }
    assert ast.literal_eval(glued["blind_control"]) == "not known"
    assert int(glued["blind_n"]) == 6
    assert 0.8 < float(glued["blind_chi2"]) < 1.3  # of true images


@pytest.mark.notebook
def test_own_card_compares_with_the_source_alone(stamps, tmp_path):
    given = {"source": stamps["source"], "translations": stamps["made"], "survey_to": "CFHTLS"}
    given["morphology"] = 0
    shown = str(outputs_of("bring_your_own", tmp_path, truth=stamps["truth"], **given))
    assert "Against the source alone" in shown and "source_chi2" in shown
    command = f"43_without_truth.py card.ipynb -p source {stamps['source']} -p translations"
    with pytest.raises(PapermillExecutionError, match=re.escape(command)):
        outputs_of("bring_your_own", tmp_path, **given)
