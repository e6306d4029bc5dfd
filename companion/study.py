"""What the chapters on the translators have in common: train, translate, compare, draw.

A figure drawn here is no part of a training: an edit of this module retrains nothing.
"""

from dataclasses import dataclass
from functools import cached_property

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import SymmetricalLogLocator
from scipy.special import stdtrit

from companion import paths, plotting
from galtools import data
from galtools.data import Pairs, photometry
from galtools.data.resampling import lanczos_resample
from galtools.fidelity import intervals
from galtools.fidelity.intervals import Verdict
from galtools.models.psf_matching import match_psf
from galtools.surveys import BANDS, CFHTLS, SDSS
from galtools.training import train, translate

SHOWN = 4  # galaxies in a figure of examples
PART = 64  # galaxies at a time
R_BAND = BANDS.index("r")
HEADINGS = {  # of the table of errors
    "chi": "residual / σ",
    "typical": "median galaxy / σ",
    "bias": "bias [%]",
    "scatter": "scatter [%]",
}
OUTCOMES = {
    Verdict.SUPPORTED: "passed",
    Verdict.CONTRADICTED: "failed",
    Verdict.INCONCLUSIVE: "undecided",
}


@dataclass
class Study:
    """One trained model and its translations of the test galaxies."""

    model: str
    task: str
    network: torch.nn.Module
    history: pd.DataFrame  # one row per validation
    seconds: float  # of training, when it was done
    pairs: Pairs  # the test galaxies
    draws: np.ndarray  # (n, K, 5, H, W) nanomaggies
    again: np.ndarray | None  # the targets observed a second time; of real galaxies, none is

    @property
    def translated(self) -> np.ndarray:
        """The first draw, (n, 5, H, W)."""
        return self.draws[:, 0]

    @property
    def floor(self) -> np.ndarray:
        """Translation without learning: the source on the target's grid."""
        scaling = self.network.scaling
        return lanczos_resample(self.pairs.source, scaling.size, scaling.step)

    @property
    def best(self) -> np.ndarray:
        """The best guess, (n, 5, H, W): the mean of the draws, where there are several."""
        return self.draws.mean(axis=1) if self.draws.shape[1] > 1 else self.translated

    @cached_property
    def judged(self) -> dict[str, dict[str, intervals.Estimate]]:
        """Errors of the translations and of what needs no training, with their intervals."""
        rows = {plotting.MODEL_NAME[self.model]: self.translated}
        if self.draws.shape[1] > 1:
            rows["Mean draw"] = self.best
        rows |= {"Resampling": self.floor, "PSF matching": psf_matched(self)}
        if self.again is not None:
            rows["Seen again"] = self.again
        return {name: error_estimates(images, self.pairs) for name, images in rows.items()}


def run(results, profile, model, task, seed, settings, samples: int = 1) -> Study:
    """Train and translate what has not been trained and translated yet; load the rest."""
    store = paths.Results(results, profile)
    files = {
        split: paths.need(store.data(split), "01_two_surveys")
        for split in ("train", "valid", "test")
    }
    again = store.data("again")

    def load(path):
        return data.for_task(data.load(path), task)

    build = {"name": model, "task": task, "profile": profile}
    folder = store.model(task, model, seed)
    made = train.train_cached(folder, build, settings, load, files["train"], files["valid"])
    weights, translations = store.weights(task, model, seed), store.translations(task, model, seed)
    translate.translate_cached(translations, weights, load, files["test"], samples, seed)
    return Study(
        model,
        task,
        translate.load_weights(weights),
        pd.DataFrame(made["extra"]["history"]),
        made["seconds"],
        load(files["test"]),
        translate.load_translations(translations, None),
        load(again).target if again.exists() else None,
    )


def psf_matched(study: Study) -> np.ndarray:
    """Baseline without learning: the source under the seeing of the target's survey."""
    if study.task == "intra":
        return study.floor
    pixel_scale = SDSS.pixel_scale * study.network.scaling.step
    parts = torch.as_tensor(study.floor).split(PART)
    seeings = (SDSS.psf_fwhm, CFHTLS.psf_fwhm)
    return torch.cat([match_psf(part, pixel_scale, *seeings) for part in parts]).numpy()


def diversity(study: Study) -> float:
    """Return how much translations differ from galaxy to galaxy, relative to how much truth does.

    With the stretched images y of all galaxies, <var(y')> / <var(y)> of each pixel over galaxies:
    zero for a generator that has collapsed onto one image.
    """
    forward = study.network.scaling.target.forward
    ours, truth = (forward(torch.as_tensor(images)).var(dim=0).mean()
                   for images in (study.translated, study.pairs.target))  # fmt: skip
    return float(ours / truth)


