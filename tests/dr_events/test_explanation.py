"""Why a session is at its limit, in words: what they say is so."""

import pytest

from dr_events import explanation, intake
from tests.dr_events.story import OPERATOR, accept, declare, steer
from tests.fleet import later, make_session

pytestmark = pytest.mark.django_db


def limit(value, kind="per_session"):
    return {"kind": kind, "unit": "power", "value": value}


def text(session, at):
    session.refresh_from_db()
    return explanation.explain(session, now=later(at)).text


IN_WORDS = [
    (
        limit(4200),
        limit(9000),
        ["asks for 9,000 W: 13.0 A at 230 V × 3 phases, 9,000 W."],
        "stays at 4,200 W",
    ),
    (
        limit(0),
        limit(4000),
        [
            "asks for 4,000 W: 5.8 A at 230 V × 3 phases, 4,000 W.",
            "AC cannot be held below 6 A, so it is 4,140 W.",
        ],
        "is paused",
    ),
    (
        limit(40, "percent"),
        limit(80, "percent"),
        [
            "asks for 80 % of what it drew when it came in, 11,000 W:",
            "8,800 W: 12.8 A at 230 V × 3 phases, 8,800 W.",
        ],
        "stays at 4,400 W",
    ),
]


@pytest.mark.parametrize(("low", "high", "asked_for", "meanwhile"), IN_WORDS)
def test_who_waits_for_a_step_upwards_is_told_what_is_asked_and_what_holds(
    low, high, asked_for, meanwhile
):
    session = make_session(power_w=11_000)
    event = declare(limit=low, below_minimum="minimum", restore={"rate_w_per_min": 100})
    accept(1)

    intake.amend(event.id, {"limit": high}, actor=OPERATOR, now=later(10))
    steer(10)

    assert text(session, 11) == " ".join(
        [
            "Feeder F12 overload (priority none)",
            *asked_for,
            "Power comes back as a slope: its step is still to come.",
            f"Until then it {meanwhile}.",
        ]
    )


def test_who_is_asked_for_less_than_ac_can_be_held_to_is_told_so():
    session = make_session()
    declare(limit=limit(4000), below_minimum="minimum")
    accept(1)

    assert text(session, 11).endswith("AC cannot be held below 6 A, so it is 4,140 W.")
