"""Execute runs again from their manifests alone, and compare every artefact with what they left.

    python workflow/reproduce.py results/quick/notebooks/11_residual.ipynb [MORE ...] [--cores 2]

A manifest names the notebook, the value of every parameter, and the same of each run whose
artefacts it read; all of them are executed, each once, in a fresh folder, results/reproduced/<run>
(of several runs, the name of the first). Artefacts should be the same bytes. Where one is not, the
largest difference of the numbers of a table or an HDF5 file is shown, and what has changed since:
code, packages, the number of cores, or only the clock.
"""

import argparse
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pipeline
import snake

from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.hdf5 import safe_open
from galtools.models import check_profile

ENTRY = {"notebook": str, "parameters": dict, "needs": list}
RECORD = {"run": str, "profile": str, "ancestors": dict, "code": dict, "artefacts": dict}
CLOCK = "seconds"  # the one kind of number that may differ


def read(run: Path) -> tuple[Path, dict]:
    """Read the manifest of an executed notebook, given either; return its results folder, too."""
    run = Path(run).absolute()
    notebook = run.with_name(run.name.removesuffix(".manifest.json"))
    if notebook.exists() and not artefacts.manifest_path(notebook).exists():
        raise GaltoolsError(
            f"{run} has no manifest of its run: `make book` and `make grid` write one, papermill "
            "alone does not; list the notebook in a grid, with the parameters that it had"
        )
    record = artefacts.read_manifest(notebook)
    entries = {**record["ancestors"], record["run"]: record} if _holds(record, RECORD) else {}
    if not entries or not all(
        pipeline.NAME.fullmatch(name) and _holds(entry, ENTRY) for name, entry in entries.items()
    ):
        raise GaltoolsError(f"{run} is not the manifest of a run: give results/.../RUN.ipynb")
    check_profile(record["profile"])
    for entry in entries.values():
        pipeline.check_notebook(entry["notebook"])
    for name in record["artefacts"]:
        pipeline.inside(notebook.parents[1], name)
    return notebook.parents[1], record


def _holds(record, kinds: dict[str, type]) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(k), kinds[k]) for k in kinds)


def plan(records: list[dict], file: Path) -> None:
    """Write the plan of some runs and of all that they need, as a grid would."""
    runs: dict[str, dict] = {}
    for record in records:
        of_run = {name: record[name] for name in ("notebook", "parameters", "needs", "cores")}
        for name, entry in {**record["ancestors"], record["run"]: of_run}.items():
            if runs.setdefault(name, entry) != entry:
                raise GaltoolsError(f"these manifests differ on {name}: reproduce them one by one")
    if len({record["profile"] for record in records}) > 1:
        raise GaltoolsError("these runs are of several profiles: reproduce them one by one")
    entries = {name: {"cores": 1, **entry, "group": ""} for name, entry in runs.items()}
    artefacts.write_json(file, {"profile": records[0]["profile"], "runs": entries})


def changes(record: dict, run: pipeline.Run) -> list[str]:
    """Say what is no longer as it was: code of notebook or modules, versions of packages, cores."""
    then, now = record["code"], run.code
    diff = ["the notebook's code"] if then["cells"] != now["cells"] else []
    if record["cores"] != pipeline.record(run)["cores"]:
        diff.append("the number of cores")  # other sums, other rounding
    for kind in ("modules", "packages", "kept"):
        old, new = then.get(kind, {}), now.get(kind, {})
        diff += sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return diff


def timeless(path: Path):
    """Read all that a table or JSON says but the clock's, number by number as it is written."""
    if path.suffix == ".csv":
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return table.drop(columns=CLOCK, errors="ignore").to_dict("split")

    def without_clock(pairs):
        return [pair for pair in pairs if pair[0] != CLOCK]

    as_written = dict.fromkeys(("parse_float", "parse_int", "parse_constant"), str)
    return json.loads(path.read_text(), object_pairs_hook=without_clock, **as_written)


