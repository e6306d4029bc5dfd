"""From a grid file to runs: every combination of the listed values is one papermill run.

A grid is a YAML file (see grid.example.yaml). `expand` turns it into a *plan*: every run with the
full values of its parameters, and the runs whose artefacts it reads. A run is named after its
notebook and a hash of notebook, values and needs, so the same run has the same name in every grid
and is computed once. Each has a results folder of its own, so that no two can overwrite each other:

    results/runs/<run>/<profile>/      as one `make book` would leave it; log.txt beside it
    results/grids/<name>/              plan.json, table.csv, index.html of one grid file
"""

import itertools
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pipeline
import yaml

from companion import paths
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.models import check_profile

GROUP = {"notebook", "parameters", "needs", "cores"}  # what may be said of a group of runs
OWN = ("profile", "results")  # parameters that the grid itself takes care of
NAME = re.compile(r"\w[\w-]*")
MISSING = re.compile(r"run notebooks/(\w+)\.py(?: with -p task (\w+))? first")


@dataclass(frozen=True)
class Variant:
    """One run of a group, before it is given its folder."""

    name: str
    group: str
    notebook: str
    parameters: dict  # of every parameter, whether the grid sets it or not
    needs: tuple[str, ...] = ()
    lineage: dict = field(default_factory=dict)  # the variant of each group that this one is from
    cores: int = 1


def read(file: Path) -> dict:
    """Read a grid file, or say what is wrong with it."""
    try:
        grid = yaml.safe_load(Path(file).read_text())
    except OSError as error:
        raise GaltoolsError(f"cannot read the grid {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise GaltoolsError(f"{file} is no YAML: {reason}") from error
    if not isinstance(grid, dict) or not isinstance(grid.get("runs"), dict):
        raise GaltoolsError(f"{file} has no `runs:`; copy workflow/grid.example.yaml")
    if not grid["runs"]:
        raise GaltoolsError(f"{file} lists nothing under `runs:`; copy workflow/grid.example.yaml")
    if extra := grid.keys() - {"profile", "runs"}:
        raise GaltoolsError(f"{file}: unknown entry {min(extra)!r}; known are profile and runs")
    for group, entry in grid["runs"].items():
        _check_group(file, group, entry, grid["runs"])
    return grid


def _check_group(file: Path, group: str, entry, groups: dict) -> None:
    if not isinstance(entry, dict) or "notebook" not in entry:
        raise GaltoolsError(f"{file}: {group} needs at least `notebook:`")
    if extra := entry.keys() - GROUP:
        raise GaltoolsError(
            f"{file}: {group} has an unknown entry {min(extra)!r}; known are {sorted(GROUP)}"
        )
    above = list(groups)[: list(groups).index(group)]
    if missing := [need for need in listed(entry.get("needs", ())) if need not in above]:
        raise GaltoolsError(f"{file}: {group} needs {missing[0]!r}, which is not listed above it")


def listed(thing) -> list:
    """Give one thing as a list of one."""
    return list(thing) if isinstance(thing, list | tuple) else [thing]


def alternatives(value, needs: dict[str, Variant], name: str) -> list:
    """Values that a parameter takes: a list, `{range: n}`, `{as: group}`, or a single value."""
    match value:
        case {"range": int(n)} if len(value) == 1:
            return list(range(n))
        case {"as": group} if len(value) == 1:
            if group not in needs or name not in needs[group].parameters:
                raise GaltoolsError(f"{name}: {{as: {group}}}, but no such run or parameter above")
            return [needs[group].parameters[name]]
        case dict():
            raise GaltoolsError(f"{name}: {value} is no value; write {{range: n}} or {{as: group}}")
    return listed(value)


def full_values(notebook: str, profile: str, given: dict) -> dict:
    """Every parameter of a notebook with its value; wrong names and types are refused."""
    _source(notebook)
    if own := given.keys() & set(OWN):
        raise GaltoolsError(f"{notebook}: {min(own)} is not a parameter that a grid varies")
    return pipeline.full_values(pipeline.Run("", Path(), profile, notebook, (), given))


def _source(notebook) -> Path:
    """File of a notebook that a grid or a manifest names; it cannot lie elsewhere."""
    source = paths.NOTEBOOKS / f"{notebook}.py"
    if not re.fullmatch(r"\w+", str(notebook)) or not source.is_file():
        names = ", ".join(sorted(path.stem for path in paths.NOTEBOOKS.glob("*.py")))
        raise GaltoolsError(f"there is no notebook {notebook!r}: choose from {names}")
    return source


def joined_lineages(chosen: tuple[Variant, ...]) -> dict | None:
    """Unite where several runs come from, or return None if they do not fit together."""
    lineage: dict[str, str] = {}
    for variant in chosen:
        for group, name in variant.lineage.items():
            if lineage.setdefault(group, name) != name:
                return None
    return lineage


def expand(grid: dict) -> dict[str, Variant]:
    """Make every run of a grid, by name, each after those that it needs."""
    profile = check_profile(grid.get("profile", "quick"))
    groups: dict[str, list[Variant]] = {}
    for group, entry in grid["runs"].items():
        groups[group] = list(_variants(group, entry, groups, profile))
        if not groups[group]:
            raise GaltoolsError(f"{group} comes to no run: give every parameter at least one value")
    return {variant.name: variant for variants in groups.values() for variant in variants}


def _variants(group: str, entry: dict, groups: dict, profile: str):
    """Yield the runs of one group: notebooks x needed runs x parameters."""
    needed = [groups[name] for name in listed(entry.get("needs", ()))]
    for notebook, *chosen in itertools.product(listed(entry["notebook"]), *needed):
        lineage = joined_lineages(tuple(chosen))
        if lineage is None:
            continue
        needs = {variant.group: variant for variant in chosen}
        varied = {
            name: alternatives(value, needs, name)
            for name, value in (entry.get("parameters") or {}).items()
        }
        for combination in itertools.product(*varied.values()):
            given = dict(zip(varied, combination, strict=True))
            values = full_values(notebook, profile, given)
            names = tuple(variant.name for variant in chosen)
            name = f"{notebook}-{artefacts.digest([notebook, profile, values, names])[:10]}"
            own = {**lineage, group: name}
            yield Variant(name, group, notebook, values, names, own, entry.get("cores", 1))


def plan(grid: dict) -> dict:
    """Describe every run of a grid so that a job on any machine can take it from the file."""
    return {
        "profile": grid.get("profile", "quick"),
        "runs": {
            name: {
                "group": variant.group,
                "notebook": variant.notebook,
                "parameters": variant.parameters,
                "needs": list(variant.needs),
                "cores": variant.cores,
            }
            for name, variant in expand(grid).items()
        },
    }


def load(file: Path) -> dict[str, pipeline.Run]:
    """Read a plan.json: its runs by name, each in a results folder of its own."""
    try:
        content = json.loads(Path(file).read_text())
        profile, entries = check_profile(content["profile"]), content["runs"]
        root = Path(file).absolute().parents[2] / "runs"
        runs: dict[str, pipeline.Run] = {}
        for name, entry in entries.items():
            _source(entry["notebook"])
            if not NAME.fullmatch(name) or not set(entry["needs"]) <= runs.keys():
                raise GaltoolsError(f"{file}: {name!r} is no run of a grid")
            needs, cores = tuple(entry["needs"]), int(entry["cores"])
            folder = root / name / profile
            runs[name] = pipeline.Run(
                name, folder, profile, entry["notebook"], needs, entry["parameters"], cores
            )
        return runs
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, GaltoolsError):
            raise
        raise GaltoolsError(f"{file} is no plan of a grid: start `make grid` again") from error


