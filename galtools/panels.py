"""Tables and panels that the chapters on fidelity share: tidy tables in, figures out."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from galtools import plots
from galtools.surveys import BANDS

COLOURS = tuple(f"{a}-{b}" for a, b in pairwise(BANDS))


def metric_panels(table, metrics, rows, bands=BANDS, columns=2, height=2.5, perfect=None):
    """Draw one panel per metric: value and 95 % interval of every row in every band.

    `table` is tidy with a column "row"; `metrics` maps names to axis labels; `perfect` maps names
    to the value of a faultless copy, drawn as a line.
    """
    lines = -(-len(metrics) // columns)
    size = (plots.WIDTH, height * lines + 0.6)
    fig, axes = plt.subplots(lines, columns, figsize=size, squeeze=False)
    shifts = np.linspace(-0.28, 0.28, len(rows)) if len(rows) > 1 else [0.0]
    for ax, (metric, label) in zip(axes.flat, metrics.items(), strict=False):
        found = table[table.metric == metric].set_index(["row", "band"])
        for row, shift in zip(rows, shifts, strict=True):
            part = found.loc[row].reindex(list(bands))
            good = np.isfinite(part.value.to_numpy())
            x = np.arange(len(bands))[good] + shift
            part = part[good]
            plots.interval(ax, x, part.value, part.low, part.high, model=row, markersize=5)
        if perfect and metric in perfect:
            ax.axhline(perfect[metric], color="black", linewidth=0.8, zorder=0)
        ax.set(ylabel=label, xticks=range(len(bands)), xticklabels=bands)
        ax.grid(axis="x", visible=False)
    for ax in axes.flat[len(metrics) :]:
        ax.remove()
    shared_legend(fig, axes.flat[0])
    return fig


def shared_legend(fig, ax, columns=3) -> None:
    """Put the legend of one panel under the whole figure."""
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=columns)


def sample_size(table) -> str:
    """Say on how many galaxies a table rests: "n = 300", or the range of n."""
    low, high = table.n.min(), table.n.max()
    return f"n = {high:,}" if low == high else f"n = {low:,} to {high:,}"


def with_interval(value, low, high, digits=3) -> str:
    """Write a number as "value (low, high)" with as many decimals as are worth reading."""
    if not np.isfinite(value):
        return "∞" if value == np.inf else "–"
    size = max(abs(value), abs(high - low) if np.isfinite(high - low) else 0, 1e-12)
    decimals = int(np.clip(digits - 1 - np.floor(np.log10(size)), 0, 5))
    if not np.isfinite([low, high]).all():
        return f"{value:.{decimals}f}"
    return f"{value:.{decimals}f} ({low:.{decimals}f}, {high:.{decimals}f})"


def overview(table, metrics, band, rows) -> pd.DataFrame:
    """Lay out one band: a line per metric, a column per row of the comparison."""
    part = table[table.band == band].set_index(["metric", "row"])
    cells = {
        plots.MODEL_NAME.get(row, row): [
            with_interval(*part.loc[(metric, row), ["value", "low", "high"]]) for metric in metrics
        ]
        for row in rows
    }
    return pd.DataFrame(cells, index=pd.Index(list(metrics.values()), name=f"{band} band"))


def verdicts(claims) -> pd.DataFrame:
    """Lay out claims, a list of (what the paper found, row, what was measured, verdict)."""
    columns = ["The paper found", "Model", "This run", "Verdict"]
    named = [(text, plots.MODEL_NAME.get(row, row), *rest) for text, row, *rest in claims]
    return pd.DataFrame(named, columns=columns)
