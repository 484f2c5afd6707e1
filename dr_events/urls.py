from django.urls import include, path
from rest_framework.routers import SimpleRouter

from dr_events import api

router = SimpleRouter(use_regex_path=False)
router.register("events", api.EventViewSet, "event")
router.register("sites", api.SiteViewSet, "site")
router.register("chargestations", api.ChargeStationViewSet, "chargestation")
router.register("sessions", api.SessionViewSet, "session")

urlpatterns = [
    path(
        "events/<uuid:event_id>/opt_outs/",
        api.OptOutViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path(
        "events/<uuid:event_id>/opt_outs/<int:pk>/",
        api.OptOutViewSet.as_view({"delete": "destroy"}),
    ),
    path("events/<uuid:event_id>/participations/", api.ParticipationList.as_view()),
    path("exports/<uuid:pk>/", api.ExportView.as_view(), name="export"),
    path("exports/<uuid:pk>/file/", api.ExportFile.as_view(), name="export-file"),
    path("exports/<uuid:pk>/manifest/", api.ExportManifest.as_view(), name="export-manifest"),
    path("", include(router.urls)),
]
