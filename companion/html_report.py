"""Pages that need nothing else: a card's figures, tables and notes in one HTML file."""

import base64
import io

import jinja2
import matplotlib.pyplot as plt

from companion import panels, plotting

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title|e }}</title>
<meta name="viewport" content="width=device-width"><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% }
@media (max-width: 40rem) { td { white-space: normal } }
</style></head><body><h1>{{ title|e }}</h1>
"""
CARD = """{% for caption, figure in figures.items() %}<h2>{{ caption }}</h2>{{ figure }}{% endfor %}
{{ card.to_html() }}"""
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


def document(title: str, inside: str, **values) -> str:
    """Fill a jinja template and put it under its title as a whole page."""
    return jinja2.Template(f"{PAGE}{inside}</body></html>\n").render(title=title, **values)


def card_page(card) -> str:
    """Write a whole page about a card: figures, then its notes and tables."""
    figures = {name: data_uri_image(card_figure(card, x), name) for name, x in FIGURES.items()}
    return document(f"Fidelity of {card.name}", CARD, card=card, figures=figures)


def card_figure(card, metrics):
    """Draw a card's metrics against band."""
    plotting.use_style()
    table = card.table.assign(row=card.name)
    bands = list(dict.fromkeys(table[table.metric == next(iter(metrics))].band))
    return panels.metric_panels(table, metrics, [card.name], bands)


def data_uri_image(fig, alt: str) -> str:
    """Draw a figure as an image that needs no file."""
    stream = io.BytesIO()
    fig.savefig(stream, format="png")
    plt.close(fig)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
