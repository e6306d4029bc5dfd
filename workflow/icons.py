"""Leave of the theme's two thousand icons only those that the book shows.

The theme ships Font Awesome as one script of 1.5 MB that every page loads: more than the page
itself. Each icon in it is an entry `name: [width, height, [aliases], "code point", "path"]`.
"""

import re
from importlib.util import find_spec
from pathlib import Path

ENTRY = re.compile(
    r'(?<=[{,])(?P<name>"[\w-]+"|[A-Za-z_$][\w$]*):\[\d+,\d+,\[(?P<aliases>[^\]]*)\],"[0-9a-f]+",'
    r'(?:"[^"]*"|\["[^\]]*"\])\],?'
)
SHOWN = re.compile(r"\bfa-([a-z0-9]+(?:-[a-z0-9]+)*)")


def shown(html: Path) -> set[str]:
    """Name every icon that a page or a script mentions; styles draw theirs with a font."""
    texts = (file for kind in ("html", "js") for file in html.rglob(f"*.{kind}"))
    return {
        name
        for file in texts
        if file.name not in ("fontawesome.js", "tex-svg.js")
        for name in SHOWN.findall(file.read_text(errors="ignore"))
    }


def pruned(script: str, wanted: set[str]) -> str:
    """Take every icon out of the script that is not wanted under any of its names."""

    def keep(entry: re.Match) -> str:
        names = {entry["name"].strip('"'), *re.findall(r'"([\w-]+)"', entry["aliases"])}
        return entry[0] if names & wanted else ""

    return ENTRY.sub(keep, script)


def prune(html: Path) -> None:
    """Make the script of icons as small as the rendered book allows, from the theme's whole one."""
    theme = Path(find_spec("pydata_sphinx_theme").origin).parent  # found, not imported: seconds
    whole = next(theme.rglob("static/scripts/fontawesome.js")).read_text()
    for script in html.glob("_static/**/fontawesome.js"):
        script.write_text(pruned(whole, shown(html)))
