"""Lay out what Jupyter Book renders: the prose, and the executed notebooks with today's text.

The outputs of a page come from its last run, the words and the look of its code from the source as
it is now. They always belong together, because a run whose code has changed since is refused.
"""

import base64
import re
from importlib.metadata import files
from pathlib import Path

import nbformat
import pipeline
import yaml

from companion import browser_translator, papermill_io, paths
from galtools.errors import GaltoolsError

GLUED_PNG = "application/papermill.record/image/png"
PROVENANCE = """:::{{admonition}} {title}
:class: provenance
{about}.
:::"""
PAGE = """Profile `{profile}`, seed {seed}, on {made}, in {seconds} s on {cores} CPU core(s), device
{device}; galtools {version}, torch {torch}, numpy {numpy}; key of code, parameters and inputs
`{key:.12}`"""
QUOTED = """{count} run(s) of notebooks; profile {profile}, seed {seed}, made {made}, device
{device}; galtools {version}. The pages of the chapters say it one by one"""
SECOND = """:::{{note}}
[The chapter]({notebook}.ipynb) once more, {told}: the text is the same, numbers and figures are
those of this run.
:::"""
TASK = {"cross": "SDSS to CFHTLS", "intra": "SDSS to SDSS"}
SVG = "image/svg+xml"
INTERVAL = re.compile(r"(?<=[\d∞]) (\([-−]?[\d.]+, [-−]?[\d.]+\))")
VECTOR = '<a class="vector" href="../vector/{name}" download>This figure as SVG</a>'
NOT_RUN = "*(not run)*"  # stands for every number that is not there
NOTICE = """:::{{admonition}} This page could not be run
:class: danger
```text
{reason}
```
Only its text is shown: figures are missing, and numbers read {blank}.
:::"""


def write_if_new(path: Path, content: bytes) -> None:
    """Write a file only if its bytes change, so that Sphinx renders only what changed."""
    if not (path.exists() and path.read_bytes() == content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def tagged(cell, tag: str) -> bool:
    """Tell whether a cell has a tag."""
    return tag in cell.metadata.get("tags", ())


def figure_name(cell) -> str:
    """Name of the figure of a cell, without fig-; empty if it has none."""
    return cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "").removeprefix("fig-")


def refreshed(source, executed):
    """Return the source notebook with the outputs of its executed copy."""
    ran = [cell for cell in executed.cells if not tagged(cell, "injected-parameters")]
    pairs = ([cell for cell in cells if cell.cell_type == "code"] for cells in (source.cells, ran))
    try:
        for cell, run in zip(*pairs, strict=True):
            cell.outputs, cell.execution_count = as_shown(run.outputs), run.execution_count
    except ValueError:
        raise GaltoolsError("the notebook's cells changed while it ran: start again") from None
    return source


def as_shown(outputs: list) -> list:
    """Keep every interval in a table on one line, so that it stands below its value."""
    for output in outputs:
        for kind, html in output.get("data", {}).items():  # also of a table that is glued
            if kind.endswith("text/html") and "<table" in html:
                output.data[kind] = INTERVAL.sub(r' <span class="interval">\1</span>', html)
    return outputs


def as_run(book, record: dict):
    """Write the values that a run had into its parameters cell; `results` stays the default."""
    values = {"profile": record["profile"], **record["parameters"]}
    for cell in [cell for cell in book.cells if tagged(cell, "parameters")]:
        known = papermill_io.parse_parameters(cell.source)
        given = {p: repr(values[p.name]) if p.name in values else p.default for p in known}
        cell.source = "\n".join(str(p._replace(default=value)) for p, value in given.items())
    return book


def vectors(book, run: pipeline.Run) -> dict[str, str]:
    """Take the SVG of every figure out of a page and put a link to it below the figure."""
    found, cells = {}, []
    for cell in book.cells:
        cells.append(cell)
        drawn = [o.data.pop(SVG) for o in cell.get("outputs", ()) if SVG in o.get("data", ())]
        if drawn and figure_name(cell):
            name = f"{run.name}-{figure_name(cell)}.svg"
            found[name] = drawn[-1]
            cells.append(nbformat.v4.new_markdown_cell(VECTOR.format(name=name)))
    book.cells = cells
    return found


def told_apart(book, run: pipeline.Run):
    """Give a second run of a notebook its own title, a note below it, and unique figure labels."""
    words = [value for value in run.parameters.values() if isinstance(value, str)]
    text = nbformat.writes(book)
    for name in {figure_name(cell) for cell in book.cells} - {""}:
        label = f"fig-{name}"
        text = re.sub(rf"(?<![\w-]){label}(?![\w-])", "-".join([label, *words]), text)
    book = nbformat.reads(text, as_version=4)
    title = next(cell for cell in book.cells if cell.source.startswith("# "))
    told = ", ".join(TASK.get(word, word) for word in words)
    head, _, rest = title.source.partition("\n")
    note = SECOND.format(notebook=run.notebook, told=told)
    title.source = f"{head} ({told})\n\n{note}\n{rest}"
    return book


