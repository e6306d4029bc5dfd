"""A browser, the pages of the tiny book, and how to visit one."""

import os
import shutil
from pathlib import Path

import pytest

PATIENCE = 120_000  # milliseconds: what takes a busy machine longer is broken
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def html(tiny) -> Path:
    """Folder of the rendered book."""
    return tiny / "_build" / "html"


@pytest.fixture(scope="session")
def pages(html) -> list[Path]:
    """Every page of the book, the search page and the index of terms included."""
    found = sorted(p for p in html.rglob("*.html") if "_static" not in p.relative_to(html).parts)
    assert found
    return found


@pytest.fixture(scope="session")
def browser():
    """Chromium, whose every wait is as long as a busy machine needs."""
    if CHROMIUM is None:
        assert not os.environ.get("GALTOOLS_REQUIRE_BROWSER"), "chromium is not installed"
        pytest.skip("Chromium is not installed: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, timeout=PATIENCE)
        new_context = chromium.new_context

        def patient(**options):
            context = new_context(**options)
            context.set_default_timeout(PATIENCE)
            return context

        chromium.new_context = patient
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def visit():
    """Function that opens a page and listens."""
    return _visit


def _visit(context, page: Path):
    """Open a page until its text is shown; return it, all its complaints and all its requests."""
    tab, complaints, requests = context.new_page(), [], []
    tab.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri(), wait_until="load")
    tab.wait_for_selector("html:not(.typesetting)")
    return tab, complaints, requests
