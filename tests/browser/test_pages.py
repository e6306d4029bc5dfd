"""The tiny book as a reader meets it: in Chromium, from disk, without a network."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest

VIEWS = {  # a page is loaded in the first, and then seen in the others
    "desktop": [(1400, "light"), (1400, "dark"), (768, "light")],
    "phone": [(360, "dark"), (420, "light")],
}
HEAVIEST = 3e6  # bytes that a page loads, as they lie on disk; only formulas bring more: MathJax
SHIFTS = """window.shifts = 0;
new PerformanceObserver(list => list.getEntries().forEach(e => window.shifts += e.value))
  .observe({type: "layout-shift", buffered: true});"""
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
SETTLED = """() => Promise.all(document.getAnimations()
  .filter(each => Number.isFinite(each.effect.getComputedTiming().endTime))
  .map(each => each.finished.catch(() => null)))"""  # colours of another scheme fade in
WORDS = [
    *("galaxy", "redshift", "noise", "survey", "papermill", "seeing", "magnitude", "nanomaggy"),
    *("diffusion", "capsule", "attention", "critic", "morphology", "asymmetry", "concentration"),
    *("peak", "bootstrap", "leaderboard", "swipe", "glossary"),
]

pytestmark = pytest.mark.browser


def overflow(tab) -> int:
    """Count the pixels by which the page is wider than its window."""
    return tab.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def cut_code(tab) -> list[str]:
    """First words of every code block, folded ones too, in which one has to scroll sideways."""
    return tab.evaluate("""() => {
      document.querySelectorAll("details").forEach(e => (e.open = true));
      return [...document.querySelectorAll("article pre")]
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60)); }""")


def cut_formulae(tab) -> list[str]:
    """First signs of every formula that is wider than its column."""
    return tab.evaluate("""() => [...document.querySelectorAll("div.math")]
      .filter(e => (e.querySelector("svg")?.getBoundingClientRect().width ?? 0) > e.clientWidth + 1)
      .map(e => e.textContent.slice(0, 60))""")


def stretched(tab) -> list[str]:
    """Pictures of a file that are not shown in its proportions."""
    return tab.evaluate("""() => [...document.querySelectorAll("article img")].filter(e => {
        const ratio = e.width * e.naturalHeight / (e.height * e.naturalWidth);
        return e.height > 20 && Math.abs(ratio - 1) > 0.03; }).map(e => e.alt.slice(0, 60))""")


def weight(requests) -> int:
    """Bytes of the files that were asked for, without MathJax."""
    files = {Path(unquote(urlsplit(url).path)) for url in requests if url[:5] == "file:"}
    return sum(f.stat().st_size for f in files if f.is_file() and f.name != "tex-svg.js")


def violations(tab) -> list[str]:
    """Serious or critical violations that axe-core finds; style sheets it cannot load from disk."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "preload": False}
    return [
        f"{rule['id']} ({rule['help']}) at {[node['target'] for node in rule['nodes']][:3]}"
        for rule in Axe().run(tab, options=options).response["violations"]
        if rule["impact"] in {"serious", "critical"}
    ]


def network_faults(complaints, requests):
    """Yield every error and every request that left the disk, until now."""
    yield from (f"console: {text}" for text in complaints)
    yield from (f"request: {u}" for u in requests if not u.startswith(("file:", "data:", "blob:")))


def loading_faults(tab, requests):
    """Yield what went wrong while a page was loaded."""
    if weight(requests) > HEAVIEST:
        yield f"weighs {weight(requests) / 1e6:.1f} MB"
    tab.evaluate(FRAMES)
    if (shift := tab.evaluate("window.shifts")) > 0.1:  # below is what is called good
        yield f"jumps by {shift:.2f} while it loads"


def faults(tab, width, scheme):
    """Yield what is wrong with a page in a window of this width and scheme."""
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.evaluate(FRAMES)
    if (excess := overflow(tab)) > 1:
        yield f"{excess} pixels too wide"
    yield from (f"picture out of proportion: {text}" for text in stretched(tab))
    if scheme != tab.evaluate("document.documentElement.dataset.theme"):
        yield f"does not follow the reader's {scheme} scheme"
    tab.evaluate(FRAMES)  # its style is that of the scheme now
    tab.evaluate(SETTLED)
    if tab.locator("svg .missing").count():
        yield "an icon is missing"
    if width == 1400:
        yield from violations(tab)
    if (width, scheme) == (1400, "light"):  # on a phone some lines of code have to be cut
        yield from (f"formula cut: {text}" for text in cut_formulae(tab))
        yield from (f"code too wide: {text}" for text in cut_code(tab))


