"""The whole book as one PDF."""

import print_book
import pytest
from pypdf import PdfReader

from galtools.errors import GaltoolsError

NAV = """<nav class="bd-links" style="display: none">
<a class="reference internal" href="index.html">Start</a>
<a class="reference internal" href="one.html">One</a>
<a class="reference internal" href="sub/two.html#part">Two</a></nav>"""
LINKS = """<a href="sub/two.html#part">two</a> <a href="https://example.org/">out</a>
<a href="lost.html">lost</a>"""


@pytest.fixture
def printed(browser, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(f"{NAV}<p>first page</p>")
    (tmp_path / "one.html").write_text("<p>page one</p>" * 60 + LINKS)
    (tmp_path / "sub" / "two.html").write_text("<p>page two</p>")
    return print_book.print_pages(browser, tmp_path / "index.html")


def test_pages_follow_the_contents_with_bookmarks(printed, tmp_path):
    assert [title for title, *_ in printed] == ["Start", "One", "Two"]
    print_book.bind(printed).write(tmp_path / "book.pdf")
    book = PdfReader(tmp_path / "book.pdf")
    texts = [page.extract_text() for page in book.pages]
    starts = {item.title: book.get_destination_page_number(item) for item in book.outline}
    for title, text in (("Start", "first page"), ("One", "page one"), ("Two", "page two")):
        assert texts[starts[title]].startswith(text)
    assert list(starts.values()) == sorted(starts.values()) and starts["Two"] == len(texts) - 1


def test_links_between_pages_stay_inside(printed, tmp_path):
    print_book.bind(printed).write(tmp_path / "book.pdf")
    book = PdfReader(tmp_path / "book.pdf")
    links = [a.get_object() for page in book.pages for a in page.get("/Annots", ())]
    outside = [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})]
    assert outside == ["https://example.org/"]
    inside = [link["/Dest"][0].get_object() for link in links if "/Dest" in link]
    assert [book.get_page_number(page) for page in inside] == [len(book.pages) - 1]


def test_a_book_that_was_not_made_is_asked_for(tmp_path):
    with pytest.raises(GaltoolsError, match="make book"):
        print_book.main(["--html", str(tmp_path)])
