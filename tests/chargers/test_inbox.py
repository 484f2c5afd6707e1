"""Webhooks take effect once, in whatever order they come, and none is lost."""

import itertools

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargers import inbox, limits
from chargers.models import Attempt, ChargeStation, Command, MeterReading, Session, WebhookDelivery
from tests.fleet import FOUR_KW, NOW, later, make_connector, make_session, make_station, wanting

pytestmark = pytest.mark.django_db

_numbers = itertools.count(1)


def deliver(type_, data, *, id_=None, at=NOW, created_at=None):
    """A stored webhook, as the view leaves it."""
    body = {"_id": id_ or f"d{next(_numbers)}", "type": type_, "data": data}
    if created_at:
        body["createdAt"] = iso(created_at)
    return WebhookDelivery.objects.create(
        external_id=body["_id"], type=type_, body=orjson.dumps(body), signature="x", received_at=at
    )


def iso(time):
    return time.isoformat().replace("+00:00", "Z")


def apply(now=NOW):
    return inbox.apply_batch(now=now)


def fate(delivery):
    delivery.refresh_from_db()
    return delivery.state, delivery.waiting_for


def session_data(session_id, connector=None, *, status="Started", power_kw=None, at=None, **more):
    data = {"_id": session_id, "status": status, **more}
    if connector:
        data |= {"connector": connector.external_id,
                 "chargestation": connector.chargestation.external_id}  # fmt: skip
    if power_kw is not None:
        data["energy_report"] = {
            "timestamp": iso(at or NOW),
            "power": {"value": str(power_kw), "unit": "kW"},
        }
    return data


def sent_command(session, action_id="a" * 24):
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    command = session.commands.get()
    Command.objects.update(state="sent", step="look_action", attempts=1)
    Session.objects.update(may_be_limited=True)
    return Attempt.objects.create(
        command=command, session=session, number=1, verb="set", unit="power", value=4200,
        claimed_at=NOW, lease_until=NOW, action_id=action_id, outcome="requested",
    )  # fmt: skip


def action_data(status, action_id="a" * 24):
    return {"_id": action_id, "status": status, "updatedAt": iso(NOW)}


# --- sessions -----------------------------------------------------------------------------


def test_a_session_that_started_is_known_and_is_news():
    connector = make_connector()
    delivery = deliver("session.started", session_data("s1", connector))

    assert apply() == 1

    session = Session.objects.get(external_id="s1")
    assert (session.status, session.connector, session.started_at) == ("started", connector, NOW)
    assert fate(delivery) == ("applied", "")
    assert inbox.sql.ids("SELECT session_id FROM chargers_sessionnews") == [session.pk]


@pytest.mark.parametrize("last", [0, 1])
def test_a_session_is_placed_by_whatever_word_of_a_batch_names_its_station(last):
    connector = make_connector()
    words = [session_data("s1", power_kw=7), session_data("s1", connector)]
    deliveries = [
        deliver("session.updated", words[1 - last]),
        deliver("session.updated", words[last]),
    ]

    apply()

    assert [fate(one) for one in deliveries] == [("applied", "")] * 2
    session = Session.objects.get(external_id="s1")
    assert (session.status, session.connector, session.power_w) == ("started", connector, 7000)


def test_an_energy_report_is_a_reading_and_the_session_s_latest():
    session = make_session(metered_at=later(-60))
    deliver("session.updated", session_data(session.external_id, power_kw=7.2, at=later(-5)))

    apply()

    session.refresh_from_db()
    reading = MeterReading.objects.get()
    assert (session.power_w, session.metered_at) == (7200, later(-5))
    assert (reading.power_w, reading.current_a, reading.meter_wh) == (7200, None, None)


def test_an_older_report_is_kept_and_changes_nothing_newer():
    session = make_session(metered_at=later(-60))
    deliver("session.updated", session_data(session.external_id, power_kw=7.2, at=later(-5)))
    deliver("session.updated", session_data(session.external_id, power_kw=3.0, at=later(-30)))

    apply()

    session.refresh_from_db()
    assert session.power_w == 7200
    assert MeterReading.objects.count() == 2


