"""papermill on Jupytext sources: every path form, every flag, and no wrong parameter unnoticed."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from papermill.cli import papermill as cli
from papermill.exceptions import PapermillExecutionError

from companion import papermill_io, paths
from companion.papermill_io import NotebookError, fits, known_parameters
from galtools.errors import GaltoolsError
from galtools.models import base
from galtools.surveys import BANDS

# a warnings filter set at import does not survive pytest; the first test looks at it without
pytestmark = pytest.mark.filterwarnings("ignore:.*(specified file|not specified with)")
PARAMETERS = """
profile: str = "quick"  # tiny, quick or paper
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of artefacts
rate: float = 1e-3  # learning rate
sizes: list[int] = [1, 2]  # widths
deep: bool = False  # with more layers
"""
SOURCE = f"""# ---
# jupyter:
#   jupytext:
#     text_representation: {{extension: .py, format_name: percent}}
#   kernelspec: {{display_name: Python 3, language: python, name: python3}}
# ---

# %% [markdown]
# # A notebook that takes no time

# %% tags=["parameters"]{PARAMETERS}
# %%
import os
got = [os.path.basename(os.getcwd()), profile, seed, results, rate, sizes, deep]
print(got)

# %%
assert seed != 13, "unlucky"

# %%
print("the end")
"""


def parameters_of(*lines: str) -> list:
    """Parameters of a notebook whose parameters cell has these lines."""
    text = "\n".join(['# %% tags=["parameters"]', *lines])
    return known_parameters(papermill_io.read_percent(text, Path("own.py")))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a notebook, two profiles and a space in its name, as working directory."""
    folder = tmp_path / "my work"
    folder.mkdir()
    (folder / "simple.py").write_text(SOURCE)
    (folder / "tiny.yaml").write_text("simple: {sizes: [7], deep: true}\n")
    (folder / "paper.yaml").write_text("simple: {seeed: 1, rate: 1e-3}\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(paths, "WORKFLOW", folder)
    return folder


def prepare(*arguments: str):
    """Inject parameters on papermill's command line, without running anything."""
    return CliRunner().invoke(cli, ["--prepare-only", *map(str, arguments)])


def injected(path) -> dict:
    """Values that the injected cell of a notebook sets."""
    cells = nbformat.read(path, as_version=4).cells
    code = [c.source for c in cells if "injected-parameters" in c.metadata.get("tags", [])]
    values: dict = {}
    exec("\n".join(code), {}, values)
    return values


@pytest.mark.parametrize("first", ["papermill", "companion.papermill_io"])
def test_works_without_a_warning_whichever_is_imported_first(here, first):
    code = f"import {first}, papermill; print(list(papermill.inspect_notebook('simple.py')))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, cwd=here)
    assert run.stdout.startswith("['profile', 'seed', 'results',")
    assert run.stderr == ""


@pytest.mark.parametrize("form", ["simple.py", "./simple.py", "absolute", "../my work/simple.py"])
def test_every_form_of_path(here, form):
    source = here / "simple.py" if form == "absolute" else form
    result = prepare(source, "out.ipynb", "-p", "seed", "3")
    assert result.exit_code == 0, result.output
    assert injected("out.ipynb") == {"seed": 3}
    assert nbformat.read("out.ipynb", 4).metadata.kernelspec.name == "python3"


def test_from_another_working_directory(here, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert prepare("my work/simple.py", "out.ipynb").exit_code == 0
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[0].source == (
        "# A notebook that takes no time"
    )


def test_without_parameters_nothing_is_injected(here):
    assert prepare("simple.py", "out.ipynb").exit_code == 0
    assert injected("out.ipynb") == {}


def test_output_folder_is_made(here):
    assert prepare("simple.py", "not/yet/there/out.ipynb").exit_code == 0
    assert [f.name for f in (here / "not/yet/there").iterdir()] == ["out.ipynb"]


def test_output_to_what_is_no_file_goes_into_it(here):
    """A pipe stands for devices: were one replaced by a file, the machine would have lost it."""
    os.mkfifo(here / "pipe")
    reader = os.open(here / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert prepare("simple.py", "pipe").exit_code == 0
    assert (here / "pipe").is_fifo()
    assert "the end" in os.read(reader, 1 << 16).decode()
    os.close(reader)


def test_refused_output_folder_is_one_line(here):
    (here / "file").touch()
    result = prepare("simple.py", "file/out.ipynb")
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1].startswith("Error: cannot write")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-p", "seed", "3", "-p", "rate", "1"], {"seed": 3, "rate": 1}),
        (["-p", "rate", "1e-4"], {"rate": 1e-4}),
        (["-p", "deep", "True"], {"deep": True}),
        (["-r", "results", "2025"], {"results": "2025"}),
        (["-y", "sizes: [3, 4]"], {"sizes": [3, 4]}),
        (["-f", "values.yaml"], {"seed": 9, "sizes": []}),
        (["-b", base64.b64encode(b"seed: 4").decode()], {"seed": 4}),
        (["-f", "values.yaml", "-p", "seed", "1"], {"seed": 1, "sizes": []}),
        (["--inject-input-path"], {"PAPERMILL_INPUT_PATH": "simple.py"}),
    ],
)
def test_parameters_from_every_flag(here, arguments, expected):
    (here / "values.yaml").write_text("seed: 9\nsizes: []\n")
    result = prepare("simple.py", "out.ipynb", *arguments)
    assert result.exit_code == 0, result.output
    assert injected("out.ipynb") == expected
    assert nbformat.read("out.ipynb", 4).metadata.papermill.parameters == expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-p", "sede", "3"], "unknown parameter 'sede': did you mean 'seed'?"),
        (["-p", "zzz", "3"], "unknown parameter 'zzz'"),
        (["-p", "seed", "three"], "seed must be int, not 'three'"),
        (["-p", "seed", "3.5"], "seed must be int, not 3.5"),
        (["-p", "seed", "True"], "seed must be int, not True"),
        (["-p", "deep", "1"], "deep must be bool, not 1"),
        (["-p", "rate", "True"], "rate must be float, not True"),
        (["-p", "results", "2025"], "results must be str, not 2025 (-p passes a number, -r text"),
        (["-r", "seed", "3"], "seed must be int, not '3' (-p passes a number"),
        (["-y", "rate: 1e-3"], "rate must be float, not '1e-3' (-p passes a number"),
        (["-p", "sizes", "[1, 2]"], "sizes must be list[int], not '[1, 2]' (-p passes a number"),
        (["-y", "sizes: [1, two]"], "sizes must be list[int], not [1, 'two']"),
        (["-p", "seed", "None"], "seed must be int, not None"),
        (["-p", "seed", "-1"], "seed must be at least 0, not -1"),
        (["-p", "seed", "4000000001"], "seed must be at most 4000000000, not 4000000001"),
        (["-p", "rate", "0"], "rate must be positive, not 0"),
        (["-p", "rate", "nan"], "rate must be positive, not nan"),
        (["-p", "rate", "inf"], "rate must be positive, not inf"),
        (["-y", "sizes: [3, -4]"], "sizes must be positive, not [3, -4]"),
        (["-y", "sizes: [3, 4, 3]"], "sizes must not hold the same twice, as [3, 4, 3] does"),
    ],
)
def test_wrong_parameters_are_refused(here, arguments, complaint):
    result = prepare("simple.py", "out.ipynb", *arguments)
    assert result.exit_code == 1
    assert f"Error: {complaint}" in result.output
    for line in PARAMETERS.strip().splitlines():
        assert line in result.output
    assert not (here / "out.ipynb").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-f", "none.yaml"], "cannot read file of parameters none.yaml: No such file"),
        (["-f", "bytes.yaml"], "bytes.yaml is not a file of parameters: it is not UTF-8 text"),
        (["-f", "open.yaml"], "parameters are no YAML: while parsing a flow sequence"),
        (["-y", "sizes: [1"], "parameters are no YAML: while parsing a flow sequence"),
        (["-y", "[1, 2]"], "parameters are names with values, not [1, 2]"),
        (["-y", "seed"], "parameters are names with values, not 'seed'"),
    ],
)
def test_parameters_that_cannot_be_read_are_one_line(here, arguments, complaint):
    (here / "bytes.yaml").write_bytes(b"seed: \xe9\n")
    (here / "open.yaml").write_text("sizes: [1\n")
    result = prepare("simple.py", "out.ipynb", *arguments)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {complaint}") and result.output.count("\n") == 1


