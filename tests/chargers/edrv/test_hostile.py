"""OWASP API10:2023, unsafe consumption of APIs: an eDRV that was taken over, or something on the
way that answers in its place."""

import contextlib
import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chargers.edrv import burst, client
from chargers.edrv.burst import Burst, Job
from chargers.edrv.calls import Call, Endpoint, read_action_answer
from chargers.edrv.client import EdrvClient
from chargers.edrv.errors import EdrvError, ProviderFailed, ProviderUnreachable

SESSION = {"_id": f"{7:024x}", "status": "started"}
KEY = "the-api-key"


class Hostile(BaseHTTPRequestHandler):
    """Answers as the server's `answer` does, and keeps what it was asked, and by whom."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.server.callers.add(self.client_address)
        self.server.answer(self)

    def do_POST(self):
        self.do_GET()

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        with contextlib.suppress(OSError):  # who was told too much has hung up
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Starts a server that answers so; all stop with the test."""
    running = []

    def start(answer):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
        server.daemon_threads, server.block_on_close = True, False
        server.asked, server.callers, server.answer = [], set(), answer
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def look(server, timeout_s=5.0):
    with EdrvClient(Endpoint(server.url, KEY, timeout_s=timeout_s)) as edrv:
        return edrv.get_session("s")


def send(server, timeout_s=5.0):
    """One command by the burst; its reply."""
    endpoint = Endpoint(server.url, KEY, timeout_s=timeout_s)
    with Burst(endpoint, concurrency=1) as running:
        running.submit([Job("only", Call("POST", "/x", b"{}"), time.time() + 60)])
        while not (replies := running.collect(wait_s=0.5)):
            pass
    return replies[0]


def envelope(result):
    return json.dumps({"ok": True, "result": result}).encode()


def redirect(location):
    return lambda request: request.send(302, Location=location)


@pytest.mark.parametrize("scheme_host", ["http://127.0.0.1:{port}", "//127.0.0.1:{port}"])
def test_a_redirect_to_another_host_is_not_followed_and_the_key_stays_here(serve, scheme_host):
    elsewhere = serve(lambda request: request.send(200, envelope(SESSION)))
    edrv = serve(redirect(scheme_host.format(port=elsewhere.server_port) + "/latest/meta-data"))

    with pytest.raises(ProviderFailed):
        look(edrv)
    reply = send(edrv)

    assert reply.status == 302
    with pytest.raises(EdrvError):
        read_action_answer(reply.status, reply.headers, reply.body)
    assert elsewhere.asked == []


def test_a_redirect_within_the_host_is_followed_with_the_key(serve):
    def answer(request):
        if request.path.endswith("/moved"):
            request.send(200, envelope(SESSION))
        else:
            request.send(307, Location="/moved")

    edrv = serve(answer)

    assert look(edrv).id == SESSION["_id"]
    assert edrv.asked[-1] == ("/moved", f"Bearer {KEY}")


def test_what_is_read_to_its_end_leaves_the_connection_to_the_next_call(serve):
    edrv = serve(lambda request: request.send(200, envelope(SESSION)))

    with EdrvClient(Endpoint(edrv.url, KEY)) as reader:
        for _ in range(3):
            reader.get_session("s")

    assert len(edrv.callers) == 1


def test_a_redirect_without_end_ends(serve):
    with pytest.raises(EdrvError):
        look(serve(redirect("/again")))


def test_an_answer_that_is_too_large_is_not_taken_into_memory(serve, monkeypatch):
    monkeypatch.setattr(client, "MAX_PAGE_BYTES", 100_000)
    monkeypatch.setattr(burst, "MAX_ANSWER_BYTES", 100_000)
    edrv = serve(lambda request: request.send(200, b" " * 5_000_000 + envelope(SESSION)))

    with pytest.raises(ProviderUnreachable, match="too large"):
        look(edrv)
    assert isinstance(send(edrv).error, ProviderUnreachable)


def test_an_answer_that_swells_when_unpacked_is_not_taken_into_memory(serve, monkeypatch):
    monkeypatch.setattr(client, "MAX_PAGE_BYTES", 100_000)
    monkeypatch.setattr(burst, "MAX_ANSWER_BYTES", 100_000)
    packed = gzip.compress(b" " * 50_000_000)
    edrv = serve(lambda request: request.send(200, packed, Content_Encoding="gzip"))

    with pytest.raises(ProviderUnreachable, match="too large"):
        look(edrv)
    assert isinstance(send(edrv).error, ProviderUnreachable)


def trickle(request):
    """A byte now and then, each well within the time-out, without end."""
    request.send(200, Content_Length=1_000_000)
    try:
        while True:
            request.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass


def test_an_answer_that_never_ends_is_given_up(serve):
    edrv = serve(trickle)

    with pytest.raises(ProviderUnreachable, match="too slow"):
        look(edrv, timeout_s=0.2)
    assert isinstance(send(edrv, timeout_s=0.2).error, ProviderUnreachable)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"result":' * 100_000,
        envelope("[" * 1000),
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"\xff\xfe\x00",
        b'{"ok": true, "result": ' + b"9" * 5000 + b"}",
        envelope({"_id": ["a"], "status": {"deep": [None]}}),
        b"",
    ],
    ids=["deep", "deep objects", "text", "html", "no utf-8", "huge number", "other types", "empty"],
)
def test_an_answer_that_is_no_session_is_an_error_and_nothing_worse(serve, body):
    with pytest.raises(EdrvError):
        look(serve(lambda request: request.send(200, body)))


def test_a_list_that_names_its_next_page_elsewhere_is_read_here(serve):
    elsewhere = serve(lambda request: request.send(200, envelope([])))
    page = {"ok": True, "result": [SESSION], "hasNext": True, "next": elsewhere.url}
    edrv = serve(lambda request: request.send(200, json.dumps(page).encode()))

    with EdrvClient(Endpoint(edrv.url, KEY)) as reader:
        found = list(reader.pages("sessions"))

    assert found[-1] == [SESSION]
    assert elsewhere.asked == []
