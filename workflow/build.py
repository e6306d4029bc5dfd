"""Build the book: run the notebooks that changed, stage their pages, render them.

    python workflow/build.py [--profile quick] [--results FOLDER] [--out .] [--cores 2] [--no-pages]

Leaves OUT/_build/html/index.html. Everything is resumable: start it again after any interruption.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import icons
import launch
import pipeline
import snake
import stage

from companion import paths
from galtools.errors import GaltoolsError
from galtools.models import check_profile


def execute(profile: str, results: Path, cores: int, lock: int) -> str:
    """Let Snakemake run every notebook that is not current; return what went wrong, or nothing.

    The first failure comes last, so that it is read first.
    """
    runs = pipeline.load(profile, results)
    current = pipeline.drop_stale(runs)
    if len(current) == len(runs):
        print(f"notebooks: all {len(runs)} are current")
        return ""
    print(f"notebooks: {len(runs) - len(current)} of {len(runs)} to run (profile {profile})")
    config = {"profile": profile, "results": results}
    status, log = snake.run(results / profile, config, ["--cores", str(cores)], lock=lock)
    failed = [run for run in runs.values() if run.failure.exists() and not run.stamp.exists()]
    if status and not failed:
        raise GaltoolsError(f"{log.read_text()[-2000:]}\nthe pipeline stopped; whole log: {log}")
    return "\n".join(["", *map(pipeline.failure_text, reversed(failed))] if status else [])


def reasons(runs: dict[str, pipeline.Run]) -> dict[str, str]:
    """Say of every run that is not done why, in one or two lines without a path."""
    why: dict[str, str] = {}
    for name, run in runs.items():
        if run.stamp.exists():
            continue
        lost = [need for need in run.needs if need in why]
        if run.failure.exists():
            why[name] = "\n".join(pipeline.failure_text(run).splitlines()[:2])
        else:
            why[name] = f"it needs {lost[0]}, which has not been run" if lost else "it was not run"
    return why


def render(source: Path, out: Path, whole: bool = True) -> Path:
    """Let Jupyter Book render the staged tree, unless nothing changed.

    Warnings are errors where the book is `whole`; references to what is missing cannot resolve.
    """
    config, html = launch.configure(paths.ROOT / "_config.yml", out / "_build"), out / "_build/html"
    index, seal, log = html / "index.html", out / "_build/.rendered", out / "_build/render.log"
    library = sorted((paths.ROOT / "galtools").rglob("*.py"))  # whose docstrings are a page
    extension = paths.ROOT / "workflow" / "image_sizes.py"
    digest = stage.tree_digest(source, config, extension, *library)
    if index.exists() and seal.exists() and seal.read_text() == digest:
        print("pages: all are current")
        return index
    seal.unlink(missing_ok=True)
    started = time.perf_counter()
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
    icons.prune(html)
    print(f"pages: rendered in {time.perf_counter() - started:.0f} s")
    seal.write_text(digest)
    return index


def build(profile: str, results: Path, out: Path, cores: int, pages: bool = True) -> Path:
    """Run, stage and render; return the first page (or the staged pages)."""
    folder = results / check_profile(profile)
    with snake.only_one(folder) as lock, snake.only_one(out / "_build"):
        failed = execute(profile, results, cores, lock)
        staged, runs = out / "_build" / "stage", pipeline.load(profile, results)
        stage.stage(runs, staged, reasons(runs) if failed else {})
        made = render(staged, out, whole=not failed) if pages else staged
    if failed:
        print(f"the book without the pages that failed is at {made}")
        raise GaltoolsError(failed)
    return made


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--results", type=Path, default=pipeline.RESULTS)
    parser.add_argument("--out", type=Path, default=paths.ROOT)
    parser.add_argument("--cores", type=pipeline.core_count, default=pipeline.cores())
    parser.add_argument("--no-pages", action="store_true", help="run and stage, do not render")
    args = parser.parse_args()
    started = time.perf_counter()
    results, out = args.results.absolute(), args.out.absolute()
    made = build(args.profile, results, out, args.cores, not args.no_pages)
    what = "pages are staged in" if args.no_pages else "book is at"
    print(f"the {what} {made}  ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    try:
        main()
    except GaltoolsError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
