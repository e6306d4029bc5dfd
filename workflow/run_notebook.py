"""Execute one notebook of the pipeline, unless its last run is still current.

A failure leaves the partial notebook and a record of what went wrong.
"""

import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

import pipeline

from galtools import __version__, artefacts
from galtools.errors import check_choice

KEPT = 2**30  # bytes that a process may keep for its next arrays
PATIENCE = 600  # seconds until a kernel has to answer; papermill's 60 are few on a busy machine


def environment(cores: int, listing: Path) -> dict[str, str]:
    """Environment of the kernel: its share of the cores, one order of hashing, this venv."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GALTOOLS_CORES")
    # glibc would give the memory of every large array back and fetch it anew, which took as long as
    # the arithmetic in some translations
    memory = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    return {
        **dict.fromkeys(threads, str(cores)),
        **dict.fromkeys(memory, str(KEPT)),
        "GALTOOLS_ARTEFACTS": str(listing),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, where no widgets are installed
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def fetch_inputs(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> None:
    """Bring the artefacts of the runs that this one needs into its folder, as links or copies."""
    for other in [runs[name] for name in sorted(pipeline.ancestors(run, runs))]:
        if other.folder == run.folder:
            continue
        for artefact in map(Path, pipeline.record(other)["artefacts"]):
            for path in (artefact, artefacts.manifest_path(artefact)):
                source, target = (pipeline.inside(r.folder, path) for r in (other, run))
                if source.exists() and not (target.exists() and target.samefile(source)):
                    with artefacts.atomic(target) as new:
                        try:
                            os.link(source, new)  # artefacts are never changed in place
                        except OSError:
                            shutil.copyfile(source, new)


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


def artefacts_listed(listing: Path, folder: Path) -> dict[str, str]:
    """Checksums of the artefacts that a run made or used, as `galtools.artefacts` listed them."""
    names = set(listing.read_text().splitlines()) if listing.exists() else set()
    files = sorted(Path(name) for name in names if Path(name).is_relative_to(folder))
    return {str(path.relative_to(folder)): artefacts.sha256(path) for path in files}


def perform(run: pipeline.Run, runs: dict[str, pipeline.Run], cores: int, listing: Path) -> None:
    """Execute a run and write its record."""
    for leftover in (run.failed, run.failure):
        leftover.unlink(missing_ok=True)
    fetch_inputs(run, runs)
    key, started = pipeline.key(run, runs), time.perf_counter()
    os.environ.update(environment(cores, listing))
    execute(run)
    made = artefacts_listed(listing, run.folder)
    used = {artefacts.read_manifest(run.folder / name).get("device", "cpu") for name in made}
    content = {
        "run": run.name,
        **pipeline.lineage(run, runs),
        "key": key,
        "sha256": artefacts.sha256(run.executed),
        "artefacts": made,
        "profile": run.profile,
        "seed": run.parameters.get("seed", 0),
        "version": __version__,
        "device": ", ".join(sorted(used - {"cpu"})) or "cpu",
        "cores": cores,
        "packages": artefacts.package_versions(),
        "seconds": round(time.perf_counter() - started, 1),
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    artefacts.write_json(artefacts.manifest_path(run.executed), content)


def failure(error: Exception) -> dict:
    """Record where a run went wrong, and what: the cell is numbered as in the partial output."""
    where, what = "", f"{type(error).__name__}: {error}"
    if hasattr(error, "exec_count"):  # papermill's, of a cell
        shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
        arrow = re.search(r"(?m)^-+> *\d+ +(.*)$", shown)
        where = f", cell {error.exec_count}" + (f": {arrow[1].strip()}" if arrow else "")
        what = f"{error.ename}: {error.evalue}"
    return {"where": where, "what": what}


def main() -> bool:
    """Run one notebook; tell whether it succeeded."""
    parser = pipeline.parser(__doc__)
    parser.add_argument("run")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--plan", type=Path, help="take the run from the plan of a grid")
    args = parser.parse_args()
    book = (args.profile, args.results)
    runs = pipeline.load_plan(args.plan) if args.plan else pipeline.load(*book)
    run = runs[check_choice("run", args.run, runs)]
    if args.plan and run.failure.exists():
        return False  # Snakemake tries killed jobs again; this one failed by itself
    with run.only_once(), tempfile.TemporaryDirectory() as scratch:
        if not pipeline.is_current(run, runs):
            try:
                perform(run, runs, args.cores, Path(scratch, "artefacts"))
            except Exception as error:  # whatever it is, the summary must name the notebook
                artefacts.write_json(run.failure, failure(error))
                print(pipeline.failure_text(run))
                return False
        run.stamp.touch()
    return True


if __name__ == "__main__":
    pipeline.start(main)
