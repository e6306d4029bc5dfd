"""The page of claims reads what the chapters left, and says what they did not."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from companion import claims, paths, verdict_tables
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals


@pytest.fixture
def folder(tmp_path):
    folder = paths.Results(str(tmp_path), "tiny")
    below = intervals.Estimate(-1.0, -2.0, -0.5, 100)
    above = intervals.Estimate(1.0, 0.5, 2.0, 100)
    unsure = intervals.Estimate(0.1, -0.5, 0.7, 100)
    text = "peaks scatter more than in a second look (r)"
    lines = [
        verdict_tables.judge(text, "swin", above, paper="uncertain"),
        verdict_tables.judge(text, "srgan", below, paper="uncertain"),
        verdict_tables.judge("peaks lose redshift: x", "swin", unsure, paper="peaks"),
    ]
    nothing = intervals.Estimate(np.nan, np.nan, np.nan, 0)
    lines.append(verdict_tables.judge("peaks lose redshift: x", "capsule", nothing, paper="peaks"))
    verdict_tables.keep(lines, folder.table("verdicts_peaks"), [])
    verdict_tables.keep(lines[:1], folder.table("verdicts_peaks_intra"), [])
    tidy = {"claim": "a way back loses", "seed": 1, **vars(above), "verdict": "supported"}
    paper = {"mapping": ["a way back loses"]}
    verdict_tables.keep([tidy], folder.table("verdicts_directions"), [], paper)
    return folder


def test_both_kinds_of_tables_are_counted_for_each_task_and_the_absent_are_named(folder):
    found = claims.collect(folder)
    counts = claims.count(found)
    there, back = claims.ENDING
    assert list(counts.loc["Light and peak fluxes come out uncertain", there]) == [1, 0, 1]
    assert list(counts.loc["Light and peak fluxes come out uncertain", back]) == [1, 0, 0]
    assert list(counts.loc["Uncertain peaks cost redshift information", there]) == [0, 2, 0]
    assert list(counts.loc["The mapping itself loses information", there]) == [1, 0, 0]
    assert list(counts.index.unique("claim")) == list(verdict_tables.PAPER.values())
    absent = found[found["verdict"] == "not run"]
    chapters = set(sum(claims.CHAPTERS.values(), ())) - {"23_peaks", "35_directions"}
    assert set(absent["chapter"]) == chapters
    assert set(absent[absent["task"] == back]["chapter"]) == chapters & set(claims.TWICE)
    assert set(found["claim"]) == set(verdict_tables.PAPER.values())


def test_a_folder_without_verdicts_or_of_another_seed_is_refused(folder, tmp_path):
    with pytest.raises(GaltoolsError, match="run notebooks/21_pixels"):
        claims.collect(paths.Results(str(tmp_path / "empty"), "tiny"))
    table = folder.table("peaks")
    artefacts.make(table, lambda new: new.write_text("x"), params={}, modules=[], seed=3)
    assert len(claims.collect(folder, 3))
    with pytest.raises(GaltoolsError, match="is of seed 3: run this with -p seed 3"):
        claims.collect(folder, 4)


def test_overview_has_a_column_for_every_model(folder):
    table = claims.overview(claims.collect(folder), "23_peaks")
    there, back = claims.ENDING
    assert list(table.columns) == ["Swin", "SRGAN", "Capsule"]
    assert table.iloc[0, 0].startswith("✓ 1.0 (0.5, 2.0)")
    assert table.iloc[1, 1] == "–"
    assert list(table.index.get_level_values(0)) == [*[there] * 2, back]
    assert claims.overview(claims.collect(folder), "22_morphology").empty


def test_figure_shows_only_what_was_judged(folder):
    fig = claims.bars(claims.count(claims.collect(folder)))
    texts = {text.get_text() for text in fig.axes[0].texts}
    assert len(fig.axes[0].get_yticks()) == 4  # a bar for each claim and task with verdicts
    assert "The mapping itself loses information" in texts
    assert "The statistics of morphology are preserved" not in texts


def luminance(colour):
    """Relative luminance of sRGB, as the contrast of accessible pages is defined by."""
    red, green, blue = (
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.fixture
def judged():
    """Two claims: 3, 0 and 1 verdicts and none, two and two of the first; 1, 1, 2 of the other."""
    rows = {("A", "there"): (3, 0, 1), ("A", "back"): (0, 2, 2), ("B", "there"): (1, 1, 2)}
    return pd.DataFrame(rows.values(), pd.MultiIndex.from_tuples(rows), claims.WORDS)


def test_bars_are_shares_one_after_another_with_their_numbers_inside(judged):
    [ax] = claims.bars(judged).axes
    widths = [[0.75, 0, 0.25], [0, 0.5, 0.25], [0.25, 0.5, 0.5]]
    starts = [[0, 0, 0], [0.75, 0, 0.25], [0.75, 0.5, 0.5]]
    for bars, width, start in zip(ax.containers, widths, starts, strict=True):
        assert [bar.get_width() for bar in bars] == width
        assert [bar.get_x() for bar in bars] == start
    inside = {(bar.get_center()[0], bar.get_center()[1]): bar for bar in ax.patches}
    words = [text for text in ax.texts if text.get_text() not in ("A", "B")]
    assert sorted(text.get_text() for text in words) == [
        "? 1",
        "? 2",
        "✓ 1",
        "✓ 3",
        "✗ 1",
        "✗ 2",
        "✗ 2",
    ]
    for text in words:
        bar = inside[text.get_position()]
        sign, number = text.get_text().split()
        assert bar.get_width() == int(number) / 4
        assert bar.get_facecolor()[:3] == to_rgb(claims.COLOUR[claims.WORDS["✓?✗".index(sign)]])
        dark, light = sorted(map(luminance, (bar.get_facecolor()[:3], text.get_color())))
        assert (light + 0.05) / (dark + 0.05) > 3  # as is asked of large letters


def test_a_claim_stands_above_its_own_bars_and_nothing_overlaps(judged):
    [ax] = claims.bars(judged).axes
    height = ax.patches[0].get_height()
    bars = sorted({(bar.get_center()[1], "bar") for bar in ax.patches})
    claim = [
        (text.get_position()[1], text.get_text()) for text in ax.texts if text.get_text() in "AB"
    ]
    lines = sorted([*bars, *claim])
    assert [what for _, what in lines] == ["A", "bar", "bar", "B", "bar"]
    places = [place for place, _ in lines]
    assert np.diff(places).min() > height
    bottom, top = ax.get_ylim()
    assert top <= places[0] - height / 2 and bottom >= places[-1] + height / 2
    line = 72 * ax.figure.get_figheight() / (bottom - top)  # points from one line to the next
    assert line > 1.5 * max(text.get_fontsize() for text in ax.texts)
    assert ax.get_xlim() == (0, 1)
    assert list(ax.get_yticks()) == [place for place, _ in bars]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["there", "back", "there"]


def test_every_claim_belongs_to_a_chapter_of_the_book():
    chapters = {file.stem for file in paths.NOTEBOOKS.glob("*.py")}
    assert set(sum(claims.CHAPTERS.values(), ())) <= chapters
    assert claims.CHAPTERS.keys() == verdict_tables.PAPER.keys()
