from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path, reverse
from django.views.generic import RedirectView
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.negotiation import DefaultContentNegotiation

from gateway import health, metrics
from gateway.clients import ThrottledTokenView
from gateway.login import sso
from gateway.login.views import too_many
from gateway.throttling import seconds_to_wait


def login(request: HttpRequest) -> HttpResponseBase:
    """The admin's log-in, where passwords cannot be tried as fast as one likes."""
    if request.method == "POST" and (wait_s := seconds_to_wait(request)):
        return too_many(request, wait_s)
    sso_url = reverse("login:sso") if sso.is_configured() else ""
    return admin.site.login(request, {"sso_url": sso_url})


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
    path("login/", include("gateway.login.urls")),
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