@pytest.mark.parametrize("name", ["PAPERMILL_x=1;__import__('os').mkdir('pwned');y", "PAPERMILL_X"])
def test_a_name_that_only_looks_like_one_of_papermills_is_refused(here, name):
    """A name is injected as it stands: it must not bring code with it."""
    (here / "values.yaml").write_text(json.dumps({name: 1}))
    result = prepare("simple.py", "out.ipynb", "-f", "values.yaml")
    assert result.exit_code == 1
    assert f"Error: unknown parameter {name!r}" in result.output
    assert not (here / "out.ipynb").exists()


def test_choices_are_those_of_the_code():
    chosen = papermill_io.CHOICES
    assert chosen["band"] == BANDS
    task = parameters_of('task: str = "cross"')
    assert papermill_io.complaints({"task": "intra"}, task) == []
    wrong = papermill_io.complaints({"task": "inter"}, task)
    assert wrong == ["unknown task 'inter': choose one of intra, cross"]


def test_numbers_have_to_be_positive_where_the_usual_one_is():
    """A notebook of the reader's own may have numbers of any sign: its default tells."""
    lines = ["n: int = 3", "bad: int = 0", "dec: float = -12.5", "parts: list[int] = [1, 2]"]
    known = parameters_of(*lines, "shift: list[float] = [0.0, 1.0]")
    free = {"bad": 0, "dec": 4.0, "shift": [-1.0]}
    assert papermill_io.complaints({"n": 1, "parts": [3], **free}, known) == []
    assert papermill_io.complaints(free | {"bad": -2, "dec": -90.0}, known) == []
    wrong = papermill_io.complaints({"n": 0, "dec": float("nan"), "parts": [2, -1]}, known)
    assert [line.split(",")[0] for line in wrong] == [
        "n must be positive", "dec must be finite", "parts must be positive"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("only", -1),
        ("seed", 0),
        ("n_observations", 2),
        ("n_demo", 2),
        ("n_test", 6),
        ("crop", 8),
        ("n_boot", 40),
        ("n_catalogue", 100),
    ],
)
def test_the_least_number_that_makes_sense_is_allowed_and_said(name, least):
    """Shards are counted from 0, and -1 is all; of 40 resamples, 95 % leave one out at each end."""
    known = parameters_of(f"{name}: int = 100")
    assert papermill_io.complaints({name: least}, known) == []
    wrong = papermill_io.complaints({name: least - 1}, known)
    assert wrong == [f"{name} must be at least {least}, not {least - 1}"]


