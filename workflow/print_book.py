"""Print the rendered book into one PDF with bookmarks, through Chromium.

    python workflow/print_book.py [--html _build/html] [--out _build/book.pdf]

Links between its pages lead from page to page of the PDF.
"""

import argparse
import io
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pipeline
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import Fit

from companion import paths
from galtools.artefacts import atomic
from galtools.errors import GaltoolsError

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIDES = ("top", "bottom", "left", "right")
PAPER = {"format": "A4", "scale": 0.65, "margin": dict.fromkeys(SIDES, "15mm")}
PATIENCE = 120_000  # milliseconds for one page
UNFOLD = """document.querySelectorAll("details.sd-dropdown").forEach(e => (e.open = true))"""
CHAPTERS = """() => [...document.querySelectorAll("nav.bd-links a.reference.internal")]
    .map(a => [a.textContent.trim(), a.href.split("#")[0]])"""


def print_pages(chromium, first: Path) -> list[tuple[str, Path, bytes]]:
    """Title, file and PDF of every page that the table of contents of the first one lists."""
    tab, printed = chromium.new_page(color_scheme="light"), []
    tab.set_default_timeout(PATIENCE)

    def visit(title, url):
        tab.goto(url)
        tab.wait_for_selector("html:not(.typesetting)", state="attached")
        tab.evaluate(UNFOLD)
        print(f"{len(printed) + 1:3d}  {title}", flush=True)
        printed.append((title, _file(url), tab.pdf(**PAPER)))

    visit("Start", first.as_uri())
    for url, title in {url: title for title, url in tab.evaluate(CHAPTERS)}.items():
        if _file(url) != first:
            visit(title, url)
    return printed


def _file(url: str) -> Path | None:
    """File that a URL names."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def bind(printed: list[tuple[str, Path, bytes]]) -> PdfWriter:
    """One document of all pages, each with a bookmark; links to one of them stay inside."""
    book, starts = PdfWriter(), {}
    for title, file, content in printed:
        starts[file] = len(book.pages)
        book.append(PdfReader(io.BytesIO(content)), outline_item=title, import_outline=False)
    for number, page in enumerate(book.pages):
        kept = []
        for annotation in page.get("/Annots", ()):
            link = annotation.get_object()
            target = _file(str(link.get("/A", {}).get("/URI", "")))
            if target in starts:
                inside = Link(rect=link["/Rect"], target_page_index=starts[target], fit=Fit.fit())
                kept.append(inside)
            elif target is None:
                kept.append(link)
        if "/Annots" in page:
            del page["/Annots"]
        for link in kept:
            book.add_annotation(number, link)
    return book


def main(arguments=None) -> bool:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--html", type=pipeline.absolute, default=paths.ROOT / "_build/html")
    parser.add_argument("--out", type=pipeline.absolute, default=paths.ROOT / "_build/book.pdf")
    args = parser.parse_args(arguments)
    if not (first := args.html / "index.html").exists():
        raise GaltoolsError(f"{first} is missing: make book")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise GaltoolsError("Chromium prints the book and is not installed: apt install chromium")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=SWITCHES, timeout=PATIENCE)
        book = bind(print_pages(chromium, first))
    with atomic(args.out) as new:
        book.write(new)
    print(f"the book of {len(book.pages)} pages is at {args.out}")
    return True


if __name__ == "__main__":
    pipeline.start(main)
