"""Train every translator with more or fewer galaxies and steps, measure each, keep the tables.

    .venv/bin/python benchmarks/scaling.py                    # hours; can be interrupted
    .venv/bin/python benchmarks/scaling.py --only '*_x1_*'    # some, by name
    .venv/bin/python benchmarks/scaling.py --tables           # of all that is measured by now

Networks and recipes are those of the chapters (profile quick), but for the number of steps, of
training galaxies and the seed. The training galaxies are the first ones of the long trainings,
whose kept weights are measured as well; the galaxies that all are measured on are used by nothing
else. The cheapest trainings come first, and what is done stays done. A diffusion model samples
about the residual network of the same galaxies, steps and seed, and its cost includes that one's.
"""

import argparse
import json
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import trainings
from torch.utils.flop_counter import FlopCounterMode

from companion import long_trainings, paths, redshift_evaluation, scaling
from companion.redshift_evaluation import Recipe
from galtools import artefacts, data, simulate
from galtools.data import image_files
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import peaks, pixels, redshifts, structure
from galtools.fidelity.metrics import measure_images
from galtools.models.base import Batch, autocast, pixel_loss
from galtools.models.checkpoint import load_weights
from galtools.redshift import Ensemble, Grid
from galtools.simulate.matched_pairs import one_thread
from galtools.surveys import BANDS
from galtools.training import crops, loop, train
from galtools.training.translate import translate

SIZES = 750, 3000, 10_000  # galaxies; real surveys have no more training pairs than the last number
STAGES = (  # cheapest first: seed, steps relative to those of the chapter, galaxies
    *((0, 1, SIZES), (0, 4, SIZES), (0, 16, (10_000, 750)), (1, 1, SIZES), (1, 4, SIZES)),
    *((0, 16, (3000,)), (1, 16, SIZES)),
)
SERIES = (*(("cross", model) for model in trainings.MODELS), ("intra", "capsule"))
BASELINES = ("cross", "resample"), ("cross", "again"), ("intra", "again")
DATA_SEED, LONG = 2508, 30_000  # of the long trainings, and their number of galaxies
TEST_SEED, TEST = 7919, 256  # galaxies that nothing else uses
NOISES = 4  # noise levels at which a denoiser is tested on every galaxy
PROBES = 10  # steps, over the whole course of a training, whose cost is measured
R_BAND = BANDS.index("r")
MEASURED = "psnr", "blur", "aperture_error", "box_error"  # in the r band