def spread_ratio(draws: np.ndarray, target: np.ndarray, box: int) -> np.ndarray:
    """How far draws spread their fluxes, relative to how far the truth lies from them, per band.

    `draws` (n, K, bands, H, W), `target` (n, bands, H, W), fluxes in the central box x box pixels.
    With the mean f and the deviation s of K fluxes, u = (F - f) / (s sqrt(1 + 1/K)) follows
    Student's t with K - 1 degrees of freedom if the truth is one of the draws. The ratio is
    median |t| / median |u - median u|: one is calibrated, two is draws that differ twice too much.
    One draw has no spread: NaN.
    """
    return _over_error(_central(draws, box), _central(target, box))


def colour_ratio(draws: np.ndarray, target: np.ndarray, box: int) -> np.ndarray:
    """The same for the colour of each two neighbouring bands.

    A colour changes by F / f - F' / f', with the mean fluxes f and f' of a galaxy's draws. Draws
    whose bands err each for itself, while those of the truth err together, have too wide ones.
    """
    drawn, true = _central(draws, box), _central(target, box)[:, None]
    mean = drawn.mean(axis=1, keepdims=True)
    drawn, true = (f[..., :-1] / mean[..., :-1] - f[..., 1:] / mean[..., 1:] for f in (drawn, true))
    return _over_error(drawn, true[:, 0])


def _central(images, box):
    """Fluxes (..., bands) in the central box x box pixels."""
    return photometry.central_flux(images, box / images.shape[-1])


def _over_error(drawn, true):
    """Ratio of `spread_ratio`, of numbers (n, K, bands) that were drawn and the true ones."""
    count = drawn.shape[1]
    if count < 2:
        return np.full(true.shape[1], np.nan)
    width = drawn.std(axis=1, ddof=1) * np.sqrt(1 + 1 / count)
    u = (true - drawn.mean(axis=1)) / width
    return 1 / photometry.robust_scatter(u, axis=0, quartile=stdtrit(count - 1, 0.75))


def noise_ratio(images: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Noise in the corners of (n, bands, H, W) relative to the target's, median, per band."""
    corner = np.s_[..., : target.shape[-1] // 6, : target.shape[-1] // 6]
    ours, theirs = (stack[corner].std(axis=(-2, -1)) for stack in (images, target))
    return np.median(ours / theirs, axis=0)


def masked_target(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Target of the images; where it does not count, the images themselves."""
    bad = pairs.bad[1]
    return pairs.target if bad is None else np.where(bad, images, pairs.target)


def mean_squares(images: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Mean over pixels and bands of ((y' - y) / sky)^2, per galaxy."""
    chi = (images - masked_target(images, pairs)) / pairs.noise[:, 1, :, None, None]
    return np.mean(np.square(chi, dtype=np.float64), axis=(1, 2, 3))


def error_estimates(images: np.ndarray, pairs: Pairs) -> dict[str, intervals.Estimate]:
    """Estimate the numbers of `train.judge` with their 95 % intervals over galaxies.

    `chi` is the root mean square residual of all pixels in units of the sky noise, `typical` that
    of the median galaxy. With d = 100 (F' - F) / F of the central flux, `bias` is |median d| and
    `scatter` 1.4826 median |d - median d|, both means over bands.
    """
    chi2 = mean_squares(images, pairs)
    d = (
        100
        * (
            photometry.central_flux(images) / photometry.central_flux(masked_target(images, pairs))
            - 1
        ).T
    )
    return {
        "chi": intervals.bootstrap(intervals.rms, chi2),
        "typical": intervals.bootstrap(lambda x: np.sqrt(intervals.median(x)), chi2),
        "bias": intervals.bootstrap(lambda x: np.abs(intervals.median(x)).mean(axis=0), d),
        "scatter": intervals.bootstrap(lambda x: intervals.robust_scatter(x).mean(axis=0), d),
    }


def error_table(study: Study) -> pd.DataFrame:
    """Lay out the errors on the test galaxies, in words: value (low, high).

    Within one survey resampling is the image that is asked for, and left out.
    """
    left_out = ("Resampling", "PSF matching") if study.task == "intra" else ()
    cells = {
        row: {HEADINGS[name]: str(found) for name, found in errors_of.items()}
        for row, errors_of in study.judged.items()
        if row not in left_out
    }
    return pd.DataFrame(cells).T


def margin(study: Study) -> intervals.Estimate:
    """By how much the best guess leaves less residual than what it has to beat.

    That is resampling, and within one survey the second observation.
    """
    yardstick = study.floor if study.task == "cross" else study.again
    ours = mean_squares(study.best, study.pairs)
    if yardstick is None:
        return intervals.Estimate(np.nan, np.nan, np.nan, 0)
    return intervals.paired_difference(intervals.rms, mean_squares(yardstick, study.pairs), ours)


def training_curve(study: Study):
    """Draw the terms of the loss and the validation residual against the training step."""
    history, groups = study.history, study.network.optimizer_groups()
    terms = [name for name in history if name.split("_")[0] in groups and "_" in name]
    fig, (left, right) = plt.subplots(1, 2, figsize=(plotting.WIDTH, 3.2))
    fig.get_layout_engine().set(wspace=0.08)
    alone = len(groups) == 1
    shades = plt.cm.cividis(np.linspace(0, 0.9, len(terms)))  # colours of the book are of models
    for name, marker, shade in zip(terms, "osD^vPX*", shades, strict=False):
        label = name.split("_", 1)[1] if alone else name.replace("_", " ")
        left.plot(history["step"], history[name], marker=marker, color=shade, label=label)
    left.set(xlabel="step", ylabel="loss since last point")
    signed = (history[terms] < -0.01).any().any()  # likelihoods may be: fewer, wider steps
    low, steps = (0.1, (1, 3)) if signed else (0.01, (1, 2, 5))
    left.set_yscale("symlog", linthresh=low)
    left.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=low, subs=steps))
    left.yaxis.set_major_formatter("{x:g}")
    fig.legend(loc="outside upper center", ncols=2, fontsize=9)
    style = {
        "color": plotting.MODEL_COLOUR[study.model],
        "marker": plotting.MODEL_MARKER[study.model],
    }
    right.plot(history["step"], history["chi"], **style)
    n = min(train.VALID, len(study.pairs))
    top = 1.08 * history["chi"].max()
    right.set(xlabel="step", ylabel="validation residual / σ", ylim=(0, top))
    right.set_title(f"up to {n} galaxies", fontsize=10, fontweight="normal")
    return fig


def examples(study: Study):
    """Draw source, translation, target and the r-band residual of galaxies, bright to faint."""
    order = np.argsort(-study.pairs.target[:, R_BAND].sum(axis=(1, 2)))
    chosen = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int)]
    rows = {
        "source": study.floor[chosen],
        "translated": study.translated[chosen],
        "target": study.pairs.target[chosen],
    }
    side = plotting.WIDTH / (len(chosen) + 0.2)
    fig, axes = plt.subplots(
        4, len(chosen), figsize=(plotting.WIDTH, 4.2 * side + 0.7), squeeze=False
    )
    fig.get_layout_engine().set(w_pad=0.015, h_pad=0.015, hspace=0, wspace=0)
    for line, (label, images) in zip(axes, rows.items(), strict=False):
        for ax, picture in zip(line, plotting.lupton(images), strict=True):
            ax.imshow(picture)
            plotting.clean(ax)
        line[0].set_ylabel(label)
    for ax, galaxy in zip(axes[3], chosen, strict=True):
        picture = plotting.residual_map(
            study.translated[galaxy, R_BAND],
            study.pairs.target[galaxy, R_BAND],
            study.pairs.noise[galaxy, 1, R_BAND],
            ax,
        )
    axes[3, 0].set_ylabel("residual, r")
    label = "(translation − truth) / noise σ"
    fig.colorbar(picture, ax=axes, location="bottom", extend="both", shrink=0.7, label=label)
    return fig


