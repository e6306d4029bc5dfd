"""Every artefact has one place."""

from pathlib import Path

import pytest
import yaml

from companion import paths
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.models import PROFILES, check_profile
from galtools.surveys import TASKS, check_task

PLACES = {
    "data/train.h5": lambda results: results.data("train"),
    "models/cross/swin/seed2": lambda results: results.model("cross", "swin", 2),
    "models/cross/swin/seed2/weights.safetensors": lambda results: results.weights(
        "cross", "swin", 2
    ),
    "translations/intra/srgan/seed0.h5": lambda results: results.translations("intra", "srgan"),
    "tables/pixels.csv": lambda results: results.table("pixels"),
}


@pytest.mark.parametrize("place", PLACES)
def test_places_are_those_that_the_documentation_names(place, tmp_path):
    assert PLACES[place](paths.Results(str(tmp_path), "tiny")) == tmp_path / "tiny" / place


def test_default_folder_is_the_repositorys_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.Results().folder == Path(__file__).resolve().parents[2] / "results" / "quick"


def test_other_relative_folders_start_at_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.Results("my results", "paper").folder == tmp_path / "my results" / "paper"
    assert paths.Results("results", "paper").folder == tmp_path / "results" / "paper"


def test_looking_for_a_place_makes_no_folder(tmp_path):
    paths.Results(str(tmp_path / "new")).data("train")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("profile", ["tinny", "", "Tiny", "../tiny"])
def test_unknown_profile_is_refused(profile, tmp_path):
    for ask in (check_profile, lambda p: paths.Results(str(tmp_path), p).folder):
        with pytest.raises(GaltoolsError, match="choose one of tiny, quick, long, paper"):
            ask(profile)


def test_unknown_task_is_refused():
    assert [check_task(task) for task in TASKS] == ["intra", "cross"]
    with pytest.raises(GaltoolsError, match="choose one of intra, cross"):
        check_task("across")


@pytest.mark.parametrize("models", [[], ["swin", "swin"]])
def test_translators_that_cannot_be_compared_are_refused(models):
    with pytest.raises(GaltoolsError, match="name at least one translator, and each once"):
        paths.check_models(models)
    assert paths.check_models(["swin", "srgan"]) == ["swin", "srgan"]


def test_need_returns_what_is_there_and_names_the_notebook_of_what_is_not(tmp_path):
    (tmp_path / "there").touch()
    assert paths.need(tmp_path / "there", "01_two_surveys") == tmp_path / "there"
    with pytest.raises(GaltoolsError) as error:
        paths.need(tmp_path / "absent", "01_two_surveys")
    assert str(tmp_path / "absent") in str(error.value)
    assert "notebooks/01_two_surveys.py" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(GaltoolsError, match="with -p task intra first"):
        paths.need(tmp_path / "absent", "11_residual_intra")


def test_values_of_a_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WORKFLOW", tmp_path)
    (tmp_path / "tiny.yaml").write_text("a: {n: 3}\nb:\n")
    (tmp_path / "quick.yaml").write_text("# nothing\n")
    assert paths.profile_values("tiny", "a") == {"n": 3}
    assert paths.profile_values("tiny", "b") == {}
    assert paths.profile_values("tiny", "c") == {}
    assert paths.profile_values("quick", "a") == {}


def test_broken_profile_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WORKFLOW", tmp_path)
    (tmp_path / "tiny.yaml").write_text("a: {n: 3\nb: 2\n")
    with pytest.raises(GaltoolsError, match=r"tiny\.yaml, line 2: ") as error:
        paths.profile_values("tiny", "a")
    assert "\n" not in str(error.value)


def test_without_the_repository_a_profile_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WORKFLOW", tmp_path)
    with pytest.raises(GaltoolsError, match=r"tiny\.yaml is missing: install .* `pip install -e"):
        paths.profile_values("tiny", "a")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_readable_file(profile):
    content = yaml.safe_load((paths.WORKFLOW / f"{profile}.yaml").read_text()) or {}
    assert all(isinstance(values, dict) for values in content.values())


def test_what_a_translator_makes_is_looked_for_in_its_chapter(tmp_path):
    assert paths.need_of(tmp_path, "whoever") == tmp_path
    for model, chapter in {"swin": "12_swin", **paths.CHAPTERS}.items():
        assert (paths.NOTEBOOKS / f"{chapter}.py").is_file()
        with pytest.raises(GaltoolsError, match=f"run notebooks/{chapter}.py"):
            paths.need_of(tmp_path / "absent", model)


def test_a_table_that_was_edited_is_refused(tmp_path):
    path = tmp_path / "pixels.csv"
    artefacts.make(path, lambda new: new.write_text("psnr\n20\n"), params={}, modules=[], seed=3)
    assert paths.check_seed(path, 3) == path
    with pytest.raises(GaltoolsError, match="is of seed 3"):
        paths.check_seed(path, 4)
    path.write_text("psnr\n40\n")
    with pytest.raises(GaltoolsError, match="changed or damaged: run the notebook"):
        paths.check_seed(path, 3)


def test_data_of_another_seed_are_not_replaced(tmp_path):
    path = tmp_path / "train.h5"
    assert paths.keep_seed(path, 1) == path
    made = {"params": {}, "modules": [], "seed": 1}
    artefacts.make(path, lambda new: new.write_text("x"), **made)
    assert paths.keep_seed(path, 1) == path
    with pytest.raises(GaltoolsError, match=r"is of seed 1, .* give seed 0 a folder of its own"):
        paths.keep_seed(path, 0)
    path.write_text("damaged")
    assert paths.keep_seed(path, 0) == path
