"""Plays the plan of a replay: one site, its stations and spaces, each visit at its time.

The first moment of the plan is the start of the simulator; visits already under way then are
resumed with the energy they have taken.
"""

from __future__ import annotations

import random
from collections import deque

from chargers.simulator.cars import Outlet, constant_car
from chargers.simulator.clock import wall_ms
from chargers.simulator.fleet import Fleet, add_connector, build_site, build_station
from chargers.simulator.model import Kind, Site, Station
from chargers.simulator.options import Options
from chargers.simulator.replay import MAX_CURRENT_A, VOLTAGE_V, Plan, Visit
from chargers.simulator.world import World


def replay_fleet(plan: Plan, options: Options) -> Fleet:
    """Stations by stationID (the endpoint), a single-phase connector for each spaceID."""
    rng = random.Random(f"{options.seed}:fleet")
    site = build_site(rng, 0, options.timezone)
    outlet = Outlet(1, options.voltage_v or VOLTAGE_V, MAX_CURRENT_A)
    stations: dict[str, Station] = {}
    for name, _ in plan.places:
        station = stations.get(name) or _new_station(rng, site, name, len(stations))
        stations[name] = station
        add_connector(rng, station, outlet, power_type="AC_1_PHASE")
    return Fleet([site], list(stations.values()))


def _new_station(rng: random.Random, site: Site, name: str, number: int) -> Station:
    return build_station(rng, site, Kind.PHYSICAL, number, endpoint=name)


class Playback:
    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self._visits = deque(plan.visits)
        given_ms = world.options.replay_from_ms
        self._begin_ms = plan.visits[0].connects_ms if given_ms is None else given_ms
        self._connectors = dict(zip(plan.places, world.connector_list, strict=True))

    def start(self) -> None:
        while self._visits and self._visits[0].connects_ms < self._begin_ms:
            self._resume(self._visits.popleft())
        self._expect_next()

    def _expect_next(self) -> None:
        """Only the next visit waits in the scheduler, however long the file."""
        if self._visits:
            due_s = self._sim_s(self._visits[0].connects_ms)
            delay_s = due_s - self._world.clock.sim_s()
            self._world.scheduler.after_sim(delay_s, self._play_next)

    def _play_next(self) -> None:
        visit = self._visits.popleft()
        connector = self._connectors[visit.place]
        if connector.session:
            self._world.end(connector.session)
        stay_s = (visit.disconnects_ms - visit.connects_ms) / 1000
        car = constant_car(connector.outlet, power_w=visit.power_w, battery_wh=visit.energy_wh)
        self._world.plug_in(connector, car, stored_wh=0.0, stay_s=stay_s)
        self._expect_next()

    def _resume(self, visit: Visit) -> None:
        connector = self._connectors[visit.place]
        passed_s = -self._sim_s(visit.connects_ms)
        energy_wh = min(visit.power_w * passed_s / 3600, visit.energy_wh)
        car = constant_car(connector.outlet, power_w=visit.power_w, battery_wh=visit.energy_wh)
        created_ms = wall_ms() - round(self._world.clock.real_s(passed_s) * 1000)
        session = self._world.open_session(
            connector, car, stored_wh=energy_wh, created_ms=created_ms
        )
        self._world.resume(session, energy_wh=energy_wh, stay_s=self._sim_s(visit.disconnects_ms))

    def _sim_s(self, at_ms: int) -> float:
        return (at_ms - self._begin_ms) / 1000
