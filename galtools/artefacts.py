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
PLUMBING = {"galtools.errors", "galtools.artefacts", "companion.paths"}  # they compute no number
WRITING_ERRORS = (OSError, RuntimeError, SafetensorError)  # RuntimeError: HDF5
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
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{socket.gethostname()}-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_writable(path.parent)  # now, and not after an hour's training
        _sweep(path)
        yield temporary
        os.replace(temporary, path)
    except WRITING_ERRORS as error:
        if (reason := _reason(error, path, temporary)) is None:
            raise  # the block met something else than this artefact
        raise GaltoolsError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):  # where it could not be made, it cannot be removed either
            temporary.unlink(missing_ok=True)


def _check_writable(folder: Path) -> None:
    """Refuse a folder that is there but not ours to write in."""
    if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _sweep(path: Path) -> None:
    """Remove what killed processes of this machine left half-written, also within one another."""
    writer = rf"\.{re.escape(socket.gethostname())}-(\d+)"
    whole = re.compile(rf"\.+{re.escape(path.stem)}(?:{writer})+{re.escape(path.suffix)}")
    for file in path.parent.glob(f".*{glob.escape(path.suffix)}"):
        if whole.fullmatch(file.name):
            writers = re.findall(writer, file.name[len(path.stem) :])
            if not any(_alive(int(process)) for process in writers):
                file.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _reason(error: Exception, path: Path, temporary: Path) -> str | None:
    """Say why an artefact cannot be written, or None if the error is about something else."""
    filename = getattr(error, "filename", None)
    if _says(error, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk or your quota is full; free some space and start again"
    if filename and Path(filename) not in (path, temporary, *path.parents):
        return None
    if _says(error, errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission; choose another folder with -p results FOLDER"
    return error.strerror if filename else None


def _says(error: Exception, *numbers: int) -> bool:
    """Tell whether the system refused so; HDF5 and safetensors quote its words, not its number."""
    return any(os.strerror(number) in str(error) for number in numbers)


def strip_docstrings(tree: ast.AST) -> ast.AST:
    """Remove every docstring, so that only what computes remains."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:] or [ast.Pass()]
    return tree


@cache
def code_digest(source: str) -> str:
    """Hash what a piece of Python computes: comments, docstrings and layout do not count."""
    return digest(ast.dump(strip_docstrings(ast.parse(source))))


@cache
def _find(module: str) -> Path | None:
    """Return the file of one of our modules, or None; nothing is imported for it."""
    stem = CODE.joinpath(*module.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@cache
def imported_modules(source: str) -> frozenset[str]:
    """Name the galtools modules that a piece of Python imports, directly.

    ``import_module("galtools.x")`` counts; relative imports are refused, since this would not see
    where they lead.
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
            case ast.Call(
                ast.Name("import_module") | ast.Attribute(attr="import_module"),
                [ast.Constant(str(module))],
            ):
                found.add(module)
    return frozenset(name for name in found if name.split(".")[0] in OURS and _find(name))


def module_digests(modules) -> dict[str, str]:
    """Hash galtools modules and everything of galtools that they import, however deep.

    The plumbing is left out: which folder a file lies in changes no number.
    """
    digests, queue = {}, set(modules)
    while queue:
        name = queue.pop()
        path = _find(name)
        if path is None:
            raise GaltoolsError(f"{name} is not a module of galtools or companion")
        source = path.read_text()
        digests[name] = code_digest(source)
        packages = {name.rsplit(".", k)[0] for k in range(1, name.count(".") + 1)}
        queue |= (imported_modules(source) | packages) - digests.keys()
    return {name: digests[name] for name in sorted(digests.keys() - PLUMBING)}


@cache
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


def read_manifest(path: Path) -> dict:
    """Read the manifest of an artefact."""
    try:
        return json.loads(manifest_path(path).read_text())
    except FileNotFoundError:
        if not Path(path).exists():
            raise GaltoolsError(f"{path} is missing: check its name, or make it first") from None
        raise GaltoolsError(f"{path} has no manifest: delete it and make it again") from None
    except ValueError:
        raise GaltoolsError(
            f"the manifest of {path} is damaged: delete both and run again"
        ) from None


def check_seed(path: Path, seed: int) -> Path:
    """Return the path of an artefact that was made with this seed, or say which seed it was."""
    made = read_manifest(path)["seed"]
    if made != seed:
        raise GaltoolsError(
            f"{path} is of seed {made}: run this with -p seed {made}, or what made it with {seed}"
        )
    return path


def write_json(path: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    with atomic(path) as new:
        new.write_text(json.dumps(content, indent=1, default=_plain) + "\n")


def is_whole(path: Path) -> bool:
    """Tell whether an artefact is there and is what its manifest says."""
    try:
        return Path(path).exists() and read_manifest(path)["sha256"] == sha256(path)
    except (GaltoolsError, KeyError):
        return False


def is_current(path: Path, key: str) -> bool:
    """Tell whether an artefact is whole and was made from `key`."""
    return manifest_path(path).exists() and is_whole(path) and read_manifest(path).get("key") == key


def _input(path: Path) -> dict:
    if not path.is_file():
        raise GaltoolsError(f"{path} is missing: run the notebook that makes it first")
    return {"file": path.name, "sha256": sha256(path)}


def _list_for_pipeline(path: Path) -> None:
    """Tell the pipeline, if it asked, that the running notebook made or reused this artefact."""
    if listing := os.environ.get("GALTOOLS_ARTEFACTS"):
        with open(listing, "a") as file:
            file.write(f"{path.absolute()}\n")


def notebook_code(maker) -> list:
    """What a maker written in a notebook does, with the notebook's functions that it calls.

    Modules are hashed by name; a function of a notebook has no module, so its byte code stands for
    it (constants included, line numbers not).
    """
    told, queue, seen = [], [maker], set()
    while queue:
        function = queue.pop()
        code = getattr(function, "__code__", None)
        if getattr(function, "__module__", None) != "__main__" or code is None or code in seen:
            continue
        seen.add(code)
        told.append(_bytes_of(code))
        queue += [function.__globals__.get(name) for name in sorted(_names(code))]
    return told


def _bytes_of(code) -> list:
    return [code.co_code.hex(), [_constant(c) for c in code.co_consts], list(code.co_names)]


def _constant(value):
    if hasattr(value, "co_code"):  # a function within the function
        return _bytes_of(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _names(code) -> set[str]:
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if hasattr(c, "co_code")))


def make(path, maker, *, params, modules, inputs=(), seed=0, device="cpu", extra=None) -> dict:
    """Make the artefact `path` once and return its manifest.

    ``maker(temporary_path)`` is called only if there is no whole artefact with the same key, which
    is made of `params` (a dict), `seed`, the code of `modules` (names of galtools modules, with
    all that they import), that of a maker that the notebook itself defines, and the contents of the
    files `inputs`. What `maker` returns, if it is a dict, goes into the manifest as ``extra``.
    """
    path = Path(path)
    content = {
        "parameters": params,
        "seed": seed,
        "code": digest([module_digests(modules), *notebook_code(maker)]),
        "packages": package_versions(),
        "inputs": [_input(Path(file)) for file in inputs],
    }
    key = digest(content)
    _list_for_pipeline(path)
    if is_current(path, key):
        return read_manifest(path)
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


def make_arrays(path, compute, **options) -> dict:
    """Arrays {name: array} of ``compute()``, which lies in one of `modules`, made once as HDF5.

    Options are those of `make`.
    """
    import h5py

    def write(new):
        with h5py.File(new, "w") as file:
            for name, values in compute().items():
                file[name] = values

    make(path, write, **options)
    with h5py.File(path) as file:
        return {name: values[:] for name, values in file.items()}
