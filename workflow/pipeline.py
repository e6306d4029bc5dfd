"""What the pipeline runs, and what is still true of what it ran before.

A *run* is one execution of a notebook. Its *key* is a hash of everything its page and artefacts
follow from: the code of its cells, the galtools modules they import, its parameters, the package
versions, and the contents of the artefacts it reads. The record of a run, kept beside the executed
notebook, holds that key and the checksums of what the run made. A run is current while its key and
its artefacts are unchanged; file times play no part, so neither a fresh checkout nor a jumping
clock can confuse it.
"""

import ast
import fcntl
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import jupytext
import yaml

from companion import papermill_io, paths
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.models import check_profile

CHAPTERS = paths.WORKFLOW / "chapters.yaml"
ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # cells that papermill adds


@dataclass(frozen=True)
class Run:
    """One entry of chapters.yaml, in one profile and results folder."""

    name: str
    folder: Path  # results/<profile>
    profile: str
    notebook: str
    needs: tuple[str, ...] = ()
    parameters: dict = field(default_factory=dict)
    cores: int = 1

    @property
    def source(self) -> Path:
        """The notebook as text."""
        return paths.NOTEBOOKS / f"{self.notebook}.py"

    @property
    def executed(self) -> Path:
        """The notebook with its outputs."""
        return self.folder / "notebooks" / f"{self.name}.ipynb"

    @property
    def failed(self) -> Path:
        """The partial notebook that a failed run leaves."""
        return self.folder / "notebooks" / f"{self.name}.failed.ipynb"

    @property
    def failure(self) -> Path:
        """The few lines that say why the last run failed."""
        return self.failed.with_suffix(".txt")

    @property
    def log(self) -> Path:
        """What the notebook printed while it ran, and when it started and ended."""
        return self.folder / "notebooks" / f"{self.name}.log"

    @property
    def stamp(self) -> Path:
        """The empty file that tells Snakemake that the run is done."""
        return self.folder / ".done" / self.name

    @contextmanager
    def only_once(self):
        """Hold the run's lock, waiting for whoever holds it: a job that its master has lost."""
        lock_file = self.stamp.with_name(f"{self.name}.lock")
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        with open(lock_file, "a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_running(self) -> bool:
        """Tell whether some process, on any machine that shares the folder, holds the lock."""
        try:
            with open(self.stamp.with_name(f"{self.name}.lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @cached_property
    def code(self) -> dict:
        """Digests of all code and settings that the run follows from, but not of its inputs."""
        cells = code_cells(read_text(self.source))
        modules = set().union(*(artefacts.imported_modules(plain_python(cell)) for cell in cells))
        kept = sorted(paths.REFERENCE.glob(f"{self.notebook}*"))  # tables that the chapter shows
        return {
            "cells": [cell_digest(cell) for cell in cells],
            "modules": artefacts.module_digests(modules),
            "values": paths.profile_values(self.profile, self.notebook),
            "parameters": self.parameters,
            "packages": artefacts.package_versions(),
            **({"kept": {file.name: artefacts.sha256(file) for file in kept}} if kept else {}),
        }


def load(profile: str, results: Path) -> dict[str, Run]:
    """Read chapters.yaml: every run by name, each after the runs that it needs."""
    folder = Path(results).absolute() / check_profile(profile)
    runs: dict[str, Run] = {}
    for name, entry in yaml.safe_load(CHAPTERS.read_text()).items():
        entry = {**(entry or {})}
        needs = tuple(entry.pop("needs", ()))
        if missing := [need for need in needs if need not in runs]:
            raise GaltoolsError(f"{CHAPTERS.name}: {name} needs {missing}, not listed above it")
        notebook = entry.pop("notebook", name)
        runs[name] = Run(name, folder, profile, notebook, needs, **entry)
    return runs


def read_text(path: Path) -> str:
    """Read the text of a notebook."""
    if not path.exists():
        raise GaltoolsError(f"{path} is listed in {CHAPTERS.name} but does not exist")
    return path.read_text()


def read_source(path: Path):
    """Read a Jupytext notebook."""
    return jupytext.reads(read_text(path), fmt="py:percent")


@cache
def code_cells(text: str) -> tuple[str, ...]:
    """The code cells of a Jupytext notebook; each text is parsed once."""
    cells = jupytext.reads(text, fmt="py:percent").cells
    return tuple(cell.source for cell in cells if cell.cell_type == "code")


@cache
def parameterised(text: str, path: Path):
    """The notebook whose parameters are asked for; each text is parsed once."""
    return papermill_io.read_percent(text, path)


def plain_python(cell: str) -> str:
    """Blank out IPython magics, which Python's own parser does not know."""
    return re.sub(r"(?m)^\s*[%!].*$", "pass", cell)


def cell_digest(cell: str) -> str:
    """Hash what a cell computes; a magic line counts as it stands."""
    magics = re.findall(r"(?m)^\s*[%!].*$", cell)
    return artefacts.digest([ast.dump(ast.parse(plain_python(cell))), magics])


def inside(folder: Path, name: str) -> Path:
    """Join a name that a manifest gives to its folder, or refuse one that leads out of it."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise GaltoolsError(f"a manifest in {folder} names {name!r}, outside of it: delete it")
    return folder / path


def ancestors(run: Run, runs: dict[str, Run]) -> set[str]:
    """Name every run whose artefacts this one may read, near or far."""
    return set(run.needs).union(*(ancestors(runs[need], runs) for need in run.needs))


def key(run: Run, runs: dict[str, Run]) -> str:
    """Hash everything that a run follows from; the runs it needs must have records."""
    inputs = {name: record(runs[name])["artefacts"] for name in sorted(ancestors(run, runs))}
    return artefacts.digest([run.code, inputs])


def story(run: Run, runs: dict[str, Run]) -> dict:
    """Everything that it takes to execute a run again, and to see what has changed since."""
    names = ancestors(run, runs)
    return {
        "notebook": run.notebook,
        "parameters": full_values(run),
        "needs": list(run.needs),
        "code": run.code,
        "ancestors": {
            name: {
                "notebook": other.notebook,
                "parameters": full_values(other),
                "needs": list(other.needs),
                "cores": record(other).get("cores", 1),
            }
            for name, other in runs.items()
            if name in names
        },
    }


def full_values(run: Run) -> dict:
    """Value of every parameter of a run, but for the profile and the folder of results."""
    book = parameterised(read_text(run.source), run.source)
    known = {p.name: ast.literal_eval(p.default) for p in papermill_io.known_parameters(book)}
    given = papermill_io.complete(book, {**run.parameters, "profile": run.profile})
    values = {**known, **given}
    return {name: values[name] for name in known if name not in ("profile", "results")}


def record(run: Run) -> dict:
    """Read what is known of the last run."""
    return artefacts.read_manifest(run.executed)


def is_current(run: Run, runs: dict[str, Run]) -> bool:
    """Tell whether the last run would come out the same today, and all it made is still whole."""
    try:
        known = record(run)
        return known["key"] == key(run, runs) and artefacts_whole(run, known)
    except (GaltoolsError, KeyError):
        return False


def artefacts_whole(run: Run, known: dict) -> bool:
    """Tell whether the executed notebook and every artefact are the bytes that were recorded."""
    made = {run.executed: known["sha256"]}
    made |= {inside(run.folder, name): checksum for name, checksum in known["artefacts"].items()}
    return all(path.exists() and artefacts.sha256(path) == made[path] for path in made)


def drop_stale(runs: dict[str, Run]) -> list[str]:
    """Take away the stamp of every run that is not current; return the names of those left."""
    current: list[str] = []
    for name, run in runs.items():
        if set(run.needs) <= set(current) and is_current(run, runs):
            run.stamp.parent.mkdir(parents=True, exist_ok=True)
            run.stamp.touch()
            current.append(name)
        else:
            run.stamp.unlink(missing_ok=True)
    return current


def artefacts_listed(listing: Path, folder: Path) -> dict[str, str]:
    """Checksums of the artefacts that a run made or used, as `galtools.artefacts` listed them."""
    names = set(listing.read_text().splitlines()) if listing.exists() else set()
    own = sorted(Path(name) for name in names if Path(name).is_relative_to(folder))
    return {str(path.relative_to(folder)): artefacts.sha256(path) for path in own}


def failing_line(traceback: list[str]) -> str:
    """Find the line of the cell that an arrow points at."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    arrow = re.search(r"(?m)^-+> *\d+ +(.*)$", plain)
    return arrow[1].strip() if arrow else "?"


def failure_report(run: Run, error: Exception) -> str:
    """Say in a few lines what went wrong: notebook, cell and error."""
    name = f"FAILED notebooks/{run.notebook}.py (run {run.name})"
    if not run.failed.exists():
        return f"{name}: {type(error).__name__}: {error}"
    cells = json.loads(run.failed.read_text())["cells"]
    own = [cell for cell in cells if not ADDED & set(cell["metadata"].get("tags", ()))]
    for number, cell in enumerate(own, 1):
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                return (
                    f"{name}, cell {number}: {failing_line(output['traceback'])}\n"
                    f"       {output['ename']}: {output['evalue']}\n"
                    f"       partial output: {run.failed}"
                )
    return f"{name}: {type(error).__name__}: {error}\n       partial output: {run.failed}"
