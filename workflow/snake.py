"""Let Snakemake run what is not current, on this machine or elsewhere, and say how it goes."""

import fcntl
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import pipeline

from companion import paths
from galtools.errors import GaltoolsError


@contextmanager
def only_one(folder: Path):
    """Hold the lock of a results folder; the kernel frees it however this process ends."""
    if not str(folder).isprintable() or set("{}") & set(str(folder)):
        raise GaltoolsError(f"{str(folder)!r} has braces or line breaks: choose a plainer folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "a+")  # noqa: SIM115  held while the block runs
    except OSError as error:
        raise GaltoolsError(
            f"cannot write in {folder} ({error.strerror}): choose another with RESULTS=FOLDER"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GaltoolsError(
                f"another build is at work in {folder}: wait for it, or choose RESULTS=FOLDER"
            ) from None
        yield


def seconds_left(runs: dict[str, pipeline.Run], count: Counter) -> float:
    """Estimate from the mean time of the runs that are done, shared by those running."""
    taken = [pipeline.record(one)["seconds"] for one in runs.values() if one.stamp.exists()]
    left = (count["waiting"] + count["running"] / 2) / max(1, count["running"])
    return left * sum(taken) / max(1, len(taken))


def executed_at(run: pipeline.Run) -> int:
    """Time of the last execution of a run, to distinguish it from others, or 0."""
    return run.executed.stat().st_mtime_ns if run.executed.exists() else 0


class Progress:
    """Reports when a run starts and how it ends, with a count of all."""

    def __init__(self, runs: dict[str, pipeline.Run]):
        """Note the present state of the runs."""
        self.runs, self.known = runs, {name: one.state for name, one in runs.items()}
        self.executed = {name: executed_at(one) for name, one in runs.items()}

    def report(self) -> None:
        """Print what has changed since the last report."""
        now = {name: one.state for name, one in self.runs.items()}
        for name, state in now.items():
            if state != self.known[name]:
                print(f"  {time.strftime('%H:%M:%S')}  {self.describe(self.runs[name])}")
        if now != self.known:
            count = Counter(now.values())
            shown = ", ".join(f"{count[k]} {k}" for k in ("done", "running", "failed", "waiting"))
            left = seconds_left(self.runs, count)
            print(f"    {shown}" + (f"; about {left:.0f} s left" if left else ""), flush=True)
        self.known = now

    def describe(self, run: pipeline.Run) -> str:
        """State of a run in words; one whose inputs came back as they were is not executed."""
        name, state = run.label or run.name, run.state
        if state == "failed":
            return pipeline.failure_text(run)
        if state == "done" and executed_at(run) == self.executed[run.name]:
            return f"unchanged {name}"
        if state == "done":
            return f"finished {name} in {pipeline.record(run)['seconds']:.0f} s"
        return f"{'started' if state == 'running' else 'stopped'}  {name}"


def perform(
    runs: dict[str, pipeline.Run], config: dict, folder: Path, where: list[str], names=()
) -> str:
    """Run what is not current; what fails costs only what needs it.

    `where` tells Snakemake where to run: a number of cores, or a profile; `names` are the names of
    the runs that are asked for, if not all are. Return what Snakemake itself stumbled over.
    """
    asked = [runs[name] for name in names or runs]
    for one in asked:
        one.failed.unlink(missing_ok=True)
        one.failure.unlink(missing_ok=True)
    current, log = pipeline.drop_stale(runs), folder / "snakemake.log"
    print(f"notebooks: {len(runs)} runs, {len(current)} of them current", flush=True)
    if current.issuperset(one.name for one in asked):
        return ""
    command = [
        *(sys.executable, "-m", "snakemake", *([one.stamp for one in asked] if names else ())),
        *("--snakefile", paths.WORKFLOW / "Snakefile", "--directory", folder, *where),
        *("--keep-going", "--nolock", "--rerun-incomplete", "--rerun-triggers", "input"),
        *("--config", *(f"{name}={value}" for name, value in config.items())),
    ]
    progress, command = Progress(runs), list(map(str, command))
    with (
        open(log, "w") as file,
        subprocess.Popen(command, stdout=file, stderr=file, cwd=paths.ROOT) as snakemake,
    ):
        try:
            while snakemake.returncode is None:
                with suppress(subprocess.TimeoutExpired):
                    snakemake.wait(timeout=1)
                progress.report()
        finally:
            snakemake.terminate()  # if it still runs, this process was interrupted
    if snakemake.returncode == 0 or any(one.failure.exists() for one in asked):
        return ""
    return complaint(log)


def run_plan(plan: Path, count: int, on: Path | None = None, names=()) -> dict[str, pipeline.Run]:
    """Run what of the plan of a grid is not current, and return its runs; see `perform`.

    `on` is the folder of a Snakemake profile, which says on what to run.
    """
    runs = pipeline.load_plan(plan)
    where = ["--profile", str(on)] if on else ["--cores", str(count)]
    if message := perform(runs, {"plan": plan}, plan.parent, where, names):
        print(message)
    return runs


def summary(runs: dict[str, pipeline.Run], folder: Path) -> str:
    """Name the failures first, each with its last error; then what was not run, and the count."""
    unfinished = [run for run in runs.values() if not run.stamp.exists()]
    lines = [f"{run.label or run.name}: {pipeline.reason(run, runs)}" for run in unfinished]
    lines = [" ".join(line.split()) for line in lines]
    done = f"{len(runs) - len(unfinished)} of {len(runs)} runs are done"
    return "\n".join([*lines, f"{done}; compare them in {folder / 'index.html'}"])


def complaint(log: Path) -> str:
    """Say what Snakemake itself stumbled over, where no notebook failed."""
    lines = re.findall(r"(?m)^.*Error.*$", log.read_text())
    return "\n".join([*lines[:3], f"Snakemake ended with an error; its whole log: {log}"])
