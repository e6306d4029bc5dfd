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
LEAST_RETAINED = 0  # per cent; what is below is marked at the edge


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
        names = [band.replace("-", " − ") for band in bands]
        ax.set(ylabel=label, xticks=range(len(bands)), xticklabels=names)
        ax.grid(axis="x", visible=False)
    shared_legend(fig, axes[0])
    note_size(fig, table[table.metric.isin(metrics) & table.row.isin(rows)])
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


def note_size(fig, table) -> None:
    """Write the number of galaxies of a table above the whole figure."""
    fig.suptitle(sample_size(table) + " galaxies", fontsize=10)


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
    drawn = {f"{name}_{statistic}" for name in names for statistic in statistics}
    note_size(fig, table[table.metric.isin(drawn) & table.row.isin(rows)])
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
    note_size(fig, pd.DataFrame({"n": [int(e.n) for x in estimates.values() for e in x.values()]}))
    return fig


def row_strips(table, metrics, rows, control=""):
    """Draw `estimate_panels` of a tidy table: a panel per metric, in the colours of the models.

    The row "`control` swin" is drawn hollow on the line of "swin".
    """
    found, names = table.set_index(["metric", "row"]), plotting.MODEL_NAME
    estimates = {
        label: {names.get(row, row): found.loc[(metric, row)] for row in rows}
        for metric, label in metrics.items()
    }
    colours = {names.get(row, row): plotting.MODEL_COLOUR.get(row) or "black" for row in rows}
    fig = estimate_panels(estimates, colours)
    for ax, metric in zip(fig.axes, metrics, strict=True):
        for k, row in enumerate(rows):
            if (hollow := (metric, f"{control} {row}")) in found.index:
                style = {"marker": "o", "mfc": "white", "color": plotting.MODEL_COLOUR.get(row)}
                plotting.horizontal_interval(ax, found.loc[hollow], k + 0.3, **style)
                ax.set_xlim(right=max(ax.get_xlim()[1], 1.05 * found.loc[hollow].high))
    return fig


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
    """Draw the median error as heat maps, by true and by estimated redshift, and N(z).

    `dz` maps (protocol, row) to the errors (n,); each protocol has a line of three panels. A dot
    marks a bin whose interval leaves out 0.
    """
    protocols, rows = (list(dict.fromkeys(names)) for names in zip(*dz, strict=True))
    size = (plotting.WIDTH, 0.27 * len(protocols) * len(rows) + 2)
    fig, axes = plt.subplots(len(protocols), 3, figsize=size, squeeze=False)
    edges, names = np.linspace(0, np.quantile(z, 0.995) * 1.15, 25), plotting.MODEL_NAME
    for line, protocol in zip(axes, protocols, strict=True):
        estimates = {row: z + dz[protocol, row] * (1 + z) for row in rows}
        for ax, by in zip(line, (dict.fromkeys(rows, z), estimates), strict=False):
            found = [redshifts.bias_in_bins(dz[protocol, r], by[r], n_boot=n_boot) for r in rows]
            picture = _bias_map(ax, found)
        line[0].set_yticks(range(len(rows)), [names.get(row, row) for row in rows], fontsize=9)
        for label, row in zip(line[0].get_yticklabels(), rows, strict=True):
            label.set_color(plotting.MODEL_COLOUR.get(row, "black"))
        line[0].set_ylabel(protocol, fontweight="bold")
        line[1].set_yticks([])
        line[2].hist(z, edges, color="0.8")
        for row, estimate in estimates.items():
            style = {"color": plotting.MODEL_COLOUR.get(row, "black"), "linewidth": 1}
            line[2].hist(estimate, edges, histtype="step", **style)
        line[2].set_ylabel("galaxies per bin")
    titles = ("true redshift $z$", r"estimate $\hat z$", r"$z$ (grey) or $\hat z$ (lines)")
    for ax, title in zip(axes[-1], titles, strict=True):
        ax.set_xlabel(title)
    label = r"median $\delta z / (1 + z)$"
    fig.colorbar(picture, ax=axes, location="bottom", extend="both", shrink=0.6, label=label)
    return fig


def _bias_map(ax, found):
    """Heat map of estimates in bins, a line for each of `found`; dots where 0 is left out."""
    values = np.array([e.value for e in found])
    picture = ax.imshow(values, cmap=plotting.DIVERGING, vmin=-0.02, vmax=0.02, aspect="auto")
    sure = np.array([(e.low > 0) | (e.high < 0) for e in found])
    ax.plot(*np.nonzero(sure)[::-1], ".k", markersize=4)
    ax.set(ylim=(len(found) - 0.5, -0.5), xticks=[0, 2, 4])
    ax.set_xticklabels([f"{found[0].centre[k]:.2f}" for k in (0, 2, 4)])
    ax.grid(False)
    return picture


def _retained_lines(table) -> list[str]:
    """Headings and the rows below them, those of a group from most to least retained."""
    values = table[table.band == "retrained"].set_index("row").value
    lines = []
    for heading, models in RETAINED_GROUPS.items():
        some = values[[row in models for row in values.index]]
        lines += [heading, *some.sort_values(ascending=False).index] if len(some) else []
    return lines


def retained_strips(table, goal: float | None = None, trainings=None):
    """Draw a line per row of a tidy table, retrained (filled) and frozen (hollow), in per cent.

    A dashed line marks the information found in the source, a dotted one a `goal`. A tick stands
    for each of several `trainings` of a model, a tidy table with a column "model".
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
    below = (found.value < LEAST_RETAINED).any()
    if trainings is not None:
        below |= _training_ticks(ax, trainings, lines)
    for value, style in ({100: "--"} | ({100 * goal: ":"} if goal else {})).items():
        ax.axvline(value, color="black", linestyle=style, linewidth=1, zorder=1)
    _name_lines(ax, lines)
    if "n" in table:
        note_size(fig, table)
    ax.set(xlim=(-3 if below else 0, max(ax.get_xlim()[1], 103)))
    ax.set(xlabel="redshift information retained (% of the source)")
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def _training_ticks(ax, trainings, lines) -> bool:
    """Mark every training of a model, retrained above and frozen below its dots; is one below 0?"""
    ticks = trainings[trainings.model.isin(lines)]
    y = ticks.model.map(lines.index) + 2.4 * ticks.band.map(PROTOCOL_SHIFT)
    x, colours = 100 * ticks.value, ticks.model.map(plotting.MODEL_COLOUR)
    below = x < LEAST_RETAINED
    for some, marker in ((~below, "|"), (below, "<")):
        at = x[some].clip(lower=LEAST_RETAINED)
        ax.scatter(at, y[some], s=22, c=colours[some], marker=marker, linewidth=1)
    if len(ticks):
        ax.plot([], [], "|", color="0.3", label="short trainings")
    return below.any()


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
