"""The house rules that a machine can check."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import galtools

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CUDA = ("nvidia-", "cuda-", "triton")  # the GPU build of torch pins these itself


@cache
def parsed(file: Path) -> ast.Module:
    """Parse a module once for all rules."""
    return ast.parse(file.read_text())


def tracked_files() -> list[Path]:
    """Files that git knows, as far as they are still there."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [file for file in files if file.is_file()]


def tracked_texts() -> dict[str, str]:
    """Contents of all tracked text files."""
    texts = {}
    for file in tracked_files():
        content = file.read_bytes()
        if b"\0" not in content:
            texts[str(file.relative_to(ROOT))] = content.decode()
    return texts


def pins() -> dict[str, str]:
    """The version of every package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [line.split("#")[0].strip() for line in lines]
    return {canonicalize_name(n): v for n, v in (line.split("==") for line in found if line)}


# --- style


@pytest.mark.parametrize(
    "tool", [("ruff", "check"), ("ruff", "format", "--check"), ("codespell_lib",)], ids=" ".join
)
def test_tree_is_clean(tool):
    done = subprocess.run(
        [sys.executable, "-m", *tool, *([] if tool == ("codespell_lib",) else ["."])],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["galtools", "companion", "workflow", "benchmarks"])
def test_modules_and_functions_fit_in_the_head(folder):
    for file in (ROOT / folder).rglob("*.py"):
        source = file.read_text()
        assert len(source.splitlines()) <= 450, file
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{file}: {node.name}"


def test_nothing_is_left_for_later():
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"])
    for name, text in tracked_texts().items():
        assert not re.search(rf"\b({words})\b", text), name


LAYERS = (  # a module of galtools imports from its own layer and those before it
    ("errors", "surveys", "flags", "hdf5", "provenance", "artefacts"),
    ("data",),
    ("simulate", "ingest"),
    ("models",),
    ("training",),
    ("redshift",),
    ("pretrained",),
    ("fidelity",),
    ("cli",),
)
LAYER = {name: k for k, names in enumerate(LAYERS) for name in names}
DRAWING = {"matplotlib", "seaborn", "IPython", "PIL"}


def imports(file: Path) -> set[str]:
    """Dotted names of everything that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("file", sorted((ROOT / "galtools").rglob("*.py")), ids=str)
def test_data_flow_one_way(file):
    """Nothing imports back up, and the library neither draws nor knows the book."""
    own = file.relative_to(ROOT / "galtools").with_suffix("").parts[0]
    for name in imports(file):
        top, *rest = name.split(".")
        assert top not in DRAWING | {"companion"}, f"{file} imports {name}"
        if top == "galtools" and own != "__init__":
            assert LAYER[rest[0]] <= LAYER[own], f"{file} imports {name}, a layer above it"
    assert not re.search(r"\b\d\d_[a-z]+\b|notebooks/", file.read_text()), "names a notebook"


def test_the_map_of_the_code_is_complete():
    text = (ROOT / "CONTRIBUTING.md").read_text().split("## Map of the code")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", text))
    for folder in ("galtools", "companion"):
        there = {file.stem for file in (ROOT / folder).iterdir() if file.stem[0] not in "._"}
        assert there <= named, f"put {there - named} into the map in CONTRIBUTING.md"


@pytest.mark.parametrize("folder", ["galtools", "companion", "notebooks", "workflow"])
def test_private_names_stay_in_their_module(folder):
    for file in (ROOT / folder).rglob("*.py"):
        nodes = list(ast.walk(parsed(file)))
        sources = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        ours = [n for n in sources if n.module.split(".")[0] in ("galtools", "companion")]
        names = {alias.asname or alias.name for node in ours for alias in node.names}
        used = {(n.value.id, n.attr) for n in nodes if isinstance(n, ast.Attribute)
                and isinstance(n.value, ast.Name) and n.value.id in names}  # fmt: skip
        private = [name for name in (*names, *(attr for _, attr in used)) if name[0] == "_"]
        assert set(private) <= {"__version__", "__file__"}, file


