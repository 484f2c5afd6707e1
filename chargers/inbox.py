"""Applying stored webhooks: in batches, each once, in whatever order they came.

A delivery and its effect are one transaction. What speaks of something unknown waits until that
is known; what cannot be applied at all is set aside as failed with the reason, and never holds
up the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from chargers import counters, fleet, sessions, settlement, sql
from chargers.edrv import payloads
from chargers.edrv.payloads import Action, ActionStatus, Delivery
from chargers.fleet import Online
from chargers.models import Heartbeat, Session, WebhookDelivery
from chargers.sessions import Said
from chargers.settlement import Answer

log = structlog.get_logger(__name__)
Read = TypeVar("Read")

BATCH = 1000
# A batch costs much the same whether it is of ten or of a hundred, so they are let come together,
# for longer where many are coming.
GATHER_S = 0.05
GATHER_MANY_S = 0.2
MANY = 50
# After the last delivery the applier stays for a moment: the next one rarely comes alone.
LINGER_S = 0.25

# How many of those that wait are looked after each second, and for how long.
RETRIED_AT_ONCE = 1000
WAITS_FOR = timedelta(days=1)
# How long a delivery about an unknown chargestation calls for a sync before its time.
LOOKED_FOR = timedelta(minutes=10)

# Since when the gateway is there to hear anything: it is new, or was away.
RETURNED = "returned"

State = WebhookDelivery.State


@dataclass(frozen=True, slots=True)
class Stored:
    """One pending row, read."""

    id: int
    received_at: datetime
    delivery: Delivery

    @property
    def said_at(self) -> datetime:
        """eDRV's own time; ours where it says none, or one that is still to come: believed, it
        would outdate what is said until then."""
        said_at = self.delivery.created_at or self.received_at
        is_to_come = said_at > self.received_at + settlement.MAX_CLOCK_AHEAD
        return self.received_at if is_to_come else said_at


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a delivery."""

    id: int
    state: str
    waiting_for: str = ""
    note: str = ""


def drain() -> int:
    """Apply pending deliveries until none comes any more; returns how many. One worker at a time
    does this: a second one finds the lock taken and leaves."""
    with sql.only_one("inbox") as had:
        return _drain() if had else 0


def _drain() -> int:
    count, give_up_at = 0, time.monotonic() + LINGER_S
    while time.monotonic() < give_up_at:
        applied = apply_batch(now=timezone.now())
        if applied:
            count, give_up_at = count + applied, time.monotonic() + LINGER_S
        else:
            # An answer that was just being recorded when its webhook was looked at.
            retry_waiting(now=timezone.now())
        if applied < BATCH:
            time.sleep(GATHER_MANY_S if applied > MANY else GATHER_S)
    return count


def apply_batch(*, now: datetime, most: int = BATCH) -> int:
    """Apply up to `most` pending deliveries, in one transaction; returns how many it took."""
    try:
        with transaction.atomic():
            stored = _take(most)
            _settle_fates(_apply(stored, now), now)
            return len(stored)
    except Exception as error:
        # Whatever it was: one by one it shows whether any delivery is to blame.
        log.warning("inbox.batch_failed", error=repr(error), exc_info=True)
        return _apply_one_by_one(most, now)


def _apply_one_by_one(most: int, now: datetime) -> int:
    """A batch broke: find the delivery that broke it, and set it aside."""
    with transaction.atomic():
        stored = _take(most)
        for one in stored:
            try:
                with transaction.atomic():
                    _settle_fates(_apply([one], now), now)
            except (OperationalError, InterfaceError):
                # The database's trouble, not the delivery's: it stays pending.
                raise
            except Exception as error:
                log.exception("inbox.delivery_failed", delivery=one.id, type=one.delivery.type)
                _settle_fates([Fate(one.id, State.FAILED, note=repr(error)[:200])], now)
        return len(stored)


