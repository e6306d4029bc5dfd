"""What an artefact follows from computes; what draws and lays out pages is in no artefact's key.

So a new colour remakes no data, weights, translations or measurements.
"""

import ast
import json
from functools import cache
from pathlib import Path

import pytest
from test_habits import DRAWING, imports

from galtools import artefacts, models, provenance

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("galtools", "companion", "notebooks", "workflow", "benchmarks")
PAGES = {"companion.html_report", "companion.interactive"}


@cache
def presents(module: str) -> bool:
    """Tell whether a module draws: by itself, or by a module of ours that it imports."""
    code = artefacts.module_digests([module])
    drawn = {top for name in code for top in _tops(name)}
    return bool(drawn & DRAWING or set(code) & PAGES)


def _tops(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(provenance._find(module))}


def named_modules(file: Path) -> set[str]:
    """Every module of ours that a file names as a text, as `artefacts.make(modules=[...])` does."""
    texts = {n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)}
    words = {
        text for text in texts if isinstance(text, str) and text.split(".")[0] in provenance.OURS
    }
    return {text for text in words if provenance._find(text)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_key_holds_the_code_of_a_presentation(folder):
    for file in (ROOT / folder).rglob("*.py"):
        bad = {name for name in named_modules(file) if presents(name)}
        assert not bad, f"{file} names {bad}: measure in one module, draw in another"


@pytest.mark.parametrize("name", models.names())
def test_no_training_follows_from_a_presentation(name):
    assert not any(map(presents, models.modules(name)))


def test_what_draws_is_known_as_such():
    drawing = {file.stem for file in (ROOT / "companion").glob("*.py") if "panels" in file.stem}
    drawing |= {"plotting", "html_report", "interactive"}
    assert all(presents(f"companion.{name}") for name in drawing)
    assert not presents("galtools.fidelity.scorecard")


def test_what_a_package_offers_late_is_imported_from_its_module():
    """`from galtools import card` would not be seen by the keys."""
    for folder in FOLDERS[:3]:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module == "galtools":
                    for alias in node.names:
                        assert provenance._find(f"galtools.{alias.name}"), f"{file}: {alias.name}"


@pytest.mark.pipeline
def test_no_manifest_of_the_tiny_book_names_a_presentation(tiny):
    manifests = [json.loads(f.read_text()) for f in (tiny / "results").rglob("*.manifest.json")]
    made = {m["artefact"]: set(m["modules"]) for m in manifests if "artefact" in m}
    assert made
    for artefact, named in made.items():
        bad = {name for name in named if presents(name)}
        assert not bad, f"{artefact} follows from {bad}"
