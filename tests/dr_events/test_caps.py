"""Caps that sessions share, in the loop: what is wanted, in which order it is confirmed, and what
changes as cars come, go and taper."""

import pytest

from chargers import limits, news
from chargers.models import Command
from dr_events import intake, reconciliation
from dr_events.models import Participation
from tests.dr_events.story import (
    OPERATOR,
    accept,
    answer,
    declaration,
    declare,
    held_to,
    leave,
    meter,
    part,
    send,
    status,
    steer,
)
from tests.fleet import later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db


def cap(watts, kind="per_event"):
    return {"kind": kind, "unit": "power", "value": watts}


def watts_of(*sessions):
    """What is wanted of each."""
    return [wanted and wanted.value for wanted, _ in map(held_to, sessions)]


def confirmed_of(*sessions):
    return [confirmed and confirmed.value for _, confirmed in map(held_to, sessions)]


def at_site(site, count, **fields):
    return [make_session(make_connector(make_station(site)), **fields) for _ in range(count)]


def plug_in(at, site=None):

    session = make_session(
        make_connector(make_station(site or make_site())), started_at=later(at), power_w=None
    )
    news.tell([session.pk])
    steer(at)
    return session


def declare_steps(steps, **changes):
    """An event of several amounts."""
    body = {**declaration(**changes), "intervals": steps}
    del body["limit"]
    event = intake.declare(body, actor=OPERATOR, now=later(0)).event
    steer(0)
    event.refresh_from_db()
    return event


# --- sharing -------------------------------------------------------------------------------


def test_a_cap_is_shared_out_evenly():
    cars = [make_session() for _ in range(4)]

    event = declare(limit=cap(40_000))

    assert watts_of(*cars) == [10_000] * 4
    assert [part(event, car).binding for car in cars] == [True] * 4
    accept(1)
    assert {part(event, car).state for car in cars} == {"confirmed"}


def test_a_cap_a_site_is_shared_at_each_site():
    first, second = at_site(make_site(), 2), at_site(make_site(), 4)

    declare(limit=cap(20_000, "per_site"))

    assert watts_of(*first) == [10_000] * 2
    assert watts_of(*second) == [5_000] * 4


def test_what_a_car_cannot_use_goes_to_those_who_can():
    small, *others = [make_session(power_w=power) for power in (3_000, 11_000, 11_000)]

    declare(limit=cap(24_000))

    # 4,140 W is 6 A on three phases, 3,750 W what it draws and some headroom.
    assert watts_of(small, *others) == [4_140, 9_930, 9_930]


def test_who_comes_waits_until_the_others_are_confirmed_to_make_room():
    cars = [make_session() for _ in range(2)]
    declare(limit=cap(20_000))
    accept(1)

    late = plug_in(10)
    steer(12)
    assert watts_of(late, *cars) == [0, 6_666, 6_666]
    first, *others = send(13)
    answer([first], "completed", 13)
    assert sum(filter(None, confirmed_of(late, *cars))) <= 20_000
    answer(others, "completed", 14)
    steer(16)
    assert watts_of(late) == [6_666]
    accept(17)
    assert sum(confirmed_of(late, *cars)) <= 20_000


def test_what_a_car_leaves_goes_to_the_others():
    cars = [make_session() for _ in range(3)]
    declare(limit=cap(24_000))
    accept(1)
    for at, car in enumerate(cars, 70):
        meter(car, 7_900, at)

    leave(cars[0], 80)
    steer(82)

    assert watts_of(*cars[1:]) == [12_000, 12_000]


def test_a_station_that_does_not_answer_counts_at_its_old_allowance():
    offline = make_station(online=False)
    silent = make_session(make_connector(offline), power_w=11_000)
    cars = [make_session() for _ in range(2)]

    event = declare(limit=cap(30_000))
    accept(1)

    assert part(event, silent).reason == "station_offline"
    assert watts_of(*cars) == [9_500, 9_500]


def test_an_exempt_car_counts_at_its_draw():
    exempt, car = make_session(exempt=True, power_w=8_000), make_session()

    event = declare(limit=cap(18_000))

    assert watts_of(exempt, car) == [None, 10_000]
    assert part(event, exempt).state == "exempt"


