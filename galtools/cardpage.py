"""A card as a page: figures, tables and notes in one HTML file that needs nothing else."""

import base64
import io
from html import escape

import matplotlib.pyplot as plt

from galtools import panels, plots
from galtools.fidelity import intervals

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% }
@media (max-width: 40rem) { td { white-space: normal } }
"""
FIGURES = {  # caption: {metric: label}
    "How close the pixels are to the truth": {
        "psnr": "PSNR (dB)",
        "ssim": "SSIM",
        "correlation": "pixel correlation",
        "residual_scatter": "residual scatter / σ",
    },
    "Light, noise and sharpness": {
        "aperture_bias": "flux bias, 3 arcsec",
        "box_bias": "peak bias, 3 × 3 pixels",
        "noise_ratio": "sky noise / truth's",
        "blur": "extra blur (arcsec)",
    },
}


def page(card) -> str:
    """Write a whole page about a card."""
    return whole(f"Fidelity of {card.name}", body(card))


def whole(title: str, inside: str) -> str:
    """Put the inside of a page under its title."""
    title = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{title}</h1>{inside}</body></html>\n"
    )


def body(card, figures: bool = True) -> str:
    """Write the inside of the page: notes, figures, and a table for every level."""
    parts = [_list("What to know", card.notes)]
    parts += [_list("What is missing, and why", [f"{k}: {v}" for k, v in card.missing.items()])]
    if figures:
        parts += [_figure(card, caption, metrics) for caption, metrics in FIGURES.items()]
    for level, lines in card.table.groupby("level", sort=False):
        colours = lines.metric.isin(lines.metric[lines.band.str.contains("-")])
        tables = [_table(part) for part in (lines[~colours], lines[colours]) if len(part)]
        parts.append(f"<h2>{escape(level).capitalize()}</h2>{''.join(tables)}")
    return "".join(parts)


def _list(title, lines) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>"


def _table(part) -> str:
    """Lay out one level: a line per metric, a column per band, each value with its interval."""
    cells = part.assign(
        cell=[
            intervals.written(v, low, high)
            for v, low, high in zip(part.value, part.low, part.high, strict=True)
        ]
    )
    wide = cells.pivot(index="metric", columns="band", values="cell")
    wide = wide.loc[cells.metric.unique(), cells.band.unique()].fillna("")
    wide.columns.name = f"n ≤ {part.n.max()}"
    return wide.rename_axis(index=None).to_html(border=0)


def draw(card, metrics):
    """Draw a card's metrics against band."""
    plots.use_style()
    table = card.table.assign(row=card.name)
    bands = list(dict.fromkeys(table[table.metric == next(iter(metrics))].band))
    return panels.metric_panels(table, metrics, [card.name], bands)


def _figure(card, caption, metrics) -> str:
    return f"<h2>{caption}</h2>{picture(draw(card, metrics), caption)}"


def picture(fig, alt: str) -> str:
    """Draw a figure as an image that needs no file."""
    stream = io.BytesIO()
    fig.savefig(stream, format="png")
    plt.close(fig)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
