"""Link the words of the glossary where a page uses them first, so that no author has to.

What is code, formula, heading, link or role already is left as it stands.
"""

import re
from pathlib import Path

PROTECTED = re.compile(
    r"(?ms)^(?P<fence>`{3,}|:{3,})[^\n]*\{[\w-]+\}[^\n]*$(?=\n)"  # the opening line of a directive
    r"|^```(?!\{).*?^```"  # a block of code
    r"|^#.*?$|^:[\w-]+:.*?$|^\(.*?\)=$"  # headings, options, labels
    r"|^\s*\|.*?$"  # tables
    r"|\{[\w:-]+\}`[^`]*`|`[^`]*`"  # roles and code
    r"|\$\$.*?\$\$|\$[^$\n]*\$"  # formulas
    r"|!?\[[^\]]*\]\([^)]*\)|<[^>\n]*>|https?://\S+"  # links and tags
)


def glossary(text: str) -> list[str]:
    """Terms that the glossary defines, the longest first; formulas are never looked for."""
    blocks = re.findall(r"(?ms)^:::\{glossary\}\n(.*?)^:::", text)
    terms = [line for block in blocks for line in block.splitlines() if re.match(r"\w", line)]
    return sorted(terms, key=len, reverse=True)


def _pattern(term: str) -> re.Pattern:
    words = r"\s+".join(map(re.escape, term.split()))
    case = "" if term.isupper() else "(?i)"
    return re.compile(rf"{case}(?<![\w-]){words}(s|es)?(?![\w-])")


def linker(terms: list[str]):
    """Return the function that links terms in the texts of one page, each once."""
    left = {term: _pattern(term) for term in terms}

    def link(text: str) -> str:
        for term, pattern in list(left.items()):
            protected = [found.span() for found in PROTECTED.finditer(text)]
            for found in pattern.finditer(text):
                if not any(start <= found.start() < end for start, end in protected):
                    role = f"{{term}}`{' '.join(found[0].split())} <{term}>`"
                    text = text[: found.start()] + role + text[found.end() :]
                    del left[term]
                    break
        return text

    return link


def of_book(book: Path) -> list[str]:
    """Terms of the book's glossary; none without one."""
    file = book / "glossary.md"
    return glossary(file.read_text()) if file.exists() else []
