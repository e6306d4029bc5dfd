"""Run a grid of notebooks: resumable, in parallel, on this machine or through Slurm.

    python workflow/run_grid.py GRID.yaml [--results results] [--cores 2] [--on workflow/slurm]
        [--only RUN ...]

A run is asked for by its group or its label: swin_seed0 is the run of the group `swin` with seed 0.
Start it again after any interruption: what is done stays done. In the end results/grids/<name> has
table.csv (every number of every run) and index.html (the runs compared).
"""

from pathlib import Path

import compare
import grid
import pipeline
import snake

from galtools import artefacts
from galtools.errors import GaltoolsError


def run(file: Path, results: Path, count: int, on: Path | None = None, only=()) -> bool:
    """Run a grid file, or `only` some of it; tell whether every run that was asked for is done."""
    content = grid.plan(grid.read(file))
    name = file.stem.replace(".", "-")
    if not pipeline.NAME.fullmatch(name):
        raise GaltoolsError(f"{file}: name a grid with letters, digits, _ and - only")
    folder = results / "grids" / name
    with snake.only_one(results / "grids"):
        artefacts.write_json(folder / "plan.json", content)
        asked = grid.chosen(pipeline.load_plan(folder / "plan.json"), only)
        runs = snake.run_plan(folder / "plan.json", count, on, asked if only else ())
        compare.write(runs, folder)
    asked = {name: runs[name] for name in asked}
    print(snake.summary(asked, folder))
    return all(run.stamp.exists() for run in asked.values())


def main() -> bool:
    """Read the command line and run the grid."""
    parser = pipeline.parser(__doc__)
    parser.add_argument("grid", type=Path)
    parser.add_argument("--on", type=pipeline.absolute, help="folder of a Snakemake profile")
    parser.add_argument("--only", nargs="+", default=[], metavar="RUN", help="groups or labels")
    args = parser.parse_args()
    return run(args.grid, args.results, args.cores, args.on, args.only)


if __name__ == "__main__":
    pipeline.start(main)