def _take(most: int) -> list[Stored]:
    return [
        Stored(
            row["id"],
            row["received_at"],
            payloads.read_delivery(payloads.parse(bytes(row["body"]))),
        )
        for row in sql.rows(_PENDING, [most])
    ]


def _apply(stored: Sequence[Stored], now: datetime) -> list[Fate]:
    kinds: dict[Kind, list[Stored]] = {kind: [] for kind in Kind}
    for one in stored:
        kinds[kind_of(one.delivery)].append(one)
    unreadable_said, said = _read_each(kinds[Kind.SESSION], _read_session)
    unreadable_actions, actions = _read_each(kinds[Kind.ACTION], _read_action)
    unreadable_changes, changes = _read_each(kinds[Kind.STATION], _read_online)
    attempts = _attempts_by_action([action.id for _, action in actions])
    answered = [attempts[a.id] for _, a in actions if a.is_final and a.id in attempts]
    _lock_sessions(said, answered, changes)
    return [
        *unreadable_said,
        *unreadable_actions,
        *unreadable_changes,
        *_apply_stations(changes, now),
        *_apply_sessions(said, now),
        *_apply_actions(actions, attempts, now),
        # Last, since connectors are locked after their stations, of which answers teach.
        *_apply_connectors(kinds[Kind.CONNECTOR]),
        *(Fate(one.id, State.IGNORED, note="not of our business") for one in kinds[Kind.OTHER]),
    ]


def _lock_sessions(
    said: Sequence[tuple[Stored, Said]],
    answered: Sequence[dict[str, int]],
    changes: Sequence[tuple[Stored, Online]],
) -> None:
    """All of them at once, those at stations that come or go included: a second lock later on
    would be out of order. That is why an action which becomes known only now has to wait for the
    next time. That one was requested changes nothing."""
    named = [words.session.id for _, words in said]
    numbered = [attempt["session_id"] for attempt in answered]
    stations = [change.chargestation_id for _, change in changes]
    if named or numbered or stations:
        sql.run(_LOCK_SESSIONS, [named, numbered, stations])


class Kind(StrEnum):
    ACTION = "action"
    SESSION = "session"
    STATION = "station"
    CONNECTOR = "connector"
    OTHER = "other"


def kind_of(delivery: Delivery) -> Kind:
    """What a delivery speaks of, by its type. eDRV may add types at any time."""
    subject, _, event = delivery.type.partition(".")
    if "set_power_limit" in event or "clear_power_limit" in event:
        return Kind.ACTION if subject == "session" else Kind.OTHER
    if delivery.type in ("chargestation.online", "chargestation.offline"):
        return Kind.STATION
    if delivery.type.startswith("chargestation.connector_status"):
        return Kind.CONNECTOR
    return Kind.SESSION if subject == "session" and event in SESSION_EVENTS else Kind.OTHER


SESSION_EVENTS = {
    "created", "started", "updated", "ended", "cancelled", "start_failure", "stop_failure",
    "energy_report",
}  # fmt: skip


def _apply_actions(
    actions: Sequence[tuple[Stored, Action]],
    attempts: Mapping[str, dict[str, int]],
    now: datetime,
) -> list[Fate]:
    settlement.settle(
        [Answer(attempts[a.id]["id"], a) for a in _last_words(actions) if a.id in attempts],
        now=now,
        are_locked=True,
    )
    return [_applied_or_waiting(one.id, a.id in attempts, a.id) for one, a in actions]


def _read_action(one: Stored) -> Action:
    return payloads.read_action(one.delivery.data, webhook_type=one.delivery.type)


WEIGHTS = {ActionStatus.REQUESTED: 0, ActionStatus.FAILED: 1, ActionStatus.COMPLETED: 2}


def _last_words(actions: Sequence[tuple[Stored, Action]]) -> list[Action]:
    """One word an action, the same however they are batched: that it was completed counts most,
    as in `settlement`, and that it was requested least."""
    ordered = sorted(actions, key=lambda pair: WEIGHTS[pair[1].status])
    return list({action.id: action for _, action in ordered}.values())


