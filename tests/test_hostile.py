"""Whatever a file holds, it is read or refused in one line, without a hang or a door."""

import argparse
import gzip
import io
import itertools
import json
import math
import os
import signal
from types import SimpleNamespace

import h5py
import hostile
import numpy as np
import pipeline
import pytest
import requests
import snake
import torch
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from papermill.models import Parameter

from companion import papermill_io
from galtools import artefacts, data, models
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.ingest import cutouts, download
from galtools.ingest.catalogue import read_catalogue, tidy
from galtools.ingest.fits_images import read_fits
from galtools.models import checkpoint

CASES = 70  # of every kind of file


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_a_valid_file_is_read(kind, tmp_path):
    assert hostile.check(kind, hostile.valid(kind), tmp_path) == ""
    (tmp_path / kind).write_bytes(hostile.valid(kind))
    hostile.KINDS[kind][1](tmp_path / kind)


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_a_damaged_file_is_read_or_refused_in_one_line(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")

    @settings(max_examples=CASES, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def hold(seed):
        assert hostile.check(kind, hostile.damage(kind, seed), folder) == "", seed

    hold()


@pytest.mark.parametrize(("kind", "seed"), hostile.kept_seeds())
def test_what_once_went_wrong(kind, seed, tmp_path):
    assert hostile.check(kind, hostile.damage(kind, seed), tmp_path) == ""


@pytest.mark.parametrize("odd", [*hostile.ODD, "[" * 10**5], ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize(
    "kind", [kind for kind in hostile.KINDS if kind.endswith((".json", ".yaml"))]
)
def test_json_of_another_form(kind, odd, tmp_path):
    text = odd if isinstance(odd, str) and odd.startswith("[[") else json.dumps(odd)
    assert hostile.check(kind, text.encode(), tmp_path) == ""


def test_the_suite_has_a_thousand_cases():
    assert CASES * len(hostile.KINDS) >= 1000


# --- bounds


def test_many_rows_at_one_place_are_refused_and_a_few_are_flagged():
    def rows(n):
        return Table({"ra": np.full(n, 10.0), "dec": np.full(n, 2.0)})

    assert (np.asarray(tidy(rows(50))["flag"]) != 0).sum() >= 49
    with pytest.raises(GaltoolsError, match="5000 rows of the catalogue lie at one place"):
        tidy(rows(5000))


def test_more_stamps_than_the_memory_holds_are_refused():
    cutouts.check_memory((100, 5, 64, 64))
    with pytest.raises(GaltoolsError, match=r"10000000 stamps of 64 pixels need 1024 GB .* parts"):
        cutouts.check_memory((10**7, 5, 64, 64))


@pytest.mark.parametrize("change", [{"blocks": 10**9}, {"width": 10**6}, {"blocks": "many"}, {}])
def test_a_recipe_of_another_network_is_refused_before_it_is_built(tmp_path, change):
    path = tmp_path / "weights.safetensors"
    hostile.network_file(path)
    tensors, about = checkpoint.load(path)
    assert set(change) <= set(about["recipe"]["sizes"])
    about["recipe"]["sizes"] |= change
    if not change:
        tensors.pop(min(tensors))
    checkpoint.save(path, tensors, about)
    with pytest.raises(GaltoolsError, match=r"weights.safetensors does not fit the code \(.*train"):
        checkpoint.load_weights(path)


@pytest.mark.parametrize("name", models.names())
def test_the_weights_of_every_translator_come_back(name, tmp_path):
    torch.manual_seed(0)
    network = models.build(name, "cross", "tiny")
    again = checkpoint.build_for(network.state_dict(), models.rebuild, network.recipe)
    for key, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


class Dripping(requests.Response):
    """What a server sends one byte at a time, and nothing after so many bytes."""

    def __init__(self, most):
        super().__init__()
        self.status_code, self.left, self.raw = 200, most, self  # its headers are empty, too

    def read1(self, *_, **__):
        self.left -= 1
        return b"x" if self.left >= 0 else b""

    def close(self):
        pass


@pytest.mark.parametrize(("pace", "steady"), [(0.5, False), (1e-4, True)])
def test_a_server_that_drips_is_given_up_and_a_steady_one_is_not(
    tmp_path, monkeypatch, pace, steady
):
    seconds = itertools.count(0.0, pace)
    monkeypatch.setattr(download.time, "monotonic", lambda: next(seconds))
    session = SimpleNamespace(get=lambda *_, **__: Dripping(10**5))
    if steady:
        download._receive(session, "https://a.org/a", tmp_path / "a", 30.0)
        assert (tmp_path / "a").stat().st_size == 10**5
    else:
        with pytest.raises(requests.Timeout, match="only 61 bytes in 30 s"):
            download._receive(session, "https://a.org/a", tmp_path / "a", 30.0)


def empty_image(pixels: int) -> bytes:
    """FITS of zeros, compressed a thousandfold."""
    header = fits.PrimaryHDU(np.zeros((1, 1), np.float32)).header
    header["NAXIS1"], header["NAXIS2"] = pixels, pixels
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as file:
        file.write(header.tostring().encode())
        for _ in range(pixels // 100):
            file.write(bytes(400 * pixels))
    return packed.getvalue()


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path):
    path = tmp_path / "frame.fits.gz"
    path.write_bytes(empty_image(8000))
    with pytest.raises(GaltoolsError, match="too small for"):
        read_fits(path)
    path.write_bytes(empty_image(100))
    assert read_fits(path)[0].shape == (100, 100)


def test_an_array_file_that_unpacks_to_a_large_one_is_refused(tmp_path):
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images=np.zeros((300, 5, 128, 128), np.float32))
    assert "too small for" in refusal(data.image_files.open_images, path)
    path.write_bytes(b"PK\5\6" + bytes(18) + path.read_bytes())  # behind an empty archive
    assert "too small for" in refusal(data.image_files.open_images, path)


def test_a_data_set_that_claims_more_than_the_file_could_hold_is_refused(tmp_path):
    path = tmp_path / "pairs.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (10**6, 5, 64, 64), "f4", chunks=(1, 5, 64, 64))
    assert "too small for 81.9 GB" in refusal(data.image_files.open_images, path)


def text_in_a_heap(path) -> tuple[bytes, int]:
    """HDF5 file with a text of variable length, and where in it the free space of its heap is."""
    with h5py.File(path, "w") as file:
        file["images"] = np.ones((1, 5, 8, 8), np.float32)
        file.attrs["author"] = "a reader"
    content = path.read_bytes()
    return content, content.index(b"GCOL\1") + 16 + 16 + 8


@pytest.mark.parametrize("size", [0, 8, 10**9, 2**64 - 1])
@pytest.mark.parametrize("entry", [0, 2])
def test_a_heap_of_texts_without_end_is_refused(entry, size, tmp_path):
    """HDF5 itself never returns from the first."""
    path = tmp_path / "images.h5"
    content, start = text_in_a_heap(path)
    assert data.image_files.open_images(path)[:].sum() == 320
    head = entry.to_bytes(8, "little") + size.to_bytes(8, "little")
    path.write_bytes(content[:start] + head + content[start + 16 :])
    signal.alarm(60)
    try:
        assert "damaged where its texts lie" in refusal(data.image_files.open_images, path)
    finally:
        signal.alarm(0)


def test_our_files_have_no_heap_of_texts(tmp_path):
    for kind in ("pairs.h5", "translations.h5"):
        assert b"GCOL" not in hostile.valid(kind)


def test_a_manifest_without_bound_is_damaged(tmp_path):
    path = tmp_path / "made.txt"
    artefacts.make(path, lambda new: new.write_text("x"), params={}, modules=[])
    manifest = artefacts.manifest_path(path)
    with open(manifest, "a") as file:
        for _ in range(40):
            file.write(" " * 10**6)
    assert "damaged" in refusal(artefacts.read_manifest, path)


@pytest.mark.parametrize("kind", ["frame.fits", "images.fits", "catalogue.fits"])
@pytest.mark.parametrize(
    "filler",
    [b" " * 80, b"COMMENT END".ljust(81), b"A       = 1".ljust(80)],
    ids=["blank", "comment", "card"],
)
def test_a_fits_header_without_bound_is_refused(kind, filler, tmp_path):
    start, end, rest = hostile.valid(kind).rpartition(b"END".ljust(80))
    with open(tmp_path / kind, "wb") as file:
        file.write(start)
        for _ in range(8):
            file.write(filler * 14400)
        file.write(end + rest)
    assert "header of more than 4 MB" in refusal(hostile.KINDS[kind][1], tmp_path / kind)


@pytest.mark.parametrize("kind", [kind for kind in hostile.KINDS if kind != "notebook.py"])
def test_a_pipe_is_not_waited_for(kind, tmp_path):
    os.mkfifo(tmp_path / kind)
    signal.alarm(60)  # a reader that waits ends the tests, and not never
    try:
        refusal(hostile.KINDS[kind][1], tmp_path / kind)
    finally:
        signal.alarm(0)


def refusal(read, *arguments) -> str:
    """Message, of one line, with which something is refused."""
    with pytest.raises(GaltoolsError) as error:
        read(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- doors


VOTABLE = """<?xml version="1.0"?>{entity}
<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" version="1.3"><RESOURCE><TABLE>
<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double"/>
<DATA><BINARY><STREAM{href}>{rows}</STREAM></BINARY></DATA></TABLE></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize("name", ["table.vot", "table.xml", "table.vot.gz", "utf16.vot"])
@pytest.mark.parametrize("place", ["file:///etc/hostname", "http://localhost:9/", "rows.bin"])
def test_a_table_whose_rows_lie_elsewhere_is_refused(tmp_path, name, place):
    text = VOTABLE.format(entity="", href=f' href="{place}"', rows="")
    if "utf16" in name:
        text = text.replace("?>", ' encoding="UTF-16"?>', 1)
    content = text.encode("utf-16" if "utf16" in name else "utf-8")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert "takes its rows from elsewhere" in refusal(read_catalogue, tmp_path / name)


def test_a_table_with_entities_is_refused(tmp_path):
    entity = '<!DOCTYPE VOTABLE [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    path = tmp_path / "table.vot"
    path.write_text(VOTABLE.format(entity=entity, href="", rows="&x;"))
    assert "declares entities" in refusal(read_catalogue, path)


def test_a_catalogue_in_hdf5_shows_no_other_file(tmp_path):
    Table({"ra": [1.0], "dec": [2.0]}).write(tmp_path / "other.h5", path="t")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["t"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/t")
    assert "lies in another file" in refusal(read_catalogue, tmp_path / "table.h5")


@pytest.mark.parametrize(
    "url",
    ["https://exämple.org/a", "https://a.org/ä", "https://a.org/a b", "https://a.org/\n",
     "https://a.org:99999/", "https://[a/", "https://a.org:0x/", "ftp://a.org", "", "https://"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url):
    refusal(download.check_url, url)


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "²", "٣", "1e3", "", "9" * 400])
def test_an_odd_wish_to_wait_is_no_wish(wait):
    answer = requests.Response()
    answer.headers["Retry-After"] = wait
    waited = download._retry_after(requests.HTTPError(response=answer))
    assert waited == 0 and math.isfinite(waited)


GRID = "profile: tiny\nruns:\n  a:\n    notebook: 31_toy\n    parameters: {}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GRID.format("{seed: {range: 1000000000}}"), "is no value"),
        (GRID.format("{seed: {range: 1000}, steps: {range: 1000}}"), r"1e\+06 runs: at most"),
        (GRID.format("{steps: &a [1, *a]}"), "no aliases"),
        (GRID.format("{steps: [1]}") + "# " + "x" * 10**6, "larger than any grid"),
        (GRID.format("[1, 2]"), "`parameters` must be dict"),
        (GRID.format("{}") + "    cores: 0\n", "a whole number of `cores` busy"),
        (GRID.format("{}") + "    cores: many\n", "`cores` must be int"),
        (GRID.format("{}") + "    1: 2\n    x: 3\n", "unknown entry 1"),
        ("1: 2\nb: 3\n" + GRID.format("{}"), "unknown entry 1"),
        ("\n".join(f"a{k + 1}: &a{k + 1} [{f'*a{k}, ' * 9}]" for k in range(9)), "no aliases"),
        (
            "runs:\n a0: &a0 [x]\n"
            + "".join(f" a{k + 1}: &a{k + 1} [{f'*a{k}, ' * 9}]\n" for k in range(9)),
            "no aliases",
        ),
        (GRID.format("{}") + "  a: {notebook: 31_toy}\n", "'a' is given twice"),
        (GRID.format("{steps: 1, steps: 2}"), "'steps' is given twice"),
        ("\xff", "lists nothing under `runs:`"),
        ("[" * 10**5, "cannot read"),
    ],
    ids=range(15),
)
def test_a_grid_without_bounds_is_refused(tmp_path, text, message):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    with pytest.raises(GaltoolsError, match=message) as error:
        hostile.KINDS["grid.yaml"][1](path)
    assert "\n" not in str(error.value) and len(str(error.value)) < hostile.LONGEST


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", "", "²", "99999"])
def test_a_number_of_cores_is_one(count):
    with pytest.raises(argparse.ArgumentTypeError, match="give a whole number from 1 on"):
        pipeline.core_count(count)
    assert pipeline.core_count("16") == 16


@pytest.mark.parametrize("name", ["{}", "{profile}", "a\nb", "a}"])
def test_a_folder_that_would_be_taken_for_a_pattern_is_refused(tmp_path, name):
    with (
        pytest.raises(GaltoolsError, match="choose a plainer folder"),
        snake.only_one(tmp_path / name),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["artefacts", "key", "seconds"])
def test_a_record_without_a_field_is_damaged(tmp_path, missing):
    run = pipeline.Run("31_toy", tmp_path, "tiny", "31_toy")
    run.executed.parent.mkdir()
    hostile.record_file(artefacts.manifest_path(run.executed))
    record = pipeline.record(run)
    artefacts.write_json(
        artefacts.manifest_path(run.executed), {k: v for k, v in record.items() if k != missing}
    )
    assert "damaged" in refusal(pipeline.record, run)
    assert not pipeline.is_current(run, {})


def test_a_card_with_a_line_twice_is_none(tmp_path):
    path = tmp_path / "card.json"
    hostile.card_file(path)
    content = json.loads(path.read_text())
    content["rows"].append(content["rows"][0])
    path.write_text(json.dumps(content))
    assert "a line stands in it twice" in refusal(scorecard.load, path)


def test_a_parameter_of_billions_of_values_is_refused_briefly():
    bomb = ["x"]
    for _ in range(30):
        bomb = [bomb] * 9
    for value in (bomb, [0] * 10**6, "x" * 10**6):
        parameter = Parameter("steps", "list[int]", "[1]", "")
        (line,) = papermill_io.complaints({"steps": value}, [parameter])
        assert len(line) < hostile.LONGEST


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_a_column_of_text_is_no_column_of_numbers(tmp_path, ending):
    path = tmp_path / f"images{ending}"
    if ending == ".npz":
        np.savez(path, redshift=np.array(["low", "high"]), z=np.zeros(2))
    else:
        with h5py.File(path, "w") as file:
            file["redshift"], file["z"] = ["low", "high"], np.zeros(2)
    assert "redshift holds no numbers" in refusal(data.image_files.read_column, path, "redshift")
    assert data.image_files.read_column(path, "nothing") is None
    assert len(data.image_files.read_column(path, "z")) == 2
