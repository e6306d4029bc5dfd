"""Prose: the terms of the field, true minus signs, openings of two sentences, reading grade."""

import re
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
PAGES = [file for file in sorted((ROOT / "book").glob("*.md")) if file.stem != "references"]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
HARDEST = 12  # grade of Flesch and Kincaid
BANNED = {  # homely words for technical terms, and the field's
    r"look-?alike\w*": "degenerate galaxies",
    r"whoever": "an estimator, a reader",
    r"nature's": "irreducible",
    r"honest(ly)?": "calibrated, unbiased",
    r"learn(s|t|ed)? by heart": "overfit",
    r"hangs? together": "is correlated",
    r"(of|by) its own accord": "",
    r"seen again": "a repeat observation",
    r"told by": "explained by",
    r"(total|peak|aperture|central) light": "flux",
    r"light of (a|the|every|each) (galaxy|stamp|core|translation)": "flux",
    r"a share of 0": "per cent",
    r"spread of (the )?(draws|samples)": "standard deviation of samples",
    r"the truth's": "that of the target",
}


def prose(file: Path) -> str:
    """Text of a page without code; of a notebook also captions and alternative texts."""
    if file.suffix == ".md":
        text = file.read_text()
    else:
        parts = []
        for cell in jupytext.read(file).cells:
            about = cell.metadata.get("mystnb", {})
            parts += [cell.source] * (cell.cell_type == "markdown")
            parts += [about[part][key] for part, key in (("figure", "caption"), ("image", "alt"))
                      if part in about]  # fmt: skip
        text = "\n\n".join(parts)
    return re.sub(r"(?s)```(?!\{).*?```|\$\$.*?\$\$|`[^`\n]*`|<!--.*?-->|^---.*?^---", "", text)


def plain(text: str) -> str:
    """Words and ends of sentences of a paragraph; a formula or an address stands for a word."""
    text = re.sub(r"\$[^$]*\$|\{[\w:]+\}|\]\([^)]*\)|\bet al\.|\be\.g\.", " X ", text)
    return re.sub(r"(\d)[.,](\d)", r"\1\2", text)


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"[.?!](?:\s|$)", plain(text)) if part.strip()]


def grade(text: str) -> float:
    """Reading grade of Flesch and Kincaid, of paragraphs without lists, tables and directives."""
    paragraphs = [p for p in text.split("\n\n") if not re.match(r"\s*([-|#:*<>{\[(`]|\d+\.)", p)]
    ends = [s for p in paragraphs for s in sentences(p)]
    words = [word for s in ends for word in re.findall(r"[A-Za-z]+", s)]
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+(?!\b(?<=e))", w.lower()))) for w in words)
    return 0.39 * len(words) / len(ends) + 11.8 * syllables / len(words) - 15.59


every_page = pytest.mark.parametrize("file", [*NOTEBOOKS, *PAGES], ids=lambda file: file.stem)


@every_page
def test_terms_are_those_of_the_field(file):
    found = [re.findall(rf"(?i)\b{term}\b", prose(file)) and term for term in BANNED]
    assert not any(found), {term: BANNED[term] for term in found if term}


@every_page
def test_minus_is_no_hyphen(file):
    text = re.sub(r"\$[^$]*\$|\{[^}]*\}|\]\([^)]*\)|\|[- |]+\|", "", prose(file))
    assert re.findall(r"(?<![\w-])-\d[\d.]*", text) == []


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_chapter_opens_with_its_finding_in_two_sentences(file):
    opening = jupytext.read(file).cells[0].source.split("\n\n")[1]
    assert len(sentences(opening)) <= 2, sentences(opening)


@every_page
def test_sentences_can_be_read(file):
    assert grade(prose(file)) <= HARDEST


def test_the_grade_is_that_of_flesch_and_kincaid():
    """Seven words of one syllable in two sentences; "et al." and 0.5 end none."""
    assert sentences("The cat sat. It ate a mouse.") == ["The cat sat", "It ate a mouse"]
    expected = 0.39 * 7 / 2 + 11.8 * 7 / 7 - 15.59
    assert grade("The cat sat. It ate a mouse.") == pytest.approx(expected)
    assert len(sentences("It is 0.5 (Lin et al. 2021) for $a.b$.")) == 1
