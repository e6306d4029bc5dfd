"""Files from the network, whole or not at all, whatever the network does.

`fetch` resumes a broken transfer where it stopped, waits between requests and gives up on what
cannot succeed. A file appears under its name only after its length, its checksum (if known) and its
reader (if given) agree, with a note of its origin beside it: a second call has nothing left to do.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from galtools import artefacts
from galtools.errors import GaltoolsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHUNK = 1 << 13  # bytes; what a stalled connection loses
LARGEST = 4 << 30  # bytes; no file of these surveys is larger
SLOWEST = 1000.0  # bytes per second; what sends less is given up
LONGEST_WAIT = 600.0  # seconds that a server may ask us to wait
HEADERS = {"User-Agent": "galtools", "Accept-Encoding": "identity"}


def check_url(url: str) -> str:
    """Return a URL that may be fetched: https, or http of this very machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise GaltoolsError(f"{url!r} is no URL: give an https address") from None
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise GaltoolsError(f"{url!r} has letters that no URL has: write them as %XX")
    if host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        return url
    raise GaltoolsError(f"{url!r} is not fetched: only https addresses are")


class _Session(requests.Session):
    """Sends requests, those after a redirection included, only to where `check_url` allows."""

    def send(self, request, **options):
        """Check the address and send."""
        check_url(request.url)
        return super().send(request, **options)


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
    known = sha256.lower() if sha256 else _noted(path, url, "sha256")
    if known and path.is_file() and artefacts.sha256(path) == known:
        return path
    part = path.with_name(f".part.{path.name}")  # its ending tells readers a compressed file
    reason = "no attempt was allowed"
    for attempt in range(attempts):
        polite.wait()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _Session() as session:
                _receive(session, url, part, timeout)
            note = {"url": url, "sha256": _verify(part, sha256, check)}
            origin_path(path).unlink(missing_ok=True)
            os.replace(part, path)
            origin_path(part).unlink()
            artefacts.write_json(origin_path(path), {**note, "bytes": path.stat().st_size})
            return path
        except requests.RequestException as error:  # another attempt may cure it
            reason = str(error)[:200]
            if attempt + 1 < attempts:
                polite.sleep(max(_retry_after(error), polite.interval * 2**attempt))
        except OSError as error:
            raise GaltoolsError(f"cannot write {path}: {error.strerror or error}") from error
    raise GaltoolsError(f"{url}: {reason}, after {attempts} attempts; try again later to resume")


def _retry_after(error: requests.RequestException) -> float:
    """Seconds that the server asks us to wait."""
    headers = getattr(error.response, "headers", {})
    wait = headers.get("Retry-After", "")
    return min(float(wait), LONGEST_WAIT) if _is_number(wait) else 0.0


def _is_number(text: str) -> bool:
    """Whether a header is a plain number; digits of other scripts are none to `int`."""
    return text.isascii() and text.isdigit() and len(text) < 20


def origin_path(path: Path) -> Path:
    """Name the note about where a file came from."""
    return Path(path).with_name(Path(path).name + ".origin.json")


def _noted(path: Path, url: str, name: str) -> str | None:
    """Return what the note beside a file says of it, if that came from `url`."""
    try:
        note = json.loads(origin_path(path).read_text())
        return note[name] if note["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _receive(session: requests.Session, url: str, part: Path, timeout: float) -> None:
    """Receive a file, or the rest of it if its beginning is there and unchanged."""
    version = _noted(part, url, "version")
    start = part.stat().st_size if version and part.exists() else 0
    ranged = {"Range": f"bytes={start}-", "If-Range": version} if start else {}
    with session.get(url, headers=HEADERS | ranged, stream=True, timeout=timeout) as answer:
        status, headers = answer.status_code, answer.headers
        says = f"the server says {status} {answer.reason}"
        if status in (408, 416, 429) or status >= 500:
            if status == 416:  # what we have is not a beginning of what is there
                part.unlink(missing_ok=True)
            raise requests.HTTPError(says, response=answer)
        if status >= 400:
            raise GaltoolsError(f"{url}: {says}; check the address")
        served = headers.get("ETag") or headers.get("Last-Modified") or ""
        served = served if served.isascii() and served.isprintable() else ""
        if part.suffix == ".gz":  # keep what is compressed by name
            answer.raw.headers.pop("Content-Encoding", None)
        decode = "Content-Encoding" in answer.raw.headers
        size = headers.get("Content-Length")
        if status == 206:
            span, _, size = headers.get("Content-Range", "").partition("/")
            if not span.startswith(f"bytes {start}-") or served not in ("", version) or decode:
                part.unlink(missing_ok=True)
                raise requests.HTTPError("the server continues another file, or elsewhere")
        else:  # what has a weak validator, or is decoded, cannot be resumed
            part.unlink(missing_ok=True)
            version = None if decode or served.startswith("W/") else served or None
            artefacts.write_json(origin_path(part), {"url": url, "version": version})
        with open(part, "ab") as file:
            for block in _blocks(answer, timeout):
                file.write(block)
                if file.tell() > LARGEST:
                    raise GaltoolsError(f"{url} is larger than {LARGEST >> 30} GiB")
    found = part.stat().st_size
    if size and _is_number(size) and found != int(size) and not decode:
        part.unlink()
        raise requests.HTTPError(f"{found} bytes came, {size} were announced")


def _blocks(answer: requests.Response, patience: float, clock=time.monotonic):
    """Yield what comes, as it comes; a server that drips is given up after so many seconds."""
    received, started = 0, clock()
    while True:
        try:
            block = answer.raw.read1(CHUNK, decode_content=True)
        except (HTTPError, OSError) as error:
            raise requests.ConnectionError(str(error)) from error
        if not block:
            return
        yield block
        received, elapsed = received + len(block), clock() - started
        if elapsed > patience and received < SLOWEST * elapsed:
            raise requests.Timeout(f"only {received} bytes came in {elapsed:.0f} s")


def _verify(part: Path, wanted: str | None, check: Callable | None) -> str:
    """Return the checksum of what arrived, if it is what was wanted; else remove it."""
    found, reason = artefacts.sha256(part), ""
    if not part.stat().st_size:
        reason = "an empty file came"
    elif wanted and found != wanted.lower():
        reason = f"the checksum is {found[:12]}..., wanted {wanted[:12]}..."
    elif check:
        try:
            check(part)
        except GaltoolsError as error:
            reason = f"the file that came cannot be read ({error})"
    if reason:
        part.unlink()
        raise requests.HTTPError(reason)
    return found
