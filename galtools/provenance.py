"""What an artefact follows from: code, values that its maker reads, versions of packages.

The code of our modules is hashed as a syntax tree without docstrings and comments, so that an edit
of prose changes no key. What is written in a notebook has no module: its byte code counts, with
the values of all that it reads from outside, `read_values`.
"""

import ast
import dataclasses
import dis
import hashlib
import json
import os
import platform
import stat
import sys
import tomllib
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType

import numpy as np

from galtools.errors import GaltoolsError

CODE = Path(__file__).resolve().parents[1]
OURS = ("galtools", "companion")  # packages whose code is hashed
# these compute no number: names that are offered, messages, keys, and where files lie
PLUMBING = {
    *("galtools", "galtools.errors", "galtools.hdf5", "galtools.artefacts", "galtools.provenance"),
    *("companion", "companion.paths"),
}
PACKAGES = (  # those whose versions can change a number
    *("numpy", "scipy", "pandas", "h5py", "scikit-learn", "torch"),
    *("astropy", "astro-sedpy", "galsim", "photutils", "reproject", "statmorph"),
)


def sha256(path: Path) -> str:
    """Hash a file's contents; what is no file, such as a pipe, would be waited for without end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise GaltoolsError(f"{path} is not a file: remove it")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(thing) -> str:
    """Hash anything that JSON can hold, paths, sets and arrays; equal things, equal digests."""
    return hashlib.sha256(json.dumps(thing, sort_keys=True, default=plain).encode()).hexdigest()


def plain(thing):
    """Turn what JSON does not know into what it does, or refuse: a guess could change a key."""
    if isinstance(thing, set | frozenset):
        return sorted(thing)
    if isinstance(thing, os.PathLike):
        return os.fspath(thing)
    if hasattr(thing, "tolist"):  # numpy and torch
        return thing.tolist()
    raise TypeError(f"{type(thing).__name__} {thing!r} cannot stand in a manifest")


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
        if (facts := path.with_suffix(".toml")).is_file():  # that the module reads
            digests[name] = digest([digests[name], tomllib.loads(facts.read_text())])
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


def read_values(maker, path, modules, inputs, params=(), ignore=()) -> dict[str, str]:
    """Digests {name: digest} of the code of a maker of `path`, and of what it reads from outside.

    These are its defaults, the variables of a surrounding function and, unless its own module is in
    `modules`, globals; what a notebook defines is followed as deep. Modules, functions and classes
    of ours have to be in `modules` (all whose code is hashed). Of files that are not in `inputs`
    the contents count. Names in `ignore` are left out, and what cannot be hashed if `params` has
    its name.
    """
    values = _Values(modules, [path, *inputs], params, ignore)
    try:
        if not isinstance(maker, FunctionType) or values.name_of(maker):
            return {"maker": digest(values(maker))}
        read = {name: digest(values.read(name, value)) for name, value in values.outside(maker)}
        return {"maker": values.code_of(maker), **read}
    except GaltoolsError as error:
        raise GaltoolsError(f"the maker of {path.name} {error}") from None


class _Values:
    """Turns any value into what JSON holds, arrays and code into hashes: equal values, equal text.

    What it does not know goes through the protocol of pickle, or is refused.
    """

    def __init__(self, modules, files, params, ignore):
        self.modules, self.params, self.ignore = PLUMBING | {*modules}, params, ignore
        self.files = {Path(file).absolute() for file in files}
        self.known = {}  # id: (the thing, that it stays alive, and its text)

    def __call__(self, thing):
        if thing is None or type(thing) in (bool, int, float, str):
            return thing
        if id(thing) not in self.known:
            self.known[id(thing)] = thing, "itself"  # where it is met again within itself
            self.known[id(thing)] = thing, digest([type(thing).__name__, self.describe(thing)])
        return self.known[id(thing)][1]

    def describe(self, thing):
        """Contents of anything but plain numbers and texts."""
        kind = type(thing)
        if kind.__module__ in PLUMBING:
            return None
        if kind in (list, tuple):
            return [self(item) for item in thing]
        if kind is dict:
            return [[self(key), self(value)] for key, value in thing.items()]
        if kind in (set, frozenset):
            return sorted(digest(self(item)) for item in thing)
        if kind is bytes:
            return hashlib.sha256(thing).hexdigest()
        if kind is np.ndarray and thing.dtype != object:
            content = hashlib.sha256(np.ascontiguousarray(thing)).hexdigest()
            return [str(thing.dtype), thing.shape, content]
        if kind is np.ndarray:
            return [thing.shape, self(thing.tolist())]
        if kind.__module__.startswith("torch") and hasattr(thing, "detach"):  # a tensor
            return self(thing.detach().cpu().numpy())
        if kind.__module__.partition(".")[0] == "pandas" and hasattr(thing, "to_numpy"):
            return self._pandas(thing)
        if isinstance(thing, Path):
            return self._path(thing)
        return self._code(thing) or self._object(thing)

    def _pandas(self, thing):
        if hasattr(thing, "columns"):
            return [self(thing.columns), self(thing.index), [self(c) for _, c in thing.items()]]
        names = [*getattr(thing, "names", [getattr(thing, "name", None)])]
        index = getattr(thing, "index", None)
        return [self(names), index is not None and self(index), self(thing.to_numpy())]

    def _path(self, path):
        """Name of a path, the same in any folder, and contents of a file that is not an input."""
        read = path.is_file() and path.absolute() not in self.files
        return [path.name, sha256(path) if read else None]

    def _code(self, thing):
        """Modules, functions and classes: by name or, if they are a notebook's, by contents."""
        if isinstance(thing, ModuleType):
            return self._allowed(thing.__name__)
        if isinstance(thing, MethodType):
            return [self(thing.__self__), thing.__name__]
        if name := self.name_of(thing):
            return name
        if hasattr(thing, "__wrapped__"):
            return self(thing.__wrapped__)
        if isinstance(thing, FunctionType):
            return [self.code_of(thing), {n: self.read(n, v) for n, v in self.outside(thing)}]
        if isinstance(thing, type):
            inside = {name: value for name, value in vars(thing).items() if name not in _OF_CLASSES}
            return [[self(base) for base in thing.__bases__], self(inside)]
        return None

    def _object(self, thing):
        if dataclasses.is_dataclass(thing):  # not what it may have cached beside its fields
            fields = [self(getattr(thing, field.name)) for field in dataclasses.fields(thing)]
            return [self(type(thing)), fields]
        reduced = thing.__reduce_ex__(2)
        if isinstance(reduced, str):
            return reduced
        function, arguments, *state = reduced
        parts = [list(part) if hasattr(part, "__next__") else part for part in state]
        return [self(function), self(arguments), *map(self, parts)]

    def name_of(self, thing) -> str | None:
        """Where a function or class can be imported from, None if it is written in a notebook."""
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
        found = sys.modules.get(module) if name and module != "__main__" else None
        for part in name.split(".") if found else ():
            found = getattr(found, part, None)
        return self._allowed(module) + f".{name}" if found is thing else None

    def _allowed(self, module: str) -> str:
        if module.split(".")[0] in OURS and module not in self.modules:
            raise GaltoolsError(f"uses {module}: name it in modules")
        return module

    def outside(self, function):
        """Yield names and values of all that a function reads from outside itself."""
        code, module = function.__code__, function.__module__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # not filled yet
                yield name, cell.cell_contents
        yield "defaults", [function.__defaults__, function.__kwdefaults__]
        if module == "__main__" or (module.split(".")[0] in OURS and module not in self.modules):
            for name in sorted(_globals_read(code) & function.__globals__.keys()):
                yield name, function.__globals__[name]

    def read(self, name: str, value):
        """Text of what a function reads under a name."""
        if name in self.ignore:
            return None
        try:
            return self(value)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            if isinstance(error, GaltoolsError):
                raise
            if name in self.params:
                return None
            kind = type(value).__name__
            raise GaltoolsError(
                f"reads {name}, a {kind} that has no hash: pass it in params"
            ) from None

    def code_of(self, function) -> str:
        """Digest of a function's byte code; its docstring does not count."""
        return digest(_byte_code(function.__code__, function.__doc__))


_OF_CLASSES = {"__module__", "__dict__", "__weakref__", "__doc__", "__qualname__"}


def _byte_code(code, doc=None):
    """What a function does or, where it is a constant, its own text; line numbers do not count."""
    if not isinstance(code, CodeType):
        return sorted(map(repr, code)) if isinstance(code, frozenset) else repr(code)
    consts = [_byte_code(constant) for constant in code.co_consts if constant != doc or doc is None]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    return [code.co_code.hex(), code.co_exceptiontable.hex(), consts, names]


def _globals_read(code) -> set[str]:
    """Names of the globals that a function and the functions within it read."""
    found = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return found.union(*(_globals_read(c) for c in code.co_consts if isinstance(c, CodeType)))
