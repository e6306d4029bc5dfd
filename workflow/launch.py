"""The ways into a notebook from its page: Binder and Colab, for a repository on GitHub.

The address of the repository stands in one place, `repository-code` of CITATION.cff; in GitHub's
own workflows the name that GitHub gives is taken. Where there is neither, no button is shown, since
none could work. The buttons open the branch `launch`, which the workflow `book` fills:

    python workflow/launch.py FOLDER STAGED      the tree of that branch
"""

import json
import os
import re
import subprocess
from pathlib import Path

import nbformat
import pipeline
import yaml

from companion import paths
from galtools.errors import GaltoolsError

BUTTONS = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
INSTALL = """\
# On a bare machine, as Colab's: install the package, then run what this notebook reads.
import importlib.util

if importlib.util.find_spec("galtools") is None:
    !git clone --quiet --depth 1 {address} galaxies
    %cd galaxies
    %pip install --quiet -e .[book]
    import sys
    sys.path.insert(0, ".")
"""


def repository() -> str | None:
    """Address of the repository on GitHub, if it is known."""
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text())
    name = os.environ.get("GITHUB_REPOSITORY")
    address = citation.get("repository-code") or (f"https://github.com/{name}" if name else None)
    if address and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise GaltoolsError(f"CITATION.cff: repository-code {address!r} is no address on GitHub")
    return address


def configure(config: Path, folder: Path) -> Path:
    """Return the configuration to render with: `config`, or a copy of it with launch buttons."""
    if (address := repository()) is None:
        return config
    content, new = yaml.safe_load(config.read_text()), folder / "_config.yml"
    content["repository"] = {"url": address, "path_to_book": "", "branch": "launch"}
    content["launch_buttons"] = BUTTONS
    content["html"]["use_repository_button"] = True
    content["sphinx"]["local_extensions"] = {"book_extension": str(paths.WORKFLOW)}
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(yaml.safe_dump(content, sort_keys=False))
    return new


def first_cell(run: pipeline.Run, runs: dict, address: str) -> str:
    """Code that makes a bare machine ready for a notebook: the package, and what it reads."""
    code, before = INSTALL.format(address=address), pipeline.ancestors(run, runs)
    for name, other in runs.items():
        if name in before:
            given = f" -y '{json.dumps(other.parameters)}'" if other.parameters else ""
            run_it = f"notebooks/{other.notebook}.py /tmp/{name}.ipynb -p profile {run.profile}"
            code += f"    !papermill {run_it}{given}\n"
    return code.rstrip()


def main() -> bool:
    """Lay out the tree of the branch: the repository, and every page as a notebook that runs."""
    parser = pipeline.parser(__doc__)
    parser.add_argument("folder", type=pipeline.absolute)
    parser.add_argument("staged", type=pipeline.absolute)
    args = parser.parse_args()
    if (address := repository()) is None:
        raise GaltoolsError("no repository is known: enter repository-code in CITATION.cff")
    copy = ["git", "checkout-index", "--all", f"--prefix={args.folder}/"]
    subprocess.run(copy, cwd=paths.ROOT, check=True)
    runs = pipeline.load("quick", pipeline.RESULTS)
    pages = {run.notebook: run for run in reversed(runs.values())}  # by its first run
    for name, run in pages.items():
        book = nbformat.read(args.staged / "notebooks" / f"{name}.ipynb", as_version=4)
        cell = nbformat.v4.new_code_cell(first_cell(run, runs, address), id="install")
        book.cells.insert(1, cell)
        nbformat.write(book, args.folder / "notebooks" / f"{name}.ipynb")
    return True


if __name__ == "__main__":
    pipeline.start(main)
