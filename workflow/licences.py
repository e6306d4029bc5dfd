"""List every pinned package with its licence, as the packages themselves declare it.

python workflow/licences.py > LICENCES.md
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


def licence(about) -> str:
    """Licence of a package: its SPDX expression, else its classifiers, else its own words."""
    if expression := about.get("License-Expression"):
        return expression
    classes = [c for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    named = [c.rpartition(" :: ")[2] for c in classes if c != "License :: OSI Approved"]
    if named:
        return ", ".join(named)
    words = (about.get("License") or "").strip().splitlines()
    return words[0][:60] if words else "see the package's own files"


def main() -> None:
    """Print the list."""
    print(HEAD)
    for line in CONSTRAINTS.read_text().splitlines():
        name = line.split("==")[0].strip()
        try:
            print(f"| {name} | {licence(metadata.metadata(name))} |")
        except metadata.PackageNotFoundError:
            continue  # needed on other machines only


if __name__ == "__main__":
    main()
