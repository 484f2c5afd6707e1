from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from gateway import health, metrics, overview
from gateway.clients import ThrottledTokenView
from gateway.description import Description
from gateway.login.views import login

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("login/", include("gateway.login.urls")),
    path("admin/overview/", admin.site.admin_view(overview.live), name="overview"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("dr_events.urls")),
    path("api/v1/schema/", Description.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema")),
    path("oauth/token/", ThrottledTokenView.as_view(), name="token"),
    path("", include("chargers.urls")),
    path("health/live/", health.live),
    path("health/ready/", health.ready),
    path("metrics", metrics.metrics),
]
