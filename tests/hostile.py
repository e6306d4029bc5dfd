"""Hostile files of every kind that is read: valid ones, damaged by a rule that a seed decides.

    PYTHONPATH=. python tests/hostile.py --minutes 10 [--seed 0]     (`make fuzz`)

tries seeds until the time is over. What is neither read nor refused in one line is printed, and its
kind and seed are added to hostile_seeds.txt, which the tests try again at every run.
"""

import argparse
import faulthandler
import json
import signal
import sys
import time
import traceback
import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import torch
import yaml
from astropy.io import fits
from astropy.table import Table
from blobs import blobs

from companion import papermill_io
from galtools import artefacts, data, models, redshift
from galtools.data import image_files
from galtools.data.stretch import Normalization, Stretch
from galtools.errors import GaltoolsError
from galtools.fidelity import scorecard
from galtools.ingest.catalogue import read_catalogue
from galtools.ingest.fits_images import read_fits
from galtools.models import checkpoint
from galtools.training import translate

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
import grid  # noqa: E402
import reproduce  # noqa: E402

KEPT = Path(__file__).with_name("hostile_seeds.txt")
LONGEST = 600  # letters of a message
PATIENCE = 60  # seconds for one file, when fuzzing

# --- valid files


def pairs_file(path):
    pairs = blobs(3)
    pairs.source_set.mask = np.zeros(pairs.source.shape, np.uint8)
    pairs.source_set.mask[1, 2, 3, 4] = 1
    pairs.catalogue["id"] = ["a", "b", "c"]
    data.save(pairs, path, split=["train", "valid", "test"])


def arrays_file(path):
    images, about = blobs(2).target, {"redshift": np.array([0.1, 0.2])}
    if path.suffix == ".npz":
        np.savez_compressed(path, truth=images, translated=images, **about)
    elif path.suffix == ".npy":
        np.save(path, images)
    else:
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(images, name="TRUTH")]
        fits.HDUList(hdus).writeto(path, checksum=True)


def network_file(path):
    torch.manual_seed(0)
    network = models.build("residual", "cross", "tiny")
    network.scaling = Normalization(*[Stretch("asinh", (0.03,) * 5, (1.0,) * 5)] * 2, 16, 1.0)
    checkpoint.save_weights(path, network)


def ensemble_file(path):
    ensemble = redshift.Ensemble.untrained(5, 0, 2, hidden=4)
    for network in ensemble.networks:
        network.prepare(blobs(2).target, [0.01] * 5)
    ensemble.save(path)


def catalogue_file(path):
    columns = {"id": ["a", "b"], "ra": [10.0, 11.0], "dec": [1.0, 2.0], "z": [0.1, 0.2]}
    Table(columns).write(path, format="votable" if path.suffix == ".vot" else None)