def test_a_report_in_amperes_alone_is_a_draw_too():
    """Else a relief, a percentage and the largest draws first would all take it for nothing."""
    session = make_session(metered_at=later(-60))
    report = {"timestamp": iso(later(-5)), "current": {"value": "16", "unit": "A"}}
    deliver("session.updated", session_data(session.external_id, energy_report=report))

    apply()

    session.refresh_from_db()
    reading = MeterReading.objects.get()
    assert (session.power_w, session.current_a) == (16 * 230 * 3, 16)
    # As it was told.
    assert (reading.power_w, reading.current_a) == (None, 16)


def test_a_report_without_figures_is_a_gap_and_no_zero():
    session = make_session(power_w=7200.0)
    deliver("session.updated", {"_id": session.external_id, "energy_report": {"power": {}}})

    apply()

    session.refresh_from_db()
    assert session.power_w == 7200
    assert not MeterReading.objects.exists()


def test_a_report_from_the_future_does_not_outdate_those_after_it():
    session = make_session(metered_at=later(-60))
    deliver("session.updated", session_data(session.external_id, power_kw=9, at=later(86400)))
    apply()
    deliver("session.updated", session_data(session.external_id, power_kw=4, at=later(30)))

    apply(now=later(40))

    session.refresh_from_db()
    assert session.power_w == 4000


def test_a_session_that_has_ended_does_not_start_again():
    session = make_session()
    deliver("session.ended", session_data(session.external_id, status="Ended"))
    apply()
    deliver("session.started", session_data(session.external_id))
    deliver("session.updated", session_data(session.external_id))

    apply()

    session.refresh_from_db()
    assert (session.status, session.ended_at) == ("ended", NOW)


def test_the_end_of_a_session_ends_its_limit():
    session = make_session()
    sent_command(session)
    deliver("session.ended", session_data(session.external_id, status="Ended"))

    apply()

    session.refresh_from_db()
    assert session.may_be_limited is False
    assert Command.objects.get().state == "moot"


def test_a_session_on_an_unknown_connector_waits_until_that_is_known():
    station = make_station()
    delivery = deliver("session.started", {"_id": "s1", "status": "Started", "connector": "c-new"})
    apply()
    assert fate(delivery) == ("waiting", "c-new")

    make_connector(station, external_id="c-new")
    assert inbox.retry_waiting(now=NOW) == 1
    apply()

    assert fate(delivery) == ("applied", "")
    assert Session.objects.get(external_id="s1").chargestation == station


# --- actions ------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["session.set_power_limit.completed",
                                   "session.set_power_limit.accepted"])  # fmt: skip
def test_a_completed_action_settles_its_command(type_):
    session = make_session()
    sent_command(session)
    deliver(type_, action_data("completed"))

    apply()

    assert Command.objects.get().state == "accepted"
    session.refresh_from_db()
    assert session.confirmed == FOUR_KW


@pytest.mark.parametrize("first", ["completed", "failed"])
@pytest.mark.parametrize("batches", [1, 2])
def test_of_words_that_contradict_each_other_completed_counts(first, batches):
    sent_command(make_session())
    words = ["completed", "failed"] if first == "completed" else ["failed", "completed"]
    for word in words:
        deliver(f"session.set_power_limit.{word}", action_data(word))
        if batches == 2:
            apply()
    apply()

    assert Attempt.objects.get().outcome == "accepted"
    assert Command.objects.get().state == "accepted"


def test_an_action_that_nobody_knows_yet_waits_for_the_answer_that_names_it():
    session = make_session()
    early = deliver("session.set_power_limit.completed", action_data("completed"))
    apply()
    assert fate(early) == ("waiting", "a" * 24)

    sent_command(session)
    inbox.retry_waiting(now=NOW)
    apply()

    assert fate(early) == ("applied", "")
    assert Command.objects.get().state == "accepted"


