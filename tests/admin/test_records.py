"""Records of fact are added, changed and deleted by nobody; things of eDRV's are not deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dr_events.models import Event
from tests.admin.support import FLEET, RECORDS, address, make


@pytest.mark.parametrize("model", RECORDS)
def test_nobody_adds_a_record_not_even_a_superuser(root: Client, model: Any) -> None:
    assert root.get(address(model, "add")).status_code == 403
    assert root.post(address(model, "add"), {}).status_code == 403
    assert model.objects.count() == 0


@pytest.mark.parametrize("model", RECORDS)
def test_nobody_changes_a_record_not_even_a_superuser(root: Client, model: Any) -> None:
    row = make(model)
    before = model.objects.filter(pk=row.pk).values().get()

    assert root.post(address(model, "change", row.pk), {"name": "x"}).status_code == 403
    assert model.objects.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("model", [Event, *FLEET, *RECORDS])
def test_nobody_deletes_a_record_an_event_or_a_part_of_the_fleet(root: Client, model: Any) -> None:
    row = make(model)
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}

    assert root.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    root.post(address(model, "changelist"), chosen)
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", RECORDS)
def test_the_page_of_a_record_has_nothing_to_fill_in(root: Client, model: Any) -> None:
    row = make(model)

    page = root.get(address(model, "change", row.pk))

    assert page.context["adminform"].form.fields == {}
    assert not page.context["show_save"]


@pytest.mark.parametrize("model", FLEET)
def test_parts_of_the_fleet_are_not_added_by_hand(root: Client, model: Any) -> None:
    assert root.get(address(model, "add")).status_code == 403


@pytest.mark.parametrize("model", [Event, *FLEET, *RECORDS])
def test_nothing_is_copied_by_saving_it_as_new(root: Client, model: Any) -> None:
    row = make(model)

    page = address(model, "change", row.pk)

    assert root.post(page, {"_saveasnew": "1", "name": "x"}).status_code == 403
    assert model.objects.count() == 1


def test_an_event_is_not_changed_behind_the_back_of_the_intake(root: Client) -> None:
    event = make(Event)

    assert root.post(address(Event, "change", event.pk), {"name": "x"}).status_code == 403
    event.refresh_from_db()
    assert event.name == "Feeder F12 overload"
