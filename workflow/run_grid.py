"""Run a grid of notebooks: resumable, in parallel, on this machine or through Slurm.

    python workflow/run_grid.py GRID.yaml [--results results] [--cores 2] [--on workflow/slurm]

Start it again after any interruption: what is done stays done. At the end results/grids/<name>
holds table.csv (every number of every run) and index.html (the runs compared).
"""

import argparse
import sys
from pathlib import Path

import compare
import grid
import pipeline
import snake

from galtools import artefacts
from galtools.errors import GaltoolsError


def run(file: Path, results: Path, count: int, on: Path | None = None) -> bool:
    """Run a grid file; tell whether every run is done."""
    content = grid.plan(grid.read(file))
    name = file.stem.replace(".", "-")
    if not pipeline.NAME.fullmatch(name):
        raise GaltoolsError(f"{file}: name a grid with letters, digits, _ and - only")
    folder = results / "grids" / name
    with snake.only_one(results / "grids"):
        artefacts.write_json(folder / "plan.json", content)
        runs = snake.run_plan(folder / "plan.json", count, on)
        compare.write(runs, folder, {k: entry["group"] for k, entry in content["runs"].items()})
    print(compare.summary(runs, folder))
    return all(run.stamp.exists() for run in runs.values())


def main() -> bool:
    """Read the command line and run the grid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path)
    parser.add_argument("--results", type=Path, default=pipeline.RESULTS)
    parser.add_argument("--cores", type=int, default=pipeline.cores())
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
