"""The chapter of the long trainings is in the book only where weights are kept."""

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
import pipeline  # noqa: E402
import stage  # noqa: E402

TOC = (ROOT / "book" / "_toc.yml").read_bytes()


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Return a function that makes the manifest of kept weights of a task."""
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(tmp_path))

    def make(task: str, content: str = "{}") -> None:
        file = tmp_path / task / "swin" / "seed0" / "weights.safetensors.manifest.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    return make


def runs() -> dict:
    return pipeline.load("quick", ROOT / "results")


def pages(found: dict) -> list[str]:
    """Pages in the table of contents, in their order; those below another as `page/section`."""
    parts = yaml.safe_load(stage.contents(TOC, found))["parts"]
    chapters = [chapter for part in parts for chapter in part["chapters"]]
    below = [f"{c['file']}/{x['file']}" for c in chapters for x in c.get("sections", ())]
    return [chapter["file"] for chapter in chapters] + below


def test_without_kept_weights_nothing_speaks_of_them(keep):
    assert not [name for name in runs() if name.startswith("17")]
    assert not [name for run in runs().values() for name in run.needs if name.startswith("17")]
    assert not [page for page in pages(runs()) if "17_" in page]
    assert "notebooks/25_leaderboard" in pages(runs())
    assert "scale/notebooks/41_survey_size" in pages(runs())


def test_sections_and_chapters_without_a_run_are_left_out():
    found = {
        name: run for name, run in runs().items() if name not in ("41_survey_size", "02_simulation")
    }
    assert {*pages(runs())} - {*pages(found)} == {
        "scale/notebooks/41_survey_size",
        "notebooks/02_simulation",
    }


def test_weights_kept_for_the_second_task_alone_have_the_chapter_too(keep):
    keep("intra")
    assert "17_long_trainings" not in runs()
    assert "notebooks/17_long_trainings" in pages(runs())
    run = runs()["17_long_trainings_intra"]
    made = stage.chapters({run.name: run}, {run.name: "not run here"})
    assert "notebooks/17_long_trainings.ipynb" in made


def test_with_kept_weights_every_judge_waits_for_them(keep):
    keep("cross")
    found = runs()
    assert "17_long_trainings" in found and "17_long_trainings_intra" not in found
    judges = [
        "21_pixels",
        "24_redshift",
        "34_models_spread",
        "36_keeping_redshift",
        "41_survey_size",
    ]
    assert all("17_long_trainings" in found[name].needs for name in judges)
    assert "17_long_trainings" not in found["21_pixels_intra"].needs
    assert [page for page in pages(found) if "17_" in page] == ["notebooks/17_long_trainings"]
    keep("intra")
    assert "17_long_trainings_intra" in runs()["21_pixels_intra"].needs


def test_other_kept_weights_are_another_run(keep):
    keep("cross")
    before = runs()["17_long_trainings"].code, runs()["21_pixels"].code
    keep("cross", '{"sha256": "other"}')
    after = runs()["17_long_trainings"].code, runs()["21_pixels"].code
    assert before[0] != after[0] and before[1] == after[1]