def test_the_largest_seed_can_be_drawn_with():
    seeds = [papermill_io.LARGEST_SEED * 1009 + draw for draw in (98, 99)]
    one, other = (base.galaxy_noise((1, 2, 2), seed, [10**6], "cpu") for seed in seeds)
    assert (one != other).all()
    np.random.RandomState(papermill_io.LARGEST_SEED)  # as scikit-learn does
    known = parameters_of("seed: int = 0")
    assert papermill_io.complaints({"seed": papermill_io.LARGEST_SEED}, known) == []
    with pytest.raises(ValueError):  # else the bound could be dropped
        np.random.RandomState(2**32)


def test_every_wrong_parameter_is_named_at_once(here):
    with pytest.raises(ValueError) as error:
        papermill.execute_notebook("simple.py", None, {"sede": 1, "deep": "no", "seed": 2})
    assert isinstance(error.value, NotebookError)
    assert isinstance(error.value, GaltoolsError)
    name, kind = str(error.value).splitlines()[:2]
    assert name == "unknown parameter 'sede': did you mean 'seed'?"
    assert kind.startswith("deep must be bool, not 'no' (")


def test_unknown_profile_is_one_line(here):
    result = prepare("simple.py", "out.ipynb", "-p", "profile", "tinny")
    assert result.exit_code == 1
    last = result.output.strip().splitlines()[-1]
    assert last == "Error: unknown profile 'tinny': choose one of tiny, quick, long, paper"


