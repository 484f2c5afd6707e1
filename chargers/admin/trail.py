"""The audit trail and the heartbeats: who did what, and what last happened."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from unfold.contrib.filters.admin import FieldTextFilter, RadioFilter

from chargers.admin.pages import BigTableAdmin, PeriodFilter, ReadOnlyAdmin
from chargers.admin.parts import anchor, column, lines, moment_column, pretty_json, value_column
from chargers.models import AuditEntry, Heartbeat
from chargers.numerals import numeral
from chargers.wording import GAP, words

MOST_SUBJECTS_SHOWN = 50


def _age(beat: Heartbeat) -> str:
    return f"{numeral((timezone.now() - beat.at).total_seconds(), ',.0f')} s ago"


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = (
        value_column("name", "name", words),
        moment_column("at", "last time"),
        column("age", "which is", _age),
        "detail",
    )
    fieldsets = ((None, {"fields": list_display}),)


class SubjectFilter(RadioFilter):
    title = "subject"
    parameter_name = "subject"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        subjects = ("event", "proposal", "command", "session", "site", "chargestation", "connector")
        return [(name, name) for name in (*subjects, "apiclient", "user", "group")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        return queryset.filter(subject=self.value()) if self.value() else queryset


def subject_url(subject: str, subject_id: str) -> str:
    """The page of what an entry speaks of; empty where there is none."""
    for config in apps.get_app_configs():
        if subject in config.models:
            try:
                return reverse(f"admin:{config.label}_{subject}_change", args=[subject_id])
            except NoReverseMatch:
                return ""
    return ""


def _subject_link(subject: str, subject_id: str) -> str:
    address = subject_url(subject, subject_id)
    text = f"{subject} {subject_id}"
    return anchor(address, text) if address else text


def _subject(entry: AuditEntry) -> str:
    if len(entry.subject_ids) == 1:
        return _subject_link(entry.subject, entry.subject_ids[0])
    return f"{numeral(len(entry.subject_ids))} {entry.subject}s"


def _subjects(entry: AuditEntry) -> str:
    shown = [_subject_link(entry.subject, found) for found in entry.subject_ids]
    more = len(shown) - MOST_SUBJECTS_SHOWN
    rest = [f"and {numeral(more)} more"] if more > 0 else []
    return lines([*shown[:MOST_SUBJECTS_SHOWN], *rest])


def _json_or_gap(value: Any) -> str:
    return GAP if value is None else pretty_json(value)


@admin.register(AuditEntry)
class AuditEntryAdmin(BigTableAdmin):
    list_display = (
        moment_column("at", "when"),
        "action",
        column("subject_link", "subject", _subject),
        "actor",
        "origin",
    )
    list_display_links = ("action",)
    list_filter = (
        SubjectFilter,
        ("action", FieldTextFilter),
        ("actor", FieldTextFilter),
        ("at", PeriodFilter),
    )
    search_fields = ("actor__startswith", "action__startswith")
    search_help_text = "Actor, action, or id of what was changed"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    moment_column("at", "when"),
                    "action",
                    "actor",
                    "origin",
                    column("subjects", "subjects", _subjects),
                )
            },
        ),
        (
            "Change",
            {
                "fields": (
                    value_column("before", "before", _json_or_gap),
                    value_column("after", "after", _json_or_gap),
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if term := search_term.strip():
            of_subject = Q(subject_ids__contains=[term])
            found = queryset.filter(of_subject | Q(pk__in=found.order_by().values("pk")))
        return found, bool(may_repeat)
