"""Artefacts are whole, and their keys change if and only if what they follow from does."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galtools import artefacts, provenance
from galtools.errors import GaltoolsError

CODE = '''"""What it is."""
import numpy as np

def area(radius):
    """pi r^2."""
    return np.pi * radius**2  # in arcsec^2
'''


class Maker:
    """Write a text and count how often that was asked for."""

    def __init__(self, text="made"):
        self.text, self.calls = text, 0

    def __getstate__(self):
        """What it writes; how often it was called is no cause of anything."""
        return self.text

    def __call__(self, path):
        self.calls += 1
        path.write_text(self.text)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules, a -> b -> c, and d beside them, that stands for galtools."""
    folder = tmp_path / "galtools"
    (folder / "sub").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "sub" / "__init__.py").write_text("")
    (folder / "a.py").write_text("from galtools.sub import b\n")
    (folder / "sub" / "b.py").write_text("def f():\n    import galtools.c as c\n    return c.X\n")
    (folder / "c.py").write_text("X = 1\n")
    (folder / "d.py").write_text("X = 1\n")
    monkeypatch.setattr(provenance, "CODE", tmp_path)
    provenance._find.cache_clear()
    yield folder
    provenance._find.cache_clear()


def make(path, maker, **changes):
    settings = {"params": {"n": 1}, "modules": ["galtools.a"]} | changes
    return artefacts.make(path, maker, **settings)


# --- keys


@pytest.mark.parametrize(
    "edited",
    [
        CODE.replace("What it is.", "Something else,\nlonger."),
        CODE.replace("pi r^2", "The area of a circle."),
        CODE.replace('    """pi r^2."""\n', ""),
        CODE.replace("in arcsec^2", "in square arcsec"),
        CODE.replace("np.pi * radius**2", "(np.pi\n        * radius ** 2)"),
        "# a comment\n\n" + CODE,
    ],
)
def test_prose_and_layout_do_not_change_the_digest_of_code(edited):
    assert edited != CODE
    assert provenance.code_digest(edited) == provenance.code_digest(CODE)


@pytest.mark.parametrize(
    "edited",
    [
        CODE.replace("radius**2", "radius**3"),
        CODE.replace("np.pi", "np.e"),
        CODE.replace("(radius)", "(radius=1)"),
        CODE.replace("area", "size"),
        CODE + "LABEL = 'x'\n",
        CODE.replace("    return", "    print('x')\n    return"),
    ],
)
def test_code_changes_its_digest(edited):
    assert edited != CODE
    assert provenance.code_digest(edited) != provenance.code_digest(CODE)


def test_modules_are_followed_however_deep(package):
    found = set(artefacts.module_digests(["galtools.a"]))
    assert found == {"galtools.a", "galtools.c", "galtools.sub", "galtools.sub.b"}


def test_nothing_is_imported_to_follow_imports(package):
    (package / "c.py").write_text("raise RuntimeError('imported')\n")
    assert "galtools.c" in artefacts.module_digests(["galtools.a"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import galtools.d", {"galtools.d"}),
        ("import galtools.d as x, os", {"galtools.d"}),
        ("from galtools import c, d", {"galtools", "galtools.c", "galtools.d"}),
        ("from galtools.d import X", {"galtools.d"}),
        ("import numpy, galtoolsmith", set()),
        ("text = 'import galtools.d'", set()),
    ],
)
def test_every_form_of_import_counts(package, line, expected):
    assert provenance.imported_modules(line) == expected


def test_relative_import_is_refused(package):
    with pytest.raises(GaltoolsError, match=r"write `from \. import c` as an absolute import"):
        provenance.imported_modules("from . import c")


def test_unknown_module_is_refused(package):
    with pytest.raises(GaltoolsError, match=r"galtools\.zzz is not a module"):
        artefacts.module_digests(["galtools.zzz"])


def test_real_modules_are_found():
    assert "galtools.surveys" in artefacts.module_digests(
        ["galtools.data.pairs", "galtools.surveys"]
    )
    assert not provenance.PLUMBING & set(artefacts.module_digests(["galtools.artefacts"]))


