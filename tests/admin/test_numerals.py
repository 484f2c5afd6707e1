"""Numbers are written as the reader's browser asks for; the words, and what machines read, stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chargers.admin.parts import change_url
from chargers.models import Site
from chargers.numerals import language_for, numeral, written_in
from dr_events.models import Event, Proposal
from tests.admin.support import address, hidden_of, order, page_of, text_of
from tests.clients import Api, create_client
from tests.dr_events import story
from tests.fleet import make_session, make_site

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-DE,de;q=0.9,en;q=0.8"}
ENGLISH = {"HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.9"}


@pytest.mark.parametrize(
    ("header", "written"),
    [
        ("", "1,234,567.5"),
        ("en-GB,en;q=0.9", "1,234,567.5"),
        ("de", "1.234.567,5"),
        ("de-AT,de;q=0.9,en;q=0.8", "1.234.567,5"),
        ("fr-FR", "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567,5"),
        ("xx-YY,nl;q=0.5", "1.234.567,5"),
        ("en;q=0.3,it;q=0.9", "1.234.567,5"),
        ("*", "1,234,567.5"),
        ("de;q=nonsense,,;;", "1,234,567.5"),
    ],
)
def test_the_first_language_that_is_known_decides(header: str, written: str) -> None:
    with written_in(language_for(header)):
        assert numeral(1_234_567.5, ",.1f") == written
    assert numeral(1_234_567.5, ",.1f") == "1,234,567.5"


@pytest.mark.parametrize(
    ("language", "figures"),
    [(GERMAN, ("1.234,5 kW", "1.234.500 W")), (ENGLISH, ("1,234.5 kW", "1,234,500 W"))],
)
def test_figures_are_written_as_the_reader_s_language_has_them(
    operator: Client, language: Any, figures: tuple[str, str]
) -> None:
    session = make_session(power_w=1_234_500)

    first = operator.get(reverse("admin:index"), **language)
    listed = operator.get(change_url(session), **language)

    assert f"draw together {figures[0]}" in text_of(first)
    assert f"power {figures[1]}" in text_of(listed).lower().replace(" w ", " W ")
    assert "cars charging" in text_of(first), "the words stay as they are"
    assert "Accept-Language" in first.headers["Vary"]


def test_an_order_says_its_limit_in_the_reader_s_numbers_and_is_typed_in_plain_ones(
    operator: Client,
) -> None:
    make_session()

    shown = operator.post(
        address(Event, "add"), {**order(limit_value="4200.5"), "step": "preview"}, **GERMAN
    )

    assert "16 A is 3.680 W on one phase" in text_of(operator.get(address(Event, "add"), **GERMAN))
    assert "1 session will be held to 4.200,5 W each." in text_of(shown)
    assert hidden_of(shown)["limit_value"] == "4200.5"
    operator.post(address(Event, "add"), {**hidden_of(shown), "step": "confirm"}, **GERMAN)
    assert Event.objects.get().limit_value == 4200.5


def test_what_is_kept_for_others_is_kept_in_plain_numbers(operator: Client, settings: Any) -> None:
    settings.APPROVAL_ROLES = ["operator"]
    settings.APPROVAL_ABOVE_KW = 0
    make_session()
    shown = operator.post(address(Event, "add"), {**order(), "step": "preview"}, **GERMAN)

    operator.post(address(Event, "add"), {**hidden_of(shown), "step": "confirm"}, **GERMAN)

    assert "held to 4,200 W each" in Proposal.objects.get().summary


def test_what_machines_read_is_written_for_machines(
    operator: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    api = Api(Client(), create_client(capsys, "scada"))
    make_site(external_id="loc_1", voltage_v=230.5)
    session = make_session()
    event = story.declare()

    exported = operator.get(address(Site, "export"), **GERMAN)
    report = operator.post(address(Event, "report", event.pk, "csv"), **GERMAN)
    told = api.get(f"sessions/{session.external_id}/", **GERMAN).json()

    assert ",230.5," in exported.content.decode()
    assert ",4200.0," in b"".join(report.streaming_content).decode()
    assert "4,200 W" in told["why"]["explanation"]
    assert told["wanted"]["value"] == 4200


def test_pictures_and_charts_keep_their_decimal_points(operator: Client) -> None:
    session = make_session()
    story.declare()
    story.accept(1)

    page = page_of(operator.get(change_url(session), **GERMAN))

    [data] = [
        part.partition("</script>")[0]
        for part in page.split('type="application/json">')[1:]
        if '"lines"' in part
    ]
    assert json.loads(data)["lines"]