class Images(NamedTuple):
    """Images of the test galaxies: by a training of the grid, a long one, or without any.

    `compute` is the number of steps relative to the chapter's.
    """

    recipe: str  # chapter, long or none
    task: str
    model: str
    galaxies: int = 0
    compute: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of its files."""
        grid = f"_n{self.galaxies}_x{self.compute}" if self.compute else ""
        return f"{self.recipe}_{self.task}_{self.model}{grid}_seed{self.seed}"


def plan() -> list[Images]:
    """All images, in the order in which they are made and measured."""
    return [
        *(Images("none", *row) for row in BASELINES),
        *(
            Images("long", *series, LONG, seed=seed)
            for series in SERIES
            for model, seed in long_trainings.kept_files(series[0])
            if model == series[1]
        ),
        *(
            Images("chapter", *series, count, compute, seed)
            for seed, compute, sizes in STAGES
            for count in sizes
            for series in SERIES
        ),
    ]


def galaxies(root: Path, name: str, n: int, start=0, seed=DATA_SEED, observation=0) -> Path:
    """File of simulated galaxies, made once."""
    path = root / "data" / f"{name}.h5"
    options = {"n": n, "start": start, "seed": seed, "grid": "sdss", "observation": observation}
    artefacts.make(
        path,
        lambda new: data.save(
            simulate.stream(**options), new, provenance={"simulation": options, "seed": seed}
        ),
        params=options,
        modules=["galtools.simulate", "galtools.data"],
        seed=seed,
    )
    return path


def splits(root: Path, count: int) -> tuple[Path, Path]:
    """Files of the first `count` training galaxies and of the validation galaxies."""
    return galaxies(root, f"train_{count}", count), galaxies(root, "valid", 300, LONG)


def settings_of(one: Images) -> loop.Settings:
    """Recipe of a training."""
    if one.recipe == "long":
        file = long_trainings.kept_files(one.task)[one.model, one.seed]
        known = artefacts.read_manifest(file)["extra"]["training"]["parameters"]["settings"]
        return loop.Settings(**known)
    settings = trainings.settings_of(one.model, "quick", one.seed)
    return replace(settings, steps=one.compute * settings.steps)


def weights_of(root: Path, one: Images) -> Path | None:
    """File of the weights, trained unless that is done, and resumed where it was interrupted."""
    if one.recipe == "none":
        return None
    if one.recipe == "long":
        return long_trainings.kept_files(one.task)[one.model, one.seed]
    mean = weights_of(root, mean_of(one)) if one.model == "diffusion" else None
    build = {"name": one.model, "task": one.task, "profile": "quick"}
    folder = root / "models" / one.name
    train.train_cached(folder, build, settings_of(one), *splits(root, one.galaxies), mean)
    return folder / "weights.safetensors"


def mean_of(one: Images) -> Images:
    """The regression network that a diffusion model samples about."""
    return one._replace(model="residual", **({"seed": 0} if one.recipe == "long" else {}))


def estimator_of(root: Path, task: str) -> Path:
    """File of a redshift estimator, trained once on original images of the target."""
    path, files = (
        root / "models" / f"redshift_{task}" / "weights.safetensors",
        splits(root, SIZES[1]),
    )
    row = redshift_evaluation.same_images(task, "truth")

    def maker(new):
        redshift_evaluation.train_estimator(files, task, row, Recipe()).save(new)

    artefacts.make(
        path,
        maker,
        params={"recipe": asdict(Recipe()), "row": row},
        modules=["companion.redshift_evaluation"],
        inputs=files,
    )
    return path


def reference_files(root: Path, task: str) -> list[Path]:
    """Files of the test galaxies, a repeat observation, a redshift estimator and its galaxies."""
    test = [galaxies(root, f"test_{k}", TEST, seed=TEST_SEED, observation=k) for k in (0, 1)]
    return [*test, estimator_of(root, task), splits(root, SIZES[1])[0]]


def baseline(name: str, pairs, again) -> np.ndarray:
    """Images without learning: a repeat observation or the source on the target's pixels."""
    if name == "again":
        return again.target
    return lanczos_resample(pairs.source, pairs.target.shape[-2:], pairs.pixel_ratio)


def quantities(pairs, images, estimator, learnt) -> pd.DataFrame:
    """Quantities of every test galaxy; `learnt` are the galaxies of the redshift estimator."""
    measured = measure_images(
        [pixels.measure, structure.measure, peaks.measure],
        *(pairs.target, images, pairs.noise[:, 1], pairs.target_set.pixel_scale),
    )
    stretch = crops.normalization_of(pairs).target  # a network's follows from its own galaxies
    z = pairs.redshift.astype(float)
    prior = redshifts.prior(image_files.read_column(learnt, "redshift"), Grid().edges)
    judged, *_ = redshift_evaluation.measure_members(Ensemble.load(estimator), images, z, prior)
    loss = [image_loss(stretch, *both) for both in zip(images, pairs.target, strict=True)]
    found = {column: measured[column][:, R_BAND] for column in MEASURED}
    return pd.DataFrame(found | {"loss": loss, "bits": judged["bits"][:, 0]})


def image_loss(stretch, image, target) -> float:
    """Pixel and flux loss of one galaxy: what all networks but the denoiser are trained on."""
    image, target = (stretch.forward(torch.as_tensor(x[None])) for x in (image, target))
    batch = Batch(None, target, stretch.inverse, stretch.forward, 1.0, None)
    return float(sum(pixel_loss(image, batch).values()))


def denoising_loss(network, pairs) -> list[float]:
    """Loss of a denoiser on every galaxy, with the same noise for all networks.

    Mean over `NOISES` noise levels. The loss is in units of the mean square of what the regression
    network leaves over; times that, it is in stretched units.
    """
    stretch, found = network.scaling.target, []
    for k in range(len(pairs)):
        one = pairs[slice(k, k + 1)]
        source = network.scaling.normalize(torch.as_tensor(one.source))
        images = (source, stretch.forward(torch.as_tensor(one.target)))
        copies = (x.expand(NOISES, -1, -1, -1) for x in images)
        generator = torch.Generator().manual_seed(k)
        batch = Batch(*copies, stretch.inverse, stretch.forward, 1.0, generator)
        with torch.no_grad(), autocast("cpu"):
            found.append(float(network.losses(batch)["v"] * network.rms.square().mean()))
    return found


