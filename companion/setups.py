"""The set-up of the paper, as far as its abstract states it, and that of a run."""

from companion import long_trainings, paths, plotting, redshift_evaluation
from galtools import artefacts, data
from galtools.models.checkpoint import load_weights
from galtools.redshift import Grid

UNSTATED = "not stated in the abstract"
PAPER = {
    "images": "SDSS and CFHTLS galaxies",
    "galaxies": UNSTATED,
    "bands": UNSTATED,
    "stamps": UNSTATED,
    "translators": "Swin Transformer, SRGAN, capsule network, diffusion model",
    "training": UNSTATED,
    "redshift estimator": UNSTATED,
}


def training(store: paths.Results, model: str, seed: int = 0) -> dict:
    """Parameters, seconds and galaxies of the training of a translator between two surveys."""
    weights = store.weights("cross", model, seed)
    count = sum(p.numel() for p in load_weights(weights).parameters())
    made = artefacts.read_manifest(weights)
    row = {"parameters": count, "seconds": made["seconds"], "galaxies": None}
    if weights.parent.name.startswith("kept"):
        extra = artefacts.read_manifest(long_trainings.kept_files("cross")[model, seed])["extra"]
        row |= {"seconds": extra["seconds"], "galaxies": extra["simulation"]["n"]}
    return row


def this_run(store: paths.Results, models, seed: int = 0) -> dict[str, str]:
    """The lines of `PAPER` for a run, read from what it left."""
    files = {split: data.describe(store.data(split)) for split in ("train", "valid", "test")}
    made = {plotting.MODEL_NAME.get(m, m): training(store, m, seed) for m in models}
    counts = {split: x["galaxies"] for split, x in files.items()}
    counts["train"] = next(iter(made.values()))["galaxies"] or counts["train"]
    survey, bands, pixels = zip(
        *(files["test"][name].split(", ") for name in ("source", "target")), strict=True
    )
    seconds = [x["seconds"] for x in made.values()]
    unit, size = ("min", 60) if min(seconds) >= 600 else ("s", 1)
    recipe = redshift_evaluation.recipe_of(store, seed)
    reads = "pixels" if recipe.width else "apertures, peaks and shapes"
    return {
        "images": f"simulated galaxies in {survey[0]} and {survey[1]}",
        "galaxies": "training {train:,}, validation {valid:,}, test {test:,}".format(**counts),
        "bands": " and ".join(dict.fromkeys(bands)),
        "stamps": "; ".join(dict.fromkeys(pixels)).replace(" x ", " × "),
        "translators": ", ".join(made)
        + " (parameters: {})".format(", ".join(f"{x['parameters']:,}" for x in made.values())),
        "training": f"{min(seconds) / size:.0f} to {max(seconds) / size:.0f} {unit} "
        "for each translator",
        "redshift estimator": f"{recipe.members} networks reading {reads}, trained on "
        f"{recipe.learn:,} galaxies in {recipe.steps:,} steps; {Grid().bins} bins of redshift",
    }
