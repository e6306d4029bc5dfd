"""How soon the book can be read: Chromium opens its pages from disk.

    python benchmarks/bench_pages.py [HTML]        HTML: the rendered book, default _build/html

Prints, for key pages, the median milliseconds until the page can be used (domInteractive), until
all of it is there (load), and its weight, over ten visits with an empty cache.
"""

import shutil
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

VISITS = 10
KEY_PAGES = ("index.html", "tour.html", "notebooks/21_pixels.html", "notebooks/26_touch.html")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
TIMES = """() => { const [page] = performance.getEntriesByType("navigation");
  return [page.domInteractive, page.loadEventEnd]; }"""


def visit(browser, page: Path) -> tuple[list[float], int]:
    """Open a page afresh; return its times in milliseconds and the bytes it asked for."""
    context, files = browser.new_context(), []
    tab = context.new_page()
    tab.on("request", lambda request: files.append(request.url))
    tab.goto(page.as_uri(), wait_until="load")
    tab.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
    times = tab.evaluate(TIMES)
    context.close()
    local = {Path(url[7:].split("?")[0].split("#")[0]) for url in files if url[:7] == "file://"}
    return times, sum(file.stat().st_size for file in local if file.is_file())


def main() -> None:
    """Print one line for every key page."""
    html = Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html").absolute()
    if not (html / "index.html").exists():
        sys.exit(f"{html} holds no book: `make book` first")
    with sync_playwright() as play:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = play.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        print(f"{'page':28}{'usable ms':>12}{'loaded ms':>12}{'MB':>8}")
        for name in KEY_PAGES:
            seen = [visit(browser, html / name) for _ in range(VISITS)]
            usable, loaded = (statistics.median(times[k] for times, _ in seen) for k in (0, 1))
            print(f"{name:28}{usable:12.0f}{loaded:12.0f}{seen[0][1] / 1e6:8.2f}")
        browser.close()


if __name__ == "__main__":
    main()
