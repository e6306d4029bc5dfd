"""Let Snakemake run what is not current, on this machine or elsewhere, and say how it goes."""

import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pipeline

from companion import paths
from galtools.errors import GaltoolsError

SECONDS = 60  # between two lines of the log of one run


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
        os.set_inheritable(lock.fileno(), True)  # jobs that outlive this process keep the lock
        yield lock.fileno()


def run(folder, config: dict, where: list[str], *, lock: int | None = None, quiet=False, stamps=()):
    """Start Snakemake on the runs of a config in `folder`; return its exit status and its log.

    `where` says where to run: a number of cores, or a Snakemake profile. What the runs print is
    shown, unless `quiet`: then it goes into the log. With `stamps`, only these runs are done.
    """
    command = [
        *(sys.executable, "-m", "snakemake", *map(str, stamps)),
        *("--snakefile", str(paths.WORKFLOW / "Snakefile")),
        *("--directory", str(folder), *where, "--keep-going", "--nolock", "--rerun-incomplete"),
        *("--rerun-triggers", "input", *(() if quiet else ("--quiet", "all"))),
        *("--config", *(f"{name}={value}" for name, value in config.items())),
    ]
    log = folder / "snakemake.log"
    with open(log, "w") as file:
        output = {"stdout": file if quiet else None, "stderr": file}
        passed = () if lock is None else (lock,)
        done = subprocess.run(command, **output, pass_fds=passed, cwd=paths.ROOT)
    return done.returncode, log


def seconds_left(runs: dict[str, pipeline.Run], states: dict[str, str]) -> float:
    """Estimate from the runs that are done: mean time of a notebook, shared by those running."""
    taken: dict[str, list[float]] = {}
    for name, one in runs.items():
        if states[name] == "done":
            taken.setdefault(one.notebook, []).append(pipeline.record(one)["seconds"])
    every = [value for values in taken.values() for value in values]
    left, weight = 0.0, {"running": 0.5, "waiting": 1.0}
    for name, one in runs.items():
        if every and states[name] in weight:
            values = taken.get(one.notebook, every)
            left += weight[states[name]] * sum(values) / len(values)
    return left / max(1, Counter(states.values())["running"])


def status(runs: dict[str, pipeline.Run]) -> str:
    """One line: how many runs are done, running, failed and waiting, and the time left."""
    states = {name: one.state for name, one in runs.items()}
    count = Counter(states.values())
    line = ", ".join(f"{count[name]} {name}" for name in ("done", "running", "failed", "waiting"))
    left = seconds_left(runs, states)
    return f"{line}; about {left:.0f} s left" if left else line


class Watch(threading.Thread):
    """Print the status whenever it changes, and each failure as it happens."""

    def __init__(self, runs: dict[str, pipeline.Run]):
        """Watch these runs until stopped."""
        super().__init__(daemon=True)
        self.runs, self.over, self.told, self.said = runs, threading.Event(), set(), ""
        self.heard: dict[str, tuple[float, str]] = {}  # of each run: when, and its last line

    def run(self) -> None:
        """Look once a second."""
        while not self.over.wait(1):
            self.look()

    def look(self) -> None:
        """Say what is new."""
        for one in self.runs.values():
            if one.name not in self.told and one.failure.exists():
                self.told.add(one.name)
                print(pipeline.failure_text(one), flush=True)
            elif one.state == "running":
                self.listen(one)
        line = status(self.runs)
        if line.partition(";")[0] != self.said:
            self.said = line.partition(";")[0]
            print(f"  {time.strftime('%H:%M:%S')}  {line}", flush=True)

    def listen(self, one: pipeline.Run) -> None:
        """Print the last line of a run's log if it is new, at most once in so many seconds."""
        when, said = self.heard.setdefault(one.name, (time.monotonic(), ""))
        if time.monotonic() - when > SECONDS and one.log.exists():
            line = (one.log.read_text().splitlines() or [""])[-1].strip()
            self.heard[one.name] = time.monotonic(), line
            if line and line != said:
                print(f"    {one.label}: {line}", flush=True)

    def stop(self) -> None:
        """End, after a last look."""
        self.over.set()
        self.join()
        self.look()


def run_plan(plan: Path, count: int, on: Path | None = None, wanted=()) -> dict[str, pipeline.Run]:
    """Run what of a plan is not current and return its runs; what fails costs only what needs it.

    `on` is the folder of a Snakemake profile, which says on what to run; `wanted` are the names of
    the runs that are asked for, if not all are.
    """
    runs = pipeline.load_plan(plan)
    asked = {name: runs[name] for name in wanted or runs}
    for one in asked.values():
        for leftover in (one.failed, one.failure):
            leftover.unlink(missing_ok=True)
    current = pipeline.drop_stale(runs)
    print(f"grid: {len(runs)} runs, {len(current)} of them current", flush=True)
    if asked.keys() - set(current):
        watch = Watch(runs)
        watch.start()
        try:
            where = ["--profile", str(on)] if on else ["--cores", str(count)]
            stamps = [one.stamp for one in asked.values()] if wanted else ()
            status, log = run(plan.parent, {"plan": plan}, where, quiet=True, stamps=stamps)
        finally:
            watch.stop()
        if status and not any(one.failure.exists() for one in asked.values()):
            print(complaint(log))
    return runs


def complaint(log: Path) -> str:
    """Say what Snakemake itself stumbled over, where no notebook failed."""
    lines = re.findall(r"(?m)^.*Error.*$", log.read_text())
    return "\n".join([*lines[:3], f"Snakemake ended with an error; its whole log: {log}"])
