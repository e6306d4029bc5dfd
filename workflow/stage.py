"""Lay out what Jupyter Book renders: the prose, and the executed notebooks with today's text.

The outputs of a page come from its last run, the words and the look of its code from the source as
it is now. They always belong together, because a run whose code has changed since is refused.
"""

import base64
import itertools
import re
from collections import defaultdict
from importlib.metadata import files
from pathlib import Path

import nbformat
import pipeline
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell

from companion import papermill_io, paths
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
LEADING = "leading"  # tag of results: the first opens the chapter, all are shown of a second run
SECTION = """## Within SDSS

{finding}

The same notebook with SDSS as source and target,
<a href="../executed/{name}.ipynb" download>as executed</a>:"""
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
    lines = []
    for p in papermill_io.known_parameters(book):
        value = repr(values[p.name]) if p.name in values else p.default
        lines.append(papermill_io.write_parameter(p._replace(default=value)))
    for cell in [cell for cell in book.cells if tagged(cell, "parameters")]:
        cell.source = "\n".join(lines)
    return book


def vectors(book, run: pipeline.Run) -> dict[str, bytes]:
    """Take the SVG of every figure out of a notebook and put a link to it below the figure."""
    files, cells = {}, []
    for cell in book.cells:
        cells.append(cell)
        figures = [o.data.pop(SVG) for o in cell.get("outputs", ()) if SVG in o.get("data", ())]
        if figures and figure_name(cell):
            name = f"{run.name}-{figure_name(cell)}.svg"
            files[f"_extra/vector/{name}"] = figures[-1].encode()
            tags = {"tags": [tag for tag in cell.metadata.get("tags", ()) if tag == LEADING]}
            cells.append(new_markdown_cell(VECTOR.format(name=name), metadata=tags))
    book.cells = cells
    return files


def as_executed(run: pipeline.Run, missing: dict[str, str]):
    """Return today's text of a run's notebook with outputs and how they were made, or why not."""
    book, failure = pipeline.read_source(run), missing.get(run.name)
    if not failure:
        book, record = refreshed(book, nbformat.read(run.executed, 4)), pipeline.record(run)
        about = PAGE.format(**record, **record["packages"])
        note = PROVENANCE.format(title="How these results were made", about=about)
        book.cells.append(new_markdown_cell(note, metadata={"tags": [LEADING]}))
        return as_run(book, record)
    title, _, rest = book.cells[0].source.partition("\n")
    notice = NOTICE.format(reason=re.sub(r"\n\s*\n", "\n", failure), blank=NOT_RUN)
    book.cells[0].source = f"{title}\n\n{notice}\n{rest}"
    for cell in book.cells:
        cell.source = re.sub(r"\{glue:\w+\}`[^`]*`", NOT_RUN, cell.source)
    return book


def opened(book):
    """Move the first leading figure of a chapter, with its link, to below its finding."""
    for k, cell in enumerate(book.cells):
        if tagged(cell, LEADING) and figure_name(cell) and cell.outputs:
            title, finding, rest = book.cells[0].source.split("\n\n", 2)
            metadata = {"tags": ["remove-input"], "mystnb": cell.metadata.pop("mystnb")}
            figure = new_code_cell("# drawn below", outputs=cell.outputs, metadata=metadata)
            cell.outputs, link = [], book.cells[k + 1]
            note = f"The result is {{numref}}`fig-{figure_name(figure)}`."
            book.cells[k + 1] = new_markdown_cell(note)
            top = new_markdown_cell(f"{title}\n\n{finding}")
            book.cells[:1] = [top, figure, link, new_markdown_cell(rest)]
            break
    return book


def numbered(book, name: str):
    """Label the equations of a page, eq-<page>-1 and so on: what has a label has a number."""
    label = f"eq-{name.replace('_', '-')}-"
    count = itertools.count(1)
    for cell in [cell for cell in book.cells if cell.cell_type == "markdown"]:
        parts = cell.source.split("$$")  # text and equations in turn
        parts[2::2] = [f" ({label}{next(count)}){text}" for text in parts[2::2]]
        cell.source = "$$".join(parts)
    return book


def section(book, run: pipeline.Run) -> list:
    """Cells that show a second run in its chapter: its finding, leading figures and tables."""
    finding, hidden = [*book.cells[0].source.split("\n\n"), ""][1], []
    finding = re.sub(r"(\{glue:\w+\}`)", rf"\g<1>{run.name}_", finding)
    for cell in [cell for cell in book.cells if cell.cell_type == "code"]:
        glued = [output for output in cell.outputs if "scrapbook" in output.get("metadata", ())]
        for output in glued:
            output.metadata.scrapbook.name = f"{run.name}_{output.metadata.scrapbook.name}"
        hidden += glued
        cell.outputs = [output for output in cell.outputs if output not in glued]
        if name := figure_name(cell):
            cell.metadata["mystnb"]["figure"]["name"] = f"fig-{name}-{run.name}"
        if tagged(cell, LEADING):
            cell.source = f"# an output of {run.name}"
            cell.metadata["tags"] = ["remove-input", LEADING]
    text = new_markdown_cell(SECTION.format(finding=finding, name=run.name))
    numbers = new_code_cell(outputs=hidden, metadata={"tags": ["remove-cell"]})
    return [text, numbers, *(cell for cell in book.cells if tagged(cell, LEADING))]