def frame_file(path):
    cards = {"BUNIT": "nanomaggy", "FILTER": "r", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    cards |= {"CRVAL1": 10.0, "CRVAL2": 1.0, "CRPIX1": 8.0, "CRPIX2": 8.0}
    cards |= {"CD1_1": -1.1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1.1e-4}
    image = blobs(1).target[0, 2]
    fits.PrimaryHDU(image, fits.Header(cards)).writeto(path, checksum=True)


def card_file(path):
    pairs = blobs(12)
    scorecard.card(pairs.target, pairs.target, morphology=0, n_boot=40, pixel_scale=0.4).save(path)


def manifest_file(path):
    artefact = path.with_name(path.name.removesuffix(".manifest.json"))
    artefacts.make(artefact, _write_made, params={"n": 1}, modules=[])


def _write_made(path):
    path.write_text("made")


def record_file(path):
    entry = {"notebook": "31_toy", "parameters": {"steps": 3}, "needs": []}
    record = {"run": "31_toy", "profile": "tiny", **entry, "ancestors": {"01_two_surveys": entry}}
    record |= {"code": {"cells": ["0"]}, "artefacts": {"tables/a.csv": "0"}, "cores": 1}
    artefacts.write_json(path, record | {"sha256": "0", "seconds": 1.0, "key": "0"})


def text_file(path):
    path.write_text(
        {
            "grid.yaml": "profile: tiny\nruns:\n  a:\n    notebook: 31_toy\n    parameters: "
            "{steps: [10, 20], seed: {range: 2}}\n  b: {notebook: 31_toy, needs: a}\n",
            "redshifts.txt": "0.1\n0.2\n0.3\n",
            "notebook.py": '# %% tags=["parameters"]\nn: int = 3  # galaxies\n# %%\nprint(n)\n',
        }[path.name]
    )


# --- what reads them


def read_pairs(path):
    data.validate(path)
    data.load(path, slice(2))
    data.describe(path)
    image_files.read_column(path, "target/noise")
    image_files.open_images(path)[:1]


def read_arrays(path):
    image_files.read_column(path, "redshift")
    return image_files.open_images(path)[:1]


def read_manifest(path):
    artefact = path.with_name(path.name.removesuffix(".manifest.json"))
    artefacts.is_whole(artefact)
    artefacts.check_inputs(artefact)


def read_notebook(path):
    notebook = papermill_io.read_percent(path.read_text(errors="replace"), path)
    papermill_io.known_parameters(notebook)


KINDS = {  # name of a file: (what writes a valid one, what reads any)
    "pairs.h5": (pairs_file, read_pairs),
    "images.npz": (arrays_file, read_arrays),
    "images.npy": (arrays_file, read_arrays),
    "images.fits": (arrays_file, read_arrays),
    "translations.h5": (
        lambda path: translate.save_translations(path, blobs(2).target),
        translate.load_translations,
    ),
    "weights.safetensors": (network_file, checkpoint.load_weights),
    "ensemble.safetensors": (ensemble_file, redshift.Ensemble.load),
    "catalogue.csv": (catalogue_file, read_catalogue),
    "catalogue.ecsv": (catalogue_file, read_catalogue),
    "catalogue.fits": (catalogue_file, read_catalogue),
    "catalogue.vot": (catalogue_file, read_catalogue),
    "frame.fits": (frame_file, read_fits),
    "redshifts.txt": (text_file, image_files.read_numbers),
    "card.json": (card_file, lambda path: scorecard.merge([scorecard.load(path)])),
    "made.csv.manifest.json": (manifest_file, read_manifest),
    "run.ipynb.manifest.json": (record_file, reproduce.read),
    "grid.yaml": (text_file, lambda path: grid.plan(grid.read(path))),
    "notebook.py": (text_file, read_notebook),
}


@cache
def valid(kind: str) -> bytes:
    """Bytes of a valid file."""
    with TemporaryDirectory() as folder:
        KINDS[kind][0](path := Path(folder) / kind)
        return path.read_bytes()


# --- damage

WORDS = [b"nan", b"1e999", b"-1", b"99999999999999999999", "²".encode(), b"\xff\xfe", b"\0" * 9]
WORDS += [b"\xef\xbb\xbf", b"\n", b"{}", b"[]", b"null", b"true", b"&a [*a]", b"../x", b"'", b'"']
ODD = [None, True, -1, 0, 2**70, 1e999, "", "x", "²", "\n", "../x", [], [[]], {}, {"a": []}]
TEXTS = (".json", ".yaml")


def damage(kind: str, seed: int) -> bytes:
    """Bytes of a hostile file, the same for the same seed."""
    rng = np.random.default_rng(seed)
    content = valid(kind)
    if kind.endswith(TEXTS) and rng.random() < 0.6:
        return _replace_values(rng, kind, content)
    if kind.endswith(".h5") and rng.random() < 0.6:
        return _replace_items(rng, content)
    if rng.random() < 0.05:  # a valid file of another kind
        return valid(str(rng.choice(list(KINDS))))
    for _ in range(rng.integers(1, 4)):
        content = _replace_bytes(rng, content)
    return content


def _replace_bytes(rng, content: bytes) -> bytes:
    start = int(rng.integers(len(content) + 1))
    end = start + int(rng.choice([1, 4, 16, 100, 5000]))
    piece = content[start:end]
    new = [
        b"", piece * 2, bytes(len(piece)), b"\xff" * len(piece), rng.bytes(len(piece)),
        WORDS[rng.integers(len(WORDS))], piece + WORDS[rng.integers(len(WORDS))], piece[::-1],
    ]  # fmt: skip
    if rng.random() < 0.1:
        return content[:start]
    return content[:start] + new[rng.integers(len(new))] + content[end:]


def _replace_values(rng, kind: str, content: bytes) -> bytes:
    """JSON or YAML in which some values, somewhere, are others, or keys are gone."""
    tree = {"": yaml.safe_load(content)}
    for _ in range(rng.integers(1, 3)):
        place = tree
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            if isinstance(place[key], dict | list) and rng.random() < 0.8:
                place = place[key]
                continue
            if rng.random() < 0.2:
                del place[key]
            else:
                place[key] = ODD[rng.integers(len(ODD))]
            break
    tree = tree.get("")
    return (json.dumps(tree) if kind.endswith(".json") else yaml.safe_dump(tree)).encode()


def _replace_items(rng, content: bytes) -> bytes:
    """HDF5 in which a data set, group or attribute is another, or gone."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.h5"
        path.write_bytes(content)
        with h5py.File(path, "a") as file:
            names = []
            file.visit(names.append)
            name = names[rng.integers(len(names))]
            owner = file[name] if rng.random() < 0.5 else file
            if len(owner.attrs) and rng.random() < 0.4:
                key = list(owner.attrs)[rng.integers(len(owner.attrs))]
                odd = [np.nan, "x", 3, [1, 2], "²", b"\xff", h5py.Empty("f"), -1.0, None]
                if (new := odd[rng.integers(len(odd))]) is None:
                    del owner.attrs[key]
                else:
                    owner.attrs[key] = new
            else:
                _replace_item(rng, file, name)
        return path.read_bytes()


def _replace_item(rng, file, name) -> None:
    old = file[name][()] if isinstance(file[name], h5py.Dataset) else np.zeros(3)
    del file[name]
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    replace = [
        lambda: None,
        lambda: file.create_group(name),
        lambda: file.create_dataset(name, data=old[:1]),
        lambda: file.create_dataset(name, data=np.concatenate([old, old])),
        lambda: file.create_dataset(name, data=3.0),
        lambda: file.create_dataset(name, data=["a", "b", "c"]),
        lambda: file.create_dataset(name, data=np.zeros(old.shape, complex)),
        lambda: file.create_dataset(name, data=np.full(old.shape, np.nan)),
        lambda: file.create_dataset(name, data=np.zeros(old.shape, [("a", "f4"), ("b", "i2")])),
        lambda: file.create_dataset(name, data=h5py.Empty("f")),
        lambda: file.create_dataset(name, (10**7, *old.shape[1:]), "f4", chunks=True),
        lambda: file.create_dataset(name, (0, *old.shape[1:]), "f4"),
        lambda: file.__setitem__(name, h5py.SoftLink("/nowhere")),
        lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
        lambda: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")),
        lambda: file.create_virtual_dataset(name, layout),
        lambda: file.__setitem__(name, file["/"]),  # a cycle
    ]
    replace[rng.integers(len(replace))]()


# --- what is held to


def check(kind: str, content: bytes, folder: Path) -> str:
    """Return what is wrong with how a file is met: empty if it is read, or refused in one line."""
    path = Path(folder) / kind
    if kind == "made.csv.manifest.json":
        (path.parent / "made.csv").write_text("made")
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind][1](path)
    except GaltoolsError as error:
        text = str(error).partition("\nThe parameters of notebook")[0]  # which are listed below it
        if not 0 < len(text) < LONGEST or "\n" in text:
            return f"refused in {len(text)} letters: {text[:LONGEST]!r}"
    except Exception:
        return traceback.format_exc()
    return ""


def kept_seeds() -> list[tuple[str, int]]:
    """Kinds and seeds that once went wrong."""
    lines = KEPT.read_text().split("\n") if KEPT.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines if line.strip()]


def fuzz(minutes: float, seed: int) -> int:
    """Try seeds until the time is over; return how many files went wrong."""
    end, tried, wrong = time.monotonic() + 60 * minutes, 0, 0
    kinds = list(KINDS)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it hangs")))
    with TemporaryDirectory() as folder:
        while time.monotonic() < end:
            kind = kinds[tried % len(kinds)]
            signal.alarm(PATIENCE)
            faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)  # what C code never answers
            print(f"{kind} {seed}", end=" \r", flush=True)
            problem = check(kind, damage(kind, seed), Path(folder))
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
            if problem:
                wrong += 1
                print(f"{kind} {seed}\n{problem}", flush=True)
                with open(KEPT, "a") as file:
                    file.write(f"{kind} {seed}\n")
            tried, seed = tried + 1, seed + 1
    print(f"{tried} hostile files, {wrong} of them neither read nor refused in one line")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    sys.exit(1 if fuzz(options.minutes, options.seed) else 0)