def test_profile_sets_its_values_under_the_given_ones(here):
    (here / "quick.yaml").write_text("# nothing\n")
    assert prepare("simple.py", "tiny.ipynb", "-p", "profile", "tiny").exit_code == 0
    assert injected("tiny.ipynb") == {"profile": "tiny", "sizes": [7], "deep": True}
    prepare("simple.py", "own.ipynb", "-y", "{profile: tiny, sizes: [1], seed: 2}")
    assert injected("own.ipynb") == {"profile": "tiny", "sizes": [1], "deep": True, "seed": 2}
    assert prepare("simple.py", "quick.ipynb", "-p", "profile", "quick").exit_code == 0
    assert injected("quick.ipynb") == {"profile": "quick"}


def test_mistakes_in_a_profile_are_errors_too(here):
    result = prepare("simple.py", "out.ipynb", "-p", "profile", "paper")
    assert result.exit_code == 1
    assert "unknown parameter 'seeed': did you mean 'seed'? (from workflow/paper.yaml)" in (
        result.output
    )
    assert "(from workflow/paper.yaml)\nrate must be float, not '1e-3'" in result.output


def test_notebook_without_parameters_refuses_any(here):
    (here / "bare.py").write_text("# %%\n1 + 1\n")
    result = prepare("bare.py", "out.ipynb", "-p", "seed", "1")
    assert result.exit_code == 1
    assert "none: it has no parameters cell" in result.output


def test_paths_are_text_for_a_notebook(here):
    book = papermill.execute_notebook(
        here / "simple.py", None, {"results": here / "own"}, prepare_only=True
    )
    assert book.metadata.papermill.parameters == {"results": str(here / "own")}


def test_other_notebooks_are_left_alone(here):
    cell = nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": papermill_io.KERNEL}
    foreign = nbformat.v4.new_notebook(cells=[cell], metadata=kernel)
    nbformat.write(foreign, "foreign.ipynb")
    handler = papermill.iorw.papermill_io.get_handler("foreign.ipynb")
    assert handler.read("foreign.ipynb") == Path("foreign.ipynb").read_text()
    result = prepare("foreign.ipynb", "out.ipynb", "-p", "b", "2")
    assert result.exit_code == 0
    assert injected("out.ipynb") == {"b": 2}


