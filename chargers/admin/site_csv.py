"""CSV import and export on the list of sites."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from import_export.admin import ImportExportMixin
from import_export.tmp_storages import CacheStorage
from unfold.contrib.import_export.forms import ImportForm

from chargers.admin.parts import actor_of, list_url
from chargers.models import Site
from chargers.resources import SiteCsv, SiteResource

MOST_ERRORS_SHOWN = 10


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


class SiteImportMixin(ImportExportMixin):
    resource_classes = [SiteResource]
    formats = [SiteCsv]
    tmp_storage_class = UploadStorage
    import_form_class = ImportForm
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

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
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
