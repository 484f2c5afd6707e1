"""manage.py sync_chargers: what it read, in one line. What goes wrong is in test_inventory."""

import re

import pytest
from django.core.management import call_command

from chargers.models import ChargeStation, Connector, Session, Site

pytestmark = pytest.mark.django_db


def test_it_says_how_much_it_read_and_again_when_nothing_is_new(edrv, capsys):
    call_command("sync_chargers")
    first = capsys.readouterr().out
    call_command("sync_chargers")

    read = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", first)}
    assert first.startswith("Read ")
    assert read["sessions"] == Session.objects.count() > 0
    assert {Site.objects.count(), ChargeStation.objects.count(), Connector.objects.count()} <= set(
        read.values()
    )
    assert capsys.readouterr().out == first
