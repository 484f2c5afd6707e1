"""What an order would do, by kind: session by session and in sum; and that it then does just
that."""

import pytest

from chargers import pace
from chargers.edrv.errors import ProviderFailed
from dr_events import capacity, intake, order_warnings, preview
from dr_events.models import Event, Participation
from tests.dr_events.story import (
    OPERATOR,
    accept,
    cap,
    declaration,
    declare,
    held_to,
    meter,
    opt_out,
    part,
    steer,
)
from tests.fleet import NOW, later, make_connector, make_session, make_site, make_station

pytestmark = pytest.mark.django_db

FOUR_KW = {"unit": "power", "value": 4200}
PAUSE = {"unit": "power", "value": 0}


def limit(value, kind="per_session", unit="power"):
    return {"kind": kind, "unit": unit, "value": value}


def watts(value):
    return {"unit": "power", "value": value}


def see(ordered, *, at=0, **changes):
    """A preview as REST answers it."""
    return preview.preview(declaration(limit=ordered, **changes), now=later(at)).as_json()


def car(site=None, *, online=True, is_simulator=False, exempt=False, **fields):
    station = make_station(
        site or make_site(), online=online, is_simulator=is_simulator, exempt=exempt
    )
    return make_session(make_connector(station), **fields)


def street():
    """Two cars on three phases, and between them one on a single phase."""
    single = make_connector(make_station(), power_type="ac_1_phase")
    return [car(), make_session(single, power_w=7_000.0), car()]


def line_of(seen, session):
    [found] = [line for line in seen["sessions"] if line["session"] == session.external_id]
    return found


def wanted_of(seen):
    return {line["session"]: line["wanted"] for line in seen["sessions"]}


def codes_of(seen):
    return {warning["code"]: warning["detail"] for warning in seen["warnings"]}


# --- each kind -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordered", "wanted", "relief_w"),
    [
        (limit(4200), [watts(4200), watts(4200)], [6_800, 800]),
        (limit(6, unit="current"), [{"unit": "current", "value": 6}] * 2, [6_860, 860]),
        (limit(0), [PAUSE, PAUSE], [11_000, 5_000]),
        (limit(90, "percent"), [watts(9_900), watts(4_500)], [1_100, 500]),
        (limit(50, "percent"), [watts(5_500), PAUSE], [5_500, 5_000]),
        (cap(10_000), [watts(5_000), watts(5_000)], [6_000, 0]),
        (cap(10_000, "per_site"), [watts(10_000), watts(10_000)], [1_000, 0]),
        (cap(6_000, "relief"), [watts(5_000), watts(5_000)], [6_000, 0]),
    ],
)
def test_every_kind_is_foreseen_for_each_session_and_in_sum(ordered, wanted, relief_w):
    large, small = car(power_w=11_000.0), car(power_w=5_000.0)

    seen = see(ordered)

    lines = [line_of(seen, session) for session in (large, small)]
    assert [line["wanted"] for line in lines] == wanted
    assert [line["expected_relief_w"] for line in lines] == relief_w
    assert [line["expected_w"] for line in lines] == [11_000 - relief_w[0], 5_000 - relief_w[1]]
    assert (seen["metered_w"], seen["expected_relief_w"]) == (16_000, sum(relief_w))
    assert seen["expected_w"] == 16_000 - sum(relief_w)
    assert (seen["sessions_in_scope"], seen["sessions_to_limit"]) == (2, 2)
    assert seen["sessions_below_floor"] == (wanted.count(PAUSE) if ordered["value"] else 0)
    assert (seen["reachable"], seen["cannot"]) == (True, {})


def test_nothing_is_changed():
    car()

    see(cap(5_000))

    assert not Event.objects.exists()
    assert not Participation.objects.exists()