@pytest.mark.parametrize("known", [make_session, make_station, make_connector])
def test_an_action_is_looked_for_only_among_actions(known):
    deliver("session.set_power_limit.completed", action_data("completed", known().external_id))
    apply()

    assert inbox.retry_waiting(now=NOW) == 0


@pytest.mark.parametrize("known", [make_session, make_connector])
def test_a_station_is_looked_for_only_among_stations(known):
    deliver("chargestation.online", {"_id": known().external_id})
    apply()

    assert inbox.retry_waiting(now=NOW) == 0


def test_requested_after_completed_changes_nothing():
    sent_command(make_session())
    deliver("session.set_power_limit.completed", action_data("completed"))
    deliver("session.set_power_limit.requested", action_data("requested"))

    apply()

    assert Command.objects.get().state == "accepted"


def test_an_action_of_another_kind_is_none_of_our_business():
    delivery = deliver("chargestation.set_default_power_limit.completed", action_data("completed"))

    apply()

    assert fate(delivery) == ("ignored", "")


# --- stations -----------------------------------------------------------------------------


def test_a_station_s_online_and_offline_count_by_their_own_time():
    station = make_station()
    deliver("chargestation.online", {"_id": station.external_id}, created_at=later(-10))
    deliver("chargestation.offline", {"_id": station.external_id}, created_at=later(-20))
    apply()
    station.refresh_from_db()
    assert station.online

    deliver("chargestation.offline", station.external_id, created_at=later(-5))
    apply()
    station.refresh_from_db()
    assert not station.online


def test_a_station_that_came_back_has_its_commands_due_at_once():
    station = make_station(online=False)
    session = make_session(make_connector(station))
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    Command.objects.update(reason="station_offline", next_attempt_at=later(60))
    deliver("chargestation.online", {"chargestation": {"_id": station.external_id}})

    apply()

    assert Command.objects.get().next_attempt_at == NOW


@pytest.mark.parametrize(
    ("back_after_s", "next_after_s"),
    [(12, 30), (-5, 90), (31, 90)],
    ids=["after the sending", "before the sending", "in the future"],
)
@pytest.mark.parametrize("batches", [1, 2])
def test_what_a_station_missed_before_it_came_back_is_sent_again_at_once(
    back_after_s, next_after_s, batches
):
    station = make_station()
    sent_command(make_session(make_connector(station)))
    back = deliver("chargestation.online", {"_id": station.external_id},
                   created_at=later(back_after_s), at=later(30))  # fmt: skip
    if batches == 2:
        apply(later(30))
        assert fate(back) == ("applied", "")
    failed = action_data("failed") | {"response_data": {"error": "Timeout"}}
    deliver("session.set_power_limit.failed", failed, at=later(30))

    apply(later(30))

    command = Command.objects.get()
    assert (command.state, command.reason) == ("due", "station_unreachable")
    assert command.next_attempt_at == later(next_after_s)


def test_an_unknown_station_is_waited_for():
    delivery = deliver("chargestation.offline", {"_id": "nobody"})
    apply()
    assert fate(delivery) == ("waiting", "nobody")

    make_station(external_id="nobody")
    inbox.retry_waiting(now=NOW)
    apply()

    assert not ChargeStation.objects.get().online


@pytest.mark.parametrize(
    "shape",
    [
        lambda c: {"_id": c, "status": "Charging"},
        lambda c: {"connector": c, "status": "Charging"},
        lambda c: {"connector": {"_id": c}, "status": "Charging"},
        lambda c: {"_id": "st", "connectors": [{"_id": c, "status": "Charging"}]},
    ],
)
def test_a_connector_s_status_is_read_in_every_shape_it_may_have(shape):
    connector = make_connector()
    deliver("chargestation.connector_status.updated", shape(connector.external_id))

    apply()

    connector.refresh_from_db()
    assert connector.status == "Charging"


# --- everything else ----------------------------------------------------------------------


