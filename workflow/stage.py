"""Lay out what Jupyter Book renders: the prose, and the executed notebooks with today's text.

The outputs of a page come from its last run, the words and the look of its code from the source as
it is now. They always belong together, because a run whose code has changed since is refused.
"""

import ast
import base64
import io
import re
from pathlib import Path

import nbformat
import pipeline
import terms
import yaml

from companion import papermill_io, paths
from galtools import artefacts
from galtools.errors import GaltoolsError

WIDEST = 100  # characters of a line of code that a wide page shows whole
GLUED_PNG = "application/papermill.record/image/png"
PROVENANCE = """:::{{admonition}} How this page was made
:class: provenance
Profile `{profile}`, seed {seed}, on {made}, in {seconds} s on {cores} CPU core(s), device {device};
galtools {version}, torch {torch}, numpy {numpy}; key of code, parameters and inputs `{key:.12}`.
:::"""
SECOND = """:::{{note}}
[The chapter]({notebook}.ipynb) once more, {told}: the text is the same, numbers and figures are
those of this run.
:::"""
TASK = {"cross": "SDSS to CFHTLS", "intra": "SDSS to SDSS"}
LINKED = ("index", "tour", "running")  # pages of prose whose words link to the glossary
SVG = "image/svg+xml"
INTERVAL = re.compile(r"(?<=[\d∞]) (\([-−]?[\d.]+, [-−]?[\d.]+\))")
VECTOR = '<a class="vector" href="../vector/{name}" download>This figure as SVG</a>'
QUOTED = """:::{{admonition}} Where the numbers on this page come from
:class: provenance
{runs}; profile {profile}, seed {seed}, made {made}, device {device}; galtools
{version}. The pages of the chapters say it one by one.
:::"""
NOT_RUN = "*(not run)*"  # stands for every number that is not there
NOTICE = """:::{{admonition}} This page could not be run
:class: danger
```text
{reason}
```
Only its text is shown: figures are missing, and numbers read {blank}.
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
    """Join what a cell printed bit by bit; of a progress bar only its last state stays.

    In a table every interval keeps to one line, so that it stands below its value where it must.
    """
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
        elif "<table" in (html := piece.get("data", {}).get("text/html", "")):
            piece.data["text/html"] = INTERVAL.sub(r' <span class="interval">\1</span>', html)
    return pieces


def as_run(book, record: dict):
    """Write the values that a run had into its parameters cell; `results` stays the default."""
    values = {"profile": record["profile"], **record["parameters"]}
    for cell in book.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            known = papermill_io.parse_parameters(cell.source)
            usual = {one.name: ast.literal_eval(one.default) for one in known}
            lines = [written(one, values.get(one.name, usual[one.name])) for one in known]
            cell.source = "\n".join(lines)
    return book


def written(parameter: papermill_io.Parameter, value) -> str:
    """Line of a parameter with a value; a list that makes it too wide gets its own lines."""
    text = repr(value)
    text = text if '"' in text else text.replace("'", '"')  # as the formatter has it
    line = str(parameter._replace(default=text))
    if isinstance(value, list) and len(line) > WIDEST:
        head, _, comment = str(parameter._replace(default="[")).partition("  # ")
        return f"{head}  # {comment}\n    {text[1:-1]}\n]"
    return line


def vectors(book, run: pipeline.Run) -> dict[str, str]:
    """Take the SVG of every figure out of a page and put a link to it below the figure."""
    found, cells = {}, []
    for cell in book.cells:
        cells.append(cell)
        drawn = [o.data.pop(SVG) for o in cell.get("outputs", ()) if SVG in o.get("data", ())]
        figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if drawn and figure:
            name = f"{run.name}-{figure.removeprefix('fig-')}.svg"
            found[name] = drawn[-1]
            cells.append(nbformat.v4.new_markdown_cell(VECTOR.format(name=name)))
    book.cells = cells
    return found


def told_apart(book, run: pipeline.Run):
    """Give a second run of a notebook its own title, a note below it, and unique figure labels."""
    labels = {cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in book.cells}
    words = [value for value in run.parameters.values() if isinstance(value, str)]
    ending = "-" + "-".join(words)
    text = nbformat.writes(book)
    for label in labels - {None}:
        text = re.sub(rf"(?<![\w-]){re.escape(label)}(?![\w-])", label + ending, text)
    book = nbformat.reads(text, as_version=4)
    title = next(cell for cell in book.cells if cell.source.startswith("# "))
    told = ", ".join(TASK.get(word, word) for word in words)
    head, _, rest = title.source.partition("\n")
    note = SECOND.format(notebook=run.notebook, told=told)
    title.source = f"{head} ({told})\n\n{note}\n{rest}"
    return book


def page(run: pipeline.Run, missing=()) -> tuple[bytes, dict[str, str]]:
    """Make the page of a run: refreshed text, outputs, how it was made; and its vector figures."""
    record = pipeline.record(run)
    book = refreshed(pipeline.read_source(run), nbformat.read(run.executed, as_version=4))
    if run.name != run.notebook:
        book = told_apart(book, run)
    drawn = vectors(as_run(book, record), run)
    note = nbformat.v4.new_markdown_cell(PROVENANCE.format(**record, **record["packages"]))
    book.cells.append(note)
    return finished(book, missing), drawn


def empty_page(run: pipeline.Run, reason: str, missing) -> bytes:
    """Make the page of a run that failed: its text and code, and at its top why."""
    book = pipeline.read_source(run)
    first = book.cells[0]
    title, _, rest = first.source.partition("\n")
    notice = NOTICE.format(reason=reason, blank=NOT_RUN)
    first.source = f"{title}\n\n{notice}\n{rest}"
    if run.name != run.notebook:
        book = told_apart(book, run)
    for cell in book.cells:
        cell.source = re.sub(r"\{glue:\w+\}`[^`]*`", NOT_RUN, cell.source)
    return finished(book, missing)


def finished(book, missing) -> bytes:
    """Write a page: chapters link to each other's source, pages to pages; cells have fixed ids."""
    book.metadata["kernelspec"] = papermill_io.KERNEL
    book.metadata.pop("galtools", None)
    link = terms.linker(terms.of_book(paths.ROOT / "book"))
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((\w+)\.py\)", r"](\1.ipynb)", cell.source)
            cell.source = link(without(cell.source, missing))
        cell["id"] = f"cell-{number}"  # the same in every build: only true changes are rendered
    return nbformat.writes(book).encode() + b"\n"