def numbers(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a table or the data sets of an HDF5 file that hold numbers."""
    if path.suffix == ".csv":
        table = pd.read_csv(path).drop(columns=CLOCK, errors="ignore")
        return {name: table[name].to_numpy(float) for name in table.select_dtypes("number")}
    items = {}
    with safe_open(path) as file:
        file.visititems(lambda name, item: items.update({name: item}))
        datasets = {name: item for name, item in items.items() if isinstance(item, h5py.Dataset)}
        return {
            n: data[()].astype(float) for n, data in datasets.items() if data.dtype.kind in "fiu"
        }


def gap(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> float:
    """Largest difference of two sets of arrays, in units of the largest number of its array.

    Infinite if they are not alike, or are not finite in the same places.
    """
    if {name: x.shape for name, x in old.items()} != {name: x.shape for name, x in new.items()}:
        return np.inf
    gaps = [0.0]
    for name, one in old.items():
        other, largest = new[name], np.abs(one[np.isfinite(one)]).max(initial=0) or 1
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        with np.errstate(over="ignore", invalid="ignore"):
            gaps.append(np.where(same, 0, np.abs(other - one) / largest).max(initial=0))
    return float(np.nan_to_num(np.max(gaps), nan=np.inf, posinf=np.inf))


def verdict(old: Path, new: Path, checksum: str) -> tuple[bool, str]:
    """Compare one artefact with its recorded checksum, and where that fails with the first file."""
    if not new.exists():
        return False, "was not made"
    if artefacts.sha256(new) == checksum:
        return True, "same bytes"
    if not old.exists() or artefacts.sha256(old) != checksum:
        return False, "other bytes, and the first file is gone or changed"
    try:
        if old.suffix in (".csv", ".json") and timeless(old) == timeless(new):
            return True, "same numbers but for the clock"
        largest = gap(numbers(old), numbers(new)) if old.suffix in (".csv", ".h5") else 0
        if 0 < largest < np.inf:
            return False, f"differs by up to {largest:.2g} of the largest number"
    except (OSError, ValueError, RecursionError):
        pass  # the new file is damaged
    return False, "differs"


def compare(original: Path, record: dict, again: pipeline.Run) -> bool:
    """Say of every artefact of a run, and tell of all, whether it came out the same."""
    equal = True
    for name, checksum in record["artefacts"].items():
        same, words = verdict(
            pipeline.inside(original, name), pipeline.inside(again.folder, name), checksum
        )
        equal &= same
        print(f"  {name}: {words}")
    if changed := changes(record, again):
        print(f"changed since: {', '.join(changed)}")
    count = len(record["artefacts"])
    print(f"{record['run']}: {count} artefacts {'are the same' if equal else 'were compared'}")
    return equal


def reproduce(files: list[Path], folder: Path | None, count: int) -> bool:
    """Execute and compare; tell whether every artefact of every run came out the same."""
    originals = [read(file) for file in files]
    records = [record for _, record in originals]
    folder = folder or pipeline.RESULTS / "reproduced" / records[0]["run"]
    file = folder / "grids" / "reproduced" / "plan.json"
    with snake.only_one(folder):
        present = [path for path in folder.iterdir() if path.name != ".lock"]
        if present and not file.parent.is_dir():
            raise GaltoolsError(f"{folder} holds other things and would be emptied: choose another")
        for path in present:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        plan(records, file)
        runs = snake.run_plan(file, count)
    if not all(runs[record["run"]].stamp.exists() for record in records):
        print(snake.summary(runs, file.parent))
        return False
    return all([compare(original, record, runs[record["run"]]) for original, record in originals])


def main() -> bool:
    """Read the command line and reproduce."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="executed notebooks, or manifests")
    parser.add_argument("--folder", type=Path, help="where to work; emptied first")
    parser.add_argument("--cores", type=pipeline.core_count, default=pipeline.cores())
    args = parser.parse_args()
    return reproduce(args.runs, args.folder and args.folder.absolute(), args.cores)


if __name__ == "__main__":
    pipeline.start(main)
