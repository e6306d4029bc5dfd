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
from pickle import Pickler, PicklingError
from types import CodeType, FunctionType, ModuleType, SimpleNamespace

from astropy.units import UnitBase

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


def digest(value) -> str:
    """Hash anything that JSON can hold, paths, sets and arrays; equal things, equal digests."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=plain).encode()).hexdigest()


def plain(value):
    """Convert a value to what JSON can hold, or refuse: a guess could change a key."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy and torch
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r} cannot stand in a manifest")


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
    modules = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                modules |= {alias.name for alias in names}
            case ast.ImportFrom(module, names, 0):
                modules |= {module, *(f"{module}.{alias.name}" for alias in names)}
            case ast.ImportFrom():
                raise GaltoolsError(f"write `{ast.unparse(node)}` as an absolute import")
    return frozenset(name for name in modules if name.split(".")[0] in OURS and _find(name))


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


def read_values(maker, path, inputs=(), ignore=()) -> tuple[dict[str, str], set[str]]:
    """Digests {name: digest} of a maker of `path` and of what it reads, and our modules it uses.

    It reads its defaults, the variables of a surrounding function and, in a notebook, globals;
    functions of a notebook are followed as deep, those of our modules count by the module's code. A
    file counts by its contents unless it is in `inputs`. Names in `ignore` are left out.
    """
    values = _Values([path, *inputs], ignore)
    read = {"maker": maker}
    if isinstance(maker, FunctionType) and not values.name_of(maker):
        read = {"maker": _code(maker), **values.outside(maker)}
    digests = {}
    for name, value in read.items():
        try:
            digests[name] = values.digest(value)
        except (PicklingError, TypeError, ValueError, AttributeError, RecursionError):
            raise GaltoolsError(
                f"the maker of {path.name} reads {name}, a {type(value).__name__} that has no "
                "hash: put what it follows from into params, and its name into ignore"
            ) from None
    return digests, values.used


class _Values(Pickler):
    """Hashes a value by what pickle would write of it, or of a substitute; nothing is unpickled.

    Equal values have equal digests, identical or not: there is no memo, so what contains itself is
    refused.
    """

    def __init__(self, files, ignore):
        super().__init__(SimpleNamespace(write=lambda part: self.sha.update(part)), protocol=5)
        self.fast = True  # no memo
        self.files = {Path(file).absolute() for file in files}
        self.ignore, self.used = ignore, set()

    def digest(self, value) -> str:
        """Hash a thing and all that it holds."""
        self.sha, self.followed = hashlib.sha256(), []
        self.dump(value)
        return self.sha.hexdigest()

    def persistent_id(self, value):
        """Kind and substitute of a thing, which pickle writes instead; None for the thing."""
        if type(value) in (int, float, str, bytes, bool, list, dict, tuple, type(None)):
            return None
        substitute = self.substitute(value, type(value))
        return None if substitute is None else (type(value).__name__, substitute)

    def substitute(self, value, kind):
        """Content of a thing that pickle would write by name or in no fixed order; else None."""
        if kind.__module__ in PLUMBING:
            return ""
        if name := value.__name__ if isinstance(value, ModuleType) else self.name_of(value):
            return self.use(name)
        if isinstance(value, type):
            raise PicklingError("its code is written in a notebook")
        if isinstance(value, set | frozenset):
            return sorted(value, key=repr)
        if isinstance(value, Path):  # the same in any folder; an input's contents count already
            read = value.is_file() and value.absolute() not in self.files
            return value.name, sha256(value) if read else None
        if isinstance(value, CodeType):  # not its file and lines
            names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
            return value.co_code, value.co_exceptiontable, value.co_consts, names
        if isinstance(value, FunctionType):
            if value in self.followed:  # within itself
                return value.__qualname__
            self.followed.append(value)
            return _code(value), self.outside(value)
        if hasattr(value, "__wrapped__"):
            return [value.__wrapped__]
        if dataclasses.is_dataclass(value):  # without what it has cached
            return kind, [getattr(value, field.name) for field in dataclasses.fields(value)]
        if isinstance(value, UnitBase):
            return value.to_string()
        if kind.__module__.startswith("torch") and hasattr(value, "detach"):
            return value.detach().cpu().numpy()
        if kind.__module__.startswith("pandas") and kind.__name__ in ("DataFrame", "Series"):
            frame = value if kind.__name__ == "DataFrame" else value.to_frame()
            return frame.to_dict("tight"), [str(dtype) for dtype in frame.dtypes]
        return None

    def name_of(self, value) -> str | None:
        """Where a function or class can be imported from, None if it is written in a notebook."""
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        member = sys.modules.get(module) if name and module != "__main__" else None
        for part in name.split(".") if member else ():
            member = getattr(member, part, None)
        return f"{module}:{name}" if member is value else None

    def use(self, name: str) -> str:
        """Add the module of a name to those used, if it is ours: its code counts."""
        module = name.partition(":")[0]
        if module.split(".")[0] in OURS:
            self.used.add(module)
        return name

    def outside(self, function) -> dict:
        """Names and values of all that a function reads from outside itself."""
        code, module, values = function.__code__, function.__module__, {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # not filled yet
                values[name] = cell.cell_contents
        values["defaults"] = [function.__defaults__, function.__kwdefaults__]
        self.use(module)
        if module == "__main__":
            for name in sorted(_globals_read(code) & function.__globals__.keys()):
                values[name] = function.__globals__[name]
        return {name: value for name, value in values.items() if name not in self.ignore}


def _code(function) -> CodeType:
    """Code of a function without its docstring."""
    code, doc = function.__code__, function.__doc__
    return code.replace(co_consts=tuple(c for c in code.co_consts if c != doc or doc is None))


def _globals_read(code) -> set[str]:
    """Names of the globals that a function and the functions within it read."""
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return names.union(*(_globals_read(c) for c in code.co_consts if isinstance(c, CodeType)))