def without(text: str, missing) -> str:
    """Mark the numbers that a text quotes from runs that are missing."""
    for name in missing:
        text = re.sub(rf"\{{glue:\w+\}}`(?:\w+/)*{name}\.ipynb::[^`]*`", NOT_RUN, text)
    return text


def pictures(run: pipeline.Run, wanted: set[str]) -> dict[str, bytes]:
    """Figures that the prose shows, `<run>-<name>.png`: glued ones, and those named fig-<name>."""
    found = {}
    for cell in nbformat.read(run.executed, as_version=4).cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "")
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            data = output.get("data", {})
            if picture := data.get(GLUED_PNG if name else "image/png"):
                found[f"{run.name}-{name or figure.removeprefix('fig-')}.png"] = picture
    return {name: base64.b64decode(found[name]) for name in wanted & found.keys()}


def mathjax() -> Path:
    """Find MathJax's single file in the installed package: no page may need the network."""
    from importlib.metadata import files

    found = [file for file in files("sphinx-mathjax-offline") if file.name == "tex-svg.js"]
    if not found:
        raise GaltoolsError("sphinx-mathjax-offline has no tex-svg.js: delete .venv and run again")
    return Path(found[0].locate())


def blank() -> bytes:
    """A picture that says that there is none."""
    from PIL import Image, ImageDraw

    picture, file = Image.new("RGB", (640, 360), "#eeeeee"), io.BytesIO()
    ImageDraw.Draw(picture).text((320, 180), "not run", "#444444", anchor="mm", font_size=36)
    picture.save(file, "PNG")
    return file.getvalue()


def prose(missing) -> dict[Path, bytes]:
    """Files of book/ by their place; numbers and figures from missing runs are marked."""
    book, found = paths.ROOT / "book", {}
    glossary = terms.of_book(book)
    for file in book.rglob("*"):
        if not file.is_file() or "__pycache__" in file.parts:
            continue
        content = file.read_bytes()
        if file.suffix == ".md":
            text = without(content.decode(), missing)
            for figure in re.findall(r"figures/([\w-]+\.png)", text):
                if figure.rpartition(".")[0].split("-")[0] in missing:
                    found[Path("figures", figure)] = blank()
            content = (terms.linker(glossary)(text) if file.stem in LINKED else text).encode()
        found[file.relative_to(book)] = content
    if (map_of_code := paths.ROOT / "CONTRIBUTING.md").exists():
        found[Path("contributing.md")] = map_of_code.read_bytes()
    return found


