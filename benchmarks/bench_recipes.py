"""What single choices in the recipes of chapters 11 to 14 cost or bring: one changed at a time.

    python benchmarks/bench_recipes.py [RESULTS] [MODEL ...]

RESULTS (default: results) is the folder of a `quick` run, whose galaxies are used. Every variant is
trained once, for 200 steps on the same crops, and judged on the validation galaxies. Rows that are
in book/reference/recipes.json are kept, so it can be interrupted. The chapters show the table.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from galtools import artefacts, data, models
from galtools.models.capsule import squash
from galtools.training import train, translate
from galtools.training.loop import Settings, best_device, used_precision

OUT = Path(__file__).parents[1] / "book" / "reference" / "recipes.json"
SETTINGS = Settings(steps=200, checks=1)
SHOWN = ("chi", "bias", "scatter", "colour")


@dataclass(frozen=True)
class Variant:
    """A change of a recipe: of the size, of the training, or of the network before it."""

    sizes: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    change: Callable | None = None


def skipless(network) -> None:
    """Take the skip of the source away."""
    network.skip = False


def overridden(name: str, method: Callable) -> Callable:
    """Return a change that replaces a method: ``method(base)`` gives the new one."""

    def change(network) -> None:
        base = type(network)
        network.__class__ = type(base.__name__, (base,), {name: method(base)})

    return change


PRECISION = {"bfloat16": Variant(), "float32": Variant(settings={"precision": "float32"})}
VARIANTS = {
    "residual": PRECISION,
    "swin": {
        "ours": Variant(),
        "rate 1e-3": Variant(settings={"rate": 1e-3}),
        "rate 2e-4": Variant(settings={"rate": 2e-4}),
        "no skip of the source": Variant(change=skipless),
    },
    "srgan": {
        f"critic's rate x {scale}": Variant({"critic_lr_scale": scale}) for scale in (0.1, 1.0, 2.0)
    }
    | {"no critic": Variant({"adversarial": 0.0, "content": 0.0})},
    "capsule": {
        "ours": Variant(),
        "one turn of routing": Variant({"iterations": 1}),
        "squashed poses": Variant(
            change=overridden(
                "decode", lambda base: lambda self, poses: base.decode(self, squash(poses, dim=2))
            )
        ),
        "without asinh": Variant(
            change=overridden("network", lambda base: lambda self, x: self.decode(self.encode(x)))
        ),
        "skip of the source": Variant(
            change=overridden("network", lambda base: lambda self, x: x + base.network(self, x))
        ),
    },
}


def judged(model: str, variant: Variant, pairs, valid) -> dict:
    """Train one variant; return its errors on the validation galaxies."""
    torch.manual_seed(SETTINGS.seed)
    network = models.build(model, "cross", "quick", **variant.sizes)
    if variant.change:
        variant.change(network)
    history = train.train(network, pairs, valid, replace(SETTINGS, **variant.settings))
    images = translate.translate(network, valid.source)
    found = train.validation_metrics(images, valid.target, valid.noise[:, 1])
    errors = {name: round(found[name] * (1 if name == "chi" else 100), 3) for name in SHOWN}
    return errors | {"seconds": history[-1]["seconds"]}


def keep(rows: list[dict], files: dict) -> None:
    """Write the table and what it was made of."""
    about = {
        "steps": SETTINGS.steps, "batch": SETTINGS.batch,
        "data": {split: artefacts.sha256(file) for split, file in files.items()},
        "precision": used_precision("auto", best_device()),
        "versions": artefacts.package_versions(), "device": str(best_device()),
    }  # fmt: skip
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


def main(results: str = "results", *names: str) -> None:
    """Train the variants that the table lacks."""
    files = {name: Path(results) / "quick" / "data" / f"{name}.h5" for name in ("train", "valid")}
    pairs, valid = map(data.load, files.values())
    for model in names or VARIANTS:
        for name, variant in VARIANTS[model].items():
            rows = json.loads(OUT.read_text())["rows"] if OUT.exists() else []
            if any((row["model"], row["variant"]) == (model, name) for row in rows):
                continue
            row = {"model": model, "variant": name, **judged(model, variant, pairs, valid)}
            print(row, flush=True)
            rows = json.loads(OUT.read_text())["rows"] if OUT.exists() else []
            keep([*rows, row], files)


if __name__ == "__main__":
    main(*sys.argv[1:])
