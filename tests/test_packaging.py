"""What is imported is declared in pyproject.toml, and what is declared there is of use."""

import ast
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
COMMANDS = {"ipykernel", "snakemake"}  # started, never imported
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
    beside = (ROOT / "workflow").glob("*.py")  # which tests import as its scripts do
    own = {file.stem for file in [*files, *beside]} | {"galtools", "companion"}
    known = providers()
    return {
        canonicalize_name(name)
        for module in modules - own - set(sys.stdlib_module_names)
        for name in known.get(module, [module])
    }


@pytest.mark.parametrize(
    ("folders", "extras"),
    [(CODE, ("cluster", "download")), (("tests",), ("cluster", "test"))],
    ids=["code", "tests"],
)
def test_what_is_imported_is_declared(folders, extras):
    requirements = [*PROJECT["dependencies"], *(r for extra in extras for r in EXTRAS[extra])]
    assert imported(*folders) - declared(requirements) == set()


def test_what_is_declared_is_used():
    assert declared(PROJECT["dependencies"]) - imported(*CODE) - COMMANDS == set()
