"""Build the book: run the notebooks that changed, stage their pages, render them.

    python workflow/build.py [--profile quick] [--results FOLDER] [--out .] [--cores 2] [--no-pages]

Leaves OUT/_build/html/index.html. Everything is resumable: start it again after any interruption.
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import launch
import pipeline
import snake
import stage

from companion import paths
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.models import check_profile

SOURCES = ("book", "notebooks", "workflow", "galtools", "companion")  # what pages are made of


def followed(runs: dict[str, pipeline.Run], missing: dict[str, str]) -> str:
    """Hash everything that the pages follow from: texts, code, and the records of runs.

    A record holds the checksum of its executed notebook, so the many megabytes of outputs need
    not be read again to know that nothing has changed.
    """
    files = [file for folder in SOURCES for file in sorted((paths.ROOT / folder).rglob("*.*"))]
    files = [file for file in [*files, *sorted(paths.ROOT.glob("*.*"))] if file.is_file()]
    sources = [[str(file), artefacts.sha256(file)] for file in files if file.suffix != ".pyc"]
    records = {name: pipeline.record(run) for name, run in runs.items() if name not in missing}
    return artefacts.digest([sources, records, missing])


def render(source: Path, out: Path, whole: bool = True) -> Path:
    """Let Jupyter Book render the staged tree.

    Warnings are errors where the book is `whole`; references to what is missing cannot resolve.
    """
    config, html = launch.configure(paths.ROOT / "_config.yml", out / "_build"), out / "_build/html"
    index, log = html / "index.html", out / "_build/render.log"
    print("pages: rendering ...", flush=True)
    command = [
        *(str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)),
        *(("-W", "-n", "--keep-going") if whole else ()),
        *("--config", str(config), "--toc", str(source / "_toc.yml"), "--path-output", str(out)),
    ]
    with open(log, "w") as file:
        status = subprocess.run(command, stdout=file, stderr=file, cwd=paths.ROOT).returncode
    if status or not index.exists():
        for folder in (html, html.with_name(".doctrees")):  # else it would not warn again
            shutil.rmtree(folder, ignore_errors=True)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text())
        lines = re.findall(r"(?m)^.*(?:WARNING|ERROR|Error).*$", plain)
        raise GaltoolsError("\n".join([*lines[:20], f"rendering failed; whole log: {log}"]))
    return index


def build(profile: str, results: Path, out: Path, cores: int, pages: bool = True) -> Path:
    """Run, stage and render; return the first page (or the staged pages)."""
    folder, made = results / check_profile(profile), out / "_build"
    with snake.only_one(folder), snake.only_one(made):
        runs, config = pipeline.load(profile, results), {"profile": profile, "results": results}
        message = snake.perform(runs, config, folder, ["--cores", str(cores)])
        unfinished = {name: run for name, run in runs.items() if not run.stamp.exists()}
        missing = {name: pipeline.reason(run, runs) for name, run in unfinished.items()}
        seal = made / ".rendered"
        digest, index = followed(runs, missing), made / "html" / "index.html"
        current = pages and index.exists() and seal.exists() and seal.read_text() == digest
        if not current:
            seal.unlink(missing_ok=True)
            stage.stage(runs, made / "stage", missing)
            if pages:
                render(made / "stage", out, whole=not missing)
                seal.write_text(digest)
    if missing:
        print(f"the book without the pages that failed is at {index}")
        failed = [pipeline.failure_text(run) for run in runs.values() if run.failure.exists()]
        # the first failure comes last, so that it is read first
        raise GaltoolsError("\n".join(["", *reversed(failed or [message])]))
    return index if pages else made / "stage"


def main() -> bool:
    """Read the command line and build."""
    parser = pipeline.parser(__doc__)
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--out", type=pipeline.absolute, default=paths.ROOT)
    parser.add_argument("--no-pages", action="store_true", help="run and stage, do not render")
    args = parser.parse_args()
    started = time.perf_counter()
    made = build(args.profile, args.results, args.out, args.cores, not args.no_pages)
    what = "pages are staged in" if args.no_pages else "book is at"
    print(f"the {what} {made}  ({time.perf_counter() - started:.0f} s)")
    return True


if __name__ == "__main__":
    pipeline.start(main)
