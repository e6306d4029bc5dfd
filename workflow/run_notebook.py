"""Execute one notebook of the pipeline, unless its last run is still current.

Prints one line when it starts and one when it ends; a failure leaves the partial notebook.
"""

import argparse
import json
import os
import re
import socket
import sys
import tempfile
import time
from pathlib import Path

import grid
import pipeline

from galtools import __version__, artefacts
from galtools.errors import GaltoolsError

KEPT = 2**30  # bytes that a process may keep for its next arrays
PATIENCE = 600  # seconds until a kernel has to answer; papermill's 60 are few on a busy machine
ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # cells that papermill adds


def say(text: str) -> None:
    """Print at once, in one piece, also from parallel jobs."""
    os.write(1, f"{text}\n".encode())


def device(folder: Path, made: dict[str, str]) -> str:
    """Name what the numbers were computed on, from the manifests of what the run made."""
    used = {artefacts.read_manifest(folder / name).get("device", "cpu") for name in made}
    return ", ".join(sorted(used - {"cpu"})) or "cpu"


def environment(cores: int, scratch: Path) -> dict[str, str]:
    """Environment of the kernel: its share of the cores, one order of hashing, this venv."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # glibc would give the memory of every large array back and fetch it anew, which took as long as
    # the arithmetic in some translations
    memory = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    return {
        **dict.fromkeys(threads, str(cores)),
        **dict.fromkeys(memory, str(KEPT)),
        "GALTOOLS_CORES": str(cores),
        "GALTOOLS_ARTEFACTS": str(scratch / "artefacts"),
        "GALTOOLS_MISSING": str(scratch / "missing.json"),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, where no widgets are installed
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def execute(run: pipeline.Run) -> None:
    """Run the notebook through papermill; what fails is kept under another name."""
    import papermill  # takes a second: not needed to see that nothing is to be done

    parameters, results = dict(run.parameters), run.folder.parent
    if run.profile != "quick":
        parameters["profile"] = run.profile
    if results != pipeline.RESULTS:
        parameters["results"] = str(results)
    with artefacts.atomic(run.executed) as new, open(run.log, "w", buffering=1) as log:
        print(f"started {time.strftime('%F %T')} on {socket.gethostname()}", file=log)
        try:
            papermill.execute_notebook(
                run.source, new, parameters, progress_bar=False, stdout_file=log, stderr_file=log,
                start_timeout=PATIENCE,
            )  # fmt: skip
        except Exception:
            if new.exists():
                os.replace(new, run.failed)
            raise
        artefacts.manifest_path(run.executed).unlink(missing_ok=True)


def perform(run: pipeline.Run, runs: dict[str, pipeline.Run], cores: int, scratch: Path) -> None:
    """Execute a run and write its record."""
    for leftover in (run.failed, run.failure):
        leftover.unlink(missing_ok=True)
    grid.fetch_inputs(run, runs)
    key, started = pipeline.key(run, runs), time.perf_counter()
    os.environ.update(environment(cores, scratch))
    execute(run)
    made = pipeline.artefacts_listed(scratch / "artefacts", run.folder)
    content = {
        "run": run.name,
        **pipeline.story(run, runs),
        "key": key,
        "sha256": artefacts.sha256(run.executed),
        "artefacts": made,
        "profile": run.profile,
        "seed": run.parameters.get("seed", 0),
        "version": __version__,
        "device": device(run.folder, made),
        "cores": cores,
        "packages": artefacts.package_versions(),
        "seconds": round(time.perf_counter() - started, 1),
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    artefacts.write_json(artefacts.manifest_path(run.executed), content)


def failure(run: pipeline.Run, error: Exception, scratch: Path) -> dict:
    """Record what went wrong: error, cell, its line, and the notebook whose artefact it lacks."""
    told = {"error": type(error).__name__, "message": str(error), "cell": 0, "line": ""}
    missing = scratch / "missing.json"
    told["missing"] = json.loads(missing.read_text()) if missing.exists() else {}
    cells = json.loads(run.failed.read_text())["cells"] if run.failed.exists() else []
    own = [cell for cell in cells if not ADDED & set(cell["metadata"].get("tags", ()))]
    for number, cell in enumerate(own, 1):
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                arrow = re.search(r"(?m)^-+> *\d+ +(.*)$", shown)
                line = arrow[1].strip() if arrow else "?"
                about = {"error": output["ename"], "message": output["evalue"]}
                return told | about | {"cell": number, "line": line}
    return told


def attempt(run: pipeline.Run, runs: dict[str, pipeline.Run], cores: int) -> bool:
    """Execute a run that is not current; tell whether it succeeded."""
    started = time.perf_counter()
    say(f"  started  {run.name}")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            perform(run, runs, cores, Path(scratch))
        except Exception as error:  # whatever it is, the summary must name the notebook
            say(f"  failed   {run.name}  after {time.perf_counter() - started:.0f} s")
            artefacts.write_json(run.failure, failure(run, error, Path(scratch)))
            return False
    done = 1 + sum(other.stamp.exists() for other in runs.values())
    seconds = time.perf_counter() - started
    say(f"  finished {run.name}  in {seconds:.0f} s  ({done} of {len(runs)})")
    return True


def main() -> int:
    """Run one notebook; the exit status says whether it succeeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--results", type=Path, default=pipeline.RESULTS)
    parser.add_argument("--plan", type=Path, help="take the run from the plan of a grid")
    parser.add_argument("--cores", type=int, default=1)
    args = parser.parse_args()
    book = (args.profile, args.results)
    runs = pipeline.load_plan(args.plan) if args.plan else pipeline.load(*book)
    if args.run not in runs:
        raise GaltoolsError(f"there is no run {args.run!r}: choose one of {', '.join(runs)}")
    run = runs[args.run]
    if args.plan and run.failure.exists():
        return 1  # Snakemake tries killed jobs again; this one failed by itself
    with run.only_once():
        if not (pipeline.is_current(run, runs) or attempt(run, runs, args.cores)):
            return 1
        run.stamp.touch()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GaltoolsError as error:
        sys.exit(f"{error}")
