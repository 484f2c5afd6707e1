"""Taking on commands while something else happens."""

import pytest

from chargers import claims, limits, sql
from chargers.models import ChargeStation, Command
from tests.dr_events.story import ENDPOINT
from tests.fleet import FOUR_KW, NOW, later, make_connector, make_session, make_station, wanting


@pytest.mark.django_db
def test_a_station_that_comes_online_while_its_command_is_claimed_is_not_waited_for(monkeypatch):
    station = make_station(online=False)
    limits.want([wanting(make_session(make_connector(station)), FOUR_KW)], now=NOW)
    rows = sql.rows

    def rows_as_of_before(statement, parameters=()):
        found = rows(statement, parameters)
        if statement == claims._DUE:
            ChargeStation.objects.update(online=True)
        return found

    monkeypatch.setattr(sql, "rows", rows_as_of_before)

    [claimed] = claims.claim(10, endpoint=ENDPOINT, now=NOW, lease_until=later(18))

    assert (claimed.verb, claimed.station_online) == ("set", True)
    assert Command.objects.get().reason == ""
