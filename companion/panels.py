"""Tables and panels that the chapters on fidelity share: tidy tables in, figures out."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.ticker import LogLocator, NullFormatter

from companion import plotting
from galtools.fidelity import intervals, redshifts
from galtools.surveys import BANDS

NAMES = {
    "gini": "Gini",
    "m20": "M20",
    "half_light_radius": "half-light radius",
    "petrosian_radius": "Petrosian radius",
    "sersic_index": "Sersic index",
}  # of quantities that are not written as they are called in tables
COLOURS = tuple(f"{a}-{b}" for a, b in pairwise(BANDS))
RETAINED_GROUPS = {  # headings, and the rows below them
    "References": ("source", "copy", "truth", "again", "resample"),
    "Models of the paper": ("swin", "srgan", "capsule", "diffusion"),
    "This book": ("residual", "flux_corrected"),
}
PROTOCOL_SHIFT = {"retrained": -0.14, "frozen": 0.14}  # of the dots from the line of their row
LEAST_RETAINED = -60  # per cent; what is below is marked at the edge


def grid(count: int, height: float, **options):
    """Figure with `count` panels in two columns, each `height` inches high."""
    lines = -(-count // 2)
    size = (plotting.WIDTH, lines * height + 0.5)
    fig, axes = plt.subplots(lines, 2, figsize=size, squeeze=False, **options)
    for ax in axes.flat[count:]:
        ax.remove()
    return fig, axes.flat[:count]


def metric_panels(table, metrics, rows, bands=BANDS, perfect=None):
    """Draw one panel per metric: value and 95 % interval of every row in every band.

    `table` is tidy with a column "row"; `metrics` maps names to axis labels; `perfect` maps names
    to the value of a faultless copy, drawn as a line.
    """
    fig, axes = grid(len(metrics), 2.5)
    shifts = np.linspace(-0.28, 0.28, len(rows)) if len(rows) > 1 else [0.0]
    for ax, (metric, label) in zip(axes, metrics.items(), strict=True):
        indexed = table[table.metric == metric].set_index(["row", "band"])
        for row, shift in zip(rows, shifts, strict=True):
            part = indexed.loc[row].reindex(list(bands))
            good = np.isfinite(part.value.to_numpy())
            x = np.arange(len(bands))[good] + shift
            part = part[good]
            plotting.interval(ax, x, part.value, part.low, part.high, model=row, markersize=5)
        if perfect and metric in perfect:
            ax.axhline(perfect[metric], color="black", linewidth=0.8, zorder=1)
        ax.set(ylabel=label, xticks=range(len(bands)), xticklabels=bands)
        ax.grid(axis="x", visible=False)
    shared_legend(fig, axes[0])
    fig.suptitle(sample_size(table[table.metric.isin(metrics) & table.row.isin(rows)]), fontsize=11)
    return fig


def log_scale(ax, which: str = "y") -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 of every decade."""
    ax.set(**{f"{which}scale": "log"})
    axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def shared_legend(fig, ax, columns=3) -> None:
    """Put the legend of one panel under the whole figure."""
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=columns)


def sample_size(table) -> str:
    """Number of galaxies of a table: "n = 300", or the range of n."""
    low, high = table.n.min(), table.n.max()
    return f"n = {high:,}" if low == high else f"n = {low:,} to {high:,}"


