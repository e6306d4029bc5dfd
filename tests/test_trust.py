"""Nothing that comes from outside is run: no pickle, no shell, no way out of a folder."""

import ast
import pickle
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from packaging.utils import canonicalize_name
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager
from papermill.iorw import NoDatesSafeLoader, load_notebook_node

from galtools.data import image_files
from galtools.errors import GaltoolsError
from galtools.models import checkpoint

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("galtools", "companion", "workflow", "notebooks", "benchmarks")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
MODULES = {"pickle", "dill", "cloudpickle", "shelve", "marshal", "tarfile"}
WRITES = {"Pickler", "PicklingError"}  # what writes a pickle, to hash it, runs nothing
CALLS = {"torch.load", "torch.save", "os.system", "os.popen", "yaml.load", "joblib.load",
         "eval", "exec", "shutil.unpack_archive", "archive.extract", "archive.extractall",
         "pd.read_pickle"}  # fmt: skip


def tree(path: Path) -> ast.AST:
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "pass", path.read_text()))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_source_can_run_what_it_reads(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            assert not MODULES & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            assert (node.module or "").split(".")[0] not in MODULES or names <= WRITES
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in CALLS
            for word in node.keywords:
                if word.arg in ("shell", "allow_pickle"):
                    assert isinstance(word.value, ast.Constant) and word.value.value is False


def test_the_search_finds_what_it_is_for():
    """The test above would see each of these."""
    bad = ["import pickle", "from dill import x", "torch.load(f)", "yaml.load(f)", "os.system(s)"]
    for line in bad:
        node = ast.parse(line).body[0]
        call = ast.unparse(node.value.func) if isinstance(node, ast.Expr) else ""
        names = [a.name for a in getattr(node, "names", [])] + [getattr(node, "module", "")]
        assert call in CALLS or MODULES & set(names), line


def test_commands_of_rules_quote_all_that_is_not_a_number():
    text = (ROOT / "workflow" / "Snakefile").read_text()
    command = "".join(re.findall(r'"([^"\n]*)"', text.split("shell:")[1]))
    fields = re.findall(r"\{([^}]+)\}", command)
    assert fields
    assert {field for field in fields if not field.endswith(":q")} <= {"threads"}


class Bomb:
    """Would run code if it were ever unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_pickles_are_refused_where_weights_and_images_are_read(tmp_path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(GaltoolsError, match="damaged or not ours"):
        checkpoint.load(weights)
    for name, save in (("images.npz", np.savez), ("images.npy", np.save)):
        save(tmp_path / name, np.array([Bomb()], dtype=object))
        with pytest.raises(GaltoolsError):
            image_files.open_images(tmp_path / name)


def test_addresses_of_downloads_are_https():
    for path in SOURCES:
        for address in re.findall(r"http://[^\s\"')]+", path.read_text()):
            assert re.match(r"http://(localhost|127\.0\.0\.1)", address), f"{path.name}: {address}"


def test_every_package_is_listed_with_its_licence():
    listed = dict(re.findall(r"(?m)^\| ([\w.-]+) \| (.+) \|$", (ROOT / "LICENCES.md").read_text()))
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line}
    assert listed.keys() - {"package"} == pinned
    unknown = ("", "?", "see the package's own files", "not installed where this list was made")
    assert [name for name, licence in listed.items() if licence in unknown] == []


def test_kernels_are_reached_by_sockets_in_a_private_folder():
    notebook = load_notebook_node(str(ROOT / "notebooks" / "31_toy.py"))
    nb_manager = NotebookExecutionManager(notebook)
    kernels = PapermillNotebookClient(nb_manager).create_kernel_manager()
    assert kernels.transport == "ipc"
    mode = stat.S_IMODE(Path(kernels.connection_file).parent.stat().st_mode)
    assert mode & ~stat.S_ISVTX == 0o700  # a kernel that ran before has set the sticky bit


@pytest.mark.parametrize("text", ["{n: 1, n: 2}", "a: {n: 1, n: 2}", "n: 1\nm: 2\nn: 3\n"])
def test_a_parameter_that_is_given_twice_is_refused(text):
    """Of papermill's -f and -y; one of them would vanish."""
    with pytest.raises(GaltoolsError, match=r"'n' is given twice"):
        NoDatesSafeLoader(text).get_single_data()
