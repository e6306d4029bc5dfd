"""From a grid file to runs: every combination of the listed values is one papermill run.

A grid is a YAML file (see grid.example.yaml). `expand` turns it into a *plan*: every run with the
full values of its parameters, and the runs whose artefacts it reads. A run is named after its
notebook and a hash of notebook, values and needs, so the same run has the same name in every grid
and is computed once. Each has a results folder of its own, so that no two can overwrite each other:

    results/runs/<run>/<profile>/      as one `make book` would leave it
    results/grids/<name>/              plan.json, table.csv, index.html of one grid file
"""

import itertools
import json
import math
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pipeline
import yaml

from galtools import artefacts
from galtools.errors import GaltoolsError, reading
from galtools.models import check_profile

GROUP = {"notebook", "parameters", "needs", "cores"}  # what may be said of a group of runs
LARGEST = 1_000_000  # bytes of a grid, and values in it
MOST_RUNS = 10_000  # of a group
OWN = {"profile", "results"}  # parameters that the grid itself takes care of
LONGEST = 80  # characters of a label


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
    with reading(file, "write it in YAML, as workflow/grid.example.yaml is"):
        if Path(file).stat().st_size > LARGEST:
            raise GaltoolsError(f"{file} is larger than any grid: at most {LARGEST:,} bytes")
        grid = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    if _count_values(grid, {}) > LARGEST:
        raise GaltoolsError(f"{file} comes to more than {LARGEST:,} values: write fewer aliases")
    if not isinstance(grid, dict) or not isinstance(grid.get("runs"), dict):
        raise GaltoolsError(f"{file} has no `runs:`; copy workflow/grid.example.yaml")
    if not grid["runs"]:
        raise GaltoolsError(f"{file} lists nothing under `runs:`; copy workflow/grid.example.yaml")
    if extra := grid.keys() - {"profile", "runs"}:
        raise GaltoolsError(f"{file}: unknown entry {_first(extra)}; known are profile and runs")
    for place, (group, entry) in enumerate(grid["runs"].items()):
        if not isinstance(entry, dict) or "notebook" not in entry:
            raise GaltoolsError(f"{file}: {group} needs at least `notebook:`")
        if extra := entry.keys() - GROUP:
            raise GaltoolsError(
                f"{file}: {group} has an unknown entry {_first(extra)}; known are {sorted(GROUP)}"
            )
        if not isinstance(entry.get("parameters") or {}, dict):
            raise GaltoolsError(f"{file}: `parameters` of {group} need a name for each value")
        if type(count := entry.get("cores", 1)) is not int or not 0 < count < 1000:
            raise GaltoolsError(f"{file}: `cores` of {group} is a whole number from 1 on")
        above = list(grid["runs"])[:place]
        if lost := [need for need in listed(entry.get("needs", ())) if need not in above]:
            raise GaltoolsError(f"{file}: {group} needs {lost[0]!r}, which is not listed above it")
    return grid


def _first(names) -> str:
    return repr(min(names, key=str))[:80]


