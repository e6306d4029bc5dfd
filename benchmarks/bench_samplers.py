"""How many steps a draw needs: time, error of the solver and calibration of every sampler.

    python benchmarks/bench_samplers.py [RESULTS] [TASK]

RESULTS (default: results) is the folder of a `quick` run, whose trained diffusion model draws its
test galaxies. The same noise is solved by DDIM of 50 steps, by DPM-Solver++ and UniPC of few, and,
as the answer, by DPM-Solver++ of 200. Kept for each are

    milliseconds  of a draw when a galaxy is drawn once, and when it is drawn 16 times together
    error         root mean square of z - z_answer, where z has variance one
    calibration   what the chapter looks at: spread of fluxes, noise, ranks (`study`), residuals

The table is kept in benchmarks/samplers.json, with what it was made of; the chapter shows it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from companion import paths, study
from galtools import artefacts, data
from galtools.data import photometry
from galtools.models import noise_schedule
from galtools.models.base import galaxy_noise
from galtools.training import train, translate

OUT = Path(__file__).parent / "samplers.json"
DRAWS, JUDGED, BOXES, TIMED = 8, 100, (4, 8, 16, 32), 16
REPEATS = {1: 15, 16: 3}  # turns in which so many draws are timed: short ones need more to be sure
ANSWER = ("dpm++", 200)
FEW = (5, 6, 7, 8, 10)
PLANS = [("ddim", 50), *((name, steps) for name in ("dpm++", "unipc") for steps in FEW)]


def solved(network, x, noise, plan) -> torch.Tensor:
    """Frequencies z that a plan makes of white noise."""
    network.sampler, network.steps = plan
    middle = network.anchor(x)[0]
    known = network.read(x, middle)
    options = (network.cosines(noise), *plan, network.prediction)
    return noise_schedule.sample(lambda z, t: network.denoiser(z, known, t), *options)


@torch.no_grad()
def errors(network, source) -> list[float]:
    """Root mean square error of each plan's z against the answer."""
    x = network.scaling.enter(torch.as_tensor(source))
    noise = galaxy_noise(x.shape[1:], 0, range(len(x)), "cpu")
    answer = solved(network, x, noise, ANSWER)
    return [float((solved(network, x, noise, plan) - answer).square().mean().sqrt())
            for plan in PLANS]  # fmt: skip


@torch.no_grad()
def seconds(network, source) -> np.ndarray:
    """CPU seconds of a draw, (plans, 2): one alone and one of 16; plans in turns, best of several.

    Not counted is what needs no network: noise, and the way from and to nanomaggies.
    """
    x = network.scaling.enter(torch.as_tensor(source[:TIMED]))
    noise = galaxy_noise(x.shape[1:], 0, range(len(x)), "cpu")

    def timed(plan, draws):
        network.sampler, network.steps = plan
        began = time.process_time()
        drawn = network.drawer(x)
        for _ in range(draws):
            drawn(noise)
        return (time.process_time() - began) / draws / len(x)

    return np.stack([
        np.min([[timed(plan, draws) for plan in PLANS] for _ in range(turns)], axis=0)
        for draws, turns in REPEATS.items()
    ], axis=1)  # fmt: skip


def judged(network, pairs, plan) -> dict:
    """Draw the galaxies and say how well the draws are calibrated."""
    network.sampler, network.steps = plan
    draws = translate.translate(network, pairs.source, samples=DRAWS)
    one, mean = (
        train.validation_metrics(images, pairs.target, pairs.noise[:, 1])["chi"]
        for images in (draws[:, 0], draws.mean(axis=1))
    )
    drawn = photometry.central_flux(draws).swapaxes(0, 1)
    rank = (drawn < photometry.central_flux(pairs.target)).sum(axis=0)
    spread = {
        f"spread {box}": study.spread_ratio(draws, pairs.target, box).round(3).tolist()
        for box in BOXES
    }
    return {
        **spread,
        "noise": study.noise_ratio(draws[:, 0], pairs.target).astype(float).round(3).tolist(),
        "truth outside all draws": round(float(np.isin(rank, (0, DRAWS)).mean()), 3),
        "residual": round(one, 3),
        "residual of the mean": round(mean, 3),
    }


def main(results: str = "results", task: str = "cross") -> None:
    """Fill the table and keep it."""
    store = paths.Results(results, "quick")
    weights = store.model(task, "diffusion", 0) / "weights.safetensors"
    network = translate.load_weights(paths.need(weights, "15_diffusion"))
    test = paths.need(store.data("test"), "01_two_surveys")
    pairs = data.for_task(data.load(test, slice(0, JUDGED)), task)
    times, rows = seconds(network, pairs.source), []
    for plan, error, (alone, shared) in zip(
        PLANS, errors(network, pairs.source), times, strict=True
    ):
        rows.append({
            "sampler": plan[0], "steps": plan[1],
            "ms a draw": round(1e3 * float(alone), 2),
            "ms a draw of 16": round(1e3 * float(shared), 2),
            "times faster": [round(float(v), 2) for v in times[0] / (alone, shared)],
            "error": round(error, 4), **judged(network, pairs, plan),
        })  # fmt: skip
        print(rows[-1], flush=True)
    sums = {"weights": artefacts.sha256(weights), "test": artefacts.sha256(test)}
    about = {
        "task": task, "draws": DRAWS, "galaxies": len(pairs), "answer": ANSWER, "data": sums,
        "versions": artefacts.package_versions(), "threads": torch.get_num_threads(),
    }  # fmt: skip
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
