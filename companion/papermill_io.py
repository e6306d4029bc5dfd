"""Let papermill run the book's Jupytext notebooks, with every parameter checked.

papermill imports this module through the entry point ``papermill.io`` and asks the handler below
for every local file. A ``.py`` becomes a notebook; these are hooked in when the first file is read:

- ``profile`` brings the values of ``workflow/<profile>.yaml``, under those given explicitly,
- an unknown name, a value of the wrong type or a number that cannot be meant (-3 galaxies) is an
  error, with a list of what is known,
- on the command line, what the user can put right is said without papermill's own traceback.

Notebooks that did not come from a ``.py`` are left alone. papermill is imported inside functions
only, since it imports this module while its own import is still going on.
"""

import ast
import atexit
import difflib
import math
import os
import re
import reprlib
import shutil
import sys
import tempfile
import uuid
import warnings
from collections import Counter
from functools import cache, wraps
from pathlib import Path

import click
import jupytext
import nbformat
import yaml

from companion.paths import profile_values
from galtools.artefacts import atomic
from galtools.errors import GaltoolsError
from galtools.surveys import BANDS, TASKS

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LEAST = {  # of numbers for which "positive" is too little or too much
    **dict.fromkeys(("seed", "width", "shapes", "morphology", "pixel_scale", "psf_fwhm"), 0),
    "only": -1,  # all shards
    "n_boot": 40,  # of fewer resamples, 95 % leave none out
    "n_test": 6,  # shown side by side
    "n_catalogue": 100,  # in bins of redshift
    "crop": 8,  # halved three times
    **dict.fromkeys(("n_galaxies", "n_demo", "n_steps"), 2),  # that differ
    **dict.fromkeys(("n_again", "n_observations"), 2),  # of one, there is no scatter
}
SHORT = reprlib.Repr()  # of values in messages: an alias in YAML can hide billions of them
SHORT.maxstring, SHORT.maxother, SHORT.maxlevel = 100, 100, 2
MOST_VALUES = 10_000  # of one parameter
LARGEST_SEED = 4_000_000_000  # scikit-learn takes 32 bits
CHOICES = {"task": TASKS, "band": BANDS}  # of names that say which
PAPERMILLS = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")  # of papermill --inject-paths
LONGEST_FOLDER = 60  # bytes; sockets have paths of about 100
TYPES = {"int": int, "float": int | float, "str": str, "bool": bool, "list": list}
FLAGS = "-p passes a number, -r text, -y what YAML reads: -y 'sizes: [1, 2]'"

# papermill expects .ipynb or .json and would warn at every notebook of the book
warnings.filterwarnings("ignore", message=r"The specified file \(.*\.py\) does not end in one of")


class NotebookError(click.ClickException, GaltoolsError):
    """A notebook that cannot be run; on the command line it prints its message, exit status 1."""


def read_percent(text: str, path: Path) -> nbformat.NotebookNode:
    """Turn the text of a py:percent file into a notebook with its kernel and its name."""
    if not re.search(r"^# %%", text, re.MULTILINE):
        raise NotebookError(f"{path} is not a notebook: its cells must start with '# %%'")
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata.setdefault("kernelspec", KERNEL)
    notebook.metadata.setdefault("language_info", {"name": "python"})
    notebook.metadata["galtools"] = {"notebook": path.stem}
    return notebook


def known_parameters(notebook: nbformat.NotebookNode) -> list:
    """Parameters of a notebook, as papermill reads them from ``name: type = default  # help``."""
    from papermill.translators import PythonTranslator

    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters = PythonTranslator.inspect(cells[0]) if cells else []
    for parameter in parameters:
        try:
            default = ast.literal_eval(parameter.default)
        except (SyntaxError, TypeError, ValueError):
            default = None  # of no type
        if not fits(default, parameter.inferred_type_name):
            _refuse(write_parameter(parameter))
    named = {parameter.name for parameter in parameters}  # papermill skips what it cannot read
    try:
        body = ast.parse(cells[0].source).body if cells else []
    except (SyntaxError, ValueError):
        _refuse(cells[0].source[:80])
    for node in body:
        if getattr(getattr(node, "target", None), "id", None) not in named:
            _refuse(ast.unparse(node))
    return parameters


