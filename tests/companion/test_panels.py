"""Tables that several chapters share: wide ones are cut so that they fit a page, nothing lost."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from companion import panels, redshift_panels


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
    share, bits = redshift_panels.protocol_strips(table, labels, ["swin"]).axes
    assert [text.get_text() for text in share.texts] == ["could not be measured"]
    assert not bits.texts


def test_the_line_of_a_panel_is_in_view_though_no_row_gets_there():
    table = pd.DataFrame([("bits", "frozen", 0.5)], columns=["metric", "band", "value"])
    table = table.assign(row="swin", low=0.4, high=0.6, n=3)
    fig = redshift_panels.protocol_strips(table, {("bits", "frozen"): "bits"}, ["swin"], 1.0)
    assert fig.axes[0].get_xlim()[1] > 1


def heights(ax, *values) -> np.ndarray:
    """Where values lie on the upright axis, in pixels."""
    return ax.transData.transform([(0, value) for value in values])[:, 1]


def test_shares_near_one_are_spread_out():
    _, ax = plt.subplots()
    ax.plot([0, 1], [0.5, 0.9999])
    panels.near_one(ax)
    steps = np.diff(heights(ax, 0.99, 0.999, 0.9999))
    assert steps[0] == pytest.approx(steps[1], rel=0.01)  # logit: log10 of the odds
    plt.close()


@pytest.mark.parametrize(("reach", "scale"), [(0.3, "symlog"), (0.015, "linear")])
def test_biases_of_both_signs_are_spread_out_only_where_one_is_large(reach, scale):
    _, ax = plt.subplots()
    ax.plot([0, 1], [-reach, 0.005])
    panels.both_signs(ax, 0.01)
    assert ax.get_yscale() == scale
    steps = np.diff(heights(ax, -0.01, 0, 0.01))
    assert steps[0] == pytest.approx(steps[1])
    assert ax.get_ylim()[0] < -reach, "the largest is not on the edge"
    plt.close()