def test_of_several_steps_it_is_the_first():
    session = car()
    intervals = [{"duration": "PT15M", "limit": limit(4200)}, {"limit": limit(0)}]
    data = declaration(intervals=intervals)
    del data["limit"]

    seen = preview.preview(data, now=NOW).as_json()

    assert line_of(seen, session)["wanted"] == FOUR_KW


def test_a_cap_of_everybody_is_shown_with_how_it_is_used():
    for _ in range(3):
        car()

    [found] = see(cap(9_000))["caps"]

    assert found == {
        "site": None, "cap_w": 9_000, "sessions": 3, "paused": 1, "allowed_w": 9_000,
        "cannot_hold_w": 0, "reachable": True,
    }  # fmt: skip


def test_a_cap_of_each_site_is_shown_for_each():
    sites = [make_site(), make_site()]
    for site in (sites[0], sites[0], sites[1]):
        car(site)

    found = {one["site"]: one for one in see(cap(12_000, "per_site"))["caps"]}

    assert set(found) == {site.external_id for site in sites}
    assert [found[site.external_id]["sessions"] for site in sites] == [2, 1]
    assert [found[site.external_id]["allowed_w"] for site in sites] == [12_000, 12_000]


# --- who and how not -----------------------------------------------------------------------


def test_below_the_floor_are_those_for_whom_there_are_not_6_a():
    for _ in range(3):
        car()

    seen = see(cap(9_000))

    assert seen["sessions_below_floor"] == 1
    assert [line["wanted"] for line in seen["sessions"] if line["below_floor"]] == [PAUSE]


@pytest.mark.parametrize(
    ("ordered", "below_minimum", "paused"),
    [
        (limit(3000), "pause", [True, False, True]),
        (limit(3000), "minimum", [False, False, False]),
        (limit(5, unit="current"), "pause", [True, True, True]),
        (limit(0), "pause", [False, False, False]),
        (limit(30, "percent"), "pause", [True, False, True]),
    ],
)
def test_who_is_paused_though_more_than_0_is_ordered_is_counted_and_warned_of(
    ordered, below_minimum, paused
):
    cars = street()

    seen = see(ordered, below_minimum=below_minimum)

    assert [line_of(seen, session)["below_floor"] for session in cars] == paused
    assert seen["sessions_below_floor"] == sum(paused)
    assert ("below_minimum" in codes_of(seen)) is any(paused)


def test_a_standing_event_warns_of_those_that_it_pauses():
    street()
    car(exempt=True)
    event = declare(limit=limit(3000))

    [warning] = order_warnings.of_event(event, now=NOW)

    assert warning["code"] == "below_minimum"
    assert warning["detail"].startswith("2 sessions pause")
    assert see(limit(3000), priority=0)["warnings"] == [warning]


def test_an_offline_station_is_listed_and_nothing_is_expected_of_it():
    session, other = car(online=False), car()

    seen = see(limit(4200))

    line = line_of(seen, session)
    assert (line["cannot"], line["wanted"]) == ("station_offline", FOUR_KW)
    assert (line["expected_relief_w"], line["expected_w"]) == (0, 11_000)
    assert line_of(seen, other)["expected_relief_w"] == seen["expected_relief_w"] == 6_800
    assert seen["cannot"] == {"station_offline": 1}


def test_who_is_exempt_is_listed_and_left_alone():
    session = car(exempt=True)

    seen = see(limit(4200))

    line = line_of(seen, session)
    assert (line["cannot"], line["wanted"]) == ("exempt_chargestation", None)
    assert seen["expected_w"] == 11_000


def test_who_is_not_metered_is_counted_and_nothing_is_expected_of_it():
    session = car(power_w=None, metered_at=None)

    seen = see(limit(4200))

    line = line_of(seen, session)
    assert (line["wanted"], line["expected_w"], line["expected_relief_w"]) == (FOUR_KW, None, 0)
    assert (seen["sessions_unmetered"], seen["metered_w"]) == (1, 0)