def _refuse(line: str):
    """Raise the error of a line of a parameters cell."""
    form = "`name: type = value  # help` with a single ="
    raise NotebookError(f"parameters cell: {line!r} is not {form}")


def write_parameter(parameter) -> str:
    """Line of a parameters cell."""
    name, kind, default, comment = parameter
    return f"{name}: {kind} = {default}" + (f"  # {comment}" if comment else "")


def fits(value, kind: str) -> bool:
    """Tell whether a value has the type `kind`: int, float, str, bool, list or list[...].

    An int is a float, too; a bool is neither.
    """
    if item := re.fullmatch(r"list\[(.*)\]", kind):
        return isinstance(value, list) and all(fits(one, item[1]) for one in value)
    if kind not in TYPES:
        raise NotebookError(
            f"parameters cell: {kind} is no parameter type; use {', '.join(TYPES)} or list[...]"
        )
    return isinstance(value, TYPES[kind]) and (kind == "bool") >= isinstance(value, bool)


def complete(notebook: nbformat.NotebookNode, given: dict) -> dict:
    """Check the given parameters and put the values of their profile under them."""
    given = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in given.items()}
    name, profile = notebook.metadata["galtools"]["notebook"], given.get("profile")
    try:
        values = profile_values(profile, name) if isinstance(profile, str) else {}
    except GaltoolsError as error:
        raise NotebookError(str(error)) from error
    parameters = known_parameters(notebook)
    wrong = complaints({k: v for k, v in given.items() if k not in PAPERMILLS}, parameters)
    wrong += [f"{line} (from workflow/{profile}.yaml)" for line in complaints(values, parameters)]
    if wrong:
        listing = [*map(write_parameter, parameters)] or ["none: it has no parameters cell"]
        lines = [*wrong, f"The parameters of notebook {name}:", *(f"  {line}" for line in listing)]
        raise NotebookError("\n".join(lines))
    return {**values, **given}


def complaints(given: dict, listed: list) -> list[str]:
    """Say what is wrong with each parameter, one line each."""
    parameters, lines = {parameter.name: parameter for parameter in listed}, []
    for name, value in given.items():
        if name in parameters:
            lines.append(_complaint(value, *parameters[name][:3]))
        else:
            close = difflib.get_close_matches(name, parameters, n=1)
            hint = f": did you mean {close[0]!r}?" if close else ""
            lines.append(f"unknown parameter {name!r}{hint}")
    return [line for line in lines if line]


def _complaint(value, name: str, kind: str, default: str) -> str | None:
    """Say what is wrong with one value; where the default is positive, so is every other value."""
    shown, values = SHORT.repr(value), value if isinstance(value, list) else [value]
    if not fits(value, kind):
        return f"{name} must be {kind}, not {shown} ({FLAGS})"
    if name in CHOICES and value not in CHOICES[name]:
        return f"unknown {name} {shown}: choose one of {', '.join(CHOICES[name])}"
    if len(values) > MOST_VALUES:
        return f"{name} must hold at most {MOST_VALUES:,} values, not {len(values):,}"
    if any(one in values[:k] for k, one in enumerate(values)):
        return f"{name} must not hold the same twice, as {shown} does"
    usual = _numbers(ast.literal_eval(default))
    least, condition = -sys.float_info.max, "finite"
    if name in LEAST:
        least, condition = LEAST[name], f"at least {LEAST[name]}"
    elif usual and min(usual) > 0:
        least, condition = math.ulp(0), "positive"
    if not all(least <= number < math.inf for number in _numbers(value)):
        return f"{name} must be {condition}, not {shown}"
    if name == "seed" and value > LARGEST_SEED:
        return f"seed must be at most {LARGEST_SEED}, not {value}"
    return None


def _numbers(value) -> list:
    items = value if isinstance(value, list) else [value]
    return [x for x in items if isinstance(x, int | float) and not isinstance(x, bool)]