def test_an_executed_notebook_is_still_checked(here):
    prepare("simple.py", "first.ipynb", "-p", "seed", "1")
    assert prepare("first.ipynb", "second.ipynb", "-p", "seed", "2").exit_code == 0
    assert injected("second.ipynb") == {"seed": 2}
    assert prepare("first.ipynb", "third.ipynb", "-p", "sede", "2").exit_code == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot read notebook bad.py: No such file or directory"),
        ("print(1)\n", "bad.py is not a notebook: its cells must start with '# %%'"),
        (b"# %%\nname = '\xe9'\n", "bad.py is not a notebook: it is not UTF-8 text"),
    ],
)
def test_what_is_no_notebook_is_one_line(here, text, complaint):
    if text is not None:
        Path("bad.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = prepare("bad.py", "out.ipynb")
    assert result.exit_code == 1
    assert result.output.strip().splitlines()[-1] == f"Error: {complaint}"


@pytest.mark.parametrize(
    "cell",
    [
        "a: complex = 1",
        "a = 1",
        "a: int = ",
        "a: int = 0.5",
        "a: int = 2 * b",
        "a: int = {[]: 1}",
        "a: int",
        "print(1)",
        "import os; a: int = 1",
        "a: float = 1e-3  # b = c",
        "a: str = 'b=c'",
        "def (",
    ],
)
def test_parameters_cell_that_cannot_be_checked_is_refused(cell):
    with pytest.raises(NotebookError, match="parameters cell"):
        parameters_of(cell)


def test_the_types_that_a_parameter_may_have_are_named():
    with pytest.raises(NotebookError, match="complex is no parameter type; use int, float, str"):
        parameters_of("a: complex = 1")


def test_help(here):
    result = CliRunner().invoke(cli, ["--help-notebook", "simple.py"])
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    assert "seed: int (default 0) every random number follows from it" in shown
    assert 'results: str (default "results") folder of artefacts' in shown
    assert "sizes: list[int] (default [1, 2]) widths" in shown


def test_inspection_from_python(here):
    known = papermill.inspect_notebook(here / "simple.py")
    assert list(known) == ["profile", "seed", "results", "rate", "sizes", "deep"]
    assert known["deep"] == {
        "name": "deep",
        "inferred_type_name": "bool",
        "default": "False",
        "help": "with more layers",
    }


SCALARS = {"int": st.integers(), "float": st.floats(), "str": st.text(), "bool": st.booleans()}
WIDER = {("int", "float")}  # what may stand for what


@given(st.data(), st.sampled_from(sorted(SCALARS)), st.sampled_from(sorted(SCALARS)))
def test_a_value_fits_its_own_type_and_no_other(data, kind, other):
    value = data.draw(SCALARS[kind])
    allowed = kind == other or (kind, other) in WIDER
    assert fits(value, other) == allowed
    assert fits([value], f"list[{other}]") == allowed
    assert fits([value], "list")
    assert not fits(value, f"list[{other}]")
    assert not fits(None, other)


def papermill_run(folder, *arguments):
    """Run papermill as a user does."""
    command = [Path(sys.executable).with_name("papermill"), "--no-progress-bar", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.notebook
def test_command_line_runs_a_notebook(here):
    (here / "elsewhere").mkdir()
    (here / "values.yaml").write_text("rate: 2.5\nsizes: [5]\n")
    arguments = ["--cwd", "elsewhere", "-f", "values.yaml", "-y", "{deep: true, sizes: [6]}"]
    run = papermill_run(here, "simple.py", "new/out.ipynb", *arguments, "-p", "seed", "2")
    assert run.returncode == 0, run.stderr
    cells = nbformat.read(here / "new" / "out.ipynb", 4).cells
    expected = ["elsewhere", "quick", 2, "results", 2.5, [6], True]
    assert cells[-3].outputs[0].text == f"{expected}\n"
    assert sorted(f.name for f in (here / "new").iterdir()) == ["out.ipynb"]


@pytest.mark.notebook
def test_failure_keeps_the_partial_output(here):
    run = papermill_run(here, "simple.py", "new/out.ipynb", "-p", "seed", "13")
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1] == "AssertionError: unlucky"
    saved = json.loads((here / "new" / "out.ipynb").read_text())
    outputs = [cell["outputs"] for cell in saved["cells"] if cell["cell_type"] == "code"]
    assert [bool(o) for o in outputs] == [False, False, True, True, False]
    assert outputs[-2][0]["ename"] == "AssertionError"


@pytest.mark.notebook
def test_what_the_user_can_put_right_is_said_in_one_line(here):
    cell = "from galtools.errors import GaltoolsError\nraise GaltoolsError('data are missing')\n"
    (here / "simple.py").write_text(f"{SOURCE}\n# %%\n{cell}")
    run = papermill_run(here, "simple.py", "out.ipynb")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1] == "Error: data are missing (cell 5, see out.ipynb)"
    with pytest.raises(PapermillExecutionError, match="data are missing") as caught:
        papermill.execute_notebook("simple.py", "out.ipynb", progress_bar=False)
    assert (caught.value.ename, caught.value.exec_count) == ("GaltoolsError", 5)


@pytest.mark.notebook
def test_python_runs_a_notebook(here):
    before = os.getcwd()
    book = papermill.execute_notebook(
        here / "simple.py", here / "out.ipynb", {"profile": "tiny"}, progress_bar=False
    )
    assert "[7], True]" in book.cells[-3].outputs[0].text
    assert book.cells[-1].outputs[0].text == "the end\n"
    assert os.getcwd() == before
