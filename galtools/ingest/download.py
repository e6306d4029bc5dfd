"""Files from the network, whole or not at all, whatever the network does.

`fetch` resumes a broken transfer where it stopped, waits between requests, gives up on what cannot
succeed, and trusts neither lengths nor contents: a file appears under its name only after its
length, its checksum (if known) and its reader (if given) agree. Beside it lies a note of its origin
and checksum, by which a second call knows that there is nothing left to do.
"""

import errno
import http.client
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from galtools import artefacts
from galtools.errors import GaltoolsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHUNK = 1 << 16
LARGEST = 4 << 30  # bytes; no file of these surveys is larger
LONGEST_WAIT = 600.0  # seconds that a server may ask us to wait


def check_url(url: str) -> str:
    """Return a URL that may be fetched: https, or http of this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise GaltoolsError(f"{url!r} is no URL: give an https address") from None
    if host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        return url
    raise GaltoolsError(f"{url!r} is not fetched: only https addresses are")


class _SafeRedirects(HTTPRedirectHandler):
    """Follow a redirection only to where `fetch` itself would go."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Check the new address."""
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass
class Politeness:
    """At most one request every `interval` seconds, however many files are asked for."""

    interval: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, repr=False)

    def wait(self) -> None:
        """Wait for this client's turn."""
        early = self._next - self.clock()
        if early > 0:
            self.sleep(early)
        self._next = self.clock() + self.interval


POLITE = Politeness()


class Broken(Exception):
    """The transfer failed in a way that another attempt may cure."""

    def __init__(self, reason: str, wait: float = 0.0):
        """Keep the reason, and how long the server asks us to wait."""
        super().__init__(reason)
        self.wait = wait


@dataclass
class _Part:
    """What has arrived so far: the bytes, and which version of the file they are of."""

    path: Path
    url: str

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """ETag or date of the version that the bytes are of, None if they cannot be resumed."""
        try:
            note = json.loads(self.note.read_text())
            return note["validator"] if note["url"] == self.url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, validator: str | None) -> None:
        self.path.unlink(missing_ok=True)
        artefacts.write_json(self.note, {"url": self.url, "validator": validator})

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _request(part: _Part) -> Request:
    """Ask for the rest of the file if the first bytes are there, else for the whole."""
    headers = {"User-Agent": "galtools", "Accept-Encoding": "identity"}
    validator = part.validator()
    if part.size() and validator:
        headers |= {"Range": f"bytes={part.size()}-", "If-Range": validator}
    return Request(part.url, headers=headers)


def _seconds(text: str | None) -> float:
    """Read Retry-After, given in seconds."""
    try:
        return min(max(float(text), 0.0), LONGEST_WAIT)
    except (TypeError, ValueError):
        return 0.0


def _open(part: _Part, timeout: float):
    """Send the request; sort what goes wrong into hopeless and worth another attempt."""
    try:
        return build_opener(_SafeRedirects).open(_request(part), timeout=timeout)
    except HTTPError as error:
        if error.code == 416:  # what we have is not a beginning of what is there
            part.drop()
            raise Broken("the file changed on the server") from error
        if error.code in (408, 429) or error.code >= 500:
            wait = _seconds(error.headers.get("Retry-After"))
            raise Broken(f"the server says {error.code} {error.reason}", wait) from error
        raise GaltoolsError(
            f"{part.url}: the server says {error.code} {error.reason}; check the address"
        ) from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise Broken(f"no connection ({getattr(error, 'reason', error)})") from error


def _expected_size(response, part: _Part) -> int | None:
    """Start or continue the partial file as the server answered; return the size of the whole."""
    length = response.headers.get("Content-Length")
    if response.status == 206:
        span, _, total = response.headers.get("Content-Range", "").partition("/")
        if not span.startswith(f"bytes {part.size()}-"):
            part.drop()
            raise Broken("the server continues at the wrong place")
        return int(total) if total.isdigit() else None
    part.begin(response.headers.get("ETag") or response.headers.get("Last-Modified"))
    return int(length) if length and length.isdigit() else None


def _attempt(part: _Part, timeout: float) -> None:
    """Receive what is missing of the partial file."""
    with _open(part, timeout) as response:
        size = _expected_size(response, part)
        with open(part.path, "ab") as file:
            try:
                while block := response.read1(CHUNK):  # what is there: a stall loses nothing
                    file.write(block)
                    if file.tell() > LARGEST:
                        raise GaltoolsError(f"{part.url} is larger than {LARGEST >> 30} GiB")
            except (OSError, http.client.HTTPException) as error:
                if getattr(error, "errno", None) == errno.ENOSPC:
                    raise
                raise Broken(f"the connection broke after {file.tell()} bytes") from error
    if size is not None and part.size() != size:
        found = part.size()
        if found > size:
            part.drop()
        raise Broken(f"{found} bytes came, {size} were announced")


def _verify(part: _Part, wanted: str | None, check: Callable | None) -> str:
    """Return the checksum of what arrived, if it is what was wanted; else drop it."""
    found = artefacts.sha256(part.path)
    if not part.size():
        part.drop()
        raise Broken("an empty file came")
    if wanted and found != wanted.lower():
        part.drop()
        raise Broken(f"the checksum is {found[:12]}..., wanted {wanted[:12]}...")
    if check:
        try:
            check(part.path)
        except GaltoolsError as error:
            part.drop()
            raise Broken("the file that came cannot be read") from error
    return found


def origin_path(path: Path) -> Path:
    """Name the note about where a file came from."""
    return Path(path).with_name(Path(path).name + ".origin.json")


def is_there(path: Path, url: str, wanted: str | None) -> bool:
    """Tell whether the file was fetched before and is unchanged since."""
    try:
        note = json.loads(origin_path(path).read_text())
        known = note["sha256"] if note["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    known = wanted.lower() if wanted else known
    return known is not None and Path(path).is_file() and artefacts.sha256(path) == known


def fetch(
    url: str,
    path: Path,
    sha256: str | None = None,
    *,
    check: Callable | None = None,
    attempts: int = 5,
    timeout: float = 30.0,
    polite: Politeness = POLITE,
) -> Path:
    """Fetch a file once; a broken transfer is resumed, now or by the next call.

    `check` is given the file before it gets its name, and refuses it with a GaltoolsError.
    """
    check_url(url)
    path = Path(path)
    if is_there(path, url, sha256):
        return path
    # the partial file keeps the endings of the name, by which readers know a compressed file
    part = _Part(path.with_name(f".part.{path.name}"), url)
    reason = "no attempt was allowed"
    for attempt in range(attempts):
        polite.wait()
        try:
            _prepare(part)
            _attempt(part, timeout)
            return _keep(part, path, _verify(part, sha256, check))
        except Broken as error:
            reason = str(error)
            if attempt + 1 < attempts:
                polite.sleep(max(error.wait, polite.interval * 2**attempt))
        except OSError as error:
            raise GaltoolsError(f"cannot write {path}: {error.strerror or error}") from error
    raise GaltoolsError(f"{url}: {reason}, after {attempts} attempts; try again later to resume")


def _prepare(part: _Part) -> None:
    part.path.parent.mkdir(parents=True, exist_ok=True)
    if part.path.exists() and part.validator() is None:
        part.drop()  # nothing says that these bytes are of the same version


def _keep(part: _Part, path: Path, checksum: str) -> Path:
    """Give a verified file its name, and write down where it came from."""
    size = part.size()
    origin_path(path).unlink(missing_ok=True)
    os.replace(part.path, path)
    part.drop()
    artefacts.write_json(origin_path(path), {"url": part.url, "sha256": checksum, "bytes": size})
    return path