def _count_values(value, known: dict) -> float:
    """Count the values in a tree in which aliases share branches; infinite if one holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count_values(one, known) for one in inner)
    return known[id(value)]


def listed(thing) -> list:
    """Give one thing as a list of one."""
    return list(thing) if isinstance(thing, list | tuple) else [thing]


def alternatives(value, needs: dict[str, Variant], name: str) -> list:
    """Values that a parameter takes: a list, `{range: n}`, `{as: group}`, or a single value."""
    match value:
        case {"range": int(n)} if len(value) == 1 and n <= MOST_RUNS:
            return list(range(n))
        case {"as": group} if len(value) == 1:
            if group not in needs or name not in needs[group].parameters:
                raise GaltoolsError(f"{name}: {{as: {group}}}, but no such run or parameter above")
            return [needs[group].parameters[name]]
        case dict():
            raise GaltoolsError(f"{name}: {value} is no value; write {{range: n}} or {{as: group}}")
    return listed(value)


def joined_lineages(chosen: tuple[Variant, ...]) -> dict | None:
    """Unite where several runs come from, or return None if they do not fit together."""
    lineage: dict[str, str] = {}
    for variant in chosen:
        if any(lineage.setdefault(*pair) != pair[1] for pair in variant.lineage.items()):
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
    given = entry.get("parameters") or {}
    _check_count(group, [listed(entry["notebook"]), *needed])
    for notebook, *chosen in itertools.product(listed(entry["notebook"]), *needed):
        if own := given.keys() & OWN:
            raise GaltoolsError(f"{notebook}: {_first(own)} is not a parameter that a grid varies")
        if (lineage := joined_lineages(tuple(chosen))) is None:
            continue
        needs = {variant.group: variant for variant in chosen}
        varied = [alternatives(value, needs, name) for name, value in given.items()]
        _check_count(group, varied)
        names = tuple(variant.name for variant in chosen)
        for combination in itertools.product(*varied):
            values = dict(zip(given, combination, strict=True))
            plain = pipeline.Run("", Path(), profile, pipeline.check_notebook(notebook), (), values)
            values = pipeline.full_values(plain)
            name = f"{notebook}-{artefacts.digest([notebook, profile, values, names])[:10]}"
            own = {**lineage, group: name}
            yield Variant(name, group, notebook, values, names, own, entry.get("cores", 1))


def _check_count(group: str, varied: list[list]) -> None:
    """Refuse more combinations than anybody would run."""
    if (count := math.prod(map(len, varied))) > MOST_RUNS:
        raise GaltoolsError(f"{group} comes to {count:.0e} runs: at most {MOST_RUNS:,} in a grid")


def plan(grid: dict) -> dict:
    """Describe every run of a grid so that a job on any machine can take it from the file."""
    told = ("group", "notebook", "parameters", "needs", "cores")
    variants = expand(grid)
    runs = {name: {key: getattr(run, key) for key in told} for name, run in variants.items()}
    for group in grid["runs"]:
        own = {name: run for name, run in variants.items() if run.group == group}
        names = varied(own)
        for name, run in own.items():
            ending = "".join(f"_{key}{run.parameters[key]}" for key in names)
            runs[name]["label"] = re.sub(r"[^\w.-]+", "-", group + ending)[:LONGEST]
    return {"profile": grid.get("profile", "quick"), "runs": runs}


def varied(runs: dict) -> list[str]:
    """Parameters whose values differ among the runs of some notebook, in the order they appear."""
    seen: dict[tuple[str, str], set] = {}
    for run in runs.values():
        for name, value in run.parameters.items():
            seen.setdefault((run.notebook, name), set()).add(json.dumps(value))
    return list(dict.fromkeys(name for (_, name), values in seen.items() if len(values) > 1))


def inherited(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> dict:
    """Parameters of a run and, under them, those of the runs that it needs, near before far."""
    above: dict = {}
    for need in run.needs:
        above |= inherited(runs[need], runs)
    return above | run.parameters


def chosen(runs: dict[str, pipeline.Run], wanted: list[str]) -> dict[str, pipeline.Run]:
    """Runs that are asked for by their label, group or name; all of them if none is asked for."""
    known = {name: {name, run.label, run.group} for name, run in runs.items()}
    if lost := set(wanted) - set().union(*known.values()):
        labels = ", ".join(run.label for run in runs.values())
        raise GaltoolsError(f"there is no run {min(lost)!r}: choose from {labels}")
    return {n: run for n, run in runs.items() if not wanted or known[n] & set(wanted)}


def fetch_inputs(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> None:
    """Bring the artefacts of the runs that this one needs into its folder, as links or copies."""
    for name in sorted(pipeline.ancestors(run, runs)):
        if runs[name].folder == run.folder:
            continue
        for artefact in pipeline.record(runs[name])["artefacts"]:
            for path in (Path(artefact), artefacts.manifest_path(Path(artefact))):
                source, target = (pipeline.inside(r.folder, path) for r in (runs[name], run))
                if source.exists():
                    _link(source, target)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where links do not work; artefacts are never changed in place."""
    if target.exists() and target.samefile(source):
        return
    with artefacts.atomic(target) as new:
        try:
            os.link(source, new)
        except OSError:
            shutil.copyfile(source, new)