def test_an_old_reading_is_a_gap():
    session = car(power_w=11_000.0, metered_at=later(-900))

    seen = see(limit(4200))

    line = line_of(seen, session)
    assert (line["power_w"], line["expected_w"], line["expected_relief_w"]) == (None, None, 0)
    assert line["wanted"] == FOUR_KW
    assert (seen["sessions_unmetered"], seen["metered_w"], seen["expected_w"]) == (1, 0, 0)


def test_an_outage_of_edrv_is_warned_of_before_and_after(settings):
    settings.EDRV_API_KEY = "key"
    car()
    pace.note_trouble(ProviderFailed("no", 502), jitter=0, now=later(0))

    stumbling, out = see(limit(4200), at=5), see(limit(4200), at=60)
    event = declare(at=61)

    assert "provider_unavailable" not in codes_of(stumbling)
    assert codes_of(out)["provider_unavailable"].startswith(
        "eDRV does not do its work since 2026-07-01 18:00:00 UTC (provider_failed: HTTP 502: no)"
    )
    assert order_warnings.of_event(event, now=later(61)) == out["warnings"]


def test_it_says_by_what_a_session_is_limited_already():
    session, other = car(), car()
    declare(name="Earlier", targets=[{"type": "session", "value": session.external_id}])

    seen = see(limit(2000), priority=0)

    assert line_of(seen, session)["limited_now_by"] == "Earlier"
    assert line_of(seen, other)["limited_now_by"] == ""


def test_who_is_held_by_a_more_important_event_stays_with_it():
    session = car()
    declare(limit=limit(6000), priority=0)

    seen = see(limit(4200), priority=5)

    line = line_of(seen, session)
    assert (line["cannot"], line["wanted"]) == ("outranked", watts(6000))
    assert seen["expected_relief_w"] == 0


def test_where_the_site_s_capacity_is_stricter_it_is_named():
    site = make_site()
    session = car(site)
    until = later(900).isoformat()
    capacity.put(site, {"power_w": 5_000, "valid_until": until}, actor=OPERATOR, now=NOW)
    steer(0)

    seen = see(limit(7000))

    line = line_of(seen, session)
    assert (line["cannot"], line["limited_now_by"]) == ("site_capacity", "site capacity")
    assert line["wanted"] == watts(5_000)


@pytest.mark.parametrize(
    ("fields", "unable"),
    [
        ({}, []),
        ({"is_simulator": True}, ["takes_no_power", "takes_no_clear"]),
        ({"refused_units": ["power"]}, ["takes_no_power"]),
        ({"refused_units": ["current"], "refuses_clear": True}, ["takes_no_current",
                                                                 "takes_no_clear"]),
        ({"refused_units": ["power"], "is_simulator": True}, ["takes_no_power", "takes_no_clear"]),
    ],
)  # fmt: skip
def test_what_a_station_does_not_understand_is_said_and_no_hindrance(fields, unable):
    session = make_session(make_connector(make_station(**fields)))

    line = line_of(see(limit(4200)), session)

    assert line["unable"] == unable
    assert (line["cannot"], line["expected_relief_w"]) == ("", 6_800)


@pytest.mark.parametrize(("kind", "reason"), [("opt_out", "opted_out"), ("exemption", "exempted")])
@pytest.mark.parametrize("starts_at", [None, later(600).isoformat()])
def test_who_has_left_a_standing_event_is_named_with_the_reason(kind, reason, starts_at):
    session, event = car(), declare(starts_at=starts_at)
    opt_out(event, session, at=1, kind=kind)

    seen = preview.of_event(event, event.amount, [("feeder", "F12")], now=later(2)).as_json()

    line = line_of(seen, session)
    assert (line["cannot"], line["wanted"]) == (reason, None)


def test_between_two_steps_nobody_is_outranked():
    session, event = car(), declare()

    seen = preview.of_event(event, None, [("feeder", "F12")], now=later(1)).as_json()

    line = line_of(seen, session)
    assert (line["cannot"], line["wanted"], line["expected_relief_w"]) == ("", None, 0)


