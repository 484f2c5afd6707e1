"""An evening in the database: an event fourteen minutes old, with all that can be the matter.

Everything is as the loop would have left it, at the present time, so that pages can be looked at
and checked without waiting for cars.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.utils import timezone

from chargers import load
from chargers.models import (
    Attempt,
    ChargeStation,
    Command,
    Connector,
    Heartbeat,
    MeterReading,
    PlaceLoad,
    Session,
    Site,
    SiteFile,
    WebhookDelivery,
)
from dr_events import curve
from dr_events.models import (
    Event,
    EventLoad,
    EventTarget,
    OptOut,
    Participation,
    SiteCapacity,
)
from dr_events.pulse import SWEPT
from gateway.roles import ROLES
from tests.browser.world import PASSWORD

PLACES = (
    ("North", "Millbrook", "F11", "Millbrook Market"),
    ("North", "Millbrook", "F12", "Station Road"),
    ("North", "Millbrook", "F12", "Canal Wharf"),
    ("North", "Millbrook", "F12", "Town Hall Garage"),
    ("North", "Ashford", "F21", "Ashford Retail Park"),
    ("North", "Ashford", "F22", "Mill Lane"),
    ("South", "Harbour", "F31", "Harbour Ferry Terminal"),
    ("South", "Harbour", "F32", "Fish Market"),
)
STATIONS_A_SITE = 6
LIMIT_W = 4200.0
AGE = timedelta(minutes=14)


@dataclass
class Scene:
    """What the pages are of."""

    event: Event
    scheduled: Event
    over: Event
    session: Session
    rejected: Session
    site: Site
    station: ChargeStation
    file: SiteFile


class Painter:
    """Puts one thing after the other into an empty database."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.chance = random.Random(12)
        self._ids = iter(range(1, 1_000_000))

    def id(self) -> str:
        return f"65{next(self._ids):022x}"

    def ago(self, **times: float) -> datetime:
        return self.now - timedelta(**times)

    def paint(self) -> Scene:
        self.people()
        sessions = self.fleet()
        on_feeder = [s for s in sessions if s.chargestation.site.feeder == "F12"]
        over = self.event_over(on_feeder)
        event = self.event_active(on_feeder)
        self.curve_of(event, len(on_feeder))
        self.places()
        self.timeline(event, on_feeder[0])
        rejected = Participation.objects.filter(event=event, state="failed")[0].session
        self.heartbeats()
        SiteCapacity.objects.create(
            site=sessions[-1].chargestation.site, power_w=40_000, safe_power_w=10_000,
            valid_until=self.ago(minutes=7), declared_by="client:solar",
            declared_at=self.ago(minutes=12),
        )  # fmt: skip
        scheduled = self.event_scheduled()
        site = on_feeder[0].chargestation.site
        self.left_behind(sessions[-1])
        station = on_feeder[0].chargestation
        file = self.large_file()
        return Scene(event, scheduled, over, on_feeder[0], rejected, site, station, file)

    def people(self) -> None:
        for role in ROLES:
            user = User.objects.create_user(role, password=PASSWORD, is_staff=True)
            user.groups.add(Group.objects.get(name=role))

    # --- fleet ----------------------------------------------------------------------------

    def fleet(self) -> list[Session]:
        sessions = []
        for zone, substation, feeder, name in PLACES:
            site = Site.objects.create(
                external_id=self.id(), name=name, address=f"1 {name}", timezone="Europe/Amsterdam",
                grid_zone=zone, substation=substation, feeder=feeder,
            )  # fmt: skip
            for number in range(STATIONS_A_SITE):
                sessions += self.station(site, number)
        return sessions

    def station(self, site: Site, number: int) -> list[Session]:
        station = ChargeStation.objects.create(
            external_id=self.id(), site=site, name=f"{site.name} {number + 1}", protocol="ocpp1.6",
            online_changed_at=self.ago(days=3),
        )  # fmt: skip
        return [self.session(station) for _ in range(2)]

    def session(self, station: ChargeStation) -> Session:
        connector = Connector.objects.create(
            external_id=self.id(), chargestation=station, power_type="ac_3_phase",
            max_power_w=22_080, status="Charging",
        )  # fmt: skip
        return Session.objects.create(
            external_id=self.id(), chargestation=station, connector=connector, status="started",
            started_at=self.ago(minutes=self.chance.randint(40, 200)),
            power_w=self.chance.choice((7_360.0, 10_950.0, 11_040.0, 21_900.0)),
            current_a=16.0, energy_wh=self.chance.randint(4_000, 30_000),
            metered_at=self.ago(seconds=self.chance.randint(2, 28)),
        )  # fmt: skip

    # --- events ---------------------------------------------------------------------------

    def event(self, **fields: Any) -> Event:
        event = Event.objects.create(
            **{
                "name": "Feeder F12 overload", "external_id": "F12-0142", "priority": 0,
                "reason": "Transformer T4 at 105 %", "limit_value": LIMIT_W,
                "declared_by": "user:operator", "request_digest": self.id(), **fields,
            }
        )  # fmt: skip
        EventTarget.objects.create(event=event, type="feeder", value="F12")
        return event

    def event_active(self, sessions: list[Session]) -> Event:
        began = self.now - AGE
        event = self.event(
            status="active", starts_at=began, activated_at=began, declared_at=began,
            ends_at=began + timedelta(minutes=45), planned_revision=1, planned_at=self.now,
            reference_w=sum(s.power_w or 0 for s in sessions),
            reference_sessions=len(sessions), reference_unmetered=0,
        )  # fmt: skip
        for number, session in enumerate(sessions):
            self.take_part(event, session, *self.fate(number))
        OptOut.objects.create(
            event=event, kind="exemption", type="session", value=sessions[7].external_id,
            reason="Ambulance", declared_by="user:operator", declared_at=self.ago(minutes=11),
        )  # fmt: skip
        return event

    def fate(self, number: int) -> tuple[str, str]:
        return {
            3: ("failed", "rejected_by_station"),
            5: ("unreachable", "station_offline"),
            6: ("unreachable", "no_answer"),
            7: ("exempt", "exempted"),
            9: ("confirmed", "non_responsive"),
            11: ("pending", ""),
            20: ("failed", "rejected_by_station"),
            26: ("ended", "session_ended"),
        }.get(number, ("confirmed", ""))

    def take_part(self, event: Event, session: Session, state: str, reason: str) -> None:
        before_w = session.power_w
        held = state == "confirmed"
        accepted_at = event.starts_at + timedelta(seconds=1.5 + self.chance.random() * 6)
        took = timedelta(seconds=self.chance.randint(12, 45))
        complied_at = accepted_at + took if held and not reason else None
        next_at = self.now + timedelta(seconds=24) if state == "unreachable" else None
        Participation.objects.create(
            event=event, session=session, state=state, reason=reason,
            joined_at=event.starts_at, before_w=before_w, binding=state not in ("exempt", "ended"),
            wanted_unit=None if state == "exempt" else "power",
            wanted_value=None if state == "exempt" else LIMIT_W, wanted_at=event.starts_at,
            confirmed_unit="power" if held else None, confirmed_value=LIMIT_W if held else None,
            accepted_at=accepted_at if held else None, complied_at=complied_at,
            attempts=4 if state == "failed" else 1, next_attempt_at=next_at,
            over_limit_since=self.ago(minutes=9) if reason == "non_responsive" else None,
            first_sent_at=event.starts_at + timedelta(seconds=1),
            released_at=self.now if state == "ended" else None,
        )  # fmt: skip
        if state == "exempt":
            return
        self.command(event, session, state, reason, accepted_at)
        session.wanted_unit, session.wanted_value = "power", LIMIT_W
        session.wanted_cause, session.generation = event.label, 1
        if held:
            session.confirmed_unit, session.confirmed_value = "power", LIMIT_W
            session.confirmed_generation, session.confirmed_at = 1, accepted_at
            session.may_be_limited = True
            session.power_w = session.power_w if reason else LIMIT_W - self.chance.randint(40, 260)
        if state == "ended":
            session.status, session.ended_at = "ended", self.ago(minutes=4)
        session.save()
        if reason == "station_offline":
            ChargeStation.objects.filter(pk=session.chargestation_id).update(online=False)

    def command(
        self, event: Event, session: Session, state: str, reason: str, accepted_at: datetime
    ) -> Command:
        became = {"confirmed": "accepted", "failed": "rejected", "ended": "moot"}.get(state, "due")
        settled = became in ("accepted", "rejected", "moot")
        command = Command.objects.create(
            session=session, generation=1, kind="set", unit="power", value=LIMIT_W,
            cause=event.label, state=became, created_at=event.starts_at,
            reason=reason if became != "accepted" else "", first_sent_at=event.starts_at,
            accepted_at=accepted_at if became == "accepted" else None,
            settled_at=accepted_at if settled else None,
            next_attempt_at=None if settled else self.now + timedelta(seconds=24),
            attempts=4 if became == "rejected" else 1,
            rejections=4 if became == "rejected" else 0,
        )  # fmt: skip
        for number in range(1, command.attempts + 1):
            sent_at = event.starts_at + timedelta(seconds=number * number)
            Attempt.objects.create(
                command=command, session=session, number=number, verb="set",
                unit="power" if number % 2 else "current",
                value=LIMIT_W if number % 2 else 6.0, claimed_at=sent_at,
                lease_until=sent_at + timedelta(seconds=18), sent_at=sent_at,
                answered_at=sent_at + timedelta(seconds=0.2), http_status=200,
                action_id=self.id(), station_at=sent_at + timedelta(seconds=1),
                outcome="rejected_by_station" if became == "rejected" else "requested",
            )  # fmt: skip
        return command

    def left_behind(self, session: Session) -> None:
        """Its site's capacity held it; its station has been refusing the clear since."""
        Session.objects.filter(pk=session.pk).update(may_be_limited=True, generation=1)
        Command.objects.create(
            session=session, generation=1, kind="clear", state="due",
            created_at=self.ago(minutes=4), reason="rejected_by_station",
            next_attempt_at=self.now + timedelta(seconds=40),
        )  # fmt: skip

    def large_file(self) -> SiteFile:
        """Being checked, half-way."""
        file = SiteFile.objects.create(
            name="grid.csv", content=b"", rows=4_800, sent_by="user:operator", sent_at=self.now
        )
        cache.set(f"site-file:{file.pk}", 2_350)
        return file

    def event_scheduled(self) -> Event:
        starts_at = self.now + timedelta(minutes=50)
        event = self.event(
            name="Evening peak, South", external_id="S-0007", priority=3, limit_kind="per_event",
            limit_value=90_000, starts_at=starts_at, ends_at=starts_at + timedelta(hours=2),
            declared_at=self.ago(hours=1), reason="Forecast above the import limit",
        )  # fmt: skip
        event.targets.update(type="grid_zone", value="South")
        return event

    def event_over(self, sessions: list[Session]) -> Event:
        """Yesterday's, with sessions of its own at the same sites."""
        began = self.ago(days=1)
        ended = began + timedelta(minutes=30)
        event = self.event(
            name="Feeder F12 overload, yesterday", external_id="F12-0141", status="completed",
            starts_at=began, activated_at=began, declared_at=began, ends_at=ended, ended_at=ended,
            restored_at=ended + timedelta(seconds=6), ending_as="completed",
            reference_w=310_000, reference_sessions=len(sessions), reference_unmetered=0,
        )  # fmt: skip
        for number, today in enumerate(sessions):
            session = Session.objects.create(
                external_id=self.id(), chargestation=today.chargestation,
                connector=today.connector, status="ended", started_at=began - timedelta(hours=1),
                ended_at=ended + timedelta(minutes=20), power_w=0.0,
                metered_at=ended + timedelta(minutes=19),
            )  # fmt: skip
            failed = number % 11 == 4
            Participation.objects.create(
                event=event, session=session, state="failed" if failed else "confirmed",
                reason="rejected_by_station" if failed else "", joined_at=began,
                before_w=9_000, wanted_unit="power", wanted_value=LIMIT_W, wanted_at=began,
                accepted_at=None if failed else began + timedelta(seconds=2 + number % 5),
                complied_at=None if failed else began + timedelta(seconds=21 + number % 17),
                released_at=ended, restored_at=ended + timedelta(seconds=5), attempts=1,
            )  # fmt: skip
        return event

    # --- figures --------------------------------------------------------------------------

    def curve_of(self, event: Event, sessions: int) -> None:
        before_w = event.reference_w or 0.0
        held_w = sessions * LIMIT_W + 40_000
        points = []
        for number in range(int(AGE / curve.SLOT)):
            at = load.slot_of(event.starts_at, curve.SLOT) + curve.SLOT * (number + 1)
            seconds = (at - event.starts_at).total_seconds()
            fallen = 1 / (1 + math.exp((28 - seconds) / 6))
            power = before_w - fallen * (before_w - held_w) + self.chance.uniform(-1, 1) * 1500
            points.append(
                EventLoad(
                    event=event,
                    at=at,
                    sessions=sessions,
                    metered=sessions - 1,
                    power_w=None if 95 < number < 103 else power,
                    limit_w=held_w + 12_000,
                    expected_w=held_w - 9_000,
                )
            )
        EventLoad.objects.bulk_create(points)

    def places(self) -> None:
        newest = load.slot_of(self.now)
        samples = []
        for zone, substation, feeder in dict.fromkeys(place[:3] for place in PLACES):
            mine = Session.objects.filter(ended_at=None, chargestation__site__feeder=feeder)
            cars = mine.count()
            limited = mine.filter(may_be_limited=True).count()
            base = sum(s.power_w or 0 for s in mine)
            for number in range(130):
                at = newest - load.SLOT * number
                is_before = feeder == "F12" and at < self.now - AGE
                wave = 1 + 0.03 * math.sin(number / 9 + len(samples)) + self.chance.uniform(0, 0.02)
                power = (435_000 if is_before else base) * wave
                gap = feeder == "F31" and 50 < number < 64
                samples.append(
                    PlaceLoad(
                        at=at,
                        grid_zone=zone,
                        substation=substation,
                        feeder=feeder,
                        cars=cars,
                        metered=0 if gap else cars,
                        limited=0 if is_before else limited,
                        power_w=None if gap else power,
                    )
                )
        PlaceLoad.objects.bulk_create(samples)

    def timeline(self, event: Event, session: Session) -> None:
        readings = []
        for number in range(60):
            at = self.now - timedelta(seconds=30 * number + 5)
            after = (at - event.starts_at).total_seconds()
            power = LIMIT_W - 120 if after > 30 else 11_040 - self.chance.randint(0, 90)
            if not 20 < number < 26:
                readings.append(MeterReading(session=session, metered_at=at, power_w=power))
        MeterReading.objects.bulk_create(readings)

    def heartbeats(self) -> None:
        """Ahead of now, so that the page stays as it is while it is looked at."""
        ahead = self.now + timedelta(hours=1)
        for name in (SWEPT, "sync", "edrv_ok"):
            Heartbeat.objects.update_or_create(name=name, defaults={"at": ahead})
        WebhookDelivery.objects.create(
            external_id=self.id(), type="session.updated", body=b"{}", signature="t=1,v1=0",
            received_at=ahead, state="applied",
        )  # fmt: skip


def paint() -> Scene:
    """Into an empty, migrated database."""
    return Painter(timezone.now()).paint()
