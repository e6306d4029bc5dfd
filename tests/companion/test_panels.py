"""Tables that several chapters share: wide ones are cut so that they fit a page, nothing lost."""

import numpy as np
import pandas as pd
import pytest

from companion import panels


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
