"""Lists from servers that page in their own way, and a sender that no setting can silence."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from chargers.edrv import burst
from chargers.edrv.burst import Burst, Job
from chargers.edrv.calls import Call, Endpoint
from chargers.edrv.client import EdrvClient
from chargers.edrv.errors import ProviderUnreachable

ITEMS = [{"_id": f"{number:024x}"} for number in range(45)]


class Lists(BaseHTTPRequestHandler):
    """45 sessions, 20 a page at most, as the server's `first_page` and `says` have it, at its
    `path`. A page before the first is a mistake of `before_first`."""

    def do_GET(self):
        if urlsplit(self.path).path != self.server.path:
            self.answer(404, "404: Not Found")
            return
        asked = int(parse_qs(urlsplit(self.path).query)["paginate_page"][0])
        at = (asked - self.server.first_page) * 20
        if at < 0:
            self.answer(self.server.before_first, {"ok": False, "message": "paginate_page"})
            return
        envelope = {"ok": True, "message": "", "result": ITEMS[at : at + 20]}
        if self.server.says:
            envelope |= {"hasNext": at + 20 < len(ITEMS), "hasPrevious": at > 0}
        self.answer(200, envelope)

    def answer(self, status, said):
        body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Lists) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        running.path, running.before_first = "/sessions", 400
        running.first_page, running.says = 1, False
        yield running
        running.shutdown()
        thread.join()


def ids_read_from(server):
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}", "key")
    with EdrvClient(endpoint) as client:
        return {item["_id"] for page in client.pages("sessions") for item in page}


@pytest.mark.parametrize("first_page", [0, 1])
@pytest.mark.parametrize("says", [True, False])
def test_every_item_is_read_however_a_server_pages(server, first_page, says):
    server.first_page, server.says = first_page, says

    assert ids_read_from(server) == {item["_id"] for item in ITEMS}


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_a_page_before_the_first_may_be_answered_anyhow(server, status):
    server.before_first = status

    assert ids_read_from(server) == {item["_id"] for item in ITEMS}


def test_a_list_may_be_at_a_path_with_a_slash_whatever_words_say_so(server):
    server.path = "/sessions/"

    assert ids_read_from(server) == {item["_id"] for item in ITEMS}


@pytest.mark.parametrize(
    "endpoint", [Endpoint("http://127.0.0.1:9", "key\n"), Endpoint("http://127.0.0.1:port", "key")]
)
def test_a_call_that_cannot_even_be_made_is_answered(endpoint):
    replies = replies_to(4, endpoint)

    assert sorted(reply.key for reply in replies) == [0, 1, 2, 3]
    assert all(isinstance(reply.error, ProviderUnreachable) for reply in replies)
    assert {reply.sent_at_s for reply in replies} == {None}


def replies_to(count, endpoint):
    jobs = [Job(number, Call("POST", "/x", b"{}"), time.time() + 60) for number in range(count)]
    replies = []
    with Burst(endpoint, concurrency=2) as running:
        running.submit(jobs)
        while running.outstanding:
            replies += running.collect(wait_s=0.1)
    return replies


def test_what_met_no_server_was_not_sent():
    with socket.socket() as nobody:  # bound, but nobody listens
        nobody.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{nobody.getsockname()[1]}", "key")

        [reply] = replies_to(1, endpoint)

    assert isinstance(reply.error, ProviderUnreachable)
    assert (reply.sent_at_s, reply.error.ambiguous) == (None, False)


def test_what_was_cut_off_before_its_answer_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        before_s = time.time()

        [reply] = replies_to(1, Endpoint(f"http://127.0.0.1:{server.getsockname()[1]}", "key"))

        thread.join()
    assert before_s <= reply.sent_at_s <= reply.answered_at_s
    assert reply.error.ambiguous


def test_the_effort_for_a_call_does_not_grow_while_others_wait_for_their_time(server, monkeypatch):
    begun, begin = [], burst._Lines._begin
    monkeypatch.setattr(burst._Lines, "_begin", lambda lines: begun.append(begin(lines)))
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}", "key")
    call, start_s, count = Call("GET", "/sessions?paginate_page=1"), time.time(), 200

    with Burst(endpoint, concurrency=20) as running:
        running.submit([Job(n, call, start_s + 60, start_s + n / 200) for n in range(count)])
        while running.outstanding:
            running.collect(wait_s=0.1)

    assert len(begun) < 10 * count
