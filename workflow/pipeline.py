"""What the pipeline runs, and what is still true of what it ran before.

A *run* is one execution of a notebook. Its *key* is a hash of everything its page and artefacts
follow from: the code of its cells, the modules they import, its parameters, the package versions,
and the contents of the artefacts it reads. The record of a run, kept beside the executed notebook,
holds that key and the checksums of what the run made. A run is current while its key and its
artefacts are unchanged; file times play no part, so neither a fresh checkout nor a jumping clock
can confuse it. A run's stamp is a note to Snakemake, from the last look, that the run is current.
"""

import argparse
import ast
import fcntl
import json
import os
import re
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import yaml

from companion import papermill_io, paths
from galtools import artefacts, provenance
from galtools.errors import GaltoolsError
from galtools.models import check_profile, weights_folder

CHAPTERS = paths.WORKFLOW / "chapters.yaml"
RESULTS = paths.ROOT / "results"
NAME = re.compile(r"\w[\w-]*")  # of a run
MAGIC = re.compile(r"(?m)^\s*[%!].*$")


@dataclass(frozen=True)
class Run:
    """One execution of a notebook, in one profile and results folder."""

    name: str
    folder: Path  # results/<profile>
    profile: str
    notebook: str
    needs: tuple[str, ...] = ()
    parameters: dict = field(default_factory=dict)
    cores: int = 1
    group: str = ""  # of a grid
    label: str = ""  # group and what varies in it
    kept: str = ""  # task of the kept weights that it shows

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
        return self.executed.with_suffix(".failed.ipynb")

    @property
    def failure(self) -> Path:
        """The record of why the last run failed; see `failure_text`."""
        return self.executed.with_suffix(".failed.json")

    @property
    def log(self) -> Path:
        """What the notebook printed while it ran, and when it started and ended."""
        return self.executed.with_suffix(".log")

    @property
    def stamp(self) -> Path:
        """The empty file that tells Snakemake that the run is done."""
        return self.folder / ".done" / self.name

    @contextmanager
    def only_once(self):
        """Hold the run's lock, waiting for whoever holds it: a job that its master has lost."""
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.stamp}.lock", "a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def state(self) -> str:
        """Where the run stands: done, failed, running or waiting."""
        if self.stamp.exists() or self.failure.exists():
            return "done" if self.stamp.exists() else "failed"
        try:
            with open(f"{self.stamp}.lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # some process, on any machine that shares the folder
            return "running"
        except OSError:
            pass
        return "waiting"

    @cached_property
    def code(self) -> dict:
        """Digests of all code and settings that the run follows from, but not of its inputs."""
        cells = [cell.source for cell in read_source(self).cells if cell.cell_type == "code"]
        plain = [MAGIC.sub("pass", cell) for cell in cells]
        files = [*sorted(paths.REFERENCE.glob(f"{self.notebook}*")), *kept_weights(self.kept)]
        kept = {os.path.relpath(file, paths.REFERENCE): artefacts.sha256(file) for file in files}
        return {
            "cells": [
                artefacts.digest([provenance.code_digest(text), MAGIC.findall(cell)])
                for text, cell in zip(plain, cells, strict=True)
            ],
            "modules": artefacts.module_digests(
                set().union(*map(provenance.imported_modules, plain))
            ),
            "values": paths.profile_values(self.profile, self.notebook),
            "parameters": self.parameters,
            "packages": artefacts.package_versions(),
            **({"kept": kept} if kept else {}),
        }


def load(profile: str, results: Path) -> dict[str, Run]:
    """Read chapters.yaml: every run by name, each after the runs that it needs."""
    folder = Path(results).absolute() / check_profile(profile)
    runs: dict[str, Run] = {}
    listed = {name: entry or {} for name, entry in yaml.safe_load(CHAPTERS.read_text()).items()}
    absent = {k for k, v in listed.items() if "kept" in v and not kept_weights(v["kept"])}
    for name in [name for name in listed if name not in absent]:
        entry = {"notebook": name, "needs": (), "parameters": {}, **listed[name]}
        needs = [*entry["needs"], *_translator_runs(entry["parameters"], runs)]
        needs = [need for need in dict.fromkeys(needs) if need not in absent]
        if missing := [need for need in needs if need not in runs]:
            raise GaltoolsError(f"{CHAPTERS.name}: {name} needs {missing}, not listed above it")
        runs[name] = Run(name, folder, profile, **{**entry, "needs": tuple(needs)})
    return runs


def kept_weights(task: str) -> list[Path]:
    """Manifests and histories of the weights that are kept for a task, if one is given."""
    return sorted(weights_folder().glob(f"{task}/*/seed*/*.[jc]s*")) if task else []


def _translator_runs(parameters: dict, runs: dict[str, Run]) -> list[str]:
    """Name the runs that make the weights of the `models` of a run, such as 11_residual_intra."""
    found, ending = [], "_intra" if parameters.get("task") == "intra" else ""
    for model in parameters.get("models", ()):
        own = rf"1\d_{model}{ending}"
        found += [name for name in runs if re.fullmatch(own, name)] or [f"1x_{model}{ending}"]
    return found + [name for name in runs if found and name == f"17_long_trainings{ending}"]


def load_plan(file: Path) -> dict[str, Run]:
    """Read the plan.json of a grid: its runs by name, each in a results folder of its own."""
    try:
        content = json.loads(Path(file).read_text())
        profile = check_profile(content["profile"])
        root = Path(file).absolute().parents[2] / "runs"
        runs: dict[str, Run] = {}
        for name, entry in content["runs"].items():
            check_notebook(entry["notebook"])
            if not NAME.fullmatch(name) or not set(entry["needs"]) <= runs.keys():
                raise GaltoolsError(f"{file}: {name!r} is no run of a grid")
            about = {k: str(entry.get(k, "")) for k in ("notebook", "group", "label")}
            about |= {"parameters": entry["parameters"], "cores": int(entry["cores"])}
            folder = root / name / profile
            runs[name] = Run(name, folder, profile, needs=tuple(entry["needs"]), **about)
        return runs
    except GaltoolsError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GaltoolsError(f"{file} is no plan of a grid: start `make grid` again") from error


def check_notebook(name) -> str:
    """Return the name of a notebook that a grid or a manifest gives; it cannot lie elsewhere."""
    if not re.fullmatch(r"\w+", str(name)) or not (paths.NOTEBOOKS / f"{name}.py").is_file():
        names = ", ".join(sorted(path.stem for path in paths.NOTEBOOKS.glob("*.py")))
        raise GaltoolsError(f"there is no notebook {name!r}: choose from {names}")
    return name


_parsed = cache(papermill_io.read_percent)  # each text once


def read_source(run: Run):
    """Read the Jupytext notebook of a run as it is now."""
    if not run.source.exists():
        raise GaltoolsError(f"{run.source} is listed in {CHAPTERS.name} but does not exist")
    return deepcopy(_parsed(run.source.read_text(), run.source))


def full_values(run: Run) -> dict:
    """Value of every parameter of a run, but for the profile and the folder of results."""
    book = read_source(run)
    known = {p.name: ast.literal_eval(p.default) for p in papermill_io.known_parameters(book)}
    values = known | papermill_io.complete(book, {**run.parameters, "profile": run.profile})
    return {name: values[name] for name in known if name not in ("profile", "results")}


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

    def entry(one: Run) -> dict:
        return {
            "notebook": one.notebook, "parameters": full_values(one), "needs": list(one.needs)
        }  # fmt: skip

    before = [other for name, other in runs.items() if name in ancestors(run, runs)]
    told = {one.name: {**entry(one), "cores": record(one).get("cores", 1)} for one in before}
    return {**entry(run), "code": run.code, "ancestors": told}


def record(run: Run) -> dict:
    """Read what is known of the last run."""
    known = artefacts.read_manifest(run.executed)
    if not isinstance(known.get("artefacts"), dict) or not {"key", "seconds"} <= known.keys():
        raise GaltoolsError(f"the record of {run.name} is damaged: delete {run.executed}*")
    return known


def is_current(run: Run, runs: dict[str, Run]) -> bool:
    """Tell whether the last run would come out the same today, and all it made is still whole."""
    try:
        known = record(run)
        made = {inside(run.folder, name): sha for name, sha in known["artefacts"].items()}
        made[run.executed] = known["sha256"]
        return known["key"] == key(run, runs) and all(
            artefacts.sha256(path) == checksum for path, checksum in made.items()
        )
    except (GaltoolsError, KeyError, OSError):
        return False


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


def failure_text(run: Run) -> str:
    """Say in a few lines what went wrong in the last run: notebook, cell and error."""
    told = json.loads(run.failure.read_text())
    lines = [f"FAILED notebooks/{run.notebook}.py (run {run.name})"]
    if told["cell"]:
        lines[0] += f", cell {told['cell']}: {told['line']}"
    lines.append(f"       {told['error']}: {told['message']}")
    if run.failed.exists():
        lines.append(f"       partial output: {run.failed}")
    if (needs := told["missing"]) and run.folder.parents[1].name == "runs":  # of a grid
        asked = " and ".join(f"`{name}: {value}`" for name, value in needs.items())
        lines.append(
            f"       in the grid file: list a group with {asked} above, and name it under"
            " `needs` here"
        )
    return "\n".join(lines)


def reason(run: Run, runs: dict[str, Run]) -> str:
    """Say why a run is not done."""
    if run.failure.exists():
        return failure_text(run)
    if missing := [need for need in run.needs if not runs[need].stamp.exists()]:
        return f"NOT RUN, since {missing[0]} is not done"
    return f"KILLED or never started; see {run.log}"


def core_count(text: str) -> int:
    """Read a number of cores from the command line."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text} cores: give a whole number from 1 on")
    return int(text)


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
