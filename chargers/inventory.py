"""sync: read the whole fleet from eDRV and heal what webhooks missed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from django.conf import settings

from chargers import fleet, inbox, sessions
from chargers.edrv import payloads
from chargers.edrv.client import EdrvClient
from chargers.edrv.errors import EdrvError, NotFound, ProviderUnreachable
from chargers.models import Heartbeat
from chargers.sessions import Said

log = structlog.get_logger(__name__)
Found = TypeVar("Found")

SYNCED = "sync"
# eDRV's clock and ours differ, and a row may be written after the page that should have had it.
OVERLAP = timedelta(minutes=10)
SOONEST_RESYNC_S = 30
MAX_LOOKUPS = 200
# So many look-ups in a row that nobody answers: eDRV is away. With a whole time-out each, all of
# them would outlast the patience that PostgreSQL has with a connection that says nothing.
UNANSWERED_LOOKUPS = 3
ALL_THAT_WAIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Synced:
    """How many of each a sync has read."""

    locations: int
    chargestations: int
    connectors: int
    sessions: int


def sync(client: EdrvClient, *, now: datetime, everything: bool = False) -> Synced:
    """Read locations, chargestations, connectors and sessions, page by page.

    Of sessions only what changed since the last sync is asked for, unless `everything`. Raises
    EdrvError; what was read before that stays.
    """
    counts = Synced(
        locations=_take_if_readable(
            client, "locations", payloads.read_location, fleet.apply_locations
        ),
        chargestations=_sync_chargestations(client, now),
        connectors=_take_if_readable(
            client, "connectors", payloads.read_connector, fleet.apply_connectors
        ),
        sessions=_sync_sessions(client, now, everything),
    )
    _look_after_unheard(client, now)
    inbox.retry_waiting(now=now, most=ALL_THAT_WAIT)
    Heartbeat.note(SYNCED, at=now, detail=f"{counts.sessions} sessions read")
    log.info("sync.done", **asdict(counts))
    return counts


def _sync_chargestations(client: EdrvClient, now: datetime) -> int:
    def apply(found: list[payloads.ChargeStationData]) -> None:
        fleet.apply_chargestations(found, now=now)

    return _take(client.pages("chargestations"), payloads.read_chargestation, apply)


def _take_if_readable(
    client: EdrvClient,
    resource: str,
    read: Callable[[Any], Found],
    apply: Callable[[list[Found]], Any],
) -> int:
    """Chargestations name their location, and mostly have their connectors inside them: where this
    list cannot be read, be it that there is none, the rest is read all the same. What is the
    trouble of all lists, the next one meets and raises."""
    try:
        return _take(client.pages(resource), read, apply)
    except EdrvError as error:
        log.warning("sync.list_unread", resource=resource, error=str(error))
        return 0


def _sync_sessions(client: EdrvClient, now: datetime, everything: bool) -> int:
    """Asks for what changed since the last sync; an eDRV that knows no such filter sends all."""
    last = None if everything else Heartbeat.objects.filter(name=SYNCED).first()
    filters = {"updatedAt[$gte]": _iso(last.at - OVERLAP)} if last else {}

    def apply(found: list[payloads.SessionData]) -> None:
        missing = sessions.apply([Said(one, one.updated_at or now) for one in found], now=now)
        if missing:
            log.warning("sync.chargestation_unknown", sessions=sorted(missing)[:10])

    return _take(client.pages("sessions", filters), payloads.read_session, apply)


def _look_after_unheard(client: EdrvClient, now: datetime) -> None:
    """Open sessions nobody has spoken of for long: their end may have been missed. One that cannot
    be read must not keep the others from being read again. Where eDRV is away or wants to be left
    alone the rest waits for the next sync: the lists have been read, so this one has not failed."""
    unanswered = 0
    for external_id in sessions.long_unheard(now=now, most=MAX_LOOKUPS):
        try:
            _look_after(client, external_id, now)
            unanswered = 0
        except EdrvError as error:
            log.warning("sync.session_unread", session=external_id, error=str(error))
            unanswered = unanswered + 1 if isinstance(error, ProviderUnreachable) else 0
            if unanswered == UNANSWERED_LOOKUPS or error.http_status in (401, 429):
                return


def _look_after(client: EdrvClient, external_id: str, now: datetime) -> None:
    try:
        sessions.apply([Said(client.get_session(external_id), now)], now=now)
    except NotFound:
        sessions.forget([external_id], now=now)


def _take(
    pages: Iterable[list[Any]], read: Callable[[Any], Found], apply: Callable[[list[Found]], Any]
) -> int:
    count = 0
    for page in pages:
        found = list(_readable(page, read))
        apply(found)
        count += len(found)
    return count


def _readable(page: Iterable[Any], read: Callable[[Any], Found]) -> Iterator[Found]:
    for item in page:
        try:
            yield read(item)
        except payloads.Unreadable as error:
            log.warning("sync.unreadable", error=str(error))


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def note_return(*, now: datetime) -> None:
    """The gateway is new or was away. Nobody knows what it has missed, so a sync is due; and
    webhooks are not overdue before they had their time to come."""
    Heartbeat.note(inbox.RETURNED, at=now)


def is_sync_due(*, now: datetime) -> bool:
    """Every EDRV_SYNC_INTERVAL_S; at once when the gateway has returned; sooner while webhooks
    are silent or speak of what is unknown."""
    last = Heartbeat.objects.filter(name=SYNCED).first()
    if last is None or Heartbeat.objects.filter(name=inbox.RETURNED, at__gt=last.at).exists():
        return True
    age_s = (now - last.at).total_seconds()
    if age_s >= settings.EDRV_SYNC_INTERVAL_S:
        return True
    is_wanted = inbox.is_silent(now=now) or inbox.is_anything_waiting(now=now)
    return age_s >= SOONEST_RESYNC_S and is_wanted
