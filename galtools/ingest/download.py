"""Files from the network, whole or not at all, whatever the network does.

`fetch` waits between requests, tries again what may succeed and gives up on what cannot. A file
appears under its name only after its length, its checksum (if known) and its reader (if given)
agree, with a note of its origin beside it: a second call has nothing left to do.
"""

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from galtools import artefacts
from galtools.errors import GaltoolsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHUNK = 1 << 16  # bytes
LARGEST = 4 << 30  # bytes; no file of these surveys is larger
SLOWEST = 1000.0  # bytes per second; what sends less is given up
LONGEST_WAIT = 600.0  # seconds that a server may ask us to wait
ENCODINGS = {"identity": False, "": False, "gzip": True, "x-gzip": True}  # whether it is packed
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
    """Fetch a file once; `check` is given it before it gets its name, and may refuse it."""
    check_url(url)
    path, reason = Path(path), "no attempt was allowed"
    checksum = sha256.lower() if sha256 else _noted(path, url)
    if checksum and path.is_file() and artefacts.sha256(path) == checksum:
        return path
    for attempt in range(attempts):
        polite.wait()
        try:
            with artefacts.atomic(path) as new, _Session() as session:
                _receive(session, url, new, timeout)
                actual = _verify(new, sha256, check)
            origin = {"url": url, "sha256": actual, "bytes": path.stat().st_size}
            artefacts.write_json(origin_path(path), origin)
            return path
        except requests.RequestException as error:  # another attempt may cure it
            reason = str(error)[:200]
            if attempt + 1 < attempts:
                polite.sleep(max(_retry_after(error), polite.interval * 2**attempt))
    raise GaltoolsError(f"{url}: {reason}, after {attempts} attempts; try again later")


def _retry_after(error: requests.RequestException) -> float:
    """Seconds that the server asks us to wait."""
    wait = getattr(error.response, "headers", {}).get("Retry-After", "")
    return min(float(wait), LONGEST_WAIT) if _is_number(wait) else 0.0


def _is_number(text: str) -> bool:
    """Whether a header is a plain number; digits of other scripts are none to `int`."""
    return text.isascii() and text.isdigit() and len(text) < 20


def origin_path(path: Path) -> Path:
    """Name the note about where a file came from."""
    return Path(path).with_name(Path(path).name + ".origin.json")


def _noted(path: Path, url: str) -> str | None:
    """Return the checksum in the note beside a file, if that came from `url`."""
    try:
        note = json.loads(origin_path(path).read_text())
        return note["sha256"] if note["url"] == url else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _receive(session: requests.Session, url: str, part: Path, patience: float) -> None:
    """Receive a file; a server that drips is given up after so many seconds."""
    with session.get(url, headers=HEADERS, stream=True, timeout=patience) as response:
        status = response.status_code
        message = f"the server says {status} {response.reason}"
        if status in (408, 429) or status >= 500:
            raise requests.HTTPError(message, response=response)
        if status != 200:  # 206 is a part of the file
            raise GaltoolsError(f"{url}: {message}; check the address")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ENCODINGS:
            raise GaltoolsError(f"{url} comes encoded as {encoding!r}, which is not decoded")
        packed = ENCODINGS[encoding] and part.suffix != ".gz"  # it stays what its name says
        try:
            _write_stream(response, part, patience, zlib.decompressobj(31) if packed else None)
        except (HTTPError, ConnectionError, TimeoutError, zlib.error) as error:
            raise requests.ConnectionError(str(error)) from error


def _write_stream(response, part: Path, patience: float, decoder) -> None:
    """Write what a server sends, decoded if it is packed, and hold it to its announced length."""
    size, received, started = response.headers.get("Content-Length", ""), 0, time.monotonic()
    with open(part, "wb") as file:
        while block := response.raw.read1(CHUNK, decode_content=False):
            file.write(decoder.decompress(block) if decoder else block)
            received, elapsed = received + len(block), time.monotonic() - started
            if elapsed > patience and received < SLOWEST * elapsed:
                raise requests.Timeout(f"only {received} bytes in {elapsed:.0f} s")
            if file.tell() > LARGEST:
                raise GaltoolsError(f"{response.url} is larger than {LARGEST >> 30} GiB")
    if _is_number(size) and received != int(size):
        raise requests.HTTPError(f"{received} bytes came, {size} were announced")
    if decoder and (not decoder.eof or decoder.unused_data):
        raise requests.HTTPError("the packed file that came is cut short or followed by others")


def _verify(part: Path, expected: str | None, check: Callable | None) -> str:
    """Return the checksum of what arrived, if it is what was wanted."""
    checksum = artefacts.sha256(part)
    if not part.stat().st_size:
        raise requests.HTTPError("an empty file came")
    if expected and checksum != expected.lower():
        raise requests.HTTPError(f"the checksum is {checksum[:12]}..., wanted {expected[:12]}...")
    try:
        if check:
            check(part)
    except GaltoolsError as error:
        raise requests.HTTPError(f"the file that came cannot be read ({error})") from error
    return checksum
