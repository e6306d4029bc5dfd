"""Throughput of the networks, side by side with peers of matched size, in one run.

Peers: diffusers' UNet2DModel against the denoiser, routing by plain loops against `route`, and 50
steps of DDIM against the sampler's default. Every time is the best of several repeats.
"""

import csv
import time
from pathlib import Path

import torch

from galtools import models
from galtools.models import capsule
from galtools.models.common import count_parameters

OUT = Path(__file__).resolve().parents[1] / "_build" / "benchmarks" / "models.csv"
BATCH, SIDE, REPEATS = 16, 32, 5


def best(work) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def training_and_inference(network, *inputs) -> tuple[float, float]:
    """Images per second, forward and backward, and forward alone."""

    def step():
        network.zero_grad()
        network(*inputs).square().mean().backward()

    def forward():
        with torch.no_grad():
            network(*inputs)

    return BATCH / best(step), BATCH / best(forward)


class Peer(torch.nn.Module):
    """UNet2DModel of diffusers on packed pixels, about as large as our denoiser."""

    def __init__(self):
        super().__init__()
        from diffusers import UNet2DModel

        self.unet = UNet2DModel(
            sample_size=SIDE // 2, in_channels=60, out_channels=20, layers_per_block=1,
            block_out_channels=(16, 32), norm_num_groups=8,
            down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        )  # fmt: skip

    def forward(self, z, context, t):
        packed = torch.nn.functional.pixel_unshuffle(torch.cat([z, context], dim=1), 2)
        return torch.nn.functional.pixel_shuffle(self.unet(packed, t).sample, 2)


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


def networks():
    """Yield name, parameters, and images per second in training and inference."""
    x = torch.randn(BATCH, 5, SIDE, SIDE)
    for name in models.names():
        network = models.build(name, "cross", "quick")
        if count_parameters(network):
            yield name, count_parameters(network), *training_and_inference(network, x)
    context, t = torch.randn(BATCH, 10, SIDE, SIDE), torch.full((BATCH,), 500)
    denoiser = models.build("diffusion", "cross", "quick").denoiser
    for name, network in (("denoiser", denoiser), ("diffusers UNet2DModel", Peer())):
        yield name, count_parameters(network), *training_and_inference(network, x, context, t)


def routing():
    """Yield the two ways of routing, places per second."""
    votes = torch.randn(BATCH, 6, 6, 8, 8, 8)
    assert torch.allclose(capsule.route(votes, 3)[0], loop_route(votes, 3), atol=1e-5)
    for name, work in (("route", lambda: capsule.route(votes, 3)),
                       ("route, plain loops", lambda: loop_route(votes, 3))):  # fmt: skip
        yield name, 0, "", BATCH / best(work)


def sampling():
    """Yield the default sampler and DDIM with 50 steps, images per second."""
    network = models.build("diffusion", "cross", "quick").eval()
    x, noise = torch.randn(BATCH, 5, SIDE, SIDE), torch.randn(BATCH, 5, SIDE, SIDE)
    for sampler, steps in (("dpm++", network.steps), ("ddim", 50)):
        network.sampler, network.steps = sampler, steps

        def draw():
            with torch.no_grad():
                network.sample(x, noise)

        yield f"sample, {sampler}, {steps} steps", 0, "", BATCH / best(draw)


def main() -> None:
    """Print the table and keep it as CSV."""
    rows = [("what", "parameters", "training images/s", "inference images/s")]
    for part in (networks, routing, sampling):
        for row in part():
            rows.append(row)
            print(*(f"{v:.4g}" if isinstance(v, float) else v for v in row), sep="\t", flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with open(OUT, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(OUT)


if __name__ == "__main__":
    main()
