"""Kill -9 the real steps at random moments, start them again, compare the hashes of what they made.

    python benchmarks/soak.py [--kills 100] [--seed 0] [--out benchmarks/soak.json]

Every step (data, training, translating, measuring, a figure, pages, a download) runs in a child
process that is killed at a random moment of its work, with all that it has started, and started
again, until it has been killed as often as asked; the last start runs to its end. What stands on
the disk then must be, byte for byte, what an undisturbed run leaves, and a run afterwards must make
nothing anew. The moments are spread over the time that the step takes undisturbed, so that some
fall into the writing of each artefact.
"""

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

import h5py
import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import requests
import torch
from urllib3.response import HTTPResponse

from galtools import artefacts, data, simulate
from galtools.fidelity import morphology
from galtools.ingest import download
from galtools.training import loop, train, translate
from galtools.training.loop import Settings

CODE = "galtools.simulate", "galtools.training.train", "galtools.ingest.download"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
import build  # noqa: E402
import stage  # noqa: E402

loop.SAVE_SECONDS = 0.0  # a checkpoint after every step
SETTINGS = Settings(steps=12, batch=4, crop=16, checks=3)
BUILD = {"name": "residual", "task": "cross", "profile": "tiny"}


def make_data(folder: Path) -> None:
    """Simulate two small samples."""
    for split, n, start in (("train", 6, 0), ("test", 3, 6)):
        artefacts.make(
            folder / f"{split}.h5",
            lambda new, n=n, start=start: data.save(
                simulate.pairs(n, seed=0, start=start, grid="sdss"), new
            ),
            params={"n": n, "start": start},
            modules=["galtools.simulate"],
        )


def make_training(folder: Path) -> None:
    """Train a small network, with a checkpoint after every step."""
    files = folder / "train.h5", folder / "test.h5"
    train.train_cached(folder / "model", BUILD, SETTINGS, *files)


def make_translation(folder: Path) -> None:
    """Translate the test sample."""
    weights = folder / "model" / "weights.safetensors"
    translate.translate_cached(folder / "translated.h5", weights, folder / "test.h5")


def make_measures(folder: Path) -> None:
    """Measure the shapes of the translated galaxies."""

    def maker(new):
        images = translate.load_translations(folder / "translated.h5")[:, 2]
        sky, fwhm = np.full(len(images), 0.03), {"row": np.full(len(images), 1.3)}
        table = morphology.measure({"row": images}, images, sky, fwhm, 0.396, 1, progress=False)
        table.to_csv(new, index=False)

    artefacts.make(
        folder / "shapes.csv", maker, params={},
        modules=["galtools.fidelity.morphology", "galtools.training.translate"],
        inputs=[folder / "translated.h5"],
    )  # fmt: skip


def make_figure(folder: Path) -> None:
    """Draw the translated galaxies."""

    def maker(new):
        with h5py.File(folder / "translated.h5") as file:
            fig, axes = plt.subplots(1, len(file["images"]))
            for ax, image in zip(axes, file["images"], strict=True):
                ax.imshow(np.arcsinh(image[0, 2]))
        fig.savefig(new, metadata={"Software": None})
        plt.close(fig)

    inputs = [folder / "translated.h5"]
    artefacts.make(
        folder / "figure.png", maker, params={}, modules=["galtools.surveys"], inputs=inputs
    )


def make_pages(folder: Path) -> None:
    """Render a small book with the code that renders the real one."""
    source, out = folder / "book", folder / "rendered"
    source.mkdir(parents=True, exist_ok=True)
    for name, text in PAGES.items():
        stage.write_if_new(source / name, text.encode())
    shutil.copytree(ROOT / "book" / "_static", source / "_static", dirs_exist_ok=True)
    (out / "_build").mkdir(parents=True, exist_ok=True)
    build.render(source, out)


class Archive(requests.adapters.BaseAdapter):
    """Answers requests of a file, without a network."""

    body = np.random.default_rng(0).bytes(1 << 20)

    def send(self, request, **_):
        """Answer every request with the file."""
        answer, headers = requests.Response(), {"Content-Length": str(len(self.body))}
        answer.status_code, answer.url, answer.request = 200, request.url, request
        answer.raw = HTTPResponse(io.BytesIO(self.body), headers, preload_content=False)
        answer.headers.update(headers)
        return answer

    def close(self):
        """Close nothing."""


class ArchiveSession(requests.Session):
    """Asks the archive above, whatever the address."""

    def __init__(self):
        super().__init__()
        self.mount("https://", Archive())


def make_download(folder: Path) -> None:
    """Download a file."""
    download._Session = ArchiveSession
    download.fetch("https://archive.invalid/frame.fits", folder / "frame.fits")


