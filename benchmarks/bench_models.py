"""Throughput of the networks, side by side with peers of matched size, in one run.

    python benchmarks/bench_models.py

Peers: transformers' Swin2SR and MONAI's SwinUNETR against the Swin, and routing by plain loops
against `route`. Peers see what ours sees, on the same packed pixels, and are about as large. One
cannot be: the smallest SwinUNETR has ten times the parameters, most of them where the image is
small, so the arithmetic of a forward pass is counted too. Every time is the best of several, taken
in turns with the peers, so that a busy machine hits all alike. transformers and monai are needed by
nothing else: install the extra `bench` before. The table is kept in benchmarks/models.json, with
what it was measured on.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from turns import in_turns

from galtools import artefacts, models
from galtools.models import capsule
from galtools.models.base import count_parameters

OUT = Path(__file__).parent / "models.json"
BATCH, SIDE, REPEATS = 16, 32, 9
PEERS = ("monai", "transformers")


def fastest(works: dict) -> dict:
    """Seconds of the fastest of several runs of each work, in turns, after one to warm up."""
    return {name: float(seconds.min()) for name, seconds in in_turns(works, REPEATS).items()}


def training(network, inputs):
    """Return one forward and backward pass, as a work."""

    def work():
        network.zero_grad()
        network(*inputs).square().mean().backward()

    return work


def inference(network, inputs):
    """Return one forward pass, as a work."""

    def work():
        with torch.no_grad():
            network(*inputs)

    return work


def swin_of_transformers():
    """Swin2SR with the width, depth, heads and windows of ours, on the same packed pixels."""
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

    return Swin2SRForImageSuperResolution(Swin2SRConfig(
        image_size=SIDE // 2, patch_size=1, num_channels=20, num_channels_out=20, embed_dim=48,
        depths=[2, 2], num_heads=[4, 4], window_size=4, mlp_ratio=2.0, upscale=1, upsampler="",
    ))  # fmt: skip


def swin_of_monai():
    """SwinUNETR, small, on unpacked pixels, four crops in one: it halves the side five times."""
    from monai.networks.nets import SwinUNETR

    return SwinUNETR(in_channels=5, out_channels=5, feature_size=12, spatial_dims=2,
                     depths=(1, 1, 1, 1), num_heads=(2, 2, 2, 2), window_size=4)  # fmt: skip


def answer(network):
    """Make a peer return its tensor, not a record of it."""

    def call(*inputs):
        found = network(*inputs)
        for name in ("sample", "reconstruction"):
            found = getattr(found, name, found)
        return found

    call.zero_grad = network.zero_grad
    return call


def loop_route(predictions, iterations):
    """Routing over children and parents by plain loops, every place at once."""
    children, parents = predictions.shape[1:3]
    logits = torch.zeros_like(predictions[:, :, :, 0])
    for turn in range(iterations):
        couplings, found = logits.softmax(dim=2), []
        for j in range(parents):
            total = 0
            for i in range(children):
                total = total + couplings[:, i, j, None] * predictions[:, i, j]
            found.append(capsule.squash(total, dim=1))
        if turn < iterations - 1:
            logits = logits.clone()
            for i in range(children):
                for j in range(parents):
                    logits[:, i, j] += (predictions[:, i, j] * found[j]).sum(dim=1)
    return torch.stack(found, dim=1)


def arithmetic(network, inputs) -> float:
    """Millions of multiplications and additions of a forward pass, per image."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() / 1e6 / BATCH


def compared(cases: dict) -> list[dict]:
    """Time networks in turns; `cases` gives each name its network and its inputs."""
    rates = {}
    for kind, make in (("training", training), ("inference", inference)):
        works = {name: make(answer(network), inputs) for name, (network, inputs) in cases.items()}
        rates[kind] = {name: BATCH / seconds for name, seconds in fastest(works).items()}
    first = next(iter(cases))
    return [
        {
            "what": name, "parameters": count_parameters(network),
            "MFLOP an image": round(arithmetic(network, inputs), 1),
            **{f"{kind}, images/s": round(found[name], 1) for kind, found in rates.items()},
            **{f"{kind}, {first} is faster": round(found[first] / found[name], 2)
               for kind, found in rates.items()},
        }
        for name, (network, inputs) in cases.items()
    ]  # fmt: skip


def swins() -> list[dict]:
    """Compare the Swin with those of the libraries."""
    x = torch.randn(BATCH, 5, SIDE, SIDE)
    packed = torch.nn.functional.pixel_unshuffle(x, 2)
    large = torch.randn(BATCH // 4, 5, 2 * SIDE, 2 * SIDE)  # as many pixels
    return compared({
        "swin": (models.build("swin", "cross", "quick"), (x,)),
        "transformers Swin2SR": (swin_of_transformers(), (packed,)),
        "MONAI SwinUNETR": (swin_of_monai(), (large,)),
    })  # fmt: skip


def others() -> list[dict]:
    """Time the networks that no library has."""
    x = torch.randn(BATCH, 5, SIDE, SIDE)
    names = ("residual", "srgan", "capsule")
    return compared({name: (models.build(name, "cross", "quick"), (x,)) for name in names})


def ways(works: dict) -> list[dict]:
    """Time works in turns, the first against the rest."""
    seconds = fastest(works)
    first = seconds[next(iter(works))]
    return [
        {"what": name, "inference, images/s": round(BATCH / each, 1),
         "times the first": round(each / first, 2)}
        for name, each in seconds.items()
    ]  # fmt: skip


def routing() -> list[dict]:
    """Compare the routing with plain loops, which give the same."""
    votes = torch.randn(BATCH, 6, 6, 8, 8, 8)
    parents = capsule.squash(capsule.route(votes, 3)[0], dim=2)
    assert torch.allclose(parents, loop_route(votes, 3), atol=1e-5)
    return ways({
        "route": lambda: capsule.route(votes, 3),
        "route, plain loops": lambda: loop_route(votes, 3),
    })  # fmt: skip


def main() -> None:
    """Measure, print and keep the table."""
    rows = []
    for part in (swins, others, routing):
        for row in part():
            rows.append(row)
            print(row, flush=True)
    versions = artefacts.package_versions() | {name: version(name) for name in PEERS}
    about = {
        "batch": BATCH, "pixels a side": SIDE, "repeats": REPEATS, "device": "cpu",
        "threads": torch.get_num_threads(), "machine": platform.machine(), "versions": versions,
    }  # fmt: skip
    OUT.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
