"""Diagnostics of diffusion samples for their chapter: scores, ablations, steps, grain."""

import time
from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.special import stdtrit

from companion import study
from galtools import pretrained
from galtools.data import photometry
from galtools.fidelity import calibration
from galtools.models import checkpoint
from galtools.models.diffusion import preconditioning
from galtools.training.translate import translate

BOXES = (4, 8, 16, 32)  # pixels along a side of the central boxes whose fluxes are scored
BRIGHT = 5  # scatters of the flux of a box from which on its mean column is measured


def loss_at(network, x, y, sigma: float, seed: int = 0) -> float:
    """EDM loss of stretched pairs at one noise level; a silent denoiser has 1 for white r."""
    with torch.no_grad():
        mean = network(x)
        r = (y - mean) / network.rms
        noise = torch.randn(r.shape, generator=torch.Generator().manual_seed(seed))
        c_skip, c_out, c_in, c_noise = preconditioning(torch.tensor(sigma))
        z = r + sigma * noise
        f = network.denoiser(c_in * z, torch.cat([x, mean], dim=1), c_noise.view(1))
        return float((f - (r - c_skip * z) / c_out).square().mean())


def silenced(network: torch.nn.Module) -> torch.nn.Module:
    """Copy of a diffusion model whose denoiser says F = 0: it samples white residuals r."""
    network = copy(network)
    network.sampler = lambda x: lambda noise: network.network(x) + network.rms * noise
    return network


def square_flux(images: np.ndarray, box: int) -> np.ndarray:
    """Flux in the central box x box pixels."""
    return photometry.central_square(images, box).sum(axis=(-2, -1), dtype=np.float64)


def scores(samples: np.ndarray, target: np.ndarray, scaling) -> dict[str, float]:
    """Energy score of stretched stamps, and median CRPS of central fluxes relative to them [%].

    `samples` (n, K, bands, H, W), `target` (n, bands, H, W) in nanomaggies; one sample is a point
    prediction, whose score is its error.
    """
    stretch = scaling.target.forward
    stretched, true = (
        stretch(torch.as_tensor(images)).flatten(1).numpy()
        for images in (samples.reshape(-1, *samples.shape[2:]), target)
    )
    stretched = stretched.reshape(*samples.shape[:2], -1).swapaxes(0, 1)
    found = {"energy score": float(calibration.energy_score(stretched, true).mean())}
    for box in (box for box in BOXES if box <= target.shape[-1]):
        fluxes, truth = (square_flux(images, box) for images in (samples, target))
        crps = calibration.crps(fluxes.swapaxes(0, 1).reshape(len(fluxes[0]), -1), truth.ravel())
        found[f"{box} px [%]"] = float(np.median(100 * crps / np.abs(truth.ravel())))
    return found


def central_column(images: np.ndarray, box: int) -> np.ndarray:
    """Mean column of the flux in the central box x box pixels, in pixels from their middle."""
    inside = photometry.central_square(images, box)
    columns = np.arange(box) - (box - 1) / 2
    return (inside * columns).sum(axis=(-2, -1)) / inside.sum(axis=(-2, -1))


def bright(samples: np.ndarray, box: int) -> np.ndarray:
    """Whether the mean flux of a box is at least `BRIGHT` times its scatter over the samples."""
    flux = square_flux(samples, box)
    return flux.mean(axis=1) >= BRIGHT * flux.std(axis=1, ddof=1)


def spread_ratio(samples, target, box: int, quantity: str = "flux") -> np.ndarray:
    """Scatter of a quantity of samples relative to the scatter of the truth about it, per band.

    `samples` (n, K, bands, H, W), `target` (n, bands, H, W). The quantity f of the central
    box x box pixels is their flux F, the colour F / <F> - F' / <F'> of neighbouring bands, or the
    position, `central_column`. With the mean <f> and standard deviation s of K samples,
    u = (f - <f>) / (s sqrt(1 + 1/K)) follows Student's t with K - 1 degrees of freedom if the truth
    is one of the samples. The ratio is median |t| / median |u - median u|: 1 is calibrated, 2 is
    samples that scatter twice too much. One sample has no scatter: NaN. Positions are of galaxies
    that are `bright`.
    """
    measure = central_column if quantity == "position" else square_flux
    found = [measure(x, box) for x in (samples, target[:, None])]
    if quantity == "colour":
        mean = found[0].mean(axis=1, keepdims=True)
        found = [-np.diff(flux / mean) for flux in found]
    sampled, true = found
    count = sampled.shape[1]
    if count < 2:
        return np.full(true.shape[-1], np.nan)
    width = sampled.std(axis=1, ddof=1) * np.sqrt(1 + 1 / count)
    u = (true[:, 0] - sampled.mean(axis=1)) / width
    if quantity == "position":  # divides by the flux: without one, u has no distribution
        u = np.where(bright(samples, box), u, np.nan)
    scatter = partial(photometry.robust_scatter, quartile=stdtrit(count - 1, 0.75))
    known = [x[np.isfinite(x)] for x in u.T]
    return np.array([1 / scatter(x) if len(x) > 1 else np.nan for x in known])


