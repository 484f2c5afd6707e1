"""A session's timeline in one picture: what was metered, what was wanted, what its station has
accepted, and when each command was sent and answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from chargers.models import Attempt, Command, MeterReading, Session
from chargers.wording import limit_text, words

MOST_SHOWN = timedelta(hours=3)
SHOWN_WITHOUT_COMMANDS = timedelta(hours=1)
LEAD = timedelta(minutes=10)
MOST_READINGS = 2000
MOST_COMMANDS = 60
MOST_MARKS = 24
# From the end of a line to where nothing is drawn.
GAP_AFTER_S = 0.001
Line = dict[str, list[float | None]]


def picture_of(session: Session, *, now: datetime) -> dict[str, Any]:
    """For charts.js: three lines in kW by seconds since 1970, and marks; in three queries. Needs
    `connector__chargestation__site` at hand."""
    until = session.ended_at or now
    commands = list(Command.objects.filter(session=session).order_by("-id")[:MOST_COMMANDS])
    begins = _begins(session, commands, until)
    readings = MeterReading.objects.filter(session=session, metered_at__gte=begins)
    latest = list(
        readings.order_by("-metered_at").values_list("metered_at", "power_w")[:MOST_READINGS]
    )
    return {
        "lines": [
            metered_line(latest[::-1]),
            _stepped(session, commands[::-1], "created_at", begins, until),
            _stepped(session, commands[::-1], "accepted_at", begins, until),
        ],
        "marks": _marks(session, begins),
        "from": begins.timestamp(),
        "to": max(until, begins + timedelta(minutes=5)).timestamp(),
        "zone": session.chargestation.site.timezone,
    }


def _begins(session: Session, commands: Sequence[Command], until: datetime) -> datetime:
    """A little before the first command of the last hours; the last hour where there is none."""
    earliest = until - MOST_SHOWN
    recent = [command.created_at for command in commands if command.created_at > earliest]
    begins = min(recent) - LEAD if recent else until - SHOWN_WITHOUT_COMMANDS
    return max(begins, earliest, session.started_at or earliest)


def metered_line(readings: Iterable[tuple[datetime, float | None]]) -> Line:
    """Where nothing was heard for EDRV_WEBHOOK_SILENCE_S there is a gap."""
    at: list[float | None] = []
    kilowatts: list[float | None] = []
    for metered_at, power_w in readings:
        moment = metered_at.timestamp()
        if at and at[-1] is not None and moment - at[-1] > settings.EDRV_WEBHOOK_SILENCE_S:
            at.append(at[-1] + 1)
            kilowatts.append(None)
        at.append(moment)
        kilowatts.append(None if power_w is None else round(power_w / 1000, 3))
    return {"at": at, "kw": kilowatts}


def _stepped(
    session: Session, commands: Sequence[Command], when: str, begins: datetime, until: datetime
) -> Line:
    """A limit from each moment to the next; nothing where there is none."""
    circuit = session.circuit()
    at: list[float | None] = []
    kilowatts: list[float | None] = []
    for command in commands:
        moment: datetime | None = getattr(command, when)
        if moment is not None:
            at_s = max(moment, begins).timestamp()
            watts = circuit.watts(command.limit) if command.limit else None
            if watts is None and kilowatts and kilowatts[-1] is not None:
                # A line with a gap is drawn to its last point, so it has one where the gap begins.
                at.append(at_s)
                kilowatts.append(kilowatts[-1])
                at_s += GAP_AFTER_S
            at.append(at_s)
            kilowatts.append(None if watts is None else round(watts / 1000, 3))
    if at:
        at.append(until.timestamp())
        kilowatts.append(kilowatts[-1])
    return {"at": at, "kw": kilowatts}


def _marks(session: Session, begins: datetime) -> list[dict[str, Any]]:
    """What was sent and what the station said to it; the latest where there are many."""
    found = Attempt.objects.filter(session=session, claimed_at__gte=begins).select_related(
        "command"
    )
    marks: list[dict[str, Any]] = []
    for attempt in found.order_by("-id")[:MOST_MARKS]:
        marks += _marks_of(attempt)
    return sorted(marks, key=lambda mark: float(mark["at"]))[-MOST_MARKS:]


def _marks_of(attempt: Attempt) -> list[dict[str, Any]]:
    command, marks = attempt.command, []
    if attempt.sent_at and attempt.verb in ("set", "clear"):
        what = f"set {limit_text(command.limit)}" if command.limit else "clear"
        marks.append({"at": attempt.sent_at.timestamp(), "text": what, "kind": "pending"})
    answered_at = attempt.station_at or attempt.answered_at
    if command.accepted_at and attempt.number == command.attempts:
        marks.append(
            {"at": command.accepted_at.timestamp(), "text": "accepted", "kind": "confirmed"}
        )
    elif answered_at and attempt.outcome not in ("", "requested", "looked"):
        marks.append(
            {"at": answered_at.timestamp(), "text": words(attempt.outcome), "kind": "failed"}
        )
    return marks
