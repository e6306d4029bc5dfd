"""The one exception whose message is written for the user: one line that says what to do."""

import bz2
import gzip
import lzma
import traceback
import zipfile
from contextlib import contextmanager
from pathlib import Path

UNPACKED = 1 << 26, 200  # bytes, and times its size, that a file may unpack to
FITS, FITS_END, FITS_BLOCK = (b"SIMPLE", b"XTENSION"), b"END".ljust(80), 2880
LONGEST_HEADER = 1 << 22  # bytes


class GaltoolsError(ValueError):
    """An error that the user can correct; the message says how."""

    def _render_traceback_(self) -> list[str]:
        """Traceback in a notebook (IPython's hook): the line of the cell and the message alone."""
        frames = traceback.extract_tb(self.__traceback__)
        cell = [frame for frame in frames if "ipykernel_" in frame.filename][:1]
        lines = [f"----> {frame.lineno} {frame.line}" for frame in cell]
        return [*lines, "", f"{type(self).__name__}: {self}"]


def check_choice(what: str, name: str, known) -> str:
    """Return a name if it is a known one, or refuse with the list of them."""
    if name not in known:
        raise GaltoolsError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")
    return name


def check_unpacked(path, size: int) -> None:
    """Refuse a file whose contents are so much larger than itself that they must be empty."""
    free, ratio = UNPACKED
    if size > free + ratio * Path(path).stat().st_size:
        raise GaltoolsError(f"{path} is too small for {size / 1e9:.1f} GB of contents: not read")


def _check_contents(path) -> None:
    """Refuse, before it is parsed, what unpacks to too much or has a FITS header without end."""
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith((b"PK\3\4", b"PK\5\6")):  # zip, and an empty one
        with zipfile.ZipFile(path) as archive:
            check_unpacked(path, sum(entry.file_size for entry in archive.infolist()))
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, FITS[0]: open}
    for mark, opener in openers.items():
        if start.startswith(mark):
            with opener(path, "rb") as file:
                _check_blocks(path, file)


def _check_blocks(path, file) -> None:
    header = 0  # bytes of the header so far, 0 within data
    while block := file.read(FITS_BLOCK):
        check_unpacked(path, file.tell())
        if header or block.startswith(FITS):
            header += len(block)
            if any(block.startswith(FITS_END, k) for k in range(0, FITS_BLOCK, 80)):
                header = 0
        if header > LONGEST_HEADER:
            raise GaltoolsError(f"{path} has a header of more than {header // 10**6} MB: not read")


@contextmanager
def reading(path, advice: str):
    """Refuse a file that is missing, damaged or of another kind, in one line with advice."""
    if not Path(path).is_file():
        raise GaltoolsError(f"{path} is missing: check the name")
    try:
        _check_contents(path)
        yield
    except GaltoolsError:
        raise
    except MemoryError as error:
        raise GaltoolsError(f"{path} does not fit into memory: read a part of it") from error
    except Exception as error:  # untrusted bytes can break a parser anywhere
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise GaltoolsError(f"cannot read {path} ({reason[:120]}): {advice}") from error
