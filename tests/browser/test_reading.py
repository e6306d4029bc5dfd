"""Reading: nothing jumps, everything can be reached, printed and looked up."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
COARSE = (48, 32)  # cells of a compared picture: how it is scaled does not show
DIFFERENCE = 12  # of 255, root mean square over the cells
HEAVIEST = 2_000_000  # bytes of a vector figure: stamps stay at their own pixels
WATCHED = {  # figures of the key pages and the files that the run made for them
    "#fig-landing img": ("index.html", "26_touch-landing.png"),
    "#fig-headline-landing img": ("index.html", "27_claims-headline.png"),
    "#tour-pairs img": ("tour.html", "01_two_surveys-pairs.png"),
    "#tour-compare img": ("tour.html", "26_touch-lineup.png"),
    "#tour-residuals img": ("tour.html", "26_touch-residuals.png"),
    "#tour-morphology img": ("tour.html", "22_morphology-morphology-summary.png"),
    "#tour-peaks img": ("tour.html", "23_peaks-peaks-redshift.png"),
    "#tour-limit img": ("tour.html", "33_the_limit-limit-split.png"),
    "#tour-claims img": ("tour.html", "27_claims-claims.png"),
}
KEY_PAGES = ("index.html", "tour.html", "notebooks/21_pixels.html", "notebooks/26_touch.html")


def test_every_picture_states_its_size(pages):
    """Else the text jumps when the file is there; whether it does so on this machine is luck."""
    pictures = [
        p for page in pages for p in re.findall(r"<img [^>]*_images/[^>]*>", page.read_text())
    ]
    assert len(pictures) > 100
    assert not [p for p in pictures if not re.search(r'width="\d+" height="\d+"', p)]


@pytest.mark.parametrize("name", ["index.html", "notebooks/26_touch.html", "translate.html"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser, visit, html, name):
    """Tab walks through every control, each with a name and a visible mark; none is a trap."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    tab, _, _ = visit(context, html / name)
    look = """() => { const e = document.activeElement, s = getComputedStyle(e);
      const n = e.nextElementSibling ? getComputedStyle(e.nextElementSibling) : s;
      const label = e.labels && e.labels.length ? e.labels[0].textContent : "";
      return {tag: e.tagName, name: (e.getAttribute("aria-label") || label || e.title
              || e.textContent.trim() || e.placeholder || e.querySelector("img")?.alt || "").trim(),
              seen: [s, n].some(x => x.outlineStyle !== "none" || x.boxShadow !== "none")}; }"""
    walked, body = [], 0
    for _ in range(400):
        tab.keyboard.press("Tab")
        where = tab.evaluate(look)
        if where["tag"] == "BODY":
            body += 1
            break
        walked.append(where)
    context.close()
    assert body, "the walk never came to an end"
    assert len(walked) > 20
    assert [w for w in walked if not w["name"]] == []
    assert [w for w in walked if not w["seen"]] == []


@pytest.mark.parametrize("name", KEY_PAGES)
def test_print_has_every_figure_whole(browser, visit, html, name):
    context = browser.new_context(viewport={"width": 718, "height": 1000})  # A4 within margins
    tab, _, _ = visit(context, html / name)
    figures = tab.locator("figure img").count()
    pdf = tab.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "1cm"))
    assert len(re.findall(rb"/Type /Page\b", pdf)) >= 1
    assert len(re.findall(rb"/Subtype /Image", pdf)) >= figures
    tab.emulate_media(media="print")
    wide = tab.evaluate("""() => [...document.querySelectorAll("figure img")].filter(image =>
        image.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        || !image.getBoundingClientRect().width).map(image => image.src)""")
    assert not wide
    assert not tab.locator(".bd-sidebar-primary").is_visible()
    context.close()


def coarse(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png)).convert("RGB").resize(COARSE, Image.Resampling.BOX)
    return np.asarray(picture, dtype=float)


def differ(found: np.ndarray, known: np.ndarray) -> float:
    return float(np.sqrt(((found - known) ** 2).mean()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_look_on_the_screen_as_the_run_drew_them(browser, visit, tiny, html, scheme):
    """Neither lost nor dimmed nor distorted: a screenshot against the file, cell by cell."""
    tall = {"width": 1400, "height": 2400}  # else the page's header lies over the highest figure
    context = browser.new_context(viewport=tall, color_scheme=scheme)
    for selector, (page, file) in WATCHED.items():
        tab, _, _ = visit(context, html / page)
        figure = tab.locator(selector)
        figure.evaluate("image => image.style.padding = 0")  # the white card of the dark scheme
        found = coarse(figure.screenshot())
        known = coarse((tiny / "_build" / "stage" / "figures" / file).read_bytes())
        assert differ(found, known) < DIFFERENCE, selector
        assert differ(found, known[::-1]) > differ(found, known), "upside down would pass"
        tab.close()
    context.close()


def test_components_show_the_pictures_of_the_run(browser, visit, tiny, html):
    """Source and truth on the screen against the artefacts, drawn here without a browser."""
    from companion import comparison, interactive, paths

    sample = comparison.load_comparison(
        paths.Results(str(tiny / "results"), "tiny"), "cross", [], 0
    )
    (galaxy,) = interactive.choose_galaxies(sample, 1)
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    tab, _, _ = visit(context, html / "notebooks" / "26_touch.html")
    tab.wait_for_function("document.querySelectorAll('.touch-said:not(:empty)').length === 3")
    for place, row in ((0, "resample"), (2, "truth")):
        canvas = tab.locator("galaxy-compare .touch-strip canvas").nth(place)
        uri = canvas.evaluate("canvas => canvas.toDataURL()")
        found = coarse(base64.b64decode(uri.partition(",")[2]))
        drawn = Image.fromarray(interactive.colour(sample.images[row][galaxy])).resize(
            COARSE, Image.Resampling.BOX
        )
        assert differ(found, np.asarray(drawn, dtype=float)) < DIFFERENCE / 2, row
    context.close()


def test_words_of_the_glossary_are_linked_once_on_every_chapter(html):
    defined = set(re.findall(r'id="(term-[^"]+)"', (html / "glossary.html").read_text()))
    used = set()
    for page in sorted((html / "notebooks").glob("*.html")):
        links = re.findall(r'href="[^"]*glossary\.html#(term-[^"]+)"', page.read_text())
        assert len(links) >= 3, f"{page.name} links hardly a word"
        assert len(links) == len(set(links)), f"{page.name} links a word twice"
        assert set(links) <= defined
        used |= set(links)
    assert len(used) > 0.6 * len(defined)


def test_every_figure_can_be_had_as_vectors(html):
    for page in sorted((html / "notebooks").glob("*.html")):
        text = page.read_text()
        drawn = len(re.findall(r'<figure[^>]*id="fig-', text))
        files = re.findall(r'class="vector" href="\.\./(vector/[^"]+)"', text)
        assert len(files) == drawn, page.name
        for name in files:
            assert (html / name).read_text().startswith("<?xml")
            assert (html / name).stat().st_size < HEAVIEST, name


def test_every_page_with_numbers_says_where_they_come_from(html):
    for page in (html / "index.html", html / "tour.html", *(html / "notebooks").glob("*.html")):
        text = page.read_text()
        note = re.search(
            r'(?s)<div class="provenance.*?</div>|<div class="[^"]*provenance.*?</div>', text
        )
        assert note, page.name
        for word in ("tiny", "seed", "galtools", "device"):
            assert word in note[0], f"{page.name}: {word}"
