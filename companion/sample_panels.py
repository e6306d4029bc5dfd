"""Figures and tables of the chapter on the models' spread: ranks, coverage, averages of draws."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from companion import panels, plotting, predictive_samples, sample_statistics
from galtools.fidelity import calibration, intervals

LEVELS = np.linspace(0, 1, 21)
COLOURS = {name: plotting.BAND_COLOUR[name[-1]] for name in sample_statistics.FLUXES}
BESIDE = {"too wide": "above", "too narrow": "below"}  # words on ratios other than spread to error


def named(words: dict, word: str) -> str:
    """List the things on which a word was said."""
    return "; ".join(thing for thing, said in words.items() if said == word) or "none"


def count_label(values) -> str:
    """Say on how many galaxies, the last axis of each of `values`, a figure rests."""
    return panels.sample_size(pd.DataFrame({"n": [np.shape(x)[-1] for x in values]}))


def sample_sizes(estimates: dict) -> str:
    """Say on how many galaxies {(thing, seed): Estimate} rest."""
    return panels.sample_size(pd.DataFrame({"n": [e.n for e in estimates.values()]}))


def tidy(kinds: dict) -> pd.DataFrame:
    """One line for every number of {metric: {(quantity, seed): Estimate}}."""
    return pd.DataFrame(
        {"metric": metric, "quantity": quantity, "seed": k, **vars(e)}
        for metric, found in kinds.items()
        for (quantity, k), e in found.items()
    )


def rank_histograms(found, count: int):
    """Draw places of the truth among `count` draws, {quantity: (n,)}, a histogram each."""
    fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 4.8), sharex=True, sharey=True)
    for ax, (quantity, places) in zip(axes.flat, found.items(), strict=True):
        bins = count + 1
        chance = 1.96 * np.sqrt(count / max(len(places), 1))
        style = {"density": True, "color": plotting.MODEL_COLOUR["diffusion"]}
        ax.hist(places, bins, range=(0, 1), **style)
        ax.axhspan(max(1 - chance, 0), 1 + chance, color="black", alpha=0.15, linewidth=0)
        ax.axhline(1, color="black", linestyle="--", linewidth=1)
        ax.set_title(quantity)
    text = f"place of the truth among the draws ({count_label(found.values())})"
    fig.supxlabel(text, fontsize=11)
    fig.supylabel("density", fontsize=11)
    return fig


def ratios(ratio, words, ranked) -> pd.DataFrame:
    """Lay out {(quantity, seed): Estimate} with what is said of each quantity."""
    seeds = sorted({k for _, k in ratio})
    columns = {f"spread / error, seed {k}": [str(ratio[q, k]) for q in words] for k in seeds}
    columns |= {"the draws are": words.values(), "their ranks are": ranked.values()}
    return pd.DataFrame(columns, index=list(words))


def coverage(found, n_boot: int, seed: int):
    """Draw how often central regions hold the truth, from places {label: (n,)}."""
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 4.2))
    ax.axline((0, 0), slope=1, color="black", linewidth=1)
    for (name, places), style in zip(found.items(), ("-", "--", "-.", ":"), strict=True):
        inside = calibration.coverage(places, LEVELS)
        limits = [intervals.bootstrap(intervals.mean, x, n_boot, seed) for x in inside]
        y, low, high = np.array([(e.value, e.low, e.high) for e in limits]).T
        line = plotting.band(ax, LEVELS, y, low, high, label=plotting.with_n(name, len(places)))
        line.set_linestyle(style)
    labels = {"xlabel": "share that should hold the truth", "ylabel": "share that holds the truth"}
    ax.set(**labels, xlim=(0, 1), ylim=(0, 1))
    ax.legend()
    return fig


def tests(places, verdicts) -> pd.DataFrame:
    """Lay out the p values of places {(set, seed): (n,)} with the verdicts {set: word}."""
    seeds = sorted({k for _, k in places})
    p = {key: calibration.pvalue(values) for key, values in places.items()}
    shown = {key: f"{value:.2g}" if np.isfinite(value) else "–" for key, value in p.items()}
    columns = {f"p, seed {k}": [shown[name, k] for name in verdicts] for k in seeds}
    return pd.DataFrame({**columns, "the draws are": verdicts.values()}, index=list(verdicts))


def seed_columns(columns: dict) -> pd.DataFrame:
    """Lay out {title: {(quantity, seed): Estimate}} of seed 0, and what all seeds say to 1."""
    cells, quantities = {}, list(predictive_samples.width_verdicts(list(columns.values())[-1]))
    for number, (title, ratio) in enumerate(columns.items()):
        said = predictive_samples.width_verdicts(ratio)
        cells[title] = [str(ratio[q, 0]) for q in quantities]
        # the second heading differs by a space, since columns need different names
        cells["it lies" + " " * number] = [BESIDE.get(said[q], said[q]) for q in quantities]
    return pd.DataFrame(cells, index=quantities)


def by_model(ratio) -> pd.DataFrame:
    """Lay out {((model, quantity), seed): Estimate} of seed 0, with the word on all seeds."""
    cells = {}
    for (model, quantity), said in predictive_samples.width_verdicts(ratio).items():
        text = f"{ratio[(model, quantity), 0]} {said}"
        cells.setdefault(quantity, {})[plotting.MODEL_NAME[model]] = text
    return pd.DataFrame(cells)


def averages(found, n_boot: int, seed: int):
    """Draw squared errors of means of K draws over the limit, {quantity: (draws, truth)}."""
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.8))
    line = np.geomspace(1, 64, 50)
    for k, ((quantity, (many, true)), marker) in enumerate(
        zip(found.items(), "osDv", strict=False)
    ):
        counts = sample_statistics.powers(len(many))
        spread, limit = predictive_samples.limit_of_averages(many, true).mean(axis=1)
        errors = calibration.errors_of_averages(many, true, counts)
        shares = [intervals.divide(e, limit) for e in errors.values()]
        points = [intervals.bootstrap(intervals.mean, x, n_boot, seed) for x in shares]
        y, low, high = np.array([(e.value, e.low, e.high) for e in points]).T
        beside = np.asarray(counts) * 1.06 ** (k - 1.5)  # or the symbols would hide each other
        bars = ax.errorbar(beside, y, yerr=[y - low, high - y], fmt=marker, label=quantity)
        curve = 1 + intervals.divide(spread, limit) / line
        ax.plot(line, curve, color=bars[0].get_color(), linewidth=1)
    ax.set(xscale="log", ylabel="(error of the mean)² / M")
    ax.set_xlabel(f"draws K ({count_label(true for _, true in found.values())})")
    ax.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    ax.minorticks_off()
    ax.legend()
    return fig


def mean_images(averaged, truth, noise, n_boot: int, seed: int) -> pd.DataFrame:
    """Lay out what mean images show: averaged (sizes, n, 13), truth (n, 13), noise (sizes, n)."""
    lines = {}
    for quantity in ("peak, r", "total light, r"):
        column = sample_statistics.QUANTITIES.index(quantity)
        off = averaged[..., column] - truth[: averaged.shape[1], column]
        found = [intervals.bootstrap(intervals.median, x, n_boot, seed) for x in off]
        lines[f"{quantity}, minus the truth (mag)"] = [str(e) for e in found]
    lines["noise of the corners / σ, r"] = [f"{np.median(x):.2f}" for x in noise]
    return pd.DataFrame(lines, index=[f"mean of {2**k}" for k in range(len(noise))]).T
