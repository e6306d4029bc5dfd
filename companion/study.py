"""Shared by the chapters on the translators: train, translate, compare with baselines, draw.

Artefacts are made by galtools alone: an edit of this module retrains nothing.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import SymmetricalLogLocator

from companion import comparison, paths, plotting
from galtools import data
from galtools.data import Pairs, photometry
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import intervals
from galtools.models import checkpoint
from galtools.models.psf_matching import match_psf, wiener_deconvolve
from galtools.surveys import BANDS, reference_band
from galtools.training import train, translate

SHOWN = 4  # galaxies in a figure of examples
PART = 64  # galaxies at a time
R_BAND = BANDS.index("r")
HEADINGS = {  # of the table of errors
    "chi": "residual / σ",
    "typical": "median galaxy / σ",
    "bias": "bias [%]",
    "scatter": "scatter [%]",
    "colour": "colour [%]",
}


@dataclass
class Study:
    """One trained model and its translations of the test galaxies."""

    model: str
    task: str
    network: torch.nn.Module
    history: pd.DataFrame  # one row per validation
    seconds: float  # of the training
    pairs: Pairs  # the test galaxies
    samples: np.ndarray  # (n, K, 5, H, W) nanomaggies
    again: np.ndarray | None  # a repeat observation of the targets; real galaxies have none

    @property
    def translated(self) -> np.ndarray:
        """The first sample, (n, 5, H, W)."""
        return self.samples[:, 0]

    @property
    def band(self) -> int:
        """Index of the band that is shown alone: r, or else the central one."""
        bands = self.pairs.target_set.bands
        return bands.index(reference_band(bands))

    @property
    def floor(self) -> np.ndarray:
        """Translation without learning: the source on the target's grid."""
        scaling = self.network.scaling
        return lanczos_resample(self.pairs.source, scaling.size, scaling.step)

    @property
    def best(self) -> np.ndarray:
        """The best single estimate, (n, 5, H, W): the mean of several samples."""
        return self.samples.mean(axis=1) if self.samples.shape[1] > 1 else self.translated

    @cached_property
    def errors(self) -> dict[str, dict[str, intervals.Estimate]]:
        """Errors of the translations and of the baselines, with their intervals."""
        rows = {plotting.MODEL_NAME.get(self.model, self.model): self.translated}
        if self.samples.shape[1] > 1:
            rows["Mean of samples"] = self.best
        rows["Resampling"] = self.floor
        if self.task == "cross":  # within one survey there is nothing to match
            rows |= {"PSF matching": psf_matched(self), "Wiener filter": deconvolved(self)}
        if self.again is not None:
            rows["Repeat observation"] = self.again
        return {name: error_estimates(images, self.pairs) for name, images in rows.items()}


def run(results, profile, model, task, seed, settings, samples: int = 1, mean=None) -> Study:
    """Train and translate what has not been trained and translated yet; load the rest.

    `mean` is the file of the regression network that a diffusion model samples about; if it is not
    given, the residual network of these results.
    """
    store = paths.Results(results, profile, kept=False)
    splits = ("train", "valid", "test")
    learn, valid, test = (paths.need(store.data(split), "01_two_surveys") for split in splits)
    again = store.data("again")

    if profile == "long":  # for curves of what the time brought
        settings = replace(settings, checks=12, snapshots=True)
    test_pairs = data.for_task(data.load(test), task)
    build = {"name": model, "task": task, "profile": profile}
    bands = tuple(len(s.bands) for s in (test_pairs.source_set, test_pairs.target_set))
    if bands != (len(BANDS),) * 2:
        build["bands"] = bands
    if model == "diffusion":
        mean = paths.need_of(mean or store.weights(task, "residual", seed), "residual")
    made = train.train_cached(store.model(task, model, seed), build, settings, learn, valid, mean)
    weights, translations = store.weights(task, model, seed), store.translations(task, model, seed)
    translate.translate_cached(translations, weights, test, samples, seed)
    return Study(
        model,
        task,
        checkpoint.load_weights(weights),
        pd.DataFrame(made["extra"]["history"]),
        made["extra"]["history"][-1]["seconds"],
        test_pairs,
        translate.load_translations(translations, None),
        comparison.load_again(again, test_pairs, task).target if again.exists() else None,
    )


