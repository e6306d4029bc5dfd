"""Execute runs again from their manifests alone, and compare every artefact with what they left.

    python workflow/reproduce.py results/quick/notebooks/11_residual.ipynb [MORE ...] [--cores 2]

A manifest names the notebook, the value of every parameter, and the same of each run whose
artefacts it read; all of them are executed, each once, in a fresh folder, results/reproduced/<run>
(of several runs, the name of the first). Artefacts should be the same bytes. Where one is not, the
largest difference of its numbers is shown, and what has changed since: code, packages, the number
of cores, or only the clock.
"""

import argparse
import json
import math
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pipeline
import safetensors
import snake
from compare import summary
from safetensors import SafetensorError

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
        own = {name: record[name] for name in ("notebook", "parameters", "needs", "cores")}
        for name, entry in {**record["ancestors"], record["run"]: own}.items():
            if runs.setdefault(name, entry) != entry:
                raise GaltoolsError(f"these manifests differ on {name}: reproduce them one by one")
    if len({record["profile"] for record in records}) > 1:
        raise GaltoolsError("these runs are of several profiles: reproduce them one by one")
    entries = {name: {"cores": 1, **entry, "group": ""} for name, entry in runs.items()}
    artefacts.write_json(file, {"profile": records[0]["profile"], "runs": entries})


def changes(record: dict, run: pipeline.Run) -> list[str]:
    """Say what is no longer as it was: code of notebook or modules, versions of packages, cores."""
    then, now = record["code"], run.code
    said = ["the notebook's code"] if then["cells"] != now["cells"] else []
    if record["cores"] != pipeline.record(run)["cores"]:
        said.append("the number of cores")  # other sums, other rounding
    for kind in ("modules", "packages", "kept"):
        old, new = then.get(kind, {}), now.get(kind, {})
        said += sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return said


def numbers(path: Path) -> dict[str, np.ndarray] | None:
    """Read all that an artefact says but the clock's, by name; None if it holds something else."""
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            return {name: _typed(table[name]) for name in table if name != CLOCK}
        if path.suffix == ".json":
            timeless = {"object_hook": lambda x: {k: v for k, v in x.items() if k != CLOCK}}
            return {"": np.array(json.dumps(json.loads(path.read_text(), **timeless)))}
        if path.suffix == ".h5":
            with safe_open(path) as file:
                return dict(_contents(file))
        with safetensors.safe_open(path, "numpy") as file:
            names, about = file.keys(), json.dumps(file.metadata() or {}, sort_keys=True)
            return {"metadata": np.array(about), **{n: file.get_tensor(n) for n in names}}
    except (OSError, ValueError, RecursionError, SafetensorError):
        return None


def _typed(texts: pd.Series) -> np.ndarray:
    """Column of a table as floats if those are written in it; integers and words stay texts."""
    if texts.str.fullmatch(r"-?\d*").all():  # a float would round long identifiers
        return texts.to_numpy(object)
    try:
        return texts.replace("", "nan").to_numpy(float)
    except ValueError:
        return texts.to_numpy(object)


def _contents(file):
    """Yield names and values of the data sets and attributes of an HDF5 file."""
    items = {"": file}
    file.visititems(items.__setitem__)
    for name, item in items.items():
        yield f"{name}/", np.array(type(item).__name__)
        yield from (
            (f"{name}@{key}", np.asarray(v)) for key, v in item.attrs.items() if key != CLOCK
        )
        if isinstance(item, h5py.Dataset):
            yield name, item[()] if item.dtype.names is None else np.array(repr(item[()].tolist()))


def gap(old: np.ndarray, new: np.ndarray) -> float:
    """Largest difference of two arrays in units of the largest number; infinite if not alike.

    What is not finite has to be the same, and integers are not rounded before they are compared.
    """
    if old.shape != new.shape or old.dtype != new.dtype:
        return np.inf
    if np.array_equal(old, new):
        return 0.0
    if old.dtype.kind not in "fiu":
        return np.inf
    finite = np.isfinite(old)
    same = np.array_equal(old[~finite], new[~finite], equal_nan=old.dtype.kind == "f")
    if not same or not np.isfinite(new[finite]).all():
        return np.inf
    if np.array_equal(old[finite], new[finite]):
        return 0.0
    old, new = old[finite].astype(float), new[finite].astype(float)
    with np.errstate(over="ignore"):
        largest = np.abs(new - old).max() / (np.abs(old).max() or 1)
    return float(largest) or math.ulp(0)  # of integers that a float rounds to the same


def verdict(old: Path, new: Path, checksum: str) -> tuple[bool, str]:
    """Compare one artefact with its recorded checksum, and where that fails number by number."""
    if not new.exists():
        return False, "was not made"
    if artefacts.sha256(new) == checksum:
        return True, "same bytes"
    if not old.exists() or artefacts.sha256(old) != checksum:
        return False, "other bytes, and the first file is gone or changed"
    pair = numbers(old), numbers(new)
    if None in pair or pair[0].keys() != pair[1].keys():
        return False, "differs"
    largest = max((gap(pair[0][name], pair[1][name]) for name in pair[0]), default=0.0)
    if largest == 0:
        return True, "same numbers but for the clock"
    if not largest < np.inf:
        return False, "differs in more than finite numbers"
    return False, f"differs by up to {largest:.2g} of the largest number"


def compare(original: Path, record: dict, again: pipeline.Run) -> bool:
    """Say of every artefact of a run, and tell of all, whether it came out the same."""
    alike = True
    for name, checksum in record["artefacts"].items():
        same, words = verdict(
            pipeline.inside(original, name), pipeline.inside(again.folder, name), checksum
        )
        alike &= same
        print(f"  {name}: {words}")
    if said := changes(record, again):
        print(f"changed since: {', '.join(said)}")
    count = len(record["artefacts"])
    print(f"{record['run']}: {count} artefacts {'are the same' if alike else 'were compared'}")
    return alike


def reproduce(files: list[Path], folder: Path | None, count: int) -> bool:
    """Execute and compare; tell whether every artefact of every run came out the same."""
    found = [read(file) for file in files]
    records = [record for _, record in found]
    folder = folder or pipeline.RESULTS / "reproduced" / records[0]["run"]
    file = folder / "grids" / "reproduced" / "plan.json"
    with snake.only_one(folder):
        found_there = [path for path in folder.iterdir() if path.name != ".lock"]
        if found_there and not file.parent.is_dir():
            raise GaltoolsError(f"{folder} holds other things and would be emptied: choose another")
        for path in found_there:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        plan(records, file)
        runs = snake.run_plan(file, count)
    if not all(runs[record["run"]].stamp.exists() for record in records):
        print(summary(runs, file.parent))
        return False
    return all([compare(original, record, runs[record["run"]]) for original, record in found])


def main() -> bool:
    """Read the command line and reproduce."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="executed notebooks, or manifests")
    parser.add_argument("--folder", type=Path, help="where to work; emptied first")
    parser.add_argument("--cores", type=pipeline.core_count, default=pipeline.cores())
    args = parser.parse_args()
    return reproduce(args.runs, args.folder and args.folder.absolute(), args.cores)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except GaltoolsError as error:
        sys.exit(f"{error}")
