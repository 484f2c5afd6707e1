"""What events mean to a session, on the session's own page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils import timezone

from chargers.admin.parts import anchor, column, link, list_url, moment
from chargers.admin.sessions import LATEST, SessionAdmin
from chargers.models import Session
from chargers.wording import limit_text, words
from dr_events import explanation
from dr_events.models import Participation


def _why(session: Session) -> str:
    return explanation.explain(session, now=timezone.now()).text


def participation_rows(session: Session) -> dict[str, Any]:
    """The latest participations of a session, as unfold's table takes them."""
    found = Participation.objects.filter(session=session).select_related("event").order_by("-id")
    rows = [
        [
            link(part.event),
            link(part, part.get_state_display()),
            words(part.reason),
            "yes" if part.binding else "no",
            limit_text(part.wanted),
            limit_text(part.confirmed),
            moment(part.joined_at),
            moment(part.released_at),
        ]
        for part in found[:LATEST]
    ]
    headers = ["event", "state", "reason", "decides", "wanted", "confirmed", "joined", "released"]
    return {"headers": headers, "rows": rows}


class SessionInEventsAdmin(SessionAdmin):
    """A session, with why it is at its limit. `chargers` has never heard of an event, so this
    stands here, in the place of its own page."""

    fieldsets = (
        ("Why is it at this limit?", {"fields": (column("why", "because", _why),)}),
        *SessionAdmin.fieldsets,
    )

    def related_tables(self, session: Session) -> list[dict[str, Any]]:
        everything = list_url(Participation, session__id__exact=session.pk)
        mine = {
            "title": "Latest events it takes part in",
            "table": participation_rows(session),
            "all": anchor(everything, "all participations"),
        }
        return [mine, *super().related_tables(session)]


admin.site.unregister(Session)
admin.site.register(Session, SessionInEventsAdmin)
