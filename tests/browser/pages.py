"""The pages of the control room, by the name of their picture."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import reverse

from tests.browser.scene import Scene

Address = Callable[[Scene], str]

PAGES: dict[str, Address] = {
    "overview": lambda scene: reverse("admin:index"),
    "event": lambda scene: reverse("admin:dr_events_event_change", args=[scene.event.pk]),
    "declare": lambda scene: reverse("admin:dr_events_event_add"),
    "amend": lambda scene: reverse("admin:dr_events_event_amend", args=[scene.event.pk]),
    "extend": lambda scene: reverse("admin:dr_events_event_extend", args=[scene.event.pk]),
    "end": lambda scene: reverse("admin:dr_events_event_end", args=[scene.event.pk]),
    "retry": lambda scene: (
        reverse("admin:dr_events_event_retry", args=[scene.event.pk]) + "?state=failed"
    ),
    "session": lambda scene: reverse("admin:chargers_session_change", args=[scene.session.pk]),
    "site": lambda scene: reverse("admin:chargers_site_change", args=[scene.site.pk]),
    "chargestation": lambda scene: reverse(
        "admin:chargers_chargestation_change", args=[scene.station.pk]
    ),
    "events": lambda scene: reverse("admin:dr_events_event_changelist"),
    "import": lambda scene: reverse("admin:chargers_site_import"),
    "file": lambda scene: reverse("admin:chargers_site_file", args=[scene.file.pk]),
    "lift": lambda scene: reverse("admin:chargers_session_lift_again"),
}