def test_an_unknown_type_is_kept_and_ignored():
    delivery = deliver("user.birthday", {"_id": "u1"})

    apply()

    assert fate(delivery) == ("ignored", "")


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("session.updated", None),
        ("session.updated", "s1"),
        ("session.updated", {"status": "Started"}),
        ("session.set_power_limit.completed", []),
        ("chargestation.online", {}),
        ("chargestation.connector_status.updated", 7),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_reason(type_, data):
    broken, good = (
        deliver(type_, data),
        deliver("session.started", session_data("s1", make_connector())),
    )

    apply()

    broken.refresh_from_db()
    assert broken.state == "failed"
    assert broken.note
    assert fate(good) == ("applied", "")


def test_one_delivery_that_breaks_the_database_does_not_hold_up_the_others():
    poison = deliver("session.started", session_data("s-bad", make_connector()))
    poison_body = orjson.loads(bytes(poison.body))
    poison_body["data"]["energy_report"] = {
        "timestamp": "0001-01-01T00:00:00+14:00", "power": {"value": 1, "unit": "kW"},
    }  # fmt: skip
    WebhookDelivery.objects.filter(pk=poison.pk).update(body=orjson.dumps(poison_body))
    good = deliver("session.started", session_data("s-good", make_connector()))

    apply()

    assert fate(good) == ("applied", "")
    assert fate(poison)[0] in ("applied", "failed")


def test_whatever_breaks_a_batch_is_found_and_set_aside(monkeypatch):
    bad, good = (
        deliver("session.started", session_data(session_id, make_connector()))
        for session_id in ("s-bad", "s-good")
    )
    apply_sessions = inbox.sessions.apply

    def break_on_the_bad(said, *, now):
        if any(one.session.id == "s-bad" for one in said):
            raise RecursionError("what nobody has thought of")
        return apply_sessions(said, now=now)

    monkeypatch.setattr(inbox.sessions, "apply", break_on_the_bad)

    apply()

    assert fate(good) == ("applied", "")
    assert fate(bad) == ("failed", "")


def test_a_batch_costs_the_same_few_statements_whatever_its_size(django_assert_max_num_queries):
    sessions = [make_session(metered_at=later(-60)) for _ in range(40)]
    for session in sessions:
        deliver("session.updated", session_data(session.external_id, power_kw=5, at=NOW))

    with django_assert_max_num_queries(28):
        assert apply() == 40

    assert set(Session.objects.values_list("power_w", flat=True)) == {5000.0}


STORY = [
    ("session.started", lambda s, c: session_data(s, c)),
    ("session.updated", lambda s, c: session_data(s, c, power_kw=11, at=later(10))),
    ("session.set_power_limit.requested", lambda s, c: action_data("requested")),
    ("session.set_power_limit.completed", lambda s, c: action_data("completed")),
    ("session.updated", lambda s, c: session_data(s, c, power_kw=4, at=later(40))),
    ("session.ended", lambda s, c: session_data(s, c, status="Ended")),
]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.lists(st.sampled_from(range(len(STORY))), min_size=6, max_size=18).filter(
        lambda order: set(order) == set(range(len(STORY)))
    ),
    batch=st.integers(1, 5),
)
def test_doubled_and_shuffled_the_story_ends_the_same(db, order, batch):
    from django.db import transaction

    with transaction.atomic():
        connector = make_connector()
        session = make_session(connector, power_w=None, metered_at=None)
        sent_command(session)
        for number, step in enumerate(order):
            type_, data = STORY[step]
            deliver(type_, data(session.external_id, connector), id_=f"story-{number}")

        while inbox.apply_batch(now=later(100), most=batch):
            pass

        session.refresh_from_db()
        assert (session.status, session.power_w, session.may_be_limited) == ("ended", 4000, False)
        assert session.readings.count() == 2
        assert session.commands.get().state in ("accepted", "moot")
        assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"applied"}
        transaction.set_rollback(True)
