"""Keep the weights of the long trainings that are finished in book/reference/weights.

    python workflow/keep.py [--results results] [--out book/reference/weights] [--only RUN ...]

Each comes with its manifest and its history: what the validations told, and PSNR and bits of
redshift of the weights at each. What no longer fits the simulation is named and left out.
"""

import argparse
import sys
from pathlib import Path

import grid
import pipeline

from companion import long_trainings, paths
from companion.redshift_evaluation import SURVEY
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.models import kept
from galtools.redshift import kept as kept_estimators

PLAN = Path("grids", "trainings", "plan.json")


def estimators(runs: dict[str, pipeline.Run]) -> dict[str, Path]:
    """Redshift estimator of original images for each task, as far as they were trained."""
    found = {}
    for run in runs.values():
        store = paths.Results(str(run.folder.parent), run.profile)
        files = {task: store.weights("redshift", name) for task, name in SURVEY.items()}
        found |= {task: file for task, file in files.items() if file.exists()}
    return found


def keep(run: pipeline.Run, out: Path | None, judges: dict[str, Path]) -> int:
    """Keep what a run trained; return how many files of weights these are."""
    store, count = paths.Results(str(run.folder.parent), run.profile), 0
    for weights in sorted(store.folder.glob("models/*/*/seed*/weights.safetensors")):
        task, train, valid = weights.parts[-4], store.data("train"), store.data("valid")
        keeper = kept_estimators if task == "redshift" else kept
        try:
            file = keeper.keep(weights, train, valid, out)
        except GaltoolsError as error:
            print(f"{run.label}: {error}")
            continue
        if task != "redshift":
            history = long_trainings.learning_curve(weights, train, valid, judges.get(task))
            with artefacts.atomic(file.with_name("history.csv")) as new:
                history.to_csv(new, index=False, float_format="%.6g")
        count += 1
        print(f"{run.label}: {artefacts.read_manifest(file)['bytes'] / 1e6:.1f} MB in {file}")
    return count


def main() -> bool:
    """Read the command line and keep; tell whether there was anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=pipeline.RESULTS)
    parser.add_argument("--out", type=Path, help="folder of kept weights; the repository's")
    parser.add_argument("--only", nargs="+", default=[], metavar="RUN", help="groups or labels")
    args = parser.parse_args()
    plan = args.results.absolute() / PLAN
    if not plan.exists():
        raise GaltoolsError(f"{plan} is missing: `make long` makes it, and the trainings")
    runs = pipeline.load_plan(plan)
    judges = estimators(runs)
    asked = grid.chosen(runs, args.only).values()
    count = sum(keep(run, args.out, judges) for run in asked)
    print(f"{count} files of weights are kept")
    return count > 0


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except GaltoolsError as error:
        sys.exit(f"{error}")
