"""What a reply of eDRV leaves behind, without a wire."""

from datetime import timedelta

import pytest

from chargers import claims, dispatch, limits, replies
from chargers.edrv.burst import Reply
from chargers.edrv.errors import ProviderUnreachable
from tests.dr_events.story import ENDPOINT
from tests.fleet import FOUR_KW, NOW, later, make_connector, make_session, make_station, wanting

pytestmark = pytest.mark.django_db

NO = b'{"ok":false,"message":"no","result":null}'


def claim(now=NOW):
    [one] = claims.claim(10, endpoint=ENDPOINT, now=now, lease_until=now + timedelta(seconds=18))
    return one


def record(one, *, status=0, body=b"", sent=True, error=None, now=NOW):
    now_s = now.timestamp()
    reply = Reply(one.attempt_id, now_s if sent else None, now_s, status, {}, body, error)
    dispatch.record([replies.judge(one, reply, jitter=0.5)], now=now)


def may_be_limited(session):
    session.refresh_from_db()
    return session.may_be_limited


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429])
def test_what_had_no_effect_leaves_nothing_to_clear(status):
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    one = claim()
    assert may_be_limited(session)

    record(one, status=status, body=NO)

    assert not may_be_limited(session)


def test_what_was_never_sent_leaves_nothing_to_clear():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)

    record(claim(), sent=False)

    assert not may_be_limited(session)


def test_what_edrv_refused_for_an_offline_station_leaves_nothing_to_clear():
    session = make_session(make_connector(make_station(online=False)))
    limits.want([wanting(session, FOUR_KW)], now=NOW)
    assert claims.claim(10, endpoint=ENDPOINT, now=NOW, lease_until=later(18)) == []

    record(claim(later(61)), status=400, body=NO, now=later(61))

    assert not may_be_limited(session)


def test_what_may_have_had_an_effect_leaves_a_limit_that_may_be_there():
    session = make_session()
    limits.want([wanting(session, FOUR_KW)], now=NOW)

    record(claim(), error=ProviderUnreachable("timed out", ambiguous=True))

    assert may_be_limited(session)