def page(run: pipeline.Run, missing: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """Make the page of a run: text, outputs, how it was made; and its vector figures.

    The page of a run that failed has its text and code, and at its top why.
    """
    book, lost = pipeline.read_source(run), missing.get(run.name)
    if lost:
        title, _, rest = book.cells[0].source.partition("\n")
        notice = NOTICE.format(reason=lost, blank=NOT_RUN)
        book.cells[0].source = f"{title}\n\n{notice}\n{rest}"
        for cell in book.cells:
            cell.source = re.sub(r"\{glue:\w+\}`[^`]*`", NOT_RUN, cell.source)
    else:
        book = refreshed(book, nbformat.read(run.executed, as_version=4))
    if run.name != run.notebook:
        book = told_apart(book, run)
    drawn = vectors(book, run)
    if not lost:
        record = pipeline.record(run)
        about = PAGE.format(**record, **record["packages"])
        note = PROVENANCE.format(title="How this page was made", about=about)
        as_run(book, record).cells.append(nbformat.v4.new_markdown_cell(note))
    return finished(book, missing), drawn


def finished(book, missing) -> bytes:
    """Write a page: chapters link to each other's source, pages to pages; cells have fixed ids."""
    book.metadata["kernelspec"] = papermill_io.KERNEL
    book.metadata.pop("galtools", None)
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "markdown":
            text = re.sub(r"\]\((\w+)\.py\)", r"](\1.ipynb)", cell.source)
            cell.source = without(text, missing)
        cell["id"] = f"cell-{number}"  # the same in every build: only true changes are rendered
    return nbformat.writes(book).encode() + b"\n"


def without(text: str, missing) -> str:
    """Mark the numbers and tables that a text quotes from runs that are missing."""
    for name in missing:
        text = re.sub(rf"\{{glue:\w+\}}`(?:\w+/)*{name}\.ipynb::[^`]*`", NOT_RUN, text)
        text = re.sub(rf"```\{{glue:\w+\}} \w+\n:doc: \S*\b{name}\.ipynb\n```", NOT_RUN, text)
    return text


def pictures(run: pipeline.Run) -> dict[str, str]:
    """Figures of a run as base64, `<run>-<name>.png`: glued ones, and those named fig-<name>."""
    found = {}
    for cell in nbformat.read(run.executed, as_version=4).cells:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if png := output.get("data", {}).get(GLUED_PNG if name else "image/png"):
                found[f"{run.name}-{name or figure_name(cell)}.png"] = png
    return found


def prose(missing, records: dict[str, dict]) -> dict[str, bytes]:
    """Files of book/ by their place; a page says how the numbers that it quotes were made."""
    found = {"contributing.md": paths.ROOT / "CONTRIBUTING.md"}
    found |= {str(f.relative_to(paths.ROOT / "book")): f for f in (paths.ROOT / "book").rglob("*")}
    contents = {name: f.read_bytes() for name, f in found.items() if f.is_file()}
    for name in [name for name in contents if name.endswith(".md")]:
        text = without(contents[name].decode(), missing)
        contents[name] = quoted(text, records).encode()
    return contents


def quoted(text: str, records: dict[str, dict]) -> str:
    """Say how the numbers that a page of prose quotes were made, at the end of the page."""
    used = [records[name] for name in records if f"{name}.ipynb::" in text]
    if not used:
        return text
    told = {}
    for key in ("profile", "seed", "made", "device", "version"):
        values = sorted({str(record[key]) for record in used})
        told[key] = " to ".join(dict.fromkeys([values[0], values[-1]]))
    about = QUOTED.format(count=len(used), **told)
    note = PROVENANCE.format(title="Where the numbers on this page come from", about=about)
    return f"{text.rstrip()}\n\n{note}\n"


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


def mathjax() -> bytes:
    """Read MathJax's single file in the installed package: no page may need the network."""
    (file,) = (file for file in files("sphinx-mathjax-offline") if file.name == "tex-svg.js")
    return Path(file.locate()).read_bytes()


def stage(runs: dict[str, pipeline.Run], folder: Path, missing: dict[str, str] | None = None):
    """Bring `folder` up to date with the book's prose and every run; remove what is gone.

    `missing` says why runs have no outputs; each gets a page that tells so.
    """
    missing = missing or {}
    records = {name: pipeline.record(run) for name, run in runs.items() if name not in missing}
    pages = prose(missing, records)
    if "_toc.yml" in pages:
        pages["_toc.yml"] = contents(pages["_toc.yml"], runs)
    shown = b"".join(content for name, content in pages.items() if name.endswith(".md")).decode()
    wanted = set(re.findall(r"figures/([\w-]+\.png)", shown))
    pages["_extra/tex-svg.js"] = mathjax()
    data = browser_translator.script(folder.with_name("translate_data.js"))
    pages["_extra/translate/data.js"] = data.encode()
    for name, run in runs.items():
        if name not in missing and not pipeline.is_current(run, runs):
            raise GaltoolsError(f"the code of {name} changed while it ran: start again")
        pages[f"notebooks/{name}.ipynb"], drawn = page(run, missing)
        pages |= {f"_extra/vector/{k}": v.encode() for k, v in drawn.items()}
        drawn = {} if name in missing else pictures(run)
        pages |= {f"figures/{k}": base64.b64decode(drawn[k]) for k in wanted & drawn.keys()}
    for file in folder.rglob("*"):
        if file.is_file() and str(file.relative_to(folder)) not in pages:
            file.unlink()
    for name, content in pages.items():
        write_if_new(folder / name, content)
