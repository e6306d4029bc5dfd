"""The theme's script of icons, cut down to what the book shows."""

import shutil
import subprocess
import sys

import pytest

from companion import paths

sys.path.insert(0, str(paths.WORKFLOW))
import icons

SCRIPT = 'var a={sun:[512,512,[9728],"f185","M1 2z"],"circle-half":[512,512,["half","split"],'
SCRIPT += '"f042",["M3 4z","M5 6z"]],moon:[384,512,[],"f186","M7 8z"]},b=2;'


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"sun"}, 'var a={sun:[512,512,[9728],"f185","M1 2z"],},b=2;'),
        ({"moon"}, 'var a={moon:[384,512,[],"f186","M7 8z"]},b=2;'),
        ({"half", "moon", "sun"}, SCRIPT),
        (set(), "var a={},b=2;"),
    ],
)
def test_only_wanted_icons_stay_under_any_of_their_names(wanted, left):
    assert icons.pruned(SCRIPT, wanted) == left


def test_the_script_of_the_theme_shrinks_and_stays_a_script(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "index.html").write_text(
        '<i class="fa-solid fa-sun"></i><i class="fa fa-list"></i>'
    )
    (tmp_path / "all.css").write_text(".fa-moon {content: '';}")
    script = tmp_path / "_static" / "fontawesome.js"
    script.write_text("what an earlier rendering left")
    icons.prune(tmp_path)
    small = script.read_text()
    assert {entry["name"] for entry in icons.ENTRY.finditer(small)} == {"sun", "list"}
    assert len(small) < 150_000
    if node := shutil.which("node"):
        subprocess.run([node, "--check", script], check=True)
