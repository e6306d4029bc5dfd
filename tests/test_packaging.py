"""What is imported is declared in pyproject.toml, and what is declared there is of use."""

import ast
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import galtools

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
COMMANDS = {
    "ipykernel",
    "jupyter-book",
    "nbconvert",
    "snakemake",
    "sphinx-mathjax-offline",
}  # never imported
DATA = {"galsim"}  # whose SED templates are read
CODE = ("galtools", "companion", "notebooks", "workflow")


def declared(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


providers = cache(packages_distributions)  # of a module: looking takes a second


@cache
def imported(*folders: str) -> set[str]:
    """Distributions whose modules the code of some folders imports."""
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules.add(node.module.split(".")[0])
    # tests import from these folders as the scripts in them do
    beside = [f for name in ("workflow", "benchmarks") for f in (ROOT / name).glob("*.py")]
    own = {file.stem for file in [*files, *beside]} | {"galtools", "companion"}
    known = providers()
    return {
        canonicalize_name(name)
        for module in modules - own - set(sys.stdlib_module_names)
        for name in known.get(module, [module])
    }


@pytest.mark.parametrize(
    ("folders", "extras"),
    [(("galtools",), ("download",)), (CODE, ("book", "cluster", "download")),
     (("tests",), ("book", "cluster", "test"))],
    ids=["library", "code", "tests"],
)  # fmt: skip
def test_what_is_imported_is_declared(folders, extras):
    requirements = [*PROJECT["dependencies"], *(r for extra in extras for r in EXTRAS[extra])]
    assert imported(*folders) - declared(requirements) == set()


def test_what_is_declared_is_used():
    assert declared(PROJECT["dependencies"]) - imported("galtools") - DATA == set()
    assert declared(EXTRAS["book"]) - imported(*CODE) - COMMANDS == set()


def test_what_is_offered_is_there():
    assert {name for name in galtools.__all__ if getattr(galtools, name, None) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        galtools.trane  # noqa: B018


def test_the_api_reference_lists_what_exists_and_is_no_longer_than_a_page():
    listed = re.findall(r"\.\. auto(\w+):: ([\w.]+)", (ROOT / "book" / "api.md").read_text())
    assert 40 <= len(listed) <= 60
    for kind, name in listed:
        thing = pkgutil.resolve_name(name)
        assert inspect.isclass(thing) == (kind == "class"), name
        assert inspect.getdoc(thing), name


def test_importing_the_library_loads_nothing_else():
    code = "import sys, galtools; print(*(m for m in sys.modules if m.startswith('galtools')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["galtools"]


@pytest.mark.pipeline
def test_the_lines_of_the_readme_run_from_a_wheel_in_an_empty_folder(tmp_path):
    """Without the repository: the wheel is installed elsewhere, and nothing else is on the path."""
    source, target, here = (tmp_path / name for name in ("source", "target", "here"))
    here.mkdir()
    for name in ("galtools", "companion"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip, offline = [sys.executable, "-m", "pip"], ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", "-q", *offline, "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("galtools-*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "-t", target, wheel], check=True)
    block = re.search(r"(?s)```python\n(.*?)```", (ROOT / "README.md").read_text())[1]
    code = f"{block}\nprint(galtools.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(target)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(block.strip().splitlines()) <= 10
    assert done.stdout.splitlines()[-1] == str(target / "galtools" / "__init__.py")
    assert "<h1>" in (here / "card.html").read_text()