def varied(runs: dict[str, pipeline.Run]) -> list[str]:
    """Parameters whose values differ among the runs of some notebook, in the order they appear."""
    seen: dict[tuple[str, str], set] = {}
    for run in runs.values():
        for name, value in run.parameters.items():
            seen.setdefault((run.notebook, name), set()).add(json.dumps(value))
    return list(dict.fromkeys(name for (_, name), values in seen.items() if len(values) > 1))


def fetch_inputs(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> None:
    """Bring the artefacts of the runs that this one needs into its folder, as links or copies."""
    for name in sorted(pipeline.ancestors(run, runs)):
        other = runs[name]
        if other.folder == run.folder:
            continue
        for artefact in pipeline.record(other)["artefacts"]:
            source, target = (pipeline.inside(r.folder, artefact) for r in (other, run))
            for pair in ((source, target), tuple(map(artefacts.manifest_path, (source, target)))):
                if pair[0].exists():
                    _link(*pair)


def advice(report: str) -> str:
    """Tell a run that misses an artefact what to write: none but those under `needs` reach it."""
    missing = MISSING.search(report)
    if missing is None:
        return ""
    notebook, task = missing.groups()
    asked = f"`notebook: {notebook}`" + (f" and `task: {task}`" if task else "")
    listed = f"list a group with {asked} above, and name it under `needs` here"
    return f"\n       in the grid file: {listed}"


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where links do not work; artefacts are never changed in place."""
    if target.exists() and target.samefile(source):
        return
    with artefacts.atomic(target) as new:
        try:
            os.link(source, new)
        except OSError:
            shutil.copyfile(source, new)