# --- what may be in the repository


def test_no_outputs_and_no_data_are_tracked():
    made = re.compile(r"\.(ipynb|h5|hdf5|npz|npy|fits|safetensors|pt)$|^(_build|results)/")
    names = [str(file.relative_to(ROOT)) for file in tracked_files()]
    assert [n for n in names if made.search(n) and not n.startswith("book/reference/")] == []
    weights = [n for n in names if n.startswith("book/reference/weights/")]
    assert sum((ROOT / name).stat().st_size for name in weights) < 40_000_000
    size = {name: (ROOT / name).stat().st_size for name in set(names) - set(weights)}
    assert max(size.values()) < 2_000_000, max(size, key=size.get)


def test_no_path_of_one_machine():
    pattern = re.compile(r"(?<![\w.~/}])/(home|Users|root|work|mnt|data[0-9]?)/\w")
    for name, text in tracked_texts().items():
        found = pattern.search(text)
        assert not found, f"{name}: {found and text[found.start() :][:40]!r}"


def test_no_package_index_is_hard_coded():
    """Packages come from where the user's pip or uv is told to look."""
    hosts = (
        r"(py"
        + r"pi\.org|pythonhosted\.org|download\.py"
        + r"torch\.org|ana"
        + r"conda\.(org|com))"
    )
    for name, text in tracked_texts().items():
        assert not re.search(hosts, text), name


def test_links_of_the_front_pages_lead_somewhere():
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not re.match(r"\w+://", target):
                assert (ROOT / target).exists(), f"{page.name}: {target}"


def test_how_tos_are_short():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for title in ("Add a model", "Add a metric", "Add a chapter"):
        section = text.split(f"## {title}\n")[1].split("\n## ")[0].strip()
        assert len(section.splitlines()) < 10, title


# --- installing


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert galtools.__version__ == PROJECT["version"] == str(citation["version"])


def requirements(*extras: str) -> list[Requirement]:
    """What pyproject asks for."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][e] for e in extras)]
    return [Requirement(text) for texts in lists for text in texts]


def test_constraints_are_exact_pins():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert " @ " not in text
    for line in text.splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.!+]+(\s*#.*)?|\s*#.*|", line), line
    assert "+" not in pins()["torch"]  # the CPU build is the installer's choice


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_every_requirement_is_pinned_within_its_bounds(extra):
    for requirement in requirements(extra):
        pin = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin, prereleases=True), requirement


@pytest.mark.skipif(
    os.environ.get("UNPINNED") == "1" or sys.version_info[:2] != (3, 11),
    reason="the pins are made to be complete on Python 3.11",
)
def test_pins_are_complete_and_fit_together():
    """Follow every dependency of what is installed: all are pinned, within all bounds."""
    queue, seen = [(r, "") for r in requirements("book", "test")], set()
    while queue:
        requirement, why = queue.pop()
        name = canonicalize_name(requirement.name)
        if name.startswith(CUDA):
            continue
        assert name in pins(), f"{name} (for {why}) is not in constraints.txt"
        assert requirement.specifier.contains(pins()[name], prereleases=True), (why, requirement)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in metadata.requires(name) or ():
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    queue.append((needed, name))


def test_environment_yml_only_points_to_the_two_lists():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, from_pip = environment["dependencies"]
    assert pip == "pip"
    number = re.fullmatch(r"python=(\d+\.\d+)", python)[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{number}.0")
    constraints, project = from_pip["pip"]
    assert constraints == "-c constraints.txt"
    assert (ROOT / "constraints.txt").exists()
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", project)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert {"book", "test"} <= set(extras)


# --- citation, hooks, workflows


def test_citation_has_what_the_format_requires():
    """The keys that version 1.2.0 of the Citation File Format requires, at both levels."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    (paper,) = citation["references"]
    assert paper["type"] == "article"
    for work in (citation, paper):
        assert isinstance(work["title"], str)
        for author in work["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})
    assert (paper["volume"], paper["start"], paper["year"]) == (701, "A82", 2025)
    assert {"type": "other", "value": "arXiv:2508.03291"} in paper["identifiers"]


def test_citation_and_bibliography_name_the_same_paper():
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    entry = (ROOT / "book" / "references.bib").read_text()
    names = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    for fact in (names, paper["title"], paper["doi"]):
        assert f"{{{fact}}}" in entry


HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_hooks_need_no_network():
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    assert {hook["language"] for hook in HOOKS[0]["hooks"]} <= {"system", "fail"}


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("notebooks/out.ipynb", True),
        ("results/tiny/tables/pixels.csv", True),
        ("data.h5", True),
        ("book/reference/tables/pixels.csv", False),
        ("notebooks/01_two_surveys.py", False),
    ],
)
def test_hook_refuses_outputs(name, refused):
    hook = next(hook for hook in HOOKS[0]["hooks"] if hook["id"] == "no-outputs")
    matched = re.search(hook["files"], name) and not re.search(hook["exclude"], name)
    assert bool(matched) == refused


