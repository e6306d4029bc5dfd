"""The page of claims reads what the chapters left, and says what they did not."""

import pandas as pd
import pytest

from galtools import claims, manifest, panels, paths
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals


@pytest.fixture
def folder(tmp_path):
    folder = paths.Results(str(tmp_path), "tiny")
    below = intervals.Estimate(-1.0, -2.0, -0.5, 100)
    above = intervals.Estimate(1.0, 0.5, 2.0, 100)
    unsure = intervals.Estimate(0.1, -0.5, 0.7, 100)
    lines = [
        panels.compare("peaks scatter more than in a second look (r)", "swin", above),
        panels.compare("peaks scatter more than in a second look (r)", "srgan", below),
        panels.compare("peaks lose redshift: x", "swin", unsure),
    ]
    panels.keep(panels.verdicts(lines), folder.table("verdicts_peaks"), [])
    panels.keep(panels.verdicts(lines[:1]), folder.table("verdicts_peaks_intra"), [])
    tidy = {"claim": "a way back loses", "seed": 1, **vars(above), "verdict": "agrees"}
    panels.keep(pd.DataFrame([tidy]), folder.table("verdicts_directions"), [])
    return folder


def test_both_kinds_of_tables_are_counted_for_each_task_and_the_absent_are_named(folder):
    found = claims.collect(folder)
    counts = claims.count(found)
    there, back = claims.ENDING
    assert list(counts.loc["Light and peak fluxes come out uncertain", there]) == [1, 0, 1]
    assert list(counts.loc["Light and peak fluxes come out uncertain", back]) == [1, 0, 0]
    assert list(counts.loc["Uncertain peaks cost redshift information", there]) == [0, 1, 0]
    assert list(counts.loc["The mapping itself loses information", there]) == [1, 0, 0]
    absent = found[found["verdict"] == "not run"]
    chapters = {claim.chapter for claim in claims.CLAIMS} - {"23_peaks", "35_directions"}
    assert set(absent["chapter"]) == chapters
    assert set(absent[absent["task"] == back]["chapter"]) == chapters & set(claims.TWICE)
    assert set(found["claim"]) == {claim.text for claim in claims.CLAIMS}


def test_a_folder_without_verdicts_or_of_another_seed_is_refused(folder, tmp_path):
    with pytest.raises(GaltoolsError, match="run notebooks/21_pixels"):
        claims.collect(paths.Results(str(tmp_path / "empty"), "tiny"))
    table = folder.table("peaks")
    manifest.make(table, lambda new: new.write_text("x"), params={}, modules=[], seed=3)
    assert len(claims.collect(folder, 3))
    with pytest.raises(GaltoolsError, match="is of seed 3: run this with -p seed 3"):
        claims.collect(folder, 4)


def test_verdicts_are_read_claim_by_claim(tmp_path):
    said = (("b", "swin", "1"), ("a", "swin", "2"), ("b", "own", "3"))
    lines = [(*line, "agrees") for line in said]
    shown = panels.keep(panels.verdicts(lines), tmp_path / "verdicts.csv", [])
    assert list(shown.index) == [("b", "Swin"), ("b", "own"), ("a", "Swin")]
    assert list(shown["This run"]) == ["1", "3", "2"]
    assert list(pd.read_csv(tmp_path / "verdicts.csv")["This run"]) == [1, 2, 3]


def test_overview_has_a_column_for_every_model(folder):
    table = claims.overview(claims.collect(folder), "23_peaks")
    there, back = claims.ENDING
    assert list(table.columns) == ["Swin", "SRGAN"]
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


def test_every_claim_belongs_to_a_chapter_of_the_book():
    chapters = {file.stem for file in paths.NOTEBOOKS.glob("*.py")}
    assert {claim.chapter for claim in claims.CLAIMS} <= chapters
