"""Figures of the chapter on the limit: single posteriors, learning curves, and losses in parts."""

import matplotlib.pyplot as plt
import numpy as np

from companion import plotting
from galtools.redshift import Grid

SURVEYS = {"source": "SDSS", "target": "CFHTLS"}
PARTS = {  # of the loss: label and colour
    "irreducible": ("irreducible: not in the source", plotting.SURVEY_COLOUR["CFHTLS"]),
    "estimator": ("estimator: not found in the source", plotting.SURVEY_COLOUR["SDSS"]),
    "translator": ("translator: found in the source only", "black"),
}


def _error(e):
    return [[e.value - e.low], [e.high - e.value]]


def posteriors(found, chosen):
    """Draw the exact posteriors of some galaxies, a panel each, as both surveys give them."""
    fig, axes = plt.subplots(len(chosen), 1, figsize=(plotting.WIDTH, 1.5 * len(chosen) + 0.8))
    grid = Grid()
    for ax, galaxy in zip(np.atleast_1d(axes), chosen, strict=True):
        for side, name in SURVEYS.items():
            mean, scatter = (found[side][k][galaxy] for k in ("local_mean", "local_scatter"))
            colour = plotting.SURVEY_COLOUR[name]
            exact = found[side]["density"][galaxy].mean(axis=0) * grid.bins / grid.z_max
            ax.plot(grid.centres, exact, color=colour, label=f"{name}, exact")
            bell = np.exp(-0.5 * ((grid.centres - mean) / scatter) ** 2)
            style = {"color": colour, "ls": ":", "label": f"{name}, local"}
            ax.plot(grid.centres, bell / scatter / np.sqrt(2 * np.pi), **style)
        z = found["source"]["z"][galaxy]
        ax.axvline(z, color="black", linewidth=1, label="true redshift")
        wide = 6 * max(found[side]["scatter"][galaxy] for side in SURVEYS)
        ax.set(xlim=(max(z - wide, 0), z + wide), yticks=[], ylabel="p(z)")
    ax.set_xlabel("redshift z")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


def learning_panel(curves, limits):
    """Draw bits against the number of galaxies learnt from: {survey: {(size, seed): Estimate}}.

    `limits` {survey: Estimate} are the exact ones: a line with its interval.
    """
    fig, axes = plt.subplots(1, len(curves), figsize=(plotting.WIDTH, 3.3), sharey=True)
    for ax, (name, found) in zip(axes, curves.items(), strict=True):
        colour, limit = plotting.SURVEY_COLOUR[name], limits[name]
        for (size, k), e in found.items():
            x = size * 1.12 ** (k - 0.5)
            ax.errorbar(x, e.value, yerr=_error(e), fmt=plotting.SEED_MARKER[k % 4], color=colour)
        ax.axhline(limit.value, color="black", linestyle="--", linewidth=1.2)
        ax.axhspan(limit.low, limit.high, color="0.9", zorder=0)
        ax.set(xscale="log", xlabel="galaxies learnt from", title=f"{name} (n = {limit.n})")
        sizes = sorted({size for size, _ in found})
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("bits of redshift")
    return fig


def split_panel(table):
    """Draw the parts of the loss of every model of `split_losses`, a symbol per seed."""
    models = list(dict.fromkeys(table.row))
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.75 * len(models) + 1.8))
    for number, (part, (label, colour)) in enumerate(PARTS.items()):
        for k in sorted(table.seed.unique()):
            of = table[(table.part == part) & (table.seed == k)].set_index("row").loc[models]
            y = np.arange(len(models)) + 0.24 * (number - 1) + 0.1 * (k - 0.5)
            error = [of.value - of.low, of.high - of.value]
            style = {"color": colour, "fmt": plotting.SEED_MARKER[k % 4], "ms": 5, "capsize": 0}
            ax.errorbar(of.value, y, xerr=error, label=None if k else label, **style)
    ax.axvline(0, color="black", linewidth=0.8, zorder=0)
    names = [plotting.MODEL_NAME.get(model, model) for model in models]
    ax.set(yticks=range(len(models)), yticklabels=names)
    ax.set_xlabel(f"bits of redshift lost (n = {table.n.max()})")
    ax.invert_yaxis()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center")
    return fig
