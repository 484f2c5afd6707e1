"""What was ordered of a session whose station refused it for good: until nothing was wanted, and no
longer."""

import pytest

from dr_events import intake
from dr_events.evidence.gathering import terms_of
from dr_events.evidence.production import Production
from dr_events.evidence.tables import INTERVALS
from dr_events.models import Event
from tests.dr_events.evidence.told import metered, package_of, verified
from tests.dr_events.story import OPERATOR, answer, part, send, steer
from tests.fleet import later, make_session

LIMIT = {"kind": "per_session", "unit": "power", "value": 4200}
# 20 minutes at 4.2 kW, 20 minutes of nothing, 20 minutes again.
STEPS = {
    "name": "In two steps",
    "starts_at": later(0).isoformat(),
    "targets": [{"type": "feeder", "value": "F12"}],
    "intervals": [
        {"duration": "PT20M", "limit": LIMIT},
        {"starts_at": later(2400).isoformat(), "duration": "PT20M", "limit": LIMIT},
    ],
}


def refused(session, start_s: int) -> None:
    """Every attempt of the next minutes is refused, until none is made any more."""
    for at_s in range(start_s, start_s + 300, 20):
        answer(send(at_s), "failed", at_s, {"status": "Rejected"})
    assert session.commands.first().state == "rejected"


def told_event():
    """Refused in both steps, by a car that draws 11 kW all along; and half an hour after it."""
    session = make_session()
    metered(session, 11_000.0, -1800, 5400)
    event = intake.declare(STEPS, actor=OPERATOR, now=later(0)).event
    steer(0)
    refused(session, 1)
    steer(1200)
    steer(2400)
    refused(session, 2401)
    steer(3600)
    return Event.objects.get(pk=event.pk), session


def intervals_of(event):
    terms = terms_of(event, now=later(5400))
    rows = Production(event, terms, lambda _: None).rows()
    return [row for table, row in rows if table is INTERVALS]


@pytest.mark.django_db
def test_nothing_is_ordered_in_a_gap_and_after_the_event():
    event, session = told_event()
    assert (part(event, session).state, event.status) == ("failed", "completed")

    ordered = {row.starts_at: (row.limit_w, row.ordered_w) for row in intervals_of(event)}

    for at_s in range(0, 5400, 300):
        in_the_event = at_s < 3600
        held = at_s < 1200 or 2400 <= at_s < 3600
        nothing = (None, 0.0 if in_the_event else None)
        assert ordered[later(at_s)] == ((4200.0, 6800.0) if held else nothing), at_s


@pytest.mark.django_db(transaction=True)
def test_its_package_is_verified(tmp_path):
    event, _ = told_event()

    status, said = verified(package_of(event, tmp_path / "package.zip"))

    assert status == 0, said
