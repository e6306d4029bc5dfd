"""Downloads from a server on this machine that misbehaves in every way real ones do."""

import gzip
import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy.io import fits

from galtools.errors import GaltoolsError
from galtools.ingest.download import Politeness, check_url, fetch, origin_path
from galtools.ingest.fits_images import read_fits


def fits_bytes():
    image = np.random.default_rng(0).normal(0, 1, (120, 150)).astype(np.float32)
    buffer = io.BytesIO()
    fits.PrimaryHDU(image).writeto(buffer)
    return buffer.getvalue()


BODY = fits_bytes()
HALF = len(BODY) // 2
SHA = hashlib.sha256(BODY).hexdigest()


class Server:
    """A loopback server; `script` lists what it does to each request, good manners after that."""

    def __init__(self):
        self.script, self.requests, self.body = [], [], BODY
        self.stalled = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.requests.append(dict(self.headers))
                self.close_connection = True
                (server.script.pop(0) if server.script else well)(self, server)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/frame.fits"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def stop(self):
        self.stalled.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def respond(handler, status, body, length=None, **headers):
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key.replace("_", "-"), value)
    if length is not False:
        handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def well(handler, server):
    respond(handler, 200, server.body)


def breaks(handler, server):
    """Promise the whole and hang up in the middle."""
    respond(handler, 200, server.body[:HALF], length=len(server.body))


def truncates(handler, server):
    """Serve half of it as if it were all."""
    respond(handler, 200, server.body[:HALF])


def understates(handler, server):
    """Announce fewer bytes than are sent."""
    respond(handler, 200, server.body, length=HALF)


def says_no_length(handler, server):
    respond(handler, 200, server.body, length=False)


def cuts_without_length(handler, server):
    respond(handler, 200, server.body[:HALF], length=False)


def stalls(handler, server):
    """Send half of it and then nothing."""
    respond(handler, 200, server.body[:HALF], length=len(server.body))
    handler.wfile.flush()
    server.stalled.wait()


def hangs_up(handler, server):
    handler.connection.close()


def throttles(handler, server):
    respond(handler, 429, b"", Retry_After="7")


def overloaded(handler, server):
    respond(handler, 503, b"")


def apologises(handler, server):
    """Serve a page of regret with the status of success."""
    respond(handler, 200, b"<html>We are sorry</html>")


def empty(handler, server):
    respond(handler, 200, b"")


def missing(handler, server):
    respond(handler, 404, b"")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def polite(waits):
    """Never sleep; write down how long it would have been."""
    return Politeness(interval=1.0, sleep=waits.append, clock=lambda: 0.0)


def get(server, folder, polite, **options):
    return fetch(server.url, folder / "frame.fits", check=read_fits, polite=polite, **options)


TROUBLES = [
    [], [breaks], [breaks, breaks], [truncates], [understates],
    [says_no_length], [cuts_without_length], [hangs_up], [throttles], [overloaded, overloaded],
    [apologises], [empty], [breaks, hangs_up, throttles, truncates],
]  # fmt: skip


@pytest.mark.parametrize(
    "script", TROUBLES, ids=lambda s: "-".join(f.__name__ for f in s) or "none"
)
def test_file_arrives_whole_whatever_the_server_does(server, tmp_path, polite, script):
    server.script = list(script)
    path = get(server, tmp_path, polite)
    assert path.read_bytes() == BODY
    assert read_fits(path)[0].shape == (120, 150)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frame.fits", "frame.fits.origin.json"]
    assert SHA in origin_path(path).read_text()


def test_a_stalled_transfer_is_given_up_and_tried_again(server, tmp_path, polite):
    server.script = [stalls]
    path = get(server, tmp_path, polite, timeout=0.5, attempts=99)  # a busy machine stalls, too
    assert path.read_bytes() == BODY


def test_second_call_asks_nothing(server, tmp_path, polite):
    get(server, tmp_path, polite)
    get(server, tmp_path, polite)
    get(server, tmp_path, polite, sha256=SHA.upper())
    assert len(server.requests) == 1
    (tmp_path / "frame.fits").write_bytes(b"changed since")
    assert get(server, tmp_path, polite).read_bytes() == BODY
    assert len(server.requests) == 2


def test_checksum_is_held_to(server, tmp_path, polite):
    server.script = [truncates]
    path = fetch(server.url, tmp_path / "a", SHA, polite=polite)
    assert path.read_bytes() == BODY
    with pytest.raises(GaltoolsError, match=r"checksum is .* wanted 000000000000\.\.\."):
        fetch(server.url, tmp_path / "b", 64 * "0", polite=polite, attempts=2)
    assert not (tmp_path / "b").exists()


