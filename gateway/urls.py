from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.negotiation import DefaultContentNegotiation

from gateway import health, metrics, overview
from gateway.clients import ThrottledTokenView
from gateway.throttling import seconds_to_wait


def login(request: HttpRequest) -> HttpResponseBase:
    """The admin's log-in, where passwords cannot be tried as fast as one likes."""
    if request.method == "POST" and (wait_s := seconds_to_wait(request)):
        text = f"Too many attempts to log in. Try again in {wait_s} s."
        return HttpResponse(
            text, status=429, content_type="text/plain", headers={"Retry-After": str(wait_s)}
        )
    return admin.site.login(request)


# JSON, unless YAML is asked for.
schema = SpectacularAPIView.as_view(
    renderer_classes=[
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer2,
        OpenApiYamlRenderer,
    ],
    content_negotiation_class=DefaultContentNegotiation,
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/overview/", admin.site.admin_view(overview.live), name="overview"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("dr_events.urls")),
    path("api/v1/schema/", schema, name="schema"),
    path("api/v1/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    path("oauth/token/", ThrottledTokenView.as_view(), name="token"),
    path("", include("chargers.urls")),
    path("health/live/", health.live),
    path("health/ready/", health.ready),
    path("metrics", metrics.metrics),
]
