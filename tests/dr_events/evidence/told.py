"""An event whose figures are known, and its package."""

from __future__ import annotations

import contextlib
import io
from datetime import timedelta
from pathlib import Path

from chargers.audit import Actor
from chargers.models import MeterReading, Session
from dr_events import exports, verify
from dr_events.models import Event
from tests.dr_events.story import accept, declare, meter, steer
from tests.fleet import NOW, later, make_connector, make_session, make_site, make_station

AUDITOR = Actor("user:auditor", "test")


def metered(session: Session, watts: float, start_s: float, end_s: float, *, every_s=30) -> None:
    """Readings of a constant draw from one second of the story to another, both included."""
    MeterReading.objects.bulk_create(
        MeterReading(session=session, metered_at=later(at_s), power_w=watts)
        for at_s in range(int(start_s), int(end_s) + 1, every_s)
    )


def told_event(**changes) -> tuple[Event, Session, Session]:
    """Twenty minutes at 4.2 kW for a car of 11 kW that complies and one that is opted out of
    everything by its exemption; restored, and an hour later."""
    site = make_site(feeder="F12", name="=HYPERLINK(1)", timezone="Europe/Berlin")
    session = make_session(make_connector(make_station(site)))
    exempt = make_session(exempt=True)
    metered(session, 11_000.0, -1800, 0)
    event = declare(external_id="F12-0142", duration="PT20M", **changes)
    accept(1)
    metered(session, 4_000.0, 1, 1201)
    meter(session, 4_000.0, 30)
    steer(1200)
    accept(1202)
    metered(session, 11_000.0, 1203, 1203 + 3660)
    event.refresh_from_db()
    return event, session, exempt


def package_of(event: Event, path: Path, *, after_s: float = 7200) -> Path:
    """The event's package as it is exported two hours after its start."""
    order_at = NOW + timedelta(seconds=after_s)
    with path.open("wb") as file:
        file.writelines(exports.take(event, "package", actor=AUDITOR, now=order_at).made)
    return path


def verified(path: Path, *words: str) -> tuple[int, str]:
    """The verifier's exit status, and what it says."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = verify.main([str(path), *words])
    return status, out.getvalue()