def edit(name):
    def change(package, settings):
        with open(package / name, "a") as file:
            file.write("\nY = 2\n")

    return change


def setting(**changes):
    return lambda package, settings: settings.update(changes)


def rewrite_input(text):
    return lambda package, settings: Path(settings["inputs"][0]).write_text(text)


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        (setting(), 1),
        (setting(device="cuda"), 1),  # where it was computed is recorded, but is no cause
        (setting(params={"n": 1}), 1),
        (edit("d.py"), 1),
        (rewrite_input("input"), 1),
        (lambda package, settings: (package / "c.py").write_text("X = 1  # one\n"), 1),
        (setting(params={"n": 2}), 2),
        (setting(params={"n": 1, "m": 1}), 2),
        (setting(seed=1), 2),
        (setting(modules=["galtools.d"]), 2),
        (setting(inputs=()), 2),
        (rewrite_input("other"), 2),
        (edit("a.py"), 2),
        (edit("c.py"), 2),
        (edit("sub/b.py"), 2),
        (edit("sub/__init__.py"), 2),
    ],
)
def test_made_again_if_and_only_if_a_cause_changes(package, tmp_path, change, calls):
    source, maker = tmp_path / "input", Maker()
    source.write_text("input")
    settings = {"inputs": [source]}
    first = make(tmp_path / "artefact", maker, **settings)
    change(package, settings)
    second = make(tmp_path / "artefact", maker, **settings)
    assert maker.calls == calls
    assert (first["key"] == second["key"]) == (calls == 1)


def test_versions_of_packages_are_causes(package, tmp_path, monkeypatch):
    maker = Maker()
    make(tmp_path / "artefact", maker)
    monkeypatch.setattr(artefacts, "package_versions", lambda: {"numpy": "0.1"})
    make(tmp_path / "artefact", maker)
    assert maker.calls == 2


