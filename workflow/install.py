"""Make .venv with everything the book and its tests need. Standard library only.

uv installs in seconds; where it cannot be had, pip does the same in a minute or two. The CPU build
of torch is taken where there is no NVIDIA GPU and such a build is on offer.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  asked before anything that an older one cannot read
    sys.exit(
        f"Python 3.11 or later is needed, this is {platform.python_version()}: "
        "name another, as in `make book PYTHON=python3.12`"
    )

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run(*command, check=True) -> bool:
    """Run a command in silence; show what it said only if it had to succeed and did not."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **QUIET},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    if check and done.returncode:
        sys.exit(f"{done.stdout[-3000:]}\ninstalling failed at: {' '.join(map(str, command))}")
    return done.returncode == 0


def make_venv() -> None:
    """Make the virtual environment, or keep the one that works."""
    if PYTHON.exists() and run(PYTHON, "-m", "pip", "--version", check=False):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if not run(sys.executable, "-m", "venv", VENV, check=False):
        sys.exit("python3 -m venv failed: on Debian or Ubuntu install the package python3-venv")


def pins(unpinned: bool) -> list[str]:
    """Give the options that hold every package to its tested version."""
    return [] if unpinned else ["-c", str(CONSTRAINTS)]


def torch_version(unpinned: bool) -> str:
    """Read the pinned version of torch, or nothing where versions are free."""
    found = re.search(r"(?m)^torch==(\S+)", CONSTRAINTS.read_text())
    return "" if unpinned or not found else f"=={found[1]}"


def install_torch(uv: bool, unpinned: bool) -> None:
    """Install torch alone, its CPU build first where that is enough."""
    wanted = f"torch{torch_version(unpinned)}"
    if run(PYTHON, "-c", "import torch", check=False) and not unpinned:
        return
    if shutil.which("nvidia-smi") is None and platform.system() == "Linux":
        local = f"{wanted}+cpu" if "==" in wanted else None
        pip = (PYTHON, "-m", "pip", "install", "--no-deps", "--only-binary", ":all:")
        if local and run(*pip, local, check=False):
            return
        cpu = ("--torch-backend", "cpu", wanted)
        if uv and run(PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, *cpu, check=False):
            return
        print("no CPU build of torch is on offer here: taking the default one (larger)", flush=True)
    run(PYTHON, "-m", "pip", "install", *pins(unpinned), wanted)


def main() -> None:
    """Install, saying what happens and how long it takes."""
    unpinned = os.environ.get("UNPINNED") == "1"
    started = time.monotonic()
    print("environment: making .venv ...", flush=True)
    make_venv()
    uv = run(PYTHON, "-m", "pip", "install", *pins(unpinned), "uv", check=False)
    print(f"environment: installing with {'uv' if uv else 'pip'} ...", flush=True)
    install_torch(uv, unpinned)
    everything = ["-e", ".[book,cluster,download,test]"]
    if uv:
        # as pip does: where Python must not write bytecode, every start would compile anew
        compiled = ("--python", PYTHON, "--compile-bytecode")
        run(PYTHON, "-m", "uv", "pip", "install", *compiled, *pins(unpinned), *everything)
    else:
        run(PYTHON, "-m", "pip", "install", *pins(unpinned), *everything)
    (VENV / ".ready").touch()
    print(f"environment: ready ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
