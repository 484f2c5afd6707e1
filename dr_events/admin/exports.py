"""Reports that were asked for in the background: how far each has got, and its file."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesCheckboxFilter

from chargers.admin.pages import PeriodFilter, ReadOnlyAdmin
from chargers.admin.parts import (
    actor_of,
    anchor,
    change_url,
    column,
    link_column,
    moment_column,
    state_column,
    value_column,
)
from chargers.numerals import numeral
from chargers.problems import Problem
from chargers.wording import GAP
from dr_events import downloads, exports
from dr_events.models import Export

COLOURS = {"waiting": "", "running": "info", "ready": "success", "failed": "danger"}


def _progress(export: Export) -> str:
    is_running = export.state == Export.State.RUNNING
    return f"{numeral(exports.done_of(export))}" if is_running else GAP


def _file(export: Export) -> str:
    if export.state != Export.State.READY:
        return GAP
    return anchor(reverse("admin:dr_events_export_file", args=[export.pk]), "download")


def _size(size_bytes: int | None) -> str:
    return GAP if size_bytes is None else f"{numeral(size_bytes / 1e6, ',.1f')} MB"


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    list_display = (
        moment_column("requested_at", "asked for"),
        link_column("event"),
        "format",
        state_column("state", COLOURS),
        column("progress", "participations done", _progress),
        column("file", "file", _file),
        value_column("size_bytes", "size", _size),
        "requested_by",
    )
    list_filter = (("state", ChoicesCheckboxFilter), ("requested_at", PeriodFilter))
    fieldsets = (
        (
            None,
            {
                "fields": (
                    *list_display,
                    moment_column("finished_at", "finished"),
                    value_column("sha256", "SHA-256", lambda text: text or GAP),
                    value_column("trouble", "why it failed", lambda text: text or GAP),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found.select_related("event")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.file_view)
        return [path("<uuid:export_id>/file/", view, name="dr_events_export_file"),
                *super().get_urls()]  # fmt: skip

    def file_view(self, request: HttpRequest, export_id: UUID) -> HttpResponseBase:
        """The file itself."""
        if not request.user.has_perm("dr_events.export_report"):
            raise PermissionDenied
        export = get_object_or_404(Export.objects.select_related("event"), pk=export_id)
        try:
            return downloads.export(export, actor=actor_of(request), now=timezone.now())
        except Problem as problem:
            messages.error(request, problem.detail)
            return redirect(change_url(export))
