"""What `make long` will take: hours of one core for every piece, from a few steps of each network.

Batch, crop and precision are those of workflow/trainings.yaml. CPU seconds of one thread are
counted, so that other work on the machine does not. A network whose parts learn in turns is timed
at five moments of its training. The table is kept in benchmarks/long.json.
"""

import json
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import torch

from galtools import artefacts, data, models, redshift, simulate
from galtools.models.base import count_parameters
from galtools.training import loop
from galtools.training.crops import Crops, normalization_of
from galtools.training.loop import Settings

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(__file__).parent / "long.json"
MOMENTS, GALAXIES = (0.1, 0.3, 0.5, 0.7, 0.9), 256

sys.path.insert(0, str(ROOT / "workflow"))
import grid  # noqa: E402


def seconds(function, *args) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    function(*args)
    return time.process_time() - began


@cache
def pairs_and_rate():
    """Simulated pairs, and CPU seconds of one, written to a file as the chapter does."""
    file = ROOT / "_build" / "bench_long.h5"
    options = {"n": GALAXIES, "grid": "sdss", "seed": 1}
    simulate.pairs(2, grid="sdss")
    taken = seconds(lambda: data.save(simulate.stream(**options), file))
    return data.load(file), taken / GALAXIES


def of_translator(model: str, values: dict) -> tuple[float, int]:
    """CPU seconds of a step, and the number of parameters."""
    torch.manual_seed(0)
    pairs = pairs_and_rate()[0]
    network = models.build(model, "cross", "long")
    network.scaling = normalization_of(pairs)
    network.prepare(pairs)
    settings = Settings(**{name: values[name] for name in ("steps", "batch", "crop", "rate")})
    crops = Crops(pairs, network.scaling, settings.batch, settings.crop)
    trainer, taken = loop.Trainer(network, settings, "cpu"), []
    for moment in MOMENTS:
        trainer.step = int(moment * settings.steps)
        trainer.training_step(crops)
        taken += [seconds(trainer.training_step, crops) for _ in range(2)]
    return float(np.mean(taken)), count_parameters(network)


def of_estimator(values: dict) -> tuple[float, int]:
    """CPU seconds of a step of one network of the ensemble, and its parameters."""
    pairs = pairs_and_rate()[0]
    network = redshift.RedshiftNetwork(hidden=values["hidden"], width=values["width"])
    network.prepare(pairs.source, np.median(pairs.noise[:, 0], axis=0))
    features = network.extract_features(pairs.source)
    settings = Settings(steps=20, batch=values["batch"], checks=1)
    return seconds(network.fit, features, pairs.redshift, settings) / 20, count_parameters(network)


def main() -> None:
    """Time every piece and keep the table."""
    torch.set_num_threads(1)
    plan = grid.plan(grid.read(ROOT / "workflow" / "trainings.yaml"))["runs"]
    rows, known = [], {}
    for run in plan.values():
        values, (_, _, model) = run["parameters"], run["notebook"].partition("_")
        if run["label"] == "data":
            step = pairs_and_rate()[1]
            count = values["n_train"] + values["n_valid"] + 2 * values["n_test"]
            row = {"galaxies": count}
        elif run["label"] == "redshift":
            step, parameters = of_estimator(values)
            count = 2 * values["members"] * values["steps"]  # both surveys
            row = {"steps": values["steps"], "parameters": parameters}
        else:
            if model not in known:
                known[model] = of_translator(model, values)
            (step, parameters), count = known[model], values["steps"]
            row = {"steps": count, "crops a second": round(values["batch"] / step)}
            row |= {"parameters": parameters}
        rows.append({"run": run["label"], "hours": round(step * count / 3600, 2), **row})
        print(rows[-1], flush=True)
    about = {
        "hours": round(sum(row["hours"] for row in rows), 1), "threads": 1,
        "precision": loop.used_precision("auto", torch.device("cpu")),
        "versions": artefacts.package_versions(), "python": sys.version.split()[0],
    }  # fmt: skip
    print(f"together {about['hours']} hours of one core")
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
