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
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pipeline
import yaml

from companion.papermill_io import UniqueLoader
from galtools import artefacts
from galtools.errors import GaltoolsError, reading
from galtools.models import check_profile

GRID = {"profile": str, "runs": dict}  # what may be said of a grid, and of a group of its runs
GROUP = {"notebook": str | list, "parameters": dict | None, "needs": str | list, "cores": int}
LARGEST = 1_000_000  # bytes of a grid
MOST_RUNS = 10_000  # of a group
OWN = {"profile", "results"}  # parameters that the grid itself takes care of
LONGEST = 80  # characters of a label


@dataclass(frozen=True)
class Variant(pipeline.Run):
    """One run of a group; it has no folder yet."""

    lineage: dict = field(default_factory=dict)  # the variant of each group that this one is from


class Loader(UniqueLoader):
    """Reader of grids; a few aliases of aliases could stand for billions of values."""

    def compose_node(self, parent, index):
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise GaltoolsError("a grid has no aliases: write its values out")
        return super().compose_node(parent, index)


def read(file: Path) -> dict:
    """Read a grid file, or say what is wrong with it."""
    with reading(file, "write it in YAML, as workflow/grid.example.yaml is"):
        if Path(file).stat().st_size > LARGEST:
            raise GaltoolsError(f"{file} is larger than any grid: at most {LARGEST:,} bytes")
        grid = Loader(Path(file).read_text(encoding="utf-8")).get_single_data()
    if not isinstance(grid, dict) or not grid.get("runs"):
        raise GaltoolsError(f"{file} lists nothing under `runs:`; copy workflow/grid.example.yaml")
    _check_entries(grid, f"{file}:", GRID)
    above: list[str] = []
    for group, entry in grid["runs"].items():
        where = f"{file}: {group}"
        if not isinstance(entry, dict) or "notebook" not in entry:
            raise GaltoolsError(f"{where} needs at least `notebook:`")
        _check_entries(entry, where, GROUP)
        if not 0 < entry.get("cores", 1) < 1000:
            raise GaltoolsError(f"{where} keeps a whole number of `cores` busy, from 1 on")
        if lost := [need for need in listed(entry.get("needs", ())) if need not in above]:
            raise GaltoolsError(f"{where} needs {lost[0]!r}, which is not listed above it")
        above.append(group)
    return grid


def _check_entries(entries: dict, where: str, kinds: dict) -> None:
    if extra := entries.keys() - kinds:
        first = repr(min(extra, key=str))[:80]
        raise GaltoolsError(f"{where} has an unknown entry {first}; known are {', '.join(kinds)}")
    for name, value in entries.items():
        if not isinstance(value, kinds[name]):
            kind = getattr(kinds[name], "__name__", kinds[name])
            raise GaltoolsError(f"{where}: `{name}` must be {kind}, not {repr(value)[:80]}")


def listed(value) -> list:
    """Give one thing as a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]


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
    given, cores = entry.get("parameters") or {}, entry.get("cores", 1)
    if own := given.keys() & OWN:
        raise GaltoolsError(f"{group}: {min(own)!r} is not a parameter that a grid varies")
    for notebook, *chosen in _product(group, [listed(entry["notebook"]), *needed]):
        if (lineage := joined_lineages(chosen)) is None:
            continue
        needs = {variant.group: variant for variant in chosen}
        names = tuple(variant.name for variant in chosen)
        varied = [alternatives(value, needs, name) for name, value in given.items()]
        for combination in _product(group, varied):
            values = dict(zip(given, combination, strict=True))
            run = Variant("", Path(), profile, notebook, names, values, cores, group)
            values = pipeline.full_values(run)
            name = f"{notebook}-{artefacts.digest([notebook, profile, values, names])[:10]}"
            yield replace(run, name=name, parameters=values, lineage={**lineage, group: name})


def _product(group: str, varied: list[list]):
    """Every combination, unless they are more than anybody would run."""
    if (count := math.prod(map(len, varied))) > MOST_RUNS:
        raise GaltoolsError(f"{group} comes to {count:.0e} runs: at most {MOST_RUNS:,} in a grid")
    return itertools.product(*varied)


def plan(grid: dict) -> dict:
    """Describe every run of a grid so that a job on any machine can take it from the file."""
    variants, runs = expand(grid), {}
    for group in grid["runs"]:
        own = {name: run for name, run in variants.items() if run.group == group}
        names = varied(own)
        for name, run in own.items():
            ending = "".join(f"_{key}{run.parameters[key]}" for key in names)
            label = re.sub(r"[^\w.-]+", "-", group + ending)[:LONGEST]
            entries = ("group", "notebook", "parameters", "needs", "cores")
            runs[name] = {key: getattr(run, key) for key in entries} | {"label": label}
    return {"profile": grid.get("profile", "quick"), "runs": runs}


def varied(runs: dict) -> list[str]:
    """Parameters whose values differ among the runs of some notebook, in the order they appear."""
    each: dict[tuple[str, str], set] = {}
    for run in runs.values():
        for name, value in run.parameters.items():
            each.setdefault((run.notebook, name), set()).add(json.dumps(value))
    return list(dict.fromkeys(name for (_, name), values in each.items() if len(values) > 1))


def inherited(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> dict:
    """Parameters of a run and, under them, those of the runs that it needs, near before far."""
    above: dict = {}
    for need in run.needs:
        above |= inherited(runs[need], runs)
    return above | run.parameters


def chosen(runs: dict[str, pipeline.Run], asked: list[str]) -> dict[str, pipeline.Run]:
    """Runs that are asked for by their label, group or name; all of them if none is asked for."""
    aliases = {name: {name, run.label, run.group} for name, run in runs.items()}
    if unknown := set(asked) - set().union(*aliases.values()):
        labels = ", ".join(run.label for run in runs.values())
        raise GaltoolsError(f"there is no run {min(unknown)!r}: choose from {labels}")
    return {n: run for n, run in runs.items() if not asked or aliases[n] & set(asked)}