def test_waiting_is_polite(server, tmp_path, polite, waits):
    server.script = [throttles, overloaded]
    get(server, tmp_path, polite)
    # before each later request its turn, and in between what the server or patience asks
    assert waits == [7.0, 1.0, 2.0, 1.0]


def test_turns_are_an_interval_apart():
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    polite = Politeness(interval=2.0, sleep=sleep, clock=lambda: now[0])
    for _ in range(3):
        polite.wait()
        now[0] += 0.5
    assert slept == [1.5, 1.5]


def test_hopeless_requests_are_made_once(server, tmp_path, polite):
    server.script = [missing]
    with pytest.raises(GaltoolsError, match="404 Not Found; check the address"):
        get(server, tmp_path, polite)
    assert len(server.requests) == 1
    server.script = [overloaded] * 5
    with pytest.raises(GaltoolsError, match=r"503 .* after 5 attempts"):
        get(server, tmp_path, polite)
    assert list(tmp_path.glob("*.fits")) == []


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a", "ftp://example.org/a", "file:///etc/passwd", "nonsense", "https://",
     "http://127.0.0.1.example.org/a", "http://[bad/a"],
)  # fmt: skip
def test_only_https_is_fetched(url, tmp_path):
    with pytest.raises(GaltoolsError, match="https"):
        fetch(url, tmp_path / "a")
    assert check_url("https://example.org/a")


def test_redirection_away_from_https_is_refused(server, tmp_path, polite):
    server.script = [lambda h, s: respond(h, 302, b"", Location="http://example.org/a")]
    with pytest.raises(GaltoolsError, match="only https"):
        get(server, tmp_path, polite)


def test_nobody_listening(server, tmp_path, polite):
    server.stop()
    with pytest.raises(GaltoolsError, match="after 2 attempts"):
        get(server, tmp_path, polite, attempts=2)
    server.__init__()


def test_unwritable_folder(server, tmp_path, polite):
    (tmp_path / "file").write_text("")
    with pytest.raises(GaltoolsError, match="cannot write"):
        fetch(server.url, tmp_path / "file" / "a", polite=polite)


def compressed(handler, server):
    body = gzip.compress(server.body)
    respond(handler, 200, body, Content_Encoding="gzip")


def test_what_the_server_encodes_is_decoded(server, tmp_path, polite):
    server.script = [compressed]
    assert get(server, tmp_path, polite).read_bytes() == BODY


def answers(status=200, encoding="gzip", change=gzip.compress):
    """What a server does that sends the changed body with a status and an encoding."""
    return lambda h, s: respond(h, status, change(s.body), Content_Encoding=encoding)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: gzip.compress(body)[:-200],
        lambda body: gzip.compress(body)[:-4],
        lambda body: gzip.compress(body)[:-8] + bytes(8),
        lambda body: gzip.compress(body) + b"junk",
        lambda body: body,
    ],
    ids=["cut", "without length", "wrong sum", "followed", "not packed"],
)
def test_a_packed_file_is_whole_or_asked_for_again(server, tmp_path, polite, change):
    server.script = [answers(change=change)]
    assert fetch(server.url, tmp_path / "a", polite=polite).read_bytes() == BODY
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "encoding", "message"),
    [(206, "", "206 Partial"), (203, "", "203"), (300, "", "300"), (200, "br", "'br'"),
     (200, "gzip, gzip", "'gzip, gzip'"), (200, "x-rot13", "not decoded")],
)  # fmt: skip
def test_a_part_and_an_unknown_encoding_are_refused(
    server, tmp_path, polite, status, encoding, message
):
    server.script = [answers(status, encoding, lambda body: body[:HALF])]
    with pytest.raises(GaltoolsError, match=message):
        fetch(server.url, tmp_path / "a", polite=polite)
    assert not (tmp_path / "a").exists() and len(server.requests) == 1


def test_a_compressed_file_stays_compressed(server, tmp_path, polite):
    server.script = [compressed]
    path = fetch(server.url, tmp_path / "frame.fits.gz", polite=polite)
    assert gzip.decompress(path.read_bytes()) == BODY


def test_too_large_a_file_is_given_up(server, tmp_path, polite, monkeypatch):
    monkeypatch.setattr("galtools.ingest.download.LARGEST", HALF)
    with pytest.raises(GaltoolsError, match="larger than"):
        get(server, tmp_path, polite)
    assert len(server.requests) == 1
