"""Artefacts that are written atomically, each with a manifest of its provenance.

A manifest sits beside its artefact as ``<name>.manifest.json``. Its *key* is a hash of everything
the artefact follows from: the code that made it, the parameters and the contents of its inputs.
`make` runs a step only if no artefact with that key exists, so work is never done twice and what
is stale is never taken for new. The code is hashed as a syntax tree without docstrings and
comments: an edit of prose changes no key.
"""

import errno
import fcntl
import glob
import json
import os
import re
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from safetensors import SafetensorError

from galtools.errors import GaltoolsError
from galtools.provenance import digest, module_digests, package_versions, plain, read_values, sha256

WRITING_ERRORS = (OSError, RuntimeError, SafetensorError)  # RuntimeError: HDF5
FULL = "the disk or your quota is full; free some space and start again"
REFUSED = "no permission; choose another folder with -p results FOLDER"
REASONS = {  # HDF5 and safetensors quote the system's words
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), REFUSED),
}
LARGEST_MANIFEST = 1 << 25  # bytes
_HOST = socket.gethostname()


@contextmanager
def atomic(path: Path):
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds.

    A temporary path of another `atomic` is yielded as it is: its own block renames it.
    """
    path = Path(path)
    if re.fullmatch(rf"\..+\.{re.escape(_HOST)}-\d+(\.\w+)?", path.name):
        yield path
        return
    temporary = path.with_name(f".{path.stem}.{_HOST}-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # refused now, and not after an hour's training
        temporary.unlink()
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


def _sweep(path: Path) -> None:
    """Remove what killed processes of this machine left half-written of an artefact."""
    start = f".{path.stem}.{_HOST}-"
    for file in path.parent.glob(f"{glob.escape(start)}*{glob.escape(path.suffix)}"):
        process = file.name.removeprefix(start).removesuffix(path.suffix)
        if process.isdecimal() and not _alive(int(process)):
            file.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:  # without permission to ask, it is somebody else's
        return not isinstance(error, ProcessLookupError)
    return True


def _reason(error: Exception, path: Path, temporary: Path) -> str | None:
    """Why an artefact cannot be written, None if the error is about something else."""
    filename = getattr(error, "filename", None)
    if filename and Path(filename) not in (path, temporary, *path.parents):
        return None
    reasons = (reason for number, reason in REASONS.items() if os.strerror(number) in str(error))
    return next(reasons, error.strerror if filename else None)


def manifest_path(path: Path) -> Path:
    """Name the manifest of an artefact."""
    return Path(path).with_name(Path(path).name + ".manifest.json")


def read_manifest(path: Path) -> dict:
    """Read the manifest of an artefact."""
    file, manifest = manifest_path(path), None
    with suppress(FileNotFoundError, ValueError, RecursionError):
        if file.is_file() and file.stat().st_size < LARGEST_MANIFEST:
            manifest = json.loads(file.read_text())
    if isinstance(manifest, dict) and "sha256" in manifest:
        return manifest
    if file.exists():
        raise GaltoolsError(f"manifest of {path} is damaged: delete both, run again")
    if Path(path).exists():
        raise GaltoolsError(f"{path} has no manifest: delete it and make it again")
    raise GaltoolsError(f"{path} is missing: check its name, or make it first")


def write_json(path: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    with atomic(path) as new:
        new.write_text(json.dumps(content, indent=1, default=plain) + "\n")


def is_whole(path: Path) -> bool:
    """Whether an artefact exists and has the checksum in its manifest."""
    return bool(_whole_manifest(path))


def _whole_manifest(path: Path) -> dict:
    """Manifest of an artefact that has the checksum in it, else empty."""
    with suppress(GaltoolsError, KeyError, OSError):
        if (manifest := read_manifest(path))["sha256"] == sha256(path):
            return manifest
    return {}


@cache
def _known_sha256(path: Path, *_state) -> str:
    """Hash a file once for as long as it stays in the same state."""
    return sha256(path)


def check_inputs(path: Path, *inputs: Path, advice: str = "make it again") -> Path:
    """Return the path of an artefact that is whole and was made from these files, among others."""
    path, manifest = Path(path), read_manifest(path)
    try:
        made_from = {(entry["file"], entry["sha256"]) for entry in manifest["inputs"]}
        checksum = manifest["sha256"]
    except (KeyError, TypeError):
        raise GaltoolsError(f"manifest of {path} is damaged: delete both, {advice}") from None
    for file in (path, *map(Path, inputs)):
        if not file.is_file():
            raise GaltoolsError(f"{file} is missing: make it first")
        state = file.stat()
        actual = _known_sha256(file.absolute(), state.st_ino, state.st_size, state.st_mtime_ns)
        if file is path and actual != checksum:
            raise GaltoolsError(f"{path} is not what was made, but changed or damaged: {advice}")
        if file is not path and (file.name, actual) not in made_from:
            raise GaltoolsError(f"{path} was made from another {file.name}: {advice}")
    return path


@contextmanager
def _locked(folder: Path):
    """Let one process after the other publish in a folder, where the file system has locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make(path, maker, *, params, modules=(), inputs=(), seed=0, device="cpu", ignore=()) -> dict:
    """Make the artefact `path` once and return its manifest.

    ``maker(temporary_path)`` is called only if there is no whole artefact with the same key, which
    is made of `params` (a dict), `seed`, the contents of the files `inputs`, and all that the maker
    reads from outside itself, our modules with all that they import among it: see
    `provenance.read_values`. `modules` names those that it finds by itself, as the registry does.
    Names in `ignore` are those of values that change no byte of the artefact, such as a number of
    processes. What `maker` returns, if it is a dict, goes into the manifest as ``extra``.
    """
    path, inputs = Path(path), [*map(Path, inputs)]
    content, code = _causes(path, maker, params, modules, inputs, seed, ignore)
    key = digest(content)
    if listing := os.environ.get("GALTOOLS_ARTEFACTS"):  # the pipeline asks what a run made or used
        with open(listing, "a") as file:
            file.write(f"{path.absolute()}\n")
    if (existing := _whole_manifest(path)).get("key") == key:
        return existing
    started = time.perf_counter()
    with ExitStack() as publishing:
        with atomic(path) as new:
            returned = maker(new)
            manifest = {
                "artefact": path.name,
                "key": key,
                "sha256": sha256(new),
                "bytes": new.stat().st_size,
                **content,
                "modules": code,
                "device": str(device),
                "seconds": round(time.perf_counter() - started, 2),
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "extra": returned if isinstance(returned, dict) else {},
            }
            publishing.enter_context(_locked(path.parent))
            with suppress(OSError):  # no old manifest beside new bytes
                manifest_path(path).unlink()
        write_json(manifest_path(path), manifest)
    return manifest


def _causes(path, maker, params, modules, inputs, seed, ignore) -> tuple[dict, list[str]]:
    """All that an artefact follows from, and the names of the modules among it."""
    if missing := [file for file in inputs if not file.is_file()]:
        raise GaltoolsError(f"{missing[0]} is missing: make it first")
    reads, used = read_values(maker, path, inputs, ignore)
    code = module_digests({*modules, *used})
    content = {
        "parameters": params,
        "seed": seed,
        "code": digest(code),
        "packages": package_versions(),
        "inputs": [{"file": file.name, "sha256": sha256(file)} for file in inputs],
        "reads": reads,
    }
    return content, sorted(code)


def make_arrays(path, compute, **options) -> dict:
    """Arrays {name: array} of ``compute()``, made once as HDF5; options are those of `make`."""
    from galtools.hdf5 import create, safe_open  # h5py takes a while

    def write(new):
        with create(new) as file:
            for name, values in compute().items():
                file[name] = values

    make(path, write, **options)
    with safe_open(path) as file:
        return {name: values[:] for name, values in file.items()}