def test_inputs_of_the_same_name_are_all_causes(package, tmp_path):
    inputs, maker = [tmp_path / name / "seed0.h5" for name in ("swin", "srgan")], Maker()
    for file in inputs:
        file.parent.mkdir()
        file.write_text(file.parent.name)
    make(tmp_path / "artefact", maker, inputs=inputs)
    inputs[0].write_text("another")
    make(tmp_path / "artefact", maker, inputs=inputs)
    assert maker.calls == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_digests_are_equal_only_for_equal_things(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (artefacts.digest(one) == artefacts.digest(other)) == same


@settings(max_examples=30)
@given(st.dictionaries(st.text(), JSON, min_size=2), st.randoms())
def test_digest_does_not_depend_on_order(thing, random):
    items = list(thing.items())
    random.shuffle(items)
    assert artefacts.digest(dict(items)) == artefacts.digest(thing)


def test_digest_of_numpy_paths_and_sets_is_that_of_plain_values():
    rich = {"n": np.int64(3), "x": np.arange(2), "p": Path("a/b"), "s": {"b", "a"}}
    assert artefacts.digest(rich) == artefacts.digest(
        {"n": 3, "x": [0, 1], "p": "a/b", "s": ["a", "b"]}
    )


def test_what_has_no_stable_text_is_refused():
    with pytest.raises(TypeError, match="cannot stand in a manifest"):
        artefacts.digest({"f": object()})


# --- wholeness


def test_manifest_says_how_it_was_made(package, tmp_path):
    source = tmp_path / "input"
    source.write_text("")
    made = make(
        tmp_path / "artefact",
        lambda path: path.write_text("five!") and {"loss": np.float32(0.5)},
        inputs=[source],
        seed=3,
        device="cpu",
    )
    assert artefacts.read_manifest(tmp_path / "artefact") == made | {"extra": {"loss": 0.5}}
    assert made["bytes"] == 5
    assert made["sha256"] == artefacts.sha256(tmp_path / "artefact")
    # the hash of no bytes at all, from FIPS 180
    assert made["inputs"][0]["sha256"].startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert made["seed"] == 3
    assert set(provenance.PACKAGES) < set(made["packages"])


@pytest.mark.parametrize("damage", ["touch up", "cut", "lose manifest", "break manifest", "lose"])
def test_damaged_artefact_is_made_again(package, tmp_path, damage):
    path, maker = tmp_path / "artefact", Maker()
    make(path, maker)
    {
        "touch up": lambda: path.write_text("fake"),
        "cut": lambda: path.write_text("ma"),
        "lose manifest": artefacts.manifest_path(path).unlink,
        "break manifest": lambda: artefacts.manifest_path(path).write_text("{"),
        "lose": path.unlink,
    }[damage]()
    assert not artefacts.is_whole(path)
    make(path, maker)
    assert maker.calls == 2
    assert artefacts.is_whole(path)
    assert path.read_text() == "made"


def test_failing_maker_leaves_the_old_artefact_and_nothing_else(package, tmp_path):
    path = tmp_path / "artefact"
    make(path, Maker())
    files = sorted(tmp_path.iterdir())

    def fail(new):
        new.write_text("half")
        raise ArithmeticError("no sky")

    with pytest.raises(ArithmeticError):
        make(path, fail, seed=1)
    assert path.read_text() == "made"
    assert artefacts.is_whole(path)
    assert sorted(tmp_path.iterdir()) == files


KILLED = """
import os, signal, sys
from galtools import artefacts, provenance

def maker(path):
    path.write_text("half")
    if sys.argv[2] == "while writing":
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "before the manifest":
    artefacts.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
artefacts.make(sys.argv[1], maker, params={"n": 1}, modules=["galtools.surveys"], seed=1)
"""


@pytest.mark.parametrize("moment", ["while writing", "before the manifest"])
@pytest.mark.parametrize("old", [True, False])
def test_killed_maker_leaves_nothing_that_is_taken_for_whole(tmp_path, moment, old):
    path = tmp_path / "artefact.txt"
    settings = {"params": {"n": 1}, "modules": ["galtools.surveys"]}
    if old:
        artefacts.make(path, Maker("old"), **settings)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), moment])
    assert killed.returncode == -signal.SIGKILL
    if old and moment == "while writing":
        assert path.read_text() == "old"
        assert artefacts.is_whole(path)
    else:
        assert not artefacts.is_whole(path)
    maker = Maker("new")
    artefacts.make(path, maker, **settings, seed=1)
    assert maker.calls == 1
    assert path.read_text() == "new"
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"artefact.txt", "artefact.txt.manifest.json"}  # no half-written file either


def test_writers_at_work_are_not_disturbed_and_what_the_dead_left_is_swept(tmp_path):
    path, host = tmp_path / "artefact.txt", socket.gethostname()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    at_work = (f"{host}-{os.getppid()}", "another-host-1", f"other.{host}-{dead.pid}")
    for writer in (*at_work, f"{host}-{dead.pid}"):
        (tmp_path / f".artefact.{writer}.txt").touch()
    with artefacts.atomic(path) as mine:
        mine.write_text("mine")
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"artefact.txt", *(f".artefact.{writer}.txt" for writer in at_work)}
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["artefact", "artefact.h5", "two.words.csv"])
def test_a_maker_may_write_through_atomic_itself(tmp_path, name):
    with artefacts.atomic(tmp_path / name) as new:
        with artefacts.atomic(new) as same:
            same.write_text("made")
        assert same == new
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {name: "made"}


def test_artefact_and_manifest_are_published_under_one_lock(package, tmp_path, monkeypatch):
    locked, write_json = [], artefacts.write_json

    def tell_whether_locked(file, content):
        handle = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
        locked.append(file)
        write_json(file, content)

    monkeypatch.setattr(artefacts, "write_json", tell_whether_locked)
    make(tmp_path / "artefact", Maker())
    assert locked == [artefacts.manifest_path(tmp_path / "artefact")]


RACE = """
import sys
from pathlib import Path
from galtools import artefacts

def race(name, rounds):
    for n in range(rounds):
        made = {"params": {"name": name, "n": n}, "modules": []}
        text = f"{name} {n}"
        artefacts.make(Path(sys.argv[1]), lambda new: new.write_text(text), **made)

race(sys.argv[2], 150)
"""