class UniqueLoader(yaml.SafeLoader):
    """YAML's safe loader, which refuses a mapping with the same name twice: one would vanish."""

    def construct_mapping(self, node, deep=False):
        """Mapping of a node."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            line = node.start_mark.line + 1
            raise NotebookError(f"{twice[0]!r} is given twice (line {line} and below): keep one")
        return yaml.SafeLoader.construct_mapping(self, node, deep)


def _parameters_of(self) -> dict:
    """Names and values that papermill's loader of YAML reads, or one line that says what is odd."""
    try:
        values = yaml.SafeLoader.get_single_data(self) or {}
    except yaml.YAMLError as error:
        raise NotebookError(f"parameters are no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise NotebookError(f"parameters are names with values, not {SHORT.repr(values)}: {FLAGS}")
    return values


@cache
def _hook_papermill() -> None:
    """Replace, once, the functions of papermill that read and inject parameters and that fail."""
    from papermill import clientwrap, execute
    from papermill.exceptions import PapermillExecutionError

    inject = execute.parameterize_notebook
    client, fail = clientwrap.PapermillNotebookClient, execute.raise_for_execution_errors
    create, folder = client.create_kernel_manager, Path(tempfile.mkdtemp(prefix="kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    @wraps(inject)
    def parameterize_notebook(nb, parameters, *args, **kwargs):
        ours = "galtools" in nb.metadata
        return inject(nb, complete(nb, parameters) if ours else parameters, *args, **kwargs)

    @wraps(create)
    def create_kernel_manager(self):
        """Reach kernels over sockets in a private folder: on TCP others can listen in.

        What a cell prints bit by bit is joined; of a progress bar only its last state stays.
        """
        self.coalesce_streams = True
        if len(bytes(folder)) <= LONGEST_FOLDER:
            file = str(folder / f"{uuid.uuid4().hex}.json")
            self.config.merge({"KernelManager": {"transport": "ipc", "connection_file": file}})
        return create(self)

    class CellError(click.ClickException, PapermillExecutionError):
        """A GaltoolsError that stopped a notebook: papermill's own error, which click can show."""

        def __init__(self, error: PapermillExecutionError, output):
            message = f"{error.evalue} (cell {error.exec_count}, see {output})"
            vars(self).update(vars(error), message=message, show_color=None)

    @wraps(fail)
    def raise_for_execution_errors(nb, output_path):
        try:
            fail(nb, output_path)
        except PapermillExecutionError as error:
            if error.ename == "GaltoolsError":
                raise CellError(error, output_path) from None
            raise

    execute.parameterize_notebook = parameterize_notebook
    execute.raise_for_execution_errors = raise_for_execution_errors
    client.create_kernel_manager = create_kernel_manager


def _handler(local_handler: type):
    """Make a papermill handler of local files that reads Jupytext, too."""

    class JupytextHandler(local_handler):
        """Reads a ``.py`` as a notebook; writes a notebook whole or not at all, and its folder."""

        def read(self, path: str) -> str:
            _hook_papermill()
            if path.endswith(".ipynb"):
                return super().read(path)
            what = "notebook" if path.endswith(".py") else "file of parameters"
            try:
                text = Path(self._cwd or "", path).read_text(encoding="utf-8")
            except OSError as error:
                raise NotebookError(f"cannot read {what} {path}: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise NotebookError(f"{path} is not a {what}: it is not UTF-8 text") from error
            return nbformat.writes(read_percent(text, Path(path))) if path.endswith(".py") else text

        def write(self, text: str, path: str) -> None:
            target = Path(self._cwd or "", path)
            if target.exists() and not target.is_file():  # /dev/stdout and the like
                return super().write(text, path)
            try:
                with atomic(target) as new:
                    new.write_text(text, encoding="utf-8")
            except GaltoolsError as error:
                raise NotebookError(f"{error}") from error

    return JupytextHandler()


def __getattr__(name: str):
    """Answer papermill's entry point ``companion.papermill_io:local`` with the handler above.

    papermill falls back on the *oldest* handler called ``local``, its own, and so would never ask
    the one that an entry point adds: its own has to go, at the moment the entry point is loaded.
    """
    if name != "local":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    papermill = sys.modules["papermill.iorw"]
    handlers = papermill.papermill_io._handlers
    handlers[:] = [(scheme, handler) for scheme, handler in handlers if scheme != "local"]
    papermill.NoDatesSafeLoader.construct_mapping = UniqueLoader.construct_mapping
    papermill.NoDatesSafeLoader.get_single_data = _parameters_of
    return _handler(papermill.LocalHandler)
