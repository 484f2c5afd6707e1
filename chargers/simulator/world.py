"""The simulated world: its stations, its cars, and what each change tells eDRV's subscribers.

A car's life: plugged in (`Created`), `Started`, a report every 30 simulated seconds, `Ended`;
or `Cancelled` if it does not start within 120 s. While a station is offline eDRV hears nothing:
cars go on, reports are lost, and an end is reported once the station is back.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from chargers.simulator import payloads
from chargers.simulator.cars import Car, Draw, Limit
from chargers.simulator.clock import Scheduler, wall_ms
from chargers.simulator.fleet import Fleet
from chargers.simulator.ids import Ids
from chargers.simulator.model import Connector, Reading, Session, Station, Status
from chargers.simulator.options import Options
from chargers.simulator.outbox import Outbox

START_WITHIN_S = 120.0  # docs.edrv.io/docs/sessions
METER_NOISE = 0.01
UNKNOWN_TYPE_SHARE = 0.02


class World:
    def __init__(
        self, options: Options, fleet: Fleet, *, scheduler: Scheduler, ids: Ids, outbox: Outbox
    ) -> None:
        self.options, self.fleet, self.ids = options, fleet, ids
        self.scheduler, self.clock = scheduler, scheduler.clock
        self._outbox = outbox
        self.rng = random.Random(f"{options.seed}:world")
        self.payloads = payloads.Sessions(options.quirks, self.rng)
        self.connector_list = fleet.connectors
        self.sites = {site.id: site for site in fleet.sites}
        self.stations = {station.id: station for station in fleet.stations}
        self.connectors = {connector.id: connector for connector in self.connector_list}
        self.sessions: dict[str, Session] = {}
        self.session_list: list[Session] = []  # in the order of creation, as the API lists them

    def running_sessions(self) -> Iterator[Session]:
        return (
            connector.session
            for connector in self.connector_list
            if connector.session and connector.session.running
        )

    # A car's life

    def open_session(
        self, connector: Connector, car: Car, *, stored_wh: float, created_ms: int | None = None
    ) -> Session:
        """A session in status `Created`; nobody is told."""
        assert connector.session is None, "one car at a time"
        created_ms = created_ms or wall_ms()
        draw = Draw(connector.outlet, car, stored_wh=stored_wh, at_s=self.clock.sim_s())
        session = Session(
            id=self.ids.next(created_ms),
            user_id=f"{self.rng.getrandbits(96):024x}",
            connector=connector,
            draw=draw,
            reading=Reading(created_ms, 0.0, 0.0, 0.0, draw.state_of_charge),
            created_ms=created_ms,
            updated_ms=created_ms,
            meter_start_wh=connector.meter_wh,
        )
        connector.session = self.sessions[session.id] = session
        self.session_list.append(session)
        return session

    def plug_in(
        self,
        connector: Connector,
        car: Car,
        *,
        stored_wh: float,
        start_after_s: float | None = 0.0,
        stay_s: float | None = None,
    ) -> Session:
        """A car arrives and starts after simulated seconds; with None or too many it never does."""
        session = self.open_session(connector, car, stored_wh=stored_wh)
        self._set_connector_status(connector, "Preparing")
        if start_after_s is None or start_after_s > START_WITHIN_S:
            self.scheduler.after_sim(START_WITHIN_S, self.cancel, session)
        elif start_after_s == 0:
            self.start(session, stay_s)
        else:
            self.scheduler.after_sim(start_after_s, self.start, session, stay_s)
        return session

    def start(self, session: Session, stay_s: float | None = None) -> None:
        """The car begins to charge, for `stay_s` simulated seconds or until it is unplugged."""
        if session.status is not Status.CREATED or session.unplugged:
            return
        session.status, session.started_ms = Status.STARTED, wall_ms()
        session.draw.follow(None, now_s=self.clock.sim_s(), at_once=not session.draw.car.lag_s)
        self._read(session)
        self._set_connector_status(session.connector, "Charging")
        if session.station.online:
            self._tell(session, "session.started")
        self.keep_reporting(session, stay_s)

    def resume(self, session: Session, *, energy_wh: float, stay_s: float | None) -> None:
        """A session that began before the simulator did: it charges already, nobody is told."""
        session.status, session.started_ms = Status.STARTED, session.created_ms
        session.draw.follow(None, now_s=self.clock.sim_s(), at_once=True)
        session.draw.energy_wh = energy_wh
        session.draw.drawing_s = energy_wh * 3600 / session.draw.target_w if energy_wh else 0.0
        self._read(session)
        session.connector.status = _connector_status(session)
        self.keep_reporting(session, stay_s)

    def keep_reporting(self, session: Session, stay_s: float | None) -> None:
        """Reports from now on, each session in its own rhythm, and the departure."""
        first_s = self.rng.uniform(0, self.options.report_interval_s)
        self.scheduler.after_sim(first_s, self._report_and_again, session)
        if stay_s is not None:
            self.scheduler.after_sim(stay_s, self.unplug, session)

    def unplug(self, session: Session) -> None:
        """The car leaves. If its station is offline, eDRV does not hear of it yet."""
        if not session.open:
            return
        session.draw.stop(now_s=self.clock.sim_s())
        session.unplugged = True
        if session.station.online:
            self.end(session)

    def end(self, session: Session) -> None:
        if session.status is Status.CREATED:
            self.cancel(session)
        if session.status is not Status.STARTED:
            return
        session.draw.stop(now_s=self.clock.sim_s())
        self._read(session)
        session.status, session.ended_ms = Status.ENDED, session.reading.at_ms
        if session.limit:  # a TxProfile goes with its transaction
            session.change_limit(None, at_ms=session.ended_ms, action_id=None)
        session.connector.meter_wh += session.draw.energy_wh
        self._leave(session, "session.ended")

    def cancel(self, session: Session) -> None:
        """eDRV gives up waiting for a start; it needs no station for that."""
        if session.status is not Status.CREATED:
            return
        session.status, session.updated_ms = Status.CANCELLED, wall_ms()
        self._leave(session, "session.cancelled")

    def _leave(self, session: Session, type_: str) -> None:
        session.connector.session = None
        self._tell(session, type_)
        self._set_connector_status(session.connector, "Available")

    # Limits and readings

    def apply_limit(
        self, session: Session, limit: Limit | None, *, action_id: str, ignored: bool = False
    ) -> None:
        """The station has accepted `limit`; with `ignored` it does nothing about it."""
        session.change_limit(limit, at_ms=wall_ms(), action_id=action_id)
        session.ignores_limit = ignored
        session.draw.follow(None if ignored else limit, now_s=self.clock.sim_s())

    def power_w(self, session: Session) -> float:
        """True power now."""
        if not session.running:
            return 0.0
        session.draw.advance(self.clock.sim_s())
        return session.draw.power_w(session.draw.at_s)

    def report(self, session: Session) -> None:
        """Sample the truth and, if the station can, read the meter and tell eDRV."""
        session.samples.add(wall_ms(), self.power_w(session), session.draw.energy_wh)
        if session.station.online:
            self._read(session)
            self._set_connector_status(session.connector, _connector_status(session))
            self._tell(session, "session.updated")
            self._maybe_tell_something_new(session)

    def _report_and_again(self, session: Session) -> None:
        if not session.running:
            return
        self.report(session)
        interval_s = self.options.report_interval_s
        self.scheduler.after_sim(interval_s, self._report_and_again, session)

    def _read(self, session: Session) -> None:
        """The meter's reading: the true energy, and the true power give or take a percent."""
        power_w, draw = self.power_w(session), session.draw
        session.updated_ms = wall_ms()
        session.reading = Reading(
            at_ms=session.updated_ms,
            power_w=power_w * (1 + self.rng.uniform(-METER_NOISE, METER_NOISE)),
            energy_wh=draw.energy_wh,
            drawing_s=draw.drawing_s,
            state_of_charge=draw.state_of_charge,
        )

    # --- stations -------------------------------------------------------------------------

    def set_online(self, station: Station, online: bool) -> None:
        """Connect or disconnect; what happened meanwhile is reported on return."""
        if station.online == online:
            return
        station.online, station.updated_ms = online, wall_ms()
        if online:
            station.last_connect_ms = station.updated_ms
        else:
            station.last_disconnect_ms = station.updated_ms
        self._tell_station(station, f"chargestation.{'online' if online else 'offline'}")
        if online:
            self._catch_up(station)

    def _catch_up(self, station: Station) -> None:
        for connector in station.connectors:
            session = connector.session
            if session and session.unplugged:
                self.end(session)
            elif session and session.running:
                self.report(session)

    def _set_connector_status(self, connector: Connector, status: str) -> None:
        if connector.status == status or not connector.station.online:
            return
        connector.status = status
        connector.updated_ms = connector.station.updated_ms = wall_ms()
        self._tell_station(connector.station, "chargestation.connector_status.updated")

    # --- telling --------------------------------------------------------------------------

    def _tell(self, session: Session, type_: str) -> None:
        self._outbox.emit(
            type_,
            payloads.SESSION_OBJECT,
            self.payloads.payload(session),
            station_id=session.station.id,
            session_id=session.id,
        )

    def _tell_station(self, station: Station, type_: str) -> None:
        data = payloads.chargestation(station)
        self._outbox.emit(type_, payloads.STATION_OBJECT, data, station_id=station.id)

    def _maybe_tell_something_new(self, session: Session) -> None:
        quirky = "unknown-types" in self.options.quirks
        if quirky and self.rng.random() < UNKNOWN_TYPE_SHARE:
            self._tell(session, "session.grid_readiness.updated")


def _connector_status(session: Session) -> str:
    if session.draw.target_w > 0 and not session.draw.full:
        return "Charging"
    stopped_by_limit = session.limit is not None and not session.draw.full
    return "SuspendedEVSE" if stopped_by_limit else "SuspendedEV"