def test_pre_commit_runs_the_hooks(tmp_path):
    """In a repository of its own, with one notebook and one badly written module."""
    (tmp_path / "out.ipynb").write_text("{}")
    (tmp_path / "bad.py").write_text("x = [ 1,2 ]  # teh list\n")  # codespell:ignore
    (tmp_path / ".pre-commit-config.yaml").write_bytes(
        (ROOT / ".pre-commit-config.yaml").read_bytes()
    )
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    for command in (["git", "init", "-q"], ["git", "add", "bad.py", "out.ipynb"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--files", "bad.py", "out.ipynb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"(?m)^(.*?)\.+Failed$", done.stdout)
    assert failed == ["no notebook outputs, no data", "ruff format", "codespell"], done.stdout
    assert done.returncode == 1


WORKFLOWS = {
    file.stem: yaml.safe_load(file.read_text())
    for file in (ROOT / ".github/workflows").glob("*.yml")
}


def commands(workflow: dict) -> str:
    return "\n".join(s.get("run", "") for job in workflow["jobs"].values() for s in job["steps"])


def uses(workflow: dict) -> str:
    return "\n".join(s.get("uses", "") for job in workflow["jobs"].values() for s in job["steps"])


def test_workflows_call_the_same_commands_as_the_readme():
    targets = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text()))
    for workflow in WORKFLOWS.values():
        assert set(re.findall(r"make (\w+)", commands(workflow))) <= targets
    assert "pull_request" in WORKFLOWS["tests"][True]  # YAML 1.1 reads the key `on` as true
    assert "make test" in commands(WORKFLOWS["tests"])
    assert WORKFLOWS["book"][True]["push"] == {"branches": ["main"]}
    assert "make book" in commands(WORKFLOWS["book"])
    assert "actions/deploy-pages" in uses(WORKFLOWS["book"])


def test_weekly_run_has_neither_pins_nor_cache():
    weekly = WORKFLOWS["weekly"]
    assert weekly[True]["schedule"]
    (job,) = weekly["jobs"].values()
    assert job["env"]["UNPINNED"] == "1"
    assert "UNPINNED" in (ROOT / "Makefile").read_text()
    assert "cache" not in (uses(weekly) + str([step.get("with") for step in job["steps"]]))
    assert {"make test", "make book"} <= set(commands(weekly).splitlines())


def test_every_package_runs_on_the_oldest_python_promised():
    """Debian 12 has 3.11.2: a pin that needs 3.11.5 would refuse to install there."""
    for one in metadata.distributions():
        needs = one.metadata.get("Requires-Python")
        assert not needs or SpecifierSet(needs).contains("3.11.0"), one.name


def test_numbers_from_other_pages_have_a_format():
    """Without one the value vanishes from the page."""
    pages = [*(ROOT / "book").rglob("*.md"), *(ROOT / "notebooks").glob("*.py")]
    naked = [
        f"{page.name}: {found}"
        for page in pages
        for found in re.findall(r"\{glue:text\}`[^`]*\.ipynb::\w+`", page.read_text())
    ]
    assert not naked
