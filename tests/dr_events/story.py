"""An event's story told by hand: declare, let the loop turn, let stations answer."""

from __future__ import annotations

from typing import Any

from chargers import claims, sessions, settlement
from chargers.audit import Actor
from chargers.edrv.calls import Endpoint
from chargers.edrv.payloads import EnergyReport, SessionData
from chargers.models import Attempt, Command, Session
from chargers.retries import after_taken
from chargers.sessions import Said
from chargers.settlement import Answer, Move
from dr_events import intake, opt_outs, reconciliation
from dr_events.models import Event, OptOut, Participation
from tests.fleet import action, later

OPERATOR = Actor("user:operator", "test")
ENDPOINT = Endpoint("http://127.0.0.1:1", "key")


def declaration(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Feeder F12 overload",
        "limit": {"kind": "per_session", "unit": "power", "value": 4200},
        "targets": [{"type": "feeder", "value": "F12"}],
        **changes,
    }


def cap(watts: float, kind: str = "per_event") -> dict[str, Any]:
    """A limit that sessions share: `per_event`, `per_site` or `relief`."""
    return {"kind": kind, "unit": "power", "value": watts}


def declare(*, at: float = 0, **changes: Any) -> Event:
    """Declare, and let the loop turn."""
    declared = intake.declare(declaration(**changes), actor=OPERATOR, now=later(at))
    steer(at)
    declared.event.refresh_from_db()
    return declared.event


def steer(at: float) -> None:
    reconciliation.steer(clock=lambda: later(at))


def send(at: float) -> list[claims.Claim]:
    """What a dispatcher does: claim everything that is due, and have eDRV take it."""
    now = later(at)
    claimed = claims.claim(1000, endpoint=ENDPOINT, now=now, lease_until=later(at + 10))
    for one in claimed:
        Attempt.objects.filter(pk=one.attempt_id).update(
            outcome="requested", action_id=f"action-{one.attempt_id}", sent_at=now
        )
        Command.objects.filter(pk=one.command_id, first_sent_at=None).update(first_sent_at=now)
    settlement.advance(
        [Move(one.command_id, one.number, after_taken(deadline_s=60)) for one in claimed], now=now
    )
    return claimed


def answer(claimed: list[claims.Claim], status: str, at: float, response_data: Any = None) -> None:
    """What the stations say to what was sent."""
    settlement.settle(
        [
            Answer(
                one.attempt_id,
                action(f"action-{one.attempt_id}", status, at=later(at),
                       response_data=response_data),
            )
            for one in claimed
        ],
        now=later(at),
    )  # fmt: skip
    steer(at)


def accept(at: float) -> None:
    """Send all that is due and have every station accept it."""
    answer(send(at), "completed", at)


def meter(session: Session, power_w: float, at: float) -> None:
    """A report of the car's draw, and what the loop makes of it."""
    report = EnergyReport(later(at), power_w, None, None, None)
    data = SessionData(session.external_id, None, None, "started", None, None, None, None, report)
    sessions.apply([Said(data, later(at))], now=later(at))
    steer(at)


def leave(session: Session, at: float) -> None:
    """The car unplugs."""
    data = SessionData(session.external_id, None, None, "ended", None, later(at), None, None, None)
    sessions.apply([Said(data, later(at))], now=later(at))
    steer(at)


def status(event: Event) -> str:
    event.refresh_from_db()
    return event.status


def part(event: Event, session: Session) -> Participation:
    return Participation.objects.get(event=event, session=session)


def held_to(session: Session) -> tuple[Any, Any]:
    """What is wanted of a session, and what its station has confirmed."""
    session.refresh_from_db()
    return session.wanted, session.confirmed


def opt_out(
    event: Event, session: Session, type_: str = "session", *, at: float, **changes: Any
) -> OptOut:
    """The session, its chargestation or its site leaves the event, and the loop turns."""
    station = session.chargestation
    thing = {"session": session, "chargestation": station, "site": station.site}[type_]
    said = {"type": type_, "value": thing.external_id, **changes}
    made = opt_outs.opt_out(event.id, said, actor=OPERATOR, now=later(at)).opt_out
    steer(at)
    return made


def rejoin(out: OptOut, at: float) -> None:
    """An opt-out is withdrawn, and the loop turns."""
    opt_outs.withdraw(out.event_id, out.pk, actor=OPERATOR, now=later(at))
    steer(at)
