"""CSV import and export on the list of sites."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.forms import ChoiceField, HiddenInput
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from import_export.admin import ImportExportMixin
from import_export.forms import ConfirmImportForm
from import_export.tmp_storages import CacheStorage
from unfold.contrib.import_export.forms import ImportForm

from chargers import site_files
from chargers.admin.parts import actor_of, list_url
from chargers.models import Site, SiteFile
from chargers.problems import Problem
from chargers.resources import SiteCsv, SiteResource
from chargers.tasks import site_file_bell

MOST_ERRORS_SHOWN = 10
FILE = "admin/chargers/site/file.html"
FILE_LIVE = "admin/chargers/site/file_live.html"


class UploadGone(Exception):
    """The uploaded file is no longer there: it expired, or was imported already."""


class UploadStorage(CacheStorage):
    """Between preview and confirmation the file waits where every web process finds it."""

    CACHE_LIFETIME = 3600

    def read(self) -> Any:
        data = super().read()
        if data is None:
            raise UploadGone
        return data


class ConfirmForm(ConfirmImportForm):
    """import-export looks these up by number; there is one of each."""

    format = ChoiceField(choices=[("0", "csv")], widget=HiddenInput)
    resource = ChoiceField(choices=[("0", "sites")], widget=HiddenInput, required=False)


class SiteImportMixin(ImportExportMixin):
    resource_classes = [SiteResource]
    formats = [SiteCsv]
    tmp_storage_class = UploadStorage
    import_form_class = ImportForm
    confirm_form_class = ConfirmForm
    skip_export_form = True
    import_template_name = "admin/chargers/site/import.html"

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(("chargers.add_site", "chargers.change_site"))

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chargers.view_site")

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"actor": actor_of(request)}

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"actor": actor_of(request)}

    def get_urls(self) -> list[URLPattern]:
        views = {"file": ("", self.file_view), "file_live": ("live/", self.file_live_view)}
        urls = [
            path(f"import/<uuid:file_id>/{end}", self.admin_site.admin_view(view),
                 name=f"chargers_site_{name}")
            for name, (end, view) in views.items()
        ]  # fmt: skip
        return [*urls, *super().get_urls()]

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """A large file is taken in the background, and has a page that says how far it is."""
        try:
            file = self._sent(request) if self.has_import_permission(request) else None
        except Problem as problem:
            messages.error(request, f"Nothing imported. {problem.detail}")
            return redirect(f"{list_url(Site)}import/")
        if file:
            return redirect("admin:chargers_site_file", file.pk)
        response: HttpResponse = super().import_action(request, **kwargs)
        return response

    def get_import_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {
            "files": SiteFile.objects.defer("content"),
            "large_from": site_files.LARGE_FROM,
            "most_rows": site_files.MOST_ROWS,
        }

    def _sent(self, request: HttpRequest) -> SiteFile | None:
        form = self.create_import_form(request)
        if request.method != "POST" or not form.is_valid():
            return None
        upload = form.cleaned_data["import_file"]
        content = upload.read()
        upload.seek(0)
        if not site_files.is_large(content):
            return None
        file = site_files.send(upload.name, content, actor=actor_of(request), now=timezone.now())
        site_file_bell.ring()
        return file

    def file_view(self, request: HttpRequest, file_id: UUID) -> HttpResponse:
        """How far a large file is and what is wrong with it; by POST it is confirmed."""
        context = self._file_context(request, file_id)
        if request.method == "POST":
            if site_files.confirm(file_id, actor=actor_of(request)):
                site_file_bell.ring()
            return redirect("admin:chargers_site_file", file_id)
        everywhere = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, FILE, {**everywhere, **context})

    def file_live_view(self, request: HttpRequest, file_id: UUID) -> HttpResponse:
        """What changes on that page. One in another state has it loaded anew."""
        context = self._file_context(request, file_id)
        if request.GET.get("state") != context["file"].state:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, FILE_LIVE, context)

    def _file_context(self, request: HttpRequest, file_id: UUID) -> dict[str, Any]:
        if not self.has_import_permission(request):
            raise PermissionDenied
        file = get_object_or_404(SiteFile.objects.defer("content"), pk=file_id)
        return {
            "title": f"Import of {file.name}",
            "file": file,
            "done": site_files.done_of(file),
            "live_url": reverse("admin:chargers_site_file_live", args=[file_id]),
        }

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        may_import = request.method == "POST" and self.has_import_permission(request)
        if may_import and not self.create_confirm_form(request).is_valid():
            raise BadRequest("This is no confirmation of an import.")
        try:
            response: HttpResponse = super().process_import(request, **kwargs)
        except UploadGone:
            messages.error(
                request, "Nothing imported: the file was imported already, or waited too long."
            )
            return redirect(list_url(Site))
        return response

    def process_result(self, result: Any, request: HttpRequest) -> HttpResponse:
        if not result.has_errors():
            response: HttpResponse = super().process_result(result, request)
            return response
        for problem in result.problems()[:MOST_ERRORS_SHOWN]:
            messages.error(request, f"Nothing imported. {problem}")
        return redirect(f"{list_url(Site)}import/")
