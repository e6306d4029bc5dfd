"""Tables that several chapters share: wide ones are cut so that they fit a page, nothing lost."""

import numpy as np
import pandas as pd
import pytest

from companion import panels
from galtools.fidelity.intervals import Estimate


@pytest.mark.parametrize(
    ("count", "yardstick", "expected"),
    [
        (7, True, ["abcd", "aefg"]),
        (6, True, ["abcd", "aef"]),
        (4, True, ["abcd"]),
        (1, True, ["a"]),
        (5, False, ["abc", "de"]),
        (8, False, ["abcd", "efgh"]),
    ],
)
def test_wide_tables_are_cut_and_the_yardstick_stands_in_each(
    count, yardstick, expected, monkeypatch
):
    table = pd.DataFrame(np.arange(2.0 * count).reshape(2, -1), columns=list("abcdefgh"[:count]))
    shown = []
    monkeypatch.setattr(panels, "display", shown.append)
    panels.show_in_parts(table, 4, yardstick)
    assert ["".join(part) for part in shown] == expected
    for part in shown:
        pd.testing.assert_frame_equal(part, table[list(part)])


def test_a_panel_without_a_number_says_so():
    lines = [("retained", "frozen", np.nan), ("bits", "frozen", 1.0)]
    table = pd.DataFrame(lines, columns=["metric", "band", "value"])
    table = table.assign(row="swin", low=table.value, high=table.value, n=3)
    labels = {("retained", "frozen"): "share", ("bits", "frozen"): "bits"}
    share, bits = panels.protocol_strips(table, labels, ["swin"]).axes
    assert [text.get_text() for text in share.texts] == ["could not be measured"]
    assert not bits.texts


def test_the_line_of_a_panel_is_in_view_though_no_row_gets_there():
    table = pd.DataFrame([("bits", "frozen", 0.5)], columns=["metric", "band", "value"])
    table = table.assign(row="swin", low=0.4, high=0.6, n=3)
    fig = panels.protocol_strips(table, {("bits", "frozen"): "bits"}, ["swin"], 1.0)
    assert fig.axes[0].get_xlim()[1] > 1


def test_claims_are_drawn_in_units_of_their_margins():
    found, control = Estimate(0.2, 0.1, 0.3, 99), Estimate(0.0, 0.0, 0.0, 99)
    judged = pd.DataFrame([{"claim": "loss", "margin": 0.05, "found": found, "control": control}])
    [ax] = panels.claim_strips(judged, lambda line: line.claim).axes
    points = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points, [[4, -0.13], [0, 0.13]])
    [(low, high), _] = [c.get_segments()[0][:, 0] for c in ax.collections]
    assert (low, high) == pytest.approx((2, 6))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["loss"]