def finished(book, missing, sections=()) -> bytes:
    """Write a page with its sections: links lead to pages, and cells have fixed ids."""
    starts = [cell.source.startswith("## What we found") for cell in book.cells]
    end = starts.index(True) if True in starts else len(starts)
    book.cells[end:end] = sections
    book.metadata["kernelspec"] = papermill_io.KERNEL
    book.metadata.pop("galtools", None)
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "markdown":
            text = re.sub(r"\]\((\w+)\.py\)", r"](\1.ipynb)", cell.source)
            cell.source = without(text, missing)
        cell["id"] = f"cell-{number}"  # the same in every build: only true changes are rendered
    return nbformat.writes(book).encode() + b"\n"


def chapters(runs: dict[str, pipeline.Run], missing: dict[str, str]) -> dict[str, bytes]:
    """Pages of all runs and their vector figures; second runs are sections of their chapters."""
    books, sections, made = {}, defaultdict(list), {}
    for name, run in runs.items():
        if name not in missing and not pipeline.is_current(run, runs):
            raise GaltoolsError(f"the code of {name} changed while it ran: start again")
        book = as_executed(run, missing)
        made |= vectors(book, run)
        if run.notebook not in books:  # its first run, whichever there is
            books[run.notebook] = book
        else:
            made[f"_extra/executed/{name}.ipynb"] = finished(book, missing)
            sections[run.notebook] += section(book, run)
    for name, book in books.items():
        book = numbered(opened(book), name)
        made[f"notebooks/{name}.ipynb"] = finished(book, missing, sections[name])
    return made


def without(text: str, missing) -> str:
    """Mark the numbers and tables that a text quotes from runs that are missing."""
    for name in missing:
        text = re.sub(rf"\{{glue:\w+\}}`(?:\w+/)*{name}\.ipynb::[^`]*`", NOT_RUN, text)
        text = re.sub(rf"```\{{glue:\w+\}} \w+\n:doc: \S*\b{name}\.ipynb\n```", NOT_RUN, text)
    return text


def pictures(run: pipeline.Run) -> dict[str, str]:
    """Figures of a run as base64, `<run>-<name>.png`: glued ones, and those named fig-<name>."""
    files = {}
    for cell in nbformat.read(run.executed, as_version=4).cells:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if png := output.get("data", {}).get(GLUED_PNG if name else "image/png"):
                files[f"{run.name}-{name or figure_name(cell)}.png"] = png
    return files


def prose(missing, records: dict[str, dict]) -> dict[str, bytes]:
    """Files of book/ by their place; a page says how the numbers that it quotes were made."""
    files = {"contributing.md": paths.ROOT / "CONTRIBUTING.md"}
    files |= {str(f.relative_to(paths.ROOT / "book")): f for f in (paths.ROOT / "book").rglob("*")}
    contents = {name: f.read_bytes() for name, f in files.items() if f.is_file()}
    for name in [name for name in contents if name.endswith(".md")]:
        text = without(contents[name].decode(), missing)
        contents[name] = quoted(text, records).encode()
    return contents


def quoted(text: str, records: dict[str, dict]) -> str:
    """Say how the numbers that a page of prose quotes were made, at the end of the page."""
    used = [records[name] for name in records if f"{name}.ipynb::" in text]
    if not used:
        return text
    ranges = {key: sorted(str(record[key]) for record in used)
            for key in ("profile", "seed", "made", "device", "version")}  # fmt: skip
    ranges = {key: " to ".join(dict.fromkeys([v[0], v[-1]])) for key, v in ranges.items()}
    about = QUOTED.format(count=len(used), **ranges)
    note = PROVENANCE.format(title="Where the numbers on this page come from", about=about)
    return f"{text.rstrip()}\n\n{note}\n"


def contents(toc: bytes, runs) -> bytes:
    """Table of contents without the chapters that have no run: nothing is kept that they show."""
    content, ran = yaml.safe_load(toc), {f"notebooks/{run.notebook}" for run in runs.values()}

    def with_runs(entries: list) -> list:
        for entry in entries:
            if "sections" in entry:
                entry["sections"] = with_runs(entry["sections"])
        return [e for e in entries if e["file"] in ran or not e["file"].startswith("notebooks/")]

    for part in content["parts"]:
        part["chapters"] = with_runs(part["chapters"])
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def stage(runs: dict[str, pipeline.Run], folder: Path, missing: dict[str, str] | None = None):
    """Bring `folder` up to date with the book's prose and every run; remove what is gone.

    `missing` says why runs have no outputs; each gets a page that tells so.
    """
    missing = missing or {}
    records = {name: pipeline.record(run) for name, run in runs.items() if name not in missing}
    pages = prose(missing, records) | chapters(runs, missing)
    if "_toc.yml" in pages:
        pages["_toc.yml"] = contents(pages["_toc.yml"], runs)
    shown = b"".join(content for name, content in pages.items() if name.endswith(".md")).decode()
    asked = set(re.findall(r"figures/([\w-]+\.png)", shown))
    (mathjax,) = (file for file in files("sphinx-mathjax-offline") if file.name == "tex-svg.js")
    pages["_extra/tex-svg.js"] = Path(mathjax.locate()).read_bytes()
    if "translate.md" in pages:
        from companion import browser_translator  # takes seconds, for a single page

        data = browser_translator.script(folder.with_name("translate_data.js"))
        pages["_extra/translate/data.js"] = data.encode()
    for name in records:
        figures = pictures(runs[name])
        pages |= {f"figures/{k}": base64.b64decode(figures[k]) for k in asked & figures.keys()}
    for file in folder.rglob("*"):
        if file.is_file() and str(file.relative_to(folder)) not in pages:
            file.unlink()
    for name, content in pages.items():
        write_if_new(folder / name, content)
