"""The ways into a notebook from its page: Binder and Colab, for a repository on GitHub.

The address of the repository stands in one place, `repository-code` of CITATION.cff; in GitHub's
own workflows the name that GitHub gives is taken. Where there is neither, no button is shown, since
none could work. The buttons open the branch `launch`, which the workflow `book` fills:

    python workflow/launch.py FOLDER STAGED      the tree of that branch
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pipeline
import yaml

from companion import paths
from galtools.errors import GaltoolsError

GITHUB = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
BUTTONS = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
INSTALL = """\
# On a bare machine, as Colab's: install the package, then run what this notebook reads.
import importlib.util

if importlib.util.find_spec("galtools") is None:
    !git clone --quiet --depth 1 {address}
    %cd {folder}
    %pip install --quiet -e .[book]
    import sys
    sys.path.insert(0, ".")
"""


def repository() -> str | None:
    """Address of the repository on GitHub, if it is known."""
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text())
    name = os.environ.get("GITHUB_REPOSITORY")
    address = citation.get("repository-code") or (f"https://github.com/{name}" if name else None)
    if address and not GITHUB.fullmatch(address):
        raise GaltoolsError(f"CITATION.cff: repository-code {address!r} is no address on GitHub")
    return address


def configure(config: Path, folder: Path) -> Path:
    """Return the configuration to render with: `config`, or a copy of it with launch buttons."""
    address = repository()
    if address is None:
        return config
    content = yaml.safe_load(config.read_text())
    content["repository"] = {"url": address, "path_to_book": "", "branch": "launch"}
    content["launch_buttons"] = BUTTONS
    content["html"]["use_repository_button"] = True
    local = content["sphinx"]["local_extensions"]
    local.update({name: str(paths.ROOT / path) for name, path in local.items()})
    new = folder / "_config.yml"
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(yaml.safe_dump(content, sort_keys=False))
    return new


def first_cell(run: pipeline.Run, runs: dict, address: str) -> str:
    """Code that makes a bare machine ready for a notebook: the package, and what it reads."""
    lines = INSTALL.format(address=address, folder=address.rpartition("/")[2]).splitlines()
    for name in [name for name in runs if name in pipeline.ancestors(run, runs)]:
        other = runs[name]
        given = f" -y '{json.dumps(other.parameters)}'" if other.parameters else ""
        lines.append(f"    !papermill notebooks/{other.notebook}.py /tmp/{name}.ipynb"
                     f" -p profile {run.profile}{given}")  # fmt: skip
    return "\n".join(lines)


def branch(folder: Path, staged: Path) -> None:
    """Lay out the tree of the branch: the repository, and every page as a notebook that runs."""
    address = repository()
    if address is None:
        raise GaltoolsError("no repository is known: enter repository-code in CITATION.cff")
    command = ["git", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listing.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(paths.ROOT / name, folder / name)
    runs = pipeline.load("quick", pipeline.RESULTS)
    for run in runs.values():
        book = nbformat.read(staged / "notebooks" / f"{run.name}.ipynb", as_version=4)
        cell = nbformat.v4.new_code_cell(first_cell(run, runs, address), id="install")
        book.cells.insert(1, cell)
        nbformat.write(book, folder / "notebooks" / f"{run.name}.ipynb")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python workflow/launch.py FOLDER STAGED")
    try:
        branch(Path(sys.argv[1]), Path(sys.argv[2]))
    except GaltoolsError as error:
        sys.exit(f"{error}")
