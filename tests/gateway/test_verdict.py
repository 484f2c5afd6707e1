"""The demo's verdict: kept when both books are in order, and broken by any that is not."""

import copy

import pytest
from rich.console import Console

from gateway.demo import verdict, view
from gateway.demo.story import Moment, Story

LIMIT = {"unit": "power", "value": 4200.0}

FORGOTTEN = "P1 no session forgotten"
LATE = "P1 cars that plugged in meanwhile were limited"
BOOKS = "P2, P5 the simulator's book agrees"
LEFT = "P2 no limit left behind"
WEBHOOKS = "P3 no webhook lost"
COUNTS = "P8 the report's counts add up"


def row(session, state="confirmed", reason="", *, late=False):
    return {
        "session": session,
        "state": state,
        "reason": reason,
        "confirmed": LIMIT if state == "confirmed" else None,
        "joined_late": late,
        "first_sent_at": "2026-07-01T18:00:01Z",
    }


def held(*limits, now=None):
    """A session in the simulator's book: what its station held, and what it holds."""
    return {
        "history": [{"unit": unit, "limit": limit} for unit, limit in limits],
        "limit": now,
        "max_current_a": 32,
    }


class Books:
    """What demo and verdict read: the gateway's report, and the simulator's own book."""

    def __init__(self):
        rows = [row("a"), row("b", late=True), row("c", "unreachable", "station_offline")]
        states = dict.fromkeys(verdict.SETTLED, 0)
        self.report = {
            "event": {"status": "completed"},
            "participations": rows,
            "counts": {**states, "targeted": 3, "confirmed": 2, "unreachable": 1},
        }
        self.sessions = {"a": held(("power", 4200)), "b": held(("power", 4200)), "c": held()}
        self.webhooks = {"acked": 10, "failed": 0}
        self.late = ["b"]
        # The demo's last look is its own, not the report's.
        self.last = copy.deepcopy(rows)

    def control(self, method, path):
        assert method == "GET"
        return {
            "ledger/limits": {"sessions": self.sessions},
            "ledger/limits?all=true": {"sessions": self.sessions},
            "ledger": {"webhooks": self.webhooks},
        }[path]

    def findings(self):
        story = Story(world=self, client=None)
        story.late_sessions = self.late
        event = {**self.report["event"], "counts": self.report["counts"]}
        story.moments = [Moment(60, event, self.last, 0, 0)]
        return list(verdict.findings(story, self.report))

    def broken(self):
        return {finding.promise for finding in self.findings() if not finding.kept}


def test_books_in_order_keep_every_promise():
    found = Books().findings()

    assert [finding.promise for finding in found] == [
        FORGOTTEN, LATE, BOOKS, LEFT, WEBHOOKS, COUNTS,
    ]  # fmt: skip
    assert all(finding.kept for finding in found)


def nobody_took_part(books):
    books.report["participations"] = books.last = []
    books.report["counts"] = dict.fromkeys(books.report["counts"], 0)
    books.late = []


BREAKS = [
    ("a session is pending", FORGOTTEN,
     lambda books: books.report["participations"][0].update(state="pending")),
    ("a session failed without a reason", FORGOTTEN,
     lambda books: books.report["participations"][0].update(state="failed")),
    ("a session is out of reach without a reason", FORGOTTEN,
     lambda books: books.report["participations"][2].update(reason="")),
    ("a late car is in no event", LATE, lambda books: books.late.append("d")),
    ("a late car was sent nothing", LATE,
     lambda books: books.report["participations"][1].update(first_sent_at=None)),
    ("a late car is not known as late", LATE,
     lambda books: books.report["participations"][1].update(joined_late=False)),
    ("no late car was plugged in", LATE, lambda books: books.late.clear()),
    ("a station never held what is called confirmed", BOOKS,
     lambda books: books.sessions["a"]["history"].clear()),
    ("a station held another limit", BOOKS,
     lambda books: books.sessions.update(a=held(("power", 4300)))),
    ("a station held the number in another unit", BOOKS,
     lambda books: books.sessions.update(a=held(("current", 4200)))),
    ("a confirmed session is in no book", BOOKS, lambda books: books.sessions.pop("a")),
    ("a confirmed session has no limit", BOOKS,
     lambda books: books.last[0].update(confirmed=None)),
    ("nothing was confirmed", BOOKS, lambda books: books.last.clear()),
    ("a station still holds a limit", LEFT,
     lambda books: books.sessions["c"].update(limit={"unit": "power", "limit": 4200})),
    ("a station still holds less than its amperes", LEFT,
     lambda books: books.sessions["c"].update(limit={"unit": "current", "limit": 31})),
    ("the event is not over", LEFT,
     lambda books: books.report["event"].update(status="restoring")),
    ("a webhook was given up", WEBHOOKS, lambda books: books.webhooks.update(failed=1)),
    ("no webhook was accepted", WEBHOOKS, lambda books: books.webhooks.update(acked=0)),
    ("a count is one too high", COUNTS,
     lambda books: books.report["counts"].update(confirmed=3)),
    ("a session is still counted as pending", COUNTS,
     lambda books: books.report["counts"].update(confirmed=1, pending=1)),
    ("a row is missing", COUNTS, lambda books: books.report["participations"].pop(0)),
    ("a row is there twice", COUNTS,
     lambda books: books.report["participations"].append(row("a"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("promise", "spoil"), [(p, b) for _, p, b in BREAKS], ids=[name for name, *_ in BREAKS]
)
def test_one_thing_amiss_breaks_the_promise_it_is_about(promise, spoil):
    books = Books()

    spoil(books)

    assert books.broken() == {promise}


def test_an_event_without_sessions_proves_nothing():
    books = Books()
    nobody_took_part(books)

    assert books.broken() == {FORGOTTEN, LATE, BOOKS}


def test_a_maximum_that_edrv_s_simulators_are_set_back_to_is_no_limit():
    books = Books()
    books.sessions["a"]["limit"] = {"unit": "current", "limit": 32}

    assert books.broken() == set()


def test_every_promise_s_check_is_seen_to_fail_above():
    assert {promise for _, promise, _ in BREAKS} == {f.promise for f in Books().findings()}


def test_a_broken_promise_is_shown_as_such():
    books = Books()
    books.webhooks["failed"] = 3
    console = Console(width=120)

    with console.capture() as shown:
        console.print(view.verdict_table(books.findings()))

    lines = {line.strip(" │┃") for line in shown.get().splitlines()}
    assert any("BROKEN" in line and "10 accepted, 3 given up" in line for line in lines)
    assert sum("kept" in line for line in lines) == 5
