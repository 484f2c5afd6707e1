"""Standing site capacity: what the sun, a battery or a fuse lets a site import, told again and
again by whoever knows. It holds beside and above every event; silence makes it the safe value."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from chargers import audit, news, sql
from chargers.audit import Actor
from chargers.models import Site
from chargers.problems import Problem
from dr_events import shapes
from dr_events.declarations import MAX_AHEAD
from dr_events.models import SiteCapacity
from dr_events.shapes import invalid
from dr_events.tasks import steer_bell


def put(site: Site, data: Any, *, actor: Actor, now: datetime) -> SiteCapacity:
    """Say what a site may import until when. Raises ValidationError."""
    said = shapes.read(shapes.CapacityShape, data)
    if said["valid_until"] <= now:
        raise invalid("valid_until", "is in the past", code="past")
    if said["valid_until"] > now + MAX_AHEAD:
        raise invalid("valid_until", f"is more than {MAX_AHEAD.days} days ahead", code="too_far")
    with transaction.atomic():
        before = _locked(site)
        safe_w = before.safe_power_w if before else settings.SITE_SAFE_POWER_W
        capacity, _ = SiteCapacity.objects.update_or_create(
            site=site,
            defaults={
                "power_w": said["power_w"],
                "valid_until": said["valid_until"],
                "safe_power_w": said.get("safe_power_w", safe_w),
                "declared_by": actor.name,
                "declared_at": now,
                "plan_again_at": now,
            },
        )
        _note("site_capacity.set", site, before, capacity, actor, now)
        steer_bell.ring()
    return capacity


def of_site(site: Site) -> SiteCapacity:
    """Raises Problem 404 for a site without one."""
    found = SiteCapacity.objects.filter(site=site).first()
    if found is None:
        raise Problem(404, "no_capacity", f"Nothing is said of the capacity of {site}.")
    return found


def remove(site: Site, *, actor: Actor, now: datetime) -> None:
    """Let a site import what it likes, events aside. Removing it again changes nothing."""
    with transaction.atomic():
        before = _locked(site)
        if before is None:
            return
        before.delete()
        _note("site_capacity.removed", site, before, None, actor, now)
        news.tell(sql.ids(_SESSIONS, [site.id]))


def _locked(site: Site) -> SiteCapacity | None:
    """What is said of a site, for this transaction alone. It is the site that is locked: where
    nothing is said yet there is no row of ours that could be."""
    Site.objects.select_for_update(no_key=True).get(pk=site.pk)
    return SiteCapacity.objects.filter(site=site).first()


def _note(
    action: str,
    site: Site,
    before: SiteCapacity | None,
    after: SiteCapacity | None,
    actor: Actor,
    now: datetime,
) -> None:
    """What is said again the same is not noted again: feeds speak every minute."""
    if before and after and _said(before) == _said(after):
        return
    audit.record(
        actor,
        action,
        at=now,
        subject="site",
        subject_ids=[site.external_id],
        before=_said(before) if before else None,
        after=_said(after) if after else None,
    )


def _said(capacity: SiteCapacity) -> dict[str, float]:
    return {"power_w": capacity.power_w, "safe_power_w": capacity.safe_power_w}


_SESSIONS = """
    SELECT session.id FROM chargers_session AS session
      JOIN chargers_chargestation AS station ON station.id = session.chargestation_id
     WHERE station.site_id = %s AND session.ended_at IS NULL
"""
