"""The simulator's own book: what it was asked, what it answered, what it sent and when.

Kept apart from the world on purpose: a test compares the gateway's records with these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Generic, Protocol, TypeVar

from chargers.simulator.clock import iso, iso_or_none, wall_ms
from chargers.simulator.http import BadJsonError, parse_json
from chargers.simulator.model import Json
from chargers.simulator.replay import Note


class Numbered(Protocol):
    @property
    def seq(self) -> int: ...


Entry = TypeVar("Entry", bound=Numbered)


class Log(Generic[Entry]):
    """Entries numbered from 1 without gaps, of which the last `keep` are kept."""

    def __init__(self, keep: int) -> None:
        self._entries: list[Entry] = []
        self._keep = keep
        self.count = 0  # ever appended

    def next_seq(self) -> int:
        return self.count + 1

    def append(self, entry: Entry) -> None:
        self.count += 1
        self._entries.append(entry)
        if len(self._entries) > self._keep * 1.25:
            del self._entries[: -self._keep]

    def since(self, seq: int, limit: int) -> list[Entry]:
        """Up to `limit` entries numbered higher than `seq`, oldest first."""
        start = max(seq - self.forgotten, 0)
        return self._entries[start : start + limit]

    @property
    def forgotten(self) -> int:
        return self.count - len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)


@dataclass(slots=True)
class Request:
    """One call of the API. `http_status` None: no answer, either not yet or the line was cut."""

    seq: int
    received_ms: int
    method: str
    path: str
    call: str = "other"
    session_id: str | None = None
    body: bytes = b""
    answered_ms: int | None = None
    http_status: int | None = None
    action_id: str | None = None
    fault_id: str | None = None

    def as_json(self) -> Json:
        return {
            "seq": self.seq,
            "received_at": iso(self.received_ms),
            "answered_at": iso_or_none(self.answered_ms),
            "method": self.method,
            "path": self.path,
            "call": self.call,
            "session": self.session_id,
            "body": _readable(self.body),
            "http_status": self.http_status,
            "action_id": self.action_id,
            "fault": self.fault_id,
        }


@dataclass(slots=True)
class Delivery:
    """One webhook. `body` is kept until all its copies (see `double_webhooks`) are settled."""

    seq: int
    id: str
    type: str
    created_ms: int
    subject_id: str
    station_id: str
    body: bytes | None
    state: str = "pending"  # then acked, failed, dropped or unsent
    copies: int = 1
    attempts: list[tuple[int, int | str]] = field(default_factory=list)  # status or error

    def settle(self, state: str) -> None:
        self.state = state
        self.copies -= 1
        if self.copies <= 0:
            self.body = None

    def as_json(self) -> Json:
        return {
            "seq": self.seq,
            "_id": self.id,
            "type": self.type,
            "created_at": iso(self.created_ms),
            "subject": self.subject_id,
            "chargestation": self.station_id,
            "state": self.state,
            "attempts": [{"at": iso(at_ms), "status": status} for at_ms, status in self.attempts],
        }


def _readable(body: bytes) -> object:
    """Parsed if it is JSON, otherwise the beginning of its text."""
    try:
        return parse_json(body)
    except BadJsonError:
        return body[:200].decode(errors="replace")


class Ledger:
    def __init__(self, keep: int) -> None:
        self.requests: Log[Request] = Log(keep)
        self.webhooks: Log[Delivery] = Log(keep)
        self.notes: list[Note] = []
        self.in_flight = self.max_in_flight = self.peak_per_s = 0
        self._answers: Counter[tuple[str, str]] = Counter()
        self._sent: Counter[tuple[str, str]] = Counter()  # by type and state
        self._first_ms: int | None = None
        self._last_ms: int | None = None
        self._second, self._in_second = 0, 0

    # --- requests -------------------------------------------------------------------------

    def opened(self, method: str, path: str) -> Request:
        now_ms = wall_ms()
        request = Request(self.requests.next_seq(), now_ms, method, path)
        self.requests.append(request)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self._first_ms, self._last_ms = self._first_ms or now_ms, now_ms
        self._count_second(now_ms // 1000)
        return request

    def closed(self, request: Request, http_status: int | None) -> None:
        """`http_status` None: the caller got no answer."""
        self.in_flight -= 1
        if http_status is not None:
            request.answered_ms, request.http_status = wall_ms(), http_status
        self._answers[request.call, str(http_status or "unanswered")] += 1

    def _count_second(self, second: int) -> None:
        self._in_second = self._in_second + 1 if second == self._second else 1
        self._second = second
        self.peak_per_s = max(self.peak_per_s, self._in_second)

    # --- webhooks -------------------------------------------------------------------------

    def created(self, delivery: Delivery) -> None:
        self.webhooks.append(delivery)
        self._sent[delivery.type, delivery.state] += 1

    def settled(self, delivery: Delivery, state: str) -> None:
        self._sent[delivery.type, delivery.state] -= 1
        delivery.settle(state)
        self._sent[delivery.type, state] += 1

    # --- summaries ------------------------------------------------------------------------

    def summary(self) -> Json:
        by_call: dict[str, dict[str, int]] = {}
        for (call, status), count in sorted(self._answers.items()):
            by_call.setdefault(call, {})[status] = count
        return {
            "requests": {
                "count": self.requests.count,
                "forgotten": self.requests.forgotten,
                "by_call": by_call,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
                "peak_per_s": self.peak_per_s,
                "first_at": iso_or_none(self._first_ms),
                "last_at": iso_or_none(self._last_ms),
            },
            "webhooks": self._webhook_summary(),
            "notes": [asdict(note) for note in self.notes],
        }

    def _webhook_summary(self) -> Json:
        by_type: dict[str, dict[str, int]] = {}
        totals: Counter[str] = Counter()
        for (type_, state), count in sorted(self._sent.items()):
            totals[state] += count
            if count:
                by_type.setdefault(type_, {})[state] = count
        states = ("pending", "acked", "failed", "dropped", "unsent")
        return {
            "count": self.webhooks.count,
            "forgotten": self.webhooks.forgotten,
            **{state: totals[state] for state in states},
            "by_type": by_type,
        }