def test_when_there_are_not_six_amperes_for_everyone_some_pause_and_turns_rotate(settings):
    cars = [make_session() for _ in range(3)]
    declare(limit=cap(9_000))
    accept(1)
    assert sorted(watts_of(*cars)) == [0, 4_500, 4_500]
    [waiting] = [car for car in cars if watts_of(car) == [0]]

    steer(settings.CAP_TURN_S + 70)
    accept(settings.CAP_TURN_S + 71)
    steer(settings.CAP_TURN_S + 75)
    accept(settings.CAP_TURN_S + 76)

    assert watts_of(waiting) == [4_500]
    assert sorted(watts_of(*cars)) == [0, 4_500, 4_500]


def test_who_waits_keeps_his_place_when_he_is_told_to_pause_anew(settings):
    cars = [make_session() for _ in range(3)]
    declare(limit=cap(5_000))
    accept(1)
    assert watts_of(*cars) == [5_000, 0, 0]

    limits.reassert([cars[1].pk], now=later(70))
    accept(71)
    steer(settings.CAP_TURN_S + 70)
    accept(settings.CAP_TURN_S + 71)
    steer(settings.CAP_TURN_S + 75)

    assert watts_of(*cars) == [0, 5_000, 0]


def test_a_small_change_is_not_worth_a_command():
    cars = [make_session() for _ in range(2)]
    declare(limit=cap(16_000))
    accept(1)
    sent = Command.objects.count()

    for at, car in enumerate(cars, 70):
        meter(car, 7_400, at)
    steer(140)

    assert Command.objects.count() == sent


# --- other amounts -------------------------------------------------------------------------


def test_a_relief_is_a_cap_below_the_draw_at_the_start():
    cars = [make_session(power_w=11_000) for _ in range(3)]

    event = declare(limit={"kind": "relief", "unit": "power", "value": 12_000})
    event.refresh_from_db()

    assert (event.reference_w, event.reference_sessions) == (33_000, 3)
    assert watts_of(*cars) == [7_000] * 3
    intake.amend(
        event.pk,
        {"limit": {"kind": "relief", "unit": "power", "value": 3_000}},
        actor=OPERATOR,
        now=later(100),
    )
    accept(101)
    assert sum(watts_of(*cars)) <= 30_000


def test_a_relief_asks_for_nothing_before_its_reference_is_taken():
    """News of a session may come between the declaration and the first pass over the event."""
    cars = [make_session(power_w=11_000) for _ in range(4)]
    event = intake.declare(declaration(limit=cap(10_000, "relief")), actor=OPERATOR, now=later(0))
    news.tell([cars[0].pk])

    reconciliation.reconcile_news(clock=lambda: later(0.1))
    assert watts_of(*cars) == [None] * 4

    steer(0.2)
    event.event.refresh_from_db()
    assert event.event.reference_w == 44_000
    assert sum(watts_of(*cars)) == 34_000


def test_a_percentage_is_of_the_draw_at_the_beginning_and_stays():
    car, idle = make_session(power_w=10_000), make_session(power_w=0)

    declare(limit={"kind": "percent", "unit": "power", "value": 50})
    assert watts_of(car, idle) == [5_000, 4_140]
    accept(1)
    meter(car, 4_900, 40)

    steer(120)
    assert watts_of(car, idle) == [5_000, 4_140]


def test_steps_change_what_is_wanted_when_their_time_comes():
    car = make_session()
    steps = [
        {"duration": "PT15M", "limit": {"kind": "per_session", "unit": "power", "value": 8_000}},
        {"duration": "PT15M", "limit": {"kind": "per_session", "unit": "power", "value": 5_000}},
        {"duration": "PT15M", "limit": {"kind": "per_session", "unit": "power", "value": 0}},
    ]

    event = declare_steps(steps)

    assert (event.ends_at - event.starts_at).total_seconds() == 45 * 60
    seen = []
    for minute in (0, 14, 15, 29, 30):
        steer(minute * 60 + 1)
        seen += watts_of(car)
        accept(minute * 60 + 2)
    assert seen == [8_000, 8_000, 5_000, 5_000, 0]
    steer(45 * 60)
    accept(45 * 60 + 1)
    assert (status(event), watts_of(car)) == ("completed", [None])


def test_a_cap_and_other_orders_hold_together():
    cars = [make_session() for _ in range(2)]
    declare(limit=cap(16_000), priority=1)
    each = {"kind": "per_session", "unit": "power", "value": 5_000}
    target = [{"type": "session", "value": cars[0].external_id}]
    strict = declare(limit=each, targets=target, priority=1, at=1)

    steer(3)

    assert watts_of(*cars)[0] == 5_000
    accept(4)
    for at, (car, power_w) in enumerate(zip(cars, (4_900, 7_900), strict=True), 70):
        meter(car, power_w, at)
    steer(75)
    assert watts_of(*cars) == [5_000, 11_000]
    assert part(strict, cars[0]).binding


