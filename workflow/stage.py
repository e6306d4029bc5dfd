"""Lay out what Jupyter Book renders: the prose, and the executed notebooks with today's text.

The outputs of a page come from its last run, the words and the look of its code from the source as
it is now. They always belong together, because a run whose code has changed since is refused.
"""

import base64
import re
import shutil
from pathlib import Path

import nbformat
import pipeline

from galtools import manifest, paths
from galtools.errors import GaltoolsError

GLUED_PNG = "application/papermill.record/image/png"
PROVENANCE = """:::{{admonition}} How this page was made
:class: provenance
Profile `{profile}`, seed {seed}, on {made}, in {seconds} s on {cores} CPU core(s), device {device};
galtools {version}, torch {torch}, numpy {numpy}; key of code, parameters and inputs `{key:.12}`.
:::"""


def write_if_new(path: Path, content: bytes) -> bool:
    """Write a file only if its bytes change, so that Sphinx renders only what changed."""
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return True


def refreshed(source, executed):
    """Return the source notebook with the outputs of its executed copy."""
    outputs = [
        cell
        for cell in executed.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", ())
    ]
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    if len(code) != len(outputs):
        raise GaltoolsError("the notebook's cells changed while it ran: start again")
    for cell, run in zip(code, outputs, strict=True):
        cell.outputs, cell.execution_count = joined(run.outputs), run.execution_count
    return source


def joined(outputs: list) -> list:
    """Join what a cell printed bit by bit; of a progress bar only its last state stays."""
    pieces: list = []
    for output in outputs:
        last = pieces[-1] if pieces else {}
        if output.output_type == "stream" == last.get("output_type") and output.name == last.name:
            last.text += output.text
        else:
            pieces.append(output)
    for piece in pieces:
        if piece.output_type == "stream":
            piece.text = re.sub(r"[^\n]*\r(?!\n)", "", piece.text)
    return pieces


def told_apart(book, run: pipeline.Run):
    """Give a second run of a notebook its own title and figure labels, unique in the book."""
    labels = {cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in book.cells}
    ending = "-" + "-".join(str(value) for value in run.parameters.values())
    text = nbformat.writes(book)
    for label in labels - {None}:
        text = re.sub(rf"(?<![\w-]){re.escape(label)}(?![\w-])", label + ending, text)
    book = nbformat.reads(text, as_version=4)
    title = next(cell for cell in book.cells if cell.source.startswith("# "))
    title.source = re.sub(r"(?m)\A# (.*)$", rf"# \1 ({ending[1:]})", title.source)
    return book


def page(run: pipeline.Run) -> bytes:
    """Make the page of a run: refreshed text, outputs, and how it was made."""
    record = pipeline.record(run)
    book = refreshed(pipeline.read_source(run.source), nbformat.read(run.executed, as_version=4))
    book.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    if run.name != run.notebook:
        book = told_apart(book, run)
    note = nbformat.v4.new_markdown_cell(PROVENANCE.format(**record, **record["packages"]))
    book.cells.append(note)
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "markdown":  # chapters link to each other's source; pages to pages
            cell.source = re.sub(r"\]\((\w+)\.py\)", r"](\1.ipynb)", cell.source)
        cell["id"] = f"cell-{number}"  # the same in every build: only true changes are rendered
    return nbformat.writes(book).encode() + b"\n"


def pictures(run: pipeline.Run) -> dict[str, bytes]:
    """Glued figures as files, `<run>-<name>.png`: any page of the prose can show them."""
    found = {}
    for cell in nbformat.read(run.executed, as_version=4).cells:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name and (picture := output.data.get(GLUED_PNG)):
                found[f"{run.name}-{name}.png"] = base64.b64decode(picture)
    return found


def mathjax() -> Path:
    """Find MathJax's single file in the installed package: no page may need the network."""
    from importlib.metadata import files

    found = [file for file in files("sphinx-mathjax-offline") if file.name == "tex-svg.js"]
    if not found:
        raise GaltoolsError("sphinx-mathjax-offline has no tex-svg.js: delete .venv and run again")
    return Path(found[0].locate())


def stage(runs: dict[str, pipeline.Run], folder: Path) -> None:
    """Bring `folder` up to date with the book's prose and every run; remove what is gone."""
    book = paths.ROOT / "book"
    pages = {
        folder / file.relative_to(book): file.read_bytes()
        for file in book.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    pages[folder / "_extra" / "tex-svg.js"] = mathjax().read_bytes()
    for run in runs.values():
        if not pipeline.is_current(run, runs):
            raise GaltoolsError(f"the code of {run.name} changed while it ran: start again")
        pages[folder / "notebooks" / f"{run.name}.ipynb"] = page(run)
        pages |= {folder / "figures" / name: png for name, png in pictures(run).items()}
    for file in folder.rglob("*"):
        if file.is_file() and file not in pages:
            file.unlink()
    for file, content in pages.items():
        write_if_new(file, content)


def tree_digest(*folders: Path) -> str:
    """Hash every file below some folders (or single files), names and contents."""
    found = [
        file for top in folders for file in ([top] if top.is_file() else sorted(top.rglob("*")))
    ]
    return manifest.digest([[str(file), manifest.sha256(file)] for file in found if file.is_file()])


def clear(folder: Path) -> None:
    """Remove a folder, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
