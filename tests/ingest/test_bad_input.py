"""Whatever the disk does: a one-line error that says what to do, and nothing half-written."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from blobs import make_pairs
from safetensors.numpy import save_file

from galtools import artefacts, data
from galtools.errors import GaltoolsError


def pairs(n=4, size=16):
    """Make images of pure noise, which nothing compresses."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, n, 5, size, size)).astype(np.float32)
    noise = np.ones((n, 2, 5), np.float32)
    return make_pairs(*images, np.zeros(n, np.float32), Table({"id": range(n)}), noise)


def write_pairs(path):
    data.save(pairs(), path)


def write_table(path):
    with artefacts.atomic(path) as new:
        pd.DataFrame({"number": np.arange(9999)}).to_csv(new)


def write_weights(path):
    with artefacts.atomic(path) as new:
        save_file({"weights": np.zeros(9999)}, new)


def write_record(path):
    artefacts.write_json(path, {"numbers": list(range(9999))})


WRITERS = {
    "pairs.h5": write_pairs,
    "table.csv": write_table,
    "weights.safetensors": write_weights,
    "record.json": write_record,
}


@pytest.fixture(params=WRITERS)
def artefact(request):
    return request.param


@pytest.fixture
def as_nobody(tmp_path):
    """Take root's power to write everywhere, for a folder that everybody can reach."""
    for name, write in WRITERS.items():
        write(tmp_path / name)  # what they import may lie where nobody can read
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        if os.geteuid():
            os.chmod(folder, 0o555)
            yield Path(folder)
            os.chmod(folder, 0o755)
        else:
            os.seteuid(65534)
            yield Path(folder)
            os.seteuid(0)


@pytest.mark.parametrize("below", ["", "new/folder"])
def test_read_only_folder(as_nobody, artefact, below):
    path = as_nobody / below / artefact
    with pytest.raises(GaltoolsError) as error:
        WRITERS[artefact](path)
    expected = f"cannot write {path}: no permission; choose another folder with -p results FOLDER"
    assert str(error.value) == expected
    assert list(as_nobody.iterdir()) == []


def test_nothing_is_made_for_a_folder_that_takes_nothing(as_nobody):
    began = []
    with pytest.raises(GaltoolsError, match="no permission; choose another folder"):
        artefacts.make(as_nobody / "a", began.append, params={}, modules=["galtools.surveys"])
    assert began == []


def test_file_where_a_folder_should_be(tmp_path, artefact):
    (tmp_path / "results").touch()
    with pytest.raises(GaltoolsError) as error:
        WRITERS[artefact](tmp_path / "results" / "tiny" / artefact)
    assert str(error.value).endswith(": Not a directory")
    assert "\n" not in str(error.value)


FULL = """
import resource, sys
sys.path[:0] = [sys.argv[1], f"{sys.argv[1]}/.."]
from pathlib import Path
from test_bad_input import WRITERS
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for name, write in WRITERS.items():
    for room in (0, 2_000, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        try:
            write(Path(sys.argv[2]) / name)
        except Exception as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.slow
def test_full_disk(tmp_path):
    """A limit on the size of files ends writing as a full disk does, for every user."""
    command = [sys.executable, "-c", FULL, str(Path(__file__).parent), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr  # HDF5 is able to end in a segmentation fault
    assert run.stdout.splitlines() == [
        f"GaltoolsError: cannot write {tmp_path / name}: the disk or your quota is full; "
        "free some space and start again"
        for name in WRITERS
        for _ in range(3)
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_keeps_the_artefact_there_was(tmp_path):
    settings = {"params": {}, "modules": ["galtools.surveys"]}
    path = tmp_path / "artefact"
    artefacts.make(path, lambda new: new.write_text("old"), **settings)
    with pytest.raises(GaltoolsError, match="is full"):
        artefacts.make(path, lambda new: Path("/dev/full").write_text("new"), seed=1, **settings)
    assert artefacts.is_whole(path)
    assert path.read_text() == "old"


@pytest.mark.parametrize("damage", ["cut", "flip", "attribute", "empty", "text", "folder"])
def test_corrupted_pairs(tmp_path, damage):
    path = tmp_path / "pairs.h5"
    write_pairs(path)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        chunk = file["target/images"].id.get_chunk_info(1)
        scale = np.float64(file["source"].attrs["pixel_scale"]).tobytes()
    middle = chunk.byte_offset + chunk.size // 2
    if damage == "attribute":
        middle = content.index(scale) + 6
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        path.write_bytes(
            {"cut": content[:middle], "empty": b"", "text": b"no pairs"}.get(damage, flipped)
        )
    with pytest.raises(GaltoolsError) as error:
        data.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_pairs(tmp_path):
    with pytest.raises(GaltoolsError, match=r"pairs\.h5 is missing"):
        data.load(tmp_path / "pairs.h5")


def test_path_with_spaces(tmp_path, artefact):
    path = tmp_path / "my results, tiny" / "α & β" / artefact
    settings = {"params": {}, "modules": ["galtools.surveys"]}
    made = artefacts.make(path, WRITERS[artefact], **settings)
    assert artefacts.is_whole(path)
    assert artefacts.make(path, WRITERS[artefact], **settings) == made
    assert sorted(file.name for file in path.parent.iterdir()) == [
        artefact,
        f"{artefact}.manifest.json",
    ]


NOTEBOOK = """# %% tags=["parameters"]
results: str = "results"  # folder of all artefacts

# %%
from companion import paths

where = paths.Results(results, "tiny")
paths.need(where.data("test"), "01_two_surveys")
"""


@pytest.mark.notebook
def test_missing_upstream_artefact_is_one_line_in_a_notebook(tmp_path):
    """On the command line; in the notebook with the cell's line, and no inner workings."""
    (tmp_path / "later.py").write_text(NOTEBOOK)
    command = [Path(sys.executable).with_name("papermill"), "later.py", "out.ipynb"]
    run = subprocess.run(
        [*command, "-p", "results", "my results", "--no-progress-bar"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 1
    message = (
        f"{tmp_path}/my results/tiny/data/test.h5 is missing: run notebooks/01_two_surveys.py "
        "first, with the same profile, results folder, task and seed (those that it has), or "
        "`make book`; in a grid, list it above, under `needs` here"
    )
    assert run.stderr.splitlines()[-1] == f"Error: {message} (cell 3, see out.ipynb)"
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    (error,) = (o for c in cells for o in c.get("outputs", ()) if o["output_type"] == "error")
    line = '----> 4 paths.need(where.data("test"), "01_two_surveys")'
    assert error["traceback"] == [line, "", f"GaltoolsError: {message}"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["later.py", "out.ipynb"]
