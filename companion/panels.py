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
INFORMATION_PARTS = {  # of the information of two sources: label and colour
    "redundant": ("redundant", "#888888"),
    "unique_first": ("unique to the first", "#0072B2"),
    "unique_second": ("unique to the second", "#D55E00"),
    "synergy": ("synergy", "#009E73"),
}


def grid(count: int, height: float, **options):
    """Figure with `count` panels, two beside each other and each `height` inches high."""
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
        found = table[table.metric == metric].set_index(["row", "band"])
        for row, shift in zip(rows, shifts, strict=True):
            part = found.loc[row].reindex(list(bands))
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
    """Say on how many galaxies a table rests: "n = 300", or the range of n."""
    low, high = table.n.min(), table.n.max()
    return f"n = {high:,}" if low == high else f"n = {low:,} to {high:,}"


def show_in_parts(table: pd.DataFrame, columns: int = 4, yardstick: bool = True) -> None:
    """Show a table that is wider than a page as several, one below the other.

    The first column, which the others are compared with, stands in each, if it is a `yardstick`.
    """
    names = list(table.columns)
    kept, others = (names[:1], names[1:]) if yardstick else ([], names)
    parts = max(1, -(-len(others) // (columns - len(kept))))
    for some in np.array_split(np.arange(len(others)), parts):
        display(table[[*kept, *(others[k] for k in some)]])


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


def _name_rows(ax, names) -> None:
    """Name the lines of a panel of horizontal intervals, the first one on top."""
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()


def quantity_strips(table, names, statistics, rows, height=4.6):
    """Draw one panel per statistic, one line per quantity, with intervals.

    The tidy table names its metrics "<quantity>_<statistic>".
    """
    found = table.set_index(["row", "metric"])
    size = (plotting.WIDTH, height)
    fig, axes = plt.subplots(1, len(statistics), figsize=size, sharey=True, squeeze=False)
    for ax, (statistic, label) in zip(axes.flat, statistics.items(), strict=True):
        for k, row in enumerate(rows):
            part = found.loc[[(row, f"{name}_{statistic}") for name in names]]
            y = np.arange(len(names)) + 0.6 / len(rows) * (k - (len(rows) - 1) / 2)
            plotting.horizontal_interval(ax, part, y, row)
        ax.set(xlabel=label)
    _name_rows(axes[0, 0], [NAMES.get(name, name.replace("_", " ")) for name in names])
    drawn = {f"{name}_{statistic}" for name in names for statistic in statistics}
    axes[0, 0].set_title(sample_size(table[table.metric.isin(drawn) & table.row.isin(rows)]))
    shared_legend(fig, axes.flat[0])
    return fig


def row_strips(table, metrics, rows):
    """Draw one panel per metric with one line per row, its value and interval.

    A row has the colour of the model that its name ends in.
    """
    found = table.set_index(["metric", "row"])
    size = (plotting.WIDTH, 0.42 * len(rows) + 1.3)
    fig, axes = plt.subplots(1, len(metrics), figsize=size, sharey=True, squeeze=False)
    for ax, (metric, label) in zip(axes.flat, metrics.items(), strict=True):
        for k, row in enumerate(rows):
            model = row.split()[-1].replace("-", "_")
            style = {"color": plotting.MODEL_COLOUR.get(model, "black"), "marker": "o"}
            plotting.horizontal_interval(ax, found.loc[(metric, row)], k, **style)
        ax.set(xlabel=label)
        ax.set_xlim(left=min(0, ax.get_xlim()[0]) if metric == "bias" else 0)
        ax.locator_params(axis="x", nbins=4)
    axes[0, 0].set_title(sample_size(table[table.metric.isin(metrics) & table.row.isin(rows)]))
    _name_rows(axes[0, 0], [_of_two_words(row) for row in rows])
    return fig


def _of_two_words(row: str) -> str:
    """Name a row as readers know it, also one like "scattered like swin"."""
    if row in plotting.MODEL_NAME:
        return plotting.MODEL_NAME[row]
    what, like, model = row.partition(" like ")
    return f"{what}\nlike {plotting.MODEL_NAME.get(model, model)}" if like else row


def estimate_panels(estimates):
    """Draw named estimates with their intervals, a panel per label: {label: {name: estimate}}.

    Panels of the same names share them.
    """
    names = [list(found) for found in estimates.values()]
    size = (plotting.WIDTH, max(3.4, 0.29 * len(names[0]) + 0.9))
    shared = all(other == names[0] for other in names)
    fig, axes = plt.subplots(1, len(names), figsize=size, sharey=shared, squeeze=False)
    for ax, (label, found) in zip(axes[0], estimates.items(), strict=True):
        for k, estimate in enumerate(found.values()):
            plotting.horizontal_interval(ax, estimate, k, marker="o", color="black")
        ax.set(xlabel=label, ylim=(len(found) - 0.5, -0.5))
        ax.set_xlim(left=min(0, min(e.low for e in found.values())))
        ax.set_yticks(range(len(found)), list(found))
    axes[0, 0].set_title(f"n = {next(iter(found.values())).n:,}")
    return fig


def parts_of_pairs(parts):
    """Draw the parts of the information of pairs of sources: a group of bars per "row"."""
    names = list(dict.fromkeys(parts.row))
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.4))
    for k, (metric, (label, colour)) in enumerate(INFORMATION_PARTS.items()):
        part = parts[parts.metric == metric]
        error = [part.value - part.low, part.high - part.value]
        x = np.arange(len(names)) + 0.2 * (k - 1.5)
        ax.bar(x, part.value, 0.18, yerr=error, label=label, color=colour)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(ylabel="bits", xticks=range(len(names)), title=sample_size(parts))
    ax.set_xticklabels([name.replace(" and ", "\nand ") for name in names])
    shared_legend(fig, ax, 2)
    return fig