# --- in reach or not -----------------------------------------------------------------------


def test_a_relief_of_more_than_is_drawn_is_out_of_reach_by_so_much():
    session = car()

    seen = see(limit(15_000, "relief"))

    assert seen["reachable"] is False
    assert codes_of(seen) == {
        "relief_unreachable": "A relief of 15,000 W is asked for; the scope draws 11,000 W, "
        "4,000 W less."
    }
    assert line_of(seen, session)["wanted"] == PAUSE
    assert seen["expected_relief_w"] == 11_000


@pytest.mark.parametrize(
    ("fields", "left_w"),
    [
        ({"exempt": True}, 8_000),
        # Once its station is back it will be told its share, which is more than it draws.
        ({"online": False}, 7_500),
    ],
)
def test_who_cannot_be_held_leaves_the_others_less(fields, left_w):
    car(power_w=7_000.0, **fields)
    other = car()

    seen = see(cap(15_000))

    assert seen["reachable"] is True
    assert line_of(seen, other)["wanted"] == watts(left_w)
    assert seen["caps"][0]["cannot_hold_w"] == 7_000


def test_only_the_site_whose_cap_is_out_of_reach_is_named():
    good, bad = make_site(), make_site()
    car(good)
    car(bad, exempt=True)

    seen = see(cap(8_000, "per_site"))

    assert [one["reachable"] for one in sorted(seen["caps"], key=lambda one: one["site"])] == [
        True, False,
    ]  # fmt: skip
    assert codes_of(seen)["cap_unreachable"].startswith(f"At site {bad.external_id} sessions")


@pytest.mark.parametrize(
    ("target", "known_as"),
    [
        ({"type": "all"}, "all"),
        ({"type": "feeder", "value": "F99"}, "feeder F99"),
        ({"type": "feeder", "value": "Ring .4"}, "feeder Ring .4"),
    ],
)
def test_what_nothing_is_known_as_is_named_as_it_was_said(target, known_as):
    seen = see(limit(4200), targets=[target])

    said = codes_of(seen)["target_unknown"]
    assert said == f"Nothing in the fleet is known as {known_as}."


def test_a_scope_of_nothing_can_hold_any_cap():
    seen = see(cap(8_000), targets=[{"type": "feeder", "value": "F99"}])

    assert (seen["reachable"], seen["caps"], seen["metered_w"]) == (True, [], 0)
    assert set(codes_of(seen)) == {"target_unknown", "scope_empty"}


@pytest.mark.parametrize(
    ("raised", "expected_w", "rise_w"),
    [(6000, 6_000, 1_800), (22_000, 11_000, 6_800), (4200, 4_200, 0), (1400, 0, 0)],
)
def test_where_a_limit_rises_the_draw_may_up_to_what_it_was_before(raised, expected_w, rise_w):
    session = car(power_w=11_000.0)
    event = declare()
    accept(1)
    meter(session, 4_200.0, 60)

    targets = [("feeder", "F12")]
    event.limit_value = raised
    seen = preview.of_event(event, event.amount, targets, now=later(61)).as_json()

    line = line_of(seen, session)
    assert (line["power_w"], line["expected_w"]) == (4_200, expected_w)
    assert line["expected_rise_w"] == seen["expected_rise_w"] == rise_w
    assert seen["expected_w"] == expected_w


def test_where_the_draw_before_is_unknown_it_may_rise_to_what_its_connector_gives():
    site = make_site()
    session = car(site)
    data = {"power_w": 5_000, "valid_until": later(9000).isoformat()}
    capacity.put(site, data, actor=OPERATOR, now=NOW)
    steer(0)
    accept(1)
    meter(session, 5_000.0, 90)
    capacity.put(site, data | {"power_w": 30_000}, actor=OPERATOR, now=later(99))

    seen = see(limit(15_000), at=100)

    assert line_of(seen, session)["expected_w"] == 15_000


