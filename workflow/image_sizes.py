"""Sphinx extension: every picture of a page states its size, so that nothing moves as it loads."""

import re
from pathlib import Path

from PIL import Image

PICTURE = re.compile(r'<img (?![^>]*\bwidth=)([^>]*?src="[^"]*_images/([^"/]+)")')


def state_sizes(app, pagename, templatename, context, doctree) -> None:
    """Give the pictures of a page the width and height of their files."""
    files = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}

    def sized(match) -> str:
        with Image.open(files[match[2]]) as picture:
            width, height = picture.size
        return f'<img width="{width}" height="{height}" {match[1]}'

    if "body" in context:
        context["body"] = PICTURE.sub(sized, context["body"])


def setup(app) -> dict:
    """Register with Sphinx."""
    app.connect("html-page-context", state_sizes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