def psf_matched(study: Study) -> np.ndarray:
    """Baseline without learning: the source under the median seeing of the target's survey."""
    sets = (study.pairs.source_set, study.pairs.target_set)
    seeings, scale = [s.instrument.psf_fwhm for s in sets], sets[1].pixel_scale
    parts = torch.as_tensor(study.floor).split(PART)
    return torch.cat([match_psf(part, scale, *seeings) for part in parts]).numpy()


def deconvolved(study: Study) -> np.ndarray:
    """Baseline without learning: the source, Wiener deconvolved to the target's median seeing."""
    pairs, scaling = study.pairs, study.network.scaling
    sets = (pairs.source_set, pairs.target_set)
    optics = (sets[0].pixel_scale, *(s.instrument.psf_fwhm for s in sets))
    images, noise = (torch.as_tensor(x).split(PART) for x in (sets[0].images, sets[0].noise))
    sharp = [wiener_deconvolve(part, s, *optics) for part, s in zip(images, noise, strict=True)]
    return lanczos_resample(torch.cat(sharp), scaling.size, scaling.step).numpy()


def corner_noise(images: np.ndarray) -> np.ndarray:
    """Standard deviation in a corner, a sixth of the side, of images (..., H, W)."""
    width = images.shape[-1] // 6
    return images[..., :width, :width].std(axis=(-2, -1))


