"""Beside the form, while it is filled in: what the order would do now. The planner's own answer, as
on the page that asks for confirmation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.views.decorators.http import require_POST
from rest_framework.serializers import ValidationError

from chargers.admin.parts import actor_of
from chargers.numerals import numeral
from chargers.problems import Problem
from chargers.wording import clock_text, kilowatts_text
from dr_events import declarations, preview
from dr_events.admin import consequences
from dr_events.admin.headlines import amendment_headline, declaration_headline
from dr_events.admin.operations import Operations
from dr_events.admin.order_sheets import amendment, declaration, new_sheet, sheet_of
from dr_events.admin.words import WHY_NOT, effects, release_effects, relief_text
from dr_events.models import Event
from dr_events.preview import Preview

PAGE = "admin/dr_events/event/live_preview.html"
# What it is called is nobody's business before it is declared.
UNNAMED = "unnamed"


class Previews(Operations):
    """Mixed into a ModelAdmin of Event."""

    def get_urls(self) -> list[URLPattern]:
        return [
            self.operation_url("preview", "preview/", require_POST(self.preview_view)),
            self.operation_url(
                "preview_amend",
                "<uuid:event_id>/preview/",
                require_POST(self.preview_amend_view),
            ),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What declaring this would do."""
        self.must_operate(request)
        is_unnamed = _name_it(request)
        now, sheet = timezone.now(), new_sheet(request)
        told: dict[str, Any] = {}
        if sheet.is_valid():
            try:
                data = declaration(sheet)
                seen = preview.preview(data, now=now)
                said = declarations.read_new(data, now=now)
                told = {
                    "headline": declaration_headline(seen, said, now=now),
                    **_told(seen, effects(seen, said.amount)),
                }
            except ValidationError as error:
                told = {"missing": _texts(error.detail)}
        return self._page(request, told or {"missing": _missing(sheet, is_unnamed=is_unnamed)})

    def preview_amend_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """What amending the event so would do."""
        self.must_operate(request)
        event = get_object_or_404(Event, pk=event_id)
        now, sheet = timezone.now(), sheet_of(event, request)
        if not sheet.is_valid():
            return self._page(request, {"missing": _missing(sheet)})
        try:
            data = amendment(sheet, event, now=now)
            found = consequences.of_amending(event.pk, data, actor=actor_of(request), now=now)
        except ValidationError as error:
            return self._page(request, {"missing": _texts(error.detail)})
        except Problem as problem:
            return self._page(request, {"missing": [problem.detail]})
        leaving = release_effects(found.released) if found.released.sessions else []
        told = _told(found.seen, effects(found.seen, found.amount))
        said = {"headline": amendment_headline(found), "leaving": leaving}
        return self._page(request, {**told, **said})

    def _page(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        url = {"url": request.path, "clock": clock_text(timezone.now())}
        return TemplateResponse(request, PAGE, {**url, **context})


def _name_it(request: HttpRequest) -> bool:
    """Whether it had no name."""
    told = request.POST.copy()
    is_unnamed = not told.get("name", "").strip()
    if is_unnamed:
        told["name"] = UNNAMED
    request.POST = told  # type: ignore[assignment]
    return is_unnamed


def _told(seen: Preview, sentences: list[str]) -> dict[str, Any]:
    return {
        "sentences": sentences,
        "warnings": [warning["detail"] for warning in seen.warnings],
        "sums": [
            ("sessions", numeral(len(seen.lines))),
            ("to be held", numeral(seen.held)),
            *([("of them pause", numeral(seen.pausing))] if seen.pausing else []),
            ("draw now", kilowatts_text(seen.metered_w)),
            ("expected", kilowatts_text(seen.expected_w)),
            relief_text(seen),
        ],
        "cannot": [(count, WHY_NOT.get(reason, reason)) for reason, count in seen.cannot().items()],
    }


def _missing(sheet: Any, *, is_unnamed: bool = False) -> list[str]:
    """What is to be filled in, or put right. There is something to be seen before it has a name,
    which is only listed with the rest."""
    found = [sheet.form.fields["name"].label] if is_unnamed else []
    found += [sheet.form.fields[name].label or name for name in sheet.form.errors if name in
             sheet.form.fields]  # fmt: skip
    if sheet.targets is not None and not sheet.targets.is_valid():
        found.append("Where")
    if sheet.steps is not None and not sheet.steps.is_valid():
        found.append("Steps")
    return found


def _texts(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [f"{name}: {text}" for name, texts in detail.items() for text in _texts(texts)]
    if isinstance(detail, list):
        return [text for part in detail for text in _texts(part)]
    return [str(detail)]
