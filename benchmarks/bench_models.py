"""Throughput of the networks, side by side with peers of matched size, in one run.

Peers: diffusers' UNet2DModel and MONAI's DiffusionModelUNet against the denoiser, transformers'
Swin2SR and MONAI's SwinUNETR against the Swin, routing by plain loops against `route`, and 50 steps
of DDIM against the sampler's default. Peers see what ours sees, on the same packed pixels, and are
about as large. Every time is the best of several repeats. transformers and monai are not needed by
anything else: ``uv pip install transformers monai`` before, or their lines say so.
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


def unet_of_diffusers(channels, out):
    """UNet2DModel of two levels, on the same packed places as the denoiser."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=SIDE // 8, in_channels=channels, out_channels=out, layers_per_block=1,
        block_out_channels=(16, 32), norm_num_groups=8,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip


def unet_of_monai(channels, out):
    """DiffusionModelUNet of two levels, on the same packed places as the denoiser."""
    from monai.networks.nets import DiffusionModelUNet

    return DiffusionModelUNet(
        spatial_dims=2, in_channels=channels, out_channels=out, num_res_blocks=1,
        channels=(16, 32), attention_levels=(False, False), norm_num_groups=8,
        num_head_channels=8,
    )  # fmt: skip


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


def networks():
    """Yield name, parameters, and images per second in training and inference."""
    x = torch.randn(BATCH, 5, SIDE, SIDE)
    for name in models.names():
        network = models.build(name, "cross", "quick")
        if count_parameters(network):
            yield name, count_parameters(network), *training_and_inference(network, x)


def peers():
    """Yield the same for the denoiser and for the libraries' networks; those not at hand last."""
    denoiser = models.build("diffusion", "cross", "quick")
    x = torch.randn(BATCH, 5, SIDE, SIDE)
    packed, z = torch.nn.functional.pixel_unshuffle(x, 2), denoiser.cosines(x)
    context, t = denoiser.context(x, x), torch.full((BATCH,), 500)
    both = torch.cat([z, context], dim=1)
    cases = {
        "denoiser": (lambda: denoiser.denoiser, (z, context, t)),
        "diffusers UNet2DModel": (lambda: unet_of_diffusers(both.shape[1], z.shape[1]), (both, t)),
        "MONAI DiffusionModelUNet": (lambda: unet_of_monai(both.shape[1], z.shape[1]), (both, t)),
        "transformers Swin2SR": (swin_of_transformers, (packed,)),
        "MONAI SwinUNETR": (swin_of_monai, (torch.randn(BATCH // 4, 5, 2 * SIDE, 2 * SIDE),)),
    }
    for name, (make, inputs) in cases.items():
        try:
            network = make()
        except ImportError as error:
            yield f"{name}: not measured, {error.name} is not installed", "", "", ""
            continue
        yield name, count_parameters(network), *training_and_inference(answer(network), *inputs)


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
    for part in (networks, peers, routing, sampling):
        for row in part():
            rows.append(row)
            print(*(f"{v:.4g}" if isinstance(v, float) else v for v in row), sep="\t", flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with open(OUT, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(OUT)


if __name__ == "__main__":
    main()
