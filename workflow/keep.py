"""Keep the weights of the long trainings that are finished in book/reference/weights.

    python workflow/keep.py [--results results] [--out book/reference/weights] [--only RUN ...]

Each comes with its manifest and its history: losses, PSNR and bits of redshift at every validation.
What no longer fits the simulation is named and left out.
"""

from pathlib import Path

import grid
import pipeline

from companion import long_trainings, paths
from companion.redshift_evaluation import SURVEY
from galtools import artefacts, pretrained
from galtools.errors import GaltoolsError


def estimators(stores: list[paths.Results]) -> dict[str, Path]:
    """Redshift estimator of original images for each task, as far as they were trained."""
    files = {(task, store.weights("redshift", SURVEY[task])) for task in SURVEY for store in stores}
    return {task: file for task, file in files if file.exists()}


def keep(store: paths.Results, weights: Path, out: Path | None, judges: dict[str, Path]) -> Path:
    """Keep one file of weights, of a translator with its history; return where."""
    task, train, valid = weights.parts[-4], store.data("train"), store.data("valid")
    file = pretrained.keep(weights, train, valid, out)
    if task != "redshift":
        history = long_trainings.learning_curve(weights, train, valid, judges.get(task))
        with artefacts.atomic(file.with_name("history.csv")) as new:
            history.to_csv(new, index=False, float_format="%.6g")
    return file


def main() -> bool:
    """Read the command line and keep; tell whether there was anything."""
    parser = pipeline.parser(__doc__)
    parser.add_argument("--out", type=Path, help="folder of kept weights; the repository's")
    parser.add_argument("--only", nargs="+", default=[], metavar="RUN", help="groups or labels")
    args = parser.parse_args()
    plan = args.results / "grids" / "trainings" / "plan.json"
    if not plan.exists():
        raise GaltoolsError(f"{plan} is missing: `make long` makes it, and the trainings")
    runs, count = pipeline.load_plan(plan), 0
    stores = {
        name: paths.Results(f"{run.folder.parent}", run.profile) for name, run in runs.items()
    }
    judges = estimators(list(stores.values()))
    for name, run in grid.chosen(runs, args.only).items():
        files = stores[name].folder.glob("models/*/*/seed*/weights.safetensors")
        for weights in sorted(files):
            try:
                file = keep(stores[name], weights, args.out, judges)
            except GaltoolsError as error:
                print(f"{run.label}: {error}")
                continue
            count += 1
            print(f"{run.label}: {artefacts.read_manifest(file)['bytes'] / 1e6:.1f} MB in {file}")
    print(f"{count} files of weights are kept")
    return count > 0


if __name__ == "__main__":
    pipeline.start(main)
