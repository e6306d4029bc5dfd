"""Figures of the chapters on redshift: one line per row or estimate, in panels."""

import matplotlib.pyplot as plt
import numpy as np

from companion import panels, plotting

PARTS = {  # of the information of two sources: label and colour
    "redundant": ("redundant", "#888888"),
    "unique_first": ("unique to the first", "#0072B2"),
    "unique_second": ("unique to the second", "#D55E00"),
    "synergy": ("synergy", "#009E73"),
}


def protocol_strips(table, metric_labels, rows, line=None):
    """Draw one panel per metric and protocol (the column "band"), with one line per row.

    `metric_labels` maps (metric, protocol) to labels; a dashed line marks the value `line`.
    """
    labels = {f"{metric} {band}": text for (metric, band), text in metric_labels.items()}
    named = table.assign(metric=table.metric + " " + table.band)
    named = named[named.metric.isin(list(labels))]
    fig = panels.row_strips(named, labels, rows)
    for ax, name in zip(fig.axes, labels, strict=True):
        if named[named.metric == name].value.isna().all():  # a share of nothing, say
            ax.text(0.5, 0.5, "could not be measured", transform=ax.transAxes, ha="center")
            continue
        low, high = named[named.metric == name][["low", "high"]].agg({"low": "min", "high": "max"})
        reach = 0.05 * (high - min(low, 0))
        ax.set_xlim(left=low - reach if low < 0 else 0)
        ax.axvline(0, color="black", linewidth=0.8, zorder=1)
        if line is not None:
            ax.axvline(line, color="black", linestyle="--", linewidth=1)
            ax.set_xlim(right=max(ax.get_xlim()[1], 1.03 * line))  # in view
    return fig


def estimate_panels(sides):
    """Draw named estimates with their intervals, a panel per label: {label: {name: estimate}}.

    Panels of the same names share them.
    """
    names = [list(found) for found in sides.values()]
    size = (plotting.WIDTH, max(3.4, 0.29 * len(names[0]) + 0.9))
    shared = all(other == names[0] for other in names)
    fig, axes = plt.subplots(1, len(sides), figsize=size, sharey=shared)
    for ax, (label, found) in zip(axes, sides.items(), strict=True):
        value, low, high = np.array([(e.value, e.low, e.high) for e in found.values()]).T
        error = [value - low, high - value]
        ax.errorbar(value, range(len(found)), xerr=error, fmt="o", color="black")
        ax.set(xlabel=label, xlim=(min(0, low.min()), None), ylim=(len(found) - 0.5, -0.5))
        ax.set_yticks(range(len(found)), list(found))
    axes[0].set_title(f"n = {next(iter(found.values())).n:,}")
    return fig


def parts_of_pairs(parts):
    """Draw the parts of the information of pairs of sources: a group of bars per "row"."""
    names = list(dict.fromkeys(parts.row))
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.4))
    for k, (metric, (label, colour)) in enumerate(PARTS.items()):
        part = parts[parts.metric == metric]
        error = [part.value - part.low, part.high - part.value]
        x = np.arange(len(names)) + 0.2 * (k - 1.5)
        ax.bar(x, part.value, 0.18, yerr=error, label=label, color=colour)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(ylabel="bits", xticks=range(len(names)), title=panels.sample_size(parts))
    ax.set_xticklabels([name.replace(" and ", "\nand ") for name in names])
    panels.shared_legend(fig, ax, 2)
    return fig