def calibration_table(samples: np.ndarray, target: np.ndarray, bands) -> pd.DataFrame:
    """Scatter over error of box fluxes, colours and positions, and corner noise; 1 is calibrated.

    A colour is in the column of its bluer band. Below positions: how many of the galaxies are
    `bright` enough for one, in per cent.
    """
    rows = {}
    for box in (box for box in BOXES if box <= target.shape[-1]):
        for quantity in ("flux", "colour", "position"):
            rows[f"{quantity}, {box} px"] = spread_ratio(samples, target, box, quantity)
        if samples.shape[1] > 1:
            rows[f"bright, {box} px [%]"] = 100 * bright(samples, box).mean(axis=0)
    rows["noise in corners"] = study.noise_ratio(samples[:, 0], target)
    return pd.DataFrame({name: dict(zip(bands, row, strict=False)) for name, row in rows.items()}).T


def long_trained(result, n: int, samples: int, seed: int = 0):
    """Study of n test galaxies by the kept weights of the long training, or None without any."""
    file = pretrained.weights_file("diffusion", result.task)
    pairs = result.pairs[slice(0, n)]
    if not file.exists() or pretrained.misfit(file):
        return None
    network = checkpoint.load_weights(file)
    if network.scaling.shape != pairs.target.shape[-2:]:
        return None
    images = translate(network, pairs.source, samples, seed)
    return replace(result, network=network, pairs=pairs, samples=images)


def ablation(result, n: int, seed: int = 0) -> pd.DataFrame:
    """Scores of the regression alone, of white residuals about it, and of the diffusion model."""
    pairs, network = result.pairs[slice(0, n)], result.network
    x = network.scaling.normalize(torch.as_tensor(pairs.source))
    with torch.no_grad():
        mean = network.scaling.denormalize(network(x)).numpy()[:, None]
    count = result.samples.shape[1]
    silent = translate(silenced(network), pairs.source, count, seed).reshape(
        result.samples[:n].shape
    )
    rows = {"regression alone": mean, "denoiser silent": silent, "diffusion": result.samples[:n]}
    return pd.DataFrame(
        {name: scores(images, pairs.target, network.scaling) for name, images in rows.items()}
    ).T


def steps_table(result, counts, n: int, seed: int = 0) -> pd.DataFrame:
    """Samples of n galaxies by fewer steps against those of the most: error, noise and time.

    The error is the rms difference in units of the target's sky noise, from the same white noise.
    """
    pairs, network, rows, images = result.pairs[slice(0, n)], copy(result.network), {}, {}
    sky = pairs.noise[:, 1, :, None, None]
    for steps in counts:
        network.steps = steps
        start = time.perf_counter()
        images[steps] = translate(network, pairs.source, seed=seed)
        seconds = (time.perf_counter() - start) / len(pairs)
        rows[steps] = {"ms a sample": 1e3 * seconds}
    for steps in counts:
        off = (images[steps] - images[max(counts)]) / sky
        rows[steps]["difference / σ"] = float(np.sqrt(np.median(np.square(off))))
        rows[steps] |= scores(images[steps][:, None], pairs.target, network.scaling)
    return pd.DataFrame(rows).T.rename_axis("sampling steps")


def block_power(images: np.ndarray, period: int) -> float:
    """Power at a spatial period in pixels relative to its neighbours; grain of blocks exceeds 1.

    Of images (..., H, W) whose sides are multiples of the period, along both axes: the geometric
    mean of the powers one wave number above and below is the reference.
    """
    ratios = []
    for axis in (-1, -2):
        power = np.abs(np.fft.rfft(images, axis=axis)) ** 2
        power = np.moveaxis(power, axis, -1).reshape(-1, power.shape[axis]).mean(axis=0)
        k = images.shape[axis] // period
        ratios.append(power[k] / np.sqrt(power[k - 1] * power[min(k + 1, len(power) - 1)]))
    return float(np.mean(ratios))