def _attempts_by_action(action_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """The `id` and `session_id` of the attempts behind these actions."""
    if not action_ids:
        return {}
    found = sql.rows(_ATTEMPTS, [list(action_ids)])
    return {row.pop("action_id"): row for row in found}


def _apply_sessions(said: Sequence[tuple[Stored, Said]], now: datetime) -> list[Fate]:
    missing = sessions.apply([words for _, words in said], now=now)
    return [
        _applied_or_waiting(
            one.id, words.session.id not in missing, missing.get(words.session.id, "")
        )
        for one, words in said
    ]


def _read_session(one: Stored) -> Said:
    session = payloads.read_session(one.delivery.data, webhook_type=one.delivery.type)
    return Said(session, one.said_at)


def _apply_stations(changes: Sequence[tuple[Stored, Online]], now: datetime) -> list[Fate]:
    if not changes:
        return []
    known = set(sql.texts(_KNOWN_STATIONS, [[change.chargestation_id for _, change in changes]]))
    fleet.apply_online(
        [change for _, change in changes if change.chargestation_id in known], now=now
    )
    return [
        _applied_or_waiting(one.id, change.chargestation_id in known, change.chargestation_id)
        for one, change in changes
    ]


def _read_online(one: Stored) -> Online:
    data = one.delivery.data
    nested = data.get("chargestation") if isinstance(data, Mapping) else None
    station_id = payloads.reference(nested) or payloads.reference(data)
    if station_id is None:
        raise payloads.Unreadable("no chargestation")
    return Online(station_id, one.delivery.type.endswith(".online"), one.said_at)


def _apply_connectors(stored: Sequence[Stored]) -> list[Fate]:
    fates, statuses = _read_each(sorted(stored, key=lambda one: one.said_at), _read_statuses)
    if statuses:
        fleet.apply_connector_statuses(
            {connector: status for _, said in statuses for connector, status in said.items()}
        )
    return fates + [Fate(one.id, State.APPLIED) for one, _ in statuses]


def _read_statuses(one: Stored) -> dict[str, str]:
    """No sample of this webhook is published: the data may be the connector, name it, or be the
    chargestation with its connectors."""
    data = one.delivery.data
    if not isinstance(data, Mapping):
        raise payloads.Unreadable("no connector")
    inside = data.get("connectors")
    found = inside if isinstance(inside, list) else [data]
    return {
        connector_id: item["status"]
        for item in found
        if isinstance(item, Mapping) and isinstance(item.get("status"), str)
        if (connector_id := payloads.reference(item.get("connector") or item))
    }


def _read_each(
    stored: Sequence[Stored], read: Callable[[Stored], Read]
) -> tuple[list[Fate], list[tuple[Stored, Read]]]:
    """What could be read, and the fates of what could not."""
    fates, found = [], []
    for one in stored:
        try:
            found.append((one, read(one)))
        except payloads.Unreadable as error:
            fates.append(Fate(one.id, State.FAILED, note=str(error)))
    return fates, found


def _applied_or_waiting(delivery_id: int, is_known: bool, unknown_id: str) -> Fate:
    if is_known:
        return Fate(delivery_id, State.APPLIED)
    return Fate(delivery_id, State.WAITING, waiting_for=unknown_id)


def _settle_fates(fates: Sequence[Fate], now: datetime) -> None:
    counters.count_each("webhook_applied", (fate.state for fate in fates))
    records = [(fate.id, fate.state, fate.waiting_for, fate.note) for fate in fates]
    sql.run(_SETTLE, [now, *sql.columns(records, 4)])


def retry_waiting(*, now: datetime, most: int = RETRIED_AT_ONCE) -> int:
    """Deliveries whose action, chargestation or session has become known are pending again, the
    newest first; those that waited for a day speak of somebody else's."""
    sql.run(_GIVE_UP_WAITING, {"now": now, "before": now - WAITS_FOR})
    return sql.run(_RETRY_WAITING, [most])


def is_anything_waiting(*, now: datetime) -> bool:
    """Whether deliveries have begun to speak of chargestations that a sync might find."""
    return WebhookDelivery.objects.filter(
        state=State.WAITING,
        received_at__gt=now - LOOKED_FOR,
        type__regex=r"^(session\.[a-z_]+|chargestation\..*)$",
    ).exists()


def last_received_at() -> datetime | None:
    """When the latest webhook was stored; None before the first."""
    return WebhookDelivery.objects.order_by("-id").values_list("received_at", flat=True).first()


def is_silent(*, now: datetime) -> bool:
    """Whether webhooks are overdue: cars are charging, and none of their reports (every 30 s)
    came within EDRV_WEBHOOK_SILENCE_S, all of which the gateway was there to hear them. Never
    silent is who has nothing to say."""
    overdue_from = now - timedelta(seconds=settings.EDRV_WEBHOOK_SILENCE_S)
    last = last_received_at()
    if last is not None and last > overdue_from:
        return False
    if Heartbeat.objects.filter(name=RETURNED, at__gt=overdue_from).exists():
        return False
    return Session.objects.filter(
        status=Session.Status.STARTED, ended_at=None, started_at__lt=overdue_from
    ).exists()


_PENDING = """
    SELECT id, received_at, body FROM chargers_webhookdelivery
     WHERE state = 'pending' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""

_LOCK_SESSIONS = """
    SELECT id FROM chargers_session
     WHERE external_id = ANY(%s) OR id = ANY(%s)
        OR (ended_at IS NULL AND chargestation_id = ANY(ARRAY(
            SELECT id FROM chargers_chargestation WHERE external_id = ANY(%s))))
     ORDER BY id FOR NO KEY UPDATE
"""

_ATTEMPTS = """
    SELECT action_id, id, session_id FROM chargers_attempt
     WHERE action_id = ANY(%s) AND verb IN ('set', 'clear')
"""

_KNOWN_STATIONS = """
    SELECT external_id FROM chargers_chargestation WHERE external_id = ANY(%s)
"""

_SETTLE = """
    UPDATE chargers_webhookdelivery AS delivery
       SET state = fate.state, waiting_for = fate.waiting_for, note = fate.note, applied_at = %s
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])
        AS fate (id, state, waiting_for, note)
     WHERE delivery.id = fate.id
