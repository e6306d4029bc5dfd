"""Artefacts that appear whole or not at all, each with a manifest that says how it was made.

A manifest sits beside its artefact as ``<name>.manifest.json``. Its *key* is a hash of everything
the artefact follows from: the code that made it, the parameters and the contents of its inputs.
`make` runs a step only if no artefact with that key exists, so work is never done twice and what
is stale is never taken for new. The code is hashed as a syntax tree without docstrings and
comments: an edit of prose changes no key.
"""

import ast
import hashlib
import importlib.util
import json
import os
import platform
import time
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from galtools.errors import GaltoolsError

PLUMBING = {"galtools.errors", "galtools.manifest", "galtools.paths"}  # they compute no number
PACKAGES = ("numpy", "scipy", "torch", "astropy", "h5py", "scikit-learn", "statmorph", "diffusers")


def sha256(path: Path) -> str:
    """Hash a file's contents."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(thing) -> str:
    """Hash anything that JSON can hold; equal things have equal digests."""
    return hashlib.sha256(json.dumps(thing, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def atomic(path: Path):
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise GaltoolsError(_explain(error, path)) from error
    finally:
        with suppress(OSError):  # where it could not be made, it cannot be removed either
            temporary.unlink(missing_ok=True)


def _explain(error: OSError, path: Path) -> str:
    if isinstance(error, PermissionError) or error.errno == 30:
        return f"cannot write {path}: no permission; choose another folder with -p results FOLDER"
    if error.errno == 28:
        return f"cannot write {path}: the disk is full; free some space and start again"
    return f"cannot write {path}: {error}"


def strip_docstrings(tree: ast.AST) -> ast.AST:
    """Remove every docstring, so that only what computes remains."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:] or [ast.Pass()]
    return tree


def code_digest(source: str) -> str:
    """Hash what a piece of Python computes: comments, docstrings and layout do not count."""
    return digest(ast.dump(strip_docstrings(ast.parse(source))))


@cache
def _find(module: str) -> Path | None:
    """Return the file of a galtools module, or None if there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def imported_modules(source: str) -> set[str]:
    """Name the galtools modules that a piece of Python imports, directly."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "galtools" and _find(name)}


def module_digests(modules) -> dict[str, str]:
    """Hash galtools modules and everything of galtools that they import, however deep.

    The plumbing is left out: which folder a file lies in changes no number.
    """
    digests, queue = {}, set(modules)
    while queue:
        name = queue.pop()
        path = _find(name)
        if path is None:
            raise GaltoolsError(f"{name} is not a module of galtools")
        source = path.read_text()
        digests[name] = code_digest(source)
        packages = {name.rsplit(".", k)[0] for k in range(1, name.count(".") + 1)}
        queue |= (imported_modules(source) | packages) - digests.keys()
    return {name: digests[name] for name in sorted(digests.keys() - PLUMBING)}


def package_versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def manifest_path(path: Path) -> Path:
    """Name the manifest of an artefact."""
    return Path(path).with_name(Path(path).name + ".manifest.json")


def read(path: Path) -> dict:
    """Read the manifest of an artefact."""
    try:
        return json.loads(manifest_path(path).read_text())
    except FileNotFoundError:
        raise GaltoolsError(f"{path} has no manifest: delete it and make it again") from None
    except ValueError:
        raise GaltoolsError(
            f"the manifest of {path} is damaged: delete both and run again"
        ) from None


def write_json(path: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    with atomic(path) as new:
        new.write_text(json.dumps(content, indent=1, default=str) + "\n")


def is_whole(path: Path) -> bool:
    """Tell whether an artefact is there and is what its manifest says."""
    try:
        return Path(path).exists() and read(path)["sha256"] == sha256(path)
    except (GaltoolsError, KeyError):
        return False


def is_current(path: Path, key: str) -> bool:
    """Tell whether an artefact is whole and was made from `key`."""
    return manifest_path(path).exists() and is_whole(path) and read(path).get("key") == key


def _list_for_pipeline(path: Path) -> None:
    """Tell the pipeline, if it asked, that the running notebook made or re-used this artefact."""
    if listing := os.environ.get("GALTOOLS_ARTEFACTS"):
        with open(listing, "a") as file:
            file.write(f"{path.absolute()}\n")


def make(path, maker, *, params, modules, inputs=(), seed=0, device="cpu", extra=None) -> dict:
    """Make the artefact `path` once and return its manifest.

    ``maker(temporary_path)`` is called only if there is no whole artefact with the same key, which
    is made of `params` (a dict), `seed`, the code of `modules` (names of galtools modules, with
    all that they import) and the contents of the files `inputs`. What `maker` returns, if it is a
    dict, goes into the manifest as ``extra``.
    """
    path = Path(path)
    content = {
        "parameters": params,
        "seed": seed,
        "code": digest(module_digests(modules)),
        "packages": package_versions(),
        "inputs": {Path(file).name: sha256(file) for file in inputs},
    }
    key = digest(content)
    _list_for_pipeline(path)
    if is_current(path, key):
        return read(path)
    started = time.perf_counter()
    with atomic(path) as new:
        returned = maker(new)
        manifest_path(path).unlink(missing_ok=True)  # never an old manifest beside a new artefact
    manifest = {
        "artefact": path.name,
        "key": key,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        **content,
        "device": str(device),
        "seconds": round(time.perf_counter() - started, 2),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "extra": {**(extra or {}), **(returned if isinstance(returned, dict) else {})},
    }
    write_json(manifest_path(path), manifest)
    return manifest
