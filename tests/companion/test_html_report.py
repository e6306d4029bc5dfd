"""The page of a card: which galaxies it shows, and what it sets their errors against."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from companion import html_report
from galtools.fidelity import scorecard

SCALE, SIGMA, N = 0.4, 0.02, 40


@pytest.fixture(scope="module")
def sample():
    """Round Gaussian galaxies of known flux and size; the k-th is off by k / 200."""
    rng = np.random.default_rng(0)
    flux, width = rng.uniform(50, 500, (N, 1, 1, 1)), rng.uniform(0.8, 2.0, (N, 1, 1, 1))
    y, x = (np.indices((64, 64)) - 31.5) * SCALE
    truth = flux * np.exp(-0.5 * (x**2 + y**2) / width**2) * SCALE**2 / (2 * np.pi * width**2)
    truth = truth + rng.normal(0, SIGMA, (N, 5, 64, 64))
    made = truth * (1 + np.arange(N) / 200)[:, None, None, None] + 1e-3
    options = {"pixel_scale": SCALE, "noise": SIGMA, "morphology": 0, "n_boot": 20}
    card = scorecard.card(truth, made, 1.3 * truth, repeat=1.01 * truth, name="mine", **options)
    return truth, made, card, flux.ravel(), width.ravel()


def test_properties_are_those_of_the_true_galaxy(sample):
    _, _, card, flux, width = sample
    column, properties = html_report._properties(card)
    inside = flux * (1 - np.exp(-4.5 / width**2))
    brightness, size, ratio = properties.values()
    np.testing.assert_allclose(brightness, 22.5 - 2.5 * np.log10(inside), atol=0.02)
    np.testing.assert_allclose(ratio, inside * SCALE / (SIGMA * np.sqrt(9 * np.pi)), rtol=0.02)
    np.testing.assert_allclose(size, 1.1774 * width, rtol=0.2)  # from five radii
    assert np.corrcoef(size, width)[0, 1] > 0.95
    np.testing.assert_allclose(column["aperture_error"], np.arange(N) / 200, atol=0.01)


def test_the_best_galaxy_comes_first_and_the_worst_last(sample):
    truth, made, card, *_ = sample
    order = np.argsort(-card.galaxies["psnr_r"])
    fig = html_report.examples(card, truth, made)
    titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
    assert titles[0] == f"best\n{card.galaxies['psnr_r'][order[0]]:.1f} dB"
    assert titles[-1] == f"worst\n{card.galaxies['psnr_r'][order[N - 1]]:.1f} dB"
    shown = fig.axes[-2].images[0].get_array()
    k = order[N - 1]
    np.testing.assert_allclose(shown, (made - truth)[k, 2] / SIGMA)
    plt.close(fig)


def test_floor_and_repeat_stand_beside_every_point(sample):
    card = sample[2]
    fig = html_report.card_figure(card, {"flux_bias": "bias"})
    labels = fig.axes[0].get_legend_handles_labels()[1]
    assert labels == ["mine", "Resampling", "Repeat observation"]
    plt.close(fig)


@pytest.mark.slow
def test_a_page_needs_nothing_else(sample):
    truth, made, card, *_ = sample
    page = html_report.card_page(card, truth, made)
    assert page.count("<img") == 4 and "http" not in page.replace("data:image", "")
    assert html_report.card_page(card).count("<img") == 3


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<td>-1.2 (-3, -0.5)</td>", "<td>−1.2 (−3, −0.5)</td>"),
        ('<th class="a">-5</th> -5', '<th class="a">−5</th> -5'),
        ('<td>-1 <span>(-2, 0)</span></td>', "<td>−1 <span>(−2, 0)</span></td>"),
        ('<span class="pasted-text">-0.3</span>', '<span class="pasted-text">−0.3</span>'),
        *[(text, text) for text in (
            "<p>-1</p>", "<td>a-1, 2026-11-30, 1e-05</td>", '<td><a href="b#-1">b</a></td>',
            "<td><code>x[-1]</code></td>",
        )],
    ],
)  # fmt: skip
def test_numbers_of_tables_and_quotes_have_a_true_minus(body, shown):
    assert html_report.true_minus(body) == shown
