"""Two at once about the same sessions: a sync reads what webhooks tell at that very moment."""

import threading

import pytest
from django.db import connections, transaction

from chargers import sessions, sql
from chargers.edrv.payloads import SessionData
from chargers.models import Session
from chargers.sessions import Said
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
