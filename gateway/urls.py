from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation

from gateway import health, metrics, overview
from gateway.clients import ThrottledTokenView
from gateway.login.views import login

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
    path("admin/overview/", admin.site.admin_view(overview.live), name="overview"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("dr_events.urls")),
    path("api/v1/schema/", schema, name="schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema")),
    path("oauth/token/", ThrottledTokenView.as_view(), name="token"),
    path("", include("chargers.urls")),
    path("health/live/", health.live),
    path("health/ready/", health.ready),
    path("metrics", metrics.metrics),
]
