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
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pipeline
import snake
from compare import summary
from safetensors import SafetensorError
from safetensors.numpy import load_file

from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.hdf5 import safe_open

CLOCK = "seconds"  # the one kind of number that may differ


def read(run: Path) -> tuple[Path, dict]:
    """Read the manifest of an executed notebook, given either; return its results folder, too."""
    run = Path(run).absolute()
    notebook = run.with_name(run.name.removesuffix(".manifest.json"))
    record = artefacts.read_manifest(notebook)
    if not {"run", "profile", "notebook", "parameters", "ancestors"} <= record.keys():
        raise GaltoolsError(f"{run} is not the manifest of a run: give results/.../RUN.ipynb")
    return notebook.parents[1], record


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
    """Read all numbers of an artefact but the clock's, by name; None if it holds something else."""
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path)
            return {name: table[name].to_numpy() for name in table if name != CLOCK}
        if path.suffix == ".json":
            timeless = {"object_hook": lambda x: {k: v for k, v in x.items() if k != CLOCK}}
            return {"": np.array(json.dumps(json.loads(path.read_text(), **timeless)))}
        if path.suffix == ".h5":
            found = {}
            with safe_open(path) as file:
                file.visititems(lambda name, item: found.update({name: item}))
                return {k: item[()] for k, item in found.items() if isinstance(item, h5py.Dataset)}
        return load_file(path)
    except (OSError, ValueError, SafetensorError):
        return None


def gap(old: np.ndarray, new: np.ndarray) -> float:
    """Largest difference of two arrays in units of the largest number; infinite if not alike."""
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        return np.inf
    if old.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(old, new) else np.inf
    old, new = old.astype(float), new.astype(float)
    if not np.array_equal(np.isnan(old), np.isnan(new)):
        return np.inf
    largest = np.nanmax(np.abs(old), initial=0)
    return float(np.nanmax(np.abs(new - old), initial=0) / (largest or 1))


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
    if folder.exists() and any(folder.iterdir()) and not file.parent.is_dir():
        raise GaltoolsError(f"{folder} holds other things and would be emptied: choose another")
    shutil.rmtree(folder, ignore_errors=True)
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
    parser.add_argument("--cores", type=int, default=pipeline.cores())
    args = parser.parse_args()
    return reproduce(args.runs, args.folder and args.folder.absolute(), args.cores)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except GaltoolsError as error:
        sys.exit(f"{error}")