def leaderboard(table, numbers, rows):
    """Draw one panel per number, {(metric, band): label}, with one line per row."""
    found, sizes = table.set_index(["metric", "band", "row"]), table.groupby("row").n.max()
    fig, axes = grid(len(numbers), 0.27 * len(rows) + 0.7, sharey=True)
    for ax, (key, label) in zip(axes, numbers.items(), strict=True):
        for k, row in enumerate(rows):
            if (*key, row) in found.index:  # a card of somebody else may lack a level
                style = {"color": plotting.MODEL_COLOUR.get(row, "black")}
                plotting.horizontal_interval(ax, found.loc[(*key, row)], k, row, **style)
        ax.set(xlabel=label)
    # the galaxies of somebody else's card may be others, and fewer
    names = [plotting.MODEL_NAME.get(row) or plotting.with_n(row, sizes[row]) for row in rows]
    _name_rows(axes[0], names)
    return fig


def violins(by_row, names, rows):
    """Draw the distribution of each quantity in every row, {row: table of galaxies}, as violins.

    Black lines are the quartiles of the truth.
    """
    import seaborn as sns  # half a second: only for the chapter that draws them

    image = {row: plotting.MODEL_NAME.get(row, row) for row in rows}
    galaxies = pd.concat([by_row[row].assign(image=image[row]) for row in rows], ignore_index=True)
    tints = {image[row]: plotting.MODEL_COLOUR.get(row, "#0072B2") for row in rows}
    style = {"hue": "image", "palette": tints, "saturation": 1, "linewidth": 1, "alpha": 0.6}
    fig, axes = grid(len(names), 0.27 * len(rows) + 0.8, sharey=True)
    for ax, name in zip(axes, names, strict=True):
        sns.violinplot(galaxies, x=name, y="image", inner="quart", cut=0, ax=ax, **style)
        for level in by_row["truth"][name].quantile([0.25, 0.5, 0.75]):
            ax.axvline(level, color="black", linewidth=0.8, zorder=0)
        ax.set(xlabel=NAMES.get(name, name), ylabel="")
    return fig


def claim_strips(judged: pd.DataFrame, label):
    """Draw one line per judged claim: number of the weakest model, and hollow that of the control.

    In units of the margin of each claim; within one, shaded, there is no difference. `label` names
    a line.
    """
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.42 * len(judged) + 1))
    for k, line in enumerate(judged.itertuples()):
        for e, shift, colour in ((line.found, -0.13, "black"), (line.control, 0.13, "white")):
            ends = np.array([e.value, e.low, e.high]) / line.margin
            reach = [[ends[0] - ends[1]], [ends[2] - ends[0]]]
            ax.errorbar(ends[0], k + shift, xerr=reach, fmt="o", color="black", mfc=colour, ms=5)
    ax.axvspan(-1, 1, color="0.9", zorder=0)
    ax.set(xscale="symlog", xlabel="number / margin", ylim=(len(judged) - 0.5, -0.5))
    ax.set_yticks(range(len(judged)), [label(line) for line in judged.itertuples()])
    return fig


def seed_strips(estimates, colours, xlabel):
    """Draw one line per way, {(way, seed): Estimate}, and on it one symbol per seed."""
    ways = list(dict.fromkeys(way for way, _ in estimates))
    seeds = sorted({k for _, k in estimates})
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.45 * len(ways) + 1))
    for (way, k), e in estimates.items():
        y = ways.index(way) + 0.24 * (seeds.index(k) - (len(seeds) - 1) / 2)
        marker = plotting.SEED_MARKER[seeds.index(k) % 4]
        style = {"marker": marker, "color": colours.get(way, "#0072B2")}
        plotting.horizontal_interval(ax, e, y, **style)
    ax.set(xlabel=xlabel)
    _name_rows(ax, ways)
    return fig


def learning_curves(panels, ylabel, xlabel):
    """Draw a panel of curves per learner, {learner: {arm: {size: Estimate}}}."""
    colours = (
        *map(plotting.SURVEY_COLOUR.get, ("CFHTLS", "SDSS")),
        plotting.MODEL_COLOUR["residual"],
    )
    fig, axes = plt.subplots(1, len(panels), figsize=(plotting.WIDTH, 3.6), sharey=True)
    for ax, (learner, arms) in zip(axes, panels.items(), strict=True):
        for arm, marker, colour in zip(arms, "osD", colours, strict=False):
            sizes, found = list(arms[arm]), list(arms[arm].values())
            y, low, high = np.array([(e.value, e.low, e.high) for e in found]).T
            style = {"marker": marker, "color": colour, "label": arm}
            ax.errorbar(sizes, y, yerr=[y - low, high - y], **style)
        ax.set(xscale="log", xlabel=xlabel, title=learner)
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
    axes[0].set(ylabel=ylabel, ylim=(0, None))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


def fault_dots(faults: pd.DataFrame, limit: float):
    """Shifts of the cards with ("full") and without ("source") a true image, a line per fault.

    What is below `limit` is chance, and shaded.
    """
    order = faults.sort_values("full")
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.32 * len(order) + 0.8))
    y = np.arange(len(order))
    ax.hlines(y, order[["full", "source"]].min(axis=1), order.full, color="0.8", zorder=1)
    colour = plotting.MODEL_COLOUR["source"]
    ax.plot(order.full, y, "o", color="black", label="with a true image")
    ax.plot(order.source, y, "o", mfc="white", color=colour, label="from the source alone")
    ax.axvspan(min(0.5, order.source.min()), limit, color="0.92", zorder=0)
    ax.set(yticks=y, yticklabels=order.index, xlabel="shift / interval")
    log_scale(ax, "x")
    ax.legend(loc="lower right")
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
