"""Figures of the chapter on nature's spread: shares of the variance, and worse surveys."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from companion import degeneracy, panels, plotting

SMALLEST = 5e-5  # share of the variance that is still drawn
COLOUR = {"posterior": "#000000", "equal fluxes": "#009E73", "latent space": "#D55E00"}
KINDS = {  # of shares: (part, way) to label and colour
    ("noise", "latent space"): ("noise of CFHTLS", "#000000"),
    ("look-alikes", "latent space"): ("look-alikes, latent space", "#D55E00"),
    ("look-alikes", "light in rings"): ("look-alikes, light in rings", "#0072B2"),
}


def _bars(values, low, high):
    return np.clip([values - low, high - values], 0, None)


def shares(table, quantities):
    """Draw shares of noise and of look-alikes from `variance.tidy`: one line per quantity."""
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.55 * len(quantities) + 1.5))
    seeds = sorted(table.seed.unique())
    for number, ((part, way), (label, colour)) in enumerate(KINDS.items()):
        for j, k in enumerate(seeds):
            of = table[(table.part == part) & (table.way == way) & (table.seed == k)]
            of = of.set_index("quantity").loc[list(quantities)]
            y = np.arange(len(of)) + 0.26 * (number - 1) + 0.12 * (j - (len(seeds) - 1) / 2)
            drawn = (of.value > SMALLEST).to_numpy()
            of, y = of[drawn], y[drawn]
            error = _bars(of.value, of.low.clip(lower=SMALLEST / 10), of.high)
            style = {"color": colour, "fmt": plotting.SEED_MARKER[j % 4], "ms": 4.5, "capsize": 0}
            ax.errorbar(of.value, y, xerr=error, label=None if j else label, **style)
    ax.set(xscale="log", xlim=(SMALLEST / 2, 1.5), yticks=range(len(quantities)))
    ax.set_yticklabels([name.replace(", g", ",\ng") for name in quantities])
    ax.set_xlabel(f"share of the variance (n = {table.n.max():,})")
    ax.invert_yaxis()
    fig.legend(loc="outside upper center", ncols=1)
    return fig


def ladder(sizes, alike, names, least: float, ylabel: str):
    """Draw effective sample sizes {(scatter, seed): (q,)} above, shares of look-alikes below.

    `alike` {(way, scatter, seed): Estimate}; `names` {scatter: label} gives the order.
    """
    size = (plotting.WIDTH, 5.8)
    fig, (top, ax) = plt.subplots(2, 1, figsize=size, sharex=True, height_ratios=[2, 3])
    places = {scatter: number for number, scatter in enumerate(names)}
    for (scatter, k), found in sizes.items():
        low, middle, high = np.percentile(found, [10, 50, 90]).clip(1)
        style = {"fmt": plotting.SEED_MARKER[k % 4], "ms": 5, "color": "black"}
        top.errorbar(
            places[scatter] + 0.1 * k, middle, yerr=_bars(middle, low, high)[:, None], **style
        )
    top.axhline(least, color="black", linestyle="--", linewidth=1)
    top.set(yscale="log", ylabel="effective\nsample size")
    labelled = set()
    for (way, scatter, k), e in alike.items():
        x = places[scatter] + 0.24 * (degeneracy.METHODS.index(way) - 1) + 0.1 * k
        style = {"fmt": plotting.SEED_MARKER[k % 4], "ms": 5, "color": COLOUR[way]}
        label = None if way in labelled or k else way
        labelled.add(way)
        ax.errorbar(x, e.value, yerr=_bars(e.value, e.low, e.high)[:, None], label=label, **style)
    ax.set(xticks=range(len(names)), xticklabels=names.values(), ylabel=ylabel, ylim=(0, None))
    counts = panels.sample_size(pd.DataFrame({"n": [e.n for e in alike.values()]}))
    ax.set_xlabel(f"further scatter of the zero points ({counts})")
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    shown = [way for way in degeneracy.METHODS if way in handles]
    fig.legend([handles[way] for way in shown], shown, loc="outside upper center", ncols=3)
    return fig
