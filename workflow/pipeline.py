"""What the pipeline runs, and what is still true of what it ran before.

A *run* is one execution of a notebook. Its *key* is a hash of everything its page and artefacts
follow from: the code of its cells, the modules they import, its parameters, the package versions,
and the contents of the artefacts it reads. The record of a run, kept beside the executed notebook,
holds that key and the checksums of what the run made. A run is current while its key and its
artefacts are unchanged; file times play no part, so neither a fresh checkout nor a jumping clock
can confuse it. A run's stamp tells Snakemake that the run was current when last checked.
"""

import argparse
import ast
import fcntl
import json
import os
import re
import sys
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
KEPT = "17_long_trainings"  # is run only where weights are kept for its task
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

    def file(self, ending: str) -> Path:
        """Path of a file of this run beside its executed notebook."""
        return self.folder / "notebooks" / f"{self.name}{ending}"

    source = property(lambda run: paths.NOTEBOOKS / f"{check_notebook(run.notebook)}.py")
    executed = property(lambda run: run.file(".ipynb"))  # the notebook with its outputs
    failed = property(lambda run: run.file(".failed.ipynb"))  # what a failed run leaves
    failure = property(lambda run: run.file(".failed.json"))  # and why, see `failure_text`
    log = property(lambda run: run.file(".log"))  # what the notebook printed
    stamp = property(lambda run: run.folder / ".done" / run.name)  # for Snakemake

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
        files = [
            *sorted(paths.REFERENCE.glob(f"{self.notebook}*")),
            *kept_weights(self.notebook, self.parameters),
        ]
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
    listed = {name: entry or {} for name, entry in yaml.safe_load(CHAPTERS.read_text()).items()}
    absent = {
        name for name, entry in listed.items()
        if entry.get("notebook", name) == KEPT and not kept_weights(KEPT, entry["parameters"])
    }  # fmt: skip
    runs: dict[str, Run] = {}
    for name in [name for name in listed if name not in absent]:
        entry = {"notebook": name, "needs": (), "parameters": {}, **listed[name]}
        needs = [*entry["needs"], *_translator_runs(entry["parameters"], runs)]
        entry["needs"] = tuple(need for need in dict.fromkeys(needs) if need not in absent)
        if missing := [need for need in entry["needs"] if need not in runs]:
            raise GaltoolsError(f"{CHAPTERS.name}: {name} needs {missing}, not listed above it")
        runs[name] = Run(name, folder, profile, **entry)
    return runs


def kept_weights(notebook: str, parameters: dict) -> list[Path]:
    """Manifests and histories of the kept weights that a notebook shows, those of its task."""
    task = parameters.get("task", "cross")
    return sorted(weights_folder().glob(f"{task}/*/seed*/*.[jc]s*")) if notebook == KEPT else []


def _translator_runs(parameters: dict, runs: dict[str, Run]) -> list[str]:
    """Name the runs that make the weights of the `models` of a run, such as 11_residual_intra."""
    needed, ending = [], "_intra" if parameters.get("task") == "intra" else ""
    for model in parameters.get("models", ()):
        pattern = rf"1\d_{model}{ending}"
        needed += [name for name in runs if re.fullmatch(pattern, name)] or [f"1x_{model}{ending}"]
    return needed + [name for name in runs if needed and name == f"{KEPT}{ending}"]


def load_plan(file: Path) -> dict[str, Run]:
    """Read the plan.json of a grid: its runs by name, each in a results folder of its own."""
    root, runs = Path(file).absolute().parents[2] / "runs", {}
    try:
        content = json.loads(Path(file).read_text())
        profile = check_profile(content["profile"])
        for name, entry in content["runs"].items():
            check_notebook(entry["notebook"])
            if not NAME.fullmatch(name) or not set(entry["needs"]) <= runs.keys():
                raise GaltoolsError(f"{file}: {name!r} is no run of a grid")
            entry = {**entry, "needs": tuple(entry["needs"]), "cores": int(entry["cores"])}
            runs[name] = Run(name, root / name / profile, profile, **entry)
    except GaltoolsError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GaltoolsError(f"{file} is no plan of a grid: start `make grid` again") from error
    return runs


def check_notebook(name) -> str:
    """Return the name of a notebook that a grid or a manifest gives; it cannot lie elsewhere."""
    names = sorted(path.stem for path in paths.NOTEBOOKS.glob("*.py"))
    if name not in names:
        raise GaltoolsError(f"there is no notebook {name!r}: choose from {', '.join(names)}")
    return name


_parsed = cache(papermill_io.read_percent)  # each text once


def read_source(run: Run):
    """Read the Jupytext notebook of a run as it is now."""
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


def lineage(run: Run, runs: dict[str, Run]) -> dict:
    """Everything that it takes to execute a run again, and to see what has changed since."""

    def entry(one: Run) -> dict:
        return {
            "notebook": one.notebook, "parameters": full_values(one), "needs": list(one.needs)
        }  # fmt: skip

    before = [other for name, other in runs.items() if name in ancestors(run, runs)]
    made = {one.name: {**entry(one), "cores": record(one).get("cores", 1)} for one in before}
    return {**entry(run), "code": run.code, "ancestors": made}


def record(run: Run) -> dict:
    """Read what is known of the last run."""
    content = artefacts.read_manifest(run.executed)
    if not isinstance(content.get("artefacts"), dict) or not {"key", "seconds"} <= content.keys():
        raise GaltoolsError(f"the record of {run.name} is damaged: delete {run.executed}*")
    return content


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


def drop_stale(runs: dict[str, Run]) -> set[str]:
    """Take away the stamp of every run that is not current; return the names of those left."""
    current: set[str] = set()
    for name, run in runs.items():
        if current.issuperset(run.needs) and is_current(run, runs):
            run.stamp.parent.mkdir(parents=True, exist_ok=True)
            run.stamp.touch()
            current.add(name)
        else:
            run.stamp.unlink(missing_ok=True)
    return current


def failure_text(run: Run) -> str:
    """Say in a few lines what went wrong in the last run: notebook, cell and error."""
    error = json.loads(run.failure.read_text())
    lines = [f"FAILED notebooks/{run.notebook}.py (run {run.name}){error['where']}", error["what"]]
    lines += [f"partial output: {run.failed.name}"] if run.failed.exists() else []
    return "\n       ".join(lines)


def reason(run: Run, runs: dict[str, Run]) -> str:
    """Say why a run is not done."""
    if run.failure.exists():
        return failure_text(run)
    if missing := [need for need in run.needs if not runs[need].stamp.exists()]:
        return f"NOT RUN, since {missing[0]} is not done"
    return f"KILLED or never started; see {run.name}.log"


def core_count(text: str) -> int:
    """Read a number of cores from the command line."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text} cores: give a whole number from 1 on")
    return int(text)


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def absolute(text: str) -> Path:
    """Read a path from the command line."""
    return Path(text).absolute()


def parser(description: str) -> argparse.ArgumentParser:
    """Parser of a command line that has a folder of results and a number of cores."""
    options = argparse.ArgumentParser(description=description.splitlines()[0])
    options.add_argument("--results", type=absolute, default=RESULTS)
    options.add_argument("--cores", type=core_count, default=cores())
    return options


def start(main) -> None:
    """Call the main function of a script; what the user can put right ends in one line."""
    try:
        sys.exit(not main())
    except GaltoolsError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
