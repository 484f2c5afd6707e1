"""How much an event orders, over REST: every kind, in steps, by chance, and back as a slope."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chargers.electricity import Limit, Unit
from chargers.models import AuditEntry
from dr_events import intake
from dr_events.models import Event, EventInterval
from tests.clients import problem
from tests.dr_events.story import OPERATOR, accept, cap, declaration, declare, held_to, meter, steer
from tests.fleet import FOUR_KW, NOW, later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

AMOUNTS = [
    {"kind": "per_session", "unit": "power", "value": 4200},
    {"kind": "per_session", "unit": "current", "value": 6.5},
    {"kind": "percent", "unit": "power", "value": 50},
    {"kind": "percent", "unit": "current", "value": 50},
    {"kind": "per_site", "unit": "power", "value": 22_000},
    {"kind": "per_event", "unit": "power", "value": 120_000},
    {"kind": "relief", "unit": "power", "value": 5_000},
]
# What a cap cannot have.
OF_EACH = {"below_minimum": "minimum", "randomize_start": "PT5M"}


def limit(value, kind="per_session"):
    return {"kind": kind, "unit": "power", "value": value}


def step(value, kind="per_session", **fields):
    return {**fields, "limit": limit(value, kind)}


def stepped(*intervals, **changes):
    """A declaration with steps instead of a limit."""
    body = declaration(intervals=list(intervals), **changes)
    del body["limit"]
    return body


def in_an_hour():
    return (timezone.now() + timedelta(hours=1)).replace(microsecond=0)


def text(time):
    return time.isoformat().replace("+00:00", "Z")


def read(api, event):
    return api.get(f"events/{event['id']}/").json()


def watts_of(*sessions):
    return [wanted and wanted.value for wanted, _ in map(held_to, sessions)]


def amend(event, at, **changes):
    """Amend, and let the loop turn."""
    intake.amend(event.id, changes, actor=OPERATOR, now=later(at))
    steer(at)


# --- declared and read back ----------------------------------------------------------------


@pytest.mark.parametrize("amount", AMOUNTS)
def test_every_kind_is_declared_and_read_back(api, amount):
    declared = api.post("events/", declaration(limit=amount))

    assert declared.status_code == 201
    assert declared.json()["limit"] == {**amount, "paused": False}
    assert read(api, declared.json())["limit"] == {**amount, "paused": False}
    assert declared.json()["intervals"] == []


@pytest.mark.parametrize("kind", ["per_session", "percent", "per_site", "per_event"])
def test_nothing_of_any_kind_is_a_pause_but_a_relief_of_nothing_is_none(api, kind):
    said = [api.post("events/", declaration(limit=limit(0, of))).json() for of in (kind, "relief")]

    assert [event["limit"]["paused"] for event in said] == [True, False]


def test_what_is_not_said_is_at_its_most_careful(api):
    event = api.post("events/", declaration()).json()

    assert (event["below_minimum"], event["restore"], event["reference"]) == ("pause", None, None)
    assert event["randomize_start"] in (None, "P0D", "PT0S")


def test_chance_and_slope_are_read_back(api):
    terms = {
        "below_minimum": "minimum", "randomize_start": "-PT5M",
        "restore": {"rate_w_per_min": 500, "random_share": 0.2},
    }  # fmt: skip

    event = api.post("events/", declaration(starts_at=text(in_an_hour()), **terms)).json()

    assert {name: event[name] for name in terms} == terms
    assert read(api, event) == event


def test_a_slope_without_chance_has_none(api):
    event = api.post("events/", declaration(restore={"rate_w_per_min": 500})).json()

    assert event["restore"] == {"rate_w_per_min": 500, "random_share": 0}


def test_steps_are_read_back_with_their_times(api):
    start = in_an_hour()
    body = stepped(
        step(80_000, "per_event", duration="PT15M"),
        step(40_000, "per_event", duration="PT15M"),
        step(60_000, "per_event", starts_at=text(start + timedelta(minutes=40)), duration="PT20M"),
        starts_at=text(start),
    )

    event = api.post("events/", body).json()

    minutes = [start + timedelta(minutes=number) for number in (0, 15, 30, 40, 60)]
    said = [text(time) for time in minutes]
    assert [(one["starts_at"], one["ends_at"]) for one in event["intervals"]] == [
        (said[0], said[1]), (said[1], said[2]), (said[3], said[4]),
    ]  # fmt: skip
    assert [one["limit"]["value"] for one in event["intervals"]] == [80_000, 40_000, 60_000]
    assert event["limit"] == {**limit(80_000, "per_event"), "paused": False}
    assert (event["starts_at"], event["ends_at"]) == (said[0], said[4])
    assert read(api, event) == event


def test_the_last_step_goes_on_to_the_end(api):
    endless = api.post("events/", stepped(step(4000, duration="PT15M"), step(6000))).json()
    start = in_an_hour()
    ended = api.post(
        "events/",
        stepped(step(4000, duration="PT15M"), step(6000), starts_at=text(start), duration="PT1H"),
    ).json()

    assert (endless["ends_at"], endless["intervals"][1]["ends_at"]) == (None, None)
    assert ended["intervals"][1]["ends_at"] == text(start + timedelta(hours=1))


def test_a_single_step_is_enough(api):
    event = api.post("events/", stepped(step(4000, duration="PT15M"))).json()

    assert len(event["intervals"]) == 1
    assert event["ends_at"] is not None


@pytest.mark.parametrize("amount", AMOUNTS)
def test_the_same_amount_again_is_the_same_event_and_another_is_not(api, amount):
    key = {"Idempotency-Key": f"{amount['kind']}-1"}
    first = api.post("events/", declaration(limit=amount), **key)
    again = api.post("events/", declaration(limit=amount), **key)
    other = api.post("events/", declaration(limit={**amount, "value": 7}), **key)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert set(problem(other, 409)) == {"Idempotency-Key"}
    assert Event.objects.count() == 1


def test_a_relief_of_more_than_is_drawn_is_accepted_and_flagged_with_the_figure(api):
    make_session(power_w=11_000.0)

    response = api.post("events/", declaration(limit=limit(15_000, "relief")))

    assert response.status_code == 201
    assert response.json()["warnings"] == [
        {
            "code": "relief_unreachable",
            "detail": "A relief of 15,000 W is asked for; the scope draws 11,000 W, 4,000 W less.",
        }
    ]
    steer((timezone.now() - NOW).total_seconds())
    assert read(api, response.json())["warnings"] == response.json()["warnings"]


def test_a_relief_says_what_it_is_counted_from(api):
    make_session(power_w=11_000.0)
    make_session(power_w=None, metered_at=None)

    event = declare(limit=limit(4_000, "relief"))

    found = api.get(f"events/{event.id}/").json()
    assert found["reference"] == {"power_w": 11_000, "sessions": 2, "unmetered": 1}
    assert found["warnings"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"intervals": [step(1, duration="PT1M"), step(-1)]}, "intervals.1.limit.value"),
        (
            {"intervals": [step(1, duration="PT1M"), step(1, starts_at="2026-07-01T18:00:00Z")]},
            "intervals.1.starts_at",
        ),
        ({"intervals": [step(1, duration="PT1M"), step(1, "percent")]}, "intervals.1.limit.kind"),
        ({"intervals": [step(1, "per_site", duration="PT1M")], **OF_EACH}, "below_minimum"),
    ],
)
def test_a_step_that_is_wrong_is_named_by_its_place(api, changes, field):
    response = api.post("events/", stepped() | changes)

    assert list(problem(response, 400)) == [field]
    assert response.json()["detail"].startswith(f"{field}: ")
    assert not Event.objects.exists()
    assert not EventInterval.objects.exists()
    assert not AuditEntry.objects.filter(action="event.declared").exists()


def test_either_a_limit_or_steps_and_not_neither(api):
    neither = {name: value for name, value in declaration().items() if name != "limit"}

    assert set(problem(api.post("events/", neither), 400)) == {"limit"}
    assert set(problem(api.post("events/", declaration(intervals=[step(1)])), 400)) == {"intervals"}


# --- in force ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        (AMOUNTS[0], [FOUR_KW, FOUR_KW]),
        (AMOUNTS[1], [Limit(Unit.CURRENT, 6.5)] * 2),
        (AMOUNTS[2], [Limit(Unit.POWER, 5_500), Limit(Unit.POWER, 5_000)]),
        (AMOUNTS[4], [Limit(Unit.POWER, 11_000)] * 2),
        (AMOUNTS[6], [Limit(Unit.POWER, 8_000)] * 2),
    ],
)
def test_every_kind_comes_into_force(amount, wanted):
    site = make_site()
    cars = [
        make_session(make_connector(make_station(site)), power_w=power)
        for power in (11_000.0, 10_000.0)
    ]

    declare(limit=amount)

    assert [held_to(car)[0] for car in cars] == wanted


def test_the_limit_shown_is_that_of_the_step_in_force(api):
    first, second = (text(timezone.now() + timedelta(minutes=number)) for number in (10, 30))
    body = stepped(step(4000), step(0, starts_at=first), step(6000, starts_at=second))
    event = api.post("events/", body).json()
    assert event["limit"]["value"] == 4000

    Event.objects.update(starts_at=timezone.now() - timedelta(minutes=15))
    assert read(api, event)["limit"] == {**limit(0), "paused": True}
    Event.objects.update(starts_at=timezone.now() - timedelta(minutes=45))
    assert read(api, event)["limit"]["value"] == 6000


def test_between_two_steps_there_is_no_limit_and_it_says_why(api):
    session = make_session()
    now = timezone.now()
    body = stepped(
        step(4000, duration="PT10M"), step(6000, starts_at=text(now + timedelta(minutes=30)))
    )
    event = api.post("events/", body).json()

    Event.objects.update(starts_at=now - timedelta(minutes=15))
    steer((now - NOW).total_seconds())

    assert read(api, event)["limit"] is None
    assert held_to(session)[0] is None
    why = api.get(f"sessions/{session.external_id}/").json()["why"]
    assert why["explanation"].startswith(
        "Feeder F12 overload orders nothing right now: it is between two steps."
    )


# --- amended -------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", AMOUNTS)
def test_every_kind_can_be_amended_to(api, amount):
    event = api.post("events/", declaration()).json()

    amended = api.patch(f"events/{event['id']}/", {"limit": amount})

    assert amended.status_code == 200
    assert amended.json()["limit"] == {**amount, "paused": False}


def test_a_limit_for_each_becomes_a_cap_and_back_while_it_is_in_force():
    cars = [make_session(), make_session()]
    event = declare()
    accept(1)

    for car in cars:
        meter(car, 4_200, 70)

    amend(event, 80, limit=cap(12_000))
    accept(81)
    assert watts_of(*cars) == [6_000, 6_000]

    amend(event, 90, limit=limit(4200))
    assert watts_of(*cars) == [4_200, 4_200]


def test_a_relief_that_is_amended_counts_from_the_same_draw():
    cars = [make_session(power_w=11_000.0), make_session(power_w=11_000.0)]
    event = declare(limit=limit(4_000, "relief"))
    accept(1)

    amend(event, 10, limit=limit(10_000, "relief"))

    assert watts_of(*cars) == [6_000, 6_000]


def test_steps_replace_a_limit_and_a_limit_all_steps(api):
    event = api.post("events/", declaration()).json()
    path = f"events/{event['id']}/"

    steps = api.patch(path, {"intervals": [step(4000, duration="PT15M"), step(6000)]}).json()
    limited = api.patch(path, {"limit": limit(5000)}).json()

    assert [one["limit"]["value"] for one in steps["intervals"]] == [4000, 6000]
    assert (steps["limit"]["value"], limited["limit"]["value"]) == (4000, 5000)
    assert limited["intervals"] == []


def test_an_amendment_leaves_out_what_stays(api):
    body = stepped(
        step(4000, duration="PT15M"), step(6000), restore={"rate_w_per_min": 500}, **OF_EACH
    )
    event = api.post("events/", body).json()

    amended = api.patch(f"events/{event['id']}/", {"name": "renamed"}).json()

    assert {name for name, value in amended.items() if value != event[name]} == {"name"}


def test_the_slope_can_be_taken_away_and_chance_before_the_start(api):
    event = api.post(
        "events/",
        declaration(
            starts_at=text(in_an_hour()), restore={"rate_w_per_min": 500}, randomize_start="PT5M"
        ),
    ).json()

    amended = api.patch(f"events/{event['id']}/", {"restore": None, "randomize_start": None})

    assert amended.json()["restore"] is None
    assert (
        amended.json()["randomize_start"]
        == api.post("events/", declaration()).json()["randomize_start"]
    )


def test_a_longer_event_makes_its_last_step_longer(api):
    start = in_an_hour()
    body = stepped(step(4000, duration="PT15M"), step(6000, duration="PT15M"))
    event = api.post("events/", body | {"starts_at": text(start)}).json()

    amended = api.patch(f"events/{event['id']}/", {"duration": "PT2H"}).json()

    end = text(start + timedelta(hours=2))
    assert (amended["ends_at"], amended["intervals"][1]["ends_at"]) == (end, end)
    assert amended["intervals"][0] == event["intervals"][0]


def test_new_steps_bring_their_own_end(api):
    start = in_an_hour()
    event = api.post("events/", declaration(starts_at=text(start), duration="PT2H")).json()

    steps = [step(4000, duration="PT15M"), step(6000, duration="PT15M")]
    amended = api.patch(f"events/{event['id']}/", {"intervals": steps}).json()

    assert amended["ends_at"] == text(start + timedelta(minutes=30))


def test_an_event_that_is_moved_takes_its_steps_along(api):
    start = in_an_hour()
    moved = start + timedelta(hours=3)
    body = stepped(step(4000, duration="PT15M"), step(6000, duration="PT15M"))
    event = api.post("events/", body | {"starts_at": text(start)}).json()

    amended = api.patch(
        f"events/{event['id']}/", {"starts_at": text(moved), "duration": "PT30M"}
    ).json()

    assert [one["starts_at"] for one in amended["intervals"]] == [
        text(moved), text(moved + timedelta(minutes=15)),
    ]  # fmt: skip


def test_what_was_read_can_be_said_back(api):
    body = stepped(step(4000, duration="PT15M"), step(6000), starts_at=text(in_an_hour()))
    event = api.post("events/", body).json()
    said = [step(one["limit"]["value"], starts_at=one["starts_at"]) for one in event["intervals"]]

    amended = api.patch(f"events/{event['id']}/", {"intervals": said})

    assert amended.json() == event
    assert not AuditEntry.objects.filter(action="event.amended").exists()


@pytest.mark.parametrize("amount", AMOUNTS[4:])
@pytest.mark.parametrize(("name", "value"), OF_EACH.items())
def test_an_amendment_to_a_cap_names_the_term_that_contradicts(api, amount, name, value):
    event = api.post("events/", declaration(**{name: value})).json()

    response = api.patch(f"events/{event['id']}/", {"limit": amount})

    assert list(problem(response, 400)) == [name]
    assert read(api, event)["limit"]["kind"] == "per_session"


def test_when_sessions_start_cannot_change_once_they_have(api):
    event = api.post("events/", declaration(randomize_start="PT5M")).json()

    response = api.patch(f"events/{event['id']}/", {"randomize_start": "PT1M"})

    assert problem(response, 400) == {"randomize_start": "cannot change: the event has started"}


# --- giving power back ---------------------------------------------------------------------


def test_a_slope_is_cut_short(api):
    cars = [make_session(), make_session()]
    event = declare(restore={"rate_w_per_min": 100})
    accept(1)
    path = f"events/{event.id}/"
    assert api.post(f"{path}end/").json()["status"] == "restoring"
    steer((timezone.now() - NOW).total_seconds())
    assert watts_of(*cars) == [4_200, 4_200]

    answers = [api.post(f"{path}restore/") for _ in range(2)]
    steer((timezone.now() - NOW).total_seconds())

    assert [answer.status_code for answer in answers] == [200, 200]
    assert watts_of(*cars) == [None, None]
    assert AuditEntry.objects.filter(action="event.restore_at_once").count() == 1


@pytest.mark.parametrize("is_scheduled", [False, True])
def test_what_is_not_over_gives_nothing_back(api, is_scheduled):
    starts_at = text(in_an_hour()) if is_scheduled else None
    event = api.post("events/", declaration(starts_at=starts_at)).json()

    response = api.post(f"events/{event['id']}/restore/")

    problem(response, 409)
    assert response.json()["code"] == "not_restoring"