def test_targets_that_are_added_are_limited_and_those_removed_restored():
    here, there = make_session(), make_session(make_connector(make_station(make_site(feeder="G"))))
    event = declare(limit=cap(8_000))
    accept(1)

    change = {"targets": [{"type": "feeder", "value": "G"}]}
    intake.amend(event.pk, change, actor=OPERATOR, now=later(2))
    steer(2)
    accept(3)
    steer(5)

    assert watts_of(here, there) == [None, 8_000]
    assert part(event, here).restored_at


# --- gentle restore ------------------------------------------------------------------------


def test_power_comes_back_as_a_slope():
    cars = [make_session(power_w=10_000) for _ in range(4)]
    event = declare(
        limit={"kind": "per_session", "unit": "power", "value": 5_000},
        restore={"rate_w_per_min": 5_000},
    )
    accept(1)
    for car in cars:
        meter(car, 5_000, 40)

    intake.end(event.pk, actor=OPERATOR, now=later(100))
    left = []
    for at in range(100, 361, 10):
        steer(at)
        accept(at + 1)
        left.append(sum(watts is not None for watts in watts_of(*cars)))

    assert left[0] == 4
    assert [left[second // 10] for second in (50, 60, 120, 180, 240)] == [4, 3, 2, 1, 0]
    steer(365)
    assert status(event) == "completed"


def test_all_power_comes_back_at_once_if_somebody_says_so():
    cars = [make_session(power_w=10_000) for _ in range(4)]
    event = declare(restore={"rate_w_per_min": 1_000})
    accept(1)
    intake.end(event.pk, actor=OPERATOR, now=later(10))
    steer(11)
    assert status(event) == "restoring"

    intake.restore_at_once(event.pk, actor=OPERATOR, now=later(12))
    steer(12)
    accept(13)

    assert watts_of(*cars) == [None] * 4
    assert status(event) == "completed"


def test_who_leaves_while_power_comes_back_is_let_go():
    car = make_session(power_w=10_000)
    event = declare(restore={"rate_w_per_min": 100})
    accept(1)
    intake.end(event.pk, actor=OPERATOR, now=later(10))
    steer(11)

    leave(car, 12)
    steer(13)

    assert status(event) == "completed"


def test_a_step_upwards_is_a_slope_too():
    cars = [make_session(power_w=10_000) for _ in range(2)]
    event = declare(
        limit={"kind": "per_session", "unit": "power", "value": 5_000},
        restore={"rate_w_per_min": 4_000},
    )
    accept(1)

    change = {"limit": {"kind": "per_session", "unit": "power", "value": 9_000}}
    intake.amend(event.pk, change, actor=OPERATOR, now=later(60))
    seen = []
    for at in range(60, 200, 10):
        steer(at)
        accept(at + 1)
        seen.append(sum(watts_of(*cars)))

    assert seen[0] == 10_000
    assert sorted(set(seen)) == [10_000, 14_000, 18_000]
    assert seen.index(14_000) >= 6
    assert seen.index(18_000) >= 12


def test_a_cap_that_is_raised_comes_up_as_a_slope():
    cars = [make_session() for _ in range(2)]
    event = declare(limit=cap(10_000), restore={"rate_w_per_min": 2_000})
    accept(1)
    for at, car in enumerate(cars, 65):
        meter(car, 4_990, at)

    change = {"limit": cap(20_000)}
    intake.amend(event.pk, change, actor=OPERATOR, now=later(120))
    for at in range(120, 480, 5):
        steer(at)
        accept(at)
        assert sum(watts_of(*cars)) <= 10_000 + (at - 120 + 5) / 60 * 2_000, at


def test_each_session_starts_by_chance_within_the_window():
    cars = [make_session() for _ in range(20)]
    event = declare(randomize_start="PT10M")

    seen = []
    for minute in range(11):
        steer(minute * 60)
        accept(minute * 60 + 1)
        seen.append(Participation.objects.filter(event=event).count())

    assert seen == sorted(seen)
    assert 0 <= seen[0] < 3
    assert 3 < seen[5] < 17
    assert seen[10] == 20
    assert watts_of(*cars) == [4_200] * 20