# --- preview and reality -------------------------------------------------------------------

AMOUNTS = [
    limit(4200), limit(7, unit="current"), limit(0), limit(40, "percent"),
    limit(70, "percent", "current"), cap(30_000), cap(9_000), cap(0), cap(12_000, "per_site"),
    cap(4_000, "per_site"), cap(10_000, "relief"), cap(10**6, "relief"), cap(0, "relief"),
]  # fmt: skip


def mixed_fleet():
    """Of each sort a car, at three sites, one of which has a capacity."""
    first, second, third = make_site(), make_site(voltage_v=240), make_site()
    dc = make_connector(make_station(third), power_type="dc", max_power_w=50_000)
    one_phase = make_connector(make_station(second), power_type="ac_1_phase", max_power_w=7_360)
    cars = [
        car(first), car(first, power_w=3_700.0), car(first, online=False, power_w=7_000.0),
        car(second, power_w=None, metered_at=None), car(second, exempt=True, power_w=2_000.0),
        make_session(one_phase, power_w=7_000.0), make_session(dc, power_w=48_000.0),
        car(third, is_simulator=True), car(third, power_w=50.0),
    ]  # fmt: skip
    data = {"power_w": 40_000, "valid_until": later(9000).isoformat()}
    capacity.put(third, data, actor=OPERATOR, now=NOW)
    return cars


def assert_it_came_true(seen, cars):
    assert {one.external_id: _json(held_to(one)[0]) for one in cars} == wanted_of(seen)


def _json(found):
    return found and found.as_json()


@pytest.mark.parametrize("below_minimum", ["pause", "minimum"])
@pytest.mark.parametrize("ordered", AMOUNTS)
def test_what_is_foreseen_comes_true(ordered, below_minimum):
    if ordered["kind"] in ("per_site", "per_event", "relief"):
        below_minimum = "pause"
    cars = mixed_fleet()
    steer(0)
    accept(1)

    seen = see(ordered, at=10, below_minimum=below_minimum)
    event = declare(at=10, limit=ordered, below_minimum=below_minimum)

    assert_it_came_true(seen, cars)
    bound = {line["session"] for line in seen["sessions"] if part_binds(event, line)}
    expected = {
        line["session"] for line in seen["sessions"]
        if line["wanted"] and line["cannot"] in ("", "station_offline")
    }  # fmt: skip
    assert expected <= bound


def part_binds(event, line):
    return event.participations.get(session__external_id=line["session"]).binding


@pytest.mark.parametrize("ordered", AMOUNTS)
@pytest.mark.parametrize("priority", [0, 5, None])
def test_it_comes_true_beside_other_events_too(ordered, priority):
    cars = mixed_fleet()
    declare(limit=cap(50_000), priority=5)
    accept(1)
    for one in cars:
        meter(one, 5_000.0, 90)
    accept(91)

    seen = see(ordered, at=100, priority=priority)
    declare(at=100, limit=ordered, priority=priority)

    assert_it_came_true(seen, cars)


@pytest.mark.parametrize("ordered", AMOUNTS)
def test_an_amendment_comes_true(ordered):
    cars = mixed_fleet()
    event = declare(limit=cap(50_000))
    accept(1)

    intake.amend(event.id, {"limit": ordered}, actor=OPERATOR, now=later(100))
    event.refresh_from_db()
    seen = preview.of_event(event, event.amount, [("feeder", "F12")], now=later(100)).as_json()
    steer(100)

    assert_it_came_true(seen, cars)


def test_the_warnings_of_a_preview_are_those_of_the_event():
    car()

    seen = see(limit(15_000, "relief"))
    event = declare(limit=limit(15_000, "relief"))

    assert order_warnings.of_event(event, now=NOW) == seen["warnings"]
    assert part(event, Participation.objects.get().session).binding
