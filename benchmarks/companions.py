"""Count words, code and figures of this book's chapters, beside pages of other companions.

    .venv/bin/python benchmarks/companions.py

Rewrites the column of this book in book/reference/companions.csv. The others were counted once, by
the same rules, on the pages that book/running.md names, and are typed in; nothing here makes them
anew. Words are those of the text, without code, equations and tables; a formula or a code span is
one word. Code is what a reader sees without unfolding it, without empty lines; a cell is what is
shown as one block. The first result is the first figure or number that the page computes. All but
the number of pages are medians over pages; the longest cell is that of all pages.
"""

import re
from statistics import median

import pandas as pd

from companion import paths
from companion.papermill_io import read_percent
from galtools import artefacts

TABLE = paths.REFERENCE / "companions.csv"
OURS = "this book"
HIDDEN = {"hide-input", "remove-input", "remove-cell", "hide-cell", "parameters"}
NO_WORDS = (  # code, equations, tables, options of directives, fences
    r"(?s)^```(?:bash|python)\n.*?^```",
    r"(?s)\$\$.*?\$\$",
    r"^ *\|.*$",
    r"^ *:[\w-]+:.*$",
    r"^ *(?:```|:::).*$",
    r"^    .*$",
)
ONE_WORD = r"\$[^$]+\$|\{[\w:]+\}`[^`]*`|`[^`]*`"


def words(text: str) -> int:
    """Count the words of a text in Markdown."""
    for pattern in NO_WORDS:
        text = re.sub(f"(?m){pattern}", " ", text)
    text = re.sub(ONE_WORD, "x", text)
    return len(re.findall(r"\S*[^\W_]\S*", re.sub(r"\]\([^)]*\)", "]", text)))


def chapter(cells) -> dict[str, float]:
    """Count a chapter of this book; the page opens with its finding and its leading figure."""
    text = [words(cell.source) for cell in cells if cell.cell_type == "markdown"]
    code = [cell for cell in cells if cell.cell_type == "code"]
    seen = [cell for cell in code if not HIDDEN & {*cell.metadata.get("tags", ())}]
    lengths = [len([s for s in cell.source.splitlines() if s.strip()]) for cell in seen]
    return {
        "words": sum(text),
        "code lines": sum(lengths),
        "words per code line": sum(text) / max(sum(lengths), 1),
        "lines per cell": median(lengths or [0]),
        "longest cell": max(lengths, default=0),
        "figures": sum("figure" in cell.metadata.get("mystnb", {}) for cell in code),
        "words before the first result": words("\n\n".join(cells[0].source.split("\n\n")[:2])),
    }


def count(files) -> pd.Series:
    """Count the chapters in `files`: medians, the longest cell and the number of pages."""
    pages = pd.DataFrame([chapter(read_percent(f.read_text(), f).cells) for f in files])
    row = pages.median()
    row["longest cell"] = pages["longest cell"].max()
    row["pages"] = len(pages)
    return row


def main() -> None:
    """Count every chapter and rewrite the column of this book."""
    files = sorted(paths.NOTEBOOKS.glob("[0-9]*.py"))
    table = pd.read_csv(TABLE, index_col=0, dtype=str)
    table[OURS] = count(files).reindex(table.index).map("{:.3g}".format)
    artefacts.make(
        TABLE, lambda path: table.to_csv(path), params={"pages": [f.stem for f in files]}
    )


if __name__ == "__main__":
    main()
