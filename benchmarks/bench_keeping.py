"""Ways to make a translator keep the redshift, trained alike and judged alike.

    python benchmarks/bench_keeping.py RESULTS [VARIANT ...]

RESULTS is the folder of a finished run of the profile `quick`, for its galaxies and its estimators
of redshift. Every variant is one training of the residual network; "light" adds the mean error of
the asinh magnitudes in circles, |a' - a|, to the loss, which needs whole stamps. Each is judged by
the protocols of the book: frozen, and retrained on the first galaxies and on all. What was found
is kept in `benchmarks/keeping.json`, one entry per variant, with the code that made it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from galtools import data, manifest, models, paths, train
from galtools.fidelity import files, information, intervals, redshifts
from galtools.keeping import scatter_ratio, share
from galtools.loop import Settings
from galtools.models.common import pixel_loss
from galtools.models.keeper import Keeper
from galtools.redshift import OUTLIER, Ensemble
from galtools.translate import translate

OUT = Path(__file__).resolve().parent / "keeping.json"
WHOLE = {"crop": 0, "batch": 4}  # as many pixels a step as sixteen crops
VARIANTS = {  # of: sizes of the network, weight of the light in the loss, how it is trained
    "network alone": ({"rounds": 0}, 0.0, {}),
    "network alone, whole stamps": ({"rounds": 0}, 0.0, WHOLE),
    "loss on the light": ({"rounds": 0}, 1.0, WHOLE),
    "rule": ({}, 0.0, {}),
    "rule, also while it learns": ({}, 0.0, WHOLE),
    "rule and loss on the light": ({}, 1.0, WHOLE),
}
STEPS, LEARN, CHECK, TUNING, N_BOOT = 1200, (1000, 3000), 200, 400, 400


class Weighed(Keeper):
    """Keeper with the error of the light in its loss."""

    weight = 0.0

    def losses(self, batch) -> dict[str, torch.Tensor]:
        """Those of all translators, and weight <|a' - a|> of whole stamps."""
        drawn = self(batch.source)
        terms = pixel_loss(drawn, batch)
        if self.weight:
            found, truth = (
                self.rule.magnitudes(batch.flux(image), self.rule.noise_out)
                for image in (drawn, batch.target)
            )
            terms["light"] = self.weight * F.l1_loss(found, truth)
        return terms


def trained(pairs, valid, sizes, weight, how):
    """Train one variant from seed 0; return it and the seconds of one core that it took."""
    torch.manual_seed(0)
    network = models.build("keeper", "cross", "quick", **sizes)
    network.__class__ = Weighed
    network.weight = weight
    start = time.process_time()
    train.train(network, pairs, valid, Settings(steps=STEPS, checks=1, **how))
    return network, time.process_time() - start


def judged(ensemble, images, z, prior):
    """Bits and errors dz of every galaxy."""
    density = ensemble.predict(images)
    found = redshifts.judge(density, z, ensemble.grid, prior, OUTLIER["SDSS"])
    return found["bits"][:, 0], found["dz"][:, 0]


def measured(network, samples, start, source, prior) -> dict:
    """All numbers of one variant."""
    (learn, valid, test), z = samples, samples[2].redshift
    images = translate(network, test.source)
    seen = translate(network, learn.source[: max(LEARN)])
    checked = translate(network, valid.source[:CHECK]), valid.redshift[:CHECK]
    settings = Settings(steps=TUNING, batch=64, rate=1e-3, weight_decay=1e-3, checks=1)
    ensembles = {"frozen": start}
    for n in LEARN:
        ensembles[f"retrained {n}"] = start.tuned(seen[:n], learn.redshift[:n], *checked, settings)
    found = dict(train.judge(images, test.target, test.noise[:, 1]))
    for name, ensemble in ensembles.items():
        bits, dz = judged(ensemble, images, z, prior)
        found[f"{name}: retained"] = vars(share(bits, source[0], N_BOOT))
        found[f"{name}: sigma over source's"] = vars(scatter_ratio(dz, source[1], N_BOOT))
    return found


def main(results: str, *names: str) -> None:
    """Train and judge the named variants, or all."""
    store = paths.Results(results, "quick")
    samples = [data.load(store.data(split)) for split in ("train", "valid", "test")]
    start, reader = (
        Ensemble.load(redshifts.estimator_file(store, survey, 0)) for survey in ("CFHTLS", "SDSS")
    )
    prior = information.prior(files.read_column(store.data("train"), "redshift"), start.grid.edges)
    source = judged(reader, samples[2].source, samples[2].redshift, prior)
    kept = json.loads(OUT.read_text()) if OUT.exists() else {}
    code = manifest.digest(manifest.module_digests(["galtools.keeping", "galtools.train"]))
    for name in names or VARIANTS:
        network, seconds = trained(*samples[:2], *VARIANTS[name])
        kept[name] = {
            "code": code,
            "packages": manifest.package_versions(),
            "train": manifest.sha256(store.data("train")),
            "steps": STEPS,
            "core seconds of training": round(seconds, 1),
            "source": {
                "bits": float(np.mean(source[0])),
                "sigma": intervals.mad_scatter(source[1]),
            },
            **measured(network, samples, start, source, prior),
        }
        manifest.write_json(OUT, {k: kept[k] for k in VARIANTS if k in kept})
        print(name, json.dumps(kept[name], indent=1, default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
