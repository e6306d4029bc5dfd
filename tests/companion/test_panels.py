"""Tables that several chapters share: wide ones are cut so that they fit a page, nothing lost."""

import numpy as np
import pandas as pd
import pytest

from companion import panels
from galtools.fidelity.intervals import Estimate


@pytest.mark.parametrize(
    ("count", "expected"), [(7, ["abcd", "aefg"]), (6, ["abcd", "aef"]), (4, ["abcd"]), (1, ["a"])]
)
def test_wide_tables_are_cut_and_the_first_column_is_in_each(count, expected, monkeypatch):
    table = pd.DataFrame(np.arange(2.0 * count).reshape(2, -1), columns=list("abcdefgh"[:count]))
    shown = []
    monkeypatch.setattr(panels, "display", shown.append)
    panels.show_in_parts(table, 4)
    assert ["".join(part) for part in shown] == expected
    for part in shown:
        pd.testing.assert_frame_equal(part, table[list(part)])


def retained(lines, trainings=None):
    columns = ["band", "row", "value", "low", "high"]
    return panels.retained_strips(pd.DataFrame(lines, columns=columns), None, trainings).axes[0]


def test_retained_information_is_grouped_sorted_and_in_per_cent():
    """Filled dots above the lines are retrained, hollow ones below them frozen."""
    ax = retained(
        [("retrained", "srgan", 0.7, 0.6, 0.8), ("retrained", "swin", 0.8, 0.7, 0.9),
         ("retrained", "flux_corrected", 0.9, 0.8, 1.0), ("frozen", "swin", 0.2, 0.1, 0.4)]
    )  # fmt: skip
    said = ["Models of the paper", "Swin", "SRGAN", "This book", "Flux-corrected"]
    assert [label.get_text() for label in ax.get_yticklabels()] == said
    dots = {tuple(np.round(x.get_xydata()[0], 2)): x.get_markerfacecolor() for x in ax.lines
            if x.get_marker() == "o" and len(x.get_xydata())}  # fmt: skip
    assert set(dots) == {(70, 1.86), (80, 0.86), (90, 3.86), (20, 1.14)}
    assert [at for at, fill in dots.items() if fill == "white"] == [(20, 1.14)]
    assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > 100


def test_what_is_far_below_the_axis_or_was_not_measured_says_so():
    ax = retained(
        [("retrained", "swin", np.nan, np.nan, np.nan), ("frozen", "swin", -3.0, -4.0, -2.0)]
    )
    [edge] = [x for x in ax.lines if x.get_marker() == "<"]
    assert edge.get_xydata()[0, 0] == panels.LEAST_RETAINED > ax.get_xlim()[0]
    assert [x for x in ax.lines if x.get_marker() == "o" and len(x.get_xydata())] == []
    assert not ax.texts
    [text] = retained([("retrained", "swin", np.nan, np.nan, np.nan)]).texts
    assert text.get_text() == "could not be measured"


def test_every_training_has_a_tick_or_is_marked_at_the_edge():
    lines, columns = [("retrained", "swin", 0.7, 0.6, 0.8)], ["band", "model", "value"]
    kept = [("retrained", "swin", 0.5), ("frozen", "swin", -0.4), ("frozen", "srgan", 0.3)]
    ax = retained(lines, pd.DataFrame(kept, columns=columns))
    ticks, edge = (dots.get_offsets().data.tolist() for dots in ax.collections[-2:])
    assert ticks == [[50, pytest.approx(0.664)]]  # SRGAN has no line
    assert edge == [[panels.LEAST_RETAINED, pytest.approx(1.336)]]
    assert ax.get_xlim()[0] < panels.LEAST_RETAINED
    for none in (kept[2:], []):
        ax = retained(lines, pd.DataFrame(none, columns=columns))
        labels = [line.get_label() for line in ax.lines]
        assert "short trainings" not in labels and "estimator frozen" in labels
        assert ax.get_xlim()[0] == 0


def test_claims_are_drawn_in_units_of_their_margins():
    found, control = Estimate(0.2, 0.1, 0.3, 99), Estimate(0.0, 0.0, 0.0, 99)
    judged = pd.DataFrame([{"claim": "loss", "margin": 0.05, "found": found, "control": control}])
    [ax] = panels.claim_strips(judged, lambda line: line.claim).axes
    points = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points, [[4, -0.13], [0, 0.13]])
    [(low, high), _] = [c.get_segments()[0][:, 0] for c in ax.collections]
    assert (low, high) == pytest.approx((2, 6))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["loss"]
