from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from gateway import health, metrics
from gateway.clients import ThrottledTokenView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("dr_events.urls")),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    path("oauth/token/", ThrottledTokenView.as_view(), name="token"),
    path("", include("chargers.urls")),
    path("health/live/", health.live),
    path("health/ready/", health.ready),
    path("metrics", metrics.metrics),
]
