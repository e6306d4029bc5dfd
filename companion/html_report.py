"""A card as a page: figures, tables and notes in one HTML file that needs nothing else."""

import base64
import io
from html import escape

import matplotlib.pyplot as plt

from companion import panels, plotting

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


def card_page(card) -> str:
    """Write a whole page about a card."""
    return html_document(f"Fidelity of {card.name}", card_body(card))


def html_document(title: str, inside: str) -> str:
    """Put the inside of a page under its title."""
    title = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{title}</h1>{inside}</body></html>\n"
    )


def card_body(card) -> str:
    """Write the inside of the page: figures, then the card's notes and tables."""
    figures = [_figure(card, caption, metrics) for caption, metrics in FIGURES.items()]
    return "".join(figures) + card.to_html()


def card_figure(card, metrics):
    """Draw a card's metrics against band."""
    plotting.use_style()
    table = card.table.assign(row=card.name)
    bands = list(dict.fromkeys(table[table.metric == next(iter(metrics))].band))
    return panels.metric_panels(table, metrics, [card.name], bands)


def _figure(card, caption, metrics) -> str:
    return f"<h2>{caption}</h2>{data_uri_image(card_figure(card, metrics), caption)}"


def data_uri_image(fig, alt: str) -> str:
    """Draw a figure as an image that needs no file."""
    stream = io.BytesIO()
    fig.savefig(stream, format="png")
    plt.close(fig)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