def noise_ratio(images: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Noise in the corners of (n, bands, H, W) relative to the target's, median, per band."""
    return np.median(corner_noise(images) / corner_noise(target), axis=0)


def mean_squares(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Mean over pixels and bands of ((y' - y) / sky)^2, per galaxy."""
    chi = (images - valid_target(images, pairs)) / pairs.noise[:, 1, :, None, None]
    return np.mean(np.square(chi, dtype=np.float64), axis=(1, 2, 3))


def valid_target(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Target of the images, replaced by the images themselves in masked pixels."""
    bad = pairs.bad[1]
    return pairs.target if bad is None else np.where(bad, images, pairs.target)


def error_estimates(images: np.ndarray, pairs: Pairs) -> dict[str, intervals.Estimate]:
    """Validation metrics with their 95 % intervals over galaxies.

    `chi` is the root mean square residual of all pixels in units of the sky noise, `typical` that
    of the median galaxy. With d = 100 (F' - F) / F of the central flux, `bias` is |median d| and
    `scatter` 1.4826 median |d - median d|, both means over bands; `colour` is that scatter of the
    flux ratios of neighbouring bands, if there are two.
    """
    chi2 = mean_squares(images, pairs)
    flux, truth = map(photometry.central_flux, (images, valid_target(images, pairs)))
    ratio = (flux / truth).T
    d, colour = 100 * (ratio - 1), 100 * (ratio[:-1] / ratio[1:] - 1)
    estimates = {
        "chi": intervals.bootstrap(intervals.rms, chi2),
        "typical": intervals.bootstrap(lambda x: np.sqrt(intervals.median(x)), chi2),
        "bias": intervals.bootstrap(lambda x: np.abs(intervals.median(x)).mean(axis=0), d),
        "scatter": intervals.bootstrap(scatter, d),
    }
    if len(colour):
        estimates["colour"] = intervals.bootstrap(scatter, colour)
    return estimates


def scatter(values: np.ndarray) -> np.ndarray:
    """Robust scatter over galaxies, mean over bands."""
    return intervals.robust_scatter(values).mean(axis=0)


def error_table(study: Study) -> pd.DataFrame:
    """Table of the errors on the test galaxies: value (low, high).

    Within one survey resampling gives the very image that is asked for, and is left out.
    """
    trivial = {"Resampling"} if study.task == "intra" else set()
    return tabulate({name: row for name, row in study.errors.items() if name not in trivial})


def tabulate(rows: dict[str, dict[str, intervals.Estimate]]) -> pd.DataFrame:
    """Table of errors, a line per row."""
    cells = {
        row: {HEADINGS[k]: str(found) for k, found in errors.items()}
        for row, errors in rows.items()
    }
    return pd.DataFrame(cells).T


def margin(study: Study) -> intervals.Estimate:
    """Residual of the baseline less that of the best estimate.

    The baseline is resampling, and within one survey the repeat observation.
    """
    baseline = study.floor if study.task == "cross" else study.again
    if baseline is None:
        return intervals.Estimate(np.nan, np.nan, np.nan, 0)
    ours, theirs = (mean_squares(images, study.pairs) for images in (study.best, baseline))
    return intervals.paired_difference(intervals.rms, theirs, ours)


def quoted_numbers(study: Study) -> dict:
    """Numbers and words that the chapters quote, by names that start with the model's."""
    table, beaten = study.errors, margin(study)
    ours, best = next(iter(table.values())), table.get("Mean of samples")
    values = {
        "chi": ours["chi"].value,
        "chi_best": (best or ours)["chi"].value,
        "chi_floor": table["Resampling"]["chi"].value,
        "noise": noise_ratio(study.translated, study.pairs.target)[study.band],
        "seconds": study.seconds,
    }
    texts = {f"{name}_interval": str(e) for name, e in ours.items()}
    texts |= {
        "margin": str(beaten),
        "task": study.task,
        "guess": "the mean of its samples" if best else "a single sample",
        "yardstick": "resampling" if study.task == "cross" else "a repeat observation",
        "test": intervals.verdict(beaten),
        "n": len(study.pairs),
    }
    quoted = {name: float(value) for name, value in values.items()} | texts
    return {f"{study.model}_{name}": value for name, value in quoted.items()}


def training_curve(study: Study):
    """Draw the terms of the loss and the validation residual against the training step."""
    history, groups = study.history, study.network.optimizer_groups()
    terms = [name for name in history if name.split("_")[0] in groups and "_" in name]
    fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.2))
    fig.get_layout_engine().set(wspace=0.08)
    shades = plt.cm.cividis(np.linspace(0, 0.9, len(terms)))  # colours of the book are of models
    for name, marker, shade in zip(terms, "osD^vPX*", shades, strict=False):
        label = name.split("_", 1)[1] if len(groups) == 1 else name.replace("_", " ")
        left.plot(history["step"], history[name], marker=marker, color=shade, label=label)
    left.set(xlabel="step", ylabel="loss since last point")
    negative = (history[terms] < -0.01).any().any()  # likelihoods: fewer, wider ticks
    low, ticks = (0.1, (1, 3)) if negative else (0.01, (1, 2, 5))
    if history[terms].max().max() < 8 * history[terms].min().min():  # less than a decade
        ticks = (1, 2, 3, 4, 5, 7)
    left.set_yscale("symlog", linthresh=low)
    left.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=low, subs=ticks))
    left.yaxis.set_major_formatter("{x:g}")
    fig.legend(loc="outside upper center", ncols=2, fontsize=9)
    style = {**plotting.model_style(study.model), "label": None}
    right.plot(history["step"], history["chi"], **style)
    right.set(
        xlabel="step",
        ylabel=r"validation residual / $\sigma$",
        ylim=(0, 1.08 * history["chi"].max()),
    )
    title = f"up to {min(train.VALID, len(study.pairs))} galaxies"
    right.set_title(title, fontsize=10, fontweight="normal")
    return fig


def examples(study: Study):
    """Draw source, translation, target and the r-band residual of galaxies, bright to faint."""
    order = np.argsort(-study.pairs.target[:, study.band].sum(axis=(1, 2)))
    chosen = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int)]
    target, band = study.pairs.target, study.band
    rows = {"source": study.floor, "translated": study.translated, "target": target}
    off = (study.translated - target)[chosen, band]
    residual = off / study.pairs.noise[chosen, 1, band, None, None]
    return plotting.stamps(
        [images[chosen] for images in rows.values()],
        list(rows),
        residual=(f"residual, {study.pairs.target_set.bands[band]}", residual),
    )


def noise_histogram(study: Study):
    """Draw histograms of the noise in a corner of each stamp, r band, in units of the sky noise."""
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.8))
    for name, images in (("target", study.pairs.target), (study.model, study.translated)):
        noise = corner_noise(images[:, study.band]) / study.pairs.noise[:, 1, study.band]
        style = plotting.model_style(name, n=len(noise))
        style = {"color": style["color"], "label": style["label"], "linewidth": 2}
        ax.hist(np.clip(noise, 0, 2), np.linspace(0, 2, 41), histtype="step", **style)
    ax.set(
        xlabel=r"noise in a corner / sky noise $\sigma$ (last bin: 2 or more)", ylabel="galaxies"
    )
    fig.legend(loc="outside upper center", ncols=2)
    return fig
