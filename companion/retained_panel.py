"""The leading figure: redshift information that translations retain, by two protocols."""

import matplotlib.pyplot as plt
import numpy as np

from companion import panels, plotting

GROUPS = {  # headings, and the rows below them
    "References": ("source", "copy", "truth", "again", "resample"),
    "Models of the paper": ("swin", "srgan", "capsule", "diffusion"),
    "This book": ("residual", "flux_corrected"),
}
SHIFT = {"retrained": -0.14, "frozen": 0.14}  # of the dots from the line of their row
LEAST = -60  # per cent; what is below is marked at the edge


def layout(table) -> list[str]:
    """Headings and the rows below them, those of a group from most to least retained."""
    values = table[table.band == "retrained"].set_index("row").value
    lines = []
    for heading, models in GROUPS.items():
        some = values[[row in models for row in values.index]]
        lines += [heading, *some.sort_values(ascending=False).index] if len(some) else []
    return lines


def retained_strips(table, goal: float | None = None):
    """Draw a line per row of a tidy table, retrained (filled) and frozen (hollow), in per cent.

    A dashed line marks all the information of the source, a dotted one a `goal`.
    """
    lines = layout(table)
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 0.31 * len(lines) + 1.2))
    found = table.set_index(["band", "row"])[["value", "low", "high"]] * 100
    for (protocol, row), e in found.iterrows():
        if row in lines and protocol in SHIFT and np.isfinite(e.value):
            _dot(ax, e, lines.index(row) + SHIFT[protocol], row, protocol == "frozen")
    if found.value.isna().all():  # a fraction of nothing, say
        ax.text(0.5, 0.5, "could not be measured", transform=ax.transAxes, ha="center")
    for protocol, fill in {"retrained": "0.3", "frozen": "white"}.items():
        ax.plot([], [], "o", mfc=fill, mec="0.3", label=f"estimator {protocol}")
    for value, style in ({100: "--"} | ({100 * goal: ":"} if goal else {})).items():
        ax.axvline(value, color="black", linestyle=style, linewidth=1, zorder=1)
    _name_lines(ax, lines)
    ax.set_title(panels.sample_size(table) if "n" in table else "")
    left, right = ax.get_xlim()
    ax.set(xlim=(max(left, 1.05 * LEAST) if left < 0 else 0, max(right, 103)))
    ax.set(xlabel="redshift information retained (% of the source)")
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def _dot(ax, estimate, y: float, model: str, hollow: bool) -> None:
    """One value with its interval; at the edge and without one if it is far below."""
    style = {"color": plotting.MODEL_COLOUR.get(model, "black"), "marker": "o", "label": None}
    style |= {"mfc": "white"} if hollow else {}
    if estimate.value < LEAST:
        ax.plot(LEAST, y, **style | {"marker": "<"})
    else:
        plotting.horizontal_interval(ax, estimate, y, **style)


def _name_lines(ax, lines) -> None:
    """Name the lines, headings in bold, the first one on top."""
    ax.set_yticks(range(len(lines)), [plotting.MODEL_NAME.get(row, row) for row in lines])
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for label, row in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if row in GROUPS else "normal")
    ax.grid(axis="y", visible=False)