def measure(root: Path, one: Images) -> None:
    """Table of quantities of the test galaxies, and the cost of a step; made once."""
    weights, files = weights_of(root, one), reference_files(root, one.task)

    def maker(new):
        network = weights and load_weights(weights)
        pairs, again = (data.for_task(data.load(file), one.task) for file in files[:2])
        images = translate(network, pairs.source) if weights else baseline(one.model, pairs, again)
        found = quantities(pairs, images, *files[2:])
        if hasattr(network, "denoiser"):
            found["denoising"] = denoising_loss(network, pairs)
        found.to_csv(new, index=False, float_format="%.7g")

    made = partial(artefacts.make, params=one._asdict(), ignore=["root", "one", "weights"])
    made(table_of(root, one), maker, inputs=[*files, *([weights] if weights else [])])
    if weights and not artefacts.is_whole(cost_of(root, one)):
        made(
            cost_of(root, one),
            lambda new: artefacts.write_json(new, cost_of_step(root, one, weights)),
        )


def table_of(root: Path, one: Images) -> Path:
    """File of the measurements."""
    return root / "tables" / f"{one.name}.csv"


def cost_of(root: Path, one: Images) -> Path:
    """File of the cost of a step, which is that of all networks of a kind."""
    return root / "tables" / f"cost_{one.recipe}_{one.task}_{one.model}.json"


@one_thread()
def cost_of_step(root: Path, one: Images, weights: Path) -> dict:
    """Floating-point operations and CPU seconds of a step on one thread, means over a training."""
    network, settings = load_weights(weights), settings_of(one)
    pairs = data.for_task(data.load(splits(root, min(SIZES))[0]), one.task)
    batches = crops.Crops(pairs, network.scaling, settings.batch, settings.crop, "cpu")
    trainer, counter = loop.Trainer(network, settings, "cpu"), FlopCounterMode(display=False)
    for k in range(2 * PROBES):
        trainer.step = int((k % PROBES + 0.5) / PROBES * settings.steps)
        if k == PROBES:
            start = time.process_time()
        with counter if k < PROBES else nullcontext():
            trainer.training_step(batches)
    seconds = time.process_time() - start
    return {"flop": counter.get_total_flops() / PROBES, "seconds": seconds / PROBES}


def cost(root: Path, one: Images) -> dict:
    """Steps, floating-point operations and CPU seconds of a training."""
    if one.recipe == "none":
        return {"steps": 0, "flop": 0, "seconds": 0}
    step, steps = json.loads(cost_of(root, one).read_text()), settings_of(one).steps
    first = cost(root, mean_of(one)) if one.model == "diffusion" else {"flop": 0, "seconds": 0}
    return {"steps": steps} | {name: first[name] + steps * step[name] for name in step}


def save(root: Path, out: Path) -> None:
    """Write the tables of all that is measured, with their manifests."""
    done = [one for one in plan() if artefacts.is_whole(table_of(root, one))]
    files = [table_of(root, one) for one in done]
    values = {one: pd.read_csv(file) for one, file in zip(done, files, strict=True)}
    about = {one: {**one._asdict(), **cost(root, one)} for one in done}
    missing = Counter(f"×{one.compute}" for one in plan() if one not in done)
    count = {"planned": len(plan()), "done": len(done), "missing": missing, "galaxies": TEST}

    def write(table: Path, compute) -> None:
        artefacts.make(
            out / table.name,
            lambda new: compute().to_csv(new, index=False, float_format="%.5g") or count,
            params=count,
            modules=["companion.scaling"],
            inputs=files,
            ignore=["compute", "count"],
        )

    write(scaling.TABLE, lambda: scaling.summarise(values, about))
    write(scaling.FITS, lambda: scaling.fit_all(values))
    print(f"{len(done)} of {len(plan())} are in {out / scaling.TABLE.name}")


def main() -> None:
    """Read the command line, train, measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=paths.ROOT / "results" / "scaling")
    parser.add_argument("--only", default="*", help="pattern of names")
    parser.add_argument("--tables", action="store_true", help="train and measure nothing")
    parser.add_argument("--out", type=Path, default=paths.REFERENCE, help="folder of the tables")
    args = parser.parse_args()
    for one in [] if args.tables else plan():
        if fnmatch(one.name, args.only):
            measure(args.results, one)
            print(f"{time.strftime('%H:%M:%S')} {one.name}: measured", flush=True)
    save(args.results, args.out)


if __name__ == "__main__":
    main()
