"""Sphinx extension of the book: links to the glossary, sizes of pictures, and no needless icons.

Words of the glossary are linked where a chapter uses them first, so that no author has to. Numbers
in tables and text get a true minus sign; in files they keep that of ASCII. Every picture of a page
states its size, so that nothing moves as it loads. The theme ships Font Awesome
as one script of 1.5 MB that every page loads; icons that no page shows are taken out. An icon is an
entry `name: [width, height, [aliases], "code point", "path"]`.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

from companion.html_report import true_minus

LINKED = re.compile(r"index|tour|running|notebooks/.*")  # pages whose words are linked
KEPT = (  # nodes whose words stay as they are
    *(nodes.title, nodes.rubric, nodes.term, nodes.table, nodes.reference, pending_xref),
    *(nodes.literal, nodes.FixedTextElement, nodes.math, nodes.math_block, nodes.raw),
)
ENTRY = re.compile(
    r'(?<=[{,])(?P<name>"[\w-]+"|[A-Za-z_$][\w$]*):\[\d+,\d+,\[(?P<aliases>[^\]]*)\],"[0-9a-f]+",'
    r'(?:"[^"]*"|\["[^\]]*"\])\],?'
)
PICTURE = re.compile(r'<img (?![^>]*\bwidth=)([^>]*?src="[^"]*_images/([^"/]+)")')
SHOWN = re.compile(r"\bfa-([a-z0-9]+(?:-[a-z0-9]+)*)")


class LinkTerms(SphinxTransform):
    """Link every term of the glossary once on a page."""

    default_priority = 400

    def apply(self, **_):
        """Replace the first use of each term by a reference."""
        self.left = glossary(Path(self.env.doc2path("glossary")))
        if LINKED.fullmatch(self.env.docname) and self.left:
            self.env.note_dependency(self.env.doc2path("glossary"))
            self.terms, self.pattern = list(self.left), pattern(self.left)
            for text in list(self.document.findall(nodes.Text)):
                if self.left and not kept(text):
                    text.parent.replace(text, list(self.pieces(text.astext())))

    def pieces(self, text: str):
        """Cut a text into words and references."""
        start = 0
        for match in self.pattern.finditer(text):
            if (term := self.terms[match.lastindex - 1]) in self.left:
                self.left.remove(term)
                yield nodes.Text(text[start : match.start()])
                words = nodes.inline("", match[0], classes=["xref", "std", "std-term"])
                target = {"refdomain": "std", "reftype": "term", "reftarget": term}
                options = {"refdoc": self.env.docname, "refexplicit": True, "refwarn": True}
                yield pending_xref("", words, **target, **options)
                start = match.end()
        yield nodes.Text(text[start:])


def glossary(file: Path) -> list[str]:
    """Terms that the glossary defines, the longest first; without formulas."""
    text = file.read_text() if file.exists() else ""
    blocks = re.findall(r"(?ms)^:::\{glossary\}\n(.*?)^:::", text)
    terms = [line for block in blocks for line in block.splitlines() if re.match(r"\w", line)]
    return sorted(terms, key=len, reverse=True)


def pattern(terms: list[str]) -> re.Pattern:
    """Find any of the terms, also in the plural; the number of the group is that of the term."""
    words = [r"\s+".join(map(re.escape, term.split())) for term in terms]
    groups = [f"({w})" if t.isupper() else f"((?i:{w}))" for t, w in zip(terms, words, strict=True)]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(groups)})(?:s|es)?(?![\w-])")


def kept(node) -> bool:
    """Tell whether a text is code, formula, heading, table, output or link already."""
    while node := node.parent:
        if isinstance(node, KEPT) or "cell_output" in node.get("classes", ()):
            return True
    return False


def write_minus(app, pagename, templatename, context, doctree) -> None:
    """Write the negative numbers of tables and of quoted results with a true minus sign."""
    if "body" in context:
        context["body"] = true_minus(context["body"])


def state_sizes(app, pagename, templatename, context, doctree) -> None:
    """Give the pictures of a page the width and height of their files."""
    files = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}

    def sized(match: re.Match) -> str:
        with Image.open(files[match[2]]) as picture:
            width, height = picture.size
        return f'<img width="{width}" height="{height}" {match[1]}'

    if "body" in context:
        context["body"] = PICTURE.sub(sized, context["body"])


def prune_icons(app, _error=None) -> None:
    """Make the script of icons as small as the rendered book allows, from the theme's whole one."""
    html = Path(app.outdir)
    files = [file for kind in ("html", "js") for file in html.rglob(f"*.{kind}")]
    texts = (f.read_text(errors="ignore") for f in files
             if f.name not in ("fontawesome.js", "tex-svg.js"))  # fmt: skip
    wanted = {name for text in texts for name in SHOWN.findall(text)}

    def chosen(entry: re.Match) -> str:
        names = {entry["name"].strip('"'), *re.findall(r'"([\w-]+)"', entry["aliases"])}
        return entry[0] if names & wanted else ""

    theme = Path(find_spec("pydata_sphinx_theme").origin).parent
    for script in html.glob("_static/**/fontawesome.js"):
        whole = next(theme.rglob("static/scripts/fontawesome.js")).read_text()
        script.write_text(ENTRY.sub(chosen, whole))


def setup(app) -> dict:
    """Register with Sphinx."""
    app.add_transform(LinkTerms)
    app.connect("html-page-context", state_sizes)
    app.connect("html-page-context", write_minus)
    app.connect("build-finished", prune_icons)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
