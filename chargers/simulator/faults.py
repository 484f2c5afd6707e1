"""What goes wrong on request: which fault, for whom, how often, for how long.

A fault is data; where it strikes is elsewhere (`disturb` for HTTP, `commands` for stations,
`outbox` for webhooks). `share` is drawn from the seed for each occasion, or with `sticky`
once for each session, so that the same ones suffer every time.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chargers.simulator.fields import Fields
from chargers.simulator.model import Json

CALLS = ("set", "clear", "look", "list")

HTTP_KINDS = ("http_reject", "timeout", "slow", "rate_limit", "server_error", "reset")
STATION_KINDS = ("reject", "ignore_limit", "stall")


def _delay(fields: Fields) -> dict[str, Any]:
    min_s = fields.number("min_s", 0.0)
    return {"min_s": min_s, "max_s": fields.number("max_s", least=min_s)}


_READERS: Mapping[str, Callable[[Fields], Json]] = {
    "reject": lambda f: {"response_data": dict(f.mapping("response_data", {"status": "Rejected"}))},
    "ignore_limit": lambda f: {},
    "stall": lambda f: {},
    "webhook_first": lambda f: {"wait_s": f.number("wait_s", 5.0)},
    "http_reject": lambda f: {"message": f.text("message", "Request could not be processed")},
    "timeout": lambda f: {"hold_s": f.number("hold_s", 30.0), "effect": f.flag("effect")},
    "slow": lambda f: {"delay_s": f.number("delay_s")},
    "rate_limit": lambda f: {"retry_after_s": f.optional_number("retry_after_s")},
    "server_error": lambda f: {
        "code": int(f.number("code", 503, least=500, most=599)),
        "html": f.flag("html"),
        "effect": f.flag("effect"),
    },
    "reset": lambda f: {"effect": f.flag("effect")},
    "drop_webhooks": lambda f: {},
    "double_webhooks": lambda f: {"times": f.whole("times", 2, least=2)},
    "delay_webhooks": _delay,
    "reorder_webhooks": lambda f: {
        "window": f.whole("window", 5, least=2),
        "window_s": f.number("window_s", 1.0),
    },
}
KINDS = tuple(_READERS)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something a fault may strike: a call of the API or a webhook."""

    session_id: str | None = None
    station_id: str | None = None
    call: str | None = None
    webhook_type: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a fault strikes; what is None matches everyone. `type` is the start of a type."""

    session: str | None = None
    chargestation: str | None = None
    calls: frozenset[str] = frozenset()
    type: str | None = None
    share: float = 1.0
    sticky: bool = False

    def covers(self, occasion: Occasion) -> bool:
        """Everything but the share."""
        return (
            self.session in (None, occasion.session_id)
            and self.chargestation in (None, occasion.station_id)
            and (not self.calls or occasion.call in self.calls)
            and (self.type is None or (occasion.webhook_type or "").startswith(self.type))
        )

    def as_json(self) -> Json:
        wanted = {"session": self.session, "chargestation": self.chargestation, "type": self.type}
        return {
            **{name: value for name, value in wanted.items() if value is not None},
            **({"calls": sorted(self.calls)} if self.calls else {}),
            "share": self.share,
            "sticky": self.sticky,
        }


@dataclass(slots=True)
class Fault:
    id: str
    kind: str
    params: Json
    match: Match
    count: int | None = None  # None: without end
    for_s: float | None = None
    expires_s: float | None = None  # on the monotonic clock
    struck: int = 0

    @property
    def spent(self) -> bool:
        out_of_time = self.expires_s is not None and time.monotonic() >= self.expires_s
        return out_of_time or (self.count is not None and self.struck >= self.count)

    def as_json(self) -> Json:
        return {
            "id": self.id,
            "kind": self.kind,
            **self.params,
            "match": self.match.as_json(),
            "count": self.count,
            "for_s": self.for_s,
            "struck": self.struck,
            "active": not self.spent,
        }


class Faults:
    """The faults of a run, oldest first; of several that match, the oldest strikes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = random.Random(f"{seed}:faults")
        self._numbers = itertools.count(1)
        self._faults: dict[str, Fault] = {}
        self._active: list[Fault] = []

    def add(self, body: object) -> Fault:
        """The new fault, in force at once; FieldError if the body says something wrong."""
        fault = _parse(Fields(body), f"f{next(self._numbers)}")
        self._faults[fault.id] = fault
        self._active.append(fault)
        return fault

    def strike(self, kinds: Collection[str], occasion: Occasion) -> Fault | None:
        """The fault that strikes now, counted; None on almost every call."""
        if not self._active:
            return None
        self._active = [fault for fault in self._active if not fault.spent]
        matching = (fault for fault in self._active if fault.kind in kinds)
        for fault in matching:
            if fault.match.covers(occasion) and self._draws(fault, occasion):
                fault.struck += 1
                return fault
        return None

    def remove(self, fault_id: str) -> Fault | None:
        fault = self._faults.pop(fault_id, None)
        self._active = [other for other in self._active if other is not fault]
        return fault

    def clear(self) -> int:
        """Forget every fault, spent ones too; returns how many there were."""
        count = len(self._faults)
        self._faults.clear()
        self._active.clear()
        return count

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def _draws(self, fault: Fault, occasion: Occasion) -> bool:
        if fault.match.share >= 1:
            return True
        if fault.match.sticky:
            draw = random.Random(f"{self._seed}:{fault.id}:{occasion.session_id}").random()
        else:
            draw = self._rng.random()
        return draw < fault.match.share


def _parse(fields: Fields, fault_id: str) -> Fault:
    kind = fields.choice("kind", KINDS)
    params = _READERS[kind](fields)
    match = _parse_match(Fields(fields.mapping("match", {}), name="match"))
    count = fields.whole("count", least=1) if fields.has("count") else None
    for_s = fields.optional_number("for_s")
    fields.end()
    expires_s = None if for_s is None else time.monotonic() + for_s
    return Fault(fault_id, kind, params, match, count, for_s, expires_s)


def _parse_match(fields: Fields) -> Match:
    match = Match(
        session=fields.optional_text("session"),
        chargestation=fields.optional_text("chargestation"),
        calls=fields.choices("calls", CALLS),
        type=fields.optional_text("type"),
        share=fields.number("share", 1.0, most=1.0),
        sticky=fields.flag("sticky"),
    )
    fields.end()
    return match
