"""Artefacts that appear whole or not at all, each with a manifest that says how it was made.

A manifest sits beside its artefact as ``<name>.manifest.json``. Its *key* is a hash of everything
the artefact follows from: the code that made it, the parameters and the contents of its inputs.
`make` runs a step only if no artefact with that key exists, so work is never done twice and what
is stale is never taken for new. The code is hashed as a syntax tree without docstrings and
comments: an edit of prose changes no key.
"""

import ast
import errno
import glob
import hashlib
import json
import os
import platform
import re
import socket
import time
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from safetensors import SafetensorError

from galtools.errors import GaltoolsError

CODE = Path(__file__).resolve().parents[1]
OURS = ("galtools", "companion")  # packages whose code is hashed
# these compute no number: names that are offered, messages, keys, and where files lie
PLUMBING = {
    *("galtools", "galtools.errors", "galtools.hdf5", "galtools.artefacts"),
    *("companion", "companion.paths"),
}
WRITING_ERRORS = (OSError, RuntimeError, SafetensorError)  # RuntimeError: HDF5
_HOST = socket.gethostname()
PACKAGES = (  # those whose versions can change a number
    *("numpy", "scipy", "pandas", "h5py", "scikit-learn", "torch", "diffusers"),
    *("astropy", "astro-sedpy", "galsim", "photutils", "reproject", "statmorph"),
)


def sha256(path: Path) -> str:
    """Hash a file's contents."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(thing) -> str:
    """Hash anything that JSON can hold, paths, sets and arrays; equal things, equal digests."""
    return hashlib.sha256(json.dumps(thing, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(thing):
    """Turn what JSON does not know into what it does, or refuse: a guess could change a key."""
    if isinstance(thing, set | frozenset):
        return sorted(thing)
    if isinstance(thing, os.PathLike):
        return os.fspath(thing)
    if hasattr(thing, "tolist"):  # numpy and torch
        return thing.tolist()
    raise TypeError(f"{type(thing).__name__} {thing!r} cannot stand in a manifest")


@contextmanager
def atomic(path: Path):
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds.

    A temporary path of another `atomic` is yielded as it is: its own block renames it.
    """
    path = Path(path)
    if _writer(path):
        yield path
        return
    temporary = path.with_name(f".{path.stem}.{_HOST}-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # refused now, and not after an hour's training
        temporary.unlink()
        for file in path.parent.glob(f".{glob.escape(path.stem)}.*{glob.escape(path.suffix)}"):
            if (process := _writer(file, path.stem)) and not _alive(process):
                file.unlink(missing_ok=True)  # a killed process left it half-written
        yield temporary
        os.replace(temporary, path)
    except WRITING_ERRORS as error:
        if (reason := _reason(error, path, temporary)) is None:
            raise  # the block met something else than this artefact
        raise GaltoolsError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):  # where it could not be made, it cannot be removed either
            temporary.unlink(missing_ok=True)


def _writer(path: Path, stem: str = "") -> int:
    """Return the process of this machine that writes a temporary file, 0 for any other file."""
    of = re.escape(stem) if stem else ".+"
    name = re.fullmatch(rf"\.{of}\.{re.escape(_HOST)}-(\d+)(\.\w+)?", path.name)
    return int(name[1]) if name else 0


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:  # without permission to ask, it is somebody else's
        return not isinstance(error, ProcessLookupError)
    return True


