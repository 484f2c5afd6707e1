"""The page of an event: where it stands, what can be done, who did what."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.test import Client

from chargers.models import AuditEntry, Session, Site
from dr_events.models import Event, EventTarget, Participation
from tests.admin.support import (
    address,
    make_event,
    make_participation,
    order,
    page_of,
    text_of,
)
from tests.dr_events import story
from tests.fleet import later, make_session

PARTS = ("pending", "confirmed", "failed", "unreachable", "exempt", "ended")


def test_the_counts_add_up(root: Client) -> None:
    event = make_event()
    for number, state in enumerate(PARTS, 1):
        for _ in range(number):
            make_participation(event, state=state)

    counts = root.get(address(Event, "change", event.pk)).context["counts"]

    assert counts.targeted == 21
    assert counts.targeted == sum(getattr(counts, state) for state in PARTS)


def test_the_counts_are_shown_and_lead_to_the_participations(root: Client) -> None:
    event = make_event()
    make_participation(event, state="confirmed", complied_at=later(30))
    make_participation(event, state="failed", reason="rejected_by_station")

    page = page_of(root.get(address(Event, "change", event.pk))).replace("&amp;", "&")

    mine = f"{address(Participation, 'changelist')}?event__id__exact={event.pk}"
    assert f'href="{mine}">2</a>' in page
    assert f'href="{mine}&state__exact=failed">1</a>' in page
    assert f"{mine}&state__exact=failed&reason__exact=rejected_by_station" in page
    assert "rejected by station" in page
    narrowed = root.get(f"{mine}&state__exact=failed")
    assert [part.state for part in narrowed.context["cl"].result_list] == ["failed"]


def test_power_limit_scope_and_times_are_in_plain_words(root: Client) -> None:
    make_session(power_w=11_000)
    event = story.declare(duration="PT45M", test=True)

    said = text_of(root.get(address(Event, "change", event.pk)))

    assert "At most 4,200 W for each session in feeder F12" in said
    assert "draw before 11.0 kW draw now 11.0 kW" in said
    assert "ends 2026-07-01 18:45:00 UTC in 45 min" in said
    assert "drill" in said


def test_an_old_reading_is_shown_as_a_gap_with_its_time(root: Client) -> None:
    make_session(power_w=11_000)
    silent = make_session(power_w=3_695, metered_at=later(-900))
    event = story.declare()

    page = text_of(root.get(address(Event, "change", event.pk)))
    session = text_of(root.get(address(Session, "change", silent.pk)))
    site = text_of(root.get(address(Site, "change", silent.chargestation.site_id)))
    confirmed = text_of(root.post(address(Event, "add"), {**order(), "step": "preview"}))

    assert "draw now 11.0 kW, 1 not metered" in page
    assert "draws – (3,695 W at 17:45)" in session
    assert "draw – not metered 1" in site
    for told in (page, site, confirmed):
        assert "– (3,695 W at 17:45)" in told


def test_an_event_without_an_end_says_so(root: Client) -> None:
    event = make_event(limit_value=0)

    said = text_of(root.get(address(Event, "change", event.pk)))

    assert "Charging pauses (limit 0)" in said
    assert "ends when somebody ends it" in said


def test_an_event_that_ended_early_says_when_it_ended(root: Client) -> None:
    ended: dict[str, Any] = {"ends_at": later(3600), "ended_at": later(-60)}
    event = make_event(status="completed", ending_as="completed", **ended)
    make_event(
        name="Never ran", status="cancelled", activated_at=None, ended_at=later(-90), ending_as=""
    )

    page = text_of(root.get(address(Event, "change", event.pk)))
    listed = text_of(root.get(address(Event, "changelist")))

    assert "was to end 2026-07-01 19:00:00 UTC" in page
    assert "ended 2026-07-01 17:59:00 UTC" in page
    assert "ends 2026" not in page
    assert "ended 2026-07-01 17:59:00 UTC" in listed
    assert "ended 2026-07-01 17:58:30 UTC" in listed
    assert "19:00:00" not in listed
    assert root.get(address(Event, "changelist"), {"o": "6"}).status_code == 200


@pytest.mark.parametrize(
    ("status", "possible"),
    [
        ("scheduled", ["amend", "cancel"]),
        ("active", ["amend", "end", "cancel"]),
        ("restoring", []),
        ("completed", []),
    ],
)
def test_only_what_is_possible_is_offered(
    operator: Client, status: str, possible: list[str]
) -> None:
    times: dict[str, Any] = {
        "scheduled": {"activated_at": None},
        "active": {},
        "restoring": {"ended_at": later(0), "ending_as": "completed"},
        "completed": {"ended_at": later(0), "ending_as": "completed"},
    }
    event = make_event(status=status, **times[status])

    page = page_of(operator.get(address(Event, "change", event.pk)))

    offered = re.findall(rf'href="/admin/dr_events/event/{event.pk}/(amend|end|cancel)/"', page)
    assert offered == possible


def test_the_trail_tells_who_did_what(operator: Client) -> None:
    event = story.declare()
    story.declare(name="Another")
    operator.post(address(Event, "end", event.pk))

    page = operator.get(address(Event, "change", event.pk))

    actions = [re.sub("<[^>]+>", "", row["what"]) for row in page.context["trail"]]
    assert actions == ["event.restoring", "event.active", "event.declared"]
    assert page.context["trail"][0]["actor"] == "user:operator"


def test_a_report_is_downloaded_and_that_is_on_record(operator: Client) -> None:
    part = make_participation(state="confirmed")
    event = part.event

    as_json = operator.post(address(Event, "report", event.pk, "json"))
    as_csv = operator.post(address(Event, "report", event.pk, "csv"))

    assert f'filename="event-{event.pk}.json"' in as_json.headers["Content-Disposition"]
    told = json.loads(b"".join(as_json.streaming_content))  # type: ignore[arg-type]
    assert told["counts"]["confirmed"] == 1
    lines = list(csv.DictReader(io.StringIO(b"".join(as_csv.streaming_content).decode())))  # type: ignore[arg-type]
    assert [line["session"] for line in lines] == [part.session.external_id]
    taken = AuditEntry.objects.filter(action="report.exported", actor="user:operator")
    assert {entry.after["format"] for entry in taken} == {"json", "csv"}


def test_a_report_is_not_taken_by_following_a_link(operator: Client) -> None:
    event = make_event()

    assert operator.get(address(Event, "report", event.pk, "csv")).status_code == 405
    assert operator.post(address(Event, "report", event.pk, "xml")).status_code == 404
    assert not AuditEntry.objects.exists()


def test_the_list_shows_how_far_each_event_is(root: Client) -> None:
    event = make_event(test=True)
    for state in ("confirmed", "confirmed", "failed"):
        make_participation(event, state=state)

    said = text_of(root.get(address(Event, "changelist")))

    assert "Feeder F12 overload (drill)" in said
    assert "2 of 3" in said
    assert "4,200 W" in said


def test_a_hostile_name_is_only_text(root: Client) -> None:
    event = make_event(name="<script>alert(1)</script>")
    make_participation(event)

    for address_ in (address(Event, "change", event.pk), address(Event, "end", event.pk),
                     address(Event, "amend", event.pk), address(Event, "changelist"),
                     address(Participation, "changelist")):  # fmt: skip
        assert "<script>alert(1)" not in page_of(root.get(address_))


def test_a_long_scope_is_shown_in_pages(root: Client) -> None:
    event = make_event()
    EventTarget.objects.bulk_create(
        EventTarget(event=event, type="site", value=f"loc_{number}") for number in range(60)
    )

    page = address(Event, "change", event.pk)

    assert "in site loc_0, site loc_1" in text_of(root.get(page))
    assert "and 54 more" in text_of(root.get(page))
    assert "loc_59" in text_of(root.get(page, {"targets-page": "2"}))


def figures_address(event: Event, status: str) -> str:
    return f"{address(Event, 'figures', event.pk)}?status={status}"


def test_a_running_event_fetches_its_figures_anew(root: Client) -> None:
    event = make_event()
    page = page_of(root.get(address(Event, "change", event.pk)))
    make_participation(event, state="confirmed")

    figures = root.get(figures_address(event, "active"))

    assert f'hx-get="{figures_address(event, "active")}" hx-trigger="every 2s, refresh"' in page
    assert "sessions 1 = confirmed 1 + pending 0" in text_of_part(figures)
    assert "As of 2026-07-01 18:00:0" in text_of_part(figures)


def text_of_part(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page_of(response)).split())


def test_the_page_is_loaded_anew_once_other_things_can_be_done(root: Client) -> None:
    event = make_event(status="restoring", ended_at=later(60), ending_as="completed")

    moved_on = root.get(figures_address(event, "active"))

    assert moved_on.headers["HX-Refresh"] == "true"
    assert moved_on.content == b""


def test_the_figures_of_an_event_that_is_over_stay(root: Client) -> None:
    event = make_event(status="completed", ended_at=later(60), restored_at=later(61))

    page = page_of(root.get(address(Event, "change", event.pk)))

    assert 'id="figures"' in page
    assert figures_address(event, "completed") not in page


def test_figures_are_for_who_may_see_the_event(log_in: Any, client: Client) -> None:
    event = make_event()
    wanted = figures_address(event, "active")

    assert log_in("auditor").get(wanted).status_code == 200
    assert log_in("nobody").get(wanted).status_code == 403
    assert client.get(wanted).status_code == 302, "to the log-in, which the page notices"


def test_who_ended_meanwhile_is_not_counted_as_unconfirmed(root: Client) -> None:
    event = make_event()
    for state in ("confirmed", "failed", "ended"):
        make_participation(event, state=state)

    assert "1 of 2, 1 ended" in text_of(root.get(address(Event, "changelist")))
