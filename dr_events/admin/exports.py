"""Reports that were taken, or are made in the background: how far each has got, its file and its
manifest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
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
from chargers.wording import GAP, clock_text, time_text
from dr_events import downloads, exports
from dr_events.models import Export, ExportPiece

LIVE = "admin/dr_events/export/live.html"
SAID = {
    "waiting": "It waits for its turn",
    "running": "It is being made",
    "ready": "It is ready",
    "failed": "It could not be made",
}
COLOURS = {"waiting": "", "running": "info", "ready": "success", "failed": "danger"}


def _progress(export: Export) -> str:
    is_running = export.state == Export.State.RUNNING
    return f"{numeral(exports.done_of(export))}" if is_running else GAP


def _file(export: Any) -> str:
    address = _file_url(export)
    return anchor(address, "download") if address else GAP


def _file_url(export: Any) -> str:
    """Empty where the file is not there yet, or not kept."""
    return reverse("admin:dr_events_export_file", args=[export.pk]) if export.is_kept else ""


def _manifest(export: Export) -> str:
    address = _manifest_url(export)
    return anchor(address, "manifest") if address else GAP


def _manifest_url(export: Export) -> str:
    return reverse("admin:dr_events_export_manifest", args=[export.pk]) if export.manifest else ""


def told_of(export: Any, *, now: datetime) -> dict[str, Any]:
    """How far it has got, and where its file is."""
    done, total = exports.progress_of(export)
    return {
        "export": export,
        "is_live": export.state in (Export.State.WAITING, Export.State.RUNNING),
        "said": SAID[export.state],
        "done": done,
        "total": total,
        "file_url": _file_url(export),
        "manifest_url": _manifest_url(export),
        "clock": clock_text(now),
        "utc": time_text(now, UTC),
    }


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return GAP
    in_kb = size_bytes < 1e6
    return f"{numeral(size_bytes / (1e3 if in_kb else 1e6), ',.1f')} {'kB' if in_kb else 'MB'}"


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    change_form_outer_before_template = "admin/dr_events/export/before.html"
    list_display = (
        moment_column("requested_at", "asked for"),
        link_column("event"),
        "format",
        state_column("state", COLOURS),
        column("progress", "participations done", _progress),
        column("file", "file", _file),
        column("manifest_file", "manifest", _manifest),
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
        kept = ExportPiece.objects.filter(export=OuterRef("pk"))
        with_file: QuerySet[Any] = found.select_related("event").annotate(is_kept=Exists(kept))
        return with_file

    def get_urls(self) -> list[URLPattern]:
        views = {"file": self.file_view, "manifest": self.manifest_view, "live": self.live_view}
        return [
            *(
                path(f"<uuid:export_id>/{name}/", self.admin_site.admin_view(view),
                     name=f"dr_events_export_{name}")
                for name, view in views.items()
            ),
            *super().get_urls(),
        ]  # fmt: skip

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        export = self.get_object(request, object_id)
        live = told_of(export, now=timezone.now()) if export else None
        page: HttpResponse = super().change_view(request, object_id, form_url, {"live": live})
        return page

    def live_view(self, request: HttpRequest, export_id: UUID) -> HttpResponse:
        """What changes on its page, alone. Once it is settled the whole page is loaded anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = get_object_or_404(self.get_queryset(request), pk=export_id)
        told = told_of(export, now=timezone.now())
        if not told["is_live"]:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, LIVE, told)

    def file_view(self, request: HttpRequest, export_id: UUID) -> HttpResponseBase:
        """The file itself."""
        export = self._allowed(request, export_id)
        try:
            return downloads.export(export, actor=actor_of(request), now=timezone.now())
        except Problem as problem:
            messages.error(request, problem.detail)
            return redirect(change_url(export))

    def manifest_view(self, request: HttpRequest, export_id: UUID) -> HttpResponseBase:
        """What the file is, signed."""
        export = self._allowed(request, export_id)
        try:
            return downloads.manifest(export)
        except Problem as problem:
            messages.error(request, problem.detail)
            return redirect(change_url(export))

    def _allowed(self, request: HttpRequest, export_id: UUID) -> Export:
        if not request.user.has_perm("dr_events.export_report"):
            raise PermissionDenied
        return get_object_or_404(Export.objects.select_related("event"), pk=export_id)
