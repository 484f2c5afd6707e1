"""The line before the webhooks' view."""

import json
import threading

import pytest

from gateway.webhook_door import PATH, Shedding
from tests.waiting import wait_until


class Busy:
    """An application that answers when it is told to, and counts who is inside."""

    def __init__(self):
        self.may_answer = threading.Event()
        self.inside = self.most_inside = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.may_answer.wait(30)
        with self.lock:
            self.inside -= 1
        start_response("200 OK", [])
        return [b""]


class Broken:
    def __call__(self, environ, start_response):
        raise RuntimeError("no")


def call(application, path=PATH):
    said = {}

    def start_response(status, headers):
        said.update(status=status, headers=dict(headers))

    body = b"".join(application({"PATH_INFO": path}, start_response))
    return said["status"], said["headers"], body


@pytest.fixture
def busy():
    return Busy()


@pytest.fixture
def crowd(busy):
    """Five in line: nobody else fits."""
    line = Shedding(busy, places=5)
    answers = []
    callers = [threading.Thread(target=lambda: answers.append(call(line)[0])) for _ in range(5)]
    for caller in callers:
        caller.start()
    wait_until(lambda: busy.inside == 5)
    yield line
    busy.may_answer.set()
    for caller in callers:
        caller.join()
    assert answers == ["200 OK"] * 5


def test_who_comes_when_the_line_is_full_is_told_at_once_to_come_again(crowd):
    status, headers, body = call(crowd)

    assert status == "503 Service Unavailable"
    assert headers["Retry-After"] == "2"
    assert headers["Content-Length"] == str(len(body))
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (503, "overloaded")


def test_nobody_else_stands_in_that_line(crowd, busy):
    threading.Timer(0.2, busy.may_answer.set).start()

    assert call(crowd, "/health/live/")[0] == "200 OK"


def test_a_place_in_line_is_free_again_whatever_became_of_it():
    line = Shedding(Broken(), places=1)

    for _ in range(3):
        with pytest.raises(RuntimeError):
            call(line)