def _reason(error: Exception, path: Path, temporary: Path) -> str | None:
    """Say why an artefact cannot be written, or None if the error is about something else."""

    def says(*numbers: int) -> bool:  # HDF5 and safetensors quote the system's words
        return any(os.strerror(number) in str(error) for number in numbers)

    filename = getattr(error, "filename", None)
    if says(errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk or your quota is full; free some space and start again"
    if filename and Path(filename) not in (path, temporary, *path.parents):
        return None
    if says(errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission; choose another folder with -p results FOLDER"
    return error.strerror if filename else None


@cache
def code_digest(source: str) -> str:
    """Hash what a piece of Python computes: comments, docstrings and layout do not count."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(ast.Constant(str())), *rest]:
                node.body = rest or [ast.Pass()]
    return digest(ast.dump(tree))


@cache
def _find(module: str) -> Path | None:
    """Return the file of one of our modules, or None; nothing is imported for it."""
    stem = CODE.joinpath(*module.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@cache
def imported_modules(source: str) -> frozenset[str]:
    """Name the modules of ours that a piece of Python imports, directly and by absolute names.

    What a package offers through ``__getattr__`` does not count: our own code imports the module.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module, names, 0):
                found |= {module, *(f"{module}.{alias.name}" for alias in names)}
            case ast.ImportFrom():
                raise GaltoolsError(f"write `{ast.unparse(node)}` as an absolute import")
    return frozenset(name for name in found if name.split(".")[0] in OURS and _find(name))


def module_digests(modules) -> dict[str, str]:
    """Hash modules of ours and all that they import, however deep, but for the plumbing."""
    digests, queue = {}, set(modules)
    while queue:
        name = queue.pop()
        path = _find(name)
        if path is None:
            raise GaltoolsError(f"{name} is not a module of galtools or companion")
        source, package = path.read_text(), name.rpartition(".")[0]
        digests[name] = code_digest(source)
        queue |= (imported_modules(source) | {package or name}) - digests.keys()
    return {name: digests[name] for name in sorted(digests.keys() - PLUMBING)}


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on."""
    versions = {"python": platform.python_version(), **dict.fromkeys(PACKAGES, "not installed")}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def manifest_path(path: Path) -> Path:
    """Name the manifest of an artefact."""
    return Path(path).with_name(Path(path).name + ".manifest.json")


def read_manifest(path: Path) -> dict:
    """Read the manifest of an artefact."""
    try:
        return json.loads(manifest_path(path).read_text())
    except FileNotFoundError:
        if not Path(path).exists():
            raise GaltoolsError(f"{path} is missing: check its name, or make it first") from None
        raise GaltoolsError(f"{path} has no manifest: delete it and make it again") from None
    except ValueError:
        raise GaltoolsError(f"manifest of {path} is damaged: delete both, run again") from None


def write_json(path: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    with atomic(path) as new:
        new.write_text(json.dumps(content, indent=1, default=_plain) + "\n")


def is_whole(path: Path) -> bool:
    """Tell whether an artefact is there and is what its manifest says."""
    try:
        return read_manifest(path)["sha256"] == sha256(path)
    except (GaltoolsError, KeyError, OSError):
        return False


@cache
def _known_sha256(path: Path, *_state) -> str:
    """Hash a file once for as long as it stays in the same state."""
    return sha256(path)


def check_inputs(path: Path, *inputs: Path, advice: str = "make it again") -> Path:
    """Return the path of an artefact that is whole and was made from these very files.

    It may have been made from others as well; the manifest knows its inputs by name and contents.
    """
    path, manifest = Path(path), read_manifest(path)
    try:
        made_from = {(entry["file"], entry["sha256"]) for entry in manifest["inputs"]}
        whole = manifest["sha256"]
    except (KeyError, TypeError):
        raise GaltoolsError(f"manifest of {path} is damaged: delete both, {advice}") from None
    for file in (path, *map(Path, inputs)):
        if not file.is_file():
            raise GaltoolsError(f"{file} is missing: make it first")
        state = file.stat()
        found = _known_sha256(file.absolute(), state.st_ino, state.st_size, state.st_mtime_ns)
        if file is path and found != whole:
            raise GaltoolsError(f"{path} is not what was made, but changed or damaged: {advice}")
        if file is not path and (file.name, found) not in made_from:
            raise GaltoolsError(f"{path} was made from another {file.name}: {advice}")
    return path


def notebook_code(maker) -> list:
    """What a maker written in a notebook does, with the notebook's functions that it calls.

    Modules are hashed by name; a function of a notebook has no module, so its byte code stands for
    it (constants included, line numbers not).
    """
    found, queue = {}, [maker]
    while queue:
        function = queue.pop()
        code = getattr(function, "__code__", None)
        if getattr(function, "__module__", None) == "__main__" and code and code not in found:
            found[code] = _byte_code(code)
            queue += [function.__globals__.get(name) for name in sorted(_names(code))]
    return list(found.values())


def _byte_code(code):
    """Byte code, constants and names of a function or, where it is a constant, its own text."""
    if hasattr(code, "co_code"):
        return [code.co_code.hex(), [*map(_byte_code, code.co_consts)], list(code.co_names)]
    return sorted(map(repr, code)) if isinstance(code, frozenset) else repr(code)


def _names(code) -> set[str]:
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if hasattr(c, "co_code")))


def make(path, maker, *, params, modules, inputs=(), seed=0, device="cpu", extra=None) -> dict:
    """Make the artefact `path` once and return its manifest.

    ``maker(temporary_path)`` is called only if there is no whole artefact with the same key, which
    is made of `params` (a dict), `seed`, the code of `modules` (names of our modules, with all that
    they import), that of a maker that the notebook itself defines, and the contents of the files
    `inputs`. What `maker` returns, if it is a dict, goes into the manifest as ``extra``.
    """
    path = Path(path)
    if missing := [file for file in map(Path, inputs) if not file.is_file()]:
        raise GaltoolsError(f"{missing[0]} is missing: make it first")
    code = module_digests(modules)
    content = {
        "parameters": params,
        "seed": seed,
        "code": digest([code, *notebook_code(maker)]),
        "packages": package_versions(),
        "inputs": [{"file": file.name, "sha256": sha256(file)} for file in map(Path, inputs)],
    }
    key = digest(content)
    if listing := os.environ.get("GALTOOLS_ARTEFACTS"):  # the pipeline asks what a run made or used
        with open(listing, "a") as file:
            file.write(f"{path.absolute()}\n")
    if is_whole(path) and (known := read_manifest(path)).get("key") == key:
        return known
    started = time.perf_counter()
    with atomic(path) as new:
        returned = maker(new)
        made = {"sha256": sha256(new), "bytes": new.stat().st_size}  # of these bytes, whoever else
        manifest_path(path).unlink(missing_ok=True)  # writes here; no old manifest beside new ones
    manifest = {
        "artefact": path.name,
        "key": key,
        **made,
        **content,
        "modules": list(code),
        "device": str(device),
        "seconds": round(time.perf_counter() - started, 2),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "extra": {**(extra or {}), **(returned if isinstance(returned, dict) else {})},
    }
    write_json(manifest_path(path), manifest)
    return manifest


def make_arrays(path, compute, **options) -> dict:
    """Arrays {name: array} of ``compute()``, which lies in one of `modules`, made once as HDF5.

    Options are those of `make`.
    """
    import h5py

    from galtools.hdf5 import safe_open

    def write(new):
        with h5py.File(new, "w") as file:
            for name, values in compute().items():
                file[name] = values

    make(path, write, **options)
    with safe_open(path) as file:
        return {name: values[:] for name, values in file.items()}
