"""List every pinned package with its licence, as the packages themselves declare it.

python workflow/licences.py > LICENCES.md     (after `make bench`, which installs the last of them)
"""

from importlib import metadata
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
HEAD = """# Licences of what this companion stands on

It is itself under the MIT licence (`LICENSE`). It contains no code of the packages below, it only
calls them. `python workflow/licences.py > LICENCES.md` writes this list from what the installed
packages declare; `make audit` asks whether any has a known vulnerability.

| package | licence |
|---|---|"""


def licence(name: str) -> str:
    """Licence of a package: its SPDX expression, else its classifiers, its own words, its file."""
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return "not installed where this list was made"
    about = package.metadata
    if expression := about.get("License-Expression"):
        return expression
    classes = [c for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    named = [c.rpartition(" :: ")[2] for c in classes if c != "License :: OSI Approved"]
    if named:
        return ", ".join(dict.fromkeys(named))
    files = [file for file in package.files or () if file.stem.upper() in ("LICENSE", "LICENCE")]
    text = about.get("License") or (files[0].read_text() if files else "")
    return next(iter(text.strip().splitlines()), "see the package's own files")[:60]


def main() -> None:
    """Print the list."""
    print(HEAD)
    for line in CONSTRAINTS.read_text().splitlines():
        name = line.split("==")[0].strip()
        print(f"| {name} | {licence(name)} |")


if __name__ == "__main__":
    main()
