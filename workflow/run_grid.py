"""Run a grid of notebooks: resumable, in parallel, on this machine or through Slurm.

    python workflow/run_grid.py GRID.yaml [--results results] [--cores 2] [--on workflow/slurm]

Start it again after any interruption: what is done stays done. At the end results/grids/<name>
holds table.csv (every number of every run) and index.html (the runs compared).
"""

import argparse
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import compare
import grid
import pipeline
from build import cores, only_one

from companion import paths
from galtools import artefacts
from galtools.errors import GaltoolsError


def state(run: pipeline.Run) -> str:
    """Tell where a run stands: done, failed, running or waiting."""
    if run.stamp.exists():
        return "done"
    if run.failure.exists():
        return "failed"
    return "running" if run.is_running() else "waiting"


def seconds_left(runs: dict[str, pipeline.Run], states: dict[str, str]) -> float | None:
    """Estimate from the runs that are done: mean time of a notebook, shared by those running."""
    taken: dict[str, list[float]] = {}
    for name, run in runs.items():
        if states[name] == "done":
            taken.setdefault(run.notebook, []).append(pipeline.record(run)["seconds"])
    every = [value for values in taken.values() for value in values]
    if not every:
        return None
    left = 0.0
    for name, run in runs.items():
        if states[name] in ("running", "waiting"):
            values = taken.get(run.notebook, every)
            left += sum(values) / len(values) * (0.5 if states[name] == "running" else 1)
    return left / max(1, Counter(states.values())["running"])


def status(runs: dict[str, pipeline.Run]) -> str:
    """One line: how many runs are done, running, failed and waiting, and the time left."""
    states = {name: state(run) for name, run in runs.items()}
    count = Counter(states.values())
    line = ", ".join(f"{count[name]} {name}" for name in ("done", "running", "failed", "waiting"))
    left = seconds_left(runs, states)
    return line if left is None or not left else f"{line}; about {left:.0f} s left"


class Watch(threading.Thread):
    """Print the status whenever it changes, and each failure as it happens."""

    def __init__(self, runs: dict[str, pipeline.Run]):
        """Watch these runs until stopped."""
        super().__init__(daemon=True)
        self.runs, self.over, self.told, self.said = runs, threading.Event(), set(), ""

    def run(self) -> None:
        """Look once a second."""
        while not self.over.wait(1):
            self.look()

    def look(self) -> None:
        """Say what is new."""
        for run in self.runs.values():
            if run.name not in self.told and run.failure.exists():
                self.told.add(run.name)
                print(run.failure.read_text().rstrip(), flush=True)
        line = status(self.runs)
        if line.partition(";")[0] != self.said:
            self.said = line.partition(";")[0]
            print(f"  {time.strftime('%H:%M:%S')}  {line}", flush=True)

    def stop(self) -> None:
        """End, after a last look."""
        self.over.set()
        self.join()
        self.look()


def command(plan: Path, log_folder: Path, count: int, on: Path | None) -> list[str]:
    """Snakemake's command; `on` is a Snakemake profile, which says on what to run."""
    where = ["--profile", str(on)] if on else ["--cores", str(count)]
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(paths.WORKFLOW / "grid.smk")),
        *("--directory", str(log_folder), *where, "--keep-going", "--nolock"),
        *("--rerun-incomplete", "--rerun-triggers", "input", "--config", f"plan={plan}"),
    ]


def execute(plan: Path, count: int, on: Path | None = None) -> dict[str, pipeline.Run]:
    """Let Snakemake run what is not current; what fails costs only what needs it."""
    runs = grid.load(plan)
    for run in runs.values():
        for leftover in (run.failed, run.failure):
            leftover.unlink(missing_ok=True)
    current = pipeline.drop_stale(runs)
    print(f"grid: {len(runs)} runs, {len(current)} of them current", flush=True)
    if len(current) < len(runs):
        watch = Watch(runs)
        watch.start()
        try:
            with open(plan.parent / "snakemake.log", "w") as log:
                status = subprocess.run(
                    command(plan, plan.parent, count, on), stdout=log, stderr=log, cwd=paths.ROOT
                ).returncode
        finally:
            watch.stop()
        if status and not any(run.failure.exists() for run in runs.values()):
            print(complaint(plan.parent / "snakemake.log"))
    return runs


def complaint(log: Path) -> str:
    """Say what Snakemake itself stumbled over, where no notebook failed."""
    lines = re.findall(r"(?m)^.*Error.*$", log.read_text())
    return "\n".join([*lines[:3], f"Snakemake ended with an error; its whole log: {log}"])


def summary(runs: dict[str, pipeline.Run], folder: Path) -> str:
    """Name the failures first, each with its last error; then what was not run, and the count."""
    lines = []
    for run in runs.values():
        if not run.stamp.exists():
            lines.append(f"{compare.title(run, runs)}: {compare.reason(run, runs)}")
    done = len(runs) - len(lines)
    lines.append(f"{done} of {len(runs)} runs are done; compare them in {folder / 'index.html'}")
    return "\n".join(lines)


def run(file: Path, results: Path, count: int, on: Path | None = None) -> bool:
    """Run a grid file; tell whether every run is done."""
    content = grid.plan(grid.read(file))
    if not grid.NAME.fullmatch(Path(file).stem.replace(".", "-")):
        raise GaltoolsError(f"{file}: name a grid with letters, digits, _ and - only")
    folder = results / "grids" / Path(file).stem.replace(".", "-")
    with only_one(results / "grids"):
        plan = folder / "plan.json"
        artefacts.write_json(plan, content)
        runs = execute(plan, count, on)
        compare.write(runs, folder, groups_of(content))
    print(summary(runs, folder))
    return all(run.stamp.exists() for run in runs.values())


def groups_of(content: dict) -> dict[str, str]:
    """Group of every run of a plan."""
    return {name: entry["group"] for name, entry in content["runs"].items()}


def main() -> bool:
    """Read the command line and run the grid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path)
    parser.add_argument("--results", type=Path, default=paths.ROOT / "results")
    parser.add_argument("--cores", type=int, default=cores())
    parser.add_argument("--on", type=Path, help="folder of a Snakemake profile: workflow/slurm")
    args = parser.parse_args()
    return run(args.grid, args.results.absolute(), args.cores, args.on and args.on.absolute())


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except GaltoolsError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