"""

# By index for each that waits, whatever the tables have grown to. Each looks only where it would
# be applied, by its type as `kind_of` reads it: what is known elsewhere would have it turn for
# ever.
_RETRY_WAITING = """
    UPDATE chargers_webhookdelivery AS delivery SET state = 'pending'
      FROM (SELECT id, waiting_for AS key FROM chargers_webhookdelivery
             WHERE state = 'waiting' ORDER BY id DESC LIMIT %s) AS waiting
     WHERE delivery.id = waiting.id AND delivery.state = 'waiting'
       AND CASE
           WHEN delivery.type ~ '^session[.].*(set|clear)_power_limit' THEN
              (SELECT id FROM chargers_attempt WHERE action_id = key LIMIT 1) IS NOT NULL
           WHEN delivery.type LIKE 'chargestation.%%' THEN
              (SELECT id FROM chargers_chargestation WHERE external_id = key) IS NOT NULL
           ELSE
              (SELECT id FROM chargers_chargestation WHERE external_id = key) IS NOT NULL
           OR (SELECT id FROM chargers_connector WHERE external_id = key) IS NOT NULL
           OR (SELECT id FROM chargers_session WHERE external_id = key) IS NOT NULL END
"""

_GIVE_UP_WAITING = """
    UPDATE chargers_webhookdelivery
       SET state = 'ignored', note = 'speaks of nothing that became known within a day',
           applied_at = %(now)s
     WHERE state = 'waiting' AND received_at < %(before)s
"""