PAGES = {
    "_toc.yml": "format: jb-book\nroot: index\nchapters:\n  - file: other\n",
    "index.md": "# A book\n\nWith one $y = x^2$ and a [link](other.md).\n",
    "other.md": "# Another page\n\nWith *words*.\n",
    "references.bib": "",
    "_extra/robots.txt": "",
}
STEPS = {
    "data": make_data,
    "training": make_training,
    "translating": make_translation,
    "measuring": make_measures,
    "drawing": make_figure,
    "rendering": make_pages,
    "downloading": make_download,
}
NEEDS = {  # steps whose artefacts a step reads
    "training": ("data",),
    "translating": ("data", "training"),
    "measuring": ("data", "training", "translating"),
    "drawing": ("data", "training", "translating"),
}
KEPT = (".h5", ".csv", ".json", ".safetensors", ".png", ".html", ".fits")  # what a step leaves


def in_child(step, folder: Path, patience: float | None = None) -> bool:
    """Run a step in a child; kill it after `patience` seconds; tell whether it ended by itself."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            step(folder)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    with suppress(OSError):
        os.setpgid(child, child)  # here, too: whoever comes first
    end = None if patience is None else time.monotonic() + patience
    while True:
        done, status = os.waitpid(child, 0 if end is None else os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status):
                raise RuntimeError(f"{step.__name__} failed by itself")
            return True
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.0005)


def artefact_hashes(folder: Path) -> dict[str, str]:
    """Hash every artefact; what holds the clock (seconds, dates) is hashed without it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in KEPT and not path.name.endswith(".manifest.json"):
            content = without_clock(path).encode() if path.parent.name == "model" else b""
            content = content or path.read_bytes()
            found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def without_clock(path: Path) -> str:
    """Text of a report of a training, but for its seconds; nothing for its weights."""
    if path.suffix == ".json":
        return json.dumps({**json.loads(path.read_text()), "seconds": 0})
    if path.suffix == ".csv":
        lines = [line.split(",") for line in path.read_text().splitlines()]
        drop = lines[0].index("seconds")
        return str([line[:drop] + line[drop + 1 :] for line in lines])
    return ""


def undo(step_made: set[str], folder: Path) -> None:
    """Take away what a step has made, so that it can be killed once more."""
    for name in step_made:
        (folder / name).unlink()
    if any(name.startswith("rendered") for name in step_made):
        shutil.rmtree(folder / "rendered", ignore_errors=True)


def soak(kills: int, seed: int, folder: Path, names: list[str]) -> dict:
    """Run steps undisturbed, then with kills; return the counts and what differs.

    `names` are in the order of `STEPS`; what they need and do not name is done without kills.
    """
    calm, torn, moments = folder / "calm", folder / "torn", random.Random(seed)
    report, began = {}, time.monotonic()
    for need in dict.fromkeys(need for name in names for need in NEEDS.get(name, ())):
        if need not in names:
            in_child(STEPS[need], calm)
            in_child(STEPS[need], torn)
    for number, name in enumerate(names):
        step, started = STEPS[name], time.monotonic()
        in_child(step, calm)
        usual = time.monotonic() - started
        wanted = kills // len(names) + (number < kills % len(names))
        before, done, finished = set(artefact_hashes(torn)), 0, 0
        while done < wanted:
            if in_child(step, torn, moments.uniform(0, usual)):
                finished += 1
                undo(set(artefact_hashes(torn)) - before, torn)
            else:
                done += 1
        in_child(step, torn)
        report[name] = {"kills": done, "finished before the kill": finished,
                        "seconds undisturbed": round(usual, 2)}  # fmt: skip
    one, other = artefact_hashes(calm), artefact_hashes(torn)
    different = sorted(name for name in one | other if one.get(name) != other.get(name))
    stamps = {torn / name: (torn / name).stat().st_mtime_ns for name in other}
    for name in names:
        in_child(STEPS[name], torn)
    anew = [path.name for path in stamps if path.stat().st_mtime_ns != stamps[path]]
    total = sum(row["kills"] for row in report.values())
    return {"kills": total, "seed": seed, "artefacts": len(one), "different": different,
            "made anew afterwards": anew, "steps": report,
            "seconds": round(time.monotonic() - began), "packages": artefacts.package_versions(),
            "code": artefacts.module_digests(CODE)}  # fmt: skip


def main() -> None:
    """Read the command line, soak, and keep the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--out", type=Path, help="JSON file of the report")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in STEPS if name in args.steps]
        report = soak(args.kills, args.seed, Path(folder), names)
    print(json.dumps(report, indent=1))
    if args.out:
        artefacts.write_json(args.out, report)
    if report["different"] or report["made anew afterwards"]:
        raise SystemExit("what was killed and started again is not what an undisturbed run leaves")


if __name__ == "__main__":
    main()
