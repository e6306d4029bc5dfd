"""What the critic of the SRGAN buys: the same generator trained with it and without, judged alike.

    python benchmarks/bench_critic.py [RESULTS] [SEEDS]

RESULTS (default: results) is the folder of a `quick` run, whose galaxies are used; SEEDS (three if
not given) is the number of trainings of each variant. Without a critic the generator lowers the
pixel and the flux loss alone; all else is the same, steps and order of the galaxies included. The
table is kept in benchmarks/critic.json, with what it was made of; the chapter shows it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from companion import study
from galtools import artefacts, data, models
from galtools.fidelity import structure
from galtools.training import loop, train, translate
from galtools.training.loop import Settings

OUT = Path(__file__).parent / "critic.json"
STEPS, RINGS = 650, 16
VARIANTS = {"with critic": {}, "without": {"adversarial": 0.0, "content": 0.0}}


def relative_power(images, target) -> list[float]:
    """Median over galaxies of the power relative to the target's, r band, by spatial frequency."""
    ours, theirs = (
        structure.power_spectrum(stack[:, [study.R_BAND]], RINGS)[:, 0]
        for stack in (images, target)
    )
    return np.median(ours / theirs, axis=0).round(4).tolist()


def trained(changes: dict, pairs, valid, seed: int):
    """Train one variant as the chapter does; return the network and its last validation."""
    torch.manual_seed(seed)
    network = models.build("srgan", "cross", "quick", **changes)
    history = train.train(network, pairs, valid, Settings(steps=STEPS, seed=seed))
    return network.eval(), history[-1]


def judged(network, test) -> dict:
    """Measure residual, light, noise and power of the translated test galaxies."""
    images = translate.translate(network, test.source)
    found = train.validation_metrics(images, test.target, test.noise[:, 1])
    noise = study.noise_ratio(images, test.target)[study.R_BAND]
    return {
        "residual": round(found["chi"], 3),
        "bias": round(100 * found["bias"], 3),
        "scatter": round(100 * found["scatter"], 3),
        "noise": round(float(noise), 3),
        "power": relative_power(images, test.target),
    }


def main(results: str = "results", seeds: str = "3") -> None:
    """Fill the table and keep it."""
    folder, rows = Path(results) / "quick" / "data", []
    files = {split: folder / f"{split}.h5" for split in ("train", "valid", "test")}
    pairs, valid, test = (data.load(file) for file in files.values())
    for seed in range(int(seeds)):
        for name, changes in VARIANTS.items():
            network, last = trained(changes, pairs, valid, seed)
            hinge = round(float(last["critic_hinge"]), 3)
            rows.append({"variant": name, "seed": seed, "hinge": hinge, **judged(network, test)})
            print(rows[-1], flush=True)
    about = {
        "steps": STEPS, "galaxies": len(test), "rings": RINGS,
        "data": {split: artefacts.sha256(file) for split, file in files.items()},
        "versions": artefacts.package_versions(), "device": str(loop.best_device()),
    }  # fmt: skip
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