@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
def test_pages_are_quiet_whole_accessible_and_fit_their_window(browser, visit, pages, views):
    """No request leaves the disk, no error, no sideways scrolling, no jump, nothing hidden."""
    width, scheme = views[0]
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.add_init_script(SHIFTS)
    problems = []
    for page in pages:
        tab, complaints, requests = visit(context, page)
        found = list(loading_faults(tab, requests))
        for width, scheme in views:
            found += [f"{width} {scheme}: {text}" for text in faults(tab, width, scheme)]
        found += network_faults(complaints, requests)  # of loading and of every view
        problems += [f"{page.name}: {text}" for text in found]
        tab.close()
    context.close()
    assert not problems, "\n".join(problems)


def test_formulas_are_typeset_without_a_network(browser, visit, html):
    context = browser.new_context(offline=True)
    formulas = [page for page in html.rglob("*.html") if 'class="math' in page.read_text()]
    assert formulas, "no page has a formula"
    tab, _, _ = visit(context, formulas[0])
    tab.wait_for_selector("mjx-container svg")
    assert tab.locator("mjx-container svg").count() > 0
    context.close()


def test_search_finds_twenty_words(browser, html):
    """Search works from disk."""
    assert len(WORDS) == 20
    context, lost = browser.new_context(), []
    tab = context.new_page()
    for word in WORDS:
        tab.goto(f"{(html / 'search.html').as_uri()}?q={word}")
        tab.wait_for_function(
            "/finished|not match/.test(document.querySelector('.search-summary')?.innerText)"
        )
        if not tab.locator("#search-results li a").count():
            lost.append(word)
    context.close()
    assert not lost


class Links(HTMLParser):
    """Collect the links, pictures and anchors of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.anchors, self.images = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)


def test_links_and_anchors_resolve(pages):
    """Every link inside the book leads to a page, a file or a place that is there."""
    parsed = {page.resolve(): Links(page.read_text()) for page in pages}
    broken = []
    for page, found in parsed.items():
        for link in found.links:
            if re.match(r"(https?|mailto|javascript|data):", link) or link == "#":
                continue
            file, anchor = urldefrag(link)
            target = (page.parent / unquote(file.split("?")[0])).resolve() if file else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                broken.append(f"{page.name}: {link}")
            elif anchor and target in parsed and unquote(anchor) not in parsed[target].anchors:
                broken.append(f"{page.name}: no anchor {link}")
    assert not broken, "\n".join(broken)


def test_pictures_have_words(pages):
    """Every picture has an alt text that says more than a file name."""
    silent = [
        f"{page.name}: {image.get('src', '')[:80]}"
        for page in pages
        for image in Links(page.read_text()).images
        if len(image.get("alt") or "") < 5 or "_images" in image["alt"]
    ]
    assert not silent, "\n".join(silent)


def test_figures_of_chapters_have_captions(html):
    """A picture in a chapter stands in a figure with a caption."""
    bare = []
    for page in sorted((html / "notebooks").glob("*.html")):
        text = page.read_text()
        figures = re.findall(r"<figure.*?</figure>", text, flags=re.DOTALL)
        captioned = sum("<img" in figure and "figcaption" in figure for figure in figures)
        pictures = text.count("../_images/") - text.count('href="../_images/')
        if captioned < pictures:
            bare.append(f"{page.name}: {pictures} pictures, {captioned} captions")
    assert not bare, "\n".join(bare)


def test_every_chapter_can_be_downloaded_as_it_was_executed(html):
    for page in sorted((html / "notebooks").glob("*.html")):
        links = [link for link in Links(page.read_text()).links if link.endswith(".ipynb")]
        assert links, f"{page.name} has no notebook to download"
        book = nbformat.read(page.parent / links[0], as_version=4)
        assert any(cell.get("outputs") for cell in book.cells)


def test_no_page_of_text_may_load_from_another_host(pages):
    policy = 'http-equiv="Content-Security-Policy"'
    without = {page.name for page in pages if policy not in page.read_text(encoding="utf-8")}
    assert without <= {"search.html", "genindex.html", "py-modindex.html"}  # made by the theme