def contents(toc: bytes, runs) -> bytes:
    """Table of contents without the chapters that are no runs: nothing is kept that they show."""

    def there(chapters: list[dict]) -> list[dict]:
        for chapter in chapters:
            if sections := there(chapter.pop("sections", [])):
                chapter["sections"] = sections
        files = [Path(chapter["file"]) for chapter in chapters]
        shown = [file.parent.name != "notebooks" or file.name in runs for file in files]
        return [chapter for chapter, show in zip(chapters, shown, strict=True) if show]

    content = yaml.safe_load(toc)
    for part in content["parts"]:
        part["chapters"] = there(part["chapters"])
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def quoted(text: str, records: dict[str, dict]) -> str:
    """Say how the numbers that a page of prose quotes were made, at the end of the page."""
    used = [records[name] for name in records if f"{name}.ipynb::" in text]
    if not used:
        return text
    told = {}
    for key in ("profile", "seed", "made", "device", "version"):
        values = sorted({str(record[key]) for record in used})
        told[key] = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
    runs = f"{len(used)} run{'s' * (len(used) > 1)} of notebooks"
    return f"{text.rstrip()}\n\n{QUOTED.format(runs=runs, **told)}\n"


def stage(runs: dict[str, pipeline.Run], folder: Path, missing: dict[str, str] | None = None):
    """Bring `folder` up to date with the book's prose and every run; remove what is gone.

    `missing` says why runs have no outputs; each gets a page that tells so.
    """
    missing = missing or {}
    seal, inputs = folder.with_name(".staged"), followed(runs, missing)
    if seal.exists() and seal.read_text() == artefacts.digest([inputs, tree_digest(folder)]):
        return
    pages = {folder / name: content for name, content in prose(missing).items()}
    if (toc := folder / "_toc.yml") in pages:
        pages[toc] = contents(pages[toc], runs)
    records = {name: pipeline.record(run) for name, run in runs.items() if name not in missing}
    for name in (folder / f"{page}.md" for page in LINKED):
        if name in pages:
            pages[name] = quoted(pages[name].decode(), records).encode()
    shown = b" ".join(content for name, content in pages.items() if name.suffix == ".md").decode()
    wanted = set(re.findall(r"figures/([\w-]+\.png)", shown))
    pages[folder / "_extra" / "tex-svg.js"] = mathjax().read_bytes()
    for run in runs.values():
        target = folder / "notebooks" / f"{run.name}.ipynb"
        if run.name in missing:
            pages[target] = empty_page(run, missing[run.name], missing)
            continue
        if not pipeline.is_current(run, runs):
            raise GaltoolsError(f"the code of {run.name} changed while it ran: start again")
        pages[target], drawn = page(run, missing)
        pages |= {folder / "_extra" / "vector" / k: v.encode() for k, v in drawn.items()}
        pages |= {folder / "figures" / name: png for name, png in pictures(run, wanted).items()}
    for file in folder.rglob("*"):
        if file.is_file() and file not in pages:
            file.unlink()
    for file, content in pages.items():
        write_if_new(file, content)
    seal.write_text(artefacts.digest([inputs, tree_digest(folder)]))


def followed(runs: dict[str, pipeline.Run], missing: dict[str, str]) -> list:
    """List everything that the staged tree follows from: texts, code, and the records of runs.

    A record holds the checksum of its executed notebook, so the many megabytes of outputs need
    not be read again to know that nothing has changed.
    """
    texts = [paths.ROOT / "book", paths.ROOT / "CONTRIBUTING.md", paths.ROOT / "constraints.txt"]
    code = [*sorted(paths.NOTEBOOKS.glob("*.py")), *sorted(paths.WORKFLOW.glob("*.py"))]
    records = {name: pipeline.record(run) for name, run in runs.items() if name not in missing}
    return [tree_digest(*texts, *code), {name: runs[name].code for name in runs}, records, missing]


def tree_digest(*folders: Path) -> str:
    """Hash every file below some folders (or single files), names and contents."""
    found = [
        file for top in folders for file in ([top] if top.is_file() else sorted(top.rglob("*")))
    ]
    return artefacts.digest(
        [[str(file), artefacts.sha256(file)] for file in found if file.is_file()]
    )