def test_two_makers_of_one_path_leave_the_key_beside_the_bytes_of_the_same(tmp_path):
    path = tmp_path / "artefact"
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(path), name]) for name in ("A", "B")
    ]
    assert [racer.wait() for racer in racers] == [0, 0]
    parameters = artefacts.read_manifest(path)["parameters"]
    assert artefacts.is_whole(path)
    assert path.read_text() == f"{parameters['name']} {parameters['n']}"
    assert {file.name for file in tmp_path.iterdir()} == {"artefact", "artefact.manifest.json"}


@pytest.mark.parametrize("kind", ["folder", "pipe", "folder for a manifest", "pipe for a manifest"])
def test_what_is_no_file_is_not_waited_for_and_refused_in_one_line(tmp_path, kind):
    path = tmp_path / "artefact"
    make(path, Maker(), modules=[])
    place = artefacts.manifest_path(path) if "manifest" in kind else path
    place.unlink()
    os.mkfifo(place) if "pipe" in kind else place.mkdir()
    assert not artefacts.is_whole(path)
    if "pipe" in kind:
        make(path, Maker(), modules=[])
        assert artefacts.is_whole(path)
    else:
        with pytest.raises(GaltoolsError, match=r"cannot write .*: Is a directory"):
            make(path, Maker(), modules=[])


def missing_input():
    Path("an input that is not there").read_text()


def refused_input():
    raise PermissionError(13, "Permission denied", "/elsewhere/input")


def failing_code():
    raise ValueError("a cell failed: Permission denied, No space left on device")


@pytest.mark.parametrize(
    ("happen", "kind"),
    [
        (missing_input, FileNotFoundError),
        (refused_input, PermissionError),
        (failing_code, ValueError),
    ],
)
def test_error_about_something_else_passes_unchanged(tmp_path, happen, kind):
    with pytest.raises(kind) as error, artefacts.atomic(tmp_path / "artefact"):
        happen()
    assert not isinstance(error.value, GaltoolsError)
    assert list(tmp_path.iterdir()) == []


def test_manifest_of_nothing_says_what_to_do(tmp_path):
    with pytest.raises(GaltoolsError, match="artefact is missing: check its name"):
        artefacts.read_manifest(tmp_path / "artefact")
    (tmp_path / "artefact").touch()
    with pytest.raises(GaltoolsError, match="has no manifest: delete it and make it again"):
        artefacts.read_manifest(tmp_path / "artefact")


def test_missing_input_says_what_to_do(package, tmp_path):
    with pytest.raises(GaltoolsError, match="input is missing: make it first"):
        make(tmp_path / "artefact", Maker(), inputs=[tmp_path / "input"])


def test_the_pipeline_is_told_of_artefacts_made_and_reused(package, tmp_path, monkeypatch):
    listing, path = tmp_path / "listing", tmp_path / "artefact"
    monkeypatch.setenv("GALTOOLS_ARTEFACTS", str(listing))
    make(path, Maker())
    make(path, Maker())
    assert listing.read_text().splitlines() == [str(path), str(path)]


def test_inputs_at_hand_are_those_that_the_manifest_names(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("1")
    two.write_text("2")
    path = tmp_path / "made.txt"
    make(path, Maker(), modules=[], inputs=[one, two])
    assert artefacts.check_inputs(path) == artefacts.check_inputs(path, one, two) == path
    one.write_text("another")
    assert artefacts.check_inputs(path, two) == path
    with pytest.raises(GaltoolsError, match=r"made\.txt was made from another one\.txt: try"):
        artefacts.check_inputs(path, two, one, advice="try")
    with pytest.raises(GaltoolsError, match=r"never\.txt is missing"):
        artefacts.check_inputs(path, tmp_path / "never.txt")
    path.write_text("edited")
    with pytest.raises(GaltoolsError, match="changed or damaged"):
        artefacts.check_inputs(path, two)
