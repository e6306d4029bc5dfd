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


class Linker:
    """Links terms in the texts of one page, each once."""

    def __init__(self, terms: list[str]):
        """Start a page on which nothing is linked."""
        self.left = {term: _pattern(term) for term in terms}

    def __call__(self, text: str) -> str:
        """Link what has not been linked on this page yet."""
        for term, pattern in list(self.left.items()):
            for found in pattern.finditer(text):
                if any(a <= found.start() < b for a, b in self._protected(text)):
                    continue
                role = f"{{term}}`{' '.join(found[0].split())} <{term}>`"
                text = text[: found.start()] + role + text[found.end() :]
                del self.left[term]
                break
        return text

    @staticmethod
    def _protected(text: str) -> list[tuple[int, int]]:
        return [found.span() for found in PROTECTED.finditer(text)]


def linker(book: Path) -> Linker:
    """Make the linker of a page; without a glossary it links nothing."""
    file = book / "glossary.md"
    return Linker(glossary(file.read_text()) if file.exists() else [])
