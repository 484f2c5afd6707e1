"""Two at once about the same sessions: a sync reads what webhooks tell at that very moment, or a
plan is made."""

import threading

import pytest
from django.db import connections, transaction

from chargers import inbox, sessions, sql
from chargers.edrv.payloads import SessionData
from chargers.models import Session
from chargers.sessions import Said
from tests.chargers.test_inbox import deliver, session_data
from tests.fleet import NOW, make_session
from tests.waiting import wait_until


def said(external_id, station):
    started = SessionData(external_id, station.external_id, None, "started", *[None] * 5)
    return Said(started, NOW)


@pytest.mark.django_db(transaction=True)
def test_two_who_tell_of_the_same_new_session_do_not_lock_each_other_out():
    known = make_session()
    station = known.chargestation
    holds = threading.Event()

    def tell_later():
        """Has the known session already, and tells of the new one while the other waits."""
        try:
            with transaction.atomic():
                sql.lock_sessions([known.pk])
                holds.set()
                wait_until(lambda: sql.ids("SELECT 1 FROM pg_locks WHERE NOT granted"))
                sessions.apply([said("new", station)], now=NOW)
        finally:
            connections.close_all()

    other = threading.Thread(target=tell_later)
    other.start()
    holds.wait()
    missing = sessions.apply([said("new", station), said(known.external_id, station)], now=NOW)
    other.join()

    assert missing == {}
    assert Session.objects.get(external_id="new").status == "started"


@pytest.mark.django_db(transaction=True)
def test_a_station_that_comes_back_has_its_sessions_locked_in_their_order_with_all_others(
    monkeypatch,
):
    # What becomes of a batch that was a deadlock's victim.
    monkeypatch.delattr(inbox, "_apply_one_by_one")
    low, high = make_session(), make_session()
    back = deliver("chargestation.online", {"_id": low.chargestation.external_id})
    deliver("session.updated", session_data(high.external_id, power_kw=7))
    holds = threading.Event()

    def plan():
        """Has the lower session already, and takes the higher one while the other waits."""
        try:
            with transaction.atomic():
                sql.lock_sessions([low.pk])
                holds.set()
                wait_until(lambda: sql.ids("SELECT 1 FROM pg_locks WHERE NOT granted"))
                sql.lock_sessions([high.pk])
        finally:
            connections.close_all()

    other = threading.Thread(target=plan)
    other.start()
    holds.wait()
    inbox.apply_batch(now=NOW)
    other.join()

    back.refresh_from_db()
    assert back.state == "applied"
