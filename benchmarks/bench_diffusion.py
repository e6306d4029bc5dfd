"""What a diffusion model should predict: one anchor, several denoisers, judged by their draws.

    python benchmarks/bench_diffusion.py [RESULTS] [SEED]

RESULTS (default: results) is the folder of a `quick` run, whose galaxies are used. The anchor is
trained once; every denoiser starts from it and takes as many steps as in its chapter. What counts
is calibration: the spread of the draws' fluxes against how far the truth lies from them, and the
noise in the corners, both one where they are right. The table is kept in benchmarks/diffusion.json,
with what it was made of; the chapter shows it.
"""

import json
import sys
import time
from pathlib import Path

import torch

from companion import study
from galtools import artefacts, data, models
from galtools.models.diffusion import Diffusion
from galtools.training import loop, train, translate
from galtools.training.loop import Settings

OUT = Path(__file__).parent / "diffusion.json"
STEPS, SHARE, DRAWS, JUDGED = 1240, 0.48, 8, 200
WHOLE = {"prediction": "v", "weighting": "plain", "emphasis": 1.0}
VARIANTS = {
    "v": WHOLE,
    "v, means of blocks 64 times": {**WHOLE, "emphasis": 64.0},
    "v, min-SNR": {**WHOLE, "weighting": "min_snr"},
    "flow": {**WHOLE, "prediction": "flow"},
    "x0": {**WHOLE, "prediction": "x0"},
    "x0, min-SNR": {**WHOLE, "prediction": "x0", "weighting": "min_snr"},
    "eps": {**WHOLE, "prediction": "eps"},
}


def only(network: Diffusion, name: str) -> Diffusion:
    """Let a network train one of its two parts, from the first step to the last."""
    player = network.players()[name]._replace(begin=0.0, end=1.0)
    network.players = lambda: {name: player}
    return network


def anchor_of(pairs, valid, seed) -> dict:
    """Train the anchor as in the chapter; return its weights."""
    torch.manual_seed(seed)
    network = only(models.build("diffusion", "cross", "quick"), "anchor")
    train.train(network, pairs, valid, Settings(steps=round(SHARE * STEPS), checks=1, seed=seed))
    return network.state_dict()


def judged(network, pairs) -> dict:
    """Draw the test galaxies and say how well the draws are calibrated."""
    draws = translate.translate(network, pairs.source, samples=DRAWS)
    one = train.validation_metrics(draws[:, 0], pairs.target, pairs.noise[:, 1])
    mean = train.validation_metrics(draws.mean(axis=1), pairs.target, pairs.noise[:, 1])
    spread = {
        f"spread {box}": study.spread_ratio(draws, pairs.target, box).round(3).tolist()
        for box in (4, 8, 16, 32)
    }
    noise = study.noise_ratio(draws[:, 0], pairs.target).astype(float).round(3).tolist()
    numbers = {"residual": one["chi"], "residual of the mean": mean["chi"], "bias": one["bias"]}
    return {**spread, "noise": noise, **{k: round(v, 4) for k, v in numbers.items()}}


def denoiser_of(changes, anchor, pairs, valid, seed):
    """Train a denoiser on a given anchor; return the network and its CPU seconds."""
    torch.manual_seed(seed)
    network = models.build("diffusion", "cross", "quick", **changes)
    network.load_state_dict(anchor)
    network = only(network, "denoiser")
    began = time.process_time()
    steps = STEPS - round(SHARE * STEPS)
    train.train(network, pairs, valid, Settings(steps=steps, checks=1, seed=seed))
    return network, time.process_time() - began


def main(results: str = "results", seed: str = "0") -> None:
    """Fill the table and keep it."""
    folder, seed = Path(results) / "quick" / "data", int(seed)
    files = {split: folder / f"{split}.h5" for split in ("train", "valid", "test")}
    pairs, valid, test = (data.load(file) for file in files.values())
    anchor, test, rows = anchor_of(pairs, valid, seed), test[slice(0, JUDGED)], []
    for name, changes in VARIANTS.items():
        network, seconds = denoiser_of(changes, anchor, pairs, valid, seed)
        rows.append({"denoiser": name, "pinned": True, **judged(network, test)})
        print(round(seconds), rows[-1], flush=True)
        if changes is WHOLE:
            network.pinned = False
            rows.append({"denoiser": name, "pinned": False, **judged(network, test)})
            print(rows[-1], flush=True)
    sums = {split: artefacts.sha256(file) for split, file in files.items()}
    about = {
        "seed": seed, "steps": STEPS, "draws": DRAWS, "galaxies": len(test),
        "data": sums, "versions": artefacts.package_versions(), "device": str(loop.best_device()),
    }  # fmt: skip
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