def show_in_parts(table: pd.DataFrame, columns: int = 4) -> None:
    """Show a table that is wider than a page as several, one below the other.

    The first column, the reference of the others, is repeated in each.
    """
    first, *others = table.columns
    parts = max(1, -(-len(others) // (columns - 1)))
    for some in np.array_split(np.arange(len(others)), parts):
        display(table[[first, *(others[k] for k in some)]])


def overview(table, metrics, band, rows) -> pd.DataFrame:
    """Lay out one band: a line per metric, a column per row of the comparison."""
    part = table[table.band == band].set_index(["metric", "row"])
    cells = {
        plotting.MODEL_NAME.get(row, row): [
            intervals.format_interval(*part.loc[(metric, row), ["value", "low", "high"]])
            for metric in metrics
        ]
        for row in rows
    }
    return pd.DataFrame(cells, index=pd.Index(list(metrics.values()), name=f"{band} band"))


def name_rows(ax, names) -> None:
    """Name the lines of a panel of horizontal intervals, the first one on top."""
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()


def quantity_strips(table, names, statistics, rows, height=4.6):
    """Draw one panel per statistic, one line per quantity, with intervals.

    The tidy table names its metrics "<quantity>_<statistic>".
    """
    indexed = table.set_index(["row", "metric"])
    size = (plotting.WIDTH, height)
    fig, axes = plt.subplots(1, len(statistics), figsize=size, sharey=True, squeeze=False)
    for ax, (statistic, label) in zip(axes.flat, statistics.items(), strict=True):
        for k, row in enumerate(rows):
            part = indexed.loc[[(row, f"{name}_{statistic}") for name in names]]
            y = np.arange(len(names)) + 0.6 / len(rows) * (k - (len(rows) - 1) / 2)
            plotting.horizontal_interval(ax, part, y, row)
        ax.set(xlabel=label)
    name_rows(axes[0, 0], [NAMES.get(name, name.replace("_", " ")) for name in names])
    names_shown = {f"{name}_{statistic}" for name in names for statistic in statistics}
    axes[0, 0].set_title(sample_size(table[table.metric.isin(names_shown) & table.row.isin(rows)]))
    shared_legend(fig, axes.flat[0])
    return fig


def estimate_panels(estimates, colours=None):
    """Draw named estimates with their intervals, a panel per label: {label: {name: estimate}}.

    Panels of the same names share them. `colours` of names are black where none is given.
    """
    names = [list(found) for found in estimates.values()]
    shared = all(other == names[0] for other in names)
    size = (plotting.WIDTH, max(3.4, 0.36 * len(names[0]) + 1))
    fig, axes = plt.subplots(1, len(names), figsize=size, sharey=shared, squeeze=False)
    for ax, (label, found) in zip(axes[0], estimates.items(), strict=True):
        for k, (name, estimate) in enumerate(found.items()):
            style = {"marker": "o", "color": (colours or {}).get(name, "black")}
            plotting.horizontal_interval(ax, estimate, k, **style)
        ax.set(xlabel=label, ylim=(len(found) - 0.5, -0.5))
        ax.set_xlim(left=min(0, min(e.low for e in found.values())))
        ax.set_yticks(range(len(found)), list(found))
        ax.locator_params(axis="x", nbins=4)
    drawn = pd.DataFrame({"n": [int(e.n) for found in estimates.values() for e in found.values()]})
    axes[0, 0].set_title(sample_size(drawn))
    return fig


def row_strips(table, metrics, rows):
    """Draw `estimate_panels` of a tidy table: a panel per metric, in the colours of the models."""
    found, names = table.set_index(["metric", "row"]), {row: _row_name(row) for row in rows}
    estimates = {
        label: {names[row]: found.loc[(metric, row)] for row in rows}
        for metric, label in metrics.items()
    }
    models = {row: row.split()[-1].replace("-", "_") for row in rows}
    colours = {names[row]: plotting.MODEL_COLOUR.get(models[row]) or "black" for row in rows}
    return estimate_panels(estimates, colours)


def _row_name(row: str) -> str:
    """Name a row as readers know it, also one like "scattered like swin"."""
    if row in plotting.MODEL_NAME:
        return plotting.MODEL_NAME[row]
    what, like, model = row.partition(" like ")
    return f"{what}\nlike {plotting.MODEL_NAME.get(model, model)}" if like else row


def claim_strips(judged: pd.DataFrame, label):
    """Draw one line per judged claim: number of the weakest model, and hollow that of the control.

    In units of the margin of each claim; within one, shaded, there is no difference. `label` names
    a line.
    """
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.42 * len(judged) + 1))
    for k, line in enumerate(judged.itertuples()):
        for e, shift, colour in ((line.found, -0.13, "black"), (line.control, 0.13, "white")):
            style = {"marker": "o", "color": "black", "mfc": colour}
            plotting.horizontal_interval(
                ax, intervals.scaled(e, 1 / line.margin), k + shift, **style
            )
    ax.axvspan(-1, 1, color="0.9", zorder=0)
    ax.set(xscale="symlog", xlabel="number / margin", ylim=(len(judged) - 0.5, -0.5))
    ax.set_yticks(range(len(judged)), [label(line) for line in judged.itertuples()])
    return fig


def seed_strips(estimates, colours, xlabel):
    """Draw one line per way, {(way, seed): Estimate}, and on it one symbol per seed."""
    ways = list(dict.fromkeys(label for label, _ in estimates))
    seeds = sorted({k for _, k in estimates})
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.45 * len(ways) + 1))
    for (label, k), e in estimates.items():
        y = ways.index(label) + 0.24 * (seeds.index(k) - (len(seeds) - 1) / 2)
        marker = plotting.SEED_MARKER[seeds.index(k) % 4]
        style = {"marker": marker, "color": colours.get(label, "#0072B2")}
        plotting.horizontal_interval(ax, e, y, **style)
    ax.set(xlabel=xlabel)
    name_rows(ax, ways)
    return fig