def corner_noise(study: Study):
    """Draw histograms of the noise in the corner of each stamp, r band, in units of the sky's."""
    sky = study.pairs.noise[:, 1, R_BAND]
    corner = np.s_[
        :, R_BAND, : study.pairs.target.shape[-1] // 6, : study.pairs.target.shape[-1] // 6
    ]
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 2.8))
    for name, images in (("target", study.pairs.target), (study.model, study.translated)):
        noise = np.clip(images[corner].std(axis=(1, 2)) / sky, 0, 2)
        style = {"color": plotting.MODEL_COLOUR[name], "histtype": "step", "linewidth": 2}
        label = plotting.with_n(plotting.MODEL_NAME[name], len(noise))
        ax.hist(noise, np.linspace(0, 2, 41), label=label, **style)
    ax.set(xlabel="noise in the corner / sky noise σ (last bin: 2 and more)", ylabel="galaxies")
    fig.legend(loc="outside upper center", ncols=2)
    return fig


def quoted_numbers(study: Study) -> dict:
    """Return what the chapters quote, by names that start with the model's.

    Floats of their own, and with their intervals in words.
    """
    table, beaten = study.judged, margin(study)
    ours, best = next(iter(table.values())), table.get("Mean draw")
    values = {
        **{name: found.value for name, found in ours.items()},
        "chi_best": (best or ours)["chi"].value,
        "chi_floor": table["Resampling"]["chi"].value,
        "chi_matched": table["PSF matching"]["chi"].value,
        "chi_again": table["Seen again"]["chi"].value if "Seen again" in table else np.nan,
        "scatter_floor": table["Resampling"]["scatter"].value,
        "noise": noise_ratio(study.translated, study.pairs.target)[R_BAND],
        "seconds": study.seconds,
    }
    words = {f"{name}_interval": str(found) for name, found in ours.items()}
    words |= {"margin": str(beaten), "task": study.task}
    words["guess"] = "the mean of its draws" if best else "the only draw"
    words["yardstick"] = "resampling" if study.task == "cross" else "a second observation"
    words["test"] = OUTCOMES[intervals.verdict(beaten, (0, np.inf))]
    quoted = {name: float(value) for name, value in values.items()} | words
    return {f"{study.model}_{k}": v for k, v in quoted.items()} | {
        f"{study.model}_n": len(study.pairs)
    }