def redshift_bias(dz: dict, z, n_boot: int):
    """Draw the bias against true and estimated redshift, and the distribution N(z).

    `dz` maps (protocol, row) to the errors (n,); each protocol has a line of three panels.
    """
    protocols = list(dict.fromkeys(protocol for protocol, _ in dz))
    size = (plotting.WIDTH, 2.6 * len(protocols) + 0.6)
    fig, axes = plt.subplots(len(protocols), 3, figsize=size, sharex=True, squeeze=False)
    edges = np.linspace(0, np.quantile(z, 0.995) * 1.15, 25)
    for line, protocol in zip(axes, protocols, strict=True):
        rows = [row for which, row in dz if which == protocol]
        line[2].hist(z, edges, color="0.8", label="true redshifts")
        for k, row in enumerate(rows):
            shift = 0.0015 * (k - (len(rows) - 1) / 2)
            estimate = z + dz[protocol, row] * (1 + z)
            for ax, by in zip(line, (z, estimate), strict=False):
                e = redshifts.bias_in_bins(dz[protocol, row], by, n_boot=n_boot)
                x = e.centre + shift
                plotting.interval(ax, x, e.value, e.low, e.high, model=row, markersize=4)
            colour = plotting.MODEL_COLOUR.get(row, "black")
            line[2].hist(estimate, edges, histtype="step", color=colour, linewidth=1.3)
        for ax in line[:2]:
            ax.axhline(0, color="black", linewidth=0.8, zorder=1)
        line[0].set_ylabel(rf"{protocol}: median $\delta z / (1 + z)$")
        line[2].set_ylabel("galaxies per bin")
    titles = ("true redshift $z$", r"estimate $\hat z$", r"$z$ (grey) or $\hat z$ (lines)")
    for ax, title in zip(axes[-1], titles, strict=True):
        ax.set_xlabel(title)
    shared_legend(fig, axes[0, 0])
    return fig


def _retained_lines(table) -> list[str]:
    """Headings and the rows below them, those of a group from most to least retained."""
    values = table[table.band == "retrained"].set_index("row").value
    lines = []
    for heading, models in RETAINED_GROUPS.items():
        some = values[[row in models for row in values.index]]
        lines += [heading, *some.sort_values(ascending=False).index] if len(some) else []
    return lines


def retained_strips(table, goal: float | None = None):
    """Draw a line per row of a tidy table, retrained (filled) and frozen (hollow), in per cent.

    A dashed line marks all the information of the source, a dotted one a `goal`.
    """
    lines = _retained_lines(table)
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.31 * len(lines) + 1.2))
    found = table.set_index(["band", "row"])[["value", "low", "high"]] * 100
    for (protocol, row), e in found.iterrows():
        if row in lines and protocol in PROTOCOL_SHIFT and np.isfinite(e.value):
            _dot(ax, e, lines.index(row) + PROTOCOL_SHIFT[protocol], row, protocol == "frozen")
    if found.value.isna().all():  # a fraction of nothing, say
        ax.text(0.5, 0.5, "could not be measured", transform=ax.transAxes, ha="center")
    for protocol, fill in {"retrained": "0.3", "frozen": "white"}.items():
        ax.plot([], [], "o", mfc=fill, mec="0.3", label=f"estimator {protocol}")
    for value, style in ({100: "--"} | ({100 * goal: ":"} if goal else {})).items():
        ax.axvline(value, color="black", linestyle=style, linewidth=1, zorder=1)
    _name_lines(ax, lines)
    ax.set_title(sample_size(table) if "n" in table else "")
    left, right = ax.get_xlim()
    ax.set(xlim=(max(left, 1.05 * LEAST_RETAINED) if left < 0 else 0, max(right, 103)))
    ax.set(xlabel="redshift information retained (% of the source)")
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def _dot(ax, estimate, y: float, model: str, hollow: bool) -> None:
    """One value with its interval; at the edge and without one if it is far below."""
    style = {"color": plotting.MODEL_COLOUR.get(model, "black"), "marker": "o", "label": None}
    style |= {"mfc": "white"} if hollow else {}
    if estimate.value < LEAST_RETAINED:
        ax.plot(LEAST_RETAINED, y, **style | {"marker": "<"})
    else:
        plotting.horizontal_interval(ax, estimate, y, **style)


def _name_lines(ax, lines) -> None:
    """Name the lines, headings in bold, the first one on top."""
    ax.set_yticks(range(len(lines)), [plotting.MODEL_NAME.get(row, row) for row in lines])
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for label, row in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if row in RETAINED_GROUPS else "normal")
    ax.grid(axis="y", visible=False)
